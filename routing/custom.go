package routing

import (
	"fmt"
	"time"

	"bellwether/datasets/record"

	"cel.dev/cel-go/cel"
)

// customRule is a Custom, compiled.
type customRule struct {
	name, reason string
	program      cel.Program
}

// compile turns the expressions into programs; its error names the rule and
// the line and column at fault.
func compile(rules []Custom) ([]customRule, error) {
	if len(rules) == 0 {
		return nil, nil
	}
	env, err := cel.NewEnv(
		cel.Variable("lead", cel.MapType(cel.StringType, cel.DynType)),
		cel.Variable("partner", cel.MapType(cel.StringType, cel.DynType)),
		cel.Variable("now", cel.TimestampType))
	if err != nil {
		return nil, record.Errorf(record.Internal, "custom rules", "%w", err)
	}
	out := make([]customRule, len(rules))
	seen := map[string]bool{}
	for _, name := range RuleNames {
		seen[name] = true
	}
	for i, r := range rules {
		at := fmt.Sprintf("rules.custom[%d]", i)
		switch {
		case r.Name == "":
			return nil, record.FieldErrorf(at+".name", "is missing")
		case seen[r.Name]:
			return nil, record.FieldErrorf(at+".name", "%q is taken by another rule", r.Name)
		case r.Reason == "":
			return nil, record.FieldErrorf(at+".reason", "is missing: say what to tell a partner that rule %q refuses", r.Name)
		}
		seen[r.Name] = true
		ast, issues := env.Compile(r.When)
		if e := issues.Errors(); len(e) > 0 {
			return nil, record.FieldErrorf(at+".when", "rule %q, line %d, column %d: %s", r.Name, e[0].Location.Line(), e[0].Location.Column()+1, e[0].Message)
		}
		if t := ast.OutputType(); !t.IsExactType(cel.BoolType) && !t.IsExactType(cel.DynType) {
			return nil, record.FieldErrorf(at+".when", "rule %q answers %s, not true or false", r.Name, t)
		}
		program, err := env.Program(ast, cel.EvalOptions(cel.OptOptimize), cel.CostLimit(maxRuleCost))
		if err != nil {
			return nil, record.FieldErrorf(at+".when", "rule %q: %v", r.Name, err)
		}
		out[i] = customRule{name: r.Name, reason: r.Reason, program: program}
	}
	return out, nil
}

// maxRuleCost bounds one evaluation, in CEL's cost units (about one per list
// item or operator), so that no rule can hold up a decision.
const maxRuleCost = 100_000

// allows evaluates the rule. A rule that cannot be evaluated refuses, and says
// what stopped it.
func (r *customRule) allows(lead, partner map[string]any, now time.Time) (ok bool, problem string) {
	out, _, err := r.program.Eval(map[string]any{"lead": lead, "partner": partner, "now": now})
	if err != nil {
		return false, err.Error()
	}
	ok, is := out.Value().(bool)
	if !is {
		return false, fmt.Sprintf("answers %v, not true or false", out.Value())
	}
	return ok, ""
}

// leadFields is the lead as a custom rule sees it. Value is in units of the
// policy's currency, 0 when not known; every field is always there, attributes
// only where the lead has them.
func leadFields(p *Policy, l *record.Lead) map[string]any {
	amount, _ := p.Amount(l.Value)
	return map[string]any{
		"id": string(l.ID), "created_at": l.CreatedAt, "account": string(l.Account), "company": l.Company,
		"industry": l.Industry, "size_band": l.SizeBand, "region": l.Place.Region, "language": l.Language,
		"products": texts(l.Products), "need": l.Need, "value": p.units(amount), "currency": l.Value.Currency,
		"source": l.Source, "marketplace": l.Marketplace, "committed_spend": l.CommittedSpend, "attributes": attributes(l.Attributes),
	}
}

// partnerFields is the partner as a custom rule sees it.
func partnerFields(p *record.Partner) map[string]any {
	competences := map[string]any{}
	for _, c := range p.Competences {
		competences[c.Product] = int64(c.Level)
	}
	var certifications []string
	for _, c := range p.Certifications {
		certifications = append(certifications, c.Name)
	}
	return map[string]any{
		"id": string(p.ID), "name": p.Name, "kind": p.Kind, "tier": p.Tier, "parent": string(p.Parent), "region": p.Home.Region,
		"territories": texts(p.Territories), "industries": texts(p.Industries), "languages": texts(p.Languages),
		"marketplaces": texts(p.Marketplaces), "competences": competences, "certifications": texts(certifications),
		"joined_at": p.JoinedAt, "capacity": int64(p.Capacity.Units), "attributes": attributes(p.Attributes),
	}
}

func attributes(a record.Attributes) map[string]any {
	out := make(map[string]any, len(a))
	for name, v := range a {
		switch v.Kind() {
		case record.TextValue:
			out[name] = v.Text()
		case record.NumberValue:
			out[name] = v.Number()
		case record.ListValue:
			out[name] = texts(v.List())
		}
	}
	return out
}

func texts(list []string) []string {
	if list == nil {
		return []string{}
	}
	return list
}
