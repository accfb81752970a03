package calibrate_test

import (
	"fmt"

	"bellwether/models/calibrate"
)

// Of ten cases scored 0.8 five came true, of ten scored 0.2 one: the score
// becomes a chance, with the two answers of Venn and Abers about it: what it would
// be if this case came out as no, and if as yes.
func ExampleFit() {
	var raw, y []float64
	for i := range 20 {
		score, came := 0.2, i == 0
		if i >= 10 {
			score, came = 0.8, i < 15
		}
		raw, y = append(raw, score), append(y, 0)
		if came {
			y[i] = 1
		}
	}
	c, err := calibrate.Fit(calibrate.VennAbers, raw, y, nil)
	if err != nil {
		fmt.Println(err)
		return
	}
	for _, score := range []float64{0.2, 0.8} {
		p, lo, hi := c.Calibrate(score)
		fmt.Printf("%.1f: %.2f in [%.2f, %.2f]\n", score, p, lo, hi)
	}
	// Output:
	// 0.2: 0.17 in [0.09, 0.18]
	// 0.8: 0.50 in [0.45, 0.55]
}
