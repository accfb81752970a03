package bellwether_test

import (
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"path/filepath"
	"strings"
	"testing"
)

// forbidden calls, each with the few folders that are its home and why. The
// floors below the engine are pure: clock, chance and output come in as values.
var forbidden = []struct {
	call  string // package.Function, or package.* for all
	why   string
	homes []string
}{
	{"time.Now", "the clock is a value below the engine, so that a month replays without it", []string{"cmd/", "serving/"}},
	{"time.Sleep", "nothing waits for time below the engine", []string{"cmd/", "serving/"}},
	{"fmt.Print", "commands print to the streams they are given", nil},
	{"fmt.Println", "commands print to the streams they are given", nil},
	{"fmt.Printf", "commands print to the streams they are given", nil},
	{"log.*", "log/slog, handed in", nil},
	{"rand.Int", "chance comes from a seeded source", nil},
	{"rand.IntN", "chance comes from a seeded source", nil},
	{"rand.Float64", "chance comes from a seeded source", nil},
	{"rand.Perm", "chance comes from a seeded source", nil},
	{"rand.Shuffle", "chance comes from a seeded source", nil},
	{"debug.FreeOSMemory", "memory is given back once, after a load, and what nobody used", []string{"cmd/bellwether/serve.go", "features/pages_linux.go"}},
	{"os.Exit", "only main ends the program", []string{"cmd/bellwether/main.go"}},
}

func TestForbiddenCalls(t *testing.T) {
	eachSource(t, func(path string, fset *token.FileSet, file *ast.File) {
		std := stdlibNames(file)
		ast.Inspect(file, func(n ast.Node) bool {
			sel, ok := n.(*ast.SelectorExpr)
			if !ok {
				return true
			}
			pkg, ok := sel.X.(*ast.Ident)
			if !ok || !std[pkg.Name] {
				return true
			}
			for _, f := range forbidden {
				p, name, _ := strings.Cut(f.call, ".")
				if p == pkg.Name && (name == "*" || name == sel.Sel.Name) && !atHome(path, f.homes) {
					t.Errorf("%s: %s.%s: %s", fset.Position(sel.Pos()), pkg.Name, sel.Sel.Name, f.why)
				}
			}
			return true
		})
	})
}

// pure packages start no goroutine, save inside a Fit or a Replay that waits.
func TestGoroutinesHaveHomes(t *testing.T) {
	homes := []string{"cmd/", "serving/", "datasets/", "models/gbdt/", "features/replay"}
	eachSource(t, func(path string, fset *token.FileSet, file *ast.File) {
		ast.Inspect(file, func(n ast.Node) bool {
			if g, ok := n.(*ast.GoStmt); ok && !atHome(path, homes) {
				t.Errorf("%s: a goroutine outside %s", fset.Position(g.Pos()), strings.Join(homes, ", "))
			}
			return true
		})
	})
}

func atHome(path string, homes []string) bool {
	for _, h := range homes {
		if strings.HasPrefix(path, h) {
			return true
		}
	}
	return false
}

// stdlibNames returns the names under which a file knows the standard packages
// of the forbidden list.
func stdlibNames(file *ast.File) map[string]bool {
	names := map[string]bool{}
	for _, imp := range file.Imports {
		switch path := strings.Trim(imp.Path.Value, `"`); path {
		case "time", "fmt", "log", "os", "math/rand", "math/rand/v2", "runtime/debug":
			name := strings.TrimSuffix(path, "/v2")
			names[name[strings.LastIndex(name, "/")+1:]] = true
		}
	}
	return names
}

// eachSource calls f for every file of ours that is neither a test nor
// generated.
func eachSource(t *testing.T, f func(path string, fset *token.FileSet, file *ast.File)) {
	t.Helper()
	seen := 0
	err := filepath.WalkDir(".", func(path string, d fs.DirEntry, err error) error {
		switch {
		case err != nil:
			return err
		case d.IsDir() && (strings.HasPrefix(d.Name(), ".") && path != "." || d.Name() == "testdata" || path == "serving/gen" || path == "tools"):
			return filepath.SkipDir
		case d.IsDir() || !strings.HasSuffix(path, ".go") || strings.HasSuffix(path, "_test.go"):
			return nil
		}
		fset := token.NewFileSet()
		file, err := parser.ParseFile(fset, path, nil, parser.ParseComments)
		if err != nil {
			return err
		}
		seen++
		f(filepath.ToSlash(path), fset, file)
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	if seen == 0 {
		t.Fatal("found no source: the test looks in the wrong place")
	}
}
