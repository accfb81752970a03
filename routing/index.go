package routing

import (
	"math"
	"slices"
	"strings"
	"sync/atomic"
	"time"

	"bellwether/datasets/record"

	"github.com/RoaringBitmap/roaring/v2"
	"github.com/cespare/xxhash/v2"
)

// Index holds every partner the rules look at, in an order that only grows: a
// partner keeps its number for ever. It is a pure function of the order of its
// Upsert and Observe calls. Reading methods may run concurrently with each
// other; Upsert, Observe, Advance and UnmarshalBinary need the index alone.
type Index struct {
	policy  Policy
	hash    string // of the policy
	rules   []rule
	custom  []customRule
	version uint64
	entries []*entry
	number  map[record.PartnerID]uint32
	facets  [facetCount]facet
	clock   calendar
	chains  history
	deals   protections
	full    set    // partners with no unit left in the period of their counter
	offers  uint64 // offers seen; orders partners by their last one
}

// entry is one partner and what the events said of it.
type entry struct {
	block     atomic.Pointer[block] // feature values of the partner side, a cache
	partner   *record.Partner       // replaced, never changed: custom rules and callers hold on to it
	id        record.PartnerID      // the partner's, in a few bytes of its own: every candidate's is read
	number    uint32
	into      int32 // number of the partner it was merged into, -1
	units     int   // of the partner's capacity, 0 for no limit
	period    period
	load      load
	lastOffer uint64 // Index.offers when it was last offered a lead, 0 never
	fields    map[string]any
}

// load is how busy a partner is.
type load struct {
	Period   int64   // the latest period counted
	Reserved int     // offers of the period not yet answered
	Used     int     // offers of the period accepted
	Open     int     // offers and accepted leads with no outcome, of any period
	Recent   float64 // offers, each halved every 28 days
	RecentAt int64   // Unix seconds Recent was brought up to
}

// NewIndex returns an empty index under the policy, or says what is wrong with
// the policy. The policy is copied.
func NewIndex(p Policy) (*Index, error) {
	if err := p.Check(); err != nil {
		return nil, err
	}
	custom, err := compile(p.Rules.Custom)
	if err != nil {
		return nil, err
	}
	ix := &Index{policy: p, hash: p.Hash(), custom: custom}
	ix.rules = ruleTable(&ix.policy, custom)
	ix.reset()
	return ix, nil
}

func (ix *Index) reset() {
	ix.version, ix.offers, ix.entries = 0, 0, nil
	ix.number = map[record.PartnerID]uint32{}
	for i := range ix.facets {
		ix.facets[i] = newFacet()
	}
	ix.clock = newCalendar(&ix.policy.Rules)
	ix.chains = history{heads: map[uint64]int32{}}
	ix.deals = newProtections()
	ix.full = nil
}

// Policy returns the policy of the index; not to be changed.
func (ix *Index) Policy() *Policy { return &ix.policy }

// Version counts the changes to what the index says of partners. Decisions
// record it: it fixes the numbering of their bitmaps.
func (ix *Index) Version() uint64 { return ix.version }

// Len returns the number of partners, eligible or not.
func (ix *Index) Len() int { return len(ix.entries) }

// Partner returns the partner as the index knows it, events applied; nil when
// it does not know it. The record is not to be changed.
func (ix *Index) Partner(id record.PartnerID) *record.Partner {
	if n, ok := ix.number[id]; ok {
		return ix.entries[n].partner
	}
	return nil
}

// At returns the partner of an index number, as Partner does.
func (ix *Index) At(number uint32) *record.Partner { return ix.entries[number].partner }

// Names lists the partners of a refusal, in index order.
func (ix *Index) Names(r record.Refusal) ([]record.PartnerID, error) {
	set := roaring.New()
	if len(r.Partners) > 0 {
		if err := set.UnmarshalBinary(r.Partners); err != nil {
			return nil, record.Errorf(record.Invalid, "read refusals", "rule %s: %w", r.Rule, err)
		}
	}
	out := make([]record.PartnerID, 0, set.GetCardinality())
	for it := set.Iterator(); it.HasNext(); {
		n := it.Next()
		if int(n) >= len(ix.entries) {
			return nil, record.Errorf(record.Incompatible, "read refusals", "rule %s: partner number %d is not in this index of %d", r.Rule, n, len(ix.entries))
		}
		out = append(out, ix.entries[n].partner.ID)
	}
	return out, nil
}

// Upsert adds a partner or replaces what is known of it. The record counts as
// it stands: what earlier events said of status, tier, certificates and
// contract is replaced too. It is not to be changed afterwards.
func (ix *Index) Upsert(p *record.Partner) {
	n, ok := ix.number[p.ID]
	if !ok {
		n = uint32(len(ix.entries))
		ix.number[p.ID] = n
		ix.entries = append(ix.entries, &entry{number: n, into: -1})
	}
	ix.replace(ix.entries[n], p)
}

// replace puts a partner record in force.
func (ix *Index) replace(e *entry, p *record.Partner) {
	recount := false
	if old := e.partner; old != nil {
		recount = e.period != periodNamed(p.Capacity.Period)
		for f := range ix.facets {
			ix.facets[f].remove(e.number, facetWords(facetKind(f), old, ix.policy.Rules.MinLevel))
		}
		ix.clock.remove(e)
	} else {
		e.id = record.PartnerID(strings.Clone(string(p.ID)))
	}
	e.partner, e.units, e.period = p, max(0, p.Capacity.Units), periodNamed(p.Capacity.Period)
	for f := range ix.facets {
		ix.facets[f].add(e.number, facetWords(facetKind(f), p, ix.policy.Rules.MinLevel))
	}
	ix.clock.put(e)
	if len(ix.custom) > 0 {
		e.fields = partnerFields(p)
	}
	if recount {
		ix.recount(e)
	}
	ix.refill(e)
	ix.version++
}

// refill brings the full bitmap up to date with one partner's counter.
func (ix *Index) refill(e *entry) {
	if e.units > 0 && e.load.Reserved+e.load.Used >= e.units {
		ix.full.add(e.number)
	} else {
		ix.full.remove(e.number)
	}
}

// HasRoom reports whether the partner may take one more lead in the period of
// now. A partner without a limit always may; an unknown one never.
func (ix *Index) HasRoom(id record.PartnerID, now time.Time) bool {
	n, ok := ix.number[id]
	return ok && ix.entries[n].room(now) != 0
}

// room returns how many units are left in the period of now, -1 for no limit.
func (e *entry) room(now time.Time) int { return e.roomIn(e.period.of(now)) }

// roomIn is room in a period by its number.
func (e *entry) roomIn(period int64) int {
	switch {
	case e.units == 0:
		return -1
	case e.load.Period != period:
		return e.units
	}
	return max(0, e.units-e.load.Reserved-e.load.Used)
}

// recent returns the decayed count of offers at t.
func (l *load) recent(t int64) float64 {
	if l.Recent == 0 {
		return 0
	}
	return l.Recent * math.Exp2(-float64(max(0, t-l.RecentAt))/(28*86400))
}

// root returns the entry that stands for e after mergers.
func (ix *Index) root(e *entry) *entry {
	for e.into >= 0 {
		e = ix.entries[e.into]
	}
	return e
}

// period is a stretch of the calendar that capacity is counted in.
type period uint8

const (
	weekly period = iota
	daily
	monthly
	periods
)

// periodsOf numbers the periods of t.
func periodsOf(t time.Time) (in [periods]int64) {
	for p := range in {
		in[p] = period(p).of(t)
	}
	return in
}

// periodNamed reads a Capacity's period.
func periodNamed(name string) period {
	switch name {
	case "day":
		return daily
	case "month":
		return monthly
	}
	return weekly
}

// of numbers the period of t, UTC: days, weeks from Monday, or months.
func (p period) of(t time.Time) int64 {
	day := t.Unix() / 86400 // records begin in 1970: never negative
	switch p {
	case daily:
		return day
	case monthly:
		y, m, _ := t.UTC().Date()
		return int64(y)*12 + int64(m)
	}
	return (day + 3) / 7 // 1970-01-01 was a Thursday
}

// facetKind is a word of the partner that a lead's word is looked up in.
type facetKind int

const (
	territories facetKind = iota
	products
	languages
	marketplaces
	facetCount
)

// facet is one kind of word: who states any, and who states which.
type facet struct {
	stated set
	by     map[string]*roaring.Bitmap // most words are few partners'
}

func newFacet() facet { return facet{by: map[string]*roaring.Bitmap{}} }

func (f *facet) add(n uint32, words []string) {
	for _, w := range words {
		f.stated.add(n)
		if f.by[w] == nil {
			f.by[w] = roaring.New()
		}
		f.by[w].Add(n)
	}
}

func (f *facet) remove(n uint32, words []string) {
	f.stated.remove(n)
	for _, w := range words {
		f.by[w].Remove(n)
	}
}

// facetWords lists a partner's words of a kind, as leads look them up.
func facetWords(kind facetKind, p *record.Partner, minLevel int) []string {
	switch kind {
	case territories:
		return p.Territories
	case languages:
		out := make([]string, len(p.Languages))
		for i, l := range p.Languages {
			out[i] = language(l)
		}
		return out
	case marketplaces:
		return p.Marketplaces
	}
	var out []string
	for _, c := range p.Competences {
		// A competence below the level wanted counts as stated, under a word
		// no lead asks for.
		word := ""
		if c.Level >= minLevel {
			word = c.Product
		}
		if !slices.Contains(out, word) {
			out = append(out, word)
		}
	}
	return out
}

// language is the primary subtag of a BCP 47 tag: de-CH and DE are both "de".
func language(tag string) string {
	primary, _, _ := strings.Cut(tag, "-")
	return strings.ToLower(primary)
}

// regions lists the territories that hold a region: itself and whatever it
// extends after "-" or "/" (DE holds DE-BY).
func regions(region string) []string {
	var out []string
	for i := 0; i < len(region); i++ {
		if region[i] == '-' || region[i] == '/' {
			out = append(out, region[:i])
		}
	}
	return append(out, region)
}

// leadKey is how offers of a lead are looked up: its hash, so that a million
// leads need no million strings. Two leads that share one (once in 10^8 for a
// million leads) would only share whom they are not offered to again.
func leadKey(id record.LeadID) uint64 { return xxhash.Sum64String(string(id)) }
