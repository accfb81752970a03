package trial

import (
	"context"
	"time"

	"bellwether/models"
)

// Config says how a trial is run. The zero value, with a Task, is a good one.
type Config struct {
	Task     string           // what is learned, for the report: "win"
	Learners []models.Learner // nil: the default ones of Learners
	Seeds    int              // how often the winner is fitted again; 0 means defaultSeeds, less than 0 never
	Seed     uint64
	Eval     []bool    // rows that count in the validation and test slices; nil: all
	TestFrom time.Time // first moment of the test slice; zero: the newest fifth of the rows
	// ValidFrom is the first moment of the validation slice; zero: the fifth
	// before the test slice.
	ValidFrom time.Time
	Gate      Gate
	Incumbent *Predictor       // the model in force, to be no worse than
	Segments  []Segmentation   // parts of the rows to report on
	Rates     []string         // columns whose own shrunk rate is a baseline
	Clock     func() time.Time // for fit_seconds; nil: not measured
	Progress  func(Step)       // told before each piece of work; may be nil
}

// Segmentation names one value per row of the table.
type Segmentation struct {
	Name   string
	Values []string // "" is left out
}

// Step is where a trial is: piece Done of Total, about to do What. A Loss, if
// not 0, is the validation log loss the last piece ended with.
type Step struct {
	What        string
	Done, Total int
	Loss        float64
}

// Run compares the learners on t and returns what it found, with a Predictor
// that holds the winner, whether or not the gate lets it pass. Where there is
// too little data, or a column gives the answer away, nothing is fitted: the
// error is a *Refusal and the Report says the same in its Gate.
func Run(ctx context.Context, t *models.Table, c Config) (*Report, *Predictor, error) {
	return nil, nil, nil
}
