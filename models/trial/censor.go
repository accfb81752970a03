package trial

import (
	"cmp"
	"math"
	"slices"

	"bellwether/models"
)

// maxCensorWeight bounds how many rows one may stand for. Without a bound the
// slowest outcome known of the oldest row would outweigh whole months.
const maxCensorWeight = 10

// observed returns the rows of a slice whose label was known at the horizon,
// weighted so that they stand for the censored ones too.
//
// A row made at A whose label came at K had the delay T = K - A and the time
// C = horizon - A to show it; the label is observed if T <= C. Quick outcomes
// are therefore seen more often than they happen, and a table of observed rows
// alone has the base rate of the quick ones. Each observed row gets the weight
//
//	w = 1 / G(T-),   G(u-) = product over censoring times c < u of 1 - d(c)/n(c)
//
// where G is the Kaplan-Meier estimate of the chance that a row had more than u
// to show its label: d(c) rows censored at c, n(c) rows with min(T, C) >= c,
// those observed at c no longer counted. Weights are cut at maxCensorWeight and
// scaled to mean 1. Rows whose label never came (Known = MaxInt64) are censored
// at the horizon like any other.
func observed(t *models.Table, horizon int64, in func(i int) bool) part {
	p := part{from: math.MaxInt64, to: math.MinInt64}
	type span struct {
		row  int
		time int64
		seen bool
	}
	var spans []span
	for i, at := range t.At {
		if !in(i) {
			continue
		}
		p.from, p.to = min(p.from, at), max(p.to, at)
		k := known(t, i)
		s := span{i, max(0, horizon-at), k <= horizon}
		if s.seen {
			s.time = max(0, k-at)
			p.rows = append(p.rows, i)
		} else {
			p.censored++
		}
		spans = append(spans, s)
	}
	byMoment(t, p.rows)
	if p.censored == 0 || len(p.rows) == 0 {
		return p
	}
	// Of one time, observed rows come first: they left before the others were
	// censored.
	slices.SortFunc(spans, func(a, b span) int {
		if a.time == b.time && a.seen != b.seen {
			if a.seen {
				return -1
			}
			return 1
		}
		return cmp.Or(cmp.Compare(a.time, b.time), cmp.Compare(a.row, b.row))
	})
	weight := make(map[int]float64, len(p.rows))
	g, sum := 1.0, 0.0
	for k := 0; k < len(spans); {
		end := k
		for end < len(spans) && spans[end].time == spans[k].time && spans[end].seen == spans[k].seen {
			end++
		}
		if !spans[k].seen {
			g *= 1 - float64(end-k)/float64(len(spans)-k)
		} else {
			w := min(1/g, maxCensorWeight)
			for _, s := range spans[k:end] {
				weight[s.row] = w
				sum += w
			}
		}
		k = end
	}
	p.weight = make([]float64, len(p.rows))
	mean := sum / float64(len(p.rows))
	for i, row := range p.rows {
		p.weight[i] = weight[row] / mean
	}
	return p
}
