package trial

import (
	"fmt"
	"math"
	"math/rand/v2"

	"bellwether/models"
	"bellwether/models/metric"
)

// maxColumnAUC is how well one column alone may tell the label. Single inputs
// known at the decision reach 0.76 on the tables we know (days since the last
// order, for churn) and outcome columns that slipped in 0.93 to 1. So 0.995
// names what is surely a copy of the label, and never a good input.
const maxColumnAUC = 0.995

// leaks names the columns that give the label away: alone, in either direction,
// or by the rate of their values in one half of the rows, told for the other.
// A column that is only filled in once the outcome is known is found by its
// missing values.
func leaks(t *models.Table, seed uint64) []string {
	half := make([]bool, t.Len())
	rng := rand.New(rand.NewPCG(seed, 0x1eac))
	for i := range half {
		half[i] = rng.IntN(2) == 0
	}
	var fit, held []int
	for i, h := range half {
		if h {
			fit = append(fit, i)
		} else {
			held = append(held, i)
		}
	}
	if len(fit) == 0 || len(held) == 0 {
		return nil
	}
	var out []string
	for j, c := range t.Columns {
		one := &models.Table{Columns: t.Columns[j : j+1], X: t.X[j : j+1], Y: t.Y, Weight: t.Weight}
		auc := heldOutAUC(one.Take(fit), one.Take(held))
		if c.Kind == models.Numeric {
			auc = max(auc, directAUC(t.X[j], t.Y, t.Weight))
		}
		if auc >= maxColumnAUC {
			out = append(out, fmt.Sprintf("column %q alone tells the label (AUC %.4f): it is the outcome, or is written after it; leave it out (--drop)", c.Name, auc))
		}
	}
	return out
}

func heldOutAUC(fit, held *models.Table) float64 {
	m := ratesOf(fit, 0)
	p := make([]float64, held.Len())
	if m.Predict(p, held) != nil {
		return 0
	}
	return orZero(metric.AUC(p, held.Y, held.Weight))
}

// directAUC is a column's own AUC in its better direction, over the rows that
// have it. A column too sparse to say is left to heldOutAUC.
func directAUC(col, y, w []float64) float64 {
	var x, z, v []float64
	for i, c := range col {
		if !math.IsNaN(c) {
			x, z = append(x, c), append(z, y[i])
			if w != nil {
				v = append(v, w[i])
			}
		}
	}
	if len(x) < len(col)/2 {
		return 0
	}
	auc := metric.AUC(x, z, v)
	return orZero(max(auc, 1-auc))
}

func orZero(x float64) float64 {
	if math.IsNaN(x) {
		return 0
	}
	return x
}
