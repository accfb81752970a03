package main

import (
	"context"
	"errors"
	"fmt"

	"bellwether/datasets"
	"bellwether/datasets/record"
	"bellwether/serving"
	"bellwether/serving/store"

	"github.com/spf13/cobra"
)

func exportCommand(s *streams) *cobra.Command {
	var from, out, format string
	c := &cobra.Command{
		Use:   "export --store DIR --out DIR",
		Short: "Write the store's records as a data directory",
		Long: "Export writes every partner, lead, event and decision of a store as records, in the\n" +
			"form that 'bellwether train' and 'bellwether serve --data' read. The store must not\nbe in use by a server.",
		Example: "  bellwether export --store store --out live\n  bellwether train win --data live --models models",
		Args:    noArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			switch {
			case from == "":
				return usageError{errors.New("--store is needed: the directory a server kept its records in")}
			case out == "":
				return usageError{errors.New("--out is needed: the directory to write, which must not exist")}
			}
			f, err := datasets.ParseFormat(format)
			if err != nil {
				return usageError{fmt.Errorf("--format: %w", err)}
			}
			return exportStore(c.Context(), s, from, out, f)
		},
	}
	c.Flags().StringVar(&from, "store", "", "directory of the store")
	c.Flags().StringVar(&out, "out", "", "directory to write")
	c.Flags().StringVar(&format, "format", "parquet", "parquet, jsonl or arrow")
	return c
}

func exportStore(ctx context.Context, s *streams, from, out string, f datasets.Format) (err error) {
	st, err := store.Open(from, store.Options{MustExist: true})
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, st.Close()) }()
	w, err := datasets.Create(out, f)
	if err != nil {
		return err
	}
	show := newProgress(s, "exporting")
	total := int64(st.Head())
	n := int64(0)
	err = serving.Export(ctx, st, counted{w, func() { n++; show(n, total) }})
	if err != nil {
		w.Abort()
		return err
	}
	counts := w.Counts()
	if err := w.Close(); err != nil {
		return err
	}
	fmt.Fprintf(s.Err, "wrote %d partners, %d leads, %d events and %d decisions to %s\n",
		counts["partners"], counts["leads"], counts["events"], counts["decisions"], out)
	return nil
}

// counted tells of each record it passes on.
type counted struct {
	serving.Sink
	one func()
}

func (c counted) Partner(p *record.Partner) error   { c.one(); return c.Sink.Partner(p) }
func (c counted) Lead(l *record.Lead) error         { c.one(); return c.Sink.Lead(l) }
func (c counted) Event(e *record.Event) error       { c.one(); return c.Sink.Event(e) }
func (c counted) Decision(d *record.Decision) error { c.one(); return c.Sink.Decision(d) }
