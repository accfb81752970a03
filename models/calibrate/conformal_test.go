package calibrate_test

import (
	"encoding/json"
	"errors"
	"math"
	"math/rand/v2"
	"testing"

	"pgregory.net/rapid"

	"bellwether/models"
	"bellwether/models/calibrate"
)

// The definition, row by row: a label is in by its p-value.
func TestConformalIsByPValues(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		r := drawRows(t)
		unit := 1.0
		if rapid.Bool().Draw(t, "unweighted") {
			r.w = nil
		} else {
			squares, sum := 0.0, 0.0
			for _, w := range r.w {
				squares += w * w
				sum += w
			}
			unit = squares / sum
		}
		level := rapid.SampledFrom([]float64{.5, .8, .9, .95}).Draw(t, "level")
		sets, err := calibrate.Conformal(r.raw, r.y, r.w, level)
		if err != nil {
			t.Fatal(err)
		}
		raw := cut(r.raw)
		for at := calibrate.Epsilon; at < 1; at += 1. / 24 {
			for label := range 2 {
				total, strange := unit, unit
				for i, x := range raw {
					if r.y[i] != float64(label) {
						continue
					}
					w := 1.0
					if r.w != nil {
						w = r.w[i]
					}
					total += w
					if label == 1 && x <= at || label == 0 && x >= at {
						strange += w
					}
				}
				if want := strange > (1-level)*total; math.Abs(strange-(1-level)*total) > 1e-9 && sets.Of(at).Has(float64(label)) != want {
					t.Fatalf("at %v, label %d, level %v: in %v, by its p-value %v/%v %v (%+v)", at, label, level, !want, strange, total, want, sets)
				}
			}
		}
	})
}

// Whatever the scores are worth, the label is in the set at least as often as
// promised, and not much more often: over 400 draws of calibration rows and rows
// to come, each label within binomial error.
func TestConformalCovers(t *testing.T) {
	const draws, rows = 400, 50
	for _, skill := range []float64{0, 1, 3} {
		for _, level := range []float64{.8, .9} {
			rng := rand.New(rand.NewPCG(3, uint64(10*skill)))
			draw := func(n int) (raw, y []float64) {
				for range n {
					x := rng.NormFloat64()
					label := 0.0
					if rng.Float64() < 1/(1+math.Exp(-skill*x+.5)) {
						label = 1
					}
					raw, y = append(raw, 1/(1+math.Exp(-2*x))), append(y, label) // not calibrated
				}
				return raw, y
			}
			var met, in [2]float64
			for range draws {
				raw, y := draw(200)
				sets, err := calibrate.Conformal(raw, y, nil, level)
				if err != nil {
					t.Fatal(err)
				}
				raw, y = draw(rows)
				for i := range raw {
					met[int(y[i])]++
					if sets.Of(raw[i]).Has(y[i]) {
						in[int(y[i])]++
					}
				}
			}
			for label := range 2 {
				got := in[label] / met[label]
				// The rows of a draw share their thresholds, which vary by about
				// sqrt(level (1-level) / rows of the label); 60 is the rarer label's.
				sd := math.Sqrt(level*(1-level)/met[label]) + math.Sqrt(level*(1-level)/60/draws)
				if got < level-3*sd || got > level+1./60+3*sd {
					t.Errorf("skill %v, level %v, label %d: %.4f of %v rows are covered", skill, level, label, got, met[label])
				}
			}
		}
	}
}

// A higher level never takes a label out.
func TestHigherLevelsHoldMore(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		r := drawRows(t)
		var before calibrate.Sets
		for k, level := range []float64{.5, .7, .8, .9, .99} {
			sets, err := calibrate.Conformal(r.raw, r.y, r.w, level)
			if err != nil {
				t.Fatal(err)
			}
			if k > 0 && (sets.One > before.One || sets.Zero < before.Zero) {
				t.Fatalf("%+v holds less than %+v", sets, before)
			}
			before = sets
			b, err := json.Marshal(sets)
			var back calibrate.Sets
			if err != nil || json.Unmarshal(b, &back) != nil || back != sets {
				t.Fatalf("%+v became %s became %+v", sets, b, back)
			}
		}
	})
}

func TestSetsOfFewAndOdd(t *testing.T) {
	raw, y := []float64{.1, .2, .8, .9}, []float64{0, 0, 1, 1}
	sets, err := calibrate.Conformal(raw, y, nil, .9)
	if err != nil || sets.Of(.5) != calibrate.Both || sets.Of(0) != calibrate.Both || sets.Of(1) != calibrate.Both {
		t.Errorf("two rows of each rule nothing out at 0.9: %+v, %v", sets, err)
	}
	if sets, _ = calibrate.Conformal(raw, y, nil, .5); sets.Of(.95) != calibrate.One || sets.Of(.05) != calibrate.Zero || sets.Of(.5) != calibrate.Nobody {
		t.Errorf("at 0.5: %+v", sets)
	}
	if sets.Of(math.NaN()) != calibrate.Both {
		t.Error("a NaN is sure")
	}
	for set, want := range map[calibrate.Labels]string{calibrate.Nobody: "{}", calibrate.Zero: "{0}", calibrate.One: "{1}", calibrate.Both: "{0, 1}"} {
		if set.String() != want || set.Sure() != (len(want) == 3) {
			t.Errorf("%d: %s, sure %v", set, set, set.Sure())
		}
	}
	for _, level := range []float64{0, 1, math.NaN()} {
		if _, err := calibrate.Conformal(raw, y, nil, level); err == nil {
			t.Errorf("level %v was taken", level)
		}
	}
	if _, err := calibrate.Conformal(raw, []float64{1, 1, 1, 1}, nil, .9); !errors.Is(err, models.ErrOneClass) {
		t.Errorf("one class: %v", err)
	}
	for _, bad := range []string{`{"level":1,"one":0,"zero":1}`, `{"level":0.9,"one":-1,"zero":1}`, `{"level":0.9,"one":0,"zero":2}`, `[]`} {
		if err := json.Unmarshal([]byte(bad), &sets); err == nil {
			t.Errorf("%s was taken", bad)
		}
	}
}
