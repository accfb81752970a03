package main

import (
	"cmp"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"bellwether/datasets"
	"bellwether/datasets/record"
)

// fileFormat is the format of the file that --out names: what --format says, else
// what the name ends in, else the first. A name that ends as another format's does
// is wrong use, and so is one with an ending of its own where nothing else says.
func fileFormat(out, format string, formats []string) (string, error) {
	if format != "" && !slices.Contains(formats, format) {
		return "", usageError{fmt.Errorf("--format %q: one of %s", format, oneOf(formats))}
	}
	ending := strings.ToLower(strings.TrimPrefix(filepath.Ext(out), "."))
	known := slices.Contains(formats, ending)
	switch {
	case ending == "gz":
		return "", usageError{fmt.Errorf("--out %s: it is not packed: leave .gz out", out)}
	case known && format != "" && format != ending:
		return "", usageError{fmt.Errorf("--out %s is not called as --format %s is: end it in .%s, or leave --format out", out, format, format)}
	case format == "" && !known && ending != "":
		return "", usageError{fmt.Errorf("--out %s: there is no format .%s: end it in .%s, or say --format", out, ending, strings.Join(formats, ", ."))}
	case known:
		return ending, nil
	}
	return cmp.Or(format, formats[0]), nil
}

// fileEndings are what files are called that are no data directory.
var fileEndings = []string{".parquet", ".jsonl", ".json", ".ndjson", ".arrow", ".feather", ".ipc", ".csv", ".gz"}

// directoryFormat is the format of the files of the data directory that --out
// names. One that is called like a file is wrong use.
func directoryFormat(out, format string) (datasets.Format, error) {
	f, err := datasets.ParseFormat(format)
	if err != nil {
		return f, usageError{fmt.Errorf("--format: %w", err)}
	}
	if slices.Contains(fileEndings, strings.ToLower(filepath.Ext(out))) {
		return f, usageError{fmt.Errorf("--out %s is called like a file, and a directory of several is written: leave the ending out; --format %s says what they are", out, f)}
	}
	return f, nil
}

// mayWrite checks what a flag names: a file whose format its name says, by one of
// these endings, in a directory that is there.
func mayWrite(flag, path string, endings ...string) error {
	if !slices.ContainsFunc(endings, func(e string) bool { return strings.HasSuffix(path, e) }) {
		return usageError{fmt.Errorf("%s %s: its name says the format: end it in %s", flag, path, oneOf(endings))}
	}
	return inDirectory(flag, path)
}

// inDirectory checks that there is a directory for a file.
func inDirectory(flag, path string) error {
	dir := filepath.Dir(path)
	if info, err := os.Stat(path); err == nil && info.IsDir() {
		return record.Errorf(record.Invalid, "", "%s %s is a directory: name a file", flag, path)
	}
	if info, err := os.Stat(dir); err != nil || !info.IsDir() {
		return record.Errorf(record.NotFound, "", "%s %s: there is no directory %s: make it first", flag, path, dir)
	}
	return nil
}

// asDirectory checks that what a flag names is no file: a directory, or nothing yet.
func asDirectory(flag, path string) error {
	if info, err := os.Stat(path); err == nil && !info.IsDir() {
		return record.Errorf(record.Invalid, "", "%s %s is a file: name a directory", flag, path)
	}
	return nil
}

// written puts a file in place whole, or not at all.
func written(path string, write func(io.Writer) error) error {
	f, err := os.CreateTemp(filepath.Dir(path), "."+filepath.Base(path)+"-*")
	if err != nil {
		return err
	}
	defer os.Remove(f.Name())
	if err := errors.Join(write(f), f.Chmod(0o644), f.Sync(), f.Close()); err != nil {
		return err
	}
	return os.Rename(f.Name(), path)
}

func writtenBytes(path string, b []byte) error {
	return written(path, func(w io.Writer) error { _, err := w.Write(b); return err })
}

// oneOf lists words: "a, b or c".
func oneOf(words []string) string {
	last := len(words) - 1
	return strings.Join(words[:last], ", ") + " or " + words[last]
}
