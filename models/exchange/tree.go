package exchange

import (
	"fmt"
	"math"

	"bellwether/models"
	"bellwether/models/target"
)

// rule is how a node sends a row left or right.
type rule uint8

// A number goes left if it is at most the node's value. XGBoost's "below, in
// float32" is the same as at most the next lower float32, which is the value
// then. A category goes left if it is in the node's set, or, with inRight, if it
// is not. With none of nanIsZero and zeroIsMissing only NaN is missing.
const (
	category      rule = 1 << iota // the set decides
	missingLeft                    // a missing value goes left
	nanIsZero                      // NaN is taken for 0 (LightGBM, missing type none)
	zeroIsMissing                  // 0 is missing, and so is NaN (LightGBM, missing type zero)
	inRight                        // the set's categories go right (XGBoost)
	rules                          // none of them
)

// zeroThreshold is how far from 0 LightGBM still reads 0. It is a float32 there.
var zeroThreshold = float64(float32(1e-35))

// node is one node of a tree. The left child of an inner node follows it.
type node struct {
	value float64 // of a leaf: what it adds; of a number's test: the greatest that goes left
	right uint32  // the right child; 0 for a leaf
	slot  uint32  // which of the inputs is tested
	input uint32  // which column that is
	set   uint32  // of a category's test
	rule  rule
}

// grove is trees one after another.
type grove struct {
	roots []uint32
	nodes []node
	cover []float64 // how much of the training reached each node
	sets  [][]uint32
	words int // of all sets
}

// Limits: what no sound model comes near, so that a hostile one costs no more
// than its size.
const (
	maxNodes    = 1 << 30
	maxDepth    = 1024
	maxColumns  = 1 << 20
	maxSetWords = 1 << 24 // of all sets together, 64 MB
)

// leaf returns the leaf the inputs fall into.
func (g *grove) leaf(at uint32, x []float64) uint32 {
	for {
		n := &g.nodes[at]
		if n.right == 0 {
			return at
		}
		at++
		if g.goesRight(n, x[n.slot]) {
			at = n.right
		}
	}
}

// goesRight reports where a node sends a value.
func (g *grove) goesRight(n *node, x float64) bool {
	if n.rule&category != 0 {
		return g.setRight(n, x)
	}
	if x != x {
		if n.rule&nanIsZero == 0 {
			return n.rule&missingLeft == 0
		}
		x = 0
	}
	if x == 0 && n.rule&zeroIsMissing != 0 {
		return n.rule&missingLeft == 0
	}
	return x > n.value
}

// setRight is goesRight for a category. LightGBM cuts a category's fraction off
// before it asks whether it is negative, XGBoost asks first.
func (g *grove) setRight(n *node, x float64) bool {
	if x != x {
		return n.rule&missingLeft == 0
	}
	set := g.sets[n.set]
	in := false
	if x > -1 && x < float64(32*len(set)) && (x >= 0 || n.rule&inRight == 0) {
		c := int(x)
		in = set[c/32]>>(c%32)&1 != 0
	}
	return in == (n.rule&inRight != 0)
}

// code returns the integer a category stands for, NaN for none.
func (in *input) code(v float64) float64 {
	if v != v {
		return v
	}
	at := in.levels.Find(target.Key(v))
	if at < 0 {
		return math.NaN()
	}
	return float64(in.codes[at])
}

// sprout is a node of a tree whose children are still named by number.
type sprout struct {
	node
	leaf        bool
	left, right int
	cover, gain float64
}

// plant adds a tree and returns nil, or says which node is wrong and how. Every
// node must be reached exactly once, save deleted ones that are not reached.
func (g *grove) plant(tree []sprout, deleted int) error {
	type place struct{ at, from, depth int }
	root := len(g.nodes)
	if root+len(tree) > maxNodes {
		return fmt.Errorf("%w: more than %d nodes", ErrUnsupported, maxNodes)
	}
	seen := make([]bool, len(tree))
	next := []place{{0, -1, 0}}
	for len(next) > 0 {
		p := next[len(next)-1]
		next = next[:len(next)-1]
		switch {
		case p.at < 0 || p.at >= len(tree):
			return fmt.Errorf("%w: a child is node %d of %d", models.ErrCorrupt, p.at, len(tree))
		case seen[p.at]:
			return fmt.Errorf("%w: node %d is the child of two nodes, or its own", models.ErrCorrupt, p.at)
		case p.depth > maxDepth:
			return fmt.Errorf("%w: a tree deeper than %d", ErrUnsupported, maxDepth)
		}
		seen[p.at] = true
		s, k := &tree[p.at], len(g.nodes)
		if p.from >= 0 {
			g.nodes[p.from].right = uint32(k)
		}
		s.node.right = 0
		g.nodes, g.cover = append(g.nodes, s.node), append(g.cover, s.cover)
		if !s.leaf {
			next = append(next, place{s.right, k, p.depth + 1}, place{s.left, -1, p.depth + 1})
		}
	}
	if lost := len(tree) - (len(g.nodes) - root); lost != deleted {
		return fmt.Errorf("%w: %d nodes of %d are not reached from the root", models.ErrCorrupt, lost, len(tree))
	}
	g.roots = append(g.roots, uint32(root))
	return nil
}

// keep adds a set of categories, and reports whether there was room for it.
func (g *grove) keep(set []uint32) (at uint32, ok bool) {
	if g.words += len(set); g.words > maxSetWords {
		return 0, false
	}
	g.sets = append(g.sets, set)
	return uint32(len(g.sets) - 1), true
}
