package trial

import (
	"math"
	"slices"

	"bellwether/models"
	"bellwether/models/calibrate"
	"bellwether/models/metric"
)

const (
	// curvesBelow is how many validation rows steps need: below, they are too few
	// to follow the scores, and only curves of two or three parameters are tried.
	curvesBelow = 1000
	// stepsFrom is how many different scores a calibrator of steps needs. The
	// last fit moves every score a little; with few of them that would carry whole
	// masses of rows across a step.
	stepsFrom = 100
	// calibrationBlocks part the validation slice to judge a calibrator on rows
	// it was not fitted on.
	calibrationBlocks = 5
)

// choice is which calibrator was chosen among which, by their log loss on rows
// later than those they were fitted on.
type choice struct {
	kind  calibrate.Kind
	tried []calibrate.Kind
	loss  []float64 // of each tried
}

func (c *choice) of(kind calibrate.Kind) Number {
	if i := slices.Index(c.tried, kind); i >= 0 {
		return Number(c.loss[i])
	}
	return nan
}

// candidates are the kinds a learner's scores can bear, the default first. One
// score for all rows cannot be mapped, only believed.
func candidates(raw []float64) []calibrate.Kind {
	distinct := slices.Clone(raw)
	slices.Sort(distinct)
	switch n := len(slices.Compact(distinct)); {
	case n == 1:
		return []calibrate.Kind{calibrate.Identity}
	case n < stepsFrom || len(raw) < curvesBelow:
		return []calibrate.Kind{calibrate.Beta, calibrate.Platt}
	}
	return []calibrate.Kind{calibrate.VennAbers, calibrate.Beta, calibrate.Isotonic, calibrate.Platt}
}

// choose picks the calibrator for a learner's scores on the validation slice:
// each block of it is judged by calibrators fitted on the blocks before, or,
// without time, on all others. The test slice has no say. Of two alike the
// earlier candidate is taken.
func (r *run) choose(raw []float64) (choice, error) {
	c := choice{tried: candidates(raw)}
	c.kind = c.tried[0]
	block := r.blocks()
	for _, kind := range c.tried {
		p, err := blockwise(kind, raw, r.valid, block, r.split.timed)
		if err != nil {
			return c, err
		}
		loss := judgedLoss(p, r.valid, block, r.split.timed)
		if c.loss = append(c.loss, loss); loss < c.loss[slices.Index(c.tried, c.kind)] {
			c.kind = kind
		}
	}
	return c, nil
}

// judgedLoss is the log loss of the rows that were judged: forward in time, all
// but the first block.
func judgedLoss(p []float64, t *models.Table, block []int, forward bool) float64 {
	var rows []int
	for i, b := range block {
		if !forward || b > 0 {
			rows = append(rows, i)
		}
	}
	if len(rows) == 0 {
		return math.Inf(1)
	}
	part := (&models.Table{Y: t.Y, Weight: t.Weight}).Take(rows)
	return metric.LogLoss(take(p, rows), part.Y, part.Weight)
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

// blockwise calibrates each block of rows by the blocks before it (forward) or by
// all others. A block whose others hold one class only stays as it is.
func blockwise(kind calibrate.Kind, raw []float64, t *models.Table, block []int, forward bool) ([]float64, error) {
	out := slices.Clone(raw)
	for b := range calibrationBlocks {
		var rows []int
		for i := range raw {
			if forward && block[i] < b || !forward && block[i] != b {
				rows = append(rows, i)
			}
		}
		part := (&models.Table{Y: t.Y, Weight: t.Weight}).Take(rows)
		if !slices.Contains(part.Y, 0) || !slices.Contains(part.Y, 1) {
			continue
		}
		c, err := calibrate.Fit(kind, take(raw, rows), part.Y, part.Weight)
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
