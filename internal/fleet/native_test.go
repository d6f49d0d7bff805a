package fleet_test

import (
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"

	"yardmaster/internal/fleet"
	"yardmaster/internal/sandbox/native"
)

// newNativeYard is a fleet of real sandboxes.
func newNativeYard(t *testing.T, change ...func(*fleet.Options)) *yard {
	t.Helper()
	driver := func() *native.Driver {
		d, err := native.New(native.Options{})
		if err == nil {
			_, err = d.Probe(t.Context())
		}
		if err != nil {
			if os.Getenv("CI") == "true" {
				t.Fatalf("the native driver does not work here: %v", err)
			}
			t.Skipf("the native driver does not work here: %v", err)
		}
		return d
	}
	return newYard(t, append([]func(*fleet.Options){func(o *fleet.Options) { o.Driver = driver() }}, change...)...)
}

func TestNative(t *testing.T) {
	t.Parallel()
	y := newNativeYard(t)
	in := y.makeWith(fleet.CreateIn{Name: "Web_1", Skills: []string{"greeter"}})
	if in.Status != fleet.Active || in.Driver != "native" {
		t.Fatalf("%+v", in)
	}
	y.write("Web_1", "from/outside.txt", "kept")
	got := y.run("Web_1", `hostname; pwd; id -u; cat from/outside.txt; echo more >>from/outside.txt; echo x >from/inside.txt; chmod 000 from/inside.txt
		cat /skills/greeter/SKILL.md; echo; touch /skills/x 2>/dev/null || echo read-only; mkdir -p keep/deep; chmod 000 keep`)
	if got.Stdout != "web-1\n/home/agent\n1000\nkeptsha256:greeter-2\nread-only\n" || got.Stderr != "" {
		t.Errorf("%+v", got)
	}
	if text := y.read("Web_1", "from/outside.txt"); text != "keptmore\n" {
		t.Errorf("%q", text)
	}
	// What the platform writes belongs to the inside user, also over files that exist and in new folders.
	y.write("Web_1", "from/outside.txt", "replaced")
	y.write("Web_1", "new/folder/file", "mine")
	if got := y.run("Web_1", "echo >>from/outside.txt && echo >>new/folder/file && touch new/other new/folder/other && stat -c %U from/outside.txt new/folder | uniq"); got.Stdout != "agent\n" || got.ExitCode != 0 {
		t.Errorf("%+v", got)
	}
	// A skill that is installed while it runs is there at once.
	if _, err := y.Install(y.ctx, fleet.InstallIn{ID: "counter", Instances: []string{"Web_1"}}); err != nil {
		t.Fatal(err)
	}
	if got := y.run("Web_1", "ls /skills"); got.Stdout != "counter\ngreeter\n" {
		t.Errorf("%+v", got)
	}
	y.reopen()
	if got := y.run("Web_1", "cat new/folder/file"); got.Stdout != "mine\n" {
		t.Errorf("after reopening: %+v", got)
	}
	y.run("Web_1", "chmod 700 keep; chmod 644 from/inside.txt")
	c, err := y.Clone(y.ctx, fleet.CloneIn{ID: "Web_1"})
	if err != nil {
		t.Fatal(err)
	}
	y.settle(c.Instances[0].ID)
	if got := y.run("Web_1-clone", "cat new/folder/file; echo y >new/folder/file; ls -d keep/deep; hostname"); got.Stdout != "mine\nkeep/deep\nweb-1-clone\n" || got.Stderr != "" {
		t.Errorf("clone: %+v", got)
	}
	if text := y.read("Web_1", "new/folder/file"); text != "mine\n" {
		t.Errorf("%q", text)
	}
	y.run("Web_1", "mkdir -p locked/in; touch locked/in/file; chmod 000 locked/in locked")
	if _, err := y.Delete(y.ctx, fleet.RefIn{ID: "Web_1"}); err != nil || exists(filepath.Join(y.dir, "instances", in.ID)) {
		t.Errorf("delete: %v", err)
	}
}

// What one instance does reaches no other and nothing of the platform.
func TestNativeIsApart(t *testing.T) {
	t.Parallel()
	y := newNativeYard(t)
	y.make("a")
	y.make("b")
	y.write("b", "private.txt", "of b")
	got := y.run("a", "env; ls -a / /home; cat /proc/*/environ 2>/dev/null; ls "+y.dir+" 2>&1; ls /home/agent")
	for _, word := range []string{"private.txt", "instances"} {
		if strings.Contains(strings.ReplaceAll(got.Stdout, "ls: cannot access '"+y.dir+"'", ""), word) {
			t.Errorf("a sees %q in %s", word, got.Stdout)
		}
	}
}

// An instance at rest costs the server next to nothing: a goroutine of the fleet, those of the driver, and a few KB.
func TestIdleCost(t *testing.T) { // alone, because it counts what the whole process has
	y := newNativeYard(t)
	y.make("warm")
	count := func() (goroutines int, heap uint64) {
		runtime.GC()
		var m runtime.MemStats
		runtime.ReadMemStats(&m)
		return runtime.NumGoroutine(), m.HeapAlloc
	}
	g0, h0 := count()
	const n = 40
	var wg sync.WaitGroup
	began := time.Now()
	for range n {
		wg.Go(func() {
			if _, err := y.Create(y.ctx, fleet.CreateIn{}); err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	took := time.Since(began)
	list, err := y.List(y.ctx, fleet.ListIn{})
	if err != nil {
		t.Fatal(err)
	}
	for _, in := range list.Instances {
		if s := y.settle(in.ID); s != fleet.Active {
			t.Errorf("%s is %s", in.ID, s)
		}
	}
	g1, h1 := count()
	each := float64(g1-g0) / n
	t.Logf("%d instances in %v; each has %.1f goroutines and %.1f KB of heap", n, took, each, (float64(h1)-float64(h0))/n/1024)
	if each > 4 || h1 > h0 && (h1-h0)/n > 64<<10 {
		t.Errorf("too much: %.1f goroutines, %d bytes", each, (h1-h0)/n)
	}
}
