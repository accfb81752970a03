package gateway

import (
	"net/http"
	"slices"
	"strings"
	"testing"
)

// Every path of the description refuses a query parameter that the description
// does not list, and says which ones it does.
func TestUnknownQueryParameters(t *testing.T) {
	e := newEdge(t, Limits{})
	refused := func(method, path, name string) (detail string) {
		code, h, p := e.do(method, path+"?"+name+"=1", "{}")
		detail, _ = p["detail"].(string)
		if code != http.StatusBadRequest || p["field"] != name || h.Get("Content-Type") != "application/problem+json" || !strings.Contains(detail, "is not a parameter of") {
			return ""
		}
		return detail
	}
	paths := 0
	for path, item := range openAPI()["paths"].(document) {
		for method, op := range item.(document) {
			paths++
			method, path := strings.ToUpper(method), pathVariable.ReplaceAllString(path, "x")
			detail := refused(method, path, "surprise")
			if detail == "" {
				t.Errorf("%s %s takes a parameter it does not have", method, path)
			}
			_, takes, _ := strings.Cut(detail, "takes ")
			known := []string{}
			list, _ := op.(document)["parameters"].([]any)
			for _, p := range list {
				if p := p.(document); p["in"] == "query" {
					known = append(known, p["name"].(string))
				} else if p["in"] == "path" && refused(method, path, p["name"].(string)) == "" {
					t.Errorf("%s %s takes %s of its path as a parameter", method, path, p["name"])
				}
			}
			for _, name := range known {
				if refused(method, path, name) != "" {
					t.Errorf("%s %s refuses its parameter %s", method, path, name)
				}
			}
			if said := strings.Split(takes, ", "); takes != "none" && !slices.Equal(slices.Sorted(slices.Values(said)), slices.Sorted(slices.Values(known))) || takes == "none" && len(known) > 0 {
				t.Errorf("%s %s says it takes %q, described are %q", method, path, takes, known)
			}
		}
	}
	if refused("GET", "/v1/export", "from") == "" {
		t.Error("GET /v1/export takes a parameter it does not have")
	}
	if paths < 15 {
		t.Errorf("only %d paths were tried", paths)
	}
}

func TestQueryParametersOfTheWrongKind(t *testing.T) {
	e := newEdge(t, Limits{})
	for query, field := range map[string]string{
		"page_size=ten": "page_size", "page_size=": "page_size", "page_size=1.5": "page_size", "page_size=3&page_size=4": "page_size",
		"page_size[a]=3": "page_size[a]", "pageSize=3": "pageSize", "a;b": "", "page_token=%zz": "", strings.Repeat("x", 5000) + "=1": strings.Repeat("x", 64),
	} {
		if code, _, p := e.do("GET", "/v1/partners?"+query, ""); code != http.StatusBadRequest || field != "" && p["field"] != field || p["detail"] == "" {
			t.Errorf("%s: %d %v, want 400 about %q", query, code, p, field)
		}
	}
	e.must("GET", "/v1/partners?page_size=3&page_token=", "")
	if code, _, p := e.do("POST", "/v1/partners", "page_sise=3", "Content-Type", "application/x-www-form-urlencoded"); code != http.StatusMethodNotAllowed {
		t.Errorf("a form sent to a page of partners: %d %v", code, p)
	}
}

// The path of a call names what it is about; a body that names another is a
// mistake of somebody's, and nothing is done.
func TestBodyThatContradictsItsPath(t *testing.T) {
	e := newEdge(t, Limits{Body: 4096})
	e.partners(2)
	d := e.must("POST", "/v1/route", `{"lead":{"id":"l1"}}`)
	before := e.server.engine.Status().Position
	offer := "/v1/decisions/" + d["id"].(string)
	for _, c := range []struct{ method, path, body, field string }{
		{"PUT", "/v1/partners/p77", `{"id":"p78","name":"x"}`, "id"},
		{"PUT", "/v1/partners/p%2077", `{"id":"p77"}`, "id"},
		{"POST", offer + ":accept", `{"id":"another"}`, "id"},
		{"POST", offer + ":decline", `{"id":"another","reason":"spam"}`, "id"},
		{"POST", "/v1/models/win:promote", `{"name":"churn","version":"1"}`, "name"},
		{"POST", "/v1/models/win:rollback", `{"name":"churn"}`, "name"},
	} {
		if code, _, p := e.do(c.method, c.path, c.body); code != http.StatusBadRequest || p["field"] != c.field || !strings.Contains(p["detail"].(string), "path") {
			t.Errorf("%s %s %s: %d %v, want 400 about %s", c.method, c.path, c.body, code, p, c.field)
		}
	}
	if after := e.server.engine.Status().Position; after != before {
		t.Errorf("the log moved from %d to %d", before, after)
	}
	for _, id := range []string{"p77", "p78", "p%2077"} {
		if code, _, p := e.do("GET", "/v1/partners/"+id, ""); code != http.StatusNotFound {
			t.Errorf("partner %s: %d %v, want 404", id, code, p)
		}
	}
	e.must("PUT", "/v1/partners/p%2077", `{"id":"p 77","name":"x"}`)
	e.must("PUT", "/v1/partners/p78", `{"id":"","name":"x"}`)
	e.must("POST", offer+":accept", `{"id":"`+d["id"].(string)+`"}`)
	if code, _, p := e.do("PUT", "/v1/partners/p79", `{"id":7}`); code != http.StatusBadRequest || p["field"] != "id" {
		t.Errorf("an id that is a number: %d %v", code, p)
	}
	if code, _, p := e.do("PUT", "/v1/partners/p79", `{"name":"`+strings.Repeat("x", 5000)+`"}`); code != http.StatusRequestEntityTooLarge {
		t.Errorf("a body too large: %d %v", code, p)
	}
}
