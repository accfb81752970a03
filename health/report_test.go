package health

import (
	"bytes"
	"encoding/csv"
	"encoding/json"
	"reflect"
	"strings"
	"testing"

	"bellwether/datasets/record"
)

func report(t *testing.T) *Report {
	t.Helper()
	a, st := small()
	standings := a.ready(t).Assess(st, map[record.PartnerID]float64{"busy": 0.1}, date("2025-09-01"))
	standings[0].Action = "=SUM(A1)" // not from a partner: ours, left alone
	standings[1].Drivers[0].Text, standings[1].Drivers[0].Effect = "=1+1", 0.5
	standings[1].Drivers[1].Text, standings[1].Drivers[1].Effect = "a long contract", -0.25
	return NewReport(standings, func(id record.PartnerID) *record.Partner {
		return &record.Partner{ID: id, Name: "=<script>" + string(id), Tier: "gold", Home: record.Place{Region: "North"}}
	})
}

func TestReportSorts(t *testing.T) {
	r := NewReport([]record.Standing{
		{Partner: "little", Risk: 0.9, ValueAtRisk: record.Money{Amount: 10, Currency: "EUR"}, Model: "churn@v1"},
		{Partner: "gone", Risk: 1, ValueAtRisk: record.Money{Amount: 99999, Currency: "EUR"}, Model: byDefinition},
		{Partner: "much", Risk: 0.2, ValueAtRisk: record.Money{Amount: 9000, Currency: "EUR"}, Model: "churn@v1"},
		{Partner: "new", Risk: 0.5, Model: byWeights},
	}, func(record.PartnerID) *record.Partner { return nil })
	var order []record.PartnerID
	for _, s := range r.Standings() {
		order = append(order, s.Partner)
	}
	if !reflect.DeepEqual(order, []record.PartnerID{"much", "little", "new", "gone"}) {
		t.Errorf("order %v", order)
	}
	if r.AtRisk != (record.Money{Amount: 9010, Currency: "EUR"}) || r.Expected != 1.6 || r.Model != "churn@v1" || len(r.Silent) != 1 {
		t.Errorf("sums %v, %v expected, model %s, %d silent", r.AtRisk, r.Expected, r.Model, len(r.Silent))
	}
}

func TestHTML(t *testing.T) {
	var b bytes.Buffer
	if err := report(t).WriteHTML(&b); err != nil {
		t.Fatal(err)
	}
	page := b.String()
	for _, outside := range []string{"http://", "https://", "src=", "url(", "@import", "<link", "<script"} {
		if strings.Contains(page, outside) {
			t.Errorf("the page holds %q: it must need nothing else and run nothing", outside)
		}
	}
	for _, part := range []string{"=&lt;script&gt;busy", `scope="col"`, `scope="row"`, "<caption>", `aria-label="26 in 26 weeks"`, "prefers-color-scheme: dark",
		"@media print", "max-width: 46rem", `lang="en"`, "Silent already", "1 September 2025", "1,300 BRL"} {
		if !strings.Contains(page, part) {
			t.Errorf("the page lacks %q", part)
		}
	}
	if n := strings.Count(page, "<svg"); n != 3 {
		t.Errorf("%d sparklines for 3 partners", n)
	}
	if strings.Contains(page, "NaN") || strings.Contains(page, "%!") {
		t.Error("the page shows a number that is none")
	}
}

func TestCSV(t *testing.T) {
	var b bytes.Buffer
	if err := report(t).WriteCSV(&b); err != nil {
		t.Fatal(err)
	}
	lines, err := csv.NewReader(&b).ReadAll()
	if err != nil {
		t.Fatal(err)
	}
	if len(lines) != 4 {
		t.Fatalf("%d lines for 3 partners", len(lines))
	}
	column := func(name string) int {
		for i, h := range lines[0] {
			if h == name {
				return i
			}
		}
		t.Fatalf("no column %s", name)
		return 0
	}
	if got := lines[2][column("reason_1")]; lines[2][column("partner")] != "fresh" || got != "'=1+1" {
		t.Errorf("a reason that looks like a formula is written %q in the line of %s", got, lines[2][0])
	}
	if got := lines[2][column("reason_2")]; got != "lowers the risk: a long contract" {
		t.Errorf("a reason against is written %q", got)
	}
	last := lines[3]
	if last[column("partner")] != "quiet" || last[column("name")] != "'=<script>quiet" || last[column("value_at_risk")] != "1300.00" || last[column("currency")] != "BRL" {
		t.Errorf("line of quiet: %v", last)
	}
	for _, k := range KPIs {
		column(k.Name)
	}
}

func TestJSON(t *testing.T) {
	var b bytes.Buffer
	r := report(t)
	if err := r.WriteJSON(&b); err != nil {
		t.Fatal(err)
	}
	var again Report
	if err := json.Unmarshal(b.Bytes(), &again); err != nil {
		t.Fatal(err)
	}
	if !reflect.DeepEqual(&again, r) {
		t.Errorf("read back:\n%+v\nwritten:\n%+v", &again, r)
	}
}

func TestSpark(t *testing.T) {
	if got := spark([]float64{0, 2, 1}); got != "2.0,22.0 52.0,2.0 102.0,12.0" {
		t.Errorf("points %s", got)
	}
	if got := spark(make([]float64, 2)); got != "2.0,22.0 102.0,22.0" {
		t.Errorf("points of nothing %s", got)
	}
}

func TestPercent(t *testing.T) {
	for p, want := range map[float64]string{0: "0 %", 0.001: "< 1 %", 0.31: "31 %", 0.994: "99 %", 0.999: "> 99 %", 1: "100 %"} {
		if got := percent(p); got != want {
			t.Errorf("%v is written %q, want %q", p, got, want)
		}
	}
}
