package calibrate

import (
	"fmt"

	"bellwether/models/wire"
)

// banded is one calibrator's probability with the interval of Venn-Abers, widened
// to hold it: where the two disagree, that is part of what is not known.
type banded struct {
	Calibrator
	band *vennAbers
}

// WithBand returns c with the interval of Venn-Abers fitted on these rows, so
// that intervals mean one thing whatever the probability comes from. Venn-Abers
// itself, and what has its band already, comes back as it is; Kind stays c's.
func WithBand(c Calibrator, raw, y, w []float64) (Calibrator, error) {
	if _, ok := c.(*banded); ok || c.Kind() == VennAbers {
		return c, nil
	}
	s, err := newSample(raw, y, w)
	if err != nil {
		return nil, fmt.Errorf("calibrate, band of %s: %w", c.Kind(), err)
	}
	return &banded{c, fitVennAbers(s)}, nil
}

func (m *banded) Calibrate(raw float64) (p, lo, hi float64) {
	if c, ok := m.Calibrator.(*curve); ok {
		p = c.probability(raw)
	} else {
		p, _, _ = m.Calibrator.Calibrate(raw)
	}
	lo, hi = m.band.interval(raw)
	return p, min(lo, p), max(hi, p)
}

// bandedKind marks the bytes of a banded calibrator; it is no Kind to fit.
const bandedKind = "banded"

func (m *banded) MarshalBinary() ([]byte, error) {
	own, err := m.Calibrator.MarshalBinary()
	if err != nil {
		return nil, err
	}
	band, err := m.band.MarshalBinary()
	if err != nil {
		return nil, err
	}
	e := wire.NewEncoder(magic)
	e.String(bandedKind)
	e.String(string(own))
	e.String(string(band))
	return e.Seal(), nil
}

func loadBanded(d *wire.Decoder) Calibrator {
	own, err := Load([]byte(d.String()))
	band, bandErr := Load([]byte(d.String()))
	v, ok := band.(*vennAbers)
	_, nested := own.(*banded)
	if err != nil || bandErr != nil || !ok || nested {
		d.Fail()
		return nil
	}
	return &banded{own, v}
}
