package sandbox

import (
	"errors"
	"io/fs"
	"os"
	"path"
	"syscall"

	"yardmaster/internal/errs"
)

// Own hands the file or folder at name below root, which MUST be an instance's home, to the user that runs inside. Call
// it after writing into a home that a sandbox has used; without it a server that runs as root leaves files that the
// instance cannot change. A symbolic link itself is handed over, never what it points to. Own does nothing when the
// owner is right already, so it is cheap and safe for servers that run as an ordinary user.
//
// The owner of a home is recorded on the home itself: a driver gives it to the inside user at the first start.
func Own(root *os.Root, name string) error {
	home, err := root.Lstat(".")
	if err != nil {
		return errs.Wrap(err, errs.Internal, "The home folder cannot be read.")
	}
	info, err := root.Lstat(name)
	if err != nil {
		return errs.Wrap(err, errs.NotFound, "There is no %q in the home folder.", name)
	}
	want, ok1 := home.Sys().(*syscall.Stat_t)
	have, ok2 := info.Sys().(*syscall.Stat_t)
	if !ok1 || !ok2 || want.Uid == have.Uid && want.Gid == have.Gid {
		return nil
	}
	if err := root.Lchown(name, int(want.Uid), int(want.Gid)); err != nil {
		return errs.Wrap(err, errs.Internal, "%q in the home folder cannot be given to the instance.", name)
	}
	return nil
}

// Remove deletes name and all below it from root, an instance's home or the folder that holds homes, whatever modes the
// instance left on its folders. A name that does not exist is no error. Nothing outside root is touched.
func Remove(root *os.Root, name string) error {
	err := root.RemoveAll(name)
	if err == nil || !errors.Is(err, fs.ErrPermission) {
		return err
	}
	// An ordinary user owns the files but may lack the right to write to their folders.
	if err := unlock(root, name); err != nil {
		return err
	}
	return root.RemoveAll(name)
}

// unlock makes every folder from name down listable and writable by its owner.
func unlock(root *os.Root, name string) error {
	info, err := root.Lstat(name)
	if err != nil || !info.IsDir() {
		return err
	}
	if info.Mode().Perm()&0o700 != 0o700 {
		if err := root.Chmod(name, info.Mode().Perm()|0o700); err != nil {
			return err
		}
	}
	dir, err := root.Open(name)
	if err != nil {
		return err
	}
	entries, err := dir.ReadDir(-1)
	if err := errors.Join(err, dir.Close()); err != nil {
		return err
	}
	for _, e := range entries {
		if e.IsDir() {
			if err := unlock(root, path.Join(name, e.Name())); err != nil {
				return err
			}
		}
	}
	return nil
}
