// Package routing decides which partner gets a lead, and says why.
//
// An Index holds the partners and, per rule, bitmaps over them; Eligible
// applies the rules in order and lists every partner refused under the first
// rule that refused it. A Router reads of the eligible all that they are judged
// by into a Case, which scores them with a Model, turns the probabilities into values (P(win) x P(accept) x amount, less the price of
// load, plus what fairness adds), gives each candidate the probability with
// which it may be chosen, and draws one with a random source seeded by the
// engine's seed and the lead's id. The answer is a record.Decision, which can
// be decided again from the same log position: Same compares two bit for bit.
// Explain says why one was made, for any partner, in words (words.go).
// Labels say what "won" means when the past is learned from.
//
// The package is pure: no disk, clock, network, goroutine or global random
// source. What it knows it was told by Upsert and Observe, in log order.
//
// # The index as bytes
//
// Index.MarshalBinary writes one JSON document: format number, policy hash,
// version, the partners in index order with their counters, the offers per
// lead and the protections per account. It is read back only under the policy
// that wrote it.
package routing
