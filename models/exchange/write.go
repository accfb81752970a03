package exchange

import (
	"bytes"
	"fmt"
	"math"
	"strconv"
	"strings"

	"bellwether/models"
	"bellwether/models/gbdt"
)

// Write writes one of our models as LightGBM's text of version v4, which
// LightGBM loads and answers the same with, up to the rounding of a sum: raw
// probabilities. The calibrator is no part of it.
//
// A number is a feature under its column's name. What is made of categories,
// their levels and statistics, is a feature of its own each, because LightGBM's
// categories are integers below 2^31 where ours are Codes of texts: "region#level",
// "city#rate", "city#count", "city*product#rate". The Companion says how to make
// them from the columns, and Encode does it.
//
// A model of gbdt.Hazard is written as one of several classes without an objective:
// a tree for each of its scores in the place of each of its trees. LightGBM answers
// with the scores, the same to the last bit; the Companion says what chances they
// are of.
//
// A number nearer to 0 than 1e-35 is 0 to LightGBM.
func Write(m *gbdt.Model, columns []models.Column) ([]byte, *Companion, error) {
	if len(columns) != m.Width() {
		return nil, nil, fmt.Errorf("%w: %d, the model has %d", models.ErrWidth, len(columns), m.Width())
	}
	a := m.Anatomy()
	c := companion(a, columns)
	w := &textWriter{a: a}
	var sizes []string
	trees := a.Trees
	if len(trees) == 0 { // its answer is the base alone
		trees = [][]gbdt.Node{{{Values: make([]float64, len(a.Base))}}}
	}
	for k, t := range trees {
		for score := range a.Base {
			before := w.Len()
			w.tree(k, t, score)
			sizes = append(sizes, strconv.Itoa(w.Len()-before))
		}
	}
	var out bytes.Buffer
	names, infos := make([]string, len(c.Features)), make([]string, len(c.Features))
	for i, f := range c.Features {
		names[i], infos[i] = f.Name, info(a, i)
	}
	if len(names) == 0 { // LightGBM wants a feature
		names, infos = []string{"none"}, []string{"none"}
	}
	fmt.Fprintf(&out, "tree\nversion=v4\nnum_class=%d\nnum_tree_per_iteration=%d\nlabel_index=0\nmax_feature_idx=%d\n", len(a.Base), len(a.Base), len(names)-1)
	objective := objectives[a.Answer]
	if objective != "custom" { // which has no line
		fmt.Fprintf(&out, "objective=%s\n", objective)
	}
	objective, _, _ = strings.Cut(objective, " ")
	fmt.Fprintf(&out, "feature_names=%s\nfeature_infos=%s\ntree_sizes=%s\n\n", strings.Join(names, " "), strings.Join(infos, " "), strings.Join(sizes, " "))
	out.Write(w.Bytes())
	out.WriteString(endOfTrees + "\n\nfeature_importances:\n\nparameters:\n[boosting: gbdt]\n[objective: " + objective + "]\nend of parameters\n\n" + pandasPrefix + "null\n")
	return out.Bytes(), c, nil
}

// objectives is what LightGBM links scores by as our answers are.
var objectives = map[string]string{gbdt.Chance: "binary sigmoid:1", gbdt.Amount: "regression", gbdt.Pace: "poisson", gbdt.Ends: "custom"}

// info is what feature_infos says of an input: its levels, or the range of its
// cuts.
func info(a *gbdt.Anatomy, input int) string {
	if n := len(a.Inputs[input].Keys); a.Inputs[input].Kind == gbdt.Level {
		words := make([]string, n+1)
		for i := range words {
			words[i] = strconv.Itoa(i)
		}
		return strings.Join(words, ":")
	}
	lo, hi := math.Inf(1), math.Inf(-1)
	for _, t := range a.Trees {
		for _, n := range t {
			if n.Left != 0 && n.Input == input {
				lo, hi = min(lo, atMost(n.Cut)), max(hi, atMost(n.Cut))
			}
		}
	}
	return "[" + digits(lo) + ":" + digits(hi) + "]"
}

// atMost is a cut as LightGBM can read it, which knows no infinity.
func atMost(cut float64) float64 { return min(cut, math.MaxFloat64) }

// digits writes a number that reads back as the same bits.
func digits(v float64) string { return strconv.FormatFloat(v, 'g', -1, 64) }

// textWriter writes trees.
type textWriter struct {
	bytes.Buffer
	a *gbdt.Anatomy
}

// lists are the lines of a tree's block, as words.
type lists struct {
	feature, gain, threshold, decision, left, right []string
	innerValue, innerRows, leafValue, leafRows      []string
	bounds, words                                   []string
}

// tree writes the block of tree k for one of the scores. Inner nodes and leaves are
// numbered as they come, parents before children.
func (w *textWriter) tree(k int, t []gbdt.Node, score int) {
	number := make([]int, len(t)) // a leaf's is ~number, as children are named
	inner, leaves := 0, 0
	for i, n := range t {
		if n.Left == 0 {
			number[i] = ^leaves
			leaves++
		} else {
			number[i] = inner
			inner++
		}
	}
	base := 0.0
	if k == 0 {
		base = w.a.Base[score]
	}
	l := lists{bounds: []string{"0"}}
	for _, n := range t {
		if n.Left == 0 {
			l.leafValue, l.leafRows = append(l.leafValue, digits(n.Values[score]+base)), append(l.leafRows, strconv.Itoa(n.Rows))
			continue
		}
		w.fork(&l, &n, number)
	}
	fmt.Fprintf(w, "Tree=%d\nnum_leaves=%d\nnum_cat=%d\n", k*len(w.a.Base)+score, leaves, len(l.bounds)-1)
	line := func(key string, words []string) { fmt.Fprintf(w, "%s=%s\n", key, strings.Join(words, " ")) }
	line("split_feature", l.feature)
	line("split_gain", l.gain)
	line("threshold", l.threshold)
	line("decision_type", l.decision)
	line("left_child", l.left)
	line("right_child", l.right)
	line("leaf_value", l.leafValue)
	line("leaf_weight", l.leafRows)
	line("leaf_count", l.leafRows)
	line("internal_value", l.innerValue)
	line("internal_weight", l.innerRows)
	line("internal_count", l.innerRows)
	if len(l.bounds) > 1 {
		line("cat_boundaries", l.bounds)
		line("cat_threshold", l.words)
	}
	fmt.Fprint(w, "is_linear=0\nshrinkage=1\n\n\n")
}

// The decision types written.
const (
	lightGBMCategory     = 1
	lightGBMMissingLeft  = 2
	lightGBMNaNIsMissing = 2 << 2
)

func (w *textWriter) fork(l *lists, n *gbdt.Node, number []int) {
	decision, threshold := lightGBMNaNIsMissing, digits(atMost(n.Cut))
	in := &w.a.Inputs[n.Input]
	if in.Kind == gbdt.Level {
		// A category is never missing in an encoded row: 0 stands for that.
		decision, threshold = lightGBMCategory, strconv.Itoa(len(l.bounds)-1)
		values := uint32(1)<<len(in.Keys)<<1 - 1
		l.words = append(l.words, strconv.FormatUint(uint64(values&^n.Right), 10))
		l.bounds = append(l.bounds, strconv.Itoa(len(l.words)))
	} else if !n.MissingRight {
		decision |= lightGBMMissingLeft
	}
	l.feature, l.gain = append(l.feature, strconv.Itoa(n.Input)), append(l.gain, digits(n.Gain))
	l.threshold, l.decision = append(l.threshold, threshold), append(l.decision, strconv.Itoa(decision))
	l.left, l.right = append(l.left, strconv.Itoa(number[n.Left])), append(l.right, strconv.Itoa(number[n.Left+1]))
	l.innerValue, l.innerRows = append(l.innerValue, "0"), append(l.innerRows, strconv.Itoa(n.Rows))
}
