package serving

import (
	"cmp"
	"context"
	"errors"
	"runtime"
	"slices"
	"sync"
	"time"

	"bellwether/datasets/record"
	"bellwether/features"
	"bellwether/health"
	"bellwether/models/registry"
	"bellwether/models/survival"
	"bellwether/models/trial"
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

// ward keeps the partners' standings: as of a midnight, made once a day and for
// a new model, beside the live book so that judging everybody holds up nobody.
type ward struct {
	vigil // touched by refresh alone

	mu        sync.Mutex
	model     churnModel
	standings []record.Standing // by falling value at risk
	byPartner map[record.PartnerID]int
	err       error // why there are none
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
	due, err := w.turn(m, now)
	if err != nil || !due {
		return err
	}
	standings, err := w.judge(ctx, m)
	if err != nil {
		return err
	}
	slices.SortStableFunc(standings, func(a, b record.Standing) int {
		return cmp.Or(cmp.Compare(b.ValueAtRisk.Amount, a.ValueAtRisk.Amount), cmp.Compare(b.Risk, a.Risk))
	})
	w.publish(standings)
	return w.rest()
}

func (w *ward) publish(standings []record.Standing) {
	by := make(map[record.PartnerID]int, len(standings))
	for i := range standings {
		by[standings[i].Partner] = i
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	w.standings, w.byPartner, w.err = standings, by, nil
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
		before := e.ward.judged
		if err := e.ward.refresh(ctx, now); err != nil && ctx.Err() == nil {
			e.cfg.Logger.Error("the partners could not be judged", "error", err)
		}
		if e.ward.judged != before && e.ward.state == nil {
			runtime.GC() // or the heap would grow to a multiple of what was let go of, too
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
	none.refused.version, _ = e.registry.Current(churnName) // none named: poll tells once more
	return none
}
