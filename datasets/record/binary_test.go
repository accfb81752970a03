package record

import (
	"bytes"
	"fmt"
	"math"
	"reflect"
	"runtime"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"
)

// fill draws every field of a record, found by reflection, so that a field
// added to a noun and forgotten in its encoding fails the round trip.
func fill(t *rapid.T, v reflect.Value) {
	switch v.Interface().(type) {
	case time.Time:
		if rapid.Bool().Draw(t, "known time") {
			sec := rapid.Int64Range(-1e11, 1e11).Draw(t, "sec")
			v.Set(reflect.ValueOf(time.Unix(sec, rapid.Int64Range(0, 999_999_999).Draw(t, "nsec")).UTC()))
		}
		return
	case Value:
		v.Set(reflect.ValueOf(drawValue(t)))
		return
	}
	switch v.Kind() {
	case reflect.String:
		v.SetString(rapid.StringN(0, 8, 24).Draw(t, "text"))
	case reflect.Int, reflect.Int64:
		v.SetInt(rapid.Int64().Draw(t, "int"))
	case reflect.Uint64:
		v.SetUint(rapid.Uint64().Draw(t, "uint"))
	case reflect.Uint8:
		v.SetUint(uint64(rapid.Byte().Draw(t, "byte")))
	case reflect.Float64:
		v.SetFloat(rapid.Float64().Draw(t, "float"))
	case reflect.Bool:
		v.SetBool(rapid.Bool().Draw(t, "bool"))
	case reflect.Slice:
		if n := rapid.IntRange(0, 4).Draw(t, "len"); n > 0 {
			v.Set(reflect.MakeSlice(v.Type(), n, n))
			for i := range n {
				fill(t, v.Index(i))
			}
		}
	case reflect.Map:
		if n := rapid.IntRange(0, 4).Draw(t, "entries"); n > 0 {
			v.Set(reflect.MakeMap(v.Type()))
			for range n {
				key, value := reflect.New(v.Type().Key()).Elem(), reflect.New(v.Type().Elem()).Elem()
				fill(t, key)
				fill(t, value)
				v.SetMapIndex(key, value)
			}
		}
	case reflect.Struct:
		for i := range v.NumField() {
			fill(t, v.Field(i))
		}
	default:
		panic(fmt.Sprintf("fill has no case for %v", v.Type()))
	}
}

func drawValue(t *rapid.T) Value {
	switch rapid.IntRange(0, 3).Draw(t, "kind") {
	case 1:
		return Text(rapid.StringN(0, 8, 24).Draw(t, "text"))
	case 2:
		return Number(rapid.Float64().Draw(t, "number"))
	case 3:
		if items := rapid.SliceOfN(rapid.StringN(0, 4, 12), 1, 3).Draw(t, "items"); len(items) > 0 {
			return List(items...)
		}
	}
	return Value{}
}

// codec is one noun's encoding, for tests that hold for all of them.
type codec struct {
	name   string
	blank  func() any
	encode func(any) []byte
	decode func([]byte, any) error
}

func codecOf[T any](name string, app func([]byte, *T) []byte, dec func([]byte, *T) error) codec {
	return codec{name, func() any { return new(T) },
		func(x any) []byte { return app(nil, x.(*T)) },
		func(b []byte, x any) error { return dec(b, x.(*T)) }}
}

var codecs = []codec{
	codecOf("event", AppendEvent, DecodeEvent),
	codecOf("partner", AppendPartner, DecodePartner),
	codecOf("lead", AppendLead, DecodeLead),
	codecOf("offer", AppendOffer, DecodeOffer),
	codecOf("decision", AppendDecision, DecodeDecision),
}

func TestBinaryRoundTrip(t *testing.T) {
	for _, c := range codecs {
		t.Run(c.name, func(t *testing.T) {
			rapid.Check(t, func(t *rapid.T) {
				want, got := c.blank(), c.blank()
				fill(t, reflect.ValueOf(want).Elem())
				fill(t, reflect.ValueOf(got).Elem()) // the decoder must replace all of it
				b := c.encode(want)
				if err := c.decode(b, got); err != nil {
					t.Fatal(err)
				}
				if !reflect.DeepEqual(got, want) {
					t.Fatalf("got  %+v\nwant %+v", got, want)
				}
				for cut := range len(b) {
					if err := c.decode(b[:cut], c.blank()); KindOf(err) != Incompatible {
						t.Fatalf("the first %d of %d bytes: %v, want an incompatible record", cut, len(b), err)
					}
				}
				if err := c.decode(append(b, 0), c.blank()); KindOf(err) != Incompatible {
					t.Fatalf("a byte too many: %v, want an incompatible record", err)
				}
			})
		})
	}
}

func TestBinaryRefuses(t *testing.T) {
	for _, c := range codecs {
		b := c.encode(c.blank())
		b[0] = max(binaryVersion, b[0]) + 1
		if err := c.decode(b, c.blank()); KindOf(err) != Incompatible {
			t.Errorf("%s of another version: %v, want incompatible", c.name, err)
		}
	}
	e := AppendEvent(nil, &Event{Type: DealWon})
	e[2] = 0x7f // the type's position
	if err := DecodeEvent(e, new(Event)); KindOf(err) != Incompatible {
		t.Errorf("an event type beyond the list: %v, want incompatible", err)
	}
	for what, first := range map[string][]byte{
		"shares an id with nobody":    append([]byte{1, 0, 0}, make([]byte, 7)...),
		"has more numbers than seven": append([]byte{0, 0, 0x80}, make([]byte, 7)...),
	} {
		var w writer
		w.candidates(make([]Candidate, 1))
		d := AppendDecision(nil, &Decision{IndexVersion: 1 << 40, Candidates: make([]Candidate, 1)})
		at := bytes.Index(d, append([]byte{0}, w.b...)) // after no refusals
		copy(d[at+2:], first)
		if err := DecodeDecision(d, new(Decision)); KindOf(err) != Incompatible {
			t.Errorf("a candidate that %s: %v, want incompatible", what, err)
		}
	}
}

// A short record claims a list of a billion items; decoding it must not try to
// make room for them.
func TestBinaryHostileLengths(t *testing.T) {
	huge := []byte{0x80, 0x94, 0xeb, 0xdc, 0x03} // 1e9 as uvarint
	for _, c := range codecs {
		valid := c.encode(c.blank())
		for at := 1; at < len(valid); at++ {
			b := append(append(bytes.Clone(valid[:at]), huge...), valid[at:]...)
			var before, after runtime.MemStats
			runtime.ReadMemStats(&before)
			_ = c.decode(b, c.blank())
			runtime.ReadMemStats(&after)
			if got := after.TotalAlloc - before.TotalAlloc; got > 1<<20 {
				t.Fatalf("%s with a huge length at byte %d made %d bytes", c.name, at, got)
			}
		}
	}
}

// Candidates that share ids and numbers come back as they were, in fewer bytes;
// and a decision in the layout of version 1 still reads the same.
func TestCandidatesPack(t *testing.T) {
	number := rapid.SampledFrom([]float64{0, math.Copysign(0, -1), 0.25, 1, math.Inf(1), math.NaN(), 1e-9})
	id := rapid.StringMatching("(part|partner-|" + strings.Repeat("long", 70) + ")[0-9]{0,2}")
	rapid.Check(t, func(t *rapid.T) {
		want := &Decision{ID: "d", Lead: "l", Policy: "p", IndexVersion: 1 << 40}
		for range rapid.IntRange(0, 40).Draw(t, "n") {
			c := Candidate{Partner: PartnerID(id.Draw(t, "id"))}
			for _, x := range c.numbers() {
				if *x = number.Draw(t, "number"); rapid.Bool().Draw(t, "odd") {
					*x = rapid.Float64().Draw(t, "of its own")
				}
			}
			want.Candidates = append(want.Candidates, c)
		}
		for version, b := range [][]byte{1: firstVersion(want), 2: AppendDecision(nil, want)} {
			if b == nil {
				continue
			}
			var got Decision
			if err := DecodeDecision(b, &got); err != nil {
				t.Fatalf("version %d: %v", version, err)
			}
			// By their bits: a NaN is not equal to itself.
			if !bytes.Equal(firstVersion(&got), firstVersion(want)) {
				t.Fatalf("version %d:\ngot  %+v\nwant %+v", version, got, *want)
			}
		}
	})
	d := benchDecision(500)
	for i := range d.Candidates {
		d.Candidates[i].WinLo, d.Candidates[i].WinHi, d.Candidates[i].Prob = d.Candidates[i].Win, 0.5, math.Exp(float64(-i))
	}
	if packed, plain := len(AppendDecision(nil, d)), len(firstVersion(d)); 2*packed > plain {
		t.Errorf("%d bytes, plain %d", packed, plain)
	}
}

// firstVersion is a decision that refused nobody, as version 1 wrote it. It finds
// where the candidates go by the index version.
func firstVersion(d *Decision) []byte {
	rest := *d
	rest.Candidates = nil
	b := AppendDecision(nil, &rest)
	b[0] = 1
	var w writer
	w.uint(d.IndexVersion)
	w.uint(0) // refusals
	head := w.b
	at := bytes.Index(b, append(head, 0)) // no candidates
	w.b = append(bytes.Clone(b[:at]), head...)
	w.uint(uint64(len(d.Candidates)))
	for i := range d.Candidates {
		w.candidate(&d.Candidates[i])
	}
	return append(w.b, b[at+len(head)+1:]...)
}

func fuzzCodec(f *testing.F, c codec) {
	f.Add(c.encode(c.blank()))
	rapidSeed := rapid.Custom(func(t *rapid.T) []byte {
		x := c.blank()
		fill(t, reflect.ValueOf(x).Elem())
		return c.encode(x)
	})
	for seed := range 8 {
		f.Add(rapidSeed.Example(seed))
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		x := c.blank()
		if err := c.decode(b, x); err != nil {
			if KindOf(err) != Incompatible {
				t.Fatalf("kind %v of %v", KindOf(err), err)
			}
			return
		}
		again := c.blank()
		first := c.encode(x)
		if err := c.decode(first, again); err != nil {
			t.Fatalf("what was decoded does not encode: %v", err)
		}
		if !bytes.Equal(c.encode(again), first) {
			t.Fatal("encoding is not stable")
		}
	})
}

func FuzzDecodeEvent(f *testing.F)   { fuzzCodec(f, codecs[0]) }
func FuzzDecodePartner(f *testing.F) { fuzzCodec(f, codecs[1]) }
func FuzzDecodeLead(f *testing.F)    { fuzzCodec(f, codecs[2]) }
func FuzzDecodeOffer(f *testing.F)   { fuzzCodec(f, codecs[3]) }
func FuzzDecodeDecision(f *testing.F) {
	f.Add(firstVersion(benchDecision(3)))
	f.Add(AppendDecision(nil, benchDecision(3)))
	fuzzCodec(f, codecs[4])
}

func benchDecision(candidates int) *Decision {
	d := &Decision{ID: "01931b7e-0000-7000-8000-000000000000", Lead: "lead-1", Policy: "default:abc", At: time.Unix(1e9, 5).UTC(), IndexVersion: 1 << 40}
	for i := range candidates {
		d.Candidates = append(d.Candidates, Candidate{Partner: PartnerID(fmt.Sprintf("partner-%05d", i)),
			Win: 1 / float64(i+1), Value: math.Sqrt(float64(i))})
	}
	return d
}

func BenchmarkAppendDecision5000(b *testing.B) {
	d := benchDecision(5000)
	var buf []byte
	for b.Loop() {
		buf = AppendDecision(buf[:0], d)
	}
	b.SetBytes(int64(len(buf)))
}

func BenchmarkDecodeDecision5000(b *testing.B) {
	buf := AppendDecision(nil, benchDecision(5000))
	b.SetBytes(int64(len(buf)))
	for b.Loop() {
		if err := DecodeDecision(buf, new(Decision)); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkDecodeEvent(b *testing.B) {
	buf := AppendEvent(nil, &Event{ID: "01931b7e-0000-7000-8000-000000000000", Type: PortalLogin, At: time.Unix(1e9, 0).UTC(), Partner: "partner-00001"})
	var e Event
	for b.Loop() {
		if err := DecodeEvent(buf, &e); err != nil {
			b.Fatal(err)
		}
	}
}
