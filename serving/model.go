package serving

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"time"

	"bellwether/datasets/record"
	"bellwether/features"
	"bellwether/models/registry"
	"bellwether/routing"
)

// Names of the models the engine answers with, and of their files.
const (
	winName      = "win"
	churnName    = "churn"
	winFile      = "win.bin"
	acceptFile   = "accept.bin"
	featuresFile = "features.json"
)

// winModel is the win model the engine answers with, and the feature set it was
// trained on. Without a model the set is bareSet's.
type winModel struct {
	version registry.Version
	set     *features.Set
	model   *routing.Model
	refused refusal
}

// refusal is a version that cannot be used, and why.
type refusal struct {
	version registry.Version
	err     error
}

func (m *winModel) id() string {
	if m.model == nil {
		return ""
	}
	return m.model.WinID
}

// ModelInfo is one version of a model in the registry.
type ModelInfo struct {
	Name    string
	Version string // v3
	Hash    string
	Current bool   // in force in the registry
	Loaded  bool   // this engine answers with it
	Refused string // why the engine does not answer with the version in force, or why nobody could with another
	Card    []byte // JSON of registry.Card
}

func modelInfo(info registry.Info) (ModelInfo, error) {
	card, err := json.Marshal(info.Card)
	return ModelInfo{Name: info.Name, Version: fmt.Sprintf("v%d", info.Number), Hash: info.Hash, Current: info.Current, Refused: info.Damaged, Card: card}, err
}

// Models lists the registry.
func (e *Engine) Models(context.Context) ([]ModelInfo, error) {
	list, err := e.registry.List("")
	if err != nil {
		return nil, modelError("list models", err)
	}
	win, churn := e.winNow(), e.ward.now()
	out := make([]ModelInfo, len(list))
	for i, info := range list {
		if out[i], err = modelInfo(info); err != nil {
			return nil, modelError("list models", err)
		}
		out[i].Loaded = same(info.Version, win.version) && win.model != nil || same(info.Version, churn.version) && churn.predictor != nil
		for _, r := range []refusal{win.refused, churn.refused} {
			if r.err != nil && r.version == info.Version {
				out[i].Refused = r.err.Error()
			}
		}
	}
	return out, nil
}

// same reports whether two are one version, of which a damaged one has no hash.
func same(a, b registry.Version) bool { return a.Name == b.Name && a.Number == b.Number }

func (e *Engine) winNow() winModel {
	e.mu.RLock()
	defer e.mu.RUnlock()
	return e.win
}

// Promote puts a version in force and answers with it from now on. A model this
// program cannot use is refused, and the old one stays in force.
func (e *Engine) Promote(ctx context.Context, name, version string) (*ModelInfo, error) {
	e.swap.Lock()
	defer e.swap.Unlock()
	a, err := e.registry.Load(name, version)
	if err != nil {
		return nil, modelError("promote", err)
	}
	if err := e.take(ctx, a); err != nil {
		return nil, err
	}
	v, err := e.registry.Promote(name, version)
	if err != nil {
		return nil, modelError("promote", err)
	}
	return e.info(v)
}

// Rollback puts the version that was in force before back in force.
func (e *Engine) Rollback(ctx context.Context, name string) (*ModelInfo, error) {
	e.swap.Lock()
	defer e.swap.Unlock()
	was, err := e.registry.Current(name)
	if err != nil {
		return nil, modelError("roll back", err)
	}
	v, err := e.registry.Rollback(name)
	if err != nil {
		return nil, modelError("roll back", err)
	}
	a, err := e.registry.Load(name, "")
	if err == nil {
		err = e.take(ctx, a)
	}
	if err != nil {
		_, back := e.registry.Promote(name, fmt.Sprint(was.Number))
		return nil, errors.Join(modelError("roll back", err), back)
	}
	return e.info(v)
}

func (e *Engine) info(v registry.Version) (*ModelInfo, error) {
	shown, err := e.registry.Show(v.Name, fmt.Sprint(v.Number))
	if err != nil {
		return nil, modelError("show model", err)
	}
	info, err := modelInfo(shown)
	info.Loaded = v.Name == winName || v.Name == churnName
	return &info, err
}

// modelError gives the registry's errors their kinds.
func modelError(op string, err error) error {
	var known *record.Error
	if errors.As(err, &known) {
		return err
	}
	kind := record.Internal
	switch {
	case errors.Is(err, registry.ErrName):
		return &record.Error{Op: op, Kind: record.Invalid, Field: "name", Msg: err.Error()}
	case errors.Is(err, registry.ErrNotFound):
		kind = record.NotFound
	case errors.Is(err, registry.ErrDamaged):
		kind = record.Incompatible
	}
	return record.Errorf(kind, op, "%w", err)
}

// take answers with a model from now on, if it can be used; the caller holds
// swap.
func (e *Engine) take(ctx context.Context, a *registry.Artifact) error {
	switch a.Name {
	case winName:
		m, err := readWin(a)
		if err != nil {
			return err
		}
		return e.takeWin(ctx, m)
	case churnName:
		m, err := readChurn(a)
		if err == nil {
			e.ward.take(m)
		}
		return err
	}
	return nil // a model of a table, which nothing here answers with
}

// readWin makes the model of a version's files.
func readWin(a *registry.Artifact) (winModel, error) {
	set, err := readSet(a)
	if err != nil {
		return winModel{}, err
	}
	model, err := routing.LoadModel(set, modelID(a.Version), a.Files[winFile], a.Files[acceptFile])
	return winModel{version: a.Version, set: set, model: model}, err
}

func readSet(a *registry.Artifact) (*features.Set, error) {
	op := "use model " + a.Version.String()
	var spec features.Spec
	b, ok := a.Files[featuresFile]
	if !ok {
		return nil, record.Errorf(record.Incompatible, op, "it has no %s: it was not trained by 'bellwether train %s'", featuresFile, a.Name)
	}
	if err := json.Unmarshal(b, &spec); err != nil {
		return nil, record.Errorf(record.Incompatible, op, "%s: %w", featuresFile, err)
	}
	set, err := spec.Set()
	if err != nil {
		return nil, record.Errorf(record.Incompatible, op, "%w", err)
	}
	return set, nil
}

// modelID is how decisions name a model: name@version:hash.
func modelID(v registry.Version) string { return v.String() + ":" + v.Hash }

// takeWin swaps the model in. One trained on other attributes needs a book of
// its own, which is made beside the one in use.
func (e *Engine) takeWin(ctx context.Context, m winModel) error {
	e.mu.Lock()
	if e.book.set.Fingerprint() == m.set.Fingerprint() {
		// The book's state belongs to the set it was made with.
		m.set = e.book.set
		e.win = m
		e.mu.Unlock()
		e.cfg.Logger.Info("answering with another model", "model", m.id())
		return nil
	}
	e.mu.Unlock()
	b, err := e.folder.bookAt(ctx, m.set, e.cfg.Policy, e.store.Head(), time.Time{})
	if err != nil {
		return err
	}
	if err := e.folder.catchUp(ctx, b, e.store.Head()); err != nil {
		return err
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.state.broken != nil {
		return e.state.broken
	}
	// What came meanwhile, on disk or staged.
	for b.next < e.book.next {
		item, err := e.store.Item(b.next)
		if err != nil {
			return err
		}
		if err := b.fold(item); err != nil {
			return err
		}
	}
	b.advance(e.stamp())
	e.book, e.win = b, m
	e.cfg.Logger.Info("answering with another model, on other features", "model", m.id())
	return nil
}

// startingModel reads the win model in force. Without one that can be used the
// engine starts on rules and shrunk rates.
func (e *Engine) startingModel() winModel {
	none := winModel{set: bareSet(&e.cfg.Policy)}
	a, err := e.registry.Load(winName, "")
	if errors.Is(err, registry.ErrNotFound) {
		return none
	}
	if err == nil {
		var m winModel
		if m, err = readWin(a); err == nil {
			return m
		}
	}
	e.cfg.Logger.Error("the win model in force cannot be used: answering by rules and shrunk rates", "error", err)
	none.refused.err = err
	none.refused.version, _ = e.registry.Current(winName) // none named: poll tells once more
	return none
}

// watch takes up models that others put in force.
func (e *Engine) watch(ctx context.Context) {
	poll := time.NewTicker(e.cfg.PollEvery)
	defer poll.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-poll.C:
			e.poll(ctx, winName)
			e.poll(ctx, churnName)
		}
	}
}

// poll takes up the version in force if it is another one. One that cannot be
// used is told once, and the old one stays.
func (e *Engine) poll(ctx context.Context, name string) {
	e.swap.Lock()
	defer e.swap.Unlock()
	v, err := e.registry.Current(name)
	win, churn := e.winNow(), e.ward.now()
	if err != nil || v == win.version || v == churn.version || v == win.refused.version || v == churn.refused.version {
		return
	}
	a, err := e.registry.Load(name, "")
	if err == nil {
		v = a.Version
		err = e.take(ctx, a)
	}
	if err == nil || ctx.Err() != nil {
		return
	}
	e.cfg.Logger.Error("the model in force cannot be used; the one before stays", "model", v.String(), "error", err)
	if name == churnName {
		e.ward.refuse(v, err)
		return
	}
	e.mu.Lock()
	e.win.refused = refusal{v, err}
	e.mu.Unlock()
}

// parseModelID takes apart what modelID made.
func parseModelID(id string) (name, version, hash string, ok bool) {
	ref, hash, ok := strings.Cut(id, ":")
	name, version, ok2 := strings.Cut(ref, "@")
	return name, version, hash, ok && ok2
}
