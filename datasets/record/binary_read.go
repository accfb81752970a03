package record

import (
	"encoding/binary"
	"math"
	"time"
)

// sharedText is the size up to which all texts of a record share one
// allocation. A longer record copies each, so that keeping an identifier does
// not keep the record's whole text alive.
const sharedText = 512

// reader takes fields off a record's bytes. After the first failure every
// field reads as zero, and end reports the failure.
type reader struct {
	b       []byte
	off     int
	version uint8
	shared  string // b as text, when short
	msg     string // first failure
}

// newReader reads the versions up to the newest.
func newReader(b []byte, newest uint8) *reader {
	r := &reader{b: b}
	switch {
	case len(b) == 0:
		r.fail("no bytes")
	case b[0] == 0 || b[0] > newest:
		r.fail("encoded by another version of the program")
	default:
		r.off, r.version = 1, b[0]
		if len(b) <= sharedText {
			r.shared = string(b)
		}
	}
	return r
}

func (r *reader) fail(msg string) {
	if r.msg == "" {
		r.msg = msg
		r.off = len(r.b)
	}
}

func (r *reader) end(noun string) error {
	if r.msg == "" && r.off != len(r.b) {
		r.fail("bytes left over")
	}
	if r.msg != "" {
		return Errorf(Incompatible, "decode "+noun, "%s", r.msg)
	}
	return nil
}

func (r *reader) uint() uint64 {
	x, n := binary.Uvarint(r.b[r.off:])
	if n <= 0 {
		r.fail("cut short")
		return 0
	}
	r.off += n
	return x
}

func (r *reader) int() int64 {
	x, n := binary.Varint(r.b[r.off:])
	if n <= 0 {
		r.fail("cut short")
		return 0
	}
	r.off += n
	return x
}

func (r *reader) uint64() uint64 {
	if len(r.b)-r.off < 8 {
		r.fail("cut short")
		return 0
	}
	x := binary.LittleEndian.Uint64(r.b[r.off:])
	r.off += 8
	return x
}

func (r *reader) float() float64 { return math.Float64frombits(r.uint64()) }

func (r *reader) byte() byte {
	if r.off >= len(r.b) {
		r.fail("cut short")
		return 0
	}
	r.off++
	return r.b[r.off-1]
}

func (r *reader) bool() bool {
	x := r.byte()
	if x > 1 {
		r.fail("a truth value is neither 0 nor 1")
	}
	return x == 1
}

// count reads a number of things that take at least size bytes each.
func (r *reader) count(size int) int {
	n := r.uint()
	if n > uint64(len(r.b)-r.off)/uint64(size) {
		r.fail("a count is larger than the record")
		return 0
	}
	return int(n)
}

func (r *reader) str() string {
	n := r.count(1)
	from := r.off
	r.off += n
	if r.shared != "" {
		return r.shared[from:r.off]
	}
	return string(r.b[from:r.off])
}

func (r *reader) bytes() []byte {
	n := r.count(1)
	if n == 0 {
		return nil
	}
	from := r.off
	r.off += n
	return append(make([]byte, 0, n), r.b[from:r.off]...)
}

// list reads a count and that many items, each at least size bytes long.
func list[T any](r *reader, size int, item func(*T)) []T {
	n := r.count(size)
	if n == 0 {
		return nil
	}
	out := make([]T, n)
	for i := range out {
		item(&out[i])
	}
	return out
}

func (r *reader) strs() []string { return list(r, 1, func(s *string) { *s = r.str() }) }

func (r *reader) time() time.Time {
	nanos := r.uint()
	if nanos == 0 {
		return time.Time{}
	}
	if nanos > 1e9 {
		r.fail("a time has more than a second of nanoseconds")
		return time.Time{}
	}
	return time.Unix(r.int(), int64(nanos)-1).UTC()
}

func (r *reader) span() Span {
	from := r.time()
	return Span{From: from, To: r.time()}
}

func (r *reader) money() Money {
	amount := r.int()
	return Money{Amount: amount, Currency: r.str()}
}

func (r *reader) place() Place {
	p := Place{Region: r.str(), Located: r.bool()}
	p.Lat = r.float()
	p.Lon = r.float()
	return p
}

func (r *reader) capacity() Capacity {
	c := Capacity{Units: int(r.int()), Period: r.str()}
	c.Weekdays = list(r, 1, func(d *time.Weekday) { *d = time.Weekday(r.int()) })
	c.Timezone = r.str()
	c.Absences = list(r, minSpan, func(s *Span) { *s = r.span() })
	return c
}

func (r *reader) numbers() map[string]float64 {
	n := r.count(1 + 8)
	if n == 0 {
		return nil
	}
	m := make(map[string]float64, n)
	last := ""
	for i := range n {
		name := r.name(&last, i)
		m[name] = r.float()
	}
	return m
}

// name reads the i-th name of a map, which must follow the last one.
func (r *reader) name(last *string, i int) string {
	name := r.str()
	if i > 0 && name <= *last {
		r.fail("the names of a map are not in order")
	}
	*last = name
	return name
}

func (r *reader) attributes() Attributes {
	n := r.count(2)
	if n == 0 {
		return nil
	}
	a := make(Attributes, n)
	last := ""
	for i := range n {
		name := r.name(&last, i)
		switch kind := ValueKind(r.byte()); kind {
		case NoValue:
			a[name] = Value{}
		case TextValue:
			a[name] = Text(r.str())
		case NumberValue:
			a[name] = Number(r.float())
		case ListValue:
			a[name] = List(r.strs()...)
		default:
			r.fail("an attribute's kind is newer than this program")
		}
	}
	return a
}

func (r *reader) candidate(c *Candidate) {
	c.Partner = PartnerID(r.str())
	if len(r.b)-r.off < 7*8 {
		r.fail("cut short")
		return
	}
	b := r.b[r.off:]
	for i, p := range c.numbers() {
		*p = math.Float64frombits(binary.LittleEndian.Uint64(b[8*i:]))
	}
	r.off += 7 * 8
}

// candidates reads what writer.candidates wrote.
func (r *reader) candidates() []Candidate {
	var seen [5]repeats
	var id []byte
	return list(r, minPacked, func(c *Candidate) {
		same := int(r.byte())
		if same > len(id) {
			r.fail("an id shares more than the one before has")
			return
		}
		n := r.count(1)
		id = append(id[:same], r.b[r.off:r.off+n]...)
		r.off += n
		c.Partner = PartnerID(id)
		flags := r.byte()
		for k, x := range c.numbers() {
			at := &seen[columnRepeats[k]]
			if flags>>k&1 == 0 {
				*x = math.Float64frombits(at[r.byte()])
				continue
			}
			bits := r.uint64()
			at[placeOf(bits)] = bits
			*x = math.Float64frombits(bits)
		}
		if flags>>7 != 0 {
			r.fail("a candidate has more numbers than this program knows")
		}
	})
}
