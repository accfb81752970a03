package gbdt

// A block holds the bins of at most 64 inputs, row after row, a byte each, in
// 1, 2, 4 or 8 words: a row's record is at most one cache line.
type block struct {
	first, cols int // inputs first … first+cols-1
	words       int
	data        []uint64
}

const blockCols = 64

// matrix is the binned rows.
type matrix struct {
	rows   int
	cols   int
	blocks []block
}

func newMatrix(cols [][]uint8, rows int, c crew) *matrix {
	m := &matrix{rows: rows, cols: len(cols)}
	for first := 0; first < len(cols); first += blockCols {
		n := min(blockCols, len(cols)-first)
		words := 1
		for words*8 < n {
			words *= 2
		}
		m.blocks = append(m.blocks, block{first: first, cols: n, words: words, data: make([]uint64, words*rows)})
	}
	c.blocks(rows, 4096, func(_, lo, hi int) {
		for _, b := range m.blocks {
			for j, col := range cols[b.first : b.first+b.cols] {
				word, shift := j/8, uint(j%8*8)
				for i, bin := range col[lo:hi] {
					b.data[(lo+i)*b.words+word] |= uint64(bin) << shift
				}
			}
		}
	})
	return m
}

// column tells where the bins of an input are: word of the row's record and
// shift in it.
func (m *matrix) column(col int) (data []uint64, words, word int, shift uint) {
	b := &m.blocks[col/blockCols]
	j := col % blockCols
	return b.data, b.words, j / 8, uint(j % 8 * 8)
}

// bin returns the bin of one row.
func (m *matrix) bin(row, col int) uint8 {
	data, words, word, shift := m.column(col)
	return uint8(data[row*words+word] >> shift)
}
