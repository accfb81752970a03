package trial

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"math/rand/v2"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"bellwether/models"
	"bellwether/models/calibrate"
	"bellwether/models/gbdt"
	"bellwether/models/logit"
	"bellwether/models/metric"
)

// world is a table whose truth is known: P(y=1) = sigmoid(x + 0.8*(c is "a")),
// one row a minute.
func world(n int, seed uint64, noise bool) *models.Table {
	rng := rand.New(rand.NewPCG(seed, 1))
	t := &models.Table{Columns: []models.Column{{Name: "x"}, {Name: "c", Kind: models.Category}, {Name: "dust"}}, X: make([][]float64, 3)}
	for i := range n {
		x, c := rng.NormFloat64(), "abc"[rng.IntN(3)]
		z := x
		if c == 'a' {
			z += 0.8
		}
		if noise {
			z = 0
		}
		y := 0.0
		if rng.Float64() < 1/(1+math.Exp(-z)) {
			y = 1
		}
		t.X[0], t.X[1], t.X[2] = append(t.X[0], x), append(t.X[1], models.Code(string(c))), append(t.X[2], rng.Float64())
		t.Y = append(t.Y, y)
		t.At = append(t.At, 1.7e9+int64(i)*60)
		t.Known = append(t.Known, 1.7e9+int64(i)*60+30)
	}
	return t
}

func small() []models.Learner {
	return []models.Learner{gbdt.Learner{Trees: 30, Leaves: 7, LearningRate: 0.1}, logit.Learner{}}
}

func mustRun(t *testing.T, table *models.Table, c Config) (*Report, *Predictor) {
	t.Helper()
	c.Task = "test"
	if c.Learners == nil {
		c.Learners = small()
	}
	if c.Seeds == 0 {
		c.Seeds = -1
	}
	r, p, err := Run(context.Background(), table, c)
	if err != nil {
		t.Fatal(err)
	}
	return r, p
}

func TestRunFindsTheTruth(t *testing.T) {
	table := world(6000, 1, false)
	r, p := mustRun(t, table, Config{Seeds: 3})
	if !r.Gate.Passed || len(r.Gate.Reasons) != 0 {
		t.Fatalf("gate: %+v", r.Gate)
	}
	// The true probabilities themselves reach this AUC on the test slice.
	truth := make([]float64, 0, 1200)
	for i := 4800; i < 6000; i++ {
		z := table.X[0][i]
		if table.X[1][i] == models.Code("a") {
			z += 0.8
		}
		truth = append(truth, z)
	}
	best := metric.AUC(truth, table.Y[4800:], nil)
	if got := float64(r.Test.AUC); got < best-0.02 || got > best+0.01 {
		t.Errorf("AUC %.4f, the truth's is %.4f", got, best)
	}
	if r.Test.ECE > 0.06 {
		t.Errorf("ECE %.4f", r.Test.ECE)
	}
	if r.Split.Test.Rows != 1200 || r.Split.Valid.Rows != 1200 || r.Split.Train.Rows != 3600 {
		t.Errorf("split %+v", r.Split)
	}
	if r.Seeds.N != 3 || math.IsNaN(float64(r.Seeds.AUCMean)) {
		t.Errorf("seeds %+v", r.Seeds)
	}
	var board []string
	for _, row := range r.Leaderboard {
		board = append(board, row.Learner)
		if row.Error != "" {
			t.Errorf("%s: %s", row.Learner, row.Error)
		}
	}
	for _, want := range []string{"gbdt", "logit", "best_column", "base_rate"} {
		if !slices.Contains(board, want) {
			t.Errorf("leaderboard %v lacks %s", board, want)
		}
	}
	if board[0] != r.Winner || p.Learner != r.Winner {
		t.Errorf("winner %s, board %v, predictor %s", r.Winner, board, p.Learner)
	}
	from, to, ok := r.Window()
	if want := time.Unix(table.At[4800], 0).UTC(); r.Fitted() != 4800 || !ok || !from.Equal(*r.Split.Train.From) || !to.Equal(want) {
		t.Errorf("fitted on %d rows from %s to %s (%v), want 4800 to %s", r.Fitted(), from, to, ok, want)
	}
	const learned = "what is tested is what is published: fitted on 4800 rows before the test slice and on none of it, calibrated by the 1200 of the validation slice"
	if card := string(NewCard("truth", r, p, nil).Markdown()); !strings.Contains(card, "| learned | "+learned+" |") {
		t.Errorf("the card does not say what it learned from:\n%s", card)
	}
	again, q := mustRun(t, table, Config{Seeds: 3})
	if a, b := mustBytes(t, p), mustBytes(t, q); !bytes.Equal(a, b) || again.Fingerprint != r.Fingerprint {
		t.Error("the same trial gave other bytes")
	}
}

func mustBytes(t testing.TB, p *Predictor) []byte {
	t.Helper()
	b, err := p.MarshalBinary()
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// The JSON of a report is read by programs: names, order and nulls matter.
func TestReportJSON(t *testing.T) {
	r, _ := mustRun(t, world(1500, 2, false), Config{})
	b, err := json.Marshal(r)
	if err != nil {
		t.Fatal(err)
	}
	var m map[string]any
	if err := json.Unmarshal(b, &m); err != nil {
		t.Fatal(err)
	}
	has := func(path string, v any, keys ...string) map[string]any {
		got, ok := v.(map[string]any)
		if !ok {
			t.Fatalf("%s is %v", path, v)
		}
		for _, k := range keys {
			if _, ok := got[k]; !ok {
				t.Errorf("%s lacks %q", path, k)
			}
		}
		return got
	}
	top := has("report", m, "task", "version", "published", "gate", "split", "test", "leaderboard", "seeds", "seed")
	has("gate", top["gate"], "passed", "reasons")
	if got := top["gate"].(map[string]any)["reasons"]; !reflect.DeepEqual(got, []any{}) {
		t.Errorf("reasons %v, not []", got)
	}
	for _, s := range []string{"train", "valid", "test"} {
		has(s, has("split", top["split"], s)[s], "rows", "from", "to")
	}
	has("test", top["test"], "rows", "positives", "auc", "auc_lo", "auc_hi", "log_loss", "brier", "ece")
	row := has("row", top["leaderboard"].([]any)[0], "learner", "rows", "valid", "test", "fit_seconds")
	has("row.test", row["test"], "auc", "log_loss", "brier", "ece")
	seeds := has("seeds", top["seeds"], "n", "auc_mean", "auc_sd")
	if seeds["auc_mean"] != nil {
		t.Errorf("no seeds were run, auc_mean is %v", seeds["auc_mean"])
	}
}

func TestNumberJSON(t *testing.T) {
	for _, n := range []float64{0, -1.5, 1e300, math.NaN(), math.Inf(1)} {
		b, err := json.Marshal(Number(n))
		if err != nil {
			t.Fatal(err)
		}
		var back Number
		if err := json.Unmarshal(b, &back); err != nil {
			t.Fatal(err)
		}
		unknown := math.IsNaN(n) || math.IsInf(n, 0)
		if unknown != (string(b) == "null") || unknown != math.IsNaN(float64(back)) || !unknown && float64(back) != n {
			t.Errorf("%v became %s became %v", n, b, back)
		}
	}
}

func TestNoSkillIsReportedAsNone(t *testing.T) {
	for seed := range uint64(3) {
		r, p := mustRun(t, world(3000, 100+seed, true), Config{})
		if r.Gate.Passed {
			t.Errorf("seed %d: noise passed: %+v", seed, r.Test)
		}
		want := fmt.Sprintf("no skill: AUC %.3f [%.3f, %.3f]", r.Test.AUC, r.Test.AUCLo, r.Test.AUCHi)
		if r.Test.AUCLo <= 0.5 && (r.Skill != want || !slices.Equal(r.Gate.Reasons, []string{want})) {
			t.Errorf("seed %d: %s, %q", seed, r.Skill, r.Gate.Reasons)
		}
		if p == nil {
			t.Error("no predictor to look at")
		}
	}
}

// Some skill is not enough.
func TestGateWantsABound(t *testing.T) {
	table := world(6000, 16, true)
	for i := range table.Y {
		table.X[0][i] += 0.35 * table.Y[i]
	}
	r, _ := mustRun(t, table, Config{})
	if r.Test.AUCLo <= 0.5 || r.Test.AUCLo > 0.6 {
		t.Fatalf("not a weak world: %+v", r.Test)
	}
	if r.Gate.Passed || len(r.Gate.Reasons) != 1 || !strings.Contains(r.Gate.Reasons[0], "not above 0.60") {
		t.Errorf("gate %+v", r.Gate)
	}
	if r, _ = mustRun(t, table, Config{Gate: Gate{MinAUC: 0.51}}); !r.Gate.Passed {
		t.Errorf("gate at 0.51: %+v", r.Gate)
	}
}

func TestRefusesTooLittle(t *testing.T) {
	table := world(2000, 3, false)
	for i := range table.Y {
		table.Y[i] = 0
		if i%60 == 0 { // 34 in 2,000, 27 before the test slice
			table.Y[i] = 1
		}
	}
	r, p, err := Run(context.Background(), table, Config{Task: "test", Learners: []models.Learner{explodes{}}})
	var refused *Refusal
	if !errors.As(err, &refused) || p != nil {
		t.Fatalf("err %v, predictor %v", err, p)
	}
	want := []string{"27 positive outcomes known before the test slice, 40 are needed: 13 are missing"}
	if !slices.Equal(refused.Reasons, want) || !slices.Equal(r.Gate.Reasons, want) || r.Gate.Passed {
		t.Errorf("reasons %q", refused.Reasons)
	}
}

// explodes is a learner that must not be reached.
type explodes struct{}

func (explodes) Name() string { return "explodes" }
func (explodes) Fit(context.Context, *models.Table, *models.Table, uint64) (models.Model, error) {
	panic("fitted in spite of the gate")
}

func TestRefusesLeaks(t *testing.T) {
	base := world(2000, 4, false)
	n := base.Len()
	columns := map[string]func(i int) float64{
		"copy":     func(i int) float64 { return base.Y[i] },
		"opposite": func(i int) float64 { return -3 * base.Y[i] },
		// Only filled in for the positives, with meaningless numbers.
		"filled later": func(i int) float64 {
			if base.Y[i] == 1 {
				return float64(i % 7)
			}
			return math.NaN()
		},
	}
	for name, f := range columns {
		t.Run(name, func(t *testing.T) {
			table := *base
			col := make([]float64, n)
			for i := range col {
				col[i] = f(i)
			}
			table.Columns = append(slices.Clone(base.Columns), models.Column{Name: name})
			table.X = append(slices.Clone(base.X), col)
			_, _, err := Run(context.Background(), &table, Config{Task: "test", Learners: []models.Learner{explodes{}}})
			var refused *Refusal
			if !errors.As(err, &refused) || len(refused.Reasons) != 1 || !strings.Contains(refused.Reasons[0], fmt.Sprintf("%q", name)) {
				t.Errorf("err %v", err)
			}
		})
	}
	t.Run("category", func(t *testing.T) {
		table := *base
		col := make([]float64, n)
		for i := range col {
			col[i] = models.Code(map[float64]string{0: "Loss", 1: "Won"}[base.Y[i]])
		}
		table.Columns = append(slices.Clone(base.Columns), models.Column{Name: "result", Kind: models.Category})
		table.X = append(slices.Clone(base.X), col)
		if _, _, err := Run(context.Background(), &table, Config{Task: "test"}); err == nil || !strings.Contains(err.Error(), `"result"`) {
			t.Errorf("err %v", err)
		}
	})
	// A rare label told by a number's lowest values, too few for a range of
	// their own.
	rare := world(5000, 4, true)
	for i := range rare.Y {
		rare.Y[i] = 0
		if i%100 == 0 {
			rare.Y[i] = 1
		}
		rare.X[2][i] -= rare.Y[i]
	}
	if got, _ := (Scan{}).run(rare, 1); len(got) != 1 || !strings.Contains(got[0], `"dust"`) {
		t.Errorf("a rare leak: %v", got)
	}
	// An id tells nothing about other rows, however well it names its own.
	ids := *base
	col := make([]float64, n)
	for i := range col {
		col[i] = models.Code(fmt.Sprint("id", i))
	}
	ids.Columns = append(slices.Clone(base.Columns), models.Column{Name: "id", Kind: models.Category})
	ids.X = append(slices.Clone(base.X), col)
	if got, _ := (Scan{}).run(&ids, 1); len(got) != 0 {
		t.Errorf("an id was called a leak: %v", got)
	}
}

// TestScanFindsWhatCameLater: columns written after the outcome that do not tell
// it in every row, and none that were known before.
func TestScanFindsWhatCameLater(t *testing.T) {
	const n, day = 4000, 86400
	rng := rand.New(rand.NewPCG(7, 7))
	base := world(n, 7, true)
	base.At = make([]int64, n)
	created, planned, closed := make([]float64, n), make([]float64, n), make([]float64, n)
	reason, sparse, good := make([]float64, n), make([]float64, n), make([]float64, n)
	for i, y := range base.Y {
		base.At[i] = 1_700_000_000 + int64(i)*day
		created[i] = float64(base.At[i] - day*int64(1+rng.IntN(30)))
		planned[i] = float64(base.At[i] + day*int64(1+rng.IntN(90)))
		closed[i] = float64(base.At[i]) + day*(1+rng.Float64()) // a win takes two days more
		reason[i], sparse[i], good[i] = math.NaN(), math.NaN(), rng.NormFloat64()+2.2*y
		if y == 0 && rng.IntN(3) == 0 { // a third of the losses say why
			reason[i] = models.Code([]string{"price", "timing"}[rng.IntN(2)])
		}
		if rng.IntN(200) == 0 && y == 0 { // rare: may be chance
			sparse[i] = 1
		}
		closed[i] += 2 * day * y
	}
	scanned := func(s Scan, name string, kind models.Kind, col []float64) (string, string) {
		table := *base
		table.Columns, table.X = append(slices.Clone(base.Columns), models.Column{Name: name, Kind: kind}), append(slices.Clone(base.X), col)
		leaks, doubts := s.run(&table, 1)
		return strings.Join(leaks, " "), strings.Join(doubts, " ")
	}
	s := Scan{Dates: []string{"closed", "planned", "created"}}
	for _, c := range []struct {
		name        string
		kind        models.Kind
		col         []float64
		leak, doubt string
	}{
		{"reason", models.Category, reason, "in none of the others", ""},
		{"sparse", models.Numeric, sparse, "", ""},
		{"closed", models.Numeric, closed, "distance from the row's time", "date after the row's time in 100 %"},
		{"planned", models.Numeric, planned, "", "date after the row's time in 100 %"},
		{"created", models.Numeric, created, "", ""},
		{"good", models.Numeric, good, "", "alone reaches AUC 0.9"},
	} {
		leak, doubt := scanned(s, c.name, c.kind, c.col)
		if (leak == "") != (c.leak == "") || !strings.Contains(leak, c.leak) || (doubt == "") != (c.doubt == "") || !strings.Contains(doubt, c.doubt) {
			t.Errorf("%s: leaks %q, doubts %q; want %q, %q", c.name, leak, doubt, c.leak, c.doubt)
		}
		if leak != "" && !strings.Contains(leak, `"`+c.name+`"`) {
			t.Errorf("%s is not named: %s", c.name, leak)
		}
		trusting := s
		trusting.Trusted = []string{c.name}
		if leak, doubt := scanned(trusting, c.name, c.kind, c.col); leak+doubt != "" {
			t.Errorf("%s is trusted: %q, %q", c.name, leak, doubt)
		}
	}
	table := *base
	table.At = nil
	table.Columns = append(slices.Clone(base.Columns), models.Column{Name: "created"}, models.Column{Name: "closed"})
	for i := range closed {
		created[i] = closed[i] - day*(1+rng.Float64()+2*base.Y[i]) // without a time it is the two dates that tell
	}
	table.X = append(slices.Clone(base.X), created, closed)
	if leaks, _ := s.run(&table, 1); len(leaks) != 1 || !strings.Contains(leaks[0], `"created" and "closed"`) {
		t.Errorf("two dates: %q", leaks)
	}
}

func TestGateHoldsTheIncumbent(t *testing.T) {
	table := world(4000, 5, false)
	_, good := mustRun(t, table, Config{})
	r, _ := mustRun(t, table, Config{Incumbent: good})
	if !r.Gate.Passed || r.Incumbent == nil || math.Abs(float64(r.Incumbent.Difference)) > 1e-12 {
		t.Errorf("the same model again: %+v %+v", r.Gate, r.Incumbent)
	}
	// A challenger without the column that matters most.
	poor := *table
	poor.X = slices.Clone(table.X)
	poor.X[0] = make([]float64, table.Len())
	for i := range poor.X[0] {
		poor.X[0][i] = math.Round(table.X[0][i] / 4)
	}
	worse := &Gate{}
	worse.fill()
	_, blind := mustRun(t, &poor, Config{})
	rep, _ := mustRun(t, table, Config{Incumbent: blind})
	if !rep.Gate.Passed || rep.Incumbent.DifferenceLo < 0 {
		t.Errorf("better than the model in force, refused: %+v", rep.Gate)
	}
	// Turn the comparison round.
	rep.Incumbent.Difference, rep.Incumbent.DifferenceLo, rep.Incumbent.DifferenceHi = -0.05, -0.07, -0.03
	rep.Incumbent.ECE = rep.Test.ECE - 0.05
	rep.Incumbent.LogLoss = rep.Test.LogLoss - 0.05
	if got := worse.rule(rep); got.Passed || len(got.Reasons) != 3 {
		t.Errorf("worse in three ways: %q", got.Reasons)
	}
	other := &Predictor{Columns: []models.Column{{Name: "elsewhere"}}}
	rep, _ = mustRun(t, table, Config{Incumbent: other})
	if rep.Incumbent != nil || !strings.Contains(strings.Join(rep.Notes, " "), "could not be compared") {
		t.Errorf("notes %q", rep.Notes)
	}
}

func TestWithoutTimeGroupsStayTogether(t *testing.T) {
	table := world(3000, 6, false)
	table.At, table.Known = nil, nil
	table.Group = make([]int64, table.Len())
	for i := range table.Group {
		table.Group[i] = int64(i / 7)
	}
	s, err := divide(table, &Config{}, 9)
	if err != nil {
		t.Fatal(err)
	}
	where := map[int64]string{}
	total := 0
	for name, p := range map[string]part{"train": s.train, "valid": s.valid, "test": s.test} {
		total += len(p.rows)
		for _, i := range p.rows {
			if w, ok := where[table.Group[i]]; ok && w != name {
				t.Fatalf("group %d in %s and %s", table.Group[i], w, name)
			}
			where[table.Group[i]] = name
		}
	}
	if total != table.Len() || math.Abs(float64(len(s.test.rows))-600) > 7 || math.Abs(float64(len(s.valid.rows))-600) > 7 {
		t.Errorf("%d rows: %d valid, %d test", total, len(s.valid.rows), len(s.test.rows))
	}
	r, _ := mustRun(t, table, Config{Seeds: 3})
	if !strings.Contains(r.Split.How, "by chance") || !strings.Contains(strings.Join(r.Notes, " "), "by chance") || r.Split.Train.From != nil {
		t.Errorf("how %q, notes %q", r.Split.How, r.Notes)
	}
	if r.Seeds.AUCSD == 0 {
		t.Error("three splits, no spread")
	}
}

func TestEvalRowsAloneAreMeasured(t *testing.T) {
	table := world(2000, 7, false)
	eval := make([]bool, table.Len())
	for i := range eval {
		eval[i] = i%2 == 0
	}
	r, _ := mustRun(t, table, Config{Cut: Cut{Eval: eval}})
	if r.Split.Test.Rows != 200 || r.Split.Valid.Rows != 200 || r.Split.Train.Rows != 1200 {
		t.Errorf("split %+v", r.Split)
	}
}

func TestBoundariesCanBeNamed(t *testing.T) {
	table := world(2000, 8, false)
	at := func(i int) time.Time { return time.Unix(table.At[i], 0) }
	r, _ := mustRun(t, table, Config{Cut: Cut{TestFrom: at(1500), ValidFrom: at(1000)}})
	// The label of row i is known half a minute after it, so all are in time.
	if r.Split.Train.Rows != 1000 || r.Split.Valid.Rows != 500 || r.Split.Test.Rows != 500 {
		t.Errorf("split %+v", r.Split)
	}
	if _, _, err := Run(context.Background(), table, Config{Cut: Cut{TestFrom: at(500), ValidFrom: at(1000)}}); err == nil {
		t.Error("validation after test was taken")
	}
	// Alone, the start of the validation slice leaves half of what follows to test.
	r, _ = mustRun(t, table, Config{Cut: Cut{ValidFrom: at(1200)}})
	if r.Split.Train.Rows != 1200 || r.Split.Valid.Rows != 400 || r.Split.Test.Rows != 400 {
		t.Errorf("from row 1200 on: %+v", r.Split)
	}
}

func TestFailingLearnerIsShown(t *testing.T) {
	r, p := mustRun(t, world(1500, 9, false), Config{Learners: []models.Learner{logit.Learner{}, fails{}}})
	last := r.Leaderboard[len(r.Leaderboard)-1]
	if p.Learner != "logit" || last.Learner != "fails" || last.Error != "out of luck" {
		t.Errorf("winner %s, last %+v", p.Learner, last)
	}
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	if _, _, err := Run(ctx, world(1500, 9, false), Config{Learners: small()}); !errors.Is(err, context.Canceled) {
		t.Errorf("cancelled: %v", err)
	}
}

type fails struct{}

func (fails) Name() string { return "fails" }
func (fails) Fit(context.Context, *models.Table, *models.Table, uint64) (models.Model, error) {
	return nil, errors.New("out of luck")
}

func TestBadTables(t *testing.T) {
	table := world(1000, 10, false)
	table.Y[5] = 2
	if _, _, err := Run(context.Background(), table, Config{}); err == nil || !strings.Contains(err.Error(), "row 5") {
		t.Errorf("label 2: %v", err)
	}
	table = world(1000, 10, false)
	for i := range table.At {
		table.At[i], table.Known[i] = 5, 5
	}
	if _, _, err := Run(context.Background(), table, Config{}); err == nil || !strings.Contains(err.Error(), "one time") {
		t.Errorf("one time: %v", err)
	}
	if _, _, err := Run(context.Background(), world(1000, 1, false), Config{Cut: Cut{Eval: []bool{true}}}); err == nil {
		t.Error("short Eval was taken")
	}
}

func TestStepsAreTold(t *testing.T) {
	var steps []Step
	rounds := 0
	mustRun(t, world(1500, 11, false), Config{Seeds: 2, Watch: Watch{Progress: func(s Step) { steps = append(steps, s) }, Rounds: func(int, float64, float64) { rounds++ }}})
	if len(steps) != 5 || steps[0].What != "gbdt" || steps[4].Done != 4 || steps[4].Total != 5 || rounds == 0 {
		t.Errorf("%d rounds, steps %+v", rounds, steps)
	}
}

func TestSegments(t *testing.T) {
	table := world(2000, 12, false)
	values := make([]string, table.Len())
	for i := range values {
		values[i] = []string{"north", "south", ""}[i%3]
	}
	r, _ := mustRun(t, table, Config{Segments: []Segmentation{{"region", values}}})
	if len(r.Segments) != 2 || r.Segments[0].Value != "north" || r.Segments[0].Rows+r.Segments[1].Rows < 260 {
		t.Errorf("%+v", r.Segments)
	}
}

// A flexible calibrator looks good on the rows it was fitted on. Scores that
// are noise must not look better than the base rate.
func TestCrossCalibrationDoesNotFlatter(t *testing.T) {
	rng := rand.New(rand.NewPCG(13, 13))
	table := &models.Table{Columns: []models.Column{{Name: "x"}}, X: make([][]float64, 1)}
	raw := make([]float64, 1000)
	block := make([]int, len(raw))
	for i := range raw {
		raw[i], block[i] = rng.Float64(), i*calibrationBlocks/len(raw)
		table.X[0] = append(table.X[0], 0)
		table.Y = append(table.Y, float64(rng.IntN(2)))
	}
	crossed, err := blockwise(calibrate.VennAbers, raw, table, block, false)
	if err != nil {
		t.Fatal(err)
	}
	own, err := calibrate.Fit(calibrate.VennAbers, raw, table.Y, nil)
	if err != nil {
		t.Fatal(err)
	}
	flattered := metric.LogLoss(middles(calibrated(own, raw)), table.Y, nil)
	honest := metric.LogLoss(crossed, table.Y, nil)
	if flattered >= math.Ln2 || honest < math.Ln2 {
		t.Errorf("log loss %.4f on its own rows, %.4f crossed; a coin has %.4f", flattered, honest, math.Ln2)
	}
}

// The last fit may use everything known before the test slice, and nothing of
// it.
func TestTestRowsAreNeverFitted(t *testing.T) {
	table := world(1500, 14, false)
	spy := &watcher{first: table.At[1200]}
	if _, _, err := Run(context.Background(), table, Config{Task: "test", Seeds: 2, Learners: []models.Learner{spy, logit.Learner{}}}); err != nil {
		t.Fatal(err)
	}
	if want := []int{900, 1200}; !slices.Equal(spy.rows, want) || spy.late {
		t.Errorf("fitted on %v rows, want %v; saw test rows: %v", spy.rows, want, spy.late)
	}
}

// watcher remembers what it was fitted on.
type watcher struct {
	first int64
	rows  []int
	late  bool
}

func (w *watcher) Name() string { return "watcher" }
func (w *watcher) Fit(ctx context.Context, train, valid *models.Table, seed uint64) (models.Model, error) {
	w.rows = append(w.rows, train.Len())
	for _, t := range []*models.Table{train, valid} {
		if t != nil && slices.Max(t.At) >= w.first {
			w.late = true
		}
	}
	return BaseRate{}.Fit(ctx, train, valid, seed)
}

func TestWhatCannotBeLoadedCannotWin(t *testing.T) {
	r, p := mustRun(t, world(1500, 15, false), Config{Learners: []models.Learner{oracle{}, logit.Learner{}}})
	if r.Leaderboard[0].Learner != "oracle" || !r.Leaderboard[0].Baseline || p.Learner != "logit" {
		t.Errorf("first %+v, winner %s", r.Leaderboard[0], p.Learner)
	}
}

// oracle knows the world, and no program can load it.
type oracle struct{}

func (oracle) Name() string { return "oracle" }
func (oracle) Fit(context.Context, *models.Table, *models.Table, uint64) (models.Model, error) {
	return oracle{}, nil
}
func (oracle) Predict(dst []float64, t *models.Table) error {
	for i := range dst {
		z := t.X[0][i]
		if t.X[1][i] == models.Code("a") {
			z += 0.8
		}
		dst[i] = 1 / (1 + math.Exp(-z))
	}
	return nil
}
func (oracle) Width() int                     { return 3 }
func (oracle) MarshalBinary() ([]byte, error) { return nil, nil }
