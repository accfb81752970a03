package gbdt

import (
	"math/bits"

	"bellwether/models"
	"bellwether/models/target"
)

// leafBits is how many leaves of a tree fit a word.
const leafBits = 64

// The sides of an input, as Factor is told them: a row is made of what one case
// and one candidate say by themselves and of what only the two together do.
const (
	sideCase = iota
	sideCandidate
	sidePair
	sides
)

// factored scores a model by leaves that stay reachable: each tree has one bit
// per leaf, and the tests on one input leave a word per tree, looked up by the
// input's bin. ANDed over all inputs one bit per tree remains, the leaf of the
// row. The words of a case are made once for all its candidates, those of a
// candidate once for all cases. After Lucchese et al., QuickScorer, SIGIR 2015.
type factored struct {
	base   float64
	loss   logLoss
	trees  int
	values []float64 // leafBits a tree
	sides  [sides][]asked
}

// asked is a column, or a pair of columns, and the inputs made of it.
type asked struct {
	a, b   int            // columns; b is -1 for a single one
	levels *target.Lookup // nil: a number
	cuts   []float64
	inputs []reach
}

// reach is what the tests on one input leave reachable.
type reach struct {
	bins  []uint8  // of the levels, as binSlot has them; nil for a number
	trees []uint32 // that ask the input
	words []uint64 // of bin b and trees[k] at b*len(trees)+k
}

// Factor implements models.Factorer. Trees of more than 64 leaves cannot be.
func (m *Model) Factor(side []uint8) (models.Factored, bool) {
	if len(side) != m.width {
		return nil, false
	}
	f := &factored{base: m.base, loss: m.loss, trees: len(m.trees), values: make([]float64, leafBits*len(m.trees))}
	under := make([][]uint64, len(m.trees))
	for i, t := range m.trees {
		var ok bool
		if under[i], ok = t.leaves(f.values[leafBits*i:]); !ok {
			return nil, false
		}
	}
	stats := make([]asked, len(m.enc.stats))
	for i, s := range m.enc.stats {
		stats[i] = asked{a: s.a, b: s.b, levels: target.NewLookup(s.keys)}
	}
	for i, in := range m.enc.inputs {
		r := reachOf(m.trees, under, int32(i), in.bins(m.enc))
		if in.kind == numeric {
			s := side[in.col]
			f.sides[s] = append(f.sides[s], asked{a: in.col, b: -1, cuts: in.cuts, inputs: []reach{r}})
			continue
		}
		r.bins = m.enc.binTable(in)
		stats[in.stat].inputs = append(stats[in.stat].inputs, r)
	}
	for _, s := range stats {
		at := side[s.a]
		if s.b >= 0 && side[s.b] != at {
			at = sidePair
		}
		f.sides[at] = append(f.sides[at], s)
	}
	return f, true
}

// leaves writes the values of the leaves from left to right and returns, for
// each node, the bits of the leaves under it; false if they are too many.
func (t tree) leaves(values []float64) ([]uint64, bool) {
	under := make([]uint64, len(t))
	next := 0
	var walk func(i uint32) bool
	walk = func(i uint32) bool {
		if k := t[i].kid; k != 0 {
			ok := walk(k) && walk(k+1)
			under[i] = under[k] | under[k+1]
			return ok
		}
		if next == leafBits {
			return false
		}
		values[next], under[i] = t[i].value, 1<<next
		next++
		return true
	}
	return under, walk(0)
}

// reachOf tabulates what the tests on one input leave of each tree.
func reachOf(trees []tree, under [][]uint64, in int32, bins int) reach {
	var r reach
	var columns [][]uint64
	for i, t := range trees {
		var words []uint64
		for _, n := range t {
			if n.kid == 0 || n.test.input != in {
				continue
			}
			if words == nil {
				words = make([]uint64, bins)
				for b := range words {
					words[b] = ^uint64(0)
				}
			}
			for b := range words {
				lost := n.kid + 1 - n.test.right(uint8(b))
				words[b] &^= under[i][lost]
			}
		}
		if words != nil {
			r.trees, columns = append(r.trees, uint32(i)), append(columns, words)
		}
	}
	r.words = make([]uint64, bins*len(columns))
	for k, words := range columns {
		for b, w := range words {
			r.words[b*len(columns)+k] = w
		}
	}
	return r
}

// Words implements models.Factored.
func (f *factored) Words() int { return f.trees }

// Reach implements models.Factored.
func (f *factored) Reach(dst []uint64, side uint8, row []float64) {
	for i := range dst {
		dst[i] = ^uint64(0)
	}
	f.apply(dst, side, row)
}

// Score implements models.Factored.
func (f *factored) Score(scratch, a, b []uint64, row []float64) float64 {
	words := scratch[:f.trees]
	a, b = a[:len(words)], b[:len(words)]
	for i := range words {
		words[i] = a[i] & b[i]
	}
	f.apply(words, sidePair, row)
	score := f.base
	for i, w := range words {
		score += f.values[leafBits*i+bits.TrailingZeros64(w)&(leafBits-1)]
	}
	return f.loss.link(score)
}

func (f *factored) apply(words []uint64, side uint8, row []float64) {
	for i := range f.sides[side] {
		q := &f.sides[side][i]
		if q.levels == nil {
			q.inputs[0].and(words, int(binOf(q.cuts, row[q.a])))
			continue
		}
		key := target.Key(row[q.a])
		if q.b >= 0 {
			key = target.Pair(key, target.Key(row[q.b]))
		}
		at := q.levels.Find(key) + 1
		for k := range q.inputs {
			r := &q.inputs[k]
			r.and(words, int(r.bins[at]))
		}
	}
}

func (r *reach) and(words []uint64, bin int) {
	n := len(r.trees)
	left := r.words[bin*n : (bin+1)*n]
	for k, t := range r.trees {
		words[t] &= left[k]
	}
}
