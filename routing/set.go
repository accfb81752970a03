package routing

import (
	"iter"
	"math/bits"

	"github.com/RoaringBitmap/roaring/v2"
)

// set is some partners of an index: a bit each, by number. It is as long as its
// highest partner needs, or longer.
type set []uint64

// everybody is the set of the first n partners.
func everybody(n int) set {
	s := make(set, (n+63)/64)
	for i := range s {
		s[i] = ^uint64(0)
	}
	if n%64 != 0 {
		s[len(s)-1] = 1<<(n%64) - 1
	}
	return s
}

func (s *set) add(n uint32) {
	for int(n/64) >= len(*s) {
		*s = append(*s, 0)
	}
	(*s)[n/64] |= 1 << (n % 64)
}

func (s set) remove(n uint32) {
	if int(n/64) < len(s) {
		s[n/64] &^= 1 << (n % 64)
	}
}

func (s set) has(n uint32) bool { return int(n/64) < len(s) && s[n/64]>>(n%64)&1 == 1 }

func (s set) count() int {
	n := 0
	for _, w := range s {
		n += bits.OnesCount64(w)
	}
	return n
}

func (s set) empty() bool { return s.count() == 0 }

// and returns those of s that are in t.
func (s set) and(t set) set {
	out := make(set, min(len(s), len(t)))
	for i := range out {
		out[i] = s[i] & t[i]
	}
	return out
}

// without returns those of s that are not in t.
func (s set) without(t set) set {
	out := make(set, len(s))
	copy(out, s)
	for i := range min(len(s), len(t)) {
		out[i] &^= t[i]
	}
	return out
}

// or adds those of t.
func (s *set) or(t set) {
	if n := len(t) - len(*s); n > 0 {
		*s = append(*s, make(set, n)...)
	}
	for i, w := range t {
		(*s)[i] |= w
	}
}

// all visits the partners by rising number.
func (s set) all() iter.Seq[uint32] {
	return func(yield func(uint32) bool) {
		for i, w := range s {
			for ; w != 0; w &= w - 1 {
				if !yield(uint32(64*i + bits.TrailingZeros64(w))) {
					return
				}
			}
		}
	}
}

// bytes writes the set as records keep it: a serialized roaring bitmap.
func (s set) bytes() ([]byte, error) {
	b := roaring.FromDense(s, true)
	b.RunOptimize()
	return b.ToBytes()
}
