package trial

import (
	"math"
	"math/rand/v2"
	"slices"
	"testing"

	"bellwether/models"

	"pgregory.net/rapid"
)

// No row may be learned from before its label was known, and rows of one moment
// stay on one side.
func TestSplitByTimeKeepsTimeHonest(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		n := rapid.IntRange(20, 200).Draw(t, "n")
		table := &models.Table{Columns: []models.Column{{Name: "x"}}, X: [][]float64{make([]float64, n)}}
		for range n {
			at := int64(rapid.IntRange(0, 50).Draw(t, "at"))
			known := at + int64(rapid.IntRange(0, 60).Draw(t, "delay"))
			if rapid.IntRange(0, 9).Draw(t, "never") == 0 {
				known = math.MaxInt64
			}
			table.At, table.Known = append(table.At, at), append(table.Known, known)
			table.Y = append(table.Y, float64(rapid.IntRange(0, 1).Draw(t, "y")))
		}
		if slices.Min(table.At) == slices.Max(table.At) {
			t.Skip("one moment")
		}
		s, err := divide(table, &Config{}, 1)
		if err != nil {
			t.Skip(err) // too few moments to part in three
		}
		validFrom, testFrom, err := boundaries(table, &Config{})
		if err != nil {
			t.Fatal(err)
		}
		check := func(name string, p part, from, to, horizon int64) {
			for k, i := range p.rows {
				if table.At[i] < from || table.At[i] >= to || table.Known[i] > horizon {
					t.Fatalf("%s holds row %d (at %d, known %d), slice [%d, %d)", name, i, table.At[i], table.Known[i], from, to)
				}
				if k > 0 && table.At[p.rows[k-1]] > table.At[i] {
					t.Fatalf("%s is not in order of time", name)
				}
			}
			all := 0
			for _, at := range table.At {
				if at >= from && at < to {
					all++
				}
			}
			if all != len(p.rows)+p.censored {
				t.Fatalf("%s: %d rows in the slice, %d used and %d censored", name, all, len(p.rows), p.censored)
			}
		}
		check("train", s.train, math.MinInt64, validFrom, validFrom)
		check("valid", s.valid, validFrom, testFrom, testFrom)
		check("last", s.last, math.MinInt64, testFrom, testFrom)
		check("test", s.test, testFrom, math.MaxInt64, math.MaxInt64-1)
	})
}

// Wins are known within 10 days, losses after 60. Of the rows whose label is
// known at the horizon, wins are far too many; weighted they are not.
func TestCensoringUndoesTheRush(t *testing.T) {
	rng := rand.New(rand.NewPCG(5, 5))
	const n, days, horizon = 40_000, 200, 200
	table := &models.Table{X: [][]float64{make([]float64, n)}}
	truth := 0.0
	for range n {
		at, y := int64(rng.IntN(days)), 0.0
		delay := 60 + int64(rng.IntN(30))
		if rng.Float64() < 0.4 {
			y, delay = 1, int64(rng.IntN(10))
		}
		truth += y / n
		table.At, table.Known, table.Y = append(table.At, at), append(table.Known, at+delay), append(table.Y, y)
	}
	p := observed(table, horizon, func(int) bool { return true })
	plain, weighted, mass := 0.0, 0.0, 0.0
	for k, i := range p.rows {
		plain += table.Y[i] / float64(len(p.rows))
		weighted += p.weight[k] * table.Y[i]
		mass += p.weight[k]
	}
	weighted /= mass
	if plain < truth+0.05 {
		t.Fatalf("the world is not biased enough to test: %.3f against %.3f", plain, truth)
	}
	if math.Abs(weighted-truth) > 0.015 {
		t.Errorf("base rate %.3f weighted, %.3f in truth, %.3f unweighted", weighted, truth, plain)
	}
	if math.Abs(mass-float64(len(p.rows))) > 1e-6*mass {
		t.Errorf("weights have mean %v", mass/float64(len(p.rows)))
	}
}

// Five rows by hand; horizon 10. Times min(T, C): 2 seen, 3 censored, 4 seen,
// 4 censored, 9 seen. G(2-) = 1; at 3 one of four is censored: G = 3/4; at 4 the
// seen row leaves first, then one of two: G = 3/8.
func TestCensorWeightsByHand(t *testing.T) {
	table := &models.Table{
		X:     [][]float64{make([]float64, 5)},
		Y:     []float64{1, 0, 1, 0, 1},
		At:    []int64{0, 7, 0, 6, 0},
		Known: []int64{2, 20, 4, math.MaxInt64, 9},
	}
	p := observed(table, 10, func(int) bool { return true })
	if !slices.Equal(p.rows, []int{0, 2, 4}) || p.censored != 2 {
		t.Fatalf("rows %v, %d censored", p.rows, p.censored)
	}
	want := []float64{1, 4.0 / 3, 8.0 / 3}
	mean := (want[0] + want[1] + want[2]) / 3
	for i := range want {
		if math.Abs(p.weight[i]-want[i]/mean) > 1e-12 {
			t.Errorf("weight %d: %v, want %v", i, p.weight[i], want[i]/mean)
		}
	}
}

func TestNothingCensoredNoWeights(t *testing.T) {
	table := world(100, 1, false)
	if p := observed(table, math.MaxInt64-1, func(int) bool { return true }); p.weight != nil || p.censored != 0 {
		t.Errorf("weights %v", p.weight)
	}
}
