package routing

import (
	"fmt"
	"math"
	"slices"
	"testing"

	"bellwether/datasets/record"

	"pgregory.net/rapid"
)

func candidates(values ...float64) []record.Candidate {
	out := make([]record.Candidate, len(values))
	for i, v := range values {
		out[i] = record.Candidate{Partner: record.PartnerID(fmt.Sprintf("p%d", i)), Value: v}
	}
	return out
}

// TestShare: every candidate has a probability, together they are 1, a better
// candidate never has less, and the explored share keeps its limit.
func TestShare(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		amount := rapid.SampledFrom([]float64{1, 100, 1e9}).Draw(t, "amount")
		values := rapid.SliceOfN(rapid.SampledFrom([]float64{-0.1, 0, 0.1, 0.11, 0.5, 0.500001, 1}), 1, 3000).Draw(t, "values")
		for i := range values {
			values[i] *= amount
		}
		c := candidates(values...)
		ex := Exploration{Share: rapid.SampledFrom([]float64{0, 0.01, 0.5}).Draw(t, "share"), Gap: rapid.SampledFrom([]float64{0, 1, 1000}).Draw(t, "gap")}
		share(c, amount, ex, false)
		best := slices.Max(values)
		var sum, explored float64
		for i := range c {
			sum += c[i].Prob
			if c[i].Value < best {
				explored += c[i].Prob
			}
			if c[i].Prob <= 0 {
				t.Fatalf("candidate %d has probability %v", i, c[i].Prob)
			}
		}
		if math.Abs(sum-1) > 1e-12 {
			t.Fatalf("probabilities sum to %v", sum)
		}
		if most := setting(ex.Share, 0.05); explored > most+1e-12 {
			t.Fatalf("%v explored, at most %v allowed", explored, most)
		}
		slices.SortStableFunc(c, byValue)
		for i := 1; i < len(c); i++ {
			if c[i-1].Value < c[i].Value && c[i-1].Prob > c[i].Prob && c[i].Value < best {
				t.Fatalf("value %v has more than value %v: %v, %v", c[i-1].Value, c[i].Value, c[i-1].Prob, c[i].Prob)
			}
		}
	})
}

func TestShareGreedy(t *testing.T) {
	for name, c := range map[string][]record.Candidate{"caller": nil, "policy": nil} {
		c = candidates(1, 3, 2, 3)
		share(c, 10, Exploration{Off: name == "policy"}, name == "caller")
		for i, want := range []float64{0, 0.5, 0, 0.5} {
			if c[i].Prob != want {
				t.Errorf("%s: candidate %d has probability %v, want %v", name, i, c[i].Prob, want)
			}
		}
	}
}

// TestShareByHand: K=2, gap 0.5, fall 50: 1/(2·26) is under the limit of 5 %.
func TestShareByHand(t *testing.T) {
	c := candidates(50, 100)
	share(c, 100, Exploration{}, false)
	if want := 1.0 / 52; c[0].Prob != want || c[1].Prob != 1-want {
		t.Errorf("got %v and %v, want %v", c[0].Prob, c[1].Prob, want)
	}
}

// TestDraw: over many seeds each candidate is drawn as often as its probability
// says, whatever the order they stand in.
func TestDraw(t *testing.T) {
	c := []record.Candidate{{Partner: "a", Prob: 0.5}, {Partner: "b", Prob: 0}, {Partner: "c", Prob: 0.2}, {Partner: "d", Prob: 0.3}}
	const n = 20_000
	for range 2 {
		times := map[record.PartnerID]int{}
		for seed := range uint64(n) {
			times[c[draw(c, seed*0x9e3779b97f4a7c15)].Partner]++
		}
		for _, k := range c {
			got, sd := float64(times[k.Partner]), math.Sqrt(n*k.Prob*(1-k.Prob))
			if math.Abs(got-n*k.Prob) > 4*sd {
				t.Errorf("%s was drawn %v times, expected %v ± %v", k.Partner, got, n*k.Prob, sd)
			}
		}
		slices.Reverse(c)
	}
}
