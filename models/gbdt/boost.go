package gbdt

import (
	"context"
	"math"
	"math/rand/v2"
	"slices"

	"bellwether/models"
)

// gradientRows is the size of the blocks that gradients are computed and summed
// in. It is part of the result's bits.
const gradientRows = 4096

// booster adds trees until they stop helping.
type booster struct {
	Learner
	seed   uint64
	rows   *sample
	of     fitting
	ends   *ends // of, if it has many outputs; else nil
	base   float64
	score  []float64 // of each row, and of each of its outputs
	m      *matrix
	search *searcher
	grower *grower
	gh     []int64
	all    []uint32 // the rows, as the last tree has sorted them
	held   *holdout
	trees  []tree
	steps  [][]float64 // of each tree's leaves, if there are many outputs
}

// holdout is the rows that tell when to stop.
type holdout struct {
	of    fitting
	m     *matrix
	score []float64
	loss  float64 // the best so far
	trees int     // how many trees it took
}

func newBooster(p Learner, rows *sample, of fitting, enc *encoder, cols [][]uint8, seed uint64) *booster {
	n := len(rows.y)
	b := &booster{Learner: p, rows: rows, of: of, seed: seed, gh: make([]int64, n), all: make([]uint32, n)}
	b.ends, _ = of.(*ends)
	switch {
	case p.From != nil:
		b.base = p.From.base
	case p.Base != nil && b.ends == nil:
		b.base = p.Base[0]
	default:
		b.base = of.base()
	}
	b.score = b.startOf(rows)
	b.m = newMatrix(cols, n, crew(p.Threads))
	b.search = newSearcher(p, enc, len(rows.columns))
	return b
}

// model returns what was learned, after the trees of From.
func (b *booster) model(l Learner, enc *encoder) *Model {
	trees, steps := b.trees, b.steps
	if f := b.From; f != nil {
		enc, trees = f.enc.followedBy(enc, b.trees)
		old := make([]tree, len(f.trees))
		for i, t := range f.trees {
			old[i] = slices.Clone(t)
		}
		trees = append(old, trees...)
	}
	m := newModel(l, len(b.rows.columns), b.base, enc, trees)
	m.loss = b.Objective.answer()
	if b.ends != nil {
		m.loss = b.ends.answer()
		m.hazards = &hazards{ages: slices.Clone(b.ends.ages), causes: b.ends.causes, base: b.ends.start}
		if b.From != nil {
			m.hazards.base = b.From.hazards.base
			steps = append(slices.Clone(b.From.hazards.steps), steps...)
		}
		m.hazards.steps = steps
		m.hazards.lay(m.trees)
	}
	return m
}

// startOf returns the scores of rows before the first tree.
func (b *booster) startOf(rows *sample) []float64 {
	if b.ends == nil {
		score := make([]float64, len(rows.y))
		if b.From != nil {
			inBlocks(rows.x, len(rows.columns), func(lo, hi int, src source) { b.From.scorer.scores(score[lo:hi], src, b.base) })
			return score
		}
		for i := range score {
			score[i] = b.base
		}
		return score
	}
	n := b.ends.outputs()
	score := make([]float64, n*len(rows.y))
	if b.From != nil {
		inBlocks(rows.x, len(rows.columns), func(lo, hi int, src source) {
			b.From.hazards.scoresOf(score[lo*n:hi*n], b.From.scorer, src)
		})
		return score
	}
	for i := 0; i < len(score); i += n {
		copy(score[i:], b.ends.start)
	}
	return score
}

// holdOut makes b stop early by rows.
func (b *booster) holdOut(enc *encoder, rows *sample) error {
	of, err := b.Objective.begin(rows)
	if err != nil {
		return err
	}
	c := crew(b.Threads)
	b.held = &holdout{of: of, score: b.startOf(rows), m: newMatrix(enc.binsOf(rows.x, c), len(rows.y), c)}
	b.held.loss = of.loss(b.held.score, c)
	return nil
}

// run grows the trees and cuts them back to the best on the held out rows.
func (b *booster) run(ctx context.Context) error {
	c := crew(b.Threads)
	gang := newGang(c)
	defer gang.end()
	b.grower = newGrower(b.m, b.gh, b.Leaves, gang)
	for k := 0; k < b.Trees; k++ {
		if err := ctx.Err(); err != nil {
			return err
		}
		rng := rand.New(rand.NewPCG(b.seed, uint64(k)+1))
		if b.ends != nil {
			b.ends.aim(rng)
			b.search.falls = dot(slopes(b.ends.start, b.ends.causes), b.ends.way) < 0
		}
		b.of.derive(b.gh, b.score, c)
		rows := b.draw(rng)
		if !b.scale() {
			break
		}
		t := b.grower.grow(b.search, rows)
		if len(t) == 1 {
			break
		}
		b.take(t, len(rows))
		loss := math.NaN()
		if h := b.held; h != nil {
			b.advance(h.score, h.m)
			loss = h.of.loss(h.score, c)
			if loss < h.loss {
				h.loss, h.trees = loss, k+1
			}
		}
		if b.Progress != nil {
			b.Progress(k+1, b.of.loss(b.score, c), loss)
		}
		if h := b.held; h != nil && b.EarlyStop > 0 && k+1-h.trees >= b.EarlyStop {
			break
		}
	}
	if b.held != nil && b.EarlyStop > 0 {
		b.trees = b.trees[:b.held.trees]
		b.steps = b.steps[:min(len(b.steps), b.held.trees)]
	}
	return nil
}

// take keeps the grown tree, whose rows stand sorted by leaf in the first n of
// b.all, and moves the scores of all rows.
func (b *booster) take(t tree, n int) {
	if b.ends != nil {
		b.steps = append(b.steps, b.stepsOf(t))
	}
	for i := range t {
		t[i].value *= b.LearningRate
	}
	t.fillValues()
	b.trees = append(b.trees, t)
	if n < len(b.gh) {
		b.advance(b.score, b.m)
		return
	}
	leaves, before := b.grower.open, t.leavesBefore()
	crew(b.Threads).each(len(leaves), func(i int) {
		rows := b.all[leaves[i].lo:leaves[i].hi]
		if b.ends != nil {
			n := b.ends.outputs()
			step := b.steps[len(b.steps)-1][before[leaves[i].node]*n:][:n]
			for _, r := range rows {
				add(b.score[int(r)*n:], step)
			}
			return
		}
		v := t[leaves[i].node].value
		for _, r := range rows {
			b.score[r] += v
		}
	})
}

// add adds step to the front of score.
func add(score, step []float64) {
	for k, v := range step {
		score[k] += v
	}
}

func dot(a, b []float64) float64 {
	sum := 0.0
	for k, v := range a {
		sum += v * b[k]
	}
	return sum
}

// advance adds the last tree to the scores of the rows of m.
func (b *booster) advance(score []float64, m *matrix) {
	t := b.trees[len(b.trees)-1]
	crew(b.Threads).blocks(m.rows, gradientRows, func(_, lo, hi int) {
		if b.ends == nil {
			for i := lo; i < hi; i++ {
				score[i] += t[t.leafIn(m, i)].value
			}
			return
		}
		n, steps, before := b.ends.outputs(), b.steps[len(b.steps)-1], t.leavesBefore()
		for i := lo; i < hi; i++ {
			add(score[i*n:], steps[before[t.leafIn(m, i)]*n:][:n])
		}
	})
}

// stepsOf returns the step of each output in each leaf, leaves in the order of
// nodes. A leaf's value is what they move the log-odds of the answer by, to first
// order around a model without trees.
func (b *booster) stepsOf(t tree) []float64 {
	n, slope := b.ends.outputs(), slopes(b.ends.start, b.ends.causes)
	g, h := make([]float64, len(t)*n), make([]float64, len(t)*n)
	crew(b.Threads).each(len(b.grower.open), func(i int) {
		l := b.grower.open[i]
		b.ends.leaf(g[l.node*n:][:n], h[l.node*n:][:n], b.score, b.all[l.lo:l.hi])
	})
	output := func(i int) float64 {
		if h[i] > 0 {
			return b.search.newton(g[i], h[i])
		}
		return 0
	}
	within := b.boundsOf(t, g, h, output)
	var steps []float64
	for i := range t {
		if t[i].kid != 0 {
			continue
		}
		from := len(steps)
		for k := i * n; k < (i+1)*n; k++ {
			steps = append(steps, b.LearningRate*within[k].clamp(output(k)))
		}
		t[i].value = dot(slope, steps[from:]) / b.LearningRate
	}
	return steps
}

// boundsOf returns what each output of each node must lie within: as a tree of one
// output finds it while it grows, for each output by itself. It adds to the
// derivatives those of the nodes inside.
func (b *booster) boundsOf(t tree, g, h []float64, output func(at int) float64) []bounds {
	n := b.ends.outputs()
	within := slices.Repeat([]bounds{unbound}, len(t)*n)
	if b.search.monotone == nil {
		return within
	}
	for i := len(t) - 1; i >= 0; i-- {
		if k := int(t[i].kid); k != 0 {
			for o := range n {
				g[i*n+o] = g[k*n+o] + g[(k+1)*n+o]
				h[i*n+o] = h[k*n+o] + h[(k+1)*n+o]
			}
		}
	}
	for i := range t {
		if t[i].kid == 0 {
			continue
		}
		way := b.search.monotone[t[i].test.input]
		for o := range n {
			at, l := i*n+o, int(t[i].kid)*n+o
			within[l], within[l+n] = within[at].parted(within[at].clamp(output(l)), within[at].clamp(output(l+n)), way*favours(o, b.ends.causes))
		}
	}
	return within
}

// scale turns the derivatives into fixed point, in units such that the sum over
// any rows fits: each row is off by at most half a unit. It reports false if
// nothing is left to learn.
func (b *booster) scale() bool {
	n := len(b.gh)
	parts := make([][4]float64, (n+gradientRows-1)/gradientRows)
	c := crew(b.Threads)
	c.blocks(n, gradientRows, func(block, lo, hi int) {
		done := sumFast(&parts[block], b.gh[lo:hi])
		sumPlain(&parts[block], b.gh[lo+done:hi])
	})
	var all struct{ g, h float64 }
	for _, s := range parts {
		all.h += s[0] + s[2]
		all.g += s[1] + s[3]
	}
	if !(all.g > 0 && all.h > 0) {
		return false
	}
	perG := (math.MaxInt32 - float64(n)) / all.g
	perH := (math.MaxUint32 - float64(n)) / all.h
	if !finite(perG) || !finite(perH) {
		return false
	}
	b.search.unitG, b.search.unitH = 1/perG, 1/perH
	c.blocks(n, gradientRows, func(_, lo, hi int) {
		done := packFast(b.gh[lo:hi], perG, perH)
		packPlain(b.gh[lo+done:hi], perG, perH)
	})
	return true
}

// sumPlain adds to sums the hessians and the gradients' magnitudes of even rows,
// then of odd ones: so an addition need not wait for the one before. It defines
// what the vector code answers, as packPlain does.
func sumPlain(sums *[4]float64, gh []int64) {
	for i, v := range gh {
		g, h := derivativesOf(v)
		sums[2*(i&1)] += h
		sums[2*(i&1)+1] += math.Abs(g)
	}
}

func packPlain(gh []int64, perG, perH float64) {
	for i, v := range gh {
		g, h := derivativesOf(v)
		gh[i] = pack(int32(whole(g*perG)), uint32(whole(h*perH)))
	}
}

// whole returns the lowest bits of a number rounded, half to even.
func whole(x float64) uint64 { return math.Float64bits(float64(x) + rounder) }

// fewestInputs is how many inputs a tree may ask at least, where there are as
// many: with fewer it would seldom see two that mean something only together.
const fewestInputs = 8

// draw picks the rows and inputs of the next tree; the rows ascend.
func (b *booster) draw(rng *rand.Rand) []uint32 {
	use := b.search.use
	n := len(use)
	take := max(fewestInputs, int(math.Ceil(b.FeatureFraction*float64(n))))
	for i := range use {
		use[i] = take >= n
	}
	if take < n {
		for _, i := range rng.Perm(n)[:take] {
			use[i] = true
		}
	}
	if b.GradientFraction < 1 {
		return b.drawByGradient(rng)
	}
	if b.RowFraction >= 1 {
		for i := range b.all {
			b.all[i] = uint32(i)
		}
		return b.all
	}
	rows := b.all[:0]
	limit := uint64(b.RowFraction * (1 << 53))
	for i := range b.gh {
		if rng.Uint64()>>11 < limit {
			rows = append(rows, uint32(i))
		}
	}
	return rows
}

// drawByGradient draws each row with a chance that grows with the length of its
// derivatives, and lets it stand for as many as it was drawn from: of all draws
// of so many rows on average the one whose sums vary least (Ibragimov and Gusev,
// Minimal Variance Sampling, NeurIPS 2019).
func (b *booster) drawByGradient(rng *rand.Rand) []uint32 {
	length := make([]float64, len(b.gh))
	for i, v := range b.gh {
		g, h := derivativesOf(v)
		length[i] = math.Sqrt(float64(g*g) + float64(h*h))
	}
	sure := sureFrom(length, float64(b.GradientFraction*float64(len(length))))
	rows := b.all[:0]
	for i, v := range b.gh {
		p := min(1, length[i]/sure)
		if !(rng.Float64() < p) {
			b.gh[i] = 0
			continue
		}
		g, h := derivativesOf(v)
		b.gh[i] = derivatives(g/p, h/p)
		rows = append(rows, uint32(i))
	}
	return rows
}

// sureFrom returns the length from which a row is drawn for sure, such that the
// chances length/sure of the others and those sum to take.
func sureFrom(length []float64, take float64) float64 {
	sure := math.Inf(1)
	for {
		sum, certain := 0.0, 0.0
		for _, l := range length {
			if l < sure {
				sum += l
			} else {
				certain++
			}
		}
		next := sum / max(take-certain, 1)
		if !(next < sure) || certain >= take {
			return sure
		}
		sure = next
	}
}

// residuals returns each row's gradient and hessian as they stand, in units in
// which chance alone makes the squares of the gradients as large as the hessians.
func (b *booster) residuals() (g, h []float64) {
	g, h = make([]float64, len(b.gh)), make([]float64, len(b.gh))
	b.of.derive(b.gh, b.score, crew(b.Threads))
	squares, hessians := 0.0, 0.0
	for i, v := range b.gh {
		g[i], h[i] = derivativesOf(v)
		squares += float64(g[i] * g[i])
		hessians += h[i]
	}
	if _, ok := b.Objective.(LogLoss); ok || squares == 0 {
		return g, h
	}
	for i := range g {
		g[i] *= math.Sqrt(hessians / squares)
	}
	return g, h
}

var _ models.Learner = Learner{}
