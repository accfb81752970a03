package health

import (
	"context"
	"errors"
	"math"
	"slices"
	"testing"

	"bellwether/features"
	"bellwether/models"
	"bellwether/models/gbdt"
	"bellwether/models/survival"
)

func TestWeightsAreThoseOfTheDesign(t *testing.T) {
	var got []float64
	columns := []models.Column{{Name: "other"}}
	good, bad := []float64{7}, []float64{7}
	set := features.NewSet(features.Schema{}, features.Options{})
	for _, p := range handSet {
		got = append(got, p.weight)
		for _, x := range p.measures {
			columns = append(columns, models.Column{Name: x.column})
			good, bad = append(good, x.good), append(bad, x.bad)
			if _, ok := set.Column(x.column); !ok {
				t.Errorf("%s reads %s, which is no feature", p.name, x.column)
			}
		}
	}
	if !slices.Equal(got, []float64{30, 20, 20, 15, 15}) {
		t.Errorf("weights %v", got)
	}
	m := NewWeights(columns)
	if g, b := m.Score(good), m.Score(bad); math.Abs(g-100) > 1e-9 || math.Abs(b) > 1e-9 {
		t.Errorf("the best partner scores %v, the worst %v", g, b)
	}
	good[1] = handSet[0].measures[0].bad + 1000 // beyond hopeless is no worse
	if x := m.Score(good); math.Abs(x-90) > 1e-9 {
		t.Errorf("with one measure of business at its worst: %v", x)
	}
	good[1] = math.NaN()
	if x := m.Score(good); math.Abs(x-95) > 1e-9 {
		t.Errorf("with one measure of business unknown: %v", x)
	}
	if x := NewWeights([]models.Column{{Name: "other"}}).Score([]float64{1}); x != 50 {
		t.Errorf("with nothing known: %v", x)
	}
}

func TestWeightsAsLearner(t *testing.T) {
	table := &models.Table{Columns: []models.Column{{Name: "x"}, {Name: "partner_days_since_business"}}, X: [][]float64{{1, 2, 3}, {1, 60, 400}}, Y: []float64{0, 0, 1}}
	m, err := Weights{}.Fit(context.Background(), table, nil, 1)
	if err != nil {
		t.Fatal(err)
	}
	p := make([]float64, 3)
	if err := m.Predict(p, table); err != nil || !(p[0] < p[1] && p[1] < p[2]) {
		t.Errorf("%v, %v: longer without business is no riskier", p, err)
	}
	rows := make([]float64, 3)
	m.(models.RowsPredictor).PredictRows(rows, []float64{1, 1, 2, 60, 3, 400})
	if !slices.Equal(rows, p) {
		t.Errorf("rows %v, table %v", rows, p)
	}
	b, err := m.MarshalBinary()
	if err != nil {
		t.Fatal(err)
	}
	again, err := LoadWeights(b)
	if err != nil {
		t.Fatal(err)
	}
	if err := again.Predict(rows, table); err != nil || !slices.Equal(rows, p) {
		t.Errorf("loaded: %v, %v", rows, err)
	}
	moved := make([]float64, 2)
	if m.(*WeightsModel).Contributions(moved, []float64{9, 400}); moved[0] != 0 || moved[1] <= 0 {
		t.Errorf("contributions %v", moved)
	}
	if err := m.Predict(p, &models.Table{X: [][]float64{{1, 2, 3}}}); !errors.Is(err, models.ErrWidth) {
		t.Errorf("another width: %v", err)
	}
	if _, err := (Weights{}).Fit(context.Background(), &models.Table{}, nil, 1); !errors.Is(err, models.ErrEmpty) {
		t.Errorf("no rows: %v", err)
	}
}

func TestLearners(t *testing.T) {
	in := []models.Learner{gbdt.Learner{}, gbdt.Learner{Leaves: 31}}
	got := Learners(in)
	if len(got) != 3 || got[0].(gbdt.Learner).Leaves != 8 || got[0].(gbdt.Learner).MinRows != 60 || got[1].(gbdt.Learner).Leaves != 31 || got[2].Name() != "hand_set_weights" {
		t.Errorf("%+v", got)
	}
	if in[0].(gbdt.Learner).Leaves != 0 {
		t.Error("the caller's list was changed")
	}
}

func FuzzLoadWeights(f *testing.F) {
	b, _ := NewWeights([]models.Column{{Name: "partner_survey_last"}}).MarshalBinary()
	f.Add(b)
	f.Add(b[:len(b)-1])
	f.Fuzz(func(t *testing.T, b []byte) {
		m, err := LoadWeights(b)
		if err != nil {
			if !errors.Is(err, models.ErrCorrupt) {
				t.Errorf("%v is not ErrCorrupt", err)
			}
			return
		}
		if m.Width() < 1<<16 {
			m.Score(make([]float64, m.Width()))
		}
	})
}

func FuzzLoadAlive(f *testing.F) {
	b, _ := MarshalAlive(&survival.BGNBD{R: 0.243, Alpha: 4.414, A: 0.793, B: 2.426})
	f.Add(b)
	f.Add([]byte(`{"R":0,"Alpha":1,"A":1,"B":1}`))
	f.Fuzz(func(t *testing.T, b []byte) {
		m, err := LoadAlive(b)
		if err != nil {
			if !errors.Is(err, models.ErrCorrupt) {
				t.Errorf("%v is not ErrCorrupt", err)
			}
			return
		}
		if x := m.Alive(2, 10, 20); !(x >= 0 && x <= 1) && m.Alpha > 1e-300 {
			t.Errorf("P(alive) %v of %+v", x, m)
		}
	})
}

func TestAliveRoundTrip(t *testing.T) {
	_, a := judged()
	b, err := MarshalAlive(a.Alive)
	if err != nil {
		t.Fatal(err)
	}
	got, err := LoadAlive(b)
	if err != nil || *got != *a.Alive {
		t.Errorf("%+v, %v, want %+v", got, err, a.Alive)
	}
}

func TestDriverText(t *testing.T) {
	for _, c := range []struct {
		f         features.Feature
		x, median float64
		want      string
	}{
		{features.Feature{Unit: "days", Meaning: "since it won a deal"}, 74, 9, "74 days since it won a deal (usual: 9 days)"},
		{features.Feature{Unit: "days", Meaning: "since it won a deal"}, math.NaN(), 9, "not once so far: it won a deal"},
		{features.Feature{Unit: "share", Meaning: "offers accepted"}, 0.314, 0.7, "offers accepted: 31 % (usual: 70 %)"},
		{features.Feature{Unit: "log ratio", Meaning: "portal use"}, math.Log(0.25), 0, "portal use: 0.25 times (usual: 1 times)"},
		{features.Feature{Unit: "log(1 + base currency)", Meaning: "mean deal"}, math.Log(12346), math.NaN(), "mean deal: 12,345 base currency"},
		{features.Feature{Unit: "0 to 10", Meaning: "newest score"}, 3, 8, "newest score: 3.0 (usual: 8.0)"},
		{features.Feature{Unit: "offers", Meaning: "offers made to it"}, 4, 4, "offers made to it: 4 offers"},
		{features.Feature{Unit: "hours", Meaning: "time to answer"}, math.NaN(), 20, "time to answer: unknown (usual: 20 hours)"},
		{features.Feature{Unit: "category", Meaning: "its tier", Kind: models.Category}, 12345, 1, "its tier"},
	} {
		if got := driverText(&c.f, c.x, c.median); got != c.want {
			t.Errorf("%q, want %q", got, c.want)
		}
	}
}

// TestThemes: every partner feature tells one of the stories, and few are left
// to the last.
func TestThemes(t *testing.T) {
	set := features.NewSet(features.Schema{}, features.Options{})
	_, from, to := set.Sides()
	rest := 0
	for _, f := range set.Features()[from:to] {
		if themes[themeOf(f.Name)].name == "profile" {
			rest++
		}
	}
	if rest > 15 {
		t.Errorf("%d features tell no story", rest)
	}
}
