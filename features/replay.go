package features

import (
	"context"
	"errors"
	"iter"
	"math"
	"runtime"
	"slices"
	"sync"
	"time"

	"bellwether/datasets/record"
)

// Source gives a data set's records, each kind by itself: the versions of
// partners in any order, leads in the order of their creation, events in the
// order in which they became known. A record handed to f is f's until f
// returns, but a partner's is kept.
type Source interface {
	Partners(ctx context.Context, f func(*record.Partner) error) error
	Leads(ctx context.Context, f func(*record.Lead) error) error
	Events(ctx context.Context, f func(batch []record.Event) error) error
}

// ReplayOptions are settings of a replay; the zero value will do.
type ReplayOptions struct {
	Workers  int                // goroutines that fold partners; 0 means one per processor
	Until    time.Time          // what became known from then on is left out; zero: nothing is
	Progress func(events int64) // called now and then with the events read so far
}

// Sink takes the rows a replay makes. A nil function leaves its rows out. Rows
// are valid until the function returns.
type Sink struct {
	// Offers takes one row per offer made, as of just before it became known, all
	// three blocks wide. An offer known more than a day after it was made has no
	// row: what its decision knew cannot be told. Nor has an offer of a lead nobody
	// described.
	Offers func(*Rows) error
	// Months takes the partner block of every partner known at the first midnight
	// of each month after the first event, in order of id.
	Months func(*Rows) error
}

// Key says what a row is of.
type Key struct {
	Lead    record.LeadID
	Partner record.PartnerID
	Event   record.EventID // the offer made
	Offer   record.OfferID
	At      time.Time // as of when
	Attempt int       // 1 for the first offer of the lead
}

// Stats count what a replay met.
type Stats struct {
	Events     int64     `json:"events"`
	Repeats    int64     `json:"repeats"`     // events met again, counted once
	Offers     int64     `json:"offers"`      // offer rows
	Months     int64     `json:"months"`      // month rows
	LateOffers int64     `json:"late_offers"` // offers without a row: known too late
	NoLead     int64     `json:"no_lead"`     // offers without a row: lead not known
	From       time.Time `json:"from"`        // when the first and the last event became known
	To         time.Time `json:"to"`
}

// lateOffer is how much later than it was made an offer may become known and
// still have a row, in seconds.
const lateOffer = secondsPerDay

const (
	// rowFloats is how many numbers of rows are gathered before they are given out:
	// 16 MB, since a column of a Parquet file costs much per batch.
	rowFloats = 1 << 21
	// readAhead is how many events are read before the first of them is taken.
	readAhead = 32
)

// Replay folds a data set from its beginning and hands out training rows on the
// way; it returns the state at the end. Rows and state are the same bit for bit
// as those of a State fed in the same order, whatever the number of workers.
//
// Memory holds the partners, each with the days of a year; the accounts; the
// leads of the last Options.LeadDays; what corrections reach, which is the
// answers, outcomes, orders and surveys of the last correctDays to twice that;
// two chunks of events and some 60 MB of rows. So it follows the events of half
// a year, not of the log. The workers share the partners; the calling goroutine
// reads ahead by one chunk and does what belongs to no single partner. At
// midnight everybody waits and the segments are frozen.
func Replay(ctx context.Context, src Source, set *Set, opt ReplayOptions, sink Sink) (*State, Stats, error) {
	r := newReplay(ctx, set, opt, sink)
	if err := r.run(src); err != nil {
		return nil, r.stats, err
	}
	return r.state, r.stats, nil
}

func newReplay(ctx context.Context, set *Set, opt ReplayOptions, sink Sink) *replay {
	workers := opt.Workers
	if workers <= 0 {
		workers = runtime.GOMAXPROCS(0)
	}
	r := &replay{
		ctx: ctx, set: set, opt: opt, sink: sink, state: NewState(set), until: math.MaxInt64, newest: math.MinInt64,
		workers: make([]worker, workers), filling: new(chunk), folding: new(chunk),
		most: chunkEvents,
	}
	r.offers, r.given = &Rows{Width: set.Width(), set: set}, &Rows{Width: set.Width(), set: set}
	r.months = &Rows{Width: len(set.partner), set: set, months: true}
	if !opt.Until.IsZero() {
		r.until = opt.Until.Unix()
	}
	return r
}

type replay struct {
	ctx     context.Context
	set     *Set
	opt     ReplayOptions
	sink    Sink
	state   *State
	stats   Stats
	until   int64
	newest  int64 // creation of the newest lead
	frozen  day   // the day the segments are frozen for
	workers []worker
	filling *chunk
	folding *chunk // handed to the workers, or done and not yet given out
	most    int    // events of a chunk
	wait    sync.WaitGroup
	ahead   ahead
	made
	err error
}

// ahead are the events read and not yet taken, and what reading ahead of them
// in memory came upon: kept, so that the reads are made.
type ahead struct {
	events  [readAhead]taken
	touched uint64
}

// made are the rows made and not yet given out; given are offers' rows being
// given out while others are made.
type made struct{ offers, given, months *Rows }

func (r *replay) run(src Source) error {
	versions, err := partnerVersions(r.ctx, src)
	if err != nil {
		return err
	}
	nextLead, stop, leadErr := pullLeads(r.ctx, src)
	defer stop()
	lead, more := nextLead()
	// before delivers what became known by t.
	before := func(t int64) error {
		for more || len(versions) > 0 {
			created, known := int64(math.MaxInt64), int64(math.MaxInt64)
			if more {
				created = lead.CreatedAt.Unix()
			}
			if len(versions) > 0 {
				known = versions[0].KnownAt.Unix()
			}
			switch {
			case min(created, known) > t:
				return nil
			case known <= created:
				r.putPartner(versions[0], known)
				versions[0], versions = nil, versions[1:] // the state keeps the newest one only
			default:
				if err := r.putLead(lead, created); err != nil {
					return err
				}
				lead, more = nextLead()
			}
		}
		return *leadErr
	}
	err = src.Events(r.ctx, func(batch []record.Event) error {
		if err := r.ctx.Err(); err != nil {
			return err
		}
		for part := range slices.Chunk(batch, readAhead) {
			if err := r.events(part, before); err != nil {
				return err
			}
		}
		if r.opt.Progress != nil {
			r.opt.Progress(r.stats.Events)
		}
		return nil
	})
	if err != nil && !errors.Is(err, errStop) {
		r.wait.Wait()
		return err
	}
	last := r.until - 1
	if r.until == math.MaxInt64 {
		last = r.state.now
	}
	if err := before(last); err != nil {
		r.wait.Wait()
		return err
	}
	r.at(last)
	return r.finish()
}

// errStop ends the reading of events before the end of the source.
var errStop = errors.New("stop")

// finish folds what is left and gathers the workers' changes.
func (r *replay) finish() error {
	r.submit()
	r.submit()
	r.give(r.offers, r.sink.Offers, &r.stats.Offers, 1)
	r.give(r.months, r.sink.Months, &r.stats.Months, 1)
	if r.err != nil {
		return r.err
	}
	for i := range r.workers {
		r.state.changed.plus(&r.workers[i].moved)
	}
	r.state.rollAll()
	return nil
}

func partnerVersions(ctx context.Context, src Source) ([]*record.Partner, error) {
	var versions []*record.Partner
	err := src.Partners(ctx, func(p *record.Partner) error {
		versions = append(versions, p)
		return nil
	})
	slices.SortStableFunc(versions, func(a, b *record.Partner) int { return a.KnownAt.Compare(b.KnownAt) })
	return versions, err
}

// pullLeads turns the source's leads into a function that gives the next one.
func pullLeads(ctx context.Context, src Source) (next func() (*record.Lead, bool), stop func(), err *error) {
	err = new(error)
	next, stop = iter.Pull(func(yield func(*record.Lead) bool) {
		e := src.Leads(ctx, func(l *record.Lead) error {
			if !yield(l) {
				return errStop
			}
			return nil
		})
		if !errors.Is(e, errStop) {
			*err = e
		}
	})
	return next, stop, err
}

// at moves the clock to t, closing the chunk of the day before.
func (r *replay) at(t int64) {
	today := dayOf(t)
	if today <= r.filling.today {
		r.state.now = max(r.state.now, t)
		return
	}
	if len(r.filling.items) > 0 {
		r.submit()
	}
	r.state.turn(t)
	r.filling.today = today
}

func (r *replay) putPartner(p *record.Partner, known int64) {
	r.at(known)
	r.push(r.state.partner(p.ID), item{record: p, row: -1})
}

func (r *replay) putLead(l *record.Lead, created int64) error {
	if created < r.newest {
		return record.Errorf(record.Invalid, "replay", "lead %q, created %s, comes after one created %s: leads must be in the order of their creation",
			l.ID, l.CreatedAt.Format(time.RFC3339), time.Unix(r.newest, 0).UTC().Format(time.RFC3339))
	}
	r.newest = created
	r.at(created)
	r.state.PutLead(l)
	return nil
}

// events folds in a few events, each after what before delivers. All are read
// before the first is taken, so that the tables they will be looked up in are
// read without waiting for one another.
func (r *replay) events(part []record.Event, before func(known int64) error) error {
	for i := range part {
		r.ahead.events[i] = r.state.read(&part[i])
	}
	r.ahead.touched += r.state.near(r.ahead.events[:len(part)])
	for i := range part {
		known := part[i].Known().Unix()
		if known >= r.until {
			return errStop
		}
		if err := before(known); err != nil {
			return err
		}
		r.event(&part[i], &r.ahead.events[i], known)
		if r.err != nil {
			return r.err
		}
	}
	return nil
}

func (r *replay) event(e *record.Event, t *taken, known int64) {
	if r.stats.Events == 0 {
		r.stats.From = e.Known()
	}
	r.stats.Events++
	r.stats.To = e.Known()
	r.at(known)
	if !r.state.take(e, t) {
		r.stats.Repeats++
		return
	}
	if t.corrected.PartnerState != nil {
		undo := fact{account: t.correctedAccount, rare: &rare{corrects: t.fact.corrects}}
		r.push(t.corrected, item{fact: undo, row: -1, undo: true})
	}
	if t.merged != nil {
		r.merge(t)
		return
	}
	r.push(t.partner, item{fact: t.fact, row: r.row(e, t)})
}

// row reserves a place for an offer's row, if it is to have one.
func (r *replay) row(e *record.Event, t *taken) int32 {
	if t.fact.kind != isOffer || r.sink.Offers == nil {
		return -1
	}
	switch {
	case t.fact.view == nil:
		r.stats.NoLead++
		return -1
	case t.lead.now-t.fact.at > lateOffer:
		r.stats.LateOffers++
		return -1
	}
	c := r.filling
	c.keys = append(c.keys, Key{e.Lead, e.Partner, e.ID, e.Offer, e.Known(), int(t.lead.attempts) + 1})
	c.leads = append(c.leads, t.lead)
	return int32(len(c.keys) - 1)
}

// merge makes two partners one, with everybody waiting: they may be different
// workers'.
func (r *replay) merge(t *taken) {
	r.submit()
	r.finishFolding()
	r.openDay(r.filling.today)
	for _, p := range []*PartnerState{t.partner.PartnerState, t.merged} {
		p.roll(r.filling.today)
	}
	t.partner.absorb(t.merged, &r.workers[0].moved)
}

func (r *replay) push(p partnerRef, it item) {
	c := r.filling
	*c.add(p) = it
	if len(c.items) >= r.most || len(c.keys)*r.offers.Width >= chunkFloats {
		r.submit()
	}
}

// finishFolding folds what is left of the chunk handed out, together with the
// workers, and waits for them.
func (r *replay) finishFolding() {
	r.workers[0].fold(r.state, r.folding)
	r.wait.Wait()
}

// submit hands the chunk being filled to the workers once the one before is
// done, and begins a new chunk. The calling goroutine is the first worker: it
// reads ahead and gives rows out while the others fold, and folds with them when
// it comes back, so that nobody waits while there is work and no more goroutines
// run than there are workers.
func (r *replay) submit() {
	r.finishFolding()
	r.openDay(r.filling.today)
	r.filling, r.folding = r.folding, r.filling
	done, c := r.filling, r.folding
	enough := len(r.offers.X) >= rowFloats
	if enough {
		r.offers, r.given = r.given, r.offers
	}
	c.sort()
	c.rows = r.offers.extend(c.keys)
	for w := 1; w < min(len(r.workers), (len(c.groups)+groupsAtOnce-1)/groupsAtOnce); w++ {
		r.wait.Go(func() { r.workers[w].fold(r.state, c) })
	}
	if enough {
		r.give(r.given, r.sink.Offers, &r.stats.Offers, 1)
	}
	done.reset()
	done.today = c.today
}

// openDay freezes the segments at the midnights up to today, the workers
// waiting, and gives out month rows on the way.
func (r *replay) openDay(today day) {
	if today <= r.frozen {
		return
	}
	for w := range r.workers {
		r.state.segments.freeze(&r.workers[w].moved)
	}
	if r.sink.Months != nil && r.stats.Events > 0 {
		first := max(r.frozen, dayOf(r.stats.From.Unix()))
		for m := nextMonth(first); m <= today && r.err == nil; m = nextMonth(m) {
			r.month(m)
		}
	}
	r.frozen = today
}

// nextMonth is the first day of the month after the one d is in.
func nextMonth(d day) day {
	y, m, _ := time.Unix(int64(d)*secondsPerDay, 0).UTC().Date()
	return dayOf(time.Date(y, m+1, 1, 0, 0, 0, 0, time.UTC).Unix())
}

// month makes the month rows of a day.
func (r *replay) month(today day) {
	at := time.Unix(int64(today)*secondsPerDay, 0).UTC()
	known := make([]*PartnerState, 0, monthPartners)
	keys := make([]Key, 0, monthPartners)
	for part := range slices.Chunk(r.state.byID, monthPartners) {
		known, keys = known[:0], keys[:0]
		for _, p := range part {
			if p.Version > 0 { // else first met in what is not folded yet
				known, keys = append(known, p), append(keys, Key{Partner: p.ID, At: at})
			}
		}
		x := r.months.extend(keys)
		share := max(1, (len(known)+len(r.workers)-1)/len(r.workers))
		for mine := range slices.Chunk(known, share) {
			to := x[:len(mine)*r.months.Width]
			x = x[len(to):]
			r.wait.Go(func() { r.monthRows(to, mine, today) })
		}
		r.wait.Wait()
		r.give(r.months, r.sink.Months, &r.stats.Months, rowFloats)
	}
}

// monthPartners is how many partners' month rows are made at once.
const monthPartners = 4_096

func (r *replay) monthRows(x []float64, partners []*PartnerState, today day) {
	width := r.months.Width
	for i, p := range partners {
		if i%groupsAtOnce == 0 {
			nearAll(partners[i:min(i+groupsAtOnce, len(partners))], today)
		}
		p.roll(today)
		r.set.partnerRow(x[i*width:][:width], p, r.state, today)
	}
}

// give hands rows out once there are enough numbers of them.
func (r *replay) give(rows *Rows, to func(*Rows) error, count *int64, enough int) {
	if len(rows.X) < enough {
		return
	}
	*count += int64(len(rows.Keys))
	if r.err == nil {
		r.err = to(rows)
	}
	clear(rows.Keys) // ids share the memory of the batch they were read in
	rows.Keys, rows.X = rows.Keys[:0], rows.X[:0]
}
