package gateway

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"maps"
	"math"
	"slices"
	"strconv"
	"sync"
	"unicode/utf8"

	pb "bellwether/serving/gen/bellwether/v1"

	"github.com/grpc-ecosystem/grpc-gateway/v2/runtime"
	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/timestamppb"
)

// jsonMarshaler is a JSONPb that writes into memory it uses again, and decisions
// without reflection: a lead is answered with one, and protojson takes four times
// as long for it, most of that for maps.
type jsonMarshaler struct {
	runtime.JSONPb
	free sync.Pool // of *jsonWriter
}

func newJSON() *jsonMarshaler {
	return &jsonMarshaler{JSONPb: runtime.JSONPb{MarshalOptions: protojson.MarshalOptions{UseProtoNames: true, EmitDefaultValues: true}}}
}

// Marshal implements runtime.Marshaler.
func (j *jsonMarshaler) Marshal(v any) ([]byte, error) {
	m, ok := v.(proto.Message)
	if !ok {
		return j.JSONPb.Marshal(v)
	}
	w, _ := j.free.Get().(*jsonWriter)
	if w == nil {
		w = new(jsonWriter)
	}
	defer j.free.Put(w)
	w.b, w.odd = w.b[:0], false
	if d, ok := v.(*pb.Decision); ok {
		w.decision(d)
		if !w.odd {
			return slices.Clone(w.b), nil
		}
	}
	var err error
	w.b, err = j.MarshalAppend(w.b[:0], m)
	return slices.Clone(w.b), err
}

// NewDecoder implements runtime.Marshaler: what stands behind a body's message is
// an error, where JSONPb would leave it unread.
func (j *jsonMarshaler) NewDecoder(r io.Reader) runtime.Decoder {
	return runtime.DecoderFunc(func(v any) error {
		b, err := io.ReadAll(r)
		if err == nil && len(bytes.TrimSpace(b)) == 0 {
			err = io.EOF
		}
		if err == nil {
			if err = j.Unmarshal(b, v); err != nil {
				err = located(b, err)
			}
		}
		if err == nil && !json.Valid(b) {
			err = errors.New("something stands behind the JSON value: one request, one value")
		}
		return err
	})
}

// jsonWriter appends fields to b as protojson writes them.
type jsonWriter struct {
	b    []byte
	odd  bool // something is to be left to protojson: what is in b is of no use
	keys []string
}

func (w *jsonWriter) decision(d *pb.Decision) {
	w.b = append(w.b, '{')
	w.text("id", d.Id)
	w.text("lead", d.Lead)
	w.time("at", d.At)
	w.text("chosen", d.Chosen)
	w.float("propensity", d.Propensity)
	w.bool("explored", d.Explored)
	w.bool("degraded", d.Degraded)
	w.list("ranked", len(d.Ranked), func(i int) { w.ranked(d.Ranked[i]) })
	w.list("refusals", len(d.Refusals), func(i int) {
		w.b = append(w.b, '{')
		w.text("rule", d.Refusals[i].Rule)
		w.int("count", int64(d.Refusals[i].Count))
		w.b = append(w.b, '}')
	})
	w.texts("reasons", d.Reasons)
	w.text("plain_choice", d.PlainChoice)
	w.text("model", d.Model)
	w.text("accept_model", d.AcceptModel)
	w.text("policy", d.Policy)
	w.long("seed", d.Seed)
	w.long("position", d.Position)
	w.long("index_version", d.IndexVersion)
	w.long("fingerprint", d.Fingerprint)
	w.text("previous", d.Previous)
	w.text("offer", d.Offer)
	w.time("expires_at", d.ExpiresAt)
	w.text("latency_us", strconv.FormatInt(d.LatencyUs, 10))
	w.text("status", d.Status)
	w.int("eligible", int64(d.Eligible))
	w.list("candidates", len(d.Candidates), func(i int) { w.candidate(d.Candidates[i]) })
	w.text("lead_ref", d.LeadRef)
	w.b = append(w.b, '}')
}

func (w *jsonWriter) ranked(k *pb.Ranked) {
	w.b = append(w.b, '{')
	w.text("partner", k.Partner)
	w.floats(&[...]float64{k.Win, k.WinLo, k.WinHi, k.Accept, k.Value, k.Price, k.Prob})
	w.bool("enough", k.Enough)
	w.texts("reasons", k.Reasons)
	w.name("values")
	w.b = append(w.b, '{')
	w.keys = slices.AppendSeq(w.keys[:0], maps.Keys(k.Values))
	slices.Sort(w.keys)
	for _, key := range w.keys {
		w.float(key, k.Values[key])
	}
	w.b = append(w.b, "}}"...)
}

func (w *jsonWriter) candidate(c *pb.Candidate) {
	w.b = append(w.b, '{')
	w.text("partner", c.Partner)
	w.floats(&[...]float64{c.Win, c.WinLo, c.WinHi, c.Accept, c.Value, c.Price, c.Prob})
	w.b = append(w.b, '}')
}

// floats writes the numbers of a candidate.
func (w *jsonWriter) floats(of *[7]float64) {
	for i, name := range [...]string{"win", "win_lo", "win_hi", "accept", "value", "price", "prob"} {
		w.float(name, of[i])
	}
}

// name begins a field of an object.
func (w *jsonWriter) name(name string) {
	if w.b[len(w.b)-1] != '{' {
		w.b = append(w.b, ',')
	}
	w.quote(name)
	w.b = append(w.b, ':')
}

func (w *jsonWriter) text(name, s string) {
	w.name(name)
	w.quote(s)
}

// long writes a number that may not be one of JavaScript's.
func (w *jsonWriter) long(name string, n uint64) { w.text(name, strconv.FormatUint(n, 10)) }

func (w *jsonWriter) int(name string, n int64) {
	w.name(name)
	w.b = strconv.AppendInt(w.b, n, 10)
}

func (w *jsonWriter) bool(name string, is bool) {
	w.name(name)
	w.b = strconv.AppendBool(w.b, is)
}

func (w *jsonWriter) float(name string, x float64) {
	w.name(name)
	// JavaScript writes others with an exponent.
	if abs := math.Abs(x); !(x == 0 || 1e-6 <= abs && abs < 1e21) {
		w.exponent(x)
		return
	}
	w.b = strconv.AppendFloat(w.b, x, 'f', -1, 64)
}

// exponent writes a number that JavaScript would write with an exponent, of as
// few digits as that has.
func (w *jsonWriter) exponent(x float64) {
	w.odd = w.odd || math.IsNaN(x) || math.IsInf(x, 0)
	w.b = strconv.AppendFloat(w.b, x, 'e', -1, 64)
	if i := len(w.b) - 2; w.b[i-1] == '-' && w.b[i] == '0' {
		w.b = append(w.b[:i], w.b[i+1])
	}
}

// time writes a time to the second, or with 3, 6 or 9 digits more; no time is no
// field.
func (w *jsonWriter) time(name string, t *timestamppb.Timestamp) {
	if t == nil {
		return
	}
	layout := "2006-01-02T15:04:05.000000000Z"
	switch {
	case t.Nanos == 0:
		layout = "2006-01-02T15:04:05Z"
	case t.Nanos%1e6 == 0:
		layout = "2006-01-02T15:04:05.000Z"
	case t.Nanos%1e3 == 0:
		layout = "2006-01-02T15:04:05.000000Z"
	}
	w.odd = w.odd || !t.IsValid()
	w.name(name)
	w.b = append(w.b, '"')
	w.b = append(t.AsTime().AppendFormat(w.b, layout), '"')
}

func (w *jsonWriter) texts(name string, list []string) {
	w.list(name, len(list), func(i int) { w.quote(list[i]) })
}

func (w *jsonWriter) list(name string, n int, each func(i int)) {
	w.name(name)
	w.b = append(w.b, '[')
	for i := range n {
		if i > 0 {
			w.b = append(w.b, ',')
		}
		each(i)
	}
	w.b = append(w.b, ']')
}

// quote writes a text; one that would have to be escaped is odd.
func (w *jsonWriter) quote(s string) {
	plain := utf8.ValidString(s)
	for i := range len(s) {
		plain = plain && s[i] >= ' ' && s[i] != '"' && s[i] != '\\'
	}
	w.odd = w.odd || !plain
	w.b = append(append(append(w.b, '"'), s...), '"')
}
