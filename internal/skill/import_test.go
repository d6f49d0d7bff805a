package skill

import (
	"context"
	"io/fs"
	"net/http"
	"net/http/cgi"
	"net/http/httptest"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"sort"
	"strings"
	"syscall"
	"testing"
	"testing/fstest"
	"time"

	"github.com/go-git/go-git/v5"
	"github.com/go-git/go-git/v5/plumbing"
	"github.com/go-git/go-git/v5/plumbing/object"
	"github.com/google/go-cmp/cmp"

	"yardmaster/internal/errs"
)

func TestParseSource(t *testing.T) {
	t.Parallel()
	for in, want := range map[string]Source{
		"https://h.example/r.git":                         {URL: "https://h.example/r.git"},
		"https://h.example/r#v1//skills/x":                {URL: "https://h.example/r", Ref: "v1", Path: "skills/x"},
		"https://h.example/r.git//skills/x#feature/a":     {URL: "https://h.example/r.git", Ref: "feature/a", Path: "skills/x"},
		"https://github.com/o/r/tree/main/skills/pdf":     {URL: "https://github.com/o/r", Ref: "main", Path: "skills/pdf"},
		"https://github.com/o/r/blob/main/a/SKILL.md":     {URL: "https://github.com/o/r", Ref: "main", Path: "a"},
		"https://github.com/o/r/blob/main/SKILL.md":       {URL: "https://github.com/o/r", Ref: "main"},
		"https://gitlab.example/g/s/r/-/tree/v2/skills/x": {URL: "https://gitlab.example/g/s/r", Ref: "v2", Path: "skills/x"},
		"anthropics/skills":                               {URL: "https://github.com/anthropics/skills"},
		"o/r/skills/pdf#dev":                              {URL: "https://github.com/o/r", Ref: "dev", Path: "skills/pdf"},
		"o/r@pdf":                                         {URL: "https://github.com/o/r", Skill: "pdf"},
		"o/r.git#dev//a":                                  {URL: "https://github.com/o/r", Ref: "dev", Path: "a"},
		"/srv/skill":                                      {Local: "/srv/skill"},
		"/srv/skill.zip":                                  {Local: "/srv/skill.zip"},
		"/srv/repo#main":                                  {Local: "/srv/repo", Ref: "main", Git: true},
		"file:///srv/repo.git#main//a":                    {Local: "/srv/repo.git", Ref: "main", Path: "a", Git: true},
		" https://h.example/x.skill ":                     {URL: "https://h.example/x.skill"},
	} {
		got, err := ParseSource(in)
		if err != nil {
			t.Errorf("%s: %v", in, err)
		} else if d := cmp.Diff(want, got); d != "" {
			t.Errorf("%s: %s", in, d)
		}
	}
	for in, says := range map[string]string{
		"": "empty", "git@github.com:o/r.git": "https only", "ssh://h/r": "https only", "./a": "whole path", "~/a": "whole path", "word": "none of",
		"https://user:pass@h.example/r": "password", "https://": "not a URL", "https://h.example/r#--upload-pack=x": "can't be a branch", "o/r#a..b": "can't be a branch",
		"https://h.example/r//../x": "must stay", "o/r/a//b": "two paths", "file://relative": "whole path", "-x/y": "none of", "a/b c": "none of",
	} {
		if _, err := ParseSource(in); !errs.Is(err, errs.Invalid) || !strings.Contains(err.Error(), says) {
			t.Errorf("%q: %v, want one that says %q", in, err, says)
		}
	}
}

func TestDiscover(t *testing.T) {
	t.Parallel()
	doc := &fstest.MapFile{Data: []byte(okDocument)}
	for name, tc := range map[string]struct {
		files []string
		want  string
	}{
		"root":                       {[]string{"SKILL.md", "skills/a/SKILL.md"}, "."},
		"lower case":                 {[]string{"skill.md"}, "."},
		"container":                  {[]string{"skills/b/SKILL.md", "skills/a/SKILL.md", "other/c/SKILL.md"}, "skills/a skills/b"},
		"hidden containers":          {[]string{"skills/.curated/a/SKILL.md", ".agents/skills/b/SKILL.md"}, ".agents/skills/b skills/.curated/a"},
		"anywhere":                   {[]string{"one/two/three/four/SKILL.md", "node_modules/x/SKILL.md", ".git/x/SKILL.md", "dist/y/SKILL.md"}, "one/two/three/four"},
		"too deep":                   {[]string{"1/2/3/4/5/6/SKILL.md"}, ""},
		"not within another":         {[]string{"skills/a/SKILL.md", "skills/a/examples/SKILL.md"}, "skills/a"},
		"other spellings and no dir": {[]string{"Skill.md", "skills"}, ""},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			fsys := fstest.MapFS{}
			for _, f := range tc.files {
				fsys[f] = doc
			}
			got, err := Discover(fsys)
			if err != nil || strings.Join(got, " ") != tc.want {
				t.Errorf("%q, %v, want %q", got, err, tc.want)
			}
		})
	}
}

func writeFiles(t testing.TB, dir string, files map[string]string) {
	t.Helper()
	for p, text := range files {
		name := filepath.Join(dir, p)
		if err := os.MkdirAll(filepath.Dir(name), 0o755); err != nil {
			t.Fatal(err)
		}
		mode := fs.FileMode(0o644)
		if strings.HasPrefix(text, "#!") {
			mode = 0o755
		}
		if err := os.WriteFile(name, []byte(text), mode); err != nil {
			t.Fatal(err)
		}
	}
}

func importFrom(t testing.TB, m *Importer, source string) (*Imported, error) {
	t.Helper()
	src, err := ParseSource(source)
	if err != nil {
		t.Fatal(err)
	}
	return m.Import(t.Context(), src)
}

func TestImportFolder(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	m := &Importer{LocalRoots: []string{dir}}
	skill := filepath.Join(dir, "repo/skills/x")
	writeFiles(t, skill, sample)
	writeFiles(t, skill, map[string]string{".git/config": "junk", "__pycache__/a.pyc": "junk"})
	_, want := makeTree(t, sample).Manifest()
	for _, source := range []string{skill, filepath.Join(dir, "repo"), filepath.Join(dir, "repo/skills")} {
		in, err := importFrom(t, m, source)
		if err != nil {
			t.Fatalf("%s: %v", source, err)
		}
		if _, got := in.Tree.Manifest(); got != want || in.Folder != "x" {
			t.Errorf("%s: %s in %q, want %s", source, got, in.Folder, want)
		}
	}
	zipFile := filepath.Join(dir, "x.zip")
	if err := os.WriteFile(zipFile, makeZip(t, zipEntry{name: "SKILL.md", data: okDocument}), 0o600); err != nil {
		t.Fatal(err)
	}
	if in, err := importFrom(t, m, zipFile); err != nil || in.Tree.Len() != 1 {
		t.Errorf("zip: %+v, %v", in, err)
	}
	writeFiles(t, dir, map[string]string{"repo/skills/y/SKILL.md": okDocument})
	if _, err := importFrom(t, m, filepath.Join(dir, "repo")); !errs.Is(err, errs.Invalid) || !strings.Contains(err.Error(), "skills/x, skills/y") {
		t.Errorf("two skills: %v", err)
	}
	for source, code := range map[string]errs.Code{
		"/etc/hostname": errs.Forbidden, filepath.Dir(dir): errs.Forbidden, filepath.Join(dir, "none"): errs.Invalid, filepath.Join(dir, "../.."): errs.Forbidden,
	} {
		if _, err := importFrom(t, m, source); !errs.Is(err, code) {
			t.Errorf("%s: %v, want %s", source, err, code)
		}
	}
	if _, err := importFrom(t, &Importer{}, skill); !errs.Is(err, errs.Forbidden) {
		t.Errorf("an importer without local folders: %v", err)
	}
}

func TestImportFolderLinks(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct {
		make func(dir string) error
		says string // "" is taken
	}{
		"inside":         {func(d string) error { return os.Symlink("SKILL.md", filepath.Join(d, "AGENTS.md")) }, ""},
		"outside":        {func(d string) error { return os.Symlink("/etc/passwd", filepath.Join(d, "l")) }, "does not lead to a file"},
		"parent":         {func(d string) error { return os.Symlink("../secret", filepath.Join(d, "l")) }, "does not lead to a file"},
		"in two steps":   {func(d string) error { return os.Symlink("SKILL.md/../../secret", filepath.Join(d, "l")) }, "does not lead to a file"},
		"dangling":       {func(d string) error { return os.Symlink("none", filepath.Join(d, "l")) }, "does not lead to a file"},
		"to a folder":    {func(d string) error { return os.Symlink(".", filepath.Join(d, "l")) }, "does not lead to a file"},
		"pipe":           {func(d string) error { return syscall.Mkfifo(filepath.Join(d, "p"), 0o600) }, "neither a file"},
		"folder outside": {func(d string) error { return os.Symlink("/etc", filepath.Join(d, "l")) }, "does not lead to a file"},
		"case":           {func(d string) error { return os.WriteFile(filepath.Join(d, "Skill.md"), nil, 0o600) }, "same file"},
		"large": {func(d string) error {
			f, err := os.Create(filepath.Join(d, "big"))
			if err == nil {
				err = f.Truncate(MaxBytes + 1)
			}
			return err
		}, "larger than"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			base := t.TempDir()
			dir := filepath.Join(base, "x")
			writeFiles(t, base, map[string]string{"x/SKILL.md": okDocument, "secret": "secret"})
			if err := tc.make(dir); err != nil {
				t.Fatal(err)
			}
			in, err := importFrom(t, &Importer{LocalRoots: []string{base}}, dir)
			if tc.says == "" {
				if err != nil || string(in.Tree.files["AGENTS.md"].data) != okDocument {
					t.Errorf("%v", err)
				}
			} else if err == nil || !strings.Contains(err.Error(), tc.says) {
				t.Errorf("got %v, want an error that says %q", err, tc.says)
			}
		})
	}
	// A source that is itself a link out of the allowed folders.
	base := t.TempDir()
	if err := os.Symlink("/etc", filepath.Join(base, "l")); err != nil {
		t.Fatal(err)
	}
	if _, err := importFrom(t, &Importer{LocalRoots: []string{base}}, filepath.Join(base, "l")); !errs.Is(err, errs.Forbidden) {
		t.Errorf("linked source: %v", err)
	}
}

// makeRepo makes a repository with two commits, the tag v1 on the first, and a branch dev that has another skill.
func makeRepo(t testing.TB) (dir string, first, second string) {
	t.Helper()
	dir = filepath.Join(t.TempDir(), "repo")
	r, err := git.PlainInit(dir, false)
	if err != nil {
		t.Fatal(err)
	}
	w, err := r.Worktree()
	if err != nil {
		t.Fatal(err)
	}
	sign := &object.Signature{Name: "n", Email: "e@example.com", When: time.Unix(1, 0)}
	commit := func(files map[string]string) string {
		writeFiles(t, dir, files)
		if err := w.AddWithOptions(&git.AddOptions{All: true}); err != nil {
			t.Fatal(err)
		}
		h, err := w.Commit("m", &git.CommitOptions{Author: sign})
		if err != nil {
			t.Fatal(err)
		}
		return h.String()
	}
	files := map[string]string{"README.md": "r"}
	for p, text := range sample {
		files["skills/x/"+p] = text
	}
	first = commit(files)
	if _, err := r.CreateTag("v1", plumbing.NewHash(first), &git.CreateTagOptions{Tagger: sign, Message: "m"}); err != nil {
		t.Fatal(err)
	}
	second = commit(map[string]string{"skills/x/notes.txt": "second"})
	if err := w.Checkout(&git.CheckoutOptions{Branch: "refs/heads/dev", Create: true}); err != nil {
		t.Fatal(err)
	}
	commit(map[string]string{"skills/y/SKILL.md": strings.Replace(okDocument, "name: x", "name: why", 1)})
	if err := w.Checkout(&git.CheckoutOptions{Branch: "refs/heads/master"}); err != nil {
		t.Fatal(err)
	}
	return dir, first, second
}

// serveGit serves repositories with git's own server. What it writes to its log shows whether fetches are shallow.
func serveGit(t testing.TB, dir string) string {
	t.Helper()
	path, err := exec.LookPath("git")
	if err != nil {
		if os.Getenv("CI") == "true" {
			t.Fatal("git is missing")
		}
		t.Skip("git is missing: the network form of fetching is not tested")
	}
	srv := httptest.NewServer(&cgi.Handler{Path: path, Args: []string{"http-backend"},
		Env: []string{"GIT_PROJECT_ROOT=" + dir, "GIT_HTTP_EXPORT_ALL=1", "GIT_CONFIG_COUNT=1", "GIT_CONFIG_KEY_0=safe.directory", "GIT_CONFIG_VALUE_0=*"}})
	t.Cleanup(srv.Close)
	return srv.URL
}

func TestImportGit(t *testing.T) {
	t.Parallel()
	dir, first, second := makeRepo(t)
	bareDir := filepath.Join(t.TempDir(), "bare.git")
	if _, err := git.PlainClone(bareDir, true, &git.CloneOptions{URL: dir, Mirror: true}); err != nil {
		t.Fatal(err)
	}
	tmp := t.TempDir()
	m := &Importer{LocalRoots: []string{"/"}, AllowHTTP: true, Client: http.DefaultClient, Temp: tmp}
	_, v1 := makeTree(t, sample).Manifest()
	more := map[string]string{"notes.txt": "second"}
	for p, text := range sample {
		more[p] = text
	}
	_, v2 := makeTree(t, more).Manifest()
	t.Cleanup(http.DefaultClient.CloseIdleConnections)
	for form, base := range map[string]string{
		"worktree": "file://" + dir, "bare": bareDir, "http": serveGit(t, filepath.Dir(dir)) + "/repo",
	} {
		t.Run(form, func(t *testing.T) {
			for suffix, want := range map[string]struct{ digest, commit string }{
				"":                     {v2, second},
				"#master":              {v2, second},
				"#v1":                  {v1, first},
				"#" + first:            {v1, first},
				"#refs/heads/master":   {v2, second},
				"#v1//skills/x":        {v1, first},
				"//skills#v1":          {v1, first},
				"#dev//skills/x":       {v2, ""},
				"#" + second + "//":    {v2, second},
				"#refs/tags/v1//":      {v1, first},
				"#master//skills/x":    {v2, second},
				"//skills/x#" + second: {v2, second},
			} {
				in, err := importFrom(t, m, base+suffix)
				if err != nil {
					t.Errorf("%s: %v", suffix, err)
					continue
				}
				if _, got := in.Tree.Manifest(); got != want.digest || in.Folder != "x" || want.commit != "" && in.Commit != want.commit {
					t.Errorf("%s: digest %s, folder %q, commit %s; want %+v", suffix, got, in.Folder, in.Commit, want)
				}
			}
			for suffix, says := range map[string]string{"#none": "no branch", "#dev": "skills/x, skills/y", "//none": "no folder", "//README.md": "no folder",
				"#" + strings.Repeat("0", 40): ""} {
				if _, err := importFrom(t, m, base+suffix); err == nil || !strings.Contains(err.Error(), says) || errs.Is(err, errs.Internal) {
					t.Errorf("%s: %v, want an error that says %q", suffix, err, says)
				}
			}
		})
	}
	if left := entries(t, tmp); len(left) != 0 {
		t.Errorf("left in the temporary folder: %q", left)
	}
}

// TestImportGitByName picks a skill by the name that its SKILL.md has.
func TestImportGitByName(t *testing.T) {
	t.Parallel()
	dir, _, _ := makeRepo(t)
	m := &Importer{LocalRoots: []string{"/"}}
	for skill, folder := range map[string]string{"x": "x", "y": "y", "why": "y"} {
		in, err := m.Import(t.Context(), Source{Local: dir, Git: true, Ref: "dev", Skill: skill})
		if err != nil || in.Folder != folder {
			t.Errorf("%s: %+v, %v", skill, in, err)
		}
	}
	if _, err := m.Import(t.Context(), Source{Local: dir, Git: true, Ref: "dev", Skill: "z"}); !errs.Is(err, errs.NotFound) {
		t.Errorf("unknown: %v", err)
	}
}

func TestImportGitHostileTrees(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct {
		entries []object.TreeEntry
		says    string
	}{
		"link in":       {[]object.TreeEntry{{Name: "AGENTS.md", Mode: 0o120000}}, ""},
		"link out":      {[]object.TreeEntry{{Name: "out", Mode: 0o120000}}, "does not lead to a file"},
		"link to link":  {[]object.TreeEntry{{Name: "loop", Mode: 0o120000}}, "does not lead to a file"},
		"parent folder": {[]object.TreeEntry{{Name: "..", Mode: 0o040000}}, "can't be read"},
		"dot":           {[]object.TreeEntry{{Name: ".", Mode: 0o040000}}, "can't be read"},
		"slash":         {[]object.TreeEntry{{Name: "a/b", Mode: 0o100644}}, "can't be read"},
		"backslash":     {[]object.TreeEntry{{Name: `a\b`, Mode: 0o100644}}, "backslash"},
		"twice":         {[]object.TreeEntry{{Name: "skill.MD", Mode: 0o100644}}, "same file"},
		"submodule":     {[]object.TreeEntry{{Name: "sub", Mode: 0o160000}}, ""},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r, err := git.PlainInit(t.TempDir(), true)
			if err != nil {
				t.Fatal(err)
			}
			put := func(typ plumbing.ObjectType, enc func(plumbing.EncodedObject) error) plumbing.Hash {
				o := r.Storer.NewEncodedObject()
				o.SetType(typ)
				if err := enc(o); err != nil {
					t.Fatal(err)
				}
				h, err := r.Storer.SetEncodedObject(o)
				if err != nil {
					t.Fatal(err)
				}
				return h
			}
			blob := func(text string) plumbing.Hash {
				return put(plumbing.BlobObject, func(o plumbing.EncodedObject) error {
					w, err := o.Writer()
					if err == nil {
						_, err = w.Write([]byte(text))
					}
					return err
				})
			}
			targets := map[string]string{"AGENTS.md": "SKILL.md", "out": "../../etc/passwd", "loop": "loop"}
			list := []object.TreeEntry{{Name: "SKILL.md", Mode: 0o100644, Hash: blob(okDocument)}}
			for _, e := range tc.entries {
				e.Hash = blob(targets[e.Name])
				list = append(list, e)
			}
			sort.Sort(object.TreeEntrySorter(list))
			tree := gitFS{r.Storer, &object.Tree{Entries: list}}
			got, err := FromFS(tree, true)
			if tc.says == "" {
				if err != nil {
					t.Fatal(err)
				}
				if c, ok := got.files["AGENTS.md"]; name == "link in" && (!ok || string(c.data) != okDocument) {
					t.Error("the link was not followed")
				}
			} else if err == nil || !strings.Contains(err.Error(), tc.says) {
				t.Errorf("got %v, want an error that says %q", err, tc.says)
			}
		})
	}
}

func TestImportNetwork(t *testing.T) {
	t.Parallel()
	data := makeZip(t, zipEntry{name: "x/SKILL.md", data: okDocument})
	mux := http.NewServeMux()
	mux.HandleFunc("/x.zip", func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write(data) })
	mux.HandleFunc("/hang/", func(_ http.ResponseWriter, r *http.Request) { <-r.Context().Done() })
	mux.HandleFunc("/private/", func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusUnauthorized) })
	srv := httptest.NewServer(mux)
	t.Cleanup(srv.Close)
	m := &Importer{Client: srv.Client(), AllowHTTP: true}
	if in, err := importFrom(t, m, srv.URL+"/x.zip"); err != nil || in.Folder != "x" {
		t.Errorf("%+v, %v", in, err)
	}
	for p, code := range map[string]errs.Code{"/none.zip": errs.NotFound, "/none": errs.NotFound, "/private/r": errs.NotFound} {
		if _, err := importFrom(t, m, srv.URL+p); !errs.Is(err, code) {
			t.Errorf("%s: %v, want %s", p, err, code)
		}
	}
	short, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	if _, err := m.Import(short, Source{URL: srv.URL + "/hang/r"}); !errs.Is(err, errs.Unavailable) {
		t.Errorf("a server that does not answer: %v", err)
	}
	if _, err := importFrom(t, &Importer{}, srv.URL+"/x.zip"); !errs.Is(err, errs.Invalid) || !strings.Contains(err.Error(), "https") {
		t.Errorf("without TLS: %v", err)
	}
	// The client that is used by default does not reach into the server's own network.
	if _, err := importFrom(t, &Importer{AllowHTTP: true}, srv.URL+"/x.zip"); !errs.Is(err, errs.Unavailable) {
		t.Errorf("a private address: %v", err)
	}
}

func TestPublic(t *testing.T) {
	t.Parallel()
	for addr, want := range map[string]bool{
		"8.8.8.8": true, "2606:4700::1": true, "127.0.0.1": false, "10.0.0.1": false, "192.168.1.1": false, "172.16.0.1": false, "169.254.169.254": false,
		"100.64.0.1": false, "0.0.0.0": false, "224.0.0.1": false, "255.255.255.255": false, "::1": false, "fe80::1": false, "fd00::1": false,
		"::ffff:127.0.0.1": false, "::ffff:8.8.8.8": true, "64:ff9b::7f00:1": false, "2002:7f00:1::": false,
	} {
		if got := public(netip.MustParseAddr(addr)); got != want {
			t.Errorf("%s: %t", addr, got)
		}
	}
}

func TestDiff(t *testing.T) {
	t.Parallel()
	from := makeTree(t, map[string]string{"SKILL.md": "one\ntwo\nthree\n", "gone.txt": "g\n", "same": "s", "bin": "a\x00b", "run": "#!/bin/sh\n"})
	to := makeTree(t, map[string]string{"SKILL.md": "one\n2\nthree\n", "new.txt": "n\n", "same": "s", "bin": "a\x00c"})
	if err := to.Add("run", []byte("#!/bin/sh\n"), false); err != nil {
		t.Fatal(err)
	}
	got := Diff(from, to)
	status := map[string]string{}
	for _, d := range got {
		status[d.Path] = d.Status + "|" + d.Note
	}
	want := map[string]string{"SKILL.md": "changed|", "gone.txt": "removed|", "new.txt": "added|", "bin": "changed|binary, 3 bytes before and 3 after", "run": "changed|is no longer executable"}
	if d := cmp.Diff(want, status); d != "" {
		t.Error(d)
	}
	for _, line := range []string{"--- a/SKILL.md\n+++ b/SKILL.md\n@@ -1,3 +1,3 @@\n one\n-two\n+2\n three\n"} {
		if !strings.Contains(got[0].Diff, line) {
			t.Errorf("%q does not hold %q", got[0].Diff, line)
		}
	}
	if got := Diff(from, from); len(got) != 0 {
		t.Errorf("a tree differs from itself: %+v", got)
	}
	huge := makeTree(t, map[string]string{"a": strings.Repeat("x\n", maxDiffInput), "b": strings.Repeat("y\n", maxDiffInput/2-1), "c": strings.Repeat("z\n", maxDiffInput/2-1)})
	for _, d := range Diff(NewTree(), huge) {
		if len(d.Diff) > maxDiffOutput || d.Diff == "" && d.Note == "" {
			t.Errorf("%s: %d bytes, %q", d.Path, len(d.Diff), d.Note)
		}
	}
}
