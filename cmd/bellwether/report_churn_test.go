package main

import (
	"encoding/json"
	"maps"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"bellwether/datasets/record"
	"bellwether/features"
	"bellwether/health"
	"bellwether/models"
	"bellwether/models/calibrate"
	"bellwether/models/logit"
	"bellwether/models/registry"
	"bellwether/models/trial"
)

// churnFiles are those of a churn model of the features of a schema, which says
// whatever it says.
func churnFiles(t *testing.T, schema features.Schema) map[string][]byte {
	t.Helper()
	set := features.NewSet(schema, features.Options{})
	spec, err := json.Marshal(set.Spec())
	if err != nil {
		t.Fatal(err)
	}
	_, from, to := set.Sides()
	table := &models.Table{Columns: set.Columns()[from:to], Y: []float64{0, 1, 0, 1, 1, 0}}
	for range table.Columns {
		table.X = append(table.X, []float64{0, 3, 1, 2, 0, 1})
	}
	fitted, err := logit.Learner{}.Fit(t.Context(), table, nil, 1)
	if err != nil {
		t.Fatal(err)
	}
	c, err := calibrate.Fit(calibrate.Platt, []float64{.1, .9, .3, .6, .4, .2}, table.Y, nil)
	if err != nil {
		t.Fatal(err)
	}
	b, err := (&trial.Predictor{Columns: table.Columns, Learner: "logit", Model: fitted, Calibrator: c}).MarshalBinary()
	if err != nil {
		t.Fatal(err)
	}
	return map[string][]byte{"features.json": spec, "churn.bin": b}
}

// The report is by the churn model in force, and one that cannot be used is told
// of rather than done without.
func TestReportByAModel(t *testing.T) {
	dir := t.TempDir()
	world, dirOfModels := filepath.Join(dir, "world"), filepath.Join(dir, "models")
	if code, _, said := command(t, "synth", "--out", world, "--partners", "10", "--leads", "100", "--days", "150"); code != 0 {
		t.Fatal(said)
	}
	src, err := openData(&streams{Err: new(strings.Builder)}, world)
	if err != nil {
		t.Fatal(err)
	}
	schema, err := readSchema(t.Context(), src)
	if err != nil {
		t.Fatal(err)
	}
	reg, err := registry.Open(dirOfModels)
	if err != nil {
		t.Fatal(err)
	}
	report := func() (code int, r health.Report, said string) {
		code, out, said := command(t, "report", "at-risk", "--data", world, "--models", dirOfModels, "--format", "json")
		if code == 0 {
			if err := json.Unmarshal([]byte(out), &r); err != nil {
				t.Fatal(err)
			}
		}
		return code, r, said
	}
	if code, r, said := report(); code != 0 || r.Model != "hand-set weights" {
		t.Fatalf("without a model: exit %d by %q: %s", code, r.Model, said)
	}
	sound := churnFiles(t, schema)
	for i, c := range []struct {
		file, text string // what is put into the version's files
		model      string // by which the report is then
		says       string
	}{
		{"card.md", "", "churn@v1", ""},
		{"churn.bin", "no model", "", "load churn@v2: churn.bin: model bytes are damaged"},
		{"features.json", "{", "", "load churn@v3: features.json"},
		{"alive.bin", "?", "", "load churn@v4: alive.bin"},
		{"features.json", `{"schema":{},"features":["none"]}`, "", "load churn@v5"},
	} {
		files := maps.Clone(sound)
		files[c.file] = []byte(c.text)
		v, err := reg.Publish("churn", files, registry.Card{Task: "churn"})
		if err == nil {
			_, err = reg.Promote("churn", v.String()[len("churn@"):])
		}
		if err != nil {
			t.Fatal(err)
		}
		code, r, said := report()
		if code != min(i, 1) || r.Model != c.model || !strings.Contains(said, c.says) {
			t.Errorf("%s as %q: exit %d by %q: %s; want %q", c.file, c.text, code, r.Model, said, c.says)
		}
	}
}

// Leads that lie in no order are read in the order they came.
func TestLeadsAreReadInOrder(t *testing.T) {
	dir := t.TempDir()
	text := `{"id":"c","created_at":"2026-01-03T00:00:00Z"}
{"id":"a","created_at":"2026-01-01T00:00:00Z"}
{"id":"d","created_at":"2026-01-03T00:00:00Z"}
{"id":"a","created_at":"2026-01-01T00:00:00Z"}
{"id":"b","created_at":"2026-01-02T00:00:00Z"}
{"id":"x"}
`
	if err := os.WriteFile(filepath.Join(dir, "leads.jsonl"), []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
	said := new(strings.Builder)
	src, err := openData(&streams{Err: said}, dir)
	if err != nil {
		t.Fatal(err)
	}
	for range 2 { // what was set aside is told once
		got := ""
		if err := src.Leads(t.Context(), func(l *record.Lead) error { got += string(l.ID); return nil }); err != nil || got != "abcd" {
			t.Errorf("read %q, %v", got, err)
		}
	}
	if want := "leads: 1 of 6 rows repeat another and count once\nleads: 6 rows in = 5 kept + 1 quarantined; what was set aside, and why: "; strings.Count(said.String(), want) != 1 || strings.Count(said.String(), "\n") != 2 {
		t.Errorf("said %s", said)
	}
}
