package exchange_test

import (
	"bytes"
	"errors"
	"fmt"
	"math"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"bellwether/models"
	"bellwether/models/exchange"
)

// edit changes the first match of a pattern.
func edit(t *testing.T, b []byte, pattern, by string) []byte {
	t.Helper()
	re := regexp.MustCompile(pattern)
	at := re.FindSubmatchIndex(b)
	if at == nil {
		t.Fatalf("nothing matches %q", pattern)
	}
	return append(append(bytes.Clone(b[:at[0]]), re.Expand(nil, []byte(by), b, at)...), b[at[1]:]...)
}

func TestMalformedTextSaysLineAndField(t *testing.T) {
	whole := readFile(t, "testdata/v4_category.txt")
	for _, c := range []struct {
		pattern, by string
		want        error
		says        string
	}{
		{`version=v4`, `version=v5`, exchange.ErrUnsupported, `line 2: not supported: LightGBM's text of version "v5"`},
		{`version=v4\n`, ``, models.ErrCorrupt, `the header has no version`},
		{`num_class=1`, `num_class=one`, models.ErrCorrupt, `line 3: num_class is "one"`},
		{`num_class=1`, `num_class=4`, exchange.ErrUnsupported, `line 3: not supported: num_class is 4`},
		{`max_feature_idx=3`, `max_feature_idx=4`, models.ErrCorrupt, `feature_names: 4 words, 5 are needed`},
		{`max_feature_idx=3`, `max_feature_idx=99999999`, models.ErrCorrupt, `line 6: max_feature_idx`},
		{`objective=binary sigmoid:1`, `objective=binary sigmoid:x`, models.ErrCorrupt, `line 7: model bytes are damaged: sigmoid`},
		{`objective=binary sigmoid:1`, `objective=quadratic`, exchange.ErrUnsupported, `line 7: not supported: objective quadratic`},
		{`Column_1`, `Column_0`, models.ErrCorrupt, `two features are called "Column_0"`},
		{`label_index=0`, `tilt=0`, exchange.ErrUnsupported, `line 5: not supported: the field "tilt" of the header`},
		{`tree_sizes=\d+ `, `tree_sizes=`, models.ErrCorrupt, `6 trees, the header tells of 5`},
		{`Tree=1`, `Tree=7`, models.ErrCorrupt, `"Tree=7" where Tree=1 belongs`},
		{`num_leaves=8`, `num_leaves=9`, models.ErrCorrupt, `leaf_value: 8 numbers, 9 are needed`},
		{`num_leaves=8`, `num_leaves=1000000000`, models.ErrCorrupt, `leaf_value: 8 numbers, 1000000000 are needed`},
		{`num_leaves=8`, `num_leaves=0`, models.ErrCorrupt, `num_leaves is 0`},
		{`leaf_value=\S+`, `leaf_value=NaN`, models.ErrCorrupt, `leaf_value: number 1 is "NaN"`},
		{`split_feature=\d`, `split_feature=4`, models.ErrCorrupt, `split_feature: node 0 asks feature 4 of 4`},
		{`split_feature=\d`, `split_feature=-1`, models.ErrCorrupt, `split_feature: node 0 asks feature -1`},
		{`decision_type=\d+`, `decision_type=16`, models.ErrCorrupt, `decision_type: node 0 has 16`},
		{`decision_type=\d+`, `decision_type=12`, models.ErrCorrupt, `decision_type: node 0 has 12`},
		{`left_child=\d+`, `left_child=0`, models.ErrCorrupt, `node 0 is the child of two nodes, or its own`},
		{`left_child=(\d+) \S+`, `left_child=$1 $1`, models.ErrCorrupt, `is the child of two nodes`},
		{`left_child=\d+`, `left_child=-1`, models.ErrCorrupt, `nodes`},
		{`left_child=\d+`, `left_child=77`, models.ErrCorrupt, `a child is node 77 of 15`},
		{`left_child=\d+`, `left_child=-2147483648`, models.ErrCorrupt, `a child is node`},
		{`left_child=\d+`, `left_child=99999999999`, models.ErrCorrupt, `left_child: number 1 is "99999999999"`},
		{`num_cat=\d+`, `num_cat=1000000`, models.ErrCorrupt, `cat_boundaries`},
		{`cat_boundaries=0`, `cat_boundaries=1`, models.ErrCorrupt, `cat_boundaries do not part`},
		{`cat_threshold=\d+`, `cat_threshold=-1`, models.ErrCorrupt, `cat_threshold: number 1 is "-1"`},
		{`is_linear=0`, `is_linear=1`, exchange.ErrUnsupported, `linear trees`},
		{`shrinkage=\S+`, "shrinkage=1\nshrinkage=1", models.ErrCorrupt, `tree 0 has shrinkage twice`},
		{`end of trees`, `the end`, exchange.ErrUnsupported, `"the end"`},
		{`pandas_categorical:null`, `pandas_categorical:[["a"]`, models.ErrCorrupt, `pandas_categorical`},
		{`pandas_categorical:null`, `pandas_categorical:[["a"]]`, exchange.ErrUnsupported, `lists the categories of 1 columns, the features have 2`},
		{`pandas_categorical:null`, `pandas_categorical:[["a","a"],["b"]]`, models.ErrCorrupt, `number 1 is there twice`},
		{`pandas_categorical:null`, `pandas_categorical:[["a",1],["b"]]`, exchange.ErrUnsupported, `texts and numbers`},
		{`pandas_categorical:null`, `pandas_categorical:[["a",true],["b"]]`, exchange.ErrUnsupported, `neither text nor number`},
	} {
		m, err := exchange.Read(edit(t, whole, c.pattern, c.by))
		if !errors.Is(err, c.want) || !strings.Contains(fmt.Sprint(err), c.says) || m != nil {
			t.Errorf("%s -> %s: %v, want %q", c.pattern, c.by, err, c.says)
		}
		if err != nil && !regexp.MustCompile(`line \d+`).MatchString(err.Error()) {
			t.Errorf("%s -> %s: no line in %v", c.pattern, c.by, err)
		}
	}
}

func TestMalformedDocumentSaysPathAndField(t *testing.T) {
	whole := readFile(t, "testdata/xgb3_category.json")
	const model = `learner.gradient_booster.model`
	for _, c := range []struct {
		pattern, by string
		want        error
		says        string
	}{
		{`"version":\[3,`, `"version":[4,`, exchange.ErrUnsupported, `version: not supported: XGBoost 4.`},
		{`"version":\[3,`, `"version":[0,`, exchange.ErrUnsupported, `version: not supported: XGBoost 0.`},
		{`"version":`, `"versions":`, models.ErrCorrupt, `no field version`},
		{`binary:logistic`, `binary:magic`, exchange.ErrUnsupported, `learner.objective.name: not supported: objective binary:magic`},
		{`"base_score":"[^"]*"`, `"base_score":"1"`, models.ErrCorrupt, `learner.learner_model_param.base_score: model bytes are damaged: 1 is no probability`},
		{`"base_score":"[^"]*"`, `"base_score":"[0.5,0.5]"`, exchange.ErrUnsupported, `several targets`},
		{`"base_score":"[^"]*"`, `"base_score":0.5`, models.ErrCorrupt, `base_score: a number where a text belongs`},
		{`"num_class":"0"`, `"num_class":"3"`, exchange.ErrUnsupported, `learner.learner_model_param.num_class: not supported: 3 classes`},
		{`"num_trees":"6"`, `"num_trees":"7"`, models.ErrCorrupt, model + `.gbtree_model_param.num_trees: 7 trees are told of, 6 are there`},
		{`"tree_info":\[0`, `"tree_info":[1`, exchange.ErrUnsupported, `tree 0 is of class 1`},
		{`"name":"gbtree"`, `"name":"gbforest"`, exchange.ErrUnsupported, `learner.gradient_booster.name: not supported: booster gbforest`},
		{`"left_children":\[1`, `"left_children":[0`, models.ErrCorrupt, model + `.trees[0]: model bytes are damaged: node 0 is the child of two nodes, or its own`},
		{`"left_children":\[1`, `"left_children":[2`, models.ErrCorrupt, model + `.trees[0]`},
		{`"left_children":\[1`, `"left_children":[1.5`, models.ErrCorrupt, model + `.trees[0].left_children: number 0 is 1.5`},
		{`"left_children":\[1`, `"left_children":["1"`, models.ErrCorrupt, model + `.trees[0].left_children: a list where a list of numbers belongs`},
		{`"split_indices":\[\d+`, `"split_indices":[4`, models.ErrCorrupt, model + `.trees[0].split_indices: node 0 asks feature 4 of 4`},
		{`"num_nodes":"\d+"`, `"num_nodes":"900000000"`, models.ErrCorrupt, `900000000 are needed`},
		{`"size_leaf_vector":"1"`, `"size_leaf_vector":"2"`, exchange.ErrUnsupported, `leaves that are vectors of 2`},
		{`"categories_nodes":\[\d+`, `"categories_nodes":[99`, models.ErrCorrupt, `categories_nodes: number 0 is 99`},
		{`"categories_nodes":\[\d+,`, `"categories_nodes":[`, models.ErrCorrupt, `are needed`},
		{`"categories_sizes":\[\d+`, `"categories_sizes":[999999`, models.ErrCorrupt, `categories_sizes: number 0 is 999999`},
		{`"categories":\[\d+`, `"categories":[16777216`, models.ErrCorrupt, `categories: number 0`},
		{`"split_conditions":\[[^,]*,`, `"split_conditions":[`, models.ErrCorrupt, `split_conditions: `},
		{`"attributes"`, `"version":[3,0,0],"version"`, models.ErrCorrupt, `line 1, byte `},
		{`\[3,2,0\]\}$`, `[3,2,0]`, models.ErrCorrupt, `the file is cut off`},
		{`\[3,2,0\]\}$`, `[3,2,0]}}`, models.ErrCorrupt, `something follows the document`},
		{`\[3,2,0\]\}$`, `[3,2,zero]}`, models.ErrCorrupt, `"zero" is no number`},
	} {
		m, err := exchange.Read(edit(t, whole, c.pattern, c.by))
		if !errors.Is(err, c.want) || !strings.Contains(fmt.Sprint(err), c.says) || m != nil {
			t.Errorf("%s -> %s: %v, want %q", c.pattern, c.by, err, c.says)
		}
	}
	dart := edit(t, readFile(t, "testdata/xgb12_dart.json"), `"weight_drop":\[[^,]*,`, `"weight_drop":[`)
	if _, err := exchange.Read(dart); !errors.Is(err, models.ErrCorrupt) || !strings.Contains(err.Error(), "weight_drop has 5 numbers for 6 trees") {
		t.Errorf("dart: %v", err)
	}
}

func TestForeignFilesAreNamed(t *testing.T) {
	for text, says := range map[string]string{
		"":                                   "empty",
		"CBM1....":                           "CatBoost",
		"binf\x00":                           "XGBoost's old binary format",
		`[{"nodeid":0}]`:                     "dump_model",
		"PK\x03\x04":                         "neither LightGBM's text",
		"tree\n":                             "cut off in the header",
		"{":                                  "cut off",
		"{L\x00\x00\x00\x00\x00":             "cut off",
		"{L\x00\x00\x00\xff\x00\x00\x00\x00": "a length of",
		"{\x7f":                              "where a length belongs",
		"{i\x01a[$d#L\x00\x00\x00\x00\x00\x00\x00\x09": "bytes claimed",
		"{i\x01a[$Z#i\x09}":                            "a list that begins with $Z#",
		"{i\x01aH}":                                    "which XGBoost does not write",
		strings.Repeat(`{"a":`, 100):                   "levels of nesting",
		"{i\x01a" + strings.Repeat("[", 100):           "levels of nesting",
	} {
		m, err := exchange.Read([]byte(text))
		if err == nil || !strings.Contains(err.Error(), says) || m != nil {
			t.Errorf("%.20q: %v, want %q", text, err, says)
		}
	}
}

// A file cut anywhere is refused; in the last lines of LightGBM's text, which
// touch no prediction, it may be read.
func TestCutFilesAreRefused(t *testing.T) {
	for _, path := range originals(t) {
		b := readFile(t, path)
		end := len(b)
		if i := bytes.Index(b, []byte("\nend of trees")); i >= 0 {
			end = i + len("\nend of trees")
		}
		step := max(1, end/211)
		for n := 0; n < end; n += step {
			if m, err := exchange.Read(b[:n]); err == nil || m != nil {
				t.Errorf("%s: cut to %d of %d bytes it is read", filepath.Base(path), n, len(b))
			}
		}
	}
}

func TestDamagedBytesAreRefused(t *testing.T) {
	m := readModel(t, "testdata/v4_frame.txt")
	b, err := m.MarshalBinary()
	if err != nil {
		t.Fatal(err)
	}
	for i := 0; i < len(b); i += 7 {
		bad := bytes.Clone(b)
		bad[i] ^= 1 << (i % 8)
		if m, err := exchange.Load(bad); !errors.Is(err, models.ErrCorrupt) || m != nil {
			t.Fatalf("byte %d: %v", i, err)
		}
		if m, err := exchange.Load(b[:i]); !errors.Is(err, models.ErrCorrupt) || m != nil {
			t.Fatalf("cut to %d: %v", i, err)
		}
	}
}

func FuzzRead(f *testing.F) {
	for _, path := range originals(f) {
		f.Add(readFile(f, path))
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		m, err := exchange.Read(b)
		if err != nil {
			return
		}
		// What was read can be used, kept and read back.
		row := make([]float64, m.Width())
		for j := range row {
			row[j] = []float64{math.NaN(), 0, 1e9, -3}[j%4]
		}
		p, q := []float64{0}, []float64{0}
		m.PredictRows(p, row)
		m.Contributions(make([]float64, m.Width()), row)
		bytes, err := m.MarshalBinary()
		if err != nil {
			t.Fatal(err)
		}
		again, err := exchange.Load(bytes)
		if err != nil {
			t.Fatal(err)
		}
		again.PredictRows(q, row)
		if math.Float64bits(p[0]) != math.Float64bits(q[0]) {
			t.Errorf("%v, loaded %v", p[0], q[0])
		}
	})
}

func FuzzLoad(f *testing.F) {
	for _, path := range originals(f) {
		b, err := readModel(f, path).MarshalBinary()
		if err != nil {
			f.Fatal(err)
		}
		f.Add(b)
	}
	ours, columns, given := readOurs(f, "ours")
	over, err := back(f, ours, columns).Fit(f.Context(), given.table(), nil, 1)
	if err != nil {
		f.Fatal(err)
	}
	b, err := over.MarshalBinary()
	if err != nil {
		f.Fatal(err)
	}
	f.Add(b)
	f.Fuzz(func(t *testing.T, b []byte) {
		loaded, err := exchange.LoadGiven(exchange.Sealed(b))
		if err != nil {
			return
		}
		m := loaded.(interface {
			models.RowsPredictor
			Contributions(dst, row []float64) float64
		})
		m.PredictRows([]float64{0}, make([]float64, m.Width()))
		m.Contributions(make([]float64, m.Width()), make([]float64, m.Width()))
	})
}
