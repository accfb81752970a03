package health

import (
	"context"
	"encoding/json"
	"math"
	"reflect"
	"slices"
	"sort"
	"sync"
	"testing"
	"time"

	"bellwether/datasets/record"
	"bellwether/datasets/synth"
	"bellwether/features"
	"bellwether/models"
	"bellwether/models/logit"
	"bellwether/models/metric"
	"bellwether/models/trial"

	"pgregory.net/rapid"
)

// tape is a world's records in memory, as a source for a replay.
type tape struct {
	partners []record.Partner
	leads    []record.Lead
	events   []record.Event
}

func (t *tape) Partner(p *record.Partner) error { t.partners = append(t.partners, *p); return nil }
func (t *tape) Lead(l *record.Lead) error       { t.leads = append(t.leads, *l); return nil }
func (t *tape) Event(e *record.Event) error     { t.events = append(t.events, *e); return nil }
func (*tape) Decision(*record.Decision) error   { return nil }
func (t *tape) Partners(_ context.Context, f func(*record.Partner) error) error {
	return each(t.partners, f)
}
func (t *tape) Leads(_ context.Context, f func(*record.Lead) error) error { return each(t.leads, f) }
func (t *tape) Events(_ context.Context, f func([]record.Event) error) error {
	return f(slices.Clone(t.events))
}

func each[T any](list []T, f func(*T) error) error {
	for i := range list {
		if err := f(&list[i]); err != nil {
			return err
		}
	}
	return nil
}

func lived(cfg synth.Config) (*synth.World, *tape) {
	w, t := synth.New(cfg), &tape{}
	if err := w.Generate(context.Background(), t); err != nil {
		panic(err)
	}
	t.events = slices.CompactFunc(t.events, func(a, b record.Event) bool { return a.ID == b.ID }) // as a reader does
	return w, t
}

func (t *tape) set() *features.Set {
	var b features.SchemaBuilder
	for i := range t.partners {
		b.Partner(&t.partners[i])
	}
	for i := range t.leads {
		b.Lead(&t.leads[i])
	}
	return features.NewSet(b.Schema(), features.Options{Base: "EUR", Currency: map[string]float64{"EUR": 1, "USD": 0.9, "GBP": 1.2, "SEK": 0.09, "PLN": 0.23}})
}

// until returns an assessor, not yet prepared, and the state as of a moment.
func (t *tape) until(set *features.Set, at time.Time) (*Assessor, *features.State) {
	st, _, err := features.Replay(context.Background(), t, set, features.ReplayOptions{Until: at}, features.Sink{})
	if err != nil {
		panic(err)
	}
	st.Advance(at)
	h := NewHistory(Config{}, set, at)
	for i := range t.events {
		h.Observe(&t.events[i])
	}
	return &Assessor{Set: set, History: h}, st
}

func (a *Assessor) ready(t interface{ Fatal(...any) }) *Assessor {
	if err := a.Prepare(); err != nil {
		t.Fatal(err)
	}
	return a
}

// TestNoFuture: whatever becomes known from T on changes no standing at T.
func TestNoFuture(t *testing.T) {
	w, base := lived(synth.Config{Partners: 6, Leads: 60, Days: 150, Seed: 5})
	set := base.set()
	rapid.Check(t, func(t *rapid.T) {
		at := w.Start().AddDate(0, 0, rapid.IntRange(20, 145).Draw(t, "day"))
		a, st := base.until(set, at)
		want := a.ready(t).Assess(st, nil, at)
		if len(want) == 0 {
			t.Fatal("nobody has a standing")
		}

		other := &tape{partners: base.partners, leads: base.leads}
		for _, e := range base.events {
			if e.Known().Before(at) {
				other.events = append(other.events, e)
			}
		}
		known := at
		for i := range rapid.IntRange(1, 8).Draw(t, "more") {
			known = known.Add(time.Duration(rapid.IntRange(0, 90).Draw(t, "after")) * time.Minute)
			other.events = append(other.events, record.Event{ID: record.EventID(rune('a' + i)), Type: rapid.SampledFrom(record.EventTypes).Draw(t, "type"),
				Partner: rapid.SampledFrom(w.Partners()).Draw(t, "partner"), Other: "P00001", Deal: "D1", Lead: base.leads[0].ID, Account: "A1", Text: "terminated",
				At: known.Add(-time.Duration(rapid.IntRange(0, 100).Draw(t, "ago")) * 24 * time.Hour), KnownAt: known,
				Amount: record.Money{Amount: 1e9, Currency: "EUR"}, Numbers: map[string]float64{"score": 1}})
		}
		b, st := other.until(set, at)
		if got := b.ready(t).Assess(st, nil, at); !reflect.DeepEqual(got, want) {
			t.Fatalf("standings at %s differ", at)
		}
	})
}

// judged is a world of some size with a model of churn trained on its past.
var judged = sync.OnceValues(func() (*synth.World, *Assessor) {
	w, tape := lived(synth.Config{Partners: 120, Leads: 8_000, Seed: 11})
	set := tape.set()
	l, m := NewLabels(Config{}), NewMonths(set)
	for i := range tape.events {
		l.Observe(&tape.events[i])
	}
	if _, _, err := features.Replay(context.Background(), tape, set, features.ReplayOptions{}, features.Sink{Months: m.Add}); err != nil {
		panic(err)
	}
	training, err := m.Training(l, time.Time{})
	if err != nil {
		panic(err)
	}
	_, model, err := trial.Run(context.Background(), training.Table, trial.Config{Task: "churn", Learners: []models.Learner{logit.Learner{}, Weights{}},
		Seeds: -1, Cut: training.Cut, Beside: training.Beside})
	if err != nil {
		panic(err)
	}
	a, st := tape.until(set, moment)
	if a.Alive, err = FitAlive(context.Background(), a.History.Labels, moment); err != nil {
		panic(err)
	}
	a.Churn, a.Model = model, "churn@v1"
	if err := a.Prepare(); err != nil {
		panic(err)
	}
	before := map[record.PartnerID]float64{}
	for _, id := range w.Partners()[:60] {
		before[id] = 0.25
	}
	standing = a.Assess(st, before, moment)
	state = st
	return w, a
})

var (
	moment   = date("2026-03-01") // the horizon ends with May: the world knows who leaves by then
	standing []record.Standing    // of judged, as of moment
	state    *features.State
)

func TestStandings(t *testing.T) {
	w, a := judged()
	if len(standing) < 60 {
		t.Fatalf("%d standings", len(standing))
	}
	if !sort.SliceIsSorted(standing, func(i, j int) bool { return standing[i].Partner < standing[j].Partner }) {
		t.Error("not in order of id")
	}
	if _, err := json.Marshal(standing); err != nil {
		t.Errorf("JSON: %v", err)
	}
	var p, y []float64
	for _, s := range standing {
		left, gone := w.Left(s.Partner)
		checkStanding(t, &s)
		if want := s.Risk - 0.25; s.Partner <= "P00060" && s.Trend != want || s.Partner > "P00060" && s.Trend != 0 {
			t.Errorf("%s: risk %v was 0.25, trend %v", s.Partner, s.Risk, s.Trend)
		}
		switch s.Model {
		case byDefinition:
			if s.Risk != 1 || a.History.Labels.Active(s.Partner, moment) {
				t.Errorf("%s is silent with risk %v", s.Partner, s.Risk)
			}
		case "churn@v1":
			p = append(p, s.Risk)
			leaves := 0.0
			if gone && left.Before(moment.AddDate(0, 0, 60)) {
				leaves = 1
			}
			y = append(y, leaves)
		}
	}
	if auc := metric.AUC(p, y, nil); !(auc > 0.7) {
		t.Errorf("risk of those who truly leave: AUC %.3f over %d partners", auc, len(p))
	}
}

func checkStanding(t *testing.T, s *record.Standing) {
	t.Helper()
	if !(s.Risk >= 0 && s.Risk <= 1 && s.RiskLo <= s.Risk && s.Risk <= s.RiskHi && s.Alive >= 0 && s.Alive <= 1) {
		t.Errorf("%s: risk %v in [%v, %v], alive %v", s.Partner, s.Risk, s.RiskLo, s.RiskHi, s.Alive)
	}
	if want := s.Risk * s.KPIs["revenue_364d"]; want > 0 && math.Abs(float64(s.ValueAtRisk.Amount)/100-want) > 0.01 {
		t.Errorf("%s: value at risk %v, risk times revenue is %.2f", s.Partner, s.ValueAtRisk, want)
	}
	if len(s.Activity) != 26 || s.Action == "" || len(s.Drivers) == 0 {
		t.Errorf("%s: %d weeks, action %q, %d drivers", s.Partner, len(s.Activity), s.Action, len(s.Drivers))
	}
	for i := 1; i < len(s.Drivers); i++ {
		if math.Abs(s.Drivers[i].Effect) > math.Abs(s.Drivers[i-1].Effect) {
			t.Errorf("%s: drivers out of order: %v", s.Partner, s.Drivers)
		}
	}
}

func TestRisksAreThoseOfStandings(t *testing.T) {
	_, a := judged()
	risks := a.Risks(state, moment.Add(5*time.Hour)) // the same midnight
	if len(risks) != len(standing) {
		t.Fatalf("%d risks, %d standings", len(risks), len(standing))
	}
	for _, s := range standing {
		if risks[s.Partner] != s.Risk {
			t.Errorf("%s: %v, standing says %v", s.Partner, risks[s.Partner], s.Risk)
		}
	}
}

func TestPrepareRefusesAnotherSet(t *testing.T) {
	_, a := judged()
	b := &Assessor{Set: features.NewSet(features.Schema{}, features.Options{}), History: a.History, Churn: a.Churn, Model: a.Model}
	if err := b.Prepare(); record.KindOf(err) != record.Incompatible {
		t.Errorf("a model of another set: %v", err)
	}
}

// small makes a world by hand: busy does business each week, quiet stopped,
// fresh never began, over was terminated.
func small() (*Assessor, *features.State) {
	t := &tape{}
	add := func(kind record.EventType, id record.PartnerID, at time.Time) *record.Event {
		t.events = append(t.events, record.Event{ID: record.EventID(rune(len(t.events) + 200)), Type: kind, Partner: id, At: at, KnownAt: at,
			Amount: record.Money{Amount: 100_00, Currency: "BRL"}})
		return &t.events[len(t.events)-1]
	}
	for _, id := range []record.PartnerID{"busy", "quiet", "fresh", "over"} {
		t.partners = append(t.partners, record.Partner{ID: id, Name: "<b>" + string(id) + "</b>", Tier: "gold", KnownAt: date("2025-01-01"), JoinedAt: date("2025-01-01")})
	}
	for day := date("2025-01-06"); day.Before(date("2025-09-01")); day = day.AddDate(0, 0, 7) {
		add(record.OrderPlaced, "busy", day)
		if day.Before(date("2025-04-01")) {
			add(record.OrderPlaced, "quiet", day)
		}
		add(record.PortalLogin, "fresh", day)
		add(record.OrderPlaced, "over", day)
	}
	add(record.StatusChanged, "over", date("2025-08-30")).Text = "terminated"
	slices.SortStableFunc(t.events, func(a, b record.Event) int { return a.At.Compare(b.At) })
	return t.until(features.NewSet(features.Schema{}, features.Options{}), date("2025-09-01"))
}

func TestWithoutModel(t *testing.T) {
	a, st := small()
	got := map[record.PartnerID]record.Standing{}
	for _, s := range a.ready(t).Assess(st, nil, date("2025-09-01")) {
		checkStanding(t, &s)
		got[s.Partner] = s
	}
	if _, ok := got["over"]; ok || len(got) != 3 {
		t.Errorf("%d standings, one for a terminated partner: %t", len(got), ok)
	}
	for id, model := range map[record.PartnerID]string{"busy": byWeights, "quiet": byDefinition, "fresh": byWeights} {
		if s := got[id]; s.Model != model || model == byWeights && (s.RiskLo != 0 || s.RiskHi != 1) {
			t.Errorf("%s: model %q, risk %v in [%v, %v]", id, s.Model, s.Risk, s.RiskLo, s.RiskHi)
		}
	}
	if s := got["quiet"]; s.ValueAtRisk != (record.Money{Amount: 13 * 100_00, Currency: "BRL"}) {
		t.Errorf("quiet had 13 orders of 100 BRL, all at risk; said %v", s.ValueAtRisk)
	}
	if s := got["busy"]; s.Risk >= got["quiet"].Risk || s.Activity[25] != 1 || s.Activity[0] != 1 {
		t.Errorf("busy: risk %v, activity %v", s.Risk, s.Activity)
	}
}

// TestBlame: what a model says of its columns and what occlusion finds of the
// same model agree on a sum of columns.
func TestBlame(t *testing.T) {
	set := features.NewSet(features.Schema{}, features.Options{})
	_, from, to := set.Sides()
	fs, columns := set.Features()[from:to], set.Columns()[from:to]
	m := NewWeights(columns)
	a := &Assessor{Set: set, Churn: &trial.Predictor{Columns: columns, Model: m}}
	if err := a.Prepare(); err != nil {
		t.Fatal(err)
	}
	row, usual := make([]float64, len(fs)), make([]float64, len(fs))
	for j := range row {
		row[j], usual[j] = math.NaN(), math.NaN()
	}
	set1 := func(name string, x, typical float64) { row[a.column(name)], usual[a.column(name)] = x, typical }
	set1("partner_days_since_business", 120, 7)
	set1("partner_survey_last", 9, 6)
	set1("partner_portal_velocity", -1, -0.65)
	told, found := tell(m, fs, row), occlude(a.raw, fs, row, usual)
	for _, b := range []blame{told, found} {
		d := b.drivers(fs, row, usual)
		if len(d) != 3 || d[0].Feature != "partner_days_since_business" || d[0].Effect <= 0 || d[2].Effect >= 0 && d[1].Effect >= 0 {
			t.Errorf("drivers %+v", d)
		}
		if d[0].Text != "120 days since it won a deal or placed an order (usual: 7 days)" || d[0].Value != 120 {
			t.Errorf("%q of %v", d[0].Text, d[0].Value)
		}
	}
	for j, x := range found.columns {
		if (x != 0) != (told.columns[j] != 0) {
			t.Errorf("%s: told %v, found %v", fs[j].Name, told.columns[j], x)
		}
	}
}

// bronze is a model that dislikes one tier, whatever the others are.
type bronze struct {
	*WeightsModel
	column int
}

func (m bronze) PredictRows(p, rows []float64) {
	for i := range p {
		p[i] = 0.1
		if rows[i*m.Width()+m.column] == models.Code("bronze") {
			p[i] = 0.4
		}
	}
}

// TestOccludeCategories: a category is compared with not knowing it, for a
// median of codes means nothing.
func TestOccludeCategories(t *testing.T) {
	set := features.NewSet(features.Schema{}, features.Options{})
	_, from, to := set.Sides()
	fs, columns := set.Features()[from:to], set.Columns()[from:to]
	a := &Assessor{Set: set, Churn: &trial.Predictor{Columns: columns, Model: NewWeights(columns)}}
	if err := a.Prepare(); err != nil {
		t.Fatal(err)
	}
	tier := a.column("partner_tier")
	a.raw.Model = bronze{NewWeights(columns), tier}
	row, usual := make([]float64, len(fs)), make([]float64, len(fs))
	row[tier], usual[tier] = models.Code("bronze"), models.Code("bronze")
	if got, want := occlude(a.raw, fs, row, usual).columns[tier], logOdds(0.4)-logOdds(0.1); math.Abs(got-want) > 1e-12 {
		t.Errorf("being bronze moved the log odds by %v, want %v", got, want)
	}
}
