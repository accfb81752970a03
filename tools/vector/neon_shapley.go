package main

import (
	"fmt"

	. "github.com/mmcloughlin/avo/build"
)

// treeARM is the registers of a tree's code, as tree is on amd64.
type treeARM struct {
	arm
	e, quads, points, open, halts, of gp
	k, here, q, up, same, to          gp
	one                               quad
}

// shapleyARM is shapley for arm64.
func shapleyARM() {
	declareShapley()
	var v treeARM
	v.e, v.quads, v.points, v.open, v.halts, v.of = v.arg("edges"), v.arg("quads"), v.arg("at"), v.arg("open"), v.arg("halts"), v.arg("of")
	last := v.arg("last")
	v.k, v.here, v.q, v.up, v.same, v.to = v.gp(), v.gp(), v.gp(), v.gp(), v.gp(), v.gp()
	v.one = v.all(1)
	op("MOVD", v.halts, v.here)
	op("MOVD", v.quads, v.q)
	Label("root")
	op("FSTPQ", v.one, v.here.at(down))
	op("ADD", imm(haltBytes), v.here)
	repeat(1, v.q, "root")
	op("MOVD", imm(1), v.k)
	Label("descend")
	op("ADD", imm(edgeBytes), v.e)
	v.descend()
	op("ADD", imm(1), v.k)
	op("CMP", last, v.k)
	branch("BLE", "descend")
	Label("ascend")
	op("SUB", imm(1), v.k)
	v.ascend()
	op("SUB", imm(edgeBytes), v.e)
	op("CMP", imm(1), v.k)
	branch("BNE", "ascend")
	op("RET")
}

// opened is where the node says whether the row passes its edge's input.
func (v *treeARM) opened(node gp) string { return fmt.Sprintf("(%v)(%v)", v.open, node.times(3)) }

// links loads what the edge says of other nodes.
func (v *treeARM) links() {
	op("MOVWU", v.e.at(edgeUp), v.up)
	op("ADD", v.halts, v.up)
	op("MOVWU", v.e.at(edgeSame), v.same)
}

// descend is group.descend.
func (v *treeARM) descend() {
	v.links()
	o, z, leaf := v.spread(v.opened(v.k)), v.spread(v.e.at(edgeZ)), v.spread(v.e.at(edgeLeaf))
	a, above := v.spread(v.opened(v.same)), v.spread(v.e.at(edgeAbove))
	t, u, f, x, part := v.quad(), v.quad(), v.quad(), v.quad(), v.quad()
	mix := func(o, z, d quad) {
		fmul(t, o, d)
		fmul(u, z, part)
		fadd(part, d, d)
	}
	points := v.to
	op("MOVD", v.points, points)
	op("MOVD", v.quads, v.q)
	Label("factor")
	op("FLDPQ", points.at(pointT), t)
	op("FLDPQ", points.at(pointU), u)
	mix(o, z, f)
	op("CMP", imm(0), v.same)
	branch("BEQ", "fresh")
	mix(a, above, x)
	fdiv(x, v.one, x)
	op("FSTPQ", x, v.here.at(inverse))
	fmul(x, f, f)
	Label("fresh")
	op("FSTPQ", f, v.here.at(factor))
	op("FLDPQ", v.up.at(down), x)
	fmul(x, f, f)
	op("FSTPQ", f, v.here.at(down))
	op("FSTPQ", leaf, v.here.at(under))
	op("ADD", imm(haltBytes), v.here)
	op("ADD", imm(haltBytes), v.up)
	op("ADD", imm(pointBytes), points)
	repeat(1, v.q, "factor")
}

// ascend is group.ascend; it takes the halts from the last to the first.
func (v *treeARM) ascend() {
	v.links()
	closed, back := v.gp(), v.gp()
	op("MOVWU", v.e.at(edgeInput), v.to)
	op("ADD", v.of, v.to)
	op("MOVD", v.opened(v.same), closed)
	gap, rest := v.spread(v.opened(v.k)), v.spread(v.e.at(edgeAbove))
	fsub(v.spread(v.e.at(edgeZ)), gap, gap)
	fsub(rest, v.one, rest)
	op("MOVD", v.quads, v.q)
	op("LSL", imm(7), v.quads, back) // times haltBytes
	op("SUB", back, v.here)
	b, f, x, y, m := v.quad(), v.quad(), v.quad(), v.quad(), v.quad()
	Label("sum")
	op("FLDPQ", v.here.at(under), b)
	op("FLDPQ", v.here.at(factor), f)
	op("FLDPQ", v.up.at(under), m)
	fmul(f, b, x)
	fadd(m, x, x)
	op("FSTPQ", x, v.up.at(under))
	op("FLDPQ", v.up.at(down), m)
	fmul(m, b, b)
	bitwise("VORR", gap, gap, y)
	op("CMP", imm(0), v.same)
	branch("BEQ", "give")
	op("CMP", imm(0), closed)
	branch("BEQ", "next")
	op("FLDPQ", v.here.at(inverse), m)
	fmul(m, b, b)
	fmul(f, rest, f)
	fsub(f, gap, y)
	Label("give")
	op("FLDPQ", v.to.at(0), m)
	fmul(y, b, b)
	fadd(m, b, b)
	op("FSTPQ", b, v.to.at(0))
	Label("next")
	op("ADD", imm(haltBytes), v.here)
	op("ADD", imm(haltBytes), v.up)
	op("ADD", imm(laneBytes), v.to)
	repeat(1, v.q, "sum")
	op("SUB", back, v.here)
}
