package features

import (
	"fmt"
	"math"

	"bellwether/datasets/record"
	"bellwether/models"
	"bellwether/models/target"
)

// partnerColumn defines one feature of the partner: fixed depends on the record
// alone, live on the partner's history, its tier and the day; most are sums.
type partnerColumn struct {
	Feature
	fixed func(*Set, *record.Partner) float64
	live  func(*partnerView) float64
	sum   sum
}

// sum is something counted over a window: of events of a kind, of their amounts
// in hundredths, or of everything the partner did. Half of a partner's columns
// are sums, and calling a function for each would cost more than the sums do.
type sum struct {
	of           summed
	kind, window int
}

type summed uint8

const (
	nothing summed = iota
	events
	money
	acts
)

func (v *partnerView) sum(s *sum) float64 {
	switch s.of {
	case events:
		return float64(v.counts(s.kind)[s.window])
	case money:
		return float64(v.amounts(s.kind)[s.window]) / 100
	}
	return float64(v.acted[s.window])
}

// partnerTable lists the features of a partner, but for its windows and
// attributes.
var partnerTable = []partnerColumn{
	partnerCategory("partner_id", "the partner itself", func(p *record.Partner) string { return string(p.ID) }),
	partnerCategory("partner_kind", "kind of partner", func(p *record.Partner) string { return p.Kind }),
	partnerCategory("partner_parent", "distributor or group it belongs to", func(p *record.Partner) string { return string(p.Parent) }),
	partnerCategory("partner_region", "where the partner is", func(p *record.Partner) string { return p.Home.Region }),
	partnerFixed("partner_latitude", "degrees", "latitude of its home", func(_ *Set, p *record.Partner) float64 { return located(p.Home, p.Home.Lat) }),
	partnerFixed("partner_longitude", "degrees", "longitude of its home", func(_ *Set, p *record.Partner) float64 { return located(p.Home, p.Home.Lon) }),
	partnerFixed("partner_competences", "products", "competences listed", func(_ *Set, p *record.Partner) float64 { return float64(len(p.Competences)) }),
	partnerFixed("partner_territories", "regions", "regions it may sell in; 0 is all", func(_ *Set, p *record.Partner) float64 { return float64(len(p.Territories)) }),
	partnerFixed("partner_industries", "industries", "industries listed", func(_ *Set, p *record.Partner) float64 { return float64(len(p.Industries)) }),
	partnerFixed("partner_languages", "languages", "languages listed", func(_ *Set, p *record.Partner) float64 { return float64(len(p.Languages)) }),
	partnerFixed("partner_marketplaces", "marketplaces", "marketplaces it sells on", func(_ *Set, p *record.Partner) float64 { return float64(len(p.Marketplaces)) }),
	partnerFixed("partner_capacity", "leads a day", "declared capacity", func(_ *Set, p *record.Partner) float64 { return daily(p.Capacity) }),

	{Feature: Feature{"partner_tier", "category", "tier, as of the newest record or event", Partner, models.Category}, live: func(v *partnerView) float64 { return models.Code(v.p.profile.tier) }},
	{Feature: Feature{"partner_status", "category", "status in force today", Partner, models.Category}, live: func(v *partnerView) float64 { return v.p.profile.status(v.now) }},
	partnerLive("partner_tenure", "days", "since it joined", func(v *partnerView) float64 { return v.days(v.p.profile.joined, -1) }),
	partnerLive("partner_certificates", "certificates", "certificates valid today", func(v *partnerView) float64 { return float64(v.certificates) }),
	partnerLive("partner_certificate_days", "days", "until the next certificate lapses", func(v *partnerView) float64 { return v.days(v.nextLapse, 1) }),
	partnerLive("partner_contract_days", "days", "until the contract ends, negative once it has", func(v *partnerView) float64 { return v.days(v.p.profile.contract.to, 1) }),

	partnerLive("partner_win_rate", "share", "offers won of offers of known outcome, life, shrunk to its tier and the tier to everyone", func(v *partnerView) float64 { return v.win.mean }),
	partnerLive("partner_win_rate_sd", "share", "uncertainty of partner_win_rate", func(v *partnerView) float64 { return v.win.sd }),
	partnerLive("partner_win_rate_364d", "share", "offers won of offers of known outcome, 364 days, shrunk likewise", func(v *partnerView) float64 { return v.winYear.mean }),
	partnerLive("partner_win_rate_364d_sd", "share", "uncertainty of partner_win_rate_364d", func(v *partnerView) float64 { return v.winYear.sd }),
	partnerLive("partner_win_rate_91d", "share", "offers won of offers of known outcome, 91 days, shrunk to its own rate of 364 days", func(v *partnerView) float64 { return v.recent(decided, v.winYear.mean) }),
	partnerLive("partner_accept_rate", "share", "offers accepted of offers answered or expired, life, shrunk likewise", func(v *partnerView) float64 { return v.accept.mean }),
	partnerLive("partner_accept_rate_sd", "share", "uncertainty of partner_accept_rate", func(v *partnerView) float64 { return v.accept.sd }),
	partnerLive("partner_accept_rate_364d", "share", "offers accepted of offers answered or expired, 364 days, shrunk likewise", func(v *partnerView) float64 { return v.acceptYear.mean }),
	partnerLive("partner_accept_rate_91d", "share", "offers accepted of offers answered or expired, 91 days, shrunk to its own rate of 364 days", func(v *partnerView) float64 { return v.recent(answers, v.acceptYear.mean) }),
	partnerLive("partner_tier_win_rate", "share", "win rate of its tier as of midnight, shrunk to everyone's", func(v *partnerView) float64 { return v.state.segments.prior(v.tier(), winRate).rate }),
	partnerLive("partner_decided_log", "log(1 + offers)", "offers of known outcome, life", func(v *partnerView) float64 { return math.Log1p(float64(v.counts(decided)[life])) }),

	partnerLive("partner_response_hours", "hours", "mean time to answer an offer, life", func(v *partnerView) float64 { return v.mean(responses, life) / 3600 }),
	partnerLive("partner_response_hours_91d", "hours", "mean time to answer an offer, 91 days", func(v *partnerView) float64 { return v.mean(responses, w91) / 3600 }),
	partnerLive("partner_waiting", "offers", "offers of the last 28 days without an answer", func(v *partnerView) float64 { return v.n(waiting, w28) }),
	partnerLive("partner_working", "offers", "offers accepted in the last 364 days without an outcome", func(v *partnerView) float64 { return v.n(working, w364) }),
	partnerLive("partner_load", "days of capacity", "offers waiting and working against declared capacity", func(v *partnerView) float64 {
		return (v.n(waiting, w28) + v.n(working, w364)) / v.p.profile.daily
	}),
	partnerLive("partner_week_load", "share", "offers of the last 7 days against declared capacity of 7 days", func(v *partnerView) float64 {
		return v.n(offers, w7) / (7 * v.p.profile.daily)
	}),

	partnerSince("offer", "an offer was made to it", lastOffer),
	partnerSince("accept", "it accepted an offer", lastAccept),
	partnerSince("win", "it won a deal", lastWin),
	partnerSince("order", "it placed an order", lastOrder),
	partnerSince("business", "it won a deal or placed an order", lastBusiness),
	partnerSince("first_business", "it first did", firstBusiness),
	partnerSince("portal", "it used the portal", lastPortal),
	partnerSince("activity", "it did anything", lastActivity),
	partnerSince("message", "it wrote", lastMessage),
	partnerSince("survey", "it answered a survey", lastSurvey),

	partnerLive("partner_business_gap", "days", "mean time between deals won and orders", func(v *partnerView) float64 { return v.gap() }),
	partnerLive("partner_business_overdue", "ratio", "days since the last deal won or order against the mean time between them", func(v *partnerView) float64 {
		return daysSince(v.today, v.p.last[lastBusiness], true) / v.gap()
	}),
	partnerLive("partner_business_trend", "log ratio", "business of 28 days against the 84 before, per day, plus one each", func(v *partnerView) float64 { return velocity(v.counts(business)) }),
	partnerLive("partner_revenue_trend", "log ratio", "revenue of 91 days against its mean per 91 days over 364", func(v *partnerView) float64 {
		return math.Log1p(v.money(business, w91)) - math.Log1p(v.money(business, w364)/4)
	}),
	partnerLive("partner_deal_size_log", "log(1 + base currency)", "mean revenue of a deal or order, 364 days", func(v *partnerView) float64 { return math.Log1p(max(0, v.mean(business, w364)) / 100) }),
	partnerLive("partner_portal_velocity", "log ratio", "portal use of 28 days against the 84 before, per day, plus one each", func(v *partnerView) float64 { return velocity(v.counts(portal)) }),
	partnerLive("partner_activity_velocity", "log ratio", "activity of 28 days against the 84 before, per day, plus one each", func(v *partnerView) float64 { return velocity(&v.acted) }),
	partnerLive("partner_survey_mean", "0 to 10", "mean survey score, life", func(v *partnerView) float64 { return v.mean(surveys, life) / 1e6 }),
	partnerLive("partner_survey_last", "0 to 10", "newest survey score", func(v *partnerView) float64 {
		if v.p.last[lastSurvey] == never {
			return missing
		}
		return float64(v.p.surveyScore) / 1e6
	}),
	partnerLive("partner_sentiment_28d", "-1 to 1", "mean mood of its messages, 28 days", func(v *partnerView) float64 { return v.mean(messages, w28) / 1e6 }),
	partnerLive("partner_sentiment_91d", "-1 to 1", "mean mood of its messages, 91 days", func(v *partnerView) float64 { return v.mean(messages, w91) / 1e6 }),
	partnerLive("partner_support_severity", "1 to 5", "mean severity of its support cases, 91 days", func(v *partnerView) float64 { return v.mean(support, w91) / 1e6 }),
	partnerLive("partner_accounts", "accounts", "accounts it has had to do with in the last two years or shares", func(v *partnerView) float64 { return float64(v.p.accounts.n) }),
	partnerLive("partner_overlaps", "accounts", "accounts it shares business with", func(v *partnerView) float64 { return float64(v.p.overlaps) }),
	partnerLive("partner_integrations", "integrations", "integrations activated, life", func(v *partnerView) float64 { return float64(v.p.integrations) }),
}

// partnerWindows lists what is counted over windows.
var partnerWindows = []struct {
	name, unit, meaning string
	kind                int
	amount              bool
	over                []int
}{
	{"offers", "offers", "offers made to it", offers, false, everyWindow},
	{"accepts", "offers", "offers it accepted", accepts, false, everyWindow},
	{"declines", "offers", "offers it declined", declines, false, everyWindow},
	{"expiries", "offers", "offers it let expire", expiries, false, everyWindow},
	{"wins", "deals", "deals it won", wins, false, everyWindow},
	{"losses", "deals", "deals it lost", losses, false, everyWindow},
	{"revenue", "base currency", "revenue of deals it won", wins, true, everyWindow},
	{"orders", "orders", "orders it placed", orders, false, everyWindow},
	{"order_revenue", "base currency", "value of orders it placed", orders, true, []int{w28, w91, w364, life}},
	{"business", "deals and orders", "deals won and orders", business, false, everyWindow},
	{"business_revenue", "base currency", "value of deals won and orders", business, true, []int{w28, w91, w364, life}},
	{"registered", "deals", "deals it registered", registered, false, []int{w28, w91, w364, life}},
	{"portal", "visits", "logins, downloads and training views", portal, false, everyWindow},
	{"trainings", "trainings", "trainings and certificates", trainings, false, []int{w91, w364, life}},
	{"support", "cases", "support cases", support, false, []int{w28, w91, w364}},
	{"surveys", "surveys", "surveys answered", surveys, false, []int{w364, life}},
	{"messages", "messages", "messages it wrote", messages, false, []int{w28, w91, w364}},
	{"touches", "touches", "touches on deals", touches, false, []int{w28, w91, w364}},
	{"payouts", "base currency", "paid out to it", payouts, true, []int{w91, w364}},
}

var everyWindow = []int{w7, w28, w91, w364, life}

func (s *Set) partnerColumns() []partnerColumn {
	out := append([]partnerColumn{}, partnerTable...)
	for _, f := range partnerWindows {
		for _, w := range f.over {
			name, span := windowName(f.name, w)
			of := events
			if f.amount {
				of = money
			}
			out = append(out, partnerSum(name, f.unit, f.meaning+", "+span, sum{of, f.kind, w}))
		}
	}
	for _, w := range everyWindow {
		name, span := windowName("activity", w)
		out = append(out, partnerSum(name, "events", "everything it did, "+span, sum{acts, 0, w}))
	}
	for _, a := range attributeColumns(Partner, s.schema.PartnerAttributes) {
		out = append(out, partnerColumn{Feature: a.Feature, fixed: func(_ *Set, p *record.Partner) float64 { return a.value(p.Attributes) }})
	}
	return out
}

func windowName(of string, w int) (name, span string) {
	if w == life {
		return fmt.Sprintf("partner_%s_life", of), "life"
	}
	return fmt.Sprintf("partner_%s_%dd", of, windowDays[w]), fmt.Sprintf("%d days", windowDays[w])
}

func partnerCategory(name, meaning string, value func(*record.Partner) string) partnerColumn {
	return partnerColumn{Feature: Feature{name, "category", meaning, Partner, models.Category},
		fixed: func(_ *Set, p *record.Partner) float64 { return models.Code(value(p)) }}
}

func partnerFixed(name, unit, meaning string, value func(*Set, *record.Partner) float64) partnerColumn {
	return partnerColumn{Feature: Feature{name, unit, meaning, Partner, models.Numeric}, fixed: value}
}

func partnerLive(name, unit, meaning string, value func(*partnerView) float64) partnerColumn {
	return partnerColumn{Feature: Feature{name, unit, meaning, Partner, models.Numeric}, live: value}
}

func partnerSum(name, unit, meaning string, s sum) partnerColumn {
	return partnerColumn{Feature: Feature{name, unit, meaning, Partner, models.Numeric}, sum: s}
}

func partnerSince(name, meaning string, last int) partnerColumn {
	return partnerLive("partner_days_since_"+name, "days", "since "+meaning, func(v *partnerView) float64 {
		return daysSince(v.today, v.p.last[last], true)
	})
}

// estimate is a shrunk rate with its uncertainty.
type estimate struct{ mean, sd float64 }

// partnerView is a partner made ready for a row as of one day.
type partnerView struct {
	p            *PartnerState
	state        *State
	today        day
	now          int64 // midnight of today, Unix seconds
	win, winYear estimate
	accept       estimate
	acceptYear   estimate
	acted        counts // everything it did
	certificates int
	nextLapse    int64
	otherDay     otherDay
}

// otherDay is what a view reads when the partner was rolled to another day.
type otherDay struct {
	counts  [kinds]counts
	amounts [kinds]amounts
}

func (v *partnerView) prepare(p *PartnerState, st *State, today day) {
	v.p, v.state, v.today, v.now = p, st, today, int64(today)*secondsPerDay
	if p.today != today {
		for k := range p.series {
			v.otherDay.counts[k], v.otherDay.amounts[k] = p.series[k].countsAt(today), p.series[k].amountsAt(today)
		}
	}
	v.acted = counts{}
	for _, k := range activities {
		for w, n := range v.counts(k) {
			v.acted[w] += n
		}
	}
	win, accept := st.segments.prior(v.tier(), winRate), st.segments.prior(v.tier(), acceptRate)
	v.win, v.winYear = v.estimate(decided, life, win), v.estimate(decided, w364, win)
	v.accept, v.acceptYear = v.estimate(answers, life, accept), v.estimate(answers, w364, accept)
	v.certificates, v.nextLapse = 0, forever
	for i := range p.profile.certs.slots {
		c := &p.profile.certs.slots[i]
		if valid := c.val; c.key != 0 && valid.contains(v.now) {
			v.certificates++
			v.nextLapse = min(v.nextLapse, valid.to)
		}
	}
}

// counts returns the sums of a kind as of today.
func (v *partnerView) counts(kind int) *counts {
	if v.p.today == v.today {
		return &v.p.series[kind].n
	}
	return &v.otherDay.counts[kind]
}

// amounts returns the sums of a kind's amounts as of today.
func (v *partnerView) amounts(kind int) *amounts {
	if v.p.today == v.today {
		return v.p.series[kind].amounts()
	}
	return &v.otherDay.amounts[kind]
}

// counter is a rate's counts.
func (v *partnerView) counter(kind, window int) target.Counter {
	return target.Counter{N: float64(v.counts(kind)[window]), Pos: float64(v.amounts(kind)[window])}
}

func (v *partnerView) tier() uint64 { return v.p.profile.tierKey }

func (v *partnerView) estimate(kind, window int, of prior) estimate {
	mean, sd := target.Shrink(v.counter(kind, window), of.rate, of.strength)
	return estimate{mean, sd}
}

// recent is a rate over 91 days shrunk to a longer one.
func (v *partnerView) recent(kind int, of float64) float64 {
	return target.Mean(v.counter(kind, w91), of, groupStrength)
}

func (v *partnerView) n(kind, window int) float64 { return float64(v.counts(kind)[window]) }

func (v *partnerView) money(kind, window int) float64 {
	return float64(max(0, v.amounts(kind)[window])) / 100
}

// mean is the mean amount, NaN of nothing.
func (v *partnerView) mean(kind, window int) float64 {
	n := v.counts(kind)[window]
	if n <= 0 {
		return missing
	}
	return float64(v.amounts(kind)[window]) / float64(n)
}

// velocity compares the last 28 days with the 84 before, per day.
func velocity(n *counts) float64 {
	return math.Log((float64(n[w28]) + 1) / (float64(n[w112]-n[w28])/3 + 1))
}

// gap is the mean time between deals won and orders, at least a day.
func (v *partnerView) gap() float64 {
	n := v.counts(business)[life]
	if n < 2 {
		return missing
	}
	return max(1, float64(v.p.last[lastBusiness]-v.p.last[firstBusiness])/float64(n-1))
}

// days is the time from midnight to t, or with sign -1 since t; NaN if t is not
// said.
func (v *partnerView) days(t int64, sign float64) float64 {
	if t == forever {
		return missing
	}
	return sign * float64(t-v.now) / secondsPerDay
}
