package gbdt

import (
	"fmt"
	"math/bits"
	"slices"
)

// hazards is what a model of Hazard holds beside its trees.
type hazards struct {
	ages   []int64
	causes int
	base   []float64   // score of each output without trees
	steps  [][]float64 // of each tree: what its leaves, in the order of nodes, add to each output
	at     []uint32    // of the scorer's nodes: where a leaf's steps stand in flat
	flat   []float64   // steps of leaves, and last, of none, each filled up with zeros to room
}

// stepRoom is how many steps of a leaf the vector code takes, always so many;
// leaves of more are left to plain code.
const stepRoom = 12

func (h *hazards) room() int { return max(len(h.base), stepRoom) }

// lay prepares h for scoring with the trees.
func (h *hazards) lay(trees []tree) {
	h.at, h.flat = nil, nil
	none := make([]float64, h.room())
	for i, t := range trees {
		steps := h.steps[i]
		for _, n := range t {
			h.at = append(h.at, uint32(len(h.flat)))
			if n.kid == 0 {
				h.flat = append(append(h.flat, steps[:len(h.base)]...), none[len(h.base):]...)
				steps = steps[len(h.base):]
			}
		}
	}
	h.flat = append(h.flat, none...)
}

// scores writes the scores of the first rows of bins, one after another: as many
// as score has room for, up to lanes.
func (h *hazards) scores(score []float64, s *scorer, bins []uint8) {
	n := len(h.base)
	rows := len(score) / n
	for r := range rows {
		copy(score[r*n:], h.base)
	}
	var room [lanes]uint32
	at := room[:rows]
	for _, root := range s.roots {
		for r := range at {
			at[r] = root
		}
		for moved := true; moved; { // side by side, as walk8
			moved = false
			for r, from := range at {
				node := &s.nodes[from]
				at[r] = node.next(bins[int(node.slot)*lanes+r])
				moved = moved || at[r] != from
			}
		}
		for r, leaf := range at {
			add(score[r*n:], h.flat[h.at[leaf]:][:n])
		}
	}
}

// scoresOf writes the scores of all rows of a table, one after another.
func (h *hazards) scoresOf(score []float64, s *scorer, src source) {
	bins, step := make([]uint8, s.slots*lanes), len(h.base)*lanes
	for i := 0; i*len(h.base) < len(score); i += lanes {
		part := score[i*len(h.base):]
		part = part[:min(step, len(part))]
		s.encode(bins, &src, i, len(part)/len(h.base))
		h.scores(part, s, bins)
	}
}

// answerOf returns the chance of label 1: with two causes, to end by the first
// by the last age; with one, not to have ended.
func answerOf(score []float64, causes int) float64 {
	var p [maxCauses]float64
	sum, open := 0.0, 1.0
	for at := 0; at < len(score); at += causes {
		stays := chancesOf(&p, score[at:at+causes])
		sum += open * p[0]
		open *= stays
	}
	if causes == 1 {
		return open
	}
	return min(sum, 1)
}

// favours is which way the answer goes with the score of an output, whatever the
// others are: up with that of winning, down with any other. So does the chance to
// be won by any age, and that to be lost the other way.
func favours(output, causes int) int8 {
	if causes > 1 && output%causes == 0 {
		return 1
	}
	return -1
}

// slopes returns by how much the log-odds of the answer rise with each score.
func slopes(score []float64, causes int) []float64 {
	out := make([]float64, len(score))
	var p [maxCauses]float64
	before := []float64{1} // the chance to be open when each bucket begins
	for at := 0; at < len(score); at += causes {
		before = append(before, before[at/causes]*chancesOf(&p, score[at:at+causes]))
	}
	answer := answerOf(score, causes)
	later := 0.0 // what the answer gets of the buckets after
	if causes == 1 {
		later = answer
	}
	for at := len(score) - causes; at >= 0; at -= causes {
		chancesOf(&p, score[at:at+causes])
		won := 0.0
		if causes > 1 {
			won = before[at/causes] * p[0]
			out[at] = won
		}
		for c := range causes {
			out[at+c] -= p[c] * (won + later)
		}
		later += won
	}
	for k := range out {
		out[k] /= answer * (1 - answer)
	}
	return out
}

// Ages returns the ends of the buckets of a model of Hazard, nil of another.
func (m *Model) Ages() []int64 {
	if m.hazards == nil {
		return nil
	}
	return slices.Clone(m.hazards.ages)
}

// Incidence writes, for each of Ages, the chance that the row's case is won by
// then, and lost by then; what is left is open. Of a table with a Horizon, where
// cases end in one way, lost is how they do and won is 0. It panics unless row is
// Width long, won and lost are as long as Ages, and the model is one of Hazard.
func (m *Model) Incidence(won, lost, row []float64) {
	h := m.hazards
	if h == nil || len(won) != len(h.ages) || len(lost) != len(h.ages) || len(row) != m.width {
		panic(fmt.Sprintf("gbdt: %d and %d chances of a row of %d", len(won), len(lost), len(row)))
	}
	var room [maxCauses * maxAges]float64
	score := room[:len(h.base)]
	bins, src := make([]uint8, m.scorer.slots*lanes), source{rows: row, width: m.width}
	m.scorer.encode(bins, &src, 0, 1)
	h.scores(score, m.scorer, bins)
	var p [maxCauses]float64
	f, g, open := 0.0, 0.0, 1.0
	for b := range won {
		stays := chancesOf(&p, score[h.causes*b:][:h.causes])
		if h.causes > 1 {
			f += open * p[0]
		}
		g += open * p[h.causes-1]
		open *= stays
		won[b], lost[b] = min(f, 1), min(g, 1)
	}
}

// answerEnds writes the chance of label 1 of each row.
func (m *Model) answerEnds(dst []float64, src source) {
	var stack [stackInputs * lanes]uint8
	var room [maxCauses * maxAges * lanes]float64
	bins, n := stack[:], len(m.hazards.base)
	if m.scorer.slots > stackInputs {
		bins = make([]uint8, m.scorer.slots*lanes)
	}
	for i := 0; i < len(dst); i += lanes {
		part := dst[i:min(i+lanes, len(dst))]
		score := room[:n*len(part)]
		m.scorer.encode(bins, &src, i, len(part))
		m.hazards.scores(score, m.scorer, bins)
		for r := range part {
			part[r] = answerOf(score[r*n:][:n], m.hazards.causes)
		}
	}
}

// stepsAt is where the steps of each leaf stand in the hazards of a factored
// model: its leaves from left to right, as many places a tree as the model has.
// A tree that only fills up a block has the steps of none.
type stepsAt struct {
	*hazards
	leaf []uint32
}

// stepsAt finds them by the bits of the leaves under each node.
func (h *hazards) stepsAt(m *Model, slot int, under [][]uint64) *stepsAt {
	none := uint32(len(h.flat) - h.room())
	s := &stepsAt{h, slices.Repeat([]uint32{none}, slot*len(under))}
	for i, t := range m.trees {
		for k, n := range t {
			if n.kid == 0 {
				s.leaf[i*slot+bits.TrailingZeros64(under[i][k])] = h.at[int(m.scorer.roots[i])+k]
			}
		}
	}
	return s
}

// answerEnds is the answer to the row that a, b and the rows of the table leave;
// next is the b of the next call.
func (f *factored) answerEnds(a, b, next []uint64, rows []uint32) float64 {
	var room [maxCauses * maxAges]float64
	score := room[:f.ends.room()]
	copy(score, f.ends.base)
	f.fastSteps(score, a, b, next, rows)
	return answerOf(score[:len(f.ends.base)], f.ends.causes)
}

// addSteps adds to the scores the steps of the leaves that a, b and the rows of
// the table leave, in the order of the trees, as hazards.scores does. It defines
// what the vector code answers.
func (f *factored) addSteps(score []float64, a, b []uint64, rows []uint32) {
	leaf, mask := f.ends.leaf, ^uint64(0)>>(leafBits-f.slot)
	for w := range f.full {
		left := a[w] & b[w]
		for _, r := range rows {
			left &= f.table[int(r)+w]
		}
		for range leafBits / f.slot {
			add(score, f.ends.flat[leaf[bits.TrailingZeros64(left&mask)]:][:len(score)])
			leaf, left = leaf[f.slot:], left>>(f.slot&(leafBits-1))
		}
	}
}
