package app_test

import (
	"go/parser"
	"go/token"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

const (
	root   = "../.."
	module = "yardmaster/"
)

// seen is what the surfaces may know of the rest. A name is added here only when the three sentences of ARCHITECTURE.md
// allow it: surfaces know operations and events, never a domain package.
var seen = map[string][]string{
	"server": {"errs", "id", "op", "event", "uistream"},
	"cli":    {"errs", "config", "op", "catalog", "app"},
}

// imports reads which packages of this module each package of it imports, tests apart. It parses the files in this process
// and asks no tool, whose answer could be one remembered from before.
func imports(t *testing.T) map[string][]string {
	t.Helper()
	out := map[string][]string{}
	err := filepath.WalkDir(root, func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if d.IsDir() {
			if name := d.Name(); name == "testdata" || name == "node_modules" || len(name) > 2 && name[0] == '.' {
				return filepath.SkipDir
			}
			return nil
		}
		if !strings.HasSuffix(path, ".go") || strings.HasSuffix(path, "_test.go") {
			return nil
		}
		f, err := parser.ParseFile(token.NewFileSet(), path, nil, parser.ImportsOnly)
		if err != nil {
			return err
		}
		rel, err := filepath.Rel(root, filepath.Dir(path))
		if err != nil {
			return err
		}
		pkg := filepath.ToSlash(rel)
		out[pkg] = append(out[pkg], []string{}...)
		for _, spec := range f.Imports {
			p, err := strconv.Unquote(spec.Path.Value)
			if err != nil {
				return err
			}
			if in, ok := strings.CutPrefix(p, module); ok && !slices.Contains(out[pkg], in) {
				out[pkg] = append(out[pkg], in)
			}
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	if len(out["internal/app"]) == 0 {
		t.Fatal("the imports of internal/app were not found; the test looks in the wrong place")
	}
	return out
}

// column is where a line of the layout turns from names to words about them.
const column = 29

// order reads the layout in ARCHITECTURE.md: package → its place from above. A deeper line holds packages below the last
// name of the line above it, and stands at that line's place.
func order(t *testing.T) map[string]int {
	t.Helper()
	raw, err := os.ReadFile(filepath.Join(root, "ARCHITECTURE.md"))
	if err != nil {
		t.Fatal(err)
	}
	_, layout, _ := strings.Cut(string(raw), "## Layout")
	_, layout, _ = strings.Cut(layout, "\ninternal/\n")
	layout, _, ok := strings.Cut(layout, "```")
	if !ok {
		t.Fatal("ARCHITECTURE.md has no layout of internal/")
	}
	places := map[string]int{}
	parent := ""
	for i, line := range strings.Split(layout, "\n") {
		body := strings.TrimLeft(line, " ")
		indent := len(line) - len(body)
		if body == "" || indent == 0 {
			continue
		}
		for _, w := range strings.Fields(line[:min(column, len(line))]) {
			name := w
			if indent > 2 {
				name = parent + "/" + w
				places[name] = places[parent]
				continue
			}
			places[name] = i
			parent = name
		}
	}
	return places
}

func TestLayoutOrder(t *testing.T) {
	t.Parallel()
	places := order(t)
	if places["errs"] >= places["db"] || places["fleet"] >= places["catalog"] || places["server"] >= places["app"] {
		t.Fatalf("the layout was not understood: %v", places)
	}
	place := func(pkg string) (int, bool) {
		for {
			if n, ok := places[pkg]; ok {
				return n, true
			}
			i := strings.LastIndexByte(pkg, '/')
			if i < 0 {
				return 0, false
			}
			pkg = pkg[:i]
		}
	}
	all := imports(t)
	for _, pkg := range slices.Sorted(maps.Keys(all)) {
		own, ok := strings.CutPrefix(pkg, "internal/")
		if !ok {
			continue
		}
		at, ok := place(own)
		if !ok {
			t.Errorf("internal/%s is not in the layout of ARCHITECTURE.md", own)
			continue
		}
		for _, in := range all[pkg] {
			other, ok := strings.CutPrefix(in, "internal/")
			if !ok {
				continue
			}
			// On one line, the names that stand first may be imported by those behind them.
			if n, _ := place(other); n > at && !slices.Contains(seen[own], other) {
				t.Errorf("internal/%s imports internal/%s, which stands below it in ARCHITECTURE.md", own, other)
			}
		}
	}
}

func TestSurfacesKnowOperationsOnly(t *testing.T) {
	t.Parallel()
	all := imports(t)
	for surface, allowed := range seen {
		var known []string
		for pkg, in := range all {
			if pkg != "internal/"+surface && !strings.HasPrefix(pkg, "internal/"+surface+"/") {
				continue
			}
			for _, p := range in {
				p = strings.TrimPrefix(p, "internal/")
				if !slices.Contains(known, p) && !strings.HasPrefix(p, surface+"/") {
					known = append(known, p)
				}
			}
		}
		slices.Sort(known)
		slices.Sort(allowed)
		if diff := cmp.Diff(allowed, known); diff != "" {
			t.Errorf("what %s knows (-may +does):\n%s", surface, diff)
		}
	}
}

// Only app knows every concrete type: nobody but it, the command line and tests put the program together.
func TestOnlyTheTopKnowsApp(t *testing.T) {
	t.Parallel()
	may := []string{"internal/cli", "internal/app/apptest", "bench"}
	for pkg, in := range imports(t) {
		if slices.Contains(in, "internal/app") && !slices.Contains(may, pkg) {
			t.Errorf("%s imports internal/app", pkg)
		}
	}
}

// A table has one owner: only files named sql*.go speak SQL about tables, and each table is spoken of in one package.
func TestTablesHaveOneOwner(t *testing.T) {
	t.Parallel()
	tables := map[string]string{} // table → file that makes it
	dir := filepath.Join(root, "internal", "db", "migrations")
	files, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	made := regexp.MustCompile(`(?i)CREATE TABLE (?:IF NOT EXISTS )?([a-z_]+)`)
	for _, f := range files {
		raw, err := os.ReadFile(filepath.Join(dir, f.Name()))
		if err != nil {
			t.Fatal(err)
		}
		for _, m := range made.FindAllStringSubmatch(string(raw), -1) {
			tables[m[1]] = f.Name()
		}
	}
	if len(tables) < 10 {
		t.Fatalf("only %d tables were found", len(tables))
	}
	used := regexp.MustCompile(`(?:FROM|JOIN|INTO|UPDATE|DELETE FROM) ([a-z_]+)`)
	owners := map[string][]string{}
	err = filepath.WalkDir(filepath.Join(root, "internal"), func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() || !strings.HasSuffix(path, ".go") || strings.HasSuffix(path, "_test.go") {
			return err
		}
		raw, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		for _, m := range used.FindAllStringSubmatch(string(raw), -1) {
			pkg := filepath.Base(filepath.Dir(path))
			if tables[m[1]] != "" && !slices.Contains(owners[m[1]], pkg) {
				owners[m[1]] = append(owners[m[1]], pkg)
			}
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	for table, in := range tables {
		if len(owners[table]) > 1 {
			t.Errorf("the table %s (%s) is touched by %v", table, in, owners[table])
		}
	}
}
