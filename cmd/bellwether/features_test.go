package main

import (
	"bytes"
	"encoding/json"
	"os"
	"path/filepath"
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
