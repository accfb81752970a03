package exchange

import (
	"bytes"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"strconv"
	"strings"

	"bellwether/models"
)

// value is a piece of a document, JSON or UBJSON: a text, a number, a list of
// numbers, another list, or named fields. Truth values are the numbers 0 and 1.
type value struct {
	kind   kind
	text   string
	num    float64
	nums   []float64
	list   []value
	fields map[string]value
}

type kind uint8

const (
	isNull kind = iota
	isText
	isNumber
	isNumbers // a list of numbers; an empty list too
	isList
	isFields
)

func (k kind) String() string {
	return [...]string{"nothing", "a text", "a number", "a list of numbers", "a list", "an object"}[k]
}

// maxNesting is how deep documents nest; XGBoost's do eight levels.
const maxNesting = 64

var errNesting = fmt.Errorf("more than %d levels of nesting", maxNesting)

// add appends to a list and keeps it a list of numbers while it can.
func (v *value) add(item value) {
	if v.kind == isNumbers && item.kind == isNumber {
		v.nums = append(v.nums, item.num)
		return
	}
	if v.kind == isNumbers {
		v.kind = isList
		for _, n := range v.nums {
			v.list = append(v.list, value{kind: isNumber, num: n})
		}
		v.nums = nil
	}
	v.list = append(v.list, item)
}

// set gives an object a field.
func (v *value) set(name string, item value) error {
	if _, twice := v.fields[name]; twice {
		return fmt.Errorf("the field %.40q is there twice", name)
	}
	v.fields[name] = item
	return nil
}

func truth(b bool) float64 {
	if b {
		return 1
	}
	return 0
}

// readJSON reads a document. XGBoost writes NaN and Infinity where JSON has no
// word for them.
func readJSON(b []byte) (value, error) {
	j := &jsonText{b: b}
	v, err := j.value(0)
	if err == nil {
		if j.space(); j.at != len(b) {
			err = errors.New("something follows the document")
		}
	}
	if err != nil {
		return value{}, fmt.Errorf("%w: line %d, byte %d: %w", models.ErrCorrupt, 1+bytes.Count(b[:j.at], []byte("\n")), j.at, err)
	}
	return v, nil
}

type jsonText struct {
	b  []byte
	at int
}

// space goes to the next character that means something and returns it; 0 at
// the end.
func (j *jsonText) space() byte {
	for ; j.at < len(j.b); j.at++ {
		if c := j.b[j.at]; c != ' ' && c != '\n' && c != '\t' && c != '\r' {
			return c
		}
	}
	return 0
}

// expect goes past the character c.
func (j *jsonText) expect(c byte) error {
	switch got := j.space(); got {
	case c:
		j.at++
		return nil
	case 0:
		return errCut
	default:
		return fmt.Errorf("%q where %q belongs", got, c)
	}
}

func (j *jsonText) value(depth int) (value, error) {
	if depth > maxNesting {
		return value{}, errNesting
	}
	switch c := j.space(); {
	case c == '{':
		return j.object(depth)
	case c == '[':
		return j.list(depth)
	case c == '"':
		s, err := j.string()
		return value{kind: isText, text: s}, err
	case c == 0:
		return value{}, errCut
	}
	word := j.word()
	switch word {
	case "null":
		return value{}, nil
	case "true", "false":
		return value{kind: isNumber, num: truth(word == "true")}, nil
	}
	return jsonNumber(word)
}

// word takes what stands up to the next mark.
func (j *jsonText) word() string {
	end := bytes.IndexAny(j.b[j.at:], ",]}: \t\r\n\"{[")
	if end < 0 {
		end = len(j.b) - j.at
	}
	j.at += end
	return string(j.b[j.at-end : j.at])
}

// string takes a text in quotes.
func (j *jsonText) string() (string, error) {
	if err := j.expect('"'); err != nil {
		return "", err
	}
	for i := j.at; i < len(j.b); i++ {
		switch j.b[i] {
		case '\\':
			i++
		case '"':
			var s string
			if err := json.Unmarshal(j.b[j.at-1:i+1], &s); err != nil {
				return "", err
			}
			j.at = i + 1
			return s, nil
		}
	}
	j.at = len(j.b)
	return "", errCut
}

func (j *jsonText) list(depth int) (value, error) {
	j.at++
	v := value{kind: isNumbers}
	for c := j.space(); c != ']'; c = j.space() {
		if len(v.nums)+len(v.list) > 0 {
			if err := j.expect(','); err != nil {
				return v, err
			}
		}
		item, err := j.value(depth + 1)
		if err != nil {
			return v, err
		}
		v.add(item)
	}
	j.at++
	return v, nil
}

func (j *jsonText) object(depth int) (value, error) {
	j.at++
	v := value{kind: isFields, fields: map[string]value{}}
	for c := j.space(); c != '}'; c = j.space() {
		if len(v.fields) > 0 {
			if err := j.expect(','); err != nil {
				return v, err
			}
		}
		name, err := j.string()
		if err == nil {
			err = j.expect(':')
		}
		if err != nil {
			return v, err
		}
		item, err := j.value(depth + 1)
		if err == nil {
			err = v.set(name, item)
		}
		if err != nil {
			return v, err
		}
	}
	j.at++
	return v, nil
}

// jsonNumber parses a number. One with a fraction or an exponent was a float32:
// it is rounded once, from its digits.
func jsonNumber(s string) (value, error) {
	size := 64
	if strings.ContainsAny(s, ".eE") {
		size = 32
	}
	n, err := strconv.ParseFloat(s, size)
	if err != nil {
		return value{}, fmt.Errorf("%.40q is no number", s)
	}
	return value{kind: isNumber, num: n}, nil
}

// ubj reads UBJSON, draft 12, as XGBoost writes it: numbers are big-endian.
type ubj struct {
	b  []byte
	at int
}

var errCut = errors.New("the file is cut off")

// readUBJ reads a document.
func readUBJ(b []byte) (value, error) {
	u := &ubj{b: b}
	mark, err := u.byte()
	var v value
	if err == nil {
		v, err = u.value(mark, 0)
	}
	if err == nil && u.at != len(b) {
		err = errors.New("something follows the document")
	}
	if err != nil {
		return value{}, fmt.Errorf("%w: byte %d: %w", models.ErrCorrupt, u.at, err)
	}
	return v, nil
}

func (u *ubj) byte() (byte, error) {
	if u.at >= len(u.b) {
		return 0, errCut
	}
	u.at++
	return u.b[u.at-1], nil
}

// take returns the next n bytes.
func (u *ubj) take(n int) ([]byte, error) {
	if n < 0 || n > len(u.b)-u.at {
		return nil, fmt.Errorf("%d bytes claimed, %d left: %w", n, len(u.b)-u.at, errCut)
	}
	u.at += n
	return u.b[u.at-n : u.at], nil
}

// sizes are the bytes of each kind of number.
var ubjSizes = map[byte]int{'i': 1, 'U': 1, 'I': 2, 'l': 4, 'L': 8, 'd': 4, 'D': 8}

// number turns the bytes of a number into one.
func ubjNumber(mark byte, b []byte) float64 {
	be := binary.BigEndian
	switch mark {
	case 'i':
		return float64(int8(b[0]))
	case 'U':
		return float64(b[0])
	case 'I':
		return float64(int16(be.Uint16(b)))
	case 'l':
		return float64(int32(be.Uint32(b)))
	case 'L':
		return float64(int64(be.Uint64(b)))
	case 'd':
		return float64(math.Float32frombits(be.Uint32(b)))
	}
	return math.Float64frombits(be.Uint64(b))
}

// length reads a number that counts something.
func (u *ubj) length() (int, error) {
	mark, err := u.byte()
	if err != nil {
		return 0, err
	}
	if ubjSizes[mark] == 0 || mark == 'd' || mark == 'D' {
		return 0, fmt.Errorf("%q where a length belongs", mark)
	}
	b, err := u.take(ubjSizes[mark])
	if err != nil {
		return 0, err
	}
	n := ubjNumber(mark, b)
	if n < 0 || n > float64(len(u.b)) {
		return 0, fmt.Errorf("a length of %v in a file of %d bytes", n, len(u.b))
	}
	return int(n), nil
}

func (u *ubj) text() (string, error) {
	n, err := u.length()
	if err != nil {
		return "", err
	}
	b, err := u.take(n)
	return string(b), err
}

// value reads what follows its mark.
func (u *ubj) value(mark byte, depth int) (value, error) {
	if depth > maxNesting {
		return value{}, errNesting
	}
	switch mark {
	case 'Z', 'N':
		return value{}, nil
	case 'T', 'F':
		return value{kind: isNumber, num: truth(mark == 'T')}, nil
	case 'S':
		s, err := u.text()
		return value{kind: isText, text: s}, err
	case '[':
		return u.list(depth)
	case '{':
		return u.object(depth)
	}
	size := ubjSizes[mark]
	if size == 0 {
		return value{}, fmt.Errorf("the mark %q, which XGBoost does not write", mark)
	}
	b, err := u.take(size)
	if err != nil {
		return value{}, err
	}
	return value{kind: isNumber, num: ubjNumber(mark, b)}, nil
}

// list reads a list: of one kind of number and counted, counted, or up to its
// closing mark.
func (u *ubj) list(depth int) (value, error) {
	v := value{kind: isNumbers}
	mark, err := u.byte()
	if err != nil {
		return v, err
	}
	switch mark {
	case '$':
		return u.typed()
	case '#':
		n, err := u.length()
		for i := 0; i < n && err == nil; i++ {
			if mark, err = u.byte(); err == nil {
				err = u.item(&v, mark, depth)
			}
		}
		return v, err
	}
	for mark != ']' && err == nil {
		if err = u.item(&v, mark, depth); err == nil {
			mark, err = u.byte()
		}
	}
	return v, err
}

func (u *ubj) item(v *value, mark byte, depth int) error {
	item, err := u.value(mark, depth+1)
	if err == nil {
		v.add(item)
	}
	return err
}

// typed reads a counted list of one kind of number.
func (u *ubj) typed() (value, error) {
	head, err := u.take(2)
	if err != nil {
		return value{}, err
	}
	mark, size := head[0], ubjSizes[head[0]]
	if size == 0 || head[1] != '#' {
		return value{}, fmt.Errorf("a list that begins with $%c%c", head[0], head[1])
	}
	n, err := u.length()
	if err != nil {
		return value{}, err
	}
	b, err := u.take(n * size)
	if err != nil {
		return value{}, err
	}
	v := value{kind: isNumbers, nums: make([]float64, n)}
	for i := range v.nums {
		v.nums[i] = ubjNumber(mark, b[i*size:])
	}
	return v, nil
}

func (u *ubj) object(depth int) (value, error) {
	v := value{kind: isFields, fields: map[string]value{}}
	for {
		if u.at < len(u.b) && u.b[u.at] == '}' {
			u.at++
			return v, nil
		}
		name, err := u.text()
		if err != nil {
			return v, err
		}
		mark, err := u.byte()
		if err != nil {
			return v, err
		}
		item, err := u.value(mark, depth+1)
		if err == nil {
			err = v.set(name, item)
		}
		if err != nil {
			return v, fmt.Errorf("%.40s: %w", name, err)
		}
	}
}
