package serving

import (
	"container/heap"
	"encoding/json"
	"slices"
	"time"

	"bellwether/datasets/record"
	"bellwether/features"
	"bellwether/routing"
	"bellwether/serving/store"
)

// book is every partner's live state: a fold of the log. Only fold and advance
// change it. It has no lock of its own.
type book struct {
	set      *features.Set
	state    *features.State
	index    *routing.Index
	next     uint64                      // position of the next item to fold
	last     time.Time                   // no item may be known earlier than this
	ids      []record.PartnerID          // sorted
	versions map[record.PartnerID]uint64 // 1 + position of the item that last changed the partner's record
	open     openOffers
}

func newBook(set *features.Set, policy routing.Policy) (*book, error) {
	index, err := routing.NewIndex(policy)
	if err != nil {
		return nil, err
	}
	return &book{set: set, state: features.NewState(set), index: index,
		versions: map[record.PartnerID]uint64{}, open: openOffers{by: map[record.DecisionID]time.Time{}}}, nil
}

// fold applies the next item of the log. It keeps nothing of its body.
func (b *book) fold(item store.Item) error {
	if item.Position != b.next {
		return record.Errorf(record.Internal, "fold", "the log goes on at %d, not %d", item.Position, b.next)
	}
	b.next++
	b.passTo(item.At)
	return decode(item, b)
}

func (b *book) partner(item store.Item, p *record.Partner) {
	b.state.PutPartner(p)
	b.index.Upsert(p)
	if _, known := b.versions[p.ID]; !known {
		i, _ := slices.BinarySearch(b.ids, p.ID)
		b.ids = slices.Insert(b.ids, i, p.ID)
	}
	b.versions[p.ID] = item.Position + 1
}

func (b *book) lead(l *record.Lead) { b.state.PutLead(l) }

func (b *book) event(item store.Item, e *record.Event) {
	b.state.Observe(e)
	before := b.index.Partner(e.Partner)
	b.index.Observe(e)
	if b.index.Partner(e.Partner) != before {
		b.versions[e.Partner] = item.Position + 1
	}
	if e.Decision == "" || item.Kind == store.Past {
		return // not an offer of the engine's own
	}
	switch e.Type {
	case record.OfferMade:
		b.open.add(e.Decision, e.Until)
	case record.OfferAccepted, record.OfferDeclined, record.OfferExpired, record.OfferWithdrawn, record.OfferSuperseded:
		b.open.remove(e.Decision)
	}
}

// passTo lets the time of the book pass, over midnights.
func (b *book) passTo(t time.Time) {
	if t.After(b.last) {
		b.last = t
		b.state.Advance(t)
	}
}

// advance is passTo, with the index made ready for questions of that time.
func (b *book) advance(now time.Time) {
	b.passTo(now)
	b.index.Advance(b.last)
}

// view returns the partner's live record and version; nil if there is none.
func (b *book) view(id record.PartnerID) *PartnerView {
	p := b.index.Partner(id)
	if p == nil {
		return nil
	}
	return &PartnerView{Partner: *p, Version: b.versions[id]}
}

// openOffers knows which offers wait for an answer and which expires next.
type openOffers struct {
	by    map[record.DecisionID]time.Time
	queue expiries // may hold entries no longer in by
}

type expiry struct {
	at       time.Time
	decision record.DecisionID
}

func (o *openOffers) add(id record.DecisionID, at time.Time) {
	o.by[id] = at
	if !at.IsZero() {
		heap.Push(&o.queue, expiry{at, id})
	}
}

func (o *openOffers) remove(id record.DecisionID) { delete(o.by, id) }

// expired returns up to limit offers whose time is over. They stay until the
// log says what became of them.
func (o *openOffers) expired(now time.Time, limit int) []record.DecisionID {
	var due []expiry
	for len(o.queue) > 0 && len(due) < limit && !o.queue[0].at.After(now) {
		e := heap.Pop(&o.queue).(expiry)
		if at, open := o.by[e.decision]; open && at.Equal(e.at) {
			due = append(due, e)
		}
	}
	out := make([]record.DecisionID, len(due))
	for i, e := range due {
		heap.Push(&o.queue, e)
		out[i] = e.decision
	}
	return out
}

// expiries is a heap by time, then id.
type expiries []expiry

func (q expiries) Len() int { return len(q) }
func (q expiries) Less(i, j int) bool {
	if c := q[i].at.Compare(q[j].at); c != 0 {
		return c < 0
	}
	return q[i].decision < q[j].decision
}
func (q expiries) Swap(i, j int) { q[i], q[j] = q[j], q[i] }
func (q *expiries) Push(x any)   { *q = append(*q, x.(expiry)) }
func (q *expiries) Pop() any {
	last := len(*q) - 1
	e := (*q)[last]
	*q = (*q)[:last]
	return e
}

// fingerprint names all that must be the same for a snapshot to be read.
func fingerprint(set *features.Set, policy *routing.Policy) string {
	return "book1 " + set.Fingerprint() + " " + policy.Hash()
}

// rest is what a snapshot holds beside the feature state and the index.
type rest struct {
	Last     time.Time                       `json:"last"`
	Versions map[record.PartnerID]uint64     `json:"versions"`
	Open     map[record.DecisionID]time.Time `json:"open"`
}

// snapshot encodes the book.
func (b *book) snapshot() (store.Snapshot, error) {
	state, err := b.state.MarshalBinary()
	if err != nil {
		return store.Snapshot{}, err
	}
	index, err := b.index.MarshalBinary()
	if err != nil {
		return store.Snapshot{}, err
	}
	other, err := json.Marshal(rest{b.last, b.versions, b.open.by})
	return store.Snapshot{Fold: store.Live, Position: b.next, Fingerprint: fingerprint(b.set, b.index.Policy()),
		Parts: []store.Part{{Name: "state", Body: state}, {Name: "index", Body: index}, {Name: "rest", Body: other}}}, err
}

// restore makes a new book what the snapshot was taken of. After an error the
// book is of no use.
func (b *book) restore(snap *store.Snapshot) error {
	var other rest
	for _, p := range snap.Parts {
		var err error
		switch p.Name {
		case "state":
			err = b.state.UnmarshalBinary(p.Body)
		case "index":
			err = b.index.UnmarshalBinary(p.Body)
		case "rest":
			err = json.Unmarshal(p.Body, &other)
		}
		if err != nil {
			return err
		}
	}
	b.next, b.last = snap.Position, other.Last
	for id, pos := range other.Versions {
		b.ids, b.versions[id] = append(b.ids, id), pos
	}
	slices.Sort(b.ids)
	for id, at := range other.Open {
		b.open.add(id, at)
	}
	return nil
}
