// Package modeltest is the contract of a learner, as one test that each learner
// calls in one line.
package modeltest

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"sync"
	"testing"

	"bellwether/models"
	"bellwether/models/metric"
)

// Option adjusts Check for a learner that is weak or slow by nature.
type Option func(*settings)

type settings struct {
	minAUC  float64
	rows    int
	numbers bool
}

// Numbers says that the learner takes labels other than 0 and 1 too, and that
// what its models answer is no probability.
func Numbers() Option { return func(s *settings) { s.numbers = true } }

// MinAUC is what the learner must reach on held-out rows of an easy table whose
// best possible AUC is 0.91; 0.85 unless told.
func MinAUC(auc float64) Option { return func(s *settings) { s.minAUC = auc } }

// Rows is how many rows the easy table has; 1,200 unless told.
func Rows(n int) Option { return func(s *settings) { s.rows = n } }

// Check holds learner to everything models.Learner and models.Model promise.
// load is the package's Load.
func Check(t *testing.T, learner models.Learner, load func([]byte) (models.Model, error), opts ...Option) {
	t.Helper()
	s := settings{minAUC: .85, rows: 1200}
	for _, o := range opts {
		o(&s)
	}
	c := &checker{settings: s, learner: learner, load: load}
	c.train, c.test = Easy(s.rows, 1), Easy(1500, 2)
	model, err := learner.Fit(context.Background(), c.train, nil, 7)
	if err != nil {
		t.Fatalf("Fit: %v", err)
	}
	c.model = model
	for _, part := range []struct {
		name string
		test func(*testing.T)
	}{
		{"name", c.name},
		{"refuses to learn from", c.refusesToLearn},
		{"refuses to predict", c.refusesToPredict},
		{"missing, unseen, extreme", c.odd},
		{"tables unchanged", c.unchanged},
		{"refit forgets", c.forgets},
		{"same seed same bytes", c.sameSeed},
		{"save and load", c.saveLoad},
		{"damaged bytes", c.damaged},
		{"many goroutines", c.concurrent},
		{"cancelled", c.cancelled},
		{"rows as the table", c.rowsPredictor},
		{"batches as the table", c.batches},
		{"one row as many", c.oneRow},
		{"learns", c.learns},
		{"finds nothing in noise", c.noise},
		{"weight zero", c.weightZero},
		{"useless columns", c.useless},
	} {
		t.Run(part.name, part.test)
	}
}

// Easy is a table that any learner can learn from: two telling numbers, one
// with missing values, a telling category, a useless number and a useless
// category. The best possible AUC on it is 0.913.
func Easy(n int, seed uint64) *models.Table {
	rng := rand.New(rand.NewPCG(seed, 99))
	t := &models.Table{
		Columns: []models.Column{
			{Name: "strong"}, {Name: "holey"}, {Name: "kind", Kind: models.Category},
			{Name: "noise"}, {Name: "tag", Kind: models.Category},
		},
		X: make([][]float64, 5),
	}
	for i := range n {
		strong, holey := rng.NormFloat64(), rng.NormFloat64()
		kind := rng.IntN(4)
		odds := 2.5*strong + 1.2*holey + []float64{-1.5, -.5, .5, 1.5}[kind]
		y := 0.
		if rng.Float64() < 1/(1+math.Exp(-odds)) {
			y = 1
		}
		if rng.Float64() < .15 {
			holey = math.NaN()
		}
		for j, v := range []float64{strong, holey, models.Code(fmt.Sprint("kind ", kind)),
			rng.NormFloat64(), models.Code(fmt.Sprint("tag ", rng.IntN(40)))} {
			t.X[j] = append(t.X[j], v)
		}
		t.Y = append(t.Y, y)
		t.At = append(t.At, int64(i)*3600)
		t.Known = append(t.Known, int64(i)*3600+60)
	}
	return t
}

type checker struct {
	settings
	learner     models.Learner
	load        func([]byte) (models.Model, error)
	train, test *models.Table
	model       models.Model // fitted on train with seed 7
}

func (c *checker) fit(t *testing.T, table *models.Table, seed uint64) models.Model {
	t.Helper()
	m, err := c.learner.Fit(context.Background(), table, nil, seed)
	if err != nil {
		t.Fatalf("Fit: %v", err)
	}
	return m
}

func predict(t *testing.T, m models.Model, table *models.Table) []float64 {
	t.Helper()
	p := make([]float64, table.Len())
	if err := m.Predict(p, table); err != nil {
		t.Fatalf("Predict: %v", err)
	}
	return p
}

func marshal(t *testing.T, m models.Model) []byte {
	t.Helper()
	b, err := m.MarshalBinary()
	if err != nil {
		t.Fatalf("MarshalBinary: %v", err)
	}
	return b
}

// clone copies a table to its last slice.
func clone(t *models.Table) *models.Table {
	rows := make([]int, t.Len())
	for i := range rows {
		rows[i] = i
	}
	u := t.Take(rows)
	u.Columns = slices.Clone(t.Columns)
	return u
}

func sameBits(a, b []float64) bool {
	return slices.EqualFunc(a, b, func(x, y float64) bool { return math.Float64bits(x) == math.Float64bits(y) })
}

func sameTable(a, b *models.Table) bool {
	return slices.EqualFunc(a.X, b.X, sameBits) && sameBits(a.Y, b.Y) && sameBits(a.Weight, b.Weight) &&
		slices.Equal(a.Columns, b.Columns) && slices.Equal(a.At, b.At) && slices.Equal(a.Known, b.Known) && slices.Equal(a.Group, b.Group)
}

func (c *checker) name(t *testing.T) {
	if c.learner.Name() == "" {
		t.Error("no name")
	}
	if w := c.model.Width(); w != c.train.Width() {
		t.Errorf("Width is %d, fitted on %d", w, c.train.Width())
	}
}

func (c *checker) refusesToLearn(t *testing.T) {
	with := func(change func(*models.Table)) *models.Table {
		u := clone(c.train)
		change(u)
		return u
	}
	for _, k := range []struct {
		name  string
		table *models.Table
		want  error // nil: any
	}{
		{"no rows", c.train.Take(nil), models.ErrEmpty},
		{"ones only", with(func(u *models.Table) { fill(u.Y, 1) }), models.ErrOneClass},
		{"zeros only", with(func(u *models.Table) { fill(u.Y, 0) }), models.ErrOneClass},
		{"an infinite input", with(func(u *models.Table) { u.X[0][3] = math.Inf(1) }), nil},
		{"a label of 2", with(func(u *models.Table) { u.Y[5] = 2 }), nil},
		{"a missing label", with(func(u *models.Table) { u.Y[5] = math.NaN() }), nil},
		{"a short column", with(func(u *models.Table) { u.X[1] = u.X[1][1:] }), nil},
		{"a column too many", with(func(u *models.Table) { u.X = append(u.X, u.X[0]) }), models.ErrWidth},
	} {
		if c.numbers && k.name == "a label of 2" {
			continue
		}
		m, err := c.learner.Fit(context.Background(), k.table, nil, 1)
		if err == nil || k.want != nil && !errors.Is(err, k.want) {
			t.Errorf("%s: error %v, want %v", k.name, err, k.want)
		}
		if err != nil && m != nil {
			t.Errorf("%s: a model beside the error", k.name)
		}
	}
}

func fill(v []float64, x float64) {
	for i := range v {
		v[i] = x
	}
}

func (c *checker) refusesToPredict(t *testing.T) {
	narrow := clone(c.test)
	narrow.X, narrow.Columns = narrow.X[1:], narrow.Columns[1:]
	if err := c.model.Predict(make([]float64, narrow.Len()), narrow); !errors.Is(err, models.ErrWidth) {
		t.Errorf("a column too few: %v", err)
	}
	if err := c.model.Predict(nil, c.test.Take(nil)); !errors.Is(err, models.ErrEmpty) {
		t.Errorf("no rows: %v", err)
	}
}

// odd holds that any row at all gets an answer, however strange, and that
// labels and weights play no part in it.
func (c *checker) odd(t *testing.T) {
	u := c.test.Take([]int{0, 1, 2, 3, 4, 5})
	for j := range u.X {
		u.X[j][0] = math.NaN()
	}
	u.X[2][1] = models.Code("never seen before")
	u.X[4][1] = 0
	u.X[0][2], u.X[0][3] = math.MaxFloat64, -math.MaxFloat64
	u.X[2][4] = -1
	u.X[0][5] = math.SmallestNonzeroFloat64
	u.Y, u.Weight, u.At, u.Known = nil, nil, nil, nil
	for i, p := range predict(t, c.model, u) {
		if !(p >= 0 && p <= 1) && (!c.numbers || math.IsNaN(p) || math.IsInf(p, 0)) {
			t.Errorf("row %d got %v", i, p)
		}
	}
}

func (c *checker) unchanged(t *testing.T) {
	train, valid, test := clone(c.train), Easy(300, 5), clone(c.test)
	before := [3]*models.Table{clone(train), clone(valid), clone(test)}
	m, err := c.learner.Fit(context.Background(), train, valid, 3)
	if err != nil {
		t.Fatalf("Fit with a validation table: %v", err)
	}
	first := predict(t, m, test)
	for i, u := range []*models.Table{train, valid, test} {
		if !sameTable(before[i], u) {
			t.Errorf("%s table was changed", []string{"train", "valid", "test"}[i])
		}
	}
	for j := range train.X { // and a model does not read it later
		fill(train.X[j], 1)
		fill(valid.X[j], 1)
	}
	if !sameBits(first, predict(t, m, test)) {
		t.Error("the model kept hold of its training table")
	}
}

func (c *checker) forgets(t *testing.T) {
	m := c.fit(t, c.train, 7)
	before := predict(t, m, c.test)
	other := Easy(c.rows, 31)
	for i := range other.Y {
		other.Y[i] = 1 - other.Y[i]
	}
	c.fit(t, other, 7)
	if !sameBits(before, predict(t, m, c.test)) {
		t.Error("a second Fit changed the first model")
	}
	if !bytes.Equal(marshal(t, m), marshal(t, c.fit(t, c.train, 7))) {
		t.Error("a Fit on other rows left something behind")
	}
}

func (c *checker) sameSeed(t *testing.T) {
	first := marshal(t, c.model)
	for range 2 {
		if !bytes.Equal(first, marshal(t, c.fit(t, clone(c.train), 7))) {
			t.Fatal("the same table, parameters and seed gave other bytes")
		}
	}
}

func (c *checker) saveLoad(t *testing.T) {
	b := marshal(t, c.model)
	m, err := c.load(b)
	if err != nil {
		t.Fatalf("Load: %v", err)
	}
	if m.Width() != c.model.Width() {
		t.Errorf("width %d, loaded %d", c.model.Width(), m.Width())
	}
	if !sameBits(predict(t, c.model, c.test), predict(t, m, c.test)) {
		t.Error("the loaded model predicts otherwise")
	}
	if !bytes.Equal(b, marshal(t, m)) {
		t.Error("the loaded model has other bytes")
	}
}

func (c *checker) damaged(t *testing.T) {
	b := marshal(t, c.model)
	refused := func(bad []byte, what string, at int) {
		t.Helper()
		m, err := c.load(bad)
		if !errors.Is(err, models.ErrCorrupt) {
			t.Errorf("%s %d: %v, want ErrCorrupt", what, at, err)
		}
		if err != nil && m != nil {
			t.Errorf("%s %d: a model beside the error", what, at)
		}
	}
	rng := rand.New(rand.NewPCG(3, 3))
	for n := range 300 {
		bit := rng.IntN(len(b) * 8)
		if n < 128 {
			bit = min(n, len(b)*8-1) // the header, bit by bit
		}
		bad := bytes.Clone(b)
		bad[bit/8] ^= 1 << (bit % 8)
		refused(bad, "bit", bit)
		cut := rng.IntN(len(b))
		if n < 64 {
			cut = min(n, len(b)-1)
		}
		refused(b[:cut], "cut to", cut)
	}
	refused(append(bytes.Clone(b), 0), "byte added after", len(b))
	refused(nil, "nothing", 0)
}

func (c *checker) concurrent(t *testing.T) {
	want := predict(t, c.model, c.test)
	var wait sync.WaitGroup
	for range 8 {
		wait.Go(func() {
			p := make([]float64, c.test.Len())
			if err := c.model.Predict(p, c.test); err != nil {
				t.Errorf("Predict: %v", err)
			} else if !sameBits(p, want) {
				t.Error("other predictions beside other goroutines")
			}
			if _, err := c.model.MarshalBinary(); err != nil {
				t.Errorf("MarshalBinary: %v", err)
			}
		})
	}
	wait.Wait()
}

func (c *checker) cancelled(t *testing.T) {
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	if m, err := c.learner.Fit(ctx, c.train, nil, 1); !errors.Is(err, context.Canceled) || m != nil {
		t.Errorf("a cancelled Fit answered %v, %v", m, err)
	}
}

// lying is the table with its inputs in batches of other sizes, a view of views.
func lying(t *models.Table) *models.Table {
	u, end := *t, []int{0, 1, t.Len() / 3, t.Len() / 3, t.Len()}
	var batches []models.Batch
	for k, hi := range end[1:] {
		part := make([][]float64, t.Width())
		for j, x := range t.X {
			part[j] = slices.Clone(x[end[k]:hi])
		}
		batches = append(batches, models.InputsOf(part))
	}
	rows := make([]int, t.Len())
	for i := range rows {
		rows[i] = len(rows) - 1 - i
	}
	u.X, u.In = nil, models.NewInputs(batches...)
	return u.View(rows).View(rows)
}

func (c *checker) batches(t *testing.T) {
	if _, ok := c.learner.(models.BatchLearner); !ok {
		t.Skip("not a BatchLearner")
	}
	m := c.fit(t, lying(c.train), 7)
	if !bytes.Equal(marshal(t, m), marshal(t, c.model)) {
		t.Fatal("batches teach another model than the table they make")
	}
	if !sameBits(predict(t, m, lying(c.test)), predict(t, m, c.test)) {
		t.Error("batches are answered otherwise than the table they make")
	}
}

func (c *checker) rowsPredictor(t *testing.T) {
	m, ok := c.model.(models.RowsPredictor)
	if !ok {
		t.Skip("not a RowsPredictor")
	}
	w := m.Width()
	for _, n := range []int{1, 7, 64, c.test.Len()} {
		rows, got := make([]float64, n*w), make([]float64, n)
		for i := range n {
			c.test.Row(rows[i*w:(i+1)*w], i)
		}
		before := slices.Clone(rows)
		m.PredictRows(got, rows)
		if !sameBits(got, predict(t, c.model, c.test)[:n]) {
			t.Errorf("%d rows: PredictRows and Predict differ", n)
		}
		if !sameBits(before, rows) {
			t.Errorf("%d rows: the rows were changed", n)
		}
		if allocs := testing.AllocsPerRun(10, func() { m.PredictRows(got, rows) }); allocs != 0 {
			t.Errorf("%d rows: %v allocations", n, allocs)
		}
	}
	defer func() {
		if recover() == nil {
			t.Error("PredictRows took rows that do not fit")
		}
	}()
	m.PredictRows(make([]float64, 2), make([]float64, w))
}

func (c *checker) oneRow(t *testing.T) {
	all := predict(t, c.model, c.test)
	for i := range 20 {
		if one := predict(t, c.model, c.test.Take([]int{i})); !sameBits(one, all[i:i+1]) {
			t.Fatalf("row %d alone got %v, among others %v", i, one[0], all[i])
		}
	}
}

func (c *checker) learns(t *testing.T) {
	auc := metric.AUC(predict(t, c.model, c.test), c.test.Y, nil)
	if !(auc >= c.minAUC) {
		t.Errorf("AUC on held-out rows %.3f, want %.3f", auc, c.minAUC)
	}
	t.Logf("AUC %.4f", auc)
}

// noise holds that no skill is claimed on held-out rows when the labels have
// nothing to do with the inputs: the mean AUC over some tables is within what
// chance explains (each AUC of 750 and 750 rows has a spread of 0.015).
func (c *checker) noise(t *testing.T) {
	const tables = 3
	mean := 0.0
	for seed := range uint64(tables) {
		train, test := Easy(c.rows, 50+seed), Easy(1500, 60+seed)
		rng := rand.New(rand.NewPCG(seed, 8))
		for _, u := range []*models.Table{train, test} {
			rng.Shuffle(u.Len(), func(i, j int) { u.Y[i], u.Y[j] = u.Y[j], u.Y[i] })
		}
		mean += metric.AUC(predict(t, c.fit(t, train, seed), test), test.Y, nil) / tables
	}
	if math.Abs(mean-.5) > .045 {
		t.Errorf("AUC %.3f on shuffled labels", mean)
	}
}

// weightZero holds that rows of weight 0 do not count.
func (c *checker) weightZero(t *testing.T) {
	u := clone(c.train)
	wrong := Easy(2*c.rows, 77)
	for i := range wrong.Y {
		wrong.Y[i] = 1 - wrong.Y[i]
	}
	for j := range u.X {
		u.X[j] = append(u.X[j], wrong.X[j]...)
	}
	u.Y = append(u.Y, wrong.Y...)
	u.At, u.Known = append(u.At, wrong.At...), append(u.Known, wrong.Known...)
	u.Weight = make([]float64, len(u.Y))
	fill(u.Weight[:c.train.Len()], 1)
	auc := metric.AUC(predict(t, c.fit(t, u, 7), c.test), c.test.Y, nil)
	if !(auc >= c.minAUC-.03) {
		t.Errorf("AUC %.3f when wrong rows of weight 0 are added, want %.3f", auc, c.minAUC-.03)
	}
}

// useless holds that columns without any information break nothing: constant,
// all missing, and a category of one value.
func (c *checker) useless(t *testing.T) {
	u, test := clone(c.train), clone(c.test)
	for _, v := range []*models.Table{u, test} {
		for _, x := range []float64{3, math.NaN(), models.Code("only")} {
			col := make([]float64, v.Len())
			fill(col, x)
			v.X = append(v.X, col)
		}
		v.Columns = append(v.Columns, models.Column{Name: "constant"}, models.Column{Name: "missing"},
			models.Column{Name: "single", Kind: models.Category})
	}
	auc := metric.AUC(predict(t, c.fit(t, u, 7), test), test.Y, nil)
	if !(auc >= c.minAUC-.05) {
		t.Errorf("AUC %.3f with useless columns, want %.3f", auc, c.minAUC-.05)
	}
}
