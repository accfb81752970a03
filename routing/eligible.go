package routing

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"bellwether/datasets/record"
)

// The rules, in the order they are applied.
const (
	RuleStatus      = "status"
	RuleContract    = "contract"
	RuleCertificate = "certificate"
	RuleTerritory   = "territory"
	RuleCompetence  = "competence"
	RuleLanguage    = "language"
	RuleMarketplace = "marketplace"
	RuleCapacity    = "capacity"
	RuleCalendar    = "calendar"
	RuleHistory     = "history"
	RuleProtection  = "protection"
	RuleQuality     = "quality" // after scoring: P(win) below the policy's floor
)

// RuleNames lists the built-in rules in the order they are applied; a policy's
// custom rules come before the last.
var RuleNames = []string{RuleStatus, RuleContract, RuleCertificate, RuleTerritory, RuleCompetence, RuleLanguage,
	RuleMarketplace, RuleCapacity, RuleCalendar, RuleHistory, RuleProtection, RuleQuality}

// strictable are the rules a partner may be under by stating nothing.
var strictable = []string{RuleContract, RuleTerritory, RuleCompetence, RuleLanguage, RuleMarketplace}

// rule is one reason a partner may not have a lead.
type rule struct {
	name, reason string
	strict       bool
	// keep returns those of in that pass. It may return in itself, and does
	// not change it.
	keep func(ix *Index, q *query, in set) set
	// why returns what to tell a partner that does not pass, "" to one that
	// does: the same rule for one partner.
	why func(ix *Index, q *query, e *entry) string
}

// query is one lead at one moment, and what the rules look up once for it.
type query struct {
	lead    *record.Lead
	now     time.Time
	policy  *Policy
	slice   slice
	strict  bool
	before  set // partners already offered the lead
	holder  record.PartnerID
	until   time.Time // end of holder's protection
	regions []string
	fields  map[string]any // of the lead, for custom rules
}

// Eligible is the outcome of the rules for one lead.
type Eligible struct {
	Numbers []uint32 // who may have the lead, by index number
	Refused []Refused
}

// Refused is a rule and whom it refused.
type Refused struct {
	Rule, Reason string
	Set          set // index numbers
}

// Eligible applies the rules in order; every partner is among Numbers or under
// the first rule that refused it. exclude names partners that count as already
// offered the lead.
func (ix *Index) Eligible(lead *record.Lead, now time.Time, exclude []record.PartnerID) *Eligible {
	q := ix.query(lead, now, exclude)
	left := everybody(len(ix.entries))
	out := &Eligible{}
	for i := range ix.rules {
		r := &ix.rules[i]
		q.strict = r.strict
		kept := r.keep(ix, q, left)
		if kept.count() < left.count() {
			out.Refused = append(out.Refused, Refused{Rule: r.name, Reason: r.reason, Set: left.without(kept)})
		}
		if left = kept; left.empty() {
			break
		}
	}
	out.Numbers = slices.AppendSeq(make([]uint32, 0, left.count()), left.all())
	return out
}

// Explain says why one partner may not have the lead: the first rule that
// refuses it and a sentence for it. Both are empty for an eligible partner.
func (ix *Index) Explain(id record.PartnerID, lead *record.Lead, now time.Time, exclude []record.PartnerID) (ruleName, reason string, err error) {
	n, ok := ix.number[id]
	if !ok {
		return "", "", record.Errorf(record.NotFound, "explain", "there is no partner %q", id)
	}
	q := ix.query(lead, now, exclude)
	for i := range ix.rules {
		q.strict = ix.rules[i].strict
		if why := ix.rules[i].why(ix, q, ix.entries[n]); why != "" {
			return ix.rules[i].name, why, nil
		}
	}
	return "", "", nil
}

func (ix *Index) query(lead *record.Lead, now time.Time, exclude []record.PartnerID) *query {
	q := &query{lead: lead, now: now, policy: &ix.policy, slice: ix.clock.at(now), regions: regions(lead.Place.Region)}
	ix.chains.before(lead.ID, q.before.add)
	for _, id := range exclude {
		if n, ok := ix.number[id]; ok {
			q.before.add(ix.root(ix.entries[n]).number)
		}
	}
	if p, ok := ix.deals.holder(lead.Account, now); ok {
		q.holder, q.until = p.Holder, p.Until
		if n, known := ix.number[p.Holder]; known {
			q.holder = ix.root(ix.entries[n]).partner.ID
		}
	}
	if len(ix.custom) > 0 {
		q.fields = leadFields(&ix.policy, lead)
	}
	return q
}

// ruleTable lists the rules a policy applies.
func ruleTable(p *Policy, custom []customRule) []rule {
	all := []rule{
		{name: RuleStatus, reason: "is not an active partner", keep: keepStatus, why: whyStatus},
		{name: RuleContract, reason: "has no contract in force", keep: keepContract, why: whyContract},
		{name: RuleCertificate, reason: "lacks a certificate in force that is wanted", keep: keepCertificate, why: whyCertificate},
		{name: RuleTerritory, reason: "does not sell where the lead is", keep: keepTerritory, why: whyTerritory},
		{name: RuleCompetence, reason: "lacks the competence for what the lead wants", keep: keepCompetence, why: whyCompetence},
		{name: RuleLanguage, reason: "does not speak the lead's language", keep: keepLanguage, why: whyLanguage},
		{name: RuleMarketplace, reason: "does not sell on the marketplace the lead buys on", keep: keepMarketplace, why: whyMarketplace},
		{name: RuleCapacity, reason: "has no capacity left in this period", keep: keepCapacity, why: whyCapacity},
		{name: RuleCalendar, reason: "is not at work now", keep: keepCalendar, why: whyCalendar},
		{name: RuleHistory, reason: "was offered this lead before", keep: keepHistory, why: whyHistory},
		{name: RuleProtection, reason: "another partner has registered this account", keep: keepProtection, why: whyProtection},
	}
	rules := slices.DeleteFunc(all, func(r rule) bool { return slices.Contains(p.Rules.Off, r.name) })
	for i := range rules {
		rules[i].strict = slices.Contains(p.Rules.Strict, rules[i].name)
	}
	for i := range custom {
		rules = append(rules, customEntry(&custom[i]))
	}
	return rules
}

func keepStatus(_ *Index, q *query, in set) set {
	return in.and(q.slice.active)
}

func whyStatus(ix *Index, q *query, e *entry) string {
	if e.into >= 0 {
		return fmt.Sprintf("was merged into %s", ix.root(e).partner.ID)
	}
	switch status := e.partner.StatusAt(q.now); status {
	case "active":
		return ""
	case "":
		return "has no status in force on " + q.now.Format(time.DateOnly)
	default:
		return "is " + status + ", not active"
	}
}

func keepContract(ix *Index, q *query, in set) set {
	kept := in.and(q.slice.contract)
	if q.strict {
		return filter(kept, func(n uint32) bool { return ix.entries[n].partner.Contract != record.Span{} })
	}
	return kept
}

func whyContract(_ *Index, q *query, e *entry) string {
	switch c := e.partner.Contract; {
	case c == record.Span{}:
		if q.strict {
			return "has no contract on record"
		}
	case !c.From.IsZero() && q.now.Before(c.From):
		return "its contract begins " + c.From.Format(time.DateOnly)
	case !c.Contains(q.now):
		return "its contract ended " + c.To.Format(time.DateOnly)
	}
	return ""
}

// wantedCertificates lists what the policy demands for the lead.
func (q *query) wantedCertificates() []string {
	r := &q.policy.Rules
	if len(r.ByProduct) == 0 {
		return r.Certified
	}
	out := slices.Clone(r.Certified)
	for _, p := range q.lead.Products {
		out = append(out, r.ByProduct[p]...)
	}
	return out
}

func keepCertificate(ix *Index, q *query, in set) set {
	kept := in
	for _, name := range q.wantedCertificates() {
		i, _ := slices.BinarySearch(ix.clock.wanted, name)
		kept = kept.and(q.slice.certified[i])
	}
	return kept
}

func whyCertificate(_ *Index, q *query, e *entry) string {
	for _, name := range q.wantedCertificates() {
		if certified(e.partner, name, q.now) {
			continue
		}
		var ended time.Time
		for _, c := range e.partner.Certifications {
			if c.Name == name && !c.To.IsZero() && !c.To.After(q.now) && c.To.After(ended) {
				ended = c.To
			}
		}
		if !ended.IsZero() {
			return fmt.Sprintf("its certificate %s expired %s", name, ended.Format(time.DateOnly))
		}
		return fmt.Sprintf("does not hold the certificate %s", name)
	}
	return ""
}

// keepWords keeps the partners that state one of the words, and, unless the
// rule is strict, those that state none at all.
func (ix *Index) keepWords(kind facetKind, q *query, in set, words ...string) set {
	f := &ix.facets[kind]
	var kept set
	if !q.strict {
		kept = in.without(f.stated)
	}
	for _, w := range words {
		if by := f.by[w]; by != nil {
			kept.or(by.ToDense())
		}
	}
	return in.and(kept)
}

// unstated answers for a partner that states nothing of a kind.
func unstated(q *query, what string) string {
	if q.strict {
		return "states no " + what
	}
	return ""
}

func keepTerritory(ix *Index, q *query, in set) set {
	if q.lead.Place.Region == "" {
		return in
	}
	return ix.keepWords(territories, q, in, q.regions...)
}

func whyTerritory(_ *Index, q *query, e *entry) string {
	switch list := e.partner.Territories; {
	case q.lead.Place.Region == "":
		return ""
	case len(list) == 0:
		return unstated(q, "territory")
	case !slices.ContainsFunc(list, func(t string) bool { return slices.Contains(q.regions, t) }):
		return fmt.Sprintf("sells in %s, not in %s", some(list), q.lead.Place.Region)
	}
	return ""
}

// keepCompetence looks words up in bitmaps, and then the dates of those left
// some of whose competences are not in force.
func keepCompetence(ix *Index, q *query, in set) set {
	wanted := q.lead.Products
	if len(wanted) == 0 {
		return in
	}
	var kept set
	if q.policy.Rules.Competence == "any" {
		kept = ix.keepWords(products, q, in, wanted...)
	} else {
		kept = in
		for _, w := range wanted {
			kept = ix.keepWords(products, q, kept, w)
		}
	}
	doubtful := kept.and(q.slice.lapsed)
	if doubtful.empty() {
		return kept
	}
	kept = kept.without(doubtful)
	for n := range doubtful.all() {
		if competent(q, ix.entries[n].partner) {
			kept.add(n)
		}
	}
	return kept
}

func competent(q *query, p *record.Partner) bool {
	if len(p.Competences) == 0 {
		return !q.strict
	}
	has := func(product string) bool {
		return slices.ContainsFunc(p.Competences, func(c record.Competence) bool {
			return c.Product == product && c.Level >= q.policy.Rules.MinLevel && c.Contains(q.now)
		})
	}
	if q.policy.Rules.Competence == "any" {
		return slices.ContainsFunc(q.lead.Products, has)
	}
	return !slices.ContainsFunc(q.lead.Products, func(w string) bool { return !has(w) })
}

func whyCompetence(_ *Index, q *query, e *entry) string {
	if len(q.lead.Products) == 0 || competent(q, e.partner) {
		return ""
	}
	if len(e.partner.Competences) == 0 {
		return "states no competence"
	}
	var lacks []string
	for _, w := range q.lead.Products {
		one := *q
		one.lead = &record.Lead{Products: []string{w}}
		if !competent(&one, e.partner) {
			lacks = append(lacks, w)
		}
	}
	return "has no competence in force for " + some(lacks)
}

func keepLanguage(ix *Index, q *query, in set) set {
	if q.lead.Language == "" {
		return in
	}
	return ix.keepWords(languages, q, in, language(q.lead.Language))
}

func whyLanguage(_ *Index, q *query, e *entry) string {
	switch list := e.partner.Languages; {
	case q.lead.Language == "":
		return ""
	case len(list) == 0:
		return unstated(q, "language")
	case !slices.ContainsFunc(list, func(l string) bool { return language(l) == language(q.lead.Language) }):
		return fmt.Sprintf("speaks %s, not %s", some(list), q.lead.Language)
	}
	return ""
}

func keepMarketplace(ix *Index, q *query, in set) set {
	if q.lead.Marketplace == "" {
		return in
	}
	return ix.keepWords(marketplaces, q, in, q.lead.Marketplace)
}

func whyMarketplace(_ *Index, q *query, e *entry) string {
	switch list := e.partner.Marketplaces; {
	case q.lead.Marketplace == "":
		return ""
	case len(list) == 0:
		return unstated(q, "marketplace")
	case !slices.Contains(list, q.lead.Marketplace):
		return fmt.Sprintf("sells on %s, not on %s", some(list), q.lead.Marketplace)
	}
	return ""
}

func keepCapacity(ix *Index, q *query, in set) set {
	full := in.and(ix.full)
	kept := in.without(full)
	for n := range full.all() {
		if ix.entries[n].room(q.now) != 0 {
			kept.add(n)
		}
	}
	return kept
}

func whyCapacity(_ *Index, q *query, e *entry) string {
	if e.room(q.now) != 0 {
		return ""
	}
	period := e.partner.Capacity.Period
	if period == "" {
		period = "week"
	}
	return fmt.Sprintf("takes %d leads a %s and has them: %d accepted, %d waiting for its answer",
		e.partner.Capacity.Units, period, e.load.Used, e.load.Reserved)
}

func keepCalendar(ix *Index, q *query, in set) set {
	return in.and(ix.clock.working(q.now, &q.slice))
}

func whyCalendar(ix *Index, q *query, e *entry) string {
	c := &e.partner.Capacity
	for _, a := range c.Absences {
		if a.Contains(q.now) {
			if a.To.IsZero() {
				return "is away"
			}
			return "is away until " + a.To.Format(time.DateOnly)
		}
	}
	if len(c.Weekdays) == 0 {
		return ""
	}
	day := q.now.In(ix.clock.zones[c.Timezone].place).Weekday()
	if slices.Contains(c.Weekdays, day) {
		return ""
	}
	return "does not work on " + day.String() + "s"
}

func keepHistory(_ *Index, q *query, in set) set {
	return in.without(q.before)
}

func whyHistory(_ *Index, q *query, e *entry) string {
	if q.before.has(e.number) {
		return "was offered this lead before"
	}
	return ""
}

func keepProtection(ix *Index, q *query, in set) set {
	if q.holder == "" {
		return in
	}
	var kept set
	if n, ok := ix.number[q.holder]; ok && in.has(n) {
		kept.add(n)
	}
	return kept
}

func whyProtection(_ *Index, q *query, e *entry) string {
	if q.holder == "" || e.partner.ID == q.holder {
		return ""
	}
	return fmt.Sprintf("account %s is registered by another partner until %s", q.lead.Account, q.until.Format(time.DateOnly))
}

// customEntry makes a rule of a custom one. It is evaluated for whom the rules
// before it left.
func customEntry(c *customRule) rule {
	return rule{
		name: c.name, reason: c.reason,
		keep: func(ix *Index, q *query, in set) set {
			return filter(in, func(n uint32) bool {
				ok, _ := c.allows(q.fields, ix.entries[n].fields, q.now)
				return ok
			})
		},
		why: func(_ *Index, q *query, e *entry) string {
			switch ok, problem := c.allows(q.fields, e.fields, q.now); {
			case problem != "":
				return fmt.Sprintf("%s (the rule could not be evaluated: %s)", c.reason, problem)
			case !ok:
				return c.reason
			}
			return ""
		},
	}
}

// filter returns those of in that pass.
func filter(in set, pass func(n uint32) bool) set {
	out := slices.Clone(in)
	for n := range in.all() {
		if !pass(n) {
			out.remove(n)
		}
	}
	return out
}

// some lists the first few of a list for people.
func some(list []string) string {
	if len(list) > 4 {
		return fmt.Sprintf("%s and %d more", strings.Join(list[:4], ", "), len(list)-4)
	}
	return strings.Join(list, ", ")
}
