package gbdt

import (
	"fmt"
	"math"
	"math/rand/v2"
	"slices"

	"bellwether/models"
)

// Hazard fits when and how cases end: won (label 1), lost (label 0) or still open
// at the end of the data. The time since a row's At is parted into buckets by
// age, and in each the case, if still open, is won, lost or neither by chances of
// its own: a discrete-time hazard of two competing risks. A case still open
// teaches that it was not ended so far and is never taken for lost.
//
// A row's label is known from its Known on; one that is not known by Until is
// open, whatever it says. A row counts in a bucket if it was open when the bucket
// began and the whole bucket lies before Until, for then it was watched whether
// or not it ended: counting buckets that were watched in part, only if the case
// ended in them, would make endings look quick.
//
// All buckets' chances come from the same trees, whose leaves hold a step for
// each; a tree looks for its splits along one direction of the steps, drawn for
// it (after Iosipoi and Vakhrushev, SketchBoost, NeurIPS 2022), which costs what
// a tree of one output costs. Predict answers with the chance of being won by the
// last age, Model.Incidence with all of them.
type Hazard struct {
	Ages  []int64 // ends of the buckets, in seconds since At, ascending
	Until int64   // the moment the data ends, Unix seconds; 0: of the newest label
}

// maxAges bounds the buckets.
const maxAges = 64

// causes are how a case ends; outputs are one a cause of each bucket.
const causes = 2

func (Hazard) answer() answer { return ending }

func (o Hazard) begin(rows *sample) (fitting, error) {
	if len(o.Ages) == 0 || len(o.Ages) > maxAges || o.Ages[0] <= 0 || !slices.IsSorted(o.Ages) || len(slices.Compact(slices.Clone(o.Ages))) < len(o.Ages) {
		return nil, fmt.Errorf("ages %v: 1 to %d above 0, ascending", o.Ages, maxAges)
	}
	if rows.at == nil || rows.known == nil {
		return nil, fmt.Errorf("Hazard needs when rows were taken and their labels known")
	}
	for i, y := range rows.y {
		if y != 0 && y != 1 {
			return nil, fmt.Errorf("label of row %d is %v, not 0 or 1", i, y)
		}
	}
	f := &ends{rows: rows, ages: o.Ages, risk: make([]uint8, len(rows.y)), end: make([]uint8, len(rows.y))}
	if f.until = o.Until; f.until == 0 {
		f.until = math.MinInt64 / 2
		for _, k := range rows.known {
			if k != math.MaxInt64 {
				f.until = max(f.until, k)
			}
		}
	}
	for i := range rows.y {
		f.watch(i)
	}
	f.start = f.raw()
	f.way = make([]float64, f.outputs())
	return f, nil
}

// ends is Hazard over the rows of a fit. Scores, and other numbers of the
// outputs, stand one after another: won and lost of the first bucket, of the
// second, and so on.
type ends struct {
	rows  *sample
	ages  []int64
	until int64
	risk  []uint8   // buckets the row counts in
	end   []uint8   // 0: open at the end of the last of them; else how it ended there
	start []float64 // score of each output without trees
	way   []float64 // the direction the next tree looks along
}

func (f *ends) outputs() int { return causes * len(f.ages) }

// watch fills what is known of row i at the end of the data.
func (f *ends) watch(i int) {
	at, known, until := f.rows.at[i], f.rows.known[i], f.until
	for _, age := range f.ages {
		if at > until-age {
			return
		}
		f.risk[i]++
		if known <= at+age {
			f.end[i] = 2 - uint8(f.rows.y[i])
			return
		}
	}
}

// raw returns the scores whose chances are those of all rows together. A cause
// never seen in a bucket is taken for half a case.
func (f *ends) raw() []float64 {
	n := make([][causes + 1]float64, len(f.ages)) // open, won, lost
	for i, risk := range f.risk {
		for b := range risk {
			how := uint8(0)
			if b == risk-1 {
				how = f.end[i]
			}
			n[b][how] += f.rows.weight(i)
		}
	}
	var score []float64
	for _, k := range n {
		open := max(k[0], 0.5)
		score = append(score, math.Log(max(k[1], 0.5)/open), math.Log(max(k[2], 0.5)/open))
	}
	return score
}

// differ answers models.ErrOneClass unless some cases were won and some were not.
func (f *ends) differ() error {
	won, other := false, false
	for i, y := range f.rows.y {
		won = won || f.end[i] == 1
		other = other || y == 0 || f.rows.known[i] > f.until
	}
	if !won || !other {
		return models.ErrOneClass
	}
	return nil
}

// base is the mean of the buckets' scores of being won.
func (f *ends) base() float64 { return meanWon(f.start) }

func meanWon(score []float64) float64 {
	sum := 0.0
	for k := 0; k < len(score); k += causes {
		sum += score[k]
	}
	return sum / float64(len(score)/causes)
}

// hazardOf returns the chances of being won and lost in a bucket.
func hazardOf(won, lost float64) (p, q float64) {
	a, b := math.Exp(min(won, 300)), math.Exp(min(lost, 300))
	return a / (1 + a + b), b / (1 + a + b)
}

// aim draws the direction of the next tree: what it does to a cause is mostly the
// same in all buckets, as most of what is known of a case works at any age.
func (f *ends) aim(rng *rand.Rand) {
	var all [causes]float64
	for c := range all {
		all[c] = rng.NormFloat64()
	}
	for k := range f.way {
		f.way[k] = all[k%causes] + rng.NormFloat64()/2
	}
}

// derive differentiates along the direction.
func (f *ends) derive(gh []int64, score []float64, c crew) {
	n := f.outputs()
	c.blocks(len(gh), gradientRows, func(_, lo, hi int) {
		for i := lo; i < hi; i++ {
			g, h, s := 0.0, 0.0, score[i*n:(i+1)*n]
			for b := range int(f.risk[i]) {
				u, v := f.way[causes*b], f.way[causes*b+1]
				p, q := hazardOf(s[causes*b], s[causes*b+1])
				mean := u*p + v*q
				g += mean
				h += u*u*p + v*v*q - mean*mean
			}
			if f.end[i] > 0 {
				g -= f.way[causes*(int(f.risk[i])-1)+int(f.end[i])-1]
			}
			w := f.rows.weight(i)
			gh[i] = derivatives(g*w, max(h, 0)*w)
		}
	})
}

// leaf adds up each output's gradient and hessian over rows.
func (f *ends) leaf(g, h, score []float64, rows []uint32) {
	n := f.outputs()
	for _, r := range rows {
		w, s := f.rows.weight(int(r)), score[int(r)*n:][:n]
		for b := range int(f.risk[r]) {
			k := causes * b
			p, q := hazardOf(s[k], s[k+1])
			g[k] += w * p
			g[k+1] += w * q
			h[k] += w * p * (1 - p)
			h[k+1] += w * q * (1 - q)
		}
		if f.end[r] > 0 {
			g[causes*(int(f.risk[r])-1)+int(f.end[r])-1] -= w
		}
	}
}

// loss is the mean negative log likelihood of a row.
func (f *ends) loss(score []float64, c crew) float64 {
	n := f.outputs()
	return f.rows.meanOf(c, func(i int) float64 {
		sum, s := 0.0, score[i*n:(i+1)*n]
		for b := range int(f.risk[i]) {
			sum += math.Log1p(math.Exp(s[causes*b]) + math.Exp(s[causes*b+1]))
		}
		if f.end[i] > 0 {
			sum -= s[causes*(int(f.risk[i])-1)+int(f.end[i])-1]
		}
		return sum
	})
}

// told counts the cases that ended.
func (f *ends) told() (y, w []float64) {
	w = make([]float64, len(f.end))
	for i, how := range f.end {
		if how > 0 {
			w[i] = f.rows.weight(i)
		}
	}
	return f.rows.y, w
}

// hazards is what a model of Hazard holds beside its trees.
type hazards struct {
	ages  []int64
	base  []float64   // score of each output without trees
	steps [][]float64 // of each tree: what its leaves, in the order of nodes, add to each output
	at    []uint32    // of the scorer's nodes: where a leaf's steps stand in flat
	flat  []float64
}

// lay prepares h for scoring with the trees.
func (h *hazards) lay(trees []tree) {
	h.at, h.flat = nil, nil
	for i, t := range trees {
		next := uint32(len(h.flat))
		for _, n := range t {
			h.at = append(h.at, next)
			if n.kid == 0 {
				next += uint32(len(h.base))
			}
		}
		h.flat = append(h.flat, h.steps[i]...)
	}
}

// scores writes the scores of a row of bins.
func (h *hazards) scores(score []float64, s *scorer, bins []uint8, lane int) {
	copy(score, h.base)
	for _, at := range s.roots {
		for {
			n := &s.nodes[at]
			next := n.next(bins[int(n.slot)*lanes+lane])
			if next == at {
				break
			}
			at = next
		}
		for k, v := range h.flat[h.at[at]:][:len(score)] {
			score[k] += v
		}
	}
}

// scoresOf writes the scores of all rows of a table, one after another.
func (h *hazards) scoresOf(score []float64, s *scorer, src source) {
	n := len(h.base)
	bins := make([]uint8, s.slots*lanes)
	for i := 0; i*n < len(score); i += lanes {
		k := min(lanes, len(score)/n-i)
		s.encode(bins, &src, i, k)
		for r := range k {
			h.scores(score[(i+r)*n:][:n], s, bins, r)
		}
	}
}

// won returns the chance of being won by the last age.
func (h *hazards) won(score []float64) float64 {
	sum, open := 0.0, 1.0
	for k := 0; k < len(score); k += causes {
		p, q := hazardOf(score[k], score[k+1])
		sum += open * p
		open *= max(1-p-q, 0)
	}
	return min(sum, 1)
}

// Ages returns the ends of the buckets of a model of Hazard, nil of another.
func (m *Model) Ages() []int64 {
	if m.hazards == nil {
		return nil
	}
	return slices.Clone(m.hazards.ages)
}

// Incidence writes, for each of Ages, the chance that the row's case is won by
// then, and lost by then; what is left is open. It panics unless row is Width
// long, won and lost are as long as Ages, and the model is one of Hazard.
func (m *Model) Incidence(won, lost, row []float64) {
	h := m.hazards
	if h == nil || len(won) != len(h.ages) || len(lost) != len(h.ages) || len(row) != m.width {
		panic(fmt.Sprintf("gbdt: %d and %d chances of a row of %d", len(won), len(lost), len(row)))
	}
	var room [causes * maxAges]float64
	score := room[:len(h.base)]
	bins, src := make([]uint8, m.scorer.slots*lanes), source{rows: row, width: m.width}
	m.scorer.encode(bins, &src, 0, 1)
	h.scores(score, m.scorer, bins, 0)
	f, g, open := 0.0, 0.0, 1.0
	for b := range won {
		p, q := hazardOf(score[causes*b], score[causes*b+1])
		f, g = f+open*p, g+open*q
		open *= max(1-p-q, 0)
		won[b], lost[b] = min(f, 1), min(g, 1)
	}
}

// answerEnds writes the chance of being won by the last age of each row.
func (m *Model) answerEnds(dst []float64, src source) {
	var stack [stackInputs * lanes]uint8
	var room [causes * maxAges]float64
	bins, score := stack[:], room[:len(m.hazards.base)]
	if m.scorer.slots > stackInputs {
		bins = make([]uint8, m.scorer.slots*lanes)
	}
	for i := 0; i < len(dst); i += lanes {
		n := min(lanes, len(dst)-i)
		m.scorer.encode(bins, &src, i, n)
		for r := range n {
			m.hazards.scores(score, m.scorer, bins, r)
			dst[i+r] = m.hazards.won(score)
		}
	}
}
