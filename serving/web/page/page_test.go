package page

import (
	"errors"
	"fmt"
	"math"
	"net/http/httptest"
	"strconv"
	"strings"
	"testing"

	"bellwether/datasets/record"

	"pgregory.net/rapid"
)

func TestMoney(t *testing.T) {
	plain := strings.NewReplacer(nbsp, " ", narrow, "'")
	for want, m := range map[string]record.Money{
		"–":             {},
		"12'346 EUR":    {Amount: 1_234_567, Currency: "EUR"},
		"1'234'567 JPY": {Amount: 1_234_567, Currency: "JPY"}, // no minor unit
		"1'235 KWD":     {Amount: 1_234_567, Currency: "KWD"}, // three digits
		"−12'346 USD":   {Amount: -1_234_567, Currency: "USD"},
		"0 EUR":         {Amount: -3, Currency: "EUR"},
	} {
		if got := plain.Replace(Money(m)); got != want {
			t.Errorf("%+v is shown as %q, want %q", m, got, want)
		}
	}
}

// A grouped number is the rounded number when the groups are taken away, and no
// group but the first is short.
func TestGrouped(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		x := rapid.Float64Range(-1e12, 1e12).Draw(t, "x")
		got := Grouped(x)
		back, err := strconv.ParseFloat(strings.NewReplacer("−", "-", narrow, "").Replace(got), 64)
		if err != nil || back != math.RoundToEven(x) {
			t.Fatalf("%v is shown as %q", x, got)
		}
		for i, g := range strings.Split(strings.TrimPrefix(got, "−"), narrow) {
			if len(g) > 3 || i > 0 && len(g) < 3 || g == "" {
				t.Fatalf("%v is shown as %q", x, got)
			}
		}
		if strings.HasPrefix(got, "−") != (math.RoundToEven(x) < 0) {
			t.Fatalf("%v is shown as %q", x, got)
		}
	})
}

func TestBetween(t *testing.T) {
	for want, ends := range map[string][2]float64{"12 to 34 %": {.12, .34}, "12.1 to 12.3 %": {.121, .123}, "0.0 to 0.1 %": {0, .001}, "0 to 100 %": {0, 1}} {
		if got := strings.ReplaceAll(between(ends[0], ends[1]), nbsp, " "); got != want {
			t.Errorf("%v is written %q, want %q", ends, got, want)
		}
	}
}

// A line stays in its frame and goes from left to right.
func TestSpark(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		values := rapid.SliceOfN(rapid.Float64Range(0, 500), 0, 30).Draw(t, "values")
		svg := string(Spark(values))
		if len(values) < 2 {
			if svg != "" {
				t.Fatalf("a line of %d points: %s", len(values), svg)
			}
			return
		}
		_, points, _ := strings.Cut(svg, `points="`)
		points, _, _ = strings.Cut(points, ` "`)
		at := strings.Fields(points)
		if len(at) != len(values) {
			t.Fatalf("%d points for %d values: %s", len(at), len(values), svg)
		}
		last := -1.0
		for _, p := range at {
			var x, y float64
			if _, err := fmt.Sscanf(p, "%f,%f", &x, &y); err != nil || x <= last || x > 100 || y < 0 || y > 24 {
				t.Fatalf("point %s after x = %v: %v", p, last, err)
			}
			last = x
		}
	})
}

// What went wrong is said with the status that fits, and nothing of the inside.
func TestFail(t *testing.T) {
	for _, c := range []struct {
		err   error
		code  int
		title string
		says  string
	}{
		{record.FieldErrorf("lead.id", "is <missing>"), 400, "That cannot be", "is &lt;missing&gt;"},
		{record.Errorf(record.NotFound, "", "no partner x"), 404, "Not found", "no partner x"},
		{record.Errorf(record.Conflict, "", "was decided"), 409, "Not any more", "was decided"},
		{record.Errorf(record.Precondition, "", "was accepted"), 409, "Not any more", "was accepted"},
		{record.Errorf(record.Unavailable, "", "is rebuilding"), 503, "Not now", "is rebuilding"},
		{record.Errorf(record.Exhausted, "", "the disk is full"), 503, "Not now", "the disk is full"},
		{record.Errorf(record.Internal, "read", "secret path"), 500, "Something went wrong", "log has more"},
		{errors.New("secret path"), 500, "Something went wrong", "log has more"},
	} {
		w := httptest.NewRecorder()
		Fail(w, c.err)
		body := w.Body.String()
		if w.Code != c.code || !strings.Contains(body, "<h1>"+c.title+"</h1>") || !strings.Contains(body, c.says) || strings.Contains(body, "secret") {
			t.Errorf("%v: %d %s; want %d, %q, %q", c.err, w.Code, body, c.code, c.title, c.says)
		}
	}
}
