package serving

import (
	"context"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"slices"
	"time"

	"bellwether/datasets/record"
	"bellwether/routing"
	"bellwether/serving/store"
)

// RouteOptions are what a caller may say about one routing beside the lead.
type RouteOptions struct {
	// IdempotencyKey makes a repeat of the same request answer with the same
	// decision; Scope keeps the keys of different callers apart.
	IdempotencyKey string
	Scope          string
	// Undated says that the lead's CreatedAt is when the call came, not something
	// the caller said: a repeat of the request has another.
	Undated bool
	// Explore false switches exploration off for this lead; nil and true leave
	// it to the policy.
	Explore *bool
}

func (o *RouteOptions) greedy() bool { return o.Explore != nil && !*o.Explore }

// Routed is a decision with the life of its offer. What Route and Decline answer
// has no Candidates: the log keeps them, and Decision reads them.
type Routed struct {
	Decision *record.Decision
	Eligible int           // how many Candidates there were
	Offer    *record.Offer // nil when nobody was eligible, and for previews
	Repeat   bool          // the decision existed before this call
}

// MaxKey is the longest idempotency key, in bytes.
const MaxKey = 256

// Route decides who is offered the lead. A lead decided before is answered with
// its chain's newest decision, a repeated idempotency key with the decision it
// was first answered with; a key used before for another request is a Conflict.
// Nobody eligible is an answer, not an error.
func (e *Engine) Route(ctx context.Context, lead *record.Lead, o RouteOptions) (*Routed, error) {
	began := e.cfg.Clock()
	if err := lead.Validate(); err != nil {
		return nil, err
	}
	if len(o.IdempotencyKey) > MaxKey {
		return nil, record.FieldErrorf("idempotency_key", "is %d bytes long: at most %d", len(o.IdempotencyKey), MaxKey)
	}
	req := newRouteRequest(lead, o)
	lead, err := e.made(lead)
	if err != nil {
		return nil, err
	}
	leave, err := e.enter()
	if err != nil {
		return nil, err
	}
	defer leave()
	// What is scored is what a replay will read.
	body := record.AppendLead(nil, lead)
	lead = new(record.Lead)
	if err := record.DecodeLead(body, lead); err != nil {
		return nil, err
	}
	if out, err := e.routedBefore(ctx, req); out != nil || err != nil {
		return out, err
	}
	if err := e.cfg.Policy.CheckMoney("value", lead.Value); err != nil {
		return nil, err
	}
	var out *Routed
	err = e.decide(ctx, question{lead: lead, greedy: o.greedy(), began: began}, func(p *proposal, now time.Time, batch *store.Batch) error {
		// Somebody may have decided it while it was being scored here.
		var err error
		if out, err = e.priorRoute(req, batch); out != nil || err != nil {
			return err
		}
		offer, err := e.enterDecision(batch, now, p, nil)
		if err != nil {
			return err
		}
		req.remember(batch, p.decision.ID)
		out = &Routed{Decision: p.decision, Eligible: p.eligible, Offer: offer}
		return nil
	})
	if err != nil {
		return nil, err
	}
	return out, nil
}

// made returns the lead as it is decided: one from a clock a little ahead of ours
// was made now.
func (e *Engine) made(lead *record.Lead) (*record.Lead, error) {
	now, err := e.checkAhead("created_at", lead.CreatedAt)
	if err == nil && lead.CreatedAt.After(now) {
		dated := *lead
		dated.CreatedAt = now
		return &dated, nil
	}
	return lead, err
}

// Preview decides without writing anything down or reserving anything.
func (e *Engine) Preview(ctx context.Context, lead *record.Lead, o RouteOptions) (*Routed, error) {
	if err := lead.Validate(); err != nil {
		return nil, err
	}
	if err := e.cfg.Policy.CheckMoney("value", lead.Value); err != nil {
		return nil, err
	}
	lead, err := e.made(lead)
	if err != nil {
		return nil, err
	}
	began := e.cfg.Clock()
	p, err := e.propose(ctx, question{lead: lead, greedy: o.greedy(), preview: true, began: began})
	if err != nil {
		return nil, err
	}
	p.decision.ID, p.decision.Offer = "", ""
	return &Routed{Decision: p.decision, Eligible: p.eligible}, e.disk.wait(ctx, p.ticket)
}

// Decision returns a decision and the life of its offer.
func (e *Engine) Decision(ctx context.Context, id record.DecisionID) (*Routed, error) {
	out, err := e.routed(id)
	if err != nil {
		return nil, err
	}
	return out, e.disk.wait(ctx, e.store.Ticket())
}

// routed reads a decision and its offer.
func (e *Engine) routed(id record.DecisionID) (*Routed, error) {
	entry, err := e.store.Get(store.DecisionKey(id))
	if err != nil {
		return nil, err
	}
	pos, ok := store.PositionOf(entry)
	if !ok {
		return nil, record.Errorf(record.NotFound, "", "there is no decision %q", shorten(string(id)))
	}
	item, err := e.store.Item(pos)
	if err != nil {
		return nil, err
	}
	d := new(record.Decision)
	if err := record.DecodeDecision(item.Body, d); err != nil {
		return nil, err
	}
	offer, err := e.offer(id)
	return &Routed{Decision: d, Eligible: len(d.Candidates), Offer: offer}, err
}

// offer reads the life of a decision's offer; nil if it has none.
func (e *Engine) offer(id record.DecisionID) (*record.Offer, error) {
	b, err := e.store.Get(store.OfferKey(id))
	if err != nil || b == nil {
		return nil, err
	}
	o := new(record.Offer)
	return o, record.DecodeOffer(b, o)
}

// lead reads a lead's newest record; nil if there is none.
func (e *Engine) lead(id record.LeadID) (*record.Lead, error) {
	body, err := e.leadBytes(id)
	if err != nil || body == nil {
		return nil, err
	}
	l := new(record.Lead)
	return l, record.DecodeLead(body, l)
}

func (e *Engine) leadBytes(id record.LeadID) ([]byte, error) {
	entry, err := e.store.Get(store.LeadKey(id))
	if err != nil {
		return nil, err
	}
	pos, ok := store.PositionOf(entry)
	if !ok {
		return nil, nil
	}
	item, err := e.store.Item(pos)
	return item.Body, err
}

// routeRequest is a call of Route as idempotency sees it.
type routeRequest struct {
	lead record.LeadID
	key  store.Key // nil: no idempotency key given
	hash [sha256.Size]byte
}

func newRouteRequest(lead *record.Lead, o RouteOptions) routeRequest {
	r := routeRequest{lead: lead.ID}
	if o.IdempotencyKey != "" {
		r.key = store.RepeatKey(o.Scope, o.IdempotencyKey)
		said := *lead
		if o.Undated {
			said.CreatedAt = time.Time{}
		}
		body := record.AppendLead(nil, &said)
		if o.greedy() {
			body = append(body, 1)
		}
		r.hash = sha256.Sum256(body)
	}
	return r
}

func (r *routeRequest) remember(batch *store.Batch, id record.DecisionID) {
	if r.key != nil {
		batch.PutFor(r.key, append(r.hash[:], id...), store.IdempotencyLife)
	}
}

// routedBefore answers a request that was decided before; nil if it was not.
func (e *Engine) routedBefore(ctx context.Context, r routeRequest) (*Routed, error) {
	var bind store.Batch
	out, err := e.priorRoute(r, &bind)
	ticket := e.store.Ticket()
	if out == nil || err != nil {
		return nil, err
	}
	if bind.Empty() {
		return out, e.disk.wait(ctx, ticket)
	}
	err = e.writeAndWait(ctx, func(_ time.Time, batch *store.Batch) error {
		out, err = e.priorRoute(r, batch)
		return err
	})
	if err != nil {
		return nil, err
	}
	return out, nil
}

// priorRoute returns the decision that answers a request decided before, nil if
// it was not. What binds a new key to that answer goes into the batch.
func (e *Engine) priorRoute(r routeRequest, batch *store.Batch) (*Routed, error) {
	id, err := e.boundTo(r)
	if err != nil {
		return nil, err
	}
	if id == "" {
		newest, err := e.store.Get(store.ChainKey(r.lead))
		if err != nil || newest == nil {
			return nil, err
		}
		id = record.DecisionID(newest)
		r.remember(batch, id)
	}
	return e.again(id)
}

// again reads a decision that answered before.
func (e *Engine) again(id record.DecisionID) (*Routed, error) {
	out, err := e.routed(id)
	if err == nil {
		out.Repeat, out.Decision.Candidates = true, nil
	}
	return out, err
}

// boundTo returns the decision the request's idempotency key stands for, "" if
// it has none or a new one.
func (e *Engine) boundTo(r routeRequest) (record.DecisionID, error) {
	if r.key == nil {
		return "", nil
	}
	kept, err := e.store.Get(r.key)
	if err != nil || len(kept) <= len(r.hash) {
		return "", err
	}
	if [sha256.Size]byte(kept) != r.hash {
		return "", &record.Error{Kind: record.Conflict, Field: "idempotency_key",
			Msg: "was used for another request before: use a new key for a new request"}
	}
	return record.DecisionID(kept[len(r.hash):]), nil
}

// proposal is a decision scored, not yet written.
type proposal struct {
	lead     *record.Lead
	decision *record.Decision // its candidates are in item, but for a preview's
	eligible int
	item     []byte // the decision as the log holds it, made before the book is locked; nil of a preview
	ticket   uint64 // of what it rests on
}

// question is a lead to decide and how.
type question struct {
	lead     *record.Lead
	greedy   bool
	preview  bool // nothing will be written down
	previous record.DecisionID
	began    time.Time
}

// propose reads what a decision rests on from the book as it is, and decides
// while others go on writing in the book.
func (e *Engine) propose(ctx context.Context, q question) (*proposal, error) {
	var c *routing.Case
	select {
	case c = <-e.cases:
	case <-ctx.Done():
		return nil, record.Errorf(record.Unavailable, "route", "%w", context.Cause(ctx))
	}
	defer func() { e.cases <- c }()
	ticket, err := e.look(c, q)
	if err != nil {
		return nil, err
	}
	return e.conclude(c, q, ticket)
}

// look reads a case from the book under the read lock.
func (e *Engine) look(c *routing.Case, q question) (ticket uint64, err error) {
	e.mu.RLock()
	for e.stale(e.stamp()) {
		e.mu.RUnlock()
		e.passTime()
		e.mu.RLock()
	}
	defer e.mu.RUnlock()
	if e.state.broken != nil {
		return 0, e.state.broken
	}
	return e.readCase(c, q)
}

// readCase reads a case from the book; the caller holds mu, at least for
// reading.
func (e *Engine) readCase(c *routing.Case, q question) (ticket uint64, err error) {
	now := e.stamp()
	router := routing.Router{Set: e.book.set, Index: e.book.index, Model: e.win.model}
	err = router.Read(c, q.lead, e.book.state, routing.Request{
		Now: now, Seed: e.store.Seed(), Greedy: q.greedy, Position: e.book.next, Previous: q.previous,
		ID: record.DecisionID(newID(now)), Offer: record.OfferID(newID(now)), LeadRef: e.leadRef(q.lead.ID),
	})
	return e.store.Ticket(), err
}

// conclude decides a case that was read. Nothing of the proposal is the case's.
func (e *Engine) conclude(c *routing.Case, q question, ticket uint64) (*proposal, error) {
	d, err := c.Decide()
	if err != nil {
		return nil, err
	}
	d.LatencyMicros = e.cfg.Clock().Sub(q.began).Microseconds()
	p := &proposal{lead: q.lead, decision: d, eligible: len(d.Candidates), ticket: ticket}
	if q.preview {
		d.Candidates = slices.Clone(d.Candidates)
		return p, nil
	}
	p.item = store.NewItem(store.Decision, func(dst []byte) []byte { return record.AppendDecision(dst, d) })
	d.Candidates = nil
	return p, nil
}

// holds reports whether a proposal may still be carried out, by the same rules
// that found its partner eligible; the caller holds mu.
func (e *Engine) holds(p *proposal) (bool, error) {
	d := p.decision
	if d.Position == e.book.next || d.Chosen == "" {
		return true, nil
	}
	rule, _, err := e.book.index.Explain(d.Chosen, p.lead, d.At, nil)
	return rule == "", err
}

// errMoved says that the book moved away under a proposal.
var errMoved = errors.New("the book has moved")

// optimistic is how often a lead is scored beside other work before it is scored
// with the book held, which nothing can take the ground from.
const optimistic = 2

// decide scores a lead and hands the proposal to enter once it is sure that it
// can be carried out; enter puts what is to be written into the batch. decide
// returns when that is on disk.
func (e *Engine) decide(ctx context.Context, q question, enter func(p *proposal, now time.Time, batch *store.Batch) error) error {
	for try := 0; ; try++ {
		var p *proposal
		var err error
		if try < optimistic {
			if p, err = e.propose(ctx, q); err != nil {
				return err
			}
		}
		err = e.writeAndWait(ctx, func(now time.Time, batch *store.Batch) error {
			if p == nil {
				var c routing.Case
				ticket, err := e.readCase(&c, q)
				if err != nil {
					return err
				}
				if p, err = e.conclude(&c, q, ticket); err != nil {
					return err
				}
			} else if ok, err := e.holds(p); err != nil || !ok {
				return errors.Join(err, errMoved)
			}
			return enter(p, now, batch)
		})
		if !errors.Is(err, errMoved) || try >= optimistic {
			return err
		}
	}
}

// enterDecision puts a decision, its lead and its offer into the batch. before is
// the offer it follows in its chain, nil for the first.
func (e *Engine) enterDecision(batch *store.Batch, now time.Time, p *proposal, before *record.Offer) (*record.Offer, error) {
	d, lead := p.decision, p.lead
	body := record.AppendLead(nil, lead)
	known, err := e.leadBytes(lead.ID)
	if err != nil {
		return nil, err
	}
	if string(known) != string(body) {
		i := batch.Append(store.Lead, func(dst []byte) []byte { return append(dst, body...) })
		batch.PutPosition(store.LeadKey(lead.ID), i)
	}
	i := batch.AppendItem(p.item)
	batch.PutPosition(store.DecisionKey(d.ID), i)
	batch.Put(store.ChainKey(lead.ID), []byte(d.ID))
	if before != nil {
		before.Next = d.ID
	}
	if d.Chosen == "" {
		return nil, nil
	}
	offer := &record.Offer{ID: d.Offer, Decision: d.ID, Lead: lead.ID, Partner: d.Chosen, Account: lead.Account,
		State: record.OfferOpen, MadeAt: d.At, ExpiresAt: d.ExpiresAt, ChangedAt: d.At, Previous: d.Previous, Attempt: 1}
	if before != nil {
		offer.Attempt = before.Attempt + 1
	}
	e.enterEvent(batch, now, &record.Event{Type: record.OfferMade, At: d.At, Partner: d.Chosen, Lead: lead.ID, Account: lead.Account,
		Decision: d.ID, Offer: d.Offer, Until: d.ExpiresAt, Numbers: map[string]float64{"propensity": d.Propensity}})
	enterOffer(batch, offer)
	return offer, nil
}

// enterEvent puts an event of the engine's own into the batch, known now.
func (e *Engine) enterEvent(batch *store.Batch, now time.Time, ev *record.Event) {
	if ev.ID == "" {
		ev.ID = record.EventID(newID(now))
	}
	ev.KnownAt = now
	i := batch.Append(store.Event, func(dst []byte) []byte { return record.AppendEvent(dst, ev) })
	batch.PutPosition(store.EventKey(ev.ID), i)
}

func enterOffer(batch *store.Batch, o *record.Offer) {
	batch.Put(store.OfferKey(o.Decision), record.AppendOffer(nil, o))
}

// leadRef is how a lead is named where its id should not be.
func (e *Engine) leadRef(id record.LeadID) string {
	h := hmac.New(sha256.New, e.store.Salt())
	h.Write([]byte(id))
	return hex.EncodeToString(h.Sum(nil))
}

// newID makes a UUIDv7: milliseconds of now, then random bits.
func newID(now time.Time) string {
	var b [16]byte
	rand.Read(b[:])
	ms := uint64(now.UnixMilli())
	binary.BigEndian.PutUint16(b[0:], uint16(ms>>32))
	binary.BigEndian.PutUint32(b[2:], uint32(ms))
	b[6] = 0x70 | b[6]&0x0f
	b[8] = 0x80 | b[8]&0x3f
	return fmt.Sprintf("%x-%x-%x-%x-%x", b[0:4], b[4:6], b[6:8], b[8:10], b[10:16])
}

// shorten keeps what a caller sent from flooding an error text.
func shorten(s string) string {
	if len(s) > 64 {
		return fmt.Sprintf("%s… (%d bytes)", s[:64], len(s))
	}
	return s
}
