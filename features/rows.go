package features

import (
	"math"
	"slices"
	"strconv"

	"github.com/apache/arrow/go/v17/arrow"
	"github.com/apache/arrow/go/v17/arrow/array"
	"github.com/apache/arrow/go/v17/arrow/memory"
)

// Rows are training rows, one after another, with what each is of.
type Rows struct {
	Keys   []Key
	X      []float64 // row-major: len(Keys) times Width
	Width  int
	set    *Set
	months bool
}

// extend adds rows of these keys and returns where their numbers go.
func (r *Rows) extend(keys []Key) []float64 {
	n := len(r.X)
	r.Keys = append(r.Keys, keys...)
	r.X = slices.Grow(r.X, len(keys)*r.Width)[:len(r.Keys)*r.Width]
	return r.X[n:]
}

var timestamp = &arrow.TimestampType{Unit: arrow.Second, TimeZone: "UTC"}

// OfferSchema is the Arrow schema of offer rows: keys, then every feature. Its
// metadata names the feature set; a field's, the feature's unit and meaning.
func (s *Set) OfferSchema() *arrow.Schema {
	return s.arrowSchema([]arrow.Field{
		{Name: "lead", Type: arrow.BinaryTypes.String},
		{Name: "partner", Type: arrow.BinaryTypes.String},
		{Name: "event", Type: arrow.BinaryTypes.String},
		{Name: "offer", Type: arrow.BinaryTypes.String, Nullable: true},
		{Name: "at", Type: timestamp},
		{Name: "attempt", Type: arrow.PrimitiveTypes.Int32},
	}, s.features)
}

// MonthSchema is the Arrow schema of month rows: keys, then the features of a
// partner.
func (s *Set) MonthSchema() *arrow.Schema {
	_, from, to := s.Sides()
	return s.arrowSchema([]arrow.Field{
		{Name: "partner", Type: arrow.BinaryTypes.String},
		{Name: "at", Type: timestamp},
	}, s.features[from:to])
}

func (s *Set) arrowSchema(fields []arrow.Field, features []Feature) *arrow.Schema {
	for _, f := range features {
		fields = append(fields, arrow.Field{Name: f.Name, Type: arrow.PrimitiveTypes.Float64, Nullable: true,
			Metadata: arrow.NewMetadata([]string{"unit", "meaning", "kind"}, []string{f.Unit, f.Meaning, strconv.Itoa(int(f.Kind))})})
	}
	m := arrow.NewMetadata([]string{"bellwether.fingerprint"}, []string{s.fingerprint})
	return arrow.NewSchema(fields, &m)
}

// Record copies the rows into an Arrow record of OfferSchema or MonthSchema; a
// missing number is null. The caller releases it.
func (r *Rows) Record(mem memory.Allocator) arrow.Record {
	schema := r.set.OfferSchema()
	if r.months {
		schema = r.set.MonthSchema()
	}
	b := array.NewRecordBuilder(mem, schema)
	defer b.Release()
	b.Reserve(len(r.Keys))
	keys := schema.NumFields() - r.Width
	for i := range r.Keys {
		r.key(b, &r.Keys[i])
	}
	values, valid := make([]float64, len(r.Keys)), make([]bool, len(r.Keys))
	for j := range r.Width {
		for i := range values {
			values[i] = r.X[i*r.Width+j]
			valid[i] = !math.IsNaN(values[i])
		}
		b.Field(keys+j).(*array.Float64Builder).AppendValues(values, valid)
	}
	return b.NewRecord()
}

func (r *Rows) key(b *array.RecordBuilder, k *Key) {
	at := arrow.Timestamp(k.At.Unix())
	text := func(i int, s string) { b.Field(i).(*array.StringBuilder).Append(s) }
	if r.months {
		text(0, string(k.Partner))
		b.Field(1).(*array.TimestampBuilder).Append(at)
		return
	}
	text(0, string(k.Lead))
	text(1, string(k.Partner))
	text(2, string(k.Event))
	if k.Offer == "" {
		b.Field(3).AppendNull()
	} else {
		text(3, string(k.Offer))
	}
	b.Field(4).(*array.TimestampBuilder).Append(at)
	b.Field(5).(*array.Int32Builder).Append(int32(k.Attempt))
}
