//go:build linux

package sandboxtest

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"io"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"yardmaster/internal/errs"
	"yardmaster/internal/sandbox"
)

func testExec(t *testing.T, h *harness) {
	in := h.start(t)
	r := in.sh("echo out; echo err >&2; exit 7")
	if r.Code != 7 || r.Signal != 0 || r.out != "out\n" || r.err != "err\n" || r.wait != nil {
		t.Errorf("got %+v", r)
	}
	if r := in.run(sandbox.Command{Argv: []string{"true"}}); r.Code != 0 {
		t.Errorf("true ended with %d", r.Code)
	}
	if got := in.run(sandbox.Command{Argv: []string{"pwd"}, Dir: "/tmp"}).out; got != "/tmp\n" {
		t.Errorf("working folder is %q", got)
	}
	if got := in.ok("pwd; id -un; id -u; hostname 2>/dev/null || cat /proc/sys/kernel/hostname"); got != "/home/agent\nagent\n1000\ntest\n" {
		t.Errorf("identity is %q", got)
	}
	var both bytes.Buffer
	r = in.run(sandbox.Command{Argv: []string{"/bin/sh", "-c", "echo 1; echo 2 >&2; echo 3"}, Stdout: &both, Stderr: &both})
	if both.String() != "1\n2\n3\n" {
		t.Errorf("joined output is %q", both.String())
	}
	// The standard streams can be opened again by name.
	if got := in.ok("echo again >/dev/stdout"); got != "again\n" {
		t.Errorf("/dev/stdout gave %q", got)
	}
	p, err := in.box.Exec(t.Context(), sandbox.Command{Argv: []string{"cat"}})
	if err != nil {
		t.Fatal(err)
	}
	if exit, err := p.Wait(); err != nil || exit.Code != 0 {
		t.Errorf("cat of no input: %+v, %v", exit, err)
	}
}

func testRefusals(t *testing.T, h *harness) {
	in := h.start(t)
	in.write("data", []byte("no program"), 0o755)
	in.write("closed", []byte("#!/bin/sh\n"), 0o644)
	for _, c := range []struct {
		name string
		cmd  sandbox.Command
		want errs.Code
	}{
		{"nothing", sandbox.Command{}, errs.Invalid},
		{"empty", sandbox.Command{Argv: []string{""}}, errs.Invalid},
		{"NUL", sandbox.Command{Argv: []string{"echo", "a\x00b"}}, errs.Invalid},
		{"environment", sandbox.Command{Argv: []string{"true"}, Env: []string{"novalue"}}, errs.Invalid},
		{"absent", sandbox.Command{Argv: []string{"no-such-program"}}, errs.Invalid},
		{"absent path", sandbox.Command{Argv: []string{"/no/such/program"}}, errs.Invalid},
		{"no program", sandbox.Command{Argv: []string{"./data"}}, errs.Invalid},
		{"closed", sandbox.Command{Argv: []string{"./closed"}}, errs.Invalid},
		{"folder", sandbox.Command{Argv: []string{"/tmp"}}, errs.Invalid},
		{"relative dir", sandbox.Command{Argv: []string{"true"}, Dir: "tmp"}, errs.Invalid},
		{"absent dir", sandbox.Command{Argv: []string{"true"}, Dir: "/nowhere"}, errs.Invalid},
		{"file as dir", sandbox.Command{Argv: []string{"true"}, Dir: "/home/agent/data"}, errs.Invalid},
		{"too long", sandbox.Command{Argv: []string{"true", strings.Repeat("x", 8<<20)}}, errs.TooLarge},
		{"too long an argument", sandbox.Command{Argv: []string{"true", strings.Repeat("x", 1<<20)}}, errs.TooLarge},
	} {
		_, err := in.box.Exec(t.Context(), c.cmd)
		if !errs.Is(err, c.want) {
			t.Errorf("%s: got %v, want %s", c.name, err, c.want)
		}
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := in.box.Exec(ctx, sandbox.Command{Argv: []string{"true"}}); !errors.Is(err, context.Canceled) {
		t.Errorf("an ended context: %v", err)
	}
	if got := in.ok("echo alive"); got != "alive\n" {
		t.Errorf("after refusals: %q", got)
	}
}

func testEnvironment(t *testing.T, h *harness) {
	in := h.start(t)
	r := in.run(sandbox.Command{Argv: []string{"/usr/bin/env"}, Env: []string{"A=1", "LANG=xx", "B=x=y"}})
	got := strings.Split(strings.TrimSpace(r.out), "\n")
	slices.Sort(got)
	want := []string{"A=1", "B=x=y", "HOME=/home/agent", "LANG=xx", sandbox.DefaultEnv[0], "USER=agent"}
	slices.Sort(want)
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("the environment (-want +got):\n%s", diff)
	}
	if got := in.ok("cat /proc/[0-9]*/environ 2>/dev/null | tr '\\0' '\\n'"); strings.Contains(got, plantedValue) {
		t.Error("the platform's environment can be read inside")
	}
}

func testSignals(t *testing.T, h *harness) {
	in := h.start(t)
	p, lines := in.begin(t.Context(), "echo ready; exec sleep 600")
	lines.next()
	if err := p.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	if exit, err := p.Wait(); err != nil || exit.Signal != syscall.SIGTERM || exit.Code != 143 {
		t.Errorf("got %+v, %v", exit, err)
	}
	p, lines = in.begin(t.Context(), "trap 'echo caught; exit 3' INT; echo ready; while :; do sleep 600 & wait $!; done")
	lines.next()
	if err := p.Signal(syscall.SIGINT); err != nil {
		t.Fatal(err)
	}
	if got := lines.next(); got != "caught" {
		t.Errorf("the trap said %q", got)
	}
	if exit, _ := p.Wait(); exit.Code != 3 {
		t.Errorf("got %+v", exit)
	}
	// After the end there is nobody to get it.
	if err := p.Signal(syscall.SIGTERM); err != nil {
		t.Errorf("signal after the end: %v", err)
	}
	if err := p.Kill(); err != nil {
		t.Errorf("kill after the end: %v", err)
	}
	if err := p.Signal(99); !errs.Is(err, errs.Invalid) {
		t.Errorf("signal 99: %v", err)
	}
}

func testSession(t *testing.T, h *harness) {
	in := h.start(t)
	stdin, feed := io.Pipe()
	out, sink := io.Pipe()
	defer out.Close()
	p, err := in.box.Exec(t.Context(), sandbox.Command{
		Argv:  []string{"/bin/sh", "-c", "while read -r l; do echo \"got $l\"; done; echo bye"},
		Stdin: stdin, Stdout: sink,
	})
	if err != nil {
		t.Fatal(err)
	}
	lines := newLineReader(t, out)
	for i := range 100 {
		n := strconv.Itoa(i)
		if _, err := io.WriteString(feed, n+"\n"); err != nil {
			t.Fatal(err)
		}
		if got := lines.next(); got != "got "+n {
			t.Fatalf("round %d: %q", i, got)
		}
	}
	feed.Close()
	if got := lines.next(); got != "bye" {
		t.Errorf("after the end of input: %q", got)
	}
	if exit, err := p.Wait(); err != nil || exit.Code != 0 {
		t.Errorf("%+v, %v", exit, err)
	}

	// A command that ends by itself does not wait for a live input.
	stdin, feed = io.Pipe()
	defer feed.Close()
	r := in.run(sandbox.Command{Argv: []string{"true"}, Stdin: stdin})
	if r.Code != 0 || r.wait != nil {
		t.Errorf("%+v", r)
	}
}

func testBigOutput(t *testing.T, h *harness) {
	in := h.start(t)
	const size = 64 << 20
	sum := sha256.New()
	r := in.run(sandbox.Command{
		Argv:   []string{"/bin/sh", "-c", "head -c " + strconv.Itoa(size) + " /dev/urandom | tee copy; sha256sum copy >&2"},
		Stdout: sum,
	})
	if want, _, _ := strings.Cut(r.err, " "); hex.EncodeToString(sum.Sum(nil)) != want || want == "" {
		t.Errorf("%d bytes came out different: %+v", size, r.Exit)
	}
	// The same way in, and the last bytes before an end.
	var back bytes.Buffer
	in.run(sandbox.Command{Argv: []string{"cat"}, Stdin: bytes.NewReader(make([]byte, 8<<20)), Stdout: &back})
	if back.Len() != 8<<20 {
		t.Errorf("%d bytes came back", back.Len())
	}
	for range 20 {
		if got := in.run(sandbox.Command{Argv: []string{"head", "-c", "65536", "/dev/zero"}}).out; len(got) != 65536 {
			t.Fatalf("%d bytes of the last write", len(got))
		}
	}
}

func testBigCommand(t *testing.T, h *harness) {
	in := h.start(t)
	argv := []string{"/bin/sh", "-c", "echo $# ${#1} ${#BIG}", "sh"}
	for range 10 {
		argv = append(argv, strings.Repeat("a", 100_000))
	}
	r := in.run(sandbox.Command{Argv: argv, Env: []string{"BIG=" + strings.Repeat("e", 100_000)}})
	if r.out != "10 100000 100000\n" {
		t.Errorf("got %q, %+v", r.out, r)
	}
}

// errFull is what a writer says that takes no more.
var errFull = errors.New("enough")

// bounded takes so many bytes and then fails.
type bounded struct{ left int }

func (b *bounded) Write(p []byte) (int, error) {
	if b.left -= len(p); b.left < 0 {
		return 0, errFull
	}
	return len(p), nil
}

func testWriterThatFails(t *testing.T, h *harness) {
	in := h.start(t)
	r := in.run(sandbox.Command{Argv: []string{"yes"}, Stdout: &bounded{1 << 20}})
	if !errors.Is(r.wait, errFull) || r.Signal != syscall.SIGPIPE {
		t.Errorf("got %+v, %v", r.Exit, r.wait)
	}
}

func testBackgroundKeepsStdout(t *testing.T, h *harness) {
	in := h.start(t)
	// The first leaves a silent process behind, the second one that writes for ever.
	for _, script := range []string{"sleep 600 & echo done", "yes no & echo done"} {
		r := in.sh(script)
		if !strings.Contains(r.out, "done\n") || r.wait != nil || r.Code != 0 {
			t.Errorf("%s: %+v", script, r.Exit)
		}
	}
}

// gate holds writers up until it is opened, and counts.
type gate struct {
	opened chan struct{}
	bytes  int
}

func (g *gate) Write(p []byte) (int, error) {
	<-g.opened
	g.bytes += len(p)
	return len(p), nil
}

// A caller that is slow to take output loses nothing of what the command itself wrote, even if somebody else holds the
// pipe open and the command made it larger.
func testSlowWriter(t *testing.T, h *harness) {
	in := h.start(t)
	program := in.plantProbe()
	out := &gate{opened: make(chan struct{})}
	p, err := in.box.Exec(t.Context(), sandbox.Command{Argv: []string{program, "wide"}, Env: []string{probeVariable + "=widepipe"}, Stdout: out})
	if err != nil {
		t.Fatal(err)
	}
	for strings.TrimSpace(in.ok("sleep 0.3; ps -e -o args= | grep -c '[p]robe wide' || true")) != "0" {
	}
	close(out.opened)
	if exit, err := p.Wait(); err != nil || exit.Code != 0 || out.bytes != 256<<10 {
		t.Errorf("%+v, %v: %d bytes came", exit, err, out.bytes)
	}
}

func testContextKills(t *testing.T, h *harness) {
	in := h.start(t)
	ctx, cancel := context.WithCancelCause(t.Context())
	p, lines := in.begin(ctx, "trap '' TERM INT HUP; echo ready; sleep 600 & sleep 600 | sleep 600")
	lines.next()
	why := errors.New("no longer wanted")
	cancel(why)
	exit, err := p.Wait()
	if !errors.Is(err, why) || exit.Signal != syscall.SIGKILL {
		t.Errorf("got %+v, %v", exit, err)
	}
	if got := in.ok("ps -e -o comm= | grep -c sleep || true"); got != "0\n" {
		t.Errorf("%s processes are left", got)
	}
}

func testKillTree(t *testing.T, h *harness) {
	in := h.start(t)
	// A child with a session of its own, and one that is left behind after the end.
	p, lines := in.begin(t.Context(), "setsid sleep 601 & sleep 602 & echo ready; wait")
	lines.next()
	if err := p.Kill(); err != nil {
		t.Fatal(err)
	}
	if exit, _ := p.Wait(); exit.Signal != syscall.SIGKILL {
		t.Errorf("got %+v", exit)
	}
	p, lines = in.begin(t.Context(), "sleep 603 >/dev/null & echo ready")
	lines.next()
	if exit, _ := p.Wait(); exit.Code != 0 {
		t.Errorf("got %+v", exit)
	}
	if got := in.ok("ps -e -o args= | grep -c '[s]leep 603'"); got != "1\n" {
		t.Errorf("what a command leaves behind should live on: %q", got)
	}
	if err := p.Kill(); err != nil {
		t.Fatal(err)
	}
	if got := in.ok("ps -e -o args= | grep -c '[s]leep 60' || true"); got != "0\n" {
		t.Errorf("%s processes are left", got)
	}
}

func testKillSandbox(t *testing.T, h *harness) {
	in := h.start(t)
	p, lines := in.begin(t.Context(), "echo ready; exec sleep 600")
	lines.next()
	init := openProcess(t, in.box.PID())
	for range 3 {
		if err := in.box.Kill(); err != nil {
			t.Fatal(err)
		}
	}
	select {
	case <-in.box.Done():
	default:
		t.Error("Done is open after Kill")
	}
	if !init.ends(0) {
		t.Error("init is alive after Kill")
	}
	if exit, err := p.Wait(); !errs.Is(err, errs.Unavailable) || exit.Signal != syscall.SIGKILL {
		t.Errorf("the command: %+v, %v", exit, err)
	}
	if _, err := in.box.Exec(t.Context(), sandbox.Command{Argv: []string{"true"}}); !errs.Is(err, errs.Unavailable) {
		t.Errorf("exec after Kill: %v", err)
	}
	if err := p.Signal(syscall.SIGTERM); err != nil {
		t.Errorf("signal after Kill: %v", err)
	}
}

func testCloseKillsAll(t *testing.T, h *harness) {
	d := h.new(t)
	var all []*instance
	for range 3 {
		all = append(all, startOn(t, d))
	}
	for range 2 {
		if err := d.Close(); err != nil {
			t.Fatal(err)
		}
	}
	for _, in := range all {
		select {
		case <-in.box.Done():
		default:
			t.Error("a sandbox outlives its driver")
		}
	}
	if _, err := d.Start(t.Context(), sandbox.Spec{ID: "late", Home: t.TempDir()}); !errs.Is(err, errs.Unavailable) {
		t.Errorf("start after Close: %v", err)
	}
}

func testManyAtOnce(t *testing.T, h *harness) {
	d := h.new(t)
	var wg sync.WaitGroup
	for i := range 8 {
		wg.Go(func() {
			in := startOn(t, d)
			var inner sync.WaitGroup
			for j := range 8 {
				inner.Go(func() {
					want := strconv.Itoa(i*100 + j)
					var out bytes.Buffer
					p, err := in.box.Exec(t.Context(), sandbox.Command{Argv: []string{"sh", "-c", "cat; exit " + strconv.Itoa(j)}, Stdin: strings.NewReader(want), Stdout: &out})
					if err != nil {
						t.Error(err)
						return
					}
					if exit, err := p.Wait(); err != nil || exit.Code != j || out.String() != want {
						t.Errorf("command %s: %+v, %v, %q", want, exit, err, out.String())
					}
				})
			}
			inner.Wait()
		})
	}
	wg.Wait()
}

func testUsage(t *testing.T, h *harness) {
	in := h.start(t)
	r := in.sh("i=0; while [ $i -lt 300000 ]; do i=$((i+1)); done")
	if r.CPU < 10*time.Millisecond || r.CPU > patience || r.MaxRSSKB < 100 {
		t.Errorf("usage %+v", r.Exit)
	}
}
