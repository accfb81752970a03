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

// The same where pairs of columns decide, whichever sides the two are of, and one
// column is in two pairs.
func TestFactoredPairsArePredict(t *testing.T) {
	train := chained(20_000, 1)
	fitted, err := gbdt.Learner{Trees: 12, Threads: 1}.Fit(t.Context(), train, nil, 1)
	if err != nil {
		t.Fatal(err)
	}
	if a := auc(predict(t, fitted, train), train.Y); a < 0.75 {
		t.Fatalf("AUC %v: the pairs were not found", a)
	}
	rows := chained(100, 2)
	rows.X[0][5], rows.X[1][5], rows.X[2][7] = models.Code("never seen"), math.NaN(), math.NaN()
	for sides := range 27 {
		side := []uint8{uint8(sides % 3), uint8(sides / 3 % 3), uint8(sides / 9)}
		f, ok := fitted.(models.Factorer).Factor(side)
		if !ok {
			t.Fatal("cannot be factored")
		}
		checkFactored(t, f, fitted, side, rows)
	}
}

// chained is pairTable with a third column: half of the labels are told by the
// first two, half by the last two.
func chained(n int, seed uint64) *models.Table {
	tab := pairTable(n, seed)
	tab.Columns = append(tab.Columns, models.Column{Name: "c", Kind: models.Category})
	tab.X = append(tab.X, pairTable(n, seed+100).X[0])
	for i := range n / 2 {
		tab.Y[i] = float64(mix(math.Float64bits(tab.X[1][i])^math.Float64bits(tab.X[2][i])>>1) % 2)
	}
	return tab
}

// checkFactored scores each row as the first candidate's of its case, with the
// rows after it as the others: every candidate's answer is that of the row made
// of the case's columns and its own.
func checkFactored(t *testing.T, f models.Factored, fitted models.Model, side []uint8, rows *models.Table) {
	t.Helper()
	for i := 0; i < rows.Len(); i += 7 {
		n := min(1+i%19, rows.Len()-i)
		whole := make([]float64, 0, n*rows.Width())
		of, candidates, pairs := make([]uint64, f.Words()), make([][]uint64, n), []float64(nil)
		var ofCase []float64
		for r := range n {
			var own []float64
			for j, col := range rows.X {
				x := col[i+r]
				switch side[j] {
				case 0:
					x = col[i]
					if r == 0 {
						ofCase = append(ofCase, x)
					}
				case 1:
					own = append(own, x)
				default:
					pairs = append(pairs, x)
				}
				whole = append(whole, x)
			}
			candidates[r] = make([]uint64, f.Words())
			f.Reach(candidates[r], 1, own)
		}
		f.Reach(of, 0, ofCase)
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
