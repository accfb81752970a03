package gbdt

import (
	"fmt"
	"slices"
	"sync"

	"bellwether/models"
	"bellwether/models/target"
)

// Model is a fitted ensemble. It never changes and may be used from any number
// of goroutines.
type Model struct {
	learner Learner // as it was given; only Trees known of a loaded model
	width   int
	base    float64
	enc     *encoder
	trees   []tree
	scorer  *scorer
	loss    answer
	hazards *hazards // of a model of Hazard

	explain   sync.Once
	explained *explainer // nil until asked for
}

// newModel keeps of the encoder what the trees use.
func newModel(l Learner, width int, base float64, enc *encoder, trees []tree) *Model {
	l.Progress = nil
	enc, trees = prune(enc, trees)
	m := &Model{learner: l, width: width, base: base, enc: enc, trees: trees}
	m.scorer = newScorer(m)
	return m
}

// prune drops the statistics, inputs and cuts no tree asks for.
func prune(e *encoder, trees []tree) (*encoder, []tree) {
	used := make([][]uint8, len(e.inputs)) // the bins tested, ascending
	asked := make([]bool, len(e.inputs))
	for _, t := range trees {
		for _, n := range t {
			if n.kid != 0 {
				asked[n.test.input] = true
				used[n.test.input] = append(used[n.test.input], n.test.bin)
			}
		}
	}
	out := &encoder{}
	inputAt := make([]int32, len(e.inputs))
	statAt := make([]int, len(e.stats))
	for i, in := range e.inputs {
		slices.Sort(used[i])
		used[i] = slices.Compact(used[i])
		if !asked[i] {
			continue
		}
		inputAt[i] = int32(len(out.inputs))
		if in.kind != numeric {
			if statAt[in.stat] == 0 {
				out.stats = append(out.stats, e.stats[in.stat])
				statAt[in.stat] = len(out.stats)
			}
			in.stat = statAt[in.stat] - 1
		}
		if in.kind != levels {
			var cuts []float64
			for _, b := range used[i] {
				if int(b) <= len(in.cuts) {
					cuts = append(cuts, in.cuts[b-1])
				}
			}
			in.cuts = cuts
		}
		out.inputs = append(out.inputs, in)
	}
	for _, t := range trees {
		for i := range t {
			if t[i].kid == 0 {
				continue
			}
			test := &t[i].test
			if e.inputs[test.input].kind != levels {
				at, _ := slices.BinarySearch(used[test.input], test.bin)
				test.bin = uint8(at + 1)
			}
			test.input = inputAt[test.input]
		}
	}
	for i := range out.stats {
		out.forget(i)
	}
	return out, trees
}

// forget drops the levels of a statistic that no tree can tell from one never
// seen: of a pair, most.
func (e *encoder) forget(stat int) {
	s := e.stats[stat]
	var tables [][]uint8
	for _, in := range e.inputs {
		if in.kind == levels && in.stat == stat {
			return
		}
		if in.kind != numeric && in.stat == stat {
			tables = append(tables, e.binTable(in))
		}
	}
	var keys []uint64
	var counters []target.Counter
	for i, k := range s.keys {
		for _, t := range tables {
			if t[i+1] != t[0] {
				keys, counters = append(keys, k), append(counters, s.counters[i])
				break
			}
		}
	}
	if counters == nil {
		counters = []target.Counter{}
	}
	e.stats[stat].keys, e.stats[stat].counters = keys, counters
}

// Trees returns how many trees the model has.
func (m *Model) Trees() int { return len(m.trees) }

// Width implements models.Model.
func (m *Model) Width() int { return m.width }

// Predict implements models.Model.
func (m *Model) Predict(dst []float64, t *models.Table) error {
	if t.Width() != m.width {
		return fmt.Errorf("%w: %d, the model has %d", models.ErrWidth, t.Width(), m.width)
	}
	n := t.Len()
	if n == 0 {
		return models.ErrEmpty
	}
	for j, col := range t.X {
		if len(col) != n {
			return fmt.Errorf("gbdt: column %d has %d rows, not %d", j, len(col), n)
		}
	}
	if len(dst) != n {
		return fmt.Errorf("gbdt: room for %d answers, %d rows", len(dst), n)
	}
	if t.In != nil {
		inBlocks(t.In, m.width, func(lo, hi int, src source) { m.answer(dst[lo:hi], src) })
		return nil
	}
	m.answer(dst, source{cols: t.X})
	return nil
}

// PredictRows implements models.RowsPredictor. It allocates nothing while the
// trees look at no more than 1,024 inputs.
func (m *Model) PredictRows(dst, rows []float64) {
	if len(rows) != len(dst)*m.width {
		panic(fmt.Sprintf("gbdt: %d numbers for %d rows of width %d", len(rows), len(dst), m.width))
	}
	m.answer(dst, source{rows: rows, width: m.width})
}

// answer writes the answer to each row.
func (m *Model) answer(dst []float64, src source) {
	if m.hazards != nil {
		m.answerEnds(dst, src)
		return
	}
	m.scorer.scores(dst, src, m.base)
	for i, s := range dst {
		dst[i] = m.loss.link(s)
	}
}
