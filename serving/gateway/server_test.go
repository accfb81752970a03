package gateway

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"bellwether/models/registry"
	"bellwether/serving"
	pb "bellwether/serving/gen/bellwether/v1"
	"bellwether/serving/store"

	"go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/sdk/trace/tracetest"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"
)

// edge is a real engine over a store in memory behind a real server.
type edge struct {
	t      *testing.T
	server *Server
	url    string
	token  string
	log    *bytes.Buffer
	spans  *tracetest.InMemoryExporter
}

// newEdge starts one with a key of the given scopes; no scopes, no keys.
func newEdge(t *testing.T, limits Limits, scopes ...string) *edge {
	t.Helper()
	return edgeOf(t, t.TempDir(), serving.Config{}, Config{Limits: limits}, scopes...)
}

// edgeOf is newEdge over a directory of models, with an engine and a server told
// more.
func edgeOf(t *testing.T, dir string, told serving.Config, c Config, scopes ...string) *edge {
	t.Helper()
	st, err := store.Open("", store.Options{InMemory: true})
	if err != nil {
		t.Fatal(err)
	}
	models, err := registry.Open(dir)
	if err != nil {
		t.Fatal(err)
	}
	engine, err := serving.Start(t.Context(), st, models, told)
	if err != nil {
		t.Fatal(err)
	}
	e := &edge{t: t, log: &bytes.Buffer{}, spans: tracetest.NewInMemoryExporter()}
	traces := trace.NewTracerProvider(trace.WithSyncer(e.spans))
	c.Log, c.Tracer = slog.New(slog.NewJSONHandler(e.log, nil)), traces
	if len(scopes) > 0 {
		c.Keys = filepath.Join(t.TempDir(), "keys.jsonl")
		keys, err := OpenKeys(c.Keys)
		if err != nil {
			t.Fatal(err)
		}
		if e.token, _, err = keys.Add("test", scopes, time.Now()); err != nil {
			t.Fatal(err)
		}
	}
	if e.server, err = New(engine, c); err != nil {
		t.Fatal(err)
	}
	handler, err := e.server.Handler()
	if err != nil {
		t.Fatal(err)
	}
	web := httptest.NewServer(handler)
	e.url = web.URL
	t.Cleanup(func() {
		web.Close()
		if err := engine.Close(); err != nil {
			t.Error(err)
		}
		if err := st.Close(); err != nil {
			t.Error(err)
		}
	})
	return e
}

// do sends one request and returns status, headers and decoded body.
func (e *edge) do(method, path, body string, headers ...string) (int, http.Header, map[string]any) {
	e.t.Helper()
	req, err := http.NewRequestWithContext(e.t.Context(), method, e.url+path, strings.NewReader(body))
	if err != nil {
		e.t.Fatal(err)
	}
	if e.token != "" {
		req.Header.Set("Authorization", "Bearer "+e.token)
	}
	for i := 0; i < len(headers); i += 2 {
		req.Header.Set(headers[i], headers[i+1])
	}
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		e.t.Fatal(err)
	}
	defer res.Body.Close()
	text, err := io.ReadAll(res.Body)
	if err != nil {
		e.t.Fatal(err)
	}
	var out map[string]any
	if err := json.Unmarshal(text, &out); err != nil {
		e.t.Fatalf("%s %s: %d, not JSON: %s", method, path, res.StatusCode, text)
	}
	return res.StatusCode, res.Header, out
}

// must sends a request that has to come through.
func (e *edge) must(method, path, body string, headers ...string) map[string]any {
	e.t.Helper()
	code, _, out := e.do(method, path, body, headers...)
	if code != http.StatusOK {
		e.t.Fatalf("%s %s: %d %v", method, path, code, out)
	}
	return out
}

func (e *edge) partners(n int) {
	e.t.Helper()
	for i := range n {
		e.must("PUT", fmt.Sprintf("/v1/partners/p%02d", i), `{"name":"Partner","territories":["DE"],"tier":"gold"}`)
	}
}

// A lead's life over REST: routed, declined to the next, accepted, won.
func TestLeadLife(t *testing.T) {
	e := newEdge(t, Limits{})
	e.partners(3)
	first := e.must("POST", "/v1/route", `{"lead":{"id":"l1","place":{"region":"DE"},"value":{"amount":"100000","currency":"EUR"}}}`)
	if first["chosen"] == "" || first["status"] != "offered" || first["degraded"] != true || first["propensity"].(float64) <= 0 {
		t.Fatalf("the decision: %v", first)
	}
	again := e.must("POST", "/v1/route", `{"lead":{"id":"l1","place":{"region":"DE"}}}`)
	if again["id"] != first["id"] {
		t.Errorf("the same lead again got decision %v, want %v", again["id"], first["id"])
	}
	next := e.must("POST", fmt.Sprintf("/v1/decisions/%s:decline", first["id"]), `{"reason":"no_capacity"}`)
	if next["previous"] != first["id"] || next["chosen"] == first["chosen"] || next["chosen"] == "" {
		t.Fatalf("after a decline: %v", next)
	}
	accepted := e.must("POST", fmt.Sprintf("/v1/decisions/%s:accept", next["id"]), `{}`)
	if accepted["status"] != "accepted" {
		t.Errorf("after accepting, status %v", accepted["status"])
	}
	code, _, problem := e.do("POST", fmt.Sprintf("/v1/decisions/%s:accept", first["id"]), `{}`)
	if code != http.StatusPreconditionFailed {
		t.Errorf("accepting a declined offer: %d %v", code, problem)
	}
	outcome := fmt.Sprintf(`{"decision":"%s","result":"won","amount":{"amount":"90000","currency":"EUR"}}`, next["id"])
	won := e.must("POST", "/v1/outcomes", outcome)
	if repeat := e.must("POST", "/v1/outcomes", outcome); repeat["event"] != won["event"] || repeat["repeated_report"] != true {
		t.Errorf("the outcome again: %v", repeat)
	}
	code, _, problem = e.do("POST", "/v1/outcomes", fmt.Sprintf(`{"decision":"%s","result":"lost","reason":"price"}`, next["id"]))
	if code != http.StatusConflict || !strings.Contains(problem["detail"].(string), won["event"].(string)) {
		t.Errorf("a contradicting outcome: %d %v, want a conflict that names %v", code, problem, won["event"])
	}
	if full := e.must("GET", fmt.Sprintf("/v1/decisions/%s?view=full", next["id"]), ""); len(full["candidates"].([]any)) == 0 {
		t.Errorf("view=full shows no candidates: %v", full)
	}
	if same := e.must("POST", fmt.Sprintf("/v1/decisions/%s:replay", next["id"]), ""); same["same"] != true {
		t.Errorf("replay: %v", same)
	}
}

// A decision is explained to whoever may read it.
func TestExplanation(t *testing.T) {
	e := newEdge(t, Limits{}, ScopeRead, ScopeWrite, ScopeRoute)
	e.partners(3)
	e.must("PUT", "/v1/partners/away", `{"territories":["FR"]}`)
	d := e.must("POST", "/v1/route", `{"lead":{"id":"l1","place":{"region":"DE"},"value":{"amount":"100000","currency":"EUR"}}}`)
	at := fmt.Sprintf("/v1/decisions/%s/explanation", d["id"])
	x := e.must("GET", at, "")
	refusals := x["refusals"].([]any)
	if x["decision"] != d["id"] || x["chosen"] != d["chosen"] || !strings.Contains(x["sentence"].(string), "was chosen") || len(x["partners"].([]any)) != 3 || len(refusals) != 1 ||
		refusals[0].(map[string]any)["reason"] != "does not sell where the lead is" || x["contrast"] != nil {
		t.Errorf("why: %v", x)
	}
	for _, k := range x["partners"].([]any) {
		k := k.(map[string]any)
		id := k["candidate"].(map[string]any)["partner"]
		if k["reasons_for"] == nil || k["reasons_against"] == nil || len(k["notes"].([]any)) == 0 {
			t.Errorf("of %v is told: %v", id, k)
		}
		contrast := e.must("GET", fmt.Sprintf("%s?contrast=%s", at, id), "")["contrast"].(map[string]any)
		if parts := contrast["parts"].([]any); (len(parts) == 4) != (id != d["chosen"]) || contrast["no_change"] == "" {
			t.Errorf("why not %v: %v", id, contrast)
		}
	}
	if c := e.must("GET", at+"?contrast=away", "")["contrast"].(map[string]any); c["rule"] != "territory" || c["reason"] != "sells in FR, not in DE" {
		t.Errorf("why not away: %v", c)
	}
	if code, _, p := e.do("GET", at+"?contrast="+strings.Repeat("x", 3000), ""); code != 404 || p["kind"] != "not_found" || p["field"] != "contrast" || len(p["detail"].(string)) > 200 {
		t.Errorf("why not somebody unknown: %d %v", code, p)
	}
	if code, _, p := e.do("GET", "/v1/decisions/none/explanation", ""); code != 404 || p["kind"] != "not_found" {
		t.Errorf("an unknown decision: %d %v", code, p)
	}
	nobody := e.must("POST", "/v1/route", `{"lead":{"id":"l2","place":{"region":"IT"}}}`)
	if x := e.must("GET", fmt.Sprintf("/v1/decisions/%s/explanation", nobody["id"]), ""); x["chosen"] != "" || !strings.Contains(x["sentence"].(string), "nobody may have this lead") {
		t.Errorf("where nobody was eligible: %v", x)
	}
}

func TestExplanationNeedsToRead(t *testing.T) {
	e := newEdge(t, Limits{}, ScopeRoute)
	if code, _, p := e.do("GET", "/v1/decisions/x/explanation", ""); code != http.StatusForbidden {
		t.Errorf("with a key that may only route: %d %v", code, p)
	}
}

func TestIdempotencyKey(t *testing.T) {
	e := newEdge(t, Limits{})
	e.partners(2)
	body := `{"lead":{"id":"l1","created_at":"2026-01-01T00:00:00Z"}}`
	first := e.must("POST", "/v1/route", body, "Idempotency-Key", "k1")
	if again := e.must("POST", "/v1/route", body, "Idempotency-Key", "k1"); again["id"] != first["id"] {
		t.Errorf("the same key and body got %v, want %v", again["id"], first["id"])
	}
	code, _, problem := e.do("POST", "/v1/route", `{"lead":{"id":"l2","created_at":"2026-01-01T00:00:00Z"}}`, "Idempotency-Key", "k1")
	if code != http.StatusConflict || problem["field"] != "Idempotency-Key" {
		t.Errorf("the same key with another body: %d %v, want 409", code, problem)
	}
}

func TestIdempotencyKeyOfALeadWithoutATime(t *testing.T) {
	e := newEdge(t, Limits{})
	e.partners(2)
	first := e.must("POST", "/v1/route", `{"lead":{"id":"l1"}}`, "Idempotency-Key", "k1")
	if first["at"] == "" {
		t.Error("no time")
	}
	time.Sleep(time.Millisecond)
	if again := e.must("POST", "/v1/route", `{"lead":{"id":"l1"}}`, "Idempotency-Key", "k1"); again["id"] != first["id"] {
		t.Errorf("the same key and body got %v, want %v", again["id"], first["id"])
	}
	if code, _, problem := e.do("POST", "/v1/route", `{"lead":{"id":"l1","created_at":"2026-01-01T00:00:00Z"}}`, "Idempotency-Key", "k1"); code != http.StatusConflict {
		t.Errorf("the same key with a time: %d %v, want 409", code, problem)
	}
}

func TestProblemsOfBodiesAndMethods(t *testing.T) {
	e := newEdge(t, Limits{})
	for _, c := range []struct {
		method, path, body string
		code               int
		kind, field        string
	}{
		{"POST", "/v1/route", `{"lead":{"id":"l1","industy":"retail"}}`, 400, "invalid", "lead.industy"},
		{"POST", "/v1/route", `{"lead":{"id":7}}`, 400, "invalid", "lead.id"},
		{"POST", "/v1/route", `{"lead":{"id":"l1","created_at":"yesterday"}}`, 400, "invalid", "lead.created_at"},
		{"POST", "/v1/route", `{"lead":`, 400, "invalid", ""},
		{"POST", "/v1/route", ``, 400, "invalid", "lead"},
		{"GET", "/v1/route", ``, 405, "method_not_allowed", ""},
		{"GET", "/v1/nothing", ``, 404, "not_found", ""},
	} {
		code, _, problem := e.do(c.method, c.path, c.body)
		field, _ := problem["field"].(string)
		if code != c.code || problem["kind"] != c.kind || field != c.field || strings.Contains(problem["detail"].(string), "proto:") {
			t.Errorf("%s %s %s: %d %v, want %d %s %s", c.method, c.path, c.body, code, problem, c.code, c.kind, c.field)
		}
	}
}

func TestPreviewWritesNothing(t *testing.T) {
	e := newEdge(t, Limits{})
	e.partners(2)
	before := e.server.engine.Status().Position
	d := e.must("POST", "/v1/route:preview", `{"lead":{"id":"l1"}}`)
	if d["status"] != "none" || len(d["ranked"].([]any)) == 0 {
		t.Errorf("preview: %v", d)
	}
	if after := e.server.engine.Status().Position; after != before {
		t.Errorf("the log moved from %d to %d", before, after)
	}
	if code, _, _ := e.do("GET", fmt.Sprintf("/v1/decisions/%s", d["id"]), ""); code != http.StatusNotFound && code != http.StatusBadRequest {
		t.Errorf("a preview can be read back: %d", code)
	}
}

func TestProblems(t *testing.T) {
	e := newEdge(t, Limits{Body: 4096})
	e.partners(1)
	long := strings.Repeat("x", 10_000)
	words := map[string]string{"not JSON": "not JSON, or cut off", "a BOM": "not JSON", "wrong date": "RFC 3339"}
	for name, c := range map[string]struct {
		method, path, body string
		code               int
		kind, field        string
	}{
		"no lead":          {"POST", "/v1/route", `{}`, 400, "invalid", "lead"},
		"no lead id":       {"POST", "/v1/route", `{"lead":{}}`, 400, "invalid", "lead.id"},
		"bad currency":     {"POST", "/v1/route", `{"lead":{"id":"x","value":{"amount":"1","currency":"EURO"}}}`, 400, "invalid", "lead.value.currency"},
		"negative money":   {"POST", "/v1/route", `{"lead":{"id":"x","value":{"amount":"-1","currency":"EUR"}}}`, 400, "invalid", "lead.value.amount"},
		"unknown field":    {"POST", "/v1/route", `{"lead":{"id":"x","colour":"red"}}`, 400, "invalid", ""},
		"wrong type":       {"POST", "/v1/route", `{"lead":{"id":7}}`, 400, "invalid", ""},
		"not JSON":         {"POST", "/v1/route", `{"lead":`, 400, "invalid", ""},
		"more than JSON":   {"POST", "/v1/route", `{"lead":{"id":"t","created_at":"2026-01-01T00:00:00Z"}} more`, 400, "invalid", ""},
		"two leads":        {"POST", "/v1/route", `{"lead":{"id":"t","created_at":"2026-01-01T00:00:00Z"}}{"lead":{"id":"u"}}`, 400, "invalid", ""},
		"NaN":              {"POST", "/v1/route", `{"lead":{"id":"x","attributes":{"n":NaN}}}`, 400, "invalid", ""},
		"a BOM":            {"POST", "/v1/route", "\ufeff{}", 400, "invalid", ""},
		"invalid UTF-8":    {"POST", "/v1/route", "{\"lead\":{\"id\":\"\xff\"}}", 400, "invalid", ""},
		"wrong date":       {"POST", "/v1/route", `{"lead":{"id":"x","created_at":"31/12/2026"}}`, 400, "invalid", ""},
		"long id":          {"POST", "/v1/route", `{"lead":{"id":"` + long[:2000] + `"}}`, 400, "invalid", "lead.id"},
		"too large":        {"POST", "/v1/route", `{"lead":{"id":"` + long + `"}}`, 413, "exhausted", ""},
		"unknown decision": {"GET", "/v1/decisions/0190a000-0000-7000-8000-000000000000", "", 404, "not_found", ""},
		"unknown partner":  {"GET", "/v1/partners/nobody", "", 404, "not_found", ""},
		"outcome of none":  {"POST", "/v1/outcomes", `{"decision":"0190a000-0000-7000-8000-000000000000","result":"won"}`, 404, "not_found", "decision"},
		"result":           {"POST", "/v1/outcomes", `{"decision":"x","result":"maybe"}`, 400, "invalid", "result"},
		"event in batch":   {"POST", "/v1/events", `{"events":[{"id":"a","type":"portal_login","at":"2026-01-01T00:00:00Z","partner":"p00"},{"id":"b","type":"dance"}]}`, 400, "invalid", "events[1].type"},
		"page size":        {"GET", "/v1/partners?page_size=5000", "", 400, "invalid", "page_size"},
		"page token":       {"GET", "/v1/partners?page_token=%21", "", 400, "invalid", "page_token"},
		"no page's token":  {"GET", "/v1/partners?page_token=anVuaw", "", 400, "invalid", "page_token"},
		"partner not here": {"GET", "/v1/reports/at-risk?page_token=" + tokenOut("nobody"), "", 400, "invalid", "page_token"},
		"nothing there":    {"GET", "/v1/nothing", "", 404, "not_found", ""},
		"If-Match":         {"PUT", "/v1/partners/p00", `{"level":1}`, 400, "invalid", ""},
	} {
		t.Run(name, func(t *testing.T) {
			e.t = t
			code, h, p := e.do(c.method, c.path, c.body)
			if code != c.code || p["kind"] != c.kind || c.field != "" && p["field"] != c.field {
				t.Errorf("%d %v, want %d, kind %s, field %q", code, p, c.code, c.kind, c.field)
			}
			if detail, _ := p["detail"].(string); words[name] != "" && !strings.Contains(detail, words[name]) {
				t.Errorf("detail %q, want %q", detail, words[name])
			}
			if got := h.Get("Content-Type"); got != "application/problem+json" {
				t.Errorf("content type %q", got)
			}
			if detail, _ := p["detail"].(string); detail == "" || strings.Contains(detail, long[:500]) {
				t.Errorf("detail %q", detail)
			}
		})
	}
}

func TestPaging(t *testing.T) {
	e := newEdge(t, Limits{})
	e.partners(7)
	var seen []string
	for token, pages := "", 0; ; pages++ {
		out := e.must("GET", "/v1/partners?page_size=3&page_token="+token, "")
		for _, p := range out["partners"].([]any) {
			seen = append(seen, p.(map[string]any)["id"].(string))
		}
		if token = out["next_page_token"].(string); token == "" {
			if pages != 2 {
				t.Errorf("7 partners took %d pages of 3", pages+1)
			}
			break
		}
	}
	if got := strings.Join(seen, " "); got != "p00 p01 p02 p03 p04 p05 p06" {
		t.Errorf("listed %s", got)
	}
}

func TestETag(t *testing.T) {
	e := newEdge(t, Limits{})
	e.partners(1)
	_, h, _ := e.do("GET", "/v1/partners/p00", "")
	tag := h.Get("ETag")
	if code, _, p := e.do("PUT", "/v1/partners/p00", `{"tier":"silver"}`, "If-Match", tag); code != http.StatusOK {
		t.Fatalf("If-Match with the current ETag %s: %d %v", tag, code, p)
	}
	if code, _, _ := e.do("PUT", "/v1/partners/p00", `{"tier":"lead"}`, "If-Match", tag); code != http.StatusPreconditionFailed {
		t.Errorf("If-Match with an old ETag: %d, want 412", code)
	}
}

func TestScopes(t *testing.T) {
	e := newEdge(t, Limits{}, ScopeRead)
	if code, _, p := e.do("POST", "/v1/route", `{"lead":{"id":"x"}}`); code != http.StatusForbidden || p["kind"] != "forbidden" {
		t.Errorf("routing with a reading key: %d %v", code, p)
	}
	e.must("GET", "/v1/partners", "")
	token := e.token
	e.token = ""
	if code, h, p := e.do("GET", "/v1/partners", ""); code != http.StatusUnauthorized || h.Get("WWW-Authenticate") == "" {
		t.Errorf("without a key: %d %v", code, p)
	}
	e.must("GET", "/v1/partners", "", "X-Api-Key", token)
	e.token = token + "x"
	if code, _, _ := e.do("GET", "/v1/partners", ""); code != http.StatusUnauthorized {
		t.Errorf("with a wrong key: %d", code)
	}
	if strings.Contains(e.log.String(), token) {
		t.Error("the key is in the log")
	}
}

func TestRateLimit(t *testing.T) {
	e := newEdge(t, Limits{PerSecond: 0.0001}, ScopeRead)
	e.must("GET", "/v1/partners", "")
	code, h, p := e.do("GET", "/v1/partners", "")
	if code != http.StatusTooManyRequests || p["kind"] != "exhausted" || h.Get("Retry-After") == "" {
		t.Errorf("the second call: %d %v", code, p)
	}
}

// The log and the traces say what was called and how it ended, never who or what.
func TestNoPersonalDataLeaves(t *testing.T) {
	e := newEdge(t, Limits{})
	e.partners(1)
	e.must("POST", "/v1/route", `{"lead":{"id":"lead-secret","company":"Secret GmbH","text":"call Ms Secret"}}`)
	e.do("POST", "/v1/route", `{"lead":{"id":"x","need":"Secret"}}`)
	spans := fmt.Sprint(e.spans.GetSpans().Snapshots())
	for _, s := range e.spans.GetSpans() {
		spans += fmt.Sprint(s.Name, s.Attributes, s.Events, s.Status)
	}
	if !strings.Contains(e.log.String(), `"method":"Route"`) || !strings.Contains(spans, "Route") {
		t.Fatalf("log %s\nspans %s: the call is missing", e.log, spans)
	}
	for _, text := range []string{e.log.String(), spans} {
		if strings.Contains(text, "ecret") {
			t.Errorf("holds lead data: %s", text)
		}
	}
}

func TestExport(t *testing.T) {
	e := newEdge(t, Limits{}, ScopeRoute, ScopeWrite, ScopeAdmin)
	e.partners(2)
	e.must("POST", "/v1/route", `{"lead":{"id":"l1"}}`)
	req, _ := http.NewRequestWithContext(t.Context(), "GET", e.url+"/v1/export", nil)
	req.Header.Set("Authorization", "Bearer "+e.token)
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	var partners, leads, events, decisions int
	var end int64
	for dec := json.NewDecoder(res.Body); dec.More(); {
		var line ExportLine
		if err := dec.Decode(&line); err != nil {
			t.Fatal(err)
		}
		switch {
		case line.Partner != nil:
			partners++
		case line.Lead != nil:
			leads++
		case line.Event != nil:
			events++
		case line.Decision != nil:
			decisions++
		case line.End != nil:
			end = *line.End
		}
	}
	if partners != 2 || leads != 1 || decisions != 1 || events == 0 || end != int64(partners+leads+events+decisions) {
		t.Errorf("exported %d partners, %d leads, %d events, %d decisions, end %d", partners, leads, events, decisions, end)
	}
}

func TestSideDoors(t *testing.T) {
	e := newEdge(t, Limits{})
	get := func(path string) (int, string) {
		res, err := http.Get(e.url + path)
		if err != nil {
			t.Fatal(err)
		}
		defer res.Body.Close()
		b, _ := io.ReadAll(res.Body)
		return res.StatusCode, string(b)
	}
	for path, want := range map[string]string{"/livez": "ok", "/readyz": `"ready":true`, "/metrics": "bellwether_log_position", "/docs": "/v1/route:preview", "/openapi.json": `"openapi": "3.1`} {
		if code, body := get(path); code != 200 || !strings.Contains(body, want) {
			t.Errorf("GET %s: %d, without %s: %.200s", path, code, want, body)
		}
	}
	e.must("GET", "/v1/partners", "")
	if _, body := get("/metrics"); !strings.Contains(body, `bellwether_call_seconds_count{kind="ok",method="ListPartners"} 1`) {
		t.Error("the call was not counted")
	}
}

func TestGRPC(t *testing.T) {
	e := newEdge(t, Limits{}, ScopeRead, ScopeWrite, ScopeRoute)
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(t.Context())
	served := make(chan error, 1)
	go func() { served <- e.server.Serve(ctx, nil, l) }()
	conn, err := grpc.NewClient(l.Addr().String(), grpc.WithTransportCredentials(insecure.NewCredentials()))
	if err != nil {
		t.Fatal(err)
	}
	client := pb.NewBellwetherClient(conn)
	if _, err := client.ListPartners(t.Context(), &pb.ListPartnersRequest{}); status.Code(err) != codes.Unauthenticated {
		t.Errorf("without a key: %v", err)
	}
	with := metadata.AppendToOutgoingContext(t.Context(), "authorization", "Bearer "+e.token)
	if _, err := client.PutPartner(with, &pb.PutPartnerRequest{Partner: &pb.Partner{Id: "p1", Name: "One"}}); err != nil {
		t.Fatal(err)
	}
	d, err := client.Route(with, &pb.RouteRequest{Lead: &pb.Lead{Id: "l1"}})
	if err != nil || d.Chosen != "p1" {
		t.Errorf("Route = %v, %v", d, err)
	}
	if _, err := client.Route(with, &pb.RouteRequest{Lead: &pb.Lead{}}); status.Code(err) != codes.InvalidArgument || problemOf(err).Field != "lead.id" {
		t.Errorf("a lead without an id: %v", err)
	}
	if _, err := client.PromoteModel(with, &pb.PromoteModelRequest{Name: "win", Version: "1"}); status.Code(err) != codes.PermissionDenied {
		t.Errorf("promoting without the scope: %v", err)
	}
	conn.Close()
	stop()
	if err := <-served; err != nil {
		t.Error(err)
	}
}

// A server without keys must not listen where others can reach it.
func TestNoKeysNoStrangers(t *testing.T) {
	e := newEdge(t, Limits{})
	l := listenerAt{addr: &net.TCPAddr{IP: net.IPv4(192, 168, 1, 7), Port: 80}}
	if err := e.server.Serve(t.Context(), l, nil); err == nil || !strings.Contains(err.Error(), "keys add") {
		t.Errorf("Serve on another address without keys: %v", err)
	}
}

type listenerAt struct {
	net.Listener
	addr net.Addr
}

func (l listenerAt) Addr() net.Addr { return l.addr }

func TestTLSFilesMustLoad(t *testing.T) {
	bad := filepath.Join(t.TempDir(), "cert.pem")
	if err := os.WriteFile(bad, []byte("no"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := New(nil, Config{CertFile: bad, KeyFile: bad}); err == nil || !strings.Contains(err.Error(), "TLS") {
		t.Errorf("New with a broken certificate: %v", err)
	}
}
