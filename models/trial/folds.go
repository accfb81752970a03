package trial

import (
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"hash"
	"math"
	"math/rand/v2"
	"slices"
	"time"

	"bellwether/models"
)

const (
	// firstTrain is the share of the rows before the test slice that the oldest
	// fold is fitted on at least: with less, what is best for it is not what is
	// best for all.
	firstTrain = 0.4
	// minFoldOutcomes is how many outcomes of each kind a fold must be judged on;
	// with fewer, which settings are best is luck.
	minFoldOutcomes = 20
)

// Folds are steps of cross-validation inside the rows before the test slice,
// which they never touch, oldest first.
//
// With time each fold is fitted on all rows before a moment and judged on the
// rows from there to the next fold's moment, the last to the test slice. A label
// of a training row that was not known at the fold's moment is censored as in a
// trial. Those judged on may be known later, up to the test slice: that is when
// the settings are chosen.
//
// Without time each fold is judged on a part of the groups, drawn by the seed,
// and fitted on the others.
type Folds struct {
	How   string // for people
	table *models.Table
	parts []fold
}

type fold struct{ train, valid part }

// NewFolds cuts n folds out of the rows that a trial of c on t would learn from.
// Where the trial would be refused, or a fold holds too few outcomes to be judged
// on, the error is a *Refusal.
func NewFolds(t *models.Table, c Config, n int) (*Folds, error) {
	if err := t.Check(true); err != nil {
		return nil, fmt.Errorf("folds of %s: %w", c.Task, err)
	}
	if c.Eval != nil && len(c.Eval) != t.Len() || c.Open != nil && len(c.Open) != t.Len() || n < 2 {
		return nil, fmt.Errorf("folds of %s: Eval has %d rows, the table %d; %d folds, at least 2", c.Task, len(c.Eval), t.Len(), n)
	}
	r, err := newRun(t, c)
	if err != nil {
		return nil, fmt.Errorf("folds of %s: %w", c.Task, err)
	}
	if reasons := r.beforehand(); len(reasons) > 0 {
		return nil, &Refusal{reasons}
	}
	f := &Folds{table: t}
	if r.split.timed {
		err = f.byTime(&r.Config, n)
	} else {
		f.draw(r, n)
	}
	if err != nil {
		return nil, err
	}
	if reasons := f.lacking(&r.Gate); len(reasons) > 0 {
		return nil, &Refusal{reasons}
	}
	return f, nil
}

// byTime cuts windows of equal mass: of the rows that count and whose label was
// known when the test slice begins.
func (f *Folds) byTime(c *Config, n int) error {
	t := f.table
	_, testFrom, err := boundaries(t, c)
	if err != nil {
		return err
	}
	var at []int64
	for i, v := range t.At {
		if v < testFrom && known(t, i) <= testFrom && counts(c, i) {
			at = append(at, v)
		}
	}
	slices.Sort(at)
	var from []int64
	for k := range n {
		share := firstTrain + (1-firstTrain)*float64(k)/float64(n)
		from = append(from, at[min(int(share*float64(len(at))), len(at)-1)])
	}
	from = append(slices.Compact(from), testFrom)
	if len(from) != n+1 {
		return &Refusal{[]string{fmt.Sprintf("the rows before the test slice have too few different times for %d folds; %d would do", n, len(from)-1)}}
	}
	for k, b := range from[:n] {
		f.parts = append(f.parts, fold{
			train: observed(t, b, func(i int) bool { return t.At[i] < b && !c.onlyOpen(i) }),
			valid: observed(t, testFrom, func(i int) bool { return t.At[i] >= b && t.At[i] < from[k+1] && counts(c, i) }),
		})
	}
	f.How = fmt.Sprintf("%d folds forward in time, judged from %s to %s, each fitted on all rows before; the test slice is left alone", n, stamp(from[0]), stamp(testFrom))
	return nil
}

// draw deals the groups of the rows before the test slice to n parts.
func (f *Folds) draw(r *run, n int) {
	t := f.table
	group := func(i int) int64 {
		if t.Group == nil {
			return int64(i)
		}
		return t.Group[i]
	}
	var order []int64
	for _, i := range r.split.last.rows {
		order = append(order, group(i))
	}
	slices.Sort(order)
	order = slices.Compact(order)
	rng := rand.New(rand.NewPCG(r.Seed, 0xf01d))
	rng.Shuffle(len(order), func(a, b int) { order[a], order[b] = order[b], order[a] })
	where := make(map[int64]int, len(order))
	for k, g := range order {
		where[g] = k * n / len(order)
	}
	f.parts = make([]fold, n)
	for k := range f.parts {
		p := &f.parts[k]
		p.train.from, p.valid.from = 1, 1
		for _, i := range r.split.last.rows {
			switch {
			case where[group(i)] != k:
				p.train.rows = append(p.train.rows, i)
			case counts(&r.Config, i):
				p.valid.rows = append(p.valid.rows, i)
			}
		}
	}
	f.How = fmt.Sprintf("%d folds by chance, seeded, whole groups together; the test slice is left alone", n)
}

// lacking says which folds have too few outcomes.
func (f *Folds) lacking(g *Gate) (out []string) {
	need := func(k int, what string, rows []int, least [2]int) {
		ones := positives(f.table, rows)
		for label, n := range []int{len(rows) - ones, ones} {
			if n < least[label] {
				out = append(out, fmt.Sprintf("fold %d of %d has %d outcomes %d to be %s, %d are needed", k+1, len(f.parts), n, label, what, least[label]))
			}
		}
	}
	for k, p := range f.parts {
		need(k, "fitted on", p.train.rows, [2]int{g.MinNegatives, g.MinPositives})
		need(k, "judged on", p.valid.rows, [2]int{minFoldOutcomes, minFoldOutcomes})
	}
	return out
}

// Len returns how many folds there are.
func (f *Folds) Len() int { return len(f.parts) }

// Tables returns the rows of fold k, for learners that read batches: their inputs
// stay where they lie.
func (f *Folds) Tables(k int) (train, valid *models.Table) {
	return f.parts[k].train.table(f.table), f.parts[k].valid.table(f.table)
}

// Slices describes the rows of fold k.
func (f *Folds) Slices(k int) (train, valid Slice) {
	return f.parts[k].train.slice(f.table), f.parts[k].valid.slice(f.table)
}

// Fingerprint is a hash of the rows and of how they were cut.
func (f *Folds) Fingerprint() string {
	h := sha256.New()
	t := f.table
	for j, c := range t.Columns {
		fmt.Fprintf(h, "%q %d\n", c.Name, c.Kind)
		hashFloats(h, t.Column(j))
	}
	hashFloats(h, t.Y)
	hashFloats(h, t.Weight)
	for _, p := range f.parts {
		for _, part := range []part{p.train, p.valid} {
			fmt.Fprintf(h, "%d rows\n", len(part.rows))
			for _, i := range part.rows {
				var b [8]byte
				binary.LittleEndian.PutUint64(b[:], uint64(i))
				h.Write(b[:])
			}
			hashFloats(h, part.weight)
		}
	}
	return hex.EncodeToString(h.Sum(nil))
}

func hashFloats(h hash.Hash, v []float64) {
	var b [8]byte
	for _, x := range v {
		binary.LittleEndian.PutUint64(b[:], math.Float64bits(x))
		h.Write(b[:])
	}
}

// Window is the slice's time for people, empty without time.
func (s *Slice) Window() string {
	if s.From == nil || s.To == nil {
		return ""
	}
	return s.From.Format(time.DateOnly) + " to " + s.To.Format(time.DateOnly)
}
