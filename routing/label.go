package routing

import (
	"math"

	"bellwether/datasets/record"
	"bellwether/models/target"

	"github.com/cespare/xxhash/v2"
)

// Labels say what became of each offer. Observe takes every event of the data,
// in log order; the answers are those at the data's end.
//
// Win is P(won | offered and accepted). An offer's outcome is
//
//   - won (1) from the deal_won of its lead and partner on;
//   - lost (0) from the deal_lost of its lead and partner, or from the moment
//     the lead went on to another: its offer_superseded, an offer to another
//     partner made after it was accepted, or another partner's deal_won. Where
//     the data holds no acceptances an offer stands for an accepted one, and so
//     any later offer of the lead counts as moving it on;
//   - open, not yet known, otherwise.
//
// An offer that was declined, expired or was withdrawn, or that waits for an
// answer in data that has answers, is no row of Win: it was never worked on.
//
// Accept is P(accepted | offered): accepted (1), declined or expired (0), from
// the moment of the answer on. Offers withdrawn or moved on unanswered are no
// rows. Data without a single acceptance has no accept rows.
//
// The first outcome stands, unless a later event names it in Supersedes: then
// that one holds, known from its own known_at on, as if the first had not been.
// An outcome that contradicts without naming what it supersedes is ignored. An
// outcome belongs to the offer of its lead that it names or, naming none, to the
// latest offer of its lead and partner made before it.
//
// Rows to evaluate on are First: the first offer of each lead.
type Labels struct {
	offers  []offerLabel
	byEvent map[uint64]int32 // by hash, as all ids here: a log has many
	byOffer map[uint64]int32 // by lead and offer
	byLead  map[uint64]int32 // latest offer of the lead
	answers int              // acceptances seen
}

// offerLabel is what is known of one offer.
type offerLabel struct {
	partner  uint64
	before   int32 // the lead's offer before this one, -1
	answer   outcome
	deal     outcome
	moved    int64 // when the lead went on to another, or never
	takeBack int64 // when it was withdrawn, or never
}

// outcome is a fact with the event that said it. By is 0 while open.
type outcome struct {
	yes   bool
	known int64
	by    uint64
}

// never is the time of what has not happened.
const never = math.MaxInt64

// labelFact is what labels need of an event, ids by hash.
type labelFact struct {
	what       labelEvent
	known      int64 // Unix seconds
	id, lead   uint64
	partner    uint64
	offer      uint64
	supersedes uint64
}

type labelEvent uint8

const (
	sawMade labelEvent = iota + 1
	sawAccepted
	sawRefused // declined or expired
	sawWithdrawn
	sawSuperseded
	sawWon
	sawLost
)

// labelFactOf reads an event; false for one that labels do not need.
func labelFactOf(e *record.Event) (f labelFact, ok bool) {
	switch e.Type {
	case record.OfferMade:
		f.what = sawMade
	case record.OfferAccepted:
		f.what = sawAccepted
	case record.OfferDeclined, record.OfferExpired:
		f.what = sawRefused
	case record.OfferWithdrawn:
		f.what = sawWithdrawn
	case record.OfferSuperseded:
		f.what = sawSuperseded
	case record.DealWon:
		f.what = sawWon
	case record.DealLost:
		f.what = sawLost
	}
	if f.what == 0 || e.Lead == "" {
		return f, false
	}
	f.known, f.id, f.lead, f.partner = e.Known().Unix(), hash(e.ID), hash(e.Lead), hash(e.Partner)
	f.offer, f.supersedes = hash(e.Offer), hash(e.Supersedes)
	return f, true
}

// Observe takes the next event of the log.
func (l *Labels) Observe(e *record.Event) {
	if f, ok := labelFactOf(e); ok {
		l.observe(&f)
	}
}

func (l *Labels) observe(f *labelFact) {
	if l.byEvent == nil {
		l.byEvent, l.byOffer, l.byLead = map[uint64]int32{}, map[uint64]int32{}, map[uint64]int32{}
	}
	if f.what == sawMade {
		l.made(f)
		return
	}
	o := l.find(f)
	switch {
	case f.what == sawWon || f.what == sawLost:
		if o != nil && !o.deal.settle(f, f.what == sawWon) || f.what == sawLost {
			return
		}
		i, ok := l.byLead[f.lead]
		for ; ok && i >= 0; i = l.offers[i].before {
			if l.offers[i].partner != f.partner {
				l.offers[i].moved = min(l.offers[i].moved, f.known)
			}
		}
	case o == nil:
	case f.what == sawWithdrawn:
		o.takeBack = min(o.takeBack, f.known)
	case f.what == sawSuperseded:
		o.moved = min(o.moved, f.known)
	case o.answer.settle(f, f.what == sawAccepted) && f.what == sawAccepted:
		l.answers++
	}
}

func (l *Labels) made(f *labelFact) {
	before, ok := l.byLead[f.lead]
	if !ok {
		before = -1
	} else if o := &l.offers[before]; o.moved > f.known {
		o.moved = f.known
	}
	n := int32(len(l.offers))
	l.offers = append(l.offers, offerLabel{partner: f.partner, before: before, moved: never, takeBack: never})
	l.byEvent[f.id], l.byLead[f.lead] = n, n
	if f.offer != 0 {
		l.byOffer[target.Pair(f.lead, f.offer)] = n
	}
}

// find returns the offer an answer or outcome belongs to.
func (l *Labels) find(f *labelFact) *offerLabel {
	if f.offer != 0 {
		if i, ok := l.byOffer[target.Pair(f.lead, f.offer)]; ok {
			return &l.offers[i]
		}
	}
	i, ok := l.byLead[f.lead]
	for ok && i >= 0 {
		if l.offers[i].partner == f.partner {
			return &l.offers[i]
		}
		i = l.offers[i].before
	}
	return nil
}

// settle writes an outcome where none stands or the event supersedes the one
// that does, and reports whether it did.
func (o *outcome) settle(f *labelFact, yes bool) bool {
	if o.by != 0 && f.supersedes != o.by {
		return false
	}
	*o = outcome{yes: yes, known: f.known, by: f.id}
	return true
}

// hash stands for an id; 0 for none.
func hash[S ~string](id S) uint64 {
	if id == "" {
		return 0
	}
	return max(1, xxhash.Sum64String(string(id)))
}

// HasAnswers reports whether the data holds acceptances: whether there is an
// accept model to fit.
func (l *Labels) HasAnswers() bool { return l.answers > 0 }

// First reports whether the offer_made event is the first offer of its lead.
func (l *Labels) First(offer record.EventID) bool {
	i, ok := l.byEvent[hash(offer)]
	return ok && l.offers[i].before < 0
}

// Win returns the label of an offer_made event for the win model, and when it
// was known in Unix seconds: math.MaxInt64 while it is open (y is then 0 and
// means nothing). counts is false for offers that are no rows.
func (l *Labels) Win(offer record.EventID) (y float64, known int64, counts bool) {
	i, ok := l.byEvent[hash(offer)]
	if !ok {
		return 0, never, false
	}
	return l.offers[i].win(l.HasAnswers())
}

// Accept returns the label of an offer_made event for the accept model, as Win
// does for the win model.
func (l *Labels) Accept(offer record.EventID) (y float64, known int64, counts bool) {
	i, ok := l.byEvent[hash(offer)]
	if !ok {
		return 0, never, false
	}
	return l.offers[i].accept(l.HasAnswers())
}

// win is Labels.Win of one offer, in data that has answers or not.
func (o *offerLabel) win(answers bool) (y float64, known int64, counts bool) {
	worked := !answers || o.answer.by != 0 && o.answer.yes || o.deal.by != 0
	switch {
	case !worked || o.deal.by == 0 && o.takeBack != never:
		return 0, never, false
	case o.deal.by != 0:
		return float64(b2i(o.deal.yes)), o.deal.known, true
	case o.moved != never:
		return 0, o.moved, true
	}
	return 0, never, true
}

// accept is Labels.Accept of one offer.
func (o *offerLabel) accept(answers bool) (y float64, known int64, counts bool) {
	switch {
	case !answers:
		return 0, never, false
	case o.answer.by != 0:
		return float64(b2i(o.answer.yes)), o.answer.known, true
	case o.deal.by != 0:
		// Worked on without a recorded answer: accepted by deed.
		return 1, o.deal.known, true
	case o.takeBack != never || o.moved != never:
		return 0, never, false
	}
	return 0, never, true
}

func b2i(b bool) int {
	if b {
		return 1
	}
	return 0
}
