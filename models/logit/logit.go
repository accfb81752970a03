// Package logit is logistic regression with an L2 penalty: the linear baseline
// that every other learner has to beat, and a good model where rows are few.
//
// Inputs enter as package design encodes them. The penalised likelihood is
// convex; gonum's L-BFGS finds its one minimum, so the seed plays no part.
package logit

import (
	"context"
	"errors"
	"fmt"
	"math"

	"gonum.org/v1/gonum/optimize"

	"bellwether/models"
	"bellwether/models/design"
	"bellwether/models/wire"
)

// Learner fits logistic regressions. The zero value is ready to use.
type Learner struct {
	L2         float64 // half of it times the squared coefficients is added to the summed loss; 0 means 1, below 0 none
	Iterations int     // most L-BFGS steps; 0 means 200
	Levels     design.Options
}

// Name is "logit".
func (Learner) Name() string { return "logit" }

// Model is a fitted regression.
type Model struct {
	enc       *design.Encoder
	coef      []float64 // per slot
	intercept float64
}

// Fit learns from train alone.
func (l Learner) Fit(ctx context.Context, train, _ *models.Table, _ uint64) (models.Model, error) {
	if err := design.Trainable(train); err != nil {
		return nil, fmt.Errorf("logit: %w", err)
	}
	p := newProblem(ctx, train, l.Levels)
	switch {
	case l.L2 == 0:
		p.l2 = 1
	case l.L2 > 0:
		p.l2 = l.L2
	}
	steps := l.Iterations
	if steps == 0 {
		steps = 200
	}
	x, err := p.minimise(steps)
	if err != nil {
		return nil, fmt.Errorf("logit: %w", err)
	}
	return &Model{p.enc, x[:len(x)-1], x[len(x)-1]}, nil
}

// problem is the training rows in sparse form: each row has one entry per input.
type problem struct {
	ctx    context.Context
	enc    *design.Encoder
	inputs int
	slot   []int32
	value  []float64
	y, w   []float64
	mass   float64
	l2     float64

	at   []float64 // where loss and grad were last computed
	loss float64
	grad []float64
}

func newProblem(ctx context.Context, t *models.Table, o design.Options) *problem {
	n := t.Len()
	p := &problem{ctx: ctx, enc: design.Fit(t, o), inputs: t.Width(),
		slot: make([]int32, 0, n*t.Width()), value: make([]float64, 0, n*t.Width()),
		y: make([]float64, 0, n), w: make([]float64, 0, n)}
	for i := range n {
		w := 1.0
		if t.Weight != nil {
			w = t.Weight[i]
		}
		if w == 0 {
			continue
		}
		for j := range t.X {
			slot, v := p.enc.Entry(j, t.X[j][i])
			p.slot, p.value = append(p.slot, int32(slot)), append(p.value, v)
		}
		p.y, p.w = append(p.y, t.Y[i]), append(p.w, w)
		p.mass += w
	}
	return p
}

// minimise starts from the base rate and no other effect.
func (p *problem) minimise(steps int) ([]float64, error) {
	start := make([]float64, p.enc.Slots()+1)
	ones := 0.0
	for i, y := range p.y {
		ones += p.w[i] * y
	}
	start[len(start)-1] = math.Log(ones / (p.mass - ones))
	result, err := optimize.Minimize(
		optimize.Problem{
			Func:   func(x []float64) float64 { p.evaluate(x); return p.loss },
			Grad:   func(g, x []float64) { p.evaluate(x); copy(g, p.grad) },
			Status: p.status,
		}, start,
		&optimize.Settings{GradientThreshold: 1e-7, MajorIterations: steps},
		&optimize.LBFGS{Store: 10})
	if ctxErr := p.ctx.Err(); ctxErr != nil {
		return nil, ctxErr
	}
	// At the minimum's last digits a line search can find no lower point; the
	// best point so far is then the answer. A point with no finite loss is not.
	if result == nil || math.IsNaN(result.F) || math.IsInf(result.F, 0) {
		return nil, errors.Join(errors.New("no minimum found"), err)
	}
	return result.X, nil
}

func (p *problem) status() (optimize.Status, error) {
	if err := p.ctx.Err(); err != nil {
		return optimize.Failure, err
	}
	return optimize.NotTerminated, nil
}

// evaluate keeps loss and gradient of the mean at x: the optimiser asks for
// both at one point, one after the other.
func (p *problem) evaluate(x []float64) {
	if p.at != nil && same(p.at, x) {
		return
	}
	p.at = append(p.at[:0], x...)
	k := len(x) - 1
	if p.grad == nil {
		p.grad = make([]float64, len(x))
	}
	clear(p.grad)
	loss := 0.0
	for i, y := range p.y {
		slots, values := p.slot[i*p.inputs:(i+1)*p.inputs], p.value[i*p.inputs:(i+1)*p.inputs]
		z := x[k]
		for j, s := range slots {
			z += x[s] * values[j]
		}
		e := math.Exp(-math.Abs(z))
		q := 1 / (1 + e)
		if z < 0 {
			q = e / (1 + e)
		}
		loss += p.w[i] * (max(z, 0) - y*z + math.Log1p(e))
		r := p.w[i] * (q - y)
		for j, s := range slots {
			p.grad[s] += r * values[j]
		}
		p.grad[k] += r
	}
	for j := range k {
		loss += p.l2 / 2 * x[j] * x[j]
		p.grad[j] += p.l2 * x[j]
	}
	p.loss = loss / p.mass
	for j := range p.grad {
		p.grad[j] /= p.mass
	}
}

func same(a, b []float64) bool {
	for i, x := range a {
		if x != b[i] {
			return false
		}
	}
	return true
}

// Width is the number of inputs.
func (m *Model) Width() int { return m.enc.Inputs() }

func (m *Model) score(row []float64) float64 {
	z := m.intercept + m.enc.Dot(m.coef, row)
	if z >= 0 {
		return 1 / (1 + math.Exp(-z))
	}
	e := math.Exp(z)
	return e / (1 + e)
}

// Predict writes P(Y = 1) of each row. Another width than that of training is
// models.ErrWidth, no rows are models.ErrEmpty.
func (m *Model) Predict(dst []float64, t *models.Table) error {
	if err := design.Predictable(t, m.Width()); err != nil {
		return fmt.Errorf("logit: %w", err)
	}
	row := make([]float64, m.Width())
	for i := range t.Len() {
		t.Row(row, i)
		dst[i] = m.score(row)
	}
	return nil
}

// PredictRows is Predict for rows one after another.
func (m *Model) PredictRows(dst, rows []float64) {
	w := m.Width()
	if len(rows) != len(dst)*w {
		panic(fmt.Sprintf("logit: %d numbers are not %d rows of %d", len(rows), len(dst), w))
	}
	for i := range dst {
		dst[i] = m.score(rows[i*w : (i+1)*w])
	}
}

// Term is one coefficient: what one unit of a slot's entry adds to the log odds.
type Term struct {
	design.Slot
	Coef float64
}

// Terms returns every coefficient, and the log odds of a row with none.
func (m *Model) Terms() (terms []Term, intercept float64) {
	for i, s := range m.enc.Describe() {
		terms = append(terms, Term{s, m.coef[i]})
	}
	return terms, m.intercept
}

// Contribution is what input j holding x adds to the log odds.
func (m *Model) Contribution(j int, x float64) float64 {
	slot, v := m.enc.Entry(j, x)
	return m.coef[slot] * v
}

const magic = "lgt1"

// MarshalBinary writes the model.
func (m *Model) MarshalBinary() ([]byte, error) {
	e := wire.NewEncoder(magic)
	m.enc.Encode(e)
	e.Floats(m.coef)
	e.Float(m.intercept)
	return e.Seal(), nil
}

// Load reads what MarshalBinary wrote, or answers models.ErrCorrupt.
func Load(b []byte) (*Model, error) {
	d := wire.NewDecoder(magic, b)
	m := &Model{enc: design.Decode(d), coef: d.Floats(), intercept: d.Float()}
	if err := d.Close(); err != nil || len(m.coef) != m.enc.Slots() {
		return nil, fmt.Errorf("logit: %w", models.ErrCorrupt)
	}
	return m, nil
}
