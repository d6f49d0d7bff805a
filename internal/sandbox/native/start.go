//go:build linux

package native

import (
	"bufio"
	"context"
	"errors"
	"os"
	"path/filepath"
	"regexp"
	"time"

	"golang.org/x/sys/unix"

	"yardmaster/internal/errs"
	"yardmaster/internal/sandbox"
	"yardmaster/internal/sandbox/native/wire"
)

// startTimeout bounds how long an init may take to build its sandbox. It takes milliseconds; a machine that needs this
// long is not usable.
const startTimeout = 30 * time.Second

var hostnames = regexp.MustCompile(`^[a-zA-Z0-9]([a-zA-Z0-9.-]{0,61}[a-zA-Z0-9])?$`)

// check returns spec with defaults, or says what is wrong with it.
func check(spec sandbox.Spec) (sandbox.Spec, error) {
	if spec.Hostname == "" {
		spec.Hostname = "instance"
	}
	if !hostnames.MatchString(spec.Hostname) {
		return spec, errs.BadField("hostname", "Use letters, digits, dots and hyphens, at most 63.")
	}
	if !filepath.IsAbs(spec.Home) || filepath.Clean(spec.Home) == "/" {
		return spec, errs.BadField("home", "Give the home folder as an absolute path.")
	}
	if spec.Skills != "" && !filepath.IsAbs(spec.Skills) {
		return spec, errs.BadField("skills", "Give the skills folder as an absolute path.")
	}
	if spec.Skills != "" {
		path, err := filepath.EvalSymlinks(spec.Skills)
		if err != nil {
			return spec, errs.Wrap(err, errs.Unavailable, "The skills folder cannot be read. Check that it exists in the data folder.")
		}
		spec.Skills = path
	}
	spec.Home = filepath.Clean(spec.Home)
	spec.Limits = spec.Limits.WithDefaults()
	l := spec.Limits
	if l.MemoryMB < 16 || l.Processes < 4 || l.DiskMB < 1 || l.OpenFiles < 16 {
		return spec, errs.BadField("limits", "Allow at least 16 MiB of memory, 4 processes, 1 MiB of disk and 16 open files.")
	}
	return spec, nil
}

// start does the work of Start.
func (d *Driver) start(ctx context.Context, spec sandbox.Spec) (_ *box, err error) {
	spec, err = check(spec)
	if err != nil {
		return nil, err
	}
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	if err := makeHome(spec.Home); err != nil {
		return nil, err
	}
	who, release, err := d.ids.take(spec.Home)
	if err != nil {
		return nil, err
	}
	b := &box{driver: d, spec: spec, ids: who, release: release, done: make(chan struct{}), waiting: map[uint32]*process{}}
	defer func() {
		if err != nil && b.pid == 0 {
			release()
		}
	}()
	setup := wire.Setup{
		Hostname: spec.Hostname,
		Filter:   d.filter,
		TmpMB:    int64(max(1, min(spec.Limits.DiskMB, spec.Limits.MemoryMB/2))),
		Limits: wire.Limits{
			MemoryMB: int64(spec.Limits.MemoryMB), Processes: int64(spec.Limits.Processes),
			DiskMB: int64(spec.Limits.DiskMB), OpenFiles: int64(spec.Limits.OpenFiles),
		},
	}
	d.layout(&setup)

	var pass []int // descriptors that go to init with the setup
	defer func() { closeAll(pass) }()
	if who.root {
		if err := giveHome(spec.Home, who); err != nil {
			return nil, errs.Wrap(err, errs.Unavailable, "The home folder could not be given to the instance's user.")
		}
		setup.HomeFD = true
		tree, err := detach(spec.Home)
		if err != nil {
			return nil, cannotBuild("bind the home folder", errnoOf(err))
		}
		pass = append(pass, tree)
		if spec.Skills != "" {
			setup.SkillsFD = true
			tree, err := detach(spec.Skills)
			if err != nil {
				return nil, cannotBuild("bind the skills folder", errnoOf(err))
			}
			pass = append(pass, tree)
		}
	} else {
		setup.Home, setup.Skills = spec.Home, spec.Skills
	}
	if err := b.fork(); err != nil {
		return nil, err
	}
	if err := b.handshake(ctx, setup, pass); err != nil {
		b.signalInit()
		b.collect()
		return nil, err
	}
	d.add(b)
	go b.listen()
	return b, nil
}

// fork makes the init process and the socket to it.
func (b *box) fork() error {
	pair, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_SEQPACKET|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return errs.Wrap(err, errs.Unavailable, "The server is out of file descriptors: raise its limit (ulimit -n).")
	}
	defer unix.Close(pair[1])
	null, err := unix.Open("/dev/null", unix.O_RDWR|unix.O_CLOEXEC, 0)
	if err != nil {
		unix.Close(pair[0])
		return errs.Wrap(err, errs.Unavailable, "/dev/null cannot be opened.")
	}
	defer unix.Close(null)
	stderr := null
	var log *os.File
	if b.spec.Log != nil {
		r, w, err := pipe(b.ids, true)
		if err != nil {
			unix.Close(pair[0])
			return err
		}
		defer unix.Close(w)
		log, stderr = r, w
	}
	files := []uintptr{uintptr(null), uintptr(null), uintptr(stderr), uintptr(pair[1])}
	pid, pidfd, err := b.driver.forks.fork(b.ids.fork(), files)
	if err != nil {
		unix.Close(pair[0])
		if log != nil {
			log.Close()
		}
		return cannotFork(err)
	}
	b.pid, b.pidfd = pid, pidfd
	_ = unix.SetNonblock(pair[0], true)
	b.conn = os.NewFile(uintptr(pair[0]), "sandbox")
	if log != nil {
		b.copies.Go(func() { b.copyLog(log) })
	}
	return nil
}

// copyLog hands what init itself writes, such as the text of a fault, to the spec's log.
func (b *box) copyLog(r *os.File) {
	defer r.Close()
	lines := bufio.NewScanner(r)
	for lines.Scan() {
		b.log("init", lines.Bytes())
	}
}

// handshake sends the setup and waits for the answer.
func (b *box) handshake(ctx context.Context, setup wire.Setup, pass []int) error {
	deadline := time.Now().Add(startTimeout)
	if d, ok := ctx.Deadline(); ok && d.Before(deadline) {
		deadline = d
	}
	_ = b.conn.SetDeadline(deadline)
	stop := context.AfterFunc(ctx, func() { _ = b.conn.SetDeadline(time.Unix(1, 0)) })
	err := b.send(setup.Encode(), pass)
	var msg []byte
	if err == nil {
		buf := make([]byte, 1024)
		var n int
		n, err = b.conn.Read(buf)
		msg = buf[:n]
	}
	if !stop() {
		return ctx.Err()
	}
	if err != nil {
		if errors.Is(err, os.ErrDeadlineExceeded) {
			return errs.Wrap(err, errs.Unavailable, "A sandbox did not come to life in time. The machine is overloaded; try again.")
		}
		return errs.Wrap(err, errs.Unavailable, "The first process of a sandbox ended at once. The machine may be out of memory.")
	}
	_ = b.conn.SetDeadline(time.Time{})
	switch kind, body := wire.NewReader(msg); kind {
	case wire.KindReady:
		return nil
	case wire.KindFailed:
		if m, ok := wire.DecodeFailed(body); ok {
			return cannotBuild(m.Step, unix.Errno(m.Errno))
		}
	}
	return errs.New(errs.Internal, "The first process of a sandbox answered nonsense.")
}

func errnoOf(err error) unix.Errno {
	var errno unix.Errno
	errors.As(err, &errno)
	return errno
}

func closeAll(fds []int) {
	for _, fd := range fds {
		unix.Close(fd)
	}
}
