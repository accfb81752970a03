package routing

import (
	"bellwether/datasets/record"
	"bellwether/models/calibrate"
	"bellwether/models/trial"
)

// sureLevel is how often the right label is in the win model's set, for each
// label by itself: nine times in ten.
const sureLevel = 0.9

// unsure says that a person should decide, where the win model cannot tell won
// from lost; "" where it can, and where no model says whether it can.
func (c *Case) unsure(k *record.Candidate) string {
	if c.model == nil {
		return ""
	}
	switch labels, known := c.model.Win.Labels(trial.Probability{P: k.Win}, sureLevel); {
	case !known || labels.Sure():
		return ""
	case labels == calibrate.Nobody:
		return "ask a person, because at 90 % it is unlike the offers that were won and those that were lost"
	}
	return "ask a person, because the model cannot tell won from lost at 90 %"
}
