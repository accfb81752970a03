package routing

import (
	"bytes"
	"fmt"
	"slices"
	"testing"
	"time"

	"bellwether/datasets/record"

	"pgregory.net/rapid"
)

var day0 = time.Date(2025, 3, 3, 9, 0, 0, 0, time.UTC) // a Monday

const day = 24 * time.Hour

// dumb answers as an Index does, from the whole past and one partner at a time.
type dumb struct {
	policy *Policy
	order  []record.PartnerID
	past   []any // *record.Partner or *record.Event, in log order
}

func (d *dumb) root(id record.PartnerID) record.PartnerID { return d.rootBefore(nil, id) }

// rootBefore is who stood for id when event e came; nil is the end.
func (d *dumb) rootBefore(end *record.Event, id record.PartnerID) record.PartnerID {
	stands := map[record.PartnerID]record.PartnerID{} // every partner of a merged group by one of them
	of := func(id record.PartnerID) record.PartnerID {
		if s, ok := stands[id]; ok {
			return s
		}
		return id
	}
	for _, x := range d.past {
		e, ok := x.(*record.Event)
		if ok && e == end {
			break
		}
		if ok && e.Type == record.PartnerMerged {
			gone, stays := of(e.Other), of(e.Partner)
			for _, p := range d.order {
				if of(p) == gone {
					stands[p] = stays
				}
			}
		}
	}
	return of(id)
}

// partner is the record in force with the events since applied.
func (d *dumb) partner(id record.PartnerID) record.Partner {
	var p record.Partner
	for _, x := range d.past {
		switch x := x.(type) {
		case *record.Partner:
			if x.ID == id {
				p = *x
				p.Status, p.Certifications = slices.Clone(p.Status), slices.Clone(p.Certifications)
			}
		case *record.Event:
			if d.rootBefore(x, x.Partner) != id {
				continue
			}
			switch x.Type {
			case record.StatusChanged:
				if len(p.Status) == 0 {
					p.Status = []record.StatusSpan{{Status: "active"}}
				}
				at := len(p.Status)
				for i := range p.Status {
					if !slices.ContainsFunc(p.Status[i:], func(s record.StatusSpan) bool { return !s.From.After(x.At) }) {
						at = i
						break
					}
				}
				p.Status = slices.Insert(p.Status, at, record.StatusSpan{Status: x.Text, Span: record.Span{From: x.At}})
			case record.TierChanged:
				p.Tier = x.Text
			case record.Certified:
				p.Certifications = append(p.Certifications, record.Certification{Name: x.Text, Span: record.Span{From: x.At, To: x.Until}})
			case record.ContractRenewed:
				p.Contract.To = x.Until
			case record.ContractLapsed:
				if p.Contract.To.IsZero() || p.Contract.To.After(x.At) {
					p.Contract.To = x.At
				}
			}
		}
	}
	return p
}

// offers lists what was offered, to whom it belongs now, and in what state.
func (d *dumb) offers() (out []struct {
	lead  record.LeadID
	to    record.PartnerID
	at    time.Time
	state record.EventType
}) {
	for _, x := range d.past {
		e, ok := x.(*record.Event)
		if !ok {
			continue
		}
		to := d.rootBefore(e, e.Partner)
		switch e.Type {
		case record.OfferMade:
			out = append(out, struct {
				lead  record.LeadID
				to    record.PartnerID
				at    time.Time
				state record.EventType
			}{e.Lead, to, e.At, e.Type})
		case record.PartnerMerged:
			other := d.rootBefore(e, e.Other)
			for i := range out {
				if out[i].to == other {
					out[i].to = to
				}
			}
		case record.OfferAccepted, record.OfferDeclined, record.OfferExpired, record.OfferWithdrawn, record.OfferSuperseded, record.DealWon, record.DealLost:
			for i := len(out) - 1; i >= 0; i-- {
				if out[i].lead == e.Lead && out[i].to == to {
					out[i].state = e.Type
					break
				}
			}
		}
	}
	return out
}

func sameperiod(kind string, a, b time.Time) bool {
	switch kind {
	case "day":
		return a.Format(time.DateOnly) == b.Format(time.DateOnly)
	case "month":
		return a.Format("2006-01") == b.Format("2006-01")
	}
	ay, aw := a.ISOWeek()
	by, bw := b.ISOWeek()
	return ay == by && aw == bw
}

func (d *dumb) holder(lead *record.Lead, now time.Time) record.PartnerID {
	type deal struct {
		e     *record.Event
		until time.Time
	}
	var deals []deal
	for _, x := range d.past {
		e, ok := x.(*record.Event)
		if !ok {
			continue
		}
		switch e.Type {
		case record.DealRegistered:
			until := e.Until
			if until.IsZero() {
				until = e.At.Add(90 * day)
			}
			deals = slices.DeleteFunc(deals, func(k deal) bool { return e.Supersedes != "" && k.e.ID == e.Supersedes })
			deals = append(deals, deal{e, until})
		case record.DealWon, record.DealLost:
			deals = slices.DeleteFunc(deals, func(k deal) bool { return e.Deal != "" && k.e.Deal == e.Deal })
		}
	}
	var first *deal
	for i := range deals {
		k := &deals[i]
		if lead.Account != "" && k.e.Account == lead.Account && k.until.After(now) && (first == nil || k.e.At.Before(first.e.At)) {
			first = k
		}
	}
	if first == nil {
		return ""
	}
	return d.root(first.e.Partner)
}

// refusal is the first rule that refuses the partner, "" for none.
func (d *dumb) refusal(id record.PartnerID, lead *record.Lead, now time.Time, exclude []record.PartnerID) string {
	p, r := d.partner(id), &d.policy.Rules
	on := func(rule string) bool { return !slices.Contains(r.Off, rule) }
	word := func(rule, wanted string, has []string, match func(string) bool) bool {
		if wanted == "" || !on(rule) {
			return true
		}
		if len(has) == 0 {
			return !slices.Contains(r.Strict, rule)
		}
		return slices.ContainsFunc(has, match)
	}
	if on(RuleStatus) && (d.root(id) != id || p.StatusAt(now) != "active") {
		return RuleStatus
	}
	if on(RuleContract) && (!p.Contract.Contains(now) || p.Contract == record.Span{} && slices.Contains(r.Strict, RuleContract)) {
		return RuleContract
	}
	wanted := slices.Clone(r.Certified)
	for _, product := range lead.Products {
		wanted = append(wanted, r.ByProduct[product]...)
	}
	for _, name := range wanted {
		if on(RuleCertificate) && !slices.ContainsFunc(p.Certifications, func(c record.Certification) bool { return c.Name == name && c.Contains(now) }) {
			return RuleCertificate
		}
	}
	region := lead.Place.Region
	if !word(RuleTerritory, region, p.Territories, func(t string) bool { return t == region || len(region) > len(t) && region[:len(t)+1] == t+"-" }) {
		return RuleTerritory
	}
	if on(RuleCompetence) && !d.competent(&p, lead, now) {
		return RuleCompetence
	}
	if !word(RuleLanguage, lead.Language, p.Languages, func(l string) bool { return l[:2] == lead.Language[:2] }) {
		return RuleLanguage
	}
	if !word(RuleMarketplace, lead.Marketplace, p.Marketplaces, func(m string) bool { return m == lead.Marketplace }) {
		return RuleMarketplace
	}
	if on(RuleCapacity) && p.Capacity.Units > 0 && d.used(&p, now) >= p.Capacity.Units {
		return RuleCapacity
	}
	if on(RuleCalendar) && !atWork(&p, now) {
		return RuleCalendar
	}
	for _, o := range d.offers() {
		if on(RuleHistory) && o.lead == lead.ID && o.to == id {
			return RuleHistory
		}
	}
	for _, x := range exclude {
		if on(RuleHistory) && d.root(x) == id {
			return RuleHistory
		}
	}
	if h := d.holder(lead, now); on(RuleProtection) && h != "" && h != id {
		return RuleProtection
	}
	for _, c := range r.Custom {
		if p.Tier != "gold" {
			return c.Name
		}
	}
	return ""
}

func (d *dumb) competent(p *record.Partner, lead *record.Lead, now time.Time) bool {
	if len(lead.Products) == 0 {
		return true
	}
	if len(p.Competences) == 0 {
		return !slices.Contains(d.policy.Rules.Strict, RuleCompetence)
	}
	met := 0
	for _, product := range lead.Products {
		if level, ok := p.CompetenceLevel(product, now); ok && level >= d.policy.Rules.MinLevel {
			met++
		}
	}
	if d.policy.Rules.Competence == "any" {
		return met > 0
	}
	return met == len(lead.Products)
}

func (d *dumb) used(p *record.Partner, now time.Time) int {
	used := 0
	for _, o := range d.offers() {
		switch o.state {
		case record.OfferMade, record.OfferAccepted, record.DealWon, record.DealLost:
			if o.to == p.ID && sameperiod(p.Capacity.Period, o.at, now) {
				used++
			}
		}
	}
	return used
}

// zones are the time zones of random partners.
var zones = map[string]*time.Location{}

func init() {
	for _, name := range []string{"", "Europe/Berlin", "Pacific/Auckland", "America/Los_Angeles"} {
		zone, err := time.LoadLocation(name)
		if err != nil {
			panic(err)
		}
		zones[name] = zone
	}
}

func atWork(p *record.Partner, now time.Time) bool {
	for _, a := range p.Capacity.Absences {
		if a.Contains(now) {
			return false
		}
	}
	zone := zones[p.Capacity.Timezone]
	return len(p.Capacity.Weekdays) == 0 || slices.Contains(p.Capacity.Weekdays, now.In(zone).Weekday())
}

// The words random worlds are made of.
var (
	ids       = rapid.Map(rapid.IntRange(0, 7), func(i int) record.PartnerID { return record.PartnerID(fmt.Sprintf("p%d", i)) })
	leadIDs   = rapid.Map(rapid.IntRange(0, 5), func(i int) record.LeadID { return record.LeadID(fmt.Sprintf("l%d", i)) })
	accounts  = rapid.SampledFrom([]record.AccountID{"", "acme", "globex"})
	someTerr  = subset("DE", "DE-BY", "AT", "FR")
	someProd  = subset("crm", "erp", "bi")
	someLangs = subset("de", "de-CH", "en", "fr-FR")
	someMarks = subset("aws", "azure")
)

func subset(words ...string) *rapid.Generator[[]string] {
	return rapid.Custom(func(t *rapid.T) []string {
		var out []string
		for _, w := range words {
			if rapid.IntRange(0, 2).Draw(t, w) == 0 {
				out = append(out, w)
			}
		}
		return out
	})
}

var spans = rapid.Custom(func(t *rapid.T) record.Span {
	var s record.Span
	if rapid.Bool().Draw(t, "begins") {
		s.From = day0.Add(time.Duration(rapid.IntRange(-20, 20).Draw(t, "from")) * 12 * time.Hour)
	}
	if rapid.Bool().Draw(t, "ends") {
		s.To = day0.Add(time.Duration(rapid.IntRange(20, 80).Draw(t, "to")) * 12 * time.Hour)
	}
	return s
})

var somePartners = rapid.Custom(func(t *rapid.T) *record.Partner {
	p := &record.Partner{ID: ids.Draw(t, "id"), Territories: someTerr.Draw(t, "territories"), Languages: someLangs.Draw(t, "languages"),
		Marketplaces: someMarks.Draw(t, "marketplaces"), Tier: rapid.SampledFrom([]string{"gold", "silver"}).Draw(t, "tier"), Contract: spans.Draw(t, "contract")}
	for _, product := range someProd.Draw(t, "products") {
		p.Competences = append(p.Competences, record.Competence{Product: product, Level: rapid.IntRange(0, 3).Draw(t, "level"), Span: spans.Draw(t, "competence")})
	}
	for range rapid.IntRange(0, 2).Draw(t, "certificates") {
		p.Certifications = append(p.Certifications, record.Certification{Name: rapid.SampledFrom([]string{"iso", "soc"}).Draw(t, "certificate"), Span: spans.Draw(t, "certificate")})
	}
	for range rapid.IntRange(0, 2).Draw(t, "statuses") {
		p.Status = append(p.Status, record.StatusSpan{Status: rapid.SampledFrom([]string{"active", "suspended"}).Draw(t, "status"), Span: spans.Draw(t, "status")})
	}
	c := &p.Capacity
	c.Units, c.Period = rapid.IntRange(0, 3).Draw(t, "units"), rapid.SampledFrom([]string{"", "day", "week", "month"}).Draw(t, "period")
	c.Timezone = rapid.SampledFrom([]string{"", "Europe/Berlin", "Pacific/Auckland", "America/Los_Angeles"}).Draw(t, "zone")
	if rapid.Bool().Draw(t, "has weekdays") {
		for d := time.Sunday; d <= time.Saturday; d++ {
			if rapid.IntRange(0, 3).Draw(t, "weekday") > 0 {
				c.Weekdays = append(c.Weekdays, d)
			}
		}
	}
	if rapid.IntRange(0, 3).Draw(t, "away") == 0 {
		c.Absences = []record.Span{spans.Draw(t, "absence")}
	}
	return p
})

// someEvents draws an event that became known at now.
func someEvents(t *rapid.T, n int, now time.Time) *record.Event {
	e := &record.Event{
		ID: record.EventID(fmt.Sprintf("e%d", n)), KnownAt: now, At: now.Add(-time.Duration(rapid.IntRange(0, 6).Draw(t, "late")) * 6 * time.Hour),
		Type: rapid.SampledFrom([]record.EventType{record.OfferMade, record.OfferMade, record.OfferMade, record.OfferAccepted, record.OfferDeclined,
			record.OfferExpired, record.OfferSuperseded, record.OfferWithdrawn, record.DealWon, record.DealLost, record.DealRegistered, record.DealRegistered,
			record.StatusChanged, record.Certified, record.ContractRenewed, record.ContractLapsed, record.TierChanged, record.PartnerMerged, record.PortalLogin}).Draw(t, "type"),
		Partner: ids.Draw(t, "partner"), Lead: leadIDs.Draw(t, "lead"),
	}
	switch e.Type {
	case record.DealRegistered:
		e.Account = rapid.SampledFrom([]record.AccountID{"acme", "globex"}).Draw(t, "account")
		e.Deal = record.DealID(rapid.SampledFrom([]string{"", fmt.Sprint("d", n)}).Draw(t, "deal"))
		if rapid.Bool().Draw(t, "ends") {
			e.Until = e.At.Add(time.Duration(rapid.IntRange(0, 20).Draw(t, "until")) * 6 * time.Hour)
		}
		if n > 0 && rapid.Bool().Draw(t, "supersedes") {
			e.Supersedes = record.EventID(fmt.Sprintf("e%d", rapid.IntRange(0, n-1).Draw(t, "which")))
		}
	case record.DealWon, record.DealLost:
		e.Deal = record.DealID(fmt.Sprint("d", rapid.IntRange(0, n).Draw(t, "deal")))
	case record.StatusChanged:
		e.Text = rapid.SampledFrom([]string{"active", "suspended", "terminated"}).Draw(t, "status")
	case record.TierChanged:
		e.Text = rapid.SampledFrom([]string{"gold", "silver"}).Draw(t, "tier")
	case record.Certified:
		e.Text, e.Until = rapid.SampledFrom([]string{"iso", "soc"}).Draw(t, "certificate"), e.At.Add(10*day)
	case record.ContractRenewed:
		e.Until = now.Add(time.Duration(rapid.IntRange(1, 20).Draw(t, "until")) * 12 * time.Hour)
	case record.PartnerMerged:
		e.Other = ids.Draw(t, "other")
	}
	return e
}

var somePolicies = rapid.Custom(func(t *rapid.T) Policy {
	p := Policy{Rules: Rules{
		Competence: rapid.SampledFrom([]string{"", "any"}).Draw(t, "competence"), MinLevel: rapid.IntRange(0, 2).Draw(t, "level"),
		Strict: subset(strictable...).Draw(t, "strict"), Certified: subset("iso").Draw(t, "certified"),
	}}
	if rapid.IntRange(0, 2).Draw(t, "off") == 0 {
		p.Rules.Off = subset(RuleNames...).Draw(t, "off")
	}
	if rapid.Bool().Draw(t, "by product") {
		p.Rules.ByProduct = map[string][]string{"erp": {"soc"}, "crm": {"soc", "iso"}}
	}
	if rapid.IntRange(0, 2).Draw(t, "custom") == 0 {
		p.Rules.Custom = []Custom{{Name: "gold only", When: `partner.tier == "gold" || lead.source == "x"`, Reason: "is not gold"}}
	}
	return p
})

var someLeads = rapid.Custom(func(t *rapid.T) *record.Lead {
	return &record.Lead{
		ID: leadIDs.Draw(t, "id"), Account: accounts.Draw(t, "account"), Products: someProd.Draw(t, "products"),
		Place:       record.Place{Region: rapid.SampledFrom([]string{"", "DE", "DE-BY", "DE-NW", "AT", "DEX"}).Draw(t, "region")},
		Language:    rapid.SampledFrom([]string{"", "de", "de-AT", "fr"}).Draw(t, "language"),
		Marketplace: rapid.SampledFrom([]string{"", "aws"}).Draw(t, "marketplace"),
	}
})

// TestIndexAgainstDumb plays random histories and asks after each step: the
// bitmaps, Explain, a restored copy and the one-at-a-time check must agree.
func TestIndexAgainstDumb(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		policy := somePolicies.Draw(t, "policy")
		ix, err := NewIndex(policy)
		if err != nil {
			t.Fatal(err)
		}
		d := &dumb{policy: &policy}
		now := day0
		for n := range rapid.IntRange(1, 40).Draw(t, "steps") {
			now = now.Add(time.Duration(rapid.IntRange(0, 4).Draw(t, "wait")) * 5 * time.Hour)
			if n < 6 || rapid.IntRange(0, 5).Draw(t, "what") == 0 {
				p := somePartners.Draw(t, "partner")
				ix.Upsert(p)
				d.past = append(d.past, p)
				if !slices.Contains(d.order, p.ID) {
					d.order = append(d.order, p.ID)
				}
			} else if e := someEvents(t, n, now); slices.Contains(d.order, e.Partner) && (e.Type != record.PartnerMerged || slices.Contains(d.order, e.Other)) {
				ix.Observe(e)
				d.past = append(d.past, e)
			}
			if rapid.Bool().Draw(t, "advance") {
				ix.Advance(now)
			}
		}
		compare(t, ix, d, now)
		restored, err := NewIndex(policy)
		if err != nil {
			t.Fatal(err)
		}
		b, err := ix.MarshalBinary()
		if err != nil {
			t.Fatal(err)
		}
		if err := restored.UnmarshalBinary(b); err != nil {
			t.Fatal(err)
		}
		if again, _ := restored.MarshalBinary(); !bytes.Equal(again, b) || restored.Version() != ix.Version() {
			t.Fatalf("a restored index writes other bytes:\n%s\n%s", b, again)
		}
		compare(t, restored, d, now)
	})
}

func compare(t *rapid.T, ix *Index, d *dumb, now time.Time) {
	for range 4 {
		lead, exclude := someLeads.Draw(t, "lead"), rapid.SliceOfN(ids, 0, 2).Draw(t, "exclude")
		at := now.Add(time.Duration(rapid.IntRange(0, 30).Draw(t, "later")) * 4 * time.Hour)
		got := map[record.PartnerID]string{}
		e := ix.Eligible(lead, at, exclude)
		for _, n := range e.Numbers {
			got[d.order[n]] = ""
		}
		for _, r := range e.Refused {
			for n := range r.Set.all() {
				if _, twice := got[d.order[n]]; twice {
					t.Fatalf("%s is listed twice", d.order[n])
				}
				got[d.order[n]] = r.Rule
			}
		}
		for _, id := range d.order {
			want := d.refusal(id, lead, at, exclude)
			if rule, listed := got[id]; !listed || rule != want {
				t.Fatalf("%s at %v: rule %q (listed %v), want %q; lead %+v", id, at, rule, listed, want, lead)
			}
			rule, why, err := ix.Explain(id, lead, at, exclude)
			if err != nil || rule != want || (why == "") != (want == "") {
				t.Fatalf("%s at %v explained by %q (%q, %v), want %q", id, at, rule, why, err, want)
			}
		}
	}
}

// TestCapacityOfLateOffers: an offer counts in the period it was made in, however
// late it is known, and its answer gives back a unit of that period only.
func TestCapacityOfLateOffers(t *testing.T) {
	ix, err := NewIndex(Policy{})
	if err != nil {
		t.Fatal(err)
	}
	ix.Upsert(&record.Partner{ID: "a", Capacity: record.Capacity{Units: 2, Period: "day"}})
	tell := func(kind record.EventType, lead record.LeadID, at time.Time) {
		ix.Observe(&record.Event{ID: record.EventID(kind) + "-" + record.EventID(lead), Type: kind, Partner: "a", Lead: lead, At: at, KnownAt: day0})
	}
	room := func(want int) {
		t.Helper()
		if got := ix.entries[0].room(day0); got != want || ix.HasRoom("a", day0) != (want > 0) {
			t.Errorf("room for %d, want %d", got, want)
		}
	}
	room(2)
	tell(record.OfferMade, "l1", day0)
	room(1)
	tell(record.OfferMade, "l2", day0.Add(-day))
	room(1)
	tell(record.OfferDeclined, "l2", day0)
	room(1)
	tell(record.OfferMade, "l3", day0)
	room(0)
	tell(record.OfferAccepted, "l1", day0)
	room(0)
	tell(record.DealLost, "l1", day0)
	room(0)
	tell(record.OfferExpired, "l3", day0)
	room(1)
	if l := ix.entries[0].load; l.Open != 0 || l.Used != 1 || l.Reserved != 0 {
		t.Errorf("counters %+v", l)
	}
	if ix.HasRoom("b", day0) {
		t.Error("a partner nobody knows has room")
	}
}

// TestProtectionsOfOneAccount: a later registration does not end an earlier one
// that still runs.
func TestProtectionsOfOneAccount(t *testing.T) {
	ix, err := NewIndex(Policy{})
	if err != nil {
		t.Fatal(err)
	}
	for _, id := range []record.PartnerID{"a", "b"} {
		ix.Upsert(&record.Partner{ID: id})
	}
	for i, id := range []record.PartnerID{"a", "b"} {
		ix.Observe(&record.Event{ID: record.EventID(id), Type: record.DealRegistered, Partner: id, Account: "acme", At: day0.Add(time.Duration(i) * time.Hour), Until: day0.Add(time.Duration(10*(i+1)) * day)})
	}
	for after, want := range map[time.Duration]record.PartnerID{day: "a", 9 * day: "a", 10 * day: "b", 19 * day: "b", 20 * day: ""} {
		p, _ := ix.deals.holder("acme", day0.Add(after))
		if p.Holder != want {
			t.Errorf("after %v the holder is %q, want %q", after, p.Holder, want)
		}
	}
}
