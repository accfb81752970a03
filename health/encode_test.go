package health

import (
	"bytes"
	"encoding/binary"
	"hash/crc32"
	"maps"
	"math"
	"slices"
	"testing"

	"bellwether/datasets/record"
	"bellwether/features"

	"pgregory.net/rapid"
)

func history(log []*record.Event) *History {
	h := NewHistory(Config{}, features.NewSet(features.Schema{}, features.Options{}), afterAll)
	for _, e := range log {
		h.Observe(e)
	}
	return h
}

// TestHistoryGoesOn: one written down in the middle of a log and read back goes
// on as if nothing had been.
func TestHistoryGoesOn(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		log := drawCorrected(t)
		pause := rapid.IntRange(0, len(log)).Draw(t, "pause")
		want, got := history(log), history(nil)
		b, err := history(log[:pause]).MarshalBinary()
		if err == nil {
			err = got.UnmarshalBinary(b)
		}
		if err != nil {
			t.Fatal(err)
		}
		for _, e := range log[pause:] {
			got.Observe(e)
		}
		a, _ := got.MarshalBinary()
		if b, _ := want.MarshalBinary(); !bytes.Equal(a, b) {
			t.Fatal("written down again, it differs")
		}
		if g, w := got.Labels.Complete(), want.Labels.Complete(); !g.Equal(w) {
			t.Fatalf("complete to %s, want %s", g, w)
		}
		at := log[len(log)-1].KnownAt.AddDate(0, 0, 1)
		same := func(a, b float64) bool { return a == b || math.IsNaN(a) && math.IsNaN(b) }
		for _, id := range want.Labels.IDs() {
			g, gok := got.Labels.Habit(id, at)
			w, wok := want.Labels.Habit(id, at)
			gp, wp := got.Labels.partners[id], want.Labels.partners[id]
			if g != w || gok != wok || gp.merged != wp.merged || gp.goneAt(at.Unix()) != wp.goneAt(at.Unix()) {
				t.Fatalf("label of %s: %v %t, merged %d, want %v %t, %d", id, g, gok, gp.merged, w, wok, wp.merged)
			}
			if g, w := got.Book.kpis(id, at), want.Book.kpis(id, at); !maps.EqualFunc(g, w, same) {
				t.Fatalf("KPIs of %s are %v, want %v", id, g, w)
			}
			if g, w := got.Book.Activity(id, at), want.Book.Activity(id, at); !slices.Equal(g, w) {
				t.Fatalf("activity of %s is %v, want %v", id, g, w)
			}
		}
	})
}

func FuzzHistory(f *testing.F) {
	whole, err := history([]*record.Event{ev(record.DealWon, "2025-05-20"), ev(record.PortalLogin, "2025-05-21"),
		{ID: "m", Type: record.PartnerMerged, Partner: "q", Other: "p", At: date("2025-05-25")}}).MarshalBinary()
	if err != nil {
		f.Fatal(err)
	}
	f.Add(whole[:len(whole)-4]) // what the sum is of
	f.Fuzz(func(t *testing.T, body []byte) {
		if len(body) < len(historyMagic) {
			return
		}
		h := history(nil)
		if err := h.UnmarshalBinary(sealed(body)); err != nil {
			if record.KindOf(err) != record.Incompatible {
				t.Fatal(err)
			}
			return
		}
		again, _ := h.MarshalBinary()
		if err := history(nil).UnmarshalBinary(again); err != nil {
			t.Fatalf("what was read cannot be written and read again: %v", err)
		}
		h.Observe(ev(record.DealWon, "2025-06-20"))
	})
}

// sealed gives a body the right sum, so that what it says is read at all.
func sealed(body []byte) []byte {
	return binary.LittleEndian.AppendUint32(slices.Clip(body), crc32.Checksum(body, crc32.MakeTable(crc32.Castagnoli)))
}
