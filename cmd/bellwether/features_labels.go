package main

import (
	"bufio"
	"cmp"
	"encoding/binary"
	"io"
	"iter"
	"math"
	"os"
	"path/filepath"
	"slices"
	"time"

	"bellwether/datasets"
	"bellwether/datasets/record"
	"bellwether/features"
	"bellwether/health"
	"bellwether/routing"

	"github.com/apache/arrow/go/v17/arrow"
	"github.com/apache/arrow/go/v17/arrow/array"
	"github.com/apache/arrow/go/v17/arrow/memory"
)

// outcomes gather what came of the rows of the training tables. It is known only
// at the end of the data, long after the rows are written: so it goes into files
// of its own, row for row beside them. Close them in any case.
type outcomes struct {
	offers routing.LabelSpill
	stays  *health.Labels
	made   *idSpill     // events, of the offer rows
	months []partnerDay // of the month rows
	err    error        // the first of observe
}

// partnerDay is a partner as of a moment.
type partnerDay struct {
	partner record.PartnerID
	at      int64 // Unix seconds
}

func newOutcomes() (*outcomes, error) {
	made, err := newIDSpill()
	return &outcomes{stays: health.NewLabels(health.Config{}), made: made}, err
}

func (o *outcomes) observe(e *record.Event) {
	o.err = cmp.Or(o.err, o.offers.Observe(e))
	o.stays.Observe(e)
}

func (o *outcomes) ofOffers(rows *features.Rows) error {
	for i := range rows.Keys {
		k := &rows.Keys[i]
		if err := cmp.Or(o.err, o.offers.Ask(k.Lead, k.Event), o.made.add(k.Event)); err != nil {
			return err
		}
	}
	return nil
}

func (o *outcomes) ofMonths(rows *features.Rows) {
	for i := range rows.Keys {
		o.months = append(o.months, partnerDay{rows.Keys[i].Partner, rows.Keys[i].At.Unix()})
	}
}

func (o *outcomes) close() error { return cmp.Or(o.offers.Close(), o.made.close()) }

// idSpill is a list of ids in a temporary file.
type idSpill struct {
	file *os.File
	out  *bufio.Writer
	n    int
}

func newIDSpill() (*idSpill, error) {
	f, err := os.CreateTemp("", "bellwether-ids-*")
	if err != nil {
		return nil, spillError(err)
	}
	return &idSpill{file: f, out: bufio.NewWriter(f)}, nil
}

func spillError(err error) error {
	return record.Errorf(record.Exhausted, "features", "a temporary file could not be used: %w; free some space, or set TMPDIR", err)
}

func (s *idSpill) add(id record.EventID) error {
	s.n++
	if _, err := s.out.Write(append(binary.AppendUvarint(s.out.AvailableBuffer(), uint64(len(id))), id...)); err != nil {
		return spillError(err)
	}
	return nil
}

// read returns a function that gives the ids from the first on.
func (s *idSpill) read() (next func() (record.EventID, error), err error) {
	if err := s.out.Flush(); err != nil {
		return nil, spillError(err)
	}
	if _, err := s.file.Seek(0, io.SeekStart); err != nil {
		return nil, spillError(err)
	}
	in, id := bufio.NewReader(s.file), []byte(nil)
	return func() (record.EventID, error) {
		n, err := binary.ReadUvarint(in)
		if err == nil {
			id = slices.Grow(id[:0], int(n))[:n]
			_, err = io.ReadFull(in, id)
		}
		if err != nil {
			return "", spillError(err)
		}
		return record.EventID(id), nil
	}, nil
}

func (s *idSpill) close() error { return cmp.Or(s.file.Close(), os.Remove(s.file.Name())) }

var (
	moment      = &arrow.TimestampType{Unit: arrow.Second, TimeZone: "UTC"}
	offerLabels = arrow.NewSchema([]arrow.Field{
		{Name: "event", Type: arrow.BinaryTypes.String},
		{Name: "first", Type: arrow.FixedWidthTypes.Boolean}, // the lead's first offer: what models are tested on
		{Name: "won", Type: arrow.FixedWidthTypes.Boolean, Nullable: true},
		{Name: "won_known_at", Type: moment, Nullable: true},
		{Name: "accepted", Type: arrow.FixedWidthTypes.Boolean, Nullable: true},
		{Name: "accepted_known_at", Type: moment, Nullable: true},
	}, nil)
	monthLabels = arrow.NewSchema([]arrow.Field{
		{Name: "partner", Type: arrow.BinaryTypes.String},
		{Name: "at", Type: moment},
		{Name: "left", Type: arrow.FixedWidthTypes.Boolean, Nullable: true},
		{Name: "left_known_at", Type: moment, Nullable: true},
	}, nil)
)

// write writes offer_labels.parquet and month_labels.parquet. A label is null
// where it is open at the end of the data, and where the row has none.
func (o *outcomes) write(dir string) error {
	if err := cmp.Or(o.err, o.offers.Settle()); err != nil {
		return err
	}
	made, err := o.made.read()
	if err != nil {
		return err
	}
	err = datasets.WriteParquet(filepath.Join(dir, "offer_labels.parquet"), offerLabels, labelled(offerLabels, o.made.n, func(b *array.RecordBuilder, i int) error {
		id, err := made()
		b.Field(0).(*array.StringBuilder).Append(string(id))
		b.Field(1).(*array.BooleanBuilder).Append(o.offers.First(i))
		appendLabel(b, 2)(o.offers.Win(i))
		appendLabel(b, 4)(o.offers.Accept(i))
		return err
	}))
	if err != nil {
		return err
	}
	return datasets.WriteParquet(filepath.Join(dir, "month_labels.parquet"), monthLabels, labelled(monthLabels, len(o.months), func(b *array.RecordBuilder, i int) error {
		k := &o.months[i]
		b.Field(0).(*array.StringBuilder).Append(string(k.partner))
		b.Field(1).(*array.TimestampBuilder).Append(arrow.Timestamp(k.at))
		appendLabel(b, 2)(o.stays.Churn(k.partner, time.Unix(k.at, 0).UTC()))
		return nil
	}))
}

// appendLabel adds a label and when it was known to the columns from j on.
func appendLabel(b *array.RecordBuilder, j int) func(y float64, known int64, counts bool) {
	return func(y float64, known int64, counts bool) {
		if !counts || known == math.MaxInt64 {
			b.Field(j).AppendNull()
			b.Field(j + 1).AppendNull()
			return
		}
		b.Field(j).(*array.BooleanBuilder).Append(y == 1)
		b.Field(j + 1).(*array.TimestampBuilder).Append(arrow.Timestamp(known))
	}
}

// labelled makes batches of n rows.
func labelled(schema *arrow.Schema, n int, row func(b *array.RecordBuilder, i int) error) iter.Seq2[arrow.Record, error] {
	const batch = 1 << 16
	return func(yield func(arrow.Record, error) bool) {
		b := array.NewRecordBuilder(memory.DefaultAllocator, schema)
		defer b.Release()
		for from := 0; from < n; from += batch {
			for i := from; i < min(n, from+batch); i++ {
				if err := row(b, i); err != nil {
					yield(nil, err)
					return
				}
			}
			r := b.NewRecord()
			more := yield(r, nil)
			r.Release()
			if !more {
				return
			}
		}
	}
}
