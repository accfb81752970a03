package trial

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"slices"
	"testing"

	"bellwether/models"
	"bellwether/models/logit"
)

// inBatches is the table with its inputs in three batches.
func inBatches(t *models.Table) *models.Table {
	u := *t
	var batches []models.Batch
	for k := range 3 {
		var part [][]float64
		for _, x := range t.X {
			part = append(part, x[k*len(x)/3:(k+1)*len(x)/3])
		}
		batches = append(batches, models.InputsOf(part))
	}
	u.X, u.In = nil, models.NewInputs(batches...)
	return &u
}

// columnar is a learner that reads columns and nothing else, as do its models.
type columnar struct{ models.Learner }

type columnarModel struct{ models.Model }

func (l columnar) Fit(ctx context.Context, train, valid *models.Table, seed uint64) (models.Model, error) {
	if train.In != nil || valid != nil && valid.In != nil {
		return nil, errors.New("not columns")
	}
	m, err := l.Learner.Fit(ctx, train, valid, seed)
	return columnarModel{m}, err
}

func (m columnarModel) Predict(dst []float64, t *models.Table) error {
	if t.In != nil {
		return errors.New("not columns")
	}
	return m.Model.Predict(dst, t)
}

func TestBatchesAreTriedAsTheTableTheyMake(t *testing.T) {
	whole := world(2500, 7, false)
	_, incumbent := mustRun(t, whole, Config{})
	beside := &models.Table{Columns: []models.Column{{Name: "who"}}, X: [][]float64{make([]float64, whole.Len())}}
	for i := range beside.X[0] {
		beside.X[0][i] = float64(i % 9)
	}
	var want [2][]byte
	learners := []models.Learner{small()[0], columnar{logit.Learner{}}}
	for k, lies := range []func(*models.Table) *models.Table{(*models.Table).Whole, inBatches} {
		r, p := mustRun(t, lies(whole), Config{Learners: learners, Seeds: 2, Rates: []string{"who", "c"}, Whose: "c", Beside: lies(beside), Incumbent: incumbent, Scan: Scan{Dates: []string{"x", "dust"}}})
		report, err := json.Marshal(r)
		if err != nil {
			t.Fatal(err)
		}
		model, err := p.MarshalBinary()
		if err != nil {
			t.Fatal(err)
		}
		if k == 0 {
			want = [2][]byte{report, model}
		}
		for _, row := range r.Leaderboard {
			if row.Error != "" {
				t.Errorf("%s: %s", row.Learner, row.Error)
			}
		}
		if !bytes.Equal(report, want[0]) {
			t.Errorf("another report:\n%s\n%s", report, want[0])
		}
		if !bytes.Equal(model, want[1]) {
			t.Error("another model")
		}
	}
	got, scored := make([]Probability, 2*predictedRows+1), make([]Probability, 2*predictedRows+1)
	many := whole.Take(make([]int, len(got)))
	copy(many.X[0][predictedRows-1:], whole.X[0])
	if err := errors.Join(incumbent.Predict(scored, many), incumbent.Predict(got, inBatches(many))); err != nil || !slices.Equal(got, scored) {
		t.Errorf("other answers (%v)", err)
	}
	f, err := NewFolds(whole, Config{}, 3)
	if err != nil {
		t.Fatal(err)
	}
	g, err := NewFolds(inBatches(whole), Config{}, 3)
	if err != nil || f.Fingerprint() != g.Fingerprint() {
		t.Errorf("other folds (%v)", err)
	}
}
