package datasets

import (
	"bufio"
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"unicode/utf8"

	"bellwether/datasets/record"
)

// Fault is one row that was set aside: where it stands, which field is wrong
// and why. It is one line of a quarantine file.
type Fault struct {
	File   string `json:"file"`
	Line   int64  `json:"line,omitempty"` // of a text file, from 1
	Row    int64  `json:"row,omitempty"`  // of a Parquet or Arrow file, from 1
	Column string `json:"column,omitempty"`
	Value  string `json:"value,omitempty"`
	Reason string `json:"reason"`
}

// maxShown is how much of a faulty value a quarantine line repeats.
const maxShown = 500

// faultText makes a value fit to be shown: valid UTF-8 of bounded length.
func faultText(s string) string {
	if len(s) > maxShown {
		s = s[:maxShown] + "…"
	}
	return strings.ToValidUTF8(s, "\uFFFD")
}

// faultOf turns a record's error into a fault; the place is for the caller to
// fill in.
func faultOf(err error) Fault {
	var e *record.Error
	if errors.As(err, &e) {
		return Fault{Column: faultText(e.Field), Reason: faultText(e.Msg)}
	}
	return Fault{Reason: faultText(err.Error())}
}

// Quarantine collects faults in a file that exists only once there is one. A
// fault the file already holds is not written again, so reading a directory
// twice does not list its bad rows twice.
type Quarantine struct {
	path  string
	file  *os.File
	out   *bufio.Writer
	known map[string]bool
	err   error
}

// NewQuarantine returns a quarantine that writes to path.
func NewQuarantine(path string) *Quarantine { return &Quarantine{path: path} }

// maxKnown bounds how many lines are remembered to keep them from being written
// twice: beyond it, lines may repeat.
const maxKnown = 100_000

// Add appends a fault. The first failure to write is kept for Close.
func (q *Quarantine) Add(f Fault) {
	if q.err != nil {
		return
	}
	if q.file == nil {
		if q.err = q.open(); q.err != nil {
			return
		}
	}
	line, err := json.Marshal(f)
	if err != nil {
		q.err = err
		return
	}
	if q.known[string(line)] {
		return
	}
	if len(q.known) < maxKnown {
		q.known[string(line)] = true
	}
	_, q.err = q.out.Write(append(line, '\n'))
}

func (q *Quarantine) open() error {
	q.known = map[string]bool{}
	old, err := os.Open(q.path)
	if err == nil {
		lines := bufio.NewScanner(old)
		lines.Buffer(nil, 1<<20)
		for lines.Scan() && len(q.known) < maxKnown {
			if utf8.Valid(lines.Bytes()) {
				q.known[lines.Text()] = true
			}
		}
		old.Close()
	}
	q.file, err = os.OpenFile(q.path, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o644)
	if err != nil {
		return record.Errorf(record.Unavailable, "quarantine", "%w: rows were found that must be set aside; name a file that can be written", err)
	}
	q.out = bufio.NewWriter(q.file)
	return nil
}

// Path returns where the faults are, "" if there were none.
func (q *Quarantine) Path() string {
	if q.file == nil {
		return ""
	}
	return q.path
}

// Close finishes the file and reports the first failure to write it.
func (q *Quarantine) Close() error {
	if q.file == nil {
		return q.err
	}
	for _, err := range []error{q.out.Flush(), q.file.Close()} {
		if q.err == nil && err != nil {
			q.err = record.Errorf(record.Exhausted, "quarantine", "%s: %w", filepath.Base(q.path), err)
		}
	}
	return q.err
}
