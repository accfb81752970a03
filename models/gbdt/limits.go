package gbdt

import (
	"fmt"
	"math"
	"slices"

	"bellwether/models"
)

// Limits are what trees must keep to, whatever the rows say. The zero value asks
// nothing.
type Limits struct {
	// Monotone has an entry for each column, or none at all: with 1 the answer
	// never falls as the column grows, with -1 it never rises, with 0 it is
	// free. A missing value stands outside that order. Only numbers can be
	// bound; they take no part in pairs then. With Hazard the chance to be won
	// by each age goes that way and that to be lost, or to have ended, the other;
	// exactly so their scores, the chances up to rounding.
	Monotone []int8
	// Together are sets of columns that may meet on one path of a tree: all
	// inputs tested on the way to a leaf lie within one set. A column in no set
	// meets no other. Without any set all may meet.
	Together [][]int
}

// check reports limits that do not fit the columns.
func (l Limits) check(columns []models.Column) error {
	if n := len(l.Monotone); n != 0 && n != len(columns) {
		return fmt.Errorf("gbdt: Monotone has %d entries for %d columns", n, len(columns))
	}
	for j, way := range l.Monotone {
		if way < -1 || way > 1 || way != 0 && columns[j].Kind != models.Numeric {
			return fmt.Errorf("gbdt: Monotone of column %s is %d", columns[j].Name, way)
		}
	}
	for _, set := range l.Together {
		for _, j := range set {
			if j < 0 || j >= len(columns) {
				return fmt.Errorf("gbdt: Together names column %d of %d", j, len(columns))
			}
		}
	}
	return nil
}

// bound reports whether the column is monotone.
func (l Limits) bound(col int) bool { return len(l.Monotone) > 0 && l.Monotone[col] != 0 }

// anyBound reports whether any column is.
func (l Limits) anyBound() bool {
	return slices.ContainsFunc(l.Monotone, func(way int8) bool { return way != 0 })
}

// pairs reports whether a and b may be combined into one input; b is -1 for a
// column taken as a category by itself.
func (l Limits) pairs(a, b int) bool {
	if l.bound(a) || b >= 0 && l.bound(b) {
		return false
	}
	return b < 0 || l.Together == nil || slices.ContainsFunc(l.Together, func(set []int) bool {
		return slices.Contains(set, a) && slices.Contains(set, b)
	})
}

// sets returns for each input the sets it belongs to, a bit each.
func (l Limits) sets(e *encoder, width int) [][]uint64 {
	if l.Together == nil {
		return nil
	}
	all := slices.Clone(l.Together)
	for j := range width {
		if !slices.ContainsFunc(l.Together, func(set []int) bool { return slices.Contains(set, j) }) {
			all = append(all, []int{j})
		}
	}
	of := make([][]uint64, len(e.inputs))
	for i, in := range e.inputs {
		a, b := in.columns(e)
		of[i] = make([]uint64, (len(all)+63)/64)
		for k, set := range all {
			if slices.Contains(set, a) && (b < 0 || slices.Contains(set, b)) {
				of[i][k/64] |= 1 << (k % 64)
			}
		}
	}
	return of
}

// meet returns the sets in both, nil being all.
func meet(a, b []uint64) []uint64 {
	if a == nil {
		return b
	}
	both := make([]uint64, len(b))
	for i := range both {
		both[i] = a[i] & b[i]
	}
	return both
}

// overlap reports whether any set is in both.
func overlap(a, b []uint64) bool {
	for i, w := range b {
		if a != nil {
			w &= a[i]
		}
		if w != 0 {
			return true
		}
	}
	return false
}

// bounds are what the outputs of a node's leaves must lie within.
type bounds struct{ least, most float64 }

var unbound = bounds{math.Inf(-1), math.Inf(1)}

func (b bounds) clamp(x float64) float64 { return min(max(x, b.least), b.most) }

// parted returns the bounds of a node's children, whose outputs are l and r, when
// its test is on an input that must rise (1), fall (-1) or neither.
func (b bounds) parted(l, r float64, way int8) (left, right bounds) {
	left, right = b, b
	mid := float64(l/2) + float64(r/2)
	switch way {
	case 1:
		left.most, right.least = mid, mid
	case -1:
		left.least, right.most = mid, mid
	}
	return left, right
}

// within is the gain of parting a node into left and the rest when outputs are
// bounded: what the outputs, as they will be, take off the loss, twice. An order
// of outputs that way forbids gains nothing.
func (c *candidate) within(left int64, l2 float64, way int8) float64 {
	l, r := c.limits.clamp(c.output(left)), c.limits.clamp(c.output(c.sum-left))
	if way > 0 && l > r || way < 0 && l < r {
		return 0
	}
	return c.worth(left, l, l2) + c.worth(c.sum-left, r, l2) - c.parent
}

// worth is twice what output w takes off the loss of rows of the given sums.
func (s *searcher) worth(sum int64, w, l2 float64) float64 {
	g, h := float64(gradOf(sum)*s.unitG), float64(float64(hessOf(sum))*s.unitH)
	return -(float64(2*g*w) + float64((h+l2)*w*w)) - float64(2*s.l1*math.Abs(w))
}

// byOrderWithin is byOrder with bounded outputs.
func (c *candidate) byOrderWithin(in int32, h *[cells]int64, left int64, missingRight bool) {
	way := c.way(in)
	for b, v := range h[1:c.bins[in]] {
		left += v
		hl := hessOf(left)
		if v == 0 || hl < c.least {
			continue
		}
		if hl > hessOf(c.sum)-c.least {
			return
		}
		if gain := c.within(left, c.l2, way); gain > c.best.gain {
			t := test{input: in, bin: uint8(b + 1), missingRight: missingRight}
			if h[0] == 0 {
				t.missingRight = hessOf(c.sum)-hl > hl
			}
			c.best = split{gain: gain, left: left, test: t}
		}
	}
}

// Monotone tells what is proved of the answer as a number of the column grows,
// all else equal and the column not missing: that it never falls, that it never
// rises, or both, if no tree asks for the column. The proof looks at each tree,
// not at rows: whatever two leaves a row could move between by a change of the
// column alone, their values are in order. An ensemble may keep an order that no
// single proof of a tree shows; one grown with Limits.Monotone always shows it.
func (m *Model) Monotone(col int) (neverFalls, neverRises bool) {
	neverFalls, neverRises = true, true
	for tree := range m.trees {
		up, down := m.ordered(tree, col)
		neverFalls, neverRises = neverFalls && up, neverRises && down
	}
	return neverFalls, neverRises
}

// region is the bins of each input that lead to a leaf, a bit each.
type region map[int32]*[cells / 64]uint64

// ordered compares all pairs of a tree's leaves that differ in the column.
func (m *Model) ordered(tree, col int) (up, down bool) {
	up, down = true, true
	var leaves [][]float64
	var regions []region
	values := m.favoured(tree)
	m.regions(m.trees[tree], 0, region{}, func(leaf int, r region) {
		leaves, regions = append(leaves, values[leaf]), append(regions, r)
	})
	for i, a := range leaves {
		for j, b := range leaves {
			falls, rises := false, false
			for k, v := range a {
				falls, rises = falls || v > b[k], rises || v < b[k]
			}
			if (falls && up || rises && down) && m.below(regions[i], regions[j], col) {
				up, down = up && !falls, down && !rises
			}
		}
	}
	return up, down
}

// favoured is what the leaves of a tree add to each score, by node, turned such that
// more is more of the answer.
func (m *Model) favoured(tree int) [][]float64 {
	values := m.leafValues(tree)
	for _, scores := range values {
		for k := range scores {
			if m.hazards != nil && favours(k, m.hazards.causes) < 0 {
				scores[k] = -scores[k]
			}
		}
	}
	return values
}

// regions calls f with each leaf and its region.
func (m *Model) regions(t tree, at uint32, r region, f func(leaf int, r region)) {
	n := &t[at]
	if n.kid == 0 {
		f(int(at), r)
		return
	}
	for k := range uint32(2) {
		var bins [cells / 64]uint64
		for b := range m.enc.inputs[n.test.input].bins(m.enc) {
			if (r[n.test.input] == nil || r[n.test.input][b/64]>>(b%64)&1 == 1) && n.test.right(uint8(b)) == k {
				bins[b/64] |= 1 << (b % 64)
			}
		}
		part := region{n.test.input: &bins}
		for in, bins := range r {
			if in != n.test.input {
				part[in] = bins
			}
		}
		m.regions(t, n.kid+k, part, f)
	}
}

// below reports whether a row may lie in a, and in b once its number in the
// column is larger. Inputs of other columns are taken to be free of each other,
// which allows more rows than there can be. An input made of the column in
// another way than by order may go anywhere.
func (m *Model) below(a, b region, col int) bool {
	for in, bins := range a {
		other := b[in]
		if other == nil {
			continue
		}
		x, y := m.enc.inputs[in].columns(m.enc)
		if x == col || y == col {
			if m.enc.inputs[in].kind == numeric && !(lowest(bins) < cells && lowest(bins) <= highest(other)) {
				return false
			}
			continue
		}
		if bins[0]&other[0]|bins[1]&other[1]|bins[2]&other[2]|bins[3]&other[3] == 0 {
			return false
		}
	}
	return true
}

// lowest returns the lowest bin that is not missing, cells if there is none;
// highest the highest, 0 if there is none.
func lowest(bins *[cells / 64]uint64) int {
	for b := 1; b < cells; b++ {
		if bins[b/64]>>(b%64)&1 == 1 {
			return b
		}
	}
	return cells
}

func highest(bins *[cells / 64]uint64) int {
	for b := cells - 1; b > 0; b-- {
		if bins[b/64]>>(b%64)&1 == 1 {
			return b
		}
	}
	return 0
}
