package health

import (
	"cmp"
	"maps"
	"math"
	"slices"
	"time"

	"bellwether/datasets/record"
)

// Book keeps what the KPIs need of each partner and features do not hold:
// surveys one by one, deals won with whom, milestones, activity by week. Events
// are observed in the order in which they became known. Not safe for use while
// Observe runs.
type Book struct {
	worth      func(record.Money) float64 // into the base currency; NaN: cannot say
	qualifying []record.EventType
	partners   map[record.PartnerID]*ledger
	deals      map[record.DealID]*dealing // those open, and those that may still be corrected
	currencies map[string]int             // how often each was met
	recent     recall[effect]
	visits     recall[visit] // apart, and small: portal use is most of a log
}

// ledger is one partner's part of the book. Days count from 1970.
type ledger struct {
	starts   firsts // application and onboarding
	wins     firsts
	surveys  []scored
	portal   []dated  // weighted portal use, a day each
	activity []dated  // qualifying activity, a day each
	credits  []credit // by day
}

type scored struct {
	day   int32
	score float32
	by    uint64
}

type dated struct {
	day    int32
	amount float32
}

// credit is a partner's part in a deal won, its own or one it touched.
type credit struct {
	day      int32
	share    float32 // 1 over the number of partners credited
	value    float32 // of the deal, base currency; NaN: not said
	products uint8   // distinct products of an own deal
	own      bool
	by       uint64 // the deal_won
}

// dealing is what decides who is credited for a deal, in the order known.
type dealing struct {
	steps []step
	known int32 // day of the last
}

// step is a touch, or an end of the deal.
type step struct {
	id      uint64
	kind    record.EventType
	partner record.PartnerID
	credit  credit // of a deal won: the whole of it
}

// keepDays is how far back the book reaches: two years of deals, so that a
// year can be compared with the one before.
const keepDays = 731

// NewBook returns an empty book. worth converts money into the base currency,
// as features.Set.Worth does.
func NewBook(cfg Config, worth func(record.Money) float64) *Book {
	return &Book{worth: worth, qualifying: cfg.withDefaults().Qualifying, partners: map[record.PartnerID]*ledger{},
		deals: map[record.DealID]*dealing{}, currencies: map[string]int{}}
}

func (b *Book) ledger(id record.PartnerID) *ledger {
	l := b.partners[id]
	if l == nil {
		l = &ledger{}
		b.partners[id] = l
	}
	return l
}

// portalWeight is what one visit counts in portal engagement, 0 for what is
// none: reading something costs more than logging in, learning more than reading.
func portalWeight(kind record.EventType) float32 {
	switch kind {
	case record.PortalLogin:
		return 1
	case record.PortalDownload:
		return 2
	case record.TrainingView:
		return 3
	}
	return 0
}

// Observe takes in one event; what it does not need it ignores.
func (b *Book) Observe(e *record.Event) {
	today := dayOf(e.Known())
	b.visits.turn(today)
	if b.recent.turn(today) {
		maps.DeleteFunc(b.deals, func(_ record.DealID, d *dealing) bool {
			return d.known <= today-settledDays && d.steps[len(d.steps)-1].kind != record.Touch
		})
	}
	b.takeBack(key(e.Supersedes))
	if e.Partner == "" {
		return
	}
	l, day, id := b.ledger(e.Partner), dayOf(e.At), key(e.ID)
	qualifies := slices.Contains(b.qualifying, e.Type)
	if qualifies {
		l.activity = addOn(l.activity, day, 1)
	}
	if w := portalWeight(e.Type); w > 0 {
		l.portal = addOn(l.portal, day, w)
		b.visits.put(id, visit{l, day, int8(w), qualifies})
		return
	}
	if e.Amount.Currency != "" {
		b.currencies[e.Amount.Currency]++
	}
	switch e.Type {
	case record.Applied, record.Onboarded:
		l.starts.add(occasion{id, e.At.Unix(), today})
	case record.Survey:
		l.surveys = append(l.surveys, scored{day, float32(e.Numbers["score"]), id})
	case record.Touch, record.DealLost:
		b.step(e, step{id: id, kind: e.Type, partner: e.Partner}, today)
	case record.DealWon:
		l.wins.add(occasion{id, e.At.Unix(), today})
		distinct := slices.Clone(e.Products)
		slices.Sort(distinct)
		b.step(e, step{id, e.Type, e.Partner, credit{day: day, value: float32(b.worth(e.Amount)),
			products: uint8(min(len(slices.Compact(distinct)), math.MaxUint8)), own: true, by: id}}, today)
	}
	b.recent.put(id, effect{l, e.Type, day, e.Deal, e.Amount.Currency})
}

// step takes the next step of the event's deal.
func (b *Book) step(e *record.Event, s step, today int32) {
	d := &dealing{}
	if e.Deal != "" {
		if known := b.deals[e.Deal]; known != nil {
			d = known
		} else {
			b.deals[e.Deal] = d
		}
	}
	d.known = today
	d.steps = append(d.steps, s)
	if s.kind == record.DealWon {
		b.share(d.steps)
	}
}

// share gives the credit of the last step, a deal won, in equal parts to its
// owner and to all who touched the deal since it last ended.
func (b *Book) share(steps []step) {
	won, before := steps[len(steps)-1], steps[:len(steps)-1]
	var others []record.PartnerID
	for i := len(before) - 1; i >= 0 && before[i].kind == record.Touch; i-- {
		if id := before[i].partner; id != won.partner && !slices.Contains(others, id) {
			others = append(others, id)
		}
	}
	c := won.credit
	c.share = 1 / float32(1+len(others))
	b.ledger(won.partner).credit(c)
	c.own, c.products = false, 0
	for _, id := range others {
		b.ledger(id).credit(c)
	}
}

func (l *ledger) credit(c credit) {
	l.credits = forget(l.credits, c.day, func(c credit) int32 { return c.day })
	i, _ := slices.BinarySearchFunc(l.credits, c, func(a, b credit) int { return cmp.Or(cmp.Compare(a.day, b.day), cmp.Compare(a.by, b.by)) })
	l.credits = slices.Insert(l.credits, i, c)
}

// addOn adds to a day's amount, keeping days in order.
func addOn(list []dated, day int32, amount float32) []dated {
	i := len(list)
	for i > 0 && list[i-1].day > day {
		i--
	}
	if i > 0 && list[i-1].day == day {
		list[i-1].amount += amount
		return list
	}
	list = forget(list, day, func(d dated) int32 { return d.day })
	i = len(list)
	for i > 0 && list[i-1].day > day {
		i--
	}
	return slices.Insert(list, i, dated{day, amount})
}

// forget drops what is older than keepDays, half a year at a time so that
// nothing is moved often.
func forget[T any](list []T, today int32, day func(T) int32) []T {
	if len(list) == 0 || day(list[0]) > today-keepDays-183 {
		return list
	}
	return slices.DeleteFunc(list, func(x T) bool { return day(x) < today-keepDays })
}

// activityWeeks is how long the sparkline of a standing is.
const activityWeeks = 26

// Activity returns a partner's qualifying activity in each of the 26 weeks
// before midnight at, oldest first.
func (b *Book) Activity(id record.PartnerID, at time.Time) []float64 {
	weeks, l := make([]float64, activityWeeks), b.partners[id]
	if l == nil {
		return weeks
	}
	today := dayOf(at)
	for _, d := range l.activity {
		if back := int(today-1-d.day) / 7; d.day < today && back < activityWeeks {
			weeks[activityWeeks-1-back] += float64(d.amount)
		}
	}
	return weeks
}

// currency returns the currency most amounts are in, "" if there are none.
func (b *Book) currency() string {
	most := ""
	for c, n := range b.currencies {
		if m := b.currencies[most]; n > m || n == m && c < most {
			most = c
		}
	}
	return most
}
