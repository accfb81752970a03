package serving

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"sync"
	"testing"
	"time"

	"bellwether/datasets/record"
	"bellwether/features"
	"bellwether/models/registry"
	"bellwether/serving/store"
)

// ledger reads a log from the outside and holds it to what must be true of any
// log, whatever happened.
type ledger struct {
	t         testing.TB
	decisions map[record.DecisionID]*record.Decision
	offers    map[record.DecisionID][]record.EventType
	live      map[record.LeadID]record.DecisionID // open or accepted
	units     map[record.PartnerID]int
	load      map[string]int // by partner and week
	last      time.Time
}

// audit checks every item of the store's log, in order.
func audit(t testing.TB, st *store.Store) *ledger {
	t.Helper()
	l := &ledger{t: t, decisions: map[record.DecisionID]*record.Decision{}, offers: map[record.DecisionID][]record.EventType{},
		live: map[record.LeadID]record.DecisionID{}, units: map[record.PartnerID]int{}, load: map[string]int{}}
	if err := st.Scan(0, st.Head(), func(i store.Item) error {
		if i.At.Before(l.last) {
			t.Errorf("item %d became known before the one before it", i.Position)
		}
		l.last = i.At
		return nil
	}); err != nil {
		t.Fatal(err)
	}
	if err := Export(ctx, st, l); err != nil {
		t.Fatal(err)
	}
	for id, d := range l.decisions {
		if events := l.offers[id]; d.Chosen != "" && (len(events) == 0 || events[0] != record.OfferMade) {
			t.Errorf("decision %s chose %s and offered nothing: %v", id, d.Chosen, events)
		}
	}
	return l
}

func (l *ledger) Partner(p *record.Partner) error {
	l.units[p.ID] = max(l.units[p.ID], p.Capacity.Units)
	return nil
}

func (l *ledger) Lead(*record.Lead) error { return nil }

func (l *ledger) Decision(d *record.Decision) error {
	if l.decisions[d.ID] != nil {
		l.t.Errorf("decision %s is in the log twice", d.ID)
	}
	l.decisions[d.ID] = d
	sum := 0.0
	for _, c := range d.Candidates {
		sum += c.Prob
		if c.Partner == d.Chosen && c.Prob != d.Propensity {
			l.t.Errorf("decision %s: propensity %v, the chosen candidate has %v", d.ID, d.Propensity, c.Prob)
		}
	}
	if d.Chosen != "" && math.Abs(sum-1) > 1e-9 {
		l.t.Errorf("decision %s: the probabilities of its candidates sum to %v", d.ID, sum)
	}
	if d.Previous == "" && l.live[d.Lead] != "" {
		l.t.Errorf("lead %s has a second chain: %s beside %s", d.Lead, d.ID, l.live[d.Lead])
	}
	return nil
}

func (l *ledger) Event(e *record.Event) error {
	if e.Decision == "" {
		return nil
	}
	year, week := e.At.ISOWeek()
	key := fmt.Sprint(e.Partner, " in week ", week, " of ", year)
	switch e.Type {
	case record.OfferMade:
		if was := l.live[e.Lead]; was != "" {
			l.t.Errorf("lead %s is offered by %s while %s stands", e.Lead, e.Decision, was)
		}
		l.live[e.Lead] = e.Decision
		if l.load[key]++; l.load[key] > l.units[e.Partner] {
			l.t.Errorf("%s: %d leads, its capacity is %d", key, l.load[key], l.units[e.Partner])
		}
	case record.OfferDeclined, record.OfferExpired, record.OfferWithdrawn:
		if l.live[e.Lead] != e.Decision {
			l.t.Errorf("%s of decision %s, which does not stand", e.Type, e.Decision)
		}
		delete(l.live, e.Lead)
		l.load[key]--
	case record.OfferAccepted:
		if l.live[e.Lead] != e.Decision {
			l.t.Errorf("%s of decision %s, which does not stand", e.Type, e.Decision)
		}
	default:
		return nil
	}
	l.offers[e.Decision] = append(l.offers[e.Decision], e.Type)
	return nil
}

// tolerable reports whether an error is one that callers who race each other
// must expect.
func tolerable(err error) bool {
	k := record.KindOf(err)
	return err == nil || k == record.Precondition || k == record.Conflict
}

// traffic is one client: it routes leads and does with each what chance says.
// units is what partners are put with. told is called with each decision that was acknowledged.
func traffic(e *Engine, client, n, units int, told func(record.LeadID, record.DecisionID)) error {
	r := rand.New(rand.NewPCG(uint64(client), 7))
	for i := 0; n == 0 || i < n; i++ {
		// Clients share some of their leads.
		l := lead(fmt.Sprintf("l%d-%d", client/2, i))
		routed, err := e.Route(ctx, l, RouteOptions{IdempotencyKey: fmt.Sprintf("k%d-%d", client, i), Scope: "test"})
		if err != nil {
			return fmt.Errorf("route %s: %w", l.ID, err)
		}
		told(l.ID, routed.Decision.ID)
		if routed.Decision.Chosen == "" {
			continue
		}
		id := routed.Decision.ID
		switch r.IntN(6) {
		case 0:
			_, err = e.Accept(ctx, id)
		case 1:
			var next *Routed
			if next, err = e.Decline(ctx, id, "no_capacity", ""); err == nil {
				told(l.ID, next.Decision.ID)
			}
		case 2:
			_, err = e.Outcome(ctx, Outcome{Decision: id, Won: r.IntN(2) == 0})
		case 3:
			_, err = e.Withdraw(ctx, id, "test")
		case 4:
			_, err = e.UpsertPartner(ctx, partner(r.IntN(5), units), nil)
		case 5:
			now := e.stampNow()
			_, err = e.Events(ctx, []record.Event{{ID: record.EventID(fmt.Sprintf("e%d-%d", client, i)), Type: record.PortalLogin, At: now, Partner: routed.Decision.Chosen},
				{ID: record.EventID(fmt.Sprintf("t%d-%d", client, i)), Type: record.TierChanged, At: now, Partner: routed.Decision.Chosen, Text: "silver"}})
		}
		if !tolerable(err) {
			return fmt.Errorf("lead %s: %w", l.ID, err)
		}
	}
	return nil
}

func (e *Engine) stampNow() time.Time {
	e.mu.RLock()
	defer e.mu.RUnlock()
	return e.stamp()
}

// Many clients, a moving clock, changing models and snapshots at once; then the
// log is audited, replayed and folded again.
func TestEverythingAtOnce(t *testing.T) {
	b := newBench(t, func(c *Config, _ *store.Options) {
		c.SweepEvery, c.PollEvery, c.SnapshotItems = time.Millisecond, time.Millisecond, 50
	})
	for i := range 5 {
		b.put(partner(i, 20))
	}
	v1 := publish(t, b.dir, winName, features.Schema{}, 1, nil)
	v2 := publish(t, b.dir, winName, withColour, 2, nil)
	var wg sync.WaitGroup
	var mu sync.Mutex
	kept := map[record.LeadID][]record.DecisionID{}
	for client := range 8 {
		wg.Go(func() {
			err := traffic(b.Engine, client, 25, 20, func(l record.LeadID, d record.DecisionID) {
				mu.Lock()
				defer mu.Unlock()
				kept[l] = append(kept[l], d)
			})
			if err != nil {
				t.Error(err)
			}
		})
	}
	stop := make(chan struct{})
	var side sync.WaitGroup
	side.Go(func() {
		for i := 0; ; i++ {
			select {
			case <-stop:
				return
			case <-time.After(2 * time.Millisecond):
			}
			b.clock.pass(3 * time.Hour)
			if i%10 == 3 {
				v := []registry.Version{v1, v2}[i/10%2]
				if _, err := b.Promote(ctx, winName, number(v)); err != nil {
					t.Errorf("promote: %v", err)
				}
			}
		}
	})
	wg.Wait()
	close(stop)
	side.Wait()
	live := b.book
	b.cfg.SweepEvery, b.cfg.PollEvery = time.Hour, time.Hour // the book is looked at from here below
	b.restart()
	log := audit(t, b.store)
	for l, ids := range kept {
		for _, id := range ids {
			if d := log.decisions[id]; d == nil || d.Lead != l {
				t.Errorf("lead %s was answered with decision %s, which is not in the log", l, id)
			}
		}
	}
	sameBook(t, b.book, live)
	n := 0
	for id := range log.decisions {
		if n++; n > 40 {
			break
		}
		if err := b.Replay(ctx, id); err != nil {
			t.Errorf("replay: %v", err)
		}
	}
}

// source is records in memory.
type source struct {
	partners []record.Partner
	leads    []record.Lead
	events   []record.Event
}

func (s *source) Partners(_ context.Context, f func(*record.Partner) error) error {
	return each(s.partners, f)
}
func (s *source) Leads(_ context.Context, f func(*record.Lead) error) error    { return each(s.leads, f) }
func (s *source) Events(_ context.Context, f func([]record.Event) error) error { return f(s.events) }

func each[T any](list []T, f func(*T) error) error {
	for i := range list {
		if err := f(&list[i]); err != nil {
			return err
		}
	}
	return nil
}

func TestLoadHistory(t *testing.T) {
	day := func(n int) time.Time { return time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC).AddDate(0, 0, n) }
	src := &source{}
	for i := range 3 {
		p := *partner(i, 50)
		p.KnownAt = day(0)
		src.partners = append(src.partners, p)
	}
	later := *partner(1, 7)
	later.KnownAt = day(20)
	src.partners = append(src.partners, later)
	for i := range 30 {
		l := *lead(fmt.Sprint("h", i))
		l.CreatedAt = day(29 - i) // not in order
		src.leads = append(src.leads, l)
	}
	for i := range 30 {
		id := record.LeadID(fmt.Sprint("h", 29-i))
		src.events = append(src.events,
			record.Event{ID: record.EventID(fmt.Sprint("o", i)), Type: record.OfferMade, At: day(i), Partner: "p1", Lead: id, Decision: "of another system", Until: day(i + 1)},
			record.Event{ID: record.EventID(fmt.Sprint("w", i)), Type: record.DealWon, At: day(i), KnownAt: day(i).Add(time.Hour), Partner: "p1", Lead: id})
	}
	src.events = slices.Insert(src.events, 4, src.events[3])
	b := &bench{t: t, clock: newClock(), dir: t.TempDir()}
	b.cfg = b.clock.config()
	var err error
	if b.store, err = store.Open(t.TempDir(), store.Options{MinFree: 1}); err != nil {
		t.Fatal(err)
	}
	defer b.store.Close()
	got, err := Load(ctx, b.store, src, nil)
	if err != nil || got != (Loaded{Partners: 4, Leads: 30, Events: 60, Repeats: 1}) {
		t.Fatalf("%+v, %v", got, err)
	}
	b.Engine = start(t, b.store, b.cfg, b.dir)
	defer b.Close()
	if v, err := b.Partner(ctx, "p1"); err != nil || v.Partner.Capacity.Units != 7 {
		t.Fatalf("the newest version is not in force: %+v, %v", v, err)
	}
	if err := b.sweep(ctx); err != nil || b.Status().Open != 0 {
		t.Fatalf("offers of the past are treated as our own: %v", err)
	}
	_, err = b.Events(ctx, []record.Event{{ID: "x", Type: record.DealLost, At: day(40), Partner: "p1", Lead: "h3"}})
	want(t, err, record.Conflict, "w26")
	audit(t, b.store)
	// A state folded by training's own replay gives the same rows.
	st, _, err := features.Replay(ctx, &source{partners: src.partners, leads: reversed(src.leads), events: src.events}, b.book.set, features.ReplayOptions{}, features.Sink{})
	if err != nil {
		t.Fatal(err)
	}
	now := b.clock.now()
	st.Advance(now)
	var own, theirs features.LeadView
	l := lead("other")
	b.book.set.Prepare(&own, l, b.book.state, now)
	b.book.set.Prepare(&theirs, l, st, now)
	x, y := make([]float64, b.book.set.Width()), make([]float64, b.book.set.Width())
	for _, id := range []record.PartnerID{"p0", "p1", "p2"} {
		b.book.set.Row(x, &own, b.book.state.Partner(id))
		b.book.set.Row(y, &theirs, st.Partner(id))
		for i := range x {
			if math.Float64bits(x[i]) != math.Float64bits(y[i]) {
				t.Errorf("%s of %s is %v in the engine, %v in training", b.book.set.Features()[i].Name, id, x[i], y[i])
			}
		}
	}
	r := b.route("new")
	if err := b.Replay(ctx, r.Decision.ID); err != nil {
		t.Fatal(err)
	}
}

func reversed(leads []record.Lead) []record.Lead {
	out := make([]record.Lead, len(leads))
	for i, l := range leads {
		out[len(leads)-1-i] = l
	}
	return out
}

// Variables of the environment that turn this test binary into the process that
// is killed, and say how often.
const (
	crashStore = "BELLWETHER_CRASH_STORE"
	crashRuns  = "BELLWETHER_CRASH_RUNS" // 0 or not set: 3
)

func TestMain(m *testing.M) {
	if dir := os.Getenv(crashStore); dir != "" {
		fmt.Fprintln(os.Stderr, victim(dir))
		os.Exit(1)
	}
	os.Exit(m.Run())
}

// victimUnits is little enough for the partners to be full most of the time.
const victimUnits = 60

// acknowledged is a line of the victim's output.
type acknowledged struct {
	Lead     record.LeadID
	Decision record.DecisionID
}

// victim serves clients until it is killed. Each decision it acknowledges is
// written to its standard output first.
func victim(dir string) error {
	st, err := store.Open(filepath.Join(dir, "store"), store.Options{MinFree: 1})
	if err != nil {
		return err
	}
	reg, err := registry.Open(filepath.Join(dir, "models"))
	if err != nil {
		return err
	}
	// Snapshots often: being killed inside one is part of the test.
	e, err := Start(ctx, st, reg, Config{SnapshotItems: 100, SweepEvery: 10 * time.Millisecond})
	if err != nil {
		return err
	}
	for i := range 5 {
		if _, err := e.UpsertPartner(ctx, partner(i, victimUnits), nil); err != nil {
			return err
		}
	}
	run := int(e.Status().Position) // other leads than the run before
	var mu sync.Mutex
	out := json.NewEncoder(os.Stdout)
	failed := make(chan error)
	for client := range 8 {
		go func() {
			failed <- traffic(e, 100*run+client, 0, victimUnits, func(l record.LeadID, d record.DecisionID) {
				mu.Lock()
				defer mu.Unlock()
				_ = out.Encode(acknowledged{l, d})
			})
		}()
	}
	return <-failed
}

// A process is killed in the middle of its work, again and again on one store:
// every decision it acknowledged is there, once, and no partner has more than
// its capacity.
func TestKill(t *testing.T) {
	runs := 3
	if n, err := strconv.Atoi(os.Getenv(crashRuns)); err == nil && n > 0 {
		runs = n
	}
	dir := t.TempDir()
	r := rand.New(rand.NewPCG(1, 2))
	kept := map[record.DecisionID]record.LeadID{}
	for range runs {
		for _, k := range killOnce(t, dir, time.Duration(100+r.IntN(300))*time.Millisecond) {
			kept[k.Decision] = k.Lead
		}
	}
	st, err := store.Open(filepath.Join(dir, "store"), store.Options{MinFree: 1})
	if err != nil {
		t.Fatal(err)
	}
	log := audit(t, st)
	for id, l := range kept {
		if d := log.decisions[id]; d == nil || d.Lead != l {
			t.Errorf("decision %s of lead %s was acknowledged and is lost", id, l)
		}
	}
	t.Logf("%d kills, %d decisions acknowledged, %d in the log", runs, len(kept), len(log.decisions))
	if len(kept) < runs {
		t.Errorf("only %d decisions were acknowledged: the processes did not get to work", len(kept))
	}
	e := start(t, st, Config{}, filepath.Join(dir, "models"))
	n := 0
	for id := range kept {
		if n++; n > 20 {
			break
		}
		if err := e.Replay(ctx, id); err != nil {
			t.Errorf("replay: %v", err)
		}
	}
	if err := errors.Join(e.Close(), st.Close()); err != nil {
		t.Fatal(err)
	}
}

// killOnce lets a victim work for a while, kills it, and returns what it
// acknowledged.
func killOnce(t *testing.T, dir string, after time.Duration) []acknowledged {
	t.Helper()
	cmd := exec.Command(os.Args[0])
	cmd.Env = append(os.Environ(), crashStore+"="+dir)
	cmd.Stderr = os.Stderr
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	var kill *time.Timer
	var got []acknowledged
	for d := json.NewDecoder(out); ; {
		var k acknowledged
		if err := d.Decode(&k); err != nil {
			break // the end, or the line it was killed in
		}
		if kill == nil { // it is at work now
			kill = time.AfterFunc(after, func() { _ = cmd.Process.Kill() })
			defer kill.Stop()
		}
		got = append(got, k)
	}
	_ = cmd.Wait() // it was killed
	if cmd.ProcessState.Exited() {
		t.Fatalf("the process ended by itself: %v", cmd.ProcessState)
	}
	return got
}
