package bellwether_test

import (
	"encoding/json"
	"os/exec"
	"strings"
	"testing"
)

// floors is the house (ARCHITECTURE.md): a package may import packages of lower
// floors only, and of its own floor only what peers names.
var floors = map[string]int{
	"bellwether/datasets/record":           0,
	"bellwether/models":                    0,
	"bellwether/models/wire":               0,
	"bellwether/models/design":             0,
	"bellwether/models/grid":               0,
	"bellwether/models/metric":             0,
	"bellwether/models/target":             0,
	"bellwether/models/calibrate":          0,
	"bellwether/models/gbdt":               0,
	"bellwether/models/exchange":           0,
	"bellwether/models/picture":            0,
	"bellwether/models/logit":              0,
	"bellwether/models/scorecard":          0,
	"bellwether/models/forest":             0,
	"bellwether/models/bayes":              0,
	"bellwether/models/anomaly":            0,
	"bellwether/models/survival":           0,
	"bellwether/models/text":               0,
	"bellwether/features":                  1,
	"bellwether/datasets":                  1,
	"bellwether/datasets/public":           1,
	"bellwether/datasets/synth":            1,
	"bellwether/models/trial":              1,
	"bellwether/models/registry":           1,
	"bellwether/models/modeltest":          1,
	"bellwether/models/tune":               2,
	"bellwether/routing":                   2,
	"bellwether/health":                    2,
	"bellwether/serving/store":             2,
	"bellwether/serving":                   3,
	"bellwether/serving/gateway":           4,
	"bellwether/serving/web":               4,
	"bellwether/serving/web/page":          4,
	"bellwether/serving/web/start":         4,
	"bellwether/serving/web/decision":      4,
	"bellwether/serving/web/atrisk":        4,
	"bellwether/serving/web/partner":       4,
	"bellwether/serving/web/models":        4,
	"bellwether/serving/gen/bellwether/v1": 4,
	"bellwether/cmd/bellwether":            5,
}

// peers are the imports allowed within one floor.
var peers = map[string]bool{
	"bellwether/datasets/public -> bellwether/datasets":                  true,
	"bellwether/datasets/synth -> bellwether/datasets":                   true,
	"bellwether/serving/gateway -> bellwether/serving/gen/bellwether/v1": true,
}

// homes are the outside packages that only one of ours may import.
var homes = map[string][]string{
	"github.com/dgraph-io/badger/v4":                    {"bellwether/serving/store"},
	"bellwether/serving/gen/bellwether/v1":              {"bellwether/serving/gateway"},
	"github.com/grpc-ecosystem/grpc-gateway/v2/runtime": {"bellwether/serving/gateway", "bellwether/serving/gen/bellwether/v1"},
	"github.com/spf13/cobra":                            {"bellwether/cmd/bellwether"},
	"gonum.org/v1/plot":                                 {"bellwether/models/picture"},
}

type pkg struct {
	ImportPath string
	Imports    []string
}

func listPackages(t *testing.T) []pkg {
	t.Helper()
	out, err := exec.Command("go", "list", "-json=ImportPath,Imports", "./...").Output()
	if err != nil {
		t.Fatalf("go list: %v", err)
	}
	var pkgs []pkg
	for dec := json.NewDecoder(strings.NewReader(string(out))); dec.More(); {
		var p pkg
		if err := dec.Decode(&p); err != nil {
			t.Fatal(err)
		}
		pkgs = append(pkgs, p)
	}
	return pkgs
}

func TestFloors(t *testing.T) {
	for _, p := range listPackages(t) {
		if p.ImportPath == "bellwether" {
			continue // these tests
		}
		floor, ok := floors[p.ImportPath]
		if !ok {
			t.Errorf("%s stands on no floor: give it one in floors_test.go and in ARCHITECTURE.md", p.ImportPath)
			continue
		}
		for _, imp := range p.Imports {
			if only, ok := homes[imp]; ok && !contains(only, p.ImportPath) {
				t.Errorf("%s imports %s, which only %s may", p.ImportPath, imp, strings.Join(only, ", "))
			}
			below, ours := floors[imp]
			if !ours || allowed(p.ImportPath, imp, floor, below) {
				continue
			}
			t.Errorf("%s (floor %d) imports %s (floor %d): imports point down", p.ImportPath, floor, imp, below)
		}
	}
}

// allowed reports whether one of our packages may import another. On floor 0,
// the kernels of models import each other and models, and nothing of datasets;
// the list of pages imports the pages, and these what they share.
func allowed(from, to string, floor, below int) bool {
	if below < floor || peers[from+" -> "+to] {
		return true
	}
	if strings.HasPrefix(from, "bellwether/serving/web") && strings.HasPrefix(to, "bellwether/serving/web/") {
		return true
	}
	return floor == 0 && below == 0 && strings.HasPrefix(from, "bellwether/models") && strings.HasPrefix(to, "bellwether/models")
}

func contains(list []string, s string) bool {
	for _, x := range list {
		if x == s {
			return true
		}
	}
	return false
}
