package target_test

import (
	"fmt"

	"bellwether/models/target"
)

// One win of one says little, ninety of a hundred much: both are drawn towards
// the rate of everybody, 0.3, as by ten cases at that rate.
func ExampleShrink() {
	for _, c := range []target.Counter{{N: 1, Pos: 1}, {N: 100, Pos: 90}} {
		mean, sd := target.Shrink(c, 0.3, 10)
		fmt.Printf("%v of %v: %.2f, give or take %.2f\n", c.Pos, c.N, mean, sd)
	}
	// Output:
	// 1 of 1: 0.36, give or take 0.14
	// 90 of 100: 0.85, give or take 0.03
}
