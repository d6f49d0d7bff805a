package skill

import (
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"

	"github.com/google/go-cmp/cmp"

	"yardmaster/internal/errs"
)

func makeTree(t testing.TB, files map[string]string) *Tree {
	t.Helper()
	tree := NewTree()
	for p, text := range files {
		if err := tree.Add(p, []byte(text), script([]byte(text))); err != nil {
			t.Fatal(err)
		}
	}
	return tree
}

func openStore(t testing.TB, dir string) *Store {
	t.Helper()
	s, err := OpenStore(dir)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = s.Close() })
	return s
}

var sample = map[string]string{
	"SKILL.md": okDocument, "scripts/run.py": "#!/usr/bin/env python3\n", "scripts/lib/a.py": "a", "assets/data/x.csv": "1,2", "assets/data/y.csv": "3", "assets/logo.svg": "<svg/>",
}

func TestStore(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	s := openStore(t, filepath.Join(dir, "skills"))
	tree := makeTree(t, sample)
	files, digest, err := s.Put(tree)
	if err != nil {
		t.Fatal(err)
	}
	if wantFiles, want := tree.Manifest(); digest != want || !cmp.Equal(files, wantFiles) {
		t.Errorf("stored as %s, want %s", digest, want)
	}
	if _, again, err := s.Put(makeTree(t, sample)); err != nil || again != digest {
		t.Errorf("the second time: %s, %v", again, err)
	}
	fsys, err := s.Open(digest)
	if err != nil {
		t.Fatal(err)
	}
	for p, text := range sample {
		data, err := fs.ReadFile(fsys, p)
		if err != nil || string(data) != text {
			t.Errorf("%s: %q, %v", p, data, err)
		}
		info, err := fs.Stat(fsys, p)
		if err != nil || info.Mode() != fileMode(strings.HasPrefix(text, "#!")) {
			t.Errorf("%s: %v, %v", p, info.Mode(), err)
		}
	}
	loaded, err := s.Load(digest)
	if err != nil {
		t.Fatal(err)
	}
	if _, got := loaded.Manifest(); got != digest {
		t.Errorf("loaded %s, want %s", got, digest)
	}
	for _, bad := range []string{"", "sha256:", "sha256:..", digest + "0", "sha256:" + strings.Repeat("0", 64), "md5:" + digest[7:]} {
		if _, err := s.Open(bad); !errs.Is(err, errs.NotFound) {
			t.Errorf("Open(%q): %v", bad, err)
		}
	}
}

func TestStoreDigestDependsOnEverything(t *testing.T) {
	t.Parallel()
	base := func() map[string]string { return map[string]string{"SKILL.md": "a", "b": "c"} }
	digests := map[string]string{}
	note := func(what string, tree *Tree) {
		_, d := tree.Manifest()
		if other, ok := digests[d]; ok {
			t.Errorf("%s has the digest of %s", what, other)
		}
		digests[d] = what
	}
	note("base", makeTree(t, base()))
	m := base()
	m["b"] = "d"
	note("other content", makeTree(t, m))
	m = base()
	delete(m, "b")
	m["B"] = "c"
	note("other path", makeTree(t, m))
	tree := makeTree(t, map[string]string{"SKILL.md": "a"})
	if err := tree.Add("b", []byte("c"), true); err != nil {
		t.Fatal(err)
	}
	note("executable", tree)
}

// TestStoreAfterCrash leaves what a crash between two files leaves.
func TestStoreAfterCrash(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	s := openStore(t, dir)
	tree := makeTree(t, sample)
	files, digest := tree.Manifest()
	if err := s.write(tempPrefix+"crashed", tree, files[:3]); err != nil {
		t.Fatal(err)
	}
	if s.Has(digest) {
		t.Fatal("half a version is there")
	}
	_, other, err := s.Put(makeTree(t, map[string]string{"SKILL.md": "kept"}))
	if err != nil {
		t.Fatal(err)
	}
	again := openStore(t, dir)
	if got := entries(t, dir); len(got) != 1 || digestPrefix+got[0] != other {
		t.Errorf("after the start: %q", got)
	}
	if _, _, err := again.Put(tree); err != nil || !again.Has(digest) {
		t.Errorf("storing it again: %v", err)
	}
	if err := again.Retain([]string{digest}); err != nil {
		t.Fatal(err)
	}
	if again.Has(other) || !again.Has(digest) {
		t.Error("Retain kept the wrong one")
	}
}

func entries(t testing.TB, dir string) []string {
	t.Helper()
	list, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for _, e := range list {
		names = append(names, e.Name())
	}
	return names
}

func TestStoreConcurrentPuts(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	s := openStore(t, dir)
	var wg sync.WaitGroup
	failed := make([]error, 16)
	for i := range failed {
		wg.Go(func() {
			_, _, failed[i] = s.Put(makeTree(t, map[string]string{"SKILL.md": fmt.Sprint(i % 3)}))
		})
	}
	wg.Wait()
	for _, err := range failed {
		if err != nil {
			t.Error(err)
		}
	}
	if got := entries(t, dir); len(got) != 3 {
		t.Errorf("%q", got)
	}
}

// tree lists the files below a folder with their modes.
func listTree(t testing.TB, dir string) map[string]fs.FileMode {
	t.Helper()
	got := map[string]fs.FileMode{}
	err := filepath.WalkDir(dir, func(p string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		info, err := d.Info()
		if err != nil {
			return err
		}
		rel, err := filepath.Rel(dir, p)
		if rel != "." {
			got[rel] = info.Mode()
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return got
}

func TestPlace(t *testing.T) {
	t.Parallel()
	for _, copyOnly := range []bool{false, true} {
		t.Run(fmt.Sprintf("copyOnly=%t", copyOnly), func(t *testing.T) {
			t.Parallel()
			base := t.TempDir()
			s := openStore(t, filepath.Join(base, "store"))
			s.CopyOnly = copyOnly
			_, digest, err := s.Put(makeTree(t, sample))
			if err != nil {
				t.Fatal(err)
			}
			target := filepath.Join(base, "skills")
			dir := openRoot(t, target)
			place := func(digest, name string, withhold ...string) {
				t.Helper()
				if err := s.Place(digest, dir, name, withhold); err != nil {
					t.Fatal(err)
				}
			}
			place(digest, "x")
			d, f, x := fs.ModeDir|0o755, fs.FileMode(0o444), fs.FileMode(0o555)
			want := map[string]fs.FileMode{"x": d, "x/SKILL.md": f, "x/scripts": d, "x/scripts/run.py": x, "x/scripts/lib": d, "x/scripts/lib/a.py": f,
				"x/assets": d, "x/assets/data": d, "x/assets/data/x.csv": f, "x/assets/data/y.csv": f, "x/assets/logo.svg": f}
			if d := cmp.Diff(want, listTree(t, target)); d != "" {
				t.Error(d)
			}
			linked := links(t, filepath.Join(target, "x/SKILL.md")) > 1
			if linked == copyOnly {
				t.Errorf("linked: %t", linked)
			}

			// Another version takes the place of the first, with less in it.
			place(digest, "x", "assets/data/x.csv", "scripts/**/*.py")
			for _, gone := range []string{"x/assets/data/x.csv", "x/scripts", "x/scripts/run.py", "x/scripts/lib", "x/scripts/lib/a.py"} {
				delete(want, gone)
			}
			if d := cmp.Diff(want, listTree(t, target)); d != "" {
				t.Error(d)
			}
			place(digest, "x", "assets", "./scripts/*")
			for p := range want {
				if strings.HasPrefix(p, "x/assets") {
					delete(want, p)
				}
			}
			if d := cmp.Diff(want, listTree(t, target)); d != "" {
				t.Error(d)
			}
			if err := s.Remove(dir, "x"); err != nil {
				t.Fatal(err)
			}
			if err := s.Remove(dir, "x"); err != nil {
				t.Errorf("the second time: %v", err)
			}
			if got := listTree(t, target); len(got) != 0 {
				t.Errorf("left: %v", got)
			}
			if !s.Has(digest) {
				t.Error("removing took it from the store")
			}
			if _, err := s.Load(digest); err != nil {
				t.Error(err)
			}
		})
	}
}

func openRoot(t testing.TB, dir string) *os.Root {
	t.Helper()
	if err := os.MkdirAll(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	r, err := os.OpenRoot(dir)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = r.Close() })
	return r
}

func links(t testing.TB, file string) uint64 {
	t.Helper()
	info, err := os.Stat(file)
	if err != nil {
		t.Fatal(err)
	}
	return uint64(info.Sys().(*syscall.Stat_t).Nlink)
}

func TestPlaceRefuses(t *testing.T) {
	t.Parallel()
	base := t.TempDir()
	s := openStore(t, filepath.Join(base, "store"))
	_, digest, err := s.Put(makeTree(t, sample))
	if err != nil {
		t.Fatal(err)
	}
	dir := openRoot(t, filepath.Join(base, "skills"))
	for _, name := range []string{"", ".", "..", "a/b", "../x", "A", "-x", ".hidden", "a\x00"} {
		if err := s.Place(digest, dir, name, nil); !errs.Is(err, errs.Invalid) {
			t.Errorf("Place as %q: %v", name, err)
		}
		if err := s.Remove(dir, name); !errs.Is(err, errs.Invalid) {
			t.Errorf("Remove %q: %v", name, err)
		}
	}
	if err := s.Place(digest, dir, "x", []string{"a[b"}); !errs.Is(err, errs.Invalid) {
		t.Errorf("bad pattern: %v", err)
	}
	if err := s.Place("sha256:"+strings.Repeat("0", 64), dir, "x", nil); !errs.Is(err, errs.NotFound) {
		t.Errorf("unknown digest: %v", err)
	}
	// Content that somebody changed on the disk goes nowhere.
	h, _ := hexOf(digest)
	if err := s.root.Remove(h + "/assets/logo.svg"); err != nil {
		t.Fatal(err)
	}
	if err := s.Place(digest, dir, "x", nil); !errs.Is(err, errs.Internal) {
		t.Errorf("changed content: %v", err)
	}
	if got := entries(t, filepath.Join(base, "skills")); len(got) != 0 {
		t.Errorf("left: %q", got)
	}
}

func TestWithheld(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct {
		glob string
		want []string
	}{
		{"assets/*", []string{"assets/a.csv", "assets/d/b.csv"}},
		{"assets/*.csv", []string{"assets/a.csv"}},
		{"**/*.csv", []string{"assets/a.csv", "assets/d/b.csv", "c.csv"}},
		{"assets/**", []string{"assets/a.csv", "assets/d/b.csv"}},
		{"./c.csv", []string{"c.csv"}},
		{"**/d", []string{"assets/d/b.csv"}},
		{"*", []string{"assets/a.csv", "assets/d/b.csv", "c.csv"}},
		{"d", nil},
		{"assets/*/x", nil},
	} {
		var got []string
		for _, p := range []string{"assets/a.csv", "assets/d/b.csv", "c.csv"} {
			if withheld([]string{"none", tc.glob}, p) {
				got = append(got, p)
			}
		}
		if !slices.Equal(got, tc.want) {
			t.Errorf("%s: %q, want %q", tc.glob, got, tc.want)
		}
	}
}
