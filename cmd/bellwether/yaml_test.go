package main

import (
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"

	"bellwether/models/tune"
	"bellwether/routing"
)

// Whoever mistypes a key is told which it is, where it stands and which there are,
// in no word of Go.
func TestUnknownKeysAreNamed(t *testing.T) {
	params, config := "train table --in x.csv --label y --params ", "serve --store s --models m --config "
	for _, c := range []struct{ command, text, want string }{
		{params, "trees: 10\nleafs: 3\n", `line 2: unknown key "leafs" in the file; it may hold feature_fraction, l2, learning_rate, leaves, min_rows, pairs, row_fraction, trees`},
		{params, "- trees\n", `line 1: the file wants keys with values; it may hold feature_fraction, l2`},
		{config, "polcy:\n  id: x\n", `line 1: unknown key "polcy" in the file; it may hold engine, limits, policy, store`},
		{config, "policy:\n  load: {opn: 1}\n", `line 2: unknown key "opn" in policy.load; it may hold capacity, open`},
		{config, "policy:\n  rules:\n    custom:\n    - nam: x\n", `line 4: unknown key "nam" in policy.rules.custom; it may hold name, reason, when`},
		{config, "engine: {-: 1}\n", `line 1: unknown key "-" in engine; it may hold collect_every,`},
		{config, "policy:\n  load: &l {open: 1}\n  fairness:\n    <<: *l\n", `line 2: unknown key "open" in policy.fairness; it may hold boost, offers`},
		{config, "limits: 3\n", `line 1: limits wants keys with values; it may hold body, `},
	} {
		path := filepath.Join(t.TempDir(), "c.yaml")
		if err := os.WriteFile(path, []byte(c.text), 0o600); err != nil {
			t.Fatal(err)
		}
		if code, _, errs := called(strings.Fields(c.command + path)...); code != 1 || !strings.Contains(errs, path+": "+c.want) || strings.Contains(errs, "type ") {
			t.Errorf("%s: exit %d: %s; want %q", c.text, code, errs, c.want)
		}
	}
}

// What is not written stays, and every way to write it is read.
func TestReadYAML(t *testing.T) {
	for text, want := range map[string]tune.Params{
		"": {Trees: 7}, "# nothing\n": {Trees: 7}, "null\n": {Trees: 7}, "leaves: 3\n": {Trees: 7, Leaves: 3}, "{trees: 2, l2: .5}": {Trees: 2, L2: .5},
	} {
		got := tune.Params{Trees: 7}
		if err := readYAML(strings.NewReader(text), &got); err != nil || got != want {
			t.Errorf("%q is read as %+v, %v; want %+v", text, got, err, want)
		}
	}
	var got routing.Policy
	text := "load: &l {open: 1}\nexploration: {share: 0.1}\nevidence: &e {offers: 3}\nfairness: {<<: [*e], boost: 0.1}\nrates: {USD: 0.9}\nrules: {by_product: {a: [b]}, custom: [{name: x, when: 'true'}]}\n"
	err := readYAML(strings.NewReader(text), &got)
	if err != nil || got.Load.Open != 1 || got.Rates["USD"] != .9 || got.Fairness.Offers != 3 || !reflect.DeepEqual(got.Rules.ByProduct, map[string][]string{"a": {"b"}}) {
		t.Errorf("%+v, %v", got, err)
	}
	for _, text := range []string{"trees: many\n", "trees: 1\ntrees: 2\n", "trees: [\n"} {
		if err := readYAML(strings.NewReader(text), &tune.Params{}); err == nil {
			t.Errorf("%q is read", text)
		}
	}
}

func FuzzReadYAML(f *testing.F) {
	f.Add("policy: &p\n  rules: {custom: [{name: x}, *p]}\n  fairness: {<<: [*p]}\n")
	f.Add("engine: &e {<<: *e, sweep_every: 1s}\n--- 3")
	f.Fuzz(func(t *testing.T, text string) {
		var c serveConfig
		if err := readYAML(strings.NewReader(text), &c); err != nil && strings.Contains(err.Error(), "not found in type") {
			t.Fatal(err)
		}
	})
}
