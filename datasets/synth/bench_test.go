package synth

import (
	"context"
	"testing"

	"bellwether/datasets/record"
)

type deaf struct{ events, leads int }

func (d *deaf) Partner(*record.Partner) error   { return nil }
func (d *deaf) Lead(*record.Lead) error         { d.leads++; return nil }
func (d *deaf) Event(*record.Event) error       { d.events++; return nil }
func (d *deaf) Decision(*record.Decision) error { return nil }

// BenchmarkGenerate lives a world of usual size without writing it.
func BenchmarkGenerate(b *testing.B) {
	for _, size := range []struct {
		name string
		cfg  Config
	}{{"200x20000", Config{}}, {"2000x100000", Config{Partners: 2000, Leads: 100_000, Days: 360}}} {
		b.Run(size.name, func(b *testing.B) {
			b.ReportAllocs()
			sink := &deaf{}
			for b.Loop() {
				if err := New(size.cfg).Generate(context.Background(), sink); err != nil {
					b.Fatal(err)
				}
			}
			b.ReportMetric(float64(sink.events)/b.Elapsed().Seconds(), "events/s")
		})
	}
}
