// Package web is the list of pages a person can open. Each page is a folder
// here, with its handler and its template.
package web

import (
	"cmp"
	"fmt"
	"net/http"
	"net/url"

	"bellwether/datasets/record"
	"bellwether/serving"
	"bellwether/serving/web/atrisk"
	"bellwether/serving/web/decision"
	"bellwether/serving/web/models"
	"bellwether/serving/web/page"
	"bellwether/serving/web/partner"
	"bellwether/serving/web/start"
)

// pages lists every page and form, with the parameter its query may have.
var pages = []struct {
	pattern   string
	handler   func(*serving.Engine) http.HandlerFunc
	parameter string
}{
	{"GET /{$}", start.Handler, ""},
	{"POST /try", start.Try, ""},
	{"GET /decisions/{id}", decision.Handler, ""},
	{"GET /decisions/{id}/why", decision.Why, "contrast"},
	{"POST /decisions/{id}/accept", decision.Accept, ""},
	{"POST /decisions/{id}/decline", decision.Decline, ""},
	{"GET /at-risk", atrisk.Handler, ""},
	{"GET /partners", partner.List, "after"},
	{"GET /partners/{id}", partner.Handler, ""},
	{"GET /models", models.Handler, ""},
}

// Handler serves the pages over one engine. signIn says that whoever sees them
// has signed in, so that they have a way out, by POST /logout.
func Handler(engine *serving.Engine, signIn bool) http.Handler {
	mux := http.NewServeMux()
	mux.Handle("GET /static/", page.Static())
	for _, p := range pages {
		mux.Handle(p.pattern, taking(p.parameter, p.handler(engine)))
	}
	mux.HandleFunc("GET /", func(w http.ResponseWriter, r *http.Request) {
		page.Fail(w, record.Errorf(record.NotFound, "", "there is nothing at %s", r.URL.Path))
	})
	if !signIn {
		return mux
	}
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { mux.ServeHTTP(page.SignedIn{ResponseWriter: w}, r) })
}

// taking lets through requests whose query has at most the parameter, once.
func taking(parameter string, next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		query, err := url.ParseQuery(r.URL.RawQuery)
		if err != nil {
			page.Fail(w, record.Errorf(record.Invalid, "", "the query cannot be read: %w", err))
			return
		}
		for name, given := range query {
			switch {
			case name != parameter:
				page.Fail(w, record.FieldErrorf(fmt.Sprintf("%.64s", name), "is not a parameter of this page, which takes %s", cmp.Or(parameter, "none")))
				return
			case len(given) > 1:
				page.Fail(w, record.FieldErrorf(name, "is given %d times: once is wanted", len(given)))
				return
			}
		}
		next.ServeHTTP(w, r)
	})
}
