package main

import (
	"bufio"
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"time"

	"bellwether/datasets"
	"bellwether/datasets/record"
	"bellwether/models"
	"bellwether/models/exchange"
	"bellwether/models/gbdt"
	"bellwether/models/registry"
	"bellwether/models/trial"

	"github.com/spf13/cobra"
)

// importFlags say what a model made elsewhere is measured on. They are those of
// train table and of train win.
type importFlags struct {
	trainFlags
	in, name, sep    string
	columns, trusted []string
	table            datasets.TableOptions
	data, task       string
	config           string
	trainedTo        string
}

func importModelCommand(s *streams, dir *string, asJSON *bool) *cobra.Command {
	f := importFlags{trainFlags: trainFlags{seeds: 1}}
	c := &cobra.Command{
		Use:   "import FILE",
		Short: "Publish an exported version, or a model of LightGBM or XGBoost",
		Long: `Import publishes what 'models export' wrote as an archive, as it is; promote puts it
in force.

A model made by LightGBM (text of v2, v3, v4) or XGBoost (JSON or UBJSON of releases
1 to 3) is measured and calibrated first, on rows with known outcomes: a table as
'train table' reads it, or a data directory as 'train win' and 'train churn' do. It
must pass the same gate as a model trained here, and is then published with its card
and its file, and put in force.

Columns are found by name. A file without names has LightGBM's Column_0, Column_1 and
so on, or XGBoost's f0, f1: --columns names them in order. Categories are texts where
the file lists them (a pandas category); otherwise they are the integers that the
model was trained on. What cannot be said exactly is refused by its name. A text
that 'models export' wrote takes the columns of the table it was trained on, as the
file FILE.columns.json beside it says; its calibrator is fitted anew, which on rows it
was trained on makes it too sure: to move a model, take the archive. The text of a
learner of hazards does not come back at all.

Rows the model was trained on flatter it, and nobody here knows which they are: with
--trained-to, it is calibrated and tested on later rows alone.`,
		Example: `  bellwether models import deals.tar.gz --models models
  bellwether models import model.txt --models models --name deals --in deals.csv --label result --time created --trained-to 2024-06-30
  bellwether models import model.json --models models --name deals --in deals.csv --label result --columns amount,age,region
  bellwether models import offers.ubj --models models --data world`,
		Args: exactArgs(1),
		RunE: func(c *cobra.Command, args []string) error {
			f.models, f.json = *dir, *asJSON
			return importModel(c.Context(), s, &f, args[0])
		},
	}
	c.Flags().StringVar(&f.name, "name", "", "name to publish under (default: an archive's own, the table's, or the task's)")
	c.Flags().StringVar(&f.in, "in", "", "the table to measure the model on: CSV, Parquet or Arrow, plain or .gz")
	c.Flags().StringVar(&f.table.Label, "label", "", "column of the table that says what came")
	c.Flags().StringVar(&f.table.Positive, "positive", "", "the label's value that counts as 1, where it is not obvious")
	c.Flags().StringVar(&f.table.Time, "time", "", "column that says when a row was made; splits by time")
	c.Flags().StringVar(&f.table.Group, "group", "", "column whose equal values stay together in the split")
	c.Flags().StringSliceVar(&f.trusted, "trust", nil, "columns that the leakage scan is to leave alone: known when the row was made, however well they tell the label")
	c.Flags().StringVar(&f.sep, "sep", ",", "separator of a CSV file; 'tab' for tabs")
	c.Flags().StringSliceVar(&f.columns, "columns", nil, "names of the model's columns, in order, where its file has none or others")
	c.Flags().StringVar(&f.data, "data", "", "data directory to measure a win or churn model on, instead of a table")
	c.Flags().StringVar(&f.task, "task", "win", "with --data: what the model says, win or churn")
	c.Flags().StringVar(&f.trainedTo, "trained-to", "", "last day of what the model was trained on, YYYY-MM-DD: only later rows measure it")
	c.Flags().Uint64Var(&f.seed, "seed", 1, "seed of a split by chance")
	addConfig(c, &f.config)
	return c
}

func importModel(ctx context.Context, s *streams, f *importFlags, path string) error {
	file, err := os.Open(path)
	if err != nil {
		return err
	}
	defer file.Close()
	in := bufio.NewReader(file)
	if head, _ := in.Peek(2); bytes.Equal(head, []byte{0x1f, 0x8b}) {
		return importArchive(s, f, path, in)
	}
	made, err := readOrigin(in, path, f)
	if err != nil {
		return err
	}
	fmt.Fprintf(s.Err, "%s: %s\n", path, made.describe())
	if f.data != "" {
		return f.onData(ctx, s, made)
	}
	return f.onTable(ctx, s, made)
}

func importArchive(s *streams, f *importFlags, path string, in io.Reader) error {
	if f.in != "" || f.data != "" || len(f.columns) > 0 {
		return usageError{fmt.Errorf("%s is an archive of 'models export': it was measured before; leave --in, --data and --columns out", path)}
	}
	reg, err := registry.Open(f.models)
	if err != nil {
		return err
	}
	v, err := reg.Import(in, f.name)
	if err != nil {
		return fmt.Errorf("%s: %w", path, err)
	}
	if now, err := reg.Current(v.Name); err == nil && now == v {
		return told(s, v, f.json, "%s was there already, and is in force\n", v)
	}
	return told(s, v, f.json, "imported %s; 'bellwether models promote %s' puts it in force\n", v, v)
}

// origin is a model made elsewhere.
type origin struct {
	model *exchange.Model
	path  string
	bytes []byte
	until time.Time // the end of what it was trained on; zero if nobody said
	// about says how its features are made, where 'models export' wrote that
	// beside it; beside is that file.
	about  *exchange.Companion
	beside []byte
}

// maxOrigin is how large a model's file may be: far larger than any of use.
const maxOrigin = 1 << 30

func readOrigin(in io.Reader, path string, f *importFlags) (*origin, error) {
	b, err := io.ReadAll(io.LimitReader(in, maxOrigin+1))
	if err != nil {
		return nil, err
	}
	if len(b) > maxOrigin {
		return nil, record.Errorf(record.Invalid, "import model", "%s is larger than %d bytes", path, maxOrigin)
	}
	o := &origin{path: path, bytes: b}
	if len(f.columns) == 0 {
		if err := o.readBeside(); err != nil {
			return nil, err
		}
	}
	if o.about != nil && o.about.Ages != nil {
		return nil, record.Errorf(record.Invalid, "import model", "%s is of a model of when cases end, as %s says: LightGBM and its like score with this text, but it does not come back from it; what moves the model is the archive, 'models export NAME --out FILE.tar.gz'", path, companionOf(path))
	}
	if o.model, err = exchange.Read(b); err != nil {
		return nil, record.Errorf(record.Invalid, "import model", "%s: %w", path, err)
	}
	if len(f.columns) > 0 {
		own := namesOf(o.model.Columns())
		if o.model, err = o.model.Named(f.columns); err != nil {
			return nil, usageError{fmt.Errorf("--columns: %w; the file calls them %s", err, own)}
		}
	}
	if !o.model.Probability() {
		return nil, record.Errorf(record.Invalid, "import model", "%s: its objective %s answers with numbers of its own scale; only models that answer with a probability can be calibrated and gated", path, o.model.Objective())
	}
	if f.trainedTo != "" {
		last, err := time.Parse(time.DateOnly, f.trainedTo)
		if err != nil {
			return nil, usageError{fmt.Errorf("--trained-to: %w", err)}
		}
		o.until = last.AddDate(0, 0, 1)
	}
	return o, nil
}

// companionOf is the file that 'models export' writes beside a text.
func companionOf(text string) string { return strings.TrimSuffix(text, ".txt") + ".columns.json" }

// readBeside reads that file, where there is one.
func (o *origin) readBeside() error {
	path := companionOf(o.path)
	b, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err == nil {
		o.about, err = exchange.ReadCompanion(b)
	}
	if err != nil {
		return record.Errorf(record.Invalid, "import model", "%s: %w; if it is not what 'models export' wrote beside %s, rename it", path, err, filepath.Base(o.path))
	}
	o.beside = b
	return nil
}

// given is the model as a learner; codes as in exchange.Given.
func (o *origin) given(codes bool) exchange.Given {
	return exchange.Given{Model: o.model, About: o.about, Codes: codes}
}

// fits checks that a table has what the model wants.
func (o *origin) fits(columns []models.Column) error {
	_, err := o.given(false).Over(columns)
	if err == nil || o.about != nil {
		return err
	}
	for _, c := range o.model.Columns() {
		if strings.HasSuffix(c.Name, "#"+gbdt.Level) || strings.HasSuffix(c.Name, "#"+gbdt.Rate) {
			return fmt.Errorf("%w; 'models export' wrote %s with its text, which says how %s is made: put it beside %s", err, companionOf(o.path), c.Name, o.path)
		}
	}
	return err
}

func namesOf(columns []models.Column) string {
	names := make([]string, len(columns))
	for i, c := range columns {
		names[i] = c.Name
	}
	return strings.Join(names, ", ")
}

// describe says what the file is, in half a sentence.
func (o *origin) describe() string {
	best := ""
	if n := o.model.Best(); n > 0 {
		best = fmt.Sprintf(" (all are used, as Booster.predict does, where its early stopping found %d the best: save a slice of the booster to stop there)", n)
	}
	made := ""
	if o.about != nil {
		made = ", made of columns of the table as " + filepath.Base(companionOf(o.path)) + " says"
	}
	return fmt.Sprintf("%s, objective %s, %d trees%s, %d columns%s", o.model.Origin(), o.model.Objective(), o.model.Trees(), best, o.model.Width(), made)
}

// enter makes the model the one learner of a trial; codes as in exchange.Given.
func (o *origin) enter(c *trial.Config, codes bool) {
	c.Learners, c.Seeds, c.ValidFrom = []models.Learner{o.given(codes)}, -1, o.until
}

// tell adds to a report and a version where the model came from, and to the
// version the file itself.
func (o *origin) tell(r *trial.Report, p *published) {
	trained := "on rows that nobody here knows"
	if o.until.IsZero() {
		r.Notes = append(r.Notes, "The model was not trained here. If it learned from rows of these slices, the figures flatter it; --trained-to measures it on later rows alone.")
	} else {
		trained = "up to " + o.until.AddDate(0, 0, -1).Format(time.DateOnly) + ", as whoever imported it said"
	}
	if o.about != nil {
		r.Notes = append(r.Notes, "Its text does not hold the calibrator it had: exported as .tar.gz, it answers with the same probabilities as where it was trained.")
	}
	p.data = append([]string{fmt.Sprintf("the model was not trained here: %s, SHA-256 %x; %s; trained %s", filepath.Base(o.path), sha256.Sum256(o.bytes), o.describe(), trained)}, p.data...)
	if p.files == nil {
		p.files = map[string][]byte{}
	}
	p.files[o.file()] = o.bytes
	if o.beside != nil {
		p.files[originColumns] = o.beside
	}
}

// The names of the files an imported model came as, in its version.
const (
	originText    = "origin.txt"
	originColumns = "origin.columns.json" // beside a text of ours
	originJSON    = "origin.json"
	originUBJ     = "origin.ubj"
)

func (o *origin) file() string {
	switch {
	case o.model.Format() == exchange.LightGBM:
		return originText
	case strings.EqualFold(filepath.Ext(o.path), ".json"):
		return originJSON
	}
	return originUBJ
}

func (f *importFlags) onTable(ctx context.Context, s *streams, made *origin) error {
	if f.in == "" || f.table.Label == "" {
		return usageError{errors.New("a model made elsewhere is measured before it is published: name rows with known outcomes, --in FILE --label COLUMN, or --data DIR")}
	}
	if !made.until.IsZero() && f.table.Time == "" {
		return usageError{errors.New("--trained-to needs --time COLUMN, to tell later rows")}
	}
	name := f.name
	if name == "" {
		name = nameOf(f.in)
	}
	if err := registry.CheckName(name); err != nil {
		return usageError{fmt.Errorf("--name: %w", err)}
	}
	var err error
	if f.table.Sep, err = separator(f.sep); err != nil {
		return err
	}
	return trainTable(ctx, s, &f.trainFlags, tableJob{in: f.in, name: name, options: f.table, trusted: f.trusted, made: made})
}

func (f *importFlags) onData(ctx context.Context, s *streams, made *origin) error {
	if f.in != "" {
		return usageError{errors.New("--in or --data, not both")}
	}
	if f.name != "" && f.name != f.task {
		return usageError{fmt.Errorf("--name %s: a model of a data directory is called by its task, %s", f.name, f.task)}
	}
	j := dataJob{data: f.data, config: f.config, made: made}
	switch f.task {
	case "win":
		return runWin(ctx, s, &f.trainFlags, j)
	case "churn":
		if !made.until.IsZero() {
			return usageError{errors.New("--trained-to: a churn model is tested on the newest month; leave it out")}
		}
		return runChurn(ctx, s, &f.trainFlags, j)
	}
	return usageError{fmt.Errorf("--task %q: win or churn", f.task)}
}
