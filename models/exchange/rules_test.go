package exchange

import (
	"context"
	"errors"
	"math"
	"os"
	"regexp"
	"slices"
	"testing"

	"bellwether/models"
	"bellwether/models/gbdt"
)

// What each trainer documents of a value at, below and above a threshold, of a
// missing one, and of a category.
func TestWhereANodeSendsAValue(t *testing.T) {
	nan, tiny := math.NaN(), float64(float32(1e-35))
	below := math.Nextafter32(2, 0)
	lgbm := func(decision int, value float64) node { return node{value: value, rule: lightGBMRule(decision)} }
	for _, c := range []struct {
		what   string
		format Format
		node   node
		left   []float64
		right  []float64
	}{
		{"no missing", LightGBM, lgbm(0, 2), []float64{2, -1e9, 0, nan}, []float64{math.Nextafter(2, 3), 1e9}},
		{"no missing, 0 is right", LightGBM, lgbm(2, -1), []float64{-1}, []float64{0, nan, 3}},
		{"zero missing, left", LightGBM, lgbm(4|2, -1), []float64{-1, 0, nan, tiny, -tiny, 1e-40}, []float64{2 * tiny, 3}},
		{"zero missing, right", LightGBM, lgbm(4, 1), []float64{1, 2 * tiny, -5}, []float64{0, nan, tiny, -tiny, 3}},
		{"NaN missing, left", LightGBM, lgbm(8|2, -1), []float64{-1, nan}, []float64{0, 3}},
		{"NaN missing, right", LightGBM, lgbm(8, 1), []float64{1, 0}, []float64{nan, 3}},
		{"category", LightGBM, lgbm(1, 0), []float64{0, 0.9, -0.9, 33, 33.9}, []float64{nan, -1, -5, 1, 32, 64, 1e12, math.Inf(1), math.Inf(-1)}},
		{"category, whatever is said of missing", LightGBM, lgbm(1|2|8, 0), []float64{0}, []float64{nan}},
		{"below", XGBoost, node{value: float64(below)}, []float64{float64(below), float64(below) + 1e-9, -3}, []float64{2, nan, 3, 2 - 1e-12}},
		{"below, missing left", XGBoost, node{value: float64(below), rule: missingLeft}, []float64{nan, 1}, []float64{2}},
		{"category", XGBoost, node{rule: category | inRight}, []float64{1, 32, 64, -1, -0.5, 1e9}, []float64{0, 33, 33.9, nan}},
		{"category, missing left", XGBoost, node{rule: category | inRight | missingLeft}, []float64{1, nan}, []float64{0}},
	} {
		m := &Model{format: c.format, grove: grove{sets: [][]uint32{{1, 2}}}}
		for i, v := range append(slices.Clone(c.left), c.right...) {
			if got, want := m.goesRight(&c.node, m.see(&input{}, v)), i >= len(c.left); got != want {
				t.Errorf("%s, %s: %v goes right %v", c.format, c.what, v, got)
			}
		}
	}
	for _, d := range []int{-1, 12, 16, 255} {
		if lightGBMRule(d) != rules {
			t.Errorf("decision type %d was taken", d)
		}
	}
}

func TestLinks(t *testing.T) {
	for _, c := range []struct {
		text  string
		score float64
		want  float64
	}{
		{"binary sigmoid:2", .5, 1 / (1 + math.Exp(-1))}, {"cross_entropy", -1, 1 / (1 + math.E)}, {"regression", -3, -3},
		{"regression sqrt", -3, -9}, {"regression sqrt", 3, 9}, {"tweedie tweedie_variance_power:1.5", 1, math.E}, {"quantile alpha:0.9", 7, 7},
	} {
		l, err := lightGBMLink(c.text)
		if err != nil || l.double(c.score) != c.want {
			t.Errorf("%s: %v of %v, want %v (%v)", c.text, l.double(c.score), c.score, c.want, err)
		}
	}
	if l, _ := xgBoostLink("binary:logistic", [2]int{3, 2}); l.single(1000) != 1 || l.single(-1000) < 0 || l.single(-1000) > 1e-38 {
		t.Errorf("extreme scores: %v, %v", l.single(1000), l.single(-1000))
	}
	for _, name := range []string{"count:poisson", "binary:logistic"} {
		l, err := xgBoostLink(name, [2]int{3, 2})
		if err != nil {
			t.Fatal(err)
		}
		if _, err := l.margin(0); !errors.Is(err, models.ErrCorrupt) {
			t.Errorf("%s: a base score of 0: %v", name, err)
		}
		s, err := l.margin(.3)
		if err != nil || math.Abs(l.single(s)-.3) > 1e-7 {
			t.Errorf("%s: base score 0.3 became %v (%v)", name, l.single(s), err)
		}
	}
}

// The digits lie above the middle of two float32s by less than a float64 can say.
func TestNumbersAreRoundedOnce(t *testing.T) {
	v, err := jsonNumber("1.00000005960464477539062500001")
	if err != nil || float32(v.num) != math.Nextafter32(1, 2) {
		t.Errorf("%v, %v", v.num, err)
	}
	if v, err := jsonNumber("16777217"); err != nil || v.num != 16777217 {
		t.Errorf("a whole number became %v, %v", v.num, err)
	}
}

func readFrame(t *testing.T, pattern, by string) *Model {
	t.Helper()
	b, err := os.ReadFile("testdata/v4_frame.txt")
	if err != nil {
		t.Fatal(err)
	}
	re := regexp.MustCompile(pattern)
	if !re.Match(b) {
		t.Fatalf("nothing matches %s", pattern)
	}
	m, err := Read(re.ReplaceAll(b, []byte(by)))
	if err != nil {
		t.Fatal(err)
	}
	return m
}

// A category of one value only is "none" in the header, and still listed.
func TestCategoriesOfOneValueAreListed(t *testing.T) {
	m := readFrame(t, ` [0-9:-]+\n(tree_sizes)`, " none\n$1")
	if len(m.coded[3].keys) != 5 || len(m.coded[2].keys) != 70 || m.columns[2].Kind != models.Category || m.columns[3].Kind != models.Numeric {
		t.Errorf("%d and %d categories, columns %v", len(m.coded[2].keys), len(m.coded[3].keys), m.columns)
	}
}

func TestBytesThatAreNoTreesAreRefused(t *testing.T) {
	for what, damage := range map[string]func(m *Model){
		"right child elsewhere": func(m *Model) { m.nodes[0].right++ },
		"right child before":    func(m *Model) { m.nodes[1].right = 1 },
		"a tree cut off":        func(m *Model) { m.nodes, m.cover = m.nodes[:len(m.nodes)-1], m.cover[:len(m.cover)-1] },
		"no such column":        func(m *Model) { m.nodes[0].input = 4 },
		"no such set":           func(m *Model) { m.nodes[0].set = 1 << 20 },
		"no such rule":          func(m *Model) { m.nodes[0].rule = rules },
		"a threshold of NaN":    func(m *Model) { m.nodes[0].value = math.NaN() },
		"a cover below 0":       func(m *Model) { m.cover[0] = -1 },
		"one gain too few":      func(m *Model) { m.gains = m.gains[1:] },
		"a category twice":      func(m *Model) { m.coded[3].keys[1] = m.coded[3].keys[0] },
		"no such link":          func(m *Model) { m.link.kind = links },
	} {
		m := readFrame(t, `^tree`, "tree")
		damage(m)
		b, err := m.MarshalBinary()
		if err != nil {
			t.Fatal(err)
		}
		if m, err := Load(b); !errors.Is(err, models.ErrCorrupt) || m != nil {
			t.Errorf("%s: %v", what, err)
		}
	}
}

// No training went left at the root, and none of it any further.
func TestContributionsWhereNoTrainingWent(t *testing.T) {
	m, err := Read([]byte("tree\nversion=v4\nnum_class=1\nnum_tree_per_iteration=1\nlabel_index=0\nmax_feature_idx=1\nobjective=regression\nfeature_names=a b\nfeature_infos=[0:1] [0:1]\n\n" +
		"Tree=0\nnum_leaves=4\nnum_cat=0\nsplit_feature=0 1 0\nsplit_gain=1 1 1\nthreshold=0 0 -1\ndecision_type=0 0 0\nleft_child=1 2 -1\nright_child=-4 -3 -2\n" +
		"leaf_value=1 2 3 4\nleaf_count=0 0 0 10\ninternal_count=10 0 0\nis_linear=0\nshrinkage=1\n\nend of trees\n"))
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct{ a, b, score float64 }{{1, 0, 4}, {-2, -1, 1}, {-.5, -1, 2}, {-2, 1, 3}} {
		dst := make([]float64, 2)
		start := m.Contributions(dst, []float64{c.a, c.b})
		if start != 4 || !(math.Abs(start+dst[0]+dst[1]-c.score) < 1e-12) {
			t.Errorf("(%v, %v): from %v by %v, want %v", c.a, c.b, start, dst, c.score)
		}
	}
}

func TestNamesThatLightGBMTakesAreDistinct(t *testing.T) {
	table := &models.Table{Columns: []models.Column{{Name: "a b"}, {Name: "a_b"}, {Name: "a:b"}}, X: make([][]float64, 3)}
	for i := range 400 {
		for j := range table.X {
			table.X[j] = append(table.X[j], float64(i*(7+2*j)%31))
		}
		table.Y = append(table.Y, float64((i*7%31/16+i*9%31/16+i*11%31/16)/2))
	}
	m, err := gbdt.Learner{Trees: 20}.Fit(context.Background(), table, nil, 1)
	if err != nil {
		t.Fatal(err)
	}
	text, c, err := Write(m.(*gbdt.Model), table.Columns)
	if err != nil {
		t.Fatal(err)
	}
	if got := []string{c.Features[0].Name, c.Features[1].Name, c.Features[2].Name}; !slices.Equal(got, []string{"a_b", "a_b_", "a_b__"}) {
		t.Errorf("features %v", got)
	}
	if _, err := Read(text); err != nil {
		t.Error(err)
	}
	if _, _, err := Write(m.(*gbdt.Model), table.Columns[1:]); !errors.Is(err, models.ErrWidth) {
		t.Errorf("two columns: %v", err)
	}
}

// A model of amounts or of counts is written with its own link.
func TestWhatIsNotAChanceIsWrittenAsItIs(t *testing.T) {
	table := &models.Table{Columns: []models.Column{{Name: "a"}}, X: make([][]float64, 1)}
	for i := range 400 {
		table.X[0], table.Y = append(table.X[0], float64(i%31)), append(table.Y, float64(i%31*3+i%7))
	}
	for _, o := range []gbdt.Objective{gbdt.SquaredError{}, gbdt.Poisson{}} {
		m, err := gbdt.Learner{Objective: o, Trees: 20}.Fit(context.Background(), table, nil, 1)
		if err != nil {
			t.Fatal(err)
		}
		text, _, err := Write(m.(*gbdt.Model), table.Columns)
		if err != nil {
			t.Fatal(err)
		}
		back, err := Read(text)
		if err != nil {
			t.Fatal(err)
		}
		got, want := make([]float64, table.Len()), make([]float64, table.Len())
		if err := errors.Join(m.Predict(want, table), back.Predict(got, table)); err != nil {
			t.Fatal(err)
		}
		for i := range got {
			if math.Abs(got[i]-want[i]) > 1e-12*want[i] {
				t.Fatalf("%T, row %d: %v is read back as %v", o, i, want[i], got[i])
			}
		}
	}
}
