package serving

import (
	"context"
	"errors"
	"slices"
	"strings"
	"time"

	"bellwether/datasets/record"
	"bellwether/serving/store"
)

// Accept marks the decision's offer accepted; again is not an error.
func (e *Engine) Accept(ctx context.Context, id record.DecisionID) (*record.Offer, error) {
	leave, err := e.enter()
	if err != nil {
		return nil, err
	}
	defer leave()
	var offer *record.Offer
	err = e.writeAndWait(ctx, func(now time.Time, batch *store.Batch) error {
		if offer, err = e.answerable(id, now, record.OfferTaken); err != nil || offer.State == record.OfferTaken {
			return err
		}
		e.enterAnswer(batch, now, offer, answer{state: record.OfferTaken})
		return nil
	})
	if err != nil {
		return nil, err
	}
	return offer, nil
}

// Decline marks the decision's offer declined and offers the lead to the next
// best; both are written together. Declining again answers with that next
// decision.
func (e *Engine) Decline(ctx context.Context, id record.DecisionID, reason, comment string) (*Routed, error) {
	if !slices.Contains(record.DeclineReasons, reason) {
		return nil, record.FieldErrorf("reason", "%q is not one of %s", shorten(reason), strings.Join(record.DeclineReasons, ", "))
	}
	if len(comment) > record.MaxText {
		return nil, record.FieldErrorf("comment", "is %d bytes long: at most %d", len(comment), record.MaxText)
	}
	leave, err := e.enter()
	if err != nil {
		return nil, err
	}
	defer leave()
	return e.offerNext(ctx, id, answer{record.OfferRefused, reason, comment})
}

// Withdraw takes an open or accepted offer back; the lead's chain ends. Again is
// not an error.
func (e *Engine) Withdraw(ctx context.Context, id record.DecisionID, reason string) (*record.Offer, error) {
	if len(reason) > record.MaxName {
		return nil, record.FieldErrorf("reason", "is %d bytes long: at most %d", len(reason), record.MaxName)
	}
	leave, err := e.enter()
	if err != nil {
		return nil, err
	}
	defer leave()
	var offer *record.Offer
	err = e.writeAndWait(ctx, func(now time.Time, batch *store.Batch) error {
		offer, err = e.offerOf(id)
		switch {
		case err != nil || offer.State == record.OfferTakenBack:
			return err
		case offer.State != record.OfferOpen && offer.State != record.OfferTaken:
			return notOpen(offer)
		}
		e.enterAnswer(batch, now, offer, answer{state: record.OfferTakenBack, reason: reason})
		return nil
	})
	if err != nil {
		return nil, err
	}
	return offer, nil
}

// offerOf reads a decision's offer, or says that there is none.
func (e *Engine) offerOf(id record.DecisionID) (*record.Offer, error) {
	offer, err := e.offer(id)
	if err != nil || offer != nil {
		return offer, err
	}
	if _, err := e.routed(id); err != nil {
		return nil, err
	}
	return nil, record.Errorf(record.Precondition, "", "decision %s offered the lead to nobody: no partner was eligible", id)
}

// answerable returns a decision's offer if it may be answered now, or has been
// with the same answer.
func (e *Engine) answerable(id record.DecisionID, now time.Time, answer record.OfferState) (*record.Offer, error) {
	offer, err := e.offerOf(id)
	switch {
	case err != nil:
		return nil, err
	case offer.State == answer:
		return offer, nil
	case offer.State != record.OfferOpen:
		return nil, notOpen(offer)
	case !offer.ExpiresAt.IsZero() && !now.Before(offer.ExpiresAt):
		return nil, record.Errorf(record.Precondition, "", "the offer of decision %s expired at %s and goes to the next partner", id, offer.ExpiresAt.Format(time.RFC3339))
	}
	return offer, nil
}

func notOpen(o *record.Offer) error {
	next := ""
	if o.Next != "" {
		next = "; the lead's next decision is " + string(o.Next)
	}
	return record.Errorf(record.Precondition, "", "the offer of decision %s was %s at %s%s", o.Decision, o.State, o.ChangedAt.Format(time.RFC3339), next)
}

// answer is what became of an offer.
type answer struct {
	state        record.OfferState
	reason, text string
}

// answers says which event tells of an offer's new state.
var answers = map[record.OfferState]record.EventType{
	record.OfferTaken: record.OfferAccepted, record.OfferRefused: record.OfferDeclined,
	record.OfferLapsed: record.OfferExpired, record.OfferTakenBack: record.OfferWithdrawn,
}

// enterAnswer puts an offer's new state into the batch, and into the offer.
func (e *Engine) enterAnswer(batch *store.Batch, now time.Time, o *record.Offer, a answer) {
	o.State, o.ChangedAt, o.Reason = a.state, now, a.reason
	e.enterEvent(batch, now, &record.Event{Type: answers[a.state], At: now, Partner: o.Partner, Lead: o.Lead, Account: o.Account,
		Decision: o.Decision, Offer: o.ID, Reason: a.reason, Text: a.text})
	enterOffer(batch, o)
}

// offerNext ends an open offer and offers the lead to the next best.
func (e *Engine) offerNext(ctx context.Context, id record.DecisionID, a answer) (*Routed, error) {
	began := e.cfg.Clock()
	offer, err := e.offerOf(id)
	if err != nil {
		return nil, err
	}
	lead, err := e.lead(offer.Lead)
	if err != nil {
		return nil, err
	}
	if lead == nil {
		return nil, record.Errorf(record.Internal, "offer next", "the lead of decision %s is not in the log", id)
	}
	this, err := e.routed(id)
	if err != nil {
		return nil, err
	}
	var out *Routed
	err = e.decide(ctx, question{lead: lead, greedy: this.Decision.Greedy, previous: id, began: began}, func(p *proposal, now time.Time, batch *store.Batch) error {
		out = nil
		before, err := e.endable(id, now, a.state)
		if err != nil || before.State == a.state {
			return err
		}
		e.enterAnswer(batch, now, before, a)
		next, err := e.enterDecision(batch, now, p, before)
		if err != nil {
			return err
		}
		enterOffer(batch, before) // it names the next one now
		out = &Routed{Decision: p.decision, Eligible: p.eligible, Offer: next}
		return nil
	})
	if err != nil || out != nil {
		return out, err
	}
	if offer, err = e.offerOf(id); err != nil {
		return nil, err
	}
	return e.again(offer.Next)
}

// endable returns a decision's offer if it may end in the state now.
func (e *Engine) endable(id record.DecisionID, now time.Time, state record.OfferState) (*record.Offer, error) {
	if state != record.OfferLapsed {
		return e.answerable(id, now, state)
	}
	offer, err := e.offerOf(id)
	if err == nil && offer.State != record.OfferOpen && offer.State != record.OfferLapsed {
		return nil, notOpen(offer)
	}
	return offer, err
}

// sweepAtOnce bounds one round of the sweeper.
const sweepAtOnce = 64

// sweep offers the leads of expired offers to the next best.
func (e *Engine) sweep(ctx context.Context) error {
	for {
		e.mu.Lock()
		var due []record.DecisionID
		if e.state.broken == nil {
			due = e.book.open.expired(e.stamp(), sweepAtOnce)
		}
		e.mu.Unlock()
		for _, id := range due {
			_, err := e.offerNext(ctx, id, answer{state: record.OfferLapsed})
			if err != nil && record.KindOf(err) != record.Precondition {
				return errors.Join(errors.New("re-offer decision "+string(id)), err)
			}
		}
		if len(due) < sweepAtOnce {
			return nil
		}
	}
}
