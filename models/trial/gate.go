package trial

import "strings"

// Gate is what a model must show before it may be published. Zero fields mean
// the defaults beside them.
type Gate struct {
	MinPositives, MinNegatives int     // known outcomes of each kind before the test slice; 40
	MinAUC                     float64 // the lower 95 % bound of the test AUC must be above it; 0.60
	AUCTolerance               float64 // how much lower than the incumbent's AUC may be; 0.01
	LogLossTolerance           float64 // how much higher log loss may be; 0.005
	ECETolerance               float64 // how much higher ECE may be; 0.01
}

// Refusal says why nothing was fitted: too little data, or a column that gives
// the answer away.
type Refusal struct{ Reasons []string }

// Error joins the reasons.
func (r *Refusal) Error() string { return "refused: " + strings.Join(r.Reasons, "; ") }
