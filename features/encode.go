package features

import (
	"encoding/binary"
	"encoding/json"
	"math"
	"slices"

	"bellwether/datasets/record"
)

// stateMagic begins an encoded state; its last byte is the version of the
// layout. The fingerprint of the set follows, then every part in the order of
// the State's fields. Integers are varints, floats their bits, and tables lists
// ascending by key, so that equal states have equal bytes.
const stateMagic = "bwfs\x02"

// MarshalBinary writes the state with its set's fingerprint. It changes nothing,
// and may run beside the Row functions.
func (st *State) MarshalBinary() ([]byte, error) {
	c := &coder{buf: append([]byte(stateMagic), st.set.fingerprint...)}
	st.code(c)
	return c.buf, c.err
}

// UnmarshalBinary replaces the state, which must have been made by NewState,
// with one that MarshalBinary wrote. A state of another feature set or another
// version of the layout is an Incompatible error: rebuild it from the log.
// After an error the state knows nothing.
func (st *State) UnmarshalBinary(b []byte) error {
	set := st.set
	*st = *NewState(set)
	head := len(stateMagic) + len(set.fingerprint)
	if len(b) < head || string(b[:len(stateMagic)]) != stateMagic {
		return record.Errorf(record.Incompatible, "read feature state", "not a feature state of this version: rebuild it from the log")
	}
	if got := string(b[len(stateMagic):head]); got != set.fingerprint {
		return record.Errorf(record.Incompatible, "read feature state", "made with feature set %.16q, this is %.16q: rebuild it from the log", got, set.fingerprint)
	}
	c := &coder{buf: b[head:], reading: true}
	st.code(c)
	if c.err == nil && len(c.buf) > 0 {
		c.fail("bytes left over")
	}
	if c.err != nil {
		*st = *NewState(set)
	}
	return c.err
}

// coder writes values, or reads them back when reading is set: one description
// of a layout serves both ways.
type coder struct {
	buf     []byte
	reading bool
	err     error
}

func (c *coder) fail(what string) {
	if c.err == nil {
		c.err = record.Errorf(record.Incompatible, "read feature state", "damaged: %s", what)
	}
	c.buf = nil
}

func (c *coder) u64(x *uint64) {
	if !c.reading {
		c.buf = binary.AppendUvarint(c.buf, *x)
		return
	}
	v, n := binary.Uvarint(c.buf)
	if n <= 0 {
		c.fail("cut off")
		return
	}
	*x, c.buf = v, c.buf[n:]
}

// hash codes a value that has no small ones.
func (c *coder) hash(x *uint64) {
	if !c.reading {
		c.buf = binary.LittleEndian.AppendUint64(c.buf, *x)
		return
	}
	if len(c.buf) < 8 {
		c.fail("cut off")
		return
	}
	*x, c.buf = binary.LittleEndian.Uint64(c.buf), c.buf[8:]
}

func (c *coder) float(x *float64) {
	bits := math.Float64bits(*x)
	c.hash(&bits)
	if c.reading {
		*x = math.Float64frombits(bits)
	}
}

func (c *coder) flag(x *bool) {
	v := uint64(0)
	if *x {
		v = 1
	}
	c.u64(&v)
	if c.reading {
		*x = v == 1
	}
}

func (c *coder) text(s *string) {
	n := len(*s)
	c.length(&n, 1)
	if c.reading {
		*s, c.buf = string(c.buf[:n]), c.buf[n:]
		return
	}
	c.buf = append(c.buf, *s...)
}

// number codes any integer type as a zigzag varint.
func number[T ~int | ~int32 | ~int64 | ~uint8](c *coder, xs ...*T) {
	for _, x := range xs {
		if !c.reading {
			c.buf = binary.AppendVarint(c.buf, int64(*x))
			continue
		}
		v, n := binary.Varint(c.buf)
		if n <= 0 || int64(T(v)) != v {
			c.fail("a number is cut off or too large")
			return
		}
		*x, c.buf = T(v), c.buf[n:]
	}
}

// length codes the length of a list whose items take at least size bytes each,
// so that damaged bytes cannot ask for more memory than a few times their own.
func (c *coder) length(n *int, size int) {
	v := uint64(*n)
	c.u64(&v)
	if c.reading && v > uint64(len(c.buf)/size) {
		c.fail("a list is longer than what is left")
		v = 0
	}
	*n = int(v)
}

// list codes a slice by its items.
func list[T any](c *coder, s *[]T, size int, item func(*T)) {
	n := len(*s)
	c.length(&n, size)
	if c.reading {
		*s = make([]T, n)
	}
	for i := range *s {
		if c.err != nil {
			return
		}
		item(&(*s)[i])
	}
}

// codeTable codes a table ascending by key.
func codeTable[V any](c *coder, t *table[V], value func(key uint64, v *V)) {
	n := t.n
	c.length(&n, 8)
	if !c.reading {
		for _, k := range t.sorted() {
			c.hash(&k)
			value(k, t.get(k))
		}
		return
	}
	*t = table[V]{}
	t.reserve(n)
	last := uint64(0)
	for range n {
		var k uint64
		c.hash(&k)
		if c.err == nil && k <= last {
			c.fail("keys out of order")
		}
		if c.err != nil {
			return
		}
		last = k
		var v V
		value(k, &v)
		*t.put(k) = v
	}
}

func codeGenerations[V any](c *coder, g *generations[V], value func(key uint64, v *V)) {
	codeTable(c, &g.cur, value)
	codeTable(c, &g.prev, value)
}

// codeRecent codes the keys ascending, with the bit that says when they came.
func codeRecent(c *coder, r *recent) {
	c.u64(&r.young)
	keys := make([]uint64, 0, r.n)
	for _, key := range r.keys {
		if key != 0 {
			keys = append(keys, key)
		}
	}
	slices.Sort(keys)
	list(c, &keys, 8, c.hash)
	if !c.reading {
		return
	}
	if r.young > 1 || !slices.IsSorted(keys) || len(keys) > 0 && keys[0] < 2 {
		c.fail("keys out of order")
		return
	}
	young := r.young
	r.rebuild(max(16, roomy(len(keys))), func(uint64) bool { return true })
	for _, key := range keys {
		r.young = key & 1
		if r.add(key) {
			c.fail("a key twice")
			return
		}
	}
	r.young = young
}

// leadCoder numbers the leads that a state refers to: those still known, and
// those that only offers still know.
type leadCoder struct {
	*coder
	set   *Set
	known map[*leadState]int
	list  []*leadState
}

// lead codes a reference: 0 for none, else the lead's number; a lead met for
// the first time follows its number.
func (c *leadCoder) lead(v **leadState) {
	n := 0
	if !c.reading && *v != nil {
		n = c.known[*v]
		if n == 0 {
			n = len(c.list) + 1
		}
	}
	number(c.coder, &n)
	if c.err != nil || n == 0 {
		return
	}
	if c.reading && n >= 1 && n <= len(c.list) {
		*v = c.list[n-1]
		return
	}
	if c.reading && n != len(c.list)+1 {
		c.fail("a lead that is not there")
		return
	}
	if c.reading {
		*v = new(leadState)
	} else if c.known[*v] != 0 {
		return
	}
	c.list = append(c.list, *v)
	c.known[*v] = len(c.list)
	c.leadState(*v)
}

func (c *leadCoder) leadState(v *leadState) {
	c.hash(&v.id)
	c.hash(&v.account)
	number(c.coder, &v.created)
	list(c.coder, &v.fixed, 8, c.float)
	c.leadWords(v)
	for _, h := range []*uint64{&v.industry, &v.region, &v.language, &v.market} {
		c.hash(h)
	}
	for _, x := range []*float64{&v.at.x, &v.at.y, &v.at.z} {
		c.float(x)
	}
	c.flag(&v.at.known)
	number(c.coder, &v.before.leads, &v.before.last)
	if c.reading && c.err == nil && (len(v.fixed) != c.set.leadFixed || int(v.segments) != c.set.leadKeys()) {
		c.fail("a lead of another shape")
	}
}

func (c *leadCoder) leadWords(v *leadState) {
	var keys, products []uint64
	if !c.reading {
		keys, products = v.keys(), v.products()
	}
	list(c.coder, &keys, 8, c.hash)
	list(c.coder, &products, 8, c.hash)
	v.words, v.segments = append(keys, products...), int32(len(keys))
}

func (st *State) code(c *coder) {
	leads := &leadCoder{coder: c, set: st.set, known: map[*leadState]int{}}
	number(c, &st.now)
	number(c, &st.today)
	codeTable(c, &st.leads, func(_ uint64, l *leadEntry) {
		leads.lead(&l.view)
		number(c, &l.attempts, &l.touched)
		if c.reading && c.err == nil && l.view == nil {
			c.fail("a lead without content")
		}
	})
	codeTable(c, &st.accounts, func(_ uint64, a *account) {
		number(c, &a.leads, &a.wins, &a.lastLead, &a.lastWin)
		number(c, &a.revenue)
	})
	codeRecent(c, &st.seen)
	for _, moved := range []*change{&st.segments.change, &st.changed} {
		codeTable(c, &moved.tallies, func(_ uint64, t *tally) { number(c, &t.n, &t.pos) })
		codeTable(c, &moved.moments, func(_ uint64, m *[rates]moments) {
			for r := range m {
				number(c, &m[r].k, &m[r].n, &m[r].pos, &m[r].n2, &m[r].pos2n)
			}
		})
	}
	st.codePartners(leads)
	codeGenerations(c, &st.claims, func(_ uint64, x *claim) {
		number(c, &x.partner)
		c.flag(&x.won)
		if c.reading && c.err == nil && (x.partner < 0 || int(x.partner) >= len(st.byNumber)) {
			c.fail("an event of no partner")
		}
	})
	codeGenerations(c, &st.deals, func(_ uint64, d *wonDeal) {
		c.hash(&d.account)
		number(c, &d.amount)
		c.flag(&d.counted)
	})
	if c.reading {
		st.checkDeals(c)
		st.segments.weigh()
	}
}

// checkDeals holds the claims read against the deals they say are there.
func (st *State) checkDeals(c *coder) {
	for _, t := range []*table[claim]{&st.claims.cur, &st.claims.prev} {
		t.each(func(id uint64, x *claim) {
			if x.won && st.deals.get(id) == nil {
				c.fail("a deal that is not there")
			}
		})
	}
}

// codePartners codes the partners in the order in which they became known.
func (st *State) codePartners(c *leadCoder) {
	n := len(st.byNumber)
	c.length(&n, 1)
	for i := range n {
		var id string
		if !c.reading {
			id = string(st.byNumber[i].ID)
		}
		c.text(&id)
		if c.err != nil {
			return
		}
		if c.reading && st.Partner(record.PartnerID(id)) != nil {
			c.fail("a partner twice")
			return
		}
		c.partner(st.partner(record.PartnerID(id)).PartnerState, st.today)
	}
}

func (c *leadCoder) partner(p *PartnerState, today day) {
	c.u64(&p.Version)
	number(c.coder, &p.integrations, &p.overlaps)
	number(c.coder, &p.surveyScore)
	for l := range p.last {
		number(c.coder, &p.last[l])
	}
	c.profile(p)
	if c.reading {
		p.today = today
	}
	for k := range p.series {
		c.series(&p.series[k], today)
		if c.reading {
			p.mustRoll(k, p.series[k].roll(today))
		}
	}
	c.offers(&p.offers)
	codeTable(c.coder, &p.segments, func(_ uint64, t *tally) { number(c.coder, &t.n, &t.pos) })
	codeTable(c.coder, &p.accounts, func(account uint64, d *dealings) {
		s := *p.sharedWith(account, d)
		number(c.coder, &d.offers, &d.wins, &d.last)
		number(c.coder, &s.overlap, &s.protected)
		if c.reading && s != nothingShared {
			*p.share(account, d) = s
		}
	})
}

// series codes the days inside the longest window and the sums over life; the
// other sums follow from them.
func (c *leadCoder) series(s *series, today day) {
	total, sum := s.n[life], s.amounts()[life]
	number(c.coder, &total)
	number(c.coder, &sum)
	n := len(s.entries)
	c.length(&n, 3)
	if !c.reading {
		for i := range s.entries {
			amount := int64(0)
			if s.money != nil {
				amount = s.money.by[i]
			}
			number(c.coder, &s.entries[i].day, &s.entries[i].n)
			number(c.coder, &amount)
		}
		return
	}
	for range n {
		var e entry
		var amount int64
		number(c.coder, &e.day, &e.n)
		number(c.coder, &amount)
		if c.err == nil && (e.day > today || len(s.entries) > 0 && e.day <= s.entries[len(s.entries)-1].day) {
			c.fail("days out of order")
		}
		if c.err != nil {
			return
		}
		s.add(today, e.day, e.n, amount)
		total -= e.n
		sum -= amount
	}
	s.addLife(total, sum)
}

// profile codes the record and what events changed in what it says.
func (c *leadCoder) profile(p *PartnerState) {
	var text []byte
	if !c.reading && p.record != nil {
		text, c.err = json.Marshal(p.record)
	}
	s := string(text)
	c.text(&s)
	if c.reading && s != "" && c.err == nil {
		p.record = new(record.Partner)
		if err := json.Unmarshal([]byte(s), p.record); err != nil {
			c.fail("a partner's record: " + err.Error())
			return
		}
		p.profile = profileOf(p.record, c.set.readPartner(p.record), table[period]{})
	}
	r := &p.profile
	c.text(&r.tier)
	if c.reading {
		r.tierKey = hash(r.tier)
	}
	span := func(_ uint64, v *period) { number(c.coder, &v.from, &v.to) }
	codeTable(c.coder, &r.earned, span)
	codeTable(c.coder, &r.certs, span)
	span(0, &r.contract)
	list(c.coder, &r.statuses, 10, func(s *standing) {
		c.float(&s.code)
		span(0, &s.valid)
	})
}

func (c *leadCoder) offers(b *offerBook) {
	book := *b
	list(c.coder, &book.list, 20, func(o *offer) {
		c.hash(&o.id)
		c.hash(&o.lead)
		c.lead(&o.view)
		number(c.coder, &o.made, &o.reply.at)
		number(c.coder, &o.day, &o.done, &o.reply.day, &o.result.day)
		number(c.coder, &o.reply.kind)
		number(c.coder, &o.result.outcome)
		for _, h := range []*uint64{&o.reply.by, &o.result.by, &o.dealBy} {
			c.hash(h)
		}
		c.flag(&o.waiting)
		c.flag(&o.working)
	})
	if c.reading {
		*b = offerBook{}
		for _, o := range book.list {
			b.add(o)
		}
	}
	codeTable(c.coder, &b.deals, func(_ uint64, d *deal) {
		c.hash(&d.lead)
		c.hash(&d.by)
		number(c.coder, &d.day)
	})
	c.effects(&b.effects)
}

// effects codes them as a table by event.
func (c *leadCoder) effects(s *effects) {
	var byID table[effect]
	for _, e := range *s {
		*byID.put(e.id) = e
	}
	codeTable(c.coder, &byID, func(id uint64, e *effect) {
		e.id = id
		number(c.coder, &e.kind)
		number(c.coder, &e.day, &e.known)
		number(c.coder, &e.amount)
		c.hash(&e.key)
		c.hash(&e.deal)
		c.flag(&e.byID)
		if c.reading && c.err == nil && e.kind > kinds {
			c.fail("an effect of no kind")
		}
	})
	if c.reading {
		byID.each(func(_ uint64, e *effect) { *s = append(*s, *e) })
	}
}
