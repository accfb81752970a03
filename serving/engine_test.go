package serving

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"bellwether/datasets/record"
	"bellwether/models/registry"
	"bellwether/routing"
	"bellwether/serving/store"
)

// clock is a clock that tests move.
type clock struct{ ns atomic.Int64 }

func newClock() *clock {
	c := new(clock)
	c.ns.Store(time.Date(2026, 3, 2, 9, 0, 0, 0, time.UTC).UnixNano())
	return c
}

func (c *clock) now() time.Time       { return time.Unix(0, c.ns.Load()) }
func (c *clock) pass(d time.Duration) { c.ns.Add(int64(d)) }
func (c *clock) config() Config {
	return Config{Clock: c.now, SweepEvery: time.Hour, PollEvery: time.Hour, SnapshotEvery: time.Hour, CollectEvery: time.Hour,
		Policy: routing.Policy{Currency: "EUR"}}
}

// bench is an engine with its surroundings.
type bench struct {
	*Engine
	t     testing.TB
	store *store.Store
	clock *clock
	cfg   Config
	dir   string // of the models
}

func start(t testing.TB, st *store.Store, cfg Config, models string) *Engine {
	t.Helper()
	reg, err := registry.Open(models)
	if err != nil {
		t.Fatal(err)
	}
	e, err := Start(context.Background(), st, reg, cfg)
	if err != nil {
		t.Fatal(err)
	}
	return e
}

// newBench starts an engine over a store in memory, with partners p0 … p4 of two
// units a week each.
func newBench(t testing.TB, change func(*Config, *store.Options)) *bench {
	t.Helper()
	b := &bench{t: t, clock: newClock(), dir: t.TempDir()}
	b.cfg = b.clock.config()
	o := store.Options{InMemory: true}
	if change != nil {
		change(&b.cfg, &o)
	}
	dir := ""
	if !o.InMemory {
		dir = t.TempDir()
		if o.MinFree == 0 {
			o.MinFree = 1
		}
	}
	var err error
	if b.store, err = store.Open(dir, o); err != nil {
		t.Fatal(err)
	}
	b.Engine = start(t, b.store, b.cfg, b.dir)
	t.Cleanup(func() {
		if err := errors.Join(b.Close(), b.store.Close()); err != nil {
			t.Errorf("close: %v", err)
		}
	})
	for i := range 5 {
		b.put(partner(i, 2))
	}
	return b
}

func partner(i, units int) *record.Partner {
	return &record.Partner{ID: record.PartnerID(fmt.Sprintf("p%d", i)), Name: fmt.Sprintf("Partner %d", i), Kind: "reseller", Tier: "gold",
		Territories: []string{"DE"}, Capacity: record.Capacity{Units: units, Period: "week"}}
}

func lead(id string) *record.Lead {
	return &record.Lead{ID: record.LeadID(id), CreatedAt: time.Date(2026, 3, 1, 0, 0, 0, 0, time.UTC), Account: record.AccountID("a-" + id),
		Industry: "retail", Place: record.Place{Region: "DE-BY"}, Value: record.Money{Amount: 1_000_000, Currency: "EUR"}}
}

func (b *bench) put(p *record.Partner) *PartnerView {
	b.t.Helper()
	v, err := b.UpsertPartner(context.Background(), p, nil)
	if err != nil {
		b.t.Fatal(err)
	}
	return v
}

func (b *bench) route(id string) *Routed {
	b.t.Helper()
	r, err := b.Route(context.Background(), lead(id), RouteOptions{})
	if err != nil {
		b.t.Fatal(err)
	}
	return r
}

// want fails the test unless err is of the kind and its text holds the words.
func want(t testing.TB, err error, kind record.Kind, words string) {
	t.Helper()
	if err == nil || record.KindOf(err) != kind || !strings.Contains(err.Error(), words) {
		t.Fatalf("got %v error %q, want %v with %q", record.KindOf(err), fmt.Sprint(err), kind, words)
	}
}

// restart closes the engine, and starts another over the same store.
func (b *bench) restart() {
	b.t.Helper()
	if err := b.Close(); err != nil {
		b.t.Fatal(err)
	}
	b.Engine = start(b.t, b.store, b.cfg, b.dir)
}

var ctx = context.Background()

func TestRouteIsAnsweredOnce(t *testing.T) {
	b := newBench(t, nil)
	first := b.route("l1")
	if first.Repeat || first.Decision.Chosen == "" || first.Offer == nil || first.Offer.State != record.OfferOpen || first.Offer.Partner != first.Decision.Chosen {
		t.Fatalf("the first answer: %+v", first)
	}
	if !first.Decision.Degraded || first.Decision.Model != "" {
		t.Fatal("without a model the decision must say that it is degraded")
	}
	again := b.route("l1")
	if !again.Repeat || again.Decision.ID != first.Decision.ID {
		t.Fatalf("the lead was decided again: %s, %s", first.Decision.ID, again.Decision.ID)
	}
	if err := routing.Same(first.Decision, again.Decision); err != nil {
		t.Fatal(err)
	}
	got, err := b.Decision(ctx, first.Decision.ID)
	if err != nil || got.Decision.ID != first.Decision.ID || *got.Offer != *first.Offer {
		t.Fatalf("%+v, %v", got, err)
	}
	_, err = b.Decision(ctx, "nothing")
	want(t, err, record.NotFound, `no decision "nothing"`)
	bad := lead("l2")
	bad.Value.Amount = -1
	_, err = b.Route(ctx, bad, RouteOptions{})
	want(t, err, record.Invalid, "value.amount")
}

// Neither is business in such a currency taken, of which nothing would count.
func TestAmountsInACurrencyWithoutARate(t *testing.T) {
	b := newBench(t, nil)
	r, before := b.route("l1"), b.Status().Position
	francs := record.Money{Amount: 100, Currency: "CHF"}
	_, err := b.Outcome(ctx, Outcome{Decision: r.Decision.ID, Won: true, Amount: francs})
	want(t, err, record.Invalid, "amount.currency: CHF has no rate in the policy, which has EUR")
	_, err = b.Events(ctx, []record.Event{{ID: "o", Type: record.OrderPlaced, At: b.clock.now().UTC(), Partner: "p1", Amount: francs}})
	want(t, err, record.Invalid, "events[0].amount.currency: CHF has no rate")
	if b.Status().Position != before {
		t.Error("a refused amount was written")
	}
}

// A lead in a currency that the policy has no rate for is refused, however it
// comes; one decided before is answered as it was.
func TestLeadInACurrencyWithoutARate(t *testing.T) {
	b := newBench(t, func(c *Config, _ *store.Options) { c.Policy.Rates = map[string]float64{"USD": 0.9} })
	swiss := lead("l1")
	swiss.Value.Currency = "CHF"
	_, err := b.Preview(ctx, swiss, RouteOptions{})
	want(t, err, record.Invalid, "value.currency: CHF has no rate in the policy, which has EUR, USD")
	_, err = b.Route(ctx, swiss, RouteOptions{})
	want(t, err, record.Invalid, "value.currency: CHF has no rate in the policy, which has EUR, USD")
	swiss.Value.Currency = "USD"
	r, err := b.Route(ctx, swiss, RouteOptions{})
	if err != nil {
		t.Fatal(err)
	}
	swiss.Value.Currency = "CHF"
	if again, err := b.Route(ctx, swiss, RouteOptions{}); err != nil || again.Decision.ID != r.Decision.ID {
		t.Errorf("a lead decided before: %+v, %v", again, err)
	}
	none := lead("l2")
	none.Value = record.Money{}
	if _, err := b.Route(ctx, none, RouteOptions{}); err != nil {
		t.Errorf("a lead of no stated worth: %v", err)
	}
}

func TestIdempotencyKey(t *testing.T) {
	b := newBench(t, nil)
	o := RouteOptions{IdempotencyKey: "k", Scope: "crm"}
	first, err := b.Route(ctx, lead("l1"), o)
	if err != nil {
		t.Fatal(err)
	}
	again, err := b.Route(ctx, lead("l1"), o)
	if err != nil || !again.Repeat || again.Decision.ID != first.Decision.ID {
		t.Fatalf("%+v, %v", again, err)
	}
	// The key stands for its own decision even after the chain went on.
	next, err := b.Decline(ctx, first.Decision.ID, "no_capacity", "")
	if err != nil {
		t.Fatal(err)
	}
	if again, err = b.Route(ctx, lead("l1"), o); err != nil || again.Decision.ID != first.Decision.ID {
		t.Fatalf("%+v, %v", again, err)
	}
	if r := b.route("l1"); r.Decision.ID != next.Decision.ID {
		t.Fatal("without a key the answer must be the chain's newest decision")
	}
	_, err = b.Route(ctx, lead("l2"), o)
	want(t, err, record.Conflict, "idempotency_key")
	changed := lead("l1")
	changed.Industry = "banking"
	_, err = b.Route(ctx, changed, o)
	want(t, err, record.Conflict, "idempotency_key")
	if _, err := b.Route(ctx, lead("l2"), RouteOptions{IdempotencyKey: "k", Scope: "another"}); err != nil {
		t.Fatalf("another caller's key: %v", err)
	}
}

// A key that was first answered with a decision another call had made is bound
// to it as to one of its own.
func TestIdempotencyKeyOfARepeat(t *testing.T) {
	var failing atomic.Bool
	b := newBench(t, func(_ *Config, o *store.Options) {
		o.BeforeSync = func() error {
			if failing.Load() {
				return errors.New("input/output error")
			}
			return nil
		}
	})
	first := b.route("l1")
	o := RouteOptions{IdempotencyKey: "k", Scope: "crm"}
	failing.Store(true)
	_, err := b.Route(ctx, lead("l1"), o)
	want(t, err, record.Unavailable, "input/output error")
	failing.Store(false)
	for end := time.Now().Add(10 * time.Second); !b.Status().Ready && time.Now().Before(end); {
		time.Sleep(time.Millisecond)
	}
	if r, err := b.Route(ctx, lead("l1"), o); err != nil || !r.Repeat || r.Decision.ID != first.Decision.ID {
		t.Fatalf("%+v, %v", r, err)
	}
	b.restart()
	_, err = b.Route(ctx, lead("l2"), o)
	want(t, err, record.Conflict, "idempotency_key")
	if _, err := b.Decline(ctx, first.Decision.ID, "no_capacity", ""); err != nil {
		t.Fatal(err)
	}
	if r, err := b.Route(ctx, lead("l1"), o); err != nil || r.Decision.ID != first.Decision.ID {
		t.Fatalf("the key stands for %v, %v", r, err)
	}
}

func TestNobodyEligibleIsAnAnswer(t *testing.T) {
	b := newBench(t, nil)
	far := lead("far")
	far.Place.Region = "JP"
	r, err := b.Route(ctx, far, RouteOptions{})
	if err != nil {
		t.Fatal(err)
	}
	if r.Decision.Chosen != "" || r.Offer != nil || len(r.Decision.Refusals) == 0 {
		t.Fatalf("%+v", r.Decision)
	}
	_, err = b.Accept(ctx, r.Decision.ID)
	want(t, err, record.Precondition, "nobody")
}

func TestDeclineOffersTheNextBest(t *testing.T) {
	b := newBench(t, nil)
	r := b.route("l1")
	_, err := b.Decline(ctx, r.Decision.ID, "because", "")
	want(t, err, record.Invalid, "reason")
	_, err = b.Decline(ctx, "nothing", "other", "")
	want(t, err, record.NotFound, "no decision")
	offered := map[record.PartnerID]bool{r.Decision.Chosen: true}
	for attempt := 2; attempt <= 5; attempt++ {
		next, err := b.Decline(ctx, r.Decision.ID, "no_capacity", "busy")
		if err != nil {
			t.Fatal(err)
		}
		if offered[next.Decision.Chosen] || next.Decision.Previous != r.Decision.ID || next.Offer.Attempt != attempt {
			t.Fatalf("attempt %d: %+v", attempt, next.Offer)
		}
		again, err := b.Decline(ctx, r.Decision.ID, "no_capacity", "busy")
		if err != nil || !again.Repeat || again.Decision.ID != next.Decision.ID {
			t.Fatalf("declining twice: %+v, %v", again, err)
		}
		_, err = b.Accept(ctx, r.Decision.ID)
		want(t, err, record.Precondition, "was declined")
		want(t, err, record.Precondition, string(next.Decision.ID))
		offered[next.Decision.Chosen] = true
		r = next
	}
	last, err := b.Decline(ctx, r.Decision.ID, "lead_quality", "")
	if err != nil || last.Decision.Chosen != "" || last.Offer != nil {
		t.Fatalf("everybody declined: %+v, %v", last, err)
	}
	if n := b.Status().Open; n != 0 {
		t.Fatalf("%d offers are open", n)
	}
}

func TestAcceptAndWithdraw(t *testing.T) {
	b := newBench(t, nil)
	r := b.route("l1")
	for range 2 {
		o, err := b.Accept(ctx, r.Decision.ID)
		if err != nil || o.State != record.OfferTaken {
			t.Fatalf("%+v, %v", o, err)
		}
	}
	_, err := b.Decline(ctx, r.Decision.ID, "other", "")
	want(t, err, record.Precondition, "was accepted")
	o, err := b.Withdraw(ctx, r.Decision.ID, "the customer called")
	if err != nil || o.State != record.OfferTakenBack {
		t.Fatalf("%+v, %v", o, err)
	}
	if o, err = b.Withdraw(ctx, r.Decision.ID, ""); err != nil || o.Reason != "the customer called" {
		t.Fatalf("withdrawing twice: %+v, %v", o, err)
	}
	_, err = b.Accept(ctx, r.Decision.ID)
	want(t, err, record.Precondition, "was withdrawn")
	if got := b.route("l1"); got.Decision.ID != r.Decision.ID {
		t.Fatal("a withdrawn lead was decided again")
	}
}

func TestExpiredOffersGoOn(t *testing.T) {
	b := newBench(t, func(c *Config, _ *store.Options) { c.Policy.OfferTTL = routing.Duration(time.Hour) })
	r := b.route("l1")
	kept := b.route("l2")
	if _, err := b.Accept(ctx, kept.Decision.ID); err != nil {
		t.Fatal(err)
	}
	b.clock.pass(time.Hour - time.Second)
	if err := b.sweep(ctx); err != nil || b.route("l1").Decision.ID != r.Decision.ID {
		t.Fatalf("the offer went on before its time: %v", err)
	}
	b.clock.pass(time.Second)
	_, err := b.Accept(ctx, r.Decision.ID)
	want(t, err, record.Precondition, "expired")
	if err := b.sweep(ctx); err != nil {
		t.Fatal(err)
	}
	next := b.route("l1")
	if next.Decision.Previous != r.Decision.ID || next.Decision.Chosen == r.Decision.Chosen {
		t.Fatalf("%+v follows %+v", next.Decision, r.Decision)
	}
	old, err := b.Decision(ctx, r.Decision.ID)
	if err != nil || old.Offer.State != record.OfferLapsed || old.Offer.Next != next.Decision.ID {
		t.Fatalf("%+v, %v", old.Offer, err)
	}
	if got, _ := b.Decision(ctx, kept.Decision.ID); got.Offer.State != record.OfferTaken {
		t.Fatal("an accepted offer expired")
	}
}

func TestCapacityIsNeverExceeded(t *testing.T) {
	b := newBench(t, nil) // five partners of two units
	var wg sync.WaitGroup
	var nobody atomic.Int32
	taken := make([]atomic.Int32, 5)
	for i := range 20 {
		wg.Go(func() {
			r, err := b.Route(ctx, lead(fmt.Sprint("l", i)), RouteOptions{})
			switch {
			case err != nil:
				t.Error(err)
			case r.Decision.Chosen == "":
				nobody.Add(1)
			default:
				taken[r.Decision.Chosen[1]-'0'].Add(1)
			}
		})
	}
	wg.Wait()
	for i := range taken {
		if n := taken[i].Load(); n != 2 {
			t.Errorf("p%d got %d leads, its capacity is 2", i, n)
		}
	}
	if nobody.Load() != 10 {
		t.Errorf("%d leads found nobody, want 10", nobody.Load())
	}
}

func TestOutcomes(t *testing.T) {
	b := newBench(t, nil)
	r := b.route("l1")
	_, err := b.Outcome(ctx, Outcome{Decision: "nothing", Won: true})
	want(t, err, record.NotFound, `decision: there is no decision "nothing"`)
	_, err = b.Outcome(ctx, Outcome{Won: true})
	want(t, err, record.Invalid, "decision: is missing")
	_, err = b.Outcome(ctx, Outcome{Decision: r.Decision.ID, Won: true, Amount: record.Money{Amount: -5, Currency: "EUR"}})
	want(t, err, record.Invalid, "amount")
	_, err = b.Outcome(ctx, Outcome{Decision: r.Decision.ID, Won: true, At: b.clock.now().Add(time.Hour).UTC()})
	want(t, err, record.Invalid, "future")

	lost, err := b.Outcome(ctx, Outcome{Decision: r.Decision.ID, Reason: "price"})
	if err != nil || lost.Repeat || lost.Event == "" {
		t.Fatalf("%+v, %v", lost, err)
	}
	if got, _ := b.Decision(ctx, r.Decision.ID); got.Offer.State != record.OfferTaken {
		t.Fatalf("an outcome came of an offer that is %s", got.Offer.State)
	}
	again, err := b.Outcome(ctx, Outcome{Decision: r.Decision.ID, Reason: "price"})
	if err != nil || !again.Repeat || again.Event != lost.Event {
		t.Fatalf("the same outcome again: %+v, %v", again, err)
	}
	_, err = b.Outcome(ctx, Outcome{Decision: r.Decision.ID, Won: true})
	want(t, err, record.Conflict, string(lost.Event))
	_, err = b.Outcome(ctx, Outcome{Decision: r.Decision.ID, Won: true, Supersedes: "another"})
	want(t, err, record.Conflict, string(lost.Event))
	won, err := b.Outcome(ctx, Outcome{ID: "crm-7", Decision: r.Decision.ID, Won: true, Supersedes: lost.Event})
	if err != nil || won.Repeat || won.Event != "crm-7" {
		t.Fatalf("%+v, %v", won, err)
	}
	if again, err = b.Outcome(ctx, Outcome{ID: "crm-7", Decision: r.Decision.ID, Won: true, Supersedes: lost.Event}); err != nil || !again.Repeat {
		t.Fatalf("the correction again: %+v, %v", again, err)
	}
	if again, err = b.Outcome(ctx, Outcome{Decision: r.Decision.ID, Won: true, Supersedes: lost.Event}); err != nil || !again.Repeat {
		t.Fatalf("the correction again, without its id: %+v, %v", again, err)
	}
	_, err = b.Outcome(ctx, Outcome{ID: "crm-7", Decision: r.Decision.ID})
	want(t, err, record.Conflict, "crm-7")
	_, err = b.Outcome(ctx, Outcome{Decision: r.Decision.ID, Reason: "price", Supersedes: lost.Event})
	want(t, err, record.Conflict, "crm-7")

	r = b.route("l2")
	next, err := b.Decline(ctx, r.Decision.ID, "other", "")
	if err != nil {
		t.Fatal(err)
	}
	_, err = b.Outcome(ctx, Outcome{Decision: r.Decision.ID, Won: true})
	want(t, err, record.Precondition, "was declined")
	if _, err = b.Outcome(ctx, Outcome{Decision: next.Decision.ID, Won: true}); err != nil {
		t.Fatal(err)
	}
	if _, err = b.Outcome(ctx, Outcome{Deal: "d1", Partner: "p1", Won: true}); err != nil {
		t.Fatal(err)
	}
	_, err = b.Outcome(ctx, Outcome{Deal: "d1", Partner: "p1"})
	want(t, err, record.Conflict, "supersedes")
	_, err = b.Outcome(ctx, Outcome{Deal: "d1", Partner: "nobody"})
	want(t, err, record.NotFound, `no partner "nobody"`)
}

func TestEvents(t *testing.T) {
	b := newBench(t, nil)
	now := b.clock.now().UTC()
	login := func(id string, at time.Time) record.Event {
		return record.Event{ID: record.EventID(id), Type: record.PortalLogin, At: at, Partner: "p1"}
	}
	in, err := b.Events(ctx, []record.Event{login("e1", now.Add(-time.Hour)), login("e2", now.Add(time.Minute)), login("e1", now.Add(-time.Hour))})
	if err != nil || in.Taken != 2 || in.Repeats != 1 {
		t.Fatalf("%+v, %v", in, err)
	}
	b.clock.pass(time.Minute)
	in, err = b.Events(ctx, []record.Event{login("e2", now.Add(time.Minute)), login("e3", now)})
	if err != nil || in.Taken != 1 || in.Repeats != 1 {
		t.Fatalf("an event from a clock ahead of ours, again: %+v, %v", in, err)
	}
	before := b.Status().Position
	refuse := func(kind record.Kind, words string, events ...record.Event) {
		t.Helper()
		_, err := b.Events(ctx, events)
		want(t, err, kind, words)
		if b.Status().Position != before {
			t.Fatal("a batch that was refused wrote something")
		}
	}
	bad := login("e5", now)
	bad.At = time.Time{}
	refuse(record.Invalid, "events[1].at", login("e4", now), bad)
	refuse(record.Invalid, "events[0].at", login("e4", now.Add(time.Hour)))
	refuse(record.Conflict, "events[1].id", login("e4", now), login("e1", now))
	refuse(record.Conflict, "events[1].id", login("e4", now), login("e4", now.Add(-time.Second)))
	unknown := login("e6", now)
	unknown.Partner = "nobody"
	refuse(record.NotFound, "events[1].partner", login("e4", now), unknown)
	refuse(record.Exhausted, "at most 5000", make([]record.Event, 5001)...)

	r := b.route("l1")
	won := record.Event{ID: "w1", Type: record.DealWon, At: b.clock.now().UTC(), Partner: r.Decision.Chosen, Lead: "l1"}
	lost := record.Event{ID: "w2", Type: record.DealLost, At: b.clock.now().UTC(), Decision: r.Decision.ID, Partner: r.Decision.Chosen}
	before = b.Status().Position
	refuse(record.Precondition, "events[0].type", record.Event{ID: "o1", Type: record.OfferAccepted, At: now, Partner: r.Decision.Chosen, Lead: "l1"})
	refuse(record.Conflict, "events[1].supersedes", won, lost)
	for range 2 {
		if _, err := b.Events(ctx, []record.Event{won}); err != nil {
			t.Fatal(err)
		}
	}
	if got, _ := b.Decision(ctx, r.Decision.ID); got.Offer.State != record.OfferTaken {
		t.Fatalf("a lead was won of an offer that is %s", got.Offer.State)
	}
	_, err = b.Events(ctx, []record.Event{lost})
	want(t, err, record.Conflict, "w1")
}

func TestPartners(t *testing.T) {
	b := newBench(t, nil)
	v, err := b.Partner(ctx, "p3")
	if err != nil || v.Partner.Name != "Partner 3" || !v.Partner.KnownAt.Equal(b.clock.now()) {
		t.Fatalf("%+v, %v", v, err)
	}
	_, err = b.Partner(ctx, "p9")
	want(t, err, record.NotFound, `no partner "p9"`)
	changed := partner(3, 7)
	stale, none := v.Version-1, uint64(0)
	_, err = b.UpsertPartner(ctx, changed, &stale)
	want(t, err, record.Precondition, "read it again")
	_, err = b.UpsertPartner(ctx, changed, &none)
	want(t, err, record.Precondition, "read it again")
	_, err = b.UpsertPartner(ctx, partner(9, 1), &stale)
	want(t, err, record.Precondition, "no partner")
	w, err := b.UpsertPartner(ctx, changed, &v.Version)
	if err != nil || w.Version == v.Version || w.Partner.Capacity.Units != 7 {
		t.Fatalf("%+v, %v", w, err)
	}
	if same := b.put(partner(3, 7)); same.Version != w.Version {
		t.Fatal("a record that says nothing new made a version")
	}
	at := b.clock.now().UTC()
	if _, err := b.Events(ctx, []record.Event{{ID: "t", Type: record.TierChanged, At: at, Partner: "p3", Text: "silver"}}); err != nil {
		t.Fatal(err)
	}
	x, err := b.Partner(ctx, "p3")
	if err != nil || x.Partner.Tier != "silver" || x.Version == w.Version {
		t.Fatalf("after its tier changed: %+v, %v", x, err)
	}
	bad := partner(3, -1)
	_, err = b.UpsertPartner(ctx, bad, nil)
	want(t, err, record.Invalid, "capacity.units")

	var seen []string
	for cursor := record.PartnerID(""); ; {
		page, err := b.Partners(ctx, cursor, 2)
		if err != nil || page.Total != 5 {
			t.Fatalf("%+v, %v", page, err)
		}
		for _, p := range page.Partners {
			seen = append(seen, string(p.Partner.ID))
		}
		if cursor = page.Next; cursor == "" {
			break
		}
	}
	if got := strings.Join(seen, " "); got != "p0 p1 p2 p3 p4" {
		t.Fatalf("pages: %s", got)
	}
	_, err = b.Partners(ctx, "", MaxPage+1)
	want(t, err, record.Invalid, "limit")
}

func TestPreviewLeavesNoTrace(t *testing.T) {
	b := newBench(t, nil)
	before := b.Status().Position
	p, err := b.Preview(ctx, lead("l1"), RouteOptions{})
	if err != nil || p.Decision.Chosen == "" || p.Decision.ID != "" || p.Offer != nil {
		t.Fatalf("%+v, %v", p, err)
	}
	if b.Status().Position != before {
		t.Fatal("a preview wrote something")
	}
	if r := b.route("l1"); r.Decision.Chosen != p.Decision.Chosen {
		t.Fatalf("routed to %s, the preview said %s", r.Decision.Chosen, p.Decision.Chosen)
	}
}

// Candidates are scored in memory used again: a preview's are its own all the
// same, and those of what was routed stand in the log.
func TestCandidatesOutliveTheNextLead(t *testing.T) {
	b := newBench(t, func(c *Config, _ *store.Options) { c.Scorers = 1 })
	p, err := b.Preview(ctx, lead("l1"), RouteOptions{})
	if err != nil || len(p.Decision.Candidates) != 5 || p.Eligible != 5 {
		t.Fatalf("%+v, %v", p, err)
	}
	before := slices.Clone(p.Decision.Candidates)
	first := b.route("l1")
	kept, err := b.Decision(ctx, first.Decision.ID)
	if err != nil || !slices.Equal(kept.Decision.Candidates, before) {
		t.Errorf("the log says %+v (%v), the preview %+v", kept.Decision.Candidates, err, before)
	}
	other := lead("l2")
	other.Value.Amount *= 2
	second, err := b.Route(ctx, other, RouteOptions{})
	if err != nil {
		t.Fatal(err)
	}
	next, err := b.Decline(ctx, second.Decision.ID, "no_capacity", "")
	if err != nil {
		t.Fatal(err)
	}
	if !slices.Equal(p.Decision.Candidates, before) {
		t.Errorf("the preview's candidates are now %+v, were %+v", p.Decision.Candidates, before)
	}
	for _, r := range []*Routed{first, second, next, b.route("l1"), b.route("l2")} {
		kept, err := b.Decision(ctx, r.Decision.ID)
		if err != nil || r.Decision.Candidates != nil || r.Eligible < 4 || r.Eligible != len(kept.Decision.Candidates) || r.Eligible != kept.Eligible {
			t.Errorf("answered with %d candidates of %d; in the log are %d (%v)", len(r.Decision.Candidates), r.Eligible, len(kept.Decision.Candidates), err)
		}
	}
}
