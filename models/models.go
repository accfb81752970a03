// Package models holds what every learner shares: the table it is fitted on,
// the contract of a learner and of a fitted model, and the code of a category.
// It and the packages below it know numbers only, no word of the domain.
//
// A Table is column-major, or its inputs are read where they lie, batch after
// batch (Inputs), so that nothing of a file's record batches is copied for a
// learner that reads those. A missing number is NaN. A category is a number too:
// Code of its text, exact in a float64, so that training and serving agree
// without sharing a dictionary.
//
// A Learner is a struct of hyperparameters; making one does no work. Fit returns
// a new Model each time and remembers nothing. A Model never changes once
// fitted, may be used from any number of goroutines, and marshals to the same
// bytes for the same data, parameters and seed. modeltest.Check holds each
// learner to this.
package models

import (
	"context"
	"encoding"
	"errors"
	"fmt"
	"math"
)

// Kind says how a column's numbers are meant.
type Kind uint8

// The kinds of column.
const (
	Numeric  Kind = iota // order and distance mean something
	Category             // Code of a text; only equality means something
)

// Column describes one input.
type Column struct {
	Name string `json:"name"`
	Kind Kind   `json:"kind"`
}

// Table is n rows of w inputs with what is known of each row. Optional slices
// are nil or of length n.
type Table struct {
	Columns []Column
	X       [][]float64 // w columns of n values; NaN is missing; nil where there is In
	In      *Inputs     // the inputs where they lie, for who reads those (BatchLearner, Column, Row); else nil
	Y       []float64   // label: 0 or 1, or what the learner's objective asks for
	Weight  []float64   // nil means 1 each
	At      []int64     // when the row's inputs were taken, Unix seconds; nil: no time
	Known   []int64     // when its label became known, Unix seconds; math.MaxInt64: not yet
	Group   []int64     // rows of one group stay together in a split; nil: each alone

	// How cases went on, for an OpenLearner. Without Horizon they end when Known
	// says, as Y says. With it they end in one way, at Ended, and label 1 is to
	// last so long after At.
	Horizon int64   // seconds; 0: none
	Ended   []int64 // when it was known that the case had ended, Unix seconds; math.MaxInt64: not yet
	Until   int64   // the moment the table tells of, Unix seconds; 0: that of the newest label
}

// Len returns the number of rows.
func (t *Table) Len() int {
	switch {
	case t.In != nil:
		return t.In.Len()
	case len(t.X) == 0:
		return len(t.Y)
	}
	return len(t.X[0])
}

// Width returns the number of inputs.
func (t *Table) Width() int {
	if t.In != nil {
		return len(t.Columns)
	}
	return len(t.X)
}

// Row copies row i into dst, which must be Width long.
func (t *Table) Row(dst []float64, i int) {
	for j := range dst {
		if t.In != nil {
			dst[j] = t.In.At(j, i)
		} else {
			dst[j] = t.X[j][i]
		}
	}
}

// Inputs returns the inputs to be read where they lie.
func (t *Table) Inputs() *Inputs {
	if t.In != nil {
		return t.In
	}
	return InputsOf(t.X)
}

// Column returns input j, which must not be written to: a copy where it lies in
// batches.
func (t *Table) Column(j int) []float64 {
	if t.In != nil {
		return t.In.Column(j)
	}
	return t.X[j]
}

// Take returns a new table of the given rows, in that order, with columns of its
// own.
func (t *Table) Take(rows []int) *Table {
	u := t.sides(rows)
	u.X = make([][]float64, t.Width())
	if t.In != nil {
		v := t.In.View(rows)
		for j := range u.X {
			u.X[j] = v.Column(j)
		}
		return u
	}
	for j, col := range t.X {
		u.X[j] = take(col, rows)
	}
	return u
}

// View is Take, but for the inputs, which stay where they lie.
func (t *Table) View(rows []int) *Table {
	u := t.sides(rows)
	u.In = t.Inputs().View(rows)
	return u
}

// Whole returns the table with columns, for who reads nothing else: itself, if
// it has them.
func (t *Table) Whole() *Table {
	if t.In == nil {
		return t
	}
	u := *t
	u.In, u.X = nil, make([][]float64, t.Width())
	for j := range u.X {
		u.X[j] = t.In.Column(j)
	}
	return &u
}

// sides takes all but the inputs.
func (t *Table) sides(rows []int) *Table {
	u := &Table{Columns: t.Columns, Y: take(t.Y, rows), Weight: take(t.Weight, rows), Horizon: t.Horizon, Until: t.Until}
	u.At, u.Known, u.Group, u.Ended = take(t.At, rows), take(t.Known, rows), take(t.Group, rows), take(t.Ended, rows)
	return u
}

func take[T any](col []T, rows []int) []T {
	if col == nil {
		return nil
	}
	out := make([]T, len(rows))
	for i, r := range rows {
		out[i] = col[r]
	}
	return out
}

// Check reports the first inconsistency of the table: columns of different
// lengths, a label other than 0 or 1 when labels is set, an infinite input.
func (t *Table) Check(labels bool) error {
	n := t.Len()
	if n == 0 {
		return ErrEmpty
	}
	if err := t.checkInputs(n); err != nil {
		return err
	}
	for _, l := range []int{len(t.Weight), len(t.At), len(t.Known), len(t.Group), len(t.Ended)} {
		if l != 0 && l != n {
			return fmt.Errorf("a side column has %d rows, not %d", l, n)
		}
	}
	if !labels {
		return nil
	}
	if len(t.Y) != n {
		return fmt.Errorf("%d labels for %d rows", len(t.Y), n)
	}
	for i, y := range t.Y {
		if y != 0 && y != 1 {
			return fmt.Errorf("label of row %d is %v, not 0 or 1", i, y)
		}
	}
	return nil
}

func (t *Table) checkInputs(n int) error {
	if t.In != nil && t.X != nil {
		return errors.New("a table has both X and In")
	}
	if t.In == nil && len(t.Columns) != len(t.X) {
		return fmt.Errorf("%w: %d columns described, %d held", ErrWidth, len(t.Columns), len(t.X))
	}
	for j, col := range t.X {
		if len(col) != n {
			return fmt.Errorf("column %s has %d rows, not %d", t.Columns[j].Name, len(col), n)
		}
	}
	in, infinite := t.Inputs(), -1
	for j, c := range t.Columns {
		in.Each(j, func(lo int, values []float64) {
			for i, x := range values {
				if infinite < 0 && math.IsInf(x, 0) {
					infinite = lo + i
				}
			}
		})
		if infinite >= 0 {
			return fmt.Errorf("column %s, row %d is infinite", c.Name, infinite)
		}
	}
	return nil
}

// What any learner or model may answer with.
var (
	ErrEmpty     = errors.New("no rows")
	ErrWidth     = errors.New("wrong number of columns")
	ErrNotFitted = errors.New("model is not fitted")
	ErrOneClass  = errors.New("all labels are the same")
	ErrCorrupt   = errors.New("model bytes are damaged")
)

// Learner fits models. Implementations are plain structs of hyperparameters
// whose zero value means sensible defaults.
type Learner interface {
	// Name is the learner's short name in leaderboards: "gbdt", "logit".
	Name() string
	// Fit learns P(Y = 1) from train, or what else its objective is. valid, if not nil, may be used to stop
	// early and for nothing else. The tables are not changed or kept.
	Fit(ctx context.Context, train, valid *Table, seed uint64) (Model, error)
}

// OpenLearner is a learner that may learn of cases that are still open: of rows
// whose label is not known (Known is after the table's Until).
type OpenLearner interface {
	Learner
	// LearnsOpen reports whether, with these hyperparameters, it does.
	LearnsOpen() bool
}

// BatchLearner is a learner whose Fit also takes tables with In, and copies
// nothing of them. Others are given Table.Whole.
type BatchLearner interface {
	Learner
	// ReadsBatches does nothing but say so.
	ReadsBatches()
}

// Model is a fitted learner.
type Model interface {
	// Predict writes one raw (not yet calibrated) probability per row of t
	// into dst, which is t.Len() long. Missing inputs and categories never seen
	// are allowed; a wrong width is ErrWidth, no rows ErrEmpty. Only the inputs are
	// read, in batches only by a model of a BatchLearner.
	Predict(dst []float64, t *Table) error
	// Width is the number of inputs it was fitted on.
	Width() int
	// MarshalBinary writes the model. The package that made it has a function
	// Load(b []byte) (*T, error), which answers ErrCorrupt to damaged bytes.
	encoding.BinaryMarshaler
}

// RowsPredictor is a model that can score rows held one after another, without
// a table and without allocating.
type RowsPredictor interface {
	Model
	// PredictRows writes the same bits as Predict: rows is row-major, dst has
	// one place per row, len(rows) is len(dst) times Width. It panics on other
	// lengths.
	PredictRows(dst, rows []float64)
}

// Factorer is a model that can be split by what its inputs look at, so that one
// case is scored against many candidates for little more than what only the two
// together say.
type Factorer interface {
	Model
	// Factor splits the model. side says of each column whether it belongs to
	// the case (0), the candidate (1) or the pair of them (2). It is false when
	// this model cannot be split.
	Factor(side []uint8) (Factored, bool)
}

// Factored is a model split by sides. It never changes and may be used from any
// number of goroutines.
type Factored interface {
	// Words is how many words hold what a case or a candidate says.
	Words() int
	// Reach writes into dst what the case or the candidate says of a row; dst is
	// Words long, own holds that side's columns in the order of the table.
	Reach(dst []uint64, side uint8, own []float64)
	// Scores writes the same bits as Predict for the row of a case and each of
	// its candidates, given by what Reach wrote. pairs holds the columns of the
	// pair, a row a candidate.
	Scores(dst []float64, of []uint64, candidates [][]uint64, pairs []float64)
}

// Code returns the number that stands for a category: the upper 52 bits of the
// text's 64-bit FNV-1a hash, exact in a float64. The empty text is missing: NaN.
func Code(text string) float64 {
	if text == "" {
		return math.NaN()
	}
	h := uint64(14695981039346656037)
	for i := range len(text) {
		h = (h ^ uint64(text[i])) * 1099511628211
	}
	return float64(h >> 12)
}
