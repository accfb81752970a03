package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// What a name ends in and what is written there are the same, or it is wrong use,
// told before anything is read.
func TestEndingsOfOut(t *testing.T) {
	dir := t.TempDir()
	to := func(name string) string { return filepath.Join(dir, name) }
	for _, c := range []struct{ args, out, want string }{
		{"report at-risk --data none --format csv", "x.json", "--format csv"},
		{"report at-risk --data none --format html", "x.CSV", "--format html"},
		{"report at-risk --data none --format csv", "x.csv.gz", "leave .gz out"},
		{"report at-risk --data none", "x.pdf", ".html, .csv, .json, .parquet"},
		{"report at-risk --data none --format pdf", "x.pdf", "html, csv, json or parquet"},
		{"export --store none", "x.json", "a directory"},
		{"export --store none --format jsonl", "x.jsonl", "a directory"},
		{"export --server http://127.0.0.1:1", "x.csv.gz", "a directory"},
		{"synth", "x.parquet", "a directory"},
		{"import olist --in none", "x.arrow", "a directory"},
		{"predict --models none --model m --in t.csv", "x.json", ".csv, .csv.gz or .parquet"},
		{"models export m --models none", "x.zip", ".tar.gz, .tgz, .txt, .json or .ubj"},
		{"models export m --models none --in t.csv --encoded y.json", "x.txt", "--encoded y.json"},
	} {
		code, _, said := called(append(strings.Fields(c.args), "--out", to(c.out))...)
		if code != 2 || !strings.Contains(said, c.want) || !strings.Contains(said, "--out "+to(c.out)) && !strings.Contains(said, "--encoded") && !strings.Contains(said, "--format \"pdf\"") {
			t.Errorf("%s --out %s: exit %d, want 2 with %q: %s", c.args, c.out, code, c.want, said)
		}
	}
	file := place(t, "file", "")
	for _, args := range []string{"features --data none --out", "tune win --data none --out", "train win --data none --models"} {
		if code, _, said := called(append(strings.Fields(args), file)...); code != 1 || !strings.Contains(said, file+" is a file: name a directory") {
			t.Errorf("%s a file: exit %d, %s", args, code, said)
		}
	}
	// Names that are right get as far as what is not there.
	for _, args := range []string{
		"report at-risk --data none --out x.csv", "report at-risk --data none --out X.CSV", "report at-risk --data none --format csv --out x.txt",
		"report at-risk --data none --out report", "report at-risk --data none --format json", "export --store none --out v1.2",
		"import olist --in none --out olist.2024", "models export m --models none --out x.tgz",
	} {
		if code, _, said := called(strings.Fields(args)...); code != 1 || !strings.Contains(said, "none") {
			t.Errorf("%s: exit %d, want 1: %s", args, code, said)
		}
	}
	for _, args := range []string{"report at-risk --data none --out nodir/x.html", "report at-risk --data none --format csv --out nodir/x", "models export m --models none --out nodir/x.txt",
		"models export m --models none --out nodir/x.tar.gz", "models export m --models none --in t.csv --out x.txt --encoded nodir/x.csv", "predict --models none --model m --in t.csv --out nodir/x.csv"} {
		if code, _, said := called(strings.Fields(args)...); code != 1 || !strings.Contains(said, "there is no directory nodir: make it first") {
			t.Errorf("%s: exit %d: %s", args, code, said)
		}
	}
	if left, _ := os.ReadDir(dir); len(left) > 0 {
		t.Errorf("left behind: %v", left)
	}
}
