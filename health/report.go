package health

import (
	"cmp"
	_ "embed"
	"encoding/csv"
	"encoding/json"
	"fmt"
	"html/template"
	"io"
	"math"
	"slices"
	"strconv"
	"strings"
	"time"

	"bellwether/datasets/record"
)

// Report is the content of the at-risk report: every partner with a standing,
// those with most value at risk first, the ones that have left by definition in
// a list of their own.
type Report struct {
	At          time.Time    `json:"at"`
	HorizonDays int          `json:"horizon_days"`
	Model       string       `json:"model"`
	AtRisk      record.Money `json:"value_at_risk"` // summed over Rows
	Expected    float64      `json:"expected_to_leave"`
	Rows        []ReportRow  `json:"partners"`
	Silent      []ReportRow  `json:"silent"`
	KPIs        []KPI        `json:"kpis"`
	Notes       []string     `json:"notes,omitempty"` // what a reader should know before believing it
}

// ReportRow is one partner in the report.
type ReportRow struct {
	Name string `json:"name,omitempty"`
	Tier string `json:"tier,omitempty"`
	Home string `json:"region,omitempty"`
	record.Standing
}

// NewReport sorts standings into a report. partner gives what is known of a
// partner, nil if nothing.
func NewReport(standings []record.Standing, partner func(record.PartnerID) *record.Partner) *Report {
	r := &Report{Model: byWeights, Rows: []ReportRow{}, Silent: []ReportRow{}, KPIs: KPIs}
	for _, s := range standings {
		r.At, r.HorizonDays = s.At, s.HorizonDays
		row := ReportRow{Standing: s}
		if p := partner(s.Partner); p != nil {
			row.Name, row.Tier, row.Home = p.Name, p.Tier, p.Home.Region
		}
		if s.Model == byDefinition {
			r.Silent = append(r.Silent, row)
			continue
		}
		if s.Model != byWeights {
			r.Model = s.Model
		}
		r.Expected += s.Risk
		r.AtRisk.Amount += s.ValueAtRisk.Amount
		r.AtRisk.Currency = cmp.Or(s.ValueAtRisk.Currency, r.AtRisk.Currency)
		r.Rows = append(r.Rows, row)
	}
	for _, rows := range [][]ReportRow{r.Rows, r.Silent} {
		slices.SortStableFunc(rows, func(a, b ReportRow) int {
			return cmp.Or(cmp.Compare(b.ValueAtRisk.Amount, a.ValueAtRisk.Amount), cmp.Compare(b.Risk, a.Risk), cmp.Compare(a.Partner, b.Partner))
		})
	}
	return r
}

// Standings returns the rows' standings, in the order of the report.
func (r *Report) Standings() []record.Standing {
	var out []record.Standing
	for _, rows := range [][]ReportRow{r.Rows, r.Silent} {
		for i := range rows {
			out = append(out, rows[i].Standing)
		}
	}
	return out
}

// WriteJSON writes the report as one document.
func (r *Report) WriteJSON(w io.Writer) error {
	enc := json.NewEncoder(w)
	enc.SetIndent("", "  ")
	return enc.Encode(r)
}

// maxReasons is how many drivers a CSV row has columns for.
const maxReasons = 3

// WriteCSV writes one line per partner, with a header; the KPIs are columns, and
// what is not known is empty.
func (r *Report) WriteCSV(w io.Writer) error {
	c := csv.NewWriter(w)
	header := []string{"partner", "name", "tier", "region", "at", "risk", "risk_lo", "risk_hi", "horizon_days", "trend", "alive",
		"value_at_risk", "currency", "action", "model"}
	for i := range maxReasons {
		header = append(header, fmt.Sprintf("reason_%d", i+1))
	}
	for _, k := range KPIs {
		header = append(header, k.Name)
	}
	if err := c.Write(header); err != nil {
		return err
	}
	for _, rows := range [][]ReportRow{r.Rows, r.Silent} {
		for i := range rows {
			if err := c.Write(rows[i].fields()); err != nil {
				return err
			}
		}
	}
	c.Flush()
	return c.Error()
}

func (s *ReportRow) fields() []string {
	line := []string{guarded(string(s.Partner)), guarded(s.Name), guarded(s.Tier), guarded(s.Home), s.At.Format(time.RFC3339), number(s.Risk), number(s.RiskLo),
		number(s.RiskHi), strconv.Itoa(s.HorizonDays), number(s.Trend), number(s.Alive), amount(s.ValueAtRisk), s.ValueAtRisk.Currency, s.Action, s.Model}
	for i := range maxReasons {
		text := ""
		if i < len(s.Drivers) {
			text = s.Drivers[i].Text
			if s.Drivers[i].Effect < 0 {
				text = "lowers the risk: " + text
			}
			text = guarded(text)
		}
		line = append(line, text)
	}
	for _, k := range KPIs {
		text := ""
		if x, ok := s.KPIs[k.Name]; ok {
			text = number(x)
		}
		line = append(line, text)
	}
	return line
}

// number writes six digits of a number, without an exponent.
func number(x float64) string {
	rounded, _ := strconv.ParseFloat(strconv.FormatFloat(x, 'g', 6, 64), 64) // it was a number
	return strconv.FormatFloat(rounded, 'f', -1, 64)
}

// guarded keeps a spreadsheet from running a partner's name as a formula.
func guarded(s string) string {
	if s != "" && strings.ContainsRune("=+-@\t\r", rune(s[0])) {
		return "'" + s
	}
	return s
}

// amount writes money as a decimal number.
func amount(m record.Money) string {
	if m.IsZero() {
		return ""
	}
	digits, _ := record.MinorDigits(m.Currency)
	return strconv.FormatFloat(float64(m.Amount)/math.Pow10(digits), 'f', digits, 64)
}

//go:embed report.html
var reportHTML string

var reportPage = template.Must(template.New("report").Funcs(template.FuncMap{
	"percent": percent,
	"moved":   func(x float64) bool { return math.Abs(x) >= 0.005 },
	"points":  func(x float64) string { return fmt.Sprintf("%+.0f", 100*x) },
	"money":   moneyText,
	"spark":   spark,
	"level":   level,
	"kpi":     kpiText,
	"kpis":    func() []KPI { return KPIs },
	"date":    func(t time.Time) string { return t.Format("2 January 2006") },
	"count":   func(x float64) string { return fmt.Sprintf("%.0f", x) },
	"busy": func(weeks []float64) string {
		sum := 0.0
		for _, x := range weeks {
			sum += x
		}
		return fmt.Sprintf("%.0f in %d weeks", sum, len(weeks))
	},
}).Parse(reportHTML))

// WriteHTML writes the report as one page that needs nothing else: no script,
// no font, no picture from elsewhere.
func (r *Report) WriteHTML(w io.Writer) error { return reportPage.Execute(w, r) }

// percent never rounds to a certainty that is not one.
func percent(p float64) string {
	switch {
	case p < 1 && p > 0.995:
		return "> 99 %"
	case p > 0 && p < 0.005:
		return "< 1 %"
	}
	return fmt.Sprintf("%.0f %%", 100*p)
}

// moneyText writes whole units with their currency.
func moneyText(m record.Money) string {
	if m.IsZero() {
		return "–"
	}
	digits, _ := record.MinorDigits(m.Currency)
	return grouped(math.Round(float64(m.Amount)/math.Pow10(digits))) + " " + m.Currency
}

// level names the colour of a risk; the number stands beside it, so that colour
// alone says nothing.
func level(risk float64) string {
	switch {
	case risk >= alarm:
		return "high"
	case risk >= calm:
		return "medium"
	}
	return "low"
}

func kpiText(kpis map[string]float64, k KPI) string {
	x, ok := kpis[k.Name]
	if !ok {
		return ""
	}
	switch k.Unit {
	case "share":
		return fmt.Sprintf("%.0f %%", 100*x)
	case "robust z", "-100 to 100":
		return fmt.Sprintf("%+.1f", x)
	}
	return grouped(x)
}

// Size of a sparkline in pixels.
const (
	sparkWidth  = 104
	sparkHeight = 24
)

// spark returns the points of a polyline, oldest week left.
func spark(weeks []float64) string {
	top := 1.0
	for _, x := range weeks {
		top = max(top, x)
	}
	var b strings.Builder
	for i, x := range weeks {
		fmt.Fprintf(&b, "%.1f,%.1f ", 2+float64(i)*(sparkWidth-4)/float64(max(len(weeks)-1, 1)), (sparkHeight-2)-x/top*(sparkHeight-4))
	}
	return strings.TrimSpace(b.String())
}
