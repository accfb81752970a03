package trial

import (
	"context"
	"fmt"
	"math"
	"math/rand/v2"
	"testing"

	"bellwether/models"
	"bellwether/models/modeltest"
	"bellwether/models/target"
)

func TestBaselinesKeepTheContract(t *testing.T) {
	t.Run("best_column", func(t *testing.T) {
		modeltest.Check(t, ColumnRate{}, loaders["best_column"], modeltest.MinAUC(0.7))
	})
	t.Run("base_rate", func(t *testing.T) {
		modeltest.Check(t, BaseRate{}, loaders["base_rate"], modeltest.MinAUC(0.4))
	})
}

func TestColumnRateIsTheShrunkRate(t *testing.T) {
	a, b := models.Code("a"), models.Code("b")
	table := &models.Table{Columns: []models.Column{{Name: "dust"}, {Name: "who", Kind: models.Category}}, X: make([][]float64, 2)}
	for i := range 400 { // a wins 3 of 4, b 1 of 4
		who, y := a, 1.0
		if i%2 == 0 {
			who = b
		}
		if (i/2%4 == 0) == (who == a) {
			y = 0
		}
		table.X[0] = append(table.X[0], float64(i*7919%400))
		table.X[1] = append(table.X[1], who)
		table.Y = append(table.Y, y)
	}
	for _, l := range []ColumnRate{{}, {Column: "who"}} {
		m, err := l.Fit(context.Background(), table, nil, 1)
		if err != nil {
			t.Fatal(err)
		}
		got := make([]float64, 4)
		if err := m.Predict(got, &models.Table{Columns: table.Columns, X: [][]float64{{0, 0, 0, 0}, {a, b, models.Code("new"), math.NaN()}}}); err != nil {
			t.Fatal(err)
		}
		strength := target.Strength([]target.Counter{{N: 200, Pos: 150}, {N: 200, Pos: 50}})
		for i, want := range []float64{target.Mean(target.Counter{N: 200, Pos: 150}, 0.5, strength), target.Mean(target.Counter{N: 200, Pos: 50}, 0.5, strength), 0.5, 0.5} {
			if math.Abs(got[i]-want) > 1e-12 {
				t.Errorf("%s, row %d: %v, want %v", l.Name(), i, got[i], want)
			}
		}
	}
	if _, err := (ColumnRate{Column: "nobody"}).Fit(context.Background(), table, nil, 1); err == nil {
		t.Error("rates of a column that is not there")
	}
}

// A column of a few telling values and many that occur once looks best to rates
// that know their own row. "two" tells all rows apart, if less well.
func TestBestColumnLeavesEachRowOut(t *testing.T) {
	rng := rand.New(rand.NewPCG(3, 3))
	table := &models.Table{Columns: []models.Column{{Name: "mixed", Kind: models.Category}, {Name: "two", Kind: models.Category}}, X: make([][]float64, 2)}
	for i := range 1000 {
		y := float64(rng.IntN(2))
		told := func(rate float64) float64 { // y, or with chance 1-rate the other
			if rng.Float64() < rate {
				return y
			}
			return 1 - y
		}
		mixed := fmt.Sprint("once ", i)
		if i < 600 {
			mixed = fmt.Sprint("often ", told(0.8), i%5)
		}
		table.X[0] = append(table.X[0], models.Code(mixed))
		table.X[1] = append(table.X[1], models.Code(fmt.Sprint(told(0.78))))
		table.Y = append(table.Y, y)
	}
	m, err := ColumnRate{}.Fit(context.Background(), table, nil, 1)
	if err != nil {
		t.Fatal(err)
	}
	if got := table.Columns[m.(*rates).column].Name; got != "two" {
		t.Errorf("best column is %s", got)
	}
}
