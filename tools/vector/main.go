// Command vector writes the vector code of models/gbdt for amd64: the sums over
// the leaves that factored scoring leaves reachable, and what a fit does to the
// derivatives of all rows. Plain twins are the definition; tests hold them equal
// to the last bit.
//
//	cd tools && go run ./vector -pkg gbdt -out ../models/gbdt/leaves_amd64.s -stubs ../models/gbdt/leaves_amd64.go
//	cd tools && go run ./vector -gradients -pkg gbdt -out ../models/gbdt/gradients_amd64.s -stubs ../models/gbdt/gradients_amd64.go
package main

import (
	"flag"
	"fmt"

	. "github.com/mmcloughlin/avo/build"
	. "github.com/mmcloughlin/avo/operand"
	. "github.com/mmcloughlin/avo/reg"
)

const (
	blockBytes = 64 // of words taken together: two vectors, a cache line
	sumLanes   = 4
	unroll     = 4 // rows of the table ANDed per turn of the inner loop
)

func main() {
	ofGradients := flag.Bool("gradients", false, "write the code over derivatives, not that over leaves")
	flag.Parse()
	ConstraintExpr("amd64,!purego")
	if *ofGradients {
		gradients()
	} else {
		kernel(32)
		kernel(64)
	}
	Generate()
}

// kernel writes the code for trees of so many leaves.
func kernel(leaves int) {
	name := fmt.Sprintf("leafSum%d", leaves)
	TEXT(name, NOSPLIT, "func(a, b, table *uint64, rows *uint32, inputs, blocks int, values *float64) float64")
	Doc(name+" adds up the values of the leaves that a, b and the given rows of the table",
		fmt.Sprintf("leave reachable, trees having room for %d leaves each. It needs AVX2 and BMI1.", leaves))
	Pragma("noescape")
	a, b, table := Load(Param("a"), GP64()), Load(Param("b"), GP64()), Load(Param("table"), GP64())
	rows, inputs := Load(Param("rows"), GP64()), Load(Param("inputs"), GP64())
	blocks, values := Load(Param("blocks"), GP64()), Load(Param("values"), GP64())
	words := AllocLocal(blockBytes)
	var sums [sumLanes]VecVirtual
	for i := range sums {
		sums[i] = XMM()
		VXORPD(sums[i], sums[i], sums[i])
	}
	end := GP64()
	LEAQ(Mem{Base: rows, Index: inputs, Scale: 4}, end)
	whole := GP64()
	Comment("the rows that fill whole turns of the inner loop end here")
	MOVQ(inputs, whole)
	ANDQ(I32(-unroll), whole)
	LEAQ(Mem{Base: rows, Index: whole, Scale: 4}, whole)

	Label("block")
	lo, hi := YMM(), YMM()
	VMOVDQU(Mem{Base: a}, lo)
	VMOVDQU(Mem{Base: a, Disp: 32}, hi)
	VPAND(Mem{Base: b}, lo, lo)
	VPAND(Mem{Base: b, Disp: 32}, hi, hi)
	row := GP64()
	MOVQ(rows, row)
	and := func(k int) {
		at := GP64()
		MOVL(Mem{Base: row, Disp: 4 * k}, at.As32())
		VPAND(Mem{Base: table, Index: at, Scale: 8}, lo, lo)
		VPAND(Mem{Base: table, Index: at, Scale: 8, Disp: 32}, hi, hi)
	}
	CMPQ(row, whole)
	JE(LabelRef("rest"))
	Label("turn")
	for k := range unroll {
		and(k)
	}
	ADDQ(I8(4*unroll), row)
	CMPQ(row, whole)
	JNE(LabelRef("turn"))
	Label("rest")
	CMPQ(row, end)
	JE(LabelRef("leaves"))
	and(0)
	ADDQ(I8(4), row)
	JMP(LabelRef("rest"))

	Label("leaves")
	VMOVDQU(lo, words)
	VMOVDQU(hi, words.Offset(32))
	trees := blockBytes * 8 / leaves
	for t := range trees {
		leaf := GP64()
		from := words.Offset(t * leaves / 8)
		if leaves == 32 {
			TZCNTL(from, leaf.As32())
		} else {
			TZCNTQ(from, leaf)
		}
		sum := sums[t%sumLanes]
		VADDSD(Mem{Base: values, Index: leaf, Scale: 8, Disp: t * leaves * 8}, sum, sum)
	}
	ADDQ(I32(trees*leaves*8), values)
	ADDQ(I8(blockBytes), a)
	ADDQ(I8(blockBytes), b)
	ADDQ(I8(blockBytes), table)
	DECQ(blocks)
	JNE(LabelRef("block"))
	VADDSD(sums[1], sums[0], sums[0])
	VADDSD(sums[3], sums[2], sums[2])
	VADDSD(sums[2], sums[0], sums[0])
	VZEROUPPER()
	Store(sums[0], ReturnIndex(0))
	RET()
}
