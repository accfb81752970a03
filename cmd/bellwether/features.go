package main

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"runtime"

	"bellwether/datasets"
	"bellwether/datasets/record"
	"bellwether/features"

	"github.com/apache/arrow/go/v17/arrow"
	"github.com/apache/arrow/go/v17/arrow/memory"
	"github.com/spf13/cobra"
)

func featuresCommand(s *streams) *cobra.Command {
	var data, out, config string
	var asJSON bool
	options := features.ReplayOptions{Workers: runtime.NumCPU()}
	c := &cobra.Command{
		Use:   "features --data DIR --out DIR",
		Short: "Make training tables: one row per offer and per partner and month, as of then",
		Long: "Replay a data directory and write the training tables offers.parquet (one row per offer made, as of\n" +
			"just before it became known) and months.parquet (one row per partner and month's beginning), and\n" +
			"manifest.json with the feature set, its fingerprint, the data's time window and the counts.\n" +
			"A category is written as its code, a missing value as null. What came of the rows is known only at the\n" +
			"end of the data: offer_labels.parquet (first, won, accepted, and when that was known) and\n" +
			"month_labels.parquet (left) hold it, row for row; a label that is open, or that a row has not, is null.\n" +
			"Until then what decides it is kept in temporary files (TMPDIR), 56 bytes an event of an offer.",
		Example: "  bellwether features --data world --out tables",
		Args:    noArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			if out == "" {
				return usageError{fmt.Errorf("--out is needed: a directory to write")}
			}
			if err := asDirectory("--out", out); err != nil {
				return err
			}
			features.HugePages()
			src, err := openData(s, data)
			if err != nil {
				return err
			}
			o, err := readOptions(config)
			if err != nil {
				return err
			}
			money := newPurse(src)
			m, err := writeTables(c.Context(), money, out, o, options)
			if err != nil {
				return err
			}
			money.warn(s.Err, o)
			fmt.Fprintf(s.Err, "%d offer rows and %d month rows of %d features from %d events, %s to %s\n", m.Stats.Offers, m.Stats.Months,
				len(m.Features), m.Stats.Events, m.Stats.From.Format("2006-01-02"), m.Stats.To.Format("2006-01-02"))
			if n := m.Stats.LateOffers + m.Stats.NoLead; n > 0 {
				fmt.Fprintf(s.Err, "%d offers have no row: %d became known more than a day late, %d are of a lead not known then: not in the data, created after the offer, or long before it and never offered since\n", n, m.Stats.LateOffers, m.Stats.NoLead)
			}
			if asJSON {
				return json.NewEncoder(s.Out).Encode(m)
			}
			return nil
		},
	}
	c.Flags().StringVar(&data, "data", "", "data directory to read")
	c.Flags().StringVar(&out, "out", "", "directory to write; must not exist or be empty")
	addConfig(c, &config)
	c.Flags().IntVar(&options.Workers, "workers", options.Workers, "goroutines that fold partners; the result does not depend on it")
	c.Flags().BoolVar(&asJSON, "json", false, "print the manifest on stdout")
	return c
}

// tablesManifest is manifest.json of a directory of training tables.
type tablesManifest struct {
	Format string `json:"format"`
	features.Spec
	Stats    features.Stats     `json:"stats"`
	Features []features.Feature `json:"features"` // the columns after the keys; months hold those of the partner
}

const tablesFormat = "bellwether-tables/1"

// writeTables replays a data set into the tables of a new directory. The
// manifest is written last: a directory without one is not whole.
func writeTables(ctx context.Context, src features.Source, out string, o features.Options, r features.ReplayOptions) (*tablesManifest, error) {
	entries, err := os.ReadDir(out)
	if err == nil && len(entries) > 0 {
		return nil, record.Errorf(record.Conflict, "features", "%s is not empty: name a new directory", out)
	}
	if err := os.MkdirAll(out, 0o777); err != nil {
		return nil, record.Errorf(record.Unavailable, "features", "%w", err)
	}
	schema, err := readSchema(ctx, src)
	if err != nil {
		return nil, err
	}
	set := features.NewSet(schema, o)
	came, err := newOutcomes()
	if err != nil {
		return nil, err
	}
	defer came.close()
	offers := startTable(filepath.Join(out, "offers.parquet"), set.OfferSchema())
	months := startTable(filepath.Join(out, "months.parquet"), set.MonthSchema())
	_, stats, err := features.Replay(ctx, observedSource{src, came.observe}, set, r, features.Sink{
		Offers: func(rows *features.Rows) error { return cmp.Or(came.ofOffers(rows), offers.write(rows)) },
		Months: func(rows *features.Rows) error { came.ofMonths(rows); return months.write(rows) },
	})
	for _, t := range []*tableFile{offers, months} {
		if e := t.close(err); err == nil {
			err = e
		}
	}
	if err == nil {
		err = came.write(out)
	}
	if err != nil {
		return nil, err
	}
	m := &tablesManifest{tablesFormat, set.Spec(), stats, set.Features()}
	b, err := json.MarshalIndent(m, "", "  ")
	if err != nil {
		return nil, err
	}
	name := filepath.Join(out, "manifest.json")
	if err := os.WriteFile(name+".new", append(b, '\n'), 0o666); err != nil {
		return nil, err
	}
	return m, os.Rename(name+".new", name)
}

// tableFile is a Parquet file that a goroutine of its own writes, so that a
// replay need not wait for the disk.
type tableFile struct {
	rows    chan arrow.Record
	aborted error         // why the file is not to be; set before rows is closed
	done    chan struct{} // closed once err is there
	err     error
}

func startTable(path string, schema *arrow.Schema) *tableFile {
	t := &tableFile{rows: make(chan arrow.Record, 1), done: make(chan struct{})}
	go func() {
		defer close(t.done)
		t.err = datasets.WriteFlatParquet(path, schema, func(yield func(arrow.Record, error) bool) {
			for r := range t.rows {
				more := yield(r, nil)
				r.Release()
				if !more {
					return
				}
			}
			if t.aborted != nil {
				yield(nil, t.aborted)
			}
		})
	}()
	return t
}

// write hands rows to the file; it stops the replay once the file has failed.
func (t *tableFile) write(rows *features.Rows) error {
	r := rows.Record(memory.DefaultAllocator)
	select {
	case t.rows <- r:
		return nil
	case <-t.done:
		r.Release()
		return t.err
	}
}

// close ends the file, whole if err is nil and not at all if not.
func (t *tableFile) close(err error) error {
	t.aborted = err
	close(t.rows)
	<-t.done
	return t.err
}
