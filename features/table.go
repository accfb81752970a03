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
// values, held in two blocks of memory: a partner has several of them and a
// built-in map costs four times the memory. The zero value is empty. A pointer
// it returns holds until the next put, del or filter.
type table[V any] struct {
	keys []uint64 // 0 is a free place; the length is a power of two
	vals []V
	n    int
}

// slot returns where key is or where it would go.
func (t *table[V]) slot(key uint64) int {
	mask := len(t.keys) - 1
	i := int(key) & mask
	for t.keys[i] != key && t.keys[i] != 0 {
		i = (i + 1) & mask
	}
	return i
}

// get returns the value of key, nil if there is none or key is 0.
func (t *table[V]) get(key uint64) *V {
	if t.n == 0 || key == 0 {
		return nil
	}
	mask := uint64(len(t.keys) - 1)
	for i := key & mask; ; i = (i + 1) & mask {
		switch t.keys[i] {
		case key:
			return &t.vals[i]
		case 0:
			return nil
		}
	}
}

// put returns the value of key, a new zero value if there was none.
func (t *table[V]) put(key uint64) *V {
	if 4*(t.n+1) > 3*len(t.keys) {
		t.resize(max(4, 2*len(t.keys)))
	}
	i := t.slot(key)
	if t.keys[i] == 0 {
		t.keys[i] = key
		t.n++
	}
	return &t.vals[i]
}

func (t *table[V]) resize(size int) {
	old := *t
	*t = table[V]{keys: make([]uint64, size), vals: make([]V, size), n: old.n}
	for i, k := range old.keys {
		if k != 0 {
			j := t.slot(k)
			t.keys[j], t.vals[j] = k, old.vals[i]
		}
	}
}

// clear empties the table and keeps its memory.
func (t *table[V]) clear() {
	clear(t.keys)
	clear(t.vals)
	t.n = 0
}

// filter drops every entry that keep refuses, and the memory it took.
func (t *table[V]) filter(keep func(key uint64, v *V) bool) {
	kept := 0
	for i, k := range t.keys {
		if k != 0 && keep(k, &t.vals[i]) {
			kept++
		}
	}
	if kept == t.n {
		return
	}
	size := 4
	for 4*kept > 3*size {
		size *= 2
	}
	old := *t
	*t = table[V]{}
	if kept == 0 {
		return
	}
	t.resize(size)
	for i, k := range old.keys {
		if k != 0 && keep(k, &old.vals[i]) {
			*t.put(k) = old.vals[i]
		}
	}
}

// each visits the entries in no order worth relying on.
func (t *table[V]) each(f func(key uint64, v *V)) {
	for i, k := range t.keys {
		if k != 0 {
			f(k, &t.vals[i])
		}
	}
}

// sorted returns the keys in ascending order.
func (t *table[V]) sorted() []uint64 {
	keys := make([]uint64, 0, t.n)
	for _, k := range t.keys {
		if k != 0 {
			keys = append(keys, k)
		}
	}
	slices.Sort(keys)
	return keys
}

// generations is a set that forgets: what was added is remembered for at least
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
