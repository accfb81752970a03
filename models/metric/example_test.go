package metric_test

import (
	"fmt"

	"bellwether/models/metric"
)

// Eight cases, in the order of their scores but for one pair.
func ExampleAUCInterval() {
	p := []float64{0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8}
	y := []float64{0, 0, 0, 1, 0, 1, 1, 1}
	auc := metric.AUCInterval(p, y, nil)
	fmt.Printf("%.3f in [%.3f, %.3f], log loss %.3f\n", auc.Value, auc.Lo, auc.Hi, metric.LogLoss(p, y, nil))
	// Output:
	// 0.938 in [0.764, 1.000], log loss 0.423
}
