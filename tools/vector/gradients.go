package main

import (
	"math"

	. "github.com/mmcloughlin/avo/build"
	. "github.com/mmcloughlin/avo/operand"
	. "github.com/mmcloughlin/avo/reg"
)

// rounder is gbdt's.
const rounder = 3 << 51

// gradients writes the code that a fit runs over all rows for every tree.
func gradients() {
	logLossKernel()
	sumKernel()
	packKernel()
	prefetchKernel()
}

// constant is a number in every lane.
func constant(name string, bits uint64) Mem {
	at := GLOBL(name, NOPTR|RODATA)
	for lane := range 4 {
		DATA(8*lane, U64(bits))
	}
	return at
}

// logLossKernel differentiates the log loss; LogLoss.derivePlain is its twin, step
// for step.
func logLossKernel() {
	f := func(name string, v float64) Mem { return constant(name, math.Float64bits(v)) }
	sign, most := constant("sign", 1<<63), f("most", 700)
	perLn2, round, ln2 := f("log2e", math.Log2E), f("rounder", rounder), f("ln2", math.Ln2)
	one, half, least := f("one", 1), f("half", 0.5), f("least", 1e-16)
	var inverse [10]Mem // of the factorials
	for k, v := 3, 6.0; k < 10; k++ {
		inverse[k] = f("f"+string(rune('0'+k)), 1/v)
		v *= float64(k + 1)
	}
	exponent := constant("exponent", 1023<<52)

	declareLogLoss()
	gh, score, y, n := Load(Param("gh"), GP64()), Load(Param("score"), GP64()), Load(Param("y"), GP64()), Load(Param("n"), GP64())
	Label("rows")
	s, a := YMM(), YMM()
	VMOVUPD(Mem{Base: score}, s)
	signs := YMM()
	VMOVUPD(sign, signs)
	VANDNPD(s, signs, a)
	VMINPD(most, a, a)
	k, r := YMM(), YMM()
	VMULPD(perLn2, a, k)
	VADDPD(round, k, k)
	VSUBPD(round, k, r)
	VMULPD(ln2, r, r)
	VSUBPD(a, r, r)
	r2, r4 := YMM(), YMM()
	VMULPD(r, r, r2)
	VMULPD(r2, r2, r4)
	pair := func(by Mem, plus Mem) VecVirtual { // plus + r*by
		v := YMM()
		VMULPD(by, r, v)
		VADDPD(plus, v, v)
		return v
	}
	low, mid := pair(inverse[3], half), pair(inverse[7], inverse[6])
	first := YMM()
	VADDPD(one, r, first)
	VMULPD(r2, low, low)
	VADDPD(low, first, low)
	VMULPD(r2, mid, mid)
	VADDPD(mid, pair(inverse[5], inverse[4]), mid)
	high := pair(inverse[9], inverse[8])
	VMULPD(r4, high, high)
	VADDPD(high, mid, mid)
	VMULPD(r4, mid, mid)
	VADDPD(mid, low, low)
	power, t := YMM(), YMM()
	VPSLLQ(Imm(52), k, k)
	VMOVUPD(exponent, power)
	VPSUBQ(k, power, power)
	VMULPD(low, power, t)
	q := YMM()
	VADDPD(one, t, q)
	VDIVPD(q, t, q)
	h, g := YMM(), YMM()
	VMULPD(q, q, h)
	VSUBPD(h, q, h)
	VMAXPD(least, h, h)
	VMOVUPD(half, g)
	VSUBPD(q, g, g)
	VANDNPD(g, signs, g)
	VANDPD(s, signs, s)
	VORPD(s, g, g)
	VADDPD(half, g, g)
	VSUBPD(Mem{Base: y}, g, g)
	g4, h4, out := XMM(), XMM(), XMM()
	VCVTPD2PSY(g, g4)
	VCVTPD2PSY(h, h4)
	VUNPCKLPS(g4, h4, out)
	VMOVUPS(out, Mem{Base: gh})
	VUNPCKHPS(g4, h4, out)
	VMOVUPS(out, Mem{Base: gh, Disp: 16})
	for _, p := range []Register{gh, score, y} {
		ADDQ(Imm(32), p)
	}
	SUBQ(Imm(4), n)
	JNE(LabelRef("rows"))
	VZEROUPPER()
	RET()
}

// sumKernel adds up derivatives; sumPlain is its twin.
func sumKernel() {
	declareSum()
	sums, gh, n := Load(Param("sums"), GP64()), Load(Param("gh"), GP64()), Load(Param("n"), GP64())
	signs, sum, v := YMM(), YMM(), YMM()
	VPCMPEQD(signs, signs, signs)
	VPSLLQ(Imm(63), signs, signs)
	VXORPD(sum, sum, sum)
	Label("rows")
	VCVTPS2PD(Mem{Base: gh}, v)
	VANDNPD(v, signs, v)
	VADDPD(v, sum, sum)
	ADDQ(Imm(16), gh)
	SUBQ(Imm(2), n)
	JNE(LabelRef("rows"))
	VMOVUPD(sum, Mem{Base: sums})
	VZEROUPPER()
	RET()
}

// packKernel turns derivatives into fixed point; packPlain is its twin.
func packKernel() {
	declarePack()
	gh, n := Load(Param("gh"), GP64()), Load(Param("n"), GP64())
	per, round, pick, v := YMM(), YMM(), YMM(), YMM()
	g, h := XMM(), XMM()
	Load(Param("perG"), g)
	Load(Param("perH"), h)
	VUNPCKLPD(g, h, h)
	VINSERTF128(Imm(1), h, h.AsY(), per)
	bits := GP64()
	MOVQ(U64(math.Float64bits(rounder)), bits)
	MOVQ(bits, g)
	VBROADCASTSD(g, round)
	even := GLOBL("even", NOPTR|RODATA)
	for k, lane := range []uint32{0, 2, 4, 6, 0, 2, 4, 6} {
		DATA(4*k, U32(lane))
	}
	VMOVDQU(even, pick)
	Label("rows")
	VCVTPS2PD(Mem{Base: gh}, v)
	VMULPD(per, v, v)
	VADDPD(round, v, v)
	VPERMD(v, pick, v)
	VMOVUPS(v.AsX(), Mem{Base: gh})
	ADDQ(Imm(16), gh)
	SUBQ(Imm(2), n)
	JNE(LabelRef("rows"))
	VZEROUPPER()
	RET()
}

// prefetchKernel asks for rows ahead of their use. It has no twin: it changes
// nothing.
func prefetchKernel() {
	declarePrefetch()
	data, size, gh := Load(Param("data"), GP64()), Load(Param("size"), GP64()), Load(Param("gh"), GP64())
	rows, n := Load(Param("rows"), GP64()), Load(Param("n"), GP64())
	row := GP64()
	Label("rows")
	MOVL(Mem{Base: rows}, row.As32())
	PREFETCHT0(Mem{Base: gh, Index: row, Scale: 8})
	IMULQ(size, row)
	PREFETCHT0(Mem{Base: data, Index: row, Scale: 1})
	ADDQ(Imm(4), rows)
	DECQ(n)
	JNE(LabelRef("rows"))
	RET()
}
