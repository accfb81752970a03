package routing

import (
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
