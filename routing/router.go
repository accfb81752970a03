package routing

import (
	"encoding/binary"
	"fmt"
	"math"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"bellwether/datasets/record"
	"bellwether/features"
	"bellwether/models/trial"

	"github.com/cespare/xxhash/v2"
)

// Model is what a router scores with: P(won | accepted) and P(accepted). It
// does not change once made.
type Model struct {
	Win      *trial.Predictor
	Accept   *trial.Predictor // nil: every offer counts as accepted
	WinID    string           // name@version:hash
	AcceptID string

	splitting sync.Once
	parts     atomic.Pointer[parts] // nil until split, and where it cannot be
	grouping  sync.Once
	families  [][]int   // columns that say the same at several lengths of time
	says      []wording // of each column; nil: people are not told of it
}

// LoadModel reads the predictors of a published win model; accept may be nil.
// A model fitted on other columns than the set's is Incompatible.
func LoadModel(set *features.Set, id string, win, accept []byte) (*Model, error) {
	m := &Model{WinID: id}
	var err error
	if m.Win, err = loadPredictor(set, win); err != nil {
		return nil, record.Errorf(record.Incompatible, "load win model "+id, "%w", err)
	}
	if len(accept) == 0 {
		return m, nil
	}
	m.AcceptID = id + "/accept"
	if m.Accept, err = loadPredictor(set, accept); err != nil {
		return nil, record.Errorf(record.Incompatible, "load accept model "+id, "%w", err)
	}
	return m, nil
}

func loadPredictor(set *features.Set, b []byte) (*trial.Predictor, error) {
	p, err := trial.LoadPredictor(b)
	if err != nil {
		return nil, err
	}
	own := set.Columns()
	if len(own) != len(p.Columns) {
		return nil, fmt.Errorf("the model has %d inputs, this program's features %d: train again", len(p.Columns), len(own))
	}
	for i, c := range p.Columns {
		if c != own[i] {
			return nil, fmt.Errorf("input %d of the model is %s, this program's is %s: train again", i, c.Name, own[i].Name)
		}
	}
	return p, nil
}

// Router decides leads. It keeps nothing between decisions, and may be used
// from any number of goroutines while nobody changes its Index or the State.
type Router struct {
	Set   *features.Set
	Index *Index
	Model *Model // nil: degraded, rules and shrunk rates
}

// Request is what one decision is asked under. The same Request, on an Index
// and a State that saw the same log, gives the same decision bit for bit.
type Request struct {
	Now      time.Time
	Seed     uint64             // the engine's; the decision's own is made of it, the lead and the chain so far
	Exclude  []record.PartnerID // count as already offered the lead
	Greedy   bool               // no exploration for this lead
	Position uint64             // recorded: events below it were seen
	ID       record.DecisionID
	LeadRef  string
	Offer    record.OfferID
	Previous record.DecisionID // the decision this one re-offers after
}

// Route decides who is offered the lead. c may be nil; the decision's Candidates
// hold until it is used again. That nobody is eligible is a decision too, with
// Chosen empty.
func (r *Router) Route(lead *record.Lead, st *features.State, req Request, c *Case) (*record.Decision, error) {
	if c == nil {
		c = &Case{}
	}
	if err := r.Read(c, lead, st, req); err != nil {
		return nil, err
	}
	return c.Decide()
}

// Decide decides what was read. The decision's Candidates hold until the Case
// is read into again.
func (c *Case) Decide() (*record.Decision, error) {
	d := &record.Decision{
		ID: c.req.ID, LeadRef: c.req.LeadRef, Lead: c.lead.ID, At: c.req.Now, Position: c.req.Position, IndexVersion: c.version,
		Policy: c.policyName, Seed: c.seed, Greedy: c.req.Greedy, Degraded: c.model == nil, Previous: c.req.Previous,
	}
	if c.model != nil {
		d.Model, d.AcceptModel = c.model.WinID, c.model.AcceptID
	}
	c.score(d)
	c.floor(d)
	for _, r := range c.refused {
		b, err := r.Set.bytes()
		if err != nil {
			return nil, record.Errorf(record.Internal, "route", "encode refusals of rule %s: %w", r.Rule, err)
		}
		d.Refusals = append(d.Refusals, record.Refusal{Rule: r.Rule, Count: r.Set.count(), Partners: b})
	}
	if len(d.Candidates) == 0 {
		c.tellNobody(d)
		return d, nil
	}
	c.price(d)
	share(d.Candidates, c.amount, c.policy.Exploration, c.req.Greedy)
	chosen := draw(d.Candidates, d.Seed)
	best := slices.MaxFunc(d.Candidates, byValue)
	d.Chosen, d.Propensity = d.Candidates[chosen].Partner, d.Candidates[chosen].Prob
	d.Explored = d.Candidates[chosen].Value < best.Value
	d.PlainChoice = d.Candidates[c.plain()].Partner
	d.Offer, d.ExpiresAt = c.req.Offer, c.req.Now.Add(c.policy.ttl())
	c.rank(d, chosen)
	c.tell(d, chosen)
	return d, nil
}

func byValue(a, b record.Candidate) int {
	switch {
	case a.Value < b.Value:
		return -1
	case a.Value > b.Value:
		return +1
	}
	return 0
}

// units turns minor units of the policy's currency into its units.
func (p *Policy) units(minor float64) float64 {
	digits, _ := record.MinorDigits(p.currency())
	return minor / math.Pow10(digits)
}

func (p *Policy) name(hash string) string {
	if p.ID == "" {
		return "default:" + hash
	}
	return p.ID + ":" + hash
}

// seed makes the decision's seed of the engine's, the lead and how many
// partners were offered the lead before: the next offer of a chain draws anew.
func (ix *Index) seed(lead *record.Lead, req *Request) uint64 {
	var before set
	ix.chains.before(lead.ID, before.add)
	for _, id := range req.Exclude {
		if n, ok := ix.number[id]; ok {
			before.add(ix.root(ix.entries[n]).number)
		}
	}
	b := binary.LittleEndian.AppendUint64(nil, req.Seed)
	b = binary.LittleEndian.AppendUint64(b, uint64(before.count()))
	return xxhash.Sum64(append(b, lead.ID...))
}

// floor refuses candidates under the policy's lowest P(win).
func (c *Case) floor(d *record.Decision) {
	least := setting(c.policy.MinWin, 0)
	if least == 0 || slices.Contains(c.policy.Rules.Off, RuleQuality) {
		return
	}
	var low set
	kept := 0
	for i, cand := range d.Candidates {
		if cand.Win < least {
			low.add(c.candidates[i].number)
			continue
		}
		d.Candidates[kept], c.candidates[kept] = cand, c.candidates[i]
		kept++
	}
	if low.empty() {
		return
	}
	d.Candidates, c.candidates = d.Candidates[:kept], c.candidates[:kept]
	c.refused = append(c.refused, Refused{Rule: RuleQuality, Reason: fmt.Sprintf("has less than %.0f %% chance to win it", 100*least), Set: low})
}

// price gives each candidate its value and what its load cost in it.
func (c *Case) price(d *record.Decision) {
	for i := range d.Candidates {
		k, o := &d.Candidates[i], &c.candidates[i]
		k.Price = c.load(o)
		k.Value = c.worth(k, o)
	}
}

// load is what a candidate's work in hand costs.
func (c *Case) load(o *candidate) float64 {
	p := c.policy
	open, capacity := setting(p.Load.Open, 0.01), setting(p.Load.Capacity, 0.02)
	work := float64(o.open)
	price := c.amount * open * work / (work + 10)
	if o.units > 0 {
		used := 1 - float64(o.room)/float64(o.units)
		price += c.amount * capacity * used * used
	}
	return price
}

// worth is a candidate's value, its chances and price being set.
func (c *Case) worth(k *record.Candidate, o *candidate) float64 {
	return k.Win*k.Accept*c.amount - k.Price + c.amount*c.policy.Fairness.lift(o.recent)
}

// lift is the boost of a partner that was offered little of late, as a share of
// the amount.
func (f *Fairness) lift(recent float64) float64 {
	enough := setting(f.Offers, 1)
	if enough == 0 {
		return 0
	}
	return setting(f.Boost, 0.02) * max(0, 1-recent/enough)
}
