package datasets

import (
	"bufio"
	"cmp"
	"compress/gzip"
	"encoding/csv"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"bellwether/datasets/record"

	"github.com/apache/arrow/go/v17/arrow"
	"github.com/apache/arrow/go/v17/arrow/array"
	"github.com/apache/arrow/go/v17/arrow/memory"
)

// AppendColumns copies the table in one file to another with columns added
// behind its own: what `predict` writes. Rows are those ReadTable keeps, in
// order; each added column has one value per row, NaN becomes an empty cell. The
// new file is CSV (.csv, .csv.gz) or Parquet (.parquet) by its name, and is
// there whole or not at all. A column of a CSV file is
// float64 in Parquet if all of it are numbers, and text otherwise.
func AppendColumns(in, out string, o TableOptions, added []AddedColumn) error {
	err := appendColumns(in, out, o, added)
	if record.KindOf(err) == record.Exhausted {
		return err
	}
	if err != nil {
		return record.Errorf(record.Invalid, "write table", "%s: %w", out, err)
	}
	return nil
}

func appendColumns(in, out string, o TableOptions, added []AddedColumn) error {
	toCSV := strings.HasSuffix(out, ".csv") || strings.HasSuffix(out, ".csv.gz")
	if !toCSV && !strings.HasSuffix(out, ".parquet") {
		return errors.New("the name must end in .csv, .csv.gz or .parquet")
	}
	if _, err := os.Stat(filepath.Dir(out)); errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("there is no directory %s: make it first", filepath.Dir(out))
	}
	src, err := openTable(in, TableOptions{})
	if err != nil {
		return err
	}
	var each eachRecord
	switch s := src.(type) {
	case *csvTable:
		if toCSV {
			return appendCSV(out, s.rows(o), o.sep(), added)
		}
		return appendParquet(out, s.records(o), added)
	case parquetTable:
		each = s.each
	case arrowTable:
		each = s.each
	}
	if toCSV {
		return appendCSV(out, recordRows(each), o.sep(), added)
	}
	return appendParquet(out, each, added)
}

// eachRow calls f with the header and then every row; cells is used again.
type eachRow func(f func(header bool, cells []string) error) error

func (s *csvTable) rows(o TableOptions) eachRow {
	return func(f func(bool, []string) error) error {
		return s.each(o, nil, func(_ int, header bool, cells []string) error { return f(header, cells) }, func(int, string) {})
	}
}

func recordRows(each eachRecord) eachRow {
	return func(f func(bool, []string) error) error {
		var cells []string
		return each(func(s *arrow.Schema) error {
			cells = make([]string, s.NumFields())
			for i, field := range s.Fields() {
				cells[i] = field.Name
			}
			return f(true, cells)
		}, func(r arrow.Record) error {
			for i := range int(r.NumRows()) {
				for j := range cells {
					cells[j] = ""
					if c := r.Column(j); !c.IsNull(i) {
						cells[j] = c.ValueStr(i)
					}
				}
				if err := f(false, cells); err != nil {
					return err
				}
			}
			return nil
		})
	}
}

func appendCSV(out string, each eachRow, sep rune, added []AddedColumn) error {
	return writeWhole(out, func(w io.Writer) error {
		buffer := bufio.NewWriterSize(w, 1<<18)
		var zip *gzip.Writer
		var text io.Writer = buffer
		if strings.HasSuffix(out, ".gz") {
			zip = gzip.NewWriter(buffer)
			text = zip
		}
		to := csv.NewWriter(text)
		to.Comma = sep
		row := -1
		var line []string
		err := each(func(header bool, cells []string) error {
			if header {
				if err := allNew(added, cells); err != nil {
					return err
				}
			}
			line = append(line[:0], cells...)
			for _, a := range added {
				switch {
				case header:
					line = append(line, a.Name)
				case row >= len(a.Values):
					return fmt.Errorf("column %s has %d values for at least %d rows", a.Name, len(a.Values), row+1)
				default:
					line = append(line, number(a.Values[row]))
				}
			}
			row++
			return to.Write(line)
		})
		to.Flush()
		err = cmp.Or(err, to.Error())
		if zip != nil {
			err = cmp.Or(err, zip.Close())
		}
		return cmp.Or(err, buffer.Flush())
	})
}

// allNew checks that a table has none of the columns to be added.
func allNew(added []AddedColumn, names []string) error {
	for _, a := range added {
		if slices.Contains(names, a.Name) {
			return fmt.Errorf("the table has a column %s already, as one that was scored before: leave it out, or call it otherwise", a.Name)
		}
	}
	return nil
}

func number(v float64) string {
	if math.IsNaN(v) {
		return ""
	}
	return strconv.FormatFloat(v, 'g', -1, 64)
}

// records turns a CSV file into batches: columns of numbers are float64, all
// others texts.
func (s *csvTable) records(o TableOptions) eachRecord {
	return func(schema func(*arrow.Schema) error, f func(arrow.Record) error) error {
		guesses, _, err := s.infer(TableOptions{Sep: o.Sep}, nil, &TableInfo{})
		if err != nil {
			return err
		}
		fields := make([]arrow.Field, len(guesses))
		raws := make([]rawColumn, len(guesses))
		for i := range guesses {
			fields[i] = arrow.Field{Name: guesses[i].name, Type: arrow.BinaryTypes.String, Nullable: true}
			if guesses[i].isNumber() {
				fields[i].Type = arrow.PrimitiveTypes.Float64
			}
		}
		sc := arrow.NewSchema(fields, nil)
		if err := schema(sc); err != nil {
			return err
		}
		b := array.NewRecordBuilder(memory.DefaultAllocator, sc)
		defer b.Release()
		rows := 0
		flush := func() error {
			rows = 0
			r := b.NewRecord()
			defer r.Release()
			return f(r)
		}
		err = s.each(o, nil, func(_ int, header bool, cells []string) error {
			if header {
				return nil
			}
			for j, cell := range cells {
				switch to := b.Field(j).(type) {
				case *array.Float64Builder:
					if v := guesses[j].value(cell, &raws[j]); math.IsNaN(v) {
						to.AppendNull()
					} else {
						to.Append(v)
					}
				case *array.StringBuilder:
					to.Append(cell)
				}
			}
			if rows++; rows == batchRows {
				return flush()
			}
			return nil
		}, func(int, string) {})
		if err != nil || rows == 0 {
			return err
		}
		return flush()
	}
}
