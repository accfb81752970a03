package decision

import (
	"net/http/httptest"
	"strings"
	"testing"

	"bellwether/datasets/record"
	"bellwether/serving/web/page"
)

// Where a model answered, each page says once how its chance to win and the
// shares in the reasons differ; without a model the chance is such a share.
func TestChancesAreToldFromShares(t *testing.T) {
	candidate := record.Candidate{Partner: "p", Win: 0.39, WinLo: 0.3, WinHi: 0.5, Accept: 1, Prob: 1}
	const reason = "would win 61 % of leads like this one going by past win rates alone"
	for model, want := range map[string]int{"win@v1:ab": 1, "": 0} {
		d := &record.Decision{ID: "d", Chosen: "p", Model: model, Degraded: model == "",
			Ranked: []record.Ranked{{Candidate: candidate, Reasons: []string{reason}}, {Candidate: candidate, Reasons: []string{reason}}}}
		x := &record.Explanation{Decision: "d", Chosen: "p", Model: model,
			Partners: []record.Explained{{Candidate: candidate, For: []string{reason}}, {Candidate: candidate, Against: []string{reason}}}}
		decided, explained := httptest.NewRecorder(), httptest.NewRecorder()
		page.Show(decided, tmpl, "Decision", &View{Decision: d, Names: map[record.PartnerID]string{"p": "P"}})
		page.Show(explained, why, "Why", &answer{Explanation: x, Names: map[record.PartnerID]string{"p": "P"}})
		for name, got := range map[string]string{"decision": decided.Body.String(), "why": explained.Body.String()} {
			if strings.Count(got, reason) != 2 || strings.Count(got, "The chance to win is the model's") != want {
				t.Errorf("the page of a %s of model %q says it %d times, want %d: %s", name, model, strings.Count(got, "The chance to win is the model's"), want, got)
			}
		}
	}
}
