package gbdt

import (
	"encoding/binary"
	"fmt"
	"hash/crc32"
	"math"

	"bellwether/models"
	"bellwether/models/target"
)

// The bytes of a model, little-endian:
//
//	"BWGBDT", version u16: 1 of LogLoss, 2 of other objectives
//	width u32, base f64
//	version 2: answer u8; of Hazard: ages u32, of each: age i64, score f64 of each way to end
//	stats u32, of each: a u32, b i32, prior f64, strength f64,
//	  counted u8, keys u32, of each: key u64 [, n f64, pos f64 if counted]
//	inputs u32, of each: kind u8, column or stat u32, cuts u32, of each: f64
//	trees u32, of each: nodes u32, of each: kid u32, rows u32, then
//	  of a leaf (kid 0) value f64 [, of each age: step f64 of each way to end]
//	  inside: input u32, mask u32, bin u8, missing right u8, gain f64
//	CRC-32C of all before u32
const (
	magic     = "BWGBDT"
	version   = 2
	ofLogLoss = 1 // the version that has no word for the objective
)

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// MarshalBinary implements encoding.BinaryMarshaler.
func (m *Model) MarshalBinary() ([]byte, error) {
	le := binary.LittleEndian
	b := []byte(magic)
	b = le.AppendUint16(b, m.version())
	u32 := func(v int) { b = le.AppendUint32(b, uint32(v)) }
	f64 := func(v float64) { b = le.AppendUint64(b, math.Float64bits(v)) }
	u32(m.width)
	f64(m.base)
	if m.version() > ofLogLoss {
		b = append(b, uint8(m.loss))
	}
	outputs := 0
	if h := m.hazards; h != nil {
		outputs = len(h.base)
		u32(len(h.ages))
		for i, age := range h.ages {
			b = le.AppendUint64(b, uint64(age))
			for _, score := range h.base[h.causes*i:][:h.causes] {
				f64(score)
			}
		}
	}
	u32(len(m.enc.stats))
	for _, s := range m.enc.stats {
		u32(s.a)
		u32(s.b)
		f64(s.prior)
		f64(s.strength)
		b = append(b, flag(s.counters != nil))
		u32(len(s.keys))
		for i, k := range s.keys {
			b = le.AppendUint64(b, k)
			if s.counters != nil {
				f64(s.counters[i].N)
				f64(s.counters[i].Pos)
			}
		}
	}
	u32(len(m.enc.inputs))
	for _, in := range m.enc.inputs {
		b = append(b, uint8(in.kind))
		if in.kind == numeric {
			u32(in.col)
		} else {
			u32(in.stat)
		}
		u32(len(in.cuts))
		for _, c := range in.cuts {
			f64(c)
		}
	}
	u32(len(m.trees))
	for k, t := range m.trees {
		u32(len(t))
		leaf := 0
		for _, n := range t {
			u32(int(n.kid))
			u32(int(n.rows))
			if n.kid == 0 {
				f64(n.value)
				for i := range outputs {
					f64(m.hazards.steps[k][leaf+i])
				}
				leaf += outputs
				continue
			}
			u32(int(n.test.input))
			u32(int(n.test.mask))
			b = append(b, n.test.bin, flag(n.test.missingRight))
			f64(n.gain)
		}
	}
	return le.AppendUint32(b, crc32.Checksum(b, castagnoli)), nil
}

// version is the first that has words for the model, so that an old model keeps
// its bytes.
func (m *Model) version() uint16 {
	if m.loss == chance {
		return ofLogLoss
	}
	return version
}

func flag(v bool) uint8 {
	if v {
		return 1
	}
	return 0
}

// Load reads what MarshalBinary wrote. Other bytes are models.ErrCorrupt.
func Load(b []byte) (*Model, error) {
	if len(b) < len(magic)+2+4 || string(b[:len(magic)]) != magic {
		return nil, fmt.Errorf("%w: no gbdt model", models.ErrCorrupt)
	}
	v := binary.LittleEndian.Uint16(b[len(magic):])
	if v < ofLogLoss || v > version {
		return nil, fmt.Errorf("%w: version %d, this program reads up to %d", models.ErrCorrupt, v, version)
	}
	body := b[:len(b)-4]
	if crc32.Checksum(body, castagnoli) != binary.LittleEndian.Uint32(b[len(body):]) {
		return nil, fmt.Errorf("%w: checksum", models.ErrCorrupt)
	}
	r := &reader{b: body[len(magic)+2:]}
	m := r.model(v)
	if r.bad == "" && len(r.b) != 0 {
		r.fail("bytes left over")
	}
	if r.bad != "" {
		return nil, fmt.Errorf("%w: %s", models.ErrCorrupt, r.bad)
	}
	m.learner.Trees = len(m.trees)
	m.scorer = newScorer(m)
	if m.hazards != nil {
		m.hazards.lay(m.trees)
	}
	return m, nil
}

// reader takes values off b; after the first thing wrong it answers zeros.
type reader struct {
	b   []byte
	bad string
}

func (r *reader) fail(what string) {
	if r.bad == "" {
		r.bad = what
	}
	r.b = nil
}

func (r *reader) check(ok bool, what string) bool {
	if !ok {
		r.fail(what)
	}
	return ok
}

func (r *reader) take(n int) []byte {
	if len(r.b) < n {
		r.fail("cut off")
		return make([]byte, n)
	}
	b := r.b[:n]
	r.b = r.b[n:]
	return b
}

func (r *reader) u8() uint8   { return r.take(1)[0] }
func (r *reader) u32() uint32 { return binary.LittleEndian.Uint32(r.take(4)) }
func (r *reader) u64() uint64 { return binary.LittleEndian.Uint64(r.take(8)) }
func (r *reader) bit() bool   { return r.below(2, uint32(r.u8()), "flag") == 1 }
func (r *reader) below(n int, v uint32, what string) int {
	if int64(v) >= int64(n) {
		r.fail(what)
		return 0
	}
	return int(v)
}

// number reads a finite number.
func (r *reader) number(what string) float64 {
	v := math.Float64frombits(r.u64())
	r.check(finite(v), what)
	return v
}

// len reads a length of things that take at least size bytes each, so that what
// is made for them is not larger than what was given.
func (r *reader) len(size int, what string) int {
	n := r.u32()
	if int64(n)*int64(size) > int64(len(r.b)) {
		r.fail(what)
		return 0
	}
	return int(n)
}

// maxWidth bounds the columns of a table.
const maxWidth = 1 << 20

func (r *reader) model(version uint16) *Model {
	m := &Model{enc: &encoder{}}
	m.width = r.below(maxWidth+1, r.u32(), "width")
	m.base = r.number("base")
	if version > ofLogLoss {
		m.loss = answer(r.below(int(answers), uint32(r.u8()), "answer"))
		r.check(m.loss != chance, "answer")
	}
	switch m.loss {
	case ending:
		m.hazards = r.ages(maxCauses)
	case lasting:
		m.hazards = r.ages(1)
	}
	m.enc.stats = make([]stat, r.len(25, "statistics"))
	for i := range m.enc.stats {
		m.enc.stats[i] = r.stat(m.width)
	}
	m.enc.inputs = make([]input, r.len(9, "inputs"))
	r.check(len(m.enc.inputs) <= math.MaxUint16, "inputs")
	for i := range m.enc.inputs {
		m.enc.inputs[i] = r.input(m)
		if r.bad != "" {
			return nil
		}
	}
	m.trees = make([]tree, r.len(20, "trees"))
	for i := range m.trees {
		m.trees[i] = r.tree(m)
		if r.bad != "" {
			return nil
		}
	}
	return m
}

// ages reads the buckets of a model of Hazard and the scores they start from.
func (r *reader) ages(causes int) *hazards {
	h := &hazards{causes: causes, ages: make([]int64, r.len(8*(1+causes), "ages"))}
	r.check(len(h.ages) > 0 && len(h.ages) <= maxAges, "ages")
	for i := range h.ages {
		h.ages[i] = int64(r.u64())
		r.check(h.ages[i] > 0 && (i == 0 || h.ages[i-1] < h.ages[i]), "order of ages")
		for range causes {
			h.base = append(h.base, r.number("start"))
		}
	}
	return h
}

func (r *reader) stat(width int) stat {
	s := stat{a: r.below(width, r.u32(), "column"), b: -1}
	if b := r.u32(); b != math.MaxUint32 {
		s.b = r.below(width, b, "column")
	}
	s.prior, s.strength = r.number("prior"), r.number("strength")
	r.check(s.prior >= 0 && s.prior <= 1 && s.strength >= 0, "prior")
	size := 8
	counted := r.bit()
	if counted {
		size = 24
	}
	s.keys = make([]uint64, r.len(size, "keys"))
	if counted {
		s.counters = make([]target.Counter, len(s.keys))
	}
	for i := range s.keys {
		s.keys[i] = r.u64()
		r.check(i == 0 || s.keys[i-1] < s.keys[i], "order of keys")
		if counted {
			c := target.Counter{N: r.number("count"), Pos: r.number("count")}
			r.check(c.N >= 0 && c.Pos >= 0, "count")
			s.counters[i] = c
		}
	}
	return s
}

func (r *reader) input(m *Model) input {
	in := input{kind: inputKind(r.below(int(count)+1, uint32(r.u8()), "kind of input"))}
	at := r.u32()
	if in.kind == numeric {
		in.col = r.below(m.width, at, "column")
	} else if in.stat = r.below(len(m.enc.stats), at, "statistic"); r.bad == "" {
		s := m.enc.stats[in.stat]
		r.check((s.counters == nil) == (in.kind == levels), "kind of statistic")
		r.check(in.kind != levels || len(s.keys) <= maxNative, "levels")
	}
	in.cuts = make([]float64, r.len(8, "cuts"))
	r.check(len(in.cuts) < maxBins && (in.kind != levels || len(in.cuts) == 0), "cuts")
	for i := range in.cuts {
		in.cuts[i] = r.number("cut")
		r.check(i == 0 || in.cuts[i-1] < in.cuts[i], "order of cuts")
	}
	return in
}

// tree reads a tree and makes sure that every node but the root is the child of
// exactly one before it.
func (r *reader) tree(m *Model) tree {
	t := make(tree, r.len(16, "nodes"))
	if !r.check(len(t) > 0 && len(t) < 2*maxLeaves, "nodes") {
		return nil
	}
	child := make([]bool, len(t)+1)
	var steps []float64
	for i := range t {
		n := &t[i]
		n.kid, n.rows = r.u32(), r.u32()
		if !r.check(i == 0 || child[i], "node without parent") {
			return nil
		}
		if n.kid == 0 {
			n.value = r.number("value")
			steps = append(steps, r.steps(m.hazards)...)
			continue
		}
		k := r.below(len(t)-1, n.kid, "child")
		if !r.check(k > i && !child[k] && !child[k+1], "child") {
			return nil
		}
		child[k], child[k+1] = true, true
		n.test = r.test(m.enc)
		n.gain = r.number("gain")
		if r.bad != "" {
			return nil
		}
	}
	t.fillValues()
	if m.hazards != nil {
		m.hazards.steps = append(m.hazards.steps, steps)
	}
	return t
}

// steps reads what a leaf adds to each output of h, nothing if h is nil.
func (r *reader) steps(h *hazards) []float64 {
	if h == nil {
		return nil
	}
	steps := make([]float64, len(h.base))
	for i := range steps {
		steps[i] = r.number("step")
	}
	return steps
}

func (r *reader) test(e *encoder) test {
	t := test{input: int32(r.below(len(e.inputs), r.u32(), "input of a node")), mask: r.u32()}
	t.bin, t.missingRight = r.u8(), r.bit()
	if r.bad != "" {
		return t
	}
	in := e.inputs[t.input]
	if in.kind == levels {
		r.check(t.bin == 255 && !t.missingRight, "test of levels")
	} else {
		r.check(t.mask == 0 && t.bin >= 1 && int(t.bin) < in.bins(e), "test of numbers")
	}
	return t
}
