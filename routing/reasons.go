package routing

import (
	"fmt"
	"math"
	"strings"

	"bellwether/datasets/record"
	"bellwether/features"
)

// The features that people are shown, by name. A set without one of them shows
// one reason less.
const (
	featOffers     = "partner_outcomes_life"
	featWins       = "partner_wins_life"
	featWinRate    = "partner_win_rate"
	featAcceptRate = "partner_accept_rate"
)

// rates finds the shrunk rates in a row: what a decision without a model goes
// by.
type rates struct{ win, accept, outcomes int }

func ratesOf(set *features.Set) rates {
	column := func(name string) int {
		if i, ok := set.Column(name); ok {
			return i
		}
		return -1
	}
	return rates{win: column(featWinRate), accept: column(featAcceptRate), outcomes: column(featOffers)}
}

// of returns P(win) with a 95 % interval and P(accept). A rate nothing is known
// of is 1/2, and its interval everything.
func (r rates) of(row []float64) (win, lo, hi, accept float64) {
	win, accept = at(row, r.win, 0.5), at(row, r.accept, 1)
	n := at(row, r.outcomes, 0)
	wide := 1.96 * math.Sqrt(win*(1-win)/(n+1))
	return win, max(0, win-wide), min(1, win+wide), accept
}

// at returns a row's value, or usual where it is missing.
func at(row []float64, i int, usual float64) float64 {
	if i < 0 || math.IsNaN(row[i]) {
		return usual
	}
	return row[i]
}

// rank fills the few candidates that people are shown.
func (c *choice) rank(d *record.Decision, chosen int) {
	set := c.router.Set
	partnerAt, _, width := c.prepare()
	row := make([]float64, width)
	for _, i := range c.order(d.Candidates, chosen) {
		e := c.router.Index.entries[c.numbers[i]]
		copy(row, c.scratch.lead)
		if _, err := c.fill(row[partnerAt:], e); err != nil {
			continue // score has filled the same row already
		}
		k := record.Ranked{Candidate: d.Candidates[i]}
		k.Values = readable(set, row)
		d.Ranked = append(d.Ranked, k)
	}
}

func readable(set *features.Set, row []float64) map[string]float64 {
	out := map[string]float64{}
	for i, f := range set.Features() {
		if f.Side != features.Lead && !math.IsNaN(row[i]) {
			out[f.Name] = row[i]
		}
	}
	return out
}

// tell says in words what was decided.
func (c *choice) tell(d *record.Decision, chosen int) {}

// tellNobody says why nobody can take the lead.
func (c *choice) tellNobody(d *record.Decision) {
	if len(c.refused) == 0 {
		d.Reasons = []string{"there are no partners"}
		return
	}
	var parts []string
	for _, r := range c.refused {
		parts = append(parts, fmt.Sprintf("%d %s", r.Set.GetCardinality(), r.Reason))
	}
	d.Reasons = []string{"nobody can take this lead: " + strings.Join(parts, "; ")}
}
