// Package registry keeps published models in a directory. It is the only part
// of models that touches a disk.
//
//	DIR/NAME/v1/manifest.json     what the version is and the hash of each file
//	DIR/NAME/v1/win.bin …         the files themselves
//	DIR/NAME/current              the version in force and those before it
//	DIR/NAME/.new-*               a version being written; ignored, later removed
//
// A version never changes once its directory has its name. It is written under
// another name, synced, and renamed into place, so that a crash leaves nothing
// half visible; two publishers at once get two numbers. `current` is one small
// text file: a line "v3 HASH" for the version in force, then a line for each
// version it replaced, newest first. It moves by one rename.
//
// The hash of a version is SHA-256 over its card and the names and hashes of its
// files; Load checks all of it.
package registry

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"
)

// What a registry may answer with. Texts around them say which name, version or
// file.
var (
	ErrNotFound = errors.New("no such model")
	ErrDamaged  = errors.New("the model's files were changed or damaged")
	ErrName     = errors.New("not a name for a model or a file")
)

// Registry is a directory of models. It holds no state: any number of programs
// may use one directory.
type Registry struct{ dir string }

// Version names one published model.
type Version struct {
	Name   string `json:"name"`
	Number int    `json:"number"`
	Hash   string `json:"hash"`
}

// String writes NAME@vN, as the command line takes it.
func (v Version) String() string { return fmt.Sprintf("%s@v%d", v.Name, v.Number) }

// IsZero reports whether v names nothing.
func (v Version) IsZero() bool { return v == Version{} }

// Card is the short account of a version that lists show; the long one is among
// its files.
type Card struct {
	Task      string          `json:"task"`
	Learner   string          `json:"learner"`
	Published time.Time       `json:"published,omitzero"`
	Rows      int             `json:"rows"`          // fitted on
	From      time.Time       `json:"from,omitzero"` // window of what it learned from, not of what it was tested on
	To        time.Time       `json:"to,omitzero"`
	AUC       float64         `json:"auc"`
	AUCLo     float64         `json:"auc_lo"`
	AUCHi     float64         `json:"auc_hi"`
	LogLoss   float64         `json:"log_loss"`
	ECE       float64         `json:"ece"`
	Seed      uint64          `json:"seed"`
	More      json.RawMessage `json:"more,omitempty"` // whatever else the task wants to keep
}

// Artifact is a version with its files, verified.
type Artifact struct {
	Version
	Card  Card
	Files map[string][]byte
}

// Info is a version as lists show it.
type Info struct {
	Version
	Card    Card  `json:"card"`
	Bytes   int64 `json:"bytes"`
	Current bool  `json:"current"`
	// Damaged says what is wrong with a version that cannot be read, and what to do;
	// nothing else is then known of it.
	Damaged string `json:"damaged,omitempty"`
}

type manifest struct {
	Format int             `json:"format"`
	Name   string          `json:"name"`
	Hash   string          `json:"hash"`
	Files  []fileInfo      `json:"files"` // sorted by name
	Card   json.RawMessage `json:"card"`
}

type fileInfo struct {
	Name   string `json:"name"`
	Bytes  int64  `json:"bytes"`
	SHA256 string `json:"sha256"`
}

const (
	manifestFile   = "manifest.json"
	manifestFormat = 1
	currentFile    = "current"
	newPrefix      = ".new-"
)

var (
	goodName  = regexp.MustCompile(`^[a-z0-9][a-z0-9_-]{0,63}$`)
	goodFile  = regexp.MustCompile(`^[A-Za-z0-9_][A-Za-z0-9._-]{0,99}$`)
	goodStage = regexp.MustCompile(`^v[1-9][0-9]{0,8}$`)
)

// Open returns the registry in dir, which is made if it is not there.
func Open(dir string) (*Registry, error) {
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return nil, fmt.Errorf("open models: %w", err)
	}
	return &Registry{dir}, nil
}

// Dir returns the directory.
func (r *Registry) Dir() string { return r.dir }

// CheckName reports whether name may name a model: lower-case letters, digits,
// _ and -, at most 64.
func CheckName(name string) error {
	if !goodName.MatchString(name) {
		return fmt.Errorf("%w: %q; use lower-case letters, digits, _ and -, at most 64", ErrName, name)
	}
	return nil
}

// Publish writes a new version of name with these files. It is on disk, synced
// and readable when Publish returns, and not yet in force: Promote does that.
func (r *Registry) Publish(name string, files map[string][]byte, card Card) (Version, error) {
	v, err := r.publish(name, files, card)
	if err != nil {
		return Version{}, fmt.Errorf("publish %s: %w", name, err)
	}
	return v, nil
}

func (r *Registry) publish(name string, files map[string][]byte, card Card) (Version, error) {
	if err := CheckName(name); err != nil {
		return Version{}, err
	}
	cardJSON, err := json.Marshal(card)
	if err != nil {
		return Version{}, err
	}
	m := manifest{Format: manifestFormat, Name: name, Card: cardJSON}
	for _, file := range slices.Sorted(maps.Keys(files)) {
		if !goodFile.MatchString(file) || file == manifestFile {
			return Version{}, fmt.Errorf("%w: file %q", ErrName, file)
		}
		sum := sha256.Sum256(files[file])
		m.Files = append(m.Files, fileInfo{file, int64(len(files[file])), hex.EncodeToString(sum[:])})
	}
	m.Hash = m.sum()
	return r.place(&m, files)
}

// sum is the content hash: it covers the card and every file, not the name and
// number, so that the same content has the same hash wherever it goes.
func (m *manifest) sum() string {
	h := sha256.New()
	var compact bytes.Buffer
	if json.Compact(&compact, m.Card) == nil {
		h.Write(compact.Bytes())
	}
	for _, f := range m.Files {
		fmt.Fprintf(h, "\n%s %d %s", f.Name, f.Bytes, f.SHA256)
	}
	return hex.EncodeToString(h.Sum(nil))
}

// text is the manifest as it stands in its file.
func (m *manifest) text() ([]byte, error) {
	b, err := json.MarshalIndent(m, "", "  ")
	return append(b, '\n'), err
}

// place writes a version beside its siblings and renames it to the first free
// number. Renaming onto a directory that is not empty fails, which makes the
// rename the claim of the number.
func (r *Registry) place(m *manifest, files map[string][]byte) (Version, error) {
	home := filepath.Join(r.dir, m.Name)
	if err := os.MkdirAll(home, 0o755); err != nil {
		return Version{}, err
	}
	stage, err := os.MkdirTemp(home, newPrefix)
	if err != nil {
		return Version{}, err
	}
	defer os.RemoveAll(stage)
	if err := os.Chmod(stage, 0o755); err != nil {
		return Version{}, err
	}
	r.sweep(home, stage)
	for _, f := range m.Files {
		if err := writeSynced(filepath.Join(stage, f.Name), files[f.Name]); err != nil {
			return Version{}, err
		}
	}
	text, err := m.text()
	if err != nil {
		return Version{}, err
	}
	if err := writeSynced(filepath.Join(stage, manifestFile), text); err != nil {
		return Version{}, err
	}
	if err := syncDir(stage); err != nil {
		return Version{}, err
	}
	numbers, err := r.numbers(m.Name)
	if err != nil {
		return Version{}, err
	}
	next := 1
	if len(numbers) > 0 {
		next = numbers[len(numbers)-1] + 1
	}
	for ; ; next++ {
		target := filepath.Join(home, "v"+strconv.Itoa(next))
		err := os.Rename(stage, target)
		if err == nil {
			break
		}
		if _, taken := os.Lstat(target); taken != nil {
			return Version{}, err
		}
	}
	if err := errors.Join(syncDir(home), syncDir(r.dir)); err != nil {
		return Version{}, err
	}
	return Version{m.Name, next, m.Hash}, nil
}

// abandoned is how old a half-written version must be before it counts as left
// behind by a crash: far longer than any write takes.
const abandoned = time.Hour

// sweep removes what crashed writers left; ages are measured against the stage
// just made, so that the clock of the file system alone counts.
func (r *Registry) sweep(home, stage string) {
	now, err := os.Stat(stage)
	if err != nil {
		return
	}
	left, _ := filepath.Glob(filepath.Join(home, newPrefix+"*"))
	for _, path := range left {
		if info, err := os.Lstat(path); err == nil && now.ModTime().Sub(info.ModTime()) > abandoned {
			os.RemoveAll(path)
		}
	}
}

func writeSynced(path string, b []byte) error {
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o644)
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
	return errors.Join(d.Sync(), d.Close())
}

// numbers lists the versions of name, ascending. A name without any is empty.
func (r *Registry) numbers(name string) ([]int, error) {
	entries, err := os.ReadDir(filepath.Join(r.dir, name))
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	var out []int
	for _, e := range entries {
		if e.IsDir() && goodStage.MatchString(e.Name()) {
			n, _ := strconv.Atoi(e.Name()[1:])
			out = append(out, n)
		}
	}
	slices.Sort(out)
	return out, nil
}

// Names lists the models that have a version, in force or not, sorted. What else
// lies in the directory is no model.
func (r *Registry) Names() ([]string, error) {
	entries, err := os.ReadDir(r.dir)
	if err != nil {
		return nil, err
	}
	var out []string
	for _, e := range entries {
		if !e.IsDir() || !goodName.MatchString(e.Name()) {
			continue
		}
		numbers, err := r.numbers(e.Name())
		if err != nil {
			return nil, err
		}
		if len(numbers) > 0 {
			out = append(out, e.Name())
		}
	}
	return out, nil
}

// List returns every version of name, or with "" of every model, by name and
// number; of a name nobody published, none. It reads manifests, not files: a
// version whose manifest cannot be read, or of which a file is missing or of
// another size, is listed as Damaged.
func (r *Registry) List(name string) ([]Info, error) { return r.list(name, r.shown) }

// Audit lists as List does, and reads every file: one that was changed and kept
// its size is found too.
func (r *Registry) Audit(name string) ([]Info, error) {
	return r.list(name, func(name string, number int) (Info, error) {
		if _, err := r.Load(name, strconv.Itoa(number)); err != nil {
			return Info{}, err
		}
		return r.shown(name, number)
	})
}

func (r *Registry) list(name string, look func(name string, number int) (Info, error)) ([]Info, error) {
	names := []string{name}
	if name == "" {
		var err error
		if names, err = r.Names(); err != nil {
			return nil, err
		}
	} else if err := CheckName(name); err != nil {
		return nil, err
	}
	out := []Info{} // none are written as [], not as null
	for _, name := range names {
		numbers, err := r.numbers(name)
		if err != nil {
			return nil, err
		}
		current, _ := r.Current(name)
		for _, n := range numbers {
			info, err := look(name, n)
			if err != nil {
				info = Info{Version: Version{Name: name, Number: n}, Damaged: err.Error()}
				if errors.Is(err, ErrDamaged) {
					info.Damaged += fmt.Sprintf("; restore %s from a copy, or remove it", r.home(name, n))
				}
			}
			info.Current = n == current.Number
			out = append(out, info)
		}
	}
	return out, nil
}

func (m *manifest) info(number int) (Info, error) {
	info := Info{Version: Version{m.Name, number, m.Hash}}
	for _, f := range m.Files {
		info.Bytes += f.Bytes
	}
	if err := json.Unmarshal(m.Card, &info.Card); err != nil {
		return Info{}, fmt.Errorf("%w: card of %s: %w", ErrDamaged, info.Version, err)
	}
	return info, nil
}

// Show returns one version as List does. See Load for version.
func (r *Registry) Show(name, version string) (Info, error) {
	n, err := r.resolve(name, version)
	if err != nil {
		return Info{}, err
	}
	current, _ := r.Current(name)
	info, err := r.shown(name, n)
	info.Current = n == current.Number
	return info, err
}

// shown reads what the manifest says of a version whose files are there.
func (r *Registry) shown(name string, number int) (Info, error) {
	m, err := r.manifest(name, number)
	if err != nil {
		return Info{}, err
	}
	for _, f := range m.Files {
		stat, err := os.Stat(filepath.Join(r.home(name, number), f.Name))
		if err != nil {
			return Info{}, fmt.Errorf("%w: %s@v%d: %w", ErrDamaged, name, number, err)
		}
		if stat.Size() != f.Bytes {
			return Info{}, fmt.Errorf("%s@v%d: %w: %s has %d bytes, %d were published", name, number, ErrDamaged, f.Name, stat.Size(), f.Bytes)
		}
	}
	return m.info(number)
}

// home is the directory of a version.
func (r *Registry) home(name string, number int) string {
	return filepath.Join(r.dir, name, "v"+strconv.Itoa(number))
}

func (r *Registry) manifest(name string, number int) (*manifest, error) {
	v := Version{Name: name, Number: number}
	b, err := os.ReadFile(filepath.Join(r.home(name, number), manifestFile))
	if errors.Is(err, fs.ErrNotExist) {
		if _, gone := os.Stat(r.home(name, number)); gone != nil {
			return nil, fmt.Errorf("%w: %s", ErrNotFound, v)
		}
		return nil, fmt.Errorf("%s: %w: %s is missing", v, ErrDamaged, manifestFile)
	}
	if err != nil {
		return nil, err
	}
	m, err := readManifest(b)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", v, err)
	}
	if m.Name != name {
		return nil, fmt.Errorf("%w: %s says it is %s; was its directory moved?", ErrDamaged, v, m.Name)
	}
	return m, nil
}

// readManifest reads and checks a manifest; the files are not looked at.
func readManifest(b []byte) (*manifest, error) {
	var m manifest
	if err := json.Unmarshal(b, &m); err != nil {
		return nil, fmt.Errorf("%w: %s: %w", ErrDamaged, manifestFile, err)
	}
	if m.Format != manifestFormat {
		return nil, fmt.Errorf("%s has format %d, this program reads %d", manifestFile, m.Format, manifestFormat)
	}
	if err := CheckName(m.Name); err != nil {
		return nil, err
	}
	for i, f := range m.Files {
		if !goodFile.MatchString(f.Name) || f.Name == manifestFile || f.Bytes < 0 || i > 0 && m.Files[i-1].Name >= f.Name {
			return nil, fmt.Errorf("%w: file %q in %s", ErrDamaged, f.Name, manifestFile)
		}
	}
	if m.sum() != m.Hash {
		return nil, fmt.Errorf("%w: %s does not have the hash it names", ErrDamaged, manifestFile)
	}
	return &m, nil
}

// verify checks one file's bytes against the manifest.
func (f *fileInfo) verify(b []byte) error {
	sum := sha256.Sum256(b)
	if int64(len(b)) != f.Bytes || hex.EncodeToString(sum[:]) != f.SHA256 {
		return fmt.Errorf("%w: %s is not what was published; restore it or promote another version", ErrDamaged, f.Name)
	}
	return nil
}

// Load reads a version and verifies every file. version is "v3" or "3"; empty
// or "current" means the one in force.
func (r *Registry) Load(name, version string) (*Artifact, error) {
	n, err := r.resolve(name, version)
	if err != nil {
		return nil, err
	}
	m, err := r.manifest(name, n)
	if err != nil {
		return nil, err
	}
	info, err := m.info(n)
	if err != nil {
		return nil, err
	}
	a := &Artifact{info.Version, info.Card, make(map[string][]byte, len(m.Files))}
	for i := range m.Files {
		f := &m.Files[i]
		b, err := os.ReadFile(filepath.Join(r.home(name, n), f.Name))
		if err != nil {
			return nil, fmt.Errorf("%w: %s: %w", ErrDamaged, a.Version, err)
		}
		if err := f.verify(b); err != nil {
			return nil, fmt.Errorf("%s: %w", a.Version, err)
		}
		a.Files[f.Name] = b
	}
	return a, nil
}

// resolve turns what a person wrote for a version into its number.
func (r *Registry) resolve(name, version string) (int, error) {
	if err := CheckName(name); err != nil {
		return 0, err
	}
	if version == "" || version == currentFile {
		v, err := r.Current(name)
		if err != nil {
			return 0, err
		}
		if _, err := os.Stat(r.home(name, v.Number)); errors.Is(err, fs.ErrNotExist) {
			return 0, fmt.Errorf("%w: %s is in force and not there; restore it or promote another version", ErrDamaged, v)
		}
		return v.Number, nil
	}
	text := "v" + strings.TrimPrefix(version, "v")
	if !goodStage.MatchString(text) {
		return 0, fmt.Errorf("%w: version %q of %s; versions are v1, v2, …", ErrNotFound, version, name)
	}
	return strconv.Atoi(text[1:])
}
