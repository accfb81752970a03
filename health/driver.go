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

// drivers returns the themes that moved the risk most, strongest first. The
// effect is the theme's sum; feature and value are those of the column that did
// most of it in that direction.
func drivers(m blamer, fs []features.Feature, row, medians []float64) []record.Driver {
	moved := make([]float64, len(row))
	m.Contributions(moved, row)
	type reason struct {
		sum    float64
		column int
		theme  int
	}
	reasons := make([]reason, len(themes))
	for i := range reasons {
		reasons[i] = reason{theme: i, column: -1}
	}
	for j, x := range moved {
		reasons[themeOf(fs[j].Name)].sum += x
	}
	for j, x := range moved {
		if r := &reasons[themeOf(fs[j].Name)]; x*r.sum > 0 && (r.column < 0 || math.Abs(x) > math.Abs(moved[r.column])) {
			r.column = j
		}
	}
	slices.SortStableFunc(reasons, func(a, b reason) int { return cmp.Compare(math.Abs(b.sum), math.Abs(a.sum)) })
	var out []record.Driver
	for _, r := range reasons {
		if r.column < 0 || len(out) == maxDrivers {
			break
		}
		j := r.column
		d := record.Driver{Feature: fs[j].Name, Effect: r.sum, Text: driverText(&fs[j], row[j], medians[j])}
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
	text := f.Meaning + ": " + value
	if strings.HasPrefix(f.Meaning, "since ") || strings.HasPrefix(f.Meaning, "until ") {
		text = value + " " + f.Meaning
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
