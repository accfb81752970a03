package routing

import (
	"encoding/binary"
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

// bytes writes the set as records keep it: a serialized roaring bitmap, held as
// runs where they are smaller. A few are written for every decision: those that
// take one container, of runs or a list, are written here, others by the library.
func (s set) bytes() ([]byte, error) {
	const words, bitsBytes = 65_536 / 64, 8192 // of a container
	runs, before := 0, uint64(0)
	for _, w := range s {
		runs += bits.OnesCount64(w &^ (w<<1 | before))
		before = w >> 63
	}
	n := s.count()
	asList, asRuns := 2*n, 2+4*runs
	switch {
	case n == 0 || len(s) > words || bitsBytes < min(asList, asRuns):
		b := roaring.FromDense(s, true)
		b.RunOptimize()
		return b.ToBytes()
	case asRuns < asList:
		return s.appendRuns(make([]byte, 0, 9+asRuns), n, runs), nil
	}
	return s.appendList(make([]byte, 0, 16+asList), n), nil
}

// appendList appends the n partners of a set as one container that lists them.
func (s set) appendList(b []byte, n int) []byte {
	le := binary.LittleEndian
	b = append(b, 0x3a, 0x30, 0, 0, 1, 0, 0, 0, 0, 0) // no runs; one container, the first
	b = append(le.AppendUint16(b, uint16(n-1)), 16, 0, 0, 0)
	for i := range s.all() {
		b = le.AppendUint16(b, uint16(i))
	}
	return b
}

// appendRuns appends the n partners of a set as one container of its runs.
func (s set) appendRuns(b []byte, n, runs int) []byte {
	le := binary.LittleEndian
	b = append(b, 0x3b, 0x30, 0, 0, 1, 0, 0) // one container, of runs, the first
	b = le.AppendUint16(le.AppendUint16(b, uint16(n-1)), uint16(runs))
	at, before := len(b), uint64(0)
	for i, w := range s {
		for edges := w ^ (w<<1 | before); edges != 0; edges &= edges - 1 {
			b = le.AppendUint16(b, uint16(64*i+bits.TrailingZeros64(edges)))
		}
		before = w >> 63
	}
	if before == 1 {
		b = le.AppendUint16(b, uint16(64*len(s)))
	}
	// A run is its first and how many follow, not where it is over.
	for ; at < len(b); at += 4 {
		le.PutUint16(b[at+2:], le.Uint16(b[at+2:])-le.Uint16(b[at:])-1)
	}
	return b
}
