package trial

import (
	"encoding/json"
	"fmt"
	"math"
	"time"
)

// Number is a figure that may be unknown: NaN and the infinities are null in
// JSON.
type Number float64

// MarshalJSON writes the number, or null.
func (n Number) MarshalJSON() ([]byte, error) {
	if math.IsNaN(float64(n)) || math.IsInf(float64(n), 0) {
		return []byte("null"), nil
	}
	return json.Marshal(float64(n))
}

// UnmarshalJSON reads a number; null is NaN.
func (n *Number) UnmarshalJSON(b []byte) error {
	if string(b) == "null" {
		*n = Number(math.NaN())
		return nil
	}
	return json.Unmarshal(b, (*float64)(n))
}

// Report is what a trial found. Its JSON begins with the fields that programs
// rely on; the rest is in Details.
type Report struct {
	Task        string `json:"task"`
	Version     string `json:"version"` // filled in by who publishes; empty when nothing was
	Published   bool   `json:"published"`
	Gate        Ruling `json:"gate"`
	Split       Split  `json:"split"`
	Test        Test   `json:"test"`
	Leaderboard []Row  `json:"leaderboard"`
	Seeds       Seeds  `json:"seeds"`
	Seed        uint64 `json:"seed"`
	Details
}

// Details are the parts of a Report that people read: the winner, why it may be
// believed and where it is weak.
type Details struct {
	Winner      string        `json:"winner"`
	Settings    string        `json:"settings,omitempty"` // of the learners that did not have their defaults
	Skill       string        `json:"skill"`              // one sentence: how much, or that there is none
	Notes       []string      `json:"notes"`              // what a careful reader should know about this trial
	Rows        []Tally       `json:"rows"`               // from the data to what was fitted on, each step with what it left out
	Calibrator  string        `json:"calibrator"`
	Calibration []Calibration `json:"calibration"` // every kind tried, on the test slice
	Reliability []Bin         `json:"reliability"` // the winner on the test slice, bins of equal mass
	BrierSplit  BrierSplit    `json:"brier_split"`
	Lift        []Lift        `json:"lift"`
	Ranking     *Ranking      `json:"ranking,omitempty"` // within groups, where the table has them
	Importance  []Importance  `json:"importance"`        // the winner's, greatest gain first, by permutation where there is no gain
	Dependence  []Dependence  `json:"dependence"`        // of the few columns that matter most by permutation
	Segments    []Segment     `json:"segments,omitempty"`
	Intervals   Intervals     `json:"intervals"`
	Certainty   []Certainty   `json:"certainty"` // the sets of labels of each level
	Incumbent   *Comparison   `json:"incumbent,omitempty"`
	Fingerprint string        `json:"fingerprint"` // SHA-256 of the published predictor's bytes
}

// Fitted is how many rows the winner was fitted on: 0 where it was given.
func (r *Report) Fitted() int {
	for _, e := range r.Leaderboard {
		if e.Learner == r.Winner {
			return e.Rows
		}
	}
	return 0
}

// Learned says what the model learned from, which is the same whether it is tested
// or published.
func (r *Report) Learned() string {
	from := "none of these rows"
	if n := r.Fitted(); n > 0 {
		from = fmt.Sprintf("%d rows before the test slice and on none of it", n)
	}
	return fmt.Sprintf("what is tested is what is published: fitted on %s, calibrated by the %d of the validation slice", from, r.Split.Valid.Rows)
}

// Window is from when to when it did so; false without time.
func (r *Report) Window() (from, to time.Time, ok bool) {
	first := r.Split.Train.From
	if r.Fitted() == 0 {
		first = r.Split.Valid.From
	}
	if first == nil || r.Split.Test.From == nil {
		return from, to, false
	}
	return *first, *r.Split.Test.From, true
}

// Ruling is what the gate said: passed, or every reason why not.
type Ruling struct {
	Passed  bool     `json:"passed"`
	Reasons []string `json:"reasons"`
}

// Split says which rows were used for what, and how they were divided.
type Split struct {
	How   string `json:"how"`
	Train Slice  `json:"train"`
	Valid Slice  `json:"valid"`
	Test  Slice  `json:"test"`
	// Fitted is how many rows before the test slice had a label when it begins: what
	// learners are fitted on for the figures of the test.
	Fitted int `json:"fitted"`
}

// Slice is one part of the rows. Rows are those with a label in time; Censored
// are those whose label was not known when the next slice began.
type Slice struct {
	Rows      int        `json:"rows"`
	From      *time.Time `json:"from"`
	To        *time.Time `json:"to"`
	Positives int        `json:"positives"`
	Censored  int        `json:"censored"`
}

// Scores are the figures of one learner on one slice.
type Scores struct {
	AUC     Number `json:"auc"`
	LogLoss Number `json:"log_loss"`
	Brier   Number `json:"brier"`
	ECE     Number `json:"ece"`
}

// Test is the winner on the test slice.
type Test struct {
	Rows      int    `json:"rows"`
	Positives int    `json:"positives"`
	AUC       Number `json:"auc"`
	AUCLo     Number `json:"auc_lo"`
	AUCHi     Number `json:"auc_hi"`
	LogLoss   Number `json:"log_loss"`
	Brier     Number `json:"brier"`
	ECE       Number `json:"ece"`
}

// Row is one learner in the leaderboard. All are fitted on the same rows, save
// those marked by fewer Rows.
type Row struct {
	Learner    string  `json:"learner"`
	Rows       int     `json:"rows"` // rows it was fitted on for the test figures
	Valid      Scores  `json:"valid"`
	Test       Scores  `json:"test"`
	FitSeconds float64 `json:"fit_seconds"`
	Baseline   bool    `json:"baseline,omitempty"` // shown to compare with; cannot win
	Error      string  `json:"error,omitempty"`    // why it has no figures
}

// Seeds is the spread of the winner's test AUC over repeated fits.
type Seeds struct {
	N       int    `json:"n"`
	AUCMean Number `json:"auc_mean"`
	AUCSD   Number `json:"auc_sd"`
}

// Calibration is one kind of calibrator on the test slice.
type Calibration struct {
	Kind string `json:"kind"`
	// OutOfTime is the log loss on the validation slice, each part of it
	// calibrated by the parts before; the kind with the least was chosen. Null for
	// kinds that were not tried.
	OutOfTime Number `json:"out_of_time"`
	Scores
}

// Intervals is how the intervals fared on the test slice. Each is to hold the rate
// of rows scored alike, in Level of all cases: that of any one of those a column
// names or, where none was given, that of all such rows.
type Intervals struct {
	Level Number `json:"level"`
	Whose string `json:"whose,omitempty"` // the column
	Width Number `json:"width"`           // mean
	Of    int    `json:"of"`              // how many were looked at: those named, else bins of equal mass
	// Held is the share of them whose outcomes came to what their intervals allow,
	// give or take what chance does to so few rows.
	Held Share `json:"held"`
}

// Certainty is how the sets of labels of one level fared on the test slice: how
// many rows the winner was sure enough of, and how often a row's label was in its
// set, which was promised for each label with the level as its share, had the
// world stayed as it was.
type Certainty struct {
	Level   Number `json:"level"`
	Sure    Number `json:"sure"` // share of rows with one label in their set
	Both    Number `json:"both"` // with both: ask a person
	None    Number `json:"none"` // with none: unlike any row that calibrated
	Covered Number `json:"covered"`
	Ones    Share  `json:"ones"` // covered among the rows of label 1
	Zeros   Share  `json:"zeros"`
	// Short is set if a label was covered less often than promised by more than
	// chance, that of the rows the sets come of included: the world has moved.
	Short bool `json:"short"`
}

// Share is a share with its 95 % interval.
type Share struct {
	Value Number `json:"value"`
	Lo    Number `json:"lo"`
	Hi    Number `json:"hi"`
}

// Bin is one bar of the reliability picture.
type Bin struct {
	Rows      int    `json:"rows"`
	Predicted Number `json:"predicted"` // mean probability
	Observed  Number `json:"observed"`  // share of positives
	Lo        Number `json:"lo"`        // 95 % interval of Observed
	Hi        Number `json:"hi"`
}

// BrierSplit is Murphy's: Brier = Reliability - Resolution + Uncertainty, up to
// the spread within bins.
type BrierSplit struct {
	Reliability Number `json:"reliability"`
	Resolution  Number `json:"resolution"`
	Uncertainty Number `json:"uncertainty"`
}

// Lift is how many times more positives than average the best-scored share of
// the test rows holds.
type Lift struct {
	Share Number `json:"share"`
	Lift  Number `json:"lift"`
}

// Ranking measures the order within groups that hold both outcomes.
type Ranking struct {
	Groups int    `json:"groups"`
	NDCG   Number `json:"ndcg"`
	Hit1   Number `json:"hit1"`
	Hit3   Number `json:"hit3"`
}

// Importance is what one column is worth to the winner, by three definitions
// that need not agree. What a learner makes of a column, such as rates of a
// category or of a pair, counts for the column.
type Importance struct {
	Column string `json:"column"`
	// Share is the column's of the gain of all splits in training; of a pair,
	// half each. Null for a learner without gains.
	Share Number `json:"share"`
	// Permutation is the rise of the log loss on test rows when the column's
	// values are dealt anew among them, with a 95 % interval over repeats: it
	// knows the luck of the deal, not that of the rows.
	Permutation   Number `json:"permutation"`
	PermutationLo Number `json:"permutation_lo"`
	PermutationHi Number `json:"permutation_hi"`
	// Shapley is the mean over test rows of the absolute Shapley value in log-odds
	// (path-dependent, exact). Null for a learner that cannot say it.
	Shapley Number `json:"shapley"`

	at int // the column's place
}

// Dependence is how the mean probability follows one column while the others
// stay as they are (partial dependence): some of these rows may not exist.
type Dependence struct {
	Column   string            `json:"column"`
	Category bool              `json:"category,omitempty"`
	Date     bool              `json:"date,omitempty"` // Unix seconds
	Points   []DependencePoint `json:"points"`
}

// DependencePoint is the column at one value.
type DependencePoint struct {
	Value Number `json:"value"` // null for a category
	Text  string `json:"text,omitempty"`
	Share Number `json:"share"` // of the rows that have it, or lie between it and the value before
	Mean  Number `json:"mean"`
	Lo    Number `json:"lo"` // tenth and ninetieth percentile over the rows
	Hi    Number `json:"hi"`
}

// Segment is the winner on one part of the test slice.
type Segment struct {
	Name      string `json:"name"`
	Value     string `json:"value"`
	Rows      int    `json:"rows"`
	Positives int    `json:"positives"`
	Predicted Number `json:"predicted"` // mean probability
	AUC       Number `json:"auc"`
	AUCLo     Number `json:"auc_lo"`
	AUCHi     Number `json:"auc_hi"`

	Observed   Number `json:"observed"` // share that came true, with its 95 % interval
	ObservedLo Number `json:"observed_lo"`
	ObservedHi Number `json:"observed_hi"`
	LogLoss    Number `json:"log_loss"`
	ECE        Number `json:"ece"` // over fewer bins where the rows are few
}

// Comparison is the model in force on the same test rows.
type Comparison struct {
	Scores
	Difference   Number `json:"auc_difference"` // new less old
	DifferenceLo Number `json:"auc_difference_lo"`
	DifferenceHi Number `json:"auc_difference_hi"`
}
