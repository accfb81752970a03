package routing

import (
	"math"

	"bellwether/datasets/record"

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
// outcome belongs to the offer it names or, naming none, to the latest offer of
// its lead and partner made before it.
//
// Rows to evaluate on are First: the first offer of each lead.
type Labels struct {
	offers  []offerLabel
	byEvent map[uint64]int32 // by hash, as all ids here: a log has many
	byOffer map[uint64]int32
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

// Observe takes the next event of the log.
func (l *Labels) Observe(e *record.Event) {
	if e.Lead == "" {
		return
	}
	if l.byEvent == nil {
		l.byEvent, l.byOffer, l.byLead = map[uint64]int32{}, map[uint64]int32{}, map[uint64]int32{}
	}
	known := e.Known().Unix()
	switch e.Type {
	case record.OfferMade:
		l.made(e, known)
	case record.OfferAccepted, record.OfferDeclined, record.OfferExpired:
		if o := l.find(e); o != nil {
			l.answers += b2i(settle(&o.answer, e, e.Type == record.OfferAccepted) && e.Type == record.OfferAccepted)
		}
	case record.OfferWithdrawn:
		if o := l.find(e); o != nil {
			o.takeBack = min(o.takeBack, known)
		}
	case record.OfferSuperseded:
		if o := l.find(e); o != nil {
			o.moved = min(o.moved, known)
		}
	case record.DealWon, record.DealLost:
		o := l.find(e)
		if o != nil && !settle(&o.deal, e, e.Type == record.DealWon) || e.Type == record.DealLost {
			return
		}
		i, ok := l.byLead[hash(e.Lead)]
		partner := hash(e.Partner)
		for ; ok && i >= 0; i = l.offers[i].before {
			if l.offers[i].partner != partner {
				l.offers[i].moved = min(l.offers[i].moved, known)
			}
		}
	}
}

func (l *Labels) made(e *record.Event, known int64) {
	before, ok := l.byLead[hash(e.Lead)]
	if !ok {
		before = -1
	} else if o := &l.offers[before]; o.moved > known {
		o.moved = known
	}
	n := int32(len(l.offers))
	l.offers = append(l.offers, offerLabel{partner: hash(e.Partner), before: before, moved: never, takeBack: never})
	l.byEvent[hash(e.ID)], l.byLead[hash(e.Lead)] = n, n
	if e.Offer != "" {
		l.byOffer[hash(e.Offer)] = n
	}
}

// find returns the offer an answer or outcome belongs to.
func (l *Labels) find(e *record.Event) *offerLabel {
	if e.Offer != "" {
		if i, ok := l.byOffer[hash(e.Offer)]; ok {
			return &l.offers[i]
		}
	}
	i, ok := l.byLead[hash(e.Lead)]
	partner := hash(e.Partner)
	for ok && i >= 0 {
		if l.offers[i].partner == partner {
			return &l.offers[i]
		}
		i = l.offers[i].before
	}
	return nil
}

// settle writes an outcome where none stands or the event supersedes the one
// that does, and reports whether it did.
func settle(o *outcome, e *record.Event, yes bool) bool {
	if o.by != 0 && hash(e.Supersedes) != o.by {
		return false
	}
	*o = outcome{yes: yes, known: e.Known().Unix(), by: hash(e.ID)}
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
	o := &l.offers[i]
	worked := !l.HasAnswers() || o.answer.by != 0 && o.answer.yes || o.deal.by != 0
	if !worked || o.deal.by == 0 && o.takeBack != never {
		return 0, never, false
	}
	switch {
	case o.deal.by != 0:
		return float64(b2i(o.deal.yes)), o.deal.known, true
	case o.moved != never:
		return 0, o.moved, true
	}
	return 0, never, true
}

// Accept returns the label of an offer_made event for the accept model, as Win
// does for the win model.
func (l *Labels) Accept(offer record.EventID) (y float64, known int64, counts bool) {
	i, ok := l.byEvent[hash(offer)]
	if !ok || !l.HasAnswers() {
		return 0, never, false
	}
	o := &l.offers[i]
	switch {
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
