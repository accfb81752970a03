// Package tune looks for the settings under which gradient-boosted trees predict
// a table best, without touching the rows that a trial will test on.
//
// Settings are judged by their log loss on rows later than those they were
// fitted on (trial.Folds). Successive halving (Jamieson and Talwalkar, AISTATS
// 2016) spends the folds: all settings are tried on the newest, the best third of
// them on the next newest too, the best ninth on all. The defaults take part to
// the end, so that the answer may be that there is nothing to gain.
//
// Settings are drawn evenly over the space by a scrambled Halton sequence. The
// number of trees is not drawn: one fit tells the loss at every number of them,
// and what counts is the number at which the mean over the folds is least.
//
// The package touches no disk and no clock. Each evaluation is handed out with
// the State of the search; a search given that State goes on from there and
// finds the same, bit for bit.
package tune

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"math"
	"slices"

	"bellwether/models"
	"bellwether/models/gbdt"
	"bellwether/models/metric"
	"bellwether/models/trial"
)

// Search says how to look. The zero value, with a Task, is a good one.
type Search struct {
	Task     string
	Draws    int // settings tried beside the defaults; 0 means 26
	MaxTrees int // 0 means 800
	Seed     uint64
	Base     gbdt.Learner       // the defaults: what a trial would fit without tuning
	Progress func(Step)         // told before each fit; may be nil
	Save     func(*State) error // told after each fit; may be nil
}

// Step is where a search is: Done of Total fits, and the least loss so far on
// the newest fold, NaN before the first.
type Step struct {
	Done, Total int
	Best        float64
}

const (
	// defaultDraws makes 27 settings with the defaults: three halvings by thirds.
	defaultDraws    = 26
	defaultMaxTrees = 800
	// keep is the share of the settings that a round lets pass.
	keep = 1. / 3
	// Stride is how many trees apart the loss is kept, and numbers of trees lie.
	Stride = 5
	// patience is how many trees without better loss end a fit: more than in a
	// trial, because slow rates learn in smaller steps.
	patience = 60
)

// State is what a search has done. It is all there is to keep: JSON loses
// nothing of it.
type State struct {
	Search string       `json:"search"` // fingerprint of rows, folds and Search
	Done   []Evaluation `json:"done"`
}

// Evaluation is one setting on one fold.
type Evaluation struct {
	Setting int       `json:"setting"`
	Fold    int       `json:"fold"`
	Curve   []float64 `json:"curve"` // log loss after 0, 5, 10, … trees
}

// ErrOther is the answer to a State of another search: of other rows, folds or
// settings.
var ErrOther = errors.New("the state is of another search")

// search is one under way.
type search struct {
	Search
	folds    *trial.Folds
	settings []Params // the defaults first
	curves   map[[2]int][]float64
	state    *State
	total    int
}

// Run searches. state is what an earlier Run of the same search handed out, or
// nil; it is changed.
func (s Search) Run(ctx context.Context, folds *trial.Folds, state *State) (*Result, error) {
	if s.Draws == 0 {
		s.Draws = defaultDraws
	}
	if s.MaxTrees == 0 {
		s.MaxTrees = defaultMaxTrees
	}
	if s.Draws < 1 || s.MaxTrees < Stride {
		return nil, fmt.Errorf("tune %s: %d draws, %d trees: at least 1 and %d", s.Task, s.Draws, s.MaxTrees, Stride)
	}
	r := &search{Search: s, folds: folds, curves: map[[2]int][]float64{}, settings: append([]Params{paramsOf(s.Base)}, draw(s.Draws, s.Seed)...)}
	if err := r.resume(state); err != nil {
		return nil, fmt.Errorf("tune %s: %w", s.Task, err)
	}
	alive, err := r.rounds(ctx)
	if err != nil {
		return nil, fmt.Errorf("tune %s: %w", s.Task, err)
	}
	return r.result(alive), nil
}

// resume takes over what was done before.
func (s *search) resume(state *State) error {
	h := sha256.New()
	fmt.Fprintf(h, "1 %s %d %d %d %d %v", s.folds.Fingerprint(), s.MaxTrees, Stride, patience, s.Seed, s.settings)
	id := hex.EncodeToString(h.Sum(nil))
	if state == nil {
		state = &State{Search: id}
	}
	if state.Search != id {
		return ErrOther
	}
	for _, e := range state.Done {
		if e.Setting < 0 || e.Setting >= len(s.settings) || e.Fold < 0 || e.Fold >= s.folds.Len() || len(e.Curve) == 0 {
			return fmt.Errorf("%w: setting %d on fold %d", ErrOther, e.Setting, e.Fold)
		}
		s.curves[[2]int{e.Setting, e.Fold}] = e.Curve
	}
	s.state = state
	return nil
}

// roundsOf are how many of the newest folds each round judges by: 1, 2, 4, …, all.
func roundsOf(folds int) (out []int) {
	for n := 1; n < folds; n *= 2 {
		out = append(out, n)
	}
	return append(out, folds)
}

// passing is how many of n drawn settings a round lets pass.
func passing(n int) int { return max(1, int(math.Ceil(keep*float64(n)))) }

// rounds halves the drawn settings until all folds have judged the last of them,
// and returns these and the defaults, the best first.
func (s *search) rounds(ctx context.Context) ([]int, error) {
	all, before, drawn := roundsOf(s.folds.Len()), 0, len(s.settings)-1
	for _, folds := range all {
		s.total += (drawn + 1) * (folds - before)
		before, drawn = folds, passing(drawn)
	}
	alive := make([]int, len(s.settings))
	for i := range alive {
		alive[i] = i
	}
	before = 0
	for k, folds := range all {
		for f := before; f < folds; f++ {
			if err := s.evaluate(ctx, s.folds.Len()-1-f, alive); err != nil {
				return nil, err
			}
		}
		before = folds
		s.rank(alive, folds)
		if k < len(all)-1 {
			alive = slices.DeleteFunc(alive, func(i int) bool { return i == 0 })
			alive = append(alive[:passing(len(alive))], 0)
		}
	}
	return alive, nil
}

// rank orders settings by their loss on the newest folds, the earlier drawn
// first of two alike.
func (s *search) rank(settings []int, folds int) {
	slices.Sort(settings)
	slices.SortStableFunc(settings, func(a, b int) int {
		la, _ := s.loss(a, folds)
		lb, _ := s.loss(b, folds)
		switch {
		case la < lb:
			return -1
		case la > lb:
			return 1
		}
		return 0
	})
}

// evaluate fits settings on one fold, where that was not done before.
func (s *search) evaluate(ctx context.Context, fold int, settings []int) error {
	var train, valid *models.Table
	for _, i := range settings {
		key := [2]int{i, fold}
		if s.curves[key] != nil {
			continue
		}
		if train == nil {
			train, valid = s.folds.Tables(fold)
		}
		if s.Progress != nil {
			s.Progress(Step{len(s.curves), s.total, s.least()})
		}
		curve, err := s.fit(ctx, s.settings[i], train, valid)
		if err != nil {
			return fmt.Errorf("fold %d, %s: %w", fold+1, s.settings[i], err)
		}
		s.curves[key] = curve
		s.state.Done = append(s.state.Done, Evaluation{i, fold, curve})
		if s.Save != nil {
			if err := s.Save(s.state); err != nil {
				return err
			}
		}
	}
	return nil
}

// fit returns the loss on valid after every Stride trees.
func (s *search) fit(ctx context.Context, p Params, train, valid *models.Table) ([]float64, error) {
	rate := make([]float64, valid.Len())
	for i := range rate {
		rate[i] = metric.Base(train.Y, train.Weight)
	}
	curve := []float64{metric.LogLoss(rate, valid.Y, valid.Weight)}
	l := p.Learner()
	l.Trees, l.EarlyStop, l.Threads = s.MaxTrees, patience, s.Base.Threads
	l.Progress = func(trees int, _, loss float64) {
		if trees%Stride == 0 {
			curve = append(curve, loss)
		}
	}
	_, err := l.Fit(ctx, train, valid, s.Seed)
	return curve, err
}

// least is the least loss of any setting on the newest fold.
func (s *search) least() float64 {
	best := math.NaN()
	for key, curve := range s.curves {
		if low := slices.Min(curve); key[1] == s.folds.Len()-1 && !(best <= low) {
			best = low
		}
	}
	return best
}

// loss is a setting's mean loss over the newest folds at the one number of trees
// that is best for their mean. A fit that ended early keeps its last loss.
func (s *search) loss(setting, folds int) (loss float64, trees int) {
	var curves [][]float64
	longest := 0
	for f := range folds {
		c := s.curves[[2]int{setting, s.folds.Len() - 1 - f}]
		curves, longest = append(curves, c), max(longest, len(c))
	}
	loss = math.Inf(1)
	for k := range longest {
		sum := 0.0
		for _, c := range curves {
			sum += at(c, k)
		}
		if mean := sum / float64(folds); mean < loss {
			loss, trees = mean, k*Stride
		}
	}
	return loss, trees
}

func at(curve []float64, k int) float64 { return curve[min(k, len(curve)-1)] }
