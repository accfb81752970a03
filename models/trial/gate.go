package trial

import (
	"fmt"
	"math"
	"strings"

	"bellwether/models"
	"bellwether/models/metric"
)

// Gate is what a model must show before it may be published. Zero fields mean
// the defaults beside them.
type Gate struct {
	MinPositives, MinNegatives int     // known outcomes of each kind before the test slice; 40
	MinAUC                     float64 // the lower 95 % bound of the test AUC must be above it; 0.60
	AUCTolerance               float64 // how much lower than the incumbent's AUC may be; 0.01
	LogLossTolerance           float64 // how much higher log loss may be; 0.01
	ECETolerance               float64 // how much higher ECE may be; 0.02
}

// The defaults. 40 of each outcome is what the field asks for before it trains
// at all (Dynamics 365 lead scoring). A bound of 0.60 is ours: below it, ranking
// by the model gains less than chance moves a month's figures. The tolerances
// are about one standard error of each figure on 5,000 test rows: less cannot be
// told from luck.
const (
	defaultMinOutcomes      = 40
	defaultMinAUC           = 0.60
	defaultAUCTolerance     = 0.01
	defaultLogLossTolerance = 0.01
	defaultECETolerance     = 0.02
)

func (g *Gate) fill() {
	for _, v := range []*int{&g.MinPositives, &g.MinNegatives} {
		if *v == 0 {
			*v = defaultMinOutcomes
		}
	}
	for _, v := range []struct {
		to  *float64
		def float64
	}{{&g.MinAUC, defaultMinAUC}, {&g.AUCTolerance, defaultAUCTolerance}, {&g.LogLossTolerance, defaultLogLossTolerance}, {&g.ECETolerance, defaultECETolerance}} {
		if *v.to == 0 {
			*v.to = v.def
		}
	}
}

// Refusal says why nothing was fitted: too little data, or a column that gives
// the answer away.
type Refusal struct{ Reasons []string }

// Error joins the reasons.
func (r *Refusal) Error() string { return "refused: " + strings.Join(r.Reasons, "; ") }

// enough says what is missing before anything can be learned and measured.
func (g *Gate) enough(r *run) []string {
	var out []string
	pos := positives(r.table, r.split.last.rows)
	neg := len(r.split.last.rows) - pos
	if pos < g.MinPositives {
		out = append(out, fmt.Sprintf("%d positive outcomes known before the test slice, %d are needed: %d are missing", pos, g.MinPositives, g.MinPositives-pos))
	}
	if neg < g.MinNegatives {
		out = append(out, fmt.Sprintf("%d negative outcomes known before the test slice, %d are needed: %d are missing", neg, g.MinNegatives, g.MinNegatives-neg))
	}
	for _, s := range []struct {
		name string
		t    *models.Table
	}{{"training", r.train}, {"validation", r.valid}, {"test", r.test}} {
		n, ones := len(s.t.Y), 0
		for _, y := range s.t.Y {
			ones += int(y)
		}
		switch {
		case n == 0:
			out = append(out, fmt.Sprintf("the %s slice has no row whose outcome was known in time", s.name))
		case ones == 0 || ones == n:
			out = append(out, fmt.Sprintf("all %d outcomes of the %s slice are the same", n, s.name))
		}
	}
	return out
}

// compare measures the incumbent on the same test rows.
func (r *run) compare(best *entry) error {
	if r.Incumbent == nil {
		return nil
	}
	old := make([]Probability, r.test.Len())
	if err := r.Incumbent.Predict(old, r.test); err != nil {
		r.report.Notes = append(r.report.Notes, fmt.Sprintf("The model in force could not be compared: %v.", err))
		return nil
	}
	p, q := middles(best.test), middles(old)
	d := metric.AUCDifference(p, q, r.test.Y, r.test.Weight)
	r.report.Incumbent = &Comparison{scores(q, r.test), Number(d.Value), Number(d.Lo), Number(d.Hi)}
	return nil
}

// rule decides whether the winner may be published.
func (g *Gate) rule(r *Report) Ruling {
	reasons := []string{}
	switch {
	case !hasSkill(r.Test):
		reasons = append(reasons, r.Skill)
	case !(float64(r.Test.AUCLo) > g.MinAUC):
		reasons = append(reasons, fmt.Sprintf("the lower 95 %% bound of the AUC is %.3f, not above %.2f", r.Test.AUCLo, g.MinAUC))
	}
	if c := r.Incumbent; c != nil {
		if float64(c.DifferenceHi) < 0 || float64(c.Difference) < -g.AUCTolerance {
			reasons = append(reasons, fmt.Sprintf("AUC is %.4f below the model in force on the same rows [%.4f, %.4f]", -c.Difference, -c.DifferenceHi, -c.DifferenceLo))
		}
		reasons = append(reasons, worse("log loss", float64(r.Test.LogLoss), float64(c.LogLoss), g.LogLossTolerance)...)
		reasons = append(reasons, worse("ECE", float64(r.Test.ECE), float64(c.ECE), g.ECETolerance)...)
	}
	return Ruling{len(reasons) == 0, reasons}
}

func worse(what string, now, before, tolerance float64) []string {
	if now <= before+tolerance || math.IsNaN(before) {
		return nil
	}
	return []string{fmt.Sprintf("%s is %.4f where the model in force has %.4f on the same rows; %.3f more is tolerated", what, now, before, tolerance)}
}
