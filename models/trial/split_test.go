package trial

import (
	"math"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	"bellwether/models"
	"bellwether/models/gbdt"

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
		table.Ended = slices.Clone(table.Known)
		c := &Config{Cut: Cut{Open: rapid.SliceOfN(rapid.Bool(), n, n).Draw(t, "open")}}
		s, err := divide(table, c, 1)
		if err != nil {
			t.Skip(err) // too few moments to part in three
		}
		validFrom, testFrom, err := boundaries(table, c)
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
			all, open := 0, 0
			for i, at := range table.At {
				if at >= from && at < to {
					all += b2i(!c.Open[i])
					open += b2i(c.Open[i])
				}
			}
			for _, i := range p.rows {
				if c.Open[i] {
					t.Fatalf("%s holds row %d, which is only for who learns of open cases", name, i)
				}
			}
			if name == "train" || name == "last" { // the others are of rows that count
				all := all + open
				if len(p.open) != all {
					t.Fatalf("%s: %d rows in the slice, %d with the open ones", name, all, len(p.open))
				}
			}
			u := p.openTable(table)
			for i, k := range u.Known {
				if k > p.horizon && (k != math.MaxInt64 || u.Y[i] != 0) || u.Ended[i] != k || u.Until != p.horizon || p.horizon > horizon {
					t.Fatalf("%s tells more of row %d than was known at %d: label %v, known %d, ended %d", name, i, p.horizon, u.Y[i], k, u.Ended[i])
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

func b2i(b bool) int {
	if b {
		return 1
	}
	return 0
}

// slow is a table whose cases take 20 days on average and are won in the quicker
// half the more often: chance is the truth of each row.
func slow(n int, seed uint64) (t *models.Table, chance []float64) {
	const day = 86400
	rng := rand.New(rand.NewPCG(seed, 77))
	t = &models.Table{Columns: []models.Column{{Name: "x"}, {Name: "y"}}, X: make([][]float64, 2)}
	for i := range n {
		x, y := rng.NormFloat64(), rng.NormFloat64()
		p := 1 / (1 + math.Exp(-x-y/2))
		won := rng.Float64() < p
		took := 30 * rng.ExpFloat64()
		if won {
			took /= 3
		}
		at := int64(i) * 90 * day / int64(n)
		t.X[0], t.X[1], t.Y = append(t.X[0], x), append(t.X[1], y), append(t.Y, float64(b2i(won)))
		t.At, t.Known = append(t.At, at), append(t.Known, at+1+int64(took*day))
		chance = append(chance, p)
	}
	return t, chance
}

// Of rows fitted and judged before most of their labels were known, the learner
// of hazards is told what is open: its chances are nearer the truth than those of
// the one that sees known labels alone, unweighted. Both are raw.
func TestOpenCasesAreLearnedFrom(t *testing.T) {
	table, chance := slow(12_000, 5)
	cut := Cut{TestFrom: time.Unix(45*secondsPerDay, 0)}
	s, err := divide(table, &Config{Cut: cut}, 1)
	if err != nil {
		t.Fatal(err)
	}
	test := s.test.openTable(table)
	off := func(l models.Learner, fit *models.Table) float64 {
		m, err := l.Fit(t.Context(), fit, nil, 1)
		if err != nil {
			t.Fatal(err)
		}
		p := make([]float64, test.Len())
		if err := m.Predict(p, test); err != nil {
			t.Fatal(err)
		}
		sum := 0.0
		for k, i := range s.test.open {
			sum += p[k] - chance[i]
		}
		return sum / float64(len(p))
	}
	trees := gbdt.Learner{Trees: 60, Leaves: 8}
	hazard := trees
	hazard.Objective = gbdt.Hazard{}
	b := s.tables(table)
	known := *b.last
	known.Weight = nil
	all := s.tablesOf(hazard, table, b).last
	if all.Len() != len(s.last.rows)+s.last.censored || s.tablesOf(trees, table, b).last != b.last {
		t.Fatalf("hazard is fitted on %d rows", all.Len())
	}
	naive, weighted, of := off(trees, &known), off(trees, b.last), off(hazard, all)
	t.Logf("mean chance less the truth: known labels alone %+.3f, weighted %+.3f, hazard %+.3f; %d rows, %d censored", naive, weighted, of, len(s.last.rows), s.last.censored)
	r, _ := mustRun(t, table, Config{Cut: cut, Learners: []models.Learner{hazard}})
	if r.Winner != "hazard" || r.Leaderboard[0].Rows != all.Len() || !strings.Contains(strings.Join(r.Notes, " "), "as open") {
		t.Errorf("winner %s of %d rows, notes %q", r.Winner, r.Leaderboard[0].Rows, r.Notes)
	}
	if math.Abs(of) > math.Abs(naive)/2 {
		t.Errorf("the hazard is off by %v, known labels alone by %v", of, naive)
	}
}
