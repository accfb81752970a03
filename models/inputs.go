package models

import "slices"

// Batch is some rows of a table as they lie in memory, such as an Arrow record.
// It does not change while it is read.
type Batch interface {
	// Len is the number of rows.
	Len() int
	// At returns a number, NaN where it is missing.
	At(col, row int) float64
	// Values returns the numbers of rows lo … hi-1: memory of the batch's own, which
	// must not be written to, or the front of buf, which has room for as many.
	Values(buf []float64, col, lo, hi int) []float64
}

// Inputs are the inputs of a table that are read where they lie, batch after
// batch: all rows, or some of them in any order. They are a Batch themselves.
type Inputs struct {
	batches []Batch
	first   []int    // the row each batch begins with, then how many there are
	rows    []uint32 // which rows, in order; nil: all as they lie
}

// NewInputs returns the rows of the batches, at most 1<<32.
func NewInputs(batches ...Batch) *Inputs {
	in := &Inputs{batches: batches, first: []int{0}}
	for k, b := range batches {
		in.first = append(in.first, in.first[k]+b.Len())
	}
	return in
}

// InputsOf returns columns as the inputs they are.
func InputsOf(x [][]float64) *Inputs { return NewInputs(columns(x)) }

// Len returns the number of rows.
func (in *Inputs) Len() int {
	if in.rows != nil {
		return len(in.rows)
	}
	return in.first[len(in.batches)]
}

// View returns some of the rows, in the order given, and copies no number.
func (in *Inputs) View(rows []int) *Inputs {
	v := &Inputs{batches: in.batches, first: in.first, rows: make([]uint32, len(rows))}
	for i, r := range rows {
		v.rows[i] = uint32(in.lying(r))
	}
	return v
}

// lying returns where among the rows of all batches row i lies.
func (in *Inputs) lying(i int) int {
	if in.rows != nil {
		return int(in.rows[i])
	}
	return i
}

// batchOf returns the batch that holds a row, given among those of all batches.
func (in *Inputs) batchOf(row int) int {
	if len(in.batches) == 1 {
		return 0
	}
	k, found := slices.BinarySearch(in.first, row)
	if !found {
		return k - 1
	}
	for in.first[k+1] == row { // batches without rows
		k++
	}
	return k
}

// At returns one number.
func (in *Inputs) At(col, i int) float64 {
	r := in.lying(i)
	k := in.batchOf(r)
	return in.batches[k].At(col, r-in.first[k])
}

// Values returns the numbers of rows lo … hi-1, as a Batch does.
func (in *Inputs) Values(buf []float64, col, lo, hi int) []float64 {
	if in.rows != nil {
		in.gather(buf, col, in.rows[lo:hi])
		return buf[:hi-lo]
	}
	k := in.batchOf(lo)
	if hi <= in.first[k+1] {
		return in.batches[k].Values(buf, col, lo-in.first[k], hi-in.first[k])
	}
	for at := lo; at < hi; k++ {
		to := min(hi, in.first[k+1])
		copy(buf[at-lo:], in.batches[k].Values(buf[at-lo:], col, at-in.first[k], to-in.first[k]))
		at = to
	}
	return buf[:hi-lo]
}

// gather reads rows, given among those of all batches: at once what lies side by
// side.
func (in *Inputs) gather(dst []float64, col int, rows []uint32) {
	k := 0
	for i := 0; i < len(rows); {
		r := int(rows[i])
		if r < in.first[k] || r >= in.first[k+1] {
			k = in.batchOf(r)
		}
		b, at, n := in.batches[k], r-in.first[k], 1
		for i+n < len(rows) && int(rows[i+n]) == r+n && r+n < in.first[k+1] {
			n++
		}
		if n == 1 {
			dst[i] = b.At(col, at)
		} else {
			copy(dst[i:], b.Values(dst[i:], col, at, at+n))
		}
		i += n
	}
}

// span is how many numbers are read at a time.
const span = 4096

// Each calls f with all numbers of a column, some at a time: those of rows lo and
// the following. f must not write to them, nor keep them.
func (in *Inputs) Each(col int, f func(lo int, values []float64)) {
	buf := make([]float64, min(span, in.Len()))
	for lo := 0; lo < in.Len(); lo += span {
		f(lo, in.Values(buf, col, lo, min(lo+span, in.Len())))
	}
}

// Column returns a column in one piece, which must not be written to: a copy,
// unless it lies so.
func (in *Inputs) Column(col int) []float64 {
	if len(in.batches) == 1 && in.rows == nil {
		if c, ok := in.batches[0].(columns); ok {
			return c[col]
		}
	}
	out := make([]float64, in.Len())
	in.Each(col, func(lo int, values []float64) { copy(out[lo:], values) })
	return out
}

// columns are a batch that lies as the columns of a table.
type columns [][]float64

func (c columns) Len() int {
	if len(c) == 0 {
		return 0
	}
	return len(c[0])
}

func (c columns) At(col, row int) float64 { return c[col][row] }

func (c columns) Values(_ []float64, col, lo, hi int) []float64 { return c[col][lo:hi] }
