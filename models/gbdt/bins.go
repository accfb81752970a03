package gbdt

import (
	"math"
	"slices"
	"sync"

	"bellwether/models"
)

// sampleRows is how many rows quantiles are taken from: at 255 bins, about 400
// a bin, a bin's share is then known to 5 %.
const sampleRows = 100_000

// cutsOf returns ascending cuts that part the numbers of a column into at most
// bins bins of about equal weight. A column of few distinct numbers gets a bin for
// each. Numbers v with v <= cuts[0] fall into the first bin.
func cutsOf(x *models.Inputs, col, bins int) []float64 {
	step := max(1, (x.Len()+sampleRows-1)/sampleRows)
	sorted := make([]float64, 0, x.Len()/step+1)
	for i := 0; i < x.Len(); i += step {
		if x := x.At(col, i); x == x {
			sorted = append(sorted, x)
		}
	}
	sortNumbers(sorted)
	value, count := sorted[:0], make([]int, 0, len(sorted)) // each number, and how often it is there
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

// radixFrom is how many numbers are sorted by their digits rather than compared.
const radixFrom = 2000

// Digits of a number's 64 bits: 6 of 11 bits.
const (
	digitBits = 11
	digits    = (64 + digitBits - 1) / digitBits
)

// sorters is room to sort in: columns are sorted one after another, and what each
// took would be garbage beside a large table.
var sorters = sync.Pool{New: func() any { return new([2][]uint64) }}

// sortNumbers sorts numbers, none of them NaN.
func sortNumbers(x []float64) {
	if len(x) < radixFrom {
		slices.Sort(x)
		return
	}
	room := sorters.Get().(*[2][]uint64)
	defer sorters.Put(room)
	for i, r := range room {
		room[i] = slices.Grow(r[:0], len(x))
	}
	from, to := room[0][:len(x)], room[1][:len(x)]
	var ends [digits][1 << digitBits]uint32
	for i, v := range x {
		k := ordered(v)
		from[i] = k
		for d := range ends {
			ends[d][k>>(d*digitBits)&(1<<digitBits-1)]++
		}
	}
	for d := range ends {
		shift, at := uint(d*digitBits), uint32(0)
		for v, n := range ends[d] {
			ends[d][v] = at
			at += n
		}
		for _, k := range from {
			v := k >> (shift & 63) & (1<<digitBits - 1)
			to[ends[d][v]] = k
			ends[d][v]++
		}
		from, to = to, from
	}
	for i, k := range from {
		x[i] = unordered(k)
	}
}

// ordered returns bits that compare as the numbers do; unordered turns them back.
func ordered(x float64) uint64 {
	b := math.Float64bits(x)
	return b ^ (uint64(int64(b)>>63) | 1<<63)
}

func unordered(k uint64) float64 {
	return math.Float64frombits(k ^ (uint64(int64(^k)>>63) | 1<<63))
}

// between returns a number m with a <= m < b, about half way.
func between(a, b float64) float64 {
	m := float64(a/2) + float64(b/2)
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

// Columns of fewer rows, or whose cuts crowd in few places of the grid, are not
// worth one.
const (
	gridSlots = 4096
	gridRows  = 4096
	gridCrowd = 3 // cuts that share a slot, on average over the cuts
)

// grid is binOf for many numbers: it parts the range of the cuts into equal
// slots and knows of each how many cuts lie before it. A number's slot never
// falls as the number grows, whatever is rounded, so only the cuts in its own
// slot are left to compare.
type grid struct {
	lo, scale float64
	first     [gridSlots]uint8
	cuts      [cells]float64 // +Inf after the last
}

// newGrid returns nil if the cuts do not suit one.
func newGrid(cuts []float64) *grid {
	if len(cuts) == 0 {
		return nil
	}
	g := &grid{lo: cuts[0]}
	g.scale = (gridSlots - 1) / (cuts[len(cuts)-1] - g.lo)
	if len(cuts) == 1 {
		g.scale = 1
	}
	if !finite(g.scale) || g.scale == 0 {
		return nil
	}
	for i := range g.cuts {
		g.cuts[i] = math.Inf(1)
	}
	copy(g.cuts[:], cuts)
	var in [gridSlots]int
	crowd := 0
	for _, c := range cuts {
		k := g.slot(c)
		in[k]++
		crowd += 2*in[k] - 1
	}
	if crowd > gridCrowd*len(cuts) {
		return nil
	}
	before := 0
	for k, n := range in {
		g.first[k] = uint8(before)
		before += n
	}
	return g
}

// slot returns the slot of a number, any slot for NaN.
func (g *grid) slot(x float64) int {
	d := (x - g.lo) * g.scale
	if d >= gridSlots-1 {
		return gridSlots - 1
	}
	if d > 0 {
		return int(d)
	}
	return 0
}

// binColumn returns the bin of each number of a column.
func binColumn(cuts []float64, x *models.Inputs, col int) []uint8 {
	var g *grid
	if x.Len() >= gridRows {
		g = newGrid(cuts)
	}
	bins := make([]uint8, x.Len())
	x.Each(col, func(lo int, values []float64) {
		if g == nil {
			binByHalves(bins[lo:], cuts, values)
		} else {
			g.bin(bins[lo:], values)
		}
	})
	return bins
}

// bin writes the bins of numbers.
func (g *grid) bin(dst []uint8, x []float64) {
	dst = dst[:len(x)]
	for i, v := range x {
		b := g.first[g.slot(v)&(gridSlots-1)]
		for g.cuts[b] < v {
			b++
		}
		if v != v {
			b = 255
		}
		dst[i] = b + 1
	}
}

func binByHalves(dst []uint8, cuts, x []float64) {
	whole := len(x) &^ (lanes - 1)
	for i := 0; i < whole; i += lanes {
		binLanes((*[lanes]uint8)(dst[i:]), cuts, x[i:], 1)
	}
	for i, v := range x[whole:] {
		dst[whole+i] = binOf(cuts, v)
	}
}
