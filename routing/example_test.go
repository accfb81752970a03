package routing_test

import (
	"fmt"
	"time"

	"bellwether/datasets/record"
	"bellwether/features"
	"bellwether/routing"
)

// Three partners and no model yet: the rules decide who may have the lead, and
// the decision says why the others may not.
func ExampleRouter_Route() {
	now := time.Date(2026, 3, 2, 9, 0, 0, 0, time.UTC)
	index, err := routing.NewIndex(routing.Policy{})
	if err != nil {
		fmt.Println(err)
		return
	}
	set := features.NewSet(features.Schema{}, features.Options{})
	st := features.NewState(set)
	st.Advance(now)
	for _, p := range []record.Partner{
		{ID: "north", Territories: []string{"DE"}, Competences: []record.Competence{{Product: "crm", Level: 3}}},
		{ID: "south", Territories: []string{"IT"}, Competences: []record.Competence{{Product: "crm", Level: 5}}},
		{ID: "west", Territories: []string{"DE"}, Competences: []record.Competence{{Product: "voice", Level: 4}}},
	} {
		index.Upsert(&p)
		st.PutPartner(&p)
	}
	router := &routing.Router{Set: set, Index: index}
	lead := &record.Lead{ID: "l1", CreatedAt: now, Place: record.Place{Region: "DE"}, Products: []string{"crm"}}
	d, err := router.Route(lead, st, routing.Request{Now: now, Seed: 1}, new(routing.Case))
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Printf("%s, drawn with probability %v; degraded: %v\n", d.Chosen, d.Propensity, d.Degraded)
	for _, r := range d.Refusals {
		names, _ := index.Names(r)
		fmt.Println("refused by", r.Rule, names)
	}
	// Output:
	// north, drawn with probability 1; degraded: true
	// refused by territory [south]
	// refused by competence [west]
}
