package datasets

import (
	"bytes"
	"compress/gzip"
	"context"
	"encoding/json"
	"fmt"
	"math"
	"math/rand/v2"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"bellwether/datasets/record"

	"github.com/apache/arrow/go/v17/arrow"
	"github.com/apache/arrow/go/v17/arrow/array"
	"github.com/apache/arrow/go/v17/arrow/memory"
	"github.com/apache/arrow/go/v17/parquet"
	"github.com/apache/arrow/go/v17/parquet/pqarrow"
	"pgregory.net/rapid"
)

var ctx = context.Background()

var start = time.Date(2024, 1, 1, 0, 0, 0, 0, time.UTC)

// sampleEvents makes n valid events in the order of Known.
func sampleEvents(n int) []record.Event {
	out := make([]record.Event, n)
	for i := range out {
		at := start.Add(time.Duration(i) * time.Minute)
		e := record.Event{ID: record.EventID(fmt.Sprintf("e-%07d", i)), At: at, KnownAt: at.Add(time.Hour), Partner: record.PartnerID(fmt.Sprint("p", i%97))}
		switch i % 4 {
		case 0:
			e.Type = record.PortalLogin
			e.KnownAt = e.At.Add(time.Hour)
		case 1:
			e.Type, e.Lead, e.Numbers = record.OfferMade, record.LeadID(fmt.Sprint("l", i/4)), map[string]float64{"propensity": 0.25}
		case 2:
			e.Type, e.Lead, e.Amount, e.Products = record.DealWon, record.LeadID(fmt.Sprint("l", i/4)), record.Money{Amount: int64(i), Currency: "EUR"}, []string{"crm", "erp"}
		case 3:
			e.Type, e.Text, e.Direction, e.Until = record.Message, "well – that was it", "in", at.AddDate(1, 0, 0)
		}
		out[i] = e
	}
	return out
}

func sampleLead(i int) record.Lead {
	return record.Lead{ID: record.LeadID(fmt.Sprint("l", i)), CreatedAt: start.Add(time.Duration(i) * time.Hour), Account: "a1", Industry: "retail",
		Place: record.Place{Region: "DE", Lat: 52.5, Lon: 13.4, Located: true}, Products: []string{"crm"}, Need: "resale",
		Value: record.Money{Amount: 100_00, Currency: "EUR"}, CommittedSpend: i%2 == 0,
		Attributes: record.Attributes{"stage": record.Text("new"), "score": record.Number(1.5), "tags": record.List("a", "b")}}
}

func samplePartner(i int) record.Partner {
	return record.Partner{ID: record.PartnerID(fmt.Sprint("p", i)), Name: "Müller & Söhne", Tier: "gold", Territories: []string{"DE", "AT"},
		Competences: []record.Competence{{Product: "crm", Level: 3, Span: record.Span{From: start}}, {Product: "erp"}},
		Status:      []record.StatusSpan{{Status: "active", Span: record.Span{From: start}}},
		Capacity:    record.Capacity{Units: 3, Period: "week", Weekdays: []time.Weekday{1, 5}, Absences: []record.Span{{From: start, To: start.AddDate(0, 0, 7)}}},
		KnownAt:     start}
}

// write makes a data directory and returns its path.
func write(t testing.TB, f Format, partners []record.Partner, leads []record.Lead, events []record.Event, decisions []record.Decision) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "data")
	w, err := Create(path, f)
	if err != nil {
		t.Fatal(err)
	}
	for i := range partners {
		check(t, w.Partner(&partners[i]))
	}
	for i := range leads {
		check(t, w.Lead(&leads[i]))
	}
	for i := range events {
		check(t, w.Event(&events[i]))
	}
	for i := range decisions {
		check(t, w.Decision(&decisions[i]))
	}
	check(t, w.Close())
	return path
}

func check(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func readEvents(t testing.TB, path string) ([]record.Event, Counts) {
	t.Helper()
	d, err := Open(path)
	check(t, err)
	var out []record.Event
	counts, err := d.Events(ctx, ReadOptions{}, func(b []record.Event) error { out = append(out, b...); return nil })
	check(t, err)
	if counts.In != counts.Kept+counts.Quarantined || int64(len(out)) != counts.Kept-counts.Repeats {
		t.Errorf("counts do not reconcile: %+v, %d events", counts, len(out))
	}
	return out, counts
}

func TestRoundTripOfEachFormat(t *testing.T) {
	partners, leads := []record.Partner{samplePartner(1), samplePartner(2)}, []record.Lead{sampleLead(1), sampleLead(2), sampleLead(3)}
	decisions := []record.Decision{{ID: "d1", LeadRef: "ff", At: start, Position: 1 << 63, Seed: 7, Policy: "p:1",
		Refusals:   []record.Refusal{{Rule: "territory", Count: 2, Partners: []byte{1, 0, 255}}},
		Candidates: []record.Candidate{{Partner: "p1", Win: 0.5, Prob: 1}}, Propensity: 1, Chosen: "p1",
		Ranked: []record.Ranked{{Candidate: record.Candidate{Partner: "p1"}, Reasons: []string{"near"}, Values: map[string]float64{"x": 1}}}}}
	for f := range Format(len(formatNames)) {
		t.Run(f.String(), func(t *testing.T) {
			events := sampleEvents(3000)
			if f != JSONLines {
				events = sampleEvents(groupRows + 7) // more than one row group and batch
			}
			path := write(t, f, partners, leads, events, decisions)
			d, err := Open(path)
			check(t, err)
			var gotPartners []record.Partner
			_, err = d.Partners(ctx, ReadOptions{}, func(p *record.Partner) error { gotPartners = append(gotPartners, *p); return nil })
			check(t, err)
			same(t, gotPartners, partners)
			var gotLeads []record.Lead
			_, err = d.Leads(ctx, ReadOptions{}, func(l *record.Lead) error { gotLeads = append(gotLeads, *l); return nil })
			check(t, err)
			same(t, gotLeads, leads)
			var gotDecisions []record.Decision
			_, err = d.Decisions(ctx, ReadOptions{}, func(r *record.Decision) error { gotDecisions = append(gotDecisions, *r); return nil })
			check(t, err)
			same(t, gotDecisions, decisions)
			got, counts := readEvents(t, path)
			same(t, got, events)
			if counts != (Counts{In: int64(len(events)), Kept: int64(len(events))}) {
				t.Errorf("counts %+v", counts)
			}
			m := d.Manifest()
			if m.Records["events"].Count != int64(len(events)) || !m.Records["events"].Window.To.Equal(events[len(events)-1].KnownAt) {
				t.Errorf("manifest %+v", m.Records["events"])
			}
			if left, _ := filepath.Glob(filepath.Join(filepath.Dir(path), "*")); len(left) != 1 {
				t.Errorf("left behind: %v", left)
			}
		})
	}
}

func same[T any](t *testing.T, got, want []T) {
	t.Helper()
	if len(got) != len(want) {
		t.Fatalf("%d records, want %d", len(got), len(want))
	}
	for i := range got {
		if !reflect.DeepEqual(got[i], want[i]) {
			t.Fatalf("record %d:\n got %+v\nwant %+v", i, got[i], want[i])
		}
	}
}

// lines writes a JSON lines file of a new directory and returns that.
func lines(t testing.TB, name string, content []byte) string {
	t.Helper()
	dir := t.TempDir()
	check(t, os.WriteFile(filepath.Join(dir, name), content, 0o644))
	return dir
}

func jsonOf[T any](records ...T) []byte {
	var b bytes.Buffer
	for i := range records {
		doc, err := json.Marshal(&records[i])
		if err != nil {
			panic(err)
		}
		b.Write(append(doc, '\n'))
	}
	return b.Bytes()
}

func faults(t testing.TB, dir string) []Fault {
	t.Helper()
	b, err := os.ReadFile(filepath.Join(dir, "quarantine.jsonl"))
	if os.IsNotExist(err) {
		return nil
	}
	check(t, err)
	var out []Fault
	for _, line := range bytes.Split(bytes.TrimSpace(b), []byte("\n")) {
		var f Fault
		check(t, json.Unmarshal(line, &f))
		out = append(out, f)
	}
	return out
}

func TestBadRowsAreSetAside(t *testing.T) {
	const sound = `{"id":"a","type":"portal_login","at":"2024-01-01T00:00:00Z","partner":"p"}` + "\n"
	for _, c := range []struct{ name, line, column, value, says string }{
		{"date in another format", `{"id":"b","type":"portal_login","at":"31/12/2024","partner":"p"}`, "at", `"31/12/2024"`, "RFC 3339"},
		{"negative money", `{"id":"b","type":"deal_won","at":"2024-01-01T00:00:00Z","partner":"p","amount":{"amount":"-5","currency":"EUR"}}`, "amount.amount", `{"amount":"-5","currency":"EUR"}`, "negative"},
		{"unknown currency", `{"id":"b","type":"deal_won","at":"2024-01-01T00:00:00Z","partner":"p","amount":{"amount":5,"currency":"ZZZ"}}`, "amount.currency", "", "ISO 4217"},
		{"NaN", `{"id":"b","type":"portal_login","at":"2024-01-01T00:00:00Z","partner":"p","numbers":{"x":NaN}}`, "", "", "not a JSON object"},
		{"number as text", `{"id":"b","type":"portal_login","at":"2024-01-01T00:00:00Z","partner":"p","numbers":{"x":"NaN"}}`, "numbers", "", "holds a string where float64 is wanted"},
		{"id of 10,000 characters", `{"id":"` + strings.Repeat("x", 10_000) + `","type":"portal_login","at":"2024-01-01T00:00:00Z","partner":"p"}`, "id", "", "too long"},
		{"invalid UTF-8", "{\"id\":\"b\xff\",\"type\":\"portal_login\",\"at\":\"2024-01-01T00:00:00Z\",\"partner\":\"p\"}", "", "", "UTF-8"},
		{"unknown field", `{"id":"b","type":"portal_login","at":"2024-01-01T00:00:00Z","partner":"p","colour":"red"}`, "colour", `"red"`, "attributes"},
		{"cut-off line", `{"id":"b","type":"portal`, "", "", "not a JSON object"},
		{"two objects", `{"id":"b","type":"portal_login","at":"2024-01-01T00:00:00Z","partner":"p"}{}`, "", "", "more on the line"},
		{"unknown type", `{"id":"b","type":"party","at":"2024-01-01T00:00:00Z","partner":"p"}`, "type", `"party"`, "not a known event type"},
		{"wrong JSON type", `{"id":7,"type":"portal_login","at":"2024-01-01T00:00:00Z","partner":"p"}`, "id", "7", "holds a number where string is wanted"},
	} {
		t.Run(c.name, func(t *testing.T) {
			dir := lines(t, "events.jsonl", []byte(sound+c.line+"\n"))
			got, counts := readEvents(t, dir)
			if len(got) != 1 || counts != (Counts{In: 2, Kept: 1, Quarantined: 1}) {
				t.Fatalf("%d events, counts %+v", len(got), counts)
			}
			f := faults(t, dir)
			if len(f) != 1 || f[0].File != "events.jsonl" || f[0].Line != 2 || f[0].Column != c.column || !strings.Contains(f[0].Reason, c.says) {
				t.Fatalf("quarantined %+v, want column %q saying %q", f, c.column, c.says)
			}
			if c.value != "" && f[0].Value != c.value {
				t.Errorf("value %s, want %s", f[0].Value, c.value)
			}
			readEvents(t, dir)
			if again := faults(t, dir); len(again) != 1 {
				t.Errorf("reading twice lists the row %d times", len(again))
			}
		})
	}
}

func TestAcceptedOddities(t *testing.T) {
	line := `{"id":"a","type":"portal_login","at":"2024-01-01T02:00:00.123456789+02:00","partner":"p"}`
	want := record.Event{ID: "a", Type: record.PortalLogin, At: start.Add(123_456 * time.Microsecond), Partner: "p"}
	for name, content := range map[string]string{"BOM": "\xef\xbb\xbf" + line + "\n", "CRLF": line + "\r\n", "no newline at the end": line,
		"blank lines": "\n\n" + line + "\n\n"} {
		got, counts := readEvents(t, lines(t, "events.jsonl", []byte(content)))
		if counts.In != 1 || len(got) != 1 || !reflect.DeepEqual(got[0], want) {
			t.Errorf("%s: %+v %+v", name, counts, got)
		}
	}
}

func TestBadFilesAreErrors(t *testing.T) {
	var packed bytes.Buffer
	gz := gzip.NewWriter(&packed)
	_, _ = gz.Write(jsonOf(sampleEvents(3000)...))
	check(t, gz.Close())
	damaged := slices.Clone(packed.Bytes())
	damaged[len(damaged)/2] ^= 0xff
	pq, err := os.ReadFile(filepath.Join(write(t, Parquet, nil, nil, sampleEvents(100), nil), "events.parquet"))
	check(t, err)
	leads, err := os.ReadFile(filepath.Join(write(t, Parquet, nil, []record.Lead{sampleLead(1)}, nil, nil), "leads.parquet"))
	check(t, err)
	ipc, err := os.ReadFile(filepath.Join(write(t, ArrowIPC, nil, nil, sampleEvents(100), nil), "events.arrow"))
	check(t, err)
	holed := slices.Clone(pq)
	clear(holed[4:60]) // the head of the first page
	for _, c := range []struct {
		name    string
		file    string
		content []byte
		says    []string
	}{
		{"parquet with a hole", "events.parquet", holed, []string{"events.parquet", "cannot be read after row 0", "copy or write it again"}},
		{"parquet of numbers", "events.parquet", otherTypes(t), []string{"events.parquet", "column at", "type int64 where a timestamp is wanted", "cast the column"}},
		{"empty", "events.jsonl", nil, []string{"events.jsonl", "empty"}},
		{"empty parquet", "events.parquet", nil, []string{"events.parquet", "empty"}},
		{"nothing but a BOM", "events.jsonl", bom, []string{"events.jsonl", "no line"}},
		{"CSV by another name", "events.jsonl", []byte("id;type;at\n1;deal_won;x\n"), []string{"line 1", "CSV", "import csv"}},
		{"JSON array", "events.json", []byte("[\n{}]\n"), []string{"JSON array", "jq"}},
		{"not gzip", "events.jsonl.gz", []byte("{}\n"), []string{"not a gzip file"}},
		{"gzip cut off", "events.jsonl.gz", packed.Bytes()[:packed.Len()/2], []string{"cut off after line", "again"}},
		{"gzip damaged", "events.jsonl.gz", damaged, []string{"events.jsonl.gz", "after line"}},
		{"parquet cut off", "events.parquet", pq[:len(pq)-20], []string{"not a whole Parquet file"}},
		{"parquet of leads", "events.parquet", leads, []string{"created_at", "not a column of events"}},
		{"text as parquet", "events.parquet", []byte("hello, this is text"), []string{"Parquet"}},
		{"packed parquet", "events.parquet.gz", pq, []string{"unpack"}},
		{"arrow cut off", "events.arrow", ipc[:len(ipc)/2], []string{"events.arrow"}},
		{"text as arrow", "events.arrow", []byte("hello, this is text"), []string{"Arrow"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			d, err := Open(lines(t, c.file, c.content))
			check(t, err)
			_, err = d.Events(ctx, ReadOptions{}, func([]record.Event) error { return nil })
			if err == nil {
				t.Fatal("accepted")
			}
			for _, s := range c.says {
				if !strings.Contains(err.Error(), s) {
					t.Errorf("%v\nlacks %q", err, s)
				}
			}
		})
	}
}

// otherTypes is a Parquet file of events whose times are numbers.
func otherTypes(t *testing.T) []byte {
	t.Helper()
	schema := arrow.NewSchema([]arrow.Field{{Name: "id", Type: arrow.BinaryTypes.String}, {Name: "type", Type: arrow.BinaryTypes.String},
		{Name: "at", Type: arrow.PrimitiveTypes.Int64}}, nil)
	b := array.NewRecordBuilder(memory.DefaultAllocator, schema)
	b.Field(0).(*array.StringBuilder).Append("e1")
	b.Field(1).(*array.StringBuilder).Append("portal_login")
	b.Field(2).(*array.Int64Builder).Append(1)
	var out bytes.Buffer
	w, err := pqarrow.NewFileWriter(schema, &out, nil, pqarrow.NewArrowWriterProperties())
	check(t, err)
	check(t, w.Write(b.NewRecord()))
	check(t, w.Close())
	return out.Bytes()
}

func TestOpenSaysWhatIsWrong(t *testing.T) {
	for _, c := range []struct{ name, file, content, says string }{
		{"csv only", "deals.csv", "a,b\n", "import csv"},
		{"nothing", "readme.txt", "x", "holds no records"},
		{"damaged manifest", "manifest.json", "{", "damaged"},
		{"other version", "manifest.json", `{"format":"bellwether-data/9"}`, "import the data again"},
		{"listed file is gone", "manifest.json", `{"format":"bellwether-data/1","records":{"events":{"files":[{"name":"events.parquet","bytes":1}]}}}`, "missing"},
	} {
		dir := lines(t, c.file, []byte(c.content))
		if c.file == "manifest.json" {
			check(t, os.WriteFile(filepath.Join(dir, "leads.jsonl"), []byte("{}\n"), 0o644))
		}
		if _, err := Open(dir); err == nil || !strings.Contains(err.Error(), c.says) {
			t.Errorf("%s: %v", c.name, err)
		}
	}
	none := filepath.Join(t.TempDir(), "none")
	if _, err := Open(none); record.KindOf(err) != record.NotFound || strings.Count(err.Error(), none) != 1 {
		t.Errorf("no directory: %v", err)
	}
	path := write(t, JSONLines, nil, []record.Lead{sampleLead(1)}, nil, nil)
	check(t, os.Truncate(filepath.Join(path, "leads.jsonl"), 10))
	if _, err := Open(path); err == nil || !strings.Contains(err.Error(), "cut off or changed") {
		t.Errorf("truncated: %v", err)
	}
}

func TestManyFilesAndSubdirectories(t *testing.T) {
	dir := t.TempDir()
	events := sampleEvents(30)
	check(t, os.Mkdir(filepath.Join(dir, "events"), 0o755))
	check(t, os.WriteFile(filepath.Join(dir, "events", "b.jsonl"), jsonOf(events[10:20]...), 0o644))
	check(t, os.WriteFile(filepath.Join(dir, "events", "a.jsonl"), jsonOf(events[:10]...), 0o644))
	var packed bytes.Buffer
	gz := gzip.NewWriter(&packed)
	_, _ = gz.Write(jsonOf(events[20:]...))
	check(t, gz.Close())
	check(t, os.WriteFile(filepath.Join(dir, "events-3.jsonl.gz"), packed.Bytes(), 0o644))
	got, _ := readEvents(t, dir)
	same(t, got, events)
}

func TestRepeatsAndConflicts(t *testing.T) {
	e := sampleEvents(3)
	changed := e[1]
	changed.KnownAt = changed.KnownAt.Add(time.Hour)
	dir := lines(t, "events.jsonl", jsonOf(e[0], e[1], e[1], e[2], changed, e[0]))
	got, counts := readEvents(t, dir)
	same(t, got, e)
	if counts != (Counts{In: 6, Kept: 5, Repeats: 2, Quarantined: 1}) {
		t.Errorf("counts %+v", counts)
	}
	f := faults(t, dir)
	if len(f) != 1 || f[0].Line != 5 || f[0].Column != "id" || !strings.Contains(f[0].Reason, "events.jsonl line 2") {
		t.Errorf("quarantined %+v", f)
	}

	p := samplePartner(1)
	newer, contrary := p, p
	newer.KnownAt, newer.Tier = p.KnownAt.AddDate(0, 1, 0), "platinum"
	contrary.Tier = "silver"
	path := write(t, Parquet, []record.Partner{p, newer, p, contrary}, nil, nil, nil)
	d, err := Open(path)
	check(t, err)
	var partners []record.Partner
	counts, err = d.Partners(ctx, ReadOptions{}, func(p *record.Partner) error { partners = append(partners, *p); return nil })
	check(t, err)
	same(t, partners, []record.Partner{p, newer})
	if counts != (Counts{In: 4, Kept: 3, Repeats: 1, Quarantined: 1}) {
		t.Errorf("counts %+v", counts)
	}
}

// The clever way to order and deduplicate events against the plain one.
func TestEventsAgainstTheDumbWay(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		n := rapid.IntRange(1, 60).Draw(rt, "n")
		var all []record.Event
		for range n {
			at := start.Add(time.Duration(rapid.IntRange(0, 9).Draw(rt, "at")) * time.Hour)
			all = append(all, record.Event{ID: record.EventID(fmt.Sprint(rapid.IntRange(0, 40).Draw(rt, "id"))), Type: record.PortalLogin,
				At: at, KnownAt: at.Add(time.Duration(rapid.IntRange(0, 2).Draw(rt, "late")) * time.Hour),
				Partner: record.PartnerID(rapid.SampledFrom([]string{"p", "q"}).Draw(rt, "partner"))})
		}
		sorted := slices.Clone(all)
		slices.SortStableFunc(sorted, func(a, b record.Event) int { return a.Known().Compare(b.Known()) })
		var want []record.Event
		var counts Counts
		first := map[record.EventID]record.Event{}
		for _, e := range sorted {
			old, again := first[e.ID]
			switch {
			case !again:
				first[e.ID] = e
				want = append(want, e)
				counts.Kept++
			case reflect.DeepEqual(old, e):
				counts.Kept++
				counts.Repeats++
			default:
				counts.Quarantined++
			}
		}
		counts.In = int64(n)

		dir, err := os.MkdirTemp(t.TempDir(), "")
		check(t, err)
		cut := rapid.IntRange(0, n-1).Draw(rt, "cut")
		check(t, os.WriteFile(filepath.Join(dir, "events-2.jsonl"), jsonOf(all[cut:]...), 0o644))
		if cut > 0 {
			check(t, os.WriteFile(filepath.Join(dir, "events-1.jsonl"), jsonOf(all[:cut]...), 0o644))
		}
		d, err := Open(dir)
		check(t, err)
		seen, err := survey(ctx, d.files["events"], eventNoun, func(int64) {})
		check(t, err)
		if inOrder := slices.IsSortedFunc(all, func(a, b record.Event) int { return a.Known().Compare(b.Known()) }); seen.sorted != inOrder {
			rt.Fatalf("survey says sorted %v", seen.sorted)
		}
		var got []record.Event
		pass := &eventPass{dir: d, sifter: newSifter(eventNoun, seen, NewQuarantine(filepath.Join(dir, "q"))), progress: func(int64) {},
			out: func(b []record.Event) error { got = append(got, b...); return nil }}
		// an arena of a few events makes several runs
		check(t, pass.sorted(ctx, rapid.IntRange(50, 2000).Draw(rt, "arena")))
		if !reflect.DeepEqual(got, want) || pass.sifter.counts != counts {
			rt.Fatalf("got %d %+v\nwant %d %+v", len(got), pass.sifter.counts, len(want), counts)
		}
	})
}

func TestSortingCleansUp(t *testing.T) {
	t.Setenv("TMPDIR", t.TempDir())
	events := sampleEvents(5000)
	rand.New(rand.NewPCG(1, 2)).Shuffle(len(events), func(i, j int) { events[i], events[j] = events[j], events[i] })
	path := write(t, Parquet, nil, nil, events, nil)
	got, _ := readEvents(t, path)
	same(t, got, sampleEvents(5000))
	d, err := Open(path)
	check(t, err)
	stop := fmt.Errorf("enough")
	if _, err := d.Events(ctx, ReadOptions{}, func([]record.Event) error { return stop }); err != stop {
		t.Errorf("the consumer's error came back as %v", err)
	}
	if left, _ := os.ReadDir(os.TempDir()); len(left) > 0 {
		t.Errorf("left in the temporary directory: %v", left)
	}
}

func TestHashBucketsFindAllTwins(t *testing.T) {
	t.Setenv("TMPDIR", t.TempDir())
	b := &hashBuckets{}
	r := rand.New(rand.NewPCG(3, 4))
	want := map[uint64]struct{}{}
	for i := range 256 * hashBlock * 2 { // so that every bucket spills
		h := r.Uint64()
		check(t, b.add(h))
		if i%100_000 == 0 {
			want[h] = struct{}{}
		}
	}
	for h := range want {
		check(t, b.add(h))
	}
	got, err := b.twice()
	check(t, err)
	if b.file == nil || !reflect.DeepEqual(got, want) {
		t.Errorf("found %d, want %d, spilled %v", len(got), len(want), b.file != nil)
	}
	b.close()
	if left, _ := os.ReadDir(os.TempDir()); len(left) > 0 {
		t.Errorf("left in the temporary directory: %v", left)
	}
}

func TestCancelledReadStops(t *testing.T) {
	path := write(t, Parquet, nil, nil, sampleEvents(50_000), nil)
	d, err := Open(path)
	check(t, err)
	c, cancel := context.WithCancel(ctx)
	batches := 0
	_, err = d.Events(c, ReadOptions{}, func([]record.Event) error { batches++; cancel(); return nil })
	if err != context.Canceled || batches > 6 {
		t.Errorf("%v after %d batches", err, batches)
	}
}

func TestProgressEndsAtTheTotal(t *testing.T) {
	path := write(t, JSONLines, nil, nil, sampleEvents(9_000), nil)
	d, err := Open(path)
	check(t, err)
	var last, total int64
	_, err = d.Events(ctx, ReadOptions{Progress: func(done, all int64) {
		if done < last || done > all {
			t.Errorf("progress went from %d to %d of %d", last, done, all)
		}
		last, total = done, all
	}}, func([]record.Event) error { return nil })
	check(t, err)
	if last < total-1 || total == 0 {
		t.Errorf("progress ended at %d of %d", last, total)
	}
}

func TestWriterLeavesAllOrNothing(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "data")
	w, err := Create(path, Parquet)
	check(t, err)
	l := sampleLead(1)
	check(t, w.Lead(&l))
	bad := l
	bad.Value.Amount = -1
	if err := w.Lead(&bad); record.KindOf(err) != record.Invalid {
		t.Errorf("a bad lead: %v", err)
	}
	w.Abort()
	if left, _ := os.ReadDir(dir); len(left) > 0 {
		t.Errorf("after Abort: %v", left)
	}

	w, err = Create(path, JSONLines)
	check(t, err)
	check(t, w.Lead(&l))
	w.leads.out.file.Close() // as a disk that fails
	if err := w.Close(); record.KindOf(err) != record.Exhausted {
		t.Errorf("a failing disk: %v", err)
	}
	if left, _ := os.ReadDir(dir); len(left) > 0 {
		t.Errorf("after a failed Close: %v", left)
	}

	check(t, os.MkdirAll(path, 0o755)) // an empty directory is fine
	w, err = Create(path, JSONLines)
	check(t, err)
	check(t, w.Lead(&l))
	check(t, w.Close())
	w.Abort() // as a deferred one
	if _, err := Open(path); err != nil {
		t.Error(err)
	}
	if _, err := Create(path, JSONLines); record.KindOf(err) != record.Conflict {
		t.Errorf("a directory that is not empty: %v", err)
	}
}

// A file that has the name of the directory to write is not replaced, whenever it
// came.
func TestAFileIsNoDirectoryToWrite(t *testing.T) {
	file, late := filepath.Join(t.TempDir(), "notes"), filepath.Join(t.TempDir(), "later")
	check(t, os.WriteFile(file, []byte("precious"), 0o600))
	if _, err := Create(file, JSONLines); record.KindOf(err) != record.Conflict || !strings.Contains(err.Error(), "is a file") {
		t.Errorf("%v", err)
	}
	w, err := Create(late, JSONLines)
	check(t, err)
	check(t, os.WriteFile(late, []byte("precious"), 0o600))
	if err := w.Close(); record.KindOf(err) != record.Conflict {
		t.Errorf("%v", err)
	}
	for _, path := range []string{file, late} {
		if b, err := os.ReadFile(path); string(b) != "precious" {
			t.Errorf("%q, %v", b, err)
		}
	}
}

func FuzzJSONLine(f *testing.F) {
	for _, e := range sampleEvents(4) {
		f.Add(jsonOf(e))
	}
	f.Add([]byte(`{"id":"b","amount":{"amount":"1e9"}}`))
	f.Add([]byte("{\"attributes\":[1,{\"x\":null}]}"))
	f.Fuzz(func(t *testing.T, line []byte) {
		line = bytes.TrimSpace(line)
		if bytes.ContainsAny(line, "\n") {
			t.Skip()
		}
		var e record.Event
		if decodeLine(record.Events, line, &e) == nil && e.Validate() == nil {
			doc, err := json.Marshal(&e)
			check(t, err)
			var again record.Event
			check(t, decodeLine(record.Events, doc, &again))
			b, _ := json.Marshal(&again)
			if !bytes.Equal(doc, b) {
				t.Errorf("%s comes back as %s", doc, b)
			}
		}
		_ = decodeLine(record.Partners, line, new(record.Partner))
		_ = decodeLine(record.Leads, line, new(record.Lead))
	})
}

func FuzzParquet(f *testing.F) {
	for _, format := range []Format{Parquet, ArrowIPC} {
		b, err := os.ReadFile(filepath.Join(write(f, format, nil, nil, sampleEvents(20), nil), "events."+format.String()))
		check(f, err)
		f.Add(b, format == Parquet)
	}
	f.Fuzz(func(t *testing.T, content []byte, isParquet bool) {
		name := "events.arrow"
		if isParquet {
			name = "events.parquet"
		}
		d, err := Open(lines(t, name, content))
		check(t, err)
		_, _ = d.Events(ctx, ReadOptions{}, func(b []record.Event) error {
			for i := range b {
				check(t, b[i].Validate())
			}
			return nil
		})
	})
}

// The nouns with lists of structs and documents, which events have not.
func FuzzNestedParquet(f *testing.F) {
	for _, format := range []Format{Parquet, ArrowIPC} {
		dir := write(f, format, []record.Partner{samplePartner(1), samplePartner(2)}, []record.Lead{sampleLead(1), sampleLead(2)}, nil, nil)
		for _, noun := range []string{"partners", "leads"} {
			b, err := os.ReadFile(filepath.Join(dir, noun+"."+format.String()))
			check(f, err)
			f.Add(b, noun, format == Parquet)
		}
	}
	f.Fuzz(func(t *testing.T, content []byte, noun string, isParquet bool) {
		if !slices.Contains(nouns, noun) {
			t.Skip()
		}
		name := noun + ".arrow"
		if isParquet {
			name = noun + ".parquet"
		}
		d, err := Open(lines(t, name, content))
		check(t, err)
		_, _ = d.Partners(ctx, ReadOptions{}, func(p *record.Partner) error { check(t, p.Validate()); return nil })
		_, _ = d.Leads(ctx, ReadOptions{}, func(l *record.Lead) error { check(t, l.Validate()); return nil })
		_, _ = d.Decisions(ctx, ReadOptions{}, func(r *record.Decision) error { check(t, r.Validate()); return nil })
	})
}

func FuzzManifest(f *testing.F) {
	b, err := os.ReadFile(filepath.Join(write(f, JSONLines, nil, []record.Lead{sampleLead(1)}, nil, nil), "manifest.json"))
	check(f, err)
	f.Add(b)
	f.Add([]byte(`{"format":"bellwether-data/1","records":{"leads":{"files":[{"name":"../../x"},{}]}}}`))
	f.Fuzz(func(t *testing.T, content []byte) {
		dir := lines(t, "manifest.json", content)
		check(t, os.WriteFile(filepath.Join(dir, "leads.jsonl"), []byte("{}\n"), 0o644))
		if d, err := Open(dir); err == nil && d.Manifest() == nil {
			t.Errorf("%s is no manifest and no error", content)
		}
	})
}

func BenchmarkEvents(b *testing.B) {
	events := sampleEvents(1_000_000)
	for f := range Format(len(formatNames)) {
		b.Run(f.String(), func(b *testing.B) {
			if f == JSONLines {
				events = events[:100_000]
			}
			path := write(b, f, nil, nil, events, nil)
			b.ResetTimer()
			for b.Loop() {
				d, err := Open(path)
				check(b, err)
				_, err = d.Events(ctx, ReadOptions{}, func([]record.Event) error { return nil })
				check(b, err)
			}
			b.ReportMetric(float64(len(events))*float64(b.N)/b.Elapsed().Seconds(), "events/s")
		})
	}
}

// A Parquet file as other programs write them: row groups of any length, each
// with dictionaries of its own, some of which were given up half-way.
func TestForeignRowGroupsAndDictionaries(t *testing.T) {
	dir := t.TempDir()
	f, err := os.Create(filepath.Join(dir, "events.parquet"))
	check(t, err)
	props := parquet.NewWriterProperties(parquet.WithDictionaryPageSizeLimit(300), parquet.WithDataPageSize(500), parquet.WithBatchSize(100))
	out, err := pqarrow.NewFileWriter(record.Events.Schema(), f, props, pqarrow.NewArrowWriterProperties())
	check(t, err)
	events := sampleEvents(20_000)
	b := record.Events.NewBuilder()
	for i := range events {
		events[i].Reason = fmt.Sprint("reason ", i%3000)
		b.Append(&events[i])
		if b.Len() == 2500+i%7 || i == len(events)-1 {
			check(t, out.Write(b.NewRecord()))
			b.Forget()
		}
	}
	check(t, out.Close())
	got, _ := readEvents(t, dir)
	same(t, got, events)
}

func TestMappingOfTheDocs(t *testing.T) {
	b, err := os.ReadFile(filepath.Join("..", "docs", "data.md"))
	check(t, err)
	_, rest, ok := strings.Cut(string(b), "### The mapping\n\n```yaml\n")
	doc, _, closed := strings.Cut(rest, "```")
	if !ok || !closed {
		t.Fatal("docs/data.md shows no mapping")
	}
	if _, err := ParseMapping("docs/data.md", []byte(doc)); err != nil {
		t.Error(err)
	}
}

// Bad rows of a Parquet file: the rows about them are kept as they are.
func TestBadRowsOfParquetAreSetAside(t *testing.T) {
	events := sampleEvents(10)
	bad := slices.Clone(events)
	bad[2].Amount.Amount = -5
	bad[4].ID = record.EventID(strings.Repeat("x", 10_000))
	bad[5].Numbers = map[string]float64{"propensity": math.NaN()}
	bad[8].ID = "b\xff"
	b := record.Events.NewBuilder()
	for i := range bad {
		b.Append(&bad[i])
	}
	dir := t.TempDir()
	f, err := os.Create(filepath.Join(dir, "events.parquet"))
	check(t, err)
	out, err := pqarrow.NewFileWriter(record.Events.Schema(), f, nil, pqarrow.NewArrowWriterProperties())
	check(t, err)
	check(t, out.Write(b.NewRecord()))
	check(t, out.Close())
	got, counts := readEvents(t, dir)
	same(t, got, []record.Event{events[0], events[1], events[3], events[6], events[7], events[9]})
	if counts != (Counts{In: 10, Kept: 6, Quarantined: 4}) {
		t.Errorf("counts %+v", counts)
	}
	var seen []string
	for _, f := range faults(t, dir) {
		seen = append(seen, fmt.Sprintf("%s %d %s %.20s", f.File, f.Row, f.Column, f.Value))
	}
	want := []string{"events.parquet 3 amount.amount -5", "events.parquet 5 id xxxxxxxxxxxxxxxxxxxx", "events.parquet 6 numbers.propensity ", "events.parquet 9 id b\uFFFD"}
	if !slices.Equal(seen, want) {
		t.Errorf("quarantined %q\nwant %q", seen, want)
	}
}
