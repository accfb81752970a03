package scorecard

import (
	"math/rand/v2"
	"slices"
	"strconv"
	"testing"

	"github.com/sjwhitworth/golearn/base"
	"github.com/sjwhitworth/golearn/filters"

	"bellwether/models/grid"
)

// golearn's ChiMerge, given sorted whole numbers and classes without ties among
// the differences, ends at the same bins.
func TestChiMergeAsGolearn(t *testing.T) {
	rng := rand.New(rand.NewPCG(9, 9))
	for round := range 20 {
		var x, y, unit []float64
		for v := range 12 {
			rate := rng.Float64()
			for range 20 + rng.IntN(40) { // uneven, so that no two differences are equal
				label := 0.
				if rng.Float64() < rate {
					label = 1
				}
				x, y, unit = append(x, float64(v)), append(y, label), append(unit, 1)
			}
		}
		const bins = 4
		inst := grid.Floats([][]float64{x}, y)
		filter := filters.NewChiMergeFilter(inst, .9)
		filter.MaxRows = bins
		if err := filter.AddAttribute(base.NonClassAttributes(inst)[0]); err != nil {
			t.Fatal(err)
		}
		if err := filter.Train(); err != nil {
			t.Fatal(err)
		}
		var want []float64
		for _, a := range filter.GetAttributesAfterFiltering() {
			if c, ok := a.New.(*base.CategoricalAttribute); ok && a.Old.GetName() == "0" {
				for _, text := range c.GetValues() {
					start, err := strconv.ParseFloat(text, 64)
					if err != nil {
						t.Fatal(err)
					}
					want = append(want, start)
				}
			}
		}
		got := append([]float64{0}, chiMerge(x, y, unit, bins)...)
		// Ours merges on where neighbours do not differ; golearn never does.
		for _, start := range got {
			if !slices.Contains(want, start) {
				t.Errorf("round %d: bins start at %v, golearn's at %v", round, got, want)
				break
			}
		}
		if len(want) != bins {
			t.Errorf("round %d: golearn made %d bins", round, len(want))
		}
	}
}
