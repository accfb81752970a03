package main

import (
	"bytes"
	"encoding/json"
	"io"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"

	"bellwether/datasets"
	"bellwether/datasets/record"
	"bellwether/routing"

	"github.com/apache/arrow/go/v17/arrow/memory"
	"github.com/apache/arrow/go/v17/parquet/pqarrow"
)

// TestFeaturesCommandWritesWholeTables makes the tables of a small world and
// holds the files against the manifest.
func TestFeaturesCommandWritesWholeTables(t *testing.T) {
	dir := t.TempDir()
	world, out := filepath.Join(dir, "world"), filepath.Join(dir, "tables")
	var stdout, stderr bytes.Buffer
	s := &streams{Out: &stdout, Err: &stderr}
	if code := run(t.Context(), []string{"synth", "--out", world, "--partners", "20", "--leads", "400", "--days", "120"}, s); code != 0 {
		t.Fatalf("synth: %d, %s", code, &stderr)
	}
	stdout.Reset()
	if code := run(t.Context(), []string{"features", "--data", world, "--out", out, "--json"}, s); code != 0 {
		t.Fatalf("features: %d, %s", code, &stderr)
	}
	var m tablesManifest
	if err := json.Unmarshal(stdout.Bytes(), &m); err != nil {
		t.Fatal(err)
	}
	for name, rows := range map[string]int64{"offers": m.Stats.Offers, "months": m.Stats.Months} {
		table, _, err := datasets.ReadTable(filepath.Join(out, name+".parquet"), datasets.TableOptions{})
		if err != nil {
			t.Fatal(err)
		}
		if rows == 0 || int64(table.Len()) != rows {
			t.Errorf("%s holds %d rows, the manifest says %d", name, table.Len(), rows)
		}
	}
	checkLabels(t, world, out)
	if set, err := m.Spec.Set(); err != nil || set.Fingerprint() != m.Fingerprint {
		t.Errorf("the manifest's set cannot be made again: %v", err)
	}
	if code := run(t.Context(), []string{"features", "--data", world, "--out", out}, s); code != 1 {
		t.Errorf("a directory that holds something was answered with %d", code)
	}
	if _, err := os.Stat(filepath.Join(out, "manifest.json")); err != nil {
		t.Error(err)
	}
	if code := run(t.Context(), []string{"features", "--data", world}, s); code != 2 {
		t.Errorf("without --out: exit code %d", code)
	}
}

// checkLabels holds the files of labels against the events they are of.
func checkLabels(t *testing.T, world, out string) {
	t.Helper()
	dir, err := datasets.Open(world)
	if err != nil {
		t.Fatal(err)
	}
	var labels routing.Labels
	if _, err := dir.Events(t.Context(), datasets.ReadOptions{}, func(batch []record.Event) error {
		for i := range batch {
			labels.Observe(&batch[i])
		}
		return nil
	}); err != nil {
		t.Fatal(err)
	}
	rows, of := readText(t, filepath.Join(out, "offers.parquet")), readText(t, filepath.Join(out, "offer_labels.parquet"))
	if len(rows["event"]) != len(of["event"]) {
		t.Fatalf("%d offers, %d labels", len(rows["event"]), len(of["event"]))
	}
	told := map[string]int{}
	for i, id := range of["event"] {
		if id != rows["event"][i] {
			t.Fatalf("label %d is of %s, the row of %s", i, id, rows["event"][i])
		}
		want := "(null)"
		if y, known, counts := labels.Win(record.EventID(id)); counts && known != math.MaxInt64 {
			want = strconv.FormatBool(y == 1)
		}
		if told[want]++; of["won"][i] != want || (of["won_known_at"][i] == "(null)") != (want == "(null)") {
			t.Fatalf("offer %s: won is %s, known %s; want %s", id, of["won"][i], of["won_known_at"][i], want)
		}
	}
	months, left := readText(t, filepath.Join(out, "months.parquet")), readText(t, filepath.Join(out, "month_labels.parquet"))
	if !slices.Equal(months["partner"], left["partner"]) || !slices.Equal(months["at"], left["at"]) || len(left["at"]) == 0 {
		t.Error("the labels of months are not row for row those of the table")
	}
	if told["true"] == 0 || told["false"] == 0 || told["(null)"] == 0 {
		t.Errorf("not every answer occurs: %v", told)
	}
}

// readText reads all columns of a Parquet file as texts.
func readText(t *testing.T, path string) map[string][]string {
	t.Helper()
	f, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	table, err := pqarrow.ReadTable(t.Context(), f, nil, pqarrow.ArrowReadProperties{}, memory.DefaultAllocator)
	if err != nil {
		t.Fatal(err)
	}
	out := map[string][]string{}
	for j := range int(table.NumCols()) {
		c := table.Column(j)
		for _, chunk := range c.Data().Chunks() {
			for i := range chunk.Len() {
				out[c.Name()] = append(out[c.Name()], chunk.ValueStr(i))
			}
		}
	}
	return out
}

// TestFeaturesCommandCountsWhatItSetsAside types the command over rows of every
// kind of badness.
func TestFeaturesCommandCountsWhatItSetsAside(t *testing.T) {
	world := filepath.Join(t.TempDir(), "world")
	if err := os.Mkdir(world, 0o755); err != nil {
		t.Fatal(err)
	}
	for name, text := range map[string]string{
		"partners.jsonl": `{"id":"p1"}`,
		"events.jsonl": "\xef\xbb\xbf" + `{"id":"e1","type":"portal_login","at":"2024-01-01T00:00:00Z","partner":"p1"}` + "\r\n" +
			`{"id":"e2","type":"portal_login","at":"01/02/2024","partner":"p1"}` + "\r\n" +
			`{"id":"e3","type":"deal_won","at":"2024-01-02T00:00:00Z","partner":"p1","amount":{"amount":"-5","currency":"EUR"}}` + "\n" +
			`{"id":"e4","type":"deal_won","at":"2024-01-02T00:00:00Z","partner":"p1","amount":{"amount":"5","currency":"XQZ"}}` + "\n" +
			`{"id":"e5","type":"survey","at":"2024-01-02T00:00:00Z","partner":"p1","numbers":{"score":NaN}}` + "\n" +
			`{"id":"` + strings.Repeat("x", 10_000) + `","type":"portal_login","at":"2024-01-02T00:00:00Z","partner":"p1"}` + "\n" +
			"{\"id\":\"e\xff\",\"type\":\"portal_login\",\"at\":\"2024-01-02T00:00:00Z\",\"partner\":\"p1\"}\n",
	} {
		if err := os.WriteFile(filepath.Join(world, name), []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	var stderr bytes.Buffer
	s := &streams{Out: io.Discard, Err: &stderr}
	if code := run(t.Context(), []string{"features", "--data", world, "--out", filepath.Join(world, "out")}, s); code != 0 {
		t.Fatalf("exit code %d, %s", code, &stderr)
	}
	quarantine := filepath.Join(world, "quarantine.jsonl")
	want := "events: 7 rows in = 1 kept + 6 quarantined; what was set aside, and why: " + quarantine + "\n"
	if got := stderr.String(); strings.Count(got, want) != 1 || strings.Contains(got, "partners:") {
		t.Errorf("said %q\nwant %q in it", got, want)
	}
	if b, err := os.ReadFile(quarantine); err != nil || bytes.Count(b, []byte("\n")) != 6 {
		t.Errorf("quarantined %s, %v", b, err)
	}
}
