package features

import (
	"context"
	"fmt"
	"math/rand/v2"
	"time"

	"bellwether/datasets/record"
)

// world streams a made-up log of any length in bounded memory: the same seed
// gives the same log.
type world struct {
	partners, events, days int
	seed                   uint64
}

var worldStart = time.Date(2024, 1, 1, 0, 0, 0, 0, time.UTC)

func pick[T any](r *rand.Rand, list []T) T { return list[r.IntN(len(list))] }

var (
	someIndustries = []string{"retail", "health", "finance", "public", "energy", "media", "food", "cars"}
	someProducts   = []string{"crm", "erp", "cloud", "security", "data", "voice"}
	someRegions    = []string{"DE", "FR", "IT", "ES", "PL", "SE", "NL"}
	someSources    = []string{"web", "event", "referral", "cold"}
	someTiers      = []string{"gold", "silver", "bronze"}
)

func (w world) Partners(_ context.Context, f func(*record.Partner) error) error {
	r := rand.New(rand.NewPCG(w.seed, 1))
	for i := range w.partners {
		p := &record.Partner{
			ID: record.PartnerID(fmt.Sprintf("partner-%05d", i)), Tier: pick(r, someTiers), Kind: "reseller",
			Home:        record.Place{Region: pick(r, someRegions), Lat: 40 + 15*r.Float64(), Lon: 20 * r.Float64(), Located: true},
			Territories: []string{pick(r, someRegions), pick(r, someRegions)}, Industries: []string{pick(r, someIndustries)},
			Languages:      []string{"de", "en"},
			Competences:    []record.Competence{{Product: pick(r, someProducts), Level: 3}, {Product: pick(r, someProducts), Level: 1}},
			Certifications: []record.Certification{{Name: "base", Span: record.Span{To: worldStart.AddDate(1, i%12, 0)}}},
			Contract:       record.Span{From: worldStart.AddDate(-1, 0, 0), To: worldStart.AddDate(2, 0, 0)},
			Capacity:       record.Capacity{Units: 1 + r.IntN(20)}, JoinedAt: worldStart.AddDate(0, -r.IntN(30), 0),
			Attributes: record.Attributes{"revenue": record.Number(float64(r.IntN(1000))), "focus": record.Text(pick(r, someIndustries))},
		}
		if err := f(p); err != nil {
			return err
		}
	}
	return nil
}

// leads is how many leads the log has: a twentieth of its events.
func (w world) leads() int { return max(1, w.events/20) }

func (w world) leadTime(i int) time.Time {
	return worldStart.Add(time.Duration(float64(w.days) * 24 * float64(time.Hour) * float64(i) / float64(w.leads()))).Truncate(time.Second)
}

func (w world) lead(i int) *record.Lead {
	r := rand.New(rand.NewPCG(w.seed, uint64(i)<<8|2))
	return &record.Lead{
		ID: record.LeadID(fmt.Sprintf("lead-%08d", i)), CreatedAt: w.leadTime(i), Account: record.AccountID(fmt.Sprintf("account-%07d", r.IntN(1+w.leads()/2))),
		Industry: pick(r, someIndustries), SizeBand: fmt.Sprint(r.IntN(5)), Language: "de", Source: pick(r, someSources),
		Place:    record.Place{Region: pick(r, someRegions), Lat: 40 + 15*r.Float64(), Lon: 20 * r.Float64(), Located: true},
		Products: []string{pick(r, someProducts)}, Need: "resale", Value: record.Money{Amount: int64(r.IntN(1e7)), Currency: "EUR"},
		Attributes: record.Attributes{"channel": record.Text(pick(r, someSources)), "seats": record.Number(float64(r.IntN(500)))},
	}
}

func (w world) Leads(_ context.Context, f func(*record.Lead) error) error {
	for i := range w.leads() {
		if err := f(w.lead(i)); err != nil {
			return err
		}
	}
	return nil
}

func (w world) Events(_ context.Context, f func([]record.Event) error) error {
	r := rand.New(rand.NewPCG(w.seed, 3))
	type open struct{ partner, lead, stage int }
	var opened []open // a window of offers that wait for an answer or an outcome
	batch := make([]record.Event, 0, 1024)
	ids := newIDs(w)
	for i := range w.events {
		lead := i * w.leads() / w.events
		at := worldStart.Add(time.Duration(float64(w.days) * 24 * float64(time.Hour) * float64(i) / float64(w.events))).Truncate(time.Second)
		e := record.Event{ID: ids.event(i), At: at, Partner: ids.partner(r.IntN(w.partners))}
		if r.IntN(20) == 0 { // known late
			e.At = at.Add(-time.Duration(r.IntN(10*24)) * time.Hour)
			e.KnownAt = at
		}
		switch k := r.IntN(100); {
		case k < 6:
			e.Type, e.Lead, e.At, e.KnownAt = record.OfferMade, ids.lead(lead), at, time.Time{}
			opened = append(opened, open{partnerNumber(e.Partner), lead, 0})
		case k < 16 && len(opened) > 0:
			j := r.IntN(len(opened))
			o := &opened[j]
			e.Partner, e.Lead = ids.partner(o.partner), ids.lead(o.lead)
			switch {
			case o.stage == 0 && r.IntN(3) > 0:
				e.Type, o.stage = record.OfferAccepted, 1
			case o.stage == 0:
				e.Type, e.Reason = pick(r, []record.EventType{record.OfferDeclined, record.OfferExpired}), ""
				opened[j] = opened[len(opened)-1]
				opened = opened[:len(opened)-1]
			default:
				e.Type, e.Amount = record.DealLost, record.Money{}
				if (o.partner+o.lead)%3 == 0 {
					e.Type, e.Amount = record.DealWon, record.Money{Amount: int64(r.IntN(1e6)), Currency: "EUR"}
				}
				opened[j] = opened[len(opened)-1]
				opened = opened[:len(opened)-1]
			}
		case k < 20:
			e.Type, e.Amount = record.OrderPlaced, record.Money{Amount: int64(r.IntN(1e6)), Currency: "EUR"}
		case k < 24:
			e.Type, e.Text, e.Direction = record.Message, pick(r, []string{"thank you, great help", "we are very disappointed", "see the file"}), "in"
		case k < 26:
			e.Type, e.Numbers = record.Survey, ids.score[r.IntN(11)]
		case k < 30:
			e.Type = pick(r, []record.EventType{record.Trained, record.SupportCase, record.Touch, record.DealStage})
		default:
			e.Type = pick(r, []record.EventType{record.PortalLogin, record.PortalDownload, record.TrainingView})
		}
		batch = append(batch, e)
		if len(batch) == cap(batch) || i == w.events-1 {
			if err := f(batch); err != nil {
				return err
			}
			batch = batch[:0]
		}
	}
	return nil
}

func partnerNumber(id record.PartnerID) int {
	n := 0
	for _, c := range id[len("partner-"):] {
		n = 10*n + int(c-'0')
	}
	return n
}

// ids makes identifiers, partners' from a list so that a generator costs little.
type ids struct {
	partners []record.PartnerID
	score    [11]map[string]float64
}

func newIDs(w world) *ids {
	s := &ids{}
	for i := range w.partners {
		s.partners = append(s.partners, record.PartnerID(fmt.Sprintf("partner-%05d", i)))
	}
	for i := range s.score {
		s.score[i] = map[string]float64{"score": float64(i)}
	}
	return s
}

func (s *ids) partner(i int) record.PartnerID { return s.partners[i] }

func padded(prefix string, n, i int) string {
	b := append(make([]byte, 0, 24), prefix...)
	for range n {
		b = append(b, '0')
	}
	for k := len(b) - 1; i > 0; k, i = k-1, i/10 {
		b[k] = byte('0' + i%10)
	}
	return string(b)
}

func (s *ids) event(i int) record.EventID { return record.EventID(padded("event-", 10, i)) }
func (s *ids) lead(i int) record.LeadID   { return record.LeadID(padded("lead-", 8, i)) }

func (w world) set() *Set {
	var b SchemaBuilder
	ctx := context.Background()
	_ = w.Partners(ctx, func(p *record.Partner) error { b.Partner(p); return nil })
	for i := range min(50, w.leads()) {
		b.Lead(w.lead(i))
	}
	return NewSet(b.Schema(), Options{})
}
