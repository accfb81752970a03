// Package page is what all pages share: the frame around them, the style sheet,
// small pictures as SVG, and the error page. Pages need no JavaScript, load
// nothing from elsewhere and work in light and dark, on a phone and on paper.
package page

import (
	"bytes"
	"embed"
	"errors"
	"fmt"
	"html/template"
	"io/fs"
	"math"
	"net/http"
	"net/url"
	"strings"

	"bellwether/datasets/record"
)

//go:embed layout.html static
var files embed.FS

// Static serves the style sheet under /static/.
func Static() http.Handler {
	sub, err := fs.Sub(files, "static")
	if err != nil {
		panic(err) // embedded: a build fault
	}
	return http.StripPrefix("/static/", http.FileServerFS(sub))
}

// Parse makes a page's template inside the common frame. The page defines
// "main", and may use the functions of funcs.
func Parse(source string) *template.Template {
	frame := template.Must(template.New("layout.html").Funcs(funcs).ParseFS(files, "layout.html"))
	return template.Must(frame.Parse(source))
}

var funcs = template.FuncMap{
	"percent": percent,
	"between": between,
	"words":   Words,
	"version": func(model string) string { name, _, _ := strings.Cut(model, ":"); return name },
	"signed":  func(x float64) string { return fmt.Sprintf("%+.2f", x) },
	"points":  func(p float64) string { return fmt.Sprintf("%+.1f", 100*p) },
	"money":   Money,
	"bar":     bar,
	"spark":   Spark,
	"path":    func(id record.PartnerID) string { return url.PathEscape(string(id)) },
	"join":    func(list []string) string { return strings.Join(list, ", ") },
}

// SignedIn writes to somebody who signed in: the pages written to it have a way
// out.
type SignedIn struct{ http.ResponseWriter }

// framed is what the frame around a page is given.
func framed(w http.ResponseWriter, title string, data any) map[string]any {
	_, in := w.(SignedIn)
	return map[string]any{"Title": title, "Data": data, "SignedIn": in}
}

// Show writes a page. When the template fails nothing is written and it panics:
// net/http logs that and ends the one answer.
func Show(w http.ResponseWriter, t *template.Template, title string, data any) {
	var buf bytes.Buffer
	if err := t.Execute(&buf, framed(w, title, data)); err != nil {
		panic(fmt.Sprintf("page %q: %v", title, err))
	}
	w.Header().Set("Content-Type", "text/html; charset=utf-8")
	w.Header().Set("Cache-Control", "no-store")
	_, _ = w.Write(buf.Bytes()) // the caller may be gone
}

var failed = Parse(`{{define "main"}}<h1>{{.Title}}</h1><p>{{.Data}}</p><p><a href="/">Back to the start</a></p>{{end}}`)

// Fail shows what went wrong.
func Fail(w http.ResponseWriter, err error) {
	code, title := http.StatusInternalServerError, "Something went wrong"
	switch record.KindOf(err) {
	case record.Invalid:
		code, title = http.StatusBadRequest, "That cannot be"
	case record.NotFound:
		code, title = http.StatusNotFound, "Not found"
	case record.Precondition, record.Conflict:
		code, title = http.StatusConflict, "Not any more"
	case record.Unavailable, record.Exhausted:
		code, title = http.StatusServiceUnavailable, "Not now"
	}
	text := "The server's log has more."
	var e *record.Error
	if errors.As(err, &e) && e.Kind != record.Internal {
		text = e.Error()
	}
	var buf bytes.Buffer
	if failed.Execute(&buf, framed(w, title, text)) != nil {
		http.Error(w, text, code)
		return
	}
	w.Header().Set("Content-Type", "text/html; charset=utf-8")
	w.WriteHeader(code)
	_, _ = w.Write(buf.Bytes()) // the caller may be gone
}

// Money shows an amount in major units with its currency.
func Money(m record.Money) string {
	if m.IsZero() {
		return "–"
	}
	digits, _ := record.MinorDigits(m.Currency)
	return Grouped(float64(m.Amount)/math.Pow10(digits)) + nbsp + m.Currency
}

// nbsp keeps a number and its unit on one line; the narrow one groups thousands.
const nbsp, narrow = "\u00a0", "\u202f"

func percent(p float64) string { return fmt.Sprintf("%.0f"+nbsp+"%%", 100*p) }

// between writes an interval, with a digit after the point where its ends are
// the same without.
func between(lo, hi float64) string {
	if percent(lo) == percent(hi) {
		return fmt.Sprintf("%.1f to %.1f"+nbsp+"%%", 100*lo, 100*hi)
	}
	return fmt.Sprintf("%.0f to %.0f"+nbsp+"%%", 100*lo, 100*hi)
}

// Words writes a code, such as no_capacity, as words.
func Words(code string) string { return strings.ReplaceAll(code, "_", " ") }

// Grouped rounds to whole units, halves to even, and groups thousands. What
// rounds to nothing has no sign.
func Grouped(x float64) string {
	x = math.RoundToEven(x)
	s := fmt.Sprintf("%.0f", math.Abs(x))
	for i := len(s) - 3; i > 0; i -= 3 {
		s = s[:i] + narrow + s[i:]
	}
	if x < 0 {
		return "−" + s
	}
	return s
}

// bar draws a probability with its interval as a bar and a whisker.
func bar(p, lo, hi float64) template.HTML {
	x := func(v float64) float64 { return 100 * math.Min(1, math.Max(0, v)) }
	return template.HTML(fmt.Sprintf(`<svg class="bar" viewBox="0 0 100 12" preserveAspectRatio="none" role="img" aria-label="%.0f %%, between %.0f and %.0f %%"><rect class="track" width="100" height="12"/><rect class="fill" width="%.1f" height="12"/><line class="whisker" x1="%.1f" x2="%.1f" y1="6" y2="6"/></svg>`,
		100*p, 100*lo, 100*hi, x(p), x(lo), x(hi)))
}

// Spark draws a row of values, oldest first, as a small line.
func Spark(values []float64) template.HTML {
	if len(values) < 2 {
		return ""
	}
	top := 1.0
	for _, v := range values {
		top = math.Max(top, v)
	}
	var points strings.Builder
	for i, v := range values {
		fmt.Fprintf(&points, "%.1f,%.1f ", 100*float64(i)/float64(len(values)-1), 23-22*v/top)
	}
	return template.HTML(fmt.Sprintf(`<svg class="spark" viewBox="0 0 100 24" preserveAspectRatio="none" role="img" aria-label="activity by week, from %.0f to %.0f"><polyline points="%s"/></svg>`,
		values[0], values[len(values)-1], points.String()))
}
