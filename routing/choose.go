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
func (c *Case) tie(a, b int) int {
	of := func(i int) uint64 {
		return mix(xxhash.Sum64String(string(c.candidates[i].id))^c.seed) * 0x9fb21c651e98df25
	}
	return cmp.Compare(of(a), of(b))
}

// plain returns the candidate the plain rules would take: of those eligible the
// one whose last offer is longest ago, never offered first.
func (c *Case) plain() int {
	best := 0
	for i := range c.candidates {
		a, b := c.candidates[i].lastOffer, c.candidates[best].lastOffer
		if a < b || a == b && c.tie(i, best) < 0 {
			best = i
		}
	}
	return best
}

// ranking returns the best few candidates by value, and the chosen one if it is
// not among them.
func (c *Case) ranking(d []record.Candidate, chosen int) []int {
	most := c.policy.shown()
	order := c.order[:0]
	better := func(a, b int) int {
		if by := byValue(d[b], d[a]); by != 0 {
			return by
		}
		return c.tie(a, b)
	}
	for i := range d {
		if len(order) == most && better(order[most-1], i) < 0 {
			continue
		}
		at, _ := slices.BinarySearchFunc(order, i, better)
		if len(order) == most {
			order = order[:most-1]
		}
		order = slices.Insert(order, at, i)
	}
	if !slices.Contains(order, chosen) {
		order = append(order, chosen)
	}
	c.order = order
	return order
}
