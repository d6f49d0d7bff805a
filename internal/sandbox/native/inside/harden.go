//go:build linux

package inside

import (
	"syscall"
	"unsafe"

	"golang.org/x/sys/unix"

	"yardmaster/internal/sandbox/native/wire"
)

// reserve is how many threads init may have beyond what commands may use together, so that a full sandbox can still be
// told to end something.
const reserve = 32

// ignoreSignals gives every signal its default action. The kernel drops a signal to the first process of a namespace
// that has no handler for it and comes from inside, and the handlers of the Go runtime would end init for some. SIGCHLD
// keeps its default too: init waits for its children with wait4.
func ignoreSignals() {
	var act struct {
		handler, flags, restorer uintptr
		mask                     uint64
	}
	for sig := uintptr(1); sig <= 64; sig++ {
		if sig == perThreadSyscall {
			continue
		}
		_, _, _ = unix.RawSyscall6(unix.SYS_RT_SIGACTION, sig, uintptr(unsafe.Pointer(&act)), 0, 8, 0, 0)
	}
}

// perThreadSyscall is the signal that syscall.AllThreadsSyscall uses while init gives up its rights.
const perThreadSyscall = 33

// harden brings the network's loopback up and then gives up every right, for all threads of init and so for all
// commands.
func harden(s wire.Setup) error {
	if err := loopbackUp(); err != nil {
		return step("bring the loopback up", err)
	}
	if err := limitSelf(s.Limits); err != nil {
		return step("set the limits", err)
	}
	// The bounding set belongs to a thread; this is the one that forks. An errno of EINVAL ends the list.
	for c := uintptr(0); c < 64; c++ {
		if err := unix.Prctl(unix.PR_CAPBSET_DROP, c, 0, 0, 0); err == unix.EINVAL {
			break
		} else if err != nil {
			return step("empty the bounding set", err)
		}
	}
	if _, _, errno := syscall.AllThreadsSyscall6(unix.SYS_PRCTL, unix.PR_CAP_AMBIENT, unix.PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0, 0); errno != 0 {
		return step("clear the ambient capabilities", errno)
	}
	if _, _, errno := syscall.AllThreadsSyscall6(unix.SYS_PRCTL, unix.PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0, 0); errno != 0 {
		return step("refuse new privileges", errno)
	}
	header := unix.CapUserHeader{Version: unix.LINUX_CAPABILITY_VERSION_3}
	var none [2]unix.CapUserData
	if _, _, errno := syscall.AllThreadsSyscall(unix.SYS_CAPSET, uintptr(unsafe.Pointer(&header)), uintptr(unsafe.Pointer(&none[0])), 0); errno != 0 {
		return step("drop the capabilities", errno)
	}
	var act struct {
		handler, flags, restorer uintptr
		mask                     uint64
	}
	_, _, _ = unix.RawSyscall6(unix.SYS_RT_SIGACTION, perThreadSyscall, uintptr(unsafe.Pointer(&act)), 0, 8, 0, 0)
	if err := unix.Prctl(unix.PR_SET_DUMPABLE, 0, 0, 0, 0); err != nil {
		return step("hide init", err)
	}
	unix.Umask(0o022)
	return step("install the system call filter", installFilter(s.Filter))
}

// loopbackUp gives the sandbox's own network its loopback addresses.
func loopbackUp() error {
	fd, err := unix.Socket(unix.AF_INET, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return err
	}
	defer unix.Close(fd)
	req, err := unix.NewIfreq("lo")
	if err != nil {
		return err
	}
	req.SetUint16(unix.IFF_UP | unix.IFF_RUNNING)
	return unix.IoctlIfreq(fd, unix.SIOCSIFFLAGS, req)
}

// limitSelf sets what commands inherit from init. What would harm init itself is set on each command after its fork.
func limitSelf(l wire.Limits) error {
	for _, r := range []struct {
		resource int
		value    uint64
	}{
		{unix.RLIMIT_CORE, 0},
		{unix.RLIMIT_NPROC, uint64(l.Processes) + reserve},
		{unix.RLIMIT_NOFILE, uint64(l.OpenFiles)},
		{unix.RLIMIT_FSIZE, uint64(l.DiskMB) << 20},
		// Memory that a process may write to, touched or not. Twice the budget, because programs reserve more than
		// they use; what is used by all together is watched.
		{unix.RLIMIT_DATA, uint64(l.MemoryMB) << 21},
		{unix.RLIMIT_MEMLOCK, 8 << 20},
		{unix.RLIMIT_MSGQUEUE, 1 << 20},
		{unix.RLIMIT_SIGPENDING, 1024},
		{unix.RLIMIT_RTPRIO, 0},
		{unix.RLIMIT_NICE, 0},
	} {
		var now syscall.Rlimit
		if err := syscall.Getrlimit(r.resource, &now); err != nil {
			return err
		}
		v := min(r.value, now.Max)
		if err := syscall.Setrlimit(r.resource, &syscall.Rlimit{Cur: v, Max: v}); err != nil {
			return err
		}
	}
	return nil
}

// installFilter puts every thread of init under the filter; children inherit it.
func installFilter(program []byte) error {
	if len(program) == 0 || len(program)%unix.SizeofSockFilter != 0 {
		return unix.EINVAL
	}
	prog := unix.SockFprog{
		Len:    uint16(len(program) / unix.SizeofSockFilter),
		Filter: (*unix.SockFilter)(unsafe.Pointer(&program[0])),
	}
	r, _, errno := unix.Syscall(unix.SYS_SECCOMP, unix.SECCOMP_SET_MODE_FILTER, unix.SECCOMP_FILTER_FLAG_TSYNC, uintptr(unsafe.Pointer(&prog)))
	if errno != 0 {
		return errno
	}
	if r != 0 { // the id of a thread that could not follow
		return unix.ESRCH
	}
	return nil
}
