package serving

import (
	"log/slog"
	"runtime"
	"time"

	"bellwether/routing"
)

// Config is timing, limits and what the engine is given from outside. The zero
// Config is sensible.
type Config struct {
	Policy routing.Policy   `yaml:"-"`
	Clock  func() time.Time `yaml:"-"` // nil: time.Now
	Logger *slog.Logger     `yaml:"-"` // nil: none

	SweepEvery    time.Duration `yaml:"sweep_every"`    // looking for expired offers; 0 means 1 s
	PollEvery     time.Duration `yaml:"poll_every"`     // looking for newly promoted models; 0 means 2 s
	CollectEvery  time.Duration `yaml:"collect_every"`  // giving disk space back; 0 means 10 min
	SnapshotEvery time.Duration `yaml:"snapshot_every"` // 0 means 30 min
	SnapshotItems uint64        `yaml:"snapshot_items"` // log items after which a snapshot is taken early; 0 means 500,000

	Scorers   int           `yaml:"scorers"`    // decisions scored at the same time; 0 means one per core
	MaxEvents int           `yaml:"max_events"` // events of one batch; 0 means 5,000
	MaxSkew   time.Duration `yaml:"max_skew"`   // between the engine's clock and a caller's: how far in the future a lead or event, and how long before its decision an outcome may be; 0 means 5 min
}

func (c Config) withDefaults() Config {
	setDefault(&c.SweepEvery, time.Second)
	setDefault(&c.PollEvery, 2*time.Second)
	setDefault(&c.CollectEvery, 10*time.Minute)
	setDefault(&c.SnapshotEvery, 30*time.Minute)
	setDefault(&c.SnapshotItems, 500_000)
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
