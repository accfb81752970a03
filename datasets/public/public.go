// Package public turns published data sets into records: an assignment log of
// an IT service desk (incidents) and the sellers, orders and lead funnel of a
// marketplace (olist). What each becomes is said at its function; ids are made
// from the files alone, so an import gives the same records every time.
package public

import (
	"context"
	"errors"
	"io"
	"os"
	"path/filepath"
	"strings"
	"time"

	"bellwether/datasets"
	"bellwether/datasets/record"
)

// Options are settings of an import; the zero value will do.
type Options struct {
	Progress func(doneBytes, totalBytes int64)
}

// find returns the path of a file in, or beside, what the caller named.
func find(in, name string) string {
	if info, err := os.Stat(in); err == nil && !info.IsDir() {
		if strings.HasPrefix(filepath.Base(in), strings.TrimSuffix(name, ".csv")) {
			return in
		}
		in = filepath.Dir(in)
	}
	return filepath.Join(in, name)
}

// sheet is a CSV file read by column name.
type sheet struct {
	*datasets.CSV
	at    map[string]int
	cells []string
}

func openSheet(path string, columns ...string) (*sheet, error) {
	c, err := datasets.OpenCSV(path, ',')
	if err != nil {
		return nil, err
	}
	s := &sheet{CSV: c, at: map[string]int{}}
	for _, name := range columns {
		if s.at[name], err = c.Column(name); err != nil {
			c.Close()
			return nil, err
		}
	}
	return s, nil
}

// get returns a cell; missing ones are "".
func (s *sheet) get(column string) string {
	text := strings.TrimSpace(s.cells[s.at[column]])
	if text == "?" {
		return ""
	}
	return text
}

// placeOf says where the row stands and what it holds in the column an error
// names.
func (s *sheet) placeOf(err error) datasets.Fault {
	place := s.Place()
	var e *record.Error
	if errors.As(err, &e) {
		if i, ok := s.at[e.Field]; ok {
			place.Value = s.cells[i]
		}
	}
	return place
}

// each calls f for every row that can be read and sets the others aside.
func (s *sheet) each(ctx context.Context, in *datasets.Intake, o Options, f func() error) error {
	in.File(s.Name())
	for n := 0; ; n++ {
		if n%4096 == 0 {
			if err := ctx.Err(); err != nil {
				return err
			}
			if o.Progress != nil {
				o.Progress(s.Done(), s.Size())
			}
		}
		cells, err := s.Next()
		var bad *datasets.RowError
		switch {
		case err == io.EOF:
			return nil
		case errors.As(err, &bad):
			in.Reject(bad.Err, bad.Place)
			continue
		case err != nil:
			return err
		}
		s.cells = cells
		if err := f(); err != nil {
			return err
		}
	}
}

// when reads a time in UTC; the error names the column.
func when(column, layout, text string) (time.Time, error) {
	if text == "" {
		return time.Time{}, record.FieldErrorf(column, "is missing")
	}
	t, err := time.Parse(layout, text)
	if err != nil {
		return time.Time{}, record.FieldErrorf(column, "%q is not a time like %s", text, layout)
	}
	return t, nil
}
