package main

import (
	"bytes"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// without copies files of a world of JSON lines, dropping some lines.
func without(t *testing.T, world string, drop func(line string) bool, files ...string) string {
	t.Helper()
	dir := t.TempDir()
	for _, name := range files {
		var kept [][]byte
		for line := range bytes.Lines(contentOf(t, filepath.Join(world, name))) {
			if !drop(string(line)) {
				kept = append(kept, slices.Clone(line))
			}
		}
		if err := os.WriteFile(filepath.Join(dir, name), slices.Concat(kept...), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

// Data that nothing can be learned from is told of by what it lacks, in numbers
// and names, and what to do.
func TestDataThatTeachesNothing(t *testing.T) {
	world := filepath.Join(t.TempDir(), "world")
	if code, _, said := called("synth", "--out", world, "--format", "jsonl", "--partners", "20", "--leads", "400", "--days", "300"); code != 0 {
		t.Fatal(said)
	}
	types := func(words ...string) func(string) bool {
		return func(line string) bool {
			return slices.ContainsFunc(words, func(w string) bool { return strings.Contains(line, `"type":"`+w) })
		}
	}
	since := func(month string) func(string) bool {
		return func(line string) bool {
			_, known, _ := strings.Cut(line, `"known_at":"`)
			return known >= month
		}
	}
	all := []string{"partners.jsonl", "leads.jsonl", "events.jsonl"}
	whole := without(t, world, types("no such"), all...)
	for _, c := range []struct {
		data, args string
		code       int
		want       []string
	}{
		{without(t, world, types("offer"), all...), "train win --learners logit --seeds 1", 3, []string{"none of the", "events is an offer_made", "docs/data.md"}},
		{without(t, world, types("no such"), "partners.jsonl", "events.jsonl"), "train win --learners logit --seeds 1", 3, []string{"none of the", "offers made teaches", "of a lead not known when they were made"}},
		{without(t, world, types("deal_lost", "offer_superseded"), all...), "train win --learners logit --seeds 1", 3, []string{"every outcome known is won", "deal_lost"}},
		{without(t, world, types("deal_won"), all...), "train win --learners logit --seeds 1", 3, []string{"every outcome known is lost", "deal_won"}},
		{without(t, world, types("deal", "offer", "order"), all...), "train churn --learners logit --seeds 1", 3, []string{"none of the", "months of partners", "deal_won", "order_placed"}},
		{without(t, world, types("no such"), "partners.jsonl"), "train churn --learners logit --seeds 1", 1, []string{"there are no events"}},
		{without(t, world, types("no such"), "partners.jsonl"), "train win --learners logit --seeds 1", 1, []string{"there are no events"}},
		{without(t, world, types("no such"), "partners.jsonl"), "report at-risk", 1, []string{"there are no events"}},
		{without(t, world, since("2025-12"), all...), "train churn --learners logit --seeds 1", 3, []string{"horizon of 90 days", "the data reaches to 2025-1", "the months begin on 2025-10-01"}},
		{without(t, world, since("2025-10"), all...), "train churn --learners logit --seeds 1", 3, []string{"no month begins within the data", "90 days more"}},
		{whole, "train churn --test-from 2020-01-01", 3, []string{"no month begins on 2020-01-01", "from 2025-10-01 to 2026-04-01"}},
		{whole, "train churn --test-from 2026-01-15", 3, []string{"no month begins on 2026-01-15"}},
		{whole, "train churn --test-from 2025-11-01", 3, []string{"no month before 2025-11-01", "90 days", "test on a later month"}},
	} {
		code, out, said := called(append(strings.Fields(c.args), "--data", c.data)...)
		for _, w := range c.want {
			if code != c.code || !strings.Contains(said, w) || strings.Contains(said, "0001") || out != "" {
				t.Errorf("%s: exit %d, want %d with %q:\n%s%s", c.args, code, c.code, w, said, out)
			}
		}
	}
}
