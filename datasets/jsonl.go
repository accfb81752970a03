package datasets

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"regexp"
	"slices"
	"strings"
	"time"
	"unicode/utf8"

	"bellwether/datasets/record"
)

// maxLine bounds one JSON line: a decision with 10,000 candidates fits.
const maxLine = 16 << 20

// readLines reads a file of one JSON object a line.
func readLines[T any](ctx context.Context, f *file, w wanted[T], give func() *chunk[T], take func(*chunk[T]) error) error {
	closer, bytesRead, in, err := f.open()
	if err != nil {
		return err
	}
	defer closer.Close()
	skipBOM(in)
	w.decode = w.quickly()
	lines := lineReader{in: in}
	c := give()
	c.reset(f)
	var n int64
	for {
		line, err := lines.next()
		if err == io.EOF {
			break
		}
		n++
		if err != nil && !errors.Is(err, errLineTooLong) {
			return f.broken(err, fmt.Sprintf("line %d", n-1))
		}
		if len(line) == 0 && err == nil {
			continue
		}
		if n == 1 && err == nil && line[0] != '{' {
			return f.notLines(line)
		}
		c.add(n, line, err, w)
		if len(c.rows)+len(c.faults) >= chunkRows {
			c.done = bytesRead.n.Load()
			if err := take(c); err != nil {
				return err
			}
			if err := ctx.Err(); err != nil {
				return err
			}
			c = give()
			c.reset(f)
		}
	}
	if n == 0 {
		return f.errorf("holds no line: write it again, or remove it")
	}
	c.done = f.size
	return take(c)
}

// quickly returns the decoding of a line, tried the quick way first.
func (w wanted[T]) quickly() func(line []byte, r *T) error {
	quick, strict := w.codec.Lines(w.only), w.decode
	if strict == nil {
		strict = func(line []byte, r *T) error { return decodeLine(w.codec, line, r) }
	}
	return func(line []byte, r *T) error {
		if utf8.Valid(line) && quick.Decode(line, r) {
			return nil
		}
		*r = *new(T)
		return strict(line, r)
	}
}

// notLines explains a file whose first line is not a JSON object.
func (f *file) notLines(line []byte) error {
	what := "does not begin with a JSON object"
	switch {
	case line[0] == '[':
		what = "holds a JSON array where one object a line is wanted (jq -c '.[]' makes them)"
	case !utf8.Valid(line) || bytes.ContainsRune(line, 0):
		what = "is not text in UTF-8"
	case bytes.ContainsAny(line, ",;\t"):
		what = "looks like CSV: use 'bellwether import csv' with a mapping"
	}
	return f.errorf("line 1 %s; it begins %q", what, faultText(string(line[:min(len(line), 60)])))
}

// add decodes a line into the chunk, as a row or as a fault.
func (c *chunk[T]) add(n int64, line []byte, err error, w wanted[T]) {
	c.rows = append(c.rows, *new(T))
	r := &c.rows[len(c.rows)-1]
	if err == nil {
		err = w.decode(line, r)
	}
	if err == nil && w.keep != nil {
		err = w.keep(r)
	}
	if err == nil {
		c.places = append(c.places, n)
		return
	}
	var zero T
	*r = zero
	c.rows = c.rows[:len(c.rows)-1]
	fault := faultOf(err)
	fault.File, fault.Line, fault.Value = c.file.name, n, valueIn(line, fault.Column)
	c.faults = append(c.faults, fault)
}

// valueIn finds what a JSON line holds at the top of a field's path; the whole
// line where that cannot be found.
func valueIn(line []byte, field string) string {
	var top map[string]json.RawMessage
	head := field
	if i := strings.IndexAny(field, ".["); i >= 0 {
		head = field[:i]
	}
	if json.Unmarshal(line, &top) == nil && top[head] != nil {
		return faultText(string(top[head]))
	}
	return faultText(string(line))
}

var errLineTooLong = fmt.Errorf("the line is longer than %d bytes", maxLine)

// lineReader splits lines, at LF or CRLF, up to maxLine.
type lineReader struct {
	in  *bufio.Reader
	buf []byte
}

// next returns a line without its end, valid until the next call. A line too
// long is passed over and reported.
func (l *lineReader) next() ([]byte, error) {
	l.buf = l.buf[:0]
	for {
		part, err := l.in.ReadSlice('\n')
		if err == nil && len(l.buf) == 0 {
			return bytes.TrimSpace(part), nil
		}
		if len(l.buf) <= maxLine {
			l.buf = append(l.buf, part...)
		}
		switch {
		case errors.Is(err, bufio.ErrBufferFull):
			continue
		case err == io.EOF && len(l.buf) == 0:
			return nil, io.EOF
		case err != nil && err != io.EOF:
			return nil, err
		case len(l.buf) > maxLine:
			return l.buf[:100], errLineTooLong
		}
		return bytes.TrimSpace(l.buf), nil
	}
}

// decodeLine decodes one JSON object strictly: a field that is none of the
// noun's is an error, not lost.
func decodeLine[T any](codec *record.Codec[T], line []byte, r *T) error {
	if !utf8.Valid(line) {
		return record.Errorf(record.Invalid, "", "the line is not valid UTF-8: export it as UTF-8")
	}
	if err := strictJSON(line, r); err != nil {
		var zero T
		*r = zero
		return explainJSON(codec, line, err)
	}
	codec.Tidy(r)
	return nil
}

func strictJSON(line []byte, r any) error {
	d := json.NewDecoder(bytes.NewReader(line))
	d.DisallowUnknownFields()
	if err := d.Decode(r); err != nil {
		return err
	}
	if d.InputOffset() != int64(len(line)) {
		return errors.New("there is more on the line after the object")
	}
	return nil
}

var unknownField = regexp.MustCompile(`unknown field "(.*)"`)

// explainJSON finds the field at fault by decoding each by itself.
func explainJSON[T any](codec *record.Codec[T], line []byte, err error) error {
	if m := unknownField.FindStringSubmatch(err.Error()); m != nil {
		return record.FieldErrorf(m[1], "is not a field of a %s: put a CRM's own fields into attributes; see 'bellwether schema %s'", codec.Noun(), codec.Noun())
	}
	var top map[string]json.RawMessage
	if json.Unmarshal(line, &top) != nil {
		return record.Errorf(record.Invalid, "", "the line is not a JSON object: %v", err)
	}
	names := make([]string, 0, len(top))
	for name := range top {
		names = append(names, name)
	}
	slices.Sort(names)
	for _, name := range names {
		one, _ := json.Marshal(map[string]json.RawMessage{name: top[name]})
		if err := json.Unmarshal(one, new(T)); err != nil {
			return record.FieldErrorf(name, "%s", plainJSON(err))
		}
	}
	return record.Errorf(record.Invalid, "", "%v", err)
}

// plainJSON says what is wrong without the names of Go types.
func plainJSON(err error) string {
	var kind *json.UnmarshalTypeError
	var when *time.ParseError
	switch {
	case errors.As(err, &when):
		return fmt.Sprintf("%s is not a time as RFC 3339 writes it, like 2026-03-31T14:05:00Z", when.Value)
	case errors.As(err, &kind):
		return fmt.Sprintf("holds a %s where %s is wanted", kind.Value, kind.Type.Kind())
	}
	return err.Error()
}
