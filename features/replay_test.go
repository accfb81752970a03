package features

import (
	"bytes"
	"context"
	"math"
	"testing"

	"bellwether/datasets/record"
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
				p := st.partner(e.Partner)
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
