//go:build linux

package sandboxtest

import (
	"net"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"yardmaster/internal/sandbox"
)

func testFilesPersist(t *testing.T, h *harness) {
	d := h.new(t)
	home := filepath.Join(t.TempDir(), "home")
	if err := os.MkdirAll(filepath.Join(home, "given", "deep"), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(home, "given", "deep", "file"), []byte("by the server\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	at := func(s *sandbox.Spec) { s.Home = home }
	in := startOn(t, d, at)
	in.ok("cat given/deep/file && echo more >>given/deep/file && umask 077 && mkdir -p mine/sub && echo secret >mine/sub/f && ln -s /etc/shadow mine/link")
	if err := in.box.Kill(); err != nil {
		t.Fatal(err)
	}

	in = startOn(t, d, at)
	if got := in.ok("cat given/deep/file mine/sub/f"); got != "by the server\nmore\nsecret\n" {
		t.Errorf("after a restart: %q", got)
	}
	if got := in.read("mine/sub/f"); got != "secret\n" {
		t.Errorf("the server reads %q", got)
	}
	in.write("mine/sub/f", []byte("changed\n"), 0o600)
	in.write("new", []byte("new\n"), 0o600)
	if got := in.ok("cat mine/sub/f && echo more >>new && cat new && rm new && [ -O mine/sub/f ]"); got != "changed\nnew\nmore\n" {
		t.Errorf("inside: %q", got)
	}
	root := in.home()
	defer root.Close()
	if _, err := root.ReadFile("mine/link"); err == nil {
		t.Error("the server was led out of the home by a link")
	}
	in.ok("mkdir -p hard/to/remove && touch hard/to/remove/f && chmod 0 hard/to/remove/f && chmod 0500 hard/to/remove hard/to && chmod 0 hard")
	for range 2 {
		if err := sandbox.Remove(root, "hard"); err != nil {
			t.Errorf("remove: %v", err)
		}
	}
	if _, err := root.Lstat("hard"); err == nil {
		t.Error("the folder is still there")
	}
}

func testSkills(t *testing.T, h *harness) {
	skills := filepath.Join(t.TempDir(), "skills")
	add := func(name, text string) {
		t.Helper()
		if err := os.MkdirAll(filepath.Join(skills, name), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(skills, name, "SKILL.md"), []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	add("one", "1\n")
	in := h.start(t, func(s *sandbox.Spec) { s.Skills = skills })
	if got := in.ok("cat /skills/one/SKILL.md"); got != "1\n" {
		t.Errorf("got %q", got)
	}
	add("two", "2\n")
	if got := in.ok("cat /skills/two/SKILL.md"); got != "2\n" {
		t.Errorf("a skill that was added while it runs: %q", got)
	}
	if err := os.RemoveAll(filepath.Join(skills, "one")); err != nil {
		t.Fatal(err)
	}
	if got := in.ok("ls /skills"); got != "two\n" {
		t.Errorf("after removal: %q", got)
	}
	in.shut(in.attack("files", "create:/skills", "write:/skills/two/SKILL.md", "chmod:/skills/two/SKILL.md", "create:/skills/two"))
}

// testTools runs what agents use most, as far as the host has it.
func testTools(t *testing.T, h *harness) {
	in := h.start(t)
	for tool, script := range map[string]string{
		"bash":    "bash -c 'diff <(echo a) <(echo a) && [[ x == x ]]'",
		"python3": "python3 -c 'import ssl, sqlite3, subprocess, tempfile, threading, socket, json; t = threading.Thread(target=print); t.start(); t.join(); print(subprocess.check_output([\"echo\", \"hi\"]))'",
		"git":     "git init -q repo && cd repo && git config user.email a@b && git config user.name a && echo x >f && git add f && git commit -q -m x && git log --oneline",
		"perl":    "perl -e 'print 6*7'",
		"gcc":     "echo 'int main(){return 0;}' >a.c && gcc a.c -o a && ./a",
		"tar":     "mkdir -p d && touch d/f && tar cf d.tar d && tar xf d.tar",
		"mkfifo":  "mkfifo p && (echo x >p &) && cat p",
		"mktemp":  "test -d $(mktemp -d)",
		"script":  "script -qec true /dev/null",
	} {
		r := in.sh("command -v " + tool + " >/dev/null || { echo absent; exit 0; }; " + script)
		if r.out == "absent\n" {
			t.Logf("the host has no %s", tool)
		} else if r.Code != 0 {
			t.Errorf("%s ended with %d: %s%s", tool, r.Code, r.out, r.err)
		}
	}
}

func testHostFiles(t *testing.T, h *harness) {
	d := h.new(t)
	other := startOn(t, d)
	other.ok("echo private >diary && chmod 666 diary && chmod 777 .")
	in := startOn(t, d)

	hostDir, err := os.MkdirTemp("", "sandboxtest-host-")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(hostDir) })
	hostFile := filepath.Join(hostDir, "key")
	if err := os.WriteFile(hostFile, []byte("host secret"), 0o666); err != nil {
		t.Fatal(err)
	}
	for _, p := range []string{hostDir, hostFile} {
		if err := os.Chmod(p, 0o777); err != nil {
			t.Fatal(err)
		}
	}
	hostHome, _ := os.UserHomeDir()
	diary := filepath.Join(other.spec.Home, "diary")
	in.ok("ln -s " + hostFile + " link")
	args := []string{
		"read:" + hostFile, "write:" + hostFile, "chmod:" + hostFile, "stat:" + hostFile, "create:" + hostDir, "list:" + hostDir,
		"read:link", "read:" + diary, "write:" + diary, "stat:" + diary, "chmod:" + other.spec.Home, "list:" + filepath.Dir(in.spec.Home),
		"read:/etc/shadow", "stat:/etc/shadow", "list:/root", "list:/sys", "list:/boot", "list:/mnt", "list:/var/lib", "list:/run",
		"create:/", "create:/usr", "create:/usr/bin", "create:/etc", "create:/dev", "create:/proc", "create:/var", "create:/run", "create:/home",
		"write:/usr/bin/env", "write:/etc/passwd", "write:/etc/ld.so.cache", "write:/etc/resolv.conf", "chmod:/usr/bin/env", "chmod:/etc/passwd", "chmod:/",
		"write:/proc/sys/kernel/core_pattern", "write:/proc/sys/kernel/hostname", "write:/proc/sys/vm/drop_caches", "write:/proc/sysrq-trigger",
		"read:/proc/kcore", "read:/proc/kmsg", "read:/proc/keys", "read:/proc/kallsyms", "read:/proc/timer_list",
		"read:/dev/mem", "read:/dev/kmsg", "read:/dev/vda", "read:/dev/sda", "stat:/dev/kvm", "stat:/dev/fuse", "stat:/dev/net",
		"mknod:/home/agent/disk", "mknod:/tmp/disk", "read:/proc/1/environ", "list:/proc/1/root", "list:/proc/1/fd",
		"stat:/var/run/docker.sock", "stat:/run/dbus", "list:/sys/fs/cgroup",
	}
	if hostHome != "" && hostHome != sandbox.HomeDir {
		args = append(args, "list:"+hostHome)
	}
	in.shut(in.attack("files", args...))

	// The ways that must be open are, or the attack proves nothing.
	for name, v := range in.attack("files", "read:/home/agent/probe", "create:/home/agent", "create:/tmp", "create:/dev/shm", "write:/dev/null", "read:/etc/passwd", "list:/usr/bin", "list:/proc") {
		if v != open {
			t.Errorf("%s: %s", name, v)
		}
	}
	if got := other.read("diary"); got != "private\n" {
		t.Errorf("the other's file is %q", got)
	}
	// A program that is set-user-id gains nothing.
	if got := in.ok("cp /usr/bin/id myid && chmod 6755 myid && ./myid -u"); got != "1000\n" {
		t.Errorf("a set-id program runs as %q", got)
	}
}

func testDescriptors(t *testing.T, h *harness) {
	// Descriptors of the platform that are open without close-on-exec, as libraries sometimes leave them.
	leak(t)
	in := h.start(t)
	if got := in.attack("descriptors")["descriptors"]; got != "0 1 2" {
		t.Errorf("a command starts with the descriptors %s", got)
	}
}

func testProcesses(t *testing.T, h *harness) {
	d := h.new(t)
	other := startOn(t, d)
	p, lines := other.begin(t.Context(), "echo ready; exec sleep 600")
	lines.next()
	in := startOn(t, d)
	// Numbers of the host's processes that are too high to be anything inside.
	var pids []string
	for _, pid := range []int{os.Getpid(), other.box.PID()} {
		if pid > 200 {
			pids = append(pids, strconv.Itoa(pid))
		}
	}
	verdicts := in.attack("processes", pids...)
	if n, err := strconv.Atoi(verdicts["seen"]); err != nil || n > 3 {
		t.Errorf("the probe sees %s processes", verdicts["seen"])
	}
	in.shut(verdicts)
	if err := p.Kill(); err != nil {
		t.Error(err)
	}
}

func testSignalsToInit(t *testing.T, h *harness) {
	in := h.start(t)
	in.attack("initsignals")
	select {
	case <-in.box.Done():
		t.Fatal("a signal from inside ended the sandbox")
	default:
	}
	if got := in.ok("echo alive"); got != "alive\n" {
		t.Errorf("after the signals: %q", got)
	}
}

func testOrphans(t *testing.T, h *harness) {
	in := h.start(t)
	in.attack("orphans", "200")
	if got := strings.TrimSpace(in.ok("cat /proc/[0-9]*/stat 2>/dev/null | grep -c ') Z ' || true")); got != "0" {
		// The last may not be collected yet at the first look.
		if got = strings.TrimSpace(in.ok("cat /proc/[0-9]*/stat 2>/dev/null | grep -c ') Z ' || true")); got != "0" {
			t.Errorf("%s orphans are not collected", got)
		}
	}
}

func testNetwork(t *testing.T, h *harness) {
	in := h.start(t)
	tcp, err := net.Listen("tcp4", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer tcp.Close()
	go serve(tcp)
	udp, err := net.ListenPacket("udp4", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer udp.Close()
	go func() {
		buf := make([]byte, 16)
		for {
			n, addr, err := udp.ReadFrom(buf)
			if err != nil {
				return
			}
			_, _ = udp.WriteTo(buf[:n], addr)
		}
	}()
	abstract, err := net.Listen("unix", "@sandboxtest-"+strconv.Itoa(os.Getpid()))
	if err != nil {
		t.Fatal(err)
	}
	defer abstract.Close()
	go serve(abstract)
	for _, l := range []net.Listener{tcp, abstract} { // control
		c, err := net.Dial(l.Addr().Network(), l.Addr().String())
		if err != nil {
			t.Fatal(err)
		}
		c.Close()
	}
	args := []string{
		"tcp:" + tcp.Addr().String(), "udp:" + udp.LocalAddr().String(), "unix:" + abstract.Addr().String(),
		"tcp:169.254.169.254:80", "udp:8.8.8.8:53", "tcp:1.1.1.1:443", "tcp:[::1]:22",
	}
	if addrs, err := net.InterfaceAddrs(); err == nil {
		for _, a := range addrs {
			if ip, ok := a.(*net.IPNet); ok && !ip.IP.IsLoopback() && ip.IP.To4() != nil {
				args = append(args, "tcp:"+net.JoinHostPort(ip.IP.String(), strconv.Itoa(tcp.Addr().(*net.TCPAddr).Port)))
			}
		}
	}
	verdicts := in.attack("network", args...)
	if verdicts["own loopback"] != "hello" {
		t.Errorf("the own loopback: %s", verdicts["own loopback"])
	}
	in.shut(verdicts)
}

func serve(l net.Listener) {
	for {
		c, err := l.Accept()
		if err != nil {
			return
		}
		c.Close()
	}
}

func testKernel(t *testing.T, h *harness) {
	in := h.start(t)
	in.shut(in.attack("kernel"))
}
