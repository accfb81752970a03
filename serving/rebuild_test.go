package serving

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"bellwether/datasets/record"
	"bellwether/serving/store"
)

// trade lets a week pass: leads, answers, outcomes, events, changed partners.
func trade(b *bench, from, to int) []record.DecisionID {
	b.t.Helper()
	must := func(err error) {
		b.t.Helper()
		if err != nil {
			b.t.Fatal(err)
		}
	}
	var ids []record.DecisionID
	for i := from; i < to; i++ {
		b.clock.pass(2 * time.Hour)
		r := b.route(fmt.Sprint("lead", i))
		ids = append(ids, r.Decision.ID)
		if r.Decision.Chosen == "" {
			continue
		}
		at := b.clock.now().UTC()
		switch i % 5 {
		case 0:
			_, err := b.Accept(ctx, r.Decision.ID)
			must(err)
			_, err = b.Outcome(ctx, Outcome{Decision: r.Decision.ID, Won: i%2 == 0, Amount: record.Money{Amount: int64(i), Currency: "EUR"}})
			must(err)
		case 1:
			next, err := b.Decline(ctx, r.Decision.ID, "wrong_skill", "")
			must(err)
			ids = append(ids, next.Decision.ID)
		case 2:
			_, err := b.Events(ctx, []record.Event{{ID: record.EventID(fmt.Sprint("login", i)), Type: record.PortalLogin, At: at.Add(-50 * time.Hour), Partner: r.Decision.Chosen},
				{ID: record.EventID(fmt.Sprint("reg", i)), Type: record.DealRegistered, At: at, Partner: "p0", Account: record.AccountID(fmt.Sprint("a-lead", i+1))}})
			must(err)
		case 3:
			_, err := b.Withdraw(ctx, r.Decision.ID, "spam")
			must(err)
			b.put(partner(i%5, 3+i%3))
		}
	}
	return ids
}

// sameBook fails the test unless both books would be written down the same.
func sameBook(t *testing.T, got, want *book) {
	t.Helper()
	now := got.last
	if want.last.After(now) {
		now = want.last
	}
	got.advance(now)
	want.advance(now)
	a, err := got.snapshot()
	b, err2 := want.snapshot()
	if err := errors.Join(err, err2); err != nil {
		t.Fatal(err)
	}
	if a.Position != b.Position || a.Fingerprint != b.Fingerprint {
		t.Fatalf("position %d of %s, want %d of %s", a.Position, a.Fingerprint, b.Position, b.Fingerprint)
	}
	for i := range a.Parts {
		if !bytes.Equal(a.Parts[i].Body, b.Parts[i].Body) {
			t.Errorf("part %s differs: %d bytes, want %d", a.Parts[i].Name, len(a.Parts[i].Body), len(b.Parts[i].Body))
		}
	}
}

func TestBookIsTheFoldOfTheLog(t *testing.T) {
	b := newBench(t, nil)
	ids := trade(b, 0, 60)
	live := b.book
	fresh, err := newBook(live.set, b.cfg.Policy)
	if err != nil {
		t.Fatal(err)
	}
	if err := b.folder.catchUp(ctx, fresh, b.store.Head()); err != nil {
		t.Fatal(err)
	}
	sameBook(t, fresh, live)

	b.restart() // over the snapshot that Close took
	sameBook(t, b.book, live)
	ids = append(ids, trade(b, 60, 100)...)
	live = b.book
	b.restart()
	sameBook(t, b.book, live)
	for _, id := range ids {
		if err := b.Replay(ctx, id); err != nil {
			t.Errorf("replay: %v", err)
		}
	}
}

func TestReplayNoticesADifference(t *testing.T) {
	b := newBench(t, nil)
	trade(b, 0, 12)
	r := b.route("x")
	d := *r.Decision
	d.ID, d.Propensity = "forged", d.Propensity/2
	if err := b.writeAndWait(ctx, func(_ time.Time, batch *store.Batch) error {
		batch.PutPosition(store.DecisionKey(d.ID), batch.Append(store.Decision, func(dst []byte) []byte { return record.AppendDecision(dst, &d) }))
		return nil
	}); err != nil {
		t.Fatal(err)
	}
	if err := b.Replay(ctx, r.Decision.ID); err != nil {
		t.Fatal(err)
	}
	if err := b.Replay(ctx, "forged"); err == nil {
		t.Fatal("a forged decision replays")
	}
}

func TestReplayUnderAnOlderPolicy(t *testing.T) {
	b := newBench(t, nil)
	ids := trade(b, 0, 20)
	b.cfg.Policy.Exploration.Share = 0.3
	b.restart()
	ids = append(ids, trade(b, 20, 30)...)
	for _, id := range ids {
		if err := b.Replay(ctx, id); err != nil {
			t.Errorf("replay: %v", err)
		}
	}
}

// A sync fails while many write: what was answered is kept, what was not
// answered is not there, and writing goes on.
func TestFailedSync(t *testing.T) {
	var failing atomic.Bool
	b := newBench(t, func(c *Config, o *store.Options) {
		o.InMemory = false
		o.BeforeSync = func() error {
			if failing.Load() {
				return errors.New("input/output error")
			}
			return nil
		}
	})
	for i := range 5 {
		b.put(partner(i, 1000))
	}
	var mu sync.Mutex
	kept := map[string]record.DecisionID{}
	var lost, written atomic.Int32
	var wg sync.WaitGroup
	stop := make(chan struct{})
	for g := range 8 {
		wg.Go(func() {
			for i := 0; ; i++ {
				select {
				case <-stop:
					return
				default:
				}
				id := fmt.Sprintf("l%d-%d", g, i)
				r, err := b.Route(ctx, lead(id), RouteOptions{})
				if err != nil {
					if record.KindOf(err) != record.Unavailable {
						t.Errorf("a write that could not be synced: %v", err)
					}
					lost.Add(1)
					continue
				}
				written.Add(1)
				mu.Lock()
				kept[id] = r.Decision.ID
				mu.Unlock()
			}
		})
	}
	wait := func(n *atomic.Int32) {
		for before := n.Load(); n.Load() < before+20; {
			time.Sleep(time.Millisecond)
		}
	}
	for range 3 {
		wait(&written)
		failing.Store(true)
		wait(&lost)
		failing.Store(false)
		wait(&written)
	}
	close(stop)
	wg.Wait()
	if b.Status().Recovered == 0 || !b.Status().Ready {
		t.Fatalf("%+v", b.Status())
	}
	live := b.book
	b.restart()
	sameBook(t, b.book, live)
	for id, decision := range kept {
		if r := b.route(id); r.Decision.ID != decision {
			t.Fatalf("lead %s was answered with %s and is now %s", id, decision, r.Decision.ID)
		}
	}
}

func TestNearlyFullDisk(t *testing.T) {
	var free atomic.Uint64
	free.Store(1 << 30)
	b := newBench(t, func(c *Config, o *store.Options) {
		o.InMemory, o.MinFree = false, 100<<20
		o.Free = func(string) (uint64, error) { return free.Load(), nil }
	})
	r := b.route("l1")
	free.Store(1 << 20)
	_, err := b.Route(ctx, lead("l2"), RouteOptions{})
	want(t, err, record.Exhausted, "nearly full")
	if b.Status().Ready {
		t.Fatal("ready on a full disk")
	}
	if got := b.route("l1"); got.Decision.ID != r.Decision.ID {
		t.Fatal("what is kept cannot be read on a full disk")
	}
	if _, err := b.Partner(ctx, "p1"); err != nil {
		t.Fatal(err)
	}
	free.Store(1 << 30)
	b.route("l2")
}

func TestLostTicketsStayLost(t *testing.T) {
	k := newTickets()
	k.through(3)
	gone := errors.New("gone")
	k.lose(5, gone)
	k.through(9)
	for ticket, lost := range map[uint64]bool{1: false, 3: false, 4: true, 5: true, 6: false, 9: false} {
		if err := k.wait(ctx, ticket); (err != nil) != lost {
			t.Errorf("ticket %d: %v", ticket, err)
		}
	}
	short, cancel := context.WithTimeout(ctx, time.Millisecond)
	defer cancel()
	want(t, k.wait(short, 10), record.Unavailable, "deadline")
}

func TestClosing(t *testing.T) {
	b := newBench(t, nil)
	var wg sync.WaitGroup
	answered := make([]record.DecisionID, 40)
	for i := range answered {
		wg.Go(func() {
			r, err := b.Route(ctx, lead(fmt.Sprint("c", i)), RouteOptions{})
			if err == nil {
				answered[i] = r.Decision.ID
			} else if record.KindOf(err) != record.Unavailable {
				t.Error(err)
			}
		})
	}
	if err := b.Close(); err != nil {
		t.Fatal(err)
	}
	wg.Wait()
	_, err := b.Route(ctx, lead("late"), RouteOptions{})
	want(t, err, record.Unavailable, "shutting down")
	b.Engine = start(t, b.store, b.cfg, b.dir)
	for i, id := range answered {
		if id != "" && b.route(fmt.Sprint("c", i)).Decision.ID != id {
			t.Errorf("lead c%d was decided twice", i)
		}
	}
}

func TestOpenOffers(t *testing.T) {
	o := openOffers{by: map[record.DecisionID]time.Time{}}
	at := func(s int) time.Time { return time.Unix(int64(s), 0) }
	o.add("c", at(30))
	o.add("a", at(10))
	o.add("b", at(20))
	o.add("never", time.Time{})
	o.remove("a")
	if got := fmt.Sprint(o.expired(at(25), 9)); got != "[b]" {
		t.Errorf("expired at 25: %s", got)
	}
	if got := fmt.Sprint(o.expired(at(30), 9)); got != "[b c]" {
		t.Errorf("expired at 30: %s", got)
	}
	o.remove("b")
	if got := fmt.Sprint(o.expired(at(99), 9)); got != "[c]" {
		t.Errorf("expired at 99: %s", got)
	}
}
