package calibrate_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"math"
	"math/rand/v2"
	"os"
	"slices"
	"testing"

	"pgregory.net/rapid"

	"bellwether/models"
	"bellwether/models/calibrate"
	"bellwether/models/metric"
)

func TestAgainstOracle(t *testing.T) {
	b, err := os.ReadFile("../testdata/calibrate/oracle.json")
	if err != nil {
		t.Fatal(err)
	}
	var o struct {
		Cases []struct{ Raw, Y, At, Platt, Isotonic, Beta []float64 }
	}
	if err := json.Unmarshal(b, &o); err != nil {
		t.Fatal(err)
	}
	for i, c := range o.Cases {
		for _, k := range []struct {
			kind   calibrate.Kind
			want   []float64
			within float64
		}{
			{calibrate.Platt, c.Platt, 1e-5}, // scikit-learn stops its L-BFGS there
			{calibrate.Isotonic, c.Isotonic, 1e-7},
			{calibrate.Beta, c.Beta, 1e-4}, // betacal likewise
		} {
			m := fit(t, k.kind, c.Raw, c.Y, nil)
			for j, at := range c.At {
				want := k.want[j]
				if k.kind == calibrate.Isotonic { // ours never says 0 or 1
					edge := 1 / (2 * (float64(len(c.Y)) + 1))
					want = min(max(want, edge), 1-edge)
				}
				if p, _, _ := m.Calibrate(at); !(math.Abs(p-want) <= k.within) {
					t.Errorf("case %d: %s at %.3f: %.9f, want %.9f", i, k.kind, at, p, want)
				}
			}
		}
	}
}

func fit(t interface {
	Helper()
	Fatal(...any)
}, kind calibrate.Kind, raw, y, w []float64) calibrate.Calibrator {
	t.Helper()
	m, err := calibrate.Fit(kind, raw, y, w)
	if err != nil {
		t.Fatal(err)
	}
	return m
}

type rows struct{ raw, y, w []float64 }

// drawRows draws rows of both classes with tied scores.
func drawRows(t *rapid.T) rows {
	n := rapid.IntRange(2, 25).Draw(t, "n")
	r := rows{make([]float64, n), make([]float64, n), make([]float64, n)}
	for i := range n {
		r.raw[i] = float64(rapid.IntRange(0, 12).Draw(t, "raw")) / 12
		r.y[i] = float64(rapid.IntRange(0, 1).Draw(t, "y"))
		r.w[i] = rapid.Float64Range(.1, 4).Draw(t, "w")
	}
	r.y[0], r.y[1] = 0, 1
	return r
}

// The definition: for each outcome, an isotonic regression with the row added.
func TestVennAbersIsTwoIsotonicFits(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		r := drawRows(t)
		if rapid.Bool().Draw(t, "unweighted") {
			r.w = nil
		}
		unit := 1.0
		if r.w != nil {
			squares, sum := 0.0, 0.0
			for _, w := range r.w {
				squares += w * w
				sum += w
			}
			unit = squares / sum
		}
		m := fit(t, calibrate.VennAbers, r.raw, r.y, r.w)
		for at := 0.; at <= 1; at += 1. / 24 {
			var want [2]float64
			for label := range 2 {
				raw := append(cut(r.raw), min(max(at, calibrate.Epsilon), 1-calibrate.Epsilon))
				y := append(slices.Clone(r.y), float64(label))
				w := slices.Clone(r.w)
				if w == nil {
					w = slices.Repeat([]float64{1}, len(r.y))
				}
				fitted := metric.Recalibrated(raw, y, append(w, unit))
				want[label] = fitted[len(fitted)-1]
			}
			p, lo, hi := m.Calibrate(at)
			if math.Abs(lo-want[0]) > 1e-9 || math.Abs(hi-want[1]) > 1e-9 {
				t.Fatalf("at %v: [%v, %v], by definition %v", at, lo, hi, want)
			}
			if merged := want[1] / (1 - want[0] + want[1]); math.Abs(p-merged) > 1e-9 {
				t.Fatalf("at %v: %v, by definition %v", at, p, merged)
			}
		}
	})
}

func cut(raw []float64) []float64 {
	out := make([]float64, len(raw))
	for i, x := range raw {
		out[i] = min(max(x, calibrate.Epsilon), 1-calibrate.Epsilon)
	}
	return out
}

func TestMonotoneAndInside(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		r := drawRows(t)
		for _, kind := range calibrate.Kinds() {
			m := fit(t, kind, r.raw, r.y, r.w)
			last := 0.0
			for i := range 201 {
				p, lo, hi := m.Calibrate(float64(i-10) / 180)
				if !(p > 0 && p < 1 && lo >= 0 && lo <= p && p <= hi && hi <= 1) {
					t.Fatalf("%s at %d: %v in [%v, %v]", kind, i, p, lo, hi)
				}
				if p < last {
					t.Fatalf("%s falls from %v to %v at %d", kind, last, p, i)
				}
				last = p
			}
			for _, odd := range []float64{math.NaN(), math.Inf(1), math.Inf(-1), -3, 7} {
				if p, lo, hi := m.Calibrate(odd); !(p > 0 && p < 1 && lo <= p && p <= hi) {
					t.Fatalf("%s at %v: %v in [%v, %v]", kind, odd, p, lo, hi)
				}
			}
		}
	})
}

// Between these scores p1 alone rises, and p1/(1-p0+p1) as it is
// written would fall by its rounding.
func TestVennAbersDoesNotFallByRounding(t *testing.T) {
	m := fit(t, calibrate.VennAbers, []float64{0, 0, 1. / 12, 0, 0, 0, 0}, []float64{0, 1, 1, 0, 0, 0, 0},
		[]float64{1, 1, 1.5, 1, 1.9999999999999964, 2.0009765625, 3.999999998137355})
	last := 0.0
	for i := range 201 {
		p, _, _ := m.Calibrate(float64(i-10) / 180)
		if p < last {
			t.Fatalf("falls from %v to %v at %d", last, p, i)
		}
		last = p
	}
}

// Doubling every weight changes nothing but rounding.
func TestScaleOfWeightsDoesNotMatter(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		r := drawRows(t)
		twice := make([]float64, len(r.w))
		for i, w := range r.w {
			twice[i] = 2 * w
		}
		for _, kind := range calibrate.Kinds() {
			a, b := fit(t, kind, r.raw, r.y, r.w), fit(t, kind, r.raw, r.y, twice)
			for i := range 21 {
				p, lo, hi := a.Calibrate(float64(i) / 20)
				q, lo2, hi2 := b.Calibrate(float64(i) / 20)
				if math.Abs(p-q)+math.Abs(lo-lo2)+math.Abs(hi-hi2) > 1e-6 {
					t.Fatalf("%s: %v [%v, %v], with twice the weights %v [%v, %v]", kind, p, lo, hi, q, lo2, hi2)
				}
			}
		}
	})
}

// On many rows from a known curve every kind but Identity finds the curve: the
// parametric ones, whose form it has, within 1/sqrt(n)'s reach, the others
// within the slower cube root's.
func TestFindsTheCurve(t *testing.T) {
	rng := rand.New(rand.NewPCG(5, 0))
	truth := func(raw float64) float64 { return 1 / (1 + math.Exp(-.3)*math.Pow((1-raw)/raw, 1.5)) }
	const n = 20_000
	raw, y := make([]float64, n), make([]float64, n)
	for i := range n {
		raw[i] = rng.Float64()
		if rng.Float64() < truth(raw[i]) {
			y[i] = 1
		}
	}
	for kind, within := range map[calibrate.Kind]float64{
		calibrate.Platt: .02, calibrate.Beta: .02, calibrate.Isotonic: .06, calibrate.VennAbers: .06,
	} {
		m := fit(t, kind, raw, y, nil)
		worst := 0.0
		for i := 5; i <= 95; i++ {
			p, _, _ := m.Calibrate(float64(i) / 100)
			worst = max(worst, math.Abs(p-truth(float64(i)/100)))
		}
		if worst > within {
			t.Errorf("%s is off by %.3f", kind, worst)
		}
	}
}

func TestRefusals(t *testing.T) {
	two := []float64{.1, .9}
	for _, c := range []struct {
		name      string
		kind      calibrate.Kind
		raw, y, w []float64
		want      error
	}{
		{"no rows", calibrate.VennAbers, nil, nil, nil, models.ErrEmpty},
		{"no weight", calibrate.Beta, two, []float64{0, 1}, []float64{0, 0}, models.ErrEmpty},
		{"one class", calibrate.Platt, two, []float64{1, 1}, nil, models.ErrOneClass},
		{"no such kind", "magic", two, []float64{0, 1}, nil, calibrate.ErrKind},
		{"NaN score", calibrate.Isotonic, []float64{math.NaN(), 1}, []float64{0, 1}, nil, nil},
		{"NaN weight", calibrate.Isotonic, two, []float64{0, 1}, []float64{1, math.NaN()}, nil},
		{"odd label", calibrate.Isotonic, two, []float64{0, 2}, nil, nil},
	} {
		_, err := calibrate.Fit(c.kind, c.raw, c.y, c.w)
		if err == nil || c.want != nil && !errors.Is(err, c.want) {
			t.Errorf("%s: %v, want %v", c.name, err, c.want)
		}
	}
}

func TestBytes(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		r := drawRows(t)
		for _, kind := range calibrate.Kinds() {
			m := fit(t, kind, r.raw, r.y, r.w)
			b, err := m.MarshalBinary()
			if err != nil {
				t.Fatal(err)
			}
			loaded, err := calibrate.Load(b)
			if err != nil {
				t.Fatalf("%s: %v", kind, err)
			}
			if loaded.Kind() != kind {
				t.Fatalf("%s came back as %s", kind, loaded.Kind())
			}
			for i := range 50 {
				at := float64(i) / 49
				p, lo, hi := m.Calibrate(at)
				q, lo2, hi2 := loaded.Calibrate(at)
				if p != q || lo != lo2 || hi != hi2 {
					t.Fatalf("%s at %v: %v [%v, %v], loaded %v [%v, %v]", kind, at, p, lo, hi, q, lo2, hi2)
				}
			}
			bad := bytes.Clone(b)
			bit := rapid.IntRange(0, len(b)*8-1).Draw(t, "bit")
			bad[bit/8] ^= 1 << (bit % 8)
			if _, err := calibrate.Load(bad); !errors.Is(err, models.ErrCorrupt) {
				t.Fatalf("%s: bit %d flipped: %v", kind, bit, err)
			}
		}
	})
}

func FuzzLoad(f *testing.F) {
	for _, kind := range calibrate.Kinds() {
		b, err := fit(f, kind, []float64{.1, .4, .4, .8}, []float64{0, 1, 0, 1}, nil).MarshalBinary()
		if err != nil {
			f.Fatal(err)
		}
		f.Add(b)
	}
	raw, y := []float64{.1, .4, .4, .8}, []float64{0, 1, 0, 1}
	if b, err := banded(f, calibrate.Beta, raw, y, nil, nil).MarshalBinary(); err == nil {
		f.Add(b)
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		if m, err := calibrate.Load(b); err == nil {
			m.Calibrate(.5)
		}
	})
}

func TestCalibrateDoesNotAllocate(t *testing.T) {
	for _, kind := range calibrate.Kinds() {
		m := fit(t, kind, []float64{.1, .4, .4, .8}, []float64{0, 1, 0, 1}, nil)
		if n := testing.AllocsPerRun(100, func() { m.Calibrate(.3) }); n != 0 {
			t.Errorf("%s: %v allocations", kind, n)
		}
	}
}

func BenchmarkFit(b *testing.B) {
	raw, y := curveRows(100_000)
	for _, kind := range calibrate.Kinds() {
		b.Run(string(kind), func(b *testing.B) {
			for b.Loop() {
				fit(b, kind, raw, y, nil)
			}
		})
	}
}

func BenchmarkCalibrate(b *testing.B) {
	raw, y := curveRows(100_000)
	for _, kind := range calibrate.Kinds() {
		m := fit(b, kind, raw, y, nil)
		b.Run(string(kind), func(b *testing.B) {
			for b.Loop() {
				m.Calibrate(.37)
			}
		})
		banded, err := calibrate.WithBand(m, raw, y, nil, nil)
		if err != nil {
			b.Fatal(err)
		}
		b.Run(string(kind)+"/band", func(b *testing.B) {
			for b.Loop() {
				banded.Calibrate(.37)
			}
		})
	}
}

func curveRows(n int) (raw, y []float64) {
	rng := rand.New(rand.NewPCG(1, 2))
	for range n {
		r := rng.Float64()
		raw = append(raw, r)
		y = append(y, 0)
		if rng.Float64() < r*r {
			y[len(y)-1] = 1
		}
	}
	return raw, y
}
