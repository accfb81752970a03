package trial

import (
	"fmt"
	"math"
	"math/rand/v2"
	"slices"

	"bellwether/models"
	"bellwether/models/metric"
)

// maxColumnAUC is how well one column alone may tell the label. Single inputs
// known at the decision reach 0.76 on the tables we know (days since the last
// order, for churn) and outcome columns that slipped in 0.93 to 1. So 0.995
// names what is surely a copy of the label, and never a good input.
const maxColumnAUC = 0.995

// highColumnAUC is where a column is worth a look, though it may be as good as
// that: above what single inputs known at the decision reached (0.86, portal use
// for churn in a synthetic world), below most outcome columns (a ticket's state
// 0.95, for whether it was in time).
const highColumnAUC = 0.9

// Scan says how to look for columns that were written after the outcome.
type Scan struct {
	Dates   []string // columns that hold dates, in Unix seconds
	Trusted []string // columns not looked at
}

// run names the columns that give the label away, and those worth a look. The
// first are those that tell the label alone, in either direction, or by the rate
// of their values in one half of the rows, told for the other; those that only
// rows of one label have; and dates whose distance from the row's own time, or
// from another date, tells the label.
func (s Scan) run(t *models.Table, seed uint64) (leaks, doubts []string) {
	fit, held := halves(t.Len(), seed)
	if len(fit) == 0 || len(held) == 0 {
		return nil, nil
	}
	for j, c := range t.Columns {
		if slices.Contains(s.Trusted, c.Name) {
			continue
		}
		col := t.Column(j)
		one := &models.Table{Columns: t.Columns[j : j+1], X: [][]float64{col}, Y: t.Y, Weight: t.Weight}
		auc := heldOutAUC(one.Take(fit), one.Take(held))
		if c.Kind == models.Numeric {
			auc = max(auc, directAUC(col, t.Y, t.Weight))
		}
		switch only := onlyOf(col, t.Y); {
		case auc >= maxColumnAUC:
			leaks = append(leaks, fmt.Sprintf("column %q alone tells the label (AUC %.4f): it is the outcome, or is written after it; leave it out (--drop)", c.Name, auc))
		case only != "":
			leaks = append(leaks, fmt.Sprintf("column %q %s: it is filled in once the outcome is known; leave it out (--drop)", c.Name, only))
		case auc >= highColumnAUC:
			doubts = append(doubts, fmt.Sprintf("Column %q alone reaches AUC %.3f: see that its values were known when the row was made, and did not change after.", c.Name, auc))
		}
	}
	return append(leaks, s.distances(t)...), append(doubts, s.stamps(t)...)
}

func halves(n int, seed uint64) (fit, held []int) {
	rng := rand.New(rand.NewPCG(seed, 0x1eac))
	for i := range n {
		if rng.IntN(2) == 0 {
			fit = append(fit, i)
		} else {
			held = append(held, i)
		}
	}
	return fit, held
}

// A column that only rows of one label have is called a leak when a fifth of
// those have it and, were it as common among the others, to find it with none of
// them would be a chance of less than one in a billion: even among a thousand
// columns of independent rows that is one in a million.
const (
	onlyShare  = 0.2
	onlyChance = 1e-9
)

// onlyOf says that only rows of one label have a column, "" if it is not so.
func onlyOf(col, y []float64) string {
	var rows, have [2]float64
	for i, v := range y {
		rows[int(v)]++
		if !math.IsNaN(col[i]) {
			have[int(v)]++
		}
	}
	for k := range rows {
		if have[1-k] > 0 || rows[k] == 0 {
			continue
		}
		share := have[k] / rows[k]
		if share >= onlyShare && rows[1-k]*math.Log1p(-min(share, 1-1e-12)) < math.Log(onlyChance) {
			return fmt.Sprintf("is there in %.0f %% of the rows of label %d and in none of the others", 100*share, k)
		}
	}
	return ""
}

// distances names dates whose distance from the row's own time, or from another
// date, tells the label.
func (s Scan) distances(t *models.Table) (out []string) {
	at := make([]float64, len(t.At))
	for i, v := range t.At {
		at[i] = float64(v)
	}
	dates := s.columns(t)
	for n, j := range dates {
		if t.At != nil {
			if auc := directAUC(minus(t.Column(j), at), t.Y, t.Weight); auc >= maxColumnAUC {
				out = append(out, fmt.Sprintf("column %q: its distance from the row's time tells the label (AUC %.4f); leave it out (--drop)", t.Columns[j].Name, auc))
			}
		}
		for _, k := range dates[:n] {
			if auc := directAUC(minus(t.Column(j), t.Column(k)), t.Y, t.Weight); auc >= maxColumnAUC {
				out = append(out, fmt.Sprintf("columns %q and %q: the distance between them tells the label (AUC %.4f); leave out the one that is written later (--drop)", t.Columns[k].Name, t.Columns[j].Name, auc))
			}
		}
	}
	return out
}

// columns are the places of the dates.
func (s Scan) columns(t *models.Table) (at []int) {
	for j, c := range t.Columns {
		if slices.Contains(s.Dates, c.Name) && !slices.Contains(s.Trusted, c.Name) {
			at = append(at, j)
		}
	}
	return at
}

func minus(a, b []float64) []float64 {
	out := make([]float64, len(a))
	for i := range a {
		out[i] = a[i] - b[i]
	}
	return out
}

// laterShare is how many of a date's values lie after the row's time before that
// is worth a look.
const laterShare = 0.5

// stamps names dates that mostly lie after the row's time. A plan may, so that is
// a doubt and no leak.
func (s Scan) stamps(t *models.Table) (out []string) {
	if t.At == nil {
		return nil
	}
	for _, j := range s.columns(t) {
		there, later := 0, 0
		for i, x := range t.Column(j) {
			if !math.IsNaN(x) {
				there++
				if x > float64(t.At[i]) {
					later++
				}
			}
		}
		if there > 0 && float64(later) >= laterShare*float64(there) {
			out = append(out, fmt.Sprintf("Column %q is a date after the row's time in %.0f %% of the rows that have it: unless it was planned by then, it was written later; leave it out (--drop).",
				t.Columns[j].Name, 100*float64(later)/float64(there)))
		}
	}
	return out
}

func heldOutAUC(fit, held *models.Table) float64 {
	m := ratesOf(fit, 0)
	p := make([]float64, held.Len())
	if m.Predict(p, held) != nil {
		return 0
	}
	return orZero(metric.AUC(p, held.Y, held.Weight))
}

// directAUC is a column's own AUC in its better direction, over the rows that
// have it. A column too sparse to say is left to heldOutAUC.
func directAUC(col, y, w []float64) float64 {
	var x, z, v []float64
	for i, c := range col {
		if !math.IsNaN(c) {
			x, z = append(x, c), append(z, y[i])
			if w != nil {
				v = append(v, w[i])
			}
		}
	}
	if len(x) < len(col)/2 {
		return 0
	}
	auc := metric.AUC(x, z, v)
	return orZero(max(auc, 1-auc))
}

func orZero(x float64) float64 {
	if math.IsNaN(x) {
		return 0
	}
	return x
}
