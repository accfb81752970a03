package trial

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"math"
	"slices"

	"bellwether/models"
	"bellwether/models/calibrate"
	"bellwether/models/metric"
)

const (
	// eceBins is the usual number; with equal mass each holds a tenth of the rows.
	eceBins = 10
	// betaBelow is how many validation rows a curve of three parameters beats
	// Venn-Abers under: below, its steps are too few to follow the scores.
	betaBelow = 1000
	// stepsFrom is how many different scores a calibrator of steps needs. The
	// last fit moves every score a little; with few of them that would carry whole
	// masses of rows across a step.
	stepsFrom = 100
	// calibrationBlocks part the validation slice to judge a calibrator on rows
	// it was not fitted on.
	calibrationBlocks = 5
)

var noScores = Scores{nan, nan, nan, nan}

func emptyDetails() Details {
	return Details{Notes: []string{}, Calibration: []Calibration{}, Reliability: []Bin{}, Lift: []Lift{}, Importance: []Importance{}, Dependence: []Dependence{},
		BrierSplit: BrierSplit{nan, nan, nan}}
}

func scores(p []float64, t *models.Table) Scores {
	return Scores{
		AUC:     Number(metric.AUC(p, t.Y, t.Weight)),
		LogLoss: Number(metric.LogLoss(p, t.Y, t.Weight)),
		Brier:   Number(metric.Brier(p, t.Y, t.Weight)),
		ECE:     Number(metric.ECE(p, t.Y, t.Weight, eceBins)),
	}
}

// chooseKind picks the calibrator for a learner's scores on the validation
// slice. One score for all rows cannot be mapped, only believed.
func chooseKind(raw []float64) calibrate.Kind {
	distinct := slices.Clone(raw)
	slices.Sort(distinct)
	switch n := len(slices.Compact(distinct)); {
	case n == 1:
		return calibrate.Identity
	case n < stepsFrom || len(raw) < betaBelow:
		return calibrate.Beta
	}
	return calibrate.VennAbers
}

func calibrated(c calibrate.Calibrator, raw []float64) []Probability {
	out := make([]Probability, len(raw))
	for i, x := range raw {
		out[i] = probability(c, x)
	}
	return out
}

func middles(p []Probability) []float64 {
	out := make([]float64, len(p))
	for i := range p {
		out[i] = p[i].P
	}
	return out
}

// blocks parts the validation slice: into consecutive stretches of time, or, by
// chance, whole groups.
func (r *run) blocks() []int {
	n := r.valid.Len()
	block := make([]int, n)
	for i := range block {
		block[i] = i * calibrationBlocks / n
		if !r.split.timed && r.valid.Group != nil {
			block[i] = int(uint64(r.valid.Group[i]) * 0x9e3779b97f4a7c15 >> 32 % calibrationBlocks)
		}
	}
	return block
}

// crossCalibrated calibrates each block of rows by the other blocks. A block
// whose others hold one class only stays as it is.
func crossCalibrated(kind calibrate.Kind, raw []float64, t *models.Table, block []int) ([]float64, error) {
	out := slices.Clone(raw)
	for b := range calibrationBlocks {
		var x, y, w []float64
		for i := range raw {
			if block[i] == b {
				continue
			}
			x, y = append(x, raw[i]), append(y, t.Y[i])
			if t.Weight != nil {
				w = append(w, t.Weight[i])
			}
		}
		if !slices.Contains(y, 0) || !slices.Contains(y, 1) {
			continue
		}
		c, err := calibrate.Fit(kind, x, y, w)
		if err != nil {
			return nil, err
		}
		for i := range raw {
			if block[i] == b {
				out[i], _, _ = c.Calibrate(raw[i])
			}
		}
	}
	return out, nil
}

// measure fills the report's figures of the winner.
func (r *run) measure(best *entry, p *Predictor) error {
	t, rep := r.test, r.report
	q := middles(best.test)
	auc := metric.AUCInterval(q, t.Y, t.Weight)
	s := best.row.Test
	rep.Winner, rep.Calibrator = best.learner.Name(), string(best.calib.Kind())
	rep.Test.AUC, rep.Test.AUCLo, rep.Test.AUCHi = Number(auc.Value), Number(auc.Lo), Number(auc.Hi)
	rep.Test.LogLoss, rep.Test.Brier, rep.Test.ECE = s.LogLoss, s.Brier, s.ECE
	for _, kind := range calibrate.Kinds() {
		c, err := calibrate.Fit(kind, best.validRaw, r.valid.Y, r.valid.Weight)
		if err != nil {
			return err
		}
		rep.Calibration = append(rep.Calibration, Calibration{string(kind), scores(middles(calibrated(c, best.testRaw)), t)})
	}
	for _, b := range metric.Reliability(q, t.Y, t.Weight, eceBins) {
		rep.Reliability = append(rep.Reliability, Bin{b.Rows, Number(b.P), Number(b.Y), Number(b.YLo), Number(b.YHi)})
	}
	split := metric.SplitBrier(q, t.Y, t.Weight)
	rep.BrierSplit = BrierSplit{Number(split.Reliability), Number(split.Resolution), Number(split.Uncertainty)}
	for _, share := range []float64{0.01, 0.05, 0.1, 0.2} {
		rep.Lift = append(rep.Lift, Lift{Number(share), Number(metric.Lift(q, t.Y, t.Weight, share))})
	}
	rep.Ranking = ranking(q, t)
	var err error
	if rep.Importance, err = r.importance(best); err != nil {
		return err
	}
	rep.Segments = r.segments(q)
	rep.Skill = r.skill(best)
	rep.Notes = r.notes(best)
	b, err := p.MarshalBinary()
	if err != nil {
		return err
	}
	sum := sha256.Sum256(b)
	rep.Fingerprint = hex.EncodeToString(sum[:])
	return nil
}

// ranking measures the order within groups; nil if no group holds both
// outcomes.
func ranking(p []float64, t *models.Table) *Ranking {
	if t.Group == nil {
		return nil
	}
	mixed := map[int64][2]bool{}
	for i, g := range t.Group {
		m := mixed[g]
		m[int(t.Y[i])] = true
		mixed[g] = m
	}
	var q, y []float64
	var group []int64
	for i, g := range t.Group {
		if m := mixed[g]; m[0] && m[1] {
			q, y, group = append(q, p[i]), append(y, t.Y[i]), append(group, g)
		}
	}
	if len(q) == 0 {
		return nil
	}
	ndcg, n := metric.NDCG(q, y, group, 0)
	hit1, _ := metric.HitAt(q, y, group, 1)
	hit3, _ := metric.HitAt(q, y, group, 3)
	return &Ranking{n, Number(ndcg), Number(hit1), Number(hit3)}
}

// segments measures the winner on each named part of the test slice, in the
// order in which values first appear there.
func (r *run) segments(p []float64) []Segment {
	var out []Segment
	for _, s := range r.Segments {
		rows := map[string][]int{}
		var values []string
		for k, i := range r.split.test.rows {
			v := s.Values[i]
			if v == "" {
				continue
			}
			if rows[v] == nil {
				values = append(values, v)
			}
			rows[v] = append(rows[v], k)
		}
		slices.Sort(values)
		for _, v := range values {
			out = append(out, r.segment(s.Name, v, rows[v], p))
		}
	}
	return out
}

func (r *run) segment(name, value string, rows []int, p []float64) Segment {
	q := make([]float64, len(rows))
	mean, mass, pos := 0.0, 0.0, 0
	part := (&models.Table{Columns: r.test.Columns, X: nil, Y: r.test.Y, Weight: r.test.Weight}).Take(rows)
	for k, i := range rows {
		q[k] = p[i]
		mean += weightOf(r.test, i) * p[i]
		mass += weightOf(r.test, i)
		pos += int(r.test.Y[i])
	}
	auc := metric.AUCInterval(q, part.Y, part.Weight)
	return Segment{name, value, len(rows), pos, Number(mean / mass), Number(auc.Value), Number(auc.Lo), Number(auc.Hi)}
}

// skill says in one sentence whether the winner knows anything.
func (r *run) skill(best *entry) string {
	t := r.report.Test
	figures := fmt.Sprintf("AUC %.3f [%.3f, %.3f]", t.AUC, t.AUCLo, t.AUCHi)
	if !hasSkill(t) {
		return "no skill: " + figures
	}
	base := r.baseLoss()
	gain := (base - float64(best.row.Test.LogLoss)) / base
	switch {
	case math.IsNaN(gain):
		return figures
	case gain <= 0:
		return fmt.Sprintf("%s; it orders rows, but its probabilities are no better than the base rate's (log loss %.1f %% above)", figures, -100*gain)
	}
	return fmt.Sprintf("%s; log loss %.1f %% below the base rate's", figures, 100*gain)
}

// hasSkill reports whether the interval of the AUC lies above a coin's.
func hasSkill(t Test) bool { return float64(t.AUCLo) > 0.5 }

func (r *run) baseLoss() float64 {
	for _, row := range r.report.Leaderboard {
		if row.Learner == (BaseRate{}).Name() {
			return float64(row.Test.LogLoss)
		}
	}
	return math.NaN()
}

// notes are what a careful reader should know.
func (r *run) notes(best *entry) []string {
	out := []string{}
	s := r.report.Split
	if !r.split.timed {
		out = append(out, "The split is by chance. Figures on rows later than these will be lower if the world changes; name a --time column if there is one.")
	}
	for _, part := range []struct {
		name string
		Slice
	}{{"training", s.Train}, {"validation", s.Valid}, {"test", s.Test}} {
		if part.Censored > 0 {
			out = append(out, fmt.Sprintf("%d of %d %s rows have a label that was not known in time; the others are weighted to stand for them.", part.Censored, part.Censored+part.Rows, part.name))
		}
	}
	before, rate := metric.Base(r.valid.Y, r.valid.Weight), metric.Base(r.test.Y, r.test.Weight)
	z := math.Abs(rate-before) / math.Sqrt(before*(1-before)*(1/float64(s.Valid.Rows)+1/float64(s.Test.Rows)))
	if z > driftZ {
		out = append(out, fmt.Sprintf("The rate moved from %.3f in the validation slice to %.3f in the test slice: more than chance; calibration suffers first.", before, rate))
	}
	if e := best.row.Rows; e < r.last.Len() {
		out = append(out, fmt.Sprintf("%s was fitted on %d of %d rows.", best.row.Learner, e, r.last.Len()))
	}
	return append(out, r.doubts...)
}

// driftZ is how many standard errors apart two base rates are called different:
// one false alarm in 16,000.
const driftZ = 4
