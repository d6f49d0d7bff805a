//go:build linux

package sandboxtest

import (
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"
)

const (
	probeVariable    = "SANDBOXTEST_PROBE"
	platformVariable = "SANDBOXTEST_PLATFORM"
)

// open is the verdict on a way out that was found.
const open = "OPEN"

// probe is what the test binary does inside a sandbox. It prints a line per attack, the name and what came of it.
func probe(attack string, args []string) int {
	attacks := map[string]func([]string){
		"files": probeFiles, "network": probeNetwork, "kernel": probeKernel, "processes": probeProcesses,
		"initsignals": probeInitSignals, "hog": probeHog, "hogs": probeHogs, "descriptors": probeDescriptors,
		"orphans": probeOrphans, "orphan": probeOrphan, "spin": probeSpin, "widepipe": probeWidePipe,
	}
	f := attacks[attack]
	if f == nil {
		fmt.Fprintf(os.Stderr, "no attack %q\n", attack)
		return 2
	}
	f(args)
	return 0
}

// verdict prints what came of an attack: nil is a way out.
func verdict(name string, err error) {
	if err == nil {
		fmt.Printf("%s\t%s\n", name, open)
	} else {
		fmt.Printf("%s\tshut: %v\n", name, err)
	}
}

// probeFiles tries to read what each "read:PATH" names, to change what "write:PATH" names, and to list "list:PATH".
func probeFiles(args []string) {
	for _, arg := range args {
		how, path, _ := strings.Cut(arg, ":")
		var err error
		switch how {
		case "read":
			var f *os.File
			if f, err = os.OpenFile(path, os.O_RDONLY|unix.O_NONBLOCK, 0); err == nil {
				buf := make([]byte, 1)
				var n int
				if n, err = f.Read(buf); n == 0 && err == nil {
					err = fmt.Errorf("empty")
				}
				f.Close()
			}
		case "list":
			var entries []os.DirEntry
			if entries, err = os.ReadDir(path); err == nil && len(entries) == 0 {
				err = fmt.Errorf("empty")
			}
		case "write":
			var f *os.File
			if f, err = os.OpenFile(path, os.O_WRONLY|unix.O_NONBLOCK, 0); err == nil {
				f.Close()
			}
		case "create":
			name := filepath.Join(path, "made-by-probe")
			var f *os.File
			if f, err = os.Create(name); err == nil {
				f.Close()
				os.Remove(name)
			}
		case "stat":
			_, err = os.Lstat(path)
		case "chmod":
			err = os.Chmod(path, 0o777)
		case "mknod":
			if err = unix.Mknod(path, unix.S_IFBLK|0o666, int(unix.Mkdev(254, 0))); err == nil {
				var f *os.File
				if f, err = os.Open(path); err == nil {
					f.Close()
				}
			}
		}
		verdict(arg, err)
	}
}

// probeNetwork tries the addresses "tcp:ADDR", "udp:ADDR" and "unix:ADDR", then kinds of sockets, then its own loopback.
func probeNetwork(args []string) {
	for _, arg := range args {
		network, addr, _ := strings.Cut(arg, ":")
		c, err := net.DialTimeout(network, addr, 5*time.Second)
		if err == nil {
			if network == "udp" { // the datagram is refused at the first or at the second write
				_ = c.SetDeadline(time.Now().Add(time.Second))
				_, _ = c.Write([]byte("probe"))
				_, err = c.Read(make([]byte, 1))
			}
			c.Close()
		}
		verdict(arg, err)
	}
	for _, s := range []struct {
		name               string
		family, kind, prot int
	}{
		{"netlink", unix.AF_NETLINK, unix.SOCK_RAW, 0},
		{"packet", unix.AF_PACKET, unix.SOCK_RAW, 0},
		{"raw", unix.AF_INET, unix.SOCK_RAW, unix.IPPROTO_ICMP},
		{"ping", unix.AF_INET, unix.SOCK_DGRAM, unix.IPPROTO_ICMP},
		{"vsock", unix.AF_VSOCK, unix.SOCK_STREAM, 0},
		{"alg", unix.AF_ALG, unix.SOCK_SEQPACKET, 0},
		{"mptcp", unix.AF_INET, unix.SOCK_STREAM, 262},
		{"sctp", unix.AF_INET, unix.SOCK_STREAM, unix.IPPROTO_SCTP},
		{"bluetooth", unix.AF_BLUETOOTH, unix.SOCK_RAW, 1},
		{"can", unix.AF_CAN, unix.SOCK_RAW, 1},
		{"tipc", unix.AF_TIPC, unix.SOCK_STREAM, 0},
		{"xdp", unix.AF_XDP, unix.SOCK_RAW, 0},
	} {
		fd, err := unix.Socket(s.family, s.kind, s.prot)
		if err == nil {
			unix.Close(fd)
		}
		verdict("socket "+s.name, err)
	}
	if fd, err := unix.Socket(unix.AF_INET, unix.SOCK_STREAM, 0); err == nil {
		err = unix.Sendto(fd, []byte("x"), unix.MSG_FASTOPEN, &unix.SockaddrInet4{Port: 9, Addr: [4]byte{127, 0, 0, 1}})
		if err == unix.ECONNREFUSED {
			err = nil
		}
		verdict("fast open", err)
		verdict("fast open connect", unix.SetsockoptInt(fd, unix.IPPROTO_TCP, unix.TCP_FASTOPEN_CONNECT, 1))
		unix.Close(fd)
	}
	if ifs, err := os.ReadFile("/proc/net/dev"); err == nil {
		others := fmt.Errorf("only lo")
		for _, line := range strings.Split(string(ifs), "\n")[2:] {
			if name, _, ok := strings.Cut(strings.TrimSpace(line), ":"); ok && name != "lo" && !passive(name) {
				others = nil
			}
		}
		verdict("interfaces", others)
	}
	fmt.Printf("own loopback\t%s\n", ownLoopback())
}

// passive names the fallback tunnels that some kernels put, down, into every new network namespace.
func passive(name string) bool {
	for _, p := range []string{"tunl", "gre", "erspan", "ip_vti", "ip6_vti", "sit", "ip6tnl", "ip6gre"} {
		if strings.HasPrefix(name, p) {
			return true
		}
	}
	return false
}

func ownLoopback() string {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return err.Error()
	}
	defer l.Close()
	go func() {
		if c, err := l.Accept(); err == nil {
			_, _ = c.Write([]byte("hello"))
			c.Close()
		}
	}()
	c, err := net.Dial("tcp", l.Addr().String())
	if err != nil {
		return err.Error()
	}
	defer c.Close()
	buf := make([]byte, 5)
	if _, err := c.Read(buf); err != nil {
		return err.Error()
	}
	return string(buf)
}

// probeKernel tries system calls that must not be there.
func probeKernel([]string) {
	call := func(name string, nr uintptr, args ...uintptr) {
		var a [6]uintptr
		copy(a[:], args)
		_, _, errno := unix.Syscall6(nr, a[0], a[1], a[2], a[3], a[4], a[5])
		// EPERM and ENOSYS come from the filter or from missing rights. Anything else means that the kernel looked at
		// the arguments, so the call is there.
		switch errno {
		case unix.EPERM, unix.ENOSYS:
			verdict(name, errno)
		default:
			verdict(name, nil)
		}
	}
	path := uintptr(unsafe.Pointer(&[]byte("/tmp\x00")[0]))
	call("unshare user", unix.SYS_UNSHARE, unix.CLONE_NEWUSER)
	call("unshare net", unix.SYS_UNSHARE, unix.CLONE_NEWNET)
	call("setns", unix.SYS_SETNS, 0, 0)
	call("clone with a user namespace", unix.SYS_CLONE, unix.CLONE_NEWUSER|unix.CLONE_THREAD)
	call("clone3", unix.SYS_CLONE3, 0, 0)
	call("mount", unix.SYS_MOUNT, path, path, 0, unix.MS_BIND, 0)
	call("umount", unix.SYS_UMOUNT2, path, 0)
	call("pivot_root", unix.SYS_PIVOT_ROOT, path, path)
	call("chroot", unix.SYS_CHROOT, path)
	call("open_tree", unix.SYS_OPEN_TREE, 0, path, 0)
	call("fsopen", unix.SYS_FSOPEN, path, 0)
	call("move_mount", unix.SYS_MOVE_MOUNT, 0, 0, 0, 0, 0)
	call("mount_setattr", unix.SYS_MOUNT_SETATTR, 0, 0, 0, 0, 0)
	call("bpf", unix.SYS_BPF, 0, 0, 0)
	call("perf_event_open", unix.SYS_PERF_EVENT_OPEN, 0, 0, 0, 0, 0)
	call("io_uring_setup", unix.SYS_IO_URING_SETUP, 0, 0)
	call("userfaultfd", unix.SYS_USERFAULTFD, 0)
	call("keyctl", unix.SYS_KEYCTL, 0, 0)
	call("add_key", unix.SYS_ADD_KEY, 0, 0, 0, 0, 0)
	call("open_by_handle_at", unix.SYS_OPEN_BY_HANDLE_AT, 0, 0, 0)
	call("name_to_handle_at", unix.SYS_NAME_TO_HANDLE_AT, 0, 0, 0, 0, 0)
	call("init_module", unix.SYS_INIT_MODULE, 0, 0, 0)
	call("finit_module", unix.SYS_FINIT_MODULE, 0, 0, 0)
	call("kexec_load", unix.SYS_KEXEC_LOAD, 0, 0, 0, 0)
	call("reboot", unix.SYS_REBOOT, 0, 0, 0, 0)
	call("swapon", unix.SYS_SWAPON, path, 0)
	call("sethostname", unix.SYS_SETHOSTNAME, path, 3)
	call("settimeofday", unix.SYS_SETTIMEOFDAY, 0, 0)
	call("syslog", unix.SYS_SYSLOG, 3, 0, 0)
	call("quotactl", unix.SYS_QUOTACTL, 0, 0, 0, 0)
	call("fanotify_init", unix.SYS_FANOTIFY_INIT, 0, 0)
	call("an unknown number", 1000)
	call("an x32 number", 1<<30|39)
	call("TIOCSTI", unix.SYS_IOCTL, 0, unix.TIOCSTI, path)
	call("TIOCSTI with a high bit", unix.SYS_IOCTL, 0, 1<<32|unix.TIOCSTI, path)
	call("TIOCLINUX", unix.SYS_IOCTL, 0, unix.TIOCLINUX, path)
	verdict("setuid 0", syscall.Setuid(0))
	verdict("setgid 0", syscall.Setgid(0))
	status, _ := os.ReadFile("/proc/self/status")
	for _, want := range []string{"CapInh:\t0000000000000000", "CapPrm:\t0000000000000000", "CapEff:\t0000000000000000",
		"CapBnd:\t0000000000000000", "CapAmb:\t0000000000000000", "NoNewPrivs:\t1", "Seccomp:\t2"} {
		var err error
		if strings.Contains(string(status), want+"\n") {
			err = fmt.Errorf("held")
		}
		verdict(strings.ReplaceAll(want, "\t", " "), err)
	}
}

// probeProcesses counts what it sees and tries to touch the host's process ids that it is given.
func probeProcesses(args []string) {
	entries, err := os.ReadDir("/proc")
	if err != nil {
		fmt.Printf("seen\t%v\n", err)
		return
	}
	seen := 0
	for _, e := range entries {
		if _, err := strconv.Atoi(e.Name()); err == nil {
			seen++
		}
	}
	fmt.Printf("seen\t%d\n", seen)
	for _, arg := range args {
		pid, _ := strconv.Atoi(arg)
		verdict("signal "+arg, unix.Kill(pid, 0))
		_, err := os.ReadFile("/proc/" + arg + "/cmdline")
		verdict("cmdline "+arg, err)
		verdict("ptrace "+arg, unix.PtraceAttach(pid))
	}
	verdict("ptrace init", unix.PtraceAttach(1))
	for _, name := range []string{"environ", "mem", "exe", "root", "fd", "maps", "cwd"} {
		_, err := os.Open("/proc/1/" + name)
		verdict("/proc/1/"+name, err)
	}
	fd, err := unix.PidfdOpen(1, 0)
	if err == nil {
		_, err = unix.PidfdGetfd(fd, 3, 0)
	}
	verdict("descriptor of init", err)
	var b [8]byte
	_, err = unix.ProcessVMReadv(1, []unix.Iovec{{Base: &b[0], Len: 8}}, []unix.RemoteIovec{{Base: 0x400000, Len: 8}}, 0)
	verdict("memory of init", err)
}

// probeInitSignals sends every signal to the first process, by each way there is.
func probeInitSignals([]string) {
	for sig := range 65 {
		_ = unix.Kill(1, syscall.Signal(sig))
		_ = unix.Tgkill(1, 1, syscall.Signal(sig))
	}
	if fd, err := unix.PidfdOpen(1, 0); err == nil {
		for sig := range 65 {
			_ = unix.PidfdSendSignal(fd, syscall.Signal(sig), nil, 0)
		}
	}
	fmt.Println("sent\tall")
}

// probeHog takes memory until it is stopped; with "hold" it takes 96 MiB and keeps them.
func probeHog(args []string) {
	if args[0] == "hold" {
		args[0] = "96"
		defer func() { select {} }()
	}
	limit, _ := strconv.Atoi(args[0])
	var kept [][]byte
	for mb := 0; mb < limit; mb += 4 {
		b := make([]byte, 4<<20)
		for i := 0; i < len(b); i += 4096 {
			b[i] = byte(i)
		}
		kept = append(kept, b)
	}
	fmt.Printf("took\t%d MiB\n", 4*len(kept))
}

// probeHogs takes memory in several processes, each of which stays small and keeps what it has. When one of them was
// killed it ends the others and says so.
func probeHogs(args []string) {
	n, _ := strconv.Atoi(args[0])
	pids := map[int]bool{}
	for range n {
		pid, err := syscall.ForkExec("/proc/self/exe", []string{"hog", args[1]}, &syscall.ProcAttr{
			Env: []string{probeVariable + "=hog"}, Files: []uintptr{0, 2, 2},
		})
		if err != nil {
			fmt.Fprintln(os.Stderr, err)
			continue
		}
		pids[pid] = true
	}
	killed := 0
	for len(pids) > 0 {
		var ws syscall.WaitStatus
		pid, err := syscall.Wait4(-1, &ws, 0, nil)
		if err != nil {
			break
		}
		delete(pids, pid)
		if ws.Signaled() && ws.Signal() == syscall.SIGKILL && killed == 0 {
			killed = 1
			for other := range pids {
				_ = syscall.Kill(other, syscall.SIGKILL)
			}
		}
	}
	fmt.Printf("killed\t%d\n", killed)
}

// probeDescriptors lists the open descriptors, other than those of Go's runtime and of the list itself.
func probeDescriptors([]string) {
	var fds []string
	for fd := range 1024 {
		var st unix.Stat_t
		if unix.Fstat(fd, &st) != nil {
			continue
		}
		target, _ := os.Readlink(fmt.Sprintf("/proc/self/fd/%d", fd))
		if strings.HasPrefix(target, "anon_inode:[event") { // the runtime's own
			continue
		}
		fds = append(fds, strconv.Itoa(fd))
	}
	fmt.Printf("descriptors\t%s\n", strings.Join(fds, " "))
}

// probeOrphans leaves many grandchildren without a parent and waits until the last has ended.
func probeOrphans(args []string) {
	n, _ := strconv.Atoi(args[0])
	var p [2]int
	if err := unix.Pipe2(p[:], unix.O_CLOEXEC); err != nil {
		fmt.Fprintln(os.Stderr, err)
		return
	}
	for range n {
		pid, err := syscall.ForkExec("/bin/sh", []string{"sh", "-c", "(exec /bin/true) & exit 0"}, &syscall.ProcAttr{
			Env: []string{}, Files: []uintptr{0, uintptr(p[1]), 2},
		})
		if err == nil {
			_, _ = syscall.Wait4(pid, nil, 0, nil)
		}
	}
	unix.Close(p[1])
	_, _ = unix.Read(p[0], make([]byte, 1)) // ends when the last orphan has closed its end
	fmt.Println("orphans\tdone")
}

// probeOrphan leaves the session and the parent, and stays.
func probeOrphan([]string) {
	if _, err := unix.Setsid(); err != nil {
		fmt.Fprintln(os.Stderr, err)
	}
	fmt.Println("daemon\tready")
	select {}
}

// probeSpin uses processor time until it is stopped.
func probeSpin([]string) {
	for i := 0; ; i++ {
		if i < 0 {
			return
		}
	}
}

// probeWidePipe makes its output a pipe of 256 KiB, fills it, and leaves it open in a child that stays.
func probeWidePipe([]string) {
	const size = 256 << 10
	if _, err := unix.FcntlInt(1, unix.F_SETPIPE_SZ, size); err != nil {
		fmt.Fprintln(os.Stderr, err)
		return
	}
	_, err := syscall.ForkExec("/bin/sleep", []string{"sleep", "600"}, &syscall.ProcAttr{Files: []uintptr{0, 1, 2}})
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
	}
	if _, err := os.Stdout.Write(make([]byte, size)); err != nil {
		fmt.Fprintln(os.Stderr, err)
	}
}
