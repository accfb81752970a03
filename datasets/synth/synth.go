// Package synth makes a world whose truth is known: partners with hidden skill,
// leads, a biased past policy that offered those leads, and everything that came
// of it, as records. It exists so that a router or a health score can be judged
// against what would really have happened, which no real data tells.
//
// What is written out is what a company would have on file: partners, leads,
// events and decisions, in the order in which they became known, with missing
// fields, late and repeated events. What is true stays in World: skill by
// industry, product, region and size, the mood that makes partners fade and
// leave, the day the market drifts. Records carry none of it. The past policy's
// propensities stand in the decisions alone; no event carries them, so features
// built from events cannot read them.
//
// The truth of a deal is a logit: base, the partner's skill for what is wanted,
// the lead's own quality, the partner's mood of that week, the season, the drift
// and whether the partner holds the account. Each lead can be made again from
// the seed and its number, so the world keeps nothing per lead; what it keeps is
// per partner, plus the offers and deals open at one moment.
package synth

import (
	"math"
	"math/rand/v2"
	"slices"
	"sort"
	"strconv"
	"strings"
	"time"

	"bellwether/datasets/record"
)

// HorizonDays is the time within which every accepted lead is decided: the
// horizon that World.Win speaks of.
const HorizonDays = 180

const day = 24 * 60 * 60 // seconds

// Config says how large a world is. Its zero value is 200 partners, 20,000
// leads and 720 days that end on 2026-06-30.
type Config struct {
	Partners   int
	Leads      int
	Days       int
	Seed       uint64
	Events     int       // how many events to aim at by scaling portal activity; 0: as many as come naturally
	End        time.Time // midnight UTC after the last day
	DriftDay   int       // day the market drifts; 0: at 60 % of Days, negative: never
	Late       float64   // share of late events, 0: 4 %, negative: none
	Duplicates float64   // share of events told twice, 0: 1 %, negative: none
	Missing    float64   // chance of each optional field to be missing, 0: 6 %, negative: none
}

func (c Config) withDefaults() Config {
	c.Partners = orDefault(c.Partners, 200)
	c.Leads = orDefault(c.Leads, 20_000)
	c.Days = orDefault(c.Days, 720)
	c.DriftDay = orDefault(c.DriftDay, c.Days*6/10)
	c.Late = share(c.Late, 0.04)
	c.Duplicates = share(c.Duplicates, 0.01)
	c.Missing = share(c.Missing, 0.06)
	if c.End.IsZero() {
		c.End = time.Date(2026, 6, 30, 0, 0, 0, 0, time.UTC)
	}
	return c
}

func orDefault(n, standard int) int {
	if n == 0 {
		return standard
	}
	return n
}

func share(x, standard float64) float64 {
	if x == 0 {
		return standard
	}
	return max(x, 0)
}

// World holds the truth. Win may be asked at any time; Accept and Left follow
// the partners' moods, which come to be while Generate runs, so ask them after
// it. A World may be asked from any number of goroutines while Generate is not
// running.
type World struct {
	cfg       Config
	start     int64 // Unix seconds of the first midnight
	partners  []partner
	places    [numRegions][]int32              // partners at home in a region
	buckets   [numRegions][numProducts][]int32 // partners that may sell a product in a region
	cumLeads  []int                            // leads created before each day
	base      float64                          // intercept of the truth
	demand    [numProducts]float64             // effect of the product wanted
	shifted   [numProducts]float64             // the same after the drift
	yieldRate float64                          // expected leads per partner and week
	peak      int                              // most things pending at once in Generate
}

// New makes a world from its seed. Negative or zero sizes mean the defaults.
func New(cfg Config) *World {
	cfg = cfg.withDefaults()
	w := &World{cfg: cfg, start: cfg.End.AddDate(0, 0, -cfg.Days).Unix()}
	w.yieldRate = float64(cfg.Leads) / float64(cfg.Days) * 7 / float64(cfg.Partners)
	r := w.stream('W', 0)
	for i := range w.demand {
		w.demand[i] = 0.3 * r.NormFloat64()
		w.shifted[i] = w.demand[i] + 0.5*r.NormFloat64()
	}
	w.countLeads()
	w.partners = make([]partner, cfg.Partners)
	for i := range w.partners {
		w.makePartner(i)
	}
	w.index()
	w.calibrate()
	return w
}

// stream returns the random numbers that belong to one thing of one kind.
func (w *World) stream(kind byte, n int64) *rand.Rand {
	return rand.New(rand.NewPCG(w.cfg.Seed*0x9E3779B97F4A7C15+uint64(kind), mix(uint64(n)+uint64(kind)<<56)))
}

// mix is the finalizer of splitmix64: neighbouring numbers become unlike.
func mix(x uint64) uint64 {
	x += 0x9E3779B97F4A7C15
	x = (x ^ x>>30) * 0xBF58476D1CE4E5B9
	x = (x ^ x>>27) * 0x94D049BB133111EB
	return x ^ x>>31
}

// countLeads spreads the leads over the days: fewer at weekends, more towards
// the end of a quarter and in autumn.
func (w *World) countLeads() {
	weights := make([]float64, w.cfg.Days+1)
	for d := range w.cfg.Days {
		weights[d+1] = weights[d] + leadWeight(w.dayTime(d))
	}
	w.cumLeads = make([]int, w.cfg.Days+1)
	for d := range w.cumLeads {
		w.cumLeads[d] = int(math.Round(float64(w.cfg.Leads) * weights[d] / weights[w.cfg.Days]))
	}
}

func leadWeight(t time.Time) float64 {
	x := 1 + 0.2*math.Sin(2*math.Pi*(float64(t.YearDay())-190)/365)
	if t.Month()%3 == 0 {
		x *= 1.15
	}
	if t.Weekday() == time.Saturday || t.Weekday() == time.Sunday {
		x *= 0.2
	}
	return x
}

func (w *World) dayTime(d int) time.Time { return time.Unix(w.start+int64(d)*day, 0).UTC() }

// Start returns the first midnight of the world, End the midnight after its
// last day, Drift the midnight of the drift (zero: none).
func (w *World) Start() time.Time { return w.dayTime(0) }

// End returns the midnight after the last day.
func (w *World) End() time.Time { return w.cfg.End }

// Drift returns the midnight at which the market drifts, zero if it never does.
func (w *World) Drift() time.Time {
	if w.cfg.DriftDay < 0 {
		return time.Time{}
	}
	return w.dayTime(w.cfg.DriftDay)
}

// Partners returns the ids of all partners that are or will be, in order.
func (w *World) Partners() []record.PartnerID {
	ids := make([]record.PartnerID, len(w.partners))
	for i := range w.partners {
		ids[i] = w.partners[i].rec.ID
	}
	return ids
}

// Left says when a partner stopped for good, and whether it did. It stops
// without a word; that it is gone becomes known later, or never.
func (w *World) Left(id record.PartnerID) (time.Time, bool) {
	p := w.find(id)
	if p == nil || p.left == 0 {
		return time.Time{}, false
	}
	return time.Unix(p.left, 0).UTC(), true
}

// Win returns the true probability that a lead is won within HorizonDays by a
// partner who is offered it at a time and accepts. Fields the lead does not
// give are taken from the world if the lead or its account is the world's own,
// else they count as average. An unknown partner wins nothing.
func (w *World) Win(lead *record.Lead, id record.PartnerID, at time.Time) float64 {
	p := w.find(id)
	if p == nil {
		return 0
	}
	f := w.facts(lead)
	return logistic(w.winLogit(&f, p, at.Unix()))
}

// Accept returns the true probability that a partner accepts a lead offered at
// a time; nobody who has left or not yet joined accepts.
func (w *World) Accept(lead *record.Lead, id record.PartnerID, at time.Time) float64 {
	p := w.find(id)
	if p == nil {
		return 0
	}
	f := w.facts(lead)
	return w.accept(&f, p, at.Unix())
}

func (w *World) accept(f *facts, p *partner, at int64) float64 {
	if at < p.joined || p.left != 0 && at >= p.left {
		return 0
	}
	return logistic(w.acceptLogit(f, p, at))
}

func (w *World) find(id record.PartnerID) *partner {
	text, ok := strings.CutPrefix(string(id), "P")
	n, err := strconv.Atoi(text)
	if !ok || err != nil || n < 1 || n > len(w.partners) || w.partners[n-1].rec.ID != id {
		return nil
	}
	return &w.partners[n-1]
}

func (w *World) winLogit(f *facts, p *partner, at int64) float64 {
	z := w.base + p.skill.general + f.quality()
	z += pick(p.skill.industry[:], f.industry) + pick(p.skill.region[:], f.region) + pick(p.skill.size[:], f.size)
	demand := &w.demand
	if w.cfg.DriftDay >= 0 && at >= w.start+int64(w.cfg.DriftDay)*day {
		demand = &w.shifted
		z += p.skill.drift
	}
	for _, k := range f.products {
		z += (p.skill.product[k] + demand[k]) / float64(len(f.products))
	}
	z += 0.3*p.moodAt(w, at) + season(at)
	z -= 0.7 * math.Exp(-float64(max(at-p.joined, 0))/(75*day))
	if w.incumbent(f.account) == p {
		z += 0.7
	}
	return z
}

func (w *World) acceptLogit(f *facts, p *partner, at int64) float64 {
	fit := pick(p.skill.industry[:], f.industry) + pick(p.skill.size[:], f.size)
	for _, k := range f.products {
		fit += p.skill.product[k] / float64(len(f.products))
	}
	return 1.1 + p.appetite + 0.9*p.moodAt(w, at) + 0.5*fit + 0.35*float64(f.intent)
}

// season raises the odds before the end of the year and lowers them in summer.
func season(at int64) float64 {
	year := float64(at%(365*day+day/4)) / (365*day + day/4)
	return 0.18 * math.Cos(2*math.Pi*(year-0.92))
}

func pick(effects []float64, i int) float64 {
	if i < 0 {
		return 0
	}
	return effects[i]
}

func logistic(z float64) float64 { return 1 / (1 + math.Exp(-z)) }

// wantedBase is the share of accepted leads that are won: the middle of the
// 25 - 35 % that real channels report.
const wantedBase = 0.30

// calibrate sets the intercept so that over leads and the partners that may
// have them, weighted by acceptance, wantedBase are won.
func (w *World) calibrate() {
	const sample = 4000
	logits, weights := make([]float64, 0, sample), make([]float64, 0, sample)
	r := w.stream('C', 0)
	for range sample {
		f := w.leadFacts(r.Int64N(int64(w.cfg.Leads)))
		bucket := w.buckets[f.region][f.products[0]]
		if len(bucket) == 0 {
			continue
		}
		p := &w.partners[bucket[r.IntN(len(bucket))]]
		at := w.start + r.Int64N(int64(w.cfg.Days))*day
		logits = append(logits, w.winLogit(&f, p, at))
		weights = append(weights, logistic(w.acceptLogit(&f, p, at))*p.favour)
	}
	lo, hi := -8.0, 8.0
	for range 60 {
		w.base = (lo + hi) / 2
		sum, total := 0.0, 0.0
		for i, z := range logits {
			sum += weights[i] * logistic(z+w.base)
			total += weights[i]
		}
		if sum < wantedBase*total {
			lo = w.base
		} else {
			hi = w.base
		}
	}
}

// index lists, for each region and product, who may sell it there.
func (w *World) index() {
	for i := range w.partners {
		p := &w.partners[i]
		w.places[p.region] = append(w.places[p.region], int32(i))
		for r := range numRegions {
			if !p.sellsIn(r) {
				continue
			}
			for k := range numProducts {
				if p.level[k] > 0 {
					w.buckets[r][k] = append(w.buckets[r][k], int32(i))
				}
			}
		}
	}
}

// dayOfLead returns the day a lead is created on.
func (w *World) dayOfLead(n int64) int {
	return sort.Search(w.cfg.Days, func(d int) bool { return int64(w.cumLeads[d+1]) > n })
}

// Truth is what the world knows of one partner and no record says.
type Truth struct {
	Partner  record.PartnerID   `json:"partner"`
	General  float64            `json:"general"`
	Industry map[string]float64 `json:"industry"` // log odds added to a win, likewise below
	Product  map[string]float64 `json:"product"`
	Region   map[string]float64 `json:"region"`
	Size     map[string]float64 `json:"size"`
	Drift    float64            `json:"drift"` // added from the drift on
	Favour   float64            `json:"favour"`
	Left     time.Time          `json:"left,omitzero"`
	Mood     []float64          `json:"mood"` // by week
}

// Truths returns every partner's truth, for those who judge; complete after
// Generate.
func (w *World) Truths() []Truth {
	all := make([]Truth, len(w.partners))
	for i := range w.partners {
		p := &w.partners[i]
		t := Truth{Partner: p.rec.ID, General: p.skill.general, Drift: p.skill.drift, Favour: p.favour,
			Industry: named(industries[:], p.skill.industry[:]), Product: named(products[:], p.skill.product[:]),
			Size: named(sizes[:], p.skill.size[:]), Region: map[string]float64{}}
		for r := range regions {
			t.Region[regions[r].name] = p.skill.region[r]
		}
		t.Left, _ = w.Left(p.rec.ID)
		for _, m := range p.moods {
			t.Mood = append(t.Mood, float64(m))
		}
		all[i] = t
	}
	return all
}

func named(names []string, xs []float64) map[string]float64 {
	m := make(map[string]float64, len(names))
	for i, n := range names {
		m[n] = xs[i]
	}
	return m
}

func clone(p *record.Partner) *record.Partner {
	q := *p
	q.Competences = slices.Clone(p.Competences)
	q.Certifications = slices.Clone(p.Certifications)
	q.Status = slices.Clone(p.Status)
	return &q
}
