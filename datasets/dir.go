package datasets

import (
	"cmp"
	"context"
	"encoding/binary"
	"encoding/json"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"bellwether/datasets/record"
)

// Dir is an open data directory. Its methods are for one goroutine at a time.
type Dir struct {
	path     string
	manifest *Manifest
	files    map[string][]*file // by noun
	seen     map[string]*sighting
}

var nouns = []string{"partners", "leads", "events", "decisions"}

// Open finds the record files of a data directory and holds them against its
// manifest, if there is one: a listed file that is missing or of another size is
// an error.
func Open(path string) (*Dir, error) {
	d := &Dir{path: path, files: map[string][]*file{}, seen: map[string]*sighting{}}
	entries, err := os.ReadDir(path)
	if err != nil {
		var of *fs.PathError
		if errors.As(err, &of) {
			err = of.Err // the path is said already
		}
		return nil, record.Errorf(record.NotFound, "open "+path, "%w: a data directory is wanted, as 'bellwether import' and 'bellwether synth' make", err)
	}
	var csv string
	for _, e := range entries {
		for _, n := range nouns {
			if e.IsDir() && e.Name() == n {
				if err := d.addAll(n); err != nil {
					return nil, err
				}
			} else if strings.HasPrefix(e.Name(), n) && !e.IsDir() {
				if err := d.add(n, e.Name()); err != nil {
					return nil, err
				}
			}
		}
		if name := strings.TrimSuffix(e.Name(), ".gz"); filepath.Ext(name) == ".csv" {
			csv = e.Name()
		}
	}
	if d.manifest, err = readManifest(path); err != nil {
		return nil, err
	}
	if len(d.files) == 0 {
		hint := "it needs partners, leads or events as .parquet, .jsonl or .arrow"
		if csv != "" {
			hint = "it holds " + csv + ": bring CSV in with 'bellwether import csv --map M.yaml'"
		}
		return nil, record.Errorf(record.NotFound, "open "+path, "holds no records: %s", hint)
	}
	for n := range d.files {
		slices.SortFunc(d.files[n], func(a, b *file) int { return cmp.Compare(a.name, b.name) })
	}
	return d, d.checkManifest()
}

func (d *Dir) addAll(noun string) error {
	entries, err := os.ReadDir(filepath.Join(d.path, noun))
	if err != nil {
		return record.Errorf(record.Unavailable, "open", "%w", err)
	}
	for _, e := range entries {
		if !e.IsDir() {
			if err := d.add(noun, filepath.Join(noun, e.Name())); err != nil {
				return err
			}
		}
	}
	return nil
}

func (d *Dir) add(noun, name string) error {
	format, gz, ok := fileFormat(name)
	if !ok {
		return nil
	}
	path := filepath.Join(d.path, name)
	info, err := os.Stat(path)
	if err != nil {
		return record.Errorf(record.Unavailable, "open", "%w", err)
	}
	d.files[noun] = append(d.files[noun], &file{path: path, name: filepath.ToSlash(name), size: info.Size(), format: format, gzip: gz})
	return nil
}

// Path returns where the directory is.
func (d *Dir) Path() string { return d.path }

// Manifest returns the directory's manifest, nil if it has none.
func (d *Dir) Manifest() *Manifest { return d.manifest }

func (d *Dir) quarantine(o ReadOptions) *Quarantine {
	if o.Quarantine != "" {
		return NewQuarantine(o.Quarantine)
	}
	return NewQuarantine(filepath.Join(d.path, "quarantine.jsonl"))
}

// progress returns functions that report the first and the second pass over
// the files as one: half and half.
func (d *Dir) progress(name string, o ReadOptions) (first, second func(done int64)) {
	if o.Progress == nil {
		return func(int64) {}, func(int64) {}
	}
	var total int64
	for _, f := range d.files[name] {
		total += f.size
	}
	return func(done int64) { o.Progress(done/2, total) }, func(done int64) { o.Progress(total/2+done/2, total) }
}

// readAll reads all records of a noun in file order, each once.
func readAll[T any](ctx context.Context, d *Dir, name string, n noun[T], o ReadOptions, f func(*T) error) (Counts, error) {
	first, second := d.progress(name, o)
	seen, err := d.sight(name, func() (*sighting, error) { return survey(ctx, d.files[name], n, first) })
	if err != nil {
		return Counts{}, err
	}
	q := d.quarantine(o)
	s := newSifter(n, seen, q)
	var before int64
	var current *file
	err = eachChunk(ctx, d.files[name], wanted[T]{codec: n.codec, keep: n.validate}, func(c *chunk[T]) error {
		for _, fault := range c.faults {
			s.reject(fault)
		}
		for i := range c.rows {
			ok, err := s.pass(&c.rows[i], c.file, c.places[i])
			if err == nil && ok {
				err = f(&c.rows[i])
			}
			if err != nil {
				return err
			}
		}
		if current != c.file {
			if current != nil {
				before += current.size
			}
			current = c.file
		}
		second(before + c.done)
		return nil
	})
	return s.counts, cmp.Or(err, q.Close())
}

// sight remembers what the first pass over a noun's files found.
func (d *Dir) sight(name string, look func() (*sighting, error)) (*sighting, error) {
	if s := d.seen[name]; s != nil {
		return s, nil
	}
	s, err := look()
	if err == nil {
		d.seen[name] = s
	}
	return s, err
}

// Partners reads every version of every partner, in file order. The record is
// the callee's to keep.
func (d *Dir) Partners(ctx context.Context, o ReadOptions, f func(*record.Partner) error) (Counts, error) {
	return readAll(ctx, d, "partners", partnerNoun, o, func(p *record.Partner) error { kept := *p; return f(&kept) })
}

// LeadsInOrder reports whether the leads stand in the order of their creation,
// from file to file too. The first call reads them all to see; later ones know.
func (d *Dir) LeadsInOrder(ctx context.Context, o ReadOptions) (bool, error) {
	first, _ := d.progress("leads", o)
	seen, err := d.sight("leads", func() (*sighting, error) { return survey(ctx, d.files["leads"], leadNoun, first) })
	return err == nil && seen.sorted, err
}

// Leads reads the leads in file order. The record is the callee's to keep. Rows
// that cannot be read are set aside and counted; an error of f ends the reading
// and is returned.
func (d *Dir) Leads(ctx context.Context, o ReadOptions, f func(*record.Lead) error) (Counts, error) {
	return readAll(ctx, d, "leads", leadNoun, o, func(l *record.Lead) error { kept := *l; return f(&kept) })
}

// Decisions reads the decisions in file order. The record is the callee's to
// keep.
func (d *Dir) Decisions(ctx context.Context, o ReadOptions, f func(*record.Decision) error) (Counts, error) {
	return readAll(ctx, d, "decisions", decisionNoun, o, func(r *record.Decision) error { kept := *r; return f(&kept) })
}

// Events reads the events in (Known, file order) order, a batch at a time;
// files that do not stand in that order are sorted on the way, in temporary
// files. A batch is valid until f returns. Its texts may be kept, but an ID
// shares memory with its whole batch: clone one that is to be kept for long.
//
// Ids are read in a pass of their own first, to find those that occur more than
// once; memory grows with the number of such ids only.
func (d *Dir) Events(ctx context.Context, o ReadOptions, f func(batch []record.Event) error) (Counts, error) {
	first, second := d.progress("events", o)
	seen, err := d.sight("events", func() (*sighting, error) { return survey(ctx, d.files["events"], eventNoun, first) })
	if err != nil {
		return Counts{}, err
	}
	q := d.quarantine(o)
	pass := &eventPass{dir: d, sifter: newSifter(eventNoun, seen, q), out: f, progress: second}
	if seen.sorted {
		err = pass.straight(ctx)
	} else {
		err = pass.sorted(ctx, arenaBytes)
	}
	return pass.sifter.counts, cmp.Or(err, q.Close())
}

// eventPass is the second pass over the event files.
type eventPass struct {
	dir      *Dir
	sifter   *sifter[record.Event]
	out      func([]record.Event) error
	progress func(int64)
	before   int64
	current  *file
	number   int
}

// each reads all chunks, sets the faults aside and reports progress.
func (p *eventPass) each(ctx context.Context, f func(c *chunk[record.Event]) error) error {
	p.number = -1
	w := wanted[record.Event]{codec: record.Events, keep: (*record.Event).Validate}
	return eachChunk(ctx, p.dir.files["events"], w, func(c *chunk[record.Event]) error {
		if p.current != c.file {
			if p.current != nil {
				p.before += p.current.size
			}
			p.current = c.file
			p.number++
			for p.dir.files["events"][p.number] != c.file { // a file without a row
				p.number++
			}
		}
		for _, fault := range c.faults {
			p.sifter.reject(fault)
		}
		p.progress(p.before + c.done)
		return f(c)
	})
}

func (p *eventPass) straight(ctx context.Context) error {
	return p.each(ctx, func(c *chunk[record.Event]) error {
		rest, alone := c.rows, p.sifter.strangers(c.rows)
		for i := range c.rows {
			if alone[i] {
				continue
			}
			ok, err := p.sifter.pass(&c.rows[i], c.file, c.places[i])
			if err == nil && !ok {
				before := len(rest) - len(c.rows[i:])
				err = p.give(rest[:before])
				rest = rest[before+1:]
			}
			if err != nil {
				return err
			}
		}
		return p.give(rest)
	})
}

func (p *eventPass) give(batch []record.Event) error {
	if len(batch) == 0 {
		return nil
	}
	return p.out(batch)
}

func (p *eventPass) sorted(ctx context.Context, arena int) error {
	s := &sorter{limit: arena}
	defer s.close()
	err := p.each(ctx, func(c *chunk[record.Event]) error {
		for i := range c.rows {
			if err := s.add(&c.rows[i], p.number, c.places[i]); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		return err
	}
	batch := make([]record.Event, 0, chunkRows)
	err = s.each(func(e *record.Event, file int, place int64) error {
		ok, err := p.sifter.pass(e, p.dir.files["events"][file], place)
		if err != nil || !ok {
			return err
		}
		batch = append(batch, *e)
		if len(batch) < chunkRows {
			return nil
		}
		err = cmp.Or(p.out(batch), ctx.Err())
		batch = batch[:0]
		return err
	})
	if err == nil && len(batch) > 0 {
		err = p.out(batch)
	}
	return err
}

// appendKey joins the parts of a key so that no two keys look alike.
func appendKey(dst []byte, id string, at time.Time) []byte {
	dst = append(dst, id...)
	dst = append(dst, 0)
	if at.IsZero() {
		return dst
	}
	return binary.AppendVarint(dst, at.UnixMicro())
}

var (
	partnerNoun = noun[record.Partner]{codec: record.Partners, columns: []string{"id", "known_at"}, validate: (*record.Partner).Validate,
		key: func(dst []byte, p *record.Partner) []byte { return appendKey(dst, string(p.ID), p.KnownAt) },
		brief: func(line []byte, p *record.Partner) error {
			return json.Unmarshal(line, &struct {
				ID      *record.PartnerID `json:"id"`
				KnownAt *time.Time        `json:"known_at"`
			}{&p.ID, &p.KnownAt})
		}}
	leadNoun = noun[record.Lead]{codec: record.Leads, columns: []string{"id", "created_at"}, validate: (*record.Lead).Validate,
		key:   func(dst []byte, l *record.Lead) []byte { return append(dst, l.ID...) },
		known: func(l *record.Lead) int64 { return l.CreatedAt.UnixMicro() },
		brief: func(line []byte, l *record.Lead) error {
			return json.Unmarshal(line, &struct {
				ID        *record.LeadID `json:"id"`
				CreatedAt *time.Time     `json:"created_at"`
			}{&l.ID, &l.CreatedAt})
		}}
	decisionNoun = noun[record.Decision]{codec: record.Decisions, columns: []string{"id", "at"}, validate: (*record.Decision).Validate,
		key: func(dst []byte, d *record.Decision) []byte { return append(dst, d.ID...) },
		brief: func(line []byte, d *record.Decision) error {
			return json.Unmarshal(line, &struct {
				ID *record.DecisionID `json:"id"`
			}{&d.ID})
		}}
	eventNoun = noun[record.Event]{codec: record.Events, columns: []string{"id", "type", "at", "known_at"}, validate: (*record.Event).Validate,
		key:   func(dst []byte, e *record.Event) []byte { return append(dst, e.ID...) },
		known: func(e *record.Event) int64 { return e.Known().UnixMicro() },
		brief: func(line []byte, e *record.Event) error {
			return json.Unmarshal(line, &struct {
				ID      *record.EventID `json:"id"`
				At      *time.Time      `json:"at"`
				KnownAt *time.Time      `json:"known_at"`
			}{&e.ID, &e.At, &e.KnownAt})
		}}
)
