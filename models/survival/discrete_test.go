package survival_test

import (
	"context"
	"math"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"bellwether/models/survival"
)

// plainLoss is what Discrete minimises, row by row and period by period: the
// log loss of each period entered, and half of l2 times the squares of the
// coefficients on the scale of the columns' deviations.
func plainLoss(m *survival.DiscreteModel, d survival.Data, x [][]float64, sd []float64, l2 float64) float64 {
	loss := 0.0
	for i, at := range d.Time {
		row := make([]float64, len(x))
		for j := range x {
			row[j] = x[j][i]
		}
		for k, end := range m.Edges {
			begun := 0.0
			if k > 0 {
				begun = m.Edges[k-1]
			}
			here := at > begun && at <= end && d.Event[i]
			if !here && at < end {
				break // left within the period, or before it
			}
			h := m.Hazard(row, k)
			if here {
				loss -= d.Weight[i] * math.Log(h)
				break
			}
			loss -= d.Weight[i] * math.Log(1-h)
		}
	}
	for j, b := range m.Coef {
		loss += l2 / 2 * b * b * sd[j] * sd[j]
	}
	return loss
}

// Around the fit, the plain loss goes up whichever way one steps.
func TestDiscreteIsTheMinimum(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		d, _ := drawData(t)
		n := len(d.Time)
		x := make([][]float64, rapid.IntRange(0, 3).Draw(t, "columns"))
		sd := make([]float64, len(x))
		for j := range x {
			x[j] = rapid.SliceOfN(rapid.Float64Range(-3, 5), n, n).Draw(t, "x")
			mass, sum, squares := 0.0, 0.0, 0.0
			for i, v := range x[j] {
				mass, sum, squares = mass+d.Weight[i], sum+d.Weight[i]*v, squares+d.Weight[i]*v*v
			}
			if sd[j] = math.Sqrt(squares/mass - sum/mass*sum/mass); sd[j] < .1 {
				t.Skip("a column that says next to nothing")
			}
		}
		l2 := rapid.SampledFrom([]float64{.5, 1, 4}).Draw(t, "l2")
		m, err := survival.Discrete{Edges: []float64{2, 3, 5}, L2: l2}.Fit(context.Background(), d, x)
		if err != nil {
			if strings.Contains(err.Error(), "no row was watched through the first period") || strings.Contains(err.Error(), survival.ErrNoEvent.Error()) {
				t.Skip(err)
			}
			t.Fatal(err)
		}
		least := plainLoss(m, d, x, sd, l2)
		for _, of := range [][]float64{m.Base, m.Coef} {
			for k := range of {
				for _, step := range []float64{-.3, .3} {
					of[k] += step
					if loss := plainLoss(m, d, x, sd, l2); loss < least-1e-3 {
						t.Fatalf("a step of %v lowers the loss from %v to %v: base %v, coefficients %v", step, least, loss, m.Base, m.Coef)
					}
					of[k] -= step
				}
			}
		}
	})
}
