package datasets

import (
	"bufio"
	"cmp"
	"container/heap"
	"encoding/binary"
	"errors"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strconv"

	"bellwether/datasets/record"
)

// sorter puts events into (Known, order of arrival) order in bounded memory:
// events are collected in encoded form, each full arena is sorted and written
// as a run to a temporary directory, and the runs are merged.
type sorter struct {
	limit int // bytes of an arena
	arena []byte
	items []spilled
	dir   string
	runs  []string
}

// spilled is one encoded event of the arena.
type spilled struct {
	known      int64
	from, size int
}

// arenaBytes holds about half a million events.
const arenaBytes = 64 << 20

// add takes an event that stands at a place of file number file.
func (s *sorter) add(e *record.Event, file int, place int64) error {
	from := len(s.arena)
	s.arena = binary.AppendUvarint(s.arena, uint64(file))
	s.arena = binary.AppendUvarint(s.arena, uint64(place))
	s.arena = record.AppendEvent(s.arena, e)
	s.items = append(s.items, spilled{e.Known().UnixMicro(), from, len(s.arena) - from})
	if len(s.arena) < s.limit {
		return nil
	}
	return s.flush()
}

func (s *sorter) order() {
	slices.SortStableFunc(s.items, func(a, b spilled) int { return cmp.Compare(a.known, b.known) })
}

func (s *sorter) flush() error {
	if s.dir == "" {
		dir, err := os.MkdirTemp("", "bellwether-sort-*")
		if err != nil {
			return tempError(err)
		}
		s.dir = dir
	}
	s.order()
	path := filepath.Join(s.dir, strconv.Itoa(len(s.runs)))
	f, err := os.Create(path)
	if err != nil {
		return tempError(err)
	}
	out := bufio.NewWriterSize(f, 1<<20)
	var head []byte
	for _, it := range s.items {
		head = binary.AppendUvarint(binary.AppendVarint(head[:0], it.known), uint64(it.size))
		_, _ = out.Write(head)
		_, _ = out.Write(s.arena[it.from : it.from+it.size])
	}
	if err := errors.Join(out.Flush(), f.Close()); err != nil { // a Write that failed fails Flush
		return tempError(err)
	}
	s.runs = append(s.runs, path)
	s.arena, s.items = s.arena[:0], s.items[:0]
	return nil
}

// close removes the temporary files.
func (s *sorter) close() {
	if s.dir != "" {
		os.RemoveAll(s.dir)
	}
}

// each calls f with the events in order. The event is valid until f returns.
func (s *sorter) each(f func(e *record.Event, file int, place int64) error) error {
	s.order()
	runs := make(runHeap, 0, len(s.runs)+1)
	defer func() {
		for _, r := range runs {
			r.close()
		}
	}()
	for i, path := range s.runs {
		file, err := os.Open(path)
		if err != nil {
			return tempError(err)
		}
		r := &run{number: i, file: file, in: bufio.NewReaderSize(file, 1<<18)}
		runs = append(runs, r)
		if err := r.next(); err != nil {
			return tempError(err)
		}
	}
	last := &run{number: len(s.runs), sorter: s}
	if err := last.next(); err == nil {
		runs = append(runs, last)
	}
	heap.Init(&runs)
	words := map[string]string{}
	var e record.Event
	for len(runs) > 0 {
		r := runs[0]
		file, n := binary.Uvarint(r.body)
		place, m := binary.Uvarint(r.body[n:])
		if err := record.DecodeEvent(r.body[n+m:], &e); err != nil {
			return tempError(err)
		}
		e.Partner = record.PartnerID(shared(words, string(e.Partner)))
		e.Lead = record.LeadID(shared(words, string(e.Lead)))
		if err := f(&e, int(file), int64(place)); err != nil {
			return err
		}
		switch err := r.next(); err {
		case nil:
			heap.Fix(&runs, 0)
		case io.EOF:
			r.close()
			heap.Pop(&runs)
		default:
			return tempError(err)
		}
	}
	return nil
}

// maxWords bounds the memory of the words a merge shares among events.
const maxWords = 1 << 17

func shared(words map[string]string, s string) string {
	if w, ok := words[s]; ok {
		return w
	}
	if len(words) >= maxWords {
		clear(words)
	}
	words[s] = s
	return s
}

// run is one sorted sequence of encoded events: a file, or the arena itself.
type run struct {
	number int
	file   *os.File
	in     *bufio.Reader
	sorter *sorter
	at     int
	known  int64
	body   []byte
}

func (r *run) next() (err error) {
	if r.sorter != nil {
		if r.at == len(r.sorter.items) {
			return io.EOF
		}
		it := r.sorter.items[r.at]
		r.at++
		r.known, r.body = it.known, r.sorter.arena[it.from:it.from+it.size]
		return nil
	}
	if r.known, err = binary.ReadVarint(r.in); err != nil {
		return err
	}
	size, err := binary.ReadUvarint(r.in)
	if err != nil {
		return io.ErrUnexpectedEOF
	}
	r.body = slices.Grow(r.body[:0], int(size))[:size]
	if _, err := io.ReadFull(r.in, r.body); err != nil {
		return io.ErrUnexpectedEOF
	}
	return nil
}

func (r *run) close() {
	if r.file != nil {
		r.file.Close()
	}
}

// runHeap orders runs by their next event; equal times keep the order of
// arrival because runs are numbered by it.
type runHeap []*run

func (h runHeap) Len() int      { return len(h) }
func (h runHeap) Swap(i, j int) { h[i], h[j] = h[j], h[i] }
func (h runHeap) Less(i, j int) bool {
	return cmp.Or(cmp.Compare(h[i].known, h[j].known), cmp.Compare(h[i].number, h[j].number)) < 0
}
func (h *runHeap) Push(x any) { *h = append(*h, x.(*run)) }
func (h *runHeap) Pop() any {
	last := (*h)[len(*h)-1]
	*h = (*h)[:len(*h)-1]
	return last
}
