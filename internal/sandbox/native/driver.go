//go:build linux

// Package native runs instances as computers of their own made from Linux namespaces: no engine, no image, no root
// needed.
//
// Each sandbox has its own users, processes, mounts, network, host name, message queues and view of control groups. Its
// root shows the host's /usr read-only, its own /proc, /dev and /tmp, the instance's home at /home/agent and its skills
// at /skills; the host's root is gone. Its network is its own loopback. Commands have no capability, can gain none, and
// run under a system call filter.
//
// The parts: package inside is the first process of a sandbox, built into package initbin; package wire is what the
// driver and it say to each other; package filter is the system call filter. The driver itself does two things only: it
// brings an init to life with fresh namespaces, and it moves bytes between commands and their callers.
//
// Shared with the host is the kernel: a fault in it opens every sandbox of this driver.
package native

import (
	"context"
	"os"
	"runtime"
	"sync"

	"yardmaster/internal/errs"
	"yardmaster/internal/sandbox"
	"yardmaster/internal/sandbox/native/filter"
)

// Options sets a driver up. The zero value works.
type Options struct {
	// StateDir is a folder of the server where the driver records which user ids belong to which home. It is used only
	// when the server runs as root. Empty means that this is remembered on the homes and in memory only, so that the
	// home of an instance that is not running may share its ids with a new one.
	StateDir string

	// ReadOnly are host folders or files that sandboxes see besides /usr, at the same path, read-only: for tools that
	// are installed elsewhere, such as "/opt/python". They MUST be absolute.
	ReadOnly []string
}

// Driver is the native driver.
type Driver struct {
	options Options
	image   *image
	filter  []byte
	ids     idSource
	forks   *forker

	mu     sync.Mutex
	closed bool
	live   map[*box]struct{}
	starts sync.WaitGroup
}

var _ sandbox.Driver = (*Driver)(nil)

// New makes a driver. Call Probe to learn whether it works on this machine; New itself fails only when the program is
// not fit for it.
func New(o Options) (*Driver, error) {
	program, err := filter.Bytes(runtime.GOARCH)
	if err != nil {
		return nil, errs.Wrap(err, errs.Unavailable, "The native driver does not know this processor: %s.", runtime.GOARCH)
	}
	img, err := newImage()
	if err != nil {
		return nil, errs.Wrap(err, errs.Unavailable, "The sandbox's init could not be put into memory. "+
			"If vm.memfd_noexec is 2 on this machine, set it to 1 with sysctl.")
	}
	var ids idSource = ownIDs{uid: os.Geteuid(), gid: os.Getegid()}
	if os.Geteuid() == 0 {
		if ids, err = newIDSlots(o.StateDir); err != nil {
			img.close()
			return nil, err
		}
	}
	return &Driver{options: o, image: img, filter: program, ids: ids, forks: newForker(img.path()), live: map[*box]struct{}{}}, nil
}

// Name implements sandbox.Driver.
func (d *Driver) Name() string { return "native" }

// Close implements sandbox.Driver.
func (d *Driver) Close() error {
	d.mu.Lock()
	if d.closed {
		d.mu.Unlock()
		return nil
	}
	d.closed = true
	d.mu.Unlock()
	d.starts.Wait()

	d.mu.Lock()
	var all []*box
	for b := range d.live {
		all = append(all, b)
	}
	d.mu.Unlock()
	for _, b := range all {
		b.signalInit()
	}
	for _, b := range all {
		<-b.done
	}
	d.forks.close()
	return d.image.close()
}

// begin admits a start, and must be paired with starts.Done when it does.
func (d *Driver) begin() error {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.closed {
		return errs.New(errs.Unavailable, "The native driver is closed.")
	}
	d.starts.Add(1)
	return nil
}

func (d *Driver) add(b *box) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.live[b] = struct{}{}
}

func (d *Driver) remove(b *box) {
	d.mu.Lock()
	defer d.mu.Unlock()
	delete(d.live, b)
}

// Start implements sandbox.Driver.
func (d *Driver) Start(ctx context.Context, spec sandbox.Spec) (sandbox.Sandbox, error) {
	if err := d.begin(); err != nil {
		return nil, err
	}
	defer d.starts.Done()
	b, err := d.start(ctx, spec)
	if err != nil {
		return nil, err
	}
	return b, nil
}
