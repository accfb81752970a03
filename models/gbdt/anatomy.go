package gbdt

import "math"

// Anatomy is a model taken apart, so that it can be written in another format.
// The score of a row is Base plus the value of the leaf each tree leads to.
type Anatomy struct {
	Base   float64
	Inputs []Input
	Trees  [][]Node
}

// What an Input holds.
const (
	Number = "number" // a column as it is, NaN if missing
	Level  = "level"  // which level a category is, from 1
	Rate   = "rate"   // how often the label was true for a category, or for two columns together
	Count  = "count"  // how frequent a category is
)

// Input is what the trees look at. Save for a Number, it is the value of the
// level whose key the columns have: target.Key of one column's, target.Pair of
// two, or Unseen if there is none such.
type Input struct {
	Kind    string
	Columns []int // of the table: one or two
	Keys    []uint64
	Values  []float64 // of each key
	Unseen  float64
}

// Node is a node of a tree; the root is the first.
type Node struct {
	Left  int     // the left child, the right one follows; 0 for a leaf
	Rows  int     // of the training that reached it
	Value float64 // of a leaf
	Gain  float64
	Input int
	Cut   float64 // at most Cut goes left; +Inf: all numbers
	// MissingRight sends NaN right.
	MissingRight bool
	// Right has the bit of every value of a Level that goes right.
	Right uint32
}

// Anatomy takes the model apart.
func (m *Model) Anatomy() *Anatomy {
	a := &Anatomy{Base: m.base}
	for _, in := range m.enc.inputs {
		a.Inputs = append(a.Inputs, m.enc.anatomy(in))
	}
	for _, t := range m.trees {
		nodes := make([]Node, len(t))
		for i, n := range t {
			nodes[i] = Node{Left: int(n.kid), Rows: int(n.rows), Value: n.value}
			if n.kid == 0 {
				continue
			}
			out, in := &nodes[i], m.enc.inputs[n.test.input]
			out.Gain, out.Input, out.Right, out.MissingRight = n.gain, int(n.test.input), n.test.mask, n.test.missingRight
			if out.Cut = math.Inf(1); in.kind != levels && int(n.test.bin) <= len(in.cuts) {
				out.Cut = in.cuts[n.test.bin-1]
			}
		}
		a.Trees = append(a.Trees, nodes)
	}
	return a
}

func (e *encoder) anatomy(in input) Input {
	if in.kind == numeric {
		return Input{Kind: Number, Columns: []int{in.col}}
	}
	s := &e.stats[in.stat]
	out := Input{Columns: []int{s.a}, Keys: s.keys, Values: make([]float64, len(s.keys))}
	if s.b >= 0 {
		out.Columns = append(out.Columns, s.b)
	}
	switch in.kind {
	case rate:
		out.Kind, out.Unseen = Rate, s.prior
	case count:
		out.Kind = Count
	default:
		out.Kind = Level
	}
	for i := range out.Values {
		switch in.kind {
		case rate:
			out.Values[i] = s.rate(i)
		case count:
			out.Values[i] = s.counters[i].N
		default:
			out.Values[i] = float64(i + 1)
		}
	}
	return out
}
