package features

import (
	"errors"
	"fmt"
	"math"
	"testing"
	"time"

	"bellwether/datasets/record"
	"bellwether/models"

	"pgregory.net/rapid"
)

// scene is a state in which a few things happened, and a way to ask for values.
type scene struct {
	t    *testing.T
	set  *Set
	st   *State
	n    int
	lead *record.Lead
}

func newScene(t *testing.T) *scene {
	lead := &record.Lead{ID: "lead", CreatedAt: worldStart, Account: "acme", Industry: "retail", SizeBand: "50-200", Language: "de", Source: "web", Need: "resale",
		Products: []string{"crm", "voice"}, Place: record.Place{Region: "DE", Lat: 52.52, Lon: 13.405, Located: true}, Marketplace: "azure",
		Value: record.Money{Amount: 100_000, Currency: "EUR"}, CommittedSpend: true, Text: "We love it", Attributes: record.Attributes{
			"channel": record.Text("chat"), "seats": record.Number(12), "tags": record.List("a", "b")}}
	partner := &record.Partner{ID: "p", Kind: "msp", Tier: "gold", Parent: "group", JoinedAt: worldStart.AddDate(0, 0, -10),
		Home: record.Place{Region: "DE", Lat: 48.1372, Lon: 11.5755, Located: true}, Territories: []string{"DE", "AT"}, Industries: []string{"retail"},
		Languages: []string{"de"}, Competences: []record.Competence{{Product: "crm", Level: 3}, {Product: "crm", Level: 5, Span: record.Span{To: worldStart}}},
		Certifications: []record.Certification{{Name: "base", Span: record.Span{To: worldStart.AddDate(0, 0, 30)}}, {Name: "old", Span: record.Span{To: worldStart}}},
		Contract:       record.Span{To: worldStart.AddDate(0, 0, 100)}, Marketplaces: []string{"azure"}, Capacity: record.Capacity{Units: 7},
		Attributes: record.Attributes{"staff": record.Number(40)}}
	var b SchemaBuilder
	b.Lead(lead)
	b.Partner(partner)
	s := &scene{t: t, set: NewSet(b.Schema(), Options{Base: "EUR", Currency: map[string]float64{"USD": 0.5}}), lead: lead}
	s.st = NewState(s.set)
	s.st.Advance(worldStart)
	s.st.PutPartner(partner)
	s.st.PutLead(lead)
	return s
}

// on makes an event happen so many days after the start; fields say the rest.
func (s *scene) on(days float64, kind record.EventType, fields func(*record.Event)) record.EventID {
	s.n++
	e := record.Event{ID: record.EventID(fmt.Sprint("e", s.n)), Type: kind, Partner: "p", At: worldStart.Add(time.Duration(days * 24 * float64(time.Hour)))}
	if fields != nil {
		fields(&e)
	}
	s.st.Observe(&e)
	return e.ID
}

func (s *scene) ofLead(e *record.Event) { e.Lead = "lead" }

func euros(n int64) func(*record.Event) {
	return func(e *record.Event) { e.Amount = record.Money{Amount: 100 * n, Currency: "EUR"} }
}

// want holds features of the lead and the partner, so many days after the start,
// against values.
func (s *scene) want(days float64, values map[string]float64) {
	s.t.Helper()
	now := worldStart.Add(time.Duration(days * 24 * float64(time.Hour)))
	s.st.Advance(now)
	var view LeadView
	x := make([]float64, s.set.Width())
	s.set.Prepare(&view, s.lead, s.st, now)
	s.set.Row(x, &view, s.st.Partner("p"))
	for name, want := range values {
		i, ok := s.set.Column(name)
		if !ok {
			s.t.Errorf("no feature %s", name)
			continue
		}
		if got := x[i]; math.Abs(got-want) > 1e-6*math.Max(1, math.Abs(want)) || math.IsNaN(got) != math.IsNaN(want) {
			s.t.Errorf("%s on day %v is %v, want %v", name, days, got, want)
		}
	}
}

func TestWhatTheRecordsSay(t *testing.T) {
	s := newScene(t)
	code := models.Code
	s.want(4.5, map[string]float64{
		"lead_source": code("web"), "lead_need": code("resale"), "lead_industry": code("retail"), "lead_size_band": code("50-200"), "lead_region": code("DE"),
		"lead_language": code("de"), "lead_marketplace": code("azure"), "lead_product": code("crm"), "lead_products": 2, "lead_value_log": math.Log1p(1000),
		"lead_value_known": 1, "lead_committed_spend": 1, "lead_text_length": 10, "lead_latitude": 52.52, "lead_longitude": 13.405,
		"lead_weekday": 5, "lead_hour": 12, "lead_season_cos": math.Cos(view(4.5)), "lead_season_sin": math.Sin(view(4.5)), "lead_age": 108,
		"lead_account_leads": 0, "lead_account_wins": 0, "lead_account_days_since_lead": missing, "lead_account_days_since_win": missing,
		"lead_attr_channel": code("chat"), "lead_attr_seats": 12, "lead_attr_tags": code("a"), "lead_attr_tags.count": 2,
		"partner_id": code("p"), "partner_kind": code("msp"), "partner_parent": code("group"), "partner_region": code("DE"), "partner_tier": code("gold"),
		"partner_status": code("active"), "partner_latitude": 48.1372, "partner_longitude": 11.5755, "partner_competences": 2, "partner_territories": 2,
		"partner_industries": 1, "partner_languages": 1, "partner_marketplaces": 1, "partner_capacity": 1, "partner_tenure": 14, "partner_certificates": 1,
		"partner_certificate_days": 26, "partner_contract_days": 96, "partner_attr_staff": 40, "partner_days_since_activity": missing,
		"pair_competence_share": 0.5, "pair_competence_level": 3, "pair_language_match": 1, "pair_industry_match": 1, "pair_territory_match": 1,
		"pair_marketplace_match": 1, "pair_same_region": 1, "pair_distance": 504.30792267562,
		"pair_account_offers": 0, "pair_account_wins": 0, "pair_account_days": missing, "pair_account_overlap": 0, "pair_registered": 0,
	})
}

// view is the angle of the time of year so many days after the start.
func view(days float64) float64 {
	v := LeadView{moment: moment{now: worldStart.Unix() + int64(days*secondsPerDay)}}
	return v.yearAngle()
}

func TestWhatEventsAddUpTo(t *testing.T) {
	s := newScene(t)
	s.on(1, record.OfferMade, s.ofLead)
	s.on(1.25, record.OfferAccepted, s.ofLead)
	s.want(1.5, map[string]float64{"partner_offers_7d": 1, "partner_accepts_life": 1, "partner_waiting": 0, "partner_working": 1, "partner_load": 1,
		"partner_week_load": 1.0 / 7, "partner_response_hours": 6, "partner_response_hours_91d": 6, "pair_account_offers": 1, "pair_account_days": 0, "lead_attempt": 1,
		"partner_days_since_offer": 0, "partner_days_since_accept": 0})
	s.on(10, record.DealWon, func(e *record.Event) { s.ofLead(e); euros(5000)(e) })
	s.on(20, record.OrderPlaced, func(e *record.Event) { e.Amount = record.Money{Amount: 100_000, Currency: "USD"} })
	s.on(40, record.OrderPlaced, euros(700))
	s.want(40, map[string]float64{"partner_wins_28d": 0, "partner_wins_91d": 1, "partner_revenue_life": 5000, "partner_orders_28d": 2, "partner_order_revenue_28d": 1200,
		"partner_business_life": 3, "partner_business_revenue_life": 6200, "partner_business_gap": 15, "partner_business_overdue": 0, "partner_working": 0,
		"partner_days_since_win": 30, "partner_days_since_order": 0, "partner_days_since_business": 0, "partner_days_since_first_business": 30,
		"partner_decided_log": math.Log(2), "pair_account_wins": 1, "lead_account_wins": 1, "lead_account_days_since_win": 30, "lead_account_revenue_log": math.Log1p(5000),
		"pair_industry_decided": 1, "pair_product_decided": 2, "pair_attr_channel_decided": 1, "pair_industry_win_rate": (1 + 10*expected(s, "pair_industry_win_rate")) / 11,
		"partner_deal_size_log": math.Log1p(6200.0 / 3)})
	s.want(50, map[string]float64{"partner_orders_28d": 1, "partner_business_overdue": 10.0 / 15, "partner_orders_7d": 0})
}

// expected is what partner and segment say apart, of a pair feature with one
// known outcome: the value before the partner's own count moves it.
func expected(s *scene, name string) float64 {
	st := s.st
	var view LeadView
	s.set.Prepare(&view, s.lead, st, st.Now())
	p := st.Partner("p")
	prior := st.segments.prior(p.profile.tierKey, winRate)
	o := odds((1+prior.rate*prior.strength)/(1+prior.strength)) * view.segments[byIndustry].odds
	return o / (1 + o)
}

func TestWhatElseAPartnerDoes(t *testing.T) {
	s := newScene(t)
	for range 3 {
		s.on(2, record.PortalLogin, nil)
	}
	s.on(2, record.TrainingView, nil)
	s.on(3, record.Survey, func(e *record.Event) { e.Numbers = map[string]float64{"score": 9} })
	s.on(4, record.Survey, func(e *record.Event) { e.Numbers = map[string]float64{"score": 4} })
	s.on(4, record.Message, func(e *record.Event) { e.Direction, e.Text = "in", "This is terrible, I am very angry" })
	s.on(4, record.Message, func(e *record.Event) { e.Direction, e.Numbers = "in", map[string]float64{"sentiment": 0.5} })
	s.on(4, record.Message, func(e *record.Event) { e.Direction, e.Text = "out", "Great, thank you" })
	s.on(5, record.SupportCase, func(e *record.Event) { e.Numbers = map[string]float64{"severity": 2} })
	s.on(5, record.Trained, nil)
	s.on(5, record.Certified, func(e *record.Event) { e.Text, e.Until = "new", worldStart.AddDate(0, 0, 20) })
	s.on(5, record.IntegrationActivated, nil)
	s.on(5, record.Touch, nil)
	s.on(5, record.Payout, euros(30))
	s.on(6, record.AccountOverlap, func(e *record.Event) { e.Account, e.Numbers = "acme", map[string]float64{"count": 3} })
	s.on(6, record.DealRegistered, func(e *record.Event) { e.Account, e.Until = "acme", worldStart.AddDate(0, 0, 30) })
	s.on(6, record.TierChanged, func(e *record.Event) { e.Text = "silver" })
	s.on(6, record.StatusChanged, func(e *record.Event) { e.Text = "suspended" })
	s.on(6, record.ContractRenewed, func(e *record.Event) { e.Until = worldStart.AddDate(0, 0, 207) })
	s.want(7, map[string]float64{"partner_portal_7d": 4, "partner_portal_28d": 4, "partner_survey_mean": 6.5, "partner_survey_last": 4, "partner_surveys_life": 2,
		"partner_messages_28d": 2, "partner_support_28d": 1, "partner_support_severity": 2, "partner_trainings_life": 2, "partner_certificates": 2,
		"partner_certificate_days": 13, "partner_integrations": 1, "partner_touches_28d": 1, "partner_payouts_91d": 30, "partner_overlaps": 1, "partner_accounts": 1,
		"pair_account_overlap": 3, "pair_registered": 1, "partner_registered_28d": 1, "partner_tier": models.Code("silver"), "partner_status": models.Code("suspended"),
		"partner_contract_days": 200, "partner_days_since_portal": 5, "partner_days_since_survey": 3, "partner_days_since_message": 3, "partner_days_since_activity": 1,
		"partner_portal_velocity": math.Log(5), "partner_activity_7d": 14, "partner_activity_life": 14, "pair_account_days": 1})
	if x := value(s, 7, "partner_sentiment_28d"); !(x > -0.3 && x < 0.3) {
		t.Errorf("the mean of an angry message and of 0.5 is %v", x)
	}
	s.on(8, record.ContractLapsed, nil)
	s.want(40, map[string]float64{"pair_registered": 0, "partner_contract_days": -32, "partner_portal_velocity": -math.Log(4.0/3 + 1)})
}

func value(s *scene, days float64, name string) float64 {
	x := math.NaN()
	s.st.Advance(worldStart.Add(time.Duration(days * 24 * float64(time.Hour))))
	row := make([]float64, s.set.Width())
	var view LeadView
	s.set.Prepare(&view, s.lead, s.st, s.st.Now())
	s.set.Row(row, &view, s.st.Partner("p"))
	if i, ok := s.set.Column(name); ok {
		x = row[i]
	}
	return x
}

func TestAnEventKnownLateFallsIntoItsDay(t *testing.T) {
	s := newScene(t)
	s.st.Advance(worldStart.AddDate(0, 0, 50))
	s.want(50, map[string]float64{"partner_orders_28d": 0, "partner_orders_91d": 0})
	s.on(10, record.OrderPlaced, func(e *record.Event) { e.KnownAt = worldStart.AddDate(0, 0, 50) })
	s.want(50, map[string]float64{"partner_orders_28d": 0, "partner_orders_91d": 1, "partner_days_since_order": 40})
}

func TestACorrectionTakesBackWhatItNames(t *testing.T) {
	untouched := map[string]float64{"partner_wins_life": 0, "partner_losses_life": 1, "partner_revenue_life": 0, "partner_decided_log": math.Log(2),
		"partner_business_life": 0, "pair_industry_decided": 1, "pair_account_wins": 0, "lead_account_wins": 0, "partner_working": 0}
	s := newScene(t)
	s.on(1, record.OfferMade, s.ofLead)
	s.on(1, record.OfferAccepted, s.ofLead)
	wrong := s.on(5, record.DealWon, func(e *record.Event) { s.ofLead(e); euros(900)(e) })
	s.on(6, record.DealLost, s.ofLead) // contradicts without saying so: nothing
	s.want(6, map[string]float64{"partner_wins_life": 1, "partner_losses_life": 0, "lead_account_wins": 1})
	s.on(7, record.DealLost, func(e *record.Event) { s.ofLead(e); e.Supersedes = wrong })
	s.want(8, untouched)
	if rate := value(s, 8, "partner_win_rate"); !(rate < 0.5) {
		t.Errorf("the win rate after a correction to lost is %v", rate)
	}
	declined := s.on(10, record.OfferMade, func(e *record.Event) { s.ofLead(e); e.Offer = "second" })
	_ = declined
	no := s.on(11, record.OfferDeclined, func(e *record.Event) { s.ofLead(e); e.Offer = "second" })
	s.want(11, map[string]float64{"partner_declines_life": 1, "partner_waiting": 0, "pair_industry_decided": 2})
	s.on(12, record.OfferAccepted, func(e *record.Event) { s.ofLead(e); e.Offer, e.Supersedes = "second", no })
	s.want(12, map[string]float64{"partner_declines_life": 0, "partner_accepts_life": 2, "partner_working": 1, "pair_industry_decided": 1, "partner_response_hours": 24})
}

func TestACorrectionMayMoveAWinToAnotherPartner(t *testing.T) {
	s := newScene(t)
	wrong := s.on(1, record.DealWon, func(e *record.Event) { e.Account = "acme"; euros(900)(e) })
	s.on(2, record.DealWon, func(e *record.Event) { e.Partner, e.Account, e.Supersedes = "q", "acme", wrong; euros(900)(e) })
	s.want(3, map[string]float64{"partner_wins_life": 0, "partner_revenue_life": 0, "lead_account_wins": 1, "lead_account_revenue_log": math.Log1p(900)})
	if q := s.st.Partner("q"); q.series[wins].n[life] != 1 {
		t.Error("the win did not arrive")
	}
}

func TestAPartnerWithoutATierIsShrunkToEveryone(t *testing.T) {
	s := newScene(t)
	s.on(1, record.OfferMade, s.ofLead)
	s.on(1, record.DealWon, s.ofLead) // so that its tier, gold, has counts
	s.on(1, record.PortalLogin, func(e *record.Event) { e.Partner = "q" })
	s.st.Advance(worldStart.AddDate(0, 0, 2))
	var v partnerView
	v.prepare(s.st.Partner("q"), s.st, s.st.today)
	if global := s.st.segments.global[winRate].rate; v.win.mean != global || global == 0.5 {
		t.Errorf("win rate %v, want everyone's, %v", v.win.mean, global)
	}
}

func TestSegmentsMoveAtMidnightOnly(t *testing.T) {
	s := newScene(t)
	s.on(1, record.OfferMade, func(e *record.Event) { s.ofLead(e); e.Partner = "q" })
	version := s.st.Partner("p").Version
	s.on(1.1, record.DealWon, func(e *record.Event) { s.ofLead(e); e.Partner = "q" })
	s.want(1.9, map[string]float64{"lead_industry_decided_log": 0, "lead_global_win_rate": 0.5})
	s.want(2, map[string]float64{"lead_industry_decided_log": math.Log(2), "lead_global_win_rate": 2.0 / 3})
	if s.st.Partner("p").Version != version {
		t.Error("another partner's event moved this one's version")
	}
}

// What a pair is expected to win is the partner's odds, moved by the root of what
// the lead's segments say beside everyone.
func TestExpectedRate(t *testing.T) {
	s := newScene(t)
	for day := range 9 {
		s.on(float64(day)+0.1, record.OfferMade, func(e *record.Event) { s.ofLead(e); e.Partner = "q" })
		s.on(float64(day)+0.2, record.DealWon, func(e *record.Event) { s.ofLead(e); e.Partner = "q" })
	}
	odds := func(name string) float64 { p := value(s, 12, name); return p / (1 - p) }
	moved := 1.0
	for _, name := range dimensionNames {
		if rate := "lead_" + name + "_win_rate"; !math.IsNaN(value(s, 12, rate)) {
			moved *= odds(rate) / odds("lead_global_win_rate")
		}
	}
	if moved == 1 {
		t.Fatal("the segments say nothing")
	}
	o := odds("partner_win_rate") * math.Sqrt(moved)
	s.want(12, map[string]float64{"pair_expected_rate": o / (1 + o)})
}

func TestPartnersMerge(t *testing.T) {
	s := newScene(t)
	s.on(1, record.OrderPlaced, euros(10))
	s.on(1, record.OrderPlaced, func(e *record.Event) { e.Partner = "q"; euros(5)(e) })
	s.on(2, record.OfferMade, func(e *record.Event) { s.ofLead(e); e.Partner = "q" })
	s.on(3, record.PartnerMerged, func(e *record.Event) { e.Other = "q" })
	s.on(4, record.DealWon, s.ofLead) // of the offer that q brought with it
	s.want(4, map[string]float64{"partner_orders_life": 2, "partner_order_revenue_28d": 15, "partner_offers_life": 1, "pair_industry_decided": 1, "partner_waiting": 0})
	if q := s.st.Partner("q"); q.series[orders].n[life] != 0 {
		t.Error("what was taken over is counted twice")
	}
}

func TestRowsDoNotAllocate(t *testing.T) {
	st, _ := online(t, world{partners: 5, events: 3000, days: 60, seed: 1}, world{partners: 5, events: 3000, days: 60, seed: 1}.set())
	set, lead := st.set, world{partners: 5, events: 3000, days: 60, seed: 1}.lead(7)
	var view LeadView
	x := make([]float64, set.Width())
	p, now := st.byID[2], st.Now()
	if n := testing.AllocsPerRun(100, func() {
		set.Prepare(&view, lead, st, now)
		set.Row(x, &view, p)
	}); n >= 1 {
		t.Errorf("a row allocates %v times", n)
	}
}

func TestUnmarshalRefusesWhatIsNotItsOwn(t *testing.T) {
	s := newScene(t)
	s.on(1, record.OfferMade, s.ofLead)
	b, err := s.st.MarshalBinary()
	if err != nil {
		t.Fatal(err)
	}
	for name, b := range map[string][]byte{"empty": nil, "cut off": b[:len(b)-3], "longer": append(append([]byte{}, b...), 0), "foreign": []byte("something else altogether")} {
		st := NewState(s.set)
		var e *record.Error
		if err := st.UnmarshalBinary(b); !errors.As(err, &e) || e.Kind != record.Incompatible || len(st.byID) != 0 {
			t.Errorf("%s: %v, %d partners", name, err, len(st.byID))
		}
	}
	other := NewState(NewSet(Schema{}, Options{}))
	if err := other.UnmarshalBinary(b); record.KindOf(err) != record.Incompatible {
		t.Errorf("a state of another feature set: %v", err)
	}
}

func FuzzUnmarshal(f *testing.F) {
	w := world{partners: 2, events: 60, days: 40, seed: 3}
	set := w.set()
	st := NewState(set)
	_ = w.Partners(f.Context(), func(p *record.Partner) error { st.PutPartner(p); return nil })
	for i := range w.leads() {
		st.PutLead(w.lead(i))
	}
	_ = w.Events(f.Context(), func(batch []record.Event) error {
		for i := range batch {
			st.Observe(&batch[i])
		}
		return nil
	})
	whole, err := st.MarshalBinary()
	if err != nil {
		f.Fatal(err)
	}
	head := len(stateMagic) + len(set.fingerprint)
	f.Add(whole[head:])
	f.Add([]byte{})
	f.Fuzz(func(t *testing.T, body []byte) {
		st := NewState(set)
		if err := st.UnmarshalBinary(append(append([]byte(stateMagic), set.fingerprint...), body...)); err != nil {
			return
		}
		// What was read must be usable and written the same way again.
		var view LeadView
		row := make([]float64, set.Width())
		set.Prepare(&view, w.lead(0), st, st.Now())
		for p := range st.Partners() {
			set.Row(row, &view, p)
		}
		once, err := st.MarshalBinary()
		if err != nil {
			t.Fatal(err)
		}
		again := NewState(set)
		if err := again.UnmarshalBinary(once); err != nil {
			t.Fatalf("does not read what it wrote: %v", err)
		}
	})
}

func TestSegmentWinsTakesBackTheShrinking(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		rate := rapid.Float64Range(0.001, 0.999)
		n := rapid.IntRange(1, 5000).Draw(t, "n")
		wins := rapid.IntRange(0, n).Draw(t, "wins")
		partner, of, everyone := rate.Draw(t, "partner"), rate.Draw(t, "segment"), rate.Draw(t, "everyone")
		g := segment{keys: 1, rate: of, odds: odds(of) / odds(everyone)}
		key := segmentKey(byIndustry, models.Code("retail"))
		p := &PartnerState{}
		*p.segments.put(key) = tally{n: int32(n), pos: int32(wins)}
		lead := &leadState{words: []uint64{key}}
		s := p.beside(&g, lead, odds(partner))
		if got := SegmentWins(s.decided, s.rate, partner, of, everyone); got != float64(wins) {
			t.Fatalf("%v wins of %d, want %d", got, n, wins)
		}
	})
}
