package main

import (
	"fmt"

	. "github.com/mmcloughlin/avo/build"
)

// declare begins a function, which has the same stub on all machines.
func declare(name, signature string, doc ...string) {
	TEXT(name, NOSPLIT, signature)
	Doc(doc...)
	Pragma("noescape")
}

func declareLeafSum(leaves int) {
	name := fmt.Sprintf("leafSum%d", leaves)
	declare(name, "func(a, b, next, table *uint64, rows *uint32, inputs, blocks int, values *float64) float64",
		name+" adds up the values of the leaves that a, b and the given rows of the table",
		fmt.Sprintf("leave reachable, trees having room for %d leaves each. next is where the words of", leaves),
		"the next call's b are: they are fetched on the way.")
}

func declareLeafSteps(leaves int) {
	name := fmt.Sprintf("leafSteps%d", leaves)
	declare(name, "func(a, b, next, table *uint64, rows *uint32, inputs, blocks int, at *uint32, steps, score *float64)",
		name+fmt.Sprintf(" adds to the %d scores the steps of the leaves that a, b and the given", 4*stepQuads),
		"rows of the table leave reachable, which begin where at says. Otherwise it is",
		fmt.Sprintf("leafSum%d.", leaves))
}

func declareShapley(lanes int) {
	points := lanes * laneBytes / 8
	name := fmt.Sprintf("shapleyTree%d", points)
	declare(name, "func(forks *byte, inner, all int, leaves *float64, passed *uint32, factors, halts, values *float64)",
		fmt.Sprintf("%s adds to values what one tree gives each input at %d points, as", name, points),
		"steps.plainRound does; all is how many forks there are, at least 1.")
}

func declareLogLoss() {
	declare("deriveLogLoss", "func(gh *int64, score, y *float64, n int)",
		"deriveLogLoss is LogLoss.derivePlain of n rows, a multiple of 4.")
}

func declareSum() {
	declare("sumDerivatives", "func(sums *[4]float64, gh *int64, n int)",
		"sumDerivatives is sumPlain of n rows, a multiple of 2.")
}

func declarePack() {
	declare("packDerivatives", "func(gh *int64, perG, perH float64, n int)",
		"packDerivatives is packPlain of n rows, a multiple of 2.")
}

func declarePrefetch() {
	declare("prefetch", "func(data *uint8, size int, gh *int64, rows *uint32, n int)",
		"prefetch asks the caches for the records, of size bytes, and derivatives of n rows, one or more.")
}
