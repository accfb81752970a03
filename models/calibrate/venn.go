package calibrate

import (
	"math"
	"sort"

	"bellwether/models/wire"
)

// vennAbers is the inductive Venn-Abers predictor (Vovk, Petej and Fedorova,
// NIPS 2015). For a score s let p0 be what isotonic regression gives s after
// (s, 0) is added to the calibration rows, and p1 the same for (s, 1). One of
// the two is calibrated whatever the data's law; p = p1/(1-p0+p1) minimises the
// worst log loss.
//
// Both are step functions of s, computed for all s at once in O(k) after the
// sort. A 0 added right after the rows of score x pools with them exactly as
// one added at x does, so p0 is constant on [x[i], x[i+1]); p1 likewise on
// (x[i], x[i+1]]. Only the places where they rise are kept.
//
// With weights the added row weighs as much as one row of average worth (the
// sum of squared weights over their sum), so that scaling all weights changes
// nothing and uneven weights widen the interval.
type vennAbers struct {
	x0, p0   []float64 // p0(s) is p0[i] for x0[i] <= s < x0[i+1], 0 below x0[0]
	x1, p1   []float64 // p1(s) is p1[i] for x1[i-1] < s <= x1[i], 1 above the last
	baseRate float64
}

func fitVennAbers(s *sample) *vennAbers {
	m := &vennAbers{baseRate: s.rate}
	p1 := lowerTangents(s.mass, s.ones, s.unit)
	for i, p := range p1 {
		if n := len(m.p1); n > 0 && m.p1[n-1] == p {
			m.x1[n-1] = s.x[i]
			continue
		}
		m.x1, m.p1 = append(m.x1, s.x[i]), append(m.p1, p)
	}
	// The zero's case is the one's, seen in a mirror: scores backwards, zeros
	// for ones.
	k := len(s.x)
	mass, zeros := make([]float64, k), make([]float64, k)
	for i := range k {
		mass[i] = s.mass[k-1-i]
		zeros[i] = mass[i] - s.ones[k-1-i]
	}
	q := lowerTangents(mass, zeros, s.unit)
	for i := range k {
		p := 1 - q[k-1-i]
		if n := len(m.p0); n > 0 && m.p0[n-1] == p {
			continue
		}
		m.x0, m.p0 = append(m.x0, s.x[i]), append(m.p0, p)
	}
	return m
}

type point struct{ x, y float64 }

// lowerTangents returns for each group i the isotonic value of an added row of
// label 1 and weight unit in it. It walks the cumulative sum diagram with the
// added row's step (unit, unit) before group 1, then before group 2, and so on:
// moving the step past group i replaces one point of the diagram by the fourth
// corner of a parallelogram, and the greatest convex minorant's corners right
// of the step are kept on a stack. Each point enters and leaves it once.
func lowerTangents(mass, ones []float64, unit float64) []float64 {
	k := len(mass)
	pts := make([]point, k+2) // pts[0] is the paper's P_-1
	pts[0] = point{-unit, -unit}
	for i := range k {
		pts[i+2] = point{pts[i+1].x + mass[i], pts[i+1].y + ones[i]}
	}
	var hull []point
	for i := len(pts) - 1; i >= 0; i-- {
		hull = pushLeft(hull, pts[i])
	}
	out := make([]float64, k)
	for i := range k {
		top, next := hull[len(hull)-1], hull[len(hull)-2]
		out[i] = min((next.y-top.y)/(next.x-top.x), 1)
		if i > 0 {
			out[i] = max(out[i], out[i-1])
		}
		moved := point{pts[i].x + pts[i+2].x - pts[i+1].x, pts[i].y + pts[i+2].y - pts[i+1].y}
		pts[i+1] = moved
		if cross(top, next, moved) < 0 {
			hull = pushLeft(hull[:len(hull)-1], moved)
		}
	}
	return out
}

// pushLeft adds a point left of all others to the corners of a lower hull, the
// leftmost of which is last.
func pushLeft(hull []point, p point) []point {
	for len(hull) > 1 && cross(p, hull[len(hull)-1], hull[len(hull)-2]) <= 0 {
		hull = hull[:len(hull)-1]
	}
	return append(hull, p)
}

// cross is positive if c lies left of (above) the line from a to b.
func cross(a, b, c point) float64 {
	return (b.x-a.x)*(c.y-a.y) - (b.y-a.y)*(c.x-a.x)
}

func (m *vennAbers) Kind() Kind { return VennAbers }

func (m *vennAbers) Calibrate(raw float64) (p, lo, hi float64) {
	lo, hi = m.interval(raw)
	if math.IsNaN(raw) {
		return m.baseRate, lo, hi
	}
	// p1/(1-p0+p1), written so that each rounded step is monotone in both: a sum
	// that holds p1 above and below the line is not, in the last bit.
	return inside(min(max(1/(1+(1-lo)/hi), lo), hi)), lo, hi
}

// interval is Calibrate without the probability.
func (m *vennAbers) interval(raw float64) (lo, hi float64) {
	lo, hi = 0, 1
	if math.IsNaN(raw) {
		return lo, hi
	}
	raw = cut(raw)
	if i := sort.Search(len(m.x0), func(i int) bool { return m.x0[i] > raw }); i > 0 {
		lo = m.p0[i-1]
	}
	if i := sort.SearchFloat64s(m.x1, raw); i < len(m.x1) {
		hi = m.p1[i]
	}
	return lo, max(hi, lo)
}

func (m *vennAbers) MarshalBinary() ([]byte, error) {
	e := wire.NewEncoder(magic)
	e.String(string(VennAbers))
	e.Floats(m.x0)
	e.Floats(m.p0)
	e.Floats(m.x1)
	e.Floats(m.p1)
	e.Float(m.baseRate)
	return e.Seal(), nil
}

func loadVennAbers(d *wire.Decoder) *vennAbers {
	m := &vennAbers{x0: d.Floats(), p0: d.Floats(), x1: d.Floats(), p1: d.Floats(), baseRate: d.Float()}
	if len(m.x0) != len(m.p0) || len(m.x1) != len(m.p1) {
		d.Fail()
	}
	return m
}
