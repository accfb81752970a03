package gbdt

import (
	"context"
	"maps"
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

// So are those of trees that ask many inputs on one way, some again, and of forks
// no row came to.
func TestContributionsOfDeepTrees(t *testing.T) {
	lengths := map[int]bool{} // of the rules, in lanes
	rapid.Check(t, func(t *rapid.T) {
		rng := rand.New(rand.NewPCG(rapid.Uint64().Draw(t, "seed"), 1))
		const width = 40
		forks := rapid.IntRange(1, 80).Draw(t, "forks")
		m := deepModel(rng, width, forks, forks/2)
		row, got := deepRows(rng, width), make([]float64, width)
		m.Contributions(got, row)
		m.vectorsArePlain(t, row)
		for _, g := range m.explained.groups {
			lengths[len(g.rule)*lanesAtOnce-lanesAtOnce+g.rule[len(g.rule)-1].lanes] = true
		}
		for j, want := range m.dumbWays(row) {
			if math.Abs(got[j]-want) > 1e-9 {
				t.Fatalf("column %d: %v, want %v", j, got[j], want)
			}
		}
	})
	if len(lengths) < 4 {
		t.Errorf("only rules of %v lanes: not much of a test", lengths)
	}
}

// deepModel makes trees of so many forks that ask numbers 0 to 5.
func deepModel(rng *rand.Rand, width int, forks ...int) *Model {
	enc := &encoder{}
	for j := range width {
		enc.inputs = append(enc.inputs, input{kind: numeric, col: j, cuts: []float64{0, 1, 2, 3, 4}})
	}
	var trees []tree
	for _, n := range forks {
		trees = append(trees, deepTree(rng, n, width))
	}
	return newModel(Learner{}, width, 0, enc, trees)
}

// deepRows draws n numbers to ask, some of them missing.
func deepRows(rng *rand.Rand, n int) []float64 {
	rows := make([]float64, n)
	for i := range rows {
		if rows[i] = float64(rng.IntN(7)); rows[i] == 6 {
			rows[i] = math.NaN()
		}
	}
	return rows
}

// deepTree grows a tree around one way.
func deepTree(rng *rand.Rand, forks, width int) tree {
	t, at := tree{{rows: 1 << 20}}, 0
	for range forks {
		n := t[at]
		left := n.rows / 8 * uint32(rng.IntN(9))
		t[at].kid = uint32(len(t))
		t[at].test = test{input: int32(rng.IntN(width)), bin: uint8(1 + rng.IntN(5)), missingRight: rng.IntN(2) == 0}
		t = append(t, node{rows: left, value: rng.NormFloat64()}, node{rows: n.rows - left, value: rng.NormFloat64()})
		at = len(t) - 1 - rng.IntN(2)
		for rng.IntN(8) == 0 { // a branch from somewhere above
			at = rng.IntN(len(t))
		}
		for t[at].kid != 0 {
			at = int(t[at].kid)
		}
	}
	t.fillValues()
	return t
}

// passing is what the tests of an input on a way let through: a share of the rows,
// and 1 or 0 of the row asked about.
type passing struct{ z, o float64 }

// dumbWays sums the formula over the leaves, each with its own way.
func (m *Model) dumbWays(row []float64) []float64 {
	values := make([]float64, m.width)
	for _, t := range m.trees {
		var below func(i uint32, way map[int32]passing)
		below = func(i uint32, way map[int32]passing) {
			n := t[i]
			if n.kid == 0 {
				for in, a := range way {
					values[m.enc.inputs[in].col] += n.value * (a.o - a.z) * others(way, in)
				}
				return
			}
			in := m.enc.inputs[n.test.input]
			right := n.test.right(binOf(in.cuts, row[in.col]))
			for side := range uint32(2) {
				w, a := maps.Clone(way), passing{1, 1}
				if before, ok := way[n.test.input]; ok {
					a = before
				}
				if rows := t[n.kid].rows + t[n.kid+1].rows; rows > 0 {
					a.z *= float64(t[n.kid+side].rows) / float64(rows)
				} else {
					a.z /= 2
				}
				if side != right {
					a.o = 0
				}
				w[n.test.input] = a
				below(n.kid+side, w)
			}
		}
		below(0, map[int32]passing{})
	}
	return values
}

// others is the sum over the sets of the other inputs on a way.
func others(way map[int32]passing, input int32) (sum float64) {
	of := []float64{1} // the sets of k inputs
	for in, a := range way {
		if in == input {
			continue
		}
		next := make([]float64, len(of)+1)
		for k, x := range of {
			next[k] += x * a.z
			next[k+1] += x * a.o
		}
		of = next
	}
	d := len(way)
	for k, x := range of {
		sum += x * factorial(k) * factorial(d-1-k) / factorial(d)
	}
	return sum
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
			for k := range g.rule {
				s.plainRound(&g.rule[k], plain)
				s.addRound(&g.rule[k], vector)
			}
		}
		for k, want := range plain.values {
			if got := vector.values[k]; got != want {
				t.Fatalf("input %d: %v by vectors, %v plain", k, got, want)
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
