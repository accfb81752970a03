package serving

import (
	"context"
	"fmt"

	"bellwether/datasets/record"
	"bellwether/routing"
)

// Explain says why a decision is what it is, from the log as it was and the
// model that answered; where contrast names a partner, why that one was not
// chosen. It first makes sure that it can decide the same again, and is
// Incompatible where it cannot.
func (e *Engine) Explain(ctx context.Context, id record.DecisionID, contrast record.PartnerID) (*record.Explanation, error) {
	leave, err := e.enter()
	if err != nil {
		return nil, err
	}
	defer leave()
	was, err := e.Decision(ctx, id)
	if err != nil {
		return nil, err
	}
	p, err := e.pastOf(was.Decision)
	if err != nil {
		return nil, err
	}
	var out *record.Explanation
	err = e.hindsight.visit(ctx, e, &p, func(b *book) error {
		router, req := p.on(b)
		again, x, err := router.Explain(p.lead, b.state, req, contrast)
		if record.KindOf(err) == record.NotFound {
			return &record.Error{Kind: record.NotFound, Field: "contrast", Msg: fmt.Sprintf("there was no partner %q", shorten(string(contrast)))}
		}
		if err != nil {
			return err
		}
		if err := routing.Same(wordless(p.decision), wordless(again)); err != nil {
			return record.Errorf(record.Incompatible, "explain", "the decision cannot be made again as it was, so nothing can be said of why: %w", err)
		}
		out = x
		return nil
	})
	return out, err
}

// wordless is a decision without its texts and what was chosen to be shown: a
// newer program may say the same in other words.
func wordless(d *record.Decision) *record.Decision {
	bare := *d
	bare.Reasons, bare.Ranked = nil, nil
	return &bare
}

// hindsight makes the book as it was at past decisions. It makes one at a time,
// for a book takes memory and making it time, and keeps the last: who asks about
// a decision asks again, and a book that was given up half way goes on from
// there.
type hindsight struct {
	turn   chan struct{} // whoever could send on it may use what follows
	book   *book         // nil: none kept
	toward uint64        // the position it was made for
	asked  bool          // since the last call of forget
}

func newHindsight() hindsight { return hindsight{turn: make(chan struct{}, 1)} }

// visit calls f with the book a past decision was made on.
func (h *hindsight) visit(ctx context.Context, e *Engine, p *past, f func(b *book) error) error {
	select {
	case h.turn <- struct{}{}:
		defer func() { <-h.turn }()
	case <-ctx.Done():
		return record.Errorf(record.Unavailable, "explain", "others are being explained their decisions: %w", context.Cause(ctx))
	}
	d := p.decision
	h.asked = true
	if !h.leadsTo(p, e.cfg.SnapshotItems) {
		b, err := e.folder.fromSnapshot(p.win.set, p.policy, d.Position, d.At)
		if err != nil {
			return err
		}
		h.book = b
	}
	h.toward = d.Position
	if err := e.folder.catchUp(ctx, h.book, d.Position); err != nil {
		if ctx.Err() != nil {
			return record.Errorf(record.Unavailable, "explain", "the log up to the decision is long: ask again, what was read of it is kept: %w", context.Cause(ctx))
		}
		h.book = nil // what it holds is not known
		return err
	}
	return f(h.book)
}

// leadsTo reports whether the kept book can become the one of a decision, and
// need not fold more than one from a snapshot might.
func (h *hindsight) leadsTo(p *past, most uint64) bool {
	d, b := p.decision, h.book
	if b != nil && p.live && b.set != p.win.set {
		return false // the model would be made ready for another set than it answers live on
	}
	if b == nil || b.next > d.Position || b.last.After(d.At) || fingerprint(b.set, b.index.Policy()) != fingerprint(p.win.set, &p.policy) {
		return false
	}
	return h.toward == d.Position || d.Position-b.next <= most
}

// forget lets go of a book nobody has asked for since it was last called.
func (h *hindsight) forget() {
	select {
	case h.turn <- struct{}{}:
	default:
		return // in use
	}
	if !h.asked {
		h.book = nil
	}
	h.asked = false
	<-h.turn
}
