package trial

import (
	"cmp"
	"context"
	"fmt"
	"math"
	"slices"

	"bellwether/models"
	"bellwether/models/metric"
	"bellwether/models/target"
	"bellwether/models/wire"
)

// BaseRate answers every row with the share of ones it was fitted on: what one
// knows without looking.
type BaseRate struct{}

// Name implements models.Learner.
func (BaseRate) Name() string { return "base_rate" }

// ReadsBatches implements models.BatchLearner.
func (BaseRate) ReadsBatches() {}

// Fit implements models.Learner.
func (BaseRate) Fit(ctx context.Context, train, _ *models.Table, _ uint64) (models.Model, error) {
	if err := check(train); err != nil {
		return nil, err
	}
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	return &rates{width: train.Width(), column: -1, rate: metric.Base(train.Y, train.Weight)}, nil
}

// check reports a table that no rate can be taken of.
func check(t *models.Table) error {
	if err := t.Check(true); err != nil {
		return err
	}
	if rate := metric.Base(t.Y, t.Weight); rate == 0 || rate == 1 {
		return models.ErrOneClass
	}
	return nil
}

// ColumnRate answers with the rate of the row's value in one column, shrunk to
// the base rate: "what share do leads like this of partner X win". A numeric
// column is cut into at most rateBins ranges of equal mass. With Column empty
// it takes the column whose rates, each row left out of its own, have the least
// log loss in training.
type ColumnRate struct{ Column string }

const rateBins = 32

// Name implements models.Learner.
func (l ColumnRate) Name() string {
	if l.Column == "" {
		return "best_column"
	}
	return "rate:" + l.Column
}

// ReadsBatches implements models.BatchLearner.
func (l ColumnRate) ReadsBatches() {}

// Fit implements models.Learner.
func (l ColumnRate) Fit(ctx context.Context, train, _ *models.Table, _ uint64) (models.Model, error) {
	if err := check(train); err != nil {
		return nil, err
	}
	var best *rates
	least := math.Inf(1)
	for j, c := range train.Columns {
		if l.Column != "" && c.Name != l.Column {
			continue
		}
		if err := ctx.Err(); err != nil {
			return nil, err
		}
		m := ratesOf(train, j)
		loss := m.leftOut(train)
		if best == nil || loss < least {
			best, least = m, loss
		}
	}
	if best == nil {
		return nil, fmt.Errorf("there is no column %q to take rates of", l.Column)
	}
	return best, nil
}

// rates is the model of both baselines: a rate per value of one column.
type rates struct {
	width    int
	column   int // -1: none
	kind     models.Kind
	rate     float64 // of all rows, and of a value never seen
	strength float64
	cuts     []float64 // upper ends of the ranges of a numeric column
	keys     []float64 // sorted: codes, or range numbers; -1 is missing
	counters []target.Counter
}

const missingKey = -1

func ratesOf(t *models.Table, j int) *rates {
	m := &rates{width: t.Width(), column: j, kind: t.Columns[j].Kind, rate: metric.Base(t.Y, t.Weight)}
	col := t.Column(j)
	if m.kind == models.Numeric {
		m.cuts = cutsOf(col)
	}
	by := map[float64]*target.Counter{}
	for i, x := range col {
		k := m.key(x)
		if by[k] == nil {
			by[k] = &target.Counter{}
			m.keys = append(m.keys, k)
		}
		by[k].Add(t.Y[i], weightOf(t, i))
	}
	slices.Sort(m.keys)
	for _, k := range m.keys {
		m.counters = append(m.counters, *by[k])
	}
	m.strength = target.Strength(m.counters)
	return m
}

func cutsOf(col []float64) []float64 {
	var sorted []float64
	for _, x := range col {
		if !math.IsNaN(x) {
			sorted = append(sorted, x)
		}
	}
	slices.Sort(sorted)
	var cuts []float64
	for b := 1; b < rateBins && len(sorted) > 0; b++ {
		cuts = append(cuts, sorted[b*len(sorted)/rateBins])
	}
	return slices.Compact(cuts)
}

func weightOf(t *models.Table, i int) float64 {
	if t.Weight == nil {
		return 1
	}
	return t.Weight[i]
}

func (m *rates) key(x float64) float64 {
	switch {
	case math.IsNaN(x):
		return missingKey
	case m.kind == models.Category:
		return x
	}
	at, exact := slices.BinarySearch(m.cuts, x)
	if exact {
		at++
	}
	return float64(at)
}

func (m *rates) counter(x float64) target.Counter {
	if at, ok := slices.BinarySearchFunc(m.keys, m.key(x), cmp.Compare[float64]); ok {
		return m.counters[at]
	}
	return target.Counter{}
}

// leftOut is the log loss of rates that do not know their own row.
func (m *rates) leftOut(t *models.Table) float64 {
	p := make([]float64, t.Len())
	for i, x := range t.Column(m.column) {
		c := m.counter(x)
		c = c.Minus(target.Counter{N: weightOf(t, i), Pos: weightOf(t, i) * t.Y[i]})
		p[i] = target.Mean(c, m.rate, m.strength)
	}
	return metric.LogLoss(p, t.Y, t.Weight)
}

// Predict implements models.Model.
func (m *rates) Predict(dst []float64, t *models.Table) error {
	if t.Len() == 0 {
		return models.ErrEmpty
	}
	if t.Width() != m.width {
		return models.ErrWidth
	}
	if m.column < 0 {
		for i := range dst {
			dst[i] = m.rate
		}
		return nil
	}
	for i, x := range t.Column(m.column) {
		dst[i] = target.Mean(m.counter(x), m.rate, m.strength)
	}
	return nil
}

// Width implements models.Model.
func (m *rates) Width() int { return m.width }

const ratesMagic = "rat1"

// MarshalBinary implements models.Model.
func (m *rates) MarshalBinary() ([]byte, error) {
	e := wire.NewEncoder(ratesMagic)
	e.Int(m.width)
	e.Int(m.column)
	e.Int(int(m.kind))
	e.Float(m.rate)
	e.Float(m.strength)
	e.Floats(m.cuts)
	e.Floats(m.keys)
	for _, c := range m.counters {
		e.Float(c.N)
		e.Float(c.Pos)
	}
	return e.Seal(), nil
}

func loadRates(b []byte) (*rates, error) {
	d := wire.NewDecoder(ratesMagic, b)
	m := &rates{width: d.Int(), column: d.Int(), kind: models.Kind(d.Int()), rate: d.Float(), strength: d.Float(), cuts: d.Floats(), keys: d.Floats()}
	for range m.keys {
		m.counters = append(m.counters, target.Counter{N: d.Float(), Pos: d.Float()})
		if d.Err() != nil {
			break
		}
	}
	if m.width < 1 || m.column < -1 || m.column >= m.width || !(m.rate >= 0 && m.rate <= 1) || m.strength < 0 || !slices.IsSorted(m.keys) || !slices.IsSorted(m.cuts) {
		d.Fail()
	}
	if d.Close() != nil {
		return nil, models.ErrCorrupt
	}
	return m, nil
}
