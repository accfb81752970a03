package main

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"bellwether/datasets/record"
)

func TestSegmentsOfPartners(t *testing.T) {
	day := func(text string) time.Time {
		at, err := time.Parse(time.DateOnly, text)
		if err != nil {
			t.Fatal(err)
		}
		return at
	}
	p := profiles{}
	for _, r := range []record.Partner{
		{ID: "old", Tier: "silver", JoinedAt: day("2020-01-01")},
		{ID: "old", Tier: "gold", Home: record.Place{Region: "France"}, JoinedAt: day("2020-01-01")},
		{ID: "new", Tier: "silver", JoinedAt: day("2025-01-01")},
		{ID: "quiet"},
	} {
		if err := p.see(&r); err != nil {
			t.Fatal(err)
		}
	}
	rows := []struct {
		id record.PartnerID
		at string
	}{{"old", "2025-03-01"}, {"new", "2025-03-01"}, {"new", "2025-07-01"}, {"new", "2027-01-01"}, {"quiet", "2025-03-01"}, {"nobody", "2025-03-01"}}
	got := p.segments(len(rows), func(i int) (record.PartnerID, time.Time) { return rows[i].id, day(rows[i].at) })
	for k, want := range []struct {
		name   string
		values []string
	}{
		{"tier", []string{"gold", "silver", "silver", "silver", "", ""}},
		{"region", []string{"France", "", "", "", "", ""}},
		{"tenure", []string{"over 24 months", "0 to 6 months", "6 to 24 months", "over 24 months", "", ""}},
	} {
		if got[k].Name != want.name || !slices.Equal(got[k].Values, want.values) {
			t.Errorf("%s: %q, want %q", got[k].Name, got[k].Values, want.values)
		}
	}
}

func TestCommonest(t *testing.T) {
	var values []string
	for i := range maxSegmentLevels + 2 {
		for range i + 1 {
			values = append(values, fmt.Sprintf("region %02d", i))
		}
	}
	got := commonest(append(values, ""))
	kinds := slices.Compact(slices.Sorted(slices.Values(got)))
	if len(kinds) != maxSegmentLevels+2 || kinds[0] != "" || kinds[1] != "other" || got[0] != "other" || got[2] != "other" || got[3] != "region 02" {
		t.Errorf("%q", kinds)
	}
}
