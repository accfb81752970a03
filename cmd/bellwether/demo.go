package main

import (
	"context"
	"errors"
	"fmt"
	"math"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"bellwether/datasets"
	"bellwether/datasets/record"
	"bellwether/datasets/synth"
	"bellwether/features"
	"bellwether/models"
	"bellwether/models/gbdt"
	"bellwether/models/logit"
	"bellwether/models/registry"
	"bellwether/models/trial"
	"bellwether/routing"
	"bellwether/serving"
	"bellwether/serving/gateway"
	"bellwether/serving/store"
	"bellwether/serving/web"

	"github.com/jedib0t/go-pretty/v6/table"
	"github.com/spf13/cobra"
)

// bestRateFeature is what the policy "best_rate" ranks partners by.
const bestRateFeature = "partner_win_rate_364d"

// demoRoutes is how many leads of its own the demo routes through the engine.
const demoRoutes = 3

// demoLearners are two that are quick: half as many trees as usual, each
// counting for more.
var demoLearners = []models.Learner{gbdt.Learner{Trees: 200, LearningRate: 0.1}, logit.Learner{}}

// demo is the whole loop on a synthetic world.
type demo struct {
	streams *streams
	began   time.Time
	world   synth.Config
	dir     string // everything the demo writes
	once    bool
	json    bool
	http    string
}

// demoReport is the JSON document of 'demo --once --json'.
type demoReport struct {
	Win     demoScore          `json:"win"`
	Churn   demoScore          `json:"churn"`
	Policy  map[string]float64 `json:"policy"` // mean true P(accept) x P(win) per lead
	Leads   int                `json:"policy_leads"`
	Routes  []demoRoute        `json:"routes"`
	Seed    uint64             `json:"seed"`
	Seconds float64            `json:"seconds"`
}

type demoScore struct {
	AUC trial.Number `json:"auc"`
	ECE trial.Number `json:"ece"`
}

type demoRoute struct {
	Lead       record.LeadID     `json:"lead"`
	Decision   record.DecisionID `json:"decision"`
	Chosen     record.PartnerID  `json:"chosen"`
	Win        float64           `json:"win"`
	Propensity float64           `json:"propensity"`
	Eligible   int               `json:"eligible"`
	Micros     int64             `json:"latency_us"`
}

func demoCommand(s *streams) *cobra.Command {
	d := demo{streams: s}
	c := &cobra.Command{
		Use:   "demo",
		Short: "Show the whole loop on a synthetic world, then serve it",
		Long: `Demo makes a synthetic world whose truth is known, trains the win and churn models on
its past, compares policies on the leads after the training period by the true chance
of each choice, routes a few leads through the engine, and then serves the world with
pages until it is stopped. With --once it ends after the summary.`,
		Example: "  bellwether demo\n  bellwether demo --once --json\n  bellwether demo --once --seed 7 --dir /tmp/demo",
		Args:    noArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			d.began = time.Now()
			if d.json && !d.once {
				return usageError{errors.New("--json prints a summary at the end: give --once too")}
			}
			return d.run(c.Context())
		},
	}
	c.Flags().BoolVar(&d.once, "once", false, "print a summary and end, instead of serving")
	c.Flags().BoolVar(&d.json, "json", false, "with --once: print the summary as one JSON document on standard output")
	c.Flags().StringVar(&d.dir, "dir", "", "keep data, models and store in this new directory; without it they are temporary")
	c.Flags().StringVar(&d.http, "http", "127.0.0.1:8080", "address to serve on; a free port is taken if it is in use")
	c.Flags().Uint64Var(&d.world.Seed, "seed", 0, "seed of the world")
	c.Flags().IntVar(&d.world.Partners, "partners", 200, "number of partners")
	c.Flags().IntVar(&d.world.Leads, "leads", 20_000, "number of leads")
	c.Flags().IntVar(&d.world.Days, "days", 720, "number of days, up to yesterday")
	return c
}

func (d *demo) run(ctx context.Context) error {
	if d.dir == "" {
		dir, err := os.MkdirTemp("", "bellwether-demo-")
		if err != nil {
			return err
		}
		defer os.RemoveAll(dir) // only what this run made
		d.dir = dir
	}
	// The world ends today, so that what the server is asked now follows on.
	d.world.End = time.Now().UTC().Truncate(24 * time.Hour)
	world := synth.New(d.world)
	d.say("A world of %d partners, %d leads and %d days.", d.world.Partners, d.world.Leads, d.world.Days)
	data := filepath.Join(d.dir, "data")
	if err := writeWorld(ctx, d.streams, world, data, datasets.Parquet, int64(d.world.Leads)); err != nil {
		return err
	}
	src, err := openData(d.streams, data)
	if err != nil {
		return err
	}
	win, err := d.train(ctx, src)
	if err != nil {
		return err
	}
	report := &demoReport{Seed: d.world.Seed, Win: scoreOf(win.win.report), Churn: demoScore{AUC: trial.Number(math.NaN()), ECE: trial.Number(math.NaN())}}
	if win.churn != nil {
		report.Churn = scoreOf(win.churn.report)
	}
	if err := d.compare(ctx, report, world, src, win.win); err != nil {
		return err
	}
	return d.serve(ctx, report, src)
}

func (d *demo) say(format string, args ...any) {
	fmt.Fprintf(d.streams.Err, "[%4.1fs] %s\n", time.Since(d.began).Seconds(), fmt.Sprintf(format, args...))
}

// trained is what the demo learned.
type trained struct {
	win   *winModel
	churn *churnModel // nil where the world is too short for one
}

// train fits and publishes both models with the learners that are quick.
func (d *demo) train(ctx context.Context, src dirSource) (*trained, error) {
	config := func(task string) trial.Config {
		return trial.Config{Task: task, Learners: demoLearners, Seeds: -1, Seed: 1, Watch: watch(d.streams)}
	}
	dir := filepath.Join(d.dir, "models")
	d.say("Learning who wins which lead.")
	win, err := trainWin(ctx, src, worldPolicy.Conversion(), config("win"))
	if err != nil {
		return nil, err
	}
	p, err := win.published()
	if err != nil {
		return nil, err
	}
	if err := d.publish(dir, win.report, p); err != nil {
		return nil, err
	}
	d.say("Learning who drifts away.")
	churn, err := trainChurn(ctx, src, worldPolicy.Conversion(), config("churn"), time.Time{})
	if record.KindOf(err) == record.Refused {
		d.say("The churn model is not published: %v.", err)
		return &trained{win, nil}, nil
	}
	if err != nil {
		return nil, err
	}
	if p, err = churn.published(); err != nil {
		return nil, err
	}
	return &trained{win, churn}, d.publish(dir, churn.report, p)
}

// publish puts a model in force if its gate lets it pass. A small world may
// hold too little to learn from: the demo goes on without that model.
func (d *demo) publish(dir string, r *trial.Report, m published) error {
	if m.pred == nil || !r.Gate.Passed {
		d.say("The %s model is not published: %s.", m.name, strings.Join(r.Gate.Reasons, "; "))
		return nil
	}
	if err := publishModel(dir, r, m); err != nil {
		return err
	}
	d.say("Published %s: AUC %.3f [%.3f, %.3f], calibration error %.3f, on %d rows it never saw.", r.Version,
		r.Test.AUC, r.Test.AUCLo, r.Test.AUCHi, r.Test.ECE, r.Test.Rows)
	return nil
}

func scoreOf(r *trial.Report) demoScore { return demoScore{AUC: r.Test.AUC, ECE: r.Test.ECE} }

// compare judges policies on the leads after the training period.
func (d *demo) compare(ctx context.Context, report *demoReport, world *synth.World, src dirSource, win *winModel) error {
	c := comparison{world: world, set: win.set}
	if win.win != nil {
		c.model = &routing.Model{Win: win.win, Accept: win.accept, WinID: win.report.Version, AcceptID: win.report.Version}
	}
	if from := win.report.Split.Test.From; from != nil {
		c.from = *from
	}
	if err := c.read(ctx, src); err != nil {
		return err
	}
	d.say("Comparing policies on the leads from %s on.", c.from.Format(time.DateOnly))
	var err error
	if report.Policy, report.Leads, err = c.run(ctx, newProgress(d.streams, "leads")); err != nil {
		return err
	}
	t := table.NewWriter()
	t.SetOutputMirror(d.streams.Err)
	t.AppendHeader(table.Row{"policy", fmt.Sprintf("true chance that a lead is accepted and won, mean of %d leads", report.Leads)})
	for _, row := range policyTable(report.Policy) {
		t.AppendRow(table.Row{row[0], row[1]})
	}
	t.Render()
	return nil
}

// read takes the data set into memory; the demo's is small.
func (c *comparison) read(ctx context.Context, src features.Source) error {
	err := src.Partners(ctx, func(p *record.Partner) error { c.partners = append(c.partners, *p); return nil })
	if err == nil {
		err = src.Leads(ctx, func(l *record.Lead) error { c.leads = append(c.leads, *l); return nil })
	}
	if err == nil {
		err = src.Events(ctx, func(batch []record.Event) error { c.events = append(c.events, batch...); return nil })
	}
	slices.SortStableFunc(c.leads, func(a, b record.Lead) int { return a.CreatedAt.Compare(b.CreatedAt) })
	return err
}

// serve loads the world into a store, routes a few leads through the engine and
// serves until it is stopped, or ends.
func (d *demo) serve(ctx context.Context, report *demoReport, src dirSource) error {
	st, err := store.Open(filepath.Join(d.dir, "store"), store.Options{})
	if err != nil {
		return err
	}
	defer st.Close() // closed below with its error looked at; this is for early returns
	show := newProgress(d.streams, "events")
	if _, err := serving.Load(ctx, st, src, func(l serving.Loaded) { show(l.Events, 0) }); err != nil {
		return err
	}
	reg, err := registry.Open(filepath.Join(d.dir, "models"))
	if err != nil {
		return err
	}
	engine, err := serving.Start(ctx, st, reg, serving.Config{Policy: worldPolicy})
	if err != nil {
		return err
	}
	err = d.route(ctx, report, engine, src)
	if err == nil && !d.once {
		err = d.listen(ctx, engine)
	}
	err = errors.Join(err, engine.Close(), st.Close())
	if err == nil && d.json {
		return writeJSON(d.streams.Out, report)
	}
	return err
}

// route sends leads like the newest ones of the world through the engine.
func (d *demo) route(ctx context.Context, report *demoReport, engine *serving.Engine, src dirSource) error {
	var last []record.Lead
	err := src.Leads(ctx, func(l *record.Lead) error { last = append(last, *l); return nil })
	if err != nil {
		return err
	}
	t := table.NewWriter()
	t.SetOutputMirror(d.streams.Err)
	t.AppendHeader(table.Row{"lead", "chosen", "P(win)", "drawn with", "out of", "took"})
	for i := range last[max(0, len(last)-demoRoutes):] {
		lead := last[len(last)-1-i]
		lead.ID, lead.CreatedAt = record.LeadID(fmt.Sprintf("demo-%d", i+1)), time.Now().UTC()
		r, err := engine.Route(ctx, &lead, serving.RouteOptions{})
		if err != nil {
			return err
		}
		k := r.Decision
		out := demoRoute{Lead: lead.ID, Decision: k.ID, Chosen: k.Chosen, Propensity: k.Propensity, Eligible: r.Eligible, Micros: k.LatencyMicros}
		for _, c := range k.Ranked {
			if c.Partner == k.Chosen {
				out.Win = c.Win
			}
		}
		report.Routes = append(report.Routes, out)
		t.AppendRow(table.Row{out.Lead, out.Chosen, fmt.Sprintf("%.0f %%", 100*out.Win), fmt.Sprintf("%.3g %%", 100*out.Propensity), out.Eligible, time.Duration(out.Micros) * time.Microsecond})
	}
	t.Render()
	report.Seconds = time.Since(d.began).Seconds()
	d.say("Done.")
	return nil
}

// listen serves API and pages until ctx ends.
func (d *demo) listen(ctx context.Context, engine *serving.Engine) error {
	l, err := net.Listen("tcp", d.http)
	if err != nil {
		if l, err = net.Listen("tcp", "127.0.0.1:0"); err != nil {
			return err
		}
	}
	server, err := gateway.New(engine, gateway.Config{Pages: web.Handler(engine, false)})
	if err != nil {
		return err
	}
	fmt.Fprintf(d.streams.Err, "\nTry a lead at http://%s/ , the API at http://%s/docs ; stop with Ctrl-C.\n", l.Addr(), l.Addr())
	return server.Serve(ctx, l, nil)
}
