package health

import (
	"context"
	"fmt"
	"math"
	"slices"

	"bellwether/models"
	"bellwether/models/wire"
)

// Weights is the hand-set health score that channel teams use, as a baseline
// and as what judges while no model is published: business 30, engagement 20,
// responsiveness 20, enablement 15, satisfaction 15 of 100. Nothing in it is
// learned. Its probability of leaving is 1 less the score's share, which ranks
// but is not calibrated.
type Weights struct{}

// measure reads one column: bad and worse is 0, good and better is 1, linear
// between, missing 0.5.
type measure struct {
	column    string
	bad, good float64
}

// part is one fifth of the score: the mean of its measures, times weight.
type part struct {
	name     string
	weight   float64
	measures []measure
}

// handSet are the weights of DESIGN.md section 3 over the columns that say most
// about each part; the ends of each scale are what a channel manager would call
// hopeless and fine.
var handSet = []part{
	{"business", 30, []measure{{"partner_days_since_business", 120, 7}, {"partner_business_trend", -1.5, 0.3}, {"partner_revenue_trend", -3, 0.2}}},
	{"engagement", 20, []measure{{"partner_portal_velocity", -1.5, 0.2}, {"partner_days_since_portal", 30, 2}}},
	{"responsiveness", 20, []measure{{"partner_accept_rate_91d", 0.2, 0.8}, {"partner_response_hours_91d", 72, 8}}},
	{"enablement", 15, []measure{{"partner_certificates", 0, 2}, {"partner_trainings_364d", 0, 4}}},
	{"satisfaction", 15, []measure{{"partner_survey_last", 3, 9}, {"partner_sentiment_91d", -0.5, 0.5}}},
}

// Name implements models.Learner.
func (Weights) Name() string { return "hand_set_weights" }

// Fit finds the columns by name and learns nothing.
func (Weights) Fit(ctx context.Context, train, _ *models.Table, _ uint64) (models.Model, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	if err := train.Check(true); err != nil {
		return nil, err
	}
	return NewWeights(train.Columns), nil
}

// WeightsModel is Weights bound to the columns of rows.
type WeightsModel struct {
	width int
	at    []int // column of each measure, in order; -1: there is none
}

// NewWeights binds the hand-set score to columns.
func NewWeights(columns []models.Column) *WeightsModel {
	m := &WeightsModel{width: len(columns)}
	for _, p := range handSet {
		for _, x := range p.measures {
			m.at = append(m.at, slices.IndexFunc(columns, func(c models.Column) bool { return c.Name == x.column }))
		}
	}
	return m
}

// Score returns the hand-set health of a row, 0 to 100.
func (m *WeightsModel) Score(row []float64) float64 {
	score := 0.0
	m.parts(row, func(p *part, share float64, _ int) { score += p.weight * share })
	return score
}

// parts gives each part's share, with the number of its first measure.
func (m *WeightsModel) parts(row []float64, f func(p *part, share float64, first int)) {
	n := 0
	for i := range handSet {
		p, sum := &handSet[i], 0.0
		for k, x := range p.measures {
			sum += m.share(row, n+k, x)
		}
		f(p, sum/float64(len(p.measures)), n)
		n += len(p.measures)
	}
}

func (m *WeightsModel) share(row []float64, n int, x measure) float64 {
	if m.at[n] < 0 || math.IsNaN(row[m.at[n]]) {
		return 0.5
	}
	return min(max((row[m.at[n]]-x.bad)/(x.good-x.bad), 0), 1)
}

// Contributions writes what each column moves the log odds by, as steps along
// 4 (risk - 0.5), the logistic curve's tangent at one half.
func (m *WeightsModel) Contributions(dst, row []float64) (start float64) {
	if len(dst) != m.width || len(row) != m.width {
		panic(fmt.Sprintf("health: %d numbers into %d contributions, width is %d", len(row), len(dst), m.width))
	}
	clear(dst)
	n := 0
	for _, p := range handSet {
		for _, x := range p.measures {
			if m.at[n] >= 0 {
				dst[m.at[n]] += 4 * p.weight / 100 * (0.5 - m.share(row, n, x)) / float64(len(p.measures))
			}
			n++
		}
	}
	return 0
}

// Predict implements models.Model.
func (m *WeightsModel) Predict(dst []float64, t *models.Table) error {
	switch {
	case t.Len() == 0:
		return models.ErrEmpty
	case t.Width() != m.width:
		return models.ErrWidth
	}
	row := make([]float64, m.width)
	for i := range dst {
		t.Row(row, i)
		dst[i] = 1 - m.Score(row)/100
	}
	return nil
}

// PredictRows implements models.RowsPredictor.
func (m *WeightsModel) PredictRows(dst, rows []float64) {
	if len(rows) != len(dst)*m.width {
		panic(fmt.Sprintf("health: %d numbers for %d rows of %d", len(rows), len(dst), m.width))
	}
	for i := range dst {
		dst[i] = 1 - m.Score(rows[i*m.width:(i+1)*m.width])/100
	}
}

// Width implements models.Model.
func (m *WeightsModel) Width() int { return m.width }

const weightsMagic = "hwt1"

// MarshalBinary implements models.Model.
func (m *WeightsModel) MarshalBinary() ([]byte, error) {
	e := wire.NewEncoder(weightsMagic)
	e.Int(m.width)
	e.Ints(m.at)
	return e.Seal(), nil
}

// LoadWeights reads what MarshalBinary wrote; damaged bytes are
// models.ErrCorrupt.
func LoadWeights(b []byte) (*WeightsModel, error) {
	d := wire.NewDecoder(weightsMagic, b)
	m := &WeightsModel{width: d.Int(), at: d.Ints()}
	if m.width < 1 || len(m.at) != len(NewWeights(nil).at) || slices.ContainsFunc(m.at, func(at int) bool { return at < -1 || at >= m.width }) {
		d.Fail()
	}
	if d.Close() != nil {
		return nil, models.ErrCorrupt
	}
	return m, nil
}
