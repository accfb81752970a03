package calibrate

import (
	"math"

	"bellwether/models/wire"
)

// curve is p = sigmoid(a*u + b*v + c) for two increasing functions u, v of the
// raw score with a, b >= 0, and the covariance of (a, b, c).
//
// Platt (1999): u is the log odds of the raw score, v is absent (b = 0).
// Beta (Kull, Silva Filho and Flach, AISTATS 2017): u = ln s, v = -ln(1-s).
type curve struct {
	kind    Kind
	a, b, c float64
	cov     [3][3]float64
	rate    float64
}

func (m *curve) Kind() Kind { return m.kind }

func (m *curve) inputs(raw float64) (u, v float64) {
	if m.kind == Platt {
		return logit(raw), 0
	}
	return math.Log(raw), -math.Log1p(-raw)
}

func (m *curve) Calibrate(raw float64) (p, lo, hi float64) {
	if math.IsNaN(raw) {
		return m.rate, 0, 1
	}
	u, v := m.inputs(cut(raw))
	x := [3]float64{u, v, 1}
	variance := 0.0
	for i := range x {
		for j := range x {
			variance += x[i] * m.cov[i][j] * x[j]
		}
	}
	at, half := m.at(u, v), z95*math.Sqrt(max(variance, 0))
	return inside(sigmoid(at)), inside(sigmoid(at - half)), inside(sigmoid(at + half))
}

// probability is Calibrate without the interval.
func (m *curve) probability(raw float64) float64 {
	if math.IsNaN(raw) {
		return m.rate
	}
	return inside(sigmoid(m.at(m.inputs(cut(raw)))))
}

func (m *curve) at(u, v float64) float64 { return m.a*u + m.b*v + m.c }

// fitPlatt smooths the targets as Platt does, to (n1+1)/(n1+2) and 1/(n0+2), so
// that perfectly parted scores still give a finite slope.
func fitPlatt(s *sample) *curve {
	m := &curve{kind: Platt, rate: s.rate}
	n1, n0 := s.neff*s.rate, s.neff*(1-s.rate)
	m.fit(s, (n1+1)/(n1+2), 1/(n0+2), [3]bool{true, false, true})
	return m
}

// fitBeta keeps a and b from going negative by leaving out the one that does,
// as its authors do.
func fitBeta(s *sample) *curve {
	m := &curve{kind: Beta, rate: s.rate}
	m.fit(s, 1, 0, [3]bool{true, true, true})
	return m
}

// ridge holds parted scores' slopes at a large finite value; beside the
// information in ten rows it is nothing.
const ridge = 1e-6

// fit finds the maximum of the likelihood over the parameters in use, with
// target hit for a 1 and miss for a 0. A slope that comes out negative is fixed
// at zero, the more negative first, and the rest fitted again.
func (m *curve) fit(s *sample, hit, miss float64, use [3]bool) {
	for {
		beta, cov := m.newton(s, hit, miss, use)
		worst := -1
		for j := range 2 {
			if use[j] && beta[j] < 0 && (worst < 0 || beta[j] < beta[worst]) {
				worst = j
			}
		}
		if worst < 0 {
			m.a, m.b, m.c, m.cov = beta[0], beta[1], beta[2], cov
			return
		}
		use[worst] = false
	}
}

// lastStep is the squared Newton decrement below which one more whole step ends
// the search: it is the distance to the maximum in standard errors, squared, and a
// step squares it again. To go on would compare losses that differ by rounding.
const lastStep = 1e-8

func (m *curve) newton(s *sample, hit, miss float64, use [3]bool) (beta [3]float64, cov [3][3]float64) {
	loss := func(b [3]float64) float64 {
		sum := 0.0
		for k, raw := range s.x {
			u, v := m.inputs(raw)
			z := b[0]*u + b[1]*v + b[2]
			target := (s.ones[k]*hit + (s.mass[k]-s.ones[k])*miss) / s.unit
			sum += s.mass[k]/s.unit*softplus(z) - target*z
		}
		return sum + ridge/2*(b[0]*b[0]+b[1]*b[1]+b[2]*b[2])
	}
	beta[2] = logit(s.rate)
	at := loss(beta)
	for range 100 {
		grad, hess := m.slopes(s, hit, miss, beta)
		cov = invert(hess, use)
		var step [3]float64
		decrement := 0.0
		for i := range 3 {
			for j := range 3 {
				step[i] -= cov[i][j] * grad[j]
			}
			decrement -= step[i] * grad[i]
		}
		next, moved := beta, false
		if decrement < lastStep {
			for i := range 3 {
				beta[i] += step[i]
			}
			break
		}
		for t := 1.0; t > 1e-9; t /= 2 {
			for i := range 3 {
				next[i] = beta[i] + t*step[i]
			}
			if l := loss(next); l <= at {
				beta, at, moved = next, l, true
				break
			}
		}
		if !moved {
			break
		}
	}
	_, hess := m.slopes(s, hit, miss, beta)
	return beta, invert(hess, use)
}

func softplus(z float64) float64 {
	return max(z, 0) + math.Log1p(math.Exp(-math.Abs(z)))
}

func (m *curve) slopes(s *sample, hit, miss float64, beta [3]float64) (grad [3]float64, hess [3][3]float64) {
	for k, raw := range s.x {
		u, v := m.inputs(raw)
		x := [3]float64{u, v, 1}
		p := sigmoid(beta[0]*u + beta[1]*v + beta[2])
		mass := s.mass[k] / s.unit
		g := mass*p - (s.ones[k]*hit+(s.mass[k]-s.ones[k])*miss)/s.unit
		h := mass * p * (1 - p)
		for i := range 3 {
			grad[i] += g * x[i]
			for j := range 3 {
				hess[i][j] += h * x[i] * x[j]
			}
		}
	}
	for i := range 3 {
		grad[i] += ridge * beta[i]
		hess[i][i] += ridge
	}
	return grad, hess
}

// invert inverts the part of a symmetric positive definite matrix that is in
// use, by Gauss-Jordan; the rest of the answer is zero.
func invert(h [3][3]float64, use [3]bool) (inv [3][3]float64) {
	for i := range 3 {
		inv[i][i] = 1
		if !use[i] {
			for j := range 3 {
				h[i][j], h[j][i] = 0, 0
			}
			h[i][i] = 1
		}
	}
	for c := range 3 {
		pivot := h[c][c]
		for j := range 3 {
			h[c][j] /= pivot
			inv[c][j] /= pivot
		}
		for r := range 3 {
			if f := h[r][c]; r != c && f != 0 {
				for j := range 3 {
					h[r][j] -= f * h[c][j]
					inv[r][j] -= f * inv[c][j]
				}
			}
		}
	}
	for i := range 3 {
		if !use[i] {
			inv[i][i] = 0
		}
	}
	return inv
}

func (m *curve) MarshalBinary() ([]byte, error) {
	e := wire.NewEncoder(magic)
	e.String(string(m.kind))
	for _, v := range []float64{m.a, m.b, m.c, m.rate} {
		e.Float(v)
	}
	for i := range 3 {
		for j := range 3 {
			e.Float(m.cov[i][j])
		}
	}
	return e.Seal(), nil
}

func loadCurve(kind Kind, d *wire.Decoder) *curve {
	m := &curve{kind: kind}
	for _, p := range []*float64{&m.a, &m.b, &m.c, &m.rate} {
		*p = d.Float()
	}
	for i := range 3 {
		for j := range 3 {
			m.cov[i][j] = d.Float()
		}
	}
	return m
}
