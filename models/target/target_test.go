package target_test

import (
	"math"
	"math/rand/v2"
	"slices"
	"testing"

	"pgregory.net/rapid"

	"bellwether/models/target"
)

func TestShrink(t *testing.T) {
	// Beta(2+3, 8+4): mean 5/17, variance ab/((a+b)^2 (a+b+1)).
	mean, sd := target.Shrink(target.Counter{N: 7, Pos: 3}, 0.2, 10)
	if want := 5.0 / 17; math.Abs(mean-want) > 1e-15 {
		t.Errorf("mean %v, want %v", mean, want)
	}
	if want := math.Sqrt(5 * 12 / (17.0 * 17 * 18)); math.Abs(sd-want) > 1e-15 {
		t.Errorf("sd %v, want %v", sd, want)
	}
	if mean, _ := target.Shrink(target.Counter{}, 0.3, 10); mean != 0.3 {
		t.Errorf("mean of nothing is %v, want the prior", mean)
	}
}

func TestShrinkMovesTowardsThePrior(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		n := rapid.Float64Range(0.1, 1e4).Draw(t, "n")
		c := target.Counter{N: n, Pos: n * rapid.Float64Range(0, 1).Draw(t, "rate")}
		prior := rapid.Float64Range(0, 1).Draw(t, "prior")
		s := rapid.Float64Range(0, 1e3).Draw(t, "strength")
		weak, _ := target.Shrink(c, prior, s)
		strong, _ := target.Shrink(c, prior, 2*s)
		own := c.Rate(prior)
		lo, hi := min(own, prior)-1e-12, max(own, prior)+1e-12
		if weak < lo || weak > hi {
			t.Fatalf("%v is not between %v and %v", weak, own, prior)
		}
		if math.Abs(strong-prior) > math.Abs(weak-prior)+1e-12 {
			t.Fatalf("strength %v: %v; twice that: %v is farther from %v", s, weak, strong, prior)
		}
	})
}

func TestNestedIsShrinkAlongTheChain(t *testing.T) {
	region, tier, partner := target.Counter{N: 1000, Pos: 300}, target.Counter{N: 90, Pos: 45}, target.Counter{N: 3, Pos: 3}
	r, _ := target.Shrink(region, 0.25, 50)
	s, _ := target.Shrink(tier, r, 20)
	want, wantSD := target.Shrink(partner, s, 8)
	mean, sd := target.Nested([]target.Counter{region, tier, partner}, []float64{50, 20, 8}, 0.25)
	if mean != want || sd != wantSD {
		t.Errorf("got %v ± %v, want %v ± %v", mean, sd, want, wantSD)
	}
	if mean < s || mean > 1 {
		t.Errorf("three wins of three move %v to %v", s, mean)
	}
}

func TestStrengthFindsTheTruth(t *testing.T) {
	rng := rand.New(rand.NewPCG(1, 2))
	beta := func(a, b int) float64 { // of whole a, b: order statistics of uniforms
		u := make([]float64, a+b-1)
		for i := range u {
			u[i] = rng.Float64()
		}
		slices.Sort(u)
		return u[a-1]
	}
	for _, c := range []struct{ a, b int }{{1, 1}, {3, 9}, {10, 30}} {
		groups := make([]target.Counter, 4000)
		for i := range groups {
			p := beta(c.a, c.b)
			for range 1 + rng.IntN(60) {
				y := 0.0
				if rng.Float64() < p {
					y = 1
				}
				groups[i].Add(y, 1)
			}
		}
		got, want := target.Strength(groups), float64(c.a+c.b)
		if math.Abs(got/want-1) > 0.12 {
			t.Errorf("Beta(%d,%d): strength %v, want about %v", c.a, c.b, got, want)
		}
	}
}

func TestStrengthOfGroupsThatDoNotDiffer(t *testing.T) {
	for _, g := range [][]target.Counter{
		nil,
		{{N: 10, Pos: 3}},
		{{N: 10, Pos: 3}, {N: 20, Pos: 6}, {N: 30, Pos: 9}},
		{{N: 10}, {N: 20}},
		{{N: 1, Pos: 1}, {N: 1}},
	} {
		if got := target.Strength(g); got != target.MaxStrength {
			t.Errorf("%v: strength %v, want the most there is", g, got)
		}
	}
	if got := target.Strength([]target.Counter{{N: 50, Pos: 50}, {N: 50}}); got != target.MinStrength {
		t.Errorf("groups all won and all lost: strength %v, want the least", got)
	}
}

func drawRows(t *rapid.T) (at, known []int64, group []uint32, y, w []float64) {
	n := rapid.IntRange(1, 60).Draw(t, "n")
	for range n {
		a := rapid.Int64Range(0, 12).Draw(t, "at")
		k := a + rapid.Int64Range(-2, 8).Draw(t, "delay")
		if rapid.IntRange(0, 9).Draw(t, "never") == 0 {
			k = target.Never
		}
		at, known = append(at, a), append(known, k)
		group = append(group, rapid.Uint32Range(0, 3).Draw(t, "group"))
		y = append(y, float64(rapid.IntRange(0, 1).Draw(t, "y")))
		w = append(w, float64(rapid.IntRange(0, 4).Draw(t, "w")))
	}
	return at, known, group, y, w
}

func TestBeforeIsTheDumbAnswer(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		at, known, group, y, w := drawRows(t)
		got := make([]target.Counter, len(at))
		o := target.NewOrder(len(at), at, known, 1)
		o.Before(got, group, 4, y, w)
		final := make([]target.Counter, 4)
		for i := range at {
			var want target.Counter
			for j := range at {
				if group[j] == group[i] && at[j] < at[i] && known[j] <= at[i] {
					want.Add(y[j], w[j])
				}
			}
			if got[i] != want {
				t.Fatalf("row %d sees %v, want %v", i, got[i], want)
			}
			if known[i] != target.Never {
				final[group[i]].Add(y[i], w[i])
			}
		}
		if f := o.Final(group, 4, y, w); !slices.Equal(f, final) {
			t.Fatalf("final %v, want %v", f, final)
		}
	})
}

func TestBeforeWithoutTimesIsOnePermutation(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		_, _, group, y, w := drawRows(t)
		n := len(y)
		one, ones := make([]uint32, n), make([]float64, n)
		for i := range ones {
			ones[i] = 1
		}
		seed := rapid.Uint64().Draw(t, "seed")
		o := target.NewOrder(n, nil, nil, seed)
		place := make([]target.Counter, n)
		o.Before(place, one, 1, ones, nil) // how many rows stand before each
		got := make([]target.Counter, n)
		o.Before(got, group, 4, y, w)
		taken := map[float64]bool{}
		for i := range y {
			if taken[place[i].N] {
				t.Fatalf("two rows stand at place %v", place[i].N)
			}
			taken[place[i].N] = true
			var want target.Counter
			for j := range y {
				if group[j] == group[i] && place[j].N < place[i].N {
					want.Add(y[j], w[j])
				}
			}
			if got[i] != want {
				t.Fatalf("row %d sees %v, want %v", i, got[i], want)
			}
		}
	})
}

func TestBeforeDoesNotFollowArrival(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		at, known, group, y, w := drawRows(t)
		n := len(at)
		perm := rapid.Permutation(seq(n)).Draw(t, "arrival")
		got, moved := make([]target.Counter, n), make([]target.Counter, n)
		target.NewOrder(n, at, known, 1).Before(got, group, 4, y, w)
		target.NewOrder(n, take(at, perm), take(known, perm), 1).
			Before(moved, take(group, perm), 4, take(y, perm), take(w, perm))
		if !slices.Equal(take(got, perm), moved) {
			t.Fatalf("arrival %v: %v, want %v", perm, moved, take(got, perm))
		}
	})
}

func TestInternAndLookup(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		keys := rapid.SliceOfN(rapid.Uint64Range(0, 300), 1, 500).Draw(t, "keys")
		group, distinct := target.Intern(keys)
		want := slices.Clone(keys)
		slices.Sort(want)
		want = slices.Compact(want)
		if !slices.Equal(distinct, want) {
			t.Fatalf("distinct %v, want %v", distinct, want)
		}
		l := target.NewLookup(distinct)
		for i, k := range keys {
			if distinct[group[i]] != k || l.Find(k) != int(group[i]) {
				t.Fatalf("key %d is group %d and found at %d", k, group[i], l.Find(k))
			}
		}
		if got := l.Find(301); got != -1 {
			t.Fatalf("a key never seen is found at %d", got)
		}
	})
	var none target.Lookup
	if none.Find(3) != -1 {
		t.Error("an empty lookup finds something")
	}
}

func TestKeys(t *testing.T) {
	if target.Key(math.NaN()) != target.Key(-math.NaN()) || target.Key(0) != target.Key(math.Copysign(0, -1)) {
		t.Error("values that are equal have different keys")
	}
	seen := map[uint64]bool{}
	for a := range 200 {
		for b := range 200 {
			k := target.Pair(target.Key(float64(a)), target.Key(float64(b)))
			if seen[k] {
				t.Fatalf("pair %d, %d has the key of another", a, b)
			}
			seen[k] = true
		}
	}
}

func seq(n int) []int {
	s := make([]int, n)
	for i := range s {
		s[i] = i
	}
	return s
}

func take[T any](s []T, rows []int) []T {
	out := make([]T, len(rows))
	for i, r := range rows {
		out[i] = s[r]
	}
	return out
}
