package exchange

import (
	"fmt"
	"math"

	"bellwether/models"
	"bellwether/models/wire"
)

// The bytes of a model are a message of package wire: what the fields of Model
// are, in their order; nodes as they lie, a leaf by its value alone.
const magic = "BWX1"

// MarshalBinary implements encoding.BinaryMarshaler.
func (m *Model) MarshalBinary() ([]byte, error) {
	e := wire.NewEncoder(magic)
	e.Int(int(m.format))
	e.String(m.origin)
	e.String(m.objective)
	e.Int(int(m.link.kind))
	e.Float(m.link.scale)
	e.Float(m.base)
	e.Bool(m.late)
	e.Bool(m.average)
	e.Int(len(m.columns))
	for j, c := range m.columns {
		e.String(c.Name)
		e.Int(int(c.Kind))
		e.Int(len(m.coded[j].keys))
		for i, k := range m.coded[j].keys {
			e.Float(math.Float64frombits(k))
			e.Int(m.coded[j].codes[i])
		}
	}
	e.Floats(m.gains)
	e.Int(len(m.sets))
	for _, s := range m.sets {
		e.Int(len(s))
		for _, w := range s {
			e.Int(int(w))
		}
	}
	e.Int(len(m.nodes))
	for i, n := range m.nodes {
		e.Int(int(n.right))
		e.Float(m.cover[i])
		e.Float(n.value)
		if n.right != 0 {
			e.Int(int(n.input))
			e.Int(int(n.set))
			e.Int(int(n.rule))
		}
	}
	return e.Seal(), nil
}

// Load reads what MarshalBinary wrote. Other bytes are models.ErrCorrupt.
func Load(b []byte) (*Model, error) {
	d := &loader{wire.NewDecoder(magic, b)}
	m := d.model()
	if err := d.Close(); err != nil {
		return nil, fmt.Errorf("%w: an imported model's", models.ErrCorrupt)
	}
	m.finish()
	return m, nil
}

type loader struct{ *wire.Decoder }

// below reads a number from 0 to n-1.
func (d *loader) below(n int) int {
	v := d.Int()
	if v < 0 || v >= n {
		d.Fail()
		return 0
	}
	return v
}

// number reads a finite number.
func (d *loader) number() float64 {
	v := d.Float()
	if math.IsNaN(v) || math.IsInf(v, 0) {
		d.Fail()
	}
	return v
}

func (d *loader) model() *Model {
	m := &Model{format: Format(d.below(int(XGBoost) + 1)), origin: d.String(), objective: d.String()}
	m.link = link{kind: linkKind(d.below(int(links))), scale: d.number()}
	m.base, m.late, m.average = d.number(), d.Bool(), d.Bool()
	// Lists grow as their items are read, so that a forged length takes no memory.
	for n := d.below(maxColumns + 1); n > 0 && d.Err() == nil; n-- {
		m.columns = append(m.columns, models.Column{Name: d.String(), Kind: models.Kind(d.below(int(models.Category) + 1))})
		m.coded = append(m.coded, d.coded())
	}
	if m.gains = d.Floats(); len(m.gains) != len(m.columns) {
		d.Fail()
	}
	for n := d.below(maxNodes); n > 0 && d.Err() == nil; n-- {
		var set []uint32
		for k := d.below(maxSetWords + 1); k > 0 && d.Err() == nil; k-- {
			set = append(set, uint32(d.below(1<<32)))
		}
		if _, ok := m.keep(set); !ok {
			d.Fail()
		}
	}
	for n := d.below(maxNodes + 1); n > 0 && d.Err() == nil; n-- {
		d.node(m)
	}
	if !m.rooted() {
		d.Fail()
	}
	return m
}

func (d *loader) coded() coded {
	c, seen := coded{}, map[uint64]bool{}
	for n := d.below(maxNodes); n > 0 && d.Err() == nil; n-- {
		k := math.Float64bits(d.Float())
		if seen[k] {
			d.Fail()
		}
		seen[k] = true
		c.keys, c.codes = append(c.keys, k), append(c.codes, d.below(maxNodes))
	}
	return c
}

func (d *loader) node(m *Model) {
	n := node{right: uint32(d.below(maxNodes))}
	cover := d.number()
	n.value = d.Float()
	if n.right == 0 && (math.IsNaN(n.value) || math.IsInf(n.value, 0)) || math.IsNaN(n.value) || !(cover >= 0) {
		d.Fail()
	}
	if n.right != 0 {
		n.input, n.set, n.rule = uint32(d.below(len(m.columns))), uint32(d.below(max(1, len(m.sets)))), rule(d.below(int(rules)))
		if n.rule&category != 0 && len(m.sets) == 0 {
			d.Fail()
		}
	}
	m.nodes, m.cover = append(m.nodes, n), append(m.cover, cover)
}

// rooted finds the roots, and reports whether the nodes are trees as plant lays
// them: a left child follows its parent, a right child the left one's subtree.
func (g *grove) rooted() bool {
	var open []uint32 // right children to come
	inTree := false
	for i, n := range g.nodes {
		if !inTree {
			g.roots = append(g.roots, uint32(i))
			inTree = true
		}
		if n.right != 0 {
			if open = append(open, n.right); len(open) > maxDepth {
				return false
			}
			continue
		}
		if inTree = len(open) > 0; inTree {
			if open[len(open)-1] != uint32(i+1) {
				return false
			}
			open = open[:len(open)-1]
		}
	}
	return !inTree
}
