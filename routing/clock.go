package routing

import (
	"math"
	"slices"
	"time"

	"bellwether/datasets/record"
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
	always  set // who names no weekdays
}

// zone is who works on which weekday, as seen in one time zone.
type zone struct {
	place *time.Location
	days  [7]set
}

// slice is the bitmaps of one stretch of time.
type slice struct {
	from, until int64 // Unix nanoseconds
	active      set
	contract    set
	present     set
	lapsed      set   // some competence of theirs is not in force
	certified   []set // by calendar.wanted
}

func newCalendar(r *Rules) calendar {
	wanted := slices.Clone(r.Certified)
	for _, names := range r.ByProduct {
		wanted = append(wanted, names...)
	}
	slices.Sort(wanted)
	c := calendar{wanted: slices.Compact(wanted), zones: map[string]*zone{}}
	c.slice = c.empty()
	return c
}

func (c *calendar) empty() slice {
	return slice{from: math.MaxInt64, until: math.MinInt64, certified: make([]set, len(c.wanted))}
}

func (c *calendar) put(e *entry) {
	if int(e.number) == len(c.entries) {
		c.entries = append(c.entries, e)
	}
	if len(e.partner.Capacity.Weekdays) == 0 {
		c.always.add(e.number)
	}
	for _, d := range e.partner.Capacity.Weekdays {
		c.zone(e.partner.Capacity.Timezone).days[d].add(e.number)
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
	c.zones[name] = z
	return z
}

func (c *calendar) remove(e *entry) {
	c.always.remove(e.number)
	for _, d := range e.partner.Capacity.Weekdays {
		c.zone(e.partner.Capacity.Timezone).days[d].remove(e.number)
	}
	for _, s := range c.slice.sets() {
		s.remove(e.number)
	}
}

func (s *slice) sets() []set {
	return append([]set{s.active, s.contract, s.present, s.lapsed}, s.certified...)
}

// set adds one partner to the slice and shortens it to the partner's next date.
func (s *slice) set(wanted []string, e *entry, at int64) {
	now, p := time.Unix(0, at).UTC(), e.partner
	if e.into < 0 && p.StatusAt(now) == "active" {
		s.active.add(e.number)
	}
	if p.Contract.Contains(now) {
		s.contract.add(e.number)
	}
	if !absent(p, now) {
		s.present.add(e.number)
	}
	if slices.ContainsFunc(p.Competences, func(k record.Competence) bool { return !k.Contains(now) }) {
		s.lapsed.add(e.number)
	}
	for i, name := range wanted {
		if certified(p, name, now) {
			s.certified[i].add(e.number)
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
func (c *calendar) working(now time.Time, s *slice) set {
	out := slices.Clone(c.always)
	for _, z := range c.zones {
		// The order of a union does not show in it.
		out.or(z.days[now.In(z.place).Weekday()])
	}
	return out.and(s.present)
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
