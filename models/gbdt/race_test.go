//go:build race

package gbdt_test

const underRace = true
