package registry

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"
)

func open(t testing.TB) *Registry {
	t.Helper()
	r, err := Open(filepath.Join(t.TempDir(), "models"))
	if err != nil {
		t.Fatal(err)
	}
	return r
}

func files(text string) map[string][]byte {
	return map[string][]byte{"win.bin": []byte(text), "card.md": []byte("# card of " + text)}
}

var when = time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)

func publish(t testing.TB, r *Registry, name, text string) Version {
	t.Helper()
	v, err := r.Publish(name, files(text), Card{Task: "win", Learner: "gbdt", Published: when, AUC: 0.8})
	if err != nil {
		t.Fatal(err)
	}
	return v
}

func TestLifeOfAModel(t *testing.T) {
	r := open(t)
	if _, err := r.Current("win"); !errors.Is(err, ErrNotFound) {
		t.Errorf("nothing published: %v", err)
	}
	v1 := publish(t, r, "win", "one")
	if v1.String() != "win@v1" || len(v1.Hash) != 64 {
		t.Errorf("first version %+v", v1)
	}
	if _, err := r.Load("win", ""); !errors.Is(err, ErrNotFound) {
		t.Errorf("published is not promoted: %v", err)
	}
	v2, v3 := publish(t, r, "win", "two"), publish(t, r, "win", "three")
	for _, step := range []struct {
		do   func() (Version, error)
		want Version
	}{
		{func() (Version, error) { return r.Promote("win", "v1") }, v1},
		{func() (Version, error) { return r.Promote("win", "3") }, v3},
		{func() (Version, error) { return r.Promote("win", "3") }, v3},
		{func() (Version, error) { return r.Promote("win", "v2") }, v2},
		{func() (Version, error) { return r.Rollback("win") }, v3},
		{func() (Version, error) { return r.Rollback("win") }, v1},
	} {
		v, err := step.do()
		if err != nil || v != step.want {
			t.Fatalf("got %v, %v; want %v", v, err, step.want)
		}
		if now, err := r.Current("win"); err != nil || now != step.want {
			t.Fatalf("in force %v, %v; want %v", now, err, step.want)
		}
	}
	if _, err := r.Rollback("win"); !errors.Is(err, ErrNotFound) {
		t.Errorf("nothing to roll back to: %v", err)
	}
	if now, _ := r.Current("win"); now != v1 {
		t.Errorf("a failed rollback moved to %v", now)
	}
	a, err := r.Load("win", "current")
	if err != nil || a.Version != v1 || string(a.Files["win.bin"]) != "one" || a.Card.AUC != 0.8 || !a.Card.Published.Equal(when) {
		t.Errorf("loaded %+v, %v", a, err)
	}
	infos, err := r.List("")
	if err != nil || len(infos) != 3 || !infos[0].Current || infos[1].Current || infos[2].Version != v3 || infos[0].Bytes != int64(len("one")+len("# card of one")) {
		t.Errorf("list %+v, %v", infos, err)
	}
}

func TestSameContentSameHash(t *testing.T) {
	r := open(t)
	a, b := publish(t, r, "win", "x"), publish(t, r, "other", "x")
	if a.Hash != b.Hash || publish(t, r, "win", "y").Hash == a.Hash {
		t.Error("the hash is not of the content")
	}
}

func TestDamageIsFound(t *testing.T) {
	damage := map[string]func(dir string) error{
		"changed":  func(dir string) error { return os.WriteFile(filepath.Join(dir, "win.bin"), []byte("onE"), 0o644) },
		"cut":      func(dir string) error { return os.Truncate(filepath.Join(dir, "win.bin"), 1) },
		"gone":     func(dir string) error { return os.Remove(filepath.Join(dir, "win.bin")) },
		"manifest": func(dir string) error { return os.WriteFile(filepath.Join(dir, manifestFile), []byte("{}"), 0o644) },
		"figures": func(dir string) error {
			path := filepath.Join(dir, manifestFile)
			b, err := os.ReadFile(path)
			return errors.Join(err, os.WriteFile(path, bytes.Replace(b, []byte("0.8"), []byte("0.9"), 1), 0o644))
		},
	}
	for name, do := range damage {
		t.Run(name, func(t *testing.T) {
			r := open(t)
			publish(t, r, "win", "one")
			if err := do(filepath.Join(r.Dir(), "win", "v1")); err != nil {
				t.Fatal(err)
			}
			if _, err := r.Load("win", "1"); err == nil || !errors.Is(err, ErrDamaged) && name != "manifest" {
				t.Errorf("loaded: %v", err)
			}
			if _, err := r.Promote("win", "1"); err == nil {
				t.Error("a damaged version was promoted")
			}
		})
	}
}

// What is wrong with a directory of models is said with the version and what to do.
func TestDamageIsNamed(t *testing.T) {
	in := func(r *Registry, path ...string) string {
		return filepath.Join(append([]string{r.Dir(), "win"}, path...)...)
	}
	manifest := func(old, new string) func(*Registry) error {
		return func(r *Registry) error {
			b, err := os.ReadFile(in(r, "v1", manifestFile))
			if !bytes.Contains(b, []byte(old)) {
				return fmt.Errorf("no %s in %s", old, b)
			}
			return errors.Join(err, os.WriteFile(in(r, "v1", manifestFile), bytes.Replace(b, []byte(old), []byte(new), 1), 0o644))
		}
	}
	for _, c := range []struct {
		name string
		do   func(*Registry) error
		call func(*Registry) error
		kind error
		says string
	}{
		{"a moved version", func(r *Registry) error { return os.Rename(in(r), filepath.Join(r.Dir(), "loss")) },
			func(r *Registry) error { _, err := r.Show("loss", "1"); return err }, ErrDamaged, "loss@v1 says it is win; was its directory moved?"},
		{"a manifest that is none", manifest("{", ""), nil, ErrDamaged, "win@v1: "},
		{"a newer manifest", manifest(`"format": 1`, `"format": 2`), nil, nil, "win@v1: manifest.json has format 2, this program reads 1"},
		{"a path for a file", manifest(`"win.bin"`, `"win/bin"`), nil, ErrDamaged, `file "win/bin" in manifest.json`},
		{"another hash", manifest(`"hash": "`, `"hash": "0`), nil, ErrDamaged, "does not have the hash it names"},
		{"a changed file", func(r *Registry) error { return os.WriteFile(in(r, "v1", "win.bin"), []byte("x"), 0o644) }, nil, ErrDamaged,
			"win.bin is not what was published; restore it or promote another version"},
		{"a version in force that is none", func(r *Registry) error { return os.WriteFile(in(r, currentFile), []byte("../v1 x\n"), 0o644) },
			func(r *Registry) error { _, err := r.Current("win"); return err }, ErrDamaged, `"../v1 x" is not a version`},
		{"going back from nothing", func(*Registry) error { return nil }, func(r *Registry) error { _, err := r.Rollback("win"); return err }, ErrNotFound,
			"roll back win: no such model: win has no version in force"},
		{"going back from an unknown one", func(*Registry) error { return nil }, func(r *Registry) error { _, err := r.Rollback("loss"); return err }, ErrNotFound,
			"see 'bellwether models list'"},
	} {
		r := open(t)
		publish(t, r, "win", "one")
		if err := c.do(r); err != nil {
			t.Fatal(err)
		}
		if c.call == nil {
			c.call = func(r *Registry) error { _, err := r.Load("win", "1"); return err }
		}
		if err := c.call(r); err == nil || !strings.Contains(err.Error(), c.says) || c.kind != nil && !errors.Is(err, c.kind) {
			t.Errorf("%s: %v\nwant %q", c.name, err, c.says)
		}
	}
}

// A version whose manifest is damaged does not hide the others: it is listed with
// what is wrong with it, and what to do.
func TestListNamesTheDamaged(t *testing.T) {
	r := open(t)
	want := []Version{publish(t, r, "loss", "a"), publish(t, r, "win", "one"), publish(t, r, "win", "two"), publish(t, r, "win", "three"), publish(t, r, "win", "four")}
	in := func(v string) string { return filepath.Join(r.Dir(), "win", v, manifestFile) }
	b, err := os.ReadFile(in("v3"))
	if err := errors.Join(err, os.WriteFile(in("v1"), []byte("{"), 0o600), os.Remove(in("v2")),
		os.WriteFile(in("v3"), bytes.Replace(b, []byte(`"format": 1`), []byte(`"format": 2`), 1), 0o600)); err != nil {
		t.Fatal(err)
	}
	if _, err := r.Promote("win", "4"); err != nil {
		t.Fatal(err)
	}
	got, err := r.List("")
	if err != nil || len(got) != len(want) {
		t.Fatalf("%+v, %v", got, err)
	}
	for i, says := range []string{"", "restore " + filepath.Join(r.Dir(), "win", "v1") + " from a copy, or remove it", "win@v2: the model's files were changed or damaged: manifest.json is missing", "format 2, this program reads 1", ""} {
		sound := says == ""
		if !sound {
			want[i].Hash = ""
		}
		if got[i].Version != want[i] || got[i].Current != (i == 4) || sound != (got[i].Damaged == "") || sound == got[i].Card.Published.IsZero() || !strings.Contains(got[i].Damaged, says) {
			t.Errorf("listed %+v, want %v with %q", got[i], want[i], says)
		}
	}
	if strings.Contains(got[3].Damaged, "restore") {
		t.Errorf("a newer version is not damaged: %s", got[3].Damaged)
	}
	if _, err := r.Show("win", "1"); !errors.Is(err, ErrDamaged) {
		t.Errorf("shown: %v", err)
	}
}

// Files that are not what was published are found where only lists look.
func TestListsFindDamagedFiles(t *testing.T) {
	r := open(t)
	for range 4 {
		publish(t, r, "win", "one")
	}
	file := func(v string) string { return filepath.Join(r.Dir(), "win", v, "win.bin") }
	if err := errors.Join(os.Truncate(file("v1"), 1), os.Remove(file("v2")), os.WriteFile(file("v3"), []byte("onE"), 0o600)); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		list func(string) ([]Info, error)
		says []string
	}{
		{r.List, []string{"win.bin has 1 bytes, 3 were published; restore ", "win.bin: no such file", "", ""}},
		{r.Audit, []string{"win.bin is not what was published; restore ", "win.bin: no such file", "win.bin is not what was published; restore ", ""}},
	} {
		got, err := c.list("win")
		if err != nil || len(got) != len(c.says) {
			t.Fatalf("%+v, %v", got, err)
		}
		for i, says := range c.says {
			if (got[i].Damaged == "") != (says == "") || !strings.Contains(got[i].Damaged, says) || says != "" && !strings.Contains(got[i].Damaged, got[i].Version.String()+": ") {
				t.Errorf("%v: %q, want %q", got[i].Version, got[i].Damaged, says)
			}
		}
	}
	if _, err := r.Show("win", "2"); !errors.Is(err, ErrDamaged) {
		t.Errorf("shown: %v", err)
	}
}

// A version in force that is gone is not taken for none in force.
func TestTheVersionInForceIsGone(t *testing.T) {
	r := open(t)
	v := publish(t, r, "win", "one")
	if _, err := r.Promote("win", "1"); err != nil {
		t.Fatal(err)
	}
	if err := os.RemoveAll(filepath.Join(r.Dir(), "win", "v1")); err != nil {
		t.Fatal(err)
	}
	for _, call := range []func() error{func() error { _, err := r.Load("win", ""); return err }, func() error { _, err := r.Show("win", "current"); return err }} {
		if err := call(); !errors.Is(err, ErrDamaged) || errors.Is(err, ErrNotFound) || !strings.Contains(err.Error(), v.String()+" is in force and not there") {
			t.Error(err)
		}
	}
	if _, err := r.Load("win", "1"); !errors.Is(err, ErrNotFound) {
		t.Errorf("by its number: %v", err)
	}
}

// A version that cannot be loaded is not gone back to: the one in force stays.
func TestRollbackToDamage(t *testing.T) {
	r := open(t)
	publish(t, r, "win", "one")
	two := publish(t, r, "win", "two")
	for _, v := range []string{"1", "2"} {
		if _, err := r.Promote("win", v); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.Remove(filepath.Join(r.Dir(), "win", "v1", "win.bin")); err != nil {
		t.Fatal(err)
	}
	if _, err := r.Rollback("win"); !errors.Is(err, ErrDamaged) {
		t.Errorf("went back to a damaged version: %v", err)
	}
	if now, err := r.Current("win"); err != nil || now != two {
		t.Errorf("in force %v, %v; want %v", now, err, two)
	}
}

func TestListOfNothing(t *testing.T) {
	r := open(t)
	for _, dir := range []string{"Not a name/v1", "empty"} { // what people leave there is no model
		if err := os.MkdirAll(filepath.Join(r.Dir(), dir), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	for _, name := range []string{"", "win"} {
		if list, err := r.List(name); err != nil || list == nil || len(list) != 0 {
			t.Errorf("List(%q) = %#v, %v; want an empty list", name, list, err)
		}
	}
	if _, err := r.List("../up"); !errors.Is(err, ErrName) {
		t.Errorf("a path for a name: %v", err)
	}
}

func TestBadNames(t *testing.T) {
	r := open(t)
	for _, name := range []string{"", "..", "a/b", "../x", "Win", ".hidden", strings.Repeat("x", 65), "a\x00b", "a b"} {
		if _, err := r.Publish(name, files("x"), Card{}); !errors.Is(err, ErrName) {
			t.Errorf("published as %q: %v", name, err)
		}
		if _, err := r.Current(name); !errors.Is(err, ErrName) {
			t.Errorf("current of %q: %v", name, err)
		}
	}
	for _, file := range []string{"", "../x", "a/b", manifestFile, ".x", "a\nb"} {
		if _, err := r.Publish("win", map[string][]byte{file: nil}, Card{}); !errors.Is(err, ErrName) {
			t.Errorf("file %q: %v", file, err)
		}
	}
	for _, version := range []string{"0", "v0", "x", "../1", "1.5", "9999999999"} {
		if _, err := r.Load("win", version); !errors.Is(err, ErrNotFound) {
			t.Errorf("version %q: %v", version, err)
		}
	}
}

// A writer that died leaves a directory under another name: nobody sees it, and
// once it is old it goes.
func TestHalfWrittenIsInvisible(t *testing.T) {
	r := open(t)
	publish(t, r, "win", "one")
	left := filepath.Join(r.Dir(), "win", newPrefix+"dead")
	if err := os.MkdirAll(left, 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(left, "win.bin"), []byte("ha"), 0o644); err != nil {
		t.Fatal(err)
	}
	if infos, err := r.List("win"); err != nil || len(infos) != 1 {
		t.Errorf("list %v, %v", infos, err)
	}
	if v := publish(t, r, "win", "two"); v.Number != 2 {
		t.Errorf("second is %v", v)
	}
	if _, err := os.Stat(left); err != nil {
		t.Error("a young one may still be written, and was removed")
	}
	old := time.Now().Add(-2 * abandoned)
	if err := os.Chtimes(left, old, old); err != nil {
		t.Fatal(err)
	}
	publish(t, r, "win", "three")
	if _, err := os.Stat(left); !os.IsNotExist(err) {
		t.Errorf("an old one is still there: %v", err)
	}
}

func TestManyPublishersAndReaders(t *testing.T) {
	r := open(t)
	publish(t, r, "win", "first")
	if _, err := r.Promote("win", "1"); err != nil {
		t.Fatal(err)
	}
	const writers, each = 6, 5
	var wg sync.WaitGroup
	errs := make(chan error, 2*writers*each+writers)
	for w := range writers {
		wg.Add(2)
		go func() {
			defer wg.Done()
			for k := range each {
				v, err := r.Publish("win", files(fmt.Sprint(w, k)), Card{})
				if err == nil {
					_, err = r.Promote("win", fmt.Sprint(v.Number))
				}
				errs <- err
			}
		}()
		go func() {
			defer wg.Done()
			for range each {
				_, err := r.Load("win", "")
				errs <- err
			}
		}()
	}
	wg.Wait()
	close(errs)
	for err := range errs {
		if err != nil {
			t.Fatal(err)
		}
	}
	infos, err := r.List("win")
	if err != nil || len(infos) != writers*each+1 || infos[len(infos)-1].Number != len(infos) {
		t.Errorf("%d versions, %v", len(infos), err)
	}
	line, err := r.line("win")
	if err != nil || len(line) != len(infos) {
		t.Errorf("%d versions were in force one after another, remembered %d, %v", len(infos), len(line), err)
	}
}

func TestExportImport(t *testing.T) {
	r, other := open(t), open(t)
	v := publish(t, r, "win", "one")
	var a, b bytes.Buffer
	for _, buffer := range []*bytes.Buffer{&a, &b} {
		if got, err := r.Export(buffer, "win", "1"); err != nil || got != v {
			t.Fatalf("%v, %v", got, err)
		}
	}
	if !bytes.Equal(a.Bytes(), b.Bytes()) {
		t.Error("two exports differ")
	}
	publish(t, other, "win", "something else")
	got, err := other.Import(bytes.NewReader(a.Bytes()), "")
	if err != nil || got.String() != "win@v2" || got.Hash != v.Hash {
		t.Fatalf("%v, %v", got, err)
	}
	if again, err := other.Import(bytes.NewReader(a.Bytes()), ""); err != nil || again != got {
		t.Errorf("imported again as %v, %v", again, err)
	}
	if named, err := other.Import(bytes.NewReader(a.Bytes()), "copy"); err != nil || named.String() != "copy@v1" || named.Hash != v.Hash {
		t.Errorf("under another name: %v, %v", named, err)
	}
	loaded, err := other.Load("copy", "1")
	if err != nil || string(loaded.Files["win.bin"]) != "one" || loaded.Card.Learner != "gbdt" {
		t.Errorf("%+v, %v", loaded, err)
	}
	if _, err := other.Import(bytes.NewReader(a.Bytes()), "../up"); !errors.Is(err, ErrName) {
		t.Errorf("a path for a name: %v", err)
	}
	for _, n := range []int{0, 10, a.Len() / 2, a.Len() - 5} {
		if _, err := open(t).Import(bytes.NewReader(a.Bytes()[:n]), ""); err == nil {
			t.Errorf("cut to %d bytes, imported", n)
		}
	}
}

// repack rewrites an archive, entry by entry, and puts one more behind if more
// names it.
func repack(t testing.TB, archive []byte, more string, change func(h *tar.Header, b []byte) []byte) []byte {
	t.Helper()
	zip, err := gzip.NewReader(bytes.NewReader(archive))
	if err != nil {
		t.Fatal(err)
	}
	in := tar.NewReader(zip)
	var out bytes.Buffer
	to := gzip.NewWriter(&out)
	w := tar.NewWriter(to)
	for {
		h, err := in.Next()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			t.Fatal(err)
		}
		b, _ := io.ReadAll(in)
		b = change(h, b)
		h.Size = int64(len(b))
		if err := w.WriteHeader(h); err != nil {
			t.Fatal(err)
		}
		if _, err := w.Write(b); err != nil {
			t.Fatal(err)
		}
	}
	if more != "" {
		if err := w.WriteHeader(&tar.Header{Name: more, Mode: 0o644}); err != nil {
			t.Fatal(err)
		}
	}
	if err := errors.Join(w.Close(), to.Close()); err != nil {
		t.Fatal(err)
	}
	return out.Bytes()
}

func TestHostileArchives(t *testing.T) {
	r := open(t)
	publish(t, r, "win", "one")
	var a bytes.Buffer
	if _, err := r.Export(&a, "win", "1"); err != nil {
		t.Fatal(err)
	}
	hostile := map[string]func(h *tar.Header, b []byte) []byte{
		"traversal": func(h *tar.Header, b []byte) []byte {
			if h.Name == "win.bin" {
				h.Name = "../../escaped"
			}
			return b
		},
		"absolute": func(h *tar.Header, b []byte) []byte {
			if h.Name == "win.bin" {
				h.Name = "/tmp/escaped"
			}
			return b
		},
		"link": func(h *tar.Header, b []byte) []byte {
			if h.Name == "win.bin" {
				h.Typeflag, h.Linkname = tar.TypeSymlink, "/etc/passwd"
				return nil
			}
			return b
		},
		"changed": func(h *tar.Header, b []byte) []byte {
			if h.Name == "win.bin" {
				return []byte("two")
			}
			return b
		},
		"stowaway": func(h *tar.Header, b []byte) []byte {
			if h.Name == "card.md" {
				h.Name = "other.md"
			}
			return b
		},
		"name in manifest": func(h *tar.Header, b []byte) []byte {
			if h.Name == manifestFile {
				return bytes.Replace(b, []byte(`"name": "win"`), []byte(`"name": "../w"`), 1)
			}
			return b
		},
	}
	for name, change := range hostile {
		t.Run(name, func(t *testing.T) {
			to := open(t)
			v, err := to.Import(bytes.NewReader(repack(t, a.Bytes(), "", change)), "")
			if err == nil {
				t.Fatalf("imported as %v", v)
			}
			if isName := name == "traversal" || name == "absolute" || name == "link"; isName && !errors.Is(err, ErrName) {
				t.Errorf("refused too late: %v", err)
			}
			if left, _ := filepath.Glob(filepath.Join(to.Dir(), "*", "*")); len(left) != 0 {
				t.Errorf("left behind: %v", left)
			}
		})
	}
}

func TestStowaways(t *testing.T) {
	r := open(t)
	publish(t, r, "win", "one")
	var a bytes.Buffer
	if _, err := r.Export(&a, "win", "1"); err != nil {
		t.Fatal(err)
	}
	same := func(_ *tar.Header, b []byte) []byte { return b }
	if _, err := open(t).Import(bytes.NewReader(repack(t, a.Bytes(), "", same)), ""); err != nil {
		t.Fatalf("packed again: %v", err)
	}
	for _, more := range []string{"stowaway", "win.bin"} {
		if _, err := open(t).Import(bytes.NewReader(repack(t, a.Bytes(), more, same)), ""); err == nil {
			t.Errorf("%s came along", more)
		}
	}
}

func FuzzImport(f *testing.F) {
	r := open(f)
	publish(f, r, "win", "one")
	var a bytes.Buffer
	if _, err := r.Export(&a, "win", "1"); err != nil {
		f.Fatal(err)
	}
	zip, err := gzip.NewReader(&a)
	if err != nil {
		f.Fatal(err)
	}
	plain, err := io.ReadAll(zip)
	if err != nil {
		f.Fatal(err)
	}
	f.Add(plain)
	f.Add([]byte{})
	f.Fuzz(func(t *testing.T, plain []byte) {
		files, err := readTar(bytes.NewReader(plain))
		if err != nil {
			return
		}
		m, err := verified(files)
		if err != nil {
			return
		}
		for name := range files {
			if name != filepath.Base(name) || strings.HasPrefix(name, ".") {
				t.Fatalf("took a file called %q", name)
			}
		}
		if m.sum() != m.Hash || len(m.Files) != len(files) {
			t.Fatal("took what its manifest does not cover")
		}
	})
}

func TestSplitRef(t *testing.T) {
	for ref, want := range map[string][2]string{"win": {"win", ""}, "win@v3": {"win", "v3"}, "win@3": {"win", "3"}} {
		if name, version := SplitRef(ref); name != want[0] || version != want[1] {
			t.Errorf("%s: %s, %s", ref, name, version)
		}
	}
}

func BenchmarkCurrent(b *testing.B) {
	r := open(b)
	publish(b, r, "win", "one")
	if _, err := r.Promote("win", "1"); err != nil {
		b.Fatal(err)
	}
	for b.Loop() {
		if _, err := r.Current("win"); err != nil {
			b.Fatal(err)
		}
	}
}
