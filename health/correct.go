package health

import (
	"math"
	"slices"

	"bellwether/datasets/record"
)

// correctDays is for how long at least after an event became known a later one
// may correct it (Supersedes). From the moment the correction is known, Book and
// Labels stand as if the first had never been: it is the same in features.
// Mergers may be corrected for ever.
const correctDays = 91

// settledDays is after how long no correction can reach an event any more.
const settledDays = 2 * correctDays

// key stands for an event's id, by FNV-1a as snapshots hold it; 0 for none.
func key(id record.EventID) uint64 {
	if id == "" {
		return 0
	}
	h := uint64(0xcbf29ce484222325)
	for i := range len(id) {
		h = (h ^ uint64(id[i])) * 0x100000001b3
	}
	return max(1, h)
}

// recall remembers something of each event for correctDays at least, and for
// less than settledDays.
type recall[T any] struct {
	now, before map[uint64]T
	turns       int32
}

// turn lets time pass; it reports whether that made it forget.
func (r *recall[T]) turn(today int32) bool {
	n := today / correctDays
	if n <= r.turns {
		return false
	}
	r.before = r.now
	if n > r.turns+1 {
		r.before = nil
	}
	r.now, r.turns = nil, n
	return true
}

func (r *recall[T]) put(id uint64, x T) {
	if id == 0 {
		return
	}
	if r.now == nil {
		r.now = map[uint64]T{}
	}
	r.now[id] = x
}

// take returns what is remembered of an event, and forgets it.
func (r *recall[T]) take(id uint64) (x T, ok bool) {
	for _, m := range []map[uint64]T{r.now, r.before} {
		if x, ok = m[id]; ok {
			delete(m, id)
			return x, true
		}
	}
	return x, false
}

// firsts knows the first of some moments, of which the newly known may yet turn
// out wrong.
type firsts []occasion

type occasion struct {
	id    uint64
	at    int64 // Unix seconds
	known int32 // day
}

// first returns the earliest moment, 0 if there is none.
func (f firsts) first() int64 {
	if len(f) == 0 {
		return 0
	}
	return slices.MinFunc(f, func(a, b occasion) int { return int(a.at - b.at) }).at
}

// add takes in a moment, and drops those that can never be the first.
func (f *firsts) add(m occasion) {
	settled := int64(math.MaxInt64)
	for _, k := range *f {
		if k.known <= m.known-settledDays {
			settled = min(settled, k.at)
		}
	}
	*f = slices.DeleteFunc(append(*f, m), func(k occasion) bool { return k.at > settled })
}

func (f *firsts) remove(id uint64) {
	*f = slices.DeleteFunc(*f, func(k occasion) bool { return k.id == id })
}

// effect is what an event counted in the book.
type effect struct {
	of       *ledger
	kind     record.EventType
	day      int32
	deal     record.DealID
	currency string
}

// visit is what a portal event counted in the book.
type visit struct {
	of        *ledger
	day       int32
	weight    int8
	qualifies bool
}

// takeBack undoes what an event counted.
func (b *Book) takeBack(id uint64) {
	if v, ok := b.visits.take(id); ok {
		v.of.portal = takeOff(v.of.portal, v.day, float32(v.weight))
		if v.qualifies {
			v.of.activity = takeOff(v.of.activity, v.day, 1)
		}
		return
	}
	e, ok := b.recent.take(id)
	if !ok {
		return
	}
	if e.currency != "" {
		b.currencies[e.currency]--
	}
	if slices.Contains(b.qualifying, e.kind) {
		e.of.activity = takeOff(e.of.activity, e.day, 1)
	}
	switch e.kind {
	case record.Applied, record.Onboarded:
		e.of.starts.remove(id)
	case record.Survey:
		e.of.surveys = slices.DeleteFunc(e.of.surveys, func(s scored) bool { return s.by == id })
	case record.DealWon:
		e.of.wins.remove(id)
	}
	switch e.kind {
	case record.Touch, record.DealWon, record.DealLost:
		b.resettle(e.of, e.deal, id)
	}
}

// takeOff takes from a day's amount.
func takeOff(list []dated, day int32, amount float32) []dated {
	i := slices.IndexFunc(list, func(d dated) bool { return d.day == day })
	if i < 0 {
		return list
	}
	if list[i].amount -= amount; list[i].amount == 0 {
		return slices.Delete(list, i, i+1)
	}
	return list
}

// resettle gives the credits of a deal anew, without one of its events.
func (b *Book) resettle(of *ledger, id record.DealID, without uint64) {
	uncredit := func(l *ledger, by uint64) {
		l.credits = slices.DeleteFunc(l.credits, func(c credit) bool { return c.by == by })
	}
	d := b.deals[id]
	if d == nil { // business without a name
		uncredit(of, without)
		return
	}
	for _, won := range d.steps {
		if won.kind == record.DealWon {
			for _, s := range d.steps {
				uncredit(b.ledger(s.partner), won.credit.by)
			}
		}
	}
	d.steps = slices.DeleteFunc(d.steps, func(s step) bool { return s.id == without })
	for i, s := range d.steps {
		if s.kind == record.DealWon {
			b.share(d.steps[:i+1])
		}
	}
	if len(d.steps) == 0 {
		delete(b.deals, id)
	}
}
