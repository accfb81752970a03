// Package trial compares learners honestly on one table and decides whether the
// best of them may be published.
//
// Run does the whole of it with numbers alone: it splits the rows by time,
// weighs those whose outcome was known early so that they do not stand for the
// rest, looks for columns that give the answer away, fits every learner on the
// same rows (an OpenLearner on those still open too), calibrates each on rows it has not seen, chooses on the validation
// slice, fits the choice again on everything before the test slice and measures
// it there once. The Report it returns is what `bellwether train` prints; the
// Predictor is what a registry keeps.
//
// The package touches no disk and no clock. What a split, a weight and a gate
// are exactly is said in split.go, censor.go and gate.go.
//
// # Bytes of a Predictor
//
// All numbers are little-endian.
//
//	8 bytes   "BWPRED01"
//	4+n       JSON: {"columns":[{"name","kind"}],"learner":NAME,"sets":[{"level","one","zero"}]}
//	4+n       the model, as its learner wrote it
//	4+n       the calibrator, as package calibrate wrote it
//	32 bytes  SHA-256 of everything before
package trial
