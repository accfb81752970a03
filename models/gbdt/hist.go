package gbdt

import (
	"encoding/binary"
	"sync/atomic"
)

// cells is the size of an input's histogram: one cell for each byte.
const cells = 256

// A cell holds the sums of its rows' gradients (upper half, signed) and
// hessians (lower half, unsigned), as does the packed value of a single row.
// The scale of a tree keeps every sum of rows within its half; so packed values
// and cells add and subtract exactly, and in any order.
func pack(g int32, h uint32) int64 { return int64(g)<<32 | int64(h) }

func gradOf(v int64) float64 { return float64(v >> 32) }

func hessOf(v int64) uint32 { return uint32(v) }

// staged is how many rows are copied to the stack before they are used, so that
// their cache misses overlap.
const staged = 32

// stage is rows waiting to be added to a histogram.
type stage struct {
	record [staged][blockCols]uint8
	value  [staged]int64
}

// add adds rows to the histograms of the block's inputs lo … hi-1; hist is that
// of all the block's.
func (b *block) add(hist []int64, rows []uint32, gh []int64, lo, hi int) {
	var s stage
	for len(rows) > 0 {
		n := min(staged, len(rows))
		s.load(b, rows[:n], gh)
		b.ahead(rows[n:min(2*n, len(rows))], gh)
		j := lo
		for ; j+8 <= hi; j += 8 {
			add8((*[8 * cells]int64)(hist[j*cells:]), &s, j, n)
		}
		if j+4 <= hi {
			add4((*[4 * cells]int64)(hist[j*cells:]), &s, j, n)
			j += 4
		}
		for ; j < hi; j++ {
			add1((*[cells]int64)(hist[j*cells:]), &s, j, n)
		}
		rows = rows[n:]
	}
}

func (s *stage) load(b *block, rows []uint32, gh []int64) {
	switch b.size {
	case 8:
		for i, r := range rows {
			s.value[i&31] = gh[r]
			copy8(s.record[i&31][:8], b.data[8*int(r):][:8])
		}
	case 16:
		for i, r := range rows {
			s.value[i&31] = gh[r]
			to, from := s.record[i&31][:16], b.data[16*int(r):][:16]
			copy8(to, from)
			copy8(to[8:], from[8:])
		}
	case 32:
		for i, r := range rows {
			s.value[i&31] = gh[r]
			copy32(s.record[i&31][:32], b.data[32*int(r):][:32])
		}
	default:
		for i, r := range rows {
			s.value[i&31] = gh[r]
			to, from := s.record[i&31][:], b.data[64*int(r):][:64]
			copy32(to, from)
			copy32(to[32:], from[32:])
		}
	}
}

// copy8 and copy32 are copies without the call that an array's assignment is.
func copy8(to, from []uint8) {
	binary.LittleEndian.PutUint64(to, binary.LittleEndian.Uint64(from))
}

func copy32(to, from []uint8) {
	to, from = to[:32], from[:32]
	copy8(to, from)
	copy8(to[8:], from[8:])
	copy8(to[16:], from[16:])
	copy8(to[24:], from[24:])
}

// add8 adds the eight inputs from j on: 16 KB of histogram, which stays in the
// innermost cache.
func add8(h *[8 * cells]int64, s *stage, j, n int) {
	j &= blockCols - 8
	for i := range n {
		r, v := (*[8]uint8)(s.record[i&31][j:]), s.value[i&31]
		h[r[0]] += v
		h[cells+int(r[1])] += v
		h[2*cells+int(r[2])] += v
		h[3*cells+int(r[3])] += v
		h[4*cells+int(r[4])] += v
		h[5*cells+int(r[5])] += v
		h[6*cells+int(r[6])] += v
		h[7*cells+int(r[7])] += v
	}
}

func add4(h *[4 * cells]int64, s *stage, j, n int) {
	j &= blockCols - 4
	for i := range n {
		r, v := (*[4]uint8)(s.record[i&31][j:]), s.value[i&31]
		h[r[0]] += v
		h[cells+int(r[1])] += v
		h[2*cells+int(r[2])] += v
		h[3*cells+int(r[3])] += v
	}
}

func add1(h *[cells]int64, s *stage, j, n int) {
	for i := range n {
		h[s.record[i&31][j&63]] += s.value[i&31]
	}
}

// parallelRows is the number of rows from which several goroutines share a
// node's rows; fewer they share by inputs.
const parallelRows = 8192

// build fills hist with the rows of a node. spare holds a histogram for every
// further goroutine, which takes rows as long as there are any.
func (m *matrix) build(hist []int64, rows []uint32, gh []int64, g *gang, spare [][]int64) {
	if len(rows) < parallelRows || len(spare) == 0 {
		m.fill(hist, rows, gh, 0, m.cols)
		return
	}
	const size = parallelRows / 2
	var next atomic.Int64
	used := make([]bool, len(spare)+1)
	g.each(len(used), func(p int) {
		h := hist
		if p > 0 {
			h = spare[p-1]
		}
		for at := int(next.Add(size)) - size; at < len(rows); at = int(next.Add(size)) - size {
			if !used[p] {
				clear(h)
				used[p] = true
			}
			m.add(h, rows[at:min(at+size, len(rows))], gh, 0, m.cols)
		}
	})
	if !used[0] {
		clear(hist)
	}
	for p, h := range spare {
		if !used[p+1] {
			continue
		}
		for i, v := range h {
			hist[i] += v
		}
	}
}

// fill makes the histograms of inputs lo … hi-1 from rows; lo is a multiple of
// 8. hist is that of all inputs.
func (m *matrix) fill(hist []int64, rows []uint32, gh []int64, lo, hi int) {
	clear(hist[lo*cells : hi*cells])
	m.add(hist, rows, gh, lo, hi)
}

// add adds rows to the histograms of inputs lo … hi-1.
func (m *matrix) add(hist []int64, rows []uint32, gh []int64, lo, hi int) {
	for i := range m.blocks {
		b := &m.blocks[i]
		if from, to := max(lo, b.first), min(hi, b.first+b.cols); from < to {
			b.add(hist[b.first*cells:], rows, gh, from-b.first, to-b.first)
		}
	}
}
