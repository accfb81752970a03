package gbdt

import (
	"math"
	"math/bits"
	"math/rand/v2"
	"testing"

	"pgregory.net/rapid"
)

// factoredOf makes tables of random words that leave one leaf of each tree.
func factoredOf(rng *rand.Rand, slot, blocks, rows int) *factored {
	trees := blocks * blockWords * leafBits / slot
	f := &factored{slot: slot, full: make([]uint64, blocks*blockWords), values: make([]float64, trees*slot)}
	for i := range f.full {
		f.full[i] = ^uint64(0)
	}
	for i := range f.values {
		f.values[i] = rng.NormFloat64()
	}
	f.table = make([]uint64, rows*len(f.full))
	for i := range f.table {
		f.table[i] = rng.Uint64() | rng.Uint64()
	}
	return f
}

// leave sets in every word of a, b and the rows the bits of one leaf a tree, so
// that each tree keeps at least that leaf.
func (f *factored) leave(rng *rand.Rand, a, b []uint64) {
	for w := range f.full {
		keep := uint64(0)
		for at := 0; at < leafBits; at += f.slot {
			keep |= 1 << (at + rng.IntN(f.slot))
		}
		a[w], b[w] = rng.Uint64()|keep, rng.Uint64()|keep
		for r := 0; r < len(f.table); r += len(f.full) {
			f.table[r+w] |= keep
		}
	}
}

// The vector code answers what sum does, to the last bit, for any number of
// blocks and rows.
func TestVectorIsSum(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		rng := rand.New(rand.NewPCG(rapid.Uint64().Draw(t, "seed"), 1))
		slot := rapid.SampledFrom([]int{32, 64}).Draw(t, "slot")
		blocks, rows := rapid.IntRange(1, 9).Draw(t, "blocks"), rapid.IntRange(0, 11).Draw(t, "rows")
		f := factoredOf(rng, slot, blocks, rows)
		a, b := make([]uint64, len(f.full)), make([]uint64, len(f.full))
		f.leave(rng, a, b)
		at := make([]uint32, rows)
		for i := range at {
			at[i] = uint32(i * len(f.full))
		}
		want, got := f.sum(a, b, at), f.fastSum(a, b, a, at)
		if math.Float64bits(want) != math.Float64bits(got) {
			t.Fatalf("%v by vectors, %v by words", got, want)
		}
		if plain := f.dumbSum(a, b, at); math.Float64bits(plain) != math.Float64bits(want) {
			t.Fatalf("%v by words, %v one tree after another", want, plain)
		}
	})
}

// So does it answer what addSteps does.
func TestVectorIsAddSteps(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		rng := rand.New(rand.NewPCG(rapid.Uint64().Draw(t, "seed"), 1))
		slot := rapid.SampledFrom([]int{32, 64}).Draw(t, "slot")
		blocks, rows := rapid.IntRange(1, 9).Draw(t, "blocks"), rapid.IntRange(0, 11).Draw(t, "rows")
		f := factoredOf(rng, slot, blocks, rows)
		a, b := make([]uint64, len(f.full)), make([]uint64, len(f.full))
		f.leave(rng, a, b)
		f.ends = &stepsAt{hazards: &hazards{flat: make([]float64, stepRoom*50)}, leaf: make([]uint32, len(f.values))}
		for i := range f.ends.flat {
			f.ends.flat[i] = rng.NormFloat64()
		}
		for i := range f.ends.leaf {
			f.ends.leaf[i] = stepRoom * uint32(rng.IntN(50))
		}
		at := make([]uint32, rows)
		for i := range at {
			at[i] = uint32(i * len(f.full))
		}
		var want, got [stepRoom]float64
		for k := range want {
			want[k] = rng.NormFloat64()
		}
		got = want
		f.addSteps(want[:], a, b, at)
		f.fastSteps(got[:], a, b, a, at)
		if want != got {
			t.Fatalf("%v by vectors, %v by words", got, want)
		}
	})
}

// dumbSum is sum, one tree after another.
func (f *factored) dumbSum(a, b []uint64, rows []uint32) float64 {
	var sum [sumLanes]float64
	for tree := range len(f.values) / f.slot {
		bit := tree * f.slot
		word := a[bit/leafBits] & b[bit/leafBits]
		for _, r := range rows {
			word &= f.table[int(r)+bit/leafBits]
		}
		word >>= bit % leafBits
		sum[tree%sumLanes] += f.values[tree*f.slot+bits.TrailingZeros64(word)]
	}
	return total(&sum)
}
