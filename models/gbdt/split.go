package gbdt

import (
	"cmp"
	"math"
	"slices"
)

// Splits of a category are held back a little, because its levels are sorted by
// the very gradients the split is judged by (LightGBM's cat_smooth, cat_l2).
const (
	levelSmooth = 10
	levelL2     = 10
)

// minGain keeps rounding from passing as gain.
const minGain = 1e-10

// split is the best known division of a node.
type split struct {
	gain float64 // 0: none
	left int64   // packed sums of the left side
	test test
}

// test sends a row right if its bin of the input is above bin, where missing
// counts as above all if missingRight is set; or, for levels, if the bin's bit
// is set in mask, and bin is then 255.
type test struct {
	input        int32
	mask         uint32
	bin          uint8
	missingRight bool
}

// right returns 1 if a bin goes right, else 0.
func (t test) right(bin uint8) uint32 {
	off, thr := t.packed()
	return goesRight(bin, off, thr, t.mask)
}

// packed returns the test as goesRight takes it: missing right means that all
// bins move down by one, which turns bin 0 into 255.
func (t test) packed() (off, thr uint8) {
	if t.missingRight {
		return 1, t.bin - 1
	}
	return 0, t.bin
}

func goesRight(bin, off, thr uint8, mask uint32) uint32 {
	return (uint32(thr)-uint32(bin-off))>>31 | mask>>(bin&31)&1
}

// searcher finds splits of nodes of one tree.
type searcher struct {
	l1, l2     float64
	minRows    float64
	minHessian float64
	unitG      float64 // a gradient of 1 in fixed point, inverted
	unitH      float64
	bins       []int      // of each input
	levels     []bool     // the input is split by level
	use        []bool     // the input takes part in this tree
	monotone   []int8     // which way the answer must go with the input; nil: no input is bound
	falls      bool       // the answer, as outputs rise
	sets       [][]uint64 // that the input may meet others in, a bit each; nil: all may meet
}

func newSearcher(p Learner, e *encoder, width int) *searcher {
	s := &searcher{
		l1: p.L1, l2: p.L2, minRows: float64(p.MinRows), minHessian: p.MinHessian,
		use: make([]bool, len(e.inputs)), sets: p.Limits.sets(e, width),
	}
	for _, in := range e.inputs {
		s.bins = append(s.bins, in.bins(e))
		s.levels = append(s.levels, in.kind == levels)
		if !p.Limits.anyBound() {
			continue
		}
		way := int8(0)
		if in.kind == numeric {
			way = p.Limits.Monotone[in.col]
		}
		s.monotone = append(s.monotone, way)
	}
	return s
}

// way is which way outputs must go with the input.
func (s *searcher) way(input int32) int8 {
	if s.falls {
		return -s.monotone[input]
	}
	return s.monotone[input]
}

// score is twice what the best output of a node takes off the loss. Here as
// elsewhere products are rounded before they are added, on machines too that could
// do both at once: all grow the same trees.
func (s *searcher) score(g, h, l2 float64) float64 {
	g = math.Abs(float64(g)) - s.l1
	if g < 0 {
		return 0
	}
	return g * g / (float64(h) + l2)
}

// output is the best output of a node.
func (s *searcher) output(sum int64) float64 {
	return s.newton(gradOf(sum)*s.unitG, float64(hessOf(sum))*s.unitH)
}

func (s *searcher) newton(g, h float64) float64 {
	a := math.Abs(float64(g)) - s.l1
	if a < 0 {
		return 0
	}
	return -math.Copysign(a/(float64(h)+s.l2), g)
}

// candidate is what one node's search shares among inputs.
type candidate struct {
	*searcher
	sum    int64
	parent float64 // score of the node undivided
	least  uint32  // hessian each side must have, in fixed point
	limits bounds  // of the outputs
	best   split
}

// groupInputs is how many inputs are searched together. Splits are compared
// within a group first and then among groups, whoever searches them: it is part
// of the result's bits.
const groupInputs = 8

// find returns the best split of a node, whose histogram is made, by the inputs of
// a group. Of equal gains the first input's and lowest bin's wins.
func (s *searcher) find(o *open, group int) split {
	h, rows := float64(hessOf(o.sum)), float64(o.hi-o.lo)
	least := max(s.minRows*h/rows, s.minHessian/s.unitH)
	if 2*least > h || rows < 2*s.minRows {
		return split{}
	}
	c := candidate{searcher: s, sum: o.sum, least: uint32(math.Ceil(max(least, 1))), limits: o.bounds}
	c.parent = s.score(gradOf(o.sum)*s.unitG, h*s.unitH, s.l2)
	if s.monotone != nil {
		c.parent = s.worth(o.sum, o.clamp(s.output(o.sum)), s.l2)
	}
	c.best.gain = minGain
	for in := group * groupInputs; in < min(len(s.use), (group+1)*groupInputs); in++ {
		if !s.use[in] || s.sets != nil && !overlap(o.sets, s.sets[in]) {
			continue
		}
		h := (*[cells]int64)(o.hist[in*cells:])
		if s.levels[in] {
			c.byLevel(int32(in), h)
			continue
		}
		c.byNumber(int32(in), h, h[0], false)
		if h[0] != 0 {
			c.byNumber(int32(in), h, 0, true)
		}
	}
	if c.best.gain == minGain {
		return split{}
	}
	return c.best
}

// groups is how many groups the inputs make.
func (s *searcher) groups() int { return (len(s.use) + groupInputs - 1) / groupInputs }

// best returns the first of the largest gain.
func best(of []split) split {
	var b split
	for i := range of {
		if of[i].gain > b.gain {
			b = of[i]
		}
	}
	return b
}

// byNumber tries each cut of an input of numbers; left starts with missing, or
// without it.
func (c *candidate) byNumber(in int32, h *[cells]int64, left int64, missingRight bool) {
	if c.monotone != nil {
		c.byOrderWithin(in, h, left, missingRight)
		return
	}
	c.byOrder(in, h, left, missingRight)
}

// byOrder works in units of the fixed point, with L2 in those too, and
// compares fractions without dividing.
func (c *candidate) byOrder(in int32, h *[cells]int64, left int64, missingRight bool) {
	total, least := hessOf(c.sum), c.least
	last := total - least // hessian the left side may have at most
	sum, l1, l2 := gradOf(c.sum), c.l1/c.unitG, c.l2/c.unitH
	unit := c.unitG * c.unitG / c.unitH
	best := (c.best.gain + c.parent) / unit
	at, cut := 0, left
	for b, v := range h[1:c.bins[in]] {
		left += v
		hl := hessOf(left)
		if v == 0 || hl < least {
			continue
		}
		if hl > last {
			break
		}
		gl := gradOf(left)
		gr := sum - gl
		if l1 > 0 {
			gl, gr = max(math.Abs(gl)-l1, 0), max(math.Abs(gr)-l1, 0)
		}
		a, z := float64(hl)+l2, float64(total-hl)+l2
		num, den := float64(gl*gl*z)+float64(gr*gr*a), a*z
		if num > best*den {
			best, at, cut = num/den, b+1, left
		}
	}
	if at == 0 {
		return
	}
	gain := float64(best*unit) - c.parent
	if !(gain > c.best.gain) {
		return
	}
	t := test{input: in, bin: uint8(at), missingRight: missingRight}
	if h[0] == 0 {
		t.missingRight = total-hessOf(cut) > hessOf(cut)
	}
	c.best = split{gain: gain, left: cut, test: t}
}

// byLevel sorts the levels by their mean gradient and tries each cut of that
// order. Levels the node has not seen follow the heavier side.
func (c *candidate) byLevel(in int32, h *[cells]int64) {
	var order [maxNative + 1]uint8
	var key [maxNative + 1]float64
	n := 0
	for b := range c.bins[in] {
		if v := h[b&255]; v != 0 {
			order[n] = uint8(b)
			key[b&31] = gradOf(v) * c.unitG / (float64(float64(hessOf(v))*c.unitH) + levelSmooth)
			n++
		}
	}
	slices.SortFunc(order[:n], func(a, b uint8) int {
		return cmp.Or(cmp.Compare(key[a&31], key[b&31]), cmp.Compare(a, b))
	})
	var left int64
	var inLeft uint32
	total := hessOf(c.sum)
	for _, b := range order[:max(n-1, 0)] {
		left += h[b]
		inLeft |= 1 << (b & 31)
		hl := hessOf(left)
		if hl < c.least {
			continue
		}
		hr := total - hl
		if hr < c.least || hr > total {
			return
		}
		l2 := c.l2 + levelL2
		gain := c.score(gradOf(left)*c.unitG, float64(hl)*c.unitH, l2) +
			c.score(gradOf(c.sum-left)*c.unitG, float64(hr)*c.unitH, l2) - c.parent
		if c.monotone != nil {
			gain = c.within(left, l2, 0)
		}
		if gain > c.best.gain {
			mask := ^inLeft
			if hl >= hr {
				mask = 0
				for _, b := range order[:n] {
					mask |= 1 << (b & 31)
				}
				mask &^= inLeft
			}
			c.best = split{gain: gain, left: left, test: test{input: in, mask: mask, bin: 255}}
		}
	}
}
