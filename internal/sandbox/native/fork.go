//go:build linux

package native

import (
	"runtime"
	"sync"
	"syscall"

	"golang.org/x/sys/unix"
)

// forker starts processes from one thread that lives as long as the driver. The kernel kills a child with Pdeathsig
// when the thread that forked it ends, and Go ends threads at will unless a goroutine holds on to one.
type forker struct {
	jobs chan forkJob
	gone chan struct{}
	once sync.Once
}

type forkJob struct {
	path   string
	attr   *syscall.ProcAttr
	answer chan<- forked
}

type forked struct {
	pid, pidfd int
	err        error
}

func newForker() *forker {
	f := &forker{jobs: make(chan forkJob), gone: make(chan struct{})}
	go f.run()
	return f
}

func (f *forker) run() {
	defer close(f.gone)
	runtime.LockOSThread() // never unlocked: the thread ends with this goroutine
	for job := range f.jobs {
		pidfd := -1
		job.attr.Sys.PidFD = &pidfd
		pid, err := syscall.ForkExec(job.path, []string{"yardmaster-init"}, job.attr)
		job.answer <- forked{pid, pidfd, err}
	}
}

// fork starts the program at path. The pidfd is the caller's to close.
func (f *forker) fork(path string, attr *syscall.ProcAttr) (pid, pidfd int, err error) {
	answer := make(chan forked, 1)
	f.jobs <- forkJob{path, attr, answer}
	r := <-answer
	return r.pid, r.pidfd, r.err
}

// close ends the thread, and with it what it started and still lives.
func (f *forker) close() {
	f.once.Do(func() { close(f.jobs) })
	<-f.gone
}

// setupCaps are the capabilities that init needs in its own user namespace to build the sandbox. It drops them all.
var setupCaps = []uintptr{
	unix.CAP_SYS_ADMIN,    // mounts, host name
	unix.CAP_NET_ADMIN,    // the loopback
	unix.CAP_SETPCAP,      // emptying the bounding set
	unix.CAP_DAC_OVERRIDE, // making mount points
	unix.CAP_MKNOD,
}

const namespaces = unix.CLONE_NEWUSER | unix.CLONE_NEWNS | unix.CLONE_NEWPID | unix.CLONE_NEWNET | unix.CLONE_NEWIPC |
	unix.CLONE_NEWUTS | unix.CLONE_NEWCGROUP

// initAttr describes the process of an init. Its environment holds settings of its runtime only: it allocates little,
// and two processors are enough for a loop that waits and one that collects.
func initAttr(ids ids, files []uintptr) *syscall.ProcAttr {
	sys := &syscall.SysProcAttr{
		Cloneflags:  namespaces,
		Pdeathsig:   syscall.SIGKILL,
		Setsid:      true,
		AmbientCaps: setupCaps,
		UidMappings: []syscall.SysProcIDMap{ids.uidMap()},
		GidMappings: []syscall.SysProcIDMap{ids.gidMap()},
	}
	if ids.width > 1 || ids.root {
		// Groups of the server must not come along. Without root the kernel refuses to drop them.
		sys.GidMappingsEnableSetgroups = true
		sys.Credential = &syscall.Credential{Uid: insideID, Gid: insideID}
	}
	return &syscall.ProcAttr{
		Dir:   "/",
		Env:   []string{"GOGC=20", "GOMAXPROCS=2", "GOTRACEBACK=single"},
		Files: files,
		Sys:   sys,
	}
}
