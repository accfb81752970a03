package calibrate

import (
	"fmt"
	"math"
	"sort"

	"bellwether/models/metric"
	"bellwether/models/wire"
)

// Level is what a band promises: of ten rates it speaks of, nine lie within.
// Z is the standard normal's point for it, both ways.
const (
	Level = 0.9
	Z     = 1.6448536269514722
)

const (
	// bandShare is which share of the calibration rows speaks for one score: as
	// many as a bin of the reliability picture holds.
	bandShare = 0.1
	// bandStep is how far the log odds rise within one step of a band: one point
	// of a chance of one half, little beside any band's width.
	bandStep = 0.05
)

// A band says between which rates lie those of rows scored like one, for nine in
// ten of those the rows are of. On the log odds it reaches as far from the
// probability as two things together, independent of each other:
//
//   - what is not known of the rate of all rows scored like it: Wilson's interval
//     for a rate seen in bandShare of the calibration rows;
//   - how far the rates of those the rows are of lie apart at one score (spread),
//     which no number of rows makes less.
//
// It is kept as steps of the raw score, each as wide as anything in it: lo[i] and
// hi[i] for x[i-1] <= s < x[i]. The first and last lie beyond all calibration
// rows, where nothing is known on the far side.
type band struct {
	x, lo, hi []float64
}

// WithBand returns c with a band fitted on these rows, in place of its own
// interval or band, so that intervals mean one thing whatever the probability
// comes from: at Level, the rate of rows scored alike of any one of those that of
// names, one code a row. With nil, where rows are of nobody, it is the rate of
// all rows scored alike. Kind stays c's.
func WithBand(c Calibrator, raw, y, w, of []float64) (Calibrator, error) {
	if old, ok := c.(*banded); ok {
		c = old.Calibrator
	}
	s, err := newSample(raw, y, w)
	if err != nil {
		return nil, fmt.Errorf("calibrate, band of %s: %w", c.Kind(), err)
	}
	apart := 0.0
	if of != nil {
		apart = spread(c, raw, y, w, of)
	}
	return &banded{c, fitBand(c, s, apart)}, nil
}

func fitBand(c Calibrator, s *sample, apart float64) *band {
	n := len(s.x)
	at, lo, hi := make([]float64, n), make([]float64, n), make([]float64, n)
	for k, x := range s.x {
		p, _, _ := c.Calibrate(x)
		at[k] = logit(p)
		lo[k], hi[k] = reach(p, max(s.mass[k]/s.unit, bandShare*s.neff), apart)
	}
	for k := 1; k < n; k++ { // ends never fall as scores rise
		hi[k] = max(hi[k], hi[k-1])
		lo[n-1-k] = min(lo[n-1-k], lo[n-k])
	}
	m := &band{lo: []float64{0}, hi: []float64{hi[0]}}
	for k := 0; k < n; {
		next := k + 1
		for next < n && at[next]-at[k] < bandStep {
			next++
		}
		m.add(s.x[k], lo[k], hi[min(next, n-1)])
		k = next
	}
	m.add(math.Nextafter(s.x[n-1], 1), lo[n-1], 1)
	return m
}

func (m *band) add(x, lo, hi float64) {
	m.x, m.lo, m.hi = append(m.x, x), append(m.lo, lo), append(m.hi, hi)
}

// reach returns the ends of a band at a probability seen in n rows, whose owners
// lie apart by a standard deviation.
func reach(p, n, apart float64) (lo, hi float64) {
	lo, hi = metric.WilsonAt(p, n, Z)
	at := logit(p)
	down, up := math.Hypot(at-logit(lo), Z*apart), math.Hypot(logit(hi)-at, Z*apart)
	return sigmoid(at - down), sigmoid(at + up)
}

func (m *band) interval(raw float64) (lo, hi float64) {
	if math.IsNaN(raw) {
		return 0, 1
	}
	raw = cut(raw)
	i := sort.Search(len(m.x), func(i int) bool { return m.x[i] > raw })
	return m.lo[i], m.hi[i]
}

func (m *band) MarshalBinary() ([]byte, error) {
	e := wire.NewEncoder(magic)
	e.String(bandKind)
	e.Floats(m.x)
	e.Floats(m.lo)
	e.Floats(m.hi)
	return e.Seal(), nil
}

func loadBand(d *wire.Decoder) *band {
	m := &band{x: d.Floats(), lo: d.Floats(), hi: d.Floats()}
	if len(m.lo) != len(m.x)+1 || len(m.hi) != len(m.lo) {
		d.Fail()
	}
	return m
}
