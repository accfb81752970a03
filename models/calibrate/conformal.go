package calibrate

import (
	"encoding/json"
	"fmt"
	"slices"
)

// # Sets of labels
//
// Split-conformal prediction (Vovk, Gammerman and Shafer, Algorithmic Learning
// in a Random World, 2005), within each label (Mondrian): a label is in a row's
// set unless the row looks stranger, for that label, than all but a share
// 1 - level of the calibration rows that had it. With n of those, the row's
// p-value is (1 + those at least as strange) / (1 + n), and the label is in if it
// is above 1 - level.
//
// If the row and the calibration rows of its label could have come in any order,
// its label is in its set with chance at least level: whatever the scores are
// worth, for each label by itself. Where the world drifts this need not hold;
// trials report what held on the test rows.

// Labels is a set of labels.
type Labels uint8

// The sets. Nobody is when a row is stranger than the calibration rows of either
// label; Both when the score cannot tell one from the other at the level.
const (
	Nobody Labels = 0
	Zero   Labels = 1
	One    Labels = 2
	Both   Labels = Zero | One
)

// Sure reports whether the set holds one label.
func (l Labels) Sure() bool { return l == Zero || l == One }

// Has reports whether the label, 0 or 1, is in the set.
func (l Labels) Has(y float64) bool { return l&(Zero<<uint8(y)) != 0 }

// String writes the set: {0}, {1}, {0, 1} or {}.
func (l Labels) String() string { return []string{"{}", "{0}", "{1}", "{0, 1}"}[l&Both] }

// Sets tells the set of labels of a score at a level.
type Sets struct {
	Level float64 `json:"level"`
	// One is the least score whose set holds 1, Zero the greatest whose set holds
	// 0. At 0 and 1 every score's does: so few rows cannot rule a label out.
	One  float64 `json:"one"`
	Zero float64 `json:"zero"`
}

// Of returns the labels of a score at the level; of a NaN, both.
func (s Sets) Of(raw float64) Labels {
	out, raw := Both, cut(raw)
	if raw < s.One {
		out &^= One
	}
	if raw > s.Zero {
		out &^= Zero
	}
	return out
}

// UnmarshalJSON refuses what Conformal cannot have made.
func (s *Sets) UnmarshalJSON(b []byte) error {
	type plain Sets
	if err := json.Unmarshal(b, (*plain)(s)); err != nil {
		return err
	}
	if !(s.Level > 0 && s.Level < 1 && s.One >= 0 && s.One <= 1 && s.Zero >= 0 && s.Zero <= 1) {
		return fmt.Errorf("sets of labels: %+v", *s)
	}
	return nil
}

// Conformal finds the sets of a level from calibration rows: scores the model did
// not learn from, as probabilities, outcomes and weights as for Fit. With weights
// the row asked about counts as one of average worth, and the promise holds only
// as far as the weights make the rows stand for it.
func Conformal(raw, y, w []float64, level float64) (Sets, error) {
	if !(level > 0 && level < 1) {
		return Sets{}, fmt.Errorf("conformal: level %v, not between 0 and 1", level)
	}
	s, err := newSample(raw, y, w)
	if err != nil {
		return Sets{}, fmt.Errorf("conformal: %w", err)
	}
	zeros, mirrored := make([]float64, len(s.x)), slices.Clone(s.x)
	for k := range zeros {
		zeros[k] = s.mass[k] - s.ones[k]
	}
	out := Sets{Level: level, One: leastIn(s.x, s.ones, s.unit, level)}
	// For the other label the greatest scores are the strange ones.
	slices.Reverse(zeros)
	slices.Reverse(mirrored)
	out.Zero = leastIn(mirrored, zeros, s.unit, level)
	if out.Zero == 0 {
		out.Zero = 1
	}
	return out, nil
}

// leastIn returns the strangest of x, which go from strange to usual, at which a
// label with these weights is still in the set; 0 if it is in every set.
func leastIn(x, mass []float64, unit, level float64) float64 {
	total := unit
	for _, m := range mass {
		total += m
	}
	sum := unit
	if sum > (1-level)*total {
		return 0
	}
	for k, m := range mass {
		if sum += m; sum > (1-level)*total {
			return x[k]
		}
	}
	return x[len(x)-1]
}
