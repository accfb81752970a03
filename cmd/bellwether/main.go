// Command bellwether routes sales leads to the channel partners most likely to
// win them and says early which partners are drifting away. Every subcommand
// has a file of its own here; this one lists them.
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"syscall"

	"bellwether/datasets/record"

	"github.com/spf13/cobra"
)

// streams are where a command reads and writes: Out for the one document a
// program may read, Err for everything meant for people.
type streams struct {
	In       io.Reader
	Out, Err io.Writer
}

// usageError marks a mistake in how a command was called: exit code 2.
type usageError struct{ error }

func (e usageError) Unwrap() error { return e.error }

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	context.AfterFunc(ctx, stop) // a second signal ends the program at once
	os.Exit(run(ctx, os.Args[1:], &streams{In: os.Stdin, Out: os.Stdout, Err: os.Stderr}))
}

// interrupted is the exit code of a command stopped by a signal, as shells have it.
const interrupted = 128 + int(syscall.SIGINT)

// run executes one command line and returns its exit code: 0 done, 1 failed,
// 2 wrong usage, 3 refused by a gate, 130 stopped.
func run(ctx context.Context, args []string, s *streams) int {
	root := rootCommand(s)
	root.SetArgs(args)
	err := root.ExecuteContext(ctx)
	if err == nil {
		return 0
	}
	if ctx.Err() != nil && errors.Is(err, context.Canceled) {
		fmt.Fprintln(s.Err, "bellwether: stopped before it was done; run it again")
		return interrupted
	}
	fmt.Fprintf(s.Err, "bellwether: %v\n", err)
	var usage usageError
	switch {
	case errors.As(err, &usage):
		return 2
	case record.KindOf(err) == record.Refused:
		return 3
	}
	return 1
}

func rootCommand(s *streams) *cobra.Command {
	root := &cobra.Command{
		Use:           "bellwether",
		Short:         "Route each lead to the partner most likely to win it",
		Long:          "Bellwether routes each sales lead to the channel partner most likely to win it,\nand tells channel leaders early which partners are drifting away.",
		SilenceErrors: true,
		SilenceUsage:  true,
		Args:          noArgs,
		RunE:          func(c *cobra.Command, _ []string) error { return c.Help() },
	}
	root.SetIn(s.In)
	root.SetOut(s.Out)
	root.SetErr(s.Err)
	root.SetFlagErrorFunc(func(c *cobra.Command, err error) error {
		return usageError{fmt.Errorf("%w; see '%s --help'", err, c.CommandPath())}
	})
	for _, command := range commands {
		root.AddCommand(command(s))
	}
	root.InitDefaultCompletionCmd()
	for _, c := range root.Commands() {
		if c.Name() == "completion" {
			c.Args = cobra.ArbitraryArgs // so that RunE has the say
			c.RunE = func(*cobra.Command, []string) error {
				return usageError{errors.New("say which shell: bash, zsh, fish or powershell; see 'bellwether completion --help'")}
			}
		}
	}
	return root
}

// commands lists every subcommand.
var commands = []func(*streams) *cobra.Command{
	demoCommand,
	serveCommand,
	exportCommand,
	keysCommand,
	benchCommand,
	synthCommand,
	importCommand,
	schemaCommand,
	featuresCommand,
	trainCommand,
	tuneCommand,
	routeCommand,
	reportCommand,
	predictCommand,
	modelsCommand,
}
