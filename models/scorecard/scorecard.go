// Package scorecard is the model a person can add up by hand: each input is cut
// into a few bins, each bin is worth a whole number of points, and the sum is
// the answer. Even points mean even odds: at Even points P = 1/2, and every
// Double points more double the odds. The printed table is the whole model.
//
// Numbers are cut by ChiMerge (Kerber, AAAI 1992; see chimerge.go for why it is
// not golearn's). Categories have the levels package design chooses. A bin's
// weight of evidence, ln of its share of ones over its share of zeros, half a
// row added to each, enters a logistic regression (package logit) whose terms,
// rounded to points, are the card.
package scorecard

import (
	"cmp"
	"context"
	"fmt"
	"math"
	"slices"

	"bellwether/models"
	"bellwether/models/design"
	"bellwether/models/logit"
	"bellwether/models/wire"
)

// The scale of the points.
const (
	Even   = 500 // points at even odds
	Double = 20  // points that double the odds
)

// Learner fits scorecards. The zero value is ready to use.
type Learner struct {
	Bins   int // most bins of a number; 0 means 6
	Levels design.Options
}

// Name is "scorecard".
func (Learner) Name() string { return "scorecard" }

// Bin is one line of the card.
type Bin struct {
	Column   int
	Missing  bool
	Other    bool    // of a category: rare and unseen levels
	Level    float64 // of a category: its code
	Category bool
	From     float64 // of a number: From <= x < To, without bound where infinite
	To       float64
	Rows     int     // training rows in it
	Rate     float64 // their weighted rate of ones
	Evidence float64 // weight of evidence
	Points   int
}

// Model is a fitted card.
type Model struct {
	width int
	start int // points every row starts with
	bins  []Bin
	first []int // per column, its first bin in bins; one more at the end
}

// Fit learns from train alone.
func (l Learner) Fit(ctx context.Context, train, _ *models.Table, seed uint64) (models.Model, error) {
	if err := design.Trainable(train); err != nil {
		return nil, fmt.Errorf("scorecard: %w", err)
	}
	if l.Bins == 0 {
		l.Bins = 6
	}
	u := train.Take(design.Newest(train, train.Len())) // leaves out weight 0
	m := &Model{width: u.Width()}
	slots := design.Fit(u, l.Levels).Describe()
	unit := units(u)
	for j := range u.X {
		if err := ctx.Err(); err != nil {
			return nil, err
		}
		m.first = append(m.first, len(m.bins))
		if u.Columns[j].Kind == models.Category {
			for _, s := range slots {
				if s.Column == j && !s.Missing {
					m.bins = append(m.bins, Bin{Column: j, Category: true, Level: s.Level, Other: s.Other})
				}
			}
		} else {
			m.cut(j, chiMerge(u.X[j], u.Y, unit, l.Bins))
		}
		m.bins = append(m.bins, Bin{Column: j, Missing: true, Category: u.Columns[j].Kind == models.Category})
	}
	m.first = append(m.first, len(m.bins))
	m.weigh(u, unit)
	return m, m.score(ctx, u, seed)
}

func (m *Model) cut(j int, cuts []float64) {
	from := math.Inf(-1)
	for _, c := range cuts {
		m.bins = append(m.bins, Bin{Column: j, From: from, To: c})
		from = c
	}
	m.bins = append(m.bins, Bin{Column: j, From: from, To: math.Inf(1)})
}

// units are the weights scaled to a mean of 1, so that half a row added and a
// significant difference mean the same whatever the weights' scale.
func units(t *models.Table) []float64 {
	unit := make([]float64, t.Len())
	sum := 0.0
	for i := range unit {
		unit[i] = 1
		if t.Weight != nil {
			unit[i] = t.Weight[i]
		}
		sum += unit[i]
	}
	for i := range unit {
		unit[i] *= float64(len(unit)) / sum
	}
	return unit
}

// weigh counts each bin's rows and sets its weight of evidence.
func (m *Model) weigh(t *models.Table, unit []float64) {
	ones, all := make([]float64, len(m.bins)), make([]float64, len(m.bins))
	var sum1, sum float64
	for i, y := range t.Y {
		w := unit[i]
		sum1 += w * y
		sum += w
		for j := range t.X {
			b := m.bin(j, t.X[j][i])
			ones[b] += w * y
			all[b] += w
			m.bins[b].Rows++
		}
	}
	for b := range m.bins {
		if all[b] > 0 {
			m.bins[b].Rate = ones[b] / all[b]
			m.bins[b].Evidence = math.Log((ones[b] + .5) / (all[b] - ones[b] + .5) * (sum - sum1 + .5) / (sum1 + .5))
		}
	}
}

// bin is the number of the bin that column j holding x falls in.
func (m *Model) bin(j int, x float64) int {
	first, missing := m.first[j], m.first[j+1]-1
	switch {
	case math.IsNaN(x):
		return missing
	case m.bins[missing].Category:
		// The levels ascend; "other" is the last before missing.
		own := m.bins[first : missing-1]
		if k, found := slices.BinarySearchFunc(own, x, func(b Bin, x float64) int { return cmp.Compare(b.Level, x) }); found {
			return first + k
		}
		return missing - 1
	}
	k, found := slices.BinarySearchFunc(m.bins[first:missing], x, func(b Bin, x float64) int { return cmp.Compare(b.From, x) })
	if !found {
		k--
	}
	return first + k
}

// score turns evidence into points.
func (m *Model) score(ctx context.Context, t *models.Table, seed uint64) error {
	evidence := &models.Table{Columns: make([]models.Column, m.width), X: make([][]float64, m.width), Y: t.Y, Weight: t.Weight}
	for j, x := range t.X {
		evidence.X[j] = make([]float64, len(x))
		for i, v := range x {
			evidence.X[j][i] = m.bins[m.bin(j, v)].Evidence
		}
	}
	fitted, err := logit.Learner{}.Fit(ctx, evidence, nil, seed)
	if err != nil {
		return fmt.Errorf("scorecard: %w", err)
	}
	line := fitted.(*logit.Model)
	points := func(odds float64) int { return int(math.Round(odds * Double / math.Ln2)) }
	_, intercept := line.Terms()
	m.start = Even + points(intercept)
	for b := range m.bins {
		if m.bins[b].Rows > 0 {
			m.bins[b].Points = points(line.Contribution(m.bins[b].Column, m.bins[b].Evidence))
		}
	}
	return nil
}

// Width is the number of inputs.
func (m *Model) Width() int { return m.width }

// Card returns the points every row starts with and the bins, column by column.
func (m *Model) Card() (start int, bins []Bin) { return m.start, slices.Clone(m.bins) }

// Points is the sum of a row's points.
func (m *Model) Points(row []float64) int {
	sum := m.start
	for j, x := range row {
		sum += m.bins[m.bin(j, x)].Points
	}
	return sum
}

func chance(points int) float64 { return 1 / (1 + math.Exp2(float64(Even-points)/Double)) }

// Predict writes P(Y = 1) of each row. Another width than that of training is
// models.ErrWidth, no rows are models.ErrEmpty.
func (m *Model) Predict(dst []float64, t *models.Table) error {
	if err := design.Predictable(t, m.width); err != nil {
		return fmt.Errorf("scorecard: %w", err)
	}
	row := make([]float64, m.width)
	for i := range t.Len() {
		t.Row(row, i)
		dst[i] = chance(m.Points(row))
	}
	return nil
}

// PredictRows is Predict for rows one after another.
func (m *Model) PredictRows(dst, rows []float64) {
	if len(rows) != len(dst)*m.width {
		panic(fmt.Sprintf("scorecard: %d numbers are not %d rows of %d", len(rows), len(dst), m.width))
	}
	for i := range dst {
		dst[i] = chance(m.Points(rows[i*m.width : (i+1)*m.width]))
	}
}

const magic = "crd1"

// MarshalBinary writes the model.
func (m *Model) MarshalBinary() ([]byte, error) {
	e := wire.NewEncoder(magic)
	e.Int(m.width)
	e.Int(m.start)
	e.Ints(m.first)
	e.Int(len(m.bins))
	for _, b := range m.bins {
		e.Int(b.Column)
		e.Bool(b.Missing)
		e.Bool(b.Other)
		e.Float(b.Level)
		e.Bool(b.Category)
		e.Float(b.From)
		e.Float(b.To)
		e.Int(b.Rows)
		e.Float(b.Rate)
		e.Float(b.Evidence)
		e.Int(b.Points)
	}
	return e.Seal(), nil
}

// Load reads what MarshalBinary wrote, or answers models.ErrCorrupt.
func Load(b []byte) (*Model, error) {
	d := wire.NewDecoder(magic, b)
	m := &Model{width: d.Int(), start: d.Int(), first: d.Ints()}
	for range d.Int() {
		bin := Bin{Column: d.Int(), Missing: d.Bool(), Other: d.Bool(), Level: d.Float(), Category: d.Bool(),
			From: d.Float(), To: d.Float(), Rows: d.Int(), Rate: d.Float(), Evidence: d.Float(), Points: d.Int()}
		if d.Err() != nil {
			break
		}
		m.bins = append(m.bins, bin)
	}
	if d.Close() != nil || !m.sound() {
		return nil, fmt.Errorf("scorecard: %w", models.ErrCorrupt)
	}
	return m, nil
}

// sound holds that every column has its bins and each number's bins begin below
// everything, so that bin cannot go astray.
func (m *Model) sound() bool {
	if m.width != len(m.first)-1 || m.first[m.width] != len(m.bins) {
		return false
	}
	for j := range m.width {
		first, missing := m.first[j], m.first[j+1]-1
		if first < 0 || missing <= first || missing >= len(m.bins) || !m.bins[missing].Missing {
			return false
		}
		if !m.bins[missing].Category && !math.IsInf(m.bins[first].From, -1) {
			return false
		}
	}
	return true
}
