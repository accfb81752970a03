package record

import (
	"fmt"
	"slices"
	"time"

	"github.com/apache/arrow/go/v17/arrow"
	"github.com/apache/arrow/go/v17/arrow/array"
)

// The codecs of the nouns. Their lists of columns are the one description of a
// noun's fields: schema, files, mappings and documentation follow from it.
var (
	Partners  = newCodec("partner", partnerColumns())
	Leads     = newCodec("lead", leadColumns())
	Events    = newCodec("event", eventColumns())
	Decisions = newCodec("decision", decisionColumns())
)

// FieldsOf lists the fields of "partner", "lead", "event" or "decision".
func FieldsOf(noun string) ([]Field, error) {
	switch noun {
	case "partner":
		return Partners.Fields(), nil
	case "lead":
		return Leads.Fields(), nil
	case "event":
		return Events.Fields(), nil
	case "decision":
		return Decisions.Fields(), nil
	}
	return nil, Errorf(Invalid, "", "%q is not a noun: one of partner, lead, event, decision", noun)
}

func named(name, meaning string) Field { return Field{Name: name, Column: name, Meaning: meaning} }

func identifier(name, meaning string) Field {
	return Field{Name: name, Column: name, Type: "id", Meaning: meaning}
}

func required(f Field) Field { f.Required = true; return f }

func oneOf(f Field, words []string) Field { f.OneOf = words; return f }

// plain keeps a word out of a dictionary: inside structs.
func plain[T any](c column[T]) column[T] { c.arrow = arrow.BinaryTypes.String; return c }

func partnerColumns() []column[Partner] {
	competence := append([]column[Competence]{
		plain(word(named("product", ""), func(c *Competence) *string { return &c.Product })),
		whole(named("level", ""), func(c *Competence) (int64, bool) { return int64(c.Level), c.Level != 0 }, func(c *Competence, v int64) { c.Level = small(v) }),
	}, span("", "", "", func(c *Competence) *Span { return &c.Span })...)
	certification := append([]column[Certification]{plain(word(named("name", ""), func(c *Certification) *string { return &c.Name }))},
		span("", "", "", func(c *Certification) *Span { return &c.Span })...)
	status := append([]column[StatusSpan]{plain(word(named("status", ""), func(s *StatusSpan) *string { return &s.Status }))},
		span("", "", "", func(s *StatusSpan) *Span { return &s.Span })...)

	competences := structs(named("competences", "what it can do with a product, level 1 basic to 5 expert, while valid"), competence,
		func(p *Partner) *[]Competence { return &p.Competences })
	competences.set = func(p *Partner, _ string, v Cell) error {
		p.Competences = nil
		for _, s := range v.list() {
			p.Competences = append(p.Competences, Competence{Product: s})
		}
		return nil
	}
	certifications := structs(named("certifications", "named proofs with their expiry"), certification,
		func(p *Partner) *[]Certification { return &p.Certifications })
	certifications.set = func(p *Partner, _ string, v Cell) error {
		p.Certifications = nil
		for _, s := range v.list() {
			p.Certifications = append(p.Certifications, Certification{Name: s})
		}
		return nil
	}
	statuses := structs(oneOf(named("status", "its standing with us over time; none listed: active"), Statuses), status,
		func(p *Partner) *[]StatusSpan { return &p.Status })
	statuses.set = func(p *Partner, _ string, v Cell) error { p.Status = []StatusSpan{{Status: v.Text}}; return nil }

	cols := []column[Partner]{
		idText(required(identifier("id", "the caller's own key of the partner")), func(p *Partner) *PartnerID { return &p.ID }),
		longText(named("name", "name of the company"), func(p *Partner) *string { return &p.Name }),
		word(named("kind", "reseller, msp, si, isv, distributor, referral, agency, oem, other, or any other word"), func(p *Partner) *string { return &p.Kind }),
		word(named("tier", "level in the programme"), func(p *Partner) *string { return &p.Tier }),
		word(identifier("parent", "partner it belongs to, as a distributor or group"), func(p *Partner) *PartnerID { return &p.Parent }),
	}
	cols = append(cols, place("home", "region it is in", func(p *Partner) *Place { return &p.Home })...)
	cols = append(cols,
		words(named("territories", "regions it may sell in; empty: all"), func(p *Partner) *[]string { return &p.Territories }),
		words(named("industries", "industries it serves"), func(p *Partner) *[]string { return &p.Industries }),
		words(named("languages", "languages it speaks, BCP 47"), func(p *Partner) *[]string { return &p.Languages }),
		competences, certifications)
	cols = append(cols, span("contract.", "contract_", "contract", func(p *Partner) *Span { return &p.Contract })...)
	cols = append(cols, words(named("marketplaces", "marketplaces it can sell through"), func(p *Partner) *[]string { return &p.Marketplaces }))
	cols = append(cols, capacityColumns()...)
	return append(cols,
		when(named("joined_at", "when it joined the programme"), func(p *Partner) *time.Time { return &p.JoinedAt }),
		statuses,
		when(named("known_at", "from when this version of the record holds; empty: from the beginning"), func(p *Partner) *time.Time { return &p.KnownAt }),
		attributes(func(p *Partner) *Attributes { return &p.Attributes }))
}

func capacityColumns() []column[Partner] {
	sub := func(name, meaning string) Field {
		return Field{Name: "capacity." + name, Column: "capacity_" + name, Meaning: meaning}
	}
	weekdays := column[Partner]{Field: sub("weekdays", "its working days, 0 Sunday to 6 Saturday; empty: every day"),
		arrow: arrow.ListOf(arrow.PrimitiveTypes.Int64),
		write: func(b array.Builder, p *Partner) {
			lists := b.(*array.ListBuilder)
			if len(p.Capacity.Weekdays) == 0 {
				lists.AppendNull()
				return
			}
			lists.Append(true)
			for _, d := range p.Capacity.Weekdays {
				lists.ValueBuilder().(*array.Int64Builder).Append(int64(d))
			}
		},
		read: func(c cellReader, rows []Partner) {
			lists := c.arr.(array.ListLike)
			day := cellReader{arr: lists.ListValues()}.intAt()
			for i := range rows {
				for from, to := lists.ValueOffsets(i); lists.IsValid(i) && from < to; from++ {
					rows[i].Capacity.Weekdays = append(rows[i].Capacity.Weekdays, time.Weekday(small(day(int(from)))))
				}
			}
		},
		set: func(p *Partner, _ string, v Cell) error {
			p.Capacity.Weekdays = nil
			for _, s := range v.list() {
				d := slices.Index([]string{"0", "1", "2", "3", "4", "5", "6"}, s)
				if d < 0 {
					return fmt.Errorf("%s is not a day from 0 (Sunday) to 6 (Saturday)", shown(s))
				}
				p.Capacity.Weekdays = append(p.Capacity.Weekdays, time.Weekday(d))
			}
			return nil
		}}
	weekdays.Type = "list of whole numbers"
	return []column[Partner]{
		whole(sub("units", "leads it takes per period; empty: not limited"),
			func(p *Partner) (int64, bool) { return int64(p.Capacity.Units), p.Capacity.Units != 0 }, func(p *Partner, v int64) { p.Capacity.Units = small(v) }),
		word(oneOf(sub("period", "the period; empty: week"), []string{"day", "week", "month"}), func(p *Partner) *string { return &p.Capacity.Period }),
		weekdays,
		word(sub("timezone", "IANA zone of its working days; empty: UTC"), func(p *Partner) *string { return &p.Capacity.Timezone }),
		structs(sub("absences", "times it is closed"), span("", "", "", func(s *Span) *Span { return s }), func(p *Partner) *[]Span { return &p.Capacity.Absences }),
	}
}

// small narrows a whole number so that one out of all range stays out of range.
func small(v int64) int { return int(max(min(v, 1<<31-1), -1<<31)) }

func leadColumns() []column[Lead] {
	cols := []column[Lead]{
		idText(required(identifier("id", "the caller's own key of the lead")), func(l *Lead) *LeadID { return &l.ID }),
		when(required(named("created_at", "when it came in")), func(l *Lead) *time.Time { return &l.CreatedAt }),
		idText(identifier("account", "key of the customer, the same over its leads"), func(l *Lead) *AccountID { return &l.Account }),
		longText(named("company", "name of the customer"), func(l *Lead) *string { return &l.Company }),
		word(named("industry", "industry of the customer"), func(l *Lead) *string { return &l.Industry }),
		word(named("size_band", "size of the customer, as a word"), func(l *Lead) *string { return &l.SizeBand }),
	}
	cols = append(cols, place("place", "region of the customer", func(l *Lead) *Place { return &l.Place })...)
	cols = append(cols,
		word(named("language", "language of the customer, BCP 47"), func(l *Lead) *string { return &l.Language }),
		words(named("products", "products wanted"), func(l *Lead) *[]string { return &l.Products }),
		word(oneOf(named("need", "what is wanted of the partner"), Needs), func(l *Lead) *string { return &l.Need }))
	cols = append(cols, money("value", "estimated value", func(l *Lead) *Money { return &l.Value })...)
	return append(cols,
		word(named("source", "where the lead came from"), func(l *Lead) *string { return &l.Source }),
		word(named("marketplace", "marketplace the customer prefers"), func(l *Lead) *string { return &l.Marketplace }),
		flag(named("committed_spend", "whether the customer has committed spend with the marketplace"), func(l *Lead) *bool { return &l.CommittedSpend }),
		longText(named("text", "free text"), func(l *Lead) *string { return &l.Text }),
		attributes(func(l *Lead) *Attributes { return &l.Attributes }))
}

func eventColumns() []column[Event] {
	types := make([]string, len(EventTypes))
	for i, t := range EventTypes {
		types[i] = string(t)
	}
	cols := []column[Event]{
		idText(required(identifier("id", "the caller's own key of the event: the same event told twice is one")), func(e *Event) *EventID { return &e.ID }),
		word(oneOf(required(named("type", "what happened")), types), func(e *Event) *EventType { return &e.Type }),
		when(required(named("at", "when it happened")), func(e *Event) *time.Time { return &e.At }),
		when(named("known_at", "when it was learned, not before at; empty: at once"), func(e *Event) *time.Time { return &e.KnownAt }),
		word(identifier("partner", "whom it is about; nearly every type needs it"), func(e *Event) *PartnerID { return &e.Partner }),
		word(identifier("other", "partner_merged: the partner absorbed"), func(e *Event) *PartnerID { return &e.Other }),
		idText(identifier("lead", "which lead; offers need it"), func(e *Event) *LeadID { return &e.Lead }),
		idText(identifier("deal", "which deal"), func(e *Event) *DealID { return &e.Deal }),
		idText(identifier("account", "which customer; deal_registered and account_overlap need it"), func(e *Event) *AccountID { return &e.Account }),
		idText(identifier("decision", "the routing decision an offer or outcome belongs to"), func(e *Event) *DecisionID { return &e.Decision }),
		idText(identifier("offer", "the offer an answer belongs to"), func(e *Event) *OfferID { return &e.Offer }),
	}
	cols = append(cols, money("amount", "money of a deal, order or payout", func(e *Event) *Money { return &e.Amount })...)
	return append(cols,
		words(named("products", "product lines of a deal or order"), func(e *Event) *[]string { return &e.Products }),
		word(named("reason", "why a deal was lost or an offer declined; offer_declined: one of the decline reasons"), func(e *Event) *string { return &e.Reason }),
		word(named("role", "touch: the role on the deal"), func(e *Event) *string { return &e.Role }),
		word(oneOf(named("direction", "message: in from the partner, out to it"), []string{"in", "out"}), func(e *Event) *string { return &e.Direction }),
		longText(named("text", "new tier or status, stage, certification, or a message's words"), func(e *Event) *string { return &e.Text }),
		when(named("until", "expiry: certified, contract_renewed, deal_registered"), func(e *Event) *time.Time { return &e.Until }),
		idText(identifier("supersedes", "the event this one corrects"), func(e *Event) *EventID { return &e.Supersedes }),
		numbers(named("numbers", "score of a survey, propensity of an offer, severity of a case, and the like"), func(e *Event) *map[string]float64 { return &e.Numbers }))
}

func decisionColumns() []column[Decision] {
	refusal := []column[Refusal]{
		plain(word(named("rule", ""), func(r *Refusal) *string { return &r.Rule })),
		whole(named("count", ""), func(r *Refusal) (int64, bool) { return int64(r.Count), true }, func(r *Refusal, v int64) { r.Count = small(v) }),
		{Field: named("partners", ""), arrow: arrow.BinaryTypes.Binary,
			write: func(b array.Builder, r *Refusal) { b.(*array.BinaryBuilder).Append(r.Partners) },
			read: func(c cellReader, rows []Refusal) {
				for i, a := 0, c.arr.(*array.Binary); i < len(rows); i++ {
					if a.IsValid(i) && len(a.Value(i)) > 0 {
						rows[i].Partners = slices.Clone(a.Value(i))
					}
				}
			}},
	}
	at := func(name string, of func(*Candidate) *float64) column[Candidate] {
		return plainNumber(named(name, ""), of)
	}
	candidate := []column[Candidate]{
		plain(word(named("partner", ""), func(c *Candidate) *PartnerID { return &c.Partner })),
		at("win", func(c *Candidate) *float64 { return &c.Win }), at("win_lo", func(c *Candidate) *float64 { return &c.WinLo }),
		at("win_hi", func(c *Candidate) *float64 { return &c.WinHi }), at("accept", func(c *Candidate) *float64 { return &c.Accept }),
		at("value", func(c *Candidate) *float64 { return &c.Value }), at("price", func(c *Candidate) *float64 { return &c.Price }),
		at("prob", func(c *Candidate) *float64 { return &c.Prob }),
	}
	ranked := named("ranked", "the best few candidates with readable values")
	ranked.Type = "JSON array"
	return []column[Decision]{
		idText(required(identifier("id", "the decision")), func(d *Decision) *DecisionID { return &d.ID }),
		idText(named("lead_ref", "hash of the lead's id"), func(d *Decision) *string { return &d.LeadRef }),
		idText(identifier("lead", "the lead"), func(d *Decision) *LeadID { return &d.Lead }),
		when(required(named("at", "when it was made")), func(d *Decision) *time.Time { return &d.At }),
		unsigned(named("position", "log position read"), func(d *Decision) *uint64 { return &d.Position }),
		unsigned(named("index_version", "version of the partner index"), func(d *Decision) *uint64 { return &d.IndexVersion }),
		structs(named("refusals", "per rule, how many and which partners it refused (roaring bitmap)"), refusal, func(d *Decision) *[]Refusal { return &d.Refusals }),
		structs(named("candidates", "the eligible, with score, value and probability of being chosen"), candidate, func(d *Decision) *[]Candidate { return &d.Candidates }),
		word(named("model", "win model: name@version:hash"), func(d *Decision) *string { return &d.Model }),
		word(named("accept_model", "acceptance model: name@version:hash"), func(d *Decision) *string { return &d.AcceptModel }),
		word(named("policy", "policy: id:hash"), func(d *Decision) *string { return &d.Policy }),
		unsigned(named("seed", "seed of the draw"), func(d *Decision) *uint64 { return &d.Seed }),
		unsigned(named("fingerprint", "hash of the candidates' features"), func(d *Decision) *uint64 { return &d.Fingerprint }),
		document(ranked, func(d *Decision) bool { return len(d.Ranked) == 0 }, func(d *Decision) any { return &d.Ranked }),
		word(identifier("chosen", "the partner chosen; empty: nobody was eligible"), func(d *Decision) *PartnerID { return &d.Chosen }),
		plainNumber(named("propensity", "probability with which it was drawn"), func(d *Decision) *float64 { return &d.Propensity }),
		word(identifier("plain_choice", "what the plain rules would have done"), func(d *Decision) *PartnerID { return &d.PlainChoice }),
		flag(named("explored", "whether the choice was not the best by value"), func(d *Decision) *bool { return &d.Explored }),
		flag(named("greedy", "whether the draw was off and the best was taken"), func(d *Decision) *bool { return &d.Greedy }),
		flag(named("degraded", "whether no model was published"), func(d *Decision) *bool { return &d.Degraded }),
		words(named("reasons", "the reasons given"), func(d *Decision) *[]string { return &d.Reasons }),
		idText(identifier("previous", "the decision this one re-offers after"), func(d *Decision) *DecisionID { return &d.Previous }),
		idText(identifier("offer", "the offer made"), func(d *Decision) *OfferID { return &d.Offer }),
		when(named("expires_at", "when the offer lapses"), func(d *Decision) *time.Time { return &d.ExpiresAt }),
		whole(named("latency_us", "microseconds it took"), func(d *Decision) (int64, bool) { return d.LatencyMicros, d.LatencyMicros != 0 }, func(d *Decision, v int64) { d.LatencyMicros = v }),
	}
}
