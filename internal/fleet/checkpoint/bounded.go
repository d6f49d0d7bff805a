package checkpoint

import (
	"errors"
	"os"
	"sync/atomic"

	"github.com/go-git/go-billy/v5"
)

var errFull = errors.New("more was written than is allowed")

// meter counts down the bytes that may be written.
type meter struct{ left int64 }

func (m *meter) take(n int) error {
	if atomic.AddInt64(&m.left, -int64(n)) < 0 {
		return errFull
	}
	return nil
}

// bounded is a file system on which no more may be written than its meter allows.
type bounded struct {
	billy.Filesystem
	meter *meter
}

func (b bounded) wrap(f billy.File, err error) (billy.File, error) {
	if err != nil {
		return nil, err
	}
	return boundedFile{f, b.meter}, nil
}

func (b bounded) Create(name string) (billy.File, error) { return b.wrap(b.Filesystem.Create(name)) }

func (b bounded) OpenFile(name string, flag int, perm os.FileMode) (billy.File, error) {
	return b.wrap(b.Filesystem.OpenFile(name, flag, perm))
}

func (b bounded) TempFile(dir, prefix string) (billy.File, error) {
	return b.wrap(b.Filesystem.TempFile(dir, prefix))
}

func (b bounded) Chroot(path string) (billy.Filesystem, error) {
	fs, err := b.Filesystem.Chroot(path)
	if err != nil {
		return nil, err
	}
	return bounded{fs, b.meter}, nil
}

type boundedFile struct {
	billy.File
	meter *meter
}

func (f boundedFile) Write(p []byte) (int, error) {
	if err := f.meter.take(len(p)); err != nil {
		return 0, err
	}
	return f.File.Write(p)
}
