// Package atrisk is the page of partners that may be drifting away, by value at
// risk.
package atrisk

import (
	_ "embed"
	"net/http"

	"bellwether/datasets/record"
	"bellwether/serving"
	"bellwether/serving/web/page"
)

//go:embed atrisk.html
var source string

var tmpl = page.Parse(source)

// shown is how many partners one page lists.
const shown = 200

type row struct {
	record.Standing
	Name string
}

type view struct {
	Rows  []row
	Total int
}

// Handler shows the list.
func Handler(engine *serving.Engine) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		standings, err := engine.AtRisk(r.Context(), serving.AtRiskQuery{})
		if err != nil {
			page.Fail(w, err)
			return
		}
		v := view{Total: len(standings)}
		for _, s := range standings[:min(shown, len(standings))] {
			p, err := engine.Partner(r.Context(), s.Partner)
			if err != nil {
				page.Fail(w, err)
				return
			}
			name := p.Partner.Name
			if name == "" {
				name = string(s.Partner)
			}
			v.Rows = append(v.Rows, row{s, name})
		}
		page.Show(w, tmpl, "Partners at risk", v)
	}
}
