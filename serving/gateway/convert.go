package gateway

import (
	"fmt"
	"maps"
	"math"
	"time"

	"bellwether/datasets/record"
	"bellwether/serving"
	pb "bellwether/serving/gen/bellwether/v1"

	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/structpb"
	"google.golang.org/protobuf/types/known/timestamppb"
)

// Everything between the generated types and the nouns of record is in this
// file. A message that is missing becomes a zero value; checking is record's.

func timeIn(t *timestamppb.Timestamp) time.Time {
	if t == nil {
		return time.Time{}
	}
	return t.AsTime()
}

func timeOut(t time.Time) *timestamppb.Timestamp {
	if t.IsZero() {
		return nil
	}
	return timestamppb.New(t)
}

func moneyIn(m *pb.Money) record.Money {
	return record.Money{Amount: m.GetAmount(), Currency: m.GetCurrency()}
}

func moneyOut(m record.Money) *pb.Money {
	if m.IsZero() {
		return nil
	}
	return &pb.Money{Amount: m.Amount, Currency: m.Currency}
}

func placeIn(field string, p *pb.Place) (record.Place, error) {
	switch out := (record.Place{Region: p.GetRegion(), Lat: p.GetLat(), Lon: p.GetLon()}); {
	case p == nil || p.Lat == nil && p.Lon == nil:
		return out, nil
	case p.Lat == nil:
		return out, record.FieldErrorf(field+".lat", "is missing: lat and lon are given together")
	case p.Lon == nil:
		return out, record.FieldErrorf(field+".lon", "is missing: lat and lon are given together")
	default:
		out.Located = true
		return out, nil
	}
}

func placeOut(p record.Place) *pb.Place {
	if p == (record.Place{}) {
		return nil
	}
	out := &pb.Place{Region: p.Region}
	if p.Located {
		out.Lat, out.Lon = &p.Lat, &p.Lon
	}
	return out
}

func spanIn(from, to *timestamppb.Timestamp) record.Span {
	return record.Span{From: timeIn(from), To: timeIn(to)}
}

func attributesIn(in map[string]*structpb.Value) (record.Attributes, error) {
	if len(in) == 0 {
		return nil, nil
	}
	out := make(record.Attributes, len(in))
	for name, v := range in {
		switch v := v.GetKind().(type) {
		case *structpb.Value_StringValue:
			out[name] = record.Text(v.StringValue)
		case *structpb.Value_NumberValue:
			out[name] = record.Number(v.NumberValue)
		case *structpb.Value_BoolValue:
			out[name] = record.Text(fmt.Sprint(v.BoolValue))
		case *structpb.Value_ListValue:
			items := make([]string, len(v.ListValue.GetValues()))
			for i, item := range v.ListValue.GetValues() {
				s, ok := item.GetKind().(*structpb.Value_StringValue)
				if !ok {
					return nil, record.FieldErrorf(fmt.Sprintf("attributes.%s[%d]", name, i), "is not a text: a list holds texts only")
				}
				items[i] = s.StringValue
			}
			out[name] = record.List(items...)
		case *structpb.Value_StructValue:
			return nil, record.FieldErrorf("attributes."+name, "is an object: an attribute is a text, a number or a list of texts")
		}
	}
	return out, nil
}

func attributesOut(in record.Attributes) map[string]*structpb.Value {
	out := make(map[string]*structpb.Value, len(in))
	for name, v := range in {
		switch v.Kind() {
		case record.TextValue:
			out[name] = structpb.NewStringValue(v.Text())
		case record.NumberValue:
			out[name] = structpb.NewNumberValue(v.Number())
		case record.ListValue:
			list := &structpb.ListValue{}
			for _, s := range v.List() {
				list.Values = append(list.Values, structpb.NewStringValue(s))
			}
			out[name] = structpb.NewListValue(list)
		}
	}
	return out
}

func leadIn(in *pb.Lead) (*record.Lead, error) {
	if in == nil {
		return nil, record.FieldErrorf("lead", "is missing")
	}
	attributes, err := attributesIn(in.Attributes)
	if err != nil {
		return nil, under("lead", err)
	}
	place, err := placeIn("place", in.Place)
	if err != nil {
		return nil, under("lead", err)
	}
	return &record.Lead{
		ID: record.LeadID(in.Id), CreatedAt: timeIn(in.CreatedAt), Account: record.AccountID(in.Account), Company: in.Company,
		Industry: in.Industry, SizeBand: in.SizeBand, Place: place, Language: in.Language, Products: in.Products,
		Need: in.Need, Value: moneyIn(in.Value), Source: in.Source, Marketplace: in.Marketplace,
		CommittedSpend: in.CommittedSpend, Text: in.Text, Attributes: attributes,
	}, nil
}

func partnerIn(in *pb.Partner) (*record.Partner, error) {
	if in == nil {
		return nil, record.FieldErrorf("partner", "is missing")
	}
	if proto.Equal(in, &pb.Partner{Id: in.Id}) {
		return nil, record.FieldErrorf("name", "is missing, as is all else: a partner of which nothing is said could be offered every lead")
	}
	attributes, err := attributesIn(in.Attributes)
	if err != nil {
		return nil, err
	}
	home, err := placeIn("home", in.Home)
	if err != nil {
		return nil, err
	}
	p := &record.Partner{
		ID: record.PartnerID(in.Id), Name: in.Name, Kind: in.Kind, Tier: in.Tier, Parent: record.PartnerID(in.Parent),
		Home: home, Territories: in.Territories, Industries: in.Industries, Languages: in.Languages,
		Contract: spanIn(in.Contract.GetFrom(), in.Contract.GetTo()), Marketplaces: in.Marketplaces,
		JoinedAt: timeIn(in.JoinedAt), Attributes: attributes,
	}
	for _, c := range in.Competences {
		p.Competences = append(p.Competences, record.Competence{Product: c.GetProduct(), Level: int(c.GetLevel()), Span: spanIn(c.GetFrom(), c.GetTo())})
	}
	for _, c := range in.Certifications {
		p.Certifications = append(p.Certifications, record.Certification{Name: c.GetName(), Span: spanIn(c.GetFrom(), c.GetTo())})
	}
	for _, s := range in.Status {
		p.Status = append(p.Status, record.StatusSpan{Status: s.GetStatus(), Span: spanIn(s.GetFrom(), s.GetTo())})
	}
	if c := in.Capacity; c != nil {
		p.Capacity = record.Capacity{Units: int(c.Units), Period: c.Period, Timezone: c.Timezone}
		for _, d := range c.Weekdays {
			p.Capacity.Weekdays = append(p.Capacity.Weekdays, time.Weekday(d))
		}
		for _, a := range c.Absences {
			p.Capacity.Absences = append(p.Capacity.Absences, spanIn(a.GetFrom(), a.GetTo()))
		}
	}
	return p, nil
}

func partnerOut(p *record.Partner) *pb.Partner {
	out := &pb.Partner{
		Id: string(p.ID), Name: p.Name, Kind: p.Kind, Tier: p.Tier, Parent: string(p.Parent), Home: placeOut(p.Home),
		Territories: p.Territories, Industries: p.Industries, Languages: p.Languages, Marketplaces: p.Marketplaces,
		JoinedAt: timeOut(p.JoinedAt), KnownAt: timeOut(p.KnownAt), Attributes: attributesOut(p.Attributes),
	}
	if p.Contract != (record.Span{}) {
		out.Contract = spanOut(p.Contract)
	}
	for _, c := range p.Competences {
		out.Competences = append(out.Competences, &pb.Competence{Product: c.Product, Level: int32(c.Level), From: timeOut(c.From), To: timeOut(c.To)})
	}
	for _, c := range p.Certifications {
		out.Certifications = append(out.Certifications, &pb.Certification{Name: c.Name, From: timeOut(c.From), To: timeOut(c.To)})
	}
	for _, s := range p.Status {
		out.Status = append(out.Status, &pb.StatusSpan{Status: s.Status, From: timeOut(s.From), To: timeOut(s.To)})
	}
	if c := p.Capacity; c.Units != 0 || c.Period != "" || c.Timezone != "" || len(c.Weekdays) > 0 || len(c.Absences) > 0 {
		out.Capacity = &pb.Capacity{Units: int32(c.Units), Period: c.Period, Timezone: c.Timezone}
		for _, d := range c.Weekdays {
			out.Capacity.Weekdays = append(out.Capacity.Weekdays, int32(d))
		}
		for _, a := range c.Absences {
			out.Capacity.Absences = append(out.Capacity.Absences, spanOut(a))
		}
	}
	return out
}

func spanOut(s record.Span) *pb.Span { return &pb.Span{From: timeOut(s.From), To: timeOut(s.To)} }

func eventIn(in *pb.Event) record.Event {
	return record.Event{
		ID: record.EventID(in.GetId()), Type: record.EventType(in.GetType()), At: timeIn(in.GetAt()), KnownAt: timeIn(in.GetKnownAt()),
		Partner: record.PartnerID(in.GetPartner()), Other: record.PartnerID(in.GetOther()), Lead: record.LeadID(in.GetLead()),
		Deal: record.DealID(in.GetDeal()), Account: record.AccountID(in.GetAccount()), Decision: record.DecisionID(in.GetDecision()),
		Offer: record.OfferID(in.GetOffer()), Amount: moneyIn(in.GetAmount()), Products: in.GetProducts(), Reason: in.GetReason(),
		Role: in.GetRole(), Direction: in.GetDirection(), Text: in.GetText(), Until: timeIn(in.GetUntil()),
		Supersedes: record.EventID(in.GetSupersedes()), Numbers: in.GetNumbers(),
	}
}

func outcomeIn(in *pb.ReportOutcomeRequest) (serving.Outcome, error) {
	if in.Result != "won" && in.Result != "lost" {
		return serving.Outcome{}, record.FieldErrorf("result", "%q is neither \"won\" nor \"lost\"", in.Result)
	}
	return serving.Outcome{
		ID: record.EventID(in.Id), Decision: record.DecisionID(in.Decision), Deal: record.DealID(in.Deal), Won: in.Result == "won",
		At: timeIn(in.At), Amount: moneyIn(in.Amount), Products: in.Products, Reason: in.Reason, Supersedes: record.EventID(in.Supersedes),
	}, nil
}

func decisionOut(r *serving.Routed, full bool) *pb.Decision {
	d := r.Decision
	out := &pb.Decision{
		Id: string(d.ID), Lead: string(d.Lead), LeadRef: d.LeadRef, At: timeOut(d.At), Chosen: string(d.Chosen), Propensity: d.Propensity,
		Explored: d.Explored, Degraded: d.Degraded, Reasons: d.Reasons, PlainChoice: string(d.PlainChoice), Model: d.Model,
		AcceptModel: d.AcceptModel, Policy: d.Policy, Seed: d.Seed, Position: d.Position, IndexVersion: d.IndexVersion,
		Fingerprint: d.Fingerprint, Previous: string(d.Previous), Offer: string(d.Offer), ExpiresAt: timeOut(d.ExpiresAt),
		LatencyUs: d.LatencyMicros, Eligible: int32(r.Eligible), Status: "none",
	}
	if r.Offer != nil {
		out.Status = string(r.Offer.State)
	}
	for _, k := range d.Ranked {
		out.Ranked = append(out.Ranked, &pb.Ranked{
			Partner: string(k.Partner), Win: k.Win, WinLo: k.WinLo, WinHi: k.WinHi, Accept: k.Accept, Value: k.Value,
			Price: k.Price, Prob: k.Prob, Enough: k.Enough, Reasons: k.Reasons, Values: finite(k.Values),
		})
	}
	for _, k := range d.Refusals {
		out.Refusals = append(out.Refusals, &pb.Refusal{Rule: k.Rule, Count: int32(k.Count)})
	}
	if !full {
		return out
	}
	for i := range d.Candidates {
		out.Candidates = append(out.Candidates, candidateOut(&d.Candidates[i]))
	}
	return out
}

func candidateOut(c *record.Candidate) *pb.Candidate {
	return &pb.Candidate{Partner: string(c.Partner), Win: c.Win, WinLo: c.WinLo, WinHi: c.WinHi, Accept: c.Accept, Value: c.Value, Price: c.Price, Prob: c.Prob}
}

func explanationOut(x *record.Explanation) *pb.Explanation {
	out := &pb.Explanation{Decision: string(x.Decision), Lead: string(x.Lead), At: timeOut(x.At), Model: x.Model, Currency: x.Currency,
		Chosen: string(x.Chosen), Sentence: x.Sentence}
	for i := range x.Partners {
		k := &x.Partners[i]
		out.Partners = append(out.Partners, &pb.Explained{Candidate: candidateOut(&k.Candidate), Rank: int32(k.Rank), Enough: k.Enough, ReasonsFor: k.For, ReasonsAgainst: k.Against, Notes: k.Notes})
	}
	for _, r := range x.Refusals {
		out.Refusals = append(out.Refusals, &pb.RefusedBy{Rule: r.Rule, Reason: r.Reason, Count: int32(r.Count)})
	}
	if x.Contrast == nil {
		return out
	}
	k := x.Contrast
	out.Contrast = &pb.Contrast{Partner: string(k.Partner), Rule: k.Rule, Reason: k.Reason, LogOdds: k.LogOdds, Rest: k.Rest, NoChange: k.NoChange}
	for _, p := range k.Parts {
		out.Contrast.Parts = append(out.Contrast.Parts, &pb.ValuePart{Of: p.Of, Amount: p.Amount, Text: p.Text})
	}
	for _, d := range k.Differences {
		out.Contrast.Differences = append(out.Contrast.Differences, &pb.Difference{Feature: d.Feature, LogOdds: d.LogOdds, Text: d.Text})
	}
	for _, c := range k.Changes {
		out.Contrast.Changes = append(out.Contrast.Changes, &pb.Change{Feature: c.Feature, From: c.From, To: c.To, Steps: int32(c.Steps),
			Win: c.Win, Accept: c.Accept, Value: c.Value, Text: c.Text})
	}
	return out
}

func standingOut(s *record.Standing) *pb.Standing {
	out := &pb.Standing{
		Partner: string(s.Partner), At: timeOut(s.At), Risk: s.Risk, RiskLo: s.RiskLo, RiskHi: s.RiskHi, HorizonDays: int32(s.HorizonDays),
		Alive: s.Alive, Trend: s.Trend, Kpis: finite(s.KPIs), ValueAtRisk: moneyOut(s.ValueAtRisk), Action: s.Action,
		Activity: s.Activity, Model: s.Model,
	}
	for _, d := range s.Drivers {
		out.Drivers = append(out.Drivers, &pb.Driver{Feature: d.Feature, Value: d.Value, Effect: d.Effect, Text: d.Text})
	}
	return out
}

// finite leaves out values that nothing is known of: JSON has no NaN. It may
// return in itself.
func finite(in map[string]float64) map[string]float64 {
	unknown := func(_ string, x float64) bool { return math.IsNaN(x) || math.IsInf(x, 0) }
	for k, x := range in {
		if unknown(k, x) {
			out := maps.Clone(in)
			maps.DeleteFunc(out, unknown)
			return out
		}
	}
	return in
}

// under puts a field path below a parent.
func under(parent string, err error) error {
	e, ok := err.(*record.Error)
	if !ok || e.Field == "" {
		return err
	}
	below := *e
	below.Field = parent + "." + e.Field
	return &below
}
