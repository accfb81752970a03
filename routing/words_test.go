package routing

import (
	"math/rand/v2"
	"regexp"
	"slices"
	"strings"
	"testing"

	"bellwether/datasets/record"
	"bellwether/features"
)

// wordless are the features of partner and pair that people are not told of: a
// place on the globe is said by the distance, doubt by the interval.
var wordless = []string{"partner_latitude", "partner_longitude", "partner_status", "partner_win_rate_sd", "partner_win_rate_364d_sd", "partner_accept_rate_sd"}

var jargon = regexp.MustCompile(`shrunk|feature|score|log|rate of|NaN|Inf|%!|%s|\(\)|  |_`)

// Every feature that can move an answer can be told, in words without jargon,
// whatever its value.
func TestEveryFeatureHasWords(t *testing.T) {
	set := features.NewSet(features.Schema{PartnerAttributes: []features.Attribute{{Name: "head_count", Kind: record.NumberValue}}}, features.Options{Base: "EUR"})
	w := newWorld(30, 300, 5)
	w.set = set
	r, st := w.fold(t, len(w.log))
	r.Model = nil
	lead := newLead("x")
	lead.SizeBand, lead.Source = "200-500", "web"
	var c Case
	if err := r.Read(&c, lead, st, Request{Now: day0}); err != nil {
		t.Fatal(err)
	}
	if len(c.candidates) == 0 {
		t.Fatal("no candidates")
	}
	rng := rand.New(rand.NewPCG(1, 1))
	for i, f := range set.Features() {
		if f.Side == features.Lead {
			continue
		}
		if wordingOf(&f) == nil {
			if !slices.Contains(wordless, f.Name) {
				t.Errorf("%s (%s) has no words", f.Name, f.Meaning)
			}
			continue
		}
		p := c.profile(0)
		for range 200 {
			x := 1000 * rng.Float64() * rng.Float64()
			if rng.IntN(2) == 0 {
				x = float64(rng.IntN(4) - 1)
			}
			if strings.HasPrefix(f.Unit, "log") {
				x = min(x, 12)
			}
			if said := p.sayAs(i, x); jargon.MatchString(said.text) || jargon.MatchString(said.figure) || strings.TrimSpace(said.text) != said.text {
				t.Fatalf("%s of %v is said %q, %q", f.Name, x, said.text, said.figure)
			}
		}
	}
}

// A rate that is one of what the model weighs must not read like its answer.
func TestExpectedRateSaysWhatItIs(t *testing.T) {
	said := wordings[featExpected](nil, 0.61)
	if said.text != "would win 61 % of leads like this one going by past win rates alone" || said.figure != "61 %" {
		t.Errorf("said %q, %q", said.text, said.figure)
	}
}

func TestFigures(t *testing.T) {
	for want, got := range map[string]string{
		"1 industry": count(1, "industry"), "3 industries": count(3, "industry"), "2 surveys": count(2, "survey"), "no pieces of business": count(0, "piece of business"),
		"0 times": count(0, "time"), "12,000 visits": count(12000, "visit"), "today": ago(0), "3 days ago": ago(3), "14 months": span(426), "2.5 years": span(913), "40 hours": hours(40),
		"45 minutes": hours(0.75), "2.5 hours": hours(2.5), "5 days": hours(120), "2.0 times": factor(0.6931), "unhappy": mood(-0.5),
	} {
		if got != want {
			t.Errorf("%q, want %q", got, want)
		}
	}
}
