package gbdt

import (
	"math"
	"slices"
	"sync"

	"bellwether/models"
	"bellwether/models/target"
)

// inputKind says what an input of the trees holds.
type inputKind uint8

const (
	numeric inputKind = iota // the number of a column
	levels                   // which of at most 31 levels a category is
	rate                     // how often the label was true for a category or pair
	count                    // how frequent a category is
)

// input is one column the trees see, made from a column of the table, or two.
type input struct {
	kind inputKind
	col  int       // numeric: the column
	stat int       // otherwise: the index of the statistic
	cuts []float64 // of numbers, rates, counts
}

// bins is how many bins the input has, that of missing included.
func (in input) bins(e *encoder) int {
	if in.kind == levels {
		return len(e.stats[in.stat].keys) + 1
	}
	return len(in.cuts) + 2
}

// columns returns the columns of the table the input is made of; b is -1 for one.
func (in input) columns(e *encoder) (a, b int) {
	if in.kind == numeric {
		return in.col, -1
	}
	return e.stats[in.stat].a, e.stats[in.stat].b
}

// stat is what is known of the levels of a column or of a pair of columns.
type stat struct {
	a, b            int              // columns; b is -1 for a single one
	keys            []uint64         // of the levels, ascending
	counters        []target.Counter // one a key; nil for levels
	prior, strength float64
}

func (s *stat) rate(i int) float64 { return target.Mean(s.counters[i], s.prior, s.strength) }

// encoder turns a row of the table into what the trees see.
type encoder struct {
	inputs []input
	stats  []stat
}

// followedBy returns an encoder of e's inputs and then those of f, and the trees
// of f for it.
func (e *encoder) followedBy(f *encoder, trees []tree) (*encoder, []tree) {
	both := &encoder{inputs: slices.Clone(e.inputs), stats: append(slices.Clone(e.stats), f.stats...)}
	for _, in := range f.inputs {
		in.stat += len(e.stats)
		both.inputs = append(both.inputs, in)
	}
	for _, t := range trees {
		for i := range t {
			if t[i].kid != 0 {
				t[i].test.input += int32(len(e.inputs))
			}
		}
	}
	return both, trees
}

// keysOf returns the key of each row's level.
func (s *stat) keysOf(x *models.Inputs) []uint64 {
	keys := make([]uint64, x.Len())
	x.Each(s.a, func(lo int, values []float64) {
		for i, v := range values {
			keys[lo+i] = target.Key(v)
		}
	})
	if s.b >= 0 {
		x.Each(s.b, func(lo int, values []float64) {
			for i, v := range values {
				keys[lo+i] = target.Pair(keys[lo+i], target.Key(v))
			}
		})
	}
	return keys
}

// fitRates fits the statistic to the rows and returns what each row could know:
// the shrunk rate before it, and how frequent its level is: where rows have
// times, of how many the outcome was known by then. How many are still to come
// would tell what became of it.
func (p *planner) fitRates(s *stat) (rates, counts []float64) {
	group, distinct := target.Intern(s.keysOf(p.rows.x))
	s.keys = distinct
	s.counters = p.order().Final(group, len(distinct), p.y, p.w)
	s.strength = p.Targets.Strength
	if s.strength == 0 {
		s.strength = target.Strength(s.counters)
	}
	before := make([]target.Counter, len(group))
	p.order().Before(before, group, len(distinct), p.y, p.w)
	rates, counts = make([]float64, len(group)), make([]float64, len(group))
	for i, c := range before {
		rates[i] = target.Mean(c, s.prior, s.strength)
		if counts[i] = c.N; p.rows.at == nil {
			counts[i] = s.counters[group[i]].N
		}
	}
	return rates, counts
}

// planner builds an encoder and, beside it, the bins of the training rows.
type planner struct {
	Learner
	rows  *sample
	y, w  []float64            // the labels as statistics count them, within [0, 1], and their weights
	order func() *target.Order // made when the first statistic needs it
	prior float64
	enc   *encoder
	cols  [][]uint8 // the bins of each input
}

func newPlanner(p Learner, rows *sample, of fitting, seed uint64) *planner {
	y, w := of.told()
	return &planner{
		Learner: p,
		rows:    rows,
		y:       y,
		w:       w,
		order:   sync.OnceValue(func() *target.Order { return target.NewOrder(len(rows.y), rows.at, rows.known, seed) }),
		prior:   meanOf(y, w),
		enc:     &encoder{},
	}
}

// singles adds the inputs made of one column each.
func (p *planner) singles() {
	plans := make([]*planner, len(p.rows.columns))
	crew(p.Threads).each(len(plans), func(j int) {
		q := *p
		q.enc, q.cols = &encoder{}, nil
		q.single(j)
		plans[j] = &q
	})
	for _, q := range plans {
		p.take(q)
	}
}

// take appends the inputs of q.
func (p *planner) take(q *planner) {
	for _, in := range q.enc.inputs {
		in.stat += len(p.enc.stats)
		p.enc.inputs = append(p.enc.inputs, in)
	}
	p.enc.stats = append(p.enc.stats, q.enc.stats...)
	p.cols = append(p.cols, q.cols...)
}

func (p *planner) single(j int) {
	if p.rows.columns[j].Kind == models.Numeric {
		p.number(input{kind: numeric, col: j}, p.rows.x, j)
		return
	}
	s := stat{a: j, b: -1}
	group, distinct := target.Intern(s.keysOf(p.rows.x))
	hasMissing := 0
	for _, k := range distinct {
		if k == target.Key(math.NaN()) {
			hasMissing = 1
		}
	}
	if len(distinct)-hasMissing <= p.Targets.Native {
		p.native(s, group, distinct)
		return
	}
	p.rates(j, -1)
}

// number adds an input of the numbers of a column, if it has two bins or more.
func (p *planner) number(in input, x *models.Inputs, col int) {
	in.cuts = cutsOf(x, col, p.MaxBins)
	bins := binColumn(in.cuts, x, col)
	varies := uint8(0)
	for _, b := range bins {
		varies |= b ^ bins[0]
	}
	if varies != 0 {
		p.enc.inputs = append(p.enc.inputs, in)
		p.cols = append(p.cols, bins)
	}
}

func (p *planner) native(s stat, group []uint32, distinct []uint64) {
	if len(distinct) < 2 {
		return
	}
	code := make([]uint8, len(distinct))
	for i, k := range distinct {
		if k != target.Key(math.NaN()) {
			s.keys = append(s.keys, k)
			code[i] = uint8(len(s.keys))
		}
	}
	bins := make([]uint8, len(group))
	for i, g := range group {
		bins[i] = code[g]
	}
	p.enc.inputs = append(p.enc.inputs, input{kind: levels, stat: len(p.enc.stats)})
	p.enc.stats = append(p.enc.stats, s)
	p.cols = append(p.cols, bins)
}

// rates adds the statistics of a category, or of a pair.
func (p *planner) rates(a, b int) {
	s := stat{a: a, b: b, prior: p.prior}
	rates, counts := p.fitRates(&s)
	at := len(p.enc.stats)
	p.enc.stats = append(p.enc.stats, s)
	x := models.InputsOf([][]float64{rates, counts})
	p.number(input{kind: rate, stat: at}, x, 0)
	if b < 0 {
		p.number(input{kind: count, stat: at}, x, 1)
	}
}

// binsOf returns the bins of any rows, one column an input, by the final
// statistics.
func (e *encoder) binsOf(x *models.Inputs, c crew) [][]uint8 {
	found := make([][]int32, len(e.stats))
	c.each(len(e.stats), func(i int) { found[i] = e.stats[i].find(x) })
	cols := make([][]uint8, len(e.inputs))
	c.each(len(e.inputs), func(k int) {
		in := e.inputs[k]
		if in.kind == numeric {
			cols[k] = binColumn(in.cuts, x, in.col)
			return
		}
		table := e.binTable(in)
		cols[k] = make([]uint8, len(found[in.stat]))
		for i, f := range found[in.stat] {
			cols[k][i] = table[f+1]
		}
	})
	return cols
}

// find returns the number of each row's level, -1 if it is not known.
func (s *stat) find(x *models.Inputs) []int32 {
	l := target.NewLookup(s.keys)
	found := make([]int32, x.Len())
	for i, k := range s.keysOf(x) {
		found[i] = int32(l.Find(k))
	}
	return found
}

// binTable returns the bin of each level of the input's statistic, after that
// of a level never seen.
func (e *encoder) binTable(in input) []uint8 {
	s := &e.stats[in.stat]
	t := make([]uint8, len(s.keys)+1)
	switch in.kind {
	case levels:
		for i := range s.keys {
			t[i+1] = uint8(i + 1)
		}
	case rate:
		t[0] = binOf(in.cuts, s.prior)
		for i := range s.keys {
			t[i+1] = binOf(in.cuts, s.rate(i))
		}
	case count:
		t[0] = binOf(in.cuts, 0)
		for i := range s.keys {
			t[i+1] = binOf(in.cuts, s.counters[i].N)
		}
	}
	return t
}
