package main

import (
	"encoding/json"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"bellwether/datasets/record"

	"pgregory.net/rapid"
)

// TestDemo runs the loop on a small world: whatever the model is worth there,
// no policy beats the one that knows the truth.
func TestDemo(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "demo")
	code, out, said := called("demo", "--once", "--json", "--dir", dir, "--partners", "20", "--leads", "800", "--days", "400")
	var r demoReport
	if err := json.Unmarshal([]byte(out), &r); code != 0 || err != nil {
		t.Fatalf("exit %d, %v: %s", code, err, said)
	}
	for name, v := range r.Policy {
		if !(v > 0 && v <= r.Policy["oracle"] && v < 1) {
			t.Errorf("%s is worth %v, the oracle %v", name, v, r.Policy["oracle"])
		}
		if !strings.Contains(said, "| "+name) {
			t.Errorf("people are not told of %s", name)
		}
	}
	if len(r.Policy) != 6 || r.Leads == 0 || r.Leads >= 800 || len(r.Routes) != demoRoutes {
		t.Errorf("%d policies on %d leads, %d routed", len(r.Policy), r.Leads, len(r.Routes))
	}
	for _, k := range r.Routes {
		if k.Chosen == "" || k.Eligible < 1 || !(k.Propensity > 0 && k.Propensity <= 1) || !(k.Win >= 0 && k.Win <= 1) {
			t.Errorf("routed %+v", k)
		}
	}
	for _, name := range []string{"data", "store"} {
		if _, err := os.Stat(filepath.Join(dir, name)); err != nil {
			t.Error(err)
		}
	}
	if code, _, said := called("demo", "--json"); code != 2 || !strings.Contains(said, "--once") {
		t.Errorf("--json alone: exit %d, %s", code, said)
	}
}

// A world too short to learn who leaves is shown without that model.
func TestDemoOfAShortWorld(t *testing.T) {
	code, out, said := called("demo", "--once", "--json", "--partners", "10", "--leads", "200", "--days", "60")
	var r demoReport
	if err := json.Unmarshal([]byte(out), &r); code != 0 || err != nil || len(r.Routes) != demoRoutes || !math.IsNaN(float64(r.Churn.AUC)) || !strings.Contains(said, "The churn model is not published: ") {
		t.Errorf("exit %d, %v: %s%s", code, err, out, said)
	}
}

// Going round gives everybody a turn before anybody has a second one.
func TestAfterGoesRound(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		ids := rapid.SliceOfNDistinct(rapid.StringMatching(`P[0-9]{2}`), 1, 9, rapid.ID).Draw(t, "ids")
		slices.Sort(ids)
		list := make([]record.PartnerID, len(ids))
		for i, id := range ids {
			list[i] = record.PartnerID(id)
		}
		at := record.PartnerID(rapid.StringMatching(`P[0-9]{2}`).Draw(t, "last")) // who may have left
		seen := map[record.PartnerID]bool{}
		for range list {
			at = after(list, at)
			seen[at] = true
		}
		if len(seen) != len(list) {
			t.Fatalf("of %v a round met %d", list, len(seen))
		}
	})
	if got := after(nil, "P1"); got != "" {
		t.Errorf("of nobody: %q", got)
	}
}
