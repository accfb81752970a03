package gbdt

import (
	"cmp"
	"math"
	"slices"

	"bellwether/models/target"
)

// lanes is how many rows walk a tree side by side: their loads and compares do
// not wait for each other.
const lanes = 8

// sumLanes is how many sums the trees' values are added in: tree t in sum
// t%sumLanes, in order. Then an addition need not wait for the one before.
const sumLanes = 4

// total adds up the sums.
func total(s *[sumLanes]float64) float64 { return (s[0] + s[1]) + (s[2] + s[3]) }

// stackInputs is how many inputs' bins fit on the stack.
const stackInputs = 1024

// walker is a node as scoring wants it: a leaf is its own left child, and its
// test never says right, so a row that has arrived stays.
type walker struct {
	kid  uint32
	mask uint32
	slot uint16 // of the input
	off  uint8
	thr  uint8
}

// scorer is the model laid out for speed.
type scorer struct {
	numbers []numberSlot
	eights  []eight // the numbers again, for a row alone
	lookups []lookupSlot
	slots   int
	roots   []uint32
	nodes   []walker
	values  []float64
}

type numberSlot struct {
	col, slot int
	cuts      []float64
}

// eight is as many columns of numbers, whose bins are found side by side. Fewer
// are filled up by the last again.
type eight struct {
	of   [lanes]numberSlot
	most int       // cuts of a column
	cuts []float64 // cut k of column c at k*lanes+c, after its last +Inf
}

// eightsOf takes columns of about as many cuts together.
func eightsOf(numbers []numberSlot) (out []eight) {
	sorted := slices.SortedFunc(slices.Values(numbers), func(a, b numberSlot) int { return cmp.Compare(len(a.cuts), len(b.cuts)) })
	for part := range slices.Chunk(sorted, lanes) {
		last := part[len(part)-1]
		e := eight{most: len(last.cuts), cuts: make([]float64, len(last.cuts)*lanes)}
		for c := range e.of {
			e.of[c] = last
			if c < len(part) {
				e.of[c] = part[c]
			}
			for k := range e.most {
				e.cuts[k*lanes+c] = math.Inf(1)
				if k < len(e.of[c].cuts) {
					e.cuts[k*lanes+c] = e.of[c].cuts[k]
				}
			}
		}
		out = append(out, e)
	}
	return out
}

type lookupSlot struct {
	a, b   int
	levels *target.Lookup
	out    []binSlot
}

type binSlot struct {
	slot int
	bins []uint8 // of a level never seen, then of each level
}

func newScorer(m *Model) *scorer {
	s := &scorer{slots: len(m.enc.inputs)}
	for _, st := range m.enc.stats {
		s.lookups = append(s.lookups, lookupSlot{a: st.a, b: st.b, levels: target.NewLookup(st.keys)})
	}
	for i, in := range m.enc.inputs {
		if in.kind == numeric {
			s.numbers = append(s.numbers, numberSlot{in.col, i, in.cuts})
			continue
		}
		l := &s.lookups[in.stat]
		l.out = append(l.out, binSlot{i, m.enc.binTable(in)})
	}
	s.eights = eightsOf(s.numbers)
	for _, t := range m.trees {
		root := uint32(len(s.nodes))
		s.roots = append(s.roots, root)
		for i, n := range t {
			w := walker{kid: root + uint32(i), thr: 255}
			if n.kid != 0 {
				w.kid, w.mask, w.slot = root+n.kid, n.test.mask, uint16(n.test.input)
				w.off, w.thr = n.test.packed()
			}
			s.nodes = append(s.nodes, w)
			s.values = append(s.values, n.value)
		}
	}
	return s
}

// source is rows by column or one after another.
type source struct {
	cols  [][]float64
	rows  []float64
	width int
}

// from returns values of column col such that row i+k is at k*step.
func (s *source) from(col, i int) (x []float64, step int) {
	if s.cols != nil {
		return s.cols[col][i:], 1
	}
	return s.rows[i*s.width+col:], s.width
}

// scores writes base plus the trees' values for each row.
func (s *scorer) scores(dst []float64, src source, base float64) {
	var stack [stackInputs * lanes]uint8
	bins := stack[:]
	if s.slots > stackInputs {
		bins = make([]uint8, s.slots*lanes)
	}
	for i := 0; i < len(dst); i += lanes {
		n := min(lanes, len(dst)-i)
		s.encode(bins, &src, i, n)
		if n == 1 {
			dst[i] = base + s.walk1(bins)
			continue
		}
		var acc [lanes][sumLanes]float64
		s.walk8(&acc, bins)
		for r := range n {
			dst[i+r] = base + total(&acc[r])
		}
	}
}

// encode writes the bins of n rows from row i on: bins[slot*lanes+r].
func (s *scorer) encode(bins []uint8, src *source, i, n int) {
	if n == 1 {
		for k := range s.eights {
			s.eights[k].encode(bins, src, i)
		}
	} else {
		s.encodeNumbers(bins, src, i, n)
	}
	for k := range s.lookups {
		in := &s.lookups[k]
		x, step := src.from(in.a, i)
		var y []float64
		if in.b >= 0 {
			y, _ = src.from(in.b, i)
		}
		for r := range n {
			key := target.Key(x[r*step])
			if y != nil {
				key = target.Pair(key, target.Key(y[r*step]))
			}
			at := in.levels.Find(key) + 1
			for _, o := range in.out {
				bins[o.slot*lanes+r] = o.bins[at]
			}
		}
	}
}

// encodeNumbers is encode for the columns of numbers, of two rows or more.
func (s *scorer) encodeNumbers(bins []uint8, src *source, i, n int) {
	for k := range s.numbers {
		in := &s.numbers[k]
		x, step := src.from(in.col, i)
		out := (*[lanes]uint8)(bins[in.slot*lanes:])
		if n == lanes {
			binLanes(out, in.cuts, x, step)
			continue
		}
		for r := range n {
			out[r] = binOf(in.cuts, x[r*step])
		}
	}
}

// encode writes the bins of row i.
func (e *eight) encode(bins []uint8, src *source, i int) {
	var lo [lanes]int
	var v [lanes]float64
	for c := range v {
		x, _ := src.from(e.of[c].col, i)
		v[c] = x[0]
	}
	for n := e.most; n > 0; {
		half := (n + 1) >> 1
		for c := range v {
			up := 0
			if e.cuts[(lo[c]+half-1)*lanes+c] < v[c] {
				up = half
			}
			lo[c] += up
		}
		n -= half
	}
	for c := range v {
		bin := uint8(lo[c] + 1)
		if math.IsNaN(v[c]) {
			bin = 0
		}
		bins[e.of[c].slot*lanes] = bin
	}
}

// binLanes is binOf for eight rows at once.
func binLanes(out *[lanes]uint8, cuts, x []float64, step int) {
	var lo [lanes]int
	var v [lanes]float64
	for r := range v {
		v[r] = x[r*step]
	}
	for n := len(cuts); n > 0; {
		half := (n + 1) >> 1
		for r := range v {
			up := 0
			if cuts[lo[r]+half-1] < v[r] {
				up = half
			}
			lo[r] += up
		}
		n -= half
	}
	for r := range v {
		out[r] = uint8(lo[r] + 1)
		if math.IsNaN(v[r]) {
			out[r] = 0
		}
	}
}

func (w *walker) next(bin uint8) uint32 { return w.kid + goesRight(bin, w.off, w.thr, w.mask) }

// walk8 adds each tree's value to the sums of each lane.
func (s *scorer) walk8(acc *[lanes][sumLanes]float64, bins []uint8) {
	nodes, values := s.nodes, s.values
	for t, root := range s.roots {
		k := t % sumLanes
		a, b, c, d, e, f, g, h := root, root, root, root, root, root, root, root
		for {
			na, nb, nc, nd := &nodes[a], &nodes[b], &nodes[c], &nodes[d]
			ne, nf, ng, nh := &nodes[e], &nodes[f], &nodes[g], &nodes[h]
			a1 := na.next(bins[uint(na.slot)*lanes])
			b1 := nb.next(bins[uint(nb.slot)*lanes+1])
			c1 := nc.next(bins[uint(nc.slot)*lanes+2])
			d1 := nd.next(bins[uint(nd.slot)*lanes+3])
			e1 := ne.next(bins[uint(ne.slot)*lanes+4])
			f1 := nf.next(bins[uint(nf.slot)*lanes+5])
			g1 := ng.next(bins[uint(ng.slot)*lanes+6])
			h1 := nh.next(bins[uint(nh.slot)*lanes+7])
			moved := (a ^ a1) | (b ^ b1) | (c ^ c1) | (d ^ d1) | (e ^ e1) | (f ^ f1) | (g ^ g1) | (h ^ h1)
			a, b, c, d, e, f, g, h = a1, b1, c1, d1, e1, f1, g1, h1
			if moved == 0 {
				break
			}
		}
		acc[0][k] += values[a]
		acc[1][k] += values[b]
		acc[2][k] += values[c]
		acc[3][k] += values[d]
		acc[4][k] += values[e]
		acc[5][k] += values[f]
		acc[6][k] += values[g]
		acc[7][k] += values[h]
	}
}

// walk1 walks eight trees at a time with one row.
func (s *scorer) walk1(bins []uint8) float64 {
	nodes, values := s.nodes, s.values
	var sum [sumLanes]float64
	roots := s.roots
	for ; len(roots) >= 2*sumLanes; roots = roots[2*sumLanes:] {
		a, b, c, d, e, f, g, h := roots[0], roots[1], roots[2], roots[3], roots[4], roots[5], roots[6], roots[7]
		for {
			na, nb, nc, nd := &nodes[a], &nodes[b], &nodes[c], &nodes[d]
			ne, nf, ng, nh := &nodes[e], &nodes[f], &nodes[g], &nodes[h]
			a1 := na.next(bins[uint(na.slot)*lanes])
			b1 := nb.next(bins[uint(nb.slot)*lanes])
			c1 := nc.next(bins[uint(nc.slot)*lanes])
			d1 := nd.next(bins[uint(nd.slot)*lanes])
			e1 := ne.next(bins[uint(ne.slot)*lanes])
			f1 := nf.next(bins[uint(nf.slot)*lanes])
			g1 := ng.next(bins[uint(ng.slot)*lanes])
			h1 := nh.next(bins[uint(nh.slot)*lanes])
			moved := (a ^ a1) | (b ^ b1) | (c ^ c1) | (d ^ d1) | (e ^ e1) | (f ^ f1) | (g ^ g1) | (h ^ h1)
			a, b, c, d, e, f, g, h = a1, b1, c1, d1, e1, f1, g1, h1
			if moved == 0 {
				break
			}
		}
		sum[0] = sum[0] + values[a] + values[e]
		sum[1] = sum[1] + values[b] + values[f]
		sum[2] = sum[2] + values[c] + values[g]
		sum[3] = sum[3] + values[d] + values[h]
	}
	for k, a := range roots {
		for n := &nodes[a]; ; n = &nodes[a] {
			next := n.next(bins[uint(n.slot)*lanes])
			if next == a {
				break
			}
			a = next
		}
		sum[k%sumLanes] += values[a]
	}
	return total(&sum)
}
