package routing

import (
	"strconv"
	"strings"
	"testing"
	"time"

	"bellwether/datasets/record"
)

// log reads events: "3 offer_made a l1" is event e<line> on day 3, partner a,
// lead l1; "~e2" supersedes event e2, "#o" names offer o.
func log(t *testing.T, text string) (*Labels, []record.Event) {
	t.Helper()
	var l Labels
	var events []record.Event
	for i, line := range strings.Split(strings.TrimSpace(text), "\n") {
		f := strings.Fields(line)
		n, err := strconv.Atoi(f[0])
		if err != nil {
			t.Fatal(err)
		}
		e := record.Event{ID: record.EventID("e" + strconv.Itoa(i+1)), At: day0, KnownAt: day0.Add(time.Duration(n) * day),
			Type: record.EventType(f[1]), Partner: record.PartnerID(f[2]), Lead: record.LeadID(f[3])}
		for _, x := range f[4:] {
			switch x[0] {
			case '~':
				e.Supersedes = record.EventID(x[1:])
			case '#':
				e.Offer = record.OfferID(x[1:])
			}
		}
		l.Observe(&e)
		events = append(events, e)
	}
	return &l, events
}

func TestLabels(t *testing.T) {
	// want per offer: win label and day, accept label and day; "-" is no row,
	// "?" is open.
	tests := []struct{ name, log, want string }{
		{"no answers: won", "0 offer_made a l\n5 deal_won a l", "1@5 -"},
		{"no answers: lost", "0 offer_made a l\n5 deal_lost a l", "0@5 -"},
		{"no answers: open", "0 offer_made a l", "? -"},
		{"no answers: moved on, then won there", "0 offer_made a l\n2 offer_made b l\n5 deal_won b l", "0@2 - | 1@5 -"},
		{"no answers: superseded", "0 offer_made a l\n3 offer_superseded a l", "0@3 -"},
		{"no answers: back to the first", "0 offer_made a l\n2 offer_made b l\n3 offer_made a l\n5 deal_won a l", "0@2 - | 0@3 - | 1@5 -"},
		{"no answers: withdrawn", "0 offer_made a l\n3 offer_withdrawn a l", "- -"},
		{"accepted and won", "0 offer_made a l\n1 offer_accepted a l\n5 deal_won a l", "1@5 1@1"},
		{"accepted, open", "0 offer_made a l\n1 offer_accepted a l", "? 1@1"},
		{"declined, next wins", "0 offer_made a l\n1 offer_declined a l\n1 offer_made b l\n2 offer_accepted b l\n9 deal_won b l", "- 0@1 | 1@9 1@2"},
		{"expired", "0 offer_made a l\n1 offer_expired a l\n1 offer_made b k\n2 offer_accepted b k", "- 0@1 | ? 1@2"},
		{"waiting where others answer", "0 offer_made a l\n1 offer_made b k\n2 offer_accepted b k", "- ? | ? 1@2"},
		{"taken away after accepting", "0 offer_made a l\n1 offer_accepted a l\n4 offer_made b l", "0@4 1@1 | - ?"},
		{"accepted, another won it", "0 offer_made a l\n1 offer_accepted a l\n4 deal_won b l", "0@4 1@1"},
		{"won by deed", "0 offer_made b k\n0 offer_accepted b k\n0 offer_made a l\n5 deal_won a l", "? 1@0 | 1@5 1@5"},
		{"contradiction is ignored", "0 offer_made a l\n5 deal_won a l\n6 deal_lost a l", "1@5 -"},
		{"correction holds from when it is known", "0 offer_made a l\n5 deal_won a l\n9 deal_lost a l ~e2", "0@9 -"},
		{"correction of a correction", "0 offer_made a l\n5 deal_won a l\n9 deal_lost a l ~e2\n11 deal_won a l ~e3", "1@11 -"},
		{"outcome names its offer", "0 offer_made a l #1\n1 offer_made a l #2\n5 deal_won a l #1\n6 deal_lost a l #2", "1@5 - | 0@6 -"},
		{"answer corrected", "0 offer_made a l\n1 offer_accepted a l\n2 offer_declined a l ~e2", "- 0@2"},
		{"outcome of an unknown offer", "0 offer_made a l\n5 deal_won b k", "? -"},
	}
	for _, tt := range tests {
		l, events := log(t, tt.log)
		show := func(y float64, known int64, counts bool) string {
			switch {
			case !counts:
				return "-"
			case known == never:
				return "?"
			}
			return strconv.Itoa(int(y)) + "@" + strconv.FormatInt((known-day0.Unix())/86400, 10)
		}
		var got []string
		leads := map[record.LeadID]bool{}
		for _, e := range events {
			if e.Type != record.OfferMade {
				continue
			}
			got = append(got, show(l.Win(e.ID))+" "+show(l.Accept(e.ID)))
			if first := l.First(e.ID); first == leads[e.Lead] {
				t.Errorf("%s: %s is first of its lead: %v", tt.name, e.ID, first)
			}
			leads[e.Lead] = true
		}
		if s := strings.Join(got, " | "); s != tt.want {
			t.Errorf("%s: got %s, want %s", tt.name, s, tt.want)
		}
	}
	var empty Labels
	if _, _, counts := empty.Win("x"); counts || empty.First("x") || empty.HasAnswers() {
		t.Error("labels of nothing know an offer")
	}
}
