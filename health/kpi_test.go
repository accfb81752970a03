package health

import (
	"encoding/json"
	"math"
	"testing"
	"time"

	"bellwether/datasets/record"
)

func euros(m record.Money) float64 {
	if m.IsZero() {
		return math.NaN()
	}
	return float64(m.Amount) / 100
}

// TestKPIs works each definition of KPIs out by hand, as of 2025-09-01.
func TestKPIs(t *testing.T) {
	b := NewBook(Config{}, euros)
	at := func(kind record.EventType, id record.PartnerID, on string) record.Event {
		return record.Event{Type: kind, Partner: id, At: date(on).Add(8 * time.Hour)}
	}
	say := func(e record.Event) { b.Observe(&e) }
	win := func(id record.PartnerID, on string, deal record.DealID, amount int64, products ...string) {
		e := at(record.DealWon, id, on)
		e.Deal, e.Amount, e.Products = deal, record.Money{Amount: amount * 100, Currency: "EUR"}, products
		say(e)
	}
	touch := func(id record.PartnerID, on string, deal record.DealID) {
		e := at(record.Touch, id, on)
		e.Deal = deal
		say(e)
	}
	say(at(record.Applied, "p", "2024-01-01"))
	say(at(record.Onboarded, "p", "2024-01-20"))
	touch("q", "2024-02-01", "D0")
	win("p", "2024-03-01", "D0", 1000, "a") // the year before, shared
	touch("q", "2025-01-05", "D1")
	touch("q", "2025-01-06", "D1") // twice is once
	touch("p", "2025-01-06", "D1") // the owner is no other
	win("p", "2025-02-01", "D1", 3000, "a", "b", "a")
	win("p", "2025-03-01", "D2", 1000, "a")
	win("p", "2025-09-01", "D3", 9000, "a") // of today: not yet in
	say(at(record.Onboarded, "q", "2025-06-01"))
	for i, score := range []float64{10, 9, 8, 0, 6, 2} {
		e := at(record.Survey, "p", "2025-05-0"+string(rune('1'+i)))
		e.Numbers = map[string]float64{"score": score}
		say(e)
	}
	old := at(record.Survey, "p", "2024-05-01")
	old.Numbers = map[string]float64{"score": 0}
	say(old)

	p, q := b.kpis("p", date("2025-09-01")), b.kpis("q", date("2025-09-01"))
	want(t, "p", p, map[string]float64{"influence_score": 1.5, "influence_value": 2500, "time_to_competency_days": 60 - 0, "integration_depth": 1.5,
		"nps": 100 * (2 - 3) / 6.0, "nps_n": 6, "collaborative_share": 0.75, "collaborative_growth": 2})
	want(t, "q", q, map[string]float64{"influence_score": 0.5, "influence_value": 1500, "days_without_first_win": 92 - 8.0/24})
	mean, squares := -1/6.0, 5/6.0
	half := 196 * math.Sqrt((squares-mean*mean)/6)
	want(t, "p", p, map[string]float64{"nps_lo": max(100*mean-half, -100), "nps_hi": 100*mean + half})
}

func want(t *testing.T, who string, got, want map[string]float64) {
	t.Helper()
	for name, x := range want {
		if g, ok := got[name]; !ok || math.Abs(g-x) > 1e-4 {
			t.Errorf("%s of %s is %v (%t), want %v", name, who, g, ok, x)
		}
	}
	for name := range got {
		if _, ok := want[name]; !ok && len(want) > 2 && name != "nps_lo" && name != "nps_hi" {
			t.Errorf("%s of %s is %v, want none", name, who, got[name])
		}
	}
}

func TestFewSurveysHaveNoScore(t *testing.T) {
	b := NewBook(Config{}, euros)
	for range minSurveys - 1 {
		b.Observe(&record.Event{Type: record.Survey, Partner: "p", At: date("2025-05-01"), Numbers: map[string]float64{"score": 10}})
	}
	k := b.kpis("p", date("2025-09-01"))
	if _, ok := k["nps"]; ok || k["nps_n"] != minSurveys-1 {
		t.Errorf("%v", k)
	}
}

func TestPortalVelocity(t *testing.T) {
	b := NewBook(Config{}, euros)
	visit := func(id record.PartnerID, kind record.EventType, on string) {
		b.Observe(&record.Event{Type: kind, Partner: id, At: date(on)})
	}
	visit("p", record.PortalLogin, "2025-06-01")    // 92 days back: the 12 weeks before
	visit("p", record.TrainingView, "2025-08-30")   // the last 4 weeks
	visit("p", record.PortalDownload, "2025-08-05") // 27 days back
	got := b.kpis("p", date("2025-09-01"))["portal_velocity"]
	if x := math.Log((5/4.0 + 1) / (1/12.0 + 1)); math.Abs(got-x) > 1e-9 {
		t.Errorf("raw velocity %v, want %v", got, x)
	}
	all := []map[string]float64{{"portal_velocity": -1, "integration_depth": 1}, {"portal_velocity": 0, "integration_depth": 2}, {"portal_velocity": 3, "integration_depth": 2}, {}, {"integration_depth": 9}}
	compare(all, []string{"gold", "gold", "gold", "gold", "silver"})
	want(t, "first", all[0], map[string]float64{"portal_velocity": -1 / 1.4826, "integration_depth_percentile": 0})
	want(t, "third", all[2], map[string]float64{"portal_velocity": 3 / 1.4826, "integration_depth_percentile": 100})
	if _, ok := all[4]["integration_depth_percentile"]; ok {
		t.Error("a percentile among one")
	}
}

func TestBookForgets(t *testing.T) {
	b := NewBook(Config{}, euros)
	day := date("2000-01-01")
	for range 6000 {
		b.Observe(&record.Event{Type: record.DealWon, Partner: "p", At: day, Amount: record.Money{Amount: 1, Currency: "EUR"}})
		b.Observe(&record.Event{Type: record.PortalLogin, Partner: "p", At: day})
		day = day.AddDate(0, 0, 1)
	}
	l := b.partners["p"]
	if most := keepDays + 184; len(l.credits) > most || len(l.portal) > most || len(l.activity) > most {
		t.Errorf("after 6,000 days the book holds %d credits, %d portal days, %d active days", len(l.credits), len(l.portal), len(l.activity))
	}
	if got := b.kpis("p", day)["influence_score"]; got != 364 {
		t.Errorf("influence of a deal a day over a year: %v", got)
	}
}

// TestEveryKPIIsDefined: what a standing holds is in the list, and the list's
// names are distinct.
func TestEveryKPIIsDefined(t *testing.T) {
	judged()
	defined := map[string]bool{}
	for _, k := range KPIs {
		if defined[k.Name] || k.Unit == "" || k.Meaning == "" {
			t.Errorf("%s is defined twice or not at all", k.Name)
		}
		defined[k.Name] = true
	}
	seen := map[string]int{}
	for _, s := range standing {
		for name := range s.KPIs {
			if seen[name]++; !defined[name] {
				t.Fatalf("%s is not defined", name)
			}
		}
	}
	for _, k := range KPIs {
		if seen[k.Name] == 0 && k.Name != "nps" && k.Name != "nps_lo" && k.Name != "nps_hi" {
			t.Errorf("no partner of the synthetic world has %s", k.Name)
		}
	}
	if b, err := json.Marshal(standing[0].KPIs); err != nil || len(b) < 50 {
		t.Errorf("%s, %v", b, err)
	}
}
