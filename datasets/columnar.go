package datasets

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"os"
	"slices"

	"bellwether/datasets/record"

	"github.com/apache/arrow/go/v17/arrow"
	"github.com/apache/arrow/go/v17/arrow/array"
	"github.com/apache/arrow/go/v17/arrow/ipc"
	"github.com/apache/arrow/go/v17/arrow/memory"
	"github.com/apache/arrow/go/v17/parquet"
	pqfile "github.com/apache/arrow/go/v17/parquet/file"
	"github.com/apache/arrow/go/v17/parquet/pqarrow"
)

// pageBuffer is how much of a column is read at once.
const pageBuffer = 1 << 16

// readParquet reads a Parquet file, column by column, row group after row group.
func readParquet[T any](ctx context.Context, f *file, w wanted[T], give func() *chunk[T], take func(*chunk[T]) error) error {
	if f.gzip {
		return f.errorf("Parquet compresses by itself: unpack the .gz first")
	}
	disk, err := os.Open(f.path)
	if err != nil {
		return record.Errorf(record.Unavailable, "read", "%w", err)
	}
	defer disk.Close()
	if f.size == 0 {
		return f.errorf("is empty (0 bytes): write it again, or remove it")
	}
	props := parquet.NewReaderProperties(memory.DefaultAllocator)
	props.BufferSize, props.BufferedStreamEnabled = pageBuffer, true // else a column of a row group is held twice
	pq, err := pqfile.NewParquetReader(disk, pqfile.WithReadProps(props))
	if err != nil {
		return f.errorf("is not a whole Parquet file (%v): copy or write it again", err)
	}
	batches, err := parquetBatches(ctx, f, pq, w)
	if err != nil {
		return err
	}
	return readBatches(ctx, f, w, batches.schema, give, take, func() (arrow.Record, int64, error) {
		batch, err := batches.next()
		return batch, pq.NumRows(), err
	})
}

// columnsReader reads batches of Parquet columns side by side. A batch ends with
// its row group at the latest.
type columnsReader struct {
	pq     *pqfile.Reader
	schema *arrow.Schema
	leaves []*leaf                 // per column; nil where the library has to read
	nested []*pqarrow.ColumnReader // per column; nil where a leaf reads
	group  int                     // the next row group
	left   int64                   // rows of the open one
}

func (r *columnsReader) next() (arrow.Record, error) {
	for r.left <= 0 {
		if r.group == r.pq.NumRowGroups() {
			return nil, io.EOF
		}
		group := r.pq.RowGroup(r.group)
		for _, l := range r.leaves {
			if l == nil {
				continue
			}
			if err := l.open(group); err != nil {
				return nil, err
			}
		}
		r.group, r.left = r.group+1, group.NumRows()
	}
	n := min(r.left, chunkRows)
	r.left -= n
	cells := make([]arrow.Array, len(r.leaves))
	for i := range cells {
		var err error
		if l := r.leaves[i]; l != nil {
			cells[i], err = l.next(int(n))
		} else {
			cells[i], err = r.library(i, n)
		}
		if err != nil {
			return nil, err
		}
	}
	return array.NewRecord(r.schema, cells, n), nil
}

// library reads the next n cells of a column that no leaf can read.
func (r *columnsReader) library(i int, n int64) (arrow.Array, error) {
	data, err := r.nested[i].NextBatch(n)
	if err != nil {
		return nil, err
	}
	if int64(data.Len()) != n {
		return nil, fmt.Errorf("column %s has %d rows where others have %d", r.schema.Field(i).Name, data.Len(), n)
	}
	if len(data.Chunks()) == 1 {
		return data.Chunk(0), nil
	}
	return array.Concatenate(data.Chunks(), memory.DefaultAllocator)
}

// parquetBatches reads the wanted columns, words as dictionaries.
func parquetBatches[T any](ctx context.Context, f *file, pq *pqfile.Reader, w wanted[T]) (*columnsReader, error) {
	words := map[string]bool{}
	for _, field := range w.codec.Schema().Fields() {
		words[field.Name] = field.Type.ID() == arrow.DICTIONARY
	}
	reader, err := pqarrow.NewFileReader(pq, pqarrow.ArrowReadProperties{BatchSize: chunkRows}, memory.DefaultAllocator)
	if err != nil {
		return nil, f.errorf("has a schema that cannot be read: %v", err)
	}
	r := &columnsReader{pq: pq}
	groups, leaves := make([]int, pq.NumRowGroups()), map[int]bool{}
	for i := range groups {
		groups[i] = i
	}
	for i := range pq.MetaData().Schema.NumColumns() {
		leaves[i] = true
	}
	var fields []arrow.Field
	for i, column := range reader.Manifest.Fields {
		if w.only != nil && !slices.Contains(w.only, column.Field.Name) {
			continue
		}
		var flat *leaf
		var nested *pqarrow.ColumnReader
		if column.IsLeaf() {
			flat = flatLeaf(pq, column.ColIndex, column.Field.Type, words[column.Field.Name])
		}
		field := *column.Field
		if flat != nil {
			field.Type = flat.typ
		} else if nested, err = reader.GetFieldReader(ctx, i, leaves, groups); err != nil {
			return nil, f.errorf("cannot be read: column %s: %v", field.Name, err)
		} else {
			field = *nested.Field()
		}
		fields, r.leaves, r.nested = append(fields, field), append(r.leaves, flat), append(r.nested, nested)
	}
	r.schema = arrow.NewSchema(fields, nil)
	return r, nil
}

var arrowMagic = []byte("ARROW1")

// readArrow reads an Arrow IPC file or stream.
func readArrow[T any](ctx context.Context, f *file, w wanted[T], give func() *chunk[T], take func(*chunk[T]) error) error {
	closer, bytesRead, in, err := f.open()
	if err != nil {
		return err
	}
	defer closer.Close()
	if magic, err := in.Peek(8); err == nil && bytes.HasPrefix(magic, arrowMagic) {
		return readArrowFile(ctx, f, w, in, give, take)
	}
	batches, err := ipc.NewReader(in)
	if err != nil {
		return f.errorf("is not an Arrow IPC file or stream (%v): write it again", err)
	}
	defer batches.Release()
	return readBatches(ctx, f, w, batches.Schema(), give, take, func() (arrow.Record, int64, error) {
		batch, err := batches.Read()
		return batch, -bytesRead.n.Load(), err
	})
}

// readArrowFile reads a file with a footer, which wants random access: one that
// is packed is unpacked into a temporary file first.
func readArrowFile[T any](ctx context.Context, f *file, w wanted[T], in io.Reader, give func() *chunk[T], take func(*chunk[T]) error) error {
	var disk *os.File
	var err error
	if f.gzip {
		if disk, err = os.CreateTemp("", "bellwether-arrow-*"); err != nil {
			return tempError(err)
		}
		defer os.Remove(disk.Name())
		if _, err := io.Copy(disk, in); err != nil {
			disk.Close()
			return f.broken(err, "its beginning")
		}
	} else if disk, err = os.Open(f.path); err != nil {
		return record.Errorf(record.Unavailable, "read", "%w", err)
	}
	defer disk.Close()
	batches, err := ipc.NewFileReader(disk)
	if err != nil {
		return f.errorf("is not a whole Arrow IPC file (%v): copy or write it again", err)
	}
	next, n := 0, batches.NumRecords()
	return readBatches(ctx, f, w, batches.Schema(), give, take, func() (arrow.Record, int64, error) {
		if next == n {
			return nil, 0, io.EOF
		}
		batch, err := batches.RecordAt(next)
		next++
		return batch, -f.size * int64(next) / int64(n), err
	})
}

// readBatches decodes Arrow batches into chunks. next returns a batch and, for
// progress, the number of rows of the file or, negative, the bytes read.
func readBatches[T any](ctx context.Context, f *file, w wanted[T], schema *arrow.Schema, give func() *chunk[T], take func(*chunk[T]) error, next func() (arrow.Record, int64, error)) error {
	decoder, err := w.codec.Decoder(schema)
	if err != nil {
		if w.only == nil {
			return f.errorf("column %v", err)
		}
		return nil // the pass that reads all columns will say so
	}
	var row int64
	for {
		batch, extent, err := next()
		if err == io.EOF {
			return nil
		}
		if err != nil {
			return f.broken(err, fmt.Sprintf("row %d", row))
		}
		for from := int64(0); from < batch.NumRows(); from += chunkRows {
			c := give()
			c.reset(f)
			part := batch.NewSlice(from, min(from+chunkRows, batch.NumRows()))
			c.decode(decoder, part, row, w)
			row += part.NumRows()
			c.done = -extent
			if extent > 0 {
				c.done = f.size * row / extent
			}
			if err := take(c); err != nil {
				return err
			}
			if err := ctx.Err(); err != nil {
				return err
			}
		}
		batch.Release()
	}
}

// decode fills the chunk from a batch whose first row is number first of the
// file, and moves what fails to the faults.
func (c *chunk[T]) decode(d *record.Decoder[T], batch arrow.Record, first int64, w wanted[T]) {
	n := int(batch.NumRows())
	if cap(c.rows) < n {
		c.rows = make([]T, 0, chunkRows)
	}
	c.rows = c.rows[:n]
	var bad map[int]error
	d.Decode(batch, c.rows, func(row int, err *record.Error) {
		if bad == nil {
			bad = map[int]error{}
		}
		if bad[row] == nil {
			bad[row] = err
		}
	})
	kept := 0
	for i := range c.rows {
		err := bad[i]
		if err == nil && w.keep != nil {
			err = w.keep(&c.rows[i])
		}
		if err != nil {
			fault := faultOf(err)
			fault.File, fault.Row, fault.Value = c.file.name, first+int64(i)+1, cellText(batch, fault.Column, i)
			c.faults = append(c.faults, fault)
			continue
		}
		if kept != i {
			c.rows[kept] = c.rows[i]
		}
		c.places = append(c.places, first+int64(i)+1)
		kept++
	}
	clear(c.rows[kept:])
	c.rows = c.rows[:kept]
}

// cellText shows the cell a fault speaks of.
func cellText(batch arrow.Record, field string, row int) string {
	for i := range batch.NumCols() {
		name := batch.ColumnName(int(i))
		if name == columnOf(field) {
			if arr := batch.Column(int(i)); arr.IsValid(row) {
				return faultText(arr.ValueStr(row))
			}
		}
	}
	return ""
}

// columnOf turns the path of a field into the name of its column.
func columnOf(field string) string {
	out := make([]byte, 0, len(field))
	for i := 0; i < len(field) && field[i] != '['; i++ {
		if field[i] == '.' {
			if field[i:] == ".amount" {
				break
			}
			out = append(out, '_')
			continue
		}
		out = append(out, field[i])
	}
	return string(out)
}
