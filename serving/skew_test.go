package serving

import (
	"testing"
	"time"

	"bellwether/datasets/record"
)

// A lead cannot come of the future. A caller whose clock is a little ahead of
// ours is taken to mean now.
func TestLeadOfTheFuture(t *testing.T) {
	b := newBench(t, nil)
	now := b.clock.now().UTC()
	far, near := lead("far"), lead("near")
	far.CreatedAt, near.CreatedAt = now.Add(6*time.Minute), now.Add(4*time.Minute)
	_, err := b.Route(ctx, far, RouteOptions{})
	want(t, err, record.Invalid, "created_at: 2026-03-02T09:06:00Z is in the future: it is 2026-03-02T09:00:00Z here, and 5m0s ahead are allowed")
	_, err = b.Preview(ctx, far, RouteOptions{})
	want(t, err, record.Invalid, "created_at: 2026-03-02T09:06:00Z is in the future")

	r, err := b.Route(ctx, near, RouteOptions{IdempotencyKey: "k"})
	if err != nil {
		t.Fatal(err)
	}
	kept, err := b.lead("near")
	if err != nil || !kept.CreatedAt.Equal(now) || !near.CreatedAt.Equal(now.Add(4*time.Minute)) {
		t.Errorf("the lead is kept as made at %s, the caller's is of %s, %v: want %s and its own", kept.CreatedAt, near.CreatedAt, err, now)
	}
	if again, err := b.Route(ctx, near, RouteOptions{IdempotencyKey: "k"}); err != nil || again.Decision.ID != r.Decision.ID {
		t.Errorf("the same request again: %+v, %v", again, err)
	}
	if err := b.Replay(ctx, r.Decision.ID); err != nil {
		t.Errorf("replay: %v", err)
	}
}

// What comes of a lead comes after its decision, whichever way it is told.
func TestOutcomeBeforeItsDecision(t *testing.T) {
	b := newBench(t, nil)
	r := b.route("l1")
	early, nearly := r.Decision.At.Add(-6*time.Minute), r.Decision.At.Add(-4*time.Minute)
	_, err := b.Outcome(ctx, Outcome{Decision: r.Decision.ID, Won: true, At: early})
	want(t, err, record.Invalid, "at: 2026-03-02T08:54:00Z is before its decision")
	before := b.Status().Position
	for _, ev := range []record.Event{
		{ID: "w", Type: record.DealWon, At: early, Partner: r.Decision.Chosen, Lead: "l1"},
		{ID: "w", Type: record.DealWon, At: early, Partner: r.Decision.Chosen, Decision: r.Decision.ID},
	} {
		_, err := b.Events(ctx, []record.Event{ev})
		want(t, err, record.Invalid, "events[0].at: 2026-03-02T08:54:00Z is before its decision")
	}
	if b.Status().Position != before {
		t.Error("a refused outcome was written")
	}
	// Business that nobody was offered here is history.
	old := record.Event{ID: "old", Type: record.DealWon, At: early.AddDate(-1, 0, 0), Partner: "p1", Lead: "elsewhere"}
	if _, err := b.Events(ctx, []record.Event{old}); err != nil {
		t.Error(err)
	}

	for range 2 {
		if _, err = b.Outcome(ctx, Outcome{ID: "o1", Decision: r.Decision.ID, Won: true, At: nearly}); err != nil {
			t.Fatalf("from a clock a little behind ours: %v", err)
		}
	}
	if ev, err := b.event("o1"); err != nil || !ev.At.Equal(nearly) {
		t.Errorf("recorded as of %v, %v", ev.At, err)
	}
	b.clock.pass(24 * time.Hour)
	_, err = b.Outcome(ctx, Outcome{Decision: r.Decision.ID, Reason: "price", At: early, Supersedes: "o1"})
	want(t, err, record.Invalid, "is before its decision")
	if _, err = b.Outcome(ctx, Outcome{Decision: r.Decision.ID, Reason: "price", At: nearly.Add(time.Hour), Supersedes: "o1"}); err != nil {
		t.Errorf("a correction: %v", err)
	}
}
