package target

import (
	"math"
	"testing"

	"pgregory.net/rapid"
)

func TestMomentsTellTheStrengthOfTheGroups(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var groups []Counter
		var m Moments
		for range rapid.IntRange(0, 30).Draw(t, "groups") {
			n := rapid.IntRange(0, 50).Draw(t, "n")
			c := Counter{float64(n), float64(rapid.IntRange(0, n).Draw(t, "pos"))}
			groups = append(groups, c)
			if n > 0 {
				m.K, m.N, m.Pos, m.N2, m.Pos2N = m.K+1, m.N+c.N, m.Pos+c.Pos, m.N2+c.N*c.N, m.Pos2N+c.Pos*c.Pos/c.N
			}
		}
		want, got := Strength(groups), m.Strength()
		if math.Abs(1/(1+got)-1/(1+want)) > 1e-9 {
			t.Fatalf("strength %v from moments, %v from the groups", got, want)
		}
	})
}
