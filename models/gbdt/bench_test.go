package gbdt_test

import (
	"bufio"
	"cmp"
	"context"
	"encoding/binary"
	"fmt"
	"math"
	"math/rand/v2"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"testing"

	"bellwether/models"
	"bellwether/models/gbdt"
)

// numbersTable is n rows of w numbers whose label needs several of them.
func numbersTable(n, w int, seed uint64) *models.Table {
	rng := rand.New(rand.NewPCG(seed, 6))
	t := &models.Table{X: make([][]float64, w), Y: make([]float64, n)}
	for j := range w {
		t.Columns = append(t.Columns, models.Column{Name: fmt.Sprint("x", j)})
		t.X[j] = make([]float64, n)
		for i := range n {
			t.X[j][i] = rng.NormFloat64()
		}
	}
	for i := range n {
		s := 0.0
		for j := 0; j+3 < w; j += 4 {
			s += t.X[j][i]*t.X[j+1][i] + math.Sin(3*t.X[j+2][i]) + 0.5*t.X[j+3][i]
		}
		if rng.Float64() < 1/(1+math.Exp(-s/math.Sqrt(float64(w)/4))) {
			t.Y[i] = 1
		}
	}
	return t
}

// flightsLike has the columns of a table of flights: small and large
// categories, two numbers that repeat.
func flightsLike(n int) *models.Table {
	rng := rand.New(rand.NewPCG(1, 6))
	t := &models.Table{X: make([][]float64, 8)}
	levels := []int{12, 31, 7, 0, 22, 290, 290, 0}
	for j, k := range levels {
		kind := models.Category
		if k == 0 {
			kind = models.Numeric
		}
		t.Columns = append(t.Columns, models.Column{Name: fmt.Sprint("x", j), Kind: kind})
	}
	for range n {
		s := -1.5
		for j, k := range levels {
			v := rng.IntN(max(k, 1300))
			if k > 0 {
				v = rng.IntN(k)
				s += 0.4 * math.Sin(float64(mix(uint64(v*10+j))%1000))
				t.X[j] = append(t.X[j], code("c", v))
			} else {
				s += 0.6 * math.Sin(float64(v)/200)
				t.X[j] = append(t.X[j], float64(v))
			}
		}
		t.Y = append(t.Y, float64(b2i(rng.Float64() < 1/(1+math.Exp(-s)))))
	}
	return t
}

// numbered is a table with its categories numbered, as trainers that know none
// take them.
func numbered(t *models.Table) *models.Table {
	u := *t
	u.Columns, u.X = slices.Clone(t.Columns), slices.Clone(t.X)
	for j, c := range t.Columns {
		if c.Kind == models.Numeric {
			continue
		}
		levels := slices.Clone(t.X[j])
		slices.Sort(levels)
		levels = slices.Compact(levels)
		u.Columns[j].Kind, u.X[j] = models.Numeric, make([]float64, len(t.X[j]))
		for i, v := range t.X[j] {
			k, _ := slices.BinarySearch(levels, v)
			u.X[j][i] = float64(k)
		}
	}
	return &u
}

// fits are what BenchmarkFit measures, and testdata/gbdt/speed.py others on.
var fits = []struct {
	name string
	make func() *models.Table
	l    gbdt.Learner
	slow bool
}{
	{"flights-100kx8-300x31", func() *models.Table { return flightsLike(100_000) }, gbdt.Learner{Trees: 300, FeatureFraction: 1}, false},
	{"codes-100kx8-300x31", func() *models.Table { return numbered(flightsLike(100_000)) }, gbdt.Learner{Trees: 300, L2: -1, FeatureFraction: 1, Targets: gbdt.Targets{Pairs: -1}}, false},
	{"numbers-1Mx28-50x255", func() *models.Table { return numbersTable(1_000_000, 28, 1) }, large, true},
}

var large = gbdt.Learner{Trees: 50, Leaves: 255, LearningRate: 0.1, L2: -1, FeatureFraction: 1}

// BenchmarkFitLarge is one fit of BELLWETHER_ROWS rows of 28 numbers, for
// testdata/gbdt/memory.py to weigh its process.
func BenchmarkFitLarge(b *testing.B) {
	rows, err := strconv.Atoi(os.Getenv("BELLWETHER_ROWS"))
	if err != nil {
		b.Skip("BELLWETHER_ROWS is not a number of rows")
	}
	t := numbersTable(rows, 28, 1)
	for b.Loop() {
		if _, err := large.Fit(context.Background(), t, nil, 1); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkFit(b *testing.B) {
	for _, c := range fits {
		if c.slow && testing.Short() {
			continue
		}
		var t *models.Table
		for _, threads := range []int{1, 2} {
			b.Run(fmt.Sprintf("%s/threads-%d", c.name, threads), func(b *testing.B) {
				if t == nil {
					t = c.make()
				}
				c.l.Threads = threads
				b.ResetTimer()
				before := processorTime()
				for b.Loop() {
					if _, err := c.l.Fit(context.Background(), t, nil, 1); err != nil {
						b.Fatal(err)
					}
				}
				b.ReportMetric(float64(processorTime()-before)/float64(b.N), "cpu-ns/op")
			})
		}
	}
}

// BenchmarkFitMemory tells what a fit holds beside the table, a row: of 28 inputs,
// whose bins alone are 28 bytes; and all it ever allocated, which it holds at most.
func BenchmarkFitMemory(b *testing.B) {
	if testing.Short() {
		b.Skip("two million rows")
	}
	t := numbersTable(2_000_000, 28, 1)
	batches, timed := *t, *t
	batches.X, batches.In = nil, inBatches(t, 1<<16)
	timed.At = make([]int64, t.Len())
	for i := range timed.At {
		timed.At[i] = int64(t.Len() - i)
	}
	for _, c := range []struct {
		name string
		t    *models.Table
	}{{"columns", t}, {"batches", &batches}, {"newest-first", &timed}} {
		b.Run(c.name, func(b *testing.B) { fitMemory(b, c.t) })
	}
}

func fitMemory(b *testing.B, t *models.Table) {
	var m runtime.MemStats
	held := func() float64 {
		runtime.GC()
		runtime.ReadMemStats(&m)
		return float64(m.HeapAlloc)
	}
	before, most := held(), 0.0
	total := m.TotalAlloc
	l := gbdt.Learner{Trees: 2, Leaves: 255, L2: -1, FeatureFraction: 1, Progress: func(int, float64, float64) { most = max(most, held()) }}
	for b.Loop() {
		if _, err := l.Fit(context.Background(), t, nil, 1); err != nil {
			b.Fatal(err)
		}
	}
	runtime.ReadMemStats(&m)
	b.ReportMetric((most-before)/float64(t.Len()), "held-B/row")
	b.ReportMetric(float64(m.TotalAlloc-total)/float64(t.Len()*b.N), "allocated-B/row")
}

// inBatches is the table's inputs in batches of so many rows.
func inBatches(t *models.Table, rows int) *models.Inputs {
	var batches []models.Batch
	for lo := 0; lo < t.Len(); lo += rows {
		var part [][]float64
		for _, x := range t.X {
			part = append(part, x[lo:min(lo+rows, len(x))])
		}
		batches = append(batches, models.InputsOf(part))
	}
	return models.NewInputs(batches...)
}

// TestWriteTables writes the tables of BenchmarkFit for other trainers to the
// directory BELLWETHER_TABLES: of each, its rows and columns, then the labels and
// the columns, all as float64. Categories are numbered.
func TestWriteTables(t *testing.T) {
	dir := written(t)
	for _, c := range fits {
		t.Run(c.name, func(t *testing.T) {
			tab := numbered(c.make())
			writeFloats(t, filepath.Join(dir, c.name), append([][]float64{{float64(tab.Len()), float64(tab.Width())}, tab.Y}, tab.X...)...)
		})
	}
}

// written is the directory BELLWETHER_TABLES.
func written(t *testing.T) string {
	dir := os.Getenv("BELLWETHER_TABLES")
	if dir == "" {
		t.Skip("BELLWETHER_TABLES is not set")
	}
	return dir
}

func writeFloats(t *testing.T, path string, parts ...[]float64) {
	f, err := os.Create(path)
	if err != nil {
		t.Fatal(err)
	}
	w := bufio.NewWriter(f)
	for _, part := range parts {
		if err := binary.Write(w, binary.LittleEndian, part); err != nil {
			t.Fatal(err)
		}
	}
	if err := cmp.Or(w.Flush(), f.Close()); err != nil {
		t.Fatal(err)
	}
}

func TestPredictRowsAllocatesNothing(t *testing.T) {
	tab := mixed(2000, 1)
	m := fitted(t, gbdt.Learner{Trees: 20}, tab, nil, 1)
	rows, dst := make([]float64, 6*13), make([]float64, 13)
	for i := range dst {
		tab.Row(rows[6*i:6*i+6], i)
	}
	if n := testing.AllocsPerRun(50, func() { m.PredictRows(dst, rows) }); n != 0 {
		t.Errorf("%v allocations", n)
	}
}
