package fleet_test

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"yardmaster/internal/errs"
	"yardmaster/internal/fleet"
	"yardmaster/internal/sandbox"
)

// A service that is opened on the data of one that ended goes on where it was.
func TestReopen(t *testing.T) {
	t.Parallel()
	y := newYard(t)
	up, down := y.make("up"), y.make("down")
	broken := y.makeWith(fleet.CreateIn{Name: "broken", CheckpointRepo: "http://127.0.0.1:9/x/y.git"})
	y.write("up", "f", "kept")
	if _, err := y.Stop(y.ctx, fleet.RefIn{ID: "down"}); err != nil {
		t.Fatal(err)
	}
	if _, err := y.Suspend(y.ctx, y.make("held").ID, "The budget is spent."); err != nil {
		t.Fatal(err)
	}
	// Left by a crash: a folder of no instance.
	if err := os.MkdirAll(filepath.Join(y.dir, "instances", "inst_orphan", "home", "deep"), 0o700); err != nil {
		t.Fatal(err)
	}
	y.reopen()
	for ref, want := range map[string]string{up.ID: fleet.Active, down.ID: fleet.Inactive, broken.ID: fleet.Failed, "held": fleet.Suspended} {
		if got := y.get(ref).Status; got != want {
			t.Errorf("%s is %s, want %s", ref, got, want)
		}
	}
	if got := y.run("up", "cat f"); got.Stdout != "kept" {
		t.Errorf("%+v", got)
	}
	if slices.Contains(y.folders(), "inst_orphan") || len(y.folders()) != 4 {
		t.Errorf("folders %v", y.folders())
	}
	_, err := y.Exec(y.ctx, fleet.ExecIn{ID: "held", Command: shell("true")})
	want(t, err, errs.Conflict, "The budget is spent.")
	if out, err := y.Start(y.ctx, fleet.RefIn{ID: "held"}); err != nil || out.Instance.Status != fleet.Active || out.Instance.LastError != "" {
		t.Errorf("%+v %v", out, err)
	}
}

// At a start that has much to bring up, an instance that is asked for does not queue behind the others.
func TestAskedForComesFirst(t *testing.T) {
	t.Parallel()
	y := newYard(t, func(o *fleet.Options) { o.Starts = 2 })
	const n = 30
	ids := make([]string, n)
	for i := range ids {
		ids[i] = y.make("").ID
	}
	y.close()
	hold, begun := make(chan struct{}), make(chan string, n)
	y.change = func(o *fleet.Options) {
		o.Starts = 2
		o.Driver.(*fakeDriver).hold, o.Driver.(*fakeDriver).begun = hold, begun
	}
	y.open()
	// The first of those in the background is under way and held up; the rest waits behind it.
	first, asked := <-begun, ids[0]
	if first == asked {
		asked = ids[1]
	}
	done := make(chan fleet.ExecOut)
	go func() { done <- y.run(asked, "echo here") }()
	if second := <-begun; second != asked {
		t.Errorf("started second was %s, wanted %s", second, asked)
	}
	close(hold)
	if out := <-done; out.Stdout != "here\n" {
		t.Errorf("%+v", out)
	}
}

func TestDyingSandbox(t *testing.T) {
	t.Parallel()
	y := newYard(t)
	in := y.make("w")
	for i := range 4 {
		if !y.fake.die(in.ID) {
			t.Fatalf("death %d: it is not up", i+1)
		}
		y.awaitEvents("instance.died", i+1)
		if got := y.run("w", "echo alive"); got.Stdout != "alive\n" {
			t.Errorf("after death %d: %+v", i+1, got)
		}
	}
	y.fake.die(in.ID)
	if s := y.until(in.ID, func(s string) bool { return s != fleet.Active }); s != fleet.Failed {
		t.Errorf("it is %s", s)
	}
	_, err := y.Exec(y.ctx, fleet.ExecIn{ID: "w", Command: shell("true")})
	want(t, err, errs.Conflict, "died by itself 5 times")
	if out, err := y.Restart(y.ctx, fleet.RefIn{ID: "w"}); err != nil || out.Instance.Status != fleet.Active || out.Instance.LastError != "" {
		t.Errorf("%+v %v", out, err)
	}
	y.fake.die(in.ID) // the count begins anew
	y.awaitEvents("instance.died", 5)
	if got := y.run("w", "echo alive"); got.Stdout != "alive\n" {
		t.Errorf("%+v", got)
	}
}

// awaitEvents waits until there were n events of a type.
func (y *yard) awaitEvents(typ string, n int) {
	y.t.Helper()
	ctx, cancel := context.WithTimeout(y.ctx, time.Minute)
	defer cancel()
	for e, err := range y.events.Follow(ctx, "acct_a", "instances", 0) {
		if err != nil {
			y.t.Fatal(err)
		}
		if e.Type == typ {
			if n--; n == 0 {
				return
			}
		}
	}
	y.t.Fatalf("%d events %s are missing", n, typ)
}

// A newer wish interrupts the work for an older one.
func TestStopWhileProvisioning(t *testing.T) {
	t.Parallel()
	hold := make(chan struct{})
	defer close(hold)
	y := newYard(t, func(o *fleet.Options) {
		if f, ok := o.Driver.(*fakeDriver); ok {
			f.hold = hold
		}
	})
	ctx, cancel := context.WithCancel(y.ctx)
	cancelled := make(chan error)
	go func() {
		_, err := y.Create(ctx, fleet.CreateIn{Name: "w"})
		cancelled <- err
	}()
	y.awaitEvents("instance.created", 1)
	cancel()
	if err := <-cancelled; !errors.Is(err, context.Canceled) {
		t.Errorf("create: %v", err)
	}
	if got := y.get("w"); got.Status != fleet.Provisioning {
		t.Errorf("%s: leaving does not end what was asked for", got.Status)
	}
	if out, err := y.Stop(y.ctx, fleet.RefIn{ID: "w"}); err != nil || out.Instance.Status != fleet.Inactive {
		t.Errorf("%+v %v", out, err)
	}
	id := y.get("w").ID
	go func() { _, _ = y.Start(y.ctx, fleet.RefIn{ID: id}) }()
	y.awaitEvents("instance.starting", 1)
	if _, err := y.Delete(y.ctx, fleet.RefIn{ID: id}); err != nil {
		t.Error(err)
	}
	if len(y.folders()) != 0 {
		t.Errorf("folders %v", y.folders())
	}
}

func TestDriverFails(t *testing.T) {
	t.Parallel()
	var mu sync.Mutex
	var fail error
	y := newYard(t, func(o *fleet.Options) {
		o.Driver = sandbox.Fault(o.Driver, sandbox.Faults{Start: func(sandbox.Spec) error {
			mu.Lock()
			defer mu.Unlock()
			return fail
		}})
	})
	set := func(err error) {
		mu.Lock()
		defer mu.Unlock()
		fail = err
	}
	set(errs.New(errs.Unavailable, "User namespaces are switched off. Switch them on with sysctl."))
	in := y.make("w")
	if in.Status != fleet.Failed || !strings.Contains(in.LastError, "sysctl") {
		t.Errorf("%s %q", in.Status, in.LastError)
	}
	set(errors.New("internal detail /var/lib"))
	_, err := y.Restart(y.ctx, fleet.RefIn{ID: "w"})
	want(t, err, errs.Unavailable, "did not start")
	if strings.Contains(err.Error(), "/var/lib") {
		t.Errorf("%v", err)
	}
	set(nil)
	if out, err := y.Restart(y.ctx, fleet.RefIn{ID: "w"}); err != nil || out.Instance.Status != fleet.Active || out.Instance.LastError != "" {
		t.Errorf("%+v %v", out, err)
	}
}

// An instance is not started by a driver that may isolate it less than the one it was made with.
func TestOtherDriver(t *testing.T) {
	t.Parallel()
	y := newYard(t)
	in := y.make("w")
	y.change = func(o *fleet.Options) { o.Driver.(*fakeDriver).name = "weaker" }
	y.reopen()
	_, err := y.Exec(y.ctx, fleet.ExecIn{ID: "w", Command: shell("true")})
	want(t, err, errs.Conflict, `made with the driver "fake"`)
	if y.fake.starts != 0 || y.get(in.ID).Status != fleet.Failed {
		t.Errorf("%d starts, %s", y.fake.starts, y.get(in.ID).Status)
	}
}

// Files that were lost are not silently replaced by an empty home.
func TestLostFiles(t *testing.T) {
	t.Parallel()
	y := newYard(t)
	in := y.make("w")
	y.close()
	if err := os.RemoveAll(filepath.Join(y.dir, "instances", in.ID, "home")); err != nil {
		t.Fatal(err)
	}
	y.open()
	if s := y.until(in.ID, func(s string) bool { return s != fleet.Active }); s != fleet.Failed || !strings.Contains(y.get("w").LastError, "backup") {
		t.Errorf("%s: %s", s, y.get("w").LastError)
	}
	if _, err := y.Delete(y.ctx, fleet.RefIn{ID: "w"}); err != nil {
		t.Error(err)
	}
}

// A clone whose source goes away while it is copied is never taken for a whole one.
func TestSourceGoesAway(t *testing.T) {
	t.Parallel()
	y := newYard(t)
	src := y.make("src")
	y.run("src", "mkdir d; cd d; seq 2000 | xargs touch")
	done := make(chan error)
	go func() {
		_, err := y.Clone(y.ctx, fleet.CloneIn{ID: "src", Name: "late"})
		done <- err
	}()
	y.awaitEvents("instance.created", 2)
	if _, err := y.Delete(y.ctx, fleet.RefIn{ID: src.ID}); err != nil {
		t.Fatal(err)
	}
	if err := <-done; err != nil {
		t.Fatal(err)
	}
	late := y.get("late")
	switch y.settle(late.ID) {
	case fleet.Active:
		if got := y.run("late", "ls d | wc -l").Stdout; got != "2000\n" {
			t.Errorf("it has %s of 2000 files", got)
		}
	case fleet.Failed:
		if got := y.get("late").LastError; !strings.Contains(got, "is gone") {
			t.Error(got)
		}
	}
}
