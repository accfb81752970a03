package exchange

import (
	"fmt"
	"math"
	"strconv"
	"strings"

	"bellwether/models"
)

// linkKind says how a score becomes an answer.
type linkKind uint8

const (
	logistic linkKind = iota // 1 / (1 + exp(-scale score)): a probability
	identity
	exponent
	signedSquare // of LightGBM's regression sqrt
	links        // none of them
)

type link struct {
	kind  linkKind
	scale float64 // of logistic
	raw   bool    // the base score is a score
}

// double is the answer as LightGBM has it.
func (l link) double(score float64) float64 {
	switch l.kind {
	case logistic:
		return 1 / (1 + math.Exp(-l.scale*score))
	case exponent:
		return math.Exp(score)
	case signedSquare:
		return math.Copysign(score*score, score)
	}
	return score
}

// expMost keeps XGBoost's exponential finite in float32.
const expMost = 88.7

// single is the answer as XGBoost has it.
func (l link) single(score float32) float64 {
	switch l.kind {
	case logistic:
		e := float32(math.Exp(float64(min(-score, expMost))))
		return float64(1 / (e + 1))
	case exponent:
		return float64(float32(math.Exp(float64(score))))
	}
	return float64(score)
}

// margin is the score whose answer is p, as XGBoost turns base_score into one.
func (l link) margin(p float32) (float32, error) {
	switch {
	case l.raw:
		return p, nil
	case l.kind == logistic:
		if !(p > 0 && p < 1) {
			return 0, fmt.Errorf("%w: %v is no probability between 0 and 1", models.ErrCorrupt, p)
		}
		return -float32(math.Log(float64(1/p - 1))), nil
	case l.kind == exponent:
		if !(p > 0) {
			return 0, fmt.Errorf("%w: %v has no logarithm", models.ErrCorrupt, p)
		}
		return float32(math.Log(float64(p))), nil
	}
	return p, nil
}

// Why an objective is refused.
const (
	whyClasses  = "more than one class"
	whyRanking  = "ranking: its scores mean nothing alone"
	whySurvival = "survival: its answer is a time or a hazard, not a probability"
	whyNot      = "its answer is neither a probability nor a plain number"
)

// lightGBMLinks are the objectives of LightGBM, by the first word of the header.
var lightGBMLinks = map[string]linkKind{
	"binary": logistic, "cross_entropy": logistic, "xentropy": logistic,
	"regression": identity, "regression_l2": identity, "l2": identity, "regression_l1": identity, "l1": identity,
	"huber": identity, "fair": identity, "quantile": identity, "mape": identity,
	"poisson": exponent, "gamma": exponent, "tweedie": exponent,
}

var lightGBMRefused = map[string]string{
	"multiclass": whyClasses, "multiclassova": whyClasses, "lambdarank": whyRanking, "rank_xendcg": whyRanking,
	"cross_entropy_lambda": whyNot, "xentlambda": whyNot,
	"custom": "an objective of the user's own, whose link is not in the file", "none": "no objective, so no link",
}

// lightGBMLink reads the header's objective: a word, then settings.
func lightGBMLink(text string) (link, error) {
	words := strings.Fields(text)
	if len(words) == 0 {
		return link{}, fmt.Errorf("%w: a model without objective: trained for one of the user's own, whose link is not in the file", ErrUnsupported)
	}
	kind, ok := lightGBMLinks[words[0]]
	if !ok {
		why := lightGBMRefused[words[0]]
		if why == "" {
			why = "not known here"
		}
		return link{}, fmt.Errorf("%w: objective %s: %s", ErrUnsupported, words[0], why)
	}
	l := link{kind: kind, scale: 1}
	for _, w := range words[1:] {
		name, value, _ := strings.Cut(w, ":")
		switch {
		case name == "sqrt" && kind == identity:
			l.kind = signedSquare
		case name == "sigmoid" && kind == logistic:
			v, err := strconv.ParseFloat(value, 64)
			if err != nil || !(v > 0) || math.IsInf(v, 0) {
				return link{}, fmt.Errorf("%w: sigmoid is %q", models.ErrCorrupt, value)
			}
			l.scale = v
		}
	}
	return l, nil
}

// xgBoostLinks are the objectives of XGBoost. binary:logitraw answers the score
// itself; here its probability is answered. Its base score is a probability up
// to release 1.2 and a score since.
var xgBoostLinks = map[string]linkKind{
	"binary:logistic": logistic, "reg:logistic": logistic, "binary:logitraw": logistic,
	"reg:squarederror": identity, "reg:linear": identity, "reg:squaredlogerror": identity, "reg:pseudohubererror": identity,
	"reg:absoluteerror": identity, "reg:quantileerror": identity,
	"count:poisson": exponent, "reg:gamma": exponent, "reg:tweedie": exponent,
}

var xgBoostRefused = map[string]string{
	"multi": whyClasses, "rank": whyRanking, "survival": whySurvival, "binary": whyNot,
}

func xgBoostLink(name string, release [2]int) (link, error) {
	kind, ok := xgBoostLinks[name]
	if !ok {
		family, _, _ := strings.Cut(name, ":")
		why := xgBoostRefused[family]
		if why == "" {
			why = "not known here"
		}
		return link{}, fmt.Errorf("%w: objective %s: %s", ErrUnsupported, name, why)
	}
	return link{kind: kind, scale: 1, raw: name == "binary:logitraw" && (release[0] > 1 || release[1] >= 3)}, nil
}
