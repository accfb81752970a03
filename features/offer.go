package features

import "slices"

// What came of an offer.
type outcome uint8

const (
	unknown outcome = iota
	notWon
	won
)

// offer is one offer's life, kept while it can still change.
type offer struct {
	id, lead         uint64
	view             *leadState
	made             int64  // Unix seconds
	dealBy           uint64 // the event that settled its deal
	reply            reply
	result           result
	day, done        day // done: the day something last became known of it
	waiting, working bool
}

// reply is a partner's answer to an offer.
type reply struct {
	by   uint64 // the event that said so, for a correction that names it; 0: none yet
	at   int64
	day  day
	kind factKind
}

// result is what an offer counts as in the win rates.
type result struct {
	by      uint64
	day     day
	outcome outcome
}

// wait is how long the answer took, in seconds.
func (o *offer) wait() int64 { return max(0, o.reply.at-o.made) }

// offerBook is a partner's offers and deals, with what corrections need.
//
// A settled offer, a deal and the effect of an event can be corrected for
// correctDays after they became known; then they are forgotten and what they
// counted stands. An offer without an outcome is forgotten after openDays.
type offerBook struct {
	list    []offer
	byID    table[int32] // place in list
	byLead  table[int32] // of the newest offer of that lead
	deals   table[deal]
	effects effects
}

const (
	correctDays = 91
	openDays    = 728
)

// deal is a deal's lead and what settled it.
type deal struct {
	lead uint64
	by   uint64
	day  day
}

// effect is what an event counted, so that it can be taken back.
type effect struct {
	id     uint64 // of the event
	amount int64
	key    uint64 // of the offer it settled or answered, if any
	deal   uint64
	day    day
	known  day
	kind   uint8
	byID   bool // key is an offer's id, not its lead
}

// effects are a partner's, as they came. Corrections are few and effects many,
// so that looking through a list costs less than keeping a table. Of two by one
// event the later holds.
type effects []effect

func (s *effects) remove(id uint64) {
	*s = slices.DeleteFunc(*s, func(e effect) bool { return e.id == id })
}

func (s effects) get(id uint64) (effect, bool) {
	for i := len(s) - 1; i >= 0; i-- {
		if s[i].id == id {
			return s[i], true
		}
	}
	return effect{}, false
}

// absorb takes in another partner's.
func (s *effects) absorb(o effects) {
	var theirs table[struct{}]
	for i := range o {
		theirs.put(o[i].id)
	}
	*s = append(slices.DeleteFunc(*s, func(e effect) bool { return theirs.get(e.id) != nil }), o...)
}

// find returns the offer a fact is about: by its id, else the newest of its
// lead, else the one of its deal's lead; nil if there is none.
func (b *offerBook) find(f *fact) *offer {
	if f.offer != 0 {
		if i := b.byID.get(f.offer); i != nil {
			return &b.list[*i]
		}
	}
	lead := f.lead
	if d := b.deals.get(f.deal); lead == 0 && f.deal != 0 && d != nil {
		lead = d.lead
	}
	if i := b.byLead.get(lead); lead != 0 && i != nil {
		return &b.list[*i]
	}
	return nil
}

func (b *offerBook) add(o offer) {
	i := int32(len(b.list))
	b.list = append(spare(b.list), o)
	if o.id != 0 {
		*b.byID.put(o.id) = i
	}
	if o.lead != 0 {
		*b.byLead.put(o.lead) = i
	}
}

// open remembers which lead a deal came of.
func (b *offerBook) open(f *fact) {
	if f.deal != 0 {
		d := b.deals.put(f.deal)
		d.lead, d.day = f.lead, max(d.day, f.day)
	}
}

func (b *offerBook) sweep(today day) {
	keep := func(o *offer) bool {
		if o.result.outcome != unknown || !o.waiting && !o.working {
			return o.done > today-correctDays
		}
		return o.done > today-openDays
	}
	list := slices.DeleteFunc(b.list, func(o offer) bool { return !keep(&o) })
	if len(list) < len(b.list) || b.byLead.n > 0 && len(list) == 0 {
		*b = offerBook{deals: b.deals, effects: b.effects}
		for _, o := range list {
			b.add(o)
		}
	}
	b.deals.filter(func(_ uint64, d *deal) bool { return d.day > today-openDays })
	b.effects = slices.DeleteFunc(b.effects, func(e effect) bool { return e.known <= today-correctDays })
}

// foldOffer takes in an offer made; the same offer made again is the same offer.
func (p *PartnerState) foldOffer(f *fact) {
	if f.offer != 0 && p.offers.byID.get(f.offer) != nil {
		return
	}
	p.count(offers, f.day, 1, 0)
	p.count(waiting, f.day, 1, 0)
	p.mark(lastOffer, f.day)
	o := offer{id: f.offer, lead: f.lead, view: f.view, made: f.at, day: f.day, done: f.today, waiting: true}
	p.with(f, func(d *dealings) { d.offers++ })
	p.offers.add(o)
}

// stopWaiting ends the wait for an answer.
func (p *PartnerState) stopWaiting(o *offer) {
	if o.waiting {
		o.waiting = false
		p.count(waiting, o.day, -1, 0)
	}
}

func (p *PartnerState) stopWorking(o *offer) {
	if o.working {
		o.working = false
		p.count(working, o.reply.day, -1, 0)
	}
}

var answerKinds = map[factKind]int{isAccepted: accepts, isDeclined: declines, isExpired: expiries}

// foldAnswer takes in what became of an offer before any deal. Of two answers
// to one offer the first known stands, unless the second corrects it; an offer
// may be superseded after it was accepted.
func (p *PartnerState) foldAnswer(f *fact, c *change) {
	o := p.offers.find(f)
	if o != nil && o.reply.by != 0 && f.kind != isSuperseded && f.kind != isWithdrawn {
		return
	}
	e := effect{id: f.id, kind: kinds, day: f.day, known: f.today}
	if kind, counted := answerKinds[f.kind]; counted {
		p.count(kind, f.day, 1, 0)
		e.kind = uint8(kind)
	}
	if f.kind == isAccepted {
		p.mark(lastAccept, f.day)
	}
	if o != nil {
		e.key, e.byID = offerKey(o)
		o.done = max(o.done, e.known)
		p.answer(o, f, c)
	}
	p.offers.effects = append(spare(p.offers.effects), e)
}

func offerKey(o *offer) (key uint64, byID bool) {
	if o.id != 0 {
		return o.id, true
	}
	return o.lead, false
}

// answer moves an offer on by an answer.
func (p *PartnerState) answer(o *offer, f *fact, c *change) {
	p.stopWaiting(o)
	if f.kind == isSuperseded || f.kind == isWithdrawn {
		p.stopWorking(o)
		if f.kind == isSuperseded && o.result.outcome == unknown {
			p.settle(o, f, notWon, c)
		}
		return
	}
	o.reply = reply{f.id, f.at, f.day, f.kind}
	yes := int64(0)
	if f.kind == isAccepted {
		yes = 1
		if o.result.outcome == unknown {
			o.working = true
			p.count(working, f.day, 1, 0)
		}
	}
	p.rate(c, answers, f.day, 1, yes)
	if f.kind != isExpired {
		p.count(responses, f.day, 1, o.wait())
	}
	if f.kind != isAccepted && o.result.outcome == unknown {
		p.settle(o, f, notWon, c)
	}
}

// foldOutcome takes in a deal won or lost, of an offer or of the partner's own.
// A second outcome of one deal counts nothing, unless it corrects the first.
func (p *PartnerState) foldOutcome(f *fact, c *change) {
	o := p.offers.find(f)
	if f.deal != 0 {
		d := p.offers.deals.put(f.deal)
		if d.by != 0 {
			return
		}
		d.by, d.day = f.id, max(d.day, f.today)
	} else if o != nil && o.dealBy != 0 {
		return
	}
	kind, y := losses, notWon
	if f.kind == isWon {
		kind, y = wins, won
		p.mark(lastWin, f.day)
		p.trade(f.day, 1, f.amount)
		p.with(f, func(d *dealings) { d.wins++ })
	}
	p.count(kind, f.day, 1, f.amount)
	e := effect{id: f.id, kind: uint8(kind), day: f.day, known: f.today, amount: f.amount, deal: f.deal}
	if o != nil {
		e.key, e.byID = offerKey(o)
		o.done = max(o.done, e.known)
		if o.dealBy == 0 {
			o.dealBy = f.id
		}
		p.stopWaiting(o)
		p.stopWorking(o)
		if o.result.outcome == unknown {
			p.settle(o, f, y, c)
		}
	}
	p.offers.effects = append(spare(p.offers.effects), e)
}

// settle counts an offer's outcome for the partner and for its lead's segments.
func (p *PartnerState) settle(o *offer, f *fact, y outcome, c *change) {
	o.result = result{f.id, f.day, y}
	p.countOutcome(o, 1, c)
}

func (p *PartnerState) unsettle(o *offer, c *change) {
	p.countOutcome(o, -1, c)
	o.result = result{}
}

func (p *PartnerState) countOutcome(o *offer, sign int32, c *change) {
	pos := int32(0)
	if o.result.outcome == won {
		pos = sign
	}
	p.rate(c, decided, o.result.day, sign, int64(pos))
	if o.view == nil {
		return
	}
	for _, key := range o.view.keys() {
		if key == 0 {
			continue
		}
		t := c.tallies.put(key)
		t.n += sign
		t.pos += pos
		if mine := p.segments.get(key); mine != nil {
			mine.n += sign
			mine.pos += pos
		} else if p.segments.n < maxSegments {
			*p.segments.put(key) = tally{sign, pos}
		}
	}
}

// takeBack undoes what an event of this partner counted, for a later one that
// corrects it. The days something last happened are not taken back.
func (p *PartnerState) takeBack(id, account uint64, c *change) {
	e, ok := p.offers.effects.get(id)
	if !ok {
		return
	}
	p.Version++
	p.offers.effects.remove(id)
	if e.kind < kinds {
		p.count(int(e.kind), e.day, -1, -e.amount)
	}
	if e.kind == wins || e.kind == orders {
		p.trade(e.day, -1, e.amount)
	}
	if e.kind == wins {
		if d := p.accounts.get(account); account != 0 && d != nil {
			d.wins--
		}
	}
	if d := p.offers.deals.get(e.deal); e.deal != 0 && d != nil {
		d.by = 0
	}
	p.reopen(id, &e, c)
}

// reopen takes an answer or outcome off the offer it was about.
func (p *PartnerState) reopen(id uint64, e *effect, c *change) {
	about := fact{lead: e.key}
	if e.byID {
		about = fact{offer: e.key}
	}
	o := p.offers.find(&about)
	if o == nil {
		return
	}
	if o.result.by == id {
		p.unsettle(o, c)
	}
	if o.dealBy == id {
		o.dealBy = 0
	}
	accepted := o.reply.by != 0 && o.reply.kind == isAccepted
	if o.reply.by == id {
		yes := int64(0)
		if accepted {
			yes = 1
			p.stopWorking(o)
		}
		p.rate(c, answers, o.reply.day, -1, -yes)
		if o.reply.kind != isExpired {
			p.count(responses, o.reply.day, -1, -o.wait())
		}
		o.reply = reply{}
		accepted = false
	}
	if o.result.outcome != unknown {
		return
	}
	if accepted && !o.working {
		o.working = true
		p.count(working, o.reply.day, 1, 0)
	}
	if o.reply.by == 0 && !o.waiting {
		o.waiting = true
		p.count(waiting, o.day, 1, 0)
	}
}

// absorb takes over another partner's offers and deals.
func (b *offerBook) absorb(o *offerBook) {
	for _, x := range o.list {
		b.add(x)
	}
	b.deals.reserve(o.deals.n)
	o.deals.each(func(key uint64, d *deal) { *b.deals.put(key) = *d })
	b.effects.absorb(o.effects)
}
