// Package forest is golearn's random forest (bagged ID3 trees, each on a random
// choice of inputs) as a challenger in the leaderboard, made to keep the
// contract golearn's own cannot: seeded, free of races, the same after loading.
//
// golearn grows each tree (ID3); the bootstrap rows and the inputs are drawn
// here, from the seed, and the rule that chooses a split is ours (gain.go). The
// grown tree is copied into arrays, and those alone predict: the mean over trees
// of the leaf's (ones + 1) / (rows + 2).
//
// golearn splits on a number at most once on a path, so each drawn input is
// handed over twice. Growing is slow: at most Learner.Rows rows are used,
// the newest of each class in the class's share (design.Newest), and a model
// says how many by RowsUsed. Weights steer the bootstrap.
package forest

import (
	"context"
	"fmt"
	"math"
	"math/rand/v2"
	"sort"
	"strconv"

	"github.com/sjwhitworth/golearn/trees"

	"bellwether/models"
	"bellwether/models/design"
	"bellwether/models/grid"
	"bellwether/models/wire"
)

// Learner fits forests. The zero value is ready to use.
type Learner struct {
	Trees  int // 0 means 40
	Inputs int // inputs each tree sees; 0 means a third of all, 4 to 10
	Rows   int // most rows fitted on; 0 means 2,000
	Levels design.Options
}

// Name is "forest".
func (Learner) Name() string { return "forest" }

// Model is a fitted forest.
type Model struct {
	enc   *design.Encoder
	rows  int
	roots []int // first node of each tree
	nodes []node
}

// node is a leaf if slot < 0. A row goes to left if its entry in slot is <= at.
type node struct {
	slot        int
	at          float64
	left, right int
	p           float64
}

// Fit learns from train alone.
func (l Learner) Fit(ctx context.Context, train, _ *models.Table, seed uint64) (models.Model, error) {
	if err := design.Trainable(train); err != nil {
		return nil, fmt.Errorf("forest: %w", err)
	}
	l = l.orDefaults()
	u := train.Take(design.Newest(train, l.Rows))
	m := &Model{enc: design.Fit(u, l.Levels), rows: u.Len()}
	dense := columns(m.enc, u)
	if l.Inputs == 0 {
		l.Inputs = min(max(4, len(dense)/3), 10)
	}
	l.Inputs = min(l.Inputs, len(dense))
	draw := newSampler(u)
	for k := range l.Trees {
		if err := ctx.Err(); err != nil {
			return nil, err
		}
		m.grow(rand.New(rand.NewPCG(seed, uint64(k))), l.Inputs, dense, draw)
	}
	return m, nil
}

func (l Learner) orDefaults() Learner {
	if l.Trees == 0 {
		l.Trees = 40
	}
	if l.Rows == 0 {
		l.Rows = 2000
	}
	if l.Levels.MaxLevels == 0 {
		l.Levels.MaxLevels = 12
	}
	return l
}

// columns is the encoded table, column by column.
func columns(enc *design.Encoder, t *models.Table) [][]float64 {
	cols := make([][]float64, enc.Slots())
	for k := range cols {
		cols[k] = make([]float64, t.Len())
	}
	for j, x := range t.X {
		for i, v := range x {
			slot, value := enc.Entry(j, v)
			cols[slot][i] = value
		}
	}
	return cols
}

// sampler draws rows with chances in proportion to their weights.
type sampler struct {
	y   []float64
	cum []float64
}

func newSampler(t *models.Table) *sampler {
	s := &sampler{y: t.Y, cum: make([]float64, t.Len())}
	sum := 0.0
	for i := range s.cum {
		if t.Weight != nil {
			sum += t.Weight[i]
		} else {
			sum++
		}
		s.cum[i] = sum
	}
	return s
}

func (s *sampler) draw(rng *rand.Rand) int {
	at := rng.Float64() * s.cum[len(s.cum)-1]
	return min(sort.Search(len(s.cum), func(i int) bool { return s.cum[i] > at }), len(s.cum)-1)
}

func (m *Model) grow(rng *rand.Rand, inputs int, dense [][]float64, s *sampler) {
	slots := rng.Perm(len(dense))[:inputs]
	y := make([]float64, len(s.y))
	bag := make([][]float64, 2*inputs)
	for k := range bag {
		bag[k] = make([]float64, len(y))
	}
	for i := range y {
		r := s.draw(rng)
		y[i] = s.y[r]
		for k, slot := range slots {
			bag[2*k][i], bag[2*k+1][i] = dense[slot][r], dense[slot][r]
		}
	}
	tree := trees.InferID3Tree(grid.Floats(bag, y), informationGain{})
	m.roots = append(m.roots, m.copy(tree, slots))
}

// copy appends golearn's node and those below it, and returns its number.
func (m *Model) copy(n *trees.DecisionTreeNode, slots []int) int {
	no, yes := float64(n.ClassDist[grid.No]), float64(n.ClassDist[grid.Yes])
	at := len(m.nodes)
	m.nodes = append(m.nodes, node{slot: -1, p: (yes + 1) / (no + yes + 2)})
	below, above := n.Children["0"], n.Children["1"]
	if below == nil || above == nil { // a leaf, or a split that parts nothing
		if only := either(below, above); only != nil {
			m.nodes = m.nodes[:at]
			return m.copy(only, slots)
		}
		return at
	}
	k, err := strconv.Atoi(n.SplitRule.SplitAttr.GetName())
	if err != nil {
		panic(fmt.Sprintf("forest: golearn split on an attribute we did not name: %v", err))
	}
	left := m.copy(below, slots)
	right := m.copy(above, slots)
	m.nodes[at].slot, m.nodes[at].at = slots[k/2], n.SplitRule.SplitVal
	m.nodes[at].left, m.nodes[at].right = left, right
	return at
}

func either(a, b *trees.DecisionTreeNode) *trees.DecisionTreeNode {
	if a != nil {
		return a
	}
	return b
}

// Width is the number of inputs.
func (m *Model) Width() int { return m.enc.Inputs() }

// RowsUsed is the number of rows it was fitted on.
func (m *Model) RowsUsed() int { return m.rows }

// Predict writes the trees' mean probability of each row. Another width than
// that of training is models.ErrWidth, no rows are models.ErrEmpty.
func (m *Model) Predict(dst []float64, t *models.Table) error {
	if err := design.Predictable(t, m.Width()); err != nil {
		return fmt.Errorf("forest: %w", err)
	}
	row, dense := make([]float64, m.Width()), make([]float64, m.enc.Slots())
	for i := range t.Len() {
		t.Row(row, i)
		m.enc.Dense(dense, row)
		sum := 0.0
		for _, root := range m.roots {
			sum += m.leaf(root, dense)
		}
		dst[i] = sum / float64(len(m.roots))
	}
	return nil
}

func (m *Model) leaf(at int, dense []float64) float64 {
	for {
		n := &m.nodes[at]
		switch {
		case n.slot < 0:
			return n.p
		case dense[n.slot] > n.at:
			at = n.right
		default:
			at = n.left
		}
	}
}

const magic = "fst1"

// MarshalBinary writes the model.
func (m *Model) MarshalBinary() ([]byte, error) {
	e := wire.NewEncoder(magic)
	m.enc.Encode(e)
	e.Int(m.rows)
	e.Ints(m.roots)
	e.Int(len(m.nodes))
	for _, n := range m.nodes {
		e.Int(n.slot)
		if n.slot < 0 {
			e.Float(n.p)
			continue
		}
		e.Float(n.at)
		e.Int(n.left)
		e.Int(n.right)
		e.Float(n.p)
	}
	return e.Seal(), nil
}

// Load reads what MarshalBinary wrote, or answers models.ErrCorrupt.
func Load(b []byte) (*Model, error) {
	d := wire.NewDecoder(magic, b)
	m := &Model{enc: design.Decode(d), rows: d.Int(), roots: d.Ints()}
	count := d.Int()
	for range count {
		n := node{slot: d.Int()}
		if n.slot >= 0 {
			n.at, n.left, n.right = d.Float(), d.Int(), d.Int()
			// Children come after their parent, so every walk ends.
			at := len(m.nodes)
			if n.slot >= m.enc.Slots() || n.left <= at || n.right <= at || max(n.left, n.right) >= count {
				d.Fail()
			}
		}
		n.p = d.Float()
		if d.Err() != nil {
			break
		}
		m.nodes = append(m.nodes, n)
	}
	for _, r := range m.roots {
		if r < 0 || r >= len(m.nodes) {
			d.Fail()
		}
	}
	if err := d.Close(); err != nil || len(m.roots) == 0 || math.MaxInt32 < count {
		return nil, fmt.Errorf("forest: %w", models.ErrCorrupt)
	}
	return m, nil
}
