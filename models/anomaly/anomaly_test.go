package anomaly_test

import (
	"bytes"
	"context"
	"errors"
	"math"
	oldrand "math/rand"
	"math/rand/v2"
	"slices"
	"sync"
	"testing"

	"github.com/sjwhitworth/golearn/trees"

	"bellwether/models"
	"bellwether/models/anomaly"
	"bellwether/models/design"
	"bellwether/models/grid"
	"bellwether/models/metric"
)

// strange is a cloud of rows, the share odd of which lies off it; Y says which.
func strange(n int, seed uint64) *models.Table {
	rng := rand.New(rand.NewPCG(seed, 5))
	t := &models.Table{Columns: make([]models.Column, 6), X: make([][]float64, 6)}
	for range n {
		y, shift := 0., 0.
		if rng.Float64() < .05 {
			y, shift = 1, 3.5
		}
		for j := range t.X {
			x := rng.NormFloat64() + shift*float64(1-2*rng.IntN(2))
			if rng.IntN(30) == 0 {
				x = math.NaN()
			}
			t.X[j] = append(t.X[j], x)
		}
		t.Y = append(t.Y, y)
	}
	return t
}

func fit(t interface {
	Helper()
	Fatal(...any)
}, table *models.Table, seed uint64) *anomaly.Model {
	t.Helper()
	m, err := anomaly.Detector{}.Fit(context.Background(), table, seed)
	if err != nil {
		t.Fatal(err)
	}
	return m
}

func score(t *testing.T, m *anomaly.Model, table *models.Table) []float64 {
	t.Helper()
	s := make([]float64, table.Len())
	if err := m.Score(s, table); err != nil {
		t.Fatal(err)
	}
	return s
}

func TestFindsTheStrange(t *testing.T) {
	m := fit(t, strange(2000, 1), 1)
	test := strange(2000, 2)
	s := score(t, m, test)
	for i, v := range s {
		if !(v > 0 && v < 1) {
			t.Fatalf("row %d scores %v", i, v)
		}
	}
	if auc := metric.AUC(s, test.Y, nil); auc < .97 {
		t.Errorf("AUC %.3f", auc)
	}
	far := &models.Table{Columns: test.Columns, X: slices.Repeat([][]float64{{0, math.MaxFloat64, math.NaN()}}, 6)}
	if s := score(t, m, far); !(s[1] > s[0]) {
		t.Errorf("the middle scores %v, the farthest %v", s[0], s[1])
	}
}

// The copied trees score as golearn's own, grown on the same rows from the same
// seed, do.
func TestScoresAsGolearn(t *testing.T) {
	table := strange(300, 1)
	ours := score(t, fit(t, table, 9), table)
	enc := design.Fit(table, design.Options{})
	columns := make([][]float64, enc.Slots())
	row, dense := make([]float64, enc.Inputs()), make([]float64, enc.Slots())
	for i := range table.Len() {
		table.Row(row, i)
		enc.Dense(dense, row)
		for k, v := range dense {
			columns[k] = append(columns[k], v)
		}
	}
	forest := trees.NewIsolationForest(100, 8, 256)
	inst := grid.Unlabelled(columns)
	//lint:ignore SA1019 as Fit does
	oldrand.Seed(9)
	forest.Fit(inst)
	for i, theirs := range forest.Predict(inst) {
		if math.Abs(ours[i]-theirs) > 1e-9 {
			t.Fatalf("row %d scores %v, golearn's %v", i, ours[i], theirs)
		}
	}
}

func TestSameSeedSameBytesAndBack(t *testing.T) {
	table := strange(500, 1)
	before := table.Take([]int{0, 1, 2})
	a, err := fit(t, table, 3).MarshalBinary()
	if err != nil {
		t.Fatal(err)
	}
	b, err := fit(t, table, 3).MarshalBinary()
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(a, b) {
		t.Error("the same table and seed gave other bytes")
	}
	if c, _ := fit(t, table, 4).MarshalBinary(); bytes.Equal(a, c) {
		t.Error("the seed plays no part")
	}
	for j := range before.X {
		for i, x := range before.X[j] {
			if math.Float64bits(x) != math.Float64bits(table.X[j][i]) {
				t.Error("the table was changed")
			}
		}
	}
	m, err := anomaly.Load(a)
	if err != nil {
		t.Fatal(err)
	}
	want := score(t, fit(t, table, 3), table)
	var wait sync.WaitGroup
	for range 4 {
		wait.Go(func() {
			if s := make([]float64, table.Len()); m.Score(s, table) != nil || !slices.Equal(s, want) {
				t.Error("the loaded model scores otherwise")
			}
		})
	}
	wait.Wait()
	for bit := range len(a) * 8 {
		if bit > 200 && bit%501 != 0 {
			continue
		}
		bad := bytes.Clone(a)
		bad[bit/8] ^= 1 << (bit % 8)
		if _, err := anomaly.Load(bad); !errors.Is(err, models.ErrCorrupt) {
			t.Fatalf("bit %d flipped: %v", bit, err)
		}
	}
}

func TestRefusals(t *testing.T) {
	done, cancel := context.WithCancel(context.Background())
	cancel()
	table := strange(50, 1)
	if _, err := (anomaly.Detector{}).Fit(done, table, 1); !errors.Is(err, context.Canceled) {
		t.Errorf("cancelled: %v", err)
	}
	if _, err := (anomaly.Detector{}).Fit(context.Background(), table.Take(nil), 1); !errors.Is(err, models.ErrEmpty) {
		t.Errorf("no rows: %v", err)
	}
	m := fit(t, table, 1)
	narrow := &models.Table{Columns: table.Columns[1:], X: table.X[1:]}
	if err := m.Score(make([]float64, 50), narrow); !errors.Is(err, models.ErrWidth) {
		t.Errorf("a column too few: %v", err)
	}
	table.X[0][0] = math.Inf(1)
	if _, err := (anomaly.Detector{}).Fit(context.Background(), table, 1); err == nil {
		t.Error("an infinite input was taken")
	}
}

// Equal rows have nothing strange about them, and one row is not an error.
func TestAllEqual(t *testing.T) {
	for _, n := range []int{1, 2, 40} {
		table := &models.Table{Columns: make([]models.Column, 2), X: [][]float64{make([]float64, n), make([]float64, n)}}
		for _, s := range score(t, fit(t, table, 1), table) {
			if s > .5 {
				t.Errorf("of %d equal rows one scores %v", n, s)
			}
		}
	}
}

func FuzzLoad(f *testing.F) {
	b, err := fit(f, strange(60, 1), 1).MarshalBinary()
	if err != nil {
		f.Fatal(err)
	}
	f.Add(b)
	f.Fuzz(func(t *testing.T, b []byte) {
		if m, err := anomaly.Load(b); err == nil && m.Width() == 6 {
			if err := m.Score(make([]float64, 5), strange(5, 1)); err != nil {
				t.Fatal(err)
			}
		}
	})
}

func BenchmarkFit(b *testing.B) {
	t := strange(2000, 1)
	for b.Loop() {
		fit(b, t, 1)
	}
}
