package gbdt

import (
	"context"
	"math"
	"slices"
	"testing"

	"bellwether/models"
	"bellwether/models/modeltest"
	"bellwether/models/target"
)

// value is the input of a row by the words of Input.
func (in Input) value(row []float64) float64 {
	if in.Kind == Number {
		return row[in.Columns[0]]
	}
	key := target.Key(row[in.Columns[0]])
	if len(in.Columns) > 1 {
		key = target.Pair(key, target.Key(row[in.Columns[1]]))
	}
	for i, k := range in.Keys {
		if k == key {
			return in.Values[i]
		}
	}
	return in.Unseen
}

// scores follows the words of Anatomy and Node.
func (a *Anatomy) scores(row []float64) []float64 {
	sums := slices.Clone(a.Base)
	for _, t := range a.Trees {
		at := 0
		for n := t[0]; n.Left != 0; n = t[at] {
			in := a.Inputs[n.Input]
			v := in.value(row)
			right := v > n.Cut
			switch {
			case in.Kind == Level:
				right = n.Right>>int(v)&1 != 0
			case math.IsNaN(v):
				right = n.MissingRight
			}
			at = n.Left
			if right {
				at++
			}
		}
		for k, v := range t[at].Values {
			sums[k] += v
		}
	}
	return sums
}

func TestAnatomyAnswersAsTheModel(t *testing.T) {
	test := modeltest.Easy(300, 4)
	test.X[2][7], test.X[4][8] = models.Code("never seen"), math.NaN()
	for name, l := range map[string]Learner{"native": {Trees: 30}, "rates": {Trees: 30, Targets: Targets{Native: -1}}} {
		m, err := l.fit(context.Background(), modeltest.Easy(1500, 3), nil, 1)
		if err != nil {
			t.Fatal(err)
		}
		a := m.Anatomy()
		kinds := map[string]int{}
		for _, in := range a.Inputs {
			kinds[in.Kind]++
		}
		if kinds[Number] == 0 || kinds[Level] == 0 && name == "native" || kinds[Rate] == 0 {
			t.Errorf("%s: inputs %v", name, kinds)
		}
		want, row := make([]float64, test.Len()), make([]float64, test.Width())
		if err := m.Predict(want, test); err != nil {
			t.Fatal(err)
		}
		for i := range want {
			test.Row(row, i)
			if got := 1 / (1 + math.Exp(-a.scores(row)[0])); math.Abs(got-want[i]) > 1e-14 {
				t.Fatalf("%s: row %d: %v, the model says %v", name, i, got, want[i])
			}
		}
	}
}

// Of a model of hazards the scores are the same to the last bit.
func TestAnatomyScoresHazards(t *testing.T) {
	tab, _ := labelled()
	for _, tab := range []*models.Table{tab, lastingTable(tab, 7000)} {
		m := fitTable(t, Learner{Objective: Hazard{Ages: []int64{600, 3600, 7000}}, Trees: 8, Leaves: 7}, tab)
		a, row := m.Anatomy(), make([]float64, tab.Width())
		if a.Answer != Ends || !slices.Equal(a.Ages, m.Ages()) {
			t.Fatalf("answer %s of ages %v", a.Answer, a.Ages)
		}
		want := make([]float64, len(m.hazards.base))
		for i := range 200 {
			tab.Row(row, i)
			m.hazards.scoresOf(want, m.scorer, source{rows: row, width: m.width})
			if got := a.scores(row); !slices.Equal(got, want) {
				t.Fatalf("row %d: scores %v, the model has %v", i, got, want)
			}
		}
	}
}

func TestAnatomyTellsTheAnswer(t *testing.T) {
	tab, objectives := labelled()
	want := []string{Amount, Pace, Amount, Ends, Chance}
	for i, o := range append(objectives, LogLoss{}) {
		if a := fitTable(t, Learner{Objective: o, Trees: 2}, tab).Anatomy(); a.Answer != want[i] {
			t.Errorf("%T: %s", o, a.Answer)
		}
	}
}
