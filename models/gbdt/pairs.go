package gbdt

import (
	"cmp"
	"context"
	"math"
	"slices"

	"bellwether/models"
)

// The first pass that chooses pairs looks at so many rows and columns at most,
// grows so many small trees, and cuts a pair's rate into so many bins.
const (
	scoutRows    = 50_000
	scoutColumns = 24
	scoutTrees   = 20
	scoutLeaves  = 15
	scoutBins    = 32
)

// prepare plans the inputs and bins the training rows.
func prepare(ctx context.Context, p Learner, rows *sample, seed uint64) (*encoder, [][]uint8, error) {
	plan := newPlanner(p, rows, seed)
	plan.singles()
	pairs, err := choosePairs(ctx, plan, seed)
	if err != nil {
		return nil, nil, err
	}
	plans := make([]*planner, len(pairs))
	crew(p.Threads).each(len(pairs), func(k int) {
		q := *plan
		q.enc, q.cols = &encoder{}, nil
		q.rates(pairs[k].a, pairs[k].b)
		plans[k] = &q
	})
	for _, q := range plans {
		plan.take(q)
	}
	return plan.enc, plan.cols, nil
}

type pair struct {
	a, b int
	gain float64
}

// choosePairs returns the pairs of Category columns whose rate explains most of
// what a few small trees on single columns leave over, and more than chance.
func choosePairs(ctx context.Context, plan *planner, seed uint64) ([]pair, error) {
	cand := candidates(plan.rows)
	if len(cand) < 2 || plan.Targets.Pairs == 0 {
		return nil, nil
	}
	rows := scoutSample(plan.rows)
	p := plan.Learner
	p.Trees, p.Leaves, p.LearningRate, p.EarlyStop, p.Progress = scoutTrees, scoutLeaves, 0.2, 0, nil
	p.FeatureFraction, p.RowFraction = 1, 1
	scout := newPlanner(p, rows, seed)
	scout.singles()
	b := newBooster(p, rows, scout.enc, scout.cols, seed)
	if _, err := b.run(ctx); err != nil {
		return nil, err
	}
	var pairs []pair
	for i, a := range cand {
		for _, b := range cand[i+1:] {
			pairs = append(pairs, pair{a: a, b: b})
		}
	}
	g, h := b.residuals()
	crew(p.Threads).each(len(pairs), func(k int) {
		s := stat{a: pairs[k].a, b: pairs[k].b, prior: scout.prior}
		rates, _ := s.fitRates(rows, scout.order, p.Targets.Strength)
		pairs[k].gain = explained(rates, g, h)
	})
	pairs = slices.DeleteFunc(pairs, func(p pair) bool { return !(p.gain > 0) })
	slices.SortStableFunc(pairs, func(a, b pair) int { return cmp.Compare(b.gain, a.gain) })
	return pairs[:min(len(pairs), plan.Targets.Pairs)], nil
}

// candidates are the Category columns of two levels or more; of many, those of
// most levels.
func candidates(rows *sample) []int {
	type column struct{ at, levels int }
	var found []column
	for j, c := range rows.columns {
		if c.Kind == models.Category {
			s := stat{a: j, b: -1}
			if _, distinct := s.groups(rows.x); len(distinct) > 1 {
				found = append(found, column{j, len(distinct)})
			}
		}
	}
	slices.SortStableFunc(found, func(a, b column) int { return cmp.Compare(b.levels, a.levels) })
	found = found[:min(len(found), scoutColumns)]
	cand := make([]int, len(found))
	for i, c := range found {
		cand[i] = c.at
	}
	slices.Sort(cand)
	return cand
}

// scoutSample takes every so many-th row.
func scoutSample(rows *sample) *sample {
	n := len(rows.y)
	step := (n + scoutRows - 1) / scoutRows
	if step <= 1 {
		return rows
	}
	var take []int
	for i := 0; i < n; i += step {
		take = append(take, i)
	}
	s := rows.part(take)
	if s.twoClasses() != nil {
		return rows
	}
	return s
}

// explained is how much of the loss left over (gradients g, hessians h) a value
// for each bin of x would take away, less what bins of pure chance would: each
// gives 1 on average, and the sum of k has deviation sqrt(2k).
func explained(x, g, h []float64) float64 {
	cuts := cutsOf(x, scoutBins)
	gs, hs := make([]float64, len(cuts)+2), make([]float64, len(cuts)+2)
	for i, v := range x {
		b := binOf(cuts, v)
		gs[b] += g[i]
		hs[b] += h[i]
	}
	sum, k := 0.0, 0.0
	for b := range gs {
		if hs[b] > 0 {
			sum += gs[b] * gs[b] / (hs[b] + 1)
			k++
		}
	}
	return sum - k - 3*math.Sqrt(2*k)
}
