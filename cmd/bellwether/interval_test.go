package main

import (
	"io"
	"math"
	"path/filepath"
	"testing"

	"bellwether/datasets"
	"bellwether/datasets/record"
	"bellwether/datasets/synth"
	"bellwether/features"
	"bellwether/models"
	"bellwether/models/calibrate"
	"bellwether/models/logit"
	"bellwether/models/trial"
	"bellwether/routing"
)

// TestIntervalsHoldInTheWorld trains on a world that does not drift and asks it
// for the truth: of the partners, as many as promised win the leads that they may
// have at a rate within the mean of their intervals, give or take what chance
// does to that many partners.
func TestIntervalsHoldInTheWorld(t *testing.T) {
	if testing.Short() || raceEnabled {
		t.Skip("makes a world and trains on it, one thing after another")
	}
	cfg := synth.Config{Partners: 80, Leads: 9_000, Seed: 301, DriftDay: -1}
	world, data, quiet := synth.New(cfg), filepath.Join(t.TempDir(), "world"), &streams{Err: io.Discard, Out: io.Discard}
	if err := writeWorld(t.Context(), quiet, world, data, datasets.Parquet, int64(cfg.Leads)); err != nil {
		t.Fatal(err)
	}
	src, err := openData(quiet, data)
	if err != nil {
		t.Fatal(err)
	}
	m, err := trainWin(t.Context(), src, worldPolicy.Conversion(), trial.Config{Task: "win", Learners: []models.Learner{logit.Learner{}}, Seeds: -1, Seed: 1})
	if err != nil || m.win == nil {
		t.Fatalf("%v, %+v", err, m)
	}
	held, n := 0.0, 0
	for _, r := range truthOfPartners(t, world, src, m) {
		const fewest = 30 // leads of a partner, so that their mean is near its rate
		if r.leads < fewest {
			continue
		}
		n++
		if r.holds() {
			held++
		}
	}
	if n < cfg.Partners/2 {
		t.Fatalf("only %d partners may have leads enough", n)
	}
	margin := 3 * math.Sqrt(calibrate.Level*(1-calibrate.Level)/float64(n))
	if share := held / float64(n); share < calibrate.Level-margin {
		t.Errorf("the true rate of %.3f of %d partners lies in their interval", share, n)
	}
	if k := m.report.Intervals; k.Of < cfg.Partners/2 || float64(k.Held.Value) < calibrate.Level-margin {
		t.Errorf("the report says %+v", k)
	}
}

// shownOfPartner is what a partner's candidacies say and what is true of them, as
// sums over leads, each counting by the chance that it is accepted: P(win) is of
// accepted offers.
type shownOfPartner struct {
	leads                  int
	mass, p, lo, hi, truth float64
	over2, mass2           float64 // of truth less p, squared, and of mass squared
}

func (r *shownOfPartner) add(k *record.Candidate, accept, truth float64) {
	r.leads++
	r.mass += accept
	r.p += accept * k.Win
	r.lo += accept * k.WinLo
	r.hi += accept * k.WinHi
	r.truth += accept * truth
	r.over2 += accept * (truth - k.Win) * (truth - k.Win)
	r.mass2 += accept * accept
}

// holds reports whether the partner's rate lies within the mean of its intervals,
// allowing for what its leads are a sample of.
func (r *shownOfPartner) holds() bool {
	over := (r.truth - r.p) / r.mass
	reach := (r.hi - r.p) / r.mass
	if over < 0 {
		reach = (r.p - r.lo) / r.mass
	}
	chance := (r.over2/r.mass - over*over) * r.mass2 / (r.mass * r.mass)
	return math.Abs(over) <= math.Hypot(reach, calibrate.Z*math.Sqrt(chance))
}

// truthOfPartners has every second lead after training decided as the engine does,
// and asks the world about its candidates.
func truthOfPartners(t *testing.T, world *synth.World, src features.Source, m *winModel) map[record.PartnerID]*shownOfPartner {
	t.Helper()
	c := comparison{set: m.set, from: *m.report.Split.Test.From}
	if err := c.read(t.Context(), src); err != nil {
		t.Fatal(err)
	}
	index, err := routing.NewIndex(c.policy)
	if err != nil {
		t.Fatal(err)
	}
	state := features.NewState(c.set)
	for i := range c.partners {
		state.PutPartner(&c.partners[i])
		index.Upsert(&c.partners[i])
	}
	router := routing.Router{Set: c.set, Index: index, Model: &routing.Model{Win: m.win, WinID: "win"}}
	all, next := map[record.PartnerID]*shownOfPartner{}, 0
	for i := range c.leads {
		lead := &c.leads[i]
		for ; next < len(c.events) && !c.events[next].Known().After(lead.CreatedAt); next++ {
			state.Observe(&c.events[next])
			index.Observe(&c.events[next])
		}
		if i%2 == 0 && !lead.CreatedAt.Before(c.from) {
			state.Advance(lead.CreatedAt)
			index.Advance(lead.CreatedAt)
			d, err := router.Route(lead, state, routing.Request{Now: lead.CreatedAt, Seed: 1, ID: record.DecisionID(lead.ID)}, &routing.Case{})
			if err != nil {
				t.Fatal(err)
			}
			for k := range d.Candidates {
				of := &d.Candidates[k]
				if all[of.Partner] == nil {
					all[of.Partner] = &shownOfPartner{}
				}
				if !(of.WinLo < of.Win && of.Win < of.WinHi) {
					t.Fatalf("%s for %s: the interval ends at its probability: %+v", of.Partner, lead.ID, of)
				}
				all[of.Partner].add(of, world.Accept(lead, of.Partner, lead.CreatedAt), world.Win(lead, of.Partner, lead.CreatedAt))
			}
		}
		state.PutLead(lead)
	}
	return all
}
