package serving

import (
	"bytes"
	"encoding/json"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"bellwether/datasets/record"
	"bellwether/features"
	"bellwether/models"
	"bellwether/models/calibrate"
	"bellwether/models/logit"
	"bellwether/models/registry"
	"bellwether/models/trial"
	"bellwether/serving/store"
)

// predictor fits something on noise: what it says does not matter here, only
// that another seed says something else.
func predictor(t testing.TB, columns []models.Column, seed uint64) []byte {
	t.Helper()
	r := rand.New(rand.NewPCG(seed, 1))
	const n = 60
	table := &models.Table{Columns: columns, X: make([][]float64, len(columns)), Y: make([]float64, n)}
	for j := range table.X {
		table.X[j] = make([]float64, n)
		for i := range table.X[j] {
			table.X[j][i] = float64(r.IntN(5))
		}
	}
	for i := range table.Y {
		table.Y[i] = float64(r.IntN(2))
	}
	model, err := logit.Learner{}.Fit(ctx, table, nil, seed)
	if err != nil {
		t.Fatal(err)
	}
	raw := make([]float64, n)
	if err := model.Predict(raw, table); err != nil {
		t.Fatal(err)
	}
	c, err := calibrate.Fit(calibrate.Platt, raw, table.Y, nil)
	if err != nil {
		t.Fatal(err)
	}
	b, err := (&trial.Predictor{Columns: columns, Learner: "logit", Model: model, Calibrator: c}).MarshalBinary()
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// publish writes a version of a model into the registry, not yet in force.
func publish(t testing.TB, dir, name string, schema features.Schema, seed uint64, change func(files map[string][]byte)) registry.Version {
	t.Helper()
	set := features.NewSet(schema, features.Options{})
	spec, err := json.Marshal(set.Spec())
	if err != nil {
		t.Fatal(err)
	}
	files := map[string][]byte{featuresFile: spec}
	if name == winName {
		files[winFile], files[acceptFile] = predictor(t, set.Columns(), seed), predictor(t, set.Columns(), seed+1)
	} else {
		_, from, to := set.Sides()
		files[churnFile] = predictor(t, set.Columns()[from:to], seed)
	}
	if change != nil {
		change(files)
	}
	reg, err := registry.Open(dir)
	if err != nil {
		t.Fatal(err)
	}
	v, err := reg.Publish(name, files, registry.Card{Task: name})
	if err != nil {
		t.Fatal(err)
	}
	return v
}

func number(v registry.Version) string { return fmt.Sprint(v.Number) }

var withColour = features.Schema{LeadAttributes: []features.Attribute{{Name: "colour", Kind: record.TextValue}}}

func TestPromoteAndRollBack(t *testing.T) {
	b := newBench(t, nil)
	trade(b, 0, 20)
	v1 := publish(t, b.dir, winName, features.Schema{}, 1, nil)
	v2 := publish(t, b.dir, winName, withColour, 2, nil) // on other features: needs a book of its own
	says := func(want string) *record.Decision {
		t.Helper()
		b.clock.pass(7 * 24 * time.Hour) // capacity comes back
		p, err := b.Preview(ctx, lead("preview"), RouteOptions{})
		if err != nil || p.Decision.Model != want || p.Decision.Degraded != (want == "") {
			t.Fatalf("decided by %q, want %q (%v)", p.Decision.Model, want, err)
		}
		if got := b.Status().WinModel; got != want {
			t.Fatalf("the status says %q, want %q", got, want)
		}
		return p.Decision
	}
	says("")
	info, err := b.Promote(ctx, winName, number(v1))
	if err != nil || !info.Current || !info.Loaded || info.Version != "v1" {
		t.Fatalf("%+v, %v", info, err)
	}
	first := says(modelID(v1))
	if _, err := b.Promote(ctx, winName, number(v2)); err != nil {
		t.Fatal(err)
	}
	if second := says(modelID(v2)); second.Candidates[0].Win == first.Candidates[0].Win {
		t.Fatal("another model says the same")
	}
	ids := trade(b, 20, 30)
	if info, err = b.Rollback(ctx, winName); err != nil || info.Version != "v1" {
		t.Fatalf("%+v, %v", info, err)
	}
	if again := says(modelID(v1)); again.Candidates[0].Win == 0 {
		t.Fatal("no chance to win at all")
	}
	ids = append(ids, trade(b, 30, 40)...)
	for _, id := range ids {
		if err := b.Replay(ctx, id); err != nil {
			t.Error(err)
		}
	}
	_, err = b.Rollback(ctx, winName)
	want(t, err, record.NotFound, "")
	_, err = b.Promote(ctx, winName, "9")
	want(t, err, record.NotFound, "9")
	_, err = b.Promote(ctx, "../x", "1")
	want(t, err, record.Invalid, "name")
	list, err := b.Models(ctx)
	if err != nil || len(list) != 2 || !list[0].Current || !list[0].Loaded || list[1].Loaded {
		t.Fatalf("%+v, %v", list, err)
	}
	live := b.book
	b.restart()
	says(modelID(v1))
	sameBook(t, b.book, live)
}

func TestModelsThatDoNotFitAreRefused(t *testing.T) {
	b := newBench(t, func(c *Config, _ *store.Options) { c.PollEvery = 5 * time.Millisecond })
	good := publish(t, b.dir, winName, features.Schema{}, 1, nil)
	if _, err := b.Promote(ctx, winName, number(good)); err != nil {
		t.Fatal(err)
	}
	reg, err := registry.Open(b.dir)
	if err != nil {
		t.Fatal(err)
	}
	for words, change := range map[string]func(map[string][]byte){
		"train again": func(f map[string][]byte) {
			f[featuresFile] = []byte(`{"schema":{},"options":{},"fingerprint":"of another program"}`)
		},
		"features.json":  func(f map[string][]byte) { delete(f, featuresFile) },
		"load win model": func(f map[string][]byte) { f[winFile] = f[winFile][:100] },
		"inputs": func(f map[string][]byte) {
			f[acceptFile] = predictor(t, []models.Column{{Name: "x"}}, 1)
		},
	} {
		bad := publish(t, b.dir, winName, features.Schema{}, 2, change)
		_, err := b.Promote(ctx, winName, number(bad))
		want(t, err, record.Incompatible, words)
		if now, err := reg.Current(winName); err != nil || now != good {
			t.Fatalf("a model that was refused is in force: %v, %v", now, err)
		}
		// Somebody else puts it in force: the old one keeps answering.
		if _, err := reg.Promote(winName, number(bad)); err != nil {
			t.Fatal(err)
		}
		refused := func() bool {
			list, err := b.Models(ctx)
			if err != nil {
				t.Fatal(err)
			}
			return list[len(list)-1].Refused != ""
		}
		for deadline := time.Now().Add(10 * time.Second); !refused(); time.Sleep(time.Millisecond) {
			if time.Now().After(deadline) {
				t.Fatal("the refusal is not told")
			}
		}
		if got := b.Status().WinModel; got != modelID(good) {
			t.Fatalf("answering by %q", got)
		}
		if _, err := reg.Promote(winName, number(good)); err != nil {
			t.Fatal(err)
		}
	}
}

// A model whose files are damaged is told when the engine starts, and not again
// at every look.
func TestADamagedModelIsToldOnce(t *testing.T) {
	b := newBench(t, nil)
	for _, name := range []string{winName, churnName} {
		v := publish(t, b.dir, name, features.Schema{}, 1, nil)
		if _, err := b.Promote(ctx, name, number(v)); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(b.dir, name, "v1", featuresFile), []byte("{}"), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	var log bytes.Buffer
	b.cfg.Logger = slog.New(slog.NewTextHandler(&log, nil))
	b.restart()
	b.poll(ctx, winName)
	b.poll(ctx, churnName)
	if n := strings.Count(log.String(), "features.json is not what was published"); n != 2 {
		t.Errorf("two damaged models are told %d times: %s", n, &log)
	}
}

// A version that is damaged and not in force stops neither a start nor a list.
func TestADamagedVersionBesideTheOneInForce(t *testing.T) {
	b := newBench(t, nil)
	publish(t, b.dir, winName, features.Schema{}, 1, nil)
	v := publish(t, b.dir, winName, features.Schema{}, 1, nil)
	if _, err := b.Promote(ctx, winName, number(v)); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(b.dir, winName, "v1", "manifest.json"), []byte("{"), 0o600); err != nil {
		t.Fatal(err)
	}
	b.restart()
	list, err := b.Models(ctx)
	if err != nil || len(list) != 2 || !strings.Contains(list[0].Refused, "win@v1") || list[0].Loaded || list[0].Current || list[1].Refused != "" || !list[1].Loaded || !list[1].Current {
		t.Fatalf("%+v, %v", list, err)
	}
	if err := os.WriteFile(filepath.Join(b.dir, winName, "v2", "manifest.json"), []byte("{"), 0o600); err != nil {
		t.Fatal(err)
	}
	if list, err := b.Models(ctx); err != nil || !list[1].Loaded || !list[1].Current || !strings.Contains(list[1].Refused, "win@v2") {
		t.Errorf("damaged while it answers: %+v, %v", list, err)
	}
	b.restart()
	if list, err := b.Models(ctx); err != nil || list[1].Loaded || !strings.Contains(list[1].Refused, "win@v2") {
		t.Errorf("damaged before the start: %+v, %v", list, err)
	}
}

func TestModelsInForceAreTakenUp(t *testing.T) {
	b := newBench(t, func(c *Config, _ *store.Options) { c.PollEvery = 5 * time.Millisecond })
	v := publish(t, b.dir, winName, withColour, 1, nil)
	reg, err := registry.Open(b.dir)
	if err != nil {
		t.Fatal(err)
	}
	var wg sync.WaitGroup
	stop := make(chan struct{})
	for g := range 4 {
		wg.Go(func() {
			for i := 0; ; i++ {
				select {
				case <-stop:
					return
				default:
				}
				if _, err := b.Route(ctx, lead(fmt.Sprintf("l%d-%d", g, i)), RouteOptions{}); err != nil {
					t.Errorf("a request failed while the model changed: %v", err)
					return
				}
			}
		})
	}
	if _, err := reg.Promote(winName, number(v)); err != nil {
		t.Fatal(err)
	}
	for deadline := time.Now().Add(10 * time.Second); b.Status().WinModel != modelID(v); time.Sleep(time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatal("the promoted model is not taken up")
		}
	}
	close(stop)
	wg.Wait()
}

func TestStandings(t *testing.T) {
	b := newBench(t, func(c *Config, _ *store.Options) { c.PollEvery = 5 * time.Millisecond })
	trade(b, 0, 60)
	b.clock.pass(24 * time.Hour)
	v := publish(t, b.dir, churnName, features.Schema{}, 1, nil)
	if _, err := b.Promote(ctx, churnName, number(v)); err != nil {
		t.Fatal(err)
	}
	at := midnight(b.clock.now())
	judged := func() bool {
		// The model judges those who did business; which of the partners did, the
		// store's seed decided.
		all, err := b.AtRisk(ctx, AtRiskQuery{})
		return err == nil && slices.ContainsFunc(all, func(s record.Standing) bool { return s.At.Equal(at) && s.Model == v.String() })
	}
	for deadline := time.Now().Add(10 * time.Second); !judged(); time.Sleep(time.Millisecond) {
		if time.Now().After(deadline) {
			s, err := b.Health(ctx, "p1")
			t.Fatalf("not judged: %+v, %v", s, err)
		}
	}
	all, err := b.AtRisk(ctx, AtRiskQuery{})
	if err != nil || len(all) != 5 {
		t.Fatalf("%d standings, %v", len(all), err)
	}
	for i := range all[1:] {
		if all[i].ValueAtRisk.Amount < all[i+1].ValueAtRisk.Amount {
			t.Fatal("the standings are not by falling value at risk")
		}
	}
	if two, err := b.AtRisk(ctx, AtRiskQuery{Limit: 2}); err != nil || len(two) != 2 || two[0].Partner != all[0].Partner {
		t.Fatalf("%+v, %v", two, err)
	}
	one, err := b.Health(ctx, all[3].Partner)
	if err != nil || one.Risk != all[3].Risk {
		t.Fatalf("%+v, %v", one, err)
	}
	_, err = b.Health(ctx, "p9")
	want(t, err, record.NotFound, `no partner "p9"`)
	if got := b.Status().Churn; got != modelID(v) {
		t.Fatalf("judged by %q", got)
	}
	bad := publish(t, b.dir, churnName, features.Schema{}, 2, func(f map[string][]byte) { f[churnFile] = nil })
	_, err = b.Promote(ctx, churnName, number(bad))
	want(t, err, record.Incompatible, "churn@v2")
}

// TestAmountsWithoutAModel: features convert amounts as the policy does, though
// no model says how.
func TestAmountsWithoutAModel(t *testing.T) {
	b := newBench(t, func(c *Config, _ *store.Options) { c.Policy.Rates = map[string]float64{"USD": 0.5} })
	decide := func(m record.Money) *record.Decision {
		l := lead("l1")
		l.Value = m
		r, err := b.Preview(ctx, l, RouteOptions{})
		if err != nil {
			t.Fatal(err)
		}
		return r.Decision
	}
	euros, dollars := decide(record.Money{Amount: 1_000_000, Currency: "EUR"}), decide(record.Money{Amount: 2_000_000, Currency: "USD"})
	other := decide(record.Money{Amount: 2_000_000, Currency: "EUR"})
	if euros.Fingerprint != dollars.Fingerprint || euros.Fingerprint == other.Fingerprint {
		t.Errorf("features of 10,000 euros are %x, of 20,000 half-euro dollars %x, of 20,000 euros %x", euros.Fingerprint, dollars.Fingerprint, other.Fingerprint)
	}
	r := b.route("l2")
	if err := b.Replay(ctx, r.Decision.ID); err != nil {
		t.Error(err)
	}
}
