package gbdt

import (
	"math/bits"
	"slices"

	"bellwether/models"
	"bellwether/models/target"
)

// The sides of an input, as Factor is told them: a row is made of what one case
// and one candidate say by themselves and of what only the two together do.
const (
	sideCase = iota
	sideCandidate
	sidePair
	sides
)

const (
	// leafBits is how many leaves of a tree fit a word; half of it, two trees.
	leafBits = 64
	// blockWords is how many words are taken together: a cache line.
	blockWords = 8
	// mostTable is how many words the tables of a model may take, half a gigabyte:
	// a larger model is scored by whole rows.
	mostTable = 64 << 20
)

// factored scores a model by leaves that stay reachable: each tree has one bit
// per leaf, and the tests on one input leave a row of words over all trees,
// looked up by the input's bin. ANDed over all inputs one bit per tree remains,
// the leaf of the row. The words of a case are made once for all its candidates,
// those of a candidate once for all cases. After Lucchese et al., QuickScorer,
// SIGIR 2015; two trees share a word while none has more than 32 leaves.
type factored struct {
	base   float64
	loss   answer
	slot   int       // leaves a tree has room for: 32 or 64
	full   []uint64  // a row with every leaf reachable; whole blocks, filled up with trees of one leaf worth 0
	values []float64 // of each tree's leaves, slot a tree
	ends   *stepsAt  // of a model of Hazard; else nil
	table  []uint64  // every input's rows of words, one a bin
	sides  [sides][]asked
	keys   [sides][]int // columns of the other sides that pairs are looked up by: their keys stand behind the words
	pairs  int          // inputs of the pair's side
	width  [sides]int   // columns of each side
}

// asked is a column, or a pair of columns, and the inputs made of it.
type asked struct {
	a, b   place          // of the columns; b is nowhere for a single one
	levels *target.Lookup // nil: a number
	cuts   []float64
	inputs []reach
}

// place is where a column stands: its side, and its place there, which is that of
// its key where a pair is looked up by it.
type place struct{ side, at int }

var nowhere = place{side: sides}

// reach is what the tests on one input leave reachable.
type reach struct {
	bins []uint8 // of the levels, as binSlot has them; nil for a number
	row  int     // of bin 0 in the table
}

// Factor implements models.Factorer. Trees of more than 64 leaves cannot be, nor
// a model whose tables would be too large.
func (m *Model) Factor(side []uint8) (models.Factored, bool) {
	if len(side) != m.width {
		return nil, false
	}
	f := &factored{base: m.base, loss: m.loss}
	under, ok := f.leaves(m.trees)
	if !ok {
		return nil, false
	}
	need := 0
	for _, in := range m.enc.inputs {
		need += in.bins(m.enc) * len(f.full)
	}
	if need > mostTable {
		return nil, false
	}
	if m.hazards != nil {
		f.ends = m.hazards.stepsAt(m, f.slot, under)
	}
	f.table = make([]uint64, 0, need)
	f.ask(m, side, under)
	return f, true
}

// leaves lays out the trees' leaves; it returns the bits of the leaves under
// each node, and false if a tree has too many.
func (f *factored) leaves(trees []tree) (under [][]uint64, ok bool) {
	f.slot = leafBits / 2
	for _, t := range trees {
		if len(t)/2+1 > f.slot {
			f.slot = leafBits
		}
	}
	perBlock := blockWords * leafBits / f.slot
	blocks := (len(trees) + perBlock - 1) / perBlock
	f.full = make([]uint64, blocks*blockWords)
	f.values = make([]float64, blocks*perBlock*f.slot)
	under = make([][]uint64, blocks*perBlock)
	for i := range under {
		under[i] = []uint64{1}
		if i < len(trees) {
			if under[i], ok = trees[i].leaves(f.values[f.slot*i:][:f.slot]); !ok {
				return nil, false
			}
		}
		f.put(f.full, i, under[i][0])
	}
	return under, true
}

// put sets a tree's bits in a row of words.
func (f *factored) put(row []uint64, tree int, leaves uint64) {
	at := tree * f.slot
	row[at/leafBits] |= leaves << (at % leafBits)
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
		if next == len(values) {
			return false
		}
		values[next], under[i] = t[i].value, 1<<next
		next++
		return true
	}
	return under, walk(0)
}

// ask sorts the inputs by side and tabulates their tests.
func (f *factored) ask(m *Model, side []uint8, under [][]uint64) {
	places := make([]place, len(side))
	for j, s := range side {
		places[j] = place{int(s), f.width[s]}
		f.width[s]++
	}
	tests := testsOf(m.trees, len(m.enc.inputs))
	stats := make([]asked, len(m.enc.stats))
	for i, s := range m.enc.stats {
		stats[i] = asked{a: places[s.a], b: nowhere, levels: target.NewLookup(s.keys)}
		if s.b >= 0 {
			stats[i].b = places[s.b]
		}
	}
	for i, in := range m.enc.inputs {
		r := reach{row: f.tabulate(m.trees, tests[i], under, in.bins(m.enc))}
		if in.kind == numeric {
			s := side[in.col]
			f.sides[s] = append(f.sides[s], asked{a: places[in.col], b: nowhere, cuts: in.cuts, inputs: []reach{r}})
			continue
		}
		r.bins = m.enc.binTable(in)
		stats[in.stat].inputs = append(stats[in.stat].inputs, r)
	}
	for _, q := range stats {
		at := q.a.side
		if q.b != nowhere && q.b.side != at {
			at = sidePair
			f.keyed(&q.a)
			f.keyed(&q.b)
		}
		f.sides[at] = append(f.sides[at], q)
	}
	for _, q := range f.sides[sidePair] {
		f.pairs += len(q.inputs)
	}
}

// keyed lets the key of a column be kept with what its side says.
func (f *factored) keyed(p *place) {
	if p.side == sidePair {
		return
	}
	at := slices.Index(f.keys[p.side], p.at)
	if at < 0 {
		at = len(f.keys[p.side])
		f.keys[p.side] = append(f.keys[p.side], p.at)
	}
	p.at = at
}

// asker is a node that tests an input.
type asker struct{ tree, node int }

// testsOf lists the nodes that test each input.
func testsOf(trees []tree, inputs int) [][]asker {
	out := make([][]asker, inputs)
	for i, t := range trees {
		for k, n := range t {
			if n.kid != 0 {
				out[n.test.input] = append(out[n.test.input], asker{i, k})
			}
		}
	}
	return out
}

// tabulate adds what the tests on one input leave of each tree, a row a bin, and
// returns where.
func (f *factored) tabulate(trees []tree, tests []asker, under [][]uint64, bins int) int {
	at := len(f.table)
	for b := range bins {
		f.table = append(f.table, f.full...)
		row := f.table[at+b*len(f.full):]
		for _, q := range tests {
			n := &trees[q.tree][q.node]
			lost := under[q.tree][n.kid+1-n.test.right(uint8(b))]
			bit := q.tree * f.slot
			row[bit/leafBits] &^= lost << (bit % leafBits)
		}
	}
	return at
}

// Words implements models.Factored.
func (f *factored) Words() int {
	return len(f.full) + max(len(f.keys[sideCase]), len(f.keys[sideCandidate]))
}

// Reach implements models.Factored.
func (f *factored) Reach(dst []uint64, side uint8, own []float64) {
	for i, at := range f.keys[side] {
		dst[len(f.full)+i] = target.Key(own[at])
	}
	dst = dst[:copy(dst, f.full)]
	for i := range f.sides[side] {
		q := &f.sides[side][i]
		if q.levels == nil {
			f.and(dst, q.inputs[0].row, binOf(q.cuts, own[q.a.at]))
			continue
		}
		key := target.Key(own[q.a.at])
		if q.b != nowhere {
			key = target.Pair(key, target.Key(own[q.b.at]))
		}
		at := q.levels.Find(key) + 1
		for _, r := range q.inputs {
			f.and(dst, r.row, r.bins[at])
		}
	}
}

func (f *factored) and(dst []uint64, row int, bin uint8) {
	left := f.table[row+int(bin)*len(f.full):][:len(dst)]
	for i, w := range left {
		dst[i] &= w
	}
}

// stackPairs is how many inputs of the pair's side fit on the stack.
const stackPairs = 128

// Scores implements models.Factored. It allocates nothing while the trees look
// at no more than 128 inputs of the pair.
func (f *factored) Scores(dst []float64, of []uint64, candidates [][]uint64, pairs []float64) {
	var stack [stackPairs * lanes]uint32
	rows := stack[:]
	if f.pairs > stackPairs {
		rows = make([]uint32, f.pairs*lanes)
	}
	rows = rows[:f.pairs*lanes]
	w := f.width[sidePair]
	for i := 0; i < len(dst); i += lanes {
		n := min(lanes, len(dst)-i)
		f.find(rows, of, candidates[i:i+n], pairs[i*w:(i+n)*w])
		for r := range n {
			own, asked := candidates[i+r], rows[r*f.pairs:(r+1)*f.pairs]
			next := candidates[min(i+r+1, len(candidates)-1)]
			if f.ends != nil {
				dst[i+r] = f.answerEnds(of, own, next, asked)
				continue
			}
			dst[i+r] = f.loss.link(f.base + f.fastSum(of, own, next, asked))
		}
	}
}

// find writes which row of the table each input of the pair's side leaves:
// rows[r*f.pairs+k] for candidate r and input k.
func (f *factored) find(rows []uint32, of []uint64, candidates [][]uint64, pairs []float64) {
	var bins [lanes]uint8
	k, words, step := 0, uint32(len(f.full)), f.width[sidePair]
	for i := range f.sides[sidePair] {
		q := &f.sides[sidePair][i]
		if q.levels != nil {
			for r := range candidates {
				at := q.levels.Find(f.key(q, of, candidates[r], pairs[r*step:])) + 1
				for j, in := range q.inputs {
					rows[r*f.pairs+k+j] = uint32(in.row) + words*uint32(in.bins[at])
				}
			}
			k += len(q.inputs)
			continue
		}
		if len(candidates) == lanes {
			binLanes(&bins, q.cuts, pairs[q.a.at:], step)
		} else {
			for r := range candidates {
				bins[r] = binOf(q.cuts, pairs[r*step+q.a.at])
			}
		}
		for r := range candidates {
			rows[r*f.pairs+k] = uint32(q.inputs[0].row) + words*uint32(bins[r])
		}
		k++
	}
}

// key is the level of a row given by its sides.
func (f *factored) key(q *asked, of, own []uint64, pair []float64) uint64 {
	of, own = of[len(f.full):], own[len(f.full):]
	part := func(p place) uint64 {
		switch p.side {
		case sideCase:
			return of[p.at]
		case sideCandidate:
			return own[p.at]
		}
		return target.Key(pair[p.at])
	}
	if q.b == nowhere {
		return part(q.a)
	}
	return target.Pair(part(q.a), part(q.b))
}

// sum adds up the values of the leaves that a, b and the rows of the table
// leave, in the order sumLanes says. It defines what the vector code answers.
func (f *factored) sum(a, b []uint64, rows []uint32) float64 {
	const step, half = 4, leafBits / 2
	var sum [sumLanes]float64
	a, b = a[:len(f.full)], b[:len(f.full)]
	for w := 0; w < len(a); w += step {
		a, b := (*[step]uint64)(a[w:]), (*[step]uint64)(b[w:])
		x0, x1, x2, x3 := a[0]&b[0], a[1]&b[1], a[2]&b[2], a[3]&b[3]
		for _, r := range rows {
			t := (*[step]uint64)(f.table[int(r)+w:])
			x0 &= t[0]
			x1 &= t[1]
			x2 &= t[2]
			x3 &= t[3]
		}
		if f.slot == leafBits {
			v := (*[step * leafBits]float64)(f.values[w*leafBits:])
			sum[0] += v[0*leafBits+bits.TrailingZeros64(x0)&(leafBits-1)]
			sum[1] += v[1*leafBits+bits.TrailingZeros64(x1)&(leafBits-1)]
			sum[2] += v[2*leafBits+bits.TrailingZeros64(x2)&(leafBits-1)]
			sum[3] += v[3*leafBits+bits.TrailingZeros64(x3)&(leafBits-1)]
			continue
		}
		v := (*[2 * step * half]float64)(f.values[2*w*half:])
		sum[0] += v[0*half+bits.TrailingZeros32(uint32(x0))&(half-1)]
		sum[1] += v[1*half+bits.TrailingZeros32(uint32(x0>>half))&(half-1)]
		sum[2] += v[2*half+bits.TrailingZeros32(uint32(x1))&(half-1)]
		sum[3] += v[3*half+bits.TrailingZeros32(uint32(x1>>half))&(half-1)]
		sum[0] += v[4*half+bits.TrailingZeros32(uint32(x2))&(half-1)]
		sum[1] += v[5*half+bits.TrailingZeros32(uint32(x2>>half))&(half-1)]
		sum[2] += v[6*half+bits.TrailingZeros32(uint32(x3))&(half-1)]
		sum[3] += v[7*half+bits.TrailingZeros32(uint32(x3>>half))&(half-1)]
	}
	return total(&sum)
}
