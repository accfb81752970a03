package datasets

import (
	"encoding/json"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	"bellwether/datasets/record"
)

// Manifest describes a data directory: manifest.json.
type Manifest struct {
	Format  string              `json:"format"` // ManifestFormat
	Records map[string]Contents `json:"records"`
	Source  *SourceCounts       `json:"source,omitempty"` // where an import took them from
}

// ManifestFormat is the version of the layout of a data directory.
const ManifestFormat = "bellwether-data/1"

// Contents is what a directory holds of one noun.
type Contents struct {
	Count       int64          `json:"count"`
	Fingerprint string         `json:"fingerprint"` // of the noun's columns
	Window      *Window        `json:"window,omitempty"`
	Files       []ManifestFile `json:"files"`
}

// Window is the time records span: events by when they became known, leads by
// when they were created.
type Window struct {
	From time.Time `json:"from"`
	To   time.Time `json:"to"`
}

// ManifestFile is one file with what it takes to notice that it was cut off or
// changed.
type ManifestFile struct {
	Name   string `json:"name"`
	Bytes  int64  `json:"bytes"`
	SHA256 string `json:"sha256"`
}

// SourceCounts says what an import read.
type SourceCounts struct {
	Name string `json:"name"`
	Counts
}

const manifestName = "manifest.json"

func readManifest(dir string) (*Manifest, error) {
	b, err := os.ReadFile(filepath.Join(dir, manifestName))
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, record.Errorf(record.Unavailable, "open "+dir, "%w", err)
	}
	var m Manifest
	if err := json.Unmarshal(b, &m); err != nil {
		return nil, record.Errorf(record.Invalid, "open "+dir, "manifest.json is damaged: %v; remove it to read the files without it", err)
	}
	if m.Format != ManifestFormat {
		return nil, record.Errorf(record.Incompatible, "open "+dir, "manifest.json is of format %q, this program reads %q: import the data again", m.Format, ManifestFormat)
	}
	return &m, nil
}

// checkManifest holds the sizes of the files against the manifest.
func (d *Dir) checkManifest() error {
	if d.manifest == nil {
		return nil
	}
	for _, contents := range d.manifest.Records {
		for _, want := range contents.Files {
			info, err := os.Stat(filepath.Join(d.path, filepath.FromSlash(want.Name)))
			switch {
			case err != nil:
				return record.Errorf(record.Invalid, "open "+d.path, "%s is listed in manifest.json but missing: copy it again, or remove manifest.json", want.Name)
			case info.Size() != want.Bytes:
				return record.Errorf(record.Invalid, "open "+d.path, "%s has %d bytes where manifest.json says %d: it was cut off or changed; copy it again, or remove manifest.json",
					want.Name, info.Size(), want.Bytes)
			}
		}
	}
	return nil
}
