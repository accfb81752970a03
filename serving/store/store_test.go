package store

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"bellwether/datasets/record"

	"github.com/dgraph-io/badger/v4"
)

var noon = time.Date(2026, 3, 2, 12, 0, 0, 5, time.UTC)

func open(t *testing.T, dir string, o Options) *Store {
	t.Helper()
	if o.MinFree == 0 {
		o.MinFree = 1
	}
	s, err := Open(dir, o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Close() })
	return s
}

func body(text string) func([]byte) []byte {
	return func(dst []byte) []byte { return append(dst, text...) }
}

// stage puts one event of the id into the log.
func stage(s *Store, id string) uint64 {
	b := new(Batch)
	b.PutPosition(EventKey(record.EventID(id)), b.Append(Event, body(id)))
	ticket := s.Stage(b, noon)
	return ticket
}

func flush(t *testing.T, s *Store) uint64 {
	t.Helper()
	ticket, err := s.Flush()
	if err != nil {
		t.Fatal(err)
	}
	return ticket
}

// has reports whether the event's index entry leads to its item.
func has(t *testing.T, s *Store, id string) bool {
	t.Helper()
	b, err := s.Get(EventKey(record.EventID(id)))
	if err != nil {
		t.Fatal(err)
	}
	pos, ok := PositionOf(b)
	if !ok {
		return false
	}
	got, err := s.Item(pos)
	if err != nil {
		t.Fatal(err)
	}
	if got.Kind != Event || string(got.Body) != id || !got.At.Equal(noon) {
		t.Fatalf("event %s leads to item %+v", id, got)
	}
	return true
}

func log(t *testing.T, s *Store) string {
	t.Helper()
	var out []string
	if err := s.Scan(0, s.Head(), func(i Item) error {
		out = append(out, fmt.Sprintf("%d=%s", i.Position, i.Body))
		return nil
	}); err != nil {
		t.Fatal(err)
	}
	return strings.Join(out, " ")
}

func TestStagedIsVisibleAndFlushedStays(t *testing.T) {
	dir := t.TempDir()
	s := open(t, dir, Options{})
	seed, salt := s.Seed(), string(s.Salt())
	stage(s, "a")
	ticket := stage(s, "b")
	if !has(t, s, "a") || !has(t, s, "b") {
		t.Fatal("what was staged is not visible")
	}
	if s.Head() != 0 || s.Next() != 2 {
		t.Fatalf("head %d, next %d before the sync, want 0 and 2", s.Head(), s.Next())
	}
	if got := flush(t, s); got != ticket {
		t.Fatalf("flush answers with ticket %d, want %d", got, ticket)
	}
	stage(s, "c") // Close flushes it
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	s = open(t, dir, Options{})
	if got := log(t, s); got != "0=a 1=b 2=c" {
		t.Fatalf("the log after opening again: %s", got)
	}
	if !has(t, s, "c") || has(t, s, "d") {
		t.Fatal("the index after opening again is wrong")
	}
	if s.Seed() != seed || string(s.Salt()) != salt || len(salt) != 16 {
		t.Fatal("seed or salt changed")
	}
}

func TestNewerStagedValueOutlivesTheSyncOfAnOlder(t *testing.T) {
	s := open(t, "", Options{InMemory: true})
	put := func(v string) {
		b := new(Batch)
		b.Put(OfferKey("d"), []byte(v))
		s.Stage(b, noon)
	}
	put("one")
	first := s.staged[0]
	put("two")
	s.settle([]*Batch{first})
	if got, _ := s.Get(OfferKey("d")); string(got) != "two" {
		t.Fatalf("got %q, want the newer value", got)
	}
}

func TestFailedFlushThenDiscard(t *testing.T) {
	var broken error
	s := open(t, t.TempDir(), Options{BeforeSync: func() error { return broken }})
	stage(s, "a")
	acknowledged := flush(t, s)
	broken = errors.New("the cable is out")
	stage(s, "b")
	ticket, err := s.Flush()
	if err == nil || !strings.Contains(err.Error(), "the cable is out") {
		t.Fatalf("flush: %v", err)
	}
	if ticket != acknowledged {
		t.Fatalf("flush acknowledges ticket %d, want %d", ticket, acknowledged)
	}
	if err := s.Discard(); err != nil {
		t.Fatal(err)
	}
	broken = nil
	if has(t, s, "b") || !has(t, s, "a") {
		t.Fatal("discard did not go back to what is on disk")
	}
	stage(s, "c")
	flush(t, s)
	if got := log(t, s); got != "0=a 1=c" {
		t.Fatalf("log: %s", got)
	}
}

func TestBatchesLargerThanATransaction(t *testing.T) {
	dir := t.TempDir()
	s := open(t, dir, Options{})
	big := strings.Repeat("x", 900<<10)
	for i := range 5 { // several groups
		stage(s, fmt.Sprintf("%d%s", i, big)[:30])
		b := new(Batch)
		b.Append(Lead, body(big))
		s.Stage(b, noon)
	}
	b := new(Batch)
	for i := range 8 { // one batch of several transactions
		id := fmt.Sprint("large", i)
		b.PutPosition(EventKey(record.EventID(id)), b.Append(Event, body(id)))
		b.Append(Lead, body(big))
	}
	ticket := s.Stage(b, noon)
	if got := flush(t, s); got != ticket {
		t.Fatalf("ticket %d, want %d", got, ticket)
	}
	if s.Head() != 26 || len(s.over) != 0 || len(s.staged) != 0 {
		t.Fatalf("head %d, %d staged keys, %d staged batches", s.Head(), len(s.over), len(s.staged))
	}
	for i := range 8 {
		if !has(t, s, fmt.Sprint("large", i)) {
			t.Fatalf("large%d is missing", i)
		}
	}
}

func TestItemsBeyondTheHeadAreRemoved(t *testing.T) {
	dir := t.TempDir()
	s := open(t, dir, Options{})
	stage(s, "a")
	flush(t, s)
	// What a process killed inside writeLarge leaves behind.
	if err := s.update(func(txn *badger.Txn) error {
		return errors.Join(txn.Set(itemKey(1), []byte{byte(Event), 'z'}), txn.Set(itemKey(2), []byte{byte(Event), 'z'}))
	}); err != nil {
		t.Fatal(err)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	s = open(t, dir, Options{})
	for _, pos := range []uint64{1, 2} {
		if _, err := s.Item(pos); err == nil {
			t.Fatalf("item %d is still there", pos)
		}
	}
	if got := log(t, s); got != "0=a" {
		t.Fatalf("log: %s", got)
	}
}

func TestScanNoticesAGap(t *testing.T) {
	s := open(t, "", Options{InMemory: true})
	for _, id := range []string{"a", "b", "c"} {
		stage(s, id)
	}
	flush(t, s)
	if err := s.update(func(txn *badger.Txn) error { return txn.Delete(itemKey(1)) }); err != nil {
		t.Fatal(err)
	}
	err := s.Scan(0, 3, func(Item) error { return nil })
	if err == nil || !strings.Contains(err.Error(), "no item at 1") {
		t.Fatalf("scan over a gap: %v", err)
	}
	if err := s.Scan(2, 4, func(Item) error { return nil }); err == nil {
		t.Fatal("scan beyond the end says nothing")
	}
}

func TestOpenTwice(t *testing.T) {
	dir := t.TempDir()
	open(t, dir, Options{})
	_, err := Open(dir, Options{})
	if record.KindOf(err) != record.Unavailable || !strings.Contains(err.Error(), dir+" is in use") {
		t.Fatalf("opening twice: %v", err)
	}
}

func TestOpenOtherFormat(t *testing.T) {
	dir := t.TempDir()
	s := open(t, dir, Options{})
	if err := s.update(func(txn *badger.Txn) error { return txn.Set(metaKey("format"), []byte{Format + 1}) }); err != nil {
		t.Fatal(err)
	}
	s.Close()
	_, err := Open(dir, Options{})
	if record.KindOf(err) != record.Incompatible || !strings.Contains(err.Error(), "has format 2") {
		t.Fatalf("another format: %v", err)
	}
}

func TestOpenMustExist(t *testing.T) {
	dir := t.TempDir()
	if _, err := Open(dir, Options{MustExist: true}); record.KindOf(err) != record.NotFound {
		t.Fatalf("opening what is not there: %v", err)
	}
	open(t, dir, Options{}).Close()
	open(t, dir, Options{MustExist: true})
}

// A process killed while Badger makes a file leaves it empty: the next start opens
// the store all the same, with all that was in it.
func TestOpenAfterAKilledRotation(t *testing.T) {
	for name, files := range map[string][]string{
		"of a table":   {"00099.mem"},
		"of values":    {"000099.vlog"},
		"of both":      {"00099.mem", "000099.vlog"},
		"at the first": {"00001.mem", "000001.vlog"},
	} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			if name != "at the first" {
				s := open(t, dir, Options{})
				stage(s, "kept")
				flush(t, s)
				s.Close()
			}
			for _, f := range files {
				if err := os.WriteFile(filepath.Join(dir, f), nil, 0o600); err != nil {
					t.Fatal(err)
				}
			}
			s := open(t, dir, Options{})
			if has(t, s, "kept") != (name != "at the first") {
				t.Error("what was kept is not there")
			}
		})
	}
}

func TestOpenAFile(t *testing.T) {
	path := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(path, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := Open(path, Options{}); err == nil || !strings.Contains(err.Error(), path) {
		t.Fatalf("opening a file: %v", err)
	}
}

func TestOpenOnAFullDisk(t *testing.T) {
	dir := t.TempDir()
	if err := syscall.Mount("tmpfs", dir, "tmpfs", 0, "size=64k"); err != nil {
		t.Skipf("no right to mount a small file system here: %v", err)
	}
	t.Cleanup(func() { syscall.Unmount(dir, 0) })
	if err := os.WriteFile(filepath.Join(dir, "ballast"), make([]byte, 64<<10), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := Open(filepath.Join(dir, "store"), Options{}); record.KindOf(err) != record.Exhausted || !strings.Contains(err.Error(), "free some") {
		t.Fatalf("opened on a full disk: %v", err)
	}
}

func TestNearlyFullDisk(t *testing.T) {
	free := uint64(1 << 30)
	s := open(t, t.TempDir(), Options{MinFree: 100 << 20, Free: func(string) (uint64, error) { return free, nil }})
	stage(s, "a")
	flush(t, s)
	free = 99 << 20
	stage(s, "b")
	if _, err := s.Flush(); record.KindOf(err) != record.Exhausted || !strings.Contains(err.Error(), "99 MB free, 100 MB") {
		t.Fatalf("flush on a nearly full disk: %v", err)
	}
	if err := s.SaveSnapshot(Snapshot{}); record.KindOf(err) != record.Exhausted {
		t.Fatalf("snapshot on a nearly full disk: %v", err)
	}
	free = 101 << 20
	if err := s.SaveSnapshot(Snapshot{Fold: Live, Parts: []Part{{"state", make([]byte, 2<<20)}}}); record.KindOf(err) != record.Exhausted {
		t.Fatalf("snapshot larger than what is left: %v", err)
	}
	free = 1 << 30
	flush(t, s)
	if got := log(t, s); got != "0=a 1=b" {
		t.Fatalf("log after space was freed: %s", got)
	}
}

// A real file system of 200 MB is filled by others while the store writes: the
// store must stop by itself, keep what it acknowledged and go on when there is
// space again.
func TestFullFileSystem(t *testing.T) {
	dir := t.TempDir()
	if err := syscall.Mount("tmpfs", dir, "tmpfs", 0, "size=200m"); err != nil {
		t.Skipf("no right to mount a small file system here: %v", err)
	}
	t.Cleanup(func() { syscall.Unmount(dir, 0) })
	path := filepath.Join(dir, "store")
	s := open(t, path, Options{MinFree: LeastFree})
	ballast := filepath.Join(dir, "ballast")
	if err := os.WriteFile(ballast, make([]byte, 40<<20), 0o600); err != nil {
		t.Fatal(err)
	}
	filler := strings.Repeat("x", 500<<10)
	written := 0
	for range 1000 {
		b := new(Batch)
		b.PutPosition(EventKey(record.EventID(fmt.Sprint(written))), b.Append(Event, body(fmt.Sprint(written))))
		b.Append(Lead, body(filler))
		s.Stage(b, noon)
		_, err := s.Flush()
		if err == nil {
			written++
			continue
		}
		if record.KindOf(err) != record.Exhausted {
			t.Fatalf("after %d writes: %v", written, err)
		}
		if err := s.Discard(); err != nil {
			t.Fatal(err)
		}
		break
	}
	if written == 0 || written == 1000 {
		t.Fatalf("%d writes went through", written)
	}
	if err := os.Remove(ballast); err != nil {
		t.Fatal(err)
	}
	stage(s, "after")
	flush(t, s)
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	s = open(t, path, Options{MinFree: 1 << 20})
	for i := range written {
		if !has(t, s, fmt.Sprint(i)) {
			t.Fatalf("acknowledged write %d of %d is lost", i, written)
		}
	}
	if !has(t, s, "after") {
		t.Fatal("the write after space was freed is lost")
	}
	s.Close()
}

func TestForgottenAfterAWhile(t *testing.T) {
	s := open(t, "", Options{InMemory: true})
	b := new(Batch)
	b.PutFor(RepeatKey("caller", "k1"), []byte("x"), time.Second)
	b.PutFor(RepeatKey("caller", "k2"), []byte("y"), time.Hour)
	s.Stage(b, noon)
	flush(t, s)
	for deadline := time.Now().Add(10 * time.Second); ; time.Sleep(50 * time.Millisecond) {
		if v, err := s.Get(RepeatKey("caller", "k1")); err == nil && v == nil {
			break
		}
		if time.Now().After(deadline) {
			t.Fatal("an entry with a life of a second is still there")
		}
	}
	if v, _ := s.Get(RepeatKey("caller", "k2")); string(v) != "y" {
		t.Fatalf("the other entry is %q", v)
	}
	if v, _ := s.Get(RepeatKey("another caller", "k2")); v != nil {
		t.Fatal("two callers share a key")
	}
}

func TestLoad(t *testing.T) {
	dir := t.TempDir()
	s := open(t, dir, Options{})
	load := func(n int, fail error) error {
		return s.Load(func(l *Loader) error {
			for i := range n {
				id := fmt.Sprint(i)
				if _, err := l.Append(Event, noon, EventKey(record.EventID(id)), body(id)); err != nil {
					return err
				}
			}
			return fail
		})
	}
	bad := errors.New("bad row")
	if err := load(3000, bad); !errors.Is(err, bad) {
		t.Fatalf("a load that fails: %v", err)
	}
	if s.Next() != 0 || has(t, s, "5") {
		t.Fatal("a load that failed left something")
	}
	if err := load(50_000, nil); err != nil {
		t.Fatal(err)
	}
	if s.Head() != 50_000 || !has(t, s, "49999") {
		t.Fatalf("head %d after the load", s.Head())
	}
	if err := load(1, nil); err == nil {
		t.Fatal("a store that holds records was loaded into")
	}
	stage(s, "live")
	flush(t, s)
	s.Close()
	s = open(t, dir, Options{})
	if !has(t, s, "live") || !has(t, s, "0") || s.Head() != 50_001 {
		t.Fatal("the load is not there after opening again")
	}
}

func TestInterruptedLoadLeavesAnEmptyStore(t *testing.T) {
	dir := t.TempDir()
	s := open(t, dir, Options{})
	// What a process killed inside Load leaves behind.
	if err := s.update(func(txn *badger.Txn) error {
		return errors.Join(txn.Set(metaKey("loading"), []byte{1}), txn.Set(itemKey(0), append(appendHeader(nil, Event, noon), 'a')),
			txn.Set(EventKey("a"), Position(0)))
	}); err != nil {
		t.Fatal(err)
	}
	s.Close()
	s = open(t, dir, Options{})
	if s.Next() != 0 || has(t, s, "a") {
		t.Fatal("the interrupted load is still there")
	}
}

func TestSnapshots(t *testing.T) {
	s := open(t, "", Options{InMemory: true})
	large := strings.Repeat("0123456789", 100_000)
	save := func(pos uint64, fingerprint string) {
		t.Helper()
		err := s.SaveSnapshot(Snapshot{Fold: Live, Position: pos, Fingerprint: fingerprint, Parts: []Part{
			{"state", []byte(fmt.Sprint(pos, large))}, {"empty", nil}, {"index", []byte("i")}}})
		if err != nil {
			t.Fatal(err)
		}
	}
	load := func(fingerprint string, notBeyond uint64) string {
		t.Helper()
		snap, err := s.LoadSnapshot(Live, fingerprint, notBeyond)
		if err != nil {
			t.Fatal(err)
		}
		if snap == nil {
			return "none"
		}
		if len(snap.Parts) != 3 || string(snap.Parts[0].Body) != fmt.Sprint(snap.Position, large) || string(snap.Parts[2].Body) != "i" {
			t.Fatalf("the parts of snapshot %d are wrong", snap.Position)
		}
		return fmt.Sprint(snap.Position)
	}
	check := func(fingerprint string, notBeyond uint64, want string) {
		t.Helper()
		if got := load(fingerprint, notBeyond); got != want {
			t.Errorf("the newest snapshot of %s up to %d is %s, want %s", fingerprint, notBeyond, got, want)
		}
	}
	check("f", 100, "none")
	save(0, "f")
	check("f", 100, "0")
	save(10, "f")
	save(20, "g")
	check("f", 100, "10")
	check("g", 100, "20")
	check("f", 9, "none") // the snapshot at 0 is one too many
	if err := s.SaveSnapshot(Snapshot{Fold: Health, Position: 25, Fingerprint: "g"}); err != nil {
		t.Fatal(err)
	}
	check("g", 100, "20") // the other fold's is not ours, and pushes out none
	save(30, "g")
	check("g", 29, "20")
	if snap, err := s.LoadSnapshot(Health, "g", 100); err != nil || snap == nil || snap.Position != 25 {
		t.Errorf("the other fold's snapshot is %v, %v", snap, err)
	}
	check("f", 100, "none")
	if err := s.update(func(txn *badger.Txn) error { return txn.Set(chunkKey(snapshotKey(Live, 30), 1), []byte("damage")) }); err != nil {
		t.Fatal(err)
	}
	check("g", 100, "20")
	// One without its first chunk is unfinished.
	if err := s.update(func(txn *badger.Txn) error { return txn.Set(chunkKey(snapshotKey(Live, 40), 1), []byte("x")) }); err != nil {
		t.Fatal(err)
	}
	check("g", 100, "20")
}

// BenchmarkFlush writes 16 decisions of 35 kB with their entries per sync.
func BenchmarkFlush(b *testing.B) {
	s, err := Open(b.TempDir(), Options{MinFree: 1})
	if err != nil {
		b.Fatal(err)
	}
	defer s.Close()
	decision := make([]byte, 35<<10)
	n := 0
	for b.Loop() {
		for range 16 {
			n++
			batch := new(Batch)
			id := record.DecisionID(fmt.Sprint(n))
			batch.PutPosition(DecisionKey(id), batch.Append(Decision, func(dst []byte) []byte { return append(dst, decision...) }))
			batch.Append(Event, body("offer made"))
			batch.Put(OfferKey(id), make([]byte, 150))
			s.Stage(batch, noon)
		}
		if _, err := s.Flush(); err != nil {
			b.Fatal(err)
		}
	}
	b.ReportMetric(float64(n)/b.Elapsed().Seconds(), "decisions/s")
}
