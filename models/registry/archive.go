package registry

import (
	"archive/tar"
	"bufio"
	"compress/gzip"
	"errors"
	"fmt"
	"io"
	"strings"
)

// Limits of an archive: what no model of ours comes near, so that a hostile one
// cannot fill memory.
const (
	maxArchiveFiles = 1000
	maxArchiveBytes = 1 << 30
)

// Export writes a version as one .tar.gz: its manifest, then its files. The
// bytes depend on the content alone.
func (r *Registry) Export(w io.Writer, name, version string) (Version, error) {
	v, err := r.export(w, name, version)
	if err != nil {
		return Version{}, fmt.Errorf("export %s: %w", name, err)
	}
	return v, nil
}

func (r *Registry) export(w io.Writer, name, version string) (Version, error) {
	a, err := r.Load(name, version)
	if err != nil {
		return Version{}, err
	}
	m, err := r.manifest(name, a.Number)
	if err != nil {
		return Version{}, err
	}
	text, err := m.text()
	if err != nil {
		return Version{}, err
	}
	zip := gzip.NewWriter(w)
	out := tar.NewWriter(zip)
	add := func(file string, b []byte) error {
		if err := out.WriteHeader(&tar.Header{Name: file, Mode: 0o644, Size: int64(len(b)), Format: tar.FormatPAX}); err != nil {
			return err
		}
		_, err := out.Write(b)
		return err
	}
	if err := add(manifestFile, text); err != nil {
		return Version{}, err
	}
	for _, f := range m.Files {
		if err := add(f.Name, a.Files[f.Name]); err != nil {
			return Version{}, err
		}
	}
	return a.Version, errors.Join(out.Close(), zip.Close())
}

// Import publishes what Export wrote, under its own name or another, after
// checking every hash. Content this registry already holds under that name is
// not published again: its version is returned. It is not put in force.
func (r *Registry) Import(from io.Reader, name string) (Version, error) {
	m, files, err := readArchive(from)
	if err != nil {
		return Version{}, fmt.Errorf("import model: %w", err)
	}
	if name != "" {
		if err := CheckName(name); err != nil {
			return Version{}, fmt.Errorf("import model: %w", err)
		}
		m.Name = name
	}
	held, err := r.List(m.Name)
	if err != nil {
		return Version{}, fmt.Errorf("import model: %w", err)
	}
	for _, info := range held {
		if info.Hash == m.Hash {
			return info.Version, nil
		}
	}
	v, err := r.place(m, files)
	if err != nil {
		return Version{}, fmt.Errorf("import model: %w", err)
	}
	return v, nil
}

// readArchive reads an archive whole and verifies it.
func readArchive(from io.Reader) (*manifest, map[string][]byte, error) {
	zip, err := gzip.NewReader(bufio.NewReader(from))
	if err != nil {
		return nil, nil, fmt.Errorf("not a .tar.gz of 'bellwether models export': %w", err)
	}
	files, err := readTar(zip)
	if err != nil {
		return nil, nil, err
	}
	// The checksum of gzip is behind the end of the tar.
	if n, err := io.Copy(io.Discard, io.LimitReader(zip, maxArchiveBytes)); err != nil || n == maxArchiveBytes {
		return nil, nil, fmt.Errorf("the end of the archive is cut off or damaged: %w", err)
	}
	m, err := verified(files)
	return m, files, err
}

// readTar reads plain files into memory. Names with a path in them are refused.
func readTar(from io.Reader) (map[string][]byte, error) {
	in := tar.NewReader(from)
	files := map[string][]byte{}
	left := int64(maxArchiveBytes)
	for {
		h, err := in.Next()
		if errors.Is(err, io.EOF) {
			return files, nil
		}
		if err != nil {
			return nil, fmt.Errorf("archive is cut off or damaged: %w", err)
		}
		if h.Typeflag != tar.TypeReg || !goodFile.MatchString(h.Name) {
			return nil, fmt.Errorf("%w: the archive holds %q, which is not a plain file", ErrName, h.Name)
		}
		if len(files) >= maxArchiveFiles || h.Size > left {
			return nil, fmt.Errorf("archive holds more than %d files or %d bytes", maxArchiveFiles, maxArchiveBytes)
		}
		if _, twice := files[h.Name]; twice {
			return nil, fmt.Errorf("archive holds %s twice", h.Name)
		}
		left -= h.Size
		if files[h.Name], err = io.ReadAll(in); err != nil {
			return nil, fmt.Errorf("%s in the archive is cut off or damaged: %w", h.Name, err)
		}
	}
}

// verified takes the manifest out of the files and checks all others against it.
func verified(files map[string][]byte) (*manifest, error) {
	text, ok := files[manifestFile]
	if !ok {
		return nil, fmt.Errorf("archive has no %s: not made by 'bellwether models export'", manifestFile)
	}
	delete(files, manifestFile)
	m, err := readManifest(text)
	if err != nil {
		return nil, err
	}
	for i := range m.Files {
		b, ok := files[m.Files[i].Name]
		if !ok {
			return nil, fmt.Errorf("%w: %s is missing from the archive", ErrDamaged, m.Files[i].Name)
		}
		if err := m.Files[i].verify(b); err != nil {
			return nil, err
		}
	}
	if len(files) != len(m.Files) {
		return nil, fmt.Errorf("%w: the archive holds files its manifest does not name", ErrDamaged)
	}
	_, err = m.info(0)
	return m, err
}

// SplitRef splits what the command line takes for a model, NAME or NAME@V, into
// name and version; version is empty for the one in force.
func SplitRef(ref string) (name, version string) {
	name, version, _ = strings.Cut(ref, "@")
	return name, version
}
