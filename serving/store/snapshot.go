package store

import (
	"encoding/binary"
	"hash/crc32"
	"math"

	"bellwether/datasets/record"

	"github.com/dgraph-io/badger/v4"
)

// Fold says what a snapshot is of; each keeps its own newest few. Its value is
// the letter of their keys.
type Fold byte

// The folds of the log that are kept.
const (
	Live   Fold = 's' // what leads are decided by
	Health Fold = 'h' // what partners are judged by
)

// Snapshot is the state of a fold as of a log position, in named parts.
type Snapshot struct {
	Fold        Fold
	Position    uint64 // items below it are in the state
	Fingerprint string // of whatever must be the same for the parts to be read
	Parts       []Part
}

// Part is one piece of a snapshot.
type Part struct {
	Name string
	Body []byte
}

const (
	snapshotChunk = 256 << 10
	snapshotsKept = 2
)

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// SaveSnapshot writes a snapshot and removes all but the newest few. Without room
// for it on the disk nothing is written, and the error is Exhausted.
func (s *Store) SaveSnapshot(snap Snapshot) error {
	size := uint64(0)
	for _, p := range snap.Parts {
		size += uint64(len(p.Body))
	}
	if err := s.room(size); err != nil {
		return err
	}
	base := snapshotKey(snap.Fold, snap.Position)
	head := appendText(nil, snap.Fingerprint)
	head = binary.AppendUvarint(head, uint64(len(snap.Parts)))
	wb := s.db.NewWriteBatch()
	defer wb.Cancel()
	chunk := uint32(0)
	for _, p := range snap.Parts {
		head = appendText(head, p.Name)
		head = binary.AppendUvarint(head, uint64(len(p.Body)))
		head = binary.BigEndian.AppendUint32(head, crc32.Checksum(p.Body, castagnoli))
		for body := p.Body; len(body) > 0; {
			n := min(len(body), snapshotChunk)
			chunk++
			if err := wb.Set(chunkKey(base, chunk), body[:n:n]); err != nil {
				return s.fault("snapshot", err)
			}
			body = body[n:]
		}
	}
	if err := wb.Flush(); err != nil {
		return s.fault("snapshot", err)
	}
	err := s.update(func(txn *badger.Txn) error { return txn.Set(chunkKey(base, 0), head) })
	if err != nil {
		return err
	}
	return s.dropSnapshots(snap.Fold)
}

// chunkKey is the key of a snapshot's n-th chunk.
func chunkKey(base Key, n uint32) Key {
	return binary.BigEndian.AppendUint32(append(make(Key, 0, len(base)+4), base...), n)
}

func appendText(dst []byte, text string) []byte {
	return append(binary.AppendUvarint(dst, uint64(len(text))), text...)
}

// dropSnapshots removes all but the newest few, whole and unfinished ones.
func (s *Store) dropSnapshots(of Fold) error {
	var drop [][]byte
	err := s.db.View(func(txn *badger.Txn) error {
		it := txn.NewIterator(badger.IteratorOptions{Prefix: []byte{byte(of)}, Reverse: true})
		defer it.Close()
		whole, last, finished := 0, "", false
		for it.Seek(append(snapshotKey(of, math.MaxUint64), 0xff)); it.Valid(); it.Next() {
			k := it.Item().KeyCopy(nil)
			if at := string(k[:9]); at != last {
				if finished {
					whole++
				}
				last, finished = at, false
			}
			finished = binary.BigEndian.Uint32(k[9:]) == 0
			if whole >= snapshotsKept {
				drop = append(drop, k)
			}
		}
		return nil
	})
	if err != nil {
		return s.fault("snapshot", err)
	}
	wb := s.db.NewWriteBatch()
	defer wb.Cancel()
	for _, k := range drop {
		if err := wb.Delete(k); err != nil {
			return s.fault("snapshot", err)
		}
	}
	return s.fault("snapshot", wb.Flush())
}

// LoadSnapshot returns the newest whole snapshot of the fold and fingerprint that
// is not beyond a position; nil if there is none. A damaged one is passed over.
func (s *Store) LoadSnapshot(of Fold, fingerprint string, notBeyond uint64) (*Snapshot, error) {
	var found *Snapshot
	err := s.db.View(func(txn *badger.Txn) error {
		for pos := notBeyond; ; {
			head, at := s.headBefore(txn, of, pos)
			if head == nil {
				return nil
			}
			snap, err := readSnapshot(txn, of, at, head, fingerprint)
			if err != nil {
				s.opts.Logger.Warn("a snapshot is damaged and is passed over", "position", at, "error", err)
			}
			if snap != nil {
				found = snap
				return nil
			}
			if at == 0 {
				return nil
			}
			pos = at - 1
		}
	})
	return found, s.fault("read snapshot", err)
}

// headBefore returns the newest first chunk at or before a position.
func (s *Store) headBefore(txn *badger.Txn, of Fold, pos uint64) ([]byte, uint64) {
	it := txn.NewIterator(badger.IteratorOptions{Prefix: []byte{byte(of)}, Reverse: true})
	defer it.Close()
	for it.Seek(chunkKey(snapshotKey(of, pos), 1<<32-1)); it.Valid(); it.Next() {
		k := it.Item().Key()
		if binary.BigEndian.Uint32(k[9:]) != 0 {
			continue
		}
		if head, err := it.Item().ValueCopy(nil); err == nil {
			return head, binary.BigEndian.Uint64(k[1:9])
		}
	}
	return nil, 0
}

// mostAtOnce is how much memory is taken for a part on the word of its size, which
// may be damaged.
const mostAtOnce = 256 << 20

// readSnapshot returns nil without an error for another fingerprint.
func readSnapshot(txn *badger.Txn, of Fold, at uint64, head []byte, fingerprint string) (*Snapshot, error) {
	r := snapshotHead{b: head}
	if r.text() != fingerprint {
		return nil, nil
	}
	snap := &Snapshot{Fold: of, Position: at, Fingerprint: fingerprint}
	base, chunk := snapshotKey(of, at), uint32(0)
	for range r.uint() {
		p := Part{Name: r.text()}
		size, sum := r.uint(), r.sum()
		if r.bad {
			break
		}
		p.Body = make([]byte, 0, min(size, mostAtOnce)) // pieces that grow are garbage
		for uint64(len(p.Body)) < size {
			chunk++
			item, err := txn.Get(chunkKey(base, chunk))
			if err != nil {
				return nil, err
			}
			if err := item.Value(func(b []byte) error { p.Body = append(p.Body, b...); return nil }); err != nil {
				return nil, err
			}
		}
		if crc32.Checksum(p.Body, castagnoli) != sum {
			return nil, record.Errorf(record.Internal, "read snapshot", "the sum of part %s is wrong", p.Name)
		}
		snap.Parts = append(snap.Parts, p)
	}
	if r.bad {
		return nil, record.Errorf(record.Internal, "read snapshot", "its first chunk is cut short")
	}
	return snap, nil
}

// snapshotHead reads a first chunk; after the first failure it reads zeros.
type snapshotHead struct {
	b   []byte
	bad bool
}

func (r *snapshotHead) uint() uint64 {
	x, n := binary.Uvarint(r.b)
	if n <= 0 {
		r.bad, r.b = true, nil
		return 0
	}
	r.b = r.b[n:]
	return x
}

func (r *snapshotHead) text() string {
	n := r.uint()
	if n > uint64(len(r.b)) {
		r.bad, r.b = true, nil
		return ""
	}
	t := string(r.b[:n])
	r.b = r.b[n:]
	return t
}

func (r *snapshotHead) sum() uint32 {
	if len(r.b) < 4 {
		r.bad, r.b = true, nil
		return 0
	}
	x := binary.BigEndian.Uint32(r.b)
	r.b = r.b[4:]
	return x
}
