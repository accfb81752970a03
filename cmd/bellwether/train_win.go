package main

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"bellwether/datasets/record"
	"bellwether/features"
	"bellwether/models"
	"bellwether/models/gbdt"
	"bellwether/models/logit"
	"bellwether/models/trial"
	"bellwether/routing"

	"github.com/spf13/cobra"
)

func trainWinCommand(s *streams) *cobra.Command {
	flags := trainFlags{learners: []string{"default", "hazard"}}
	var data, config string
	c := &cobra.Command{
		Use:   "win --data DIR [--models DIR]",
		Short: "Learn which partner wins which lead, from what came of past offers",
		Long: `Win makes one row per offer that was really made, as of just before it was made,
and learns P(won) from what came of it; where the data has acceptances, P(accepted)
too. Rows whose outcome was not known yet when the next slice begins are censored.
It tests on the newest fifth of each lead's first offers.

Trees learn in two ways. gbdt learns from the outcomes known, weighted to stand for
those censored. hazard learns when an offer is won or lost by its age, from offers
still open too, and answers with the chance to be won by the last age it has seen
enough of. Both are judged on the same rows. Where hazard wins, scoring a candidate
costs about four times as much as with gbdt.`,
		Example: "  bellwether train win --data world --models models\n  bellwether train win --data world --seeds 10 --learners gbdt,logit --json",
		Args:    noArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			return runWin(c.Context(), s, &flags, dataJob{data: data, config: config})
		},
	}
	flags.add(c)
	c.Flags().StringVar(&data, "data", "", "data directory")
	addConfig(c, &config)
	return c
}

// runWin trains or measures a win model and publishes it.
func runWin(ctx context.Context, s *streams, f *trainFlags, j dataJob) error {
	return f.onData(ctx, s, "win", j, func(src features.Source, options features.Options, cfg trial.Config) (*trial.Report, published, error) {
		m, err := trainWin(ctx, src, options, cfg)
		if err != nil {
			return nil, published{}, err
		}
		p, err := m.published()
		return m.report, p, err
	})
}

// winModel is what was learned of offers. Win is nil where training was
// refused; accept where the data has no acceptances, or no skill in them.
type winModel struct {
	set          *features.Set
	report       *trial.Report
	acceptReport *trial.Report
	win, accept  *trial.Predictor
	data         []string // what it was learned from, a sentence each
}

// trainWin learns from a data set. A gate that says no is in the report, not an
// error.
func trainWin(ctx context.Context, src features.Source, options features.Options, cfg trial.Config) (*winModel, error) {
	rows, err := readOffers(ctx, src, options)
	if err != nil {
		return nil, err
	}
	m := &winModel{set: rows.set}
	if rows.labels.HasAnswers() {
		if err := m.trainAccept(ctx, rows, cfg); err != nil {
			return nil, err
		}
	}
	table, err := rows.winTable(&cfg)
	if err != nil {
		return nil, err
	}
	m.data = table.describe("offers with an outcome to come", rows)
	m.report, m.win, err = trial.Run(ctx, table.Table, cfg)
	if err := refused(err); err != nil {
		return nil, err
	}
	if note := table.oneSided(); note != "" {
		m.report.Notes = append(m.report.Notes, note)
	}
	return m, nil
}

// refused lets a trial's refusal pass: its report says it.
func refused(err error) error {
	var refusal *trial.Refusal
	if errors.As(err, &refusal) {
		return nil
	}
	return err
}

// trainAccept learns P(accepted). Without skill there is no accept model: every
// partner is then taken to accept alike, which changes no order.
func (m *winModel) trainAccept(ctx context.Context, rows *offerRows, cfg trial.Config) error {
	table := rows.table(rows.labels.Accept)
	if table.Len() == 0 {
		return nil
	}
	cfg.Task, cfg.Incumbent, cfg.Seeds, cfg.Settings = "accept", nil, -1, ""
	cfg.Learners = acceptLearners(cfg.Learners)
	if len(cfg.Learners) == 0 { // neither was asked for, or the win model was made elsewhere
		cfg.Learners, _ = trial.Learners("gbdt", "logit")
		cfg.ValidFrom = time.Time{}
	}
	report, p, err := trial.Run(ctx, table.Table, cfg)
	if err := refused(err); err != nil {
		return err
	}
	m.acceptReport = report
	if report.Gate.Passed {
		m.accept = p
	}
	return nil
}

// acceptLearners are the two that serve fast, of those asked for, by their
// defaults: settings tuned for who wins say nothing of who accepts.
func acceptLearners(asked []models.Learner) []models.Learner {
	out := []models.Learner{}
	for _, l := range []models.Learner{gbdt.Learner{}, logit.Learner{}} {
		if slices.ContainsFunc(asked, func(a models.Learner) bool { return a.Name() == l.Name() }) {
			out = append(out, l)
		}
	}
	return out
}

// published is the model with the files of its version.
func (m *winModel) published() (published, error) {
	p := published{name: "win", pred: m.win, data: m.data}
	spec, err := json.Marshal(m.set.Spec())
	if err != nil {
		return p, err
	}
	p.files = map[string][]byte{"features.json": spec}
	if m.accept != nil {
		if p.files["accept.bin"], err = m.accept.MarshalBinary(); err != nil {
			return p, err
		}
	}
	if m.acceptReport != nil {
		p.files["accept_report.json"], err = json.MarshalIndent(m.acceptReport, "", "  ")
	}
	return p, err
}

// offerRows is every offer of a data set as of when it was made.
type offerRows struct {
	set    *features.Set
	keys   []features.Key
	x      []models.Batch // as the replay gave them
	labels routing.Labels
	stats  features.Stats
	who    profiles
}

// readOffers replays a data set into rows and labels.
func readOffers(ctx context.Context, src features.Source, options features.Options) (*offerRows, error) {
	schema, err := readSchema(ctx, src)
	if err != nil {
		return nil, err
	}
	r := &offerRows{set: features.NewSet(schema, options), who: profiles{}}
	if err := src.Partners(ctx, r.who.see); err != nil {
		return nil, err
	}
	labelled := observedSource{src, r.labels.Observe}
	_, r.stats, err = features.Replay(ctx, labelled, r.set, features.ReplayOptions{}, features.Sink{Offers: r.add})
	return r, cmp.Or(err, noEvents("train win", r.stats))
}

func (r *offerRows) add(rows *features.Rows) error {
	for _, k := range rows.Keys {
		k.Event = record.EventID(strings.Clone(string(k.Event))) // it shares memory with its batch
		r.keys = append(r.keys, k)
	}
	x := make([][]float64, rows.Width)
	for j := range x {
		x[j] = make([]float64, len(rows.Keys))
		for i := range x[j] {
			x[j][i] = rows.X[i*rows.Width+j]
		}
	}
	r.x = append(r.x, models.InputsOf(x))
	return nil
}

// labelledTable is the rows that count for one label.
type labelledTable struct {
	*models.Table
	first []bool // the first offer of its lead
	rows  []int  // which of the offers
	open  int
}

// table is the rows a label counts; their inputs stay where they lie.
func (r *offerRows) table(label func(record.EventID) (y float64, known int64, counts bool)) *labelledTable {
	t := &labelledTable{Table: &models.Table{Columns: r.set.Columns()}}
	for i, k := range r.keys {
		y, known, counts := label(k.Event)
		if !counts {
			continue
		}
		if known == never {
			t.open++
		}
		t.rows = append(t.rows, i)
		t.Y = append(t.Y, y)
		t.At = append(t.At, k.At.Unix())
		t.Known = append(t.Known, known)
		t.first = append(t.first, r.labels.First(k.Event))
	}
	t.In = models.NewInputs(r.x...).View(t.rows)
	return t
}

// winTable is the table of the win model, and completes the Config of its trial.
func (r *offerRows) winTable(cfg *trial.Config) (*labelledTable, error) {
	t := r.table(r.labels.Win)
	if t.Len() == 0 {
		return nil, r.nothing(t)
	}
	cfg.Eval, cfg.Segments, cfg.Rates, cfg.Whose = t.first, r.segments(t), []string{"partner_id"}, "partner_id"
	cfg.Tally = r.tally(t)
	return t, nil
}

// nothing says why there is no row.
func (r *offerRows) nothing(t *labelledTable) error {
	steps := r.tally(t)
	if steps[0].Rows == 0 {
		return record.Errorf(record.Refused, "train win", "none of the %d events is an offer_made, which says which lead was offered to whom: see docs/data.md and 'bellwether schema event'", r.stats.Events)
	}
	var why []string
	for _, step := range steps {
		for _, l := range step.Less {
			why = append(why, fmt.Sprintf("%d %s", l.Rows, l.Why))
		}
	}
	return record.Errorf(record.Refused, "train win", "none of the %d offers made teaches anything: %s", steps[0].Rows, strings.Join(why, ", "))
}

// oneSided is a note on outcomes that are all the same, which a mapping often
// makes of data that has both; "" where they are not.
func (t *labelledTable) oneSided() string {
	var seen [2]int
	for i, y := range t.Y {
		if t.Known[i] != never {
			seen[int(y)]++
		}
	}
	switch {
	case seen[0] == 0 && seen[1] > 0:
		return fmt.Sprintf("every outcome known is won, of %d offers: one is lost by deal_lost, by offer_superseded, or when its lead goes on to another. Does the data leave these out?", seen[1])
	case seen[1] == 0 && seen[0] > 0:
		return fmt.Sprintf("every outcome known is lost, of %d offers: one is won by deal_won of its lead and partner. Does the data leave these out?", seen[0])
	}
	return ""
}

// tally counts the offers on their way into a table.
func (r *offerRows) tally(t *labelledTable) []trial.Tally {
	late, unknown := int(r.stats.LateOffers), int(r.stats.NoLead)
	made := trial.Tally{What: "offers made", Rows: len(r.keys) + late + unknown}
	seen := made.Then("with a row", trial.Less{Rows: late, Why: "known more than a day late"}, trial.Less{Rows: unknown, Why: "of a lead not known when they were made"})
	return []trial.Tally{made, seen, seen.Then("worked on", trial.Less{Rows: len(r.keys) - t.Len(), Why: "declined, run out, withdrawn or not answered"})}
}

// never is the known time of a label that is open.
const never = int64(^uint64(0) >> 1)

// describe says what the table is of.
func (t *labelledTable) describe(what string, r *offerRows) []string {
	return []string{fmt.Sprintf("%d %s (%d still open) of %d offers in %d events known from %s to %s", t.Len(), what, t.open, len(r.keys), r.stats.Events,
		r.stats.From.Format(time.DateOnly), r.stats.To.Format(time.DateOnly))}
}

// segments are the parts of the rows the report looks at by themselves.
func (r *offerRows) segments(t *labelledTable) []trial.Segmentation {
	attempt := trial.Segmentation{Name: "offer", Values: make([]string, len(t.rows))}
	for i := range t.rows {
		attempt.Values[i] = "first"
		if !t.first[i] {
			attempt.Values[i] = "later"
		}
	}
	return append(r.who.segments(len(t.rows), func(i int) (record.PartnerID, time.Time) {
		k := r.keys[t.rows[i]]
		return k.Partner, k.At
	}), attempt)
}
