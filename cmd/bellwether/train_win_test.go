package main

import (
	"encoding/json"
	"fmt"
	"io"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"bellwether/datasets"
	"bellwether/datasets/record"
	"bellwether/datasets/synth"
	"bellwether/features"
	"bellwether/models"
	"bellwether/models/gbdt"
	"bellwether/models/trial"
	"bellwether/routing"
)

const testLead = `{"id":"new","created_at":"2026-06-29T23:59:00Z","industry":"retail","value":{"amount":"1000000","currency":"EUR"}}`

// TestTrainWinAndRoute walks a data scientist's path on a small world: route by
// rules, train, route by the model, and again with the same answer.
func TestTrainWinAndRoute(t *testing.T) {
	dir := t.TempDir()
	world, models, lead := filepath.Join(dir, "world"), filepath.Join(dir, "models"), filepath.Join(dir, "lead.json")
	if err := os.WriteFile(lead, []byte(testLead), 0o644); err != nil {
		t.Fatal(err)
	}
	if code, _, stderr := called("synth", "--out", world, "--partners", "20", "--leads", "2500", "--days", "400"); code != 0 {
		t.Fatal(stderr)
	}
	decide := func(more ...string) (d record.Decision, stderr string) {
		t.Helper()
		code, stdout, stderr := called(append([]string{"route", "--data", world, "--models", models, "--lead", lead, "--json"}, more...)...)
		if code != 0 {
			t.Fatalf("route: exit code %d: %s", code, stderr)
		}
		if err := json.Unmarshal([]byte(stdout), &d); err != nil {
			t.Fatal(err)
		}
		return d, stderr
	}
	if err := os.Mkdir(models, 0o755); err != nil {
		t.Fatal(err)
	}
	if d, _ := decide(); !d.Degraded || d.Chosen == "" || d.Model != "" {
		t.Errorf("without a model: degraded %v, model %q, chosen %q", d.Degraded, d.Model, d.Chosen)
	}
	code, stdout, stderr := called("train", "win", "--data", world, "--models", models, "--learners", "logit", "--seeds", "1", "--json")
	if code != 0 && code != 3 {
		t.Fatalf("train: exit code %d: %s", code, stderr)
	}
	var r trial.Report
	if err := json.Unmarshal([]byte(stdout), &r); err != nil {
		t.Fatalf("%v: %s", err, stdout)
	}
	if r.Task != "win" || !r.Published || code != 0 || r.Split.Train.Rows == 0 || r.Split.Test.Rows == 0 {
		t.Fatalf("exit code %d, published %v, gate %+v, split %+v", code, r.Published, r.Gate, r.Split)
	}
	checkTally(t, &r, stderr)
	first, shown := decide("--greedy")
	if first.Degraded || !strings.HasPrefix(first.Model, "win@v1:") || first.Chosen == "" || !strings.Contains(shown, string(first.Chosen)) {
		t.Errorf("with a model: degraded %v, model %q, chosen %q; said %s", first.Degraded, first.Model, first.Chosen, shown)
	}
	if first.Propensity != 1 && len(first.Candidates) > 1 && first.Candidates[0].Prob != 0 {
		t.Errorf("--greedy left %v to others", 1-first.Propensity)
	}
	again, _ := decide("--greedy")
	if err := routing.Same(&first, &again); err != nil {
		t.Error(err)
	}
	past, _ := decide("--at", "2025-12-01T10:00:00Z")
	if past.Position == 0 || past.Position >= first.Position || past.At.Format("2006-01") != "2025-12" {
		t.Errorf("as of 2025-12-01: position %d, at %v; now %d", past.Position, past.At, first.Position)
	}
}

// checkTally: from the offers made to the rows fitted on, what a step lost has its
// reasons, and people are told all of it.
func checkTally(t *testing.T, r *trial.Report, said string) {
	t.Helper()
	var whats []string
	for i, step := range r.Rows {
		whats = append(whats, step.What)
		lost := 0
		for _, l := range step.Less {
			if lost += l.Rows; !strings.Contains(said, fmt.Sprintf("%d %s", l.Rows, l.Why)) {
				t.Errorf("not told of %+v", l)
			}
		}
		if i > 0 && r.Rows[i-1].Rows-lost != step.Rows {
			t.Errorf("%+v after %+v", step, r.Rows[i-1])
		}
	}
	got := strings.Join(whats, ", ")
	if got != "offers made, with a row, worked on, before the test slice, fitted on for the figures of the test, fitted on first, to choose and calibrate by the validation slice" {
		t.Error(got)
	}
	if r.Rows[0].Rows <= r.Rows[4].Rows || r.Rows[4].Rows != r.Split.Fitted || r.Rows[5].Rows != r.Split.Train.Rows || r.Leaderboard[0].Rows != r.Split.Fitted {
		t.Errorf("%+v: fitted %d, split %+v", r.Rows, r.Leaderboard[0].Rows, r.Split)
	}
}

func TestRouteWrongUse(t *testing.T) {
	dir := t.TempDir()
	file := func(name, text string) string {
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
		return path
	}
	lead := file("lead.json", testLead)
	for _, tt := range []struct {
		args []string
		code int
		text string
	}{
		{[]string{"route", "--data", dir}, 2, "--lead is needed"},
		{[]string{"route", "--lead", lead}, 2, "--data is needed"},
		{[]string{"route", "--data", dir, "--lead", lead, "--at", "yesterday"}, 2, "2026-06-29T09:00:00Z"},
		{[]string{"route", "--data", dir, "--lead", filepath.Join(dir, "none.json")}, 1, "none.json"},
		{[]string{"route", "--data", dir, "--lead", file("bad.json", `{"id":"x","colour":"red"}`)}, 1, "colour"},
		{[]string{"route", "--data", dir, "--lead", file("old.json", `{"id":"x"}`)}, 1, "created_at"},
		{[]string{"route", "--data", dir, "--lead", lead, "--config", file("p.yaml", "policy: {exploraton: {}}")}, 1, "exploraton"},
		{[]string{"route", "--data", dir, "--lead", lead, "--config", file("q.yaml", "policy: {exploration: {share: 2}}")}, 1, "exploration.share"},
		{[]string{"train", "win", "--data", dir}, 1, "holds no records"},
		{[]string{"train", "win", "--learners", "oracle", "--data", dir}, 2, "no learner \"oracle\""},
	} {
		if code, _, stderr := called(tt.args...); code != tt.code || !strings.Contains(stderr, tt.text) {
			t.Errorf("%v: exit code %d, %q; want %d and %q", tt.args, code, stderr, tt.code, tt.text)
		}
	}
}

// TestTrainWinOnIncidents holds the win model against its marks on the newest
// fifth of the first assignments of a real log.
func TestTrainWinOnIncidents(t *testing.T) {
	data := os.Getenv("BELLWETHER_DATA")
	if data == "" || testing.Short() || raceEnabled {
		t.Skip("needs BELLWETHER_DATA, some 30 s, and no race detector")
	}
	dir := filepath.Join(t.TempDir(), "data")
	if code, _, stderr := called("import", "incidents", "--in", filepath.Join(data, "incidents"), "--out", dir); code != 0 {
		t.Fatal(stderr)
	}
	code, stdout, stderr := called("train", "win", "--data", dir, "--learners", "gbdt", "--seeds", "1", "--json")
	if code != 0 {
		t.Fatalf("exit code %d: %s", code, stderr)
	}
	var r trial.Report
	if err := json.Unmarshal([]byte(stdout), &r); err != nil {
		t.Fatal(err)
	}
	const firstAssignments = 24_545
	if got := r.Split.Test.Rows + r.Split.Test.Censored; got < firstAssignments/5-50 || got > firstAssignments/5+50 {
		t.Errorf("tested on %d rows: not the newest fifth of the first assignments", got)
	}
	if r.Test.AUC < 0.84 || r.Test.ECE > 0.05 {
		t.Errorf("AUC %v, ECE %v; marks 0.84 and 0.05", r.Test.AUC, r.Test.ECE)
	}
}

// TestTrainHazards: where the learner of hazards wins it is published and routes,
// and its trees can be written for LightGBM.
func TestTrainHazards(t *testing.T) {
	dir := t.TempDir()
	world, models, lead := filepath.Join(dir, "world"), filepath.Join(dir, "models"), filepath.Join(dir, "lead.json")
	if err := os.WriteFile(lead, []byte(testLead), 0o644); err != nil {
		t.Fatal(err)
	}
	if code, _, stderr := called("synth", "--out", world, "--partners", "20", "--leads", "2500", "--days", "400"); code != 0 {
		t.Fatal(stderr)
	}
	code, stdout, stderr := called("train", "win", "--data", world, "--models", models, "--learners", "hazard", "--seeds", "1", "--json")
	var r trial.Report
	if err := json.Unmarshal([]byte(stdout), &r); err != nil {
		t.Fatalf("exit code %d: %v: %s", code, err, stderr)
	}
	if r.Winner != "hazard" || !r.Published {
		t.Fatalf("winner %q, published %v, gate %v", r.Winner, r.Published, r.Gate.Reasons)
	}
	if card := listed(t, models).Card; card.Rows != r.Fitted() || card.Rows <= r.Split.Fitted || !card.To.Equal(*r.Split.Test.From) {
		t.Errorf("listed as fitted on %d rows up to %s; it was on %d, of which %d had a label", card.Rows, card.To, r.Fitted(), r.Split.Fitted)
	}
	code, stdout, stderr = called("route", "--data", world, "--models", models, "--lead", lead, "--greedy", "--json")
	var d record.Decision
	if err := json.Unmarshal([]byte(stdout), &d); err != nil {
		t.Fatalf("exit code %d: %v: %s", code, err, stderr)
	}
	if !strings.HasPrefix(d.Model, "win@v1:") || d.Chosen == "" || d.Degraded {
		t.Errorf("model %q, chosen %q", d.Model, d.Chosen)
	}
	code, stdout, stderr = called("models", "export", "win", "--models", models, "--out", filepath.Join(dir, "win.txt"))
	if about, _ := os.ReadFile(filepath.Join(dir, "win.columns.json")); code != 0 || !strings.Contains(stdout, "scores") || !strings.Contains(string(about), `"ways": [`) {
		t.Errorf("export as LightGBM text: exit code %d, %s%s", code, stdout, stderr)
	}
}

// young is the first months of a world, when most of what was offered lately is
// still open, and the offers after them with the truth of each.
type young struct {
	cfg   trial.Config
	table *labelledTable
	later *models.Table
	truth []float64
}

func newYoung(t *testing.T) *young {
	const leads = 5000
	world := synth.New(synth.Config{Partners: 40, Leads: leads, Days: 200, Seed: 5, DriftDay: -1, End: time.Date(2026, 7, 1, 0, 0, 0, 0, time.UTC)})
	s, dir := &streams{Out: io.Discard, Err: io.Discard}, filepath.Join(t.TempDir(), "world")
	if err := writeWorld(t.Context(), s, world, dir, datasets.Parquet, leads); err != nil {
		t.Fatal(err)
	}
	src, err := openData(s, dir)
	if err != nil {
		t.Fatal(err)
	}
	known := map[record.LeadID]record.Lead{}
	if err := src.Leads(t.Context(), func(l *record.Lead) error { known[l.ID] = *l; return nil }); err != nil {
		t.Fatal(err)
	}
	offers, err := readOffers(t.Context(), src, features.Options{})
	if err != nil {
		t.Fatal(err)
	}
	y := &young{cfg: trial.Config{Task: "win", Seeds: -1, Seed: 1, Cut: trial.Cut{TestFrom: time.Date(2026, 3, 20, 0, 0, 0, 0, time.UTC)}}}
	if y.table, err = offers.winTable(&y.cfg); err != nil {
		t.Fatal(err)
	}
	var later []int
	for i, at := range y.table.At {
		if k := offers.keys[y.table.rows[i]]; at >= y.cfg.TestFrom.Unix() {
			lead := known[k.Lead]
			later, y.truth = append(later, i), append(y.truth, world.Win(&lead, k.Partner, k.At))
		}
	}
	y.later = y.table.Take(later)
	return y
}

// off is by how much the mean raw chance of a learner is off the truth.
func (y *young) off(t *testing.T, name string, l models.Learner, table *models.Table) float64 {
	t.Helper()
	cfg := y.cfg
	cfg.Learners = []models.Learner{l}
	r, p, err := trial.Run(t.Context(), table, cfg)
	if err != nil {
		t.Fatal(err)
	}
	raw := make([]float64, y.later.Len())
	if err := p.Model.Predict(raw, y.later); err != nil {
		t.Fatal(err)
	}
	bias, square := 0.0, 0.0
	for i, v := range raw {
		bias += (v - y.truth[i]) / float64(len(raw))
		square += (v - y.truth[i]) * (v - y.truth[i]) / float64(len(raw))
	}
	t.Logf("%-12s raw chance less the truth: mean %+.3f, root mean square %.3f; calibrated, on %d outcomes: log loss %.4f, ECE %.3f; %d of %d rows before were censored", name, bias, math.Sqrt(square),
		r.Test.Rows, float64(r.Test.LogLoss), float64(r.Test.ECE), r.Split.Train.Censored+r.Split.Valid.Censored, r.Split.Train.Rows+r.Split.Valid.Rows+r.Split.Train.Censored+r.Split.Valid.Censored)
	return math.Abs(bias)
}

// TestHazardsOnAYoungWorld holds raw chances against the truth. Whoever takes what
// is known early for the whole is off; the learner of hazards must be off by less
// than half of what trees are that take what is not yet won for lost.
func TestHazardsOnAYoungWorld(t *testing.T) {
	if testing.Short() || raceEnabled {
		t.Skip("trains three models")
	}
	y := newYoung(t)
	lost := *y.table.Table
	lost.Y, lost.Known = slices.Clone(lost.Y), slices.Clone(lost.Known)
	for i, k := range lost.Known {
		if from := y.cfg.TestFrom.Unix(); lost.At[i] < from && k > from {
			lost.Y[i], lost.Known[i] = 0, lost.At[i]
		}
	}
	trees := gbdt.Learner{Trees: 60, Leaves: 8}
	hazard := trees
	hazard.Objective = gbdt.Hazard{}
	y.off(t, "gbdt", trees, y.table.Table)
	if open, naive := y.off(t, "hazard", hazard, y.table.Table), y.off(t, "open is lost", trees, &lost); open >= naive/2 {
		t.Errorf("hazard is off by %.3f, who takes open for lost by %.3f", open, naive)
	}
}
