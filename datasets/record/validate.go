package record

import (
	"fmt"
	"math"
	"slices"
	"strings"
	"sync"
	"time"
	"unicode/utf8"
)

// Limits on what a record may hold.
const (
	MaxID         = 256      // bytes of an identifier
	MaxText       = 64 << 10 // bytes of free text
	MaxName       = 1 << 10  // bytes of a name or word
	MaxList       = 10_000   // items of a list
	MaxAttributes = 1_000
)

var (
	minTime = time.Date(1970, 1, 1, 0, 0, 0, 0, time.UTC)
	maxTime = time.Date(2200, 1, 1, 0, 0, 0, 0, time.UTC)
)

// checks collects the first failure of a record; later checks are skipped.
type checks struct{ err *Error }

func (c *checks) failf(field, format string, args ...any) {
	if c.err == nil {
		c.err = FieldErrorf(field, format, args...)
	}
}

func (c *checks) result() error {
	if c.err == nil {
		return nil
	}
	return c.err
}

func shown(s string) string {
	if len(s) > 40 {
		return fmt.Sprintf("%.40q… (%d bytes)", s, len(s))
	}
	return fmt.Sprintf("%q", s)
}

func (c *checks) text(field, s string, limit int) {
	switch {
	case len(s) > limit:
		c.failf(field, "%s is too long: at most %d bytes", shown(s), limit)
	case !utf8.ValidString(s):
		c.failf(field, "%s is not valid UTF-8", shown(s))
	}
}

// printableASCII is the quick answer for nearly every identifier.
func printableASCII(s string) bool {
	for ; len(s) >= 8; s = s[8:] {
		// Eight bytes at once: a byte below ' ' borrows into its highest bit, one
		// from DEL on carries into it.
		x := uint64(s[0]) | uint64(s[1])<<8 | uint64(s[2])<<16 | uint64(s[3])<<24 |
			uint64(s[4])<<32 | uint64(s[5])<<40 | uint64(s[6])<<48 | uint64(s[7])<<56
		const each, high = 0x0101010101010101, 0x8080808080808080
		if (x|(x-' '*each)|(x+each))&high != 0 {
			return false
		}
	}
	for i := 0; i < len(s); i++ {
		if s[i] < ' ' || s[i] > '~' {
			return false
		}
	}
	return true
}

func (c *checks) id(field, s string, required bool) {
	if s == "" {
		if required {
			c.failf(field, "is missing")
		}
		return
	}
	if len(s) <= MaxID && printableASCII(s) {
		return
	}
	c.text(field, s, MaxID)
	if strings.ContainsAny(s, "\x00\n\r") {
		c.failf(field, "%s holds a control character", shown(s))
	}
}

func (c *checks) when(field string, t time.Time, required bool) {
	switch {
	case t.IsZero():
		if required {
			c.failf(field, "is missing")
		}
	case t.Before(minTime) || !t.Before(maxTime):
		c.failf(field, "%s is not between 1970 and 2200", t.Format(time.RFC3339))
	case t.Location() != time.UTC:
		c.failf(field, "%s is not in UTC", t.Format(time.RFC3339))
	}
}

func (c *checks) span(field string, s Span) {
	c.when(field+".from", s.From, false)
	c.when(field+".to", s.To, false)
	if !s.From.IsZero() && !s.To.IsZero() && s.To.Before(s.From) {
		c.failf(field, "ends %s, before it begins %s", s.To.Format(time.DateOnly), s.From.Format(time.DateOnly))
	}
}

func (c *checks) words(field string, list []string) {
	if len(list) > MaxList {
		c.failf(field, "has %d items: at most %d", len(list), MaxList)
		return
	}
	for i, s := range list {
		if s == "" || len(s) > MaxName || !utf8.ValidString(s) { // the path is built only for a fault
			at := fmt.Sprintf("%s[%d]", field, i)
			if s == "" {
				c.failf(at, "is empty")
			}
			c.text(at, s, MaxName)
		}
	}
}

func (c *checks) number(field string, x float64) {
	if math.IsNaN(x) || math.IsInf(x, 0) {
		c.failf(field, "is %v: a finite number is wanted", x)
	}
}

func (c *checks) oneOf(field, s string, words []string) {
	if s != "" && !slices.Contains(words, s) {
		c.failf(field, "%s is not one of %s", shown(s), strings.Join(words, ", "))
	}
}

func (c *checks) money(field string, m Money) {
	switch {
	case m.IsZero():
	case m.Amount < 0:
		c.failf(field+".amount", "%d is negative", m.Amount)
	case !validCurrency(m.Currency):
		c.failf(field+".currency", "%s is not an ISO 4217 code", shown(m.Currency))
	}
}

func (c *checks) place(field string, p Place) {
	c.text(field+".region", p.Region, MaxName)
	if !p.Located {
		if p.Lat != 0 || p.Lon != 0 {
			c.failf(field+".located", "must be true when lat and lon are given")
		}
		return
	}
	if !(p.Lat >= -90 && p.Lat <= 90) {
		c.failf(field+".lat", "%v is not between -90 and 90", p.Lat)
	}
	if !(p.Lon >= -180 && p.Lon <= 180) {
		c.failf(field+".lon", "%v is not between -180 and 180", p.Lon)
	}
}

func (c *checks) attributes(field string, a Attributes) {
	if len(a) > MaxAttributes {
		c.failf(field, "has %d entries: at most %d", len(a), MaxAttributes)
	}
	for name, v := range a {
		at := field + "." + name
		if name == "" {
			c.failf(field, "has an entry without a name")
		}
		c.text(at, name, MaxName)
		switch v.Kind() {
		case TextValue:
			c.text(at, v.Text(), MaxText)
		case NumberValue:
			c.number(at, v.Number())
		case ListValue:
			c.words(at, v.List())
		}
	}
}

// Validate checks the partner by itself: a nil error, or an *Error of kind
// Invalid that names the first field at fault.
func (p *Partner) Validate() error {
	var c checks
	c.id("id", string(p.ID), true)
	c.text("name", p.Name, MaxName)
	c.text("kind", p.Kind, MaxName)
	c.text("tier", p.Tier, MaxName)
	c.id("parent", string(p.Parent), false)
	if p.Parent != "" && p.Parent == p.ID {
		c.failf("parent", "%s is the partner itself", shown(string(p.Parent)))
	}
	c.place("home", p.Home)
	c.words("territories", p.Territories)
	c.words("industries", p.Industries)
	c.words("languages", p.Languages)
	c.words("marketplaces", p.Marketplaces)
	for i, k := range p.Competences {
		at := fmt.Sprintf("competences[%d]", i)
		c.id(at+".product", k.Product, true)
		if k.Level < 0 || k.Level > 5 {
			c.failf(at+".level", "%d is not between 0 and 5", k.Level)
		}
		c.span(at, k.Span)
	}
	for i, k := range p.Certifications {
		at := fmt.Sprintf("certifications[%d]", i)
		c.id(at+".name", k.Name, true)
		c.span(at, k.Span)
	}
	for i, s := range p.Status {
		at := fmt.Sprintf("status[%d]", i)
		if s.Status == "" {
			c.failf(at+".status", "is missing")
		}
		c.oneOf(at+".status", s.Status, Statuses)
		c.span(at, s.Span)
	}
	c.span("contract", p.Contract)
	c.capacity("capacity", &p.Capacity)
	c.when("joined_at", p.JoinedAt, false)
	c.when("known_at", p.KnownAt, false)
	c.attributes("attributes", p.Attributes)
	return c.result()
}

func (c *checks) capacity(field string, k *Capacity) {
	if k.Units < 0 {
		c.failf(field+".units", "%d is negative", k.Units)
	}
	c.oneOf(field+".period", k.Period, []string{"day", "week", "month"})
	for i, d := range k.Weekdays {
		if d < time.Sunday || d > time.Saturday {
			c.failf(fmt.Sprintf("%s.weekdays[%d]", field, i), "%d is not between 0 (Sunday) and 6 (Saturday)", int(d))
		}
	}
	if k.Timezone != "" {
		if !validZone(k.Timezone) {
			c.failf(field+".timezone", "%s is not an IANA time zone", shown(k.Timezone))
		}
	}
	for i, s := range k.Absences {
		c.span(fmt.Sprintf("%s.absences[%d]", field, i), s)
	}
}

// zones are the names found valid: reading a zone's file for each partner would
// take longer than all else about it. There are some 600 of them.
var zones sync.Map

func validZone(name string) bool {
	if _, ok := zones.Load(name); ok {
		return true
	}
	if _, err := time.LoadLocation(name); err != nil {
		return false
	}
	zones.Store(strings.Clone(name), nil)
	return true
}

// Validate checks the lead by itself: a nil error, or an *Error of kind Invalid
// that names the first field at fault.
func (l *Lead) Validate() error {
	var c checks
	c.id("id", string(l.ID), true)
	c.when("created_at", l.CreatedAt, true)
	c.id("account", string(l.Account), false)
	c.text("company", l.Company, MaxName)
	c.text("industry", l.Industry, MaxName)
	c.text("size_band", l.SizeBand, MaxName)
	c.place("place", l.Place)
	c.text("language", l.Language, MaxName)
	c.words("products", l.Products)
	c.oneOf("need", l.Need, Needs)
	c.money("value", l.Value)
	c.text("source", l.Source, MaxName)
	c.text("marketplace", l.Marketplace, MaxName)
	c.text("text", l.Text, MaxText)
	c.attributes("attributes", l.Attributes)
	return c.result()
}

// needs are the fields a type of event cannot do without, besides a partner.
type needs struct{ lead, account, until, text bool }

// eventNeeds has every type.
var eventNeeds = func() map[EventType]needs {
	all := map[EventType]needs{}
	for _, t := range EventTypes {
		all[t] = needs{}
	}
	for _, t := range []EventType{OfferMade, OfferAccepted, OfferDeclined, OfferExpired, OfferWithdrawn, OfferSuperseded} {
		all[t] = needs{lead: true}
	}
	for _, t := range []EventType{TierChanged, StatusChanged, Certified} {
		all[t] = needs{text: true}
	}
	all[DealRegistered], all[AccountOverlap], all[ContractRenewed] = needs{account: true}, needs{account: true}, needs{until: true}
	return all
}()

// Validate checks the event by itself: a nil error, or an *Error of kind
// Invalid that names the first field at fault. Whether it contradicts another
// event is for whoever holds the log.
func (e *Event) Validate() error {
	var c checks
	c.id("id", string(e.ID), true)
	need, known := eventNeeds[e.Type]
	if !known {
		c.failf("type", "%s is not a known event type", shown(string(e.Type)))
	}
	c.when("at", e.At, true)
	c.when("known_at", e.KnownAt, false)
	if !e.KnownAt.IsZero() && e.KnownAt.Before(e.At) {
		c.failf("known_at", "%s is before it happened, %s", e.KnownAt.Format(time.RFC3339), e.At.Format(time.RFC3339))
	}
	c.id("partner", string(e.Partner), true)
	c.id("other", string(e.Other), e.Type == PartnerMerged)
	c.id("lead", string(e.Lead), need.lead)
	c.id("deal", string(e.Deal), false)
	c.id("account", string(e.Account), need.account)
	c.id("decision", string(e.Decision), false)
	c.id("offer", string(e.Offer), false)
	c.money("amount", e.Amount)
	c.words("products", e.Products)
	c.text("reason", e.Reason, MaxName)
	if e.Type == OfferDeclined {
		c.oneOf("reason", e.Reason, DeclineReasons)
	}
	c.text("role", e.Role, MaxName)
	c.oneOf("direction", e.Direction, []string{"in", "out"})
	c.text("text", e.Text, MaxText)
	if need.text && e.Text == "" {
		c.failf("text", "is missing: a %s event says the new value there", e.Type)
	}
	if e.Type == StatusChanged {
		c.oneOf("text", e.Text, Statuses)
	}
	c.when("until", e.Until, need.until)
	c.id("supersedes", string(e.Supersedes), false)
	for name, x := range e.Numbers {
		c.number("numbers."+name, x)
	}
	if e.Type == Survey {
		if s, ok := e.Numbers["score"]; !ok || s < 0 || s > 10 {
			c.failf("numbers.score", "a survey needs a score from 0 to 10")
		}
	}
	return c.result()
}

// Validate checks the decision by itself: a nil error, or an *Error of kind
// Invalid that names the first field at fault.
func (d *Decision) Validate() error {
	var c checks
	c.id("id", string(d.ID), true)
	c.id("lead_ref", d.LeadRef, false)
	c.id("lead", string(d.Lead), false)
	c.when("at", d.At, true)
	c.text("model", d.Model, MaxName)
	c.text("accept_model", d.AcceptModel, MaxName)
	c.text("policy", d.Policy, MaxName)
	c.id("chosen", string(d.Chosen), false)
	c.probability("propensity", d.Propensity)
	c.id("plain_choice", string(d.PlainChoice), false)
	c.id("previous", string(d.Previous), false)
	c.id("offer", string(d.Offer), false)
	c.when("expires_at", d.ExpiresAt, false)
	for i := range d.Candidates {
		k := &d.Candidates[i]
		if k.Partner == "" {
			c.failf(fmt.Sprintf("candidates[%d].partner", i), "is missing")
		}
		for _, x := range []float64{k.Win, k.WinLo, k.WinHi, k.Accept, k.Prob} {
			if !(x >= 0 && x <= 1) {
				c.failf(fmt.Sprintf("candidates[%d]", i), "%v is not a probability", x)
			}
		}
		for _, x := range []float64{k.Value, k.Price} {
			if math.IsNaN(x) || math.IsInf(x, 0) {
				c.failf(fmt.Sprintf("candidates[%d]", i), "%v: a finite number is wanted", x)
			}
		}
	}
	return c.result()
}

func (c *checks) probability(field string, p float64) {
	if !(p >= 0 && p <= 1) {
		c.failf(field, "%v is not between 0 and 1", p)
	}
}
