package routing

import (
	"cmp"
	"fmt"
	"math"
	"slices"
	"strings"

	"bellwether/datasets/record"
	"bellwether/features"
)

// Explain decides a lead and says why it is decided so: for the best few, or,
// where contrast names a partner, for that one against the one chosen. A partner
// the index does not know is NotFound.
func (r *Router) Explain(lead *record.Lead, st *features.State, req Request, contrast record.PartnerID) (*record.Decision, *record.Explanation, error) {
	var c Case
	if err := r.Read(&c, lead, st, req); err != nil {
		return nil, nil, err
	}
	d, err := c.Decide()
	if err != nil {
		return nil, nil, err
	}
	x := c.explain(d)
	if contrast == "" {
		return d, x, nil
	}
	if x.Contrast, err = r.refusal(&c, contrast); err == nil {
		c.contrast(d, x)
	}
	return d, x, err
}

// refusal returns a contrast with the rule that refused the partner, without one
// if it was a candidate.
func (r *Router) refusal(c *Case, id record.PartnerID) (*record.Contrast, error) {
	rule, reason, err := r.Index.Explain(id, c.lead, c.req.Now, c.req.Exclude)
	if err != nil {
		return nil, err
	}
	if rule == "" { // what is refused by its chance is refused after the rules
		for _, f := range c.refused {
			if f.Rule == RuleQuality && f.Set.has(r.Index.number[id]) {
				rule, reason = f.Rule, f.Reason
			}
		}
	}
	return &record.Contrast{Partner: id, Rule: rule, Reason: reason}, nil
}

// explain says why the decision is as it is, for the best few.
func (c *Case) explain(d *record.Decision) *record.Explanation {
	x := &record.Explanation{Decision: d.ID, Lead: d.Lead, At: d.At, Model: d.Model, Currency: c.policy.currency(), Chosen: d.Chosen}
	for _, r := range c.refused {
		x.Refusals = append(x.Refusals, record.RefusedBy{Rule: r.Rule, Reason: r.Reason, Count: r.Set.count()})
	}
	if d.Chosen == "" {
		x.Sentence = d.Reasons[0]
		return x
	}
	for i := range d.Ranked {
		x.Partners = append(x.Partners, c.explained(d, find(d, d.Ranked[i].Partner)))
	}
	x.Sentence = ofChosen(d, &x.Partners[slices.IndexFunc(x.Partners, func(k record.Explained) bool { return k.Partner == d.Chosen })])
	return x
}

// find returns the place of a candidate, -1 of who is none.
func find(d *record.Decision, id record.PartnerID) int {
	return slices.IndexFunc(d.Candidates, func(k record.Candidate) bool { return k.Partner == id })
}

// ofChosen says in one sentence why the chosen partner was.
func ofChosen(d *record.Decision, k *record.Explained) string {
	text := fmt.Sprintf("%s was chosen, place %d of %d by value, with a chance to win of %s", k.Partner, k.Rank, len(d.Candidates), percent(k.Win))
	if percent(k.WinLo) != percent(k.WinHi) {
		text += fmt.Sprintf(" (%s to %s)", percent(k.WinLo), percent(k.WinHi))
	}
	switch {
	case d.Explored:
		return text + fmt.Sprintf(": drawn with probability %s to keep learning, not for its value", percent(k.Prob))
	case len(k.For) > 0:
		return text + ", chiefly because " + because(k.For[0])
	}
	return text
}

// because puts a reason after "because".
func because(text string) string {
	if strings.HasPrefix(text, "its ") || strings.HasPrefix(text, "partners ") {
		return text
	}
	return "it " + text
}

// explained says what speaks for a candidate and against it.
func (c *Case) explained(d *record.Decision, i int) record.Explained {
	p, k := c.profile(i), record.Explained{Candidate: d.Candidates[i], Rank: 1}
	for j := range d.Candidates {
		if d.Candidates[j].Value > k.Value {
			k.Rank++
		}
	}
	v := p.weigh()
	p.business(v, &k.Candidate)
	k.Enough = p.enough(v, &k.Candidate)
	k.For, k.Against, k.Notes = v.pro, v.con, v.notes
	return k
}

// contrast holds the contrast's partner against the chosen one.
func (c *Case) contrast(d *record.Decision, x *record.Explanation) {
	k := x.Contrast
	switch {
	case k.Rule != "":
		x.Sentence = fmt.Sprintf("%s could not have this lead: %s (rule %s)", k.Partner, k.Reason, k.Rule)
		x.Partners = slices.DeleteFunc(x.Partners, func(e record.Explained) bool { return e.Partner != d.Chosen })
		return
	case k.Partner == d.Chosen:
		k.NoChange = "it was chosen"
		return
	}
	own, chosen := find(d, k.Partner), find(d, d.Chosen)
	x.Partners = []record.Explained{c.explained(d, own), c.explained(d, chosen)}
	k.Parts = c.parts(&d.Candidates[own], &d.Candidates[chosen], c.candidates[own].recent, c.candidates[chosen].recent)
	a, b := c.profile(own), c.profile(chosen)
	c.differences(k, a, b)
	if d.Candidates[own].Value > d.Candidates[chosen].Value {
		k.NoChange = "its value was the higher one: chance decided, so that what is known of others does not stand still"
	} else {
		c.changes(k, d, own, chosen)
	}
	x.Sentence = ofContrast(d, x)
}

// parts splits the difference in value between two candidates.
func (c *Case) parts(own, chosen *record.Candidate, ownRecent, chosenRecent float64) []record.ValuePart {
	lift := func(recent float64) float64 { return c.policy.Fairness.lift(recent) }
	// A product's difference is shared between its factors, each at the mean of the other.
	parts := []record.ValuePart{
		{Of: "win", Amount: (own.Win - chosen.Win) * (own.Accept + chosen.Accept) / 2 * c.amount,
			Text: fmt.Sprintf("chance to win %s, %s: %s", percent(own.Win), chosen.Partner, percent(chosen.Win))},
		{Of: "accept", Amount: (own.Accept - chosen.Accept) * (own.Win + chosen.Win) / 2 * c.amount,
			Text: fmt.Sprintf("chance to accept %s, %s: %s", percent(own.Accept), chosen.Partner, percent(chosen.Accept))},
		{Of: "load", Amount: chosen.Price - own.Price,
			Text: fmt.Sprintf("its work in hand counts %s, %s: %s", c.money(own.Price), chosen.Partner, c.money(chosen.Price))},
		{Of: "fairness", Amount: c.amount * (lift(ownRecent) - lift(chosenRecent)),
			Text: fmt.Sprintf("lifted by %s for few offers lately, %s: %s", percent(lift(ownRecent)), chosen.Partner, percent(lift(chosenRecent)))},
	}
	for i := range parts {
		if parts[i].Amount == 0 {
			parts[i].Amount, parts[i].Text = 0, parts[i].Text+"; makes no difference" // nor is it a negative zero
			continue
		}
		parts[i].Text += "; makes " + c.signed(parts[i].Amount)
	}
	return parts
}

// money writes an amount, or a share of it where the lead's worth is not known.
func (c *Case) money(minor float64) string {
	if !c.known {
		return percent(minor/c.amount) + " of its worth"
	}
	return number(c.policy.units(minor)) + " " + c.policy.currency()
}

func (c *Case) signed(minor float64) string {
	if minor < 0 {
		return "-" + c.money(-minor)
	}
	return "+" + c.money(minor)
}

// differences says what the difference in the chance to win comes of.
func (c *Case) differences(k *record.Contrast, own, chosen *profile) {
	blame := own.against(chosen)
	if blame == nil {
		return
	}
	for _, moved := range blame {
		k.LogOdds += moved
	}
	k.Rest = k.LogOdds
	told := map[bool]int{}
	for _, e := range c.model.effects(c.set, blame) {
		up := e.moved > 0
		if told[up] == mostReasons {
			continue
		}
		i := c.model.parting(e.family, blame, own, chosen)
		if i < 0 {
			continue
		}
		told[up]++
		k.Rest -= e.moved
		k.Differences = append(k.Differences, record.Difference{Feature: c.set.Features()[i].Name, LogOdds: e.moved, Text: own.beside(chosen, i)})
	}
}

// against returns what each column moved the log-odds by from another's to the
// candidate's: interventional Shapley values with the other as the background,
// or else what the candidate's own contributions have over the other's. It is
// nil without a model that can say.
func (p *profile) against(other *profile) []float64 {
	if p.c.model == nil {
		return nil
	}
	if m, ok := p.c.model.Win.Model.(interface {
		InterventionalContributions(dst, row, background []float64) float64
	}); ok {
		blame := make([]float64, len(p.row))
		m.InterventionalContributions(blame, p.row, other.row)
		return blame
	}
	blame, theirs := p.contributions(), other.contributions()
	for i := range blame {
		blame[i] -= theirs[i]
	}
	return blame
}

// parting is the column of a family that moved most of those in which two differ
// as people are told; -1 if there is none.
func (m *Model) parting(family []int, blame []float64, own, other *profile) int {
	order := slices.Clone(family)
	slices.SortStableFunc(order, func(a, b int) int { return cmp.Compare(math.Abs(blame[b]), math.Abs(blame[a])) })
	for _, i := range order {
		if blame[i] != 0 && m.says[i] != nil && own.say(i) != other.say(i) {
			return i
		}
	}
	return -1
}

// beside says a column of two partners.
func (p *profile) beside(other *profile, i int) string {
	mine, theirs := p.say(i), other.say(i)
	switch {
	case mine.text == "":
		return fmt.Sprintf("has nothing on record where %s %s", other.of.id, theirs.text)
	case theirs.text == "":
		return fmt.Sprintf("%s (%s: not known)", mine.text, other.of.id)
	}
	return fmt.Sprintf("%s (%s: %s)", mine.text, other.of.id, theirs.figure)
}

// ofContrast says in one sentence why the contrast's partner was not chosen.
func ofContrast(d *record.Decision, x *record.Explanation) string {
	k, own, chosen := x.Contrast, &x.Partners[0], &x.Partners[1]
	text := fmt.Sprintf("%s was at place %d of %d", own.Partner, own.Rank, len(d.Candidates))
	switch {
	case own.Value == chosen.Value:
		return text + fmt.Sprintf(", worth as much as %s: chance decided between them", chosen.Partner)
	case own.Value > chosen.Value:
		return text + fmt.Sprintf(", before %s at place %d, which was drawn with probability %s to keep learning", chosen.Partner, chosen.Rank, percent(chosen.Prob))
	}
	worst := slices.MinFunc(k.Parts, func(a, b record.ValuePart) int { return cmp.Compare(a.Amount, b.Amount) })
	switch worst.Of {
	case "win":
		text += fmt.Sprintf(": its chance to win was %s against %s for %s", percent(own.Win), percent(chosen.Win), chosen.Partner)
		for _, e := range k.Differences {
			if e.LogOdds < 0 {
				return text + ", chiefly because " + because(e.Text)
			}
		}
		return text
	case "accept":
		return text + fmt.Sprintf(": it was less likely to accept, %s against %s for %s", percent(own.Accept), percent(chosen.Accept), chosen.Partner)
	case "load":
		return text + fmt.Sprintf(": its work in hand counted more against it than that of %s", chosen.Partner)
	}
	return text + fmt.Sprintf(": %s was lifted, because it was offered little lately", chosen.Partner)
}
