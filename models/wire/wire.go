// Package wire turns fitted models into bytes and back. The bytes are the same
// for the same values on any machine and in any process (encoding/gob's are
// not), and damage to them is found before a value is believed.
//
// A sealed message is: the magic (4 bytes, names the model kind and format
// version), the body, and the CRC-32 (Castagnoli) of both. In the body an
// integer is a varint, a float64 its 8 little-endian bits, a list its length
// and then its elements.
package wire

import (
	"encoding/binary"
	"errors"
	"hash/crc32"
	"math"
)

// ErrDamaged is what a Decoder answers for bytes Seal did not write.
var ErrDamaged = errors.New("wire: bytes are damaged")

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

const sealLen = 4

// Encoder collects a body. Its zero value is not ready; use NewEncoder.
type Encoder struct{ b []byte }

// NewEncoder starts a message. The magic must be 4 bytes long.
func NewEncoder(magic string) *Encoder {
	if len(magic) != 4 {
		panic("wire: a magic is 4 bytes")
	}
	return &Encoder{b: []byte(magic)}
}

// Int appends an integer.
func (e *Encoder) Int(v int) { e.b = binary.AppendVarint(e.b, int64(v)) }

// Bool appends a truth value.
func (e *Encoder) Bool(v bool) {
	if v {
		e.Int(1)
	} else {
		e.Int(0)
	}
}

// Float appends a float64, bits and all.
func (e *Encoder) Float(v float64) {
	e.b = binary.LittleEndian.AppendUint64(e.b, math.Float64bits(v))
}

// Floats appends a list of float64.
func (e *Encoder) Floats(v []float64) {
	e.Int(len(v))
	for _, x := range v {
		e.Float(x)
	}
}

// Float32s appends a list of float32.
func (e *Encoder) Float32s(v []float32) {
	e.Int(len(v))
	for _, x := range v {
		e.b = binary.LittleEndian.AppendUint32(e.b, math.Float32bits(x))
	}
}

// Ints appends a list of integers.
func (e *Encoder) Ints(v []int) {
	e.Int(len(v))
	for _, x := range v {
		e.Int(x)
	}
}

// String appends a text.
func (e *Encoder) String(s string) {
	e.Int(len(s))
	e.b = append(e.b, s...)
}

// Seal returns the finished message.
func (e *Encoder) Seal() []byte {
	return binary.LittleEndian.AppendUint32(e.b, crc32.Checksum(e.b, castagnoli))
}

// Decoder reads a body back in the order it was written. After the first
// failure every read answers zero; Close reports it.
type Decoder struct {
	b   []byte
	err error
}

// NewDecoder checks the seal and the magic of a message.
func NewDecoder(magic string, b []byte) *Decoder {
	if len(b) < len(magic)+sealLen || string(b[:len(magic)]) != magic {
		return &Decoder{err: ErrDamaged}
	}
	body := b[:len(b)-sealLen]
	if crc32.Checksum(body, castagnoli) != binary.LittleEndian.Uint32(b[len(body):]) {
		return &Decoder{err: ErrDamaged}
	}
	return &Decoder{b: body[len(magic):]}
}

// Int reads an integer.
func (d *Decoder) Int() int {
	v, n := binary.Varint(d.b)
	if n <= 0 {
		d.fail()
		return 0
	}
	d.b = d.b[n:]
	return int(v)
}

// Bool reads a truth value.
func (d *Decoder) Bool() bool {
	v := d.Int()
	if v != 0 && v != 1 {
		d.fail()
	}
	return v == 1
}

// Float reads a float64.
func (d *Decoder) Float() float64 {
	if len(d.b) < 8 {
		d.fail()
		return 0
	}
	v := math.Float64frombits(binary.LittleEndian.Uint64(d.b))
	d.b = d.b[8:]
	return v
}

// Floats reads a list of float64.
func (d *Decoder) Floats() []float64 {
	v := make([]float64, d.length(8))
	for i := range v {
		v[i] = d.Float()
	}
	return v
}

// Float32s reads a list of float32.
func (d *Decoder) Float32s() []float32 {
	v := make([]float32, d.length(4))
	for i := range v {
		v[i] = math.Float32frombits(binary.LittleEndian.Uint32(d.b))
		d.b = d.b[4:]
	}
	return v
}

// Ints reads a list of integers.
func (d *Decoder) Ints() []int {
	v := make([]int, d.length(1))
	for i := range v {
		v[i] = d.Int()
	}
	return v
}

// String reads a text.
func (d *Decoder) String() string {
	n := d.length(1)
	s := string(d.b[:n])
	d.b = d.b[n:]
	return s
}

// length reads a list's length and refuses one that the bytes left cannot hold,
// so that no forged length allocates more than the message's own size.
func (d *Decoder) length(size int) int {
	n := d.Int()
	if n < 0 || n > len(d.b)/size {
		d.fail()
		return 0
	}
	return n
}

// Fail marks the message as damaged; a caller's own checks use it.
func (d *Decoder) Fail() { d.fail() }

func (d *Decoder) fail() {
	d.b, d.err = nil, ErrDamaged
}

// Err returns ErrDamaged after a failure so far.
func (d *Decoder) Err() error { return d.err }

// Close reports ErrDamaged if a read failed or bytes are left over.
func (d *Decoder) Close() error {
	if len(d.b) != 0 {
		d.fail()
	}
	return d.err
}
