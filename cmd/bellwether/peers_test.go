package main

import (
	"bufio"
	"cmp"
	"context"
	"encoding/binary"
	"fmt"
	"io"
	"math"
	"os"
	"path/filepath"
	"testing"
	"time"

	"bellwether/datasets"
	"bellwether/features"
	"bellwether/health"
	"bellwether/models"
	"bellwether/models/gbdt"
	"bellwether/models/trial"
)

// TestWritePeers writes to the directory BELLWETHER_TABLES what
// models/testdata/gbdt/accuracy.py sets other trainers: of four real tables and
// five seeds the rows that train win, churn and table fit gbdt on and test it
// on, and what it answers.
func TestWritePeers(t *testing.T) {
	dir, data := os.Getenv("BELLWETHER_TABLES"), os.Getenv("BELLWETHER_DATA")
	if dir == "" || data == "" {
		t.Skip("BELLWETHER_TABLES or BELLWETHER_DATA is not set")
	}
	quiet := &streams{Out: io.Discard, Err: io.Discard}
	source := func(t *testing.T, name string) features.Source {
		out := filepath.Join(t.TempDir(), "data")
		if code, _, stderr := called("import", name, "--in", filepath.Join(data, name), "--out", out); code != 0 {
			t.Fatal(stderr)
		}
		src, err := openData(quiet, out)
		if err != nil {
			t.Fatal(err)
		}
		return src
	}
	table := func(t *testing.T, c trial.Config, file string, o datasets.TableOptions) error {
		job := tableJob{in: filepath.Join(data, file), options: o}
		rows, _, err := job.read(quiet, &c)
		if err != nil {
			return err
		}
		_, _, err = trial.Run(t.Context(), rows, c)
		return err
	}
	for _, c := range []struct {
		name  string
		l     models.Learner
		train func(*testing.T, trial.Config) error
	}{
		{"incidents", gbdt.Learner{}, func(t *testing.T, c trial.Config) error {
			_, err := trainWin(t.Context(), source(t, "incidents"), features.Options{}, c)
			return err
		}},
		{"olist", health.Learners([]models.Learner{gbdt.Learner{}})[0], func(t *testing.T, c trial.Config) error {
			_, err := trainChurn(t.Context(), source(t, "olist"), features.Options{}, c, time.Time{})
			return err
		}},
		{"ibm", gbdt.Learner{}, func(t *testing.T, c trial.Config) error {
			return table(t, c, "ibm_sales/WA_Fn-UseC_-Sales-Win-Loss.csv.gz", datasets.TableOptions{
				Label: "Opportunity Result", Group: "Opportunity Number", Drop: []string{"Elapsed Days In Sales Stage", "Sales Stage Change Count",
					"Total Days Identified Through Closing", "Total Days Identified Through Qualified", "Ratio Days Identified To Total Days",
					"Ratio Days Validated To Total Days", "Ratio Days Qualified To Total Days"}})
		}},
		{"flights", gbdt.Learner{}, func(t *testing.T, c trial.Config) error {
			return table(t, c, "flights/flight_delays_train.csv.gz", datasets.TableOptions{Label: "dep_delayed_15min"})
		}},
	} {
		t.Run(c.name, func(t *testing.T) {
			const seeds = 5
			told := 0
			l := recorder{Learner: c.l, file: func(seed uint64, what string) string {
				return filepath.Join(dir, fmt.Sprintf("%s-%d-%s", c.name, seed, what))
			}, told: &told}
			if err := c.train(t, trial.Config{Task: c.name, Learners: []models.Learner{l}, Seeds: seeds}); err != nil {
				t.Fatal(err)
			}
			if told != seeds {
				t.Errorf("%d tests of %d seeds", told, seeds)
			}
		})
	}
}

// recorder is gbdt in a trial: it writes the rows of its last fit, and those that
// model is then tested on.
type recorder struct {
	models.Learner
	file func(seed uint64, what string) string
	told *int // tests written
}

func (r recorder) Fit(ctx context.Context, train, valid *models.Table, seed uint64) (models.Model, error) {
	m, err := r.Learner.Fit(ctx, train, valid, seed)
	if err != nil {
		return nil, err
	}
	out := &recorded{Model: m.(*gbdt.Model), recorder: r, seed: seed, done: valid != nil}
	if out.done {
		return out, nil
	}
	return out, writeTable(r.file(seed, "train"), train, nil)
}

// recorded is a model of recorder.
type recorded struct {
	*gbdt.Model
	recorder
	seed uint64
	done bool // not, or no more, to be recorded
}

func (m *recorded) Refit() models.Learner {
	m.Learner = m.Model.Refit()
	return m.recorder
}

func (m *recorded) Predict(dst []float64, t *models.Table) error {
	if err := m.Model.Predict(dst, t); err != nil || m.done {
		return err
	}
	m.done = true
	*m.told++
	return writeTable(m.file(m.seed, "test"), t, dst)
}

// writeTable writes, as float64: rows and columns, the kind of each column, each
// row's label, weight and answer, the columns.
func writeTable(path string, t *models.Table, answers []float64) error {
	f, err := os.Create(path)
	if err != nil {
		return err
	}
	parts := [][]float64{{float64(t.Len()), float64(t.Width())}, make([]float64, t.Width()), t.Y, t.Weight, answers}
	for j, c := range t.Columns {
		parts[1][j] = float64(c.Kind)
	}
	for k, fill := range map[int]float64{3: 1, 4: math.NaN()} {
		if parts[k] == nil {
			parts[k] = make([]float64, t.Len())
			for i := range parts[k] {
				parts[k][i] = fill
			}
		}
	}
	w := bufio.NewWriter(f)
	for _, part := range append(parts, t.X...) {
		if err := binary.Write(w, binary.LittleEndian, part); err != nil {
			return err
		}
	}
	return cmp.Or(w.Flush(), f.Close())
}
