// Package serving is the engine: the use cases of Bellwether over one book of
// live state and one durable log.
//
// # The order of writes
//
// The book (feature state, rule index, open offers) is a fold of the log and
// nothing else: a write appends encoded items to the log and then folds those
// same bytes, so what a restart or a replay reads is what the live book saw.
//
// What a lead is decided by is read under the read lock, from the book as of log
// position P; it is scored with no lock held, while others write. The write lock
// is then taken to check that the chosen partner still may have the lead and has
// room for it (else it is decided again), to give the items their positions, to
// stage them in the store and to fold them. From here on everyone sees the
// reservation, though it is not on disk: two leads can never be given the same
// last unit of capacity. The lock is released and the committer, the one
// goroutine that writes log items, syncs everything staged as a group.
//
// Nothing is answered before it is on disk. Each write waits for its own ticket;
// each answer that rests on what others wrote waits for the newest ticket at the
// time it looked. Groups are written in log order, so when a ticket is through,
// everything its holder could have seen is on disk too. If a sync fails, every
// ticket not yet through fails, what was staged is dropped, writes stop, and the
// book is rebuilt from disk before anything else is answered from it.
//
// Standings come of a second fold of the log on disk, of what was known by the
// last midnight. Each fold has snapshots of its own, which only save folding: what
// is said never depends on where a fold began.
//
// Time: items carry known_at = max(clock, last), so known_at never falls along
// the log, and the state's midnights come at the same place in every fold.
package serving
