package serving

import (
	"fmt"
	"math/rand/v2"
	"runtime"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"bellwether/datasets/record"
	"bellwether/features"
	"bellwether/models"
	"bellwether/models/calibrate"
	"bellwether/models/gbdt"
	"bellwether/models/registry"
	"bellwether/models/trial"
	"bellwether/serving/store"
)

// boosted is a gradient boosted model of production size, fitted on noise.
func boosted(b *testing.B, columns []models.Column) []byte {
	b.Helper()
	r := rand.New(rand.NewPCG(1, 1))
	const n = 4000
	t := &models.Table{Columns: columns, X: make([][]float64, len(columns)), Y: make([]float64, n)}
	for j := range t.X {
		t.X[j] = make([]float64, n)
		for i := range t.X[j] {
			t.X[j][i] = r.NormFloat64()
		}
	}
	for i := range t.Y {
		t.Y[i] = float64(r.IntN(2))
	}
	m, err := gbdt.Learner{Trees: 300, Leaves: 31}.Fit(ctx, t, nil, 1)
	if err != nil {
		b.Fatal(err)
	}
	raw := make([]float64, n)
	if err := m.Predict(raw, t); err != nil {
		b.Fatal(err)
	}
	c, err := calibrate.Fit(calibrate.VennAbers, raw, t.Y, nil)
	if err != nil {
		b.Fatal(err)
	}
	out, err := (&trial.Predictor{Columns: columns, Learner: "gbdt", Model: m, Calibrator: c}).MarshalBinary()
	if err != nil {
		b.Fatal(err)
	}
	return out
}

// history is partners, spread over regions so that each lead finds so many
// eligible, with a year of events for each.
func history(partners, eligible, events int) *source {
	r := rand.New(rand.NewPCG(3, 3))
	src := &source{}
	regions := partners / eligible
	from := time.Date(2025, 12, 1, 0, 0, 0, 0, time.UTC)
	for i := range partners {
		src.partners = append(src.partners, record.Partner{ID: record.PartnerID(fmt.Sprintf("partner-%05d", i)), Kind: "reseller", Tier: []string{"gold", "silver"}[i%2],
			Territories: []string{fmt.Sprint("R", i%regions)}, Industries: []string{"retail"}, KnownAt: from, JoinedAt: from,
			Capacity: record.Capacity{Units: 1_000_000, Period: "week"}})
	}
	types := []record.EventType{record.PortalLogin, record.OfferMade, record.DealWon, record.DealLost, record.Message, record.OrderPlaced}
	for i := range partners * events {
		e := record.Event{ID: record.EventID(fmt.Sprint("e", i)), Type: types[r.IntN(len(types))], Partner: src.partners[r.IntN(partners)].ID,
			At: from.Add(time.Duration(i) * 90 * 24 * time.Hour / time.Duration(partners*events))}
		if e.Type == record.OfferMade || e.Type == record.DealWon || e.Type == record.DealLost {
			e.Lead = record.LeadID(fmt.Sprint("old", r.IntN(partners)))
		}
		src.events = append(src.events, e)
	}
	return src
}

// BenchmarkRoute decides leads from 16 callers, each decision synced to disk.
func BenchmarkRoute(b *testing.B) {
	for _, c := range []struct {
		partners, eligible int
		model              bool
	}{{5000, 500, false}, {5000, 500, true}, {5000, 5000, true}} {
		b.Run(fmt.Sprintf("partners=%d/eligible=%d/models=%v", c.partners, c.eligible, c.model), func(b *testing.B) {
			st, err := store.Open(b.TempDir(), store.Options{MinFree: 1})
			if err != nil {
				b.Fatal(err)
			}
			defer st.Close()
			if _, err := Load(ctx, st, history(c.partners, c.eligible, 20), nil); err != nil {
				b.Fatal(err)
			}
			dir := b.TempDir()
			if c.model {
				set := features.NewSet(features.Schema{}, features.Options{})
				bytes := boosted(b, set.Columns())
				v := publish(b, dir, winName, features.Schema{}, 1, func(f map[string][]byte) { f[winFile], f[acceptFile] = bytes, bytes })
				reg, err := registry.Open(dir)
				if err != nil {
					b.Fatal(err)
				}
				if _, err := reg.Promote(winName, number(v)); err != nil {
					b.Fatal(err)
				}
			}
			e := start(b, st, Config{PollEvery: time.Hour}, dir)
			defer e.Close()
			routeAll(b, e, c.partners/c.eligible)
		})
	}
}

func routeAll(b *testing.B, e *Engine, regions int) {
	const callers = 16
	var next atomic.Int64
	var wg sync.WaitGroup
	cpu := processorTime()
	b.ResetTimer()
	for range callers {
		wg.Go(func() {
			for {
				i := next.Add(1)
				if i > int64(b.N) {
					return
				}
				l := lead(fmt.Sprint("bench", i))
				l.Place.Region = fmt.Sprint("R", int(i)%regions)
				r, err := e.Route(ctx, l, RouteOptions{})
				if err != nil || r.Decision.Chosen == "" {
					b.Errorf("%+v, %v", r, err)
					return
				}
			}
		})
	}
	wg.Wait()
	b.StopTimer()
	b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "leads/s")
	b.ReportMetric((processorTime()-cpu).Seconds()*1e6/float64(b.N), "cpu-us/lead")
}

// processorTime is what all threads have used so far: on a busy machine it says
// more than the clock.
func processorTime() time.Duration {
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		panic(err)
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

// BenchmarkStart opens a store of 10,000 partners and 1,000,000 events: from
// the log, and from the snapshot that closing took.
func BenchmarkStart(b *testing.B) {
	dir, models := b.TempDir(), b.TempDir()
	st, err := store.Open(dir, store.Options{MinFree: 1})
	if err != nil {
		b.Fatal(err)
	}
	began := time.Now()
	src := history(10_000, 1_000, 100)
	made := time.Now()
	if _, err := Load(ctx, st, src, nil); err != nil {
		b.Fatal(err)
	}
	b.Logf("loading 1,000,000 events took %v (%v to make them)", time.Since(made), made.Sub(began))
	if err := st.Close(); err != nil {
		b.Fatal(err)
	}
	src = nil
	for _, from := range []string{"log", "snapshot"} {
		b.Run("from="+from, func(b *testing.B) {
			for b.Loop() {
				st, err := store.Open(dir, store.Options{MinFree: 1})
				if err != nil {
					b.Fatal(err)
				}
				e := start(b, st, Config{PollEvery: time.Hour}, models)
				b.StopTimer()
				var m runtime.MemStats
				runtime.GC()
				runtime.ReadMemStats(&m)
				b.ReportMetric(float64(m.HeapAlloc)/10_000, "B/partner")
				if from == "snapshot" {
					err = e.Close()
				} else {
					// Without Close there is no snapshot.
					e.tasks.stopWriters()
					e.tasks.writers.Wait()
					e.tasks.stopCommitter()
					e.tasks.committer.Wait()
					began := time.Now()
					err = e.saveSnapshot(ctx)
					b.Logf("a snapshot took %v", time.Since(began))
				}
				if err != nil {
					b.Fatal(err)
				}
				if err := st.Close(); err != nil {
					b.Fatal(err)
				}
				b.StartTimer()
			}
		})
	}
}
