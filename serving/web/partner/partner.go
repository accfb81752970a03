// Package partner is the list of partners and the page of one: what we know of
// it, how busy it is and how it is doing.
package partner

import (
	_ "embed"
	"math"
	"net/http"
	"strconv"
	"time"

	"bellwether/datasets/record"
	"bellwether/health"
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

type row struct {
	*record.Partner
	StatusNow string
}

type list struct {
	*serving.PartnerPage
	Rows []row
}

// List shows a page of partners after the one named by the query.
func List(engine *serving.Engine) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		found, err := engine.Partners(r.Context(), record.PartnerID(r.URL.Query().Get("after")), shown)
		if err != nil {
			page.Fail(w, err)
			return
		}
		v := list{PartnerPage: found}
		for i := range found.Partners {
			p := &found.Partners[i].Partner
			status, _ := statusOf(p, time.Now())
			v.Rows = append(v.Rows, row{p, status})
		}
		page.Show(w, listTmpl, "Partners", v)
	}
}

// statusOf says a partner's status as its record names it, and since and until
// when.
func statusOf(p *record.Partner, now time.Time) (status, span string) {
	if status = p.StatusAt(now); status == "" {
		return "none now", ""
	}
	for _, s := range p.Status {
		if !s.Contains(now) {
			continue
		}
		span = ""
		if !s.From.IsZero() {
			span += " since " + s.From.Format(time.DateOnly)
		}
		if !s.To.IsZero() {
			span += " until " + s.To.Format(time.DateOnly)
		}
	}
	return status, span
}

type kpi struct {
	health.KPI
	Value string
}

// kpis are the figures of a standing, in the order reports show them.
func kpis(s *record.Standing) []kpi {
	var out []kpi
	for _, k := range health.KPIs {
		x, ok := s.KPIs[k.Name]
		switch {
		case !ok:
		case k.Unit == "base currency":
			k.Unit = s.ValueAtRisk.Currency
			out = append(out, kpi{k, page.Grouped(x)})
		default:
			out = append(out, kpi{k, strconv.FormatFloat(math.Round(100*x)/100, 'f', -1, 64)})
		}
	}
	return out
}

type view struct {
	*serving.PartnerView
	Status   string
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
		status, span := statusOf(&p.Partner, time.Now())
		v := view{PartnerView: p, Status: status + span}
		// A partner without a history has no standing; its page shows the rest.
		if v.Standing, err = engine.Health(r.Context(), id); err != nil && record.KindOf(err) == record.Internal {
			page.Fail(w, err)
			return
		}
		if v.Standing != nil {
			v.KPIs = kpis(v.Standing)
		}
		page.Show(w, tmpl, "Partner", v)
	}
}
