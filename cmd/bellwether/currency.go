package main

import (
	"context"
	"fmt"
	"io"
	"maps"
	"reflect"
	"slices"
	"strings"

	"bellwether/datasets/record"
	"bellwether/features"

	"github.com/spf13/cobra"
)

// addConfig adds the flag of the server's YAML file to a command that reads only
// the currency table of its policy.
func addConfig(c *cobra.Command, path *string) {
	c.Flags().StringVar(path, "config", "", "YAML file as of 'bellwether serve'; of its policy only currency and rates are read: amounts are converted by them")
}

// readOptions reads the currency table of a --config file.
func readOptions(path string) (features.Options, error) {
	c, err := readServeConfig(path)
	return c.Policy.Conversion(), err
}

// purse is a source that remembers the currencies of the amounts that pass.
type purse struct {
	features.Source
	leads, events map[string]bool // apart: a replay may read both at a time
}

func newPurse(src features.Source) *purse {
	return &purse{src, map[string]bool{}, map[string]bool{}}
}

// Leads implements features.Source.
func (p *purse) Leads(ctx context.Context, f func(*record.Lead) error) error {
	return p.Source.Leads(ctx, func(l *record.Lead) error {
		see(p.leads, l.Value)
		return f(l)
	})
}

// Events implements features.Source.
func (p *purse) Events(ctx context.Context, f func([]record.Event) error) error {
	return p.Source.Events(ctx, func(batch []record.Event) error {
		for i := range batch {
			see(p.events, batch[i].Amount)
		}
		return f(batch)
	})
}

func see(in map[string]bool, m record.Money) {
	if m.Amount != 0 && m.Currency != "" && !in[m.Currency] {
		in[strings.Clone(m.Currency)] = true
	}
}

// warn says which amounts the features could not compare with the others.
func (p *purse) warn(w io.Writer, o features.Options) {
	seen := maps.Clone(p.leads)
	maps.Copy(seen, p.events)
	codes := slices.Sorted(maps.Keys(seen))
	if len(o.Currency) == 0 {
		if len(codes) > 1 {
			fmt.Fprintf(w, "warning: amounts are in %s and taken as they are, one unit like another: give --config with the policy's currency and rates\n", strings.Join(codes, ", "))
		}
		return
	}
	without := slices.DeleteFunc(codes, func(c string) bool { return o.Currency[c] > 0 || c == o.Base })
	if len(without) > 0 {
		fmt.Fprintf(w, "warning: amounts in %s count as missing: the currency table has no rate for them\n", strings.Join(without, ", "))
	}
}

// warnOther says that a model converts amounts by another table than --config
// asks for.
func warnOther(w io.Writer, model, config features.Options) {
	if config.Base == "" || model.Base == config.Base && reflect.DeepEqual(model.Currency, config.Currency) {
		return
	}
	fmt.Fprintln(w, "warning: the model was trained with another currency table than --config has; its features go by its own: train again to change them")
}
