package main

import (
	"bufio"
	"bytes"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"bellwether/datasets"
	"bellwether/datasets/record"
	"bellwether/datasets/synth"
)

const (
	crashRuns    = "BELLWETHER_CRASH_RUNS" // how often the server is killed; 0 or not set: 3
	crashClients = 8
	auditEvery   = 10 // kills between two readings of the whole log; there is one at the end
)

// The program as people run it is killed under load, again and again on one
// store: what it acknowledged is there and unchanged, once, and no partner has
// more than its capacity.
func TestKillServer(t *testing.T) {
	if testing.Short() {
		t.Skip("builds the program and kills it again and again")
	}
	runs := 3
	if n, err := strconv.Atoi(os.Getenv(crashRuns)); err == nil && n > 0 {
		runs = n
	}
	c := newCrash(t)
	began := time.Now()
	checked, audited := 0, 0 // how much of c.asked is
	for run := range runs {
		if c.chance.IntN(4) == 0 || run == 0 {
			s := c.launch()
			time.Sleep(time.Duration(c.chance.IntN(150)) * time.Millisecond)
			s.kill() // while it loads or recovers, if it is not through
		}
		s := c.serve()
		c.check(s, c.asked[checked:])
		checked = len(c.asked)
		if run%auditEvery == auditEvery-1 {
			c.audit(s, c.asked[audited:])
			audited = checked
		}
		c.load(s, run, time.Duration(20+c.chance.IntN(600))*time.Millisecond)
	}
	s := c.serve()
	c.check(s, c.asked)
	log := c.audit(s, c.asked)
	s.kill()
	t.Logf("%d kills under load and %d while starting, in %s: %d decisions, %d accepts, %d declines, %d outcomes and %d partner changes acknowledged, %d leads sent again; %d decisions in the log, %d of them for nobody",
		runs, c.kills-runs-1, time.Since(began).Round(time.Second), len(c.decisions), c.count(record.OfferAccepted), c.count(record.OfferDeclined), len(c.outcomes), c.puts, c.resent,
		len(log.decisions), log.nobody)
	t.Logf("lost %d, changed %d, doubled %d, over capacity %d, other faults %d", c.faults["lost"], c.faults["changed"], c.faults["doubled"], c.faults["over capacity"], c.faults["other"])
	if len(c.decisions) < 5*runs || log.nobody == len(log.decisions) {
		t.Error("too little happened for this to mean anything")
	}
}

// crash is one store, the program on it, and what its callers were told.
type crash struct {
	t        *testing.T
	bin, dir string
	chance   *rand.Rand
	leads    []*record.Lead // new leads are made in their likeness
	partners int
	kills    int

	mu        sync.Mutex
	asked     []*question
	decisions map[record.DecisionID][sha256.Size]byte // what was answered, but for the status
	about     map[record.DecisionID]record.LeadID
	status    map[record.DecisionID]string           // when last looked at
	answers   map[record.DecisionID]record.EventType // acknowledged
	outcomes  map[string]record.DecisionID           // acknowledged, by event
	units     map[record.PartnerID]int               // acknowledged
	puts      int
	resent    int // questions that a kill left without an answer
	faults    map[string]int
}

// question is a lead as one client sent it.
type question struct {
	lead record.LeadID
	body []byte
	key  string
	own  bool              // nobody else sends the lead, so the key stands for one decision
	told record.DecisionID // empty: the server was killed before it answered
}

// crashWorld writes a world of partners with little capacity.
type crashWorld struct {
	*datasets.Writer
	c *crash
}

func (w crashWorld) Partner(p *record.Partner) error {
	q := *p
	n := len(q.ID) + int(q.ID[len(q.ID)-1])
	q.Capacity = record.Capacity{Units: 2 + n%4, Period: []string{"day", "week", "month"}[n%3]}
	return w.Writer.Partner(&q)
}

func (w crashWorld) Lead(l *record.Lead) error {
	q := *l
	w.c.leads = append(w.c.leads, &q)
	return w.Writer.Lead(l)
}

func newCrash(t *testing.T) *crash {
	t.Helper()
	c := &crash{t: t, dir: t.TempDir(), chance: rand.New(rand.NewPCG(5, 8)), partners: 40, decisions: map[record.DecisionID][sha256.Size]byte{},
		about: map[record.DecisionID]record.LeadID{}, status: map[record.DecisionID]string{}, answers: map[record.DecisionID]record.EventType{}, outcomes: map[string]record.DecisionID{},
		units: map[record.PartnerID]int{}, faults: map[string]int{}}
	c.bin = filepath.Join(c.dir, "bellwether")
	if out, err := exec.Command("go", "build", "-o", c.bin, ".").CombinedOutput(); err != nil {
		t.Fatalf("go build: %v\n%s", err, out)
	}
	// The world ends before any period that is counted now.
	now := time.Now().UTC()
	end := time.Date(now.Year(), now.Month(), 1, 0, 0, 0, 0, time.UTC).AddDate(0, 0, -7)
	w, err := datasets.Create(filepath.Join(c.dir, "world"), datasets.JSONLines)
	if err != nil {
		t.Fatal(err)
	}
	world := synth.New(synth.Config{Partners: c.partners, Leads: 200, Days: 90, Seed: 3, End: end})
	if err := errors.Join(world.Generate(t.Context(), crashWorld{w, c}), w.Close()); err != nil {
		t.Fatal(err)
	}
	// Snapshots often: being killed inside one is part of the test.
	config := "engine: {snapshot_items: 200, sweep_every: 20ms}\nstore: {min_free_mb: 96}\n"
	if err := os.WriteFile(filepath.Join(c.dir, "config.yaml"), []byte(config), 0o600); err != nil {
		t.Fatal(err)
	}
	return c
}

// fault counts what is wrong and tells of the first few of each kind.
func (c *crash) fault(kind, format string, args ...any) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.faultLocked(kind, format, args...)
}

// faultLocked is fault; the caller holds mu.
func (c *crash) faultLocked(kind, format string, args ...any) {
	c.t.Helper()
	if c.faults[kind]++; c.faults[kind] <= 5 {
		c.t.Errorf(kind+": "+format, args...)
	}
}

// lose counts a decision that was acknowledged and is not there, once.
func (c *crash) lose(id record.DecisionID, why string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	delete(c.decisions, id)
	delete(c.about, id)
	delete(c.answers, id)
	c.faultLocked("lost", "decision %s was acknowledged: %s", id, why)
}

func (c *crash) count(what record.EventType) (n int) {
	for _, is := range c.answers {
		if is == what {
			n++
		}
	}
	return n
}

// child is one process of the program.
type child struct {
	c      *crash
	cmd    *exec.Cmd
	out    io.Reader
	log    bytes.Buffer
	url    string
	client *http.Client
	killed atomic.Bool // set before it is killed
}

// launch starts the program on the store.
func (c *crash) launch() *child {
	c.t.Helper()
	in := func(name string) string { return filepath.Join(c.dir, name) }
	s := &child{c: c, client: &http.Client{Timeout: time.Minute, Transport: &http.Transport{MaxIdleConnsPerHost: 2 * crashClients}}}
	s.cmd = exec.Command(c.bin, "serve", "--store", in("store"), "--models", c.t.TempDir(), "--data", in("world"), "--config", in("config.yaml"), "--http", "127.0.0.1:0")
	s.cmd.Stderr = &s.log
	var err error
	if s.out, err = s.cmd.StdoutPipe(); err != nil {
		c.t.Fatal(err)
	}
	if err := s.cmd.Start(); err != nil {
		c.t.Fatal(err)
	}
	c.t.Cleanup(func() {
		if s.cmd.ProcessState == nil {
			s.kill()
		}
	})
	return s
}

// serve starts the program and waits until it says where it serves.
func (c *crash) serve() *child {
	c.t.Helper()
	s := c.launch()
	late := time.AfterFunc(time.Minute, func() { _ = s.cmd.Process.Kill() })
	line, err := bufio.NewReader(s.out).ReadString('\n')
	late.Stop()
	url, ok := strings.CutPrefix(strings.TrimSpace(line), "serving http://127.0.0.1:")
	if err != nil || !ok {
		s.kill()
		c.t.Fatalf("after %d kills the server says %q, not where it serves: %v; its log:\n%s", c.kills-1, line, err, &s.log)
	}
	s.url = "http://127.0.0.1:" + url
	return s
}

// kill kills the process and waits for its end.
func (s *child) kill() {
	s.c.t.Helper()
	s.killed.Store(true)
	_ = s.cmd.Process.Kill() // it is dead already, or dies now
	_ = s.cmd.Wait()         // it was killed
	s.client.CloseIdleConnections()
	s.c.kills++
	if s.cmd.ProcessState.Exited() {
		s.c.fault("other", "the server ended by itself: %v; its log:\n%s", s.cmd.ProcessState, &s.log)
	}
}

// call sends a request and reads the whole answer. Zero means that the server
// was killed before that.
func (s *child) call(method, path, key string, body []byte) (code int, answer []byte) {
	req, err := http.NewRequest(method, s.url+path, bytes.NewReader(body))
	if err != nil {
		s.c.fault("other", "%v", err)
		return 0, nil
	}
	req.Header.Set("Content-Type", "application/json")
	if key != "" {
		req.Header.Set("Idempotency-Key", key)
	}
	res, err := s.client.Do(req)
	if err == nil {
		answer, err = io.ReadAll(res.Body)
		res.Body.Close() // it was read to its end, or failed
	}
	if err != nil {
		if !s.killed.Load() {
			s.c.fault("other", "%s %s: %v", method, path, err)
		}
		return 0, nil
	}
	return res.StatusCode, answer
}

// answered is a decision as callers see it.
type answered struct {
	ID     record.DecisionID `json:"id"`
	Lead   record.LeadID     `json:"lead"`
	Chosen record.PartnerID  `json:"chosen"`
	Status string            `json:"status"`
}

// learn notes a decision that was acknowledged, and compares it to what was
// acknowledged before.
func (c *crash) learn(answer []byte) (d answered) {
	var all map[string]any
	if err := errors.Join(json.Unmarshal(answer, &d), json.Unmarshal(answer, &all)); err != nil || d.ID == "" {
		c.fault("other", "this is no decision (%v): %s", err, answer)
		return d
	}
	delete(all, "status") // what changes in its life
	b, _ := json.Marshal(all)
	sum := sha256.Sum256(b)
	c.mu.Lock()
	defer c.mu.Unlock()
	if old, known := c.decisions[d.ID]; known && old != sum {
		c.faultLocked("changed", "decision %s was told otherwise before: %s", d.ID, answer)
	}
	c.decisions[d.ID], c.about[d.ID], c.status[d.ID] = sum, d.Lead, d.Status
	return d
}

// route sends a lead; false means that the server was killed.
func (c *crash) route(s *child, q *question, key string) (answered, bool) {
	code, answer := s.call("POST", "/v1/route", key, q.body)
	if code == 0 {
		return answered{}, false
	}
	if code != http.StatusOK {
		c.fault("other", "routing lead %s: %d %s", q.lead, code, answer)
		return answered{}, false
	}
	d := c.learn(answer)
	if d.Lead != q.lead {
		c.fault("other", "lead %s was answered with a decision of lead %s", q.lead, d.Lead)
	}
	return d, true
}

// load serves clients until the server is killed.
func (c *crash) load(s *child, run int, after time.Duration) {
	var wg sync.WaitGroup
	now := time.Now().UTC().Truncate(time.Second)
	for client := range crashClients {
		wg.Go(func() { c.client(s, run, client, now) })
	}
	wg.Go(func() { c.grow(s) })
	time.Sleep(after)
	s.kill()
	wg.Wait()
}

// client routes leads, half of them another client's too, and does with each
// what chance says, until the server is killed.
func (c *crash) client(s *child, run, client int, now time.Time) {
	r := rand.New(rand.NewPCG(uint64(run), uint64(client)))
	for i := 0; ; i++ {
		name := fmt.Sprintf("r%d-%d-%d", run, client, i)
		own := i%2 == 1
		if !own {
			name = fmt.Sprintf("r%d-shared%d-%d", run, client/2, i)
		}
		like := c.leads[(7*run+i)%len(c.leads)]
		body, _ := json.Marshal(map[string]any{"lead": map[string]any{"id": name, "created_at": now.Format(time.RFC3339), "account": like.Account, "industry": like.Industry,
			"size_band": like.SizeBand, "place": map[string]string{"region": like.Place.Region}, "need": like.Need, "products": like.Products, "value": like.Value}})
		q := &question{lead: record.LeadID(name), body: body, key: fmt.Sprintf("k%d-%d-%d", run, client, i), own: own}
		c.mu.Lock()
		c.asked = append(c.asked, q)
		c.mu.Unlock()
		d, ok := c.route(s, q, q.key)
		if !ok {
			return
		}
		q.told = d.ID
		if !c.react(s, q, d, r.IntN(8)) {
			return
		}
	}
}

// react does something with a decision; false means that the server was killed.
func (c *crash) react(s *child, q *question, d answered, what int) bool {
	if d.Chosen == "" && what < 5 {
		return true
	}
	post := func(path, body string) (int, []byte) {
		code, answer := s.call("POST", path, "", []byte(body))
		switch code {
		case 0, http.StatusOK, http.StatusConflict, http.StatusPreconditionFailed: // another client was there first
		default:
			c.fault("other", "POST %s %s: %d %s", path, body, code, answer)
		}
		return code, answer
	}
	code := http.StatusOK
	var answer []byte
	var is record.EventType
	switch what {
	case 0, 1:
		is = record.OfferAccepted
		code, answer = post("/v1/decisions/"+string(d.ID)+":accept", "{}")
	case 2, 3:
		is = record.OfferDeclined
		code, answer = post("/v1/decisions/"+string(d.ID)+":decline", `{"reason":"no_capacity"}`)
	case 4:
		code, answer = post("/v1/outcomes", fmt.Sprintf(`{"decision":%q,"result":%q}`, d.ID, []string{"won", "lost"}[len(q.key)%2]))
		var out struct{ Event string }
		if code == http.StatusOK {
			if err := json.Unmarshal(answer, &out); err != nil || out.Event == "" {
				c.fault("other", "this is no outcome (%v): %s", err, answer)
			}
			c.mu.Lock()
			c.outcomes[out.Event] = d.ID
			c.mu.Unlock()
		}
	case 5:
		again, ok := c.route(s, q, q.key)
		if ok && q.own && again.ID != d.ID {
			c.fault("doubled", "lead %s under key %s was decided as %s and as %s", q.lead, q.key, d.ID, again.ID)
		}
		return ok
	}
	if is != "" && code == http.StatusOK {
		c.learn(answer)
		c.mu.Lock()
		c.answers[d.ID] = is
		c.mu.Unlock()
	}
	return code != 0
}

// grow gives one partner after the other more capacity, so that many but never
// all are full.
func (c *crash) grow(s *child) {
	code, answer := s.call("GET", "/v1/partners?page_size=500", "", nil)
	var page struct{ Partners []map[string]any }
	if code != http.StatusOK || json.Unmarshal(answer, &page) != nil {
		return
	}
	for i := 0; len(page.Partners) > 0; i++ {
		time.Sleep(4 * time.Millisecond)
		p := page.Partners[(i*7+c.puts)%len(page.Partners)]
		capacity := p["capacity"].(map[string]any)
		units := capacity["units"].(float64) + 6
		capacity["units"] = units
		delete(p, "known_at")
		id := p["id"].(string)
		body, _ := json.Marshal(p)
		code, answer := s.call("PUT", "/v1/partners/"+id, "", body)
		if code == 0 {
			return
		}
		if code != http.StatusOK {
			c.fault("other", "PUT partner %s: %d %s", id, code, answer)
			return
		}
		c.mu.Lock()
		c.units[record.PartnerID(id)] = int(units)
		c.puts++
		c.mu.Unlock()
	}
}

// inParallel calls f for each of a list.
func inParallel[T any](list []T, f func(T)) {
	var next atomic.Int64
	var wg sync.WaitGroup
	for range crashClients {
		wg.Go(func() {
			for i := next.Add(1) - 1; i < int64(len(list)); i = next.Add(1) - 1 {
				f(list[i])
			}
		})
	}
	wg.Wait()
}

// check asks a server that was started again for what was acknowledged to the
// askers, and sends again what was not.
func (c *crash) check(s *child, asked []*question) {
	c.t.Helper()
	about := map[record.LeadID]bool{}
	for _, q := range asked {
		about[q.lead] = true
		if q.told == "" {
			c.resent++
		}
	}
	inParallel(asked, func(q *question) {
		d, ok := c.route(s, q, q.key)
		switch {
		case !ok:
			c.fault("lost", "lead %s was not answered again", q.lead)
		case q.told == "":
			q.told = d.ID
		case q.own && q.told != d.ID:
			c.fault("doubled", "lead %s under key %s was decided as %s, and as %s after a restart", q.lead, q.key, q.told, d.ID)
		}
	})
	// What was looked at before is looked at again at the end.
	var ids []record.DecisionID
	for id, lead := range c.about {
		if about[lead] {
			ids = append(ids, id)
		}
	}
	inParallel(ids, func(id record.DecisionID) {
		code, answer := s.call("GET", "/v1/decisions/"+string(id), "", nil)
		if code != http.StatusOK {
			c.lose(id, fmt.Sprint(code, " ", string(answer)))
			return
		}
		c.learn(answer)
	})
}

// audit reads the whole log and holds it to what was acknowledged; the server
// has no other callers.
func (c *crash) audit(s *child, asked []*question) *crashLog {
	c.t.Helper()
	res, err := s.client.Get(s.url + "/v1/export")
	if err != nil {
		c.t.Fatal(err)
	}
	defer res.Body.Close()
	log := &crashLog{c: c, capacity: map[record.PartnerID]record.Capacity{}, load: map[string]int{}, counted: map[record.DecisionID]string{},
		decisions: map[record.DecisionID]*record.Decision{}, after: map[record.DecisionID]record.DecisionID{}, newest: map[record.LeadID]record.DecisionID{},
		offers: map[record.DecisionID][]record.EventType{}, outcomes: map[string]bool{}}
	if err := copyRecords(res.Body, log, func(int64, int64) {}); err != nil {
		c.t.Fatal(err)
	}
	if len(log.capacity) != c.partners || log.leads < len(c.leads) {
		c.fault("lost", "%d partners and %d leads are left of %d and %d", len(log.capacity), log.leads, c.partners, len(c.leads))
	}
	for id, units := range c.units {
		if got := log.capacity[id].Units; got < units {
			c.fault("lost", "partner %s has %d units, %d were acknowledged", id, got, units)
		}
	}
	for id := range c.decisions {
		if log.decisions[id] == nil {
			c.lose(id, "it is not in the log")
		}
	}
	for id, is := range c.answers {
		if !slices.Contains(log.offers[id], is) || (is == record.OfferDeclined && log.after[id] == "") {
			c.fault("lost", "%s of decision %s was acknowledged; the log has %v, and next %q", is, id, log.offers[id], log.after[id])
			delete(c.answers, id)
		}
	}
	for id, decision := range c.outcomes {
		if !log.outcomes[id] {
			c.fault("lost", "outcome %s of decision %s was acknowledged and is not in the log", id, decision)
			delete(c.outcomes, id)
		}
	}
	inParallel(asked, func(q *question) {
		if d, ok := c.route(s, q, ""); !ok || d.ID != log.newest[q.lead] {
			c.fault("doubled", "lead %s is answered with %s, the newest of its chain is %s", q.lead, d.ID, log.newest[q.lead])
		}
	})
	for _, q := range asked {
		if is, want := c.status[q.told], log.status(q.told); is != want {
			c.fault("changed", "decision %s is %s, its log says %s", q.told, is, want)
		}
	}
	return log
}

// crashLog takes an export, in log order, and finds what must not be in it. The
// synthetic past says nothing of the decisions here.
type crashLog struct {
	c         *crash
	leads     int
	nobody    int
	capacity  map[record.PartnerID]record.Capacity // in force
	load      map[string]int                       // offers that count, by partner and period
	counted   map[record.DecisionID]string         // where in load its offer counts
	decisions map[record.DecisionID]*record.Decision
	after     map[record.DecisionID]record.DecisionID
	newest    map[record.LeadID]record.DecisionID // of the lead's chain
	offers    map[record.DecisionID][]record.EventType
	outcomes  map[string]bool
}

func (l *crashLog) Partner(p *record.Partner) error {
	l.capacity[p.ID] = p.Capacity
	return nil
}

func (l *crashLog) Lead(*record.Lead) error {
	l.leads++
	return nil
}

func (l *crashLog) Decision(d *record.Decision) error {
	switch {
	case l.decisions[d.ID] != nil:
		l.c.fault("doubled", "decision %s is in the log twice", d.ID)
	case d.Previous != l.newest[d.Lead]:
		l.c.fault("doubled", "decision %s of lead %s follows %q, the newest is %q", d.ID, d.Lead, d.Previous, l.newest[d.Lead])
	}
	if d.Previous != "" {
		l.after[d.Previous] = d.ID
	}
	l.newest[d.Lead] = d.ID
	l.decisions[d.ID] = &record.Decision{Lead: d.Lead, Chosen: d.Chosen}
	if d.Chosen == "" {
		l.nobody++
	}
	return nil
}

func (l *crashLog) Event(e *record.Event) error {
	d := l.decisions[e.Decision]
	if d == nil {
		return nil
	}
	switch e.Type {
	case record.OfferMade:
		if len(l.offers[e.Decision]) > 0 || e.Partner != d.Chosen {
			l.c.fault("doubled", "decision %s chose %q; %s was offered its lead after %v", e.Decision, d.Chosen, e.Partner, l.offers[e.Decision])
		}
		key := string(e.Partner) + " in " + l.period(e)
		l.counted[e.Decision] = key
		if l.load[key]++; l.load[key] > l.capacity[e.Partner].Units {
			l.c.fault("over capacity", "%s has %d leads of %d", key, l.load[key], l.capacity[e.Partner].Units)
		}
	case record.OfferDeclined, record.OfferExpired, record.OfferWithdrawn, record.OfferSuperseded:
		l.load[l.counted[e.Decision]]--
		delete(l.counted, e.Decision)
	case record.DealWon, record.DealLost:
		l.outcomes[string(e.ID)] = true
		return nil
	case record.OfferAccepted:
	default:
		return nil
	}
	l.offers[e.Decision] = append(l.offers[e.Decision], e.Type)
	return nil
}

// period names the calendar period, UTC, that an offer counts in.
func (l *crashLog) period(e *record.Event) string {
	at := e.At.UTC()
	switch l.capacity[e.Partner].Period {
	case "day":
		return at.Format(time.DateOnly)
	case "month":
		return at.Format("2006-01")
	}
	year, week := at.ISOWeek()
	return fmt.Sprintf("%d week %d", year, week)
}

// status is what a decision's offer is after all that the log says of it.
func (l *crashLog) status(id record.DecisionID) string {
	events := l.offers[id]
	if len(events) == 0 {
		return "none"
	}
	return map[record.EventType]string{record.OfferMade: "offered", record.OfferAccepted: "accepted", record.OfferDeclined: "declined",
		record.OfferExpired: "expired", record.OfferWithdrawn: "withdrawn"}[events[len(events)-1]]
}
