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
// are shared by all leaves under a node, so that a tree costs its forks times the
// points, where the usual recursion costs its leaves times the depth squared.
//
// An input asked again further down replaces its factor g by that of the child,
// and the difference of what the two give is put down at the lower place; g is 1
// for an input not asked above. Of two children one is closed to a row that came
// so far: it takes the part r = z (1-t) / g of the product that came down, and the
// open one the rest, since the factors of the two sum to g. With a and b the sums
// over the leaves under the open and the closed child, that under the fork is
// a - r (a-b), and what the fork gives its input is the integral of the product
// times r (a-b) / (g (1-t)). A row that a test of the same input turned away above
// leaves each child its share of the rows, and gives the input nothing more.

// points is how many points of the rule are handled together.
const points = 4

// lane is a value at each of these points.
type lane [points]float64

// lanesAtOnce is how many lanes vector code takes down and up a tree together.
const lanesAtOnce = 2

// rule is the points of Gauss and Legendre, for trees of up to twice as many inputs
// on one way.
type rule []round

// round is the points that are taken together.
type round struct {
	lanes      int
	t, u, root [lanesAtOnce]lane     // the points, what they are short of 1, their weights over that
	factors    [][lanesAtOnce]factor // shut, then those the trees of the rule use
}

// ruleOf returns the rule of n lanes.
func ruleOf(n int) rule {
	x, w := make([]float64, n*points), make([]float64, n*points)
	quad.Legendre{}.FixedLocations(x, w, 0, 1)
	r := make(rule, (n+lanesAtOnce-1)/lanesAtOnce)
	for i := range x {
		to, q, p := &r[i/points/lanesAtOnce], i/points%lanesAtOnce, i%points
		to.lanes, to.t[q][p], to.u[q][p], to.root[q][p] = q+1, x[i], 1-x[i], w[i]/(1-x[i])
	}
	for i := range r {
		r[i].factors = [][lanesAtOnce]factor{{shut, shut}}
	}
	r.addFactors(1)
	return r
}

// factor is what a fork does to what it parts, by the factor g of its input above.
// Vector code knows its layout and those of what counts in bytes below.
type factor struct {
	part lane // of the closed child, over its share of the fork's rows: z (1-t) / g
	give lane // 1/g
}

// shut is the factor at a fork whose input turned the row away above.
var shut = factor{part: lane{1, 1, 1, 1}}

// addFactors adds what an input does that passed z of the rows above and the row
// asked about, and returns where, in bytes.
func (r rule) addFactors(z float64) (at uint32) {
	at = uint32(len(r[0].factors)) * factorBytes
	for i := range r {
		to := &r[i]
		var f [lanesAtOnce]factor
		for q := range to.lanes {
			for p := range points {
				f[q].give[p] = 1 / (to.t[q][p] + float64(z*to.u[q][p]))
				f[q].part[p] = z * to.u[q][p] * f[q].give[p]
			}
		}
		to.factors = append(to.factors, f)
	}
	return at
}

// fork is a node with children.
type fork struct {
	share [2]float64 // of its rows, to each child
	kids  [2]uint32  // where their halts begin, in bytes
	same  uint32     // the edge above that asked the same input: 2i and 2i+1 are those of passed[i], 0 is none
	again uint32     // where the factors of a row that passed there begin, in bytes
	mask  uint32     // the test, as goesRight takes it
	slot  uint16     // of the input
	off   uint8
	thr   uint8
}

const (
	laneBytes   = points * 8
	factorBytes = lanesAtOnce * 2 * laneBytes
	haltBytes   = lanesAtOnce * 2 * laneBytes
)

// steps is a tree as its Shapley values need it.
type steps struct {
	forks  []fork // parents before children, those of two leaves last
	inner  int    // how many forks have others under them
	leaves []float64
}

// group is the trees of one rule.
type group struct {
	rule
	trees []steps
}

// explainer makes Shapley values.
type explainer struct {
	groups []group
	nodes  int // of the largest tree
	work   sync.Pool
}

// shapleyWork is memory for the values of one row.
type shapleyWork struct {
	bins   []uint8
	passed []passes            // of where the root comes from, then of each fork
	halts  [][lanesAtOnce]halt // of each fork, then of each leaf
	values []float64
}

// passes is for each edge of a fork 1 if the row passes every test of its input
// down to there, else 0.
type passes [2]uint32

// halt is a node at a few points.
type halt struct {
	down  lane // the product of the factors down to it
	under lane // the sum over the leaves under it of value times the factors between
}

func newExplainer(m *Model) *explainer {
	e := &explainer{}
	at, nodes := map[int]int{}, 0
	for _, t := range m.trees {
		nodes += len(t)
	}
	// One after another, so that they are fetched ahead.
	forks, leaves := make([]fork, nodes/2), make([]float64, nodes/2+len(m.trees))
	for _, t := range m.trees {
		n := max(1, (longestWay(t)+2*points-1)/(2*points))
		g, ok := at[n]
		if !ok {
			g = len(e.groups)
			at[n] = g
			e.groups = append(e.groups, group{rule: ruleOf(n)})
		}
		s := steps{forks: forks[:len(t)/2], leaves: leaves[:len(t)/2+1]}
		forks, leaves = forks[len(s.forks):], leaves[len(s.leaves):]
		s.fill(t, e.groups[g].rule)
		e.groups[g].trees = append(e.groups[g].trees, s)
		e.nodes = max(e.nodes, len(t))
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

// fill lays out a tree.
func (s *steps) fill(t tree, r rule) {
	at, inner := t.places()
	s.inner = inner
	for i, n := range t {
		if n.kid == 0 {
			s.leaves[int(at[i])-len(s.forks)] = n.value
		}
	}
	edges, z := make([]uint32, len(t)), make([]float64, len(t)) // to each node
	z[0] = 1
	again := map[uint32]uint32{0: factorBytes}
	t.ways(func(i, k, same uint32) {
		l, side := t[i].kid, k-t[i].kid
		share := 0.5
		if rows := float64(t[l].rows) + float64(t[l+1].rows); rows > 0 {
			share = float64(t[k].rows) / rows
		}
		z[k], edges[k] = share*z[same], 2*(at[i]+1)+side
		if _, ok := again[same]; !ok {
			again[same] = r.addFactors(z[same])
		}
		f := &s.forks[at[i]]
		f.share[side], f.kids[side], f.same, f.again = share, at[k]*haltBytes, edges[same], again[same]
		f.slot, f.mask = uint16(t[i].test.input), t[i].test.mask
		f.off, f.thr = t[i].test.packed()
	})
}

// places numbers the nodes: forks with others under them, forks of two leaves,
// leaves; inner is how many of the first there are.
func (t tree) places() (at []uint32, inner int) {
	var kinds [3][]int
	for i, n := range t {
		k := 0
		switch {
		case n.kid == 0:
			k = 2
		case t[n.kid].kid == 0 && t[n.kid+1].kid == 0:
			k = 1
		}
		kinds[k] = append(kinds[k], i)
	}
	at = make([]uint32, len(t))
	for n, i := range slices.Concat(kinds[:]...) {
		at[i] = uint32(n)
	}
	return at, len(kinds[0])
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
	return &shapleyWork{bins: make([]uint8, m.scorer.slots*lanes), passed: make([]passes, e.nodes+1),
		values: make([]float64, len(m.enc.inputs)), halts: make([][lanesAtOnce]halt, e.nodes)}
}

// add adds the values of the group's trees.
func (g *group) add(w *shapleyWork) {
	for i := range g.trees {
		s := &g.trees[i]
		s.walk(w)
		for k := range g.rule {
			s.addRound(&g.rule[k], w)
		}
	}
}

// walk finds which edges the row passes.
func (s *steps) walk(w *shapleyWork) {
	bins, passed := w.bins, w.passed[:len(s.forks)+1]
	passed[0][0] = 1
	for i := range s.forks {
		f := &s.forks[i]
		right := goesRight(bins[uint(f.slot)*lanes], f.off, f.thr, f.mask)
		came := passed[f.same/2][f.same%2]
		passed[i+1] = passes{came &^ right, came & right}
	}
}

// plainRound adds to w.values what one tree gives each input at the points of a
// round. It defines what the vector code answers. Products are rounded before they
// are added or taken away, on machines too that could do both at once.
func (s *steps) plainRound(r *round, w *shapleyWork) {
	halts := w.halts[len(s.forks):][:len(s.leaves)]
	for i, v := range s.leaves {
		h := &halts[i]
		for q := range h[:r.lanes] {
			h[q].under = lane{v, v, v, v}
		}
	}
	for q := range r.lanes {
		w.halts[0][q].down = r.root[q]
	}
	s.descend(r, w)
	s.ascend(r, w)
}

// turn returns the child open to the row, the other, the share of that, and the
// factors.
func (f *fork) turn(p *passes) (open, closed uint32, share float64, factor uint32) {
	right := p[1] & 1
	return f.kids[right] / haltBytes, f.kids[1-right] / haltBytes, f.share[1-right], f.again & -(p[0] | p[1]) / factorBytes
}

// descend fills what comes down to the nodes.
func (s *steps) descend(r *round, w *shapleyWork) {
	halts, forks, passed := w.halts, s.forks[:s.inner], w.passed[1:][:s.inner]
	for i := range forks {
		o, c, z, k := forks[i].turn(&passed[i])
		from, factor, open, closed := &halts[i], &r.factors[k], &halts[o], &halts[c]
		for q := range from[:r.lanes] {
			d, m := &from[q].down, &factor[q].part
			d0, d1, d2, d3 := d[0], d[1], d[2], d[3]
			x0, x1, x2, x3 := float64(z*m[0]*d0), float64(z*m[1]*d1), float64(z*m[2]*d2), float64(z*m[3]*d3)
			to := &closed[q].down
			to[0], to[1], to[2], to[3] = x0, x1, x2, x3
			to = &open[q].down
			to[0], to[1], to[2], to[3] = d0-x0, d1-x1, d2-x2, d3-x3
		}
	}
}

// ascend fills what is under the forks, and adds to the values of their inputs
// what they give them.
func (s *steps) ascend(r *round, w *shapleyWork) {
	halts, forks, passed := w.halts, s.forks, w.passed[1:][:len(s.forks)]
	for i := len(forks) - 1; i >= 0; i-- {
		o, c, z, k := forks[i].turn(&passed[i])
		to, factor, open, closed := &halts[i], &r.factors[k], &halts[o], &halts[c]
		sum := w.values[forks[i].slot]
		for q := range to[:r.lanes] {
			a, b, h, m := &open[q].under, &closed[q].under, &to[q], &factor[q]
			a0, a1, a2, a3 := a[0], a[1], a[2], a[3]
			x0, x1, x2, x3 := a0-b[0], a1-b[1], a2-b[2], a3-b[3]
			x0, x1, x2, x3 = float64(z*m.part[0]*x0), float64(z*m.part[1]*x1), float64(z*m.part[2]*x2), float64(z*m.part[3]*x3)
			h.under[0], h.under[1], h.under[2], h.under[3] = a0-x0, a1-x1, a2-x2, a3-x3
			x0, x1, x2, x3 = float64(x0*h.down[0]*m.give[0]), float64(x1*h.down[1]*m.give[1]),
				float64(x2*h.down[2]*m.give[2]), float64(x3*h.down[3]*m.give[3])
			sum += (x0 + x2) + (x1 + x3)
		}
		w.values[forks[i].slot] = sum
	}
}
