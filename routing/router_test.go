package routing

import (
	"encoding/json"
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	"bellwether/datasets/record"
	"bellwether/features"
	"bellwether/models"
	"bellwether/models/calibrate"
	"bellwether/models/trial"
)

// linear is a model whose answer is a fixed function of a row.
type linear struct{ weights []float64 }

func (m *linear) Width() int                             { return len(m.weights) }
func (m *linear) MarshalBinary() ([]byte, error)         { return nil, nil }
func (m *linear) Predict([]float64, *models.Table) error { panic("rows only") }

func (m *linear) PredictRows(dst, rows []float64) {
	for i := range dst {
		z := -1.0
		for j, x := range rows[i*len(m.weights) : (i+1)*len(m.weights)] {
			if x == x && math.Abs(x) < 1e6 {
				z += m.weights[j] * x
			}
		}
		dst[i] = 1 / (1 + math.Exp(-z))
	}
}

func (m *linear) Contributions(dst, row []float64) float64 {
	for j, x := range row {
		if dst[j] = 0; x == x && math.Abs(x) < 1e6 {
			dst[j] = m.weights[j] * x
		}
	}
	return -1
}

// testModel weighs a few readable features.
func testModel(set *features.Set) *Model {
	m := &linear{weights: make([]float64, set.Width())}
	for name, w := range map[string]float64{"pair_expected_rate": 2, "partner_win_rate": 1, "pair_distance": -0.001, "lead_value_log": -0.02} {
		i, ok := set.Column(name)
		if !ok {
			panic("no feature " + name)
		}
		m.weights[i] = w
	}
	calibrator, err := calibrate.Fit(calibrate.Identity, []float64{0.1, 0.9}, []float64{0, 1}, nil)
	if err != nil {
		panic(err)
	}
	p := &trial.Predictor{Columns: set.Columns(), Learner: "linear", Model: m, Calibrator: calibrator}
	return &Model{Win: p, Accept: p, WinID: "win@v1:test", AcceptID: "win@v1:test/accept"}
}

// world is partners and a past, folded into an index and a state as an engine
// would.
type world struct {
	set    *features.Set
	log    []any // *record.Partner, *record.Lead, *record.Event
	leads  []*record.Lead
	policy Policy
}

func newWorld(partners, offers int, seed uint64) *world {
	rng := rand.New(rand.NewPCG(seed, 1))
	w := &world{set: features.NewSet(features.Schema{}, features.Options{})}
	regions, industries := []string{"DE", "AT", "FR", "IT", "ES", "NL", "BE", "PL", "CZ", "DK"}, []string{"health", "retail", "bank"}
	for i := range partners {
		w.log = append(w.log, &record.Partner{
			ID: record.PartnerID(fmt.Sprintf("p%04d", i)), Tier: []string{"gold", "silver"}[rng.IntN(2)], Territories: []string{regions[i%len(regions)]},
			Home:     record.Place{Region: regions[i%len(regions)], Lat: 40 + 15*rng.Float64(), Lon: 20 * rng.Float64(), Located: true},
			Contract: record.Span{To: day0.Add(time.Duration(rng.IntN(400)) * day)}, Capacity: record.Capacity{Units: 5 + rng.IntN(200), Period: "month"},
			Competences: []record.Competence{{Product: "crm", Level: 1 + rng.IntN(5)}}, JoinedAt: day0.Add(-500 * day), KnownAt: day0.Add(-400 * day),
		})
	}
	for i := range offers {
		at := day0.Add(-300*day + time.Duration(i)*290*day/time.Duration(offers))
		l := &record.Lead{ID: record.LeadID(fmt.Sprint("l", i)), CreatedAt: at, Place: record.Place{Region: regions[rng.IntN(10)], Lat: 50, Lon: 10, Located: true},
			Industry: industries[rng.IntN(3)], Products: []string{"crm"}, Account: record.AccountID(fmt.Sprint("a", i%200)), Value: record.Money{Amount: 1_000_000, Currency: "EUR"}}
		p := record.PartnerID(fmt.Sprintf("p%04d", rng.IntN(partners)))
		e := func(kind record.EventType, later time.Duration) *record.Event {
			return &record.Event{ID: record.EventID(fmt.Sprint(kind, i)), Type: kind, At: at.Add(later), KnownAt: at.Add(later), Partner: p, Lead: l.ID, Account: l.Account}
		}
		w.leads = append(w.leads, l)
		w.log = append(w.log, l, e(record.OfferMade, 0), e([]record.EventType{record.OfferAccepted, record.OfferDeclined}[rng.IntN(2)], time.Minute),
			e([]record.EventType{record.DealWon, record.DealLost, record.DealLost}[rng.IntN(3)], 2*time.Minute))
	}
	return w
}

// fold gives a router and a state of the first n entries of the log.
func (w *world) fold(t testing.TB, n int) (*Router, *features.State) {
	t.Helper()
	ix, err := NewIndex(w.policy)
	if err != nil {
		t.Fatal(err)
	}
	st := features.NewState(w.set)
	st.Advance(day0.Add(-400 * day))
	for _, x := range w.log[:n] {
		switch x := x.(type) {
		case *record.Partner:
			ix.Upsert(x)
			st.PutPartner(x)
		case *record.Lead:
			st.PutLead(x)
		case *record.Event:
			ix.Observe(x)
			st.Observe(x)
		}
	}
	st.Advance(day0)
	ix.Advance(day0)
	return &Router{Set: w.set, Index: ix, Model: testModel(w.set)}, st
}

func newLead(id string) *record.Lead {
	return &record.Lead{ID: record.LeadID(id), CreatedAt: day0, Place: record.Place{Region: "DE", Lat: 51, Lon: 11, Located: true}, Industry: "health",
		Products: []string{"crm"}, Account: "a7", Value: record.Money{Amount: 5_000_000, Currency: "EUR"}}
}

// TestRouteReplays decides on a folded log, folds it again from its beginning
// and from a snapshot, decides again and compares; then changes one thing at a
// time and expects to be told which.
func TestRouteReplays(t *testing.T) {
	w := newWorld(700, 3000, 1)
	request := Request{Now: day0, Seed: 42, Position: 7, ID: "d1", LeadRef: "ref", Offer: "o1", Previous: "d0", Exclude: []record.PartnerID{"p0010"}}
	lead := newLead("new")
	r, st := w.fold(t, len(w.log))
	var scratch Case
	if _, err := r.Route(newLead("another"), st, Request{Now: day0, Seed: 3}, &scratch); err != nil {
		t.Fatal(err)
	}
	first, err := r.Route(lead, st, request, &scratch)
	if err != nil {
		t.Fatal(err)
	}
	if first.Chosen == "" || len(first.Candidates) < 40 || first.Fingerprint == 0 {
		t.Fatalf("not much of a decision: %+v", first)
	}
	again, st2 := w.fold(t, len(w.log))
	snapshot, err := r.Index.MarshalBinary()
	if err != nil {
		t.Fatal(err)
	}
	if err := again.Index.UnmarshalBinary(snapshot); err != nil {
		t.Fatal(err)
	}
	second, err := again.Route(lead, st2, request, nil)
	if err != nil {
		t.Fatal(err)
	}
	if err := Same(first, second); err != nil {
		t.Error(err)
	}
	b, err := json.Marshal(first)
	if err != nil {
		t.Fatal(err)
	}
	var stored record.Decision
	if err := json.Unmarshal(b, &stored); err != nil {
		t.Fatal(err)
	}
	if err := Same(first, &stored); err != nil {
		t.Errorf("after JSON: %v", err)
	}

	short, stShort := w.fold(t, len(w.log)-1)
	other, err := short.Route(lead, stShort, request, nil)
	if err != nil {
		t.Fatal(err)
	}
	if err := Same(first, other); err == nil {
		t.Error("an event more or less makes no difference")
	}
}

// TestFingerprint makes the fingerprint from rows taken whole: no number of any
// block is left out of it.
func TestFingerprint(t *testing.T) {
	w := newWorld(700, 3000, 1)
	r, st := w.fold(t, len(w.log))
	lead := newLead("new")
	d, err := r.Route(lead, st, Request{Now: day0}, nil)
	if err != nil {
		t.Fatal(err)
	}
	_, partner, pair := w.set.Sides()
	var view features.LeadView
	w.set.Prepare(&view, lead, st, day0)
	row, all := make([]float64, w.set.Width()), newDigest()
	for i, k := range d.Candidates {
		w.set.Row(row, &view, st.Partner(k.Partner))
		if i == 0 {
			all.floats(row[:partner])
		}
		own := newDigest()
		own.floats(row[partner:pair])
		all.word(own.sum())
		all.floats(row[pair:])
	}
	if all.sum() != d.Fingerprint {
		t.Errorf("fingerprint %x, from whole rows %x", d.Fingerprint, all.sum())
	}
	for i := range row {
		one, other := newDigest(), newDigest()
		one.floats(row)
		row[i] = math.Float64frombits(math.Float64bits(row[i]) ^ 1)
		if other.floats(row); one.sum() == other.sum() {
			t.Errorf("number %d is not in the digest", i)
		}
	}
}

func TestSameNamesTheDifference(t *testing.T) {
	w := newWorld(50, 200, 2)
	r, st := w.fold(t, len(w.log))
	decide := func() *record.Decision {
		d, err := r.Route(newLead("x"), st, Request{Now: day0}, nil)
		if err != nil {
			t.Fatal(err)
		}
		return d
	}
	if err := Same(decide(), decide()); err != nil {
		t.Fatal(err)
	}
	for field, change := range map[string]func(*record.Decision){
		"lead_ref":                        func(d *record.Decision) { d.LeadRef = "y" },
		"model":                           func(d *record.Decision) { d.Model = "y" },
		"seed":                            func(d *record.Decision) { d.Seed++ },
		"index_version":                   func(d *record.Decision) { d.IndexVersion++ },
		"refusals[0].partners":            func(d *record.Decision) { d.Refusals[0].Partners[5] ^= 1 },
		"fingerprint":                     func(d *record.Decision) { d.Fingerprint++ },
		"candidates[1].win":               func(d *record.Decision) { d.Candidates[1].Win = math.Nextafter(d.Candidates[1].Win, 2) },
		"candidates[0].prob":              func(d *record.Decision) { d.Candidates[0].Prob = math.Nextafter(d.Candidates[0].Prob, 2) },
		"chosen":                          func(d *record.Decision) { d.Chosen = "y" },
		"plain_choice":                    func(d *record.Decision) { d.PlainChoice = "y" },
		"greedy":                          func(d *record.Decision) { d.Greedy = true },
		"expires_at":                      func(d *record.Decision) { d.ExpiresAt = d.ExpiresAt.Add(1) },
		"ranked[0].reasons":               func(d *record.Decision) { d.Ranked[0].Reasons[0] = "y" },
		"ranked[0].values":                func(d *record.Decision) { d.Ranked[0].Values["y"] = 1 },
		"ranked[0].values." + featWinRate: func(d *record.Decision) { d.Ranked[0].Values[featWinRate] = -1 },
		"reasons":                         func(d *record.Decision) { d.Reasons = nil },
	} {
		d := decide()
		change(d)
		var e *record.Error
		if err := Same(decide(), d); err == nil || !asError(err, &e) || e.Field != field {
			t.Errorf("%s changed: %v", field, err)
		}
	}
	d := decide()
	d.LatencyMicros = 9
	if err := Same(decide(), d); err != nil {
		t.Errorf("latency is compared: %v", err)
	}
}

func asError(err error, e **record.Error) (ok bool) {
	*e, ok = err.(*record.Error)
	return ok
}

// TestOrderOfPartners: the order in which partners were added changes neither
// anybody's probability nor how often equals are chosen.
func TestOrderOfPartners(t *testing.T) {
	w := newWorld(60, 600, 3)
	shares := func() (prob map[record.PartnerID]float64, times map[record.PartnerID]int) {
		prob, times = map[record.PartnerID]float64{}, map[record.PartnerID]int{}
		r, st := w.fold(t, len(w.log))
		for i := range 400 {
			d, err := r.Route(newLead(fmt.Sprint("new", i)), st, Request{Now: day0, Seed: 5}, nil)
			if err != nil {
				t.Fatal(err)
			}
			for _, k := range d.Candidates {
				prob[k.Partner] = k.Prob
			}
			times[d.Chosen]++
		}
		return prob, times
	}
	before, _ := shares()
	slices.Reverse(w.log[:60])
	after, _ := shares()
	for id, p := range before {
		if math.Abs(after[id]-p) > 1e-15 {
			t.Errorf("%s: probability %v, then %v", id, p, after[id])
		}
	}
	if len(before) != len(after) || len(before) < 3 {
		t.Errorf("%d candidates, then %d", len(before), len(after))
	}

	// Twenty partners nothing is known of are equals.
	w = newWorld(0, 0, 4)
	for i := range 20 {
		w.log = append(w.log, &record.Partner{ID: record.PartnerID(fmt.Sprintf("p%02d", i))})
	}
	w.leads = nil
	for range 2 {
		_, times := shares()
		for _, x := range w.log {
			id := x.(*record.Partner).ID
			if n := times[id]; n < 4 || n > 40 { // 20 ± 4.4: outside by chance once in 10,000
				t.Errorf("%s was chosen %d times of 400 among 20 equals", id, n)
			}
		}
		slices.Reverse(w.log)
	}
}

func TestPartnerUnknownToState(t *testing.T) {
	w := newWorld(5, 0, 5)
	r, st := w.fold(t, len(w.log))
	r.Index.Upsert(&record.Partner{ID: "ghost"})
	_, err := r.Route(newLead("x"), st, Request{Now: day0}, nil)
	if record.KindOf(err) != record.Internal || !strings.Contains(err.Error(), "ghost") {
		t.Errorf("got %v", err)
	}
}

func TestQualityFloor(t *testing.T) {
	w := newWorld(200, 2000, 6)
	r, st := w.fold(t, len(w.log))
	free, err := r.Route(newLead("x"), st, Request{Now: day0}, nil)
	if err != nil {
		t.Fatal(err)
	}
	wins := make([]float64, 0, len(free.Candidates))
	for _, k := range free.Candidates {
		wins = append(wins, k.Win)
	}
	slices.Sort(wins)
	w.policy.MinWin = wins[len(wins)/2]
	r, st = w.fold(t, len(w.log))
	d, err := r.Route(newLead("x"), st, Request{Now: day0}, nil)
	if err != nil {
		t.Fatal(err)
	}
	last := d.Refusals[len(d.Refusals)-1]
	if last.Rule != RuleQuality || last.Count != len(wins)/2 || len(d.Candidates) != len(wins)-len(wins)/2 {
		t.Errorf("%d candidates, refusal %s of %d; want half of %d", len(d.Candidates), last.Rule, last.Count, len(wins))
	}
	names, err := r.Index.Names(last)
	for _, k := range free.Candidates {
		if err != nil || slices.Contains(names, k.Partner) != (k.Win < w.policy.MinWin) {
			t.Errorf("%s with %v: refused %v (%v)", k.Partner, k.Win, slices.Contains(names, k.Partner), err)
		}
	}
	w.policy.MinWin = 1
	r, st = w.fold(t, len(w.log))
	if d, err = r.Route(newLead("x"), st, Request{Now: day0}, nil); err != nil || d.Chosen != "" || len(d.Reasons) == 0 {
		t.Errorf("with a floor of 1: %v, chosen %s", err, d.Chosen)
	}
}

// TestValue checks a candidate's value against the policy's words, by hand.
func TestValue(t *testing.T) {
	w := newWorld(1, 0, 7)
	w.log = []any{&record.Partner{ID: "a", Capacity: record.Capacity{Units: 4, Period: "month"}}}
	for i := range 2 {
		w.log = append(w.log, &record.Event{ID: record.EventID(fmt.Sprint(i)), Type: record.OfferMade, Partner: "a", Lead: record.LeadID(fmt.Sprint(i)), At: day0, KnownAt: day0})
	}
	w.policy = Policy{Load: Load{Open: 0.12, Capacity: 0.4}, Fairness: Fairness{Boost: 0.1, Offers: 4}, Rates: map[string]float64{"USD": 0.5}}
	r, st := w.fold(t, len(w.log))
	lead := newLead("x")
	lead.Value = record.Money{Amount: 2000, Currency: "USD"}
	d, err := r.Route(lead, st, Request{Now: day0}, nil)
	if err != nil {
		t.Fatal(err)
	}
	k := d.Candidates[0]
	price := 1000 * (0.12*2/12 + 0.4*0.5*0.5)
	value := k.Win*k.Accept*1000 - price + 1000*0.1*(1-2.0/4)
	if math.Abs(k.Price-price) > 1e-9 || math.Abs(k.Value-value) > 1e-9 || k.Prob != 1 || d.Propensity != 1 {
		t.Errorf("price %v, value %v; want %v, %v", k.Price, k.Value, price, value)
	}
}

// TestRouteAllocates: what a decision allocates does not grow with candidates.
func TestRouteAllocates(t *testing.T) {
	count := func(partners int) float64 {
		w := newWorld(partners, 1000, 8)
		r, st := w.fold(t, len(w.log))
		var s Case
		lead := newLead("x")
		return testing.AllocsPerRun(5, func() {
			if _, err := r.Route(lead, st, Request{Now: day0}, &s); err != nil {
				t.Fatal(err)
			}
		})
	}
	few, many := count(300), count(3000)
	if many > few+50 {
		t.Errorf("%v allocations for 30 candidates, %v for 300", few, many)
	}
}

func BenchmarkRoute(b *testing.B) {
	for _, name := range []string{"500", "5000"} {
		b.Run("eligible="+name, func(b *testing.B) {
			w := newWorld(5000, 50_000, 9)
			w.policy.Rules.Off = []string{RuleContract, RuleCapacity}
			r, st := w.fold(b, len(w.log))
			lead := newLead("x")
			if name == "5000" {
				lead.Place.Region = ""
			}
			var s Case
			var n int
			for b.Loop() {
				d, err := r.Route(lead, st, Request{Now: day0}, &s)
				if err != nil {
					b.Fatal(err)
				}
				n = len(d.Candidates)
			}
			b.ReportMetric(float64(n), "candidates")
			b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/float64(n), "ns/candidate")
		})
	}
}

func BenchmarkEligible(b *testing.B) {
	w := newWorld(5000, 5000, 9)
	r, _ := w.fold(b, len(w.log))
	lead := newLead("x")
	for b.Loop() {
		r.Index.Eligible(lead, day0, nil)
	}
}
