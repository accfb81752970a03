package main

import (
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"time"

	"bellwether/datasets/record"
	"bellwether/models/registry"
	"bellwether/models/trial"

	"github.com/dustin/go-humanize"
	"github.com/jedib0t/go-pretty/v6/table"
	"github.com/spf13/cobra"
)

func modelsCommand(s *streams) *cobra.Command {
	c := &cobra.Command{
		Use:   "models",
		Short: "List, show, promote, roll back, export and import published models",
		Args:  noArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			return usageError{errors.New("say what to do: list, show, promote, rollback, card, export or import; see 'bellwether models --help'")}
		},
	}
	var dir string
	var asJSON bool
	c.PersistentFlags().StringVar(&dir, "models", "models", "directory of models")
	c.PersistentFlags().BoolVar(&asJSON, "json", false, "print one JSON document on standard output")
	open := func() (*registry.Registry, error) { return openModels(dir) }
	sub := func(use, short string, args cobra.PositionalArgs, do func(*registry.Registry, []string) (any, error)) {
		c.AddCommand(&cobra.Command{Use: use, Short: short, Args: args, RunE: func(_ *cobra.Command, args []string) error {
			reg, err := open()
			if err != nil {
				return err
			}
			v, err := do(reg, args)
			if err == nil && asJSON {
				err = writeJSON(s.Out, v)
			}
			return err
		}})
	}
	say := func(format string, args ...any) {
		if !asJSON {
			fmt.Fprintf(s.Out, format, args...)
		}
	}
	sub("list [NAME]", "Every model and version, the one in force marked", atMostArgs(1), func(reg *registry.Registry, args []string) (any, error) {
		infos, err := reg.Audit(append(args, "")[0])
		if err == nil && len(infos) == 0 && len(args) > 0 {
			err = noModel(reg, args[0])
		}
		if err == nil && !asJSON {
			printModels(s.Out, infos)
		}
		for _, i := range infos {
			if i.Damaged != "" {
				fmt.Fprintf(s.Err, "warning: %s\n", i.Damaged)
			}
		}
		return infos, err
	})
	sub("show NAME[@V]", "One version: hash, window and figures", exactArgs(1), func(reg *registry.Registry, args []string) (any, error) {
		info, err := reg.Show(registry.SplitRef(args[0]))
		if err == nil && !asJSON {
			printModels(s.Out, []registry.Info{info})
			fmt.Fprintf(s.Out, "hash %s, %s\n", info.Hash, humanize.IBytes(uint64(info.Bytes)))
		}
		return info, err
	})
	sub("promote NAME@V", "Put a version in force", exactArgs(1), func(reg *registry.Registry, args []string) (any, error) {
		name, version := registry.SplitRef(args[0])
		if version == "" {
			return nil, usageError{fmt.Errorf("say which version: promote %s@V", name)}
		}
		v, err := reg.Promote(name, version)
		if err == nil {
			say("in force: %s\n", v)
		}
		return v, err
	})
	sub("rollback NAME", "Put the version before back in force", exactArgs(1), func(reg *registry.Registry, args []string) (any, error) {
		v, err := reg.Rollback(args[0])
		if err == nil {
			say("in force: %s\n", v)
		}
		return v, err
	})
	c.AddCommand(cardCommand(s, open, &asJSON))
	c.AddCommand(exportModelCommand(s, open, &asJSON), importModelCommand(s, &dir, &asJSON))
	return c
}

func atMostArgs(n int) cobra.PositionalArgs {
	return func(c *cobra.Command, args []string) error {
		if len(args) <= n {
			return nil
		}
		return usageError{fmt.Errorf("%s takes at most %d argument(s): %s", plain(c), n, c.UseLine())}
	}
}

// noModel says that there is no model of a name, and which there are.
func noModel(reg *registry.Registry, name string) error {
	names, err := reg.Names()
	if err != nil {
		return err
	}
	there := "is nothing yet"
	if len(names) > 0 {
		there = "are " + strings.Join(names, ", ")
	}
	return record.Errorf(record.NotFound, "", "%s holds no model %s: there %s", reg.Dir(), name, there)
}

func printModels(w io.Writer, infos []registry.Info) {
	t := table.NewWriter()
	t.SetStyle(table.StyleLight)
	t.AppendHeader(table.Row{"model", "in force", "task", "learner", "rows", "window", "AUC", "95 %", "ECE", "published"})
	for _, i := range infos {
		mark := ""
		if i.Current {
			mark = "*"
		}
		if i.Damaged != "" {
			t.AppendRow(table.Row{i.Version, mark, "damaged"})
			continue
		}
		window := ""
		if !i.Card.From.IsZero() {
			window = i.Card.From.Format(time.DateOnly) + " to " + i.Card.To.Format(time.DateOnly)
		}
		t.AppendRow(table.Row{i.Version, mark, i.Card.Task, i.Card.Learner, i.Card.Rows, window, fmt.Sprintf("%.4f", i.Card.AUC),
			fmt.Sprintf("%.4f to %.4f", i.Card.AUCLo, i.Card.AUCHi), fmt.Sprintf("%.4f", i.Card.ECE), i.Card.Published.Format(time.DateTime)})
	}
	fmt.Fprintln(w, t.Render())
}

func cardCommand(s *streams, open func() (*registry.Registry, error), asJSON *bool) *cobra.Command {
	return &cobra.Command{Use: "card NAME[@V]", Short: "The model's card, in Markdown; with --json in full", Args: exactArgs(1), RunE: func(_ *cobra.Command, args []string) error {
		reg, err := open()
		if err != nil {
			return err
		}
		a, err := reg.Load(registry.SplitRef(args[0]))
		if err != nil {
			return err
		}
		file := "card.md"
		if *asJSON {
			file = "card.json"
		}
		b, ok := a.Files[file]
		if !ok {
			return record.Errorf(record.NotFound, "", "%s was published without %s", a.Version, file)
		}
		_, err = s.Out.Write(b)
		return err
	}}
}

// told answers a program with v and a person with a sentence.
func told(s *streams, v any, asJSON bool, format string, args ...any) error {
	if asJSON {
		return writeJSON(s.Out, v)
	}
	_, err := fmt.Fprintf(s.Out, format, args...)
	return err
}

// openModels opens a directory of models to read from, which must be there.
func openModels(dir string) (*registry.Registry, error) {
	if info, err := os.Stat(dir); err != nil || !info.IsDir() {
		return nil, record.Errorf(record.NotFound, "", "--models %s is not a directory of models: name the one that 'bellwether train' published to", dir)
	}
	return registry.Open(dir)
}

// loadPredictor loads a version, the one in force if none is named, and what it
// predicts with.
func loadPredictor(reg *registry.Registry, ref string) (*registry.Artifact, *trial.Predictor, error) {
	a, err := reg.Load(registry.SplitRef(ref))
	if err != nil {
		return nil, nil, err
	}
	b, ok := a.Files[a.Card.Task+".bin"]
	if !ok {
		return nil, nil, fmt.Errorf("%s has no predictor %s.bin", a.Version, a.Card.Task)
	}
	p, err := trial.LoadPredictor(b)
	if err != nil {
		return nil, nil, fmt.Errorf("%s: %w", a.Version, err)
	}
	return a, p, nil
}
