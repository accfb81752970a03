package trial

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"math"
	"time"

	"bellwether/models"
)

// Card is a model's account of itself: what a person needs before trusting it,
// and what another needs to make it again.
type Card struct {
	Name    string          `json:"name"`
	Data    []string        `json:"data"` // where the rows came from, with their hash, a sentence each
	Columns []models.Column `json:"columns"`
	Kind    string          `json:"calibrator"`
	Report  *Report         `json:"report"`
}

// NewCard makes the card of a predictor that a trial returned. data says where
// the rows came from, a sentence each.
func NewCard(name string, r *Report, p *Predictor, data []string) *Card {
	return &Card{Name: name, Data: data, Columns: p.Columns, Kind: string(p.Calibrator.Kind()), Report: r}
}

// Files are what a registry keeps of the model: TASK.bin, report.json, card.json,
// card.md, reliability.svg and, where a column matters, dependence.svg. The same trial gives the same bytes, save the
// seconds it took.
func (c *Card) Files(p *Predictor) (map[string][]byte, error) {
	model, err := p.MarshalBinary()
	if err != nil {
		return nil, err
	}
	report, err := json.MarshalIndent(c.Report, "", "  ")
	if err != nil {
		return nil, err
	}
	card, err := json.MarshalIndent(c, "", "  ")
	if err != nil {
		return nil, err
	}
	files := map[string][]byte{
		c.Report.Task + ".bin": model,
		"report.json":          append(report, '\n'),
		"card.json":            append(card, '\n'),
		"card.md":              c.Markdown(),
		"reliability.svg":      c.Report.ReliabilitySVG(),
	}
	dependence, err := c.Report.DependenceSVG()
	if dependence != nil {
		files["dependence.svg"] = dependence
	}
	return files, err
}

// mostImportant is how many columns the card ranks.
const mostImportant = 20

// Markdown writes the card for people.
func (c *Card) Markdown() []byte {
	var b bytes.Buffer
	r := c.Report
	fmt.Fprintf(&b, "# Model card: %s\n\n%s.\n\n", c.Name, r.Skill)
	fmt.Fprintf(&b, "| | |\n|---|---|\n| task | %s |\n| learner | %s |\n| calibrator | %s |\n| split | %s |\n", r.Task, r.Winner, c.Kind, r.Split.How)
	for _, s := range []struct {
		name string
		Slice
	}{{"training", r.Split.Train}, {"validation", r.Split.Valid}, {"test", r.Split.Test}} {
		fmt.Fprintf(&b, "| %s rows | %d (%d positive, %d censored)%s |\n", s.name, s.Rows, s.Positives, s.Censored, window(s.From, s.To))
	}
	for _, step := range r.Rows {
		fmt.Fprintf(&b, "| rows | %d %s |\n", step.Rows, step)
	}
	fmt.Fprintf(&b, "| learned | %s |\n", r.Learned())
	if r.Settings != "" {
		fmt.Fprintf(&b, "| settings | %s |\n", r.Settings)
	}
	for _, line := range c.Data {
		fmt.Fprintf(&b, "| data | %s |\n", line)
	}
	b.WriteString("\n## Figures on the test slice\n\n| | |\n|---|---|\n")
	fmt.Fprintf(&b, "| AUC | %s, 95 %% interval %s to %s |\n", figure(r.Test.AUC), figure(r.Test.AUCLo), figure(r.Test.AUCHi))
	fmt.Fprintf(&b, "| log loss | %s |\n| Brier | %s = reliability %s - resolution %s + uncertainty %s |\n| ECE, %d bins of equal mass | %s |\n",
		figure(r.Test.LogLoss), figure(r.Test.Brier), figure(r.BrierSplit.Reliability), figure(r.BrierSplit.Resolution), figure(r.BrierSplit.Uncertainty), eceBins, figure(r.Test.ECE))
	for _, l := range r.Lift {
		fmt.Fprintf(&b, "| lift in the best %.0f %% | %.2f |\n", 100*float64(l.Share), float64(l.Lift))
	}
	if k := r.Ranking; k != nil {
		fmt.Fprintf(&b, "| within %d groups | NDCG %s, hit@1 %s, hit@3 %s |\n", k.Groups, figure(k.NDCG), figure(k.Hit1), figure(k.Hit3))
	}
	fmt.Fprintf(&b, "| seeds | %d fits: AUC %s, standard deviation %s |\n", r.Seeds.N, figure(r.Seeds.AUCMean), figure(r.Seeds.AUCSD))
	c.tables(&b)
	b.WriteString("\n## To make it again\n\n")
	fmt.Fprintf(&b, "The same rows in any order within a moment, learner %s%s and seed %d give these very bytes: SHA-256 `%s`.\n", r.Winner, withSettings(r.Settings), r.Seed, r.Fingerprint)
	return b.Bytes()
}

func withSettings(s string) string {
	if s == "" {
		return ""
	}
	return " with the settings above"
}

// tables writes the lists of the card: learners, calibration, columns, segments
// and notes.
func (c *Card) tables(b io.Writer) {
	r := c.Report
	fmt.Fprint(b, "\n## Learners compared\n\n| learner | rows | valid log loss | valid AUC | test log loss | test AUC | test ECE |\n|---|--:|--:|--:|--:|--:|--:|\n")
	for _, e := range r.Leaderboard {
		if e.Error != "" {
			fmt.Fprintf(b, "| %s | | %s | | | | |\n", e.Learner, e.Error)
			continue
		}
		fmt.Fprintf(b, "| %s | %d | %s | %s | %s | %s | %s |\n", e.Learner, e.Rows, figure(e.Valid.LogLoss), figure(e.Valid.AUC), figure(e.Test.LogLoss), figure(e.Test.AUC), figure(e.Test.ECE))
	}
	fmt.Fprintf(b, "\n## Calibration\n\nFitted on %d rows the model had not seen. ![reliability](reliability.svg)\n\nThe kind was chosen by log loss out of time: on parts of the validation slice, each calibrated by those before.\n\n| kind | out of time | test log loss | test Brier | test ECE |\n|---|--:|--:|--:|--:|\n", r.Split.Valid.Rows)
	for _, k := range r.Calibration {
		name := k.Kind
		if name == c.Kind {
			name = "**" + name + "**"
		}
		fmt.Fprintf(b, "| %s | %s | %s | %s | %s |\n", name, figure(k.OutOfTime), figure(k.LogLoss), figure(k.Brier), figure(k.ECE))
	}
	fmt.Fprint(b, "\n| rows | predicted | observed | 95 % interval |\n|--:|--:|--:|---|\n")
	for _, bin := range r.Reliability {
		fmt.Fprintf(b, "| %d | %s | %s | %s to %s |\n", bin.Rows, figure(bin.Predicted), figure(bin.Observed), figure(bin.Lo), figure(bin.Hi))
	}
	c.intervals(b)
	c.inputs(b)
	c.certainty(b)
	c.segments(b)
	if len(r.Notes) > 0 {
		fmt.Fprint(b, "\n## Notes\n\n")
		for _, n := range r.Notes {
			fmt.Fprintf(b, "- %s\n", n)
		}
	}
}

// intervals writes what the interval of a probability promises, and what came of
// it.
func (c *Card) intervals(b io.Writer) {
	k := c.Report.Intervals
	if k.Of == 0 {
		return
	}
	promise, held := "the rate of rows scored alike", "bins of equal mass"
	if k.Whose != "" {
		promise, held = fmt.Sprintf("the rate at which rows scored alike of one %s come true", k.Whose), "of them"
	}
	fmt.Fprintf(b, "\n## Intervals\n\nThe interval of a probability is to hold %s in %.0f %% of all cases, if the world stays as it was. "+
		"On the test slice it did for %.1f %% of %d %s (%.1f to %.1f %%), with what chance does to so few rows allowed for. Its mean width is %s.\n",
		promise, 100*float64(k.Level), 100*float64(k.Held.Value), k.Of, held, 100*float64(k.Held.Lo), 100*float64(k.Held.Hi), figure(k.Width))
}

// certainty writes how often the model is sure enough, and whether it may be.
func (c *Card) certainty(b io.Writer) {
	if len(c.Report.Certainty) == 0 {
		return
	}
	fmt.Fprint(b, "\n## Sure enough, or ask a person\n\nAt each level the labels a row may have (split-conformal, within each label, on the rows that calibrate): "+
		"one label is sure enough; with both the model cannot tell one from the other, ask a person. Shares of the test rows; "+
		"covered is how often a label was in its set, promised with at least the level if the world stays as it was.\n\n"+
		"| level | sure | both | none | covered, label 1 | covered, label 0 |\n|--:|--:|--:|--:|---|---|\n")
	covered := func(s Share) string {
		return fmt.Sprintf("%.3f, %.3f to %.3f", float64(s.Value), float64(s.Lo), float64(s.Hi))
	}
	for _, k := range c.Report.Certainty {
		mark := ""
		if k.Short {
			mark = " !"
		}
		fmt.Fprintf(b, "| %.0f %%%s | %.1f %% | %.1f %% | %.1f %% | %s | %s |\n", 100*float64(k.Level), mark, 100*float64(k.Sure), 100*float64(k.Both), 100*float64(k.None), covered(k.Ones), covered(k.Zeros))
	}
	fmt.Fprint(b, "\nA ! marks a level at which a label was covered less often than promised by more than chance: the world has moved.\n")
}

// segments writes whether the probabilities mean the same in each part.
func (c *Card) segments(b io.Writer) {
	if len(c.Report.Segments) == 0 {
		return
	}
	fmt.Fprint(b, "\n## Segments\n\n| segment | rows | predicted | observed | 95 % interval of it | ECE | AUC | 95 % interval of it |\n|---|--:|--:|--:|---|--:|--:|---|\n")
	for _, s := range c.Report.Segments {
		mark := ""
		if s.Predicted < s.ObservedLo || s.Predicted > s.ObservedHi {
			mark = " !"
		}
		fmt.Fprintf(b, "| %s = %s | %d | %.3f%s | %.3f | %.3f to %.3f | %s | %s | %s to %s |\n", s.Name, s.Value, s.Rows, float64(s.Predicted), mark,
			float64(s.Observed), float64(s.ObservedLo), float64(s.ObservedHi), figure(s.ECE), figure(s.AUC), figure(s.AUCLo), figure(s.AUCHi))
	}
	fmt.Fprint(b, "\nA ! marks a mean probability outside the interval of what was observed; one in twenty is by chance.\n")
}

// inputs writes what the columns are worth, and by which definition.
func (c *Card) inputs(b io.Writer) {
	r := c.Report
	fmt.Fprintf(b, "\n## Inputs\n\n%d columns.\n", len(c.Columns))
	if len(r.Importance) == 0 {
		return
	}
	fmt.Fprint(b, "\n- Gain: share of the gain of all splits in training. It says what the model used, and flatters columns of many values.\n"+
		"- Permutation: rise of the log loss on a sample of the test rows when the column's values are dealt anew among them; "+
		"the 95 % interval is over repeats. Columns that say the same share it.\n"+
		"- Shapley: mean absolute Shapley value on test rows, in log-odds: how much the column moves answers, right or wrong.\n\n"+
		"| column | gain | permutation | 95 % interval | Shapley |\n|---|--:|--:|---|--:|\n")
	for _, i := range r.Importance[:min(len(r.Importance), mostImportant)] {
		gain := "n/a"
		if !math.IsNaN(float64(i.Share)) {
			gain = fmt.Sprintf("%.1f %%", 100*float64(i.Share))
		}
		fmt.Fprintf(b, "| %s | %s | %s | %s to %s | %s |\n", i.Column, gain, figure(i.Permutation), figure(i.PermutationLo), figure(i.PermutationHi), figure(i.Shapley))
	}
	if len(r.Dependence) > 0 {
		fmt.Fprint(b, "\n![dependence](dependence.svg)\n\nThe mean probability of test rows as one column takes each value and the others stay as they are "+
			"(partial dependence), with the middle 80 % of the rows. It shows the model, not the world: some of these rows cannot exist.\n")
	}
}

func figure(n Number) string {
	if math.IsNaN(float64(n)) {
		return "n/a"
	}
	return fmt.Sprintf("%.4f", float64(n))
}

func window(from, to *time.Time) string {
	if from == nil || to == nil {
		return ""
	}
	return fmt.Sprintf(", %s to %s", from.Format(time.DateOnly), to.Format(time.DateOnly))
}
