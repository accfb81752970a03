package trial

import (
	"errors"
	"math"
	"slices"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"bellwether/models"
)

// Whatever the delays of the labels, no fold sees the test slice, is fitted on a
// label not known at its moment, or is judged on rows it is fitted on.
func TestFoldsLookForwardOnly(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		table := world(1500, rapid.Uint64().Draw(t, "seed"), false)
		delay := rapid.Int64Range(0, 3000).Draw(t, "delay")
		for i := range table.Known {
			table.Known[i] = table.At[i] + delay*int64(i%7)
			if i%50 == 0 {
				table.Known[i] = math.MaxInt64
			}
		}
		eval := make([]bool, table.Len())
		for i := range eval {
			eval[i] = i%3 != 0
		}
		c := Config{Task: "test", Cut: Cut{Eval: eval}}
		n := rapid.IntRange(2, 5).Draw(t, "folds")
		f, err := NewFolds(table, c, n)
		if err != nil {
			t.Fatal(err)
		}
		_, testFrom, err := boundaries(table, &c)
		if err != nil {
			t.Fatal(err)
		}
		last := int64(0)
		for k := range f.Len() {
			p := f.parts[k]
			if p.valid.from < last {
				t.Fatalf("fold %d begins at %d, the one before ended at %d", k, p.valid.from, last)
			}
			last = p.valid.to
			for _, i := range p.valid.rows {
				if !eval[i] || table.At[i] >= testFrom || table.Known[i] > testFrom {
					t.Fatalf("fold %d is judged on row %d", k, i)
				}
			}
			for _, i := range p.train.rows {
				if table.At[i] >= p.valid.from || table.Known[i] > p.valid.from {
					t.Fatalf("fold %d is fitted on row %d", k, i)
				}
			}
			train, valid := f.Tables(k)
			if train.Len() != len(p.train.rows) || valid.Len() != len(p.valid.rows) {
				t.Fatalf("tables of %d and %d rows", train.Len(), valid.Len())
			}
		}
	})
}

func TestFoldsWithoutTimeKeepGroups(t *testing.T) {
	table := world(3000, 3, false)
	table.At, table.Known, table.Group = nil, nil, make([]int64, table.Len())
	for i := range table.Group {
		table.Group[i] = int64(i / 7)
	}
	c := Config{Task: "test", Seed: 4}
	f, err := NewFolds(table, c, 3)
	if err != nil {
		t.Fatal(err)
	}
	test := draw(table, &c, c.Seed).test.rows
	judged := 0
	for _, p := range f.parts {
		judged += len(p.valid.rows)
		for _, i := range p.valid.rows {
			if slices.Contains(test, i) {
				t.Fatalf("row %d is of the test slice", i)
			}
			for _, j := range p.train.rows {
				if table.Group[i] == table.Group[j] {
					t.Fatalf("group %d on both sides", table.Group[i])
				}
			}
		}
	}
	if judged != table.Len()-len(test) {
		t.Errorf("%d rows judged on, %d are there", judged, table.Len()-len(test))
	}
}

func TestFoldsRefuse(t *testing.T) {
	few := world(3000, 5, true)
	for i := range few.Y {
		few.Y[i] = 0
		if i%40 == 0 {
			few.Y[i] = 1
		}
	}
	days := world(2000, 5, false)
	for i := range days.At {
		days.At[i] = int64(i/400) * 86400
		days.Known[i] = days.At[i]
	}
	for _, c := range []struct {
		name  string
		table *models.Table
		want  string
	}{
		{"few positives", few, "to be judged on, 20 are needed"},
		{"too little for a trial", world(60, 5, false), "40 are needed"},
		{"five days", days, "too few different times"},
	} {
		var refused *Refusal
		if _, err := NewFolds(c.table, Config{Task: "test"}, 4); !errors.As(err, &refused) || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v", c.name, err)
		}
	}
	a, errA := NewFolds(world(2000, 6, false), Config{Task: "test"}, 3)
	b, errB := NewFolds(world(2000, 6, false), Config{Task: "test"}, 4)
	if errA != nil || errB != nil || a.Fingerprint() == b.Fingerprint() {
		t.Errorf("other folds, same fingerprint; %v, %v", errA, errB)
	}
}
