package datasets

import (
	"cmp"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"iter"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"syscall"

	"bellwether/models"

	"github.com/apache/arrow/go/v17/arrow"
	"github.com/apache/arrow/go/v17/arrow/array"
	"github.com/apache/arrow/go/v17/arrow/ipc"
	"github.com/apache/arrow/go/v17/arrow/memory"
	"github.com/apache/arrow/go/v17/parquet"
	"github.com/apache/arrow/go/v17/parquet/compress"
	pqfile "github.com/apache/arrow/go/v17/parquet/file"
	"github.com/apache/arrow/go/v17/parquet/pqarrow"
)

// batchRows is how many rows of a Parquet file make a batch.
const batchRows = 1 << 16

// parquetTable and arrowTable are files by path.
type (
	parquetTable string
	arrowTable   string
)

func (p parquetTable) columns(o TableOptions, info *TableInfo) ([]rawColumn, error) {
	return typedColumns(string(p), p.each, o, info)
}

func (p arrowTable) columns(o TableOptions, info *TableInfo) ([]rawColumn, error) {
	return typedColumns(string(p), p.each, o, info)
}

// each calls f with the file's record batches; the schema comes first, once.
func (p parquetTable) each(schema func(*arrow.Schema) error, f func(arrow.Record) error) (err error) {
	in, err := pqfile.OpenParquetFile(string(p), false)
	if err != nil {
		return fmt.Errorf("not a whole Parquet file: %w", err)
	}
	defer func() { err = errors.Join(err, in.Close()) }()
	r, err := pqarrow.NewFileReader(in, pqarrow.ArrowReadProperties{BatchSize: batchRows}, memory.DefaultAllocator)
	if err != nil {
		return err
	}
	s, err := r.Schema()
	if err != nil {
		return err
	}
	if err := schema(s); err != nil {
		return err
	}
	records, err := r.GetRecordReader(context.Background(), nil, nil)
	if err != nil {
		return err
	}
	defer records.Release()
	for records.Next() {
		if err := f(records.Record()); err != nil {
			return err
		}
	}
	if err := records.Err(); err != nil && !errors.Is(err, io.EOF) {
		return err
	}
	return nil
}

func (p arrowTable) each(schema func(*arrow.Schema) error, f func(arrow.Record) error) (err error) {
	in, err := os.Open(string(p))
	if err != nil {
		return err
	}
	defer in.Close()
	r, err := ipc.NewFileReader(in)
	if err != nil {
		return fmt.Errorf("not a whole Arrow file: %w", err)
	}
	defer func() { err = errors.Join(err, r.Close()) }()
	if err := schema(r.Schema()); err != nil {
		return err
	}
	for i := range r.NumRecords() {
		rec, err := r.Record(i)
		if err != nil {
			return err
		}
		if err := f(rec); err != nil {
			return err
		}
	}
	return nil
}

type eachRecord func(schema func(*arrow.Schema) error, f func(arrow.Record) error) error

// typedColumns reads a file whose columns have types. Damage in it may panic in
// the Arrow library; that is an error here.
func typedColumns(path string, each eachRecord, o TableOptions, info *TableInfo) (raws []rawColumn, err error) {
	defer func() {
		if r := recover(); r != nil {
			err = fmt.Errorf("the file is damaged: %v", r)
		}
	}()
	if info.SHA256, err = hashFile(path); err != nil {
		return nil, err
	}
	var at []int
	err = each(func(s *arrow.Schema) error {
		header := make([]string, s.NumFields())
		for i, f := range s.Fields() {
			header[i] = f.Name
		}
		if err := o.checkNames(header); err != nil {
			return err
		}
		for i, f := range s.Fields() {
			input, ok := o.input(f.Name)
			if !ok && !o.special(f.Name) {
				continue
			}
			c, err := typed(f, input, f.Name == o.Time)
			if err != nil {
				return err
			}
			raws, at = append(raws, c), append(at, i)
		}
		return nil
	}, func(r arrow.Record) error {
		for k, i := range at {
			c := &raws[k]
			p, err := c.piece(r.Column(i))
			if err != nil {
				return fmt.Errorf("column %q: %w", c.name, err)
			}
			c.pieces, c.rows = append(c.pieces, p), c.rows+p.len()
		}
		return nil
	})
	return raws, err
}

func hashFile(path string) (string, error) {
	f, err := os.Open(path)
	if err != nil {
		return "", err
	}
	defer f.Close()
	sum := sha256.New()
	if _, err := io.Copy(sum, f); err != nil {
		return "", err
	}
	return hex.EncodeToString(sum.Sum(nil)), nil
}

// typed decides what a column of an Arrow type is.
func typed(f arrow.Field, input *models.Column, asTime bool) (rawColumn, error) {
	c := rawColumn{name: f.Name}
	kind := f.Type
	if d, ok := kind.(*arrow.DictionaryType); ok {
		kind = d.ValueType
	}
	switch kind.ID() {
	case arrow.STRING, arrow.LARGE_STRING:
		c.kind = models.Category
		if asTime {
			c.kind, c.date = models.Numeric, true
		}
	case arrow.TIMESTAMP, arrow.DATE32, arrow.DATE64:
		c.date = true
	case arrow.NULL, arrow.BOOL, arrow.INT8, arrow.INT16, arrow.INT32, arrow.INT64, arrow.UINT8, arrow.UINT16, arrow.UINT32, arrow.UINT64,
		arrow.FLOAT16, arrow.FLOAT32, arrow.FLOAT64, arrow.DECIMAL128:
	default:
		return c, fmt.Errorf("column %q is of type %s, which cannot be an input; --drop it", f.Name, f.Type)
	}
	if input != nil && input.Kind != c.kind {
		if input.Kind == models.Numeric && kind.ID() != arrow.NULL {
			return c, fmt.Errorf("column %q is of type %s, and the model wants a number", f.Name, f.Type)
		}
		c.kind = input.Kind
	}
	return c, nil
}

// piece reads one batch's values.
func (c *rawColumn) piece(a arrow.Array) (piece, error) {
	if d, ok := a.(*array.Dictionary); ok {
		return c.words(d)
	}
	var p piece
	if c.kind == models.Numeric {
		if p = narrowOf(a); p == nil {
			if f, ok := a.(*array.Float64); ok {
				p = floatsOf(f)
			}
		}
	}
	if p == nil {
		return c.read(a)
	}
	infinite := 0
	inBatches([][]piece{{p}}).Each(0, func(lo int, values []float64) {
		for i, v := range values {
			if infinite == 0 && math.IsInf(v, 0) {
				infinite = c.rows + lo + i + 1
			}
		}
	})
	if infinite > 0 {
		return nil, fmt.Errorf("row %d: %w", infinite, errInfinite)
	}
	a.Retain() // as long as the table
	return p, nil
}

// read turns one batch's values into numbers one by one.
func (c *rawColumn) read(a arrow.Array) (floats, error) {
	out := make(floats, a.Len())
	value := numberAt(a)
	nothing := a.NullN() == a.Len() // a column of type null says so only here
	for i := range out {
		var err error
		switch {
		case nothing:
			out[i] = math.NaN()
		case c.kind == models.Category:
			out[i] = c.text(a, i)
		case a.IsNull(i):
			out[i] = math.NaN()
		default:
			if out[i], err = value(i); err != nil {
				return nil, fmt.Errorf("row %d: %w", c.rows+i+1, err)
			}
		}
	}
	return out, nil
}

// words reads a dictionary once, and how often each of its words is there.
func (c *rawColumn) words(d *array.Dictionary) (piece, error) {
	w := words{column: d, numbers: make([]float64, d.Dictionary().Len())}
	if c.kind != models.Category {
		one := rawColumn{name: c.name, kind: c.kind, date: c.date}
		numbers, err := one.read(d.Dictionary())
		if err != nil {
			return nil, err
		}
		w.numbers = numbers
	}
	for i := range d.Len() {
		if !d.IsNull(i) && c.kind == models.Category {
			k := d.GetValueIndex(i)
			w.numbers[k] = c.text(d.Dictionary(), k)
		}
	}
	d.Retain() // as long as the table
	return w, nil
}

// text is the code of value i as a text; a number is a text as CSV would have
// it.
func (c *rawColumn) text(a arrow.Array, i int) float64 {
	if a.IsNull(i) {
		return math.NaN()
	}
	var s string
	switch a := a.(type) {
	case *array.String:
		s = a.Value(i)
	case *array.LargeString:
		s = a.Value(i)
	case *array.Float64:
		s = strconv.FormatFloat(a.Value(i), 'g', -1, 64)
	default:
		s = a.ValueStr(i)
	}
	if missing[s] {
		return math.NaN()
	}
	return c.levels.code(s)
}

var errInfinite = errors.New("the value is infinite; leave it empty instead")

// numberAt returns how to read one value of a column as a number. Times are
// Unix seconds.
func numberAt(a arrow.Array) func(i int) (float64, error) {
	plain := func(f func(i int) float64) func(int) (float64, error) {
		return func(i int) (float64, error) {
			v := f(i)
			if math.IsInf(v, 0) {
				return 0, errInfinite
			}
			return v, nil
		}
	}
	switch a := a.(type) {
	case *array.Float64:
		return plain(a.Value)
	case *array.Float32:
		return plain(func(i int) float64 { return float64(a.Value(i)) })
	case *array.Int64:
		return plain(func(i int) float64 { return float64(a.Value(i)) })
	case *array.Int32:
		return plain(func(i int) float64 { return float64(a.Value(i)) })
	case *array.Boolean:
		return plain(func(i int) float64 {
			if a.Value(i) {
				return 1
			}
			return 0
		})
	case *array.Timestamp:
		unit := a.DataType().(*arrow.TimestampType).Unit
		return plain(func(i int) float64 {
			t := a.Value(i).ToTime(unit)
			return float64(t.Unix()) + float64(t.Nanosecond())/1e9
		})
	case *array.Date32:
		return plain(func(i int) float64 { return float64(a.Value(i).ToTime().Unix()) })
	case *array.Date64:
		return plain(func(i int) float64 { return float64(a.Value(i).ToTime().Unix()) })
	case *array.String:
		return timeAt(a.Value)
	case *array.LargeString:
		return timeAt(a.Value)
	}
	return func(i int) (float64, error) {
		v, err := strconv.ParseFloat(a.ValueStr(i), 64)
		if err != nil {
			return 0, fmt.Errorf("%s is not a number", a.ValueStr(i))
		}
		if math.IsInf(v, 0) {
			return 0, errInfinite
		}
		return v, nil
	}
}

// timeAt reads the texts of a time column that has no type of its own. Layouts
// that leave day and month open are not tried.
func timeAt(text func(int) string) func(int) (float64, error) {
	return func(i int) (float64, error) {
		s := text(i)
		for k := 2; k < len(layouts) && layouts[k].rival == ""; k++ {
			if v, ok := parse(k, s); ok {
				return v, nil
			}
		}
		return 0, fmt.Errorf("%q is not a time; write 2006-01-02 or 2006-01-02T15:04:05Z", excerpt(s))
	}
}

// WriteParquet writes record batches of one schema to a Parquet file, which is
// there whole or not at all: it is written beside its place, synced and renamed.
// Batches are not released. A dictionary column must have the same dictionary in
// each batch.
func WriteParquet(path string, schema *arrow.Schema, batches iter.Seq2[arrow.Record, error]) error {
	return writeWhole(path, func(w io.Writer) error {
		out, err := pqarrow.NewFileWriter(schema, keepOpen{w}, tableProperties(schema), pqarrow.NewArrowWriterProperties(pqarrow.WithStoreSchema()))
		if err != nil {
			return err
		}
		for batch, err := range batches {
			if err == nil {
				err = out.Write(batch)
			}
			if err != nil {
				return errors.Join(err, out.Close())
			}
		}
		return out.Close()
	})
}

// tableCompression makes files a third larger than zstd, in 0.6 of the time.
var tableCompression = compress.Codecs.Snappy

// tableProperties leaves numbers without dictionaries: compression finds what
// repeats, and quicker.
func tableProperties(schema *arrow.Schema) *parquet.WriterProperties {
	options := []parquet.WriterProperty{parquet.WithCompression(tableCompression)}
	for _, f := range schema.Fields() {
		if f.Type.ID() == arrow.FLOAT64 {
			options = append(options, parquet.WithDictionaryFor(f.Name, false))
		}
	}
	return parquet.NewWriterProperties(options...)
}

// keepOpen keeps the Parquet writer from closing the file before it is synced.
type keepOpen struct{ io.Writer }

// writeWhole makes a file appear at path in one piece, or not at all.
func writeWhole(path string, write func(io.Writer) error) error {
	f, err := os.CreateTemp(filepath.Dir(path), "."+filepath.Base(path)+".*")
	if err != nil {
		return err
	}
	defer os.Remove(f.Name())
	err = cmp.Or(write(f), f.Chmod(0o644), f.Sync(), f.Close())
	if errors.Is(err, syscall.ENOSPC) {
		return diskError(path, err)
	}
	if err != nil {
		return fmt.Errorf("write %s: %w", path, err)
	}
	return os.Rename(f.Name(), path)
}

// AddedColumn is a column of numbers that AppendColumns puts beside a table's
// own.
type AddedColumn struct {
	Name   string
	Values []float64
}

// nullable returns the values with NaN as null.
func nullable(values []float64) arrow.Array {
	b := array.NewFloat64Builder(memory.DefaultAllocator)
	defer b.Release()
	b.Reserve(len(values))
	for _, v := range values {
		if math.IsNaN(v) {
			b.AppendNull()
		} else {
			b.Append(v)
		}
	}
	return b.NewArray()
}

// appendParquet copies batches with columns added.
func appendParquet(out string, each eachRecord, added []AddedColumn) error {
	var whole *arrow.Schema
	done := 0
	err := each(func(s *arrow.Schema) error {
		fields := slices.Clone(s.Fields())
		names := make([]string, len(fields))
		for i, f := range fields {
			names[i] = f.Name
		}
		if err := allNew(added, names); err != nil {
			return err
		}
		for _, a := range added {
			fields = append(fields, arrow.Field{Name: a.Name, Type: arrow.PrimitiveTypes.Float64, Nullable: true})
		}
		whole = arrow.NewSchema(fields, nil)
		return nil
	}, func(arrow.Record) error { return errStop })
	if err != nil && !errors.Is(err, errStop) {
		return err
	}
	return WriteParquet(out, whole, func(yield func(arrow.Record, error) bool) {
		err := each(func(*arrow.Schema) error { return nil }, func(r arrow.Record) error {
			columns := slices.Clone(r.Columns())
			n := int(r.NumRows())
			for _, a := range added {
				if done+n > len(a.Values) {
					return fmt.Errorf("column %s has %d values for at least %d rows", a.Name, len(a.Values), done+n)
				}
				columns = append(columns, nullable(a.Values[done:done+n]))
			}
			done += n
			if !yield(array.NewRecord(whole, columns, int64(n)), nil) {
				return errStop
			}
			return nil
		})
		if err != nil && !errors.Is(err, errStop) {
			yield(nil, err)
		}
	})
}

// errStop ends an each early.
var errStop = errors.New("stop")
