package features

import (
	"bytes"
	"context"
	"fmt"
	"slices"
	"testing"
	"time"

	"bellwether/datasets/record"

	"pgregory.net/rapid"
)

// log is a small data set held in memory.
type log struct {
	partners []*record.Partner
	leads    []*record.Lead
	events   []record.Event
}

func (l *log) Partners(_ context.Context, f func(*record.Partner) error) error {
	for _, p := range l.partners {
		if err := f(p); err != nil {
			return err
		}
	}
	return nil
}

func (l *log) Leads(_ context.Context, f func(*record.Lead) error) error {
	for _, x := range l.leads {
		if err := f(x); err != nil {
			return err
		}
	}
	return nil
}

func (l *log) Events(_ context.Context, f func([]record.Event) error) error {
	for chunk := range slices.Chunk(l.events, 7) {
		if err := f(slices.Clone(chunk)); err != nil {
			return err
		}
	}
	return nil
}

func (l *log) set() *Set {
	var b SchemaBuilder
	for _, p := range l.partners {
		b.Partner(p)
	}
	for _, x := range l.leads {
		b.Lead(x)
	}
	return NewSet(b.Schema(), Options{LeadDays: 60})
}

// drawLog makes a log in which everything that is awkward happens often: events
// known late, the same event twice, contradictions and corrections, long quiet
// times, partners that merge, leads and partners that change.
func drawLog(t *rapid.T) *log {
	l := &log{}
	now := worldStart
	word := func(name string, words ...string) string { return rapid.SampledFrom(words).Draw(t, name) }
	partner := func() record.PartnerID { return record.PartnerID(word("partner", "p1", "p2", "p3", "p4")) }
	lead := func() record.LeadID { return record.LeadID(word("lead", "l1", "l2", "l3", "l4")) }
	types := append(slices.Clone(record.EventTypes), record.OfferMade, record.OfferMade, record.OfferMade, record.OfferMade, record.OfferAccepted,
		record.OfferAccepted, record.OfferDeclined, record.DealWon, record.DealWon, record.DealLost, record.OrderPlaced)
	for i := range rapid.IntRange(5, 80).Draw(t, "events") {
		now = now.Add(rapid.SampledFrom([]time.Duration{0, time.Second, time.Hour, 20 * time.Hour, 100 * time.Hour, 900 * time.Hour, 4500 * time.Hour}).Draw(t, "later"))
		switch rapid.IntRange(0, 12).Draw(t, "what") {
		case 0:
			l.partners = append(l.partners, &record.Partner{ID: partner(), Tier: word("tier", "gold", "silver"), KnownAt: now, JoinedAt: worldStart,
				Industries: []string{"retail"}, Attributes: record.Attributes{"n": record.Number(float64(i))}})
		case 1, 2:
			l.leads = append(l.leads, &record.Lead{ID: lead(), CreatedAt: now, Account: record.AccountID(word("account", "", "a1", "a2")),
				Industry: word("industry", "", "retail", "food"), Products: []string{word("product", "crm", "erp"), "voice"}[:rapid.IntRange(0, 2).Draw(t, "products")],
				Attributes: record.Attributes{"channel": record.Text(word("channel", "x", "y"))}})
		}
		e := record.Event{ID: record.EventID(fmt.Sprint("e", i)), At: now, Type: rapid.SampledFrom(types).Draw(t, "type"), Partner: partner(), Lead: lead(),
			Deal: record.DealID(word("deal", "", "", "d1", "d2")), Offer: record.OfferID(word("offer", "", "", "o1", "o2", "o3")),
			Account: record.AccountID(word("account", "", "a1", "a2")), Amount: record.Money{Amount: int64(i), Currency: "EUR"},
			Text: word("text", "gold", "active", "good"), Until: now.Add(1000 * time.Hour), Numbers: map[string]float64{"score": float64(i % 11)}}
		if e.Type == record.PartnerMerged {
			e.Other = partner()
		}
		if rapid.IntRange(0, 3).Draw(t, "late") == 0 {
			e.KnownAt = now
			e.At = now.Add(-rapid.SampledFrom([]time.Duration{time.Hour, 50 * time.Hour, 9000 * time.Hour}).Draw(t, "ago"))
		}
		if n := len(l.events); n > 0 && rapid.IntRange(0, 4).Draw(t, "corrects") == 0 {
			e.Supersedes = l.events[rapid.IntRange(0, n-1).Draw(t, "corrected")].ID
		}
		l.events = append(l.events, e)
		if rapid.IntRange(0, 9).Draw(t, "again") == 0 {
			l.events = append(l.events, e)
		}
	}
	return l
}

// TestAnyLogReplaysBitForBit holds rows and state of a replay with any number of
// workers against the online state.
func TestAnyLogReplaysBitForBit(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		l := drawLog(rt)
		set := l.set()
		st, want := online(t, l, set)
		wantBytes, err := st.MarshalBinary()
		if err != nil {
			rt.Fatal(err)
		}
		var months []row
		for _, workers := range []int{1, 2, 3} {
			got := replayAll(t, l, set, workers)
			sameBits(rt, set, got.offers, want)
			if workers == 1 {
				months = got.months
			}
			sameBits(rt, set, got.months, months)
			b, _ := got.state.MarshalBinary()
			if !bytes.Equal(b, wantBytes) {
				rt.Fatalf("with %d workers the state at the end is another than online", workers)
			}
		}
	})
}

// TestTheFutureChangesNothing adds an event known after T to a log: no row as
// of T or before may change.
func TestTheFutureChangesNothing(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		l := drawLog(rt)
		set := l.set()
		before := replayAll(t, l, set, 1)
		at := rapid.IntRange(0, len(l.events)-1).Draw(rt, "at")
		T := l.events[at].Known()
		other := drawLog(rt).events
		extra := other[rapid.IntRange(0, len(other)-1).Draw(rt, "extra")]
		extra.ID, extra.KnownAt = "extra", T.Add(time.Second)
		extra.At = T.Add(-rapid.SampledFrom([]time.Duration{0, time.Hour, 500 * time.Hour}).Draw(rt, "ago"))
		more := &log{l.partners, l.leads, nil}
		i := slices.IndexFunc(l.events, func(e record.Event) bool { return e.Known().After(T) })
		if i < 0 {
			i = len(l.events)
		}
		more.events = slices.Insert(slices.Clone(l.events), i, extra)
		after := replayAll(t, more, set, 1)
		upTo := func(rows []row) []row {
			return slices.DeleteFunc(rows, func(r row) bool { return r.key.At.After(T) })
		}
		sameBits(rt, set, upTo(after.offers), upTo(before.offers))
		sameBits(rt, set, upTo(after.months), upTo(before.months))
	})
}

// TestAnEventTwiceIsOneEvent delivers events again a while later.
func TestAnEventTwiceIsOneEvent(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		l := drawLog(rt)
		set := l.set()
		once := replayAll(t, l, set, 2)
		again := &log{l.partners, l.leads, nil}
		for i, e := range l.events {
			again.events = append(again.events, e)
			back := rapid.IntRange(0, 3).Draw(rt, "back")
			if j := i - back; j >= 0 && e.Known().Sub(l.events[j].Known()) < repeatDays*24*time.Hour {
				repeat := l.events[j]
				repeat.KnownAt = e.Known()
				again.events = append(again.events, repeat)
			}
		}
		twice := replayAll(t, again, set, 2)
		sameBits(rt, set, twice.offers, once.offers)
		a, _ := once.state.MarshalBinary()
		b, _ := twice.state.MarshalBinary()
		if !bytes.Equal(a, b) {
			rt.Fatal("the state differs")
		}
	})
}

// TestStateSurvivesItsBytes cuts a log anywhere, writes and reads the state, and
// goes on: the state at the end must be the same.
func TestStateSurvivesItsBytes(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		l := drawLog(rt)
		set := l.set()
		st := NewState(set)
		for _, p := range l.partners {
			st.PutPartner(p)
		}
		for _, x := range l.leads {
			st.PutLead(x)
		}
		cut := rapid.IntRange(0, len(l.events)).Draw(rt, "cut")
		for i := range l.events[:cut] {
			st.Observe(&l.events[i])
		}
		b, err := st.MarshalBinary()
		if err != nil {
			rt.Fatal(err)
		}
		read := NewState(set)
		if err := read.UnmarshalBinary(b); err != nil {
			rt.Fatal(err)
		}
		for i := range l.events[cut:] {
			st.Observe(&l.events[cut+i])
			read.Observe(&l.events[cut+i])
		}
		want, _ := st.MarshalBinary()
		got, _ := read.MarshalBinary()
		if !bytes.Equal(got, want) {
			rt.Fatal("the states drifted apart")
		}
		var view LeadView
		x, y := make([]float64, set.Width()), make([]float64, set.Width())
		for p := range st.Partners() {
			for _, lead := range l.leads {
				set.Prepare(&view, lead, st, st.Now())
				set.Row(x, &view, p)
				set.Prepare(&view, lead, read, read.Now())
				set.Row(y, &view, read.Partner(p.ID))
				sameBits(rt, set, []row{{x: y}}, []row{{x: x}})
			}
		}
	})
}
