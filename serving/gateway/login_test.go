package gateway

import (
	"net/http"
	"net/http/httptest"
	"net/url"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"golang.org/x/time/rate"
)

// TestSignInSaysWhatIsWrong goes through the form with keys of every kind, and with the cookie
// it gives through pages that look and forms that route.
func TestSignInSaysWhatIsWrong(t *testing.T) {
	keys, err := OpenKeys(filepath.Join(t.TempDir(), "keys.jsonl"))
	if err != nil {
		t.Fatal(err)
	}
	made := map[string]string{"unknown": "bw_nobody_0000", "none": ""}
	for name, scopes := range map[string][]string{"reads": {ScopeRead}, "routes": {ScopeRoute}, "both": {ScopeRead, ScopeRoute}} {
		if made[name], _, err = keys.Add(name, scopes, time.Now()); err != nil {
			t.Fatal(err)
		}
	}
	g := &guard{keys: keys, limits: Limits{}.withDefaults(), now: time.Now, rates: map[string]*rate.Limiter{}}
	pages := g.pages(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusTeapot) }))
	for _, c := range []struct {
		key          string
		login        int
		says         string
		look, routes int // answers of a page and of a form, with the key as cookie
	}{
		{"none", http.StatusUnauthorized, "not known here", http.StatusSeeOther, http.StatusSeeOther},
		{"unknown", http.StatusUnauthorized, "not known here", http.StatusSeeOther, http.StatusSeeOther},
		{"routes", http.StatusForbidden, "lacks the scope read", http.StatusForbidden, http.StatusTeapot},
		{"reads", http.StatusSeeOther, "", http.StatusTeapot, http.StatusForbidden},
		{"both", http.StatusSeeOther, "", http.StatusTeapot, http.StatusTeapot},
	} {
		form := httptest.NewRequest("POST", "/login", strings.NewReader(url.Values{"key": {made[c.key]}}.Encode()))
		form.Header.Set("Content-Type", "application/x-www-form-urlencoded")
		answer := httptest.NewRecorder()
		pages.ServeHTTP(answer, form)
		if answer.Code != c.login || !strings.Contains(answer.Body.String(), c.says) || strings.Contains(answer.Body.String(), `role="alert"`) != (c.says != "") {
			t.Errorf("%s: signing in gave %d %s", c.key, answer.Code, answer.Body)
		}
		if kind := answer.Header().Get("Content-Type"); c.says != "" && kind != "text/html; charset=utf-8" {
			t.Errorf("%s: a page of type %q", c.key, kind)
		}
		for method, want := range map[string]int{"GET": c.look, "POST": c.routes} {
			r := httptest.NewRequest(method, "/", nil)
			r.AddCookie(&http.Cookie{Name: keyCookie, Value: made[c.key]})
			answer := httptest.NewRecorder()
			if pages.ServeHTTP(answer, r); answer.Code != want {
				t.Errorf("%s: %s gave %d, want %d", c.key, method, answer.Code, want)
			}
		}
	}
}
