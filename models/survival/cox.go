package survival

import (
	"context"
	"fmt"
	"math"

	"gonum.org/v1/gonum/mat"

	"bellwether/models"
)

// Ties says how events at the same time share their risk set.
type Ties uint8

// Efron's way is the more exact and the default; Breslow's the simpler.
const (
	Efron Ties = iota
	Breslow
)

// Cox describes a proportional hazards fit: the hazard of a row is a common
// curve times exp(x·coef).
type Cox struct {
	Ties       Ties
	L2         float64 // half of it times the squared coefficients is taken from the log-likelihood
	Iterations int     // most Newton steps; 0 means 50
}

// CoxModel is a fitted Cox model.
type CoxModel struct {
	Coef       []float64 // per column
	SE         []float64 // standard errors
	Mean       []float64 // columns' weighted means; risks are relative to a row of these
	NullLogLik float64   // partial log-likelihood without any column
	LogLik     float64   // and with all
	Time       []float64 // event times, ascending
	Hazard     []float64 // cumulated baseline hazard at them, for a row of Mean
}

// Fit maximises the partial likelihood by Newton's method with halved steps.
// columns holds the covariates column by column, without missing values. A
// column that is constant gets coefficient 0 and NaN as its error. If the
// likelihood has no maximum (a column parts the events perfectly) the answer is
// an error that names the column.
func (c Cox) Fit(ctx context.Context, d Data, columns [][]float64) (*CoxModel, error) {
	if err := d.Check(); err != nil {
		return nil, fmt.Errorf("cox: %w", err)
	}
	p, err := newPartial(c, d, columns)
	if err != nil {
		return nil, fmt.Errorf("cox: %w", err)
	}
	steps := c.Iterations
	if steps == 0 {
		steps = 50
	}
	k := len(columns)
	beta, next := make([]float64, k), make([]float64, k)
	grad, info := make([]float64, k), mat.NewSymDense(max(k, 1), nil)
	at := p.evaluate(beta, grad, info)
	m := &CoxModel{Mean: p.mean, NullLogLik: at}
	for range steps {
		if err := ctx.Err(); err != nil {
			return nil, err
		}
		if k == 0 {
			break
		}
		step, ok := solve(info, grad)
		if !ok {
			return nil, fmt.Errorf("cox: the columns depend on each other: no single answer")
		}
		moved, reached := false, at
		for t := 1.0; t > 1e-8; t /= 2 {
			for j := range next {
				next[j] = beta[j] + t*step[j]
			}
			if l := p.evaluate(next, nil, nil); l >= at {
				copy(beta, next)
				reached, moved = l, true
				break
			}
		}
		gain := reached - at
		at = p.evaluate(beta, grad, info)
		if !moved || gain < 1e-11*(math.Abs(at)+1) {
			break
		}
	}
	for j, b := range beta {
		if math.Abs(b) > farAway {
			return nil, fmt.Errorf("cox: column %d parts those with an event from those without: no finite answer", j)
		}
	}
	m.LogLik = at
	m.finish(p, beta, info)
	return m, nil
}

// farAway is a coefficient per standard deviation that no real column has: a
// hazard e^10 times that of a neighbour.
const farAway = 10

func solve(info *mat.SymDense, grad []float64) ([]float64, bool) {
	var chol mat.Cholesky
	if !chol.Factorize(info) {
		return nil, false
	}
	step := mat.NewVecDense(len(grad), nil)
	if err := chol.SolveVecTo(step, mat.NewVecDense(len(grad), grad)); err != nil {
		return nil, false
	}
	return step.RawVector().Data, true
}

// partial is the partial likelihood on standardised columns, latest time first.
type partial struct {
	Cox
	d      Data
	order  []int
	x      [][]float64 // standardised columns
	mean   []float64
	sd     []float64 // 0: constant
	hazard func(t, h float64)
}

func newPartial(c Cox, d Data, columns [][]float64) (*partial, error) {
	p := &partial{Cox: c, d: d, order: d.byTime()}
	total, events := 0.0, 0.0
	for i := range d.Time {
		total += d.weight(i)
		if d.Event[i] {
			events += d.weight(i)
		}
	}
	if events == 0 {
		return nil, ErrNoEvent
	}
	for j, col := range columns {
		if len(col) != len(d.Time) {
			return nil, fmt.Errorf("%w: column %d has %d rows, not %d", models.ErrWidth, j, len(col), len(d.Time))
		}
		mean, ss := 0.0, 0.0
		for i, v := range col {
			if math.IsNaN(v) || math.IsInf(v, 0) {
				return nil, fmt.Errorf("column %d, row %d is %v", j, i, v)
			}
			mean += d.weight(i) * v / total
		}
		for i, v := range col {
			ss += d.weight(i) * (v - mean) * (v - mean) / total
		}
		sd := math.Sqrt(ss)
		if sd <= 1e-12*math.Abs(mean) {
			sd = 0
		}
		z := make([]float64, len(col))
		for i, v := range col {
			if sd > 0 {
				z[i] = (v - mean) / sd
			}
		}
		p.x, p.mean, p.sd = append(p.x, z), append(p.mean, mean), append(p.sd, sd)
	}
	return p, nil
}

// evaluate returns the log-likelihood at beta and, unless nil, sets gradient and
// information (the negative second derivatives). It goes from the last time to
// the first, so that the risk set only grows.
func (p *partial) evaluate(beta, grad []float64, info *mat.SymDense) float64 {
	k := len(beta)
	derive := grad != nil
	risk, tied := newMoments(k), newMoments(k)
	if derive {
		clear(grad)
		for a := range k {
			for b := a; b < k; b++ {
				info.SetSym(a, b, 0)
			}
		}
	}
	row := make([]float64, k)
	loglik := 0.0
	for end := len(p.order); end > 0; {
		t := p.d.Time[p.order[end-1]]
		tied.clear()
		var weight, events float64
		start := end
		for start > 0 && p.d.Time[p.order[start-1]] == t {
			start--
			i := p.order[start]
			z := 0.0
			for j := range row {
				row[j] = p.x[j][i]
				z += beta[j] * row[j]
			}
			w := p.d.weight(i)
			risk.add(row, w*math.Exp(z), derive)
			if p.d.Event[i] && w > 0 {
				tied.add(row, w*math.Exp(z), derive)
				loglik += w * z
				weight += w
				events++
				for j := range grad {
					grad[j] += w * row[j]
				}
			}
		}
		if events > 0 {
			loglik += p.share(risk, tied, grad, info, group{t, weight, events})
		}
		end = start
	}
	for j, b := range beta {
		l2 := 1.0 // a constant column has no information of its own; any will do
		if p.sd[j] > 0 {
			l2 = p.L2 / (p.sd[j] * p.sd[j])
		}
		loglik -= l2 / 2 * b * b
		if derive {
			grad[j] -= l2 * b
			info.SetSym(j, j, info.At(j, j)+l2)
		}
	}
	return loglik
}

// group is the events of one time: their summed weight and their number.
type group struct{ t, weight, events float64 }

// share adds one event time's denominators: with Efron's ties the l-th of n
// events finds l/n of the tied already gone.
func (p *partial) share(risk, tied *moments, grad []float64, info *mat.SymDense, g group) float64 {
	loglik := 0.0
	for l := 0.0; l < g.events; l++ {
		gone, w := 0.0, g.weight/g.events
		if p.Ties == Efron {
			gone = l / g.events
		} else {
			w, l = g.weight, g.events // all at once
		}
		s0 := risk.s0 - gone*tied.s0
		loglik -= w * math.Log(s0)
		if p.hazard != nil {
			p.hazard(g.t, w/s0)
		}
		for a := range grad {
			ma := (risk.s1[a] - gone*tied.s1[a]) / s0
			grad[a] -= w * ma
			for b := a; b < len(grad); b++ {
				mb := (risk.s1[b] - gone*tied.s1[b]) / s0
				s2 := (risk.s2[a*len(grad)+b] - gone*tied.s2[a*len(grad)+b]) / s0
				info.SetSym(a, b, info.At(a, b)+w*(s2-ma*mb))
			}
		}
	}
	return loglik
}

// moments is the sums of risk, risk·x and risk·x·x over some rows.
type moments struct {
	s0     float64
	s1, s2 []float64
}

func newMoments(k int) *moments { return &moments{s1: make([]float64, k), s2: make([]float64, k*k)} }

func (m *moments) clear() {
	m.s0 = 0
	clear(m.s1)
	clear(m.s2)
}

func (m *moments) add(x []float64, r float64, derive bool) {
	m.s0 += r
	if !derive {
		return
	}
	for a, v := range x {
		m.s1[a] += r * v
		for b := a; b < len(x); b++ {
			m.s2[a*len(x)+b] += r * v * x[b]
		}
	}
}

// finish puts coefficients, errors and baseline back on the columns' own scale.
func (m *CoxModel) finish(p *partial, beta []float64, info *mat.SymDense) {
	k := len(beta)
	var inverse mat.SymDense
	var chol mat.Cholesky
	known := k > 0 && chol.Factorize(info) && chol.InverseTo(&inverse) == nil
	m.Coef, m.SE = make([]float64, k), make([]float64, k)
	for j, b := range beta {
		m.SE[j] = math.NaN()
		if p.sd[j] == 0 {
			continue
		}
		m.Coef[j] = b / p.sd[j]
		if known {
			m.SE[j] = math.Sqrt(inverse.At(j, j)) / p.sd[j]
		}
	}
	var times, jumps []float64
	p.hazard = func(t, h float64) {
		if n := len(times); n == 0 || times[n-1] != t {
			times, jumps = append(times, t), append(jumps, 0)
		}
		jumps[len(jumps)-1] += h
	}
	p.evaluate(beta, nil, nil)
	sum := 0.0
	for i := len(times) - 1; i >= 0; i-- {
		sum += jumps[i]
		m.Time, m.Hazard = append(m.Time, times[i]), append(m.Hazard, sum)
	}
}

// Risk is the log hazard of a row relative to that of a row of Mean.
func (m *CoxModel) Risk(row []float64) float64 {
	sum := 0.0
	for j, x := range row {
		sum += m.Coef[j] * (x - m.Mean[j])
	}
	return sum
}

// Survival is a row's chance of no event up to and including time t.
func (m *CoxModel) Survival(row []float64, t float64) float64 {
	h := 0.0
	for i, at := range m.Time {
		if at > t {
			break
		}
		h = m.Hazard[i]
	}
	return math.Exp(-h * math.Exp(m.Risk(row)))
}
