//go:build !(amd64 || arm64) || purego

package gbdt

// fastSum is sum where there is no vector code.
func (f *factored) fastSum(a, b, _ []uint64, rows []uint32) float64 { return f.sum(a, b, rows) }

// fastSteps is addSteps where there is no vector code.
func (f *factored) fastSteps(score []float64, a, b, _ []uint64, rows []uint32) {
	f.addSteps(score, a, b, rows)
}

// addRound is plainRound where there is no vector code.
func (s *steps) addRound(r *round, w *shapleyWork) { s.plainRound(r, w) }

func deriveFast([]int64, []float64, []float64) int { return 0 }

func sumFast(*[4]float64, []int64) int { return 0 }

func packFast([]int64, float64, float64) int { return 0 }

func (b *block) ahead([]uint32, []int64) {}
