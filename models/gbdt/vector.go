//go:build (amd64 || arm64) && !purego

package gbdt

import "unsafe"

//go:generate sh -c "cd ../../tools && go run ./vector -pkg gbdt -out ../models/gbdt/leaves_amd64.s -stubs ../models/gbdt/leaves_stubs.go"
//go:generate sh -c "cd ../../tools && go run ./vector -gradients -pkg gbdt -out ../models/gbdt/gradients_amd64.s -stubs ../models/gbdt/gradients_stubs.go"
//go:generate sh -c "cd ../../tools && go run ./vector -arm64 -pkg gbdt -out ../models/gbdt/leaves_arm64.s"
//go:generate sh -c "cd ../../tools && go run ./vector -arm64 -gradients -pkg gbdt -out ../models/gbdt/gradients_arm64.s"

// fastSum is sum, by vector instructions where the processor has them; next is
// the b of the next call.
func (f *factored) fastSum(a, b, next []uint64, rows []uint32) float64 {
	if !hasVectors {
		return f.sum(a, b, rows)
	}
	blocks := len(f.full) / blockWords
	of, other, then := &a[:len(f.full)][0], &b[:len(f.full)][0], &next[:len(f.full)][0]
	if f.slot == leafBits {
		return leafSum64(of, other, then, unsafe.SliceData(f.table), unsafe.SliceData(rows), len(rows), blocks, &f.values[0])
	}
	return leafSum32(of, other, then, unsafe.SliceData(f.table), unsafe.SliceData(rows), len(rows), blocks, &f.values[0])
}

// fastSteps is addSteps, by vector instructions where the processor has them and
// a leaf has no more steps than they take.
func (f *factored) fastSteps(score []float64, a, b, next []uint64, rows []uint32) {
	blocks := len(f.full) / blockWords
	if !hasVectors || len(score) != stepRoom || blocks == 0 {
		f.addSteps(score, a, b, rows)
		return
	}
	of, other, then := &a[:len(f.full)][0], &b[:len(f.full)][0], &next[:len(f.full)][0]
	leaf, steps := &f.ends.leaf[0], &f.ends.flat[0]
	if f.slot == leafBits {
		leafSteps64(of, other, then, unsafe.SliceData(f.table), unsafe.SliceData(rows), len(rows), blocks, leaf, steps, &score[0])
		return
	}
	leafSteps32(of, other, then, unsafe.SliceData(f.table), unsafe.SliceData(rows), len(rows), blocks, leaf, steps, &score[0])
}

// addRound is plainRound, by vector instructions where the processor has them.
func (s *steps) addRound(r *round, w *shapleyWork) {
	if !hasVectors || len(s.forks) == 0 {
		s.plainRound(r, w)
		return
	}
	root := &w.halts[0]
	root[0].down, root[1].down = r.root[0], r.root[1]
	add := shapleyTree4
	if r.lanes == lanesAtOnce {
		add = shapleyTree8
	}
	add((*byte)(unsafe.Pointer(&s.forks[0])), s.inner, len(s.forks), &s.leaves[0], &w.passed[1][0], &r.factors[0][0].part[0], &root[0].down[0], &w.values[0])
}

// deriveFast, sumFast and packFast do what their plain twins do for as many of the
// first rows as the vector code takes, and return how many.

func deriveFast(gh []int64, score, y []float64) int {
	n := len(gh) &^ 3
	if !hasVectors || n == 0 {
		return 0
	}
	deriveLogLoss(&gh[0], &score[:n][0], &y[:n][0], n)
	return n
}

func sumFast(sums *[4]float64, gh []int64) int {
	n := len(gh) &^ 1
	if !hasVectors || n == 0 {
		return 0
	}
	sumDerivatives(sums, &gh[0], n)
	return n
}

func packFast(gh []int64, perG, perH float64) int {
	n := len(gh) &^ 1
	if !hasVectors || n == 0 {
		return 0
	}
	packDerivatives(&gh[0], perG, perH, n)
	return n
}

// ahead asks for the rows of the block that will be used next.
func (b *block) ahead(rows []uint32, gh []int64) {
	if len(rows) > 0 {
		prefetch(&b.data[0], b.size, &gh[0], &rows[0], len(rows))
	}
}
