package gbdt_test

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"bellwether/models"
	"bellwether/models/exchange"
	"bellwether/models/gbdt"
)

// The benchmarks of scoring are of the models and rows that TestWriteModels
// writes for testdata/gbdt/score.py.
const (
	rowWidth     = 80
	rowsApart    = 1000 // so that no way down is learned by heart
	rowsTold     = 100  // of which contributions are written
	routeWidth   = 60
	mostPartners = 10_000
)

func rowModel(tb testing.TB) *gbdt.Model   { return sized(tb, 200, 63, rowWidth) }
func routeModel(tb testing.TB) *gbdt.Model { return sized(tb, 300, 32, routeWidth) }

func sized(tb testing.TB, trees, leaves, width int) *gbdt.Model {
	return fitted(tb, gbdt.Learner{Trees: trees, Leaves: leaves, EarlyStop: -1}, numbersTable(20_000, width, 1), nil, 1)
}

// rowsOf is n rows one after another.
func rowsOf(n, width int) []float64 {
	t := numbersTable(n, width, 2)
	rows := make([]float64, n*width)
	for i := range n {
		t.Row(rows[i*width:(i+1)*width], i)
	}
	return rows
}

// routeSides is the case of routing: 15 columns of the lead, 30 of the partner, 15
// of the pair.
func routeSides() []uint8 { return slices.Repeat([]uint8{0, 1, 1, 2}, routeWidth/4) }

// routeRows is a row for each partner, all of one lead.
func routeRows(partners int) []float64 {
	rows, side := rowsOf(partners, routeWidth), routeSides()
	for i := range rows {
		if side[i%routeWidth] == 0 {
			rows[i] = rows[i%routeWidth]
		}
	}
	return rows
}

// perRow repeats f and reports what each of its n rows took.
func perRow(b *testing.B, n int, f func()) {
	b.ReportAllocs()
	before := processorTime()
	for b.Loop() {
		f()
	}
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N*n), "ns/row")
	b.ReportMetric(float64(processorTime()-before)/float64(b.N*n), "cpu-ns/row")
}

// BenchmarkRow is 200 trees of 63 leaves, one row at a time.
func BenchmarkRow(b *testing.B) {
	m, rows, dst, i := rowModel(b), rowsOf(rowsApart, rowWidth), make([]float64, 1), 0
	perRow(b, 1, func() {
		m.PredictRows(dst, rows[i*rowWidth:(i+1)*rowWidth])
		i = (i + 1) % rowsApart
	})
}

// BenchmarkContributions is the same model.
func BenchmarkContributions(b *testing.B) {
	m, rows, dst, i := rowModel(b), rowsOf(rowsTold, rowWidth), make([]float64, rowWidth), 0
	perRow(b, 1, func() {
		m.Contributions(dst, rows[i*rowWidth:(i+1)*rowWidth])
		i = (i + 1) % rowsTold
	})
}

// BenchmarkFactor is 300 trees of 32 leaves, all partners of a lead at once: by
// parts, those of the partners made before, and by whole rows.
func BenchmarkFactor(b *testing.B) {
	benchmarkFactor(b, "", routeModel(b))
	hazard := gbdt.Learner{Objective: gbdt.Hazard{}, Trees: 300, Leaves: 32, EarlyStop: -1}
	benchmarkFactor(b, "hazard-", fitted(b, hazard, aged(numbersTable(20_000, routeWidth, 1)), nil, 1))
}

func benchmarkFactor(b *testing.B, name string, m *gbdt.Model) {
	f, ok := m.Factor(routeSides())
	if !ok {
		b.Fatal("cannot be factored")
	}
	for _, n := range []int{500, mostPartners} {
		rows, dst := routeRows(n), make([]float64, n)
		lead, candidates, pairs := parts(f, rows)
		of := make([]uint64, f.Words())
		b.Run(fmt.Sprintf("%spartners-%d/by-parts", name, n), func(b *testing.B) {
			perRow(b, n, func() {
				f.Reach(of, 0, lead)
				f.Scores(dst, of, candidates, pairs)
			})
		})
		b.Run(fmt.Sprintf("%spartners-%d/whole-rows", name, n), func(b *testing.B) {
			perRow(b, n, func() { m.PredictRows(dst, rows) })
		})
	}
}

// parts takes rows of one lead apart, and makes the partners' words.
func parts(f models.Factored, rows []float64) (lead []float64, candidates [][]uint64, pairs []float64) {
	side := routeSides()
	own := make([][]float64, len(rows)/routeWidth)
	for i, x := range rows {
		switch side[i%routeWidth] {
		case 0:
			if i < routeWidth {
				lead = append(lead, x)
			}
		case 1:
			own[i/routeWidth] = append(own[i/routeWidth], x)
		default:
			pairs = append(pairs, x)
		}
	}
	for _, x := range own {
		words := make([]uint64, f.Words())
		f.Reach(words, 1, x)
		candidates = append(candidates, words)
	}
	return lead, candidates, pairs
}

// TestWriteModels writes the models of the benchmarks of scoring, as LightGBM
// text, to the directory BELLWETHER_TABLES, and beside each what it is asked and
// answers, as float64: how many rows, columns, and answers a row; answers; rows.
func TestWriteModels(t *testing.T) {
	dir := written(t)
	row, route := rowModel(t), routeModel(t)
	answers := func(m *gbdt.Model, rows []float64) []float64 {
		out := make([]float64, len(rows)/m.Width())
		m.PredictRows(out, rows)
		return out
	}
	write := func(name string, m *gbdt.Model, rows, answers []float64) {
		columns := numbersTable(1, m.Width(), 1).Columns
		text, c, err := exchange.Write(m, columns)
		if err != nil {
			t.Fatal(err)
		}
		if len(c.Features) != m.Width() {
			t.Fatalf("%s: %d features of %d columns: the rows would need encoding", name, len(c.Features), m.Width())
		}
		if err := os.WriteFile(filepath.Join(dir, name+".txt"), text, 0o644); err != nil {
			t.Fatal(err)
		}
		n := len(rows) / m.Width()
		writeFloats(t, filepath.Join(dir, name), []float64{float64(n), float64(m.Width()), float64(len(answers) / n)}, answers, rows)
	}
	rows := rowsOf(rowsApart, rowWidth)
	write("row", row, rows, answers(row, rows))
	var told []float64
	for i := range rowsTold {
		out := make([]float64, rowWidth)
		start := row.Contributions(out, rows[i*rowWidth:(i+1)*rowWidth])
		told = append(append(told, out...), start)
	}
	write("contributions", row, rows[:rowsTold*rowWidth], told)
	for _, n := range []int{500, mostPartners} {
		rows := routeRows(n)
		write(fmt.Sprint("partners-", n), route, rows, answers(route, rows))
	}
}
