// Package decision is the page of one decision: who was chosen, with which
// probability, who else was in the running, who was refused and why, and the
// offer's life.
package decision

import (
	"context"
	_ "embed"
	"net/http"

	"bellwether/datasets/record"
	"bellwether/serving"
	"bellwether/serving/web/page"
)

//go:embed decision.html
var source string

// RankedTable defines the template "ranked" over a View; the start page shows
// its previews with it.
//
//go:embed ranked.html
var RankedTable string

var tmpl = page.Parse(source + RankedTable)

// View is a decision with the names of the partners it ranks.
type View struct {
	*record.Decision
	Offer   *record.Offer
	Names   map[record.PartnerID]string
	Reasons []string // an offer may be declined with
	Open    bool
}

// NewView looks up what the page shows beside the decision itself.
func NewView(ctx context.Context, engine *serving.Engine, r *serving.Routed) (*View, error) {
	v := &View{Decision: r.Decision, Offer: r.Offer, Names: map[record.PartnerID]string{}, Reasons: record.DeclineReasons}
	v.Open = r.Offer != nil && r.Offer.State == record.OfferOpen
	ids := []record.PartnerID{r.Decision.Chosen, r.Decision.PlainChoice}
	for i := range r.Decision.Ranked {
		ids = append(ids, r.Decision.Ranked[i].Partner)
	}
	for _, id := range ids {
		if id == "" || v.Names[id] != "" {
			continue
		}
		p, err := engine.Partner(ctx, id)
		if err != nil {
			return nil, err
		}
		v.Names[id] = p.Partner.Name
		if p.Partner.Name == "" {
			v.Names[id] = string(id)
		}
	}
	return v, nil
}

// Handler shows one decision.
func Handler(engine *serving.Engine) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		routed, err := engine.Decision(r.Context(), record.DecisionID(r.PathValue("id")))
		if err != nil {
			page.Fail(w, err)
			return
		}
		v, err := NewView(r.Context(), engine, routed)
		if err != nil {
			page.Fail(w, err)
			return
		}
		page.Show(w, tmpl, "Decision", v)
	}
}

// Accept takes the offer.
func Accept(engine *serving.Engine) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		if _, err := engine.Accept(r.Context(), record.DecisionID(r.PathValue("id"))); err != nil {
			page.Fail(w, err)
			return
		}
		http.Redirect(w, r, "/decisions/"+r.PathValue("id"), http.StatusSeeOther)
	}
}

// Decline declines the offer and shows the decision that offers the next best.
func Decline(engine *serving.Engine) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		next, err := engine.Decline(r.Context(), record.DecisionID(r.PathValue("id")), r.PostFormValue("reason"), "")
		if err != nil {
			page.Fail(w, err)
			return
		}
		http.Redirect(w, r, "/decisions/"+string(next.Decision.ID), http.StatusSeeOther)
	}
}
