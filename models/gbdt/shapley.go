package gbdt

import (
	"fmt"
	"slices"
	"sync"

	"gonum.org/v1/gonum/integrate/quad"
)

// # Shapley values of a tree
//
// Path-dependent Shapley values (Lundberg et al., Nature Machine Intelligence
// 2020) ask what a tree answers when only some inputs are known: at a node whose
// input is not, both children answer, weighted by the training rows they got. Let
// z be the share of rows that pass all tests of an input on the way to a leaf and
// o be 1 if the row asked about passes them, else 0. A leaf of value v gives input
// i the sum over the sets S of the other inputs on its way
//
//	v (o_i - z_i) sum_S |S|! (d-1-|S|)! / d!  prod_{j in S} o_j  prod_{j not in S} z_j
//
// and since k! (d-1-k)! / d! is the integral of t^k (1-t)^(d-1-k) over 0 to 1,
// that sum is the integral of the product over j of f_j(t) = o_j t + z_j (1-t): a
// polynomial of degree d-1, which Gauss and Legendre's rule of d/2 points gives
// exactly. At each point the products of the ways down and the sums of the ways up
// are shared by all leaves under a node, so that a tree costs its nodes times the
// points, where the usual recursion costs its leaves times the depth squared.
//
// An input asked again further down replaces its factor, and the difference of
// what the two give is put down at the lower place.

// points is how many points of the rule are handled together.
const points = 4

type lane [points]float64

// rule is the points t, 1-t and weights for trees of up to twice as many inputs
// on one way.
type rule struct{ t, u, w []lane }

// ruleOf returns the rule with n lanes.
func ruleOf(n int) rule {
	x, w := make([]float64, n*points), make([]float64, n*points)
	quad.Legendre{}.FixedLocations(x, w, 0, 1)
	r := rule{make([]lane, n), make([]lane, n), make([]lane, n)}
	for i := range x {
		q, p := i/points, i%points
		r.t[q][p], r.u[q][p], r.w[q][p] = x[i], 1-x[i], w[i]
	}
	return r
}

// step is the edge from a node's parent down to it.
type step struct {
	up    uint32  // the parent
	same  int32   // the node above whose edge asked the same input, -1 for none
	input int32   // that was asked
	z     float64 // share of the rows that pass the input's tests down to here
}

// steps is a tree as its Shapley values need it.
type steps struct {
	tree  tree
	steps []step // of each node; the root's is empty
	rule  rule
}

// explainer makes Shapley values.
type explainer struct {
	trees []steps
	most  int // lanes the largest tree needs
	work  sync.Pool
}

// shapleyWork is memory for one tree.
type shapleyWork struct {
	bins               []uint8
	of                 []float64 // by input
	hot                []bool
	down, factor, upon []lane
}

func newExplainer(m *Model) *explainer {
	e := &explainer{}
	rules := map[int]rule{}
	for _, t := range m.trees {
		s := steps{tree: t, steps: make([]step, len(t))}
		inputs := s.fill()
		lanes := max(1, (inputs+2*points-1)/(2*points))
		if _, ok := rules[lanes]; !ok {
			rules[lanes] = ruleOf(lanes)
		}
		s.rule = rules[lanes]
		e.most = max(e.most, lanes*len(t))
		e.trees = append(e.trees, s)
	}
	return e
}

// fill makes the steps and returns how many inputs the longest way asks.
func (s *steps) fill() (inputs int) {
	count := make([]int, len(s.tree))
	for i, n := range s.tree {
		if n.kid == 0 {
			inputs = max(inputs, count[i])
			continue
		}
		rows := float64(s.tree[n.kid].rows) + float64(s.tree[n.kid+1].rows)
		for k := n.kid; k <= n.kid+1; k++ {
			at := step{up: uint32(i), same: s.asked(i, n.test.input), input: n.test.input, z: 0.5}
			if rows > 0 {
				at.z = float64(s.tree[k].rows) / rows
			}
			count[k] = count[i]
			if at.same < 0 {
				count[k]++
			} else {
				at.z *= s.steps[at.same].z
			}
			s.steps[k] = at
		}
	}
	return inputs
}

// asked returns the nearest node at or above i whose edge asked the input.
func (s *steps) asked(i int, input int32) int32 {
	for ; i != 0; i = int(s.steps[i].up) {
		if s.steps[i].input == input {
			return int32(i)
		}
	}
	return -1
}

// Contributions writes to dst what each column of a row moved its log-odds by,
// and returns the log-odds the columns start from, the mean over the training
// rows. Start and dst sum to the log-odds of Predict, up to rounding. They are
// the exact path-dependent Shapley values of the trees' inputs, not the
// interventional ones (see InterventionalContributions); an input made of a
// column's statistic counts for the column, of a pair's for each half. It panics
// unless row and dst are Width long.
func (m *Model) Contributions(dst, row []float64) (start float64) {
	if len(dst) != m.width || len(row) != m.width {
		panic(fmt.Sprintf("gbdt: %d numbers into %d contributions, width is %d", len(row), len(dst), m.width))
	}
	e := m.explainer()
	w, _ := e.work.Get().(*shapleyWork)
	if w == nil {
		w = &shapleyWork{bins: make([]uint8, m.scorer.slots*lanes), of: make([]float64, len(m.enc.inputs))}
	}
	defer e.work.Put(w)
	src := source{rows: row, width: m.width}
	m.scorer.encode(w.bins, &src, 0, 1)
	w.hot = slices.Grow(w.hot[:0], e.most)[:e.most]
	w.down, w.factor, w.upon = slices.Grow(w.down[:0], e.most)[:e.most], slices.Grow(w.factor[:0], e.most)[:e.most], slices.Grow(w.upon[:0], e.most)[:e.most]
	clear(w.of)
	start = m.base
	for i := range e.trees {
		start += m.trees[i][0].value
		e.trees[i].add(w)
	}
	clear(dst)
	for i, v := range w.of {
		m.blame(dst, int32(i), v)
	}
	return start
}

func (m *Model) explainer() *explainer {
	m.explain.Do(func() { m.explained = newExplainer(m) })
	return m.explained
}

// add adds the values of one tree.
func (s *steps) add(w *shapleyWork) {
	s.goDown(w)
	s.goUp(w)
	n := len(s.rule.t)
	for k := 1; k < len(s.steps); k++ {
		at := &s.steps[k]
		if at.same >= 0 && !w.hot[at.same] {
			continue // a way that was closed before stays so
		}
		o := 0.0
		if w.hot[k] {
			o = 1
		}
		down, upon := w.down[int(at.up)*n:][:n], w.upon[k*n:][:n]
		if at.same < 0 {
			w.of[at.input] += (o - at.z) * s.rule.product(down, upon)
		} else {
			w.of[at.input] += s.rule.change(down, upon, w.factor[k*n:][:n], o-at.z, s.steps[at.same].z)
		}
	}
}

// product is the integral of a times b.
func (r *rule) product(a, b []lane) float64 {
	sum := 0.0
	for q := range r.w {
		a, b, w := &a[q], &b[q], &r.w[q]
		sum += (a[0]*b[0]*w[0] + a[1]*b[1]*w[1]) + (a[2]*b[2]*w[2] + a[3]*b[3]*w[3])
	}
	return sum
}

// change is the integral of a times b by what a lower test of an input adds: a
// holds the factor of the open way of share z above, factor is the lower one's
// over it, gap is o less the share below.
func (r *rule) change(a, b, factor []lane, gap, z float64) float64 {
	sum := 0.0
	for q := range r.w {
		a, b, f, t, u, w := &a[q], &b[q], &factor[q], &r.t[q], &r.u[q], &r.w[q]
		for p := range t {
			sum += a[p] * b[p] * w[p] * (gap - (1-z)*f[p]) / (t[p] + z*u[p])
		}
	}
	return sum
}

// goDown fills which ways are open, the factor of each edge and the product of
// the factors down to each node.
func (s *steps) goDown(w *shapleyWork) {
	n := len(s.rule.t)
	for q := range n {
		w.down[q] = lane{1, 1, 1, 1}
	}
	w.hot[0] = true
	for i := range s.tree {
		at := &s.tree[i]
		if at.kid == 0 {
			continue
		}
		open := at.kid + at.test.right(w.bins[int(at.test.input)*lanes])
		for k := at.kid; k <= at.kid+1; k++ {
			e := &s.steps[k]
			w.hot[k] = k == open && (e.same < 0 || w.hot[e.same])
			s.multiply(w, i, int(k), e)
		}
	}
}

// multiply fills the factor of the edge from i to k and the product down to k.
func (s *steps) multiply(w *shapleyWork, i, k int, e *step) {
	n, z := len(s.rule.t), e.z
	down, next, factor := w.down[i*n:][:n], w.down[k*n:][:n], w.factor[k*n:][:n]
	for q := range factor {
		t, u := &s.rule.t[q], &s.rule.u[q]
		if w.hot[k] {
			factor[q] = lane{t[0] + z*u[0], t[1] + z*u[1], t[2] + z*u[2], t[3] + z*u[3]}
		} else {
			factor[q] = lane{z * u[0], z * u[1], z * u[2], z * u[3]}
		}
	}
	if e.same >= 0 {
		s.replace(w, factor, e)
	}
	for q := range factor {
		d, f := &down[q], &factor[q]
		next[q] = lane{d[0] * f[0], d[1] * f[1], d[2] * f[2], d[3] * f[3]}
	}
}

// replace divides the factor of an input asked before out of a new one.
func (s *steps) replace(w *shapleyWork, factor []lane, e *step) {
	z := s.steps[e.same].z
	if !w.hot[e.same] {
		ratio := 0.0
		if z > 0 {
			ratio = e.z / z
		}
		for q := range factor {
			factor[q] = lane{ratio, ratio, ratio, ratio}
		}
		return
	}
	for q := range factor {
		t, u, f := &s.rule.t[q], &s.rule.u[q], &factor[q]
		for p := range t {
			f[p] /= t[p] + z*u[p]
		}
	}
}

// goUp fills for each node the sum over the leaves under it of their value times
// the factors of the edges between.
func (s *steps) goUp(w *shapleyWork) {
	n := len(s.rule.t)
	for i := len(s.tree) - 1; i > 0; i-- {
		at, upon := &s.tree[i], w.upon[i*n:][:n]
		if at.kid == 0 {
			for q := range upon {
				upon[q] = lane{at.value, at.value, at.value, at.value}
			}
			continue
		}
		l, r := int(at.kid)*n, int(at.kid+1)*n
		for q := range upon {
			a, b, f, g := &w.upon[l+q], &w.upon[r+q], &w.factor[l+q], &w.factor[r+q]
			upon[q] = lane{a[0]*f[0] + b[0]*g[0], a[1]*f[1] + b[1]*g[1], a[2]*f[2] + b[2]*g[2], a[3]*f[3] + b[3]*g[3]}
		}
	}
}
