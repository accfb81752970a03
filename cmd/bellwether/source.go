package main

import (
	"context"
	"fmt"
	"io"
	"path/filepath"
	"slices"

	"bellwether/datasets"
	"bellwether/datasets/record"
	"bellwether/features"
)

// dirSource is a data directory as the features read it.
type dirSource struct {
	dir    *datasets.Dir
	show   func(done, total int64)
	notice *notices
}

// notices tell people once about the rows of each noun that were set aside or
// stood there twice.
type notices struct {
	out  io.Writer
	said map[string]bool
}

func (n *notices) tell(noun string, c datasets.Counts, dir *datasets.Dir) {
	if c.Repeats > 0 && !n.said[noun+" twice"] {
		n.said[noun+" twice"] = true
		fmt.Fprintf(n.out, "%s: %d of %d rows repeat another and count once\n", noun, c.Repeats, c.In)
	}
	if c.Quarantined > 0 && !n.said[noun] {
		n.said[noun] = true
		fmt.Fprintf(n.out, "%s: %d rows in = %d kept + %d quarantined; what was set aside, and why: %s\n", noun, c.In, c.Kept, c.Quarantined,
			filepath.Join(dir.Path(), "quarantine.jsonl"))
	}
}

func (d dirSource) options() datasets.ReadOptions { return datasets.ReadOptions{Progress: d.show} }

// Partners calls f with every version of every partner.
func (d dirSource) Partners(ctx context.Context, f func(*record.Partner) error) error {
	c, err := d.dir.Partners(ctx, d.options(), f)
	return d.read("partners", c, err)
}

// Leads calls f with every lead, in the order of their creation. Leads that do
// not stand in that order are sorted in memory.
func (d dirSource) Leads(ctx context.Context, f func(*record.Lead) error) error {
	ordered, err := d.dir.LeadsInOrder(ctx, d.options())
	if err != nil {
		return err
	}
	if ordered {
		c, err := d.dir.Leads(ctx, d.options(), f)
		return d.read("leads", c, err)
	}
	var leads []*record.Lead
	c, err := d.dir.Leads(ctx, d.options(), func(l *record.Lead) error { leads = append(leads, l); return nil })
	if err = d.read("leads", c, err); err != nil {
		return err
	}
	slices.SortStableFunc(leads, func(a, b *record.Lead) int { return a.CreatedAt.Compare(b.CreatedAt) })
	for _, l := range leads {
		if err := f(l); err != nil {
			return err
		}
	}
	return nil
}

// Events calls f with every event, in the order in which they became known.
func (d dirSource) Events(ctx context.Context, f func([]record.Event) error) error {
	c, err := d.dir.Events(ctx, d.options(), f)
	return d.read("events", c, err)
}

// read tells of the rows set aside by a reading that came to its end.
func (d dirSource) read(noun string, c datasets.Counts, err error) error {
	if err == nil {
		d.notice.tell(noun, c, d.dir)
	}
	return err
}

// openData opens a data directory for reading with a progress bar.
func openData(s *streams, path string) (dirSource, error) {
	if path == "" {
		return dirSource{}, usageError{fmt.Errorf("--data is needed: a directory as 'bellwether import' or 'bellwether synth' make it")}
	}
	dir, err := datasets.Open(path)
	return dirSource{dir, newProgress(s, "reading "+path), &notices{out: s.Err, said: map[string]bool{}}}, err
}

// readSchema finds out which attributes the records hold.
func readSchema(ctx context.Context, src features.Source) (features.Schema, error) {
	var b features.SchemaBuilder
	err := src.Partners(ctx, func(p *record.Partner) error { b.Partner(p); return nil })
	if err == nil {
		err = src.Leads(ctx, func(l *record.Lead) error { b.Lead(l); return nil })
	}
	return b.Schema(), err
}

// noEvents refuses data in which nothing ever happened.
func noEvents(op string, stats features.Stats) error {
	if stats.Events > 0 {
		return nil
	}
	return record.Errorf(record.Invalid, op, "there are no events in the data: what partners did and what came of leads, events*.parquet, .jsonl or .arrow; see docs/data.md")
}
