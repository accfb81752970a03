// Package survival models how long until something happens when for some rows
// it has not happened yet: Kaplan and Meier's curve, Cox's proportional hazards,
// a discrete-time hazard, and for customers who just stop, BG/NBD.
//
// Everywhere time is how long a row was watched (positive), event whether the
// thing happened at that time (true) or the watching merely ended (false), and
// weight how much the row counts (nil: 1 each).
package survival

import (
	"errors"
	"fmt"
	"math"
	"slices"

	"bellwether/models"
)

// ErrNoEvent is the answer where nothing ever happened.
var ErrNoEvent = errors.New("no event was observed")

// z95 is the standard normal's 97.5 % point.
const z95 = 1.959963984540054

// Data is rows of durations.
type Data struct {
	Time   []float64
	Event  []bool
	Weight []float64
}

// Check reports the first row that is no duration.
func (d Data) Check() error {
	if len(d.Time) == 0 {
		return models.ErrEmpty
	}
	if len(d.Event) != len(d.Time) || d.Weight != nil && len(d.Weight) != len(d.Time) {
		return fmt.Errorf("%d times, %d events, %d weights", len(d.Time), len(d.Event), len(d.Weight))
	}
	for i, t := range d.Time {
		if !(t > 0) || math.IsInf(t, 1) {
			return fmt.Errorf("time of row %d is %v", i, t)
		}
		if d.Weight != nil && !(d.Weight[i] >= 0 && !math.IsInf(d.Weight[i], 1)) {
			return fmt.Errorf("weight of row %d is %v", i, d.Weight[i])
		}
	}
	return nil
}

func (d Data) weight(i int) float64 {
	if d.Weight == nil {
		return 1
	}
	return d.Weight[i]
}

// byTime returns the row numbers by time, ties in order.
func (d Data) byTime() []int {
	order := make([]int, len(d.Time))
	for i := range order {
		order[i] = i
	}
	slices.SortStableFunc(order, func(a, b int) int {
		switch {
		case d.Time[a] < d.Time[b]:
			return -1
		case d.Time[a] > d.Time[b]:
			return 1
		}
		return 0
	})
	return order
}

// Curve is the chance of still being without the event after each event time,
// with 95 % limits.
type Curve struct {
	Time         []float64 // ascending
	S, Lo, Hi    []float64
	AtRisk, Died []float64 // weight under watch just before, weight of events
}

// KaplanMeier estimates the curve; rows whose watching ends at an event's time
// were still under watch then. The limits are Greenwood's on the scale of
// ln(-ln S) (as R's conf.type = "log-log"), which keeps them inside [0, 1]; with
// weights they are R's for case weights.
func KaplanMeier(d Data) (*Curve, error) {
	if err := d.Check(); err != nil {
		return nil, fmt.Errorf("kaplan-meier: %w", err)
	}
	order := d.byTime()
	risk := 0.0
	for _, i := range order {
		risk += d.weight(i)
	}
	c := &Curve{}
	s, variance := 1.0, 0.0
	for i := 0; i < len(order); {
		t, died, left := d.Time[order[i]], 0.0, 0.0
		for i < len(order) && d.Time[order[i]] == t {
			w := d.weight(order[i])
			left += w
			if d.Event[order[i]] {
				died += w
			}
			i++
		}
		if died > 0 {
			s *= max(0, 1-died/risk)
			variance += died / (risk * (risk - died))
			lo, hi := limits(s, variance)
			c.Time, c.S = append(c.Time, t), append(c.S, s)
			c.Lo, c.Hi = append(c.Lo, lo), append(c.Hi, hi)
			c.AtRisk, c.Died = append(c.AtRisk, risk), append(c.Died, died)
		}
		risk -= left
	}
	return c, nil
}

func limits(s, variance float64) (lo, hi float64) {
	if s <= 0 || s >= 1 {
		return s, s
	}
	l := math.Log(s)
	half := z95 * math.Sqrt(variance) / math.Abs(l)
	return math.Exp(l * math.Exp(half)), math.Exp(l * math.Exp(-half))
}

// At returns the chance of no event up to and including time t, with limits.
func (c *Curve) At(t float64) (s, lo, hi float64) {
	i, found := slices.BinarySearch(c.Time, t)
	if !found {
		i--
	}
	if i < 0 {
		return 1, 1, 1
	}
	return c.S[i], c.Lo[i], c.Hi[i]
}

// Median is the first time at which the curve is at most one half; +Inf if it
// never gets there.
func (c *Curve) Median() float64 {
	for i, s := range c.S {
		if s <= .5 {
			return c.Time[i]
		}
	}
	return math.Inf(1)
}

// Concordance is Harrell's C: of the pairs whose order of events is known, the
// share in which the row with the higher risk had its event first, a tie in risk
// counting one half. A pair is known if the shorter time is an event, or both
// times are equal and one is an event and the other is not. It takes
// O(n log n). NaN without such a pair.
func Concordance(d Data, risk []float64) float64 {
	n := len(d.Time)
	if len(risk) != n {
		panic("survival: risks and times differ in length")
	}
	ranks := slices.Clone(risk)
	slices.Sort(ranks)
	ranks = slices.Compact(ranks)
	// sum[k] holds, as a Fenwick tree, the weights of the rows outliving the
	// present time, by rank of risk.
	sum := make([]float64, len(ranks)+1)
	add := func(k int, w float64) {
		for k++; k < len(sum); k += k & -k {
			sum[k] += w
		}
	}
	upTo := func(k int) (s float64) { // ranks below k
		for ; k > 0; k -= k & -k {
			s += sum[k]
		}
		return s
	}
	order := d.byTime()
	var won, known float64
	for end := n; end > 0; {
		start := end - 1
		for start > 0 && d.Time[order[start-1]] == d.Time[order[end-1]] {
			start--
		}
		for _, i := range order[start:end] { // watched beyond this time's events
			if !d.Event[i] {
				k, _ := slices.BinarySearch(ranks, risk[i])
				add(k, d.weight(i))
			}
		}
		all := upTo(len(ranks))
		for _, i := range order[start:end] {
			if d.Event[i] {
				k, _ := slices.BinarySearch(ranks, risk[i])
				below, with := upTo(k), upTo(k+1)
				won += d.weight(i) * (below + (with-below)/2)
				known += d.weight(i) * all
			}
		}
		for _, i := range order[start:end] {
			if d.Event[i] {
				k, _ := slices.BinarySearch(ranks, risk[i])
				add(k, d.weight(i))
			}
		}
		end = start
	}
	if known == 0 {
		return math.NaN()
	}
	return won / known
}
