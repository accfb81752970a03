package features

import (
	"bytes"
	"context"
	"errors"
	"math"
	"testing"
	"time"

	"bellwether/datasets/record"

	"github.com/apache/arrow/go/v17/arrow"
	"github.com/apache/arrow/go/v17/arrow/array"
	"github.com/apache/arrow/go/v17/arrow/memory"
)

// row is what a replay hands out, kept.
type row struct {
	key Key
	x   []float64
}

func gather(to *[]row) func(*Rows) error {
	return func(rows *Rows) error {
		for i, k := range rows.Keys {
			*to = append(*to, row{k, append([]float64{}, rows.X[i*rows.Width:(i+1)*rows.Width]...)})
		}
		return nil
	}
}

type replayed struct {
	offers, months []row
	state          *State
	stats          Stats
}

func replayAll(t testing.TB, src Source, set *Set, workers int) replayed {
	t.Helper()
	var out replayed
	var err error
	out.state, out.stats, err = Replay(context.Background(), src, set, ReplayOptions{Workers: workers}, Sink{gather(&out.offers), gather(&out.months)})
	if err != nil {
		t.Fatal(err)
	}
	return out
}

// failer is what a test and a property have in common.
type failer interface {
	Helper()
	Fatalf(format string, args ...any)
}

// sameBits compares rows, NaN equal to NaN.
func sameBits(t failer, set *Set, got, want []row) {
	t.Helper()
	if len(got) != len(want) {
		t.Fatalf("%d rows, want %d", len(got), len(want))
	}
	for i := range got {
		if got[i].key != want[i].key {
			t.Fatalf("row %d is of %+v, want %+v", i, got[i].key, want[i].key)
		}
		for j := range got[i].x {
			if math.Float64bits(got[i].x[j]) != math.Float64bits(want[i].x[j]) {
				name := set.features[j].Name
				if len(got[i].x) < set.Width() {
					name = set.partner[j].Name
				}
				t.Fatalf("row %d (%+v), %s is %v, want %v", i, got[i].key, name, got[i].x[j], want[i].x[j])
			}
		}
	}
}

// online feeds a source to a State as a server would and asks it for the row of
// each offer just before the offer is known.
func online(t testing.TB, src Source, set *Set) (*State, []row) {
	t.Helper()
	ctx := context.Background()
	st := NewState(set)
	var partners []*record.Partner
	var leads []record.Lead
	rows := []row{}
	_ = src.Partners(ctx, func(p *record.Partner) error { partners = append(partners, p); return nil })
	_ = src.Leads(ctx, func(l *record.Lead) error { leads = append(leads, *l); return nil })
	known := map[record.LeadID]*record.Lead{}
	seen := map[record.EventID]bool{}
	var view LeadView
	err := src.Events(ctx, func(batch []record.Event) error {
		for i := range batch {
			e := &batch[i]
			for len(partners) > 0 && partners[0].KnownAt.Unix() <= e.Known().Unix() {
				st.Advance(partners[0].KnownAt)
				st.PutPartner(partners[0])
				partners = partners[1:]
			}
			for len(leads) > 0 && leads[0].CreatedAt.Unix() <= e.Known().Unix() {
				st.Advance(leads[0].CreatedAt)
				st.PutLead(&leads[0])
				known[leads[0].ID] = &leads[0]
				leads = leads[1:]
			}
			st.Advance(e.Known())
			l, entry := known[e.Lead], st.leads.get(hash(e.Lead))
			if e.Type == record.OfferMade && entry != nil && !seen[e.ID] && e.Known().Unix()-e.At.Unix() <= lateOffer {
				p := st.partner(e.Partner).PartnerState
				set.Prepare(&view, l, st, e.Known())
				x := make([]float64, set.Width())
				set.Row(x, &view, p)
				rows = append(rows, row{Key{e.Lead, e.Partner, e.ID, e.Offer, e.Known(), int(entry.attempts) + 1}, x})
			}
			seen[e.ID] = true
			st.Observe(e)
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	for ; len(leads) > 0 && leads[0].CreatedAt.Unix() <= st.now; leads = leads[1:] {
		st.PutLead(&leads[0])
	}
	return st, rows
}

func TestReplayIsTheOnlineState(t *testing.T) {
	w := world{partners: 40, events: 20_000, days: 200, seed: 5}
	set := w.set()
	st, want := online(t, w, set)
	if len(want) < 500 {
		t.Fatalf("only %d offers: the test says nothing", len(want))
	}
	wantBytes, err := st.MarshalBinary()
	if err != nil {
		t.Fatal(err)
	}
	var months []row
	for _, workers := range []int{1, 2, 3} {
		got := replayAll(t, w, set, workers)
		sameBits(t, set, got.offers, want)
		if months == nil {
			months = got.months
		}
		sameBits(t, set, got.months, months)
		b, err := got.state.MarshalBinary()
		if err != nil {
			t.Fatal(err)
		}
		if !bytes.Equal(b, wantBytes) {
			t.Errorf("with %d workers the state at the end differs from the online one", workers)
		}
	}
	if len(months) != 40*6 {
		t.Errorf("%d month rows, want 6 of 40 partners", len(months))
	}
}

// TestChunksOfAnySizeReplayBitForBit cuts the days of a log into chunks of a few
// events, so that a partner's day is folded in many pieces.
func TestChunksOfAnySizeReplayBitForBit(t *testing.T) {
	w := world{partners: 40, events: 20_000, days: 50, seed: 6}
	set := w.set()
	want := replayAll(t, w, set, 1)
	wantBytes, _ := want.state.MarshalBinary()
	for _, most := range []int{1, 7, 100} {
		var got replayed
		r := newReplay(context.Background(), set, ReplayOptions{Workers: 3}, Sink{gather(&got.offers), gather(&got.months)})
		r.most = most
		if err := r.run(w); err != nil {
			t.Fatal(err)
		}
		sameBits(t, set, got.offers, want.offers)
		sameBits(t, set, got.months, want.months)
		if b, _ := r.state.MarshalBinary(); !bytes.Equal(b, wantBytes) {
			t.Errorf("in chunks of %d events the state at the end is another", most)
		}
	}
}

func TestReplaySaysWhatHasNoRow(t *testing.T) {
	day := func(n int) time.Time { return worldStart.AddDate(0, 0, n) }
	l := &log{
		leads: []*record.Lead{{ID: "a", CreatedAt: day(0)}},
		events: []record.Event{
			{ID: "1", Type: record.OfferMade, Partner: "p", Lead: "a", At: day(1)},
			{ID: "2", Type: record.OfferMade, Partner: "p", Lead: "nobody described", At: day(2)},
			{ID: "3", Type: record.OfferMade, Partner: "q", Lead: "a", At: day(1), KnownAt: day(3)},
			{ID: "1", Type: record.OfferMade, Partner: "p", Lead: "a", At: day(1), KnownAt: day(3)},
			{ID: "4", Type: record.OfferMade, Partner: "q", Lead: "a", At: day(4)},
			{ID: "5", Type: record.PortalLogin, Partner: "q", At: day(40)},
		},
	}
	got := replayAll(t, l, l.set(), 2)
	want := Stats{Events: 6, Repeats: 1, Offers: 2, Months: 2, LateOffers: 1, NoLead: 1, From: day(1), To: day(40)}
	if got.stats != want {
		t.Errorf("%+v, want %+v", got.stats, want)
	}
	if last := got.offers[1].key; last.Event != "4" || last.Attempt != 3 {
		t.Errorf("the last row is %+v, want the third attempt, event 4", last)
	}
	_, stats, err := Replay(context.Background(), l, l.set(), ReplayOptions{Until: day(4)}, Sink{})
	if err != nil || stats.Events != 4 {
		t.Errorf("up to day 4 there are %d events (%v), want 4", stats.Events, err)
	}
	l.leads = append(l.leads, &record.Lead{ID: "b", CreatedAt: day(-1)})
	if _, _, err := Replay(context.Background(), l, l.set(), ReplayOptions{}, Sink{}); record.KindOf(err) != record.Invalid {
		t.Errorf("leads out of order: %v", err)
	}
}

func TestReplayStopsOnAnError(t *testing.T) {
	w := world{partners: 5, events: 20_000, days: 100, seed: 1}
	failed := errors.New("disk full")
	_, _, err := Replay(context.Background(), w, w.set(), ReplayOptions{}, Sink{Offers: func(*Rows) error { return failed }})
	if !errors.Is(err, failed) {
		t.Errorf("a sink that fails: %v", err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	if _, _, err := Replay(ctx, w, w.set(), ReplayOptions{}, Sink{}); !errors.Is(err, context.Canceled) {
		t.Errorf("cancelled: %v", err)
	}
}

func TestRowsAsArrow(t *testing.T) {
	w := world{partners: 5, events: 2000, days: 100, seed: 1}
	set := w.set()
	var offers, months int64
	check := func(rows *Rows, schema *arrow.Schema) int64 {
		r := rows.Record(memory.DefaultAllocator)
		defer r.Release()
		if !r.Schema().Equal(schema) {
			t.Error("the record is of another schema than announced")
		}
		keys := schema.NumFields() - rows.Width
		for j := range rows.Width {
			col := r.Column(keys + j).(*array.Float64)
			nulls := 0
			for i := range rows.Keys {
				x := rows.X[i*rows.Width+j]
				if col.IsNull(i) != math.IsNaN(x) || !col.IsNull(i) && col.Value(i) != x {
					t.Fatalf("%s of row %d is not %v", schema.Field(keys+j).Name, i, x)
				}
				if col.IsNull(i) {
					nulls++
				}
			}
			if col.NullN() != nulls {
				t.Fatalf("%s has %d nulls, says %d", schema.Field(keys+j).Name, nulls, col.NullN())
			}
		}
		return r.NumRows()
	}
	_, stats, err := Replay(context.Background(), w, set, ReplayOptions{}, Sink{
		Offers: func(r *Rows) error { offers += check(r, set.OfferSchema()); return nil },
		Months: func(r *Rows) error { months += check(r, set.MonthSchema()); return nil },
	})
	if err != nil || offers == 0 || offers != stats.Offers || months != stats.Months {
		t.Errorf("%d offers and %d months as Arrow, %+v, %v", offers, months, stats, err)
	}
	if m := set.OfferSchema().Metadata(); m.Values()[0] != set.Fingerprint() {
		t.Error("the schema does not name the set")
	}
}
