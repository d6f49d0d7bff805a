// Package hostfake runs what belongs into an instance as plain processes of this machine. It is for tests of experiments
// only: nothing is isolated.
package hostfake

import (
	"context"
	"errors"
	"io"
	"os"
	"os/exec"
	"syscall"
	"time"

	"yardmaster/internal/errs"
	"yardmaster/internal/sandbox"
)

// Command is a command to start.
type Command struct {
	Argv           []string
	Dir            string
	Env            []string
	Stdin          io.Reader
	Stdout, Stderr io.Writer
}

// Start starts a command as sandbox.Sandbox.Exec does. Ending ctx kills it with all its group.
func Start(ctx context.Context, c Command) (sandbox.Process, error) {
	path, err := exec.LookPath(c.Argv[0])
	if err != nil {
		return nil, errs.New(errs.Invalid, "There is no program %q.", c.Argv[0])
	}
	cmd := exec.Command(path, c.Argv[1:]...)
	cmd.Dir, cmd.Env = c.Dir, append([]string{"PATH=" + os.Getenv("PATH")}, c.Env...)
	cmd.Stdout, cmd.Stderr = c.Stdout, c.Stderr
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	cmd.WaitDelay = time.Second // children in the background may hold its output open
	stdin, err := cmd.StdinPipe()
	if err != nil {
		return nil, err
	}
	if err := cmd.Start(); err != nil {
		return nil, errs.Wrap(err, errs.Invalid, "%v.", err)
	}
	p := &process{cmd: cmd, done: make(chan struct{})}
	stop := context.AfterFunc(ctx, func() { _ = p.Kill() })
	if c.Stdin != nil {
		go func() {
			_, _ = io.Copy(stdin, c.Stdin)
			_ = stdin.Close()
		}()
	}
	go func() {
		defer close(p.done)
		err := cmd.Wait()
		stop()
		status, _ := cmd.ProcessState.Sys().(syscall.WaitStatus)
		p.exit = sandbox.Exit{Code: status.ExitStatus(), CPU: cmd.ProcessState.UserTime() + cmd.ProcessState.SystemTime()}
		if status.Signaled() {
			p.exit.Signal, p.exit.Code = status.Signal(), 128+int(status.Signal())
		}
		var code *exec.ExitError
		if ctx.Err() != nil {
			p.err = ctx.Err()
		} else if err != nil && !errors.As(err, &code) && !errors.Is(err, exec.ErrWaitDelay) {
			p.err = err
		}
	}()
	return p, nil
}

type process struct {
	cmd  *exec.Cmd
	done chan struct{}
	exit sandbox.Exit
	err  error
}

// Wait implements sandbox.Process.
func (p *process) Wait() (sandbox.Exit, error) {
	<-p.done
	return p.exit, p.err
}

// Signal implements sandbox.Process.
func (p *process) Signal(sig syscall.Signal) error {
	select {
	case <-p.done:
		return nil
	default:
		return syscall.Kill(-p.cmd.Process.Pid, sig)
	}
}

// Kill implements sandbox.Process.
func (p *process) Kill() error {
	err := syscall.Kill(-p.cmd.Process.Pid, syscall.SIGKILL)
	if errors.Is(err, syscall.ESRCH) {
		return nil
	}
	return err
}
