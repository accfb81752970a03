package health

import (
	"fmt"
	"math"
	"slices"
	"strings"
	"time"

	"bellwether/datasets/record"
	"bellwether/features"
	"bellwether/models/calibrate"
	"bellwether/models/survival"
	"bellwether/models/trial"
)

// History is what health keeps of the past beside the features: who was active
// when, and the book of KPIs.
type History struct {
	Labels *Labels
	Book   *Book
	until  time.Time
}

// NewHistory returns an empty history that ignores what becomes known from
// until on; a zero until ignores nothing.
func NewHistory(cfg Config, set *features.Set, until time.Time) *History {
	return &History{Labels: NewLabels(cfg), Book: NewBook(cfg, set.Worth), until: until}
}

// Observe takes in one event. Events must come in the order in which they
// became known, each once.
func (h *History) Observe(e *record.Event) {
	if !h.until.IsZero() && !e.Known().Before(h.until) {
		return
	}
	h.Labels.Observe(e)
	h.Book.Observe(e)
}

// Assessor judges partners. Without Churn it uses the hand-set weights, says so
// in Standing.Model, and gives the interval [0, 1]: they are not calibrated.
type Assessor struct {
	Set     *features.Set
	History *History
	Churn   *trial.Predictor
	Model   string          // name of Churn for Standing.Model: "churn@v3"
	Alive   *survival.BGNBD // see FitAlive; nil: Standing.Alive is 0

	weights *WeightsModel
	fs      []features.Feature // of the partner block
	raw     *trial.Predictor   // Churn without its calibrator
	at      []int              // where in the partner block Churn's columns are
	churnFs []features.Feature // Churn's columns
}

// Models of standings that no learned model judged.
const (
	byWeights    = "hand-set weights"
	byDefinition = "definition" // has left already, by the label's own definition
)

// TrendDays is how far back the risk lies that Standing.Trend compares with.
const TrendDays = 28

// Prepare checks that the model was made for the set. It must be called once,
// before the other methods, which may then be used from many goroutines.
func (a *Assessor) Prepare() error {
	_, from, to := a.Set.Sides()
	a.fs = a.Set.Features()[from:to]
	columns := a.Set.Columns()[from:to]
	a.weights = NewWeights(columns)
	if a.Churn == nil {
		return nil
	}
	a.at = make([]int, len(a.Churn.Columns))
	for k, c := range a.Churn.Columns {
		if a.at[k] = slices.Index(columns, c); a.at[k] < 0 {
			return record.Errorf(record.Incompatible, "assess", "the feature set has no column %s, which model %s reads: train it again", c.Name, a.Model)
		}
	}
	a.churnFs = project(a.fs, a.at)
	plain, err := calibrate.Fit(calibrate.Identity, nil, nil, nil)
	if err != nil {
		return err
	}
	a.raw = &trial.Predictor{Columns: a.Churn.Columns, Learner: a.Churn.Learner, Model: a.Churn.Model, Calibrator: plain}
	return nil
}

// project takes the items at some places out of a list.
func project[T any](list []T, at []int) []T {
	out := make([]T, len(at))
	for k, j := range at {
		out[k] = list[j]
	}
	return out
}

// panel is all partners at one moment, those that have ended with us left out.
type panel struct {
	at    time.Time // midnight
	who   []*features.PartnerState
	rows  []float64
	width int
	risk  []trial.Probability
	model []string
}

// survey makes every partner's row and risk as of the midnight of now.
func (a *Assessor) survey(st *features.State, now time.Time) *panel {
	p := &panel{at: now.UTC().Truncate(24 * time.Hour), width: len(a.fs)}
	for s := range st.Partners() {
		past := a.History.Labels.partners[s.ID]
		ended := past != nil && (past.goneAt(p.at.Unix()) || past.merged != 0 && past.merged <= p.at.Unix())
		if rec := s.Record(); ended || rec != nil && rec.StatusAt(p.at) == "terminated" {
			continue
		}
		p.who = append(p.who, s)
	}
	p.rows = make([]float64, len(p.who)*p.width)
	for i, s := range p.who {
		a.Set.PartnerRow(p.row(i), s, st, p.at)
	}
	p.risk, p.model = make([]trial.Probability, len(p.who)), make([]string, len(p.who))
	if a.Churn != nil {
		rows := make([]float64, 0, len(p.who)*len(a.at))
		for i := range p.who {
			rows = append(rows, project(p.row(i), a.at)...)
		}
		a.Churn.PredictRows(p.risk, rows, &trial.Scratch{})
	}
	for i, s := range p.who {
		_, before := a.History.Labels.Habit(s.ID, p.at)
		switch {
		case a.History.Labels.Active(s.ID, p.at) && a.Churn != nil:
			p.model[i] = a.Model
		case before && !a.History.Labels.Active(s.ID, p.at):
			p.risk[i], p.model[i] = trial.Probability{P: 1, Lo: 1, Hi: 1}, byDefinition
		default: // never did business, or no model: nothing calibrated can be said
			p.risk[i], p.model[i] = trial.Probability{P: 1 - a.weights.Score(p.row(i))/100, Lo: 0, Hi: 1}, byWeights
		}
	}
	return p
}

func (p *panel) row(i int) []float64 { return p.rows[i*p.width : (i+1)*p.width] }

// medians returns each column's median over the panel, NaN of nothing.
func (p *panel) medians() []float64 {
	out, col := make([]float64, p.width), make([]float64, 0, len(p.who))
	for j := range out {
		col = col[:0]
		for i := range p.who {
			if x := p.rows[i*p.width+j]; !math.IsNaN(x) {
				col = append(col, x)
			}
		}
		out[j] = math.NaN()
		if len(col) > 0 {
			out[j] = median(col)
		}
	}
	return out
}

// Risks returns every partner's risk as of the midnight of now: what Assess
// wants of TrendDays before.
func (a *Assessor) Risks(st *features.State, now time.Time) map[record.PartnerID]float64 {
	p := a.survey(st, now)
	risks := make(map[record.PartnerID]float64, len(p.who))
	for i, s := range p.who {
		risks[s.ID] = p.risk[i].P
	}
	return risks
}

// Assess returns the standing of each partner as of the midnight of now, in
// order of id, from a state and a history that hold what was known by then.
// Partners whose contract lapsed or who were terminated have none. A partner
// with past business but none in the label's ActiveDays has left by definition:
// its risk is 1. before holds the risks of TrendDays ago (see Risks); a partner
// not in it has trend 0.
func (a *Assessor) Assess(st *features.State, before map[record.PartnerID]float64, now time.Time) []record.Standing {
	p := a.survey(st, now)
	medians := p.medians()
	value := a.values(p, medians)
	kpis, tiers := make([]map[string]float64, len(p.who)), make([]string, len(p.who))
	for i, s := range p.who {
		kpis[i] = a.kpis(p, i)
		if rec := s.Record(); rec != nil {
			tiers[i] = rec.Tier
		}
	}
	compare(kpis, tiers)
	high := topDecile(p, value)
	out := make([]record.Standing, len(p.who))
	for i, s := range p.who {
		out[i] = record.Standing{Partner: s.ID, At: p.at, Risk: p.risk[i].P, RiskLo: p.risk[i].Lo, RiskHi: p.risk[i].Hi,
			HorizonDays: a.History.Labels.cfg.HorizonDays, KPIs: kpis[i], Model: p.model[i], Activity: a.History.Book.Activity(s.ID, p.at),
			ValueAtRisk: a.money(p.risk[i].P * value[i]), Drivers: a.drivers(p, i, medians)}
		if was, ok := before[s.ID]; ok {
			out[i].Trend = p.risk[i].P - was
		}
		if h, ok := a.History.Labels.Habit(s.ID, p.at); ok && a.Alive != nil {
			out[i].Alive = a.Alive.Alive(h.Repeats, h.LastWeeks, h.WatchedWeeks)
		}
		out[i].Action = action(&out[i], p.risk[i].P*value[i] >= high)
	}
	return out
}

func (a *Assessor) drivers(p *panel, i int, medians []float64) []record.Driver {
	if p.model[i] == byDefinition {
		j := a.column("partner_days_since_activity")
		days := p.row(i)[a.column("partner_days_since_business")]
		d := record.Driver{Feature: "partner_days_since_business",
			Text: fmt.Sprintf("no business for %d days and more: left, as the label defines it", a.History.Labels.cfg.ActiveDays)}
		if !math.IsNaN(days) {
			d.Value = days
		}
		return []record.Driver{d, {Feature: a.fs[j].Name, Value: zeroIfNaN(p.row(i)[j]), Text: driverText(&a.fs[j], p.row(i)[j], medians[j])}}
	}
	if p.model[i] == byWeights {
		return tell(a.weights, a.fs, p.row(i)).drivers(a.fs, p.row(i), medians)
	}
	row, usual := project(p.row(i), a.at), project(medians, a.at)
	if m, ok := a.Churn.Model.(blamer); ok {
		return tell(m, a.churnFs, row).drivers(a.churnFs, row, usual)
	}
	return occlude(a.raw, a.churnFs, row, usual).drivers(a.churnFs, row, usual)
}

func zeroIfNaN(x float64) float64 {
	if math.IsNaN(x) {
		return 0
	}
	return x
}

// column returns where a feature of the partner block is; the name is ours.
func (a *Assessor) column(name string) int {
	_, from, _ := a.Set.Sides()
	j, ok := a.Set.Column(name)
	if !ok {
		panic("health: no feature " + name)
	}
	return j - from
}

// values is what each partner is worth a year, in the base currency: the
// revenue of the year before, or, for one without any, what its open offers
// promise: offers it works on times its win rate times its usual deal, or the
// median partner's where it has none.
func (a *Assessor) values(p *panel, medians []float64) []float64 {
	revenue, working := a.column("partner_business_revenue_364d"), a.column("partner_working")
	rate, size := a.column("partner_win_rate"), a.column("partner_deal_size_log")
	out := make([]float64, len(p.who))
	for i := range out {
		row := p.row(i)
		if out[i] = zeroIfNaN(row[revenue]); out[i] > 0 {
			continue
		}
		deal := row[size]
		if math.IsNaN(deal) {
			deal = medians[size]
		}
		out[i] = zeroIfNaN(row[working] * row[rate] * math.Expm1(deal))
	}
	return out
}

// money writes an amount of the base currency.
func (a *Assessor) money(units float64) record.Money {
	code := a.Set.Options().Base
	if code == "" {
		code = a.History.Book.currency()
	}
	digits, ok := record.MinorDigits(code)
	if !ok || units <= 0 {
		return record.Money{}
	}
	return record.Money{Amount: int64(math.Round(units * math.Pow10(digits))), Currency: code}
}

func (a *Assessor) kpis(p *panel, i int) map[string]float64 {
	row := p.row(i)
	k := a.History.Book.kpis(p.who[i].ID, p.at)
	k["health_hand_set"] = a.weights.Score(row)
	for name, column := range map[string]string{"revenue_364d": "partner_business_revenue_364d", "win_rate": "partner_win_rate",
		"accept_rate": "partner_accept_rate_364d", "response_hours": "partner_response_hours_91d"} {
		if x := row[a.column(column)]; !math.IsNaN(x) {
			k[name] = x
		}
	}
	return k
}

// topDecile is the value at risk from which a partner is among the tenth with
// most of it.
func topDecile(p *panel, value []float64) float64 {
	var at []float64
	for i, r := range p.risk {
		if x := r.P * value[i]; x > 0 {
			at = append(at, x)
		}
	}
	if len(at) == 0 {
		return math.Inf(1)
	}
	slices.Sort(at)
	return at[len(at)*9/10]
}

// calm and alarm are the risks below which nothing need be done and from which
// it must be soon: half of and twice the usual share of partners that leave in a
// quarter (11 - 14 % of the Olist sellers, data/README.md).
const (
	calm  = 0.06
	alarm = 0.25
)

// action says what to do: how soon by value and risk, what by the strongest
// reason for the risk.
func action(s *record.Standing, high bool) string {
	if s.Model == byDefinition {
		if high {
			return "Win back: somebody it trusts should call this week; if it is over, close the contract and move its accounts."
		}
		return "Ask once whether it wants to go on; if not, close."
	}
	what := ""
	for _, d := range s.Drivers {
		if d.Effect > 0 {
			what = themes[themeOf(d.Feature)].action
			break
		}
	}
	switch {
	case what == "" || s.Risk < calm && !high:
		return "Nothing to do."
	case high && s.Risk >= alarm:
		return "This week, by phone: " + what + "."
	case s.Risk >= alarm:
		return "Within two weeks: " + what + "."
	case high:
		return "At the next review: " + what + "."
	}
	return "By mail: " + strings.TrimSpace(what) + "."
}
