package features_test

import (
	"fmt"
	"time"

	"bellwether/datasets/record"
	"bellwether/features"
)

// A row says what was known at the time: nothing of a win that was not told yet,
// and nothing of an answer that has left the window.
func ExampleState() {
	monday := time.Date(2026, 3, 2, 9, 0, 0, 0, time.UTC)
	set := features.NewSet(features.Schema{}, features.Options{})
	st := features.NewState(set)
	st.Advance(monday)
	st.PutPartner(&record.Partner{ID: "north", Tier: "gold", KnownAt: monday})
	lead := &record.Lead{ID: "l1", CreatedAt: monday, Industry: "health"}
	st.PutLead(lead)

	tell := func(id record.EventID, kind record.EventType, day int) {
		at := monday.AddDate(0, 0, day)
		st.Observe(&record.Event{ID: id, Type: kind, At: at, KnownAt: at, Partner: "north", Lead: lead.ID})
	}
	value := func(name string) float64 {
		var view features.LeadView
		row := make([]float64, set.Width())
		set.Prepare(&view, lead, st, st.Now())
		set.LeadRow(row, &view)
		_, partner, pair := set.Sides()
		set.PartnerRow(row[partner:pair], st.Partner("north"), st, st.Now())
		set.PairRow(row[pair:], &view, st.Partner("north"))
		i, _ := set.Column(name)
		return row[i]
	}
	tell("e1", record.OfferMade, 0)
	tell("e2", record.OfferAccepted, 1)
	fmt.Println("accepted in four weeks:", value("partner_accepts_28d"), "- won:", value("partner_wins_28d"))
	tell("e3", record.DealWon, 20)
	fmt.Println("accepted in four weeks:", value("partner_accepts_28d"), "- won:", value("partner_wins_28d"))
	st.Advance(monday.AddDate(0, 0, 40))
	fmt.Println("accepted in four weeks:", value("partner_accepts_28d"), "- won:", value("partner_wins_28d"))
	// Output:
	// accepted in four weeks: 1 - won: 0
	// accepted in four weeks: 1 - won: 1
	// accepted in four weeks: 0 - won: 1
}
