package target

import (
	"cmp"
	"math"
	"math/rand/v2"
	"slices"
)

// Order knows which outcomes each row of a table may see. With times, row i
// sees the outcome of row j if it was known by the time row i was taken and row
// j was taken strictly earlier: Known[j] <= At[i] and At[j] < At[i]. So no row
// sees itself, and the order of arrival within a timestamp does not matter.
// Without times, a seeded permutation stands in for time.
type Order struct {
	at, from    []int64 // row i reads at at[i]; its outcome is visible from from[i] on
	read, learn []int32 // rows sorted by at, by from; ties by row number
}

// Never is the time from which an outcome that is not known can be seen.
const Never = math.MaxInt64

// NewOrder prepares the order of n rows. at nil means no times: seed then draws
// the permutation. known nil means an outcome is known at once.
func NewOrder(n int, at, known []int64, seed uint64) *Order {
	o := &Order{at: make([]int64, n), from: make([]int64, n)}
	if at == nil {
		for p, i := range rand.New(rand.NewPCG(seed, 0x6f72646572)).Perm(n) {
			o.at[i] = int64(p)
		}
	} else {
		copy(o.at, at)
	}
	for i, t := range o.at {
		o.from[i] = Never
		if t < Never {
			o.from[i] = t + 1
		}
		if at != nil && known != nil {
			o.from[i] = max(o.from[i], known[i])
		}
	}
	o.read, o.learn = sortedBy(o.at), sortedBy(o.from)
	return o
}

func sortedBy(key []int64) []int32 {
	rows := make([]int32, len(key))
	sorted := true
	for i := range rows {
		rows[i] = int32(i)
		sorted = sorted && (i == 0 || key[i-1] <= key[i])
	}
	if !sorted {
		slices.SortFunc(rows, func(a, b int32) int {
			return cmp.Or(cmp.Compare(key[a], key[b]), cmp.Compare(a, b))
		})
	}
	return rows
}

// Before writes to dst[i] the counter of row i's group over the outcomes it may
// see. group[i] is in [0, groups); w nil means weight 1 each.
func (o *Order) Before(dst []Counter, group []uint32, groups int, y, w []float64) {
	seen := make([]Counter, groups)
	next := 0
	for _, i := range o.read {
		for next < len(o.learn) && o.from[o.learn[next]] <= o.at[i] {
			o.learnInto(seen, group, next, y, w)
			next++
		}
		dst[i] = seen[group[i]]
	}
}

// Final returns the counter of each group over all outcomes that are known at
// all.
func (o *Order) Final(group []uint32, groups int, y, w []float64) []Counter {
	seen := make([]Counter, groups)
	for next := range o.learn {
		if o.from[o.learn[next]] == Never {
			break
		}
		o.learnInto(seen, group, next, y, w)
	}
	return seen
}

func (o *Order) learnInto(seen []Counter, group []uint32, next int, y, w []float64) {
	j := o.learn[next]
	weight := 1.0
	if w != nil {
		weight = w[j]
	}
	seen[group[j]].Add(y[j], weight)
}
