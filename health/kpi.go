package health

import (
	"math"
	"slices"
	"time"

	"bellwether/datasets/record"
)

// KPI says what one number of Standing.KPIs is. A KPI that the data cannot give
// is left out of the map, never guessed.
type KPI struct {
	Name    string `json:"name"`
	Unit    string `json:"unit"`
	Meaning string `json:"meaning"`
}

// KPIs lists every KPI with its definition, in the order reports show them. A
// year is the 364 days before the midnight of the standing, and only what was
// known by then counts.
var KPIs = []KPI{
	{"health_hand_set", "0 to 100", "hand-set score: business 30, engagement 20, responsiveness 20, enablement 15, satisfaction 15"},
	{"revenue_364d", "base currency", "deals won and orders of the year"},
	{"win_rate", "share", "offers won of offers of known outcome, life, shrunk to the tier's"},
	{"accept_rate", "share", "offers accepted of offers answered or expired, year, shrunk to the tier's"},
	{"response_hours", "hours", "mean time to answer an offer, 91 days"},
	{"influence_score", "deals", "sum over deals won in the year of the partner's share of credit; owner and each toucher share a deal equally"},
	{"influence_value", "base currency", "the same times the deal's amount; beside revenue_364d, not to be added to it"},
	{"time_to_competency_days", "days", "from application or onboarding, whichever is known first, to the first deal won"},
	{"days_without_first_win", "days", "the same until now, for a partner that has not won yet"},
	{"integration_depth", "products", "mean number of distinct products of its own deals won in the year"},
	{"integration_depth_percentile", "0 to 100", "share of partners of its tier with no greater depth, the partner itself left out"},
	{"portal_velocity", "robust z", "log of (weighted portal use per week over 4 weeks + 1) over (the same over the 12 weeks before + 1), less the partners' median, over 1.4826 times their median absolute deviation; login 1, download 2, training view 3"},
	{"nps", "-100 to 100", "promoters (9, 10) less detractors (0 to 6) in percent of the year's survey answers; from 5 answers on"},
	{"nps_lo", "-100 to 100", "lower 95 % bound of nps"},
	{"nps_hi", "-100 to 100", "upper 95 % bound of nps"},
	{"nps_n", "answers", "survey answers in the year"},
	{"collaborative_share", "share", "part of the year's own revenue won with at least one other partner credited"},
	{"collaborative_growth", "share", "growth of that revenue over the year before"},
}

// minSurveys is how many answers a Net Promoter Score needs: fewer say nothing
// about a partner (FIELD.md A5 asks for a minimum).
const minSurveys = 5

const year = 364

// kpis returns what the book knows of a partner at midnight at; the portal
// velocity is still raw, to be set against the others'.
func (b *Book) kpis(id record.PartnerID, at time.Time) map[string]float64 {
	k, l, today := map[string]float64{}, b.partners[id], dayOf(at)
	if l == nil {
		return k
	}
	started, won := l.starts.first(), l.wins.first()
	switch {
	case started == 0:
	case won != 0:
		k["time_to_competency_days"] = max(0, float64(won-started)) / secondsPerDay
	default:
		k["days_without_first_win"] = float64(at.Unix()-started) / secondsPerDay
	}
	l.nps(k, today)
	l.deals(k, today)
	if v, ok := l.velocity(today); ok {
		k["portal_velocity"] = v
	}
	return k
}

func (l *ledger) nps(k map[string]float64, today int32) {
	n, sum, squares := 0.0, 0.0, 0.0
	for _, s := range l.surveys {
		if s.day < today-year || s.day >= today {
			continue
		}
		n++
		switch {
		case s.score >= 9:
			sum, squares = sum+1, squares+1
		case s.score <= 6:
			sum, squares = sum-1, squares+1
		}
	}
	if n > 0 {
		k["nps_n"] = n
	}
	if n < minSurveys {
		return
	}
	mean := sum / n
	half := 1.96 * math.Sqrt(max(squares/n-mean*mean, 0)/n)
	k["nps"], k["nps_lo"], k["nps_hi"] = 100*mean, 100*max(mean-half, -1), 100*min(mean+half, 1)
}

func (l *ledger) deals(k map[string]float64, today int32) {
	var score, value, own, ownValue, together, before, depth float64
	for _, c := range l.credits {
		v := float64(c.value)
		if math.IsNaN(v) {
			v = 0
		}
		shared := c.own && c.share < 1
		switch {
		case c.day >= today:
		case c.day >= today-year:
			score += float64(c.share)
			value += float64(c.share) * v
			if c.own {
				own++
				ownValue += v
				depth += float64(c.products)
			}
			if shared {
				together += v
			}
		case c.day >= today-2*year && shared:
			before += v
		}
	}
	if score > 0 {
		k["influence_score"], k["influence_value"] = score, value
	}
	if own > 0 {
		k["integration_depth"] = depth / own
	}
	if ownValue > 0 {
		k["collaborative_share"] = together / ownValue
	}
	if before > 0 {
		k["collaborative_growth"] = together/before - 1
	}
}

func (l *ledger) velocity(today int32) (float64, bool) {
	recent, before, seen := 0.0, 0.0, false
	for _, d := range l.portal {
		switch {
		case d.day >= today:
		case d.day >= today-28:
			recent += float64(d.amount)
			seen = true
		case d.day >= today-112:
			before += float64(d.amount)
			seen = true
		}
	}
	return math.Log((recent/4 + 1) / (before/12 + 1)), seen
}

// compare turns what only means something beside others into that: portal
// velocity into a robust z-score, integration depth into a percentile in its
// tier.
func compare(all []map[string]float64, tiers []string) {
	var velocity []float64
	depth := map[string][]float64{}
	for i, k := range all {
		if v, ok := k["portal_velocity"]; ok {
			velocity = append(velocity, v)
		}
		if d, ok := k["integration_depth"]; ok {
			depth[tiers[i]] = append(depth[tiers[i]], d)
		}
	}
	middle := median(velocity)
	off := make([]float64, len(velocity))
	for i, v := range velocity {
		off[i] = math.Abs(v - middle)
	}
	spread := 1.4826 * median(off)
	for i, k := range all {
		if v, ok := k["portal_velocity"]; ok {
			delete(k, "portal_velocity")
			if spread > 0 {
				k["portal_velocity"] = (v - middle) / spread
			}
		}
		if d, ok := k["integration_depth"]; ok && len(depth[tiers[i]]) > 1 {
			below := 0
			for _, x := range depth[tiers[i]] {
				if x <= d {
					below++
				}
			}
			k["integration_depth_percentile"] = 100 * float64(below-1) / float64(len(depth[tiers[i]])-1)
		}
	}
}

// median returns the middle value, 0 of none; values may be reordered.
func median(values []float64) float64 {
	if len(values) == 0 {
		return 0
	}
	slices.Sort(values)
	n := len(values)
	return (values[(n-1)/2] + values[n/2]) / 2
}
