package gateway

import (
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"bellwether/features"
	"bellwether/models"
	"bellwether/models/calibrate"
	"bellwether/models/logit"
	"bellwether/models/registry"
	"bellwether/models/trial"
	"bellwether/serving"
)

// winFiles are those of a win model that says nothing of use.
func winFiles(t *testing.T) map[string][]byte {
	t.Helper()
	set := features.NewSet(features.Schema{}, features.Options{})
	spec, err := json.Marshal(set.Spec())
	if err != nil {
		t.Fatal(err)
	}
	table := &models.Table{Columns: set.Columns(), Y: []float64{0, 1, 0, 1}}
	for range table.Columns {
		table.X = append(table.X, []float64{0, 1, 1, 0})
	}
	fitted, err := logit.Learner{}.Fit(t.Context(), table, nil, 1)
	if err != nil {
		t.Fatal(err)
	}
	c, err := calibrate.Fit(calibrate.Platt, []float64{0, 1, 1, 0}, table.Y, nil)
	if err != nil {
		t.Fatal(err)
	}
	b, err := (&trial.Predictor{Columns: table.Columns, Learner: "logit", Model: fitted, Calibrator: c}).MarshalBinary()
	if err != nil {
		t.Fatal(err)
	}
	return map[string][]byte{"features.json": spec, "win.bin": b, "accept.bin": b}
}

func TestModelsOverREST(t *testing.T) {
	dir := t.TempDir()
	reg, err := registry.Open(dir)
	if err != nil {
		t.Fatal(err)
	}
	files := winFiles(t)
	publish := func(files map[string][]byte) {
		if _, err := reg.Publish("win", files, registry.Card{Task: "win"}); err != nil {
			t.Fatal(err)
		}
	}
	publish(files)
	publish(map[string][]byte{"features.json": files["features.json"], "win.bin": files["win.bin"], "accept.bin": files["accept.bin"], "card.md": nil})
	publish(map[string][]byte{"features.json": files["features.json"], "win.bin": []byte("no model")})
	e := edgeOf(t, dir, serving.Config{PollEvery: time.Hour}, Config{}, ScopeRead, ScopeAdmin, ScopeRoute)
	current := func() (list []string) {
		for _, m := range e.must("GET", "/v1/models", "")["models"].([]any) {
			if m := m.(map[string]any); m["current"] == true {
				list = append(list, fmt.Sprint(m["name"], " ", m["version"]))
			}
		}
		return list
	}
	if got := current(); len(got) != 0 {
		t.Errorf("in force before anything was promoted: %v", got)
	}
	for _, c := range []struct {
		call, body string
		code       int
		says, now  string // what the answer says, and which version is in force then
	}{
		{"win:promote", `{}`, 400, "name the version to promote", ""},
		{"win:rollback", `{}`, 404, "win", ""},
		{"win:promote", `{"version":"1"}`, 200, "v1", "win v1"},
		{"win:promote", `{"version":"v2"}`, 200, "v2", "win v2"},
		{"win:promote", `{"version":"3"}`, 409, "model bytes are damaged", "win v2"},
		{"win:promote", `{"version":"4"}`, 404, "win", "win v2"},
		{"loss:promote", `{"version":"1"}`, 404, "loss", "win v2"},
		{"win:rollback", `{}`, 200, "v1", "win v1"},
		{"win:rollback", `{}`, 404, "win", "win v1"},
	} {
		code, _, out := e.do("POST", "/v1/models/"+c.call, c.body)
		if text := fmt.Sprint(out); code != c.code || !strings.Contains(text, c.says) {
			t.Errorf("%s %s: %d %s, want %d with %q", c.call, c.body, code, text, c.code, c.says)
		}
		if got := strings.Join(current(), ", "); got != c.now {
			t.Errorf("after %s %s %q is in force, want %q", c.call, c.body, got, c.now)
		}
	}
	if d := e.must("POST", "/v1/route:preview", `{"lead":{"id":"l1"}}`); !strings.HasPrefix(d["model"].(string), "win@v1:") {
		t.Errorf("answered by %v", d["model"])
	}
}

func TestModelsNeedTheirScopes(t *testing.T) {
	e := newEdge(t, Limits{}, ScopeRead)
	for call, body := range map[string]string{"win:promote": `{"version":"1"}`, "win:rollback": `{}`} {
		if code, _, p := e.do("POST", "/v1/models/"+call, body); code != http.StatusForbidden || p["kind"] != "forbidden" {
			t.Errorf("%s with a reading key: %d %v", call, code, p)
		}
	}
}

// A day's business, and what is said of the partners the morning after: each one
// once, however the pages are cut, as its own page says it.
func TestStandingsOverREST(t *testing.T) {
	var now atomic.Int64
	now.Store(time.Date(2026, 3, 2, 9, 0, 0, 0, time.UTC).UnixNano())
	clock := func() time.Time { return time.Unix(0, now.Load()) }
	e := edgeOf(t, t.TempDir(), serving.Config{Clock: clock, PollEvery: time.Millisecond}, Config{})
	e.partners(5)
	for i := range 20 {
		now.Add(int64(time.Hour))
		id := e.must("POST", "/v1/route", fmt.Sprintf(`{"lead":{"id":"l%d","created_at":"%s","place":{"region":"DE"}}}`, i, clock().UTC().Format(time.RFC3339)))["id"]
		e.must("POST", fmt.Sprintf("/v1/decisions/%s:accept", id), "")
		e.must("POST", "/v1/outcomes", fmt.Sprintf(`{"decision":%q,"result":"won","amount":{"amount":"%d00","currency":"EUR"}}`, id, i+1))
		if i == 0 {
			full := e.must("GET", fmt.Sprintf("/v1/decisions/%s?view=full", id), "")
			brief := e.must("GET", fmt.Sprintf("/v1/decisions/%s", id), "")
			if len(full["candidates"].([]any)) != 5 || len(brief["candidates"].([]any)) != 0 {
				t.Errorf("in full %v, in brief %v", full["candidates"], brief["candidates"])
			}
			if r := e.must("POST", fmt.Sprintf("/v1/decisions/%s:replay", id), ""); r["same"] != true || r["difference"] != "" {
				t.Errorf("decided again: %v", r)
			}
			if code, _, p := e.do("GET", fmt.Sprintf("/v1/decisions/%s?view=half", id), ""); code != 400 || p["field"] != "view" {
				t.Errorf("half a view: %d %v", code, p)
			}
		}
	}
	now.Add(int64(24 * time.Hour))
	standings := func(query string) map[string]any { return e.must("GET", "/v1/reports/at-risk"+query, "") }
	all := func() []any { return standings("")["standings"].([]any) }
	for deadline := time.Now().Add(10 * time.Second); len(all()) < 5 || all()[0].(map[string]any)["at"] != "2026-03-04T00:00:00Z"; {
		if time.Now().After(deadline) {
			t.Fatalf("not judged: %v", all())
		}
	}
	whole := all()
	var paged []any
	for token := ""; len(paged) <= len(whole); {
		page := standings("?page_size=2&page_token=" + token)
		paged = append(paged, page["standings"].([]any)...)
		if token = page["next_page_token"].(string); token == "" {
			break
		}
	}
	if fmt.Sprint(paged) != fmt.Sprint(whole) {
		t.Errorf("in pages\n%v\nwhole\n%v", paged, whole)
	}
	var names []string
	for _, s := range whole {
		s := s.(map[string]any)
		names = append(names, s["partner"].(string))
		if own := e.must("GET", fmt.Sprintf("/v1/partners/%s/health", s["partner"]), ""); fmt.Sprint(own) != fmt.Sprint(s) {
			t.Errorf("%s alone is\n%v\nin the report\n%v", s["partner"], own, s)
		}
		if len(s["kpis"].(map[string]any)) == 0 || s["model"] == "" || s["risk"].(float64) <= 0 {
			t.Errorf("standing %v", s)
		}
	}
	if slices.Sort(names); strings.Join(names, " ") != "p00 p01 p02 p03 p04" {
		t.Errorf("judged were %v", names)
	}
	e.must("PUT", "/v1/partners/new", `{"name":"New"}`)
	for id, says := range map[string]string{"nobody": `no partner "nobody"`, "new": "it is new since the last midnight"} {
		if code, _, p := e.do("GET", "/v1/partners/"+id+"/health", ""); code != 404 || !strings.Contains(p["detail"].(string), says) {
			t.Errorf("health of %s: %d %v", id, code, p)
		}
	}
}
