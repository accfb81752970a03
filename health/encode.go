package health

import (
	"cmp"
	"maps"
	"math"
	"slices"

	"bellwether/datasets/record"
	"bellwether/models/wire"
)

// historyMagic begins an encoded history; its last byte is the version of the
// layout. Maps are lists ascending by key, partners are named by their place in
// such a list, so that equal histories have equal bytes.
const historyMagic = "bwh\x01"

// MarshalBinary writes what the history knows; its configuration and currency
// table are the reader's to give. It changes nothing.
func (h *History) MarshalBinary() ([]byte, error) {
	c := &coder{out: wire.NewEncoder(historyMagic)}
	c.labels(h.Labels)
	c.book(h.Book)
	return c.out.Seal(), nil
}

// UnmarshalBinary makes a new history what MarshalBinary wrote. Bytes of another
// version, and damaged ones, are an Incompatible error, after which the history
// is of no use: make it again from the log.
func (h *History) UnmarshalBinary(b []byte) error {
	c := &coder{in: wire.NewDecoder(historyMagic, b)}
	c.labels(h.Labels)
	c.book(h.Book)
	if err := c.in.Close(); err != nil {
		return record.Errorf(record.Incompatible, "read health's history", "%w: make it again from the log", err)
	}
	return nil
}

// coder writes values, or reads them back if there is something to read: one
// description of a layout serves both ways.
type coder struct {
	out   *wire.Encoder
	in    *wire.Decoder
	texts map[string]string // those read, each held once
}

func numbers[T ~uint8 | ~int8 | ~int | ~int32 | ~uint32 | ~int64 | ~uint64](c *coder, xs ...*T) {
	for _, x := range xs {
		if c.in != nil {
			*x = T(c.in.Int())
		} else {
			c.out.Int(int(*x))
		}
	}
}

func (c *coder) float(x *float32) {
	bits := math.Float32bits(*x)
	if numbers(c, &bits); c.in != nil {
		*x = math.Float32frombits(bits)
	}
}

func (c *coder) flag(x *bool) {
	if c.in != nil {
		*x = c.in.Bool()
	} else {
		c.out.Bool(*x)
	}
}

func text[T ~string](c *coder, s *T) {
	if c.in == nil {
		c.out.String(string(*s))
		return
	}
	t := c.in.String()
	held, known := c.texts[t]
	if !known {
		if c.texts == nil {
			c.texts = map[string]string{}
		}
		held, c.texts[t] = t, t
	}
	*s = T(held)
}

func list[T any](c *coder, xs *[]T, each func(*T)) {
	n := len(*xs)
	if numbers(c, &n); c.in == nil {
		for i := range *xs {
			each(&(*xs)[i])
		}
		return
	}
	*xs = nil
	for i := 0; i < n && c.in.Err() == nil; i++ {
		var x T
		each(&x)
		*xs = append(*xs, x)
	}
}

func dict[K cmp.Ordered, V any](c *coder, m map[K]V, key func(*K), value func(*V)) {
	keys := slices.Sorted(maps.Keys(m))
	list(c, &keys, func(k *K) {
		key(k)
		v := m[*k]
		if value(&v); c.in != nil {
			m[*k] = v
		}
	})
}

// places names the values of a map by their places in the order of its keys.
func places[K cmp.Ordered, V any](c *coder, m map[K]*V) (place func(**V)) {
	at, of := map[*V]int{}, []*V{}
	for i, k := range slices.Sorted(maps.Keys(m)) {
		at[m[k]], of = i, append(of, m[k])
	}
	return func(v **V) {
		i := at[*v]
		if numbers(c, &i); c.in == nil {
			return
		}
		if *v = new(V); i < 0 || i >= len(of) {
			c.in.Fail()
			return
		}
		*v = of[i]
	}
}

// made lets a dict read into values that are new.
func made[V any](f func(*V)) func(**V) {
	return func(v **V) {
		if *v == nil {
			*v = new(V)
		}
		f(*v)
	}
}

func remembered[T any](c *coder, r *recall[T], value func(*T)) {
	numbers(c, &r.turns)
	if c.in != nil {
		r.now, r.before = map[uint64]T{}, map[uint64]T{}
	}
	for _, m := range []map[uint64]T{r.now, r.before} {
		dict(c, m, func(id *uint64) { numbers(c, id) }, value)
	}
}

func (c *coder) labels(l *Labels) {
	dict(c, l.partners, func(id *record.PartnerID) { text(c, id) }, made(c.past))
	who := places(c, l.partners)
	numbers(c, &l.merges)
	list(c, &l.mergers, func(m *merger) {
		numbers(c, &m.id)
		numbers(c, &m.number)
		numbers(c, &m.at)
		who(&m.into)
		who(&m.from)
	})
	dict(c, l.perDay, func(day *int32) { numbers(c, day) }, func(n *int) { numbers(c, n) })
	remembered(c, &l.recent, who)
	if c.in != nil {
		l.stale = true
		l.handOnAnew()
	}
}

func (c *coder) past(p *past) {
	list(c, &p.days, func(a *activeDay) {
		numbers(c, &a.day)
		numbers(c, &a.merges)
		c.held(&a.held)
	})
	list(c, &p.turns, func(t *turn) {
		numbers(c, &t.at)
		c.flag(&t.gone)
		c.held(&t.held)
	})
}

func (c *coder) held(h *held) {
	numbers(c, &h.id)
	numbers(c, &h.known, &h.until)
}

func (c *coder) book(b *Book) {
	dict(c, b.partners, func(id *record.PartnerID) { text(c, id) }, made(c.ledger))
	who := places(c, b.partners)
	dict(c, b.deals, func(id *record.DealID) { text(c, id) }, made(func(d *dealing) {
		numbers(c, &d.known)
		list(c, &d.steps, c.step)
	}))
	dict(c, b.currencies, func(code *string) { text(c, code) }, func(n *int) { numbers(c, n) })
	remembered(c, &b.recent, func(e *effect) {
		who(&e.of)
		text(c, &e.kind)
		numbers(c, &e.day)
		text(c, &e.deal)
		text(c, &e.currency)
	})
	remembered(c, &b.visits, func(v *visit) {
		who(&v.of)
		numbers(c, &v.day)
		numbers(c, &v.weight)
		c.flag(&v.qualifies)
	})
}

func (c *coder) ledger(l *ledger) {
	for _, f := range []*firsts{&l.starts, &l.wins} {
		list(c, (*[]occasion)(f), func(o *occasion) {
			numbers(c, &o.id)
			numbers(c, &o.at)
			numbers(c, &o.known)
		})
	}
	list(c, &l.surveys, func(s *scored) {
		numbers(c, &s.by)
		numbers(c, &s.day)
		c.float(&s.score)
	})
	for _, days := range []*[]dated{&l.portal, &l.activity} {
		list(c, days, func(d *dated) {
			numbers(c, &d.day)
			c.float(&d.amount)
		})
	}
	list(c, &l.credits, c.credit)
}

func (c *coder) step(s *step) {
	numbers(c, &s.id)
	text(c, &s.kind)
	text(c, &s.partner)
	c.credit(&s.credit)
}

func (c *coder) credit(x *credit) {
	numbers(c, &x.by)
	numbers(c, &x.day)
	numbers(c, &x.products)
	c.float(&x.share)
	c.float(&x.value)
	c.flag(&x.own)
}
