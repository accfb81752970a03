package tune

import (
	"cmp"
	"math"
	"slices"

	"gonum.org/v1/gonum/mat"
	"gonum.org/v1/gonum/stat"

	"bellwether/models/picture"
	"bellwether/models/trial"
)

// Result is what a search found. The same search gives the same, however often
// it was interrupted.
type Result struct {
	Task       string       `json:"task"`
	Seed       uint64       `json:"seed"`
	How        string       `json:"how"`
	Folds      []Fold       `json:"folds"`
	Best       Setting      `json:"best"`
	Default    Setting      `json:"default"`
	Gain       trial.Number `json:"gain"`       // log loss of the defaults less that of the best, mean over the folds
	BetterIn   int          `json:"better_in"`  // folds in which the best is better than the defaults
	Importance []Importance `json:"importance"` // of each parameter, greatest first; empty if too few settings were tried
	Settings   []Setting    `json:"settings"`   // all that were tried, those that went furthest first
}

// Fold describes one step of the cross-validation.
type Fold struct {
	Train trial.Slice `json:"train"`
	Valid trial.Slice `json:"valid"`
}

// Setting is one set of parameters with what it reached. Trees in Params is the
// number at which the mean over its folds was least.
type Setting struct {
	Params  Params         `json:"params"`
	Default bool           `json:"default,omitempty"`
	Loss    trial.Number   `json:"loss"`   // mean over its folds
	Losses  []trial.Number `json:"losses"` // of each, the newest fold first
	Newest  trial.Number   `json:"newest"` // at its best on the newest fold, which judged all settings
}

// Importance is the share of the variance of the loss on the newest fold, over
// all settings, that a parabola in one of them explains by itself, adjusted for
// its freedom; 0 where it explains no more than chance would.
type Importance struct {
	Parameter string       `json:"parameter"`
	Share     trial.Number `json:"share"`
}

func (s *search) result(alive []int) *Result {
	n := s.folds.Len()
	r := &Result{Task: s.Task, Seed: s.Seed, How: s.folds.How, Best: s.setting(alive[0]), Default: s.setting(0)}
	for k := range n {
		train, valid := s.folds.Slices(k)
		r.Folds = append(r.Folds, Fold{train, valid})
	}
	r.Gain = r.Default.Loss - r.Best.Loss
	for k, l := range r.Best.Losses {
		if l < r.Default.Losses[k] {
			r.BetterIn++
		}
	}
	for i := range s.settings {
		r.Settings = append(r.Settings, s.setting(i))
	}
	slices.SortStableFunc(r.Settings, func(a, b Setting) int {
		return cmp.Or(cmp.Compare(len(b.Losses), len(a.Losses)), cmp.Compare(a.Loss, b.Loss))
	})
	r.Importance = importance(r.Settings)
	return r
}

// setting sums up setting i by the folds that judged it.
func (s *search) setting(i int) Setting {
	n := s.folds.Len()
	folds := 0
	for folds < n && s.curves[[2]int{i, n - 1 - folds}] != nil {
		folds++
	}
	loss, trees := s.loss(i, folds)
	newest, _ := s.loss(i, 1)
	out := Setting{Params: s.settings[i], Default: i == 0, Loss: trial.Number(loss), Newest: trial.Number(newest)}
	out.Params.Trees = max(trees, Stride)
	for f := range folds {
		out.Losses = append(out.Losses, trial.Number(at(s.curves[[2]int{i, n - 1 - f}], trees/Stride)))
	}
	return out
}

// fewSettings is too few to tell what mattered: with a handful each explains most
// by chance.
const fewSettings = 10

func importance(all []Setting) []Importance {
	out := []Importance{}
	if len(all) < fewSettings {
		return out
	}
	loss := make([]float64, len(all))
	for i := range all {
		loss[i] = float64(all[i].Newest)
	}
	for _, a := range space {
		x := make([]float64, len(all))
		for i := range all {
			x[i] = a.place(a.get(&all[i].Params))
		}
		out = append(out, Importance{a.name, trial.Number(explained(x, loss))})
	}
	slices.SortStableFunc(out, func(a, b Importance) int { return cmp.Compare(b.Share, a.Share) })
	return out
}

// explained is the adjusted R² of a parabola, at least 0.
func explained(x, y []float64) float64 {
	n := len(x)
	if stat.Variance(y, nil) == 0 {
		return 0
	}
	a := mat.NewDense(n, 3, nil)
	for i, v := range x {
		a.SetRow(i, []float64{1, v, v * v})
	}
	var beta, fit mat.Dense
	if err := beta.Solve(a, mat.NewDense(n, 1, slices.Clone(y))); err != nil {
		return 0 // all settings alike in this one
	}
	fit.Mul(a, &beta)
	left, all, mean := 0.0, 0.0, stat.Mean(y, nil)
	for i, v := range y {
		left += (v - fit.At(i, 0)) * (v - fit.At(i, 0))
		all += (v - mean) * (v - mean)
	}
	return max(0, 1-left/all*float64(n-1)/float64(n-3))
}

// SVG draws the loss on the newest fold against each parameter, the best setting
// marked, and what each explains.
func (r *Result) SVG() ([]byte, error) {
	bars := picture.Panel{Title: "share of the loss's variance explained"}
	for _, i := range r.Importance {
		bars.Names, bars.Bars = append(bars.Names, i.Parameter), append(bars.Bars, float64(i.Share))
	}
	var panels []picture.Panel
	if len(bars.Bars) > 0 {
		panels = append(panels, bars)
	}
	trees := axis{name: "trees", get: func(p *Params) float64 { return float64(p.Trees) }, log: true}
	for _, a := range append(slices.Clone(space), trees) {
		p := picture.Panel{Title: a.name, Y: "log loss", LogX: a.log}
		worst := clip(r.Settings)
		for i := range r.Settings {
			if l := float64(r.Settings[i].Newest); l <= worst {
				p.Dots = append(p.Dots, picture.Point{X: a.get(&r.Settings[i].Params), Y: l})
			}
		}
		p.Marked = []picture.Point{{X: a.get(&r.Best.Params), Y: float64(r.Best.Newest)}}
		panels = append(panels, p)
	}
	return picture.SVG("Settings of "+r.Task+": log loss on the fold that judged all; the best over all folds is marked", 3, panels)
}

// clip is a loss that a few bad settings are above, so that they do not press
// the others into one line.
func clip(all []Setting) float64 {
	loss := make([]float64, len(all))
	for i := range all {
		loss[i] = float64(all[i].Newest)
	}
	slices.Sort(loss)
	low, middle := loss[0], loss[len(loss)/2]
	return max(low+4*(middle-low), math.Nextafter(middle, math.Inf(1)))
}
