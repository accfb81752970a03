package calibrate_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"math"
	"math/rand/v2"
	"os"
	"testing"

	"gonum.org/v1/gonum/floats"
	"gonum.org/v1/gonum/stat"
	"pgregory.net/rapid"

	"bellwether/models"
	"bellwether/models/calibrate"
)

// banded is a calibrator with a band.
func banded(t interface {
	Helper()
	Fatal(...any)
}, kind calibrate.Kind, raw, y, w, of []float64) calibrate.Calibrator {
	t.Helper()
	m, err := calibrate.WithBand(fit(t, kind, raw, y, w), raw, y, w, of)
	if err != nil {
		t.Fatal(err)
	}
	return m
}

// A band keeps the probability and the kind, has the probability strictly inside,
// never falls as scores rise, takes another band's place, and comes back from its
// bytes.
func TestBand(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		r := drawRows(t)
		var of []float64
		if rapid.Bool().Draw(t, "owned") {
			for range r.raw {
				of = append(of, rapid.SampledFrom([]float64{0, 1, 2, math.NaN()}).Draw(t, "of"))
			}
		}
		for _, kind := range calibrate.Kinds() {
			plain, m := fit(t, kind, r.raw, r.y, r.w), banded(t, kind, r.raw, r.y, r.w, of)
			again, err := calibrate.WithBand(m, r.raw, r.y, r.w, of)
			if err != nil {
				t.Fatal(err)
			}
			b, err := m.MarshalBinary()
			if err != nil {
				t.Fatal(err)
			}
			if b2, err := again.MarshalBinary(); err != nil || !bytes.Equal(b, b2) {
				t.Fatalf("%s: a band of a banded one differs: %v", kind, err)
			}
			loaded, err := calibrate.Load(b)
			if err != nil {
				t.Fatal(err)
			}
			if m.Kind() != kind || loaded.Kind() != kind {
				t.Fatalf("%s became %s and %s", kind, m.Kind(), loaded.Kind())
			}
			last := [3]float64{}
			for i := range 43 {
				at := float64(i-1) / 40
				want, _, _ := plain.Calibrate(at)
				p, lo, hi := m.Calibrate(at)
				if p != want || !(lo >= 0 && lo < p && p < hi && hi <= 1) {
					t.Fatalf("%s at %v: %v [%v, %v], without a band %v", kind, at, p, lo, hi, want)
				}
				if lo < last[0] || p < last[1] || hi < last[2] {
					t.Fatalf("%s falls at %v: %v [%v, %v], before %v", kind, at, p, lo, hi, last)
				}
				last = [3]float64{lo, p, hi}
				if q, qlo, qhi := loaded.Calibrate(at); q != p || qlo != lo || qhi != hi {
					t.Fatalf("%s at %v: loaded it says %v [%v, %v]", kind, at, q, qlo, qhi)
				}
			}
			if p, lo, hi := m.Calibrate(math.NaN()); lo != 0 || hi != 1 || !(p > 0 && p < 1) {
				t.Fatalf("%s of NaN: %v [%v, %v]", kind, p, lo, hi)
			}
			bad := bytes.Clone(b)
			bad[rapid.IntRange(0, len(b)-1).Draw(t, "byte")] ^= 1
			if _, err := calibrate.Load(bad); !errors.Is(err, models.ErrCorrupt) {
				t.Fatalf("%s, damaged: %v", kind, err)
			}
		}
	})
	m := banded(t, calibrate.Platt, []float64{.1, .4, .4, .8}, []float64{0, 1, 0, 1}, nil, nil)
	if n := testing.AllocsPerRun(100, func() { m.Calibrate(.3) }); n != 0 {
		t.Errorf("%v allocations", n)
	}
}

// The order of the rows and the scale of their weights change nothing but
// rounding, and the order not even that of who is whose.
func TestBandIsOfTheRows(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		r := drawRows(t)
		n := len(r.raw)
		var of, other rows2
		for i := range n {
			of.add(r.raw[i], r.y[i], r.w[i], float64(rapid.IntRange(0, 3).Draw(t, "of")))
		}
		for _, i := range rapid.Permutation(index(n)).Draw(t, "order") {
			other.add(of.raw[i], of.y[i], 4*of.w[i], of.of[i])
		}
		a := banded(t, calibrate.Platt, of.raw, of.y, of.w, of.of)
		b := banded(t, calibrate.Platt, other.raw, other.y, other.w, other.of)
		for i := range 41 {
			_, lo, hi := a.Calibrate(float64(i) / 40)
			_, lo2, hi2 := b.Calibrate(float64(i) / 40)
			if math.Abs(lo-lo2)+math.Abs(hi-hi2) > 1e-6 {
				t.Fatalf("at %d: [%v, %v] and [%v, %v]", i, lo, hi, lo2, hi2)
			}
		}
	})
}

type rows2 struct{ raw, y, w, of []float64 }

func (r *rows2) add(raw, y, w, of float64) {
	r.raw, r.y, r.w, r.of = append(r.raw, raw), append(r.y, y), append(r.w, w), append(r.of, of)
}

func index(n int) (out []int) {
	for i := range n {
		out = append(out, i)
	}
	return out
}

// The same rows four times over, with the same probabilities, narrow a band.
func TestMoreRowsNarrowABand(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		r := drawRows(t)
		widths := func(times int) (out []float64) {
			var raw, y, w []float64
			for range times {
				raw, y, w = append(raw, r.raw...), append(y, r.y...), append(w, r.w...)
			}
			m := banded(t, calibrate.Identity, raw, y, w, nil)
			for i := range 21 {
				_, lo, hi := m.Calibrate(float64(i) / 20)
				out = append(out, hi-lo)
			}
			return out
		}
		few, many := widths(1), widths(4)
		if floats.Sum(many) >= floats.Sum(few) {
			t.Fatalf("widths %v, of four times the rows %v", few, many)
		}
		for i := range few {
			if many[i] > few[i]+1e-9 {
				t.Fatalf("at %d: %v wide, of four times the rows %v", i, few[i], many[i])
			}
		}
	})
}

// Of owners whose rates lie apart by a known spread about the curve, nine in ten
// of those never met before have the rate of their rows scored alike within the
// band, or a few more; of owners alike the band is hardly wider than without.
func TestBandCovers(t *testing.T) {
	const worlds, owners, each, strangers = 40, 60, 20, 200
	for _, apart := range []float64{0, .3, .8} {
		rng := rand.New(rand.NewPCG(11, uint64(10*apart)))
		var shares []float64 // of each world
		owned, alone := 0.0, 0.0
		for range worlds {
			var r rows2
			for of := range owners {
				effect := apart * rng.NormFloat64()
				for range each {
					raw := .1 + .8*rng.Float64()
					r.add(raw, 0, 1, float64(of))
					if rng.Float64() < rate(raw, effect) {
						r.y[len(r.y)-1] = 1
					}
				}
			}
			m := banded(t, calibrate.Platt, r.raw, r.y, nil, r.of)
			without := banded(t, calibrate.Platt, r.raw, r.y, nil, nil)
			in := 0.0
			for range strangers {
				raw := .1 + .8*rng.Float64()
				truth := rate(raw, apart*rng.NormFloat64())
				_, lo, hi := m.Calibrate(raw)
				if lo <= truth && truth <= hi {
					in++
				}
				owned += hi - lo
				_, lo, hi = without.Calibrate(raw)
				alone += hi - lo
			}
			shares = append(shares, in/strangers)
		}
		// Strangers of one world share its curve and its spread, found from few: only
		// worlds are draws of their own.
		share, sd := stat.MeanStdDev(shares, nil)
		if share < calibrate.Level-3*sd/math.Sqrt(worlds) {
			t.Errorf("spread %v: %.3f of the rates lie within, standard deviation of a world %.3f", apart, share, sd)
		}
		if apart == 0 && owned > 1.6*alone {
			t.Errorf("of owners alike the mean width is %.3f, without owners %.3f", owned/worlds/strangers, alone/worlds/strangers)
		}
		if apart > .5 && share > .97 {
			t.Errorf("spread %v: %.3f of the rates lie within: too wide", apart, share)
		}
	}
}

// rate is the true one of an owner with an effect on the log odds.
func rate(raw, effect float64) float64 {
	return 1 / (1 + math.Exp(-effect)*(1-raw)/raw)
}

// Calibrators from before there were bands, with the interval of Venn-Abers, say
// what they said, and are written as they were. The bytes and answers are of the
// program of that time.
func TestBeforeBands(t *testing.T) {
	b, err := os.ReadFile("../testdata/calibrate/before_bands.json")
	if err != nil {
		t.Fatal(err)
	}
	var old []struct {
		Kind    calibrate.Kind
		Bytes   []byte
		Answers []struct{ At, P, Lo, Hi float64 }
	}
	if err := json.Unmarshal(b, &old); err != nil || len(old) != len(calibrate.Kinds()) {
		t.Fatalf("%d kinds: %v", len(old), err)
	}
	for _, o := range old {
		m, err := calibrate.Load(o.Bytes)
		if err != nil {
			t.Fatalf("%s: %v", o.Kind, err)
		}
		if again, err := m.MarshalBinary(); err != nil || !bytes.Equal(again, o.Bytes) || m.Kind() != o.Kind {
			t.Errorf("%s is written otherwise, as %s: %v", o.Kind, m.Kind(), err)
		}
		for _, a := range o.Answers {
			const last = 1e-14 // other machines round exp and log otherwise
			if p, lo, hi := m.Calibrate(a.At); math.Abs(p-a.P)+math.Abs(lo-a.Lo)+math.Abs(hi-a.Hi) > last {
				t.Errorf("%s at %v: %v [%v, %v], it was %v [%v, %v]", o.Kind, a.At, p, lo, hi, a.P, a.Lo, a.Hi)
			}
		}
	}
}
