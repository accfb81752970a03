package exchange

import (
	"bytes"
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"

	"bellwether/models"
)

// readXGBoost reads XGBoost's JSON or UBJSON: after the first brace JSON has a
// quote, UBJSON the length of a name.
func readXGBoost(b []byte) (*Model, error) {
	after := bytes.TrimLeft(bytes.TrimLeft(bytes.TrimPrefix(b, []byte("\xef\xbb\xbf")), " \t\r\n")[1:], " \t\r\n")
	read := readUBJ
	if len(after) == 0 || after[0] == '"' || after[0] == '}' {
		read = readJSON
		b = bytes.TrimPrefix(b, []byte("\xef\xbb\xbf"))
	}
	doc, err := read(b)
	if err != nil {
		return nil, err
	}
	root := place{findings: &findings{}, value: doc}
	m := &Model{format: XGBoost}
	m.document(root)
	if root.err != nil {
		return nil, root.err
	}
	m.finish()
	return m, nil
}

func (m *Model) document(root place) {
	if root.has("tree_info") && root.has("feature_infos") {
		root.path = "tree_info"
		root.unsupported("a dump of LightGBM's, which it cannot read back itself: use save_model")
		return
	}
	learner := root.to("learner")
	version := root.to("version")
	v := version.ints(3, 0, math.MaxInt32)
	if root.err != nil {
		return
	}
	if v[0] < 1 || v[0] > 3 {
		version.unsupported("XGBoost %d.%d.%d; releases 1 to 3 are known", v[0], v[1], v[2])
	}
	m.origin = fmt.Sprintf("XGBoost %d.%d.%d", v[0], v[1], v[2])
	m.late = v[0] == 1 && v[1] < 3
	m.learned(learner, [2]int{v[0], v[1]})
	if root.err != nil {
		return
	}
	booster, drop := learner.to("gradient_booster"), []float64(nil)
	switch name := booster.to("name"); name.string() {
	case "gbtree":
	case "dart":
		drop = booster.to("weight_drop").floats(-1)
		booster = booster.to("gbtree")
	default:
		name.unsupported("booster %.40s: only trees are read", name.text)
	}
	m.booster(booster.to("model"), drop)
	m.bestOf(learner, booster)
}

// bestOf reads where early stopping saw the least loss: the round, from 0, as a
// text that others may write too, so that one that is no number says nothing.
func (m *Model) bestOf(learner, booster place) {
	round, err := strconv.Atoi(learner.fields["attributes"].fields["best_iteration"].text)
	param := booster.to("model", "gbtree_model_param")
	if err != nil || round < 0 || learner.err != nil {
		return
	}
	each := 1
	if param.has("num_parallel_tree") {
		each = max(1, param.to("num_parallel_tree").count(maxNodes))
	}
	if n := (round + 1) * each; round < len(m.roots) && n < len(m.roots) {
		m.best = n
	}
}

// learned reads what stands beside the trees: objective, base score, columns.
func (m *Model) learned(learner place, release [2]int) {
	objective := learner.to("objective", "name")
	m.objective = objective.string()
	var err error
	m.link, err = xgBoostLink(m.objective, release)
	objective.refuse(err)
	param := learner.to("learner_model_param")
	if classes := param.to("num_class"); classes.count(math.MaxInt32) > 1 {
		classes.unsupported("%s classes: %s", classes.text, whyClasses)
	}
	if param.has("num_target") {
		if targets := param.to("num_target"); targets.count(math.MaxInt32) > 1 {
			targets.unsupported("%s targets", targets.text)
		}
	}
	width := param.to("num_feature")
	m.named(learner, width.count(maxColumns))
	score := param.to("base_score")
	base, err := baseScore(score.string())
	if err == nil {
		base, err = m.link.margin(base)
	}
	score.refuse(err)
	m.base = float64(base)
}

// baseScore reads a number in a text, since 3.1 in brackets.
func baseScore(text string) (float32, error) {
	text = strings.TrimSpace(text)
	if inside, ok := strings.CutPrefix(text, "["); ok {
		text = strings.TrimSuffix(inside, "]")
		if strings.Contains(text, ",") {
			return 0, fmt.Errorf("%w: a base score for each of several targets", ErrUnsupported)
		}
	}
	v, err := strconv.ParseFloat(text, 32)
	if err != nil || math.IsNaN(v) || math.IsInf(v, 0) {
		return 0, fmt.Errorf("%w: %.40q is no number", models.ErrCorrupt, text)
	}
	return float32(v), nil
}

// named names the columns: as the file does, or f0, f1 and so on, as XGBoost does
// where it does not.
func (m *Model) named(learner place, width int) {
	if learner.err != nil {
		return
	}
	var names []place
	if learner.has("feature_names") {
		names = learner.to("feature_names").items()
	}
	if len(names) != 0 && len(names) != width {
		learner.to("feature_names").corrupt("%d names for %d features", len(names), width)
		return
	}
	m.columns = make([]models.Column, width)
	for i := range m.columns {
		m.columns[i].Name = "f" + strconv.Itoa(i)
		if len(names) > 0 {
			m.columns[i].Name = names[i].string()
		}
	}
	if twice := repeated(m.columns); twice != "" {
		learner.to("feature_names").corrupt("two features are called %.40q", twice)
	}
	m.coded, m.gains = make([]coded, width), make([]float64, width)
}

// booster reads the trees.
func (m *Model) booster(model place, drop []float64) {
	param := model.to("gbtree_model_param", "num_trees")
	trees := model.to("trees").items()
	if n := param.count(math.MaxInt32); n != len(trees) {
		param.corrupt("%d trees are told of, %d are there", n, len(trees))
	}
	for i, class := range model.to("tree_info").ints(len(trees), math.MinInt32, math.MaxInt32) {
		if class != 0 {
			model.to("tree_info").unsupported("tree %d is of class %d: %s", i, class, whyClasses)
		}
	}
	if drop != nil && len(drop) != len(trees) {
		model.corrupt("weight_drop has %d numbers for %d trees", len(drop), len(trees))
	}
	if model.has("cats") {
		m.cats(model.to("cats"))
	}
	for i, t := range trees {
		weight := float32(1)
		if drop != nil && model.err == nil {
			weight = float32(drop[i])
		}
		m.xgBoostTree(t, weight)
	}
}

// xgBoostTree reads one tree.
func (m *Model) xgBoostTree(t place, weight float32) {
	param := t.to("tree_param")
	n := param.to("num_nodes").count(maxNodes)
	if size := param.to("size_leaf_vector"); size.count(math.MaxInt32) > 1 {
		size.unsupported("leaves that are vectors of %s", size.text)
	}
	deleted := param.to("num_deleted").count(maxNodes)
	left, right := t.to("left_children").ints(n, -1, maxNodes), t.to("right_children").ints(n, -1, maxNodes)
	features := t.to("split_indices").ints(n, 0, math.MaxInt32) // of a deleted node, no feature
	conditions := t.to("split_conditions").floats(n)
	byDefault, cover := t.to("default_left").ints(n, 0, 1), t.to("sum_hessian").floats(n)
	gain := t.to("loss_changes").floats(n)
	types := make([]int, n*int(truth(t.err == nil)))
	if t.has("split_type") && len(t.to("split_type").nums) > 0 { // none before 1.3
		types = t.to("split_type").ints(n, 0, 1)
	}
	if t.err != nil {
		return
	}
	tree := make([]sprout, n)
	for i := range tree {
		s, v := &tree[i], float32(conditions[i])
		s.cover, s.gain = usable(cover[i]), usable(gain[i])
		s.leaf, s.left, s.right = left[i] < 0, left[i], right[i]
		switch {
		case s.leaf:
			s.value = float64(v * weight)
		case features[i] >= len(m.columns):
			t.to("split_indices").corrupt("node %d asks feature %d of %d", i, features[i], len(m.columns))
		case types[i] == 1:
			s.rule, s.set = category|inRight, math.MaxUint32
		default:
			s.value = float64(math.Nextafter32(v, float32(math.Inf(-1))))
		}
		if f := float64(v); (math.IsNaN(f) || math.IsInf(f, 0)) && s.rule&category == 0 {
			t.to("split_conditions").corrupt("number %d is %v", i, v)
		}
		if t.err != nil {
			return
		}
		if s.input = uint32(features[i]); byDefault[i] == 1 {
			s.rule |= missingLeft
		}
	}
	m.categories(t, tree)
	m.settle(t, tree, deleted)
}

// settle checks what the whole tree must have and plants it.
func (m *Model) settle(t place, tree []sprout, deleted int) {
	if t.err != nil {
		return
	}
	for i := range tree {
		s := &tree[i]
		if s.rule&category != 0 && s.set == math.MaxUint32 {
			t.to("split_type").corrupt("node %d is of categories and has none", i)
			return
		}
		if !s.leaf {
			m.gains[s.input] += s.gain
		}
	}
	t.refuse(m.plant(tree, deleted))
}

// usable is a figure that only informs, 0 if it is none.
func usable(v float64) float64 {
	if v > 0 && !math.IsInf(v, 0) {
		return v
	}
	return 0
}

// maxCategory is one more than the greatest category XGBoost takes.
const maxCategory = 1 << 24

// categories reads the sets of the nodes of one tree.
func (m *Model) categories(t place, tree []sprout) {
	if !t.has("categories_nodes") || t.err != nil {
		return
	}
	all := t.to("categories").ints(-1, 0, maxCategory-1)
	nodes := t.to("categories_nodes").ints(-1, 0, len(tree)-1)
	starts := t.to("categories_segments").ints(len(nodes), 0, len(all))
	sizes := t.to("categories_sizes").ints(len(nodes), 0, len(all))
	if t.err != nil {
		return
	}
	for i, k := range nodes {
		if starts[i]+sizes[i] > len(all) {
			t.to("categories_sizes").corrupt("number %d: %d categories from %d on, there are %d", i, sizes[i], starts[i], len(all))
			return
		}
		chosen := all[starts[i]:][:sizes[i]]
		words := 0
		if len(chosen) > 0 {
			words = slices.Max(chosen)/32 + 1
		}
		set := make([]uint32, words) // 2 MB at most
		for _, c := range chosen {
			set[c/32] |= 1 << (c % 32)
		}
		var ok bool
		if tree[k].set, ok = m.keep(set); !ok {
			t.to("categories").unsupported("categories that take more than %d words", maxSetWords)
			return
		}
	}
}
