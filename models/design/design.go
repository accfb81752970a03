// Package design turns a table's columns into what learners without an idea of
// missing values and categories can take: standardised numbers, indicators of
// missing, and one indicator for each frequent level of a category. What a row
// becomes depends on the inputs of the training rows alone, never on labels, so
// nothing can leak.
//
// Each input column becomes a few slots, and each row has exactly one entry per
// input column:
//
//	number present    its slot: (x - mean) / sd, cut at ±Limit. A column with
//	                  skewness above 2 or below -2 enters as sign(x)·ln(1+|x|)
//	number missing    a slot of its own: 1 (if it was ever missing in training;
//	                  else its slot: 0, the mean)
//	category          the slot of its level: 1. Missing is a level. Levels with
//	                  fewer than MinLevel rows or beyond the MaxLevels most
//	                  frequent, and levels never seen, share the slot "other"
package design

import (
	"fmt"
	"math"
	"slices"

	"bellwether/models"
	"bellwether/models/wire"
)

// Limit is how many standard deviations from its mean a number may enter.
const Limit = 6

// Options says which levels get a slot. The zero value means the defaults.
type Options struct {
	MinLevel  int // rows a level must have; 20
	MaxLevels int // most levels of one column; 50
}

func (o Options) orDefaults() Options {
	if o.MinLevel == 0 {
		o.MinLevel = 20
	}
	if o.MaxLevels == 0 {
		o.MaxLevels = 50
	}
	return o
}

// Encoder maps a row to its entries. It never changes once fitted.
type Encoder struct {
	columns []column
	slots   int
}

type column struct {
	kind     models.Kind
	first    int       // its first slot
	log      bool      // numeric: enters as its signed logarithm
	mean, sd float64   // numeric: of the (logged) training values; sd 0: constant
	missing  int       // slot of missing, or -1
	levels   []float64 // category: ascending codes; level k has slot first+k, other the next
}

// Fit learns the encoding from the inputs of t's rows of weight above 0. The
// table must have passed its Check.
func Fit(t *models.Table, o Options) *Encoder {
	o = o.orDefaults()
	e := &Encoder{columns: make([]column, t.Width())}
	for j, x := range t.X {
		c := &e.columns[j]
		c.kind, c.first, c.missing = t.Columns[j].Kind, e.slots, -1
		if c.kind == models.Category {
			c.fitLevels(x, t.Weight, o)
			e.slots += len(c.levels) + 1
		} else {
			c.fitNumber(x, t.Weight)
			e.slots++
		}
		if c.missing >= 0 {
			c.missing = e.slots
			e.slots++
		}
	}
	return e
}

// fitNumber sets missing to 0 if any value was; Fit then gives it a slot.
func (c *column) fitNumber(x, w []float64) {
	mean, sd, skew, missing := moments(x, w, false)
	if math.Abs(skew) > 2 {
		c.log = true
		mean, sd, _, _ = moments(x, w, true)
	}
	if missing {
		c.missing = 0
	}
	c.mean, c.sd = mean, sd
}

func signedLog(x float64) float64 {
	return math.Copysign(math.Log1p(math.Abs(x)), x)
}

// moments answers 0, 0, 0 for a column of no values or with values so large
// that its variance is not finite.
func moments(x, w []float64, log bool) (mean, sd, skew float64, missing bool) {
	var mass, m1, m2, m3 float64
	each := func(f func(v, w float64)) {
		for i, v := range x {
			weight := 1.0
			if w != nil {
				weight = w[i]
			}
			switch {
			case weight == 0:
				continue
			case math.IsNaN(v):
				missing = true
				continue
			case log:
				v = signedLog(v)
			}
			f(v, weight)
		}
	}
	each(func(v, w float64) { mass += w; m1 += w * v })
	if mass == 0 {
		return 0, 0, 0, missing
	}
	mean = m1 / mass
	each(func(v, w float64) {
		d := v - mean
		m2 += w * d * d
		m3 += w * d * d * d
	})
	sd = math.Sqrt(m2 / mass)
	if math.IsInf(mean, 0) || math.IsInf(sd, 0) || math.IsNaN(sd) {
		if log {
			return 0, 0, 0, missing
		}
		return 0, 0, math.Inf(1), missing
	}
	if sd <= 1e-12*math.Abs(mean) {
		sd = 0
	}
	if sd > 0 {
		skew = m3 / mass / (sd * sd * sd)
	}
	return mean, sd, skew, missing
}

func (c *column) fitLevels(x, w []float64, o Options) {
	count := map[float64]int{}
	for i, v := range x {
		switch {
		case w != nil && w[i] == 0:
		case math.IsNaN(v):
			c.missing = 0
		default:
			count[v]++
		}
	}
	for v, n := range count {
		if n >= o.MinLevel {
			c.levels = append(c.levels, v)
		}
	}
	slices.SortFunc(c.levels, func(a, b float64) int {
		if count[a] != count[b] {
			return count[b] - count[a]
		}
		if a < b {
			return -1
		}
		return 1
	})
	c.levels = c.levels[:min(len(c.levels), o.MaxLevels)]
	slices.Sort(c.levels)
}

// Inputs is the number of columns a row has, Slots the number of places its
// entries can be in.
func (e *Encoder) Inputs() int { return len(e.columns) }

// Slots is the width of the encoded row.
func (e *Encoder) Slots() int { return e.slots }

// Entry returns the slot and the value of column j holding x.
func (e *Encoder) Entry(j int, x float64) (slot int, value float64) {
	c := &e.columns[j]
	if math.IsNaN(x) {
		switch {
		case c.missing >= 0:
			return c.missing, 1
		case c.kind == models.Category:
			return c.first + len(c.levels), 1
		}
		return c.first, 0
	}
	if c.kind == models.Category {
		k, found := slices.BinarySearch(c.levels, x)
		if !found {
			k = len(c.levels)
		}
		return c.first + k, 1
	}
	if c.sd == 0 {
		return c.first, 0
	}
	if c.log {
		x = signedLog(x)
	}
	return c.first, min(max((x-c.mean)/c.sd, -Limit), Limit)
}

// Dot returns the encoded row's inner product with coef, which is Slots long.
func (e *Encoder) Dot(coef, row []float64) float64 {
	sum := 0.0
	for j, x := range row {
		slot, v := e.Entry(j, x)
		sum += coef[slot] * v
	}
	return sum
}

// Dense writes the encoded row to dst, which is Slots long.
func (e *Encoder) Dense(dst, row []float64) {
	clear(dst)
	for j, x := range row {
		slot, v := e.Entry(j, x)
		dst[slot] = v
	}
}

// Slot says what a slot means.
type Slot struct {
	Column  int
	Missing bool
	Other   bool    // of a category: rare and unseen levels
	Level   float64 // of a category: the level's code
	SD      float64 // of a number: one unit of the entry, in units of the (logged) number
	Log     bool
}

// Describe says what each slot means, in order.
func (e *Encoder) Describe() []Slot {
	out := make([]Slot, e.slots)
	for j := range e.columns {
		c := &e.columns[j]
		if c.kind == models.Category {
			for k, l := range c.levels {
				out[c.first+k] = Slot{Column: j, Level: l}
			}
			out[c.first+len(c.levels)] = Slot{Column: j, Other: true}
		} else {
			out[c.first] = Slot{Column: j, SD: c.sd, Log: c.log}
		}
		if c.missing >= 0 {
			out[c.missing] = Slot{Column: j, Missing: true}
		}
	}
	return out
}

// Encode appends the encoder to a message.
func (e *Encoder) Encode(w *wire.Encoder) {
	w.Int(len(e.columns))
	for i := range e.columns {
		c := &e.columns[i]
		w.Int(int(c.kind))
		w.Int(c.first)
		w.Bool(c.log)
		w.Float(c.mean)
		w.Float(c.sd)
		w.Int(c.missing)
		w.Floats(c.levels)
	}
	w.Int(e.slots)
}

// Decode reads what Encode wrote; it marks the message as damaged if a slot
// would lie outside.
func Decode(d *wire.Decoder) *Encoder {
	e := &Encoder{}
	for range d.Int() {
		c := column{kind: models.Kind(d.Int()), first: d.Int(), log: d.Bool(),
			mean: d.Float(), sd: d.Float(), missing: d.Int(), levels: d.Floats()}
		if d.Err() != nil {
			return e
		}
		e.columns = append(e.columns, c)
	}
	e.slots = d.Int()
	for i := range e.columns {
		c := &e.columns[i]
		last := c.first
		if c.kind == models.Category {
			last += len(c.levels)
		}
		if c.first < 0 || last >= e.slots || c.missing < -1 || c.missing >= e.slots {
			d.Fail()
		}
	}
	return e
}

// Newest returns, in ascending order, at most limit rows of weight above 0 of
// t: all if they are fewer, else of each class the newest (by At; without At
// the last), as many as keep the class's share. A learner whose cost grows
// faster than its rows is fitted on these.
func Newest(t *models.Table, limit int) []int {
	var class [2][]int
	for i, y := range t.Y {
		if t.Weight == nil || t.Weight[i] > 0 {
			class[int(y)] = append(class[int(y)], i)
		}
	}
	n := len(class[0]) + len(class[1])
	rows := slices.Concat(class[0], class[1])
	if n > limit {
		ones := int(math.Round(float64(limit) * float64(len(class[1])) / float64(n)))
		if len(class[0]) > 0 && len(class[1]) > 0 {
			ones = min(max(ones, 1), limit-1)
		}
		rows = rows[:0]
		for y, want := range []int{limit - ones, ones} {
			if t.At != nil {
				slices.SortStableFunc(class[y], func(a, b int) int {
					switch {
					case t.At[a] < t.At[b]:
						return -1
					case t.At[a] > t.At[b]:
						return 1
					}
					return 0
				})
			}
			rows = append(rows, class[y][len(class[y])-min(want, len(class[y])):]...)
		}
	}
	slices.Sort(rows)
	return rows
}

// Trainable reports why t cannot be learned from: what models.Table.Check finds
// wrong, a bad weight, or, counting rows of weight above 0 alone, no rows or
// one class.
func Trainable(t *models.Table) error {
	if err := t.Check(true); err != nil {
		return err
	}
	var n [2]int
	for i, y := range t.Y {
		w := 1.0
		if t.Weight != nil {
			w = t.Weight[i]
		}
		if !(w >= 0 && w <= math.MaxFloat64) {
			return fmt.Errorf("weight of row %d is %v", i, w)
		}
		if w > 0 {
			n[int(y)]++
		}
	}
	switch {
	case n[0]+n[1] == 0:
		return models.ErrEmpty
	case n[0] == 0 || n[1] == 0:
		return models.ErrOneClass
	}
	return nil
}

// Predictable reports why rows of t cannot be scored by a model of the given
// width: models.ErrWidth or models.ErrEmpty.
func Predictable(t *models.Table, width int) error {
	if t.Width() != width {
		return fmt.Errorf("%w: %d, fitted on %d", models.ErrWidth, t.Width(), width)
	}
	if t.Len() == 0 {
		return models.ErrEmpty
	}
	return nil
}
