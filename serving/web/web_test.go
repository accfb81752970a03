package web

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"bellwether/datasets/record"
	"bellwether/models/registry"
	"bellwether/serving"
	"bellwether/serving/store"

	"github.com/chromedp/chromedp"
)

// newSite serves the pages over a real engine with a few partners.
func newSite(t *testing.T) (*serving.Engine, string) {
	t.Helper()
	st, err := store.Open("", store.Options{InMemory: true})
	if err != nil {
		t.Fatal(err)
	}
	models, err := registry.Open(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	engine, err := serving.Start(t.Context(), st, models, serving.Config{})
	if err != nil {
		t.Fatal(err)
	}
	site := httptest.NewServer(Handler(engine))
	t.Cleanup(func() {
		site.Close()
		if err := engine.Close(); err != nil {
			t.Error(err)
		}
		if err := st.Close(); err != nil {
			t.Error(err)
		}
	})
	for i, name := range []string{"Nordlicht Systeme", "Alpina & Söhne <IT>", "Rhein Partners"} {
		p := &record.Partner{ID: record.PartnerID(fmt.Sprintf("p/%d", i)), Name: name, Tier: "gold", Territories: []string{"DE"}, Industries: []string{"retail"}}
		if _, err := engine.UpsertPartner(t.Context(), p, nil); err != nil {
			t.Fatal(err)
		}
	}
	return engine, site.URL
}

func fetch(t *testing.T, res *http.Response, err error) (int, string) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	b, err := io.ReadAll(res.Body)
	if err != nil {
		t.Fatal(err)
	}
	return res.StatusCode, string(b)
}

func TestPagesAnswer(t *testing.T) {
	_, site := newSite(t)
	for path, want := range map[string]string{
		"/": "Who should get this lead?", "/partners": "Alpina &amp; Söhne &lt;IT&gt;", "/partners/p%2F0": "Nordlicht Systeme", "/models": "No version is published yet",
		"/static/style.css": "--ink",
	} {
		res, err := http.Get(site + path)
		if code, body := fetch(t, res, err); code != http.StatusOK || !strings.Contains(body, want) {
			t.Errorf("GET %s: %d without %q: %.300s", path, code, want, body)
		}
	}
	for path, want := range map[string]int{"/nothing": 404, "/partners/nobody": 404, "/decisions/none": 404} {
		res, err := http.Get(site + path)
		if code, body := fetch(t, res, err); code != want || !strings.Contains(body, "<h1>") {
			t.Errorf("GET %s: %d, want %d with a page", path, code, want)
		}
	}
}

// The forms do the whole loop without a script.
func TestTryRouteDecline(t *testing.T) {
	engine, site := newSite(t)
	before := engine.Status().Position
	form := url.Values{"industry": {"retail"}, "region": {"DE"}, "value": {"1000"}, "currency": {"EUR"}, "need": {"resale"}, "do": {"preview"}}
	res, err := http.PostForm(site+"/try", form)
	if code, body := fetch(t, res, err); code != 200 || !strings.Contains(body, "Preview: nothing was offered") || !strings.Contains(body, "Rhein Partners") {
		t.Fatalf("preview: %d %s", code, body)
	}
	if after := engine.Status().Position; after != before {
		t.Errorf("a preview moved the log from %d to %d", before, after)
	}
	form.Set("do", "route")
	res, err = http.PostForm(site+"/try", form)
	code, body := fetch(t, res, err)
	if code != 200 || !strings.Contains(body, "Accept for the partner") {
		t.Fatalf("route: %d %s", code, body)
	}
	res, err = http.PostForm(res.Request.URL.String()+"/decline", url.Values{"reason": {"no_capacity"}})
	if code, body = fetch(t, res, err); code != 200 || !strings.Contains(body, "<dt>After</dt>") {
		t.Fatalf("decline: %d %s", code, body)
	}
	res, err = http.PostForm(res.Request.URL.String()+"/accept", nil)
	if code, body = fetch(t, res, err); code != 200 || !strings.Contains(body, "<dd>accepted") {
		t.Fatalf("accept: %d %s", code, body)
	}
}

// Who asks why is answered, and who may be asked about is one form away.
func TestWhy(t *testing.T) {
	engine, site := newSite(t)
	away := &record.Partner{ID: "away", Name: "Fern", Territories: []string{"FR"}}
	if _, err := engine.UpsertPartner(t.Context(), away, nil); err != nil {
		t.Fatal(err)
	}
	r, err := engine.Route(t.Context(), &record.Lead{ID: "l1", Place: record.Place{Region: "DE"}, CreatedAt: time.Now().UTC()}, serving.RouteOptions{})
	if err != nil {
		t.Fatal(err)
	}
	at := site + "/decisions/" + string(r.Decision.ID)
	other := r.Decision.Ranked[0].Partner
	if other == r.Decision.Chosen {
		other = r.Decision.Ranked[1].Partner
	}
	for path, wants := range map[string][]string{
		"":     {`action="/decisions/` + string(r.Decision.ID) + `/why"`, ">Why this decision<"},
		"/why": {"<h1>Why?</h1>", "was chosen", "does not sell where the lead is"},
		"/why?contrast=" + url.QueryEscape(string(other)): {"Why not", "What the difference in value is made of", "no change was looked for", string(other)},
		"/why?contrast=away":                              {"could not have this lead: sells in FR, not in DE (rule territory)"},
	} {
		res, err := http.Get(at + path)
		code, body := fetch(t, res, err)
		for _, want := range wants {
			if code != 200 || !strings.Contains(body, want) {
				t.Errorf("GET %s: %d without %q: %.3000s", path, code, want, body)
			}
		}
	}
	res, err := http.Get(at + "/why?contrast=nobody")
	if code, body := fetch(t, res, err); code != 404 || !strings.Contains(body, "there was no partner") {
		t.Errorf("of an unknown partner: %d %s", code, body)
	}
}

func TestTrySaysWhatIsWrong(t *testing.T) {
	_, site := newSite(t)
	for name, form := range map[string]url.Values{
		"amount":   {"value": {"a lot"}, "currency": {"EUR"}},
		"currency": {"value": {"5"}, "currency": {"EURO"}},
		"need":     {"need": {"love"}},
	} {
		res, err := http.PostForm(site+"/try", form)
		if code, body := fetch(t, res, err); code != http.StatusBadRequest || !strings.Contains(body, `role="alert"`) || !strings.Contains(body, name) && name != "amount" {
			t.Errorf("%s: %d %s", name, code, body)
		}
	}
}

// In a browser: the form works by keyboard alone, nothing is loaded from
// elsewhere, and no page is wider than a phone. With BELLWETHER_PICTURES it
// writes a picture of each page there.
func TestBrowser(t *testing.T) {
	binary := os.Getenv("BELLWETHER_BROWSER")
	if binary == "" {
		t.Skip("BELLWETHER_BROWSER names no Chromium")
	}
	engine, site := newSite(t)
	options := append(chromedp.DefaultExecAllocatorOptions[:], chromedp.ExecPath(binary), chromedp.NoSandbox, chromedp.Flag("disable-quic", true))
	alloc, cancel := chromedp.NewExecAllocator(t.Context(), options...)
	defer cancel()
	browser, cancel := chromedp.NewContext(alloc)
	defer cancel()
	if err := chromedp.Do(browser); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(browser, time.Minute)
	defer cancel()

	err := chromedp.Do(ctx, chromedp.EmulateViewport(1280, 900), chromedp.Navigate(site),
		chromedp.Focus("#industry"), chromedp.SendKeys("#industry", "retail\r"), chromedp.WaitVisible("#answer"))
	if err != nil {
		t.Fatal(err)
	}
	if answer := run(t, ctx, chromedp.Text("#answer")); !strings.Contains(answer, "Chosen") {
		t.Errorf("after typing a lead and Enter the page says %q", answer)
	}
	picture(t, ctx, "start.png")
	routed, err := engine.Route(t.Context(), &record.Lead{ID: "l1", CreatedAt: time.Now().UTC()}, serving.RouteOptions{})
	if err != nil {
		t.Fatal(err)
	}
	decision := "/decisions/" + string(routed.Decision.ID)
	for _, path := range []string{"/", "/partners", "/partners/p%2F0", "/models", decision, decision + "/why", decision + "/why?contrast=p%2F1"} {
		if err := chromedp.Do(ctx, chromedp.EmulateViewport(360, 740), chromedp.Navigate(site+path)); err != nil {
			t.Fatal(err)
		}
		if width := run(t, ctx, chromedp.Evaluate[int](`document.documentElement.scrollWidth`)); width > 360 {
			t.Errorf("%s is %d pixels wide on a phone of 360", path, width)
		}
		if run(t, ctx, chromedp.Evaluate[bool](`performance.getEntriesByType("resource").some(r => !r.name.startsWith(location.origin) && !r.name.startsWith("data:"))`)) {
			t.Errorf("%s loads something from elsewhere", path)
		}
	}
	picture(t, ctx, "phone.png")
}

func run[T any](t *testing.T, ctx context.Context, a chromedp.Action[T]) T {
	t.Helper()
	out, err := chromedp.Run(ctx, a)
	if err != nil {
		t.Fatal(err)
	}
	return out
}

func picture(t *testing.T, ctx context.Context, name string) {
	t.Helper()
	dir := os.Getenv("BELLWETHER_PICTURES")
	if dir == "" {
		return
	}
	if err := os.WriteFile(filepath.Join(dir, name), run(t, ctx, chromedp.FullScreenshot(100)), 0o644); err != nil {
		t.Fatal(err)
	}
}
