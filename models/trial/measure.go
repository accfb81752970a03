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

	"gonum.org/v1/gonum/stat"
)

// eceBins is the usual number; with equal mass each holds a tenth of the rows.
const eceBins = 10

var noScores = Scores{nan, nan, nan, nan}

func emptyDetails() Details {
	return Details{Notes: []string{}, Calibration: []Calibration{}, Reliability: []Bin{}, Lift: []Lift{}, Importance: []Importance{}, Dependence: []Dependence{}, Certainty: []Certainty{},
		BrierSplit: BrierSplit{nan, nan, nan}, Intervals: Intervals{Level: nan, Width: nan, Held: Share{nan, nan, nan}}}
}

func scores(p []float64, t *models.Table) Scores {
	return Scores{
		AUC:     Number(metric.AUC(p, t.Y, t.Weight)),
		LogLoss: Number(metric.LogLoss(p, t.Y, t.Weight)),
		Brier:   Number(metric.Brier(p, t.Y, t.Weight)),
		ECE:     Number(metric.ECE(p, t.Y, t.Weight, eceBins)),
	}
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
		rep.Calibration = append(rep.Calibration, Calibration{string(kind), best.choice.of(kind), scores(middles(calibrated(c, best.testRaw)), t)})
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
	rep.Intervals = r.intervals(best.test)
	rep.Certainty = certainty(p, best.test, t, r.valid)
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
	part := (&models.Table{Columns: r.test.Columns, X: nil, Y: r.test.Y, Weight: r.test.Weight}).Take(rows)
	q := take(p, rows)
	auc := metric.AUCInterval(q, part.Y, part.Weight)
	out := Segment{Name: name, Value: value, Rows: len(rows), Positives: sumOf(part.Y), AUC: Number(auc.Value), AUCLo: Number(auc.Lo), AUCHi: Number(auc.Hi)}
	out.Predicted = Number(stat.Mean(q, part.Weight))
	s := scores(q, part)
	out.LogLoss, out.ECE = s.LogLoss, Number(metric.ECE(q, part.Y, part.Weight, binsFor(len(rows))))
	observed := metric.Base(part.Y, part.Weight)
	lo, hi := metric.Wilson(observed, effective(part.Weight, len(rows)))
	out.Observed, out.ObservedLo, out.ObservedHi = Number(observed), Number(lo), Number(hi)
	return out
}

func take(v []float64, rows []int) []float64 {
	out := make([]float64, len(rows))
	for k, i := range rows {
		out[k] = v[i]
	}
	return out
}

func sumOf(y []float64) int {
	n := 0
	for _, v := range y {
		n += int(v)
	}
	return n
}

// rowsPerBin is how many rows a bin of a segment's ECE holds at least: noise
// alone makes a bin of fewer look wrong by a tenth.
const rowsPerBin = 30

func binsFor(rows int) int { return min(eceBins, max(1, rows/rowsPerBin)) }

// effective is how many rows of one weight say as much as these.
func effective(w []float64, n int) float64 {
	if w == nil {
		return float64(n)
	}
	sum, squares := 0.0, 0.0
	for _, v := range w {
		sum += v
		squares += v * v
	}
	return sum * sum / squares
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
	told := "the others are weighted to stand for them"
	if m, ok := best.last.(interface{ Ages() []int64 }); ok && len(m.Ages()) > 0 {
		ages := m.Ages()
		out = append(out, fmt.Sprintf("%s learned from rows whose label is not known yet, as open. Its raw chance is that of %.3g days, the last age it saw enough of; what comes later is left to its calibrator.",
			best.row.Learner, float64(ages[len(ages)-1])/secondsPerDay))
		told = "when judging, " + told
	}
	for _, part := range []struct {
		name string
		Slice
	}{{"training", s.Train}, {"validation", s.Valid}, {"test", s.Test}} {
		if part.Censored > 0 {
			out = append(out, fmt.Sprintf("%d of %d %s rows have a label that was not known in time; %s.", part.Censored, part.Censored+part.Rows, part.name, told))
		}
	}
	before, rate := metric.Base(r.valid.Y, r.valid.Weight), metric.Base(r.test.Y, r.test.Weight)
	z := math.Abs(rate-before) / math.Sqrt(before*(1-before)*(1/float64(s.Valid.Rows)+1/float64(s.Test.Rows)))
	if z > driftZ {
		out = append(out, fmt.Sprintf("The rate moved from %.3f in the validation slice to %.3f in the test slice: more than chance; calibration suffers first.", before, rate))
	}
	for _, e := range r.report.Leaderboard {
		switch {
		case e.Error != "":
		case e.Rows == 0:
			out = append(out, e.Learner+" was fitted on none of these rows.")
		case e.Rows < r.last.Len():
			out = append(out, fmt.Sprintf("%s was fitted on %d of %d rows.", e.Learner, e.Rows, r.last.Len()))
		}
	}
	return append(out, r.doubts...)
}

const secondsPerDay = 24 * 60 * 60

// driftZ is how many standard errors apart two base rates are called different:
// one false alarm in 16,000.
const driftZ = 4
