// Package start is the first page: the engine's condition and a form to try a
// lead, as a preview that writes nothing or as a real routing.
package start

import (
	_ "embed"
	"math"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"

	"bellwether/datasets/record"
	"bellwether/serving"
	"bellwether/serving/web/decision"
	"bellwether/serving/web/page"

	"github.com/google/uuid"
)

//go:embed start.html
var source string

var tmpl = page.Parse(source + decision.RankedTable)

// suggestions are how many partners are read to suggest words for the form.
const suggestions = 500

// view is what the page shows.
type view struct {
	Status                                            serving.Status
	Regions, Industries, Products, Languages, Markets []string
	Needs                                             []string
	Form                                              map[string]string
	Answer                                            *decision.View
	Error                                             string
}

// Handler shows the form.
func Handler(engine *serving.Engine) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		v, err := newView(r, engine)
		if err != nil {
			page.Fail(w, err)
			return
		}
		page.Show(w, tmpl, "Try a lead", v)
	}
}

// Try answers the form: a preview on the same page, or a routing with a page of
// its own.
func Try(engine *serving.Engine) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		lead, err := leadOf(r)
		if err != nil {
			tryAgain(w, r, engine, err)
			return
		}
		if r.PostFormValue("do") == "route" {
			routed, err := engine.Route(r.Context(), lead, serving.RouteOptions{})
			if err != nil {
				tryAgain(w, r, engine, err)
				return
			}
			http.Redirect(w, r, "/decisions/"+string(routed.Decision.ID), http.StatusSeeOther)
			return
		}
		routed, err := engine.Preview(r.Context(), lead, serving.RouteOptions{})
		if err != nil {
			tryAgain(w, r, engine, err)
			return
		}
		v, err := newView(r, engine)
		if err == nil {
			v.Answer, err = decision.NewView(r.Context(), engine, routed)
		}
		if err != nil {
			page.Fail(w, err)
			return
		}
		page.Show(w, tmpl, "Try a lead", v)
	}
}

func tryAgain(w http.ResponseWriter, r *http.Request, engine *serving.Engine, cause error) {
	v, err := newView(r, engine)
	if err != nil {
		page.Fail(w, err)
		return
	}
	v.Error = cause.Error()
	w.WriteHeader(http.StatusBadRequest)
	page.Show(w, tmpl, "Try a lead", v)
}

func newView(r *http.Request, engine *serving.Engine) (*view, error) {
	list, err := engine.Partners(r.Context(), "", suggestions)
	if err != nil {
		return nil, err
	}
	v := &view{Status: engine.Status(), Needs: record.Needs, Form: map[string]string{"currency": "EUR", "value": "25000", "need": "resale"}}
	for i := range list.Partners {
		p := &list.Partners[i].Partner
		v.Regions = append(append(v.Regions, p.Territories...), p.Home.Region)
		v.Industries = append(v.Industries, p.Industries...)
		v.Languages = append(v.Languages, p.Languages...)
		v.Markets = append(v.Markets, p.Marketplaces...)
		for _, c := range p.Competences {
			v.Products = append(v.Products, c.Product)
		}
	}
	for _, words := range []*[]string{&v.Regions, &v.Industries, &v.Products, &v.Languages, &v.Markets} {
		slices.Sort(*words)
		*words = slices.DeleteFunc(slices.Compact(*words), func(s string) bool { return s == "" })
	}
	for name, values := range r.PostForm {
		v.Form[name] = strings.Join(values, ", ")
	}
	return v, nil
}

// leadOf reads the form. The lead gets an id of its own each time.
func leadOf(r *http.Request) (*record.Lead, error) {
	if err := r.ParseForm(); err != nil {
		return nil, record.Errorf(record.Invalid, "", "the form cannot be read: %w", err)
	}
	id, err := uuid.NewV7()
	if err != nil {
		return nil, record.Errorf(record.Internal, "make a lead id", "%w", err)
	}
	get := func(name string) string { return strings.TrimSpace(r.PostFormValue(name)) }
	lead := &record.Lead{
		ID: record.LeadID("try-" + id.String()), CreatedAt: time.Now().UTC(), Account: record.AccountID(get("account")),
		Industry: get("industry"), SizeBand: get("size"), Place: record.Place{Region: get("region")}, Language: get("language"),
		Need: get("need"), Source: get("source"), Marketplace: get("marketplace"), Text: get("text"),
	}
	for _, p := range strings.Split(get("products"), ",") {
		if p = strings.TrimSpace(p); p != "" {
			lead.Products = append(lead.Products, p)
		}
	}
	if value := get("value"); value != "" {
		x, err := strconv.ParseFloat(value, 64)
		if err != nil || math.IsNaN(x) || x < 0 || x > 1e12 {
			return nil, record.FieldErrorf("value", "%q is not an amount", value)
		}
		digits, ok := record.MinorDigits(get("currency"))
		if !ok {
			return nil, record.FieldErrorf("currency", "%q is not an ISO 4217 code", get("currency"))
		}
		lead.Value = record.Money{Amount: int64(math.Round(x * math.Pow10(digits))), Currency: get("currency")}
	}
	return lead, lead.Validate()
}
