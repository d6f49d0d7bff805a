package fleet_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"syscall"

	"yardmaster/internal/errs"
	"yardmaster/internal/sandbox"
)

// fakeDriver runs commands as plain processes in the home folder: no isolation at all. It is for tests of what stands
// above a driver. A sandbox's life is a process of its own ("sleep"), which a test can kill.
type fakeDriver struct {
	name string

	mu     sync.Mutex
	boxes  map[*fakeBox]bool
	starts int
	peak   int           // of starts at the same time
	now    int           // starts under way
	hold   chan struct{} // when set, starts wait until it is closed
	begun  chan string   // when set, gets the id of each start
}

func newFake() *fakeDriver { return &fakeDriver{name: "fake", boxes: map[*fakeBox]bool{}} }

func (d *fakeDriver) Name() string { return d.name }

func (d *fakeDriver) Probe(context.Context) (sandbox.Facts, error) {
	f := sandbox.Facts{}
	for _, k := range sandbox.FactKeys() {
		f[k] = sandbox.Fact{Level: sandbox.None, Reason: "a fake isolates nothing"}
	}
	return f, nil
}

func (d *fakeDriver) Start(ctx context.Context, spec sandbox.Spec) (sandbox.Sandbox, error) {
	d.mu.Lock()
	d.starts++
	d.now++
	d.peak = max(d.peak, d.now)
	hold, begun := d.hold, d.begun
	d.mu.Unlock()
	defer func() {
		d.mu.Lock()
		d.now--
		d.mu.Unlock()
	}()
	if begun != nil {
		begun <- spec.ID
	}
	if hold != nil {
		select {
		case <-hold:
		case <-ctx.Done():
			return nil, ctx.Err()
		}
	}
	if info, err := os.Stat(spec.Home); err != nil || !info.IsDir() {
		return nil, errs.New(errs.Unavailable, "no home folder")
	}
	init := exec.Command("sleep", fmt.Sprint(fakeLife.Seconds()))
	init.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	if err := init.Start(); err != nil {
		return nil, err
	}
	b := &fakeBox{driver: d, spec: spec, init: init, ending: make(chan struct{}), done: make(chan struct{}), running: map[*fakeProcess]bool{}}
	d.mu.Lock()
	d.boxes[b] = true
	d.mu.Unlock()
	go func() {
		_ = init.Wait() // however it ends, it has ended
		close(b.ending)
		b.mu.Lock()
		for p := range b.running {
			_ = p.Kill()
		}
		b.mu.Unlock()
		b.work.Wait()
		d.mu.Lock()
		delete(d.boxes, b)
		d.mu.Unlock()
		close(b.done)
	}()
	return b, nil
}

func (d *fakeDriver) Close() error {
	d.mu.Lock()
	var all []*fakeBox
	for b := range d.boxes {
		all = append(all, b)
	}
	d.mu.Unlock()
	for _, b := range all {
		_ = b.Kill()
	}
	return nil
}

// up counts the sandboxes that run.
func (d *fakeDriver) up() int {
	d.mu.Lock()
	defer d.mu.Unlock()
	return len(d.boxes)
}

// die kills an instance's sandbox from outside, as a fault of the machine would.
func (d *fakeDriver) die(id string) bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	for b := range d.boxes {
		if b.spec.ID == id {
			return b.init.Process.Kill() == nil
		}
	}
	return false
}

type fakeBox struct {
	driver *fakeDriver
	spec   sandbox.Spec
	init   *exec.Cmd
	ending chan struct{} // closed when its life ended
	done   chan struct{}
	work   sync.WaitGroup

	mu      sync.Mutex
	running map[*fakeProcess]bool
}

func (b *fakeBox) Exec(ctx context.Context, c sandbox.Command) (sandbox.Process, error) {
	c, err := c.Normalize()
	if err != nil {
		return nil, err
	}
	cmd := exec.CommandContext(ctx, c.Argv[0], c.Argv[1:]...)
	cmd.Dir = b.spec.Home
	if c.Dir != sandbox.HomeDir {
		cmd.Dir = filepath.Join(b.spec.Home, c.Dir)
	}
	cmd.Env, cmd.Stdin, cmd.Stdout, cmd.Stderr = c.Env, c.Stdin, c.Stdout, c.Stderr
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	cmd.Cancel = func() error { return syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL) }
	b.mu.Lock()
	defer b.mu.Unlock()
	select {
	case <-b.done:
		return nil, errs.New(errs.Unavailable, "the sandbox is dead")
	default:
	}
	if err := cmd.Start(); err != nil {
		if errors.Is(err, exec.ErrNotFound) || errors.Is(err, os.ErrNotExist) {
			return nil, errs.BadField("argv", "there is no such program")
		}
		return nil, err
	}
	p := &fakeProcess{cmd: cmd, ended: make(chan struct{})}
	b.running[p] = true
	b.work.Go(func() {
		err := cmd.Wait()
		var exit *exec.ExitError
		p.exit.Code = cmd.ProcessState.ExitCode()
		if status, ok := cmd.ProcessState.Sys().(syscall.WaitStatus); ok && status.Signaled() {
			p.exit.Code, p.exit.Signal = 128+int(status.Signal()), status.Signal()
		}
		if !errors.As(err, &exit) {
			p.err = err
		}
		if ctx.Err() != nil {
			p.err = ctx.Err()
		}
		b.mu.Lock()
		delete(b.running, p)
		b.mu.Unlock()
		select {
		case <-b.ending:
			if p.err == nil {
				p.err = errs.New(errs.Unavailable, "the sandbox died")
			}
		default:
		}
		close(p.ended)
	})
	return p, nil
}

func (b *fakeBox) Done() <-chan struct{} { return b.done }

func (b *fakeBox) Kill() error {
	_ = b.init.Process.Kill() // it may have ended
	<-b.done
	return nil
}

func (b *fakeBox) PID() int { return b.init.Process.Pid }

type fakeProcess struct {
	cmd   *exec.Cmd
	ended chan struct{}
	exit  sandbox.Exit
	err   error
}

func (p *fakeProcess) Wait() (sandbox.Exit, error) {
	<-p.ended
	return p.exit, p.err
}

func (p *fakeProcess) Signal(sig syscall.Signal) error { return syscall.Kill(-p.cmd.Process.Pid, sig) }
func (p *fakeProcess) Kill() error                     { return p.Signal(syscall.SIGKILL) }
