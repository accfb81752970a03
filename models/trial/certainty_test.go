package trial

import (
	"encoding/json"
	"math"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"bellwether/models"
	"bellwether/models/calibrate"
	"bellwether/models/logit"
	"bellwether/models/metric"
)

// In a world that stays as it was, each label is covered as promised on rows
// nobody has seen, and the report says so.
func TestCertaintyHolds(t *testing.T) {
	r, p := mustRun(t, world(10_000, 41, false), Config{Learners: []models.Learner{logit.Learner{}}})
	if len(r.Certainty) != len(sureLevels) || len(p.Sets) != len(sureLevels) {
		t.Fatalf("%+v", r.Certainty)
	}
	last := Number(1)
	for _, c := range r.Certainty {
		for label, s := range map[string]Share{"0": c.Zeros, "1": c.Ones} {
			// The thresholds are of some 1,000 rows and the shares of as many.
			sd := Number(math.Sqrt(float64(c.Level*(1-c.Level)) / 500))
			if s.Value < c.Level-3*sd || s.Value > c.Level+3*sd || s.Lo > s.Value || s.Hi < s.Value {
				t.Errorf("level %v, label %s: %+v", c.Level, label, s)
			}
		}
		if math.Abs(float64(c.Sure+c.Both+c.None)-1) > 1e-9 || c.Sure > last {
			t.Errorf("%+v", c)
		}
		last = c.Sure
	}
	if c := r.Certainty[0]; c.Sure < 0.3 {
		t.Errorf("at 0.8 the world is told for %v of the rows", c.Sure)
	}
	loaded, err := LoadPredictor(mustBytes(t, p))
	if err != nil || !slices.Equal(loaded.Sets, p.Sets) {
		t.Errorf("loaded: %+v, %v; saved %+v", loaded.Sets, err, p.Sets)
	}
	card := string(NewCard("deals", r, p, nil).Markdown())
	for _, want := range []string{"## Sure enough, or ask a person", "| 90 % |", "## Intervals"} {
		if !strings.Contains(card, want) {
			t.Errorf("the card lacks %q", want)
		}
	}
}

// Where the world moves after the rows that calibrate, the report says that the
// promise was not kept.
func TestCertaintySaysWhenItFails(t *testing.T) {
	table := world(8000, 45, false)
	for i := 6400; i < table.Len(); i++ {
		table.X[0][i] *= -1
	}
	moved, p := mustRun(t, table, Config{Learners: []models.Learner{logit.Learner{}}})
	still, _ := mustRun(t, world(8000, 45, false), Config{Learners: []models.Learner{logit.Learner{}}})
	for k := range moved.Certainty {
		if !moved.Certainty[k].Short || still.Certainty[k].Short {
			t.Errorf("moved %+v, still %+v", moved.Certainty[k], still.Certainty[k])
		}
	}
	if card := string(NewCard("deals", moved, p, nil).Markdown()); !strings.Contains(card, "| 90 % ! |") {
		t.Error("the card does not mark it")
	}
}

// What goes by the probability holds all that goes by the score, and where a
// calibrator rises strictly, nothing else.
func TestLabelsHoldTheSetsOfScores(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		rng := rand.New(rand.NewPCG(rapid.Uint64().Draw(t, "seed"), 1))
		var raw, y []float64
		for range rapid.IntRange(4, 80).Draw(t, "rows") {
			x := float64(rng.IntN(60)) / 59
			raw, y = append(raw, x), append(y, 0)
			if rng.Float64() < x {
				y[len(y)-1] = 1
			}
		}
		y[0], y[1] = 0, 1
		level := rapid.SampledFrom(sureLevels).Draw(t, "level")
		kind := rapid.SampledFrom(calibrate.Kinds()).Draw(t, "kind")
		c, err := calibrate.Fit(kind, raw, y, nil)
		if err != nil {
			t.Fatal(err)
		}
		if c, err = calibrate.WithBand(c, raw, y, nil, nil); err != nil {
			t.Fatal(err)
		}
		sets, err := calibrate.Conformal(raw, y, nil, level)
		if err != nil {
			t.Fatal(err)
		}
		p := &Predictor{Calibrator: c, Sets: []calibrate.Sets{sets}}
		for i := range 61 {
			at := float64(i) / 60
			got, known := p.Labels(probability(c, at), level)
			if want := sets.Of(at); !known || got&want != want {
				t.Fatalf("%s at %v: %s by the probability, %s by the score", kind, at, got, want)
			}
		}
	})
	if got, known := (&Predictor{}).Labels(Probability{}, .9); known || got != calibrate.Both {
		t.Errorf("a predictor without sets knows %s", got)
	}
}

func TestChoiceLooksForward(t *testing.T) {
	rng := rand.New(rand.NewPCG(42, 1))
	n := 5000
	valid := &models.Table{Columns: []models.Column{{Name: "x"}}, X: [][]float64{make([]float64, n)}}
	raw := make([]float64, n)
	for i := range raw {
		raw[i] = rng.Float64()
		truth := 1 / (1 + math.Exp(-3*math.Log(raw[i]/(1-raw[i])))) // Platt's form
		valid.Y = append(valid.Y, 0)
		if rng.Float64() < truth {
			valid.Y[i] = 1
		}
	}
	r := &run{split: &split{timed: true}}
	r.valid = valid
	c, err := r.choose(raw)
	if err != nil {
		t.Fatal(err)
	}
	if c.kind != calibrate.Platt && c.kind != calibrate.Beta {
		t.Errorf("%s was chosen for scores of Platt's form: %v %v", c.kind, c.tried, c.loss)
	}
	// By hand: the last block is judged by a fit on the four before.
	block := r.blocks()
	p, err := blockwise(calibrate.Isotonic, raw, valid, block, true)
	if err != nil {
		t.Fatal(err)
	}
	own, err := calibrate.Fit(calibrate.Isotonic, raw[:4000], valid.Y[:4000], nil)
	if err != nil {
		t.Fatal(err)
	}
	for i := 4000; i < n; i++ {
		if want, _, _ := own.Calibrate(raw[i]); p[i] != want {
			t.Fatalf("row %d: %v, by the blocks before %v", i, p[i], want)
		}
	}
	if got, want := judgedLoss(p, valid, block, true), metric.LogLoss(p[1000:], valid.Y[1000:], nil); math.Abs(got-want) > 1e-12 {
		t.Errorf("loss %v, of all but the first block %v", got, want)
	}
}

func TestCandidates(t *testing.T) {
	many := make([]float64, 2000)
	for i := range many {
		many[i] = float64(i) / 2000
	}
	for _, c := range []struct {
		name string
		raw  []float64
		want []calibrate.Kind
	}{
		{"one score", []float64{.3, .3}, []calibrate.Kind{calibrate.Identity}},
		{"few rows", many[:900], []calibrate.Kind{calibrate.Beta, calibrate.Platt}},
		{"few scores", slices.Repeat(many[:50], 40), []calibrate.Kind{calibrate.Beta, calibrate.Platt}},
		{"many", many, []calibrate.Kind{calibrate.VennAbers, calibrate.Beta, calibrate.Isotonic, calibrate.Platt}},
	} {
		if got := candidates(c.raw); !slices.Equal(got, c.want) {
			t.Errorf("%s: %v", c.name, got)
		}
	}
}

// The report holds the loss each kind was chosen by, and the least belongs to the
// one in use.
func TestReportSaysWhyTheCalibrator(t *testing.T) {
	r, p := mustRun(t, world(8000, 43, false), Config{})
	least, kind := Number(math.Inf(1)), ""
	for _, c := range r.Calibration {
		if c.OutOfTime < least {
			least, kind = c.OutOfTime, c.Kind
		}
	}
	if kind != r.Calibrator || string(p.Calibrator.Kind()) != kind {
		t.Errorf("%s is least, %s in the report, %s in use", kind, r.Calibrator, p.Calibrator.Kind())
	}
	b, err := json.Marshal(r.Calibration)
	if err != nil || !strings.Contains(string(b), `"out_of_time":null`) { // identity
		t.Errorf("%v: %s", err, b)
	}
}

// In a segment whose label is drawn against the model the reliability shows it.
func TestSegmentReliability(t *testing.T) {
	table := world(6000, 44, false)
	values := make([]string, table.Len())
	rng := rand.New(rand.NewPCG(44, 2))
	for i := range values {
		values[i] = "usual"
		if i >= 4800 && i%4 == 0 {
			if values[i] = "odd"; rng.IntN(10) > 0 {
				table.Y[i] = 1
			}
		}
	}
	r, p := mustRun(t, table, Config{Learners: []models.Learner{logit.Learner{}}, Segments: []Segmentation{{"kind", values}}})
	if len(r.Segments) != 2 {
		t.Fatalf("%+v", r.Segments)
	}
	odd, usual := r.Segments[0], r.Segments[1]
	if odd.Rows != 300 || odd.Predicted > odd.ObservedLo || odd.ECE < 0.2 || math.Abs(float64(odd.Observed)-float64(odd.Positives)/300) > 1e-12 {
		t.Errorf("odd: %+v", odd)
	}
	if usual.Predicted < usual.ObservedLo || usual.Predicted > usual.ObservedHi || usual.ECE > 0.08 {
		t.Errorf("usual: %+v", usual)
	}
	card := string(NewCard("deals", r, p, nil).Markdown())
	if strings.Count(card, " ! |") != 1 {
		t.Error("the card marks other segments than the odd one")
	}
}
