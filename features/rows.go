package features

import (
	"math/bits"
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
// missing number is null.
func (r *Rows) Record(mem memory.Allocator) arrow.Record {
	schema := r.set.OfferSchema()
	if r.months {
		schema = r.set.MonthSchema()
	}
	n, keys := len(r.Keys), schema.NumFields()-r.Width
	b := array.NewRecordBuilder(mem, arrow.NewSchema(schema.Fields()[:keys], nil))
	defer b.Release()
	b.Reserve(n)
	for i := range r.Keys {
		r.key(b, &r.Keys[i])
	}
	of := b.NewRecord()
	return array.NewRecord(schema, append(slices.Clone(of.Columns()), r.columns(n)...), int64(n))
}

// columns turns the rows' numbers into columns, eight rows at a time: eight
// numbers fill a cache line of a column and eight rows fit into the nearest
// cache, where a column at a time would read every line of the rows once each.
func (r *Rows) columns(n int) []arrow.Array {
	bytes := (n + 7) / 8
	values, bitmap, there := make([]float64, n*r.Width), make([]byte, bytes*r.Width), make([]int, r.Width)
	for from := 0; from < n; from += 8 {
		rows := r.X[from*r.Width : min(n, from+8)*r.Width]
		for j := range r.Width {
			valid := byte(0)
			for k, i := 0, j; i < len(rows); k, i = k+1, i+r.Width {
				x := rows[i]
				values[j*n+from+k] = x
				if x == x {
					valid |= 1 << k
				}
			}
			bitmap[j*bytes+from/8] = valid
			there[j] += bits.OnesCount8(valid)
		}
	}
	out := make([]arrow.Array, r.Width)
	for j := range out {
		buffers := []*memory.Buffer{memory.NewBufferBytes(bitmap[j*bytes:][:bytes]), memory.NewBufferBytes(arrow.GetBytes(values[j*n:][:n]))}
		out[j] = array.NewFloat64Data(array.NewData(arrow.PrimitiveTypes.Float64, n, buffers, nil, n-there[j], 0))
	}
	return out
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
