package record

import (
	"encoding/json"
	"errors"
	"math"
	"strings"
	"testing"
	"time"
)

var (
	day   = time.Date(2024, 3, 1, 0, 0, 0, 0, time.UTC)
	cet   = time.FixedZone("CET", 3600)
	long  = strings.Repeat("x", 10_000)
	badly = "caf\xe9"
)

// faulty is a value and the one thing wrong with it.
type faulty[T any] struct {
	field string // the path the error must name
	says  string
	spoil func(*T)
}

func checkFaults[T any](t *testing.T, sound func() T, validate func(*T) error, cases []faulty[T]) {
	t.Helper()
	r := sound()
	if err := validate(&r); err != nil {
		t.Fatalf("the sound record is refused: %v", err)
	}
	for _, c := range cases {
		r := sound()
		c.spoil(&r)
		err := validate(&r)
		var e *Error
		if !errors.As(err, &e) {
			t.Errorf("%s (%s): accepted", c.field, c.says)
			continue
		}
		if e.Field != c.field || !strings.Contains(e.Msg, c.says) || e.Kind != Invalid {
			t.Errorf("want %s: %s, got kind %s, %s: %s", c.field, c.says, e.Kind, e.Field, e.Msg)
		}
	}
}

func TestPartnerValidate(t *testing.T) {
	sound := func() Partner {
		return Partner{ID: "p", Home: Place{Region: "DE", Lat: 52, Lon: 13, Located: true}, Territories: []string{"DE"},
			Competences: []Competence{{Product: "crm", Level: 3}}, Certifications: []Certification{{Name: "gold"}},
			Status: []StatusSpan{{Status: "active"}}, Capacity: Capacity{Units: 3, Period: "week", Timezone: "Europe/Berlin", Weekdays: []time.Weekday{1}},
			JoinedAt: day, Attributes: Attributes{"a": Text("b")}}
	}
	checkFaults(t, sound, (*Partner).Validate, []faulty[Partner]{
		{"id", "missing", func(p *Partner) { p.ID = "" }},
		{"id", "too long", func(p *Partner) { p.ID = PartnerID(long) }},
		{"id", "UTF-8", func(p *Partner) { p.ID = PartnerID(badly) }},
		{"id", "control", func(p *Partner) { p.ID = "a\nb" }},
		{"name", "too long", func(p *Partner) { p.Name = long }},
		{"kind", "UTF-8", func(p *Partner) { p.Kind = badly }},
		{"tier", "too long", func(p *Partner) { p.Tier = long }},
		{"parent", "itself", func(p *Partner) { p.Parent = "p" }},
		{"home.lat", "between", func(p *Partner) { p.Home.Lat = 91 }},
		{"home.lat", "NaN", func(p *Partner) { p.Home.Lat = math.NaN() }},
		{"home.lon", "between", func(p *Partner) { p.Home.Lon = -181 }},
		{"home.located", "must be true", func(p *Partner) { p.Home.Located = false }},
		{"territories[1]", "empty", func(p *Partner) { p.Territories = []string{"DE", ""} }},
		{"industries[0]", "too long", func(p *Partner) { p.Industries = []string{long} }},
		{"languages[0]", "UTF-8", func(p *Partner) { p.Languages = []string{badly} }},
		{"marketplaces", "at most", func(p *Partner) { p.Marketplaces = make([]string, MaxList+1) }},
		{"competences[0].product", "missing", func(p *Partner) { p.Competences[0].Product = "" }},
		{"competences[0].level", "between 0 and 5", func(p *Partner) { p.Competences[0].Level = 6 }},
		{"competences[0]", "before it begins", func(p *Partner) { p.Competences[0].Span = Span{day, day.AddDate(0, 0, -1)} }},
		{"certifications[0].name", "missing", func(p *Partner) { p.Certifications[0].Name = "" }},
		{"status[0].status", "not one of", func(p *Partner) { p.Status[0].Status = "happy" }},
		{"status[0].status", "missing", func(p *Partner) { p.Status[0].Status = "" }},
		{"contract.from", "between 1970", func(p *Partner) { p.Contract.From = time.Date(1900, 1, 1, 0, 0, 0, 0, time.UTC) }},
		{"capacity.units", "negative", func(p *Partner) { p.Capacity.Units = -1 }},
		{"capacity.period", "not one of", func(p *Partner) { p.Capacity.Period = "fortnight" }},
		{"capacity.weekdays[0]", "between 0", func(p *Partner) { p.Capacity.Weekdays[0] = 7 }},
		{"capacity.timezone", "IANA", func(p *Partner) { p.Capacity.Timezone = "Mars/Olympus" }},
		{"capacity.absences[0]", "before it begins", func(p *Partner) { p.Capacity.Absences = []Span{{day, day.AddDate(-1, 0, 0)}} }},
		{"joined_at", "UTC", func(p *Partner) { p.JoinedAt = day.In(cet) }},
		{"known_at", "between 1970", func(p *Partner) { p.KnownAt = time.Date(2300, 1, 1, 0, 0, 0, 0, time.UTC) }},
		{"attributes.x", "finite", func(p *Partner) { p.Attributes["x"] = Number(math.NaN()) }},
		{"attributes.x", "too long", func(p *Partner) { p.Attributes["x"] = Text(strings.Repeat(long, 7)) }},
		{"attributes.x[0]", "empty", func(p *Partner) { p.Attributes["x"] = List("") }},
		{"attributes", "without a name", func(p *Partner) { p.Attributes[""] = Text("") }},
	})
}

func TestLeadValidate(t *testing.T) {
	sound := func() Lead {
		return Lead{ID: "l", CreatedAt: day, Need: "resale", Value: Money{100, "EUR"}, Products: []string{"a"}, Attributes: Attributes{}}
	}
	checkFaults(t, sound, (*Lead).Validate, []faulty[Lead]{
		{"id", "missing", func(l *Lead) { l.ID = "" }},
		{"id", "too long", func(l *Lead) { l.ID = LeadID(long) }},
		{"created_at", "missing", func(l *Lead) { l.CreatedAt = time.Time{} }},
		{"created_at", "UTC", func(l *Lead) { l.CreatedAt = day.In(cet) }},
		{"account", "UTF-8", func(l *Lead) { l.Account = AccountID(badly) }},
		{"company", "too long", func(l *Lead) { l.Company = long }},
		{"industry", "UTF-8", func(l *Lead) { l.Industry = badly }},
		{"size_band", "too long", func(l *Lead) { l.SizeBand = long }},
		{"place.lat", "between", func(l *Lead) { l.Place = Place{Lat: math.Inf(1), Located: true} }},
		{"language", "too long", func(l *Lead) { l.Language = long }},
		{"products[0]", "empty", func(l *Lead) { l.Products = []string{""} }},
		{"need", "not one of", func(l *Lead) { l.Need = "help" }},
		{"value.amount", "negative", func(l *Lead) { l.Value.Amount = -5 }},
		{"value.currency", "ISO 4217", func(l *Lead) { l.Value.Currency = "XYZ" }},
		{"value.currency", "ISO 4217", func(l *Lead) { l.Value.Currency = "" }},
		{"source", "too long", func(l *Lead) { l.Source = long }},
		{"text", "UTF-8", func(l *Lead) { l.Text = badly }},
		{"attributes.n", "finite", func(l *Lead) { l.Attributes["n"] = Number(math.Inf(-1)) }},
	})
}

func TestEventValidate(t *testing.T) {
	sound := func() Event {
		return Event{ID: "e", Type: OfferMade, At: day, KnownAt: day, Partner: "p", Lead: "l", Numbers: map[string]float64{"propensity": 0.5}}
	}
	as := func(t EventType) func(*Event) { return func(e *Event) { e.Type = t } }
	checkFaults(t, sound, (*Event).Validate, []faulty[Event]{
		{"id", "missing", func(e *Event) { e.ID = "" }},
		{"id", "too long", func(e *Event) { e.ID = EventID(long) }},
		{"type", "not a known", as("offer_eaten")},
		{"type", "not a known", as("")},
		{"at", "missing", func(e *Event) { e.At, e.KnownAt = time.Time{}, time.Time{} }},
		{"known_at", "before it happened", func(e *Event) { e.KnownAt = day.Add(-time.Second) }},
		{"partner", "missing", func(e *Event) { e.Partner = "" }},
		{"partner", "missing", func(e *Event) { e.Type, e.Partner = PortalLogin, "" }},
		{"lead", "missing", func(e *Event) { e.Lead = "" }},
		{"other", "missing", as(PartnerMerged)},
		{"account", "missing", as(DealRegistered)},
		{"account", "missing", as(AccountOverlap)},
		{"until", "missing", as(ContractRenewed)},
		{"text", "missing", as(TierChanged)},
		{"text", "not one of", func(e *Event) { e.Type, e.Text = StatusChanged, "asleep" }},
		{"amount.amount", "negative", func(e *Event) { e.Amount = Money{-1, "EUR"} }},
		{"amount.currency", "ISO 4217", func(e *Event) { e.Amount = Money{1, "eur"} }},
		{"products[0]", "empty", func(e *Event) { e.Products = []string{""} }},
		{"reason", "not one of", func(e *Event) { e.Type, e.Reason = OfferDeclined, "bored" }},
		{"direction", "not one of", func(e *Event) { e.Direction = "up" }},
		{"text", "too long", func(e *Event) { e.Text = strings.Repeat(long, 7) }},
		{"until", "UTC", func(e *Event) { e.Until = day.In(cet) }},
		{"supersedes", "too long", func(e *Event) { e.Supersedes = EventID(long) }},
		{"numbers.propensity", "finite", func(e *Event) { e.Numbers["propensity"] = math.NaN() }},
		{"numbers.score", "0 to 10", as(Survey)},
		{"numbers.score", "0 to 10", func(e *Event) { e.Type, e.Numbers = Survey, map[string]float64{"score": 11} }},
	})
}

func TestDecisionValidate(t *testing.T) {
	sound := func() Decision {
		return Decision{ID: "d", At: day, Propensity: 0.5, Candidates: []Candidate{{Partner: "p", Win: 0.5}}}
	}
	checkFaults(t, sound, (*Decision).Validate, []faulty[Decision]{
		{"id", "missing", func(d *Decision) { d.ID = "" }},
		{"at", "missing", func(d *Decision) { d.At = time.Time{} }},
		{"propensity", "between 0 and 1", func(d *Decision) { d.Propensity = math.NaN() }},
		{"candidates[0].partner", "missing", func(d *Decision) { d.Candidates[0].Partner = "" }},
		{"candidates[0]", "not a probability", func(d *Decision) { d.Candidates[0].Win = 1.5 }},
		{"candidates[0]", "finite", func(d *Decision) { d.Candidates[0].Price = math.Inf(1) }},
	})
}

func TestMoneyReadsTextAndNumbers(t *testing.T) {
	for in, want := range map[string]Money{`{"amount":"9007199254740993","currency":"EUR"}`: {9007199254740993, "EUR"},
		`{"amount":9007199254740993,"currency":"EUR"}`: {9007199254740993, "EUR"}, `{"currency":"EUR"}`: {0, "EUR"}, `{}`: {}} {
		var got Money
		if err := json.Unmarshal([]byte(in), &got); err != nil || got != want {
			t.Errorf("%s = %+v, %v", in, got, err)
		}
	}
	for _, in := range []string{`{"amount":12.5,"currency":"EUR"}`, `{"amount":"x"}`, `{"amuont":1}`, `7`} {
		if err := json.Unmarshal([]byte(in), new(Money)); err == nil {
			t.Errorf("%s is accepted", in)
		}
	}
	out, _ := json.Marshal(Money{9007199254740993, "EUR"})
	if string(out) != `{"amount":"9007199254740993","currency":"EUR"}` {
		t.Errorf("written as %s", out)
	}
}
