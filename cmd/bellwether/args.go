package main

import (
	"fmt"

	"github.com/spf13/cobra"
)

// exactArgs and noArgs are cobra's checks with our exit code for wrong usage.
func exactArgs(n int) cobra.PositionalArgs {
	return func(c *cobra.Command, args []string) error {
		if len(args) == n {
			return nil
		}
		return usageError{fmt.Errorf("%s takes %d argument(s), not %d: %s; see '%s --help'", c.CommandPath(), n, len(args), c.UseLine(), c.CommandPath())}
	}
}

func noArgs(c *cobra.Command, args []string) error {
	if len(args) == 0 {
		return nil
	}
	return usageError{fmt.Errorf("%s does not know %q; see '%s --help'", c.CommandPath(), args[0], c.CommandPath())}
}
