package metric

import "math"

// Bin is one place of a reliability picture.
type Bin struct {
	Lo, Hi   float64 // least and greatest prediction in it
	P        float64 // mean prediction
	Y        float64 // rate of ones
	YLo, YHi float64 // 95 % Wilson interval of Y, for the effective number of rows
	Weight   float64
	Rows     int
}

// Reliability sorts the rows by prediction into at most bins of equal mass.
// Equal predictions are never parted: a run of ties goes to the bin in which
// its middle falls, so a bin can be missing. Nil if there is nothing to measure.
func Reliability(p, y, w []float64, bins int) []Bin {
	if !check(p, y, w) || bins < 1 {
		return nil
	}
	all := total(w, len(p))
	var out []Bin
	last, before := -1, 0.0
	var squares float64
	finish := func() {
		if len(out) == 0 {
			return
		}
		b := &out[len(out)-1]
		b.P /= b.Weight
		b.Y /= b.Weight
		b.YLo, b.YHi = Wilson(b.Y, b.Weight*b.Weight/squares)
	}
	ties(p, ascending(p), func(run []int) {
		mass := 0.0
		for _, i := range run {
			mass += weight(w, i)
		}
		if mass == 0 {
			return
		}
		at := min(int(float64(bins)*(before+mass/2)/all), bins-1)
		before += mass
		if at != last {
			finish()
			out, last, squares = append(out, Bin{Lo: p[run[0]]}), at, 0
		}
		b := &out[len(out)-1]
		b.Hi = p[run[0]]
		for _, i := range run {
			x := weight(w, i)
			b.P += x * p[i]
			b.Y += x * y[i]
			b.Weight += x
			b.Rows++
			squares += x * x
		}
	})
	finish()
	return out
}

// ECE is the expected calibration error over bins of equal mass: the weighted
// mean of |rate - mean prediction|. It is never negative, so noise alone makes
// it about sqrt(bins * rate*(1-rate) * 2 / (pi * n)) on perfect predictions.
func ECE(p, y, w []float64, bins int) float64 {
	rel := Reliability(p, y, w, bins)
	if len(rel) == 0 {
		return math.NaN()
	}
	sum, mass := 0.0, 0.0
	for _, b := range rel {
		sum += b.Weight * math.Abs(b.Y-b.P)
		mass += b.Weight
	}
	return sum / mass
}

// Wilson is the 95 % score interval of a rate seen in n (effective) trials.
// For n = 0 it is [0, 1].
func Wilson(rate, n float64) (lo, hi float64) { return WilsonAt(rate, n, z95) }

// WilsonAt is Wilson with another point of the standard normal for that of 95 %.
func WilsonAt(rate, n, z float64) (lo, hi float64) {
	if !(n > 0) {
		return 0, 1
	}
	z2 := z * z
	mid := (rate + z2/(2*n)) / (1 + z2/n)
	half := z / (1 + z2/n) * math.Sqrt(rate*(1-rate)/n+z2/(4*n*n))
	return max(0, min(mid-half, rate)), min(1, max(mid+half, rate))
}

// Recalibrated returns the isotonic regression of y on p: for each row the rate
// of ones that non-decreasing predictions in p's order would best have given.
// Equal predictions get equal answers.
func Recalibrated(p, y, w []float64) []float64 {
	out := make([]float64, len(p))
	var runs [][]int
	var rate, mass []float64
	ties(p, ascending(p), func(run []int) {
		m, ones := 0.0, 0.0
		for _, i := range run {
			m += weight(w, i)
			ones += weight(w, i) * y[i]
		}
		r := 0.0
		if m > 0 {
			r = ones / m
		}
		runs, rate, mass = append(runs, run), append(rate, r), append(mass, m)
	})
	fit := make([]float64, len(rate))
	Isotonic(fit, rate, mass)
	for k, run := range runs {
		for _, i := range run {
			out[i] = fit[k]
		}
	}
	return out
}

// Isotonic writes to dst the non-decreasing sequence nearest to v in weighted
// squares, by pooling adjacent violators in O(n). All three have one length. A
// value of weight 0 takes that of a neighbour.
func Isotonic(dst, v, w []float64) {
	type block struct {
		mean, mass float64
		n          int
	}
	blocks := make([]block, 0, len(v))
	for i, x := range v {
		b := block{x, w[i], 1}
		for len(blocks) > 0 {
			prev := blocks[len(blocks)-1]
			if prev.mass > 0 && b.mass > 0 && prev.mean < b.mean {
				break
			}
			mass := prev.mass + b.mass
			mean := prev.mean
			if mass > 0 {
				// No detour by sums: equal means pool to the very same bits.
				mean = prev.mean + (b.mean-prev.mean)*(b.mass/mass)
			}
			b = block{mean, mass, prev.n + b.n}
			blocks = blocks[:len(blocks)-1]
		}
		blocks = append(blocks, b)
	}
	i := 0
	for _, b := range blocks {
		for range b.n {
			dst[i] = b.mean
			i++
		}
	}
}
