// Command vector writes the vector code of models/gbdt for amd64 and arm64: the
// sums over the leaves that factored scoring leaves reachable, the Shapley values
// of a tree, and what a fit does to the derivatives of all rows. Plain twins are
// the definition; tests hold them equal to the last bit, on arm64 under emulation:
// how fast its code is was not measured. The directives in models/gbdt/vector.go
// run it.
package main

import (
	"flag"

	. "github.com/mmcloughlin/avo/build"
	. "github.com/mmcloughlin/avo/operand"
	. "github.com/mmcloughlin/avo/reg"
)

const (
	blockBytes = 64 // of words taken together: two vectors, a cache line
	sumLanes   = 4
	unroll     = 4 // rows of the table ANDed per turn of the inner loop
	stepQuads  = 3 // vectors that hold the steps of a leaf, 4 outputs each
)

func main() {
	ofGradients := flag.Bool("gradients", false, "write the code over derivatives, not that over leaves")
	forARM := flag.Bool("arm64", false, "write the code of arm64, not that of amd64")
	flag.Parse()
	ConstraintExpr("amd64 arm64")
	ConstraintExpr("!purego")
	switch {
	case *ofGradients && *forARM:
		gradientsARM()
	case *ofGradients:
		gradients()
	case *forARM:
		leavesARM()
	default:
		leafSum(32)
		leafSum(64)
		leafSteps(32)
		leafSteps(64)
		shapley(1)
		shapley(2)
	}
	Generate()
}

// leafSum writes the code for the sum of one value a leaf.
func leafSum(leaves int) {
	declareLeafSum(leaves)
	values := Load(Param("values"), GP64())
	var sums [sumLanes]VecVirtual
	for i := range sums {
		sums[i] = XMM()
		VXORPD(sums[i], sums[i], sums[i])
	}
	reachable(leaves, func(tree int, leaf Register) {
		sum := sums[tree%sumLanes]
		VADDSD(Mem{Base: values, Index: leaf, Scale: 8, Disp: tree * leaves * 8}, sum, sum)
	}, func(trees int) { ADDQ(I32(trees*leaves*8), values) })
	VADDSD(sums[1], sums[0], sums[0])
	VADDSD(sums[3], sums[2], sums[2])
	VADDSD(sums[2], sums[0], sums[0])
	VZEROUPPER()
	Store(sums[0], ReturnIndex(0))
	RET()
}

// leafSteps writes the code for the sums of many values a leaf.
func leafSteps(leaves int) {
	declareLeafSteps(leaves)
	at, steps, score := Load(Param("at"), GP64()), Load(Param("steps"), GP64()), Load(Param("score"), GP64())
	var sums [stepQuads]VecVirtual
	for q := range sums {
		sums[q] = YMM()
		VMOVUPD(Mem{Base: score, Disp: 32 * q}, sums[q])
	}
	reachable(leaves, func(tree int, leaf Register) {
		from := GP64()
		MOVL(Mem{Base: at, Index: leaf, Scale: 4, Disp: tree * leaves * 4}, from.As32())
		for q, sum := range sums {
			VADDPD(Mem{Base: steps, Index: from, Scale: 8, Disp: 32 * q}, sum, sum)
		}
	}, func(trees int) { ADDQ(I32(trees*leaves*4), at) })
	for q, sum := range sums {
		VMOVUPD(sum, Mem{Base: score, Disp: 32 * q})
	}
	VZEROUPPER()
	RET()
}

// reachable writes the loop over blocks of words that finds the leaf of each
// tree; take uses the leaf of one of the block's trees, next goes on by a block.
func reachable(leaves int, take func(tree int, leaf Register), next func(trees int)) {
	a, b, table := Load(Param("a"), GP64()), Load(Param("b"), GP64()), Load(Param("table"), GP64())
	ahead := Load(Param("next"), GP64())
	rows, inputs := Load(Param("rows"), GP64()), Load(Param("inputs"), GP64())
	blocks := Load(Param("blocks"), GP64())
	words := AllocLocal(blockBytes)
	end := GP64()
	LEAQ(Mem{Base: rows, Index: inputs, Scale: 4}, end)
	whole := GP64()
	Comment("the rows that fill whole turns of the inner loop end here")
	MOVQ(inputs, whole)
	ANDQ(I32(-unroll), whole)
	LEAQ(Mem{Base: rows, Index: whole, Scale: 4}, whole)

	Label("block")
	PREFETCHT0(Mem{Base: ahead})
	ADDQ(I8(blockBytes), ahead)
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
		take(t, leaf)
	}
	next(trees)
	ADDQ(I8(blockBytes), a)
	ADDQ(I8(blockBytes), b)
	ADDQ(I8(blockBytes), table)
	DECQ(blocks)
	JNE(LabelRef("block"))
}

// The layout of a fork, its passes, a factor and a halt of models/gbdt/shapley.go,
// in bytes.
const (
	laneBytes                                 = 32
	forkShare, forkKids, forkAgain, forkInput = 0, 16, 28, 36
	forkBytes                                 = 40
	passLeft, passRight, passBytes            = 0, 4, 8
	part, give                                = 0, laneBytes
	down, under                               = 0, laneBytes
	pairBytes                                 = 2 * laneBytes // of part and give, down and under
	haltBytes                                 = 2 * pairBytes
)

// shapley writes the code for the Shapley values of one tree at the points of so
// many lanes.
func shapley(lanes int) {
	declareShapley(lanes)
	arg := func(name string) Register { return Load(Param(name), GP64()) }
	v := tree{lanes: lanes, fork: arg("forks"), passed: arg("passed"), factors: arg("factors"), halts: arg("halts"), here: GP64()}
	inner, all := arg("inner"), arg("all")
	v.fill(arg("leaves"), all)
	MOVQ(v.halts, v.here)
	left := GP64()
	MOVQ(inner, left)
	TESTQ(left, left)
	JE(LabelRef("low"))
	Label("descend")
	v.descend()
	v.move(1)
	DECQ(left)
	JNE(LabelRef("descend"))
	Label("low")
	MOVQ(all, left)
	SUBQ(inner, left)
	for _, x := range []struct {
		at   Register
		size uint64
	}{{v.fork, forkBytes}, {v.passed, passBytes}, {v.here, haltBytes}} {
		by := GP64()
		IMUL3Q(U32(x.size), left, by)
		ADDQ(by, x.at)
	}
	v.values = arg("values")
	Label("ascend")
	v.move(-1)
	v.ascend()
	DECQ(all)
	JNE(LabelRef("ascend"))
	VZEROUPPER()
	RET()
}

// tree is the registers of a tree's code.
type tree struct {
	lanes                                      int
	fork, passed, factors, halts, values, here Register
}

// fill puts the values of the leaves where forks look for them: of one more than
// there are forks.
func (v *tree) fill(leaf, forks Register) {
	to, left, value := GP64(), GP64(), YMM()
	IMUL3Q(U32(haltBytes), forks, to)
	ADDQ(v.halts, to)
	LEAQ(Mem{Base: forks, Disp: 1}, left)
	Label("fill")
	VBROADCASTSD(Mem{Base: leaf}, value)
	for q := range v.lanes {
		VMOVUPD(value, Mem{Base: to, Disp: q*pairBytes + under})
	}
	ADDQ(I8(8), leaf)
	ADDQ(I32(haltBytes), to)
	DECQ(left)
	JNE(LabelRef("fill"))
}

// move goes on or back by some forks.
func (v *tree) move(by int) {
	ADDQ(I8(by*forkBytes), v.fork)
	ADDQ(I8(by*passBytes), v.passed)
	ADDQ(I32(by*haltBytes), v.here)
}

// turn is fork.turn: the halts and the factors of each lane.
func (v *tree) turn() (open, closed lanesOf, share VecVirtual, factor lanesOf) {
	r, other, o, c, k := GP64(), GP64(), GP64(), GP64(), GP64()
	MOVL(Mem{Base: v.passed, Disp: passRight}, r.As32())
	MOVL(Mem{Base: v.passed, Disp: passLeft}, k.As32())
	ORL(r.As32(), k.As32())
	NEGL(k.As32())
	ANDL(Mem{Base: v.fork, Disp: forkAgain}, k.As32())
	MOVL(r.As32(), other.As32())
	XORL(U8(1), other.As32())
	MOVL(Mem{Base: v.fork, Index: r, Scale: 4, Disp: forkKids}, o.As32())
	MOVL(Mem{Base: v.fork, Index: other, Scale: 4, Disp: forkKids}, c.As32())
	share = YMM()
	VBROADCASTSD(Mem{Base: v.fork, Index: other, Scale: 8, Disp: forkShare}, share)
	of := func(base Register, at GPVirtual) lanesOf {
		return func(q int) Mem { return Mem{Base: base, Index: at, Scale: 1, Disp: q * pairBytes} }
	}
	return of(v.halts, o), of(v.halts, c), share, of(v.factors, k)
}

// lanesOf says where what belongs to a lane begins.
type lanesOf func(q int) Mem

// descend is what steps.descend does at one fork.
func (v *tree) descend() {
	open, closed, share, factor := v.turn()
	for q := range v.lanes {
		d, x := YMM(), YMM()
		VMOVUPD(Mem{Base: v.here, Disp: q*pairBytes + down}, d)
		VMULPD(factor(q).Offset(part), share, x)
		VMULPD(d, x, x)
		VMOVUPD(x, closed(q).Offset(down))
		VSUBPD(x, d, d)
		VMOVUPD(d, open(q).Offset(down))
	}
}

// ascend is what steps.ascend does at one fork.
func (v *tree) ascend() {
	open, closed, share, factor := v.turn()
	input := GP64()
	MOVWLZX(Mem{Base: v.fork, Disp: forkInput}, input.As32())
	value, sum := Mem{Base: v.values, Index: input, Scale: 8}, XMM()
	VMOVSD(value, sum)
	for q := range v.lanes {
		here := Mem{Base: v.here, Disp: q * pairBytes}
		a, gap, x, high := YMM(), YMM(), YMM(), XMM()
		VMOVUPD(open(q).Offset(under), a)
		VSUBPD(closed(q).Offset(under), a, gap)
		VMULPD(factor(q).Offset(part), share, x)
		VMULPD(gap, x, x)
		VSUBPD(x, a, a)
		VMOVUPD(a, here.Offset(under))
		VMULPD(here.Offset(down), x, x)
		VMULPD(factor(q).Offset(give), x, x)
		VEXTRACTF128(U8(1), x, high)
		VADDPD(high, x.AsX(), high)
		VUNPCKHPD(high, high, x.AsX())
		VADDSD(x.AsX(), high, high)
		VADDSD(high, sum, sum)
	}
	VMOVSD(sum, value)
}
