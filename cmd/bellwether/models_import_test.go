package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"math"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"bellwether/datasets"
	"bellwether/datasets/record"
	"bellwether/features"
	"bellwether/models"
	"bellwether/models/exchange"
	"bellwether/models/gbdt"
	"bellwether/models/registry"
	"bellwether/models/trial"
)

// foreign is a model of LightGBM's over x, z and the texts kind and size.
const foreign = "../../models/exchange/testdata/v4_frame.txt"

// framesFile holds rows of the columns of foreign; what came of them is drawn as
// the model says, or by a coin.
func framesFile(t *testing.T, n int, skill bool) string {
	t.Helper()
	rng := rand.New(rand.NewPCG(3, 3))
	m, err := exchange.Read(contentOf(t, foreign))
	if err != nil {
		t.Fatal(err)
	}
	var b strings.Builder
	b.WriteString("size,kind,x,note,z,made,came\n")
	for i := range n {
		x, z, kind, size := rng.NormFloat64(), rng.NormFloat64(), fmt.Sprintf("kind %d é", rng.IntN(70)), rng.IntN(5)*10
		p := []float64{.5}
		if skill {
			m.PredictRows(p, []float64{x, z, models.Code(kind), float64(size)})
		}
		came := 0
		if rng.Float64() < 1/(1+math.Exp(-4*math.Log(p[0]/(1-p[0])))) {
			came = 1
		}
		fmt.Fprintf(&b, "%d,%s,%v,none,%v,2024-%02d-%02d,%d\n", size, kind, x, z, 1+i*12/n, 1+i*12*28/n%28, came)
	}
	return place(t, "frames.csv", b.String())
}

func place(t *testing.T, name, text string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), name)
	if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
	return path
}

func contentOf(t *testing.T, path string) []byte {
	t.Helper()
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func reportOf(t *testing.T, out string) trial.Report {
	t.Helper()
	var r trial.Report
	if err := json.Unmarshal([]byte(out), &r); err != nil {
		t.Fatalf("standard output is not one JSON document: %v\n%s", err, out)
	}
	return r
}

func TestForeignModelIsMeasuredPublishedAndServes(t *testing.T) {
	in, dir := framesFile(t, 3000, true), filepath.Join(t.TempDir(), "models")
	code, out, errs := called("models", "import", foreign, "--models", dir, "--name", "frames", "--in", in, "--label", "came", "--time", "made", "--trained-to", "2024-06-30", "--json")
	if code != 0 {
		t.Fatalf("exit %d: %s", code, errs)
	}
	r := reportOf(t, out)
	if !r.Published || r.Version != "frames@v1" || r.Winner != "lightgbm" || r.Test.AUC < .75 {
		t.Errorf("report %+v", r)
	}
	if from := r.Split.Valid.From.Format("2006-01-02"); from != "2024-07-01" || r.Split.Valid.Rows < 600 || r.Split.Test.Rows < 600 {
		t.Errorf("validation of %d rows from %s, test of %d", r.Split.Valid.Rows, from, r.Split.Test.Rows)
	}
	for _, text := range []string{"LightGBM v4, objective binary sigmoid:1, 6 trees, 4 columns", "published and in force: frames@v1", "lightgbm was fitted on none of these rows.",
		fmt.Sprintf("what is tested is what is published: fitted on none of these rows, calibrated by the %d of the validation slice", r.Split.Valid.Rows),
		fmt.Sprintf("%d to calibrate by, and none to fit on: the model is given: without ", r.Split.Valid.Rows)} {
		if !strings.Contains(errs, text) {
			t.Errorf("standard error lacks %q:\n%s", text, errs)
		}
	}
	if info := listed(t, dir); info.Card.Rows != 0 || !info.Card.From.Equal(*r.Split.Valid.From) || !info.Card.To.Equal(*r.Split.Test.From) {
		t.Errorf("listed as fitted on %d rows from %s to %s", info.Card.Rows, info.Card.From, info.Card.To)
	}
	if strings.Contains(errs, "fitted on first") {
		t.Errorf("it was not fitted here:\n%s", errs)
	}
	_, card, _ := called("models", "card", "frames", "--models", dir)
	for _, text := range []string{"the model was not trained here: v4_frame.txt, SHA-256 ", "trained up to 2024-06-30, as whoever imported it said", "| lightgbm |", "\n4 columns", "mean absolute Shapley value"} {
		if !strings.Contains(card, text) {
			t.Errorf("the card lacks %q:\n%s", text, card)
		}
	}
	scored := filepath.Join(t.TempDir(), "scored.csv")
	if code, _, errs := called("predict", "--models", dir, "--model", "frames", "--in", in, "--out", scored); code != 0 {
		t.Fatalf("predict: %s", errs)
	}
	if lines := strings.Split(string(contentOf(t, scored)), "\n"); !strings.HasSuffix(lines[0], ",came,p,lo,hi") || len(lines) != 3002 {
		t.Errorf("%d lines, %s", len(lines), lines[0])
	}
	back := filepath.Join(t.TempDir(), "back.txt")
	if code, _, errs := called("models", "export", "frames", "--models", dir, "--out", back); code != 0 || !bytes.Equal(contentOf(t, back), contentOf(t, foreign)) {
		t.Errorf("exported, it is another file (exit %d): %s", code, errs)
	}
}

// listed is the one version of a directory, as 'models list' has it.
func listed(t *testing.T, dir string) registry.Info {
	t.Helper()
	var infos []registry.Info
	if code, out, errs := called("models", "list", "--models", dir, "--json"); code != 0 || json.Unmarshal([]byte(out), &infos) != nil || len(infos) != 1 {
		t.Fatalf("exit %d: %s%s", code, out, errs)
	}
	return infos[0]
}

func TestForeignColumnsAreNamedInOrder(t *testing.T) {
	const file = "../../models/exchange/testdata/xgb3_binary.ubj"
	m, err := exchange.Read(contentOf(t, file))
	if err != nil {
		t.Fatal(err)
	}
	rng := rand.New(rand.NewPCG(4, 4))
	var b strings.Builder
	b.WriteString("size,kind,z,x,came\n")
	for range 2000 {
		row := []float64{rng.NormFloat64(), rng.NormFloat64(), float64(rng.IntN(70)), float64(rng.IntN(5))}
		p, came := []float64{0}, 0
		if m.PredictRows(p, row); rng.Float64() < p[0] {
			came = 1
		}
		fmt.Fprintf(&b, "%v,%v,%v,%v,%d\n", row[3], row[2], row[1], row[0], came)
	}
	dir := filepath.Join(t.TempDir(), "models")
	code, out, errs := called("models", "import", file, "--models", dir, "--name", "named", "--in", place(t, "named.csv", b.String()), "--label", "came", "--columns", "x,z,kind,size", "--json")
	if code != 0 {
		t.Fatalf("exit %d: %s", code, errs)
	}
	if r := reportOf(t, out); r.Winner != "xgboost" || r.Version != "named@v1" || r.Test.AUC < .65 {
		t.Errorf("report %+v", r)
	}
	back := filepath.Join(t.TempDir(), "back.ubj")
	if code, _, errs := called("models", "export", "named", "--models", dir, "--out", back); code != 0 || !bytes.Equal(contentOf(t, back), contentOf(t, file)) {
		t.Errorf("exported, it is another file (exit %d): %s", code, errs)
	}
	if code, _, errs := called("models", "export", "named", "--models", dir, "--out", filepath.Join(t.TempDir(), "back.txt")); code != 1 || !strings.Contains(errs, "came from XGBoost 3.2.0, and is written as it came") {
		t.Errorf("as LightGBM text: exit %d, %s", code, errs)
	}
}

func TestForeignModelWithoutSkillIsRefused(t *testing.T) {
	in, dir := framesFile(t, 1500, false), filepath.Join(t.TempDir(), "models")
	code, out, errs := called("models", "import", foreign, "--models", dir, "--in", in, "--label", "came", "--json")
	if r := reportOf(t, out); code != 3 || r.Published || !strings.Contains(errs, "import model") || !strings.Contains(errs, "no skill") || !strings.Contains(strings.Join(r.Notes, " "), "--trained-to measures it on later rows alone") {
		t.Errorf("exit %d, published %v: %s", code, r.Published, errs)
	}
	if left, _ := filepath.Glob(filepath.Join(dir, "*")); len(left) != 0 {
		t.Errorf("published %v", left)
	}
}

func TestImportSaysWhatIsWrong(t *testing.T) {
	frames := framesFile(t, 300, true)
	const kernels = "../../models/exchange/testdata/"
	numbers := place(t, "numbers.csv", "Column_0,Column_1,Column_2,Column_3,came\n"+strings.Repeat("1,2,red,4,1\n2,1,blue,4,0\n", 100))
	narrow := place(t, "narrow.csv", "x,kind,came\n"+strings.Repeat("1,kind 1 é,1\n2,kind 2 é,0\n", 100))
	for _, c := range []struct {
		args string
		code int
		want string
	}{
		{foreign, 2, "measured before it is published"},
		{foreign + " --in " + frames, 2, "--label COLUMN"},
		{foreign + " --in " + frames + " --label came --columns a,b", 2, "2 names for 4 columns; the file calls them x, z, kind, size"},
		{foreign + " --in " + frames + " --label came --trained-to 2024-06-30", 2, "--trained-to needs --time"},
		{foreign + " --in " + frames + " --label came --time made --trained-to june", 2, "--trained-to"},
		{foreign + " --in " + frames + " --label came --name Bad", 2, "--name"},
		{foreign + " --in " + frames + " --data world", 2, "not both"},
		{foreign + " --data world --task both", 2, "win or churn"},
		{foreign + " --data world --name mine", 2, "called by its task"},
		{foreign + " --in " + narrow + " --label came", 1, "the model looks at z, size, which the table does not have"},
		{kernels + "v4_nan.txt --in " + numbers + " --label came", 1, "Column_2"},
		{kernels + "v4_poisson.txt --in " + numbers + " --label came", 1, "its objective poisson answers with numbers of its own scale"},
		{kernels + "refused_classes.txt --in " + numbers + " --label came", 1, "refused_classes.txt: read model: line 3: not supported: num_class is 3"},
		{kernels + "ours_ends.txt --in " + numbers + " --label came", 1, "ours_ends.txt is of a model of when cases end, as " + kernels + "ours_ends.columns.json says"},
		{kernels + "ours_lasts.txt --data world", 1, "'models export NAME --out FILE.tar.gz'"},
		{kernels + "refused_pairwise.json --in " + numbers + " --label came", 1, "learner.objective.name: not supported: objective rank:pairwise"},
		{numbers + " --in " + numbers + " --label came", 1, "neither LightGBM's text"},
	} {
		args := append(strings.Fields("models import "+c.args), "--models", filepath.Join(t.TempDir(), "models"))
		if code, _, errs := called(args...); code != c.code || !strings.Contains(errs, c.want) {
			t.Errorf("%s: exit %d, %q; want %d and %q", c.args, code, errs, c.code, c.want)
		}
	}
}

// A model trained here leaves as LightGBM text and comes back with the columns
// that --encoded made, and says the same.
func TestOurModelLeavesAndComesBack(t *testing.T) {
	in, dir := dealsFile(t, "deals.csv", 2000, true), filepath.Join(t.TempDir(), "models")
	if code, _, errs := called("train", "table", "--in", in, "--sep", ";", "--label", "result", "--time", "created", "--models", dir, "--seeds", "1", "--learners", "gbdt"); code != 0 {
		t.Fatal(errs)
	}
	out := t.TempDir()
	text, encoded := filepath.Join(out, "deals.txt"), filepath.Join(out, "encoded.csv")
	if code, said, errs := called("models", "export", "deals@v1", "--models", dir, "--out", text, "--in", in, "--sep", ";", "--encoded", encoded); code != 0 || !strings.Contains(said, "deals.columns.json") {
		t.Fatalf("exit %d: %s%s", code, said, errs)
	}
	if about := string(contentOf(t, filepath.Join(out, "deals.columns.json"))); !strings.Contains(about, `"region#level"`) || !strings.Contains(about, `"north"`) {
		t.Errorf("the companion does not tell the levels of region: %s", about)
	}
	m, err := exchange.Read(contentOf(t, text))
	if err != nil {
		t.Fatal(err)
	}
	theirs, _, err := datasets.ReadTable(encoded, datasets.TableOptions{Sep: ';', Columns: m.Columns()})
	if err != nil {
		t.Fatal(err)
	}
	over, err := m.Over(theirs.Columns, false)
	if err != nil {
		t.Fatal(err)
	}
	reg, err := registry.Open(dir)
	if err != nil {
		t.Fatal(err)
	}
	a, err := reg.Load("deals", "v1")
	if err != nil {
		t.Fatal(err)
	}
	p, err := trial.LoadPredictor(a.Files["table.bin"])
	if err != nil {
		t.Fatal(err)
	}
	mine, _, err := datasets.ReadTable(in, datasets.TableOptions{Sep: ';', Columns: p.Columns})
	if err != nil {
		t.Fatal(err)
	}
	want, got := make([]float64, mine.Len()), make([]float64, mine.Len())
	if err := errorsOf(p.Model.Predict(want, mine), over.Predict(got, theirs)); err != nil {
		t.Fatal(err)
	}
	for i := range want {
		if math.Abs(want[i]-got[i]) > 1e-12 {
			t.Fatalf("row %d: here %v, with the text %v", i, want[i], got[i])
		}
	}
	if code, _, errs := called("models", "import", text, "--models", dir, "--name", "back", "--in", encoded, "--sep", ";", "--label", "result", "--time", "created"); code != 0 {
		t.Errorf("coming back: %s", errs)
	}
	comesBack(t, dir, text, in, mine, want)
	for args, want := range map[string]string{
		"--out " + filepath.Join(out, "deals.json"): "name a .txt",
		"--out " + text + " --in " + in:             "go together",
		"--out deals.tar.gz --in a --encoded b.csv": "--in goes with --out FILE.txt",
	} {
		if code, _, errs := called(append(strings.Fields("models export deals "+args), "--models", dir)...); code == 0 || !strings.Contains(errs, want) {
			t.Errorf("%s: exit %d, %s", args, code, errs)
		}
	}
}

// comesBack imports a text with the table the model was trained on, whose raw
// answers are want: the columns are made as the file beside it says. It leaves
// again as it came.
func comesBack(t *testing.T, dir, text, in string, mine *models.Table, want []float64) {
	t.Helper()
	args := []string{"models", "import", text, "--models", dir, "--in", in, "--sep", ";", "--label", "result", "--time", "created"}
	code, _, errs := called(append(args, "--name", "own")...)
	if code != 0 || !strings.Contains(errs, "made of columns of the table as deals.columns.json says") {
		t.Fatalf("exit %d: %s", code, errs)
	}
	scored := filepath.Join(t.TempDir(), "scored.csv")
	if code, _, errs := called("predict", "--models", dir, "--model", "own", "--in", in, "--sep", ";", "--out", scored); code != 0 {
		t.Error(errs)
	}
	reg, err := registry.Open(dir)
	if err != nil {
		t.Fatal(err)
	}
	a, p, err := loadPredictor(reg, "own")
	if err != nil {
		t.Fatal(err)
	}
	got := make([]float64, mine.Len())
	table, err := p.Match(mine)
	if err == nil {
		err = p.Model.Predict(got, table)
	}
	if err != nil {
		t.Fatal(err)
	}
	for i := range want {
		if math.Abs(want[i]-got[i]) > 1e-12 {
			t.Fatalf("row %d: here %v, come back %v", i, want[i], got[i])
		}
	}
	again := filepath.Join(t.TempDir(), "again.txt")
	if code, _, errs := called("models", "export", "own", "--models", dir, "--out", again, "--in", in, "--sep", ";", "--encoded", scored); code != 0 {
		t.Error(errs)
	}
	beside := contentOf(t, strings.TrimSuffix(text, ".txt")+".columns.json")
	if !bytes.Equal(contentOf(t, again), contentOf(t, text)) || !bytes.Equal(contentOf(t, strings.TrimSuffix(again, ".txt")+".columns.json"), beside) || !bytes.Equal(a.Files["origin.columns.json"], beside) {
		t.Error("it leaves otherwise than it came")
	}
	alone := place(t, "alone.txt", string(contentOf(t, text)))
	args[2] = alone
	if code, _, errs := called(args...); code != 1 || !strings.Contains(errs, "region#level") || !strings.Contains(errs, "alone.columns.json") {
		t.Errorf("without the file beside it: exit %d: %s", code, errs)
	}
	if err := os.WriteFile(strings.TrimSuffix(alone, ".txt")+".columns.json", []byte("{}"), 0o600); err != nil {
		t.Fatal(err)
	}
	if code, _, errs := called(args...); code != 1 || !strings.Contains(errs, "alone.columns.json") || !strings.Contains(errs, "rename it") {
		t.Errorf("with another file beside it: exit %d: %s", code, errs)
	}
}

func errorsOf(errs ...error) error {
	for _, err := range errs {
		if err != nil {
			return err
		}
	}
	return nil
}

func TestOnlyTreesLeaveAsText(t *testing.T) {
	in, dir := dealsFile(t, "deals.csv", 2000, true), filepath.Join(t.TempDir(), "models")
	if code, _, errs := called("train", "table", "--in", in, "--sep", ";", "--label", "result", "--models", dir, "--seeds", "1", "--learners", "logit"); code != 0 {
		t.Fatal(errs)
	}
	if code, _, errs := called("models", "export", "deals", "--models", dir, "--out", filepath.Join(t.TempDir(), "deals.txt")); code != 1 || !strings.Contains(errs, "deals@v1 is a logit model: only trees") {
		t.Errorf("exit %d: %s", code, errs)
	}
}

// winText is a win model as somebody would train it on the table that 'features'
// writes: every column a number, some left out, in another order.
func winText(t *testing.T, world string) string {
	t.Helper()
	src, err := openData(&streams{Out: &bytes.Buffer{}, Err: &bytes.Buffer{}}, world)
	if err != nil {
		t.Fatal(err)
	}
	rows, err := readOffers(context.Background(), newPurse(src), features.Options{})
	if err != nil {
		t.Fatal(err)
	}
	table := rows.table(rows.labels.Win).Table
	closed := func(i int) bool { return table.Known[i] != never }
	var keep []int
	for i := range table.Len() {
		if closed(i) {
			keep = append(keep, i)
		}
	}
	table = table.Take(keep)
	table.Columns = slices.Clone(table.Columns)
	for j := range table.Columns {
		table.Columns[j].Kind = models.Numeric
	}
	slices.Reverse(table.Columns)
	slices.Reverse(table.X)
	table.Columns, table.X = table.Columns[3:], table.X[3:]
	m, err := gbdt.Learner{Trees: 40, Leaves: 8, Targets: gbdt.Targets{Pairs: -1}}.Fit(context.Background(), table, nil, 1)
	if err != nil {
		t.Fatal(err)
	}
	text, _, err := exchange.Write(m.(*gbdt.Model), table.Columns)
	if err != nil {
		t.Fatal(err)
	}
	return place(t, "offers.txt", string(text))
}

func TestForeignWinModelDecides(t *testing.T) {
	dir := t.TempDir()
	world, models := filepath.Join(dir, "world"), filepath.Join(dir, "models")
	if code, _, stderr := called("synth", "--out", world, "--partners", "20", "--leads", "2500", "--days", "400"); code != 0 {
		t.Fatal(stderr)
	}
	code, out, errs := called("models", "import", winText(t, world), "--models", models, "--data", world, "--json")
	if code != 0 {
		t.Fatalf("exit %d: %s", code, errs)
	}
	if r := reportOf(t, out); r.Version != "win@v1" || r.Winner != "lightgbm" {
		t.Fatalf("report %+v", r)
	}
	code, out, errs = called("route", "--data", world, "--models", models, "--lead", place(t, "lead.json", testLead), "--json", "--greedy")
	if code != 0 {
		t.Fatal(errs)
	}
	var d record.Decision
	if err := json.Unmarshal([]byte(out), &d); err != nil {
		t.Fatal(err)
	}
	if d.Degraded || !strings.HasPrefix(d.Model, "win@v1:") || d.Chosen == "" {
		t.Errorf("degraded %v, model %q, chosen %q", d.Degraded, d.Model, d.Chosen)
	}
}

// One damaged version does not hide the others: it is named with what to do, and
// what was asked for is done.
func TestModelsListNamesTheDamaged(t *testing.T) {
	dir := t.TempDir()
	reg, err := registry.Open(dir)
	if err != nil {
		t.Fatal(err)
	}
	for range 3 {
		if _, err := reg.Publish("deals", map[string][]byte{"table.bin": {1}}, registry.Card{Task: "table", Learner: "gbdt"}); err != nil {
			t.Fatal(err)
		}
	}
	for file, bytes := range map[string][]byte{"v1/manifest.json": []byte("{"), "v3/table.bin": {2}} {
		if err := os.WriteFile(filepath.Join(dir, "deals", file), bytes, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	code, out, errs := called("models", "list", "--models", dir)
	if code != 0 || !strings.Contains(out, "deals@v2") || !strings.Contains(out, "damaged") || !strings.Contains(errs, "warning: deals@v1: ") || !strings.Contains(errs, "warning: deals@v3: ") || !strings.Contains(errs, "restore "+filepath.Join(dir, "deals", "v1")) {
		t.Errorf("exit %d: %s%s", code, out, errs)
	}
	var infos []registry.Info
	if code, out, errs = called("models", "list", "--models", dir, "--json"); code != 0 || json.Unmarshal([]byte(out), &infos) != nil || len(infos) != 3 || infos[0].Damaged == "" || infos[1].Hash == "" || infos[2].Damaged == "" {
		t.Errorf("exit %d: %s%s", code, out, errs)
	}
	if code, _, errs := called("models", "show", "deals@1", "--models", dir); code != 1 || !strings.Contains(errs, "deals@v1") {
		t.Errorf("the damaged one shown: exit %d: %s", code, errs)
	}
}

// A name that nobody published under is an error with those there are.
func TestModelsListOfNobody(t *testing.T) {
	dir := t.TempDir()
	reg, err := registry.Open(dir)
	if err != nil {
		t.Fatal(err)
	}
	list := func(args string, code int, want string) {
		t.Helper()
		if got, out, errs := called(append(strings.Fields("models list "+args), "--models", dir)...); got != code || !strings.Contains(out+errs, want) || code != 0 && out != "" {
			t.Errorf("list %s: exit %d, %s%s; want %d and %q", args, got, out, errs, code, want)
		}
	}
	list("", 0, "IN FORCE")
	list("--json", 0, "[]")
	list("nope", 1, dir+" holds no model nope: there is nothing yet")
	for _, name := range []string{"win", "deals"} {
		if _, err := reg.Publish(name, map[string][]byte{"table.bin": {1}}, registry.Card{}); err != nil {
			t.Fatal(err)
		}
	}
	list("nope", 1, dir+" holds no model nope: there are deals, win")
	list("nope --json", 1, "there are deals, win")
	list("win", 0, "win@v1")
}
