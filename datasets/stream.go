package datasets

import (
	"bufio"
	"context"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"math/bits"
	"os"
	"slices"
	"sync"

	"bellwether/datasets/record"

	"github.com/cespare/xxhash/v2"
)

// errGone ends a producer whose consumer has given up.
var errGone = errors.New("stopped")

// eachChunk decodes the files in order in a goroutine of its own, some chunks
// ahead of take, which runs in the caller's. A chunk is valid until take
// returns.
func eachChunk[T any](ctx context.Context, files []*file, w wanted[T], take func(*chunk[T]) error) error {
	const ahead = 3
	full, free := make(chan *chunk[T], ahead), make(chan *chunk[T], ahead+1)
	for range ahead + 1 {
		free <- &chunk[T]{}
	}
	stop := make(chan struct{})
	var failed error
	var producer sync.WaitGroup
	producer.Go(func() {
		defer close(full)
		give := func() *chunk[T] { return <-free }
		for _, f := range files {
			failed = readFile(ctx, f, w, give, func(c *chunk[T]) error {
				select {
				case full <- c:
					return nil
				case <-stop:
					return errGone
				}
			})
			if failed != nil {
				return
			}
		}
	})
	var err error
	for c := range full {
		if err == nil {
			if err = take(c); err != nil {
				close(stop)
			}
		}
		free <- c
	}
	producer.Wait()
	if err != nil {
		return err
	}
	return failed
}

// sighting is what the first pass over the files found: which record ids occur
// more than once, and whether the rows stand in the order wanted.
type sighting struct {
	sorted   bool
	suspects map[uint64]struct{} // hashes of keys seen at least twice
	sieve    []uint64            // a bit for the low bits of a hash: whether there is such a suspect
}

// sift makes the sieve: a power of two of words, at least sixteen bits a suspect, so
// that few others pass.
func (s *sighting) sift() {
	s.sieve = make([]uint64, 1<<bits.Len(uint(len(s.suspects)/4)))
	for h := range s.suspects {
		s.sieve[s.word(h)] |= 1 << (h % 64)
	}
}

func (s *sighting) word(h uint64) uint64 { return h >> 6 & uint64(len(s.sieve)-1) }

// sifts says whether a hash passes the sieve: nearly none does, and it is quicker
// than a map.
func (s *sighting) sifts(h uint64) bool { return s.sieve[s.word(h)]>>(h%64)&1 == 1 }

// suspect says whether a key may occur more than once.
func (s *sighting) suspect(key []byte) bool {
	h := keyHash(key)
	if !s.sifts(h) {
		return false
	}
	_, yes := s.suspects[h]
	return yes
}

// keyHash is never 0.
func keyHash(key []byte) uint64 { return max(1, xxhash.Sum64(key)) }

// hashBuckets finds the hashes, none of them 0, that were added twice, in memory
// that does not grow with their number: each of 256 buckets keeps a block and appends
// it to one temporary file when full.
type hashBuckets struct {
	open   [256][]uint64
	blocks [256][]int64 // where in the file each bucket's full blocks begin
	file   *os.File
	out    *bufio.Writer
	size   int64
}

// hashBlock is how many hashes a block holds: 256 buckets of it are 8 MB.
const hashBlock = 4096

func (b *hashBuckets) add(h uint64) error {
	k := h >> 56
	b.open[k] = append(b.open[k], h)
	if len(b.open[k]) < hashBlock {
		return nil
	}
	if b.file == nil {
		f, err := os.CreateTemp("", "bellwether-ids-*")
		if err != nil {
			return tempError(err)
		}
		b.file, b.out = f, bufio.NewWriterSize(f, 1<<18)
	}
	if err := binary.Write(b.out, binary.LittleEndian, b.open[k]); err != nil {
		return tempError(err)
	}
	b.blocks[k] = append(b.blocks[k], b.size)
	b.size += 8 * hashBlock
	b.open[k] = b.open[k][:0]
	return nil
}

func tempError(err error) error {
	return record.Errorf(record.Exhausted, "read", "a temporary file could not be written: %w; free some space, or set TMPDIR", err)
}

// twice returns every hash added more than once.
func (b *hashBuckets) twice() (map[uint64]struct{}, error) {
	found := map[uint64]struct{}{}
	if b.out != nil {
		if err := b.out.Flush(); err != nil {
			return nil, tempError(err)
		}
	}
	raw := make([]byte, 8*hashBlock)
	var seen []uint64 // each at the place of its low bits or behind; 0 is free
	for k := range b.open {
		n := len(b.blocks[k])*hashBlock + len(b.open[k])
		seen = slices.Grow(seen[:0], 2<<bits.Len(uint(n)))[:2<<bits.Len(uint(n))]
		clear(seen)
		note := func(h uint64) {
			i := h % uint64(len(seen))
			for seen[i] != 0 && seen[i] != h {
				i = (i + 1) % uint64(len(seen))
			}
			if seen[i] == h {
				found[h] = struct{}{}
			}
			seen[i] = h
		}
		for _, at := range b.blocks[k] {
			if _, err := b.file.ReadAt(raw, at); err != nil {
				return nil, tempError(err)
			}
			for i := range hashBlock {
				note(binary.LittleEndian.Uint64(raw[8*i:]))
			}
		}
		for _, h := range b.open[k] {
			note(h)
		}
	}
	return found, nil
}

func (b *hashBuckets) close() {
	if b.file != nil {
		b.file.Close()
		os.Remove(b.file.Name())
	}
}

// noun is what reading one kind of record needs to know of it.
type noun[T any] struct {
	codec    *record.Codec[T]
	columns  []string // that key and order look at
	validate func(*T) error
	key      func(dst []byte, r *T) []byte // what no two different records share
	known    func(r *T) int64              // what the order goes by; nil: file order will do
	brief    func(line []byte, r *T) error // decodes of a JSON line only what key and known need
}

// survey makes the first pass: ids and times only.
func survey[T any](ctx context.Context, files []*file, n noun[T], progress func(done int64)) (*sighting, error) {
	s := &sighting{sorted: true}
	ids := &hashBuckets{}
	defer ids.close()
	last := int64(-1 << 63)
	var key []byte
	before, current := int64(0), (*file)(nil)
	err := eachChunk(ctx, files, wanted[T]{codec: n.codec, only: n.columns, decode: n.brief}, func(c *chunk[T]) error {
		for i := range c.rows {
			r := &c.rows[i]
			key = n.key(key[:0], r)
			if err := ids.add(keyHash(key)); err != nil {
				return err
			}
			if n.known != nil {
				at := n.known(r)
				s.sorted = s.sorted && at >= last
				last = at
			}
		}
		if current != c.file {
			if current != nil {
				before += current.size
			}
			current = c.file
		}
		progress(before + c.done)
		return nil
	})
	if err != nil {
		return nil, err
	}
	if s.suspects, err = ids.twice(); err == nil {
		s.sift()
	}
	return s, err
}

// sifter lets through the first of each record, merges repeats and sets aside
// what contradicts.
type sifter[T any] struct {
	noun       noun[T]
	sighting   *sighting
	quarantine *Quarantine
	counts     Counts
	first      map[string]earlier
	key        []byte
	hashes     []uint64 // of a batch's keys
	alone      []bool   // beside hashes
}

// earlier is the first record of a key that occurs more than once.
type earlier struct {
	digest uint64
	file   *file
	place  int64
}

func newSifter[T any](n noun[T], s *sighting, q *Quarantine) *sifter[T] {
	return &sifter[T]{noun: n, sighting: s, quarantine: q, first: map[string]earlier{}}
}

// reject counts a row that failed by itself.
func (s *sifter[T]) reject(f Fault) {
	s.counts.In++
	s.counts.Quarantined++
	s.quarantine.Add(f)
}

// strangers counts in the rows that nothing of the same key can be beside, and
// returns which those are, until the next call. Hashes come first and the sieve
// after: it does not fit into a near cache, and its reads then do not wait for one
// another.
func (s *sifter[T]) strangers(rows []T) []bool {
	s.hashes, s.alone = slices.Grow(s.hashes[:0], len(rows)), slices.Grow(s.alone[:0], len(rows))
	for i := range rows {
		s.key = s.noun.key(s.key[:0], &rows[i])
		s.hashes = append(s.hashes, keyHash(s.key))
	}
	for _, h := range s.hashes {
		alone := !s.sighting.sifts(h)
		if alone {
			s.counts.In++
			s.counts.Kept++
		}
		s.alone = append(s.alone, alone)
	}
	return s.alone
}

// pass reports whether the record is to go on.
func (s *sifter[T]) pass(r *T, f *file, place int64) (bool, error) {
	s.counts.In++
	s.key = s.noun.key(s.key[:0], r)
	if !s.sighting.suspect(s.key) {
		s.counts.Kept++
		return true, nil
	}
	doc, err := json.Marshal(r)
	if err != nil {
		return false, err
	}
	digest := xxhash.Sum64(doc)
	old, again := s.first[string(s.key)]
	switch {
	case !again:
		s.first[string(s.key)] = earlier{digest, f, place}
		s.counts.Kept++
		return true, nil
	case old.digest == digest:
		s.counts.Kept++
		s.counts.Repeats++
		return false, nil
	}
	where := f.placed(place)
	where.Column, where.Value = "id", faultText(string(doc))
	where.Reason = fmt.Sprintf("another %s with this id and other content stands in %s; the earlier one is kept", s.noun.codec.Noun(), old.file.placed(old.place).where())
	s.counts.Quarantined++
	s.quarantine.Add(where)
	return false, nil
}

// placed makes a fault that says where a row stands.
func (f *file) placed(n int64) Fault {
	if f.format == JSONLines {
		return Fault{File: f.name, Line: n}
	}
	return Fault{File: f.name, Row: n}
}

func (f Fault) where() string {
	if f.Line > 0 {
		return fmt.Sprintf("%s line %d", f.File, f.Line)
	}
	return fmt.Sprintf("%s row %d", f.File, f.Row)
}
