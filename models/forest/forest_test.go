package forest_test

import (
	"context"
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
	modeltest.Check(t, forest.Learner{Trees: 12}, load, modeltest.Rows(400), modeltest.MinAUC(.78))
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
