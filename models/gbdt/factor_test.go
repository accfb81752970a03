package gbdt_test

import (
	"math"
	"math/rand/v2"
	"testing"

	"bellwether/models"
	"bellwether/models/gbdt"
)

// Whatever the sides, a row scored by parts has the bits of Predict.
func TestFactoredIsPredict(t *testing.T) {
	train := mixed(3000, 1)
	rng := rand.New(rand.NewPCG(3, 4))
	for _, leaves := range []int{2, 31, 64} {
		fitted, err := gbdt.Learner{Trees: 30, Leaves: leaves, EarlyStop: -1, Threads: 1}.Fit(t.Context(), train, nil, 1)
		if err != nil {
			t.Fatal(err)
		}
		rows := mixed(300, 9)
		for j := range rows.X { // odd values too
			rows.X[j][j] = math.NaN()
			rows.X[j][10+j] = 1e300
			rows.X[j][20+j] = models.Code("never seen")
		}
		want := make([]float64, rows.Len())
		if err := fitted.Predict(want, rows); err != nil {
			t.Fatal(err)
		}
		for range 6 {
			side := make([]uint8, rows.Width())
			for j := range side {
				side[j] = uint8(rng.IntN(3))
			}
			f, ok := fitted.(models.Factorer).Factor(side)
			if !ok {
				t.Fatalf("%d leaves cannot be factored", leaves)
			}
			checkFactored(t, f, side, rows, want)
		}
	}
}

// checkFactored scores every row with the parts of a case and a candidate that
// were made from rows which agree with it on that side alone.
func checkFactored(t *testing.T, f models.Factored, side []uint8, rows *models.Table, want []float64) {
	t.Helper()
	row, other := make([]float64, rows.Width()), make([]float64, rows.Width())
	scratch, a, b := make([]uint64, f.Words()), make([]uint64, f.Words()), make([]uint64, f.Words())
	reach := func(dst []uint64, s uint8, i int) {
		rows.Row(other, (i+7)%rows.Len())
		for j := range other {
			if side[j] == s {
				other[j] = row[j]
			}
		}
		f.Reach(dst, s, other)
	}
	for i, w := range want {
		rows.Row(row, i)
		reach(a, 0, i)
		reach(b, 1, i)
		if got := f.Score(scratch, a, b, row); math.Float64bits(got) != math.Float64bits(w) {
			t.Fatalf("row %d, sides %v: %v by parts, %v as a whole", i, side, got, w)
		}
	}
}

func TestFactorRefuses(t *testing.T) {
	fitted, err := gbdt.Learner{Trees: 3, Leaves: 90, MinRows: 1, EarlyStop: -1}.Fit(t.Context(), mixed(3000, 1), nil, 1)
	if err != nil {
		t.Fatal(err)
	}
	if _, ok := fitted.(models.Factorer).Factor(make([]uint8, 6)); ok {
		t.Error("a tree of 90 leaves was put into 64 bits")
	}
	if _, ok := fitted.(models.Factorer).Factor(make([]uint8, 5)); ok {
		t.Error("five sides for six columns were taken")
	}
}

// BenchmarkFactored is the case of routing: 15 columns of the lead, 30 of the
// partner, 15 of the pair, and 500 partners.
func BenchmarkFactored(b *testing.B) {
	const width, n = 60, 500
	train := numbersTable(20_000, width, 1)
	fitted, err := gbdt.Learner{Trees: 300, Leaves: 32, EarlyStop: -1}.Fit(b.Context(), train, nil, 1)
	if err != nil {
		b.Fatal(err)
	}
	side := make([]uint8, width)
	for j := range side {
		side[j] = []uint8{0, 1, 1, 2}[j%4]
	}
	f, _ := fitted.(models.Factorer).Factor(side)
	rows := numbersTable(n, width, 2)
	flat := make([]float64, n*width)
	candidate := make([]uint64, n*f.Words())
	for i := range n {
		rows.Row(flat[i*width:(i+1)*width], i)
		f.Reach(candidate[i*f.Words():(i+1)*f.Words()], 1, flat[i*width:(i+1)*width])
	}
	lead, scratch := make([]uint64, f.Words()), make([]uint64, f.Words())
	sum, dst := 0.0, make([]float64, n)
	b.Run("by-parts", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			f.Reach(lead, 0, flat)
			for i := range n {
				sum += f.Score(scratch, lead, candidate[i*f.Words():(i+1)*f.Words()], flat[i*width:(i+1)*width])
			}
		}
		b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/n, "ns/candidate")
	})
	b.Run("whole-rows", func(b *testing.B) {
		for b.Loop() {
			fitted.(models.RowsPredictor).PredictRows(dst, flat)
		}
		b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/n, "ns/candidate")
	})
}
