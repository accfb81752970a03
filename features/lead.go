package features

import (
	"math"

	"bellwether/datasets/record"
	"bellwether/models"
	"bellwether/models/text"
)

// leadColumn defines one feature of the lead: fixed depends on the record
// alone, live on the account, the segments and the time.
type leadColumn struct {
	Feature
	fixed func(*Set, *record.Lead) float64
	live  func(*LeadView) float64
}

// The dimensions by which offers are counted, per partner and over all; text
// attributes of a lead follow.
const (
	byIndustry = iota
	byProduct
	byRegion
	bySize
	bySource
	dimensions
)

var dimensionNames = [dimensions]string{"industry", "product", "region", "size_band", "source"}

// maxProducts is how many of a lead's products are counted.
const maxProducts = 4

// A lead's segment keys are in the order of the set's dimensions, products
// taking maxProducts places.
func keyPlace(dimension int) int {
	if dimension > byProduct {
		return dimension + maxProducts - 1
	}
	return dimension
}

// leadTable lists the features of a lead, but for its attributes.
var leadTable = []leadColumn{
	leadCategory("lead_source", "where the lead came from", func(l *record.Lead) string { return l.Source }),
	leadCategory("lead_need", "what the customer needs: resale, implementation, …", func(l *record.Lead) string { return l.Need }),
	leadCategory("lead_industry", "the customer's industry", func(l *record.Lead) string { return l.Industry }),
	leadCategory("lead_size_band", "the customer's size band", func(l *record.Lead) string { return l.SizeBand }),
	leadCategory("lead_region", "where the customer is", func(l *record.Lead) string { return l.Place.Region }),
	leadCategory("lead_language", "the customer's language", func(l *record.Lead) string { return l.Language }),
	leadCategory("lead_marketplace", "marketplace the customer prefers", func(l *record.Lead) string { return l.Marketplace }),
	leadCategory("lead_product", "first product wanted", firstProduct),
	leadFixed("lead_products", "products", "number of products wanted", func(_ *Set, l *record.Lead) float64 { return float64(len(l.Products)) }),
	leadFixed("lead_value_log", "log(1 + base currency)", "estimated value", func(s *Set, l *record.Lead) float64 { return math.Log1p(s.Worth(l.Value)) }),
	leadFixed("lead_value_known", "0 or 1", "a value was estimated", func(_ *Set, l *record.Lead) float64 { return flag(!l.Value.IsZero()) }),
	leadFixed("lead_committed_spend", "0 or 1", "the customer has spend committed to a marketplace", func(_ *Set, l *record.Lead) float64 { return flag(l.CommittedSpend) }),
	leadFixed("lead_text_length", "bytes", "length of the free text", func(_ *Set, l *record.Lead) float64 { return float64(len(l.Text)) }),
	leadFixed("lead_text_sentiment", "-1 to 1", "mood of the free text", textMood),
	leadFixed("lead_latitude", "degrees", "latitude of the customer", func(_ *Set, l *record.Lead) float64 { return located(l.Place, l.Place.Lat) }),
	leadFixed("lead_longitude", "degrees", "longitude of the customer", func(_ *Set, l *record.Lead) float64 { return located(l.Place, l.Place.Lon) }),
	leadLive("lead_weekday", "0 (Sunday) to 6", "day of the week now, UTC", func(v *LeadView) float64 { return float64((v.today() + 4) % 7) }),
	leadLive("lead_hour", "hours", "time of day now, UTC", func(v *LeadView) float64 { return float64(v.now%secondsPerDay) / 3600 }),
	leadLive("lead_season_sin", "-1 to 1", "sine of the time of year now", func(v *LeadView) float64 { return math.Sin(v.yearAngle()) }),
	leadLive("lead_season_cos", "-1 to 1", "cosine of the time of year now", func(v *LeadView) float64 { return math.Cos(v.yearAngle()) }),
	leadLive("lead_age", "hours", "time since the lead was created", func(v *LeadView) float64 { return float64(v.now-v.lead.created) / 3600 }),
	leadLive("lead_account_leads", "leads", "earlier leads of the same account", func(v *LeadView) float64 { return accountNumber(v, float64(v.lead.before.leads)) }),
	leadLive("lead_account_days_since_lead", "days", "from the account's previous lead to this one", daysSinceLead),
	leadLive("lead_account_wins", "deals", "deals won with the account", func(v *LeadView) float64 { return accountNumber(v, float64(v.account.wins)) }),
	leadLive("lead_account_days_since_win", "days", "since the last deal won with the account", func(v *LeadView) float64 { return daysSince(v.today(), v.account.lastWin, v.account.wins > 0) }),
	leadLive("lead_account_revenue_log", "log(1 + base currency)", "revenue of the deals won with the account", func(v *LeadView) float64 {
		return accountNumber(v, math.Log1p(float64(max(0, v.account.revenue))/100))
	}),
	leadLive("lead_attempt", "offers", "offers of this lead made before", func(v *LeadView) float64 { return float64(v.attempts) }),
	segmentRate(byIndustry), segmentCount(byIndustry),
	segmentRate(byProduct), segmentCount(byProduct),
	segmentRate(byRegion), segmentCount(byRegion),
	segmentRate(bySize), segmentCount(bySize),
	segmentRate(bySource), segmentCount(bySource),
	leadLive("lead_global_win_rate", "share", "offers won of all offers of known outcome, as of midnight", func(v *LeadView) float64 { return v.state.segments.global[winRate].rate }),
}

func leadCategory(name, meaning string, value func(*record.Lead) string) leadColumn {
	return leadColumn{Feature: Feature{name, "category", meaning, Lead, models.Category},
		fixed: func(_ *Set, l *record.Lead) float64 { return models.Code(value(l)) }}
}

func leadFixed(name, unit, meaning string, value func(*Set, *record.Lead) float64) leadColumn {
	return leadColumn{Feature: Feature{name, unit, meaning, Lead, models.Numeric}, fixed: value}
}

func leadLive(name, unit, meaning string, value func(*LeadView) float64) leadColumn {
	return leadColumn{Feature: Feature{name, unit, meaning, Lead, models.Numeric}, live: value}
}

func segmentRate(d int) leadColumn {
	return leadLive("lead_"+dimensionNames[d]+"_win_rate", "share", "win rate of all offers of the same "+label(dimensionNames[d])+", shrunk to everyone's, as of midnight",
		func(v *LeadView) float64 {
			if v.segments[d].keys == 0 {
				return missing
			}
			return v.segments[d].rate
		})
}

func segmentCount(d int) leadColumn {
	return leadLive("lead_"+dimensionNames[d]+"_decided_log", "log(1 + offers)", "offers of known outcome of the same "+label(dimensionNames[d])+", as of midnight",
		func(v *LeadView) float64 { return math.Log1p(float64(v.segments[d].tally.n)) })
}

func (s *Set) leadColumns() []leadColumn {
	out := append([]leadColumn{}, leadTable...)
	for _, a := range attributeColumns(Lead, s.schema.LeadAttributes) {
		out = append(out, leadColumn{Feature: a.Feature, fixed: func(_ *Set, l *record.Lead) float64 { return a.value(l.Attributes) }})
	}
	return out
}

func firstProduct(l *record.Lead) string {
	if len(l.Products) == 0 {
		return ""
	}
	return l.Products[0]
}

func textMood(_ *Set, l *record.Lead) float64 {
	if l.Text == "" {
		return missing
	}
	return text.Sentiment(l.Text)
}

func located(p record.Place, x float64) float64 {
	if !p.Located {
		return missing
	}
	return x
}

func flag(b bool) float64 {
	if b {
		return 1
	}
	return 0
}

func daysSince(today, then day, ever bool) float64 {
	if !ever || then == never {
		return missing
	}
	return float64(today - then)
}

func accountNumber(v *LeadView, x float64) float64 {
	if v.lead.account == 0 {
		return missing
	}
	return x
}

func daysSinceLead(v *LeadView) float64 {
	return daysSince(dayOf(v.lead.created), v.lead.before.last, v.lead.before.leads > 0)
}
