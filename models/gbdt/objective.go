package gbdt

import "math"

// logLoss is the objective: what a tree is fitted to, and the link from score
// to answer. Trainer and model call an objective by these methods only.
type logLoss struct{}

// base returns the score of a model without trees.
func (logLoss) base(rate float64) float64 { return math.Log(rate / (1 - rate)) }

// link returns the answer to a score.
func (logLoss) link(score float64) float64 { return 1 / (1 + math.Exp(-score)) }

// gradient returns first and second derivative of the loss by the score.
func (o logLoss) gradient(score, y float64) (g, h float64) {
	p := o.link(score)
	return p - y, max(p*(1-p), 1e-16)
}

// loss is that of one row: log(1+exp(score)) - y*score, without overflow.
func (logLoss) loss(score, y float64) float64 {
	return max(score, 0) - y*score + math.Log1p(math.Exp(-math.Abs(score)))
}
