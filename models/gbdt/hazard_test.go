package gbdt

import (
	"bytes"
	"context"
	"math"
	"math/rand/v2"
	"slices"
	"testing"

	"pgregory.net/rapid"

	"bellwether/models"
)

// endings is a random table of cases, of two risks or of one, some still open at
// the end, with weights; x0 and x1 are numbers with holes, x2 a category.
func endings(rng *rand.Rand, n, risks int) (*models.Table, Hazard) {
	const until = 1000
	t := &models.Table{Columns: []models.Column{{Name: "x0"}, {Name: "x1"}, {Name: "x2", Kind: models.Category}}, X: make([][]float64, 3), Until: until}
	for range n {
		a, b, c := float64(rng.IntN(12)), rng.NormFloat64(), float64(rng.IntN(5))
		at := int64(rng.IntN(until))
		ended := at + 1 + int64(rng.ExpFloat64()*60*math.Exp(math.Sin(a)/2))
		y := float64(b2i(rng.Float64() < 1/(1+math.Exp(-math.Sin(a)-b-math.Sin(c)))))
		if rng.IntN(9) == 0 {
			a = math.NaN()
		}
		t.X[0], t.X[1], t.X[2] = append(t.X[0], a), append(t.X[1], b), append(t.X[2], c)
		t.At, t.Known, t.Y = append(t.At, at), append(t.Known, ended), append(t.Y, y)
		t.Weight = append(t.Weight, 0.5+rng.Float64())
	}
	if risks == 1 {
		return lastingTable(t, 100), Hazard{Ages: []int64{20, 50, 100}}
	}
	return t, Hazard{Ages: []int64{20, 50, 100}}
}

// eachBucket calls f for each bucket that the row was watched in, with how the
// case ended there: the output of it, or -1.
func eachBucket(t *models.Table, ages []int64, i int, f func(bucket, ended int)) {
	for b, age := range ages {
		ended := -1
		switch {
		case t.Horizon == 0 && t.Known[i] <= t.Until && t.Known[i]-t.At[i] <= age:
			ended = 2*b + int(1-t.Y[i])
		case t.Horizon != 0 && !(t.Y[i] == 1 && t.Known[i] <= t.Until) && t.Ended[i] <= t.Until && t.Ended[i]-t.At[i] <= age:
			ended = b
		}
		if t.At[i]+age > t.Until {
			return
		}
		f(b, ended)
		if ended >= 0 {
			return
		}
	}
}

// The steps of a first tree are those found by hand, whatever base it starts from
// and whichever way it must go.
func TestFirstTreeOfHazardsByHand(t *testing.T) {
	bound := 0
	rapid.Check(t, func(t *rapid.T) {
		rng := rand.New(rand.NewPCG(rapid.Uint64().Draw(t, "seed"), 3))
		risks := rapid.IntRange(1, 2).Draw(t, "risks")
		tab, o := endings(rng, 300, risks)
		base := make([]float64, risks*len(o.Ages))
		for k := range base {
			base[k] = rng.NormFloat64() - 1
		}
		ways := []int8{int8(rng.IntN(3) - 1), int8(rng.IntN(3) - 1), 0}
		l := Learner{Objective: o, Trees: 1, Leaves: 6, LearningRate: 1, L2: -1, Base: base, Limits: Limits{Monotone: ways}, Targets: Targets{Pairs: -1}}
		got, err := l.Fit(context.Background(), tab, nil, 1)
		if err != nil {
			t.Fatal(err)
		}
		m := got.(*Model)
		h := byHand{t, tab, m, o.Ages, base, ways, m.enc.binsOf(tab.Inputs(), 1)}
		bound += h.check(0, seq(tab.Len()), slices.Repeat([]bounds{unbound}, len(base)))
	})
	if bound < 20 {
		t.Errorf("only %d steps were held back", bound)
	}
}

// byHand follows the first tree of a model with the rows it was grown of.
type byHand struct {
	t    *rapid.T
	tab  *models.Table
	m    *Model
	ages []int64
	base []float64
	ways []int8
	bins [][]uint8
}

// check compares the steps of the leaves under a node, and returns how many are
// held back by a limit.
func (h *byHand) check(node int, rows []int, within []bounds) (bound int) {
	n := h.m.trees[0][node]
	if n.kid == 0 {
		steps := h.m.hazards.steps[0][h.m.trees[0].leavesBefore()[node]*len(h.base):]
		for k, free := range h.step(rows) {
			want := max(within[k].least, min(within[k].most, free))
			if math.Abs(steps[k]-want) > 1e-9*max(1, math.Abs(want)) {
				h.t.Fatalf("leaf %d of %d rows: output %d steps by %v, want %v", node, len(rows), k, steps[k], want)
			}
			bound += b2i(want != free)
		}
		return bound
	}
	var side [2][]int
	for _, r := range rows {
		k := n.test.right(h.bins[n.test.input][r])
		side[k] = append(side[k], r)
	}
	low, high := slices.Clone(within), slices.Clone(within) // of the left, of the right
	a, b := h.step(side[0]), h.step(side[1])
	for k, w := range within {
		mid := (max(w.least, min(w.most, a[k])) + max(w.least, min(w.most, b[k]))) / 2
		way := 0
		if in := h.m.enc.inputs[n.test.input]; in.kind == numeric {
			way = int(h.ways[in.col])
		}
		if h.tab.Horizon != 0 || k%2 == 1 {
			way = -way
		}
		switch way {
		case 1:
			low[k].most, high[k].least = mid, mid
		case -1:
			low[k].least, high[k].most = mid, mid
		}
	}
	return h.check(int(n.kid), side[0], low) + h.check(int(n.kid)+1, side[1], high)
}

// step is Newton's of each output over the rows, from the base.
func (h *byHand) step(rows []int) []float64 {
	causes := len(h.base) / len(h.ages)
	g, hess := make([]float64, len(h.base)), make([]float64, len(h.base))
	for _, i := range rows {
		eachBucket(h.tab, h.ages, i, func(b, ended int) {
			total := 1.0
			for _, s := range h.base[causes*b:][:causes] {
				total += math.Exp(s)
			}
			for k := causes * b; k < causes*(b+1); k++ {
				p := math.Exp(h.base[k]) / total
				g[k] += h.tab.Weight[i] * (p - float64(b2i(k == ended)))
				hess[k] += h.tab.Weight[i] * p * (1 - p)
			}
		})
	}
	for k := range g {
		if hess[k] > 0 {
			g[k] /= -hess[k]
		}
	}
	return g
}

// To start from a base is to go on from a model that says it of every row.
func TestBaseIsAModelWithoutTrees(t *testing.T) {
	tab, o := endings(rand.New(rand.NewPCG(1, 1)), 2000, 2)
	l := Learner{Objective: o, Trees: 10, Leaves: 7, Base: []float64{-1, -2, -0.5, -1.5, -3, 0.3}}
	from := &Model{width: tab.Width(), enc: &encoder{}, scorer: &scorer{}, loss: ending, hazards: &hazards{ages: o.Ages, causes: 2, base: l.Base}}
	based := fitTable(t, l, tab)
	l.Base, l.From = nil, from
	shifted := fitTable(t, l, tab)
	for k, steps := range based.hazards.steps {
		for i, step := range steps {
			if step != shifted.hazards.steps[k][i] {
				t.Fatalf("tree %d: step %d is %v, from shifted scores %v", k, i, step, shifted.hazards.steps[k][i])
			}
		}
	}
	l.From = nil
	own := fitTable(t, l, tab)
	l.Base = own.hazards.base
	if !bytes.Equal(bytesOfModel(t, own), bytesOfModel(t, fitTable(t, l, tab))) {
		t.Error("the best base is another than none")
	}
}

// Of two rows that differ in a bound column alone, the one the limit favours is not
// less likely to be won by any age, nor more to be lost; the scores say so to the
// last bit. The model proves it too.
func TestMonotoneHazards(t *testing.T) {
	moved := map[int]int{} // risks to how often the chances of two such rows differed
	rapid.Check(t, func(t *rapid.T) {
		rng := rand.New(rand.NewPCG(rapid.Uint64().Draw(t, "seed"), 4))
		risks := rapid.IntRange(1, 2).Draw(t, "risks")
		ways := []int8{int8(rng.IntN(3) - 1), int8(rng.IntN(3) - 1), 0}
		tab, o := endings(rng, 400, risks)
		l := Learner{Objective: o, Trees: 12, Leaves: rapid.IntRange(2, 20).Draw(t, "leaves"), MinRows: 5, LearningRate: 0.3, Limits: Limits{Monotone: ways}}
		got, err := l.Fit(context.Background(), tab, nil, 1)
		if err != nil {
			t.Fatal(err)
		}
		m := got.(*Model)
		for col, way := range ways {
			if way == 0 {
				continue
			}
			if up, down := m.Monotone(col); way > 0 && !up || way < 0 && !down {
				t.Fatalf("column %d goes way %d: proved are %v, %v", col, way, up, down)
			}
			for range 30 {
				moved[risks] += b2i(checkWay(t, m, tab, rng, col, way))
			}
		}
	})
	if moved[1] < 50 || moved[2] < 50 {
		t.Errorf("chances that moved, by risks: %v", moved)
	}
}

// checkWay compares a row with itself further on in a column, and reports whether
// the chances differ.
func checkWay(t *rapid.T, m *Model, tab *models.Table, rng *rand.Rand, col int, way int8) bool {
	n := len(m.Ages())
	low, high := make([]float64, 3), make([]float64, 3)
	tab.Row(low, rng.IntN(tab.Len()))
	tab.Row(high, rng.IntN(tab.Len()))
	from, to := min(low[col], high[col]), max(low[col], high[col])
	if math.IsNaN(from) {
		return false
	}
	copy(high, low)
	low[col], high[col] = from, to
	if way < 0 {
		low, high = high, low
	}
	worse, better := dumbScores(m, low), dumbScores(m, high)
	for k := range worse {
		if worse[k] > better[k] {
			t.Fatalf("column %d from %v to %v: score %d goes from %v to %v", col, from, to, k, worse[k], better[k])
		}
	}
	var won, lost [2][]float64
	for i, row := range [][]float64{low, high} {
		won[i], lost[i] = make([]float64, n), make([]float64, n)
		m.Incidence(won[i], lost[i], row)
	}
	for b := range n {
		if won[0][b] > won[1][b]+1e-12 || lost[0][b] < lost[1][b]-1e-12 {
			t.Fatalf("column %d from %v to %v: won %v and %v, lost %v and %v", col, from, to, won[0], won[1], lost[0], lost[1])
		}
	}
	return lost[0][n-1] != lost[1][n-1]
}

// A limit that is true costs next to nothing, the opposite one all that the column
// tells.
func TestTrueLimitsOfHazardsCostNothing(t *testing.T) {
	for risks := 1; risks <= 2; risks++ {
		rng := rand.New(rand.NewPCG(7, 7))
		tab := &models.Table{Columns: []models.Column{{Name: "x"}, {Name: "noise"}}, X: make([][]float64, 2), Until: 1000}
		for range 4000 {
			x, at := rng.NormFloat64(), rng.Int64N(1000)
			tab.X[0], tab.X[1] = append(tab.X[0], x), append(tab.X[1], rng.NormFloat64())
			tab.At, tab.Known = append(tab.At, at), append(tab.Known, at+1+rng.Int64N(120))
			tab.Y = append(tab.Y, float64(b2i(rng.Float64() < 1/(1+math.Exp(-2*x)))))
		}
		if risks == 1 {
			tab = lastingTable(tab, 100)
		}
		loss := func(way int8) (last float64) {
			l := Learner{Objective: Hazard{Ages: []int64{20, 50, 100}}, Trees: 40, Leaves: 6, EarlyStop: -1, LearningRate: 0.1, Limits: Limits{Monotone: []int8{way, 0}}}
			l.Progress = func(_ int, loss, _ float64) { last = loss }
			fitTable(t, l, tab)
			return last
		}
		free, right, wrong := loss(0), loss(1), loss(-1)
		t.Logf("%d risks: loss %.4f free, %.4f bound as it is, %.4f the other way", risks, free, right, wrong)
		if right > free+0.01 || wrong < free+0.1 {
			t.Errorf("%d risks: loss %v free, %v bound as it is, %v the other way", risks, free, right, wrong)
		}
	}
}
