package design_test

import (
	"math"
	"slices"
	"testing"

	"pgregory.net/rapid"

	"bellwether/models"
	"bellwether/models/design"
	"bellwether/models/modeltest"
	"bellwether/models/wire"
)

// drawTable draws numbers and categories with holes, ties and far values.
func drawTable(t *rapid.T) *models.Table {
	n := rapid.IntRange(1, 30).Draw(t, "n")
	u := &models.Table{}
	for range rapid.IntRange(1, 4).Draw(t, "width") {
		kind := models.Kind(rapid.IntRange(0, 1).Draw(t, "kind"))
		col := make([]float64, n)
		for i := range col {
			switch {
			case rapid.IntRange(0, 4).Draw(t, "hole") == 0:
				col[i] = math.NaN()
			case kind == models.Category:
				col[i] = float64(rapid.IntRange(0, 5).Draw(t, "code"))
			default:
				col[i] = rapid.Float64Range(-math.MaxFloat64, math.MaxFloat64).Draw(t, "x")
			}
		}
		u.X, u.Columns = append(u.X, col), append(u.Columns, models.Column{Kind: kind})
	}
	return u
}

// Every row has one finite entry per input, each in a slot of its column; Dot
// and Dense agree with the entries, and a decoded encoder with the first.
func TestEntries(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		train, other := drawTable(t), drawTable(t)
		e := design.Fit(train, design.Options{MinLevel: 2, MaxLevels: 3})
		msg := wire.NewEncoder("dsgn")
		e.Encode(msg)
		back := design.Decode(wire.NewDecoder("dsgn", msg.Seal()))
		slots := e.Describe()
		row, dense, coef := make([]float64, e.Inputs()), make([]float64, e.Slots()), make([]float64, e.Slots())
		for k := range coef {
			coef[k] = float64(k + 1)
		}
		want := 0.
		for j := range row {
			row[j] = other.X[j%other.Width()][0]
			slot, v := e.Entry(j, row[j])
			if math.IsNaN(v) || math.Abs(v) > design.Limit {
				t.Fatalf("entry of %v is %v", row[j], v)
			}
			if slots[slot].Column != j {
				t.Fatalf("slot %d of column %d is said to be column %d's", slot, j, slots[slot].Column)
			}
			if s2, v2 := back.Entry(j, row[j]); s2 != slot || v2 != v {
				t.Fatalf("decoded: %d, %v; was %d, %v", s2, v2, slot, v)
			}
			want += coef[slot] * v
		}
		if got := e.Dot(coef, row); math.Abs(got-want) > 1e-9 {
			t.Fatalf("Dot %v, want %v", got, want)
		}
		e.Dense(dense, row)
		got := 0.
		for k, v := range dense {
			got += coef[k] * v
		}
		if math.Abs(got-want) > 1e-9 {
			t.Fatalf("Dense sums to %v, want %v", got, want)
		}
	})
}

func TestStandardised(t *testing.T) {
	u := &models.Table{
		Columns: []models.Column{{Name: "x"}, {Name: "long tail"}, {Name: "none"}},
		X: [][]float64{
			{1, 2, 3, 4, math.NaN(), 99},
			{0, 0, 0, 0, 1e6, 99},
			slices.Repeat([]float64{math.NaN()}, 6),
		},
		Weight: []float64{5, 1, 1, 1, 1, 0},
	}
	e := design.Fit(u, design.Options{})
	d := e.Describe()
	if sd := math.Sqrt(1.1875); math.Abs(d[0].SD-sd) > 1e-12 {
		t.Errorf("sd %v, want %v: the row of weight 0 must not count", d[0].SD, sd)
	}
	if _, v := e.Entry(0, 1.75); v != 0 {
		t.Errorf("the mean enters as %v", v)
	}
	if slot, _ := e.Entry(0, math.NaN()); !d[slot].Missing {
		t.Error("missing has no slot of its own")
	}
	if slot, v := e.Entry(1, math.NaN()); d[slot].Missing || v != 0 {
		t.Errorf("missing where none was: slot %+v, %v; want the mean", d[slot], v)
	}
	if last, _ := e.Entry(1, 5); !d[last].Log {
		t.Error("a skewed column does not enter as a logarithm")
	}
	if _, v := e.Entry(2, 7); v != 0 {
		t.Errorf("a column never seen present enters as %v", v)
	}
}

func TestLevels(t *testing.T) {
	u := &models.Table{Columns: []models.Column{{Kind: models.Category}},
		X: [][]float64{{7, 7, 7, 3, 3, 5, 5, 5, 9, math.NaN()}}}
	e := design.Fit(u, design.Options{MinLevel: 2, MaxLevels: 2})
	d := e.Describe()
	for x, want := range map[float64]design.Slot{
		7: {Level: 7}, 5: {Level: 5}, 3: {Other: true}, 9: {Other: true}, 1: {Other: true},
	} {
		if slot, v := e.Entry(0, x); d[slot] != want || v != 1 {
			t.Errorf("level %v: %+v, %v; want %+v", x, d[slot], v, want)
		}
	}
	if slot, _ := e.Entry(0, math.NaN()); !d[slot].Missing {
		t.Errorf("missing level: %+v", d[slot])
	}
}

func TestNewest(t *testing.T) {
	u := modeltest.Easy(1000, 1)
	for i := range u.At { // newest first
		u.At[i] = int64(-i)
	}
	rows := design.Newest(u, 100)
	if len(rows) != 100 || !slices.IsSorted(rows) {
		t.Fatalf("%d rows", len(rows))
	}
	if rows[len(rows)-1] > 200 {
		t.Errorf("row %d is not among the newest", rows[len(rows)-1])
	}
	ones := func(rows []int) (n float64) {
		for _, i := range rows {
			n += u.Y[i]
		}
		return n / float64(len(rows))
	}
	if all := ones(design.Newest(u, 5000)); math.Abs(ones(rows)-all) > .01 {
		t.Errorf("share of ones %.3f, among all %.3f", ones(rows), all)
	}
}
