package tune

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"math"
	"math/rand/v2"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"bellwether/models"
	"bellwether/models/gbdt"
	"bellwether/models/trial"
)

// world is a table with time of which a straight line tells the label, so that
// few leaves are best.
func world(n int, seed uint64) *models.Table {
	rng := rand.New(rand.NewPCG(seed, 1))
	t := &models.Table{Columns: []models.Column{{Name: "x"}, {Name: "c", Kind: models.Category}, {Name: "dust"}}, X: make([][]float64, 3)}
	for i := range n {
		x, c := rng.NormFloat64(), float64(rng.IntN(5))
		y := 0.0
		if rng.Float64() < 1/(1+math.Exp(-x-c/4)) {
			y = 1
		}
		t.X[0], t.X[1], t.X[2] = append(t.X[0], x), append(t.X[1], c), append(t.X[2], rng.Float64())
		t.Y, t.At = append(t.Y, y), append(t.At, int64(i)*60)
	}
	return t
}

func foldsOf(t testing.TB, n int) *trial.Folds {
	t.Helper()
	f, err := trial.NewFolds(world(1500, 1), trial.Config{Task: "test"}, n)
	if err != nil {
		t.Fatal(err)
	}
	return f
}

var small = Search{Task: "test", Draws: 9, MaxTrees: 60, Seed: 7}

func mustRun(t testing.TB, s Search, f *trial.Folds, state *State) *Result {
	t.Helper()
	r, err := s.Run(context.Background(), f, state)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

func asJSON(t testing.TB, v any) []byte {
	t.Helper()
	b, err := json.Marshal(v)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// Stopped after any number of fits and started again from what was saved, a
// search finds what it would have found.
func TestResumedIsUninterrupted(t *testing.T) {
	folds := foldsOf(t, 3)
	want := asJSON(t, mustRun(t, small, folds, nil))
	stop := errors.New("stopped")
	for _, after := range []int{1, 5, 11, 14} {
		var saved []byte
		fits := 0
		s := small
		s.Save = func(state *State) error {
			saved = asJSON(t, state)
			if fits++; fits == after {
				return stop
			}
			return nil
		}
		if _, err := s.Run(context.Background(), folds, nil); !errors.Is(err, stop) {
			t.Fatalf("after %d fits: %v", after, err)
		}
		var state State
		if err := json.Unmarshal(saved, &state); err != nil {
			t.Fatal(err)
		}
		again := 0
		s.Save = func(*State) error { again++; return nil }
		if got := asJSON(t, mustRun(t, s, folds, &state)); !bytes.Equal(got, want) {
			t.Errorf("after %d fits, resumed:\n%s\nuninterrupted:\n%s", after, got, want)
		}
		if fits+again != 10+4+2 {
			t.Errorf("%d fits and %d more; 16 are all there are", fits, again)
		}
	}
}

func TestStateOfAnotherSearch(t *testing.T) {
	folds := foldsOf(t, 2)
	var state *State
	s := small
	s.Draws, s.Save = 2, func(of *State) error { state = of; return nil }
	mustRun(t, s, folds, nil)
	other := s
	other.Seed++
	for name, f := range map[string]func() error{
		"another seed":  func() error { _, err := other.Run(context.Background(), folds, state); return err },
		"other folds":   func() error { _, err := s.Run(context.Background(), foldsOf(t, 3), state); return err },
		"a wrong place": func() error { state.Done[0].Fold = 9; _, err := s.Run(context.Background(), folds, state); return err },
	} {
		if err := f(); !errors.Is(err, ErrOther) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestFindsWhatIsSimpler(t *testing.T) {
	var steps []Step
	s := small
	s.Progress = func(at Step) { steps = append(steps, at) }
	r := mustRun(t, s, foldsOf(t, 3), nil)
	if r.Best.Loss > r.Default.Loss || r.Gain < 0 || len(r.Best.Losses) != 3 || len(r.Default.Losses) != 3 {
		t.Errorf("best %+v, default %+v", r.Best, r.Default)
	}
	// 31 leaves of 20 rows are far too many for a straight line in 1,200 rows.
	if p := r.Best.Params; r.Gain == 0 || p.Leaves*20 > 600 && p.MinRows <= 20 {
		t.Errorf("a straight line was best fitted by %s, gain %v", p, r.Gain)
	}
	if len(r.Settings) != 10 || len(r.Folds) != 3 || len(r.Importance) != len(space) {
		t.Errorf("%d settings, %d folds, %d importances", len(r.Settings), len(r.Folds), len(r.Importance))
	}
	if last := steps[len(steps)-1]; len(steps) != 16 || last.Total != 16 || last.Done != 15 || !math.IsNaN(steps[0].Best) || math.IsNaN(last.Best) {
		t.Errorf("%d steps, the last %+v", len(steps), last)
	}
	svg, err := r.SVG()
	if err != nil || !strings.Contains(string(svg), "feature_fraction") || !bytes.HasPrefix(svg, []byte("<svg")) {
		t.Errorf("picture of %d bytes, %v", len(svg), err)
	}
}

// What paramsOf writes out is what gbdt takes for its defaults.
func TestDefaultsAreGBDTs(t *testing.T) {
	table := world(800, 2)
	var models [2][]byte
	for i, l := range []gbdt.Learner{{}, paramsOf(gbdt.Learner{}).Learner()} {
		m, err := l.Fit(context.Background(), table, nil, 1)
		if err != nil {
			t.Fatal(err)
		}
		if models[i], err = m.MarshalBinary(); err != nil {
			t.Fatal(err)
		}
	}
	if !bytes.Equal(models[0], models[1]) {
		t.Error("written out, the defaults fit another model")
	}
	if p := paramsOf(gbdt.Learner{Leaves: 8, MinRows: 60}); p.Leaves != 8 || p.MinRows != 60 || p.Learner().Leaves != 8 {
		t.Errorf("defaults of a task: %s", p)
	}
}

func TestDrawsAreInSpaceAndSpread(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		n := rapid.IntRange(1, 60).Draw(t, "n")
		seed := rapid.Uint64().Draw(t, "seed")
		for i, p := range draw(n, seed) {
			if err := p.Check(); err != nil {
				t.Fatal(err)
			}
			for _, a := range space {
				if u := a.place(a.get(&p)); u < -0.06 || u > 1.06 {
					t.Fatalf("draw %d: %s is %v", i, a.name, a.get(&p))
				}
			}
			if p.MinRows == 0 || p.L2 == 0 || p.Pairs == 0 {
				t.Fatalf("draw %d would mean a default: %s", i, p)
			}
		}
	})
	var halves [2]int
	for _, p := range draw(26, 1) {
		halves[int(math.Floor(2*space[0].place(float64(p.Leaves))))&1]++
	}
	if halves[0] < 9 || halves[1] < 9 {
		t.Errorf("leaves: %v in the halves of the range", halves)
	}
}

// Of two settings one matters in full and one not at all.
func TestExplained(t *testing.T) {
	rng := rand.New(rand.NewPCG(1, 1))
	var x, dust, y []float64
	for range 30 {
		v := rng.Float64()
		x, dust, y = append(x, v), append(dust, rng.Float64()), append(y, (v-0.4)*(v-0.4))
	}
	if got := explained(x, y); got < 0.999 {
		t.Errorf("a parabola is explained by %.3f", got)
	}
	if got := explained(dust, y); got > 0.2 {
		t.Errorf("dust explains %.3f", got)
	}
	if got := explained(make([]float64, 30), y); got != 0 {
		t.Errorf("a constant explains %.3f", got)
	}
}

// Of a handful of settings nothing is said.
func TestFewSettingsExplainNothing(t *testing.T) {
	s := small
	s.Draws, s.MaxTrees = 3, 20
	r := mustRun(t, s, foldsOf(t, 2), nil)
	if r.Importance == nil || len(r.Importance) != 0 {
		t.Errorf("%+v", r.Importance)
	}
	if svg, err := r.SVG(); err != nil || strings.Contains(string(svg), "variance") {
		t.Errorf("the picture says what mattered, %v", err)
	}
}

func TestCheck(t *testing.T) {
	for _, bad := range []Params{{Trees: -1}, {Leaves: 1}, {LearningRate: 2}, {LearningRate: math.NaN()}, {RowFraction: 1.5}, {FeatureFraction: -1}, {L2: math.Inf(1)}} {
		if bad.Check() == nil {
			t.Errorf("%+v was taken", bad)
		}
	}
	if err := (Params{}).Check(); err != nil {
		t.Error(err)
	}
}
