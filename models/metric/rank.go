package metric

import (
	"math"
	"slices"
)

// groups calls f with the rows of each group, in the order the groups first
// appear. It panics if the lengths differ.
func groups(group []int64, n int, f func(rows []int)) {
	if len(group) != n {
		panic("metric: groups and scores differ in length")
	}
	rows := map[int64][]int{}
	var order []int64
	for i, g := range group {
		if _, seen := rows[g]; !seen {
			order = append(order, g)
		}
		rows[g] = append(rows[g], i)
	}
	for _, g := range order {
		f(rows[g])
	}
}

// descending cuts the rows into runs of equal score, best first.
func descending(score []float64, rows []int, f func(run []int)) {
	local := make([]float64, len(rows))
	for k, i := range rows {
		local[k] = score[i]
	}
	order := ascending(local)
	slices.Reverse(order)
	ties(local, order, func(run []int) {
		named := make([]int, len(run))
		for k, i := range run {
			named[k] = rows[i]
		}
		f(named)
	})
}

// NDCG is the mean over groups of the discounted gain of the first k rows by
// score, over that of the best possible order; a row at rank r counts
// gain / log2(r+1). Tied scores share their ranks' mean discount (McSherry and
// Najork, ECIR 2008). Groups without any gain have no answer and are left out;
// n says how many were counted. k < 1 means all rows.
func NDCG(score, gain []float64, group []int64, k int) (value float64, n int) {
	if len(score) != len(gain) {
		panic("metric: scores and gains differ in length")
	}
	sum := 0.0
	groups(group, len(score), func(rows []int) {
		cut := len(rows)
		if k >= 1 {
			cut = min(k, cut)
		}
		best := make([]float64, len(rows))
		for j, i := range rows {
			best[j] = gain[i]
		}
		slices.Sort(best)
		slices.Reverse(best)
		ideal := 0.0
		for r := range cut {
			ideal += best[r] * discount(r)
		}
		if !(ideal > 0) {
			return
		}
		dcg, rank := 0.0, 0
		descending(score, rows, func(run []int) {
			total, weights := 0.0, 0.0
			for _, i := range run {
				total += gain[i]
				if rank < cut {
					weights += discount(rank)
				}
				rank++
			}
			dcg += total / float64(len(run)) * weights
		})
		sum += dcg / ideal
		n++
	})
	if n == 0 {
		return math.NaN(), 0
	}
	return sum / float64(n), n
}

func discount(rank int) float64 { return 1 / math.Log2(float64(rank)+2) }

// HitAt is the share of groups that have a 1 among the first k rows by score.
// Where a tie lies across the border it counts the chance of a hit in random
// order. Groups without any 1 are left out; n says how many were counted.
func HitAt(score, y []float64, group []int64, k int) (value float64, n int) {
	if len(score) != len(y) {
		panic("metric: scores and outcomes differ in length")
	}
	sum := 0.0
	groups(group, len(score), func(rows []int) {
		any := slices.ContainsFunc(rows, func(i int) bool { return y[i] == 1 })
		if !any {
			return
		}
		n++
		left, miss := k, 1.0
		descending(score, rows, func(run []int) {
			if left <= 0 {
				return
			}
			zeros := 0
			for _, i := range run {
				if y[i] != 1 {
					zeros++
				}
			}
			for d := range min(left, len(run)) {
				miss *= max(0, float64(zeros-d)) / float64(len(run)-d)
			}
			left -= len(run)
		})
		sum += 1 - miss
	})
	if n == 0 {
		return math.NaN(), 0
	}
	return sum / float64(n), n
}
