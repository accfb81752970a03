package gbdt

import (
	"context"
	"math"
	"math/rand/v2"

	"bellwether/models"
)

// gradientRows is the size of the blocks that gradients are computed and summed
// in. It is part of the result's bits.
const gradientRows = 4096

// booster adds trees until they stop helping.
type booster struct {
	Learner
	loss   logLoss
	seed   uint64
	rows   *sample
	base   float64
	score  []float64
	m      *matrix
	search *searcher
	grower *grower
	gh     []int64
	all    []uint32 // the rows, as the last tree has sorted them
	held   *holdout
}

// holdout is the rows that tell when to stop.
type holdout struct {
	rows  *sample
	m     *matrix
	score []float64
	loss  float64 // the best so far
	trees int     // how many trees it took
}

func newBooster(p Learner, rows *sample, enc *encoder, cols [][]uint8, seed uint64) *booster {
	n := len(rows.y)
	b := &booster{Learner: p, rows: rows, seed: seed, gh: make([]int64, n), all: make([]uint32, n)}
	b.base = b.loss.base(rows.rate())
	b.score = make([]float64, n)
	for i := range b.score {
		b.score[i] = b.base
	}
	b.m = newMatrix(cols, n, crew(p.Threads))
	b.search = &searcher{
		l1: p.L1, l2: p.L2, minRows: float64(p.MinRows), minHessian: p.MinHessian,
		use: make([]bool, len(cols)),
	}
	for _, in := range enc.inputs {
		b.search.bins = append(b.search.bins, in.bins(enc))
		b.search.levels = append(b.search.levels, in.kind == levels)
	}
	b.grower = newGrower(b.m, b.gh, p.Leaves, crew(p.Threads))
	return b
}

// holdOut makes b stop early by rows.
func (b *booster) holdOut(enc *encoder, rows *sample) {
	c := crew(b.Threads)
	h := &holdout{rows: rows, score: make([]float64, len(rows.y)), loss: math.Inf(1)}
	h.m = newMatrix(enc.binsOf(rows.x, c), len(rows.y), c)
	for i := range h.score {
		h.score[i] = b.base
	}
	b.held = h
}

// run returns the trees, cut back to the best on the held out rows.
func (b *booster) run(ctx context.Context) ([]tree, error) {
	var trees []tree
	if h := b.held; h != nil {
		h.loss = b.meanLoss(h.rows, h.score)
	}
	for k := 0; k < b.Trees; k++ {
		if err := ctx.Err(); err != nil {
			return nil, err
		}
		if !b.gradients() {
			break
		}
		rows := b.draw(k)
		t := b.grower.grow(b.search, rows)
		if len(t) == 1 {
			break
		}
		for i := range t {
			t[i].value *= b.LearningRate
		}
		t.fillValues()
		trees = append(trees, t)
		b.advance(t, len(rows))
		heldLoss := math.NaN()
		if h := b.held; h != nil {
			h.advance(t, crew(b.Threads))
			heldLoss = b.meanLoss(h.rows, h.score)
			if heldLoss < h.loss {
				h.loss, h.trees = heldLoss, k+1
			}
		}
		if b.Progress != nil {
			b.Progress(k+1, b.meanLoss(b.rows, b.score), heldLoss)
		}
		if h := b.held; h != nil && b.EarlyStop > 0 && k+1-h.trees >= b.EarlyStop {
			break
		}
	}
	if b.held != nil && b.EarlyStop > 0 {
		trees = trees[:b.held.trees]
	}
	return trees, nil
}

// gradients fills b.gh and sets the units of the fixed point so that the sum
// over any rows fits: each row is off by at most half a unit. It reports false
// if nothing is left to learn.
func (b *booster) gradients() bool {
	n := len(b.gh)
	type sums struct{ g, h float64 }
	parts := make([]sums, (n+gradientRows-1)/gradientRows)
	c := crew(b.Threads)
	c.blocks(n, gradientRows, func(block, lo, hi int) {
		var s sums
		for i := lo; i < hi; i++ {
			g, h := b.loss.gradient(b.score[i], b.rows.y[i])
			w := b.rows.weight(i)
			g32, h32 := float32(g*w), float32(h*w)
			s.g += math.Abs(float64(g32))
			s.h += float64(h32)
			b.gh[i] = int64(math.Float32bits(g32))<<32 | int64(math.Float32bits(h32))
		}
		parts[block] = s
	})
	var all sums
	for _, s := range parts {
		all.g += s.g
		all.h += s.h
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
		for i, v := range b.gh[lo:hi] {
			g := float64(math.Float32frombits(uint32(v >> 32)))
			h := float64(math.Float32frombits(uint32(v)))
			b.gh[lo+i] = pack(int32(math.RoundToEven(g*perG)), uint32(math.RoundToEven(h*perH)))
		}
	})
	return true
}

// draw picks the rows and inputs of tree k; the rows ascend.
func (b *booster) draw(k int) []uint32 {
	rng := rand.New(rand.NewPCG(b.seed, uint64(k)+1))
	use := b.search.use
	n := len(use)
	take := max(1, int(math.Ceil(b.FeatureFraction*float64(n))))
	for i := range use {
		use[i] = take >= n
	}
	if take < n {
		for _, i := range rng.Perm(n)[:take] {
			use[i] = true
		}
	}
	rows := b.all[:0]
	limit := uint64(b.RowFraction * (1 << 53))
	for i := range b.gh {
		if b.RowFraction >= 1 || rng.Uint64()>>11 < limit {
			rows = append(rows, uint32(i))
		}
	}
	return rows
}

// advance adds the tree to the score of each training row. The first n of b.all
// stand sorted by leaf.
func (b *booster) advance(t tree, n int) {
	c := crew(b.Threads)
	if n < len(b.gh) {
		c.blocks(len(b.gh), gradientRows, func(_, lo, hi int) { t.addTo(b.score, b.m, lo, hi) })
		return
	}
	leaves := b.grower.open
	c.each(len(leaves), func(i int) {
		v := t[leaves[i].node].value
		for _, r := range b.all[leaves[i].lo:leaves[i].hi] {
			b.score[r] += v
		}
	})
}

func (h *holdout) advance(t tree, c crew) {
	c.blocks(len(h.score), gradientRows, func(_, lo, hi int) { t.addTo(h.score, h.m, lo, hi) })
}

// addTo adds the tree's values to the scores of rows lo … hi-1 of m.
func (t tree) addTo(score []float64, m *matrix, lo, hi int) {
	for i := lo; i < hi; i++ {
		score[i] += t[t.leafIn(m, i)].value
	}
}

func (b *booster) meanLoss(rows *sample, score []float64) float64 {
	type sums struct{ loss, w float64 }
	parts := make([]sums, (len(score)+gradientRows-1)/gradientRows)
	crew(b.Threads).blocks(len(score), gradientRows, func(block, lo, hi int) {
		var s sums
		for i := lo; i < hi; i++ {
			w := rows.weight(i)
			s.loss += w * b.loss.loss(score[i], rows.y[i])
			s.w += w
		}
		parts[block] = s
	})
	var all sums
	for _, s := range parts {
		all.loss += s.loss
		all.w += s.w
	}
	return all.loss / all.w
}

// residuals returns each row's gradient and hessian as they stand.
func (b *booster) residuals() (g, h []float64) {
	g, h = make([]float64, len(b.score)), make([]float64, len(b.score))
	for i, s := range b.score {
		w := b.rows.weight(i)
		g[i], h[i] = b.loss.gradient(s, b.rows.y[i])
		g[i] *= w
		h[i] *= w
	}
	return g, h
}

var _ models.Learner = Learner{}
