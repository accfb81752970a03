package forest

import (
	"cmp"
	"math"
	"slices"

	"github.com/sjwhitworth/golearn/base"
	"github.com/sjwhitworth/golearn/trees"

	"bellwether/models/grid"
)

// informationGain is golearn's rule of that name, made to choose the same split
// every time. golearn takes rows, inputs and classes from maps, so that sums
// round differently from run to run and among equally good splits another wins;
// here everything follows from counts, and the first of equals wins. Where no
// input parts the rows there is no split (golearn goes on with an empty side).
type informationGain struct{}

type labelled struct {
	x   float64
	yes bool
}

// GenerateSplitRule makes it a trees.RuleGenerator.
func (informationGain) GenerateSplitRule(f base.FixedDataGrid) *trees.DecisionTreeRule {
	_, n := f.Size()
	yes := make([]bool, n)
	var all counts
	for i := range yes {
		yes[i] = base.GetClass(f, i) == grid.Yes
		all.add(yes[i])
	}
	var rule *trees.DecisionTreeRule
	best := math.Inf(1)
	rows := make([]labelled, n)
	for _, attr := range base.AttributeDifference(f.AllAttributes(), f.AllClassAttributes()) {
		spec, err := f.GetAttribute(attr)
		if err != nil {
			panic("forest: golearn names an attribute it has not: " + err.Error())
		}
		for i := range rows {
			rows[i] = labelled{base.UnpackBytesToFloat(f.Get(spec, i)), yes[i]}
		}
		slices.SortFunc(rows, func(a, b labelled) int { return cmp.Compare(a.x, b.x) })
		var left counts
		for i := range n - 1 {
			left.add(rows[i].yes)
			a, b := rows[i].x, rows[i+1].x
			if a == b {
				continue
			}
			if e := left.disorder() + all.without(left).disorder(); e < best {
				at := a + (b-a)/2
				if at >= b { // neighbours of each other
					at = a
				}
				best, rule = e, &trees.DecisionTreeRule{SplitAttr: attr, SplitVal: at}
			}
		}
	}
	return rule
}

// counts is rows of No and of Yes.
type counts [2]float64

func (c *counts) add(yes bool) {
	if yes {
		c[1]++
	} else {
		c[0]++
	}
}

func (c counts) without(d counts) counts { return counts{c[0] - d[0], c[1] - d[1]} }

// disorder is the rows' number times their entropy.
func (c counts) disorder() float64 {
	return xlogx(c[0]+c[1]) - xlogx(c[0]) - xlogx(c[1])
}

func xlogx(x float64) float64 {
	if x == 0 {
		return 0
	}
	return x * math.Log(x)
}
