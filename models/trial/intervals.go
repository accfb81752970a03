package trial

import (
	"math"

	"bellwether/models"
	"bellwether/models/calibrate"
	"bellwether/models/metric"
)

// intervals measures the winner's on the test slice: by those that Whose names,
// or, of rows that are nobody's, by the bins of the reliability picture.
func (r *run) intervals(test []Probability) Intervals {
	t := r.test
	of := r.owners(t)
	if of == nil {
		of = binned(middles(test), t)
	}
	type sums struct{ over, chance, down, up float64 }
	by := map[float64]*sums{}
	wide, mass := 0.0, 0.0
	for i, q := range test {
		w := weightOf(t, i)
		wide, mass = wide+w*(q.Hi-q.Lo), mass+w
		if math.IsNaN(of[i]) {
			continue
		}
		s := by[of[i]]
		if s == nil {
			s = &sums{}
			by[of[i]] = s
		}
		s.over += w * (t.Y[i] - q.P)
		s.chance += w * w * q.P * (1 - q.P)
		s.down += w * (q.P - q.Lo)
		s.up += w * (q.Hi - q.P)
	}
	held := 0.0
	for _, s := range by {
		far := s.up
		if s.over < 0 {
			far = s.down
		}
		if math.Abs(s.over) <= math.Hypot(far, calibrate.Z*math.Sqrt(s.chance)) {
			held++
		}
	}
	n := float64(len(by))
	return Intervals{Level: calibrate.Level, Width: Number(wide / mass), Of: len(by), Held: share(held, n, n), Whose: r.Whose}
}

// binned gives each row the number of its bin.
func binned(p []float64, t *models.Table) []float64 {
	bins := metric.Reliability(p, t.Y, t.Weight, eceBins)
	out := make([]float64, len(p))
	for i := range out {
		bin := 0
		for bin < len(bins)-1 && p[i] > bins[bin].Hi {
			bin++
		}
		out[i] = float64(bin)
	}
	return out
}
