package trial

import (
	"math"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"bellwether/models"

	"pgregory.net/rapid"
)

// Every row a step lost has its reason, and each number is what counting the rows
// one by one gives.
func TestTallyAccountsForEveryRow(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		n := rapid.IntRange(30, 80).Draw(t, "rows")
		table, c := &models.Table{Y: make([]float64, n)}, &Config{}
		c.Eval = rapid.SliceOfN(rapid.Bool(), n, n).Draw(t, "eval")
		timed := rapid.Bool().Draw(t, "timed")
		if timed {
			table.At, table.Known, c.Open = make([]int64, n), make([]int64, n), make([]bool, n)
			for i := range n {
				table.At[i] = int64(i)
				table.Known[i] = int64(i) + rapid.Int64Range(0, 20).Draw(t, "delay")
				if rapid.IntRange(0, 9).Draw(t, "never") == 0 {
					table.Known[i] = math.MaxInt64
				}
				c.Open[i] = i > n/2 && i < n/2+5
			}
			c.TestFrom, c.ValidFrom = time.Unix(int64(n*3/4), 0), time.Unix(int64(n*2/4), 0)
			c.Eval[n*3/4-1], c.Eval[n-1] = true, true
		}
		s, err := divide(table, c, 1)
		if err != nil {
			t.Skip(err)
		}
		file := Tally{What: "in the file", Rows: n + 3}
		steps := []Tally{file, file.Then("read", Less{3, "broken"}, Less{0, "lost"})}
		got := s.tally(table, steps, false)
		if !reflect.DeepEqual(got[1], Tally{"read", n, []Less{{3, "broken"}}}) || got[1].String() != "read: without 3 broken" {
			t.Fatalf("%+v", got[1])
		}
		given := s.tally(table, steps, true)
		if last := given[len(given)-1]; len(given) != 4 || last.Rows != len(s.valid.rows) || !strings.HasPrefix(last.What, "to calibrate by") {
			t.Fatalf("of a model given %+v, %d calibrate", given, len(s.valid.rows))
		}
		checkLosses(t, got)
		checkLosses(t, given)
		before, fitted, first := 0, len(s.last.rows), len(s.train.rows)
		for i := range n {
			if timed && table.At[i] < c.TestFrom.Unix() {
				before++
			}
		}
		if !timed {
			before = fitted
		}
		held := 0
		for _, i := range s.last.rows {
			if timed && table.At[i] >= c.ValidFrom.Unix() || !timed && !slices.Contains(s.train.rows, i) {
				held++
			}
		}
		of := "of the validation slice"
		if timed {
			of += "'s time"
		}
		if held > 0 && !slices.Contains(got[4].Less, Less{held, of}) {
			t.Fatalf("%+v, want %d held back", got[4], held)
		}
		if got[2].Rows != before || got[3].Rows != fitted || got[4].Rows != first {
			t.Fatalf("%+v, want %d, %d and %d", got, before, fitted, first)
		}
	})
}

// checkLosses holds each step against the one before and what it left out.
func checkLosses(t *rapid.T, steps []Tally) {
	for i := 1; i < len(steps); i++ {
		rows := steps[i-1].Rows
		for _, l := range steps[i].Less {
			if l.Rows < 0 {
				t.Fatalf("%+v", steps[i])
			}
			rows -= l.Rows
		}
		if rows != steps[i].Rows {
			t.Fatalf("%+v after %+v", steps[i], steps[i-1])
		}
	}
}
