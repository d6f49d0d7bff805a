//go:build linux

package native

import (
	"context"
	"os"
	"sync"
	"syscall"

	"golang.org/x/sys/unix"

	"yardmaster/internal/errs"
	"yardmaster/internal/sandbox"
	"yardmaster/internal/sandbox/native/wire"
)

// box is a running sandbox. An idle one costs the server one goroutine, listen, and two descriptors.
type box struct {
	driver  *Driver
	spec    sandbox.Spec
	ids     ids
	release func() // gives the ids back
	pid     int
	pidfd   int
	conn    *os.File

	done chan struct{} // closed when init and all else is gone

	mu      sync.Mutex
	dead    bool // the pidfd is closed
	nextID  uint32
	waiting map[uint32]*process // commands whose end was not reported
	reach   chan<- wire.Reached // gets one answer

	logging sync.Mutex     // one line at a time
	copies  sync.WaitGroup // of the init's own output
}

// PID implements sandbox.Sandbox.
func (b *box) PID() int { return b.pid }

// Done implements sandbox.Sandbox.
func (b *box) Done() <-chan struct{} { return b.done }

// Kill implements sandbox.Sandbox. The kernel ends every process of the namespace before it reports the end of its
// first one.
func (b *box) Kill() error {
	b.signalInit()
	<-b.done
	return nil
}

func (b *box) signalInit() {
	b.mu.Lock()
	defer b.mu.Unlock()
	if !b.dead {
		_ = unix.PidfdSendSignal(b.pidfd, unix.SIGKILL, nil, 0)
	}
}

// collect waits for the end of init and frees what the box holds. It must be called once, after init was told to end
// or its socket has closed.
func (b *box) collect() {
	for unix.Waitid(unix.P_PIDFD, b.pidfd, nil, unix.WEXITED, nil) == unix.EINTR {
	}
	b.mu.Lock()
	b.dead = true
	unix.Close(b.pidfd)
	b.mu.Unlock()
	b.conn.Close()
	b.release()
}

// listen takes messages from init until it is gone.
func (b *box) listen() {
	buf := make([]byte, 1024)
	for {
		n, err := b.conn.Read(buf)
		if err != nil || n == 0 || !b.handle(buf[:n]) {
			break
		}
	}
	b.signalInit() // it may have closed its socket without ending
	b.collect()
	b.copies.Wait()
	b.mu.Lock()
	left := b.waiting
	b.waiting = nil
	b.mu.Unlock()
	for _, p := range left {
		p.finish(sandbox.Exit{Code: 128 + int(syscall.SIGKILL), Signal: syscall.SIGKILL}, errDead())
	}
	b.driver.remove(b)
	close(b.done)
}

func errDead() error { return errs.New(errs.Unavailable, "The instance is stopped.") }

// handle takes one message. A malformed one means that init is not what it should be: false.
func (b *box) handle(msg []byte) bool {
	kind, body := wire.NewReader(msg)
	switch kind {
	case wire.KindStarted:
		m, ok := wire.DecodeStarted(body)
		if p := b.process(m.ID, false); ok && p != nil {
			p.answer(nil)
		}
		return ok
	case wire.KindRefused:
		m, ok := wire.DecodeRefused(body)
		if p := b.process(m.ID, true); ok && p != nil {
			err := refusal(m, p.cmd)
			p.answer(err)
			p.finish(sandbox.Exit{}, err)
		}
		return ok
	case wire.KindExited:
		m, ok := wire.DecodeExited(body)
		if p := b.process(m.ID, true); ok && p != nil {
			p.exited(m)
		}
		return ok
	case wire.KindReached:
		m, ok := wire.DecodeReached(body)
		b.mu.Lock()
		answer := b.reach
		b.reach = nil
		b.mu.Unlock()
		if ok && answer != nil {
			answer <- m
		}
		return ok
	case wire.KindNotice:
		m, ok := wire.DecodeNotice(body)
		b.log("init", []byte(m.Text))
		return ok
	}
	return false
}

// process returns a command that is waited for, and with forget takes it off the list.
func (b *box) process(id uint32, forget bool) *process {
	b.mu.Lock()
	defer b.mu.Unlock()
	p := b.waiting[id]
	if forget {
		delete(b.waiting, id)
	}
	return p
}

// log hands a line to the spec's log, one at a time.
func (b *box) log(stream string, line []byte) {
	if b.spec.Log == nil {
		return
	}
	b.logging.Lock()
	defer b.logging.Unlock()
	b.spec.Log(stream, line)
}

// send gives a message and descriptors to init. It may be called from several goroutines; a packet is whole or not sent.
func (b *box) send(msg []byte, fds []int) error {
	if len(msg) > wire.MaxMessage {
		return errs.New(errs.TooLarge, "The command and its environment are longer than %d bytes. Put the data into a file.", wire.MaxMessage)
	}
	if len(msg) > wire.MaxPacket {
		fd, err := spill(msg)
		if err != nil {
			return err
		}
		defer unix.Close(fd)
		msg, fds = wire.Spill{Size: int64(len(msg))}.Encode(), append(fds[:len(fds):len(fds)], fd)
	}
	var oob []byte
	if len(fds) > 0 {
		oob = unix.UnixRights(fds...)
	}
	raw, err := b.conn.SyscallConn()
	if err != nil {
		return errDead()
	}
	var sendErr error
	err = raw.Write(func(fd uintptr) bool {
		sendErr = unix.Sendmsg(int(fd), msg, oob, nil, unix.MSG_NOSIGNAL)
		return sendErr != unix.EAGAIN && sendErr != unix.EINTR
	})
	if err != nil || sendErr != nil {
		return errDead()
	}
	return nil
}

// spill puts a message into a memory file.
func spill(msg []byte) (int, error) {
	fd, err := unix.MemfdCreate("message", unix.MFD_CLOEXEC|unix.MFD_NOEXEC_SEAL)
	if err == unix.EINVAL {
		fd, err = unix.MemfdCreate("message", unix.MFD_CLOEXEC)
	}
	if err != nil {
		return -1, errs.Wrap(err, errs.Unavailable, "There is no memory for the command.")
	}
	for len(msg) > 0 {
		n, err := unix.Write(fd, msg)
		if err != nil {
			unix.Close(fd)
			return -1, errs.Wrap(err, errs.Unavailable, "There is no memory for the command.")
		}
		msg = msg[n:]
	}
	return fd, nil
}

// Exec implements sandbox.Sandbox.
func (b *box) Exec(ctx context.Context, cmd sandbox.Command) (sandbox.Process, error) {
	cmd, err := cmd.Normalize()
	if err != nil {
		return nil, err
	}
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	p := &process{box: b, cmd: cmd, started: make(chan error, 1), ended: make(chan struct{})}
	req, fds, err := p.streams()
	defer closeAll(fds)
	if err != nil {
		p.drop()
		return nil, err
	}
	b.mu.Lock()
	if b.waiting == nil || b.dead {
		b.mu.Unlock()
		p.drop()
		return nil, errDead()
	}
	b.nextID++
	p.id = b.nextID
	b.waiting[p.id] = p
	b.mu.Unlock()

	req.ID = p.id
	if err := b.send(req.Encode(), fds); err != nil {
		b.process(p.id, true)
		p.drop()
		return nil, err
	}
	// From here on the copiers own the pipes, and init answers or dies.
	p.copy()
	p.watch(ctx)
	if err := <-p.started; err != nil {
		return nil, err
	}
	return p, nil
}

// refusal turns init's answer into words for the caller.
func refusal(m wire.Refused, cmd sandbox.Command) error {
	errno := unix.Errno(m.Errno)
	switch {
	case errno == unix.EAGAIN || errno == unix.ENOMEM || errno == unix.EMFILE || errno == unix.ENFILE:
		return errs.Wrap(errno, errs.Capacity, "The instance is at its limit of processes or memory. End some of its commands, or raise the limit.")
	case errno == unix.E2BIG:
		return errs.Wrap(errno, errs.TooLarge, "The command and its environment are too long for the system. Put the data into a file.")
	case m.Step == "dir":
		return errs.Wrap(errno, errs.Invalid, "The working folder %q cannot be entered inside the instance: %v.", cmd.Dir, errno)
	case m.Step == "program" && errno == unix.ENOENT:
		return errs.Wrap(errno, errs.Invalid, "There is no program %q on the instance's PATH.", cmd.Argv[0])
	case errno == unix.ENOEXEC:
		return errs.Wrap(errno, errs.Invalid, "%q is not a program: it has no #! line and is not a binary of this machine.", cmd.Argv[0])
	case errno == unix.EPROTO:
		return errs.Wrap(errno, errs.Internal, "The instance did not understand the command.")
	default:
		return errs.Wrap(errno, errs.Invalid, "The program %q cannot be run inside the instance: %v.", cmd.Argv[0], errno)
	}
}
