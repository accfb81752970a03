package serving

import (
	"log/slog"
	"runtime"
	"time"

	"bellwether/models/registry"
	"bellwether/routing"
)

// Config is timing, limits and what the engine is given from outside. The zero
// Config is sensible.
type Config struct {
	Policy routing.Policy
	Clock  func() time.Time // nil: time.Now
	Logger *slog.Logger     // nil: none

	SweepEvery    time.Duration // looking for expired offers; 0 means 1 s
	PollEvery     time.Duration // looking for newly promoted models; 0 means 2 s
	CollectEvery  time.Duration // giving disk space back; 0 means 10 min
	SnapshotEvery time.Duration // 0 means 30 min
	SnapshotItems uint64        // log items after which a snapshot is taken early; 0 means 500,000
	StandingsFor  time.Duration // how old a standing may be when it is answered; 0 means 10 min

	Scorers   int           // decisions scored at the same time; 0 means one per core
	MaxEvents int           // events of one batch; 0 means 5,000
	MaxSkew   time.Duration // how far ahead of the engine's clock an event may have happened; 0 means 5 min

	// NewJudge makes what judges partners' health of a churn model; nil or a nil
	// artifact means there is none and Health answers Unavailable.
	NewJudge func(*registry.Artifact) (Judge, error)
}

func (c Config) withDefaults() Config {
	setDefault(&c.SweepEvery, time.Second)
	setDefault(&c.PollEvery, 2*time.Second)
	setDefault(&c.CollectEvery, 10*time.Minute)
	setDefault(&c.SnapshotEvery, 30*time.Minute)
	setDefault(&c.SnapshotItems, 500_000)
	setDefault(&c.StandingsFor, 10*time.Minute)
	setDefault(&c.Scorers, runtime.GOMAXPROCS(0))
	setDefault(&c.MaxEvents, 5_000)
	setDefault(&c.MaxSkew, 5*time.Minute)
	if c.Clock == nil {
		c.Clock = time.Now
	}
	if c.Logger == nil {
		c.Logger = slog.New(slog.DiscardHandler)
	}
	return c
}

func setDefault[T comparable](x *T, usual T) {
	var zero T
	if *x == zero {
		*x = usual
	}
}
