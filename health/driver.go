package health

import (
	"cmp"
	"fmt"
	"math"
	"slices"
	"strings"

	"bellwether/datasets/record"
	"bellwether/features"
	"bellwether/models"
	"bellwether/models/trial"
)

// theme gathers features that tell one story, so that a standing names five
// different reasons and not one reason five times.
type theme struct {
	name   string
	words  []string // a feature belongs to the first theme with a word in its name
	action string   // what to do when the theme drives the risk
}

var themes = []theme{
	{"answers", []string{"accept", "decline", "expir", "response", "waiting"},
		"ask why offers go unanswered or are turned down, and agree on how many and which ones it wants"},
	{"engagement", []string{"portal", "activity"}, "ask what the partner misses, and invite its people to an enablement session"},
	{"mood", []string{"survey", "sentiment", "message", "support"}, "let the partner manager listen first: open cases, the last messages, the last survey"},
	{"papers", []string{"contract", "certificate", "training", "status"}, "renew contract and certificates now, and plan the trainings they need"},
	{"flow", []string{"offer", "load", "working", "capacity"}, "offer it leads that fit: it hears too little from us for what it can take"},
	{"business", []string{"business", "win", "loss", "revenue", "order", "registered", "deal", "decided", "payout", "touch", "account", "integration", "overlap"},
		"hold a joint pipeline review and agree on the next two deals and what stands in their way"},
	{"profile", []string{""}, "check whether the plan for partners of its kind still fits"},
}

func themeOf(feature string) int {
	return slices.IndexFunc(themes, func(t theme) bool {
		return slices.ContainsFunc(t.words, func(w string) bool { return strings.Contains(feature, w) })
	})
}

// blamer is a model that can say what each column of a row moved its log odds by.
type blamer interface {
	Contributions(dst, row []float64) (start float64)
}

// maxDrivers is how many reasons a standing gives.
const maxDrivers = 5

// blame says what moved the log odds of a row: each column by itself, and each
// theme as a whole.
type blame struct{ columns, themes []float64 }

// tell asks a model that knows.
func tell(m blamer, fs []features.Feature, row []float64) blame {
	b := blame{make([]float64, len(row)), make([]float64, len(themes))}
	m.Contributions(b.columns, row)
	for j, x := range b.columns {
		b.themes[themeOf(fs[j].Name)] += x
	}
	return b
}

// occlude finds out of a model that does not say: what its log odds fall by when
// a column, or a whole theme, is set to what is usual (a category: to missing).
// It scores one row per column and theme. m answers raw scores: a calibrator's
// steps would hide small moves.
func occlude(m *trial.Predictor, fs []features.Feature, row, usual []float64) blame {
	w := len(row)
	b := blame{make([]float64, w), make([]float64, len(themes))}
	n := 1 + w + len(themes)
	rows, p := make([]float64, n*w), make([]trial.Probability, n)
	for i := range n {
		copy(rows[i*w:], row)
	}
	for j := range row {
		x := usual[j]
		if fs[j].Kind == models.Category {
			x = math.NaN()
		}
		rows[(1+j)*w+j] = x
		rows[(1+w+themeOf(fs[j].Name))*w+j] = x
	}
	m.PredictRows(p, rows, &trial.Scratch{})
	for j := range b.columns {
		b.columns[j] = logOdds(p[0].P) - logOdds(p[1+j].P)
	}
	for k := range b.themes {
		b.themes[k] = logOdds(p[0].P) - logOdds(p[1+w+k].P)
	}
	return b
}

// logOdds is finite for the zeros and ones that some models answer.
func logOdds(p float64) float64 {
	p = min(max(p, 1e-6), 1-1e-6)
	return math.Log(p / (1 - p))
}

// drivers returns the themes that moved the risk most, strongest first. The
// effect is the theme's; feature and value are those of the column that did most
// of it in that direction.
func (b blame) drivers(fs []features.Feature, row, medians []float64) []record.Driver {
	best := make([]int, len(themes))
	order := make([]int, len(themes))
	for k := range best {
		best[k], order[k] = -1, k
	}
	for j, x := range b.columns {
		if k := themeOf(fs[j].Name); x*b.themes[k] > 0 && (best[k] < 0 || math.Abs(x) > math.Abs(b.columns[best[k]])) {
			best[k] = j
		}
	}
	slices.SortStableFunc(order, func(i, k int) int { return cmp.Compare(math.Abs(b.themes[k]), math.Abs(b.themes[i])) })
	var out []record.Driver
	for _, k := range order {
		j := best[k]
		if j < 0 || len(out) == maxDrivers {
			continue
		}
		d := record.Driver{Feature: fs[j].Name, Effect: b.themes[k], Text: driverText(&fs[j], row[j], medians[j])}
		if !math.IsNaN(row[j]) {
			d.Value = row[j]
		}
		out = append(out, d)
	}
	return out
}

// driverText says a feature's value in words, beside the median of the others.
func driverText(f *features.Feature, x, median float64) string {
	if f.Kind == models.Category {
		return f.Meaning
	}
	value := "unknown"
	switch {
	case !math.IsNaN(x):
		value = quantity(f.Unit, x)
	case f.Unit == "days" && strings.HasPrefix(f.Meaning, "since "):
		return "not once so far: " + strings.TrimPrefix(f.Meaning, "since ")
	}
	meaning, _, _ := strings.Cut(f.Meaning, ", negative once") // which a reader of the sentence sees
	text := f.Meaning + ": " + value
	if strings.HasPrefix(f.Meaning, "since ") || strings.HasPrefix(f.Meaning, "until ") {
		text = value + " " + meaning
	}
	if !math.IsNaN(median) && quantity(f.Unit, median) != value {
		text += " (usual: " + quantity(f.Unit, median) + ")"
	}
	return text
}

// quantity writes a number with its unit; logarithms are undone.
func quantity(unit string, x float64) string {
	switch {
	case unit == "share":
		return fmt.Sprintf("%.0f %%", 100*x)
	case unit == "log ratio":
		return fmt.Sprintf("%.2g times", math.Exp(x))
	case strings.HasPrefix(unit, "log(1 + "):
		return grouped(math.Expm1(x)) + " " + strings.TrimSuffix(strings.TrimPrefix(unit, "log(1 + "), ")")
	case strings.Contains(unit, " to "): // a scale such as "0 to 10"
		return fmt.Sprintf("%.1f", x)
	case unit == "ratio":
		return fmt.Sprintf("%.1f times", x)
	}
	if x == 1 {
		unit = strings.TrimSuffix(unit, "s")
	}
	return grouped(x) + " " + unit
}

// grouped writes a whole number with separators of thousands, a small one with
// a digit after the point where it is not whole.
func grouped(x float64) string {
	if math.Abs(x) < 10 && x != math.Trunc(x) {
		return fmt.Sprintf("%.1f", x)
	}
	digits := fmt.Sprintf("%.0f", math.Abs(x))
	for i := len(digits) - 3; i > 0; i -= 3 {
		digits = digits[:i] + "," + digits[i:]
	}
	if x <= -0.5 {
		return "-" + digits
	}
	return digits
}
