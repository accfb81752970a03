package synth

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"math"
	"slices"
	"time"

	"bellwether/datasets/record"
)

// maxOffers is how many partners are asked before a lead is given up.
const maxOffers = 5

// maxCandidates is how many candidates a decision lists; where more were
// eligible only the chosen one is, with its propensity.
const maxCandidates = 64

// expiry is how long an offer stands.
const expiry = 5 * day

type dealState uint8

const (
	offered dealState = iota + 1
	working
	closed
)

// deal is an offer out with a partner, or business in hand.
type deal struct {
	serial   int64
	lead     int64 // -1: the partner's own business
	account  int64
	partner  int32
	state    dealState
	win      bool
	stage    uint8
	product  uint8 // of own business
	due      int64 // when the offer expires, then when the deal closes
	amount   int64
	offer    record.OfferID
	decision record.DecisionID
	tried    []int32 // whom the lead was offered to before, this partner last
	accepts  bool
}

func (g *run) newDeal(d deal) (slot int32, kept *deal) {
	g.seq++
	d.serial = int64(g.seq)
	if n := len(g.free); n > 0 {
		slot, g.free = g.free[n-1], g.free[:n-1]
		g.deals[slot] = d
	} else {
		slot = int32(len(g.deals))
		g.deals = append(g.deals, d)
	}
	return slot, &g.deals[slot]
}

func (g *run) drop(slot int32) {
	g.deals[slot] = deal{}
	g.free = append(g.free, slot)
}

// offer routes a lead by the past policy, records the decision, and makes the
// offer if anybody is eligible.
func (g *run) offer(lead int64, tried []int32, previous record.DecisionID) {
	f := g.w.leadFacts(lead)
	i, propensity := g.policy.choose(g.r, &f, tried)
	id := record.DecisionID(g.uuid())
	offer := record.OfferID(g.uuid())
	g.decide(&record.Decision{ID: id, Lead: leadID(lead), Previous: previous, Offer: offer, Propensity: propensity}, i)
	if i < 0 {
		return
	}
	g.policy.offered(i, g.now)
	g.hearts[i].quiet = 0
	p := &g.w.partners[i]
	mood := p.moodAt(g.w, g.now)
	slot, d := g.newDeal(deal{lead: lead, account: f.account, partner: int32(i), state: offered, decision: id,
		offer: offer, due: g.now + expiry, tried: append(slices.Clip(tried), int32(i)), amount: f.money().Amount})
	g.event(record.Event{Type: record.OfferMade, Partner: p.rec.ID, Lead: leadID(lead), Account: accountID(f.account),
		Decision: id, Offer: d.offer, Until: time.Unix(g.now+expiry, 0).UTC()})
	d.accepts = g.r.Float64() < g.w.accept(&f, p, g.now)
	d.win = g.r.Float64() < logistic(g.w.winLogit(&f, p, g.now))
	took := int64(3600 * p.reply * math.Exp(0.7*g.r.NormFloat64()-0.5*mood))
	took = min(max(took, 120), expiry-3600)
	if !d.accepts && g.r.Float64() < logistic(-1.1-0.9*mood) {
		took = expiry
	}
	g.push(action{at: g.now + took, slot: slot, serial: d.serial, partner: int32(i), deed: answerOffer})
}

// decide completes the record of a choice and sends it; chosen is -1 where
// nobody was eligible.
func (g *run) decide(d *record.Decision, chosen int) {
	sum := sha256.Sum256([]byte(d.Lead))
	d.LeadRef, d.At, d.Policy = hex.EncodeToString(sum[:]), time.Unix(g.now, 0).UTC(), "past:v1"
	if chosen < 0 {
		d.Offer = ""
		g.fail(g.sink.Decision(d))
		return
	}
	d.Chosen, d.ExpiresAt = g.w.partners[chosen].rec.ID, time.Unix(g.now+expiry, 0).UTC()
	for n, i := range g.policy.eligible {
		if len(g.policy.eligible) <= maxCandidates || int(i) == chosen {
			d.Candidates = append(d.Candidates, record.Candidate{Partner: g.w.partners[i].rec.ID, Prob: g.policy.prob[n]})
		}
	}
	g.fail(g.sink.Decision(d))
}

// work carries an offer or a deal one step on.
func (g *run) work(a action) {
	d := &g.deals[a.slot]
	switch a.deed {
	case answerOffer:
		g.answer(a.slot, d)
	case openDeal:
		g.dealEvent(d, record.Event{Type: record.DealOpened, Amount: g.money(d, d.amount), Products: g.wanted(d)}, 0.02)
	case moveStage:
		g.dealEvent(d, record.Event{Type: record.DealStage, Text: stages[d.stage]}, 0.02)
		if d.stage++; d.stage == 1 && g.r.Float64() < 0.12 {
			g.touch(d)
		}
	case closeDeal:
		g.close(a.slot, d)
	case payOut:
		g.dealEvent(d, record.Event{Type: record.Payout, Amount: g.money(d, d.amount/10)}, 0)
		g.drop(a.slot)
	case withdraw:
		if d.state == working {
			g.event(record.Event{Type: record.OfferWithdrawn, Partner: g.w.partners[d.partner].rec.ID, Lead: leadID(d.lead),
				Account: accountID(d.account), Decision: d.decision, Offer: d.offer, Reason: "partner_inactive"})
			g.again(a.slot)
		}
	}
}

// answer is what the partner says to an offer, or that it says nothing.
func (g *run) answer(slot int32, d *deal) {
	p, desk := &g.w.partners[d.partner], &g.policy.desks[d.partner]
	e := record.Event{Partner: p.rec.ID, Lead: leadID(d.lead), Account: accountID(d.account), Decision: d.decision, Offer: d.offer}
	gone := p.left != 0 && g.now >= p.left
	switch {
	case gone && g.now < d.due:
		g.push(action{at: d.due, slot: slot, serial: d.serial, partner: d.partner, deed: answerOffer})
	case g.now >= d.due:
		e.Type = record.OfferExpired
		g.event(e)
		if desk.unanswered++; desk.unanswered >= 3 && desk.active {
			g.suspend(d.partner)
		}
		g.again(slot)
	case d.accepts:
		desk.unanswered = 0
		e.Type = record.OfferAccepted
		g.event(e)
		g.begin(slot, d)
	default:
		desk.unanswered = 0
		e.Type, e.Reason = record.OfferDeclined, g.declineReason(d)
		g.event(e)
		g.again(slot)
	}
}

// again offers a lead to somebody else.
func (g *run) again(slot int32) {
	d := g.deals[slot]
	g.drop(slot)
	if len(d.tried) < maxOffers {
		g.offer(d.lead, d.tried, d.decision)
	}
}

func (g *run) declineReason(d *deal) string {
	f := g.w.leadFacts(d.lead)
	p, desk := &g.w.partners[d.partner], &g.policy.desks[d.partner]
	weights := []float64{0.15, 0.03, 0.1, 0.08, 0.02, 0.1, 0.08, 0.03, 0.08, 0.02, 0.08} // over record.DeclineReasons
	if 2*desk.used > desk.units {
		weights[0] += 0.4
	}
	weights[2] += max(0, -p.skill.product[f.products[0]]-p.skill.industry[f.industry]) * 0.3
	if f.intent < 0 {
		weights[5] += 0.3
	}
	weights[8] += max(0, -p.moodAt(g.w, g.now)) * 0.2
	return record.DeclineReasons[g.weighted(weights)]
}

func (g *run) lossReason(d *deal) string {
	weights := []float64{0.25, 0.22, 0.12, 0.14, 0.12, 0.08, 0.07} // over lossReasons
	p := &g.w.partners[d.partner]
	weights[6] += 0.2 * max(0, -p.skill.general-0.5*p.moodAt(g.w, g.now))
	if d.lead >= 0 {
		if f := g.w.leadFacts(d.lead); f.intent < 0 {
			weights[2] += 0.25
			weights[3] += 0.2
		} else {
			weights[5] += 0.2 * max(0, -g.w.demand[f.products[0]])
		}
	}
	return lossReasons[g.weighted(weights)]
}

func (g *run) weighted(weights []float64) int {
	total := 0.0
	for _, x := range weights {
		total += x
	}
	u := g.r.Float64() * total
	for i, x := range weights {
		if u -= x; u < 0 {
			return i
		}
	}
	return 0
}

// begin opens the deal of an accepted offer and fixes when it ends: weeks, more
// for large customers, log-normal, within the horizon.
func (g *run) begin(slot int32, d *deal) {
	f := g.w.leadFacts(d.lead)
	d.state = working
	days := 34 * (0.75 + 0.25*float64(f.size)) * math.Exp(0.55*g.r.NormFloat64())
	if !d.win {
		days *= 1.15
	}
	d.due = g.now + int64(min(max(days, 3), HorizonDays-6)*day)
	g.progress(slot, d)
}

// progress lays out a deal's way from its opening to its end.
func (g *run) progress(slot int32, d *deal) {
	step := func(at int64, what deed) {
		g.push(action{at: at, slot: slot, serial: d.serial, partner: d.partner, deed: what})
	}
	open := g.now + 3600 + g.r.Int64N(day)
	step(open, openDeal)
	for n := range 1 + g.r.IntN(len(stages)) {
		step(open+(d.due-open)*int64(n+1)/4, moveStage)
	}
	step(d.due, closeDeal)
}

func (g *run) close(slot int32, d *deal) {
	p, h := &g.w.partners[d.partner], &g.hearts[d.partner]
	d.state = closed
	switch {
	case d.lead < 0 && p.left != 0: // nobody tells us about the own business of a partner that left
		g.drop(slot)
	case d.win:
		h.wins++
		h.yearWins++
		d.amount = int64(float64(d.amount) * math.Exp(0.25*g.r.NormFloat64()))
		g.dealEvent(d, record.Event{Type: record.DealWon, Amount: g.money(d, d.amount), Products: g.wanted(d)}, 1)
		g.push(action{at: g.now + int64(20+g.r.IntN(20))*day, slot: slot, serial: d.serial, partner: d.partner, deed: payOut})
	default:
		if d.lead >= 0 {
			h.losses++
		}
		g.dealEvent(d, record.Event{Type: record.DealLost, Reason: g.lossReason(d)}, 1)
		g.drop(slot)
	}
}

// touch records somebody else's part in a deal.
func (g *run) touch(d *deal) {
	other := &g.w.partners[g.r.IntN(len(g.w.partners))]
	if now := g.now; other.joined > now || other.left != 0 {
		return
	}
	g.event(record.Event{Type: record.Touch, Partner: other.rec.ID, Deal: d.id(), Account: accountID(d.account),
		Role: []string{"influencer", "implementer", "referrer"}[g.r.IntN(3)]})
}

func (d *deal) id() record.DealID { return record.DealID(fmt.Sprintf("D%08d", d.serial)) }

func (g *run) money(d *deal, amount int64) record.Money {
	_, _, region, _ := g.w.account(d.account)
	return record.Money{Amount: amount, Currency: regions[region].currency}
}

func (g *run) wanted(d *deal) []string {
	if d.lead < 0 {
		return products[d.product : d.product+1]
	}
	f := g.w.leadFacts(d.lead)
	words := make([]string, len(f.products))
	for n, k := range f.products {
		words[n] = products[k]
	}
	return words
}

// dealEvent sends an event of a deal; late is how often it is late, as a
// multiple of the configured share.
func (g *run) dealEvent(d *deal, e record.Event, late float64) {
	e.Partner, e.Deal, e.Account = g.w.partners[d.partner].rec.ID, d.id(), accountID(d.account)
	if d.lead >= 0 {
		e.Lead, e.Decision, e.Offer = leadID(d.lead), d.decision, d.offer
	}
	g.eventLate(e, late)
}
