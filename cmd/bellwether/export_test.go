package main

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"bellwether/datasets"
	"bellwether/datasets/record"
)

// inside counts what a data directory holds, and keeps the decisions' bytes.
func inside(t *testing.T, path string) (counts [3]int, decisions []string) {
	t.Helper()
	dir, err := datasets.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	var o datasets.ReadOptions
	_, err = dir.Partners(t.Context(), o, func(*record.Partner) error { counts[0]++; return nil })
	if err == nil {
		_, err = dir.Leads(t.Context(), o, func(*record.Lead) error { counts[1]++; return nil })
	}
	if err == nil {
		_, err = dir.Events(t.Context(), o, func(batch []record.Event) error { counts[2] += len(batch); return nil })
	}
	if err == nil {
		_, err = dir.Decisions(t.Context(), o, func(d *record.Decision) error {
			decisions = append(decisions, string(record.AppendDecision(nil, d)))
			return nil
		})
	}
	if err != nil {
		t.Fatal(err)
	}
	return counts, decisions
}

// A running server and the store it leaves behind export the same records.
func TestExportFromServer(t *testing.T) {
	dir := t.TempDir()
	in := func(name string) string { return filepath.Join(dir, name) }
	token := func(scope string) string {
		_, out, _ := called("keys", "add", "--file", in("keys.jsonl"), "--scope", scope)
		return strings.TrimSpace(out)
	}
	admin, route := token("admin"), token("route")
	if code, _, said := called("synth", "--out", in("world"), "--partners", "5", "--leads", "20", "--days", "60"); code != 0 {
		t.Fatal(said)
	}
	url, stop := served(t, "--store", in("store"), "--models", t.TempDir(), "--data", in("world"), "--keys", in("keys.jsonl"))
	req, _ := http.NewRequestWithContext(t.Context(), "POST", url+"/v1/route", strings.NewReader(`{"lead":{"id":"new","industry":"retail"}}`))
	req.Header.Set("Authorization", "Bearer "+route)
	if res, err := http.DefaultClient.Do(req); err != nil || res.StatusCode != http.StatusOK {
		t.Fatalf("route: %v, %v", res, err)
	}
	t.Setenv("BELLWETHER_KEY", "")
	for key, want := range map[string]string{"": "401", "bw_nobody": "the API key is not known", route: "403"} {
		if code, _, said := called("export", "--server", url, "--key", key, "--out", in("refused")); code != 1 || !strings.Contains(said, want) {
			t.Errorf("with key %.6q: exit %d, want 1 with %q: %s", key, code, want, said)
		}
	}
	t.Setenv("BELLWETHER_KEY", admin)
	if code, _, said := called("export", "--server", url+"/", "--out", in("live"), "--format", "jsonl"); code != 0 || !strings.Contains(said, "and 1 decisions to "+in("live")) {
		t.Fatalf("exit %d: %s", code, said)
	}
	if code, log := stop(); code != 0 {
		t.Fatal(log)
	}
	if code, _, said := called("export", "--store", in("store"), "--out", in("still")); code != 0 {
		t.Fatal(said)
	}
	live, decided := inside(t, in("live"))
	still, later := inside(t, in("still"))
	world, _ := inside(t, in("world"))
	if live != still || live[0] != world[0] || live[1] != world[1]+1 || live[2] <= world[2] || len(decided) != 1 || !slices.Equal(decided, later) {
		t.Errorf("the server exported %v and %d decisions, its store %v and %d; loaded were %v", live, len(decided), still, len(later), world)
	}
	if _, err := os.Stat(in("refused")); err == nil {
		t.Error("a refused export left a directory")
	}
}

// A stream that does not come to its end leaves nothing that looks whole.
func TestExportOfACutStream(t *testing.T) {
	const lead = `{"lead":{"id":"l1","created_at":"2026-01-01T00:00:00Z"}}` + "\n"
	for name, c := range map[string]struct{ body, want string }{
		"no end":      {lead, "the stream was cut after 1 records, try again"},
		"in a record": {lead + lead[:20], "the stream was cut after 1 records"},
		"too few":     {lead + `{"end":2}`, "another number of records than the 1 that came"},
		"no records":  {"<html>", "the stream was cut after 0 records"},
	} {
		server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { fmt.Fprint(w, c.body) }))
		dir := t.TempDir()
		code, _, said := called("export", "--server", server.URL, "--out", filepath.Join(dir, "out"))
		if left, _ := os.ReadDir(dir); code != 1 || !strings.Contains(said, c.want) || len(left) != 0 {
			t.Errorf("%s: exit %d, want 1 with %q, left %v: %s", name, code, c.want, left, said)
		}
		server.Close()
	}
}

func TestExportUsage(t *testing.T) {
	for args, want := range map[string]string{
		"--out x":                        "one of --server and --store is needed",
		"--out x --store a --server b":   "one of --server and --store is needed",
		"--store a":                      "--out is needed",
		"--store a --out x --format csv": "--format",
		"--server http://[ --out x":      "--server",
	} {
		if code, _, said := called(strings.Fields("export " + args)...); code != 2 || !strings.Contains(said, want) {
			t.Errorf("export %s: exit %d, want 2 with %q: %s", args, code, want, said)
		}
	}
}
