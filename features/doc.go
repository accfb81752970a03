// Package features turns partners, leads and events into rows of numbers, for
// training and for serving with the same code.
//
// A feature is defined once, as an entry of the tables in lead.go, partner.go
// and pair.go: its name, unit, meaning, the side it looks at, and the function or
// sum that gives its value. A Set is the list of them for one Schema; a row is
// [lead block | partner block | pair block].
//
// A State is everything the features need to know of the past. It folds events
// in the order in which they became known; an event counts in the window of the
// day it happened, from the moment it is known. What a State remembers has three
// owners:
//
//   - a partner's own history, which moves with the partner's own events and at
//     UTC midnight, and with nothing else, so that the partner block of a row
//     depends only on PartnerState.Version and the day;
//   - an account's history, exact to the event;
//   - the segments' win rates (industry, product, region, …, tier) and the
//     strength with which small partners are shrunk to them, which are frozen at
//     each UTC midnight.
//
// Every count and sum is an integer (money in hundredths of the base currency,
// scores in millionths), so that no sum depends on the order of its terms:
// Replay over many workers and the online State give the same rows bit for bit.
//
// The package touches no disk, clock, network or global random source.
package features

//go:generate go run gendoc.go
