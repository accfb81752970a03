package survival

import (
	"context"
	"errors"
	"fmt"
	"math"

	"gonum.org/v1/gonum/mathext"
	"gonum.org/v1/gonum/optimize"

	"bellwether/models"
)

// Purchases is what BG/NBD needs of each customer, in any one unit of time.
type Purchases struct {
	Repeats []float64 // purchases after the first, on different days
	Last    []float64 // time from the first purchase to the last; 0 without repeats
	Watched []float64 // time from the first purchase to the end of watching
}

// Check reports the first customer that cannot be: repeats are whole, none lies
// beyond the watching, and a last one is there exactly if there are repeats.
func (p Purchases) Check() error {
	n := len(p.Repeats)
	if n == 0 {
		return models.ErrEmpty
	}
	if len(p.Last) != n || len(p.Watched) != n {
		return fmt.Errorf("%d repeats, %d last times, %d watched times", n, len(p.Last), len(p.Watched))
	}
	for i, x := range p.Repeats {
		if !(x >= 0 && x == math.Trunc(x) && p.Last[i] >= 0 && p.Watched[i] > 0 && p.Last[i] <= p.Watched[i]) ||
			math.IsInf(x, 1) || math.IsInf(p.Watched[i], 1) || (x == 0) != (p.Last[i] == 0) {
			return fmt.Errorf("customer %d: %v repeats, last at %v of %v", i, x, p.Last[i], p.Watched[i])
		}
	}
	return nil
}

// BGNBD is the beta-geometric/negative binomial model (Fader, Hardie and Lee,
// Marketing Science 24, 2005): while alive a customer buys at a steady rate, and
// after each purchase may silently leave; rates vary over customers as
// Gamma(R, Alpha), chances of leaving as Beta(A, B).
type BGNBD struct {
	R, Alpha, A, B float64
	LogLik         float64
}

// FitBGNBD maximises the likelihood over the logarithms of the four parameters;
// Alpha is in the unit of time of p. Where nobody bought again it is ErrNoEvent.
func FitBGNBD(ctx context.Context, p Purchases) (*BGNBD, error) {
	if err := p.Check(); err != nil {
		return nil, fmt.Errorf("bg/nbd: %w", err)
	}
	repeats, longest := 0.0, 0.0
	for i, x := range p.Repeats {
		repeats += x
		longest = max(longest, p.Watched[i])
	}
	if repeats == 0 {
		return nil, fmt.Errorf("bg/nbd: %w", ErrNoEvent)
	}
	// Time in units of the longest watch keeps the four at like sizes.
	q := Purchases{p.Repeats, make([]float64, len(p.Last)), make([]float64, len(p.Last))}
	for i := range p.Last {
		q.Last[i], q.Watched[i] = p.Last[i]/longest, p.Watched[i]/longest
	}
	n := float64(len(p.Repeats))
	result, err := optimize.Minimize(optimize.Problem{
		Func: func(x []float64) float64 { l, _ := q.likelihood(x); return -l / n },
		Grad: func(grad, x []float64) {
			_, g := q.likelihood(x)
			for j := range grad {
				grad[j] = -g[j] / n
			}
		},
		Status: func() (optimize.Status, error) {
			if err := ctx.Err(); err != nil {
				return optimize.Failure, err
			}
			return optimize.NotTerminated, nil
		},
	}, make([]float64, 4), &optimize.Settings{GradientThreshold: 1e-9, MajorIterations: 500}, &optimize.BFGS{})
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	if result == nil || math.IsNaN(result.F) || math.IsInf(result.F, 0) {
		return nil, errors.Join(errors.New("bg/nbd: no maximum found"), err)
	}
	x := result.X
	m := &BGNBD{R: math.Exp(x[0]), Alpha: math.Exp(x[1]) * longest, A: math.Exp(x[2]), B: math.Exp(x[3])}
	m.LogLik, _ = p.likelihood([]float64{x[0], x[1] + math.Log(longest), x[2], x[3]})
	return m, nil
}

// likelihood is the log-likelihood and its gradient at the logarithms of r,
// alpha, a, b (Fader, Hardie and Lee, equation 6).
func (p Purchases) likelihood(at []float64) (sum float64, grad [4]float64) {
	r, alpha, a, b := math.Exp(at[0]), math.Exp(at[1]), math.Exp(at[2]), math.Exp(at[3])
	lgamma := func(x float64) float64 { l, _ := math.Lgamma(x); return l }
	r0, ab0, b0 := lgamma(r), lgamma(a+b), lgamma(b)
	dr0, dab0, db0 := mathext.Digamma(r), mathext.Digamma(a+b), mathext.Digamma(b)
	for i, x := range p.Repeats {
		last, watched := p.Last[i], p.Watched[i]
		alive := -(r + x) * math.Log(alpha+watched)
		left := math.Inf(-1)
		if x > 0 {
			left = math.Log(a/(b+x-1)) - (r+x)*math.Log(alpha+last)
		}
		top := max(alive, left)
		both := top + math.Log(math.Exp(alive-top)+math.Exp(left-top))
		sum += lgamma(r+x) - r0 + r*at[1] + ab0 + lgamma(b+x) - b0 - lgamma(a+b+x) + both

		gone := math.Exp(left - both)
		dabx := mathext.Digamma(a + b + x)
		grad[0] += mathext.Digamma(r+x) - dr0 + at[1] - (1-gone)*math.Log(alpha+watched) - gone*math.Log(alpha+last)
		grad[1] += r/alpha - (r+x)*((1-gone)/(alpha+watched)+gone/(alpha+last))
		grad[2] += dab0 - dabx + gone/a
		grad[3] += dab0 + mathext.Digamma(b+x) - db0 - dabx
		if x > 0 {
			grad[3] -= gone / (b + x - 1)
		}
	}
	for j, v := range []float64{r, alpha, a, b} {
		grad[j] *= v
	}
	return sum, grad
}

// Alive is the chance that a customer has not left yet. One without a repeat
// cannot have left: leaving follows a purchase, and the first is where watching
// began.
func (m *BGNBD) Alive(repeats, last, watched float64) float64 {
	if repeats == 0 {
		return 1
	}
	odds := math.Log(m.A/(m.B+repeats-1)) + (m.R+repeats)*math.Log((m.Alpha+watched)/(m.Alpha+last))
	return 1 / (1 + math.Exp(odds))
}

// Expected is the number of purchases a customer will make in the next ahead
// units of time (equation 10): 0 for no time, and never below.
func (m *BGNBD) Expected(ahead, repeats, last, watched float64) float64 {
	if ahead <= 0 {
		return 0
	}
	a := m.A
	if a == 1 { // the formula's 0/0; its limit is within rounding of a neighbour
		a += 1e-7
	}
	rx, bx := m.R+repeats, m.B+repeats
	z := ahead / (m.Alpha + watched + ahead)
	// Euler's transformation of 2F1(rx, bx; a+bx-1; z): its terms do not grow.
	f := math.Pow(1-z, a-1-rx) * mathext.Hypergeo(a+bx-1-rx, a-1, a+bx-1, z)
	part := 1 - math.Pow((m.Alpha+watched)/(m.Alpha+watched+ahead), rx)*f
	e := (a + bx - 1) / (a - 1) * part * m.Alive(repeats, last, watched)
	return max(e, 0)
}
