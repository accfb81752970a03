// Package calibrate turns a model's raw scores into probabilities that can be
// believed, with an interval that says how much. It is fitted on rows the model
// did not learn from, later in time than those it did.
//
// Every calibrator is monotone: of two raw scores the higher never gets the
// lower probability. A probability is always strictly inside (0, 1) and inside
// its interval. Raw scores are read as probabilities and cut at Epsilon and
// 1 - Epsilon; a NaN score gets the base rate and [0, 1].
//
// What the 95 % intervals mean: for VennAbers [lo, hi] is the pair of
// probabilities that the two possible outcomes of this very row would lead to
// (wide where few rows are near); for Isotonic it is Wilson's for the block the
// score falls in; for Platt and Beta the delta method on the log odds, honest
// only if the curve's form is right; Identity knows nothing and says [p, p].
// WithBand gives any of them a band, which is what models serve: it says nine in
// ten, and of whose rate.
package calibrate

import (
	"encoding"
	"errors"
	"fmt"
	"math"
	"slices"

	"bellwether/models"
	"bellwether/models/wire"
)

// Epsilon is how near to 0 and 1 a raw score may come.
const Epsilon = 1e-9

// z95 is the standard normal's 97.5 % point.
const z95 = 1.959963984540054

// Kind names a way to calibrate.
type Kind string

// The kinds. VennAbers is the default choice, Beta the one for few rows
// (under some 1,000); see the package comment for their intervals.
const (
	Identity  Kind = "identity"
	Platt     Kind = "platt"
	Isotonic  Kind = "isotonic"
	Beta      Kind = "beta"
	VennAbers Kind = "venn-abers"
)

// Kinds lists every kind.
func Kinds() []Kind { return []Kind{Identity, Platt, Isotonic, Beta, VennAbers} }

// ErrKind is the answer to a kind that does not exist.
var ErrKind = errors.New("no such calibrator")

// Calibrator maps a raw score to a probability and its 95 % interval. It never
// changes, does not allocate, and may be used from any number of goroutines.
type Calibrator interface {
	// Kind is what Fit was asked for.
	Kind() Kind
	// Calibrate answers for one raw score, with lo <= p <= hi in [0, 1]. To NaN
	// the answer is the rate of the outcomes (Identity's is one half), between 0
	// and 1.
	Calibrate(raw float64) (p, lo, hi float64)
	encoding.BinaryMarshaler
}

// Fit learns a calibrator from raw scores, outcomes (0 or 1) and weights (nil:
// 1 each; rows of weight 0 do not count). Weights are meaningful up to a common
// factor. It answers models.ErrEmpty or models.ErrOneClass if there is nothing
// to learn from; Identity learns nothing and needs nothing.
func Fit(kind Kind, raw, y, w []float64) (Calibrator, error) {
	if kind == Identity {
		return identity{}, nil
	}
	s, err := newSample(raw, y, w)
	if err != nil {
		return nil, fmt.Errorf("calibrate %s: %w", kind, err)
	}
	switch kind {
	case Platt:
		return fitPlatt(s), nil
	case Isotonic:
		return fitIsotonic(s), nil
	case Beta:
		return fitBeta(s), nil
	case VennAbers:
		return fitVennAbers(s), nil
	}
	return nil, fmt.Errorf("%w: %q", ErrKind, string(kind))
}

// Load reads what MarshalBinary of any calibrator wrote, or answers
// models.ErrCorrupt.
func Load(b []byte) (Calibrator, error) {
	d := wire.NewDecoder(magic, b)
	kind := Kind(d.String())
	var c Calibrator
	switch kind {
	case Identity:
		c = identity{}
	case Platt, Beta:
		c = loadCurve(kind, d)
	case Isotonic:
		c = loadSteps(d)
	case VennAbers:
		c = loadVennAbers(d)
	case bandedKind:
		c = loadBanded(d)
	default:
		d.Fail()
	}
	if err := d.Close(); err != nil {
		return nil, fmt.Errorf("calibrator: %w", models.ErrCorrupt)
	}
	return c, nil
}

const magic = "cal1"

// sample is the calibration rows by distinct raw score, ascending.
type sample struct {
	x    []float64 // distinct raw scores, cut
	mass []float64 // weight at each
	ones []float64 // weight of the outcomes 1 at each
	unit float64   // weight of one row of average worth: sum of squares over sum
	neff float64   // effective number of rows
	rate float64   // base rate
}

func newSample(raw, y, w []float64) (*sample, error) {
	if len(raw) != len(y) || w != nil && len(w) != len(raw) {
		panic(fmt.Sprintf("calibrate: %d scores, %d outcomes, %d weights", len(raw), len(y), len(w)))
	}
	order := make([]int, 0, len(raw))
	for i, r := range raw {
		if y[i] != 0 && y[i] != 1 {
			return nil, fmt.Errorf("outcome %d is %v, not 0 or 1", i, y[i])
		}
		if math.IsNaN(r) {
			return nil, fmt.Errorf("score %d is NaN", i)
		}
		if w != nil && !(w[i] >= 0 && !math.IsInf(w[i], 1)) {
			return nil, fmt.Errorf("weight %d is %v", i, w[i])
		}
		if w == nil || w[i] > 0 {
			order = append(order, i)
		}
	}
	if len(order) == 0 {
		return nil, models.ErrEmpty
	}
	slices.SortStableFunc(order, func(a, b int) int {
		switch {
		case raw[a] < raw[b]:
			return -1
		case raw[a] > raw[b]:
			return 1
		}
		return 0
	})
	s := &sample{}
	var squares, mass, ones float64
	for _, i := range order {
		v := 1.0
		if w != nil {
			v = w[i]
		}
		if x := cut(raw[i]); len(s.x) == 0 || s.x[len(s.x)-1] != x {
			s.x, s.mass, s.ones = append(s.x, x), append(s.mass, 0), append(s.ones, 0)
		}
		k := len(s.x) - 1
		s.mass[k] += v
		s.ones[k] += v * y[i]
		mass += v
		ones += v * y[i]
		squares += v * v
	}
	if ones == 0 || ones == mass {
		return nil, models.ErrOneClass
	}
	s.unit, s.neff, s.rate = squares/mass, mass*mass/squares, ones/mass
	return s, nil
}

func cut(raw float64) float64 { return min(max(raw, Epsilon), 1-Epsilon) }

func logit(p float64) float64 { return math.Log(p) - math.Log1p(-p) }

func sigmoid(x float64) float64 {
	if x >= 0 {
		return 1 / (1 + math.Exp(-x))
	}
	e := math.Exp(x)
	return e / (1 + e)
}

// inside moves a probability off 0 and 1.
func inside(p float64) float64 { return min(max(p, Epsilon/2), 1-Epsilon/2) }

type identity struct{}

func (identity) Kind() Kind { return Identity }

func (identity) Calibrate(raw float64) (p, lo, hi float64) {
	if math.IsNaN(raw) {
		return .5, 0, 1
	}
	p = cut(raw)
	return p, p, p
}

func (identity) MarshalBinary() ([]byte, error) {
	e := wire.NewEncoder(magic)
	e.String(string(Identity))
	return e.Seal(), nil
}
