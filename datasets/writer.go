package datasets

import (
	"bufio"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"hash"
	"io"
	"os"
	"path/filepath"
	"time"

	"bellwether/datasets/record"

	"github.com/apache/arrow/go/v17/arrow"
	"github.com/apache/arrow/go/v17/arrow/ipc"
	"github.com/apache/arrow/go/v17/parquet"
	"github.com/apache/arrow/go/v17/parquet/compress"
	"github.com/apache/arrow/go/v17/parquet/pqarrow"
)

// Writer writes a new data directory. Everything goes into a temporary
// directory beside it, which takes the wanted name when all is on disk: there
// is a whole directory or none. It is for one goroutine.
//
// Its methods refuse a record that does not validate, with that error, and stay
// usable; after any other error only Abort is left.
type Writer struct {
	path, temp string
	format     Format
	source     *SourceCounts
	partners   part[record.Partner]
	leads      part[record.Lead]
	events     part[record.Event]
	decisions  part[record.Decision]
}

// Create starts a data directory at path, which must not exist or be empty
// (otherwise it is a Conflict). It is written beside its place and appears there
// with Close; Abort leaves nothing.
func Create(path string, f Format) (*Writer, error) {
	path, err := filepath.Abs(path)
	if err != nil {
		return nil, record.Errorf(record.Invalid, "write", "%w", err)
	}
	if err := noFile(path); err != nil {
		return nil, err
	}
	if entries, err := os.ReadDir(path); err == nil && len(entries) > 0 {
		return nil, record.Errorf(record.Conflict, "write "+path, "the directory is not empty: name a new one, or remove it first")
	}
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		return nil, record.Errorf(record.Unavailable, "write", "%w", err)
	}
	temp, err := os.MkdirTemp(filepath.Dir(path), "."+filepath.Base(path)+".writing-*")
	if err != nil {
		return nil, record.Errorf(record.Unavailable, "write "+path, "%w", err)
	}
	if err := os.Chmod(temp, 0o755); err != nil {
		return nil, record.Errorf(record.Unavailable, "write "+path, "%w", err)
	}
	w := &Writer{path: path, temp: temp, format: f}
	w.partners = part[record.Partner]{name: "partners", codec: record.Partners}
	w.leads = part[record.Lead]{name: "leads", codec: record.Leads, time: func(l *record.Lead) time.Time { return l.CreatedAt }}
	w.events = part[record.Event]{name: "events", codec: record.Events, time: (*record.Event).Known}
	w.decisions = part[record.Decision]{name: "decisions", codec: record.Decisions, time: func(d *record.Decision) time.Time { return d.At }}
	return w, nil
}

// noFile refuses a path that is something else than a directory.
func noFile(path string) error {
	if info, err := os.Stat(path); err == nil && !info.IsDir() {
		return record.Errorf(record.Conflict, "write "+path, "it is a file, and a directory is to be written: name a new one")
	}
	return nil
}

// Partner writes one version of a partner. A record that is not valid is refused,
// here and below, and what was written before stays good.
func (w *Writer) Partner(p *record.Partner) error {
	if err := p.Validate(); err != nil {
		return err
	}
	return w.partners.write(w, p)
}

// Lead writes a lead.
func (w *Writer) Lead(l *record.Lead) error {
	if err := l.Validate(); err != nil {
		return err
	}
	return w.leads.write(w, l)
}

// Event writes an event. Readers are quickest when events are written in the
// order of Known.
func (w *Writer) Event(e *record.Event) error {
	if err := e.Validate(); err != nil {
		return err
	}
	return w.events.write(w, e)
}

// Decision writes a decision.
func (w *Writer) Decision(d *record.Decision) error {
	if err := d.Validate(); err != nil {
		return err
	}
	return w.decisions.write(w, d)
}

// Quarantine returns a quarantine file that becomes part of the directory.
func (w *Writer) Quarantine() *Quarantine {
	return NewQuarantine(filepath.Join(w.temp, "quarantine.jsonl"))
}

// SetSource notes in the manifest what an import read.
func (w *Writer) SetSource(s SourceCounts) { w.source = &s }

// Counts returns how many records of each noun were written so far.
func (w *Writer) Counts() map[string]int64 {
	return map[string]int64{"partners": w.partners.contents.Count, "leads": w.leads.contents.Count,
		"events": w.events.contents.Count, "decisions": w.decisions.contents.Count}
}

// Close finishes the files, writes the manifest and gives the directory its
// name. On an error nothing is left behind.
func (w *Writer) Close() (err error) {
	defer func() {
		if err != nil {
			w.Abort()
		}
	}()
	m := Manifest{Format: ManifestFormat, Records: map[string]Contents{}, Source: w.source}
	for _, p := range []interface {
		finish(w *Writer, m *Manifest) error
	}{&w.partners, &w.leads, &w.events, &w.decisions} {
		if err := p.finish(w, &m); err != nil {
			return diskError(w.path, err)
		}
	}
	doc, err := json.MarshalIndent(m, "", "  ")
	if err != nil {
		return record.Errorf(record.Internal, "write", "%w", err)
	}
	if err := writeSynced(filepath.Join(w.temp, manifestName), append(doc, '\n')); err != nil {
		return diskError(w.path, err)
	}
	if err := syncDir(w.temp); err != nil {
		return diskError(w.path, err)
	}
	if err := noFile(w.path); err != nil {
		return err
	}
	if err := os.Remove(w.path); err != nil && !errors.Is(err, os.ErrNotExist) {
		return record.Errorf(record.Conflict, "write "+w.path, "%w: the directory was filled meanwhile; name another", err)
	}
	if err := os.Rename(w.temp, w.path); err != nil {
		return diskError(w.path, err)
	}
	return syncDir(filepath.Dir(w.path))
}

// Abort throws away what was written. It does nothing after a Close that
// succeeded.
func (w *Writer) Abort() { os.RemoveAll(w.temp) }

func diskError(path string, err error) error {
	return record.Errorf(record.Exhausted, "write "+path, "%w: nothing was left behind; free some space or name another place", err)
}

func writeSynced(path string, b []byte) error {
	f, err := os.Create(path)
	if err != nil {
		return err
	}
	_, err = f.Write(b)
	return errors.Join(err, f.Sync(), f.Close())
}

func syncDir(path string) error {
	d, err := os.Open(path)
	if err != nil {
		return err
	}
	defer d.Close()
	return d.Sync()
}

// part is the one file of a noun; it is opened by its first record.
type part[T any] struct {
	name     string
	codec    *record.Codec[T]
	time     func(*T) time.Time
	contents Contents
	out      *hashedFile
	sink     sink[T]
}

// sink encodes records into a file.
type sink[T any] interface {
	write(r *T) error
	close() error
}

func (p *part[T]) write(w *Writer, r *T) error {
	if p.sink == nil {
		if err := p.open(w); err != nil {
			return diskError(w.path, err)
		}
	}
	if err := p.sink.write(r); err != nil {
		return diskError(w.path, err)
	}
	p.contents.Count++
	if p.time != nil {
		t := p.time(r).UTC().Truncate(time.Microsecond)
		win := p.contents.Window
		switch {
		case win == nil:
			p.contents.Window = &Window{t, t}
		case t.Before(win.From):
			win.From = t
		case t.After(win.To):
			win.To = t
		}
	}
	return nil
}

func (p *part[T]) open(w *Writer) (err error) {
	path := filepath.Join(w.temp, p.name+"."+w.format.String())
	if p.out, err = createHashed(path); err != nil {
		return err
	}
	switch w.format {
	case JSONLines:
		lines := json.NewEncoder(p.out)
		lines.SetEscapeHTML(false)
		p.sink = &lineSink[T]{codec: p.codec, json: lines}
	case ArrowIPC:
		p.sink, err = newArrowSink(p.codec, p.out, w.temp)
	default:
		p.sink, err = newParquetSink(p.codec, p.out)
	}
	return err
}

func (p *part[T]) finish(w *Writer, m *Manifest) error {
	if p.sink == nil {
		return nil
	}
	if err := p.sink.close(); err != nil {
		return err
	}
	if err := p.out.close(); err != nil {
		return err
	}
	p.contents.Fingerprint = p.codec.Fingerprint()
	p.contents.Files = []ManifestFile{{Name: filepath.Base(p.out.file.Name()), Bytes: p.out.size, SHA256: hex.EncodeToString(p.out.sum.Sum(nil))}}
	m.Records[p.name] = p.contents
	return nil
}

// hashedFile is a buffered file that knows its size and digest.
type hashedFile struct {
	file *os.File
	buf  *bufio.Writer
	sum  hash.Hash
	size int64
}

func createHashed(path string) (*hashedFile, error) {
	f, err := os.Create(path)
	if err != nil {
		return nil, err
	}
	h := &hashedFile{file: f, sum: sha256.New()}
	h.buf = bufio.NewWriterSize(io.MultiWriter(f, h.sum), 1<<20)
	return h, nil
}

func (h *hashedFile) Write(p []byte) (int, error) {
	n, err := h.buf.Write(p)
	h.size += int64(n)
	return n, err
}

// Seek answers where the end is, which is all that an Arrow file asks.
func (h *hashedFile) Seek(offset int64, whence int) (int64, error) {
	if offset != 0 || whence != io.SeekCurrent {
		return 0, errors.New("a hashed file is only written forwards")
	}
	return h.size, nil
}

func (h *hashedFile) close() error {
	return errors.Join(h.buf.Flush(), h.file.Sync(), h.file.Close())
}

type lineSink[T any] struct {
	codec *record.Codec[T]
	json  *json.Encoder
}

func (s *lineSink[T]) write(r *T) error {
	tidy := *r
	s.codec.Tidy(&tidy)
	return s.json.Encode(&tidy)
}

func (s *lineSink[T]) close() error { return nil }

// groupRows is the size of a Parquet row group and of an Arrow batch: large
// enough for a dictionary to pay, small enough to hold in memory.
const groupRows = 1 << 16

// parquetSink writes one row group per batch, with dictionaries of its own.
type parquetSink[T any] struct {
	builder *record.Builder[T]
	out     *pqarrow.FileWriter
}

func newParquetSink[T any](codec *record.Codec[T], out io.Writer) (*parquetSink[T], error) {
	options := []parquet.WriterProperty{parquet.WithCompression(compress.Codecs.Snappy), parquet.WithMaxRowGroupLength(groupRows),
		parquet.WithCreatedBy("bellwether")}
	for _, f := range codec.Schema().Fields() {
		if f.Type.ID() != arrow.DICTIONARY && !arrow.IsNested(f.Type.ID()) {
			options = append(options, parquet.WithDictionaryFor(f.Name, false))
		}
	}
	props := parquet.NewWriterProperties(options...)
	fw, err := pqarrow.NewFileWriter(codec.Schema(), struct{ io.Writer }{out}, props, pqarrow.NewArrowWriterProperties(pqarrow.WithStoreSchema()))
	if err != nil {
		return nil, err
	}
	return &parquetSink[T]{builder: codec.NewBuilder(), out: fw}, nil
}

func (s *parquetSink[T]) write(r *T) error {
	s.builder.Append(r)
	if s.builder.Len() < groupRows {
		return nil
	}
	return s.flush()
}

func (s *parquetSink[T]) flush() error {
	batch := s.builder.NewRecord()
	s.builder.Forget()
	return s.out.Write(batch)
}

func (s *parquetSink[T]) close() error {
	if s.builder.Len() > 0 {
		if err := s.flush(); err != nil {
			return err
		}
	}
	return s.out.Close()
}

// arrowSink writes an Arrow file. Such a file has one dictionary per column for
// all its batches, complete only at the end: until then the batches wait, with
// bare indices, in a temporary stream.
type arrowSink[T any] struct {
	builder *record.Builder[T]
	out     *hashedFile
	spool   *os.File
	stream  *ipc.Writer
}

func newArrowSink[T any](codec *record.Codec[T], out *hashedFile, temp string) (*arrowSink[T], error) {
	spool, err := os.CreateTemp(temp, "spool-*")
	if err != nil {
		return nil, err
	}
	return &arrowSink[T]{builder: codec.NewBuilder(), out: out, spool: spool}, nil
}

func (s *arrowSink[T]) write(r *T) error {
	s.builder.Append(r)
	if s.builder.Len() < groupRows {
		return nil
	}
	return s.flush()
}

func (s *arrowSink[T]) flush() error {
	batch := s.builder.Indices()
	if s.stream == nil {
		s.stream = ipc.NewWriter(s.spool, ipc.WithSchema(batch.Schema()))
	}
	return s.stream.Write(batch)
}

func (s *arrowSink[T]) close() error {
	defer os.Remove(s.spool.Name())
	defer s.spool.Close()
	if s.builder.Len() > 0 {
		if err := s.flush(); err != nil {
			return err
		}
	}
	if err := s.stream.Close(); err != nil {
		return err
	}
	if _, err := s.spool.Seek(0, io.SeekStart); err != nil {
		return err
	}
	batches, err := ipc.NewReader(bufio.NewReaderSize(s.spool, 1<<20))
	if err != nil {
		return err
	}
	join := s.builder.Joiner()
	whole, err := ipc.NewFileWriter(s.out, ipc.WithSchema(join.Schema()))
	if err != nil {
		return err
	}
	for batches.Next() {
		if err := whole.Write(join.Join(batches.Record())); err != nil {
			return err
		}
	}
	return errors.Join(batches.Err(), whole.Close())
}
