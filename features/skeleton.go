package features

import (
	"context"
	"time"

	"bellwether/datasets/record"
	"bellwether/models"

	"github.com/apache/arrow/go/v17/arrow"
)

func (st *State) MarshalBinary() ([]byte, error) { return nil, nil }
func (st *State) UnmarshalBinary(b []byte) error { return nil }

type Source interface {
	Partners(ctx context.Context, f func(*record.Partner) error) error
	Leads(ctx context.Context, f func(*record.Lead) error) error
	Events(ctx context.Context, f func(batch []record.Event) error) error
}
type ReplayOptions struct {
	Workers  int
	Until    time.Time
	Progress func(events int64)
}
type Key struct {
	Lead    record.LeadID
	Partner record.PartnerID
	Event   record.EventID
	At      time.Time
	Attempt int
}
type Rows struct {
	Keys  []Key
	X     []float64
	Width int
}

func (r *Rows) Record(columns []models.Column) arrow.Record { return nil }

type Sink struct {
	Offers func(*Rows) error
	Months func(*Rows) error
}
type Stats struct {
	Events, Repeats, Offers, Months, LateOffers, NoLead int64
	From, To                                            time.Time
}

func Replay(ctx context.Context, src Source, set *Set, opt ReplayOptions, sink Sink) (*State, Stats, error) {
	return nil, Stats{}, nil
}
