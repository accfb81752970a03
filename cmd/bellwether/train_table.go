package main

import (
	"context"
	"encoding/json"
	"fmt"
	"math"
	"path/filepath"
	"regexp"
	"slices"
	"strings"

	"bellwether/datasets"
	"bellwether/datasets/record"
	"bellwether/models"
	"bellwether/models/registry"
	"bellwether/models/trial"

	"github.com/spf13/cobra"
)

// tableTask is what the trial of a plain table is called; its predictor is
// tableTask.bin in the version.
const tableTask = "table"

func trainTableCommand(s *streams) *cobra.Command {
	var f trainFlags
	var t tableFlags
	var name string
	c := &cobra.Command{
		Use:   "table --in FILE --label COLUMN",
		Short: "Train on any table: CSV, Parquet or Arrow, plain or .gz",
		Long: `Train on any table. Columns whose values are all numbers are numbers, all dates
are dates, the rest are categories; empty, NA, NaN, null and ? are missing.
With --time the newest fifth of the rows is the test; without it the split is by
chance, whole groups together.

A column that gives the label away stops the training by its name: one that tells
it alone, one that only rows of one label have, a date whose distance from the
row's time or from another date tells it. A column that is very good alone, or a
date after the row's own time, is noted. What was merely changed after the outcome
and still looks like any other column, no scan can see: leave it out by --drop.`,
		Example: `  bellwether train table --in flights.csv.gz --label dep_delayed_15min --positive Y
  bellwether train table --in deals.csv --sep ';' --label result --positive Won --time created --group account --drop closed_at,stage --models models --name deals`,
		Args: noArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			job, err := t.job(c)
			if err != nil {
				return err
			}
			if job.name = name; name == "" {
				job.name = nameOf(job.in)
			}
			if err := registry.CheckName(job.name); err != nil {
				return usageError{fmt.Errorf("--name: %w", err)}
			}
			return trainTable(c.Context(), s, &f, job)
		},
	}
	t.add(c)
	c.Flags().StringVar(&name, "name", "", "name to publish under (default: the file's)")
	f.add(c)
	return c
}

// tableFlags say which table is meant and what its columns are.
type tableFlags struct {
	in, sep string
	trusted []string
	options datasets.TableOptions
}

func (f *tableFlags) add(c *cobra.Command) {
	o := &f.options
	c.Flags().StringVar(&f.in, "in", "", "the table")
	c.Flags().StringVar(&o.Label, "label", "", "column to predict")
	c.Flags().StringVar(&o.Positive, "positive", "", "the label's value that counts as 1, where it is not obvious")
	c.Flags().StringVar(&o.Time, "time", "", "column that says when a row was made; splits by time")
	c.Flags().StringVar(&o.Group, "group", "", "column whose equal values stay together in the split")
	c.Flags().StringSliceVar(&o.Drop, "drop", nil, "columns to leave out, such as those written after the outcome")
	c.Flags().StringSliceVar(&f.trusted, "trust", nil, "columns that the leakage scan is to leave alone: known when the row was made, however well they tell the label")
	c.Flags().StringVar(&f.sep, "sep", ",", "separator of a CSV file; 'tab' for tabs")
}

// job checks the flags of a command.
func (f *tableFlags) job(c *cobra.Command) (tableJob, error) {
	if f.in == "" || f.options.Label == "" {
		return tableJob{}, usageError{fmt.Errorf("%s needs --in FILE and --label COLUMN", plain(c))}
	}
	var err error
	f.options.Sep, err = separator(f.sep)
	return tableJob{in: f.in, options: f.options, trusted: f.trusted}, err
}

// tableJob is what is trained on.
type tableJob struct {
	in, name string
	options  datasets.TableOptions
	trusted  []string
	made     *origin // the model, where it is not to be trained
}

// read reads the table and completes the Config of its trial.
func (j *tableJob) read(s *streams, config *trial.Config) (*models.Table, *datasets.TableInfo, error) {
	o := j.options
	o.Progress = newProgress(s, "reading "+filepath.Base(j.in))
	t, info, err := datasets.ReadTable(j.in, o)
	if err != nil {
		return nil, nil, err
	}
	printTableInfo(s, &info)
	if j.made != nil {
		if err := j.made.fits(t.Columns); err != nil {
			return nil, nil, record.Errorf(record.Invalid, "import model", "%s: %w", j.in, err)
		}
	}
	if err := knows(&info, j.trusted); err != nil {
		return nil, nil, err
	}
	config.Segments, config.Scan.Trusted = segmentsOf(t, &info), j.trusted
	for _, column := range info.Columns {
		if column.Date {
			config.Scan.Dates = append(config.Scan.Dates, column.Name)
		}
	}
	config.Text = textsOf(&info)
	file := trial.Tally{What: "in the file", Rows: info.Rows + info.Unlabelled + info.Bad}
	config.Tally = []trial.Tally{file, file.Then("in the table", trial.Less{Rows: info.Bad, Why: "that cannot be read"}, trial.Less{Rows: info.Unlabelled, Why: "without a label"})}
	return t, &info, nil
}

// textsOf returns what reads the code of a category in a column.
func textsOf(info *datasets.TableInfo) func(column string, code float64) string {
	texts := map[string]map[float64]string{}
	for _, c := range info.Columns {
		texts[c.Name] = map[float64]string{}
		for _, l := range c.Levels {
			texts[c.Name][models.Code(l.Text)] = l.Text
		}
	}
	return func(column string, code float64) string { return texts[column][code] }
}

func trainTable(ctx context.Context, s *streams, f *trainFlags, job tableJob) error {
	config, err := f.config(s, tableTask)
	if err != nil {
		return err
	}
	if job.made != nil {
		job.made.enter(&config, false)
		job.options.Columns = job.made.given(false).Columns()
	}
	t, info, err := job.read(s, &config)
	if err != nil {
		return err
	}
	if config.Incumbent, err = incumbent(f.models, job.name, tableTask+".bin"); err != nil {
		return err
	}
	r, p, err := trial.Run(ctx, t, config)
	if err := refused(err); err != nil {
		return err
	}
	described, err := json.MarshalIndent(info, "", "  ")
	if err != nil {
		return err
	}
	data := []string{fmt.Sprintf("%s, SHA-256 %s", filepath.Base(job.in), info.SHA256),
		fmt.Sprintf("%d rows; %d without a label and %d that could not be read left out", info.Rows, info.Unlabelled, info.Bad),
		fmt.Sprintf("label %s: %s counts as 1, %s as 0", job.options.Label, info.Positive, info.Negative)}
	return f.finish(s, r, published{name: job.name, pred: p, data: data, files: map[string][]byte{"data.json": append(described, '\n')}, made: job.made})
}

// knows checks that the table has the columns named by --trust.
func knows(info *datasets.TableInfo, trusted []string) error {
	for _, name := range trusted {
		if !slices.ContainsFunc(info.Columns, func(c datasets.ColumnInfo) bool { return c.Name == name }) {
			return usageError{fmt.Errorf("--trust %s: %s has no such input", name, info.Path)}
		}
	}
	return nil
}

// printTableInfo tells people how the file was understood.
func printTableInfo(s *streams, info *datasets.TableInfo) {
	numbers := 0
	for _, c := range info.Columns {
		if c.Kind == models.Numeric {
			numbers++
		}
	}
	fmt.Fprintf(s.Err, "%s: %d rows, %d columns (%d numbers, %d categories)", info.Path, info.Rows, len(info.Columns), numbers, len(info.Columns)-numbers)
	if info.Positive != "" {
		fmt.Fprintf(s.Err, "; %s counts as 1, %s as 0", info.Positive, info.Negative)
	}
	if info.Unlabelled > 0 {
		fmt.Fprintf(s.Err, "; %d rows without a label left out", info.Unlabelled)
	}
	fmt.Fprintln(s.Err)
	if info.Bad > 0 {
		fmt.Fprintf(s.Err, "%d rows left out that cannot be read; the first at line %d: %s\n", info.Bad, info.BadRows[0].Line, info.BadRows[0].Reason)
	}
	for _, c := range info.Columns {
		if c.Doubt != "" {
			fmt.Fprintf(s.Err, "warning: column %s counts as categories though nearly all of its values look like numbers: %s; mend it, or leave it empty\n", c.Name, c.Doubt)
		}
	}
}

const (
	maxSegmentLevels  = 12 // more are no longer read one by one
	maxSegmentColumns = 3
)

// segmentsOf takes the first few categories with few levels as segments.
func segmentsOf(t *models.Table, info *datasets.TableInfo) []trial.Segmentation {
	var out []trial.Segmentation
	for j, c := range info.Columns {
		if c.Kind != models.Category || c.More || len(c.Levels) < 2 || len(c.Levels) > maxSegmentLevels || len(out) == maxSegmentColumns {
			continue
		}
		text := make(map[float64]string, len(c.Levels))
		for _, l := range c.Levels {
			text[models.Code(l.Text)] = l.Text
		}
		s := trial.Segmentation{Name: c.Name, Values: make([]string, t.Len())}
		for i, v := range t.Column(j) {
			if !math.IsNaN(v) {
				s.Values[i] = text[v]
			}
		}
		out = append(out, s)
	}
	return out
}

var notInNames = regexp.MustCompile(`[^a-z0-9_-]+`)

// nameOf makes a model's name of a file's.
func nameOf(path string) string {
	base, _, _ := strings.Cut(strings.ToLower(filepath.Base(path)), ".")
	base = strings.Trim(notInNames.ReplaceAllString(base, "-"), "-_")
	return base[:min(len(base), 64)]
}

func separator(text string) (rune, error) {
	switch text {
	case "tab", `\t`:
		return '\t', nil
	}
	if r := []rune(text); len(r) == 1 && r[0] != '"' && r[0] != '\r' && r[0] != '\n' && r[0] != 0xfffd {
		return r[0], nil
	}
	return 0, usageError{fmt.Errorf("--sep %q: one character, or 'tab'", text)}
}
