package serving

import (
	"context"
	"sync"
	"time"

	"bellwether/datasets/record"
	"bellwether/features"
	"bellwether/models/registry"
)

// Judge says how partners stand. It is made of a churn model.
type Judge func(st *features.State, now time.Time) ([]record.Standing, error)

// health is the churn model in use and what it last said.
type health struct {
	mu sync.Mutex
	churnModel
}

// churnModel is a churn model and what became of it.
type churnModel struct {
	version registry.Version
	loaded  bool
	refused refusal
}

func (h *health) now() churnModel {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.churnModel
}

func (h *health) id() string {
	if m := h.now(); m.loaded {
		return modelID(m.version)
	}
	return ""
}

func (h *health) refuse(v registry.Version, err error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.refused = refusal{v, err}
}

// AtRiskQuery selects standings.
type AtRiskQuery struct {
	MinRisk float64
	Limit   int // 0: all
}

// Health returns a partner's standing now.
func (e *Engine) Health(ctx context.Context, id record.PartnerID) (*record.Standing, error) {
	return nil, record.Errorf(record.Unavailable, "", "no churn model is published")
}

// AtRisk returns standings by falling value at risk.
func (e *Engine) AtRisk(ctx context.Context, q AtRiskQuery) ([]record.Standing, error) {
	return nil, record.Errorf(record.Unavailable, "", "no churn model is published")
}

func (e *Engine) takeChurn(a *registry.Artifact) error { return nil }
func (e *Engine) pollHealth()                          {}
