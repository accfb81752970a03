package main

import (
	"regexp"
	"strings"
	"testing"
)

// What bench prints is what benchstat reads: a name without blanks, a count,
// and pairs of a number and a unit.
func TestBenchPrintsGoBenchmarks(t *testing.T) {
	line := regexp.MustCompile(`^Benchmark[^\s]+\t\d+(\t\d+ [^\s]+)+$`)
	for args, lines := range map[string]int{
		"score --rows 4 --columns 3 --trees 2 --leaves 4":   1,
		"train --rows 300 --columns 3 --trees 2 --leaves 4": 2,
		"features --partners 5 --leads 50 --events 1000":    1,
	} {
		code, out, said := called(strings.Fields("bench " + args)...)
		head, body, _ := strings.Cut(out, "pkg: bellwether\n")
		if code != 0 || !strings.HasPrefix(head, "goos: ") {
			t.Fatalf("bench %s: exit %d: %s%s", args, code, out, said)
		}
		got := strings.Split(strings.TrimSpace(body), "\n")
		if len(got) != lines {
			t.Errorf("bench %s printed %d lines, want %d: %s", args, len(got), lines, body)
		}
		for _, l := range got {
			if !line.MatchString(l) {
				t.Errorf("bench %s: %q is no line of a Go benchmark", args, l)
			}
		}
	}
	for args, want := range map[string]string{"bench": "bench takes 1 argument", "bench speed": `"speed": score, train, features or route`, "bench score --rows many": "--rows"} {
		if code, out, said := called(strings.Fields(args)...); code != 2 || !strings.Contains(said, want) || out != "" {
			t.Errorf("%s: exit %d, want 2 with %q: %s%s", args, code, want, out, said)
		}
	}
}
