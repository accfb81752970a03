package gbdt

import (
	"cmp"
	"context"
	"math"
	"slices"

	"bellwether/models"
)

// The first pass that chooses combinations looks at so many rows and columns at
// most, grows so many small trees, cuts a combination's rate into so many bins,
// and weighs so many of the best against each other.
const (
	scoutRows     = 50_000
	scoutColumns  = 24
	scoutTrees    = 20
	scoutLeaves   = 15
	scoutBins     = 32
	scoutFinalist = 48
)

// After a combination is chosen, the others are judged on what is left once so
// much of its own best step is taken: like a learning rate, it keeps one
// combination from claiming what several would explain together.
const scoutStep = 0.3

// A column of numbers joins combinations, as if its values were categories, if
// it repeats itself: at most so many distinct values a row.
const repeats = 0.25

// prepare plans the inputs and bins the training rows.
func prepare(ctx context.Context, p Learner, rows *sample, of fitting, seed uint64) (*encoder, [][]uint8, error) {
	plan := newPlanner(p, rows, of, seed)
	plan.singles()
	chosen, err := choosePairs(ctx, plan, seed)
	if err != nil {
		return nil, nil, err
	}
	plans := make([]*planner, len(chosen))
	crew(p.Threads).each(len(chosen), func(k int) {
		q := *plan
		q.enc, q.cols = &encoder{}, nil
		q.rates(chosen[k].a, chosen[k].b)
		plans[k] = &q
	})
	for _, q := range plans {
		plan.take(q)
	}
	return plan.enc, plan.cols, nil
}

// pair is a combination of two columns, or a column of numbers taken as
// categories (b is -1).
type pair struct {
	a, b int
	gain float64
	bins []uint8 // of its rate, on the scout's rows
}

// choosePairs returns the combinations whose rates explain most of what a few
// small trees on single columns leave over, and more than chance would. Each is
// judged on what those chosen before it leave.
func choosePairs(ctx context.Context, plan *planner, seed uint64) ([]pair, error) {
	if plan.Targets.Pairs == 0 {
		return nil, nil
	}
	scout, of, err := newScout(plan, seed)
	if err != nil {
		return nil, err
	}
	p, rows := scout.Learner, scout.rows
	pairs := candidates(rows, p.Limits, crew(p.Threads))
	if len(pairs) == 0 {
		return nil, nil
	}
	scout.singles()
	b := newBooster(p, rows, of, scout.enc, scout.cols, seed)
	if err := b.run(ctx); err != nil {
		return nil, err
	}
	g, h := b.residuals()
	crew(p.Threads).each(len(pairs), func(k int) {
		if ctx.Err() != nil {
			return
		}
		s := stat{a: pairs[k].a, b: pairs[k].b, prior: scout.prior}
		rates, _ := scout.fitRates(&s)
		pairs[k].bins = binned(rates, scoutBins)
		pairs[k].gain, _ = explained(pairs[k].bins, g, h)
	})
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	slices.SortStableFunc(pairs, func(a, b pair) int { return cmp.Compare(b.gain, a.gain) })
	pairs = pairs[:min(len(pairs), scoutFinalist)]
	var chosen []pair
	for len(chosen) < plan.Targets.Pairs && len(pairs) > 0 {
		best := 0
		var step [scoutBins + 2]float64
		for k := range pairs {
			gain, s := explained(pairs[k].bins, g, h)
			pairs[k].gain = gain
			if k == 0 || gain > pairs[best].gain {
				best, step = k, s
			}
		}
		if !(pairs[best].gain > 0) {
			break
		}
		for i, bin := range pairs[best].bins {
			b.score[i] += float64(scoutStep * step[bin])
		}
		g, h = b.residuals()
		chosen = append(chosen, pairs[best])
		pairs = slices.Delete(pairs, best, best+1)
	}
	return chosen, nil
}

// newScout plans the fast first pass: over some of the rows, with the labels as
// statistics see them.
func newScout(plan *planner, seed uint64) (*planner, fitting, error) {
	p := plan.Learner
	p.Trees, p.Leaves, p.LearningRate, p.Progress = scoutTrees, scoutLeaves, 0.2, nil
	p.FeatureFraction, p.RowFraction, p.GradientFraction = 1, 1, 1
	p.From, p.Base = nil, nil
	rows := *plan.rows
	rows.y, rows.w = plan.y, plan.w
	if _, ok := p.Objective.(LogLoss); !ok {
		p.Objective = SquaredError{}
	}
	part := scoutSample(&rows)
	of, err := p.Objective.begin(part)
	if err != nil {
		return nil, nil, err
	}
	return newPlanner(p, part, of, seed), of, nil
}

// candidates are the allowed combinations of the columns that repeat themselves;
// of many columns, those of most values.
func candidates(rows *sample, limits Limits, c crew) []pair {
	type column struct{ at, levels int }
	levels := make([]int, len(rows.columns))
	c.each(len(levels), func(j int) { levels[j] = distinct(rows.x, j) })
	var found []column
	for j, col := range rows.columns {
		most := float64(len(rows.y))
		if col.Kind == models.Numeric {
			most *= repeats
		}
		if levels[j] > 1 && float64(levels[j]) <= most {
			found = append(found, column{j, levels[j]})
		}
	}
	slices.SortStableFunc(found, func(a, b column) int { return cmp.Compare(b.levels, a.levels) })
	found = found[:min(len(found), scoutColumns)]
	slices.SortFunc(found, func(a, b column) int { return cmp.Compare(a.at, b.at) })
	var pairs []pair
	for i, c := range found {
		if rows.columns[c.at].Kind == models.Numeric && c.levels > maxNative {
			pairs = append(pairs, pair{a: c.at, b: -1})
		}
		for _, d := range found[i+1:] {
			pairs = append(pairs, pair{a: c.at, b: d.at})
		}
	}
	return slices.DeleteFunc(pairs, func(p pair) bool { return !limits.pairs(p.a, p.b) })
}

// distinct counts the numbers of a column, all missing ones as one.
func distinct(x *models.Inputs, col int) int {
	sorted, n := make([]float64, 0, x.Len()), 0
	x.Each(col, func(_ int, values []float64) {
		for _, v := range values {
			if v == v {
				sorted = append(sorted, v)
			} else {
				n = 1
			}
		}
	})
	sortNumbers(sorted)
	for i, v := range sorted {
		if i == 0 || v != sorted[i-1] {
			n++
		}
	}
	return n
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
	if differ(s.y) != nil {
		return rows
	}
	return s
}

func binned(numbers []float64, most int) []uint8 {
	x := models.InputsOf([][]float64{numbers})
	return binColumn(cutsOf(x, 0, most), x, 0)
}

// explained is how much of the loss left over (gradients g, hessians h) a step
// for each bin would take away, less what bins of pure chance would: each gives
// 1 on average, the sum of k has deviation sqrt(2k), and three deviations
// are asked for because many are tried.
func explained(bins []uint8, g, h []float64) (gain float64, step [scoutBins + 2]float64) {
	var gs, hs [scoutBins + 2]float64
	for i, b := range bins {
		gs[b] += g[i]
		hs[b] += h[i]
	}
	k := 0.0
	for b := range gs {
		if hs[b] > 0 {
			gain += gs[b] * gs[b] / (hs[b] + 1)
			step[b] = -gs[b] / (hs[b] + 1)
			k++
		}
	}
	return gain - k - float64(3*math.Sqrt(2*k)), step
}
