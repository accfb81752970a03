package exchange_test

import (
	"encoding/json"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"bellwether/models"
	"bellwether/models/exchange"
)

// want is what a model's trainer said of some rows; see testdata/make.py.
type want struct {
	Columns       []string
	Rows          [][]any
	Answers       []float64
	Scores        []float64 // XGBoost's margins, float32
	Contributions [][]float64
}

func readWant(t *testing.T, path string) want {
	t.Helper()
	var w want
	if err := json.Unmarshal(readFile(t, path), &w); err != nil {
		t.Fatal(err)
	}
	if len(w.Rows) == 0 || len(w.Rows) != len(w.Answers) || len(w.Contributions) == 0 {
		t.Fatalf("%s has %d rows, %d answers, %d contributions", path, len(w.Rows), len(w.Answers), len(w.Contributions))
	}
	return w
}

func readFile(t testing.TB, path string) []byte {
	t.Helper()
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// table turns rows into a table: texts into Codes, null into NaN.
func (w want) table() *models.Table {
	t := &models.Table{X: make([][]float64, len(w.Columns))}
	for j, name := range w.Columns {
		t.Columns = append(t.Columns, models.Column{Name: name})
		for _, row := range w.Rows {
			v := math.NaN()
			switch x := row[j].(type) {
			case float64:
				v = x
			case string:
				v = models.Code(x)
				t.Columns[j].Kind = models.Category
			}
			t.X[j] = append(t.X[j], v)
		}
	}
	return t
}

// originals lists the checked-in models that can be read.
func originals(t testing.TB) []string {
	t.Helper()
	var out []string
	for _, pattern := range []string{"v?_*.txt", "xgb*.json", "xgb*.ubj"} {
		found, err := filepath.Glob(filepath.Join("testdata", pattern))
		if err != nil {
			t.Fatal(err)
		}
		for _, path := range found {
			if !strings.HasSuffix(path, ".want.json") {
				out = append(out, path)
			}
		}
	}
	if len(out) < 30 {
		t.Fatalf("only %d models in testdata", len(out))
	}
	return out
}

func bare(path string) string { return strings.TrimSuffix(path, filepath.Ext(path)) }

func readModel(t testing.TB, path string) *exchange.Model {
	t.Helper()
	m, err := exchange.Read(readFile(t, path))
	if err != nil {
		t.Fatalf("%s: %v", path, err)
	}
	return m
}

func predict(t testing.TB, m models.Model, table *models.Table) []float64 {
	t.Helper()
	p := make([]float64, table.Len())
	if err := m.Predict(p, table); err != nil {
		t.Fatal(err)
	}
	return p
}

// How far from the trainers we may be. LightGBM sums and links in float64, whose
// exponential may differ in its last bit. XGBoost's sums are equal bit for bit;
// its float32 exponential may differ in the last bit of a float32.
const (
	answerLightGBM, shareLightGBM = 1e-12, 1e-9
	answerXGBoost, shareXGBoost   = 2e-7, 1e-5
)

func TestAnswersAsTheTrainerDoes(t *testing.T) {
	worst := map[string][2]float64{}
	for _, path := range originals(t) {
		t.Run(filepath.Base(path), func(t *testing.T) {
			m, w := readModel(t, path), readWant(t, bare(path)+".want.json")
			for j, c := range m.Columns() {
				if c.Name != w.Columns[j] {
					t.Errorf("column %d is %s, not %s", j, c.Name, w.Columns[j])
				}
			}
			table := w.table()
			near, nearShare := answerLightGBM, shareLightGBM
			if m.Format() == exchange.XGBoost {
				near, nearShare = answerXGBoost, shareXGBoost
			}
			gap := farthest(t, predict(t, m, table), w.Answers, near)
			for i, score := range w.Scores {
				row := make([]float64, m.Width())
				table.Row(row, i)
				if got := m.Score(row); got != score {
					t.Errorf("row %d scores %v, not to the bit %v", i, got, score)
				}
			}
			if (len(w.Scores) > 0) != (m.Format() == exchange.XGBoost) {
				t.Errorf("%d scores of %s", len(w.Scores), m.Origin())
			}
			gapShare := 0.0
			for i, c := range w.Contributions {
				got := contributions(m, table, i)
				gapShare = max(gapShare, farthest(t, got, logOdds(m, path, c), nearShare))
			}
			of := worst[m.Format().String()]
			worst[m.Format().String()] = [2]float64{max(of[0], gap), max(of[1], gapShare)}
		})
	}
	t.Logf("farthest from the trainer, answers and contributions: %v", worst)
}

// logOdds are contributions as they sum to the log-odds: LightGBM leaves a
// forest's as the sum over trees, and a sigmoid (0.7 of dart) to whoever knows it.
func logOdds(m *exchange.Model, path string, c []float64) []float64 {
	by := 1.
	switch filepath.Base(bare(path)) {
	case "v2_forest", "v3_forest", "v4_forest":
		by = 1 / float64(m.Trees())
	case "v4_dart":
		by = 0.7
	}
	out := slices.Clone(c)
	for i := range out {
		out[i] *= by
	}
	return out
}

// contributions are those of a row with their start last.
func contributions(m *exchange.Model, table *models.Table, i int) []float64 {
	row, out := make([]float64, m.Width()), make([]float64, m.Width()+1)
	table.Row(row, i)
	out[m.Width()] = m.Contributions(out[:m.Width()], row)
	return out
}

// farthest is the greatest difference; it complains of those that are not near,
// relative to what is wanted where that is above 1.
func farthest(t *testing.T, got, want []float64, near float64) float64 {
	t.Helper()
	if len(got) != len(want) {
		t.Fatalf("%d numbers, want %d", len(got), len(want))
	}
	worst := 0.0
	for i := range got {
		gap := math.Abs(got[i]-want[i]) / max(1, math.Abs(want[i]))
		if !(gap <= near) {
			t.Errorf("number %d is %v, want %v", i, got[i], want[i])
		}
		worst = max(worst, gap)
	}
	return worst
}

func TestRowsAndPartsSayTheSameBits(t *testing.T) {
	for _, path := range originals(t) {
		m, table := readModel(t, path), readWant(t, bare(path)+".want.json").table()
		answers := predict(t, m, table)
		rows := make([]float64, table.Len()*m.Width())
		for i := range table.Len() {
			table.Row(rows[i*m.Width():][:m.Width()], i)
		}
		got := make([]float64, table.Len())
		m.PredictRows(got, rows)
		if !slices.Equal(got, answers) {
			t.Errorf("%s: PredictRows and Predict differ", path)
		}
		if n := testing.AllocsPerRun(5, func() { m.PredictRows(got, rows) }); n != 0 {
			t.Errorf("%s: %v allocations", path, n)
		}
		inParts(t, m, table, answers)
	}
}

// inParts scores each row as the only case, with every row as its candidate, and
// wants the answer of the row itself where they meet.
func inParts(t *testing.T, m *exchange.Model, table *models.Table, answers []float64) {
	t.Helper()
	side := []uint8{0, 1, 2, 1}
	f, ok := m.Factor(side)
	if !ok {
		t.Fatalf("%s of %d trees cannot be split", m.Origin(), m.Trees())
	}
	n := table.Len()
	halves := make([][]uint64, n)
	var pairs []float64
	for i := range halves {
		own := []float64{table.X[1][i], table.X[3][i]}
		halves[i] = make([]uint64, f.Words())
		f.Reach(halves[i], 1, own)
		pairs = append(pairs, table.X[2][i])
	}
	got := make([]float64, n)
	for i := range n {
		of := make([]uint64, f.Words())
		f.Reach(of, 0, []float64{table.X[0][i]})
		f.Scores(got, of, halves, pairs)
		if got[i] != answers[i] {
			t.Errorf("%s: row %d in parts %v, whole %v", m.Origin(), i, got[i], answers[i])
		}
		if n := testing.AllocsPerRun(1, func() { f.Scores(got, of, halves, pairs) }); n != 0 {
			t.Errorf("%s: %v allocations in parts", m.Origin(), n)
		}
	}
}

func TestSavedAndLoadedSaysTheSameBits(t *testing.T) {
	for _, path := range originals(t) {
		m, table := readModel(t, path), readWant(t, bare(path)+".want.json").table()
		b, err := m.MarshalBinary()
		if err != nil {
			t.Fatal(err)
		}
		again, err := exchange.Load(b)
		if err != nil {
			t.Fatalf("%s: %v", path, err)
		}
		if !slices.Equal(predict(t, m, table), predict(t, again, table)) {
			t.Errorf("%s: loaded, it answers otherwise", path)
		}
		if !slices.Equal(m.Importance(), again.Importance()) || !slices.Equal(contributions(m, table, 0), contributions(again, table, 0)) {
			t.Errorf("%s: loaded, it explains otherwise", path)
		}
		c, err := again.MarshalBinary()
		if err != nil || string(b) != string(c) {
			t.Errorf("%s: loaded, it has other bytes (%v)", path, err)
		}
		if !slices.Equal(m.Columns(), again.Columns()) || m.Origin() != again.Origin() || m.Objective() != again.Objective() || m.Trees() != again.Trees() || m.Probability() != again.Probability() {
			t.Errorf("%s: loaded, it is %v", path, again)
		}
	}
}

func TestRefusedByName(t *testing.T) {
	for file, name := range map[string]string{
		"refused_classes.txt":   "num_class is 3: more than one class",
		"refused_ranking.txt":   "objective lambdarank: ranking",
		"refused_linear.txt":    "linear trees",
		"refused_custom.txt":    "without objective",
		"refused_dump.json":     "a dump of LightGBM's",
		"refused_softprob.json": "learner.objective.name: not supported: objective multi:softprob: more than one class",
		"refused_pairwise.json": "objective rank:pairwise: ranking",
		"refused_cox.json":      "objective survival:cox: survival",
		"refused_linear.json":   "booster gblinear",
		"refused_hinge.ubj":     "objective binary:hinge",
		"refused_targets.json":  "2 targets",
	} {
		m, err := exchange.Read(readFile(t, filepath.Join("testdata", file)))
		if err == nil || !strings.Contains(err.Error(), name) || m != nil {
			t.Errorf("%s: %v, want %q", file, err, name)
		}
	}
}
