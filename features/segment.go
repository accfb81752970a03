package features

import (
	"math"

	"bellwether/models/target"
)

// tally counts offers of known outcome and how many of them were won.
type tally struct{ n, pos int32 }

func (t tally) counter() target.Counter { return target.Counter{N: float64(t.n), Pos: float64(t.pos)} }

// What a rate is of.
const (
	winRate    = iota // offers won of the offers whose outcome is known
	acceptRate        // offers accepted of the offers answered or expired
	rates
)

// moments are target.Moments in integers, so that they do not depend on the
// order in which partners are added.
type moments struct{ k, n, pos, n2, pos2n int64 }

// momentUnit is the fixed point of moments.pos2n: fine enough for a partner of
// one offer, and 10,000 partners of 10 million offers each do not overflow.
const momentUnit = 1 << 20

// add puts a partner's counts in, or takes them out with sign -1.
func (m *moments) add(n, pos, sign int64) {
	if n <= 0 {
		return
	}
	m.k += sign
	m.n += sign * n
	m.pos += sign * pos
	m.n2 += sign * n * n
	m.pos2n += sign * int64(math.Round(float64(pos*pos)/float64(n)*momentUnit))
}

func (m *moments) plus(o *moments) {
	m.k, m.n, m.pos, m.n2, m.pos2n = m.k+o.k, m.n+o.n, m.pos+o.pos, m.n2+o.n2, m.pos2n+o.pos2n
}

// prior is what a group says of a member nothing is known of: a rate, and how
// many offers of the member's own weigh as much.
type prior struct{ rate, strength float64 }

const (
	// everyone is the key of the group of all partners; no hash is 1 in practice.
	everyone = 1
	// groupStrength is how many offers a tier or segment needs to be heard half
	// against all partners together: with 20 the standard error of its own rate is
	// about 0.1.
	groupStrength = 20
	// fewGroups is how many partners are needed before their spread says anything;
	// before, they are shrunk by groupStrength.
	fewGroups = 10
	// The spread of few partners is itself uncertain, so the strength it gives is
	// kept within what a partner can overcome in a year.
	weakest, strongest = 2, 200
)

func (m *moments) strength(wider float64) float64 {
	if m.k < fewGroups {
		return wider
	}
	s := target.Moments{K: float64(m.k), N: float64(m.n), Pos: float64(m.pos), N2: float64(m.n2), Pos2N: float64(m.pos2n) / momentUnit}.Strength()
	return min(strongest, max(weakest, s))
}

func (m *moments) counter() target.Counter {
	return target.Counter{N: float64(m.n), Pos: float64(m.pos)}
}

// change is what moved in the segments since the last midnight.
type change struct {
	tallies table[tally]          // by segment key: a dimension and a value
	moments table[[rates]moments] // by tier, and of everyone
}

// segments are the segments' statistics as of the last midnight.
type segments struct {
	change
	priors table[[rates]prior] // by tier
	global [rates]prior
}

// plus adds what moved elsewhere.
func (c *change) plus(o *change) {
	o.tallies.each(func(key uint64, t *tally) {
		mine := c.tallies.put(key)
		mine.n += t.n
		mine.pos += t.pos
	})
	o.moments.each(func(key uint64, m *[rates]moments) {
		mine := c.moments.put(key)
		for r := range m {
			mine[r].plus(&m[r])
		}
	})
}

// freeze takes in what moved and empties it.
func (s *segments) freeze(moved ...*change) {
	for _, c := range moved {
		s.plus(c)
		c.tallies.clear()
		c.moments.clear()
	}
	s.weigh()
}

// weigh derives the priors from the moments.
func (s *segments) weigh() {
	var all [rates]moments
	if m := s.moments.get(everyone); m != nil {
		all = *m
	}
	for r := range s.global {
		s.global[r] = prior{target.Mean(all[r].counter(), 0.5, 2), all[r].strength(groupStrength)}
	}
	s.moments.each(func(tier uint64, m *[rates]moments) {
		if tier == everyone {
			return
		}
		p := s.priors.put(tier)
		for r := range p {
			p[r] = prior{target.Mean(m[r].counter(), s.global[r].rate, groupStrength), m[r].strength(s.global[r].strength)}
		}
	})
}

// prior returns what a tier says of its members.
func (s *segments) prior(tier uint64, r int) prior {
	if p := s.priors.get(tier); p != nil {
		return p[r]
	}
	return s.global[r]
}

// tally returns a segment's counts.
func (s *segments) tally(key uint64) tally {
	if p := s.tallies.get(key); p != nil {
		return *p
	}
	return tally{}
}

// shrunk returns the win rate of a segment's counts, shrunk to everyone's.
func (s *segments) shrunk(t tally) float64 {
	return target.Mean(t.counter(), s.global[winRate].rate, groupStrength)
}

// segmentKey is the key of one value of one dimension, 0 for a missing value.
func segmentKey(dimension int, code float64) uint64 {
	if math.IsNaN(code) {
		return 0
	}
	return max(2, target.Pair(uint64(dimension), target.Key(code)))
}
