package trial

import (
	"math"
	"math/rand/v2"
	"strings"
	"testing"

	"bellwether/models"
	"bellwether/models/calibrate"
	"bellwether/models/logit"
)

// peopled is a world whose rows are of many, each with an effect on the log odds
// of its own that nothing tells before the validation slice begins.
func peopled(n int, seed uint64, apart float64) *models.Table {
	t, rng := world(n, seed, false), rand.New(rand.NewPCG(seed, 2))
	var effects [80]float64
	for k := range effects {
		effects[k] = apart * rng.NormFloat64()
	}
	who := make([]float64, n)
	for i := range who {
		who[i] = float64(rng.IntN(len(effects)))
		if z := t.X[0][i] + effects[int(who[i])]; i >= n*6/10 {
			t.Y[i] = 0
			if rng.Float64() < 1/(1+math.Exp(-z)) {
				t.Y[i] = 1
			}
		}
	}
	t.Columns, t.X = append(t.Columns, models.Column{Name: "who", Kind: models.Category}), append(t.X, who)
	return t
}

// Where the rates of those the rows are of lie apart, intervals of theirs are
// wide and hold, and those of all rows are narrow and do not hold theirs.
func TestIntervalsAreOfThoseNamed(t *testing.T) {
	table := peopled(10_000, 51, 0.8)
	c := Config{Learners: []models.Learner{logit.Learner{}}, Whose: "who"}
	named, p := mustRun(t, table, c)
	if k := named.Intervals; k.Whose != "who" || k.Of != 80 || float64(k.Level) != calibrate.Level || float64(k.Held.Value) < 0.8 || !calibrate.Promises(p.Calibrator) {
		t.Errorf("%+v", k)
	}
	if card := string(NewCard("deals", named, p, nil).Markdown()); !strings.Contains(card, "of one who come true in 90 % of all cases") {
		t.Error("the card does not say whose")
	}
	c.Whose = ""
	all, p := mustRun(t, table, c)
	if k := all.Intervals; k.Of != eceBins || k.Width > named.Intervals.Width/2 {
		t.Errorf("of all rows %+v, of each %+v", k, named.Intervals)
	}
	if card := string(NewCard("deals", all, p, nil).Markdown()); !strings.Contains(card, "10 bins of equal mass") {
		t.Error("the card does not say of what")
	}
	newest := table.Take(rowsFrom(table.Len()*6/10, table.Len()))
	r := &run{Config: Config{Whose: "who"}, tables: tables{test: newest}}
	if k := r.intervals(calibrated(p.Calibrator, rawOf(t, p, newest))); float64(k.Held.Value) > 0.7 {
		t.Errorf("intervals of all rows hold the rates of each: %+v", k)
	}
	if _, _, err := Run(t.Context(), table, Config{Whose: "nobody"}); err == nil || !strings.Contains(err.Error(), `"nobody"`) {
		t.Errorf("of a column that is not there: %v", err)
	}
}

// By hand: of many rows at 0.5 in [0.3, 0.9], what may come true of each of those
// named is told by either end.
func TestIntervalsHaveTwoSides(t *testing.T) {
	const each = 400
	for _, c := range []struct{ rate, held float64 }{{0.2, 0}, {0.35, 1}, {0.5, 1}, {0.85, 1}, {0.97, 0}} {
		table := &models.Table{Columns: []models.Column{{Name: "who"}}, X: [][]float64{nil}}
		var said []Probability
		for i := range each {
			y := 0.0
			if float64(i) < c.rate*each {
				y = 1
			}
			table.X[0], table.Y, said = append(table.X[0], 7), append(table.Y, y), append(said, Probability{0.5, 0.3, 0.9})
		}
		table.X[0][0], table.Y[0] = math.NaN(), 1 // nobody's
		r := &run{Config: Config{Whose: "who"}, tables: tables{test: table}}
		if k := r.intervals(said); k.Of != 1 || float64(k.Held.Value) != c.held || math.Abs(float64(k.Width)-0.6) > 1e-9 {
			t.Errorf("rate %v: %+v", c.rate, k)
		}
	}
}

func rawOf(t *testing.T, p *Predictor, table *models.Table) []float64 {
	t.Helper()
	raw := make([]float64, table.Len())
	if err := p.Model.Predict(raw, table); err != nil {
		t.Fatal(err)
	}
	return raw
}

func rowsFrom(from, to int) (rows []int) {
	for i := from; i < to; i++ {
		rows = append(rows, i)
	}
	return rows
}
