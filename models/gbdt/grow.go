package gbdt

// grower grows one tree after another over the same rows.
type grower struct {
	m      *matrix
	gang   *gang
	leaves int
	gh     []int64 // packed gradient and hessian of each row
	rows   []uint32
	right  []uint32  // room for the right side of a partition
	pool   [][]int64 // histograms not in use
	spare  [][]int64 // one for each further goroutine
	open   []open
	found  [2][]split // of a node's two children, by each group of inputs
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

// newGrower returns a grower that needs the gang as long as it works.
func newGrower(m *matrix, gh []int64, leaves int, gang *gang) *grower {
	g := &grower{m: m, gang: gang, leaves: leaves, gh: gh}
	g.right = make([]uint32, m.rows)
	for range int(gang.crew) - 1 {
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
	g.m.build(root.hist, rows, g.gh, g.gang, g.spare)
	for k := range g.found {
		g.found[k] = make([]split, s.groups())
	}
	g.gang.each(s.groups(), func(k int) { g.found[0][k] = s.find(&root, k) })
	root.best = best(g.found[0])
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
	g.gang.each(len(parts), func(b int) {
		for _, r := range rows[b*parallelRows : min((b+1)*parallelRows, len(rows))] {
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
		l.bounds, r.bounds = p.parted(p.clamp(s.output(l.sum)), p.clamp(s.output(r.sum)), s.way(p.best.test.input))
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
	g.search(s, small, large)
	both := [2]*open{small, large}
	for _, o := range both {
		if o.best.gain == 0 {
			g.release(o)
		}
	}
	return t
}

// sharedWork is how many additions of a row to an input's histogram several
// goroutines share.
const sharedWork = 16_384

// search makes the histograms of two siblings, of which the larger holds their
// parent's, and finds their splits.
func (g *grower) search(s *searcher, small, large *open) {
	rows := g.rows[small.lo:small.hi]
	groups, parts, byRows := s.groups(), 1, len(rows) >= parallelRows
	if (len(rows)+cells)*g.m.cols >= sharedWork {
		parts = min(int(g.gang.crew), groups)
	}
	if byRows {
		g.m.build(small.hist, rows, g.gh, g.gang, g.spare)
	}
	g.gang.each(parts, func(p int) {
		from, to := groups*p/parts, groups*(p+1)/parts
		lo, hi := from*groupInputs, min(to*groupInputs, g.m.cols)
		if !byRows {
			g.m.fill(small.hist, rows, g.gh, lo, hi)
		}
		a, b := large.hist[lo*cells:hi*cells], small.hist[lo*cells:hi*cells]
		for i, v := range b {
			a[i] -= v
		}
		for k := from; k < to; k++ {
			g.found[0][k], g.found[1][k] = s.find(small, k), s.find(large, k)
		}
	})
	small.best, large.best = best(g.found[0]), best(g.found[1])
}

// partition puts the rows of [lo, hi) that go left before those that go right,
// each side in its old order, and returns how many go left.
func (g *grower) partition(t test, lo, hi int) int {
	parts := 1
	if g.gang.crew > 1 && hi-lo >= parallelRows {
		parts = max(int(g.gang.crew), (hi-lo)/(2*parallelRows))
	}
	lefts := make([]int, parts)
	from := func(p int) int { return lo + (hi-lo)*p/parts }
	g.gang.each(parts, func(p int) {
		lefts[p] = g.partitionPart(t, from(p), from(p+1))
	})
	at := lo
	for p, n := range lefts {
		if at != from(p) {
			copy(g.rows[at:], g.rows[from(p):from(p)+n])
		}
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
