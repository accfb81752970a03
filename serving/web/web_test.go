package web

import (
	"context"
	"fmt"
	"html"
	"html/template"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"bellwether/datasets/record"
	"bellwether/models/registry"
	"bellwether/serving"
	"bellwether/serving/store"
	"bellwether/serving/web/page"

	"github.com/chromedp/chromedp"
)

// newSite serves the pages over a real engine with a few partners.
func newSite(t *testing.T) (*serving.Engine, string) {
	t.Helper()
	return siteOf(t, t.TempDir(), serving.Config{})
}

// siteOf is newSite over a directory of models, with an engine told more.
func siteOf(t *testing.T, dir string, told serving.Config) (*serving.Engine, string) {
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
	site := httptest.NewServer(Handler(engine, false))
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
	for path, want := range map[string]int{"/nothing": 404, "/nothing?after=x": 404, "/partners/nobody": 404, "/decisions/none": 404} {
		res, err := http.Get(site + path)
		if code, body := fetch(t, res, err); code != want || !strings.Contains(body, "<h1>") {
			t.Errorf("GET %s: %d, want %d with a page", path, code, want)
		}
	}
}

// A page refuses what it would otherwise ignore, and says what it takes.
func TestPagesRefuseParameters(t *testing.T) {
	_, site := newSite(t)
	for path, want := range map[string]string{
		"/partners?page_token=abc": "page_token: is not a parameter of this page, which takes after", "/partners?after=p%2F0&after=p%2F1": "after: is given 2 times",
		"/at-risk?page_token=": "page_token: is not a parameter of this page, which takes none", "/partners?after=%zz": "the query cannot be read", "/?<b>": "&lt;b&gt;: is not",
	} {
		res, err := http.Get(site + path)
		if code, body := fetch(t, res, err); code != http.StatusBadRequest || !strings.Contains(body, want) || !strings.Contains(body, "<h1>") {
			t.Errorf("GET %s: %d without %q: %s", path, code, want, body)
		}
	}
}

// A partner's status stands on its page, with since when, and in the list.
func TestPartnerStatus(t *testing.T) {
	engine, site := newSite(t)
	span := func(from, to int) record.Span {
		now := time.Now().UTC().Truncate(time.Second)
		return record.Span{From: now.AddDate(0, 0, from), To: now.AddDate(0, 0, to)}
	}
	status := func(s string, at record.Span) record.StatusSpan { return record.StatusSpan{Status: s, Span: at} }
	open := record.Span{From: span(-5, 0).From}
	day := func(t time.Time) string { return t.Format(time.DateOnly) }
	for id, c := range map[record.PartnerID]struct {
		status   []record.StatusSpan
		own, row string
	}{
		"silent":     {nil, "active", "active"},
		"suspended":  {[]record.StatusSpan{status("active", span(-90, -5)), status("suspended", open)}, "suspended since " + day(open.From), "suspended"},
		"onboarding": {[]record.StatusSpan{status("onboarding", span(-9, 9)), status("active", span(9, 99))}, "onboarding since " + day(span(-9, 9).From) + " until " + day(span(-9, 9).To), "onboarding"},
		"terminated": {[]record.StatusSpan{status("terminated", record.Span{})}, "terminated", "terminated"},
		"between":    {[]record.StatusSpan{status("active", span(-90, -5))}, "none now", "none now"},
	} {
		if _, err := engine.UpsertPartner(t.Context(), &record.Partner{ID: id, Status: c.status}, nil); err != nil {
			t.Fatal(err)
		}
		res, err := http.Get(site + "/partners/" + string(id))
		if _, body := fetch(t, res, err); !strings.Contains(body, "<dt>Status</dt><dd>"+c.own+"</dd>") {
			t.Errorf("%s: its page lacks %s: %s", id, c.own, body)
		}
		res, err = http.Get(site + "/partners")
		_, list := fetch(t, res, err)
		_, row, _ := strings.Cut(list, ">"+string(id)+"</a>")
		if row, _, _ = strings.Cut(row, "</tr>"); !strings.Contains(row, `<td data-label="Status">`+c.row+"</td>") {
			t.Errorf("%s: its row lacks %s: %s", id, c.row, row)
		}
	}
}

// Where people sign in, every page has a way out, errors too; elsewhere none has.
func TestSignOutIsOnEveryPage(t *testing.T) {
	engine, open := newSite(t)
	keyed := httptest.NewServer(Handler(engine, true))
	defer keyed.Close()
	const form = `<form method="post" action="/logout"><button class="quiet">Sign out</button></form>`
	for _, path := range []string{"/", "/partners", "/partners/p%2F0", "/at-risk", "/models", "/nothing", "/partners/nobody"} {
		for site, want := range map[string]bool{open: false, keyed.URL: true} {
			res, err := http.Get(site + path)
			if _, body := fetch(t, res, err); strings.Contains(body, form) != want || strings.Contains(body, "logout") != want {
				t.Errorf("%s: a way out is there: %v, want %v", path, !want, want)
			}
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

// Every link leads to a page, whatever partners are called.
func TestLinksLead(t *testing.T) {
	engine, site := newSite(t)
	for _, id := range []record.PartnerID{"50%25 & more?", "a#b", `"quoted"`, "../models", "ä b"} {
		if _, err := engine.UpsertPartner(t.Context(), &record.Partner{ID: id}, nil); err != nil {
			t.Fatal(err)
		}
	}
	r, err := engine.Route(t.Context(), &record.Lead{ID: "l1", CreatedAt: time.Now().UTC()}, serving.RouteOptions{})
	if err != nil {
		t.Fatal(err)
	}
	why := "/decisions/" + string(r.Decision.ID) + "/why?contrast=a%23b"
	link := regexp.MustCompile(`href="(/[^"]*)"`)
	seen := map[string]bool{"/docs": true} // the gateway's
	for todo := []string{"/", why}; len(todo) > 0; todo = todo[1:] {
		if seen[todo[0]] {
			continue
		}
		seen[todo[0]] = true
		res, err := http.Get(site + todo[0])
		code, body := fetch(t, res, err)
		if code != http.StatusOK || res.Request.URL.RequestURI() != todo[0] {
			t.Errorf("%s: %d at %s", todo[0], code, res.Request.URL)
		}
		for _, m := range link.FindAllStringSubmatch(body, -1) {
			todo = append(todo, html.UnescapeString(m[1]))
		}
	}
	for _, want := range []string{"/at-risk", "/partners/p%2F0", "/partners/..%2Fmodels", "/partners/a%23b", "/decisions/" + string(r.Decision.ID)} {
		if !seen[want] {
			t.Errorf("no link to %s", want)
		}
	}
}

// judgedSite is newSite with its partners judged.
func judgedSite(t *testing.T) (string, []record.Standing) {
	t.Helper()
	var now atomic.Int64
	now.Store(time.Date(2026, 3, 2, 9, 0, 0, 0, time.UTC).UnixNano())
	clock := func() time.Time { return time.Unix(0, now.Load()) }
	engine, site := siteOf(t, t.TempDir(), serving.Config{Clock: clock, PollEvery: time.Millisecond})
	for i := range 12 {
		now.Add(int64(time.Hour))
		r, err := engine.Route(t.Context(), &record.Lead{ID: record.LeadID(fmt.Sprint("l", i)), CreatedAt: clock().UTC()}, serving.RouteOptions{})
		if err == nil {
			_, err = engine.Accept(t.Context(), r.Decision.ID)
		}
		if err == nil {
			_, err = engine.Outcome(t.Context(), serving.Outcome{Decision: r.Decision.ID, Won: true, Amount: record.Money{Amount: 1_234_567, Currency: "EUR"}})
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	now.Add(int64(24 * time.Hour))
	var all []record.Standing
	for deadline := time.Now().Add(10 * time.Second); len(all) < 3 || all[0].Activity == nil || all[0].At.Day() != 3; {
		all, _ = engine.AtRisk(t.Context(), serving.AtRiskQuery{})
		if time.Now().After(deadline) {
			t.Fatalf("not judged: %+v", all)
		}
	}
	return site, all
}

// The page of a partner and that of all at risk say of it what the engine knows.
func TestStandingsAreShown(t *testing.T) {
	site, all := judgedSite(t)
	get := func(path string) string {
		res, err := http.Get(site + path)
		code, body := fetch(t, res, err)
		if code != http.StatusOK {
			t.Fatalf("GET %s: %d", path, code)
		}
		return body
	}
	report := get("/at-risk")
	if !strings.Contains(report, "3 partners, highest value at risk first.") || !strings.Contains(report, "Alpina &amp; Söhne &lt;IT&gt;") {
		t.Errorf("the report does not name its partners: %s", report)
	}
	for _, s := range all {
		own := get("/partners/" + url.PathEscape(string(s.Partner)))
		for _, want := range append(texts(s.Drivers), template.HTMLEscapeString(page.Money(s.ValueAtRisk)), template.HTMLEscapeString(s.Action)) {
			if !strings.Contains(report, want) || !strings.Contains(own, want) {
				t.Errorf("%s: %q is not said on both pages", s.Partner, want)
			}
		}
		if !strings.Contains(report, `href="/partners/`+url.PathEscape(string(s.Partner))+`"`) || strings.Count(own, `class="spark"`) != 1 || !strings.Contains(own, "<h2>Figures</h2>") {
			t.Errorf("%s: the pages lack a link, the weeks or the figures:\n%s", s.Partner, own)
		}
	}
}

// texts is how pages write reasons.
func texts(drivers []record.Driver) (list []string) {
	for _, d := range drivers {
		text := template.HTMLEscapeString(d.Text)
		if d.Effect < 0 {
			text = `<span class="soft">lowers the risk:</span> ` + text
		}
		list = append(list, text)
	}
	return list
}

// The page of models shows what their cards say, in force or not.
func TestModelsAreShown(t *testing.T) {
	dir := t.TempDir()
	reg, err := registry.Open(dir)
	if err != nil {
		t.Fatal(err)
	}
	card := registry.Card{Task: "win", Learner: "gbdt", Rows: 4321, AUC: 0.7654, AUCLo: 0.7, AUCHi: 0.8}
	if _, err = reg.Publish("win", map[string][]byte{"win.bin": []byte("no model")}, card); err == nil {
		_, err = reg.Promote("win", "1")
	}
	if err != nil {
		t.Fatal(err)
	}
	engine, site := siteOf(t, dir, serving.Config{})
	list, err := engine.Models(t.Context())
	if err != nil || list[0].Refused == "" {
		t.Fatalf("models %+v, %v", list, err)
	}
	res, err := http.Get(site + "/models")
	code, body := fetch(t, res, err)
	for _, want := range []string{">win<", ">v1<", ">gbdt<", ">0.765<", "0.700 to 0.800", ">4321<", "current<br>", `class="bad">` + template.HTMLEscapeString(list[0].Refused)} {
		if code != http.StatusOK || !strings.Contains(body, want) {
			t.Errorf("%d without %q: %s", code, want, body)
		}
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
// elsewhere, and no page or table is wider than a phone. With BELLWETHER_PICTURES it
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
	decision := site + "/decisions/" + string(routed.Decision.ID)
	judged, _ := judgedSite(t)
	for _, path := range []string{judged + "/at-risk", site, site + "/partners", site + "/partners/p%2F0", site + "/models", decision, decision + "/why", decision + "/why?contrast=p%2F1"} {
		if err := chromedp.Do(ctx, chromedp.EmulateViewport(360, 740), chromedp.Navigate(path)); err != nil {
			t.Fatal(err)
		}
		if width := run(t, ctx, chromedp.Evaluate[int](`document.documentElement.scrollWidth`)); width > 360 {
			t.Errorf("%s is %d pixels wide on a phone of 360", path, width)
		}
		if cut := run(t, ctx, chromedp.Evaluate[int](`[...document.querySelectorAll(".scroll")].filter(e => e.scrollWidth > e.clientWidth).length`)); cut > 0 {
			t.Errorf("%s has %d tables cut at the side on a phone", path, cut)
		}
		if run(t, ctx, chromedp.Evaluate[bool](`performance.getEntriesByType("resource").some(r => !r.name.startsWith(location.origin) && !r.name.startsWith("data:"))`)) {
			t.Errorf("%s loads something from elsewhere", path)
		}
	}
	picture(t, ctx, "phone.png")
	signsOut(t, ctx, engine)
}

// signsOut finds the way out by keyboard alone, on a phone.
func signsOut(t *testing.T, ctx context.Context, engine *serving.Engine) {
	t.Helper()
	mux := http.NewServeMux()
	mux.Handle("/", Handler(engine, true))
	mux.HandleFunc("POST /logout", func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, "gone") })
	keyed := httptest.NewServer(mux)
	defer keyed.Close()
	if err := chromedp.Do(ctx, chromedp.Navigate(keyed.URL+"/partners")); err != nil {
		t.Fatal(err)
	}
	if width := run(t, ctx, chromedp.Evaluate[int](`document.documentElement.scrollWidth`)); width > 360 {
		t.Errorf("with a way out a page is %d pixels wide on a phone of 360", width)
	}
	picture(t, ctx, "signed-in.png")
	for tabs := 0; run(t, ctx, chromedp.Evaluate[string](`document.activeElement.textContent`)) != "Sign out"; tabs++ {
		if tabs == 20 {
			t.Fatal("the way out is not found by the Tab key")
		}
		if err := chromedp.Do(ctx, chromedp.KeyEvent("\t")); err != nil {
			t.Fatal(err)
		}
	}
	if err := chromedp.Do(ctx, chromedp.KeyEvent("\r"), chromedp.WaitVisible("pre")); err != nil {
		t.Fatal(err)
	}
	if text := run(t, ctx, chromedp.Text("pre")); text != "gone" {
		t.Errorf("after Enter on the way out the page says %q", text)
	}
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
