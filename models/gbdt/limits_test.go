package gbdt

import (
	"context"
	"math"
	"math/rand/v2"
	"slices"
	"testing"

	"pgregory.net/rapid"

	"bellwether/models"
)

// waves is a table whose label goes up and down with every column.
func waves(n int, seed uint64) *models.Table {
	rng := rand.New(rand.NewPCG(seed, 8))
	t := &models.Table{Columns: []models.Column{{Name: "a"}, {Name: "b"}, {Name: "c"}, {Name: "k", Kind: models.Category}}, X: make([][]float64, 4)}
	for range n {
		s := 0.0
		for j := range 3 {
			x := 3 * rng.NormFloat64()
			s += math.Sin(x) + x/4
			if rng.IntN(8) == 0 {
				x = math.NaN()
			}
			t.X[j] = append(t.X[j], x)
		}
		k := rng.IntN(50)
		t.X[3] = append(t.X[3], float64(k))
		s += math.Sin(float64(k))
		t.Y = append(t.Y, float64(b2i(rng.Float64() < 1/(1+math.Exp(-s)))))
	}
	return t
}

func TestMonotoneIsKeptAndProved(t *testing.T) {
	tab := waves(3000, 1)
	for _, o := range []Objective{LogLoss{}, SquaredError{}, Poisson{}} {
		m := fitTable(t, Learner{Objective: o, Trees: 40, LearningRate: 0.2, Limits: Limits{Monotone: []int8{1, -1, 0, 0}}}, tab)
		for col, want := range [][2]bool{{true, false}, {false, true}, {false, false}} {
			if up, down := m.Monotone(col); up != want[0] || down != want[1] {
				t.Errorf("%T, column %d: never falls %v, never rises %v, want %v", o, col, up, down, want)
			}
		}
		if up, down := m.Monotone(3); up || down {
			t.Errorf("%T: an order of categories is proved", o)
		}
		row, p := make([]float64, 4), make([]float64, 1)
		for i := range 200 {
			for col, way := range []float64{1, -1} {
				tab.Row(row, i)
				before := math.Inf(-1)
				for x := -9.0; x < 9; x += 0.37 {
					row[col] = x
					m.PredictRows(p, row)
					if way*p[0] < before {
						t.Fatalf("%T: column %d, row %d: the answer goes the wrong way at %v", o, col, i, x)
					}
					before = way * p[0]
				}
			}
		}
	}
	if up, down := fitTable(t, Learner{Trees: 40}, tab).Monotone(0); up || down {
		t.Error("an order is proved of a model that keeps none")
	}
	unasked := fitTable(t, Learner{Trees: 1, Leaves: 2, Targets: Targets{Pairs: -1}}, tab)
	orders := 0
	for col := range 3 {
		if up, down := unasked.Monotone(col); up && down {
			orders++
		}
	}
	if orders != 2 && orders != 3 {
		t.Errorf("%d columns of three are asked for by one test", 3-orders)
	}
}

// A bound column of few numbers is not taken for a category, nor into a pair.
func TestBoundColumnsMakeNoStatistics(t *testing.T) {
	rng := rand.New(rand.NewPCG(3, 3))
	tab := &models.Table{Columns: []models.Column{{Name: "n"}, {Name: "k", Kind: models.Category}}, X: make([][]float64, 2)}
	for range 6000 {
		n, k := rng.IntN(60), rng.IntN(60)
		tab.X[0], tab.X[1] = append(tab.X[0], float64(n)), append(tab.X[1], float64(k))
		tab.Y = append(tab.Y, float64(uint32(n*61+k)*2654435761>>31))
	}
	uses := func(l Limits) bool {
		m := fitTable(t, Learner{Trees: 20, Limits: l}, tab)
		return slices.ContainsFunc(m.enc.stats, func(s stat) bool { return s.a == 0 || s.b == 0 })
	}
	if !uses(Limits{}) || uses(Limits{Monotone: []int8{1, 0}}) {
		t.Errorf("statistics of a free column %v, of a bound one %v", uses(Limits{}), uses(Limits{Monotone: []int8{1, 0}}))
	}
	l := Limits{Together: [][]int{{0, 1}, {1, 2}}}
	if !l.pairs(0, 1) || l.pairs(0, 2) || !l.pairs(0, -1) || !(Limits{}).pairs(0, 2) {
		t.Error("pairs are not those that may meet")
	}
}

// The proof is right about each tree: it answers what trying every pair of rows
// on a grid that holds a point of every bin answers.
func TestProofIsTheDumbOne(t *testing.T) {
	agreed := [maxCauses + 1]map[[2]bool]int{{}, {}, {}}
	for risks, seen := range agreed { // 0: log loss
		rapid.Check(t, func(t *rapid.T) { checkProof(t, risks, seen) })
		if len(seen) < 2 {
			t.Errorf("%d risks: only %v were seen", risks, seen)
		}
	}
}

func checkProof(t *rapid.T, risks int, agreed map[[2]bool]int) {
	rng := rand.New(rand.NewPCG(rapid.Uint64().Draw(t, "seed"), 1))
	width := rapid.IntRange(1, 3).Draw(t, "width")
	tab := &models.Table{X: make([][]float64, width)}
	for j := range width {
		tab.Columns = append(tab.Columns, models.Column{Name: string(rune('a' + j))})
	}
	for range 120 {
		for j := range width {
			x := float64(rng.IntN(5))
			if rng.IntN(9) == 0 {
				x = math.NaN()
			}
			tab.X[j] = append(tab.X[j], x)
		}
		tab.Y = append(tab.Y, float64(rng.IntN(2)))
	}
	l := Learner{Trees: 1, Leaves: rapid.IntRange(2, 9).Draw(t, "leaves"), MinRows: -1, Targets: Targets{Pairs: -1}}
	if risks > 0 {
		tab, l.Objective = inOneBucket(tab, rng, risks), Hazard{Ages: []int64{10}}
	}
	m, err := l.Fit(context.Background(), tab, nil, 1)
	if err != nil {
		t.Skip(err)
	}
	up, down := m.(*Model).Monotone(0)
	wantUp, wantDown := dumbOrder(m.(*Model), width)
	agreed[[2]bool{up, down}]++
	if up != wantUp || down != wantDown {
		t.Fatalf("never falls %v, never rises %v, want %v and %v", up, down, wantUp, wantDown)
	}
}

// inOneBucket lets the cases of a table end within one bucket, or stay open.
func inOneBucket(tab *models.Table, rng *rand.Rand, risks int) *models.Table {
	tab.Until = 10
	for range tab.Y {
		tab.At, tab.Known = append(tab.At, 0), append(tab.Known, 5+rng.Int64N(8))
	}
	if risks == 1 {
		return lastingTable(tab, 10)
	}
	return tab
}

// dumbScores are the scores of a row that win, and those that lose, less than 0.
func dumbScores(m *Model, row []float64) []float64 {
	if m.hazards == nil {
		p := make([]float64, 1)
		m.PredictRows(p, row)
		return p
	}
	score := make([]float64, len(m.hazards.base))
	m.hazards.scoresOf(score, m.scorer, source{rows: row, width: m.width})
	for k := range score {
		if m.hazards.causes == 1 || k%2 == 1 {
			score[k] = -score[k]
		}
	}
	return score
}

// dumbOrder moves the first column through its values on a grid of the others.
func dumbOrder(m *Model, width int) (up, down bool) {
	up, down = true, true
	values := []float64{math.NaN(), 0, 1, 2, 3, 4}
	others := 1
	for range width - 1 {
		others *= len(values)
	}
	row := make([]float64, width)
	for o := range others {
		for j := 1; j < width; j++ {
			row[j] = values[o%len(values)]
			o /= len(values)
		}
		var last []float64
		for _, x := range values[1:] {
			row[0] = x
			scores := dumbScores(m, row)
			for k := range last {
				up, down = up && scores[k] >= last[k], down && scores[k] <= last[k]
			}
			last = scores
		}
	}
	return up, down
}

func TestTogetherIsKept(t *testing.T) {
	tab := waves(4000, 2)
	tab.Columns = append(tab.Columns, models.Column{Name: "l", Kind: models.Category})
	tab.X = append(tab.X, make([]float64, tab.Len()))
	for i := range tab.X[4] {
		tab.X[4][i] = float64(i % 6)
		if i%3 > 0 {
			tab.Y[i] = float64(uint32(tab.X[3][i]*6+tab.X[4][i]) * 2654435761 >> 31)
		}
	}
	together := [][]int{{0, 1}, {1, 3, 4}}
	m := fitTable(t, Learner{Trees: 60, Limits: Limits{Together: together}}, tab)
	met, pairs := 0, 0
	for _, tree := range m.trees {
		for _, way := range ways(tree, 0, nil) {
			columns := map[int]bool{}
			for _, in := range way {
				a, b := m.enc.inputs[in].columns(m.enc)
				columns[a] = true
				if b >= 0 {
					columns[b] = true
					pairs++
				}
			}
			ok := len(columns) <= 1
			for _, set := range together {
				inside := true
				for c := range columns {
					inside = inside && slices.Contains(set, c)
				}
				ok = ok || inside
			}
			if !ok {
				t.Fatalf("columns %v meet", columns)
			}
			met += b2i(len(columns) > 1)
		}
	}
	if met == 0 || pairs == 0 {
		t.Errorf("%d ways of several columns, %d pairs on them: the test sees nothing", met, pairs)
	}
}

// ways returns the inputs tested on the way to each leaf.
func ways(t tree, at uint32, way []int32) [][]int32 {
	n := t[at]
	if n.kid == 0 {
		return [][]int32{way}
	}
	way = append(slices.Clone(way), n.test.input)
	return append(ways(t, n.kid, way), ways(t, n.kid+1, way)...)
}

func TestLimitsRefused(t *testing.T) {
	tab := waves(60, 1)
	from := fitTable(t, Learner{Trees: 2}, tab)
	narrow := tab.Take(seq(60))
	narrow.X, narrow.Columns = narrow.X[:3], narrow.Columns[:3]
	zero := []float64{0}
	for name, c := range map[string]struct {
		l Learner
		t *models.Table
	}{
		"too few ways":            {Learner{Limits: Limits{Monotone: []int8{1}}}, tab},
		"a way of 2":              {Learner{Limits: Limits{Monotone: []int8{2, 0, 0, 0}}}, tab},
		"a way of a category":     {Learner{Limits: Limits{Monotone: []int8{0, 0, 0, 1}}}, tab},
		"a column outside":        {Learner{Limits: Limits{Together: [][]int{{0, 4}}}}, tab},
		"a base of NaN":           {Learner{Base: []float64{math.NaN()}}, tab},
		"two bases":               {Learner{Base: []float64{0, 1}}, tab},
		"another width":           {Learner{From: from}, narrow},
		"another objective":       {Learner{From: from, Objective: SquaredError{}}, tab},
		"a base of its own":       {Learner{From: from, Base: zero}, tab},
		"a share of rows above 1": {Learner{GradientFraction: 1.5}, tab},
	} {
		if m, err := c.l.Fit(context.Background(), c.t, nil, 1); err == nil || m != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
	tab, _ = labelled()
	for name, l := range map[string]Learner{
		"a base of one":       {Base: zero},
		"a base of NaN":       {Base: []float64{0, 0, 0, math.NaN()}},
		"gradient":            {GradientFraction: 0.5},
		"a base that is sure": {Base: []float64{-800, -1, -800, -1}},
	} {
		l.Objective = Hazard{Ages: []int64{600, 3600}}
		if m, err := l.Fit(context.Background(), tab, nil, 1); err == nil || m != nil {
			t.Errorf("hazard and %s: %v", name, err)
		}
	}
}
