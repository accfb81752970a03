package modeltest_test

import (
	"context"
	"math"
	"math/rand/v2"
	"os"
	"os/exec"
	"strings"
	"testing"

	"bellwether/models"
	"bellwether/models/logit"
	"bellwether/models/modeltest"
)

// broken is a sound learner with one promise broken.
type broken struct{ how string }

func (broken) Name() string { return "broken" }

func (b broken) Fit(ctx context.Context, train, valid *models.Table, seed uint64) (models.Model, error) {
	switch b.how {
	case "ignores cancelling":
		ctx = context.Background()
	case "changes its table":
		if train.Len() > 0 {
			train.X[0][0]++
		}
	case "changes its validation table":
		if valid != nil {
			valid.Y[0] = 1 - valid.Y[0]
		}
	case "learns from one class":
		if train.Check(true) == nil {
			t := train.Take(all(train.Len()))
			t.Y[0], t.Y[1] = 0, 1
			train = t
		}
	case "ignores weights":
		t := *train
		t.Weight = nil
		train = &t
	case "learns nothing":
		if train.Check(true) == nil {
			t := train.Take(all(train.Len()))
			rand.New(rand.NewPCG(seed, 1)).Shuffle(len(t.Y), func(i, j int) { t.Y[i], t.Y[j] = t.Y[j], t.Y[i] })
			train = t
		}
	case "takes infinite inputs":
		t := train.Take(all(train.Len()))
		for _, col := range t.X {
			for i, x := range col {
				if math.IsInf(x, 0) {
					col[i] = 0
				}
			}
		}
		train = t
	}
	m, err := logit.Learner{}.Fit(ctx, train, valid, seed)
	if err != nil {
		return nil, err
	}
	return &brokenModel{Model: m.(*logit.Model), how: b.how, train: train}, nil
}

// forgetful reads batches, and may lose a row of them.
type forgetful struct{ broken }

func (forgetful) ReadsBatches() {}

func (b forgetful) Fit(ctx context.Context, train, valid *models.Table, seed uint64) (models.Model, error) {
	if rows := all(train.Len()); train.In != nil && b.how == "loses a row of batches" {
		train = train.Take(rows[1:])
	}
	return b.broken.Fit(ctx, train.Whole(), valid, seed)
}

func all(n int) []int {
	rows := make([]int, n)
	for i := range rows {
		rows[i] = i
	}
	return rows
}

type brokenModel struct {
	*logit.Model
	how   string
	train *models.Table
	calls int
}

func (m *brokenModel) Predict(dst []float64, t *models.Table) error {
	if m.how == "takes any width" && t.Width() != m.Width() {
		return nil
	}
	if t.In != nil && m.how == "answers batches otherwise" {
		dst[0] = 0.5
		return nil
	}
	if err := m.Model.Predict(dst, t.Whole()); err != nil {
		return err
	}
	switch m.how {
	case "keeps its table":
		dst[0] += m.train.X[0][0] / 1e6
	case "knows its neighbours":
		for i := 1; i < len(dst); i++ {
			dst[i] = dst[i]*.999 + dst[i-1]*.001
		}
	case "remembers calls":
		m.calls++
		dst[0] *= 1 - float64(m.calls)*1e-9
	case "answers NaN":
		for i := range dst {
			if math.IsNaN(t.X[0][i]) {
				dst[i] = math.NaN()
			}
		}
	case "changes the rows":
		t.X[1][0] = 0
	}
	return nil
}

func (m *brokenModel) PredictRows(dst, rows []float64) {
	m.Model.PredictRows(dst, rows)
	switch m.how {
	case "rows differ from the table":
		dst[len(dst)-1] *= 1 + 1e-12
	case "allocates":
		dst[0] = append([]float64{}, dst...)[0]
	}
}

func (m *brokenModel) MarshalBinary() ([]byte, error) {
	b, err := m.Model.MarshalBinary()
	if m.how == "other bytes each time" && err == nil {
		b = append(b, byte(rand.Uint32()))
	}
	return b, err
}

func loadBroken(how string) func([]byte) (models.Model, error) {
	return func(b []byte) (models.Model, error) {
		if how == "other bytes each time" && len(b) > 0 {
			b = b[:len(b)-1]
		}
		m, err := logit.Load(b)
		if err != nil && how == "believes damage" {
			m, err = logit.Load(sound)
		}
		if err != nil {
			return nil, err
		}
		if how == "loads otherwise" {
			return &brokenModel{Model: m, how: "remembers calls", calls: 1}, nil
		}
		return &brokenModel{Model: m, how: how, train: modeltest.Easy(1, 1)}, nil
	}
}

var sound = func() []byte {
	m, err := logit.Learner{}.Fit(context.Background(), modeltest.Easy(100, 1), nil, 1)
	if err != nil {
		panic(err)
	}
	b, err := m.MarshalBinary()
	if err != nil {
		panic(err)
	}
	return b
}()

const howVariable = "MODELTEST_BROKEN"

// TestBroken is run by TestEachBrokenPromiseIsSeen in a process of its own.
func TestBroken(t *testing.T) {
	how, set := os.LookupEnv(howVariable)
	if !set {
		t.Skip("a part of TestEachBrokenPromiseIsSeen")
	}
	var l models.Learner = broken{how}
	if strings.Contains(how, "batches") {
		l = forgetful{broken{how}}
	}
	modeltest.Check(t, l, loadBroken(how), modeltest.Rows(300))
}

func TestEachBrokenPromiseIsSeen(t *testing.T) {
	for _, c := range []struct{ how, part string }{
		{"", ""},
		{"ignores cancelling", "cancelled"},
		{"changes its table", "tables_unchanged"},
		{"changes its validation table", "tables_unchanged"},
		{"changes the rows", "tables_unchanged"},
		{"keeps its table", "tables_unchanged"},
		{"learns from one class", "refuses_to_learn_from"},
		{"takes infinite inputs", "refuses_to_learn_from"},
		{"takes any width", "refuses_to_predict"},
		{"ignores weights", "weight_zero"},
		{"learns nothing", "learns"},
		{"knows its neighbours", "one_row_as_many"},
		{"remembers calls", "refit_forgets"},
		{"answers NaN", "missing,_unseen,_extreme"},
		{"rows differ from the table", "rows_as_the_table"},
		{"allocates", "rows_as_the_table"},
		{"reads batches", ""},
		{"loses a row of batches", "batches_as_the_table"},
		{"answers batches otherwise", "batches_as_the_table"},
		{"other bytes each time", "same_seed_same_bytes"},
		{"believes damage", "damaged_bytes"},
		{"loads otherwise", "save_and_load"},
	} {
		t.Run(c.how, func(t *testing.T) {
			t.Parallel()
			cmd := exec.Command(os.Args[0], "-test.run=^TestBroken$")
			cmd.Env = append(os.Environ(), howVariable+"="+c.how)
			out, err := cmd.CombinedOutput()
			switch {
			case c.part == "" && err != nil:
				t.Errorf("a sound learner fails:\n%s", out)
			case c.part != "" && err == nil:
				t.Error("not seen")
			case c.part != "" && !strings.Contains(string(out), "FAIL: TestBroken/"+c.part):
				t.Errorf("%q did not fail:\n%s", c.part, out)
			}
		})
	}
}
