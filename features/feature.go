package features

import (
	"bellwether/models"
)

// Side says what a feature looks at.
type Side uint8

// The sides, in the order of their blocks in a row.
const (
	Lead    Side = iota // the lead alone, its account and segments
	Partner             // the partner alone
	Pair                // the two together
)

// String returns "lead", "partner" or "pair".
func (s Side) String() string { return [...]string{"lead", "partner", "pair"}[s] }

// Feature describes one number of a row.
type Feature struct {
	Name    string      `json:"name"`
	Unit    string      `json:"unit"`
	Meaning string      `json:"meaning"`
	Side    Side        `json:"side"`
	Kind    models.Kind `json:"kind"`
}
