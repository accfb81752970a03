package gbdt

import (
	"cmp"
	"fmt"
	"slices"

	"bellwether/models"
)

// sample is the rows that take part, in an order that does not depend on how
// they arrived: by time and then by content, or as they are if there is no
// time. Weights have mean 1.
type sample struct {
	columns   []models.Column
	x         *models.Inputs // where they lie
	y, w      []float64      // w is nil if all weights are equal
	at, known []int64
	group     []int64
	ended     []int64
	horizon   int64
	until     int64
}

// newSample drops rows of weight 0 and, if sorted is set, sorts the others.
func newSample(t *models.Table, sorted bool) (*sample, error) {
	if err := t.Check(false); err != nil {
		return nil, err
	}
	if len(t.Y) != t.Len() {
		return nil, fmt.Errorf("gbdt: %d labels for %d rows", len(t.Y), t.Len())
	}
	if t.Len() > maxRows {
		return nil, fmt.Errorf("gbdt: %d rows, at most %d", t.Len(), maxRows)
	}
	total, equal := 0.0, true
	var rows []int
	for i, w := range t.Weight {
		if !(w >= 0) || !finite(w) {
			return nil, fmt.Errorf("gbdt: weight of row %d is %v", i, w)
		}
		if w > 0 {
			rows = append(rows, i)
		}
		equal = equal && w == t.Weight[0]
	}
	if t.Weight != nil && len(rows) == 0 {
		return nil, models.ErrEmpty
	}
	if sorted && t.At != nil && !slices.IsSorted(t.At) || sorted && hasTies(t.At) {
		rows = sortedByContent(t, rows)
	}
	if rows != nil && len(rows) < t.Len() || sorted && t.At != nil && rows != nil {
		t = t.View(rows)
	}
	s := &sample{columns: t.Columns, x: t.Inputs(), y: t.Y, at: t.At, known: t.Known, group: t.Group, ended: t.Ended, horizon: t.Horizon, until: t.Until}
	if t.Weight == nil || equal {
		return s, nil
	}
	for _, w := range t.Weight {
		total += w
	}
	mean := total / float64(len(t.Weight))
	if !finite(total) || mean == 0 {
		return nil, fmt.Errorf("gbdt: weights sum to %v", total)
	}
	s.w = make([]float64, len(t.Weight))
	for i, w := range t.Weight {
		s.w[i] = w / mean
	}
	return s, nil
}

func hasTies(at []int64) bool {
	for i := 1; i < len(at); i++ {
		if at[i] == at[i-1] {
			return true
		}
	}
	return false
}

func sortedByContent(t *models.Table, rows []int) []int {
	if rows == nil {
		rows = make([]int, t.Len())
		for i := range rows {
			rows[i] = i
		}
	}
	in := t.Inputs()
	slices.SortFunc(rows, func(a, b int) int {
		if c := cmp.Compare(t.At[a], t.At[b]); c != 0 {
			return c
		}
		if t.Known != nil && t.Known[a] != t.Known[b] {
			return cmp.Compare(t.Known[a], t.Known[b])
		}
		if c := cmp.Compare(t.Y[a], t.Y[b]); c != 0 {
			return c
		}
		if t.Weight != nil && t.Weight[a] != t.Weight[b] {
			return cmp.Compare(t.Weight[a], t.Weight[b])
		}
		if t.Group != nil && t.Group[a] != t.Group[b] {
			return cmp.Compare(t.Group[a], t.Group[b])
		}
		if t.Ended != nil && t.Ended[a] != t.Ended[b] {
			return cmp.Compare(t.Ended[a], t.Ended[b])
		}
		for j := range t.Columns {
			if c := cmp.Compare(in.At(j, a), in.At(j, b)); c != 0 {
				return c
			}
		}
		return 0
	})
	return rows
}

func (s *sample) weight(i int) float64 {
	if s.w == nil {
		return 1
	}
	return s.w[i]
}

// mean is the weighted mean of the labels.
func (s *sample) mean() float64 { return meanOf(s.y, s.w) }

func meanOf(y, w []float64) float64 {
	sum, n := 0.0, 0.0
	for i, v := range y {
		if w == nil {
			sum, n = sum+v, n+1
			continue
		}
		sum, n = sum+float64(w[i]*v), n+w[i]
	}
	return sum / n
}

// meanOf is the weighted mean of f over the rows.
func (s *sample) meanOf(c crew, f func(i int) float64) float64 {
	type sums struct{ f, w float64 }
	parts := make([]sums, (len(s.y)+gradientRows-1)/gradientRows)
	c.blocks(len(s.y), gradientRows, func(block, lo, hi int) {
		var p sums
		for i := lo; i < hi; i++ {
			w := s.weight(i)
			p.f += float64(w * f(i))
			p.w += w
		}
		parts[block] = p
	})
	var all sums
	for _, p := range parts {
		all.f += p.f
		all.w += p.w
	}
	return all.f / all.w
}

// part returns the given rows, which must ascend, copied.
func (s *sample) part(rows []int) *sample {
	t := (&models.Table{Columns: s.columns, In: s.x, Y: s.y, Weight: s.w, At: s.at, Known: s.known, Group: s.group, Ended: s.ended}).Take(rows)
	return &sample{columns: s.columns, x: t.Inputs(), y: t.Y, w: t.Weight, at: t.At, known: t.Known, group: t.Group, ended: t.Ended, horizon: s.horizon, until: s.until}
}

// inBlocks calls f with some of the rows at a time, by column: those from row lo
// on.
func inBlocks(x *models.Inputs, width int, f func(lo, hi int, rows source)) {
	cols, bufs := make([][]float64, width), make([][]float64, width)
	for lo := 0; lo < x.Len(); lo += gradientRows {
		hi := min(lo+gradientRows, x.Len())
		for j := range cols {
			if bufs[j] == nil {
				bufs[j] = make([]float64, hi)
			}
			cols[j] = x.Values(bufs[j], j, lo, hi)
		}
		f(lo, hi, source{cols: cols})
	}
}
