package features

import (
	"cmp"
	"slices"
	"strconv"

	"bellwether/datasets/record"
	"bellwether/models"
)

// maxPairValues bounds the attributes whose values are counted per partner: one
// with more distinct values than this (a caller, a ticket number) would cost
// every partner an entry per lead and tell almost nothing.
const maxPairValues = 1_000

// Attribute is a field of a CRM's own that the data holds.
type Attribute struct {
	Name string           `json:"name"`
	Kind record.ValueKind `json:"kind"`
	Pair bool             `json:"pair,omitempty"` // text of a lead with few enough values to count per partner
}

// Schema says which attributes the rows have, sorted by name. It is part of a
// model's version.
type Schema struct {
	LeadAttributes    []Attribute `json:"lead_attributes,omitempty"`
	PartnerAttributes []Attribute `json:"partner_attributes,omitempty"`
}

// SchemaBuilder finds the Schema of a data set by looking at all of it; the
// order of looking does not matter. The zero value is ready.
type SchemaBuilder struct {
	leads, partners map[string]*seenAttribute
}

type seenAttribute struct {
	kind   record.ValueKind
	values table[struct{}] // at most maxPairValues+1
}

// Lead takes note of a lead's attributes.
func (b *SchemaBuilder) Lead(l *record.Lead) { b.leads = note(b.leads, l.Attributes) }

// Partner takes note of a partner's attributes.
func (b *SchemaBuilder) Partner(p *record.Partner) { b.partners = note(b.partners, p.Attributes) }

func note(seen map[string]*seenAttribute, attributes record.Attributes) map[string]*seenAttribute {
	if seen == nil {
		seen = map[string]*seenAttribute{}
	}
	for name, v := range attributes {
		if v.Kind() == record.NoValue {
			continue
		}
		a := seen[name]
		if a == nil {
			a = &seenAttribute{kind: v.Kind()}
			seen[name] = a
		}
		a.kind = wider(a.kind, v.Kind())
		if key := hash(v.Text()); key != 0 && a.values.n <= maxPairValues {
			a.values.put(key)
		}
	}
	return seen
}

// wider returns the kind that can show values of both: a list shows a text, and
// a text shows a number.
func wider(a, b record.ValueKind) record.ValueKind {
	rank := func(k record.ValueKind) int {
		return slices.Index([]record.ValueKind{record.NumberValue, record.TextValue, record.ListValue}, k)
	}
	if rank(b) > rank(a) {
		return b
	}
	return a
}

// Schema returns what was seen so far.
func (b *SchemaBuilder) Schema() Schema {
	return Schema{LeadAttributes: attributesOf(b.leads, true), PartnerAttributes: attributesOf(b.partners, false)}
}

func attributesOf(seen map[string]*seenAttribute, pair bool) []Attribute {
	var out []Attribute
	for name, a := range seen {
		out = append(out, Attribute{name, a.kind, pair && a.kind == record.TextValue && a.values.n <= maxPairValues})
	}
	slices.SortFunc(out, func(a, b Attribute) int { return cmp.Compare(a.Name, b.Name) })
	return out
}

// attributeText is the category of a value: a text itself, a number as written,
// a list's first item.
func attributeText(v record.Value) string {
	switch v.Kind() {
	case record.TextValue:
		return v.Text()
	case record.NumberValue:
		return strconv.FormatFloat(v.Number(), 'g', -1, 64)
	case record.ListValue:
		if items := v.List(); len(items) > 0 {
			return items[0]
		}
	}
	return ""
}

// attributeColumn is one column of one attribute.
type attributeColumn struct {
	Feature
	value func(record.Attributes) float64
}

// attributeColumns makes each attribute a feature: a number as it is, a text as
// a category, a list as its length and its first item.
func attributeColumns(side Side, attributes []Attribute) []attributeColumn {
	var out []attributeColumn
	add := func(name, unit, meaning string, kind models.Kind, value func(record.Attributes) float64) {
		out = append(out, attributeColumn{Feature{side.String() + "_attr_" + name, unit, meaning, side, kind}, value})
	}
	for _, a := range attributes {
		name := a.Name
		first := func(r record.Attributes) float64 { return models.Code(attributeText(r[name])) }
		switch a.Kind {
		case record.NumberValue:
			add(name, "as given", "attribute "+name, models.Numeric, func(r record.Attributes) float64 { return r[name].Number() })
		case record.TextValue:
			add(name, "category", "attribute "+name, models.Category, first)
		case record.ListValue:
			add(name, "category", "first item of attribute "+name, models.Category, first)
			add(name+".count", "items", "length of attribute "+name, models.Numeric, func(r record.Attributes) float64 {
				switch v := r[name]; v.Kind() {
				case record.ListValue:
					return float64(len(v.List()))
				case record.NoValue:
					return missing
				}
				return 1
			})
		}
	}
	return out
}
