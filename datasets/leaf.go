package datasets

import (
	"fmt"
	"math"

	"github.com/apache/arrow/go/v17/arrow"
	"github.com/apache/arrow/go/v17/arrow/array"
	"github.com/apache/arrow/go/v17/arrow/bitutil"
	"github.com/apache/arrow/go/v17/arrow/memory"
	"github.com/apache/arrow/go/v17/parquet"
	pqfile "github.com/apache/arrow/go/v17/parquet/file"
)

// leaf reads one flat column of texts, times or whole numbers straight from the
// pages into Arrow arrays; the library's way through builders takes three times
// as long. Words come as dictionaries that are one for the whole file, so that
// whoever decodes them looks at each word once. An array is good until the next.
type leaf struct {
	column int // of the Parquet file
	typ    arrow.DataType
	there  int16 // definition level of a cell that is not null
	words  *wordList
	cells  pqfile.ColumnChunkReader // of the row group being read
	nulls  arrow.Array              // a batch of nothing but nulls

	texts   []parquet.ByteArray
	ints    []int64
	indices []int32 // of texts that are words
	levels  []int16

	// What the newest array is made of; the bytes of texts are not here, because an
	// id goes on sharing them.
	bits     []byte
	ends     []int32
	spread32 []int32
	spread64 []int64
}

// flatLeaf returns a leaf for a Parquet column of an Arrow type, nil if it is
// not one of those a leaf can read.
func flatLeaf(pq *pqfile.Reader, column int, typ arrow.DataType, word bool) *leaf {
	col := pq.MetaData().Schema.Column(column)
	l := &leaf{column: column, typ: typ, there: col.MaxDefinitionLevel()}
	if d, ok := typ.(*arrow.DictionaryType); ok {
		typ = d.ValueType
	}
	switch {
	case col.MaxRepetitionLevel() > 0 || l.there > 1:
		return nil
	case col.PhysicalType() == parquet.Types.ByteArray && (typ.ID() == arrow.STRING || typ.ID() == arrow.LARGE_STRING):
		l.typ, l.texts = arrow.BinaryTypes.String, make([]parquet.ByteArray, chunkRows)
		if word {
			l.typ, l.words = wordType, &wordList{}
			l.words.reset()
			l.indices, l.spread32 = make([]int32, chunkRows), make([]int32, chunkRows)
		} else {
			l.ends = make([]int32, chunkRows+1)
		}
	case col.PhysicalType() == parquet.Types.Int64 && (typ.ID() == arrow.TIMESTAMP || typ.ID() == arrow.INT64):
		l.ints, l.spread64 = make([]int64, chunkRows), make([]int64, chunkRows)
	default:
		return nil
	}
	l.levels, l.bits = make([]int16, chunkRows), make([]byte, bitutil.BytesForBits(chunkRows))
	l.nulls = array.MakeArrayOfNull(memory.DefaultAllocator, l.typ, chunkRows)
	return l
}

var wordType = &arrow.DictionaryType{IndexType: arrow.PrimitiveTypes.Int32, ValueType: arrow.BinaryTypes.String}

func (l *leaf) open(group *pqfile.RowGroupReader) (err error) {
	l.cells, err = group.Column(l.column)
	return err
}

// next reads the column's next n cells, at most chunkRows, of the row group.
func (l *leaf) next(n int) (arrow.Array, error) {
	var rows int64
	var there int
	var err error
	switch cells := l.cells.(type) {
	case *pqfile.ByteArrayColumnChunkReader:
		rows, there, err = cells.ReadBatch(int64(n), l.texts, l.levels, nil)
	case *pqfile.Int64ColumnChunkReader:
		rows, there, err = cells.ReadBatch(int64(n), l.ints, l.levels, nil)
	default:
		err = fmt.Errorf("column %d changes its type", l.column)
	}
	if err == nil {
		err = l.cells.Err()
	}
	if err != nil {
		return nil, err
	}
	if rows != int64(n) {
		return nil, fmt.Errorf("column %d ends %d rows early", l.column, int64(n)-rows)
	}
	if there == 0 {
		return array.NewSlice(l.nulls, 0, int64(n)), nil
	}
	bitmap, err := l.bitmap(n, there)
	if err != nil {
		return nil, err
	}
	var data *array.Data
	switch {
	case l.ints != nil:
		data = array.NewData(l.typ, n, []*memory.Buffer{bitmap, spread(l, l.spread64[:n], l.ints[:there])}, nil, n-there, 0)
	case l.words != nil:
		for i, text := range l.texts[:there] {
			l.indices[i] = l.words.index(text)
		}
		data = array.NewDataWithDictionary(l.typ, n, []*memory.Buffer{bitmap, spread(l, l.spread32[:n], l.indices[:there])}, n-there, 0, l.words.dictionary())
	default:
		offsets, bytes, err := l.join(n, there)
		if err != nil {
			return nil, err
		}
		data = array.NewData(l.typ, n, []*memory.Buffer{bitmap, offsets, bytes}, nil, n-there, 0)
	}
	return array.MakeFromData(data), nil
}

// bitmap tells which of n cells are there; nil where all are.
func (l *leaf) bitmap(n, there int) (*memory.Buffer, error) {
	if l.there == 0 || there == n {
		return nil, nil
	}
	bits, seen := l.bits[:bitutil.BytesForBits(int64(n))], 0
	clear(bits)
	for i, level := range l.levels[:n] {
		if level == l.there {
			bits[i/8] |= 1 << (i % 8)
			seen++
		}
	}
	if seen != there {
		return nil, fmt.Errorf("column %d has %d cells where %d are announced", l.column, there, seen)
	}
	return memory.NewBufferBytes(bits), nil
}

// spread puts the values where the levels say that there is a cell; the others
// hold anything.
func spread[V int32 | int64](l *leaf, to, values []V) *memory.Buffer {
	if len(values) == len(to) {
		return memory.NewBufferBytes(arrow.GetBytes(values))
	}
	for i, level := range l.levels[:len(to)] {
		if level == l.there {
			to[i], values = values[0], values[1:]
		}
	}
	return memory.NewBufferBytes(arrow.GetBytes(to))
}

// join copies the texts one behind the other: a text kept by somebody keeps
// those of its batch in memory, not a whole page.
func (l *leaf) join(n, there int) (offsets, bytes *memory.Buffer, err error) {
	size := 0
	for _, text := range l.texts[:there] {
		size += len(text)
	}
	if size > math.MaxInt32 {
		return nil, nil, fmt.Errorf("column %d holds %d bytes of text in %d rows", l.column, size, n)
	}
	all, ends := make([]byte, 0, size), l.ends[:n+1]
	texts := l.texts[:there]
	for i := range n {
		if there == n || l.levels[i] == l.there {
			all = append(all, texts[0]...)
			texts = texts[1:]
		}
		ends[i+1] = int32(len(all))
	}
	return memory.NewBufferBytes(arrow.GetBytes(ends)), memory.NewBufferBytes(all), nil
}

// wordList numbers the words of a column. A number keeps its meaning until
// there are too many words, then they begin anew.
type wordList struct {
	numbers map[string]int32
	texts   []string
	whole   arrow.ArrayData // all texts, nil once there is a new one
}

// maxListed bounds the memory of words that turn out not to repeat.
const maxListed = 1 << 17

func (w *wordList) reset() { *w = wordList{numbers: map[string]int32{}} }

func (w *wordList) index(text []byte) int32 {
	if n, ok := w.numbers[string(text)]; ok {
		return n
	}
	n := int32(len(w.texts))
	w.texts, w.whole = append(w.texts, string(text)), nil
	w.numbers[w.texts[n]] = n
	return n
}

// dictionary returns the words so far; it is the same until there is a new one.
func (w *wordList) dictionary() *array.Data {
	if w.whole == nil {
		b := array.NewStringBuilder(memory.DefaultAllocator)
		b.AppendValues(w.texts, nil)
		w.whole = b.NewArray().Data()
	}
	whole := w.whole.(*array.Data)
	if len(w.texts) > maxListed {
		w.reset()
	}
	return whole
}
