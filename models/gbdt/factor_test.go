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
	for _, leaves := range []int{2, 31, 32, 33, 64} {
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
		for range 6 {
			side := make([]uint8, rows.Width())
			for j := range side {
				side[j] = uint8(rng.IntN(3))
			}
			f, ok := fitted.(models.Factorer).Factor(side)
			if !ok {
				t.Fatalf("%d leaves cannot be factored", leaves)
			}
			checkFactored(t, f, fitted, side, rows)
		}
	}
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
