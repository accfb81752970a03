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
		shapley()
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

// The layout of an edge and a halt of models/gbdt/shapley.go, in bytes.
const (
	edgeUp, edgeInput, edgeSame  = 0, 4, 8
	edgeZ, edgeAbove, edgeLeaf   = 16, 24, 32
	edgeBytes                    = 40
	laneBytes                    = 32
	down, factor, inverse, under = 0, laneBytes, 2 * laneBytes, 3 * laneBytes
	haltBytes                    = 4 * laneBytes
	pointT, pointU, pointBytes   = 0, laneBytes, 2 * laneBytes
)

// shapley writes the code for the Shapley values of one tree.
func shapley() {
	declareShapley()
	arg := func(name string) Register { return Load(Param(name), GP64()) }
	v := tree{e: arg("edges"), quads: arg("quads"), at: arg("at"), open: arg("open"), halts: arg("halts"), of: arg("of"),
		k: GP64(), here: GP64(), q: GP64(), one: YMM()}
	last := arg("last")
	MOVQ(U64(0x3ff0000000000000), v.q)
	VMOVQ(v.q, v.one.AsX())
	VBROADCASTSD(v.one.AsX(), v.one)
	MOVQ(v.halts, v.here)
	MOVQ(v.quads, v.q)
	Label("root")
	VMOVUPD(v.one, Mem{Base: v.here, Disp: down})
	ADDQ(I32(haltBytes), v.here)
	DECQ(v.q)
	JNE(LabelRef("root"))
	MOVQ(U32(1), v.k)
	Label("descend")
	ADDQ(I8(edgeBytes), v.e)
	v.descend()
	INCQ(v.k)
	CMPQ(v.k, last)
	JLE(LabelRef("descend"))
	Label("ascend")
	DECQ(v.k)
	v.ascend()
	SUBQ(I8(edgeBytes), v.e)
	CMPQ(v.k, I8(1))
	JNE(LabelRef("ascend"))
	VZEROUPPER()
	RET()
}

// tree is the registers of a tree's code.
type tree struct {
	e, quads, at, open, halts, of Register
	k, here, q                    GPVirtual // the node, its halt being filled, halts left
	one                           VecVirtual
}

func broadcast(m Mem) VecVirtual {
	y := YMM()
	VBROADCASTSD(m, y)
	return y
}

// up returns the first halt of the edge's parent.
func (v *tree) up() GPVirtual {
	up := GP64()
	MOVL(Mem{Base: v.e, Disp: edgeUp}, up.As32())
	ADDQ(v.halts, up)
	return up
}

// descend is group.descend.
func (v *tree) descend() {
	up, same, points := v.up(), GP64(), GP64()
	o, z, leaf := broadcast(Mem{Base: v.open, Index: v.k, Scale: 8}), broadcast(Mem{Base: v.e, Disp: edgeZ}), broadcast(Mem{Base: v.e, Disp: edgeLeaf})
	MOVL(Mem{Base: v.e, Disp: edgeSame}, same.As32())
	a, above := broadcast(Mem{Base: v.open, Index: same, Scale: 8}), broadcast(Mem{Base: v.e, Disp: edgeAbove})
	MOVQ(v.at, points)
	MOVQ(v.quads, v.q)
	Label("factor")
	mix := func(o, z VecVirtual) VecVirtual {
		f, g := YMM(), YMM()
		VMULPD(Mem{Base: points, Disp: pointT}, o, f)
		VMULPD(Mem{Base: points, Disp: pointU}, z, g)
		VADDPD(g, f, f)
		return f
	}
	f := mix(o, z)
	TESTQ(same, same)
	JE(LabelRef("fresh"))
	i := mix(a, above)
	VDIVPD(i, v.one, i)
	VMOVUPD(i, Mem{Base: v.here, Disp: inverse})
	VMULPD(i, f, f)
	Label("fresh")
	VMOVUPD(f, Mem{Base: v.here, Disp: factor})
	VMULPD(Mem{Base: up, Disp: down}, f, f)
	VMOVUPD(f, Mem{Base: v.here, Disp: down})
	VMOVUPD(leaf, Mem{Base: v.here, Disp: under})
	ADDQ(I32(haltBytes), v.here)
	ADDQ(I32(haltBytes), up)
	ADDQ(I8(pointBytes), points)
	DECQ(v.q)
	JNE(LabelRef("factor"))
}

// ascend is group.ascend; it takes the halts from the last to the first.
func (v *tree) ascend() {
	up, same, closed, of := v.up(), GP64(), GP64(), GP64()
	MOVL(Mem{Base: v.e, Disp: edgeInput}, of.As32())
	ADDQ(v.of, of)
	MOVL(Mem{Base: v.e, Disp: edgeSame}, same.As32())
	MOVQ(Mem{Base: v.open, Index: same, Scale: 8}, closed)
	gap, rest := broadcast(Mem{Base: v.open, Index: v.k, Scale: 8}), YMM()
	VSUBPD(broadcast(Mem{Base: v.e, Disp: edgeZ}), gap, gap)
	VSUBPD(broadcast(Mem{Base: v.e, Disp: edgeAbove}), v.one, rest)
	back := GP64()
	MOVQ(v.quads, back)
	MOVQ(back, v.q)
	SHLQ(U8(7), back) // times haltBytes
	SUBQ(back, v.here)
	Label("sum")
	b, f, x, y := YMM(), YMM(), YMM(), YMM()
	VMOVUPD(Mem{Base: v.here, Disp: under}, b)
	VMOVUPD(Mem{Base: v.here, Disp: factor}, f)
	VMULPD(f, b, x)
	VADDPD(Mem{Base: up, Disp: under}, x, x)
	VMOVUPD(x, Mem{Base: up, Disp: under})
	VMULPD(Mem{Base: up, Disp: down}, b, b)
	VMOVAPD(gap, y)
	TESTQ(same, same)
	JE(LabelRef("give"))
	TESTQ(closed, closed)
	JE(LabelRef("next"))
	VMULPD(Mem{Base: v.here, Disp: inverse}, b, b)
	VMULPD(f, rest, f)
	VSUBPD(f, gap, y)
	Label("give")
	VMULPD(y, b, b)
	VADDPD(Mem{Base: of}, b, b)
	VMOVUPD(b, Mem{Base: of})
	Label("next")
	ADDQ(I32(haltBytes), v.here)
	ADDQ(I32(haltBytes), up)
	ADDQ(I8(laneBytes), of)
	DECQ(v.q)
	JNE(LabelRef("sum"))
	SUBQ(back, v.here)
}
