package routing

import (
	"fmt"
	"math"
	"strings"
)

// count writes a number of things.
func count(n float64, thing string) string {
	switch math.Round(n) {
	case 0:
		if thing != "time" {
			return "no " + plural(thing)
		}
	case 1:
		return "1 " + thing
	}
	return number(math.Round(n)) + " " + plural(thing)
}

// plural is the plural of a word or phrase that takes it at its end, or before
// an "of".
func plural(thing string) string {
	head, of, several := strings.Cut(thing, " of ")
	if several {
		return plural(head) + " of " + of
	}
	if stem, is := strings.CutSuffix(thing, "y"); is && !strings.ContainsAny(stem[len(stem)-1:], "aeiou") {
		return stem + "ies"
	}
	return thing + "s"
}

// percent writes a share as people do: whole percents, tenths below ten.
func percent(x float64) string {
	if x != 0 && math.Abs(x) < 0.0995 {
		return fmt.Sprintf("%.1f %%", 100*x)
	}
	return fmt.Sprintf("%.0f %%", 100*x)
}

// number writes a number in at most four places, thousands set apart.
func number(x float64) string {
	if math.Abs(x) < 100 {
		return fmt.Sprintf("%.3g", x)
	}
	digits := fmt.Sprintf("%.0f", x)
	for i := len(digits) - 3; i > 0 && digits[i-1] != '-'; i -= 3 {
		digits = digits[:i] + "," + digits[i:]
	}
	return digits
}

// span writes a number of days in the unit people would use.
func span(days float64) string {
	switch d := math.Abs(days); {
	case d < 10 && d != math.Trunc(d):
		return fmt.Sprintf("%.1f days", days)
	case d < 60:
		return count(days, "day")
	case d < 730:
		return count(days/30.44, "month")
	}
	return fmt.Sprintf("%.1f years", days/365.25)
}

// ago writes how many days it is since.
func ago(days float64) string {
	if days < 1 {
		return "today"
	}
	return span(days) + " ago"
}

// hours writes a time to answer.
func hours(h float64) string {
	switch {
	case h < 1:
		return count(60*h, "minute")
	case h < 10 && h != math.Trunc(h):
		return fmt.Sprintf("%.2g hours", h)
	case h < 72:
		return count(h, "hour")
	}
	return span(h / 24)
}

// times writes a ratio.
func times(x float64) string { return fmt.Sprintf("%.1f times", x) }

// factor writes the ratio whose logarithm x is.
func factor(x float64) string { return times(math.Exp(x)) }

// mood writes a mood from -1 to 1; within a fifth of the middle it is none.
func mood(x float64) string {
	switch {
	case x < -0.2:
		return "unhappy"
	case x > 0.2:
		return "content"
	}
	return "neutral"
}
