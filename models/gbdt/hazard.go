package gbdt

import (
	"fmt"
	"math"
	"math/rand/v2"
	"slices"

	"bellwether/models"
)

// Hazard fits when and how cases end. The time since a row's At is parted into
// buckets by age, and in each the case, if still open, ends or does not by
// chances of its own: a discrete-time hazard. A case still open teaches that it
// was not ended so far and is taken for nothing else.
//
// There are two forms. Where the table has no Horizon, two risks compete: from a
// row's Known on the case is won (label 1) or lost (label 0), and Predict answers
// with the chance of being won by the last age, losses in the way taken into
// account (the cumulative incidence of Aalen and Johansen). Where it has one,
// there is one risk, the end of the case, at Ended; label 1 is to last to the
// Horizon, which is the last age, and Predict answers with the chance of that. A
// row known by Until to have label 1 lasts, whatever Ended says.
//
// What is not known by Until is open. A row counts in a bucket if it was open
// when the bucket began and the whole bucket lies before Until, for then it was
// watched whether or not it ended: counting buckets that were watched in part,
// only if the case ended in them, would make endings look quick.
//
// All buckets' chances come from the same trees, whose leaves hold a step for
// each; a tree looks for its splits along one direction of the steps, drawn for
// it near that of the answer (after Iosipoi and Vakhrushev, SketchBoost, NeurIPS
// 2022), which costs what a tree of one output costs. Model.Incidence answers with
// the chances by each age.
//
// An output is a way to end in a bucket: won and lost of the first, of the second,
// and so on, or the end in each. Its score is the logarithm of the chance of that
// over the chance to stay open; Learner.Base are such scores.
type Hazard struct {
	Ages  []int64 // ends of the buckets, in seconds since At, ascending; nil: as the endings of the training rows fall, see agesOf
	Until int64   // the moment the data ends, Unix seconds; 0: the table's, and if it has none, that of the newest label
}

// maxAges bounds the buckets.
const maxAges = 64

// maxCauses is how a case may end; outputs are one a cause of each bucket.
const maxCauses = 2

func (Hazard) answer() answer { return ending }

func (o Hazard) begin(rows *sample) (fitting, error) {
	if rows.at == nil || rows.known == nil || rows.horizon != 0 && rows.ended == nil {
		return nil, fmt.Errorf("Hazard needs when rows were taken and their labels known, and where they have a Horizon, when they ended")
	}
	for i, y := range rows.y {
		if y != 0 && y != 1 {
			return nil, fmt.Errorf("label of row %d is %v, not 0 or 1", i, y)
		}
	}
	f := &ends{rows: rows, ages: o.Ages, until: o.Until, causes: maxCauses, risk: make([]uint8, len(rows.y)), end: make([]uint8, len(rows.y))}
	if rows.horizon != 0 {
		f.causes = 1
	}
	if f.until == 0 {
		f.until = rows.untilOf()
	}
	if f.ages == nil {
		if f.ages = f.agesOf(); f.ages == nil {
			return nil, models.ErrOneClass
		}
	}
	if err := f.check(); err != nil {
		return nil, err
	}
	for i := range rows.y {
		f.watch(i)
	}
	f.start = f.raw()
	f.way = make([]float64, f.outputs())
	return f, nil
}

// untilOf is when the table was made, or else its newest label known.
func (s *sample) untilOf() int64 {
	if s.until != 0 {
		return s.until
	}
	until := int64(math.MinInt64 / 2)
	for _, k := range s.known {
		if k != math.MaxInt64 {
			until = max(until, k)
		}
	}
	return until
}

// ends is Hazard over the rows of a fit. Scores, and other numbers of the
// outputs, stand one after another: won and lost of the first bucket, of the
// second, and so on; or the end in the first, in the second.
type ends struct {
	rows   *sample
	ages   []int64
	until  int64
	causes int
	risk   []uint8   // buckets the row counts in
	end    []uint8   // 0: open at the end of the last of them; else how it ended there
	start  []float64 // score of each output without trees
	way    []float64 // the direction the next tree looks along
}

func (f *ends) outputs() int { return f.causes * len(f.ages) }

// answer is what the scores of the fit's models stand for.
func (f *ends) answer() answer {
	if f.causes == 1 {
		return lasting
	}
	return ending
}

func (f *ends) check() error {
	ages := f.ages
	if len(ages) == 0 || len(ages) > maxAges || ages[0] <= 0 || !slices.IsSorted(ages) || len(slices.Compact(slices.Clone(ages))) < len(ages) {
		return fmt.Errorf("ages %v: 1 to %d above 0, ascending", ages, maxAges)
	}
	if h := f.rows.horizon; h != 0 && ages[len(ages)-1] != h {
		return fmt.Errorf("ages %v: the last is not the horizon of the table, %d", ages, h)
	}
	return nil
}

// endOf is when the row's case was known to end, and how (1 or 2); never if it
// was not by Until.
func (f *ends) endOf(i int) (at int64, how uint8) {
	known, y := f.rows.known[i], f.rows.y[i]
	if f.causes == 1 {
		if known <= f.until && y == 1 || f.rows.ended[i] > f.until {
			return math.MaxInt64, 0
		}
		return f.rows.ended[i], 1
	}
	if known > f.until {
		return math.MaxInt64, 0
	}
	return known, 2 - uint8(y)
}

// watch fills what is known of row i at the end of the data.
func (f *ends) watch(i int) {
	at := f.rows.at[i]
	ended, how := f.endOf(i)
	for _, age := range f.ages {
		if at > f.until-age {
			return
		}
		f.risk[i]++
		if ended <= at+age {
			f.end[i] = how
			return
		}
	}
}

// Buckets made by the endings: so many, the last so long that leastWatched of the
// rows were watched to its end, and no longer than lastEnding of the endings took.
const (
	defaultAges  = 6
	leastWatched = 0.1
	lastEnding   = 0.98
)

// agesOf parts the time to the horizon, or to the last age that is worth it, by
// the quantiles of how long the cases took that ended by then; nil if none did.
func (f *ends) agesOf() []int64 {
	var took, watched []int64
	for i, at := range f.rows.at {
		watched = append(watched, f.until-at)
		if ended, _ := f.endOf(i); ended != math.MaxInt64 {
			took = append(took, ended-at)
		}
	}
	if len(took) == 0 {
		return nil
	}
	slices.Sort(took)
	slices.Sort(watched)
	quantile := func(of []int64, share float64) int64 { return of[int(share*float64(len(of)-1))] }
	last := f.rows.horizon
	if last == 0 {
		last = max(1, min(quantile(took, lastEnding), quantile(watched, 1-leastWatched)))
	}
	n, _ := slices.BinarySearch(took, last)
	var ages []int64
	for k := 1; k < defaultAges && n > 0; k++ {
		age := quantile(took[:n], float64(k)/defaultAges)
		if age > 0 && age < last && (len(ages) == 0 || age > ages[len(ages)-1]) {
			ages = append(ages, age)
		}
	}
	return append(ages, last)
}

// raw returns the scores whose chances are those of all rows together. A cause
// never seen in a bucket is taken for half a case.
func (f *ends) raw() []float64 {
	n := make([][maxCauses + 1]float64, len(f.ages)) // open, and each end
	for i, risk := range f.risk {
		for b := range risk {
			how := uint8(0)
			if b == risk-1 {
				how = f.end[i]
			}
			n[b][how] += f.rows.weight(i)
		}
	}
	var score []float64
	for _, k := range n {
		for _, ended := range k[1 : 1+f.causes] {
			score = append(score, math.Log(max(ended, 0.5)/max(k[0], 0.5)))
		}
	}
	return score
}

// differ answers models.ErrOneClass unless there are cases of label 1 and others.
func (f *ends) differ() error {
	one, other := false, false
	for i, y := range f.rows.y {
		if f.causes == 1 {
			other = other || f.end[i] > 0
			one = one || f.end[i] == 0
			continue
		}
		one = one || f.end[i] == 1
		other = other || y == 0 || f.rows.known[i] > f.until
	}
	if !one || !other {
		return models.ErrOneClass
	}
	return nil
}

// base is the log-odds of the answer without trees.
func (f *ends) base() float64 {
	p := answerOf(f.start, f.causes)
	return math.Log(p / (1 - p))
}

// chancesOf writes the chances of a bucket's ends and returns that of none.
func chancesOf(p *[maxCauses]float64, score []float64) (open float64) {
	total := 1.0
	for c, s := range score {
		p[c] = math.Exp(min(s, 300))
		total += p[c]
	}
	for c := range score {
		p[c] /= total
	}
	return 1 / total
}

// aim draws the direction of the next tree: mostly towards the answer, that is to
// one end and away from the other in all buckets alike, as most of what is known
// of a case works at any age. Its mean square is 1, so that L2 and the least
// hessian weigh as with log loss.
func (f *ends) aim(rng *rand.Rand) {
	toward := [maxCauses]float64{1, -1}
	for c := range f.causes {
		toward[c] += rng.NormFloat64() / 2
	}
	square := 0.0
	for k := range f.way {
		f.way[k] = toward[k%f.causes] + rng.NormFloat64()/2
		square += f.way[k] * f.way[k]
	}
	for k := range f.way {
		f.way[k] /= math.Sqrt(square / float64(len(f.way)))
	}
}

// derive differentiates along the direction.
func (f *ends) derive(gh []int64, score []float64, c crew) {
	n := f.outputs()
	c.blocks(len(gh), gradientRows, func(_, lo, hi int) {
		var p [maxCauses]float64
		for i := lo; i < hi; i++ {
			g, h, s := 0.0, 0.0, score[i*n:(i+1)*n]
			for b := range int(f.risk[i]) {
				at := f.causes * b
				chancesOf(&p, s[at:at+f.causes])
				mean, square := 0.0, 0.0
				for c, u := range f.way[at : at+f.causes] {
					mean += u * p[c]
					square += u * u * p[c]
				}
				g += mean
				h += square - mean*mean
			}
			if k := f.endAt(i); k >= 0 {
				g -= f.way[k]
			}
			w := f.rows.weight(i)
			gh[i] = derivatives(g*w, max(h, 0)*w)
		}
	})
}

// endAt is the output that says how the row ended, -1 if it is open.
func (f *ends) endAt(i int) int {
	if f.end[i] == 0 {
		return -1
	}
	return f.causes*(int(f.risk[i])-1) + int(f.end[i]) - 1
}

// leaf adds up each output's gradient and hessian over rows.
func (f *ends) leaf(g, h, score []float64, rows []uint32) {
	n := f.outputs()
	var p [maxCauses]float64
	for _, r := range rows {
		w, s := f.rows.weight(int(r)), score[int(r)*n:][:n]
		for at := 0; at < f.causes*int(f.risk[r]); at += f.causes {
			chancesOf(&p, s[at:at+f.causes])
			for c := range f.causes {
				g[at+c] += w * p[c]
				h[at+c] += w * p[c] * (1 - p[c])
			}
		}
		if k := f.endAt(int(r)); k >= 0 {
			g[k] -= w
		}
	}
}

// loss is the mean negative log likelihood of a row.
func (f *ends) loss(score []float64, c crew) float64 {
	n := f.outputs()
	return f.rows.meanOf(c, func(i int) float64 {
		sum, s := 0.0, score[i*n:(i+1)*n]
		for at := 0; at < f.causes*int(f.risk[i]); at += f.causes {
			ends := 0.0
			for _, v := range s[at : at+f.causes] {
				ends += math.Exp(v)
			}
			sum += math.Log1p(ends)
		}
		if k := f.endAt(i); k >= 0 {
			sum -= s[k]
		}
		return sum
	})
}

// told counts the cases that ended, or, where label 1 is to last, those whose
// horizon is over: of the others only who will not last could be known.
func (f *ends) told() (y, w []float64) {
	w = make([]float64, len(f.end))
	for i, how := range f.end {
		over := max(f.rows.known[i], f.rows.at[i]+f.rows.horizon) <= f.until
		if f.causes > 1 && how > 0 || f.causes == 1 && over {
			w[i] = f.rows.weight(i)
		}
	}
	return f.rows.y, w
}
