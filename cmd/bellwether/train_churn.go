package main

import (
	"cmp"
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
	flags := trainFlags{learners: []string{"default", "hazard"}}
	var data, from, config string
	c := &cobra.Command{
		Use:   "churn --data DIR [--models DIR]",
		Short: "Learn which partners stop doing business, from who did",
		Long: `Churn makes one row per partner and month start, for partners that did business in
the 90 days before, and learns P(no business in the next 90 days, or contract lapsed).
It tests on the newest month whose 90 days are over, and trains only on months whose
outcome was known by then; hazard, which learns how soon a partner does business
again, also on what is known of the months since.`,
		Example: "  bellwether train churn --data world --models models\n  bellwether train churn --data olist-data --test-from 2018-06-01 --json",
		Args:    noArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			return runChurn(c.Context(), s, &flags, dataJob{data: data, config: config, from: from})
		},
	}
	flags.add(c)
	c.Flags().StringVar(&data, "data", "", "data directory")
	addConfig(c, &config)
	addTestFrom(c, &from)
	return c
}

// runChurn trains or measures a churn model and publishes it.
func runChurn(ctx context.Context, s *streams, f *trainFlags, j dataJob) error {
	testFrom, err := parseTestFrom(j.from)
	if err != nil {
		return err
	}
	return f.onData(ctx, s, "churn", j, func(src features.Source, options features.Options, cfg trial.Config) (*trial.Report, published, error) {
		m, err := trainChurn(ctx, src, options, cfg, testFrom)
		if err != nil {
			return nil, published{}, err
		}
		p, err := m.published()
		return m.report, p, err
	})
}

func addTestFrom(c *cobra.Command, from *string) {
	c.Flags().StringVar(from, "test-from", "", "first month of the test, YYYY-MM-DD; empty: the newest month whose horizon is complete")
}

func parseTestFrom(from string) (time.Time, error) {
	if from == "" {
		return time.Time{}, nil
	}
	t, err := time.Parse(time.DateOnly, from)
	if err != nil {
		return t, usageError{fmt.Errorf("--test-from: %w", err)}
	}
	return t, nil
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

// churnRows is the months of a data set with what became of them.
type churnRows struct {
	*health.Training
	set    *features.Set
	labels *health.Labels
	stats  features.Stats
	who    profiles
}

// readMonths replays a data set into rows and labels.
func readMonths(ctx context.Context, src features.Source, options features.Options, testFrom time.Time) (*churnRows, error) {
	schema, err := readSchema(ctx, src)
	if err != nil {
		return nil, err
	}
	r := &churnRows{set: features.NewSet(schema, options), labels: health.NewLabels(health.Config{}), who: profiles{}}
	if err := src.Partners(ctx, r.who.see); err != nil {
		return nil, err
	}
	months := health.NewMonths(r.set)
	_, r.stats, err = features.Replay(ctx, observedSource{src, r.labels.Observe}, r.set, features.ReplayOptions{}, features.Sink{Months: months.Add})
	if err = cmp.Or(err, noEvents("train churn", r.stats)); err != nil {
		return nil, err
	}
	r.Training, err = months.Training(r.labels, testFrom)
	return r, err
}

// complete fills in what the trial of churn needs beside its table.
func (r *churnRows) complete(cfg *trial.Config) {
	cfg.Cut, cfg.Tally = r.Cut, r.Tally
	cfg.Rates, cfg.Beside = []string{"partner_id"}, r.Beside
	cfg.Learners = health.Learners(cfg.Learners)
	cfg.Segments = r.who.segments(r.Table.Len(), func(i int) (record.PartnerID, time.Time) {
		return r.Partners[i], time.Unix(r.Table.At[i], 0).UTC()
	})
}

// trainChurn learns from a data set. A gate that says no is in the report, not
// an error.
func trainChurn(ctx context.Context, src features.Source, options features.Options, cfg trial.Config, testFrom time.Time) (*churnModel, error) {
	rows, err := readMonths(ctx, src, options, testFrom)
	if err != nil {
		return nil, err
	}
	m := &churnModel{set: rows.set}
	m.data = []string{fmt.Sprintf("%d months of partners, tested on %s, trained up to %s, of %d events known from %s to %s", rows.Table.Len(),
		rows.TestFrom.Format(time.DateOnly), rows.TrainTo.Format(time.DateOnly), rows.stats.Events, rows.stats.From.Format(time.DateOnly), rows.stats.To.Format(time.DateOnly))}
	rows.complete(&cfg)
	m.report, m.churn, err = trial.Run(ctx, rows.Table, cfg)
	if err := refused(err); err != nil {
		return nil, err
	}
	return m, m.fitAlive(ctx, rows.labels, rows.TestFrom)
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

// published is the model with the files of its version.
func (m *churnModel) published() (published, error) {
	spec, err := json.Marshal(m.set.Spec())
	files := map[string][]byte{"features.json": spec}
	if m.alive != nil {
		files["alive.bin"] = m.alive
	}
	return published{name: "churn", pred: m.churn, data: m.data, files: files}, err
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
