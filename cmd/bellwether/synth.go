package main

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"bellwether/datasets"
	"bellwether/datasets/record"
	"bellwether/datasets/synth"
	"bellwether/routing"

	"github.com/spf13/cobra"
	"go.yaml.in/yaml/v3"
)

func synthCommand(s *streams) *cobra.Command {
	var cfg synth.Config
	var out, format, end string
	c := &cobra.Command{
		Use:   "synth --out DIR",
		Short: "Make a synthetic world of partners, leads and events whose truth is known",
		Long: "Make a synthetic world and write it as a data directory. The same seed gives the same bytes.\n" +
			"What no record says (skill by industry, product, region and size, moods, who left when) is\n" +
			"written beside it as truth.jsonl, which nothing that learns reads, and the rates of its currencies\n" +
			"as policy.yaml, for --config of the other commands.",
		Example: "  bellwether synth --out world\n  bellwether synth --out big --partners 10000 --leads 1000000 --events 20000000",
		Args:    noArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			f, err := directoryFormat(out, format)
			if err != nil {
				return err
			}
			if out == "" || min(cfg.Partners, cfg.Leads, cfg.Days) < 1 || cfg.Events < 0 {
				return usageError{fmt.Errorf("--out is needed; --partners, --leads and --days are at least 1, --events not negative")}
			}
			if cfg.End, err = endOf(end); err != nil {
				return usageError{fmt.Errorf("--end: %w", err)}
			}
			return writeWorld(c.Context(), s, synth.New(cfg), out, f, int64(cfg.Leads))
		},
	}
	c.Flags().StringVar(&out, "out", "", "directory to write; must not exist or be empty")
	c.Flags().StringVar(&format, "format", "parquet", "parquet, jsonl or arrow")
	c.Flags().IntVar(&cfg.Partners, "partners", 200, "number of partners")
	c.Flags().IntVar(&cfg.Leads, "leads", 20_000, "number of leads")
	c.Flags().IntVar(&cfg.Days, "days", 720, "number of days, up to --end")
	c.Flags().StringVar(&end, "end", "2026-06-30", "midnight after the last day, YYYY-MM-DD, or today: a world that a server started now follows on")
	c.Flags().IntVar(&cfg.Events, "events", 0, "number of events to aim at by scaling portal activity; 0: as many as come naturally")
	c.Flags().Uint64Var(&cfg.Seed, "seed", 0, "seed of everything random")
	return c
}

// endOf reads --end.
func endOf(text string) (time.Time, error) {
	if text == "today" {
		return time.Now().UTC().Truncate(24 * time.Hour), nil
	}
	return time.Parse(time.DateOnly, text)
}

// meter counts what passes to a writer and shows how far the leads are.
type meter struct {
	*datasets.Writer
	leads, events, total int64
	show                 func(done, total int64)
}

func (m *meter) Lead(l *record.Lead) error {
	m.leads++
	if m.leads%256 == 0 || m.leads == m.total {
		m.show(m.leads, m.total)
	}
	return m.Writer.Lead(l)
}

func (m *meter) Event(e *record.Event) error {
	m.events++
	return m.Writer.Event(e)
}

func writeWorld(ctx context.Context, s *streams, w *synth.World, out string, f datasets.Format, leads int64) error {
	writer, err := datasets.Create(out, f)
	if err != nil {
		return err
	}
	m := &meter{Writer: writer, total: leads, show: newProgress(s, "leads")}
	if err := w.Generate(ctx, m); err != nil {
		writer.Abort()
		return fmt.Errorf("synth: %w", err)
	}
	if err := writer.Close(); err != nil {
		return fmt.Errorf("synth: %w", err)
	}
	if err := writeTruth(filepath.Join(out, "truth.jsonl"), w); err != nil {
		return fmt.Errorf("synth: %w", err)
	}
	if err := writeWorldPolicy(filepath.Join(out, "policy.yaml")); err != nil {
		return fmt.Errorf("synth: %w", err)
	}
	fmt.Fprintf(s.Err, "%s: %d partners, %d leads, %d events, %s to %s\n", out, len(w.Partners()), m.leads, m.events,
		w.Start().Format("2006-01-02"), w.End().Format("2006-01-02"))
	return nil
}

// worldPolicy has the rates of the currencies of synthetic worlds.
var worldPolicy = routing.Policy{Currency: "EUR", Rates: map[string]float64{"GBP": 1.17, "PLN": 0.23, "SEK": 0.09, "USD": 0.92}}

func writeWorldPolicy(path string) error {
	b, err := yaml.Marshal(map[string]any{"policy": map[string]any{"currency": worldPolicy.Currency, "rates": worldPolicy.Rates}})
	if err != nil {
		return err
	}
	return os.WriteFile(path, b, 0o666)
}

func writeTruth(path string, w *synth.World) error {
	file, err := os.Create(path)
	if err != nil {
		return err
	}
	b := bufio.NewWriter(file)
	enc := json.NewEncoder(b)
	for _, t := range w.Truths() {
		if err = enc.Encode(t); err != nil {
			break
		}
	}
	if err == nil {
		err = b.Flush()
	}
	if closed := file.Close(); err == nil {
		err = closed
	}
	return err
}
