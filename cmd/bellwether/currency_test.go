package main

import (
	"context"
	"encoding/json"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"bellwether/datasets"
	"bellwether/datasets/record"
	"bellwether/models/registry"
	"bellwether/routing"
	"bellwether/serving"
	"bellwether/serving/store"
)

// twoCurrencies writes a world again with every second amount in euros turned
// into dollars, of which two are worth a euro.
func twoCurrencies(t *testing.T, world, out string) {
	t.Helper()
	src, err := openData(&streams{Err: new(strings.Builder)}, world)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.Mkdir(out, 0o777); err != nil {
		t.Fatal(err)
	}
	ctx, n := context.Background(), 0
	exchange := func(m *record.Money) {
		if n++; n%2 == 0 && m.Currency == "EUR" {
			*m = record.Money{Amount: 2 * m.Amount, Currency: "USD"}
		}
	}
	write := func(noun string, each func(line func(any) error) error) {
		f, err := os.Create(filepath.Join(out, noun+".jsonl"))
		if err == nil {
			err = each(json.NewEncoder(f).Encode)
		}
		if err != nil || f.Close() != nil {
			t.Fatal(noun, err)
		}
	}
	write("partners", func(line func(any) error) error {
		return src.Partners(ctx, func(p *record.Partner) error { return line(p) })
	})
	write("leads", func(line func(any) error) error {
		return src.Leads(ctx, func(l *record.Lead) error { exchange(&l.Value); return line(l) })
	})
	write("events", func(line func(any) error) error {
		return src.Events(ctx, func(batch []record.Event) error {
			for i := range batch {
				exchange(&batch[i].Amount)
				if err := line(batch[i]); err != nil {
					return err
				}
			}
			return nil
		})
	})
}

// TestTwoCurrencies: with a table a world makes the features and the decisions of
// the same world in another mix of currencies, and without one a warning names
// them.
func TestTwoCurrencies(t *testing.T) {
	dir := t.TempDir()
	in := func(name string) string { return filepath.Join(dir, name) }
	do := func(args ...string) (stdout, stderr string) {
		t.Helper()
		code, stdout, stderr := called(args...)
		if code != 0 {
			t.Fatalf("%v: exit code %d: %s", args, code, stderr)
		}
		return stdout, stderr
	}
	for name, text := range map[string]string{
		"table.yaml": "policy:\n  currency: EUR\n  rates: {USD: 0.5, GBP: 1.25, SEK: 0.125, PLN: 0.25}\n  exploration: {share: 0.1}\nengine:\n  sweep_every: 1s\n",
		"gbp.yaml":   "policy:\n  rates: {GBP: 1.2, SEK: 0.125, PLN: 0.25}\n",
		"lead.json":  `{"id":"new","created_at":"2026-06-29T23:59:00Z","industry":"retail","value":{"amount":"2000000","currency":"USD"}}`,
		"euro.json":  `{"id":"new","created_at":"2026-06-29T23:59:00Z","industry":"retail","value":{"amount":"1000000","currency":"EUR"}}`,
	} {
		if err := os.WriteFile(in(name), []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	do("synth", "--out", in("world"), "--partners", "20", "--leads", "2500", "--days", "400")
	twoCurrencies(t, in("world"), in("mixed"))

	do("features", "--data", in("world"), "--out", in("plain"), "--config", in("table.yaml"))
	if _, said := do("features", "--data", in("mixed"), "--out", in("converted"), "--config", in("table.yaml")); strings.Contains(said, "warning") {
		t.Errorf("with a table: %s", said)
	}
	if _, said := do("features", "--data", in("mixed"), "--out", in("raw")); !strings.Contains(said, "EUR, GBP, PLN, SEK, USD") {
		t.Errorf("without a table: %s", said)
	}
	for _, name := range []string{"offers.parquet", "months.parquet"} {
		if x, y := column(t, in("plain/"+name)), column(t, in("converted/"+name)); !slices.EqualFunc(x, y, same) {
			t.Errorf("%s: features depend on the currency in spite of a table", name)
		}
		if x, y := column(t, in("plain/"+name)), column(t, in("raw/"+name)); slices.EqualFunc(x, y, same) {
			t.Errorf("%s: the test does not see a difference in amounts", name)
		}
	}

	do("train", "win", "--data", in("mixed"), "--learners", "logit", "--seeds", "1", "--models", in("models"), "--config", in("table.yaml"))
	decide := func(lead string, more ...string) (d record.Decision, said string) {
		t.Helper()
		stdout, said := do(append([]string{"route", "--data", in("mixed"), "--models", in("models"), "--lead", in(lead), "--json", "--config", in("table.yaml")}, more...)...)
		if err := json.Unmarshal([]byte(stdout), &d); err != nil {
			t.Fatal(err)
		}
		return d, said
	}
	dollars, said := decide("lead.json")
	euros, _ := decide("euro.json")
	if err := routing.Same(&dollars, &euros); err != nil || strings.Contains(said, "warning") {
		t.Errorf("a lead in dollars: %v; said %s", err, said)
	}
	if _, said := decide("euro.json", "--config", in("gbp.yaml")); !strings.Contains(said, "another currency table") {
		t.Errorf("with a table that is not the model's: %s", said)
	}
	serves(t, in("mixed"), in("models"), in("table.yaml"), in("lead.json"), &dollars)

}

// TestCurrenciesWithoutARate: every command that makes features names them.
func TestCurrenciesWithoutARate(t *testing.T) {
	dir := t.TempDir()
	in := func(name string) string { return filepath.Join(dir, name) }
	if code, _, said := called("synth", "--out", in("world"), "--partners", "20", "--leads", "150", "--days", "400"); code != 0 {
		t.Fatal(said)
	}
	for name, text := range map[string]string{"gbp.yaml": "policy:\n  rates: {GBP: 1.2, SEK: 0.1, PLN: 0.2}\n", "lead.json": testLead, "dollars.json": strings.ReplaceAll(testLead, "EUR", "USD")} {
		if err := os.WriteFile(in(name), []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	for _, command := range [][]string{{"train", "win", "--learners", "logit"}, {"train", "churn", "--learners", "logit"}, {"report", "at-risk"},
		{"route", "--lead", in("lead.json")}, {"features", "--out", ""}} {
		for config, want := range map[string]string{"": "USD and taken as they are", in("gbp.yaml"): "amounts in USD count as missing", in("world/policy.yaml"): ""} {
			args := append(slices.Clone(command), "--data", in("world"), "--config", config)
			if command[0] == "features" {
				args[2] = in("tables" + filepath.Base(config))
			}
			code, _, said := called(args...)
			if code != 0 && code != 3 || want != "" && !strings.Contains(said, want) || want == "" && strings.Contains(said, "warning") {
				t.Errorf("%v: exit code %d, want %q: %s", args, code, want, said)
			}
		}
	}
	for config, want := range map[string]string{"gbp.yaml": "value.currency: USD has no rate in the policy, which has EUR, GBP, PLN, SEK", "world/policy.yaml": ""} {
		code, _, said := called("route", "--data", in("world"), "--lead", in("dollars.json"), "--config", in(config))
		if (code == 1) != (want != "") || !strings.Contains(said, want) {
			t.Errorf("a lead in dollars under %s: exit code %d, want %q: %s", config, code, want, said)
		}
	}
}

func same(a, b float64) bool { return a == b || math.IsNaN(a) && math.IsNaN(b) }

// column returns the values of all number columns of a table, one after the other.
func column(t *testing.T, path string) []float64 {
	t.Helper()
	table, _, err := datasets.ReadTable(path, datasets.TableOptions{})
	if err != nil {
		t.Fatal(err)
	}
	return slices.Concat(table.Whole().X...)
}

// serves starts an engine over the data and holds its answer against an offline
// decision.
func serves(t *testing.T, data, models, config, lead string, want *record.Decision) {
	t.Helper()
	ctx := context.Background()
	st, err := store.Open("", store.Options{InMemory: true})
	if err != nil {
		t.Fatal(err)
	}
	defer st.Close()
	src, err := openData(&streams{Err: new(strings.Builder)}, data)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := serving.Load(ctx, st, src, nil); err != nil {
		t.Fatal(err)
	}
	reg, err := registry.Open(models)
	if err != nil {
		t.Fatal(err)
	}
	c, err := readServeConfig(config)
	if err != nil {
		t.Fatal(err)
	}
	c.Engine.Policy, c.Engine.Clock = c.Policy, func() time.Time { return want.At }
	e, err := serving.Start(ctx, st, reg, c.Engine)
	if err != nil {
		t.Fatal(err)
	}
	defer e.Close()
	l, err := readLead(nil, lead)
	if err != nil {
		t.Fatal(err)
	}
	got, err := e.Preview(ctx, l, serving.RouteOptions{})
	if err != nil {
		t.Fatal(err)
	}
	if got.Decision.Fingerprint != want.Fingerprint || got.Decision.Model != want.Model || len(got.Decision.Candidates) == 0 {
		t.Errorf("served: model %s, matrix %x; offline %s, %x", got.Decision.Model, got.Decision.Fingerprint, want.Model, want.Fingerprint)
	}
}
