package features

import (
	"cmp"
	"math"
	"slices"

	"bellwether/datasets/record"
	"bellwether/models"
)

var missing = math.NaN()

// period is a half-open time in Unix seconds.
type period struct{ from, to int64 }

const forever = math.MaxInt64

func periodOf(s record.Span) period {
	p := period{math.MinInt64, forever}
	if !s.From.IsZero() {
		p.from = s.From.Unix()
	}
	if !s.To.IsZero() {
		p.to = s.To.Unix()
	}
	return p
}

func (p period) contains(t int64) bool { return p.from <= t && t < p.to }

// place is a point on the unit sphere.
type place struct {
	x, y, z float64
	known   bool
}

func placeOf(p record.Place) place {
	if !p.Located {
		return place{}
	}
	sinLat, cosLat := math.Sincos(p.Lat * math.Pi / 180)
	sinLon, cosLon := math.Sincos(p.Lon * math.Pi / 180)
	return place{cosLat * cosLon, cosLat * sinLon, sinLat, true}
}

const earthDiameterKM = 2 * 6371.0088

// distance is the great-circle distance in km, NaN if a place is not known.
func (p *place) distance(q *place) float64 {
	if !p.known || !q.known {
		return missing
	}
	dx, dy, dz := p.x-q.x, p.y-q.y, p.z-q.z
	return earthDiameterKM * math.Asin(min(1, math.Sqrt(dx*dx+dy*dy+dz*dz)/2))
}

// words is a sorted list of hashes.
type words []uint64

func wordsOf(list []string) words {
	w := make(words, 0, len(list))
	for _, s := range list {
		w = append(w, hash(s))
	}
	slices.Sort(w)
	return slices.Compact(w)
}

func (w words) has(key uint64) bool {
	if len(w) <= 8 {
		return slices.Contains(w, key)
	}
	_, ok := slices.BinarySearch(w, key)
	return ok
}

// skill is a competence: what it is in and when it holds.
type skill struct {
	product uint64
	level   int
	valid   period
}

// standing is a status and when it holds.
type standing struct {
	code  float64
	valid period
}

// profile is what a partner's record says, made ready for rows; events that
// change what the record says (a tier, a contract) change it here.
type profile struct {
	skills []skill // by product
	lists
	tierKey  uint64
	region   uint64
	at       place
	tier     string
	fixed    []float64 // the values that depend on the record alone
	statuses []standing
	earned   table[period] // certificates known from events, by name
	certs    table[period] // those and the record's
	contract period
	daily    float64 // declared capacity in leads a day, NaN if not limited
	joined   int64   // forever if not said
}

// lists are what a record lists by name.
type lists struct{ territories, industries, languages, markets words }

// listsOf reads a record's lists into one block of memory: a pair looks at them
// all.
func listsOf(p *record.Partner) lists {
	l := lists{wordsOf(p.Territories), wordsOf(p.Industries), wordsOf(p.Languages), wordsOf(p.Marketplaces)}
	all := make(words, 0, len(l.territories)+len(l.industries)+len(l.languages)+len(l.markets))
	for _, w := range []*words{&l.territories, &l.industries, &l.languages, &l.markets} {
		from := len(all)
		all = append(all, *w...)
		*w = all[from:len(all):len(all)]
	}
	return l
}

// profileOf reads a record; certificates earned by events stay.
func profileOf(p *record.Partner, fixed []float64, earned table[period]) profile {
	r := profile{
		fixed: fixed, tier: p.Tier, tierKey: hash(p.Tier), region: hash(p.Home.Region), at: placeOf(p.Home),
		earned: earned, contract: period{math.MinInt64, forever},
		lists: listsOf(p),
		daily: daily(p.Capacity), joined: forever,
	}
	if p.Contract != (record.Span{}) {
		r.contract = periodOf(p.Contract)
	}
	if !p.JoinedAt.IsZero() {
		r.joined = p.JoinedAt.Unix()
	}
	for _, s := range p.Status {
		r.statuses = append(r.statuses, standing{models.Code(s.Status), periodOf(s.Span)})
	}
	for _, c := range p.Certifications {
		r.certify(hash(c.Name), periodOf(c.Span))
	}
	earned.each(func(name uint64, valid *period) { r.certify(name, *valid) })
	for _, c := range p.Competences {
		r.skills = append(r.skills, skill{hash(c.Product), c.Level, periodOf(c.Span)})
	}
	slices.SortStableFunc(r.skills, func(a, b skill) int { return cmp.Compare(a.product, b.product) })
	return r
}

// certify notes a certificate; of two by one name the one that ends later holds.
func (r *profile) certify(name uint64, valid period) {
	if c := r.certs.get(name); c == nil || c.to < valid.to {
		*r.certs.put(name) = valid
	}
}

// enter notes a status from an event, in the order in which they began.
func (r *profile) enter(s standing) {
	i := len(r.statuses)
	for i > 0 && r.statuses[i-1].valid.from > s.valid.from {
		i--
	}
	r.statuses = slices.Insert(r.statuses, i, s)
}

func daily(c record.Capacity) float64 {
	if c.Units <= 0 {
		return missing
	}
	days := map[string]float64{"day": 1, "month": 365.25 / 12}[c.Period]
	if days == 0 {
		days = 7
	}
	return float64(c.Units) / days
}

// status is the code of the status in force at t.
func (r *profile) status(t int64) float64 {
	if len(r.statuses) == 0 {
		return activeCode
	}
	code := missing
	for _, s := range r.statuses {
		if s.valid.contains(t) {
			code = s.code
		}
	}
	return code
}

var activeCode = models.Code("active")

// level returns the highest level valid at t in a product, -1 for none.
func (r *profile) level(product uint64, t int64) int {
	level := -1
	i := 0
	if len(r.skills) > 16 { // else looking at each is as fast
		i, _ = slices.BinarySearchFunc(r.skills, product, func(s skill, p uint64) int { return cmp.Compare(s.product, p) })
	}
	for i < len(r.skills) && r.skills[i].product < product {
		i++
	}
	for ; i < len(r.skills) && r.skills[i].product == product; i++ {
		if r.skills[i].valid.contains(t) {
			level = max(level, r.skills[i].level)
		}
	}
	return level
}
