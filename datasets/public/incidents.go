package public

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"bellwether/datasets"
	"bellwether/datasets/record"
)

// incidentTime is how the log writes times; it names no zone, UTC is taken.
const incidentTime = "2/1/2006 15:04"

// A column of a ticket's first row becomes an attribute of the lead. Left out
// are what grows or tells the outcome (incident_state, active,
// reassignment_count, reopen_count, sys_mod_count, made_sla, closed_code,
// resolved_by, resolved_at, closed_at, sys_updated_*, problem_id, rfc, vendor,
// caused_by) and whom the group gave the ticket to (assigned_to).
var incidentAttributes = []string{"subcategory", "u_symptom", "opened_by", "sys_created_by", "location", "caller_id", "impact", "urgency", "priority",
	"cmdb_ci", "knowledge", "u_priority_confirmation", "notify"}

// Incidents reads the incident event log into w. A ticket is a lead, an
// assignment group a partner.
//
// The lead holds what the ticket's first row held. Each time the ticket is given
// to a group, an offer_made says so; when it moves on to another group, the
// earlier offer is superseded at that moment. The last group won if the ticket's
// last row says made_sla; it, and every group the ticket was moved on from, lost
// otherwise. All outcomes are known when the ticket is resolved (closed, where
// the log has no time of that), not before: that a ticket moved on shows
// at once, in offer_superseded, but it may still come back to the group.
//
// An offer is known when its row was written (sys_updated_at), which is never
// before the lead's first row was.
func Incidents(ctx context.Context, in string, w *datasets.Writer, o Options) (*datasets.Report, error) {
	columns := append([]string{"number", "sys_updated_at", "opened_at", "assignment_group", "made_sla", "resolved_at", "closed_at", "contact_type", "category"},
		incidentAttributes...)
	s, err := openSheet(find(in, "incident_event_log.csv"), columns...)
	if err != nil {
		return nil, err
	}
	defer s.Close()
	im := &incidents{intake: datasets.NewIntake(w, "incidents"), groups: map[string]time.Time{}}
	defer im.intake.Drop()
	t := &ticket{}
	err = s.each(ctx, im.intake, o, func() error {
		if number := s.get("number"); number != t.number {
			if err := im.take(t); err != nil {
				return err
			}
			t = &ticket{number: strings.Clone(number)}
		}
		t.add(s)
		return nil
	})
	if err != nil {
		return nil, err
	}
	if err := im.take(t); err != nil {
		return nil, err
	}
	if err := im.partners(); err != nil {
		return nil, err
	}
	im.intake.Note("%d tickets, %d of them assigned to a group at some time: each of these has one first assignment", im.tickets, im.assigned)
	return im.intake.Finish()
}

type incidents struct {
	intake            *datasets.Intake
	groups            map[string]time.Time // first assignment of each group
	tickets, assigned int
}

// ticket is the rows of one number, which stand together in the file.
type ticket struct {
	number      string
	lead        record.Lead
	assignments []assignment
	updated     time.Time // of the row read last
	madeSLA     bool      // by the last row
	resolved    time.Time // by the last row
	places      []datasets.Fault
	err         error // the first of its rows that cannot be used
}

type assignment struct {
	group string
	at    time.Time
}

func (t *ticket) add(s *sheet) {
	first := len(t.places) == 0
	t.places = append(t.places, s.Place())
	at, err := when("sys_updated_at", incidentTime, s.get("sys_updated_at"))
	if err == nil && at.Before(t.updated) {
		at = t.updated // one ticket's clock goes back: its rows are in order all the same
	}
	if err == nil && first {
		err = t.begin(s)
	}
	t.updated = at
	if g := s.get("assignment_group"); g != "" && (len(t.assignments) == 0 || t.assignments[len(t.assignments)-1].group != g) {
		t.assignments = append(t.assignments, assignment{strings.Clone(g), at})
	}
	t.madeSLA = s.get("made_sla") == "true"
	column := "resolved_at"
	if s.get(column) == "" {
		column = "closed_at"
	}
	resolved, e := when(column, incidentTime, s.get(column))
	if err == nil {
		err = e
	}
	t.resolved = resolved
	if t.err == nil {
		t.err = err
	}
}

func (t *ticket) begin(s *sheet) error {
	opened, err := when("opened_at", incidentTime, s.get("opened_at"))
	if err != nil {
		return err
	}
	t.lead = record.Lead{ID: record.LeadID(t.number), CreatedAt: opened, Account: record.AccountID(s.get("caller_id")), Source: s.get("contact_type"),
		Need: "support", Place: record.Place{Region: s.get("location")}, Attributes: record.Attributes{}}
	if c := s.get("category"); c != "" {
		t.lead.Products = []string{c}
	}
	for _, name := range incidentAttributes {
		if v := s.get(name); v != "" {
			t.lead.Attributes[name] = record.Text(v)
		}
	}
	return nil
}

// take hands a ticket's records in.
func (im *incidents) take(t *ticket) error {
	if len(t.places) == 0 {
		return nil
	}
	im.tickets++
	if t.err != nil {
		im.intake.Reject(t.err, t.places...)
		return nil
	}
	records := []any{&t.lead}
	for k, a := range t.assignments {
		if first, ok := im.groups[a.group]; !ok || a.at.Before(first) {
			im.groups[a.group] = a.at
		}
		event := func(kind record.EventType, what string, at, known time.Time) *record.Event {
			e := &record.Event{ID: record.EventID(fmt.Sprintf("%s/%d/%s", t.number, k+1, what)), Type: kind, At: at, KnownAt: known,
				Partner: record.PartnerID(a.group), Lead: t.lead.ID, Account: t.lead.Account, Products: t.lead.Products}
			records = append(records, e)
			return e
		}
		event(record.OfferMade, "offer", a.at, a.at)
		done := t.resolved
		if done.Before(a.at) {
			done = a.at // assigned once more after it was resolved
		}
		switch {
		case k+1 < len(t.assignments):
			next := t.assignments[k+1].at
			event(record.OfferSuperseded, "superseded", next, next)
			event(record.DealLost, "lost", done, done).Reason = "moved_on"
		case t.madeSLA:
			event(record.DealWon, "won", done, done)
		default:
			event(record.DealLost, "lost", done, done).Reason = "late"
		}
	}
	if len(t.assignments) > 0 {
		im.assigned++
	}
	return im.intake.Row(records, t.places...)
}

// partners hands the groups in. They come from no row of their own.
func (im *incidents) partners() error {
	names := make([]string, 0, len(im.groups))
	for g := range im.groups {
		names = append(names, g)
	}
	slices.Sort(names)
	for _, g := range names {
		first := im.groups[g]
		if err := im.intake.Row([]any{&record.Partner{ID: record.PartnerID(g), Name: g, Kind: "other", JoinedAt: first}}); err != nil {
			return err
		}
	}
	return nil
}
