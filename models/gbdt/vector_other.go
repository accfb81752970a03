//go:build !amd64 || purego

package gbdt

// fastSum is sum where there is no vector code.
func (f *factored) fastSum(a, b, _ []uint64, rows []uint32) float64 { return f.sum(a, b, rows) }

// addTree is plainTree where there is no vector code.
func (g *group) addTree(s *steps, w *shapleyWork) { g.plainTree(s, w) }
