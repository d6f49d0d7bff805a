// Package sandbox is the door to instance computers: a Driver starts a Sandbox, a Sandbox runs commands.
//
// A driver promises isolation only through the Facts that its Probe publishes. Code above this package never assumes
// more than a fact says, and never knows which driver it talks to. The suite in package sandboxtest states what every
// driver MUST do.
package sandbox

import (
	"context"
	"io"
	"syscall"
	"time"
)

// Driver is a way to run instances. Its methods may be called from several goroutines at once.
type Driver interface {
	// Name is the driver's name in settings, facts and the store, such as "native".
	Name() string

	// Probe starts a real throw-away sandbox and reports what this machine's sandboxes enforce. The error, of code
	// unavailable, has the reason for which the driver cannot work here and the mend.
	Probe(ctx context.Context) (Facts, error)

	// Start brings an instance's computer to life and returns when it takes commands. ctx governs the start only; the
	// sandbox lives until Kill, Close, or the end of the platform's process, whatever the way it ends.
	Start(ctx context.Context, spec Spec) (Sandbox, error)

	// Close kills everything the driver started. Start fails afterwards.
	Close() error
}

// Spec describes one instance computer.
type Spec struct {
	ID       string // the instance's id; for naming only
	Hostname string // host name inside; empty means "instance"

	// Home is the host directory that becomes /home/agent, read-write, nosuid and nodev. The driver makes it if it is
	// absent and gives all of it to the inside user when that user is another one than before. What the server writes
	// there afterwards it MUST hand over with Own.
	Home string

	// Skills is the host directory that becomes /skills, read-only. The server may add and remove entries while the
	// sandbox runs; entries MUST be readable by everyone (modes 0755 and 0644). Empty means an empty folder.
	Skills string

	Limits Limits

	// Log, if set, gets diagnostics of the sandbox's own init, line by line without the newline: above all, what was
	// ended because a limit was exceeded. Calls never overlap. It MUST NOT keep line, nor call the sandbox.
	Log func(stream string, line []byte)
}

// Limits bounds what one sandbox may use. Zero means the default of DefaultLimits.
type Limits struct {
	MemoryMB   int // memory of all processes together, in MiB
	Processes  int // processes and threads together
	DiskMB     int // bytes in home, in MiB; temporary folders are bounded by it too
	OpenFiles  int // open descriptors per process
	CPUSeconds int // processor seconds of any one process of a command; negative means no bound
}

// DefaultLimits are the limits of a Spec that names none.
var DefaultLimits = Limits{MemoryMB: 2048, Processes: 512, DiskMB: 2048, OpenFiles: 4096, CPUSeconds: 3600}

// WithDefaults returns l with each zero replaced by the default.
func (l Limits) WithDefaults() Limits {
	set := func(v *int, d int) {
		if *v == 0 {
			*v = d
		}
	}
	set(&l.MemoryMB, DefaultLimits.MemoryMB)
	set(&l.Processes, DefaultLimits.Processes)
	set(&l.DiskMB, DefaultLimits.DiskMB)
	set(&l.OpenFiles, DefaultLimits.OpenFiles)
	set(&l.CPUSeconds, DefaultLimits.CPUSeconds)
	return l
}

// Sandbox is one running instance computer.
type Sandbox interface {
	// Exec starts a command and returns once it runs. Ending ctx kills the command, at any time. Errors: invalid when the
	// command itself is wrong (no such program, no such folder), capacity when a limit of the instance is reached,
	// unavailable when the sandbox is dead.
	Exec(ctx context.Context, cmd Command) (Process, error)

	// Done is closed when the sandbox is dead and everything in it is gone.
	Done() <-chan struct{}

	// Kill ends the sandbox. Everything in it is dead when Kill returns. It may be called again.
	Kill() error

	// PID is the process id of the sandbox's init as the host sees it.
	PID() int
}

// Command is a program to run inside a sandbox.
type Command struct {
	Argv []string // the program and its arguments; a name without a slash is looked up along PATH of Env

	// Env is the whole environment, as KEY=value. The driver adds only what DefaultEnv holds and Env does not. Nothing
	// of the server's environment is ever passed on.
	Env []string

	Dir string // working folder inside; empty means /home/agent

	// Stdin may be a live pipe: it is copied as it comes and closed inside at io.EOF. A Read that never returns outlives
	// the command, so the caller MUST end a live Stdin when the command is over. Nil is /dev/null.
	Stdin io.Reader

	// Stdout and Stderr get the output as it comes, each from a goroutine of its own (from one when they are the same
	// value). A Write that blocks holds the command up; one that fails closes the stream for the command. Nil is /dev/null.
	Stdout, Stderr io.Writer
}

// Process is one command.
type Process interface {
	// Wait returns when the command has ended and all output it wrote before its end was copied. What its background
	// children write later goes nowhere. The error is not nil when ctx ended the command, a writer failed, or the sandbox
	// died; a non-zero exit code is no error. Wait may be called from several goroutines.
	Wait() (Exit, error)

	// Signal sends sig to the command's process group. A command that has ended gets nothing, which is no error.
	Signal(sig syscall.Signal) error

	// Kill kills the command, its session and all its descendants, also those left behind after its end.
	Kill() error
}

// Exit says how a command ended.
type Exit struct {
	Code     int            // exit code; 128 + Signal when a signal ended it
	Signal   syscall.Signal // the signal that ended it, or 0
	CPU      time.Duration  // user and system time of the command and of the children it waited for
	MaxRSSKB int64          // the largest resident set of any one of these processes, in KiB
}

// Paths and names that hold inside every sandbox.
const (
	HomeDir   = "/home/agent"
	SkillsDir = "/skills"
	User      = "agent"
	UserID    = 1000 // uid and gid of User inside
)

// DefaultEnv is the environment of a Command whose Env is silent on these names.
var DefaultEnv = []string{
	"PATH=" + HomeDir + "/.local/bin:/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
	"HOME=" + HomeDir,
	"USER=" + User,
	"LANG=C.UTF-8",
}
