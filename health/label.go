package health

import (
	"cmp"
	"iter"
	"maps"
	"math"
	"slices"
	"time"

	"bellwether/datasets/record"
)

// Config says what leaving means.
type Config struct {
	HorizonDays int                `json:"horizon_days,omitempty" yaml:"horizon_days"` // 0: 90
	ActiveDays  int                `json:"active_days,omitempty" yaml:"active_days"`   // how far back a partner must have been active to count; 0: 90
	Qualifying  []record.EventType `json:"qualifying,omitempty" yaml:"qualifying"`     // nil: DefaultQualifying
}

// DefaultQualifying are the events that show that a partner still does business
// with us. What costs a partner nothing, such as a login, is not among them.
var DefaultQualifying = []record.EventType{record.DealWon, record.DealRegistered, record.DealOpened, record.OfferAccepted, record.OrderPlaced}

func (c Config) withDefaults() Config {
	c.HorizonDays = cmp.Or(c.HorizonDays, 90)
	c.ActiveDays = cmp.Or(c.ActiveDays, 90)
	if c.Qualifying == nil {
		c.Qualifying = DefaultQualifying
	}
	return c
}

// Unknown is when a label becomes known that is not yet.
const Unknown = math.MaxInt64

// Labels knows who was active when and answers who left. Events are observed in
// the order in which they became known; once they can no longer be corrected, a
// day's activity is kept once, so what is held grows with partners and days, not
// with events. Not safe for use while Observe runs; Complete and Churn are for
// one goroutine at a time.
type Labels struct {
	cfg      Config
	partners map[record.PartnerID]*past
	mergers  []merger      // those that stand, in the order known
	merges   uint32        // how many were ever known
	perDay   map[int32]int // qualifying events by day
	covered  int32         // newest day that is no straggler, see Complete
	stale    bool          // covered is to be found anew
	recent   recall[*past]
}

// past is what the label needs of one partner.
type past struct {
	days     []activeDay // ascending
	turns    []turn      // in the order known
	merged   int64       // when it was absorbed into another, 0: was not
	absorbed []share     // by it, and by those it absorbed
}

// share is as much of a partner's past as was known before a merger.
type share struct {
	of     *past
	before uint32 // the merger's number
}

type activeDay struct {
	day    int32  // days since 1970
	merges uint32 // how many mergers were known before it
	held
}

// merger handed the past of one partner on to another. It says who is who: it
// counts from the beginning, and so does its correction.
type merger struct {
	id         uint64
	number     uint32 // from 1
	into, from *past
	at         int64
}

// turn is an end of the partnership, or the taking up of it again.
type turn struct {
	at   int64
	gone bool
	held
}

// held is when an event counts: from when it was known until it was corrected,
// Unknown if it was not.
type held struct {
	id           uint64
	known, until int64
}

// at reports whether the event counts, as far as was known at a moment.
func (h held) at(t int64) bool { return h.known <= t && t < h.until }

// NewLabels returns Labels that have seen nothing.
func NewLabels(cfg Config) *Labels {
	return &Labels{cfg: cfg.withDefaults(), partners: map[record.PartnerID]*past{}, perDay: map[int32]int{}, covered: math.MinInt32}
}

// Config returns what leaving means here, defaults filled in.
func (l *Labels) Config() Config { return l.cfg }

// Complete returns the midnight up to which the data tells who was active: the
// one after the newest day with at least a tenth of the qualifying events of a
// usual day, the median of the 182 days before it. Data often ends with a thin
// tail of events known before their day, or of a few sources that go on after
// the others stopped; who is missing from that tail has not left.
func (l *Labels) Complete() time.Time {
	if l.stale {
		l.covered, l.stale = l.newestUsual(), false
	}
	if l.covered == math.MinInt32 {
		return time.Time{}
	}
	return time.Unix(int64(l.covered+1)*secondsPerDay, 0).UTC()
}

// usualDays is how many days the usual day of Complete is the median of.
const usualDays = 182

// newestUsual finds the newest day that is no straggler, MinInt32 if there is none.
func (l *Labels) newestUsual() int32 {
	before := make([]int, usualDays)
	for _, day := range slices.Backward(slices.Sorted(maps.Keys(l.perDay))) {
		for i := range before {
			before[i] = l.perDay[day-1-int32(i)]
		}
		slices.Sort(before)
		if 10*l.perDay[day] >= before[usualDays/2] {
			return day
		}
	}
	return math.MinInt32
}

// count notes a qualifying event of a day, or takes it back.
func (l *Labels) count(day int32, n int) {
	l.stale = true
	if l.perDay[day] += n; l.perDay[day] == 0 {
		delete(l.perDay, day)
	}
}

func (l *Labels) past(id record.PartnerID) *past {
	p := l.partners[id]
	if p == nil {
		p = &past{}
		l.partners[id] = p
	}
	return p
}

// Observe takes in one event; what it does not need it ignores.
func (l *Labels) Observe(e *record.Event) {
	known := e.Known().Unix()
	if l.recent.turn(dayOf(e.Known())) {
		for _, p := range l.partners {
			p.settle(known - settledDays*secondsPerDay)
		}
	}
	if e.Supersedes != "" {
		l.takeBack(key(e.Supersedes), known)
	}
	qualifies := slices.Contains(l.cfg.Qualifying, e.Type)
	if e.Partner == "" || !qualifies && !turns(e.Type) {
		return
	}
	h := held{key(e.ID), known, Unknown}
	if qualifies {
		p := l.past(e.Partner)
		p.active(activeDay{dayOf(e.At), l.merges, h})
		l.recent.put(h.id, p)
		l.count(dayOf(e.At), 1)
	}
	t := turn{at: e.At.Unix(), held: h}
	switch e.Type {
	case record.ContractLapsed:
		t.gone = true
	case record.ContractRenewed:
	case record.StatusChanged:
		if t.gone = e.Text == "terminated"; !t.gone && e.Text != "active" {
			return
		}
	case record.PartnerMerged:
		l.merges++
		l.mergers = append(l.mergers, merger{h.id, l.merges, l.past(e.Partner), l.past(e.Other), t.at})
		l.mergers[len(l.mergers)-1].handOn()
		return
	default:
		return
	}
	p := l.past(e.Partner)
	p.turns = append(p.turns, t)
	l.recent.put(h.id, p)
}

// turns says which events begin or end a partnership, whatever qualifies.
func turns(t record.EventType) bool {
	switch t {
	case record.ContractLapsed, record.ContractRenewed, record.StatusChanged, record.PartnerMerged:
		return true
	}
	return false
}

// takeBack ends what an event says, as far as is known from then on; a merger
// has never been.
func (l *Labels) takeBack(id uint64, from int64) {
	if i := slices.IndexFunc(l.mergers, func(m merger) bool { return id != 0 && m.id == id }); i >= 0 {
		l.mergers = slices.Delete(l.mergers, i, i+1)
		l.handOnAnew()
	}
	p, ok := l.recent.take(id)
	if !ok {
		return
	}
	for i := range p.days {
		if d := &p.days[i]; d.id == id && d.until == Unknown {
			d.until = from
			l.count(d.day, -1)
		}
	}
	for i := range p.turns {
		if t := &p.turns[i]; t.id == id {
			t.until = from
		}
	}
}

func dayOf(t time.Time) int32 {
	day, within := t.Unix()/secondsPerDay, t.Unix()%secondsPerDay
	if within < 0 {
		day--
	}
	return int32(day)
}

const secondsPerDay = 24 * 60 * 60

func (p *past) active(a activeDay) {
	i, _ := slices.BinarySearchFunc(p.days, a.day+1, func(a activeDay, d int32) int { return cmp.Compare(a.day, d) })
	p.days = slices.Insert(p.days, i, a)
}

// settle drops what adds nothing to an event of the same day that was known
// before a moment, stands, and can no longer be corrected.
func (p *past) settle(before int64) {
	base := activeDay{held: held{known: Unknown}}
	p.days = slices.DeleteFunc(p.days, func(a activeDay) bool {
		if a.day == base.day && a.known >= base.known {
			return true
		}
		if a.known < before && a.until == Unknown {
			base = a
		}
		return false
	})
}

// handOn gives the absorbed partner's past to the one that absorbed it, with
// what that one had absorbed itself.
func (m *merger) handOn() {
	m.from.merged = m.at
	for _, s := range append([]share{{m.from, m.number}}, m.from.absorbed...) {
		i := slices.IndexFunc(m.into.absorbed, func(have share) bool { return have.of == s.of })
		switch {
		case s.of == m.into: // it has been there and back
		case i < 0:
			m.into.absorbed = append(m.into.absorbed, s)
		default:
			m.into.absorbed[i].before = max(m.into.absorbed[i].before, s.before)
		}
	}
}

// handOnAnew does so for every merger that stands.
func (l *Labels) handOnAnew() {
	for _, p := range l.partners {
		p.merged, p.absorbed = 0, nil
	}
	for i := range l.mergers {
		l.mergers[i].handOn()
	}
}

// Active reports whether the partner did anything qualifying in the ActiveDays
// before at, as far as was known at at.
func (l *Labels) Active(id record.PartnerID, at time.Time) bool {
	p := l.partners[id]
	if p == nil {
		return false
	}
	day := dayOf(at)
	return p.activeWithin(day-int32(l.cfg.ActiveDays), day, at.Unix())
}

// within yields the activity on days in [from, to) that was known by known, the
// partner's own and what it absorbed.
func (p *past) within(from, to int32, known int64) iter.Seq[activeDay] {
	return func(yield func(activeDay) bool) {
		for _, a := range p.between(from, to) {
			if a.at(known) && !yield(a) {
				return
			}
		}
		for _, s := range p.absorbed {
			for _, a := range s.of.between(from, to) {
				if a.merges < s.before && a.at(known) && !yield(a) {
					return
				}
			}
		}
	}
}

// activeWithin reports whether there is any.
func (p *past) activeWithin(from, to int32, known int64) bool {
	for range p.within(from, to, known) {
		return true
	}
	return false
}

// between returns the partner's own activity on the days in [from, to).
func (p *past) between(from, to int32) []activeDay {
	at := func(day int32) int {
		i, _ := slices.BinarySearchFunc(p.days, day, func(a activeDay, d int32) int { return cmp.Compare(a.day, d) })
		return i
	}
	return p.days[at(from):max(at(from), at(to))]
}

// all returns the partner's activity with what it absorbed, ascending.
func (p *past) all() []activeDay {
	if len(p.absorbed) == 0 {
		return p.days
	}
	days := slices.Clone(p.days)
	for _, s := range p.absorbed {
		for _, a := range s.of.days {
			if a.merges < s.before {
				days = append(days, a)
			}
		}
	}
	slices.SortStableFunc(days, func(a, b activeDay) int { return cmp.Compare(a.day, b.day) })
	return days
}

// Churn returns whether a partner left within the horizon from midnight at on
// (1, else 0), when that became known in Unix seconds, and whether the row
// counts: whether the partner was active in the ActiveDays before and had not
// ended with us already. The label is known at the end of the horizon, or when a
// lapse or termination within it was; while the data does not reach the
// horizon's end (Complete) it is Unknown. What becomes known only after the horizon
// does not change it. A partner absorbed by another within the horizon does not
// count: it neither stayed nor left.
func (l *Labels) Churn(id record.PartnerID, at time.Time) (y float64, known int64, counts bool) {
	p := l.partners[id]
	if p == nil || !l.Active(id, at) || p.goneAt(at.Unix()) {
		return 0, Unknown, false
	}
	end := at.AddDate(0, 0, l.cfg.HorizonDays)
	if p.merged != 0 && p.merged < end.Unix() {
		return 0, Unknown, false
	}
	for _, t := range p.turns {
		if t.gone && t.at >= at.Unix() && t.at < end.Unix() && t.held.at(end.Unix()) {
			return 1, t.known, true
		}
	}
	if l.Complete().Before(end) {
		return 0, Unknown, true
	}
	if p.activeWithin(dayOf(at), dayOf(end), end.Unix()) {
		return 0, end.Unix(), true
	}
	return 1, end.Unix(), true
}

// Stayed returns when it became known, in Unix seconds, that the partner did
// business within the horizon from midnight at on; Unknown if it was not by the
// end of it.
func (l *Labels) Stayed(id record.PartnerID, at time.Time) int64 {
	first, end := int64(Unknown), at.AddDate(0, 0, l.cfg.HorizonDays)
	if p := l.partners[id]; p != nil {
		for d := range p.within(dayOf(at), dayOf(end), end.Unix()) {
			first = min(first, d.known)
		}
	}
	return first
}

// goneAt reports whether, as known at that moment, the partner had ended and
// not been taken up again: the latest turn decides.
func (p *past) goneAt(at int64) bool {
	gone, latest := false, int64(math.MinInt64)
	for _, t := range p.turns {
		if t.held.at(at) && t.at <= at && t.at >= latest {
			gone, latest = t.gone, t.at
		}
	}
	return gone
}

// Habit is what buy-till-you-die models read of a partner: how often it did
// business again after the first time, when last, and for how long we have
// known it, in weeks.
type Habit struct {
	Repeats      float64
	LastWeeks    float64 // from the first day of activity to the last
	WatchedWeeks float64 // from the first day of activity to now
}

// Habit returns a partner's habit as of midnight at, and false if it did
// nothing before. A day of activity counts once.
func (l *Labels) Habit(id record.PartnerID, at time.Time) (Habit, bool) {
	p, today := l.partners[id], dayOf(at)
	if p == nil {
		return Habit{}, false
	}
	var first, last int32
	n := 0
	for _, d := range p.all() {
		if d.day >= today || !d.at(at.Unix()) || n > 0 && d.day == last {
			continue
		}
		if n == 0 {
			first = d.day
		}
		last = d.day
		n++
	}
	if n == 0 {
		return Habit{}, false
	}
	return Habit{Repeats: float64(n - 1), LastWeeks: float64(last-first) / 7, WatchedWeeks: float64(today-first) / 7}, true
}

// IDs returns every partner that has a past, in order.
func (l *Labels) IDs() []record.PartnerID {
	ids := make([]record.PartnerID, 0, len(l.partners))
	for id := range l.partners {
		ids = append(ids, id)
	}
	slices.Sort(ids)
	return ids
}
