package calibrate

import (
	"encoding"

	"bellwether/models/wire"
)

// banded is one calibrator's probability with the interval of another, widened to
// hold it: a band or, in models made before there were any, that of Venn-Abers.
type banded struct {
	Calibrator
	band interface {
		interval(raw float64) (lo, hi float64)
		encoding.BinaryMarshaler
	}
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

// Promises reports whether a calibrator's interval is a band, and so promises what
// Level and WithBand say.
func Promises(c Calibrator) bool {
	m, ok := c.(*banded)
	if ok {
		_, ok = m.band.(*band)
	}
	return ok
}

// The kinds that mark bytes; neither is a Kind to fit.
const (
	bandedKind = "banded"
	bandKind   = "band"
)

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
	m := &banded{Calibrator: own}
	within := wire.NewDecoder(magic, []byte(d.String()))
	switch kind := within.String(); kind {
	case string(VennAbers):
		m.band = loadVennAbers(within)
	case bandKind:
		m.band = loadBand(within)
	default:
		within.Fail()
	}
	if _, nested := own.(*banded); err != nil || within.Close() != nil || nested {
		d.Fail()
		return nil
	}
	return m
}
