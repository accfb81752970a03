package datasets

import (
	"bufio"
	"bytes"
	"compress/gzip"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"

	"bellwether/datasets/record"

	kgzip "github.com/klauspost/compress/gzip"
)

// file is one record file of a data directory.
type file struct {
	path   string
	name   string // as faults show it: relative to the directory
	size   int64
	format Format
	gzip   bool
}

// fileFormat tells a record file by its name.
func fileFormat(name string) (f Format, gz, ok bool) {
	name, gz = strings.CutSuffix(name, ".gz")
	switch filepath.Ext(name) {
	case ".parquet":
		return Parquet, gz, true
	case ".jsonl", ".json", ".ndjson":
		return JSONLines, gz, true
	case ".arrow", ".feather", ".ipc":
		return ArrowIPC, gz, true
	}
	return 0, false, false
}

// chunk is some rows of one file, in order, with what failed among them.
type chunk[T any] struct {
	rows   []T
	places []int64 // line or row number of each row
	faults []Fault
	file   *file
	done   int64 // bytes of the file read so far
}

// chunkRows is how many rows travel together: enough to make the hand-over
// between goroutines cheap, few enough to stay in cache.
const chunkRows = 4096

func (c *chunk[T]) reset(f *file) {
	clear(c.rows)
	c.rows, c.places, c.faults, c.file = c.rows[:0], c.places[:0], c.faults[:0], f
}

// counted counts the compressed bytes read, for progress.
type counted struct {
	r io.Reader
	n atomic.Int64
}

func (c *counted) Read(p []byte) (int, error) {
	n, err := c.r.Read(p)
	c.n.Add(int64(n))
	return n, err
}

// open returns the file's bytes, decompressed, behind a large buffer.
func (f *file) open() (io.Closer, *counted, *bufio.Reader, error) {
	disk, err := os.Open(f.path)
	if err != nil {
		return nil, nil, nil, record.Errorf(record.Unavailable, "read", "%w", err)
	}
	if f.size == 0 {
		disk.Close()
		return nil, nil, nil, f.errorf("is empty (0 bytes): write it again, or remove it")
	}
	bytesRead := &counted{r: disk}
	in := bufio.NewReaderSize(bytesRead, 1<<18)
	if f.gzip {
		gz, err := kgzip.NewReader(in)
		if err != nil {
			disk.Close()
			return nil, nil, nil, f.errorf("is not a gzip file although its name ends in .gz (%v): rename it, or copy it again", err)
		}
		in = bufio.NewReaderSize(gz, 1<<18)
	}
	return disk, bytesRead, in, nil
}

func (f *file) errorf(format string, args ...any) error {
	return &record.Error{Op: "read " + f.name, Kind: record.Invalid, Msg: fmt.Sprintf(format, args...)}
}

// broken explains an error met while reading the bytes.
func (f *file) broken(err error, after string) error {
	switch {
	case errors.Is(err, context.Canceled), errors.Is(err, context.DeadlineExceeded):
		return err
	case f.gzip && errors.Is(err, io.ErrUnexpectedEOF):
		return f.errorf("the compressed file is cut off after %s: copy or export it again", after)
	case errors.Is(err, kgzip.ErrChecksum), errors.Is(err, gzip.ErrChecksum), errors.Is(err, kgzip.ErrHeader):
		return f.errorf("the compressed file is damaged after %s (%v): copy or export it again", after, err)
	}
	return f.errorf("cannot be read after %s (%v): copy or write it again", after, err)
}

var bom = []byte("\xef\xbb\xbf")

// skipBOM drops a UTF-8 byte order mark, which spreadsheets like to write.
func skipBOM(in *bufio.Reader) {
	if b, err := in.Peek(3); err == nil && bytes.Equal(b, bom) {
		_, _ = in.Discard(3)
	}
}

// wanted is what a pass over files reads.
type wanted[T any] struct {
	codec  *record.Codec[T]
	only   []string               // columns, for a pass that needs few; nil: all
	keep   func(r *T) error       // validation; nil: none
	decode func([]byte, *T) error // JSON line; nil: strict decoding of all fields
}

// read streams the rows of a file as chunks; give hands out an empty one.
func readFile[T any](ctx context.Context, f *file, w wanted[T], give func() *chunk[T], take func(*chunk[T]) error) (err error) {
	defer func() {
		// The Arrow library panics on some damaged files.
		if r := recover(); r != nil {
			err = f.errorf("is damaged or not a %s file (%v): write it again", f.format, r)
		}
	}()
	switch f.format {
	case Parquet:
		return readParquet(ctx, f, w, give, take)
	case ArrowIPC:
		return readArrow(ctx, f, w, give, take)
	}
	return readLines(ctx, f, w, give, take)
}
