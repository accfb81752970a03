package gbdt

import (
	"fmt"
	"math"
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

// lane is a value at each of these points.
type lane [points]float64

const (
	laneBytes = points * 8
	haltBytes = 4 * laneBytes
)

// rule is the points t, 1-t and their weights, for trees of up to twice as many
// inputs on one way.
type rule struct {
	at []point
	w  []lane
}

// point is t and 1-t at a few points.
type point struct{ t, u lane }

// ruleOf returns the rule with n lanes.
func ruleOf(n int) rule {
	x, w := make([]float64, n*points), make([]float64, n*points)
	quad.Legendre{}.FixedLocations(x, w, 0, 1)
	r := rule{make([]point, n), make([]lane, n)}
	for i := range x {
		q, p := i/points, i%points
		r.at[q].t[p], r.at[q].u[p], r.w[q][p] = x[i], 1-x[i], w[i]
	}
	return r
}

// integral is the integral of a.
func (r *rule) integral(a []lane) float64 {
	sum := 0.0
	for q := range a {
		a, w := &a[q], &r.w[q]
		sum += (a[0]*w[0] + a[1]*w[1]) + (a[2]*w[2] + a[3]*w[3])
	}
	return sum
}

// leastShare stands for a share of no rows, so that shares can be divided.
const leastShare = 1e-250

// edge leads from a node's parent down to it. The root's edge, from nowhere, is
// one that everything passes. Vector code knows its layout.
type edge struct {
	up    uint32 // where the parent's lanes begin, in bytes
	input uint32 // where those of the input asked begin, in bytes
	same  uint32 // the node above whose edge asked the same input, 0 for none
	_     uint32
	z     float64 // share of the rows that pass the input's tests down to here
	above float64 // z of same
	leaf  float64 // the value of the node it leads to, 0 inside
}

// steps is a tree as its Shapley values need it.
type steps struct {
	forks []fork
	edges []edge // of each node
}

// fork is a node with children.
type fork struct {
	walker
	same uint32 // of its children's edges
}

// group is the trees of one rule.
type group struct {
	rule
	trees []steps
}

// explainer makes Shapley values.
type explainer struct {
	groups []group
	halts  int // of the largest tree
	nodes  int
	inputs int // lanes of all inputs, for the largest rule
	work   sync.Pool
}

// shapleyWork is memory for the values of one row.
type shapleyWork struct {
	bins   []uint8
	open   []float64 // of each node: 1 if the row passes every test of its edge's input down to it
	of     []lane    // by input
	values []float64
	halts  []halt // of each node, one a lane
}

// halt is a node at a few points. Vector code knows its layout.
type halt struct {
	down    lane // the product of the factors down to it
	factor  lane // of its edge
	inverse lane // 1 over the factor of the same input above
	under   lane // the sum over the leaves under it of value times the factors between
}

func newExplainer(m *Model) *explainer {
	e := &explainer{}
	at := map[int]int{}
	for _, t := range m.trees {
		n := max(1, (longestWay(t)+2*points-1)/(2*points))
		g, ok := at[n]
		if !ok {
			g = len(e.groups)
			at[n] = g
			e.groups = append(e.groups, group{rule: ruleOf(n)})
		}
		e.groups[g].trees = append(e.groups[g].trees, newSteps(t, n))
		e.halts, e.nodes, e.inputs = max(e.halts, n*len(t)), max(e.nodes, len(t)), max(e.inputs, n*len(m.enc.inputs))
	}
	return e
}

// ways calls f for each edge from i to k, with the nearest node above whose edge
// asked the same input, 0 for none.
func (t tree) ways(f func(i, k, same uint32)) {
	up := make([]uint32, len(t))
	for i, n := range t {
		if n.kid == 0 {
			continue
		}
		same := uint32(i)
		for same != 0 && t[up[same]].test.input != n.test.input {
			same = up[same]
		}
		for k := n.kid; k <= n.kid+1; k++ {
			up[k] = uint32(i)
			f(uint32(i), k, same)
		}
	}
}

// longestWay is the number of inputs asked on the way that asks most.
func longestWay(t tree) int {
	count, most := make([]int, len(t)), 0
	t.ways(func(i, k, same uint32) {
		count[k] = count[i]
		if same == 0 {
			count[k]++
		}
		most = max(most, count[k])
	})
	return most
}

func newSteps(t tree, n int) steps {
	s := steps{edges: make([]edge, len(t))}
	s.edges[0].z = 1
	t.ways(func(i, k, same uint32) {
		kid := t[i].kid
		share := 0.5
		if rows := float64(t[kid].rows) + float64(t[kid+1].rows); rows > 0 {
			share = float64(t[k].rows) / rows
		}
		above := s.edges[same].z
		s.edges[k] = edge{up: i * uint32(n*haltBytes), input: uint32(t[i].test.input) * uint32(n*laneBytes), same: same,
			z: max(share*above, leastShare), above: above}
		if t[k].kid == 0 {
			s.edges[k].leaf = t[k].value
		}
		if k == kid {
			off, thr := t[i].test.packed()
			s.forks = append(s.forks, fork{walker{kid, t[i].test.mask, uint16(t[i].test.input), off, thr}, same})
		}
	})
	return s
}

// Contributions writes to dst what each column of a row moved its log-odds by,
// and returns the log-odds the columns start from, the mean over the training
// rows. Start and dst sum to the log-odds of Predict, up to rounding; of a model
// of Hazard, whose answer is no function of one sum, to its log-odds to first
// order around a model without trees, exact for one bucket of one risk. They are
// the exact path-dependent Shapley values of the trees' inputs, not the
// interventional ones (see InterventionalContributions); an input made of a
// column's statistic counts for the column, of a pair's for each half. It panics
// unless row and dst are Width long.
func (m *Model) Contributions(dst, row []float64) (start float64) {
	if len(dst) != m.width || len(row) != m.width {
		panic(fmt.Sprintf("gbdt: %d numbers into %d contributions, width is %d", len(row), len(dst), m.width))
	}
	m.explain.Do(func() { m.explained = newExplainer(m) })
	e := m.explained
	w, _ := e.work.Get().(*shapleyWork)
	if w == nil {
		w = e.room(m)
	}
	defer e.work.Put(w)
	src := source{rows: row, width: m.width}
	m.scorer.encode(w.bins, &src, 0, 1)
	clear(w.values)
	for i := range e.groups {
		e.groups[i].add(w)
	}
	start = m.base
	for _, t := range m.trees {
		start += t[0].value
	}
	clear(dst)
	for i, v := range w.values {
		m.blame(dst, int32(i), v)
	}
	return start
}

func (e *explainer) room(m *Model) *shapleyWork {
	return &shapleyWork{bins: make([]uint8, m.scorer.slots*lanes), open: make([]float64, e.nodes), of: make([]lane, e.inputs),
		values: make([]float64, len(m.enc.inputs)), halts: make([]halt, e.halts)}
}

// add adds the values of the group's trees.
func (g *group) add(w *shapleyWork) {
	n := len(g.at)
	of := w.of[:n*len(w.values)]
	clear(of)
	for i := range g.trees {
		s := &g.trees[i]
		s.walk(w)
		g.addTree(s, w)
	}
	for i := range w.values {
		w.values[i] += g.integral(of[i*n : (i+1)*n])
	}
}

// walk finds which edges the row passes.
func (s *steps) walk(w *shapleyWork) {
	w.open[0] = 1
	for i := range s.forks {
		f := &s.forks[i]
		right := uint64(goesRight(w.bins[uint(f.slot)*lanes], f.off, f.thr, f.mask))
		open := math.Float64bits(w.open[f.same]) // of 0 or 1
		w.open[f.kid] = math.Float64frombits(open & (right - 1))
		w.open[f.kid+1] = math.Float64frombits(open & -right)
	}
}

// plainTree adds to w.of what one tree gives each input at each point. It
// defines what the vector code answers. Products are rounded before they are
// added, on machines too that could do both at once, but for the exact ones with
// w.open, 0 or 1.
func (g *group) plainTree(s *steps, w *shapleyWork) {
	for q := range g.at {
		w.halts[q].down = lane{1, 1, 1, 1}
	}
	for k := 1; k < len(s.edges); k++ {
		g.descend(k, &s.edges[k], w)
	}
	for k := len(s.edges) - 1; k > 0; k-- {
		g.ascend(k, &s.edges[k], w)
	}
}

// descend fills the halts of node k but for what is under them.
func (g *group) descend(k int, e *edge, w *shapleyWork) {
	n, o, a, z := len(g.at), w.open[k], w.open[e.same], e.above
	up, here := w.halts[e.up/haltBytes:][:n], w.halts[k*n:][:n]
	for q := range g.at {
		t, u, at, d := &g.at[q].t, &g.at[q].u, &here[q], &up[q].down
		f := lane{o*t[0] + float64(e.z*u[0]), o*t[1] + float64(e.z*u[1]), o*t[2] + float64(e.z*u[2]), o*t[3] + float64(e.z*u[3])}
		if e.same != 0 {
			i := lane{1 / (a*t[0] + float64(z*u[0])), 1 / (a*t[1] + float64(z*u[1])),
				1 / (a*t[2] + float64(z*u[2])), 1 / (a*t[3] + float64(z*u[3]))}
			f = lane{f[0] * i[0], f[1] * i[1], f[2] * i[2], f[3] * i[3]}
			at.inverse = i
		}
		at.factor = f
		at.down = lane{d[0] * f[0], d[1] * f[1], d[2] * f[2], d[3] * f[3]}
		at.under = lane{e.leaf, e.leaf, e.leaf, e.leaf}
	}
}

// ascend adds what is under node k to its parent, and to the input of its edge
// what that gives.
func (g *group) ascend(k int, e *edge, w *shapleyWork) {
	n, gap, rest := len(g.at), w.open[k]-e.z, 1-e.above
	up, here, of := w.halts[e.up/haltBytes:][:n], w.halts[k*n:][:n], w.of[e.input/laneBytes:][:n]
	for q := range of {
		f, b, d, to, of := &here[q].factor, &here[q].under, &up[q].down, &up[q].under, &of[q]
		*to = lane{to[0] + float64(b[0]*f[0]), to[1] + float64(b[1]*f[1]), to[2] + float64(b[2]*f[2]), to[3] + float64(b[3]*f[3])}
		x := lane{d[0] * b[0], d[1] * b[1], d[2] * b[2], d[3] * b[3]}
		y := lane{gap, gap, gap, gap}
		if e.same != 0 {
			if w.open[e.same] == 0 {
				continue // a way that was closed above stays so
			}
			i := &here[q].inverse
			x = lane{x[0] * i[0], x[1] * i[1], x[2] * i[2], x[3] * i[3]}
			y = lane{gap - float64(rest*f[0]), gap - float64(rest*f[1]), gap - float64(rest*f[2]), gap - float64(rest*f[3])}
		}
		*of = lane{of[0] + float64(x[0]*y[0]), of[1] + float64(x[1]*y[1]), of[2] + float64(x[2]*y[2]), of[3] + float64(x[3]*y[3])}
	}
}
