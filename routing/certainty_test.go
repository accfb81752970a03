package routing

import (
	"math"
	"slices"
	"strings"
	"testing"

	"bellwether/datasets/record"
	"bellwether/models/calibrate"
)

// A ranked partner has the sentence exactly where the model's set at the level
// does not hold one label.
func TestAskAPerson(t *testing.T) {
	w := newWorld(300, 1500, 1)
	r, st := w.fold(t, len(w.log))
	asks := func(sets ...calibrate.Sets) []string {
		t.Helper()
		r.Model.Win.Sets = sets
		d, err := r.Route(newLead("new"), st, Request{Now: day0, Seed: 3}, nil)
		if err != nil || len(d.Ranked) == 0 {
			t.Fatalf("%d ranked, %v", len(d.Ranked), err)
		}
		var out []string
		for _, k := range d.Ranked {
			said := ""
			if i := slices.IndexFunc(k.Reasons, func(s string) bool { return strings.HasPrefix(s, "ask a person") }); i >= 0 {
				said = k.Reasons[i]
			}
			out = append(out, said)
		}
		return out
	}
	for _, c := range []struct {
		name string
		sets []calibrate.Sets
		want string
	}{
		{"both", []calibrate.Sets{{Level: sureLevel, One: 0, Zero: 1}}, "cannot tell won from lost"},
		{"neither", []calibrate.Sets{{Level: sureLevel, One: 1, Zero: 0}}, "is unlike the offers"},
		{"sure", []calibrate.Sets{{Level: sureLevel, One: 1, Zero: 1}}, ""},
		{"an older model", nil, ""},
		{"another level", []calibrate.Sets{{Level: 0.8, One: 0, Zero: 1}}, ""},
	} {
		for i, said := range asks(c.sets...) {
			if (said == "") != (c.want == "") || !strings.Contains(said, c.want) {
				t.Errorf("%s: the one ranked %d has %q", c.name, i+1, said)
			}
		}
	}
	if got := (&Case{}).unsure(&record.Candidate{Win: 0.5}); got != "" {
		t.Errorf("without a model: %q", got)
	}
}

// How wide an interval may be is told by what it promises: those of older models
// say less, and decisions made by them replay as they were.
func TestWidestIntervalThatIsEnough(t *testing.T) {
	raw, y := []float64{.1, .4, .4, .8}, []float64{0, 1, 0, 1}
	older, err := calibrate.Fit(calibrate.VennAbers, raw, y, nil)
	if err != nil {
		t.Fatal(err)
	}
	newer, err := calibrate.WithBand(older, raw, y, nil, nil)
	if err != nil {
		t.Fatal(err)
	}
	w := newWorld(300, 1500, 1)
	r, st := w.fold(t, len(w.log))
	enough := func(calibrator calibrate.Calibrator, width float64) bool {
		t.Helper()
		r.Model.Win.Calibrator = calibrator
		c := &Case{}
		if _, err := r.Route(newLead("new"), st, Request{Now: day0, Seed: 3}, c); err != nil {
			t.Fatal(err)
		}
		p := c.profile(0)
		decided, _ := c.set.Column(featDecided)
		p.row[decided] = math.Log1p(100)
		return p.enough(&verdict{}, &record.Candidate{Win: .5, WinLo: .2, WinHi: .2 + width})
	}
	for _, c := range []struct {
		name       string
		calibrator calibrate.Calibrator
		width      float64
		want       bool
	}{
		{"older", older, 0.34, true}, {"older", older, 0.36, false},
		{"newer", newer, 0.49, true}, {"newer", newer, 0.51, false},
	} {
		if got := enough(c.calibrator, c.width); got != c.want {
			t.Errorf("%s, %v wide: enough %v", c.name, c.width, got)
		}
	}
}
