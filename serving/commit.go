package serving

import (
	"context"
	"sync"

	"bellwether/datasets/record"
)

// tickets says how far the log is on disk. Writers wait in it.
type tickets struct {
	mu     sync.Mutex
	synced uint64        // every ticket up to here is on disk, but for the lost
	lost   []lostRange   // few: one per failed sync
	moved  chan struct{} // closed and replaced whenever the above changes
}

// lostRange is tickets that will never be on disk, and why.
type lostRange struct {
	from, to uint64 // inclusive
	err      error
}

func newTickets() *tickets { return &tickets{moved: make(chan struct{})} }

// wait returns when the ticket is on disk, or why it will not be. A context that
// ends first only ends the waiting.
func (t *tickets) wait(ctx context.Context, ticket uint64) error {
	for {
		t.mu.Lock()
		err, done, moved := t.lostErr(ticket), t.synced >= ticket, t.moved
		t.mu.Unlock()
		if err != nil || done {
			return err
		}
		select {
		case <-moved:
		case <-ctx.Done():
			return record.Errorf(record.Unavailable, "wait for the disk", "%w", context.Cause(ctx))
		}
	}
}

func (t *tickets) lostErr(ticket uint64) error {
	for _, l := range t.lost {
		if l.from <= ticket && ticket <= l.to {
			return l.err
		}
	}
	return nil
}

// through says that every ticket up to this one is on disk.
func (t *tickets) through(ticket uint64) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if ticket > t.synced {
		t.synced = ticket
		t.wake()
	}
}

// lose says that the tickets after the synced ones, up to this one, are lost.
func (t *tickets) lose(to uint64, err error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if to > t.synced {
		t.lost = append(t.lost, lostRange{t.synced + 1, to, err})
		t.synced = to
	}
	t.wake()
}

func (t *tickets) wake() {
	close(t.moved)
	t.moved = make(chan struct{})
}
