package datasets

import (
	"bufio"
	"bytes"
	"cmp"
	"container/heap"
	"encoding/binary"
	"encoding/json"
	"errors"
	"io"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"time"

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
	s.arena = appendEvent(s.arena, e)
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
	texts := map[string]string{}
	var e record.Event
	for len(runs) > 0 {
		r := runs[0]
		d := eventDecoder{b: r.body, texts: texts}
		file, place := int(d.uvarint()), int64(d.uvarint())
		e = record.Event{}
		d.event(&e)
		if d.failed {
			return tempError(io.ErrUnexpectedEOF)
		}
		if err := f(&e, file, place); err != nil {
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

// texts of an event in the order appendEvent writes them; only those that are
// set are written, behind a bit each.
func eventTexts(e *record.Event) [14]string {
	return [14]string{string(e.ID), string(e.Type), string(e.Partner), string(e.Other), string(e.Lead), string(e.Deal), string(e.Account),
		string(e.Decision), string(e.Offer), e.Amount.Currency, e.Reason, e.Role, e.Direction, e.Text}
}

// appendEvent encodes an event for a run.
func appendEvent(dst []byte, e *record.Event) []byte {
	texts := eventTexts(e)
	var set uint64
	for i, s := range texts {
		if s != "" {
			set |= 1 << i
		}
	}
	dst = binary.AppendUvarint(dst, set)
	for _, s := range texts {
		if s != "" {
			dst = appendText(dst, s)
		}
	}
	dst = appendText(dst, string(e.Supersedes))
	for _, t := range []time.Time{e.At, e.KnownAt, e.Until} {
		if t.IsZero() {
			dst = binary.AppendVarint(dst, math.MinInt64)
			continue
		}
		dst = binary.AppendVarint(dst, t.UnixMicro())
	}
	dst = binary.AppendVarint(dst, e.Amount.Amount)
	dst = binary.AppendUvarint(dst, uint64(len(e.Products)))
	for _, p := range e.Products {
		dst = appendText(dst, p)
	}
	if len(e.Numbers) == 0 {
		return appendText(dst, "")
	}
	doc, _ := json.Marshal(e.Numbers) // validated: finite
	return appendText(dst, string(doc))
}

func appendText(dst []byte, s string) []byte {
	return append(binary.AppendUvarint(dst, uint64(len(s))), s...)
}

// eventDecoder reads what appendEvent wrote.
type eventDecoder struct {
	b      []byte
	texts  map[string]string // words seen, so that equal ones share memory
	failed bool
}

func (d *eventDecoder) uvarint() uint64 {
	v, n := binary.Uvarint(d.b)
	if n <= 0 {
		d.failed, d.b = true, nil
		return 0
	}
	d.b = d.b[n:]
	return v
}

func (d *eventDecoder) varint() int64 {
	v, n := binary.Varint(d.b)
	if n <= 0 {
		d.failed, d.b = true, nil
		return 0
	}
	d.b = d.b[n:]
	return v
}

// maxWords bounds the memory of shared words of a merge.
const maxWords = 1 << 17

func (d *eventDecoder) raw() []byte {
	n := d.uvarint()
	if n > uint64(len(d.b)) {
		d.failed, d.b = true, nil
		return nil
	}
	s := d.b[:n]
	d.b = d.b[n:]
	return s
}

func (d *eventDecoder) text(share bool) string {
	raw := d.raw()
	if !share {
		return string(raw)
	}
	if s, ok := d.texts[string(raw)]; ok {
		return s
	}
	if len(d.texts) >= maxWords {
		clear(d.texts)
	}
	s := string(raw)
	d.texts[s] = s
	return s
}

func (d *eventDecoder) event(e *record.Event) {
	set := d.uvarint()
	var texts [14]string
	for i := range texts {
		if set&(1<<i) != 0 {
			texts[i] = d.text(i > 0 && i < 13)
		}
	}
	e.ID, e.Type = record.EventID(texts[0]), record.EventType(texts[1])
	e.Partner, e.Other = record.PartnerID(texts[2]), record.PartnerID(texts[3])
	e.Lead, e.Deal, e.Account = record.LeadID(texts[4]), record.DealID(texts[5]), record.AccountID(texts[6])
	e.Decision, e.Offer = record.DecisionID(texts[7]), record.OfferID(texts[8])
	e.Amount.Currency, e.Reason, e.Role, e.Direction, e.Text = texts[9], texts[10], texts[11], texts[12], texts[13]
	e.Supersedes = record.EventID(d.text(false))
	for _, t := range []*time.Time{&e.At, &e.KnownAt, &e.Until} {
		if v := d.varint(); v != math.MinInt64 {
			*t = time.UnixMicro(v).UTC()
		}
	}
	e.Amount.Amount = d.varint()
	for n := d.uvarint(); n > 0 && !d.failed; n-- {
		e.Products = append(e.Products, d.text(true))
	}
	if doc := d.raw(); len(doc) > 0 && json.NewDecoder(bytes.NewReader(doc)).Decode(&e.Numbers) != nil {
		d.failed = true
	}
}
