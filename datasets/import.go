package datasets

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"bellwether/datasets/record"
)

// ImportCSV reads the CSV files of a mapping below in (a directory, or the one
// file that records come from, with the others beside it) into w. Files that
// are looked up are held in memory. The caller closes or aborts w.
func ImportCSV(ctx context.Context, in string, m *Mapping, w *Writer, progress func(done, total int64)) (*Report, error) {
	im := &csvImport{mapping: m, intake: NewIntake(w, m.name), tables: map[*mappedFile]*table{}, progress: progress}
	defer im.intake.Drop()
	if im.progress == nil {
		im.progress = func(int64, int64) {}
	}
	if err := im.place(in); err != nil {
		return nil, err
	}
	for _, f := range m.files {
		if f.key != "" {
			if err := im.load(ctx, f); err != nil {
				return nil, err
			}
		}
	}
	for _, f := range m.files {
		if !slices.ContainsFunc(m.emits, func(e *emit) bool { return e.from == f }) {
			continue
		}
		if err := im.rows(ctx, f); err != nil {
			return nil, err
		}
	}
	return im.intake.Finish()
}

type csvImport struct {
	mapping     *Mapping
	intake      *Intake
	dir         string
	single      string // the file named instead of a directory
	tables      map[*mappedFile]*table
	progress    func(done, total int64)
	done, total int64
}

// table is a file held in memory to be looked up.
type table struct {
	columns map[string]int
	rows    map[string][]string
}

// place finds the files and adds up their sizes.
func (im *csvImport) place(in string) error {
	info, err := os.Stat(in)
	if err != nil {
		return record.Errorf(record.NotFound, "import", "%w", err)
	}
	im.dir = in
	if !info.IsDir() {
		im.dir, im.single = filepath.Dir(in), in
	}
	for _, f := range im.mapping.files {
		for _, p := range []string{im.path(f), im.path(f) + ".gz"} {
			if info, err := os.Stat(p); err == nil {
				im.total += info.Size()
				break
			}
		}
	}
	return nil
}

// path is where a file of the mapping lies. A file named on the command line
// stands for the first that records come from.
func (im *csvImport) path(f *mappedFile) string {
	if im.single != "" && f == im.mapping.emits[0].from {
		return im.single
	}
	return filepath.Join(im.dir, filepath.FromSlash(f.path))
}

// at puts the mapping's line before an error about one of its columns.
func (im *csvImport) at(line int, err error) error {
	if err == nil {
		return nil
	}
	return record.Errorf(record.Invalid, "import", "%s line %d: %w", im.mapping.name, line, err)
}

// load reads a file that is looked up. The first row of a key counts.
func (im *csvImport) load(ctx context.Context, f *mappedFile) error {
	csv, err := OpenCSV(im.path(f), f.comma)
	if err != nil {
		return im.at(f.line, err)
	}
	defer csv.Close()
	key, err := csv.Column(f.key)
	if err != nil {
		return im.at(f.line, err)
	}
	t := &table{columns: map[string]int{}, rows: map[string][]string{}}
	for i, name := range csv.Header {
		t.columns[name] = i
	}
	im.tables[f] = t
	used := slices.ContainsFunc(im.mapping.emits, func(e *emit) bool { return e.from == f })
	if !used {
		im.intake.File(csv.Name())
	}
	for ctx.Err() == nil {
		row, err := csv.Next()
		var bad *RowError
		switch {
		case err == io.EOF:
			im.done += csv.Size()
			im.progress(im.done, im.total)
			return nil
		case errors.As(err, &bad):
			if !used { // else the pass that makes records of it counts the row
				im.intake.Reject(bad.Err, bad.Place)
			}
			continue
		case err != nil:
			return err
		}
		if !used {
			if err := im.intake.Row(nil, csv.Place()); err != nil {
				return err
			}
		}
		if k := strings.TrimSpace(row[key]); k != "" && t.rows[k] == nil {
			t.rows[k] = cloneRow(row)
		}
	}
	return ctx.Err()
}

// cloneRow copies a row whose slice and memory the reader uses again.
func cloneRow(row []string) []string {
	out := slices.Clone(row)
	for i := range out {
		out[i] = strings.Clone(out[i])
	}
	return out
}

// rows makes records of a file's rows.
func (im *csvImport) rows(ctx context.Context, f *mappedFile) error {
	csv, err := OpenCSV(im.path(f), f.comma)
	if err != nil {
		return im.at(f.line, err)
	}
	defer csv.Close()
	v := &row{file: f, tables: im.tables, columns: map[string]int{}}
	var emits []*emit
	for _, e := range im.mapping.emits {
		if e.from == f {
			emits = append(emits, e)
			if err := im.bind(csv, v, e); err != nil {
				return err
			}
		}
	}
	im.intake.File(csv.Name())
	for n := 0; ; n++ {
		if n%1024 == 0 {
			if err := ctx.Err(); err != nil {
				return err
			}
			im.progress(im.done+csv.Done(), im.total)
		}
		cells, err := csv.Next()
		var bad *RowError
		switch {
		case err == io.EOF:
			im.done += csv.Size()
			return nil
		case errors.As(err, &bad):
			im.intake.Reject(bad.Err, bad.Place)
			continue
		case err != nil:
			return err
		}
		v.cells = cells
		records, err := v.records(emits)
		if err != nil {
			place := csv.Place()
			place.Value = v.shown
			im.intake.Reject(err, place)
			continue
		}
		if err := im.intake.Row(records, csv.Place()); err != nil {
			return err
		}
	}
}

// bind checks that every column a record names is there.
func (im *csvImport) bind(csv *CSV, v *row, e *emit) error {
	var walk func(s *source) error
	walk = func(s *source) error {
		if s == nil {
			return nil
		}
		names := []string{}
		if s.lookup != nil {
			if _, ok := im.tables[s.lookup].columns[s.column]; !ok {
				return im.at(s.line, fmt.Errorf("there is no column %q in %s", s.column, s.lookup.path))
			}
		} else if s.column != "" {
			names = append(names, s.column)
		}
		for i := 1; i < len(s.template); i += 2 {
			names = append(names, s.template[i])
		}
		for _, name := range names {
			i, err := csv.Column(name)
			if err != nil {
				return im.at(s.line, err)
			}
			v.columns[name] = i
		}
		if err := walk(s.by); err != nil {
			return err
		}
		return walk(s.currency)
	}
	for _, c := range e.when {
		if err := walk(c.from); err != nil {
			return err
		}
	}
	for _, f := range e.fields {
		if err := walk(f.from); err != nil {
			return err
		}
	}
	return nil
}

// row is one row of a file on its way to records.
type row struct {
	file    *mappedFile
	tables  map[*mappedFile]*table
	columns map[string]int
	cells   []string
	shown   string // the value at fault, for the quarantine
}

func (v *row) records(emits []*emit) ([]any, error) {
	var out []any
	for _, e := range emits {
		if !v.holds(e.when) {
			continue
		}
		var r any
		var err error
		switch e.noun {
		case "partner":
			r, err = fill(v, record.Partners, e)
		case "lead":
			r, err = fill(v, record.Leads, e)
		default:
			r, err = fill(v, record.Events, e)
		}
		if err != nil {
			return nil, err
		}
		out = append(out, r)
	}
	return out, nil
}

func (v *row) holds(when []condition) bool {
	for _, c := range when {
		s, _ := v.raw(c.from)
		switch {
		case c.empty != nil && *c.empty != (s == ""):
			return false
		case c.in != nil && !slices.Contains(c.in, s):
			return false
		case slices.Contains(c.not, s):
			return false
		}
	}
	return true
}

// raw is the value before values are mapped; "" and false where missing.
func (v *row) raw(s *source) (string, bool) {
	missing := v.file.missing
	var text string
	switch {
	case s.constant != nil:
		return *s.constant, true
	case s.lookup != nil:
		key, ok := v.raw(s.by)
		found := v.tables[s.lookup].rows[key]
		if !ok || found == nil {
			return "", false
		}
		text, missing = found[v.tables[s.lookup].columns[s.column]], s.lookup.missing
	case s.template != nil:
		var b strings.Builder
		for i, part := range s.template {
			if i%2 == 1 {
				part = strings.TrimSpace(v.cells[v.columns[part]])
				if slices.Contains(missing, part) {
					return "", false
				}
			}
			b.WriteString(part)
		}
		return b.String(), true
	default:
		text = v.cells[v.columns[s.column]]
	}
	text = strings.TrimSpace(text)
	if slices.Contains(missing, text) {
		return "", false
	}
	return text, true
}

// value is the source's value after map and default; false where there is none.
func (v *row) value(s *source) (string, bool, error) {
	text, ok := v.raw(s)
	v.shown = text
	if ok && s.values != nil && s.split == "" {
		mapped, known := s.mapped(text)
		if !known && s.unmapped == "reject" {
			return "", false, fmt.Errorf("%q is not in the map of line %d", faultText(text), s.line)
		}
		text, ok = mapped, mapped != ""
	}
	if !ok && s.fallback != nil {
		return *s.fallback, *s.fallback != "", nil
	}
	return text, ok, nil
}

// mapped looks a text up in the map of values.
func (s *source) mapped(text string) (string, bool) {
	to, known := s.values[text]
	switch {
	case known:
		return to, true
	case s.unmapped == "keep":
		return text, true
	}
	return "", false
}

func fill[T any](v *row, codec *record.Codec[T], e *emit) (*T, error) {
	r := new(T)
	for i := range e.fields {
		f := &e.fields[i]
		text, ok, err := v.value(f.from)
		if err != nil {
			return nil, record.FieldErrorf(f.target, "%v", err)
		}
		if !ok {
			continue
		}
		if f.money {
			err = v.setMoney(f, text, func(name, s string) error { return codec.Set(r, name, record.Cell{Text: strings.Clone(s)}) })
		} else {
			var cell record.Cell
			if cell, err = f.from.cell(f, text); err == nil {
				err = codec.Set(r, f.target, cell)
			}
		}
		var told *record.Error
		if err != nil && !errors.As(err, &told) {
			err = record.FieldErrorf(f.target, "%v", err)
		}
		if err != nil {
			return nil, err
		}
	}
	return r, nil
}

func (v *row) setMoney(f *fieldSource, text string, set func(name, s string) error) error {
	code, ok, err := v.value(f.from.currency)
	if err != nil {
		return err
	}
	v.shown = text
	if !ok {
		return fmt.Errorf("there is an amount %q but no currency", faultText(text))
	}
	digits, known := record.MinorDigits(code)
	if !known {
		v.shown = code
		return fmt.Errorf("currency %q is not an ISO 4217 code", faultText(code))
	}
	minor, err := minorUnits(text, digits, f.from.decimal, f.from.round)
	if err != nil {
		return err
	}
	if err := set(f.target+".amount", strconv.FormatInt(minor, 10)); err != nil {
		return err
	}
	return set(f.target+".currency", code)
}

// minorUnits reads a decimal amount as minor units. Spaces, apostrophes and
// the grouping mark that is not the decimal one are passed over.
func minorUnits(text string, digits int, decimal string, round bool) (int64, error) {
	plain, err := plainDecimal(text, decimal)
	if err != nil {
		return 0, err
	}
	body, negative := strings.CutPrefix(plain, "-")
	whole, frac, _ := strings.Cut(body, ".")
	if extra := frac[min(len(frac), digits):]; strings.Trim(extra, "0") != "" && !round {
		return 0, fmt.Errorf("%q has more than %d decimals, which the currency does not have: say round: true to round", faultText(text), digits)
	}
	up := len(frac) > digits && frac[digits] >= '5'
	for len(frac) < digits {
		frac += "0"
	}
	n, err := strconv.ParseInt(whole+frac[:digits], 10, 64)
	if err != nil || n > 1<<62 {
		return 0, fmt.Errorf("%q is not an amount that fits", faultText(text))
	}
	if up && round {
		n++
	}
	if negative {
		n = -n
	}
	return n, nil
}

// A decimal number as people write it, by its decimal mark: groups of digits
// may stand before the mark only.
var decimals = map[string]*regexp.Regexp{
	".": regexp.MustCompile(`^-?([0-9]+|[0-9]{1,3}(,[0-9]{2,3})*,[0-9]{3})(\.[0-9]+)?$`),
	",": regexp.MustCompile(`^-?([0-9]+|[0-9]{1,3}(\.[0-9]{2,3})*\.[0-9]{3})(,[0-9]+)?$`),
}

var spaces = strings.NewReplacer(" ", "", "\u00a0", "", "\u202f", "", "'", "", "’", "")

// plainDecimal brings a number written for people into the form -1234.5.
func plainDecimal(text, decimal string) (string, error) {
	group := ","
	if decimal == "," {
		group = "."
	} else {
		decimal = "."
	}
	plain := spaces.Replace(text)
	if !decimals[decimal].MatchString(plain) {
		if decimals[group].MatchString(plain) {
			return "", fmt.Errorf("%q is not a number with the decimal mark %q: say decimal: %q if that is its mark", faultText(text), decimal, group)
		}
		return "", fmt.Errorf("%q is not a decimal number", faultText(text))
	}
	return strings.Replace(strings.ReplaceAll(plain, group, ""), decimal, ".", 1), nil
}

// cell gives a text the form its field wants.
func (s *source) cell(f *fieldSource, text string) (record.Cell, error) {
	switch {
	case s.split != "":
		list := []string{}
		for _, item := range strings.Split(text, s.split) {
			if item = strings.TrimSpace(item); item == "" {
				continue
			}
			if s.values != nil {
				to, known := s.mapped(item)
				if !known && s.unmapped == "reject" {
					return record.Cell{}, fmt.Errorf("%q is not in the map of line %d", faultText(item), s.line)
				}
				if item = to; item == "" {
					continue
				}
			}
			list = append(list, strings.Clone(item))
		}
		return record.Cell{List: list}, nil
	case f.field.Type == "time":
		t, err := s.time(text)
		return record.Cell{Time: t}, err
	case s.numeric || f.field.Type == "number" || f.field.Type == "numbers by name":
		plain := text
		if s.decimal != "" {
			var err error
			if plain, err = plainDecimal(text, s.decimal); err != nil {
				return record.Cell{}, err
			}
		}
		return record.Cell{Text: plain, Number: s.numeric}, nil
	}
	return record.Cell{Text: strings.Clone(text)}, nil
}

// time reads a time by the first format that fits; without an offset in the
// text it is in the source's zone.
func (s *source) time(text string) (time.Time, error) {
	zone := s.zone
	if zone == nil {
		zone = time.UTC
	}
	for _, layout := range s.formats {
		if layout == "unix" || layout == "unix_ms" {
			n, err := strconv.ParseInt(text, 10, 64)
			if err != nil {
				continue
			}
			if layout == "unix" {
				return time.Unix(n, 0).UTC(), nil
			}
			return time.UnixMilli(n).UTC(), nil
		}
		if t, err := time.ParseInLocation(layout, text, zone); err == nil {
			return t.UTC(), nil
		}
	}
	return time.Time{}, fmt.Errorf("%q does not look like %s: give the format in line %d of the mapping", faultText(text), strings.Join(s.spelled, " or "), s.line)
}

// MinorUnits reads a decimal amount, with a point, as minor units of a currency:
// "12.5" EUR is 1250, "7" JPY is 7. Digits beyond the currency's, other than zeros,
// are an error, as is a currency that is not an ISO 4217 code.
func MinorUnits(text, currency string) (int64, error) {
	digits, ok := record.MinorDigits(currency)
	if !ok {
		return 0, fmt.Errorf("currency %q is not an ISO 4217 code", faultText(currency))
	}
	return minorUnits(text, digits, ".", false)
}
