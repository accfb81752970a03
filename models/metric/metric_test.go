package metric_test

import (
	"encoding/json"
	"math"
	"os"
	"testing"

	"pgregory.net/rapid"

	"bellwether/models/metric"
)

type oracle struct {
	Cases []struct {
		P, Y, W, Isotonic       []float64
		AUC, SD, Lo, Hi         float64
		SklearnAUC              float64 `json:"sklearn_auc"`
		WeightedAUC             float64 `json:"weighted_auc"`
		LogLoss                 float64 `json:"log_loss"`
		Brier                   float64
		Reliability, Resolution float64
		Uncertainty             float64
		Spiegelhalter           float64
		ECE10, Lift             float64
	}
	Ranks []struct {
		Score, Gain []float64
		K           int
		NDCG        float64
	}
}

func read(t *testing.T) (o oracle) {
	t.Helper()
	b, err := os.ReadFile("../testdata/metric/oracle.json")
	if err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal(b, &o); err != nil {
		t.Fatal(err)
	}
	return o
}

func near(t *testing.T, what string, got, want, within float64) {
	t.Helper()
	if !(math.Abs(got-want) <= within) {
		t.Errorf("%s = %.12g, want %.12g", what, got, want)
	}
}

func TestAgainstOracle(t *testing.T) {
	for _, c := range read(t).Cases {
		iv := metric.AUCInterval(c.P, c.Y, nil)
		near(t, "AUC", iv.Value, c.AUC, 1e-12)
		near(t, "AUC of scikit-learn", iv.Value, c.SklearnAUC, 1e-12)
		near(t, "AUC sd", iv.SD, c.SD, 1e-12)
		near(t, "AUC lo", iv.Lo, max(0, c.Lo), 1e-12)
		near(t, "AUC hi", iv.Hi, min(1, c.Hi), 1e-12)
		near(t, "weighted AUC", metric.AUC(c.P, c.Y, c.W), c.WeightedAUC, 1e-12)
		near(t, "log loss", metric.LogLoss(c.P, c.Y, c.W), c.LogLoss, 1e-12)
		near(t, "Brier", metric.Brier(c.P, c.Y, c.W), c.Brier, 1e-12)
		split := metric.SplitBrier(c.P, c.Y, c.W)
		near(t, "reliability", split.Reliability, c.Reliability, 1e-9)
		near(t, "resolution", split.Resolution, c.Resolution, 1e-9)
		near(t, "uncertainty", split.Uncertainty, c.Uncertainty, 1e-12)
		near(t, "Spiegelhalter", metric.SpiegelhalterZ(c.P, c.Y, nil), c.Spiegelhalter, 1e-9)
		for i, v := range metric.Recalibrated(c.P, c.Y, c.W) {
			near(t, "recalibrated", v, c.Isotonic[i], 1e-9)
		}
		if c.ECE10 > 0 {
			near(t, "ECE", metric.ECE(c.P, c.Y, nil, 10), c.ECE10, 1e-12)
			near(t, "lift", metric.Lift(c.P, c.Y, nil, .1), c.Lift, 1e-12)
		}
	}
	for _, c := range read(t).Ranks {
		got, n := metric.NDCG(c.Score, c.Gain, make([]int64, len(c.Score)), c.K)
		near(t, "NDCG", got, c.NDCG, 1e-12)
		if n != 1 {
			t.Errorf("NDCG counted %d groups", n)
		}
	}
}

type rows struct{ p, y, w []float64 }

func drawRows(t *rapid.T) rows {
	n := rapid.IntRange(2, 40).Draw(t, "n")
	r := rows{make([]float64, n), make([]float64, n), make([]float64, n)}
	for i := range n {
		r.p[i] = float64(rapid.IntRange(0, 10).Draw(t, "p")) / 10
		r.y[i] = float64(rapid.IntRange(0, 1).Draw(t, "y"))
		r.w[i] = float64(rapid.IntRange(0, 3).Draw(t, "w"))
	}
	return r
}

func TestAUCIsTheShareOfPairsWon(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		r := drawRows(t)
		won, pairs := 0.0, 0.0
		for i := range r.p {
			for j := range r.p {
				if r.y[i] == 1 && r.y[j] == 0 {
					m := r.w[i] * r.w[j]
					pairs += m
					switch {
					case r.p[i] > r.p[j]:
						won += m
					case r.p[i] == r.p[j]:
						won += m / 2
					}
				}
			}
		}
		got := metric.AUC(r.p, r.y, r.w)
		if pairs == 0 {
			if !math.IsNaN(got) {
				t.Fatalf("AUC without pairs is %v", got)
			}
			return
		}
		if math.Abs(got-won/pairs) > 1e-12 {
			t.Fatalf("AUC %v, share of pairs %v", got, won/pairs)
		}
	})
}

// A whole-number weight is that many equal rows, but for the interval: there it
// counts as one row of more worth.
func TestWeightsRepeatRows(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		r := drawRows(t)
		var p, y []float64
		for i := range r.p {
			for range int(r.w[i]) {
				p, y = append(p, r.p[i]), append(y, r.y[i])
			}
		}
		for name, pair := range map[string][2]float64{
			"AUC":         {metric.AUC(r.p, r.y, r.w), metric.AUC(p, y, nil)},
			"log loss":    {metric.LogLoss(r.p, r.y, r.w), metric.LogLoss(p, y, nil)},
			"Brier":       {metric.Brier(r.p, r.y, r.w), metric.Brier(p, y, nil)},
			"reliability": {metric.SplitBrier(r.p, r.y, r.w).Reliability, metric.SplitBrier(p, y, nil).Reliability},
			"ECE":         {metric.ECE(r.p, r.y, r.w, 5), metric.ECE(p, y, nil, 5)},
			"lift":        {metric.Lift(r.p, r.y, r.w, .3), metric.Lift(p, y, nil, .3)},
		} {
			if a, b := pair[0], pair[1]; !(math.Abs(a-b) < 1e-9 || math.IsNaN(a) && math.IsNaN(b)) {
				t.Fatalf("%s: weighted %v, repeated %v", name, a, b)
			}
		}
	})
}

func TestSplitAddsUp(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		r := drawRows(t)
		s := metric.SplitBrier(r.p, r.y, r.w)
		if math.IsNaN(s.Brier) {
			return
		}
		if sum := s.Reliability - s.Resolution + s.Uncertainty; math.Abs(sum-s.Brier) > 1e-12 {
			t.Fatalf("%+v adds up to %v", s, sum)
		}
		if s.Reliability < -1e-12 || s.Resolution < -1e-12 {
			t.Fatalf("negative part: %+v", s)
		}
	})
}

// Isotonic regression is max over starts of min over ends of the means.
func TestIsotonicIsMaxMin(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		n := rapid.IntRange(1, 20).Draw(t, "n")
		v, w := make([]float64, n), make([]float64, n)
		for i := range n {
			v[i] = rapid.Float64Range(-5, 5).Draw(t, "v")
			w[i] = float64(rapid.IntRange(1, 4).Draw(t, "w"))
		}
		got := make([]float64, n)
		metric.Isotonic(got, v, w)
		for i := range n {
			best := math.Inf(-1)
			for a := 0; a <= i; a++ {
				least := math.Inf(1)
				for b := i; b < n; b++ {
					s, m := 0.0, 0.0
					for k := a; k <= b; k++ {
						s += v[k] * w[k]
						m += w[k]
					}
					least = min(least, s/m)
				}
				best = max(best, least)
			}
			if math.Abs(got[i]-best) > 1e-9 {
				t.Fatalf("place %d: %v, max-min %v", i, got[i], best)
			}
		}
	})
}

func TestNoAnswerIsNaN(t *testing.T) {
	one := []float64{.2, .7}
	for name, v := range map[string]float64{
		"AUC of no rows":        metric.AUC(nil, nil, nil),
		"AUC of one class":      metric.AUC(one, []float64{1, 1}, nil),
		"AUC of NaN":            metric.AUC([]float64{math.NaN(), .2}, []float64{0, 1}, nil),
		"interval of one pair":  metric.AUCInterval(one, []float64{0, 1}, nil).Lo,
		"log loss of no rows":   metric.LogLoss(nil, nil, nil),
		"Brier of no weight":    metric.Brier(one, []float64{0, 1}, []float64{0, 0}),
		"ECE of no rows":        metric.ECE(nil, nil, nil, 10),
		"Z of certain":          metric.SpiegelhalterZ([]float64{0, 1}, []float64{0, 1}, nil),
		"lift without ones":     metric.Lift(one, []float64{0, 0}, nil, .1),
		"lift of share 0":       metric.Lift(one, []float64{0, 1}, nil, 0),
		"base rate of no rows":  metric.Base(nil, nil),
		"split of no rows":      metric.SplitBrier(nil, nil, nil).Resolution,
		"NDCG without any gain": first(metric.NDCG(one, []float64{0, 0}, []int64{1, 1}, 0)),
		"hit without any 1":     first(metric.HitAt(one, []float64{0, 0}, []int64{1, 1}, 1)),
	} {
		if !math.IsNaN(v) {
			t.Errorf("%s = %v, want NaN", name, v)
		}
	}
	near(t, "certain mistake", metric.LogLoss([]float64{0}, []float64{1}, nil), 34.538776394910684, 1e-9)
}

func first(v float64, _ int) float64 { return v }

func TestHitAt(t *testing.T) {
	y := []float64{0, 1, 0, 1, 0, 0}
	group := []int64{1, 1, 1, 2, 2, 2}
	for _, c := range []struct {
		name  string
		score []float64
		k     int
		want  float64
	}{
		{"both best", []float64{1, 3, 2, 3, 2, 1}, 1, 1},
		{"one best", []float64{3, 2, 1, 3, 2, 1}, 1, .5},
		{"second counts", []float64{3, 2, 1, 3, 2, 1}, 2, 1},
		{"all tied", []float64{1, 1, 1, 1, 1, 1}, 1, 1. / 3},
		{"two of three tied", []float64{1, 1, 1, 1, 1, 1}, 2, 2. / 3},
		{"tied behind the best", []float64{1, 1, 2, 1, 1, 2}, 2, .5},
	} {
		got, n := metric.HitAt(c.score, y, group, c.k)
		near(t, c.name, got, c.want, 1e-12)
		if n != 2 {
			t.Errorf("%s: %d groups", c.name, n)
		}
	}
}

// Of the four rows at the border the wanted share takes one: it has half a 1.
func TestLiftAtATiedBorder(t *testing.T) {
	p := []float64{.9, .5, .5, .5, .5, .1, .1, .1, .1, .1}
	y := []float64{1, 1, 1, 0, 0, 0, 0, 0, 0, 1}
	near(t, "lift", metric.Lift(p, y, nil, .2), 1.5/2/.4, 1e-12)
}

func TestTiesStayInOneBin(t *testing.T) {
	p := []float64{.1, .5, .5, .5, .5, .5, .5, .9}
	y := []float64{0, 1, 0, 1, 0, 1, 0, 1}
	bins := metric.Reliability(p, y, nil, 4)
	n := 0
	for _, b := range bins {
		n += b.Rows
		if b.Lo <= .5 && b.Hi >= .5 && b.Rows < 6 {
			t.Errorf("tied rows were parted: %+v", b)
		}
		if !(b.YLo <= b.Y && b.Y <= b.YHi) {
			t.Errorf("rate outside its interval: %+v", b)
		}
	}
	if n != len(p) {
		t.Errorf("%d rows in the bins, not %d", n, len(p))
	}
}

// Wilson (1927), as printed by R's prop.test(x, n, correct = FALSE).
func TestWilson(t *testing.T) {
	for _, c := range []struct{ rate, n, lo, hi float64 }{
		{.1, 10, .01787621, .40415003},
		{0, 20, 0, .1611251},
		{.5, 100, .4038315, .5961685},
	} {
		lo, hi := metric.Wilson(c.rate, c.n)
		near(t, "lo", lo, c.lo, 1e-6)
		near(t, "hi", hi, c.hi, 1e-6)
	}
}

func BenchmarkAUC(b *testing.B) {
	const n = 200_000
	p, y := make([]float64, n), make([]float64, n)
	for i := range n {
		p[i] = float64(i*7919%n) / n
		y[i] = float64(i * 31 % 7 & 1)
	}
	for b.Loop() {
		metric.AUCInterval(p, y, nil)
	}
}
