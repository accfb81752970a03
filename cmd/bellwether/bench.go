package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"math/rand/v2"
	"os"
	"path/filepath"
	"runtime"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"bellwether/datasets"
	"bellwether/datasets/record"
	"bellwether/datasets/synth"
	"bellwether/features"
	"bellwether/models"
	"bellwether/models/gbdt"
	"bellwether/models/registry"
	"bellwether/models/trial"
	"bellwether/serving"
	"bellwether/serving/store"

	"github.com/spf13/cobra"
)

// benchFlags say how large a benchmark is. 0 means each benchmark's own size.
type benchFlags struct {
	rows, columns, trees, leaves    int
	partners, leads, events, client int
}

// benchmarks lists what can be measured. Each prints Go benchmark lines, which
// benchstat compares.
var benchmarks = map[string]struct {
	what string
	run  func(context.Context, *streams, *benchFlags) error
}{
	"score":    {"rows scored by a tree ensemble", benchScore},
	"train":    {"trees fitted on a numeric table", benchTrain},
	"features": {"events of a synthetic world replayed into training rows", benchFeatures},
	"route":    {"leads routed by the engine, every decision synced", benchRoute},
}

func benchCommand(s *streams) *cobra.Command {
	var f benchFlags
	c := &cobra.Command{
		Use:       "bench score|train|features|route",
		Short:     "Measure speed on this machine, in Go benchmark format",
		Long:      "Bench measures one part on made-up data and prints lines in Go benchmark format,\nwhich benchstat compares. Run it several times on a quiet machine: a single figure says little.",
		Example:   "  bellwether bench score\n  bellwether bench route --partners 5000 --clients 16",
		Args:      exactArgs(1),
		ValidArgs: []string{"score", "train", "features", "route"},
		RunE: func(c *cobra.Command, args []string) error {
			b, ok := benchmarks[args[0]]
			if !ok {
				return usageError{fmt.Errorf("bench does not know %q: score, train, features or route", args[0])}
			}
			fmt.Fprintf(s.Out, "goos: %s\ngoarch: %s\npkg: bellwether\n", runtime.GOOS, runtime.GOARCH)
			return b.run(c.Context(), s, &f)
		},
	}
	c.Flags().IntVar(&f.rows, "rows", 0, "rows (score: 512, train: 100000)")
	c.Flags().IntVar(&f.columns, "columns", 0, "columns (score: 80, train: 28)")
	c.Flags().IntVar(&f.trees, "trees", 0, "trees (score: 300, train: 50)")
	c.Flags().IntVar(&f.leaves, "leaves", 0, "leaves of a tree (31)")
	c.Flags().IntVar(&f.partners, "partners", 0, "partners (features: 1000, route: 5000)")
	c.Flags().IntVar(&f.leads, "leads", 0, "leads (features: 50000, route: 20000)")
	c.Flags().IntVar(&f.events, "events", 0, "events to aim at (features: 2000000)")
	c.Flags().IntVar(&f.client, "clients", 0, "callers at once (route: 16)")
	return c
}

// or is n, or a benchmark's own size where n is not set.
func or(n, usual int) int {
	if n > 0 {
		return n
	}
	return usual
}

// benchTable makes a numeric table with something to learn in it.
func benchTable(rows, columns int) *models.Table {
	rng := rand.New(rand.NewPCG(1, 2))
	t := &models.Table{Columns: make([]models.Column, columns), X: make([][]float64, columns), Y: make([]float64, rows)}
	for j := range t.X {
		t.Columns[j].Name = fmt.Sprintf("x%d", j)
		t.X[j] = make([]float64, rows)
		for i := range t.X[j] {
			t.X[j][i] = rng.NormFloat64()
		}
	}
	for i := range t.Y {
		z := t.X[0][i] + t.X[1%columns][i]*t.X[2%columns][i]
		if rng.Float64() < 1/(1+math.Exp(-z)) {
			t.Y[i] = 1
		}
	}
	return t
}

func benchScore(ctx context.Context, s *streams, f *benchFlags) error {
	rows, columns := or(f.rows, 512), or(f.columns, 80)
	learner := gbdt.Learner{Trees: or(f.trees, 300), Leaves: or(f.leaves, 31), EarlyStop: -1}
	fitted, err := learner.Fit(ctx, benchTable(20_000, columns), nil, 1)
	if err != nil {
		return err
	}
	model, t := fitted.(models.RowsPredictor), benchTable(rows, columns)
	flat, dst := make([]float64, rows*columns), make([]float64, rows)
	for i := range rows {
		t.Row(flat[i*columns:(i+1)*columns], i)
	}
	r := testing.Benchmark(func(b *testing.B) {
		for b.Loop() {
			model.PredictRows(dst, flat)
		}
	})
	perRow := float64(r.T.Nanoseconds()) / float64(r.N) / float64(rows)
	fmt.Fprintf(s.Out, "BenchmarkScore/trees=%d/leaves=%d/columns=%d/rows=%d\t%d\t%d ns/op\t%.0f ns/row\t%d allocs/op\n",
		learner.Trees, learner.Leaves, columns, rows, r.N, r.NsPerOp(), perRow, r.AllocsPerOp())
	return nil
}

func benchTrain(ctx context.Context, s *streams, f *benchFlags) error {
	t := benchTable(or(f.rows, 100_000), or(f.columns, 28))
	for _, threads := range []int{1, runtime.GOMAXPROCS(0)} {
		learner := gbdt.Learner{Trees: or(f.trees, 50), Leaves: or(f.leaves, 31), EarlyStop: -1, Threads: threads}
		began := time.Now()
		if _, err := learner.Fit(ctx, t, nil, 1); err != nil {
			return err
		}
		took := time.Since(began)
		fmt.Fprintf(s.Out, "BenchmarkTrain/rows=%d/columns=%d/trees=%d/leaves=%d/threads=%d\t1\t%d ns/op\t%.0f rows·trees/s\n",
			t.Len(), t.Width(), learner.Trees, learner.Leaves, threads, took.Nanoseconds(), float64(t.Len()*learner.Trees)/took.Seconds())
	}
	return nil
}

// benchWorld writes a synthetic world into a directory of its own.
func benchWorld(ctx context.Context, s *streams, dir string, cfg synth.Config) (dirSource, error) {
	data := filepath.Join(dir, "data")
	if err := writeWorld(ctx, s, synth.New(cfg), data, datasets.Parquet, int64(cfg.Leads)); err != nil {
		return dirSource{}, err
	}
	return openData(s, data)
}

func benchFeatures(ctx context.Context, s *streams, f *benchFlags) error {
	features.HugePages()
	dir, err := os.MkdirTemp("", "bellwether-bench-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir) // only what this run made
	src, err := benchWorld(ctx, s, dir, synth.Config{Partners: or(f.partners, 1000), Leads: or(f.leads, 50_000), Events: or(f.events, 2_000_000)})
	if err != nil {
		return err
	}
	schema, err := readSchema(ctx, src)
	if err != nil {
		return err
	}
	set, rows := features.NewSet(schema, features.Options{}), 0
	count := func(r *features.Rows) error { rows += len(r.Keys); return nil }
	began := time.Now()
	_, stats, err := features.Replay(ctx, src, set, features.ReplayOptions{}, features.Sink{Offers: count, Months: count})
	if err != nil {
		return err
	}
	took := time.Since(began)
	var held runtime.MemStats
	runtime.ReadMemStats(&held)
	fmt.Fprintf(s.Out, "BenchmarkFeatures/partners=%d/events=%d\t1\t%d ns/op\t%.0f events/s\t%.0f rows/s\t%.0f MB-held\n", or(f.partners, 1000), stats.Events,
		took.Nanoseconds(), float64(stats.Events)/took.Seconds(), float64(rows)/took.Seconds(), float64(held.Sys-held.HeapReleased)/1e6)
	return nil
}

func benchRoute(ctx context.Context, s *streams, f *benchFlags) (err error) {
	features.HugePages()
	dir, err := os.MkdirTemp("", "bellwether-bench-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir) // only what this run made
	cfg := synth.Config{Partners: or(f.partners, 5000), Leads: or(f.leads, 20_000), End: time.Now().UTC().Truncate(24 * time.Hour)}
	src, err := benchWorld(ctx, s, dir, cfg)
	if err != nil {
		return err
	}
	reg, err := benchModel(ctx, s, dir, src)
	if err != nil {
		return err
	}
	st, err := store.Open(filepath.Join(dir, "store"), store.Options{})
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, st.Close()) }()
	if _, err := serving.Load(ctx, st, src, nil); err != nil {
		return err
	}
	began := time.Now()
	engine, err := serving.Start(ctx, st, reg, serving.Config{})
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, engine.Close()) }()
	fmt.Fprintf(s.Out, "BenchmarkStart/partners=%d\t1\t%d ns/op\n", cfg.Partners, time.Since(began).Nanoseconds())
	var leads []record.Lead
	if err := src.Leads(ctx, func(l *record.Lead) error { leads = append(leads, *l); return nil }); err != nil {
		return err
	}
	return benchClients(ctx, s, engine, leads, f)
}

// benchModel publishes a win model of the world, quickly made.
func benchModel(ctx context.Context, s *streams, dir string, src dirSource) (*registry.Registry, error) {
	cfg := trial.Config{Task: "win", Learners: []models.Learner{&gbdt.Learner{}}, Seeds: -1, Seed: 1}
	m, err := trainWin(ctx, src, features.Options{}, cfg)
	if err != nil {
		return nil, err
	}
	where := filepath.Join(dir, "models")
	if m.win != nil && m.report.Gate.Passed {
		p, err := m.published()
		if err != nil {
			return nil, err
		}
		if err := publishModel(where, m.report, p); err != nil {
			return nil, err
		}
	} else {
		why, _ := json.Marshal(m.report.Gate.Reasons) // a list of strings
		fmt.Fprintf(s.Err, "routing without a model, because the gate said no: %s\n", why)
	}
	return registry.Open(where)
}

// benchClients routes leads of the world under new ids from several callers for
// a few seconds.
func benchClients(ctx context.Context, s *streams, engine *serving.Engine, leads []record.Lead, f *benchFlags) error {
	const long = 5 * time.Second
	clients := or(f.client, 16)
	var n, eligible, slowest atomic.Int64
	var wg sync.WaitGroup
	failed := make(chan error, clients)
	began := time.Now()
	for c := range clients {
		wg.Go(func() {
			for i := c; time.Since(began) < long; i += clients {
				lead := leads[len(leads)-1-i%len(leads)]
				lead.ID, lead.CreatedAt = record.LeadID(fmt.Sprintf("bench-%d", i)), time.Now().UTC()
				at := time.Now()
				r, err := engine.Route(ctx, &lead, serving.RouteOptions{})
				if err != nil {
					failed <- err
					return
				}
				took := time.Since(at).Microseconds()
				for was := slowest.Load(); took > was && !slowest.CompareAndSwap(was, took); was = slowest.Load() {
				}
				n.Add(1)
				eligible.Add(int64(r.Eligible))
			}
		})
	}
	wg.Wait()
	took := time.Since(began)
	select {
	case err := <-failed:
		return err
	default:
	}
	fmt.Fprintf(s.Out, "BenchmarkRoute/clients=%d/eligible=%d\t%d\t%d ns/op\t%.0f leads/s\t%d max-us\n", clients, eligible.Load()/max(1, n.Load()),
		n.Load(), took.Nanoseconds()/max(1, n.Load()), float64(n.Load())/took.Seconds(), slowest.Load())
	return nil
}
