package gbdt_test

import (
	"bytes"
	"cmp"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"bellwether/models"
	"bellwether/models/gbdt"
	"bellwether/models/modeltest"
)

func load(b []byte) (models.Model, error) {
	m, err := gbdt.Load(b)
	if err != nil {
		return nil, err
	}
	return m, nil
}

func TestContract(t *testing.T) {
	modeltest.Check(t, gbdt.Learner{Trees: 40, LearningRate: 0.08}, load, modeltest.MinAUC(0.88))
}

// mixed is a table of every kind of column: numbers, numbers that repeat,
// missing ones, small and large categories, and a label that needs a pair.
func mixed(n int, seed uint64) *models.Table {
	rng := rand.New(rand.NewPCG(seed, 5))
	t := &models.Table{X: make([][]float64, 6)}
	for j, kind := range []models.Kind{models.Numeric, models.Numeric, models.Numeric, models.Category, models.Category, models.Category} {
		t.Columns = append(t.Columns, models.Column{Name: fmt.Sprint("x", j), Kind: kind})
	}
	for i := range n {
		a, b := rng.NormFloat64(), float64(rng.IntN(40))
		small, large, other := rng.IntN(6), rng.IntN(200), rng.IntN(60)
		s := 1.2*a + math.Sin(b) + 0.3*float64(small%3) + 1.5*math.Sin(float64(mix(uint64(large))%7)) +
			float64(mix(uint64(small*60+other))%3) - 1.5
		m := a + rng.NormFloat64()
		if rng.IntN(4) == 0 {
			m = math.NaN()
			s++
		}
		y := 0.0
		if rng.Float64() < 1/(1+math.Exp(-s)) {
			y = 1
		}
		row := []float64{a, b, m, code("s", small), code("l", large), code("o", other)}
		for j, v := range row {
			t.X[j] = append(t.X[j], v)
		}
		if rng.IntN(50) == 0 {
			t.X[4][i] = math.NaN()
		}
		t.Y = append(t.Y, y)
		t.At = append(t.At, int64(i/7))
		t.Known = append(t.Known, int64(i/7+rng.IntN(40)))
		t.Weight = append(t.Weight, 0.5+rng.Float64())
	}
	return t
}

func code(prefix string, k int) float64 { return models.Code(fmt.Sprint(prefix, k)) }

func bytesOf(t *testing.T, m models.Model) []byte {
	t.Helper()
	b, err := m.MarshalBinary()
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func TestSameBytesAtAnyThreads(t *testing.T) {
	tables := []*models.Table{mixed(10_000, 1), mixed(900, 2)}
	tables[1].At, tables[1].Known, tables[1].Weight = nil, nil, nil
	for i, tab := range tables {
		l := gbdt.Learner{Trees: 6, RowFraction: 0.8, FeatureFraction: 0.7, Threads: 1}
		if i == 0 {
			l.RowFraction = 0 // partitions and scores of all rows, shared
		}
		want := bytesOf(t, fitted(t, l, tab, mixed(900, 9), 3))
		for _, n := range []int{2, 7} {
			l.Threads = n
			if !bytes.Equal(bytesOf(t, fitted(t, l, tab, mixed(900, 9), 3)), want) {
				t.Errorf("table %d: other bytes at %d threads", i, n)
			}
		}
	}
}

// A model's bytes are the same on all machines: here is what they were on one. A
// change of what is learned, or how, changes them; a machine does not.
func TestSameBytesOnAnyMachine(t *testing.T) {
	const want = "5a161f20c5d2df2ce745e181a392b8b5210e745cac96a7c281607d0970363105"
	rng := rand.New(rand.NewPCG(3, 3)) // no function that machines answer differently
	tab := &models.Table{X: make([][]float64, 5), At: make([]int64, 4000), Y: make([]float64, 4000), Weight: make([]float64, 4000)}
	for j := range tab.X {
		tab.Columns = append(tab.Columns, models.Column{Name: fmt.Sprint(j), Kind: models.Kind(j % 2)})
		for i := range tab.Y {
			tab.X[j] = append(tab.X[j], float64(rng.IntN([]int{1000, 80, 30, 9, 4000}[j]))/3)
			tab.Y[i] += tab.X[j][i] * float64(mix(uint64(j))%9) / 4000
		}
	}
	for i, y := range tab.Y {
		tab.At[i], tab.Weight[i], tab.Y[i] = int64(i/3), 1+rng.Float64(), float64(b2i(y > rng.Float64()))
	}
	valid := tab.Take(rng.Perm(4000)[:500])
	sum := sha256.New()
	for _, l := range []gbdt.Learner{{}, {GradientFraction: 0.7, L1: 0.5}, {Limits: gbdt.Limits{Monotone: []int8{1, 0, -1, 0, 0}}}, {Objective: gbdt.SquaredError{}}} {
		l.Trees, l.Leaves = 25, 12
		m := fitted(t, l, tab, valid, 1)
		l.Trees, l.From = 5, m
		sum.Write(bytesOf(t, m))
		sum.Write(bytesOf(t, fitted(t, l, tab, nil, 2)))
	}
	if got := hex.EncodeToString(sum.Sum(nil)); got != want {
		t.Errorf("other bytes: %s", got)
	}
}

// Rows that lie in batches teach the model that the table they make does, however
// it is cut and however many read it.
func TestSameBytesFromBatches(tb *testing.T) {
	rapid.Check(tb, func(t *rapid.T) {
		n := rapid.SampledFrom([]int{60, 700, 5000}).Draw(t, "rows")
		tab := mixed(n, rapid.Uint64Range(1, 5).Draw(t, "seed"))
		if rapid.Bool().Draw(t, "timeless") {
			tab.At, tab.Known = nil, nil
		} else if rapid.Bool().Draw(t, "alike") { // but for their inputs
			tab.Known, tab.Weight = tab.At, nil
		}
		lying := *tab
		lying.X = nil
		var batches []models.Batch
		for lo := 0; lo < n; {
			hi := min(n, lo+rapid.IntRange(1, n).Draw(t, "size"))
			var part [][]float64
			for _, x := range tab.X {
				part = append(part, x[lo:hi])
			}
			batches, lo = append(batches, models.InputsOf(part)), hi
		}
		lying.In = models.NewInputs(batches...)
		if rapid.Bool().Draw(t, "view") {
			rows := rapid.Permutation(every(n)).Draw(t, "rows")
			tab, lying = tab.Take(rows), *lying.View(rows)
		}
		l := gbdt.Learner{Trees: 2, Leaves: 7, RowFraction: 0.9, Targets: gbdt.Targets{Pairs: 2}, Threads: 1}
		if rapid.Bool().Draw(t, "on") {
			l.From = fitted(tb, gbdt.Learner{Trees: 2, Leaves: 5, Targets: gbdt.Targets{Pairs: -1}}, mixed(500, 9), nil, 1)
		}
		m := fitted(tb, l, tab, tab, 3)
		l.Threads = rapid.SampledFrom([]int{1, 2, 7}).Draw(t, "threads")
		got := fitted(tb, l, &lying, &lying, 3)
		if !bytes.Equal(bytesOf(tb, got), bytesOf(tb, m)) {
			t.Fatalf("%d batches, %d threads: other bytes", len(batches), l.Threads)
		}
		want, p := make([]float64, n), make([]float64, n)
		if err := cmp.Or(m.Predict(want, tab), got.Predict(p, &lying)); err != nil || !slices.Equal(p, want) {
			t.Fatalf("%d batches: other answers (%v)", len(batches), err)
		}
	})
}

func every(n int) []int {
	rows := make([]int, n)
	for i := range rows {
		rows[i] = i
	}
	return rows
}

func TestSameBytesInAnyOrderWithinATimestamp(t *testing.T) {
	tab := mixed(3000, 1)
	l := gbdt.Learner{Trees: 10, RowFraction: 0.9}
	want := bytesOf(t, fitted(t, l, tab, nil, 3))
	rng := rand.New(rand.NewPCG(1, 1))
	rows := make([]int, tab.Len())
	for i := range rows {
		rows[i] = i
	}
	for lo := 0; lo < len(rows); lo += 7 {
		part := rows[lo:min(lo+7, len(rows))]
		rng.Shuffle(len(part), func(i, j int) { part[i], part[j] = part[j], part[i] })
	}
	if !bytes.Equal(bytesOf(t, fitted(t, l, tab.Take(rows), nil, 3)), want) {
		t.Error("rows shuffled within timestamps make another model")
	}
	rng.Shuffle(len(rows), func(i, j int) { rows[i], rows[j] = rows[j], rows[i] })
	if !bytes.Equal(bytesOf(t, fitted(t, l, tab.Take(rows), nil, 3)), want) {
		t.Error("rows shuffled altogether, times kept, make another model")
	}
}

func TestOutcomesNotYetKnownTeachNoStatistic(t *testing.T) {
	// The category tells the label exactly, but no outcome is ever known before
	// another row is taken: the statistics are the prior everywhere.
	n := 2000
	tab := &models.Table{
		Columns: []models.Column{{Name: "c", Kind: models.Category}, {Name: "u"}},
		X:       [][]float64{make([]float64, n), make([]float64, n)},
		Y:       make([]float64, n), At: make([]int64, n), Known: make([]int64, n),
	}
	for i := range n {
		tab.X[0][i], tab.X[1][i] = code("c", i%400), float64(mix(uint64(i))>>11)
		tab.Y[i] = float64(i % 400 % 2)
		tab.At[i], tab.Known[i] = int64(i), int64(i+n)
	}
	m := fitted(t, gbdt.Learner{Trees: 30}, tab, nil, 1)
	if a := auc(predict(t, m, tab), tab.Y); a > 0.75 {
		t.Errorf("AUC %v from outcomes nobody knew", a)
	}
	copy(tab.Known, tab.At)
	m = fitted(t, gbdt.Learner{Trees: 30}, tab, nil, 1)
	if a := auc(predict(t, m, tab), tab.Y); a < 0.99 {
		t.Errorf("AUC %v though outcomes were known at once", a)
	}
}

// pairTable has a coin for a label at each of 60 x 60 pairs: neither column
// alone tells it.
func pairTable(n int, seed uint64) *models.Table {
	rng := rand.New(rand.NewPCG(seed, 3))
	tab := &models.Table{Columns: []models.Column{{Name: "a", Kind: models.Category}, {Name: "b", Kind: models.Category}}, X: make([][]float64, 2)}
	for range n {
		a, b := rng.IntN(60), rng.IntN(60)
		tab.X[0], tab.X[1] = append(tab.X[0], code("a", a)), append(tab.X[1], code("b", b))
		tab.Y = append(tab.Y, float64(mix(uint64(a*60+b))%2))
	}
	return tab
}

func TestPairsFindWhatColumnsAloneDoNot(t *testing.T) {
	train, test := pairTable(20_000, 1), pairTable(3000, 2)
	with := fitted(t, gbdt.Learner{Trees: 12}, train, nil, 1)
	without := fitted(t, gbdt.Learner{Trees: 12, Targets: gbdt.Targets{Pairs: -1}}, train, nil, 1)
	if a := auc(predict(t, with, test), test.Y); a < 0.98 {
		t.Errorf("AUC %v with pairs", a)
	}
	if a := auc(predict(t, without, test), test.Y); a > 0.75 {
		t.Errorf("AUC %v without pairs: the table is too easy to test them", a)
	}
}

func TestEarlyStopAndRefit(t *testing.T) {
	train, valid := mixed(1500, 1), mixed(1500, 2)
	last, best, at := 0, math.Inf(1), 0
	l := gbdt.Learner{LearningRate: 0.3, EarlyStop: 10, Progress: func(k int, trainLoss, validLoss float64) {
		if k != last+1 || !(trainLoss > 0) {
			t.Errorf("progress of tree %d after %d, training loss %v", k, last, trainLoss)
		}
		last = k
		if validLoss < best {
			best, at = validLoss, k
		}
	}}
	m := fitted(t, l, train, valid, 1)
	if last != at+10 || m.Trees() != at || at == 0 {
		t.Errorf("best loss after %d trees, stopped after %d, kept %d", at, last, m.Trees())
	}
	if got := logLoss(predict(t, m, valid), valid.Y); math.IsNaN(got) {
		t.Error("no prediction")
	}
	full := fitted(t, m.Refit().(gbdt.Learner), train, valid, 1)
	if full.Trees() != at {
		t.Errorf("refit has %d trees, want %d", full.Trees(), at)
	}
	if !bytes.Equal(bytesOf(t, full), bytesOf(t, m)) {
		t.Error("refit on the same rows is another model")
	}
}

func TestCancelled(t *testing.T) {
	ctx, cancel := context.WithCancel(context.Background())
	l := gbdt.Learner{Trees: 100_000, Progress: func(k int, _, _ float64) {
		if k == 3 {
			cancel()
		}
		if k > 4 {
			t.Fatalf("tree %d after cancelling", k)
		}
	}}
	if _, err := l.Fit(ctx, mixed(800, 1), nil, 1); !errors.Is(err, context.Canceled) {
		t.Errorf("got %v", err)
	}
}

func TestWeightsAreRepetitions(t *testing.T) {
	rng := rand.New(rand.NewPCG(3, 3))
	one := &models.Table{Columns: []models.Column{{Name: "a"}, {Name: "b"}}, X: make([][]float64, 2)}
	var rows []int
	for i := range 300 {
		a, b := rng.NormFloat64(), rng.NormFloat64()
		one.X[0], one.X[1] = append(one.X[0], a), append(one.X[1], b)
		one.Y = append(one.Y, float64(rng.IntN(2)))
		if a+b > 0.5 {
			one.Y[i] = 1
		}
		w := i % 3
		one.Weight = append(one.Weight, float64(w))
		for range w {
			rows = append(rows, i)
		}
	}
	many := one.Take(rows)
	many.Weight = nil
	l := gbdt.Learner{Trees: 15, MinRows: -1, L2: -1, MinHessian: 0.01, Targets: gbdt.Targets{Pairs: -1}, MaxBins: 16}
	l.MinHessian = -1
	l.Leaves = 4
	p, q := predict(t, fitted(t, l, one, nil, 1), one), predict(t, fitted(t, l, many, nil, 1), one)
	mean := 0.0
	for i := range p {
		mean += math.Abs(p[i]-q[i]) / float64(len(p))
	}
	// Quantiles are taken from rows, not weights, so bins differ a little.
	if mean > 0.03 {
		t.Errorf("weights and repetitions differ by %v on average", mean)
	}
}

func TestRobust(t *testing.T) {
	n := 400
	rng := rand.New(rand.NewPCG(1, 8))
	col := func(f func(i int) float64) []float64 {
		x := make([]float64, n)
		for i := range x {
			x[i] = f(i)
		}
		return x
	}
	y := col(func(i int) float64 { return float64(mix(uint64(i)) % 2) })
	nan := math.NaN()
	cases := map[string]struct {
		kind models.Kind
		x    []float64
	}{
		"constant":        {models.Numeric, col(func(int) float64 { return 3 })},
		"all missing":     {models.Numeric, col(func(int) float64 { return nan })},
		"one present":     {models.Numeric, col(func(i int) float64 { return []float64{nan, 1}[b2i(i == 7)] })},
		"huge":            {models.Numeric, col(func(i int) float64 { return math.MaxFloat64 * (rng.Float64()*2 - 1) })},
		"tiny":            {models.Numeric, col(func(i int) float64 { return 5e-324 * float64(rng.IntN(900)) })},
		"the label":       {models.Numeric, y},
		"missing label":   {models.Numeric, col(func(i int) float64 { return []float64{nan, 1}[int(y[i])] })},
		"all distinct":    {models.Category, col(func(i int) float64 { return code("d", i) })},
		"category of NaN": {models.Category, col(func(int) float64 { return nan })},
		"one category":    {models.Category, col(func(int) float64 { return code("x", 1) })},
		"category or NaN": {models.Category, col(func(i int) float64 { return []float64{nan, 7}[int(y[i])] })},
		"odd codes":       {models.Category, col(func(i int) float64 { return math.Copysign(float64(i%3)*1e300, -1) })},
	}
	for name, c := range cases {
		tab := &models.Table{
			Columns: []models.Column{{Name: "c", Kind: c.kind}, {Name: "again", Kind: c.kind}, {Name: "u"}},
			X:       [][]float64{c.x, c.x, col(func(int) float64 { return rng.Float64() })}, Y: y,
		}
		m := fitted(t, gbdt.Learner{Trees: 20}, tab, nil, 1)
		for i, p := range predict(t, m, tab) {
			if !(p > 0 && p < 1) {
				t.Fatalf("%s: row %d has probability %v", name, i, p)
			}
		}
		odd := make([]float64, 1)
		for _, v := range []float64{nan, 0, -1e308, math.Inf(1), math.Inf(-1), code("never", 1)} {
			m.PredictRows(odd, []float64{v, nan, v})
			if !(odd[0] > 0 && odd[0] < 1) {
				t.Fatalf("%s: input %v has probability %v", name, v, odd[0])
			}
		}
		if name == "missing label" || name == "the label" {
			if a := auc(predict(t, m, tab), y); a < 0.999 {
				t.Errorf("%s: AUC %v", name, a)
			}
		}
	}
}

func b2i(b bool) int {
	if b {
		return 1
	}
	return 0
}

func TestFewRowsAndWideTables(t *testing.T) {
	few := mixed(100, 1)
	clear(few.Y)
	few.Y[41] = 1
	for _, p := range predict(t, fitted(t, gbdt.Learner{Trees: 50}, few, nil, 1), few) {
		if !(p > 0 && p < 1) {
			t.Fatalf("one positive of 100: probability %v", p)
		}
	}
	for n := 2; n < 6; n++ {
		tab := mixed(n, 1)
		tab.Y[0], tab.Y[1] = 0, 1
		fitted(t, gbdt.Learner{Trees: 3}, tab, tab, 1)
	}
	wide := &models.Table{}
	rng := rand.New(rand.NewPCG(9, 9))
	for j := range 500 {
		wide.Columns = append(wide.Columns, models.Column{Name: fmt.Sprint(j)})
		wide.X = append(wide.X, make([]float64, 300))
		for i := range wide.X[j] {
			wide.X[j][i] = rng.NormFloat64()
		}
	}
	for i := range 300 {
		wide.Y = append(wide.Y, float64(b2i(wide.X[300][i]+wide.X[499][i] > 0)))
	}
	l := gbdt.Learner{Trees: 8, LearningRate: 0.3, MinRows: 10}
	if a := auc(predict(t, fitted(t, l, wide, nil, 1), wide), wide.Y); a < 0.97 {
		t.Errorf("500 columns: AUC %v", a)
	}
}

func TestRefuses(t *testing.T) {
	ok := mixed(50, 1)
	one := mixed(50, 1)
	for i := range one.Y {
		one.Y[i] = 1
	}
	weights := mixed(50, 1)
	weights.Weight[3] = -1
	zero := mixed(50, 1)
	clear(zero.Weight)
	heavy := mixed(50, 1)
	heavy.Weight[0], heavy.Weight[1] = math.MaxFloat64, math.MaxFloat64
	unlabelled := mixed(50, 1)
	unlabelled.Y = unlabelled.Y[:49]
	narrow := mixed(50, 1)
	narrow.X, narrow.Columns = narrow.X[:5], narrow.Columns[:5]
	for name, c := range map[string]struct {
		l            gbdt.Learner
		train, valid *models.Table
		want         error
	}{
		"one class":       {gbdt.Learner{}, one, nil, models.ErrOneClass},
		"no rows":         {gbdt.Learner{}, &models.Table{}, nil, models.ErrEmpty},
		"no weight":       {gbdt.Learner{}, zero, nil, models.ErrEmpty},
		"valid's width":   {gbdt.Learner{}, ok, narrow, models.ErrWidth},
		"negative weight": {gbdt.Learner{}, weights, nil, nil},
		"endless weight":  {gbdt.Learner{}, heavy, nil, nil},
		"missing label":   {gbdt.Learner{}, unlabelled, nil, nil},
		"rate":            {gbdt.Learner{LearningRate: 2}, ok, nil, nil},
		"rate NaN":        {gbdt.Learner{LearningRate: math.NaN()}, ok, nil, nil},
		"bins":            {gbdt.Learner{MaxBins: 256}, ok, nil, nil},
	} {
		_, err := c.l.Fit(context.Background(), c.train, c.valid, 1)
		if err == nil || c.want != nil && !errors.Is(err, c.want) {
			t.Errorf("%s: %v, want %v", name, err, c.want)
		}
	}
}

func TestPredictRefuses(t *testing.T) {
	tab := mixed(50, 1)
	m := fitted(t, gbdt.Learner{Trees: 2}, tab, nil, 1)
	ragged := mixed(50, 1)
	ragged.X[3] = ragged.X[3][:49]
	narrow := mixed(50, 1)
	narrow.X, narrow.Columns = narrow.X[:5], narrow.Columns[:5]
	for name, c := range map[string]struct {
		dst  int
		t    *models.Table
		want error
	}{
		"columns":      {50, narrow, models.ErrWidth},
		"no rows":      {0, tab.Take(nil), models.ErrEmpty},
		"short column": {50, ragged, nil},
		"short answer": {49, tab, nil},
	} {
		if err := m.Predict(make([]float64, c.dst), c.t); err == nil || c.want != nil && !errors.Is(err, c.want) {
			t.Errorf("%s: %v, want %v", name, err, c.want)
		}
	}
}

// What takes rows of the model's width panics at others, and does not read past
// them.
func TestOtherLengthsPanic(t *testing.T) {
	m := fitted(t, gbdt.Learner{Trees: 2}, mixed(50, 1), nil, 1)
	row, short := make([]float64, 6), make([]float64, 5)
	for name, f := range map[string]func(){
		"row":             func() { m.PredictRows(make([]float64, 1), short) },
		"explained row":   func() { m.Contributions(row, short) },
		"contributions":   func() { m.Contributions(short, row) },
		"no background":   func() { m.InterventionalContributions(row, row, nil) },
		"half background": func() { m.InterventionalContributions(row, row, make([]float64, 9)) },
		"no hazards":      func() { m.Incidence(nil, nil, row) },
	} {
		func() {
			defer func() {
				if text, ok := recover().(string); !ok || !strings.HasPrefix(text, "gbdt: ") {
					t.Errorf("%s: panicked with %q", name, text)
				}
			}()
			f()
		}()
	}
}

func TestContributionsSum(t *testing.T) {
	for _, tab := range []*models.Table{mixed(2500, 4), pairTable(20_000, 4)} {
		contributionsSum(t, tab)
	}
}

func contributionsSum(t *testing.T, tab *models.Table) {
	m := fitted(t, gbdt.Learner{Trees: 20}, tab, nil, 1)
	tab = tab.Take([]int{0, 5, 100, 300, 700, 701, 703, 1000, 1003, 2000})
	p := predict(t, m, tab)
	dst, row := make([]float64, tab.Width()), make([]float64, tab.Width())
	spread := make([]float64, tab.Width())
	for i, v := range p {
		tab.Row(row, i)
		sum := m.Contributions(dst, row)
		for j, c := range dst {
			sum += c
			spread[j] += math.Abs(c)
		}
		if want := math.Log(v / (1 - v)); math.Abs(sum-want) > 1e-9*max(1, math.Abs(want)) {
			t.Fatalf("row %d: contributions sum to %v, log-odds are %v", i, sum, want)
		}
	}
	gain := m.Importance()
	for j := range gain {
		if !(gain[j] > 0) || spread[j] == 0 {
			t.Errorf("column %d has gain %v and contributions %v", j, gain[j], spread[j])
		}
	}
}

// A few columns are all drawn for each tree, so that what only two tell together
// is learned by the defaults.
func TestFewColumnsAreAllDrawn(t *testing.T) {
	tab := numbersTable(2000, 2, 3)
	for i := range tab.Y {
		tab.Y[i] = float64(b2i((tab.X[0][i] > 0) != (tab.X[1][i] > 0)))
	}
	if a := auc(predict(t, fitted(t, gbdt.Learner{Trees: 50}, tab, nil, 1), tab), tab.Y); a < 0.95 {
		t.Errorf("AUC %v where the sign of two columns' product is the label", a)
	}
}
