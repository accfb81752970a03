package features

import (
	"fmt"
	"io"
)

// WriteTable writes the features of a set as Markdown: docs/features.md for the
// set of an empty schema.
func WriteTable(w io.Writer, s *Set) error {
	_, err := fmt.Fprintf(w, `# Features

%d features for data without attributes; each attribute of a lead or partner adds its own (a number as it is, a text as
a category, a list as its length and first item), and each text attribute of a lead with at most %d values two more of
the pair. Generated from the definitions in `+"`features/{lead,partner,pair}.go`"+` by `+"`go generate ./features`"+`.

Windows are of whole UTC days, today included; an event counts on the day it happened, from the moment it is known.
Rates are shrunk (empirical Bayes): a partner's to its tier's, the tier's to everyone's; what tiers and segments say is
frozen at each UTC midnight. Missing is NaN. Categories are codes of their text.
`, s.Width(), maxPairValues)
	for side := Lead; side <= Pair && err == nil; side++ {
		_, err = fmt.Fprintf(w, "\n## %s\n\n| feature | unit | meaning |\n|---|---|---|\n", side)
		for _, f := range s.features {
			if f.Side == side && err == nil {
				_, err = fmt.Fprintf(w, "| `%s` | %s | %s |\n", f.Name, f.Unit, f.Meaning)
			}
		}
	}
	return err
}
