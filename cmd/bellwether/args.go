package main

import (
	"fmt"
	"strings"

	"github.com/spf13/cobra"
)

// exactArgs and noArgs are cobra's checks with our exit code for wrong usage.
func exactArgs(n int) cobra.PositionalArgs {
	return func(c *cobra.Command, args []string) error {
		if len(args) == n {
			return nil
		}
		return usageError{fmt.Errorf("%s takes %d argument(s), not %d: %s; see '%s --help'", plain(c), n, len(args), c.UseLine(), c.CommandPath())}
	}
}

func noArgs(c *cobra.Command, args []string) error {
	if len(args) == 0 {
		return nil
	}
	return usageError{fmt.Errorf("%s does not know %q; see '%s --help'", plain(c), args[0], c.CommandPath())}
}

// plain is the command without the program's name, which begins every error.
func plain(c *cobra.Command) string { return strings.TrimPrefix(c.CommandPath(), "bellwether ") }
