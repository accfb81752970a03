package features

import (
	"iter"
	"slices"
	"strings"
	"time"

	"bellwether/datasets/record"
)

// State is what the features know of the past, live. It is not safe for
// concurrent use, but rows may be made at the same time as other rows, each
// goroutine with its own LeadView.
//
// The same event again counts once if the first is at most repeatDays old. An
// event that corrects another (Supersedes) takes back what that one counted for
// as long as it is remembered, correctDays at least.
type State struct {
	set      *Set
	now      int64
	today    day
	partners table[partnerRef] // by hash of the id
	byID     []*PartnerState
	byNumber []*PartnerState
	leads    table[leadEntry]
	accounts table[account]
	seen     recent               // events of the last days
	claims   generations[claim]   // events that can be corrected
	deals    generations[wonDeal] // beside claims
	segments segments
	changed  change
}

// leadEntry is a lead that may still be offered.
type leadEntry struct {
	view     *leadState
	attempts int32
	touched  day
}

// account is an account's history over all partners.
type account struct {
	leads, wins       int32
	lastLead, lastWin day
	revenue           int64
}

// partnerRef finds a partner without touching its state.
type partnerRef struct {
	*PartnerState
	number int32
}

// claim says whose an event was, and whether it counted for its account.
type claim struct {
	partner int32
	won     bool // State.deals holds more
}

// wonDeal is what an event counted for an account.
type wonDeal struct {
	account uint64
	amount  int64
	counted bool
}

const (
	// repeatDays is for how long at least an event's id is remembered.
	repeatDays = 7
	// leadSweep is how often leads that are no longer needed are dropped, in days.
	leadSweep = 7
)

// NewState returns a state that knows nothing.
func NewState(s *Set) *State {
	st := &State{set: s}
	st.segments.weigh()
	return st
}

// Now returns the time the state was last advanced to, to the second.
func (st *State) Now() time.Time { return time.Unix(st.now, 0).UTC() }

// Set returns the features the state is kept for.
func (st *State) Set() *Set { return st.set }

// Partner returns a partner's state, nil if nothing is known of it. It is valid
// until the state changes.
func (st *State) Partner(id record.PartnerID) *PartnerState {
	if ref := st.partners.get(hash(id)); ref != nil {
		return ref.PartnerState
	}
	return nil
}

// Partners lists the partners in the order of their ids.
func (st *State) Partners() iter.Seq[*PartnerState] { return slices.Values(st.byID) }

// Advance moves the state on to now. At each UTC midnight on the way the
// windows move and the segments are frozen; going to a day at once or by way of
// other days is the same. A time that is not later changes nothing.
func (st *State) Advance(now time.Time) {
	if st.turn(now.Unix()) {
		st.segments.freeze(&st.changed)
		st.rollAll()
	}
}

// turn moves the clock and forgets what no partner owns and nobody needs; it
// says whether a midnight passed.
func (st *State) turn(now int64) bool {
	st.now = max(st.now, now)
	today := dayOf(st.now)
	if today <= st.today {
		return false
	}
	st.seen.turn(int(today/repeatDays - st.today/repeatDays))
	st.claims.turn(int(today/correctDays - st.today/correctDays))
	st.deals.turn(int(today/correctDays - st.today/correctDays))
	if week := today - today%leadSweep; week > st.today {
		oldest := week - st.set.options.leadDays()
		st.leads.filter(func(_ uint64, l *leadEntry) bool { return l.touched > oldest })
	}
	st.today = today
	return true
}

func (st *State) rollAll() {
	for _, p := range st.byNumber {
		p.roll(st.today)
	}
}

// partner returns a partner's state, a new one if there was none.
func (st *State) partner(id record.PartnerID) partnerRef { return st.partnerAt(partnerKey(id), id) }

func partnerKey(id record.PartnerID) uint64 { return max(1, hash(id)) }

func (st *State) partnerAt(key uint64, id record.PartnerID) partnerRef {
	if ref := st.partners.get(key); ref != nil {
		return *ref
	}
	id = record.PartnerID(strings.Clone(string(id)))
	ref := partnerRef{newPartnerState(id, st.today), int32(len(st.byNumber))}
	*st.partners.put(key) = ref
	st.byNumber = append(st.byNumber, ref.PartnerState)
	i, _ := slices.BinarySearchFunc(st.byID, id, func(q *PartnerState, id record.PartnerID) int {
		return strings.Compare(string(q.ID), string(id))
	})
	st.byID = slices.Insert(st.byID, i, ref.PartnerState)
	return ref
}

// PutPartner takes in a version of a partner's record, which is in force from
// the state's now on. The record is kept and must not change afterwards.
func (st *State) PutPartner(r *record.Partner) {
	st.partner(r.ID).put(st.set, r, &st.changed)
}

// PutLead makes a lead known from the state's now on. Its record is read and
// not kept; putting it again replaces what was read, for the offers to come.
func (st *State) PutLead(l *record.Lead) {
	v := new(leadState)
	st.set.readLead(v, l)
	on := min(dayOf(v.created), st.today)
	e := st.leads.put(v.id)
	if e.view != nil {
		v.before = e.view.before
	} else {
		a := st.accountOf(v.account)
		v.before = accountLeads{a.leads, a.lastLead}
		if v.account != 0 {
			to := st.accounts.put(v.account)
			to.leads++
			to.lastLead = max(to.lastLead, on)
		}
	}
	// A state that has seen nothing stands at day 0: the lead's own day counts then.
	e.view, e.touched = v, max(st.today, dayOf(v.created))
}

func (st *State) accountOf(key uint64) account {
	if a := st.accounts.get(key); key != 0 && a != nil {
		return *a
	}
	return account{}
}

// Observe folds in an event, which becomes known now. Events must come in the
// order in which they became known.
func (st *State) Observe(e *record.Event) {
	st.Advance(e.Known())
	t := st.read(e)
	if !st.take(e, &t) {
		return
	}
	if t.corrected.PartnerState != nil {
		t.corrected.arrive(st.today)
		t.corrected.takeBack(t.fact.corrects, t.correctedAccount, &st.changed)
	}
	if t.merged != nil {
		t.partner.absorb(t.merged, &st.changed)
		return
	}
	t.partner.fold(&t.fact, &st.changed)
}

// taken is an event once everything has happened to it that concerns more than
// its partner.
type taken struct {
	fact             fact
	who              uint64 // the partner's key
	partner          partnerRef
	merged           *PartnerState // absorbed by partner
	lead             moment        // of its lead, as of just before
	corrected        partnerRef    // another partner whose event this one corrects
	correctedAccount uint64        // of the deal it won
}

// read reads an event without looking at the state.
func (st *State) read(e *record.Event) taken {
	return taken{fact: st.set.factOf(e), who: partnerKey(e.Partner)}
}

// near reads the places where take will look; what it returns says nothing. The
// processor reads ahead only as far as some two hundred instructions reach, so
// each loop does little.
func (st *State) near(events []taken) (x uint64) {
	for i := range events {
		x += st.seen.near(events[i].fact.id) + st.partners.near(events[i].who)
	}
	for i := range events {
		f := &events[i].fact
		if claimed[f.kind] {
			x += st.claims.cur.near(f.id)
		}
		if f.lead != 0 {
			x += st.leads.near(f.lead)
		}
	}
	for i := range events {
		if l := st.leads.get(events[i].fact.lead); l != nil {
			x += st.accounts.near(l.view.account)
		}
	}
	return x
}

// take changes what belongs to no single partner; it says false to an event
// that was taken already.
func (st *State) take(e *record.Event, t *taken) bool {
	f := &t.fact
	f.today = st.today
	f.day = min(f.day, st.today)
	if e.ID != "" && st.seen.add(f.id) {
		return false
	}
	t.partner = st.partnerAt(t.who, e.Partner)
	if f.kind == isMerged && e.Other != e.Partner {
		t.merged = st.partner(e.Other).PartnerState
	}
	if l := st.leads.get(f.lead); f.lead != 0 && l != nil {
		f.view = l.view
		if f.account == 0 {
			f.account = l.view.account
		}
		t.lead = moment{e.Known().Unix(), st.accountOf(l.view.account), l.attempts}
		if f.kind == isOffer {
			l.attempts++
			l.touched = st.today
		}
	}
	st.correct(t)
	st.claim(t)
	return true
}

// correct takes back what the event corrected counted for its account.
func (st *State) correct(t *taken) {
	c := st.claims.get(t.fact.corrects)
	if t.fact.corrects == 0 || c == nil {
		return
	}
	if c.partner != t.partner.number {
		t.corrected = partnerRef{st.byNumber[c.partner], c.partner}
	}
	if !c.won {
		return
	}
	d := st.deals.get(t.fact.corrects)
	t.correctedAccount = d.account
	if a := st.accounts.get(d.account); d.counted && a != nil {
		a.wins--
		a.revenue -= d.amount
		d.counted = false
	}
}

// claimed says which events can be corrected.
var claimed = func() (can [32]bool) {
	for _, k := range []factKind{isAccepted, isDeclined, isExpired, isSuperseded, isWon, isLost, isOrder, isRegistered, isSurvey} {
		can[k] = true
	}
	return can
}()

// claim remembers an event that can be corrected, and counts a deal won for the
// account.
func (st *State) claim(t *taken) {
	f := &t.fact
	if !claimed[f.kind] {
		return
	}
	c := claim{partner: t.partner.number}
	if f.kind == isWon && f.account != 0 {
		a := st.accounts.put(f.account)
		a.wins++
		a.revenue += f.amount
		a.lastWin = max(a.lastWin, f.day)
		c.won = true
		*st.deals.cur.put(f.id) = wonDeal{f.account, f.amount, true}
	}
	*st.claims.cur.put(f.id) = c
}
