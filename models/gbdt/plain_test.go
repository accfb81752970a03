package gbdt

import (
	"cmp"
	"context"
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"testing"

	"pgregory.net/rapid"

	"bellwether/models"
	"bellwether/models/target"
)

// plainTree grows a tree the dumb way: every row of every node is looked at for
// every test, sums are floats (whole numbers of units, so exact), nothing is
// subtracted or shared.
type plainTree struct {
	cols   [][]uint8
	bins   []int
	levels []bool
	g, h   []float64 // in units
	s      *searcher

	together [][]int32 // inputs that may meet; nil: all
}

type plainSplit struct {
	gain float64
	test test
}

// plainNode is a node's rows, what its outputs must lie within and the inputs
// tested on the way to it.
type plainNode struct {
	rows        []int
	least, most float64
	way         []int32
}

// output is the best output of rows within the node's bounds.
func (p *plainTree) output(n plainNode, rows []int) float64 {
	g, h := p.sums(rows)
	w := -math.Copysign(max(math.Abs(g*p.s.unitG)-p.s.l1, 0)/(h*p.s.unitH+p.s.l2), g)
	return math.Max(n.least, math.Min(n.most, w))
}

// takenOff is twice what output w takes off the loss of rows.
func (p *plainTree) takenOff(rows []int, w, l2 float64) float64 {
	g, h := p.sums(rows)
	return -(2*g*p.s.unitG*w + (h*p.s.unitH+l2)*w*w) - 2*p.s.l1*math.Abs(w)
}

// meets reports whether some set holds the input and all on the way.
func (p *plainTree) meets(n plainNode, in int) bool {
	if p.together == nil {
		return true
	}
	return slices.ContainsFunc(p.together, func(set []int32) bool {
		return slices.Contains(set, int32(in)) && !slices.ContainsFunc(n.way, func(w int32) bool { return !slices.Contains(set, w) })
	})
}

// gain is what parting the node so gains; less than nothing if outputs would be
// in a wrong order.
func (p *plainTree) gain(n plainNode, left, right []int, in int, l2 float64) float64 {
	if p.s.monotone == nil {
		gl, hl := p.sums(left)
		gr, hr := p.sums(right)
		g, h := p.sums(n.rows)
		return p.score(gl, hl, l2) + p.score(gr, hr, l2) - p.score(g, h, p.s.l2)
	}
	l, r := p.output(n, left), p.output(n, right)
	if way := float64(p.s.monotone[in]); way*l > way*r {
		return -1
	}
	return p.takenOff(left, l, l2) + p.takenOff(right, r, l2) - p.takenOff(n.rows, p.output(n, n.rows), p.s.l2)
}

func (p *plainTree) sums(rows []int) (g, h float64) {
	for _, r := range rows {
		g, h = g+p.g[r], h+p.h[r]
	}
	return g, h
}

func (p *plainTree) score(g, h, l2 float64) float64 {
	a := max(math.Abs(g*p.s.unitG)-p.s.l1, 0)
	return a * a / (h*p.s.unitH + l2)
}

// tests are all tests of an input worth trying at a node, in order.
func (p *plainTree) tests(in int, rows []int) []test {
	var all []test
	bins := map[uint8][]int{}
	for _, r := range rows {
		bins[p.cols[in][r]] = append(bins[p.cols[in][r]], r)
	}
	if !p.levels[in] {
		for _, right := range []bool{false, true} {
			for b := 1; b < p.bins[in]; b++ {
				if bins[uint8(b)] != nil && (!right || bins[0] != nil) {
					all = append(all, test{input: int32(in), bin: uint8(b), missingRight: right})
				}
			}
		}
		return all
	}
	var order []uint8
	for b := range p.bins[in] {
		if bins[uint8(b)] != nil {
			order = append(order, uint8(b))
		}
	}
	key := func(b uint8) float64 {
		g, h := p.sums(bins[b])
		return g * p.s.unitG / (h*p.s.unitH + levelSmooth)
	}
	slices.SortStableFunc(order, func(a, b uint8) int { return cmp.Compare(key(a), key(b)) })
	for n := 1; n < len(order); n++ {
		mask := uint32(0)
		for _, b := range order[n:] {
			mask |= 1 << b
		}
		all = append(all, test{input: int32(in), bin: 255, mask: mask})
	}
	return all
}

func (p *plainTree) best(n plainNode) plainSplit {
	best := plainSplit{gain: minGain}
	_, h := p.sums(n.rows)
	least := math.Ceil(max(p.s.minRows*h/float64(len(n.rows)), p.s.minHessian/p.s.unitH, 1))
	for in := range p.cols {
		l2 := p.s.l2
		if p.levels[in] {
			l2 += levelL2
		}
		if !p.meets(n, in) {
			continue
		}
		for _, t := range p.tests(in, n.rows) {
			left, right := p.divide(t, n.rows)
			_, hl := p.sums(left)
			_, hr := p.sums(right)
			if hl < least || hr < least {
				continue
			}
			if gain := p.gain(n, left, right, in, l2); gain > best.gain {
				best = plainSplit{gain, t}
			}
		}
	}
	if best.gain == minGain {
		best.gain = 0
	}
	return best
}

func (p *plainTree) divide(t test, rows []int) (left, right []int) {
	for _, r := range rows {
		b := p.cols[t.input][r]
		goes := b > t.bin || b == 0 && t.missingRight
		if p.levels[t.input] {
			goes = t.mask&(1<<b) != 0
		}
		if goes {
			right = append(right, r)
		} else {
			left = append(left, r)
		}
	}
	return left, right
}

// leaves returns the leaves of the tree.
func (p *plainTree) leaves(most int) []plainNode {
	rows := make([]int, len(p.g))
	for i := range rows {
		rows[i] = i
	}
	open := []plainNode{{rows: rows, least: math.Inf(-1), most: math.Inf(1)}}
	for len(open) < most {
		at, best := 0, plainSplit{}
		for i, n := range open {
			if s := p.best(n); s.gain > best.gain {
				at, best = i, s
			}
		}
		if best.gain == 0 {
			break
		}
		l, r := p.children(open[at], best.test)
		open[at] = l
		open = append(open, r)
	}
	return open
}

func (p *plainTree) children(n plainNode, t test) (l, r plainNode) {
	l, r = n, n
	l.rows, r.rows = p.divide(t, n.rows)
	l.way = append(slices.Clone(n.way), t.input)
	r.way = l.way
	if p.s.monotone != nil {
		mid := p.output(n, l.rows)/2 + p.output(n, r.rows)/2
		switch p.s.monotone[t.input] {
		case 1:
			l.most, r.least = mid, mid
		case -1:
			l.least, r.most = mid, mid
		}
	}
	return l, r
}

func TestSameTreesAsThePlainTrainer(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		seed := rapid.Uint64().Draw(t, "seed")
		rng := rand.New(rand.NewPCG(seed, 1))
		n := 1 + rng.IntN(200)
		width := 1 + rng.IntN(12)
		p := &plainTree{}
		for range width {
			lv := rng.IntN(3) == 0
			bins := 2 + rng.IntN(30)
			if !lv && rng.IntN(3) == 0 {
				bins = 200
			}
			col := make([]uint8, n)
			lowest := rng.IntN(2) // 0: some missing
			for i := range col {
				col[i] = uint8(lowest + rng.IntN(bins-lowest))
			}
			p.cols, p.bins, p.levels = append(p.cols, col), append(p.bins, bins), append(p.levels, lv)
		}
		s := &searcher{bins: p.bins, levels: p.levels, use: make([]bool, width)}
		for i := range s.use {
			s.use[i] = true
		}
		s.l1, s.l2 = float64(rng.IntN(2))*0.3, float64(rng.IntN(3))
		s.minRows, s.minHessian = float64(rng.IntN(12)), 0.1*float64(rng.IntN(4))
		s.unitG, s.unitH = 1.0/(1<<18), 1.0/(1<<18)
		gh := make([]int64, n)
		for i := range gh {
			g, h := int32(rng.IntN(1<<19)-1<<18), uint32(1+rng.IntN(1<<16))
			gh[i] = pack(g, h)
			p.g, p.h = append(p.g, float64(g)), append(p.h, float64(h))
		}
		p.s = s
		if rng.IntN(2) == 0 {
			p.limit(rng)
		}
		leaves := 2 + rng.IntN(12)
		threads := 1 + rng.IntN(3)
		gang := newGang(crew(threads))
		defer gang.end()
		grower := newGrower(newMatrix(p.cols, n, crew(threads)), gh, leaves, gang)
		rows := make([]uint32, n)
		for i := range rows {
			rows[i] = uint32(i)
		}
		tr := grower.grow(s, rows)
		got := map[int][]int{}
		for r := range n {
			leaf := tr.leafIn(grower.m, r)
			got[leaf] = append(got[leaf], r)
		}
		want := p.leaves(leaves)
		if len(want) != len(grower.open) {
			t.Fatalf("%d leaves, want %d", len(grower.open), len(want))
		}
		for _, node := range want {
			rows := node.rows
			leaf := tr.leafIn(grower.m, rows[0])
			if !slices.Equal(got[leaf], rows) {
				t.Fatalf("leaf %d holds rows %v, want %v; limits %v, %v", leaf, got[leaf], rows, s.monotone, p.together)
			}
			out := p.output(node, rows)
			if math.Abs(tr[leaf].value-out) > 1e-12 || int(tr[leaf].rows) != len(rows) {
				t.Fatalf("leaf %d: value %v of %d rows, want %v of %d", leaf, tr[leaf].value, tr[leaf].rows, out, len(rows))
			}
		}
	})
}

// limit binds some inputs and keeps some apart.
func (p *plainTree) limit(rng *rand.Rand) {
	p.s.monotone = make([]int8, len(p.cols))
	for in := range p.cols {
		if !p.levels[in] {
			p.s.monotone[in] = int8(rng.IntN(3) - 1)
		}
	}
	if rng.IntN(2) == 0 {
		return
	}
	p.s.sets = make([][]uint64, len(p.cols))
	for in := range p.s.sets {
		p.s.sets[in] = make([]uint64, 2)
	}
	for set := range 70 {
		var inputs []int32
		for in := range p.cols {
			if rng.IntN(max(len(p.cols)/2, 1)) == 0 {
				inputs = append(inputs, int32(in))
				p.s.sets[in][set/64] |= 1 << (set % 64)
			}
		}
		p.together = append(p.together, inputs)
		if set > 2 && rng.IntN(4) > 0 {
			break
		}
	}
}

func TestHistogramIsTheDumbSum(t *testing.T) {
	rng := rand.New(rand.NewPCG(4, 4))
	for _, width := range []int{1, 8, 9, 31, 64, 75} {
		n := parallelRows + 77
		cols := make([][]uint8, width)
		for j := range cols {
			cols[j] = make([]uint8, n)
			for i := range cols[j] {
				cols[j][i] = uint8(rng.Uint32())
			}
		}
		gh := make([]int64, n)
		var rows []uint32
		for i := range gh {
			gh[i] = pack(int32(rng.IntN(2001)-1000), uint32(rng.IntN(1000)))
			if rng.IntN(5) > 0 {
				rows = append(rows, uint32(i))
			}
		}
		want := make([]int64, width*cells)
		for _, r := range rows {
			for j := range cols {
				want[j*cells+int(cols[j][r])] += gh[r]
			}
		}
		for _, c := range []crew{1, 3} {
			gang := newGang(c)
			g := newGrower(newMatrix(cols, n, c), gh, 2, gang)
			got := g.histogram()
			g.m.build(got, rows, gh, gang, g.spare)
			gang.end()
			if !slices.Equal(got, want) {
				t.Errorf("%d columns, %d goroutines: other sums", width, c)
			}
		}
	}
}

// The sum over any rows stays within its half of the word: the sum of all
// gradients' magnitudes below 1<<31, of all hessians below 1<<32.
func TestSumsCannotOverflow(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		n := rapid.IntRange(1, 3000).Draw(t, "n")
		rng := rand.New(rand.NewPCG(rapid.Uint64().Draw(t, "seed"), 1))
		spread := rapid.Float64Range(0, 40).Draw(t, "spread")
		rows := &sample{y: make([]float64, n), w: make([]float64, n)}
		b := &booster{Learner: Learner{Threads: 2}, rows: rows, gh: make([]int64, n), score: make([]float64, n), search: &searcher{}}
		for i := range n {
			rows.y[i] = float64(rng.IntN(2))
			rows.w[i] = math.Exp(spread * rng.NormFloat64() / 8)
			b.score[i] = spread * rng.NormFloat64()
		}
		b.of = byRow{LogLoss{}, rows}
		b.of.derive(b.gh, b.score, 2)
		if !b.scale() {
			t.Skip("nothing to learn")
		}
		var g, h, worst float64
		for i, v := range b.gh {
			g += math.Abs(gradOf(v))
			h += float64(hessOf(v))
			p := chance.link(b.score[i])
			wantG, wantH := p-rows.y[i], p*(1-p)
			errG := math.Abs(gradOf(v)*b.search.unitG-wantG*rows.w[i]) - 1e-6*rows.w[i]
			errH := math.Abs(float64(hessOf(v))*b.search.unitH-wantH*rows.w[i]) - 1e-6*rows.w[i]
			worst = max(worst, errG/b.search.unitG, errH/b.search.unitH)
		}
		if g > math.MaxInt32 || h > math.MaxUint32 {
			t.Fatalf("sums %v and %v do not fit", g, h)
		}
		if worst > 0.5 {
			t.Fatalf("a row is off by %v units", worst)
		}
	})
}

// All rows pull one way as hard as they can: the sums come as close to the edge
// as they may and do not step over it.
func TestSumsAtTheEdge(t *testing.T) {
	for _, n := range []int{1, 2, 3, 7, 4095, 4097, 100_003} {
		for _, sign := range []float64{-1, 1} {
			b := &booster{Learner: Learner{Threads: 2}, gh: make([]int64, n), search: &searcher{}}
			rows := make([]uint32, n)
			for i := range b.gh {
				b.gh[i], rows[i] = derivatives(sign*0.3, 0.7), uint32(i)
			}
			if !b.scale() {
				t.Fatal("nothing to learn")
			}
			m := newMatrix([][]uint8{make([]uint8, n)}, n, 1)
			hist := make([]int64, cells)
			m.build(hist, rows, b.gh, newGang(1), nil)
			g, h := gradOf(hist[0]), float64(hessOf(hist[0]))
			room := float64(n) + 0.5*float64(n)
			if sign*g > math.MaxInt32 || sign*g < math.MaxInt32-room || h > math.MaxUint32 || h < math.MaxUint32-room {
				t.Errorf("%d rows pulling by %v: sums %v and %v", n, sign, g, h)
			}
			if per := g * b.search.unitG / float64(n); math.Abs(per-sign*0.3) > 1e-4 {
				t.Errorf("%d rows pulling by %v: %v each", n, sign, per)
			}
		}
	}
}

// Walking the trees by raw values gives the bits of every way to score.
func TestScoringIsTheDumbWalk(t *testing.T) {
	rng := rand.New(rand.NewPCG(2, 2))
	n := 3000
	tab := &models.Table{X: make([][]float64, 5), Columns: []models.Column{{Name: "a"}, {Name: "b"}, {Name: "c", Kind: models.Category}, {Name: "d", Kind: models.Category}, {Name: "e"}}}
	for range n {
		row := []float64{rng.NormFloat64(), float64(rng.IntN(9)), float64(rng.IntN(8)), float64(rng.IntN(300)), rng.ExpFloat64()}
		s := row[0] + math.Sin(row[1]*row[3]) + math.Cos(7*row[2]) + math.Sin(row[3])
		for j := range row {
			if rng.IntN(9) == 0 {
				row[j] = math.NaN()
			}
			tab.X[j] = append(tab.X[j], row[j])
		}
		tab.Y = append(tab.Y, float64(b2i(s+rng.NormFloat64() > 0)))
	}
	model, err := Learner{Trees: 53}.Fit(context.Background(), tab, nil, 1)
	if err != nil {
		t.Fatal(err)
	}
	m := model.(*Model)
	for j := range tab.X {
		for i := range 500 {
			tab.X[j][i] = []float64{-1e9, 1e9, 1234, 0}[rng.IntN(4)]
		}
	}
	for _, size := range []int{1, 2, 7, 8, 9, 64, 101} {
		rows, dst := make([]float64, 5*size), make([]float64, size)
		for at := 0; at+size <= n; at += 7 * size {
			for k := range size {
				tab.Row(rows[5*k:5*k+5], at+k)
			}
			m.PredictRows(dst, rows)
			for k, got := range dst {
				if want := dumbWalk(m, rows[5*k:5*k+5]); got != want {
					t.Fatalf("row %d of %d: %v, want %v", k, size, got, want)
				}
			}
		}
	}
	kinds := map[inputKind]bool{}
	for _, in := range m.enc.inputs {
		kinds[in.kind] = true
	}
	if len(kinds) != 4 {
		t.Errorf("the model uses kinds %v of input: the test does not see all", kinds)
	}
}

// What a row with a time is told of its category does not depend on rows after it.
func TestStatisticsKnowNothingLater(t *testing.T) {
	const n, levels = 400, 60
	rng := rand.New(rand.NewPCG(1, 5))
	tab := &models.Table{Columns: []models.Column{{Name: "city", Kind: models.Category}}, X: [][]float64{nil}}
	for i := range n {
		tab.X[0] = append(tab.X[0], models.Code(fmt.Sprint(rng.IntN(levels))))
		tab.Y = append(tab.Y, float64(rng.IntN(2)))
		tab.At, tab.Known = append(tab.At, int64(i)), append(tab.Known, int64(i+rng.IntN(50)))
	}
	told := func(rows int) (rates, counts []float64) {
		s, err := newSample(&models.Table{Columns: tab.Columns, X: [][]float64{tab.X[0][:rows]}, Y: tab.Y[:rows], At: tab.At[:rows], Known: tab.Known[:rows]}, true)
		if err != nil {
			t.Fatal(err)
		}
		of, err := LogLoss{}.begin(s)
		if err != nil {
			t.Fatal(err)
		}
		return newPlanner(Learner{Targets: Targets{Strength: 10}}, s, of, 1).fitRates(&stat{a: 0, b: -1, prior: 0.5})
	}
	rates, counts := told(n)
	earlyRates, earlyCounts := told(n / 2)
	if !slices.Equal(rates[:n/2], earlyRates) || !slices.Equal(counts[:n/2], earlyCounts) {
		t.Error("later rows changed what earlier ones are told")
	}
	if slices.Max(counts) < 3 || slices.Min(rates) == slices.Max(rates) {
		t.Errorf("at most %v outcomes, rates from %v to %v: nothing is told", slices.Max(counts), slices.Min(rates), slices.Max(rates))
	}
}

// What a model looks at need not fit on the stack, neither of a row nor of a pair.
func TestMoreInputsThanTheStackHolds(t *testing.T) {
	const width, rows = 2000, lanes + 3
	rng := rand.New(rand.NewPCG(1, 1))
	m := deepModel(rng, width, slices.Repeat([]int{20}, 150)...)
	factor, ok := m.Factor(slices.Repeat([]uint8{sidePair}, width))
	if !ok || m.scorer.slots <= stackInputs || factor.(*factored).pairs <= stackPairs {
		t.Fatalf("%d inputs, factored %v: not much of a test", m.scorer.slots, ok)
	}
	x, got, byParts := deepRows(rng, rows*width), make([]float64, rows), make([]float64, rows)
	m.PredictRows(got, x)
	of, candidates := make([]uint64, factor.Words()), make([][]uint64, rows)
	factor.Reach(of, sideCase, nil)
	for i := range candidates {
		candidates[i] = make([]uint64, factor.Words())
		factor.Reach(candidates[i], sideCandidate, nil)
	}
	factor.Scores(byParts, of, candidates, x)
	for i := range got {
		if want := dumbWalk(m, x[i*width:(i+1)*width]); got[i] != want || byParts[i] != want {
			t.Errorf("row %d: %v, by parts %v, want %v", i, got[i], byParts[i], want)
		}
	}
}

func dumbWalk(m *Model, row []float64) float64 {
	var sum [4]float64
	for tree, t := range m.trees {
		i := uint32(0)
		for t[i].kid != 0 {
			n := t[i]
			in := m.enc.inputs[n.test.input]
			var x float64
			level := -1
			if in.kind == numeric {
				x = row[in.col]
			} else {
				s := &m.enc.stats[in.stat]
				k := target.Key(row[s.a])
				if s.b >= 0 {
					k = target.Pair(k, target.Key(row[s.b]))
				}
				level = slices.Index(s.keys, k)
				c := target.Counter{}
				if in.kind != levels && level >= 0 {
					c = s.counters[level]
				}
				x, _ = target.Shrink(c, s.prior, s.strength)
				if in.kind == count {
					x = c.N
				}
			}
			right := false
			switch {
			case in.kind == levels:
				right = n.test.mask>>(level+1)&1 == 1
			case math.IsNaN(x):
				right = n.test.missingRight
			case int(n.test.bin) <= len(in.cuts):
				right = x > in.cuts[n.test.bin-1]
			}
			i = n.kid
			if right {
				i++
			}
		}
		sum[tree%4] += t[i].value
	}
	return m.loss.link(m.base + ((sum[0] + sum[1]) + (sum[2] + sum[3])))
}

func b2i(b bool) int {
	if b {
		return 1
	}
	return 0
}

func TestCuts(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		x := rapid.SliceOfN(rapid.OneOf(
			rapid.Float64Range(-5, 5),
			rapid.Map(rapid.IntRange(-20, 20), func(i int) float64 { return float64(i) }),
			rapid.SampledFrom([]float64{math.NaN(), math.MaxFloat64, -math.MaxFloat64, 5e-324, 0})), 1, 400).Draw(t, "x")
		most := rapid.IntRange(2, 255).Draw(t, "bins")
		cuts := cutsOf(models.InputsOf([][]float64{x}), 0, most)
		if len(cuts) >= most {
			t.Fatalf("%d cuts make more than %d bins", len(cuts), most)
		}
		distinct := map[float64]bool{}
		used := map[uint8]bool{}
		for _, v := range x {
			b := int(binOf(cuts, v))
			want := 0
			if v == v {
				distinct[v] = true
				used[uint8(b)] = true
				want = 1
				for _, c := range cuts {
					want += b2i(c < v)
				}
			}
			if b != want {
				t.Fatalf("%v falls into bin %d of %v, want %d", v, b, cuts, want)
			}
		}
		if len(distinct) <= most && len(used) != len(distinct) {
			t.Fatalf("%d distinct values in %d bins of %d", len(distinct), len(used), most)
		}
		if len(used) != len(cuts)+b2i(len(distinct) > 0) {
			t.Fatalf("%d cuts, but %d bins have values", len(cuts), len(used))
		}
		var lanesOut [lanes]uint8
		if len(x) >= lanes {
			binLanes(&lanesOut, cuts, x, 1)
			for r, b := range lanesOut {
				if b != binOf(cuts, x[r]) {
					t.Fatalf("lane %d: bin %d, want %d", r, b, binOf(cuts, x[r]))
				}
			}
		}
	})
}

// Whole columns are binned as single numbers are, by a grid or without.
func TestColumnsAreBinnedAsNumbers(t *testing.T) {
	rng := rand.New(rand.NewPCG(7, 7))
	n, grids := gridRows+5, 0
	for name, draw := range map[string]func() float64{
		"normal":     rng.NormFloat64,
		"few":        func() float64 { return float64(rng.IntN(7)) },
		"two":        func() float64 { return float64(rng.IntN(2)) },
		"repeating":  func() float64 { return float64(rng.IntN(300)) - 150 },
		"crowded":    func() float64 { return math.Exp(30 * rng.NormFloat64()) },
		"huge":       func() float64 { return math.MaxFloat64 * (2*rng.Float64() - 1) },
		"tiny":       func() float64 { return 5e-324 * float64(rng.IntN(900)) },
		"both zeros": func() float64 { return math.Copysign(float64(rng.IntN(2)), rng.NormFloat64()) },
	} {
		x := make([]float64, n)
		for i := range x {
			if x[i] = draw(); rng.IntN(20) == 0 {
				x[i] = math.NaN()
			}
		}
		cuts := cutsOf(models.InputsOf([][]float64{x}), 0, maxBins)
		x = append(append(x, cuts...), math.MaxFloat64, -math.MaxFloat64, 0)
		got := binColumn(cuts, models.InputsOf([][]float64{x}), 0)
		for i, v := range x {
			if want := binOf(cuts, v); got[i] != want {
				t.Fatalf("%s: %v falls into bin %d, want %d", name, v, got[i], want)
			}
		}
		grids += b2i(newGrid(cuts) != nil)
	}
	if grids < 4 || grids > 7 {
		t.Errorf("%d of 8 columns have a grid: the test does not see both ways", grids)
	}
}

func TestSortedByDigits(t *testing.T) {
	rng := rand.New(rand.NewPCG(8, 8))
	x := make([]float64, radixFrom+9)
	for i := range x {
		x[i] = rng.NormFloat64() * math.Exp(200*rng.NormFloat64())
	}
	copy(x, []float64{0, math.MaxFloat64, -math.MaxFloat64, 5e-324, -5e-324, 1, 1})
	want := slices.Clone(x)
	slices.Sort(want)
	if sortNumbers(x); !slices.Equal(x, want) {
		t.Error("not in order")
	}
}
