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

// The features a decision reads by name. A set without one of them has it as
// not known.
const (
	featWinRate    = "partner_win_rate"
	featWinRateSD  = "partner_win_rate_sd"
	featAcceptRate = "partner_accept_rate"
	featDecided    = "partner_decided_log" // log(1 + offers of known outcome)
	featExpected   = "pair_expected_rate"  // P(win) from shrunk rates of partner and segments
)

// shownFeatures are the readable values kept of a ranked candidate, beside
// those its reasons name.
var shownFeatures = []string{
	featWinRate, featWinRateSD, featAcceptRate, featExpected, "partner_offers_life", "partner_wins_life", "partner_losses_life",
	"partner_offers_28d", "partner_response_hours", "partner_working", "partner_tenure", "pair_competence_level",
	"pair_industry_win_rate", "pair_industry_decided", "pair_product_win_rate", "pair_product_decided", "pair_region_win_rate",
	"pair_region_decided", "pair_distance", "pair_account_wins",
}

// rates finds the shrunk rates in a row: what a decision without a model goes
// by.
type rates struct{ win, sd, own int }

func ratesOf(set *features.Set) rates {
	column := func(name string) int {
		if i, ok := set.Column(name); ok {
			return i
		}
		return -1
	}
	return rates{win: column(featExpected), own: column(featWinRate), sd: column(featWinRateSD)}
}

// of returns P(win) with a 95 % interval. A rate nothing is known of is 1/2, and
// its interval everything. These rates count an offer declined as not won, so
// P(accept) is in them already.
func (r rates) of(row []float64) (win, lo, hi float64) {
	win = at(row, r.win, at(row, r.own, 0.5))
	wide := 1.96 * at(row, r.sd, 0.5)
	return win, max(0, win-wide), min(1, win+wide)
}

// at returns a row's value, or usual where it is missing.
func at(row []float64, i int, usual float64) float64 {
	if i < 0 || math.IsNaN(row[i]) {
		return usual
	}
	return row[i]
}

// profile is a ranked candidate while its reasons are found.
type profile struct {
	c   *Case
	of  *candidate
	row []float64
}

// value returns a feature of the candidate, NaN when it is not known.
func (p *profile) value(name string) float64 {
	if i, ok := p.c.set.Column(name); ok {
		return p.row[i]
	}
	return math.NaN()
}

// rank fills the few candidates that people are shown.
func (c *Case) rank(d *record.Decision, chosen int) {
	width := c.set.Width()
	p := &profile{c: c, row: make([]float64, width)}
	blame := make([]float64, width)
	for _, i := range c.ranking(d.Candidates, chosen) {
		p.of = &c.candidates[i]
		c.row(p.row, p.of)
		k := record.Ranked{Candidate: d.Candidates[i], Values: map[string]float64{}}
		for _, name := range shownFeatures {
			p.keep(&k, name)
		}
		why := p.weigh(&k, blame)
		enough := p.enough(&k)
		k.Reasons = append(k.Reasons, why...)
		k.Reasons = append(k.Reasons, p.business(&k)...)
		if enough != "" {
			k.Reasons = append(k.Reasons, enough)
		}
		if ask := c.unsure(&k.Candidate); ask != "" {
			k.Reasons = append(k.Reasons, ask)
		}
		d.Ranked = append(d.Ranked, k)
	}
}

func (p *profile) keep(k *record.Ranked, name string) {
	if x := p.value(name); !math.IsNaN(x) {
		k.Values[name] = x
	}
}

// enough sets whether the probability rests on enough data, and says why not.
func (p *profile) enough(k *record.Ranked) string {
	ev := &p.c.policy.Evidence
	most, least := setting(ev.Width, 0.35), setting(ev.Offers, 5)
	decided := math.Round(math.Expm1(p.value(featDecided)))
	switch {
	case math.IsNaN(decided) || decided == 0 && least > 0:
		return "not enough data, because no outcome of its offers is known yet"
	case decided < least:
		return fmt.Sprintf("not enough data, because it has only %s", count(decided, "known outcome"))
	case most > 0 && k.WinHi-k.WinLo > most:
		return fmt.Sprintf("not enough data: its chance may be anything from %s to %s", percent(k.WinLo), percent(k.WinHi))
	}
	k.Enough = true
	return ""
}

// business says what beside the probabilities went into the value.
func (p *profile) business(k *record.Ranked) []string {
	var out []string
	if p.of.room > 0 {
		out = append(out, fmt.Sprintf("has room for %s in this period", count(float64(p.of.room), "more lead")))
	}
	if k.Price > 0.005*p.c.amount {
		out = append(out, fmt.Sprintf("its work in hand (%d open) counts %s of the amount against it", p.of.open, percent(k.Price/p.c.amount)))
	}
	if lift := p.c.policy.Fairness.lift(p.of.recent); lift > 0.001 {
		out = append(out, fmt.Sprintf("lifted by %s of the amount, because it was offered little lately", percent(lift)))
	}
	return out
}

// Reasons taken from the model, each way.
const mostReasons = 3

// effect is what a family of features moved the log-odds by.
type effect struct {
	family []int // columns
	moved  float64
}

// weigh says what speaks for the candidate and what against it: by what moved
// the model's answer, or without a model by what is known of it.
func (p *profile) weigh(k *record.Ranked, blame []float64) []string {
	var out []string
	tell := func(name, sign string) {
		if text := p.words(name); text != "" && !slices.Contains(out, sign+text) {
			out = append(out, sign+text)
			p.keep(k, name)
		}
	}
	effects := p.effects(blame)
	if effects == nil {
		for _, name := range []string{"pair_industry_win_rate", "pair_product_win_rate", featWinRate} {
			tell(name, "")
		}
		return out
	}
	for _, way := range []struct {
		by   float64
		sign string
	}{{+1, "for it: "}, {-1, "against it: "}} {
		before := len(out)
		for _, e := range effects {
			if math.Abs(e.moved) <= leastEffect || len(out)-before == mostReasons {
				break
			}
			if e.moved*way.by > 0 {
				tell(p.speaker(e.family, blame), way.sign)
			}
		}
	}
	return out
}

// speaker names the feature of a family that moved most of those that have
// words; "" if none has.
func (p *profile) speaker(family []int, blame []float64) string {
	name, most := "", 0.0
	for _, i := range family {
		if f := &p.c.set.Features()[i]; math.Abs(blame[i]) > most && p.words(f.Name) != "" {
			name, most = f.Name, math.Abs(blame[i])
		}
	}
	return name
}

// leastEffect is the smallest move in log-odds worth a sentence: about one
// point of a chance of one half.
const leastEffect = 0.04

// effects sums the model's contributions by family, largest first; nil without
// a model that can say.
func (p *profile) effects(blame []float64) []effect {
	if p.c.model == nil {
		return nil
	}
	model, ok := p.c.model.Win.Model.(interface {
		Contributions(dst, row []float64) float64
	})
	if !ok {
		return nil
	}
	model.Contributions(blame, p.row)
	families := p.c.model.familiesOf(p.c.set)
	out := make([]effect, len(families))
	for k, family := range families {
		out[k].family = family
		for _, i := range family {
			out[k].moved += blame[i]
		}
	}
	slices.SortStableFunc(out, func(a, b effect) int { return cmp.Compare(math.Abs(b.moved), math.Abs(a.moved)) })
	return out
}

// familiesOf lists the columns of each family of a set, but for the lead's: they
// are the same for every candidate.
func (m *Model) familiesOf(set *features.Set) [][]int {
	m.grouping.Do(func() {
		place := map[string]int{}
		for i, f := range set.Features() {
			if f.Side == features.Lead {
				continue
			}
			at, known := place[family(f.Name)]
			if !known {
				at = len(m.families)
				place[family(f.Name)] = at
				m.families = append(m.families, nil)
			}
			m.families[at] = append(m.families[at], i)
		}
	})
	return m.families
}

// family is what features that say the same at several lengths of time have in
// common: partner_wins_91d and partner_wins_life are partner_wins.
func family(name string) string {
	for {
		cut := name
		for _, end := range []string{"_7d", "_28d", "_91d", "_364d", "_life", "_sd", "_log", "_win_rate", "_decided", "_rate"} {
			cut = strings.TrimSuffix(cut, end)
		}
		if cut == name {
			return name
		}
		name = cut
	}
}

// words says a feature of the candidate in a sentence; "" when it is not known
// or has no words.
func (p *profile) words(name string) string {
	i, ok := p.c.set.Column(name)
	if !ok || math.IsNaN(p.row[i]) {
		return ""
	}
	x := p.row[i]
	if text, special := p.special(name, x); special {
		return text
	}
	f := &p.c.set.Features()[i]
	switch {
	case f.Kind != 0, strings.HasSuffix(name, "_sd"), strings.HasPrefix(f.Unit, "log"):
		return ""
	case f.Unit == "share":
		return fmt.Sprintf("%s: %s", f.Meaning, percent(x))
	case f.Unit == "0 or 1" && x == 0:
		return "not so: " + f.Meaning
	case f.Unit == "0 or 1":
		return f.Meaning
	case strings.Contains(f.Unit, " to "):
		return fmt.Sprintf("%s: %s (%s)", f.Meaning, number(x), f.Unit)
	}
	return fmt.Sprintf("%s: %s %s", f.Meaning, number(x), f.Unit)
}

// special words the features that have a sentence of their own.
func (p *profile) special(name string, x float64) (text string, ok bool) {
	switch name {
	case "partner_tier":
		return said("is tier %s", p.of.partner.Tier), true
	case "partner_kind":
		return said("is of the kind %s", p.of.partner.Kind), true
	case "partner_region":
		return said("sits in %s", p.of.partner.Home.Region), true
	case "partner_id", featDecided, featWinRate:
		wins, losses := p.value("partner_wins_life"), p.value("partner_losses_life")
		rate := p.value(featWinRate)
		if n := math.Round(math.Expm1(p.value(featDecided))); n > 0 && wins <= n {
			return fmt.Sprintf("won %.0f of its %s of known outcome (%s after allowing for few)", wins, count(n, "lead"), percent(rate)), true
		}
		if wins+losses > 0 {
			return fmt.Sprintf("won %.0f and lost %.0f deals", wins, losses), true
		}
		return said("its tier wins %s of its leads", percent(rate)), true
	case "pair_distance":
		return fmt.Sprintf("is %.0f km from the customer", x), true
	case "pair_competence_level":
		if x < 0 {
			return "states no competence in what the lead wants", true
		}
		return fmt.Sprintf("has competence level %.0f of 5 in what the lead wants", x), true
	case "pair_account_wins":
		return fmt.Sprintf("won %s with this customer before", count(x, "deal")), true
	case "partner_working":
		return fmt.Sprintf("works on %s now", count(x, "lead")), true
	case "partner_contract_days":
		if x < 0 {
			return fmt.Sprintf("its contract ended %s ago", count(-x, "day")), true
		}
		return fmt.Sprintf("its contract ends in %s", count(x, "day")), true
	case "partner_tenure":
		return fmt.Sprintf("has been a partner for %s", count(x, "day")), true
	case "partner_tier_win_rate":
		return fmt.Sprintf("partners of its tier win %s of their leads", percent(x)), true
	case "partner_win_rate_364d":
		return fmt.Sprintf("won %s of its leads of the last year, after allowing for few", percent(x)), true
	case "partner_win_rate_91d":
		return fmt.Sprintf("won %s of its leads of the last 91 days, after allowing for few", percent(x)), true
	case "partner_accept_rate", "partner_accept_rate_364d", "partner_accept_rate_91d":
		return fmt.Sprintf("accepts %s of what it is offered", percent(x)), true
	}
	if segment, is := strings.CutPrefix(name, "pair_"); is {
		if dimension, is := cutAny(segment, "_win_rate", "_decided"); is {
			return p.segment(dimension), true
		}
	}
	return "", false
}

// segment words the partner's record with leads like this one.
func (p *profile) segment(dimension string) string {
	l := p.c.lead
	word := map[string]string{"industry": l.Industry, "product": some(l.Products), "region": l.Place.Region, "size_band": l.SizeBand, "source": l.Source}[dimension]
	if name, is := strings.CutPrefix(dimension, "attr_"); is {
		word = l.Attributes[name].String()
	}
	rate, n := p.value("pair_"+dimension+"_win_rate"), p.value("pair_"+dimension+"_decided")
	if word == "" || math.IsNaN(rate) || math.IsNaN(n) {
		return ""
	}
	if n == 0 {
		return fmt.Sprintf("expected to win %s of leads in %s, where it has no outcome yet", percent(rate), word)
	}
	return fmt.Sprintf("wins %s of leads in %s (%s)", percent(rate), word, count(n, "known outcome"))
}

// tell says in words what was decided.
func (c *Case) tell(d *record.Decision, chosen int) {
	k, policy := d.Candidates[chosen], c.policy
	first := fmt.Sprintf("%s: chance to win %s (%s to %s)", k.Partner, percent(k.Win), percent(k.WinLo), percent(k.WinHi))
	if k.Accept != 1 {
		first += fmt.Sprintf(", to accept %s", percent(k.Accept))
	}
	if c.known {
		first += fmt.Sprintf(", so %s %s are expected of %s", number(policy.units(k.Win*k.Accept*c.amount)), policy.currency(), number(policy.units(c.amount)))
	}
	d.Reasons = append(d.Reasons, first)
	refused := 0
	for _, r := range d.Refusals {
		refused += r.Count
	}
	d.Reasons = append(d.Reasons, fmt.Sprintf("%d of %d partners may have this lead%s", len(d.Candidates), len(d.Candidates)+refused, c.refusedInWords()))
	if d.Explored {
		best := slices.MaxFunc(d.Candidates, byValue)
		d.Reasons = append(d.Reasons, fmt.Sprintf("chosen to keep learning, with probability %s: %s was worth %s of the amount more", percent(k.Prob), best.Partner, percent((best.Value-k.Value)/c.amount)))
	}
	if d.PlainChoice != d.Chosen {
		i := slices.IndexFunc(d.Candidates, func(x record.Candidate) bool { return x.Partner == d.PlainChoice })
		d.Reasons = append(d.Reasons, fmt.Sprintf("the plain rules would have taken %s, in turn: chance to win %s", d.PlainChoice, percent(d.Candidates[i].Win)))
	}
	if d.Degraded {
		d.Reasons = append(d.Reasons, "no trained model is in force: chances are the partners' own rates, shrunk")
	}
}

// tellNobody says why nobody can take the lead.
func (c *Case) tellNobody(d *record.Decision) {
	if len(c.refused) == 0 {
		d.Reasons = []string{"there are no partners"}
		return
	}
	d.Reasons = []string{"nobody may have this lead" + c.refusedInWords()}
}

// refusedInWords lists the rules that refused and how many each.
func (c *Case) refusedInWords() string {
	var parts []string
	for _, r := range c.refused {
		parts = append(parts, fmt.Sprintf("%d %s (%s)", r.Set.GetCardinality(), r.Rule, r.Reason))
	}
	if parts == nil {
		return ""
	}
	return "; refused: " + strings.Join(parts, ", ")
}

func said(format, text string) string {
	if text == "" {
		return ""
	}
	return fmt.Sprintf(format, text)
}

func cutAny(s string, ends ...string) (string, bool) {
	for _, end := range ends {
		if before, ok := strings.CutSuffix(s, end); ok {
			return before, true
		}
	}
	return s, false
}

// count writes a number of things.
func count(n float64, thing string) string {
	if math.Round(n) == 1 {
		return "1 " + thing
	}
	return fmt.Sprintf("%.0f %ss", n, thing)
}

// percent writes a share as people do: whole percents, tenths below ten.
func percent(x float64) string {
	if math.Abs(x) < 0.0995 {
		return fmt.Sprintf("%.1f %%", 100*x)
	}
	return fmt.Sprintf("%.0f %%", 100*x)
}

// number writes a number in at most four places, thousands set apart.
func number(x float64) string {
	if math.Abs(x) < 100 {
		return fmt.Sprintf("%.3g", x)
	}
	digits := fmt.Sprintf("%.0f", x)
	for i := len(digits) - 3; i > 0 && digits[i-1] != '-'; i -= 3 {
		digits = digits[:i] + "," + digits[i:]
	}
	return digits
}
