package trial

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"math"
	"strings"
	"testing"

	"bellwether/models"
	"bellwether/models/calibrate"
	"bellwether/models/gbdt"
	"bellwether/models/logit"
)

func fitted(t testing.TB, name string) (*Predictor, *models.Table) {
	t.Helper()
	table := world(1500, 21, false)
	learners, err := Learners(name)
	if err != nil {
		t.Fatal(err)
	}
	m, err := learners[0].Fit(context.Background(), table, nil, 1)
	if err != nil {
		t.Fatal(err)
	}
	raw := make([]float64, table.Len())
	if err := m.Predict(raw, table); err != nil {
		t.Fatal(err)
	}
	c, err := calibrate.Fit(calibrate.VennAbers, raw, table.Y, nil)
	if err != nil {
		t.Fatal(err)
	}
	return &Predictor{table.Columns, name, m, c, nil}, table
}

func TestPredictorRoundTripsBitForBit(t *testing.T) {
	for _, name := range []string{"gbdt", "hazard", "logit", "scorecard", "bayes"} {
		t.Run(name, func(t *testing.T) {
			p, table := fitted(t, name)
			b := mustBytes(t, p)
			q, err := LoadPredictor(b)
			if err != nil {
				t.Fatal(err)
			}
			if again := mustBytes(t, q); !bytes.Equal(b, again) {
				t.Error("loaded and saved, other bytes")
			}
			want, got := make([]Probability, table.Len()), make([]Probability, table.Len())
			if err := p.Predict(want, table); err != nil {
				t.Fatal(err)
			}
			if err := q.Predict(got, table); err != nil {
				t.Fatal(err)
			}
			rows := make([]float64, 3*table.Len())
			for i := range table.Len() {
				table.Row(rows[3*i:3*i+3], i)
			}
			flat := make([]Probability, table.Len())
			q.PredictRows(flat, rows, &Scratch{})
			for i := range want {
				if got[i] != want[i] || flat[i] != want[i] {
					t.Fatalf("row %d: %v, loaded %v, as rows %v", i, want[i], got[i], flat[i])
				}
				if !(want[i].Lo <= want[i].P && want[i].P <= want[i].Hi && want[i].P > 0 && want[i].P < 1) {
					t.Fatalf("row %d: %v", i, want[i])
				}
			}
		})
	}
}

func TestPredictMatchesColumnsByName(t *testing.T) {
	p, table := fitted(t, "gbdt")
	want := make([]Probability, table.Len())
	if err := p.Predict(want, table); err != nil {
		t.Fatal(err)
	}
	turned := &models.Table{
		Columns: []models.Column{table.Columns[2], {Name: "other"}, table.Columns[1], table.Columns[0]},
		X:       [][]float64{table.X[2], make([]float64, table.Len()), table.X[1], table.X[0]},
	}
	got := make([]Probability, table.Len())
	if err := p.Predict(got, turned); err != nil {
		t.Fatal(err)
	}
	for i := range want {
		if want[i] != got[i] {
			t.Fatalf("row %d: %v, turned %v", i, want[i], got[i])
		}
	}
	lacking := &models.Table{Columns: table.Columns[:1], X: table.X[:1]}
	if err := p.Predict(got, lacking); !errors.Is(err, models.ErrWidth) || !strings.Contains(err.Error(), "has no c, dust, which the model wants; it has x") {
		t.Errorf("two columns missing: %v", err)
	}
	wrong := *table
	wrong.Columns = []models.Column{{Name: "x"}, {Name: "c"}, {Name: "dust"}}
	if err := p.Predict(got, &wrong); !errors.Is(err, models.ErrWidth) || !strings.Contains(err.Error(), "c (the model wants a category)") {
		t.Errorf("another kind: %v", err)
	}
}

func TestPredictKeepsTheOrderOfScores(t *testing.T) {
	p, table := fitted(t, "gbdt")
	raw, q := make([]float64, table.Len()), make([]Probability, table.Len())
	if err := p.Model.Predict(raw, table); err != nil {
		t.Fatal(err)
	}
	if err := p.Predict(q, table); err != nil {
		t.Fatal(err)
	}
	for i := 1; i < len(raw); i++ {
		if raw[i-1] < raw[i]-1e-6 && !(q[i-1].P < q[i].P) || raw[i-1] == raw[i] && q[i-1] != q[i] {
			t.Fatalf("scores %v, %v became %v, %v", raw[i-1], raw[i], q[i-1].P, q[i].P)
		}
	}
}

func TestPredictRowsDoesNotAllocate(t *testing.T) {
	p, table := fitted(t, "gbdt")
	dst, rows := make([]Probability, 50), make([]float64, 150)
	for i := range dst {
		table.Row(rows[3*i:3*i+3], i)
	}
	var s Scratch
	p.PredictRows(dst, rows, &s)
	if n := testing.AllocsPerRun(20, func() { p.PredictRows(dst, rows, &s) }); n != 0 {
		t.Errorf("%v allocations", n)
	}
	defer func() {
		if recover() == nil {
			t.Error("wrong width did not panic")
		}
	}()
	p.PredictRows(dst, rows[1:], &s)
}

func TestLoadPredictorRefusesDamage(t *testing.T) {
	p, _ := fitted(t, "logit")
	b := mustBytes(t, p)
	for i := 0; i < len(b); i += 1 + i/64 {
		damaged := bytes.Clone(b)
		damaged[i] ^= 0x40
		if _, err := LoadPredictor(damaged); !errors.Is(err, models.ErrCorrupt) {
			t.Fatalf("byte %d changed: %v", i, err)
		}
	}
	for _, n := range []int{0, 5, 40, len(b) / 2, len(b) - 1} {
		if _, err := LoadPredictor(b[:n]); !errors.Is(err, models.ErrCorrupt) {
			t.Errorf("cut to %d: %v", n, err)
		}
	}
	stranger := *p
	stranger.Learner = "deep_thought"
	if _, err := LoadPredictor(mustBytes(t, &stranger)); err == nil || !strings.Contains(err.Error(), "deep_thought") || !strings.Contains(err.Error(), "gbdt") {
		t.Errorf("unknown learner: %v", err)
	}
	narrow := *p
	narrow.Columns = p.Columns[:2]
	if _, err := LoadPredictor(mustBytes(t, &narrow)); !errors.Is(err, models.ErrCorrupt) {
		t.Errorf("width: %v", err)
	}
}

// The fuzzer may write the parts; the checksum is put right, so that what is
// below it is reached.
func FuzzLoadPredictor(f *testing.F) {
	p, table := fitted(f, "logit")
	p.Calibrator, _ = calibrate.Fit(calibrate.Platt, []float64{.1, .2, .3, .4}, []float64{0, 1, 0, 1}, nil)
	small, err := gbdt.Learner{Trees: 2, Leaves: 4}.Fit(context.Background(), table, nil, 1)
	if err != nil {
		f.Fatal(err)
	}
	for _, p := range []*Predictor{p, {p.Columns, "gbdt", small, p.Calibrator, []calibrate.Sets{{Level: .9, One: .2, Zero: .7}}}} {
		b := mustBytes(f, p)
		f.Add(b[len(predictorMagic) : len(b)-32])
	}
	f.Add(binary.LittleEndian.AppendUint32(nil, math.MaxUint32))
	f.Fuzz(func(t *testing.T, body []byte) {
		p, err := LoadPredictor(seal(append([]byte(predictorMagic), body...)))
		if err != nil {
			return
		}
		if p.Model.Width() != len(p.Columns) {
			t.Fatal("loaded with another width")
		}
		mustBytes(t, p)
	})
}

func TestLearners(t *testing.T) {
	all, err := Learners("all")
	if err != nil {
		t.Fatal(err)
	}
	some, _ := Learners()
	if len(some) >= len(all) || len(some) == 0 {
		t.Errorf("%d by default of %d", len(some), len(all))
	}
	for _, l := range all {
		if loaders[l.Name()] == nil {
			t.Errorf("%s cannot be loaded back", l.Name())
		}
	}
	if got, _ := Learners("logit"); len(got) != 1 || got[0].Name() != (logit.Learner{}).Name() {
		t.Errorf("logit alone: %v", got)
	}
	if _, err := Learners("magic"); err == nil || !strings.Contains(err.Error(), "magic") {
		t.Errorf("magic: %v", err)
	}
}

// A card's text may change on purpose only.
func TestCard(t *testing.T) {
	r, p := mustRun(t, world(3000, 31, false), Config{Seeds: 2, Learners: []models.Learner{logit.Learner{}}})
	for i := range r.Leaderboard {
		r.Leaderboard[i].FitSeconds = 0
	}
	card := NewCard("deals", r, p, []string{"deals.csv, SHA-256 00ff"})
	files, err := card.Files(p)
	if err != nil {
		t.Fatal(err)
	}
	again, _ := card.Files(p)
	for name, b := range files {
		if !bytes.Equal(b, again[name]) {
			t.Errorf("%s differs from time to time", name)
		}
	}
	for _, want := range []string{"# Model card: deals", "| learner | logit |", "deals.csv, SHA-256 00ff", r.Fingerprint, "95 % interval", "2023-11-14", "venn-abers", "| base_rate |", "2 fits"} {
		if !strings.Contains(string(files["card.md"]), want) {
			t.Errorf("card.md lacks %q", want)
		}
	}
	if _, err := LoadPredictor(files["test.bin"]); err != nil {
		t.Error(err)
	}
	svg := string(files["reliability.svg"])
	if strings.Count(svg, "<circle") != len(r.Reliability) || strings.Contains(svg, "NaN") || !strings.HasSuffix(svg, "</svg>\n") || !strings.Contains(svg, "prefers-color-scheme: dark") {
		t.Errorf("picture:\n%s", svg)
	}
}
