// Package web is the list of pages a person can open. Each page is a folder
// here, with its handler and its template.
package web

import (
	"net/http"

	"bellwether/serving"
	"bellwether/serving/web/atrisk"
	"bellwether/serving/web/decision"
	"bellwether/serving/web/models"
	"bellwether/serving/web/page"
	"bellwether/serving/web/partner"
	"bellwether/serving/web/start"
)

// pages lists every page and form.
var pages = []struct {
	pattern string
	handler func(*serving.Engine) http.HandlerFunc
}{
	{"GET /", start.Handler},
	{"POST /try", start.Try},
	{"GET /decisions/{id}", decision.Handler},
	{"GET /decisions/{id}/why", decision.Why},
	{"POST /decisions/{id}/accept", decision.Accept},
	{"POST /decisions/{id}/decline", decision.Decline},
	{"GET /at-risk", atrisk.Handler},
	{"GET /partners", partner.List},
	{"GET /partners/{id}", partner.Handler},
	{"GET /models", models.Handler},
}

// Handler serves the pages over one engine. signIn says that whoever sees them
// has signed in, so that they have a way out, by POST /logout.
func Handler(engine *serving.Engine, signIn bool) http.Handler {
	mux := http.NewServeMux()
	mux.Handle("GET /static/", page.Static())
	for _, p := range pages {
		mux.Handle(p.pattern, p.handler(engine))
	}
	if !signIn {
		return mux
	}
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { mux.ServeHTTP(page.SignedIn{ResponseWriter: w}, r) })
}
