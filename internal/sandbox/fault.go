package sandbox

import (
	"context"
	"syscall"
)

// Faults says when a faulty driver fails. A function left nil injects nothing; one that returns nil lets the call pass.
// The functions may be called from several goroutines at once.
type Faults struct {
	Probe  func() error
	Start  func(spec Spec) error
	Exec   func(spec Spec, cmd Command) error
	Wait   func(spec Spec, cmd Command, exit Exit) error // asked after the command really ended
	Signal func(spec Spec, sig syscall.Signal) error
	Kill   func(spec Spec) error // asked before the kill; the sandbox lives on when it fails
}

// Fault wraps d so that its calls fail when faults says so, and otherwise pass through. It is for tests of what stands
// above a driver.
func Fault(d Driver, faults Faults) Driver { return faultDriver{d, faults} }

type faultDriver struct {
	Driver
	faults Faults
}

func (d faultDriver) Probe(ctx context.Context) (Facts, error) {
	if f := d.faults.Probe; f != nil {
		if err := f(); err != nil {
			return nil, err
		}
	}
	return d.Driver.Probe(ctx)
}

func (d faultDriver) Start(ctx context.Context, spec Spec) (Sandbox, error) {
	if f := d.faults.Start; f != nil {
		if err := f(spec); err != nil {
			return nil, err
		}
	}
	s, err := d.Driver.Start(ctx, spec)
	if err != nil {
		return nil, err
	}
	return faultSandbox{s, d.faults, spec}, nil
}

type faultSandbox struct {
	Sandbox
	faults Faults
	spec   Spec
}

func (s faultSandbox) Exec(ctx context.Context, cmd Command) (Process, error) {
	if f := s.faults.Exec; f != nil {
		if err := f(s.spec, cmd); err != nil {
			return nil, err
		}
	}
	p, err := s.Sandbox.Exec(ctx, cmd)
	if err != nil {
		return nil, err
	}
	return faultProcess{p, s, cmd}, nil
}

func (s faultSandbox) Kill() error {
	if f := s.faults.Kill; f != nil {
		if err := f(s.spec); err != nil {
			return err
		}
	}
	return s.Sandbox.Kill()
}

type faultProcess struct {
	Process
	sandbox faultSandbox
	cmd     Command
}

func (p faultProcess) Wait() (Exit, error) {
	exit, err := p.Process.Wait()
	if f := p.sandbox.faults.Wait; f != nil && err == nil {
		err = f(p.sandbox.spec, p.cmd, exit)
	}
	return exit, err
}

func (p faultProcess) Signal(sig syscall.Signal) error {
	if f := p.sandbox.faults.Signal; f != nil {
		if err := f(p.sandbox.spec, sig); err != nil {
			return err
		}
	}
	return p.Process.Signal(sig)
}
