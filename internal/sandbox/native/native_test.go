//go:build linux

package native

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"go.uber.org/goleak"

	"yardmaster/internal/sandbox"
	"yardmaster/internal/sandbox/sandboxtest"
)

func TestMain(m *testing.M) {
	if kind := os.Getenv(machineVariable); kind != "" {
		os.Exit(onMachine(kind))
	}
	code := sandboxtest.Main(m, func(stateDir string) (sandbox.Driver, error) { return New(Options{StateDir: stateDir}) })
	if code == 0 {
		if err := goleak.Find(); err != nil {
			os.Stderr.WriteString(err.Error() + "\n")
			code = 1
		}
	}
	os.Exit(code)
}

// newDriver makes a driver for a test.
func newDriver(t testing.TB) *Driver {
	t.Helper()
	d, err := New(Options{StateDir: t.TempDir()})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := d.Close(); err != nil {
			t.Error(err)
		}
	})
	return d
}

// works skips a test on a machine that has no user namespaces, and fails it where that must not be.
func works(t testing.TB) {
	t.Helper()
	d := newDriver(t)
	if _, err := d.Probe(t.Context()); err != nil {
		if os.Getenv("CI") == "true" {
			t.Fatalf("this machine cannot run the native driver: %v", err)
		}
		t.Skipf("this machine cannot run the native driver: %v", err)
	}
}

func TestSuite(t *testing.T) {
	works(t)
	sandboxtest.Run(t, func(t *testing.T) sandbox.Driver { return newDriver(t) })
}

// ordinaryUser is a made-up user that no host has.
const ordinaryUser = 54321

// TestSuiteAsOrdinaryUser runs this test program again as a user without any right.
func TestSuiteAsOrdinaryUser(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("TestSuite ran as an ordinary user already")
	}
	works(t)
	dir, err := os.MkdirTemp("", "sandbox-user-")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	home := filepath.Join(dir, "home")
	if err := os.Mkdir(home, 0o700); err != nil {
		t.Fatal(err)
	}
	for _, p := range []string{dir, home} {
		if err := os.Chown(p, ordinaryUser, ordinaryUser); err != nil {
			t.Fatal(err)
		}
	}
	args := []string{"-test.run=^TestSuite$", "-test.v", "-test.timeout=5m"}
	if testing.Short() {
		args = append(args, "-test.short")
	}
	cmd := exec.CommandContext(t.Context(), "/proc/self/exe", args...)
	cmd.Dir = home
	cmd.Env = []string{"HOME=" + home, "TMPDIR=" + home, "PATH=/usr/bin:/bin", "CI=" + os.Getenv("CI")}
	cmd.SysProcAttr = &syscall.SysProcAttr{
		Credential: &syscall.Credential{Uid: ordinaryUser, Gid: ordinaryUser}, Pdeathsig: syscall.SIGKILL,
	}
	out, err := cmd.CombinedOutput()
	if err != nil || !strings.Contains(string(out), "--- PASS: TestSuite ") {
		t.Errorf("as an ordinary user: %v\n%s", err, out)
	}
	t.Logf("%d tests passed as an ordinary user", strings.Count(string(out), "--- PASS: TestSuite/"))
}
