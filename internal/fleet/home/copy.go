package home

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"sort"
	"time"

	"golang.org/x/sys/unix"

	"yardmaster/internal/errs"
	"yardmaster/internal/sandbox"
)

// Budget bounds a copy. It counts down.
type Budget struct {
	Bytes   int64
	Entries int
}

// Copy copies all of one folder into another, which is empty: folders, regular files with their holes, and links as they
// are. Pipes, sockets and devices are left out. A file that changes meanwhile is copied as it is read; one that vanishes
// is left out.
func Copy(ctx context.Context, dst, src *os.Root, b *Budget) error {
	return copyFolder(ctx, dst, src, ".", b)
}

func copyFolder(ctx context.Context, dst, src *os.Root, name string, b *Budget) error {
	dir, info, err := open(src, name)
	if err != nil {
		return gone(err)
	}
	if !info.IsDir() { // swapped since it was looked at
		return dir.Close()
	}
	names, err := dir.Readdirnames(-1)
	if errors.Is(err, fs.ErrNotExist) {
		err = nil // removed while it was read
	}
	if err := errors.Join(err, dir.Close()); err != nil {
		return fmt.Errorf("copy %q: %w", name, err)
	}
	sort.Strings(names)
	for _, n := range names {
		if err := ctx.Err(); err != nil {
			return err
		}
		if b.Entries--; b.Entries < 0 {
			return errs.New(errs.TooLarge, "There are too many files to copy.")
		}
		if err := copyEntry(ctx, dst, src, path.Join(name, n), b); err != nil {
			return err
		}
	}
	if name != "." {
		return finish(dst, name, info)
	}
	return nil
}

func copyEntry(ctx context.Context, dst, src *os.Root, name string, b *Budget) error {
	info, err := src.Lstat(name)
	if err != nil {
		return gone(err)
	}
	switch {
	case info.IsDir():
		if err := dst.Mkdir(name, 0o700); err != nil {
			return err
		}
		return copyFolder(ctx, dst, src, name, b)
	case info.Mode().IsRegular():
		return copyFile(ctx, dst, src, name, b)
	case info.Mode()&fs.ModeSymlink != 0:
		target, err := src.Readlink(name)
		if errors.Is(err, unix.EINVAL) { // no link any more
			return nil
		}
		if err != nil {
			return gone(err)
		}
		if err := dst.Symlink(target, name); err != nil {
			return err
		}
		return sandbox.Own(dst, name)
	}
	return nil
}

func copyFile(ctx context.Context, dst, src *os.Root, name string, b *Budget) (err error) {
	in, info, err := open(src, name)
	if err != nil {
		return gone(err)
	}
	defer func() { _ = in.Close() }()
	if !info.Mode().IsRegular() { // swapped since it was looked at
		return nil
	}
	out, err := dst.OpenFile(name, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, out.Close()) }()
	size := info.Size()
	for at := int64(0); at < size; {
		if err := ctx.Err(); err != nil {
			return err
		}
		start, end, err := extent(in, at, size)
		if err != nil {
			return fmt.Errorf("copy %q: %w", name, err)
		}
		end = min(end, start+64<<20) // so that ctx is looked at
		if b.Bytes -= end - start; b.Bytes < 0 {
			return errs.New(errs.TooLarge, "The files are larger than what an instance may hold.")
		}
		n, err := io.Copy(io.NewOffsetWriter(out, start), io.NewSectionReader(in, start, end-start))
		if err != nil {
			return fmt.Errorf("copy %q: %w", name, err)
		}
		if n < end-start { // cut short since
			size = start + n
		}
		at = end
	}
	if err := out.Truncate(size); err != nil {
		return err
	}
	return finish(dst, name, info)
}

// extent answers the next piece of a file that holds data: holes cost nothing on disk and must not in the copy.
func extent(f *os.File, at, size int64) (start, end int64, err error) {
	conn, err := f.SyscallConn()
	if err != nil {
		return 0, 0, err
	}
	ctlErr := conn.Control(func(fd uintptr) {
		start, err = unix.Seek(int(fd), at, unix.SEEK_DATA)
		if errors.Is(err, unix.ENXIO) { // a hole up to the end
			start, end, err = size, size, nil
			return
		}
		if err == nil {
			end, err = unix.Seek(int(fd), start, unix.SEEK_HOLE)
		}
	})
	if err := errors.Join(ctlErr, err); err != nil {
		return 0, 0, err
	}
	return start, min(end, size), nil
}

// finish gives a copy the mode and time of what it is a copy of, and its owner. Bits that change who a program runs as
// are dropped.
func finish(dst *os.Root, name string, info fs.FileInfo) error {
	if err := dst.Chtimes(name, time.Time{}, info.ModTime()); err != nil {
		return err
	}
	if err := sandbox.Own(dst, name); err != nil {
		return err
	}
	return dst.Chmod(name, info.Mode().Perm())
}

// gone lets a copy pass over what vanished or turned into something that is never opened.
func gone(err error) error {
	if errors.Is(err, fs.ErrPermission) {
		return err
	}
	if errors.Is(err, fs.ErrNotExist) || errors.Is(err, unix.ENOTDIR) || errs.Is(err, errs.Conflict) || errs.Is(err, errs.NotFound) || escapes(err) {
		return nil
	}
	return err
}
