package wire_test

import (
	"bytes"
	"errors"
	"math"
	"reflect"
	"testing"

	"pgregory.net/rapid"

	"bellwether/models/wire"
)

func encode(i int, b bool, f []float64, g []float32, n []int, s string) []byte {
	e := wire.NewEncoder("tst1")
	e.Int(i)
	e.Bool(b)
	e.Floats(f)
	e.Float32s(g)
	e.Ints(n)
	e.String(s)
	return e.Seal()
}

func TestWhatIsWrittenIsRead(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		i, b := rapid.Int().Draw(t, "i"), rapid.Bool().Draw(t, "b")
		f := rapid.SliceOf(rapid.Float64()).Draw(t, "f")
		g := rapid.SliceOf(rapid.Float32()).Draw(t, "g")
		n := rapid.SliceOf(rapid.Int()).Draw(t, "n")
		s := rapid.String().Draw(t, "s")
		msg := encode(i, b, f, g, n, s)
		d := wire.NewDecoder("tst1", msg)
		if got := d.Int(); got != i {
			t.Fatalf("int %d, wrote %d", got, i)
		}
		if got := d.Bool(); got != b {
			t.Fatalf("bool %v, wrote %v", got, b)
		}
		if got := d.Floats(); !equal(got, f) {
			t.Fatalf("floats %v, wrote %v", got, f)
		}
		if got := d.Float32s(); !equal(got, g) {
			t.Fatalf("float32s %v, wrote %v", got, g)
		}
		if got := d.Ints(); !equal(got, n) {
			t.Fatalf("ints %v, wrote %v", got, n)
		}
		if got := d.String(); got != s {
			t.Fatalf("string %q, wrote %q", got, s)
		}
		if err := d.Close(); err != nil {
			t.Fatal(err)
		}
	})
}

func equal[T any](a, b []T) bool {
	return len(a) == 0 && len(b) == 0 || reflect.DeepEqual(a, b)
}

func TestEveryFlippedBitIsSeen(t *testing.T) {
	msg := encode(-7, true, []float64{1, math.Inf(1)}, []float32{2}, []int{3}, "four")
	for i := range len(msg) * 8 {
		bad := bytes.Clone(msg)
		bad[i/8] ^= 1 << (i % 8)
		if err := wire.NewDecoder("tst1", bad).Err(); !errors.Is(err, wire.ErrDamaged) {
			t.Fatalf("bit %d flipped: %v", i, err)
		}
	}
	for n := range msg {
		if err := wire.NewDecoder("tst1", msg[:n]).Err(); !errors.Is(err, wire.ErrDamaged) {
			t.Fatalf("cut to %d bytes: %v", n, err)
		}
	}
}

func TestLeftoverAndOverlongAreDamage(t *testing.T) {
	e := wire.NewEncoder("tst1")
	e.Int(1)
	e.Int(1 << 40)
	msg := e.Seal()
	d := wire.NewDecoder("tst1", msg)
	d.Int()
	if err := d.Close(); err == nil {
		t.Error("bytes left over were not noticed")
	}
	d = wire.NewDecoder("tst1", msg)
	d.Int()
	if v := d.Floats(); len(v) != 0 || d.Err() == nil {
		t.Errorf("a list of 2^40 was believed: %d, %v", len(v), d.Err())
	}
}
