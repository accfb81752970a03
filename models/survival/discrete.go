package survival

import (
	"context"
	"errors"
	"fmt"
	"math"
	"slices"

	"gonum.org/v1/gonum/optimize"
)

// Discrete describes a discrete-time hazard fit: time is cut into periods, and
// the chance of the event within a period, for those who enter it, has log odds
// of the period's own plus x·coef (Singer and Willett 1993).
type Discrete struct {
	Edges      []float64 // ends of the periods, ascending; nothing is said beyond the last
	L2         float64   // half of it times the squared standardised coefficients; 0 means 1, below 0 none
	Iterations int       // 0 means 300
}

// DiscreteModel is a fitted discrete-time hazard.
type DiscreteModel struct {
	Edges []float64
	Base  []float64 // log odds of the event in each period, for a row of Mean
	Coef  []float64
	Mean  []float64
}

// Fit learns from columns of covariates without missing values. A row counts in
// each period it entered: up to its event, or up to the last period it was
// watched through; part of a period without an event counts as nothing. The
// rows times periods are summed over, never held.
func (h Discrete) Fit(ctx context.Context, d Data, columns [][]float64) (*DiscreteModel, error) {
	if err := d.Check(); err != nil {
		return nil, fmt.Errorf("discrete hazard: %w", err)
	}
	if len(h.Edges) == 0 || !(h.Edges[0] > 0) || !slices.IsSorted(h.Edges) || len(slices.Compact(slices.Clone(h.Edges))) != len(h.Edges) {
		return nil, fmt.Errorf("discrete hazard: edges %v do not ascend from above 0", h.Edges)
	}
	p, err := newPartial(Cox{}, d, columns) // for the checks and the scale
	if err != nil {
		return nil, fmt.Errorf("discrete hazard: %w", err)
	}
	e := newExpansion(d, p.x, h.Edges)
	if h.L2 >= 0 {
		e.l2 = 1
		if h.L2 > 0 {
			e.l2 = h.L2
		}
	}
	if e.mass == 0 {
		return nil, fmt.Errorf("discrete hazard: no row was watched through the first period")
	}
	steps := h.Iterations
	if steps == 0 {
		steps = 300
	}
	result, err := optimize.Minimize(optimize.Problem{
		Func: func(x []float64) float64 { return e.evaluate(x, nil) },
		Grad: func(grad, x []float64) { e.evaluate(x, grad) },
		Status: func() (optimize.Status, error) {
			if err := ctx.Err(); err != nil {
				return optimize.Failure, err
			}
			return optimize.NotTerminated, nil
		},
	}, e.start(), &optimize.Settings{GradientThreshold: 1e-8, MajorIterations: steps}, &optimize.LBFGS{Store: 10})
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	if result == nil || math.IsNaN(result.F) || math.IsInf(result.F, 0) {
		return nil, errors.Join(errors.New("discrete hazard: no minimum found"), err)
	}
	k := len(h.Edges)
	m := &DiscreteModel{Edges: slices.Clone(h.Edges), Base: result.X[:k:k], Mean: p.mean, Coef: make([]float64, len(columns))}
	for j := range columns {
		if p.sd[j] > 0 {
			m.Coef[j] = result.X[k+j] / p.sd[j]
		}
	}
	return m, nil
}

// expansion is the person-periods, held as each row's number of periods.
type expansion struct {
	x       [][]float64
	w       []float64
	entered []int  // periods a row counts in
	event   []bool // whether the last of them has the event
	seen    []float64
	died    []float64
	mass    float64
	l2      float64
}

func newExpansion(d Data, x [][]float64, edges []float64) *expansion {
	e := &expansion{x: x, seen: make([]float64, len(edges)), died: make([]float64, len(edges))}
	for i, t := range d.Time {
		k, _ := slices.BinarySearch(edges, t) // the period t falls in: edges[k-1] < t <= edges[k]
		event := d.Event[i] && k < len(edges)
		n := k
		if event || k < len(edges) && t == edges[k] {
			n = k + 1
		}
		w := d.weight(i)
		e.entered, e.event, e.w = append(e.entered, n), append(e.event, event), append(e.w, w)
		for j := range n {
			e.seen[j] += w
			e.mass += w
		}
		if event {
			e.died[k] += w
		}
	}
	return e
}

// start is each period's own rate, half an event added to both sides.
func (e *expansion) start() []float64 {
	x := make([]float64, len(e.seen)+len(e.x))
	for k := range e.seen {
		x[k] = math.Log((e.died[k] + .5) / (e.seen[k] - e.died[k] + .5))
	}
	return x
}

// flat keeps the log odds of a period nobody had an event in finite: a prior
// weight of almost nothing towards even odds.
const flat = 1e-4

func (e *expansion) evaluate(at, grad []float64) float64 {
	k := len(e.seen)
	base, beta := at[:k], at[k:]
	clear(grad)
	loss := 0.0
	for i, n := range e.entered {
		z := 0.0
		for j, b := range beta {
			z += b * e.x[j][i]
		}
		slope := 0.0
		for t := range n {
			odds := base[t] + z
			ex := math.Exp(-math.Abs(odds))
			p := 1 / (1 + ex)
			if odds < 0 {
				p = ex / (1 + ex)
			}
			y := 0.0
			if e.event[i] && t == n-1 {
				y = 1
			}
			loss += e.w[i] * (max(odds, 0) - y*odds + math.Log1p(ex))
			if grad != nil {
				grad[t] += e.w[i] * (p - y)
				slope += e.w[i] * (p - y)
			}
		}
		if grad != nil {
			for j := range beta {
				grad[k+j] += slope * e.x[j][i]
			}
		}
	}
	for j, v := range at {
		l2 := flat
		if j >= k {
			l2 = max(e.l2, flat)
		}
		loss += l2 / 2 * v * v
		if grad != nil {
			grad[j] += l2 * v
		}
	}
	for j := range grad {
		grad[j] /= e.mass
	}
	return loss / e.mass
}

// Hazard is a row's chance of the event in period k, given that it enters it.
func (m *DiscreteModel) Hazard(row []float64, k int) float64 {
	odds := m.Base[k]
	for j, x := range row {
		odds += m.Coef[j] * (x - m.Mean[j])
	}
	return 1 / (1 + math.Exp(-odds))
}

// Survival is a row's chance of no event through the end of period k.
func (m *DiscreteModel) Survival(row []float64, k int) float64 {
	s := 1.0
	for t := range k + 1 {
		s *= 1 - m.Hazard(row, t)
	}
	return s
}
