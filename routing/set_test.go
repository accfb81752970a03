package routing

import (
	"bytes"
	"maps"
	"slices"
	"testing"

	"github.com/RoaringBitmap/roaring/v2"
	"pgregory.net/rapid"
)

// A set answers what a map does, and is written as a roaring bitmap of the same
// partners is, however that came about.
func TestSet(t *testing.T) {
	// A bitmap has a container for each 65,536, a dense one past 4,096 members.
	many, few := rapid.SliceOfN(rapid.Uint32Range(0, 300), 0, 60), rapid.Uint32Range(0, 5)
	rapid.Check(t, func(t *rapid.T) {
		var a, b set
		of, other := map[uint32]bool{}, map[uint32]bool{}
		for _, n := range many.Draw(t, "many") {
			a.add(n)
			of[n] = true
		}
		for container := range few.Draw(t, "containers") {
			for n := range few.Draw(t, "members") {
				a.add(container<<16 + n)
				of[container<<16+n] = true
			}
		}
		step := rapid.SampledFrom([]uint32{1, 2, 5}).Draw(t, "step")
		for n := range uint32(rapid.IntRange(0, 14_000).Draw(t, "run")) {
			a.add(60_000 + step*n)
			of[60_000+step*n] = true
		}
		for _, n := range many.Draw(t, "other") {
			b.add(n)
			other[n] = true
		}
		same(t, "all", a, of, func(n uint32) bool { return true })
		same(t, "and", a.and(b), of, func(n uint32) bool { return other[n] })
		same(t, "and, turned", b.and(a), of, func(n uint32) bool { return other[n] })
		same(t, "without", a.without(b), of, func(n uint32) bool { return !other[n] })
		left := slices.Clone(a)
		for n := range b.all() {
			left.remove(n)
		}
		same(t, "remove", left, of, func(n uint32) bool { return !other[n] })
		left.or(b)
		left.or(a)
		maps.Copy(of, other)
		same(t, "or", left, of, func(n uint32) bool { return true })
		size := rapid.IntRange(0, 200).Draw(t, "everybody")
		if all := everybody(size); all.count() != size || size > 0 && !all.has(uint32(size-1)) || all.has(uint32(size)) {
			t.Fatalf("everybody(%d) holds %d", size, all.count())
		}
	})
}

// same checks that a set holds those of a map that are kept.
func same(t *rapid.T, what string, s set, of map[uint32]bool, kept func(uint32) bool) {
	var want []uint32
	for _, n := range slices.Sorted(maps.Keys(of)) {
		if kept(n) {
			want = append(want, n)
		} else if s.has(n) {
			t.Fatalf("%s: %d is in it", what, n)
		}
	}
	if got := slices.Collect(s.all()); !slices.Equal(got, want) || s.count() != len(want) || s.empty() != (len(want) == 0) {
		t.Fatalf("%s: %d of %v, want %v", what, s.count(), got, want)
	}
	b, err := s.bytes()
	if err != nil {
		t.Fatal(err)
	}
	bitmap := roaring.New()
	bitmap.AddRange(0, 400_000)
	bitmap.And(roaring.BitmapOf(want...))
	bitmap.RunOptimize()
	if plain, err := bitmap.ToBytes(); err != nil || !bytes.Equal(b, plain) {
		t.Fatalf("%s: %d partners are written in %d bytes, as a bitmap in %d: %v", what, len(want), len(b), len(plain), err)
	}
}
