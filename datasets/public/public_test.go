package public

import (
	"bytes"
	"compress/gzip"
	"context"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"bellwether/datasets"
	"bellwether/datasets/record"
)

type importer func(context.Context, string, *datasets.Writer, Options) (*datasets.Report, error)

func run(t *testing.T, f importer, in string) (*datasets.Dir, *datasets.Report) {
	t.Helper()
	out := filepath.Join(t.TempDir(), "out")
	w, err := datasets.Create(out, datasets.Parquet)
	if err != nil {
		t.Fatal(err)
	}
	defer w.Abort()
	r, err := f(context.Background(), in, w, Options{})
	if err != nil {
		t.Fatal(err)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	if r.In != r.Kept+r.Quarantined {
		t.Errorf("counts do not reconcile: %+v", r.Counts)
	}
	d, err := datasets.Open(out)
	if err != nil {
		t.Fatal(err)
	}
	return d, r
}

// all reads every record of a directory.
func all(t *testing.T, d *datasets.Dir) (partners map[record.PartnerID][]record.Partner, leads map[record.LeadID]record.Lead, events []record.Event) {
	t.Helper()
	ctx := context.Background()
	partners, leads = map[record.PartnerID][]record.Partner{}, map[record.LeadID]record.Lead{}
	if _, err := d.Partners(ctx, datasets.ReadOptions{}, func(p *record.Partner) error { partners[p.ID] = append(partners[p.ID], *p); return nil }); err != nil {
		t.Fatal(err)
	}
	if _, err := d.Leads(ctx, datasets.ReadOptions{}, func(l *record.Lead) error { leads[l.ID] = *l; return nil }); err != nil {
		t.Fatal(err)
	}
	if _, err := d.Events(ctx, datasets.ReadOptions{}, func(b []record.Event) error { events = append(events, b...); return nil }); err != nil {
		t.Fatal(err)
	}
	return partners, leads, events
}

const incidentHeader = "number,incident_state,active,reassignment_count,reopen_count,sys_mod_count,made_sla,caller_id,opened_by,opened_at,sys_created_by,sys_created_at,sys_updated_by,sys_updated_at,contact_type,location,category,subcategory,u_symptom,cmdb_ci,impact,urgency,priority,assignment_group,assigned_to,knowledge,u_priority_confirmation,notify,problem_id,rfc,vendor,caused_by,closed_code,resolved_by,resolved_at,closed_at\n"

// incident is one invented row of the log.
func incident(number, updated, group, sla, symptom, resolved string) string {
	return strings.Join([]string{number, "New", "true", "0", "0", "0", sla, "Caller 1", "Opened by 2", "1/3/2016 08:00", "?", "?", "Updated by 3", updated,
		"Phone", "Location 4", "Category 5", "Subcategory 6", symptom, "?", "2 - Medium", "2 - Medium", "3 - Moderate", group, "Resolver 9", "true", "false",
		"Do Not Notify", "?", "?", "?", "?", "code 5", "Resolved by 7", resolved, "9/3/2016 12:00"}, ",") + "\n"
}

func TestIncidents(t *testing.T) {
	const resolved = "2/3/2016 10:00"
	dir := t.TempDir()
	path := filepath.Join(dir, "incident_event_log.csv")
	log := incidentHeader +
		// moved from A to B and solved there in time; the group of its first row is not known
		incident("T1", "1/3/2016 09:00", "?", "true", "?", resolved) +
		incident("T1", "1/3/2016 09:30", "A", "true", "later", resolved) +
		incident("T1", "1/3/2016 09:40", "A", "true", "later", resolved) +
		incident("T1", "1/3/2016 11:00", "B", "true", "later", resolved) +
		// late, and without a time of its resolution
		incident("T2", "1/3/2016 09:00", "A", "true", "S", "?") +
		incident("T2", "1/3/2016 10:00", "A", "false", "S", "?") +
		// never assigned
		incident("T3", "1/3/2016 09:00", "?", "true", "S", resolved) +
		// a row that cannot be read sets the whole ticket aside
		incident("T4", "1/3/2016 09:00", "A", "true", "S", resolved) +
		incident("T4", "2016-03-01", "B", "true", "S", resolved)
	if err := os.WriteFile(path, []byte(log), 0o644); err != nil {
		t.Fatal(err)
	}
	for _, in := range []string{dir, path} {
		d, r := run(t, Incidents, in)
		if r.Counts != (datasets.Counts{In: 9, Kept: 7, Quarantined: 2}) {
			t.Errorf("counts %+v", r.Counts)
		}
		_, leads, events := all(t, d)
		lead := leads["T1"]
		if len(leads) != 3 || !lead.CreatedAt.Equal(time.Date(2016, 3, 1, 8, 0, 0, 0, time.UTC)) || lead.Products[0] != "Category 5" || lead.Source != "Phone" {
			t.Errorf("leads %+v", leads)
		}
		if _, ok := lead.Attributes["u_symptom"]; ok {
			t.Error("the lead holds what a later row said")
		}
		var got []string
		for _, e := range events {
			got = append(got, fmt.Sprintf("%s %s %s %s %s %s", e.Known().Format("2 15:04"), e.At.Format("2 15:04"), e.ID, e.Type, e.Partner, e.Reason))
		}
		want := `1 09:00 1 09:00 T2/1/offer offer_made A 
1 09:30 1 09:30 T1/1/offer offer_made A 
1 11:00 1 11:00 T1/1/superseded offer_superseded A 
1 11:00 1 11:00 T1/2/offer offer_made B 
2 10:00 2 10:00 T1/1/lost deal_lost A moved_on
2 10:00 2 10:00 T1/2/won deal_won B 
9 12:00 9 12:00 T2/1/lost deal_lost A late`
		if strings.Join(got, "\n") != want {
			t.Errorf("events\n%s\nwant\n%s", strings.Join(got, "\n"), want)
		}
	}
}

func TestIncidentsHoldNothingOfTheFuture(t *testing.T) {
	dir := t.TempDir()
	row := incident("T1", "1/3/2016 09:00", "A", "true", "S", "2/3/2016 10:00")
	if err := os.WriteFile(filepath.Join(dir, "incident_event_log.csv"), []byte(incidentHeader+row), 0o644); err != nil {
		t.Fatal(err)
	}
	d, _ := run(t, Incidents, dir)
	_, leads, _ := all(t, d)
	doc, err := json.Marshal(leads["T1"])
	if err != nil {
		t.Fatal(err)
	}
	for _, leak := range []string{"Resolver 9", "Resolved by", "code 5", "Updated by", "made_sla", "2016-03-02", "2016-03-09", "2/3/2016"} {
		if bytes.Contains(doc, []byte(leak)) {
			t.Errorf("the lead holds %q: %s", leak, doc)
		}
	}
}

func TestOlist(t *testing.T) {
	dir := t.TempDir()
	for name, content := range map[string]string{
		"product_category_name_translation.csv":       "\xef\xbb\xbfproduct_category_name,product_category_name_english\nbeleza,beauty\n",
		"olist_products_dataset.csv":                  "\"product_id\",\"product_category_name\"\nx1,beleza\nx2,sem nome\nx3,\n",
		"olist_marketing_qualified_leads_dataset.csv": "mql_id,first_contact_date,landing_page_id,origin\nm1,2018-01-05,l1,social\nm2,2018-01-06,l1,\n",
		"olist_sellers_dataset.csv":                   "seller_id,seller_zip_code_prefix,seller_city,seller_state\ns1,1,x,SP\ns2,1,x,RJ\n",
		"olist_closed_deals_dataset.csv":              "mql_id,seller_id,won_date,business_segment,lead_type,business_type\nm1,s1,2018-02-01 10:00:00,pet,online,reseller\nm2,s9,2018-02-02 10:00:00,,,\n",
	} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(content), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	var packed bytes.Buffer
	gz := gzip.NewWriter(&packed)
	fmt.Fprint(gz, "order_id,order_item_id,product_id,seller_id,shipping_limit_date,price,freight_value\n"+
		"o1,1,x1,s1,2018-03-01 08:00:00,58.90,1\no1,2,x3,s1,2018-03-01 08:00:00,7.00,1\n"+
		"o2,1,x2,s2,2020-02-01 08:00:00,1.00,1\no3,1,x2,s2,2018-03-02 08:00:00,-1.00,1\n")
	gz.Close()
	if err := os.WriteFile(filepath.Join(dir, "olist_order_items_dataset.csv.gz"), packed.Bytes(), 0o644); err != nil {
		t.Fatal(err)
	}
	d, r := run(t, Olist, dir)
	if r.In != 14 || r.Quarantined != 2 {
		t.Errorf("counts %+v", r.Counts)
	}
	partners, leads, events := all(t, d)
	if len(partners) != 3 || len(leads) != 2 || len(partners["s1"]) != 2 {
		t.Errorf("%d partners, %d leads, s1 %+v", len(partners), len(leads), partners["s1"])
	}
	if v := partners["s1"][1]; v.Home.Region != "SP" || v.Attributes["business_segment"].Text() != "pet" || v.KnownAt.IsZero() {
		t.Errorf("second version of s1: %+v", v)
	}
	var got []string
	for _, e := range events {
		got = append(got, fmt.Sprintf("%s %s %s %s %s %d%s %v", e.Known().Format(time.DateOnly), e.At.Format(time.DateOnly), e.ID, e.Type, e.Partner, e.Amount.Amount, e.Amount.Currency, e.Products))
	}
	want := `2018-02-01 2018-01-05 applied-m1 applied s1 0 []
2018-02-01 2018-02-01 onboarded-m1 onboarded s1 0 []
2018-02-02 2018-01-06 applied-m2 applied s9 0 []
2018-02-02 2018-02-02 onboarded-m2 onboarded s9 0 []
2018-03-01 2018-03-01 o1-1 order_placed s1 5890BRL [beauty]
2018-03-01 2018-03-01 o1-2 order_placed s1 700BRL []`
	if strings.Join(got, "\n") != want {
		t.Errorf("events\n%s\nwant\n%s", strings.Join(got, "\n"), want)
	}
}

func TestMissingFilesAndColumns(t *testing.T) {
	for name, f := range map[string]importer{"incidents": Incidents, "olist": Olist} {
		w, err := datasets.Create(filepath.Join(t.TempDir(), "out"), datasets.Parquet)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := f(context.Background(), t.TempDir(), w, Options{}); record.KindOf(err) != record.NotFound || !strings.Contains(err.Error(), ".csv") {
			t.Errorf("%s of an empty directory: %v", name, err)
		}
		w.Abort()
	}
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "incident_event_log.csv"), []byte("number,state\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	w, err := datasets.Create(filepath.Join(t.TempDir(), "out"), datasets.Parquet)
	if err != nil {
		t.Fatal(err)
	}
	defer w.Abort()
	if _, err := Incidents(context.Background(), dir, w, Options{}); err == nil || !strings.Contains(err.Error(), `no column "sys_updated_at"`) {
		t.Errorf("other columns: %v", err)
	}
}

func realData(t *testing.T, name string) string {
	dir := os.Getenv("BELLWETHER_DATA")
	if dir == "" {
		t.Skip("BELLWETHER_DATA is not set: the published files are not at hand")
	}
	return filepath.Join(dir, name)
}

func TestRealIncidents(t *testing.T) {
	d, r := run(t, Incidents, realData(t, "incidents"))
	if r.In != 141_712 || r.Quarantined != 0 || r.Records["leads"].Kept != 24_918 || r.Records["partners"].Kept != 78 {
		t.Errorf("report %+v", r)
	}
	_, leads, events := all(t, d)
	first := map[record.LeadID]record.PartnerID{}
	offers, outcomes := map[string]bool{}, map[string]bool{}
	won, wonFirst, moved := 0, 0, map[record.LeadID]bool{}
	for _, e := range events {
		chain := string(e.ID[:strings.LastIndexByte(string(e.ID), '/')])
		switch e.Type {
		case record.OfferMade:
			if _, ok := first[e.Lead]; !ok {
				first[e.Lead] = e.Partner
			}
			offers[chain] = true
		case record.OfferSuperseded:
			moved[e.Lead] = true
		case record.DealWon:
			won++
			if strings.HasSuffix(chain, "/1") {
				wonFirst++
			}
			outcomes[chain] = true
		case record.DealLost:
			outcomes[chain] = true
		}
		if !offers[chain] {
			t.Fatalf("%s is known before its offer", e.ID)
		}
	}
	if len(leads) != 24_918 || len(first) != 24_545 || len(offers) != len(outcomes) {
		t.Errorf("%d leads, %d first assignments, %d offers, %d outcomes", len(leads), len(first), len(offers), len(outcomes))
	}
	t.Logf("%d events, %d offers, %d tickets moved, %d won, of first assignments %d (%.3f)", len(events), len(offers), len(moved), won, wonFirst, float64(wonFirst)/float64(len(first)))
}

func TestRealOlist(t *testing.T) {
	d, r := run(t, Olist, realData(t, "olist"))
	if r.Quarantined != 4 || r.Records["leads"].Kept != 8_000 {
		t.Errorf("report %+v", r)
	}
	_, _, events := all(t, d)
	kinds := map[record.EventType]int{}
	for _, e := range events {
		kinds[e.Type]++
	}
	if kinds[record.OrderPlaced] != 112_646 || kinds[record.Onboarded] != 842 || kinds[record.Applied] != 842 {
		t.Errorf("events %v", kinds)
	}
}
