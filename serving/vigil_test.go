package serving

import (
	"fmt"
	"math/rand/v2"
	"reflect"
	"testing"
	"time"

	"bellwether/datasets/record"
	"bellwether/features"
	"bellwether/health"
	"bellwether/models/registry"
	"bellwether/serving/store"
)

// TestVigilGoesOn: one that goes on day by day, one that starts anew over the
// snapshot of another, and one that folds the whole log judge alike, to the last
// bit.
func TestVigilGoesOn(t *testing.T) {
	trends := 0
	for seed := range uint64(8) {
		t.Run(fmt.Sprint(seed), func(t *testing.T) { trends += vigilGoesOn(t, rand.New(rand.NewPCG(seed, 0))) })
	}
	if trends == 0 {
		t.Error("no standing has a trend: this shows nothing of them")
	}
}

// vigilGoesOn returns how many standings with a trend it saw.
func vigilGoesOn(t *testing.T, rng *rand.Rand) (trends int) {
	b := newBench(t, nil)
	v := publish(t, b.dir, churnName, features.Schema{}, 1, nil)
	a, err := b.registry.Load(churnName, number(v))
	if err != nil {
		t.Fatal(err)
	}
	model, err := readChurn(a)
	if err != nil {
		t.Fatal(err)
	}
	judge := func(w *ward) []record.Standing {
		if err := w.refresh(ctx, b.clock.now()); err != nil {
			t.Fatal(err)
		}
		return w.standings
	}
	anew := func() *ward { return &ward{vigil: vigil{folder: b.folder}, model: model} }
	steady, leads := anew(), 0
	for range 12 {
		n := rng.IntN(7)
		trade(b, leads, leads+n)
		leads += n
		happen(b, rng)
		b.clock.pass(time.Duration([]int{0, 5, 24, 24, 24 * 9, 24 * 40}[rng.IntN(6)]) * time.Hour)
		whole := anew()
		whole.version, whole.set = v, model.set.Fingerprint()
		whole.state, whole.past = features.NewState(model.set), health.NewHistory(health.Config{}, model.set, time.Time{})
		whole.risks.by = map[record.PartnerID]*trail{}
		want := judge(whole)
		for name, w := range map[string]*ward{"going on": steady, "starting anew": anew()} {
			got := judge(w)
			if len(got) != len(want) {
				t.Fatalf("%s, at %s: %d standings, the whole fold has %d", name, b.clock.now(), len(got), len(want))
			}
			for i := range want {
				if !reflect.DeepEqual(got[i], want[i]) {
					t.Fatalf("%s, at %s:\n%+v, the whole fold says\n%+v", name, b.clock.now(), got[i], want[i])
				}
				if want[i].Trend != 0 {
					trends++
				}
			}
		}
	}
	return trends
}

// happen lets partners use the portal, order and merge, and corrects some of it.
func happen(b *bench, rng *rand.Rand) {
	kinds := []record.EventType{record.OrderPlaced, record.PortalLogin, record.TrainingView, record.PartnerMerged}
	var events []record.Event
	for i := range rng.IntN(9) {
		e := record.Event{ID: record.EventID(fmt.Sprintf("h%d.%d", b.store.Next(), i)), At: b.clock.now().UTC().Add(-time.Hour),
			Type: kinds[rng.IntN(len(kinds))], Partner: record.PartnerID(fmt.Sprint("p", rng.IntN(3)))}
		if e.Type == record.PartnerMerged {
			e.Other = "p3"
		}
		if i > 0 && rng.IntN(2) == 0 {
			e.Supersedes = events[rng.IntN(i)].ID
		}
		events = append(events, e)
	}
	if _, err := b.Events(ctx, events); err != nil {
		b.t.Fatal(err)
	}
}

// TestVigilStartsFromItsSnapshot: after a start, and on the next day, only what
// came since is folded, and a model of its own begins with nothing. Between
// midnights no state is held.
func TestVigilStartsFromItsSnapshot(t *testing.T) {
	b := newBench(t, nil)
	trade(b, 0, 30)
	b.clock.pass(24 * time.Hour)
	w := &ward{vigil: vigil{folder: b.folder}, model: churnModel{set: b.win.set}}
	if err := w.refresh(ctx, b.clock.now()); err != nil {
		t.Fatal(err)
	}
	again := vigil{folder: b.folder}
	if _, err := again.turn(w.model, b.clock.now()); err != nil || again.next != w.next || again.next == 0 {
		t.Errorf("starts at %d, %v: the snapshot is of %d", again.next, err, w.next)
	}
	if due, err := w.turn(w.model, b.clock.now()); due || err != nil || w.state != nil || w.past != nil || w.risks.by != nil {
		t.Errorf("with nothing to judge (due: %v, %v) it holds a state", due, err)
	}
	if due, err := w.turn(w.model, b.clock.now().Add(24*time.Hour)); !due || err != nil || w.next != again.next || w.state == nil || w.state.Now() != again.state.Now() {
		t.Errorf("on the next day (due: %v, %v) it goes on at %d, the snapshot is of %d", due, err, w.next, again.next)
	}
	other := w.model
	other.version.Number, other.version.Hash = 7, "another"
	if _, err := again.turn(other, b.clock.now()); err != nil || again.next != 0 {
		t.Errorf("another model starts at %d, %v", again.next, err)
	}
	early := vigil{folder: b.folder}
	if _, err := early.turn(w.model, b.clock.now().Add(-48*time.Hour)); err != nil || early.next != 0 {
		t.Errorf("two days before, the snapshot of a later day is gone on from: at %d, %v", early.next, err)
	}
	if err := b.store.SaveSnapshot(store.Snapshot{Fold: store.Health, Position: w.next + 1, Fingerprint: w.fingerprint(),
		Parts: []store.Part{{Name: "past", Body: []byte("x")}}}); err != nil {
		t.Fatal(err)
	}
	again = vigil{folder: b.folder}
	if _, err := again.turn(w.model, b.clock.now()); err != nil || again.next != w.next {
		t.Errorf("over a damaged snapshot it starts at %d, %v", again.next, err)
	}
}

// TestSettled: an engine started after Settle has nothing to fold, neither for
// leads nor for standings.
func TestSettled(t *testing.T) {
	clock := newClock()
	cfg := clock.config()
	st, err := store.Open("", store.Options{InMemory: true})
	if err != nil {
		t.Fatal(err)
	}
	defer st.Close()
	if _, err := Load(ctx, st, history(20, 10, 20), nil); err != nil {
		t.Fatal(err)
	}
	reg, err := registry.Open(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	if err := Settle(ctx, st, reg, cfg); err != nil {
		t.Fatal(err)
	}
	e := start(t, st, cfg, t.TempDir())
	defer e.Close()
	b, err := e.folder.fromSnapshot(e.win.set, cfg.Policy, st.Head(), time.Time{})
	if err != nil || b.next != st.Head() {
		t.Errorf("the book begins at %d of %d, %v", b.next, st.Head(), err)
	}
	v := vigil{folder: e.folder}
	if _, err := v.turn(churnModel{set: e.win.set}, clock.now()); err != nil || v.next != st.Head() {
		t.Errorf("standings begin at %d of %d, %v", v.next, st.Head(), err)
	}
}
