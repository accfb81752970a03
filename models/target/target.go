// Package target is the one home of target statistics: how often something came
// true in a group, shrunk towards a wider group's rate because small groups
// lie. The live features keep Counters and call Shrink; the tree trainer asks
// Order what each training row could have known and freezes the final counters
// behind a Lookup. Both sides use the same arithmetic, so a statistic means the
// same in training and in serving.
package target

import "math"

// Counter counts weighted trials and how many of them came true.
// 0 <= Pos <= N for weights >= 0.
type Counter struct{ N, Pos float64 }

// Add counts one trial of weight w whose outcome y is 0 or 1.
func (c *Counter) Add(y, w float64) {
	c.N += w
	c.Pos += float64(w * y) // rounded, so that all machines agree
}

// Plus returns both counters taken together.
func (c Counter) Plus(d Counter) Counter { return Counter{c.N + d.N, c.Pos + d.Pos} }

// Minus returns c without d, which must be part of it. Rounding never leaves it
// negative.
func (c Counter) Minus(d Counter) Counter {
	n := max(0, c.N-d.N)
	return Counter{n, min(n, max(0, c.Pos-d.Pos))}
}

// Rate returns Pos/N, or prior if nothing was counted.
func (c Counter) Rate(prior float64) float64 {
	if c.N <= 0 {
		return prior
	}
	return c.Pos / c.N
}

// Shrink returns mean and standard deviation of the Beta posterior of a group's
// rate: the prior is worth strength trials at the given rate. With nothing
// counted the mean is the rate itself, bit for bit.
func Shrink(c Counter, rate, strength float64) (mean, sd float64) {
	mean = Mean(c, rate, strength)
	return mean, math.Sqrt(mean * (1 - mean) / (c.N + strength + 1))
}

// Mean is the first result of Shrink alone.
func Mean(c Counter, rate, strength float64) float64 {
	if c.N <= 0 {
		return rate
	}
	return min(1, max(0, (c.Pos+float64(rate*strength))/(c.N+strength)))
}

// Nested shrinks along a chain of groups from the widest to the narrowest, each
// to the mean of the one before it and the first to rate (region > tier >
// partner). strengths has one entry per group.
func Nested(groups []Counter, strengths []float64, rate float64) (mean, sd float64) {
	mean = rate
	sd = math.Sqrt(rate * (1 - rate))
	for i, c := range groups {
		mean, sd = Shrink(c, mean, strengths[i])
	}
	return mean, sd
}

// The strengths Strength answers within: half a trial (groups that differ
// completely) and a million (groups that do not differ at all).
const (
	MinStrength = 0.5
	MaxStrength = 1e6
)

// Strength estimates by moments how many trials the prior is worth for groups
// such as these: 1/rho - 1, where rho is the intra-class correlation of the
// beta-binomial (Kleinman 1973). Groups that differ no more than chance allows
// answer MaxStrength, as do fewer than two groups.
func Strength(groups []Counter) float64 {
	var n, pos, n2 float64
	k := 0.0
	for _, c := range groups {
		if c.N > 0 {
			n, pos, n2, k = n+c.N, pos+c.Pos, n2+float64(c.N*c.N), k+1
		}
	}
	if k < 2 || pos <= 0 || pos >= n {
		return MaxStrength
	}
	rate := pos / n
	s := 0.0
	for _, c := range groups {
		if c.N > 0 {
			d := c.Pos/c.N - rate
			s += float64(c.N * d * d)
		}
	}
	room := n - n2/n - (k - 1)
	if room <= 0 {
		return MaxStrength
	}
	rho := (s/(rate*(1-rate)) - (k - 1)) / room
	if !(rho > 1/(MaxStrength+1)) {
		return MaxStrength
	}
	return max(MinStrength, 1/rho-1)
}
