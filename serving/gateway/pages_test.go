package gateway

import (
	"fmt"
	"html"
	"io"
	"net/http"
	"net/url"
	"regexp"
	"strings"
	"testing"
	"time"

	"bellwether/serving"
)

// visit asks for a page as a browser does, following nothing.
func (e *edge) visit(method, path, token string, form url.Values, headers ...string) (*http.Response, string) {
	e.t.Helper()
	req, err := http.NewRequestWithContext(e.t.Context(), method, e.url+path, strings.NewReader(form.Encode()))
	if err != nil {
		e.t.Fatal(err)
	}
	if form != nil {
		req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	}
	if token != "" {
		req.AddCookie(&http.Cookie{Name: keyCookie, Value: token})
	}
	for i := 0; i < len(headers); i += 2 {
		req.Header.Set(headers[i], headers[i+1])
	}
	res, err := http.DefaultTransport.RoundTrip(req)
	if err != nil {
		e.t.Fatal(err)
	}
	defer res.Body.Close()
	b, err := io.ReadAll(res.Body)
	if err != nil {
		e.t.Fatal(err)
	}
	return res, string(b)
}

// echo stands for the pages: it says what reached it.
var echo = http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
	if err := r.ParseForm(); err != nil {
		http.Error(w, err.Error(), http.StatusRequestEntityTooLarge)
		return
	}
	fmt.Fprintf(w, "page %s %s", r.Method, r.URL.Path)
})

func TestPagesWantAKey(t *testing.T) {
	e := edgeOf(t, t.TempDir(), serving.Config{}, Config{Pages: echo, Limits: Limits{Body: 100}}, ScopeRead, ScopeRoute)
	add := func(scopes ...string) string {
		token, _, err := e.server.guard.keys.Add("test", scopes, time.Now())
		if err != nil {
			t.Fatal(err)
		}
		return token
	}
	reads, routes, ended := add(ScopeRead), add(ScopeRoute), add(ScopeRead)
	if err := e.server.guard.keys.Revoke(ended[len(tokenPrefix):][:8], time.Now()); err != nil {
		t.Fatal(err)
	}
	some, large := url.Values{"a": {"b"}}, url.Values{"a": {strings.Repeat("b", 200)}}
	for _, c := range []struct {
		name, method, path, token string
		form                      url.Values
		site                      string // Sec-Fetch-Site
		code                      int
		says                      string
	}{
		{"a stranger", "GET", "/", "", nil, "", 303, ""},
		{"a stranger's form", "POST", "/try", "", some, "", 303, ""},
		{"a stranger looking for style", "GET", "/static/style.css", "", nil, "", 200, "page GET /static/style.css"},
		{"a stranger at the door", "GET", "/login", "", nil, "", 200, "Sign in with an API key"},
		{"a key that is none", "GET", "/", "bw_00000000_x", nil, "", 303, ""},
		{"a revoked key", "GET", "/", ended, nil, "", 303, ""},
		{"a key that may read", "GET", "/partners", reads, nil, "", 200, "page GET /partners"},
		{"a key that may read, routing", "POST", "/try", reads, some, "", 403, "lacks the scope route"},
		{"a key that may only route, looking", "GET", "/", routes, nil, "", 403, "lacks the scope read"},
		{"a key that may route", "POST", "/try", routes, some, "same-origin", 200, "page POST /try"},
		{"a form of another site", "POST", "/try", routes, some, "cross-site", 403, "must be sent from a page of this server"},
		{"a form of a neighbour", "POST", "/try", routes, some, "same-site", 403, "must be sent from a page of this server"},
		{"a link of another site", "GET", "/", reads, nil, "cross-site", 200, "page GET /"},
		{"a form too large", "POST", "/try", routes, large, "", 413, "too large"},
	} {
		var headers []string
		if c.site != "" {
			headers = []string{"Sec-Fetch-Site", c.site}
		}
		res, body := e.visit(c.method, c.path, c.token, c.form, headers...)
		if res.StatusCode != c.code || !strings.Contains(body, c.says) || c.code == 303 && !strings.HasPrefix(res.Header.Get("Location"), "/login") {
			t.Errorf("%s: %s to %q: %s; want %d with %q", c.name, res.Status, res.Header.Get("Location"), body, c.code, c.says)
		}
		if h := res.Header; !strings.HasPrefix(h.Get("Content-Security-Policy"), "default-src 'none'") || h.Get("X-Content-Type-Options") != "nosniff" {
			t.Errorf("%s: headers %v", c.name, h)
		}
	}
}

// Signing in gives a cookie that no script and no other site can use.
func TestSignIn(t *testing.T) {
	e := edgeOf(t, t.TempDir(), serving.Config{}, Config{Pages: echo}, ScopeRead)
	blind, _, err := e.server.guard.keys.Add("crm", []string{ScopeRoute}, time.Now())
	if err != nil {
		t.Fatal(err)
	}
	for key, code := range map[string]int{"": http.StatusUnauthorized, e.token + "x": http.StatusUnauthorized, blind: http.StatusForbidden} {
		res, body := e.visit("POST", "/login", "", url.Values{"key": {key}})
		if res.StatusCode != code || len(res.Cookies()) != 0 || !strings.Contains(body, `name="key"`) {
			t.Errorf("%q: %s, cookies %v, %.80s", key, res.Status, res.Cookies(), body)
		}
	}
	res, _ := e.visit("POST", "/login", "", url.Values{"key": {" " + e.token + "\n"}})
	if res.StatusCode != http.StatusSeeOther || res.Header.Get("Location") != "/" || len(res.Cookies()) != 1 {
		t.Fatalf("signed in: %s %v", res.Status, res.Header)
	}
	c := res.Cookies()[0]
	if !c.HttpOnly || c.SameSite != http.SameSiteStrictMode || c.Path != "/" || c.MaxAge <= 0 {
		t.Errorf("cookie %+v", c)
	}
	if _, body := e.visit("GET", "/", c.Value, nil); body != "page GET /" {
		t.Errorf("with the cookie: %s", body)
	}
}

// Signing out takes the cookie away. It takes a form of ours: a link cannot do it.
func TestSignOut(t *testing.T) {
	e := edgeOf(t, t.TempDir(), serving.Config{}, Config{Pages: echo}, ScopeRead)
	for _, token := range []string{e.token, "", "bw_00000000_x"} {
		res, _ := e.visit("POST", "/logout", token, url.Values{}, "Sec-Fetch-Site", "same-origin")
		if res.StatusCode != http.StatusSeeOther || res.Header.Get("Location") != "/login" || len(res.Cookies()) != 1 {
			t.Fatalf("%q: %s %v", token, res.Status, res.Header)
		}
		if c := res.Cookies()[0]; c.Name != keyCookie || c.Value != "" || c.MaxAge >= 0 || c.Path != "/" || !c.HttpOnly || c.SameSite != http.SameSiteStrictMode {
			t.Errorf("%q: cookie %+v", token, c)
		}
	}
	for _, c := range []struct {
		method, site string
		code         int
	}{{"GET", "same-origin", http.StatusMethodNotAllowed}, {"POST", "cross-site", http.StatusForbidden}, {"POST", "same-site", http.StatusForbidden}} {
		if res, body := e.visit(c.method, "/logout", e.token, nil, "Sec-Fetch-Site", c.site); res.StatusCode != c.code || len(res.Cookies()) != 0 {
			t.Errorf("%s from %s: %s %v %s, want %d", c.method, c.site, res.Status, res.Cookies(), body, c.code)
		}
	}
}

// Without keys, pages are open, and forms still have to come from them.
func TestPagesWithoutKeys(t *testing.T) {
	e := edgeOf(t, t.TempDir(), serving.Config{}, Config{Pages: echo})
	if _, body := e.visit("POST", "/try", "", url.Values{}); body != "page POST /try" {
		t.Errorf("a form: %s", body)
	}
	if res, _ := e.visit("POST", "/try", "", url.Values{}, "Sec-Fetch-Site", "cross-site"); res.StatusCode != http.StatusForbidden {
		t.Errorf("a form of another site: %s", res.Status)
	}
}

// Where a browser sends no Sec-Fetch-Site (an address without TLS, an old
// browser), the form's Origin says where it comes from.
func TestOriginOfForms(t *testing.T) {
	e := edgeOf(t, t.TempDir(), serving.Config{}, Config{Pages: echo})
	for origin, want := range map[string]int{e.url: 200, "http://evil.example": 403, "http://127.0.0.1:1": 403, "null": 403} {
		if res, body := e.visit("POST", "/try", "", url.Values{}, "Origin", origin); res.StatusCode != want {
			t.Errorf("a form of %s: %s %s, want %d", origin, res.Status, body, want)
		}
	}
	// Behind a proxy that changes Host.
	if res, body := e.visit("POST", "/try", "", url.Values{}, "Origin", "https://leads.example", "Sec-Fetch-Site", "same-origin"); res.StatusCode != 200 {
		t.Errorf("a form that the browser vouches for: %s %s", res.Status, body)
	}
}

func TestOriginOfCalls(t *testing.T) {
	e := newEdge(t, Limits{})
	for origin, want := range map[string]int{"": 200, e.url: 200, "http://evil.example": 403} {
		header := []string{"Origin", origin}
		if origin == "" {
			header = nil
		}
		if code, _, p := e.do("POST", "/v1/route:preview", `{"lead":{"id":"l","created_at":"2020-01-01T00:00:00Z"}}`, header...); code != want || want == 403 && p["kind"] != "forbidden" {
			t.Errorf("a call of %q: %d %v, want %d", origin, code, p, want)
		}
	}
}

// Signing in leads to the page that was asked for, and never to another site.
func TestSignInLeadsOn(t *testing.T) {
	e := edgeOf(t, t.TempDir(), serving.Config{}, Config{Pages: echo}, ScopeRead)
	routes, _, err := e.server.guard.keys.Add("crm", []string{ScopeRoute}, time.Now())
	if err != nil {
		t.Fatal(err)
	}
	field := regexp.MustCompile(`name="next" value="([^"]*)"`)
	for _, page := range []string{"/at-risk", "/partners?after=p%2F0&x=%22", "/partners/..%2Fmodels", "/"} {
		res, _ := e.visit("GET", page, "", nil)
		_, form := e.visit("GET", res.Header.Get("Location"), "", nil)
		_, lacking := e.visit("GET", page, routes, nil)
		_, wrong := e.visit("POST", "/login", "", url.Values{"key": {"x"}, "next": {page}})
		for _, form := range []string{form, lacking, wrong} {
			next := field.FindStringSubmatch(form)
			if next == nil {
				t.Fatalf("%s: no next in %s", page, form)
			}
			res, _ = e.visit("POST", "/login", "", url.Values{"key": {e.token}, "next": {html.UnescapeString(next[1])}})
			if at := res.Header.Get("Location"); res.StatusCode != http.StatusSeeOther || at != page {
				t.Errorf("asked for %s, led to %d %q", page, res.StatusCode, at)
			}
		}
	}
	for _, next := range []string{"", "//evil.example", `/\evil.example`, `\\evil.example`, "/\t/evil.example", "/\n//evil.example", "///evil.example", "/.//evil.example/..//", `/a/..\evil.example`,
		"https://evil.example", "https:evil.example", "https:/evil.example", "javascript:alert(1)", "evil.example", " //evil.example", "/%zz"} {
		res, _ := e.visit("POST", "/login", "", url.Values{"key": {e.token}, "next": {next}})
		at := res.Header.Get("Location")
		u, err := url.Parse(at)
		if res.StatusCode != http.StatusSeeOther || err != nil || u.IsAbs() || u.Host != "" || !strings.HasPrefix(at, "/") || strings.HasPrefix(at, "//") || strings.ContainsAny(at, "\\\t\n") {
			t.Errorf("%q led to %d %q", next, res.StatusCode, at)
		}
	}
	if res, _ := e.visit("POST", "/try", "", url.Values{}); res.Header.Get("Location") != "/login?next=%2F" {
		t.Errorf("a form without a key leads to %q", res.Header.Get("Location"))
	}
}
