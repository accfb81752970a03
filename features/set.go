package features

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"math"
	"strings"
	"sync"
	"time"

	"bellwether/datasets/record"
	"bellwether/models"
)

// definitionVersion is part of every fingerprint; it moves when the value of a
// feature changes without its name or meaning.
const definitionVersion = 1

// Options are settings that change rows. The zero value will do.
type Options struct {
	// Currency says how many units of Base one unit of a currency is worth.
	// Without a table amounts are taken as they are; with one, an amount in a
	// currency it does not hold is missing.
	Currency map[string]float64 `json:"currency,omitempty"`
	Base     string             `json:"base,omitempty"`
	// LeadDays is how long a lead nobody was offered lately is remembered; 0 means
	// 182. An offer made later counts for its partner but not for the segments.
	LeadDays int `json:"lead_days,omitempty"`
}

func (o *Options) leadDays() day {
	if o.LeadDays > 0 {
		return day(o.LeadDays)
	}
	return 182
}

// Set is the list of features of one Schema. It does not change once made, and
// may be used by any number of goroutines.
type Set struct {
	schema      Schema
	options     Options
	features    []Feature
	byName      map[string]int
	fingerprint string

	lead    []leadColumn
	partner []partnerColumn
	pair    []pairColumn

	leadFixed, partnerFixed int      // how many columns depend on the record alone
	dimensions              []string // of the segments; the first are the fixed ones
	pairAttributes          []string // beside the dimensions after those
	partners                sync.Pool
}

// NewSet makes the features of a schema.
func NewSet(schema Schema, options Options) *Set {
	s := &Set{schema: schema, options: options, byName: map[string]int{}}
	s.partners.New = func() any { return new(partnerView) }
	for _, a := range schema.LeadAttributes {
		if a.Pair {
			s.pairAttributes = append(s.pairAttributes, a.Name)
		}
	}
	s.dimensions = append(append([]string{}, dimensionNames[:]...), s.pairAttributes...)
	s.lead, s.partner, s.pair = s.leadColumns(), s.partnerColumns(), s.pairColumns()
	for _, c := range s.lead {
		s.features = append(s.features, c.Feature)
		if c.fixed != nil {
			s.leadFixed++
		}
	}
	for _, c := range s.partner {
		s.features = append(s.features, c.Feature)
		if c.fixed != nil {
			s.partnerFixed++
		}
	}
	for _, c := range s.pair {
		s.features = append(s.features, c.Feature)
	}
	for i, f := range s.features {
		s.byName[f.Name] = i
	}
	s.fingerprint = s.print()
	return s
}

func (s *Set) print() string {
	b, err := json.Marshal(struct {
		Version  int
		Schema   Schema
		Options  Options
		Features []Feature
	}{definitionVersion, s.schema, s.options, s.features})
	if err != nil {
		// Only an infinite rate in the currency table cannot be written.
		panic("features: options cannot be written: " + err.Error())
	}
	sum := sha256.Sum256(b)
	return hex.EncodeToString(sum[:16])
}

// Features describes the columns of a row, in order.
func (s *Set) Features() []Feature { return s.features }

// Columns describes the columns of a row to a learner.
func (s *Set) Columns() []models.Column {
	out := make([]models.Column, len(s.features))
	for i, f := range s.features {
		out[i] = models.Column{Name: f.Name, Kind: f.Kind}
	}
	return out
}

// Column returns the place of a feature in a row.
func (s *Set) Column(name string) (int, bool) {
	i, ok := s.byName[name]
	return i, ok
}

// Fingerprint is a hash of everything that defines a row: the features, the
// schema and the options.
func (s *Set) Fingerprint() string { return s.fingerprint }

// Width is the length of a row.
func (s *Set) Width() int { return len(s.features) }

// Sides returns where the blocks of a row begin; each ends where the next
// begins, the last at Width.
func (s *Set) Sides() (lead, partner, pair int) {
	return 0, len(s.lead), len(s.lead) + len(s.partner)
}

// Schema returns the schema the set was made of.
func (s *Set) Schema() Schema { return s.schema }

// Options returns the options the set was made with.
func (s *Set) Options() Options { return s.options }

// Worth converts money into the base currency; NaN if it is not said or the
// table lacks its currency.
func (s *Set) Worth(m record.Money) float64 {
	if m.IsZero() {
		return missing
	}
	digits, ok := record.MinorDigits(m.Currency)
	if !ok {
		digits = 2
	}
	amount := float64(m.Amount) / math.Pow10(digits)
	if len(s.options.Currency) == 0 || m.Currency == s.options.Base {
		return amount
	}
	rate, ok := s.options.Currency[m.Currency]
	if !ok {
		return missing
	}
	return amount * rate
}

// hundredths is Worth in whole hundredths, 0 if missing.
func (s *Set) hundredths(m record.Money) int64 {
	x := s.Worth(m)
	if math.IsNaN(x) {
		return 0
	}
	return int64(math.Round(min(1e15, max(-1e15, 100*x))))
}

// Prepare reads a lead as of now into a view, for the rows of any number of
// partners. The state must have been advanced to now.
func (s *Set) Prepare(v *LeadView, lead *record.Lead, st *State, now time.Time) {
	s.readLead(&v.own, lead)
	m := moment{now: now.Unix(), account: st.accountOf(v.own.account)}
	if known := st.leads.get(v.own.id); known != nil {
		v.own.before, m.attempts = known.view.before, known.attempts
	} else {
		v.own.before = accountLeads{m.account.leads, m.account.lastLead}
	}
	v.prepare(&v.own, st, m)
}

// LeadRow writes the lead block of a row.
func (s *Set) LeadRow(dst []float64, v *LeadView) {
	fixed := v.lead.fixed
	for i := range s.lead {
		c := &s.lead[i]
		if c.fixed != nil {
			dst[i], fixed = fixed[0], fixed[1:]
			continue
		}
		dst[i] = c.live(v)
	}
}

// PartnerRow writes the partner block of a row. It depends on the partner's
// Version and on the UTC day of now alone, given that the state was advanced to
// that day.
func (s *Set) PartnerRow(dst []float64, p *PartnerState, st *State, now time.Time) {
	s.partnerRow(dst, p, st, dayOf(now.Unix()))
}

func (s *Set) partnerRow(dst []float64, p *PartnerState, st *State, today day) {
	v := s.partners.Get().(*partnerView)
	v.prepare(p, st, today)
	fixed := p.profile.fixed
	for i := range s.partner {
		c := &s.partner[i]
		switch {
		case c.sum.of != nothing:
			dst[i] = v.sum(&c.sum)
		case c.fixed == nil:
			dst[i] = c.live(v)
		case len(fixed) == 0: // no record yet
			dst[i] = missing
		default:
			dst[i], fixed = fixed[0], fixed[1:]
		}
	}
	s.partners.Put(v)
}

// readPartner returns the columns that depend on a partner's record alone.
func (s *Set) readPartner(p *record.Partner) []float64 {
	fixed := make([]float64, 0, s.partnerFixed)
	for i := range s.partner {
		if read := s.partner[i].fixed; read != nil {
			fixed = append(fixed, read(s, p))
		}
	}
	return fixed
}

// PairRow writes the pair block of a row.
func (s *Set) PairRow(dst []float64, v *LeadView, p *PartnerState) {
	apart := len(pairTable)
	v.pair.prepare(dst[apart:], v, p)
	for i := range pairTable {
		dst[i] = pairTable[i].live(&v.pair)
	}
}

// Row writes all three blocks.
func (s *Set) Row(dst []float64, v *LeadView, p *PartnerState) {
	_, partner, pair := s.Sides()
	s.LeadRow(dst[:partner], v)
	s.PartnerRow(dst[partner:pair], p, v.state, time.Unix(v.now, 0))
	s.PairRow(dst[pair:], v, p)
}

// label makes a name part of a meaning: "size_band" becomes "size band".
func label(name string) string { return strings.ReplaceAll(name, "_", " ") }
