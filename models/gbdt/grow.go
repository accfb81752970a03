package gbdt

// grower grows one tree after another over the same rows.
type grower struct {
	m      *matrix
	crew   crew
	leaves int
	gh     []int64 // packed gradient and hessian of each row
	rows   []uint32
	right  []uint32  // room for the right side of a partition
	pool   [][]int64 // histograms not in use
	spare  [][]int64 // one for each further goroutine
	open   []open
}

// open is a leaf that may still be divided.
type open struct {
	node   int
	lo, hi int // its rows
	sum    int64
	hist   []int64
	best   split
	bounds          // of its leaves' outputs
	sets   []uint64 // the inputs on the way here lie in, a bit each; nil: all
}

func newGrower(m *matrix, gh []int64, leaves int, c crew) *grower {
	g := &grower{m: m, crew: c, leaves: leaves, gh: gh}
	g.right = make([]uint32, m.rows)
	for range int(c) - 1 {
		g.spare = append(g.spare, g.histogram())
	}
	return g
}

func (g *grower) histogram() []int64 {
	if n := len(g.pool); n > 0 {
		h := g.pool[n-1]
		g.pool = g.pool[:n-1]
		return h
	}
	return make([]int64, g.m.cols*cells)
}

// grow returns a tree over the given rows, which it sorts by leaf; g.open then
// tells which rows each leaf holds.
func (g *grower) grow(s *searcher, rows []uint32) tree {
	g.rows = rows
	for i := range g.open {
		g.release(&g.open[i])
	}
	root := open{hi: len(rows), hist: g.histogram(), sum: g.total(rows), bounds: unbound}
	g.m.build(root.hist, rows, g.gh, g.crew, g.spare)
	root.best = s.find(&root)
	g.open = append(g.open[:0], root)
	t := tree{{rows: uint32(len(rows))}}
	for len(g.open) < g.leaves {
		best := 0
		for i := range g.open {
			if g.open[i].best.gain > g.open[best].best.gain {
				best = i
			}
		}
		if g.open[best].best.gain == 0 {
			break
		}
		t = g.divide(s, t, best)
	}
	for _, l := range g.open {
		t[l.node].value = l.clamp(s.output(l.sum))
	}
	return t
}

func (g *grower) release(l *open) {
	if l.hist != nil {
		g.pool = append(g.pool, l.hist)
		l.hist = nil
	}
}

func (g *grower) total(rows []uint32) int64 {
	parts := make([]int64, (len(rows)+parallelRows-1)/parallelRows)
	g.crew.blocks(len(rows), parallelRows, func(b, lo, hi int) {
		for _, r := range rows[lo:hi] {
			parts[b] += g.gh[r]
		}
	})
	sum := int64(0)
	for _, p := range parts {
		sum += p
	}
	return sum
}

// divide replaces the open leaf at i by its two children.
func (g *grower) divide(s *searcher, t tree, i int) tree {
	p := g.open[i]
	mid := p.lo + g.partition(p.best.test, p.lo, p.hi)
	kid := len(t)
	t[p.node].kid, t[p.node].test, t[p.node].gain = uint32(kid), p.best.test, p.best.gain
	t = append(t, node{rows: uint32(mid - p.lo)}, node{rows: uint32(p.hi - mid)})
	l := open{node: kid, lo: p.lo, hi: mid, sum: p.best.left}
	r := open{node: kid + 1, lo: mid, hi: p.hi, sum: p.sum - p.best.left}
	l.bounds, r.bounds = p.bounds, p.bounds
	if s.monotone != nil {
		l.bounds, r.bounds = p.parted(p.clamp(s.output(l.sum)), p.clamp(s.output(r.sum)), s.monotone[p.best.test.input])
	}
	if s.sets != nil {
		l.sets = meet(p.sets, s.sets[p.best.test.input])
		r.sets = l.sets
	}
	g.open[i] = l
	g.open = append(g.open, r)
	if len(g.open) == g.leaves {
		if p.hist != nil {
			g.pool = append(g.pool, p.hist)
		}
		return t
	}
	small, large := &g.open[i], &g.open[len(g.open)-1]
	if small.hi-small.lo > large.hi-large.lo {
		small, large = large, small
	}
	small.hist, large.hist = g.histogram(), p.hist
	g.m.build(small.hist, g.rows[small.lo:small.hi], g.gh, g.crew, g.spare)
	both := [2]*open{small, large}
	for i, v := range small.hist {
		large.hist[i] -= v
	}
	c := g.crew
	if len(large.hist) < 8*cells {
		c = 1
	}
	c.each(2, func(k int) {
		both[k].best = s.find(both[k])
	})
	for _, o := range both {
		if o.best.gain == 0 {
			g.release(o)
		}
	}
	return t
}

// partition puts the rows of [lo, hi) that go left before those that go right,
// each side in its old order, and returns how many go left.
func (g *grower) partition(t test, lo, hi int) int {
	parts := 1
	if g.crew > 1 && hi-lo >= parallelRows {
		parts = int(g.crew)
	}
	lefts := make([]int, parts)
	from := func(p int) int { return lo + (hi-lo)*p/parts }
	g.crew.each(parts, func(p int) {
		lefts[p] = g.partitionPart(t, from(p), from(p+1))
	})
	at := lo
	for p, n := range lefts {
		copy(g.rows[at:], g.rows[from(p):from(p)+n])
		at += n
	}
	left := at - lo
	for p, n := range lefts {
		at += copy(g.rows[at:], g.right[from(p):from(p+1)-n])
	}
	return left
}

// partitionPart moves the rows that go left to the front of [lo, hi) and writes
// the others to g.right from lo on. It does not branch on where a row goes.
func (g *grower) partitionPart(t test, lo, hi int) int {
	bins := g.m.columns[t.input]
	off, thr := t.packed()
	rows, right := g.rows[lo:hi], g.right[lo:hi]
	l, r := 0, 0
	for _, row := range rows {
		bit := int(goesRight(bins[row], off, thr, t.mask))
		rows[l], right[r] = row, row
		r += bit
		l += 1 - bit
	}
	return l
}
