package main

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"time"

	"bellwether/datasets"
	"bellwether/datasets/public"

	"github.com/jedib0t/go-pretty/v6/table"
	"github.com/spf13/cobra"
)

// importers read one kind of source into a data directory.
var importers = map[string]func(context.Context, string, *datasets.Writer, public.Options) (*datasets.Report, error){
	"incidents": public.Incidents,
	"olist":     public.Olist,
}

func importCommand(s *streams) *cobra.Command {
	var im importRun
	c := &cobra.Command{
		Use:   "import incidents|olist|csv --in PATH --out DIR",
		Short: "Bring foreign files into a data directory of records",
		Long: "Bring foreign files into a data directory: a CRM's CSV exports by way of a mapping, or one of the\n" +
			"public sets the project is measured on. A row that cannot be used goes to quarantine.jsonl in the new\n" +
			"directory with file, line, column, value and reason; the counts are always printed.\n\n" +
			"docs/data.md describes the mapping; datasets/testdata holds one each for Salesforce, HubSpot and Dynamics.",
		Example: "  bellwether import csv --in export/ --map salesforce.yaml --out data\n" +
			"  bellwether import incidents --in incident_event_log.csv.gz --out incidents\n" +
			"  bellwether import olist --in olist/ --out olist-data --format jsonl --json",
		ValidArgs: []string{"incidents", "olist", "csv"},
		Args: func(_ *cobra.Command, args []string) error {
			if len(args) != 1 || !slices.Contains([]string{"incidents", "olist", "csv"}, args[0]) {
				return usageError{fmt.Errorf("import needs one of incidents, olist, csv; see 'bellwether import --help'")}
			}
			return nil
		},
		RunE: func(c *cobra.Command, args []string) error { return im.run(c.Context(), s, args[0]) },
	}
	c.Flags().StringVar(&im.in, "in", "", "directory or file to read")
	c.Flags().StringVar(&im.mapping, "map", "", "mapping of columns to fields (csv only)")
	c.Flags().StringVar(&im.out, "out", "", "directory to write; must not exist or be empty")
	c.Flags().StringVar(&im.format, "format", "parquet", "parquet, jsonl or arrow")
	c.Flags().BoolVar(&im.json, "json", false, "print the counts as one JSON document")
	return c
}

type importRun struct {
	in, mapping, out, format string
	json                     bool
}

func (im *importRun) run(ctx context.Context, s *streams, kind string) error {
	switch {
	case im.in == "" || im.out == "":
		return usageError{fmt.Errorf("--in and --out are needed")}
	case kind == "csv" && im.mapping == "":
		return usageError{fmt.Errorf("import csv needs --map M.yaml: how columns become fields; see docs/data.md")}
	case kind != "csv" && im.mapping != "":
		return usageError{fmt.Errorf("--map is for import csv only")}
	}
	format, err := directoryFormat(im.out, im.format)
	if err != nil {
		return err
	}
	started := time.Now()
	report, err := im.read(ctx, s, kind, format)
	if err != nil {
		return err
	}
	seconds := time.Since(started).Seconds()
	showReport(s, report, im.out, seconds)
	if !im.json {
		return nil
	}
	doc := json.NewEncoder(s.Out)
	doc.SetIndent("", "  ")
	return doc.Encode(struct {
		Import string `json:"import"`
		Out    string `json:"out"`
		*datasets.Report
		Seconds float64 `json:"seconds"`
	}{kind, im.out, report, seconds})
}

func (im *importRun) read(ctx context.Context, s *streams, kind string, format datasets.Format) (*datasets.Report, error) {
	var mapping *datasets.Mapping
	var err error
	if kind == "csv" {
		if mapping, err = datasets.ReadMapping(im.mapping); err != nil {
			return nil, err
		}
	}
	w, err := datasets.Create(im.out, format)
	if err != nil {
		return nil, err
	}
	defer w.Abort()
	progress := newProgress(s, "import "+kind)
	var report *datasets.Report
	if kind == "csv" {
		report, err = datasets.ImportCSV(ctx, im.in, mapping, w, progress)
	} else {
		report, err = importers[kind](ctx, im.in, w, public.Options{Progress: progress})
	}
	if err != nil {
		return nil, err
	}
	return report, w.Close()
}

// showReport prints what was read and what was made of it, for people.
func showReport(s *streams, r *datasets.Report, out string, seconds float64) {
	t := table.NewWriter()
	t.SetOutputMirror(s.Err)
	t.SetStyle(table.StyleLight)
	t.AppendHeader(table.Row{"", "in", "kept", "of them repeats", "quarantined"})
	line := func(name string, c datasets.Counts) {
		t.AppendRow(table.Row{name, c.In, c.Kept, c.Repeats, c.Quarantined})
	}
	for _, f := range r.Files {
		line(f.File, f.Counts)
	}
	line("all rows", r.Counts)
	t.AppendSeparator()
	for _, noun := range []string{"partners", "leads", "events"} {
		if c, ok := r.Records[noun]; ok {
			line(noun, c)
		}
	}
	t.Render()
	for _, n := range r.Notes {
		fmt.Fprintln(s.Err, n)
	}
	if r.Quarantine != "" {
		fmt.Fprintf(s.Err, "what was set aside, and why: %s/%s\n", out, r.Quarantine)
	}
	fmt.Fprintf(s.Err, "%s written in %.1f s\n", out, seconds)
}
