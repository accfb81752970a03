package synth

import (
	"math"
	"math/rand/v2"
	"slices"
	"time"

	"bellwether/datasets/record"
)

// moment is one small thing a partner does on a day, packed so that a day's
// moments sort as numbers: second of the day, partner, kind.
type moment uint8

const (
	login moment = iota
	download
	view
	message
	survey
	support
	order
	register
	train
	integrate
	overlap
	papers // not an event: contract and certificates are looked through
)

// pulse steers portal activity towards a wanted number of events.
type pulse struct {
	want  float64 // 0: natural
	sent  int64   // events so far
	other float64 // events of a usual day that are not portal activity, a running mean
	today int64   // of these, so far today
}

// scale is what to multiply the natural portal activity of day d by, whose sum
// over partners is natural.
func (u *pulse) scale(d, days int, natural float64) float64 {
	if u.want == 0 || natural == 0 {
		return 1
	}
	due := u.want*float64(d+1)/float64(days) - float64(u.sent) - u.other
	return max(due/natural, 0)
}

func (u *pulse) newDay(d int) {
	if d == 0 {
		return
	}
	if d == 1 {
		u.other = float64(u.today)
	}
	u.other += 0.2 * (float64(u.today) - u.other)
	u.today = 0
}

// activity is how much of its usual pace a partner keeps: a sour one fades, a
// new one has yet to get going, nobody does much at the weekend.
func (g *run) activity(p *partner, midnight int64) float64 {
	if midnight+day <= p.joined || p.left != 0 && midnight >= p.left {
		return 0
	}
	a := math.Exp(0.8 * min(p.moodAt(g.w, midnight), 0.6))
	a *= 1 - 0.6*math.Exp(-float64(max(midnight-p.joined, 0))/(50*day))
	if weekday := time.Unix(midnight, 0).UTC().Weekday(); weekday == time.Saturday || weekday == time.Sunday {
		a *= 0.25
	}
	return a
}

// deal lays out the small things of a day in their order.
func (g *run) deal(d int) {
	midnight := g.w.start + int64(d)*day
	g.deck = g.deck[:0]
	g.pulse.newDay(d)
	natural := 0.0
	for i := range g.w.partners {
		natural += g.w.partners[i].pace * g.activity(&g.w.partners[i], midnight)
	}
	scale := g.pulse.scale(d, g.w.cfg.Days, natural)
	for i := range g.w.partners {
		p := &g.w.partners[i]
		if (d+i)%7 == 0 && midnight > p.joined && g.status(int32(i)) != "terminated" {
			g.deck = append(g.deck, uint64(i)<<8|uint64(papers))
		}
		a := g.activity(p, midnight)
		if a == 0 {
			continue
		}
		for range poisson(g.r, p.pace*a*scale) {
			g.put(i, [...]moment{login, login, login, login, login, download, download, view}[g.r.IntN(8)])
		}
		g.rare(i, p, a, midnight)
		if (d+13*i)%91 == 90 && g.r.Float64() < logistic(0.3+0.5*p.moodAt(g.w, midnight)) {
			g.put(i, survey)
		}
	}
	g.overlaps(d)
	slices.Sort(g.deck)
}

// rare draws, with one number, whether a partner does one of the rarer things.
func (g *run) rare(i int, p *partner, a float64, midnight int64) {
	mood := p.moodAt(g.w, midnight)
	u := g.r.Float64()
	for _, x := range [...]struct {
		kind moment
		rate float64
	}{
		{message, 0.025 + 0.01*math.Abs(mood)}, {support, 0.012 + 0.008*max(0, -mood)}, {order, min(p.orders*a, 0.5)},
		{register, 0.02 * a}, {train, 0.008 * a}, {integrate, 0.0012 * a},
	} {
		if u -= x.rate; u < 0 {
			g.put(i, x.kind)
			return
		}
	}
}

func (g *run) put(i int, kind moment) {
	second := 7*3600 + g.r.IntN(13*3600)
	g.deck = append(g.deck, uint64(second)<<32|uint64(i)<<8|uint64(kind))
}

// overlaps makes it known, mostly early on, which customers partners already
// serve.
func (g *run) overlaps(d int) {
	n, days := g.w.numAccounts(), int64(g.w.cfg.Days)
	early := min(max(days/10, 1), days)
	if int64(d) >= early {
		return
	}
	for a := n * int64(d) / early; a < n*int64(d+1)/early; a++ {
		if i := g.w.incumbentIndex(a); i >= 0 && mix(uint64(a))%4 > 0 { // of one in four nobody ever hears
			g.deck = append(g.deck, uint64(3600+mix(uint64(a)^7)%3600)<<32|uint64(i)<<8|uint64(overlap))
			g.shared = append(g.shared, shared{int32(i), a})
		}
	}
}

// shared is a customer that a partner turns out to serve already.
type shared struct {
	partner int32
	account int64
}

// sharedAccount takes the next shared customer of a partner off today's list.
func (g *run) sharedAccount(i int32) int64 {
	n := slices.IndexFunc(g.shared, func(s shared) bool { return s.partner == i })
	account := g.shared[n].account
	last := len(g.shared) - 1
	g.shared[n] = g.shared[last]
	g.shared = g.shared[:last]
	return account
}

// small does one moment.
func (g *run) small(x uint64) {
	i, kind := int32(x>>8&0xFFFFFF), moment(x)
	p := &g.w.partners[i]
	if kind == papers {
		g.papers(i)
		return
	}
	if kind == overlap {
		account := g.sharedAccount(i)
		if g.now >= p.joined {
			g.event(record.Event{Type: record.AccountOverlap, Partner: p.rec.ID, Account: accountID(account),
				Numbers: map[string]float64{"count": float64(1 + account%3)}})
		}
		return
	}
	if g.now < p.joined || p.left != 0 && g.now >= p.left {
		return
	}
	e := record.Event{Partner: p.rec.ID}
	switch kind {
	case login:
		e.Type = record.PortalLogin
	case download:
		e.Type = record.PortalDownload
	case view:
		e.Type = record.TrainingView
	case message:
		e.Type, e.Direction, e.Text = record.Message, "in", g.say(p)
	case survey:
		score := math.Round(7.2 + 1.7*p.moodAt(g.w, g.now) + 1.5*g.r.NormFloat64())
		e.Type, e.Numbers = record.Survey, map[string]float64{"score": min(max(score, 0), 10)}
	case support:
		severe := math.Round(2.2 - 0.5*p.moodAt(g.w, g.now) + g.r.NormFloat64())
		e.Type, e.Numbers = record.SupportCase, map[string]float64{"severity": min(max(severe, 1), 5)}
	case order:
		e.Type, e.Amount, e.Products = record.OrderPlaced, g.orderAmount(p), products[g.own(p):][:1]
	case register:
		g.register(i, p)
		return
	case train:
		e.Type, e.Text = record.Trained, products[g.own(p)]
	case integrate:
		e.Type, e.Text = record.IntegrationActivated, products[g.own(p)]
	}
	if kind <= view {
		g.pulse.today--
	}
	g.eventLate(e, 1)
}

func (g *run) papers(i int32) {
	p := &g.w.partners[i]
	if ends := p.rec.Contract.To.Unix(); !g.hearts[i].lapsing && ends-g.now <= 12*day {
		g.renew(i)
	}
	if p.left == 0 {
		g.certify(i)
	}
}

// own picks a product the partner sells.
func (g *run) own(p *partner) int {
	for {
		if k := g.r.IntN(numProducts); p.level[k] > 0 {
			return k
		}
	}
}

func (g *run) orderAmount(p *partner) record.Money {
	units := math.Round(3000 * math.Exp(0.8*g.r.NormFloat64()))
	return record.Money{Amount: int64(units) * 100, Currency: regions[p.region].currency}
}

// say writes what a partner in its mood would.
func (g *run) say(p *partner) string {
	mood := p.moodAt(g.w, g.now) + 0.9*g.r.NormFloat64()
	tone := 1
	switch {
	case mood < -0.9:
		tone = 0
	case mood > 0.6:
		tone = 2
	}
	return phrase(g.r, messageTexts[tone], products[g.own(p)], "")
}

// register protects business the partner found by itself and lets it run.
func (g *run) register(i int32, p *partner) {
	account := g.r.Int64N(g.w.numAccounts())
	usual := usualValue[choose(g.r, sizeShares[:])] * math.Exp(0.5*g.r.NormFloat64())
	slot, d := g.newDeal(deal{lead: -1, account: account, partner: i, state: working, product: uint8(g.own(p)),
		win: g.r.Float64() < logistic(-0.8+p.skill.general), amount: int64(usual) * 100})
	g.dealEvent(d, record.Event{Type: record.DealRegistered, Until: time.Unix(g.now+90*day, 0).UTC(), Amount: g.money(d, d.amount),
		Products: g.wanted(d)}, 1)
	d.due = g.now + int64(min(max(40*math.Exp(0.5*g.r.NormFloat64()), 4), 170)*day)
	g.progress(slot, d)
}

// poisson draws a count; by multiplying uniforms below 30, by the normal
// approximation above, where its error is far below the noise.
func poisson(r *rand.Rand, mean float64) int {
	if mean <= 0 {
		return 0
	}
	if mean > 30 {
		return int(max(0, math.Round(mean+math.Sqrt(mean)*r.NormFloat64())))
	}
	limit, n := math.Exp(-mean), 0
	for u := r.Float64(); u > limit; u *= r.Float64() {
		n++
	}
	return n
}
