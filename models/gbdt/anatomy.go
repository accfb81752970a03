package gbdt

import (
	"math"
	"slices"
)

// Anatomy is a model taken apart, so that it can be written in another format.
// The scores of a row are Base plus the values of the leaf each tree leads to: of
// Hazard several, as it says, otherwise one.
type Anatomy struct {
	Base   []float64
	Answer string // to the scores
	Ages   []int64
	Inputs []Input
	Trees  [][]Node
}

// What a model answers with.
const (
	Chance = "chance" // whose log-odds the score is
	Amount = "amount" // the score itself
	Pace   = "pace"   // whose logarithm the score is
	Ends   = "ends"   // the chance to be won by the last of Ages, or of one risk to last
)

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
	Left   int       // the left child, the right one follows; 0 for a leaf
	Rows   int       // of the training that reached it
	Values []float64 // of a leaf: what it adds to each score
	Gain   float64
	Input  int
	Cut    float64 // at most Cut goes left; +Inf: all numbers
	// MissingRight sends NaN right.
	MissingRight bool
	// Right has the bit of every value of a Level that goes right.
	Right uint32
}

// Anatomy takes the model apart.
func (m *Model) Anatomy() *Anatomy {
	a := &Anatomy{Base: []float64{m.base}, Answer: Ends, Ages: m.Ages()}
	switch m.loss {
	case chance:
		a.Answer = Chance
	case amount:
		a.Answer = Amount
	case pace:
		a.Answer = Pace
	default:
		a.Base = slices.Clone(m.hazards.base)
	}
	for _, in := range m.enc.inputs {
		a.Inputs = append(a.Inputs, m.enc.anatomy(in))
	}
	for tree, t := range m.trees {
		nodes, values := make([]Node, len(t)), m.leafValues(tree)
		for i, n := range t {
			nodes[i] = Node{Left: int(n.kid), Rows: int(n.rows), Values: values[i]}
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

// leafValues is what the leaves of a tree add to each score, by node.
func (m *Model) leafValues(tree int) [][]float64 {
	t := m.trees[tree]
	values, leaf := make([][]float64, len(t)), 0
	for i := range t {
		switch h := m.hazards; {
		case t[i].kid != 0:
		case h == nil:
			values[i] = []float64{t[i].value}
		default:
			values[i] = slices.Clone(h.steps[tree][leaf:][:len(h.base)])
			leaf += len(h.base)
		}
	}
	return values
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
