package routing

import (
	"cmp"
	"fmt"
	"math"
	"slices"
	"strings"

	"bellwether/datasets/record"
	"bellwether/features"
	"bellwether/models"
	"bellwether/models/trial"
)

// A search for changes looks so many thresholds away at most, and ends at the
// distance at which it has so many.
const (
	mostSteps   = 64
	mostChanges = 3
)

// given are the features a change may not move: who and where a partner is, how
// long it has been one, what others or we did, and how much is known of it.
var given = []string{"partner_id", "partner_tenure", "partner_tier_win_rate", featDecided, "partner_offers", "partner_days_since_offer",
	"partner_days_since_first_business", "partner_sentiment", "partner_overlaps", "partner_accounts", "pair_same_region", "pair_distance",
	"pair_account_offers", "pair_account_overlap", "pair_account_days"}

// changeable says whether a partner could have been another in a feature: a
// number of its own or of the pair that people are told of, and not given.
func changeable(f *features.Feature) bool {
	return f.Side != features.Lead && f.Kind == models.Numeric && wordingOf(f) != nil && !strings.HasSuffix(f.Name, "_decided") &&
		!slices.ContainsFunc(given, func(g string) bool { return f.Name == g || strings.HasPrefix(f.Name, g+"_") && family(f.Name) == g })
}

// axis is a column that may be moved, with the thresholds of the models on it.
type axis struct {
	column int
	cuts   []float64
	at     int  // how many cuts are below where the partner stands
	whole  bool // all candidates have whole numbers there
}

// changes finds the smallest changes of one input of a candidate, all else left
// as it was, that make its value exceed the chosen one's. A change is the smaller
// the fewer thresholds of the models it crosses, and goes to the roundest number
// just across the last of them.
func (c *Case) changes(k *record.Contrast, d *record.Decision, own, chosen int) {
	axes := c.axes(own)
	if len(axes) == 0 {
		k.NoChange = "no change was looked for: the answer did not come from a model of thresholds on what it could change"
		return
	}
	p, least := c.profile(own), d.Candidates[chosen].Value
	best := record.Change{Value: d.Candidates[own].Value}
	for steps := 1; steps <= mostSteps && len(k.Changes) < mostChanges && len(axes) > 0; steps++ {
		tried := c.tried(p, own, axes, steps)
		slices.SortStableFunc(tried, func(a, b record.Change) int { return cmp.Compare(b.Value, a.Value) })
		if len(tried) > 0 && tried[0].Value > best.Value {
			best = tried[0]
		}
		for _, x := range tried {
			seen := slices.ContainsFunc(k.Changes, func(y record.Change) bool { return family(y.Feature) == family(x.Feature) })
			if x.Value > least && !seen && len(k.Changes) < mostChanges {
				x.Text = p.changed(&x)
				k.Changes = append(k.Changes, x)
			}
		}
		axes = slices.DeleteFunc(axes, func(a axis) bool { return steps >= a.at && steps >= len(a.cuts)-a.at })
	}
	if len(k.Changes) > 0 {
		return
	}
	k.NoChange = fmt.Sprintf("no single change of what it can change would have made it worth more than %s", d.Chosen)
	if len(axes) > 0 {
		k.NoChange += fmt.Sprintf(", as far as was looked (%d thresholds of the model)", mostSteps)
	}
	if best.Feature != "" {
		k.NoChange += "; the most would have come of this: " + p.changed(&best)
	}
}

// axes lists what may be moved of a candidate.
func (c *Case) axes(own int) []axis {
	if c.model == nil {
		return nil
	}
	var out []axis
	p := c.profile(own)
	for i := range c.set.Features() {
		f := &c.set.Features()[i]
		if math.IsNaN(p.row[i]) || !changeable(f) {
			continue
		}
		var cuts []float64
		for _, predictor := range []*trial.Predictor{c.model.Win, c.model.Accept} {
			if predictor == nil {
				continue
			}
			if m, ok := predictor.Model.(interface{ Cuts(column int) []float64 }); ok {
				cuts = append(cuts, m.Cuts(i)...)
			}
		}
		if len(cuts) == 0 {
			continue
		}
		slices.Sort(cuts)
		a := axis{column: i, cuts: slices.Compact(cuts), whole: c.whole(i)}
		a.at, _ = slices.BinarySearch(a.cuts, p.row[i])
		out = append(out, a)
	}
	return out
}

// whole says whether all candidates have whole numbers in a column, or none.
func (c *Case) whole(column int) bool {
	row := make([]float64, c.set.Width())
	for i := range c.candidates {
		c.row(row, &c.candidates[i])
		if x := row[column]; x == x && x != math.Trunc(x) {
			return false
		}
	}
	return true
}

// tried scores a candidate moved by so many thresholds, each way on each axis.
func (c *Case) tried(p *profile, own int, axes []axis, steps int) []record.Change {
	var out []record.Change
	var rows []float64
	for _, a := range axes {
		for _, up := range []bool{true, false} {
			to, ok := a.across(steps, up)
			if !ok {
				continue
			}
			out = append(out, record.Change{Feature: c.set.Features()[a.column].Name, From: p.row[a.column], To: to, Steps: steps})
			rows = append(rows, p.row...)
			rows[len(rows)-len(p.row)+a.column] = to
		}
	}
	scored := make([]record.Candidate, len(out))
	c.scoreRows(scored, rows)
	o := &c.candidates[own]
	for i := range out {
		k := &scored[i]
		k.Price = c.load(o)
		out[i].Win, out[i].Accept, out[i].Value = k.Win, k.Accept, c.worth(k, o)
	}
	return out
}

// across returns the roundest number so many thresholds away that is next to
// the last of them; false if there is none.
func (a *axis) across(steps int, up bool) (float64, bool) {
	lo, hi := math.Inf(-1), math.Inf(+1)
	if up {
		i := a.at + steps - 1
		if i >= len(a.cuts) {
			return 0, false
		}
		if lo = a.cuts[i]; i+1 < len(a.cuts) {
			hi = a.cuts[i+1]
		}
	} else {
		i := a.at - steps
		if i < 0 {
			return 0, false
		}
		if hi = a.cuts[i]; i > 0 {
			lo = a.cuts[i-1]
		}
	}
	return roundest(lo, hi, up, a.whole)
}

// roundest returns a number x with lo < x <= hi, next to lo on the way up, to hi
// on the way down; false if it has to be whole and there is none.
func roundest(lo, hi float64, up, whole bool) (float64, bool) {
	edge := hi
	if up {
		edge = lo
	}
	digits := 0
	if !whole && edge != 0 {
		digits = max(0, 1-int(math.Floor(math.Log10(math.Abs(edge))))) // two places that count
	}
	for most := digits + 6; digits <= most; digits++ {
		unit := math.Pow10(digits)
		x := math.Floor(edge*unit) / unit
		if up {
			x = (math.Floor(edge*unit) + 1) / unit
		}
		if lo < x && x <= hi {
			return x, true
		}
		if whole {
			return 0, false
		}
	}
	if up {
		edge = math.Nextafter(lo, hi)
	}
	return edge, true
}

// changed says a change.
func (p *profile) changed(x *record.Change) string {
	i, _ := p.c.set.Column(x.Feature)
	is, was := p.rateAs(i, x.To), p.rateAs(i, x.From)
	text := is.text
	switch {
	case is.figure == was.figure: // told apart by more places only
		text += fmt.Sprintf(" (%.6g instead of %.6g)", x.To, x.From)
	case p.c.set.Features()[i].Unit != "0 or 1":
		text += " instead of " + was.figure
	}
	text += ": its chance to win would have been " + percent(x.Win)
	if p.c.model.Accept != nil {
		text += ", to accept " + percent(x.Accept)
	}
	return text
}

// rateAs is sayAs, but a rate is said by itself, not by what it was counted of.
func (p *profile) rateAs(i int, x float64) phrase {
	name := p.c.set.Features()[i].Name
	format := map[string]string{
		featWinRate: "wins %s of its leads", "partner_win_rate_364d": "won %s of the last year's leads", "partner_win_rate_91d": "won %s of the last 3 months' leads",
		featAcceptRate: "accepts %s of its offers", "partner_accept_rate_364d": "accepted %s of the last year's offers", "partner_accept_rate_91d": "accepted %s of the last 3 months' offers",
	}[name]
	if segment, is := strings.CutPrefix(name, "pair_"); is && format == "" {
		if dimension, is := dimensionOf(segment); is {
			format = "wins %s of leads in " + strings.ReplaceAll(p.c.segmentName(dimension), "%", "%%")
		}
	}
	if format == "" {
		return p.sayAs(i, x)
	}
	return of(format, percent)(p, x)
}
