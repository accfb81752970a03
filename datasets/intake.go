package datasets

import (
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"strings"

	"bellwether/datasets/record"

	"github.com/cespare/xxhash/v2"
)

// Report says what an import read and made of it.
type Report struct {
	Source     string            `json:"source"`
	Counts                       // rows of the files that records come from
	Files      []FileCounts      `json:"files"`
	Records    map[string]Counts `json:"records"` // by noun: partners, leads, events
	Quarantine string            `json:"quarantine,omitempty"`
	Notes      []string          `json:"notes,omitempty"` // what a reader of the counts should know
}

// FileCounts counts the rows of one source file. Skipped are those among Kept
// that gave no record, as the mapping says.
type FileCounts struct {
	File string `json:"file"`
	Counts
	Skipped int64 `json:"skipped"`
}

// Intake takes records out of foreign files into a data directory: it
// validates, merges repeats, sets aside what fails, counts, and puts events into
// the order of Known. A source row's records enter together or not at all.
//
// It remembers 16 bytes per record to find repeats.
type Intake struct {
	w          *Writer
	quarantine *Quarantine
	report     Report
	seen       map[uint64]uint64 // hash of noun and key → digest of the content
	events     *sorter
}

// NewIntake returns an intake into w, for a source of that name.
func NewIntake(w *Writer, source string) *Intake {
	return &Intake{w: w, quarantine: w.Quarantine(), seen: map[uint64]uint64{}, events: &sorter{limit: arenaBytes},
		report: Report{Source: source, Records: map[string]Counts{}}}
}

// File begins the counts of a source file; Row and Reject count into the file
// begun last.
func (in *Intake) File(name string) {
	in.report.Files = append(in.report.Files, FileCounts{File: name})
}

// Note adds a remark to the report.
func (in *Intake) Note(format string, args ...any) {
	in.report.Notes = append(in.report.Notes, fmt.Sprintf(format, args...))
}

func (in *Intake) file() *FileCounts { return &in.report.Files[len(in.report.Files)-1] }

// Reject sets rows of the source aside: those at the given places.
func (in *Intake) Reject(reason error, places ...Fault) {
	for _, place := range places {
		fault := faultOf(reason)
		fault.File, fault.Line, fault.Row = place.File, place.Line, place.Row
		fault.Column, fault.Value = cmp.Or(fault.Column, place.Column), cmp.Or(fault.Value, faultText(place.Value))
		in.quarantine.Add(fault)
		in.file().In++
		in.file().Quarantined++
	}
}

// Row takes the records of one or more source rows, at the given places: each a
// *record.Partner, *record.Lead or *record.Event. A record that does not
// validate, or contradicts an earlier one, sets the rows aside. The error is of
// the disk.
func (in *Intake) Row(records []any, places ...Fault) error {
	fresh := make([]any, 0, len(records))
	for _, r := range records {
		news, err := in.sift(r)
		if err != nil {
			in.count(records, func(c *Counts) { c.Quarantined++ })
			in.forget(fresh)
			in.Reject(err, places...)
			return nil
		}
		if news {
			fresh = append(fresh, r)
		}
	}
	in.count(records, func(c *Counts) { c.Kept++ })
	for _, r := range records {
		if !contains(fresh, r) {
			in.count([]any{r}, func(c *Counts) { c.In--; c.Repeats++ })
		}
	}
	f := in.file()
	f.In, f.Kept = f.In+int64(len(places)), f.Kept+int64(len(places))
	if len(records) == 0 {
		f.Skipped += int64(len(places))
	}
	for _, r := range fresh {
		if err := in.write(r); err != nil {
			return err
		}
	}
	return nil
}

func contains(list []any, r any) bool {
	for _, x := range list {
		if x == r {
			return true
		}
	}
	return false
}

func (in *Intake) count(records []any, f func(*Counts)) {
	for _, r := range records {
		name := nounOf(r)
		c := in.report.Records[name]
		c.In++
		f(&c)
		in.report.Records[name] = c
	}
}

func nounOf(r any) string {
	switch r.(type) {
	case *record.Partner:
		return "partners"
	case *record.Lead:
		return "leads"
	}
	return "events"
}

func (in *Intake) write(r any) error {
	switch r := r.(type) {
	case *record.Partner:
		return in.w.Partner(r)
	case *record.Lead:
		return in.w.Lead(r)
	case *record.Event:
		return in.events.add(r, 0, 0)
	}
	return record.Errorf(record.Internal, "import", "%T is not a record", r)
}

// sift validates a record and says whether it is news.
func (in *Intake) sift(r any) (bool, error) {
	var err error
	switch r := r.(type) {
	case *record.Partner:
		err = r.Validate()
	case *record.Lead:
		err = r.Validate()
	case *record.Event:
		err = r.Validate()
	}
	if err != nil {
		var e *record.Error
		if errors.As(err, &e) {
			err = record.FieldErrorf(e.Field, "%s (of the %s)", e.Msg, strings.TrimSuffix(nounOf(r), "s"))
		}
		return false, err
	}
	key := keyOf(r)
	doc, err := json.Marshal(r)
	if err != nil {
		return false, record.Errorf(record.Invalid, "", "%v", err)
	}
	digest := xxhash.Sum64(doc)
	old, again := in.seen[key]
	if again && old != digest {
		return false, record.FieldErrorf("id", "an earlier row made a %s with this id and other content; that one is kept", strings.TrimSuffix(nounOf(r), "s"))
	}
	in.seen[key] = digest
	return !again, nil
}

// forget takes back the memory of records that do not enter after all.
func (in *Intake) forget(records []any) {
	for _, r := range records {
		delete(in.seen, keyOf(r))
	}
}

func keyOf(r any) uint64 {
	var key []byte
	switch r := r.(type) {
	case *record.Partner:
		key = partnerNoun.key(append(key, 'p'), r)
	case *record.Lead:
		key = leadNoun.key(append(key, 'l'), r)
	case *record.Event:
		key = eventNoun.key(append(key, 'e'), r)
	}
	return xxhash.Sum64(key)
}

// Finish writes the events in order and closes the quarantine. Closing or
// aborting the Writer is left to its owner.
func (in *Intake) Finish() (*Report, error) {
	defer in.events.close()
	err := in.events.each(func(e *record.Event, _ int, _ int64) error { return in.w.Event(e) })
	if err = cmp.Or(err, in.quarantine.Close()); err != nil {
		return nil, err
	}
	for _, f := range in.report.Files {
		in.report.Add(f.Counts)
	}
	if in.quarantine.Path() != "" {
		in.report.Quarantine = "quarantine.jsonl"
	}
	in.w.SetSource(SourceCounts{Name: in.report.Source, Counts: in.report.Counts})
	return &in.report, nil
}

// Drop ends an intake that failed: it removes what it kept in temporary files.
func (in *Intake) Drop() { in.events.close() }
