package bayes_test

import (
	"context"
	"math"
	"testing"

	"bellwether/models"
	"bellwether/models/bayes"
	"bellwether/models/modeltest"
)

func load(b []byte) (models.Model, error) {
	m, err := bayes.Load(b)
	if err != nil {
		return nil, err
	}
	return m, nil
}

func TestContract(t *testing.T) { modeltest.Check(t, bayes.Learner{}, load, modeltest.MinAUC(.85)) }

// One category of two levels and six rows, counted by hand: golearn's smoothing
// is (count + 1) / (rows of the class + 1).
func TestByHand(t *testing.T) {
	table := &models.Table{
		Columns: []models.Column{{Name: "c", Kind: models.Category}},
		X:       [][]float64{{1, 1, 1, 2, 2, 2}},
		Y:       []float64{1, 1, 0, 0, 0, 1},
	}
	l := bayes.Learner{}
	l.Levels.MinLevel = 2
	m, err := l.Fit(context.Background(), table, nil, 0)
	if err != nil {
		t.Fatal(err)
	}
	p := make([]float64, 6)
	if err := m.Predict(p, table); err != nil {
		t.Fatal(err)
	}
	// Bits: level 1, level 2, other. For class 1: 3/4, 2/4, 1/4; for class 0:
	// 2/4, 3/4, 1/4. A row of level 1 sets the first alone.
	one := (3. / 4) * (2. / 4) * (3. / 4)
	zero := (2. / 4) * (1. / 4) * (3. / 4)
	if want := one / (one + zero); math.Abs(p[0]-want) > 1e-12 {
		t.Errorf("P = %v, want %v", p[0], want)
	}
}

func TestRowsUsed(t *testing.T) {
	m, err := bayes.Learner{}.Fit(context.Background(), modeltest.Easy(2500, 1), nil, 1)
	if err != nil {
		t.Fatal(err)
	}
	if got := m.(*bayes.Model).RowsUsed(); got != 2000 {
		t.Errorf("of 2500 rows %d were used, want 2000", got)
	}
}

func FuzzLoad(f *testing.F) {
	m, err := bayes.Learner{}.Fit(context.Background(), modeltest.Easy(200, 1), nil, 1)
	if err != nil {
		f.Fatal(err)
	}
	b, err := m.MarshalBinary()
	if err != nil {
		f.Fatal(err)
	}
	f.Add(b)
	f.Fuzz(func(t *testing.T, b []byte) {
		if m, err := bayes.Load(b); err == nil && m.Width() == 5 {
			if err := m.Predict(make([]float64, 3), modeltest.Easy(3, 1)); err != nil {
				t.Fatal(err)
			}
		}
	})
}

func BenchmarkFit(b *testing.B) {
	t := modeltest.Easy(2000, 1)
	for b.Loop() {
		if _, err := (bayes.Learner{}).Fit(context.Background(), t, nil, 1); err != nil {
			b.Fatal(err)
		}
	}
}
