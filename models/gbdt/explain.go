package gbdt

import "fmt"

// blame shares v of an input among the columns it is made of: a pair's half
// each.
func (m *Model) blame(dst []float64, input int32, v float64) {
	in := m.enc.inputs[input]
	if in.kind == numeric {
		dst[in.col] += v
		return
	}
	s := m.enc.stats[in.stat]
	if s.b < 0 {
		dst[s.a] += v
		return
	}
	dst[s.a] += v / 2
	dst[s.b] += v / 2
}

// Importance returns the summed gain of the splits on each column of the table;
// what a pair gained is shared equally.
func (m *Model) Importance() []float64 {
	gain := make([]float64, m.width)
	for _, t := range m.trees {
		for _, n := range t {
			if n.kid != 0 {
				m.blame(gain, n.test.input, n.gain)
			}
		}
	}
	return gain
}

// Contributions writes to dst what each column of a row moved its log-odds by,
// and returns the log-odds the columns start from, the mean over the training
// rows. Start and dst sum to the log-odds of Predict, up to rounding. Walking
// down a tree, each step from a node's mean to its child's is put down to the
// column asked about (Saabas 2014): fast and exact in sum, but columns asked
// late in a tree get more than Shapley would give them. It panics unless row
// and dst are Width long.
func (m *Model) Contributions(dst, row []float64) (start float64) {
	if len(dst) != m.width || len(row) != m.width {
		panic(fmt.Sprintf("gbdt: %d numbers into %d contributions, width is %d", len(row), len(dst), m.width))
	}
	clear(dst)
	bins := make([]uint8, m.scorer.slots*lanes)
	src := source{rows: row, width: m.width}
	m.scorer.encode(bins, &src, 0, 1)
	start = m.base
	for _, t := range m.trees {
		i := uint32(0)
		start += t[0].value
		for t[i].kid != 0 {
			n := &t[i]
			i = n.kid + n.test.right(bins[int(n.test.input)*lanes])
			m.blame(dst, n.test.input, t[i].value-n.value)
		}
	}
	return start
}
