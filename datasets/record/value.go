package record

import (
	"bytes"
	"encoding/json"
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"
	"time"
)

// Identifiers of the caller's own making; any text up to MaxID bytes.
type (
	PartnerID string
	LeadID    string
	EventID   string
	DealID    string
	AccountID string
)

// Identifiers that Bellwether makes: UUIDv7 in text.
type (
	DecisionID string
	OfferID    string
)

// Money is an amount in minor units (cents) of an ISO 4217 currency. The zero
// Money means "not said".
type Money struct {
	Amount   int64  `json:"amount,omitempty,string"`
	Currency string `json:"currency,omitempty"`
}

// IsZero reports whether nothing was said.
func (m Money) IsZero() bool { return m == Money{} }

// UnmarshalJSON reads the amount as text, as MarshalJSON writes it, or as a
// whole number.
func (m *Money) UnmarshalJSON(b []byte) error {
	var raw struct {
		Amount   json.RawMessage `json:"amount"`
		Currency string          `json:"currency"`
	}
	d := json.NewDecoder(bytes.NewReader(b))
	d.DisallowUnknownFields()
	if err := d.Decode(&raw); err != nil {
		return err
	}
	*m = Money{Currency: raw.Currency}
	text := strings.Trim(string(raw.Amount), `"`)
	if text == "" || text == "null" {
		return nil
	}
	amount, err := strconv.ParseInt(text, 10, 64)
	if err != nil {
		return fmt.Errorf("amount %s is not a whole number of minor units", text)
	}
	m.Amount = amount
	return nil
}

// Place is where somebody is. Lat and Lon are degrees; Located says whether
// they are known.
type Place struct {
	Region  string  `json:"region,omitempty"`
	Lat     float64 `json:"lat,omitempty"`
	Lon     float64 `json:"lon,omitempty"`
	Located bool    `json:"located,omitempty"`
}

// Span is the half-open time [From, To); a zero end is open.
type Span struct {
	From time.Time `json:"from,omitzero"`
	To   time.Time `json:"to,omitzero"`
}

// Contains reports whether t lies in the span.
func (s Span) Contains(t time.Time) bool {
	return (s.From.IsZero() || !t.Before(s.From)) && (s.To.IsZero() || t.Before(s.To))
}

// Value is an attribute's value: exactly one of text, number or list of text.
type Value struct {
	kind ValueKind
	text string
	num  float64
	list []string
}

// ValueKind says which of the three a Value holds.
type ValueKind uint8

// The kinds of attribute value; the zero Value holds nothing.
const (
	NoValue ValueKind = iota
	TextValue
	NumberValue
	ListValue
)

// String names the kind as schemas show it.
func (k ValueKind) String() string { return [...]string{"none", "text", "number", "list"}[k] }

// Text, Number and List make values.
func Text(s string) Value        { return Value{kind: TextValue, text: s} }
func Number(x float64) Value     { return Value{kind: NumberValue, num: x} }
func List(items ...string) Value { return Value{kind: ListValue, list: items} }

// Kind says what v holds.
func (v Value) Kind() ValueKind { return v.kind }

// Text returns the text of a text value, "" for others.
func (v Value) Text() string { return v.text }

// Number returns the number of a number value, NaN for others.
func (v Value) Number() float64 {
	if v.kind != NumberValue {
		return math.NaN()
	}
	return v.num
}

// List returns the items of a list value, nil for others; not to be changed.
func (v Value) List() []string { return v.list }

// Equal reports whether two values are the same.
func (v Value) Equal(w Value) bool {
	return v.kind == w.kind && v.text == w.text && (v.num == w.num || v.num != v.num && w.num != w.num) && slices.Equal(v.list, w.list)
}

// String shows the value to people.
func (v Value) String() string {
	switch v.kind {
	case TextValue:
		return v.text
	case NumberValue:
		return strconv.FormatFloat(v.num, 'g', -1, 64)
	case ListValue:
		return strings.Join(v.list, ", ")
	}
	return ""
}

// MarshalJSON writes a string, a number, a list of strings, or null.
func (v Value) MarshalJSON() ([]byte, error) {
	switch v.kind {
	case TextValue:
		return json.Marshal(v.text)
	case NumberValue:
		return json.Marshal(v.num)
	case ListValue:
		return json.Marshal(v.list)
	}
	return []byte("null"), nil
}

// UnmarshalJSON reads what MarshalJSON writes; booleans become the text "true"
// or "false".
func (v *Value) UnmarshalJSON(b []byte) error {
	b = bytes.TrimSpace(b)
	switch {
	case len(b) == 0 || bytes.Equal(b, []byte("null")):
		*v = Value{}
		return nil
	case b[0] == '"':
		v.kind = TextValue
		return json.Unmarshal(b, &v.text)
	case b[0] == '[':
		v.kind = ListValue
		return json.Unmarshal(b, &v.list)
	case b[0] == 't' || b[0] == 'f':
		*v = Text(string(b))
		return nil
	case b[0] == '{':
		return fmt.Errorf("an attribute is a text, a number or a list of texts, not an object")
	}
	v.kind = NumberValue
	return json.Unmarshal(b, &v.num)
}

// Attributes are a CRM's own fields, by name. Each becomes a feature.
type Attributes map[string]Value
