// Package anomaly says how unlike the other rows a row is, by golearn's
// isolation forest: a row that few random cuts part from all others scores near
// 1, an ordinary one below one half. It needs no labels, so it is no Learner.
//
// golearn grows the trees; they are copied into arrays, and those alone score,
// so that a detector can be saved, loads to the same bits and may be used from
// any number of goroutines. Numbers and categories enter as package design
// encodes them.
//
// golearn draws from the global source of math/rand, which since Go 1.24 only
// obeys a seed under the setting randseednop=0 (a godebug line in go.mod).
// With it, and as long as nothing else draws from math/rand (v1) during Fit, the
// same table and seed give the same bytes; without it each Fit differs.
package anomaly

import (
	"context"
	"fmt"
	"math"
	"math/bits"
	"math/rand"
	"reflect"
	"sync"

	"github.com/sjwhitworth/golearn/trees"

	"bellwether/models"
	"bellwether/models/design"
	"bellwether/models/grid"
	"bellwether/models/wire"
)

// Detector describes an isolation forest. The zero value is ready to use.
type Detector struct {
	Trees  int // 0 means 100
	Sample int // rows each tree is grown on, drawn with repeats; 0 means 256
	Levels design.Options
}

// Model is a fitted detector.
type Model struct {
	enc   *design.Encoder
	scale float64 // mean depth of a failed search among Sample rows
	roots []int
	nodes []node
}

// node parts rows by the entry in slot: left if <= at. A child below 0 is a
// leaf, and its depth is added: depth[0] on the left, depth[1] on the right.
type node struct {
	slot        int
	at          float64
	left, right int
	depth       [2]float64
}

// golearn draws from one global source; one Fit at a time keeps a seed's draws
// together.
var drawing sync.Mutex

// Fit learns what is usual from the inputs of t; labels and weights are not
// read. It refuses an empty table and one with an infinite input.
func (d Detector) Fit(ctx context.Context, t *models.Table, seed uint64) (*Model, error) {
	if err := t.Check(false); err != nil {
		return nil, fmt.Errorf("anomaly: %w", err)
	}
	if t.Width() == 0 {
		return nil, fmt.Errorf("anomaly: %w", models.ErrWidth)
	}
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	if d.Trees == 0 {
		d.Trees = 100
	}
	if d.Sample == 0 {
		d.Sample = 256
	}
	inputs := &models.Table{Columns: t.Columns, X: t.X}
	m := &Model{enc: design.Fit(inputs, d.Levels)}
	columns := make([][]float64, m.enc.Slots())
	for k := range columns {
		columns[k] = make([]float64, t.Len())
	}
	for j, x := range t.X {
		for i, v := range x {
			slot, value := m.enc.Entry(j, v)
			columns[slot][i] = value
		}
	}
	sample := max(2, min(d.Sample, t.Len()))
	m.scale = failedSearch(sample)
	forest := trees.NewIsolationForest(d.Trees, bits.Len(uint(sample-1)), sample)
	drawing.Lock()
	defer drawing.Unlock()
	//lint:ignore SA1019 golearn knows no other source
	rand.Seed(int64(seed))
	forest.Fit(grid.Unlabelled(columns))
	m.take(reflect.ValueOf(forest).FieldByName("trees"))
	return m, nil
}

// failedSearch is the mean depth at which a search for a row that is not there
// ends in a tree of n rows (Liu, Ting and Zhou, ICDM 2008): 0 below 2 rows.
func failedSearch(n int) float64 {
	if n < 2 {
		return 0
	}
	return 2*(math.Log(float64(n-1))+0.5772156649015329) - 2*float64(n-1)/float64(n)
}

// take copies golearn's trees. Their type is not exported, so they are read by
// reflection; the module is pinned to the last commit it will have.
func (m *Model) take(grown reflect.Value) {
	for i := range grown.Len() {
		root := m.copy(grown.Index(i))
		if root < 0 {
			// All rows of the sample were equal: nothing to tell rows by.
			m.nodes = append(m.nodes, node{at: math.Inf(1), left: -1, right: -1, depth: [2]float64{m.scale, m.scale}})
			root = len(m.nodes) - 1
		}
		m.roots = append(m.roots, root)
	}
}

// copy appends a node and those below it and returns its number, or -1 for one
// that parts nothing.
func (m *Model) copy(v reflect.Value) int {
	if v.Kind() == reflect.Pointer {
		if v.IsNil() {
			return -1
		}
		v = v.Elem()
	}
	counts := [2]float64{v.FieldByName("LeftPred").Float(), v.FieldByName("RightPred").Float()}
	if counts == [2]float64{} {
		return -1
	}
	at := len(m.nodes)
	m.nodes = append(m.nodes, node{slot: int(v.FieldByName("Feature").Int()), at: v.FieldByName("Threshold").Float()})
	for side, n := range counts {
		m.nodes[at].depth[side] = failedSearch(int(n))
	}
	left := m.copy(v.FieldByName("Left"))
	right := m.copy(v.FieldByName("Right"))
	m.nodes[at].left, m.nodes[at].right = left, right
	return at
}

// Width is the number of inputs.
func (m *Model) Width() int { return m.enc.Inputs() }

// Score writes each row's strangeness, in (0, 1), into dst: 2 to the minus mean
// depth over the depth expected among equals.
func (m *Model) Score(dst []float64, t *models.Table) error {
	if err := design.Predictable(t, m.Width()); err != nil {
		return fmt.Errorf("anomaly: %w", err)
	}
	row, dense := make([]float64, m.Width()), make([]float64, m.enc.Slots())
	for i := range t.Len() {
		t.Row(row, i)
		m.enc.Dense(dense, row)
		sum := 0.0
		for _, root := range m.roots {
			sum += m.depth(root, dense)
		}
		dst[i] = math.Exp2(-sum / float64(len(m.roots)) / m.scale)
	}
	return nil
}

func (m *Model) depth(at int, dense []float64) float64 {
	for depth := 1.0; ; depth++ {
		n := &m.nodes[at]
		// golearn's class column, a constant 0, lies past the last slot.
		x, next, side := 0.0, n.left, 0
		if n.slot < len(dense) {
			x = dense[n.slot]
		}
		if x > n.at {
			next, side = n.right, 1
		}
		if next < 0 {
			return depth + n.depth[side]
		}
		at = next
	}
}

const magic = "iso1"

// MarshalBinary writes the model.
func (m *Model) MarshalBinary() ([]byte, error) {
	e := wire.NewEncoder(magic)
	m.enc.Encode(e)
	e.Float(m.scale)
	e.Ints(m.roots)
	e.Int(len(m.nodes))
	for _, n := range m.nodes {
		e.Int(n.slot)
		e.Float(n.at)
		e.Int(n.left)
		e.Int(n.right)
		e.Float(n.depth[0])
		e.Float(n.depth[1])
	}
	return e.Seal(), nil
}

// Load reads what MarshalBinary wrote, or answers models.ErrCorrupt.
func Load(b []byte) (*Model, error) {
	d := wire.NewDecoder(magic, b)
	m := &Model{enc: design.Decode(d), scale: d.Float(), roots: d.Ints()}
	count := d.Int()
	for at := range count {
		n := node{slot: d.Int(), at: d.Float(), left: d.Int(), right: d.Int(), depth: [2]float64{d.Float(), d.Float()}}
		for _, child := range []int{n.left, n.right} {
			// Children come after their parent, so every walk ends.
			if child >= count || child >= 0 && child <= at {
				d.Fail()
			}
		}
		if n.slot < 0 || n.slot > m.enc.Slots() {
			d.Fail()
		}
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
	if err := d.Close(); err != nil || len(m.roots) == 0 {
		return nil, fmt.Errorf("anomaly: %w", models.ErrCorrupt)
	}
	return m, nil
}
