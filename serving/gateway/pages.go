package gateway

import (
	_ "embed"
	"fmt"
	"html/template"
	"net/http"
	"net/url"
	"strings"
)

// keyCookie holds a caller's API key in a browser that signed in.
const keyCookie = "bellwether_key"

// policy is what a page of ours may load: itself, and nothing from elsewhere.
const policy = "default-src 'none'; style-src 'self'; script-src 'self'; img-src 'self' data:; connect-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'"

//go:embed login.html
var loginHTML string

// loginPage is given what was wrong with the key, nothing at first, and the page
// to go on to.
var loginPage = template.Must(template.New("login").Parse(loginHTML))

// pages lets people at a browser through: with keys, they sign in with one. A
// form that changes something must come from a page of the same origin.
func (g *guard) pages(next http.Handler) http.Handler {
	var origins http.CrossOriginProtection
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		h := w.Header()
		h.Set("Content-Security-Policy", policy)
		h.Set("X-Content-Type-Options", "nosniff")
		h.Set("Referrer-Policy", "same-origin")
		if origins.Check(r) != nil {
			http.Error(w, "this form must be sent from a page of this server", http.StatusForbidden)
			return
		}
		if g.keys == nil || strings.HasPrefix(r.URL.Path, "/static/") {
			next.ServeHTTP(w, r)
			return
		}
		switch r.URL.Path {
		case "/login":
			g.login(w, r)
			return
		case "/logout":
			logout(w, r)
			return
		}
		token := ""
		if c, err := r.Cookie(keyCookie); err == nil {
			token = c.Value
		}
		ctx, err := g.admit(r.Context(), "", token)
		if err != nil {
			http.Redirect(w, r, "/login?next="+url.QueryEscape(askedFor(r)), http.StatusSeeOther)
			return
		}
		if scope := scopeOf(r); g.may(ctx, scope) != nil {
			signIn(w, askedFor(r), http.StatusForbidden, lacksScope(scope))
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

// askedFor is the page that a request wants to see; after a form, the first.
func askedFor(r *http.Request) string {
	if r.Method != http.MethodGet {
		return "/"
	}
	return r.URL.RequestURI()
}

// ours is next if it is an address of this server as every browser reads it (many
// take \ for / and drop tabs), and the first page if not.
func ours(next string) string {
	_, err := url.Parse(next)
	if err != nil || !strings.HasPrefix(next, "/") || strings.HasPrefix(next, "//") || strings.Contains(next, `\`) {
		return "/"
	}
	return next
}

func (g *guard) login(w http.ResponseWriter, r *http.Request) {
	next := ours(r.FormValue("next"))
	if r.Method != http.MethodPost {
		signIn(w, next, http.StatusOK, "")
		return
	}
	token := strings.TrimSpace(r.PostFormValue("key"))
	switch key, err := g.keys.Check(token); {
	case err != nil:
		signIn(w, next, http.StatusUnauthorized, `This key is not known here. Was it copied whole, and is it still in force? "bellwether keys list" shows which are.`)
	case !key.May(ScopeRead):
		signIn(w, next, http.StatusForbidden, lacksScope(ScopeRead))
	default:
		setKey(w, r, token, 12*3600)
		http.Redirect(w, r, next, http.StatusSeeOther)
	}
}

func logout(w http.ResponseWriter, r *http.Request) {
	if r.Method != http.MethodPost {
		w.Header().Set("Allow", http.MethodPost)
		http.Error(w, "signing out is a form, which every page has", http.StatusMethodNotAllowed)
		return
	}
	setKey(w, r, "", -1)
	http.Redirect(w, r, "/login", http.StatusSeeOther)
}

// setKey lets the browser keep a key for some seconds; with -1 it forgets the one
// it has.
func setKey(w http.ResponseWriter, r *http.Request, token string, seconds int) {
	http.SetCookie(w, &http.Cookie{Name: keyCookie, Value: token, Path: "/", HttpOnly: true, SameSite: http.SameSiteStrictMode, Secure: r.TLS != nil, MaxAge: seconds})
}

func lacksScope(scope string) string {
	return fmt.Sprintf("This key may not do that: it lacks the scope %s. Sign in with one that has it.", scope)
}

// signIn shows the form that leads on to next, with what is wrong.
func signIn(w http.ResponseWriter, next string, status int, wrong string) {
	w.Header().Set("Content-Type", "text/html; charset=utf-8")
	w.WriteHeader(status)
	_ = loginPage.Execute(w, map[string]string{"Wrong": wrong, "Next": next}) // the caller may be gone
}
