package main

import (
	"fmt"

	. "github.com/mmcloughlin/avo/build"
)

// treeARM is the registers of a tree's code, as tree is on amd64.
type treeARM struct {
	arm
	lanes                                      int
	fork, passed, factors, halts, values, here gp
	right, other, open, closed, factor         gp // of a turn, free before it
	share                                      quad
}

// shapleyARM is shapley for arm64.
func shapleyARM(lanes int) {
	declareShapley(lanes)
	v := treeARM{lanes: lanes}
	v.fork, v.passed, v.factors, v.halts, v.values = v.arg("forks"), v.arg("passed"), v.arg("factors"), v.arg("halts"), v.arg("values")
	v.right, v.other, v.open, v.closed, v.factor = v.gp(), v.gp(), v.gp(), v.gp(), v.gp()
	v.share = v.same()
	inner, all := v.arg("inner"), v.arg("all")
	v.fill(v.arg("leaves"), all)
	left := v.gp()
	v.here = v.gp()
	op("MOVD", v.halts, v.here)
	op("MOVD", inner, left)
	op("CMP", imm(0), left)
	branch("BEQ", "low")
	Label("descend")
	v.descend()
	v.move("ADD")
	repeat(1, left, "descend")
	Label("low")
	op("SUB", inner, all, left)
	v.skip(left, forkBytes, v.fork)
	v.skip(left, passBytes, v.passed)
	v.skip(left, haltBytes, v.here)
	Label("ascend")
	v.move("SUB")
	v.ascend()
	repeat(1, all, "ascend")
	op("RET")
}

// fill is tree.fill.
func (v *treeARM) fill(leaf, forks gp) {
	to, left := v.right, v.open
	op("MOVD", v.halts, to)
	v.skip(forks, haltBytes, to)
	op("ADD", imm(1), forks, left)
	Label("fill")
	spread(leaf.at(0), v.share)
	for q := range v.lanes {
		op("FSTPQ", v.share, to.at(q*pairBytes+under))
	}
	op("ADD", imm(8), leaf)
	op("ADD", imm(haltBytes), to)
	repeat(1, left, "fill")
}

// skip adds to a pointer n times so many bytes.
func (v *treeARM) skip(n gp, bytes int, to gp) {
	op("MOVD", imm(bytes), v.factor)
	op("MADD", v.factor, to, n, to)
}

// move goes on or back by a fork.
func (v *treeARM) move(add string) {
	op(add, imm(forkBytes), v.fork)
	op(add, imm(passBytes), v.passed)
	op(add, imm(haltBytes), v.here)
}

// turn is tree.turn.
func (v *treeARM) turn() {
	op("MOVWU", v.passed.at(passRight), v.right)
	op("MOVWU", v.passed.at(passLeft), v.factor)
	op("ORR", v.right, v.factor)
	op("NEG", v.factor, v.factor)
	op("MOVWU", v.fork.at(forkAgain), v.other)
	op("AND", v.other, v.factor)
	op("ADD", v.factors, v.factor)
	op("EOR", imm(1), v.right, v.other)
	for _, kid := range []struct{ side, halt gp }{{v.right, v.open}, {v.other, v.closed}} {
		op("ADD", kid.side.times(2), v.fork, kid.halt)
		op("MOVWU", kid.halt.at(forkKids), kid.halt)
		op("ADD", v.halts, kid.halt)
	}
	op("ADD", v.other.times(3), v.fork, v.other)
	spread(v.other.at(forkShare), v.share)
}

// descend is tree.descend.
func (v *treeARM) descend() {
	v.turn()
	d, x := v.quad(), v.quad()
	for q := range v.lanes {
		lane := q * pairBytes
		op("FLDPQ", v.here.at(lane+down), d)
		op("FLDPQ", v.factor.at(lane+part), x)
		fmul(v.share, x, x)
		fmul(d, x, x)
		op("FSTPQ", x, v.closed.at(lane+down))
		fsub(x, d, d)
		op("FSTPQ", d, v.open.at(lane+down))
	}
}

// ascend is tree.ascend.
func (v *treeARM) ascend() {
	v.turn()
	input := v.right
	op("MOVHU", v.fork.at(forkInput), input)
	value := fmt.Sprintf("(%v)(%v)", v.values, input.times(3))
	sum, a, gap, x, m := v.vec(), v.quad(), v.quad(), v.quad(), v.quad()
	op("FMOVD", value, sum.float())
	for q := range v.lanes {
		lane := q * pairBytes
		op("FLDPQ", v.open.at(lane+under), a)
		op("FLDPQ", v.closed.at(lane+under), gap)
		fsub(gap, a, gap)
		op("FLDPQ", v.factor.at(lane+part), x)
		fmul(v.share, x, x)
		fmul(gap, x, x)
		fsub(x, a, a)
		op("FSTPQ", a, v.here.at(lane+under))
		op("FLDPQ", v.here.at(lane+down), m)
		fmul(m, x, x)
		op("FLDPQ", v.factor.at(lane+give), m)
		fmul(m, x, x)
		v.addUp(x, sum)
	}
	op("FMOVD", sum.float(), value)
}

// addUp adds the numbers of x to a sum, those two apart first.
func (v *treeARM) addUp(x quad, sum vec) {
	low, high := quad{x[0], x[0]}, quad{x[1], x[1]}
	fadd(high, low, low)
	op("VDUP", x[0].d(1), x[1].as("D2"))
	op("FADDD", x[1].float(), x[0].float())
	op("FADDD", x[0].float(), sum.float())
}
