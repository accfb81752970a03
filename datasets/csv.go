package datasets

import (
	"bufio"
	"bytes"
	"encoding/csv"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"unicode/utf8"

	"bellwether/datasets/record"
)

// CSV reads a file of comma-separated values, plain or gzipped, row by row.
type CSV struct {
	Header []string
	file   *file
	disk   io.Closer
	read   *counted
	rows   *csv.Reader
	line   int64
}

// OpenCSV opens a CSV file; where there is none, the same name with .gz is
// tried. comma 0 means ','. A byte order mark is skipped.
func OpenCSV(path string, comma rune) (*CSV, error) {
	info, err := os.Stat(path)
	if err != nil && !strings.HasSuffix(path, ".gz") {
		if gz, gzErr := os.Stat(path + ".gz"); gzErr == nil {
			path, info, err = path+".gz", gz, nil
		}
	}
	if err != nil {
		return nil, record.Errorf(record.NotFound, "read", "%w: the file (or the same with .gz) is wanted here", err)
	}
	f := &file{path: path, name: filepath.Base(path), size: info.Size(), gzip: strings.HasSuffix(path, ".gz"), format: JSONLines}
	c := &CSV{file: f}
	var in *bufio.Reader
	if c.disk, c.read, in, err = f.open(); err != nil {
		return nil, err
	}
	if err := c.begin(in, comma); err != nil {
		c.disk.Close()
		return nil, err
	}
	return c, nil
}

func (c *CSV) begin(in *bufio.Reader, comma rune) error {
	if b, err := in.Peek(2); err == nil && (bytes.Equal(b, []byte{0xff, 0xfe}) || bytes.Equal(b, []byte{0xfe, 0xff})) {
		return c.file.errorf("is UTF-16: save it as 'CSV UTF-8'")
	}
	skipBOM(in)
	c.rows = csv.NewReader(in)
	c.rows.FieldsPerRecord = -1
	c.rows.ReuseRecord = true
	if comma != 0 {
		c.rows.Comma = comma
	}
	header, err := c.rows.Read()
	if err == io.EOF {
		return c.file.errorf("holds no header: its first line must name the columns")
	}
	if err != nil {
		return c.file.broken(err, "its beginning")
	}
	for _, h := range header {
		if !utf8.ValidString(h) {
			return c.file.errorf("the header is not valid UTF-8: export it as UTF-8")
		}
		c.Header = append(c.Header, strings.TrimSpace(h))
	}
	return nil
}

// Column returns the position of a column, or an error that says which there
// are.
func (c *CSV) Column(name string) (int, error) {
	at := slices.Index(c.Header, name)
	switch {
	case at < 0 && len(c.Header) == 1 && strings.ContainsAny(c.Header[0], ",;\t|"):
		other := c.Header[0][strings.IndexAny(c.Header[0], ",;\t|")]
		return 0, c.file.errorf("the header is a single column %q: is the delimiter %q?", faultText(c.Header[0]), other)
	case at < 0:
		return 0, c.file.errorf("there is no column %q; there are %s", name, faultText(strings.Join(c.Header, ", ")))
	case slices.Contains(c.Header[at+1:], name):
		return 0, c.file.errorf("there are two columns %q: rename one", name)
	}
	return at, nil
}

// Next returns the next row, valid until the next call. io.EOF ends the file; a
// *RowError is of that row alone; any other error ends the reading.
func (c *CSV) Next() ([]string, error) {
	row, err := c.rows.Read()
	var syntax *csv.ParseError
	switch {
	case errors.As(err, &syntax):
		c.line = int64(syntax.StartLine)
		if syntax.Line > syntax.StartLine {
			return nil, &RowError{c.Place(), record.Errorf(record.Invalid, "", "a quote opened in this row is not closed rightly until line %d, and all lines up to there were taken for one row: close it, or double it (\"\") where it is text", syntax.Line)}
		}
		return nil, &RowError{c.Place(), record.Errorf(record.Invalid, "", "%v: check the quotes of this row", syntax.Err)}
	case err == io.EOF:
		return nil, err
	case err != nil:
		return nil, c.file.broken(err, fmt.Sprintf("line %d", c.line))
	}
	line, _ := c.rows.FieldPos(0)
	c.line = int64(line)
	if len(row) != len(c.Header) {
		place := c.Place()
		place.Value = strings.Join(row, string(c.rows.Comma))
		return nil, &RowError{place, record.Errorf(record.Invalid, "", "the row has %d cells where the header names %d: a cell that holds the delimiter must be quoted", len(row), len(c.Header))}
	}
	for i, cell := range row {
		if !utf8.ValidString(cell) {
			place := c.Place()
			place.Column, place.Value = c.Header[i], cell
			return nil, &RowError{place, record.Errorf(record.Invalid, "", "the cell is not valid UTF-8: export the file as UTF-8")}
		}
	}
	return row, nil
}

// Place says where the row just read stands.
func (c *CSV) Place() Fault { return Fault{File: c.file.name, Line: c.line} }

// Name is the file's name.
func (c *CSV) Name() string { return c.file.name }

// Done and Size are bytes of the file as it is on disk.
func (c *CSV) Done() int64 { return c.read.n.Load() }

// Size is the file's size on disk.
func (c *CSV) Size() int64 { return c.file.size }

// Close closes the file.
func (c *CSV) Close() error { return c.disk.Close() }

// RowError is a row that cannot be read; the rows after it can.
type RowError struct {
	Place Fault
	Err   error
}

// Error says where and what.
func (e *RowError) Error() string { return e.Place.where() + ": " + e.Err.Error() }

// Unwrap returns what is wrong.
func (e *RowError) Unwrap() error { return e.Err }
