// Package store keeps what Bellwether may not forget: one ordered log of
// records and the indexes into it. It is the only package that knows Badger. It
// takes and gives bytes; what they mean is its caller's.
//
// # Writing
//
// A Batch is what one use case writes: some log items and some index entries,
// on disk together or not at all. Stage gives its items their places in the log
// and makes it visible to Get and Item at once; Flush writes everything staged
// and syncs it. The split is what lets many callers share one sync: they stage
// under the engine's lock, one goroutine flushes, and each caller answers when
// Flush has passed its batch. If Flush fails nothing of it may be relied on:
// Discard drops whatever is staged, and the log ends where it did on disk.
//
// # Keys
//
// One letter, then the key's own part. Ids are as their owner wrote them; they
// hold no zero byte.
//
//	m name                    format, salt, seed, head (next log position, 8 bytes big endian),
//	                          loading (present while a bulk load runs), "kept " and the caller's name
//	l position(8)             kind byte, time (Unix nanoseconds, 8), record: the log
//	v lead id                 position of the lead's newest record
//	c lead id                 id of the newest decision of the lead's chain
//	d decision id             position of the decision
//	o decision id             record.Offer: the offer's life so far
//	e event id                position of the event
//	r partner 0 lead 0 deal   event id of the outcome in force
//	i hash(32)                hash of the request, decision id: an idempotency key; expires
//	s position(8) chunk(4)    snapshot of the live state as of a position; chunk 0, written
//	                          last, holds its fingerprint, the parts' names, lengths and sums
//	h position(8) chunk(4)    the same of the state that partners are judged by
//
// Positions and chunk numbers are big endian, so that key order is log order.
// Items at or beyond head are left over from a batch larger than one Badger
// transaction whose last part never arrived; Open removes them.
package store

import (
	"crypto/rand"
	"encoding/binary"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"time"

	"bellwether/datasets/record"

	"github.com/dgraph-io/badger/v4"
	"github.com/dgraph-io/badger/v4/options"
	"github.com/dgraph-io/ristretto/v2/z"
)

// Format is the version of the key layout and of what the values hold.
const Format = 1

// Kind says what a log item is. The list may only grow at its end.
type Kind uint8

// The kinds of log item.
const (
	Partner  Kind = iota + 1 // record.AppendPartner
	Lead                     // record.AppendLead
	Event                    // record.AppendEvent
	Decision                 // record.AppendDecision
	Past                     // record.AppendEvent: an event from before the log began, loaded; offers in it are not the engine's
)

// Item is one entry of the log.
type Item struct {
	Position uint64
	Kind     Kind
	At       time.Time // when it became known; never falls along the log
	Body     []byte
}

const itemHeader = 1 + 8

func appendHeader(dst []byte, kind Kind, at time.Time) []byte {
	dst = append(dst, byte(kind), 0, 0, 0, 0, 0, 0, 0, 0)
	putTime(dst[len(dst)-itemHeader:], at)
	return dst
}

func putTime(item []byte, at time.Time) {
	ns := int64(0)
	if !at.IsZero() {
		ns = at.UnixNano()
	}
	binary.BigEndian.PutUint64(item[1:], uint64(ns))
}

func parseItem(pos uint64, b []byte) (item Item, ok bool) {
	if len(b) < itemHeader {
		return item, false
	}
	at := time.Unix(0, int64(binary.BigEndian.Uint64(b[1:]))).UTC()
	return Item{pos, Kind(b[0]), at, b[itemHeader:]}, true
}

// Options are what a store may be told when it is opened.
type Options struct {
	InMemory  bool         // nothing on disk; for tests
	MustExist bool         // do not make a new store
	Logger    *slog.Logger // nil: none

	// MinFree is the free space below which writing stops, in bytes; 0 means
	// 256 MB. Below LeastFree a disk that fills kills the process.
	MinFree uint64
	// Free tells the free space of a directory; nil asks the file system.
	Free func(dir string) (uint64, error)
	// BeforeSync runs before each write of Flush and fails it; for tests.
	BeforeSync func() error
}

const defaultMinFree = 256 << 20

// LeastFree is what Badger may write on its own after a batch was taken: the
// tables of all memtables, the write-ahead log of the one being filled, and as
// much again of value log and compaction. Its files are mapped into memory, and
// the process dies if the disk fills under them.
const LeastFree = 2 * (memTables + 1) * memTable

// Store is an open store. Its methods may be called from any goroutine.
type Store struct {
	db   *badger.DB
	dir  string
	opts Options

	flushing sync.Mutex // held by whoever writes log items

	// mu guards what is staged: visible to readers, not yet on disk.
	mu     sync.RWMutex
	staged []*Batch
	over   map[string]overlay // by key
	seq    uint64             // of the newest batch
	synced uint64             // of the newest batch on disk
	next   uint64             // first free log position, staged ones counted
	head   uint64             // the same on disk
	seed   uint64
	salt   []byte
}

// overlay is a staged value and the batch it is of.
type overlay struct {
	value []byte
	seq   uint64
}

// Open opens the store in dir and makes one if there is none. A directory that
// another process has open is Unavailable; one of another format Incompatible.
func Open(dir string, o Options) (*Store, error) {
	if o.MinFree == 0 {
		o.MinFree = defaultMinFree
	}
	if o.Free == nil {
		o.Free = freeBytes
	}
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	if _, err := os.Stat(filepath.Join(dir, "MANIFEST")); o.MustExist && err != nil {
		return nil, record.Errorf(record.NotFound, "open store", "there is no store in %s", dir)
	}
	s := &Store{dir: dir, opts: o, over: map[string]overlay{}}
	bo := badger.DefaultOptions(dir).WithLogger(logger{o.Logger.With("part", "badger")}).
		WithMemTableSize(memTable).WithNumMemtables(memTables).WithBlockCacheSize(0).WithCompression(options.None).
		WithDetectConflicts(false).WithMetricsEnabled(false).WithSyncWrites(true).WithValueLogFileSize(64 << 20).WithValueThreshold(valueThreshold)
	if o.InMemory {
		bo = bo.WithDir("").WithValueDir("").WithInMemory(true).WithSyncWrites(false).WithValueThreshold(1 << 20)
	}
	db, err := badger.Open(bo)
	// A process that was killed while Badger made a file leaves it empty. Badger then
	// gives it its size, which is all it lacks, but answers with an error: once for
	// the file of a table in memory and once for one of values.
	for range 2 {
		if err != nil && strings.Contains(err.Error(), z.NewFile.Error()) {
			db, err = badger.Open(bo)
		}
	}
	if err != nil {
		return nil, openError(dir, err)
	}
	s.db = db
	if err := s.begin(); err != nil {
		return nil, errors.Join(err, db.Close())
	}
	return s, nil
}

// memTable is small because Badger holds several and the default of 64 MB costs
// 1.3 GB of memory under load. It also bounds a transaction (15 % of it) and a
// value.
const (
	memTable  = 16 << 20
	memTables = 2
)

// valueThreshold sends decisions and snapshots to the value log, where they are
// written once: kept in the tree, compaction rewrites them and a group of
// decisions takes five times as long.
const valueThreshold = 4 << 10

func openError(dir string, err error) error {
	if strings.Contains(err.Error(), "directory lock") || errors.Is(err, syscall.EWOULDBLOCK) {
		return record.Errorf(record.Unavailable, "open store", "%s is in use by another process: stop that server, or give --store another directory (%w)", dir, err)
	}
	if errors.Is(err, syscall.ENOSPC) || strings.Contains(err.Error(), syscall.ENOSPC.Error()) { // Badger wraps some as text
		return record.Errorf(record.Exhausted, "open store", "no space left for %s: free some and start again (%w)", dir, err)
	}
	return record.Errorf(record.Internal, "open store", "%s: %w", dir, err)
}

// begin reads the metadata, or writes it into a new store, and removes what an
// interrupted write left.
func (s *Store) begin() error {
	format, err := s.read(metaKey("format"))
	if err != nil {
		return err
	}
	if format == nil {
		return s.found()
	}
	if f, n := binary.Uvarint(format); n <= 0 || f != Format {
		return record.Errorf(record.Incompatible, "open store", "%s has format %d, this program writes %d: use the program that made it to export its records, and load them into a new store", s.dir, f, Format)
	}
	if loading, err := s.read(metaKey("loading")); err != nil || loading != nil {
		if err != nil {
			return err
		}
		s.opts.Logger.Warn("a bulk load did not finish; the store is emptied", "dir", s.dir)
		if err := s.db.DropAll(); err != nil {
			return record.Errorf(record.Internal, "open store", "%s: %w", s.dir, err)
		}
		return s.found()
	}
	var seed, head []byte
	for _, m := range []struct {
		name string
		to   *[]byte
	}{{"seed", &seed}, {"salt", &s.salt}, {"head", &head}} {
		if *m.to, err = s.read(metaKey(m.name)); err != nil {
			return err
		}
	}
	if len(seed) != 8 || len(head) != 8 {
		return record.Errorf(record.Incompatible, "open store", "%s has no valid metadata: it is not a store of this program", s.dir)
	}
	s.seed, s.head = binary.BigEndian.Uint64(seed), binary.BigEndian.Uint64(head)
	s.next = s.head
	return s.removeBeyond(s.head)
}

// found makes the metadata of a new store.
func (s *Store) found() error {
	var b [8 + 16]byte
	rand.Read(b[:]) // never fails, by its own promise
	s.seed, s.salt, s.head, s.next = binary.BigEndian.Uint64(b[:8]), b[8:], 0, 0
	return s.update(func(txn *badger.Txn) error {
		return errors.Join(
			txn.Set(metaKey("format"), binary.AppendUvarint(nil, Format)),
			txn.Set(metaKey("seed"), b[:8]), txn.Set(metaKey("salt"), b[8:]),
			txn.Set(metaKey("head"), position(nil, 0)))
	})
}

// removeBeyond deletes log items from a position on.
func (s *Store) removeBeyond(head uint64) error {
	var left [][]byte
	err := s.db.View(func(txn *badger.Txn) error {
		it := txn.NewIterator(badger.IteratorOptions{Prefix: []byte{'l'}})
		defer it.Close()
		for it.Seek(itemKey(head)); it.Valid(); it.Next() {
			left = append(left, it.Item().KeyCopy(nil))
		}
		return nil
	})
	if err != nil {
		return s.fault("clean", err)
	}
	wb := s.db.NewWriteBatch()
	defer wb.Cancel()
	for _, k := range left {
		if err := wb.Delete(k); err != nil {
			return s.fault("clean", err)
		}
	}
	return s.fault("clean", wb.Flush())
}

// Seed is the engine's seed, drawn when the store was made.
func (s *Store) Seed() uint64 { return s.seed }

// Salt is what lead ids are hashed with, drawn when the store was made.
func (s *Store) Salt() []byte { return s.salt }

// Meta returns what SetMeta kept under a name; nil if nothing.
func (s *Store) Meta(name string) ([]byte, error) { return s.read(metaKey("kept " + name)) }

// SetMeta keeps a small value under a name, on disk when it returns.
func (s *Store) SetMeta(name string, value []byte) error {
	return s.update(func(txn *badger.Txn) error { return txn.Set(metaKey("kept "+name), value) })
}

// Next returns the first free log position, staged items counted.
func (s *Store) Next() uint64 {
	s.mu.RLock()
	defer s.mu.RUnlock()
	return s.next
}

// Head returns the first log position not yet on disk.
func (s *Store) Head() uint64 {
	s.mu.RLock()
	defer s.mu.RUnlock()
	return s.head
}

// Get returns a key's value, staged or on disk; nil if it has none.
func (s *Store) Get(k Key) ([]byte, error) {
	s.mu.RLock()
	o, ok := s.over[string(k)]
	s.mu.RUnlock()
	if ok {
		return o.value, nil
	}
	return s.read(k)
}

// Item returns the log item at a position, staged or on disk. A position without
// one is an Internal error: who asks has read it somewhere.
func (s *Store) Item(pos uint64) (Item, error) {
	b, err := s.Get(itemKey(pos))
	if err != nil {
		return Item{}, err
	}
	item, ok := parseItem(pos, b)
	if !ok {
		return Item{}, record.Errorf(record.Internal, "read store", "%s has no log item at %d", s.dir, pos)
	}
	return item, nil
}

// Scan calls f with the log items on disk from one position up to, not
// including, another, in order. An item's body holds until f returns.
func (s *Store) Scan(from, to uint64, f func(Item) error) error {
	return s.db.View(func(txn *badger.Txn) error {
		it := txn.NewIterator(badger.IteratorOptions{Prefix: []byte{'l'}, PrefetchValues: true, PrefetchSize: 256})
		defer it.Close()
		want := from
		for it.Seek(itemKey(from)); it.Valid() && want < to; it.Next() {
			pos := binary.BigEndian.Uint64(it.Item().Key()[1:])
			if pos != want {
				return record.Errorf(record.Internal, "read log", "%s has no item at %d", s.dir, want)
			}
			want++
			err := it.Item().Value(func(b []byte) error {
				item, ok := parseItem(pos, b)
				if !ok {
					return record.Errorf(record.Internal, "read log", "the item at %d of %s is cut short", pos, s.dir)
				}
				return f(item)
			})
			if err != nil {
				return err
			}
		}
		if want < to {
			return record.Errorf(record.Internal, "read log", "%s ends at %d, not %d", s.dir, want, to)
		}
		return nil
	})
}

// Writable returns nil if there is room to write, else why not and what to do.
func (s *Store) Writable() error { return s.room(0) }

// room is Writable for so many bytes more than a batch has.
func (s *Store) room(size uint64) error {
	if s.opts.InMemory {
		return nil
	}
	free, err := s.opts.Free(s.dir)
	if err != nil {
		return record.Errorf(record.Unavailable, "write store", "free space of %s is not known: %w", s.dir, err)
	}
	if free < s.opts.MinFree+size {
		return record.Errorf(record.Exhausted, "write store", "the disk of %s is nearly full: %d MB free, %d MB are needed with what is kept in reserve; free some space and writing goes on by itself",
			s.dir, free>>20, (s.opts.MinFree+size)>>20)
	}
	return nil
}

func freeBytes(dir string) (uint64, error) {
	var st syscall.Statfs_t
	if err := syscall.Statfs(dir, &st); err != nil {
		return 0, err
	}
	return st.Bavail * uint64(st.Bsize), nil
}

// Collect gives space in value logs back to the disk; it is called now and then.
func (s *Store) Collect() {
	if s.opts.InMemory {
		return
	}
	// An error means there was nothing worth rewriting.
	for s.db.RunValueLogGC(0.5) == nil {
	}
}

// Size returns the bytes on disk, as last measured by Badger (once a minute).
func (s *Store) Size() int64 {
	lsm, vlog := s.db.Size()
	return lsm + vlog
}

// Close flushes what is staged and closes the store.
func (s *Store) Close() error {
	_, err := s.Flush()
	return errors.Join(err, s.fault("close", s.db.Close()))
}

// read returns a key's value on disk.
func (s *Store) read(k Key) ([]byte, error) {
	var out []byte
	err := s.db.View(func(txn *badger.Txn) error {
		item, err := txn.Get(k)
		if errors.Is(err, badger.ErrKeyNotFound) {
			return nil
		}
		if err != nil {
			return err
		}
		out, err = item.ValueCopy(nil)
		if out == nil {
			out = []byte{}
		}
		return err
	})
	return out, s.fault("read", err)
}

func (s *Store) update(f func(txn *badger.Txn) error) error { return s.fault("write", s.db.Update(f)) }

// fault says what Badger's error means for the caller.
func (s *Store) fault(what string, err error) error {
	switch {
	case err == nil:
		return nil
	case errors.Is(err, syscall.ENOSPC):
		return record.Errorf(record.Exhausted, what+" store", "no space left on the disk of %s: free some (%w)", s.dir, err)
	case errors.Is(err, badger.ErrDBClosed), errors.Is(err, badger.ErrBlockedWrites):
		return record.Errorf(record.Unavailable, what+" store", "%s is closed", s.dir)
	}
	return record.Errorf(record.Internal, what+" store", "%s: %w", s.dir, err)
}

// logger hands Badger's words to slog. What Badger calls information is of use
// to nobody but Badger.
type logger struct{ *slog.Logger }

func (l logger) Errorf(f string, a ...any)   { l.Error(strings.TrimSpace(fmt.Sprintf(f, a...))) }
func (l logger) Warningf(f string, a ...any) { l.Warn(strings.TrimSpace(fmt.Sprintf(f, a...))) }
func (l logger) Infof(f string, a ...any)    { l.Debug(strings.TrimSpace(fmt.Sprintf(f, a...))) }
func (l logger) Debugf(string, ...any)       {}

// IdempotencyLife is how long an idempotency key is remembered.
const IdempotencyLife = 48 * time.Hour
