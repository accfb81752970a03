package features

import (
	"sync/atomic"

	"bellwether/datasets/record"
)

const (
	// chunkEvents bounds how many events are folded between two waits for each
	// other: a busy day's, so that most days are one chunk. Two chunks are in memory.
	chunkEvents = 1 << 15
	// chunkFloats bounds the numbers of rows a chunk makes.
	chunkFloats = rowFloats / 2
	// groupsAtOnce is how many partners a worker takes at once. It reads from all of
	// them before it folds their events: ten thousand partners do not fit into a
	// cache, and reads that do not wait for each other take the time of one.
	groupsAtOnce = 16
)

// item is one thing for a worker to do for one partner.
type item struct {
	fact
	record *record.Partner // a version of the partner's record, if set
	row    int32           // which of the chunk's rows to make first; -1 for none
	undo   bool            // only take back what fact.corrects counted
}

// group is one partner's items of a chunk.
type group struct {
	partner  *PartnerState
	n        int32
	from, to int32 // its places in chunk.order
}

// chunk is the work of a part of one day and the rows that come of it. Items
// are kept as they came; a partner's are worked on together, in that order,
// because by the time of its next event the partner may have left the cache.
type chunk struct {
	today   day
	items   []item
	groupOf []int32 // beside items
	groups  []group // the partners met, as they were met
	place   []int32 // by partner number: its group, if that one is the partner's
	order   []int32 // of the items, by group
	taken   atomic.Int64
	keys    []Key
	leads   []moment // beside keys
	rows    []float64
}

// add gives the place for a partner's next item.
func (c *chunk) add(p partnerRef) *item {
	for int(p.number) >= len(c.place) {
		c.place = append(c.place, 0)
	}
	g := c.place[p.number]
	if int(g) >= len(c.groups) || c.groups[g].partner != p.PartnerState {
		g = int32(len(c.groups))
		c.groups = append(c.groups, group{partner: p.PartnerState})
		c.place[p.number] = g
	}
	c.groups[g].n++
	c.groupOf = append(c.groupOf, g)
	c.items = append(c.items, item{})
	return &c.items[len(c.items)-1]
}

// sort puts the items in order by group, each group's as they came.
func (c *chunk) sort() {
	at := int32(0)
	for i := range c.groups {
		g := &c.groups[i]
		g.from, g.to = at, at
		at += g.n
	}
	if cap(c.order) < len(c.items) {
		c.order = make([]int32, cap(c.items))
	}
	c.order = c.order[:len(c.items)]
	for i, at := range c.groupOf {
		g := &c.groups[at]
		c.order[g.to] = int32(i)
		g.to++
	}
}

func (c *chunk) reset() {
	clear(c.items) // so that nothing dead stays reachable
	clear(c.keys)
	c.items, c.groupOf, c.groups, c.keys, c.leads = c.items[:0], c.groupOf[:0], c.groups[:0], c.keys[:0], c.leads[:0]
	c.taken.Store(0)
}

// worker is one goroutine's own memory.
type worker struct {
	moved   change
	view    LeadView
	spots   []*series // about to be counted in
	touched int64     // what touch came upon: kept, so that the reads are made
}

// fold works on groups that no other worker has taken until none is left. Which
// worker takes which partner changes nothing: all that partners share is sums
// of integers.
func (w *worker) fold(st *State, c *chunk) {
	for {
		to := int(c.taken.Add(groupsAtOnce))
		from := to - groupsAtOnce
		if from >= len(c.groups) {
			return
		}
		groups := c.groups[from:min(to, len(c.groups))]
		w.touch(c, groups)
		for i := range groups {
			for _, at := range c.order[groups[i].from:groups[i].to] {
				w.do(st, c, &c.items[at], groups[i].partner)
			}
		}
	}
}

// touch reads what the groups' items will need. Each loop's addresses come of
// the one before; the loops are short, because the processor reads ahead only as
// far as some two hundred instructions reach.
func (w *worker) touch(c *chunk, groups []group) {
	order := c.order[groups[0].from:groups[len(groups)-1].to]
	x := int64(0)
	for i := range groups {
		p := groups[i].partner
		x += int64(p.Version) + int64(p.nextDue) + int64(p.offers.byLead.n)
	}
	for _, at := range order {
		x += int64(c.items[at].kind) + int64(c.items[at].row)
	}
	w.spots = w.spots[:0]
	for i := range groups {
		p := groups[i].partner
		for _, at := range c.order[groups[i].from:groups[i].to] {
			it := &c.items[at]
			for _, k := range seriesOf[it.kind] {
				w.spots = append(w.spots, &p.series[k])
			}
			if it.row >= 0 {
				x += p.nearSums()
			}
		}
	}
	for _, s := range w.spots {
		x += int64(s.n[life])
	}
	for _, s := range w.spots {
		if n := len(s.entries); n > 0 {
			x += int64(s.entries[n-1].day)
		}
	}
	w.touched = x + nearOffers(c, groups)
}

// nearOffers reads what rows and what concerns offers will need.
func nearOffers(c *chunk, groups []group) (x int64) {
	for i := range groups {
		p := groups[i].partner
		for _, at := range c.order[groups[i].from:groups[i].to] {
			it := &c.items[at]
			if it.row >= 0 {
				x += p.nearEntries(c.today) + it.view.created + int64(it.view.words[0])
			}
			if it.lead != 0 {
				x += int64(p.offers.byLead.near(it.lead)) + int64(p.accounts.near(it.account))
			}
		}
	}
	return x
}

func (p *PartnerState) nearSums() (x int64) {
	for k := range p.series {
		x += int64(p.series[k].n[life])
	}
	return x
}

// nearEntries reads what rolling to today will.
func (p *PartnerState) nearEntries(today day) (x int64) {
	if today < p.nextDue {
		return 0
	}
	for k := range p.series {
		s := &p.series[k]
		if today < p.due[k] || len(s.entries) == 0 {
			continue
		}
		for _, i := range s.from {
			x += int64(s.entries[min(int(i), len(s.entries)-1)].day)
		}
	}
	return x
}

// do makes an item's row, if it is to have one, and folds it in.
func (w *worker) do(st *State, c *chunk, it *item, p *PartnerState) {
	if it.row >= 0 {
		_, partner, pair := st.set.Sides()
		width := st.set.Width()
		dst := c.rows[int(it.row)*width:][:width]
		p.roll(c.today)
		w.view.prepare(it.view, st, c.leads[it.row])
		st.set.LeadRow(dst[:partner], &w.view)
		st.set.partnerRow(dst[partner:pair], p, st, c.today)
		st.set.PairRow(dst[pair:], &w.view, p)
	}
	switch {
	case it.record != nil:
		p.put(st.set, it.record, &w.moved)
	case it.undo:
		p.arrive(c.today)
		p.takeBack(it.corrects, it.account, &w.moved)
	default:
		p.fold(&it.fact, &w.moved)
	}
}

// nearAll reads what rolling partners to today and making their rows will.
func nearAll(partners []*PartnerState, today day) (x int64) {
	for _, p := range partners {
		x += p.nearSums()
	}
	for _, p := range partners {
		x += p.nearEntries(today)
	}
	return x
}
