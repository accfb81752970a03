package main

import (
	"bytes"
	"encoding/json"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"bellwether/datasets"
)

// TestFeaturesCommandWritesWholeTables makes the tables of a small world and
// holds the files against the manifest.
func TestFeaturesCommandWritesWholeTables(t *testing.T) {
	dir := t.TempDir()
	world, out := filepath.Join(dir, "world"), filepath.Join(dir, "tables")
	var stdout, stderr bytes.Buffer
	s := &streams{Out: &stdout, Err: &stderr}
	if code := run(t.Context(), []string{"synth", "--out", world, "--partners", "20", "--leads", "400", "--days", "120"}, s); code != 0 {
		t.Fatalf("synth: %d, %s", code, &stderr)
	}
	stdout.Reset()
	if code := run(t.Context(), []string{"features", "--data", world, "--out", out, "--json"}, s); code != 0 {
		t.Fatalf("features: %d, %s", code, &stderr)
	}
	var m tablesManifest
	if err := json.Unmarshal(stdout.Bytes(), &m); err != nil {
		t.Fatal(err)
	}
	for name, rows := range map[string]int64{"offers": m.Stats.Offers, "months": m.Stats.Months} {
		table, _, err := datasets.ReadTable(filepath.Join(out, name+".parquet"), datasets.TableOptions{})
		if err != nil {
			t.Fatal(err)
		}
		if rows == 0 || int64(table.Len()) != rows {
			t.Errorf("%s holds %d rows, the manifest says %d", name, table.Len(), rows)
		}
	}
	if set, err := m.Spec.Set(); err != nil || set.Fingerprint() != m.Fingerprint {
		t.Errorf("the manifest's set cannot be made again: %v", err)
	}
	if code := run(t.Context(), []string{"features", "--data", world, "--out", out}, s); code != 1 {
		t.Errorf("a directory that holds something was answered with %d", code)
	}
	if _, err := os.Stat(filepath.Join(out, "manifest.json")); err != nil {
		t.Error(err)
	}
	if code := run(t.Context(), []string{"features", "--data", world}, s); code != 2 {
		t.Errorf("without --out: exit code %d", code)
	}
}

// TestFeaturesCommandCountsWhatItSetsAside types the command over rows of every
// kind of badness.
func TestFeaturesCommandCountsWhatItSetsAside(t *testing.T) {
	world := filepath.Join(t.TempDir(), "world")
	if err := os.Mkdir(world, 0o755); err != nil {
		t.Fatal(err)
	}
	for name, text := range map[string]string{
		"partners.jsonl": `{"id":"p1"}`,
		"events.jsonl": "\xef\xbb\xbf" + `{"id":"e1","type":"portal_login","at":"2024-01-01T00:00:00Z","partner":"p1"}` + "\r\n" +
			`{"id":"e2","type":"portal_login","at":"01/02/2024","partner":"p1"}` + "\r\n" +
			`{"id":"e3","type":"deal_won","at":"2024-01-02T00:00:00Z","partner":"p1","amount":{"amount":"-5","currency":"EUR"}}` + "\n" +
			`{"id":"e4","type":"deal_won","at":"2024-01-02T00:00:00Z","partner":"p1","amount":{"amount":"5","currency":"XQZ"}}` + "\n" +
			`{"id":"e5","type":"survey","at":"2024-01-02T00:00:00Z","partner":"p1","numbers":{"score":NaN}}` + "\n" +
			`{"id":"` + strings.Repeat("x", 10_000) + `","type":"portal_login","at":"2024-01-02T00:00:00Z","partner":"p1"}` + "\n" +
			"{\"id\":\"e\xff\",\"type\":\"portal_login\",\"at\":\"2024-01-02T00:00:00Z\",\"partner\":\"p1\"}\n",
	} {
		if err := os.WriteFile(filepath.Join(world, name), []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	var stderr bytes.Buffer
	s := &streams{Out: io.Discard, Err: &stderr}
	if code := run(t.Context(), []string{"features", "--data", world, "--out", filepath.Join(world, "out")}, s); code != 0 {
		t.Fatalf("exit code %d, %s", code, &stderr)
	}
	quarantine := filepath.Join(world, "quarantine.jsonl")
	want := "events: 7 rows in = 1 kept + 6 quarantined; what was set aside, and why: " + quarantine + "\n"
	if got := stderr.String(); strings.Count(got, want) != 1 || strings.Contains(got, "partners:") {
		t.Errorf("said %q\nwant %q in it", got, want)
	}
	if b, err := os.ReadFile(quarantine); err != nil || bytes.Count(b, []byte("\n")) != 6 {
		t.Errorf("quarantined %s, %v", b, err)
	}
}
