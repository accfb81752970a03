package main

import (
	"iter"
	"math"
	"path/filepath"

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
// of its own, row for row beside them.
type outcomes struct {
	offers routing.Labels
	stays  *health.Labels
	made   *array.StringBuilder // events, of the offer rows
	months []features.Key       // of the month rows
}

func newOutcomes() *outcomes {
	return &outcomes{stays: health.NewLabels(health.Config{}), made: array.NewStringBuilder(memory.DefaultAllocator)}
}

func (o *outcomes) observe(e *record.Event) {
	o.offers.Observe(e)
	o.stays.Observe(e)
}

func (o *outcomes) ofOffers(rows *features.Rows) {
	for _, k := range rows.Keys {
		o.made.Append(string(k.Event))
	}
}

func (o *outcomes) ofMonths(rows *features.Rows) { o.months = append(o.months, rows.Keys...) }

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
	err := datasets.WriteParquet(filepath.Join(dir, "offer_labels.parquet"), offerLabels, labelled(offerLabels, o.made.Len(), func(b *array.RecordBuilder, i int) {
		id := record.EventID(o.made.Value(i))
		b.Field(0).(*array.StringBuilder).Append(string(id))
		b.Field(1).(*array.BooleanBuilder).Append(o.offers.First(id))
		appendLabel(b, 2)(o.offers.Win(id))
		appendLabel(b, 4)(o.offers.Accept(id))
	}))
	if err != nil {
		return err
	}
	return datasets.WriteParquet(filepath.Join(dir, "month_labels.parquet"), monthLabels, labelled(monthLabels, len(o.months), func(b *array.RecordBuilder, i int) {
		k := &o.months[i]
		b.Field(0).(*array.StringBuilder).Append(string(k.Partner))
		b.Field(1).(*array.TimestampBuilder).Append(arrow.Timestamp(k.At.Unix()))
		appendLabel(b, 2)(o.stays.Churn(k.Partner, k.At))
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
func labelled(schema *arrow.Schema, n int, row func(b *array.RecordBuilder, i int)) iter.Seq2[arrow.Record, error] {
	const batch = 1 << 16
	return func(yield func(arrow.Record, error) bool) {
		b := array.NewRecordBuilder(memory.DefaultAllocator, schema)
		defer b.Release()
		for from := 0; from < n; from += batch {
			for i := from; i < min(n, from+batch); i++ {
				row(b, i)
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
