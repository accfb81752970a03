package record

import (
	"slices"
	"strconv"
	"strings"
	"time"
)

// LineDecoder reads the JSON of a record as this program and most others write
// it, several times as fast as encoding/json. It gives up on whatever is not
// plain: escapes, nulls, names in other case, a field said twice, any fault. So
// it needs no words for faults: encoding/json has to read such a line again. It
// is for one goroutine.
type LineDecoder[T any] struct {
	fields []lineField[T]
	texts  *interner
}

// lineField is one top-level field of the JSON.
type lineField[T any] struct {
	name   string
	parse  func(s *scanner, r *T) bool // nil: not for this decoder
	wanted bool
}

// Lines returns a decoder of JSON lines. If only is not nil, it names the
// columns to read; other fields are passed over, their values not looked at.
func (c *Codec[T]) Lines(only []string) *LineDecoder[T] {
	d := &LineDecoder[T]{texts: newInterner()}
	for i := range c.columns {
		col := &c.columns[i]
		name, _, _ := strings.Cut(col.Name, ".")
		if !slices.ContainsFunc(d.fields, func(f lineField[T]) bool { return f.name == name }) {
			d.fields = append(d.fields, lineField[T]{name, col.parse, only == nil || slices.Contains(only, col.Column)})
		}
	}
	return d
}

// Decode reads a line, which must be valid UTF-8, into a zero record and reports
// whether it could. If not, the record may be half filled. The record's own id
// shares memory with a copy of the line.
func (d *LineDecoder[T]) Decode(line []byte, r *T) bool {
	s := &scanner{in: string(line), texts: d.texts}
	var seen uint64
	at := 0
	ok := s.object(func(name string) bool {
		// Fields mostly come in the order of the columns.
		from := at
		for d.fields[at].name != name {
			if at = (at + 1) % len(d.fields); at == from {
				return false
			}
		}
		f := &d.fields[at]
		bit := uint64(1) << at
		if seen&bit != 0 {
			return false
		}
		seen |= bit
		if at++; at == len(d.fields) {
			at = 0
		}
		if !f.wanted {
			return s.skip()
		}
		return f.parse != nil && f.parse(s, r)
	})
	return ok && s.at == len(s.in)
}

// scanner reads plain JSON. Its methods report whether they found what they
// look for; after a false it is of no more use.
type scanner struct {
	in    string
	at    int
	texts *interner
}

// peek returns the next byte that is not space, 0 at the end.
func (s *scanner) peek() byte {
	for ; s.at < len(s.in); s.at++ {
		switch c := s.in[s.at]; c {
		case ' ', '\t', '\n', '\r':
		default:
			return c
		}
	}
	return 0
}

func (s *scanner) take(c byte) bool {
	if s.peek() != c {
		return false
	}
	s.at++
	return true
}

// object calls f at the value of every field.
func (s *scanner) object(f func(name string) bool) bool {
	return s.list('{', '}', func() bool {
		name, ok := s.quoted()
		return ok && s.take(':') && f(name)
	})
}

// list calls f at every item.
func (s *scanner) list(open, end byte, f func() bool) bool {
	if !s.take(open) {
		return false
	}
	if s.take(end) {
		return true
	}
	for f() {
		if s.take(end) {
			return true
		}
		if !s.take(',') {
			return false
		}
	}
	return false
}

// quoted returns a text without escapes; it shares memory with the input.
func (s *scanner) quoted() (string, bool) {
	if !s.take('"') {
		return "", false
	}
	from := s.at
	for ; s.at < len(s.in); s.at++ {
		switch c := s.in[s.at]; {
		case c == '"':
			s.at++
			return s.in[from : s.at-1], true
		case c == '\\' || c < ' ':
			return "", false
		}
	}
	return "", false
}

func (s *scanner) text(h holding) (string, bool) {
	text, ok := s.quoted()
	switch h {
	case copied:
		text = strings.Clone(text)
	case shared:
		text = s.texts.text(text)
	}
	return text, ok
}

// digits passes over decimal digits and returns how many there were.
func (s *scanner) digits() int {
	from := s.at
	for s.at < len(s.in) && s.in[s.at]-'0' <= 9 {
		s.at++
	}
	return s.at - from
}

// oneOf passes over one byte of a set.
func (s *scanner) oneOf(set string) bool {
	if s.at == len(s.in) || strings.IndexByte(set, s.in[s.at]) < 0 {
		return false
	}
	s.at++
	return true
}

// whole returns a whole number.
func (s *scanner) whole() (int64, bool) {
	s.peek()
	from := s.at
	s.oneOf("-")
	zero := s.at < len(s.in) && s.in[s.at] == '0'
	if n := s.digits(); n == 0 || n > 18 || zero && n > 1 || s.oneOf(".eE") {
		return 0, false
	}
	v, err := strconv.ParseInt(s.in[from:s.at], 10, 64)
	return v, err == nil
}

func (s *scanner) number() (float64, bool) {
	s.peek()
	from := s.at
	s.oneOf("-")
	zero := s.at < len(s.in) && s.in[s.at] == '0'
	if n := s.digits(); n == 0 || zero && n > 1 {
		return 0, false
	}
	if s.oneOf(".") && s.digits() == 0 {
		return 0, false
	}
	if s.oneOf("eE") {
		s.oneOf("+-")
		if s.digits() == 0 {
			return 0, false
		}
	}
	v, err := strconv.ParseFloat(s.in[from:s.at], 64)
	return v, err == nil
}

func (s *scanner) literal(word string) bool {
	s.peek()
	if !strings.HasPrefix(s.in[s.at:], word) {
		return false
	}
	s.at += len(word)
	return true
}

func (s *scanner) flag() (value, ok bool) {
	value = s.literal("true")
	return value, value || s.literal("false")
}

// words returns a list of at least one text.
func (s *scanner) words() ([]string, bool) {
	var items []string
	ok := s.list('[', ']', func() bool {
		text, ok := s.text(shared)
		items = append(items, text)
		return ok
	})
	return items, ok && len(items) > 0
}

// time returns a time in UTC as RFC 3339 writes it, in whole microseconds.
func (s *scanner) time() (time.Time, bool) {
	text, ok := s.quoted()
	if !ok || len(text) < len("2006-01-02T15:04:05Z") || text[4] != '-' || text[7] != '-' || text[10] != 'T' ||
		text[13] != ':' || text[16] != ':' || text[len(text)-1] != 'Z' {
		return time.Time{}, false
	}
	good := true
	num := func(from, to int) int {
		n := 0
		for _, c := range []byte(text[from:to]) {
			good = good && c-'0' <= 9
			n = 10*n + int(c-'0')
		}
		return n
	}
	year, month, day := num(0, 4), num(5, 7), num(8, 10)
	hour, minute, second, nanos := num(11, 13), num(14, 16), num(17, 19), 0
	if rest := len(text) - 1 - 19; rest > 0 {
		if text[19] != '.' || rest == 1 || rest > 10 {
			return time.Time{}, false
		}
		nanos = num(20, len(text)-1)
		for range 10 - rest {
			nanos *= 10
		}
	}
	if !good || year < 1 || month < 1 || month > 12 || day < 1 || day > 28 && day > daysIn(year, month) || hour > 23 || minute > 59 || second > 59 {
		return time.Time{}, false
	}
	return time.Date(year, time.Month(month), day, hour, minute, second, nanos-nanos%1000, time.UTC), true
}

func daysIn(year, month int) int {
	return time.Date(year, time.Month(month)+1, 0, 0, 0, 0, 0, time.UTC).Day()
}

// skip passes over a value.
func (s *scanner) skip() bool {
	switch s.peek() {
	case '"':
		_, ok := s.quoted()
		return ok
	case '{':
		return s.object(func(string) bool { return s.skip() })
	case '[':
		return s.list('[', ']', s.skip)
	case 't', 'f':
		_, ok := s.flag()
		return ok
	}
	_, ok := s.number()
	return ok
}

// money returns an amount and its currency, of which one must be there.
func (s *scanner) money() (m Money, ok bool) {
	amount, currency := false, false
	ok = s.object(func(name string) (ok bool) {
		switch {
		case name == "amount" && !amount:
			amount = true
			quoted := s.take('"')
			if quoted && s.at < len(s.in) && s.in[s.at] != '-' && s.in[s.at]-'0' > 9 {
				return false
			}
			m.Amount, ok = s.whole()
			return ok && (!quoted || s.oneOf(`"`))
		case name == "currency" && !currency:
			currency = true
			m.Currency, ok = s.text(shared)
			return ok
		}
		return false
	})
	return m, ok
}

func (s *scanner) place() (p Place, ok bool) {
	seen := ""
	ok = s.object(func(name string) (ok bool) {
		if name == "" || strings.Contains(seen, name) { // no name holds another
			return false
		}
		seen += name + " "
		switch name {
		case "region":
			p.Region, ok = s.text(shared)
		case "lat":
			p.Lat, ok = s.number()
		case "lon":
			p.Lon, ok = s.number()
		case "located":
			p.Located, ok = s.flag()
		}
		return ok
	})
	return p, ok
}

// attributes returns at least one attribute.
func (s *scanner) attributes() (Attributes, bool) {
	all := Attributes{}
	ok := s.object(func(name string) bool {
		v, ok := s.value()
		all[s.texts.text(name)] = v
		return ok
	})
	return all, ok && len(all) > 0
}

func (s *scanner) value() (Value, bool) {
	switch s.peek() {
	case '"':
		text, ok := s.text(shared)
		return Text(text), ok
	case '[':
		items, ok := s.words()
		return Value{kind: ListValue, list: items}, ok
	case 't', 'f':
		is, ok := s.flag()
		return Text(strconv.FormatBool(is)), ok
	}
	x, ok := s.number()
	return Number(x), ok
}

// numbers returns at least one number by its name.
func (s *scanner) numbers() (map[string]float64, bool) {
	all := map[string]float64{}
	ok := s.object(func(name string) bool {
		x, ok := s.number()
		all[s.texts.text(name)] = x
		return ok
	})
	return all, ok && len(all) > 0
}
