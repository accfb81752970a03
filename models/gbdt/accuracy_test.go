package gbdt_test

import (
	"compress/gzip"
	"context"
	"encoding/csv"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"testing"

	"bellwether/models"
	"bellwether/models/gbdt"
)

// mix is splitmix64's step, as in testdata/gbdt/oracle.py.
func mix(x uint64) uint64 {
	x += 0x9e3779b97f4a7c15
	x = (x ^ x>>30) * 0xbf58476d1ce4e5b9
	x = (x ^ x>>27) * 0x94d049bb133111eb
	return x ^ x>>31
}

// realTable describes a table of the data directory, with the marks: the best of
// XGBoost 3.2 and LightGBM 4.7 (plain codes, or native categories) on the same
// rows and split, 300 trees of 31 leaves at rate 0.05, mean of five seeds, as
// testdata/gbdt/oracle.py prints them.
type realTable struct {
	name, file string
	label, won string
	group      string // rows of one group stay together; empty: each alone
	leak       []string
	auc, loss  float64
}

// csvTable reads a table; a column of numbers alone is Numeric.
func csvTable(tb testing.TB, d realTable) *models.Table {
	tb.Helper()
	dir := os.Getenv("BELLWETHER_DATA")
	if dir == "" {
		tb.Skip("BELLWETHER_DATA is not set")
	}
	f, err := os.Open(filepath.Join(dir, d.file))
	if err != nil {
		tb.Fatal(err)
	}
	defer f.Close()
	z, err := gzip.NewReader(f)
	if err != nil {
		tb.Fatal(err)
	}
	rows, err := csv.NewReader(z).ReadAll()
	if err != nil {
		tb.Fatal(err)
	}
	t := &models.Table{}
	head, rows := rows[0], rows[1:]
	for j, name := range head {
		col := make([]float64, len(rows))
		numeric := true
		for i, r := range rows {
			v, err := strconv.ParseFloat(r[j], 64)
			numeric = numeric && err == nil
			col[i] = v
		}
		switch {
		case name == d.label:
			t.Y = make([]float64, len(rows))
			for i, r := range rows {
				if r[j] == d.won {
					t.Y[i] = 1
				}
			}
			continue
		case slices.Contains(d.leak, name):
			continue
		case name == d.group:
			t.Group = make([]int64, len(rows))
			for i, v := range col {
				t.Group[i] = int64(v)
			}
			continue
		}
		kind := models.Numeric
		if !numeric {
			kind = models.Category
			for i, r := range rows {
				col[i] = models.Code(r[j])
			}
		}
		t.Columns = append(t.Columns, models.Column{Name: name, Kind: kind})
		t.X = append(t.X, col)
	}
	return t
}

// split parts a table as the oracle does: a fifth of the groups is the test.
func split(t *models.Table, seed uint64) (train, test *models.Table) {
	var in, out []int
	for i := range t.Y {
		g := uint64(i)
		if t.Group != nil {
			g = uint64(t.Group[i])
		}
		if mix(g+seed*1_000_003)%5 == 0 {
			out = append(out, i)
		} else {
			in = append(in, i)
		}
	}
	return t.Take(in), t.Take(out)
}

// auc is the chance that a positive scores above a negative, ties half.
func auc(p, y []float64) float64 {
	order := make([]int, len(p))
	for i := range order {
		order[i] = i
	}
	slices.SortFunc(order, func(a, b int) int {
		if p[a] < p[b] {
			return -1
		} else if p[a] > p[b] {
			return 1
		}
		return 0
	})
	ranks, pos := 0.0, 0.0
	for i := 0; i < len(order); {
		j := i
		for j < len(order) && p[order[j]] == p[order[i]] {
			j++
		}
		for k := i; k < j; k++ {
			if y[order[k]] == 1 {
				ranks += float64(i+j+1) / 2
				pos++
			}
		}
		i = j
	}
	neg := float64(len(p)) - pos
	return (ranks - pos*(pos+1)/2) / (pos * neg)
}

func logLoss(p, y []float64) float64 {
	sum := 0.0
	for i, v := range p {
		if y[i] == 0 {
			v = 1 - v
		}
		sum -= math.Log(max(v, 1e-15))
	}
	return sum / float64(len(p))
}

var realTables = []realTable{
	{
		name: "flights", file: "flights/flight_delays_train.csv.gz",
		label: "dep_delayed_15min", won: "Y",
		auc: 0.74396, loss: 0.42445, // XGBoost, codes
	},
	{
		name: "ibm", file: "ibm_sales/WA_Fn-UseC_-Sales-Win-Loss.csv.gz",
		label: "Opportunity Result", won: "Won", group: "Opportunity Number",
		leak: []string{"Elapsed Days In Sales Stage", "Sales Stage Change Count", "Total Days Identified Through Closing",
			"Total Days Identified Through Qualified", "Ratio Days Identified To Total Days",
			"Ratio Days Validated To Total Days", "Ratio Days Qualified To Total Days"},
		auc: 0.83994, loss: 0.38831, // LightGBM, native categories
	},
}

func fitted(tb testing.TB, l gbdt.Learner, train, valid *models.Table, seed uint64) *gbdt.Model {
	tb.Helper()
	m, err := l.Fit(context.Background(), train, valid, seed)
	if err != nil {
		tb.Fatal(err)
	}
	return m.(*gbdt.Model)
}

func predict(tb testing.TB, m models.Model, t *models.Table) []float64 {
	tb.Helper()
	p := make([]float64, t.Len())
	if err := m.Predict(p, t); err != nil {
		tb.Fatal(err)
	}
	return p
}

// The full comparison: five seeds, or one with -short.
func TestAccuracy(t *testing.T) {
	if underRace {
		t.Skip("accuracy does not depend on the race detector")
	}
	for _, d := range realTables {
		t.Run(d.name, func(t *testing.T) {
			tab := csvTable(t, d)
			seeds := 5
			if testing.Short() {
				seeds = 1
			}
			var meanAUC, meanLoss float64
			for seed := range seeds {
				train, test := split(tab, uint64(seed))
				p := predict(t, fitted(t, gbdt.Learner{Trees: 300}, train, nil, uint64(seed)), test)
				a, l := auc(p, test.Y), logLoss(p, test.Y)
				t.Logf("seed %d: AUC %.5f, log loss %.5f", seed, a, l)
				meanAUC += a / float64(seeds)
				meanLoss += l / float64(seeds)
			}
			t.Logf("mean: AUC %.5f (mark %.5f), log loss %.5f (mark %.5f)", meanAUC, d.auc, meanLoss, d.loss)
			if meanAUC < d.auc || meanLoss > d.loss {
				t.Errorf("AUC %.5f below %.5f or log loss %.5f above %.5f", meanAUC, d.auc, meanLoss, d.loss)
			}
		})
	}
}
