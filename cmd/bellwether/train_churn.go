package main

import (
	"context"
	"encoding/json"
	"fmt"
	"time"

	"bellwether/datasets/record"
	"bellwether/features"
	"bellwether/health"
	"bellwether/models/trial"

	"github.com/spf13/cobra"
)

func trainChurnCommand(s *streams) *cobra.Command {
	var flags trainFlags
	var data, from, config string
	c := &cobra.Command{
		Use:   "churn --data DIR [--models DIR]",
		Short: "Learn which partners stop doing business, from who did",
		Long: `Churn makes one row per partner and month start, for partners that did business in
the 90 days before, and learns P(no business in the next 90 days, or contract lapsed).
It tests on the newest month whose 90 days are over, and trains only on months whose
outcome was known by then.`,
		Example: "  bellwether train churn --data world --models models\n  bellwether train churn --data olist --test-from 2018-06-01 --json",
		Args:    noArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			return runChurn(c.Context(), s, &flags, dataJob{data: data, config: config, from: from})
		},
	}
	flags.add(c)
	c.Flags().StringVar(&data, "data", "", "data directory")
	addConfig(c, &config)
	c.Flags().StringVar(&from, "test-from", "", "first month of the test, YYYY-MM-DD; empty: the newest month whose horizon is complete")
	return c
}

// runChurn trains, or, where it was made elsewhere, measures a churn model and
// publishes it.
func runChurn(ctx context.Context, s *streams, f *trainFlags, j dataJob) error {
	src, err := openData(s, j.data)
	if err != nil {
		return err
	}
	var testFrom time.Time
	if j.from != "" {
		if testFrom, err = time.Parse(time.DateOnly, j.from); err != nil {
			return usageError{fmt.Errorf("--test-from: %w", err)}
		}
	}
	cfg, err := f.config(s, "churn")
	if err != nil {
		return err
	}
	if j.made != nil {
		j.made.enter(&cfg, true)
	}
	if cfg.Incumbent, err = incumbent(f.models, "churn", "churn.bin"); err != nil {
		return err
	}
	options, err := readOptions(j.config)
	if err != nil {
		return err
	}
	money := newPurse(src)
	m, err := trainChurn(ctx, money, options, cfg, testFrom)
	if err != nil {
		return err
	}
	money.warn(s.Err, options)
	files, err := m.files()
	if err != nil {
		return err
	}
	return f.finish(s, m.report, published{name: "churn", pred: m.churn, data: append(m.data, "read from "+j.data), files: files, made: j.made})
}

// churnModel is what was learned of partners that left. Churn is nil where
// training was refused.
type churnModel struct {
	set    *features.Set
	report *trial.Report
	churn  *trial.Predictor
	alive  []byte // the file alive.bin; nil where the habits give no fit
	data   []string
}

// trainChurn learns from a data set. A gate that says no is in the report, not
// an error.
func trainChurn(ctx context.Context, src features.Source, options features.Options, cfg trial.Config, testFrom time.Time) (*churnModel, error) {
	schema, err := readSchema(ctx, src)
	if err != nil {
		return nil, err
	}
	m := &churnModel{set: features.NewSet(schema, options)}
	labels, months := health.NewLabels(health.Config{}), health.NewMonths(m.set)
	_, stats, err := features.Replay(ctx, observedSource{src, labels.Observe}, m.set, features.ReplayOptions{}, features.Sink{Months: months.Add})
	if err != nil {
		return nil, err
	}
	training, err := months.Training(labels, testFrom)
	if err != nil {
		return nil, err
	}
	m.data = []string{fmt.Sprintf("%d months of partners, tested on %s, trained up to %s, of %d events known from %s to %s", training.Table.Len(),
		training.TestFrom.Format(time.DateOnly), training.TrainTo.Format(time.DateOnly), stats.Events, stats.From.Format(time.DateOnly), stats.To.Format(time.DateOnly))}
	cfg.ValidFrom, cfg.TestFrom = training.ValidFrom, training.TestFrom
	cfg.Rates, cfg.Beside = []string{"partner_id"}, training.Beside
	cfg.Learners = health.Learners(cfg.Learners)
	m.report, m.churn, err = trial.Run(ctx, training.Table, cfg)
	if err := refused(err); err != nil {
		return nil, err
	}
	return m, m.fitAlive(ctx, labels, training.TestFrom)
}

// fitAlive adds P(alive). Habits that no curve fits leave it out: it stands
// beside the churn model and decides nothing.
func (m *churnModel) fitAlive(ctx context.Context, labels *health.Labels, at time.Time) error {
	model, err := health.FitAlive(ctx, labels, at)
	if err != nil {
		m.data = append(m.data, "no buy-till-you-die model: "+err.Error())
		return ctx.Err()
	}
	m.alive, err = health.MarshalAlive(model)
	return err
}

// files are what a version of the churn model holds beside what every model
// does.
func (m *churnModel) files() (map[string][]byte, error) {
	spec, err := json.Marshal(m.set.Spec())
	if err != nil {
		return nil, err
	}
	files := map[string][]byte{"features.json": spec}
	if m.alive != nil {
		files["alive.bin"] = m.alive
	}
	return files, nil
}

// observedSource lets somebody else see the events that pass.
type observedSource struct {
	features.Source
	observe func(*record.Event)
}

func (s observedSource) Events(ctx context.Context, f func([]record.Event) error) error {
	return s.Source.Events(ctx, func(batch []record.Event) error {
		for i := range batch {
			s.observe(&batch[i])
		}
		return f(batch)
	})
}
