//go:build linux

// Package sandboxtest is the suite that every sandbox driver passes, and the attacks that it must withstand.
//
// The attacks run inside a real sandbox: the test binary copies itself into the instance's home and runs there as a
// probe. A driver's tests call Main from TestMain and Run from a test. What a driver does not claim by its facts is
// skipped aloud.
package sandboxtest

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"yardmaster/internal/sandbox"
)

// patience bounds waits for what takes milliseconds; machines that run tests are busy.
const patience = 60 * time.Second

// planted is a secret in the environment of the test process, which stands for the platform.
const (
	plantedName  = "SANDBOXTEST_PLANTED"
	plantedValue = "planted-c0ffee-5ecret"
)

// Main runs the tests of a driver's package and returns the exit code. newDriver makes the driver for a platform that is
// killed in a test; stateDir is a fresh folder.
func Main(m *testing.M, newDriver func(stateDir string) (sandbox.Driver, error)) int {
	if attack := os.Getenv(probeVariable); attack != "" {
		return probe(attack, os.Args[1:])
	}
	if dir := os.Getenv(platformVariable); dir != "" {
		return platform(dir, newDriver)
	}
	if err := os.Setenv(plantedName, plantedValue); err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	return m.Run()
}

// Run runs the suite. newDriver is called for each test and closes the driver with t.Cleanup.
func Run(t *testing.T, newDriver func(t *testing.T) sandbox.Driver) {
	h := &harness{new: newDriver}
	d := newDriver(t)
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	facts, err := d.Probe(ctx)
	if err != nil {
		t.Fatalf("probe: %v", err)
	}
	if !facts.Complete() {
		t.Errorf("the facts are not complete: %v", facts)
	}
	h.facts = facts
	for _, c := range []struct {
		name  string
		needs string // the fact that must not be none
		run   func(*testing.T, *harness)
	}{
		{"Exec", "", testExec},
		{"Refusals", "", testRefusals},
		{"Environment", "", testEnvironment},
		{"Signals", "", testSignals},
		{"Session", "", testSession},
		{"BigOutput", "", testBigOutput},
		{"BigCommand", "", testBigCommand},
		{"WriterThatFails", "", testWriterThatFails},
		{"BackgroundKeepsStdout", "", testBackgroundKeepsStdout},
		{"SlowWriter", "", testSlowWriter},
		{"ContextKills", "", testContextKills},
		{"KillTree", "", testKillTree},
		{"KillSandbox", "", testKillSandbox},
		{"CloseKillsAll", "", testCloseKillsAll},
		{"ManyAtOnce", "", testManyAtOnce},
		{"Usage", "", testUsage},
		{"FilesPersist", "", testFilesPersist},
		{"Skills", "", testSkills},
		{"Tools", "", testTools},
		{"HostFiles", "fs", testHostFiles},
		{"Descriptors", "fs", testDescriptors},
		{"Processes", "pids", testProcesses},
		{"SignalsToInit", "pids", testSignalsToInit},
		{"Orphans", "pids", testOrphans},
		{"DaemonDies", "pids", testDaemonDies},
		{"PlatformKilled", "pids", testPlatformKilled},
		{"Network", "net", testNetwork},
		{"Kernel", "fs", testKernel},
		{"ForkBomb", "pidsmax", testForkBomb},
		{"MemoryHog", "mem", testMemoryHog},
		{"MemoryOfMany", "mem", testMemoryOfMany},
		{"CPU", "cpu", testCPU},
		{"Disk", "disk", testDisk},
	} {
		t.Run(c.name, func(t *testing.T) {
			if c.needs != "" && facts[c.needs].Level == sandbox.None {
				t.Skipf("the driver does not claim %s: %s", c.needs, facts[c.needs].Reason)
			}
			t.Parallel()
			c.run(t, h)
		})
	}
}

// harness is what the tests share.
type harness struct {
	new   func(t *testing.T) sandbox.Driver
	facts sandbox.Facts
}

// instance is a sandbox with its folders on the host.
type instance struct {
	t    *testing.T
	box  sandbox.Sandbox
	spec sandbox.Spec
}

// start makes a driver and one sandbox with a home of its own.
func (h *harness) start(t *testing.T, change ...func(*sandbox.Spec)) *instance {
	t.Helper()
	return startOn(t, h.new(t), change...)
}

func startOn(t *testing.T, d sandbox.Driver, change ...func(*sandbox.Spec)) *instance {
	t.Helper()
	spec := sandbox.Spec{ID: "test", Hostname: "test", Home: filepath.Join(t.TempDir(), "home")}
	for _, f := range change {
		f(&spec)
	}
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	box, err := d.Start(ctx, spec)
	if err != nil {
		t.Fatalf("start: %v", err)
	}
	t.Cleanup(func() {
		if err := box.Kill(); err != nil {
			t.Errorf("kill: %v", err)
		}
	})
	return &instance{t, box, spec}
}

func limits(l sandbox.Limits) func(*sandbox.Spec) {
	return func(s *sandbox.Spec) { s.Limits = l }
}

// result is what a command left.
type result struct {
	sandbox.Exit
	out, err string
	wait     error
}

// run runs a command to its end.
func (in *instance) run(cmd sandbox.Command) result {
	in.t.Helper()
	var out, stderr bytes.Buffer
	if cmd.Stdout == nil {
		cmd.Stdout = &out
	}
	if cmd.Stderr == nil {
		cmd.Stderr = &stderr
	}
	ctx, cancel := context.WithTimeout(in.t.Context(), patience)
	defer cancel()
	p, err := in.box.Exec(ctx, cmd)
	if err != nil {
		in.t.Fatalf("exec %q: %v", cmd.Argv, err)
	}
	exit, err := p.Wait()
	return result{exit, out.String(), stderr.String(), err}
}

// sh runs a script to its end.
func (in *instance) sh(script string) result {
	in.t.Helper()
	return in.run(sandbox.Command{Argv: []string{"/bin/sh", "-c", script}})
}

// ok runs a script that must succeed and returns its output.
func (in *instance) ok(script string) string {
	in.t.Helper()
	r := in.sh(script)
	if r.Code != 0 || r.wait != nil {
		in.t.Fatalf("%s\nended with %d, %v, and said %q", script, r.Code, r.wait, r.err)
	}
	return r.out
}

// begin starts a script and returns it with its standard output.
func (in *instance) begin(ctx context.Context, script string) (sandbox.Process, *lineReader) {
	in.t.Helper()
	r, w := io.Pipe()
	in.t.Cleanup(func() { r.Close() })
	p, err := in.box.Exec(ctx, sandbox.Command{Argv: []string{"/bin/sh", "-c", script}, Stdout: w})
	if err != nil {
		in.t.Fatalf("exec: %v", err)
	}
	return p, newLineReader(in.t, r)
}

// attack runs the probe inside and returns its lines, name to verdict.
func (in *instance) attack(name string, args ...string) map[string]string {
	in.t.Helper()
	program := in.plantProbe()
	r := in.run(sandbox.Command{Argv: append([]string{program}, args...), Env: []string{probeVariable + "=" + name}})
	if r.Code != 0 || r.wait != nil {
		in.t.Fatalf("the probe %s ended with %d, %v: %s", name, r.Code, r.wait, r.err)
	}
	verdicts := map[string]string{}
	for line := range strings.Lines(r.out) {
		if k, v, ok := strings.Cut(strings.TrimSpace(line), "\t"); ok {
			verdicts[k] = v
		}
	}
	if len(verdicts) == 0 {
		in.t.Fatalf("the probe %s said nothing: %s", name, r.err)
	}
	return verdicts
}

// shut checks that every verdict of an attack is that the way is closed.
func (in *instance) shut(verdicts map[string]string) {
	in.t.Helper()
	for name, v := range verdicts {
		if v == open {
			in.t.Errorf("%s is open", name)
		}
	}
}

// plantProbe puts the test binary into the home and returns its path inside.
func (in *instance) plantProbe() string {
	in.t.Helper()
	data, err := os.ReadFile("/proc/self/exe")
	if err != nil {
		in.t.Fatal(err)
	}
	// A program cannot run while anybody has it open for writing, and a child that another test forks at this moment
	// would have, until it runs its own program.
	syscall.ForkLock.RLock()
	defer syscall.ForkLock.RUnlock()
	in.write("probe", data, 0o755)
	return sandbox.HomeDir + "/probe"
}

// home opens the home as the server does.
func (in *instance) home() *os.Root {
	in.t.Helper()
	root, err := os.OpenRoot(in.spec.Home)
	if err != nil {
		in.t.Fatal(err)
	}
	return root
}

// write puts a file into the home as the server does.
func (in *instance) write(name string, data []byte, mode os.FileMode) {
	in.t.Helper()
	root := in.home()
	defer root.Close()
	if err := root.WriteFile(name, data, mode); err != nil {
		in.t.Fatal(err)
	}
	if err := sandbox.Own(root, name); err != nil {
		in.t.Fatal(err)
	}
}

// read gets a file from the home as the server does.
func (in *instance) read(name string) string {
	in.t.Helper()
	root := in.home()
	defer root.Close()
	data, err := root.ReadFile(name)
	if err != nil {
		in.t.Fatal(err)
	}
	return string(data)
}
