package routing

import (
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"bellwether/datasets/record"
	"bellwether/features"

	"go.yaml.in/yaml/v3"
)

var rewrite = flag.Bool("rewrite", false, "write what the system says now into testdata/*.txt")

var prose = regexp.MustCompile(`(?m)^#.*\n`)

// TestTranscripts plays testdata/*.txt: a command, "----", then everything the
// system said to it, then an empty line. Lines that begin with # are prose.
func TestTranscripts(t *testing.T) {
	files, err := filepath.Glob("testdata/*.txt")
	if err != nil || len(files) == 0 {
		t.Fatalf("no transcripts: %v", err)
	}
	for _, file := range files {
		b, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		s, out := newStage(), ""
		for _, part := range strings.SplitAfter(string(b), "\n\n") {
			command, _, ok := strings.Cut(part, "\n----\n")
			if ok {
				part = command + "\n----\n" + s.do(prose.ReplaceAllString(command, "")) + "\n"
				part = strings.TrimRight(part, "\n") + "\n\n"
			}
			out += part
		}
		out = strings.TrimRight(out, "\n") + "\n"
		if *rewrite {
			err = os.WriteFile(file, []byte(out), 0o644)
		} else if out != string(b) {
			err = fmt.Errorf("the system says something else now (see with -rewrite and git diff):\n%s", out)
		}
		if err != nil {
			t.Errorf("%s: %v", file, err)
		}
	}
}

// stage is a small world that commands act on.
type stage struct {
	policy  Policy
	index   *Index
	state   *features.State
	router  Router
	now     time.Time
	leads   map[string]*record.Lead
	offers  map[string]record.PartnerID // the open offer of a lead
	events  int
	pending []any // the past that "past" told of
}

func newStage() *stage {
	s := &stage{now: day0, leads: map[string]*record.Lead{}, offers: map[string]record.PartnerID{}}
	set := features.NewSet(features.Schema{}, features.Options{})
	s.state = features.NewState(set)
	s.index, _ = NewIndex(Policy{})
	s.router = Router{Set: set, Index: s.index}
	return s
}

// do obeys one command and returns everything said.
func (s *stage) do(command string) string {
	line, body, _ := strings.Cut(command, "\n")
	words := strings.Fields(line)
	arg := words[1:]
	if words[0] != "past" && words[0] != "partner" {
		s.live()
	}
	switch words[0] {
	case "policy":
		if err := yaml.Unmarshal([]byte(body), &s.policy); err != nil {
			return err.Error()
		}
		ix, err := NewIndex(s.policy)
		if err != nil {
			return err.Error()
		}
		s.index, s.router.Index = ix, ix
	case "now":
		s.now, _ = time.Parse("2006-01-02 15:04", arg[0]+" "+arg[1])
		return s.now.Format("Monday, 2 January 2006, 15:04")
	case "partner":
		p := readPartner(arg)
		s.index.Upsert(p)
		s.state.PutPartner(p)
	case "past":
		return s.past(record.PartnerID(arg[0]), arg[1:])
	case "event":
		s.observe(readEvent(arg))
	case "lead":
		l := readLead(arg)
		l.CreatedAt = s.now
		s.leads[arg[0]] = l
	case "route":
		return s.route(arg[0], slices.Contains(arg, "greedy"))
	case "accept":
		s.observe(&record.Event{Type: record.OfferAccepted, Partner: s.offers[arg[0]], Lead: record.LeadID(arg[0])})
	case "decline":
		s.observe(&record.Event{Type: record.OfferDeclined, Partner: s.offers[arg[0]], Lead: record.LeadID(arg[0]), Reason: arg[1]})
	case "why":
		_, why, err := s.index.Explain(record.PartnerID(arg[0]), s.leads[arg[1]], s.now, nil)
		switch {
		case err != nil:
			return err.Error()
		case why == "":
			return arg[0] + ": may have the lead"
		}
		return arg[0] + ": " + why
	case "learn":
		s.router.Model = learn(s.router.Set, arg)
	case "explain":
		return s.explain(arg[0], append(arg, "")[1])
	case "shares":
		return s.shares(arg[0], arg[1])
	default:
		return "no such command: " + words[0]
	}
	return "done"
}

func (s *stage) observe(e *record.Event) {
	s.events++
	e.ID = record.EventID(fmt.Sprint("e", s.events))
	if e.At.IsZero() {
		e.At = s.now
	}
	s.index.Observe(e)
	s.state.Observe(e)
}

// past gives a partner leads of half a year ago: "won=3 lost=6 industry=x
// hours=5", the last being how long it took to accept them.
func (s *stage) past(id record.PartnerID, arg []string) string {
	n := map[string]int{}
	industry := ""
	for _, a := range arg {
		k, v, _ := strings.Cut(a, "=")
		if n[k], _ = strconv.Atoi(v); k == "industry" {
			industry = v
		}
	}
	for i := range n["won"] + n["lost"] {
		at := s.now.Add(-200*day + time.Duration(i)*day)
		l := &record.Lead{ID: record.LeadID(fmt.Sprintf("%s-%s-%d", id, industry, i)), CreatedAt: at, Industry: industry}
		s.pending = append(s.pending, l, &record.Event{Type: record.OfferMade, Partner: id, Lead: l.ID, At: at, KnownAt: at})
		if n["hours"] > 0 {
			then := at.Add(time.Duration(n["hours"]) * time.Hour)
			s.pending = append(s.pending, &record.Event{Type: record.OfferAccepted, Partner: id, Lead: l.ID, At: then, KnownAt: then})
		}
		what := record.DealWon
		if i >= n["won"] {
			what = record.DealLost
		}
		s.pending = append(s.pending, &record.Event{Type: what, Partner: id, Lead: l.ID, At: at.Add(20 * day), KnownAt: at.Add(20 * day)})
	}
	return "done"
}

// live plays the pending past in the order in which it became known.
func (s *stage) live() {
	known := func(x any) time.Time {
		if l, ok := x.(*record.Lead); ok {
			return l.CreatedAt
		}
		return x.(*record.Event).Known()
	}
	slices.SortStableFunc(s.pending, func(a, b any) int { return known(a).Compare(known(b)) })
	for _, x := range s.pending {
		s.state.Advance(known(x))
		if l, ok := x.(*record.Lead); ok {
			s.state.PutLead(l)
		} else {
			s.observe(x.(*record.Event))
		}
	}
	s.pending = nil
}

// route decides, says everything of the decision, and makes the offer.
func (s *stage) route(id string, greedy bool) string {
	l := s.leads[id]
	s.state.PutLead(l)
	s.state.Advance(s.now)
	d, err := s.router.Route(l, s.state, Request{Now: s.now, Seed: 1, Greedy: greedy}, nil)
	if err != nil {
		return err.Error()
	}
	var b strings.Builder
	if d.Chosen == "" {
		fmt.Fprintf(&b, "%s is offered to nobody\n", id)
	} else {
		fmt.Fprintf(&b, "%s is offered to %s until %s\n", id, d.Chosen, d.ExpiresAt.Format("2006-01-02 15:04"))
		s.offers[id] = d.Chosen
		s.observe(&record.Event{Type: record.OfferMade, Partner: d.Chosen, Lead: l.ID, Account: l.Account})
	}
	for _, r := range d.Reasons {
		fmt.Fprintf(&b, "  %s\n", r)
	}
	for i, k := range d.Ranked {
		fmt.Fprintf(&b, "%d. %-8s value %8.2f  price %5.2f  chosen with probability %.4f\n", i+1, k.Partner, k.Value/100, k.Price/100, k.Prob)
		for _, r := range k.Reasons {
			fmt.Fprintf(&b, "     %s\n", r)
		}
	}
	for _, r := range d.Refusals {
		names, _ := s.index.Names(r)
		fmt.Fprintf(&b, "refused by %s: %v\n", r.Rule, names)
	}
	return b.String()
}

// explain says why a lead goes where it goes, or why not to the one who asks.
func (s *stage) explain(id, contrast string) string {
	l := s.leads[id]
	s.state.PutLead(l)
	s.state.Advance(s.now)
	_, x, err := s.router.Explain(l, s.state, Request{Now: s.now, Seed: 1, Greedy: true}, record.PartnerID(contrast))
	if err != nil {
		return err.Error()
	}
	var b strings.Builder
	list := func(title string, texts []string) {
		for _, text := range texts {
			fmt.Fprintf(&b, "     %s%s\n", title, text)
		}
	}
	fmt.Fprintln(&b, x.Sentence)
	for _, k := range x.Partners {
		fmt.Fprintf(&b, "%d. %-5s chance to win %s (%s to %s), value %.2f\n", k.Rank, k.Partner, percent(k.Win), percent(k.WinLo), percent(k.WinHi), k.Value/100)
		list("for: ", k.For)
		list("against: ", k.Against)
		list("", k.Notes)
	}
	if x.Contrast == nil {
		for _, r := range x.Refusals {
			fmt.Fprintf(&b, "refused: %d %s\n", r.Count, r.Reason)
		}
		return b.String()
	}
	for _, p := range x.Contrast.Parts {
		if p.Amount != 0 {
			fmt.Fprintf(&b, "value: %s\n", p.Text)
		}
	}
	for _, d := range x.Contrast.Differences {
		fmt.Fprintf(&b, "chance: %+.2f %s\n", d.LogOdds, d.Text)
	}
	for _, k := range x.Contrast.Changes {
		fmt.Fprintf(&b, "would have been chosen: %s\n", k.Text)
	}
	if x.Contrast.NoChange != "" {
		fmt.Fprintln(&b, x.Contrast.NoChange)
	}
	return b.String()
}

// shares routes a lead under many seeds and tells how often each was chosen.
func (s *stage) shares(id, times string) string {
	n, _ := strconv.Atoi(times)
	count, expected := map[record.PartnerID]int{}, map[record.PartnerID]float64{}
	var order []record.PartnerID
	for seed := range n {
		d, err := s.router.Route(s.leads[id], s.state, Request{Now: s.now, Seed: uint64(seed)}, nil)
		if err != nil {
			return err.Error()
		}
		count[d.Chosen]++
		for _, k := range d.Candidates {
			if expected[k.Partner] = k.Prob; seed == 0 {
				order = append(order, k.Partner)
			}
		}
	}
	out := ""
	for _, p := range order {
		out += fmt.Sprintf("%-8s probability %.4f, chosen %d times of %d\n", p, expected[p], count[p], n)
	}
	return out
}

// each calls f for the key=value words.
func each(arg []string, f func(key, value string, list []string)) {
	for _, a := range arg {
		if k, v, ok := strings.Cut(a, "="); ok {
			f(k, v, strings.Split(v, ","))
		}
	}
}

// until reads "from..to", either end open.
func until(v string) (s record.Span) {
	from, to, _ := strings.Cut(v, "..")
	s.From, _ = time.Parse(time.DateOnly, from)
	s.To, _ = time.Parse(time.DateOnly, to)
	return s
}

func readPartner(arg []string) *record.Partner {
	p := &record.Partner{ID: record.PartnerID(arg[0])}
	each(arg[1:], func(k, v string, list []string) {
		switch k {
		case "territories":
			p.Territories = list
		case "languages":
			p.Languages = list
		case "marketplaces":
			p.Marketplaces = list
		case "tier":
			p.Tier = v
		case "contract":
			p.Contract = until(v)
		case "status":
			p.Status = append(p.Status, record.StatusSpan{Status: v})
		case "away":
			p.Capacity.Absences = append(p.Capacity.Absences, until(v))
		case "days":
			for _, d := range list {
				p.Capacity.Weekdays = append(p.Capacity.Weekdays, time.Weekday(strings.Index("SunMonTueWedThuFriSat", d)/3))
			}
		case "zone":
			p.Capacity.Timezone = v
		case "capacity":
			n, period, _ := strings.Cut(v, "/")
			p.Capacity.Units, _ = strconv.Atoi(n)
			p.Capacity.Period = period
		case "certificate":
			name, span, _ := strings.Cut(v, ":")
			p.Certifications = append(p.Certifications, record.Certification{Name: name, Span: until(span)})
		case "products":
			for _, x := range list {
				name, level, _ := strings.Cut(x, ":")
				n, _ := strconv.Atoi(level)
				p.Competences = append(p.Competences, record.Competence{Product: name, Level: n})
			}
		}
	})
	return p
}

func readLead(arg []string) *record.Lead {
	l := &record.Lead{ID: record.LeadID(arg[0])}
	each(arg[1:], func(k, v string, list []string) {
		switch k {
		case "region":
			l.Place.Region = v
		case "language":
			l.Language = v
		case "marketplace":
			l.Marketplace = v
		case "industry":
			l.Industry = v
		case "products":
			l.Products = list
		case "account":
			l.Account = record.AccountID(v)
		case "value":
			n, _ := strconv.ParseInt(v, 10, 64)
			l.Value = record.Money{Amount: 100 * n, Currency: "EUR"}
		}
	})
	return l
}

func readEvent(arg []string) *record.Event {
	e := &record.Event{Type: record.EventType(arg[0])}
	each(arg[1:], func(k, v string, _ []string) {
		switch k {
		case "partner":
			e.Partner = record.PartnerID(v)
		case "lead":
			e.Lead = record.LeadID(v)
		case "account":
			e.Account = record.AccountID(v)
		case "other":
			e.Other = record.PartnerID(v)
		case "text":
			e.Text = v
		case "until":
			e.Until, _ = time.Parse(time.DateOnly, v)
		}
	})
	return e
}
