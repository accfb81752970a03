package routing

import (
	"cmp"
	"fmt"
	"math"
	"slices"
	"strings"

	"bellwether/datasets/record"
	"bellwether/features"
	"bellwether/models/calibrate"
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

// profile is a candidate while its reasons are found.
type profile struct {
	c     *Case
	of    *candidate
	row   []float64
	blame []float64 // memory of contributions
}

// profile reads a candidate.
func (c *Case) profile(i int) *profile {
	width := c.set.Width()
	p := &profile{c: c, row: make([]float64, width), blame: make([]float64, width)}
	p.read(i)
	return p
}

// read makes it the profile of another candidate.
func (p *profile) read(i int) {
	p.of = &p.c.candidates[i]
	p.c.row(p.row, p.of)
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
	order := c.ranking(d.Candidates, chosen)
	d.Ranked = make([]record.Ranked, 0, len(order))
	p := c.profile(chosen)
	for _, i := range order {
		p.read(i)
		k := record.Ranked{Candidate: d.Candidates[i], Values: make(map[string]float64, len(shownFeatures)+2*mostReasons)}
		for _, name := range shownFeatures {
			p.keep(&k, name)
		}
		v := p.weigh()
		for _, name := range v.told {
			p.keep(&k, name)
		}
		p.business(v, &k.Candidate)
		k.Enough = p.enough(v, &k.Candidate)
		if ask := c.unsure(&k.Candidate); ask != "" {
			v.notes = append(v.notes, ask)
		}
		k.Reasons = v.sentences()
		d.Ranked = append(d.Ranked, k)
	}
}

func (p *profile) keep(k *record.Ranked, name string) {
	if x := p.value(name); !math.IsNaN(x) {
		k.Values[name] = x
	}
}

// verdict is what can be said of a candidate.
type verdict struct {
	pro, con []string // what moved the model's answer, the most first
	notes    []string
	told     []string // features named in pro, con and notes
}

// sentences lists everything said.
func (v *verdict) sentences() []string {
	out := make([]string, 0, len(v.pro)+len(v.con)+len(v.notes))
	for _, text := range v.pro {
		out = append(out, "for it: "+text)
	}
	for _, text := range v.con {
		out = append(out, "against it: "+text)
	}
	return append(out, v.notes...)
}

// widest is the width up to which an interval says enough, where the policy names
// none. Intervals of rates, and of models from before they promised how often a
// partner's rate lies within, mean less and are narrower.
func (c *Case) widest() float64 {
	if c.model != nil && calibrate.Promises(c.model.Win.Calibrator) {
		return 0.5
	}
	return 0.35
}

// enough says whether the probability rests on enough data, and notes why not.
func (p *profile) enough(v *verdict, k *record.Candidate) bool {
	ev := &p.c.policy.Evidence
	most, least := setting(ev.Width, p.c.widest()), setting(ev.Offers, 5)
	decided := math.Round(math.Expm1(p.value(featDecided)))
	switch {
	case math.IsNaN(decided) || decided == 0 && least > 0:
		v.notes = append(v.notes, "not enough data, because no outcome of its offers is known yet")
	case decided < least:
		v.notes = append(v.notes, fmt.Sprintf("not enough data, because it has only %s", count(decided, "known outcome")))
	case most > 0 && k.WinHi-k.WinLo > most:
		v.notes = append(v.notes, fmt.Sprintf("not enough data: its chance may be anything from %s to %s", percent(k.WinLo), percent(k.WinHi)))
	default:
		return true
	}
	return false
}

// business notes what beside the probabilities went into the value.
func (p *profile) business(v *verdict, k *record.Candidate) {
	if p.of.room > 0 {
		v.notes = append(v.notes, fmt.Sprintf("has room for %s in this period", count(float64(p.of.room), "more lead")))
	}
	if k.Price > 0.005*p.c.amount {
		v.notes = append(v.notes, fmt.Sprintf("its work in hand (%d open) counts %s of the amount against it", p.of.open, percent(k.Price/p.c.amount)))
	}
	if lift := p.c.policy.Fairness.lift(p.of.recent); lift > 0.001 {
		v.notes = append(v.notes, fmt.Sprintf("lifted by %s of the amount, because it was offered little lately", percent(lift)))
	}
}

// mostReasons is how many are taken from the model, each way.
const mostReasons = 3

// leastEffect is the smallest move in log-odds worth a sentence: about one
// point of a chance of one half.
const leastEffect = 0.04

// effect is what a family of features moved the log-odds by.
type effect struct {
	family []int // columns
	moved  float64
}

// weigh says what speaks for the candidate and what against it: by what moved
// the model's answer, or without a model what is known of it. Only what is told
// is put in words.
func (p *profile) weigh() *verdict {
	v := &verdict{}
	blame := p.contributions()
	if blame == nil {
		for _, name := range []string{"pair_industry_win_rate", "pair_product_win_rate", featWinRate} {
			if text := p.words(name).text; text != "" && !slices.Contains(v.notes, text) {
				v.notes, v.told = append(v.notes, text), append(v.told, name)
			}
		}
		return v
	}
	for _, e := range p.c.model.effects(p.c.set, blame) {
		list := &v.pro
		if e.moved < 0 {
			list = &v.con
		}
		speaker := p.speaker(e.family, blame)
		if speaker < 0 || len(*list) == mostReasons {
			continue
		}
		if text := p.say(speaker).text; text != "" && !slices.Contains(v.pro, text) && !slices.Contains(v.con, text) {
			*list, v.told = append(*list, text), append(v.told, p.c.set.Features()[speaker].Name)
		}
	}
	return v
}

// contributions returns what each column moved the log-odds by, nil without a
// model that can say. It holds until the next call.
func (p *profile) contributions() []float64 {
	if p.c.model == nil {
		return nil
	}
	model, ok := p.c.model.Win.Model.(interface {
		Contributions(dst, row []float64) float64
	})
	if !ok {
		return nil
	}
	model.Contributions(p.blame, p.row)
	return p.blame
}

// effects sums contributions by family and returns those worth a sentence,
// largest first.
func (m *Model) effects(set *features.Set, blame []float64) []effect {
	m.group(set)
	var out []effect
	for _, family := range m.families {
		e := effect{family: family}
		for _, i := range family {
			e.moved += blame[i]
		}
		if math.Abs(e.moved) > leastEffect {
			out = append(out, e)
		}
	}
	slices.SortStableFunc(out, func(a, b effect) int { return cmp.Compare(math.Abs(b.moved), math.Abs(a.moved)) })
	return out
}

// speaker is the column of a family that moved most of those that are known and
// have words; -1 if none has.
func (p *profile) speaker(family []int, blame []float64) int {
	at, most := -1, 0.0
	for _, i := range family {
		if math.Abs(blame[i]) > most && !math.IsNaN(p.row[i]) && p.c.model.says[i] != nil {
			at, most = i, math.Abs(blame[i])
		}
	}
	return at
}

// group lists the columns of each family of a set, but for the lead's: they are
// the same for every candidate; and how each column is said.
func (m *Model) group(set *features.Set) {
	m.grouping.Do(func() {
		place := map[string]int{}
		m.says = make([]wording, set.Width())
		for i := range set.Features() {
			f := &set.Features()[i]
			m.says[i] = wordingOf(f)
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
}

// family is what features that say the same at several lengths of time have in
// common: partner_wins_91d and partner_wins_life are partner_wins. Who a partner
// is goes with its record: the model knows it by nothing else.
func family(name string) string {
	if name == "partner_id" {
		return "partner"
	}
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

// words says a feature of the candidate by name; nothing when it is not known.
func (p *profile) words(name string) phrase {
	if i, ok := p.c.set.Column(name); ok {
		return p.say(i)
	}
	return phrase{}
}

// say says a column of the candidate.
func (p *profile) say(i int) phrase { return p.sayAs(i, p.row[i]) }

// sayAs says a column as if it were x.
func (p *profile) sayAs(i int, x float64) phrase {
	w := wordingOf(&p.c.set.Features()[i])
	if w == nil || math.IsNaN(x) {
		return phrase{}
	}
	return w(p, x)
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
	if said := c.lead.Value; !c.known && said.Amount > 0 {
		d.Reasons = append(d.Reasons, fmt.Sprintf("what the lead is worth in %s is not known here, so it counts for %s %s: the policy has no rate for %s",
			said.Currency, number(policy.units(c.amount)), policy.currency(), said.Currency))
	}
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
		parts = append(parts, fmt.Sprintf("%d %s (%s)", r.Set.count(), r.Rule, r.Reason))
	}
	if parts == nil {
		return ""
	}
	return "; refused: " + strings.Join(parts, ", ")
}
