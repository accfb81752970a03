package serving

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"strings"
	"sync"
	"testing"
	"time"

	"bellwether/datasets/record"
	"bellwether/features"
	"bellwether/models"
	"bellwether/models/calibrate"
	"bellwether/models/gbdt"
	"bellwether/models/trial"
	"bellwether/serving/store"
)

// treesOn fits trees to made-up rows in which the hours to answer tell.
func treesOn(t *testing.T, columns []models.Column) []byte {
	t.Helper()
	rng := rand.New(rand.NewPCG(1, 1))
	const n = 2000
	table := &models.Table{Columns: columns, X: make([][]float64, len(columns)), Y: make([]float64, n)}
	for j := range table.X {
		table.X[j] = make([]float64, n)
		for i := range table.X[j] {
			switch columns[j].Name {
			case "partner_response_hours":
				table.X[j][i] = 72 * rng.Float64()
				if rng.Float64() > table.X[j][i]/72 {
					table.Y[i] = 1
				}
			}
		}
	}
	model, err := gbdt.Learner{Trees: 20, Leaves: 4, EarlyStop: -1, Targets: gbdt.Targets{Pairs: -1}}.Fit(ctx, table, nil, 1)
	if err != nil {
		t.Fatal(err)
	}
	c, err := calibrate.Fit(calibrate.Identity, []float64{0.1, 0.9}, []float64{0, 1}, nil)
	if err != nil {
		t.Fatal(err)
	}
	b, err := (&trial.Predictor{Columns: columns, Learner: "gbdt", Model: model, Calibrator: c}).MarshalBinary()
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// answered makes partners known for how fast they answer: p0 in a day and a half, p1 in
// two and a half.
func answered(b *bench) {
	b.t.Helper()
	at := b.clock.now().UTC().Add(-20 * 24 * time.Hour)
	for i, hours := range []int{36, 60} {
		p := record.PartnerID(fmt.Sprintf("p%d", i))
		made := record.Event{ID: record.EventID("made-" + p), Type: record.OfferMade, Partner: p, Lead: record.LeadID("old-" + p), At: at}
		yes := made
		yes.ID, yes.Type, yes.At = record.EventID("yes-"+p), record.OfferAccepted, at.Add(time.Duration(hours)*time.Hour)
		if _, err := b.Events(ctx, []record.Event{made, yes}); err != nil {
			b.t.Fatal(err)
		}
	}
}

// An explanation is of the time of the decision and from the model that
// answered, whatever came later.
func TestExplainIsOfTheTime(t *testing.T) {
	b := newBench(t, nil)
	answered(b)
	columns := features.NewSet(features.Schema{}, features.Options{}).Columns()
	v := publish(t, b.dir, winName, features.Schema{}, 1, func(files map[string][]byte) {
		files[winFile] = treesOn(t, columns)
		delete(files, acceptFile)
	})
	if _, err := b.Promote(ctx, winName, number(v)); err != nil {
		t.Fatal(err)
	}
	b.clock.pass(time.Hour)
	no := false
	r, err := b.Route(ctx, lead("x"), RouteOptions{Explore: &no})
	if err != nil || r.Decision.Chosen == "p1" {
		t.Fatalf("chosen %v, %v", r.Decision, err)
	}
	before, err := b.Explain(ctx, r.Decision.ID, "p1")
	if err != nil {
		t.Fatal(err)
	}
	if x := before.Contrast; len(x.Differences) == 0 || !strings.Contains(x.Differences[0].Text, "answers offers in 60 hours on average") || len(x.Changes) == 0 || before.Model != r.Decision.Model {
		t.Errorf("p1 is told %+v", before)
	}

	// Everything moves: time, a partner's record, events, the model, the process.
	trade(b, 0, 20)
	p := partner(1, 2)
	p.Status = []record.StatusSpan{{Status: "suspended"}}
	b.put(p)
	if _, err := b.Promote(ctx, winName, number(publish(t, b.dir, winName, withColour, 2, nil))); err != nil {
		t.Fatal(err)
	}
	b.restart()
	trade(b, 20, 30)
	after, err := b.Explain(ctx, r.Decision.ID, "p1")
	if err != nil {
		t.Fatal(err)
	}
	if fmt.Sprintf("%+v", *after.Contrast) != fmt.Sprintf("%+v", *before.Contrast) || after.Sentence != before.Sentence {
		t.Errorf("then %+v\nnow %+v", before, after)
	}
	later := b.route("y")
	why, err := b.Explain(ctx, later.Decision.ID, "p1")
	if err != nil || why.Contrast.Rule != "status" || why.Contrast.Reason != "is suspended, not active" {
		t.Errorf("the suspended one is told %+v, %v", why, err)
	}
}

func TestExplainEveryDecision(t *testing.T) {
	b := newBench(t, nil)
	ids := trade(b, 0, 30)
	for i := range ids {
		id := ids[(7*i)%len(ids)] // back and forth in time
		r, err := b.Decision(ctx, id)
		if err != nil {
			t.Fatal(err)
		}
		for _, contrast := range []record.PartnerID{"", "p0", "p3"} {
			x, err := b.Explain(ctx, id, contrast)
			if err != nil {
				t.Fatalf("%s: %v", id, err)
			}
			if x.Decision != id || x.Chosen != r.Decision.Chosen || x.Sentence == "" || contrast == "" && r.Decision.Chosen != "" && len(x.Partners) != len(r.Decision.Ranked) {
				t.Fatalf("%s and %q: %+v", id, contrast, x)
			}
		}
	}
	if _, err := b.Explain(ctx, ids[0], "nobody"); record.KindOf(err) != record.NotFound {
		t.Errorf("an unknown partner: %v", err)
	}
	if _, err := b.Explain(ctx, "none", ""); record.KindOf(err) != record.NotFound {
		t.Errorf("an unknown decision: %v", err)
	}
}

func TestExplainSaysWhatCannotBeMadeAgain(t *testing.T) {
	b := newBench(t, nil)
	trade(b, 0, 5)
	forged := *b.route("x").Decision
	forged.ID, forged.Fingerprint = "forged", forged.Fingerprint+1
	if err := b.writeAndWait(ctx, func(_ time.Time, batch *store.Batch) error {
		batch.PutPosition(store.DecisionKey(forged.ID), batch.Append(store.Decision, func(dst []byte) []byte { return record.AppendDecision(dst, &forged) }))
		return nil
	}); err != nil {
		t.Fatal(err)
	}
	_, err := b.Explain(ctx, "forged", "")
	if record.KindOf(err) != record.Incompatible || !strings.Contains(err.Error(), "fingerprint") {
		t.Errorf("got %v", err)
	}
}

// What was folded before the caller's time was over is not folded again, and a
// book nobody asks for is let go.
func TestHindsightGoesOn(t *testing.T) {
	b := newBench(t, nil)
	ids := trade(b, 0, 10)
	gone, cancel := context.WithCancel(ctx)
	cancel()
	for range 100 { // a free turn and a caller that is gone: either may win
		if _, err := b.Explain(gone, ids[5], ""); !errors.Is(err, context.Canceled) {
			t.Fatalf("of a caller that is gone: %v", err)
		}
	}
	kept := b.hindsight.book
	if kept == nil {
		t.Fatal("nothing was kept")
	}
	for _, id := range []record.DecisionID{ids[5], ids[5], ids[8]} {
		if _, err := b.Explain(ctx, id, ""); err != nil || b.hindsight.book != kept {
			t.Fatalf("%v; the book was made anew: %v", err, b.hindsight.book != kept)
		}
	}
	if _, err := b.Explain(ctx, ids[2], ""); err != nil || b.hindsight.book == kept {
		t.Fatalf("%v; the book went back in time", err)
	}
	b.hindsight.forget()
	if b.hindsight.book == nil {
		t.Error("forgotten though it was just asked for")
	}
	b.hindsight.forget()
	if b.hindsight.book != nil {
		t.Error("never forgotten")
	}
}

// A model that answers live is only ever made ready for the live book's set.
func TestHindsightLeavesTheLiveModelAlone(t *testing.T) {
	b := newBench(t, nil)
	var ids []record.DecisionID
	for seed := range uint64(2) {
		if _, err := b.Promote(ctx, winName, number(publish(t, b.dir, winName, features.Schema{}, seed+1, nil))); err != nil {
			t.Fatal(err)
		}
		ids = append(ids, trade(b, int(4*seed), int(4*seed+4))[0])
	}
	b.restart()
	for _, id := range ids {
		if _, err := b.Explain(ctx, id, ""); err != nil {
			t.Fatal(err)
		}
	}
	if b.hindsight.book.set != b.book.set {
		t.Error("the decision of the model in force was explained on another set")
	}
}

// Explaining, routing and forgetting go on beside each other.
func TestExplainBesideRouting(t *testing.T) {
	b := newBench(t, nil)
	ids := trade(b, 0, 12)
	var wg sync.WaitGroup
	for i := range 3 {
		wg.Go(func() {
			for k := range 8 {
				if _, err := b.Explain(ctx, ids[(3*i+k)%len(ids)], "p1"); err != nil {
					t.Error(err)
				}
				b.hindsight.forget()
			}
		})
	}
	for i := range 20 {
		b.route(fmt.Sprint("beside", i))
	}
	wg.Wait()
}
