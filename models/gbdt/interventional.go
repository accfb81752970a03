package gbdt

import (
	"fmt"

	"bellwether/models/target"
)

// # The two kinds of Shapley values
//
// Both share out the log-odds of one row among its columns, and differ in what a
// column is taken to be while it is not known:
//
//   - Contributions (shapley.go) lets the trees answer, both branches weighted by
//     the training rows they got. It needs nothing but the model, and says what is
//     remarkable about a row among those the model was trained on. A column that
//     goes with a known one is not taken to be free of it.
//   - InterventionalContributions puts the column's value of a background row in
//     its place (Janzing et al., AISTATS 2020). It says what moved the answer away
//     from those rows', each column by what changing it does to the model: with
//     one background row, why two rows are answered differently.
//
// For one background row a coalition of columns makes a mixed row, and a leaf is
// reached if on the way the a columns that only the row passes are in it and the
// b columns that only the background passes are not. Over all orders of joining,
// a leaf of value v so gives each of the a columns v (a-1)! b! / (a+b)!, and takes
// v a! (b-1)! / (a+b)! from each of the b.
//
// The players are the columns themselves: an input made of a pair is looked up
// for each mixture of its two halves, so that nothing is shared out by rule.

// InterventionalContributions writes to dst what each column of a row moved its
// log-odds by, against the same column of the background: at least one row of
// Width numbers, one after another. It returns the mean log-odds of the
// background. Start and dst sum to what those of Contributions do. They are the
// exact interventional Shapley values of the columns. It panics on other
// lengths.
func (m *Model) InterventionalContributions(dst, row, background []float64) (start float64) {
	rows := len(background) / max(1, m.width)
	if len(dst) != m.width || len(row) != m.width || rows == 0 || len(background) != rows*m.width {
		panic(fmt.Sprintf("gbdt: %d numbers and a background of %d into %d contributions, width is %d", len(row), len(background), len(dst), m.width))
	}
	w := &mixture{model: m, dst: dst, from: make([]origin, m.width), bins: make([][mixtures]uint8, len(m.enc.inputs))}
	clear(dst)
	for i := range rows {
		w.encode(row, background[i*m.width:(i+1)*m.width])
		for _, t := range m.trees {
			w.tree = t
			w.below(0)
			start += t[w.leafOf(0)].value
		}
	}
	for j := range dst {
		dst[j] /= float64(rows)
	}
	return m.base + start/float64(rows)
}

// leafOf returns the leaf one of the mixtures falls into.
func (w *mixture) leafOf(which int) uint32 {
	i := uint32(0)
	for w.tree[i].kid != 0 {
		n := &w.tree[i]
		i = n.kid + n.test.right(w.bins[n.test.input][which])
	}
	return i
}

// origin says where a mixed row has a column from.
type origin uint8

const (
	undecided    origin = iota
	ofBackground        // the column is not in the coalition
	ofRow               // it is
)

// mixtures is how many ways there are to make an input of two columns: bit 0
// says that the first is the row's, bit 1 that the second is.
const mixtures = 4

// mixture walks a tree with all mixtures of two rows at once.
type mixture struct {
	model   *Model
	tree    tree
	dst     []float64
	bins    [][mixtures]uint8 // of each input
	from    []origin          // of each column, on the way down
	on, off int               // columns on the way that are the row's, the background's
}

// encode fills the bins of each input in each mixture.
func (w *mixture) encode(row, background []float64) {
	s := w.model.scorer
	from := func(col, bit int) float64 {
		if bit == 0 {
			return background[col]
		}
		return row[col]
	}
	for i := range s.numbers {
		in := &s.numbers[i]
		for k := range mixtures {
			w.bins[in.slot][k] = binOf(in.cuts, from(in.col, k&1))
		}
	}
	for i := range s.lookups {
		in := &s.lookups[i]
		for k := range mixtures {
			key := target.Key(from(in.a, k&1))
			if in.b >= 0 {
				key = target.Pair(key, target.Key(from(in.b, k>>1)))
			}
			at := in.levels.Find(key) + 1
			for _, o := range in.out {
				w.bins[o.slot][k] = o.bins[at]
			}
		}
	}
}

// below adds to dst what the columns that part under node i give, and returns
// what the leaves there give each column that is the row's, and each that is the
// background's.
func (w *mixture) below(i uint32) (on, off float64) {
	n := &w.tree[i]
	if n.kid == 0 {
		return n.value * weight(w.on, w.off), -n.value * weight(w.off, w.on)
	}
	col, mixture := w.parts(&n.test)
	if col < 0 {
		return w.below(n.kid + n.test.right(w.bins[n.test.input][mixture]))
	}
	w.from[col] = ofRow
	w.on++
	on, off = w.below(i)
	w.on--
	w.from[col] = ofBackground
	w.off++
	on2, off2 := w.below(i)
	w.off--
	w.from[col] = undecided
	w.dst[col] += on + off2
	return on + on2, off + off2
}

// weight is (a-1)! b! / (a+b)!, 0 where a is.
func weight(a, b int) float64 {
	if a == 0 {
		return 0
	}
	x := 1 / float64(a)
	for k := 1; k <= b; k++ {
		x *= float64(k) / float64(a+k)
	}
	return x
}

// parts returns an undecided column that turns the test, or -1 and a mixture
// that answers it.
func (w *mixture) parts(t *test) (col, mixture int) {
	a, b := w.model.columnsOf(t.input)
	bins := &w.bins[t.input]
	turns := func(bit, other int, of origin) bool {
		for k := range mixtures {
			// Of the other column, only what is still possible.
			possible := of == undecided || (k&other != 0) == (of == ofRow)
			if k&bit == 0 && possible && t.right(bins[k]) != t.right(bins[k|bit]) {
				return true
			}
		}
		return false
	}
	second := ofBackground
	if b >= 0 {
		second = w.from[b]
	}
	if w.from[a] == undecided && turns(1, 2, second) {
		return a, 0
	}
	if b >= 0 && second == undecided && turns(2, 1, w.from[a]) {
		return b, 0
	}
	if w.from[a] == ofRow {
		mixture |= 1
	}
	if second == ofRow {
		mixture |= 2
	}
	return -1, mixture
}

// columnsOf returns the columns an input is made of; b is -1 for one.
func (m *Model) columnsOf(input int32) (a, b int) {
	in := &m.enc.inputs[input]
	if in.kind == numeric {
		return in.col, -1
	}
	s := &m.enc.stats[in.stat]
	return s.a, s.b
}
