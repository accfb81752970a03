package routing

import (
	"cmp"
	"math"
	"slices"
	"time"

	"bellwether/datasets/record"
)

// Observe folds one event into the index: offers and their answers, outcomes,
// registered deals, and changes of a partner's status, tier, certificates,
// contract or identity. Events come in log order; those that say nothing of
// these, or speak of a partner the index does not know, change nothing.
func (ix *Index) Observe(e *record.Event) {
	if e.Type == record.DealRegistered {
		ix.deals.register(e, ix.policy.protection())
		return
	}
	if e.Type == record.DealWon || e.Type == record.DealLost {
		ix.deals.close(e.Deal)
	}
	n, ok := ix.number[e.Partner]
	if !ok {
		return
	}
	p := ix.root(ix.entries[n])
	if state, is := offerStates[e.Type]; is {
		if e.Lead != "" {
			ix.answer(p, e, state)
		}
		return
	}
	switch e.Type {
	case record.OfferMade:
		ix.offer(p, e)
	case record.PartnerMerged:
		ix.merge(p, e.Other)
	default:
		if next := changed(p.partner, e); next != nil {
			ix.replace(p, next)
		}
	}
}

// changed returns the partner as it is after the event, nil for no change.
func changed(old *record.Partner, e *record.Event) *record.Partner {
	p := *old
	switch e.Type {
	case record.TierChanged:
		p.Tier = e.Text
	case record.StatusChanged:
		p.Status = withStatus(p.Status, record.StatusSpan{Status: e.Text, Span: record.Span{From: e.At}})
	case record.Certified:
		p.Certifications = append(slices.Clip(slices.Clone(p.Certifications)), record.Certification{Name: e.Text, Span: record.Span{From: e.At, To: e.Until}})
	case record.ContractRenewed:
		p.Contract.To = e.Until
	case record.ContractLapsed:
		if p.Contract.To.IsZero() || p.Contract.To.After(e.At) {
			p.Contract.To = e.At
		}
	default:
		return nil
	}
	return &p
}

// withStatus puts a status in force from its day on, before any that begins
// later: what is learned late does not undo what came after it.
func withStatus(spans []record.StatusSpan, s record.StatusSpan) []record.StatusSpan {
	if len(spans) == 0 {
		spans = []record.StatusSpan{{Status: "active"}}
	}
	at := len(spans)
	for at > 0 && spans[at-1].From.After(s.From) {
		at--
	}
	return slices.Insert(slices.Clone(spans), at, s)
}

// The states of an offer, and what each counts for.
const (
	offered  uint8 = iota // reserved, open
	accepted              // used, open
	decided               // used
	released              // nothing: declined, expired, withdrawn, superseded
)

var offerStates = map[record.EventType]uint8{
	record.OfferAccepted: accepted, record.OfferDeclined: released, record.OfferExpired: released,
	record.OfferWithdrawn: released, record.OfferSuperseded: released, record.DealWon: decided, record.DealLost: decided,
}

// history is every offer of every lead, latest first.
type history struct {
	heads map[uint64]int32 // leadKey → index in links
	links []link
}

// link is one offer of a lead.
type link struct {
	next    int32 // the offer before, -1
	partner uint32
	state   uint8
	at      int64 // Unix seconds
}

// before lists the partners that were offered the lead.
func (h *history) before(lead record.LeadID, f func(partner uint32)) {
	i, ok := h.heads[leadKey(lead)]
	for ok && i >= 0 {
		f(h.links[i].partner)
		i = h.links[i].next
	}
}

func (ix *Index) offer(p *entry, e *record.Event) {
	h, key := &ix.chains, leadKey(e.Lead)
	next, ok := h.heads[key]
	if !ok {
		next = -1
	}
	h.heads[key] = int32(len(h.links))
	l := link{next: next, partner: p.number, state: offered, at: e.At.Unix()}
	h.links = append(h.links, l)
	ix.offers++
	p.lastOffer = ix.offers
	p.load.Recent = p.load.recent(l.at) + math.Exp2(-float64(max(0, p.load.RecentAt-l.at))/(28*86400))
	p.load.RecentAt = max(p.load.RecentAt, l.at)
	p.count(l, +1)
	ix.refill(p)
}

// answer moves the partner's latest offer of the lead into a state.
func (ix *Index) answer(p *entry, e *record.Event, state uint8) {
	h := &ix.chains
	i, ok := h.heads[leadKey(e.Lead)]
	for ok && i >= 0 && h.links[i].partner != p.number {
		i = h.links[i].next
	}
	if !ok || i < 0 {
		return
	}
	p.count(h.links[i], -1)
	h.links[i].state = state
	p.count(h.links[i], +1)
	ix.refill(p)
}

// count adds what an offer counts for, or takes it away.
func (e *entry) count(l link, by int) {
	if l.state == offered || l.state == accepted {
		e.load.Open += by
	}
	period := e.period.of(time.Unix(l.at, 0))
	if period > e.load.Period {
		e.load.Period, e.load.Reserved, e.load.Used = period, 0, 0
	}
	if period < e.load.Period {
		return
	}
	switch l.state {
	case offered:
		e.load.Reserved += by
	case accepted, decided:
		e.load.Used += by
	}
}

// recount makes a partner's counter anew from its offers.
func (ix *Index) recount(e *entry) {
	e.load.Period, e.load.Reserved, e.load.Used, e.load.Open = 0, 0, 0, 0
	for _, l := range ix.chains.links {
		if l.partner == e.number {
			e.count(l, +1)
		}
	}
	ix.refill(e)
}

// merge lets p stand for another partner: it inherits that one's leads and
// registered deals, and the other is offered nothing more.
func (ix *Index) merge(p *entry, other record.PartnerID) {
	n, ok := ix.number[other]
	if !ok {
		return
	}
	o := ix.root(ix.entries[n])
	if o == p {
		return
	}
	for i := range ix.chains.links {
		if ix.chains.links[i].partner == o.number {
			ix.chains.links[i].partner = p.number
		}
	}
	now := max(p.load.RecentAt, o.load.RecentAt)
	p.load.Recent, p.load.RecentAt = p.load.recent(now)+o.load.recent(now), now
	p.lastOffer = max(p.lastOffer, o.lastOffer)
	ix.recount(p)
	ix.recount(o)
	o.into = int32(p.number)
	ix.replace(o, o.partner)
}

// protections are the registered deals, by account.
type protections struct {
	by     map[record.AccountID][]protection
	events map[record.EventID]record.AccountID
	deals  map[record.DealID]record.AccountID
}

// protection is one registered deal.
type protection struct {
	Event  record.EventID   `json:"event"`
	Deal   record.DealID    `json:"deal,omitempty"`
	Holder record.PartnerID `json:"holder"`
	At     time.Time        `json:"at"`
	Until  time.Time        `json:"until"`
}

func newProtections() protections {
	return protections{by: map[record.AccountID][]protection{}, events: map[record.EventID]record.AccountID{}, deals: map[record.DealID]record.AccountID{}}
}

func (d *protections) register(e *record.Event, usual time.Duration) {
	if e.Supersedes != "" {
		d.drop(d.events[e.Supersedes], func(p protection) bool { return p.Event == e.Supersedes })
	}
	until := e.Until
	if until.IsZero() {
		until = e.At.Add(usual)
	}
	known := e.Known()
	d.drop(e.Account, func(p protection) bool { return !p.Until.After(known) })
	d.add(e.Account, protection{Event: e.ID, Deal: e.Deal, Holder: e.Partner, At: e.At, Until: until})
}

func (d *protections) add(account record.AccountID, p protection) {
	list := append(d.by[account], p)
	slices.SortStableFunc(list, func(a, b protection) int { return cmp.Compare(a.At.UnixNano(), b.At.UnixNano()) })
	d.by[account] = list
	d.events[p.Event] = account
	if p.Deal != "" {
		d.deals[p.Deal] = account
	}
}

func (d *protections) drop(account record.AccountID, which func(protection) bool) {
	kept := d.by[account][:0]
	for _, p := range d.by[account] {
		if which(p) {
			delete(d.events, p.Event)
			delete(d.deals, p.Deal)
		} else {
			kept = append(kept, p)
		}
	}
	if len(kept) == 0 {
		delete(d.by, account)
		return
	}
	d.by[account] = kept
}

// close ends the protection of a deal that was won or lost.
func (d *protections) close(deal record.DealID) {
	if account, ok := d.deals[deal]; ok && deal != "" {
		d.drop(account, func(p protection) bool { return p.Deal == deal })
	}
}

// holder returns the protection in force on an account: the one registered
// first of those that have not ended.
func (d *protections) holder(account record.AccountID, now time.Time) (protection, bool) {
	if account == "" {
		return protection{}, false
	}
	for _, p := range d.by[account] {
		if p.Until.After(now) {
			return p, true
		}
	}
	return protection{}, false
}
