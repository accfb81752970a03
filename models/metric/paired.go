package metric

import "math"

// AUCDifference is AUC(p) - AUC(q) on the same rows, with DeLong's interval for
// correlated curves: the same rows' luck cancels, so it is far narrower than two
// intervals side by side. The weights enter as in AUCInterval.
func AUCDifference(p, q, y, w []float64) Interval {
	if !check(p, y, w) || !check(q, y, w) {
		return none
	}
	vp, mass := placements(p, y, w)
	vq, _ := placements(q, y, w)
	if mass[0] == 0 || mass[1] == 0 {
		return none
	}
	value := 0.0
	for i, c := range y {
		if c == 1 {
			value += weight(w, i) / mass[1] * (vp[i] - vq[i])
		}
	}
	variance := 0.0
	for c := range 2 {
		squares, sum := 0.0, 0.0
		for i := range y {
			if int(y[i]) == c {
				share := weight(w, i) / mass[c]
				d := vp[i] - vq[i] - value
				squares += share * share
				sum += share * share * d * d
			}
		}
		effective := 1 / squares
		if effective <= 1+1e-9 {
			return Interval{value, math.NaN(), math.NaN(), math.NaN()}
		}
		variance += sum * effective / (effective - 1)
	}
	sd := math.Sqrt(variance)
	return Interval{value, max(-1, value-z95*sd), min(1, value+z95*sd), sd}
}

// placements is the share of the other class that each row beats, with the
// weight of each class.
func placements(p, y, w []float64) (placement []float64, mass [2]float64) {
	for i, v := range y {
		mass[int(v)] += weight(w, i)
	}
	placement = make([]float64, len(p))
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
	return placement, mass
}
