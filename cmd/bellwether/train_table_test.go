package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"bellwether/models/trial"
)

// dealsFile writes deals of which north wins more than south, and small amounts
// more than large. Without skill the label is drawn by a coin.
func dealsFile(t *testing.T, name string, n int, skill bool) string {
	t.Helper()
	rng := rand.New(rand.NewPCG(1, uint64(n)))
	var b strings.Builder
	b.WriteString("account;amount;region;created;result\n")
	for i := range n {
		amount, region := rng.NormFloat64(), []string{"north", "south"}[rng.IntN(2)]
		z := -amount
		if region == "north" {
			z++
		}
		if !skill {
			z = 0
		}
		result := "Loss"
		if rng.Float64() < 1/(1+math.Exp(-z)) {
			result = "Won"
		}
		fmt.Fprintf(&b, "acme %d;%.3f;%s;2024-%02d-%02d;%s\n", rng.IntN(n/3), amount, region, 1+i*12/n, 1+i*12*28/n%28, result)
	}
	path := filepath.Join(t.TempDir(), name)
	if err := os.WriteFile(path, []byte(b.String()), 0o644); err != nil {
		t.Fatal(err)
	}
	return path
}

func TestTrainTablePredictAndRollBack(t *testing.T) {
	in, dir := dealsFile(t, "Deals 2024.csv", 2000, true), filepath.Join(t.TempDir(), "models")
	train := []string{"train", "table", "--in", in, "--sep", ";", "--label", "result", "--time", "created", "--drop", "account", "--models", dir, "--seeds", "2", "--learners", "logit", "--json"}
	for want := 1; want <= 2; want++ {
		code, out, errs := called(train...)
		if code != 0 {
			t.Fatalf("exit %d: %s", code, errs)
		}
		var r trial.Report
		if err := json.Unmarshal([]byte(out), &r); err != nil {
			t.Fatalf("standard output is not one JSON document: %v\n%s", err, out)
		}
		if !r.Published || r.Version != fmt.Sprintf("deals-2024@v%d", want) || r.Task != "table" || r.Test.AUC < 0.65 || r.Split.Test.From == nil {
			t.Fatalf("report %+v", r)
		}
		for _, text := range []string{"logit", "base_rate", "published and in force: deals-2024@v"} {
			if !strings.Contains(errs, text) {
				t.Errorf("standard error lacks %q:\n%s", text, errs)
			}
		}
	}
	scored := filepath.Join(t.TempDir(), "scored.csv")
	if code, _, errs := called("predict", "--models", dir, "--model", "deals-2024@v1", "--in", in, "--sep", ";", "--out", scored); code != 0 {
		t.Fatalf("predict: %s", errs)
	}
	b, err := os.ReadFile(scored)
	if err != nil {
		t.Fatal(err)
	}
	lines := strings.Split(strings.TrimSpace(string(b)), "\n")
	if len(lines) != 2001 || lines[0] != "account;amount;region;created;result;p;lo;hi" || strings.Count(lines[1], ";") != 7 {
		t.Errorf("%d lines, %s, %s", len(lines), lines[0], lines[1])
	}
	stopped, stop := context.WithCancel(t.Context())
	stop()
	job := predictJob{dir: dir, model: "deals-2024@v1", in: in, out: filepath.Join(dir, "stopped.csv"), sep: ';'}
	if err := job.run(stopped, &streams{Err: new(bytes.Buffer)}); !errors.Is(err, context.Canceled) {
		t.Errorf("a prediction that was stopped: %v", err)
	}
	if _, err := os.Stat(job.out); err == nil {
		t.Error("it wrote its table all the same")
	}
	if code, _, errs := called("predict", "--models", dir, "--model", "deals-2024@v1", "--in", in, "--sep", ";", "--out", scored, "--level", "0.9"); code != 0 {
		t.Fatalf("predict: %s", errs)
	}
	if b, err = os.ReadFile(scored); err != nil {
		t.Fatal(err)
	}
	if text := string(b); !strings.Contains(text, "p;lo;hi;sure\n") || strings.Count(text, ";1\n") < 100 || strings.Count(text, ";0\n") < 100 {
		t.Errorf("not some sure and some not: %.200s", text)
	}
	if code, _, errs := called("predict", "--models", dir, "--model", "deals-2024@v1", "--in", in, "--sep", ";", "--out", scored, "--level", "0.7"); code != 1 || !strings.Contains(errs, "[0.8 0.9 0.95]") {
		t.Errorf("a level the model does not hold: exit %d, %s", code, errs)
	}
	archive := filepath.Join(t.TempDir(), "deals.tar.gz")
	for _, step := range []struct {
		args, want string
	}{
		{"models list", "deals-2024@v2"},
		{"models rollback deals-2024", "in force: deals-2024@v1"},
		{"models show deals-2024", "deals-2024@v1"},
		{"models card deals-2024", "# Model card: deals-2024"},
		{"models promote deals-2024@v2", "in force: deals-2024@v2"},
		{"models export deals-2024@v1 --out " + archive, "exported deals-2024@v1"},
		{"models import " + archive + " --name copy", "imported copy@v1"},
		{"models list copy --json", `"name": "copy"`},
		{"models promote copy@v1", "in force: copy@v1"},
		{"models import " + archive + " --name copy", "copy@v1 was there already, and is in force"},
	} {
		code, out, errs := called(append(strings.Fields(step.args), "--models", dir)...)
		if code != 0 || !strings.Contains(out, step.want) {
			t.Errorf("%s: exit %d, %s%s", step.args, code, out, errs)
		}
	}
}

func TestTrainTableRefusesNoSkill(t *testing.T) {
	in, dir := dealsFile(t, "coins.csv", 1500, false), filepath.Join(t.TempDir(), "models")
	code, out, errs := called("train", "table", "--in", in, "--sep", ";", "--label", "result", "--group", "account", "--drop", "created", "--models", dir, "--seeds", "1", "--learners", "logit", "--json")
	var r trial.Report
	if err := json.Unmarshal([]byte(out), &r); err != nil {
		t.Fatal(err)
	}
	if code != 3 || r.Published || r.Gate.Passed || !strings.Contains(strings.Join(r.Gate.Reasons, " ")+errs, "no skill: AUC") {
		t.Errorf("exit %d, %+v\n%s", code, r.Gate, errs)
	}
	if left, _ := filepath.Glob(filepath.Join(dir, "*")); len(left) != 0 {
		t.Errorf("published %v", left)
	}
}

func TestTrainTableRefusesTooLittle(t *testing.T) {
	code, out, errs := called("train", "table", "--in", dealsFile(t, "few.csv", 60, true), "--sep", ";", "--label", "result", "--json")
	if code != 3 || !strings.Contains(out, `"passed": false`) || !strings.Contains(errs, "40 are needed") {
		t.Errorf("exit %d: %s%s", code, out, errs)
	}
}

func TestTableCommandsSayWhatIsWrong(t *testing.T) {
	in := dealsFile(t, "deals.csv", 100, true)
	for _, c := range []struct {
		args []string
		code int
		want string
	}{
		{[]string{"train", "table"}, 2, "--in FILE and --label COLUMN"},
		{[]string{"train"}, 2, "win, churn or table"},
		{[]string{"train", "table", "--in", in, "--label", "result"}, 1, `--sep ';'`},
		{[]string{"train", "table", "--in", in, "--sep", ";;", "--label", "result"}, 2, "one character"},
		{[]string{"train", "table", "--in", in, "--sep", ";", "--label", "reslut"}, 1, `no column "reslut"`},
		{[]string{"train", "table", "--in", in, "--sep", ";", "--label", "result", "--learners", "magic"}, 2, "gbdt"},
		{[]string{"train", "table", "--in", in, "--sep", ";", "--label", "result", "--name", "No!"}, 2, "lower-case"},
		{[]string{"predict"}, 2, "--model"},
		{[]string{"predict", "--models", t.TempDir(), "--model", "deals", "--in", in, "--out", "x.csv"}, 1, "no version in force"},
		{[]string{"models"}, 2, "rollback"},
		{[]string{"models", "list", "--models", filepath.Join(t.TempDir(), "none")}, 1, "not a directory of models"},
		{[]string{"models", "promote", "deals", "--models", t.TempDir()}, 2, "which version"},
		{[]string{"models", "card"}, 2, "card"},
	} {
		code, out, errs := called(c.args...)
		if code != c.code || !strings.Contains(errs, c.want) || out != "" {
			t.Errorf("%v: exit %d, want %d with %q:\n%s%s", c.args, code, c.code, c.want, out, errs)
		}
	}
}
