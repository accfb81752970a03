package datasets

import (
	"context"
	"encoding/base64"
	"encoding/binary"
	"errors"
	"io"
	"iter"
	"math"

	"github.com/apache/arrow/go/v17/arrow"
	"github.com/apache/arrow/go/v17/arrow/array"
	"github.com/apache/arrow/go/v17/arrow/flight"
	"github.com/apache/arrow/go/v17/arrow/memory"
	"github.com/apache/arrow/go/v17/parquet"
	"github.com/apache/arrow/go/v17/parquet/compress"
	pqfile "github.com/apache/arrow/go/v17/parquet/file"
	"github.com/apache/arrow/go/v17/parquet/metadata"
	"github.com/apache/arrow/go/v17/parquet/pqarrow"
)

// WriteFlatParquet is WriteParquet for tables without lists and structs, of which
// most columns are numbers: a row group a batch. It lays out the pages of float64
// columns itself, in memory used again for each, where the library takes new
// memory several times over, some 12 kB a row of a training table.
func WriteFlatParquet(path string, schema *arrow.Schema, batches iter.Seq2[arrow.Record, error]) error {
	return writeWhole(path, func(w io.Writer) error {
		t, err := newFlatTable(w, schema)
		if err != nil {
			return err
		}
		for batch, err := range batches {
			if err == nil {
				err = t.write(batch)
			}
			if err != nil {
				return err
			}
		}
		return t.close()
	})
}

// flatTable is a Parquet file being written.
type flatTable struct {
	out    tellWriter
	props  *parquet.WriterProperties
	schema *arrow.Schema
	meta   *metadata.FileMetaDataBuilder
	codec  compress.Codec
	pager  pqfile.PageWriter
	groups int16

	page, packed []byte
	levels       []int16
}

// tellWriter knows how much was written to it.
type tellWriter struct {
	io.Writer
	n int64
}

func (w *tellWriter) Write(p []byte) (int, error) {
	n, err := w.Writer.Write(p)
	w.n += int64(n)
	return n, err
}

// Tell is what the library asks for the place in the file by.
func (w *tellWriter) Tell() int64 { return w.n }

const parquetMagic = "PAR1"

func newFlatTable(w io.Writer, schema *arrow.Schema) (*flatTable, error) {
	t := &flatTable{out: tellWriter{Writer: w}, props: tableProperties(schema), schema: schema}
	layout, err := pqarrow.ToParquet(schema, t.props, pqarrow.DefaultWriterProps())
	if err != nil {
		return nil, err
	}
	if layout.NumColumns() != schema.NumFields() {
		return nil, errors.New("a flat table has no lists or structs")
	}
	if t.codec, err = compress.GetCodec(tableCompression); err != nil {
		return nil, err
	}
	notes := metadata.NewKeyValueMetadata()
	for i, key := range schema.Metadata().Keys() {
		if err := notes.Append(key, schema.Metadata().Values()[i]); err != nil {
			return nil, err
		}
	}
	if err := notes.Append("ARROW:schema", base64.StdEncoding.EncodeToString(flight.SerializeSchema(schema, memory.DefaultAllocator))); err != nil {
		return nil, err
	}
	t.meta = metadata.NewFileMetadataBuilder(layout, t.props, notes)
	_, err = io.WriteString(&t.out, parquetMagic)
	return t, err
}

// write makes a batch a row group.
func (t *flatTable) write(batch arrow.Record) error {
	group, before := t.meta.AppendRowGroup(), t.out.n
	for i, column := range batch.Columns() {
		chunk := group.NextColumnChunk()
		if err := t.open(chunk, int16(i)); err != nil {
			return err
		}
		var err error
		if numbers, ok := column.(*array.Float64); ok {
			err = t.numbers(chunk, numbers)
		} else {
			err = t.other(chunk, column, t.schema.Field(i).Nullable)
		}
		if err != nil {
			return err
		}
	}
	group.SetNumRows(int(batch.NumRows()))
	t.groups++
	return group.Finish(t.out.n-before, t.groups-1)
}

// open readies the pager for a column of the row group.
func (t *flatTable) open(chunk *metadata.ColumnChunkMetaDataBuilder, column int16) (err error) {
	if t.pager == nil {
		t.pager, err = pqfile.NewPageWriter(&t.out, tableCompression, compress.DefaultCompressionLevel, chunk, t.groups, column, memory.DefaultAllocator, false, nil, nil)
		return err
	}
	return t.pager.Reset(&t.out, tableCompression, compress.DefaultCompressionLevel, chunk, t.groups, column, nil, nil)
}

// other leaves a column to the library.
func (t *flatTable) other(chunk *metadata.ColumnChunkMetaDataBuilder, column arrow.Array, nullable bool) error {
	var there []int16
	if nullable {
		t.levels = t.levels[:0]
		for i := range column.Len() {
			level := int16(1)
			if column.IsNull(i) {
				level = 0
			}
			t.levels = append(t.levels, level)
		}
		there = t.levels
	}
	w := pqfile.NewColumnChunkWriter(chunk, t.pager, t.props)
	if err := pqarrow.WriteArrowToColumn(pqarrow.NewArrowWriteContext(context.Background(), nil), w, column, there, nil, nullable); err != nil {
		return err
	}
	return w.Close()
}

// numbers writes a column as one page: which cells are there, then their values.
func (t *flatTable) numbers(chunk *metadata.ColumnChunkMetaDataBuilder, column *array.Float64) error {
	n, nulls := column.Len(), column.NullN()
	t.page = t.page[:0]
	if chunk.Descr().MaxDefinitionLevel() > 0 {
		t.page = append(t.page, 0, 0, 0, 0)
		t.page = appendPresence(t.page, column)
		binary.LittleEndian.PutUint32(t.page, uint32(len(t.page)-4))
	}
	low, high := math.Inf(1), math.Inf(-1)
	values := column.Float64Values()
	if nulls == 0 {
		t.page = append(t.page, arrow.GetBytes(values)...)
	}
	for i, v := range values {
		if nulls > 0 {
			if column.IsNull(i) {
				continue
			}
			t.page = binary.LittleEndian.AppendUint64(t.page, math.Float64bits(v))
		}
		low, high = min(low, v), max(high, v)
	}
	if need := t.codec.CompressBound(int64(len(t.page))); int64(cap(t.packed)) < need {
		t.packed = make([]byte, need)
	}
	packed := t.codec.Encode(t.packed[:cap(t.packed)], t.page)
	stats := metadata.EncodedStatistics{HasNullCount: true, NullCount: int64(nulls), Signed: true}
	if low <= high { // else there is no cell, or one that is no number
		stats.HasMin, stats.Min = true, floatBytes(low, math.Copysign(0, -1))
		stats.HasMax, stats.Max = true, floatBytes(high, 0)
	}
	page := pqfile.NewDataPageV1WithStats(memory.NewBufferBytes(packed), int32(n), parquet.Encodings.Plain, parquet.Encodings.RLE, parquet.Encodings.RLE, int32(len(t.page)), stats)
	if _, err := t.pager.WriteDataPage(page); err != nil {
		return err
	}
	chunk.SetStats(stats)
	return t.pager.Close(false, false)
}

// appendPresence adds definition levels of one bit, in Parquet's RLE hybrid: one
// run if all are alike, else the bitmap as it is, in groups of eight.
func appendPresence(dst []byte, column arrow.Array) []byte {
	n := column.Len()
	switch column.NullN() {
	case 0:
		return append(binary.AppendUvarint(dst, uint64(n)<<1), 1)
	case n:
		return append(binary.AppendUvarint(dst, uint64(n)<<1), 0)
	}
	dst = binary.AppendUvarint(dst, uint64((n+7)/8)<<1|1)
	bits := column.NullBitmapBytes()
	if column.Data().Offset() != 0 {
		bits = make([]byte, (n+7)/8)
		for i := range n {
			if column.IsValid(i) {
				bits[i/8] |= 1 << (i % 8)
			}
		}
	}
	return append(dst, bits[:(n+7)/8]...)
}

// floatBytes is a bound of a column; of the two zeros the one given, because
// readers may hold them for different.
func floatBytes(x, zero float64) []byte {
	if x == 0 {
		x = zero
	}
	return binary.LittleEndian.AppendUint64(nil, math.Float64bits(x))
}

func (t *flatTable) close() error {
	whole, err := t.meta.Finish()
	if err != nil {
		return err
	}
	n, err := whole.WriteTo(&t.out, nil)
	if err != nil {
		return err
	}
	_, err = t.out.Write(append(binary.LittleEndian.AppendUint32(nil, uint32(n)), parquetMagic...))
	return err
}
