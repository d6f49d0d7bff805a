//go:build linux

package native

import (
	"errors"
	"os"
	"path"
	"syscall"

	"golang.org/x/sys/unix"

	"yardmaster/internal/errs"
)

// makeHome makes a home folder if it is absent, closed to others.
func makeHome(home string) error {
	if err := os.Mkdir(home, 0o700); err != nil && !errors.Is(err, os.ErrExist) {
		return errs.Wrap(err, errs.Unavailable, "The instance's home folder cannot be made. Check that the data folder is writable.")
	}
	info, err := os.Lstat(home)
	if err != nil || !info.IsDir() {
		return errs.Wrap(err, errs.Unavailable, "The instance's home is not a folder.")
	}
	return nil
}

// giveHome gives a home and all in it to its inside user, if it is another's. Links are given, not followed.
func giveHome(home string, to ids) error {
	root, err := os.OpenRoot(home)
	if err != nil {
		return err
	}
	defer root.Close()
	info, err := root.Lstat(".")
	if err != nil {
		return err
	}
	if st, ok := info.Sys().(*syscall.Stat_t); !ok || int(st.Uid) == to.uid && int(st.Gid) == to.gid {
		return nil
	}
	if err := giveBelow(root, ".", to); err != nil {
		return err
	}
	// Last, since it is the mark that the rest was done.
	return root.Lchown(".", to.uid, to.gid)
}

func giveBelow(root *os.Root, dir string, to ids) error {
	f, err := root.Open(dir)
	if err != nil {
		return err
	}
	entries, err := f.ReadDir(-1)
	if err := errors.Join(err, f.Close()); err != nil {
		return err
	}
	for _, e := range entries {
		name := path.Join(dir, e.Name())
		if e.IsDir() {
			if err := giveBelow(root, name, to); err != nil {
				return err
			}
		}
		if err := root.Lchown(name, to.uid, to.gid); err != nil {
			return err
		}
	}
	return nil
}

// detach returns a mount of the folder at path that is attached nowhere. A process that has no right to walk to the
// folder, as an instance's user has none below a closed data folder of root, can still put it into its own tree.
func detach(path string) (int, error) {
	return unix.OpenTree(unix.AT_FDCWD, path, unix.OPEN_TREE_CLONE|unix.OPEN_TREE_CLOEXEC|unix.AT_RECURSIVE|unix.AT_SYMLINK_NOFOLLOW)
}
