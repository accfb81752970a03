package features

import (
	"math"

	"bellwether/models"
	"bellwether/models/target"
)

// pairColumn defines one feature of a lead and a partner together. A segment's
// has no function of its own: rating all segments takes one pass, and each
// column of pairSegment is what it finds there.
type pairColumn struct {
	Feature
	live func(*pairView) float64
}

// pairSegment is what a pair's row says of one segment of the lead, column by
// column.
type pairSegment struct{ rate, decided float64 }

// pairTable lists the features of a pair, but for its segments.
var pairTable = []pairColumn{
	pairLive("pair_competence_share", "share", "of the products wanted, those the partner is competent in today", func(v *pairView) float64 { return v.competent }),
	pairLive("pair_competence_level", "0 to 5", "highest level among the products wanted, -1 without competence", func(v *pairView) float64 { return v.level }),
	pairLive("pair_language_match", "0 or 1", "the partner speaks the lead's language", func(v *pairView) float64 { return match(v.p.profile.languages, v.lead.language) }),
	pairLive("pair_industry_match", "0 or 1", "the partner lists the lead's industry", func(v *pairView) float64 { return match(v.p.profile.industries, v.lead.industry) }),
	pairLive("pair_territory_match", "0 or 1", "the partner may sell in the lead's region", func(v *pairView) float64 {
		if len(v.p.profile.territories) == 0 {
			return 1
		}
		return match(v.p.profile.territories, v.lead.region)
	}),
	pairLive("pair_marketplace_match", "0 or 1", "the partner sells on the marketplace preferred", func(v *pairView) float64 { return match(v.p.profile.markets, v.lead.market) }),
	pairLive("pair_same_region", "0 or 1", "lead and partner are in one region", func(v *pairView) float64 {
		if v.lead.region == 0 || v.p.profile.region == 0 {
			return missing
		}
		return flag(v.lead.region == v.p.profile.region)
	}),
	pairLive("pair_distance", "km", "great-circle distance from partner to customer", func(v *pairView) float64 { return v.p.profile.at.distance(&v.lead.at) }),
	pairLive("pair_account_offers", "offers", "offers of this account made to the partner, two years", func(v *pairView) float64 { return v.ofAccount(float64(v.account.offers)) }),
	pairLive("pair_account_wins", "deals", "deals the partner won with this account, two years", func(v *pairView) float64 { return v.ofAccount(float64(v.account.wins)) }),
	pairLive("pair_account_days", "days", "since the partner last had to do with this account", func(v *pairView) float64 { return daysSince(v.today, v.account.last, v.known) }),
	pairLive("pair_account_overlap", "count", "business the partner shares with this account", func(v *pairView) float64 { return v.ofAccount(float64(v.shared.overlap) / 1e6) }),
	pairLive("pair_registered", "0 or 1", "the partner holds a registered deal with this account today", func(v *pairView) float64 {
		return v.ofAccount(flag(v.shared.protected > int64(v.today)*secondsPerDay))
	}),
	pairLive("pair_expected_rate", "share", "the partner's win rate moved by what the lead's segments say of everyone", func(v *pairView) float64 { return v.expected }),
}

func pairLive(name, unit, meaning string, value func(*pairView) float64) pairColumn {
	return pairColumn{Feature{name, unit, meaning, Pair, models.Numeric}, value}
}

func (s *Set) pairColumns() []pairColumn {
	out := append([]pairColumn{}, pairTable...)
	for d, name := range s.dimensions {
		shown := label(name)
		if d >= dimensions {
			name, shown = "attr_"+name, "attribute "+name
		}
		out = append(out,
			pairLive("pair_"+name+"_win_rate", "share", "the partner's win rate with leads of the same "+shown+", shrunk to what partner and segment say apart", nil),
			pairLive("pair_"+name+"_decided", "offers", "the partner's offers of known outcome with leads of the same "+shown, nil))
	}
	return out
}

func match(list words, key uint64) float64 {
	if key == 0 {
		return missing
	}
	return flag(list.has(key))
}

// pairView is a partner beside a prepared lead.
type pairView struct {
	lead      *leadState
	p         *PartnerState
	today     day
	account   dealings
	shared    shared
	known     bool // the partner has had to do with the account
	competent float64
	level     float64
	expected  float64
}

// pairStrength is how many offers a partner's own rate in a segment needs to be
// heard half: fewer than groupStrength, because its prior already holds what is
// known of the partner and of the segment apart.
const pairStrength = 10

// prepare reads a partner beside a lead and writes what it finds of the lead's
// segments.
func (v *pairView) prepare(dst []float64, of *LeadView, p *PartnerState) {
	v.lead, v.p, v.today = of.lead, p, of.today()
	v.account, v.shared, v.known = dealings{}, shared{}, false
	if d := p.accounts.get(v.lead.account); d != nil {
		v.account, v.shared, v.known = *d, *p.sharedWith(v.lead.account, d), true
	}
	v.competence(of.lead.products())
	segments := &of.state.segments
	life := target.Counter{N: float64(p.series[decided].n[life]), Pos: float64(p.series[decided].amounts()[life])}
	tier := segments.prior(p.profile.tierKey, winRate)
	own := odds(target.Mean(life, tier.rate, tier.strength))
	for i := range of.segments {
		s := p.beside(&of.segments[i], of.lead, own)
		dst[2*i], dst[2*i+1] = s.rate, s.decided
	}
	o := own * of.together
	v.expected = o / (1 + o)
}

// Near reads what PairRow will need of a few partners, so that the processor has
// it at hand soon; what it returns says nothing. Reads that do not wait for each
// other take the time of one: first what the states hold themselves, then what
// they point to.
func (v *LeadView) Near(partners []*PartnerState) (x uint64) {
	for _, p := range partners {
		x += p.Version + uint64(p.series[decided].n[life]) + uint64(p.accounts.n+len(p.profile.skills)+len(p.profile.markets)) + p.profile.region
	}
	for _, p := range partners {
		if earned := p.series[decided].money; earned != nil {
			x += uint64(earned.sums[life])
		}
		x += p.accounts.near(v.lead.account)
		for i := 0; i < len(p.profile.skills); i += 2 { // as many as a cache line holds
			x += p.profile.skills[i].product
		}
		if lists := &p.profile.lists; len(lists.languages) > 0 {
			x += lists.languages[0]
		}
		for i := range v.segments {
			g := &v.segments[i]
			for _, key := range v.lead.words[g.first : g.first+g.keys] {
				x += p.segments.near(key)
			}
		}
	}
	return x
}

// beside is what the partner's offers say of one of a lead's segments, own being
// the odds of its win rate.
func (p *PartnerState) beside(g *segment, lead *leadState, own float64) pairSegment {
	if g.keys == 0 {
		return pairSegment{missing, missing}
	}
	var t tally
	for _, key := range lead.words[g.first : g.first+g.keys] {
		if mine := p.segments.get(key); mine != nil {
			t.n += mine.n
			t.pos += mine.pos
		}
	}
	o := own * g.odds
	return pairSegment{target.Mean(t.counter(), o/(1+o), pairStrength), float64(t.n)}
}

// ofAccount is x if the lead names its account.
func (v *pairView) ofAccount(x float64) float64 {
	if v.lead.account == 0 {
		return missing
	}
	return x
}

// competence compares the products wanted with the partner's skills.
func (v *pairView) competence(wanted []uint64) {
	v.competent, v.level = missing, missing
	if len(wanted) == 0 {
		return
	}
	held, level := 0, -1
	for _, product := range wanted {
		if l := v.p.profile.level(product, int64(v.today)*secondsPerDay); l >= 0 {
			held++
			level = max(level, l)
		}
	}
	v.competent = float64(held) / float64(len(wanted))
	v.level = float64(level)
}

// SegmentWins returns how many of a partner's n offers of known outcome in one of
// the lead's segments were won, from the columns of a row: the rate of the pair in
// the segment and the win rates of the partner, of the segment and of everyone
// that it is shrunk to. It takes back what beside did.
func SegmentWins(n, rate, partner, segment, everyone float64) float64 {
	o := odds(partner) * odds(segment) / odds(everyone)
	return math.Round(rate*(n+pairStrength)-o/(1+o)*pairStrength) + 0 // of -0 too, 0
}
