package skill

import (
	"os"
	"path"

	"golang.org/x/sys/unix"
)

// link makes a hard link across two roots. Both ends are named relative to a folder that was opened through its root, by a
// single name, so no symbolic link can lead outside.
func link(from *os.Root, source string, to *os.Root, target string) error {
	src, err := from.Open(path.Dir(source))
	if err != nil {
		return err
	}
	defer func() { _ = src.Close() }() // a folder that was only looked up
	dst, err := to.Open(path.Dir(target))
	if err != nil {
		return err
	}
	defer func() { _ = dst.Close() }()
	return unix.Linkat(int(src.Fd()), path.Base(source), int(dst.Fd()), path.Base(target), 0)
}
