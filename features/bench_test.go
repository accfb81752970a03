package features

import (
	"context"
	"fmt"
	"runtime"
	"syscall"
	"testing"
	"time"

	"bellwether/datasets/record"
)

// BenchmarkReplay prints events a second and the most memory in use: for a log
// of 2 million events, for logs four and ten times as dense, and for logs as
// dense as the first and ten times as long, or as the second and four times as
// long: those must take no more memory than what they are compared with. The
// generator's own time is part of it and printed beside.
func BenchmarkReplay(b *testing.B) {
	HugePages() // as the command does
	for _, size := range []struct{ millions, days int }{{2, 720}, {8, 720}, {8, 2880}, {20, 7200}, {20, 720}} {
		w := world{partners: 10_000, events: size.millions * 1_000_000, days: size.days, seed: 1}
		b.Run(fmt.Sprintf("events=%dM/days=%d", size.millions, size.days), func(b *testing.B) {
			set := w.set()
			for b.Loop() {
				start := time.Now()
				_ = w.Events(context.Background(), func([]record.Event) error { return nil })
				generating := time.Since(start)
				runtime.GC()
				peak := watchHeap()
				start = time.Now()
				cpu := processorTime()
				_, stats, err := Replay(context.Background(), w, set, ReplayOptions{}, Sink{Offers: func(*Rows) error { return nil }, Months: func(*Rows) error { return nil }})
				if err != nil {
					b.Fatal(err)
				}
				took := time.Since(start)
				b.ReportMetric(float64(stats.Events)/(processorTime()-cpu).Seconds()/1e6, "Mevents/cpu-s")
				b.ReportMetric(float64(stats.Events)/took.Seconds()/1e6, "Mevents/s")
				b.ReportMetric(float64(stats.Events)/generating.Seconds()/1e6, "Mgenerated/s")
				b.ReportMetric(float64(peak())/1e6, "peak-MB")
				b.ReportMetric(float64(stats.Offers), "offer-rows")
				b.ReportMetric(float64(stats.Months), "month-rows")
			}
		})
	}
}

// processorTime is what all threads have used so far.
func processorTime() time.Duration {
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		panic(err)
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

// watchHeap samples the live heap until the returned function is called, which
// answers the largest.
func watchHeap() func() uint64 {
	stop, done := make(chan struct{}), make(chan uint64)
	go func() {
		most := uint64(0)
		var m runtime.MemStats
		for {
			select {
			case <-stop:
				done <- most
				return
			case <-time.After(100 * time.Millisecond):
				runtime.ReadMemStats(&m)
				most = max(most, m.Sys-m.HeapReleased)
			}
		}
	}()
	return func() uint64 { close(stop); return <-done }
}

func benchState(b *testing.B) (*State, []*PartnerState, *record.Lead) {
	w := world{partners: 500, events: 500_000, days: 500, seed: 2}
	st, _, err := Replay(context.Background(), w, w.set(), ReplayOptions{}, Sink{})
	if err != nil {
		b.Fatal(err)
	}
	return st, st.byID, w.lead(w.leads() - 1)
}

func BenchmarkRows(b *testing.B) {
	st, partners, lead := benchState(b)
	set, now := st.set, st.Now()
	var view LeadView
	dst := make([]float64, set.Width())
	set.Prepare(&view, lead, st, now)
	b.Run("prepare", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			set.Prepare(&view, lead, st, now)
		}
	})
	b.Run("lead", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			set.LeadRow(dst, &view)
		}
	})
	b.Run("partner", func(b *testing.B) {
		b.ReportAllocs()
		for i := 0; b.Loop(); i++ {
			set.PartnerRow(dst, partners[i%len(partners)], st, now)
		}
	})
	b.Run("pair", func(b *testing.B) {
		b.ReportAllocs()
		for i := 0; b.Loop(); i++ {
			set.PairRow(dst, &view, partners[i%len(partners)])
		}
	})
}

func BenchmarkMarshal(b *testing.B) {
	st, _, _ := benchState(b)
	var buf []byte
	b.Run("write", func(b *testing.B) {
		for b.Loop() {
			buf, _ = st.MarshalBinary()
		}
		b.ReportMetric(float64(len(buf))/500, "bytes/partner")
	})
	b.Run("read", func(b *testing.B) {
		for b.Loop() {
			if err := NewState(st.set).UnmarshalBinary(buf); err != nil {
				b.Fatal(err)
			}
		}
	})
}
