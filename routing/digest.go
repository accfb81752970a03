package routing

import (
	"encoding/binary"
	"math"

	"github.com/cespare/xxhash/v2"
)

// digest is a hash of float bits, in the order given.
type digest struct{ h [4]uint64 }

func newDigest() *digest {
	return &digest{[4]uint64{0x9e3779b97f4a7c15, 0xbf58476d1ce4e5b9, 0x94d049bb133111eb, 0xd6e8feb86659fd93}}
}

// floats adds numbers in four lanes, so that one multiplication need not wait
// for the one before.
func (p *digest) floats(x []float64) {
	const prime = 0x9fb21c651e98df25
	for len(x) >= 4 {
		p.h[0] = mix(p.h[0]^math.Float64bits(x[0])) * prime
		p.h[1] = mix(p.h[1]^math.Float64bits(x[1])) * prime
		p.h[2] = mix(p.h[2]^math.Float64bits(x[2])) * prime
		p.h[3] = mix(p.h[3]^math.Float64bits(x[3])) * prime
		x = x[4:]
	}
	for _, v := range x {
		p.word(math.Float64bits(v))
	}
}

func (p *digest) word(w uint64) {
	const prime = 0x9fb21c651e98df25
	p.h = [4]uint64{p.h[1], p.h[2], p.h[3], mix(p.h[0]^w) * prime}
}

func (p *digest) sum() uint64 {
	var b [32]byte
	for i, h := range p.h {
		binary.LittleEndian.PutUint64(b[8*i:], h)
	}
	return xxhash.Sum64(b[:])
}

func mix(x uint64) uint64 { return x ^ x>>29 }
