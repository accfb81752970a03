package routing

import (
	"fmt"
	"os"
	"testing"
	"time"

	"bellwether/datasets/record"

	"pgregory.net/rapid"
)

// TestLabelSpillIsLabels draws logs of a few leads, of which some offers are
// asked for, and holds the labels against those of one Labels over everything.
func TestLabelSpillIsLabels(t *testing.T) {
	t.Setenv("TMPDIR", t.TempDir())
	seen := map[string]int{}
	rapid.Check(t, func(t *rapid.T) {
		var whole Labels
		var spill LabelSpill
		defer spill.Close()
		types := []record.EventType{record.OfferMade, record.OfferMade, record.OfferDeclined, record.OfferExpired,
			record.OfferWithdrawn, record.OfferSuperseded, record.DealWon, record.DealLost, record.PortalLogin}
		if rapid.Bool().Draw(t, "answers") {
			types = append(types, record.OfferAccepted, record.OfferAccepted)
		}
		var asked []record.EventID
		n := rapid.IntRange(1, 60).Draw(t, "events")
		for i := range n {
			name := func(kind string, of int) string {
				return fmt.Sprintf("%.1s%d", kind, rapid.IntRange(0, of).Draw(t, kind))
			}
			e := record.Event{ID: record.EventID(fmt.Sprint("e", i)), Type: rapid.SampledFrom(types).Draw(t, "type"),
				At: time.Unix(int64(1e9+i), 0).UTC(), Partner: record.PartnerID(name("partner", 2)), Lead: record.LeadID(name("lead", 3))}
			if rapid.Bool().Draw(t, "names its offer") {
				e.Offer = record.OfferID(name("offer", 4))
			}
			if i > 0 && rapid.Bool().Draw(t, "corrects") {
				e.Supersedes = record.EventID(fmt.Sprint("e", rapid.IntRange(0, i-1).Draw(t, "which")))
			}
			whole.Observe(&e)
			if err := spill.Observe(&e); err != nil {
				t.Fatal(err)
			}
			if e.Type == record.OfferMade && rapid.Bool().Draw(t, "asked") {
				asked = append(asked, e.ID)
				if err := spill.Ask(e.Lead, e.ID); err != nil {
					t.Fatal(err)
				}
			}
		}
		if err := spill.Settle(); err != nil {
			t.Fatal(err)
		}
		for i, id := range asked {
			win, winAt, isWin := whole.Win(id)
			accept, acceptAt, isAccept := whole.Accept(id)
			want := fmt.Sprint(whole.First(id), win, winAt, isWin, accept, acceptAt, isAccept)
			win, winAt, isWin = spill.Win(i)
			accept, acceptAt, isAccept = spill.Accept(i)
			if got := fmt.Sprint(spill.First(i), win, winAt, isWin, accept, acceptAt, isAccept); got != want {
				t.Fatalf("offer %s: %s, want %s", id, got, want)
			}
			seen[fmt.Sprint(isWin, win, isAccept, accept)]++
		}
	})
	if len(seen) < 7 {
		t.Errorf("few kinds of labels were drawn: %v", seen)
	}
}

// TestLabelSpillGoesToDisk has more facts of one lead than a block holds, and
// asks for an offer that was never made.
func TestLabelSpillGoesToDisk(t *testing.T) {
	t.Setenv("TMPDIR", t.TempDir())
	var whole Labels
	var spill LabelSpill
	for i := range 2*labelBlock/labelBytes + 10 {
		e := record.Event{ID: record.EventID(fmt.Sprint("e", i)), Type: record.OfferMade, At: time.Unix(int64(i), 0).UTC(), Partner: "p", Lead: "l"}
		if i == 500 {
			e.Type, e.Offer = record.DealWon, ""
		}
		whole.Observe(&e)
		if err := spill.Observe(&e); err != nil {
			t.Fatal(err)
		}
	}
	for _, id := range []record.EventID{"e499", "e0", "nobody's"} {
		if err := spill.Ask("l", id); err != nil {
			t.Fatal(err)
		}
	}
	if err := spill.Settle(); err != nil {
		t.Fatal(err)
	}
	if y, known, counts := spill.Win(0); y != 1 || known != 500 || !counts || !spill.First(1) || spill.First(0) {
		t.Errorf("won %v at %d, %v; first %v and %v", y, known, counts, spill.First(1), spill.First(0))
	}
	if _, _, counts := spill.Win(2); counts || spill.First(2) {
		t.Error("an offer never made has a label")
	}
	if err := spill.Close(); err != nil {
		t.Fatal(err)
	}
	if left, _ := os.ReadDir(os.TempDir()); len(left) > 0 || spill.size == 0 {
		t.Errorf("left %v, %d bytes were spilled", left, spill.size)
	}
}
