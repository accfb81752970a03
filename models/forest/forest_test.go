package forest_test

import (
	"bytes"
	"context"
	"math"
	"testing"

	"bellwether/models"
	"bellwether/models/forest"
	"bellwether/models/modeltest"
)

func load(b []byte) (models.Model, error) {
	m, err := forest.Load(b)
	if err != nil {
		return nil, err
	}
	return m, nil
}

func TestContract(t *testing.T) {
	modeltest.Check(t, forest.Learner{Trees: 6}, load, modeltest.Rows(250), modeltest.MinAUC(.75))
}

// Coarse columns make many splits equally good; which one is taken must not
// depend on the run.
func TestTiesFallTheSameWay(t *testing.T) {
	table := modeltest.Easy(60, 3)
	for _, col := range table.X {
		for i, x := range col {
			col[i] = math.Mod(math.Round(x), 2)
		}
	}
	var first []byte
	for range 10 {
		m, err := forest.Learner{Trees: 8}.Fit(context.Background(), table, nil, 1)
		if err != nil {
			t.Fatal(err)
		}
		b, err := m.MarshalBinary()
		if err != nil {
			t.Fatal(err)
		}
		if first == nil {
			first = b
		}
		if !bytes.Equal(first, b) {
			t.Fatal("the same table and seed gave other bytes")
		}
	}
}

func TestRowsUsed(t *testing.T) {
	for _, c := range []struct{ rows, want int }{{300, 150}, {100, 100}} {
		m, err := forest.Learner{Trees: 1, Rows: 150}.Fit(context.Background(), modeltest.Easy(c.rows, 1), nil, 1)
		if err != nil {
			t.Fatal(err)
		}
		if got := m.(*forest.Model).RowsUsed(); got != c.want {
			t.Errorf("of %d rows %d were used, want %d", c.rows, got, c.want)
		}
	}
}

func FuzzLoad(f *testing.F) {
	m, err := forest.Learner{Trees: 2}.Fit(context.Background(), modeltest.Easy(100, 1), nil, 1)
	if err != nil {
		f.Fatal(err)
	}
	b, err := m.MarshalBinary()
	if err != nil {
		f.Fatal(err)
	}
	f.Add(b)
	f.Fuzz(func(t *testing.T, b []byte) {
		if m, err := forest.Load(b); err == nil && m.Width() == 5 {
			if err := m.Predict(make([]float64, 3), modeltest.Easy(3, 1)); err != nil {
				t.Fatal(err)
			}
		}
	})
}

func BenchmarkFit(b *testing.B) {
	t := modeltest.Easy(2000, 1)
	for b.Loop() {
		if _, err := (forest.Learner{}).Fit(context.Background(), t, nil, 1); err != nil {
			b.Fatal(err)
		}
	}
}
