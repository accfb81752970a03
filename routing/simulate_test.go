package routing

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"bellwether/datasets/record"
	"bellwether/features"
)

// TestNinetyDays routes a quarter of leads to partners with capacity, working
// days and holidays, some of whom decline: nobody is ever over capacity or asked
// while away, nobody is asked twice for a lead, who comes back from a holiday is
// not flooded, and each lead ends with an offer or a reason.
func TestNinetyDays(t *testing.T) {
	rng := rand.New(rand.NewPCG(7, 7))
	ix, err := NewIndex(Policy{})
	if err != nil {
		t.Fatal(err)
	}
	set := features.NewSet(features.Schema{}, features.Options{})
	st := features.NewState(set)
	st.Advance(day0)
	away := record.Span{From: day0.Add(20 * day), To: day0.Add(41 * day)}
	for i := range 8 {
		p := &record.Partner{ID: record.PartnerID(fmt.Sprintf("p%d", i)), Capacity: record.Capacity{Units: 1 + i, Weekdays: []time.Weekday{1, 2, 3, 4, 5}}}
		if i%2 == 0 {
			p.Capacity.Absences = []record.Span{away}
		}
		ix.Upsert(p)
		st.PutPartner(p)
	}
	r := &Router{Set: set, Index: ix}
	weeks, chains, nobody := map[string]int{}, map[record.LeadID][]record.PartnerID{}, 0
	n := 0
	tell := func(e record.Event) {
		n++
		e.ID, e.KnownAt = record.EventID(fmt.Sprint(n)), e.At
		ix.Observe(&e)
		st.Observe(&e)
	}
	for hour := 0; hour < 90*24; hour += 3 {
		now := day0.Add(time.Duration(hour) * time.Hour)
		st.Advance(now)
		ix.Advance(now)
		lead := &record.Lead{ID: record.LeadID(fmt.Sprint("l", hour)), CreatedAt: now}
		st.PutLead(lead)
		for range 9 {
			d, err := r.Route(lead, st, Request{Now: now, Seed: 11}, nil)
			if err != nil {
				t.Fatal(err)
			}
			if d.Chosen == "" {
				nobody++
				refused := 0
				for _, x := range d.Refusals {
					refused += x.Count
				}
				if refused != 8 || len(d.Reasons) == 0 {
					t.Fatalf("%s at %v: nobody, but %d refusals and reasons %v", lead.ID, now, refused, d.Reasons)
				}
				break
			}
			p := ix.Partner(d.Chosen)
			if wd := now.Weekday(); wd == time.Saturday || wd == time.Sunday || len(p.Capacity.Absences) > 0 && away.Contains(now) {
				t.Fatalf("%s was asked on %v", p.ID, now)
			}
			if slices.Contains(chains[lead.ID], p.ID) {
				t.Fatalf("%s was asked twice for %s", p.ID, lead.ID)
			}
			chains[lead.ID] = append(chains[lead.ID], p.ID)
			tell(record.Event{Type: record.OfferMade, At: now, Partner: p.ID, Lead: lead.ID})
			if rng.IntN(4) == 0 {
				tell(record.Event{Type: record.OfferDeclined, At: now, Partner: p.ID, Lead: lead.ID})
				continue
			}
			year, week := now.ISOWeek()
			key := fmt.Sprintf("%s %d-%d", p.ID, year, week)
			if weeks[key]++; weeks[key] > p.Capacity.Units {
				t.Fatalf("%s has %d leads of %d in week %d", p.ID, weeks[key], p.Capacity.Units, week)
			}
			tell(record.Event{Type: record.OfferAccepted, At: now, Partner: p.ID, Lead: lead.ID})
			break
		}
	}
	// 36 units a week, 40 leads on working days, 16 on the weekend: each week
	// without holidays is full, and what is left over was told so.
	for _, week := range []int{11, 20} {
		total := 0
		for i := range 8 {
			total += weeks[fmt.Sprintf("p%d 2025-%d", i, week)]
		}
		if total != 36 {
			t.Errorf("week %d: %d leads taken of 36 that could be", week, total)
		}
	}
	if nobody < 13*16 || len(chains)+nobody < 90*8 {
		t.Errorf("%d leads with an offer, %d with none, of %d", len(chains), nobody, 90*8)
	}
}
