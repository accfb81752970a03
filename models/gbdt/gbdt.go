// Package gbdt grows gradient-boosted trees on histograms, in pure Go, and
// scores with them. It exists because the questions asked here (who wins, who
// leaves) are tables of mixed columns with missing values and categories of
// many values, where such trees are the best learner known, and because Go has
// no trainer of them.
//
// # How it learns
//
// Each column becomes at most 255 bins in a byte, plus bin 0 for missing. Trees
// grow leaf-wise by best gain. Gradient and hessian of a row are rounded to
// fixed point and packed into one int64 (gradient above, hessian below), scaled
// for each tree so that no sum over rows can overflow; a histogram cell is then
// one integer addition, and sums are exact in any order. So the model has the
// same bytes at any number of threads and, where rows have times, for any order
// of arrival within one. With LogLoss and SquaredError it has them on machines of
// any kind too; the other objectives call functions of package math, whose last
// bits differ from kind to kind.
//
// What trees are fitted to is an Objective: log loss, squared error, Poisson, the
// order within groups, or when and how cases end (Hazard), whose leaves hold a
// step for each age. Limits bind them: an answer that may only rise with a
// column, which Model.Monotone then proves by walking the trees, and columns that
// may not meet on one path.
//
// Columns of kind models.Category with at most 31 levels are split natively
// (levels sorted by gradient). Wider ones enter as two statistics: how often
// the label was true in that category among the outcomes the row could know
// (target.Order), shrunk to the overall rate, and how frequent the category is,
// or, where rows have times, how many outcomes those are; of labels that are not
// 0 or 1, the rate is their mean between the least and the largest.
// Pairs of columns, and numbers that repeat taken as categories, enter as such
// rates too, if a fast first pass finds that they explain what single columns
// leave over. Final statistics are frozen into the model.
//
// A leaf's row count is estimated from its hessian while searching a split
// (rows of the node x hessian share), as LightGBM does: MinRows holds on
// average, not to the row.
//
// # Missing values
//
// A missing number goes to the side that gained most in training; if the node
// saw none, to the heavier side. A category never seen goes where a missing one
// goes, and its statistics are the prior.
//
// # Memory
//
// The table is read where it lies (models.Inputs), in any order, and never
// copied. Beside it a fit holds, a row: a byte for each input twice, by column and
// by row, there padded to 8, 16, 32 or 64 bytes; 8 bytes of derivatives, 8 of
// score (of Hazard, for each output) and 8 of row numbers; for rows that are put
// in the order of their times 4, and 8 for each of label, weight, times and group
// in that order; for wide categories 24, for what could be known when, and, while
// a statistic is made, some 45 a thread. However many rows there are, it holds
// Leaves histograms of 2 KB an input, and allocates some 1.5 MB an input while it
// bins and looks for pairs. BenchmarkFitMemory measures it.
//
// # Data format
//
// See marshal.go.
package gbdt

import (
	"context"
	"fmt"
	"math"
	"runtime"
	"slices"

	"bellwether/models"
)

// Learner holds the hyperparameters. In every field 0 means the default named,
// and a negative number switches the thing off where that makes sense.
type Learner struct {
	Trees           int     // at most so many; 400
	Leaves          int     // per tree; 31
	LearningRate    float64 // 0.05
	MinRows         int     // in a leaf, estimated from the hessian; 20; negative: 0
	MinHessian      float64 // in a leaf; 1e-3; negative: 0
	L1              float64 // 0
	L2              float64 // 1; negative: 0
	MaxBins         int     // of a column, not counting missing; 255, the most
	FeatureFraction float64 // of inputs drawn for each tree, but at least 8; 0.5
	RowFraction     float64 // of rows drawn for each tree; 1
	EarlyStop       int     // trees without better loss on valid; 30; negative: off
	Threads         int     // goroutines; GOMAXPROCS
	Targets         Targets // statistics of categories

	Objective        Objective // what trees are fitted to; LogLoss{}
	Limits           Limits    // what trees must keep to
	GradientFraction float64   // of rows drawn for each tree, those of large gradients rather; 1, or RowFraction; not for Hazard
	Base             []float64 // score of each output of a model without trees, of Hazard several; nil: the best ones
	From             *Model    // a model to go on from: its trees stay, and at most Trees are added; nil: none

	// Progress, if set, is called after each tree, with NaN for the loss on
	// valid if there is no valid. It never changes the model.
	Progress func(trees int, trainLoss, validLoss float64)
}

// Targets configures target statistics.
type Targets struct {
	Native   int     // categories of at most so many levels are split natively; 31, the most; negative: none
	Pairs    int     // combinations kept at most: pairs, and repeating numbers as categories; 8; negative: none
	Strength float64 // of the prior, in rows; 0: estimated for each statistic by moments
}

// Name returns "gbdt", or "hazard" where that is the objective.
func (l Learner) Name() string {
	if l.LearnsOpen() {
		return "hazard"
	}
	return "gbdt"
}

// LearnsOpen implements models.OpenLearner: Hazard does.
func (l Learner) LearnsOpen() bool {
	_, ok := l.Objective.(Hazard)
	return ok
}

// Limits of the format and of the fixed-point sums.
const (
	maxTrees  = 1 << 20
	maxLeaves = 1 << 12
	maxRows   = 1 << 30
	maxNative = 31 // levels, with missing 32: the bits of a node's mask
	maxBins   = 255
)

// filled returns l with defaults in place.
func (l Learner) filled() (Learner, error) {
	or := func(v *int, def int) {
		if *v == 0 {
			*v = def
		}
		*v = max(*v, 0)
	}
	orF := func(v *float64, def float64) {
		if *v == 0 {
			*v = def
		}
		*v = max(*v, 0)
	}
	or(&l.Trees, 400)
	or(&l.Leaves, 31)
	or(&l.MinRows, 20)
	or(&l.MaxBins, maxBins)
	or(&l.EarlyStop, 30)
	or(&l.Threads, runtime.GOMAXPROCS(0))
	or(&l.Targets.Native, maxNative)
	or(&l.Targets.Pairs, 8)
	orF(&l.LearningRate, 0.05)
	orF(&l.MinHessian, 1e-3)
	orF(&l.L1, 0)
	orF(&l.L2, 1)
	orF(&l.FeatureFraction, 0.5)
	orF(&l.RowFraction, 1)
	orF(&l.GradientFraction, 1)
	if l.Objective == nil {
		l.Objective = LogLoss{}
	}
	for _, c := range []struct {
		name      string
		v, lo, hi float64
	}{
		{"Trees", float64(l.Trees), 1, maxTrees},
		{"Leaves", float64(l.Leaves), 2, maxLeaves},
		{"LearningRate", l.LearningRate, 1e-6, 1},
		{"MaxBins", float64(l.MaxBins), 2, maxBins},
		{"FeatureFraction", l.FeatureFraction, 1e-6, 1},
		{"RowFraction", l.RowFraction, 1e-6, 1},
		{"GradientFraction", l.GradientFraction, 1e-6, 1},
		{"Threads", float64(l.Threads), 1, 1 << 12},
		{"Targets.Native", float64(l.Targets.Native), 0, maxNative},
		{"Targets.Strength", l.Targets.Strength, 0, 1e12},
		{"L1", l.L1, 0, 1e12},
		{"L2", l.L2, 0, 1e12},
		{"MinHessian", l.MinHessian, 0, 1e12},
	} {
		if !(c.v >= c.lo && c.v <= c.hi) {
			return l, fmt.Errorf("gbdt: %s is %v, not between %v and %v", c.name, c.v, c.lo, c.hi)
		}
	}
	return l, nil
}

// ReadsBatches implements models.BatchLearner.
func (l Learner) ReadsBatches() {}

// Fit implements models.Learner. With a valid table the model is cut back to
// the trees that were best on it, and fitting stops EarlyStop trees later.
// Rows of weight 0 take no part. The model is a *Model.
func (l Learner) Fit(ctx context.Context, train, valid *models.Table, seed uint64) (models.Model, error) {
	m, err := l.fit(ctx, train, valid, seed)
	if err != nil {
		return nil, err
	}
	return m, nil
}

func (l Learner) fit(ctx context.Context, train, valid *models.Table, seed uint64) (*Model, error) {
	p, err := l.filled()
	if err != nil {
		return nil, err
	}
	rows, err := newSample(train, true)
	if err != nil {
		return nil, err
	}
	of, err := p.begin(rows)
	if err != nil {
		return nil, err
	}
	var held *sample
	if valid != nil {
		if valid.Width() != train.Width() {
			return nil, fmt.Errorf("%w: valid has %d, train %d", models.ErrWidth, valid.Width(), train.Width())
		}
		if held, err = newSample(valid, false); err != nil {
			return nil, err
		}
	}
	if e, ok := of.(*ends); ok { // the ages of the training rows hold for all
		p.Objective = Hazard{Ages: e.ages, Until: p.Objective.(Hazard).Until}
	}
	enc, bins, err := prepare(ctx, p, rows, of, seed)
	if err != nil {
		return nil, err
	}
	b := newBooster(p, rows, of, enc, bins, seed)
	if held != nil {
		if err := b.holdOut(enc, held); err != nil {
			return nil, fmt.Errorf("gbdt: valid: %w", err)
		}
	}
	if err := b.run(ctx); err != nil {
		return nil, err
	}
	return b.model(l, enc), nil
}

// begin reads the labels of the training rows and checks that all that is asked
// goes together.
func (l Learner) begin(rows *sample) (fitting, error) {
	of, err := l.Objective.begin(rows)
	if err != nil {
		return nil, fmt.Errorf("gbdt: %w", err)
	}
	if err := l.Limits.check(rows.columns); err != nil {
		return nil, err
	}
	differ := func() error { return differ(rows.y) }
	if e, ok := of.(*ends); ok {
		differ = e.differ
		if l.GradientFraction < 1 {
			return nil, fmt.Errorf("gbdt: GradientFraction is not for Hazard: rows drawn by gradient leave its steps rougher than as many drawn alike, by RowFraction")
		}
	}
	if err := l.starts(of); err != nil {
		return nil, err
	}
	if err := l.follows(of, len(rows.columns)); err != nil {
		return nil, err
	}
	return of, differ()
}

// starts lets the fit start from l.Base, or reports why it cannot.
func (l Learner) starts(of fitting) error {
	if l.Base == nil {
		return nil
	}
	outputs := 1
	e, many := of.(*ends)
	if many {
		outputs = e.outputs()
	}
	ok := len(l.Base) == outputs && !slices.ContainsFunc(l.Base, func(s float64) bool { return !finite(s) })
	if ok && many {
		e.start = slices.Clone(l.Base)
		ok = finite(e.base())
	}
	if !ok {
		return fmt.Errorf("gbdt: Base is %v: %d finite scores, of Hazard such that the answer is not sure", l.Base, outputs)
	}
	return nil
}

// follows reports why the fit cannot go on from l.From.
func (l Learner) follows(of fitting, width int) error {
	if l.From == nil {
		return nil
	}
	if l.From.width != width {
		return fmt.Errorf("%w: From has %d, train %d", models.ErrWidth, l.From.width, width)
	}
	other := l.From.loss != l.Objective.answer()
	if e, ok := of.(*ends); ok {
		other = l.From.loss != e.answer() || !slices.Equal(l.From.Ages(), e.ages)
	}
	if l.Base != nil || other {
		return fmt.Errorf("gbdt: From has another objective, or Base is set beside it")
	}
	return nil
}

// Refit returns the learner that fits as many trees as m has without stopping
// early: for a last fit on training and validation rows together. A model that
// was loaded, not fitted, keeps only its number of trees.
func (m *Model) Refit() models.Learner {
	l := m.learner
	if h, ok := l.Objective.(Hazard); ok {
		l.Objective = Hazard{Ages: m.Ages(), Until: h.Until}
	}
	l.Trees, l.EarlyStop = m.Trees(), -1
	if l.From != nil {
		l.Trees -= l.From.Trees()
	}
	l.Trees = max(1, l.Trees)
	return l
}

func finite(x float64) bool { return !math.IsNaN(x) && !math.IsInf(x, 0) }
