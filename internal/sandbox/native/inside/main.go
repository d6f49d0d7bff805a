//go:build linux

package inside

import (
	"runtime"
	"strconv"
	"sync"
	"sync/atomic"
	"syscall"

	"golang.org/x/sys/unix"

	"yardmaster/internal/sandbox/native/wire"
)

// conn is the descriptor of the socket to the driver.
const conn = 3

// Main is the whole program: of an init, if it is the first process of its namespace, otherwise of a starter. It does
// not return.
func Main() {
	if unix.Getpid() != 1 {
		start()
	}
	_, _ = unix.Setsid() // away from the starter's group
	// Commands are forked by this thread only: it is the one whose bounding set is empty.
	runtime.LockOSThread()

	ignoreSignals()
	// Anything else that came from the driver's process is closed before a line of its data is looked at.
	_ = unix.CloseRange(conn+1, ^uint(0), 0)
	unix.CloseOnExec(conn)

	buf := make([]byte, wire.MaxPacket)
	kind, body, fds := receive(buf)
	setup, ok := wire.DecodeSetup(body)
	if kind != wire.KindSetup || !ok {
		fail(step("read the setup", unix.EPROTO))
	}
	in := &machine{limits: setup.Limits, byID: map[uint32]*command{}, byPID: map[int]*command{}}
	in.born = sync.NewCond(&in.mu)
	if err := in.build(setup, fds); err != nil {
		fail(err)
	}
	if err := harden(setup); err != nil {
		fail(err)
	}
	go in.reap()
	go in.watch()
	send(wire.NewWriter(wire.KindReady).Bytes())
	for {
		kind, body, fds := receive(buf)
		in.serve(kind, body, fds)
		closeAll(fds)
	}
}

// machine is the state of a running sandbox.
type machine struct {
	limits wire.Limits
	proc   int // a private /proc that shows every process; never reachable for commands
	null   int // /dev/null
	home   int // the home folder

	mu    sync.Mutex // also held from before a fork until the child is in the maps
	born  *sync.Cond // a child exists
	byID  map[uint32]*command
	byPID map[int]*command // those that have not ended

	busy atomic.Bool // some process lives besides init
	full atomic.Bool // home holds more than it may
}

// serve carries out one request.
func (in *machine) serve(kind wire.Kind, body *wire.Reader, fds []int) {
	switch kind {
	case wire.KindExec:
		if req, ok := wire.DecodeExec(body); ok {
			in.exec(req, fds)
		} else {
			send(wire.Refused{ID: req.ID, Step: "message", Errno: int64(unix.EPROTO)}.Encode())
		}
	case wire.KindSignal:
		if req, ok := wire.DecodeSignal(body); ok {
			in.signal(req)
		}
	case wire.KindReach:
		if req, ok := wire.DecodeReach(body); ok {
			send(reach(req).Encode())
		}
	}
}

// receive waits for a message and its descriptors. The driver being gone is the end of the sandbox.
func receive(buf []byte) (wire.Kind, *wire.Reader, []int) {
	oob := make([]byte, unix.CmsgSpace(4*8))
	var n, oobn, flags int
	var err error
	for {
		n, oobn, flags, _, err = unix.Recvmsg(conn, buf, oob, unix.MSG_CMSG_CLOEXEC)
		if err != unix.EINTR {
			break
		}
	}
	if err != nil || n == 0 || flags&(unix.MSG_TRUNC|unix.MSG_CTRUNC) != 0 {
		syscall.Exit(0)
	}
	var fds []int
	if msgs, err := unix.ParseSocketControlMessage(oob[:oobn]); err == nil {
		for i := range msgs {
			if more, err := unix.ParseUnixRights(&msgs[i]); err == nil {
				fds = append(fds, more...)
			}
		}
	}
	kind, body := wire.NewReader(buf[:n])
	if kind != wire.KindSpill {
		return kind, body, fds
	}
	spill, ok := wire.DecodeSpill(body)
	if !ok || len(fds) == 0 {
		syscall.Exit(0)
	}
	last := fds[len(fds)-1]
	msg := make([]byte, spill.Size)
	for got := 0; got < len(msg); {
		n, err := unix.Pread(last, msg[got:], int64(got))
		if err == unix.EINTR {
			continue
		}
		if err != nil || n <= 0 {
			syscall.Exit(0)
		}
		got += n
	}
	unix.Close(last)
	kind, body = wire.NewReader(msg)
	return kind, body, fds[:len(fds)-1]
}

// send gives a message to the driver.
func send(msg []byte) {
	for {
		err := unix.Send(conn, msg, unix.MSG_NOSIGNAL)
		if err == nil {
			return
		}
		if err != unix.EINTR {
			syscall.Exit(0)
		}
	}
}

func notice(text string) { send(wire.Notice{Text: text}.Encode()) }

func closeAll(fds []int) {
	for _, fd := range fds {
		unix.Close(fd)
	}
}

// stepError says what init was doing when the kernel refused.
type stepError struct {
	step string
	err  error
}

func (e *stepError) Error() string { return e.step + ": " + e.err.Error() }

// step adds what was being done to an error, if there is one.
func step(what string, err error) error {
	if err == nil {
		return nil
	}
	return &stepError{what, err}
}

// fail reports that the sandbox cannot live, and ends it.
func fail(err error) {
	msg := wire.Failed{Step: err.Error()}
	if s, ok := err.(*stepError); ok {
		msg.Step = s.step
		if errno, ok := s.err.(syscall.Errno); ok {
			msg.Errno = int64(errno)
		}
	}
	send(msg.Encode())
	syscall.Exit(1)
}

func itoa(n int) string { return strconv.Itoa(n) }
