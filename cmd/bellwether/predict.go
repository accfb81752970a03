package main

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"

	"bellwether/datasets"
	"bellwether/models/trial"

	"github.com/spf13/cobra"
)

func predictCommand(s *streams) *cobra.Command {
	var job predictJob
	var sep string
	c := &cobra.Command{
		Use:   "predict --models DIR --model NAME[@V] --in FILE --out FILE",
		Short: "Score a table with a published model",
		Long: `Predict copies a table and adds three columns: p, the calibrated probability, and
its interval lo to hi, which is to hold the rate of rows scored alike in nine of
ten cases (the model's card says how often it did). Columns are found by name; others are copied and not read.
The new file is CSV or Parquet by its name. With --level it adds sure: 1 where the
model rules out all labels but one at that level, 0 where a person should decide.`,
		Example: `  bellwether predict --models models --model deals --in new.csv --out scored.csv
  bellwether predict --models models --model deals@v3 --in new.parquet --out scored.parquet --level 0.9`,
		Args: noArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			if job.dir == "" || job.model == "" || job.in == "" || job.out == "" {
				return usageError{errors.New("predict needs --models, --model, --in and --out")}
			}
			err := mayWrite("--out", job.out, tableEndings...)
			if err != nil {
				return err
			}
			if job.sep, err = separator(sep); err != nil {
				return err
			}
			return job.run(c.Context(), s)
		},
	}
	c.Flags().StringVar(&job.dir, "models", "", "directory of models")
	c.Flags().StringVar(&job.model, "model", "", "the model: NAME, or NAME@V for one version")
	c.Flags().StringVar(&job.in, "in", "", "the table")
	c.Flags().StringVar(&job.out, "out", "", "where to write: .csv, .csv.gz or .parquet")
	c.Flags().Float64Var(&job.level, "level", 0, "add the column sure, at this level: 0.8, 0.9 or 0.95")
	c.Flags().StringVar(&sep, "sep", ",", "separator of a CSV file; 'tab' for tabs")
	return c
}

// tableEndings are those of tables that are written.
var tableEndings = []string{".csv", ".csv.gz", ".parquet"}

// predictJob is what is scored, with what, and where to.
type predictJob struct {
	dir, model, in, out string
	sep                 rune
	level               float64 // 0: no column sure
}

func (j *predictJob) run(ctx context.Context, s *streams) error {
	if filepath.Clean(j.in) == filepath.Clean(j.out) {
		return usageError{fmt.Errorf("--out is --in: name another file, the scored table does not replace the one it was made of")}
	}
	reg, err := openModels(j.dir)
	if err != nil {
		return err
	}
	a, p, err := loadPredictor(reg, j.model)
	if err != nil {
		return err
	}
	if _, known := p.Labels(trial.Probability{}, j.level); j.level != 0 && !known {
		return fmt.Errorf("--level %v: %s holds the levels %v", j.level, a.Version, p.Levels())
	}
	o := datasets.TableOptions{Sep: j.sep, Columns: p.Columns, Progress: newProgress(s, "reading")}
	t, info, err := datasets.ReadTable(j.in, o)
	if err != nil {
		return err
	}
	if ctx.Err() != nil {
		return ctx.Err()
	}
	scored := make([]trial.Probability, t.Len())
	if err := p.Predict(scored, t); err != nil {
		return fmt.Errorf("%s with %s: %w", j.in, a.Version, err)
	}
	if ctx.Err() != nil {
		return ctx.Err()
	}
	if err := datasets.AppendColumns(j.in, j.out, datasets.TableOptions{Sep: j.sep}, j.columns(p, scored)); err != nil {
		return err
	}
	fmt.Fprintf(s.Err, "%d rows scored with %s: %s\n", len(scored), a.Version, j.out)
	for _, bad := range info.BadRows[:min(len(info.BadRows), 3)] {
		fmt.Fprintf(s.Err, "left out: line %d: %s\n", bad.Line, bad.Reason)
	}
	if extra := info.Bad - 3; extra > 0 {
		fmt.Fprintf(s.Err, "left out: %d more\n", extra)
	}
	return nil
}

// columns are what is added to the table.
func (j *predictJob) columns(p *trial.Predictor, scored []trial.Probability) []datasets.AddedColumn {
	var added []datasets.AddedColumn
	add := func(name string, of func(trial.Probability) float64) {
		values := make([]float64, len(scored))
		for i, q := range scored {
			values[i] = of(q)
		}
		added = append(added, datasets.AddedColumn{Name: name, Values: values})
	}
	add("p", func(q trial.Probability) float64 { return q.P })
	add("lo", func(q trial.Probability) float64 { return q.Lo })
	add("hi", func(q trial.Probability) float64 { return q.Hi })
	if j.level == 0 {
		return added
	}
	add("sure", func(q trial.Probability) float64 {
		if labels, _ := p.Labels(q, j.level); labels.Sure() {
			return 1
		}
		return 0
	})
	return added
}
