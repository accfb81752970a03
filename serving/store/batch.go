package store

import (
	"errors"
	"maps"
	"slices"
	"time"

	"github.com/dgraph-io/badger/v4"
)

// Batch is what one use case writes: all of it or nothing. The zero Batch is
// empty.
type Batch struct {
	items [][]byte // kind byte, body
	puts  []put
	first uint64 // position of items[0], once staged
	seq   uint64
	size  int
}

type put struct {
	key   Key
	value []byte
	ttl   time.Duration // 0: for ever
	item  int           // the value is the position of the batch's item with this number, counted from 1
}

// NewItem makes a log item for AppendItem. encode appends the record to the slice
// it is given.
func NewItem(kind Kind, encode func(dst []byte) []byte) []byte {
	return encode(appendHeader(nil, kind, time.Time{}))
}

// Append adds a log item and returns its place in the batch; see NewItem.
func (b *Batch) Append(kind Kind, encode func(dst []byte) []byte) int {
	return b.AppendItem(NewItem(kind, encode))
}

// AppendItem is Append for an item made before; it is the batch's from then on.
func (b *Batch) AppendItem(item []byte) int {
	b.items = append(b.items, item)
	b.size += len(item)
	return len(b.items) - 1
}

// Put adds an index entry. The last Put of a key counts.
func (b *Batch) Put(k Key, value []byte) { b.puts = append(b.puts, put{key: k, value: value}) }

// PutFor is Put for an entry that is forgotten after a while.
func (b *Batch) PutFor(k Key, value []byte, life time.Duration) {
	b.puts = append(b.puts, put{key: k, value: value, ttl: life})
}

// PutPosition adds an index entry that leads to the batch's i-th item, whose
// position Stage decides.
func (b *Batch) PutPosition(k Key, i int) {
	b.puts = append(b.puts, put{key: k, item: i + 1})
}

// Len returns the number of log items.
func (b *Batch) Len() int { return len(b.items) }

// Item returns the i-th log item of a staged batch; its body is not to be
// changed.
func (b *Batch) Item(i int) Item {
	item, _ := parseItem(b.first+uint64(i), b.items[i])
	return item
}

// Empty reports whether there is nothing to write.
func (b *Batch) Empty() bool { return len(b.items)+len(b.puts) == 0 }

// Stage gives the batch its places in the log, and the time its items carry, and
// shows it to readers. The ticket it returns is what Flush answers with once the
// batch is on disk. The batch is not to be changed from here on.
func (s *Store) Stage(b *Batch, at time.Time) (ticket uint64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.seq++
	b.seq, b.first = s.seq, s.next
	s.next += uint64(len(b.items))
	for i, item := range b.items {
		putTime(item, at)
		s.over[string(itemKey(b.first+uint64(i)))] = overlay{item, b.seq}
	}
	for i := range b.puts {
		p := &b.puts[i]
		if p.item > 0 {
			p.value = Position(b.first + uint64(p.item-1))
		}
		s.over[string(p.key)] = overlay{p.value, b.seq}
	}
	s.staged = append(s.staged, b)
	return b.seq
}

// Ticket returns the ticket of the newest staged batch: whoever has read what
// was staged waits for it.
func (s *Store) Ticket() uint64 {
	s.mu.RLock()
	defer s.mu.RUnlock()
	return s.seq
}

// Flush writes and syncs everything staged when it begins, and returns the
// ticket of the newest batch that is on disk. After an error later batches may
// be there too, each whole; Discard tells.
func (s *Store) Flush() (ticket uint64, err error) {
	s.flushing.Lock()
	defer s.flushing.Unlock()
	s.mu.RLock()
	batches, ticket := s.staged, s.synced
	s.mu.RUnlock()
	if len(batches) == 0 {
		return ticket, nil
	}
	if err := s.Writable(); err != nil {
		return ticket, err
	}
	for rest := batches; len(rest) > 0; {
		n := s.group(rest)
		if s.opts.BeforeSync != nil {
			if err := s.opts.BeforeSync(); err != nil {
				return ticket, s.fault("write", err)
			}
		}
		if n == 0 {
			err, n = s.writeLarge(rest[0]), 1
		} else {
			err = s.writeGroup(rest[:n])
		}
		if err != nil {
			return ticket, err
		}
		ticket = s.settle(rest[:n])
		rest = rest[n:]
	}
	return ticket, nil
}

// group returns how many of the first batches fit one transaction together.
func (s *Store) group(batches []*Batch) int {
	// Badger adds a few bytes to each entry and refuses a transaction that
	// reaches its limit.
	const overhead = 64
	maxSize, maxCount := s.db.MaxBatchSize(), s.db.MaxBatchCount()
	size, count := int64(1<<10), int64(8)
	for i, b := range batches {
		count += int64(len(b.items) + len(b.puts))
		size += int64(b.size) + int64(overhead*(len(b.items)+len(b.puts)))
		for _, p := range b.puts {
			size += int64(len(p.key) + len(p.value))
		}
		if size >= maxSize || count >= maxCount {
			return i
		}
	}
	return len(batches)
}

// writeGroup writes batches in one transaction: one sync.
func (s *Store) writeGroup(batches []*Batch) error {
	return s.update(func(txn *badger.Txn) error {
		for _, b := range batches {
			for i, item := range b.items {
				if err := txn.Set(itemKey(b.first+uint64(i)), item); err != nil {
					return err
				}
			}
			for _, p := range b.puts {
				if err := set(txn, p); err != nil {
					return err
				}
			}
		}
		return txn.Set(metaKey("head"), Position(batches[len(batches)-1].end()))
	})
}

// writeLarge writes one batch in several transactions. Its items come first and
// do not count until the head moves beyond them, together with its index.
func (s *Store) writeLarge(b *Batch) error {
	wb := s.db.NewWriteBatch()
	defer wb.Cancel()
	for i, item := range b.items {
		if err := wb.Set(itemKey(b.first+uint64(i)), item); err != nil {
			return s.fault("write", err)
		}
	}
	if err := wb.Flush(); err != nil {
		return s.fault("write", err)
	}
	err := s.db.Update(func(txn *badger.Txn) error {
		for _, p := range b.puts {
			if err := set(txn, p); err != nil {
				return err
			}
		}
		return txn.Set(metaKey("head"), Position(b.end()))
	})
	return s.fault("write", err)
}

func set(txn *badger.Txn, p put) error {
	e := badger.NewEntry(p.key, p.value)
	if p.ttl > 0 {
		e = e.WithTTL(p.ttl)
	}
	return txn.SetEntry(e)
}

func (b *Batch) end() uint64 { return b.first + uint64(len(b.items)) }

// settle takes batches now on disk out of what is staged, and returns the
// ticket of the last.
func (s *Store) settle(batches []*Batch) uint64 {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, b := range batches {
		for i := range b.items {
			delete(s.over, string(itemKey(b.first+uint64(i))))
		}
		for _, p := range b.puts {
			if o, ok := s.over[string(p.key)]; ok && o.seq == b.seq {
				delete(s.over, string(p.key))
			}
		}
	}
	last := batches[len(batches)-1]
	s.head, s.synced = last.end(), last.seq
	s.staged = slices.Clone(s.staged[len(batches):])
	return s.synced
}

// Discard drops everything staged: the log ends where it does on disk.
func (s *Store) Discard() error {
	s.flushing.Lock()
	defer s.flushing.Unlock()
	s.mu.Lock()
	defer s.mu.Unlock()
	b, err := s.read(metaKey("head"))
	if err != nil {
		return err
	}
	head, ok := PositionOf(b)
	if !ok {
		return s.fault("read", errors.New("the head of the log is gone"))
	}
	maps.DeleteFunc(s.over, func(string, overlay) bool { return true })
	s.staged, s.head, s.next = nil, head, head
	return s.removeBeyond(head)
}

// Loader writes the first records of an empty store, quickly: not synced until
// the end, and nothing counts unless all of it arrived.
type Loader struct {
	s  *Store
	wb *badger.WriteBatch
	n  uint64
}

// Load fills an empty store. If f fails, or the process dies, the store is
// empty when it is opened again.
func (s *Store) Load(f func(*Loader) error) error {
	s.flushing.Lock()
	defer s.flushing.Unlock()
	if s.Next() != 0 {
		return s.fault("load", errors.New("the store is not empty"))
	}
	if err := s.update(func(txn *badger.Txn) error { return txn.Set(metaKey("loading"), []byte{1}) }); err != nil {
		return err
	}
	l := &Loader{s: s, wb: s.db.NewWriteBatch()}
	defer l.wb.Cancel()
	err := f(l)
	if err == nil {
		err = s.fault("load", l.wb.Flush())
	}
	if err != nil {
		return errors.Join(err, s.fault("load", s.db.DropAll()), s.found())
	}
	err = s.update(func(txn *badger.Txn) error {
		return errors.Join(txn.Set(metaKey("head"), Position(l.n)), txn.Delete(metaKey("loading")))
	})
	if err == nil {
		s.mu.Lock()
		s.head, s.next = l.n, l.n
		s.mu.Unlock()
	}
	return err
}

// Append adds a log item, with an index entry that leads to it if k is not nil,
// and returns its position. at is the time it became known. encode appends the
// record to the slice it is given.
func (l *Loader) Append(kind Kind, at time.Time, k Key, encode func(dst []byte) []byte) (uint64, error) {
	const checkEvery = 1 << 12
	if l.n%checkEvery == 0 {
		if err := l.s.Writable(); err != nil {
			return 0, err
		}
	}
	pos := l.n
	l.n++
	if err := l.wb.Set(itemKey(pos), encode(appendHeader(nil, kind, at))); err != nil {
		return 0, l.s.fault("load", err)
	}
	if k == nil {
		return pos, nil
	}
	return pos, l.s.fault("load", l.wb.Set(k, Position(pos)))
}

// Put adds another index entry.
func (l *Loader) Put(k Key, value []byte) error { return l.s.fault("load", l.wb.Set(k, value)) }
