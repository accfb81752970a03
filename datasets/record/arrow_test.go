package record

import (
	"fmt"
	"math"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/apache/arrow/go/v17/arrow"
	"github.com/apache/arrow/go/v17/arrow/array"
	"github.com/apache/arrow/go/v17/arrow/memory"
	"pgregory.net/rapid"
)

// filled sets every field of a struct, at any depth, to something that is not
// its zero, differing by n: a field without a column then fails a round trip.
func filled(v reflect.Value, n int) {
	switch x := v.Addr().Interface().(type) {
	case *time.Time:
		*x = time.Date(2024, 1, 1+n, 2, 3, 4, 567_000, time.UTC)
		return
	case *Attributes:
		*x = Attributes{"text": Text(fmt.Sprint("t", n)), "number": Number(float64(n) + 0.5), "list": List("a", fmt.Sprint(n))}
		return
	case *time.Weekday:
		*x = time.Weekday(n%6 + 1)
		return
	}
	switch v.Kind() {
	case reflect.String:
		v.SetString(fmt.Sprint("s", n))
	case reflect.Int, reflect.Int64:
		v.SetInt(int64(n + 1))
	case reflect.Uint64:
		v.SetUint(1<<63 + uint64(n))
	case reflect.Uint8:
		v.SetUint(uint64(n%200 + 1))
	case reflect.Float64:
		v.SetFloat(float64(n) + 0.25)
	case reflect.Bool:
		v.SetBool(true)
	case reflect.Struct:
		for i := range v.NumField() {
			filled(v.Field(i), n+i)
		}
	case reflect.Slice:
		v.Set(reflect.MakeSlice(v.Type(), 2, 2))
		for i := range 2 {
			filled(v.Index(i), n+i)
		}
	case reflect.Map:
		v.Set(reflect.MakeMap(v.Type()))
		v.SetMapIndex(reflect.ValueOf(fmt.Sprint("k", n)), reflect.ValueOf(float64(n)))
	default:
		panic(v.Type())
	}
}

func roundTrip[T any](t *testing.T, codec *Codec[T]) {
	t.Run(codec.Noun(), func(t *testing.T) {
		var want []T
		b := codec.NewBuilder()
		for n := range 5 {
			var r T
			if n != 2 { // one that says nothing
				filled(reflect.ValueOf(&r).Elem(), n%3)
			}
			want = append(want, r)
			b.Append(&want[n])
		}
		batch := b.NewRecord()
		d, err := codec.Decoder(batch.Schema())
		if err != nil {
			t.Fatal(err)
		}
		for _, cut := range [][2]int64{{0, 5}, {1, 4}, {3, 5}} {
			part := batch.NewSlice(cut[0], cut[1])
			got := make([]T, part.NumRows())
			d.Decode(part, got, func(row int, err *Error) { t.Errorf("row %d: %v", row, err) })
			for i := range got {
				if w := want[int(cut[0])+i]; !reflect.DeepEqual(got[i], w) {
					t.Errorf("cut %v row %d: %s", cut, i, difference(got[i], w))
				}
			}
		}
	})
}

// difference names the fields in which two structs differ.
func difference[T any](got, want T) string {
	var out []string
	g, w := reflect.ValueOf(got), reflect.ValueOf(want)
	for i := range g.NumField() {
		if a, b := g.Field(i).Interface(), w.Field(i).Interface(); !reflect.DeepEqual(a, b) {
			out = append(out, fmt.Sprintf("%s: got %+v, want %+v", g.Type().Field(i).Name, a, b))
		}
	}
	return strings.Join(out, "; ")
}

func TestArrowRoundTripOfEveryField(t *testing.T) {
	roundTrip(t, Partners)
	roundTrip(t, Leads)
	roundTrip(t, Events)
	roundTrip(t, Decisions)
}

func TestDictionariesAreSharedAndGrow(t *testing.T) {
	b := Events.NewBuilder()
	b.Append(&Event{ID: "1", Partner: "p1"})
	first := b.Indices()
	b.Append(&Event{ID: "2", Partner: "p2"})
	b.Append(&Event{ID: "3", Partner: "p1"})
	second := b.Indices()
	join := b.Joiner()
	at := join.Schema().FieldIndices("partner")[0]
	one, two := join.Join(first).Column(at).(*array.Dictionary), join.Join(second).Column(at).(*array.Dictionary)
	if one.Dictionary().Data() != two.Dictionary().Data() {
		t.Error("two batches of one Joiner have dictionaries of their own")
	}
	if got := fmt.Sprint(one.ValueStr(0), two.ValueStr(0), two.ValueStr(1)); got != "p1p2p1" {
		t.Errorf("partners %s, want p1p2p1", got)
	}
}

func TestSchemaSaysWhatItIs(t *testing.T) {
	seen := map[string]bool{}
	for _, s := range []*arrow.Schema{Partners.Schema(), Leads.Schema(), Events.Schema(), Decisions.Schema()} {
		fp, _ := s.Metadata().GetValue(FingerprintKey)
		noun, _ := s.Metadata().GetValue(NounKey)
		if len(fp) != 16 || noun == "" || seen[fp] {
			t.Errorf("%s: fingerprint %q", noun, fp)
		}
		seen[fp] = true
		for _, f := range s.Fields() {
			if ts, ok := f.Type.(*arrow.TimestampType); ok && (ts.Unit != arrow.Microsecond || ts.TimeZone != "UTC") {
				t.Errorf("%s.%s: %v", noun, f.Name, ts)
			}
		}
	}
	for _, noun := range []string{"partner", "lead", "event", "decision"} {
		fields, err := FieldsOf(noun)
		if err != nil {
			t.Fatal(err)
		}
		for _, f := range fields {
			if f.Meaning == "" || f.Type == "" || f.Column == "" {
				t.Errorf("%s.%s lacks a description: %+v", noun, f.Name, f)
			}
		}
	}
	if _, err := FieldsOf("deal"); KindOf(err) != Invalid {
		t.Errorf("FieldsOf(deal) = %v", err)
	}
}

// A file of another program's making: large strings, nanoseconds, 32-bit numbers.
func TestDecoderReadsOtherLayouts(t *testing.T) {
	schema := arrow.NewSchema([]arrow.Field{
		{Name: "at", Type: arrow.FixedWidthTypes.Timestamp_ns}, {Name: "amount", Type: arrow.PrimitiveTypes.Int32},
		{Name: "id", Type: arrow.BinaryTypes.LargeString}, {Name: "type", Type: arrow.BinaryTypes.String}}, nil)
	b := array.NewRecordBuilder(memory.DefaultAllocator, schema)
	b.Field(0).(*array.TimestampBuilder).Append(1_700_000_000_123_456_789)
	b.Field(1).(*array.Int32Builder).Append(42)
	b.Field(2).(*array.LargeStringBuilder).Append("e1")
	b.Field(3).(*array.StringBuilder).Append("deal_won")
	d, err := Events.Decoder(schema)
	if err != nil {
		t.Fatal(err)
	}
	got := make([]Event, 1)
	d.Decode(b.NewRecord(), got, func(_ int, err *Error) { t.Error(err) })
	want := Event{ID: "e1", Type: DealWon, At: time.UnixMicro(1_700_000_000_123_456).UTC(), Amount: Money{Amount: 42}}
	if !reflect.DeepEqual(got[0], want) {
		t.Errorf("got %+v, want %+v", got[0], want)
	}
}

// Times of any unit and numbers of any width mean the same.
func TestDecoderReadsEveryWidth(t *testing.T) {
	p := &arrow.PrimitiveTypes
	wholes := []arrow.DataType{p.Int8, p.Int16, p.Int32, p.Int64, p.Uint8, p.Uint16, p.Uint32}
	floats := append([]arrow.DataType{p.Float32, p.Float64, p.Uint64}, wholes...)
	rapid.Check(t, func(t *rapid.T) {
		unit := rapid.SampledFrom([]arrow.TimeUnit{arrow.Second, arrow.Millisecond, arrow.Microsecond, arrow.Nanosecond}).Draw(t, "unit")
		schema := arrow.NewSchema([]arrow.Field{{Name: "id", Type: arrow.BinaryTypes.LargeString}, {Name: "created_at", Type: &arrow.TimestampType{Unit: unit}},
			{Name: "value", Type: rapid.SampledFrom(wholes).Draw(t, "whole"), Nullable: true},
			{Name: "place_lat", Type: rapid.SampledFrom(floats).Draw(t, "lat"), Nullable: true}, {Name: "place_lon", Type: rapid.SampledFrom(floats).Draw(t, "lon"), Nullable: true}}, nil)
		b := array.NewRecordBuilder(memory.DefaultAllocator, schema)
		var want []Lead
		for range rapid.IntRange(1, 5).Draw(t, "rows") {
			sec := rapid.Int64Range(-1e9, 4e9).Draw(t, "time")
			l := Lead{ID: LeadID(fmt.Sprint("l", len(want))), CreatedAt: time.Unix(sec, 0).UTC()}
			b.Field(0).(*array.LargeStringBuilder).Append(string(l.ID))
			b.Field(1).(*array.TimestampBuilder).Append(arrow.Timestamp(sec * int64(time.Second/unit.Multiplier())))
			if n := rapid.IntRange(0, 90).Draw(t, "n"); n < 60 {
				l.Value.Amount = int64(n)
				l.Place = Place{Lat: float64(n), Lon: float64(n), Located: true}
				for j := 2; j < 5; j++ {
					if err := b.Field(j).AppendValueFromString(fmt.Sprint(n)); err != nil {
						t.Fatal(err)
					}
				}
			} else {
				for j := 2; j < 5; j++ {
					b.Field(j).AppendNull()
				}
			}
			want = append(want, l)
		}
		d, err := Leads.Decoder(schema)
		if err != nil {
			t.Fatal(err)
		}
		got := make([]Lead, len(want))
		d.Decode(b.NewRecord(), got, func(_ int, err *Error) { t.Fatal(err) })
		if !reflect.DeepEqual(got, want) {
			t.Fatalf("%v: got %+v, want %+v", schema, got, want)
		}
	})
}

// A time that no calendar holds does not come round to one that it does.
func TestAbsurdTimesAreRefused(t *testing.T) {
	for _, unit := range []arrow.TimeUnit{arrow.Second, arrow.Millisecond, arrow.Microsecond} {
		for _, at := range []arrow.Timestamp{math.MaxInt64, math.MinInt64, math.MaxInt64 / 2, 1<<62 + 1} {
			schema := arrow.NewSchema([]arrow.Field{{Name: "id", Type: arrow.BinaryTypes.String}, {Name: "created_at", Type: &arrow.TimestampType{Unit: unit}}}, nil)
			b := array.NewRecordBuilder(memory.DefaultAllocator, schema)
			b.Field(0).(*array.StringBuilder).Append("l")
			b.Field(1).(*array.TimestampBuilder).Append(at)
			d, err := Leads.Decoder(schema)
			if err != nil {
				t.Fatal(err)
			}
			var got [1]Lead
			d.Decode(b.NewRecord(), got[:], func(_ int, err *Error) {})
			if err := got[0].Validate(); err == nil {
				t.Errorf("%d %v is taken for %v", at, unit, got[0].CreatedAt)
			}
		}
	}
}

func TestDecoderRefusesWithTheColumnsName(t *testing.T) {
	text, ts := arrow.BinaryTypes.String, arrow.FixedWidthTypes.Timestamp_us
	whole := func(types ...arrow.Field) *arrow.Schema { return arrow.NewSchema(types, nil) }
	for _, c := range []struct {
		name, want string
		schema     *arrow.Schema
	}{
		{"wrong type", "at: has type utf8 where a timestamp is wanted", whole(arrow.Field{Name: "id", Type: text}, arrow.Field{Name: "type", Type: text}, arrow.Field{Name: "at", Type: text})},
		{"number as id", "id: has type int64 where text", whole(arrow.Field{Name: "id", Type: arrow.PrimitiveTypes.Int64})},
		{"missing", "at: is missing", whole(arrow.Field{Name: "id", Type: text}, arrow.Field{Name: "type", Type: text})},
		{"unknown", "colour: is not a column of events", whole(arrow.Field{Name: "colour", Type: text})},
		{"list of numbers", "products: has type list", whole(arrow.Field{Name: "id", Type: text}, arrow.Field{Name: "type", Type: text}, arrow.Field{Name: "at", Type: ts},
			arrow.Field{Name: "products", Type: arrow.ListOf(arrow.PrimitiveTypes.Int64)})},
	} {
		_, err := Events.Decoder(c.schema)
		if err == nil || !strings.Contains(err.Error(), c.want) || KindOf(err) != Invalid {
			t.Errorf("%s: %v, want %q", c.name, err, c.want)
		}
	}
}

func TestDecodeReportsTheCellThatFails(t *testing.T) {
	schema := arrow.NewSchema([]arrow.Field{{Name: "id", Type: arrow.BinaryTypes.String},
		{Name: "created_at", Type: arrow.FixedWidthTypes.Timestamp_us}, {Name: "attributes", Type: arrow.BinaryTypes.String}}, nil)
	b := array.NewRecordBuilder(memory.DefaultAllocator, schema)
	b.Field(0).(*array.StringBuilder).AppendValues([]string{"a", "b"}, nil)
	b.Field(1).(*array.TimestampBuilder).AppendValues([]arrow.Timestamp{1, 2}, nil)
	b.Field(2).(*array.StringBuilder).AppendValues([]string{`{"x":1}`, `{"x":`}, nil)
	d, err := Leads.Decoder(schema)
	if err != nil {
		t.Fatal(err)
	}
	var failed []string
	rows := make([]Lead, 2)
	d.Decode(b.NewRecord(), rows, func(row int, err *Error) { failed = append(failed, fmt.Sprint(row, err.Field)) })
	if fmt.Sprint(failed) != "[1attributes]" || rows[0].Attributes["x"].Number() != 1 {
		t.Errorf("failed %v, rows %+v", failed, rows)
	}
}

func TestSet(t *testing.T) {
	now := time.Date(2024, 5, 6, 7, 8, 9, 0, time.UTC)
	var l Lead
	for name, v := range map[string]Cell{"id": {Text: "L1"}, "created_at": {Time: now}, "place.region": {Text: "DE"}, "place.lat": {Text: "52.5"},
		"place.lon": {Text: "13.4"}, "products": {List: []string{"a", "b"}}, "value.amount": {Text: "1250"}, "value.currency": {Text: "EUR"},
		"committed_spend": {Text: "Yes"}, "attributes.stage": {Text: "new"}, "attributes.tags": {List: []string{"x"}}} {
		if err := Leads.Set(&l, name, v); err != nil {
			t.Error(err)
		}
	}
	want := Lead{ID: "L1", CreatedAt: now, Place: Place{Region: "DE", Lat: 52.5, Lon: 13.4, Located: true}, Products: []string{"a", "b"},
		Value: Money{1250, "EUR"}, CommittedSpend: true, Attributes: Attributes{"stage": Text("new"), "tags": List("x")}}
	if !reflect.DeepEqual(l, want) {
		t.Errorf("got %+v, want %+v", l, want)
	}
	for name, v := range map[string]Cell{"created_at": {Text: "yesterday"}, "value.amount": {Text: "12.5"}, "place.lat": {Text: "north"},
		"committed_spend": {Text: "maybe"}, "colour": {Text: "red"}, "attributes": {Text: "x"}, "attributes.": {Text: "x"}} {
		err := Leads.Set(&l, name, v)
		if err == nil || !strings.Contains(err.Error(), name) {
			t.Errorf("Set(%s, %v) = %v", name, v, err)
		}
		if _, ok := Leads.Settable(name); ok != (name != "colour" && name != "attributes" && name != "attributes.") {
			t.Errorf("Settable(%s) = %v", name, ok)
		}
	}
}
