//go:build linux

package sandboxtest

import (
	"bufio"
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"yardmaster/internal/sandbox"
)

func testForkBomb(t *testing.T, h *harness) {
	const most = 40
	in := h.start(t, limits(sandbox.Limits{Processes: most}))
	before := len(findProcesses(t, bombMarker(in)))
	p, lines := in.begin(t.Context(), "i=0; while [ $i -lt 400 ]; do sleep 600 "+bombMarker(in)+" & i=$((i+1)); done 2>/dev/null; echo done; wait")
	defer p.Kill()
	// The shell gives up at its first fork that fails, or goes on until all have failed.
	exited := make(chan struct{})
	go func() { _, _ = p.Wait(); close(exited) }()
	line := make(chan string, 1)
	go func() {
		s, _ := lines.r.ReadString('\n')
		line <- s
	}()
	select {
	case <-line:
	case <-exited:
	case <-time.After(patience):
		t.Fatal("the bomb does not end")
	}
	if n := len(findProcesses(t, bombMarker(in))) - before; n > most {
		t.Errorf("%d processes where %d are allowed", n, most)
	}
	// A full sandbox can still be told things, and be emptied.
	if r := in.run(sandbox.Command{Argv: []string{"true"}}); r.Code != 0 {
		t.Errorf("true in a full sandbox: %+v", r)
	}
	if err := p.Kill(); err != nil {
		t.Fatal(err)
	}
	<-exited
	if got := in.ok("echo $(echo alive)"); got != "alive\n" {
		t.Errorf("after the bomb: %q", got)
	}

	// A bomb that does not stop by itself takes nothing with it but its own sandbox.
	p, err := in.box.Exec(t.Context(), sandbox.Command{Argv: []string{"/bin/sh", "-c", "b() { b | b & }; b 2>/dev/null; sleep 1; b 2>/dev/null; sleep 1"}})
	if err != nil {
		t.Fatal(err)
	}
	_, _ = p.Wait()
	if err := in.box.Kill(); err != nil {
		t.Fatal(err)
	}
}

// bombMarker is a text by which the host finds the processes of one test.
func bombMarker(in *instance) string {
	sum := 0
	for _, c := range in.spec.Home {
		sum = sum*31%1_000_000 + int(c)
	}
	return fmt.Sprintf("0.0%06d", sum)
}

func testMemoryHog(t *testing.T, h *harness) {
	if raceEnabled {
		t.Skip("the race detector reserves more memory than the limit of this test")
	}
	in := h.start(t, limits(sandbox.Limits{MemoryMB: 192}))
	program := in.plantProbe()
	hog := func(mb string) result {
		return in.run(sandbox.Command{Argv: []string{program, mb}, Env: []string{probeVariable + "=hog"}})
	}
	if r := hog("64"); r.Code != 0 {
		t.Errorf("a modest program: %+v", r)
	}
	if r := hog("2048"); r.Code == 0 {
		t.Error("a hog took 2 GiB where 192 MiB are allowed")
	} else if r.MaxRSSKB > 600<<10 {
		t.Errorf("the hog got %d KiB", r.MaxRSSKB)
	}
	if got := in.ok("echo alive"); got != "alive\n" {
		t.Errorf("after the hog: %q", got)
	}
}

func testMemoryOfMany(t *testing.T, h *harness) {
	if raceEnabled {
		t.Skip("the race detector reserves more memory than the limit of this test")
	}
	in := h.start(t, limits(sandbox.Limits{MemoryMB: 192}))
	program := in.plantProbe()
	// Each stays below what one process may have; together they take four times what is allowed, and would keep it.
	r := in.run(sandbox.Command{Argv: []string{program, "8", "hold"}, Env: []string{probeVariable + "=hogs"}})
	if !strings.Contains(r.out, "killed\t") || strings.Contains(r.out, "killed\t0") {
		t.Errorf("nobody was killed: %+v", r)
	}
	if got := in.ok("echo alive"); got != "alive\n" {
		t.Errorf("after the hogs: %q", got)
	}
}

func testCPU(t *testing.T, h *harness) {
	in := h.start(t, limits(sandbox.Limits{CPUSeconds: 1}))
	program := in.plantProbe()
	start := time.Now()
	r := in.run(sandbox.Command{Argv: []string{program}, Env: []string{probeVariable + "=spin"}})
	if r.Code == 0 || r.wait != nil || r.CPU > 8*time.Second {
		t.Errorf("a program that spins: %+v after %v", r, time.Since(start))
	}
}

func testDisk(t *testing.T, h *harness) {
	in := h.start(t, limits(sandbox.Limits{DiskMB: 8}))
	if r := in.sh("head -c 20000000 /dev/zero >big"); r.Code == 0 {
		t.Error("a file of 20 MB was written where 8 MiB are allowed")
	}
	if r := in.sh("head -c 20000000 /dev/zero >/tmp/big"); r.Code == 0 {
		t.Error("a file of 20 MB was written to /tmp where 8 MiB are allowed")
	}
	in.ok("rm -f big /tmp/big; echo x >small")
	// Many files that are small each: the count comes within seconds and then nothing grows.
	r := in.sh("i=0; while [ $i -lt 60 ]; do head -c 1000000 /dev/zero >f$i || exit 9; i=$((i+1)); sleep 0.2; done 2>/dev/null")
	if r.Code == 0 {
		t.Error("60 MB were written in small files where 8 MiB are allowed")
	}
	if r := in.sh("echo more >>small"); r.Code == 0 {
		t.Error("a full home can still be filled")
	}
	in.ok("rm -f f*")
	// The next count finds it empty again.
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	for in.sh("sleep 0.5; echo more >>small").Code != 0 {
		if ctx.Err() != nil {
			t.Fatal("a home that was emptied stays closed")
		}
	}
}

func testDaemonDies(t *testing.T, h *harness) {
	in := h.start(t)
	program := in.plantProbe()
	marker := "daemon-" + bombMarker(in)
	p, lines := in.begin(t.Context(), "(setsid env "+probeVariable+"=orphan "+program+" "+marker+" &) ; exec sleep 600")
	if got := lines.next(); got != "daemon\tready" {
		t.Fatalf("the daemon said %q", got)
	}
	pids := findProcesses(t, marker)
	if len(pids) == 0 {
		t.Fatal("the daemon is not to be found on the host")
	}
	var all []hostProcess
	for _, pid := range pids {
		all = append(all, openProcess(t, pid))
	}
	if err := in.box.Kill(); err != nil {
		t.Fatal(err)
	}
	for _, d := range all {
		if !d.ends(0) {
			t.Errorf("process %d outlives its sandbox", d.pid)
		}
	}
	_, _ = p.Wait()
}

// testPlatformKilled kills a whole platform with -9 and looks at what is left.
func testPlatformKilled(t *testing.T, _ *harness) {
	dir := t.TempDir()
	cmd := exec.Command("/proc/self/exe")
	cmd.Env = append(os.Environ(), platformVariable+"="+dir)
	cmd.Stderr = os.Stderr
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	lines := bufio.NewScanner(out)
	var all []hostProcess
	for lines.Scan() && lines.Text() != "ready" {
		pid, err := strconv.Atoi(lines.Text())
		if err != nil {
			t.Fatalf("the platform said %q", lines.Text())
		}
		all = append(all, openProcess(t, pid))
	}
	if len(all) == 0 {
		_ = cmd.Process.Kill()
		t.Fatal("the platform started nothing")
	}
	for _, pid := range findProcesses(t, filepath.Base(filepath.Dir(dir))+"-daemon") {
		all = append(all, openProcess(t, pid))
	}
	if err := cmd.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	deadline := time.Now().Add(time.Second)
	for _, p := range all {
		if !p.ends(time.Until(deadline)) {
			t.Errorf("process %d is alive a second after the platform was killed", p.pid)
		}
	}
	_ = cmd.Wait()
	t.Logf("%d processes ended", len(all))
}

// platform is the test binary as a platform that will be killed: it starts three sandboxes with commands and daemons,
// prints the host's numbers of their inits, and stays.
func platform(dir string, newDriver func(string) (sandbox.Driver, error)) int {
	fail := func(err error) int {
		fmt.Fprintln(os.Stderr, "platform:", err)
		return 1
	}
	d, err := newDriver(dir)
	if err != nil {
		return fail(err)
	}
	for i := range 3 {
		s, err := d.Start(context.Background(), sandbox.Spec{ID: "p", Home: filepath.Join(dir, "home"+strconv.Itoa(i))})
		if err != nil {
			return fail(err)
		}
		mark := filepath.Base(filepath.Dir(dir)) + "-daemon"
		r, w, err := os.Pipe()
		if err != nil {
			return fail(err)
		}
		_, err = s.Exec(context.Background(), sandbox.Command{
			Argv:   []string{"/bin/sh", "-c", "trap '' HUP TERM; setsid sh -c 'trap \"\" HUP TERM; echo up; while :; do sleep 1; done' " + mark + " & sleep 600"},
			Stdout: w,
		})
		if err != nil {
			return fail(err)
		}
		if _, err := r.Read(make([]byte, 8)); err != nil {
			return fail(err)
		}
		fmt.Println(s.PID())
	}
	fmt.Println("ready")
	select {}
}

// leak opens descriptors that a child inherits.
func leak(t *testing.T) {
	t.Helper()
	for range 3 {
		fd, err := unix.Open("/etc/hostname", unix.O_RDONLY, 0)
		if err != nil {
			fd, err = unix.Open("/dev/null", unix.O_RDONLY, 0)
		}
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { unix.Close(fd) })
	}
}
