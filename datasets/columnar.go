package datasets

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"os"

	"bellwether/datasets/record"

	"github.com/apache/arrow/go/v17/arrow"
	"github.com/apache/arrow/go/v17/arrow/array"
	"github.com/apache/arrow/go/v17/arrow/ipc"
	"github.com/apache/arrow/go/v17/arrow/memory"
	"github.com/apache/arrow/go/v17/parquet"
	pqfile "github.com/apache/arrow/go/v17/parquet/file"
	"github.com/apache/arrow/go/v17/parquet/pqarrow"
)

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
	pq, err := pqfile.NewParquetReader(disk, pqfile.WithReadProps(parquet.NewReaderProperties(memory.DefaultAllocator)))
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

// columnsReader reads batches of Parquet columns side by side. The library's own
// reader of records refuses a batch in which a dictionary changes, as it does at
// the end of a row group; here the batch is cut there.
type columnsReader struct {
	schema  *arrow.Schema
	columns []*pqarrow.ColumnReader
	pending *array.TableReader
}

func (r *columnsReader) next() (arrow.Record, error) {
	if r.pending != nil && r.pending.Next() {
		batch := r.pending.Record()
		batch.Retain()
		return batch, nil
	}
	columns := make([]arrow.Column, len(r.columns))
	rows := -1
	for i, c := range r.columns {
		data, err := c.NextBatch(chunkRows)
		if err != nil {
			return nil, err
		}
		if rows >= 0 && data.Len() != rows {
			return nil, fmt.Errorf("column %s has %d rows where others have %d", r.schema.Field(i).Name, data.Len(), rows)
		}
		rows = data.Len()
		columns[i] = *arrow.NewColumn(r.schema.Field(i), data)
	}
	if rows <= 0 {
		return nil, io.EOF
	}
	r.pending = array.NewTableReader(array.NewTable(r.schema, columns, int64(rows)), chunkRows)
	return r.next()
}

// parquetBatches reads the wanted columns, words as dictionaries.
func parquetBatches[T any](ctx context.Context, f *file, pq *pqfile.Reader, w wanted[T]) (*columnsReader, error) {
	props := pqarrow.ArrowReadProperties{BatchSize: chunkRows}
	words := map[string]bool{}
	for _, field := range w.codec.Schema().Fields() {
		words[field.Name] = field.Type.ID() == arrow.DICTIONARY
	}
	var leaves []int
	schema := pq.MetaData().Schema
	for i := range schema.NumColumns() {
		path := schema.Column(i).ColumnPath()
		if len(path) == 1 && words[path[0]] && schema.Column(i).PhysicalType() == parquet.Types.ByteArray {
			props.SetReadDict(i, true)
		}
		if w.only == nil {
			leaves = append(leaves, i)
			continue
		}
		for _, name := range w.only {
			if path[0] == name {
				leaves = append(leaves, i)
			}
		}
	}
	reader, err := pqarrow.NewFileReader(pq, props, memory.DefaultAllocator)
	if err != nil {
		return nil, f.errorf("has a schema that cannot be read: %v", err)
	}
	all := make([]int, pq.NumRowGroups())
	for i := range all {
		all[i] = i
	}
	columns, arrowSchema, err := reader.GetFieldReaders(ctx, leaves, all)
	if err != nil {
		return nil, f.errorf("cannot be read: %v", err)
	}
	return &columnsReader{schema: arrowSchema, columns: columns}, nil
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
