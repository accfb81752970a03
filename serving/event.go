package serving

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"bellwether/datasets/record"
	"bellwether/serving/store"
)

// Ingested counts what a batch of events did.
type Ingested struct {
	Taken    int
	Repeats  int    // were there already, unchanged
	Position uint64 // log position after the last of them
}

// Outcome reports what became of a decision's lead, or of a deal.
type Outcome struct {
	ID         record.EventID    // the caller's id of this report; empty makes one
	Decision   record.DecisionID // either this
	Deal       record.DealID     // or a deal with its Partner
	Partner    record.PartnerID
	Won        bool
	At         time.Time // zero: now
	Amount     record.Money
	Products   []string
	Reason     string         // of a loss
	Supersedes record.EventID // the earlier outcome this one corrects
}

// Reported says what an outcome wrote.
type Reported struct {
	Event  record.EventID
	Repeat bool // the same was reported before: nothing was written
}

// Events takes a batch of events, all or none of them. The engine sets their
// KnownAt. An event recorded before is counted and left out, one that differs
// from what its id stands for is a Conflict, as is an outcome that contradicts
// the one in force without naming it.
func (e *Engine) Events(ctx context.Context, batch []record.Event) (Ingested, error) {
	if len(batch) > e.cfg.MaxEvents {
		return Ingested{}, &record.Error{Kind: record.Exhausted, Field: "events", Msg: fmt.Sprintf("holds %d events: at most %d at a time", len(batch), e.cfg.MaxEvents)}
	}
	for i := range batch {
		if err := e.checkEvent(&batch[i]); err != nil {
			return Ingested{}, inList("events", i, err)
		}
	}
	leave, err := e.enter()
	if err != nil {
		return Ingested{}, err
	}
	defer leave()
	e.ingest.Lock()
	in, ticket, err := e.ingestBatch(batch)
	e.ingest.Unlock()
	if err != nil {
		return Ingested{}, err
	}
	return in, e.disk.wait(ctx, ticket)
}

// checkEvent checks what needs nothing but the event and the clock.
func (e *Engine) checkEvent(ev *record.Event) error {
	known := ev.KnownAt
	ev.KnownAt = time.Time{}
	err := ev.Validate()
	ev.KnownAt = known
	if err != nil {
		return err
	}
	if _, err = e.checkAhead("at", ev.At); err != nil {
		return err
	}
	return e.cfg.Policy.CheckMoney("amount", ev.Amount)
}

// checkAhead refuses a time further ahead of the engine's clock than another
// clock may be, and returns what it is here.
func (e *Engine) checkAhead(field string, at time.Time) (now time.Time, err error) {
	e.mu.RLock()
	now = e.stamp()
	e.mu.RUnlock()
	if at.After(now.Add(e.cfg.MaxSkew)) {
		err = record.FieldErrorf(field, "%s is in the future: it is %s here, and %s ahead are allowed", at.Format(time.RFC3339), now.Format(time.RFC3339), e.cfg.MaxSkew)
	}
	return now, err
}

// inList says in which item of a list an error is.
func inList(list string, i int, err error) error {
	var in record.Error
	if e, ok := err.(*record.Error); ok {
		in = *e
	} else {
		in = record.Error{Kind: record.KindOf(err), Err: err}
	}
	in.Field = strings.TrimSuffix(fmt.Sprintf("%s[%d].%s", list, i, in.Field), ".")
	return &in
}

// ingestBatch writes what is new of a batch; the caller holds ingest.
func (e *Engine) ingestBatch(events []record.Event) (in Ingested, ticket uint64, err error) {
	fresh, err := e.unrecorded(events)
	if err != nil {
		return in, 0, err
	}
	in.Repeats = len(events) - len(fresh)
	ticket, err = e.write(func(now time.Time, batch *store.Batch) error {
		seen := newAdmissions()
		for _, i := range fresh {
			ev := events[i]
			if ev.At.After(now) {
				ev.At = now // within MaxSkew: the sender's clock is ahead of ours
			}
			repeat, err := e.admit(&ev, seen)
			if err != nil {
				return inList("events", i, err)
			}
			if repeat {
				in.Repeats++
				continue
			}
			in.Taken++
			e.enterAdmitted(batch, now, &ev, seen)
		}
		in.Position = e.book.next + uint64(batch.Len())
		return nil
	})
	return in, ticket, err
}

// unrecorded returns the places of the events whose ids are new; the caller
// holds ingest, so that they stay new.
func (e *Engine) unrecorded(events []record.Event) ([]int, error) {
	var fresh []int
	first := make(map[record.EventID]int, len(events))
	for i := range events {
		ev := &events[i]
		if j, twice := first[ev.ID]; twice {
			if !sameEvent(&events[j], ev) {
				return nil, inList("events", i, &record.Error{Kind: record.Conflict, Field: "id", Msg: fmt.Sprintf("%q stands for another event in events[%d]", shorten(string(ev.ID)), j)})
			}
			continue
		}
		first[ev.ID] = i
		old, err := e.event(ev.ID)
		if err != nil {
			return nil, err
		}
		if old == nil {
			fresh = append(fresh, i)
		} else if !sameEvent(old, ev) {
			return nil, inList("events", i, &record.Error{Kind: record.Conflict, Field: "id", Msg: fmt.Sprintf("%q was recorded as another event, a %s at %s: events are never changed, correct one by a new event that supersedes it", shorten(string(ev.ID)), old.Type, old.At.Format(time.RFC3339))})
		}
	}
	return fresh, nil
}

// event reads a recorded event; nil if there is none of the id.
func (e *Engine) event(id record.EventID) (*record.Event, error) {
	entry, err := e.store.Get(store.EventKey(id))
	if err != nil {
		return nil, err
	}
	pos, ok := store.PositionOf(entry)
	if !ok {
		return nil, nil
	}
	item, err := e.store.Item(pos)
	if err != nil {
		return nil, err
	}
	ev := new(record.Event)
	return ev, record.DecodeEvent(item.Body, ev)
}

// sameEvent reports whether an event sent again is the one recorded. When it
// became known is ours, a time ahead of our clock was recorded as of then, and
// what an outcome's decision says of it was filled in.
func sameEvent(recorded, again *record.Event) bool {
	a, b := *recorded, *again
	if !a.KnownAt.IsZero() && b.At.After(a.KnownAt) {
		b.At = a.KnownAt
	}
	b.KnownAt = a.KnownAt
	if isOutcome(&b) {
		fill(&b.Partner, a.Partner)
		fill(&b.Lead, a.Lead)
		fill(&b.Account, a.Account)
		fill(&b.Decision, a.Decision)
		fill(&b.Offer, a.Offer)
	}
	return string(record.AppendEvent(nil, &a)) == string(record.AppendEvent(nil, &b))
}

func fill[T ~string](x *T, with T) {
	if *x == "" {
		*x = with
	}
}

func isOutcome(ev *record.Event) bool { return ev.Type == record.DealWon || ev.Type == record.DealLost }

// offerEvents are written by Accept, Decline, Withdraw and the engine's clock
// for the leads it routes.
var offerEvents = []record.EventType{record.OfferMade, record.OfferAccepted, record.OfferDeclined, record.OfferExpired,
	record.OfferWithdrawn, record.OfferSuperseded}

// admissions is what the events admitted so far to one batch changed.
type admissions struct {
	outcomes map[string]record.Event             // in force, by their key
	accepts  map[record.DecisionID]*record.Offer // offers that an outcome says were accepted
}

func newAdmissions() *admissions {
	return &admissions{map[string]record.Event{}, map[record.DecisionID]*record.Offer{}}
}

// admit checks an event against what is recorded; the caller holds mu. It fills
// in what an outcome's decision says. repeat means that it says nothing new.
func (e *Engine) admit(ev *record.Event, seen *admissions) (repeat bool, err error) {
	if ev.Partner != "" && e.book.index.Partner(ev.Partner) == nil {
		return false, &record.Error{Kind: record.NotFound, Field: "partner", Msg: fmt.Sprintf("there is no partner %q: put it first", shorten(string(ev.Partner)))}
	}
	if slices.Contains(offerEvents, ev.Type) {
		chain, err := e.store.Get(store.ChainKey(ev.Lead))
		if err != nil {
			return false, err
		}
		if chain != nil || ev.Decision != "" {
			return false, &record.Error{Kind: record.Precondition, Field: "type",
				Msg: fmt.Sprintf("%s of a lead routed here is recorded by accept, decline and withdraw of its decision", ev.Type)}
		}
	}
	if !isOutcome(ev) {
		return false, nil
	}
	offer, err := e.fillOutcome(ev)
	if err != nil {
		return false, err
	}
	if offer != nil && ev.At.Before(offer.MadeAt.Add(-e.cfg.MaxSkew)) {
		return false, record.FieldErrorf("at", "%s is before its decision, %s, which was made at %s", ev.At.Format(time.RFC3339), offer.Decision, offer.MadeAt.Format(time.RFC3339))
	}
	if ev.Lead == "" && ev.Deal == "" {
		return false, nil // business without a name cannot be contradicted
	}
	key := store.OutcomeKey(ev.Partner, ev.Lead, ev.Deal)
	old, err := e.outcomeInForce(key, seen)
	if err != nil {
		return false, err
	}
	if old == nil && ev.Supersedes != "" {
		return false, &record.Error{Kind: record.NotFound, Field: "supersedes", Msg: fmt.Sprintf("%q is not an outcome of this deal: none was recorded", shorten(string(ev.Supersedes)))}
	}
	if old != nil {
		if repeat, err := contradicts(old, ev); repeat || err != nil {
			return repeat, err
		}
	}
	seen.outcomes[string(key)] = *ev
	if offer != nil && offer.State == record.OfferOpen && seen.accepts[offer.Decision] == nil {
		seen.accepts[offer.Decision] = offer
	}
	return false, nil
}

func (e *Engine) outcomeInForce(key store.Key, seen *admissions) (*record.Event, error) {
	if ev, ok := seen.outcomes[string(key)]; ok {
		return &ev, nil
	}
	id, err := e.store.Get(key)
	if err != nil || id == nil {
		return nil, err
	}
	return e.event(record.EventID(id))
}

// contradicts compares an outcome with the one in force. A correction sent again
// names what that one corrected.
func contradicts(old, ev *record.Event) (repeat bool, err error) {
	if ev.Supersedes == old.ID {
		return false, nil
	}
	if (ev.Supersedes == "" || ev.Supersedes == old.Supersedes) && old.Type == ev.Type && old.Amount == ev.Amount && old.Reason == ev.Reason && slices.Equal(old.Products, ev.Products) {
		return true, nil
	}
	return false, &record.Error{Kind: record.Conflict, Field: "supersedes",
		Msg: fmt.Sprintf("event %s says %s at %s: to correct it, name it in supersedes", old.ID, old.Type, old.At.Format(time.RFC3339))}
}

// fillOutcome takes from an outcome's decision what it says of partner and lead.
// An outcome of a lead that stands offered to its partner is of that decision.
// It returns the decision's offer, if there is a decision.
func (e *Engine) fillOutcome(ev *record.Event) (*record.Offer, error) {
	if ev.Decision == "" {
		return e.standing(ev)
	}
	o, err := e.offerOf(ev.Decision)
	if err != nil {
		return nil, atField("decision", err)
	}
	switch {
	case ev.Partner != "" && ev.Partner != o.Partner:
		return nil, &record.Error{Kind: record.Conflict, Field: "partner", Msg: fmt.Sprintf("decision %s offered its lead to %s", o.Decision, o.Partner)}
	case ev.Lead != "" && ev.Lead != o.Lead:
		return nil, &record.Error{Kind: record.Conflict, Field: "lead", Msg: fmt.Sprintf("decision %s is about lead %s", o.Decision, o.Lead)}
	case !stands(o):
		return nil, atField("decision", notOpen(o))
	}
	fillFrom(ev, o)
	return o, nil
}

// standing returns the offer of the event's lead that stands with its partner,
// nil if there is none.
func (e *Engine) standing(ev *record.Event) (*record.Offer, error) {
	if ev.Lead == "" {
		return nil, nil
	}
	newest, err := e.store.Get(store.ChainKey(ev.Lead))
	if err != nil || newest == nil {
		return nil, err
	}
	o, err := e.offer(record.DecisionID(newest))
	if err != nil || o == nil || o.Partner != ev.Partner || !stands(o) {
		return nil, err
	}
	fillFrom(ev, o)
	return o, nil
}

func stands(o *record.Offer) bool { return o.State == record.OfferOpen || o.State == record.OfferTaken }

func fillFrom(ev *record.Event, o *record.Offer) {
	ev.Partner, ev.Lead, ev.Decision, ev.Offer = o.Partner, o.Lead, o.Decision, o.ID
	fill(&ev.Account, o.Account)
}

func atField(field string, err error) error {
	if e, ok := err.(*record.Error); ok {
		in := *e
		in.Field = field
		return &in
	}
	return err
}

// enterAdmitted puts an admitted event into the batch. An outcome comes into
// force; one of an offer that was never answered says that it was accepted.
func (e *Engine) enterAdmitted(batch *store.Batch, now time.Time, ev *record.Event, seen *admissions) {
	if o := seen.accepts[ev.Decision]; o != nil && o.State == record.OfferOpen {
		e.enterAnswer(batch, now, o, answer{state: record.OfferTaken})
	}
	e.enterEvent(batch, now, ev)
	if isOutcome(ev) && (ev.Lead != "" || ev.Deal != "") {
		batch.Put(store.OutcomeKey(ev.Partner, ev.Lead, ev.Deal), []byte(ev.ID))
	}
}

// Outcome records that a lead or deal was won or lost. The same outcome again
// writes nothing; another one is a Conflict that names the event in force,
// unless Supersedes names it.
func (e *Engine) Outcome(ctx context.Context, o Outcome) (Reported, error) {
	ev := record.Event{ID: o.ID, Type: record.DealLost, At: o.At, Partner: o.Partner, Deal: o.Deal, Decision: o.Decision,
		Amount: o.Amount, Products: o.Products, Reason: o.Reason, Supersedes: o.Supersedes}
	if o.Won {
		ev.Type = record.DealWon
	}
	if err := e.checkOutcome(&ev); err != nil {
		return Reported{}, err
	}
	leave, err := e.enter()
	if err != nil {
		return Reported{}, err
	}
	defer leave()
	e.ingest.Lock()
	out, ticket, err := e.report(ev)
	e.ingest.Unlock()
	if err != nil {
		return Reported{}, err
	}
	return out, e.disk.wait(ctx, ticket)
}

// checkOutcome checks the event of an outcome, whose partner, id and time may
// still be open.
func (e *Engine) checkOutcome(ev *record.Event) error {
	if ev.Decision == "" && (ev.Deal == "" || ev.Partner == "") {
		return record.FieldErrorf("decision", "is missing: an outcome names a decision, or a deal and its partner")
	}
	full := *ev
	if full.ID == "" {
		full.ID = "x"
	}
	if full.Partner == "" {
		full.Partner = "x"
	}
	if full.At.IsZero() {
		full.At = time.Unix(0, 0).UTC()
	}
	if err := full.Validate(); err != nil {
		return err
	}
	if _, err := e.checkAhead("at", full.At); err != nil {
		return err
	}
	return e.cfg.Policy.CheckMoney("amount", full.Amount)
}

// report writes an outcome; the caller holds ingest.
func (e *Engine) report(ev record.Event) (out Reported, ticket uint64, err error) {
	if ev.ID != "" {
		old, err := e.event(ev.ID)
		if err != nil {
			return out, 0, err
		}
		if old != nil {
			if ev.At.IsZero() {
				ev.At = old.At
			}
			if sameEvent(old, &ev) {
				return Reported{old.ID, true}, e.store.Ticket(), nil
			}
			return out, 0, &record.Error{Kind: record.Conflict, Field: "id", Msg: fmt.Sprintf("%q was recorded as another event, a %s at %s", shorten(string(ev.ID)), old.Type, old.At.Format(time.RFC3339))}
		}
	}
	ticket, err = e.write(func(now time.Time, batch *store.Batch) error {
		if ev.At.IsZero() || ev.At.After(now) {
			ev.At = now
		}
		seen := newAdmissions()
		repeat, err := e.admit(&ev, seen)
		if err != nil {
			return err
		}
		if repeat {
			id, err := e.store.Get(store.OutcomeKey(ev.Partner, ev.Lead, ev.Deal))
			out = Reported{record.EventID(id), true}
			return err
		}
		e.enterAdmitted(batch, now, &ev, seen)
		out.Event = ev.ID
		return nil
	})
	return out, ticket, err
}
