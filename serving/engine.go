package serving

import (
	"context"
	"time"

	"bellwether/datasets/record"
)

// RouteOptions are what a caller may say about one routing beside the lead.
type RouteOptions struct {
	// IdempotencyKey makes a repeat of the same request answer with the same
	// decision; Scope keeps the keys of different callers apart.
	IdempotencyKey string
	Scope          string
	// Explore switches exploration on or off for this lead; nil leaves it to
	// the policy.
	Explore *bool
}

// Routed is a decision with the life of its offer.
type Routed struct {
	Decision *record.Decision
	Offer    *record.Offer // nil when nobody was eligible, and for previews
	Repeat   bool          // the decision existed before this call
}

// Outcome reports what became of a lead or deal.
type Outcome struct {
	ID         record.EventID    // the caller's id of this report; empty makes one
	Decision   record.DecisionID // either this
	Deal       record.DealID     // or a deal with its Partner
	Partner    record.PartnerID
	Won        bool
	At         time.Time // zero: now
	Amount     record.Money
	Products   []string
	Reason     string         // of a loss
	Supersedes record.EventID // the earlier outcome this one corrects
}

// Reported says what an outcome or event call wrote.
type Reported struct {
	Event  record.EventID
	Repeat bool // the same was reported before: nothing was written
}

// Ingested counts what a batch of events did.
type Ingested struct {
	Taken    int
	Repeats  int    // were there already, unchanged
	Position uint64 // log position after the last of them
}

// PartnerView is a partner as the engine holds it.
type PartnerView struct {
	Partner record.Partner
	Version uint64 // log position of this version; the ETag
	Open    int    // offers waiting for its answer
	Load    int    // offers counted against its capacity in this period
}

// PartnerPage is one page of partners in id order.
type PartnerPage struct {
	Partners []PartnerView
	Next     record.PartnerID // cursor of the next page; empty at the end
	Total    int
}

// AtRiskQuery selects standings.
type AtRiskQuery struct {
	At      time.Time // zero: now; standings of the past are not kept
	MinRisk float64
	Limit   int // 0: all
}

// ModelInfo is one version of a model in the registry.
type ModelInfo struct {
	Name    string
	Version string
	Hash    string
	Current bool   // what the registry's current points to
	Loaded  bool   // what this engine answers with
	Refused string // why the engine does not load the current version
	Card    []byte // JSON
}

// Status is the engine's condition, for readiness and metrics.
type Status struct {
	Ready     bool
	Reason    string // why not ready
	Position  uint64 // next log position
	Synced    uint64 // positions below it are on disk
	Partners  int
	Open      int  // open offers
	Degraded  bool // no win model
	WinModel  string
	Churn     string
	Recovered int // times the book was rebuilt from disk since the start
}

// Engine answers every use case. Its methods may be called from any goroutine;
// an answer is given only after everything it rests on is on disk.
type Engine struct{}

// Route decides who is offered the lead. A lead decided before is answered with
// its chain's newest decision, a repeated idempotency key with its decision.
// Nobody eligible is an answer, not an error.
func (e *Engine) Route(ctx context.Context, lead *record.Lead, o RouteOptions) (*Routed, error) {
	return nil, nil
}

// Preview decides without writing anything down or reserving anything.
func (e *Engine) Preview(ctx context.Context, lead *record.Lead, o RouteOptions) (*Routed, error) {
	return nil, nil
}

// Decision returns a decision and the life of its offer.
func (e *Engine) Decision(ctx context.Context, id record.DecisionID) (*Routed, error) {
	return nil, nil
}

// Accept marks the decision's offer accepted; again is not an error.
func (e *Engine) Accept(ctx context.Context, id record.DecisionID) (*record.Offer, error) {
	return nil, nil
}

// Decline marks the decision's offer declined and offers the lead to the next
// best. Again with the same reason answers with that next decision.
func (e *Engine) Decline(ctx context.Context, id record.DecisionID, reason, text string) (*Routed, error) {
	return nil, nil
}

// Withdraw takes the offer back; the lead's chain ends.
func (e *Engine) Withdraw(ctx context.Context, id record.DecisionID, reason string) (*record.Offer, error) {
	return nil, nil
}

// Outcome records that a lead or deal was won or lost.
func (e *Engine) Outcome(ctx context.Context, o Outcome) (Reported, error) { return Reported{}, nil }

// Events takes a batch of events, all or none of them.
func (e *Engine) Events(ctx context.Context, batch []record.Event) (Ingested, error) {
	return Ingested{}, nil
}

// UpsertPartner writes a new version of a partner. ifVersion, if not nil, must
// be its current version (0: it must not exist), else the answer is
// Precondition.
func (e *Engine) UpsertPartner(ctx context.Context, p *record.Partner, ifVersion *uint64) (*PartnerView, error) {
	return nil, nil
}

// Partner returns one partner.
func (e *Engine) Partner(ctx context.Context, id record.PartnerID) (*PartnerView, error) {
	return nil, nil
}

// Partners returns up to limit partners with ids after the cursor.
func (e *Engine) Partners(ctx context.Context, after record.PartnerID, limit int) (*PartnerPage, error) {
	return nil, nil
}

// Health returns a partner's standing now.
func (e *Engine) Health(ctx context.Context, id record.PartnerID) (*record.Standing, error) {
	return nil, nil
}

// AtRisk returns standings by falling value at risk.
func (e *Engine) AtRisk(ctx context.Context, q AtRiskQuery) ([]record.Standing, error) {
	return nil, nil
}

// Models lists the registry.
func (e *Engine) Models(ctx context.Context) ([]ModelInfo, error) { return nil, nil }

// Promote makes a version current and answers with it from now on. A model this
// program cannot use is refused and the old one stays.
func (e *Engine) Promote(ctx context.Context, name, version string) (*ModelInfo, error) {
	return nil, nil
}

// Rollback goes back to the version that was current before.
func (e *Engine) Rollback(ctx context.Context, name string) (*ModelInfo, error) { return nil, nil }

// Replay decides again from the log as it was and compares; nil means the same
// to the last bit.
func (e *Engine) Replay(ctx context.Context, id record.DecisionID) error { return nil }

// Status tells the engine's condition without waiting.
func (e *Engine) Status() Status { return Status{} }

// Close refuses new calls, finishes those taken, writes a snapshot and stops
// every goroutine. It does not close the store.
func (e *Engine) Close() error { return nil }
