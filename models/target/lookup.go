package target

import (
	"math"
	"math/bits"
	"slices"
)

// Key returns the key of one category: the bits of its code. Every missing
// value has the same key.
func Key(code float64) uint64 {
	if math.IsNaN(code) {
		return missingKey
	}
	return math.Float64bits(code + 0) // -0 and 0 are one category
}

// Pair returns the key of two keys together; their order matters.
func Pair(a, b uint64) uint64 {
	hi, lo := bits.Mul64(a^0x9e3779b97f4a7c15, b^0xc2b2ae3d27d4eb4f)
	return mix(hi ^ lo ^ bits.RotateLeft64(a, 23))
}

// missingKey is no number's bits as Key writes them.
const missingKey = 0x7ff8_b311_0000_0001

func mix(x uint64) uint64 {
	x ^= x >> 32
	x *= 0xd6e8feb86659fd93
	x ^= x >> 32
	x *= 0xd6e8feb86659fd93
	return x ^ x>>32
}

// Lookup finds the number of a key among distinct ones: open addressing in one
// block of memory, no allocation to read. The zero value holds nothing.
type Lookup struct {
	slots []slot
	shift uint
}

// slot is a key and its number+1; 0 for a free place. The two are read together.
type slot struct {
	key    uint64
	number uint32
}

// NewLookup numbers distinct keys in the order given.
func NewLookup(distinct []uint64) *Lookup {
	l := newLookup(len(distinct))
	for i, k := range distinct {
		l.slots[l.find(k)] = slot{k, uint32(i + 1)}
	}
	return l
}

func newLookup(n int) *Lookup {
	size := 4
	for size < 2*n {
		size *= 2
	}
	return &Lookup{
		slots: make([]slot, size),
		shift: uint(64 - bits.TrailingZeros(uint(size))),
	}
}

// find returns the place of k, or the free place where it belongs.
func (l *Lookup) find(k uint64) int {
	last := len(l.slots) - 1
	for p := int(mix(k) >> l.shift); ; p = (p + 1) & last {
		if s := &l.slots[p]; s.number == 0 || s.key == k {
			return p
		}
	}
}

// Find returns the number of k, or -1.
func (l *Lookup) Find(k uint64) int {
	if len(l.slots) == 0 {
		return -1
	}
	return int(l.slots[l.find(k)].number) - 1
}

// Intern numbers the distinct keys of a column in ascending order of key, so
// that the numbers do not depend on the order of rows: group[i] is the number
// of keys[i], distinct[group[i]] == keys[i].
func Intern(keys []uint64) (group []uint32, distinct []uint64) {
	group = make([]uint32, len(keys))
	l := newLookup(16)
	for i, k := range keys {
		p := l.find(k)
		if l.slots[p].number == 0 {
			distinct = append(distinct, k)
			if 2*len(distinct) > len(l.slots) {
				l = NewLookup(distinct)
				p = l.find(k)
			}
			l.slots[p] = slot{k, uint32(len(distinct))}
		}
		group[i] = l.slots[p].number - 1
	}
	byKey := make([]uint32, len(distinct))
	for i := range byKey {
		byKey[i] = uint32(i)
	}
	slices.SortFunc(byKey, func(a, b uint32) int {
		if distinct[a] < distinct[b] {
			return -1
		}
		return 1
	})
	number := make([]uint32, len(distinct))
	sorted := make([]uint64, len(distinct))
	for n, old := range byKey {
		number[old], sorted[n] = uint32(n), distinct[old]
	}
	for i := range group {
		group[i] = number[group[i]]
	}
	return group, sorted
}
