package datasets

import (
	"context"

	"bellwether/datasets/record"
)

// Dir is an open data directory.
type Dir struct{ path string }

// Open finds the record files of a data directory.
func Open(path string) (*Dir, error) { return &Dir{path: path}, nil }

// Partners reads every version of every partner, in file order.
func (d *Dir) Partners(ctx context.Context, o ReadOptions, f func(*record.Partner) error) (Counts, error) {
	return Counts{}, nil
}

// Leads reads the leads in file order.
func (d *Dir) Leads(ctx context.Context, o ReadOptions, f func(*record.Lead) error) (Counts, error) {
	return Counts{}, nil
}

// Events reads the events in (Known, file order) order, a batch at a time.
func (d *Dir) Events(ctx context.Context, o ReadOptions, f func(batch []record.Event) error) (Counts, error) {
	return Counts{}, nil
}

// Decisions reads the decisions in file order.
func (d *Dir) Decisions(ctx context.Context, o ReadOptions, f func(*record.Decision) error) (Counts, error) {
	return Counts{}, nil
}
