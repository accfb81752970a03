package datasets

import (
	"encoding/csv"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"bellwether/models"

	"github.com/apache/arrow/go/v17/arrow"
	"github.com/apache/arrow/go/v17/arrow/array"
	"github.com/apache/arrow/go/v17/arrow/memory"
	"pgregory.net/rapid"
)

// spoken is a type of a column, and how CSV writes its value n.
type spoken struct {
	of    arrow.DataType
	write func(b array.Builder, n int) error
	text  func(n int) string
}

func day(n int) string { return time.Unix(int64(n)*86400, 0).UTC().Format(time.DateOnly) }

// spokenTypes are those a table may have; each value is one from 1 to 99.
func spokenTypes() []spoken {
	var list []spoken
	byText := func(text func(int) string, types ...arrow.DataType) {
		for _, of := range types {
			list = append(list, spoken{of, func(b array.Builder, n int) error { return b.AppendValueFromString(text(n)) }, text})
		}
	}
	p := &arrow.PrimitiveTypes
	byText(strconv.Itoa, p.Int8, p.Int16, p.Int32, p.Int64, p.Uint8, p.Uint16, p.Uint32, p.Uint64, p.Float32, p.Float64, arrow.FixedWidthTypes.Float16,
		&arrow.DictionaryType{IndexType: p.Int8, ValueType: p.Int64})
	byText(func(n int) string { return strconv.FormatFloat(float64(n)/4, 'f', 2, 64) }, &arrow.Decimal128Type{Precision: 9, Scale: 2})
	byText(func(n int) string { return "w" + strconv.Itoa(n) }, arrow.BinaryTypes.String, arrow.BinaryTypes.LargeString,
		&arrow.DictionaryType{IndexType: p.Int16, ValueType: arrow.BinaryTypes.String})
	byText(day, p.Date32, p.Date64, &arrow.TimestampType{Unit: arrow.Microsecond}, &arrow.TimestampType{Unit: arrow.Second, TimeZone: "UTC"})
	return append(list, spoken{arrow.FixedWidthTypes.Boolean,
		func(b array.Builder, n int) error { b.(*array.BooleanBuilder).Append(n%2 == 1); return nil }, func(n int) string { return strconv.Itoa(n % 2) }})
}

// A table says the same whether its file is CSV, Arrow or Parquet, whatever
// types its columns have.
func TestTypedTablesAreTheCSV(t *testing.T) {
	types, dir := spokenTypes(), t.TempDir()
	rapid.Check(t, func(t *rapid.T) {
		chosen := rapid.SliceOfN(rapid.SampledFrom(types), 2, 6).Draw(t, "types")
		rows := rapid.IntRange(1, 12).Draw(t, "rows")
		lines := make([][]string, rows+1)
		var fields []arrow.Field
		for j, c := range chosen {
			fields = append(fields, arrow.Field{Name: "c" + strconv.Itoa(j), Type: c.of, Nullable: true})
			lines[0] = append(lines[0], fields[j].Name)
		}
		b := array.NewRecordBuilder(memory.DefaultAllocator, arrow.NewSchema(fields, nil))
		for i := range rows {
			for j, c := range chosen {
				n := rapid.IntRange(1, 99).Draw(t, "n")
				if i > 0 && n > 80 {
					b.Field(j).AppendNull()
					lines[i+1] = append(lines[i+1], "")
					continue
				}
				if err := c.write(b.Field(j), n); err != nil {
					t.Fatal(err)
				}
				lines[i+1] = append(lines[i+1], c.text(n))
			}
		}
		rec := b.NewRecord()
		want, _, err := ReadTable(writeCSV(t, dir, lines), TableOptions{})
		if err != nil {
			t.Fatal(err)
		}
		for _, name := range []string{"t.parquet", "t.arrow"} {
			path := filepath.Join(dir, name)
			if err := writeRecord(path, rec); err != nil {
				t.Fatal(err)
			}
			got, _, err := ReadTable(path, TableOptions{})
			if err != nil || !slices.Equal(got.Columns, want.Columns) {
				t.Fatalf("%s: columns %v, %v; want %v", path, got, err, want.Columns)
			}
			for j := range want.Columns {
				if !sameBits(got.Column(j), want.Column(j)) {
					t.Fatalf("%s, %s: %v, want %v", path, chosen[j].of, got.Column(j), want.Column(j))
				}
			}
		}
	})
}

func writeCSV(t *rapid.T, dir string, lines [][]string) string {
	var b strings.Builder
	if err := csv.NewWriter(&b).WriteAll(lines); err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(dir, "t.csv")
	if err := os.WriteFile(path, []byte(b.String()), 0o644); err != nil {
		t.Fatal(err)
	}
	return path
}

// oneColumn is a record of a column and labels.
func oneColumn(t *testing.T, of arrow.DataType, values ...string) arrow.Record {
	t.Helper()
	b := array.NewRecordBuilder(memory.DefaultAllocator, arrow.NewSchema([]arrow.Field{{Name: "c", Type: of, Nullable: true}, {Name: "x", Type: arrow.PrimitiveTypes.Int64}}, nil))
	for i, v := range values {
		b.Field(1).(*array.Int64Builder).Append(int64(i))
		if v == "" {
			b.Field(0).AppendNull()
		} else if err := b.Field(0).AppendValueFromString(v); err != nil {
			t.Fatal(err)
		}
	}
	return b.NewRecord()
}

func TestOddColumns(t *testing.T) {
	words := &arrow.DictionaryType{IndexType: arrow.PrimitiveTypes.Int8, ValueType: arrow.BinaryTypes.String}
	number, category := &models.Column{Name: "c"}, &models.Column{Name: "c", Kind: models.Category}
	input := func(c *models.Column) TableOptions { return TableOptions{Columns: []models.Column{*c}} }
	asTime := TableOptions{Time: "c"}
	for name, c := range map[string]struct {
		rec  arrow.Record
		o    TableOptions
		want []float64 // the column, or the times
		says string
	}{
		"nothing at all":         {oneColumn(t, arrow.Null, "", ""), TableOptions{}, []float64{math.NaN(), math.NaN()}, ""},
		"nothing for a category": {oneColumn(t, arrow.Null, "", ""), input(category), []float64{math.NaN(), math.NaN()}, ""},
		"infinite half":          {oneColumn(t, arrow.FixedWidthTypes.Float16, "1", "Inf"), TableOptions{}, nil, `column "c": row 2: the value is infinite; leave it empty instead`},
		"bytes":                  {oneColumn(t, arrow.BinaryTypes.Binary, ""), TableOptions{}, nil, `column "c" is of type binary, which cannot be an input; --drop it`},
		"dropped bytes":          {oneColumn(t, arrow.BinaryTypes.Binary, ""), TableOptions{Drop: []string{"c"}}, nil, ""},
		"words for a number":     {oneColumn(t, arrow.BinaryTypes.String, "a"), input(number), nil, `column "c" is of type utf8, and the model wants a number`},
		"numbers for a category": {oneColumn(t, arrow.PrimitiveTypes.Float64, "1.5", "", "2"), input(category), []float64{models.Code("1.5"), math.NaN(), models.Code("2")}, ""},
		"texts as times":         {oneColumn(t, arrow.BinaryTypes.LargeString, "1970-01-02", "1970-01-01T00:00:05Z"), asTime, []float64{86400, 5}, ""},
		"words as times":         {oneColumn(t, words, "1970-01-02", "1970-01-03", "1970-01-02"), asTime, []float64{86400, 172800, 86400}, ""},
		"day or month":           {oneColumn(t, arrow.BinaryTypes.String, "02/03/2024"), asTime, nil, `column "c": row 1: "02/03/2024" is not a time; write 2006-01-02 or 2006-01-02T15:04:05Z`},
		"no column":              {oneColumn(t, words, "a"), TableOptions{Group: "account"}, nil, `there is no column "account" (--group); there are c, x`},
	} {
		for _, file := range []string{"t.arrow", "t.parquet"} {
			path := filepath.Join(t.TempDir(), file)
			if err := writeRecord(path, c.rec); err != nil {
				t.Fatal(err)
			}
			table, _, err := ReadTable(path, c.o)
			if c.says != "" {
				if err == nil || !strings.Contains(err.Error(), file) || !strings.Contains(err.Error(), c.says) {
					t.Errorf("%s, %s: error %v, want %q", name, file, err, c.says)
				}
				continue
			}
			if err != nil {
				t.Fatalf("%s: %v", name, err)
			}
			var got []float64
			for _, at := range table.At {
				got = append(got, float64(at))
			}
			if j := slices.IndexFunc(table.Columns, func(c models.Column) bool { return c.Name == "c" }); j >= 0 {
				got = table.Column(j)
			}
			if !sameBits(got, c.want) {
				t.Errorf("%s, %s: read %v, want %v", name, file, got, c.want)
			}
		}
	}
}
