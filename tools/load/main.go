// Command load measures a real server under load, in Go benchmark format: leads
// a second from callers that wait for each answer (closed loop), and latencies at
// a given rate whatever the server does (open loop, so that a slow answer does not
// hide the ones behind it).
//
//	bellwether synth --out world --partners 5000 --leads 60000 --format jsonl
//	bellwether train win --data world --models models
//	cd tools && go run ./load -bin ../bellwether -data world -models models
//
// Capacity and contracts are switched off, so that the number of eligible
// partners does not fall while leads are given away. It starts the server on a
// store of its own, which is removed afterwards.
package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"log"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	vegeta "github.com/tsenart/vegeta/v12/lib"
)

const policy = "policy: {rules: {off: [capacity, contract]}}\n"

var (
	bin      = flag.String("bin", "bellwether", "the program")
	data     = flag.String("data", "world", "data directory of JSON lines")
	models   = flag.String("models", "models", "directory of published models")
	workers  = flag.Uint64("workers", 16, "callers of the closed loop")
	rates    = flag.String("rates", "150", "leads a second of the open loops, separated by commas")
	many     = flag.String("many", "20", "the same for leads that every partner may have")
	duration = flag.Duration("for", 15*time.Second, "how long each loop runs")
	eligible = flag.Int("eligible", 500, "eligible partners wanted, give or take a fifth")
)

func main() {
	flag.Parse()
	log.SetFlags(0)
	if err := run(); err != nil {
		log.Fatal("load: ", err)
	}
}

func run() error {
	dir, err := os.MkdirTemp("", "load")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	s, err := start(dir)
	if err != nil {
		return err
	}
	defer s.stop()
	some, n, err := s.leads(func(n int) bool { return 5*n > 4**eligible && 5*n < 6**eligible }, nil)
	if err != nil {
		return err
	}
	all, m, err := s.leads(func(int) bool { return true }, []string{"place", "products", "language", "marketplace"})
	if err != nil {
		return err
	}
	name := fmt.Sprintf("Serve/eligible=%d", n)
	s.attack(name+"/closed", some, nil)
	for _, rate := range strings.Split(*rates, ",") {
		s.attack(name+"/open="+rate, some, pace(rate))
	}
	for _, rate := range strings.Split(*many, ",") {
		s.attack(fmt.Sprintf("Serve/eligible=%d/open=%s", m, rate), all, pace(rate))
	}
	s.attack("Serve/floor/closed", []lead{some[0]}, nil)
	s.memory()
	return nil
}

type lead map[string]any

// server is a running program.
type server struct {
	url  string
	cmd  *exec.Cmd
	next int
}

func start(dir string) (*server, error) {
	config := filepath.Join(dir, "policy.yaml")
	if err := os.WriteFile(config, []byte(policy), 0o600); err != nil {
		return nil, err
	}
	const addr = "127.0.0.1:18099"
	s := &server{url: "http://" + addr, cmd: exec.Command(*bin, "serve", "--store", filepath.Join(dir, "store"),
		"--models", *models, "--data", *data, "--config", config, "--http", addr)}
	s.cmd.Stdout, s.cmd.Stderr = io.Discard, io.Discard
	began := time.Now()
	if err := s.cmd.Start(); err != nil {
		return nil, err
	}
	for time.Since(began) < 10*time.Minute {
		if r, err := http.Get(s.url + "/readyz"); err == nil {
			r.Body.Close()
			if r.StatusCode == http.StatusOK {
				log.Printf("loaded and ready after %v", time.Since(began).Round(time.Millisecond))
				s.settle()
				return s, nil
			}
		}
		time.Sleep(100 * time.Millisecond)
	}
	s.stop()
	return nil, errors.New("the server did not become ready")
}

// settle waits until the server has done what it does after a start, judging
// every partner's health for one: the first three seconds it hardly works in.
func (s *server) settle() {
	for calm := 0; calm < 3; calm++ {
		was := s.cpu()
		time.Sleep(time.Second)
		if s.cpu()-was > 50*time.Millisecond {
			calm = -1
		}
	}
}

func (s *server) stop() {
	s.cmd.Process.Signal(syscall.SIGTERM)
	s.cmd.Wait()
}

// leads picks leads by how many partners may have them, without the fields
// dropped; it returns the mean of that number.
func (s *server) leads(want func(eligible int) bool, drop []string) ([]lead, int, error) {
	const enough = 200
	b, err := os.ReadFile(filepath.Join(*data, "leads.jsonl"))
	if err != nil {
		return nil, 0, err
	}
	var out []lead
	sum, lines := 0, bytes.Split(bytes.TrimSpace(b), []byte("\n"))
	for i := len(lines) - 1; i >= 0 && len(out) < enough; i -= 7 {
		var l lead
		if err := json.Unmarshal(lines[i], &l); err != nil {
			return nil, 0, err
		}
		for _, field := range append(drop, "created_at", "known_at") {
			delete(l, field)
		}
		if place, ok := l["place"].(map[string]any); ok {
			delete(place, "located")
		}
		n, err := s.preview(l)
		if err != nil {
			return nil, 0, err
		}
		if want(n) {
			out, sum = append(out, l), sum+n
		}
	}
	if len(out) == 0 {
		return nil, 0, errors.New("no lead has so many eligible partners")
	}
	return out, sum / len(out), nil
}

func (s *server) preview(l lead) (eligible int, err error) {
	body, err := json.Marshal(map[string]any{"lead": l})
	if err != nil {
		return 0, err
	}
	r, err := http.Post(s.url+"/v1/route:preview", "application/json", bytes.NewReader(body))
	if err != nil {
		return 0, err
	}
	defer r.Body.Close()
	var d struct {
		Eligible int
		Detail   string
	}
	if err := json.NewDecoder(r.Body).Decode(&d); err != nil || r.StatusCode != http.StatusOK {
		return 0, fmt.Errorf("preview: %s %s %v", r.Status, d.Detail, err)
	}
	return d.Eligible, nil
}

func pace(rate string) *vegeta.Rate {
	var perSecond int
	fmt.Sscan(rate, &perSecond)
	return &vegeta.Rate{Freq: perSecond, Per: time.Second}
}

// attack asks for one lead after another, each under an id of its own unless
// there is but one; rate nil lets the callers wait for each answer.
func (s *server) attack(name string, leads []lead, rate *vegeta.Rate) {
	targets := func(t *vegeta.Target) error {
		s.next++
		l := lead{}
		for k, v := range leads[s.next%len(leads)] {
			l[k] = v
		}
		if len(leads) > 1 {
			l["id"] = fmt.Sprint("load-", s.next)
		}
		body, err := json.Marshal(map[string]any{"lead": l})
		t.Method, t.URL, t.Body = http.MethodPost, s.url+"/v1/route", body
		t.Header = http.Header{"Content-Type": {"application/json"}}
		return err
	}
	attacker := vegeta.NewAttacker(vegeta.Workers(*workers), vegeta.MaxWorkers(1000))
	if rate == nil {
		attacker, rate = vegeta.NewAttacker(vegeta.Workers(*workers), vegeta.MaxWorkers(*workers)), &vegeta.Rate{}
	}
	var m vegeta.Metrics
	cpu := s.cpu()
	for r := range attacker.Attack(targets, *rate, *duration, name) {
		m.Add(r)
	}
	m.Close()
	ms := func(d time.Duration) float64 { return d.Seconds() * 1e3 }
	fmt.Printf("Benchmark%s %d %.0f ns/op %.1f leads/s %.2f p50-ms %.2f p99-ms %.2f max-ms %.0f cpu-us/lead %.4f success\n", name, m.Requests,
		float64(m.Latencies.Mean), m.Throughput, ms(m.Latencies.P50), ms(m.Latencies.P99), ms(m.Latencies.Max),
		float64((s.cpu()-cpu).Microseconds())/float64(m.Requests), m.Success)
	for _, e := range m.Errors {
		log.Print(name, ": ", e)
	}
}

// stat reads one of the server's files of the proc file system.
func (s *server) stat(name string) string {
	b, err := os.ReadFile(fmt.Sprintf("/proc/%d/%s", s.cmd.Process.Pid, name))
	if err != nil {
		return ""
	}
	return string(b)
}

// cpu is the processor time the server has used, 0 where the system does not tell.
func (s *server) cpu() time.Duration {
	_, rest, _ := strings.Cut(s.stat("stat"), ") ")
	f := strings.Fields(rest)
	if len(f) < 13 {
		return 0
	}
	var user, system int64
	fmt.Sscan(f[11], &user)
	fmt.Sscan(f[12], &system)
	const perSecond = 100 // USER_HZ
	return time.Duration(user+system) * time.Second / perSecond
}

func (s *server) memory() {
	for line := range strings.Lines(s.stat("status")) {
		if kB, ok := strings.CutPrefix(line, "VmRSS:"); ok {
			log.Printf("memory of the server: %s", strings.TrimSpace(kB))
		}
	}
}
