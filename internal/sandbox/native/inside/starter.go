//go:build linux

package inside

import (
	"syscall"

	"golang.org/x/sys/unix"

	"yardmaster/internal/sandbox/native/wire"
)

// A starter is a process that lives for a millisecond, between the server and an init. Forking into a new user namespace
// copies the page tables of the process that forks, six milliseconds for each 100 MiB of a server. So the server forks a
// starter, which shares its memory until it runs, and the starter forks the init. CLONE_PARENT makes the init a child of
// the server's thread all the same.

// starterConn is the descriptor of a starter's socket to the driver. Those of the init come first, at their places.
const starterConn = 4

const namespaces = unix.CLONE_NEWUSER | unix.CLONE_NEWNS | unix.CLONE_NEWPID | unix.CLONE_NEWNET | unix.CLONE_NEWIPC |
	unix.CLONE_NEWUTS | unix.CLONE_NEWCGROUP

// setupCaps are the capabilities that init needs in its own user namespace to build the sandbox. It drops them all.
var setupCaps = []uintptr{
	unix.CAP_SYS_ADMIN,    // mounts, host name
	unix.CAP_NET_ADMIN,    // the loopback
	unix.CAP_SETPCAP,      // emptying the bounding set
	unix.CAP_DAC_OVERRIDE, // making mount points
}

// insideID is the user and group id of commands.
const insideID = 1000

// Environment is that of a starter and an init: settings of their runtime, which allocates little; two processors are
// enough for a loop that waits and one that collects.
func Environment() []string { return []string{"GOGC=20", "GOMAXPROCS=2", "GOTRACEBACK=single"} }

// start forks an init as the driver says and reports its number, and a descriptor of it.
func start() {
	unix.CloseOnExec(starterConn)
	var answer wire.Born
	pidfd := -1
	buf := make([]byte, 256)
	n, err := unix.Read(starterConn, buf)
	if err != nil || n <= 0 {
		syscall.Exit(1)
	}
	kind, body := wire.NewReader(buf[:n])
	req, ok := wire.DecodeFork(body)
	if kind != wire.KindFork || !ok {
		syscall.Exit(1)
	}
	pid, err := syscall.ForkExec("/proc/self/exe", []string{"yardmaster-init"}, &syscall.ProcAttr{
		Dir: "/", Env: Environment(), Files: []uintptr{0, 1, 2, conn}, Sys: initAttr(req, &pidfd),
	})
	if errno, ok := err.(syscall.Errno); ok {
		answer.Errno = int64(errno)
	}
	answer.PID = int64(pid)
	var oob []byte
	if err == nil && pidfd >= 0 {
		oob = unix.UnixRights(pidfd)
	}
	_ = unix.Sendmsg(starterConn, answer.Encode(), oob, nil, unix.MSG_NOSIGNAL)
	syscall.Exit(0)
}

// initAttr describes the process of an init.
func initAttr(req wire.Fork, pidfd *int) *syscall.SysProcAttr {
	sys := &syscall.SysProcAttr{
		Cloneflags:  namespaces | unix.CLONE_PARENT,
		Pdeathsig:   syscall.SIGKILL,
		AmbientCaps: setupCaps,
		UidMappings: []syscall.SysProcIDMap{{ContainerID: int(req.Inside), HostID: int(req.UID), Size: int(req.Width)}},
		GidMappings: []syscall.SysProcIDMap{{ContainerID: int(req.Inside), HostID: int(req.GID), Size: int(req.Width)}},
		PidFD:       pidfd,
	}
	if req.Root {
		// Groups of the server must not come along. Without root the kernel refuses to drop them.
		sys.GidMappingsEnableSetgroups = true
		sys.Credential = &syscall.Credential{Uid: insideID, Gid: insideID}
	}
	return sys
}
