package datasets

import (
	"bytes"
	"compress/gzip"
	"errors"
	"fmt"
	"io"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"bellwether/datasets/record"
	"bellwether/models"

	"github.com/apache/arrow/go/v17/arrow"
	"github.com/apache/arrow/go/v17/arrow/array"
	"github.com/apache/arrow/go/v17/arrow/ipc"
	"github.com/apache/arrow/go/v17/arrow/memory"
)

// tableFile writes text to a file and returns its path.
func tableFile(t testing.TB, name, text string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), name)
	b := []byte(text)
	if strings.HasSuffix(name, ".gz") {
		var z bytes.Buffer
		w := gzip.NewWriter(&z)
		w.Write(b)
		w.Close()
		b = z.Bytes()
	}
	if err := os.WriteFile(path, b, 0o644); err != nil {
		t.Fatal(err)
	}
	return path
}

const deals = `id,amount,region,created,account,result
1,100,north,2024-01-05,a,Won
2,,south,2024-01-06,b,Loss
3,2.5e3,NA,2024-01-07,a,Won
4,-7,"north, far",2024-02-01,,Loss
`

func column(t testing.TB, table *models.Table, name string) (int, []float64) {
	t.Helper()
	j := slices.IndexFunc(table.Columns, func(c models.Column) bool { return c.Name == name })
	if j < 0 {
		t.Fatalf("no column %s in %v", name, table.Columns)
	}
	return j, table.Column(j)
}

func sameBits(a, b []float64) bool {
	return slices.EqualFunc(a, b, func(x, y float64) bool { return math.Float64bits(x) == math.Float64bits(y) || x != x && y != y })
}

func TestReadTable(t *testing.T) {
	crlf := strings.ReplaceAll(deals, "\n", "\r\n")
	semicolons := strings.NewReplacer(`"north, far"`, `"north; far"`, ",", ";").Replace(deals)
	for name, path := range map[string]string{
		"plain":                 tableFile(t, "deals.csv", deals),
		"gzip":                  tableFile(t, "deals.csv.gz", deals),
		"crlf":                  tableFile(t, "deals.csv", crlf),
		"bom":                   tableFile(t, "deals.csv", "\ufeff"+deals),
		"no newline at the end": tableFile(t, "deals.csv", strings.TrimSpace(deals)),
		"semicolons":            tableFile(t, "deals.csv", semicolons),
	} {
		t.Run(name, func(t *testing.T) {
			o := TableOptions{Label: "result", Time: "created", Group: "account", Drop: []string{"id"}}
			far := "north, far"
			if name == "semicolons" {
				o.Sep, far = ';', "north; far"
			}
			table, info, err := ReadTable(path, o)
			if err != nil {
				t.Fatal(err)
			}
			if err := table.Check(true); err != nil {
				t.Fatal(err)
			}
			want := []models.Column{{Name: "amount"}, {Name: "region", Kind: models.Category}}
			if !slices.Equal(table.Columns, want) {
				t.Errorf("columns %v", table.Columns)
			}
			if _, got := column(t, table, "amount"); !sameBits(got, []float64{100, math.NaN(), 2500, -7}) {
				t.Errorf("amount %v", got)
			}
			if _, got := column(t, table, "region"); !sameBits(got, []float64{models.Code("north"), models.Code("south"), math.NaN(), models.Code(far)}) {
				t.Errorf("region %v", got)
			}
			if !slices.Equal(table.Y, []float64{1, 0, 1, 0}) || info.Positive != "Won" || info.Negative != "Loss" {
				t.Errorf("label %v, %s, %s", table.Y, info.Positive, info.Negative)
			}
			day := func(s string) int64 { d, _ := time.Parse(time.DateOnly, s); return d.Unix() }
			if at := []int64{day("2024-01-05"), day("2024-01-06"), day("2024-01-07"), day("2024-02-01")}; !slices.Equal(table.At, at) || !slices.Equal(table.Known, at) {
				t.Errorf("at %v, known %v", table.At, table.Known)
			}
			if g := table.Group; g[0] != g[2] || g[0] == g[1] || g[3] == g[1] || g[3] == g[0] {
				t.Errorf("groups %v", g)
			}
			if len(info.SHA256) != 64 || info.Rows != 4 || info.Columns[1].Missing != 1 || len(info.Columns[1].Levels) != 3 {
				t.Errorf("info %+v", info)
			}
		})
	}
}

func TestReadTableErrors(t *testing.T) {
	many := "a,b\n" + strings.Repeat("1,2\n", 100)
	for _, c := range []struct {
		name, text string
		o          TableOptions
		want       []string // all in the error
	}{
		{"empty", "", TableOptions{}, []string{"file is empty"}},
		{"blank lines", "\n\n", TableOptions{}, []string{"file is empty"}},
		{"header alone", "a,b\n", TableOptions{}, []string{"no rows"}},
		{"none wanted", "a,b\n1,2\n", TableOptions{Columns: []models.Column{{Name: "c"}}}, []string{"none of the inputs", "c"}},
		{"delimiter", "a;b;c\n1;2;3\n", TableOptions{}, []string{"one column", `--sep ';'`}},
		{"tabs", "a\tb\n1\t2\n", TableOptions{}, []string{`--sep '\t'`}},
		{"twice", "a,b,a\n1,2,3\n", TableOptions{}, []string{"columns 1 and 3", `"a"`}},
		{"no label", "a,b\n1,2\n", TableOptions{Label: "won"}, []string{`"won"`, "--label", "a, b"}},
		{"no time", "a,b\n1,2\n", TableOptions{Time: "when"}, []string{`"when"`, "--time"}},
		{"drop", "a,b\n1,2\n", TableOptions{Drop: []string{"c"}}, []string{`"c"`, "--drop"}},
		{"one label", "a,y\n1,0\n2,0\n", TableOptions{Label: "y"}, []string{`always "0"`}},
		{"empty label", "a,y\n1,\n2,?\n", TableOptions{Label: "y"}, []string{`"y" is empty`}},
		{"unclear label", "a,y\n1,red\n2,blue\n3,blue\n", TableOptions{Label: "y"}, []string{"--positive", "blue (2 rows), red (1 rows)"}},
		{"three labels", "a,y\n1,0\n2,1\n3,2\n", TableOptions{Label: "y"}, []string{"--positive", "2 (1 rows)"}},
		{"other positive", "a,y\n1,no\n2,yes\n", TableOptions{Label: "y", Positive: "Yes"}, []string{`no value "Yes"`, "yes (1 rows)"}},
		{"not a time", "a,t,y\n1,2024-01-01,0\n1,soon,1\n", TableOptions{Label: "y", Time: "t"}, []string{`"t" is not a time`, "line 3", `"soon"`}},
		{"day or month", "a,t\n1,03/04/2024\n1,05/06/2024\n", TableOptions{Time: "t"}, []string{"ambiguous", "day/month"}},
		{"time missing", "a,t\n1,2024-01-01\n1,\n", TableOptions{Time: "t"}, []string{"row 2", `"t"`}},
		{"time of fractions", "a,t\n1,0.5\n1,0.7\n", TableOptions{Time: "t"}, []string{"row 1", "Unix seconds"}},
		{"ragged", "a,b\n1,2\n3\n4,5\n", TableOptions{}, []string{"line 3", "1 columns where the header has 2", "--sep"}},
		{"open quote", many + "\"open,3\n" + many, TableOptions{}, []string{"line 102", "quote"}},
		{"utf-16", "\xff\xfea\x00,\x00b\x00\n\x00", TableOptions{}, []string{"UTF-16"}},
		{"binary", "a\x00b,c\n1,2\n", TableOptions{}, []string{"not UTF-8"}},
		{"nothing left", "y\n1\n0\n", TableOptions{Label: "y"}, []string{"no inputs are left"}},
		{"a word for a number", "a,b\n1,2\nx,3\n", TableOptions{Columns: []models.Column{{Name: "a"}}}, []string{"line 3", `"a"`, `"x"`, "the model wants one"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			path := tableFile(t, "t.csv", c.text)
			_, _, err := ReadTable(path, c.o)
			if err == nil {
				t.Fatal("read")
			}
			for _, want := range append(c.want, "t.csv") {
				if !strings.Contains(err.Error(), want) {
					t.Errorf("%q does not say %q", err, want)
				}
			}
		})
	}
	if _, _, err := ReadTable(filepath.Join(t.TempDir(), "none.csv"), TableOptions{}); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("no file: %v", err)
	}
	whole, err := os.ReadFile(tableFile(t, "t.csv.gz", many))
	if err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(t.TempDir(), "cut.csv.gz")
	if err := os.WriteFile(path, whole[:len(whole)-9], 0o644); err != nil {
		t.Fatal(err)
	}
	if _, _, err := ReadTable(path, TableOptions{}); err == nil || !strings.Contains(err.Error(), "cut off") {
		t.Errorf("cut gzip: %v", err)
	}
}

// A slip in a column of numbers makes it one of categories: that is told.
func TestNearlyNumbers(t *testing.T) {
	for text, want := range map[string]string{
		strings.Repeat("1\n", 20) + "abc\n":     `line 22 has "abc"`,
		strings.Repeat("1\n", 20) + "1e999\n":   `line 22 has "1e999"`,
		strings.Repeat("1\nabc\n", 20):          "", // codes, some of digits
		strings.Repeat("1\n", 20) + "NA\n2.5\n": "",
	} {
		_, info, err := ReadTable(tableFile(t, "t.csv", "a\n"+text), TableOptions{})
		if err != nil {
			t.Fatal(err)
		}
		if got := info.Columns[0].Doubt; got != want {
			t.Errorf("of %q it is said: %q, want %q", text, got, want)
		}
	}
}

// A few rows that do not fit are left out, counted and named.
func TestRaggedRowsAreCounted(t *testing.T) {
	text := "a,b\n" + strings.Repeat("1,2\n", 50) + "1,2,3\n" + strings.Repeat("1,2\n", 50) + "1\n"
	table, info, err := ReadTable(tableFile(t, "t.csv", text), TableOptions{})
	if err != nil {
		t.Fatal(err)
	}
	if table.Len() != 100 || info.Bad != 2 || info.BadRows[0].Line != 52 || info.BadRows[1].Line != 103 {
		t.Errorf("%d rows, %+v", table.Len(), info)
	}
}

// Rows that are not UTF-8 are left out and named, a file of them is refused.
func TestRowsThatAreNotUTF8(t *testing.T) {
	latin := "1,M\xfcnchen\n"
	table, info, err := ReadTable(tableFile(t, "t.csv", "a,b\n"+strings.Repeat("1,München\n", 50)+latin), TableOptions{})
	if err != nil {
		t.Fatal(err)
	}
	if table.Len() != 50 || info.Bad != 1 || info.BadRows[0] != (BadRow{52, `column 2, "M\xfcnchen", is not UTF-8 (save the file as UTF-8)`}) {
		t.Errorf("%d rows, %+v", table.Len(), info)
	}
	for text, want := range map[string]string{
		"a,b\n" + strings.Repeat(latin, 50): "50 of 50 rows cannot be read; line 2: column 2",
		"a,gr\xf6\xdfe\n1,2\n":              "column 2: the name is not UTF-8 text",
	} {
		if _, _, err := ReadTable(tableFile(t, "t.csv", text), TableOptions{}); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%.20q: %v, want %q", text, err, want)
		}
	}
}

func TestUnlabelledRowsAreLeftOut(t *testing.T) {
	table, info, err := ReadTable(tableFile(t, "t.csv", "a,y,g\n1,1,\n2,,v\n3,0,\n"), TableOptions{Label: "y", Group: "g"})
	if err != nil {
		t.Fatal(err)
	}
	if _, a := column(t, table, "a"); !slices.Equal(a, []float64{1, 3}) || info.Unlabelled != 1 || len(table.Group) != 2 || table.Group[0] == table.Group[1] {
		t.Errorf("a %v, %+v", a, info)
	}
}

func TestColumnsAreGuessed(t *testing.T) {
	for _, c := range []struct {
		sep    rune
		values []string
		kind   models.Kind
		want   []float64
	}{
		{',', []string{"1", " 2 ", "?", "NaN"}, models.Numeric, []float64{1, 2, math.NaN(), math.NaN()}},
		{',', []string{"", "", "", ""}, models.Numeric, []float64{math.NaN(), math.NaN(), math.NaN(), math.NaN()}},
		{',', []string{"1", "2", "inf", "4"}, models.Category, nil},
		{',', []string{"0x10", "2", "3", "4"}, models.Category, nil},
		{',', []string{"1_000", "2", "3", "4"}, models.Category, nil},
		{';', []string{"1,5", "2", "-3,25", "NA"}, models.Numeric, []float64{1.5, 2, -3.25, math.NaN()}},
		{';', []string{"1,5", "2.5", "3", "4"}, models.Category, nil},
		{',', []string{"2024-03-01", "1970-01-01", "", "1970-01-02"}, models.Numeric, []float64{1709251200, 0, math.NaN(), 86400}},
		{',', []string{"1970-01-01T00:00:01Z", "1970-01-01T02:00:00+02:00", "", "null"}, models.Numeric, []float64{1, 0, math.NaN(), math.NaN()}},
		{',', []string{"29/02/2016 01:16", "1/1/1970 00:01", "2/3/2016 10:00", ""}, models.Numeric, []float64{1456708560, 60, 1456912800, math.NaN()}},
		{',', []string{"2/29/2016", "1/1/1970", "2/3/2016", ""}, models.Numeric, []float64{1456704000, 0, 1454457600, math.NaN()}},
		{',', []string{"2024-03-01", "yesterday", "", ""}, models.Category, nil},
		{',', []string{"2024-03-01", "7", "", ""}, models.Category, nil},
		{',', []string{"None", "Known", "None", "Unknown"}, models.Category, nil},
	} {
		t.Run(strings.Join(c.values, " "), func(t *testing.T) {
			text := fmt.Sprintf("v%cw\n", c.sep)
			for _, v := range c.values {
				text += fmt.Sprintf("%s%c1\n", v, c.sep)
			}
			table, info, err := ReadTable(tableFile(t, "t.csv", text), TableOptions{Sep: c.sep})
			if err != nil {
				t.Fatal(err)
			}
			_, got := column(t, table, "v")
			want := c.want
			if c.kind == models.Category {
				for _, v := range c.values {
					want = append(want, models.Code(v))
				}
			}
			if table.Columns[0].Kind != c.kind || !sameBits(got, want) {
				t.Errorf("%v %v, want %v %v; %+v", table.Columns[0].Kind, got, c.kind, want, info.Columns[0])
			}
		})
	}
}

func TestNumbersAsTimes(t *testing.T) {
	for scale, unit := range map[string]string{"": "s", "000": "ms", "000000": "µs", "000000000": "ns"} {
		table, _, err := ReadTable(tableFile(t, "t.csv", "a,t\n1,1700000000"+scale+"\n2,1700000060"+scale+"\n"), TableOptions{Time: "t"})
		if err != nil || !slices.Equal(table.At, []int64{1700000000, 1700000060}) {
			t.Errorf("%s: %v, %v", unit, table, err)
		}
	}
}

// A model's columns decide, whatever the values look like.
func TestNamedColumns(t *testing.T) {
	path := tableFile(t, "t.csv", "zip,amount,other\n01234,1,x\n99999,2,y\n")
	table, info, err := ReadTable(path, TableOptions{Columns: []models.Column{{Name: "amount"}, {Name: "zip", Kind: models.Category}}})
	if err != nil {
		t.Fatal(err)
	}
	if table.Width() != 2 {
		t.Fatalf("columns %v", table.Columns)
	}
	if _, zip := column(t, table, "zip"); !slices.Equal(zip, []float64{models.Code("01234"), models.Code("99999")}) {
		t.Errorf("zip %v", zip)
	}
	if len(info.Columns) != 2 {
		t.Errorf("%+v", info)
	}
}

// typedRecord holds each type a table may have.
func typedRecord() arrow.Record {
	dict := &arrow.DictionaryType{IndexType: arrow.PrimitiveTypes.Int32, ValueType: arrow.BinaryTypes.String}
	schema := arrow.NewSchema([]arrow.Field{
		{Name: "f", Type: arrow.PrimitiveTypes.Float64, Nullable: true},
		{Name: "i", Type: arrow.PrimitiveTypes.Int32},
		{Name: "b", Type: arrow.FixedWidthTypes.Boolean},
		{Name: "s", Type: arrow.BinaryTypes.String, Nullable: true},
		{Name: "d", Type: dict},
		{Name: "t", Type: &arrow.TimestampType{Unit: arrow.Millisecond, TimeZone: "UTC"}},
		{Name: "u", Type: arrow.PrimitiveTypes.Uint16},
		{Name: "y", Type: arrow.BinaryTypes.String},
	}, nil)
	b := array.NewRecordBuilder(memory.DefaultAllocator, schema)
	defer b.Release()
	b.Field(0).(*array.Float64Builder).AppendValues([]float64{1.5, 0, 3}, []bool{true, false, true})
	b.Field(1).(*array.Int32Builder).AppendValues([]int32{-1, 2, 3}, nil)
	b.Field(2).(*array.BooleanBuilder).AppendValues([]bool{true, false, true}, nil)
	b.Field(3).(*array.StringBuilder).AppendValues([]string{"x", "", "NA"}, []bool{true, false, true})
	for _, v := range []string{"p", "q", "p"} {
		if err := b.Field(4).(*array.BinaryDictionaryBuilder).AppendString(v); err != nil {
			panic(err)
		}
	}
	b.Field(5).(*array.TimestampBuilder).AppendValues([]arrow.Timestamp{0, 1500, 86_400_000}, nil)
	b.Field(6).(*array.Uint16Builder).AppendValues([]uint16{7, 8, 9}, nil)
	b.Field(7).(*array.StringBuilder).AppendValues([]string{"yes", "no", "yes"}, nil)
	return b.NewRecord()
}

func writeTyped(t testing.TB, name string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), name)
	if err := writeRecord(path, typedRecord()); err != nil {
		t.Fatal(err)
	}
	return path
}

// writeRecord writes a file of the kind its name says.
func writeRecord(path string, rec arrow.Record) error {
	if strings.HasSuffix(path, ".parquet") {
		return WriteParquet(path, rec.Schema(), func(yield func(arrow.Record, error) bool) { yield(rec, nil) })
	}
	f, err := os.Create(path)
	if err != nil {
		return err
	}
	w, err := ipc.NewFileWriter(f, ipc.WithSchema(rec.Schema()))
	if err != nil {
		return err
	}
	return errors.Join(w.Write(rec), w.Close(), f.Close())
}

func TestTypedTables(t *testing.T) {
	nan := math.NaN()
	for _, name := range []string{"t.parquet", "t.arrow"} {
		t.Run(name, func(t *testing.T) {
			table, info, err := ReadTable(writeTyped(t, name), TableOptions{Label: "y", Time: "t", Drop: []string{"u"}})
			if err != nil {
				t.Fatal(err)
			}
			for want, values := range map[models.Column][]float64{
				{Name: "f"}: {1.5, nan, 3}, {Name: "i"}: {-1, 2, 3}, {Name: "b"}: {1, 0, 1},
				{Name: "s", Kind: models.Category}: {models.Code("x"), nan, nan},
				{Name: "d", Kind: models.Category}: {models.Code("p"), models.Code("q"), models.Code("p")},
			} {
				j, got := column(t, table, want.Name)
				if table.Columns[j] != want || !sameBits(got, values) {
					t.Errorf("%v: %v, want %v", table.Columns[j], got, values)
				}
			}
			if table.Width() != 5 || !slices.Equal(table.Y, []float64{1, 0, 1}) || !slices.Equal(table.At, []int64{0, 1, 86400}) || info.Rows != 3 {
				t.Errorf("%d columns, y %v, at %v, %+v", table.Width(), table.Y, table.At, info)
			}
		})
	}
}

func TestDamagedTypedTables(t *testing.T) {
	for _, name := range []string{"t.parquet", "t.arrow"} {
		whole, err := os.ReadFile(writeTyped(t, name))
		if err != nil {
			t.Fatal(err)
		}
		path := filepath.Join(t.TempDir(), name)
		for n := 8; n < len(whole); n += max(1, len(whole)/40) {
			if err := os.WriteFile(path, whole[:n], 0o644); err != nil {
				t.Fatal(err)
			}
			if _, _, err := ReadTable(path, TableOptions{}); err == nil || !strings.Contains(err.Error(), name) {
				t.Fatalf("%s cut to %d bytes: %v", name, n, err)
			}
		}
	}
}

func TestWriteParquetIsWholeOrNotThere(t *testing.T) {
	rec := typedRecord()
	path := filepath.Join(t.TempDir(), "t.parquet")
	broken := errors.New("source broke")
	err := WriteParquet(path, rec.Schema(), func(yield func(arrow.Record, error) bool) {
		if yield(rec, nil) {
			yield(nil, broken)
		}
	})
	if !errors.Is(err, broken) {
		t.Errorf("err %v", err)
	}
	if left, _ := os.ReadDir(filepath.Dir(path)); len(left) != 0 {
		t.Errorf("left behind: %v", left)
	}
}

func TestTableOntoAFullDisk(t *testing.T) {
	in, dir := tableFile(t, "t.csv", "a\n"+strings.Repeat("1234567\n", 10_000)), t.TempDir()
	if err := syscall.Mount("tmpfs", dir, "tmpfs", 0, "size=16k"); err != nil {
		t.Skipf("no right to mount a small file system here: %v", err)
	}
	t.Cleanup(func() { syscall.Unmount(dir, 0) })
	err := AppendColumns(in, filepath.Join(dir, "out.csv"), TableOptions{}, []AddedColumn{{"b", make([]float64, 10_000)}})
	if record.KindOf(err) != record.Exhausted || strings.Count(err.Error(), "no space") != 1 || !strings.Contains(err.Error(), "free some space") {
		t.Errorf("onto a full disk: %v", err)
	}
	if left, _ := os.ReadDir(dir); len(left) != 0 {
		t.Errorf("left behind: %v", left)
	}
}

func TestAppendColumns(t *testing.T) {
	text := "id,name,n\n1,\"a, b\",007\nbad\n" + strings.Repeat("2,c,\n", 20)
	in := tableFile(t, "in.csv.gz", text)
	p := make([]float64, 21)
	for i := range p {
		p[i] = float64(i) / 32
	}
	p[1] = math.NaN()
	added := []AddedColumn{{"p", p}}
	dir := t.TempDir()
	for _, out := range []string{"out.csv", "out.csv.gz", "out.parquet"} {
		path := filepath.Join(dir, out)
		if err := AppendColumns(in, path, TableOptions{}, added); err != nil {
			t.Fatal(err)
		}
		back, _, err := ReadTable(path, TableOptions{})
		if err != nil {
			t.Fatal(err)
		}
		if _, got := column(t, back, "p"); !sameBits(got, p) {
			t.Errorf("%s: p %v", out, got)
		}
		if _, got := column(t, back, "name"); got[0] != models.Code("a, b") {
			t.Errorf("%s: name %v", out, got)
		}
		if j, got := column(t, back, "n"); back.Columns[j].Kind != models.Numeric || got[0] != 7 || !math.IsNaN(got[1]) {
			t.Errorf("%s: n %v", out, got)
		}
		for _, again := range []string{"twice.csv", "twice.parquet"} {
			if err := AppendColumns(path, filepath.Join(dir, again), TableOptions{}, added); err == nil || !strings.Contains(err.Error(), "has a column p already") {
				t.Errorf("%s to %s: %v", out, again, err)
			}
		}
		// And from what was written once more.
		again := filepath.Join(dir, "again-"+strings.TrimSuffix(out, ".gz"))
		if err := AppendColumns(path, again+".csv", TableOptions{}, []AddedColumn{{"q", p}}); err != nil {
			t.Fatal(err)
		}
		if back, _, err = ReadTable(again+".csv", TableOptions{}); err != nil || back.Width() != 5 {
			t.Errorf("%s: %v, %v", again, back, err)
		}
	}
	b, err := os.ReadFile(filepath.Join(dir, "out.csv"))
	if err != nil || !strings.HasPrefix(string(b), "id,name,n,p\n1,\"a, b\",007,0\n2,c,,\n") {
		t.Errorf("%.60s, %v", b, err)
	}
	if err := AppendColumns(in, filepath.Join(dir, "none", "out.csv"), TableOptions{}, added); err == nil || !strings.Contains(err.Error(), "make it first") {
		t.Errorf("into a directory that is not there: %v", err)
	}
	if err := AppendColumns(in, filepath.Join(dir, "out.xlsx"), TableOptions{}, added); err == nil || !strings.Contains(err.Error(), ".parquet") {
		t.Errorf("unknown format: %v", err)
	}
	if err := AppendColumns(in, filepath.Join(dir, "short.csv"), TableOptions{}, []AddedColumn{{"p", p[:3]}}); err == nil {
		t.Error("too few values were taken")
	}
	if _, err := os.Stat(filepath.Join(dir, "short.csv")); !os.IsNotExist(err) {
		t.Error("a half written file is there")
	}
}

func FuzzReadTable(f *testing.F) {
	f.Add([]byte(deals), byte(','))
	f.Add([]byte("\ufeffa;b\r\n1,5;x\r\n;\r\n"), byte(';'))
	f.Add([]byte("a,b\n\"x\ny\",2\n3\n"), byte(','))
	f.Fuzz(func(t *testing.T, text []byte, sep byte) {
		if sep == '"' || sep == '\r' || sep == '\n' || sep >= 0x80 || sep == 0 {
			return
		}
		src := &csvTable{open: func() (io.ReadCloser, int64, error) {
			return io.NopCloser(bytes.NewReader(text)), int64(len(text)), nil
		}}
		var info TableInfo
		o := TableOptions{Sep: rune(sep)}
		raws, err := src.columns(o, &info)
		if err != nil {
			return
		}
		table, err := assemble(raws, o, &info)
		if err != nil {
			return
		}
		if err := table.Check(false); err != nil {
			t.Fatal(err)
		}
		if table.Len() != info.Rows || table.Width() != len(info.Columns) {
			t.Fatalf("%d rows, %d columns, info %+v", table.Len(), table.Width(), info)
		}
	})
}

func BenchmarkReadTable(b *testing.B) {
	data := os.Getenv("BELLWETHER_DATA")
	if data == "" {
		b.Skip("BELLWETHER_DATA is not set")
	}
	path := filepath.Join(data, "flights", "flight_delays_train.csv.gz")
	for b.Loop() {
		table, _, err := ReadTable(path, TableOptions{Label: "dep_delayed_15min"})
		if err != nil || table.Len() != 100_000 {
			b.Fatal(table.Len(), err)
		}
	}
	b.ReportMetric(float64(100_000*b.N)/b.Elapsed().Seconds(), "rows/s")
}
