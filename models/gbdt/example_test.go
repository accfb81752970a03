package gbdt_test

import (
	"context"
	"fmt"

	"bellwether/models"
	"bellwether/models/gbdt"
)

// Of ten cases taken on day 0, four were won on the second day, two lost on the
// fourth, and four are open when the data ends on the sixth. The chances count
// those as open, not as lost; what was never seen at an age, half a case stands
// for.
func ExampleHazard() {
	const day = 86400
	t := &models.Table{Columns: []models.Column{{Name: "size"}}, X: [][]float64{make([]float64, 10)}}
	for i := range 10 {
		y, known := 0., int64(7*day) // not by the end of the data
		switch {
		case i < 4:
			y, known = 1, 2*day
		case i < 6:
			known = 4 * day
		}
		t.Y, t.At, t.Known = append(t.Y, y), append(t.At, 0), append(t.Known, known)
	}
	of := gbdt.Hazard{Ages: []int64{2 * day, 5 * day}, Until: 6 * day}
	fitted, err := gbdt.Learner{Objective: of}.Fit(context.Background(), t, nil, 1)
	if err != nil {
		fmt.Println(err)
		return
	}
	m := fitted.(*gbdt.Model)
	won, lost := make([]float64, 2), make([]float64, 2)
	m.Incidence(won, lost, []float64{3})
	for i, age := range m.Ages() {
		fmt.Printf("by day %d: won %.2f, lost %.2f\n", age/day, won[i], lost[i])
	}
	// Output:
	// by day 2: won 0.38, lost 0.05
	// by day 5: won 0.42, lost 0.22
}

// A score that must not fall as revenue grows, whatever the rows say.
func ExampleModel_Monotone() {
	t := numbersTable(2000, 4, 1)
	l := gbdt.Learner{Trees: 20, Limits: gbdt.Limits{Monotone: []int8{1, 0, 0, 0}}}
	fitted, err := l.Fit(context.Background(), t, nil, 1)
	if err != nil {
		fmt.Println(err)
		return
	}
	neverFalls, neverRises := fitted.(*gbdt.Model).Monotone(0)
	fmt.Println(neverFalls, neverRises)
	// Output: true false
}
