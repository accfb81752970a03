// Package models is the page of model versions: which answers now and which can
// be gone back to.
package models

import (
	_ "embed"
	"encoding/json"
	"net/http"

	"bellwether/datasets/record"
	"bellwether/models/registry"
	"bellwether/serving"
	"bellwether/serving/web/page"
)

//go:embed models.html
var source string

var tmpl = page.Parse(source)

// version is a model's version with what its card says.
type version struct {
	serving.ModelInfo
	Summary registry.Card
}

// Handler shows the versions.
func Handler(engine *serving.Engine) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		list, err := engine.Models(r.Context())
		if err != nil {
			page.Fail(w, err)
			return
		}
		versions := make([]version, len(list))
		for i, m := range list {
			versions[i].ModelInfo = m
			if err := json.Unmarshal(m.Card, &versions[i].Summary); err != nil {
				page.Fail(w, record.Errorf(record.Internal, "read the card of "+m.Name, "%w", err))
				return
			}
		}
		page.Show(w, tmpl, "Models", versions)
	}
}
