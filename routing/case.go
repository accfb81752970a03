package routing

import (
	"slices"
	"sync/atomic"
	"time"

	"bellwether/datasets/record"
	"bellwether/features"
	"bellwether/models/trial"
)

// Case is one lead to decide, with all that the decision rests on, read at one
// moment: Decide looks at neither Index nor State, which may move on meanwhile.
// Its memory is used again from lead to lead, that of the decision's Candidates
// too; one goroutine at a time may use it. The zero Case is ready.
type Case struct {
	asked
	set        *features.Set
	model      *Model // nil: degraded
	policy     *Policy
	candidates []candidate // as in Decision.Candidates
	decided    []record.Candidate
	refused    []Refused
	view       features.LeadView
	ofLead     []float64 // the lead's block of the rows
	ofPairs    []float64 // the pairs' blocks, one after another
	work
}

// asked is what is to be decided.
type asked struct {
	lead       *record.Lead
	req        Request
	policyName string
	version    uint64 // of the index
	seed       uint64
	amount     float64 // minor units of the policy's currency
	known      bool    // the lead's amount was says
}

// candidate is an eligible partner as it was read.
type candidate struct {
	partner   *record.Partner
	id        record.PartnerID
	block     *block
	hash      uint64 // the block's
	says      says   // the block, if it was known by then
	number    uint32 // in the index
	row       int    // which of ofPairs
	open      int    // offers and accepted leads with no outcome
	units     int    // of its capacity, 0 for no limit
	room      int    // of these left in the period, -1 for no limit
	recent    float64
	lastOffer uint64
}

// work is memory for scoring.
type work struct {
	chance []trial.Probability
	rows   []float64
	order  []int
	trial  trial.Scratch
	words  says       // by the lead
	others [][]uint64 // by the candidates, to one predictor
	seen   uint64     // by near: kept, so that the reads are made
}

// block is the partner side of a row, kept while the partner's state and the
// day stay the same.
type block struct {
	set     *features.Set
	state   *features.State
	of      *features.PartnerState
	version uint64
	day     int64
	hash    uint64
	values  []float64
	reach   atomic.Pointer[reach]
}

// Read applies the rules to a lead and reads what its candidates are judged by.
// Nobody may change the Index or the State meanwhile.
func (r *Router) Read(c *Case, lead *record.Lead, st *features.State, req Request) error {
	ix := r.Index
	eligible := ix.Eligible(lead, req.Now, req.Exclude)
	c.asked = asked{lead: lead, req: req, policyName: ix.policy.name(ix.hash), version: ix.version, seed: ix.seed(lead, &req)}
	c.set, c.model, c.policy, c.refused = r.Set, r.Model, &ix.policy, eligible.Refused
	if c.amount, c.known = c.policy.Amount(lead.Value); !c.known {
		c.amount = c.policy.unknownValue()
	}
	n := len(eligible.Numbers)
	c.candidates = slices.Grow(c.candidates[:0], n)[:n]
	if n == 0 {
		return nil
	}
	_, partner, pair := r.Set.Sides()
	width := r.Set.Width() - pair
	r.Set.Prepare(&c.view, lead, st, req.Now)
	c.ofLead = slices.Grow(c.ofLead[:0], partner)[:partner]
	r.Set.LeadRow(c.ofLead, &c.view)
	c.ofPairs = slices.Grow(c.ofPairs[:0], n*width)[:n*width]
	in, parts := periodsOf(req.Now), r.Model.partsOf(r.Set)
	for from := 0; from < n; from += nearby {
		to := min(n, from+nearby)
		c.near(ix, eligible.Numbers[from:to])
		for i := from; i < to; i++ {
			e := ix.entries[eligible.Numbers[i]]
			b, err := r.block(e, st, req.Now)
			if err != nil {
				return err
			}
			c.candidates[i] = candidate{partner: e.partner, id: e.id, block: b, hash: b.hash, says: parts.known(b), number: e.number, row: i,
				open: e.load.Open, units: e.units, room: e.roomIn(in[e.period]), recent: e.load.recent(req.Now.Unix()), lastOffer: e.lastOffer}
			r.Set.PairRow(c.ofPairs[i*width:(i+1)*width], &c.view, b.of)
		}
	}
	return nil
}

// nearby is how many candidates are read ahead: they are scattered over memory,
// and reads that do not wait for each other take the time of one.
const nearby = 16

// near reads ahead what a few candidates will need.
func (c *Case) near(ix *Index, numbers []uint32) {
	var of [nearby]*features.PartnerState
	known := of[:0]
	for _, n := range numbers {
		e := ix.entries[n] // two cache lines
		c.seen += uint64(e.units) + e.lastOffer
	}
	for _, n := range numbers {
		if b := ix.entries[n].block.Load(); b != nil {
			known = append(known, b.of)
			if r := b.reach.Load(); r != nil {
				c.seen += uint64(len(r.words[0]))
			}
		}
	}
	c.seen += c.view.Near(known)
}

// block returns the partner's side of a row, made anew when the partner's state
// or the day moved. Two decisions at once may both make it: the same bits.
func (r *Router) block(e *entry, st *features.State, now time.Time) (*block, error) {
	day := now.Unix() / 86400
	b := e.block.Load()
	if b != nil && b.day == day && b.set == r.Set && b.state == st && b.version == b.of.Version {
		return b, nil
	}
	p := st.Partner(e.partner.ID)
	if p == nil {
		return nil, record.Errorf(record.Internal, "route", "partner %q is in the index but not in the feature state", e.partner.ID)
	}
	_, from, to := r.Set.Sides()
	b = &block{set: r.Set, state: st, of: p, version: p.Version, day: day, values: make([]float64, to-from)}
	r.Set.PartnerRow(b.values, p, st, now)
	sum := newDigest()
	sum.floats(b.values)
	b.hash = sum.sum()
	e.block.Store(b)
	return b, nil
}

// pairsOf returns the pairs' blocks of candidates from to, which nothing was
// left out of.
func (c *Case) pairsOf(from, to int) []float64 {
	_, _, pair := c.set.Sides()
	width := c.set.Width() - pair
	return c.ofPairs[from*width : to*width]
}

// row writes a candidate's row.
func (c *Case) row(dst []float64, k *candidate) {
	n := copy(dst, c.ofLead)
	n += copy(dst[n:], k.block.values)
	copy(dst[n:], c.pairsOf(k.row, k.row+1))
}

// chunk is how many candidates are scored at a time: what is made for them
// stays in cache.
const chunk = 256

// score fills the candidates' probabilities and the decision's fingerprint.
func (c *Case) score(d *record.Decision) {
	n := len(c.candidates)
	c.decided = slices.Grow(c.decided[:0], n)[:n]
	d.Candidates = c.decided
	if n == 0 {
		return
	}
	sum := newDigest()
	sum.floats(c.ofLead)
	for i := range c.candidates {
		d.Candidates[i] = record.Candidate{Partner: c.candidates[i].id}
		sum.word(c.candidates[i].hash)
		sum.floats(c.pairsOf(i, i+1))
	}
	d.Fingerprint = sum.sum()
	c.chance = slices.Grow(c.chance[:0], min(n, chunk))[:min(n, chunk)]
	p := c.model.split(c.set)
	if p != nil {
		p.ofCase(c)
	}
	for from := 0; from < n; from += chunk {
		to := min(n, from+chunk)
		switch {
		case c.model == nil:
			c.byRates(d.Candidates[from:to], from)
		case p != nil:
			p.predict(d.Candidates[from:to], c, from)
		default:
			c.byRows(d.Candidates[from:to], from)
		}
	}
}

// rowsOf writes the rows of candidates from to, one after another.
func (c *Case) rowsOf(from, to int) []float64 {
	width := c.set.Width()
	c.rows = slices.Grow(c.rows[:0], (to-from)*width)[:(to-from)*width]
	for i := from; i < to; i++ {
		c.row(c.rows[(i-from)*width:(i-from+1)*width], &c.candidates[i])
	}
	return c.rows
}

// byRates sets the probabilities by shrunk rates.
func (c *Case) byRates(out []record.Candidate, from int) {
	rates, width := ratesOf(c.set), c.set.Width()
	rows := c.rowsOf(from, from+len(out))
	for i := range out {
		out[i].Win, out[i].WinLo, out[i].WinHi = rates.of(rows[i*width : (i+1)*width])
		out[i].Accept = 1
	}
}

// byRows sets the probabilities by a model that cannot be split.
func (c *Case) byRows(out []record.Candidate, from int) {
	c.scoreRows(out, c.rowsOf(from, from+len(out)))
}

// scoreRows sets the probabilities of rows held one after another, by the model.
func (c *Case) scoreRows(out []record.Candidate, rows []float64) {
	c.chance = slices.Grow(c.chance[:0], len(out))[:len(out)]
	c.model.Win.PredictRows(c.chance, rows, &c.trial)
	setWin(out, c.chance)
	if c.model.Accept != nil {
		c.model.Accept.PredictRows(c.chance, rows, &c.trial)
		setAccept(out, c.chance)
	}
}

func setWin(out []record.Candidate, p []trial.Probability) {
	for i := range out {
		out[i].Win, out[i].WinLo, out[i].WinHi, out[i].Accept = p[i].P, p[i].Lo, p[i].Hi, 1
	}
}

func setAccept(out []record.Candidate, p []trial.Probability) {
	for i := range out {
		out[i].Accept = p[i].P
	}
}
