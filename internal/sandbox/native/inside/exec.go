//go:build linux

package inside

import (
	"strings"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"yardmaster/internal/sandbox/native/wire"
)

// command is a process that the driver asked for. It stays known after its end while its session has members, so that
// what it left behind can be killed.
type command struct {
	id    uint32
	pid   int // and its session and process group
	ended bool
}

// niceness of commands: the platform and other programs of the host go first.
const niceness = 5

// oomScore makes the kernel pick commands before anything of the host when the machine itself is out of memory.
const oomScore = "500"

// maxEnded bounds how many ended commands stay known before those without a session are forgotten.
const maxEnded = 64

// exec starts a command and answers started or refused.
func (in *machine) exec(req wire.Exec, fds []int) {
	refuse := func(step string, err error) {
		errno, _ := err.(syscall.Errno)
		send(wire.Refused{ID: req.ID, Step: step, Errno: int64(errno)}.Encode())
	}
	stdio := [3]uintptr{uintptr(in.null), uintptr(in.null), uintptr(in.null)}
	for i, bit := range []uint8{wire.Stdin, wire.Stdout, wire.Stderr} {
		if req.Streams&bit == 0 {
			continue
		}
		if len(fds) == 0 {
			refuse("message", unix.EPROTO)
			return
		}
		stdio[i] = uintptr(fds[0])
		fds = fds[1:]
	}
	if req.Streams&wire.Joined != 0 {
		stdio[2] = stdio[1]
	}
	if err := searchable(req.Dir); err != nil {
		refuse("dir", err)
		return
	}
	program, err := find(req.Argv[0], req.Env)
	if err != nil {
		refuse("program", err)
		return
	}

	in.mu.Lock()
	defer in.mu.Unlock()
	pid, err := syscall.ForkExec(program, req.Argv, &syscall.ProcAttr{
		Dir: req.Dir, Env: req.Env, Files: stdio[:], Sys: &syscall.SysProcAttr{Setsid: true},
	})
	if err != nil {
		refuse("exec", err)
		return
	}
	in.bound(pid, req.CPUSeconds)
	in.remember(&command{id: req.ID, pid: pid})
	in.busy.Store(true)
	in.born.Broadcast()
	send(wire.Started{ID: req.ID, PID: int64(pid)}.Encode())
}

// bound sets on a fresh command what init must not be under itself. The command runs already; all that it could gain by
// being faster is the reserve of init, since the limits of init hold for all together.
func (in *machine) bound(pid int, cpuSeconds int64) {
	n := uint64(in.limits.Processes)
	_ = unix.Prlimit(pid, unix.RLIMIT_NPROC, &unix.Rlimit{Cur: n, Max: n}, nil)
	if cpuSeconds > 0 {
		// SIGXCPU at the soft limit, SIGKILL two seconds later.
		_ = unix.Prlimit(pid, unix.RLIMIT_CPU, &unix.Rlimit{Cur: uint64(cpuSeconds), Max: uint64(cpuSeconds) + 2}, nil)
	}
	if in.full.Load() {
		_ = unix.Prlimit(pid, unix.RLIMIT_FSIZE, &unix.Rlimit{}, nil)
	}
	_ = unix.Setpriority(unix.PRIO_PROCESS, pid, niceness)
	if fd, err := unix.Openat(in.proc, itoa(pid)+"/oom_score_adj", unix.O_WRONLY|unix.O_CLOEXEC, 0); err == nil {
		_, _ = unix.Write(fd, []byte(oomScore))
		unix.Close(fd)
	}
}

// remember enters a command into the maps and forgets old ones of which nothing is left. The caller holds mu.
func (in *machine) remember(c *command) {
	ended := 0
	for id, old := range in.byID {
		switch {
		case old.ended && old.pid == c.pid:
			delete(in.byID, id) // its number was free again, so nothing of it is left
		case old.ended:
			ended++
		}
	}
	if ended >= maxEnded {
		sessions := map[int]bool{}
		in.eachProcess(func(p process) { sessions[p.session] = true })
		for id, old := range in.byID {
			if old.ended && !sessions[old.pid] {
				delete(in.byID, id)
			}
		}
	}
	in.byID[c.id] = c
	in.byPID[c.pid] = c
}

// reap collects every process that ends, orphans too, and reports the ends of commands.
func (in *machine) reap() {
	for {
		var status syscall.WaitStatus
		var usage syscall.Rusage
		pid, err := syscall.Wait4(-1, &status, 0, &usage)
		switch {
		case err == syscall.EINTR:
			continue
		case err == syscall.ECHILD:
			in.mu.Lock()
			// A fork and its entry happen under the lock, so an empty map now means no child.
			in.busy.Store(len(in.byPID) > 0)
			for len(in.byPID) == 0 {
				in.born.Wait()
			}
			in.mu.Unlock()
			continue
		case err != nil:
			syscall.Exit(1)
		}
		in.mu.Lock()
		c := in.byPID[pid]
		if c != nil {
			delete(in.byPID, pid)
			c.ended = true
		}
		in.mu.Unlock()
		if c == nil {
			continue
		}
		msg := wire.Exited{ID: c.id, CPU: usage.Utime.Nano() + usage.Stime.Nano(), MaxRSSKB: usage.Maxrss}
		if status.Signaled() {
			msg.Signal = int64(status.Signal())
			msg.Code = 128 + msg.Signal
		} else {
			msg.Code = int64(status.ExitStatus())
		}
		send(msg.Encode())
	}
}

// signal passes a signal to a command.
func (in *machine) signal(req wire.Signal) {
	in.mu.Lock()
	defer in.mu.Unlock() // a command that is not collected yet keeps its number
	c := in.byID[req.ID]
	if c == nil || req.Num < 0 || req.Num > 64 {
		return
	}
	if req.Tree {
		in.killTree(c)
		return
	}
	if !c.ended {
		_ = unix.Kill(-c.pid, syscall.Signal(req.Num))
	}
}

// killTree kills the session of a command and all its descendants, and looks again until it finds none, because they
// may fork meanwhile. The caller holds mu.
func (in *machine) killTree(c *command) {
	for range 100 {
		var all []process
		in.eachProcess(func(p process) { all = append(all, p) })
		doomed := map[int]bool{}
		if !c.ended {
			doomed[c.pid] = true
		}
		for grown := true; grown; {
			grown = false
			for _, p := range all {
				if !doomed[p.pid] && (p.session == c.pid || doomed[p.parent]) {
					doomed[p.pid] = true
					grown = true
				}
			}
		}
		killed := false
		for _, p := range all {
			if doomed[p.pid] && p.state != 'Z' && p.state != 'X' {
				_ = unix.Kill(p.pid, unix.SIGKILL)
				killed = true
			}
		}
		if !killed {
			return
		}
		time.Sleep(time.Millisecond) // for the signals to arrive
	}
}

// find looks a program up as execvp does. An errno of EACCES means that it was found but cannot be run.
func find(name string, env []string) (string, error) {
	if strings.IndexByte(name, '/') >= 0 {
		return name, nil // relative to the folder; the kernel has the last word
	}
	result := error(unix.ENOENT)
	for _, kv := range env {
		path, ok := strings.CutPrefix(kv, "PATH=")
		if !ok {
			continue
		}
		for dir := range strings.SplitSeq(path, ":") {
			if !strings.HasPrefix(dir, "/") {
				continue
			}
			full := dir + "/" + name
			var st unix.Stat_t
			if unix.Stat(full, &st) != nil || st.Mode&unix.S_IFMT != unix.S_IFREG {
				continue
			}
			if unix.Access(full, unix.X_OK) != nil {
				result = unix.EACCES
				continue
			}
			return full, nil
		}
	}
	return "", result
}

// searchable checks that a working folder can be entered.
func searchable(dir string) error {
	var st unix.Stat_t
	if err := unix.Stat(dir, &st); err != nil {
		return err
	}
	if st.Mode&unix.S_IFMT != unix.S_IFDIR {
		return unix.ENOTDIR
	}
	return unix.Access(dir, unix.X_OK)
}

// reach tries to open paths and to connect to ports of the loopback.
func reach(req wire.Reach) wire.Reached {
	var out wire.Reached
	note := func(err error) {
		errno, _ := err.(syscall.Errno)
		out.Errnos = append(out.Errnos, int64(errno))
	}
	for _, path := range req.Paths {
		fd, err := unix.Open(path, unix.O_RDONLY|unix.O_CLOEXEC|unix.O_NONBLOCK|unix.O_NOCTTY, 0)
		if err == nil {
			unix.Close(fd)
		}
		note(err)
	}
	for _, port := range req.Ports {
		fd, err := unix.Socket(unix.AF_INET, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
		if err == nil {
			err = unix.Connect(fd, &unix.SockaddrInet4{Port: int(port), Addr: [4]byte{127, 0, 0, 1}})
			unix.Close(fd)
		}
		note(err)
	}
	return out
}
