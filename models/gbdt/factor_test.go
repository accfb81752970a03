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
	for _, l := range []gbdt.Learner{{Leaves: 2}, {Leaves: 31}, {Leaves: 32}, {Leaves: 33}, {Leaves: 64},
		{Leaves: 31, Objective: gbdt.Hazard{}}, {Leaves: 64, Objective: gbdt.Hazard{Ages: []int64{3600}}}} {
		l.Trees, l.EarlyStop, l.Threads = 31, -1, 1
		fitted, err := l.Fit(t.Context(), aged(train), nil, 1)
		if err != nil {
			t.Fatal(err)
		}
		rows := mixed(300, 9)
		for j := range rows.X { // odd values too
			rows.X[j][j] = math.NaN()
			rows.X[j][10+j] = 1e300
			rows.X[j][20+j] = models.Code("never seen")
		}
		for range 6 {
			side := make([]uint8, rows.Width())
			for j := range side {
				side[j] = uint8(rng.IntN(3))
			}
			f, ok := fitted.(models.Factorer).Factor(side)
			if !ok {
				t.Fatalf("%s of %d leaves cannot be factored", l.Name(), l.Leaves)
			}
			checkFactored(t, f, fitted, side, rows)
		}
	}
}

// aged is a table whose labels become known one after another, within two hours.
func aged(t *models.Table) *models.Table {
	u := *t
	u.At, u.Known = make([]int64, t.Len()), make([]int64, t.Len())
	for i := range u.At {
		u.At[i] = int64(i)
		u.Known[i] = u.At[i] + 1 + int64(i*i%7200)
	}
	return &u
}

// checkFactored scores each row as the first candidate's of its case, with the
// rows after it as the others: every candidate's answer is that of the row made
// of the case's columns and its own.
func checkFactored(t *testing.T, f models.Factored, fitted models.Model, side []uint8, rows *models.Table) {
	t.Helper()
	for i := 0; i < rows.Len(); i += 7 {
		n := min(1+i%19, rows.Len()-i)
		whole := make([]float64, 0, n*rows.Width())
		of, candidates, pairs := models.Half{}, make([]models.Half, n), []float64(nil)
		for r := range n {
			for j, col := range rows.X {
				x := col[i+r]
				switch side[j] {
				case 0:
					x = col[i]
					if r == 0 {
						of.Own = append(of.Own, x)
					}
				case 1:
					candidates[r].Own = append(candidates[r].Own, x)
				default:
					pairs = append(pairs, x)
				}
				whole = append(whole, x)
			}
			candidates[r].Words = make([]uint64, f.Words())
			f.Reach(candidates[r].Words, 1, candidates[r].Own)
		}
		of.Words = make([]uint64, f.Words())
		f.Reach(of.Words, 0, of.Own)
		got, want := make([]float64, n), make([]float64, n)
		f.Scores(got, of, candidates, pairs)
		fitted.(models.RowsPredictor).PredictRows(want, whole)
		for r := range n {
			if math.Float64bits(got[r]) != math.Float64bits(want[r]) {
				t.Fatalf("row %d, candidate %d, sides %v: %v by parts, %v as a whole", i, r, side, got[r], want[r])
			}
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
	for _, of := range []gbdt.Objective{gbdt.LogLoss{}, gbdt.Hazard{}} {
		l := gbdt.Learner{Objective: of, Trees: 300, Leaves: 32, EarlyStop: -1}
		b.Run(l.Name(), func(b *testing.B) { benchmarkFactored(b, l) })
	}
}

func benchmarkFactored(b *testing.B, l gbdt.Learner) {
	const width, n = 60, 500
	fitted, err := l.Fit(b.Context(), aged(numbersTable(20_000, width, 1)), nil, 1)
	if err != nil {
		b.Fatal(err)
	}
	side := make([]uint8, width)
	for j := range side {
		side[j] = []uint8{0, 1, 1, 2}[j%4]
	}
	f, _ := fitted.(models.Factorer).Factor(side)
	rows := numbersTable(n, width, 2)
	var flat, pairs []float64
	var of models.Half
	candidates := make([]models.Half, n)
	for i := range n {
		for j, col := range rows.X {
			x := col[i]
			switch side[j] {
			case 0:
				if x = col[0]; i == 0 {
					of.Own = append(of.Own, x)
				}
			case 1:
				candidates[i].Own = append(candidates[i].Own, x)
			default:
				pairs = append(pairs, x)
			}
			flat = append(flat, x)
		}
		candidates[i].Words = make([]uint64, f.Words())
		f.Reach(candidates[i].Words, 1, candidates[i].Own)
	}
	of.Words = make([]uint64, f.Words())
	dst := make([]float64, n)
	b.Run("by-parts", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			f.Reach(of.Words, 0, of.Own)
			f.Scores(dst, of, candidates, pairs)
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
