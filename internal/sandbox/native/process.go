//go:build linux

package native

import (
	"context"
	"errors"
	"io"
	"os"
	"sync"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"yardmaster/internal/errs"
	"yardmaster/internal/sandbox"
	"yardmaster/internal/sandbox/native/wire"
)

// lingerTime is how long output is still read after a command has ended while something that it left behind holds its
// pipes open. What the command itself wrote before its end is always delivered.
const lingerTime = 100 * time.Millisecond

// process is one command.
type process struct {
	box     *box
	id      uint32
	cmd     sandbox.Command
	started chan error // gets one answer

	stdin   *os.File  // our end, nil if none
	outputs []*output // at most two
	copying sync.WaitGroup

	mu       sync.Mutex
	stop     func() bool // ends the watch of the context
	canceled error       // why the context ended
	finished bool
	exit     sandbox.Exit
	err      error
	ended    chan struct{} // closed when the exit is known
}

// output is a stream from the command to a writer of the caller.
type output struct {
	from *os.File
	to   io.Writer
	err  error // of the writer
}

// pipe makes a pipe that belongs to the sandbox's user, so that commands may open it again by its name, as in
// /dev/stdout. Our end is read from when we read, and is ready for waiting without a thread.
func pipe(who ids, weRead bool) (ours *os.File, theirs int, err error) {
	var p [2]int
	if err := unix.Pipe2(p[:], unix.O_CLOEXEC); err != nil {
		return nil, -1, errs.Wrap(err, errs.Unavailable, "The server is out of file descriptors: raise its limit (ulimit -n).")
	}
	if who.root {
		_ = unix.Fchown(p[0], who.uid, who.gid)
	}
	our, their := p[0], p[1]
	if !weRead {
		our, their = p[1], p[0]
	}
	_ = unix.SetNonblock(our, true)
	return os.NewFile(uintptr(our), "pipe"), their, nil
}

// streams makes the pipes of a command. The descriptors are for init, and the caller closes them.
func (p *process) streams() (wire.Exec, []int, error) {
	req := wire.Exec{Dir: p.cmd.Dir, Argv: p.cmd.Argv, Env: p.cmd.Env, CPUSeconds: int64(max(p.box.spec.Limits.CPUSeconds, 0))}
	var fds []int
	if p.cmd.Stdin != nil {
		ours, theirs, err := pipe(p.box.ids, false)
		if err != nil {
			return req, fds, err
		}
		p.stdin = ours
		fds = append(fds, theirs)
		req.Streams |= wire.Stdin
	}
	out := func(w io.Writer, bit uint8) error {
		ours, theirs, err := pipe(p.box.ids, true)
		if err != nil {
			return err
		}
		p.outputs = append(p.outputs, &output{from: ours, to: w})
		fds = append(fds, theirs)
		req.Streams |= bit
		return nil
	}
	if p.cmd.Stdout != nil {
		if err := out(p.cmd.Stdout, wire.Stdout); err != nil {
			return req, fds, err
		}
	}
	switch {
	case p.cmd.Stderr == nil:
	case same(p.cmd.Stdout, p.cmd.Stderr):
		req.Streams |= wire.Joined
	default:
		if err := out(p.cmd.Stderr, wire.Stderr); err != nil {
			return req, fds, err
		}
	}
	return req, fds, nil
}

// same compares two writers; ones that cannot be compared are different.
func same(a, b io.Writer) (equal bool) {
	defer func() { _ = recover() }()
	return a == b
}

// drop closes the pipes of a command that never ran.
func (p *process) drop() {
	if p.stdin != nil {
		p.stdin.Close()
	}
	for _, o := range p.outputs {
		o.from.Close()
	}
}

// copy starts moving bytes.
func (p *process) copy() {
	if p.stdin != nil {
		go func() {
			// An error means that the command reads no more, which is its right.
			_, _ = io.Copy(p.stdin, onlyReader{p.cmd.Stdin})
			p.stdin.Close()
		}()
	}
	for _, o := range p.outputs {
		p.copying.Go(o.run)
	}
}

// onlyReader keeps io.Copy from handing a file's bytes over inside the kernel, which would block a thread on a terminal.
type onlyReader struct{ io.Reader }

// run copies until the end of the stream, or until the command has ended and all it wrote is copied.
func (o *output) run() {
	defer o.from.Close()
	buf := make([]byte, 16<<10)
	for {
		n, err := o.from.Read(buf)
		if n > 0 {
			if _, o.err = o.to.Write(buf[:n]); o.err != nil {
				return
			}
		}
		if errors.Is(err, os.ErrDeadlineExceeded) {
			o.drain(buf)
			return
		}
		if err != nil {
			return
		}
	}
}

// drain copies what lies in the pipe, and not more than it can hold (pipe(7)): what the command wrote before its end is
// in there, and a process left behind may write for ever.
func (o *output) drain(buf []byte) {
	raw, err := o.from.SyscallConn()
	if err != nil {
		return
	}
	left := 0
	if err := raw.Control(func(fd uintptr) { left, _ = unix.FcntlInt(fd, unix.F_GETPIPE_SZ, 0) }); err != nil {
		return
	}
	for left > 0 {
		n := 0
		err := raw.Control(func(fd uintptr) { n, _ = unix.Read(int(fd), buf[:min(len(buf), left)]) })
		if err != nil || n <= 0 {
			return
		}
		left -= n
		if _, o.err = o.to.Write(buf[:n]); o.err != nil {
			return
		}
	}
}

// answer tells Exec whether the command runs.
func (p *process) answer(err error) {
	select {
	case p.started <- err:
	default:
	}
}

// exited takes init's report of the end.
func (p *process) exited(m wire.Exited) {
	p.finish(sandbox.Exit{
		Code: int(m.Code), Signal: syscall.Signal(m.Signal), CPU: time.Duration(m.CPU), MaxRSSKB: m.MaxRSSKB,
	}, nil)
}

// finish records the end, once, and lets Wait go on.
func (p *process) finish(exit sandbox.Exit, err error) {
	p.mu.Lock()
	if p.finished {
		p.mu.Unlock()
		return
	}
	p.finished = true
	p.exit, p.err = exit, err
	if p.canceled != nil && err == nil {
		p.err = p.canceled
	}
	if p.stop != nil {
		p.stop()
	}
	p.mu.Unlock()
	if err != nil {
		p.answer(err)
	}
	if p.stdin != nil {
		p.stdin.Close() // frees a copier that waits for somebody to read
	}
	deadline := time.Now().Add(lingerTime)
	for _, o := range p.outputs {
		_ = o.from.SetReadDeadline(deadline)
	}
	close(p.ended)
}

// watch kills the command when ctx ends.
func (p *process) watch(ctx context.Context) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if !p.finished {
		p.stop = context.AfterFunc(ctx, func() { p.cancel(context.Cause(ctx)) })
	}
}

// cancel kills the command because its context ended.
func (p *process) cancel(cause error) {
	p.mu.Lock()
	if p.finished {
		p.mu.Unlock()
		return
	}
	p.canceled = cause
	p.mu.Unlock()
	_ = p.Kill()
}

// Wait implements sandbox.Process.
func (p *process) Wait() (sandbox.Exit, error) {
	<-p.ended
	p.copying.Wait()
	err := p.err
	for _, o := range p.outputs {
		if err == nil && o.err != nil {
			err = o.err
		}
	}
	return p.exit, err
}

// Signal implements sandbox.Process.
func (p *process) Signal(sig syscall.Signal) error {
	if sig < 0 || sig > 64 {
		return errs.BadField("signal", "Give a signal from 1 to 64.")
	}
	return p.send(wire.Signal{ID: p.id, Num: int64(sig)})
}

// Kill implements sandbox.Process.
func (p *process) Kill() error {
	return p.send(wire.Signal{ID: p.id, Num: int64(syscall.SIGKILL), Tree: true})
}

// send passes a signal on. In a dead sandbox there is nothing left to get it.
func (p *process) send(m wire.Signal) error {
	select {
	case <-p.box.done:
		return nil
	default:
	}
	return p.box.send(m.Encode(), nil)
}
