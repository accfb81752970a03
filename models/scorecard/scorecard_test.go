package scorecard_test

import (
	"context"
	"math"
	"math/rand/v2"
	"testing"

	"bellwether/models"
	"bellwether/models/metric"
	"bellwether/models/modeltest"
	"bellwether/models/scorecard"
)

func load(b []byte) (models.Model, error) {
	m, err := scorecard.Load(b)
	if err != nil {
		return nil, err
	}
	return m, nil
}

func TestContract(t *testing.T) { modeltest.Check(t, scorecard.Learner{}, load, modeltest.MinAUC(.86)) }

func fit(t interface {
	Helper()
	Fatal(...any)
}, table *models.Table) *scorecard.Model {
	t.Helper()
	m, err := scorecard.Learner{}.Fit(context.Background(), table, nil, 1)
	if err != nil {
		t.Fatal(err)
	}
	return m.(*scorecard.Model)
}

// The card alone, added up by hand, is the model.
func TestTheCardIsTheModel(t *testing.T) {
	table := modeltest.Easy(3000, 4)
	m := fit(t, table)
	start, bins := m.Card()
	p, row := make([]float64, table.Len()), make([]float64, table.Width())
	if err := m.Predict(p, table); err != nil {
		t.Fatal(err)
	}
	for i := range 500 {
		table.Row(row, i)
		sum := start
		for j, x := range row {
			sum += lookUp(t, bins, j, x).Points
		}
		if want := 1 / (1 + math.Exp2(float64(scorecard.Even-sum)/scorecard.Double)); p[i] != want {
			t.Fatalf("row %d: %d points make %v, the model says %v", i, sum, want, p[i])
		}
	}
}

// The points mean what the scale says: the probabilities are calibrated.
func TestPointsMeanOdds(t *testing.T) {
	m, test := fit(t, modeltest.Easy(5000, 1)), modeltest.Easy(5000, 2)
	p := make([]float64, test.Len())
	if err := m.Predict(p, test); err != nil {
		t.Fatal(err)
	}
	if ece := metric.ECE(p, test.Y, nil, 10); ece > .03 {
		t.Errorf("ECE %.3f", ece)
	}
}

// lookUp finds the bin as a reader of the card would, and there must be one only.
func lookUp(t *testing.T, bins []scorecard.Bin, j int, x float64) (found scorecard.Bin) {
	t.Helper()
	n := 0
	take := func(b scorecard.Bin) { found = b; n++ }
	var other *scorecard.Bin
	for _, b := range bins {
		switch {
		case b.Column != j:
		case math.IsNaN(x):
			if b.Missing {
				take(b)
			}
		case b.Missing:
		case b.Other:
			other = &b
		case b.Category:
			if b.Level == x {
				take(b)
			}
		case b.From <= x && x < b.To:
			take(b)
		}
	}
	if n == 0 && other != nil {
		return *other
	}
	if n != 1 {
		t.Fatalf("column %d holding %v falls in %d bins", j, x, n)
	}
	return found
}

// A step in the rate is found where it is.
func TestCutsWhereTheRateSteps(t *testing.T) {
	rng := rand.New(rand.NewPCG(2, 2))
	table := &models.Table{Columns: []models.Column{{Name: "x"}}, X: make([][]float64, 1)}
	for range 2000 {
		x, y := 1e-9*rng.Float64(), 0. // so small that six decimals would not do
		if rng.Float64() < map[bool]float64{true: .8, false: .2}[x > .7e-9] {
			y = 1
		}
		table.X[0], table.Y = append(table.X[0], x), append(table.Y, y)
	}
	_, bins := fit(t, table).Card()
	best, gap := 0., 0.
	for k := 1; k < len(bins)-1; k++ {
		if d := float64(bins[k].Points - bins[k-1].Points); d > gap {
			best, gap = bins[k].From, d
		}
	}
	if math.Abs(best-.7e-9) > .03e-9 {
		t.Errorf("the largest step is at %v, want 0.7e-9", best)
	}
	if n := len(bins) - 1; n < 2 || n > 6 {
		t.Errorf("%d bins", n)
	}
}

func FuzzLoad(f *testing.F) {
	b, err := fit(f, modeltest.Easy(200, 1)).MarshalBinary()
	if err != nil {
		f.Fatal(err)
	}
	f.Add(b)
	f.Fuzz(func(t *testing.T, b []byte) {
		if m, err := scorecard.Load(b); err == nil {
			m.PredictRows(make([]float64, 1), make([]float64, m.Width()))
		}
	})
}

func BenchmarkFit(b *testing.B) {
	t := modeltest.Easy(2000, 1)
	for b.Loop() {
		fit(b, t)
	}
}
