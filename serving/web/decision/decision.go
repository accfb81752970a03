// Package decision is the page of one decision: who was chosen, with which
// probability, who else was in the running, who was refused and why, and the
// offer's life; and beside it the page that says why, and why not another.
package decision

import (
	"context"
	_ "embed"
	"net/http"
	"strings"
	"time"

	"bellwether/datasets/record"
	"bellwether/serving"
	"bellwether/serving/web/page"
)

//go:embed decision.html
var source string

// RankedTable defines the templates "ranked" over a View and "chance", the note on
// what it shows; the start page shows its previews with them.
//
//go:embed ranked.html
var RankedTable string

//go:embed why.html
var whySource string

var (
	tmpl = page.Parse(source + RankedTable)
	why  = page.Parse(whySource + RankedTable)
)

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
	return v, name(ctx, engine, v.Names, ids)
}

// name looks up the names of partners, which have at least their id.
func name(ctx context.Context, engine *serving.Engine, names map[record.PartnerID]string, ids []record.PartnerID) error {
	for _, id := range ids {
		if id == "" || names[id] != "" {
			continue
		}
		p, err := engine.Partner(ctx, id)
		if err != nil {
			return err
		}
		names[id] = p.Partner.Name
		if p.Partner.Name == "" {
			names[id] = string(id)
		}
	}
	return nil
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

// answer is an explanation with the names of the partners it is about.
type answer struct {
	*record.Explanation
	Names map[record.PartnerID]string
	Asked string // who "why not" was asked for; empty: nobody
}

// patience is how long a person is kept waiting for a log to be read.
const patience = 10 * time.Second

// Why says why the decision is what it is, or why not the partner that the query
// names.
func Why(engine *serving.Engine) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		asked := strings.TrimSpace(r.FormValue("contrast"))
		ctx, cancel := context.WithTimeout(r.Context(), patience)
		defer cancel()
		x, err := engine.Explain(ctx, record.DecisionID(r.PathValue("id")), record.PartnerID(asked))
		if err != nil {
			page.Fail(w, err)
			return
		}
		v := &answer{Explanation: x, Names: map[record.PartnerID]string{}, Asked: asked}
		ids := []record.PartnerID{x.Chosen}
		for i := range x.Partners {
			ids = append(ids, x.Partners[i].Partner)
		}
		if err := name(r.Context(), engine, v.Names, ids); err != nil {
			page.Fail(w, err)
			return
		}
		page.Show(w, why, "Why", v)
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
