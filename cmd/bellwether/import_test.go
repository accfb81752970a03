package main

import (
	"bytes"
	"context"
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// called runs a command line and returns its exit code and what it printed.
func called(args ...string) (code int, out, err string) {
	var stdout, stderr bytes.Buffer
	code = run(context.Background(), args, &streams{In: strings.NewReader(""), Out: &stdout, Err: &stderr})
	return code, stdout.String(), stderr.String()
}

func TestImportCSVPrintsItsCounts(t *testing.T) {
	examples := filepath.Join("..", "..", "datasets", "testdata")
	out := filepath.Join(t.TempDir(), "data")
	code, stdout, stderr := called("import", "csv", "--in", filepath.Join(examples, "dynamics"), "--map", filepath.Join(examples, "dynamics.yaml"), "--out", out, "--json")
	if code != 0 {
		t.Fatalf("exit code %d: %s", code, stderr)
	}
	var doc struct {
		Import                string
		In, Kept, Quarantined int
		Records               map[string]struct{ Kept int }
	}
	if err := json.Unmarshal([]byte(stdout), &doc); err != nil {
		t.Fatalf("%v: %s", err, stdout)
	}
	if doc.Import != "csv" || doc.In != 3 || doc.Kept != 2 || doc.Quarantined != 1 || doc.Records["leads"].Kept != 2 {
		t.Errorf("counts %+v", doc)
	}
	if !strings.Contains(stderr, "quarantine.jsonl") || !strings.Contains(stderr, "opportunities.csv") {
		t.Errorf("for people: %s", stderr)
	}
	for _, name := range []string{"leads.parquet", "events.parquet", "manifest.json", "quarantine.jsonl"} {
		if _, err := os.Stat(filepath.Join(out, name)); err != nil {
			t.Error(err)
		}
	}
	if code, _, stderr := called("import", "csv", "--in", examples, "--map", filepath.Join(examples, "hubspot.yaml"), "--out", out); code != 1 || !strings.Contains(stderr, "not empty") {
		t.Errorf("into a full directory: %d %s", code, stderr)
	}
	failed := filepath.Join(t.TempDir(), "failed")
	if code, _, _ := called("import", "csv", "--in", t.TempDir(), "--map", filepath.Join(examples, "hubspot.yaml"), "--out", failed); code != 1 {
		t.Errorf("no input: %d", code)
	}
	if left, _ := os.ReadDir(filepath.Dir(failed)); len(left) > 0 {
		t.Errorf("left behind: %v", left)
	}
}

func TestImportAndSchemaUsage(t *testing.T) {
	for _, args := range [][]string{{"import"}, {"import", "excel"}, {"import", "csv", "--in", "x", "--out", "y"}, {"import", "olist", "--in", "x"},
		{"import", "olist", "--in", "x", "--out", "y", "--map", "z"}, {"import", "olist", "--in", "x", "--out", "y", "--format", "xml"}, {"schema"}, {"schema", "deal"}} {
		if code, _, stderr := called(args...); code != 2 {
			t.Errorf("%v: exit code %d, %s", args, code, stderr)
		}
	}
}

func TestSchemaListsFields(t *testing.T) {
	code, out, _ := called("schema", "event", "--json")
	var doc struct {
		Noun   string
		Fields []struct{ Name, Column, Type, Meaning string }
	}
	if err := json.Unmarshal([]byte(out), &doc); code != 0 || err != nil || doc.Noun != "event" || doc.Fields[0].Name != "id" || len(doc.Fields) < 20 {
		t.Errorf("%d %v %+v", code, err, doc)
	}
	if code, out, _ := called("schema", "lead"); code != 0 || !strings.Contains(out, "value_currency") || !strings.Contains(out, "implementation") {
		t.Errorf("%d %s", code, out)
	}
}
