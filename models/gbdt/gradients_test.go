package gbdt

import (
	"math"
	"math/rand/v2"
	"slices"
	"testing"
)

// Where there is vector code it has the bits of its plain twin.
func TestVectorDerivativesAreThePlainOnes(t *testing.T) {
	rng := rand.New(rand.NewPCG(6, 6))
	for n := range 70 {
		score, y := make([]float64, n), make([]float64, n)
		for i := range score {
			score[i] = rng.NormFloat64() * math.Exp(3*rng.NormFloat64())
			y[i] = float64(rng.IntN(2))
		}
		copy(score, []float64{0, math.Copysign(0, -1), 1e-300, -1e-17, 36.7, -37, 699.9, 700.1, -800, 1e300,
			1420, -1420, 2839, -2839}) // of the last, powers of two not held back would wrap around to about 1
		got, want := make([]int64, n), make([]int64, n)
		done := deriveFast(got, score, y)
		LogLoss{}.derivePlain(want, score, y)
		if !slices.Equal(got[:done], want[:done]) || n-done >= 4 && done > 0 {
			t.Fatalf("%d of %d rows: derivatives %x, want %x", done, n, got, want)
		}
		var sums, wantSums [4]float64
		done = sumFast(&sums, want)
		if sumPlain(&wantSums, want[:done]); sums != wantSums {
			t.Fatalf("%d of %d rows: sums %v, want %v", done, n, sums, wantSums)
		}
		perG, perH := math.Exp(9*rng.Float64()), math.Exp(9*rng.Float64())
		packed := slices.Clone(want)
		done = packFast(packed, perG, perH)
		if packPlain(want[:done], perG, perH); !slices.Equal(packed, want) {
			t.Fatalf("%d of %d rows: packed %x, want %x", done, n, packed, want)
		}
	}
}

func BenchmarkDerivatives(b *testing.B) {
	const n = 100_000
	gh, score, y := make([]int64, n), make([]float64, n), make([]float64, n)
	for i := range score {
		score[i] = math.Sin(float64(i))
	}
	o := LogLoss{}
	for name, f := range map[string]func(){
		"derive":       func() { o.derive(gh, score, y) },
		"derive-plain": func() { o.derivePlain(gh, score, y) },
		"sum":          func() { sumFast(&[4]float64{}, gh) },
		"sum-plain":    func() { sumPlain(&[4]float64{}, gh) },
		"pack":         func() { packFast(gh, 3, 4) },
		"pack-plain":   func() { packPlain(gh, 3, 4) },
	} {
		b.Run(name, func(b *testing.B) {
			for b.Loop() {
				f()
			}
			b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N*n), "ns/row")
		})
	}
}
