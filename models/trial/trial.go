package trial

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"math"
	"slices"
	"time"

	"bellwether/models"
	"bellwether/models/calibrate"
	"bellwether/models/metric"

	"gonum.org/v1/gonum/stat"
)

// Config says how a trial is run. The zero value, with a Task, is a good one.
type Config struct {
	Task     string           // what is learned, for the report: "win"
	Learners []models.Learner // nil: the default ones of Learners
	Seeds    int              // how often the winner is fitted again; 0 means defaultSeeds, less than 0 never
	Seed     uint64
	Cut
	Gate      Gate
	Incumbent *Predictor                               // the model in force, to be no worse than
	Segments  []Segmentation                           // parts of the rows to report on
	Rates     []string                                 // columns whose own shrunk rate is a baseline
	Whose     string                                   // column of those whose rate an interval is of; "": the rate of all rows scored alike
	Scan      Scan                                     // of the columns, for what was written after the outcome
	Beside    *models.Table                            // Columns and X of the same rows that no learner sees, only the baselines of Rates; may be nil
	Text      func(column string, code float64) string // what a category's code stands for, "" if not known; may be nil
	Settings  string                                   // of the learners that do not have their defaults, for the report
	Tally     []Tally                                  // steps from the data to the rows of the table, for the report; may be nil
	Watch
}

// Cut says which rows are what. The slices have a place for each row.
type Cut struct {
	Eval     []bool    // rows that count in the validation and test slices; nil: all
	Open     []bool    // rows whose label is left alone: an OpenLearner alone sees them, as open cases; nil: none; not without time
	TestFrom time.Time // first moment of the test slice; zero: the newest fifth of the rows
	// ValidFrom is the first moment of the validation slice; zero: the fifth
	// before the test slice. Without TestFrom the two halve the rows from then on.
	ValidFrom time.Time
}

// Watch is who looks on; each may be nil.
type Watch struct {
	Clock    func() time.Time // for fit_seconds; nil: not measured
	Progress func(Step)       // told before each piece of work
	Rounds   Rounds           // told after each round of a learner that has rounds
}

// Rounds is told the losses of a fit that goes on; valid is NaN where there is
// no validation slice.
type Rounds func(round int, train, valid float64)

// Segmentation names one value per row of the table.
type Segmentation struct {
	Name   string
	Values []string // "" is left out
}

// Step is where a trial is: Done of Total pieces, about to do What.
type Step struct {
	What        string
	Done, Total int
}

// Run compares the learners on t and returns what it found, with a Predictor
// that holds the winner, whether or not the gate lets it pass. Where there is
// too little data, or a column gives the answer away, nothing is fitted: the
// error is a *Refusal and the Report says the same in its Gate.
//
// Each learner is fitted twice. The first fit sees the train slice, and the
// validation slice only to stop early; its scores on the validation slice choose
// the winner and fit the calibrator. The second fit, as long as the first
// turned out to be, sees all rows before the test slice, and is what is measured
// there and returned.
//
// The calibrator is not fitted again, because it cannot be: the second model has
// learned from every row before the test slice, and its scores there are too
// sure of themselves. Those of the first model on the validation slice are
// honest, and the second is the same learner of the same size with a little
// more data: where it errs, it is a little better than its calibrator believes.
// To choose, a calibrator fitted on a row's own block would flatter flexible
// kinds, so the validation figures come from calibrators fitted on the other
// blocks (blockwise). Which kind of calibrator is decided forward in time within
// the validation slice (choose); its interval is always a band (calibrate.WithBand),
// of the rates of those that Whose names.
func Run(ctx context.Context, t *models.Table, c Config) (*Report, *Predictor, error) {
	if err := t.Check(true); err != nil {
		return nil, nil, fmt.Errorf("trial %s: %w", c.Task, err)
	}
	if c.Eval != nil && len(c.Eval) != t.Len() || c.Open != nil && (len(c.Open) != t.Len() || t.At == nil) {
		return nil, nil, fmt.Errorf("trial %s: Eval has %d rows, Open %d, the table %d", c.Task, len(c.Eval), len(c.Open), t.Len())
	}
	if c.Whose != "" && !slices.Contains(names(t.Columns), c.Whose) {
		return nil, nil, fmt.Errorf("trial %s: there is no column %q to take intervals of", c.Task, c.Whose)
	}
	r, err := newRun(t, c)
	if err != nil {
		return nil, nil, fmt.Errorf("trial %s: %w", c.Task, err)
	}
	if reasons := r.beforehand(); len(reasons) > 0 {
		r.report.Gate = Ruling{Reasons: reasons}
		return r.report, nil, &Refusal{reasons}
	}
	p, err := r.run(ctx)
	if err != nil {
		return nil, nil, fmt.Errorf("trial %s: %w", c.Task, err)
	}
	return r.report, p, nil
}

// defaultSeeds is enough to see a spread, and no more than five times the work.
const defaultSeeds = 5

// run is one trial under way.
type run struct {
	Config
	table  *models.Table
	split  *split
	report *Report
	tables
	doubts      []string // of the leakage scan
	done, total int
}

// tables are the parts of a split: what a learner is fitted on first, stopped
// early by and fitted on last, and what all are judged on. Their inputs lie in the
// table that was split: of many learners only those that read nothing but columns
// get their own, as long as they need them.
type tables struct{ train, stop, last, valid, test *models.Table }

func (s *split) tables(t *models.Table) tables {
	valid := s.valid.table(t)
	return tables{s.train.table(t), valid, s.last.table(t), valid, s.test.table(t)}
}

// tablesOf are those of the split for a learner; b has what it is judged on.
func (s *split) tablesOf(l models.Learner, t *models.Table, b tables) tables {
	if o, ok := l.(models.OpenLearner); ok && o.LearnsOpen() && s.timed {
		b.train, b.stop, b.last = s.train.openTable(t), s.valid.openTable(t), s.last.openTable(t)
	}
	return b
}

func newRun(t *models.Table, c Config) (*run, error) {
	if c.Learners == nil {
		c.Learners, _ = Learners()
	}
	if c.Seeds == 0 {
		c.Seeds = defaultSeeds
	}
	c.Gate.fill()
	s, err := divide(t, &c, c.Seed)
	if err != nil {
		return nil, err
	}
	r := &run{Config: c, table: t, split: s, tables: s.tables(t)}
	r.report = &Report{Task: c.Task, Seed: c.Seed, Gate: Ruling{Reasons: []string{}}, Leaderboard: []Row{}, Split: Split{
		How: s.how, Train: s.train.slice(t), Valid: s.valid.slice(t), Test: s.test.slice(t), Fitted: len(s.last.rows)}}
	r.report.Test = Test{Rows: len(s.test.rows), Positives: positives(t, s.test.rows), AUC: nan, AUCLo: nan, AUCHi: nan, LogLoss: nan, Brier: nan, ECE: nan}
	r.report.Seeds = Seeds{AUCMean: nan, AUCSD: nan}
	r.report.Details = emptyDetails()
	r.report.Settings = c.Settings
	r.report.Rows = s.tally(t, c.Tally, !slices.ContainsFunc(c.Learners, trained))
	return r, nil
}

var nan = Number(math.NaN())

// beforehand lists why nothing should be fitted.
func (r *run) beforehand() []string {
	reasons := r.Gate.enough(r)
	if len(reasons) == 0 {
		reasons, r.doubts = r.Scan.run(r.last, r.Seed)
	}
	return reasons
}

// entry is one learner in the trial.
type entry struct {
	learner  models.Learner
	baseline bool
	beside   bool // fitted on Config.Beside
	row      Row
	last     models.Model // fitted on all rows before the test slice
	again    models.Learner
	validRaw []float64
	choice   choice
	calib    calibrate.Calibrator
	test     []Probability
	testRaw  []float64
}

// entries are the learners asked for, then the baselines.
func (r *run) entries() []*entry {
	var out []*entry
	add := func(l models.Learner, baseline bool) {
		for _, e := range out {
			if e.learner.Name() == l.Name() {
				return
			}
		}
		out = append(out, &entry{learner: l, baseline: baseline})
	}
	for _, l := range r.Learners {
		_, loadable := loaders[l.Name()]
		add(l, !loadable)
	}
	for _, column := range r.Rates {
		add(ColumnRate{column}, true)
		last := out[len(out)-1]
		last.beside = r.Beside != nil && slices.ContainsFunc(r.Beside.Columns, func(c models.Column) bool { return c.Name == column })
	}
	add(ColumnRate{}, true)
	add(BaseRate{}, true)
	return out
}

func (r *run) run(ctx context.Context) (*Predictor, error) {
	all := r.entries()
	r.total = len(all) + max(0, r.Seeds-1)
	for _, e := range all {
		r.step(e.learner.Name())
		if err := r.enter(ctx, e); err != nil {
			if ctx.Err() != nil {
				return nil, ctx.Err()
			}
			e.row.Error = err.Error()
		}
	}
	best := winner(all)
	for _, e := range all {
		r.report.Leaderboard = append(r.report.Leaderboard, e.row)
	}
	rank(r.report.Leaderboard)
	if best == nil {
		return nil, fmt.Errorf("no learner could be fitted: %w", failures(all))
	}
	p := &Predictor{slices.Clone(r.table.Columns), best.learner.Name(), best.last, best.calib, nil}
	var err error
	if p.Sets, err = sureSets(best.validRaw, r.valid); err != nil {
		return nil, err
	}
	if err := r.measure(best, p); err != nil {
		return nil, err
	}
	if err := r.seeds(ctx, best); err != nil {
		return nil, err
	}
	if err := r.compare(best); err != nil {
		return nil, err
	}
	r.report.Gate = r.Gate.rule(r.report)
	return p, nil
}

func failures(all []*entry) error {
	var errs []error
	for _, e := range all {
		if e.row.Error != "" {
			errs = append(errs, fmt.Errorf("%s: %s", e.learner.Name(), e.row.Error))
		}
	}
	return errors.Join(errs...)
}

// step tells whoever listens what comes next.
func (r *run) step(what string) {
	if r.Progress != nil {
		r.Progress(Step{what, r.done, r.total})
	}
	r.done++
}

// winner is the learner with the least log loss on the validation slice, the
// earlier in the list on a tie. Baselines cannot win.
func winner(all []*entry) *entry {
	var best *entry
	for _, e := range all {
		if e.row.Error == "" && !e.baseline && (best == nil || e.row.Valid.LogLoss < best.row.Valid.LogLoss) {
			best = e
		}
	}
	return best
}

// rank orders a leaderboard by validation log loss, failures last.
func rank(board []Row) {
	slices.SortStableFunc(board, func(a, b Row) int {
		if (a.Error == "") != (b.Error == "") {
			if a.Error == "" {
				return -1
			}
			return 1
		}
		return cmp.Compare(float64(a.Valid.LogLoss), float64(b.Valid.LogLoss))
	})
}

// enter fits one learner and fills its row.
func (r *run) enter(ctx context.Context, e *entry) error {
	e.row = Row{Learner: e.learner.Name(), Baseline: e.baseline, Valid: noScores, Test: noScores}
	began := r.now()
	t := r.tables
	if e.beside {
		all := *r.table
		all.Columns, all.X, all.In = r.Beside.Columns, r.Beside.X, r.Beside.In
		t = r.split.tables(&all)
	}
	t = r.split.tablesOf(e.learner, r.table, t)
	f, err := r.fitTwice(ctx, e.learner, t, r.Seed)
	e.row.FitSeconds = r.now().Sub(began).Seconds()
	if err != nil {
		return err
	}
	e.last, e.again, e.validRaw, e.testRaw = f.last, f.again, f.validRaw, f.testRaw
	e.row.Rows = rowsUsed(e.last, t.last.Len())
	if err := r.calibrate(e); err != nil {
		return err
	}
	e.test = calibrated(e.calib, e.testRaw)
	e.row.Test = scores(middles(e.test), r.test)
	return nil
}

// calibrate chooses a calibrator for the scores of an entry, fits it, with a
// band, and fills the validation figures.
func (r *run) calibrate(e *entry) error {
	var err error
	if e.choice, err = r.choose(e.validRaw); err != nil {
		return err
	}
	p, err := blockwise(e.choice.kind, e.validRaw, r.valid, r.blocks(), false)
	if err != nil {
		return err
	}
	e.row.Valid = scores(p, r.valid)
	c, err := calibrate.Fit(e.choice.kind, e.validRaw, r.valid.Y, r.valid.Weight)
	if err != nil {
		return err
	}
	e.calib, err = calibrate.WithBand(c, e.validRaw, r.valid.Y, r.valid.Weight, r.owners(r.valid))
	return err
}

// owners are the codes of those whose the rows are, nil where they are nobody's.
func (r *run) owners(t *models.Table) []float64 {
	if r.Whose == "" {
		return nil
	}
	return t.Column(slices.IndexFunc(t.Columns, func(c models.Column) bool { return c.Name == r.Whose }))
}

func (r *run) now() time.Time {
	if r.Clock == nil {
		return time.Time{}
	}
	return r.Clock()
}

// fits are a learner's two fits and what they say.
type fits struct {
	last              models.Model
	again             models.Learner
	validRaw, testRaw []float64
}

// refitter is a model that knows how to be fitted again without a validation
// slice: with as many rounds as it kept.
type refitter interface{ Refit() models.Learner }

func (r *run) fitTwice(ctx context.Context, l models.Learner, t tables, seed uint64) (*fits, error) {
	l = watched(l, r.Rounds)
	valid := readable(l, t.valid)
	first, err := l.Fit(ctx, readable(l, t.train), readable(l, t.stop), seed)
	if err != nil {
		return nil, err
	}
	f := &fits{again: l, validRaw: make([]float64, t.valid.Len()), testRaw: make([]float64, t.test.Len())}
	if m, ok := first.(refitter); ok {
		f.again = m.Refit()
	}
	if err := first.Predict(f.validRaw, valid); err != nil {
		return nil, err
	}
	if f.last, err = watched(f.again, r.Rounds).Fit(ctx, readable(l, t.last), nil, seed); err != nil {
		return nil, err
	}
	return f, f.last.Predict(f.testRaw, readable(l, t.test))
}

// readable is the table as the learner and its models can read it.
func readable(l models.Learner, t *models.Table) *models.Table {
	if _, ok := l.(models.BatchLearner); ok {
		return t
	}
	return t.Whole()
}

// seeds repeats the winner's fits with other seeds and, without time, other
// splits.
func (r *run) seeds(ctx context.Context, best *entry) error {
	if r.Seeds < 1 {
		return nil
	}
	aucs := []float64{metric.AUC(best.testRaw, r.test.Y, r.test.Weight)}
	for k := 1; k < r.Seeds; k++ {
		seed := r.Seed + uint64(k)
		r.step(fmt.Sprintf("%s, seed %d", best.learner.Name(), seed))
		t := r.split.tablesOf(best.learner, r.table, r.tables)
		if !r.split.timed {
			t = draw(r.table, &r.Config, seed).tables(r.table)
		}
		f, err := r.fitTwice(ctx, best.learner, t, seed)
		if err != nil {
			return fmt.Errorf("seed %d: %w", seed, err)
		}
		aucs = append(aucs, metric.AUC(f.testRaw, t.test.Y, t.test.Weight))
	}
	mean, sd := stat.MeanStdDev(aucs, nil)
	r.report.Seeds = Seeds{len(aucs), Number(mean), Number(sd)}
	return nil
}
