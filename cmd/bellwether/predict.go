package main

import (
	"errors"
	"fmt"

	"bellwether/datasets"
	"bellwether/models/registry"
	"bellwether/models/trial"

	"github.com/spf13/cobra"
)

// The columns predict adds.
var predictedColumns = []string{"p", "lo", "hi"}

func predictCommand(s *streams) *cobra.Command {
	var dir, model, in, out, sep string
	c := &cobra.Command{
		Use:   "predict --models DIR --model NAME[@V] --in FILE --out FILE",
		Short: "Score a table with a published model",
		Long: `Predict copies a table and adds three columns: p, the calibrated probability, and
its interval lo to hi. Columns are found by name; others are copied and not read.
The new file is CSV or Parquet by its name.`,
		Example: `  bellwether predict --models models --model deals --in new.csv --out scored.csv
  bellwether predict --models models --model deals@v3 --in new.parquet --out scored.parquet`,
		Args: noArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			if dir == "" || model == "" || in == "" || out == "" {
				return usageError{errors.New("predict needs --models, --model, --in and --out")}
			}
			r, err := separator(sep)
			if err != nil {
				return err
			}
			return predict(s, dir, model, in, out, r)
		},
	}
	c.Flags().StringVar(&dir, "models", "", "directory of models")
	c.Flags().StringVar(&model, "model", "", "the model: NAME, or NAME@V for one version")
	c.Flags().StringVar(&in, "in", "", "the table")
	c.Flags().StringVar(&out, "out", "", "where to write: .csv, .csv.gz or .parquet")
	c.Flags().StringVar(&sep, "sep", ",", "separator of a CSV file; 'tab' for tabs")
	return c
}

func predict(s *streams, dir, model, in, out string, sep rune) error {
	reg, err := registry.Open(dir)
	if err != nil {
		return err
	}
	a, err := reg.Load(registry.SplitRef(model))
	if err != nil {
		return err
	}
	b, ok := a.Files[a.Card.Task+".bin"]
	if !ok {
		return fmt.Errorf("%s has no predictor %s.bin", a.Version, a.Card.Task)
	}
	p, err := trial.LoadPredictor(b)
	if err != nil {
		return fmt.Errorf("%s: %w", a.Version, err)
	}
	o := datasets.TableOptions{Sep: sep, Columns: p.Columns, Progress: newProgress(s, "reading")}
	t, info, err := datasets.ReadTable(in, o)
	if err != nil {
		return err
	}
	scored := make([]trial.Probability, t.Len())
	if err := p.Predict(scored, t); err != nil {
		return fmt.Errorf("%s with %s: %w", in, a.Version, err)
	}
	added := make([]datasets.AddedColumn, len(predictedColumns))
	for i, name := range predictedColumns {
		added[i] = datasets.AddedColumn{Name: name, Values: make([]float64, len(scored))}
	}
	for i, q := range scored {
		added[0].Values[i], added[1].Values[i], added[2].Values[i] = q.P, q.Lo, q.Hi
	}
	if err := datasets.AppendColumns(in, out, datasets.TableOptions{Sep: sep}, added); err != nil {
		return err
	}
	fmt.Fprintf(s.Err, "%d rows scored with %s: %s\n", len(scored), a.Version, out)
	for _, bad := range info.BadRows[:min(len(info.BadRows), 3)] {
		fmt.Fprintf(s.Err, "left out: line %d: %s\n", bad.Line, bad.Reason)
	}
	if extra := info.Bad - 3; extra > 0 {
		fmt.Fprintf(s.Err, "left out: %d more\n", extra)
	}
	return nil
}
