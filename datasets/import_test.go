package datasets

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"bellwether/datasets/record"
)

// imported runs a mapping over a directory and reads back what was made.
func imported(t testing.TB, mapping *Mapping, in string) (dir string, report *Report, err error) {
	t.Helper()
	dir = filepath.Join(t.TempDir(), "out")
	w, err := Create(dir, JSONLines)
	check(t, err)
	defer w.Abort()
	if report, err = ImportCSV(ctx, in, mapping, w, nil); err != nil {
		return dir, nil, err
	}
	check(t, w.Close())
	if report.In != report.Kept+report.Quarantined {
		t.Errorf("counts do not reconcile: %+v", report.Counts)
	}
	return dir, report, nil
}

// transcript writes what a data directory holds, one JSON document a line.
func transcript(t testing.TB, dir string, r *Report) string {
	t.Helper()
	var b strings.Builder
	d, err := Open(dir)
	check(t, err)
	show := func(kind string, r any) error {
		doc, err := json.Marshal(r)
		fmt.Fprintf(&b, "%s %s\n", kind, doc)
		return err
	}
	_, err = d.Partners(ctx, ReadOptions{}, func(p *record.Partner) error { return show("partner", p) })
	check(t, err)
	_, err = d.Leads(ctx, ReadOptions{}, func(l *record.Lead) error { return show("lead", l) })
	check(t, err)
	_, err = d.Events(ctx, ReadOptions{}, func(batch []record.Event) error {
		for i := range batch {
			check(t, show("event", &batch[i]))
		}
		return nil
	})
	check(t, err)
	for _, f := range faults(t, dir) {
		check(t, show("quarantined", f))
	}
	check(t, show("report", r))
	return b.String()
}

// The example mappings over small exports; what they make stands in
// testdata/NAME.txt, for people to read. BELLWETHER_UPDATE=1 writes it anew.
func TestExampleMappings(t *testing.T) {
	for _, name := range []string{"salesforce", "hubspot", "dynamics"} {
		t.Run(name, func(t *testing.T) {
			m, err := ReadMapping(filepath.Join("testdata", name+".yaml"))
			check(t, err)
			dir, report, err := imported(t, m, filepath.Join("testdata", name))
			check(t, err)
			got := transcript(t, dir, report)
			golden := filepath.Join("testdata", name+".txt")
			if os.Getenv("BELLWETHER_UPDATE") != "" {
				check(t, os.WriteFile(golden, []byte(got), 0o644))
			}
			want, err := os.ReadFile(golden)
			check(t, err)
			if got != string(want) {
				t.Errorf("got\n%s\nwant\n%s", got, want)
			}
		})
	}
}

// leadMapping is a mapping of leads.csv with some more lines of fields.
func leadMapping(more string) []byte {
	return []byte("files:\n  f: {path: leads.csv}\nrecords:\n  - noun: lead\n    from: f\n    fields:\n      id: Id\n      created_at: {column: When, format: date}\n" + more)
}

func TestMappingErrorsNameTheLine(t *testing.T) {
	for _, c := range []struct{ name, doc, says string }{
		{"empty", "", "is empty"},
		{"no YAML", "files: [", "yaml"},
		{"unknown key", "files: {}\nrecrods: []\n", `line 2: unknown key "recrods"`},
		{"unknown key of a field", string(leadMapping("      industry: {colum: X}\n")), `line 9: unknown key "colum" in field industry; it may hold as, by, column`},
		{"unknown field", string(leadMapping("      colour: X\n")), `line 9: a lead has no field "colour"; see 'bellwether schema lead'`},
		{"field of another noun", string(leadMapping("      tier: X\n")), `has no field "tier"`},
		{"twice", string(leadMapping("      id: X\n")), "line 9: field id is there twice"},
		{"money without currency", string(leadMapping("      value: X\n")), "say its currency"},
		{"currency of no money", string(leadMapping("      industry: {column: X, currency: Y}\n")), "is not money"},
		{"format of no time", string(leadMapping("      industry: {column: X, format: date}\n")), "is not a time"},
		{"unknown format", string(leadMapping("      attributes.x: {column: X, format: soon}\n")), `format "soon"`},
		{"unknown code", "files:\n  f: {path: x}\nrecords:\n- noun: lead\n  from: f\n  fields: {id: a, created_at: {column: b, format: '%Q'}}\n", "%Q is not known"},
		{"unknown zone", "files:\n  f: {path: x}\nrecords:\n- noun: lead\n  from: f\n  fields: {id: a, created_at: {column: b, zone: Mars/Base}}\n", "IANA"},
		{"unknown noun", "files:\n  f: {path: x}\nrecords:\n- noun: deal\n  from: f\n  fields: {id: a}\n", "not one of partner, lead, event"},
		{"unknown file", "files:\n  f: {path: x}\nrecords:\n- noun: lead\n  from: g\n  fields: {id: a}\n", `no file "g"`},
		{"required", "files:\n  f: {path: x}\nrecords:\n- noun: lead\n  from: f\n  fields: {id: a}\n", "created_at of the lead is required"},
		{"lookup without key", string(leadMapping("      industry: {lookup: f, by: X, column: Y}\n")), "with a key"},
		{"column and const", string(leadMapping("      industry: {column: X, const: Y}\n")), "one of column, const and template"},
		{"unmapped", string(leadMapping("      industry: {column: X, unmapped: maybe}\n")), "keep, drop, reject"},
		{"template", string(leadMapping("      industry: {template: \"{X\"}\n")), "{Column}"},
		{"delimiter", "files:\n  f: {path: x, delimiter: ab}\nrecords: [{}]\n", "one character"},
		{"not a list", "files:\n  f: {path: x}\nrecords: {}\n", "records"},
		{"not UTF-8", "files: \xff", "not valid UTF-8"},
		{"a list", "- files\n", "line 1: a mapping file must be a mapping of keys to values"},
		{"key twice", "files: {f: {path: x}}\nrecords: [{noun: lead, noun: event}]\n", `line 2: key "noun" is there twice in a record`},
		{"file twice", "files:\n  f: {path: x}\n  f: {path: y}\nrecords: [{}]\n", `line 3: file "f" is there twice`},
		{"no path", "files:\n  f: {delimiter: tab}\nrecords: [{}]\n", "line 2: file f needs a path"},
		{"list for a value", "files:\n  f: {path: [x]}\nrecords: [{}]\n", "line 2: a single value is wanted here"},
		{"list of lists", "files:\n  f: {path: x, missing: [[a]]}\nrecords: [{}]\n", "line 2: a single value is wanted here"},
		{"no fields", "files:\n  f: {path: x}\nrecords:\n- {noun: lead, from: f}\n", "line 4: a record needs fields"},
		{"round", string(leadMapping("      value: {column: X, currency: Y, round: maybe}\n")), "line 9: true or false is wanted here"},
		{"empty column", string(leadMapping("      industry: \"\"\n")), "line 9: field industry names no column"},
		{"as", string(leadMapping("      attributes.x: {column: X, as: date}\n")), `as: "date" is neither number nor text`},
		{"decimal", string(leadMapping("      attributes.x: {column: X, as: number, decimal: \";\"}\n")), `decimal: ";" is neither . nor ,`},
		{"map", string(leadMapping("      industry: {column: X, map: [a, b]}\n")), "map must be a mapping of values to values"},
		{"map to a list", string(leadMapping("      industry: {column: X, map: {a: [b]}}\n")), "a single value is wanted here"},
		{"by without lookup", string(leadMapping("      industry: {column: X, by: Y}\n")), "go together"},
		{"lookup of no column", "files:\n  f: {path: x}\n  g: {path: y, key: K}\nrecords:\n- noun: lead\n  from: f\n  fields:\n    id: {lookup: g, by: X, const: Y}\n", "line 8: field id: a lookup needs the column to take"},
		{"end of a format", string(leadMapping("      attributes.x: {column: X, format: \"%Y-%\"}\n")), "ends in %"},
		{"when no list", string(leadMapping("    when: {column: X, is: y}\n")), "line 9: when must be a list of conditions, which must all hold"},
		{"condition of nothing", string(leadMapping("    when: [{column: X}]\n")), "line 9: a condition needs a column and one of is, in, not, empty"},
		{"condition's key", string(leadMapping("    when: [{colum: X}]\n")), `unknown key "colum" in a condition`},
		{"condition's lookup", string(leadMapping("    when: [{column: X, is: y, lookup: f, by: Z}]\n")), `a condition's lookup: there is no file "f" with a key`},
	} {
		_, err := ParseMapping("m.yaml", []byte(c.doc))
		if err == nil || !strings.Contains(err.Error(), c.says) || record.KindOf(err) != record.Invalid {
			t.Errorf("%s: %v\nwant %q", c.name, err, c.says)
		}
	}
}

func TestImportErrorsOfWholeFiles(t *testing.T) {
	m, err := ParseMapping("m.yaml", leadMapping("      industry: Branch\n"))
	check(t, err)
	for _, c := range []struct{ name, content, says string }{
		{"empty", "", "is empty"},
		{"wrong delimiter", "Id;When;Branch\n1;2024-01-01;x\n", `single column "Id;When;Branch": is the delimiter ';'?`},
		{"missing column", "Id,When\n1,2024-01-01\n", `m.yaml line 9: read leads.csv: there is no column "Branch"; there are Id, When`},
		{"column twice", "Id,When,Branch,Branch\n", `two columns "Branch"`},
		{"UTF-16", "\xff\xfeI\x00d\x00", "CSV UTF-8"},
		{"blank lines", "\n\n", "its first line must name the columns"},
		{"a header not UTF-8", "Id,When,Branch\xff\n", "the header is not valid UTF-8"},
		{"an open quote in the header", "Id,\"When,Branch\n", "leads.csv"},
	} {
		_, _, err := imported(t, m, lines(t, "leads.csv", []byte(c.content)))
		if err == nil || !strings.Contains(err.Error(), c.says) {
			t.Errorf("%s: %v\nwant %q", c.name, err, c.says)
		}
	}
	_, _, err = imported(t, m, t.TempDir())
	if err == nil || !strings.Contains(err.Error(), "leads.csv") || !strings.Contains(err.Error(), ".gz") {
		t.Errorf("no file: %v", err)
	}
	_, _, err = imported(t, m, filepath.Join(t.TempDir(), "none"))
	if record.KindOf(err) != record.NotFound {
		t.Errorf("no directory: %v", err)
	}
}

func TestImportSetsRowsAside(t *testing.T) {
	m, err := ParseMapping("m.yaml", leadMapping("      value: {column: Sum, currency: Cur}\n      attributes.n: {column: N, as: number}\n      need: {column: Need, map: {help: support}, unmapped: reject}\n"))
	check(t, err)
	const header, sound = "Id,When,Sum,Cur,N,Need\n", "a,2024-01-01,1.5,EUR,1,help\n"
	for _, c := range []struct{ name, row, column, value, says string }{
		{"date", "b,01/02/2024,1,EUR,1,help\n", "created_at", "01/02/2024", "line 8 of the mapping"},
		{"no date", "b,,1,EUR,1,help\n", "created_at", "", "is missing"},
		{"negative", "b,2024-01-01,-1,EUR,1,help\n", "value.amount", "", "negative"},
		{"currency", "b,2024-01-01,1,ZZZ,1,help\n", "value", "ZZZ", "ISO 4217"},
		{"no currency", "b,2024-01-01,1,,1,help\n", "value", "", "no currency"},
		{"decimal comma", "b,2024-01-01,\"1,5\",EUR,1,help\n", "value", "1,5", `decimal: ","`},
		{"too many decimals", "b,2024-01-01,1.505,EUR,1,help\n", "value", "1.505", "round: true"},
		{"not a number", "b,2024-01-01,1,EUR,many,help\n", "attributes.n", "many", "not a number"},
		{"NaN", "b,2024-01-01,1,EUR,NaN,help\n", "attributes.n", "", "finite"},
		{"unmapped", "b,2024-01-01,1,EUR,1,hope\n", "need", "hope", "not in the map of line 11"},
		{"long id", strings.Repeat("x", 10_000) + ",2024-01-01,1,EUR,1,help\n", "id", "", "too long"},
		{"UTF-8", "b\xff,2024-01-01,1,EUR,1,help\n", "Id", "b\uFFFD", "UTF-8"},
		{"too few cells", "b,2024-01-01\n", "", "b,2024-01-01", "2 cells where the header names 6"},
		{"quotes", "b,\"x\" y,1,EUR,1,help\n", "", "", "quotes"},
		{"conflict", "a,2024-01-02,1,EUR,1,help\n", "id", "", "other content"},
	} {
		t.Run(c.name, func(t *testing.T) {
			dir, r, err := imported(t, m, lines(t, "leads.csv", []byte(header+sound+c.row+sound)))
			check(t, err)
			if r.Counts != (Counts{In: 3, Kept: 2, Quarantined: 1}) || r.Records["leads"].Repeats != 1 {
				t.Errorf("report %+v", r)
			}
			f := faults(t, dir)
			if len(f) != 1 || f[0].File != "leads.csv" || f[0].Line != 3 || f[0].Column != c.column || !strings.Contains(f[0].Reason, c.says) {
				t.Fatalf("quarantined %+v", f)
			}
			if c.value != "" && f[0].Value != c.value {
				t.Errorf("value %q, want %q", f[0].Value, c.value)
			}
		})
	}
}

// What a mapping can do to a value on its way: a file named on the command line,
// looked up in another, told apart by conditions, split, mapped and filled in.
func TestMappingOfEveryKind(t *testing.T) {
	const doc = `
files:
  deals: {path: deals.tsv, delimiter: tab, missing: [n/a]}
  firms: {path: firms.csv, key: Firm}
records:
- noun: lead
  from: deals
  when:
  - {column: Kind, in: [new, old]}
  - {column: Kind, not: old}
  - {column: Test, empty: true}
  - {column: Land, lookup: firms, by: FirmId, not: Moon}
  fields:
    id: {template: "d-{Id}"}
    created_at: {column: When, format: [date, de_date]}
    company: {column: Name, lookup: firms, by: FirmId, default: unknown}
    industry: {column: Branch, lookup: firms, by: {const: 7}}
    products: {column: Items, split: "|", map: {crm: CRM, fax: ""}}
    attributes.size: {column: Size, as: number, decimal: ","}
    value: {column: Sum, currency: {const: EUR}, round: true}
`
	m, err := ParseMapping("m.yaml", []byte(doc))
	check(t, err)
	dir := lines(t, "deals.tsv", []byte("Id\tWhen\tKind\tTest\tFirmId\tItems\tSize\tSum\n"+
		"1\t2024-01-02\tnew\t\t7\tcrm| |fax|erp\t1,5\t0.005\n"+
		"2\t3.1.2024\tnew\tn/a\tnone\t\tn/a\t\n"+
		"3\t2024-01-02\told\t\t7\t\t\t\n4\t2024-01-02\tlost\t\t7\t\t\t\n5\t2024-01-02\tnew\tyes\t7\t\t\t\n6\t2024-01-02\tnew\t\t8\t\t\t\n"+
		"n/a\t2024-01-02\tnew\t\t7\t\t\t\n"))
	check(t, os.WriteFile(filepath.Join(dir, "firms.csv"), []byte("Firm,Name,Branch,Land\n7,Acme,n/a,DE\n7,Later,x,DE\n8,Crater,mining,Moon\n,None,x,DE\n"), 0o644))
	other := filepath.Join(dir, "renamed.tsv") // one file given stands for the first mapped
	check(t, os.Rename(filepath.Join(dir, "deals.tsv"), other))
	made, report, err := imported(t, m, other)
	check(t, err)
	got := transcript(t, made, report)
	for _, want := range []string{
		`lead {"id":"d-1","created_at":"2024-01-02T00:00:00Z","company":"Acme","industry":"n/a","products":["CRM","erp"],"value":{"amount":"1","currency":"EUR"},"attributes":{"size":1.5}}`,
		`lead {"id":"d-2","created_at":"2024-01-03T00:00:00Z","company":"unknown","industry":"n/a"}`,
	} {
		if !strings.Contains(got, want) {
			t.Errorf("no %s", want)
		}
	}
	if n := report.Records["leads"]; n != (Counts{In: 3, Kept: 2, Quarantined: 1}) || report.In != 11 || report.Quarantined != 1 {
		t.Errorf("report %+v", report)
	}
	if t.Failed() {
		t.Log(got)
	}
}

func TestAQuoteNeverClosedIsSaid(t *testing.T) {
	m, err := ParseMapping("m.yaml", leadMapping(""))
	check(t, err)
	dir, r, err := imported(t, m, lines(t, "leads.csv", []byte("Id,When,Branch\na,2024-01-01,x\n\"b,2024-01-01,x\nc,2024-01-01,x\n")))
	check(t, err)
	if r.Counts != (Counts{In: 2, Kept: 1, Quarantined: 1}) {
		t.Errorf("counts %+v", r.Counts)
	}
	if f := faults(t, dir); len(f) != 1 || f[0].Line != 3 || !strings.Contains(f[0].Reason, "until line 4") {
		t.Errorf("quarantined %+v", f)
	}
}

func TestMinorUnits(t *testing.T) {
	for _, c := range []struct {
		text    string
		digits  int
		decimal string
		round   bool
		want    int64
		fails   bool
	}{
		{"12.5", 2, "", false, 1250, false}, {"1,234,567.89", 2, "", false, 123456789, false}, {"1.234.567,89", 2, ",", false, 123456789, false},
		{"1 234,5", 2, ",", false, 123450, false}, {"1'234.50", 2, "", false, 123450, false}, {"12,34,567", 0, "", false, 1234567, false},
		{"7", 0, "", false, 7, false}, {"7.000", 0, "", false, 7, false}, {"7.5", 0, "", true, 8, false}, {"7.5", 0, "", false, 0, true},
		{"1.005", 3, "", false, 1005, false}, {"0.005", 2, "", true, 1, false}, {"-3", 2, "", false, -300, false}, {"1,5", 2, "", false, 0, true},
		{"1.234,5", 2, "", false, 0, true}, {"1e5", 2, "", false, 0, true}, {"", 2, "", false, 0, true}, {"€5", 2, "", false, 0, true},
		{"99999999999999999999", 2, "", false, 0, true}, {"NaN", 2, "", false, 0, true}, {"5.", 2, "", false, 0, true},
	} {
		got, err := minorUnits(c.text, c.digits, c.decimal, c.round)
		if (err != nil) != c.fails || got != c.want {
			t.Errorf("minorUnits(%q, %d, %q) = %d, %v; want %d", c.text, c.digits, c.decimal, got, err, c.want)
		}
	}
}

func TestTimesOfAMapping(t *testing.T) {
	for _, c := range []struct{ format, zone, text, want string }{
		{"%d/%m/%Y %H:%M", "", "9/2/2024 1:05", "2024-02-09T01:05:00Z"},
		{"%d/%m/%Y %H:%M", "Europe/Berlin", "09/07/2024 01:05", "2024-07-08T23:05:00Z"},
		{"%Y%m%d", "America/New_York", "20240115", "2024-01-15T05:00:00Z"},
		{"%Y-%m-%d %H:%M:%S.%f", "", "2024-01-15 01:02:03.000400", "2024-01-15T01:02:03.0004Z"},
		{"salesforce", "", "2024-01-15T09:30:00.000+0200", "2024-01-15T07:30:00Z"},
		{"salesforce", "", "2024-01-15T09:30:00.000Z", "2024-01-15T09:30:00Z"},
		{"us_datetime", "", "7/4/2024 3:05 PM", "2024-07-04T15:05:00Z"},
		{"unix", "", "1700000000", "2023-11-14T22:13:20Z"},
		{"unix_ms", "", "1700000000123", "2023-11-14T22:13:20.123Z"},
		{"2 January 2006", "Asia/Tokyo", "3 March 2024", "2024-03-02T15:00:00Z"},
		{"date", "", "2024-13-01", ""}, {"%Y-%m-%d", "", "31.12.2024", ""}, {"unix", "", "soon", ""},
	} {
		layout, err := timeLayout(c.format)
		check(t, err)
		s := &source{formats: []string{layout}, spelled: []string{c.format}}
		if c.zone != "" {
			if s.zone, err = time.LoadLocation(c.zone); err != nil {
				t.Fatal(err)
			}
		}
		got, err := s.time(c.text)
		if c.want == "" {
			if err == nil || !strings.Contains(err.Error(), "look like "+c.format) {
				t.Errorf("%s %q is read as %v, %v", c.format, c.text, got, err)
			}
			continue
		}
		if err != nil || got.Format(time.RFC3339Nano) != c.want {
			t.Errorf("%s %q in %q = %v, %v; want %s", c.format, c.text, c.zone, got, err, c.want)
		}
	}
}

func TestImportCancelled(t *testing.T) {
	m, err := ParseMapping("m.yaml", leadMapping(""))
	check(t, err)
	w, err := Create(filepath.Join(t.TempDir(), "out"), JSONLines)
	check(t, err)
	defer w.Abort()
	c, cancel := context.WithCancel(ctx)
	cancel()
	if _, err := ImportCSV(c, lines(t, "leads.csv", []byte("Id,When\n")), m, w, nil); err != context.Canceled {
		t.Errorf("%v", err)
	}
}

func FuzzMapping(f *testing.F) {
	for _, name := range []string{"salesforce", "hubspot", "dynamics"} {
		b, err := os.ReadFile(filepath.Join("testdata", name+".yaml"))
		check(f, err)
		f.Add(b)
	}
	f.Fuzz(func(t *testing.T, doc []byte) {
		if _, err := ParseMapping("m.yaml", doc); err != nil && record.KindOf(err) != record.Invalid {
			t.Errorf("kind %v: %v", record.KindOf(err), err)
		}
	})
}

func FuzzCSV(f *testing.F) {
	m, err := ReadMapping(filepath.Join("testdata", "hubspot.yaml"))
	check(f, err)
	b, err := os.ReadFile(filepath.Join("testdata", "hubspot", "deals.csv"))
	check(f, err)
	f.Add(b)
	f.Add(bytes.ReplaceAll(b, []byte(","), []byte(";")))
	f.Fuzz(func(t *testing.T, content []byte) {
		_, r, err := imported(t, m, lines(t, "deals.csv", content))
		if err != nil {
			return
		}
		for noun, c := range r.Records {
			if c.In != c.Kept+c.Quarantined {
				t.Errorf("%s: %+v", noun, c)
			}
		}
	})
}

// A row of which one record fails leaves nothing behind, not even the memory of
// its other records' ids.
func TestARowEntersWholeOrNotAtAll(t *testing.T) {
	m, err := ParseMapping("m.yaml", []byte(`
files: {f: {path: deals.csv}}
records:
- {noun: lead, from: f, fields: {id: Id, created_at: {column: When, format: date}, company: Name}}
- {noun: event, from: f, fields: {id: Id, type: {const: deal_won}, at: {column: Won, format: date}, partner: Partner}}
`))
	check(t, err)
	dir, r, err := imported(t, m, lines(t, "deals.csv", []byte("Id,When,Name,Won,Partner\nd1,2024-01-01,old,2024-02-01,\nd1,2024-01-01,new,2024-02-01,p\n")))
	check(t, err)
	want := map[string]Counts{"leads": {In: 2, Kept: 1, Quarantined: 1}, "events": {In: 2, Kept: 1, Quarantined: 1}}
	if fmt.Sprint(r.Records) != fmt.Sprint(want) || r.Counts != (Counts{In: 2, Kept: 1, Quarantined: 1}) {
		t.Errorf("report %+v", r)
	}
	d, err := Open(dir)
	check(t, err)
	_, err = d.Leads(ctx, ReadOptions{}, func(l *record.Lead) error {
		if l.Company != "new" {
			t.Errorf("lead %+v", l)
		}
		return nil
	})
	check(t, err)
}
