package models_test

import (
	"math"
	"slices"
	"testing"

	"pgregory.net/rapid"

	"bellwether/models"
)

// told is a batch that has no memory to lend: it fills what it is given.
type told struct{ x [][]float64 }

func (b told) Len() int { return len(b.x[0]) }

func (b told) At(col, row int) float64 { return b.x[col][row] }

func (b told) Values(buf []float64, col, lo, hi int) []float64 {
	return buf[:copy(buf, b.x[col][lo:hi])]
}

// cut parts columns into batches of both kinds, empty ones too.
func cut(t *rapid.T, x [][]float64) *models.Inputs {
	var batches []models.Batch
	for lo, n := 0, len(x[0]); lo < n || rapid.Bool().Draw(t, "empty"); {
		hi := min(n, lo+rapid.SampledFrom([]int{0, 1, 2, 5, 4096, 5000}).Draw(t, "size"))
		part := make([][]float64, len(x))
		for j := range x {
			part[j] = x[j][lo:hi]
		}
		if lo = hi; rapid.Bool().Draw(t, "told") {
			batches = append(batches, told{part})
		} else {
			batches = append(batches, models.InputsOf(part))
		}
	}
	return models.NewInputs(batches...)
}

func same(a, b []float64) bool {
	return slices.EqualFunc(a, b, func(x, y float64) bool { return math.Float64bits(x) == math.Float64bits(y) })
}

func TestInputsAreTheColumnsHoweverTheyLie(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		n := rapid.SampledFrom([]int{1, 2, 7, 100, 9000}).Draw(t, "rows")
		whole := &models.Table{Columns: []models.Column{{Name: "a"}, {Name: "b"}}, X: make([][]float64, 2), Y: make([]float64, n)}
		for i := range n {
			whole.X[0], whole.X[1] = append(whole.X[0], float64(i)), append(whole.X[1], -float64(i))
			whole.Y[i] = float64(i)
		}
		whole.X[1][n/2] = math.NaN()
		lying := *whole
		lying.X, lying.In = nil, cut(t, whole.X)
		for range rapid.IntRange(0, 2).Draw(t, "views") { // rows twice, rows not at all, runs of rows
			var rows []int
			for len(rows) < n {
				from := rapid.IntRange(0, n-1).Draw(t, "from")
				for i := range min(rapid.SampledFrom([]int{1, 3, n}).Draw(t, "run"), n-from) {
					rows = append(rows, from+i)
				}
			}
			whole, lying = whole.Take(rows[:n]), *lying.View(rows[:n])
		}
		if err := lying.Check(false); err != nil {
			t.Fatal(err)
		}
		if lying.Len() != n || lying.Width() != 2 || !same(lying.Y, whole.Y) {
			t.Fatalf("%d rows of %d, labels %v", lying.Len(), lying.Width(), lying.Y)
		}
		row, want := make([]float64, 2), make([]float64, 2)
		for i := range n {
			lying.Row(row, i)
			if whole.Row(want, i); !same(row, want) {
				t.Fatalf("row %d is %v, want %v", i, row, want)
			}
		}
		some := []int{n - 1, 0, n / 2}
		taken, owned := lying.Take(some), lying.Whole()
		for j, x := range whole.X {
			if !same(lying.Column(j), x) || !same(owned.X[j], x) || !same(taken.X[j], whole.Take(some).X[j]) {
				t.Fatalf("column %d differs", j)
			}
			lo := rapid.IntRange(0, n-1).Draw(t, "lo")
			hi := rapid.IntRange(lo+1, n).Draw(t, "hi")
			if got := lying.In.Values(make([]float64, hi-lo), j, lo, hi); !same(got, x[lo:hi]) {
				t.Fatalf("column %d, rows %d to %d: %v, want %v", j, lo, hi, got, x[lo:hi])
			}
		}
		whole.X[0][n/2] = math.Inf(1)
		lying.In = cut(t, whole.X)
		if got, want := lying.Check(false), whole.Check(false); got == nil || got.Error() != want.Error() {
			t.Fatalf("an infinite input is %v, want %v", got, want)
		}
	})
}
