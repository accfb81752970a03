package features

import (
	"slices"

	"github.com/cespare/xxhash/v2"
)

// hash is the 64-bit key of an identifier or word; 0 stands for "not said" and
// is no text's hash.
func hash[S ~string](s S) uint64 {
	if s == "" {
		return 0
	}
	return max(1, xxhash.Sum64String(string(s)))
}

// table is an open-addressing hash table from well-mixed, non-zero keys to
// values, held in one block of memory: a partner has several of them, a built-in
// map costs more memory, and finding a key takes one read that is not in the
// cache. The zero value is empty. A pointer it returns holds until the next put
// or filter.
type table[V any] struct {
	slots []slot[V] // a power of two
	n     int
}

type slot[V any] struct {
	key uint64 // 0: free
	val V
}

// full says whether a table of size places should grow before it holds n: the
// way to a key grows fast beyond two places in three.
func full(n, size int) bool { return 3*n > 2*size }

// get returns the value of key, nil if there is none or key is 0.
func (t *table[V]) get(key uint64) *V {
	if t.n == 0 || key == 0 {
		return nil
	}
	mask := uint64(len(t.slots) - 1)
	for i := key & mask; ; i = (i + 1) & mask {
		switch s := &t.slots[i]; s.key {
		case key:
			return &s.val
		case 0:
			return nil
		}
	}
}

// put returns the value of key, a new zero value if there was none.
func (t *table[V]) put(key uint64) *V {
	if full(t.n+1, len(t.slots)) {
		t.resize(max(4, 2*len(t.slots)))
	}
	mask := uint64(len(t.slots) - 1)
	i := key & mask
	for t.slots[i].key != key && t.slots[i].key != 0 {
		i = (i + 1) & mask
	}
	s := &t.slots[i]
	if s.key == 0 {
		s.key = key
		t.n++
	}
	return &s.val
}

func (t *table[V]) resize(size int) {
	old := t.slots
	*t = table[V]{slots: make([]slot[V], size)}
	for i := range old {
		if old[i].key != 0 {
			*t.put(old[i].key) = old[i].val
		}
	}
}

// clear empties the table and keeps its memory.
func (t *table[V]) clear() {
	clear(t.slots)
	t.n = 0
}

// filter drops every entry that keep refuses, and the memory it took.
func (t *table[V]) filter(keep func(key uint64, v *V) bool) {
	kept := 0
	t.each(func(key uint64, v *V) {
		if keep(key, v) {
			kept++
		}
	})
	if kept == t.n {
		return
	}
	old := *t
	*t = table[V]{}
	if kept == 0 {
		return
	}
	size := 4
	for full(kept, size) {
		size *= 2
	}
	t.resize(size)
	old.each(func(key uint64, v *V) {
		if keep(key, v) {
			*t.put(key) = *v
		}
	})
}

// each visits the entries in no order worth relying on.
func (t *table[V]) each(f func(key uint64, v *V)) {
	for i := range t.slots {
		if s := &t.slots[i]; s.key != 0 {
			f(s.key, &s.val)
		}
	}
}

// sorted returns the keys in ascending order.
func (t *table[V]) sorted() []uint64 {
	keys := make([]uint64, 0, t.n)
	t.each(func(key uint64, _ *V) { keys = append(keys, key) })
	slices.Sort(keys)
	return keys
}

// recent is a set of keys that forgets: a key is remembered for at least one
// turn and forgotten after two. Keys that differ in the lowest bit only are one.
type recent struct {
	keys  []uint64 // a power of two; 0 is free, the lowest bit says when it came
	n     int
	young uint64 // the lowest bit of keys added now
}

// add puts a key in and says whether it was there.
func (r *recent) add(key uint64) (again bool) {
	if full(r.n+1, len(r.keys)) {
		r.rebuild(max(16, 2*len(r.keys)), func(uint64) bool { return true })
	}
	key = max(2, key&^1)
	mask := uint64(len(r.keys) - 1)
	i := key >> 1 & mask
	for ; r.keys[i] != 0; i = (i + 1) & mask {
		if r.keys[i]&^1 == key {
			return true
		}
	}
	r.keys[i] = key | r.young
	r.n++
	return false
}

func (r *recent) rebuild(size int, keep func(uint64) bool) {
	old := r.keys
	r.keys, r.n = make([]uint64, size), 0
	mask := uint64(size - 1)
	for _, key := range old {
		if key == 0 || !keep(key) {
			continue
		}
		i := key >> 1 & mask
		for r.keys[i] != 0 {
			i = (i + 1) & mask
		}
		r.keys[i] = key
		r.n++
	}
}

// turn forgets what is older than the last turn, n times.
func (r *recent) turn(n int) {
	switch {
	case n >= 2:
		*r = recent{young: r.young ^ uint64(n&1)}
	case n == 1:
		// The young ones are the old ones from now on.
		r.rebuild(max(16, len(r.keys)), func(key uint64) bool { return key&1 == r.young })
		r.young ^= 1
	}
}

// generations is a table that forgets: what was added is remembered for at least
// one turn and forgotten after two.
type generations[V any] struct {
	cur, prev table[V]
}

func (g *generations[V]) get(key uint64) *V {
	if v := g.cur.get(key); v != nil {
		return v
	}
	return g.prev.get(key)
}

// turn forgets the older half, n times.
func (g *generations[V]) turn(n int) {
	for range min(n, 2) {
		g.prev, g.cur = g.cur, table[V]{}
	}
}
