package gbdt

import (
	"fmt"
	"math"
	"slices"

	"bellwether/models"
)

// Objective is what trees are fitted to: a loss of scores and labels. LogLoss,
// SquaredError, Poisson, LambdaRank and Hazard are all there are.
type Objective interface {
	// begin reads the labels of the rows a model is fitted to or judged by, or
	// says what is wrong with them.
	begin(rows *sample) (fitting, error)
	// answer is what the scores of its models stand for.
	answer() answer
}

// fitting is an objective over the rows of one fit.
type fitting interface {
	// base is the best score of a model without trees.
	base() float64
	// derive writes to gh the first and second derivative of each row's weighted
	// loss by its score, the bits of one float32 above those of the other.
	derive(gh []int64, score []float64, c crew)
	// loss is the weighted mean loss of the scores.
	loss(score []float64, c crew) float64
	// told is the labels within [0, 1], and their weights, as the statistics of
	// categories count them.
	told() (y, w []float64)
}

// answer is what a score stands for.
type answer uint8

const (
	chance  answer = iota // its log-odds
	amount                // itself
	pace                  // its logarithm
	ending                // the chance to end in the first of two ways, see hazards
	lasting               // the chance not to end, see hazards
	answers
)

// link returns the answer to a score.
func (a answer) link(score float64) float64 {
	switch a {
	case chance:
		return 1 / (1 + math.Exp(-score))
	case pace:
		return math.Exp(score)
	}
	return score
}

// LogLoss fits the log-odds of labels 0 and 1. Predict answers with the
// probability of 1.
type LogLoss struct{}

// SquaredError fits the mean of any labels.
type SquaredError struct{}

// Poisson fits the mean of labels that are counts or amounts, 0 or more, through
// its logarithm: Predict answers with a number above 0.
type Poisson struct{}

// poissonStep is what the hessian of Poisson is raised by, so that a leaf whose
// labels are far above what was thought is not overshot: exp(0.7), as
// LightGBM's poisson_max_delta_step.
var poissonStep = math.Exp(0.7)

// rowLoss is an objective of rows that do not look at each other. Weights are
// not its concern.
type rowLoss interface {
	allows(y float64) bool
	start(mean float64) float64
	derive(gh []int64, score, y []float64)
	loss(score, y float64) float64
}

func (o LogLoss) begin(rows *sample) (fitting, error)      { return beginRows(o, rows, "0 or 1") }
func (o SquaredError) begin(rows *sample) (fitting, error) { return beginRows(o, rows, "a number") }
func (o Poisson) begin(rows *sample) (fitting, error)      { return beginRows(o, rows, "0 or more") }

func (LogLoss) answer() answer      { return chance }
func (SquaredError) answer() answer { return amount }
func (Poisson) answer() answer      { return pace }

func (LogLoss) allows(y float64) bool      { return y == 0 || y == 1 }
func (SquaredError) allows(y float64) bool { return math.Abs(y) <= mostLabel }
func (Poisson) allows(y float64) bool      { return y >= 0 && y <= mostLabel }

// mostLabel keeps sums of squares finite.
const mostLabel = 1e100

func (LogLoss) start(mean float64) float64      { return logarithm(mean / (1 - mean)) }
func (SquaredError) start(mean float64) float64 { return mean }
func (Poisson) start(mean float64) float64      { return logarithm(mean) }

func (o LogLoss) derive(gh []int64, score, y []float64) {
	done := deriveFast(gh, score, y)
	o.derivePlain(gh[done:], score[done:], y[done:])
}

// derivePlain defines what the vector code answers.
func (LogLoss) derivePlain(gh []int64, score, y []float64) {
	y = y[:len(gh)]
	for i, s := range score[:len(gh)] {
		q := lesser(math.Abs(s))
		h := q - float64(q*q)
		if h < 1e-16 {
			h = 1e-16
		}
		gh[i] = derivatives(0.5+math.Copysign(0.5-q, s)-y[i], h)
	}
}

func (SquaredError) derive(gh []int64, score, y []float64) {
	for i := range gh {
		gh[i] = derivatives(score[i]-y[i], 1)
	}
}

func (Poisson) derive(gh []int64, score, y []float64) {
	for i := range gh {
		mean := math.Exp(score[i])
		gh[i] = derivatives(mean-y[i], max(mean*poissonStep, 1e-16))
	}
}

// loss of one row: log(1+exp(score)) - y*score, without overflow.
func (LogLoss) loss(score, y float64) float64 {
	return max(score, 0) - float64(y*score) - logarithm(1-lesser(math.Abs(score)))
}

func (SquaredError) loss(score, y float64) float64 { return (score - y) * (score - y) }

// loss of one row is its deviance less what depends on y alone.
func (Poisson) loss(score, y float64) float64 { return math.Exp(score) - y*score }

// derivatives are a gradient and a hessian as derive writes them.
func derivatives(g, h float64) int64 {
	return int64(math.Float32bits(float32(g)))<<32 | int64(math.Float32bits(float32(h)))
}

func derivativesOf(v int64) (g, h float64) {
	return float64(math.Float32frombits(uint32(v >> 32))), float64(math.Float32frombits(uint32(v)))
}

// byRow is a rowLoss over the rows of a fit.
type byRow struct {
	rowLoss
	rows *sample
}

func beginRows(o rowLoss, rows *sample, want string) (fitting, error) {
	for i, y := range rows.y {
		if !o.allows(y) {
			return nil, fmt.Errorf("label of row %d is %v, not %s", i, y, want)
		}
	}
	return byRow{o, rows}, nil
}

func (f byRow) base() float64 { return f.start(f.rows.mean()) }

func (f byRow) derive(gh []int64, score []float64, c crew) {
	c.blocks(len(gh), gradientRows, func(_, lo, hi int) {
		part := gh[lo:hi]
		f.rowLoss.derive(part, score[lo:hi], f.rows.y[lo:hi])
		if f.rows.w == nil {
			return
		}
		for i, v := range part {
			g, h := derivativesOf(v)
			part[i] = derivatives(g*f.rows.w[lo+i], h*f.rows.w[lo+i])
		}
	})
}

func (f byRow) loss(score []float64, c crew) float64 {
	return f.rows.meanOf(c, func(i int) float64 { return f.rowLoss.loss(score[i], f.rows.y[i]) })
}

func (f byRow) told() (y, w []float64) {
	if _, ok := f.rowLoss.(LogLoss); ok {
		return f.rows.y, f.rows.w
	}
	return scaled(f.rows.y), f.rows.w
}

// scaled moves the least of y to 0 and the largest to 1.
func scaled(y []float64) []float64 {
	lo, hi := slices.Min(y), slices.Max(y)
	out := make([]float64, len(y))
	for i, v := range y {
		out[i] = (v - lo) / (hi - lo)
	}
	return out
}

// differ answers models.ErrOneClass to labels that are all the same.
func differ(y []float64) error {
	if slices.Min(y) == slices.Max(y) {
		return models.ErrOneClass
	}
	return nil
}

// Adding rounder to a number below 1<<51 rounds it to a whole one, half to even,
// whose lowest bits are then those of the sum.
const rounder = 3 << 51

// lesser returns 1/(1+exp(a)) for a not negative, to ten digits: the less likely
// side's probability at log-odds of a. Products are rounded before they are
// added, so that all machines agree.
func lesser(a float64) float64 {
	if a > 700 {
		a = 700
	}
	n := float64(a*math.Log2E) + rounder
	r := float64((n-rounder)*math.Ln2) - a
	r2 := r * r
	r4 := r2 * r2
	low := 1 + r + float64(r2*(1./2+float64(r*(1./6))))
	mid := 1./24 + float64(r*(1./120)) + float64(r2*(1./720+float64(r*(1./5040))))
	high := 1./40320 + float64(r*(1./362880))
	e := low + float64(r4*(mid+float64(r4*high)))
	t := float64(math.Float64frombits(1023<<52-math.Float64bits(n)<<52) * e)
	return t / (1 + t)
}

// logarithm is that of a finite number above 0, to fifteen digits, and as lesser
// the same on all machines: those of package math are not.
func logarithm(x float64) float64 {
	m, k := math.Frexp(x)
	if m < math.Sqrt2/2 {
		m, k = 2*m, k-1
	}
	s := (m - 1) / (m + 1) // log(m) is twice the sum of s^n / n over odd n
	s2, sum := float64(s*s), 0.0
	for _, part := range [...]float64{1. / 23, 1. / 21, 1. / 19, 1. / 17, 1. / 15, 1. / 13, 1. / 11, 1. / 9, 1. / 7, 1. / 5, 1. / 3, 1} {
		sum = float64(sum*s2) + part
	}
	return float64(float64(k)*math.Ln2) + float64(2*s*sum)
}
