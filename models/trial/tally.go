package trial

import (
	"fmt"
	"slices"

	"bellwether/models"
)

// Tally is how many rows were left after a step on the way from the data to the
// fits.
type Tally struct {
	What string `json:"what"`
	Rows int    `json:"rows"`
	Less []Less `json:"less,omitempty"` // what makes them fewer than after the step before: they sum to the difference
}

// Less is some rows that a step left out.
type Less struct {
	Rows int    `json:"rows"`
	Why  string `json:"why"`
}

// Then returns the step after this one: what is left when these are taken away.
// Those of no rows are not kept.
func (t Tally) Then(what string, less ...Less) Tally {
	next := Tally{What: what, Rows: t.Rows}
	for _, l := range less {
		if next.Rows -= l.Rows; l.Rows != 0 {
			next.Less = append(next.Less, l)
		}
	}
	return next
}

// String writes what stands behind the number of rows.
func (t Tally) String() string {
	between, text := ": without ", t.What
	for _, l := range t.Less {
		text += fmt.Sprintf("%s%d %s", between, l.Rows, l.Why)
		between = " and "
	}
	return text
}

// tally goes on from the steps to the table with those through a split: to the fits
// or, where no learner is fitted here, to the rows that calibrate.
func (s *split) tally(t *models.Table, steps []Tally, given bool) []Tally {
	if len(steps) == 0 {
		steps = []Tally{{What: "in the table", Rows: t.Len()}}
	}
	all := steps[len(steps)-1]
	before, of := len(s.last.rows), ""
	if s.timed {
		before, of = len(s.last.open), "'s time"
	}
	tested := len(s.test.rows) + s.test.censored
	early := all.Then("before the test slice", Less{tested, "in it"}, Less{t.Len() - before - tested, "of its time that count in training only"})
	steps = append(slices.Clone(steps), early)
	if given {
		older := len(s.train.rows)
		if s.timed {
			older = len(s.train.open)
		}
		return append(steps, early.Then("to calibrate by, and none to fit on: the model is given", Less{older, "of the training slice" + of},
			Less{s.valid.censored, "whose label was not known when the test slice begins"},
			Less{before - older - s.valid.censored - len(s.valid.rows), "of the validation slice" + of + " that count in training only"}))
	}
	fitted := early.Then("fitted on for the figures of the test", Less{s.last.censored, "whose label was not known when it begins"},
		Less{before - len(s.last.rows) - s.last.censored, "still open then"})
	held := 0 // back for the validation slice
	for _, i := range s.last.rows {
		if s.timed && t.At[i] >= s.train.horizon {
			held++
		}
	}
	if !s.timed {
		held = len(s.last.rows) - len(s.train.rows)
	}
	first := fitted.Then("fitted on first, to choose and calibrate by the validation slice", Less{held, "of the validation slice" + of},
		Less{len(s.last.rows) - held - len(s.train.rows), "whose label was not known when that begins"})
	return append(steps, fitted, first)
}
