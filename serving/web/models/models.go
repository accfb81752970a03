// Package models is the page of model versions: which answers now and which can
// be gone back to.
package models

import (
	_ "embed"
	"net/http"

	"bellwether/serving"
	"bellwether/serving/web/page"
)

//go:embed models.html
var source string

var tmpl = page.Parse(source)

// Handler shows the versions.
func Handler(engine *serving.Engine) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		list, err := engine.Models(r.Context())
		if err != nil {
			page.Fail(w, err)
			return
		}
		page.Show(w, tmpl, "Models", list)
	}
}
