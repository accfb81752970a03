package main

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"

	"bellwether/datasets/record"

	"github.com/jedib0t/go-pretty/v6/table"
	"github.com/jedib0t/go-pretty/v6/text"
	"github.com/spf13/cobra"
)

func schemaCommand(s *streams) *cobra.Command {
	nouns := []string{"partner", "lead", "event", "decision"}
	var asJSON bool
	c := &cobra.Command{
		Use:   "schema partner|lead|event|decision",
		Short: "List the fields of a record: names, types, meaning",
		Long: "List the fields of a record. The name is what JSON and an import mapping call the field; the column is\n" +
			"what Parquet and Arrow files call it. attributes.NAME and numbers.NAME reach into those fields.",
		Example:   "  bellwether schema lead\n  bellwether schema event --json",
		ValidArgs: nouns,
		Args: func(_ *cobra.Command, args []string) error {
			if len(args) != 1 || !slices.Contains(nouns, args[0]) {
				return usageError{fmt.Errorf("schema needs one of %s", strings.Join(nouns, ", "))}
			}
			return nil
		},
		RunE: func(_ *cobra.Command, args []string) error {
			fields, err := record.FieldsOf(args[0])
			if err != nil {
				return err
			}
			if asJSON {
				doc := json.NewEncoder(s.Out)
				doc.SetIndent("", "  ")
				return doc.Encode(map[string]any{"noun": args[0], "fields": fields})
			}
			showSchema(s, fields)
			return nil
		},
	}
	c.Flags().BoolVar(&asJSON, "json", false, "print one JSON document")
	return c
}

func showSchema(s *streams, fields []record.Field) {
	t := table.NewWriter()
	t.SetOutputMirror(s.Out)
	t.SetStyle(table.StyleLight)
	t.SetColumnConfigs([]table.ColumnConfig{{Number: 3, WidthMax: 30, WidthMaxEnforcer: text.WrapSoft}, {Number: 4, WidthMax: 70, WidthMaxEnforcer: text.WrapSoft}})
	t.AppendHeader(table.Row{"name", "column", "type", "meaning"})
	for _, f := range fields {
		meaning := f.Meaning
		if len(f.OneOf) > 0 {
			meaning += " (one of " + strings.Join(f.OneOf, ", ") + ")"
		}
		if f.Required {
			meaning = "required; " + meaning
		}
		t.AppendRow(table.Row{f.Name, f.Column, f.Type, meaning})
	}
	t.Render()
}
