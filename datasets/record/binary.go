package record

import (
	"encoding/binary"
	"maps"
	"math"
	"slices"
	"time"
)

// The binary encodings are what the store's log holds. A record is one version
// byte and then its fields in the order of its struct, without names:
//
//	text, id     uvarint length, bytes
//	integer      varint; counts and positions uvarint; bool one byte
//	float64      8 bytes, little endian: the same bits come back
//	time         0 for the zero time; else uvarint nanoseconds+1, varint Unix seconds
//	list         uvarint count, items
//	map          uvarint count, entries by rising name
//	event type   uvarint position in EventTypes + 1; 0 and the text for others
//
// A decision's candidates are most of the log. Each has its id, as the number of
// bytes it shares with the id before and the rest as text, and its numbers: a byte
// with a bit for each, then 8 bytes where the bit is 1, else the place of a number
// that came before (see repeats). Decisions of version 1 have text and 8 bytes.
//
// The fields of a version never change; a new field means a new version, and
// decoders keep reading the old ones. Empty and nil lists are the same. A
// decoder allocates no more than in proportion to the bytes it is given, and
// answers Incompatible to damage, to another version and to bytes left over.
const (
	binaryVersion   = 1
	decisionVersion = 2
)

// AppendEvent appends the event's binary encoding to dst.
func AppendEvent(dst []byte, e *Event) []byte {
	w := writer{append(dst, binaryVersion)}
	w.str(string(e.ID))
	if i := slices.Index(EventTypes, e.Type); i >= 0 {
		w.uint(uint64(i) + 1)
	} else {
		w.uint(0)
		w.str(string(e.Type))
	}
	w.time(e.At)
	w.time(e.KnownAt)
	w.str(string(e.Partner))
	w.str(string(e.Other))
	w.str(string(e.Lead))
	w.str(string(e.Deal))
	w.str(string(e.Account))
	w.str(string(e.Decision))
	w.str(string(e.Offer))
	w.money(e.Amount)
	w.strs(e.Products)
	w.str(e.Reason)
	w.str(e.Role)
	w.str(e.Direction)
	w.str(e.Text)
	w.time(e.Until)
	w.str(string(e.Supersedes))
	w.numbers(e.Numbers)
	return w.b
}

// DecodeEvent reads what AppendEvent wrote, replacing all of e. Bytes that are cut
// off, too many or of a newer program are an Incompatible error, after which e
// means nothing; so it is with the other nouns.
func DecodeEvent(b []byte, e *Event) error {
	r := newReader(b, binaryVersion)
	*e = Event{ID: EventID(r.str())}
	switch i := r.uint(); {
	case i == 0:
		e.Type = EventType(r.str())
	case i <= uint64(len(EventTypes)):
		e.Type = EventTypes[i-1]
	default:
		r.fail("event type is newer than this program")
	}
	e.At = r.time()
	e.KnownAt = r.time()
	e.Partner = PartnerID(r.str())
	e.Other = PartnerID(r.str())
	e.Lead = LeadID(r.str())
	e.Deal = DealID(r.str())
	e.Account = AccountID(r.str())
	e.Decision = DecisionID(r.str())
	e.Offer = OfferID(r.str())
	e.Amount = r.money()
	e.Products = r.strs()
	e.Reason = r.str()
	e.Role = r.str()
	e.Direction = r.str()
	e.Text = r.str()
	e.Until = r.time()
	e.Supersedes = EventID(r.str())
	e.Numbers = r.numbers()
	return r.end("event")
}

// AppendPartner appends the partner's binary encoding to dst.
func AppendPartner(dst []byte, p *Partner) []byte {
	w := writer{append(dst, binaryVersion)}
	w.str(string(p.ID))
	w.str(p.Name)
	w.str(p.Kind)
	w.str(p.Tier)
	w.str(string(p.Parent))
	w.place(p.Home)
	w.strs(p.Territories)
	w.strs(p.Industries)
	w.strs(p.Languages)
	w.uint(uint64(len(p.Competences)))
	for _, c := range p.Competences {
		w.str(c.Product)
		w.int(int64(c.Level))
		w.span(c.Span)
	}
	w.uint(uint64(len(p.Certifications)))
	for _, c := range p.Certifications {
		w.str(c.Name)
		w.span(c.Span)
	}
	w.span(p.Contract)
	w.strs(p.Marketplaces)
	w.capacity(&p.Capacity)
	w.time(p.JoinedAt)
	w.uint(uint64(len(p.Status)))
	for _, s := range p.Status {
		w.str(s.Status)
		w.span(s.Span)
	}
	w.time(p.KnownAt)
	w.attributes(p.Attributes)
	return w.b
}

// Least bytes of one item of a list: what a hostile count is held against.
const (
	minSpan      = 2
	minNamedSpan = 1 + minSpan
	minCandidate = 1 + 7*8
	minPacked    = 2 + 1 + 7
	minRanked    = minCandidate + 3
	minRefusal   = 3
)

// DecodePartner reads what AppendPartner wrote, replacing all of p.
func DecodePartner(b []byte, p *Partner) error {
	r := newReader(b, binaryVersion)
	*p = Partner{ID: PartnerID(r.str()), Name: r.str(), Kind: r.str(), Tier: r.str()}
	p.Parent = PartnerID(r.str())
	p.Home = r.place()
	p.Territories = r.strs()
	p.Industries = r.strs()
	p.Languages = r.strs()
	p.Competences = list(r, minNamedSpan+1, func(c *Competence) {
		c.Product = r.str()
		c.Level = int(r.int())
		c.Span = r.span()
	})
	p.Certifications = list(r, minNamedSpan, func(c *Certification) {
		c.Name = r.str()
		c.Span = r.span()
	})
	p.Contract = r.span()
	p.Marketplaces = r.strs()
	p.Capacity = r.capacity()
	p.JoinedAt = r.time()
	p.Status = list(r, minNamedSpan, func(s *StatusSpan) {
		s.Status = r.str()
		s.Span = r.span()
	})
	p.KnownAt = r.time()
	p.Attributes = r.attributes()
	return r.end("partner")
}

// AppendLead appends the lead's binary encoding to dst.
func AppendLead(dst []byte, l *Lead) []byte {
	w := writer{append(dst, binaryVersion)}
	w.str(string(l.ID))
	w.time(l.CreatedAt)
	w.str(string(l.Account))
	w.str(l.Company)
	w.str(l.Industry)
	w.str(l.SizeBand)
	w.place(l.Place)
	w.str(l.Language)
	w.strs(l.Products)
	w.str(l.Need)
	w.money(l.Value)
	w.str(l.Source)
	w.str(l.Marketplace)
	w.bool(l.CommittedSpend)
	w.str(l.Text)
	w.attributes(l.Attributes)
	return w.b
}

// DecodeLead reads what AppendLead wrote, replacing all of l.
func DecodeLead(b []byte, l *Lead) error {
	r := newReader(b, binaryVersion)
	*l = Lead{ID: LeadID(r.str()), CreatedAt: r.time()}
	l.Account = AccountID(r.str())
	l.Company = r.str()
	l.Industry = r.str()
	l.SizeBand = r.str()
	l.Place = r.place()
	l.Language = r.str()
	l.Products = r.strs()
	l.Need = r.str()
	l.Value = r.money()
	l.Source = r.str()
	l.Marketplace = r.str()
	l.CommittedSpend = r.bool()
	l.Text = r.str()
	l.Attributes = r.attributes()
	return r.end("lead")
}

// AppendOffer appends the offer's binary encoding to dst.
func AppendOffer(dst []byte, o *Offer) []byte {
	w := writer{append(dst, binaryVersion)}
	w.str(string(o.ID))
	w.str(string(o.Decision))
	w.str(string(o.Lead))
	w.str(string(o.Partner))
	w.str(string(o.Account))
	w.str(string(o.State))
	w.time(o.MadeAt)
	w.time(o.ExpiresAt)
	w.time(o.ChangedAt)
	w.str(o.Reason)
	w.str(string(o.Previous))
	w.str(string(o.Next))
	w.int(int64(o.Attempt))
	return w.b
}

// DecodeOffer reads what AppendOffer wrote, replacing all of o.
func DecodeOffer(b []byte, o *Offer) error {
	r := newReader(b, binaryVersion)
	*o = Offer{ID: OfferID(r.str()), Decision: DecisionID(r.str()), Lead: LeadID(r.str()), Partner: PartnerID(r.str())}
	o.Account = AccountID(r.str())
	o.State = OfferState(r.str())
	o.MadeAt = r.time()
	o.ExpiresAt = r.time()
	o.ChangedAt = r.time()
	o.Reason = r.str()
	o.Previous = DecisionID(r.str())
	o.Next = DecisionID(r.str())
	o.Attempt = int(r.int())
	return r.end("offer")
}

// AppendDecision appends the decision's binary encoding to dst.
func AppendDecision(dst []byte, d *Decision) []byte {
	// Most of a decision is its candidates and who was refused: room for all at once.
	const candidate, others = 48, 6 << 10
	room := others + candidate*len(d.Candidates)
	for i := range d.Refusals {
		room += len(d.Refusals[i].Partners)
	}
	w := writer{append(slices.Grow(dst, room), decisionVersion)}
	w.str(string(d.ID))
	w.str(d.LeadRef)
	w.str(string(d.Lead))
	w.time(d.At)
	w.uint(d.Position)
	w.uint(d.IndexVersion)
	w.uint(uint64(len(d.Refusals)))
	for i := range d.Refusals {
		f := &d.Refusals[i]
		w.str(f.Rule)
		w.int(int64(f.Count))
		w.bytes(f.Partners)
	}
	w.candidates(d.Candidates)
	w.str(d.Model)
	w.str(d.AcceptModel)
	w.str(d.Policy)
	w.uint64(d.Seed)
	w.uint64(d.Fingerprint)
	w.uint(uint64(len(d.Ranked)))
	for i := range d.Ranked {
		k := &d.Ranked[i]
		w.candidate(&k.Candidate)
		w.bool(k.Enough)
		w.strs(k.Reasons)
		w.numbers(k.Values)
	}
	w.str(string(d.Chosen))
	w.float(d.Propensity)
	w.str(string(d.PlainChoice))
	w.bool(d.Explored)
	w.bool(d.Greedy)
	w.bool(d.Degraded)
	w.strs(d.Reasons)
	w.str(string(d.Previous))
	w.str(string(d.Offer))
	w.time(d.ExpiresAt)
	w.int(d.LatencyMicros)
	return w.b
}

// DecodeDecision reads what AppendDecision wrote, replacing all of d.
func DecodeDecision(b []byte, d *Decision) error {
	r := newReader(b, decisionVersion)
	*d = Decision{ID: DecisionID(r.str()), LeadRef: r.str(), Lead: LeadID(r.str()), At: r.time()}
	d.Position = r.uint()
	d.IndexVersion = r.uint()
	d.Refusals = list(r, minRefusal, func(f *Refusal) {
		f.Rule = r.str()
		f.Count = int(r.int())
		f.Partners = r.bytes()
	})
	if r.version == 1 {
		d.Candidates = list(r, minCandidate, r.candidate)
	} else {
		d.Candidates = r.candidates()
	}
	d.Model = r.str()
	d.AcceptModel = r.str()
	d.Policy = r.str()
	d.Seed = r.uint64()
	d.Fingerprint = r.uint64()
	d.Ranked = list(r, minRanked, func(k *Ranked) {
		r.candidate(&k.Candidate)
		k.Enough = r.bool()
		k.Reasons = r.strs()
		k.Values = r.numbers()
	})
	d.Chosen = PartnerID(r.str())
	d.Propensity = r.float()
	d.PlainChoice = PartnerID(r.str())
	d.Explored = r.bool()
	d.Greedy = r.bool()
	d.Degraded = r.bool()
	d.Reasons = r.strs()
	d.Previous = DecisionID(r.str())
	d.Offer = OfferID(r.str())
	d.ExpiresAt = r.time()
	d.LatencyMicros = r.int()
	return r.end("decision")
}

// writer appends fields to b.
type writer struct{ b []byte }

func (w *writer) uint(x uint64)   { w.b = binary.AppendUvarint(w.b, x) }
func (w *writer) int(x int64)     { w.b = binary.AppendVarint(w.b, x) }
func (w *writer) uint64(x uint64) { w.b = binary.LittleEndian.AppendUint64(w.b, x) }
func (w *writer) float(x float64) { w.uint64(math.Float64bits(x)) }

func (w *writer) bool(x bool) {
	if x {
		w.b = append(w.b, 1)
	} else {
		w.b = append(w.b, 0)
	}
}

func (w *writer) str(s string) {
	w.uint(uint64(len(s)))
	w.b = append(w.b, s...)
}

func (w *writer) bytes(s []byte) {
	w.uint(uint64(len(s)))
	w.b = append(w.b, s...)
}

func (w *writer) strs(list []string) {
	w.uint(uint64(len(list)))
	for _, s := range list {
		w.str(s)
	}
}

func (w *writer) time(t time.Time) {
	if t.IsZero() {
		w.uint(0)
		return
	}
	w.uint(uint64(t.Nanosecond()) + 1)
	w.int(t.Unix())
}

func (w *writer) span(s Span) {
	w.time(s.From)
	w.time(s.To)
}

func (w *writer) money(m Money) {
	w.int(m.Amount)
	w.str(m.Currency)
}

func (w *writer) place(p Place) {
	w.str(p.Region)
	w.bool(p.Located)
	w.float(p.Lat)
	w.float(p.Lon)
}

func (w *writer) capacity(c *Capacity) {
	w.int(int64(c.Units))
	w.str(c.Period)
	w.uint(uint64(len(c.Weekdays)))
	for _, d := range c.Weekdays {
		w.int(int64(d))
	}
	w.str(c.Timezone)
	w.uint(uint64(len(c.Absences)))
	for _, s := range c.Absences {
		w.span(s)
	}
}

func (w *writer) numbers(m map[string]float64) {
	w.uint(uint64(len(m)))
	for _, name := range slices.Sorted(maps.Keys(m)) {
		w.str(name)
		w.float(m[name])
	}
}

func (w *writer) attributes(a Attributes) {
	w.uint(uint64(len(a)))
	for _, name := range slices.Sorted(maps.Keys(a)) {
		v := a[name]
		w.str(name)
		w.b = append(w.b, byte(v.kind))
		switch v.kind {
		case TextValue:
			w.str(v.text)
		case NumberValue:
			w.float(v.num)
		case ListValue:
			w.strs(v.list)
		}
	}
}

func (w *writer) candidate(c *Candidate) {
	w.str(string(c.Partner))
	b := w.b
	for _, x := range c.numbers() {
		b = binary.LittleEndian.AppendUint64(b, math.Float64bits(*x))
	}
	w.b = b
}

func (c *Candidate) numbers() [7]*float64 {
	return [...]*float64{&c.Win, &c.WinLo, &c.WinHi, &c.Accept, &c.Value, &c.Price, &c.Prob}
}

// repeats are the numbers seen last among a few columns of candidates, at first
// zeros: an interval's ends are steps that many share, and so are prices.
type repeats [256]uint64

func placeOf(bits uint64) uint8 { return uint8(bits * 0x9e3779b97f4a7c15 >> 56) }

// columnRepeats says which columns share repeats: an interval may end in Win.
var columnRepeats = [7]uint8{0, 0, 0, 1, 2, 3, 4}

// mostShared is how many bytes an id may share with the one before: a decoder
// must not be made to write more than it is given many times over.
const mostShared = 255

// candidates writes a decision's candidates.
func (w *writer) candidates(list []Candidate) {
	w.uint(uint64(len(list)))
	var seen [5]repeats
	before := ""
	for i := range list {
		c := &list[i]
		id := string(c.Partner)
		same := 0
		for same < min(len(id), len(before), mostShared) && id[same] == before[same] {
			same++
		}
		before = id
		w.b = append(w.b, uint8(same))
		w.str(id[same:])
		flags := len(w.b)
		b := slices.Grow(w.b, 1+7*8)[:flags+1+7*8]
		end, fresh := flags+1, uint8(0)
		for k, x := range [...]float64{c.Win, c.WinLo, c.WinHi, c.Accept, c.Value, c.Price, c.Prob} {
			// Whether a number came before is a coin's throw: no branch.
			bits := math.Float64bits(x)
			place := placeOf(bits)
			at := &seen[columnRepeats[k]][place]
			word, is := bits, 1
			if *at == bits {
				word, is = uint64(place), 0
			}
			*at = bits
			binary.LittleEndian.PutUint64(b[end:end+8], word)
			end += 1 + 7*is
			fresh |= uint8(is) << k
		}
		b[flags] = fresh
		w.b = b[:end]
	}
}
