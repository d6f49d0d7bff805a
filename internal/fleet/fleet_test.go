package fleet_test

import (
	"context"
	"encoding/json"
	"fmt"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"

	"yardmaster/internal/errs"
	"yardmaster/internal/fleet"
	"yardmaster/internal/op"
)

func TestLifeOfAnInstance(t *testing.T) {
	t.Parallel()
	y := newYard(t)
	in := y.makeWith(fleet.CreateIn{Name: "web-1", Labels: map[string]string{"env": "prod"}})
	if in.Status != fleet.Active || in.Kind != fleet.Prebuilt || in.ImageTag != "host" || in.FQDN != "web-1.yard.local" || in.Driver != "fake" ||
		in.Labels["env"] != "prod" || in.Restarts != 0 || in.Skills == nil || in.StartedAt.IsZero() || !strings.HasPrefix(in.AvatarURL, "data:image/svg+xml,") {
		t.Errorf("created: %+v", in)
	}
	if got := y.run("web-1", "pwd; echo to-stderr >&2; exit 3"); got.ExitCode != 3 || !strings.HasSuffix(strings.TrimSpace(got.Stdout), "/home") || got.Stderr != "to-stderr\n" {
		t.Errorf("exec: %+v", got)
	}
	y.write("web-1", "notes/a.txt", "kept")

	out, err := y.Stop(y.ctx, fleet.RefIn{ID: "web-1"})
	if err != nil || out.Instance.Status != fleet.Inactive || y.fake.up() != 0 {
		t.Fatalf("stop: %+v %v, %d up", out, err, y.fake.up())
	}
	_, err = y.Exec(y.ctx, fleet.ExecIn{ID: "web-1", Command: shell("true")})
	want(t, err, errs.Conflict, "Start it first")
	if got := y.read("web-1", "notes/a.txt"); got != "kept" {
		t.Errorf("read while stopped: %q", got)
	}

	if out, err = y.Start(y.ctx, fleet.RefIn{ID: in.ID}); err != nil || out.Instance.Status != fleet.Active {
		t.Fatalf("start: %+v %v", out, err)
	}
	if out, err = y.Restart(y.ctx, fleet.RefIn{ID: "WEB-1"}); err != nil || out.Instance.Status != fleet.Active || out.Instance.Restarts != 1 {
		t.Fatalf("restart: %+v %v", out, err)
	}
	if got := y.run("web-1", "cat notes/a.txt"); got.Stdout != "kept" {
		t.Errorf("after restart: %+v", got)
	}

	if got, err := y.Delete(y.ctx, fleet.RefIn{ID: "web-1"}); err != nil || !got.OK {
		t.Fatalf("delete: %v", err)
	}
	if _, err := y.Get(y.ctx, fleet.RefIn{ID: in.ID}); !errs.Is(err, errs.NotFound) {
		t.Errorf("get after delete: %v", err)
	}
	if got := y.folders(); len(got) != 0 || y.fake.up() != 0 || !slices.Equal(y.grants.forgotten, []string{in.ID}) {
		t.Errorf("left behind: folders %v, %d up, grants forgotten %v", got, y.fake.up(), y.grants.forgotten)
	}
	types := []string{}
	events, err := y.events.List(y.ctx, "acct_a", "instances", 0, 100)
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range events {
		types = append(types, strings.TrimPrefix(e.Type, "instance."))
	}
	if diff := cmp.Diff(strings.Fields("created active inactive starting active restarting active deleting deleted"), types); diff != "" {
		t.Errorf("events: %s", diff)
	}
	if own, err := y.events.List(y.ctx, "acct_a", in.ID, 0, 100); err != nil || len(own) != 0 {
		t.Errorf("the deleted instance has %d events: %v", len(own), err)
	}
}

func TestCreateHundredAtOnce(t *testing.T) {
	t.Parallel()
	y := newYard(t)
	var wg sync.WaitGroup
	ids := make([]string, 100)
	for i := range ids {
		wg.Go(func() {
			out, err := y.Create(y.ctx, fleet.CreateIn{Name: fmt.Sprintf("box-%d", i)})
			if err != nil {
				t.Error(err)
				return
			}
			ids[i] = out.Instance.ID
		})
	}
	wg.Wait()
	for _, id := range ids {
		if s := y.settle(id); s != fleet.Active {
			t.Errorf("%s is %s", id, s)
		}
	}
	if y.fake.up() != 100 || y.fake.peak > 4 {
		t.Errorf("%d up, %d started at the same time", y.fake.up(), y.fake.peak)
	}
	out, err := y.List(y.ctx, fleet.ListIn{Limit: 30})
	if err != nil || len(out.Instances) != 30 || out.Next == "" {
		t.Fatalf("%d listed, next %q: %v", len(out.Instances), out.Next, err)
	}
	seen := 30
	for out.Next != "" {
		if out, err = y.List(y.ctx, fleet.ListIn{Limit: 30, After: out.Next}); err != nil {
			t.Fatal(err)
		}
		seen += len(out.Instances)
	}
	if seen != 100 {
		t.Errorf("%d listed over all pages", seen)
	}
}

func TestNames(t *testing.T) {
	t.Parallel()
	y := newYard(t)
	y.make("taken")
	for name, word := range map[string]string{
		"a/b":                               "a-b",
		"../etc":                            "etc",
		"two words":                         "two-words",
		"🚀":                                 "web-1",
		strings.Repeat("x", 300):            "63",
		"-dash":                             "dash",
		"dot.":                              "dot",
		"inst_abc":                          "looks like an id",
		"INST_abc":                          "looks like an id",
		"tab\there":                         "tab-here",
		"naïve":                             "na-ve",
		"new\nline":                         "new-line",
		"null\x00":                          "null",
		"\xff\xfe":                          "web-1",
		"..":                                "web-1",
		strings.Repeat("a", 60) + "-\u0301": "such as",
	} {
		_, err := y.Create(y.ctx, fleet.CreateIn{Name: name})
		want(t, err, errs.Invalid, word)
		if e := errs.Public(err); len(e.Fields) != 1 || e.Fields[0].Path != "name" {
			t.Errorf("%q: fields %v", name, e.Fields)
		}
	}
	_, err := y.Create(y.ctx, fleet.CreateIn{Name: "TAKEN"})
	want(t, err, errs.Conflict, "already")
	for _, name := range []string{"x", "0", "Atlas_2.b", strings.Repeat("y", 63)} {
		if in := y.make(name); in.Name != name || in.Status != fleet.Active {
			t.Errorf("%q became %+v", name, in)
		}
	}
	if in := y.get("atlas_2.B"); in.FQDN != "atlas-2-b.yard.local" {
		t.Errorf("fqdn %q", in.FQDN)
	}
	made := map[string]bool{}
	for range 5 {
		made[y.make("").Name] = true
	}
	if len(made) != 5 {
		t.Errorf("made-up names %v", made)
	}
	out, err := y.List(y.ctx, fleet.ListIn{})
	if err != nil || len(out.Instances) != 10 {
		t.Errorf("%d instances: refused ones left something: %v", len(out.Instances), err)
	}
}

func TestRefusalsOfCreate(t *testing.T) {
	t.Parallel()
	y := newYard(t)
	text := func(s string) *string { return &s }
	n := func(i int) *int { return &i }
	_, err := y.Create(y.ctx, fleet.CreateIn{
		Name: "a b", Labels: map[string]string{"ok": "no spaces please"}, Skills: []string{"greeter", "nope"}, CheckpointRepo: "ssh://x/y",
		Config: &fleet.ConfigChange{Environment: map[string]*string{"1X": text("v")}, Limits: &fleet.LimitsChange{MemoryMB: n(-2048)}},
	})
	got := []string{}
	for _, f := range errs.Public(err).Fields {
		got = append(got, f.Path)
	}
	if diff := cmp.Diff([]string{"name", "checkpointRepo", "labels.ok", "config.environment", "config.limits.memoryMb", "skills.1"}, got); diff != "" || !errs.Is(err, errs.Invalid) {
		t.Errorf("%v: %s", err, diff)
	}
	_, err = y.Create(y.ctx, fleet.CreateIn{CheckpointRepo: "https://me:pass-word@example.com/a/b"})
	want(t, err, errs.Invalid, "password")
	if strings.Contains(err.Error(), "pass-word") {
		t.Error("the message shows the password")
	}
	if got := y.folders(); len(got) != 0 {
		t.Errorf("folders %v", got)
	}
}

func TestCapacity(t *testing.T) {
	t.Parallel()
	y := newYard(t, func(o *fleet.Options) { o.Capacity = 3 })
	for range 3 {
		y.make("")
	}
	_, err := y.Create(y.ctx, fleet.CreateIn{})
	want(t, err, errs.Capacity, "Delete some first")
	first, err := y.List(y.ctx, fleet.ListIn{Limit: 1})
	if err != nil {
		t.Fatal(err)
	}
	_, err = y.Clone(y.ctx, fleet.CloneIn{ID: first.Instances[0].ID})
	want(t, err, errs.Capacity, "3 instances")
	if _, err := y.Delete(y.ctx, fleet.RefIn{ID: first.Instances[0].ID}); err != nil {
		t.Fatal(err)
	}
	y.make("room-again")
	// Another account has room of its own.
	if _, err := y.Create(as(t.Context(), "acct_b"), fleet.CreateIn{Name: "room-again"}); err != nil {
		t.Error(err)
	}
}

func TestAccountsAreApart(t *testing.T) {
	t.Parallel()
	y := newYard(t)
	in := y.make("shared-name")
	y.write(in.ID, "secret.txt", "of a")
	b := as(t.Context(), "acct_b")
	raw := json.RawMessage(`"true"`)
	for name, call := range map[string]func(ref string) error{
		"get":    func(ref string) error { _, err := y.Get(b, fleet.RefIn{ID: ref}); return err },
		"delete": func(ref string) error { _, err := y.Delete(b, fleet.RefIn{ID: ref}); return err },
		"stop":   func(ref string) error { _, err := y.Stop(b, fleet.RefIn{ID: ref}); return err },
		"start":  func(ref string) error { _, err := y.Start(b, fleet.RefIn{ID: ref}); return err },
		"restart": func(ref string) error {
			_, err := y.Restart(b, fleet.RefIn{ID: ref})
			return err
		},
		"suspend": func(ref string) error { _, err := y.Suspend(b, ref, "x"); return err },
		"update":  func(ref string) error { _, err := y.Update(b, fleet.UpdateIn{ID: ref}); return err },
		"clone":   func(ref string) error { _, err := y.Clone(b, fleet.CloneIn{ID: ref}); return err },
		"exec":    func(ref string) error { _, err := y.Exec(b, fleet.ExecIn{ID: ref, Command: raw}); return err },
		"spawn": func(ref string) error {
			_, err := y.Spawn(b, ref, fleet.Spawn{Argv: []string{"true"}})
			return err
		},
		"logs": func(ref string) error { _, err := y.Logs(b, fleet.LogsIn{ID: ref}); return err },
		"follow": func(ref string) error {
			for _, err := range y.Follow(b, fleet.LogsIn{ID: ref}) {
				return err
			}
			return nil
		},
		"list files": func(ref string) error { _, err := y.ListFiles(b, fleet.FilesIn{ID: ref}); return err },
		"read file": func(ref string) error {
			_, err := y.ReadFileOp(b, fleet.FileIn{ID: ref, Path: "secret.txt"})
			return err
		},
		"write file": func(ref string) error { return y.WriteFile(b, ref, "x", nil) },
		"delete file": func(ref string) error {
			_, err := y.DeleteFile(b, fleet.FileDeleteIn{ID: ref, Path: "secret.txt"})
			return err
		},
		"config":     func(ref string) error { _, err := y.GetConfig(b, fleet.RefIn{ID: ref}); return err },
		"set config": func(ref string) error { _, err := y.UpdateConfig(b, fleet.UpdateConfigIn{ID: ref}); return err },
		"install": func(ref string) error {
			_, err := y.Install(b, fleet.InstallIn{ID: "greeter", Instances: []string{ref}})
			return err
		},
		"uninstall": func(ref string) error {
			_, err := y.Uninstall(b, fleet.UninstallIn{ID: "greeter", Instances: []string{ref}})
			return err
		},
		"resolve many": func(ref string) error { _, err := y.ResolveMany(b, []string{ref}); return err },
	} {
		for _, ref := range []string{in.ID, in.Name} {
			if err := call(ref); !errs.Is(err, errs.NotFound) {
				t.Errorf("%s of another account's instance: %v", name, err)
			}
		}
		if err := call("inst_00000000000000000000000000"); !errs.Is(err, errs.NotFound) {
			t.Errorf("%s of no instance: %v", name, err)
		}
	}
	out, err := y.List(b, fleet.ListIn{})
	if err != nil || len(out.Instances) != 0 {
		t.Errorf("listed %v, %v", out.Instances, err)
	}
	if _, err := y.List(context.Background(), fleet.ListIn{}); !errs.Is(err, errs.Unauthenticated) {
		t.Errorf("nobody: %v", err)
	}
	if y.get(in.ID).Status != fleet.Active {
		t.Error("it was touched")
	}
}

func TestUpdate(t *testing.T) {
	t.Parallel()
	y := newYard(t)
	in := y.makeWith(fleet.CreateIn{Name: "web-1", Labels: map[string]string{"env": "prod", "tier": "1"}})
	y.make("web-2")
	text := func(s string) *string { return &s }
	out, err := y.Update(y.ctx, fleet.UpdateIn{ID: "web-1", Name: text("storefront"), Labels: map[string]*string{"tier": nil, "team": text("search")}})
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(map[string]string{"env": "prod", "team": "search"}, out.Instance.Labels); diff != "" || out.Instance.Name != "storefront" || out.Instance.ID != in.ID {
		t.Errorf("%+v %s", out.Instance, diff)
	}
	if _, err := y.Update(y.ctx, fleet.UpdateIn{ID: in.ID, Name: text("Storefront")}); err != nil {
		t.Errorf("another case of its own name: %v", err)
	}
	_, err = y.Update(y.ctx, fleet.UpdateIn{ID: in.ID, Name: text("web-2")})
	want(t, err, errs.Conflict, "web-2")
	_, err = y.Update(y.ctx, fleet.UpdateIn{ID: in.ID, Labels: map[string]*string{"a b": text("x")}})
	want(t, err, errs.Invalid, "labels")
	many := map[string]*string{}
	for i := range 70 {
		many[fmt.Sprint("l", i)] = text("")
	}
	_, err = y.Update(y.ctx, fleet.UpdateIn{ID: in.ID, Labels: many})
	want(t, err, errs.Invalid, "at most 64")
	if got := y.get(in.ID); len(got.Labels) != 2 || got.Name != "Storefront" {
		t.Errorf("after refusals: %+v", got)
	}
}

func TestSelect(t *testing.T) {
	t.Parallel()
	y := newYard(t)
	for name, labels := range map[string]map[string]string{
		"p1": {"env": "prod", "team": "a"}, "p2": {"env": "prod", "team": "b"}, "s1": {"env": "staging"}, "none": nil,
	} {
		y.makeWith(fleet.CreateIn{Name: name, Labels: labels})
	}
	for label, want := range map[string]string{
		"env=prod":                   "p1 p2",
		"env==prod":                  "p1 p2",
		" env = prod , team = a ":    "p1",
		"env!=prod":                  "none s1",
		"env":                        "p1 p2 s1",
		"!env":                       "none",
		"env in (prod, staging)":     "p1 p2 s1",
		"env notin (prod),env":       "s1",
		"team in (a),env in (prod)":  "p1",
		"env=nothing":                "",
		"env in (prod,staging),team": "p1 p2",
	} {
		got, err := y.List(y.ctx, fleet.ListIn{Label: label})
		if err != nil {
			t.Errorf("%q: %v", label, err)
			continue
		}
		names := []string{}
		for _, in := range got.Instances {
			names = append(names, in.Name)
		}
		slices.Sort(names)
		if s := strings.Join(names, " "); s != want {
			t.Errorf("%q selects %q, want %q", label, s, want)
		}
	}
	for _, label := range []string{"=x", "a b", "env=(", "env in prod", "env in (", ",", "env=prod,", "env<3", "env=a b"} {
		_, err := y.List(y.ctx, fleet.ListIn{Label: label})
		want(t, err, errs.Invalid, "label")
	}
	got, err := y.Service.Select(y.ctx, []string{"s1", "S1"}, "env=prod")
	if err != nil || len(got) != 3 {
		t.Errorf("%v %v", got, err)
	}
	_, err = y.Service.Select(y.ctx, nil, "")
	want(t, err, errs.Invalid, "instances")
}

// The same effect, asked for again after its answer was lost, makes and restarts nothing twice.
func TestEffectsOnce(t *testing.T) {
	t.Parallel()
	y := newYard(t)
	once := op.WithIdempotencyKey(y.ctx, "effect-1")
	a, err := y.Create(once, fleet.CreateIn{})
	if err != nil {
		t.Fatal(err)
	}
	b, err := y.Create(once, fleet.CreateIn{})
	if err != nil || a.Instance.ID != b.Instance.ID {
		t.Errorf("%s and %s: %v", a.Instance.ID, b.Instance.ID, err)
	}
	twice := op.WithIdempotencyKey(y.ctx, "effect-2")
	for range 2 {
		out, err := y.Restart(twice, fleet.RefIn{ID: a.Instance.ID})
		if err != nil || out.Instance.Restarts != 1 {
			t.Errorf("%d restarts, %v", out.Instance.Restarts, err)
		}
	}
	clones := op.WithIdempotencyKey(y.ctx, "effect-3")
	for range 2 {
		if out, err := y.Clone(clones, fleet.CloneIn{ID: a.Instance.ID, Count: 3}); err != nil || len(out.Instances) != 3 {
			t.Errorf("%v %v", out, err)
		}
	}
	if out, err := y.List(y.ctx, fleet.ListIn{}); err != nil || len(out.Instances) != 4 {
		t.Errorf("%d instances, want 4: %v", len(out.Instances), err)
	}
}

func TestUnreachableCheckpoint(t *testing.T) {
	t.Parallel()
	y := newYard(t)
	in := y.makeWith(fleet.CreateIn{Name: "crashy", CheckpointRepo: "http://127.0.0.1:9/nobody/nothing.git"})
	if in.Status != fleet.Failed || !strings.Contains(in.LastError, "http://127.0.0.1:9/nobody/nothing.git") || !strings.Contains(in.LastError, "refused") {
		t.Errorf("%s: %q", in.Status, in.LastError)
	}
	_, err := y.Restart(y.ctx, fleet.RefIn{ID: "crashy"})
	want(t, err, errs.Unavailable, "crashy did not start")
	_, err = y.Exec(y.ctx, fleet.ExecIn{ID: "crashy", Command: shell("true")})
	want(t, err, errs.Conflict, "checkpoint")
	_, err = y.ListFiles(y.ctx, fleet.FilesIn{ID: "crashy"})
	want(t, err, errs.Conflict, "no files yet")
	_, err = y.Clone(y.ctx, fleet.CloneIn{ID: "crashy"})
	want(t, err, errs.Conflict, "can't be cloned")
	if out, err := y.Stop(y.ctx, fleet.RefIn{ID: "crashy"}); err != nil || out.Instance.Status != fleet.Inactive {
		t.Errorf("%+v %v", out, err)
	}
	_, err = y.Start(y.ctx, fleet.RefIn{ID: "crashy"})
	want(t, err, errs.Unavailable, "127.0.0.1:9")
	if _, err := y.Delete(y.ctx, fleet.RefIn{ID: "crashy"}); err != nil {
		t.Error(err)
	}
	if exists(filepath.Join(y.dir, "instances", in.ID)) {
		t.Error("its folder is left")
	}
}
