package routing

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"maps"
	"math"
	"slices"
	"strings"
	"time"

	"bellwether/datasets/record"
	"bellwether/features"
)

// Policy is everything about a decision that a person may set. The zero Policy
// is sensible; where a field's zero value stands for another default, the field
// says so, and -1 switches that part off.
type Policy struct {
	ID           string             `json:"id,omitempty" yaml:"id"` // "default" when empty
	Rules        Rules              `json:"rules,omitzero" yaml:"rules"`
	Currency     string             `json:"currency,omitempty" yaml:"currency"`           // of all values; "EUR" when empty
	Rates        map[string]float64 `json:"rates,omitempty" yaml:"rates"`                 // ISO 4217 code → units of Currency one unit is worth
	UnknownValue int64              `json:"unknown_value,omitempty" yaml:"unknown_value"` // minor units a lead counts for when nothing is known of its value; 0 means 100
	Load         Load               `json:"load,omitzero" yaml:"load"`
	Fairness     Fairness           `json:"fairness,omitzero" yaml:"fairness"`
	Exploration  Exploration        `json:"exploration,omitzero" yaml:"exploration"`
	Evidence     Evidence           `json:"evidence,omitzero" yaml:"evidence"`
	OfferTTL     Duration           `json:"offer_ttl,omitzero" yaml:"offer_ttl"`        // how long an offer stands; 0 means 48 h
	MinWin       float64            `json:"min_win,omitempty" yaml:"min_win"`           // candidates with a lower P(win) are refused; 0 refuses nobody
	ProtectDays  int                `json:"protect_days,omitempty" yaml:"protect_days"` // of a registered deal that names no end; 0 means 90
	Shown        int                `json:"shown,omitempty" yaml:"shown"`               // ranked candidates with reasons; 0 means 4, the best and the next three
}

// Rules says which rules apply and how strict they are. A partner that states
// nothing (no territory, no language …) is limited by nothing, unless the rule
// is listed in Strict.
type Rules struct {
	Off        []string            `json:"off,omitempty" yaml:"off"`               // names of rules not applied
	Strict     []string            `json:"strict,omitempty" yaml:"strict"`         // rules that refuse a partner that states nothing: territory, competence, language, marketplace, contract
	Competence string              `json:"competence,omitempty" yaml:"competence"` // "all" wanted products (default) or "any"
	MinLevel   int                 `json:"min_level,omitempty" yaml:"min_level"`   // lowest competence level that counts
	Certified  []string            `json:"certified,omitempty" yaml:"certified"`   // certifications every partner must hold
	ByProduct  map[string][]string `json:"by_product,omitempty" yaml:"by_product"` // certifications wanted for a product
	Custom     []Custom            `json:"custom,omitempty" yaml:"custom"`
}

// Custom is a rule of the user's own: a CEL expression over lead, partner and
// now that is true for the partners who may have the lead.
type Custom struct {
	Name   string `json:"name" yaml:"name"`
	When   string `json:"when" yaml:"when"`     // e.g. `partner.tier == "gold" || lead.value < 10000.0`
	Reason string `json:"reason" yaml:"reason"` // said to whom it refuses
}

// Load prices work in hand, in shares of the lead's amount.
type Load struct {
	Open     float64 `json:"open,omitempty" yaml:"open"`         // times open/(open+10) of the partner's open leads; 0 means 0.01
	Capacity float64 `json:"capacity,omitempty" yaml:"capacity"` // times the square of the used share of its capacity; 0 means 0.02
}

// Fairness lifts partners that are offered little, by at most Boost.
type Fairness struct {
	Boost  float64 `json:"boost,omitempty" yaml:"boost"`   // largest lift, share of the lead's amount; 0 means 0.02
	Offers float64 `json:"offers,omitempty" yaml:"offers"` // offers in about 28 days at which the lift ends; 0 means 1
}

// Exploration keeps the data alive: inverse gap weighting, p = 1/(K(1+Gap·gap))
// for every candidate but the best, scaled so that together they have at most
// Share.
type Exploration struct {
	Off   bool    `json:"off,omitempty" yaml:"off"`
	Share float64 `json:"share,omitempty" yaml:"share"` // at most 0.5; 0 means 0.05
	Gap   float64 `json:"gap,omitempty" yaml:"gap"`     // how fast a worse candidate's chance falls; 0 means 50
}

// Evidence says when a candidate's probability rests on enough data.
type Evidence struct {
	Offers float64 `json:"offers,omitempty" yaml:"offers"` // known offers of the partner; 0 means 5
	Width  float64 `json:"width,omitempty" yaml:"width"`   // widest interval of P(win); 0 means 0.5, or 0.35 without a model or by one whose intervals promise nothing
}

// Duration is a time.Duration written as "48h" in text.
type Duration time.Duration

// MarshalText writes the duration in Go's notation.
func (d Duration) MarshalText() ([]byte, error) { return []byte(time.Duration(d).String()), nil }

// UnmarshalText reads what MarshalText writes.
func (d *Duration) UnmarshalText(b []byte) error {
	x, err := time.ParseDuration(string(b))
	*d = Duration(x)
	return err
}

// Check reports the first thing wrong with the policy, custom rules included.
func (p *Policy) Check() error {
	if err := p.Rules.check(); err != nil {
		return err
	}
	shares := []struct {
		field string
		x, hi float64
	}{
		{"load.open", p.Load.Open, 1}, {"load.capacity", p.Load.Capacity, 1}, {"fairness.boost", p.Fairness.Boost, 0.5},
		{"exploration.share", p.Exploration.Share, 0.5}, {"min_win", p.MinWin, 1}, {"evidence.width", p.Evidence.Width, 1},
		{"fairness.offers", p.Fairness.Offers, math.MaxFloat64}, {"exploration.gap", p.Exploration.Gap, math.MaxFloat64},
		{"evidence.offers", p.Evidence.Offers, math.MaxFloat64},
	}
	for _, s := range shares {
		if !(s.x >= 0 && s.x <= s.hi) && s.x != -1 {
			return record.FieldErrorf(s.field, "%v is not between 0 and %v (or -1 for off)", s.x, s.hi)
		}
	}
	if _, ok := record.MinorDigits(p.currency()); !ok {
		return record.FieldErrorf("currency", "%q is not an ISO 4217 code", p.Currency)
	}
	for _, code := range sortedKeys(p.Rates) {
		if _, ok := record.MinorDigits(code); !ok {
			return record.FieldErrorf("rates", "%q is not an ISO 4217 code", code)
		}
		if r := p.Rates[code]; !(r > 0) || math.IsInf(r, 0) {
			return record.FieldErrorf("rates."+code, "%v is not a positive number", r)
		}
	}
	if p.UnknownValue < 0 || p.OfferTTL < 0 || p.ProtectDays < 0 || p.Shown < 0 {
		return record.FieldErrorf("", "unknown_value, offer_ttl, protect_days and shown cannot be negative")
	}
	_, err := compile(p.Rules.Custom)
	return err
}

func (r *Rules) check() error {
	for i, name := range r.Off {
		if !slices.Contains(RuleNames, name) {
			return record.FieldErrorf(fmt.Sprintf("rules.off[%d]", i), "%q is not a rule; they are %v", name, RuleNames)
		}
	}
	for i, name := range r.Strict {
		if !slices.Contains(strictable, name) {
			return record.FieldErrorf(fmt.Sprintf("rules.strict[%d]", i), "%q is not one of %v", name, strictable)
		}
	}
	if r.Competence != "" && r.Competence != "all" && r.Competence != "any" {
		return record.FieldErrorf("rules.competence", "%q is neither all nor any", r.Competence)
	}
	if r.MinLevel < 0 || r.MinLevel > 5 {
		return record.FieldErrorf("rules.min_level", "%d is not between 0 and 5", r.MinLevel)
	}
	return nil
}

// Hash fingerprints the policy: 16 hex digits that change with any setting.
func (p *Policy) Hash() string {
	b, err := json.Marshal(p)
	if err != nil {
		// Only a NaN or an infinity cannot be written, and Check refuses both.
		panic(err)
	}
	sum := sha256.Sum256(b)
	return hex.EncodeToString(sum[:8])
}

// Name is how decisions refer to the policy: id:hash.
func (p *Policy) Name() string {
	id := p.ID
	if id == "" {
		id = "default"
	}
	return id + ":" + p.Hash()
}

// Amount converts money into minor units of the policy's currency. It reports
// false for money that was not said or has no rate.
func (p *Policy) Amount(m record.Money) (minor float64, ok bool) {
	if m.Amount <= 0 {
		return 0, false
	}
	if m.Currency == p.currency() {
		return float64(m.Amount), true
	}
	rate, ok := p.Rates[m.Currency]
	if !ok {
		return 0, false
	}
	from, _ := record.MinorDigits(m.Currency)
	to, _ := record.MinorDigits(p.currency())
	return float64(m.Amount) * rate * math.Pow10(to-from), true
}

// CheckMoney refuses an amount whose currency has no rate: a lead's would count for
// UnknownValue, next to nothing, and others not at all. A policy that says nothing
// of currencies takes every amount.
func (p *Policy) CheckMoney(field string, m record.Money) error {
	if _, ok := p.Amount(m); ok || m.Amount <= 0 || p.silent() {
		return nil
	}
	with := append(slices.Collect(maps.Keys(p.Rates)), p.currency())
	slices.Sort(with)
	return record.FieldErrorf(field+".currency", "%s has no rate in the policy, which has %s: say the amount in one of these, or give the policy a rate", m.Currency, strings.Join(slices.Compact(with), ", "))
}

// silent reports whether the policy says nothing of currencies.
func (p *Policy) silent() bool { return p.Currency == "" && len(p.Rates) == 0 }

// Conversion makes features convert amounts as the policy does. A policy that
// says nothing of currencies leaves amounts as they are.
func (p *Policy) Conversion() features.Options {
	if p.silent() {
		return features.Options{}
	}
	o := features.Options{Base: p.currency(), Currency: map[string]float64{}}
	maps.Copy(o.Currency, p.Rates)
	o.Currency[o.Base] = 1
	return o
}

func (p *Policy) currency() string {
	if p.Currency == "" {
		return "EUR"
	}
	return p.Currency
}

// setting returns x, or the default that a zero stands for; -1 means off: 0.
func setting(x, usual float64) float64 {
	switch x {
	case 0:
		return usual
	case -1:
		return 0
	}
	return x
}

func (p *Policy) ttl() time.Duration {
	if p.OfferTTL == 0 {
		return 48 * time.Hour
	}
	return time.Duration(p.OfferTTL)
}

func (p *Policy) protection() time.Duration {
	if p.ProtectDays == 0 {
		return 90 * 24 * time.Hour
	}
	return time.Duration(p.ProtectDays) * 24 * time.Hour
}

func (p *Policy) shown() int {
	if p.Shown == 0 {
		return 4
	}
	return p.Shown
}

func (p *Policy) unknownValue() float64 {
	if p.UnknownValue == 0 {
		return 100
	}
	return float64(p.UnknownValue)
}

func sortedKeys[V any](m map[string]V) []string {
	keys := make([]string, 0, len(m))
	for k := range m {
		keys = append(keys, k)
	}
	slices.Sort(keys)
	return keys
}
