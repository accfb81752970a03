package serving

import (
	"context"
	"errors"
	"fmt"
	"math"
	"time"

	"bellwether/datasets/record"
	"bellwether/features"
	"bellwether/health"
	"bellwether/models/registry"
	"bellwether/models/wire"
	"bellwether/serving/store"
)

// vigil follows the log on disk with a state of its own, up to a midnight, and
// judges by it. What it says depends on the log, the model and the midnight
// alone, whether it began at a snapshot or with nothing. Between midnights its
// state lies in a snapshot: it takes as much memory as the book, which would be
// gone through at each collection of garbage. It has no lock.
type vigil struct {
	folder  folder
	version registry.Version // of the churn model that risks are of
	set     string           // fingerprint of the model's features
	state   *features.State  // nil when there is nothing to judge
	past    *health.History
	next    uint64    // position of the next item to fold
	first   time.Time // of the log
	until   time.Time // what was known before is to be judged
	whole   bool      // until is a midnight
	judged  time.Time // until, when it was judged last
	seen    uint64    // the log's head then
	risks   trails
	saved   uint64 // position of the last snapshot
}

// trails are everybody's risks at the last midnights, as far back as a trend
// looks, each in the place of its day.
type trails struct {
	next int64 // the day to keep next
	by   map[record.PartnerID]*trail
}

type trail [health.TrendDays + 1]float64 // NaN: none that day

// turn looks at the time and the model. It reports whether there is anything to
// judge anew.
func (v *vigil) turn(m churnModel, now time.Time) (due bool, err error) {
	head := v.folder.store.Head()
	if v.first.IsZero() && head > 0 {
		item, err := v.folder.store.Item(0)
		if err != nil {
			return false, err
		}
		v.first = item.At
	}
	at := midnight(now)
	if v.whole = v.first.Before(at); !v.whole {
		at = now // the log began today: better a part of a day than nothing
	}
	if set := m.set.Fingerprint(); v.version != m.version || v.set != set {
		*v = vigil{folder: v.folder, version: m.version, set: set, first: v.first, whole: v.whole}
	}
	v.until = at
	due = v.judged.IsZero() || v.whole && !v.judged.Equal(at) || !v.whole && v.seen != head
	if due && v.state == nil {
		err = v.begin(m, head)
	}
	return due, err
}

func midnight(t time.Time) time.Time { return t.UTC().Truncate(24 * time.Hour) }

// judge folds what became known and assesses everybody.
func (v *vigil) judge(ctx context.Context, m churnModel) ([]record.Standing, error) {
	m.set = v.state.Set() // the state belongs to the set it was made with
	assessor, err := m.assessor(v.past)
	if err != nil {
		return nil, err
	}
	head := v.folder.store.Head()
	if err := v.follow(ctx, assessor, head); err != nil {
		return nil, err
	}
	v.judged, v.seen = v.until, head
	return assessor.Assess(v.state, v.risks.before(day(v.until)), v.until), nil
}

// follow folds what is to be judged, and keeps risks on the way.
func (v *vigil) follow(ctx context.Context, a *health.Assessor, head uint64) error {
	v.risks.next = max(v.risks.next, day(v.until)-health.TrendDays)
	stop := errors.New("the day is over")
	err := v.folder.store.Scan(v.next, head, func(item store.Item) error {
		if item.Position%1024 == 0 && ctx.Err() != nil {
			return ctx.Err()
		}
		if item.At.After(v.until) || v.whole && item.At.Equal(v.until) {
			return stop
		}
		v.keepRisks(a, item.At)
		v.next = item.Position + 1
		v.state.Advance(item.At)
		return decode(item, v)
	})
	if err != nil && err != stop {
		return err
	}
	v.keepRisks(a, v.until)
	v.state.Advance(v.until)
	return nil
}

// keepRisks keeps those of every midnight up to a moment.
func (v *vigil) keepRisks(a *health.Assessor, to time.Time) {
	for ; v.risks.next <= day(to); v.risks.next++ {
		at := time.Unix(v.risks.next*86400, 0).UTC()
		v.state.Advance(at)
		v.risks.put(v.risks.next, a.Risks(v.state, at))
	}
}

// put keeps the risks of a day.
func (t *trails) put(day int64, risks map[record.PartnerID]float64) {
	i := day % int64(len(trail{}))
	for _, known := range t.by {
		known[i] = math.NaN()
	}
	for id, r := range risks {
		if t.by[id] == nil {
			t.by[id] = new(trail)
			for j := range t.by[id] {
				t.by[id][j] = math.NaN()
			}
		}
		t.by[id][i] = r
	}
}

// before returns the risks of TrendDays before a day.
func (t *trails) before(day int64) map[record.PartnerID]float64 {
	out := make(map[record.PartnerID]float64, len(t.by))
	for id, known := range t.by {
		if r := known[(day-health.TrendDays)%int64(len(known))]; !math.IsNaN(r) {
			out[id] = r
		}
	}
	return out
}

func (v *vigil) partner(_ store.Item, p *record.Partner) { v.state.PutPartner(p) }

func (v *vigil) lead(l *record.Lead) { v.state.PutLead(l) }

func (v *vigil) event(_ store.Item, e *record.Event) {
	v.state.Observe(e)
	v.past.Observe(e)
}

// fingerprint names all that must be the same for a snapshot to be read: the
// risks in it are the model's.
func (v *vigil) fingerprint() string {
	return fmt.Sprint("vigil1 ", v.set, " ", modelID(v.version), " ", health.NewLabels(health.Config{}).Config())
}

// begin starts to follow for a model: from the newest snapshot taken for it that
// knows nothing from what is to be judged on, else from nothing.
func (v *vigil) begin(m churnModel, head uint64) error {
	for limit := head; ; {
		v.state, v.past, v.next = features.NewState(m.set), health.NewHistory(health.Config{}, m.set, time.Time{}), 0
		v.saved, v.risks = 0, trails{by: map[record.PartnerID]*trail{}}
		snap, err := v.folder.store.LoadSnapshot(store.Health, v.fingerprint(), limit)
		if err != nil || snap == nil {
			return err
		}
		err = v.restore(snap)
		if err == nil && v.risks.next <= day(v.until)+1 {
			v.saved = v.next
			return nil
		}
		if err != nil {
			v.folder.logger.Warn("a snapshot of the standings' state cannot be used; going back further", "position", snap.Position, "error", err)
		}
		limit = snap.Position - 1
	}
}

const trailsMagic = "bwt\x01"

// rest leaves a snapshot, so that only what came since will be folded, and lets go
// of what it holds.
func (v *vigil) rest() error {
	if !v.whole {
		return nil // what is known of a part of a day would be folded again
	}
	err := v.save()
	if err == nil {
		v.state, v.past, v.risks = nil, nil, trails{}
	}
	return err
}

func (v *vigil) save() error {
	if v.next == v.saved {
		return nil
	}
	state, err := v.state.MarshalBinary()
	if err != nil {
		return err
	}
	past, err := v.past.MarshalBinary()
	if err != nil {
		return err
	}
	risks := wire.NewEncoder(trailsMagic)
	risks.Int(int(v.risks.next))
	risks.Int(len(v.risks.by))
	for id, known := range v.risks.by {
		risks.String(string(id))
		risks.Floats(known[:])
	}
	v.saved = v.next
	return v.folder.store.SaveSnapshot(store.Snapshot{Fold: store.Health, Position: v.next, Fingerprint: v.fingerprint(),
		Parts: []store.Part{{Name: "state", Body: state}, {Name: "past", Body: past}, {Name: "risks", Body: risks.Seal()}}})
}

// restore makes a new vigil what the snapshot was taken of. After an error the
// vigil is of no use.
func (v *vigil) restore(snap *store.Snapshot) error {
	for _, p := range snap.Parts {
		var err error
		switch p.Name {
		case "state":
			err = v.state.UnmarshalBinary(p.Body)
		case "past":
			err = v.past.UnmarshalBinary(p.Body)
		case "risks":
			err = v.risks.read(wire.NewDecoder(trailsMagic, p.Body))
		}
		if err != nil {
			return err
		}
	}
	v.next = snap.Position
	return nil
}

func (t *trails) read(d *wire.Decoder) error {
	t.next = int64(d.Int())
	for range d.Int() {
		id, known := record.PartnerID(d.String()), d.Floats()
		if len(known) != len(trail{}) {
			d.Fail()
			break
		}
		t.by[id] = (*trail)(known)
	}
	return d.Close()
}
