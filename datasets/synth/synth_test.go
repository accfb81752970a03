package synth

import (
	"context"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"bellwether/datasets/record"

	"pgregory.net/rapid"
)

// tape keeps what a small world says and checks each record and its order.
type tape struct {
	partners  []record.Partner
	leads     []record.Lead
	events    []record.Event
	decisions []record.Decision
	words     strings.Builder // every record as JSON, where wanted
	spell     bool
}

func (t *tape) note(x any) {
	if t.spell {
		b, _ := json.Marshal(x)
		t.words.Write(b)
	}
}

func (t *tape) Partner(p *record.Partner) error {
	t.note(p)
	t.partners = append(t.partners, *p)
	return p.Validate()
}

func (t *tape) Lead(l *record.Lead) error {
	t.note(l)
	t.leads = append(t.leads, *l)
	return l.Validate()
}

func (t *tape) Event(e *record.Event) error {
	t.note(e)
	t.events = append(t.events, *e)
	return e.Validate()
}

func (t *tape) Decision(d *record.Decision) error {
	t.note(d)
	t.decisions = append(t.decisions, *d)
	return nil
}

// usual is a world of nearly the usual size that several tests look at.
var usual = sync.OnceValues(func() (*World, *tape) {
	w, rec := New(Config{Leads: 16_000, Seed: 7}), &tape{}
	if err := w.Generate(context.Background(), rec); err != nil {
		panic(err)
	}
	return w, rec
})

func (t *tape) leadByID() map[record.LeadID]*record.Lead {
	m := map[record.LeadID]*record.Lead{}
	for i := range t.leads {
		m[t.leads[i].ID] = &t.leads[i]
	}
	return m
}

// once returns the events without repeats.
func (t *tape) once() []record.Event {
	return slices.CompactFunc(slices.Clone(t.events), func(a, b record.Event) bool { return a.ID == b.ID })
}

func TestSameSeedSameBytes(t *testing.T) {
	cfg := Config{Partners: 20, Leads: 400, Days: 120, Seed: 3}
	sum := func(w *World) [32]byte {
		rec := &tape{spell: true}
		if err := w.Generate(context.Background(), rec); err != nil {
			t.Fatal(err)
		}
		truth, _ := json.Marshal(w.Truths())
		return sha256.Sum256([]byte(rec.words.String() + string(truth)))
	}
	w := New(cfg)
	first := sum(w)
	if sum(w) != first {
		t.Error("a second Generate of the same world differs")
	}
	if sum(New(cfg)) != first {
		t.Error("a second world of the same seed differs")
	}
	cfg.Seed = 4
	if sum(New(cfg)) == first {
		t.Error("another seed gives the same world")
	}
}

// TestInvariants holds for worlds of any shape: records are valid and in order,
// offers answered once by whom they were made to, nobody offered a lead twice,
// nobody over capacity.
func TestInvariants(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		cfg := Config{Partners: rapid.IntRange(1, 25).Draw(t, "partners"), Leads: rapid.IntRange(1, 200).Draw(t, "leads"),
			Days: rapid.IntRange(1, 120).Draw(t, "days"), Seed: rapid.Uint64().Draw(t, "seed")}
		w, rec := New(cfg), &tape{}
		if err := w.Generate(context.Background(), rec); err != nil {
			t.Fatal(err)
		}
		if len(rec.leads) != cfg.Leads {
			t.Fatalf("%d leads, %d wanted", len(rec.leads), cfg.Leads)
		}
		checkOrder(t, w, rec)
		checkOffers(t, rec)
	})
}

type failer interface {
	Fatalf(format string, args ...any)
}

func checkOrder(t failer, w *World, rec *tape) {
	ordered := func(what string, n int, at func(int) time.Time) {
		last := w.Start()
		for i := range n {
			if at(i).Before(last) || !at(i).Before(w.End()) {
				t.Fatalf("%s %d is of %s, after one of %s", what, i, at(i), last)
			}
			last = at(i)
		}
	}
	ordered("event", len(rec.events), func(i int) time.Time { return rec.events[i].Known() })
	ordered("lead", len(rec.leads), func(i int) time.Time { return rec.leads[i].CreatedAt })
	ordered("partner", len(rec.partners), func(i int) time.Time { return rec.partners[i].KnownAt })
	ordered("decision", len(rec.decisions), func(i int) time.Time { return rec.decisions[i].At })
	versions := map[string]bool{}
	for _, p := range rec.partners {
		at := fmt.Sprint(p.ID, p.KnownAt)
		if versions[at] {
			t.Fatalf("two versions of a partner at one moment: %s", at)
		}
		versions[at] = true
	}
	seen := map[record.EventID]bool{}
	for i, e := range rec.events {
		if repeat := i > 0 && rec.events[i-1].ID == e.ID; seen[e.ID] && !repeat {
			t.Fatalf("id %s is used twice", e.ID)
		}
		seen[e.ID] = true
	}
}

func checkOffers(t failer, rec *tape) {
	units := map[record.PartnerID]int{}
	for _, p := range rec.partners {
		units[p.ID] = p.Capacity.Units
	}
	type weekly struct {
		partner record.PartnerID
		week    int64
	}
	used := map[weekly]int{}
	open := map[record.LeadID]record.OfferID{}
	tried := map[record.LeadID][]record.PartnerID{}
	for _, e := range rec.once() {
		switch e.Type {
		case record.OfferMade:
			k := weekly{e.Partner, (e.At.Unix() - 4*day) / week}
			if used[k]++; used[k] > units[e.Partner] {
				t.Fatalf("%s has %d offers in a week, capacity %d", e.Partner, used[k], units[e.Partner])
			}
			if open[e.Lead] != "" || slices.Contains(tried[e.Lead], e.Partner) {
				t.Fatalf("%s offered to %s: open with %s, tried %v", e.Lead, e.Partner, open[e.Lead], tried[e.Lead])
			}
			open[e.Lead], tried[e.Lead] = e.Offer, append(tried[e.Lead], e.Partner)
		case record.OfferDeclined, record.OfferExpired, record.OfferWithdrawn:
			if open[e.Lead] != e.Offer {
				t.Fatalf("%s of %s ends an offer that is not open", e.Type, e.Lead)
			}
			open[e.Lead] = ""
		case record.OfferAccepted, record.DealWon, record.DealLost:
			if e.Lead != "" && open[e.Lead] != e.Offer {
				t.Fatalf("%s of %s: its offer %s is not open", e.Type, e.Lead, e.Offer)
			}
		}
	}
}

// outcomes returns, for each accepted and decided lead, the truth as of its
// offer and what came of it.
func outcomes(w *World, rec *tape) (p, y []float64) {
	leads, made := rec.leadByID(), map[record.OfferID]time.Time{}
	for _, e := range rec.once() {
		switch e.Type {
		case record.OfferMade:
			made[e.Offer] = e.At
		case record.DealWon, record.DealLost:
			if e.Lead == "" {
				continue
			}
			p = append(p, w.Win(leads[e.Lead], e.Partner, made[e.Offer]))
			won := 0.0
			if e.Type == record.DealWon {
				won = 1
			}
			y = append(y, won)
		}
	}
	return p, y
}

func TestSignal(t *testing.T) {
	w, rec := usual()
	p, y := outcomes(w, rec)
	if base := mean(y); base < 0.25 || base > 0.36 {
		t.Errorf("%.3f of accepted leads are won, 0.25 - 0.36 wanted", base)
	}
	if a := auc(p, y); a < 0.79 || a > 0.86 {
		t.Errorf("the truth itself has AUC %.3f, 0.79 - 0.86 wanted", a)
	}
	calibrated(t, "Win", p, y)
	var spread []float64
	for _, d := range rec.decisions[:2000] {
		if len(d.Candidates) < 5 {
			continue
		}
		l := w.lead(number(string(d.Lead), "L", int64(w.cfg.Leads)))
		var logits []float64
		for _, c := range d.Candidates {
			x := w.Win(l, c.Partner, d.At)
			logits = append(logits, math.Log(x/(1-x)))
		}
		spread = append(spread, sd(logits))
	}
	if s := mean(spread); s < 0.9 || s > 1.5 {
		t.Errorf("the eligible partners of a lead differ by %.2f log odds, 0.9 - 1.5 wanted", s)
	}
}

func TestAcceptIsTrue(t *testing.T) {
	w, rec := usual()
	leads, offers := rec.leadByID(), map[record.OfferID]float64{}
	var p, y []float64
	for _, e := range rec.once() {
		switch e.Type {
		case record.OfferMade:
			offers[e.Offer] = w.Accept(leads[e.Lead], e.Partner, e.At)
		case record.OfferAccepted:
			p, y = append(p, offers[e.Offer]), append(y, 1)
		case record.OfferDeclined, record.OfferExpired:
			p, y = append(p, offers[e.Offer]), append(y, 0)
		}
	}
	if a := mean(y); a < 0.6 || a > 0.8 {
		t.Errorf("%.3f of offers are accepted, 0.6 - 0.8 wanted", a)
	}
	calibrated(t, "Accept", p, y)
}

// calibrated compares tenths of predictions with what came, at four standard
// errors.
func calibrated(t *testing.T, what string, p, y []float64) {
	t.Helper()
	order := make([]int, len(p))
	for i := range order {
		order[i] = i
	}
	slices.SortFunc(order, func(a, b int) int { return cmpFloat(p[a], p[b]) })
	for tenth := range 10 {
		var said, came, variance float64
		for _, i := range order[tenth*len(p)/10 : (tenth+1)*len(p)/10] {
			said += p[i]
			came += y[i]
			variance += p[i] * (1 - p[i])
		}
		if math.Abs(said-came) > 4*math.Sqrt(variance)+2 {
			t.Errorf("%s, tenth %d: said %.1f, came %.0f", what, tenth, said, came)
		}
	}
}

func TestPropensities(t *testing.T) {
	_, rec := usual()
	full, last, expected, variance, empty := 0, 0.0, 0.0, 0.0, 0
	for _, d := range rec.decisions {
		if d.Chosen == "" {
			empty++
			continue
		}
		if len(d.Candidates) == 1 {
			continue
		}
		full++
		sum := 0.0
		for _, c := range d.Candidates {
			sum += c.Prob
			if c.Partner == d.Chosen && c.Prob != d.Propensity {
				t.Fatalf("decision %s: chosen with %v, propensity %v", d.ID, c.Prob, d.Propensity)
			}
			if c.Prob <= 0 {
				t.Fatalf("decision %s: %s has no chance", d.ID, c.Partner)
			}
		}
		if math.Abs(sum-1) > 1e-9 {
			t.Fatalf("decision %s: probabilities sum to %v", d.ID, sum)
		}
		c := d.Candidates[len(d.Candidates)-1]
		expected += c.Prob
		variance += c.Prob * (1 - c.Prob)
		if c.Partner == d.Chosen {
			last++
		}
	}
	if full < 10_000 || math.Abs(last-expected) > 4*math.Sqrt(variance) {
		t.Errorf("of %d choices the last candidate got %.0f, its propensities sum to %.1f ± %.1f", full, last, expected, math.Sqrt(variance))
	}
	if share := float64(empty) / float64(len(rec.decisions)); share > 0.05 {
		t.Errorf("%.3f of decisions found nobody", share)
	}
}

func TestLeaversFade(t *testing.T) {
	w, rec := usual()
	type count struct{ portalFar, portalNear, bad, messages float64 }
	var sum count
	leavers := 0
	left := map[record.PartnerID]time.Time{}
	for _, id := range w.Partners() {
		p := w.find(id)
		if at, ok := w.Left(id); ok {
			left[id] = at
			if p.joined < at.AddDate(0, 0, -230).Unix() && w.Start().Before(at.AddDate(0, 0, -230)) {
				leavers++
			}
		}
	}
	if n := len(left); n < 30 || n > 80 {
		t.Errorf("%d of 200 partners leave, 30 - 80 wanted", n)
	}
	quiet := []record.EventType{record.PortalLogin, record.PortalDownload, record.TrainingView, record.OrderPlaced, record.DealRegistered,
		record.OfferAccepted, record.Message, record.Survey}
	for _, e := range rec.once() {
		at, ok := left[e.Partner]
		if !ok {
			continue
		}
		before := at.Sub(e.At)
		if before <= 0 && slices.Contains(quiet, e.Type) {
			t.Fatalf("%s left on %s, yet %s on %s", e.Partner, at, e.Type, e.At)
		}
		near, far := before < 56*24*time.Hour, before > 174*24*time.Hour && before < 230*24*time.Hour
		switch {
		case e.Type == record.PortalLogin && near:
			sum.portalNear++
		case e.Type == record.PortalLogin && far:
			sum.portalFar++
		case e.Type == record.Message && near:
			sum.messages++
			if slices.ContainsFunc(messageTexts[0], func(s string) bool { return strings.HasPrefix(e.Text, strings.Split(s, "{p}")[0]) }) {
				sum.bad++
			}
		}
	}
	if leavers < 10 || sum.portalNear > 0.6*sum.portalFar {
		t.Errorf("%d leavers: %.0f visits in their last 8 weeks, %.0f in 8 weeks half a year before", leavers, sum.portalNear, sum.portalFar)
	}
	if sum.bad < 0.4*sum.messages {
		t.Errorf("of %.0f last messages %.0f are unhappy", sum.messages, sum.bad)
	}
}

func TestLateRepeatedMissing(t *testing.T) {
	_, rec := usual()
	portal, late, latest := 0.0, 0.0, time.Duration(0)
	events := rec.once()
	for _, e := range events {
		if e.Type == record.PortalLogin {
			portal++
			if e.KnownAt != e.At {
				late++
				latest = max(latest, e.KnownAt.Sub(e.At))
				if e.KnownAt.Sub(e.At) < 24*time.Hour {
					t.Fatalf("late by %s only", e.KnownAt.Sub(e.At))
				}
			}
		}
	}
	within(t, "late", late/portal, 0.04, 0.004)
	if latest > 12*24*time.Hour {
		t.Errorf("latest by %s, 12 days allowed", latest)
	}
	within(t, "repeated", float64(len(rec.events)-len(events))/float64(len(events)), 0.01, 0.001)
	gone := 0.0
	for _, l := range rec.leads {
		if l.Industry == "" {
			gone++
		}
	}
	within(t, "without industry", gone/float64(len(rec.leads)), 0.06, 0.006)
}

func within(t *testing.T, what string, got, want, tolerance float64) {
	t.Helper()
	if math.Abs(got-want) > tolerance {
		t.Errorf("%s: %.4f, %.4f ± %.4f wanted", what, got, want, tolerance)
	}
}

// TestMemoryIsBounded lets the same days go on for three times as long: what is
// pending at one time must not grow with them.
func TestMemoryIsBounded(t *testing.T) {
	peak := func(times int) int {
		w := New(Config{Partners: 30, Days: 250 * times, Leads: 3000 * times, DriftDay: -1})
		if err := w.Generate(context.Background(), &tape{}); err != nil {
			t.Fatal(err)
		}
		return w.peak
	}
	short, long := peak(1), peak(3)
	if float64(long) > 1.3*float64(short) {
		t.Errorf("%d things pending in a short world, %d in one three times as long", short, long)
	}
}

func TestEventsTarget(t *testing.T) {
	rec := &tape{}
	if err := New(Config{Partners: 30, Leads: 1000, Days: 200, Events: 60_000}).Generate(context.Background(), rec); err != nil {
		t.Fatal(err)
	}
	within(t, "events", float64(len(rec.events)), 60_000, 1200)
}

// TestRecordsCarryNoTruth: every number an event may carry is named here, and
// no record speaks of what only the world knows. Decisions, which no feature
// reads, hold the propensities.
func TestRecordsCarryNoTruth(t *testing.T) {
	w, rec := usual()
	allowed := map[record.EventType]string{record.Survey: "score", record.SupportCase: "severity", record.AccountOverlap: "count"}
	for _, e := range rec.events {
		for name := range e.Numbers {
			if allowed[e.Type] != name {
				t.Fatalf("%s carries the number %q", e.Type, name)
			}
		}
	}
	truths := map[string]bool{}
	for _, x := range w.Truths() {
		for _, v := range []float64{x.General, x.Favour, x.Drift} {
			b, _ := json.Marshal(v)
			truths[string(b)] = v != 0
		}
	}
	for _, p := range rec.partners {
		for name, v := range p.Attributes {
			if truths[v.String()] {
				t.Errorf("attribute %s of %s is a hidden number", name, p.ID)
			}
		}
	}
}

func TestDrift(t *testing.T) {
	w := New(Config{Partners: 60, Leads: 100, Days: 300})
	before, after := w.Drift().Add(-time.Hour), w.Drift().Add(time.Hour)
	moved := 0
	for _, id := range w.Partners() {
		l := w.lead(5)
		a, b := w.Win(l, id, before), w.Win(l, id, after)
		if math.Abs(a-b) > 0.02 {
			moved++
		}
		if math.Abs(w.Win(l, id, before.Add(-time.Hour))-a) > 0.001 {
			t.Errorf("%s moves on another day than that of the drift", id)
		}
	}
	if moved < 20 {
		t.Errorf("the drift moves %d of 60 partners", moved)
	}
	if still := New(Config{DriftDay: -1, Partners: 5, Leads: 5, Days: 50}); !still.Drift().IsZero() {
		t.Error("a world without drift names a day")
	}
}

func TestWinReadsTheLead(t *testing.T) {
	w := New(Config{Partners: 50, Leads: 500, Days: 100, Missing: 0.9})
	at, id := w.Start().AddDate(0, 0, 50), w.Partners()[3]
	n := int64(42)
	f := w.leadFacts(n)
	if got, want := w.Win(w.lead(n), id, at), logistic(w.winLogit(&f, &w.partners[3], at.Unix())); got != want {
		t.Errorf("with fields missing: %v, the truth is %v", got, want)
	}
	stranger := &record.Lead{ID: "new", Industry: "finance", Products: []string{"backup"}}
	richer := *stranger
	richer.Source = "referral"
	if a, b := w.Win(stranger, id, at), w.Win(&richer, id, at); a <= 0 || a >= 1 || b <= a {
		t.Errorf("a lead from outside: %v, by referral %v", a, b)
	}
	if w.Win(stranger, "P99999", at) != 0 || w.Win(stranger, "P3", at) != 0 {
		t.Error("an unknown partner wins")
	}
}

var errFull = errors.New("full")

type fullSink struct{ tape }

func (*fullSink) Lead(*record.Lead) error { return errFull }

func TestGenerateStops(t *testing.T) {
	cfg := Config{Partners: 5, Leads: 50, Days: 50}
	if err := New(cfg).Generate(context.Background(), &fullSink{}); !errors.Is(err, errFull) {
		t.Errorf("a full sink: %v", err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	if err := New(cfg).Generate(ctx, &tape{}); !errors.Is(err, context.Canceled) {
		t.Errorf("cancelled: %v", err)
	}
}

func mean(x []float64) float64 {
	s := 0.0
	for _, v := range x {
		s += v
	}
	return s / float64(len(x))
}

func sd(x []float64) float64 {
	m, s := mean(x), 0.0
	for _, v := range x {
		s += (v - m) * (v - m)
	}
	return math.Sqrt(s / float64(len(x)))
}

func cmpFloat(a, b float64) int {
	switch {
	case a < b:
		return -1
	case a > b:
		return 1
	}
	return 0
}

func auc(p, y []float64) float64 {
	order := make([]int, len(p))
	for i := range order {
		order[i] = i
	}
	slices.SortFunc(order, func(a, b int) int { return cmpFloat(p[a], p[b]) })
	ranks, pos := 0.0, 0.0
	for r, i := range order {
		if y[i] == 1 {
			ranks += float64(r + 1)
			pos++
		}
	}
	return (ranks - pos*(pos+1)/2) / (pos * (float64(len(p)) - pos))
}
