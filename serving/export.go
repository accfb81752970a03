package serving

import (
	"context"

	"bellwether/datasets/record"
	"bellwether/serving/store"
)

// Sink takes what Export gives. What it is given holds until it returns.
type Sink interface {
	Partner(*record.Partner) error
	Lead(*record.Lead) error
	Event(*record.Event) error
	Decision(*record.Decision) error
}

// Export gives every record of the log to a sink, in log order: each version of
// each partner and lead, events and decisions. It reads the log as it is on disk
// when it begins.
func Export(ctx context.Context, st *store.Store, to Sink) error {
	const checkEvery = 1 << 10
	return st.Scan(0, st.Head(), func(item store.Item) error {
		if item.Position%checkEvery == 0 {
			if err := ctx.Err(); err != nil {
				return err
			}
		}
		switch item.Kind {
		case store.Partner:
			p := new(record.Partner)
			if err := record.DecodePartner(item.Body, p); err != nil {
				return err
			}
			return to.Partner(p)
		case store.Lead:
			l := new(record.Lead)
			if err := record.DecodeLead(item.Body, l); err != nil {
				return err
			}
			return to.Lead(l)
		case store.Event, store.Past:
			e := new(record.Event)
			if err := record.DecodeEvent(item.Body, e); err != nil {
				return err
			}
			return to.Event(e)
		case store.Decision:
			d := new(record.Decision)
			if err := record.DecodeDecision(item.Body, d); err != nil {
				return err
			}
			return to.Decision(d)
		}
		return nil
	})
}

// Export is Export of the engine's store.
func (e *Engine) Export(ctx context.Context, to Sink) error { return Export(ctx, e.store, to) }
