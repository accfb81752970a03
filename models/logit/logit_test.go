package logit_test

import (
	"context"
	"encoding/json"
	"math"
	"math/rand/v2"
	"os"
	"testing"

	"bellwether/models"
	"bellwether/models/logit"
	"bellwether/models/modeltest"
)

func load(b []byte) (models.Model, error) {
	m, err := logit.Load(b)
	if err != nil {
		return nil, err
	}
	return m, nil
}

func TestContract(t *testing.T) { modeltest.Check(t, logit.Learner{}, load) }

func TestAgainstScikitLearn(t *testing.T) {
	b, err := os.ReadFile("../testdata/logit/oracle.json")
	if err != nil {
		t.Fatal(err)
	}
	var o struct {
		X             [][]float64
		Y, W, Coef, P []float64
		Intercept     float64
	}
	if err := json.Unmarshal(b, &o); err != nil {
		t.Fatal(err)
	}
	table := &models.Table{Columns: make([]models.Column, len(o.X)), X: o.X, Y: o.Y, Weight: o.W}
	m := fit(t, logit.Learner{}, table)
	terms, intercept := m.Terms()
	for j, term := range terms {
		if math.Abs(term.Coef-o.Coef[j]) > 1e-5 {
			t.Errorf("coefficient %d: %.8f, want %.8f", j, term.Coef, o.Coef[j])
		}
	}
	if math.Abs(intercept-o.Intercept) > 1e-5 {
		t.Errorf("intercept %.8f, want %.8f", intercept, o.Intercept)
	}
	p := make([]float64, len(o.P))
	if err := m.Predict(p, table); err != nil {
		t.Fatal(err)
	}
	for i := range p {
		if math.Abs(p[i]-o.P[i]) > 1e-5 {
			t.Fatalf("row %d: %.8f, want %.8f", i, p[i], o.P[i])
		}
	}
}

func fit(t interface {
	Helper()
	Fatal(...any)
}, l logit.Learner, table *models.Table) *logit.Model {
	t.Helper()
	m, err := l.Fit(context.Background(), table, nil, 0)
	if err != nil {
		t.Fatal(err)
	}
	return m.(*logit.Model)
}

// Missing and rare levels move the odds by coefficients of their own.
func TestMissingSpeaks(t *testing.T) {
	rng := rand.New(rand.NewPCG(1, 1))
	table := &models.Table{Columns: []models.Column{{Name: "x"}, {Name: "c", Kind: models.Category}}, X: make([][]float64, 2)}
	for range 4000 {
		x, c, odds := rng.NormFloat64(), models.Code("often"), -2.
		if rng.IntN(2) == 0 {
			x, odds = math.NaN(), 2
		}
		if rng.IntN(4) == 0 {
			c = float64(rng.IntN(1 << 40)) // each its own level
			odds -= 2
		}
		y := 0.
		if rng.Float64() < 1/(1+math.Exp(-odds)) {
			y = 1
		}
		table.X[0], table.X[1], table.Y = append(table.X[0], x), append(table.X[1], c), append(table.Y, y)
	}
	m := fit(t, logit.Learner{}, table)
	p := make([]float64, 4)
	often, never := models.Code("often"), models.Code("never seen")
	m.PredictRows(p, []float64{math.NaN(), often, 0, often, math.NaN(), never, 0, never})
	for i, odds := range []float64{2, -2, 0, -4} {
		if want := 1 / (1 + math.Exp(-odds)); math.Abs(p[i]-want) > .05 {
			t.Errorf("row %d: %.3f, want about %.3f", i, p[i], want)
		}
	}
}

func FuzzLoad(f *testing.F) {
	b, err := fit(f, logit.Learner{}, modeltest.Easy(200, 1)).MarshalBinary()
	if err != nil {
		f.Fatal(err)
	}
	f.Add(b)
	f.Fuzz(func(t *testing.T, b []byte) {
		if m, err := logit.Load(b); err == nil {
			m.PredictRows(make([]float64, 1), make([]float64, m.Width()))
		}
	})
}

func BenchmarkFit(b *testing.B) {
	const n, w = 200_000, 50
	rng := rand.New(rand.NewPCG(1, 1))
	t := &models.Table{Columns: make([]models.Column, w), X: make([][]float64, w), Y: make([]float64, n)}
	odds := make([]float64, n)
	for j := range w {
		t.X[j] = make([]float64, n)
		for i := range n {
			t.X[j][i] = rng.NormFloat64()
			odds[i] += t.X[j][i] / 10
		}
	}
	for i := range n {
		if rng.Float64() < 1/(1+math.Exp(-odds[i])) {
			t.Y[i] = 1
		}
	}
	for b.Loop() {
		fit(b, logit.Learner{}, t)
	}
}

func BenchmarkPredictRows(b *testing.B) {
	t := modeltest.Easy(1000, 1)
	m := fit(b, logit.Learner{}, t)
	rows, dst := make([]float64, 1000*t.Width()), make([]float64, 1000)
	for i := range 1000 {
		t.Row(rows[i*t.Width():(i+1)*t.Width()], i)
	}
	for b.Loop() {
		m.PredictRows(dst, rows)
	}
}
