//go:build linux

package native

import (
	"bytes"
	"context"
	"crypto/rand"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strings"

	"golang.org/x/sys/unix"

	"yardmaster/internal/errs"
	"yardmaster/internal/sandbox"
	"yardmaster/internal/sandbox/native/wire"
)

// probeNamespaces are the entries of /proc/self/ns that must differ from the server's.
var probeNamespaces = []string{"user", "mnt", "pid", "net", "ipc", "uts", "cgroup"}

// probeScript reports what a command sees of itself, a line each.
const probeScript = `set -e
echo "canary $(cat canary)"
for n in user mnt pid net ipc uts cgroup; do echo "ns:$n $(readlink /proc/self/ns/$n)"; done
while read -r key value rest; do case "$key" in CapEff:|CapBnd:|NoNewPrivs:|Seccomp:) echo "$key $value";; esac; done </proc/self/status
echo written >answer`

// Probe implements sandbox.Driver. It trusts no setting and no successful call: it starts a real sandbox, reads a canary
// through it, and tries from inside to reach a file and a listener of the host.
func (d *Driver) Probe(ctx context.Context) (sandbox.Facts, error) {
	dir, err := os.MkdirTemp("", "yardmaster-probe-")
	if err != nil {
		return nil, errs.Wrap(err, errs.Unavailable, "There is no temporary folder to try a sandbox in. Set TMPDIR to one that can be written.")
	}
	defer os.RemoveAll(dir)
	canary := rand.Text()
	secret := filepath.Join(dir, "host-file")
	home := filepath.Join(dir, "home")
	if err := os.Mkdir(home, 0o700); err != nil {
		return nil, errs.Wrap(err, errs.Unavailable, "The temporary folder cannot be written.")
	}
	for path, text := range map[string]string{secret: canary, filepath.Join(home, "canary"): canary} {
		if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
			return nil, errs.Wrap(err, errs.Unavailable, "The temporary folder cannot be written.")
		}
	}
	listener, err := net.Listen("tcp4", "127.0.0.1:0")
	if err != nil {
		return nil, errs.Wrap(err, errs.Unavailable, "The loopback interface does not work.")
	}
	defer listener.Close()
	port := listener.Addr().(*net.TCPAddr).Port

	s, err := d.Start(ctx, sandbox.Spec{ID: "probe", Hostname: "probe", Home: home})
	if err != nil {
		return nil, err
	}
	defer s.Kill()
	var out, complaint bytes.Buffer
	p, err := s.Exec(ctx, sandbox.Command{Argv: []string{"/bin/sh", "-c", probeScript}, Stdout: &out, Stderr: &complaint})
	if err != nil {
		return nil, err
	}
	exit, err := p.Wait()
	if err != nil {
		return nil, err
	}
	if exit.Code != 0 {
		return nil, errs.New(errs.Unavailable, "A sandbox starts but a shell does not work in it: it ended with %d and said %q. "+
			"Programs must lie below /usr, or in folders that are shown read-only by the driver's setting.", exit.Code, clip(complaint.String()))
	}
	if err := judge(out.String(), canary); err != nil {
		return nil, err
	}
	if text, err := os.ReadFile(filepath.Join(home, "answer")); err != nil || string(text) != "written\n" {
		return nil, errs.New(errs.Unavailable, "A file that a sandbox wrote into its home did not arrive on the host.")
	}
	got, err := s.(*box).tryReach(ctx, wire.Reach{
		Paths: []string{secret, "/etc/shadow", "/root", "/proc/1/environ", "/sys/kernel"},
		Ports: []int64{int64(port)},
	})
	if err != nil {
		return nil, err
	}
	for i, what := range []string{"a file of the host", "/etc/shadow", "/root", "the environment of its init", "/sys", "a listener of the host"} {
		if got.Errnos[i] == 0 {
			return nil, errs.New(errs.Unavailable, "A sandbox on this machine reaches %s. The native driver refuses to work here.", what)
		}
	}
	return d.facts(), nil
}

func clip(s string) string { return strings.TrimSpace(s[:min(len(s), 200)]) }

// judge compares what a command saw of itself with what must be.
func judge(report, canary string) error {
	seen := map[string]string{}
	for line := range strings.Lines(report) {
		key, value, _ := strings.Cut(strings.TrimSpace(line), " ")
		seen[key] = value
	}
	if seen["canary"] != canary {
		return errs.New(errs.Unavailable, "A sandbox does not see the files of its home.")
	}
	for _, ns := range probeNamespaces {
		host, err := os.Readlink("/proc/self/ns/" + ns)
		if err != nil {
			return errs.Wrap(err, errs.Unavailable, "This kernel has no namespace of kind %s.", ns)
		}
		if seen["ns:"+ns] == "" || seen["ns:"+ns] == host {
			return errs.New(errs.Unavailable, "A sandbox on this machine shares its %s namespace with the host. The native driver refuses to work here.", ns)
		}
	}
	for key, want := range map[string]string{"CapEff:": "0000000000000000", "CapBnd:": "0000000000000000", "NoNewPrivs:": "1", "Seccomp:": "2"} {
		if seen[key] != want {
			return errs.New(errs.Unavailable, "A command in a sandbox has %s %s where %s is needed. The native driver refuses to work here.", key, seen[key], want)
		}
	}
	return nil
}

// tryReach asks init to try what a command could.
func (b *box) tryReach(ctx context.Context, req wire.Reach) (wire.Reached, error) {
	answer := make(chan wire.Reached, 1)
	b.mu.Lock()
	b.reach = answer
	b.mu.Unlock()
	if err := b.send(req.Encode(), nil); err != nil {
		return wire.Reached{}, err
	}
	select {
	case got := <-answer:
		if len(got.Errnos) != len(req.Paths)+len(req.Ports) {
			return got, errs.New(errs.Internal, "The first process of a sandbox answered nonsense.")
		}
		return got, nil
	case <-b.done:
		return wire.Reached{}, errDead()
	case <-ctx.Done():
		return wire.Reached{}, ctx.Err()
	}
}

// facts states what sandboxes of this driver enforce, once a probe has passed.
func (d *Driver) facts() sandbox.Facts {
	users := sandbox.Fact{Level: sandbox.None, Reason: "The server is not root, so all instances use its own user id; their mounts and processes are apart all the same."}
	if s, ok := d.ids.(*idSlots); ok {
		users = sandbox.Fact{Level: sandbox.Enforced, Reason: fmt.Sprintf("Each instance has host user ids of its own (a range of %d).", s.width)}
	}
	pids := sandbox.Fact{Level: sandbox.Enforced, Reason: "The kernel counts processes and threads in each instance's own user namespace (RLIMIT_NPROC)."}
	if !kernelAtLeast(5, 14) {
		pids = sandbox.Fact{Level: sandbox.Soft, Reason: "Before Linux 5.14 the kernel counts processes of all instances of one user id together (RLIMIT_NPROC)."}
	}
	return sandbox.Facts{
		"fs":      {Level: sandbox.Enforced, Reason: "A mount namespace with a root of its own; of the host only /usr and public settings are there, read-only."},
		"pids":    {Level: sandbox.Enforced, Reason: "A process namespace of its own."},
		"net":     {Level: sandbox.Enforced, Reason: "A network namespace with nothing but its own loopback; sockets of other kinds are filtered."},
		"users":   users,
		"kernel":  {Level: sandbox.None, Reason: "The host's kernel is shared; a filter removes the calls with the worst record, but a fault in the kernel opens every instance."},
		"mem":     {Level: sandbox.Soft, Reason: "Each process is bounded by the kernel (RLIMIT_DATA); the sum is looked at ten times a second and the largest process killed above the limit."},
		"cpu":     {Level: sandbox.Soft, Reason: "Each process is bounded in processor seconds (RLIMIT_CPU) and runs at a lower priority than the host's programs."},
		"pidsmax": pids,
		"disk":    {Level: sandbox.Soft, Reason: "Each file is bounded by the kernel (RLIMIT_FSIZE); home is counted every few seconds while commands run, and files cannot grow above the limit. Temporary folders are bounded by the kernel."},
	}
}

// kernelAtLeast compares the running kernel's version.
func kernelAtLeast(major, minor int) bool {
	var u unix.Utsname
	if unix.Uname(&u) != nil {
		return false
	}
	var gotMajor, gotMinor int
	if n, _ := fmt.Sscanf(unix.ByteSliceToString(u.Release[:]), "%d.%d", &gotMajor, &gotMinor); n != 2 {
		return false
	}
	return gotMajor > major || gotMajor == major && gotMinor >= minor
}
