package features

import (
	"context"
	"iter"
	"time"

	"bellwether/datasets/record"
	"bellwether/models"

	"github.com/apache/arrow/go/v17/arrow"
)

type Attribute struct {
	Name string           `json:"name"`
	Kind record.ValueKind `json:"kind"`
	Pair bool             `json:"pair,omitempty"`
}
type Schema struct {
	LeadAttributes    []Attribute `json:"lead_attributes,omitempty"`
	PartnerAttributes []Attribute `json:"partner_attributes,omitempty"`
}
type SchemaBuilder struct{}

func (b *SchemaBuilder) Lead(l *record.Lead)       {}
func (b *SchemaBuilder) Partner(p *record.Partner) {}
func (b *SchemaBuilder) Schema() Schema            { return Schema{} }

type Options struct {
	Base     string             `json:"base,omitempty"`
	Currency map[string]float64 `json:"currency,omitempty"`
	LeadDays int                `json:"lead_days,omitempty"`
}
type Set struct{}

func NewSet(s Schema, o Options) *Set                                              { return &Set{} }
func (s *Set) Features() []Feature                                                 { return nil }
func (s *Set) Columns() []models.Column                                            { return nil }
func (s *Set) Column(name string) (int, bool)                                      { return 0, false }
func (s *Set) Fingerprint() string                                                 { return "" }
func (s *Set) Width() int                                                          { return 0 }
func (s *Set) Sides() (lead, partner, pair int)                                    { return 0, 0, 0 }
func (s *Set) Schema() Schema                                                      { return Schema{} }
func (s *Set) Options() Options                                                    { return Options{} }
func (s *Set) Prepare(v *LeadView, lead *record.Lead, st *State, now time.Time)    {}
func (s *Set) LeadRow(dst []float64, v *LeadView)                                  {}
func (s *Set) PartnerRow(dst []float64, p *PartnerState, st *State, now time.Time) {}
func (s *Set) PairRow(dst []float64, v *LeadView, p *PartnerState)                 {}
func (s *Set) Row(dst []float64, v *LeadView, p *PartnerState)                     {}

type LeadView struct{}
type PartnerState struct {
	ID      record.PartnerID
	Version uint64
}

func (p *PartnerState) Record() *record.Partner { return nil }

type State struct{}

func NewState(s *Set) *State                                { return &State{} }
func (st *State) PutPartner(p *record.Partner)              {}
func (st *State) PutLead(l *record.Lead)                    {}
func (st *State) Observe(e *record.Event)                   {}
func (st *State) Advance(now time.Time)                     {}
func (st *State) Now() time.Time                            { return time.Time{} }
func (st *State) Partner(id record.PartnerID) *PartnerState { return nil }
func (st *State) Partners() iter.Seq[*PartnerState]         { return nil }
func (st *State) MarshalBinary() ([]byte, error)            { return nil, nil }
func (st *State) UnmarshalBinary(b []byte) error            { return nil }

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
