package registry

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"
)

// keptBefore is how many replaced versions `current` remembers: more than
// anybody rolls back through by hand.
const keptBefore = 100

// Current returns the version of name in force. It reads one small file, so
// that a server may poll it. No version in force is ErrNotFound.
func (r *Registry) Current(name string) (Version, error) {
	if err := CheckName(name); err != nil {
		return Version{}, err
	}
	line, err := r.line(name)
	if err != nil {
		return Version{}, err
	}
	if len(line) == 0 {
		return Version{}, fmt.Errorf("%w: %s has no version in force; see 'bellwether models list' and 'promote'", ErrNotFound, name)
	}
	return line[0], nil
}

// line reads `current`: the version in force, then those before it.
func (r *Registry) line(name string) ([]Version, error) {
	path := filepath.Join(r.dir, name, currentFile)
	b, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	var out []Version
	for text := range strings.Lines(string(b)) {
		stage, hash, _ := strings.Cut(strings.TrimSpace(text), " ")
		if !goodStage.MatchString(stage) {
			return nil, fmt.Errorf("%w: %s: %q is not a version", ErrDamaged, path, strings.TrimSpace(text))
		}
		n, _ := strconv.Atoi(stage[1:])
		out = append(out, Version{name, n, hash})
	}
	return out, nil
}

// Promote puts a version in force, after verifying its files, and returns it.
// Promoting the version in force changes nothing.
func (r *Registry) Promote(name, version string) (Version, error) {
	a, err := r.Load(name, version)
	if err != nil {
		return Version{}, fmt.Errorf("promote %s: %w", name, err)
	}
	return a.Version, r.move(name, func(line []Version) ([]Version, error) {
		if len(line) > 0 && line[0] == a.Version {
			return line, nil
		}
		return append([]Version{a.Version}, line...), nil
	})
}

// Rollback puts the version that was in force before back in force, after
// verifying its files, and returns it. Where there is none it is ErrNotFound.
func (r *Registry) Rollback(name string) (Version, error) {
	if _, err := r.Current(name); err != nil {
		return Version{}, fmt.Errorf("roll back %s: %w", name, err)
	}
	var back Version
	err := r.move(name, func(line []Version) ([]Version, error) {
		if len(line) < 2 {
			return nil, fmt.Errorf("%w: no version of %s was in force before this one", ErrNotFound, name)
		}
		back = line[1]
		_, err := r.Load(name, strconv.Itoa(back.Number))
		return line[1:], err
	})
	if err != nil {
		return Version{}, fmt.Errorf("roll back %s: %w", name, err)
	}
	return back, nil
}

// move changes `current` by one rename, one program at a time.
func (r *Registry) move(name string, change func([]Version) ([]Version, error)) error {
	home := filepath.Join(r.dir, name)
	unlock, err := lock(filepath.Join(home, ".lock"))
	if err != nil {
		return fmt.Errorf("lock %s: %w", name, err)
	}
	defer unlock()
	line, err := r.line(name)
	if err != nil {
		return err
	}
	if line, err = change(line); err != nil {
		return err
	}
	var text strings.Builder
	for _, v := range line[:min(len(line), keptBefore)] {
		fmt.Fprintf(&text, "v%d %s\n", v.Number, v.Hash)
	}
	stage, err := os.MkdirTemp(home, newPrefix)
	if err != nil {
		return err
	}
	defer os.RemoveAll(stage)
	if err := writeSynced(filepath.Join(stage, currentFile), []byte(text.String())); err != nil {
		return err
	}
	if err := os.Rename(filepath.Join(stage, currentFile), filepath.Join(home, currentFile)); err != nil {
		return err
	}
	return syncDir(home)
}
