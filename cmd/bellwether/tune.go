package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"math"
	"os"
	"path/filepath"
	"strings"
	"time"

	"bellwether/datasets/record"
	"bellwether/models"
	"bellwether/models/gbdt"
	"bellwether/models/trial"
	"bellwether/models/tune"

	"github.com/jedib0t/go-pretty/v6/table"
	"github.com/schollz/progressbar/v3"
	"github.com/spf13/cobra"
	"go.yaml.in/yaml/v3"
)

// Files of a search.
const (
	tuneState   = "state.json"  // what was evaluated, to go on from
	tuneResult  = "tuning.json" // what --json prints
	tuneBest    = "best.yaml"   // what train --params takes
	tunePicture = "tuning.svg"
)

// tuneFlags are what every kind of tuning takes.
type tuneFlags struct {
	out                 string
	draws, folds, trees int
	seed                uint64
	json                bool
}

func (f *tuneFlags) add(c *cobra.Command) {
	c.Flags().StringVar(&f.out, "out", "", "directory for the result and the state; the same command on the same directory goes on where it was stopped")
	c.Flags().IntVar(&f.draws, "draws", 26, "settings to try beside the defaults")
	c.Flags().IntVar(&f.folds, "folds", 4, "steps of the cross-validation")
	c.Flags().IntVar(&f.trees, "max-trees", 800, "trees of a fit, at most")
	c.Flags().Uint64Var(&f.seed, "seed", 1, "seed of everything random")
	c.Flags().BoolVar(&f.json, "json", false, "print the result as one JSON document on standard output")
}

func tuneCommand(s *streams) *cobra.Command {
	c := &cobra.Command{
		Use:   "tune win|churn|table",
		Short: "Search the settings of the trees, without touching the test rows",
		Long: `Tune tries settings of gbdt (leaves, learning rate, rows in a leaf, L2, fractions of
rows and columns, pairs of categories; the number of trees falls out of each fit) by
cross-validation forward in time within the rows before the test slice, which it
leaves alone. All are judged on the newest fold, the best third on the next too, and
so on; the defaults take part to the end. The same data, flags and seed give the
same result; stopped, the same command goes on where it was.

DIR then holds best.yaml for 'bellwether train … --params DIR/best.yaml',
tuning.json with everything tried, tuning.svg with the loss against each setting,
and state.json.`,
		Example: "  bellwether tune win --data world --out tuned && bellwether train win --data world --params tuned/best.yaml --models models",
		Args:    noArgs,
		RunE: func(*cobra.Command, []string) error {
			return usageError{errors.New("say what to tune: win, churn or table; see 'bellwether tune --help'")}
		},
	}
	c.AddCommand(tuneWinCommand(s), tuneChurnCommand(s), tuneTableCommand(s))
	return c
}

func tuneWinCommand(s *streams) *cobra.Command {
	var f tuneFlags
	var data, config string
	c := &cobra.Command{
		Use:     "win --data DIR --out DIR",
		Short:   "Settings for the model of who wins a lead",
		Example: "  bellwether tune win --data world --out tuned\n  bellwether tune win --data world --out tuned --draws 53 --folds 5 --json",
		Args:    noArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			cfg, err := f.config("win")
			if err != nil {
				return err
			}
			src, err := openData(s, data)
			if err != nil {
				return err
			}
			options, err := readOptions(config)
			if err != nil {
				return err
			}
			rows, err := readOffers(c.Context(), src, options)
			if err != nil {
				return err
			}
			t, err := rows.winTable(&cfg)
			if err != nil {
				return err
			}
			return f.search(c.Context(), s, t.Table, cfg)
		},
	}
	f.add(c)
	c.Flags().StringVar(&data, "data", "", "data directory")
	addConfig(c, &config)
	return c
}

func tuneChurnCommand(s *streams) *cobra.Command {
	var f tuneFlags
	var data, config, from string
	c := &cobra.Command{
		Use:     "churn --data DIR --out DIR",
		Short:   "Settings for the model of which partners leave",
		Example: "  bellwether tune churn --data world --out tuned\n  bellwether tune churn --data olist-data --test-from 2018-06-01 --folds 3 --out tuned",
		Args:    noArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			cfg, err := f.config("churn")
			if err != nil {
				return err
			}
			testFrom, err := parseTestFrom(from)
			if err != nil {
				return err
			}
			src, err := openData(s, data)
			if err != nil {
				return err
			}
			options, err := readOptions(config)
			if err != nil {
				return err
			}
			rows, err := readMonths(c.Context(), src, options, testFrom)
			if err != nil {
				return err
			}
			rows.complete(&cfg)
			return f.search(c.Context(), s, rows.Table, cfg)
		},
	}
	f.add(c)
	c.Flags().StringVar(&data, "data", "", "data directory")
	addConfig(c, &config)
	addTestFrom(c, &from)
	return c
}

func tuneTableCommand(s *streams) *cobra.Command {
	var f tuneFlags
	var t tableFlags
	c := &cobra.Command{
		Use:   "table --in FILE --label COLUMN --out DIR",
		Short: "Settings for any table; see 'bellwether train table --help'",
		Example: `  bellwether tune table --in flights.csv.gz --label dep_delayed_15min --positive Y --out tuned
  bellwether train table --in flights.csv.gz --label dep_delayed_15min --positive Y --params tuned/best.yaml`,
		Args: noArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			job, err := t.job(c)
			if err != nil {
				return err
			}
			cfg, err := f.config(tableTask)
			if err != nil {
				return err
			}
			rows, _, err := job.read(s, &cfg)
			if err != nil {
				return err
			}
			return f.search(c.Context(), s, rows, cfg)
		},
	}
	t.add(c)
	f.add(c)
	return c
}

// config starts the Config of the trial whose test slice is left alone.
func (f *tuneFlags) config(task string) (trial.Config, error) {
	if f.out == "" {
		return trial.Config{}, usageError{errors.New("--out is needed: a directory for the result")}
	}
	if f.draws < 1 || f.folds < 2 || f.trees < 10 {
		return trial.Config{}, usageError{fmt.Errorf("--draws %d, --folds %d, --max-trees %d: at least 1, 2 and 10", f.draws, f.folds, f.trees)}
	}
	return trial.Config{Task: task, Seed: f.seed, Learners: []models.Learner{gbdt.Learner{}}}, asDirectory("--out", f.out)
}

// search tunes on a table and writes what it found.
func (f *tuneFlags) search(ctx context.Context, s *streams, t *models.Table, cfg trial.Config) error {
	folds, err := trial.NewFolds(t, cfg, f.folds)
	var refusal *trial.Refusal
	if errors.As(err, &refusal) {
		return record.Errorf(record.Refused, "tune "+cfg.Task, "%s; fewer folds (--folds) need fewer rows", strings.Join(refusal.Reasons, "; "))
	}
	if err != nil {
		return err
	}
	fmt.Fprintln(s.Err, folds.How)
	if err := os.MkdirAll(f.out, 0o777); err != nil {
		return err
	}
	state, err := f.state(s)
	if err != nil {
		return err
	}
	search := tune.Search{Task: cfg.Task, Draws: f.draws, MaxTrees: f.trees, Seed: f.seed, Save: f.save}
	for _, l := range cfg.Learners {
		if g, ok := l.(gbdt.Learner); ok {
			search.Base = g
		}
	}
	var done func()
	search.Progress, done = tuneProgress(s)
	r, err := search.Run(ctx, folds, state)
	done()
	switch {
	case errors.Is(err, tune.ErrOther):
		return record.Errorf(record.Conflict, "", "%s is of a search with other rows, folds or settings: name another --out, or remove it", filepath.Join(f.out, tuneState))
	case ctx.Err() != nil:
		return fmt.Errorf("%w; the same command goes on from %s", err, f.out)
	case err != nil:
		return err
	}
	return f.finish(s, r)
}

// state reads what an earlier run left, nil if there was none.
func (f *tuneFlags) state(s *streams) (*tune.State, error) {
	path := filepath.Join(f.out, tuneState)
	b, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	var state tune.State
	if err := json.Unmarshal(b, &state); err != nil {
		return nil, fmt.Errorf("%s: %w; remove it to begin anew", path, err)
	}
	fmt.Fprintf(s.Err, "going on after %d fits\n", len(state.Done))
	return &state, nil
}

func (f *tuneFlags) save(state *tune.State) error {
	b, err := json.Marshal(state)
	if err != nil {
		return err
	}
	return writtenBytes(filepath.Join(f.out, tuneState), b)
}

// finish writes the files of the result and tells it.
func (f *tuneFlags) finish(s *streams, r *tune.Result) error {
	result, err := json.MarshalIndent(r, "", "  ")
	if err != nil {
		return err
	}
	settings, err := yaml.Marshal(r.Best.Params)
	if err != nil {
		return err
	}
	picture, err := r.SVG()
	if err != nil {
		return err
	}
	head := fmt.Sprintf("# Settings of gbdt for %s: log loss %s over %d folds, %s by default.\n", r.Task, shown(r.Best.Loss), len(r.Folds), shown(r.Default.Loss))
	for name, b := range map[string][]byte{tuneResult: append(result, '\n'), tuneBest: append([]byte(head), settings...), tunePicture: picture} {
		if err := writtenBytes(filepath.Join(f.out, name), b); err != nil {
			return err
		}
	}
	printTuning(s.Err, r, f.trees)
	fmt.Fprintf(s.Err, "wrote %s\n", filepath.Join(f.out, tuneBest))
	if f.json {
		return writeJSON(s.Out, r)
	}
	return nil
}

// tuneLines writes a line before each tenth of the fits, and when a minute has
// passed since the last.
func tuneLines(w io.Writer, now func() time.Time) func(tune.Step) {
	tenth, told := -1, time.Time{}
	return func(at tune.Step) {
		t := 10 * at.Done / max(1, at.Total)
		if t == tenth && now().Sub(told) < time.Minute {
			return
		}
		tenth, told = t, now()
		fmt.Fprintf(w, "%d of %d fits done", at.Done, at.Total)
		if !math.IsNaN(at.Best) {
			fmt.Fprintf(w, ", least loss on the newest fold %.5f", at.Best)
		}
		fmt.Fprintln(w)
	}
}

// tuneProgress keeps a bar on a terminal, with the least loss so far; elsewhere it
// writes lines.
func tuneProgress(s *streams) (step func(tune.Step), done func()) {
	if !onTerminal(s.Err) {
		return tuneLines(s.Err, time.Now), func() {}
	}
	var bar *progressbar.ProgressBar
	return func(at tune.Step) {
			if bar == nil {
				bar = newBar(s.Err.(*os.File), int64(at.Total), "")
			}
			if !math.IsNaN(at.Best) {
				bar.Describe(fmt.Sprintf("least loss on the newest fold %.5f", at.Best))
			}
			_ = bar.Set(at.Done)
		}, func() {
			if bar != nil {
				_ = bar.Clear()
			}
		}
}

// printTuning shows people the settings that went to the end, the defaults and
// what mattered.
func printTuning(w io.Writer, r *tune.Result, most int) {
	t := table.NewWriter()
	t.SetStyle(table.StyleLight)
	t.AppendHeader(table.Row{"", "folds", "log loss", "trees", "leaves", "rate", "min rows", "L2", "row fraction", "feature fraction", "pairs"})
	for i, e := range r.Settings {
		if i >= 10 && !e.Default {
			continue
		}
		mark := ""
		if i == 0 {
			mark = "best"
		}
		if e.Default {
			mark = strings.TrimSpace(mark + " default")
		}
		p := e.Params
		t.AppendRow(table.Row{mark, len(e.Losses), fmt.Sprintf("%.5f", float64(e.Loss)), p.Trees, p.Leaves, p.LearningRate, p.MinRows, p.L2, p.RowFraction, p.FeatureFraction, max(p.Pairs, 0)})
	}
	fmt.Fprintln(w, t.Render())
	var shares []string
	for _, i := range r.Importance {
		shares = append(shares, fmt.Sprintf("%s %.0f %%", i.Parameter, 100*float64(i.Share)))
	}
	if len(shares) > 0 {
		fmt.Fprintf(w, "of the loss's variance over settings, each alone explains: %s\n", strings.Join(shares, ", "))
	}
	if r.Best.Params.Trees+tune.Stride > most {
		fmt.Fprintf(w, "the best still gained at %d trees: allow more (--max-trees)\n", r.Best.Params.Trees)
	}
	if r.Best.Default {
		fmt.Fprintln(w, "nothing is better than the defaults")
		return
	}
	fmt.Fprintf(w, "the best is %.5f below the defaults, and below in %d of %d folds\n", float64(r.Gain), r.BetterIn, len(r.Folds))
}
