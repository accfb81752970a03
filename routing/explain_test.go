package routing

import (
	"context"
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"bellwether/datasets/record"
	"bellwether/features"
	"bellwether/models"
	"bellwether/models/calibrate"
	"bellwether/models/gbdt"
	"bellwether/models/trial"

	"pgregory.net/rapid"
)

// learn fits trees to made-up rows in which the named features alone matter:
// "pair_distance=0..500:-0.01" is drawn evenly from 0 to 500 and weighs -0.01.
func learn(set *features.Set, named []string) *Model {
	const n = 4000
	rng := rand.New(rand.NewPCG(1, 1))
	t := &models.Table{Columns: set.Columns(), X: make([][]float64, set.Width()), Y: make([]float64, n)}
	for j := range t.X {
		t.X[j] = make([]float64, n)
	}
	z := make([]float64, n)
	for _, arg := range named {
		var lo, hi, weight float64
		name, rest, _ := strings.Cut(arg, "=")
		if _, err := fmt.Sscanf(strings.ReplaceAll(strings.ReplaceAll(rest, "..", " "), ":", " "), "%g %g %g", &lo, &hi, &weight); err != nil {
			panic(err)
		}
		j, ok := set.Column(name)
		if !ok {
			panic("no feature " + name)
		}
		for i := range z {
			x := lo + (hi-lo)*rng.Float64()
			if set.Features()[j].Unit != "share" {
				x = math.Round(x)
			}
			t.X[j][i] = x
			z[i] += weight * (x - (lo+hi)/2)
		}
	}
	for i := range z {
		if rng.Float64() < 1/(1+math.Exp(-z[i])) {
			t.Y[i] = 1
		}
	}
	m, err := gbdt.Learner{Trees: 60, Leaves: 8, EarlyStop: -1, Targets: gbdt.Targets{Pairs: -1}}.Fit(context.Background(), t, nil, 1)
	if err != nil {
		panic(err)
	}
	c, err := calibrate.Fit(calibrate.Identity, []float64{0.1, 0.9}, []float64{0, 1}, nil)
	if err != nil {
		panic(err)
	}
	return &Model{Win: &trial.Predictor{Columns: t.Columns, Learner: "gbdt", Model: m, Calibrator: c}, WinID: "win@v1:test"}
}

// question is a lead with all that is needed to ask and try things about it.
type question struct {
	*Router
	st   *features.State
	lead *record.Lead
	req  Request
}

// questions asks about a lead of a world under small models of trees.
func questions(t *testing.T, seed uint64) *question {
	w := newWorld(60, 1500, seed)
	w.policy.Rules.Off = []string{RuleContract, RuleTerritory, RuleCapacity}
	r, st := w.fold(t, len(w.log))
	r.Model = learn(r.Set, []string{"pair_industry_win_rate=0.1..0.6:8", "partner_win_rate=0.1..0.6:5", "pair_competence_level=0..5:0.3",
		"partner_declines_91d=0..6:-0.3", "partner_working=0..20:-0.1", "pair_distance=0..1500:-0.004"})
	r.Model.Accept = learn(r.Set, []string{"partner_accept_rate=0..1:3", "partner_waiting=0..5:-0.4"}).Win
	return &question{r, st, newLead("new"), Request{Now: day0, Seed: seed}}
}

// An explanation adds up, whoever asks.
func TestExplanationAddsUp(t *testing.T) {
	q := questions(t, 1)
	rapid.Check(t, func(t *rapid.T) {
		q.req.Seed = rapid.Uint64Range(1, 50).Draw(t, "seed")
		q.lead.Industry = rapid.SampledFrom([]string{"health", "retail", "bank", "unheard of"}).Draw(t, "industry")
		contrast := record.PartnerID(fmt.Sprintf("p%04d", rapid.IntRange(0, 59).Draw(t, "partner")))
		d, x, err := q.Explain(q.lead, q.st, q.req, contrast)
		if err != nil {
			t.Fatal(err)
		}
		if contrast == d.Chosen {
			if x.Contrast.NoChange == "" || x.Contrast.Parts != nil || !strings.Contains(x.Sentence, "was chosen") {
				t.Fatalf("of the chosen one: %+v", x)
			}
			return
		}
		for _, k := range d.Ranked {
			for i := range x.Partners {
				if v := (&verdict{pro: x.Partners[i].For, con: x.Partners[i].Against, notes: x.Partners[i].Notes}); x.Partners[i].Partner == k.Partner && !slices.Equal(v.sentences(), k.Reasons) {
					t.Errorf("of %s is said %q, and explained %q", k.Partner, k.Reasons, v.sentences())
				}
			}
		}
		own, chosen := &x.Partners[0], &x.Partners[1]
		if own.Partner != contrast || chosen.Partner != d.Chosen || own.Candidate != d.Candidates[slices.IndexFunc(d.Candidates, func(k record.Candidate) bool { return k.Partner == contrast })] {
			t.Fatalf("about %s and %s", own.Partner, chosen.Partner)
		}
		better := 0
		for _, k := range d.Candidates {
			if k.Value > own.Value {
				better++
			}
		}
		if own.Rank != better+1 {
			t.Errorf("rank %d with %d better", own.Rank, better)
		}
		if sum := x.Contrast.Parts[0].Amount + x.Contrast.Parts[1].Amount + x.Contrast.Parts[2].Amount + x.Contrast.Parts[3].Amount; math.Abs(sum-(own.Value-chosen.Value)) > 1e-6 {
			t.Errorf("parts of value sum to %v, the difference is %v", sum, own.Value-chosen.Value)
		}
		odds := func(p float64) float64 { return math.Log(p / (1 - p)) }
		sum := x.Contrast.Rest
		ways := map[bool]int{}
		for _, e := range x.Contrast.Differences {
			sum += e.LogOdds
			ways[e.LogOdds > 0]++
		}
		if want := odds(own.Win) - odds(chosen.Win); math.Abs(sum-want) > 1e-5 || math.Abs(x.Contrast.LogOdds-want) > 1e-5 {
			t.Errorf("differences sum to %v of %v, want %v", sum, x.Contrast.LogOdds, want)
		}
		if len(own.For) > 3 || len(own.Against) > 3 || ways[true] > 3 || ways[false] > 3 {
			t.Errorf("too much is said: %+v", x)
		}
	})
}

// A change does change the order when it is made, and no smaller one of any
// input would, by trying them all.
func TestChangesAreTheSmallest(t *testing.T) {
	q := questions(t, 1)
	found, none := 0, 0
	for i := range 60 {
		contrast := record.PartnerID(fmt.Sprintf("p%04d", i))
		d, x, err := q.Explain(q.lead, q.st, q.req, contrast)
		if err != nil {
			t.Fatal(err)
		}
		if contrast == d.Chosen || x.Partners[0].Value > x.Partners[1].Value {
			continue
		}
		tried := q.dumbChanges(t, contrast, x.Partners[1].Value)
		least := slices.Min(append(slices.Collect(mapValues(tried)), math.MaxInt))
		switch {
		case len(x.Contrast.Changes) == 0:
			none++
			if least <= mostSteps || !strings.Contains(x.Contrast.NoChange, "no single change") {
				t.Errorf("%s: %q, though %v", contrast, x.Contrast.NoChange, tried)
			}
			continue
		case x.Contrast.Changes[0].Steps != least:
			t.Errorf("%s: %d steps, %d are enough", contrast, x.Contrast.Changes[0].Steps, least)
		}
		found++
		for _, k := range x.Contrast.Changes {
			if tried[k.Feature] != k.Steps {
				t.Errorf("%s: %s by %d steps, want %d", contrast, k.Feature, k.Steps, tried[k.Feature])
			}
			win, accept, value := q.made(t, contrast, k.Feature, k.To)
			if win != k.Win || accept != k.Accept || value != k.Value || !(value > x.Partners[1].Value) {
				t.Errorf("%s: %+v gives %v, %v, %v against %v", contrast, k, win, accept, value, x.Partners[1].Value)
			}
		}
	}
	if found < 10 || none == 0 {
		t.Errorf("%d with a change, %d without: not much of a test", found, none)
	}
}

func mapValues(m map[string]int) func(func(int) bool) {
	return func(yield func(int) bool) {
		for _, x := range m {
			if !yield(x) {
				return
			}
		}
	}
}

// made decides the lead with one feature of one partner put in its place, by
// whole rows, and returns what becomes of it.
func (q *question) made(t *testing.T, id record.PartnerID, feature string, x float64) (win, accept, value float64) {
	t.Helper()
	var c Case
	if err := q.Read(&c, q.lead, q.st, q.req); err != nil {
		t.Fatal(err)
	}
	i := slices.IndexFunc(c.candidates, func(k candidate) bool { return k.id == id })
	p := c.profile(i)
	column, _ := c.set.Column(feature)
	p.row[column] = x
	out := make([]trial.Probability, 1)
	c.model.Win.PredictRows(out, p.row, &c.trial)
	win = out[0].P
	c.model.Accept.PredictRows(out, p.row, &c.trial)
	k := record.Candidate{Win: win, Accept: out[0].P, Price: c.load(p.of)}
	return win, k.Accept, c.worth(&k, p.of)
}

// dumbChanges tries each value between any two neighbouring thresholds of every
// input, and returns the fewest thresholds crossed for each that passes least.
func (q *question) dumbChanges(t *testing.T, id record.PartnerID, least float64) map[string]int {
	t.Helper()
	var c Case
	if err := q.Read(&c, q.lead, q.st, q.req); err != nil {
		t.Fatal(err)
	}
	row := c.profile(slices.IndexFunc(c.candidates, func(k candidate) bool { return k.id == id })).row
	out := map[string]int{}
	for j, f := range c.set.Features() {
		cuts := append(slices.Clone(q.Model.Win.Model.(*gbdt.Model).Cuts(j)), q.Model.Accept.Model.(*gbdt.Model).Cuts(j)...)
		if f.Side == features.Lead || len(cuts) == 0 || math.IsNaN(row[j]) || f.Name == "pair_distance" {
			continue
		}
		slices.Sort(cuts)
		cuts = slices.Compact(cuts)
		below := func(x float64) (n int) {
			for _, cut := range cuts {
				if cut < x {
					n++
				}
			}
			return n
		}
		for b := 0; b <= len(cuts); b++ {
			x := cuts[0] // of the lowest
			if b > 0 {
				x = math.Nextafter(cuts[b-1], math.Inf(1))
			}
			if f.Unit != "share" { // counts, all of them
				if x = math.Ceil(x); b == 0 {
					x = math.Floor(cuts[0])
				}
			}
			steps := below(x) - below(row[j])
			if steps = max(steps, -steps); below(x) != b || steps == 0 || out[f.Name] != 0 && out[f.Name] <= steps {
				continue
			}
			if _, _, value := q.made(t, id, f.Name, x); value > least {
				out[f.Name] = steps
			}
		}
	}
	return out
}

// BenchmarkReasons is what words cost a decision: the four that are shown, under
// an ensemble of 100 trees.
func BenchmarkReasons(b *testing.B) {
	w := newWorld(700, 20_000, 9)
	w.policy.Rules.Off = []string{RuleContract, RuleCapacity}
	r, st := w.fold(b, len(w.log))
	r.Model = &Model{Win: trees(b, r.Set, 1, 100, nil)}
	var c Case
	if err := r.Read(&c, newLead("x"), st, Request{Now: day0}); err != nil {
		b.Fatal(err)
	}
	d, err := c.Decide()
	if err != nil {
		b.Fatal(err)
	}
	for name, f := range map[string]func(){
		"ranked": func() { d.Ranked = d.Ranked[:0]; c.rank(d, 0) },
		"shapley": func() {
			for i := range 4 {
				c.profile(i).contributions()
			}
		},
		"why-not": func() {
			x := c.explain(d)
			x.Contrast = &record.Contrast{Partner: d.Candidates[5].Partner}
			c.contrast(d, x)
		},
	} {
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				f()
			}
		})
	}
}
