package serving

import (
	"context"
	"errors"
	"sync"
	"time"

	"bellwether/datasets/record"
	"bellwether/features"
	"bellwether/models/registry"
	"bellwether/routing"
	"bellwether/serving/store"
)

// Engine answers every use case. Its methods may be called from any goroutine;
// an answer is given only after everything it rests on is on disk.
type Engine struct {
	cfg      Config
	store    *store.Store
	registry *registry.Registry
	folder   folder

	// mu guards the book and what stands beside it. See the package comment for
	// what is done under which lock.
	mu    sync.RWMutex
	book  *book
	win   winModel
	state condition

	disk      disk
	cases     chan *routing.Case // free ones, one per decision scored at the same time
	ingest    sync.Mutex         // held by writers of events that bring their own ids
	swap      sync.Mutex         // held while a model is taken up
	ward      ward
	hindsight hindsight
	calls     sync.WaitGroup // calls in flight that may write
	tasks     tasks
}

// condition is whether the engine can answer.
type condition struct {
	broken    error // why nothing can be answered from the book; nil when it can
	closed    bool
	recovered int // times the book was rebuilt
}

// disk is how writers and the committer speak to each other.
type disk struct {
	*tickets
	wake chan struct{} // has a value while something is staged
}

// tasks are the engine's goroutines and how to stop them: first those that
// write, then the committer.
type tasks struct {
	writers, committer         sync.WaitGroup
	stopWriters, stopCommitter context.CancelFunc
	saved                      uint64 // position of the last snapshot; tend's own
}

// Start opens the book over a store and begins to answer. It returns when the
// book is up to date with the log. The store is the engine's until Close.
func Start(ctx context.Context, st *store.Store, reg *registry.Registry, cfg Config) (*Engine, error) {
	e, err := ready(ctx, st, reg, cfg)
	if err != nil {
		return nil, err
	}
	if e.win.model == nil && e.win.refused.err == nil {
		e.cfg.Logger.Info("no win model is published: answering by rules and shrunk rates")
	}
	e.run(context.WithoutCancel(ctx))
	return e, nil
}

// Settle folds a store's log and leaves snapshots, so that an engine started
// later has nothing to fold. A store is settled after a load, and opened anew
// before it is served from: what the two took of memory is then given back.
func Settle(ctx context.Context, st *store.Store, reg *registry.Registry, cfg Config) error {
	e, err := ready(ctx, st, reg, cfg)
	if err == nil {
		err = e.saveSnapshot(ctx)
	}
	if err == nil {
		err = e.ward.refresh(ctx, e.stamp())
	}
	return err
}

// ready returns an engine up to date with the log, of which nothing runs yet.
func ready(ctx context.Context, st *store.Store, reg *registry.Registry, cfg Config) (*Engine, error) {
	cfg = cfg.withDefaults()
	if err := cfg.Policy.Check(); err != nil {
		return nil, err
	}
	e := &Engine{cfg: cfg, store: st, registry: reg, folder: folder{st, cfg.Logger},
		disk: disk{newTickets(), make(chan struct{}, 1)}, cases: make(chan *routing.Case, cfg.Scorers), hindsight: newHindsight()}
	for range cfg.Scorers {
		e.cases <- new(routing.Case)
	}
	ticket, err := st.Flush() // of whoever had the store before
	if err != nil {
		return nil, err
	}
	e.disk.through(ticket)
	if err := e.keepPolicy(); err != nil {
		return nil, err
	}
	e.win = e.startingModel()
	e.ward.folder, e.ward.err, e.ward.model = e.folder, errNotJudged, e.startingChurn()
	if e.book, err = e.folder.bookAt(ctx, e.win.set, cfg.Policy, st.Head(), time.Time{}); err != nil {
		return nil, err
	}
	e.book.advance(cfg.Clock().UTC())
	e.tasks.saved = e.book.next
	return e, nil
}

func (e *Engine) run(ctx context.Context) {
	writing, stopWriters := context.WithCancel(ctx)
	committing, stopCommitter := context.WithCancel(ctx)
	e.tasks.stopWriters, e.tasks.stopCommitter = stopWriters, stopCommitter
	e.tasks.writers.Go(func() { e.tend(writing) })
	e.tasks.writers.Go(func() { e.watch(writing) })
	e.tasks.writers.Go(func() { e.judge(writing) })
	e.tasks.committer.Go(func() { e.commit(committing) })
}

// Close refuses new calls, finishes those taken, writes a snapshot and stops
// every goroutine. It does not close the store.
func (e *Engine) Close() error {
	e.mu.Lock()
	if e.state.closed {
		e.mu.Unlock()
		return nil
	}
	e.state.closed = true
	e.mu.Unlock()
	e.calls.Wait()
	e.tasks.stopWriters()
	e.tasks.writers.Wait()
	err := e.saveSnapshot(context.Background())
	e.tasks.stopCommitter()
	e.tasks.committer.Wait()
	return err
}

// Status tells the engine's condition without waiting.
func (e *Engine) Status() Status {
	churn := e.ward.now()
	e.mu.RLock()
	defer e.mu.RUnlock()
	s := Status{Position: e.book.next, Synced: e.store.Head(), Partners: e.book.index.Len(), Open: len(e.book.open.by),
		Degraded: e.win.model == nil, WinModel: e.win.id(), Churn: churn.id(), Recovered: e.state.recovered}
	err := e.usable()
	if err == nil {
		err = e.store.Writable()
	}
	s.Ready = err == nil
	if err != nil {
		s.Reason = err.Error()
	}
	return s
}

var errClosed = record.Errorf(record.Unavailable, "", "the server is shutting down: try again in a moment")

// usable says why nothing can be answered from the book now; the caller holds
// mu.
func (e *Engine) usable() error {
	if e.state.closed {
		return errClosed
	}
	return e.state.broken
}

// enter counts a call that may write, unless the engine is closing; the caller
// calls leave when it has its answer.
func (e *Engine) enter() (leave func(), err error) {
	e.mu.RLock()
	defer e.mu.RUnlock()
	if err := e.usable(); err != nil {
		return nil, err
	}
	e.calls.Add(1)
	return e.calls.Done, nil
}

// stamp is the time of what is written now; the caller holds mu.
func (e *Engine) stamp() time.Time {
	now := e.cfg.Clock().UTC()
	if now.Before(e.book.last) {
		return e.book.last
	}
	return now
}

// read runs f on the book, up to date with the time, and waits until what f saw
// is on disk.
func (e *Engine) read(ctx context.Context, f func(b *book, now time.Time) error) error {
	e.mu.RLock()
	if now := e.stamp(); e.stale(now) {
		e.mu.RUnlock()
		e.mu.Lock()
		e.book.advance(now)
		e.mu.Unlock()
		e.mu.RLock()
	}
	err := e.state.broken
	if err == nil {
		err = f(e.book, e.stamp())
	}
	ticket := e.store.Ticket()
	e.mu.RUnlock()
	if err != nil {
		return err
	}
	return e.disk.wait(ctx, ticket)
}

// stale reports whether a midnight has passed since the book was advanced.
func (e *Engine) stale(now time.Time) bool { return day(now) != day(e.book.last) }

func day(t time.Time) int64 { return t.Unix() / 86400 }

// write runs f with the book to itself; what f puts into the batch is staged and
// folded before anybody else sees the book. f must not change the book. write
// returns without waiting for the disk.
func (e *Engine) write(f func(now time.Time, batch *store.Batch) error) (ticket uint64, err error) {
	if err := e.store.Writable(); err != nil {
		return 0, err
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.state.broken != nil {
		return 0, e.state.broken
	}
	now := e.stamp()
	if e.stale(now) {
		e.book.advance(now)
	}
	var batch store.Batch
	if err := f(now, &batch); err != nil {
		return 0, err
	}
	if batch.Empty() {
		return e.store.Ticket(), nil
	}
	ticket = e.store.Stage(&batch, now)
	for i := range batch.Len() {
		if err := e.book.fold(batch.Item(i)); err != nil {
			// Bytes we just encoded do not decode: a fault of ours. The batch is
			// staged, so the book must be made again from what it will be on disk.
			e.state.broken = err
			break
		}
	}
	select {
	case e.disk.wake <- struct{}{}:
	default:
	}
	return ticket, e.state.broken
}

// writeAndWait is write, answering once the batch is on disk.
func (e *Engine) writeAndWait(ctx context.Context, f func(now time.Time, batch *store.Batch) error) error {
	ticket, err := e.write(f)
	if err != nil {
		return err
	}
	return e.disk.wait(ctx, ticket)
}

// commit syncs what is staged, until the context ends and nothing is left.
func (e *Engine) commit(ctx context.Context) {
	for {
		select {
		case <-e.disk.wake:
			e.flush(ctx)
		case <-ctx.Done():
			e.flush(ctx)
			return
		}
	}
}

func (e *Engine) flush(ctx context.Context) {
	ticket, err := e.store.Flush()
	e.disk.through(ticket)
	if err == nil {
		e.mu.RLock()
		err = e.state.broken
		e.mu.RUnlock()
	}
	if err != nil {
		e.recover(ctx, err)
	}
}

// recover drops what could not be synced and rebuilds the book from disk, trying
// for as long as it takes. Until then nothing is answered from the book.
func (e *Engine) recover(ctx context.Context, cause error) {
	kind := record.Unavailable
	if record.KindOf(cause) == record.Exhausted {
		kind = record.Exhausted
	}
	failed := record.Errorf(kind, "", "writing has stopped: %w; nothing of this request was kept, try again later", cause)
	e.cfg.Logger.Error("a sync failed; the book is rebuilt from disk", "error", cause)
	const first, most = 50 * time.Millisecond, 10 * time.Second
	for wait := first; ; wait = min(2*wait, most) {
		err := e.rebuild(ctx, failed)
		if err == nil {
			e.cfg.Logger.Info("the book is rebuilt; writing goes on")
			return
		}
		e.cfg.Logger.Error("the book could not be rebuilt", "error", err, "next_try", wait)
		select {
		case <-time.After(wait):
		case <-ctx.Done():
			return
		}
	}
}

// rebuild is one attempt of recover.
func (e *Engine) rebuild(ctx context.Context, failed error) error {
	e.mu.Lock()
	e.state.broken = failed
	err := e.store.Discard()
	e.disk.lose(e.store.Ticket(), failed)
	set := e.book.set
	e.mu.Unlock()
	if err != nil {
		return err
	}
	b, err := e.folder.bookAt(ctx, set, e.cfg.Policy, e.store.Head(), time.Time{})
	if err != nil {
		return err
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	b.advance(e.cfg.Clock().UTC())
	e.book, e.state.broken = b, nil
	e.state.recovered++
	return nil
}

// tend lets time pass: midnights, expired offers, snapshots, disk space.
func (e *Engine) tend(ctx context.Context) {
	sweep, collect, snapshot := time.NewTicker(e.cfg.SweepEvery), time.NewTicker(e.cfg.CollectEvery), time.NewTicker(e.cfg.SnapshotEvery)
	defer sweep.Stop()
	defer collect.Stop()
	defer snapshot.Stop()
	for {
		var err error
		select {
		case <-ctx.Done():
			return
		case <-sweep.C:
			e.passTime()
			err = errors.Join(e.sweep(ctx), e.snapshotIfDue(ctx, e.cfg.SnapshotItems))
		case <-collect.C:
			e.store.Collect()
			e.hindsight.forget()
		case <-snapshot.C:
			err = e.snapshotIfDue(ctx, 1)
		}
		if err != nil && ctx.Err() == nil {
			e.cfg.Logger.Warn("housekeeping", "error", err)
		}
	}
}

func (e *Engine) passTime() {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.state.broken == nil {
		e.book.advance(e.stamp())
	}
}

func (e *Engine) snapshotIfDue(ctx context.Context, items uint64) error {
	e.mu.RLock()
	due := e.state.broken == nil && e.book.next >= e.tasks.saved+items
	e.mu.RUnlock()
	if !due {
		return nil
	}
	return e.saveSnapshot(ctx)
}

// saveSnapshot writes a snapshot. Only tend calls it, and Close after tend has
// ended.
func (e *Engine) saveSnapshot(ctx context.Context) error {
	e.mu.RLock()
	err := e.state.broken
	var snap store.Snapshot
	if err == nil {
		snap, err = e.book.snapshot()
	}
	ticket := e.store.Ticket()
	e.mu.RUnlock()
	if err != nil || snap.Position == 0 {
		return err
	}
	// A snapshot of items that never reach the disk would one day stand for
	// others that took their positions.
	if err := e.disk.wait(ctx, ticket); err != nil {
		return err
	}
	e.tasks.saved = snap.Position
	return e.store.SaveSnapshot(snap)
}

// keepPolicy writes the policy down by its hash, so that decisions made under it
// can be replayed when it has changed.
func (e *Engine) keepPolicy() error {
	b, err := encodePolicy(&e.cfg.Policy)
	if err != nil {
		return err
	}
	return e.store.SetMeta("policy "+e.cfg.Policy.Name(), b)
}

// Status is the engine's condition, for readiness and metrics.
type Status struct {
	Ready     bool
	Reason    string // why not ready
	Position  uint64 // next log position
	Synced    uint64 // positions below it are on disk
	Partners  int
	Open      int  // open offers
	Degraded  bool // no win model
	WinModel  string
	Churn     string // churn model in use; empty: hand-set weights
	Recovered int    // times the book was rebuilt from disk since the start
}

// bareSet is the feature set of an engine without a model: every feature, no
// attributes, and amounts converted as the policy says.
func bareSet(p *routing.Policy) *features.Set {
	return features.NewSet(features.Schema{}, p.Conversion())
}
