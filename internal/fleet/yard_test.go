package fleet_test

import (
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"go.uber.org/goleak"

	"yardmaster/internal/db"
	"yardmaster/internal/errs"
	"yardmaster/internal/event"
	"yardmaster/internal/fleet"
	"yardmaster/internal/op"
	"yardmaster/internal/sandbox"
)

func TestMain(m *testing.M) {
	if dir := os.Getenv("FLEET_TEST_VICTIM"); dir != "" {
		victim(dir)
		return
	}
	// The model's steps are all durable, so each waits for the disk; rapid's usual 100 runs would take most of the gate.
	if f := flag.Lookup("rapid.checks"); f != nil {
		if err := f.Value.Set("20"); err != nil {
			panic(err)
		}
	}
	goleak.VerifyTestMain(m) // flags given to the test come over this: they are parsed in it
}

// yard is a fleet on a data folder, which can be closed and opened again.
type yard struct {
	*fleet.Service
	t      *testing.T
	dir    string
	db     *db.DB
	events *event.Log
	driver sandbox.Driver
	fake   *fakeDriver // nil with another driver
	skills *fakeSkills
	grants *fakeSecrets
	ctx    context.Context
	change func(*fleet.Options)
	seq    atomic.Int64 // the newest event that was looked at
}

func newYard(t *testing.T, change ...func(*fleet.Options)) *yard {
	t.Helper()
	y := &yard{t: t, dir: t.TempDir(), skills: newSkills(), grants: &fakeSecrets{}, ctx: as(t.Context(), "acct_a")}
	y.change = func(o *fleet.Options) {
		for _, c := range change {
			c(o)
		}
	}
	y.open()
	t.Cleanup(y.close)
	return y
}

func as(ctx context.Context, account string) context.Context {
	return op.WithActor(ctx, op.System(account))
}

func (y *yard) open() {
	y.t.Helper()
	d, err := db.Open(y.t.Context(), "sqlite:"+filepath.Join(y.dir, "y.db"))
	if err != nil {
		y.t.Fatal(err)
	}
	y.db, y.events = d, event.New(d)
	y.fake = newFake()
	o := fleet.Options{
		DB: d, Events: y.events, Dir: filepath.Join(y.dir, "instances"), Driver: y.fake, Skills: y.skills, Secrets: y.grants,
		Scrub: func(string) func(string) string {
			return func(s string) string { return strings.ReplaceAll(s, "hunter2-secret", "[hidden]") }
		},
		Backoff: func(int) time.Duration { return time.Millisecond },
	}
	y.change(&o)
	y.driver = o.Driver
	if y.Service, err = fleet.New(o); err != nil {
		y.t.Fatal(err)
	}
	if err := y.Reconcile(y.t.Context()); err != nil {
		y.t.Fatal(err)
	}
}

func (y *yard) close() {
	if y.Service == nil {
		return
	}
	if err := errors.Join(y.Service.Close(), y.driver.Close(), y.db.Close()); err != nil {
		y.t.Error(err)
	}
	y.Service = nil
}

// reopen is a crash as far as the data can tell: Close changes nothing of what is wanted.
func (y *yard) reopen() {
	y.t.Helper()
	y.close()
	y.open()
}

func (y *yard) make(name string) fleet.Instance {
	y.t.Helper()
	return y.makeWith(fleet.CreateIn{Name: name})
}

func (y *yard) makeWith(in fleet.CreateIn) fleet.Instance {
	y.t.Helper()
	out, err := y.Create(y.ctx, in)
	if err != nil {
		y.t.Fatal(err)
	}
	y.settle(out.Instance.ID)
	return y.get(out.Instance.ID)
}

func (y *yard) get(ref string) fleet.Instance {
	y.t.Helper()
	out, err := y.Get(y.ctx, fleet.RefIn{ID: ref})
	if err != nil {
		y.t.Fatal(err)
	}
	return out.Instance
}

// settle waits until an instance is neither being set up nor being removed.
func (y *yard) settle(id string) string {
	y.t.Helper()
	return y.until(id, func(status string) bool { return status != fleet.Provisioning && status != fleet.Deleting })
}

// until follows an instance's events until its status is as wanted; "gone" stands for an instance that is no more.
func (y *yard) until(id string, ok func(status string) bool) string {
	y.t.Helper()
	ctx, cancel := context.WithTimeout(y.ctx, time.Minute)
	defer cancel()
	status := func() string {
		out, err := y.Get(ctx, fleet.RefIn{ID: id})
		if errs.Is(err, errs.NotFound) {
			return "gone"
		}
		if err != nil {
			y.t.Fatal(err)
		}
		return out.Instance.Status
	}
	if s := status(); ok(s) {
		return s
	}
	for e, err := range y.events.Follow(ctx, "acct_a", "instances", y.seq.Load()) {
		if err != nil {
			y.t.Fatal(err)
		}
		y.seq.Store(e.Seq)
		if s := status(); ok(s) {
			return s
		}
	}
	y.t.Fatalf("instance %s is still %s", id, status())
	return ""
}

func (y *yard) run(ref, command string) fleet.ExecOut {
	y.t.Helper()
	out, err := y.Exec(y.ctx, fleet.ExecIn{ID: ref, Command: shell(command)})
	if err != nil {
		y.t.Fatalf("%s: %v", command, err)
	}
	return out
}

func shell(command string) json.RawMessage {
	raw, err := json.Marshal(command)
	if err != nil {
		panic(err)
	}
	return raw
}

func (y *yard) write(ref, path, text string) {
	y.t.Helper()
	if _, err := y.WriteFileOp(y.ctx, fleet.FileWriteIn{ID: ref, Path: path, Content: op.Text(text)}); err != nil {
		y.t.Fatal(err)
	}
}

func (y *yard) read(ref, path string) string {
	y.t.Helper()
	out, err := y.ReadFileOp(y.ctx, fleet.FileIn{ID: ref, Path: path})
	if err != nil {
		y.t.Fatal(err)
	}
	return out.Text
}

func (y *yard) folders() []string {
	y.t.Helper()
	entries, err := os.ReadDir(filepath.Join(y.dir, "instances"))
	if err != nil {
		y.t.Fatal(err)
	}
	names := []string{}
	for _, e := range entries {
		names = append(names, e.Name())
	}
	return names
}

// want checks an error's code, and that its text has a word.
func want(t *testing.T, err error, code errs.Code, word string) {
	t.Helper()
	if !errs.Is(err, code) || !strings.Contains(err.Error(), word) {
		t.Errorf("got %v (%s), want %s with %q", err, errs.CodeOf(err), code, word)
	}
}

// fakeSkills is a store of skills whose versions have one file each.
type fakeSkills struct {
	mu     sync.Mutex
	newest map[string]int // by name
	fail   error
}

func newSkills() *fakeSkills { return &fakeSkills{newest: map[string]int{"greeter": 2, "counter": 1}} }

func (f *fakeSkills) Version(_ context.Context, ref string, n int) (fleet.SkillVersion, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	name := strings.TrimPrefix(ref, "skill_")
	newest, ok := f.newest[name]
	if n == 0 {
		n = newest
	}
	if !ok || n > newest {
		return fleet.SkillVersion{}, errs.New(errs.NotFound, "There is no skill %q.", ref)
	}
	return fleet.SkillVersion{ID: "skill_" + name, Name: name, Version: n, Digest: fmt.Sprintf("sha256:%s-%d", name, n)}, nil
}

func (f *fakeSkills) Place(_ context.Context, digest string, dir *os.Root, name string, withhold []string) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.fail != nil {
		return f.fail
	}
	if err := dir.RemoveAll(name); err != nil {
		return err
	}
	if err := dir.MkdirAll(name+"/scripts", 0o755); err != nil {
		return err
	}
	for path, text := range map[string]string{"SKILL.md": digest, "scripts/selftest.sh": "echo tested $(cat); exit 0", "data.csv": "1,2"} {
		if len(withhold) > 0 && withhold[0] == path {
			continue
		}
		if err := dir.WriteFile(name+"/"+path, []byte(text), 0o644); err != nil {
			return err
		}
	}
	return nil
}

// fakeSecrets grants every instance what is in env.
type fakeSecrets struct {
	mu        sync.Mutex
	env       map[string]string
	forgotten []string
}

func (f *fakeSecrets) Env(context.Context, string, string) (map[string]string, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.env, nil
}

func (f *fakeSecrets) Forget(_ *db.Tx, _, instance string) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.forgotten = append(f.forgotten, instance)
	return nil
}

func exists(path string) bool {
	_, err := os.Lstat(path)
	return !errors.Is(err, fs.ErrNotExist)
}
