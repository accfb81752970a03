package main

import (
	"math"

	. "github.com/mmcloughlin/avo/build"
)

// gradientsARM writes for arm64 what gradients does for amd64.
func gradientsARM() {
	logLossARM()
	sumARM()
	packARM()
	prefetchARM()
}

func logLossARM() {
	declareLogLoss()
	var a arm
	gh, score, y, n := a.arg("gh"), a.arg("score"), a.arg("y"), a.arg("n")
	sign, exponent := a.bits(1<<63), a.bits(1023<<52)
	most, perLn2, round, ln2 := a.all(700), a.all(math.Log2E), a.all(rounder), a.all(math.Ln2)
	one, half, least := a.all(1), a.all(0.5), a.all(1e-16)
	var inverse [10]quad // of the factorials
	for k, v := 3, 6.0; k < 10; k++ {
		inverse[k] = a.all(1 / v)
		v *= float64(k + 1)
	}
	s, k, r, r2, r4, low, mid, v := a.quad(), a.quad(), a.quad(), a.quad(), a.quad(), a.quad(), a.quad(), a.quad()
	Label("rows")
	op("FLDPQ.P", score.at(32), s)
	fabs(s, r)
	fmin(most, r, r)
	fmul(perLn2, r, k)
	fadd(round, k, k)
	fsub(round, k, v)
	fmul(ln2, v, v)
	fsub(r, v, r)
	fmul(r, r, r2)
	fmul(r2, r2, r4)
	pair := func(by, plus, d quad) { // plus + r*by
		fmul(by, r, d)
		fadd(plus, d, d)
	}
	pair(inverse[3], half, low)
	pair(inverse[7], inverse[6], mid)
	fadd(one, r, v)
	fmul(r2, low, low)
	fadd(low, v, low)
	fmul(r2, mid, mid)
	pair(inverse[5], inverse[4], v)
	fadd(mid, v, mid)
	pair(inverse[9], inverse[8], v)
	fmul(r4, v, v)
	fadd(v, mid, mid)
	fmul(r4, mid, mid)
	fadd(mid, low, low)
	t, q, h, g := k, r, r2, r4
	for i := range k {
		op("VSHL", imm(52), k[i].as("D2"), k[i].as("D2"))
		op("VSUB", k[i].as("D2"), exponent[i].as("D2"), k[i].as("D2"))
	}
	fmul(low, k, t)
	fadd(one, t, q)
	fdiv(q, t, q)
	fmul(q, q, h)
	fsub(h, q, h)
	fmax(least, h, h)
	fsub(q, half, g)
	bitwise("VBIT", sign, s, g)
	op("FLDPQ.P", y.at(32), v)
	fadd(half, g, g)
	fsub(v, g, g)
	narrow(g, g[0])
	narrow(h, h[0])
	op("VZIP1", g[0].as("S4"), h[0].as("S4"), v[0].as("S4"))
	op("VZIP2", g[0].as("S4"), h[0].as("S4"), v[1].as("S4"))
	op("FSTPQ.P", v, gh.at(32))
	repeat(4, n, "rows")
	op("RET")
}

func sumARM() {
	declareSum()
	var a arm
	sums, gh, n := a.arg("sums"), a.arg("gh"), a.arg("n")
	sum, v := a.quad(), a.quad()
	bitwise("VEOR", sum, sum, sum)
	Label("rows")
	op("FMOVQ.P", gh.at(16), v[0].float())
	widen(v[0], v)
	fabs(v, v)
	fadd(v, sum, sum)
	repeat(2, n, "rows")
	op("FSTPQ", sum, sums.at(0))
	op("RET")
}

func packARM() {
	declarePack()
	var a arm
	gh, n := a.arg("gh"), a.arg("n")
	perG, perH := a.spread(param("perG")), a.spread(param("perH"))
	op("VZIP1", perG[0].as("D2"), perH[0].as("D2"), perH[0].as("D2"))
	round, v := a.all(rounder), a.quad()
	Label("rows")
	op("FMOVQ", gh.at(0), v[0].float())
	widen(v[0], v)
	fmul(perH, v, v)
	fadd(round, v, v)
	op("VUZP1", v[1].as("S4"), v[0].as("S4"), v[0].as("S4"))
	op("FMOVQ.P", v[0].float(), gh.at(16))
	repeat(2, n, "rows")
	op("RET")
}

func prefetchARM() {
	declarePrefetch()
	var a arm
	data, size, gh, rows, n := a.arg("data"), a.arg("size"), a.arg("gh"), a.arg("rows"), a.arg("n")
	row, at := a.gp(), a.gp()
	Label("rows")
	op("MOVWU.P", rows.at(4), row)
	op("ADD", row.times(3), gh, at)
	op("PRFM", at.at(0), "PLDL1KEEP")
	op("MADD", size, data, row, at)
	op("PRFM", at.at(0), "PLDL1KEEP")
	repeat(1, n, "rows")
	op("RET")
}
