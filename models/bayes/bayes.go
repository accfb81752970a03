// Package bayes is golearn's Bernoulli naive Bayes as a challenger in the
// leaderboard. Numbers become the bins between their quantiles, categories
// their frequent levels (as package design chooses them), each bin and level a
// yes-or-no input.
//
// golearn counts; what it counted is copied out, and a probability is made of it
// here: golearn answers with a class only. At most Learner.Rows rows are used
// (design.Newest), and a model says how many by RowsUsed; weights other than 0
// are ignored, as golearn knows none.
package bayes

import (
	"context"
	"fmt"
	"math"
	"reflect"
	"slices"

	"github.com/sjwhitworth/golearn/naive"

	"bellwether/models"
	"bellwether/models/design"
	"bellwether/models/grid"
	"bellwether/models/wire"
)

// Learner fits naive Bayes models. The zero value is ready to use.
type Learner struct {
	Bins   int // bins of a number; 0 means 5
	Rows   int // most rows fitted on; 0 means 2,000
	Levels design.Options
}

// Name is "bayes".
func (Learner) Name() string { return "bayes" }

// Model is a fitted naive Bayes model.
type Model struct {
	enc  *design.Encoder
	cuts [][]float64 // per input: ascending; bin b of a number is (cuts[b-1], cuts[b]]; nil for a category
	rows int
	base float64   // log odds of a row without a single yes
	odds []float64 // what a yes adds, per bit
	bit  []int     // per input: its first bin's bit; after the bins' bits come the slots'
}

// Fit learns from train alone.
func (l Learner) Fit(ctx context.Context, train, _ *models.Table, _ uint64) (models.Model, error) {
	if err := design.Trainable(train); err != nil {
		return nil, fmt.Errorf("bayes: %w", err)
	}
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	if l.Bins == 0 {
		l.Bins = 5
	}
	if l.Rows == 0 {
		l.Rows = 2000
	}
	u := train.Take(design.Newest(train, l.Rows))
	m := &Model{enc: design.Fit(u, l.Levels), rows: u.Len()}
	bits := m.enc.Slots()
	for j, x := range u.X {
		var cuts []float64
		if u.Columns[j].Kind == models.Numeric {
			cuts = quantiles(x, l.Bins)
		}
		m.cuts, m.bit = append(m.cuts, cuts), append(m.bit, bits)
		if cuts != nil {
			bits += len(cuts) + 1
		}
	}
	columns := make([][]bool, bits)
	for k := range columns {
		columns[k] = make([]bool, u.Len())
	}
	for j, x := range u.X {
		for i, v := range x {
			if k := m.bitOf(j, v); k >= 0 {
				columns[k][i] = true
			}
		}
	}
	// golearn fails when a class has no yes at all; this bit is yes for all.
	all := make([]bool, u.Len())
	for i := range all {
		all[i] = true
	}
	nb := naive.NewBernoulliNBClassifier()
	if err := nb.Fit(grid.Bits(append(columns, all), u.Y)); err != nil {
		return nil, fmt.Errorf("bayes: %w", err)
	}
	m.take(nb, bits)
	return m, nil
}

// quantiles returns the distinct values that cut x into bins of equal count,
// nil if fewer than two values are there.
func quantiles(x []float64, bins int) []float64 {
	v := slices.DeleteFunc(slices.Clone(x), math.IsNaN)
	slices.Sort(v)
	var cuts []float64
	for b := 1; b < bins && len(v) > 0; b++ {
		if c := v[b*len(v)/bins]; c < v[len(v)-1] && (len(cuts) == 0 || c > cuts[len(cuts)-1]) {
			cuts = append(cuts, c)
		}
	}
	if len(cuts) == 0 && len(v) > 0 && v[0] < v[len(v)-1] {
		cuts = append(cuts, v[0])
	}
	return cuts
}

// bitOf is the bit that column j holding x sets: a bin's, a level's or
// missing's. -1 if none: a number that was always one value, or was never
// missing and now is.
func (m *Model) bitOf(j int, x float64) int {
	if m.cuts[j] != nil && !math.IsNaN(x) {
		b, _ := slices.BinarySearch(m.cuts[j], x)
		return m.bit[j] + b
	}
	// Without bins every entry is an indicator, 1, or a constant number's 0.
	slot, v := m.enc.Entry(j, x)
	if v != 1 {
		return -1
	}
	return slot
}

// take copies what golearn counted. Its fields are not exported and its files
// are no way to hand on a model, so they are read by reflection; the module is
// pinned to the last commit it will have.
func (m *Model) take(nb *naive.BernoulliNBClassifier, bits int) {
	fitted := reflect.ValueOf(nb).Elem()
	total := fitted.FieldByName("trainingInstances").Int()
	class := func(name string) (score float64, yes []float64) {
		key := reflect.ValueOf(name)
		n := fitted.FieldByName("classInstances").MapIndex(key).Int()
		score = math.Log(float64(n) / float64(total))
		prob := fitted.FieldByName("condProb").MapIndex(key)
		for k := range bits {
			p := prob.Index(k).Float()
			// golearn's own rule for what all rows of a class have.
			no := math.Log(1 / float64(n+1))
			if p != 1 {
				no = math.Log(1 - p)
			}
			score += no
			yes = append(yes, math.Log(p)-no)
		}
		return score, yes
	}
	base0, odds0 := class(grid.No)
	base1, odds1 := class(grid.Yes)
	m.base = base1 - base0
	for k := range odds0 {
		m.odds = append(m.odds, odds1[k]-odds0[k])
	}
}

// Width is the number of inputs.
func (m *Model) Width() int { return m.enc.Inputs() }

// RowsUsed is the number of rows it was fitted on.
func (m *Model) RowsUsed() int { return m.rows }

// Predict writes P(Y = 1) of each row. Another width than that of training is
// models.ErrWidth, no rows are models.ErrEmpty.
func (m *Model) Predict(dst []float64, t *models.Table) error {
	if err := design.Predictable(t, m.Width()); err != nil {
		return fmt.Errorf("bayes: %w", err)
	}
	for i := range t.Len() {
		odds := m.base
		for j, x := range t.X {
			if k := m.bitOf(j, x[i]); k >= 0 {
				odds += m.odds[k]
			}
		}
		dst[i] = 1 / (1 + math.Exp(-odds))
	}
	return nil
}

const magic = "nbs1"

// MarshalBinary writes the model.
func (m *Model) MarshalBinary() ([]byte, error) {
	e := wire.NewEncoder(magic)
	m.enc.Encode(e)
	for _, c := range m.cuts {
		e.Bool(c != nil)
		e.Floats(c)
	}
	e.Int(m.rows)
	e.Float(m.base)
	e.Floats(m.odds)
	e.Ints(m.bit)
	return e.Seal(), nil
}

// Load reads what MarshalBinary wrote, or answers models.ErrCorrupt.
func Load(b []byte) (*Model, error) {
	d := wire.NewDecoder(magic, b)
	m := &Model{enc: design.Decode(d)}
	for range m.enc.Inputs() {
		binned, c := d.Bool(), d.Floats()
		if !binned {
			c = nil
		}
		m.cuts = append(m.cuts, c)
	}
	m.rows, m.base, m.odds, m.bit = d.Int(), d.Float(), d.Floats(), d.Ints()
	if len(m.bit) != m.enc.Inputs() || len(m.odds) < m.enc.Slots() {
		d.Fail()
	}
	for j, k := range m.bit {
		if k < 0 || m.cuts[j] != nil && k+len(m.cuts[j]) >= len(m.odds) {
			d.Fail()
		}
	}
	if err := d.Close(); err != nil {
		return nil, fmt.Errorf("bayes: %w", models.ErrCorrupt)
	}
	return m, nil
}
