package features

import (
	"math"
	"slices"

	"bellwether/datasets/record"
	"bellwether/models"
)

// leadState is what the rows need of a lead once its record is gone: a few
// hundred bytes, shared by its offers. It does not change.
type leadState struct {
	id, account uint64
	created     int64
	fixed       []float64 // the columns that depend on the record alone
	words       []uint64  // the keys of its segments, then the products wanted
	industry    uint64
	region      uint64
	language    uint64
	market      uint64
	at          place
	before      accountLeads
	segments    int32 // how many of words are keys
}

// accountLeads are the leads of an account before this one.
type accountLeads struct {
	leads int32
	last  day
}

// readLead fills a lead's state from its record, reusing its memory.
func (s *Set) readLead(v *leadState, l *record.Lead) {
	v.id, v.account, v.created = hash(l.ID), hash(l.Account), l.CreatedAt.Unix()
	v.industry, v.region, v.language, v.market = hash(l.Industry), hash(l.Place.Region), hash(l.Language), hash(l.Marketplace)
	v.at = placeOf(l.Place)
	v.fixed = slices.Grow(v.fixed[:0], s.leadFixed)
	for i := range s.lead {
		if read := s.lead[i].fixed; read != nil {
			v.fixed = append(v.fixed, read(s, l))
		}
	}
	v.words = append(slices.Grow(v.words[:0], s.leadKeys()+len(l.Products)), segmentKey(byIndustry, models.Code(l.Industry)))
	for i := range maxProducts {
		key := uint64(0)
		if i < len(l.Products) {
			key = segmentKey(byProduct, models.Code(l.Products[i]))
		}
		v.words = append(v.words, key)
	}
	v.words = append(v.words, segmentKey(byRegion, models.Code(l.Place.Region)),
		segmentKey(bySize, models.Code(l.SizeBand)), segmentKey(bySource, models.Code(l.Source)))
	for i, name := range s.pairAttributes {
		v.words = append(v.words, segmentKey(dimensions+i, models.Code(attributeText(l.Attributes[name]))))
	}
	v.segments = int32(len(v.words))
	for _, p := range l.Products {
		v.words = append(v.words, hash(p))
	}
}

// leadKeys is how many segments a lead is in.
func (s *Set) leadKeys() int { return keyPlace(len(s.dimensions)) }

// keys are those of the lead's segments, 0 for a missing value; see keyPlace.
func (v *leadState) keys() []uint64 { return v.words[:v.segments] }

func (v *leadState) products() []uint64 { return v.words[v.segments:] }

// segment is what is known of one of a lead's segments as of midnight.
type segment struct {
	keys  int     // how many of the lead's keys are of this dimension
	first int     // where they begin
	tally tally   // over all of them
	rate  float64 // shrunk to everyone's
	odds  float64 // the odds of that rate against everyone's
}

// LeadView is a lead made ready for rows as of one moment. It belongs to one
// goroutine, and may be prepared again for another lead; the zero value is
// ready to be prepared.
type LeadView struct {
	own   leadState
	lead  *leadState
	state *State
	moment
	segments []segment
	together float64 // root of what the lead's segments multiply a partner's odds by
	pair     pairView
}

// moment is what a lead's rows need of a state that later events change at
// once, not at midnight.
type moment struct {
	now      int64 // Unix seconds
	account  account
	attempts int32 // offers of the lead made before
}

// prepare makes the view of a lead: what Prepare does once the record is read.
func (v *LeadView) prepare(lead *leadState, st *State, m moment) {
	v.lead, v.state, v.moment = lead, st, m
	global := st.segments.global[winRate].rate
	v.segments = v.segments[:0]
	together := 1.0
	keys := lead.keys()
	for d := range st.set.dimensions {
		g := segment{first: keyPlace(d)}
		end := g.first + 1
		if d == byProduct {
			end = g.first + maxProducts
		}
		for _, key := range keys[g.first:end] {
			if key == 0 {
				break
			}
			g.keys++
			t := st.segments.tally(key)
			g.tally.n += t.n
			g.tally.pos += t.pos
		}
		g.rate = st.segments.shrunk(g.tally)
		g.odds = odds(g.rate) / odds(global)
		if d < dimensions && g.keys > 0 {
			together *= g.odds
		}
		v.segments = append(v.segments, g)
	}
	// The segments of one lead overlap: counted in full they would say everything twice.
	v.together = math.Sqrt(together)
}

func (v *LeadView) today() day { return dayOf(v.now) }

// yearAngle is the time of year as an angle, 0 and 2 pi at new year.
func (v *LeadView) yearAngle() float64 {
	const year = 365.25 * secondsPerDay
	return 2 * math.Pi * math.Mod(float64(v.now), year) / year
}

// odds of a rate, kept finite.
func odds(p float64) float64 {
	const edge = 1e-4 // a rate nobody can tell from 0 with 10,000 offers
	p = min(1-edge, max(edge, p))
	return p / (1 - p)
}
