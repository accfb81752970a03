package gateway

import (
	"bytes"
	"encoding/json"
	"math"
	"testing"

	pb "bellwether/serving/gen/bellwether/v1"

	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/types/known/timestamppb"
	"pgregory.net/rapid"
)

// anything draws a value for every field of a message, none of them odd.
type anything struct{ *rapid.T }

func (t anything) message(m protoreflect.Message) {
	if at, ok := m.Interface().(*timestamppb.Timestamp); ok {
		at.Seconds = rapid.Int64Range(-1e9, 4e9).Draw(t.T, "seconds")
		at.Nanos = rapid.SampledFrom([]int32{0, 1, 999_999_999, 100, 1_000, 100_000, 1_000_000, 100_000_000}).Draw(t.T, "nanos")
		return
	}
	fields := m.Descriptor().Fields()
	for i := range fields.Len() {
		switch f := fields.Get(i); {
		case f.IsMap():
			for range rapid.IntRange(0, 4).Draw(t.T, "entries") {
				m.Mutable(f).Map().Set(t.scalar(f.MapKey()).MapKey(), t.scalar(f.MapValue()))
			}
		case f.IsList():
			for range rapid.IntRange(0, 3).Draw(t.T, "items") {
				if list := m.Mutable(f).List(); f.Message() != nil {
					t.message(list.AppendMutable().Message())
				} else {
					list.Append(t.scalar(f))
				}
			}
		case f.Message() == nil:
			m.Set(f, t.scalar(f))
		case rapid.Bool().Draw(t.T, "has "+string(f.Name())):
			t.message(m.Mutable(f).Message())
		}
	}
}

func (t anything) scalar(f protoreflect.FieldDescriptor) protoreflect.Value {
	name := string(f.Name())
	switch f.Kind() {
	case protoreflect.StringKind:
		texts := rapid.StringMatching("[ -!#-Z_a-z~µ…\x7f]{0,9}")
		return protoreflect.ValueOfString(texts.Draw(t.T, name))
	case protoreflect.DoubleKind:
		floats := rapid.OneOf(rapid.Float64(), rapid.Float64Range(0, 1), rapid.SampledFrom([]float64{0, math.Copysign(0, -1), 1e-6, 9e-7, 1e21, -1e300, 1e-10}))
		return protoreflect.ValueOfFloat64(floats.Draw(t.T, name))
	case protoreflect.BoolKind:
		return protoreflect.ValueOfBool(rapid.Bool().Draw(t.T, name))
	case protoreflect.Int32Kind:
		return protoreflect.ValueOfInt32(rapid.Int32().Draw(t.T, name))
	case protoreflect.Int64Kind:
		return protoreflect.ValueOfInt64(rapid.Int64().Draw(t.T, name))
	case protoreflect.Uint64Kind:
		return protoreflect.ValueOfUint64(rapid.Uint64().Draw(t.T, name))
	}
	t.Fatalf("no value for a field of kind %s", f.Kind())
	return protoreflect.Value{}
}

// A message is written as protojson writes it, but for the blanks that package
// strews in; and a decision is left to it only for something odd.
func TestMarshalIsProtojson(t *testing.T) {
	j := newJSON()
	odd := map[string]func(d *pb.Decision){
		"nothing": nil,
		"quote":   func(d *pb.Decision) { d.Status = "\"" },
		"slash":   func(d *pb.Decision) { d.Status = "a\\b" },
		"control": func(d *pb.Decision) { d.Status = "\x1f" },
		"NaN":     func(d *pb.Decision) { d.Propensity = math.NaN() },
		"Inf":     func(d *pb.Decision) { d.Propensity = math.Inf(-1) },
		"UTF-8":   func(d *pb.Decision) { d.Status = "\xff" },
		"time":    func(d *pb.Decision) { d.At = &timestamppb.Timestamp{Nanos: -1} },
	}
	for name, change := range odd {
		t.Run(name, rapid.MakeCheck(func(t *rapid.T) {
			d, other := new(pb.Decision), new(pb.Standing)
			anything{t}.message(d.ProtoReflect())
			anything{t}.message(other.ProtoReflect())
			if change != nil {
				change(d)
			}
			if w := new(jsonWriter); change == nil {
				if w.decision(d); w.odd {
					t.Fatalf("left to protojson: %s", w.b)
				}
			}
			for _, m := range []proto.Message{d, other} {
				got, err := j.Marshal(m)
				want, wrong := j.JSONPb.Marshal(m)
				if (err == nil) != (wrong == nil) || compact(got) != compact(want) {
					t.Fatalf("wrote\n%s (%v), want\n%s (%v)", got, err, want, wrong)
				}
			}
		}))
	}
}

// compact is JSON without blanks, and nothing if it is not JSON.
func compact(b []byte) string {
	var out bytes.Buffer
	if json.Compact(&out, b) != nil {
		return ""
	}
	return out.String()
}

// plainDecision is of the size of those that leads are answered with.
func plainDecision() *pb.Decision {
	d := &pb.Decision{Id: "0190f6c2-8a55-7000-8000-5f1d3a6b9c2e", Lead: "lead", At: timestamppb.New(noon), Chosen: "p1", Propensity: 0.953125, Reasons: []string{"p1: chance to win 21 %", "12 of 5000 partners may have this lead"}, Seed: math.MaxUint64, Eligible: 12, Status: "offered"}
	for i := range 11 {
		k := &pb.Ranked{Partner: "partner", Win: 0.21 / float64(i+1), WinHi: 0.3, Accept: 0.91, Value: 1234.5, Prob: 0.001, Reasons: []string{"for it: won 12 of 40 deals…", "against it: 700 km away"}, Values: map[string]float64{}}
		for _, f := range "abcdefghijklmnopqrstuvwx" {
			k.Values["partner_feature_"+string(f)] = float64(f) / float64(i+7)
		}
		d.Ranked = append(d.Ranked, k)
	}
	return d
}

func BenchmarkMarshal(b *testing.B) {
	d := plainDecision()
	b.Run("json", func(b *testing.B) {
		j := newJSON()
		b.ReportAllocs()
		for b.Loop() {
			if _, err := j.Marshal(d); err != nil {
				b.Fatal(err)
			}
		}
	})
	b.Run("protojson", func(b *testing.B) {
		j := &newJSON().JSONPb
		b.ReportAllocs()
		for b.Loop() {
			if _, err := j.Marshal(d); err != nil {
				b.Fatal(err)
			}
		}
	})
}
