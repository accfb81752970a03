package main

import (
	"encoding/json"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"time"

	"bellwether/models"
	"bellwether/models/bayes"
	"bellwether/models/gbdt"
	"bellwether/models/logit"
	"bellwether/models/trial"
	"bellwether/models/tune"
)

// TestTrainParams: gbdt gets the settings of a file, and the report says so.
func TestTrainParams(t *testing.T) {
	in, dir := dealsFile(t, "deals.csv", 1200, true), t.TempDir()
	file := func(name, text string) string {
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
		return path
	}
	good := file("best.yaml", "# found\ntrees: 20\nleaves: 4\nlearning_rate: 0.1\npairs: -1\n")
	train := func(params, learners string) (int, string, string) {
		return called("train", "table", "--in", in, "--sep", ";", "--label", "result", "--time", "created", "--drop", "account", "--seeds", "1", "--learners", learners, "--params", params, "--json")
	}
	code, out, errs := train(good, "gbdt")
	var r trial.Report
	if err := json.Unmarshal([]byte(out), &r); err != nil || code != 0 {
		t.Fatalf("exit %d, %v: %s", code, err, errs)
	}
	want := `gbdt {"trees":20,"leaves":4,"learning_rate":0.1,"pairs":-1}`
	if r.Settings != want || !strings.Contains(errs, want) {
		t.Errorf("settings %q\n%s", r.Settings, errs)
	}
	_, out, errs = train(file("empty.yaml", ""), "gbdt")
	var plain trial.Report
	if err := json.Unmarshal([]byte(out), &plain); err != nil {
		t.Fatalf("%v: %s", err, errs)
	}
	if plain.Fingerprint == r.Fingerprint || plain.Fingerprint == "" {
		t.Error("four leaves and the defaults made the same model")
	}
	for _, c := range []struct {
		params, learners string
		code             int
		want             string
	}{
		{good, "logit", 2, "leaves it out"},
		{file("odd.yaml", "leafs: 3"), "gbdt", 1, "leafs"},
		{file("high.yaml", "learning_rate: 3"), "gbdt", 1, "learning_rate is 3"},
		{filepath.Join(dir, "none.yaml"), "gbdt", 1, "none.yaml"},
	} {
		if code, _, errs := train(c.params, c.learners); code != c.code || !strings.Contains(errs, c.want) {
			t.Errorf("%s: exit %d, %s; want %d and %q", c.params, code, errs, c.code, c.want)
		}
	}
}

// Settings tuned for who wins are not used for who accepts.
func TestAcceptKeepsDefaults(t *testing.T) {
	tuned := []models.Learner{logit.Learner{}, gbdt.Learner{Leaves: 3}, bayes.Learner{}}
	got := acceptLearners(tuned)
	if len(got) != 2 || !reflect.DeepEqual(got[0], models.Learner(gbdt.Learner{})) || got[1].Name() != "logit" {
		t.Errorf("%+v", got)
	}
	if got := acceptLearners(tuned[2:]); got == nil || len(got) != 0 {
		t.Errorf("of neither: %+v", got)
	}
}

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
	if n := strings.Count(errs, " of 8 fits done"); n != 8 || !strings.Contains(errs, "\n0 of 8 fits done\n1 of 8 fits done, least loss on the newest fold 0.") {
		t.Errorf("told of %d steps: %s", n, errs)
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

// Where lines stay, a long search is told of by tenths, and at least every minute.
func TestTuneTellsNowAndThen(t *testing.T) {
	var said strings.Builder
	clock := time.Unix(0, 0)
	step := tuneLines(&said, func() time.Time { return clock })
	for i := range 200 {
		step(tune.Step{Done: i, Total: 200, Best: math.NaN()})
		if clock = clock.Add(time.Second); i >= 100 {
			clock = clock.Add(40 * time.Second)
		}
	}
	var want strings.Builder
	for i := range 200 {
		if i%20 == 0 || i > 100 && (i%20)%2 == 0 {
			fmt.Fprintf(&want, "%d of 200 fits done\n", i)
		}
	}
	if said.String() != want.String() {
		t.Errorf("it says\n%swant\n%s", &said, &want)
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
