package features

import "bellwether/datasets/record"

// Spec is a set as a model's version keeps it, in its file features.json.
type Spec struct {
	Schema      Schema  `json:"schema"`
	Options     Options `json:"options"`
	Fingerprint string  `json:"fingerprint"`
}

// Spec says what the set was made of.
func (s *Set) Spec() Spec { return Spec{s.schema, s.options, s.fingerprint} }

// Set makes the set of a spec. If this program's features are others than those
// the spec was written with, the rows would mean something else: Incompatible.
func (sp Spec) Set() (*Set, error) {
	s := NewSet(sp.Schema, sp.Options)
	if s.fingerprint != sp.Fingerprint {
		return nil, record.Errorf(record.Incompatible, "read features.json",
			"made with features %.12s…, this program has %.12s…: train again with this program", sp.Fingerprint, s.fingerprint)
	}
	return s, nil
}
