package gbdt

import "encoding/binary"

// A block holds the bins of at most 64 inputs, row after row, in 8, 16, 32 or 64
// bytes: a row's record is at most one cache line.
type block struct {
	first, cols int // inputs first … first+cols-1
	size        int // of a record
	data        []uint8
}

const blockCols = 64

// matrix is the binned rows, twice: by row for histograms, which read all inputs
// of a row, and by column for what reads one input of many rows.
type matrix struct {
	rows    int
	cols    int
	blocks  []block
	columns [][]uint8
}

// newMatrix keeps cols.
func newMatrix(cols [][]uint8, rows int, c crew) *matrix {
	m := &matrix{rows: rows, cols: len(cols), columns: cols}
	for first := 0; first < len(cols); first += blockCols {
		n := min(blockCols, len(cols)-first)
		size := 8
		for size < n {
			size *= 2
		}
		m.blocks = append(m.blocks, block{first: first, cols: n, size: size, data: make([]uint8, size*rows)})
	}
	c.blocks(rows, 4096, func(_, lo, hi int) {
		for _, b := range m.blocks {
			j := 0
			for ; j+8 <= b.cols; j += 8 {
				b.fill8(cols[b.first+j:], j, lo, hi)
			}
			for ; j < b.cols; j++ {
				for i, bin := range cols[b.first+j][lo:hi] {
					b.data[(lo+i)*b.size+j] = bin
				}
			}
		}
	})
	return m
}

// fill8 writes the bins of eight inputs to their places from j on.
func (b *block) fill8(cols [][]uint8, j, lo, hi int) {
	c0, c1, c2, c3 := cols[0][lo:hi], cols[1][lo:hi], cols[2][lo:hi], cols[3][lo:hi]
	c4, c5, c6, c7 := cols[4][lo:hi], cols[5][lo:hi], cols[6][lo:hi], cols[7][lo:hi]
	for i := range c0 {
		w := uint64(c0[i]) | uint64(c1[i])<<8 | uint64(c2[i])<<16 | uint64(c3[i])<<24 |
			uint64(c4[i])<<32 | uint64(c5[i])<<40 | uint64(c6[i])<<48 | uint64(c7[i])<<56
		binary.LittleEndian.PutUint64(b.data[(lo+i)*b.size+j:], w)
	}
}
