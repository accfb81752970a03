package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"time"

	"bellwether/datasets/record"
	"bellwether/features"
	"bellwether/models/registry"
	"bellwether/routing"

	"github.com/jedib0t/go-pretty/v6/table"
	"github.com/spf13/cobra"
)

// routeFlags are what one offline decision is made from.
type routeFlags struct {
	data, models, lead, config, at string
	seed                           uint64
	greedy, json                   bool
}

func routeCommand(s *streams) *cobra.Command {
	var f routeFlags
	c := &cobra.Command{
		Use:   "route --data DIR --lead F.json",
		Short: "Decide one lead offline, as the server would",
		Long: `Route folds a data directory up to a moment, decides one lead there and says who
would be offered it, why, who was refused, and what the plain rules would have
done, on standard error; --json prints one document on standard output. Nothing
is written down. Without a published win model the decision is made
by rules and shrunk rates, and says so.`,
		Example: "  bellwether route --data world --models models --lead lead.json\n  echo '{\"id\":\"l1\",\"created_at\":\"2026-06-29T09:00:00Z\"}' | bellwether route --data world --lead - --json",
		Args:    noArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			return f.run(c.Context(), s)
		},
	}
	c.Flags().StringVar(&f.data, "data", "", "data directory")
	c.Flags().StringVar(&f.models, "models", "", "directory of models; without one the decision is degraded")
	c.Flags().StringVar(&f.lead, "lead", "", "file with one lead as JSON; - is standard input")
	c.Flags().StringVar(&f.config, "config", "", "YAML file as of 'bellwether serve', of which its policy is used")
	c.Flags().StringVar(&f.at, "at", "", "moment of the decision, RFC 3339; the later of the lead's creation and the data's end without one")
	c.Flags().Uint64Var(&f.seed, "seed", 1, "seed of the draw")
	c.Flags().BoolVar(&f.greedy, "greedy", false, "no exploration: always the best")
	c.Flags().BoolVar(&f.json, "json", false, "print the decision as one JSON document on standard output")
	return c
}

func (f *routeFlags) run(ctx context.Context, s *streams) error {
	if f.lead == "" {
		return usageError{fmt.Errorf("--lead is needed: a file with one lead as JSON, see 'bellwether schema lead'")}
	}
	lead, err := readLead(s.In, f.lead)
	if err != nil {
		return err
	}
	config, err := readServeConfig(f.config)
	if err != nil {
		return err
	}
	if err := config.Policy.CheckMoney("value", lead.Value); err != nil {
		return record.Errorf(record.Invalid, "read lead "+f.lead, "%w", err)
	}
	now, err := f.moment()
	if err != nil {
		return err
	}
	src, err := openData(s, f.data)
	if err != nil {
		return err
	}
	money := newPurse(src)
	d, router, last, err := f.decide(ctx, money, lead, config.Policy, now)
	if err != nil {
		return err
	}
	money.warn(s.Err, router.Set.Options())
	warnOther(s.Err, router.Set.Options(), config.Policy.Conversion())
	if f.models != "" && !now.IsZero() {
		warnAhead(s.Err, f.models, "win", now)
	}
	if d.At.After(dayAfter(last)) {
		fmt.Fprintf(s.Err, "warning: what is known ends on %s: this is decided as of %s, as if nothing had happened since\n", last.UTC().Format(time.DateOnly), d.At.Format(time.DateOnly))
	}
	printDecision(s.Err, d, router.Index)
	if f.json {
		return writeJSON(s.Out, d)
	}
	return nil
}

// moment reads --at; zero without it.
func (f *routeFlags) moment() (time.Time, error) {
	if f.at == "" {
		return time.Time{}, nil
	}
	t, err := time.Parse(time.RFC3339, f.at)
	if err != nil {
		return t, usageError{fmt.Errorf("--at %q: a time as 2026-06-29T09:00:00Z is wanted", f.at)}
	}
	return t.UTC(), nil
}

// decide folds the data into a router and decides. last is when the newest event
// folded became known.
func (f *routeFlags) decide(ctx context.Context, src features.Source, lead *record.Lead, policy routing.Policy, now time.Time) (d *record.Decision, r *routing.Router, last time.Time, err error) {
	set, model, err := loadWin(f.models)
	if err != nil {
		return nil, nil, last, err
	}
	if set == nil {
		schema, err := readSchema(ctx, src)
		if err != nil {
			return nil, nil, last, err
		}
		set = features.NewSet(schema, policy.Conversion())
	}
	index, err := routing.NewIndex(policy)
	if err != nil {
		return nil, nil, last, err
	}
	folded := indexSource{Source: src, index: index}
	var opt features.ReplayOptions
	if !now.IsZero() {
		folded.until, opt.Until = now, now.Add(time.Second)
	}
	state, stats, err := features.Replay(ctx, &folded, set, opt, features.Sink{})
	if err != nil {
		return nil, nil, last, err
	}
	folded.upsert(maxTime)
	if now.IsZero() {
		now = lead.CreatedAt
		if stats.To.After(now) {
			now = stats.To
		}
	}
	state.Advance(now)
	index.Advance(now)
	router := routing.Router{Set: set, Index: index, Model: model}
	d, err = router.Route(lead, state, routing.Request{Now: now, Seed: f.seed, Greedy: f.greedy, Position: uint64(stats.Events)}, nil)
	return d, &router, stats.To, err
}

var maxTime = time.Date(9999, 1, 1, 0, 0, 0, 0, time.UTC)

// indexSource lets an index see the partners and events that pass, each partner
// version from when it was known.
type indexSource struct {
	features.Source
	index    *routing.Index
	until    time.Time // what became known later is not seen; zero: all is
	versions []*record.Partner
}

func (s *indexSource) Partners(ctx context.Context, f func(*record.Partner) error) error {
	s.versions = nil
	err := s.Source.Partners(ctx, func(p *record.Partner) error {
		if s.until.IsZero() || !p.KnownAt.After(s.until) {
			s.versions = append(s.versions, p)
		}
		return f(p)
	})
	slices.SortStableFunc(s.versions, func(a, b *record.Partner) int { return a.KnownAt.Compare(b.KnownAt) })
	return err
}

func (s *indexSource) Events(ctx context.Context, f func([]record.Event) error) error {
	return s.Source.Events(ctx, func(batch []record.Event) error {
		for i := range batch {
			if known := batch[i].Known(); s.until.IsZero() || !known.After(s.until) {
				s.upsert(known)
				s.index.Observe(&batch[i])
			}
		}
		return f(batch)
	})
}

// upsert puts the versions in force that were known by then.
func (s *indexSource) upsert(known time.Time) {
	for len(s.versions) > 0 && !s.versions[0].KnownAt.After(known) {
		s.index.Upsert(s.versions[0])
		s.versions = s.versions[1:]
	}
}

// loadWin loads the win model in force and its features; nil and nil where
// there is none.
func loadWin(dir string) (*features.Set, *routing.Model, error) {
	if dir == "" {
		return nil, nil, nil
	}
	reg, err := openModels(dir)
	if err != nil {
		return nil, nil, err
	}
	a, err := reg.Load("win", "")
	if errors.Is(err, registry.ErrNotFound) {
		return nil, nil, nil
	}
	if err != nil {
		return nil, nil, err
	}
	var spec features.Spec
	if err := json.Unmarshal(a.Files["features.json"], &spec); err != nil {
		return nil, nil, record.Errorf(record.Incompatible, "load "+a.String(), "features.json: %w", err)
	}
	set, err := spec.Set()
	if err != nil {
		return nil, nil, record.Errorf(record.Incompatible, "load "+a.String(), "%w", err)
	}
	model, err := routing.LoadModel(set, a.String()+":"+a.Hash, a.Files["win.bin"], a.Files["accept.bin"])
	return set, model, err
}

// readLead reads one lead and checks it.
func readLead(in io.Reader, path string) (*record.Lead, error) {
	b, err := readFile(in, path)
	if err != nil {
		return nil, err
	}
	var l record.Lead
	d := json.NewDecoder(bytes.NewReader(b))
	d.DisallowUnknownFields()
	if err := d.Decode(&l); err != nil {
		return nil, record.Errorf(record.Invalid, "read lead "+path, "%w", err)
	}
	l.CreatedAt = l.CreatedAt.UTC()
	if err := l.Validate(); err != nil {
		return nil, record.Errorf(record.Invalid, "read lead "+path, "%w", err)
	}
	return &l, nil
}

func readFile(in io.Reader, path string) ([]byte, error) {
	if path == "-" {
		return io.ReadAll(in)
	}
	b, err := os.ReadFile(path)
	if errors.Is(err, os.ErrNotExist) {
		return nil, record.Errorf(record.NotFound, "read", "%w", err)
	}
	return b, err
}

// printDecision shows a decision to people.
func printDecision(w io.Writer, d *record.Decision, index *routing.Index) {
	if d.Chosen == "" {
		fmt.Fprintf(w, "%s at %s: nobody\n", d.Lead, d.At.Format(time.RFC3339))
	} else {
		fmt.Fprintf(w, "%s at %s: %s, until %s\n", d.Lead, d.At.Format(time.RFC3339), d.Chosen, d.ExpiresAt.Format(time.RFC3339))
	}
	for _, r := range d.Reasons {
		fmt.Fprintf(w, "  %s\n", r)
	}
	if len(d.Ranked) == 0 {
		return
	}
	t := table.NewWriter()
	t.SetStyle(table.StyleLight)
	t.AppendHeader(table.Row{"", "partner", "win", "from", "to", "accept", "value", "price", "probability", "why"})
	for i, k := range d.Ranked {
		mark := ""
		if k.Partner == d.Chosen {
			mark = ">"
		}
		for j, reason := range append(k.Reasons, "") {
			switch {
			case j == 0:
				t.AppendRow(table.Row{fmt.Sprintf("%s%d", mark, i+1), k.Partner, percent(k.Win), percent(k.WinLo), percent(k.WinHi), percent(k.Accept),
					fmt.Sprintf("%.2f", k.Value/100), fmt.Sprintf("%.2f", k.Price/100), fmt.Sprintf("%.4f", k.Prob), reason})
			case reason != "":
				t.AppendRow(table.Row{"", "", "", "", "", "", "", "", "", reason})
			}
		}
	}
	fmt.Fprintln(w, t.Render())
	model := d.Model
	if d.Degraded {
		model = "none"
	}
	fmt.Fprintf(w, "policy %s, model %s, %d partners, seed %016x\n", d.Policy, model, index.Len(), d.Seed)
}

func percent(x float64) string { return fmt.Sprintf("%.1f %%", 100*x) }
