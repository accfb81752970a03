// Package partner is the list of partners and the page of one: what we know of
// it, how busy it is and how it is doing.
package partner

import (
	_ "embed"
	"net/http"
	"slices"
	"strconv"
	"strings"

	"bellwether/datasets/record"
	"bellwether/serving"
	"bellwether/serving/web/page"
)

//go:embed list.html
var listSource string

//go:embed partner.html
var source string

var (
	listTmpl = page.Parse(listSource)
	tmpl     = page.Parse(source)
)

// shown is how many partners one page lists.
const shown = 100

// List shows a page of partners after the one named by the query.
func List(engine *serving.Engine) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		list, err := engine.Partners(r.Context(), record.PartnerID(r.URL.Query().Get("after")), shown)
		if err != nil {
			page.Fail(w, err)
			return
		}
		page.Show(w, listTmpl, "Partners", list)
	}
}

type kpi struct{ Name, Value string }

type view struct {
	*serving.PartnerView
	Standing *record.Standing
	KPIs     []kpi
}

// Handler shows one partner.
func Handler(engine *serving.Engine) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		id := record.PartnerID(r.PathValue("id"))
		p, err := engine.Partner(r.Context(), id)
		if err != nil {
			page.Fail(w, err)
			return
		}
		v := view{PartnerView: p}
		// A partner without a history has no standing; its page shows the rest.
		if v.Standing, err = engine.Health(r.Context(), id); err != nil && record.KindOf(err) == record.Internal {
			page.Fail(w, err)
			return
		}
		if v.Standing != nil {
			for name, x := range v.Standing.KPIs {
				v.KPIs = append(v.KPIs, kpi{name, strconv.FormatFloat(x, 'g', 4, 64)})
			}
			slices.SortFunc(v.KPIs, func(a, b kpi) int { return strings.Compare(a.Name, b.Name) })
		}
		page.Show(w, tmpl, "Partner", v)
	}
}
