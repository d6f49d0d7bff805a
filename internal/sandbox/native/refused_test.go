//go:build linux

package native

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"

	"yardmaster/internal/errs"
	"yardmaster/internal/sandbox"
)

// machineVariable makes the test program a server on a machine that is made to refuse something.
const machineVariable = "NATIVE_TEST_MACHINE"

// onMachine is the server on such a machine. It prints what Probe says, and how many dead children it did not collect.
func onMachine(kind string) int {
	fail := func(err error) int {
		fmt.Println("setting the machine up:", err)
		return 1
	}
	switch kind {
	case "no namespaces":
		if err := os.WriteFile(countSwitch, []byte("0"), 0); err != nil {
			return fail(err)
		}
	case "covered proc":
		if err := unix.Mount("", "/", "", unix.MS_REC|unix.MS_PRIVATE, ""); err != nil {
			return fail(err)
		}
		if err := unix.Mount("/dev/null", "/proc/version", "", unix.MS_BIND, ""); err != nil {
			return fail(err)
		}
	}
	d, err := New(Options{StateDir: filepath.Join(os.Getenv("TMPDIR"), "state")})
	if err != nil {
		return fail(err)
	}
	defer d.Close()
	for range 3 {
		facts, err := d.Probe(context.Background())
		if err != nil {
			fmt.Println("probe:", errs.CodeOf(err), errs.Public(err).Detail)
		} else {
			fmt.Println("probe: ok", facts["users"].Reason)
		}
	}
	left := 0
	for {
		var ws syscall.WaitStatus
		if pid, err := syscall.Wait4(-1, &ws, syscall.WNOHANG, nil); err != nil || pid == 0 {
			break
		}
		left++
	}
	fmt.Println("zombies:", left)
	return 0
}

func TestMachinesThatRefuse(t *testing.T) {
	works(t)
	me := os.Geteuid()
	one := []syscall.SysProcIDMap{{ContainerID: 1000, HostID: me, Size: 1}}
	oneGroup := []syscall.SysProcIDMap{{ContainerID: 1000, HostID: os.Getegid(), Size: 1}}
	for _, c := range []struct {
		kind      string
		sys       *syscall.SysProcAttr
		wants     []string
		needsRoot bool
	}{
		{"no namespaces", &syscall.SysProcAttr{
			Cloneflags: unix.CLONE_NEWUSER, UidMappings: one, GidMappings: oneGroup, AmbientCaps: []uintptr{unix.CAP_SYS_RESOURCE},
		}, []string{"probe: unavailable", "user.max_user_namespaces"}, false},
		{"covered proc", &syscall.SysProcAttr{
			Cloneflags: unix.CLONE_NEWUSER | unix.CLONE_NEWNS, UidMappings: one, GidMappings: oneGroup, AmbientCaps: []uintptr{unix.CAP_SYS_ADMIN},
		}, []string{"probe: unavailable", "to mount proc failed", "/proc is partly covered"}, false},
		{"small range of ids", &syscall.SysProcAttr{
			Cloneflags:                 unix.CLONE_NEWUSER | unix.CLONE_NEWNS,
			UidMappings:                []syscall.SysProcIDMap{{ContainerID: 0, HostID: 1 << 20, Size: 65536}},
			GidMappings:                []syscall.SysProcIDMap{{ContainerID: 0, HostID: 1 << 20, Size: 65536}},
			GidMappingsEnableSetgroups: true, Credential: &syscall.Credential{},
		}, []string{"probe: ok", "a range of 1"}, true},
	} {
		t.Run(c.kind, func(t *testing.T) {
			t.Parallel()
			if c.needsRoot && me != 0 {
				t.Skip("only root can map a range of ids")
			}
			dir, err := os.MkdirTemp("", "sandbox-machine-")
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(func() { os.RemoveAll(dir) })
			if c.needsRoot {
				if err := os.Chown(dir, 1<<20, 1<<20); err != nil {
					t.Fatal(err)
				}
			}
			cmd := exec.CommandContext(t.Context(), "/proc/self/exe")
			cmd.Env = []string{machineVariable + "=" + c.kind, "TMPDIR=" + dir, "PATH=/usr/bin:/bin"}
			cmd.SysProcAttr = c.sys
			out, err := cmd.CombinedOutput()
			if err != nil {
				t.Fatalf("%v\n%s", err, out)
			}
			for _, want := range append(c.wants, "zombies: 0") {
				if !strings.Contains(string(out), want) {
					t.Errorf("no %q in:\n%s", want, out)
				}
			}
		})
	}
}

func TestMends(t *testing.T) {
	t.Parallel()
	set := func(path, value string) func(string) string {
		return func(p string) string {
			if p == path {
				return value
			}
			return ""
		}
	}
	for _, c := range []struct {
		got, want string
	}{
		{forkMend(unix.EPERM, set("", "")), "container"},
		{forkMend(unix.EPERM, set(debianSwitch, "0")), "unprivileged_userns_clone"},
		{forkMend(unix.EACCES, set(apparmorSwitch, "1")), "AppArmor"},
		{forkMend(unix.ENOSPC, set(countSwitch, "0")), "switched off"},
		{forkMend(unix.ENOSPC, set(countSwitch, "100")), "used up"},
		{forkMend(unix.EINVAL, set("", "")), "5.12"},
		{forkMend(unix.EAGAIN, set("", "")), "ulimit"},
		{forkMend(unix.EIO, set("", "")), "doctor"},
		{buildMend("mount proc", unix.EPERM, set("", "")), "procMount"},
		{buildMend("mount the root", unix.EPERM, set("", "")), "security module"},
		{buildMend("make the mounts private", unix.EACCES, set(apparmorSwitch, "1")), "AppArmor"},
		{buildMend("mount the root", unix.ENOSYS, set("", "")), "5.12"},
		{buildMend("mount the root", unix.ENOSPC, set("", "")), "mount-max"},
		{buildMend("bind the home folder", unix.ENOENT, set("", "")), "missing"},
		{buildMend("bind the home folder", unix.EIO, set("", "")), "doctor"},
	} {
		if !strings.Contains(c.got, c.want) {
			t.Errorf("no %q in %q", c.want, c.got)
		}
	}
}

func TestSpecsThatAreWrong(t *testing.T) {
	t.Parallel()
	d := newDriver(t)
	home := filepath.Join(t.TempDir(), "home")
	file := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string]struct {
		spec sandbox.Spec
		want errs.Code
	}{
		"no home":          {sandbox.Spec{}, errs.Invalid},
		"relative home":    {sandbox.Spec{Home: "home"}, errs.Invalid},
		"root as home":     {sandbox.Spec{Home: "/"}, errs.Invalid},
		"file as home":     {sandbox.Spec{Home: file}, errs.Unavailable},
		"nowhere":          {sandbox.Spec{Home: filepath.Join(file, "home")}, errs.Unavailable},
		"relative skills":  {sandbox.Spec{Home: home, Skills: "skills"}, errs.Invalid},
		"absent skills":    {sandbox.Spec{Home: home, Skills: filepath.Join(home, "none")}, errs.Unavailable},
		"host name":        {sandbox.Spec{Home: home, Hostname: "a b"}, errs.Invalid},
		"host name's size": {sandbox.Spec{Home: home, Hostname: strings.Repeat("a", 64)}, errs.Invalid},
		"few processes":    {sandbox.Spec{Home: home, Limits: sandbox.Limits{Processes: 1}}, errs.Invalid},
		"negative memory":  {sandbox.Spec{Home: home, Limits: sandbox.Limits{MemoryMB: -1}}, errs.Invalid},
	} {
		s, err := d.Start(t.Context(), c.spec)
		if !errs.Is(err, c.want) {
			t.Errorf("%s: got %v, want %s", name, err, c.want)
		}
		if s != nil {
			t.Errorf("%s: a sandbox came with the error", name)
		}
	}
}
