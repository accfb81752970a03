package features

import (
	"math/bits"
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
//
// A key's place is its share of the key space, so a table may be of any size,
// and growing or filtering one reads and writes memory from one end to the other.
type table[V any] struct {
	slots []slot[V]
	n     int
}

type slot[V any] struct {
	key uint64 // 0: free
	val V
}

// home is where a key belongs in a table of size places.
func home(key uint64, size int) int {
	hi, _ := bits.Mul64(key, uint64(size))
	return int(hi)
}

// full says whether a table of size places should grow before it holds n: the
// way to a key grows fast beyond three places in four.
func full(n, size int) bool { return 4*n > 3*size }

// larger is the size after this one: twice while that costs little, then by a
// third, because growing is cheap and tables are much of what a state keeps.
func larger(size int) int {
	if size < 32 {
		return max(4, 2*size)
	}
	return size + size/3
}

// roomy is the size of a table that holds n and an eighth more before it grows.
func roomy(n int) int { return 3*n/2 + 4 }

// get returns the value of key, nil if there is none or key is 0.
func (t *table[V]) get(key uint64) *V {
	if t.n == 0 || key == 0 {
		return nil
	}
	for i := home(key, len(t.slots)); ; {
		switch s := &t.slots[i]; s.key {
		case key:
			return &s.val
		case 0:
			return nil
		}
		if i++; i == len(t.slots) {
			i = 0
		}
	}
}

// near reads the place where a key belongs, so that the processor has it at hand
// soon; what it returns says nothing.
func (t *table[V]) near(key uint64) uint64 {
	if len(t.slots) == 0 {
		return 0
	}
	return t.slots[home(key, len(t.slots))].key
}

// put returns the value of key, a new zero value if there was none.
func (t *table[V]) put(key uint64) *V {
	if full(t.n+1, len(t.slots)) {
		t.resize(larger(len(t.slots)))
	}
	i := home(key, len(t.slots))
	for t.slots[i].key != key && t.slots[i].key != 0 {
		if i++; i == len(t.slots) {
			i = 0
		}
	}
	s := &t.slots[i]
	if s.key == 0 {
		s.key = key
		t.n++
	}
	return &s.val
}

// reserve makes room for n more keys. Whoever puts many in ascending order
// reserves first: in a table that grows under them they would crowd its front.
func (t *table[V]) reserve(n int) {
	if full(t.n+n, len(t.slots)) {
		t.resize(roomy(t.n + n))
	}
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
	t.resize(roomy(kept))
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
	keys  []uint64 // at home like a table's; 0 is free, the lowest bit says when it came
	n     int
	young uint64 // the lowest bit of keys added now
}

// add puts a key in and says whether it was there.
func (r *recent) add(key uint64) (again bool) {
	if full(r.n+1, len(r.keys)) {
		r.rebuild(larger(max(16, len(r.keys))), func(uint64) bool { return true })
	}
	key = max(2, key&^1)
	i := home(key, len(r.keys))
	for r.keys[i] != 0 {
		if r.keys[i]&^1 == key {
			return true
		}
		if i++; i == len(r.keys) {
			i = 0
		}
	}
	r.keys[i] = key | r.young
	r.n++
	return false
}

// near reads the place where a key belongs, as a table's does.
func (r *recent) near(key uint64) uint64 {
	if len(r.keys) == 0 {
		return 0
	}
	return r.keys[home(key, len(r.keys))]
}

func (r *recent) rebuild(size int, keep func(uint64) bool) {
	old := r.keys
	r.keys, r.n = make([]uint64, size), 0
	for _, key := range old {
		if key == 0 || !keep(key) {
			continue
		}
		i := home(key&^1, size)
		for r.keys[i] != 0 {
			if i++; i == size {
				i = 0
			}
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
