package serving

import (
	"context"
	"encoding/json"

	"bellwether/datasets/record"
	"bellwether/routing"
)

// Replay decides again from the log as it was, under the model and the policy
// of the time, and compares; nil means the same to the last bit. The error says
// the first difference, or what is missing for a replay.
func (e *Engine) Replay(ctx context.Context, id record.DecisionID) error {
	was, err := e.Decision(ctx, id)
	if err != nil {
		return err
	}
	p, err := e.pastOf(was.Decision)
	if err != nil {
		return err
	}
	b, err := e.folder.bookAt(ctx, p.win.set, p.policy, p.decision.Position, p.decision.At)
	if err != nil {
		return err
	}
	router, req := p.on(b)
	again, err := router.Route(p.lead, b.state, req, nil)
	if err != nil {
		return err
	}
	return routing.Same(p.decision, again)
}

// past is a decision with what it was made under, but for the book.
type past struct {
	decision *record.Decision
	policy   routing.Policy
	win      winModel
	live     bool // win is what the engine answers with, and shares the live book's set
	lead     *record.Lead
	seed     uint64
}

func (e *Engine) pastOf(d *record.Decision) (p past, err error) {
	p.decision, p.seed = d, e.store.Seed()
	if p.policy, err = e.policyOf(d); err != nil {
		return p, err
	}
	if p.win, err = e.modelOf(d, &p.policy); err != nil {
		return p, err
	}
	p.live = p.win.model != nil && p.win.model == e.winNow().model
	p.lead, err = e.leadOf(d)
	return p, err
}

// on lets a book's time pass to the decision's and returns who decides, and what
// is asked.
func (p *past) on(b *book) (routing.Router, routing.Request) {
	d := p.decision
	b.advance(d.At)
	return routing.Router{Set: b.set, Index: b.index, Model: p.win.model}, routing.Request{Now: d.At, Seed: p.seed, Greedy: d.Greedy,
		Position: d.Position, ID: d.ID, LeadRef: d.LeadRef, Offer: d.Offer, Previous: d.Previous}
}

func encodePolicy(p *routing.Policy) ([]byte, error) { return json.Marshal(p) }

// policyOf reads the policy a decision was made under.
func (e *Engine) policyOf(d *record.Decision) (routing.Policy, error) {
	var p routing.Policy
	b, err := e.store.Meta("policy " + d.Policy)
	if err != nil {
		return p, err
	}
	if b == nil {
		return p, record.Errorf(record.Incompatible, "replay", "the store does not hold policy %s", d.Policy)
	}
	if err := json.Unmarshal(b, &p); err != nil || p.Name() != d.Policy {
		return p, record.Errorf(record.Incompatible, "replay", "policy %s was written by a program that reads it differently (%v)", d.Policy, err)
	}
	return p, nil
}

// modelOf reads the model a decision was made with under a policy.
func (e *Engine) modelOf(d *record.Decision, policy *routing.Policy) (winModel, error) {
	if d.Degraded {
		return winModel{set: bareSet(policy)}, nil
	}
	if now := e.winNow(); now.id() == d.Model {
		return now, nil
	}
	name, version, hash, ok := parseModelID(d.Model)
	if !ok {
		return winModel{}, record.Errorf(record.Incompatible, "replay", "%q does not name a model", d.Model)
	}
	a, err := e.registry.Load(name, version)
	if err != nil {
		return winModel{}, modelError("replay", err)
	}
	if a.Hash != hash {
		return winModel{}, record.Errorf(record.Incompatible, "replay", "%s has hash %s, the decision was made with %s", a.Version, a.Hash, hash)
	}
	return readWin(a)
}

// leadOf reads the lead as it was decided: the decision's batch holds it, or it
// was recorded before.
func (e *Engine) leadOf(d *record.Decision) (*record.Lead, error) {
	lead, err := e.lead(d.Lead)
	if err == nil && lead == nil {
		err = record.Errorf(record.NotFound, "replay", "the lead of decision %s is not in the log", d.ID)
	}
	return lead, err
}
