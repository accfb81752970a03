package datasets

import (
	"cmp"
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"

	"bellwether/datasets/record"
	"bellwether/models"
)

// TableOptions say how a file becomes a table of numbers. The zero value reads
// every column as an input.
type TableOptions struct {
	Sep      rune     // of a CSV file; 0 is a comma
	Label    string   // column to predict; "" for none
	Positive string   // the label's value that counts as 1; "" if it speaks for itself (1, yes, won, …)
	Time     string   // column that says when a row's inputs were taken; not an input itself
	Group    string   // column whose equal values stay together in a split; not an input itself
	Drop     []string // columns to leave out
	// Columns, if not nil, are the inputs wanted, with their kinds: a model's.
	// Other columns are not read, and no kind is guessed.
	Columns  []models.Column
	Progress func(doneBytes, totalBytes int64) // may be nil
}

// TableInfo says what ReadTable found.
type TableInfo struct {
	Path       string       `json:"path"`
	SHA256     string       `json:"sha256"` // of the file as it lies on disk
	Rows       int          `json:"rows"`   // in the table
	Unlabelled int          `json:"unlabelled"`
	Bad        int          `json:"bad"`      // rows without the header's columns, or not UTF-8, left out
	BadRows    []BadRow     `json:"bad_rows"` // the first of them
	Columns    []ColumnInfo `json:"columns"`  // the inputs, in the table's order
	Positive   string       `json:"positive"` // the label's two values
	Negative   string       `json:"negative"`
}

// BadRow is a row that was left out.
type BadRow struct {
	Line   int    `json:"line"`
	Reason string `json:"reason"`
}

// ColumnInfo describes one input.
type ColumnInfo struct {
	Name    string      `json:"name"`
	Kind    models.Kind `json:"kind"`
	Date    bool        `json:"date,omitempty"` // a date, as Unix seconds
	Missing int         `json:"missing"`
	Levels  []Level     `json:"levels,omitempty"` // of a category, the most frequent first; at most maxLevels
	More    bool        `json:"more,omitempty"`   // there are other levels
	Doubt   string      `json:"doubt,omitempty"`  // why a category whose values nearly all look like numbers is none of numbers
}

// Level is one value of a category.
type Level struct {
	Text string `json:"text"`
	Rows int    `json:"rows"`
}

const (
	maxLevels  = 1000 // kept by name: enough for any column people read level by level
	maxBadRows = 20   // shown; all are counted
	// maxBadShare of the rows may have too many or too few columns. More of them
	// means that the file is not what it is taken for.
	maxBadShare = 0.1
)

// missing lists the texts that stand for nothing, as they are after trimming.
var missing = map[string]bool{"": true, "NA": true, "N/A": true, "n/a": true, "#N/A": true, "NaN": true, "nan": true,
	"null": true, "NULL": true, "Null": true, "?": true, `\N`: true}

// rawColumn is one column of a file, as numbers: NaN where one is missing, Code of
// the text for a category.
type rawColumn struct {
	name   string
	kind   models.Kind
	date   bool
	pieces []piece // as it was read
	rows   int     // in all pieces
	levels levels
	doubt  string // why a date column is ambiguous, or a column is none of numbers; "" if there is no doubt
	nearly bool   // a category whose values nearly all look like numbers
}

// inputs are the column alone.
func (c *rawColumn) inputs() *models.Inputs { return inBatches([][]piece{c.pieces}) }

// values are a copy of the column's numbers.
func (c *rawColumn) values() []float64 { return c.inputs().Column(0) }

// levels counts the texts of a category.
type levels struct {
	by   map[string]*level
	more bool
}

type level struct {
	code float64
	rows int
}

// code returns the code of a text and counts it.
func (l *levels) code(text string) float64 {
	if v, ok := l.by[text]; ok {
		v.rows++
		return v.code
	}
	code := models.Code(text)
	if len(l.by) >= maxLevels {
		l.more = true
		return code
	}
	if l.by == nil {
		l.by = map[string]*level{}
	}
	l.by[strings.Clone(text)] = &level{code, 1}
	return code
}

func (l *levels) sorted() []Level {
	out := make([]Level, 0, len(l.by))
	for text, v := range l.by {
		out = append(out, Level{text, v.rows})
	}
	slices.SortFunc(out, func(a, b Level) int {
		return cmp.Or(cmp.Compare(b.Rows, a.Rows), cmp.Compare(a.Text, b.Text))
	})
	return out
}

// ReadTable reads a CSV, Parquet or Arrow file, plain or gzipped, into a table.
// The inputs of a Parquet or Arrow file are the record batches themselves
// (models.Table.In): numbers as float64 or of a smaller type and dictionaries are
// not copied, others are read into memory once.
// The format is told by the content. A CSV column is numeric if every value
// that is there parses as a finite number, a date (in Unix seconds) if all have
// one date layout, and a category otherwise. Where a time column is named,
// Table.At holds it and Table.Known is the same: the label was known at once.
// Rows without a label are left out and counted.
func ReadTable(path string, o TableOptions) (*models.Table, TableInfo, error) {
	info := TableInfo{Path: path}
	src, err := openTable(path, o)
	if err != nil {
		return nil, info, record.Errorf(record.Invalid, "read table", "%s: %w", path, err)
	}
	raws, err := src.columns(o, &info)
	if err == nil {
		var t *models.Table
		if t, err = assemble(raws, o, &info); err == nil {
			return t, info, nil
		}
	}
	return nil, info, record.Errorf(record.Invalid, "read table", "%s: %w", path, err)
}

// special reports whether a column is the label, the time or the group.
func (o *TableOptions) special(name string) bool {
	return name != "" && (name == o.Label || name == o.Time || name == o.Group)
}

// input returns the input a column was named as, if inputs were named, and
// whether it is an input at all.
func (o *TableOptions) input(name string) (*models.Column, bool) {
	for i := range o.Columns {
		if o.Columns[i].Name == name {
			return &o.Columns[i], true
		}
	}
	return nil, o.Columns == nil && !o.special(name) && !slices.Contains(o.Drop, name)
}

// checkNames reports the first name in the options that the file lacks, or that
// it has twice.
func (o *TableOptions) checkNames(header []string) error {
	seen := make(map[string]int, len(header))
	for i, name := range header {
		if j, twice := seen[name]; twice {
			return fmt.Errorf("columns %d and %d are both called %q; rename one", j+1, i+1, name)
		}
		seen[name] = i
	}
	for i, name := range append([]string{o.Label, o.Time, o.Group}, o.Drop...) {
		if _, ok := seen[name]; !ok && name != "" {
			flag := []string{"--label", "--time", "--group", "--drop"}[min(i, 3)]
			return fmt.Errorf("there is no column %q (%s); there are %s", name, flag, short(header))
		}
	}
	return nil
}

func short(names []string) string {
	const most = 30
	if len(names) > most {
		return fmt.Sprintf("%s and %d more", strings.Join(names[:most], ", "), len(names)-most)
	}
	return strings.Join(names, ", ")
}

// assemble makes the table: label, time and group leave the inputs.
func assemble(raws []rawColumn, o TableOptions, info *TableInfo) (*models.Table, error) {
	if len(raws) > 0 && raws[0].rows == 0 || len(raws) == 0 && len(o.Columns) == 0 {
		return nil, fmt.Errorf("no rows: the file holds a header and nothing below it")
	}
	t := &models.Table{}
	var inputs [][]piece
	for i := range raws {
		c := &raws[i]
		var err error
		switch c.name {
		case o.Label:
			t.Y, err = label(c, o.Positive, info)
		case o.Time:
			t.At, err = moments(c)
		case o.Group:
			t.Group = groups(c)
		}
		if err != nil {
			return nil, err
		}
		if _, ok := o.input(c.name); ok {
			t.Columns = append(t.Columns, models.Column{Name: c.name, Kind: c.kind})
			inputs = append(inputs, c.pieces)
			info.Columns = append(info.Columns, c.describe())
		}
	}
	if len(inputs) == 0 && len(o.Columns) > 0 {
		wanted := make([]string, len(o.Columns))
		for i, c := range o.Columns {
			wanted[i] = c.Name
		}
		return nil, fmt.Errorf("it has none of the inputs that are wanted: %s", short(wanted))
	}
	if len(inputs) == 0 {
		return nil, fmt.Errorf("no inputs are left: every column is the label, the time, the group or dropped")
	}
	if t.X = whole(inputs); t.X == nil {
		t.In = inBatches(inputs)
	}
	t.Known = slices.Clone(t.At)
	t, info.Unlabelled = labelled(t)
	info.Rows = t.Len()
	if info.Rows == 0 {
		return nil, fmt.Errorf("no row has a value in the label column %q", o.Label)
	}
	return t, nil
}

func (c *rawColumn) describe() ColumnInfo {
	d := ColumnInfo{Name: c.name, Kind: c.kind, Date: c.date, Levels: c.levels.sorted(), More: c.levels.more}
	if c.nearly {
		d.Doubt = c.doubt
	}
	c.inputs().Each(0, func(_ int, values []float64) {
		for _, v := range values {
			if math.IsNaN(v) {
				d.Missing++
			}
		}
	})
	return d
}

// labelled leaves out the rows whose label is missing.
func labelled(t *models.Table) (*models.Table, int) {
	if t.Y == nil || !slices.ContainsFunc(t.Y, math.IsNaN) {
		return t, 0
	}
	var rows []int
	for i, y := range t.Y {
		if !math.IsNaN(y) {
			rows = append(rows, i)
		}
	}
	return t.View(rows), len(t.Y) - len(rows)
}

// obvious are pairs of label values that say themselves which one is the
// positive: the first of each.
var obvious = [][2]string{{"1", "0"}, {"1", "-1"}, {"true", "false"}, {"t", "f"}, {"yes", "no"}, {"y", "n"}, {"won", "lost"}, {"won", "loss"},
	{"win", "loss"}, {"win", "lose"}, {"success", "failure"}, {"positive", "negative"}, {"converted", "not converted"}, {"churned", "active"}}

// label turns a column into 0 and 1, NaN where it is missing.
func label(c *rawColumn, positive string, info *TableInfo) ([]float64, error) {
	values := c.labelValues()
	if len(values) == 0 {
		return nil, fmt.Errorf("the label column %q is empty", c.name)
	}
	if len(values) == 1 {
		return nil, fmt.Errorf("every row has the same label: column %q is always %q; there is nothing to learn", c.name, values[0].text)
	}
	one, err := choosePositive(c.name, values, positive)
	if err != nil {
		return nil, err
	}
	info.Positive = values[one].text
	for i, v := range values {
		if i != one {
			info.Negative = v.text
		}
	}
	if len(values) > 2 {
		info.Negative = "any other"
	}
	y := c.values()
	for i, v := range y {
		switch {
		case math.IsNaN(v):
		case v == values[one].value:
			y[i] = 1
		default:
			y[i] = 0
		}
	}
	return y, nil
}

type labelValue struct {
	text  string
	value float64
	rows  int
}

// labelValues lists the distinct values of a label, most frequent first.
func (c *rawColumn) labelValues() []labelValue {
	var out []labelValue
	if c.kind == models.Category {
		for _, l := range c.levels.sorted() {
			out = append(out, labelValue{l.Text, models.Code(l.Text), l.Rows})
		}
		return out
	}
	count := map[float64]int{}
	for _, v := range c.values() {
		if !math.IsNaN(v) && (len(count) <= maxLevels || count[v] > 0) {
			count[v]++
		}
	}
	for v, n := range count {
		out = append(out, labelValue{strconv.FormatFloat(v, 'g', -1, 64), v, n})
	}
	slices.SortFunc(out, func(a, b labelValue) int { return cmp.Or(cmp.Compare(b.rows, a.rows), cmp.Compare(a.value, b.value)) })
	return out
}

// choosePositive returns which value is the positive one: the one asked for, or
// the obvious one of two. It does not guess.
func choosePositive(column string, values []labelValue, positive string) (int, error) {
	var shown []string
	for _, v := range values[:min(len(values), 10)] {
		shown = append(shown, fmt.Sprintf("%s (%d rows)", v.text, v.rows))
	}
	if len(values) > len(shown) {
		shown = append(shown, "…")
	}
	if positive != "" {
		number, err := strconv.ParseFloat(positive, 64)
		for i, v := range values {
			if v.text == positive || err == nil && v.value == number {
				return i, nil
			}
		}
		return 0, fmt.Errorf("column %q has no value %q (--positive); it has %s", column, positive, strings.Join(shown, ", "))
	}
	if len(values) == 2 {
		a, b := strings.ToLower(values[0].text), strings.ToLower(values[1].text)
		for _, pair := range obvious {
			if a == pair[0] && b == pair[1] {
				return 0, nil
			}
			if b == pair[0] && a == pair[1] {
				return 1, nil
			}
		}
	}
	return 0, fmt.Errorf("say with --positive which value of column %q counts as 1; it has %s", column, strings.Join(shown, ", "))
}

// moments turns a column into Unix seconds. Numbers are Unix seconds, or the
// milli-, micro- or nanoseconds that their size betrays.
func moments(c *rawColumn) ([]int64, error) {
	if c.kind == models.Category {
		return nil, fmt.Errorf("the time column %q is not a time: %s; write all as 2006-01-02 or 2006-01-02T15:04:05Z", c.name, c.doubtOr("its values are neither numbers nor dates of one layout"))
	}
	if c.doubt != "" {
		return nil, fmt.Errorf("the time column %q is ambiguous: %s; write 2006-01-02", c.name, c.doubt)
	}
	scale, values := 1.0, c.values()
	if !c.date {
		scale = unixScale(values)
	}
	out := make([]int64, len(values))
	for i, v := range values {
		v /= scale
		if math.IsNaN(v) {
			return nil, fmt.Errorf("row %d has no value in the time column %q; fill it in or remove the row", i+1, c.name)
		}
		if !c.date && v != math.Trunc(v) && scale == 1 || math.Abs(v) > 1e15 {
			return nil, fmt.Errorf("row %d: %v in the time column %q is not a time in Unix seconds", i+1, v, c.name)
		}
		out[i] = int64(math.Floor(v))
	}
	return out, nil
}

func (c *rawColumn) doubtOr(other string) string {
	if c.doubt != "" {
		return c.doubt
	}
	return other
}

// unixScale tells seconds from finer units by the greatest value: 1e11 seconds
// are in the year 5138, 1e11 milliseconds in 1973.
func unixScale(values []float64) float64 {
	top := 0.0
	for _, v := range values {
		if math.Abs(v) > top {
			top = math.Abs(v)
		}
	}
	switch {
	case top > 1e17:
		return 1e9
	case top > 1e14:
		return 1e6
	case top > 1e11:
		return 1e3
	}
	return 1
}

// groups gives equal values one number. A missing value is a group of its own.
func groups(c *rawColumn) []int64 {
	out := make([]int64, c.rows)
	for i, v := range c.values() {
		switch {
		case math.IsNaN(v):
			out[i] = -1 - int64(i)
		case c.kind == models.Category:
			out[i] = int64(v)
		default:
			out[i] = int64(math.Float64bits(v) >> 1)
		}
	}
	return out
}
