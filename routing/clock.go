package routing

import (
	"math"
	"slices"
	"time"

	"bellwether/datasets/record"

	"github.com/RoaringBitmap/roaring/v2"
)

// calendar answers the questions whose answer changes with time alone: who is
// active, under contract, certified, at work. Its bitmaps hold for [from,
// until), which ends at the next date any partner names; Advance makes new
// ones. Asked for another time, it makes a slice for that question only, at a
// cost that grows with all partners.
type calendar struct {
	wanted  []string // certifications the policy speaks of, sorted
	entries []*entry // by number
	slice   slice
	zones   map[string]*zone
	always  *roaring.Bitmap // who names no weekdays
}

// zone is who works on which weekday, as seen in one time zone.
type zone struct {
	place *time.Location
	days  [7]*roaring.Bitmap
}

// slice is the bitmaps of one stretch of time.
type slice struct {
	from, until int64 // Unix nanoseconds
	active      *roaring.Bitmap
	contract    *roaring.Bitmap
	present     *roaring.Bitmap
	lapsed      *roaring.Bitmap   // some competence of theirs is not in force
	certified   []*roaring.Bitmap // by calendar.wanted
}

func newCalendar(r *Rules) calendar {
	wanted := slices.Clone(r.Certified)
	for _, names := range r.ByProduct {
		wanted = append(wanted, names...)
	}
	slices.Sort(wanted)
	c := calendar{wanted: slices.Compact(wanted), zones: map[string]*zone{}, always: roaring.New()}
	c.slice = c.empty()
	return c
}

func (c *calendar) empty() slice {
	s := slice{from: math.MaxInt64, until: math.MinInt64, active: roaring.New(), contract: roaring.New(), present: roaring.New(), lapsed: roaring.New()}
	s.certified = make([]*roaring.Bitmap, len(c.wanted))
	for i := range s.certified {
		s.certified[i] = roaring.New()
	}
	return s
}

func (c *calendar) put(e *entry) {
	if int(e.number) == len(c.entries) {
		c.entries = append(c.entries, e)
	}
	if len(e.partner.Capacity.Weekdays) == 0 {
		c.always.Add(e.number)
	}
	for _, d := range e.partner.Capacity.Weekdays {
		c.zone(e.partner.Capacity.Timezone).days[d].Add(e.number)
	}
	if c.slice.from < c.slice.until {
		c.slice.set(c.wanted, e, c.slice.from)
	}
}

// zone returns the place for a name, UTC where the machine does not know it:
// validation refuses such names, and a decision must still be made.
func (c *calendar) zone(name string) *zone {
	if z := c.zones[name]; z != nil {
		return z
	}
	place, err := time.LoadLocation(name)
	if err != nil {
		place = time.UTC
	}
	z := &zone{place: place}
	for d := range z.days {
		z.days[d] = roaring.New()
	}
	c.zones[name] = z
	return z
}

func (c *calendar) remove(e *entry) {
	c.always.Remove(e.number)
	for _, d := range e.partner.Capacity.Weekdays {
		c.zone(e.partner.Capacity.Timezone).days[d].Remove(e.number)
	}
	for _, set := range c.slice.sets() {
		set.Remove(e.number)
	}
}

func (s *slice) sets() []*roaring.Bitmap {
	return append([]*roaring.Bitmap{s.active, s.contract, s.present, s.lapsed}, s.certified...)
}

// set adds one partner to the slice and shortens it to the partner's next date.
func (s *slice) set(wanted []string, e *entry, at int64) {
	now, p := time.Unix(0, at).UTC(), e.partner
	if e.into < 0 && p.StatusAt(now) == "active" {
		s.active.Add(e.number)
	}
	if p.Contract.Contains(now) {
		s.contract.Add(e.number)
	}
	if !absent(p, now) {
		s.present.Add(e.number)
	}
	if slices.ContainsFunc(p.Competences, func(k record.Competence) bool { return !k.Contains(now) }) {
		s.lapsed.Add(e.number)
	}
	for i, name := range wanted {
		if certified(p, name, now) {
			s.certified[i].Add(e.number)
		}
	}
	next := func(span record.Span) {
		for _, t := range [2]time.Time{span.From, span.To} {
			if ns := t.UnixNano(); !t.IsZero() && ns > at {
				s.until = min(s.until, ns)
			}
		}
	}
	next(p.Contract)
	for _, st := range p.Status {
		next(st.Span)
	}
	for _, a := range p.Capacity.Absences {
		next(a)
	}
	for _, k := range p.Competences {
		next(k.Span)
	}
	for _, k := range p.Certifications {
		if slices.Contains(wanted, k.Name) {
			next(k.Span)
		}
	}
}

// at returns the slice that holds now.
func (c *calendar) at(now time.Time) slice {
	ns := now.UnixNano()
	if c.slice.from <= ns && ns < c.slice.until {
		return c.slice
	}
	s := c.empty()
	s.from, s.until = ns, math.MaxInt64
	for _, e := range c.entries {
		s.set(c.wanted, e, ns)
	}
	return s
}

// working returns who is at work on the weekday of now, each in its own zone.
func (c *calendar) working(now time.Time, s *slice) *roaring.Bitmap {
	out := c.always.Clone()
	for _, z := range c.zones {
		// The order of a union does not show in it.
		out.Or(z.days[now.In(z.place).Weekday()])
	}
	out.And(s.present)
	return out
}

// Advance brings the index to now, so that the questions of that time, and of
// any later one up to the next date a partner names, are answered from bitmaps.
// Without it the answers are the same, only slower.
func (ix *Index) Advance(now time.Time) { ix.clock.slice = ix.clock.at(now) }

func absent(p *record.Partner, now time.Time) bool {
	return slices.ContainsFunc(p.Capacity.Absences, func(s record.Span) bool { return s.Contains(now) })
}

func certified(p *record.Partner, name string, now time.Time) bool {
	return slices.ContainsFunc(p.Certifications, func(c record.Certification) bool { return c.Name == name && c.Contains(now) })
}
