package gbdt

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

// Cuts returns, ascending, the numbers at which the trees part a column of
// numbers: x and y between the same two are told apart by no test on it, cuts
// counting with what is below them. What combinations make of the column may
// still differ. It returns nil for a category and for a column no tree asks.
func (m *Model) Cuts(column int) []float64 {
	for _, in := range m.enc.inputs {
		if in.kind == numeric && in.col == column {
			return in.cuts
		}
	}
	return nil
}
