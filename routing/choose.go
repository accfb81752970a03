package routing

import (
	"cmp"
	"math/rand/v2"
	"slices"

	"bellwether/datasets/record"

	"github.com/cespare/xxhash/v2"
)

// share gives every candidate the probability with which it may be chosen:
// inverse gap weighting on value per amount. The best has what the others
// leave; equally good ones have equal parts of it.
func share(c []record.Candidate, amount float64, x Exploration, greedy bool) {
	best := slices.MaxFunc(c, byValue).Value
	most, fall, k := setting(x.Share, 0.05), setting(x.Gap, 50), float64(len(c))
	if greedy || x.Off {
		most = 0
	}
	var sum float64
	ties := 0
	for i := range c {
		if c[i].Value == best {
			ties++
			continue
		}
		c[i].Prob = 1 / (k * (1 + fall*(best-c[i].Value)/amount))
		sum += c[i].Prob
	}
	scale := 1.0
	if sum > most {
		scale = most / sum
	}
	var others float64
	for i := range c {
		if c[i].Value != best {
			c[i].Prob *= scale
			others += c[i].Prob
		}
	}
	for i := range c {
		if c[i].Value == best {
			c[i].Prob = (1 - others) / float64(ties)
		}
	}
}

// draw chooses a candidate by its probability.
func draw(c []record.Candidate, seed uint64) int {
	u := rand.New(rand.NewPCG(seed, seed^0x9e3779b97f4a7c15)).Float64()
	last := 0
	for i := range c {
		if c[i].Prob == 0 {
			continue
		}
		if u < c[i].Prob {
			return i
		}
		u -= c[i].Prob
		last = i
	}
	return last // rounding left a sliver past the end
}

// tie orders equals: by a hash of the decision's seed, so by no property of the
// partner, and the same again on replay.
func (c *choice) tie(i int, d []record.Candidate) uint64 {
	return mix(xxhash.Sum64String(string(d[i].Partner))^c.seed) * 0x9fb21c651e98df25
}

// plain returns the candidate the plain rules would take: of those eligible the
// one whose last offer is longest ago, never offered first.
func (c *choice) plain(d []record.Candidate) int {
	entries := c.router.Index.entries
	best := 0
	for i := range c.numbers {
		order := cmp.Or(cmp.Compare(entries[c.numbers[i]].lastOffer, entries[c.numbers[best]].lastOffer),
			cmp.Compare(c.tie(i, d), c.tie(best, d)))
		if order < 0 {
			best = i
		}
	}
	return best
}

// order returns the best few candidates by value, and the chosen one if it is
// not among them.
func (c *choice) order(d []record.Candidate, chosen int) []int {
	s := c.scratch
	s.order = s.order[:0]
	most := c.router.Index.policy.shown()
	better := func(a, b int) int {
		return cmp.Or(byValue(d[b], d[a]), cmp.Compare(c.tie(a, d), c.tie(b, d)))
	}
	for i := range d {
		at, _ := slices.BinarySearchFunc(s.order, i, better)
		if at == most {
			continue
		}
		if len(s.order) == most {
			s.order = s.order[:most-1]
		}
		s.order = slices.Insert(s.order, at, i)
	}
	if !slices.Contains(s.order, chosen) {
		s.order = append(s.order, chosen)
	}
	return s.order
}
