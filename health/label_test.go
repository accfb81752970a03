package health

import (
	"slices"
	"testing"
	"time"

	"bellwether/datasets/record"
	"bellwether/features"
	"bellwether/models"

	"pgregory.net/rapid"
)

func date(s string) time.Time {
	t, err := time.Parse(time.DateOnly, s)
	if err != nil {
		panic(err)
	}
	return t
}

// ev is an event of partner p on a date, known then unless another date is given.
func ev(kind record.EventType, on string, known ...string) *record.Event {
	e := &record.Event{Type: kind, Partner: "p", At: date(on).Add(10 * time.Hour)}
	e.KnownAt = e.At
	if len(known) > 0 {
		e.KnownAt = date(known[0]).Add(10 * time.Hour)
	}
	return e
}

// TestStayed asks when it was known that the partner did business again in the
// horizon from 2025-06-01 to 2025-08-30.
func TestStayed(t *testing.T) {
	at := func(on string) int64 { return date(on).Add(10 * time.Hour).Unix() }
	for _, c := range []struct {
		name   string
		events []*record.Event
		want   int64
	}{
		{"the first known", []*record.Event{ev(record.DealWon, "2025-06-02", "2025-07-20"), ev(record.DealWon, "2025-07-03"), ev(record.DealWon, "2025-07-10")}, at("2025-07-03")},
		{"not what was before or comes after", []*record.Event{ev(record.DealWon, "2025-05-31"), ev(record.DealWon, "2025-08-30")}, Unknown},
		{"not what was known too late", []*record.Event{ev(record.DealWon, "2025-08-01", "2025-09-02")}, Unknown},
		{"not a login", []*record.Event{ev(record.PortalLogin, "2025-07-01")}, Unknown},
		{"nothing", nil, Unknown},
	} {
		l := NewLabels(Config{})
		for _, e := range c.events {
			l.Observe(e)
		}
		if got := l.Stayed("p", date("2025-06-01")); got != c.want {
			t.Errorf("%s: %d, want %d", c.name, got, c.want)
		}
	}
}

func status(s, on string) *record.Event {
	e := ev(record.StatusChanged, on)
	e.Text = s
	return e
}

// TestChurn asks for the label of 2025-06-01; its horizon ends 2025-08-30.
func TestChurn(t *testing.T) {
	const y0, y1 = 0.0, 1.0
	end := date("2025-08-30").Unix()
	far := &record.Event{Type: record.OrderPlaced, Partner: "other", At: date("2026-01-01")} // the data goes on
	for _, c := range []struct {
		name   string
		events []*record.Event
		y      float64
		known  int64
		counts bool
	}{
		{"stays", []*record.Event{ev(record.DealWon, "2025-05-20"), ev(record.OrderPlaced, "2025-08-29"), far}, y0, end, true},
		{"business on the horizon's last day no longer counts", []*record.Event{ev(record.DealWon, "2025-05-20"), ev(record.DealWon, "2025-08-30"), far}, y1, end, true},
		{"business on the first day counts", []*record.Event{ev(record.DealWon, "2025-05-20"), ev(record.DealRegistered, "2025-06-01"), far}, y0, end, true},
		{"logins are no business", []*record.Event{ev(record.DealWon, "2025-05-20"), ev(record.PortalLogin, "2025-07-01"), far}, y1, end, true},
		{"not active before", []*record.Event{ev(record.DealWon, "2025-03-02"), ev(record.DealWon, "2025-07-01"), far}, y0, Unknown, false},
		{"active on the first day that counts", []*record.Event{ev(record.DealWon, "2025-03-03"), ev(record.DealWon, "2025-07-01"), far}, y0, end, true},
		{"activity before, known only after the month began", []*record.Event{ev(record.DealWon, "2025-05-20", "2025-06-02"), far}, y0, Unknown, false},
		{"activity within, known only after the horizon", []*record.Event{ev(record.DealWon, "2025-05-20"), ev(record.DealWon, "2025-08-01", "2025-09-02"), far}, y1, end, true},
		{"contract lapses", []*record.Event{ev(record.DealWon, "2025-05-20"), ev(record.DealWon, "2025-06-20"), ev(record.ContractLapsed, "2025-07-04"), far},
			y1, date("2025-07-04").Add(10 * time.Hour).Unix(), true},
		{"terminated", []*record.Event{ev(record.DealWon, "2025-05-20"), status("terminated", "2025-06-04")}, y1, date("2025-06-04").Add(10 * time.Hour).Unix(), true},
		{"suspended is not terminated", []*record.Event{ev(record.DealWon, "2025-05-20"), status("suspended", "2025-06-04"), ev(record.DealWon, "2025-07-01"), far}, y0, end, true},
		{"gone before", []*record.Event{ev(record.DealWon, "2025-05-20"), status("terminated", "2025-05-25"), far}, y0, Unknown, false},
		{"gone before and back", []*record.Event{status("terminated", "2025-04-25"), status("active", "2025-05-01"), ev(record.DealWon, "2025-05-20"), ev(record.DealWon, "2025-07-01"), far}, y0, end, true},
		{"lapsed and renewed", []*record.Event{ev(record.ContractLapsed, "2025-04-25"), ev(record.ContractRenewed, "2025-05-01"), ev(record.DealWon, "2025-05-20"), far}, y1, end, true},
		{"not yet known", []*record.Event{ev(record.DealWon, "2025-05-20"), ev(record.DealWon, "2025-07-01")}, y0, Unknown, true},
		{"absorbed", []*record.Event{ev(record.DealWon, "2025-05-20"), {Type: record.PartnerMerged, Partner: "q", Other: "p", At: date("2025-07-01")}, far}, y0, Unknown, false},
	} {
		l := NewLabels(Config{})
		for _, e := range c.events {
			l.Observe(e)
		}
		y, known, counts := l.Churn("p", date("2025-06-01"))
		if y != c.y || known != c.known || counts != c.counts {
			t.Errorf("%s: label %v known %d counts %t, want %v %d %t", c.name, y, known, counts, c.y, c.known, c.counts)
		}
	}
}

func TestMergeHandsOnThePast(t *testing.T) {
	l := NewLabels(Config{})
	for _, e := range []*record.Event{ev(record.DealWon, "2025-05-20"), {Type: record.PartnerMerged, Partner: "q", Other: "p", At: date("2025-05-25")},
		{Type: record.OrderPlaced, Partner: "q", At: date("2025-07-01")}, {Type: record.OrderPlaced, Partner: "other", At: date("2026-01-01")}} {
		l.Observe(e)
	}
	if y, _, counts := l.Churn("q", date("2025-06-01")); y != 0 || !counts {
		t.Errorf("the absorbing partner: label %v counts %t, want 0 true", y, counts)
	}
	l.Observe(ev(record.DealWon, "2025-11-20")) // by the absorbed one, after it was handed on
	if l.Active("q", date("2025-12-01")) || !l.Active("p", date("2025-12-01")) {
		t.Error("what the absorbed partner did after the merger counts for the absorbing one")
	}
}

// TestChurnAgainstPlain compares with a loop over all events.
func TestChurnAgainstPlain(t *testing.T) {
	kinds := []record.EventType{record.DealWon, record.PortalLogin, record.ContractLapsed, record.ContractRenewed, record.OrderPlaced}
	begin := date("2025-01-01")
	rapid.Check(t, func(t *rapid.T) {
		cfg := Config{HorizonDays: rapid.IntRange(1, 40).Draw(t, "horizon"), ActiveDays: rapid.IntRange(1, 40).Draw(t, "active")}
		var events []*record.Event
		for range rapid.IntRange(0, 12).Draw(t, "events") {
			e := &record.Event{Partner: "p", Type: rapid.SampledFrom(kinds).Draw(t, "kind"),
				At: begin.Add(time.Duration(rapid.IntRange(0, 150*24).Draw(t, "at")) * time.Hour)}
			e.KnownAt = e.At.Add(time.Duration(rapid.SampledFrom([]int{0, 0, 5, 100, 500}).Draw(t, "late")) * time.Hour)
			events = append(events, e)
		}
		slices.SortStableFunc(events, func(a, b *record.Event) int { return a.KnownAt.Compare(b.KnownAt) })
		l := NewLabels(cfg)
		for _, e := range events {
			l.Observe(e)
		}
		at := begin.AddDate(0, 0, rapid.IntRange(0, 150).Draw(t, "day"))
		y, known, counts := l.Churn("p", at)
		py, pknown, pcounts := plainChurn(cfg, events, at)
		if counts != pcounts || counts && (y != py || known != pknown) {
			t.Fatalf("label %v known %d counts %t, plainly %v %d %t", y, known, counts, py, pknown, pcounts)
		}
	})
}

func plainChurn(cfg Config, events []*record.Event, at time.Time) (y float64, known int64, counts bool) {
	from, end := at.AddDate(0, 0, -cfg.ActiveDays), at.AddDate(0, 0, cfg.HorizonDays)
	var reaches time.Time
	gone, latest, stays := false, time.Time{}, false
	var lapse *record.Event
	for _, e := range events {
		business := e.Type == record.DealWon || e.Type == record.OrderPlaced
		turn := e.Type == record.ContractLapsed || e.Type == record.ContractRenewed
		if next := e.At.Truncate(24*time.Hour).AddDate(0, 0, 1); business && next.After(reaches) {
			reaches = next
		}
		before := e.At.Before(at)
		switch {
		case business && before && !e.At.Before(from) && !e.KnownAt.After(at):
			counts = true
		case business && !before && e.At.Before(end) && !e.KnownAt.After(end):
			stays = true
		case turn && !e.At.After(at) && !e.KnownAt.After(at) && !e.At.Before(latest):
			gone, latest = e.Type == record.ContractLapsed, e.At
		}
		if e.Type == record.ContractLapsed && !before && e.At.Before(end) && !e.KnownAt.After(end) && lapse == nil {
			lapse = e
		}
	}
	switch {
	case !counts || gone:
		return 0, Unknown, false
	case lapse != nil:
		return 1, lapse.KnownAt.Unix(), true
	case reaches.Before(end):
		return 0, Unknown, true
	case stays:
		return 0, end.Unix(), true
	}
	return 1, end.Unix(), true
}

// TestComplete: a thin tail does not count, a quiet weekend inside does.
func TestComplete(t *testing.T) {
	l := NewLabels(Config{})
	if !l.Complete().IsZero() {
		t.Errorf("nothing seen reaches to %s", l.Complete())
	}
	sell := func(day time.Time, n int) {
		for range n {
			l.Observe(&record.Event{Type: record.OrderPlaced, Partner: "p", At: day})
		}
	}
	day := date("2025-01-01")
	for i := range 121 {
		sell(day, 40)
		if i%7 == 0 {
			day = day.AddDate(0, 0, 1) // a day off
		}
		day = day.AddDate(0, 0, 1)
	}
	want := day
	for range 40 {
		sell(day, 3)
		day = day.AddDate(0, 0, 1)
	}
	l.Observe(&record.Event{Type: record.PortalLogin, Partner: "p", At: day.AddDate(1, 0, 0)})
	if !l.Complete().Equal(want) {
		t.Errorf("the data reaches to %s, want %s", l.Complete(), want)
	}
	sell(date("2025-07-20"), 4)
	if got := date("2025-07-21"); !l.Complete().Equal(got) {
		t.Errorf("a tenth of a usual day reaches to %s, want %s", l.Complete(), got)
	}
}

func TestHabit(t *testing.T) {
	l := NewLabels(Config{})
	for _, e := range []*record.Event{ev(record.DealWon, "2025-01-06"), ev(record.OrderPlaced, "2025-01-06"), ev(record.DealWon, "2025-01-20"),
		ev(record.DealWon, "2025-02-03"), ev(record.DealWon, "2025-02-05", "2025-04-01")} {
		l.Observe(e)
	}
	got, ok := l.Habit("p", date("2025-03-03"))
	if want := (Habit{Repeats: 2, LastWeeks: 4, WatchedWeeks: 8}); got != want || !ok {
		t.Errorf("habit %+v, want %+v", got, want)
	}
	if _, ok := l.Habit("p", date("2025-01-06")); ok {
		t.Error("a habit before the first business")
	}
}

// TestTraining is Olist's calendar in small: the data ends so that the horizon
// of 2018-06-01 is the newest complete one; March is the newest month whose
// labels were known by then.
func TestTraining(t *testing.T) {
	l := NewLabels(Config{})
	months := newMonths([]models.Column{{Name: "partner_id", Kind: models.Category}, {Name: "x"}})
	for m := date("2017-06-03"); m.Before(date("2018-09-20")); m = m.AddDate(0, 0, 15) {
		l.Observe(&record.Event{Type: record.OrderPlaced, Partner: "p", At: m})
		if m.Before(date("2018-01-01")) {
			l.Observe(&record.Event{Type: record.OrderPlaced, Partner: "gone", At: m})
		}
	}
	n := 0.0
	for m := date("2017-07-01"); m.Before(date("2018-09-05")); m = m.AddDate(0, 1, 0) {
		n++
		err := months.Add(&features.Rows{Keys: []features.Key{{Partner: "p", At: m}, {Partner: "gone", At: m}}, X: []float64{7, n, 8, -n}, Width: 2})
		if err != nil {
			t.Fatal(err)
		}
	}
	got, err := months.Training(l, time.Time{})
	if err != nil {
		t.Fatal(err)
	}
	if !got.TestFrom.Equal(date("2018-06-01")) || !got.TrainTo.Equal(date("2018-03-01")) {
		t.Errorf("test from %s, trained to %s", got.TestFrom, got.TrainTo)
	}
	seen := map[string]int{}
	for i, at := range got.Table.At {
		month := time.Unix(at, 0).UTC()
		seen[month.Format("2006-01")]++
		if got.Table.Known[i] != month.AddDate(0, 0, 90).Unix() {
			t.Errorf("row of %s is known at %d", month, got.Table.Known[i])
		}
		left := 0.0
		if got.Partners[i] == "gone" && !month.Before(date("2018-01-01")) {
			left = 1
		}
		if open := month.Equal(date("2018-04-01")) || month.Equal(date("2018-05-01")); got.Open[i] != open {
			t.Errorf("%s in %s: open %v", got.Partners[i], month, got.Open[i])
		}
		if ended := got.Table.Ended[i]; (ended == Unknown) != (left == 1) || left == 0 && (ended < at || ended > at+16*secondsPerDay) {
			t.Errorf("%s in %s: business again at %d", got.Partners[i], month, ended)
		}
		if got.Table.Y[i] != left {
			t.Errorf("%s in %s: label %v", got.Partners[i], month, got.Table.Y[i])
		}
		if x, id := got.Table.X[0][i], got.Beside.X[0][i]; (x < 0) != (got.Partners[i] == "gone") || (x < 0) != (id == 8) {
			t.Errorf("row %d holds %v and %v of another partner", i, x, id)
		}
	}
	if seen["2018-04"] != 1 || seen["2018-05"] != 1 || seen["2018-07"] > 0 || seen["2018-06"] != 1 || seen["2018-03"] != 2 || got.Table.Horizon != 90*secondsPerDay {
		t.Errorf("rows by month: %v, horizon %d", seen, got.Table.Horizon)
	}
	if !got.ValidFrom.Before(got.TrainTo.AddDate(0, 0, 1)) || !got.ValidFrom.After(date("2017-07-01")) {
		t.Errorf("validation from %s", got.ValidFrom)
	}
	if len(got.Table.Columns) != 1 || got.Table.Columns[0].Name != "x" || got.Beside.Columns[0].Name != "partner_id" {
		t.Errorf("learners see %v, baselines %v", got.Table.Columns, got.Beside.Columns)
	}
	if err := months.Add(&features.Rows{Width: 3}); err == nil {
		t.Error("rows of another width are taken")
	}
}

func TestTrainingRefusesTooLittle(t *testing.T) {
	l := NewLabels(Config{})
	l.Observe(ev(record.DealWon, "2025-05-20"))
	months := newMonths([]models.Column{{Name: "x"}})
	if err := months.Add(&features.Rows{Keys: []features.Key{{Partner: "p", At: date("2025-06-01")}}, X: []float64{1}, Width: 1}); err != nil {
		t.Fatal(err)
	}
	if _, err := months.Training(l, time.Time{}); record.KindOf(err) != record.Refused {
		t.Errorf("no complete horizon: %v", err)
	}
	l.Observe(ev(record.DealWon, "2026-01-01"))
	if _, err := months.Training(l, time.Time{}); record.KindOf(err) != record.Refused {
		t.Errorf("one month: %v", err)
	}
}
