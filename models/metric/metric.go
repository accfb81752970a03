// Package metric measures predicted probabilities against what happened.
//
// Every function takes plain slices: p the predictions, y the outcomes (0 or
// 1), w the weights (nil: 1 each; a row of weight 0 does not count). A metric
// that has no answer is NaN: no rows, one class only where two are needed, or a
// NaN prediction. Slices of different lengths, and an outcome other than 0 or
// 1, are the caller's mistake and panic.
package metric

import (
	"fmt"
	"math"
	"slices"
)

// z95 is the standard normal's 97.5 % point.
const z95 = 1.959963984540054

// LogEpsilon is how near to 0 and 1 a prediction may come in LogLoss. One
// certain mistake costs 34.5 nats, and a mean stays finite.
const LogEpsilon = 1e-15

// Interval is an estimate with its 95 % confidence interval.
type Interval struct {
	Value, Lo, Hi float64
	SD            float64 // standard error of Value
}

var none = Interval{math.NaN(), math.NaN(), math.NaN(), math.NaN()}

// check panics on slices that do not fit and reports whether there is anything
// to measure: rows, and no NaN among the predictions.
func check(p, y, w []float64) bool {
	if len(p) != len(y) || w != nil && len(w) != len(p) {
		panic(fmt.Sprintf("metric: %d predictions, %d outcomes, %d weights", len(p), len(y), len(w)))
	}
	for i, v := range y {
		if v != 0 && v != 1 {
			panic(fmt.Sprintf("metric: outcome %d is %v, not 0 or 1", i, v))
		}
	}
	if slices.ContainsFunc(p, math.IsNaN) {
		return false
	}
	return total(w, len(p)) > 0
}

func total(w []float64, n int) float64 {
	if w == nil {
		return float64(n)
	}
	sum := 0.0
	for _, x := range w {
		sum += x
	}
	return sum
}

func weight(w []float64, i int) float64 {
	if w == nil {
		return 1
	}
	return w[i]
}

// ascending returns the row numbers in order of p; ties keep their order.
func ascending(p []float64) []int {
	order := make([]int, len(p))
	for i := range order {
		order[i] = i
	}
	slices.SortStableFunc(order, func(a, b int) int {
		switch {
		case p[a] < p[b]:
			return -1
		case p[a] > p[b]:
			return 1
		}
		return 0
	})
	return order
}

// ties calls f with each run of equal predictions in order.
func ties(p []float64, order []int, f func(run []int)) {
	for i := 0; i < len(order); {
		j := i + 1
		for j < len(order) && p[order[j]] == p[order[i]] {
			j++
		}
		f(order[i:j])
		i = j
	}
}

// Base is the weighted share of ones.
func Base(y, w []float64) float64 {
	if !check(y, y, w) {
		return math.NaN()
	}
	sum := 0.0
	for i, v := range y {
		sum += weight(w, i) * v
	}
	return sum / total(w, len(y))
}

// AUC is the chance that a random 1 was given a higher prediction than a random
// 0, a tie counting one half.
func AUC(p, y, w []float64) float64 { return AUCInterval(p, y, w).Value }

// AUCInterval is AUC with DeLong's interval, in O(n log n) by the midranks of
// Sun and Xu (IEEE Signal Processing Letters 21, 2014). With weights each row's
// placement enters the variance by the square of its share, times n/(n-1) of
// the effective sample size; with equal weights that is DeLong's own. The
// interval is cut at 0 and 1. Fewer than two rows of either class leave Lo, Hi
// and SD NaN.
func AUCInterval(p, y, w []float64) Interval {
	if !check(p, y, w) {
		return none
	}
	var mass, squares [2]float64
	for i, v := range y {
		x := weight(w, i)
		mass[int(v)] += x
		squares[int(v)] += x * x
	}
	if mass[0] == 0 || mass[1] == 0 {
		return none
	}
	// placement[i] is the share of the other class that row i beats.
	placement := make([]float64, len(p))
	var below [2]float64
	ties(p, ascending(p), func(run []int) {
		var here [2]float64
		for _, i := range run {
			here[int(y[i])] += weight(w, i)
		}
		for _, i := range run {
			if y[i] == 1 {
				placement[i] = (below[0] + here[0]/2) / mass[0]
			} else {
				placement[i] = (mass[1] - below[1] - here[1]/2) / mass[1]
			}
		}
		below[0] += here[0]
		below[1] += here[1]
	})
	auc := 0.0
	for i, v := range placement {
		if y[i] == 1 {
			auc += weight(w, i) / mass[1] * v
		}
	}
	variance := 0.0
	for c := range 2 {
		effective := mass[c] * mass[c] / squares[c]
		sum := 0.0
		for i, v := range placement {
			if int(y[i]) == c {
				share := weight(w, i) / mass[c]
				sum += share * share * (v - auc) * (v - auc)
			}
		}
		if effective <= 1+1e-9 {
			return Interval{auc, math.NaN(), math.NaN(), math.NaN()}
		}
		variance += sum * effective / (effective - 1)
	}
	sd := math.Sqrt(variance)
	return Interval{auc, max(0, auc-z95*sd), min(1, auc+z95*sd), sd}
}

// LogLoss is the mean of -log of the probability given to what happened, with
// predictions cut at LogEpsilon and 1 - LogEpsilon.
func LogLoss(p, y, w []float64) float64 {
	if !check(p, y, w) {
		return math.NaN()
	}
	sum := 0.0
	for i, v := range p {
		v = min(max(v, LogEpsilon), 1-LogEpsilon)
		if y[i] == 0 {
			v = 1 - v
		}
		sum -= weight(w, i) * math.Log(v)
	}
	return sum / total(w, len(p))
}

// Brier is the mean squared difference of prediction and outcome.
func Brier(p, y, w []float64) float64 {
	if !check(p, y, w) {
		return math.NaN()
	}
	sum := 0.0
	for i, v := range p {
		sum += weight(w, i) * (v - y[i]) * (v - y[i])
	}
	return sum / total(w, len(p))
}

// BrierSplit says where a Brier score comes from:
// Brier = Reliability - Resolution + Uncertainty, exactly.
type BrierSplit struct {
	Brier       float64
	Reliability float64 // what better calibration would save; 0 is best
	Resolution  float64 // what telling rows apart has saved; more is better
	Uncertainty float64 // the base rate's own Brier score
}

// SplitBrier splits the Brier score by isotonic recalibration (CORP:
// Dimitriadis, Gneiting and Jordan, PNAS 118, 2021), which needs no choice of
// bins: Reliability is the Brier score less that of the recalibrated
// predictions, Resolution the base rate's less that of the recalibrated.
func SplitBrier(p, y, w []float64) BrierSplit {
	if !check(p, y, w) {
		nan := math.NaN()
		return BrierSplit{nan, nan, nan, nan}
	}
	rate := Base(y, w)
	base := make([]float64, len(y))
	for i := range base {
		base[i] = rate
	}
	brier, best, unc := Brier(p, y, w), Brier(Recalibrated(p, y, w), y, w), Brier(base, y, w)
	return BrierSplit{brier, brier - best, unc - best, unc}
}

// SpiegelhalterZ is near standard normal if the outcomes were drawn with the
// predicted probabilities; beyond ±1.96 they probably were not (Spiegelhalter,
// Statistics in Medicine 5, 1986). NaN if every prediction is 0, 1/2 or 1.
func SpiegelhalterZ(p, y, w []float64) float64 {
	if !check(p, y, w) {
		return math.NaN()
	}
	num, variance := 0.0, 0.0
	for i, v := range p {
		x := weight(w, i)
		num += x * (y[i] - v) * (1 - 2*v)
		variance += x * x * (1 - 2*v) * (1 - 2*v) * v * (1 - v)
	}
	if variance <= 0 {
		return math.NaN()
	}
	return num / math.Sqrt(variance)
}

// Lift is the rate of ones among the share of rows with the highest predictions
// over the rate among all. Rows tied at the border count in part, as if drawn
// at random. NaN without ones, or for a share outside (0, 1].
func Lift(p, y, w []float64, share float64) float64 {
	if !check(p, y, w) || !(share > 0 && share <= 1) {
		return math.NaN()
	}
	base := Base(y, w)
	if base == 0 {
		return math.NaN()
	}
	order := ascending(p)
	slices.Reverse(order)
	wanted := share * total(w, len(p))
	left, ones := wanted, 0.0
	ties(p, order, func(run []int) {
		mass, hit := 0.0, 0.0
		for _, i := range run {
			mass += weight(w, i)
			hit += weight(w, i) * y[i]
		}
		if left <= 0 || mass == 0 {
			return
		}
		ones += hit * min(1, left/mass)
		left -= mass
	})
	return ones / wanted / base
}
