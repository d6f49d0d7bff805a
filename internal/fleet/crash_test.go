package fleet_test

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"yardmaster/internal/db"
	"yardmaster/internal/errs"
	"yardmaster/internal/event"
	"yardmaster/internal/fleet"
)

// victim is a server that makes, changes and removes instances as fast as it can, until it is killed. It prints what was
// answered: a promise that must hold afterwards.
func victim(dir string) {
	ctx := as(context.Background(), "acct_a")
	d, err := db.Open(ctx, "sqlite:"+filepath.Join(dir, "y.db"))
	if err != nil {
		panic(err)
	}
	s, err := fleet.New(fleet.Options{DB: d, Events: event.New(d), Dir: filepath.Join(dir, "instances"), Driver: newFake(), Skills: newSkills(), Secrets: &fakeSecrets{}})
	if err != nil {
		panic(err)
	}
	if err := s.Reconcile(ctx); err != nil {
		panic(err)
	}
	var out sync.Mutex
	promise := func(format string, args ...any) {
		out.Lock()
		defer out.Unlock()
		fmt.Printf(format+"\n", args...)
	}
	for worker := range 4 {
		go func() {
			for i := 0; ; i++ {
				in, err := s.Create(ctx, fleet.CreateIn{Skills: []string{"greeter"}})
				if errs.Is(err, errs.Capacity) {
					return
				}
				if err != nil {
					panic(err)
				}
				id := in.Instance.ID
				promise("made %s", id)
				if err := s.WriteFile(ctx, id, "f", []byte(id)); err == nil {
					promise("wrote %s", id)
				}
				switch (i + worker) % 4 {
				case 0:
					promise("deleting %s", id)
					if _, err := s.Delete(ctx, fleet.RefIn{ID: id}); err == nil {
						promise("deleted %s", id)
					}
				case 1:
					if _, err := s.Stop(ctx, fleet.RefIn{ID: id}); err == nil {
						promise("stopped %s", id)
					}
				case 2:
					if _, err := s.Restart(ctx, fleet.RefIn{ID: id}); err == nil {
						promise("restarted %s", id)
					}
				case 3:
					if c, err := s.Clone(ctx, fleet.CloneIn{ID: id}); err == nil {
						promise("made %s", c.Instances[0].ID)
					}
				}
			}
		}()
	}
	select {}
}

// A server that is killed at any moment keeps every promise that it made, and finishes what it had begun.
func TestKilled(t *testing.T) {
	t.Parallel()
	for round := range 4 {
		t.Run(fmt.Sprint(round), func(t *testing.T) {
			t.Parallel()
			y := newYard(t)
			y.close()
			held := map[string]string{} // by id, the last promise
			wrote := map[string]bool{}
			for kill := range 3 { // the same data is killed again and again
				cmd := exec.CommandContext(t.Context(), os.Args[0])
				cmd.Env = append(os.Environ(), "FLEET_TEST_VICTIM="+y.dir)
				cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
				cmd.Stderr = os.Stderr
				pipe, err := cmd.StdoutPipe()
				if err != nil {
					t.Fatal(err)
				}
				if err := cmd.Start(); err != nil {
					t.Fatal(err)
				}
				lines := bufio.NewScanner(pipe)
				for n := 0; lines.Scan(); n++ {
					what, id, _ := strings.Cut(lines.Text(), " ")
					if what == "wrote" {
						wrote[id] = true
					} else {
						held[id] = what
					}
					if n == 7*(round+1)+13*kill {
						// What is printed until it is dead is a promise too.
						if err := syscall.Kill(cmd.Process.Pid, syscall.SIGKILL); err != nil {
							t.Fatal(err)
						}
					}
				}
				var exit *exec.ExitError
				if err := cmd.Wait(); !errors.As(err, &exit) {
					t.Fatalf("the server ended by itself: %v", err)
				}
			}
			y.open()
			list, err := y.List(y.ctx, fleet.ListIn{})
			if err != nil {
				t.Fatal(err)
			}
			for _, in := range list.Instances {
				y.settle(in.ID) // what was on its way arrives
			}
			if list, err = y.List(y.ctx, fleet.ListIn{}); err != nil {
				t.Fatal(err)
			}
			there := map[string]fleet.Instance{}
			for _, in := range list.Instances {
				there[in.ID] = in
				if in.Status != fleet.Active && in.Status != fleet.Inactive {
					t.Errorf("%s is %s: %s", in.ID, in.Status, in.LastError)
				}
				if got := y.read(in.ID, "skills/greeter/SKILL.md"); got != "sha256:greeter-2" {
					t.Errorf("%s: skill %q", in.ID, got)
				}
				if in.Status == fleet.Active {
					if out := y.run(in.ID, "echo alive"); out.Stdout != "alive\n" {
						t.Errorf("%s: %+v", in.ID, out)
					}
				}
			}
			for id, what := range held {
				in, here := there[id]
				switch {
				case what == "deleted" && here, (what == "made" || what == "stopped" || what == "restarted") && !here:
					t.Errorf("%s was %s, and now it is there: %v", id, what, here)
				case what == "stopped" && in.Status != fleet.Inactive, what == "restarted" && in.Status != fleet.Active:
					t.Errorf("%s was %s and is %s", id, what, in.Status)
				}
				if here && wrote[id] && y.read(id, "f") != id {
					t.Errorf("%s lost its file", id)
				}
			}
			if got := y.folders(); len(got) != len(there) {
				t.Errorf("%d folders of %d instances", len(got), len(there))
			}
			t.Logf("%d promises, %d instances", len(held), len(there))
		})
	}
}

// Sandboxes of a fake that was killed are plain processes: they end by themselves.
const fakeLife = time.Minute
