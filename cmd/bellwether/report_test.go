package main

import (
	"bytes"
	"encoding/csv"
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"bellwether/datasets"
	"bellwether/health"
	"bellwether/models/registry"
)

// command runs one command line and returns its exit code and what it said.
func command(t *testing.T, args ...string) (code int, out, said string) {
	t.Helper()
	var o, e bytes.Buffer
	code = run(t.Context(), args, &streams{In: strings.NewReader(""), Out: &o, Err: &e})
	return code, o.String(), e.String()
}

func TestSynthThenReport(t *testing.T) {
	dir := t.TempDir()
	world := filepath.Join(dir, "world")
	if code, _, said := command(t, "synth", "--out", world, "--partners", "25", "--leads", "600", "--days", "300", "--seed", "4"); code != 0 {
		t.Fatalf("synth: exit %d: %s", code, said)
	}
	if b, err := os.ReadFile(filepath.Join(world, "truth.jsonl")); err != nil || bytes.Count(b, []byte("\n")) != 25 {
		t.Errorf("truth.jsonl: %d bytes, %v", len(b), err)
	}
	if code, _, _ := command(t, "synth", "--out", world, "--partners", "5"); code != 1 {
		t.Errorf("a second world in the same directory: exit %d", code)
	}
	code, out, said := command(t, "report", "at-risk", "--data", world, "--format", "json", "--at", "2026-03-01")
	var r health.Report
	if err := json.Unmarshal([]byte(out), &r); code != 0 || err != nil {
		t.Fatalf("exit %d, %v: %s", code, err, said)
	}
	if r.At.Format("2006-01-02") != "2026-03-01" || len(r.Rows) < 10 || r.Model != "hand-set weights" {
		t.Errorf("as of %s, %d partners by %s", r.At, len(r.Rows), r.Model)
	}
	trends := 0
	for _, row := range r.Rows {
		if row.Trend != 0 {
			trends++
		}
	}
	if trends < len(r.Rows)/2 {
		t.Errorf("%d of %d partners have a trend", trends, len(r.Rows))
	}
	for _, name := range []string{"r.html", "r.csv", "r.parquet"} {
		if code, _, said := command(t, "report", "at-risk", "--data", world, "--out", filepath.Join(dir, name), "--at", "2026-03-01"); code != 0 {
			t.Fatalf("%s: exit %d: %s", name, code, said)
		}
	}
	checkReportFiles(t, dir, &r)
}

// A midnight after the data's end is told of, to people and in the report; the one
// after its last day is not.
func TestReportAfterTheDataEnds(t *testing.T) {
	world := filepath.Join(t.TempDir(), "world")
	if code, _, said := command(t, "synth", "--out", world, "--partners", "5", "--leads", "50", "--days", "60"); code != 0 {
		t.Fatal(said)
	}
	for at, want := range map[string]int{"2026-06-30": 0, "2026-07-01": 1, "2027-01-01": 1} {
		code, out, said := command(t, "report", "at-risk", "--data", world, "--format", "json", "--at", at)
		var r health.Report
		if err := json.Unmarshal([]byte(out), &r); code != 0 || err != nil {
			t.Fatalf("exit %d, %v: %s", code, err, said)
		}
		const text = "what is known ends on 2026-06-29"
		if len(r.Notes) != want || strings.Count(said, "warning: "+text) != want || want == 1 && (!strings.HasPrefix(r.Notes[0], text) || !strings.Contains(r.Notes[0], at)) {
			t.Errorf("as of %s: notes %q, said %s", at, r.Notes, said)
		}
		if _, page, _ := command(t, "report", "at-risk", "--data", world, "--at", at); strings.Contains(page, text) != (want == 1) {
			t.Errorf("as of %s: the page says it: %v", at, want != 1)
		}
	}
}

func TestRouteAfterTheDataEnds(t *testing.T) {
	world := filepath.Join(t.TempDir(), "world")
	if code, _, said := command(t, "synth", "--out", world, "--partners", "5", "--leads", "50", "--days", "60"); code != 0 {
		t.Fatal(said)
	}
	lead := place(t, "lead.json", `{"id":"L","created_at":"2026-06-01T00:00:00Z"}`)
	for at, want := range map[string]bool{"": false, "2026-06-30T00:00:00Z": false, "2026-06-30T00:00:01Z": true} {
		code, _, said := command(t, "route", "--data", world, "--lead", lead, "--at", at)
		if code != 0 || strings.Contains(said, "warning: what is known ends on 2026-06-29: this is decided as of 2026-06-30") != want {
			t.Errorf("as of %s: exit %d, %s", at, code, said)
		}
	}
}

// Days without an event are not the end of the data.
func TestReportWithinAQuietTime(t *testing.T) {
	dir := t.TempDir()
	for name, text := range map[string]string{
		"partners.jsonl": `{"id":"P","name":"P","known_at":"2026-01-01T00:00:00Z"}`,
		"events.jsonl": `{"id":"a","type":"portal_login","partner":"P","at":"2026-01-02T09:00:00Z"}
{"id":"b","type":"portal_login","partner":"P","at":"2026-03-02T09:00:00Z"}`,
	} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	for at, want := range map[string]bool{"2026-02-01": false, "2026-03-03": false, "2026-03-04": true} {
		if code, _, said := command(t, "report", "at-risk", "--data", dir, "--at", at); code != 0 || strings.Contains(said, "what is known ends") != want {
			t.Errorf("as of %s: exit %d, told %v: %s", at, code, !want, said)
		}
	}
}

func checkReportFiles(t *testing.T, dir string, r *health.Report) {
	t.Helper()
	page, err := os.ReadFile(filepath.Join(dir, "r.html"))
	if err != nil || !bytes.Contains(page, []byte("Partners at risk")) {
		t.Errorf("r.html: %d bytes, %v", len(page), err)
	}
	file, err := os.Open(filepath.Join(dir, "r.csv"))
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	want := len(r.Rows) + len(r.Silent)
	if lines, err := csv.NewReader(file).ReadAll(); err != nil || len(lines) != want+1 || lines[1][0] != string(r.Rows[0].Partner) {
		t.Errorf("r.csv: %d lines for %d partners, %v", len(lines), want, err)
	}
	table, _, err := datasets.ReadTable(filepath.Join(dir, "r.parquet"), datasets.TableOptions{Drop: []string{"drivers", "activity", "at"}})
	if err != nil {
		t.Fatalf("r.parquet: %v", err)
	}
	for j, c := range table.Columns {
		if c.Name == "risk" && (table.Len() != want || table.Column(j)[0] != r.Rows[0].Risk) {
			t.Errorf("r.parquet: %d rows, first risk %v, want %d and %v", table.Len(), table.Column(j)[0], want, r.Rows[0].Risk)
		}
	}
}

func TestReportUsage(t *testing.T) {
	for _, args := range [][]string{
		{"report"},
		{"report", "at-risk"},
		{"report", "at-risk", "--data", "x", "--format", "pdf"},
		{"report", "at-risk", "--data", "x", "--format", "parquet"},
		{"report", "at-risk", "--data", "x", "--at", "yesterday"},
		{"synth"},
		{"synth", "--out", "x", "--leads", "-1"},
		{"synth", "--out", "x", "--format", "xml"},
	} {
		if code, _, said := command(t, args...); code != 2 || said == "" {
			t.Errorf("%v: exit %d, %q", args, code, said)
		}
	}
}

// A directory of models that is not there is no reason to judge without one, nor
// to make one; and a scored table does not replace the one it was made of.
func TestWrongPathsAreRefused(t *testing.T) {
	dir := t.TempDir()
	world, models, table := filepath.Join(dir, "world"), filepath.Join(dir, "models"), filepath.Join(dir, "t.csv")
	if code, _, said := command(t, "synth", "--out", world, "--partners", "5", "--leads", "20", "--days", "40"); code != 0 {
		t.Fatal(said)
	}
	lead := filepath.Join(dir, "lead.json")
	for path, text := range map[string]string{table: "a,b\n1,2\n", lead: `{"id":"l","created_at":"2026-03-02T09:00:00Z"}`} {
		if err := os.WriteFile(path, []byte(text), 0o666); err != nil {
			t.Fatal(err)
		}
	}
	for want, args := range map[string][]string{
		"the data begins later":        {"report", "at-risk", "--data", world, "--at", "2020-01-01", "--format", "csv", "--out", "-"},
		"is not a directory of models": {"report", "at-risk", "--data", world, "--models", models, "--format", "csv", "--out", "-"},
		models + " is not":             {"route", "--data", world, "--models", models, "--lead", lead},
		"--models " + models + " is":   {"predict", "--models", models, "--model", "win", "--in", table, "--out", filepath.Join(dir, "o.csv")},
		"--out is --in":                {"predict", "--models", models, "--model", "win", "--in", table, "--out", dir + "/./t.csv"},
	} {
		if code, _, said := command(t, args...); code == 0 || !strings.Contains(said, want) {
			t.Errorf("%v: code %d, %q; want %q", args, code, said, want)
		}
	}
	if _, err := os.Stat(models); err == nil {
		t.Error("the directory of models was made")
	}
}

// TestWarnsOfAReportBehindItsModel publishes a model that was tested on May.
func TestWarnsOfAReportBehindItsModel(t *testing.T) {
	dir := t.TempDir()
	reg, err := registry.Open(dir)
	if err != nil {
		t.Fatal(err)
	}
	v, err := reg.Publish("churn", map[string][]byte{"churn.bin": {1}}, registry.Card{To: time.Date(2026, 5, 1, 0, 0, 0, 0, time.UTC)})
	if err == nil {
		_, err = reg.Promote("churn", "v1")
	}
	if err != nil {
		t.Fatal(err)
	}
	for at, want := range map[string]string{
		"2026-03-01": "warning: " + v.String() + " learned from what was known up to 2026-05-01: as of 2026-03-01 it judges by what was not known then\n",
		"2026-05-01": "",
		"2026-06-01": "",
	} {
		day, err := time.Parse(time.DateOnly, at)
		if err != nil {
			t.Fatal(err)
		}
		var said strings.Builder
		if warnAhead(&said, dir, "churn", day); said.String() != want {
			t.Errorf("as of %s it says %q, want %q", at, said.String(), want)
		}
	}
}
