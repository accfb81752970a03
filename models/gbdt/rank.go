package gbdt

import (
	"cmp"
	"fmt"
	"math"
	"slices"
)

// LambdaRank fits the order of rows within each group of the table
// (models.Table.Group): labels are grades from 0, and of two rows of a group the
// one of the higher grade is pushed above the other, the harder the more the
// group's NDCG would gain if they changed places. Scores, which Predict answers
// with, mean something only beside others of their group. After Burges, From
// RankNet to LambdaRank to LambdaMART, 2010.
type LambdaRank struct {
	// At is how many places of a group count: two rows below them do not push
	// each other. 0: all.
	At int
}

// maxGrade bounds labels: a grade of y is worth 1<<y - 1.
const maxGrade = 31

func (LambdaRank) answer() answer { return amount }

func (o LambdaRank) begin(rows *sample) (fitting, error) {
	if rows.group == nil {
		return nil, fmt.Errorf("LambdaRank needs the rows' groups")
	}
	for i, y := range rows.y {
		if !(y >= 0 && y <= maxGrade) {
			return nil, fmt.Errorf("label of row %d is %v, not a grade from 0 to %d", i, y, maxGrade)
		}
	}
	f := &ranking{rows: rows, at: o.At}
	order := make([]int32, len(rows.y))
	for i := range order {
		order[i] = int32(i)
	}
	slices.SortFunc(order, func(a, b int32) int {
		return cmp.Or(cmp.Compare(rows.group[a], rows.group[b]), cmp.Compare(a, b))
	})
	for lo := 0; lo < len(order); {
		hi := lo + 1
		for hi < len(order) && rows.group[order[hi]] == rows.group[order[lo]] {
			hi++
		}
		if ideal := f.ideal(order[lo:hi]); ideal > 0 {
			f.groups = append(f.groups, contest{order[lo:hi], ideal})
		}
		lo = hi
	}
	return f, nil
}

// ranking is LambdaRank over the rows of a fit.
type ranking struct {
	rows   *sample
	at     int
	groups []contest // those with a grade above 0
}

// contest is the rows of a group, and the most its DCG can be.
type contest struct {
	rows  []int32
	ideal float64
}

// counts is how many of n places count.
func (f *ranking) counts(n int) int {
	if f.at > 0 {
		return min(n, f.at)
	}
	return n
}

func worth(grade float64) float64 { return math.Exp2(grade) - 1 }

// discount is what a row's worth at a place counts, the first being 0.
func discount(place int) float64 { return 1 / math.Log2(float64(place)+2) }

func (f *ranking) ideal(rows []int32) float64 {
	y := make([]float64, len(rows))
	for i, r := range rows {
		y[i] = f.rows.y[r]
	}
	slices.SortFunc(y, func(a, b float64) int { return cmp.Compare(b, a) })
	sum := 0.0
	for place := range f.counts(len(y)) {
		sum += worth(y[place]) * discount(place)
	}
	return sum
}

// sorted returns the group's rows by score, best first.
func (f *ranking) sorted(g contest, score []float64) []int32 {
	order := slices.Clone(g.rows)
	slices.SortStableFunc(order, func(a, b int32) int { return cmp.Compare(score[b], score[a]) })
	return order
}

func (f *ranking) base() float64 { return 0 }

func (f *ranking) derive(gh []int64, score []float64, c crew) {
	clear(gh)
	c.each(len(f.groups), func(k int) {
		order := f.sorted(f.groups[k], score)
		g, h := make([]float64, len(order)), make([]float64, len(order))
		for i := range f.counts(len(order)) {
			for j := i + 1; j < len(order); j++ {
				f.push(f.groups[k].ideal, order, score, i, j, g, h)
			}
		}
		for i, r := range order {
			w := f.rows.weight(int(r))
			gh[r] = derivatives(g[i]*w, h[i]*w)
		}
	})
}

// push adds what the rows at places i and j of order, i above j, do to each
// other.
func (f *ranking) push(ideal float64, order []int32, score []float64, i, j int, g, h []float64) {
	a, b := order[i], order[j]
	ya, yb := f.rows.y[a], f.rows.y[b]
	if ya == yb {
		return
	}
	up, down := i, j
	if ya < yb {
		up, down, a, b = j, i, b, a
	}
	below := 0.0
	if j < f.counts(len(order)) {
		below = discount(j)
	}
	change := math.Abs(worth(ya)-worth(yb)) * (discount(i) - below) / ideal
	p := 1 / (1 + math.Exp(score[a]-score[b]))
	g[up] -= change * p
	g[down] += change * p
	h[up] += change * p * (1 - p)
	h[down] += change * p * (1 - p)
}

// loss is what the groups' NDCG lack to 1, on average.
func (f *ranking) loss(score []float64, c crew) float64 {
	lack := make([]float64, len(f.groups))
	c.each(len(f.groups), func(k int) {
		g, dcg := f.groups[k], 0.0
		for place, r := range f.sorted(g, score)[:f.counts(len(g.rows))] {
			dcg += worth(f.rows.y[r]) * discount(place)
		}
		lack[k] = 1 - dcg/g.ideal
	})
	sum := 0.0
	for _, l := range lack {
		sum += l
	}
	return sum / float64(len(lack))
}

func (f *ranking) told() (y, w []float64) { return scaled(f.rows.y), f.rows.w }
