package routing

import (
	"bytes"
	"encoding/json"
	"slices"
	"strings"
	"testing"
	"time"

	"bellwether/datasets/record"
)

// FuzzUnmarshalIndex: whatever the bytes, reading them fails cleanly or gives an
// index that answers and writes itself.
func FuzzUnmarshalIndex(f *testing.F) {
	w := newWorld(3, 5, 1)
	ix, err := NewIndex(Policy{})
	if err != nil {
		f.Fatal(err)
	}
	for _, x := range w.log {
		switch x := x.(type) {
		case *record.Partner:
			ix.Upsert(x)
		case *record.Event:
			ix.Observe(x)
		}
	}
	ix.Observe(&record.Event{ID: "r", Type: record.DealRegistered, Partner: "p0001", Account: "a1", Deal: "d", At: day0})
	ix.Observe(&record.Event{ID: "m", Type: record.PartnerMerged, Partner: "p0001", Other: "p0002", At: day0})
	b, err := ix.MarshalBinary()
	if err != nil {
		f.Fatal(err)
	}
	f.Add(b)
	f.Add(bytes.Replace(b, []byte(`"into":1`), []byte(`"into":2`), 1))
	f.Add(bytes.Replace(b, []byte(`"into":-1`), []byte(`"into":7`), 1))
	f.Add(bytes.Replace(b, []byte(`"links":[`), []byte(`"links":[9,9,`), 1))
	f.Add([]byte("{}"))
	f.Fuzz(func(t *testing.T, b []byte) {
		ix, err := NewIndex(Policy{})
		if err != nil {
			t.Fatal(err)
		}
		if ix.UnmarshalBinary(b) != nil {
			if ix.Len() != 0 || ix.Version() != 0 {
				t.Fatalf("after an error the index holds %d partners", ix.Len())
			}
			return
		}
		ix.Eligible(newLead("l1"), day0, nil)
		if _, err := ix.MarshalBinary(); err != nil {
			t.Fatal(err)
		}
	})
}

// What is wrong with a stored index is said, and nothing of it stays.
func TestDamagedIndex(t *testing.T) {
	ix, err := NewIndex(Policy{})
	if err != nil {
		t.Fatal(err)
	}
	for _, id := range []record.PartnerID{"p0", "p1"} {
		ix.Upsert(&record.Partner{ID: id, Capacity: record.Capacity{Weekdays: []time.Weekday{time.Monday}}})
	}
	for _, lead := range []record.LeadID{"l0", "l1"} {
		ix.Observe(&record.Event{ID: record.EventID(lead), Type: record.OfferMade, Partner: "p0", Lead: lead, At: day0, KnownAt: day0})
	}
	whole, err := ix.MarshalBinary()
	if err != nil {
		t.Fatal(err)
	}
	var stored storedIndex
	for name, c := range map[string]struct {
		harm func()
		says string
	}{
		"no record":       {func() { stored.Partners[1].Record = nil }, "partner 1 has no record"},
		"no weekday":      {func() { stored.Partners[0].Record.Capacity.Weekdays[0] = 7 }, "partner 0 works on a weekday that is none"},
		"twice":           {func() { stored.Partners[1].Record.ID = "p0" }, "partner p0 is there twice"},
		"into nobody":     {func() { stored.Partners[1].Into = 2 }, "partner 1 is merged into 2"},
		"into each other": {func() { stored.Partners[0].Into, stored.Partners[1].Into = 1, 0 }, "partner 0 is merged into 1"},
		"half an offer":   {func() { stored.Leads[0].Links = stored.Leads[0].Links[:3] }, "has 3 numbers"},
		"no offer":        {func() { stored.Leads[0].Links = nil }, "has 0 numbers"},
		"to nobody":       {func() { stored.Leads[0].Links[0] = 2 }, "offer 0 is out of range"},
		"of no state":     {func() { stored.Leads[0].Links[1] = int64(released) + 1 }, "offer 0 is out of range"},
		"of no place":     {func() { stored.Leads[0].Links[3] = 2 }, "offer 0 is out of range"},
		"in one place":    {func() { stored.Leads[0].Links[3] = stored.Leads[1].Links[3] }, "offer 0 is out of range"},
	} {
		stored = storedIndex{}
		if err := json.Unmarshal(whole, &stored); err != nil {
			t.Fatal(err)
		}
		c.harm()
		b, err := json.Marshal(stored)
		if err != nil {
			t.Fatal(err)
		}
		if err := ix.UnmarshalBinary(b); record.KindOf(err) != record.Invalid || !strings.Contains(err.Error(), c.says) || ix.Len() != 0 {
			t.Errorf("%s: %v with %d partners; want %q", name, err, ix.Len(), c.says)
		}
	}
	if err := ix.UnmarshalBinary(whole); err != nil || ix.Len() != 2 {
		t.Errorf("the sound one: %v", err)
	}
}

// A recorded refusal names partners by number: of the index it was made with.
func TestNamesOfARefusal(t *testing.T) {
	of := func(partners ...record.PartnerID) *Index {
		ix, err := NewIndex(Policy{})
		if err != nil {
			t.Fatal(err)
		}
		for _, id := range partners {
			ix.Upsert(&record.Partner{ID: id, Territories: []string{"FR"}})
		}
		return ix
	}
	large, small := of("p0", "p1", "p2"), of("p0")
	refused := large.Eligible(&record.Lead{ID: "l", Place: record.Place{Region: "DE"}}, day0, nil).Refused
	b, err := refused[0].Set.bytes()
	if err != nil || len(refused) != 1 {
		t.Fatalf("%v, %v", refused, err)
	}
	r := record.Refusal{Rule: refused[0].Rule, Partners: b}
	if names, err := large.Names(r); err != nil || !slices.Equal(names, []record.PartnerID{"p0", "p1", "p2"}) {
		t.Errorf("refused were %v, %v", names, err)
	}
	if _, err := small.Names(r); record.KindOf(err) != record.Incompatible || !strings.Contains(err.Error(), "rule territory: partner number 1 is not in this index of 1") {
		t.Errorf("in another index: %v", err)
	}
	r.Partners = r.Partners[:3]
	if _, err := large.Names(r); record.KindOf(err) != record.Invalid || !strings.Contains(err.Error(), "rule territory") {
		t.Errorf("cut off: %v", err)
	}
	if names, err := large.Names(record.Refusal{Rule: "none"}); err != nil || len(names) != 0 {
		t.Errorf("of nobody: %v, %v", names, err)
	}
}

func TestUnmarshalOtherPolicy(t *testing.T) {
	a, _ := NewIndex(Policy{})
	b, _ := NewIndex(Policy{Shown: 9})
	a.Upsert(&record.Partner{ID: "p"})
	bytes, err := a.MarshalBinary()
	if err != nil {
		t.Fatal(err)
	}
	if err := b.UnmarshalBinary(bytes); record.KindOf(err) != record.Incompatible || b.Len() != 0 {
		t.Errorf("read under another policy: %v", err)
	}
	if err := a.UnmarshalBinary(bytes[:len(bytes)/2]); record.KindOf(err) != record.Invalid || a.Len() != 0 {
		t.Errorf("half of it read: %v", err)
	}
}
