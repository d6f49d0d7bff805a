//go:build linux

package native

import (
	"errors"
	"fmt"

	"golang.org/x/sys/unix"

	"yardmaster/internal/sandbox/native/initbin"
)

// image is the program of init in a sealed memory file, so that no file on disk has to be kept and what runs is what
// was built in. All sandboxes share its pages.
type image struct{ fd int }

func newImage() (*image, error) {
	program, err := initbin.Program()
	if err != nil {
		return nil, err
	}
	const flags = unix.MFD_CLOEXEC | unix.MFD_ALLOW_SEALING
	fd, err := unix.MemfdCreate("yardmaster-init", flags|unix.MFD_EXEC)
	if errors.Is(err, unix.EINVAL) { // before Linux 6.3 every memory file can be executed
		fd, err = unix.MemfdCreate("yardmaster-init", flags)
	}
	if err != nil {
		return nil, fmt.Errorf("memfd_create: %w", err)
	}
	for rest := program; len(rest) > 0; {
		n, err := unix.Write(fd, rest)
		if err != nil {
			unix.Close(fd)
			return nil, fmt.Errorf("write init: %w", err)
		}
		rest = rest[n:]
	}
	const seals = unix.F_SEAL_SEAL | unix.F_SEAL_SHRINK | unix.F_SEAL_GROW | unix.F_SEAL_WRITE
	if _, err := unix.FcntlInt(uintptr(fd), unix.F_ADD_SEALS, seals); err != nil {
		unix.Close(fd)
		return nil, fmt.Errorf("seal init: %w", err)
	}
	return &image{fd}, nil
}

// path names the program for a child of this process.
func (i *image) path() string { return fmt.Sprintf("/proc/self/fd/%d", i.fd) }

func (i *image) close() error { return unix.Close(i.fd) }
