package main

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"bellwether/models/tune"
)

// TestTuneTable tunes, loses half of what was done and its results, and finds
// the same again.
func TestTuneTable(t *testing.T) {
	in, dir := dealsFile(t, "deals.csv", 1200, true), filepath.Join(t.TempDir(), "tuned")
	args := []string{"tune", "table", "--in", in, "--sep", ";", "--label", "result", "--time", "created", "--drop", "account", "--draws", "4", "--folds", "2", "--max-trees", "30", "--out", dir, "--json"}
	code, first, errs := called(args...)
	if code != 0 {
		t.Fatalf("exit %d: %s", code, errs)
	}
	var r tune.Result
	if err := json.Unmarshal([]byte(first), &r); err != nil {
		t.Fatalf("standard output is not one JSON document: %v\n%s", err, first)
	}
	if r.Task != "table" || len(r.Settings) != 5 || len(r.Folds) != 2 || r.Best.Loss > r.Default.Loss || !strings.Contains(errs, "default") {
		t.Errorf("result %+v\n%s", r, errs)
	}
	best, err := os.ReadFile(filepath.Join(dir, "best.yaml"))
	if err != nil || !strings.Contains(string(best), "learning_rate:") {
		t.Errorf("best.yaml: %v\n%s", err, best)
	}
	state := filepath.Join(dir, "state.json")
	var s tune.State
	b, err := os.ReadFile(state)
	if err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal(b, &s); err != nil {
		t.Fatal(err)
	}
	s.Done = s.Done[:len(s.Done)/2]
	if b, err = json.Marshal(s); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(state, b, 0o644); err != nil {
		t.Fatal(err)
	}
	if err := os.Remove(filepath.Join(dir, "tuning.svg")); err != nil {
		t.Fatal(err)
	}
	code, again, errs := called(args...)
	if code != 0 || again != first || !strings.Contains(errs, "going on after 4 fits") {
		t.Errorf("exit %d, the same result: %v\n%s", code, again == first, errs)
	}
	if left, err := filepath.Glob(filepath.Join(dir, "*")); err != nil || len(left) != 4 {
		t.Errorf("files %v", left)
	}
	if code, _, errs := called(append(args, "--seed", "2")...); code != 1 || !strings.Contains(errs, "other rows, folds or settings") {
		t.Errorf("another seed on the same directory: exit %d, %s", code, errs)
	}
}

func TestTuneSaysWhatIsWrong(t *testing.T) {
	in, out := dealsFile(t, "few.csv", 250, true), t.TempDir()
	for _, c := range []struct {
		args []string
		code int
		want string
	}{
		{[]string{"tune"}, 2, "win, churn or table"},
		{[]string{"tune", "table"}, 2, "tune table needs --in FILE and --label COLUMN"},
		{[]string{"tune", "table", "--in", in, "--label", "result"}, 2, "--out is needed"},
		{[]string{"tune", "table", "--in", in, "--label", "result", "--out", out, "--folds", "1"}, 2, "--folds 1"},
		{[]string{"tune", "table", "--in", in, "--sep", ";", "--label", "result", "--time", "created", "--out", out}, 3, "are needed"},
		{[]string{"tune", "churn", "--out", out, "--test-from", "June"}, 2, "--test-from"},
		{[]string{"tune", "win", "--out", out}, 2, "--data is needed"},
	} {
		code, stdout, errs := called(c.args...)
		if code != c.code || !strings.Contains(errs, c.want) || stdout != "" {
			t.Errorf("%v: exit %d, want %d with %q:\n%s%s", c.args, code, c.code, c.want, stdout, errs)
		}
	}
}
