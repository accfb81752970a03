package main

import . "github.com/mmcloughlin/avo/build"

// leavesARM writes for arm64 what main writes of the leaves for amd64.
func leavesARM() {
	leafSumARM(32)
	leafSumARM(64)
	leafStepsARM(32)
	leafStepsARM(64)
	shapleyARM(1)
	shapleyARM(2)
}

func leafSumARM(leaves int) {
	declareLeafSum(leaves)
	var a arm
	values, leaf := a.arg("values"), a.gp()
	var sums [sumLanes]vec
	for i := range sums {
		sums[i] = a.vec()
		op("FMOVD", "ZR", sums[i].float())
	}
	value := a.vec()
	add := func(m, d vec) { op("FADDD", m.float(), d.float()) }
	a.reachable(leaves, func(tree int, at gp) {
		op("ADD", at.times(3), values, leaf)
		op("FMOVD", leaf.at(tree*leaves*8), value.float())
		add(value, sums[tree%sumLanes])
	}, func(trees int) { op("ADD", imm(trees*leaves*8), values) })
	add(sums[1], sums[0])
	add(sums[3], sums[2])
	add(sums[2], sums[0])
	op("FMOVD", sums[0].float(), address(ReturnIndex(0)))
	op("RET")
}

func leafStepsARM(leaves int) {
	declareLeafSteps(leaves)
	var a arm
	at, steps, score, from := a.arg("at"), a.arg("steps"), a.arg("score"), a.gp()
	var sums [stepQuads]quad
	for q := range sums {
		sums[q] = a.quad()
		op("FLDPQ", score.at(32*q), sums[q])
	}
	step := a.quad()
	a.reachable(leaves, func(tree int, leaf gp) {
		op("ADD", leaf.times(2), at, from)
		op("MOVWU", from.at(tree*leaves*4), from)
		op("ADD", from.times(3), steps, from)
		for q, sum := range sums {
			op("FLDPQ", from.at(32*q), step)
			fadd(step, sum, sum)
		}
	}, func(trees int) { op("ADD", imm(trees*leaves*4), at) })
	for q, sum := range sums {
		op("FSTPQ", sum, score.at(32*q))
	}
	op("RET")
}

// reachable is the loop over blocks of words, as that of amd64.
func (a *arm) reachable(leaves int, take func(tree int, leaf gp), next func(trees int)) {
	of, by, table, ahead := a.arg("a"), a.arg("b"), a.arg("table"), a.arg("next")
	rows, inputs, blocks := a.arg("rows"), a.arg("inputs"), a.arg("blocks")
	end, turns, row, at := a.gp(), inputs, a.gp(), a.gp()
	op("ADD", inputs.times(2), rows, end)
	Comment("the rows that fill whole turns of the inner loop end here")
	op("AND", imm(-unroll), inputs)
	op("ADD", inputs.times(2), rows, turns)
	left, other := [2]quad{a.quad(), a.quad()}, [2]quad{a.quad(), a.quad()}
	and := func() {
		for half := range left {
			bitwise("VAND", other[half], left[half], left[half])
		}
	}

	Label("block")
	op("PRFM", ahead.at(0), "PLDL1KEEP")
	op("ADD", imm(blockBytes), ahead)
	for half := range left {
		op("FLDPQ.P", of.at(32), left[half])
		op("FLDPQ.P", by.at(32), other[half])
	}
	and()
	leave := func() {
		op("MOVWU.P", row.at(4), at)
		op("ADD", at.times(3), table, at)
		op("FLDPQ", at.at(0), other[0])
		op("FLDPQ", at.at(32), other[1])
		and()
	}
	op("MOVD", rows, row)
	op("CMP", turns, row)
	branch("BEQ", "rest")
	Label("turn")
	for range unroll {
		leave()
	}
	op("CMP", turns, row)
	branch("BNE", "turn")
	Label("rest")
	op("CMP", end, row)
	branch("BEQ", "leaves")
	leave()
	branch("B", "rest")

	Label("leaves")
	leavesOf(left, leaves, row, at, take)
	next(blockBytes * 8 / leaves)
	op("ADD", imm(blockBytes), table)
	repeat(1, blocks, "block")
}

// leavesOf finds the leaf of each tree in the words left.
func leavesOf(left [2]quad, leaves int, word, leaf gp, take func(tree int, leaf gp)) {
	for w := range blockBytes / 8 {
		op("VMOV", left[w/4][w/2%2].d(w%2), word)
		op("RBIT", word, word)
		op("CLZ", word, leaf) // reversed, the first of two trees is the upper one; it has a leaf left
		take(w*64/leaves, leaf)
		if leaves == 32 {
			op("CLZW", word, leaf)
			take(2*w+1, leaf)
		}
	}
}
