package exchange_test

import (
	"context"
	"errors"
	"fmt"
	"math"
	"slices"
	"strings"
	"testing"

	"bellwether/models"
	"bellwether/models/exchange"
)

func TestOverFindsColumnsByName(t *testing.T) {
	m, w := readModel(t, "testdata/v4_frame.txt"), readWant(t, "testdata/v4_frame.want.json")
	table := w.table()
	want := predict(t, m, table)
	turned := &models.Table{
		Columns: []models.Column{{Name: "other"}, table.Columns[3], table.Columns[2], table.Columns[1], table.Columns[0]},
		X:       [][]float64{make([]float64, table.Len()), table.X[3], table.X[2], table.X[1], table.X[0]},
	}
	over, err := m.Over(turned.Columns, false)
	if err != nil {
		t.Fatal(err)
	}
	if got := predict(t, over, turned); !slices.Equal(got, want) {
		t.Errorf("turned it answers %v, want %v", got, want)
	}
	gains := m.Importance()
	if got := over.Importance(); got[0] != 0 || got[1] != gains[3] || got[4] != gains[0] {
		t.Errorf("gains %v, were %v", got, gains)
	}
	c, d := contributions(m, table, 5), contributions(over, turned, 5)
	if c[0] != d[4] || c[2] != d[2] || d[0] != 0 {
		t.Errorf("contributions %v, were %v", d, c)
	}
}

func TestOverSaysWhichColumnDoesNotFit(t *testing.T) {
	texts, numbers := readModel(t, "testdata/v4_frame.txt"), readModel(t, "testdata/v4_nan.txt")
	category := func(c []models.Column, j int, kind models.Kind) []models.Column {
		c = slices.Clone(c)
		c[j].Kind = kind
		return c
	}
	for _, c := range []struct {
		m       *exchange.Model
		columns []models.Column
		codes   bool
		says    string
	}{
		{texts, texts.Columns()[1:], false, "the model looks at x, which the table does not have"},
		{texts, category(texts.Columns(), 2, models.Numeric), false, "kind is a column of numbers, the model wants texts"},
		{texts, category(texts.Columns(), 2, models.Numeric), true, "kind is a column of numbers, the model wants texts"},
		{numbers, category(numbers.Columns(), 1, models.Category), false, "Column_1 is a category of texts, the model wants numbers"},
		{numbers, category(numbers.Columns(), 1, models.Category), true, ""},
		{texts, category(texts.Columns(), 3, models.Category), false, ""}, // its integers are listed
	} {
		_, err := c.m.Over(c.columns, c.codes)
		if (err == nil) != (c.says == "") || err != nil && (!errors.Is(err, models.ErrWidth) || !strings.Contains(err.Error(), c.says)) {
			t.Errorf("%v: %v, want %q", c.columns, err, c.says)
		}
	}
}

func TestNamed(t *testing.T) {
	m := readModel(t, "testdata/v4_nan.txt")
	named, err := m.Named([]string{"a", "b", "c", "d"})
	if err != nil || named.Columns()[2].Name != "c" || m.Columns()[2].Name != "Column_2" {
		t.Errorf("%v, %v, was %v", err, named.Columns(), m.Columns())
	}
	if _, err := m.Named([]string{"a", "b", "c"}); !errors.Is(err, models.ErrWidth) {
		t.Errorf("three names: %v", err)
	}
	if _, err := m.Named([]string{"a", "b", "c", "a"}); err == nil || !strings.Contains(err.Error(), `"a"`) {
		t.Errorf("a name twice: %v", err)
	}
}

func TestGivenIsALearner(t *testing.T) {
	m := readModel(t, "testdata/xgb3_logistic.json")
	w := readWant(t, "testdata/xgb3_logistic.want.json")
	var l models.Learner = exchange.Given{Model: m}
	if l.Name() != "xgboost" || (exchange.Given{Model: readModel(t, "testdata/v2_nan.txt")}).Name() != "lightgbm" {
		t.Errorf("it is called %s", l.Name())
	}
	fitted, err := l.Fit(context.Background(), w.table(), nil, 1)
	if err != nil {
		t.Fatal(err)
	}
	if !slices.Equal(predict(t, fitted, w.table()), predict(t, m, w.table())) {
		t.Error("fitted, it answers otherwise")
	}
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	if m, err := l.Fit(ctx, w.table(), nil, 1); !errors.Is(err, context.Canceled) || m != nil {
		t.Errorf("cancelled: %v, %v", m, err)
	}
	if m, err := l.Fit(context.Background(), &models.Table{}, nil, 1); !errors.Is(err, models.ErrWidth) || m != nil {
		t.Errorf("no columns: %v, %v", m, err)
	}
}

func TestPredictRefusesOtherWidths(t *testing.T) {
	m := readModel(t, "testdata/v4_nan.txt")
	p := make([]float64, 1)
	if err := m.Predict(p, &models.Table{X: make([][]float64, 3)}); !errors.Is(err, models.ErrWidth) {
		t.Errorf("three columns: %v", err)
	}
	if err := m.Predict(nil, &models.Table{X: make([][]float64, 4)}); !errors.Is(err, models.ErrEmpty) {
		t.Errorf("no rows: %v", err)
	}
	if err := m.Predict(p, &models.Table{X: [][]float64{{1}, {1}, {1}, {1, 2}}}); err == nil {
		t.Error("columns of two lengths were taken")
	}
	if err := m.Predict(p, &models.Table{X: [][]float64{{1, 2}, {1, 2}, {1, 2}, {1, 2}}}); err == nil {
		t.Error("room for one answer was taken for two rows")
	}
}

// chain is a text of one tree of many leaves, each node splitting off one.
func chain(leaves int) []byte {
	var left, right, threshold, zeros, values []string
	for i := range leaves {
		values = append(values, fmt.Sprint(i))
		if i == leaves-1 {
			break
		}
		left, threshold, zeros = append(left, fmt.Sprint(^i)), append(threshold, fmt.Sprint(i)), append(zeros, "0")
		next := i + 1
		if i == leaves-2 {
			next = ^(leaves - 1)
		}
		right = append(right, fmt.Sprint(next))
	}
	line := func(key string, words []string) string { return key + "=" + strings.Join(words, " ") + "\n" }
	return []byte("tree\nversion=v4\nnum_class=1\nnum_tree_per_iteration=1\nlabel_index=0\nmax_feature_idx=0\nobjective=regression\nfeature_names=a\nfeature_infos=[0:1]\n\n" +
		fmt.Sprintf("Tree=0\nnum_leaves=%d\nnum_cat=0\n", leaves) + line("split_feature", zeros) + line("split_gain", zeros) + line("threshold", threshold) +
		line("decision_type", zeros) + line("left_child", left) + line("right_child", right) + line("leaf_value", values) + line("leaf_count", values) +
		line("internal_count", zeros) + "is_linear=0\nshrinkage=1\n\nend of trees\n")
}

func TestLargeTrees(t *testing.T) {
	for _, c := range []struct {
		leaves      int
		read, parts bool
	}{{1, true, true}, {2, true, true}, {64, true, true}, {65, true, false}, {1000, true, false}, {2000, false, false}} {
		m, err := exchange.Read(chain(c.leaves))
		if (err == nil) != c.read {
			t.Errorf("%d leaves in a chain: %v", c.leaves, err)
		}
		if err != nil {
			continue
		}
		f, ok := m.Factor([]uint8{2})
		if ok != c.parts {
			t.Errorf("%d leaves: can be split %v", c.leaves, ok)
		}
		row, p := []float64{float64(c.leaves) - 1.5}, make([]float64, 1)
		if m.PredictRows(p, row); p[0] != float64(c.leaves-1) {
			t.Errorf("%d leaves: %v of the last", c.leaves, p[0])
		}
		if ok {
			words := make([]uint64, f.Words())
			f.Reach(words, 0, nil)
			if f.Scores(p, words, [][]uint64{words}, row); p[0] != float64(c.leaves-1) {
				t.Errorf("%d leaves: %v of the last in parts", c.leaves, p[0])
			}
		}
		b := []float64{0}
		if start := m.Contributions(b, row); math.IsNaN(start) || math.Abs(start+b[0]-p[0]) > 1e-9 {
			t.Errorf("%d leaves: %v and %v for %v", c.leaves, start, b[0], p[0])
		}
	}
}

func TestContributionsSumToTheScore(t *testing.T) {
	for _, path := range originals(t) {
		m, table := readModel(t, path), readWant(t, bare(path)+".want.json").table()
		row := make([]float64, m.Width())
		for i := range table.Len() {
			table.Row(row, i)
			sum := 0.0
			for _, v := range contributions(m, table, i) {
				sum += v
			}
			score := m.Score(row)
			if m.Probability() {
				p := []float64{0}
				m.PredictRows(p, row)
				score = math.Log(p[0] / (1 - p[0]))
			}
			if math.Abs(sum-score) > 1e-6 {
				t.Errorf("%s, row %d: %v for %v", path, i, sum, score)
			}
		}
	}
}

func TestBestIterationIsTold(t *testing.T) {
	b := readFile(t, "testdata/xgb3_logistic.json")
	for attributes, want := range map[string]int{`{}`: 0, `{"best_iteration":"2"}`: 3, `{"best_iteration":"5"}`: 0, `{"best_iteration":"soon"}`: 0, `{"best_iteration":"9223372036854775807"}`: 0} {
		m, err := exchange.Read(edit(t, b, `"attributes":\{\}`, `"attributes":`+attributes))
		if err != nil || m.Best() != want {
			t.Errorf("%s: %d, want %d (%v)", attributes, m.Best(), want, err)
		}
	}
}
