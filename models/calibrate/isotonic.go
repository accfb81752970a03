package calibrate

import (
	"math"
	"slices"

	"bellwether/models/metric"
	"bellwether/models/wire"
)

// steps is the isotonic regression of outcome on raw score: flat over each
// pooled block, straight between blocks, as scikit-learn draws it. p is kept
// 1/(2(n+1)) off 0 and 1, n the effective number of rows: no sample that size
// can speak for more.
type steps struct {
	x        []float64 // ascending: first and last score of each block
	p        []float64
	lo, hi   []float64
	baseRate float64
}

func fitIsotonic(s *sample) *steps {
	v, fit := make([]float64, len(s.x)), make([]float64, len(s.x))
	for k := range v {
		v[k] = s.ones[k] / s.mass[k]
	}
	metric.Isotonic(fit, v, s.mass)
	edge := 1 / (2 * (s.neff + 1))
	m := &steps{baseRate: s.rate}
	for i := 0; i < len(fit); {
		j, mass := i, 0.0
		for j < len(fit) && fit[j] == fit[i] {
			mass += s.mass[j]
			j++
		}
		p := min(max(fit[i], edge), 1-edge)
		lo, hi := metric.Wilson(fit[i], mass/s.unit)
		m.add(s.x[i], p, min(lo, p), max(hi, p))
		if j-1 > i {
			m.add(s.x[j-1], p, min(lo, p), max(hi, p))
		}
		i = j
	}
	return m
}

func (m *steps) add(x, p, lo, hi float64) {
	m.x, m.p = append(m.x, x), append(m.p, p)
	m.lo, m.hi = append(m.lo, lo), append(m.hi, hi)
}

func (m *steps) Kind() Kind { return Isotonic }

func (m *steps) Calibrate(raw float64) (p, lo, hi float64) {
	if math.IsNaN(raw) {
		return m.baseRate, 0, 1
	}
	raw = cut(raw)
	i, _ := slices.BinarySearch(m.x, raw)
	switch {
	case i == 0:
		return m.p[0], m.lo[0], m.hi[0]
	case i == len(m.x):
		i--
		return m.p[i], m.lo[i], m.hi[i]
	}
	f := (raw - m.x[i-1]) / (m.x[i] - m.x[i-1])
	return between(m.p, i, f), between(m.lo, i, f), between(m.hi, i, f)
}

// between never leaves [v[i-1], v[i]] or the other way round, whatever the
// rounding, so that the whole stays monotone.
func between(v []float64, i int, f float64) float64 {
	a, b := v[i-1], v[i]
	return min(max(a+f*(b-a), min(a, b)), max(a, b))
}

func (m *steps) MarshalBinary() ([]byte, error) {
	e := wire.NewEncoder(magic)
	e.String(string(Isotonic))
	e.Floats(m.x)
	e.Floats(m.p)
	e.Floats(m.lo)
	e.Floats(m.hi)
	e.Float(m.baseRate)
	return e.Seal(), nil
}

func loadSteps(d *wire.Decoder) *steps {
	m := &steps{x: d.Floats(), p: d.Floats(), lo: d.Floats(), hi: d.Floats(), baseRate: d.Float()}
	n := len(m.x)
	if n == 0 || len(m.p) != n || len(m.lo) != n || len(m.hi) != n {
		d.Fail()
	}
	return m
}
