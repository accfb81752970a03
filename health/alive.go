package health

import (
	"context"
	"encoding/json"
	"fmt"
	"math"
	"time"

	"bellwether/models"
	"bellwether/models/survival"
)

// FitAlive fits BG/NBD to the habits of all partners as of midnight at: the
// model of Standing.Alive, in weeks.
func FitAlive(ctx context.Context, l *Labels, at time.Time) (*survival.BGNBD, error) {
	var p survival.Purchases
	for _, id := range l.IDs() {
		if h, ok := l.Habit(id, at); ok {
			p.Repeats, p.Last, p.Watched = append(p.Repeats, h.Repeats), append(p.Last, h.LastWeeks), append(p.Watched, h.WatchedWeeks)
		}
	}
	return survival.FitBGNBD(ctx, p)
}

// MarshalAlive writes a fitted model as JSON: the file alive.bin of a churn
// model's version.
func MarshalAlive(m *survival.BGNBD) ([]byte, error) { return json.Marshal(m) }

// LoadAlive reads what MarshalAlive wrote; parameters that no fit gives are
// models.ErrCorrupt.
func LoadAlive(b []byte) (*survival.BGNBD, error) {
	m := &survival.BGNBD{}
	if err := json.Unmarshal(b, m); err != nil {
		return nil, fmt.Errorf("%w: %w", models.ErrCorrupt, err)
	}
	for _, x := range []float64{m.R, m.Alpha, m.A, m.B} {
		if !(x > 0) || math.IsInf(x, 1) {
			return nil, models.ErrCorrupt
		}
	}
	return m, nil
}
