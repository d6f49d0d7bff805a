//go:build linux

package native

import (
	"runtime"
	"sync"
	"syscall"

	"golang.org/x/sys/unix"

	"yardmaster/internal/sandbox/native/inside"
	"yardmaster/internal/sandbox/native/wire"
)

// forker starts processes from one thread that lives as long as the driver. The kernel kills a child with Pdeathsig
// when the thread that forked it ends, and Go ends threads at will unless a goroutine holds on to one.
type forker struct {
	path string // of the program of init
	jobs chan forkJob
	gone chan struct{}
	once sync.Once
}

type forkJob struct {
	request wire.Fork
	files   []uintptr
	answer  chan<- forked
}

type forked struct {
	pid, pidfd int
	err        error
}

func newForker(path string) *forker {
	f := &forker{path: path, jobs: make(chan forkJob), gone: make(chan struct{})}
	go f.run()
	return f
}

func (f *forker) run() {
	defer close(f.gone)
	runtime.LockOSThread() // never unlocked: the thread ends with this goroutine
	for job := range f.jobs {
		pid, pidfd, err := f.start(job)
		job.answer <- forked{pid, pidfd, err}
	}
}

// fork makes an init with descriptors from 0 on. It is a child of the driver's thread; the pidfd is the caller's.
func (f *forker) fork(request wire.Fork, files []uintptr) (pid, pidfd int, err error) {
	answer := make(chan forked, 1)
	f.jobs <- forkJob{request, files, answer}
	r := <-answer
	return r.pid, r.pidfd, r.err
}

// start runs a starter, which forks the init, and takes its report.
func (f *forker) start(job forkJob) (pid, pidfd int, err error) {
	pair, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_SEQPACKET|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return 0, -1, err
	}
	defer unix.Close(pair[0])
	if err = unix.Send(pair[0], job.request.Encode(), 0); err != nil {
		unix.Close(pair[1])
		return 0, -1, err
	}
	starter, err := syscall.ForkExec(f.path, []string{"yardmaster-starter"}, &syscall.ProcAttr{
		Dir: "/", Env: inside.Environment(), Files: append(job.files, uintptr(pair[1])),
		Sys: &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGKILL},
	})
	unix.Close(pair[1])
	if err != nil {
		return 0, -1, err
	}
	pid, pidfd, err = report(pair[0])
	_, _ = wait(starter)
	if err != nil {
		// A child that failed between fork and exec is ours, and still in the starter's group.
		for {
			if _, err := wait(-starter); err != nil {
				break
			}
		}
	}
	return pid, pidfd, err
}

// wait collects a child.
func wait(pid int) (int, error) {
	for {
		got, err := syscall.Wait4(pid, nil, 0, nil)
		if err != syscall.EINTR {
			return got, err
		}
	}
}

// report reads what a starter says.
func report(conn int) (pid, pidfd int, err error) {
	buf, oob := make([]byte, 256), make([]byte, unix.CmsgSpace(4))
	n, oobn, _, _, err := unix.Recvmsg(conn, buf, oob, unix.MSG_CMSG_CLOEXEC)
	for err == unix.EINTR {
		n, oobn, _, _, err = unix.Recvmsg(conn, buf, oob, unix.MSG_CMSG_CLOEXEC)
	}
	if err != nil {
		return 0, -1, err
	}
	kind, body := wire.NewReader(buf[:n])
	born, ok := wire.DecodeBorn(body)
	if kind != wire.KindBorn || !ok {
		return 0, -1, unix.EPROTO // it was killed
	}
	if born.Errno != 0 {
		return 0, -1, unix.Errno(born.Errno)
	}
	msgs, err := unix.ParseSocketControlMessage(oob[:oobn])
	if err == nil && len(msgs) == 1 {
		if fds, err := unix.ParseUnixRights(&msgs[0]); err == nil && len(fds) == 1 {
			return int(born.PID), fds[0], nil
		}
	}
	// Without its descriptor the init is of no use.
	_ = unix.Kill(int(born.PID), unix.SIGKILL)
	_, _ = wait(int(born.PID))
	return 0, -1, unix.EMFILE
}

// close ends the thread, and with it what it started and still lives.
func (f *forker) close() {
	f.once.Do(func() { close(f.jobs) })
	<-f.gone
}
