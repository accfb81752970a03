package main

import (
	"bufio"
	"bytes"
	"context"
	"fmt"
	"io"
	"net/http"
	"net/http/cookiejar"
	"net/url"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"time"

	"bellwether/datasets"
	"bellwether/datasets/record"
	"bellwether/serving/gateway"
	"bellwether/serving/store"
)

// served runs `serve` until stop is called, and returns its address.
func served(t *testing.T, args ...string) (url string, stop func() (code int, log string)) {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	out, to := io.Pipe()
	var log bytes.Buffer
	done := make(chan int, 1)
	go func() {
		code := run(ctx, append([]string{"serve", "--http", "127.0.0.1:0"}, args...), &streams{Out: to, Err: &log})
		to.Close()
		done <- code
	}()
	line, err := bufio.NewReader(out).ReadString('\n')
	if err != nil {
		t.Fatalf("serve printed no address; it ended with %d: %s", <-done, &log)
	}
	stopped := false
	stop = func() (int, string) {
		stopped = true
		cancel()
		return <-done, log.String()
	}
	t.Cleanup(func() {
		if !stopped {
			stop()
		}
	})
	url, ok := strings.CutPrefix(strings.TrimSpace(line), "serving ")
	if !ok {
		t.Fatalf("serve printed %q", line)
	}
	return url, stop
}

func post(t *testing.T, url, body string) string {
	t.Helper()
	r, err := http.Post(url, "application/json", strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	defer r.Body.Close()
	b, err := io.ReadAll(r.Body)
	if err != nil || r.StatusCode != http.StatusOK {
		t.Fatalf("POST %s: %s %s %v", url, r.Status, b, err)
	}
	return string(b)
}

func TestServeAndExport(t *testing.T) {
	dir := t.TempDir()
	in := func(name string) string { return filepath.Join(dir, name) }
	var out bytes.Buffer
	if code := run(t.Context(), []string{"synth", "--out", in("world"), "--partners", "20", "--leads", "100", "--days", "60"}, &streams{Out: &out, Err: &out}); code != 0 {
		t.Fatal(out.String())
	}
	url, stop := served(t, "--store", in("store"), "--models", t.TempDir(), "--data", in("world"))
	first := post(t, url+"/v1/route", `{"lead":{"id":"new","created_at":"2026-01-02T03:04:05Z","industry":"retail"}}`)
	var locked bytes.Buffer
	if code := run(t.Context(), []string{"export", "--store", in("store"), "--out", in("early")}, &streams{Out: &locked, Err: &locked}); code != 1 || !strings.Contains(locked.String(), "is in use by another process") {
		t.Fatalf("exporting a store in use: %d %s", code, &locked)
	}
	if code, log := stop(); code != 0 || !strings.Contains(log, "loaded ") || !strings.Contains(log, "no win model is published") {
		t.Fatalf("serve ended with %d: %s", code, log)
	}
	url, stop = served(t, "--store", in("store"), "--models", t.TempDir(), "--data", in("world"))
	if again := post(t, url+"/v1/route", `{"lead":{"id":"new","created_at":"2026-01-02T03:04:05Z","industry":"retail"}}`); idOf(t, again) != idOf(t, first) {
		t.Fatalf("after a restart the lead was decided again:\n%s\n%s", first, again)
	}
	if code, log := stop(); code != 0 || !strings.Contains(log, "is not loaded") {
		t.Fatalf("serve ended with %d: %s", code, log)
	}
	out.Reset()
	if code := run(t.Context(), []string{"export", "--store", in("store"), "--out", in("live")}, &streams{Out: &out, Err: &out}); code != 0 {
		t.Fatal(out.String())
	}
	live, err := datasets.Open(in("live"))
	if err != nil {
		t.Fatal(err)
	}
	decisions, leads := 0, map[record.LeadID]bool{}
	if _, err := live.Decisions(t.Context(), datasets.ReadOptions{}, func(d *record.Decision) error { decisions++; return nil }); err != nil {
		t.Fatal(err)
	}
	if _, err := live.Leads(t.Context(), datasets.ReadOptions{}, func(l *record.Lead) error { leads[l.ID] = true; return nil }); err != nil {
		t.Fatal(err)
	}
	if decisions != 1 || !leads["new"] || len(leads) != 101 {
		t.Fatalf("exported %d decisions and %d leads: %s", decisions, len(leads), &out)
	}
}

// Who signed in at a server with keys can sign out, and is then a stranger again.
func TestSignInAndOut(t *testing.T) {
	dir := t.TempDir()
	keys, err := gateway.OpenKeys(filepath.Join(dir, "keys.jsonl"))
	if err != nil {
		t.Fatal(err)
	}
	token, _, err := keys.Add("reader", []string{gateway.ScopeRead}, time.Now())
	if err != nil {
		t.Fatal(err)
	}
	site, _ := served(t, "--store", filepath.Join(dir, "store"), "--models", t.TempDir(), "--keys", filepath.Join(dir, "keys.jsonl"))
	jar, err := cookiejar.New(nil)
	if err != nil {
		t.Fatal(err)
	}
	browser := &http.Client{Jar: jar}
	said := func(r *http.Response, err error) (path, page string) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		defer r.Body.Close()
		b, err := io.ReadAll(r.Body)
		if err != nil {
			t.Fatal(err)
		}
		return r.Request.URL.Path, string(b)
	}
	if path, page := said(browser.PostForm(site+"/login", url.Values{"key": {token}})); path != "/" || !strings.Contains(page, `action="/logout"`) {
		t.Fatalf("signed in, at %s: %s", path, page)
	}
	if path, page := said(browser.PostForm(site+"/logout", nil)); path != "/login" || !strings.Contains(page, "Sign in with an API key") {
		t.Errorf("signed out, at %s: %s", path, page)
	}
	if path, _ := said(browser.Get(site + "/partners")); path != "/login" {
		t.Errorf("a page asked for after that is at %s", path)
	}
}

// idOf finds the decision's id in an answer.
func idOf(t *testing.T, answer string) string {
	t.Helper()
	_, rest, ok := strings.Cut(strings.ReplaceAll(answer, " ", ""), `"id":"`)
	id, _, ok2 := strings.Cut(rest, `"`)
	if !ok || !ok2 {
		t.Fatalf("no id in %s", answer)
	}
	return id
}

func TestServeRefuses(t *testing.T) {
	dir := t.TempDir()
	write := func(name, text string) string {
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	base := []string{"serve", "--store", filepath.Join(dir, "store"), "--models", t.TempDir(), "--http", "127.0.0.1:0"}
	typo := filepath.Join(dir, "modles")
	ctx, stop := context.WithTimeout(t.Context(), 10*time.Second) // should one be served after all
	defer stop()
	for _, c := range []struct {
		args  []string
		code  int
		words []string
	}{
		{[]string{"serve"}, 2, []string{"--store is needed"}},
		{[]string{"serve", "--store", dir}, 2, []string{"--models is needed"}},
		{append(base, "--models", typo), 1, []string{"--models " + typo + " is not a directory of models", "make an empty one"}},
		{append(base, "--models", write("file", "")), 1, []string{"file is not a directory of models"}},
		{append(base, "--http", ""), 2, []string{"one of --http and --grpc"}},
		{append(base, "--http", "nowhere:1"), 1, []string{"--http nowhere:1", "give another address"}},
		{append(base, "--config", filepath.Join(dir, "none.yaml")), 2, []string{"--config", "none.yaml"}},
		{append(base, "--config", write("a.yaml", "policy:\n  currency: EUR\nengine:\n  sweep_evry: 3s\n")), 1, []string{"a.yaml", "line 4", "sweep_evry"}},
		{append(base, "--config", write("b.yaml", "policy:\n  min_win: 7\n")), 1, []string{"b.yaml", "min_win"}},
		{append(base, "--config", write("c.yaml", "engine:\n  sweep_every: soon\n")), 1, []string{"c.yaml", "line 2"}},
		{append(base, "--keys", filepath.Join(dir, "none.jsonl")), 1, []string{"there is no key file", "none.jsonl", "bellwether keys add"}},
		{append(base, "--http", "0.0.0.0:0"), 1, []string{"bellwether keys add"}},
		{[]string{"completion", "tcsh"}, 2, []string{"zsh"}},
		{append(base, "--data", filepath.Join(dir, "nothing")), 1, []string{"nothing"}},
		{[]string{"export", "--store", filepath.Join(dir, "nothing"), "--out", filepath.Join(dir, "out")}, 1, []string{"no store in"}},
	} {
		var out bytes.Buffer
		code := run(ctx, c.args, &streams{Out: &out, Err: &out})
		if strings.Contains(out.String(), "serving ") {
			t.Errorf("%s: says that it serves: %s", strings.Join(c.args[1:], " "), &out)
		}
		for _, w := range c.words {
			if code != c.code || !strings.Contains(out.String(), w) {
				t.Errorf("%s: code %d, want %d with %q: %s", strings.Join(c.args[1:], " "), code, c.code, w, &out)
			}
		}
	}
	if _, err := os.Stat(typo); err == nil {
		t.Error("the directory of models was made")
	}
}

func TestServeConfig(t *testing.T) {
	path := filepath.Join(t.TempDir(), "c.yaml")
	text := "policy:\n  offer_ttl: 24h\n  exploration: {share: 0.1}\nengine:\n  snapshot_every: 5m\n  max_events: 10\nlimits:\n  timeout: 3s\nstore:\n  min_free_mb: 512\n"
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	c, err := readServeConfig(path)
	if err != nil {
		t.Fatal(err)
	}
	got := fmt.Sprint(c.Policy.Exploration.Share, c.Engine.SnapshotEvery, c.Engine.MaxEvents, c.Limits.Timeout, c.Store.MinFreeMB)
	if got != "0.1 5m0s 10 3s 512" {
		t.Fatalf("read %s", got)
	}
	if ttl, _ := c.Policy.OfferTTL.MarshalText(); string(ttl) != "24h0m0s" {
		t.Fatalf("offer_ttl is %s", ttl)
	}
	if err := os.WriteFile(path, []byte("store:\n  min_free_mb: 1\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := readServeConfig(path); record.KindOf(err) != record.Invalid || !strings.Contains(err.Error(), path) ||
		!strings.Contains(err.Error(), fmt.Sprintf("give %d or more", store.LeastFree>>20)) {
		t.Errorf("a reserve too small for the store: %v", err)
	}
}

// TestEverySettingIsDocumented: docs/server.md names every key of the YAML file,
// and its example is one.
func TestEverySettingIsDocumented(t *testing.T) {
	b, err := os.ReadFile("../../docs/server.md")
	if err != nil {
		t.Fatal(err)
	}
	var keys func(reflect.Type)
	keys = func(s reflect.Type) {
		for i := range s.NumField() {
			f := s.Field(i)
			name := f.Tag.Get("yaml")
			if name != "-" && !bytes.Contains(b, []byte("`"+name+"`")) {
				t.Errorf("docs/server.md does not say what %s.%s is", s, name)
			}
			of := f.Type
			if of.Kind() == reflect.Slice {
				of = of.Elem()
			}
			if name != "-" && of.Kind() == reflect.Struct {
				keys(of)
			}
		}
	}
	keys(reflect.TypeFor[serveConfig]())
	_, example, _ := strings.Cut(string(b), "```yaml\n")
	example, _, _ = strings.Cut(example, "```")
	path := filepath.Join(t.TempDir(), "example.yaml")
	if err := os.WriteFile(path, []byte(example), 0o600); err != nil {
		t.Fatal(err)
	}
	c, err := readServeConfig(path)
	if err != nil || c.Policy.ID != "spring" || len(c.Policy.Rules.Off) != 1 || c.Store.MinFreeMB != 512 {
		t.Errorf("the example was read as %+v, %v", c, err)
	}
}
