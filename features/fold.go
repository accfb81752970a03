package features

import (
	"bellwether/datasets/record"
	"bellwether/models"
)

// The things counted per day; some with an amount beside the count.
const (
	offers     = iota // offers made to it
	accepts           // offers it accepted
	declines          // offers it declined
	expiries          // offers it let expire
	responses         // its answers; amount: seconds until each
	answers           // offers accepted, declined or expired; amount: accepted
	decided           // offers whose outcome is known; amount: won
	wins              // deals won; amount: revenue
	losses            // deals lost
	waiting           // offers without an answer, by the day they were made
	working           // accepted offers without an outcome, by the day of acceptance
	registered        // deals registered
	orders            // orders placed; amount: revenue
	business          // deals won and orders; amount: revenue
	portal            // logins, downloads and training views
	trainings         // trainings and certificates
	support           // support cases; amount: severity
	surveys           // surveys answered; amount: score
	messages          // messages from it; amount: sentiment
	payouts           // payouts; amount: money
	touches           // touches on deals
	steps             // deals opened or moved on, integrations activated
	kinds
)

// activities are the kinds that together are everything a partner did itself.
var activities = [...]int{accepts, declines, wins, losses, registered, orders, portal, trainings, support, surveys, messages, touches, steps}

// The moments remembered as a day.
const (
	lastOffer = iota
	lastAccept
	lastWin
	lastOrder
	lastBusiness
	firstBusiness
	lastPortal
	lastActivity
	lastMessage
	lastSurvey
	lasts
)

// PartnerState is what one partner's own record and events add up to. What an
// event touches comes first: fields are ordered so that each series lies in a
// cache line of its own, and what a pair's row looks at lies together.
type PartnerState struct {
	Version uint64 // moves with the partner's own record and events, and with nothing else
	history
	integrations int32
	overlaps     int32
	surveyScore  int64
	offers       offerBook
	shared       table[shared]   // beside accounts
	segments     table[tally]    // offers of known outcome by segment of their lead
	accounts     table[dealings] // what it has had to do with each account
	profile      profile
	ID           record.PartnerID
	record       *record.Partner
}

// history is what is counted by day.
type history struct {
	last    [lasts]day
	swept   day // the last sweepDays boundary
	today   day // the day the sums were rolled to; later days are in every window
	series  [kinds]series
	nextDue day        // the first of due
	due     [kinds]day // when a series must be rolled next
}

// dealings are a partner's history with one account.
type dealings struct {
	offers, wins int32
	last         day  // of an offer, a deal or a registration
	shares       bool // PartnerState.shared holds more
}

// shared is what few dealings have.
type shared struct {
	overlap   int64 // shared business, in millionths
	protected int64 // until when it holds a registered deal, Unix seconds
}

var nothingShared shared

// sharedWith returns what the partner shares with an account beside d, not to be
// changed.
func (p *PartnerState) sharedWith(account uint64, d *dealings) *shared {
	if !d.shares {
		return &nothingShared
	}
	return p.shared.get(account)
}

// share returns what the partner shares with an account beside d.
func (p *PartnerState) share(account uint64, d *dealings) *shared {
	d.shares = true
	return p.shared.put(account)
}

// maxSegments bounds a partner's table of segments; values first seen when it is
// full are not counted per partner. 8,192 of them take 128 kB.
const maxSegments = 8_192

// accountDays is how long a partner's history with an account is kept after the
// last thing that happened there.
const accountDays = 728

// sweepDays is how often what is no longer needed is dropped.
const sweepDays = 91

func newPartnerState(id record.PartnerID, today day) *PartnerState {
	p := &PartnerState{ID: id, history: history{today: today, nextDue: endOfTime}}
	for k := range p.due {
		p.due[k] = endOfTime
	}
	p.profile.contract = periodOf(record.Span{})
	p.profile.joined = forever
	p.profile.daily = missing
	for i := range p.last {
		p.last[i] = never
	}
	return p
}

// Record returns the newest version of the partner's record, nil before any.
func (p *PartnerState) Record() *record.Partner { return p.record }

// roll moves the windows on to today, as a row needs them; rolling over several
// days at once is rolling over each of them.
func (p *PartnerState) roll(today day) {
	p.sweep(today)
	if today <= p.today {
		return
	}
	p.today = today
	if today < p.nextDue {
		return
	}
	p.nextDue = endOfTime
	for k := range p.series {
		if today >= p.due[k] {
			p.due[k] = p.series[k].roll(today)
		}
		p.nextDue = min(p.nextDue, p.due[k])
	}
}

// arrive makes the partner ready for what happens today. Once in sweepDays it
// forgets what is out of reach; in between only a row needs it rolled.
func (p *PartnerState) arrive(today day) {
	if today-today%sweepDays > p.swept {
		p.roll(today)
	}
}

// sweep forgets what is out of reach as of the last sweepDays boundary.
func (p *PartnerState) sweep(today day) {
	if today -= today % sweepDays; today <= p.swept {
		return
	}
	p.swept = today
	p.offers.sweep(today)
	p.accounts.filter(func(account uint64, d *dealings) bool {
		s := p.sharedWith(account, d)
		return d.last > today-accountDays || s.overlap != 0 || s.protected > int64(today)*secondsPerDay
	})
	p.shared.filter(func(account uint64, _ *shared) bool { return p.accounts.get(account) != nil })
}

func (p *PartnerState) count(kind int, on day, n int32, amount int64) {
	p.mustRoll(kind, p.series[kind].add(p.today, on, n, amount))
}

// mustRoll notes the day on which a series must be rolled.
func (p *PartnerState) mustRoll(kind int, due day) {
	p.due[kind] = min(p.due[kind], due)
	p.nextDue = min(p.nextDue, due)
}

func (p *PartnerState) mark(last int, on day) { p.last[last] = max(p.last[last], on) }

// fold takes in one fact about the partner; what it changes in the segments
// goes to c.
func (p *PartnerState) fold(f *fact, c *change) {
	p.arrive(f.today)
	if f.corrects != 0 {
		p.takeBack(f.corrects, f.account, c)
	}
	p.Version++
	if qualifies[f.kind] || f.kind == isMessage && f.inbound {
		p.mark(lastActivity, f.day)
	}
	switch f.kind {
	case isOffer:
		p.foldOffer(f)
	case isAccepted, isDeclined, isExpired, isWithdrawn, isSuperseded:
		p.foldAnswer(f, c)
	case isWon, isLost:
		p.foldOutcome(f, c)
	case isOpened:
		p.offers.open(f)
		p.count(steps, f.day, 1, 0)
	case isOrder:
		p.book(orders, f, 1, f.amount)
		p.mark(lastOrder, f.day)
		p.trade(f.day, 1, f.amount)
	case isRegistered:
		p.book(registered, f, 1, 0)
		p.with(f, func(d *dealings) {
			s := p.share(f.account, d)
			s.protected = max(s.protected, f.until)
		})
	case isOverlap:
		p.with(f, func(d *dealings) {
			s := p.share(f.account, d)
			if s.overlap == 0 && f.amount != 0 {
				p.overlaps++
			}
			s.overlap = f.amount
		})
	case isTier:
		p.setTier(f.text, c)
	case isStatus:
		p.profile.enter(standing{models.Code(f.text), period{f.at, forever}})
	case isRenewed:
		p.profile.contract.to = f.until
	case isLapsed:
		p.profile.contract.to = f.at
	default:
		p.foldOther(f)
	}
}

// foldOther takes in what is only counted.
func (p *PartnerState) foldOther(f *fact) {
	switch f.kind {
	case isCertified:
		valid := period{f.at, forever}
		if f.until != 0 {
			valid.to = f.until
		}
		name := hash(f.text)
		if e := p.profile.earned.get(name); e == nil || e.to < valid.to {
			*p.profile.earned.put(name) = valid
		}
		p.profile.certify(name, valid)
		p.count(trainings, f.day, 1, 0)
	case isTrained:
		p.count(trainings, f.day, 1, 0)
	case isLogin, isDownload, isView:
		p.count(portal, f.day, 1, 0)
		p.mark(lastPortal, f.day)
	case isSupport:
		p.count(support, f.day, 1, f.amount)
	case isSurvey:
		p.book(surveys, f, 1, f.amount)
		if f.day >= p.last[lastSurvey] {
			p.mark(lastSurvey, f.day)
			p.surveyScore = f.amount
		}
	case isMessage:
		if f.inbound {
			p.count(messages, f.day, 1, f.mood())
			p.mark(lastMessage, f.day)
		}
	case isPayout:
		p.count(payouts, f.day, 1, f.amount)
	case isTouch:
		p.count(touches, f.day, 1, 0)
	case isIntegration:
		p.integrations++
		p.count(steps, f.day, 1, 0)
	case isStage:
		p.count(steps, f.day, 1, 0)
	}
}

// book counts something that a later event may take back.
func (p *PartnerState) book(kind int, f *fact, n int32, amount int64) {
	p.count(kind, f.day, n, amount)
	p.offers.effects = append(spare(p.offers.effects), effect{id: f.id, kind: uint8(kind), day: f.day, known: f.today, amount: amount})
}

// trade counts business done, or takes it back.
func (p *PartnerState) trade(on day, n int32, amount int64) {
	p.count(business, on, n, int64(n)*amount)
	if n > 0 {
		p.mark(lastBusiness, on)
		if first := &p.last[firstBusiness]; *first == never || on < *first {
			*first = on
		}
	}
}

// with changes what is remembered of the fact's account, if it names one.
func (p *PartnerState) with(f *fact, change func(*dealings)) {
	if f.account == 0 {
		return
	}
	d := p.accounts.put(f.account)
	d.last = max(d.last, f.day)
	change(d)
}

// put takes in a version of the partner's record.
func (p *PartnerState) put(s *Set, r *record.Partner, c *change) {
	p.Version++
	p.weigh(c, -1)
	p.record = r
	p.profile = profileOf(r, s.readPartner(r), p.profile.earned)
	p.weigh(c, 1)
}

// setTier moves the partner's counts from one tier's moments to another's.
func (p *PartnerState) setTier(tier string, c *change) {
	if tier == p.profile.tier {
		return
	}
	p.weigh(c, -1)
	p.profile.tier, p.profile.tierKey = tier, hash(tier)
	p.weigh(c, 1)
}

// weigh puts the partner's rates into its tier's moments and everyone's, or
// takes them out.
func (p *PartnerState) weigh(c *change, sign int64) {
	for _, group := range [...]uint64{everyone, p.profile.tierKey} {
		if group == 0 {
			continue
		}
		m := c.moments.put(group)
		m[winRate].add(int64(p.series[decided].n[life]), p.series[decided].amounts()[life], sign)
		m[acceptRate].add(int64(p.series[answers].n[life]), p.series[answers].amounts()[life], sign)
	}
}

// rate counts one more offer in the win or accept rate, or takes it back.
func (p *PartnerState) rate(c *change, kind int, on day, n int32, yes int64) {
	p.weigh(c, -1)
	p.count(kind, on, n, yes)
	p.weigh(c, 1)
}

func (p *PartnerState) absorbAccount(account uint64, d *dealings, s *shared) {
	mine := p.accounts.put(account)
	mine.offers, mine.wins, mine.last = mine.offers+d.offers, mine.wins+d.wins, max(mine.last, d.last)
	if !d.shares {
		return
	}
	both := p.share(account, mine)
	if both.overlap == 0 && s.overlap != 0 {
		p.overlaps++
	}
	both.overlap, both.protected = max(both.overlap, s.overlap), max(both.protected, s.protected)
}

// absorb takes over everything another partner did, once the two are one; the
// other keeps its record and begins anew.
func (p *PartnerState) absorb(o *PartnerState, c *change) {
	p.weigh(c, -1)
	o.weigh(c, -1)
	for k := range o.series {
		p.mustRoll(k, p.series[k].absorb(p.today, &o.series[k]))
	}
	for l := range p.last {
		p.last[l] = max(p.last[l], o.last[l])
	}
	if first, other := p.last[firstBusiness], o.last[firstBusiness]; first != never && other != never {
		p.last[firstBusiness] = min(first, other)
	}
	if o.last[lastSurvey] == p.last[lastSurvey] && o.last[lastSurvey] != never {
		p.surveyScore = o.surveyScore
	}
	p.integrations += o.integrations
	p.offers.absorb(&o.offers)
	p.segments.reserve(o.segments.n)
	p.accounts.reserve(o.accounts.n)
	o.segments.each(func(key uint64, t *tally) {
		mine := p.segments.put(key)
		mine.n += t.n
		mine.pos += t.pos
	})
	o.accounts.each(func(key uint64, d *dealings) { p.absorbAccount(key, d, o.sharedWith(key, d)) })
	p.Version++
	fresh := newPartnerState(o.ID, o.today)
	fresh.Version, fresh.record, fresh.profile = o.Version+1, o.record, o.profile
	*o = *fresh
	p.weigh(c, 1)
}
