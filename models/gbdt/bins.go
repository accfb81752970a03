package gbdt

import (
	"math"
	"slices"
)

// sampleRows is how many rows quantiles are taken from: at 255 bins, about 400
// a bin, a bin's share is then known to 5 %.
const sampleRows = 100_000

// cutsOf returns ascending cuts that part the numbers of col into at most bins
// bins of about equal weight. A column of few distinct numbers gets a bin for
// each. Numbers x with x <= cuts[0] fall into the first bin.
func cutsOf(col []float64, bins int) []float64 {
	step := max(1, (len(col)+sampleRows-1)/sampleRows)
	sorted := make([]float64, 0, len(col)/step+1)
	for i := 0; i < len(col); i += step {
		if x := col[i]; x == x {
			sorted = append(sorted, x)
		}
	}
	slices.Sort(sorted)
	var value []float64
	var count []int
	for _, x := range sorted {
		if len(value) == 0 || x != value[len(value)-1] {
			value, count = append(value, x), append(count, 0)
		}
		count[len(count)-1]++
	}
	if len(value) <= bins {
		cuts := make([]float64, 0, len(value))
		for i := 1; i < len(value); i++ {
			cuts = append(cuts, between(value[i-1], value[i]))
		}
		return cuts
	}
	return quantiles(value, count, len(sorted), bins)
}

// quantiles gives a number of its own bin's weight a bin for itself, and shares
// the bins left among the numbers left. A bin closes once it holds its share, and
// before a number with a bin for itself if it holds half of it.
func quantiles(value []float64, count []int, left, bins int) []float64 {
	heavy := make([]bool, len(value))
	share := float64(left) / float64(bins)
	free := bins
	for i, c := range count {
		if heavy[i] = float64(c) >= share; heavy[i] {
			left -= c
			free--
		}
	}
	cuts := make([]float64, 0, bins-1)
	inBin := 0
	for i := 0; i < len(value)-1 && len(cuts) < bins-1; i++ {
		if !heavy[i] {
			inBin += count[i]
		}
		share = float64(left) / float64(max(free, 1))
		full := float64(inBin) >= share || heavy[i+1] && float64(inBin) >= share/2
		if !heavy[i] && !full {
			continue
		}
		cuts = append(cuts, between(value[i], value[i+1]))
		if !heavy[i] {
			left -= inBin
			free--
		}
		inBin = 0
	}
	return cuts
}

// between returns a number m with a <= m < b, about half way.
func between(a, b float64) float64 {
	m := a/2 + b/2
	if !(m >= a && m < b) {
		return a
	}
	return m
}

// binOf returns 0 for a missing x, else 1 + how many cuts are below it. There
// are at most 254 cuts.
func binOf(cuts []float64, x float64) uint8 {
	if math.IsNaN(x) {
		return 0
	}
	lo, n := 0, len(cuts)
	for n > 0 {
		half := (n + 1) >> 1
		if cuts[lo+half-1] < x {
			lo += half
		}
		n -= half
	}
	return uint8(lo + 1)
}
