package main

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"strings"

	"bellwether/datasets"
	"bellwether/datasets/record"
	"bellwether/serving"
	"bellwether/serving/gateway"
	"bellwether/serving/store"

	"github.com/spf13/cobra"
)

func exportCommand(s *streams) *cobra.Command {
	var from, server, key, out, format string
	c := &cobra.Command{
		Use:   "export --server URL | --store DIR --out DIR",
		Short: "Write a server's or a store's records as a data directory",
		Long: "Export writes every partner, lead, event and decision as records, in the form that\n" +
			"'bellwether train' and 'bellwether serve --data' read. A running server is asked with\n--server and a key of scope admin, from --key or $BELLWETHER_KEY; with --store the\nstore must not be in use.",
		Example: "  BELLWETHER_KEY=$(bellwether keys add --name export --scope admin) bellwether export --server http://127.0.0.1:8080 --out live\n  bellwether export --store store --out live\n  bellwether train win --data live --models models",
		Args:    noArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			switch {
			case (from == "") == (server == ""):
				return usageError{errors.New("one of --server and --store is needed: a running server's URL, or the directory it kept its records in")}
			case out == "":
				return usageError{errors.New("--out is needed: the directory to write, which must not exist or be empty")}
			}
			f, err := directoryFormat(out, format)
			if err != nil {
				return err
			}
			if server != "" {
				return exportServer(c.Context(), s, server, key, out, f)
			}
			return exportStore(c.Context(), s, from, out, f)
		},
	}
	c.Flags().StringVar(&from, "store", "", "directory of the store")
	c.Flags().StringVar(&server, "server", "", "URL of a running server")
	c.Flags().StringVar(&key, "key", "", "API key for the server; empty: $BELLWETHER_KEY")
	c.Flags().StringVar(&out, "out", "", "directory to write; must not exist or be empty")
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
	return finishExport(s, w, out, serving.Export(ctx, st, counted{w, func() { n++; show(n, total) }}))
}

// exportServer reads a running server's stream of records.
func exportServer(ctx context.Context, s *streams, server, key, out string, f datasets.Format) error {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, strings.TrimSuffix(server, "/")+"/v1/export", nil)
	if err != nil {
		return usageError{fmt.Errorf("--server: %w", err)}
	}
	if key == "" {
		key = os.Getenv("BELLWETHER_KEY")
	}
	if key != "" {
		req.Header.Set("Authorization", "Bearer "+key)
	}
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		return fmt.Errorf("export: %w", err)
	}
	defer res.Body.Close()
	if res.StatusCode != http.StatusOK {
		var p gateway.Problem
		_ = json.NewDecoder(res.Body).Decode(&p) // the status alone will do
		return fmt.Errorf("export: %s answered %s: %s", server, res.Status, p.Detail)
	}
	w, err := datasets.Create(out, f)
	if err != nil {
		return err
	}
	return finishExport(s, w, out, copyRecords(res.Body, w, newProgress(s, "exporting")))
}

// copyRecords writes the lines of an export. A stream without its end was cut.
func copyRecords(from io.Reader, to serving.Sink, show func(done, total int64)) error {
	n := int64(0)
	for dec := json.NewDecoder(bufio.NewReaderSize(from, 1<<16)); ; n++ {
		var line gateway.ExportLine
		err := dec.Decode(&line)
		switch {
		case err != nil:
			return fmt.Errorf("export: the stream was cut after %d records, try again: %w", n, err)
		case line.Partner != nil:
			err = to.Partner(line.Partner)
		case line.Lead != nil:
			err = to.Lead(line.Lead)
		case line.Event != nil:
			err = to.Event(line.Event)
		case line.Decision != nil:
			err = to.Decision(line.Decision)
		case line.End != nil && *line.End == n:
			show(n, n)
			return nil
		default:
			return fmt.Errorf("export: the server says its stream has another number of records than the %d that came", n)
		}
		if err != nil {
			return err
		}
		show(n, 0)
	}
}

// finishExport closes what was written, or drops it after an error.
func finishExport(s *streams, w *datasets.Writer, out string, err error) error {
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
