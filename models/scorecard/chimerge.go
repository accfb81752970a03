package scorecard

import (
	"math"
	"slices"
)

// finest is how many equal bins a number is cut into before merging: ChiMerge's
// cost grows with the square of them, and finer ones hold too few rows to tell.
const finest = 64

// distinct is the chi-square value, one degree of freedom, above which two
// neighbours differ at the 10 % level and are kept apart.
const distinct = 2.705543454095404

// chiMerge returns the inner cuts of x: of at most finest quantile bins the two
// neighbours whose classes differ least are merged, the first of equals first,
// until at most bins are left and all differ.
//
// golearn's ChiMergeFilter is checked against this in a test but not used: it
// reads the classes of other rows unless the rows come sorted, its test of
// significance is infinite for two classes, it adds in the order of a map, so
// that equals fall differently from run to run, and it keeps six decimals.
func chiMerge(x, y, unit []float64, bins int) []float64 {
	starts := quantiles(x)
	if len(starts) < 2 {
		return nil
	}
	count := make([][2]float64, len(starts))
	for i, v := range x {
		if !math.IsNaN(v) {
			k, found := slices.BinarySearch(starts, v)
			if !found {
				k--
			}
			count[k][int(y[i])] += unit[i]
		}
	}
	for len(starts) > 1 {
		least, at := math.Inf(1), 0
		for k := range len(starts) - 1 {
			if c := chiSquare(count[k], count[k+1]); c < least {
				least, at = c, k
			}
		}
		if len(starts) <= bins && least > distinct {
			break
		}
		count[at][0] += count[at+1][0]
		count[at][1] += count[at+1][1]
		starts, count = slices.Delete(starts, at+1, at+2), slices.Delete(count, at+1, at+2)
	}
	return starts[1:] // the first bin begins below everything
}

// quantiles returns where the fine bins start.
func quantiles(x []float64) []float64 {
	v := slices.DeleteFunc(slices.Clone(x), math.IsNaN)
	slices.Sort(v)
	var starts []float64
	for b := range finest {
		if len(v) == 0 {
			break
		}
		if c := v[b*len(v)/finest]; len(starts) == 0 || c > starts[len(starts)-1] {
			starts = append(starts, c)
		}
	}
	return starts
}

// chiSquare is Pearson's statistic of a two by two table, expected counts held
// at one half or more as golearn does.
func chiSquare(a, b [2]float64) float64 {
	rows := [2]float64{a[0] + a[1], b[0] + b[1]}
	sum := 0.0
	for c := range 2 {
		for r, seen := range [2]float64{a[c], b[c]} {
			want := rows[r] * (a[c] + b[c]) / (rows[0] + rows[1])
			sum += (seen - want) * (seen - want) / max(want, .5)
		}
	}
	return sum
}
