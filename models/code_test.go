package models

import (
	"hash/fnv"
	"math"
	"testing"
)

func TestCodeIsTheUpperBitsOfFNV(t *testing.T) {
	for _, text := range []string{"a", "retail", "Zürich", "\xff\x00"} {
		h := fnv.New64a()
		h.Write([]byte(text))
		if got, want := Code(text), float64(h.Sum64()>>12); got != want {
			t.Errorf("Code(%q) = %v, want %v", text, got, want)
		}
	}
	if !math.IsNaN(Code("")) {
		t.Error("the empty text is not missing")
	}
	if n := testing.AllocsPerRun(10, func() { Code("a text that is longer than a buffer on the stack would be") }); n > 0 {
		t.Errorf("Code allocates %v times", n)
	}
}
