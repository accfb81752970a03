package exchange

import (
	"math/bits"

	"bellwether/models"
)

// factored scores a model by leaves that stay reachable, as gbdt's does: a word a
// tree, a bit a leaf from left to right. A test on an input leaves the leaves of
// one child out; what stands lowest after all tests is the row's leaf. The words
// of a case are made once for all its candidates.
type factored struct {
	m      *Model
	full   []uint64 // every leaf of every tree
	values []float64
	first  []uint32 // of each tree's leaves in values
	sides  [sides][]asked
	own    [sides][]int // the place of each side's columns: own[s][k] is its k-th
}

// The sides of a column, as Factor is told them.
const (
	sideCase = iota
	sideCandidate
	sidePair
	sides
)

// asked is an input and the nodes that test it.
type asked struct {
	input int // of the model's
	at    int // place of the column among its side's
	nodes []tester
}

// tester is a node: its tree, and the leaves under its children.
type tester struct {
	node, tree  uint32
	left, right uint64
}

// Factor implements models.Factorer. Trees of more than 64 leaves cannot be.
func (m *Model) Factor(side []uint8) (models.Factored, bool) {
	if len(side) != len(m.columns) {
		return nil, false
	}
	f := &factored{m: m}
	at := make([]int, len(side))
	for j, s := range side {
		at[j] = len(f.own[s])
		f.own[s] = append(f.own[s], j)
	}
	all := make([]asked, len(m.inputs))
	for t, root := range m.roots {
		first := len(f.values)
		leaves, ok := f.leaves(root, uint32(t), uint32(first), all)
		if !ok {
			return nil, false
		}
		f.full, f.first = append(f.full, leaves), append(f.first, uint32(first))
	}
	for k, q := range all {
		column := m.inputs[k].column
		q.input, q.at = k, at[column]
		f.sides[side[column]] = append(f.sides[side[column]], q)
	}
	return f, true
}

// leaves numbers the leaves under a node and notes its tests; it returns their
// bits, false if the tree has too many.
func (f *factored) leaves(at, tree, first uint32, all []asked) (uint64, bool) {
	n := &f.m.nodes[at]
	if n.right == 0 {
		k := uint32(len(f.values)) - first
		f.values = append(f.values, n.value)
		return 1 << k, k < 64
	}
	left, ok := f.leaves(at+1, tree, first, all)
	if !ok {
		return 0, false
	}
	right, ok := f.leaves(n.right, tree, first, all)
	all[n.slot].nodes = append(all[n.slot].nodes, tester{at, tree, left, right})
	return left | right, ok
}

// Words implements models.Factored.
func (f *factored) Words() int { return len(f.full) }

// Reach implements models.Factored.
func (f *factored) Reach(dst []uint64, side uint8, own []float64) {
	copy(dst, f.full)
	f.test(dst, side, own)
}

// test leaves out what the tests on one side's columns do not reach.
func (f *factored) test(words []uint64, side uint8, own []float64) {
	for i := range f.sides[side] {
		q := &f.sides[side][i]
		x := f.m.see(&f.m.inputs[q.input], own[q.at])
		for k := range q.nodes {
			t := &q.nodes[k]
			if f.m.goesRight(&f.m.nodes[t.node], x) {
				words[t.tree] &^= t.left
			} else {
				words[t.tree] &^= t.right
			}
		}
	}
}

// stackWords is how many trees' words are held without allocating.
const stackWords = 1024

// Scores implements models.Factored. It allocates nothing while there are no
// more than 1,024 trees.
func (f *factored) Scores(dst []float64, of []uint64, candidates [][]uint64, pairs []float64) {
	var stack [stackWords]uint64
	words := stack[:]
	if len(f.full) > stackWords {
		words = make([]uint64, len(f.full))
	}
	words = words[:len(f.full)]
	w := len(f.own[sidePair])
	for i := range dst {
		for t, a := range of[:len(words)] {
			words[t] = a & candidates[i][t]
		}
		f.test(words, sidePair, pairs[i*w:(i+1)*w])
		dst[i] = f.m.sum(func(tree int) float64 {
			return f.values[int(f.first[tree])+bits.TrailingZeros64(words[tree])]
		})
	}
}
