package routing

import (
	"encoding/binary"
	"iter"
	"math/bits"
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
	for len(*s) < len(t) {
		*s = append(*s, 0)
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

// The format of serialized roaring bitmaps: containers of 65,536 numbers each,
// held as runs, as a list or as bits, whatever is smallest. A stream with runs
// begins otherwise than one without.
const (
	containerWords = 65_536 / 64
	bitsBytes      = 8 * containerWords
	plainCookie    = 12346
	runsCookie     = 12347
	fewContainers  = 4 // of them, a stream with runs does not say where each begins
)

// container is a part of a set as it is serialized.
type container struct {
	key   int
	words set
	count int
	runs  int // 0: not held as runs
}

func (c *container) size() int {
	if c.runs > 0 {
		return 2 + 4*c.runs
	}
	return min(2*c.count, bitsBytes)
}

// bytes writes the set as records keep it: a serialized roaring bitmap, the same
// bytes as that package makes of it with runs where they are smaller. It is
// written for every rule of every decision.
func (s set) bytes() []byte {
	var parts []container
	var runs []byte // a bit for each container held as runs
	size, some := 8, false
	for from := 0; from < len(s); from += containerWords {
		c := container{key: from / containerWords, words: s[from:min(from+containerWords, len(s))]}
		if c.count = c.words.count(); c.count == 0 {
			continue
		}
		at := len(parts)
		if at%8 == 0 {
			runs = append(runs, 0)
		}
		if n := c.words.runs(); 2+4*n < c.size() {
			c.runs, some = n, true
			runs[at/8] |= 1 << (at % 8)
		}
		parts, size = append(parts, c), size+9+c.size()
	}
	le := binary.LittleEndian
	b := make([]byte, 0, size)
	if some {
		b = append(le.AppendUint32(b, runsCookie|uint32(len(parts)-1)<<16), runs...)
	} else {
		b = le.AppendUint32(le.AppendUint32(b, plainCookie), uint32(len(parts)))
	}
	for _, c := range parts {
		b = le.AppendUint16(le.AppendUint16(b, uint16(c.key)), uint16(c.count-1))
	}
	if !some || len(parts) >= fewContainers {
		at := len(b) + 4*len(parts)
		for _, c := range parts {
			b = le.AppendUint32(b, uint32(at))
			at += c.size()
		}
	}
	for i := range parts {
		b = parts[i].append(b)
	}
	return b
}

func (c *container) append(b []byte) []byte {
	le := binary.LittleEndian
	switch {
	case c.runs > 0:
		b = le.AppendUint16(b, uint16(c.runs))
		c.words.eachRun(func(first, last int) {
			b = le.AppendUint16(le.AppendUint16(b, uint16(first)), uint16(last-first))
		})
	case 2*c.count > bitsBytes:
		for i := range containerWords {
			w := uint64(0)
			if i < len(c.words) {
				w = c.words[i]
			}
			b = le.AppendUint64(b, w)
		}
	default:
		for n := range c.words.all() {
			b = le.AppendUint16(b, uint16(n))
		}
	}
	return b
}

// runs counts the stretches of partners that follow each other.
func (s set) runs() int {
	n, before := 0, uint64(0)
	for _, w := range s {
		n += bits.OnesCount64(w &^ (w<<1 | before>>63))
		before = w
	}
	return n
}

// eachRun visits these stretches.
func (s set) eachRun(f func(first, last int)) {
	first, before := 0, uint64(0)
	for i, w := range s {
		next := uint64(0)
		if i+1 < len(s) {
			next = s[i+1]
		}
		starts, ends := w&^(w<<1|before>>63), w&^(w>>1|next<<63)
		for ends != 0 {
			last := bits.TrailingZeros64(ends)
			if at := bits.TrailingZeros64(starts); at <= last {
				first, starts = 64*i+at, starts&(starts-1)
			}
			f(first, 64*i+last)
			ends &= ends - 1
		}
		if starts != 0 {
			first = 64*i + bits.TrailingZeros64(starts)
		}
		before = w
	}
}
