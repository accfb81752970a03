package routing

import (
	"bytes"
	"fmt"
	"math"
	"slices"

	"bellwether/datasets/record"
)

// Same reports the first difference between a decision and its replay, nil when
// they are the same to the last bit. Latency is not compared.
func Same(was, is *record.Decision) error {
	var diff difference
	diff.value("id", was.ID, is.ID)
	diff.value("lead_ref", was.LeadRef, is.LeadRef)
	diff.value("lead", was.Lead, is.Lead)
	diff.value("at", was.At.UnixNano(), is.At.UnixNano())
	diff.value("position", was.Position, is.Position)
	diff.value("model", was.Model, is.Model)
	diff.value("accept_model", was.AcceptModel, is.AcceptModel)
	diff.value("policy", was.Policy, is.Policy)
	diff.value("index_version", was.IndexVersion, is.IndexVersion)
	diff.value("seed", was.Seed, is.Seed)
	diff.refusals(was.Refusals, is.Refusals)
	diff.value("fingerprint", was.Fingerprint, is.Fingerprint)
	diff.value("candidates", len(was.Candidates), len(is.Candidates))
	for i := range min(len(was.Candidates), len(is.Candidates)) {
		diff.candidate(fmt.Sprintf("candidates[%d]", i), was.Candidates[i], is.Candidates[i])
	}
	diff.value("chosen", was.Chosen, is.Chosen)
	diff.bits("propensity", was.Propensity, is.Propensity)
	diff.value("plain_choice", was.PlainChoice, is.PlainChoice)
	diff.value("explored", was.Explored, is.Explored)
	diff.value("greedy", was.Greedy, is.Greedy)
	diff.value("degraded", was.Degraded, is.Degraded)
	diff.value("previous", was.Previous, is.Previous)
	diff.value("offer", was.Offer, is.Offer)
	diff.value("expires_at", was.ExpiresAt.UnixNano(), is.ExpiresAt.UnixNano())
	diff.ranked(was.Ranked, is.Ranked)
	diff.texts("reasons", was.Reasons, is.Reasons)
	if diff.err == nil {
		return nil
	}
	return diff.err
}

// difference keeps the first one found.
type difference struct{ err *record.Error }

func (d *difference) value(field string, was, is any) {
	if d.err == nil && was != is {
		d.err = &record.Error{Op: "replay", Kind: record.Conflict, Field: field, Msg: fmt.Sprintf("was %v, is now %v", was, is)}
	}
}

func (d *difference) bits(field string, was, is float64) {
	if math.Float64bits(was) != math.Float64bits(is) {
		d.value(field, fmt.Sprintf("%v (%016x)", was, math.Float64bits(was)), fmt.Sprintf("%v (%016x)", is, math.Float64bits(is)))
	}
}

func (d *difference) texts(field string, was, is []string) {
	if !slices.Equal(was, is) {
		d.value(field, fmt.Sprintf("%q", was), fmt.Sprintf("%q", is))
	}
}

func (d *difference) refusals(was, is []record.Refusal) {
	d.value("refusals", len(was), len(is))
	for i := range min(len(was), len(is)) {
		at := fmt.Sprintf("refusals[%d]", i)
		d.value(at+".rule", was[i].Rule, is[i].Rule)
		d.value(at+".count", was[i].Count, is[i].Count)
		if !bytes.Equal(was[i].Partners, is[i].Partners) {
			d.value(at+".partners", "one set", "another of the same size")
		}
	}
}

func (d *difference) candidate(at string, was, is record.Candidate) {
	d.value(at+".partner", was.Partner, is.Partner)
	d.bits(at+".win", was.Win, is.Win)
	d.bits(at+".win_lo", was.WinLo, is.WinLo)
	d.bits(at+".win_hi", was.WinHi, is.WinHi)
	d.bits(at+".accept", was.Accept, is.Accept)
	d.bits(at+".value", was.Value, is.Value)
	d.bits(at+".price", was.Price, is.Price)
	d.bits(at+".prob", was.Prob, is.Prob)
}

func (d *difference) ranked(was, is []record.Ranked) {
	d.value("ranked", len(was), len(is))
	for i := range min(len(was), len(is)) {
		at := fmt.Sprintf("ranked[%d]", i)
		d.candidate(at, was[i].Candidate, is[i].Candidate)
		d.value(at+".enough", was[i].Enough, is[i].Enough)
		d.texts(at+".reasons", was[i].Reasons, is[i].Reasons)
		names := sortedKeys(was[i].Values)
		d.texts(at+".values", names, sortedKeys(is[i].Values))
		for _, name := range names {
			d.bits(at+".values."+name, was[i].Values[name], is[i].Values[name])
		}
	}
}
