package gbdt

import (
	"context"
	"math"
	"math/bits"
	"math/rand/v2"
	"testing"

	"pgregory.net/rapid"

	"bellwether/models"
)

// The values are those of the definition: the sum over all sets of inputs.
func TestContributionsAreShapley(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		rng := rand.New(rand.NewPCG(rapid.Uint64().Draw(t, "seed"), 1))
		inputs := rapid.IntRange(1, 8).Draw(t, "inputs")
		leaves := rapid.IntRange(2, 40).Draw(t, "leaves")
		const n = 400
		tab := &models.Table{X: make([][]float64, inputs), Y: make([]float64, n)}
		for j := range tab.X {
			tab.Columns = append(tab.Columns, models.Column{Name: string(rune('a' + j))})
			tab.X[j] = make([]float64, n)
			for i := range tab.X[j] {
				tab.X[j][i] = rng.NormFloat64()
				if rng.IntN(10) == 0 {
					tab.X[j][i] = math.NaN()
				}
			}
		}
		for i := range tab.Y {
			tab.Y[i] = float64(rng.IntN(2))
		}
		fitted, err := Learner{Trees: 3, Leaves: leaves, MinRows: 1, LearningRate: 1, EarlyStop: -1, Targets: Targets{Pairs: -1}}.Fit(context.Background(), tab, nil, 1)
		if err != nil {
			t.Fatal(err)
		}
		m := fitted.(*Model)
		row, got := make([]float64, inputs), make([]float64, inputs)
		for range 3 {
			tab.Row(row, rng.IntN(n))
			start := m.Contributions(got, row)
			m.vectorsArePlain(t, row)
			want, base := m.dumbShapley(row)
			if math.Abs(start-base) > 1e-9 {
				t.Fatalf("start %v, want %v", start, base)
			}
			for j := range want {
				if math.Abs(got[j]-want[j]) > 1e-9 {
					t.Fatalf("column %d of %v: %v, want %v", j, row, got[j], want[j])
				}
			}
		}
	})
}

// vectorsArePlain compares what the vector code and its plain twin add, to the
// last bit.
func (m *Model) vectorsArePlain(t *rapid.T, row []float64) {
	e := m.explained
	plain, vector := e.room(m), e.room(m)
	for _, w := range []*shapleyWork{plain, vector} {
		src := source{rows: row, width: m.width}
		m.scorer.encode(w.bins, &src, 0, 1)
	}
	for i := range e.groups {
		g := &e.groups[i]
		for j := range g.trees {
			s := &g.trees[j]
			s.walk(plain)
			s.walk(vector)
			g.plainTree(s, plain)
			g.addTree(s, vector)
		}
		for k, want := range plain.of {
			if got := vector.of[k]; got != want {
				t.Fatalf("lane %d: %v by vectors, %v plain", k, got, want)
			}
		}
	}
}

// dumbShapley sums over all sets of columns.
func (m *Model) dumbShapley(row []float64) (values []float64, base float64) {
	n := m.width
	worth := make([]float64, 1<<n)
	for set := range worth {
		worth[set] = m.base
		for _, t := range m.trees {
			worth[set] += m.known(t, 0, row, set)
		}
	}
	values = make([]float64, n)
	for j := range values {
		for set := range worth {
			if set>>j&1 == 1 {
				continue
			}
			k := bits.OnesCount(uint(set))
			values[j] += factorial(k) * factorial(n-1-k) / factorial(n) * (worth[set|1<<j] - worth[set])
		}
	}
	return values, worth[0]
}

func factorial(n int) float64 { return math.Gamma(float64(n + 1)) }

// known is what a tree answers under node i when only the columns in set are.
func (m *Model) known(t tree, i uint32, row []float64, set int) float64 {
	n := t[i]
	if n.kid == 0 {
		return n.value
	}
	in := m.enc.inputs[n.test.input]
	if set>>in.col&1 == 1 {
		return m.known(t, n.kid+n.test.right(binOf(in.cuts, row[in.col])), row, set)
	}
	l, r := float64(t[n.kid].rows), float64(t[n.kid+1].rows)
	return (l*m.known(t, n.kid, row, set) + r*m.known(t, n.kid+1, row, set)) / (l + r)
}
