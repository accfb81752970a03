package exchange

import "fmt"

// Contributions writes to dst what each column of a row moved its score by, and
// returns the score the columns start from: together they sum to the score, which
// of a probability is its log-odds. They are the exact path-dependent Shapley
// values (Lundberg et al., Nature Machine Intelligence 2020) by the rows, or the
// hessian, that the origin counted at each node: XGBoost's pred_contribs, and
// LightGBM's pred_contrib times its sigmoid, a random forest's over its trees. It
// panics unless row and dst are Width long.
func (m *Model) Contributions(dst, row []float64) (start float64) {
	if len(dst) != len(m.columns) || len(row) != len(m.columns) {
		panic(fmt.Sprintf("exchange: %d numbers into %d contributions, width is %d", len(row), len(dst), len(m.columns)))
	}
	var stack [stackInputs]float64
	b := blame{grove: &m.grove, x: m.room(stack[:]), dst: dst, scale: 1}
	if m.link.kind == logistic {
		b.scale = m.link.scale
	}
	m.look(b.x, row)
	clear(dst)
	if m.average {
		b.scale /= float64(max(1, len(m.roots)))
	}
	start = m.base
	for _, root := range m.roots {
		start += b.scale * b.walk(root, 0, way{1, 1, -1})
	}
	return start
}

// way is one edge of the path from the root: the share of the training that
// takes it, whether the row does (0 or 1), and the column asked, -1 at the root.
type way struct {
	zero, one float64
	column    int
}

// step is a column on the path, with the weight of all subsets of one size.
type step struct {
	way
	weight float64
}

// blame shares out one tree after another. paths holds the path at each depth:
// a child changes its own copy.
type blame struct {
	*grove
	x, dst []float64
	scale  float64
	paths  [][]step
}

// walk shares out the subtree at a node and returns its mean value by cover.
func (b *blame) walk(at uint32, depth int, w way) float64 {
	if w.zero == 0 && w.one == 0 {
		return b.mean(at) // no set of columns leads here
	}
	if len(b.paths) <= depth {
		b.paths = append(b.paths, nil)
	}
	path := b.paths[depth][:0]
	if depth > 0 {
		path = append(path, b.paths[depth-1]...)
	}
	path = extend(path, w)
	b.paths[depth] = path
	n := &b.nodes[at]
	if n.right == 0 {
		for i := 1; i < len(path); i++ {
			s := &path[i]
			b.dst[s.column] += b.scale * unwoundSum(path, i) * (s.one - s.zero) * n.value
		}
		return n.value
	}
	left, right := b.shares(at)
	w = way{1, 1, int(n.input)}
	for i := 1; i < len(path); i++ {
		if path[i].column == w.column {
			w.zero, w.one = path[i].zero, path[i].one
			path = unwind(path, i)
			break
		}
	}
	b.paths[depth] = path
	l, r := way{w.zero * left, w.one, w.column}, way{w.zero * right, w.one, w.column}
	if b.goesRight(n, b.x[n.slot]) {
		l.one = 0
	} else {
		r.one = 0
	}
	return left*b.walk(at+1, depth+1, l) + right*b.walk(n.right, depth+1, r)
}

// mean is the mean value of a subtree by cover.
func (g *grove) mean(at uint32) float64 {
	n := &g.nodes[at]
	if n.right == 0 {
		return n.value
	}
	left, right := g.shares(at)
	return left*g.mean(at+1) + right*g.mean(n.right)
}

// shares are the parts of the training that went to each child: of the cover
// counted at the node, as LightGBM and XGBoost have it; halves if it counted none.
func (g *grove) shares(at uint32) (left, right float64) {
	l, r := g.cover[at+1], g.cover[g.nodes[at].right]
	if all := g.cover[at]; all > 0 {
		return l / all, r / all
	}
	return 0.5, 0.5
}

// extend adds an edge to a path.
func extend(path []step, w way) []step {
	d := len(path)
	path = append(path, step{w, truth(d == 0)})
	for i := d - 1; i >= 0; i-- {
		path[i+1].weight += w.one * path[i].weight * float64(i+1) / float64(d+1)
		path[i].weight = w.zero * path[i].weight * float64(d-i) / float64(d+1)
	}
	return path
}

// unwind takes edge k back out of a path.
func unwind(path []step, k int) []step {
	d := len(path) - 1
	one, zero, next := path[k].one, path[k].zero, path[d].weight
	for i := d - 1; i >= 0; i-- {
		if one != 0 {
			was := path[i].weight
			path[i].weight = next * float64(d+1) / (float64(i+1) * one)
			next = was - path[i].weight*zero*float64(d-i)/float64(d+1)
		} else {
			path[i].weight = path[i].weight * float64(d+1) / (zero * float64(d-i))
		}
	}
	for i := k; i < d; i++ {
		path[i].way = path[i+1].way
	}
	return path[:d]
}

// unwoundSum is the sum of the weights of a path without edge k.
func unwoundSum(path []step, k int) float64 {
	d := len(path) - 1
	one, zero, next, sum := path[k].one, path[k].zero, path[d].weight, 0.0
	for i := d - 1; i >= 0; i-- {
		if one != 0 {
			w := next * float64(d+1) / (float64(i+1) * one)
			sum += w
			next = path[i].weight - w*zero*float64(d-i)/float64(d+1)
		} else if zero != 0 {
			sum += path[i].weight / zero * float64(d+1) / float64(d-i)
		}
	}
	return sum
}
