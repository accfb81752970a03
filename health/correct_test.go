package health

import (
	"fmt"
	"hash/fnv"
	"maps"
	"math"
	"slices"
	"testing"
	"time"

	"bellwether/datasets/record"

	"pgregory.net/rapid"
)

// drawCorrected draws a log in the order known in which a third of the events
// correct another that became known in the correctDays before.
func drawCorrected(t *rapid.T) []*record.Event {
	kinds := []record.EventType{record.DealWon, record.DealWon, record.DealWon, record.DealLost, record.Touch, record.Touch, record.OrderPlaced, record.Survey,
		record.Applied, record.Onboarded, record.ContractLapsed, record.ContractRenewed, record.PortalLogin, record.TrainingView, record.Payout, record.PartnerMerged}
	word := func(name string, words ...string) string { return rapid.SampledFrom(words).Draw(t, name) }
	var log []*record.Event
	now := date("2025-01-01")
	for i := range rapid.IntRange(1, 40).Draw(t, "events") {
		now = now.Add(time.Duration(rapid.SampledFrom([]int{0, 1, 30, 30, 100, 700, 2400}).Draw(t, "later")) * time.Hour)
		e := &record.Event{ID: record.EventID(fmt.Sprint("e", i)), Type: rapid.SampledFrom(kinds).Draw(t, "kind"), KnownAt: now,
			At:      now.Add(-time.Duration(rapid.SampledFrom([]int{0, 0, 40, 400}).Draw(t, "late")) * time.Hour),
			Partner: record.PartnerID(word("partner", "p", "q", "r")), Deal: record.DealID(word("deal", "", "d1", "d2")),
			Amount:  record.Money{Amount: int64(100 * i), Currency: word("currency", "EUR", "USD")},
			Numbers: map[string]float64{"score": float64(i % 11)}, Products: []string{"a", "b", "a"}[:i%4]}
		if e.Type == record.PartnerMerged {
			e.Other = record.PartnerID(word("other", "p", "q", "r"))
		}
		var near []record.EventID
		for _, o := range log {
			if dayOf(now)-dayOf(o.KnownAt) <= correctDays {
				near = append(near, o.ID)
			}
		}
		if len(near) > 0 && rapid.IntRange(0, 2).Draw(t, "corrects") == 0 {
			e.Supersedes = rapid.SampledFrom(near).Draw(t, "which")
		}
		log = append(log, e)
	}
	return log
}

// stands returns the events of a log that stand as far as was known at a
// moment: what a later one corrects has never been. Mergers count from the
// beginning, and so do their corrections.
func stands(log []*record.Event, at time.Time) []*record.Event {
	corrected, ever := map[record.EventID]bool{}, map[record.EventID]bool{}
	for _, e := range log {
		ever[e.Supersedes] = true
		if !e.KnownAt.After(at) {
			corrected[e.Supersedes] = true
		}
	}
	var out []*record.Event
	for _, e := range log {
		if merger := e.Type == record.PartnerMerged; merger && !ever[e.ID] || !merger && !e.KnownAt.After(at) && !corrected[e.ID] {
			plain := *e
			plain.Supersedes = ""
			out = append(out, &plain)
		}
	}
	return out
}

var afterAll = date("2100-01-01")

func TestTheBookAfterCorrections(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		log := drawCorrected(t)
		got, want := NewBook(Config{}, euros), NewBook(Config{}, euros)
		for _, e := range log {
			got.Observe(e)
		}
		for _, e := range stands(log, afterAll) {
			want.Observe(e)
		}
		if got.currency() != want.currency() {
			t.Fatalf("most amounts are in %q, want %q", got.currency(), want.currency())
		}
		at := log[len(log)-1].KnownAt.Truncate(24*time.Hour).AddDate(0, 0, rapid.SampledFrom([]int{0, 1, 30, 500}).Draw(t, "days on"))
		for _, id := range []record.PartnerID{"p", "q", "r"} {
			same := func(a, b float64) bool { return a == b || math.IsNaN(a) && math.IsNaN(b) }
			if g, w := got.kpis(id, at), want.kpis(id, at); !maps.EqualFunc(g, w, same) {
				t.Fatalf("KPIs of %s are %v, want %v", id, g, w)
			}
			if g, w := got.Activity(id, at), want.Activity(id, at); !slices.Equal(g, w) {
				t.Fatalf("activity of %s is %v, want %v", id, g, w)
			}
		}
	})
}

func TestLabelsAfterCorrections(t *testing.T) {
	labels := func(cfg Config, log []*record.Event) *Labels {
		l := NewLabels(cfg)
		for _, e := range log {
			l.Observe(e)
		}
		return l
	}
	rapid.Check(t, func(t *rapid.T) {
		cfg := Config{HorizonDays: rapid.IntRange(1, 60).Draw(t, "horizon"), ActiveDays: rapid.IntRange(1, 60).Draw(t, "active")}
		log := drawCorrected(t)
		at := log[rapid.IntRange(0, len(log)-1).Draw(t, "as of")].KnownAt.Truncate(24*time.Hour).AddDate(0, 0, rapid.SampledFrom([]int{0, 1, 20}).Draw(t, "days on"))
		end := at.AddDate(0, 0, cfg.HorizonDays)
		got, then, later, all := labels(cfg, log), labels(cfg, stands(log, at)), labels(cfg, stands(log, end)), labels(cfg, stands(log, afterAll))
		if g, w := got.Complete(), all.Complete(); !g.Equal(w) {
			t.Fatalf("complete to %s, want %s", g, w)
		}
		for _, id := range []record.PartnerID{"p", "q", "r"} {
			if g, w := got.Active(id, at), then.Active(id, at); g != w {
				t.Fatalf("%s active: %t, want %t", id, g, w)
			}
			gh, gok := got.Habit(id, at)
			wh, wok := then.Habit(id, at)
			if gh != wh || gok != wok {
				t.Fatalf("habit of %s: %v %t, want %v %t", id, gh, gok, wh, wok)
			}
			gy, gknown, gcounts := got.Churn(id, at)
			wy, wknown, wcounts := churnOf(then, later, all, id, at, end)
			if gy != wy || gknown != wknown || gcounts != wcounts {
				t.Fatalf("label of %s: %v %d %t, want %v %d %t", id, gy, gknown, gcounts, wy, wknown, wcounts)
			}
		}
	})
}

// churnOf puts the label together of what stood at the row, at the horizon's end
// and at the data's.
func churnOf(then, later, all *Labels, id record.PartnerID, at, end time.Time) (y float64, known int64, counts bool) {
	if p := then.partners[id]; p == nil || !then.Active(id, at) || p.goneAt(at.Unix()) {
		return 0, Unknown, false
	}
	if m := all.past(id).merged; m != 0 && m < end.Unix() {
		return 0, Unknown, false
	}
	p := later.past(id)
	for _, t := range p.turns {
		if t.gone && t.at >= at.Unix() && t.at < end.Unix() {
			return 1, t.known, true
		}
	}
	switch {
	case all.Complete().Before(end):
		return 0, Unknown, true
	case p.activeWithin(dayOf(at), dayOf(end), end.Unix()):
		return 0, end.Unix(), true
	}
	return 1, end.Unix(), true
}

func TestLabelsForgetRepeats(t *testing.T) {
	l, day := NewLabels(Config{}), date("2000-01-01")
	for i := range 6000 {
		for k := range 3 {
			l.Observe(&record.Event{ID: record.EventID(fmt.Sprint(i, " ", k)), Type: record.OrderPlaced, Partner: "p", At: day.Add(time.Duration(k) * time.Hour)})
		}
		day = day.AddDate(0, 0, 1)
	}
	if n := len(l.partners["p"].days); n > 6000+3*2*settledDays {
		t.Errorf("6,000 days of three orders are held as %d", n)
	}
}

func TestKeysStayThoseOfSnapshots(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		id := rapid.StringN(1, 40, -1).Draw(t, "id")
		h := fnv.New64a()
		h.Write([]byte(id))
		if got := key(record.EventID(id)); got != h.Sum64() {
			t.Fatalf("key of %q is %x, FNV-1a says %x", id, got, h.Sum64())
		}
	})
}
