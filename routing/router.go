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

	"github.com/RoaringBitmap/roaring/v2"
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
	parts     *parts // nil until split, and where it cannot be
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

// Scratch is memory that decisions use again; one at a time may use it. The
// zero Scratch is ready.
type Scratch struct {
	view   features.LeadView
	rows   []float64
	lead   []float64
	chance []trial.Probability
	accept []trial.Probability
	order  []int
	trial  trial.Scratch
	blocks []*block
	ofLead [][]uint64
	words  []uint64
}

// chunk is how many candidates are scored at a time: their rows stay in cache.
const chunk = 256

// block is the partner side of a row, kept while the partner's state and the
// day stay the same.
type block struct {
	set     *features.Set
	state   *features.State
	version uint64
	day     int64
	values  []float64
	hash    uint64
	reach   atomic.Pointer[reach]
}

// units turns minor units of the policy's currency into its units.
func (p *Policy) units(minor float64) float64 {
	digits, _ := record.MinorDigits(p.currency())
	return minor / math.Pow10(digits)
}

// Route decides who is offered the lead. s may be nil. That nobody is eligible
// is a decision too, with Chosen empty.
func (r *Router) Route(lead *record.Lead, st *features.State, req Request, s *Scratch) (*record.Decision, error) {
	if s == nil {
		s = &Scratch{}
	}
	ix, policy := r.Index, &r.Index.policy
	eligible := ix.Eligible(lead, req.Now, req.Exclude)
	d := &record.Decision{
		ID: req.ID, LeadRef: req.LeadRef, Lead: lead.ID, At: req.Now, Position: req.Position, IndexVersion: ix.version,
		Policy: policy.name(ix.hash), Seed: ix.seed(lead, &req), Greedy: req.Greedy, Degraded: r.Model == nil, Previous: req.Previous,
	}
	if r.Model != nil {
		d.Model, d.AcceptModel = r.Model.WinID, r.Model.AcceptID
	}
	c := &choice{router: r, lead: lead, state: st, now: req.Now, seed: d.Seed, scratch: s, numbers: eligible.Numbers, refused: eligible.Refused}
	c.amount, c.known = policy.Amount(lead.Value)
	if !c.known {
		c.amount = policy.unknownValue()
	}
	if err := c.score(d); err != nil {
		return nil, err
	}
	c.floor(d)
	if err := encodeRefusals(d, c.refused); err != nil {
		return nil, err
	}
	if len(d.Candidates) == 0 {
		c.tellNobody(d)
		return d, nil
	}
	c.price(d)
	share(d.Candidates, c.amount, policy.Exploration, req.Greedy)
	chosen := draw(d.Candidates, d.Seed)
	best := slices.MaxFunc(d.Candidates, byValue)
	d.Chosen, d.Propensity = d.Candidates[chosen].Partner, d.Candidates[chosen].Prob
	d.Explored = d.Candidates[chosen].Value < best.Value
	d.PlainChoice = d.Candidates[c.plain(d.Candidates)].Partner
	d.Offer, d.ExpiresAt = req.Offer, req.Now.Add(policy.ttl())
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

func (p *Policy) name(hash string) string {
	if p.ID == "" {
		return "default:" + hash
	}
	return p.ID + ":" + hash
}

// seed makes the decision's seed of the engine's, the lead and how many
// partners were offered the lead before: the next offer of a chain draws anew.
func (ix *Index) seed(lead *record.Lead, req *Request) uint64 {
	before := roaring.New()
	ix.chains.before(lead.ID, before.Add)
	for _, id := range req.Exclude {
		if n, ok := ix.number[id]; ok {
			before.Add(ix.root(ix.entries[n]).number)
		}
	}
	b := binary.LittleEndian.AppendUint64(nil, req.Seed)
	b = binary.LittleEndian.AppendUint64(b, before.GetCardinality())
	return xxhash.Sum64(append(b, lead.ID...))
}

func encodeRefusals(d *record.Decision, refused []Refused) error {
	for _, r := range refused {
		r.Set.RunOptimize()
		b, err := r.Set.ToBytes()
		if err != nil {
			return record.Errorf(record.Internal, "route", "encode refusals of rule %s: %w", r.Rule, err)
		}
		d.Refusals = append(d.Refusals, record.Refusal{Rule: r.Rule, Count: int(r.Set.GetCardinality()), Partners: b})
	}
	return nil
}

// choice is one decision being made.
type choice struct {
	router  *Router
	lead    *record.Lead
	state   *features.State
	now     time.Time
	seed    uint64
	scratch *Scratch
	numbers []uint32 // of the candidates, as in Decision.Candidates
	refused []Refused
	amount  float64 // minor units of the policy's currency
	known   bool    // the lead's amount was said
}

// score fills the candidates' probabilities and the decision's fingerprint.
func (c *choice) score(d *record.Decision) error {
	n, s, set := len(c.numbers), c.scratch, c.router.Set
	d.Candidates = make([]record.Candidate, n)
	if n == 0 {
		return nil
	}
	partnerAt, _, width := c.prepare()
	most := min(n, chunk)
	s.chance = slices.Grow(s.chance[:0], most)[:most]
	s.accept = slices.Grow(s.accept[:0], most)[:most]
	s.rows = slices.Grow(s.rows[:0], most*width)[:most*width]
	s.blocks = slices.Grow(s.blocks[:0], most)[:most]
	sum := newDigest()
	sum.floats(s.lead)
	rates := ratesOf(set)
	for from := 0; from < n; from += chunk {
		to := min(n, from+chunk)
		rows := s.rows[:(to-from)*width]
		for i := from; i < to; i++ {
			e := c.router.Index.entries[c.numbers[i]]
			d.Candidates[i].Partner = e.partner.ID
			row := rows[(i-from)*width : (i-from+1)*width]
			copy(row, s.lead)
			b, err := c.fill(row[partnerAt:], e)
			if err != nil {
				return err
			}
			s.blocks[i-from] = b
			sum.word(b.hash)
			sum.floats(row[partnerAt+len(b.values):])
		}
		c.predict(d.Candidates[from:to], rows, rates)
	}
	d.Fingerprint = sum.sum()
	return nil
}

// prepare reads the lead's side of the rows.
func (c *choice) prepare() (partner, pair, width int) {
	set, s := c.router.Set, c.scratch
	_, partner, pair = set.Sides()
	set.Prepare(&s.view, c.lead, c.state, c.now)
	s.lead = slices.Grow(s.lead[:0], partner)[:partner]
	set.LeadRow(s.lead, &s.view)
	return partner, pair, set.Width()
}

// fill writes the partner's and the pair's blocks of a row.
func (c *choice) fill(dst []float64, e *entry) (*block, error) {
	p := c.state.Partner(e.partner.ID)
	if p == nil {
		return nil, record.Errorf(record.Internal, "route", "partner %q is in the index but not in the feature state", e.partner.ID)
	}
	b := c.router.block(e, p, c.state, c.now)
	copy(dst, b.values)
	c.router.Set.PairRow(dst[len(b.values):], &c.scratch.view, p)
	return b, nil
}

// block returns the partner's side of a row, made anew when the partner's state
// or the day moved. Two decisions at once may both make it: the same bits.
func (r *Router) block(e *entry, p *features.PartnerState, st *features.State, now time.Time) *block {
	day := now.Unix() / 86400
	if b := e.block.Load(); b != nil && b.version == p.Version && b.day == day && b.set == r.Set && b.state == st {
		return b
	}
	_, from, to := r.Set.Sides()
	b := &block{set: r.Set, state: st, version: p.Version, day: day, values: make([]float64, to-from)}
	r.Set.PartnerRow(b.values, p, st, now)
	sum := newDigest()
	sum.floats(b.values)
	b.hash = sum.sum()
	e.block.Store(b)
	return b
}

// predict turns rows into the candidates' probabilities.
func (c *choice) predict(out []record.Candidate, rows []float64, rates rates) {
	m, s, n := c.router.Model, c.scratch, len(out)
	if m == nil {
		width := len(rows) / n
		for i := range out {
			out[i].Win, out[i].WinLo, out[i].WinHi = rates.of(rows[i*width : (i+1)*width])
			out[i].Accept = 1
		}
		return
	}
	if p := m.split(c.router.Set); p != nil {
		width := len(rows) / n
		p.ofCase(s, rows[:width])
		for i := range out {
			p.predict(&out[i], s, s.blocks[i], rows[i*width:(i+1)*width])
		}
		return
	}
	m.Win.PredictRows(s.chance[:n], rows, &s.trial)
	for i := range out {
		out[i].Win, out[i].WinLo, out[i].WinHi, out[i].Accept = s.chance[i].P, s.chance[i].Lo, s.chance[i].Hi, 1
	}
	if m.Accept == nil {
		return
	}
	m.Accept.PredictRows(s.accept[:n], rows, &s.trial)
	for i := range out {
		out[i].Accept = s.accept[i].P
	}
}

// floor refuses candidates under the policy's lowest P(win).
func (c *choice) floor(d *record.Decision) {
	p := &c.router.Index.policy
	least := setting(p.MinWin, 0)
	if least == 0 || slices.Contains(p.Rules.Off, RuleQuality) {
		return
	}
	low := roaring.New()
	kept := 0
	for i, cand := range d.Candidates {
		if cand.Win < least {
			low.Add(c.numbers[i])
			continue
		}
		d.Candidates[kept], c.numbers[kept] = cand, c.numbers[i]
		kept++
	}
	if low.IsEmpty() {
		return
	}
	d.Candidates, c.numbers = d.Candidates[:kept], c.numbers[:kept]
	c.refused = append(c.refused, Refused{Rule: RuleQuality, Reason: fmt.Sprintf("has less than %.0f %% chance to win it", 100*least), Set: low})
}

// price gives each candidate its value and what its load cost in it.
func (c *choice) price(d *record.Decision) {
	p := &c.router.Index.policy
	open, capacity := setting(p.Load.Open, 0.01), setting(p.Load.Capacity, 0.02)
	at := c.now.Unix()
	for i := range d.Candidates {
		k, e := &d.Candidates[i], c.router.Index.entries[c.numbers[i]]
		work := float64(e.load.Open)
		k.Price = c.amount * open * work / (work + 10)
		if units := e.partner.Capacity.Units; units > 0 {
			used := 1 - float64(e.room(c.now))/float64(units)
			k.Price += c.amount * capacity * used * used
		}
		k.Value = k.Win*k.Accept*c.amount - k.Price + c.amount*p.Fairness.lift(&e.load, at)
	}
}

// lift is the boost of a partner that was offered little, as a share of the
// amount.
func (f *Fairness) lift(l *load, at int64) float64 {
	enough := setting(f.Offers, 1)
	if enough == 0 {
		return 0
	}
	return setting(f.Boost, 0.02) * max(0, 1-l.recent(at)/enough)
}

// digest is a hash of float bits, in the order given.
type digest struct{ h [4]uint64 }

func newDigest() *digest {
	return &digest{[4]uint64{0x9e3779b97f4a7c15, 0xbf58476d1ce4e5b9, 0x94d049bb133111eb, 0xd6e8feb86659fd93}}
}

// floats adds numbers in four lanes, so that one multiplication need not wait
// for the one before.
func (p *digest) floats(x []float64) {
	const prime = 0x9fb21c651e98df25
	for len(x) >= 4 {
		p.h[0] = mix(p.h[0]^math.Float64bits(x[0])) * prime
		p.h[1] = mix(p.h[1]^math.Float64bits(x[1])) * prime
		p.h[2] = mix(p.h[2]^math.Float64bits(x[2])) * prime
		p.h[3] = mix(p.h[3]^math.Float64bits(x[3])) * prime
		x = x[4:]
	}
	for _, v := range x {
		p.word(math.Float64bits(v))
	}
}

func (p *digest) word(w uint64) {
	const prime = 0x9fb21c651e98df25
	p.h = [4]uint64{p.h[1], p.h[2], p.h[3], mix(p.h[0]^w) * prime}
}

func (p *digest) sum() uint64 {
	var b [32]byte
	for i, h := range p.h {
		binary.LittleEndian.PutUint64(b[8*i:], h)
	}
	return xxhash.Sum64(b[:])
}

func mix(x uint64) uint64 { return x ^ x>>29 }
