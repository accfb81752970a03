package main

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"math"
	"os"
	"slices"
	"strconv"
	"strings"
	"time"

	"bellwether/datasets/record"
	"bellwether/features"
	"bellwether/models"
	"bellwether/models/gbdt"
	"bellwether/models/registry"
	"bellwether/models/trial"
	"bellwether/models/tune"

	"github.com/spf13/cobra"
)

// trainFlags are what every kind of training takes.
type trainFlags struct {
	models   string
	learners []string
	params   string
	seeds    int
	seed     uint64
	json     bool
}

func (f *trainFlags) add(c *cobra.Command) {
	c.Flags().StringVar(&f.models, "models", "", "publish to this directory of models if the gate lets it pass")
	c.Flags().StringSliceVar(&f.learners, "learners", f.learners, "learners to compare: default, all, or names ("+strings.Join(trial.LearnerNames(), ", ")+")")
	c.Flags().StringVar(&f.params, "params", "", "settings of gbdt, as 'bellwether tune' writes them to best.yaml (default: gbdt's own)")
	c.Flags().IntVar(&f.seeds, "seeds", 5, "how many times to fit the winner, for the spread")
	c.Flags().Uint64Var(&f.seed, "seed", 1, "seed of everything random")
	c.Flags().BoolVar(&f.json, "json", false, "print the report as one JSON document on standard output")
}

// config starts a trial's Config: learners, seeds, clock and progress.
func (f *trainFlags) config(s *streams, task string) (trial.Config, error) {
	learners, err := trial.Learners(f.learners...)
	if err != nil {
		return trial.Config{}, usageError{fmt.Errorf("--learners: %w", err)}
	}
	if f.seeds < 1 {
		return trial.Config{}, usageError{fmt.Errorf("--seeds %d: at least 1", f.seeds)}
	}
	if err := asDirectory("--models", f.models); err != nil {
		return trial.Config{}, err
	}
	c := trial.Config{Task: task, Learners: learners, Seeds: f.seeds, Seed: f.seed, Watch: watch(s)}
	if f.params != "" {
		if c.Settings, err = tunedBy(learners, f.params); err != nil {
			return trial.Config{}, err
		}
	}
	return c, nil
}

// tunedBy gives gbdt among the learners the settings of a file, and returns them
// for the report.
func tunedBy(learners []models.Learner, path string) (string, error) {
	file, err := os.Open(path)
	if err != nil {
		return "", fmt.Errorf("--params: %w", err)
	}
	defer file.Close()
	var p tune.Params
	if err := readYAML(file, &p); err != nil {
		return "", fmt.Errorf("--params %s: %w", path, err)
	}
	if err := p.Check(); err != nil {
		return "", fmt.Errorf("--params %s: %w", path, err)
	}
	at := slices.IndexFunc(learners, func(l models.Learner) bool { return l.Name() == gbdt.Learner{}.Name() })
	if at < 0 {
		return "", usageError{errors.New("--params are of gbdt, and --learners leaves it out")}
	}
	learners[at] = p.Learner()
	return "gbdt " + p.String(), nil
}

func trainCommand(s *streams) *cobra.Command {
	c := &cobra.Command{
		Use:   "train win|churn|table",
		Short: "Compare learners honestly and publish the best that passes the gate",
		Long: `Train splits the rows by time, fits every learner on the same rows, chooses on a
validation slice, measures once on the newest rows (the report goes to standard
error), and publishes the winner if its gate lets it pass: at least 40 outcomes of
each kind, the lower 95 % bound of the AUC above 0.60, and no worse than the model
in force. The report counts the rows from the data to the fits, with what each step
left out; the column rows of the learners is what each was fitted on for the figures
of the test, and hazard's holds those still open too.`,
		Args: noArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			return usageError{errors.New("say what to train: win, churn or table; see 'bellwether train --help'")}
		},
	}
	for _, child := range trainCommands {
		c.AddCommand(child(s))
	}
	return c
}

// trainCommands lists what can be trained.
var trainCommands = []func(*streams) *cobra.Command{trainWinCommand, trainChurnCommand, trainTableCommand}

// watch times a trial and keeps one line on a terminal up to date: the pieces done, the
// learner under way and its loss.
func watch(s *streams) trial.Watch {
	w := trial.Watch{Clock: time.Now}
	if !onTerminal(s.Err) {
		return w
	}
	const width = 24
	head := ""
	w.Progress = func(t trial.Step) {
		full := width * t.Done / max(1, t.Total)
		head = fmt.Sprintf("\r\033[K[%s%s] %d/%d %s", strings.Repeat("#", full), strings.Repeat(".", width-full), t.Done+1, t.Total, t.What)
		fmt.Fprint(s.Err, head)
	}
	w.Rounds = func(round int, train, valid float64) {
		if round%10 != 0 {
			return
		}
		loss, where := valid, "validation"
		if math.IsNaN(valid) {
			loss, where = train, "training"
		}
		fmt.Fprintf(s.Err, "%s: %d rounds, %s loss %.4f", head, round, where, loss)
	}
	return w
}

// dataJob is what a model of a data directory is trained on.
type dataJob struct {
	data, config string
	from         string  // first month of a churn model's test; "" for the newest
	made         *origin // the model, where it is not to be trained
}

// learning makes a model of a data directory; a gate that says no is in its
// report, not an error.
type learning func(src features.Source, options features.Options, cfg trial.Config) (*trial.Report, published, error)

// onData trains a model, or, where it was made elsewhere, measures it, and
// publishes it.
func (f *trainFlags) onData(ctx context.Context, s *streams, name string, j dataJob, learn learning) error {
	cfg, err := f.config(s, name)
	if err != nil {
		return err
	}
	src, err := openData(s, j.data)
	if err != nil {
		return err
	}
	if j.made != nil {
		j.made.enter(&cfg, true)
	}
	if cfg.Incumbent, err = incumbent(f.models, name, name+".bin"); err != nil {
		return err
	}
	options, err := readOptions(j.config)
	if err != nil {
		return err
	}
	money := newPurse(src)
	report, m, err := learn(money, options, cfg)
	if err != nil {
		return err
	}
	money.warn(s.Err, options)
	m.data, m.made = append(m.data, "read from "+j.data), j.made
	return f.finish(s, report, m)
}

// published is a model with what goes beside it into its version.
type published struct {
	name  string
	pred  *trial.Predictor
	data  []string          // where the rows came from, a sentence each
	files map[string][]byte // other files
	made  *origin           // where it was not trained here; nil where it was
}

// finish publishes what passed the gate, prints the report and turns a refusal
// into exit code 3.
func (f *trainFlags) finish(s *streams, r *trial.Report, m published) error {
	if onTerminal(s.Err) {
		fmt.Fprint(s.Err, "\r\033[K")
	}
	doing := "train " + r.Task
	if m.made != nil {
		doing = "import model"
		m.made.tell(r, &m)
	}
	if f.models != "" && m.pred != nil && r.Gate.Passed {
		if err := publishModel(f.models, r, m); err != nil {
			return err
		}
	}
	printReport(s.Err, r)
	if f.json {
		if err := writeJSON(s.Out, r); err != nil {
			return err
		}
	}
	if !r.Gate.Passed {
		return record.Errorf(record.Refused, doing, "not published: %s", strings.Join(r.Gate.Reasons, "; "))
	}
	return nil
}

// publishModel writes a new version, with its report, card and reliability
// picture, puts it in force and says so in the report.
func publishModel(dir string, r *trial.Report, m published) error {
	reg, err := registry.Open(dir)
	if err != nil {
		return err
	}
	r.Published = true
	defer func() { r.Published = r.Version != "" }()
	files, err := trial.NewCard(m.name, r, m.pred, m.data).Files(m.pred)
	if err != nil {
		return err
	}
	maps.Copy(files, m.files)
	v, err := reg.Publish(m.name, files, registryCard(r))
	if err != nil {
		return err
	}
	if _, err := reg.Promote(m.name, strconv.Itoa(v.Number)); err != nil {
		return err
	}
	r.Version = v.String()
	return nil
}

// registryCard is the short account that lists of models show.
func registryCard(r *trial.Report) registry.Card {
	c := registry.Card{Task: r.Task, Learner: r.Winner, Published: time.Now().UTC().Truncate(time.Second),
		Rows: r.Fitted(), Seed: r.Seed,
		AUC: finite(r.Test.AUC), AUCLo: finite(r.Test.AUCLo), AUCHi: finite(r.Test.AUCHi), LogLoss: finite(r.Test.LogLoss), ECE: finite(r.Test.ECE)}
	c.From, c.To, _ = r.Window()
	return c
}

func finite(n trial.Number) float64 {
	if math.IsNaN(float64(n)) || math.IsInf(float64(n), 0) {
		return 0
	}
	return float64(n)
}

// incumbent loads the model in force, or nil where there is none.
func incumbent(dir, name, file string) (*trial.Predictor, error) {
	if dir == "" {
		return nil, nil
	}
	reg, err := registry.Open(dir)
	if err != nil {
		return nil, err
	}
	a, err := reg.Load(name, "")
	if errors.Is(err, registry.ErrNotFound) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	b, ok := a.Files[file]
	if !ok {
		return nil, fmt.Errorf("%s has no file %s; is it another kind of model?", a.Version, file)
	}
	return trial.LoadPredictor(b)
}
