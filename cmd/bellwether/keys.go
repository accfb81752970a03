package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"strings"
	"time"

	"bellwether/datasets/record"
	"bellwether/serving/gateway"

	"github.com/jedib0t/go-pretty/v6/table"
	"github.com/spf13/cobra"
)

// keysCommand edits the key file that a server watches.
func keysCommand(s *streams) *cobra.Command {
	var path string
	c := &cobra.Command{
		Use:   "keys",
		Short: "Make, list and revoke API keys",
		Long: "Edits the key file that 'bellwether serve --keys FILE' watches: a change works within a second.\nThe file holds hashes only; a key is shown once, when it is made.\n\n" +
			"Scopes: route (leads, answers to offers, outcomes), read (decisions, partners, health,\nreports, models), write (partners, batches of events), admin (promote, roll back, export).",
		Example: "  bellwether keys add --file keys.jsonl --name crm --scope route,read\n  bellwether keys list --file keys.jsonl\n  bellwether keys revoke 1f3a9c02 --file keys.jsonl",
		Args:    noArgs,
		RunE:    func(c *cobra.Command, _ []string) error { return c.Help() },
	}
	c.PersistentFlags().StringVar(&path, "file", "keys.jsonl", "the key file")
	c.AddCommand(keysAddCommand(s, &path), keysListCommand(s, &path), keysRevokeCommand(s, &path))
	return c
}

func keysAddCommand(s *streams, path *string) *cobra.Command {
	var name string
	var scopes []string
	c := &cobra.Command{
		Use: "add", Short: "Make a key and print it once", Args: noArgs,
		Example: "  bellwether keys add --file keys.jsonl --name crm --scope route,read\n  bellwether keys add --name warehouse --scope admin",
		RunE: func(*cobra.Command, []string) error {
			keys, err := gateway.OpenKeys(*path)
			if err != nil {
				return err
			}
			token, key, err := keys.Add(name, scopes, time.Now())
			if record.KindOf(err) == record.Invalid {
				return usageError{err}
			}
			if err != nil {
				return err
			}
			fmt.Fprintln(s.Out, token)
			fmt.Fprintf(s.Err, "key %s (%s) may %s; it is shown this once and cannot be shown again\n", key.ID, key.Name, strings.Join(key.Scopes, ", "))
			return nil
		},
	}
	c.Flags().StringVar(&name, "name", "", "who will use it")
	c.Flags().StringSliceVar(&scopes, "scope", []string{gateway.ScopeRoute, gateway.ScopeRead}, "what it may do")
	return c
}

// openKeys opens a key file that must be there: a mistyped name is no file without
// keys.
func openKeys(path string) (*gateway.Keys, error) {
	if _, err := os.Stat(path); errors.Is(err, fs.ErrNotExist) {
		return nil, record.Errorf(record.NotFound, "", "there is no key file %s: name the one that 'bellwether keys add' made, or make it by that", path)
	}
	return gateway.OpenKeys(path)
}

func keysListCommand(s *streams, path *string) *cobra.Command {
	var asJSON bool
	c := &cobra.Command{
		Use: "list", Short: "List the keys, without their secrets", Args: noArgs,
		RunE: func(*cobra.Command, []string) error {
			keys, err := openKeys(*path)
			if err != nil {
				return err
			}
			list := keys.List()
			if asJSON {
				if list == nil {
					list = []*gateway.Key{}
				}
				return json.NewEncoder(s.Out).Encode(map[string]any{"keys": list})
			}
			t := table.NewWriter()
			t.SetOutputMirror(s.Out)
			t.AppendHeader(table.Row{"id", "name", "scopes", "made", "revoked"})
			for _, k := range list {
				revoked := ""
				if !k.RevokedAt.IsZero() {
					revoked = k.RevokedAt.Format(time.DateTime)
				}
				t.AppendRow(table.Row{k.ID, k.Name, strings.Join(k.Scopes, " "), k.CreatedAt.Format(time.DateTime), revoked})
			}
			t.Render()
			return nil
		},
	}
	c.Flags().BoolVar(&asJSON, "json", false, "print one JSON document")
	return c
}

func keysRevokeCommand(s *streams, path *string) *cobra.Command {
	return &cobra.Command{
		Use: "revoke ID", Short: "End a key", Args: exactArgs(1),
		RunE: func(_ *cobra.Command, args []string) error {
			keys, err := openKeys(*path)
			if err != nil {
				return err
			}
			if err := keys.Revoke(args[0], time.Now()); err != nil {
				return err
			}
			fmt.Fprintf(s.Err, "key %s is revoked\n", args[0])
			return nil
		},
	}
}
