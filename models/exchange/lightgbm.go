package exchange

import (
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"

	"bellwether/models"
)

// LightGBM's text is lines "key=value": a header, a block for each tree, and what
// does not touch predictions. Lists are parted by spaces. A child of 0 or more is
// a node, of less than 0 the leaf ~child.

// The keys this package knows. Another one might change what the model says.
var (
	headerKeys = map[string]bool{"version": true, "num_class": true, "num_tree_per_iteration": true, "label_index": true,
		"max_feature_idx": true, "objective": true, "average_output": true, "feature_names": true, "monotone_constraints": true,
		"feature_infos": true, "tree_sizes": true}
	treeKeys = map[string]bool{"num_leaves": true, "num_cat": true, "split_feature": true, "split_gain": true, "threshold": true,
		"decision_type": true, "left_child": true, "right_child": true, "leaf_value": true, "leaf_weight": true, "leaf_count": true,
		"internal_value": true, "internal_weight": true, "internal_count": true, "cat_boundaries": true, "cat_threshold": true,
		"is_linear": true, "leaf_const": true, "num_features": true, "leaf_features": true, "leaf_coeff": true, "shrinkage": true}
)

const (
	endOfTrees   = "end of trees"
	pandasPrefix = "pandas_categorical:"
)

// lineReader reads LightGBM's text. The first thing wrong stays in err.
type lineReader struct {
	rest string
	line int    // of text
	text string // the line read last
	err  error
}

// next moves to the next line.
func (r *lineReader) next() bool {
	if r.err != nil || r.rest == "" {
		return false
	}
	r.text, r.rest, _ = strings.Cut(r.rest, "\n")
	r.text = strings.TrimSuffix(r.text, "\r")
	r.line++
	return true
}

func (r *lineReader) corrupt(line int, format string, args ...any) {
	if r.err == nil {
		r.err = fmt.Errorf("%w: line %d: %s", models.ErrCorrupt, line, fmt.Sprintf(format, args...))
	}
}

// refuse keeps err with its line.
func (r *lineReader) refuse(line int, err error) {
	if r.err == nil && err != nil {
		r.err = fmt.Errorf("line %d: %w", line, err)
	}
}

func (r *lineReader) unsupported(line int, format string, args ...any) {
	r.refuse(line, fmt.Errorf("%w: %s", ErrUnsupported, fmt.Sprintf(format, args...)))
}

// entry is a value with its line.
type entry struct {
	value string
	line  int
}

// block is the entries of the header or a tree.
type block struct {
	*lineReader
	name  string // "header", "tree 3"
	start int    // its first line
	keys  map[string]entry
}

// block reads lines "key=value" up to a line that stop knows.
func (r *lineReader) block(name string, known map[string]bool, stop func(line string) bool) block {
	b := block{r, name, r.line, map[string]entry{}}
	for r.next() {
		if stop(r.text) {
			return b
		}
		if r.text == "" {
			continue
		}
		key, value, _ := strings.Cut(r.text, "=")
		if _, twice := b.keys[key]; twice {
			r.corrupt(r.line, "%s has %s twice", name, key)
		}
		if !known[key] {
			r.unsupported(r.line, "the field %.40q of the %s", key, name)
		}
		b.keys[key] = entry{value, r.line}
	}
	r.corrupt(r.line, "the file is cut off in the %s: no line %q follows", name, endOfTrees)
	return b
}

// get returns an entry that must be there.
func (b block) get(key string) entry {
	e, ok := b.keys[key]
	if !ok {
		b.corrupt(b.start, "the %s has no %s", b.name, key)
	}
	return e
}

// count reads a number from 0 to most.
func (b block) count(key string, most int) int {
	e := b.get(key)
	n, err := strconv.Atoi(e.value)
	if b.err == nil && (err != nil || n < 0 || n > most) {
		b.corrupt(e.line, "%s is %.40q, not a number from 0 to %d", key, e.value, most)
		return 0
	}
	return n
}

// list reads n numbers; n less than 0 means as many as there are.
func list[T any](b block, key string, n int, parse func(string) (T, bool)) []T {
	e := b.get(key)
	var out []T
	for word := range strings.FieldsSeq(e.value) {
		v, ok := parse(word)
		if !ok {
			b.corrupt(e.line, "%s: number %d is %.40q", key, len(out)+1, word)
			return nil
		}
		out = append(out, v)
	}
	if n >= 0 && len(out) != n && b.err == nil {
		b.corrupt(e.line, "%s: %d numbers, %d are needed", key, len(out), n)
	}
	if b.err != nil {
		return nil
	}
	return out
}

func parseFinite(s string) (float64, bool) {
	v, err := strconv.ParseFloat(s, 64)
	return v, err == nil && !math.IsNaN(v) && !math.IsInf(v, 0)
}

// parseAny takes what merely informs, infinities too.
func parseAny(s string) (float64, bool) {
	v, err := strconv.ParseFloat(s, 64)
	return v, err == nil || math.IsInf(v, 0)
}

func parseInt(s string) (int, bool) {
	v, err := strconv.ParseInt(s, 10, 32)
	return int(v), err == nil
}

func parseWord(s string) (uint32, bool) {
	v, err := strconv.ParseUint(s, 10, 32)
	return uint32(v), err == nil
}

// readLightGBM reads LightGBM's text.
func readLightGBM(b []byte) (*Model, error) {
	r := &lineReader{rest: strings.TrimPrefix(string(b), "\xef\xbb\xbf")}
	for r.next() && r.text != "tree" {
	}
	m := &Model{format: LightGBM}
	atTree := func(line string) bool { return strings.HasPrefix(line, "Tree=") || line == endOfTrees }
	h := r.block("header", headerKeys, atTree)
	infos := m.header(h)
	for n := 0; r.err == nil && r.text != endOfTrees; n++ {
		if want := "Tree=" + strconv.Itoa(n); r.text != want {
			r.corrupt(r.line, "%.40q where %s belongs", r.text, want)
		}
		m.lightGBMTree(r.block("tree "+strconv.Itoa(n), treeKeys, atTree))
	}
	if r.err != nil {
		return nil, r.err
	}
	if sizes := h.keys["tree_sizes"]; sizes.line > 0 && len(strings.Fields(sizes.value)) != len(m.roots) {
		r.corrupt(r.line, "%d trees, the header tells of %d", len(m.roots), len(strings.Fields(sizes.value)))
	}
	for r.next() {
		if text, ok := strings.CutPrefix(r.text, pandasPrefix); ok {
			r.refuse(r.line, m.pandas(text, infos))
		}
	}
	if r.err != nil {
		return nil, r.err
	}
	m.finish()
	return m, nil
}

// header reads the header; it returns which columns are categories there.
func (m *Model) header(h block) []string {
	v := h.get("version")
	if v.value != "v2" && v.value != "v3" && v.value != "v4" && h.err == nil {
		h.unsupported(v.line, "LightGBM's text of version %.20q; v2, v3 and v4 are known", v.value)
	}
	m.origin = "LightGBM " + v.value
	for _, key := range []string{"num_class", "num_tree_per_iteration"} {
		if n := h.count(key, math.MaxInt32); n != 1 && h.err == nil {
			h.unsupported(h.get(key).line, "%s is %d: %s", key, n, whyClasses)
		}
	}
	width := h.count("max_feature_idx", maxColumns-1) + 1
	_, m.average = h.keys["average_output"]
	var err error
	m.objective = h.keys["objective"].value
	m.link, err = lightGBMLink(m.objective)
	h.refuse(max(h.keys["objective"].line, h.start), err)
	names, infos := h.words("feature_names", width), h.words("feature_infos", width)
	for _, name := range names {
		m.columns = append(m.columns, models.Column{Name: name})
	}
	if twice := repeated(m.columns); twice != "" {
		h.corrupt(h.get("feature_names").line, "two features are called %.40q", twice)
	}
	m.coded, m.gains = make([]coded, len(names)), make([]float64, len(names))
	return infos
}

// words reads n words.
func (b block) words(key string, n int) []string {
	e := b.get(key)
	out := strings.Fields(e.value)
	if len(out) != n && b.err == nil {
		b.corrupt(e.line, "%s: %d words, %d are needed", key, len(out), n)
	}
	if b.err != nil {
		return nil
	}
	return out
}

// lightGBMTree reads a tree's block and plants the tree.
func (m *Model) lightGBMTree(b block) {
	leaves := b.count("num_leaves", maxNodes)
	if e, ok := b.keys["is_linear"]; ok && e.value != "0" {
		b.unsupported(e.line, "linear trees (is_linear=%.20s)", e.value)
	}
	if b.err == nil && leaves < 1 {
		b.corrupt(b.get("num_leaves").line, "num_leaves is 0")
	}
	values := list(b, "leaf_value", leaves, parseFinite)
	if b.err != nil {
		return
	}
	inner := leaves - 1
	tree := make([]sprout, inner+leaves)
	for i, v := range values {
		tree[inner+i] = sprout{node: node{value: v}, leaf: true}
	}
	if inner > 0 {
		m.fork(b, tree, inner)
	}
	if b.err != nil {
		return
	}
	for _, s := range tree[:inner] {
		m.gains[s.input] += max(s.gain, 0)
	}
	b.refuse(b.start, m.plant(tree, 0))
}

// fork reads the inner nodes of a tree.
func (m *Model) fork(b block, tree []sprout, inner int) {
	left, right := list(b, "left_child", inner, parseInt), list(b, "right_child", inner, parseInt)
	features, decisions := list(b, "split_feature", inner, parseInt), list(b, "decision_type", inner, parseInt)
	thresholds, gains := list(b, "threshold", inner, parseFinite), list(b, "split_gain", inner, parseAny)
	above, below := list(b, "internal_count", inner, parseFinite), list(b, "leaf_count", inner+1, parseFinite)
	sets := m.bitsets(b)
	if b.err != nil {
		return
	}
	place := func(child int) int {
		if child < 0 {
			return inner + ^child
		}
		return child
	}
	for i := range inner {
		s := &tree[i]
		*s = sprout{left: place(left[i]), right: place(right[i]), cover: max(above[i], 0), gain: gains[i]}
		if features[i] < 0 || features[i] >= len(m.columns) {
			b.corrupt(b.get("split_feature").line, "split_feature: node %d asks feature %d of %d", i, features[i], len(m.columns))
			return
		}
		s.input, s.value = uint32(features[i]), thresholds[i]
		s.rule = lightGBMRule(decisions[i])
		if s.rule == rules {
			b.corrupt(b.get("decision_type").line, "decision_type: node %d has %d", i, decisions[i])
			return
		}
		if s.rule&category == 0 {
			continue
		}
		if k := thresholds[i]; !(k >= 0 && k < float64(sets)) || k != math.Trunc(k) {
			b.corrupt(b.get("threshold").line, "threshold: node %d asks set %v of %d", i, k, sets)
			return
		}
		s.set, s.value = uint32(len(m.sets)-sets+int(thresholds[i])), 0
	}
	for i := range below {
		tree[inner+i].cover = max(below[i], 0)
	}
}

// lightGBMRule reads a decision type: bit 0 category, bit 1 default left, bits 2
// and 3 what is missing. It is rules if there is none such. A missing category
// goes right, whatever bit 1 says.
func lightGBMRule(d int) rule {
	if d < 0 || d > 15 {
		return rules
	}
	if d&1 != 0 {
		return category
	}
	var r rule
	switch d >> 2 {
	case 0:
		r = nanIsZero
	case 1:
		r = nanIsZero | zeroIsMissing
	case 3:
		return rules
	}
	if d&2 != 0 {
		r |= missingLeft
	}
	return r
}

// bitsets reads a tree's sets of categories and returns how many there are.
func (m *Model) bitsets(b block) int {
	n := 0
	if _, ok := b.keys["num_cat"]; ok {
		n = b.count("num_cat", maxNodes)
	}
	if n == 0 || b.err != nil {
		return 0
	}
	bounds, words := list(b, "cat_boundaries", n+1, parseInt), list(b, "cat_threshold", -1, parseWord)
	if b.err != nil {
		return 0
	}
	if bounds[0] != 0 || bounds[n] != len(words) || !slices.IsSorted(bounds) {
		b.corrupt(b.get("cat_boundaries").line, "cat_boundaries do not part the %d words of cat_threshold", len(words))
		return 0
	}
	for i := range n {
		if _, ok := m.keep(words[bounds[i]:bounds[i+1]]); !ok {
			b.unsupported(b.get("cat_threshold").line, "categories that take more than %d words", maxSetWords)
			return 0
		}
	}
	return n
}
