package gbdt

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"math"
	"math/rand/v2"
	"slices"
	"testing"

	"pgregory.net/rapid"

	"bellwether/models"
	"bellwether/models/modeltest"
)

func loadModel(b []byte) (models.Model, error) {
	m, err := Load(b)
	if err != nil {
		return nil, err
	}
	return m, nil
}

// grouped fits with rows in groups of ten.
type grouped struct{ Learner }

func (l grouped) Fit(ctx context.Context, train, valid *models.Table, seed uint64) (models.Model, error) {
	return l.Learner.Fit(ctx, inTens(train), inTens(valid), seed)
}

func inTens(t *models.Table) *models.Table {
	if t == nil {
		return nil
	}
	u := *t
	u.Group = make([]int64, t.Len())
	for i := range u.Group {
		u.Group[i] = int64(i / 10)
	}
	return &u
}

func TestContractOfObjectives(t *testing.T) {
	l := Learner{Trees: 25, LearningRate: 0.12}
	for name, c := range map[string]struct {
		objective Objective
		options   []modeltest.Option
	}{
		"squared error": {SquaredError{}, []modeltest.Option{modeltest.Numbers()}},
		"poisson":       {Poisson{}, []modeltest.Option{modeltest.Numbers()}},
		"hazard":        {Hazard{Ages: []int64{30, 90}}, nil},
	} {
		t.Run(name, func(t *testing.T) {
			l.Objective = c.objective
			modeltest.Check(t, l, loadModel, append(c.options, modeltest.MinAUC(0.87))...)
		})
	}
	t.Run("rank", func(t *testing.T) {
		l.Objective = LambdaRank{}
		modeltest.Check(t, grouped{l}, loadModel, modeltest.Numbers(), modeltest.MinAUC(0.85))
	})
}

func TestLogarithm(t *testing.T) {
	for x := 1e-300; x < 1e300; x *= 1.0137 {
		if got, want := logarithm(x), math.Log(x); math.Abs(got-want) > 1e-15*max(math.Abs(want), 0.3) {
			t.Fatalf("log(%v) is %v, want %v", x, got, want)
		}
	}
	for x := 0.5; x < 2; x += 0.0003 {
		if got, want := logarithm(x), math.Log(x); math.Abs(got-want) > 4e-16 {
			t.Fatalf("log(%v) is %v, want %v", x, got, want)
		}
	}
}

func TestLesserIsTheSmallerProbability(t *testing.T) {
	for a := 0.0; a < 800; a += 0.0137 {
		want := 1 / (1 + math.Exp(a))
		if got := lesser(a); math.Abs(got-want) > 2e-11*want+1e-300 {
			t.Fatalf("%v: %v, want %v", a, got, want)
		}
	}
}

// The derivatives are those of the loss.
func TestDerivatives(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		rng := rand.New(rand.NewPCG(rapid.Uint64().Draw(t, "seed"), 1))
		n := rapid.IntRange(1, 9).Draw(t, "n")
		rows := &sample{y: make([]float64, n), at: make([]int64, n), known: make([]int64, n)}
		if rng.IntN(2) == 0 {
			rows.w = make([]float64, n)
		}
		for i := range n {
			rows.y[i] = float64(rng.IntN(2))
			rows.at[i] = int64(rng.IntN(50))
			rows.known[i] = rows.at[i] + int64(rng.IntN(60))
			if rows.w != nil {
				rows.w[i] = 0.1 + rng.Float64()
			}
		}
		for _, o := range []Objective{LogLoss{}, SquaredError{}, Poisson{}, Hazard{Ages: []int64{10, 20, 45}, Until: 70}} {
			of, err := o.begin(rows)
			if err != nil {
				t.Fatal(err)
			}
			checkDerivatives(t, of, rows, rng)
		}
	})
}

// checkDerivatives moves each row's score a little, along the way where there are
// many outputs.
func checkDerivatives(t *rapid.T, of fitting, rows *sample, rng *rand.Rand) {
	n, way := len(rows.y), []float64{1}
	if e, ok := of.(*ends); ok {
		e.aim(rng)
		way = e.way
	}
	score := make([]float64, n*len(way))
	for i := range score {
		score[i] = 2 * rng.NormFloat64()
	}
	gh := make([]int64, n)
	of.derive(gh, score, 2)
	total := 0.0
	for i := range n {
		total += rows.weight(i)
	}
	lossAt := func(row int, step float64) float64 {
		moved := slices.Clone(score)
		for k, v := range way {
			moved[row*len(way)+k] += step * v
		}
		return of.loss(moved, 2) * total
	}
	for i := range n {
		const d = 1e-3
		a, b, c := lossAt(i, -d), lossAt(i, 0), lossAt(i, d)
		wantG, wantH := (c-a)/(2*d), (a-2*b+c)/(d*d)
		g, h := derivativesOf(gh[i])
		if r, ok := of.(byRow); ok {
			switch r.rowLoss.(type) {
			case SquaredError: // whose loss is twice what is derived
				wantG, wantH = wantG/2, wantH/2
			case Poisson:
				wantH *= poissonStep
			}
		}
		if math.Abs(g-wantG) > 1e-4*max(1, math.Abs(wantG)) || math.Abs(h-wantH) > 1e-3*max(1, wantH) {
			t.Fatalf("%T, row %d: derivatives %v and %v, want %v and %v", of, i, g, h, wantG, wantH)
		}
	}
}

// steps is a table of one number, 0 to 3, and a label made of it.
func stepTable(n int, label func(x float64, rng *rand.Rand) float64) *models.Table {
	rng := rand.New(rand.NewPCG(5, 5))
	t := &models.Table{Columns: []models.Column{{Name: "x"}}, X: make([][]float64, 1)}
	for range n {
		x := float64(rng.IntN(4))
		t.X[0] = append(t.X[0], x)
		t.Y = append(t.Y, label(x, rng))
		t.Weight = append(t.Weight, 0.5+rng.Float64())
	}
	return t
}

// meansOf are the weighted means of the label by x.
func meansOf(t *models.Table) (mean [4]float64) {
	var n [4]float64
	for i, x := range t.X[0] {
		mean[int(x)] += t.Weight[i] * t.Y[i]
		n[int(x)] += t.Weight[i]
	}
	for x := range mean {
		mean[x] /= n[x]
	}
	return mean
}

func fitTable(tb testing.TB, l Learner, t *models.Table) *Model {
	tb.Helper()
	m, err := l.Fit(context.Background(), t, nil, 1)
	if err != nil {
		tb.Fatal(err)
	}
	return m.(*Model)
}

func TestClosedForms(t *testing.T) {
	for name, c := range map[string]struct {
		objective Objective
		trees     int
		table     *models.Table
	}{
		"squared error": {SquaredError{}, 1, stepTable(500, func(x float64, rng *rand.Rand) float64 { return 1e6 + 100*x*x + rng.NormFloat64() })},
		"poisson":       {Poisson{}, 200, stepTable(500, func(x float64, rng *rand.Rand) float64 { return math.Floor(math.Exp(x) * rng.ExpFloat64()) })},
		"log loss":      {LogLoss{}, 60, stepTable(500, func(x float64, rng *rand.Rand) float64 { return float64(b2i(rng.Float64() < 0.1+0.2*x)) })},
	} {
		m := fitTable(t, Learner{Objective: c.objective, Trees: c.trees, Leaves: 4, LearningRate: 1, L2: -1, Targets: Targets{Pairs: -1}}, c.table)
		got := make([]float64, 4)
		m.PredictRows(got, []float64{0, 1, 2, 3})
		for x, want := range meansOf(c.table) {
			if math.Abs(got[x]-want) > 1e-5*max(1, math.Abs(want)) {
				t.Errorf("%s: %v at %d, want %v", name, got[x], x, want)
			}
		}
		base := []float64{-2.5}
		m = fitTable(t, Learner{Objective: c.objective, Trees: 1, Base: base, Targets: Targets{Pairs: -1}}, c.table)
		if m.base != base[0] {
			t.Errorf("%s: base %v, want %v", name, m.base, base)
		}
	}
}

// plainRank is LambdaRank by its definition, over a single group.
func plainRank(y, score []float64, at int) (g, h []float64) {
	order := make([]int, len(y))
	for i := range order {
		order[i] = i
	}
	slices.SortStableFunc(order, func(a, b int) int { return cmp.Compare(score[b], score[a]) })
	place := make([]int, len(y))
	for p, i := range order {
		place[i] = p
	}
	dcg := func(place []int) (sum float64) {
		for i, p := range place {
			if at == 0 || p < at {
				sum += (math.Pow(2, y[i]) - 1) / math.Log2(float64(p)+2)
			}
		}
		return sum
	}
	byGrade := slices.Clone(order)
	slices.SortStableFunc(byGrade, func(a, b int) int { return cmp.Compare(y[b], y[a]) })
	ideal := make([]int, len(y))
	for p, i := range byGrade {
		ideal[i] = p
	}
	g, h = make([]float64, len(y)), make([]float64, len(y))
	for i := range y {
		for j := range y {
			if y[i] <= y[j] {
				continue
			}
			other := slices.Clone(place)
			other[i], other[j] = place[j], place[i]
			change := math.Abs(dcg(place)-dcg(other)) / dcg(ideal)
			p := 1 / (1 + math.Exp(score[i]-score[j]))
			g[i], g[j] = g[i]-change*p, g[j]+change*p
			h[i], h[j] = h[i]+change*p*(1-p), h[j]+change*p*(1-p)
		}
	}
	return g, h
}

func TestLambdasArePlain(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		rng := rand.New(rand.NewPCG(rapid.Uint64().Draw(t, "seed"), 1))
		at := rapid.IntRange(0, 5).Draw(t, "at")
		rows := &sample{}
		n := rapid.IntRange(1, 30).Draw(t, "n")
		score := make([]float64, n)
		for i := range n {
			rows.group = append(rows.group, int64(rng.IntN(3)))
			rows.y = append(rows.y, float64(rng.IntN(4)))
			score[i] = float64(rng.IntN(5)) / 2
		}
		of, err := LambdaRank{At: at}.begin(rows)
		if err != nil {
			t.Fatal(err)
		}
		gh := make([]int64, n)
		of.derive(gh, score, 2)
		for group := range int64(3) {
			var y, s []float64
			var in []int
			for i := range n {
				if rows.group[i] == group {
					y, s, in = append(y, rows.y[i]), append(s, score[i]), append(in, i)
				}
			}
			if len(y) == 0 || slices.Max(y) == 0 {
				continue
			}
			wantG, wantH := plainRank(y, s, at)
			for k, i := range in {
				g, h := derivativesOf(gh[i])
				if math.Abs(g-wantG[k]) > 1e-6 || math.Abs(h-wantH[k]) > 1e-6 {
					t.Fatalf("row %d: %v and %v, want %v and %v", i, g, h, wantG[k], wantH[k])
				}
			}
		}
	})
}

// A ranker finds the order within groups although the groups' levels drown it.
func TestRankOrdersGroups(t *testing.T) {
	rng := rand.New(rand.NewPCG(3, 3))
	tab := &models.Table{Columns: []models.Column{{Name: "x"}, {Name: "level"}}, X: make([][]float64, 2)}
	for group := range 300 {
		level := 10 * rng.NormFloat64()
		for range 8 {
			x := rng.NormFloat64()
			tab.X[0], tab.X[1] = append(tab.X[0], x), append(tab.X[1], level)
			tab.Y = append(tab.Y, float64(min(4, max(0, int(2*math.Abs(x)+rng.NormFloat64()/4)))))
			tab.Group = append(tab.Group, int64(group))
		}
	}
	losses := []float64{}
	l := Learner{Objective: LambdaRank{At: 5}, Trees: 60, LearningRate: 0.2, Progress: func(_ int, loss, _ float64) { losses = append(losses, loss) }}
	fitTable(t, l, tab)
	if last := losses[len(losses)-1]; last > 0.05 || last > losses[0] {
		t.Errorf("NDCG lacks %v after %d trees, %v after the first", last, len(losses), losses[0])
	}
}

func TestLabelsRefused(t *testing.T) {
	table := func(change func(*models.Table)) *models.Table {
		u := inTens(modeltest.Easy(60, 1))
		change(u)
		return u
	}
	second := func(y float64) func(*models.Table) { return func(u *models.Table) { u.Y[1] = y } }
	for name, c := range map[string]struct {
		of    Objective
		table *models.Table
	}{
		"log loss of 2":         {LogLoss{}, table(second(2))},
		"squared error of NaN":  {SquaredError{}, table(second(math.NaN()))},
		"squared error of Inf":  {SquaredError{}, table(second(math.Inf(1)))},
		"poisson below 0":       {Poisson{}, table(second(-1))},
		"rank of 40":            {LambdaRank{}, table(second(40))},
		"rank without groups":   {LambdaRank{}, table(func(u *models.Table) { u.Group = nil })},
		"hazard of 2":           {Hazard{Ages: []int64{60}}, table(second(2))},
		"hazard without times":  {Hazard{Ages: []int64{60}}, table(func(u *models.Table) { u.At = nil })},
		"hazard without ages":   {Hazard{Ages: []int64{}}, table(second(1))},
		"hazard past horizon":   {Hazard{Ages: []int64{60, 90}}, lastingTable(table(second(1)), 60)},
		"hazard of mixed ages":  {Hazard{Ages: []int64{60, 60}}, table(second(1))},
		"nothing watched":       {Hazard{Ages: []int64{60}, Until: 3}, table(second(1))},
		"labels missing at all": {SquaredError{}, table(func(u *models.Table) { u.Y = u.Y[:3] })},
	} {
		if m, err := (Learner{Objective: c.of, Trees: 2}).Fit(context.Background(), c.table, nil, 1); err == nil || m != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// cases draws cases whose chances in each bucket of a day are known: for x = 0
// won 0.1 and lost 0.2, for x = 1 won 0.3 on the first day, 0.05 later, lost 0.1.
func cases(n int, until int64) (*models.Table, func(x float64, bucket int) (won, lost float64)) {
	const day = 86400
	chances := func(x float64, bucket int) (won, lost float64) {
		if x == 0 {
			return 0.1, 0.2
		}
		if bucket == 0 {
			return 0.3, 0.1
		}
		return 0.05, 0.1
	}
	rng := rand.New(rand.NewPCG(9, 9))
	t := &models.Table{Columns: []models.Column{{Name: "x"}}, X: make([][]float64, 1)}
	for range n {
		x, at := float64(rng.IntN(2)), rng.Int64N(until)
		y, known := 0.0, int64(math.MaxInt64)
		for bucket := range 20 {
			won, lost := chances(x, bucket)
			if u := rng.Float64(); u < won+lost {
				known = at + int64(bucket)*day + 1 + rng.Int64N(day)
				y = float64(b2i(u < won))
				break
			}
		}
		if known > until && rng.IntN(2) == 0 {
			known = math.MaxInt64
			y = 1 // what an open row says does not count
		}
		t.X[0], t.Y = append(t.X[0], x), append(t.Y, y)
		t.At, t.Known = append(t.At, at), append(t.Known, known)
	}
	return t, chances
}

func TestHazardsAreTheTrueOnes(t *testing.T) {
	const day = 86400
	tab, chances := cases(60_000, 6*day)
	ages := []int64{day, 2 * day, 3 * day, 4 * day}
	m := fitTable(t, Learner{Objective: Hazard{Ages: ages, Until: 6 * day}, Trees: 60, Leaves: 2, LearningRate: 0.5, L2: -1, Targets: Targets{Pairs: -1}}, tab)
	won, lost := make([]float64, 4), make([]float64, 4)
	for _, x := range []float64{0, 1} {
		m.Incidence(won, lost, []float64{x})
		f, g, open := 0.0, 0.0, 1.0
		for b := range ages {
			p, q := chances(x, b)
			f, g = f+open*p, g+open*q
			open *= 1 - p - q
			if math.Abs(won[b]-f) > 0.012 || math.Abs(lost[b]-g) > 0.012 {
				t.Errorf("x %v by day %d: won %.4f and lost %.4f, want %.4f and %.4f", x, b+1, won[b], lost[b], f, g)
			}
		}
		p := make([]float64, 1)
		m.PredictRows(p, []float64{x})
		if p[0] != won[3] {
			t.Errorf("x %v: Predict says %v, Incidence %v", x, p[0], won[3])
		}
	}
}

// With a leaf for each x the hazards are the shares counted by hand.
func TestHazardsAreShares(t *testing.T) {
	const day, until = 86400, 6 * 86400
	tab, _ := cases(3000, until)
	m := fitTable(t, Learner{Objective: Hazard{Ages: []int64{day, 3 * day}, Until: until}, Trees: 200, Leaves: 2, LearningRate: 0.5, L2: -1, Targets: Targets{Pairs: -1}}, tab)
	for _, x := range []float64{0, 1} {
		var n, won, lost [2]float64
		for i, v := range tab.X[0] {
			ends := []int64{0, day, 3 * day}
			for b := 0; v == x && b < 2; b++ {
				age := tab.Known[i] - tab.At[i]
				isOpen := tab.Known[i] > until || age > ends[b]
				if !isOpen || tab.At[i]+ends[b+1] > until {
					break
				}
				n[b]++
				if tab.Known[i] <= until && age <= ends[b+1] {
					won[b] += tab.Y[i]
					lost[b] += 1 - tab.Y[i]
				}
			}
		}
		f, g := make([]float64, 2), make([]float64, 2)
		m.Incidence(f, g, []float64{x})
		p0, q0 := won[0]/n[0], lost[0]/n[0]
		open := 1 - p0 - q0
		want := []float64{p0, q0, p0 + open*won[1]/n[1], q0 + open*lost[1]/n[1]}
		for i, got := range []float64{f[0], g[0], f[1], g[1]} {
			if math.Abs(got-want[i]) > 1e-6 {
				t.Errorf("x %v: chances %v and %v, want %v", x, f, g, want)
			}
		}
	}
}

// labelled is a table that every objective can learn from, and one of each.
func labelled() (*models.Table, []Objective) {
	tab := inTens(modeltest.Easy(9000, 4))
	for i := range tab.Known {
		tab.Known[i] = tab.At[i] + 1 + int64(i*i%7200)
	}
	return tab, []Objective{SquaredError{}, Poisson{}, LambdaRank{At: 3}, Hazard{Ages: []int64{600, 3600, 7000}}}
}

func TestObjectivesHaveTheSameBytesAtAnyThreads(t *testing.T) {
	tab, objectives := labelled()
	for _, o := range objectives {
		var want []byte
		for _, threads := range []int{1, 2, 5} {
			l := Learner{Objective: o, Trees: 5, Leaves: 15, Threads: threads, RowFraction: 0.9}
			m, err := l.Fit(context.Background(), tab, tab.Take([]int{1, 5, 7, 100, 2000, 2001, 2002, 2003, 5000, 8000}), 1)
			if err != nil {
				t.Fatal(err)
			}
			b, err := m.MarshalBinary()
			if err != nil {
				t.Fatal(err)
			}
			if want == nil {
				want = b
			}
			if !bytes.Equal(b, want) {
				t.Errorf("%T: other bytes at %d threads", o, threads)
			}
		}
	}
}

// Rows of one moment that differ in their group alone make the same model however
// they arrive.
func TestGroupsMakeTheSameBytesInAnyOrder(t *testing.T) {
	tab, _ := labelled()
	rng := rand.New(rand.NewPCG(2, 2))
	rows := rng.Perm(2000)
	for i := range tab.At {
		tab.At[i], tab.Known[i] = 7, 9
		tab.X[0][i], tab.X[1][i], tab.X[2][i], tab.X[3][i], tab.X[4][i] = float64(i%3), float64(i%5), 1, 0, 0
		tab.Group[i] = int64(i * i % 100)
	}
	l := Learner{Objective: LambdaRank{}, Trees: 4, RowFraction: 0.5}
	if !bytes.Equal(bytesOfModel(t, fitTable(t, l, tab.Take(rows))), bytesOfModel(t, fitTable(t, l, tab.Take(seq(2000))))) {
		t.Error("other bytes in another order")
	}
}

func TestLoadDamagedObjectives(t *testing.T) {
	tab, objectives := labelled()
	tab = tab.Take(seq(400))
	for _, o := range objectives {
		b, err := fitTable(t, Learner{Objective: o, Trees: 3, Leaves: 5, EarlyStop: -1}, tab).MarshalBinary()
		if err != nil {
			t.Fatal(err)
		}
		useOrRefuse(t, b)
		for i := 0; i < len(b); i += 1 + len(b)/900 {
			for _, flip := range []byte{1, 0xff} {
				d := bytes.Clone(b)
				d[i] ^= flip
				if _, err := Load(d); !errors.Is(err, models.ErrCorrupt) {
					t.Fatalf("%T: byte %d changed: %v", o, i, err)
				}
				useOrRefuse(t, sealed(d))
			}
		}
	}
}

func seq(n int) []int {
	rows := make([]int, n)
	for i := range rows {
		rows[i] = i
	}
	return rows
}

// A model fitted before there were objectives loads and keeps its bytes.
func TestFirstVersion(t *testing.T) {
	b, err := smallModel(t).MarshalBinary()
	if err != nil {
		t.Fatal(err)
	}
	if b[len(magic)] != 1 {
		t.Fatalf("version %d of a model of log loss", b[len(magic)])
	}
	m, err := Load(b)
	if err != nil {
		t.Fatal(err)
	}
	if again, err := m.MarshalBinary(); err != nil || !bytes.Equal(again, b) {
		t.Errorf("other bytes, %v", err)
	}
}
