package calibrate

import (
	"cmp"
	"math"
	"slices"
)

const (
	// widest is the largest spread told: one of those the rows are of may then be
	// anywhere.
	widest = 3.0
	// halvings find a spread's square in [0, widest^2] to the last bits.
	halvings = 60
)

// owner is what the rows of one of those they are of say together.
type owner struct {
	over   float64 // outcomes less their probabilities
	chance float64 // variance of that by chance, were the probabilities its own
	lever  float64 // what it moves when the log odds do
}

// spread is how far the rates of those the rows are of lie about the calibrator's
// probabilities, as the standard deviation of their log odds: the largest that
// the rows do not speak against, by one standard error.
//
// An owner's outcomes less their probabilities have the variance chance + square
// * lever^2, of which the observed square is a share that is 1 on the average:
// the sum of the shares is like chi-squared, with one degree of freedom an owner.
// Paule and Mandel (1982) take the spread at which the sum is its mean; this one
// takes it a standard error lower (by Wilson and Hilferty's cube), as a spread
// found from few is itself in doubt, and to say too little of it is the error that
// costs.
func spread(c Calibrator, raw, y, w, of []float64) float64 {
	all := owners(c, raw, y, w, of)
	if len(all) == 0 {
		return 0
	}
	ninth := 2 / (9 * float64(len(all)))
	least := float64(len(all)) * cube(1-ninth-math.Sqrt(ninth))
	tooSmall := func(square float64) bool {
		sum := 0.0
		for _, o := range all {
			sum += o.over * o.over / (o.chance + square*o.lever*o.lever)
		}
		return sum > least
	}
	lo, hi := 0.0, widest*widest
	for range halvings {
		if mid := (lo + hi) / 2; tooSmall(mid) {
			lo = mid
		} else {
			hi = mid
		}
	}
	return math.Sqrt(lo)
}

// owners sums the rows up by whose they are; those of nobody (NaN) are left out.
func owners(c Calibrator, raw, y, w, of []float64) (all []owner) {
	weight := func(i int) float64 {
		if w == nil {
			return 1
		}
		return w[i]
	}
	var order []int
	for i := range raw {
		if weight(i) > 0 && !math.IsNaN(of[i]) {
			order = append(order, i)
		}
	}
	// No two rows that differ are alike here, so that sums do not follow the order
	// of the rows.
	slices.SortFunc(order, func(a, b int) int {
		return cmp.Or(cmp.Compare(of[a], of[b]), cmp.Compare(raw[a], raw[b]), cmp.Compare(y[a], y[b]), cmp.Compare(weight(a), weight(b)))
	})
	for k, i := range order {
		if k == 0 || of[i] != of[order[k-1]] {
			all = append(all, owner{})
		}
		o, v := &all[len(all)-1], weight(i)
		p, _, _ := c.Calibrate(raw[i])
		o.over += v * (y[i] - p)
		o.chance += v * v * p * (1 - p)
		o.lever += v * p * (1 - p)
	}
	return all
}

func cube(x float64) float64 { return x * x * x }
