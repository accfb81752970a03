package tune

import (
	"cmp"
	"encoding/json"
	"fmt"
	"math"
	"math/rand/v2"
	"strconv"

	"gonum.org/v1/gonum/mat"
	"gonum.org/v1/gonum/stat/distmv"
	"gonum.org/v1/gonum/stat/samplemv"

	"bellwether/models/gbdt"
)

// Params are the settings of gbdt.Learner that are searched. As there, 0 means
// the default and a negative number none.
type Params struct {
	Trees           int     `json:"trees,omitempty" yaml:"trees,omitempty"`
	Leaves          int     `json:"leaves,omitempty" yaml:"leaves,omitempty"`
	LearningRate    float64 `json:"learning_rate,omitempty" yaml:"learning_rate,omitempty"`
	MinRows         int     `json:"min_rows,omitempty" yaml:"min_rows,omitempty"`
	L2              float64 `json:"l2,omitempty" yaml:"l2,omitempty"`
	RowFraction     float64 `json:"row_fraction,omitempty" yaml:"row_fraction,omitempty"`
	FeatureFraction float64 `json:"feature_fraction,omitempty" yaml:"feature_fraction,omitempty"`
	Pairs           int     `json:"pairs,omitempty" yaml:"pairs,omitempty"`
}

// Learner returns the learner with these settings.
func (p Params) Learner() gbdt.Learner {
	return gbdt.Learner{Trees: p.Trees, Leaves: p.Leaves, LearningRate: p.LearningRate, MinRows: p.MinRows, L2: p.L2,
		RowFraction: p.RowFraction, FeatureFraction: p.FeatureFraction, Targets: gbdt.Targets{Pairs: p.Pairs}}
}

// Check reports a setting the learner would refuse, with its name and bounds. 0 is
// the learner's own default.
func (p Params) Check() error {
	for _, c := range []struct {
		name      string
		v, lo, hi float64
	}{
		{"trees", float64(p.Trees), 0, 1 << 20},
		{"leaves", float64(p.Leaves), 0, 1 << 12},
		{"learning_rate", p.LearningRate, 0, 1},
		{"row_fraction", p.RowFraction, 0, 1},
		{"feature_fraction", p.FeatureFraction, 0, 1},
		{"l2", p.L2, -1, 1e12},
	} {
		if !(c.v >= c.lo && c.v <= c.hi) {
			return fmt.Errorf("%s is %v, not between %v and %v", c.name, c.v, c.lo, c.hi)
		}
	}
	if p.Leaves == 1 {
		return fmt.Errorf("leaves is 1: a tree has at least 2")
	}
	return nil
}

// String is the settings as JSON.
func (p Params) String() string {
	b, _ := json.Marshal(p) // plain numbers, which the draw and Check keep finite
	return string(b)
}

// paramsOf are the settings of l, with the defaults of gbdt written out.
func paramsOf(l gbdt.Learner) Params {
	return Params{Trees: cmp.Or(l.Trees, 400), Leaves: cmp.Or(l.Leaves, 31), LearningRate: cmp.Or(l.LearningRate, 0.05), MinRows: cmp.Or(l.MinRows, 20),
		L2: cmp.Or(l.L2, 1), RowFraction: cmp.Or(l.RowFraction, 1), FeatureFraction: cmp.Or(l.FeatureFraction, 0.5), Pairs: cmp.Or(l.Targets.Pairs, 8)}
}

// axis is one dimension of the space.
type axis struct {
	name   string
	lo, hi float64
	log    bool
	get    func(*Params) float64
	set    func(*Params, float64)
}

// space is where settings are drawn. Its ranges hold the defaults in their
// middle and end where learners of this kind are known to fall off.
var space = []axis{
	{"leaves", 4, 128, true, func(p *Params) float64 { return float64(p.Leaves) }, func(p *Params, v float64) { p.Leaves = int(math.Round(v)) }},
	{"learning_rate", 0.015, 0.2, true, func(p *Params) float64 { return p.LearningRate }, func(p *Params, v float64) { p.LearningRate = round2(v) }},
	{"min_rows", 3, 300, true, func(p *Params) float64 { return float64(p.MinRows) }, func(p *Params, v float64) { p.MinRows = int(math.Round(v)) }},
	{"l2", 0.1, 50, true, func(p *Params) float64 { return p.L2 }, func(p *Params, v float64) { p.L2 = round2(v) }},
	{"row_fraction", 0.5, 1, false, func(p *Params) float64 { return p.RowFraction }, func(p *Params, v float64) { p.RowFraction = round2(v) }},
	{"feature_fraction", 0.4, 1, false, func(p *Params) float64 { return p.FeatureFraction }, func(p *Params, v float64) { p.FeatureFraction = round2(v) }},
	{"pairs", 0, 16, false, func(p *Params) float64 { return float64(max(p.Pairs, 0)) }, setPairs},
}

func setPairs(p *Params, v float64) {
	if p.Pairs = int(math.Round(v)); p.Pairs == 0 {
		p.Pairs = -1
	}
}

// round2 keeps two digits that count: settings a person can read and write.
func round2(v float64) float64 {
	out, _ := strconv.ParseFloat(strconv.FormatFloat(v, 'g', 2, 64), 64)
	return out
}

// draw returns n settings spread evenly over the space.
func draw(n int, seed uint64) []Params {
	src := rand.NewPCG(seed, 0x7e5e)
	cube := mat.NewDense(n, len(space), nil)
	samplemv.Halton{Kind: samplemv.Owen, Q: distmv.NewUnitUniform(len(space), src), Src: src}.Sample(cube)
	out := make([]Params, n)
	for i := range out {
		for j, a := range space {
			a.set(&out[i], a.at(cube.At(i, j)))
		}
	}
	return out
}

// at is the value at u of the axis' length.
func (a *axis) at(u float64) float64 {
	if a.log {
		return a.lo * math.Pow(a.hi/a.lo, u)
	}
	return a.lo + u*(a.hi-a.lo)
}

// place is where on the axis a value lies, the inverse of at.
func (a *axis) place(v float64) float64 {
	if a.log {
		return math.Log(v/a.lo) / math.Log(a.hi/a.lo)
	}
	return (v - a.lo) / (a.hi - a.lo)
}
