//go:build amd64 && !purego

package gbdt

import (
	"unsafe"

	"golang.org/x/sys/cpu"
)

//go:generate sh -c "cd ../../tools && go run ./vector -pkg gbdt -out ../models/gbdt/leaves_amd64.s -stubs ../models/gbdt/leaves_amd64.go"

var hasVectors = cpu.X86.HasAVX2 && cpu.X86.HasBMI1

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

// addTree is plainTree, by vector instructions where the processor has them.
func (g *group) addTree(s *steps, w *shapleyWork) {
	if !hasVectors || len(s.edges) < 2 {
		g.plainTree(s, w)
		return
	}
	shapleyTree((*byte)(unsafe.Pointer(&s.edges[0])), len(s.edges)-1, len(g.at), &g.at[0].t[0], &w.open[0], &w.halts[0].down[0], &w.of[0][0])
}
