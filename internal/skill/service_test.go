package skill

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"testing/fstest"

	"github.com/google/go-cmp/cmp"

	"yardmaster/internal/db"
	"yardmaster/internal/errs"
	"yardmaster/internal/event"
	"yardmaster/internal/op"
	"yardmaster/skills"
)

// yard is a service on a real database and store.
type yard struct {
	*Service
	db     *db.DB
	events *event.Log
	dir    string
	ctx    context.Context
}

func newYard(t testing.TB, o Options) *yard {
	t.Helper()
	y := &yard{dir: t.TempDir(), ctx: op.WithActor(t.Context(), op.System("acct_a"))}
	d, err := db.Open(t.Context(), "sqlite:"+filepath.Join(y.dir, "yard.db"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = d.Close() })
	y.db, y.events = d, event.New(d)
	y.start(t, o)
	return y
}

// start makes the service anew, as another start of the program does.
func (y *yard) start(t testing.TB, o Options) {
	t.Helper()
	if y.Service != nil {
		if err := y.Close(); err != nil {
			t.Fatal(err)
		}
	}
	o.DB, o.Events, o.Dir = y.db, y.events, filepath.Join(y.dir, "skills")
	s, err := New(t.Context(), o)
	if err != nil {
		t.Fatal(err)
	}
	y.Service = s
	t.Cleanup(func() { _ = s.Close() })
}

func (y *yard) create(t testing.TB, in CreateIn) Skill {
	t.Helper()
	out, err := y.Create(y.ctx, in)
	if err != nil {
		t.Fatal(err)
	}
	return out.Skill
}

func (y *yard) update(t testing.TB, in UpdateIn) Skill {
	t.Helper()
	out, err := y.Update(y.ctx, in)
	if err != nil {
		t.Fatal(err)
	}
	return out.Skill
}

func ptr(s string) *string { return &s }

func TestCreate(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	writeFiles(t, filepath.Join(dir, "x"), sample)
	y := newYard(t, Options{Importer: &Importer{LocalRoots: []string{dir}}})
	for name, tc := range map[string]struct {
		in       CreateIn
		want     string // name
		files    int
		warnings int
		valid    bool
	}{
		"name and description": {CreateIn{Name: "plain", Description: "Does: it"}, "plain", 1, 0, true},
		"with other files":     {CreateIn{Name: "more", Description: "D", Files: map[string]string{"scripts/a.sh": "#!/bin/sh\n"}}, "more", 2, 0, true},
		"files":                {CreateIn{Files: map[string]string{"SKILL.md": "---\nname: My Files\ndescription: a: b\n---\n"}}, "my-files", 1, 2, false},
		"archive":              {CreateIn{Archive: makeZip(t, zipEntry{name: "zipped/SKILL.md", data: "---\ndescription: d\n---\n"})}, "zipped", 1, 1, false},
		"folder":               {CreateIn{Source: filepath.Join(dir, "x")}, "x", len(sample), 0, true},
		"another name":         {CreateIn{Source: filepath.Join(dir, "x"), Name: "other", Description: "Changed."}, "other", len(sample), 1, false},
		"lower-case file":      {CreateIn{Files: map[string]string{"skill.md": "---\nname: lower\ndescription: d\n---\n"}}, "lower", 1, 1, false},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			got := y.create(t, tc.in)
			if got.Name != tc.want || got.Version != 1 || len(got.Files) != tc.files || len(got.Warnings) != tc.warnings || got.Validation.Valid != tc.valid {
				t.Errorf("%+v, warnings %q, verdict %+v", got, got.Warnings, got.Validation)
			}
			if tc.in.Description != "" && got.Description != tc.in.Description {
				t.Errorf("description %q", got.Description)
			}
			again, err := y.Get(y.ctx, GetIn{ID: tc.want})
			if err != nil {
				t.Fatal(err)
			}
			if d := cmp.Diff(got, again.Skill); d != "" {
				t.Error(d)
			}
			if _, err := y.Open(got.Digest); err != nil {
				t.Error(err)
			}
		})
	}
}

func TestCreateRequires(t *testing.T) {
	t.Parallel()
	y := newYard(t, Options{})
	got := y.create(t, CreateIn{Files: map[string]string{"SKILL.md": "---\nname: x\ndescription: d\ncompatibility: Python 3.9\nmetadata:\n  requires-secrets: API_KEY  OTHER\n---\n"}})
	if d := cmp.Diff(Requires{[]string{"API_KEY", "OTHER"}, "Python 3.9"}, got.Requires); d != "" {
		t.Error(d)
	}
}

func TestCreateRefuses(t *testing.T) {
	t.Parallel()
	y := newYard(t, Options{})
	y.create(t, CreateIn{Name: "taken", Description: "d"})
	for name, tc := range map[string]struct {
		in   CreateIn
		says string
		code errs.Code
	}{
		"nothing":         {CreateIn{}, "name: is needed", errs.Invalid},
		"no description":  {CreateIn{Name: "x"}, "description: is needed", errs.Invalid},
		"taken":           {CreateIn{Name: "taken", Description: "other"}, "already a skill named taken", errs.Conflict},
		"bad name":        {CreateIn{Name: "My Skill", Description: "d"}, "such as my-skill", errs.Invalid},
		"path":            {CreateIn{Name: "x", Description: "d", Files: map[string]string{"../a": ""}}, "must stay", errs.Invalid},
		"two sources":     {CreateIn{Archive: []byte("x"), Source: "o/r"}, "only one", errs.Invalid},
		"no zip":          {CreateIn{Archive: []byte("x")}, "no zip", errs.Invalid},
		"forbidden":       {CreateIn{Source: "/etc"}, "may not be taken", errs.Forbidden},
		"bad document":    {CreateIn{Files: map[string]string{"SKILL.md": "text"}}, "frontmatter", errs.Invalid},
		"no name at all":  {CreateIn{Files: map[string]string{"SKILL.md": "---\ndescription: d\n---\n"}}, "name: the skill has none", errs.Invalid},
		"nameless symbol": {CreateIn{Files: map[string]string{"SKILL.md": "---\nname: '!!'\ndescription: d\n---\n"}}, "name: the skill has none", errs.Invalid},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := y.Create(y.ctx, tc.in)
			if !errs.Is(err, tc.code) || !strings.Contains(err.Error(), tc.says) {
				t.Errorf("got %v (%s), want %s that says %q", err, errs.CodeOf(err), tc.code, tc.says)
			}
		})
	}
	if out, err := y.List(y.ctx, ListIn{}); err != nil || len(out.Skills) != 1 {
		t.Errorf("after refusals: %+v, %v", out, err)
	}
}

func TestUpdate(t *testing.T) {
	t.Parallel()
	y := newYard(t, Options{})
	one := y.create(t, CreateIn{Files: sample})
	if same := y.update(t, UpdateIn{ID: "x", Files: map[string]*string{"assets/logo.svg": ptr("<svg/>")}}); same.Version != 1 {
		t.Errorf("the same content made version %d", same.Version)
	}
	two := y.update(t, UpdateIn{ID: one.ID, Description: "New: words", Body: "# Other\n"})
	if two.Version != 2 || two.Description != "New: words" || two.ID != one.ID || len(two.Files) != len(one.Files) {
		t.Errorf("%+v", two)
	}
	three := y.update(t, UpdateIn{ID: "x", Files: map[string]*string{"assets/logo.svg": nil, "notes.md": ptr("n"), "scripts/run.py": ptr("print()")}})
	var paths []string
	for _, f := range three.Files {
		paths = append(paths, f.Path)
		if f.Path == "scripts/run.py" && !f.Executable {
			t.Error("the script lost its executable bit")
		}
	}
	if slices.Contains(paths, "assets/logo.svg") || !slices.Contains(paths, "notes.md") || three.Version != 3 {
		t.Errorf("%+v", three)
	}
	whole := y.update(t, UpdateIn{ID: "x", Archive: makeZip(t, zipEntry{name: "SKILL.md", data: "---\nname: y\ndescription: zipped\n---\n"})})
	if whole.Name != "x" || len(whole.Files) != 1 || len(whole.Warnings) != 1 || whole.Version != 4 {
		t.Errorf("%+v", whole)
	}

	versions, err := y.Versions(y.ctx, RefIn{ID: "x"})
	if err != nil || len(versions.Versions) != 4 || !versions.Versions[0].Newest || versions.Versions[0].Version != 4 || versions.Versions[3].Digest != one.Digest {
		t.Errorf("%+v, %v", versions, err)
	}
	old, err := y.Get(y.ctx, GetIn{ID: "x", Version: 1})
	if err != nil || old.Skill.Digest != one.Digest || old.Skill.Description != "d" {
		t.Errorf("version 1: %+v, %v", old, err)
	}
	v, err := y.Version(y.ctx, "x", 2)
	if err != nil || v.Digest != two.Digest || v.Newest {
		t.Errorf("version 2: %+v, %v", v, err)
	}
	diff, err := y.Diff(y.ctx, DiffIn{ID: "x", From: 1, To: 3})
	if err != nil || diff.From != 1 || diff.To != 3 || len(diff.Files) != 4 {
		t.Errorf("%+v, %v", diff, err)
	}
	if diff, err = y.Diff(y.ctx, DiffIn{ID: "x", To: 1}); err != nil || diff.From != 0 || len(diff.Files) != len(sample) {
		t.Errorf("against nothing: %+v, %v", diff, err)
	}
	for what, call := range map[string]func() error{
		"unknown skill":   func() error { _, err := y.Get(y.ctx, GetIn{ID: "none"}); return err },
		"unknown version": func() error { _, err := y.Diff(y.ctx, DiffIn{ID: "x", To: 9}); return err },
		"other account": func() error {
			_, err := y.Get(op.WithActor(y.ctx, op.System("acct_b")), GetIn{ID: one.ID})
			return err
		},
	} {
		if err := call(); !errs.Is(err, errs.NotFound) {
			t.Errorf("%s: %v", what, err)
		}
	}
	for _, in := range []UpdateIn{
		{ID: "x", Files: map[string]*string{"none": nil}}, {ID: "x", Files: map[string]*string{"SKILL.md": nil}}, {ID: "x", Source: "o/r", Archive: []byte("x")},
		{ID: "x", Files: map[string]*string{"SKILL.md": ptr("text")}},
	} {
		if _, err := y.Update(y.ctx, in); !errs.Is(err, errs.Invalid) {
			t.Errorf("%+v: %v", in, err)
		}
	}
	if _, err := y.List(context.Background(), ListIn{}); !errs.Is(err, errs.Unauthenticated) {
		t.Errorf("nobody: %v", err)
	}
}

func TestList(t *testing.T) {
	t.Parallel()
	y := newYard(t, Options{})
	for _, name := range []string{"a", "b", "c"} {
		y.create(t, CreateIn{Name: name, Description: "d"})
	}
	var names []string
	in := ListIn{Limit: 2}
	for {
		out, err := y.List(y.ctx, in)
		if err != nil {
			t.Fatal(err)
		}
		for _, k := range out.Skills {
			names = append(names, k.Name)
		}
		if out.Next == "" {
			break
		}
		in.After = out.Next
	}
	if !slices.Equal(names, []string{"a", "b", "c"}) {
		t.Errorf("%q", names)
	}
}

type fakeInstalls struct {
	on   []string
	fail error
}

func (f *fakeInstalls) Installed(context.Context, string) ([]string, error) { return f.on, f.fail }
func (f *fakeInstalls) UninstallAll(context.Context, string) error {
	f.on = nil
	return f.fail
}

func TestDelete(t *testing.T) {
	t.Parallel()
	y := newYard(t, Options{})
	installs := &fakeInstalls{on: []string{"web-1", "web-2"}}
	y.SetInstalls(installs)
	k := y.create(t, CreateIn{Name: "x", Description: "d"})
	other := y.create(t, CreateIn{Name: "y", Description: "d"})
	if _, err := y.Delete(y.ctx, DeleteIn{ID: "x"}); !errs.Is(err, errs.Conflict) || !strings.Contains(err.Error(), "web-1, web-2") {
		t.Errorf("installed: %v", err)
	}
	installs.fail = errors.New("down")
	if _, err := y.Delete(y.ctx, DeleteIn{ID: "x", Force: true}); err == nil {
		t.Error("deleted although it could not be uninstalled")
	}
	installs.fail = nil
	if _, err := y.Delete(y.ctx, DeleteIn{ID: "x", Force: true}); err != nil {
		t.Fatal(err)
	}
	if _, err := y.Delete(y.ctx, DeleteIn{ID: "x"}); !errs.Is(err, errs.NotFound) {
		t.Errorf("the second time: %v", err)
	}
	if _, err := y.Open(k.Digest); !errs.Is(err, errs.NotFound) {
		t.Errorf("its content is still there: %v", err)
	}
	if _, err := y.Open(other.Digest); err != nil {
		t.Error(err)
	}
	events, err := y.events.List(y.ctx, "acct_a", stream, 0, 10)
	if err != nil || len(events) != 3 || events[2].Type != "skill.deleted" {
		t.Errorf("%+v, %v", events, err)
	}
}

// TestStartRemovesOrphans covers a crash between the storing of content and the commit of its version.
func TestStartRemovesOrphans(t *testing.T) {
	t.Parallel()
	y := newYard(t, Options{})
	kept := y.create(t, CreateIn{Name: "x", Description: "d"})
	_, orphan, err := y.store.Put(makeTree(t, sample))
	if err != nil {
		t.Fatal(err)
	}
	y.start(t, Options{})
	if y.store.Has(orphan) || !y.store.Has(kept.Digest) {
		t.Error("the start kept the wrong content")
	}
}

func TestSeed(t *testing.T) {
	t.Parallel()
	bundle := func(text string) fs.FS {
		return fstest.MapFS{
			"one/SKILL.md": {Data: []byte("---\nname: one\ndescription: " + text + "\n---\n")}, "one/scripts/a.py": {Data: []byte("#!/usr/bin/env python3\n")},
			"two/SKILL.md": {Data: []byte("---\nname: two\ndescription: " + text + "\n---\n")}, "README.md": {}, "empty/x": {},
		}
	}
	y := newYard(t, Options{Bundled: bundle("first")})
	seed := func() {
		t.Helper()
		if err := y.Seed(t.Context(), "acct_a"); err != nil {
			t.Fatal(err)
		}
	}
	state := func() map[string]int {
		t.Helper()
		out, err := y.List(y.ctx, ListIn{})
		if err != nil {
			t.Fatal(err)
		}
		got := map[string]int{}
		for _, k := range out.Skills {
			got[k.Name] = k.Version
		}
		return got
	}
	check := func(what string, want map[string]int) {
		t.Helper()
		if d := cmp.Diff(want, state()); d != "" {
			t.Errorf("%s: %s", what, d)
		}
	}
	seed()
	seed()
	check("first start", map[string]int{"one": 1, "two": 1})
	one, err := y.Resolve(y.ctx, "one")
	if err != nil || !one.Files[1].Executable || one.Source != bundledSource {
		t.Errorf("%+v, %v", one, err)
	}

	y.start(t, Options{Bundled: bundle("second")})
	y.update(t, UpdateIn{ID: "two", Description: "mine"})
	seed()
	seed()
	check("new content, one changed by its owner", map[string]int{"one": 2, "two": 2})
	if two, err := y.Resolve(y.ctx, "two"); err != nil || two.Description != "mine" {
		t.Errorf("%+v, %v", two, err)
	}

	if _, err := y.Delete(y.ctx, DeleteIn{ID: "one"}); err != nil {
		t.Fatal(err)
	}
	y.start(t, Options{Bundled: bundle("third")})
	seed()
	check("one deleted by its owner", map[string]int{"two": 2})

	// Another account has a skill of its own by that name.
	y.ctx = op.WithActor(t.Context(), op.System("acct_b"))
	y.create(t, CreateIn{Name: "one", Description: "own"})
	if err := y.Seed(t.Context(), "acct_b"); err != nil {
		t.Fatal(err)
	}
	check("other account", map[string]int{"one": 1, "two": 1})
}

// TestBundledSkills holds the skills that come with the program to the specification.
func TestBundledSkills(t *testing.T) {
	t.Parallel()
	y := newYard(t, Options{Bundled: skills.FS()})
	if err := y.Seed(t.Context(), "acct_a"); err != nil {
		t.Fatal(err)
	}
	out, err := y.List(y.ctx, ListIn{})
	if err != nil || len(out.Skills) == 0 {
		t.Fatalf("%+v, %v", out, err)
	}
	for _, k := range out.Skills {
		got, err := y.Get(y.ctx, GetIn{ID: k.ID})
		if err != nil {
			t.Fatal(err)
		}
		if v := got.Skill.Validation; !v.Valid || !v.Reference.Valid || len(got.Skill.Warnings) > 0 {
			t.Errorf("%s: %+v, %q", k.Name, v, got.Skill.Warnings)
		}
		dir := filepath.Join(t.TempDir(), "skills")
		if err := y.Place(y.ctx, k.Digest, openRoot(t, dir), k.Name, []string{"assets/**"}); err != nil {
			t.Fatal(err)
		}
		if _, err := os.Stat(filepath.Join(dir, k.Name, "SKILL.md")); err != nil {
			t.Error(err)
		}
		if _, err := os.Stat(filepath.Join(dir, k.Name, "assets")); !errors.Is(err, fs.ErrNotExist) {
			t.Errorf("withheld files are there: %v", err)
		}
	}
}

// TestOperations declares the operations as the program does, which checks their inputs.
func TestOperations(t *testing.T) {
	t.Parallel()
	y := newYard(t, Options{})
	r := op.NewRegistry()
	o := func(name, route string, effect op.Effect) op.Op {
		scope := "skills:write"
		if effect == op.Read {
			scope = "skills:read"
		}
		return op.Op{Name: name, Route: route, Doc: "d", Scope: scope, Effect: effect}
	}
	err := r.Add(
		op.New(o("skills.list", "GET /api/skills", op.Read), y.List), op.New(o("skills.create", "POST /api/skills", op.Write), y.Create),
		op.New(o("skills.get", "GET /api/skills/{id}", op.Read), y.Get), op.New(o("skills.update", "PUT /api/skills/{id}", op.Write), y.Update),
		op.New(o("skills.delete", "DELETE /api/skills/{id}", op.Destroy), y.Delete),
		op.New(o("skills.versions", "GET /api/skills/{id}/versions", op.Read), y.Versions), op.New(o("skills.diff", "GET /api/skills/{id}/diff", op.Read), y.Diff),
	)
	if err != nil {
		t.Fatal(err)
	}
	for _, call := range [][2]string{
		{"skills.create", `{"name":"x","description":"d","files":{"a.txt":"a"}}`}, {"skills.update", `{"id":"x","files":{"a.txt":null,"b.txt":"b"}}`},
		{"skills.get", `{"id":"x"}`}, {"skills.list", `{}`}, {"skills.versions", `{"id":"x"}`}, {"skills.diff", `{"id":"x"}`}, {"skills.delete", `{"id":"x"}`},
	} {
		if _, err := r.Do(y.ctx, call[0], []byte(call[1])); err != nil {
			t.Errorf("%s: %v", call[0], err)
		}
	}
}
