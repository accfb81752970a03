package gbdt

// node is one node of a tree. The children of an inner node stand side by side
// and after it; the root is node 0.
type node struct {
	kid   uint32 // the left child; the right one follows; 0 for a leaf
	rows  uint32 // training rows that reached it
	test  test
	gain  float64
	value float64 // of a leaf: what it adds to the score; inside: the mean of its leaves by rows
}

type tree []node

// fillValues sets the value of inner nodes from their leaves.
func (t tree) fillValues() {
	for i := len(t) - 1; i >= 0; i-- {
		if k := t[i].kid; k != 0 {
			l, r := &t[k], &t[k+1]
			n := float64(l.rows) + float64(r.rows)
			t[i].value = 0
			if n > 0 {
				t[i].value = float64(l.value*(float64(l.rows)/n)) + float64(r.value*(float64(r.rows)/n))
			}
		}
	}
}

// leafIn returns the leaf a row of m falls into.
func (t tree) leafIn(m *matrix, row int) int {
	i := uint32(0)
	for t[i].kid != 0 {
		i = t[i].kid + t[i].test.right(m.columns[t[i].test.input][row])
	}
	return int(i)
}

// leavesBefore returns how many leaves come before each node.
func (t tree) leavesBefore() []int {
	before := make([]int, len(t))
	n := 0
	for i := range t {
		before[i] = n
		if t[i].kid == 0 {
			n++
		}
	}
	return before
}
