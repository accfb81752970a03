package datasets

import (
	"math"

	"bellwether/models"

	"github.com/apache/arrow/go/v17/arrow"
	"github.com/apache/arrow/go/v17/arrow/array"
)

// piece is the numbers of a column in one record batch, left in the form they came
// in where that is no larger.
type piece interface {
	len() int
	// at returns a number, NaN where it is missing.
	at(i int) float64
	// values returns those of rows lo … hi-1, its own memory or the front of buf.
	values(buf []float64, lo, hi int) []float64
}

// tableBatch is a models.Batch: the pieces of all inputs.
type tableBatch []piece

func (b tableBatch) Len() int { return b[0].len() }

func (b tableBatch) At(col, row int) float64 { return b[col].at(row) }

func (b tableBatch) Values(buf []float64, col, lo, hi int) []float64 {
	return b[col].values(buf, lo, hi)
}

// inBatches turns the pieces of columns into batches.
func inBatches(columns [][]piece) *models.Inputs {
	batches := make([]models.Batch, len(columns[0]))
	for k := range batches {
		var b tableBatch
		for _, pieces := range columns {
			b = append(b, pieces[k])
		}
		batches[k] = b
	}
	return models.NewInputs(batches...)
}

// whole returns columns that are one piece of float64 each, nil if any is not.
func whole(columns [][]piece) [][]float64 {
	var x [][]float64
	for _, pieces := range columns {
		f, ok := pieces[0].(floats)
		if !ok || len(pieces) > 1 {
			return nil
		}
		x = append(x, f)
	}
	return x
}

// floats are numbers as they are wanted: of an Arrow column, its own memory.
type floats []float64

func (f floats) len() int { return len(f) }

func (f floats) at(i int) float64 { return f[i] }

func (f floats) values(_ []float64, lo, hi int) []float64 { return f[lo:hi] }

// floatsOf are the values of a column, with NaN where it has nulls. That is
// written into the column, which was read for this and is nobody else's.
func floatsOf(a *array.Float64) floats {
	f := a.Float64Values()
	if a.NullN() > 0 {
		for i := range f {
			if a.IsNull(i) {
				f[i] = math.NaN()
			}
		}
	}
	return f
}

// small are the types of numbers that take half the room of a float64, or less,
// and fit into it.
type small interface {
	~int8 | ~int16 | ~int32 | ~uint8 | ~uint16 | ~uint32 | ~float32
}

// narrow are numbers of such a type.
type narrow[T small] struct {
	numbers []T
	column  arrow.Array // tells which are null
}

func (n narrow[T]) len() int { return len(n.numbers) }

func (n narrow[T]) at(i int) float64 {
	if n.column.IsNull(i) {
		return math.NaN()
	}
	return float64(n.numbers[i])
}

func (n narrow[T]) values(buf []float64, lo, hi int) []float64 {
	for i, v := range n.numbers[lo:hi] {
		buf[i] = float64(v)
	}
	if n.column.NullN() > 0 {
		for i := lo; i < hi; i++ {
			if n.column.IsNull(i) {
				buf[i-lo] = math.NaN()
			}
		}
	}
	return buf[:hi-lo]
}

// narrowOf returns the numbers of a column, nil if their type is not small.
func narrowOf(a arrow.Array) piece {
	switch c := a.(type) {
	case *array.Int8:
		return narrow[int8]{c.Int8Values(), a}
	case *array.Int16:
		return narrow[int16]{c.Int16Values(), a}
	case *array.Int32:
		return narrow[int32]{c.Int32Values(), a}
	case *array.Uint8:
		return narrow[uint8]{c.Uint8Values(), a}
	case *array.Uint16:
		return narrow[uint16]{c.Uint16Values(), a}
	case *array.Uint32:
		return narrow[uint32]{c.Uint32Values(), a}
	case *array.Float32:
		return narrow[float32]{c.Float32Values(), a}
	}
	return nil
}

// words are a column of a dictionary: a number for each of its words.
type words struct {
	column  *array.Dictionary
	numbers []float64
}

func (w words) len() int { return w.column.Len() }

func (w words) at(i int) float64 {
	if w.column.IsNull(i) {
		return math.NaN()
	}
	return w.numbers[w.column.GetValueIndex(i)]
}

func (w words) values(buf []float64, lo, hi int) []float64 {
	for i := lo; i < hi; i++ {
		buf[i-lo] = w.at(i)
	}
	return buf[:hi-lo]
}
