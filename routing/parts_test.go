package routing

import (
	"math/rand/v2"
	"testing"

	"bellwether/features"
	"bellwether/models"
	"bellwether/models/calibrate"
	"bellwether/models/gbdt"
	"bellwether/models/trial"
)

// trees fits a small ensemble to made-up rows of a set, each column in turn; nil
// is log loss.
func trees(t testing.TB, set *features.Set, seed uint64, count int, of gbdt.Objective) *trial.Predictor {
	t.Helper()
	const n = 800
	rng := rand.New(rand.NewPCG(seed, 1))
	table := &models.Table{Columns: set.Columns(), X: make([][]float64, set.Width()), Y: make([]float64, n), At: make([]int64, n), Known: make([]int64, n)}
	sum := make([]float64, n)
	for j := range table.X {
		table.X[j] = make([]float64, n)
		for i := range table.X[j] {
			table.X[j][i] = float64(rng.IntN(30))
			sum[i] += table.X[j][i] - 14.5
		}
	}
	for i := range table.Y {
		table.At[i], table.Known[i] = int64(i), int64(i+1+i*7919%5000)
		if sum[i]+20*rng.NormFloat64() > 0 {
			table.Y[i] = 1
		}
	}
	l := gbdt.Learner{Trees: count, Objective: of, EarlyStop: -1, Targets: gbdt.Targets{Pairs: -1}}
	m, err := l.Fit(t.Context(), table, nil, seed)
	if err != nil {
		t.Fatal(err)
	}
	raw := make([]float64, n)
	if err := m.Predict(raw, table); err != nil {
		t.Fatal(err)
	}
	c, err := calibrate.Fit(calibrate.VennAbers, raw, table.Y, nil)
	if err != nil {
		t.Fatal(err)
	}
	return &trial.Predictor{Columns: table.Columns, Learner: l.Name(), Model: m, Calibrator: c}
}

// A model scored by parts decides as one scored by whole rows, also after
// partners' states and days moved and a new model took its place.
func TestPartsDecideAsWholeRows(t *testing.T) {
	w := newWorld(120, 3000, 21)
	objectives := []gbdt.Objective{nil, gbdt.Hazard{}}
	for _, position := range []int{len(w.log) / 2, len(w.log)} {
		r, st := w.fold(t, position)
		for seed := uint64(1); seed < 3; seed++ {
			win, accept := trees(t, r.Set, seed, 20, objectives[seed%2]), trees(t, r.Set, seed+10, 15, nil)
			by := &Model{Win: win, Accept: accept, WinID: "win"}
			whole := &Model{Win: win, Accept: accept, WinID: "win"}
			whole.splitting.Do(func() {}) // never split
			for i := range 5 {
				lead := newLead("x")
				req := Request{Now: day0, Seed: uint64(i)}
				r.Model = whole
				want, err := r.Route(lead, st, req, nil)
				if err != nil {
					t.Fatal(err)
				}
				r.Model = by
				got, err := r.Route(lead, st, req, nil)
				if err != nil {
					t.Fatal(err)
				}
				if by.parts.Load() == nil || len(got.Candidates) < 2 {
					t.Fatal("the model was not split, or there is nothing to choose")
				}
				if err := Same(want, got); err != nil {
					t.Fatal(err)
				}
			}
		}
	}
}

// BenchmarkScore is 500 candidates scored by two ensembles, by parts and by
// whole rows.
func BenchmarkScore(b *testing.B) {
	w := newWorld(5000, 20_000, 9)
	w.policy.Rules.Off = []string{RuleContract, RuleCapacity}
	r, st := w.fold(b, len(w.log))
	accept := trees(b, r.Set, 2, 300, nil)
	win, hazard := trees(b, r.Set, 1, 300, nil), trees(b, r.Set, 1, 300, gbdt.Hazard{})
	for _, name := range []string{"by-parts", "whole-rows", "hazard-by-parts"} {
		b.Run(name, func(b *testing.B) {
			r.Model = &Model{Win: win, Accept: accept}
			if name == "hazard-by-parts" {
				r.Model.Win = hazard
			}
			if name == "whole-rows" {
				r.Model.splitting.Do(func() {})
			}
			var s Case
			n := 0
			for b.Loop() {
				d, err := r.Route(newLead("x"), st, Request{Now: day0}, &s)
				if err != nil {
					b.Fatal(err)
				}
				n = len(d.Candidates)
			}
			b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/float64(n), "ns/candidate")
			b.ReportMetric(float64(n), "candidates")
		})
	}
}
