package serving

import (
	"cmp"
	"context"
	"errors"
	"slices"
	"sync"
	"time"

	"bellwether/datasets/record"
	"bellwether/features"
	"bellwether/health"
	"bellwether/models/registry"
	"bellwether/models/survival"
	"bellwether/models/trial"
	"bellwether/serving/store"
)

// Names of the files of a churn model.
const (
	churnFile = "churn.bin"
	aliveFile = "alive.bin"
)

// churnModel is what judges partners. Without a published one the set is that of
// an engine without models, and the hand-set weights judge.
type churnModel struct {
	version   registry.Version
	set       *features.Set
	predictor *trial.Predictor
	alive     *survival.BGNBD
	refused   refusal
}

func (m *churnModel) id() string {
	if m.predictor == nil {
		return ""
	}
	return modelID(m.version)
}

// ward keeps the partners' standings. It follows the log on disk with a state of
// its own, a day at a time, so that judging everybody holds up nobody: standings
// are as of a midnight, and made once a day or for a new model.
type ward struct {
	folder folder

	mu        sync.Mutex
	model     churnModel
	standings []record.Standing // by falling value at risk
	byPartner map[record.PartnerID]int
	err       error // why there are none

	// What follows is touched by refresh alone.
	state   *features.State
	past    *health.History
	next    uint64 // position of the next item to fold
	first   time.Time
	judged  time.Time // what standings are as of
	version registry.Version
	risks   []riskDay // rising
}

// riskDay is everybody's risk at a midnight.
type riskDay struct {
	at   time.Time
	risk map[record.PartnerID]float64
}

var errNotJudged = record.Errorf(record.Unavailable, "", "the partners' standings are being made: try again in a moment")

// now returns the model in use.
func (w *ward) now() churnModel {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.model
}

func (w *ward) refuse(v registry.Version, err error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.model.refused = refusal{v, err}
}

// take judges by a model from now on.
func (w *ward) take(m churnModel) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.model = m
}

// readChurn makes the model of a version's files.
func readChurn(a *registry.Artifact) (churnModel, error) {
	m := churnModel{version: a.Version}
	op := "use model " + a.Version.String()
	var err error
	if m.set, err = readSet(a); err != nil {
		return m, err
	}
	if m.predictor, err = trial.LoadPredictor(a.Files[churnFile]); err != nil {
		return m, record.Errorf(record.Incompatible, op, "%w", err)
	}
	if b, ok := a.Files[aliveFile]; ok {
		if m.alive, err = health.LoadAlive(b); err != nil {
			return m, record.Errorf(record.Incompatible, op, "%w", err)
		}
	}
	_, err = m.assessor(health.NewHistory(health.Config{}, m.set, time.Time{}))
	return m, err
}

func (m *churnModel) assessor(past *health.History) (*health.Assessor, error) {
	a := &health.Assessor{Set: m.set, History: past, Churn: m.predictor, Alive: m.alive, Model: m.version.String()}
	return a, a.Prepare()
}

// refresh brings the standings up to the midnight of now, if they are not.
func (w *ward) refresh(ctx context.Context, now time.Time) error {
	m := w.now()
	if w.state == nil || w.state.Set().Fingerprint() != m.set.Fingerprint() {
		w.state, w.past, w.next, w.risks = features.NewState(m.set), health.NewHistory(health.Config{}, m.set, time.Time{}), 0, nil
		w.judged = time.Time{}
	}
	head := w.folder.store.Head()
	if w.first.IsZero() && head > 0 {
		item, err := w.folder.store.Item(0)
		if err != nil {
			return err
		}
		w.first = item.At
	}
	at := midnight(now)
	whole := w.first.Before(at)
	if !whole {
		at = now // the log began today: better a part of a day than nothing
	}
	due := w.judged.IsZero() || w.version != m.version || whole && !w.judged.Equal(at) || !whole && w.next != head
	if !due {
		return nil
	}
	m.set = w.state.Set()
	assessor, err := m.assessor(w.past)
	if err != nil {
		return err
	}
	if w.version != m.version {
		w.risks = nil // of another model: not to be compared with this one's
	}
	if err := w.follow(ctx, assessor, head, at); err != nil {
		return err
	}
	standings := assessor.Assess(w.state, w.before(at), at)
	slices.SortStableFunc(standings, func(a, b record.Standing) int {
		return cmp.Or(cmp.Compare(b.ValueAtRisk.Amount, a.ValueAtRisk.Amount), cmp.Compare(b.Risk, a.Risk))
	})
	w.judged, w.version = at, m.version
	w.publish(standings)
	return nil
}

func midnight(t time.Time) time.Time { return t.UTC().Truncate(24 * time.Hour) }

func (w *ward) publish(standings []record.Standing) {
	by := make(map[record.PartnerID]int, len(standings))
	for i := range standings {
		by[standings[i].Partner] = i
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	w.standings, w.byPartner, w.err = standings, by, nil
}

// riskEvery is how far apart the midnights are whose risks are kept for the
// trend: judging everybody each midnight of a long log would take hours.
const riskEvery = 7 * 24 * time.Hour

// follow folds what was known before at, and keeps risks on the way.
func (w *ward) follow(ctx context.Context, a *health.Assessor, head uint64, at time.Time) error {
	keep := at.Add(-health.TrendDays * 24 * time.Hour)
	if n := len(w.risks); n > 0 {
		keep = w.risks[n-1].at.Add(riskEvery)
	}
	stop := errors.New("the day is over")
	err := w.folder.store.Scan(w.next, head, func(item store.Item) error {
		if item.Position%1024 == 0 && ctx.Err() != nil {
			return ctx.Err()
		}
		if item.At.After(at) || item.At.Equal(at) && at.Equal(midnight(at)) {
			return stop
		}
		for !item.At.Before(keep) && !keep.After(at) {
			w.keepRisks(a, keep)
			keep = keep.Add(riskEvery)
		}
		w.next = item.Position + 1
		w.state.Advance(item.At)
		return decode(item, w)
	})
	if err != nil && err != stop {
		return err
	}
	for ; !keep.After(at); keep = keep.Add(riskEvery) {
		w.keepRisks(a, keep)
	}
	w.state.Advance(at)
	return nil
}

func (w *ward) keepRisks(a *health.Assessor, at time.Time) {
	w.state.Advance(at)
	w.risks = append(w.risks, riskDay{at, a.Risks(w.state, at)})
	const kept = 2 + int(health.TrendDays*24*time.Hour/riskEvery)
	if len(w.risks) > kept {
		w.risks = slices.Delete(w.risks, 0, len(w.risks)-kept)
	}
}

// before returns the risks of TrendDays before at, or the newest before that.
func (w *ward) before(at time.Time) map[record.PartnerID]float64 {
	var out map[record.PartnerID]float64
	for _, r := range w.risks {
		if !r.at.After(at.Add(-health.TrendDays * 24 * time.Hour)) {
			out = r.risk
		}
	}
	return out
}

func (w *ward) partner(_ store.Item, p *record.Partner) { w.state.PutPartner(p) }

func (w *ward) lead(l *record.Lead) { w.state.PutLead(l) }

func (w *ward) event(_ store.Item, e *record.Event) {
	w.state.Observe(e)
	w.past.Observe(e)
}

// AtRiskQuery selects standings.
type AtRiskQuery struct {
	MinRisk float64
	Limit   int // 0: all
}

// Health returns a partner's standing as of the last midnight.
func (e *Engine) Health(ctx context.Context, id record.PartnerID) (*record.Standing, error) {
	if _, err := e.Partner(ctx, id); err != nil {
		return nil, err
	}
	w := &e.ward
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.err != nil {
		return nil, w.err
	}
	i, ok := w.byPartner[id]
	if !ok {
		return nil, record.Errorf(record.NotFound, "", "partner %q has no standing: it is new since the last midnight, or its contract has ended", shorten(string(id)))
	}
	s := w.standings[i]
	return &s, nil
}

// AtRisk returns standings by falling value at risk, as of the last midnight.
func (e *Engine) AtRisk(_ context.Context, q AtRiskQuery) ([]record.Standing, error) {
	w := &e.ward
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.err != nil {
		return nil, w.err
	}
	var out []record.Standing
	for _, s := range w.standings {
		if q.Limit > 0 && len(out) == q.Limit {
			break
		}
		if s.Risk >= q.MinRisk {
			out = append(out, s)
		}
	}
	return out, nil
}

// judge keeps the standings fresh.
func (e *Engine) judge(ctx context.Context) {
	tick := time.NewTicker(e.cfg.PollEvery)
	defer tick.Stop()
	for {
		e.mu.RLock()
		now := e.stamp()
		e.mu.RUnlock()
		if err := e.ward.refresh(ctx, now); err != nil && ctx.Err() == nil {
			e.cfg.Logger.Error("the partners could not be judged", "error", err)
		}
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
	}
}

// startingChurn reads the churn model in force.
func (e *Engine) startingChurn() churnModel {
	none := churnModel{set: e.win.set}
	a, err := e.registry.Load(churnName, "")
	if errors.Is(err, registry.ErrNotFound) {
		return none
	}
	if err == nil {
		var m churnModel
		if m, err = readChurn(a); err == nil {
			return m
		}
	}
	e.cfg.Logger.Error("the churn model in force cannot be used: judging by hand-set weights", "error", err)
	none.refused.err = err
	if a != nil {
		none.refused.version = a.Version
	}
	return none
}
