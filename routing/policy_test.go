package routing

import (
	"encoding/json"
	"math"
	"slices"
	"strings"
	"testing"
	"time"

	"bellwether/datasets/record"
	"bellwether/features"

	"go.yaml.in/yaml/v3"
)

func TestPolicyErrors(t *testing.T) {
	tests := []struct{ yaml, field, text string }{
		{"exploration: {share: 0.9}", "exploration.share", "between 0 and 0.5"},
		{"currency: XXQ", "currency", "ISO 4217"},
		{"rates: {USD: -1}", "rates.USD", "positive"},
		{"rules: {off: [teritory]}", "rules.off[0]", "is not a rule"},
		{"rules: {strict: [history]}", "rules.strict[0]", "not one of"},
		{"rules: {competence: some}", "rules.competence", "neither all nor any"},
		{"rules: {custom: [{name: a, when: 'true'}]}", "rules.custom[0].reason", "is missing"},
		{"rules: {custom: [{name: territory, when: 'true', reason: x}]}", "rules.custom[0].name", "taken"},
		{"rules: {custom: [{name: a, when: 'lead.value > ', reason: x}]}", "rules.custom[0].when", `rule "a", line 1, column 14`},
		{"rules: {custom: [{name: a, when: \"true &&\\n  partnr.tier == 'gold'\", reason: x}]}", "rules.custom[0].when", `rule "a", line 2, column 3`},
		{"rules: {custom: [{name: a, when: '1 + 1', reason: x}]}", "rules.custom[0].when", "answers int"},
		{"rules: {custom: [{when: 'true', reason: x}]}", "rules.custom[0].name", "is missing"},
		{"rules: {custom: [{name: a, when: 'true', reason: x}, {name: a, when: 'true', reason: x}]}", "rules.custom[1].name", "taken by another rule"},
		{"rules: {min_level: 6}", "rules.min_level", "6 is not between 0 and 5"},
		{"rates: {EURO: 1}", "rates", `"EURO" is not an ISO 4217 code`},
		{"rates: {USD: .nan}", "rates.USD", "positive"},
		{"rates: {USD: .inf}", "rates.USD", "positive"},
		{"exploration: {gap: .nan}", "exploration.gap", "NaN is not between 0"},
		{"evidence: {offers: .inf}", "evidence.offers", "or -1 for off"},
		{"fairness: {boost: 0.6}", "fairness.boost", "0.6 is not between 0 and 0.5 (or -1 for off)"},
		{"min_win: -0.5", "min_win", "-0.5 is not between 0 and 1"},
		{"offer_ttl: -1h", "", "cannot be negative"},
		{"protect_days: -1", "", "cannot be negative"},
	}
	for _, tt := range tests {
		var p Policy
		if err := yaml.Unmarshal([]byte(tt.yaml), &p); err != nil {
			t.Fatalf("%s: %v", tt.yaml, err)
		}
		err := p.Check()
		e, ok := err.(*record.Error)
		if !ok || e.Kind != record.Invalid || e.Field != tt.field || !strings.Contains(e.Msg, tt.text) {
			t.Errorf("%s: %v, want field %s and %q", tt.yaml, err, tt.field, tt.text)
		}
		if _, err := NewIndex(p); err == nil {
			t.Errorf("%s: an index was made of it", tt.yaml)
		}
	}
}

func TestPolicyText(t *testing.T) {
	const text = `
id: emea
rules: {off: [language], strict: [territory], certified: [iso], by_product: {erp: [soc]}, custom: [{name: gold, when: partner.tier == "gold", reason: is not gold}]}
currency: USD
rates: {EUR: 1.25, JPY: 0.01}
load: {open: -1, capacity: 0.1}
offer_ttl: 36h
`
	var p, q Policy
	if err := yaml.Unmarshal([]byte(text), &p); err != nil {
		t.Fatal(err)
	}
	if err := p.Check(); err != nil {
		t.Fatal(err)
	}
	b, err := json.Marshal(p)
	if err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal(b, &q); err != nil {
		t.Fatal(err)
	}
	if p.Hash() != q.Hash() || p.Name() != "emea:"+q.Hash() || p.ttl() != 36*time.Hour {
		t.Errorf("YAML and JSON differ: %s", b)
	}
	q.Load.Capacity = 0.11
	if p.Hash() == q.Hash() {
		t.Error("the hash does not see a change of load.capacity")
	}
	for _, tt := range []struct {
		money record.Money
		want  float64
		ok    bool
	}{{record.Money{Amount: 200, Currency: "EUR"}, 250, true}, {record.Money{Amount: 500, Currency: "JPY"}, 500, true},
		{record.Money{Amount: 7, Currency: "USD"}, 7, true}, {record.Money{Amount: 7, Currency: "GBP"}, 0, false}, {record.Money{}, 0, false}} {
		if got, ok := p.Amount(tt.money); math.Abs(got-tt.want) > 1e-9 || ok != tt.ok {
			t.Errorf("%v is %v, %v; want %v, %v", tt.money, got, ok, tt.want, tt.ok)
		}
	}
}

// A lead whose worth cannot be told is refused by a policy that knows what others
// are worth. One that says nothing of currencies takes it, and the decision says
// what it counts for.
func TestLeadInACurrencyWithoutARate(t *testing.T) {
	in := func(amount int64, currency string) *record.Lead {
		return &record.Lead{ID: "l", CreatedAt: day0, Value: record.Money{Amount: amount, Currency: currency}}
	}
	base, table := Policy{Currency: "USD"}, Policy{Rates: map[string]float64{"USD": 0.9, "GBP": 1.2}}
	for _, tt := range []struct {
		policy Policy
		lead   *record.Lead
		says   string // of the refusal; empty: there is none
	}{
		{Policy{}, in(500, "CHF"), ""},
		{base, in(500, "CHF"), "CHF has no rate in the policy, which has USD"},
		{table, in(500, "CHF"), "CHF has no rate in the policy, which has EUR, GBP, USD"},
		{table, in(500, "GBP"), ""},
		{table, in(500, "EUR"), ""},
		{table, in(0, ""), ""},
		{table, in(0, "CHF"), ""},
	} {
		err := tt.policy.CheckMoney("value", tt.lead.Value)
		e, _ := err.(*record.Error)
		if (err == nil) != (tt.says == "") || e != nil && (e.Kind != record.Invalid || e.Field != "value.currency" || !strings.HasPrefix(e.Msg, tt.says)) {
			t.Errorf("%+v under %+v: %v, want %q", tt.lead.Value, tt.policy, err, tt.says)
		}
	}
	const told = "what the lead is worth in CHF is not known here, so it counts for 1 EUR: the policy has no rate for CHF"
	for currency, want := range map[string]bool{"CHF": true, "EUR": false, "": false} {
		ix, err := NewIndex(Policy{})
		if err != nil {
			t.Fatal(err)
		}
		set := features.NewSet(features.Schema{}, features.Options{})
		state := features.NewState(set)
		ix.Upsert(&record.Partner{ID: "p"})
		state.PutPartner(&record.Partner{ID: "p"})
		router := Router{Set: set, Index: ix}
		d, err := router.Route(in(int64(len(currency)), currency), state, Request{Now: day0}, nil)
		if err != nil {
			t.Fatal(err)
		}
		if slices.Contains(d.Reasons, told) != want {
			t.Errorf("in %q: %q", currency, d.Reasons)
		}
	}
}

func TestZeroPolicy(t *testing.T) {
	var p Policy
	if err := p.Check(); err != nil {
		t.Error(err)
	}
	if p.Name() != "default:"+p.Hash() {
		t.Error(p.Name())
	}
}

// TestCustomFields: a rule may speak of every field, absent or not, and one that
// fails refuses and says why.
func TestCustomFields(t *testing.T) {
	lead := &record.Lead{ID: "l", Value: record.Money{Amount: 1_000_050, Currency: "EUR"}, Products: []string{"crm"},
		Attributes: record.Attributes{"vip": record.Text("yes"), "seats": record.Number(40), "tags": record.List("a", "b"), "many": record.List(make([]string, 100)...)}}
	partner := &record.Partner{ID: "p", Competences: []record.Competence{{Product: "crm", Level: 3}}, JoinedAt: day0.Add(-100 * day)}
	tests := []struct {
		when string
		want bool
		fail string
	}{
		{`lead.value > 10000.4 && lead.value < 10000.6`, true, ""},
		{`lead.attributes.vip == "yes" && lead.attributes.seats >= 40.0 && "b" in lead.attributes.tags`, true, ""},
		{`lead.products.all(p, p in partner.competences && partner.competences[p] >= 3)`, true, ""},
		{`now - partner.joined_at > duration("2399h") && now - partner.joined_at < duration("2401h")`, true, ""},
		{`partner.territories.size() == 0 && partner.tier == "" && partner.certifications.size() == 0`, true, ""},
		{`has(partner.attributes.score) && partner.attributes.score > 1.0`, false, ""},
		{`partner.attributes.score > 1.0`, false, "no such key: score"},
		{`lead.attributes.seats`, false, "answers 40, not true or false"},
		{`lead.attributes.many.all(a, lead.attributes.many.all(b, lead.attributes.many.all(c, a == c)))`, false, "cost limit exceeded"},
	}
	for _, tt := range tests {
		ix, err := NewIndex(Policy{Rules: Rules{Custom: []Custom{{Name: "rule", When: tt.when, Reason: "may not"}}}})
		if err != nil {
			t.Fatalf("%s: %v", tt.when, err)
		}
		ix.Upsert(partner)
		rule, why, err := ix.Explain("p", lead, day0, nil)
		if err != nil || (rule == "") != tt.want || !strings.Contains(why, tt.fail) || rule != "" && !strings.HasPrefix(why, "may not") {
			t.Errorf("%s: %q %q %v", tt.when, rule, why, err)
		}
		if got := len(ix.Eligible(lead, day0, nil).Numbers) == 1; got != tt.want {
			t.Errorf("%s: eligible %v, want %v", tt.when, got, tt.want)
		}
	}
}
