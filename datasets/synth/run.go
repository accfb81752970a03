package synth

import (
	"container/heap"
	"context"
	"math/rand/v2"
	"slices"
	"time"

	"bellwether/datasets/record"
)

// Sink takes a world's records, each valid until the call returns. Events come
// in the order in which they became known; so do partners' versions, leads and
// decisions, each among their own. An error ends the making of the world.
type Sink interface {
	Partner(*record.Partner) error
	Lead(*record.Lead) error
	Event(*record.Event) error
	Decision(*record.Decision) error
}

// action is something that will happen; the deed says what.
type action struct {
	at      int64
	seq     uint64 // order among actions of one second
	serial  int64  // of the deal meant, so that a slot used again is not mistaken
	slot    int32  // in deals, or in the waiting events
	partner int32
	deed    deed
}

type deed uint8

const (
	createLead deed = iota
	answerOffer
	openDeal
	moveStage
	closeDeal
	payOut
	withdraw
	reviewStatus
	leave
	lapse
	tell // an event that happened before now becomes known
	onboard
)

// queue is a heap of actions, the earliest first.
type queue []action

func (q queue) Len() int           { return len(q) }
func (q queue) Less(i, j int) bool { return q[i].before(&q[j]) }
func (q queue) Swap(i, j int)      { q[i], q[j] = q[j], q[i] }
func (q *queue) Push(x any)        { *q = append(*q, x.(action)) }
func (q *queue) Pop() any {
	last := len(*q) - 1
	x := (*q)[last]
	*q = (*q)[:last]
	return x
}

func (a *action) before(b *action) bool { return a.at < b.at || a.at == b.at && a.seq < b.seq }

// heart is what moves one partner's mood.
type heart struct {
	target       float64 // where the mood drifts to: below 0 once something went wrong
	wins, losses int     // of this week
	yearWins     int     // since the last renewal
	quiet        int     // weeks without an offer
	lapsing      bool
}

// run is one pass through a world's days.
type run struct {
	w       *World
	ctx     context.Context
	sink    Sink
	r       *rand.Rand
	policy  policy
	hearts  []heart
	told    told
	now     int64
	seq     uint64
	queue   queue
	deals   []deal
	free    []int32
	waiting waiting  // late events
	deck    []uint64 // the small things of one day, see moment
	shared  []shared // customers found shared today
	pulse   pulse
	err     error
}

// Generate lives the world through and gives every record to sink. It stops at
// the first error of sink or when ctx ends. What it holds at one time grows
// with the number of partners and of open deals, not with days or events. The
// same world gives the same records each time.
func (w *World) Generate(ctx context.Context, sink Sink) error {
	g := &run{w: w, ctx: ctx, sink: sink, r: w.stream('G', 0), hearts: make([]heart, len(w.partners)), told: told{of: make([]int64, len(w.partners))}}
	w.peak = 0
	for i := range w.partners {
		w.makeAgain(i)
	}
	g.policy = newPolicy(w)
	for i := range w.partners {
		g.arrive(int32(i))
	}
	g.pulse.want = float64(w.cfg.Events)
	for d := range w.cfg.Days {
		if err := ctx.Err(); err != nil {
			return err
		}
		g.day(d)
		if g.err != nil {
			return g.err
		}
	}
	return nil
}

// makeAgain undoes what an earlier Generate did to a partner.
func (w *World) makeAgain(i int) {
	w.partners[i] = partner{}
	w.makePartner(i)
}

// arrive brings a partner into the books: those of old at the start, the others
// with an application before they join.
func (g *run) arrive(i int32) {
	p := &g.w.partners[i]
	if p.joined < g.w.start {
		g.policy.desks[i].active = true
		g.now = g.w.start
		g.version(i)
		return
	}
	applied := max(g.w.start, p.joined-int64(20+g.r.IntN(40))*day)
	g.push(action{at: applied, partner: i, deed: onboard})
}

func (g *run) push(a action) {
	if a.at >= g.w.cfg.End.Unix() {
		return
	}
	g.seq++
	a.seq = g.seq
	heap.Push(&g.queue, a)
	g.w.peak = max(g.w.peak, len(g.queue))
}

// day lives through one day: what was due, what people do of themselves, and
// what follows from either before midnight.
func (g *run) day(d int) {
	midnight := g.w.start + int64(d)*day
	g.policy.morning(midnight)
	if d%7 == 0 {
		for i := range g.hearts {
			g.feel(int32(i), midnight)
		}
	}
	for n := g.w.cumLeads[d]; n < g.w.cumLeads[d+1]; n++ {
		g.push(action{at: g.w.leadTime(int64(n), d), serial: int64(n), deed: createLead})
	}
	g.deal(d)
	g.w.peak = max(g.w.peak, len(g.queue)+len(g.deck))
	next := 0
	for g.err == nil {
		due := len(g.queue) > 0 && g.queue[0].at < midnight+day
		small := next < len(g.deck)
		switch {
		case small && (!due || midnight+int64(g.deck[next]>>32) <= g.queue[0].at):
			g.now = midnight + int64(g.deck[next]>>32)
			g.small(g.deck[next])
			next++
		case due:
			a := heap.Pop(&g.queue).(action)
			g.now = a.at
			g.do(a)
		default:
			return
		}
	}
}

func (g *run) do(a action) {
	switch a.deed {
	case createLead:
		l := g.w.lead(a.serial)
		g.fail(g.sink.Lead(l))
		g.offer(a.serial, nil, "")
	case onboard:
		g.onboard(a.partner)
	case reviewStatus:
		g.review(a.partner)
	case leave:
		g.leave(a.partner)
	case lapse:
		g.lapse(a.partner)
	case tell:
		e := g.waiting.take(a.slot)
		g.sendKnown(&e)
	default:
		if g.deals[a.slot].serial == a.serial {
			g.work(a)
		}
	}
}

func (g *run) fail(err error) {
	if g.err == nil {
		g.err = err
	}
}

// feel moves a partner's mood by a week and may end its patience. The chance to
// turn sour grows with lost deals and neglect; a sour partner fades over weeks,
// some recover, many leave.
func (g *run) feel(i int32, midnight int64) {
	p, h := &g.w.partners[i], &g.hearts[i]
	mood := 0.0
	if n := len(p.moods); n > 0 {
		mood = float64(p.moods[n-1])
	}
	if p.left == 0 && midnight >= p.joined {
		h.quiet++
		sour := 0.003 + 0.003*float64(h.losses) - 0.002*float64(h.wins)
		if h.quiet > 8 {
			sour += 0.004
		}
		switch u := g.r.Float64(); {
		case h.target == 0 && u < sour:
			h.target = -2.6
		case h.target < 0 && u < 0.02:
			h.target = 0
		}
		mood += 0.13*(h.target-mood) + 0.16*g.r.NormFloat64() + 0.06*float64(h.wins) - 0.03*float64(h.losses)
		mood = min(max(mood, -3.2), 1.2)
		if g.r.Float64() < 0.0003+0.09*logistic(4*(-mood-1.7)) {
			p.left = midnight + g.r.Int64N(week)
			g.push(action{at: p.left, partner: i, deed: leave})
		}
	}
	h.wins, h.losses = 0, 0
	p.moods = append(p.moods, float32(mood))
}

// leave takes back what the partner had in hand, some days after it went quiet.
func (g *run) leave(i int32) {
	for slot := range g.deals {
		if d := &g.deals[slot]; d.partner == i && d.state == working && d.lead >= 0 {
			g.push(action{at: g.now + int64(2+g.r.IntN(18))*day, slot: int32(slot), serial: d.serial, partner: i, deed: withdraw})
		}
	}
}

// onboard takes a partner from its application to its first active day.
func (g *run) onboard(i int32) {
	p := &g.w.partners[i]
	since := time.Unix(g.now, 0).UTC()
	if g.now < p.joined {
		g.event(record.Event{Type: record.Applied, Partner: p.rec.ID})
		active := p.rec.Status
		p.rec.Status = []record.StatusSpan{{Status: "onboarding", Span: record.Span{From: since}}}
		g.version(i)
		p.rec.Status = active
		g.push(action{at: p.joined, partner: i, deed: onboard})
		return
	}
	g.policy.desks[i].active = true
	g.event(record.Event{Type: record.Onboarded, Partner: p.rec.ID})
	for _, c := range p.rec.Certifications {
		g.event(record.Event{Type: record.Certified, Partner: p.rec.ID, Text: c.Name, Until: c.To})
	}
	g.version(i)
}

// setStatus records a status as of now, as an event and in the partner's record.
func (g *run) setStatus(i int32, status string) {
	p := &g.w.partners[i]
	now := time.Unix(g.now, 0).UTC()
	g.policy.desks[i].active = status == "active"
	p.rec.Status[len(p.rec.Status)-1].To = now
	p.rec.Status = append(p.rec.Status, record.StatusSpan{Status: status, Span: record.Span{From: now}})
	g.event(record.Event{Type: record.StatusChanged, Partner: p.rec.ID, Text: status})
	g.version(i)
}

// status is what the company holds a partner's status to be.
func (g *run) status(i int32) string {
	s := g.w.partners[i].rec.Status
	return s[len(s)-1].Status
}

// suspend is what the company does with a partner that lets offers expire.
func (g *run) suspend(i int32) {
	g.setStatus(i, "suspended")
	g.push(action{at: g.now + 28*day, partner: i, deed: reviewStatus})
}

func (g *run) review(i int32) {
	p := &g.w.partners[i]
	if g.status(i) != "suspended" {
		return
	}
	g.policy.desks[i].unanswered = 0
	if p.left != 0 && g.now >= p.left {
		g.setStatus(i, "terminated")
		return
	}
	g.setStatus(i, "active")
}

// renew decides, five days before a contract ends, whether it goes on.
func (g *run) renew(i int32) {
	p, h := &g.w.partners[i], &g.hearts[i]
	lapses := 0.01
	if p.moodAt(g.w, g.now) < -1.2 {
		lapses = 0.35
	}
	if p.left != 0 || g.status(i) == "terminated" || g.r.Float64() < lapses {
		h.lapsing = true
		g.push(action{at: max(p.rec.Contract.To.Unix(), g.now), partner: i, deed: lapse})
		return
	}
	p.rec.Contract.To = p.rec.Contract.To.AddDate(1, 0, 0)
	g.event(record.Event{Type: record.ContractRenewed, Partner: p.rec.ID, Until: p.rec.Contract.To})
	usual := max(g.w.yieldRate*52*0.7*wantedBase, 1)
	tier := slices.Index(tiers, p.rec.Tier)
	switch won := float64(h.yearWins); {
	case won > 1.6*usual && tier < len(tiers)-1:
		g.retier(i, tier+1)
	case won < 0.3*usual && tier > 0:
		g.retier(i, tier-1)
	}
	h.yearWins = 0
	g.version(i)
}

func (g *run) retier(i int32, tier int) {
	p := &g.w.partners[i]
	p.rec.Tier = tiers[tier]
	g.event(record.Event{Type: record.TierChanged, Partner: p.rec.ID, Text: tiers[tier]})
}

// lapse ends a contract; a partner that had not left by then has now.
func (g *run) lapse(i int32) {
	p := &g.w.partners[i]
	g.event(record.Event{Type: record.ContractLapsed, Partner: p.rec.ID})
	if p.left == 0 || p.left > g.now {
		p.left = g.now
		g.leave(i)
	}
	if g.status(i) != "terminated" {
		g.setStatus(i, "terminated")
	}
}

// certify renews the certificates that end within the coming week after next,
// or lets them lapse.
func (g *run) certify(i int32) {
	p := &g.w.partners[i]
	soon := time.Unix(g.now, 0).UTC().AddDate(0, 0, 7)
	changed := false
	for n := range p.rec.Certifications {
		c := &p.rec.Certifications[n]
		if c.To.Before(soon) || !c.To.Before(soon.AddDate(0, 0, 7)) || g.r.Float64() > logistic(2+p.moodAt(g.w, g.now)) {
			continue
		}
		c.To = c.To.AddDate(1, 0, 0)
		g.event(record.Event{Type: record.Certified, Partner: p.rec.ID, Text: c.Name, Until: c.To})
		changed = true
	}
	if changed {
		g.version(i)
	}
}

// told keeps the versions of a partner apart that are made in one second: each
// is known a microsecond after the one before.
type told struct {
	last int64   // when the newest version of all became known
	of   []int64 // the newest of each partner
}

func (t *told) at(i int32, now int64) time.Time {
	t.last = max(t.last, time.Unix(now, 0).UnixMicro())
	if t.of[i] == t.last {
		t.last++
	}
	t.of[i] = t.last
	return time.UnixMicro(t.last).UTC()
}

// version gives the partner's record as the company has it now, with what it
// never asked missing.
func (g *run) version(i int32) {
	rec := clone(&g.w.partners[i].rec)
	rec.KnownAt = g.told.at(i, g.now)
	r := g.w.stream('F', int64(i))
	gone := func() bool { return r.Float64() < g.w.cfg.Missing }
	if gone() {
		rec.Home.Lat, rec.Home.Lon, rec.Home.Located = 0, 0, false
	}
	if gone() {
		rec.Industries = nil
	}
	if gone() {
		rec.Kind = ""
	}
	if gone() {
		rec.Attributes = nil
	}
	g.fail(g.sink.Partner(rec))
}

// leadTime is the second at which lead n is created, on day d.
func (w *World) leadTime(n int64, d int) int64 {
	_, r := w.leadStream(n)
	return w.start + int64(d)*day + 6*3600 + r.Int64N(14*3600)
}
