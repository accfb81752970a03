package main

import (
	"fmt"
	"math"

	. "github.com/mmcloughlin/avo/build"
	"github.com/mmcloughlin/avo/gotypes"
	"github.com/mmcloughlin/avo/ir"
	. "github.com/mmcloughlin/avo/operand"
)

// The registers of arm64. A quad is four float64, as a register of AVX2 holds
// them; one that holds the same number four times is one register twice.
type (
	gp   int
	vec  int
	quad [2]vec
)

func (r gp) String() string  { return fmt.Sprintf("R%d", int(r)) }
func (v vec) String() string { return fmt.Sprintf("V%d", int(v)) }

// float names a register as scalar instructions and those of memory do.
func (v vec) float() string { return fmt.Sprintf("F%d", int(v)) }

// registers is how many a quad is.
func (q quad) registers() int {
	if q[0] == q[1] {
		return 1
	}
	return len(q)
}

func (q quad) String() string { return fmt.Sprintf("(%s, %s)", q[0].float(), q[1].float()) }

// as names a register with the kind of its lanes.
func (v vec) as(lanes string) string { return fmt.Sprintf("%v.%s", v, lanes) }

// d names one of the two numbers.
func (v vec) d(lane int) string { return fmt.Sprintf("%v.D[%d]", v, lane) }

func imm(n int) string { return fmt.Sprintf("$%d", n) }

// at is memory that r points to, n bytes on.
func (r gp) at(n int) string { return fmt.Sprintf("%d(%v)", n, r) }

// times is r, shifted left by n bits.
func (r gp) times(n int) string { return fmt.Sprintf("%v<<%d", r, n) }

// arm is a function for arm64 being written: how many registers it has taken. It
// gives none back.
type arm struct{ gps, vecs int }

func (a *arm) gp() gp {
	a.gps++
	if a.gps > 16 { // the next ones have other uses
		panic("too many registers")
	}
	return gp(a.gps - 1)
}

func (a *arm) vec() vec {
	a.vecs++
	if a.vecs > 32 {
		panic("too many vectors")
	}
	return vec(a.vecs - 1)
}

func (a *arm) quad() quad { return quad{a.vec(), a.vec()} }

// same is a quad of the same number four times.
func (a *arm) same() quad {
	v := a.vec()
	return quad{v, v}
}

func (a *arm) arg(name string) gp {
	r := a.gp()
	op("MOVD", param(name), r)
	return r
}

func param(name string) string { return address(Param(name)) }

func address(c gotypes.Component) string {
	b, err := c.Resolve()
	if err != nil {
		panic(err)
	}
	return b.Addr.Asm()
}

// bits is a word in every lane.
func (a *arm) bits(word uint64) quad {
	d := a.same()
	op("VMOVQ", fmt.Sprintf("$0x%016x", word), fmt.Sprintf("$0x%016x", word), d[0])
	return d
}

// all is a number in every lane.
func (a *arm) all(x float64) quad { return a.bits(math.Float64bits(x)) }

// spread loads one number into a quad.
func (a *arm) spread(from string) quad {
	d := a.same()
	spread(from, d)
	return d
}

// spread loads one number into the register of a quad of the same.
func spread(from string, d quad) {
	op("FMOVD", from, d[0].float())
	op("VDUP", d[0].d(0), d[0].as("D2"))
}

// op writes an instruction as Go's assembler reads it. avo has no notion of those
// of arm64, but prints the name of a label as it is: so it is told each operand.
func op(opcode string, operands ...any) *ir.Instruction {
	i := &ir.Instruction{Opcode: opcode, IsTerminal: opcode == "RET"}
	for _, o := range operands {
		i.Operands = append(i.Operands, LabelRef(fmt.Sprint(o)))
	}
	Instruction(i)
	return i
}

func branch(opcode, label string) {
	i := op(opcode, label)
	i.IsBranch, i.IsConditional = true, opcode != "B"
}

// repeat takes n off what is left, and goes back to a label while some is.
func repeat(n int, left gp, label string) {
	op("SUBS", imm(n), left)
	branch("BNE", label)
}

// bitwise writes an instruction that makes d of n and m, whatever their lanes.
func bitwise(opcode string, m, n, d quad) {
	for k := range d.registers() {
		op(opcode, m[k].as("B16"), n[k].as("B16"), d[k].as("B16"))
	}
}

// # Instructions that Go's assembler lacks
//
// Of those over vectors of float64 it has the fused ones only, which round once
// where plain Go rounds twice. The others are written as words, put together as
// the Arm Architecture Reference Manual (DDI 0487, C4.1, Advanced SIMD) says.

// word writes an encoded instruction, with its name in the manual.
func word(code uint32, name string, operands ...any) {
	op("WORD", fmt.Sprintf("$0x%08x // %s", code, fmt.Sprintf(name, operands...)))
}

const (
	// whole is set for instructions of all 128 bits of a register.
	whole = 1 << 30
	// doubles is what the encodings of instructions over two float64 share.
	doubles = whole | 0b01110<<24 | 1<<22
)

// over returns an instruction of two quads, by the fields of the manual's
// "three same": d is what it makes of n and m.
func over(name string, u, high, opcode uint32) func(m, n, d quad) {
	return func(m, n, d quad) {
		for k := range d.registers() {
			word(doubles|u<<29|high<<23|1<<21|uint32(m[k])<<16|opcode<<11|1<<10|uint32(n[k])<<5|uint32(d[k]),
				name+" v%d.2d, v%d.2d, v%d.2d", int(d[k]), int(n[k]), int(m[k]))
		}
	}
}

var (
	fadd = over("fadd", 0, 0, 0b11010)
	fsub = over("fsub", 0, 1, 0b11010) // n - m
	fmul = over("fmul", 1, 0, 0b11011)
	fdiv = over("fdiv", 1, 0, 0b11111) // n / m
	fmax = over("fmax", 0, 0, 0b11110)
	fmin = over("fmin", 0, 1, 0b11110)
)

// of is an instruction of one vector, by the fields of "two-register miscellaneous".
func of(high, opcode uint32, n, d vec) uint32 {
	return doubles | high<<23 | 1<<21 | opcode<<12 | 0b10<<10 | uint32(n)<<5 | uint32(d)
}

func fabs(n, d quad) {
	for k := range d.registers() {
		word(of(1, 0b01111, n[k], d[k]), "fabs v%d.2d, v%d.2d", int(d[k]), int(n[k]))
	}
}

// widen makes float64 of four float32, which may lie in d's first register.
func widen(n vec, d quad) {
	word(of(0, 0b10111, n, d[1]), "fcvtl2 v%d.2d, v%d.4s", int(d[1]), int(n))
	word(of(0, 0b10111, n, d[0])&^whole, "fcvtl v%d.2d, v%d.2s", int(d[0]), int(n))
}

// narrow makes float32 of four float64; d may be the first of them.
func narrow(n quad, d vec) {
	word(of(0, 0b10110, n[0], d)&^whole, "fcvtn v%d.2s, v%d.2d", int(d), int(n[0]))
	word(of(0, 0b10110, n[1], d), "fcvtn2 v%d.4s, v%d.2d", int(d), int(n[1]))
}
