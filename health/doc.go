// Package health says which partners are drifting away, why, what is at stake
// and what to do: the churn label, the rows to learn it from, a Standing for
// each partner, and the at-risk report.
//
// A partner has left when nothing that qualifies (a deal won, opened or
// registered, an offer accepted, an order) happens in the coming 90 days, or its
// contract lapses or its status becomes terminated within them. There is one row
// per partner and month start, for partners that did something qualifying in the
// 90 days before: those who were still there.
//
// Labels and Book fold events in the order in which they became known and use
// none before that; what a later event corrects counts until the correction is
// known, and not from then on. A merger, which says who is who, counts from the
// beginning, and so does its correction. Everything here is pure: no disk, clock,
// network, goroutine or random source; reports are written to a writer the caller
// gives.
package health
