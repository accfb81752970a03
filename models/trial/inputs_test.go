package trial

import (
	"bytes"
	"encoding/json"
	"fmt"
	"math"
	"slices"
	"strings"
	"testing"

	"bellwether/models"
	"bellwether/models/gbdt"
	"bellwether/models/logit"
)

func letters(column string, code float64) string {
	for _, s := range []string{"a", "b"} {
		if column == "c" && models.Code(s) == code {
			return s
		}
	}
	return ""
}

// In the world x matters most, c some and dust not, whoever measures.
func TestImportanceThreeWays(t *testing.T) {
	table := world(5000, 31, false)
	before := table.Take(slices.Collect(func(yield func(int) bool) {
		for i := range table.Len() {
			if !yield(i) {
				return
			}
		}
	}))
	r, p := mustRun(t, table, Config{Learners: small()[:1], Text: letters})
	by := map[string]Importance{}
	for _, i := range r.Importance {
		by[i.Column] = i
	}
	x, c, dust := by["x"], by["c"], by["dust"]
	if r.Importance[0].Column != "x" || !(x.Share > c.Share && c.Share > dust.Share) {
		t.Errorf("gain: %+v", r.Importance)
	}
	if !(x.PermutationLo > c.PermutationHi && c.PermutationLo > 0 && math.Abs(float64(dust.Permutation)) < 0.005) {
		t.Errorf("permutation: x %+v, c %+v, dust %+v", x, c, dust)
	}
	if !(x.Shapley > 2*c.Shapley && c.Shapley > 2*dust.Shapley) {
		t.Errorf("Shapley: x %v, c %v, dust %v", x.Shapley, c.Shapley, dust.Shapley)
	}
	for j := range table.X {
		if !slices.Equal(table.X[j], before.X[j]) {
			t.Errorf("column %d was changed", j)
		}
	}
	again, q := mustRun(t, table, Config{Learners: small()[:1], Text: letters})
	a, err := NewCard("deals", r, p, nil).Files(p)
	if err != nil {
		t.Fatal(err)
	}
	b, err := NewCard("deals", again, q, nil).Files(q)
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"card.md", "dependence.svg"} {
		if len(a[name]) == 0 || !bytes.Equal(a[name], b[name]) {
			t.Errorf("%s: %d bytes, the same again: %v", name, len(a[name]), bytes.Equal(a[name], b[name]))
		}
	}
	for _, want := range []string{"- Gain:", "- Permutation:", "- Shapley:", "| column | gain | permutation | 95 % interval | Shapley |", "![dependence](dependence.svg)"} {
		if !strings.Contains(string(a["card.md"]), want) {
			t.Errorf("the card lacks %q", want)
		}
	}
	if len(a["dependence.svg"]) > 100_000 {
		t.Errorf("a picture of %d bytes", len(a["dependence.svg"]))
	}
}

// The mean probability rises with x as the world's does, and is highest for a.
func TestDependence(t *testing.T) {
	r, _ := mustRun(t, world(5000, 32, false), Config{Learners: small()[:1], Text: letters})
	if len(r.Dependence) != 2 || r.Dependence[0].Column != "x" || r.Dependence[1].Column != "c" {
		t.Fatalf("dependence %+v", r.Dependence)
	}
	x, c := r.Dependence[0].Points, r.Dependence[1].Points
	if len(x) != dependenceGrid || x[0].Mean > 0.25 || x[len(x)-1].Mean < 0.8 {
		t.Errorf("x: %+v", x)
	}
	share := 0.0
	for _, p := range x {
		share += float64(p.Share)
		if p.Lo > p.Mean || p.Mean > p.Hi {
			t.Errorf("%+v: the mean is outside the middle of the rows", p)
		}
	}
	if math.Abs(share-1) > 1e-9 {
		t.Errorf("the points of x have %v of the rows", share)
	}
	byText := map[string]Number{}
	for _, p := range c {
		byText[p.Text] = p.Mean
	}
	if len(c) != 3 || byText["a"] < byText["b"]+0.05 {
		t.Errorf("c: %+v", c)
	}
	if !slices.ContainsFunc(c, func(p DependencePoint) bool { return strings.HasPrefix(p.Text, "no. ") }) {
		t.Errorf("a level nobody knows has no place: %+v", c)
	}
}

// A learner without gains and Shapley values has its columns by permutation, and
// null for what it cannot say.
func TestImportanceOfOthers(t *testing.T) {
	r, _ := mustRun(t, world(3000, 33, false), Config{Learners: []models.Learner{logit.Learner{}}})
	if len(r.Importance) != 3 || r.Importance[0].Column != "x" || !(r.Importance[0].PermutationLo > 0) {
		t.Fatalf("%+v", r.Importance)
	}
	b, err := json.Marshal(r.Importance[0])
	if err != nil || !strings.Contains(string(b), `"share":null`) || !strings.Contains(string(b), `"shapley":null`) {
		t.Errorf("%s, %v", b, err)
	}
}

// However wide the table, no more rows are scored than were promised.
func TestImportanceIsBounded(t *testing.T) {
	table := world(3000, 34, false)
	for k := range 200 {
		table.Columns = append(table.Columns, models.Column{Name: fmt.Sprint("copy", k)})
		table.X = append(table.X, table.X[k%3])
	}
	r, _ := mustRun(t, table, Config{Learners: []models.Learner{gbdt.Learner{Trees: 10, FeatureFraction: 0.1}}})
	permuted := 0
	for _, i := range r.Importance {
		if !math.IsNaN(float64(i.Permutation)) {
			permuted++
		}
	}
	if permuted > permutedColumns || permuted == 0 || len(r.Dependence) > dependencePlots {
		t.Errorf("%d columns permuted, %d followed", permuted, len(r.Dependence))
	}
}

func TestMeanInterval(t *testing.T) {
	mean, half := meanInterval([]float64{1, 2, 3, 4, 5})
	if mean != 3 || math.Abs(half-1.9632) > 1e-4 { // R: t.test(1:5)
		t.Errorf("%v ± %v", mean, half)
	}
}

func TestGrid(t *testing.T) {
	nan := math.NaN()
	for _, c := range []struct {
		name           string
		col            []float64
		category       bool
		values, shares []float64
	}{
		{"numbers that repeat", []float64{1, 1, 1, 2, nan}, false, []float64{1, 2}, []float64{.6, .2}},
		{"nothing", []float64{nan, nan}, false, nil, nil},
		{"the commonest first", []float64{7, 9, 9, nan}, true, []float64{9, 7}, []float64{.5, .25}},
	} {
		values, shares := grid(c.col, c.category)
		if !slices.Equal(values, c.values) || !slices.Equal(shares, c.shares) {
			t.Errorf("%s: %v with %v", c.name, values, shares)
		}
	}
}
