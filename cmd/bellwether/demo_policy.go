package main

import (
	"cmp"
	"context"
	"fmt"
	"math"
	"slices"
	"strconv"
	"time"

	"bellwether/datasets/record"
	"bellwether/datasets/synth"
	"bellwether/features"
	"bellwether/routing"
)

// comparison judges policies on a synthetic world, where the truth is known:
// each chooses for the same leads under the same rules, with a capacity of its
// own, and is scored by the true P(accept) x P(win) of its choices. A lead that
// nobody is eligible for scores 0 for everybody.
type comparison struct {
	world    *synth.World
	partners []record.Partner
	leads    []record.Lead  // by CreatedAt
	events   []record.Event // by Known
	set      *features.Set
	model    *routing.Model
	policy   routing.Policy
	from     time.Time // leads created before it belong to training
}

// contender is one policy with the index that counts what it has given out.
type contender struct {
	name   string
	index  *routing.Index
	choose func(*contest) record.PartnerID
	total  float64
}

// contest is one lead as a contender sees it.
type contest struct {
	c        *comparison
	lead     *record.Lead
	now      time.Time
	index    *routing.Index
	state    *features.State
	eligible []record.PartnerID
}

// run returns each policy's mean value per lead, and the number of leads.
func (c *comparison) run(ctx context.Context, progress func(done, total int64)) (map[string]float64, int, error) {
	contenders, err := c.contenders()
	if err != nil {
		return nil, 0, err
	}
	state := features.NewState(c.set)
	for i := range c.partners {
		state.PutPartner(&c.partners[i])
		for _, k := range contenders {
			k.index.Upsert(&c.partners[i])
		}
	}
	next, n := 0, 0
	for i := range c.leads {
		lead := &c.leads[i]
		for ; next < len(c.events) && !c.events[next].Known().After(lead.CreatedAt); next++ {
			state.Observe(&c.events[next])
			for _, k := range contenders {
				if !ofOffer(c.events[next].Type) {
					k.index.Observe(&c.events[next])
				}
			}
		}
		if lead.CreatedAt.Before(c.from) {
			state.PutLead(lead)
			continue
		}
		if err := ctx.Err(); err != nil {
			return nil, 0, err
		}
		state.Advance(lead.CreatedAt)
		for _, k := range contenders {
			k.index.Advance(lead.CreatedAt)
			k.play(c, state, lead)
		}
		state.PutLead(lead)
		n++
		progress(int64(i), int64(len(c.leads)))
	}
	progress(int64(len(c.leads)), int64(len(c.leads)))
	values := map[string]float64{}
	for _, k := range contenders {
		values[k.name] = k.total / math.Max(1, float64(n))
	}
	return values, n, nil
}

// ofOffer reports whether an event belongs to the past policy's offers; every
// contender makes its own.
func ofOffer(t record.EventType) bool {
	switch t {
	case record.OfferMade, record.OfferAccepted, record.OfferDeclined, record.OfferExpired, record.OfferWithdrawn, record.OfferSuperseded:
		return true
	}
	return false
}

func (k *contender) play(c *comparison, state *features.State, lead *record.Lead) {
	now := lead.CreatedAt
	game := &contest{c: c, lead: lead, now: now, index: k.index, state: state}
	for _, number := range k.index.Eligible(lead, now, nil).Numbers {
		game.eligible = append(game.eligible, k.index.At(number).ID)
	}
	slices.Sort(game.eligible)
	chosen := k.choose(game)
	if chosen == "" {
		return
	}
	k.total += c.truth(lead, chosen)
	k.index.Observe(&record.Event{ID: record.EventID("demo-" + lead.ID), Type: record.OfferMade, At: now, KnownAt: now, Partner: chosen, Lead: lead.ID, Account: lead.Account})
}

func (c *comparison) truth(lead *record.Lead, id record.PartnerID) float64 {
	return c.world.Accept(lead, id, lead.CreatedAt) * c.world.Win(lead, id, lead.CreatedAt)
}

func (c *comparison) contenders() ([]*contender, error) {
	list := []*contender{
		{name: "bellwether", choose: bellwether()},
		{name: "historical", choose: c.historical()},
		{name: "territory", choose: territory()},
		{name: "round_robin", choose: roundRobin()},
		{name: "best_rate", choose: bestRate},
		{name: "oracle", choose: oracle},
	}
	for _, k := range list {
		var err error
		if k.index, err = routing.NewIndex(c.policy); err != nil {
			return nil, err
		}
	}
	return list, nil
}

// bellwether routes as the engine does, exploration included.
func bellwether() func(*contest) record.PartnerID {
	scratch := &routing.Case{}
	return func(g *contest) record.PartnerID {
		router := routing.Router{Set: g.c.set, Index: g.index, Model: g.c.model}
		d, err := router.Route(g.lead, g.state, routing.Request{Now: g.now, Seed: 1, ID: record.DecisionID(g.lead.ID)}, scratch)
		if err != nil {
			panic(fmt.Sprintf("a valid lead of our own cannot be routed: %v", err))
		}
		return d.Chosen
	}
}

// historical repeats what the past policy did with the lead at first.
func (c *comparison) historical() func(*contest) record.PartnerID {
	first := map[record.LeadID]record.PartnerID{}
	for i := range c.events {
		e := &c.events[i]
		if _, seen := first[e.Lead]; e.Type == record.OfferMade && !seen {
			first[e.Lead] = e.Partner
		}
	}
	return func(g *contest) record.PartnerID { return first[g.lead.ID] }
}

// territory gives a lead to a partner at home in its region, in turn; where
// there is none, to any eligible one in turn.
func territory() func(*contest) record.PartnerID {
	last := map[string]record.PartnerID{}
	return func(g *contest) record.PartnerID {
		region := g.lead.Place.Region
		var home []record.PartnerID
		for _, id := range g.eligible {
			if region != "" && g.index.Partner(id).Home.Region == region {
				home = append(home, id)
			}
		}
		if len(home) == 0 {
			home, region = g.eligible, ""
		}
		last[region] = after(home, last[region])
		return last[region]
	}
}

func roundRobin() func(*contest) record.PartnerID {
	var last record.PartnerID
	return func(g *contest) record.PartnerID {
		if id := after(g.eligible, last); id != "" {
			last = id
			return id
		}
		return ""
	}
}

// after returns the first of the sorted ids behind last, going round; empty
// where there are none.
func after(ids []record.PartnerID, last record.PartnerID) record.PartnerID {
	if len(ids) == 0 {
		return ""
	}
	at, found := slices.BinarySearch(ids, last)
	if found {
		at++
	}
	return ids[at%len(ids)]
}

// bestRate takes the partner with the best shrunk win rate of the last year,
// whatever the lead: what a leaderboard of partners would do.
func bestRate(g *contest) record.PartnerID {
	column, ok := g.c.set.Column(bestRateFeature)
	if !ok {
		panic("no feature " + bestRateFeature)
	}
	_, partnerFrom, pairFrom := g.c.set.Sides()
	row := make([]float64, pairFrom-partnerFrom)
	best, at := math.Inf(-1), record.PartnerID("")
	for _, id := range g.eligible {
		g.c.set.PartnerRow(row, g.state.Partner(id), g.state, g.now)
		if rate := row[column-partnerFrom]; rate > best {
			best, at = rate, id
		}
	}
	return at
}

// oracle knows the truth.
func oracle(g *contest) record.PartnerID {
	best, at := math.Inf(-1), record.PartnerID("")
	for _, id := range g.eligible {
		if v := g.c.truth(g.lead, id); v > best {
			best, at = v, id
		}
	}
	return at
}

// policyTable lines up the values for people, best first.
func policyTable(values map[string]float64) [][2]string {
	names := make([]string, 0, len(values))
	for name := range values {
		names = append(names, name)
	}
	slices.SortFunc(names, func(a, b string) int {
		return cmp.Or(cmp.Compare(values[b], values[a]), cmp.Compare(a, b))
	})
	var rows [][2]string
	for _, name := range names {
		rows = append(rows, [2]string{name, strconv.FormatFloat(values[name], 'f', 4, 64)})
	}
	return rows
}
