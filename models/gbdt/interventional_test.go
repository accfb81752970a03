package gbdt

import (
	"context"
	"math"
	"math/bits"
	"math/rand/v2"
	"slices"
	"testing"

	"pgregory.net/rapid"

	"bellwether/models"
)

// mixedModel fits trees to numbers, categories split natively and by their
// rates, and pairs; the last column says nothing.
func mixedModel(t interface{ Fatal(...any) }, rng *rand.Rand, columns, leaves int) (*Model, *models.Table) {
	const n = 1000
	tab := &models.Table{X: make([][]float64, columns), Y: make([]float64, n)}
	sum := make([]int, n)
	for j := range tab.X {
		levels := []int{0, 5, 12}[j%3]
		column := models.Column{Name: string(rune('a' + j))}
		if levels > 0 {
			column.Kind = models.Category
		}
		tab.Columns = append(tab.Columns, column)
		tab.X[j] = make([]float64, n)
		for i := range tab.X[j] {
			x := rng.IntN(10)
			switch {
			case x == 0:
				tab.X[j][i] = math.NaN()
			case levels > 0:
				x = rng.IntN(levels)
				tab.X[j][i] = models.Code(string(rune('A' + x)))
			default:
				tab.X[j][i] = float64(x) + 0.5*rng.Float64()
			}
			if j == 1 || j == 2 {
				sum[i] += x
			}
		}
	}
	for i := range tab.Y {
		if sum[i]%2 == 0 != (rng.IntN(8) == 0) {
			tab.Y[i] = 1
		}
	}
	l := Learner{Trees: 4, Leaves: leaves, MinRows: 1, LearningRate: 1, EarlyStop: -1, Targets: Targets{Native: 10, Pairs: 4, Strength: 1}}
	fitted, err := l.Fit(context.Background(), tab, nil, 1)
	if err != nil {
		t.Fatal(err)
	}
	return fitted.(*Model), tab
}

// logOdds is what the model answers, before it is made a probability.
func (m *Model) logOdds(row []float64) float64 {
	out := make([]float64, 1)
	m.scorer.scores(out, source{rows: row, width: m.width}, m.base)
	return out[0]
}

// The values are those of the definition: the sum over all sets of columns, a
// set being worth the mean answer to rows of which it is the row's and all else
// the background's.
func TestInterventionalContributionsAreShapley(t *testing.T) {
	pairs := 0
	rapid.Check(t, func(t *rapid.T) {
		rng := rand.New(rand.NewPCG(rapid.Uint64().Draw(t, "seed"), 1))
		columns := rapid.IntRange(1, 8).Draw(t, "columns")
		m, tab := mixedModel(t, rng, columns, rapid.IntRange(2, 30).Draw(t, "leaves"))
		for _, s := range m.enc.stats {
			if s.b >= 0 {
				pairs++
			}
		}
		row, got := make([]float64, columns), make([]float64, columns)
		background := make([]float64, columns*rapid.IntRange(1, 4).Draw(t, "background"))
		tab.Row(row, rng.IntN(tab.Len()))
		for i := 0; i < len(background); i += columns {
			tab.Row(background[i:i+columns], rng.IntN(tab.Len()))
		}
		start := m.InterventionalContributions(got, row, background)
		want, base := m.dumbInterventional(row, background)
		sum := start
		for j := range want {
			sum += got[j]
			if math.Abs(got[j]-want[j]) > 1e-9 {
				t.Fatalf("column %d: %v, want %v", j, got[j], want[j])
			}
		}
		if math.Abs(start-base) > 1e-9 || math.Abs(sum-m.logOdds(row)) > 1e-9 {
			t.Fatalf("from %v to %v, want from %v to %v", start, sum, base, m.logOdds(row))
		}
	})
	if pairs == 0 {
		t.Error("no model had a pair of columns: not much of a test")
	}
}

// dumbInterventional sums over all sets of columns.
func (m *Model) dumbInterventional(row, background []float64) (values []float64, base float64) {
	n := m.width
	worth := make([]float64, 1<<n)
	mixed := make([]float64, n)
	for set := range worth {
		for i := 0; i < len(background); i += n {
			for j := range mixed {
				if mixed[j] = background[i+j]; set>>j&1 == 1 {
					mixed[j] = row[j]
				}
			}
			worth[set] += m.logOdds(mixed) / float64(len(background)/n)
		}
	}
	values = make([]float64, n)
	for j := range values {
		for set := range worth {
			if set>>j&1 == 0 {
				k := bits.OnesCount(uint(set))
				values[j] += factorial(k) * factorial(n-1-k) / factorial(n) * (worth[set|1<<j] - worth[set])
			}
		}
	}
	return values, worth[0]
}

// A column no tree asks, and one that is the same in row and background, moved
// nothing; two that do the same moved the same.
func TestInterventionalContributionsDummyAndSymmetry(t *testing.T) {
	rng := rand.New(rand.NewPCG(3, 4))
	m, tab := mixedModel(t, rng, 6, 20)
	row, background, got := make([]float64, 6), make([]float64, 6), make([]float64, 6)
	tab.Row(row, 1)
	tab.Row(background, 2)
	background[0] = row[0]
	m.InterventionalContributions(got, row, background)
	if got[0] != 0 {
		t.Errorf("a column that is the same moved %v", got[0])
	}
	if slices.Max(got) == 0 {
		t.Error("nothing moved anything")
	}

	// Two columns that take turns in symmetrical trees.
	cut := func(input int32, a, b float64) tree {
		other := 1 - input
		leaf := func(v float64) node { return node{value: v, rows: 1} }
		return tree{
			{kid: 1, rows: 4, test: test{input: input, bin: 1}},
			leaf(0), {kid: 3, rows: 3, test: test{input: other, bin: 1}},
			leaf(a), leaf(b),
		}
	}
	enc := &encoder{inputs: []input{{kind: numeric, col: 0, cuts: []float64{0}}, {kind: numeric, col: 1, cuts: []float64{0}}}}
	sym := newModel(Learner{}, 3, 0.5, enc, []tree{cut(0, 1, 4), cut(1, 1, 4)})
	three := make([]float64, 3)
	start := sym.InterventionalContributions(three, []float64{1, 1, 9}, []float64{-1, -1, 2})
	if three[0] != three[1] || three[2] != 0 || math.Abs(start+three[0]+three[1]-8.5) > 1e-12 {
		t.Errorf("from %v: %v", start, three)
	}
}

// Between two cuts the answer stays, and across most it moves for some row: the
// others stand in branches no row reaches.
func TestCutsOfColumn(t *testing.T) {
	m, tab := mixedModel(t, rand.New(rand.NewPCG(5, 6)), 6, 20)
	const column = 3
	cuts := m.Cuts(column)
	if len(cuts) == 0 || m.Cuts(1) != nil {
		t.Fatalf("cuts %v of a number, %v of a category", cuts, m.Cuts(1))
	}
	row := make([]float64, 6)
	answer := func(i int, x float64) float64 {
		tab.Row(row, i)
		row[column] = x
		return m.logOdds(row)
	}
	ends := append([]float64{-100}, append(slices.Clone(cuts), 100)...)
	moved := map[int]bool{}
	for i := range tab.Len() {
		for k := range cuts {
			below, at, above := answer(i, math.Nextafter(ends[k], 1e9)), answer(i, cuts[k]), answer(i, math.Nextafter(cuts[k], 1e9))
			if below != at {
				t.Fatalf("between %v and %v the answer moves from %v to %v", ends[k], cuts[k], below, at)
			}
			if at != above {
				moved[k] = true
			}
		}
	}
	if len(moved) < len(cuts)/2+1 {
		t.Errorf("only %d of %d cuts part a row", len(moved), len(cuts))
	}
}
