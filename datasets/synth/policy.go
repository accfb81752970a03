package synth

import (
	"math/rand/v2"
	"slices"
	"time"
)

// The past policy: one of three habits, drawn anew for each offer. People give
// a lead to somebody at home in its region, to a favourite, or to whoever has
// waited longest. A favourite can be anybody, so every eligible partner has a
// chance of being chosen.
const (
	shareTerritory  = 0.35
	shareFavourites = 0.40
	shareTurn       = 0.25
)

// desk is what the past policy looks at in a partner, kept close together
// because every lead passes hundreds of them.
type desk struct {
	active, out bool // as the company believes; out: no contract, or absent, today
	region      uint8
	speaks      uint16 // bit per regions' language
	sells       uint16 // bit per product
	lists       uint16 // bit per marketplace
	used, units int32  // of this calendar week's capacity
	unanswered  int32  // offers expired in a row
	lastOffer   int64
	favour      float64
}

// policy chooses, with the probability of each choice.
type policy struct {
	w        *World
	desks    []desk
	eligible []int32
	prob     []float64
}

func newPolicy(w *World) policy {
	p := policy{w: w, desks: make([]desk, len(w.partners))}
	for i := range p.desks {
		q := &w.partners[i]
		d := desk{region: uint8(q.region), units: int32(q.rec.Capacity.Units), lastOffer: q.joined, favour: q.favour}
		for k, level := range q.level {
			if level > 0 {
				d.sells |= 1 << k
			}
		}
		for n, m := range markets {
			if slices.Contains(q.rec.Marketplaces, m) {
				d.lists |= 1 << n
			}
		}
		for n := range regions {
			if slices.Contains(q.rec.Languages, regions[n].language) {
				d.speaks |= languageBit(regions[n].language)
			}
		}
		p.desks[i] = d
	}
	return p
}

// languageBit is the bit of the first region that speaks a language.
func languageBit(language string) uint16 {
	for n := range regions {
		if regions[n].language == language {
			return 1 << n
		}
	}
	return 0
}

// morning brings the desks up to a new day: who is out, and on Mondays whose
// capacity is free again.
func (p *policy) morning(midnight int64) {
	now := time.Unix(midnight, 0).UTC()
	for i := range p.desks {
		q, d := &p.w.partners[i], &p.desks[i]
		d.out = q.away(now) || !q.rec.Contract.Contains(now)
		if now.Weekday() == time.Monday {
			d.used = 0
		}
	}
}

// choose draws a partner for a lead among those allowed and not yet tried. It
// returns -1 if there is none. p.eligible and p.prob hold the candidates and
// their probabilities until the next call.
func (p *policy) choose(r *rand.Rand, f *facts, tried []int32) (chosen int, propensity float64) {
	p.refuse(f, tried)
	if len(p.eligible) == 0 {
		return -1, 0
	}
	local, favour := 0, 0.0
	turn := p.eligible[0]
	for _, i := range p.eligible {
		d := &p.desks[i]
		if int(d.region) == f.region {
			local++
		}
		favour += d.favour
		if d.lastOffer < p.desks[turn].lastOffer {
			turn = i
		}
	}
	p.prob = p.prob[:0]
	u, n := r.Float64(), len(p.eligible)-1
	for k, i := range p.eligible {
		d := &p.desks[i]
		x := shareFavourites * d.favour / favour
		switch {
		case local == 0:
			x += shareTerritory / float64(len(p.eligible))
		case int(d.region) == f.region:
			x += shareTerritory / float64(local)
		}
		if i == turn {
			x += shareTurn
		}
		p.prob = append(p.prob, x)
		if u >= 0 && u < x {
			n = k
		}
		u -= x
	}
	return int(p.eligible[n]), p.prob[n]
}

// refuse leaves the partners that may have the lead in p.eligible.
func (p *policy) refuse(f *facts, tried []int32) {
	p.eligible = p.eligible[:0]
	var sells, lists uint16
	for _, k := range f.products {
		sells |= 1 << k
	}
	if f.mart >= 0 {
		lists = 1 << f.mart
	}
	speaks := languageBit(f.language)
	for _, i := range p.w.buckets[f.region][f.products[0]] {
		d := &p.desks[i]
		if d.active && !d.out && d.used < d.units && d.sells&sells == sells && d.lists&lists == lists && d.speaks&speaks != 0 &&
			!slices.Contains(tried, i) {
			p.eligible = append(p.eligible, i)
		}
	}
}

func (p *policy) offered(i int, at int64) {
	p.desks[i].used++
	p.desks[i].lastOffer = at
}

func (p *partner) away(now time.Time) bool {
	for _, s := range p.rec.Capacity.Absences {
		if s.Contains(now) {
			return true
		}
	}
	return false
}
