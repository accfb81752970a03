package trial

import (
	"cmp"
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"time"

	"bellwether/models"
)

// slices of a trial, as shares of the rows that count.
const (
	testShare  = 0.2
	validShare = 0.2
)

// A split divides the rows of a table.
//
// With time, the test slice is the newest fifth of the rows that count (Eval),
// and the validation slice the fifth before; rows of one moment are never
// parted. Train are all rows before. A label not known when the next slice
// begins is censored: the row cannot be used and those like it that are known
// stand for it (censor.go). The last fit uses all rows before the test slice
// whose label was known by then, more than train and validation had together. An
// OpenLearner that learns of open cases is fitted on the censored rows too, as
// they were when the next slice began, and unweighted; it is judged on the same
// rows as all others.
//
// Without time, whole groups are drawn by the seed.
type split struct {
	how                      string
	timed                    bool
	train, valid, last, test part
}

// part is a set of rows with what makes them stand for the censored.
type part struct {
	rows     []int
	weight   []float64 // by position in rows; nil if all are 1
	open     []int     // with time: rows, the censored ones and those of Config.Open
	horizon  int64     // with time: when their labels had to be known
	censored int
	from, to int64 // moments of the rows, censored ones too; from > to: no time
}

// table returns the rows as a table, its weights multiplied in. The inputs stay
// where they lie.
func (p *part) table(t *models.Table) *models.Table {
	u := t.View(p.rows)
	if p.weight != nil {
		if u.Weight == nil {
			u.Weight = slices.Clone(p.weight)
		} else {
			for i, w := range p.weight {
				u.Weight[i] *= w
			}
		}
	}
	return u
}

// openTable returns the rows and the censored ones as what was known of them at
// the horizon, without what makes some stand for others.
func (p *part) openTable(t *models.Table) *models.Table {
	u := t.View(p.open)
	u.Until = p.horizon
	for i := range p.open {
		if u.Known != nil && u.Known[i] > p.horizon {
			u.Y[i], u.Known[i] = 0, math.MaxInt64
		}
		if u.Ended != nil && u.Ended[i] > p.horizon {
			u.Ended[i] = math.MaxInt64
		}
	}
	return u
}

func (p *part) slice(t *models.Table) Slice {
	s := Slice{Rows: len(p.rows), Censored: p.censored, Positives: positives(t, p.rows)}
	if p.from <= p.to {
		from, to := time.Unix(p.from, 0).UTC(), time.Unix(p.to, 0).UTC()
		s.From, s.To = &from, &to
	}
	return s
}

func positives(t *models.Table, rows []int) int {
	n := 0
	for _, i := range rows {
		if t.Y[i] == 1 {
			n++
		}
	}
	return n
}

// divide splits t as the Config says.
func divide(t *models.Table, c *Config, seed uint64) (*split, error) {
	if t.At == nil {
		return draw(t, c, seed), nil
	}
	return byTime(t, c)
}

func counts(c *Config, i int) bool { return (c.Eval == nil || c.Eval[i]) && !c.onlyOpen(i) }

func (c *Config) onlyOpen(i int) bool { return c.Open != nil && c.Open[i] }

func byTime(t *models.Table, c *Config) (*split, error) {
	validFrom, testFrom, err := boundaries(t, c)
	if err != nil {
		return nil, err
	}
	end := int64(math.MinInt64)
	for i, at := range t.At {
		end = max(end, at)
		if k := known(t, i); k != math.MaxInt64 {
			end = max(end, k)
		}
	}
	of := func(horizon int64, in func(i int) bool) part {
		p := observed(t, horizon, func(i int) bool { return in(i) && !c.onlyOpen(i) })
		p.horizon = horizon
		for i := range t.At {
			if in(i) {
				p.open = append(p.open, i)
			}
		}
		byMoment(t, p.open)
		return p
	}
	s := &split{
		timed: true,
		how: fmt.Sprintf("by time: validation from %s, test from %s; labels not known when the next slice begins are censored",
			stamp(validFrom), stamp(testFrom)),
		train: of(validFrom, func(i int) bool { return t.At[i] < validFrom }),
		valid: of(testFrom, func(i int) bool { return t.At[i] >= validFrom && t.At[i] < testFrom && counts(c, i) }),
		last:  of(testFrom, func(i int) bool { return t.At[i] < testFrom }),
		test:  of(end, func(i int) bool { return t.At[i] >= testFrom && counts(c, i) }),
	}
	return s, nil
}

func stamp(unix int64) string { return time.Unix(unix, 0).UTC().Format(time.RFC3339) }

// boundaries returns the first moments of the validation and the test slice.
func boundaries(t *models.Table, c *Config) (validFrom, testFrom int64, err error) {
	var at []int64
	for i, v := range t.At {
		if counts(c, i) {
			at = append(at, v)
		}
	}
	slices.Sort(at)
	if len(at) == 0 || at[0] == at[len(at)-1] {
		return 0, 0, fmt.Errorf("all %d rows that count have one time: there is no newest part to test on; leave the time column out to split by chance", len(at))
	}
	quantile := func(share float64) int64 { return at[min(int(share*float64(len(at))), len(at)-1)] }
	testFrom = quantile(1 - testShare)
	if !c.TestFrom.IsZero() {
		testFrom = c.TestFrom.Unix()
	} else if !c.ValidFrom.IsZero() {
		rest, _ := slices.BinarySearch(at, c.ValidFrom.Unix())
		testFrom = at[min(rest+(len(at)-rest)/2, len(at)-1)]
	}
	before, _ := slices.BinarySearch(at, testFrom)
	validFrom = at[max(0, min(int((1-validShare/(1-testShare))*float64(before)), before-1))]
	if !c.ValidFrom.IsZero() {
		validFrom = c.ValidFrom.Unix()
	}
	if validFrom >= testFrom {
		return 0, 0, fmt.Errorf("the validation slice (from %s) does not begin before the test slice (from %s)", stamp(validFrom), stamp(testFrom))
	}
	return validFrom, testFrom, nil
}

func known(t *models.Table, i int) int64 {
	if t.Known == nil {
		return t.At[i]
	}
	return t.Known[i]
}

// draw splits by chance, whole groups at a time.
func draw(t *models.Table, c *Config, seed uint64) *split {
	group := t.Group
	if group == nil {
		group = make([]int64, t.Len())
		for i := range group {
			group[i] = int64(i)
		}
	}
	order := slices.Clone(group)
	slices.Sort(order)
	order = slices.Compact(order)
	rng := rand.New(rand.NewPCG(seed, 0x5917))
	rng.Shuffle(len(order), func(a, b int) { order[a], order[b] = order[b], order[a] })
	size := make(map[int64]int, len(order))
	total := 0
	for i, g := range group {
		if counts(c, i) {
			size[g]++
			total++
		}
	}
	where := make(map[int64]int, len(order))
	dealt := 0
	for _, g := range order {
		// A group goes where its middle falls.
		middle := (float64(dealt) + float64(size[g])/2) / float64(max(total, 1))
		dealt += size[g]
		switch {
		case middle < testShare:
			where[g] = 2
		case middle < testShare+validShare:
			where[g] = 1
		}
	}
	s := &split{how: "by chance, seeded: the table has no time, so nothing is said about rows later than these"}
	if t.Group != nil {
		s.how = fmt.Sprintf("by chance, seeded, whole groups (%d): the table has no time, so nothing is said about rows later than these", len(order))
	}
	for _, p := range []*part{&s.train, &s.valid, &s.last, &s.test} {
		p.from = 1
	}
	for i, g := range group {
		switch {
		case where[g] == 0:
			s.train.rows = append(s.train.rows, i)
			s.last.rows = append(s.last.rows, i)
		case where[g] == 1:
			if counts(c, i) {
				s.valid.rows = append(s.valid.rows, i)
			}
			s.last.rows = append(s.last.rows, i)
		case counts(c, i):
			s.test.rows = append(s.test.rows, i)
		}
	}
	return s
}

// byMoment sorts rows by time, equal times by position.
func byMoment(t *models.Table, rows []int) {
	slices.SortFunc(rows, func(a, b int) int { return cmp.Or(cmp.Compare(t.At[a], t.At[b]), cmp.Compare(a, b)) })
}
