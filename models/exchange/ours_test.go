package exchange_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"math"
	"math/rand/v2"
	"os"
	"slices"
	"strings"
	"testing"

	"bellwether/models"
	"bellwether/models/exchange"
	"bellwether/models/gbdt"
)

var rewrite = flag.Bool("rewrite", false, "train testdata/ours*.bin again; run testdata/make.py ours afterwards")

// mixed is a table with every input our trees make: numbers with holes, a
// category of few levels, two of many, and what only two of them together tell.
func mixed(n int) (*models.Table, [][]any) {
	rng := rand.New(rand.NewPCG(5, 5))
	t := &models.Table{Columns: []models.Column{{Name: "amount (k)"}, {Name: "age"}, {Name: "region", Kind: models.Category},
		{Name: "city", Kind: models.Category}, {Name: "product", Kind: models.Category}, {Name: "seats"}, {Name: "called"}}, X: make([][]float64, 7)}
	var rows [][]any
	for range n {
		amount, age, region, city, product, seats := any(rng.NormFloat64()), any(math.Round(rng.NormFloat64()*10)), rng.IntN(5), rng.IntN(33), rng.IntN(7), rng.IntN(4)
		odds := amount.(float64) + float64(region%3) - 1 + math.Sin(float64(city)) + 2*math.Sin(float64(product)) + 3*math.Sin(float64(city*product)) + float64(seats%2)
		if rng.Float64() < .1 {
			amount, odds = nil, odds-1
		}
		row := []any{amount, age, fmt.Sprint("région ", region), fmt.Sprint("city ", city), fmt.Sprint("product ", product), float64(seats), 1.}
		if rng.Float64() < .3 { // it tells by being missing alone
			row[6], odds = nil, odds+1.5
		}
		if rng.Float64() < .05 {
			row[2+rng.IntN(3)] = nil
		}
		y := 0.
		if rng.Float64() < 1/(1+math.Exp(-odds)) {
			y = 1
		}
		t.Y, rows = append(t.Y, y), append(rows, row)
	}
	w := want{Columns: []string{"amount (k)", "age", "region", "city", "product", "seats", "called"}, Rows: rows}
	t.X = w.table().X
	return t, rows
}

// ending gives the cases of a table times: they end within 100 days or stay open,
// and with a horizon it is asked which last so long.
func ending(t *models.Table, horizon int64) *models.Table {
	const day = 86400
	u := *t
	u.Until, u.Horizon = 100*day, horizon
	rng := rand.New(rand.NewPCG(6, 6))
	for i, y := range t.Y {
		at := rng.Int64N(100 * day)
		ended := at + 1 + int64(rng.ExpFloat64()*(20+20*y)*day)
		u.At, u.Known = append(u.At, at), append(u.Known, ended)
		if horizon > 0 {
			u.Ended, u.Known[i] = append(u.Ended, ended), min(ended, at+horizon)
			u.Y = slices.Concat(u.Y[:i], []float64{0}, u.Y[i+1:])
			if ended > at+horizon {
				u.Y[i] = 1
			}
		}
	}
	return &u
}

// readOurs reads what testdata holds of one of our own models, and rows.
func readOurs(t testing.TB, name string) (*gbdt.Model, []models.Column, want) {
	t.Helper()
	table, rows := mixed(1500)
	if *rewrite {
		rewriteOurs(t, name, table, rows)
	}
	m, err := gbdt.Load(readFile(t, "testdata/"+name+".bin"))
	if err != nil {
		t.Fatal(err)
	}
	var given want
	if err := json.Unmarshal(readFile(t, "testdata/ours.rows.json"), &given); err != nil {
		t.Fatal(err)
	}
	return m, table.Columns, given
}

func rewriteOurs(t testing.TB, model string, table *models.Table, rows [][]any) {
	t.Helper()
	l := gbdt.Learner{Trees: 14, Leaves: 8, LearningRate: .3, Targets: gbdt.Targets{Pairs: 2}}
	if model != "ours" {
		const day = 86400
		ages := []int64{10 * day, 40 * day}
		l.Trees, l.Leaves, l.Objective = 6, 5, gbdt.Hazard{Ages: ages}
		table = ending(table, map[string]int64{"ours_lasts": ages[1]}[model])
	}
	m, err := l.Fit(context.Background(), table, nil, 1)
	if err != nil {
		t.Fatal(err)
	}
	b, err := m.MarshalBinary()
	if err != nil {
		t.Fatal(err)
	}
	shown := slices.Clone(rows[:40])
	shown = append(shown, []any{nil, nil, nil, nil, nil, nil, nil}, []any{0, 0, "unseen", "unseen", "unseen", 99, -5}, []any{1e300, -1e300, "région 1", "city 7", nil, 1, 1e308})
	given := map[string]any{"columns": names(table.Columns), "rows": shown}
	g, err := json.Marshal(given)
	if err != nil {
		t.Fatal(err)
	}
	text, about, err := exchange.Write(m.(*gbdt.Model), table.Columns)
	if err != nil {
		t.Fatal(err)
	}
	a, err := about.JSON()
	if err != nil {
		t.Fatal(err)
	}
	for name, b := range map[string][]byte{model + ".bin": b, "ours.rows.json": g, model + ".txt": text, model + ".columns.json": a} {
		if err := os.WriteFile("testdata/"+name, b, 0o644); err != nil {
			t.Fatal(err)
		}
	}
}

func names(columns []models.Column) []string {
	var out []string
	for _, c := range columns {
		out = append(out, c.Name)
	}
	return out
}

// writtenAsRead writes one of our models, and checks that LightGBM has read just that.
func writtenAsRead(t *testing.T, name string, m *gbdt.Model, columns []models.Column) ([]byte, *exchange.Companion) {
	t.Helper()
	text, about, err := exchange.Write(m, columns)
	if err != nil {
		t.Fatal(err)
	}
	a, err := about.JSON()
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(text, readFile(t, "testdata/"+name+".txt")) || !bytes.Equal(a, readFile(t, "testdata/"+name+".columns.json")) {
		t.Fatalf("%s is written otherwise than LightGBM read it: run with -rewrite and testdata/make.py ours", name)
	}
	return text, about
}

// LightGBM loaded what we wrote of models of hazards. Its scores, and the chances
// that companion.py makes of them, stand in NAME.want.json.
func TestLightGBMScoresHazardsAsWeDo(t *testing.T) {
	for _, name := range []string{"ours_ends", "ours_lasts"} {
		m, columns, given := readOurs(t, name)
		_, about := writtenAsRead(t, name, m, columns)
		var w struct {
			Scores    [][]float64
			Incidence [][]map[string]float64
		}
		if err := json.Unmarshal(readFile(t, "testdata/"+name+".want.json"), &w); err != nil {
			t.Fatal(err)
		}
		if n := len(about.Ages) * len(about.Ways); len(about.Ages) != 2 || len(w.Scores) != len(given.Rows) || len(w.Scores[0]) != n {
			t.Fatalf("%s: %d rows of %d scores, %d ages and ways %v", name, len(w.Scores), len(w.Scores[0]), len(about.Ages), about.Ways)
		}
		table := given.table()
		answers, row := predict(t, m, table), make([]float64, m.Width())
		for i, by := range w.Incidence {
			table.Row(row, i)
			won, lost := make([]float64, 2), make([]float64, 2)
			m.Incidence(won, lost, row)
			answer := by[1]["won"]
			if name == "ours_lasts" {
				answer = 1 - by[1]["ended"]
			}
			for b, p := range by { // of won or of ended, and lost, one is there
				if math.Abs(won[b]-p["won"]) > 1e-14 || math.Abs(lost[b]-p["lost"]-p["ended"]) > 1e-14 || math.Abs(answers[i]-answer) > 1e-14 {
					t.Fatalf("%s, row %d, age %d: won %v, lost %v, answer %v; LightGBM has %v", name, i, b, won[b], lost[b], answers[i], p)
				}
			}
		}
		encoded, err := about.Encode(table)
		if err != nil {
			t.Fatal(err)
		}
		for i := range w.Scores {
			if scores := scoresOf(m.Anatomy(), encoded, i); !slices.Equal(scores, w.Scores[i]) {
				t.Fatalf("%s, row %d: scores %v, LightGBM has %v", name, i, scores, w.Scores[i])
			}
		}
	}
}

// scoresOf follows the words of Anatomy, which gbdt holds to its own scores, with
// encoded features.
func scoresOf(a *gbdt.Anatomy, encoded *models.Table, row int) []float64 {
	scores := slices.Clone(a.Base)
	for _, tree := range a.Trees {
		n := tree[0]
		for n.Left != 0 {
			v := encoded.X[n.Input][row]
			right := v > n.Cut
			switch {
			case a.Inputs[n.Input].Kind == gbdt.Level:
				right = n.Right>>int(v)&1 != 0
			case math.IsNaN(v):
				right = n.MissingRight
			}
			next := n.Left
			if right {
				next++
			}
			n = tree[next]
		}
		for k, v := range n.Values {
			scores[k] += v
		}
	}
	return scores
}

// LightGBM loaded what we wrote, and its answers stand in ours.want.json.
func TestLightGBMAnswersAsWeDoWithWhatWeWrite(t *testing.T) {
	m, columns, given := readOurs(t, "ours")
	text, about := writtenAsRead(t, "ours", m, columns)
	kinds := map[string]int{}
	for _, f := range about.Features {
		kinds[f.Kind+fmt.Sprint(len(f.Columns))]++
	}
	for _, kind := range []string{"number1", "level1", "rate1", "rate2"} {
		if kinds[kind] == 0 {
			t.Errorf("the model has no %s: %v", kind, kinds)
		}
	}
	if !bytes.Contains(text, []byte("1.7976931348623157e+308")) {
		t.Error("no test for missing values alone")
	}
	w := readWant(t, "testdata/ours.want.json")
	table := given.table()
	t.Logf("farthest from LightGBM: answers %v", farthest(t, predict(t, m, table), w.Answers, 1e-12))
	worst := 0.0
	for i, c := range w.Contributions {
		row, got, by := make([]float64, m.Width()), make([]float64, m.Width()+1), make([]float64, m.Width()+1)
		table.Row(row, i)
		got[m.Width()] = m.Contributions(got[:m.Width()], row)
		by[m.Width()] = c[len(about.Features)]
		for k, f := range about.Features {
			for _, name := range f.Columns {
				by[slices.Index(names(columns), name)] += c[k] / float64(len(f.Columns))
			}
		}
		worst = max(worst, farthest(t, got, by, 1e-9))
	}
	t.Logf("farthest from LightGBM: contributions %v", worst)
}

func TestWhatWeWriteWeRead(t *testing.T) {
	ours, columns, given := readOurs(t, "ours")
	text, about, err := exchange.Write(ours, columns)
	if err != nil {
		t.Fatal(err)
	}
	m, err := exchange.Read(text)
	if err != nil {
		t.Fatal(err)
	}
	table := given.table()
	encoded, err := about.Encode(table)
	if err != nil {
		t.Fatal(err)
	}
	if !slices.Equal(m.Columns(), encoded.Columns) {
		t.Errorf("columns %v, encoded %v", m.Columns(), encoded.Columns)
	}
	farthest(t, predict(t, m, encoded), predict(t, ours, table), 1e-15)
	w := readWant(t, "testdata/ours.want.json")
	farthest(t, predict(t, m, encoded), w.Answers, 1e-15)
	for i, row := range w.Rows { // companion.py made the same features
		for j, v := range row {
			got := encoded.X[j][i]
			if v == nil && !math.IsNaN(got) || v != nil && v.(float64) != got {
				t.Errorf("row %d, %s: %v, companion.py has %v", i, encoded.Columns[j].Name, got, v)
			}
		}
	}
	table.Columns[3].Name = "town"
	if _, err := about.Encode(table); err == nil {
		t.Error("encoded without a column")
	}
}

// back reads what Write wrote, as a learner over the columns of a table.
func back(t testing.TB, m *gbdt.Model, columns []models.Column) exchange.Given {
	t.Helper()
	text, about, err := exchange.Write(m, columns)
	if err != nil {
		t.Fatal(err)
	}
	b, err := about.JSON()
	if err != nil {
		t.Fatal(err)
	}
	g := exchange.Given{}
	if g.Model, err = exchange.Read(text); err == nil {
		g.About, err = exchange.ReadCompanion(b)
	}
	if err != nil {
		t.Fatal(err)
	}
	return g
}

// A model that was written and read back answers the table it was trained on,
// whatever else that holds and in whatever order.
func TestWhatWeWriteComesBackOverItsTable(t *testing.T) {
	ours, columns, given := readOurs(t, "ours")
	g, table := back(t, ours, columns), given.table()
	if got := g.Columns(); len(got) != len(columns) || slices.ContainsFunc(columns, func(c models.Column) bool { return !slices.Contains(got, c) }) {
		t.Errorf("it wants %v, was trained on %v", got, columns)
	}
	want := predict(t, ours, table)
	turned := *table
	turned.Columns, turned.X = slices.Clone(table.Columns), slices.Clone(table.X)
	slices.Reverse(turned.Columns)
	slices.Reverse(turned.X)
	turned.Columns, turned.X = append(turned.Columns, models.Column{Name: "more"}), append(turned.X, table.X[0])
	m, err := g.Fit(t.Context(), &turned, nil, 1)
	if err != nil {
		t.Fatal(err)
	}
	got := predict(t, m, &turned)
	farthest(t, got, want, 1e-15)
	b, err := m.MarshalBinary()
	if err != nil {
		t.Fatal(err)
	}
	again, err := exchange.LoadGiven(b)
	if err != nil {
		t.Fatal(err)
	}
	back, gains := again.(*exchange.Encoded), 0.0
	for _, v := range back.Importance() {
		gains += v
	}
	if gains <= 0 || back.Importance()[len(columns)] != 0 {
		t.Errorf("gains %v", back.Importance())
	}
	for i := range got {
		row, p, by := make([]float64, turned.Width()), []float64{0}, make([]float64, turned.Width())
		turned.Row(row, i)
		back.PredictRows(p, row)
		score := back.Contributions(by, row)
		for _, v := range by {
			score += v
		}
		if p[0] != got[i] || math.Abs(1/(1+math.Exp(-score))-got[i]) > 1e-12 {
			t.Errorf("row %d: %v, loaded %v, contributions sum to %v", i, got[i], p[0], score)
		}
	}
	for i := range b {
		if m, err := exchange.LoadGiven(b[:i]); !errors.Is(err, models.ErrCorrupt) || m != nil {
			t.Fatalf("cut to %d: %v", i, err)
		}
	}
}

func TestACompanionThatDoesNotFitIsRefused(t *testing.T) {
	ours, columns, given := readOurs(t, "ours")
	g, table := back(t, ours, columns), given.table()
	for want, c := range map[string]func(*exchange.Given, *models.Table){
		"another one":                      func(g *exchange.Given, _ *models.Table) { g.About.Features = g.About.Features[1:] },
		"looks at city, which":             func(_ *exchange.Given, t *models.Table) { t.Columns[3].Name = "town" },
		"city is a column of numbers, the": func(_ *exchange.Given, t *models.Table) { t.Columns[3].Kind = models.Numeric },
	} {
		g, about, table := g, *g.About, *table
		g.About, table.Columns = &about, slices.Clone(table.Columns)
		c(&g, &table)
		if m, err := g.Over(table.Columns); !errors.Is(err, models.ErrWidth) || !strings.Contains(err.Error(), want) || m != nil {
			t.Errorf("%v, want %q", err, want)
		}
	}
	for _, bad := range []string{"", "[]", "{}", `{"features":[{"name":"a","kind":"shape","columns":["a"]}]}`, `{"features":[{"name":"a","kind":"number","columns":[]}]}`,
		`{"features":[{"name":"a","kind":"level","columns":["a","b"]}]}`, `{"features":[{"name":"a","kind":"rate","columns":["a"],"levels":{"7":1}}]}`,
		`{"features":[{"name":"a","kind":"number","columns":["a"],"levels":{"0000000000000007":1}}]}`} {
		if c, err := exchange.ReadCompanion([]byte(bad)); !errors.Is(err, models.ErrCorrupt) || c != nil {
			t.Errorf("%s: %v", bad, err)
		}
	}
}

func FuzzReadCompanion(f *testing.F) {
	f.Add(readFile(f, "testdata/ours.columns.json"))
	f.Add([]byte(`{"features":[{"name":"a","kind":"rate","columns":["a","b"],"levels":{"0000000000000007":1}}],"categories":["b"]}`))
	f.Fuzz(func(t *testing.T, b []byte) {
		c, err := exchange.ReadCompanion(b)
		if err != nil {
			return
		}
		table := &models.Table{Columns: c.Columns()}
		for range table.Columns {
			table.X = append(table.X, []float64{0, math.NaN()})
		}
		if _, err := c.Encode(table); err != nil {
			t.Error(err)
		}
	})
}
