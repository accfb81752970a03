// Package datasets moves records in and out of files: JSON lines, Parquet and
// Arrow IPC, plain or gzipped, and CSV by way of a mapping.
//
// A data directory holds partners, leads, events and decisions, each in one
// file or many, by name: {partners,leads,events,decisions}*.{parquet,jsonl,json,
// arrow}, text and Arrow also with .gz, or in a sub-directory of that name.
// manifest.json, written last, lists the files with sizes and digests, the
// counts and the time windows; a directory without one is read all the same.
//
// A row that does not parse or validate is written to quarantine.jsonl with its
// file, row, field, value and the reason; it is counted and stops nothing. A
// file that cannot be read at all (cut off, of another format) is an error.
package datasets

import (
	"bellwether/datasets/record"
)

// Counts say what became of the rows of a source: In = Kept + Quarantined
// always. Repeats are the rows among Kept that said again what an earlier row
// had said, and were merged with it.
type Counts struct {
	In          int64 `json:"in"`
	Kept        int64 `json:"kept"`
	Repeats     int64 `json:"repeats"`
	Quarantined int64 `json:"quarantined"`
}

// Add sums counts.
func (c *Counts) Add(d Counts) {
	c.In += d.In
	c.Kept += d.Kept
	c.Repeats += d.Repeats
	c.Quarantined += d.Quarantined
}

// Format is how a file holds its records.
type Format uint8

// The formats a data directory may hold.
const (
	Parquet Format = iota
	JSONLines
	ArrowIPC
)

var formatNames = [...]string{"parquet", "jsonl", "arrow"}

// String returns the format's name, which is also its files' extension.
func (f Format) String() string { return formatNames[f] }

// ParseFormat is the inverse of String; another name is an Invalid error that
// lists them.
func ParseFormat(name string) (Format, error) {
	for i, n := range formatNames {
		if n == name {
			return Format(i), nil
		}
	}
	return 0, record.Errorf(record.Invalid, "", "%q is not a format: one of parquet, jsonl, arrow", name)
}

// ReadOptions are settings of a read; the zero value will do.
type ReadOptions struct {
	Quarantine string                            // file for rows that fail; "" means quarantine.jsonl in the directory
	Progress   func(doneBytes, totalBytes int64) // called now and then from the reading goroutine
}
