package gateway

import (
	"bellwether/serving"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
)

// metrics are what Prometheus may ask for; none holds a lead, a partner or a
// person.
type metrics struct {
	registry *prometheus.Registry
	calls    *prometheus.HistogramVec
	refused  *prometheus.CounterVec
}

func newMetrics(engine *serving.Engine) *metrics {
	m := &metrics{
		registry: prometheus.NewRegistry(),
		calls: prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Name: "bellwether_call_seconds", Help: "Time of each call by method and outcome.",
			Buckets: []float64{.0005, .001, .002, .005, .01, .02, .05, .1, .2, .5, 1, 2, 5, 10},
		}, []string{"method", "kind"}),
		refused: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "bellwether_refused_total", Help: "Calls refused before any work: no key, an unknown key, too many.",
		}, []string{"edge", "kind"}),
	}
	gauge := func(name, help string, value func(serving.Status) float64) prometheus.Collector {
		return prometheus.NewGaugeFunc(prometheus.GaugeOpts{Name: name, Help: help}, func() float64 { return value(engine.Status()) })
	}
	m.registry.MustRegister(m.calls, m.refused, collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}),
		gauge("bellwether_log_position", "Next position of the log.", func(s serving.Status) float64 { return float64(s.Position) }),
		gauge("bellwether_log_unsynced", "Log items not yet on disk.", func(s serving.Status) float64 { return float64(s.Position - s.Synced) }),
		gauge("bellwether_partners", "Partners in the book.", func(s serving.Status) float64 { return float64(s.Partners) }),
		gauge("bellwether_open_offers", "Offers that wait for an answer.", func(s serving.Status) float64 { return float64(s.Open) }),
		gauge("bellwether_degraded", "1 when routing runs without a win model.", func(s serving.Status) float64 {
			if s.Degraded {
				return 1
			}
			return 0
		}),
	)
	return m
}
