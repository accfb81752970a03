package health

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
	"time"

	"bellwether/datasets/record"
	"bellwether/features"
	"bellwether/models"
	"bellwether/models/gbdt"
	"bellwether/models/trial"
)

// identity are the columns that tell one partner from all others. The months of
// one partner overlap in their horizons, so that a learner who can recognise it
// learns what became of it, not why: without them the AUC of the trees on the
// Olist sellers rises from 0.788 to 0.804.
var identity = []string{"partner_id", "partner_latitude", "partner_longitude"}

// Months gathers the month rows of a replay until their labels are known.
type Months struct {
	columns  []models.Column
	partners []record.PartnerID
	at       []int64
	x        [][]float64
}

// NewMonths gathers rows of the partner block of a set.
func NewMonths(set *features.Set) *Months {
	_, from, to := set.Sides()
	return newMonths(set.Columns()[from:to])
}

func newMonths(columns []models.Column) *Months {
	return &Months{columns: columns, x: make([][]float64, len(columns))}
}

// Add takes in rows, each as wide as the partner's block; it copies what it keeps.
// It fits features.Sink.Months.
func (m *Months) Add(rows *features.Rows) error {
	if rows.Width != len(m.columns) {
		return fmt.Errorf("month rows are %d wide, the partner block %d", rows.Width, len(m.columns))
	}
	for i, k := range rows.Keys {
		m.partners, m.at = append(m.partners, k.Partner), append(m.at, k.At.Unix())
		for j := range m.x {
			m.x[j] = append(m.x[j], rows.X[i*rows.Width+j])
		}
	}
	return nil
}

// Training is what a trial of churn needs.
type Training struct {
	Table     *models.Table // At: the month start; Known: when the label was; Ended: when the partner was known to do business again
	Beside    *models.Table // who each row is of, for the baseline of trial.Config.Rates
	Partners  []record.PartnerID
	trial.Cut           // tested from the newest month whose horizon is complete; open are the months whose horizon is not over then
	TrainTo   time.Time // the newest month whose labels were known at TestFrom
	Tally     []trial.Tally

	horizon int    // in days
	first   string // the first month
	last    int64  // the newest one whose horizon is complete
}

// Learners fits a list of learners to month rows and adds the hand-set weights
// as a baseline. Three months share each day of a horizon of 90, so that rows say
// about a third of what their number promises: trees left to their defaults get
// 8 leaves of at least 60 rows, three times the default's 20.
func Learners(of []models.Learner) []models.Learner {
	out := slices.Clone(of)
	for i, l := range out {
		if g, ok := l.(gbdt.Learner); ok {
			g.Leaves, g.MinRows = cmp.Or(g.Leaves, 8), cmp.Or(g.MinRows, 60)
			out[i] = g
		}
	}
	return append(out, Weights{})
}

// validShare is how much of the months known before the test is held back to
// choose and calibrate.
const validShare = 0.2

// Training labels the rows and cuts them in time: the test is the newest month
// whose horizon is complete (or testFrom, where that is not zero), and only
// months whose labels were known by then count before it. Rows of the months in
// between are open, all of them, because those whose label came early would all
// be leavers. The validation slice is the newest of the remaining months
// that hold a fifth of the rows.
func (m *Months) Training(l *Labels, testFrom time.Time) (*Training, error) {
	y, known, ended, rows := make([]float64, len(m.at)), make([]int64, len(m.at)), make([]int64, len(m.at)), []int{}
	newest, complete := int64(0), l.Complete()
	for i, at := range m.at {
		month := time.Unix(at, 0).UTC()
		var counts bool
		if y[i], known[i], counts = l.Churn(m.partners[i], month); !counts {
			continue
		}
		ended[i] = l.Stayed(m.partners[i], month)
		rows = append(rows, i)
		if at > newest && !complete.Before(l.end(month)) {
			newest = at
		}
	}
	if newest == 0 {
		return nil, m.nothing(l, len(rows), complete)
	}
	first := dateOf(m.at[slices.MinFunc(rows, func(a, b int) int { return cmp.Compare(m.at[a], m.at[b]) })])
	t := &Training{}
	t.TestFrom = time.Unix(newest, 0).UTC()
	if !testFrom.IsZero() {
		t.TestFrom = testFrom
	}
	judged := len(rows)
	rows = slices.DeleteFunc(rows, func(i int) bool {
		return m.at[i] > t.TestFrom.Unix()
	})
	months := trial.Tally{What: "months of partners", Rows: len(m.at)}
	busy := months.Then("of one that may leave", trial.Less{Rows: len(m.at) - judged, Why: "of one that did no business lately, had ended or was absorbed"})
	t.Tally = []trial.Tally{months, busy, busy.Then("up to the test's month", trial.Less{Rows: judged - len(rows), Why: "later"})}
	slices.SortStableFunc(rows, func(a, b int) int { return int(m.at[a] - m.at[b]) })
	all := &models.Table{Columns: m.columns, X: m.x, Y: y, At: m.at, Known: known, Ended: ended, Horizon: int64(l.cfg.HorizonDays) * secondsPerDay}
	learn, beside := split(all.Take(rows))
	t.Table, t.Beside, t.horizon, t.first, t.last = learn, beside, l.cfg.HorizonDays, first, newest
	for _, i := range rows {
		t.Partners = append(t.Partners, m.partners[i])
		t.Open = append(t.Open, m.at[i] < t.TestFrom.Unix() && l.end(time.Unix(m.at[i], 0).UTC()).After(t.TestFrom))
	}
	return t, t.cut()
}

// nothing says why no month can be tested on.
func (m *Months) nothing(l *Labels, judged int, complete time.Time) error {
	if len(m.at) == 0 {
		return record.Errorf(record.Refused, "train churn", "no month begins within the data, and what becomes of partners takes %d days more: data of more time is needed", l.cfg.HorizonDays)
	}
	if judged == 0 {
		names := make([]string, len(l.cfg.Qualifying))
		for i, q := range l.cfg.Qualifying {
			names[i] = string(q)
		}
		return record.Errorf(record.Refused, "train churn", "none of the %d months of partners follows business in the %d days before, which shows by events %s: the data holds none, or too few days of it",
			len(m.at), l.cfg.ActiveDays, strings.Join(names, ", "))
	}
	return record.Errorf(record.Refused, "train churn", "no month has a complete horizon of %d days: the data reaches to %s, and the months begin on %s: data of more time is needed",
		l.cfg.HorizonDays, complete.Format(time.DateOnly), dateOf(slices.Min(m.at)))
}

func dateOf(unix int64) string { return time.Unix(unix, 0).UTC().Format(time.DateOnly) }

// split takes the identity out of a table.
func split(t *models.Table) (learn, beside *models.Table) {
	learn, beside = &models.Table{Y: t.Y, At: t.At, Known: t.Known, Ended: t.Ended, Horizon: t.Horizon}, &models.Table{}
	for j, c := range t.Columns {
		to := learn
		if slices.Contains(identity, c.Name) {
			to = beside
		}
		to.Columns, to.X = append(to.Columns, c), append(to.X, t.X[j])
	}
	return learn, beside
}

func (l *Labels) end(month time.Time) time.Time { return month.AddDate(0, 0, l.cfg.HorizonDays) }

// cut finds TrainTo and ValidFrom.
func (t *Training) cut() error {
	at := t.Table.At
	test, _ := slices.BinarySearch(at, t.TestFrom.Unix())
	n := test
	if open := slices.Index(t.Open, true); open >= 0 {
		n = open // the open months come right before the test
	}
	day := t.TestFrom.Format(time.DateOnly)
	switch {
	case len(at) == 0 || test == len(at):
		return record.Errorf(record.Refused, "train churn", "no month begins on %s: of the data, those from %s to %s can be tested on", day, t.first, dateOf(t.last))
	case n == 0:
		return record.Errorf(record.Refused, "train churn", "no month before %s tells by then what became of its partners: that takes %d days, and the first month of the data is %s; test on a later month, or bring data of more time",
			day, t.horizon, t.first)
	}
	t.TrainTo = time.Unix(at[n-1], 0).UTC()
	valid := min(int((1-validShare)*float64(n)), n-1)
	first, _ := slices.BinarySearch(at, at[0]+1)
	if valid = max(valid, first); valid >= n {
		return record.Errorf(record.Refused, "train churn", "only the month %s has labels known at %s: more months are needed",
			t.TrainTo.Format(time.DateOnly), t.TestFrom.Format(time.DateOnly))
	}
	t.ValidFrom = time.Unix(at[valid], 0).UTC()
	return nil
}
