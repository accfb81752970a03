package health

import (
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
	touched    map[record.DealID][]record.PartnerID // partners other than the owner, on deals still open
	currencies map[string]int                       // how often each was met
}

// ledger is one partner's part of the book. Days count from 1970.
type ledger struct {
	started  int64 // application or onboarding, Unix seconds; 0: not seen
	firstWin int64 // 0: none yet
	surveys  []scored
	portal   []dated // weighted portal use, a day each
	activity []dated // qualifying activity, a day each
	credits  []credit
}

type scored struct {
	day   int32
	score float32
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
}

// keepDays is how far back the book reaches: two years of deals, so that a
// year can be compared with the one before.
const keepDays = 731

// NewBook returns an empty book. worth converts money into the base currency,
// as features.Set.Worth does.
func NewBook(cfg Config, worth func(record.Money) float64) *Book {
	return &Book{worth: worth, qualifying: cfg.withDefaults().Qualifying, partners: map[record.PartnerID]*ledger{},
		touched: map[record.DealID][]record.PartnerID{}, currencies: map[string]int{}}
}

func (b *Book) ledger(id record.PartnerID) *ledger {
	l := b.partners[id]
	if l == nil {
		l = &ledger{}
		b.partners[id] = l
	}
	return l
}

// portalWeight is what one visit counts in portal engagement: reading something
// costs more than logging in, learning more than reading.
var portalWeight = map[record.EventType]float32{record.PortalLogin: 1, record.PortalDownload: 2, record.TrainingView: 3}

// Observe takes in one event; what it does not need it ignores.
func (b *Book) Observe(e *record.Event) {
	if e.Partner == "" {
		return
	}
	if e.Amount.Currency != "" {
		b.currencies[e.Amount.Currency]++
	}
	l, day := b.ledger(e.Partner), dayOf(e.At)
	if slices.Contains(b.qualifying, e.Type) {
		l.activity = addOn(l.activity, day, 1)
	}
	switch e.Type {
	case record.Applied, record.Onboarded:
		if l.started == 0 || e.At.Unix() < l.started {
			l.started = e.At.Unix()
		}
	case record.Survey:
		l.surveys = append(l.surveys, scored{day, float32(e.Numbers["score"])})
	case record.PortalLogin, record.PortalDownload, record.TrainingView:
		l.portal = addOn(l.portal, day, portalWeight[e.Type])
	case record.Touch:
		if e.Deal != "" && !slices.Contains(b.touched[e.Deal], e.Partner) {
			b.touched[e.Deal] = append(b.touched[e.Deal], e.Partner)
		}
	case record.DealWon:
		b.won(l, e, day)
	case record.DealLost:
		delete(b.touched, e.Deal)
	}
}

// won shares the credit of a deal equally among its owner and all who touched it.
func (b *Book) won(l *ledger, e *record.Event, day int32) {
	if l.firstWin == 0 || e.At.Unix() < l.firstWin {
		l.firstWin = e.At.Unix()
	}
	others := slices.DeleteFunc(b.touched[e.Deal], func(id record.PartnerID) bool { return id == e.Partner })
	delete(b.touched, e.Deal)
	distinct := slices.Clone(e.Products)
	slices.Sort(distinct)
	c := credit{day: day, share: 1 / float32(1+len(others)), value: float32(b.worth(e.Amount)),
		products: uint8(min(len(slices.Compact(distinct)), math.MaxUint8)), own: true}
	l.credits = append(forget(l.credits, day, func(c credit) int32 { return c.day }), c)
	c.own, c.products = false, 0
	for _, id := range others {
		o := b.ledger(id)
		o.credits = append(forget(o.credits, day, func(c credit) int32 { return c.day }), c)
	}
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
