package record

import "time"

// Explanation says why a decision is what it is: for the partner chosen, or for
// one that asks why it was not. It is made again from the log as it was and the
// model that answered, so it says what was known then.
type Explanation struct {
	Decision DecisionID  `json:"decision"`
	Lead     LeadID      `json:"lead"`
	At       time.Time   `json:"at"`
	Model    string      `json:"model,omitempty"` // empty: rules and shrunk rates
	Currency string      `json:"currency"`        // of values and amounts, in its minor units
	Chosen   PartnerID   `json:"chosen,omitempty"`
	Sentence string      `json:"sentence"`           // the answer in one sentence
	Partners []Explained `json:"partners,omitempty"` // the best few and the chosen one; with a contrast these two
	Refusals []RefusedBy `json:"refusals,omitempty"` // every rule that refused somebody
	Contrast *Contrast   `json:"contrast,omitempty"`
}

// Explained is a candidate with what speaks for it and against it.
type Explained struct {
	Candidate
	Rank    int      `json:"rank"` // by value, from 1; equals share it
	Enough  bool     `json:"enough"`
	For     []string `json:"reasons_for,omitempty"`     // at most three, what moved its chance to win the most first
	Against []string `json:"reasons_against,omitempty"` // likewise
	Notes   []string `json:"notes,omitempty"`           // what else went into its value, and how much is known of it
}

// RefusedBy is a rule, what it says and how many partners it refused.
type RefusedBy struct {
	Rule   string `json:"rule"`
	Reason string `json:"reason"`
	Count  int    `json:"count"`
}

// Contrast holds a partner against the chosen one. One that was refused has a
// Rule and a Reason and nothing else.
type Contrast struct {
	Partner PartnerID `json:"partner"`
	Rule    string    `json:"rule,omitempty"`
	Reason  string    `json:"reason,omitempty"`

	Parts       []ValuePart  `json:"parts,omitempty"`       // of its value less the chosen one's, which they sum to
	LogOdds     float64      `json:"log_odds,omitempty"`    // of the model's answer before calibration, less the chosen one's
	Differences []Difference `json:"differences,omitempty"` // what LogOdds comes of: at most three each way, largest first
	Rest        float64      `json:"rest,omitempty"`        // LogOdds less the Differences
	Changes     []Change     `json:"changes,omitempty"`     // each alone would have changed the order; the smallest first
	NoChange    string       `json:"no_change,omitempty"`   // why Changes is empty
}

// ValuePart is what one thing contributes to a difference in value.
type ValuePart struct {
	Of     string  `json:"of"`     // win, accept, load or fairness
	Amount float64 `json:"amount"` // minor units of the policy's currency
	Text   string  `json:"text"`
}

// Difference is what one trait in which two partners differ moved the log-odds
// of winning by.
type Difference struct {
	Feature string  `json:"feature"`
	LogOdds float64 `json:"log_odds"`
	Text    string  `json:"text"` // both sides' figures
}

// Change is one input of a partner moved, all else left as it was, so that its
// value exceeds the chosen one's.
type Change struct {
	Feature string  `json:"feature"`
	From    float64 `json:"from"`
	To      float64 `json:"to"`
	Steps   int     `json:"steps"` // thresholds of the model between From and To
	Win     float64 `json:"win"`   // as they would have been
	Accept  float64 `json:"accept"`
	Value   float64 `json:"value"`
	Text    string  `json:"text"`
}
