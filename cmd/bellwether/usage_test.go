package main

import (
	"bytes"
	"context"
	"slices"
	"strings"
	"testing"

	"github.com/spf13/cobra"
)

// everyCommand calls f with the words of every command line there is.
func everyCommand(f func(c *cobra.Command, words []string)) {
	var walk func(*cobra.Command)
	walk = func(c *cobra.Command) {
		f(c, strings.Fields(c.CommandPath())[1:])
		for _, sub := range c.Commands() {
			walk(sub)
		}
	}
	walk(rootCommand(&streams{}))
}

// stopped calls a command line that is cancelled before it begins: should one be
// taken for right, it does nothing and ends.
func stopped(words []string, more ...string) (code int, out, said string) {
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	var stdout, stderr bytes.Buffer
	code = run(ctx, slices.Concat(words, more), &streams{In: strings.NewReader(""), Out: &stdout, Err: &stderr})
	return code, stdout.String(), stderr.String()
}

// Whatever is called wrongly ends with 2, says so once on standard error, and
// where there is more to read.
func TestWrongUseOfEveryCommand(t *testing.T) {
	seen := 0
	everyCommand(func(c *cobra.Command, words []string) {
		if len(words) > 0 && (words[0] == "completion" || words[0] == "help") {
			return // cobra's own
		}
		seen++
		for _, wrong := range [][]string{{"--no-such-flag"}, {"a", "word", "too", "many"}} {
			code, out, said := stopped(words, wrong...)
			if code != 2 || out != "" || strings.Count(said, "\n") != 1 || !strings.HasPrefix(said, "bellwether: ") {
				t.Errorf("%s %s: exit %d, want 2 and a line of its own: %s%s", c.CommandPath(), strings.Join(wrong, " "), code, out, said)
			}
		}
		if _, _, said := stopped(words, "--no-such-flag"); !strings.Contains(said, "see '"+c.CommandPath()+" --help'") {
			t.Errorf("%s does not say where to read on: %s", c.CommandPath(), said)
		}
	})
	if seen < 25 {
		t.Errorf("only %d commands were found", seen)
	}
}

// Every command says what it is for and how it is called.
func TestHelpOfEveryCommand(t *testing.T) {
	everyCommand(func(c *cobra.Command, words []string) {
		code, out, said := stopped(words, "--help")
		if code != 0 || said != "" || !strings.Contains(out, "Usage:") || c.Short == "" {
			t.Errorf("%s --help: exit %d: %s%s", c.CommandPath(), code, out, said)
		}
	})
}
