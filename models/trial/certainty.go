package trial

import (
	"math"

	"bellwether/models"
	"bellwether/models/calibrate"
	"bellwether/models/metric"
)

// sureLevels are the levels at which a predictor can say whether it is sure
// enough.
var sureLevels = []float64{0.8, 0.9, 0.95}

// sureSets finds the sets of each level from the rows that calibrate. As the
// calibrator's, their scores are of the first fit.
func sureSets(raw []float64, t *models.Table) (out []calibrate.Sets, err error) {
	for _, level := range sureLevels {
		s, err := calibrate.Conformal(raw, t.Y, t.Weight, level)
		if err != nil {
			return nil, err
		}
		out = append(out, s)
	}
	return out, nil
}

// Labels returns which labels a row may have at a level, by split-conformal
// prediction; see calibrate.Sets. One label means sure enough; both, that the
// model cannot tell one from the other at the level: ask a person; none, that the
// row is unlike those of either label. known is false for a level the predictor
// does not hold, and every one of an older predictor.
//
// It goes by the probability, which a program has, where the sets are of raw
// scores: the first never falls as the second rises, so that a set of
// probabilities holds all that the set of scores does.
func (p *Predictor) Labels(of Probability, level float64) (labels calibrate.Labels, known bool) {
	for _, s := range p.Sets {
		if s.Level != level {
			continue
		}
		labels = calibrate.Both
		// At the ends scores are cut, so that their sets hold all beyond.
		if s.One > calibrate.Epsilon && of.P < probability(p.Calibrator, s.One).P {
			labels &^= calibrate.One
		}
		if s.Zero < 1-calibrate.Epsilon && of.P > probability(p.Calibrator, s.Zero).P {
			labels &^= calibrate.Zero
		}
		return labels, true
	}
	return calibrate.Both, false
}

// Levels lists the levels Labels knows.
func (p *Predictor) Levels() (out []float64) {
	for _, s := range p.Sets {
		out = append(out, s.Level)
	}
	return out
}

// certainty measures the sets, which come of valid, on the test slice.
func certainty(p *Predictor, test []Probability, t, valid *models.Table) []Certainty {
	out := []Certainty{}
	from := [2]float64{effectiveOf(valid, 0), effectiveOf(valid, 1)}
	for _, s := range p.Sets {
		c := Certainty{Level: Number(s.Level)}
		var mass, covered, squares [2]float64 // by label
		var sets [4]float64
		for i, q := range test {
			labels, _ := p.Labels(q, s.Level)
			w, y := weightOf(t, i), int(t.Y[i])
			sets[labels] += w
			mass[y] += w
			squares[y] += w * w
			if labels.Has(t.Y[i]) {
				covered[y] += w
			}
		}
		all := mass[0] + mass[1]
		c.Sure = Number((sets[calibrate.Zero] + sets[calibrate.One]) / all)
		c.Both, c.None = Number(sets[calibrate.Both]/all), Number(sets[calibrate.Nobody]/all)
		c.Covered = Number((covered[0] + covered[1]) / all)
		c.Ones, c.Zeros = share(covered[1], mass[1], squares[1]), share(covered[0], mass[0], squares[0])
		for label, v := range []Number{c.Zeros.Value, c.Ones.Value} {
			sd := math.Sqrt(s.Level * (1 - s.Level) * (squares[label]/mass[label]/mass[label] + 1/from[label]))
			c.Short = c.Short || float64(v) < s.Level-shortZ*sd
		}
		out = append(out, c)
	}
	return out
}

// shortZ is how many standard errors below its promise a coverage is called
// short: six are looked at in a report, and one report in thirty may be wrong.
const shortZ = 2.576

// effectiveOf is how many rows of one weight say as much as those of a label.
func effectiveOf(t *models.Table, label float64) float64 {
	sum, squares := 0.0, 0.0
	for i, y := range t.Y {
		if y == label {
			w := weightOf(t, i)
			sum += w
			squares += w * w
		}
	}
	return sum * sum / squares
}

// share is a part of a mass with its 95 % interval.
func share(part, mass, squares float64) Share {
	if mass == 0 {
		return Share{nan, nan, nan}
	}
	lo, hi := metric.Wilson(part/mass, mass*mass/squares)
	return Share{Number(part / mass), Number(lo), Number(hi)}
}
