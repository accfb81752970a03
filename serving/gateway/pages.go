package gateway

import (
	_ "embed"
	"net/http"
	"strings"
)

// keyCookie holds a caller's API key in a browser that signed in.
const keyCookie = "bellwether_key"

// policy is what a page of ours may load: itself, and nothing from elsewhere.
const policy = "default-src 'none'; style-src 'self'; script-src 'self'; img-src 'self' data:; connect-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'"

//go:embed login.html
var loginPage []byte

// pages lets people at a browser through: with keys, they sign in with one. A
// form that changes something must come from a page of the same origin.
func (g *guard) pages(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		h := w.Header()
		h.Set("Content-Security-Policy", policy)
		h.Set("X-Content-Type-Options", "nosniff")
		h.Set("Referrer-Policy", "same-origin")
		if site := r.Header.Get("Sec-Fetch-Site"); r.Method != http.MethodGet && r.Method != http.MethodHead && site != "" && site != "same-origin" {
			http.Error(w, "this form must be sent from a page of this server", http.StatusForbidden)
			return
		}
		if g.keys == nil || strings.HasPrefix(r.URL.Path, "/static/") {
			next.ServeHTTP(w, r)
			return
		}
		if r.URL.Path == "/login" {
			g.login(w, r)
			return
		}
		token := ""
		if c, err := r.Cookie(keyCookie); err == nil {
			token = c.Value
		}
		ctx, err := g.admit(r.Context(), "", token)
		if err == nil {
			err = g.may(ctx, scopeOf(r))
		}
		if err != nil {
			http.Redirect(w, r, "/login", http.StatusSeeOther)
			return
		}
		r.Body = http.MaxBytesReader(w, r.Body, g.limits.Body)
		next.ServeHTTP(w, r.WithContext(ctx))
	})
}

// scopeOf says what a page needs: looking is reading, a form routes.
func scopeOf(r *http.Request) string {
	if r.Method == http.MethodPost {
		return ScopeRoute
	}
	return ScopeRead
}

func (g *guard) login(w http.ResponseWriter, r *http.Request) {
	if r.Method == http.MethodPost {
		token := strings.TrimSpace(r.PostFormValue("key"))
		if key, err := g.keys.Check(token); err == nil && key.May(ScopeRead) {
			http.SetCookie(w, &http.Cookie{Name: keyCookie, Value: token, Path: "/", HttpOnly: true, SameSite: http.SameSiteStrictMode, Secure: r.TLS != nil, MaxAge: 12 * 3600})
			http.Redirect(w, r, "/", http.StatusSeeOther)
			return
		}
		w.WriteHeader(http.StatusUnauthorized)
	}
	w.Header().Set("Content-Type", "text/html; charset=utf-8")
	_, _ = w.Write(loginPage) // the caller may be gone
}
