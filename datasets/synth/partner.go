package synth

import (
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"time"

	"bellwether/datasets/record"
)

const week = 7 * day

// skill is what a partner adds to the log odds of a win.
type skill struct {
	general, drift float64
	industry       [numIndustries]float64
	product        [numProducts]float64
	region         [numRegions]float64
	size           [numSizes]float64
}

// partner is the truth of one partner.
type partner struct {
	rec      record.Partner // as the company would know it with nothing missing, at the moment Generate has reached
	skill    skill
	level    [numProducts]uint8 // declared competence, 0 none
	region   int
	favour   float64 // how much the past policy's people like it
	appetite float64 // log odds of accepting
	reply    float64 // usual hours to an answer
	pace     float64 // portal visits per day when content
	orders   float64 // own business per day when content
	joined   int64
	left     int64     // 0: has not
	moods    []float32 // by week since the start
}

// Spread of each kind of skill over partners, in log odds. Together they make
// partners of one segment differ by about 1.2, so that the choice matters, and
// keep the best possible AUC at 0.80 - 0.85 (TestSignal holds both).
const (
	spreadGeneral  = 0.60
	spreadIndustry = 0.60
	spreadProduct  = 0.55
	spreadRegion   = 0.40
	spreadSize     = 0.35
)

func (w *World) makePartner(i int) {
	p := &w.partners[i]
	r := w.stream('P', int64(i))
	p.region = choose(r, regionShares[:])
	p.joined = w.joined(r)
	p.skill.general = spreadGeneral * r.NormFloat64()
	if r.Float64() < 0.35 {
		p.skill.drift = 0.8 * r.NormFloat64()
	}
	p.favour = math.Exp(0.9*r.NormFloat64() + 0.3*p.skill.general)
	p.appetite = 0.4 * r.NormFloat64()
	p.reply = 14 * math.Exp(0.6*r.NormFloat64())
	p.pace = 1.3 * math.Exp(0.5*r.NormFloat64())
	p.orders = 0.05 * math.Exp(0.7*r.NormFloat64())
	p.rec = record.Partner{ID: record.PartnerID(fmt.Sprintf("P%05d", i+1)), Name: name(r, partnerEnd),
		Kind: kinds[choose(r, []float64{0.4, 0.2, 0.16, 0.08, 0.06, 0.1})], Tier: tiers[choose(r, []float64{0.4, 0.32, 0.2, 0.08})],
		Home: near(r, p.region), JoinedAt: time.Unix(p.joined, 0).UTC()}
	w.makeReach(p, r)
	w.makeSkills(p, r)
	w.makeCapacity(p, r)
	p.rec.Attributes = record.Attributes{
		"headcount":  record.Number(math.Round(8 * math.Exp(0.9*r.NormFloat64()+0.4*float64(p.rec.Capacity.Units)/10) * 3)),
		"founded":    record.Number(float64(1985 + r.IntN(38))),
		"specialism": record.Text([]string{"security", "data", "infrastructure", "workplace", "generalist"}[r.IntN(5)]),
	}
	w.makePapers(p, r)
}

// joined puts three partners in four before the start, the others into the
// first 85 % of the window.
func (w *World) joined(r *rand.Rand) int64 {
	if r.Float64() < 0.25 {
		return w.start + int64(float64(w.cfg.Days)*0.85*r.Float64())*day + 9*3600
	}
	return w.start - int64(30+r.IntN(2200))*day + 9*3600
}

// makeReach sets territories, languages and marketplaces.
func (w *World) makeReach(p *partner, r *rand.Rand) {
	if r.Float64() < 0.92 { // the others sell everywhere
		where := []int{p.region}
		for range 1 + r.IntN(3) {
			if n := choose(r, regionShares[:]); !slices.Contains(where, n) {
				where = append(where, n)
			}
		}
		slices.Sort(where)
		for _, n := range where {
			p.rec.Territories = append(p.rec.Territories, regions[n].name)
		}
	}
	p.rec.Languages = []string{regions[p.region].language}
	for n := range regions {
		if l := regions[n].language; p.sellsIn(n) && r.Float64() < 0.8 && !slices.Contains(p.rec.Languages, l) {
			p.rec.Languages = append(p.rec.Languages, l)
		}
	}
	if r.Float64() < 0.9 && !slices.Contains(p.rec.Languages, "en") {
		p.rec.Languages = append(p.rec.Languages, "en")
	}
	for _, m := range markets {
		if r.Float64() < 0.5 {
			p.rec.Marketplaces = append(p.rec.Marketplaces, m)
		}
	}
}

// makeSkills draws competences and industries and the hidden skill that partly
// follows them.
func (w *World) makeSkills(p *partner, r *rand.Rand) {
	for k := range numProducts {
		p.skill.product[k] = spreadProduct*r.NormFloat64() - 0.3
		if r.Float64() < 0.6 {
			p.level[k] = uint8(1 + r.IntN(5))
			p.skill.product[k] += 0.15*float64(p.level[k]) - 0.15
		}
	}
	if p.level == ([numProducts]uint8{}) {
		p.level[r.IntN(numProducts)] = 3
	}
	for i := range numIndustries {
		p.skill.industry[i] = spreadIndustry * r.NormFloat64()
		if r.Float64() < 0.2 {
			p.rec.Industries = append(p.rec.Industries, industries[i])
			p.skill.industry[i] += 0.35
		}
	}
	for n := range numRegions {
		p.skill.region[n] = spreadRegion*r.NormFloat64() - 0.15
	}
	p.skill.region[p.region] += 0.3
	for s := range numSizes {
		p.skill.size[s] = spreadSize * r.NormFloat64()
	}
}

// makeCapacity declares about 3.5 times the leads an average partner gets.
func (w *World) makeCapacity(p *partner, r *rand.Rand) {
	units := max(1, math.Round(3.5*w.yieldRate*math.Exp(0.5*r.NormFloat64())))
	p.rec.Capacity = record.Capacity{Units: int(units), Period: "week", Timezone: regions[p.region].zone,
		Weekdays: []time.Weekday{time.Monday, time.Tuesday, time.Wednesday, time.Thursday, time.Friday, time.Saturday, time.Sunday}}
	for d := r.IntN(300); d < w.cfg.Days; d += 200 + r.IntN(250) {
		from := w.dayTime(d)
		p.rec.Capacity.Absences = append(p.rec.Capacity.Absences, record.Span{From: from, To: from.AddDate(0, 0, 3+r.IntN(12))})
	}
}

// makePapers writes contract, status and certificates as of the start, or of
// the day of joining.
func (w *World) makePapers(p *partner, r *rand.Rand) {
	since := time.Unix(p.joined, 0).UTC().Truncate(24 * time.Hour)
	end := since.AddDate(1, 0, 0)
	for end.Unix() <= w.start {
		end = end.AddDate(1, 0, 0)
	}
	p.rec.Contract = record.Span{From: since, To: end}
	p.rec.Status = []record.StatusSpan{{Status: "active", Span: record.Span{From: since}}}
	from := max(p.joined, w.start)
	for k := range numProducts {
		if p.level[k] == 0 {
			continue
		}
		p.rec.Competences = append(p.rec.Competences, record.Competence{Product: products[k], Level: int(p.level[k]), Span: record.Span{From: since}})
		if p.level[k] >= 3 {
			left := 30 + r.IntN(335)
			p.rec.Certifications = append(p.rec.Certifications, record.Certification{Name: products[k] + " specialist",
				Span: record.Span{From: since, To: time.Unix(from, 0).UTC().Truncate(24*time.Hour).AddDate(0, 0, left)}})
		}
	}
}

func (p *partner) sellsIn(region int) bool {
	return len(p.rec.Territories) == 0 || slices.Contains(p.rec.Territories, regions[region].name)
}

// moodAt returns the partner's mood in the week of at, the last one known where
// the world has not got that far, 0 (content) where it has not begun.
func (p *partner) moodAt(w *World, at int64) float64 {
	if len(p.moods) == 0 || at < w.start {
		return 0
	}
	return float64(p.moods[min(int((at-w.start)/week), len(p.moods)-1)])
}
