// Package record holds the nouns of Bellwether: partners, leads, events,
// decisions, offers and standings. They are the common language of every other
// package, of the files in a data directory and of the API.
//
// Times are UTC. Money is an integer number of minor units with an ISO 4217
// code. An event carries two times: At, when it happened, and KnownAt, when we
// learned it; nothing may use an event before its KnownAt.
//
// Each noun validates itself: Validate returns an *Error that names the first
// field at fault and what is wrong with it.
package record
