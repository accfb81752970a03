package main

import (
	"cmp"
	"encoding/json"
	"fmt"
	"io"
	"math"
	"os"
	"strings"
	"time"

	"bellwether/models/trial"

	"github.com/jedib0t/go-pretty/v6/table"
	"github.com/jedib0t/go-pretty/v6/text"
	"golang.org/x/term"
)

// onTerminal reports whether w is a terminal, where lines may be overwritten.
func onTerminal(w io.Writer) bool {
	f, ok := w.(*os.File)
	return ok && term.IsTerminal(int(f.Fd()))
}

// writeJSON writes the one document a program reads.
func writeJSON(w io.Writer, v any) error {
	e := json.NewEncoder(w)
	e.SetIndent("", "  ")
	return e.Encode(v)
}

// printReport shows a trial to people: the split, every learner, the winner's
// figures and what the gate said.
func printReport(w io.Writer, r *trial.Report) {
	fmt.Fprintf(w, "split %s\n", r.Split.How)
	for _, s := range []struct {
		name string
		trial.Slice
	}{{"train", r.Split.Train}, {"valid", r.Split.Valid}, {"test", r.Split.Test}} {
		fmt.Fprintf(w, "  %-5s %9d rows, %d positive%s%s\n", s.name, s.Rows, s.Positives, censoredText(s.Censored), windowText(s.From, s.To))
	}
	fmt.Fprintln(w, "rows, and what leaves some out")
	for i, step := range r.Rows {
		if i == 0 || len(step.Less) > 0 {
			fmt.Fprintf(w, "  %9d %s\n", step.Rows, step)
		}
	}
	if len(r.Leaderboard) > 0 {
		printLeaderboard(w, r)
		if r.Settings != "" {
			fmt.Fprintf(w, "settings: %s\n", r.Settings)
		}
		t := r.Test
		fmt.Fprintf(w, "winner %s, calibrated by %s: %s\n", r.Winner, r.Calibrator, r.Skill)
		fmt.Fprintf(w, "  %s\n", r.Learned())
		fmt.Fprintf(w, "  test: log loss %s, Brier %s, ECE %s, lift in the best tenth %s; %d seed(s): AUC %s, sd %s\n", shown(t.LogLoss), shown(t.Brier), shown(t.ECE), lift(r, 0.1), r.Seeds.N, shown(r.Seeds.AUCMean), shown(r.Seeds.AUCSD))
		if k := r.Intervals; k.Of > 0 {
			fmt.Fprintf(w, "  intervals at %.0f %%: held for %.0f %% of %d %s, mean width %s\n", 100*float64(k.Level), 100*float64(k.Held.Value), k.Of, cmp.Or(k.Whose, "bins of rows"), shown(k.Width))
		}
		for _, c := range r.Certainty {
			if c.Level == 0.9 {
				fmt.Fprintf(w, "  sure enough at 90 %%: %.0f %% of the rows; covered %.3f of label 1, %.3f of label 0\n", 100*float64(c.Sure), float64(c.Ones.Value), float64(c.Zeros.Value))
			}
		}
		if c := r.Incumbent; c != nil {
			fmt.Fprintf(w, "  model in force on the same rows: AUC %s, log loss %s, ECE %s; difference in AUC %s [%s, %s]\n", shown(c.AUC), shown(c.LogLoss), shown(c.ECE), shown(c.Difference), shown(c.DifferenceLo), shown(c.DifferenceHi))
		}
	}
	for _, n := range r.Notes {
		fmt.Fprintf(w, "note: %s\n", n)
	}
	switch {
	case !r.Gate.Passed:
		fmt.Fprintf(w, "gate: refused\n")
		for _, reason := range r.Gate.Reasons {
			fmt.Fprintf(w, "  - %s\n", reason)
		}
	case r.Published:
		fmt.Fprintf(w, "gate: passed; published and in force: %s\n", r.Version)
	default:
		fmt.Fprintf(w, "gate: passed; not published (name a directory with --models)\n")
	}
}

func printLeaderboard(w io.Writer, r *trial.Report) {
	t := table.NewWriter()
	t.SetStyle(table.StyleLight)
	t.AppendHeader(table.Row{"learner", "rows", "valid log loss", "valid AUC", "test log loss", "test AUC", "test Brier", "test ECE", "seconds"})
	right := []table.ColumnConfig{}
	for i := 2; i <= 9; i++ {
		right = append(right, table.ColumnConfig{Number: i, Align: text.AlignRight, AlignHeader: text.AlignRight})
	}
	t.SetColumnConfigs(right)
	for _, e := range r.Leaderboard {
		name := e.Learner
		if e.Learner == r.Winner {
			name = "> " + name
		}
		if e.Error != "" {
			t.AppendRow(table.Row{name, "", "failed: " + e.Error})
			continue
		}
		t.AppendRow(table.Row{name, e.Rows, shown(e.Valid.LogLoss), shown(e.Valid.AUC), shown(e.Test.LogLoss), shown(e.Test.AUC), shown(e.Test.Brier), shown(e.Test.ECE), fmt.Sprintf("%.2f", e.FitSeconds)})
	}
	fmt.Fprintln(w, t.Render())
}

func shown(n trial.Number) string {
	if math.IsNaN(float64(n)) {
		return "-"
	}
	return fmt.Sprintf("%.4f", float64(n))
}

func lift(r *trial.Report, share float64) string {
	for _, l := range r.Lift {
		if float64(l.Share) == share && !math.IsNaN(float64(l.Lift)) {
			return fmt.Sprintf("%.2f", float64(l.Lift))
		}
	}
	return "-"
}

func censoredText(n int) string {
	if n == 0 {
		return ""
	}
	return fmt.Sprintf(", %d more censored", n)
}

func windowText(from, to *time.Time) string {
	if from == nil || to == nil {
		return ""
	}
	return ", " + strings.Join([]string{from.Format(time.DateOnly), to.Format(time.DateOnly)}, " to ")
}
