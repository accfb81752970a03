package main

import (
	"cmp"
	"maps"
	"slices"
	"time"

	"bellwether/datasets/record"
	"bellwether/models/trial"
)

// profiles are what a report parts the rows of partners by, as of the newest
// record of each: a report looks back.
type profiles map[record.PartnerID]profile

type profile struct {
	tier, region string
	joined       time.Time
}

// see takes in a partner. It fits features.Source.Partners.
func (p profiles) see(r *record.Partner) error {
	p[r.ID] = profile{r.Tier, r.Home.Region, r.JoinedAt}
	return nil
}

// segments parts n rows by the tier, the region and the tenure of their partner.
func (p profiles) segments(n int, of func(i int) (record.PartnerID, time.Time)) []trial.Segmentation {
	tier, region, tenure := make([]string, n), make([]string, n), make([]string, n)
	for i := range n {
		id, at := of(i)
		who := p[id]
		tier[i], region[i], tenure[i] = who.tier, who.region, tenureOf(who.joined, at)
	}
	return []trial.Segmentation{{Name: "tier", Values: commonest(tier)}, {Name: "region", Values: commonest(region)}, {Name: "tenure", Values: tenure}}
}

// tenureOf is how long a partner had been one, in three parts; "" if nobody knows.
func tenureOf(joined, at time.Time) string {
	switch {
	case joined.IsZero():
		return ""
	case at.Before(joined.AddDate(0, 6, 0)):
		return "0 to 6 months"
	case at.Before(joined.AddDate(2, 0, 0)):
		return "6 to 24 months"
	}
	return "over 24 months"
}

// commonest keeps the values with the most rows and calls the rest other.
func commonest(values []string) []string {
	rows := map[string]int{}
	for _, v := range values {
		if v != "" {
			rows[v]++
		}
	}
	if len(rows) <= maxSegmentLevels {
		return values
	}
	order := slices.SortedFunc(maps.Keys(rows), func(a, b string) int { return cmp.Or(cmp.Compare(rows[b], rows[a]), cmp.Compare(a, b)) })
	for i, v := range values {
		if v != "" && !slices.Contains(order[:maxSegmentLevels], v) {
			values[i] = "other"
		}
	}
	return values
}
