package synth

import (
	"time"

	"bellwether/datasets/record"
)

// waiting holds what has happened but is not known yet.
type waiting struct {
	events []record.Event
	free   []int32
}

func (w *waiting) keep(e *record.Event) (slot int32) {
	if n := len(w.free); n > 0 {
		slot, w.free = w.free[n-1], w.free[:n-1]
		w.events[slot] = *e
		return slot
	}
	w.events = append(w.events, *e)
	return int32(len(w.events) - 1)
}

func (w *waiting) take(slot int32) record.Event {
	e := w.events[slot]
	w.events[slot] = record.Event{}
	w.free = append(w.free, slot)
	return e
}

// event sends what happens now and is known at once.
func (g *run) event(e record.Event) { g.eventLate(e, 0) }

// eventLate sends what happens now; with the configured share times chance it
// becomes known only 1 to 12 days later.
func (g *run) eventLate(e record.Event, chance float64) {
	e.At = time.Unix(g.now, 0).UTC()
	e.ID = record.EventID(g.uuid())
	if chance > 0 && g.r.Float64() < g.w.cfg.Late*chance {
		known := g.now + day + g.r.Int64N(11*day)
		e.KnownAt = time.Unix(known, 0).UTC()
		if known < g.w.cfg.End.Unix() {
			g.push(action{at: known, slot: g.waiting.keep(&e), deed: tell})
		}
		return
	}
	e.KnownAt = e.At
	g.sendKnown(&e)
}

// sendKnown gives the sink an event that becomes known now, sometimes twice.
func (g *run) sendKnown(e *record.Event) {
	g.pulse.sent++
	g.pulse.today++
	g.fail(g.sink.Event(e))
	if g.r.Float64() < g.w.cfg.Duplicates {
		g.pulse.sent++
		g.pulse.today++
		g.fail(g.sink.Event(e))
	}
}

// uuid returns the next UUIDv7 of this second: its random bits come from the
// seed and a counter, so the same world gives the same ids.
func (g *run) uuid() string {
	const digits = "0123456789abcdef"
	g.seq++
	ms := uint64(g.now) * 1000
	high := ms<<16 | 7<<12 | mix(g.seq^g.w.cfg.Seed)&0xFFF
	low := 2<<62 | mix(g.seq+g.w.cfg.Seed*0x9E37)>>2
	var b [36]byte
	for i, n := 0, 0; i < 36; i++ {
		if i == 8 || i == 13 || i == 18 || i == 23 {
			b[i] = '-'
			continue
		}
		x := high
		if n >= 16 {
			x = low
		}
		b[i] = digits[x>>(60-4*(n&15))&15]
		n++
	}
	return string(b[:])
}
