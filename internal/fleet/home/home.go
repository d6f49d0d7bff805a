package home

import (
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"sort"
	"strings"
	"syscall"
	"time"

	"yardmaster/internal/errs"
	"yardmaster/internal/sandbox"
)

// The types of an Entry.
const (
	TypeFile   = "file"
	TypeFolder = "folder"
	TypeLink   = "link"
	TypeOther  = "other" // pipes, sockets, devices
)

// Entry is one name in a folder.
type Entry struct {
	Name       string    `json:"name"`
	Type       string    `json:"type"` // file, folder, link or other
	Size       int64     `json:"size"`
	ModifiedAt time.Time `json:"modifiedAt"`
	Mode       string    `json:"mode"` // such as -rw-r--r--
}

// MaxEntries bounds a listing.
const MaxEntries = 10_000

// List answers the entries of a folder by name, and whether there are more than MaxEntries. A file answers itself.
func List(root *os.Root, name string) ([]Entry, bool, error) {
	f, info, err := open(root, name)
	if err != nil {
		return nil, false, err
	}
	defer func() { _ = f.Close() }()
	if !info.IsDir() {
		return []Entry{entry(info)}, false, nil
	}
	names, err := f.Readdirnames(MaxEntries + 1)
	if err != nil && !errors.Is(err, io.EOF) {
		return nil, false, explain(err, name)
	}
	more := len(names) > MaxEntries
	names = names[:min(len(names), MaxEntries)]
	sort.Strings(names)
	entries := make([]Entry, 0, len(names))
	for _, n := range names {
		info, err := root.Lstat(path.Join(name, n))
		if errors.Is(err, fs.ErrNotExist) {
			continue // gone since
		}
		if err != nil {
			return nil, false, explain(err, path.Join(name, n))
		}
		entries = append(entries, entry(info))
	}
	return entries, more, nil
}

func entry(info fs.FileInfo) Entry {
	e := Entry{Name: strings.ToValidUTF8(info.Name(), "\uFFFD"), Type: TypeOther, Size: info.Size(), ModifiedAt: info.ModTime().UTC(), Mode: info.Mode().String()}
	switch {
	case info.Mode().IsRegular():
		e.Type = TypeFile
	case info.IsDir():
		e.Type, e.Size = TypeFolder, 0
	case info.Mode()&fs.ModeSymlink != 0:
		e.Type = TypeLink
	}
	return e
}

// open opens a regular file or folder for reading. Opening never waits for the other end of a pipe, and what is neither
// file nor folder is refused.
func open(root *os.Root, name string) (*os.File, fs.FileInfo, error) {
	f, err := root.OpenFile(name, os.O_RDONLY|syscall.O_NONBLOCK|syscall.O_NOCTTY, 0)
	if err != nil {
		if errors.Is(err, syscall.ENXIO) { // what a socket answers
			return nil, nil, errs.New(errs.Conflict, "%q is not a regular file, so it can't be read.", name)
		}
		return nil, nil, explain(err, name)
	}
	info, err := f.Stat()
	if err != nil {
		return nil, nil, errors.Join(explain(err, name), f.Close())
	}
	if !info.Mode().IsRegular() && !info.IsDir() {
		_ = f.Close() // nothing was written
		return nil, nil, errs.New(errs.Conflict, "%q is not a regular file, so it can't be read.", name)
	}
	return f, info, nil
}

// Read answers a regular file of at most limit bytes.
func Read(root *os.Root, name string, limit int64) ([]byte, error) {
	f, info, err := open(root, name)
	if err != nil {
		return nil, err
	}
	defer func() { _ = f.Close() }()
	if info.IsDir() {
		return nil, errs.New(errs.Conflict, "%q is a folder; list it instead.", name)
	}
	// The size is not believed: the file may grow while it is read.
	data, err := io.ReadAll(io.LimitReader(f, limit+1))
	if err != nil {
		return nil, explain(err, name)
	}
	if int64(len(data)) > limit {
		return nil, errs.New(errs.TooLarge, "%q has more than %s, which is the most that can be read at once; copy a part of it into another file first.", name, mib(limit))
	}
	return data, nil
}

// Write puts a file in place, with the folders above it, in one step: who reads it sees the old content or the new. A
// file that is there keeps its mode; a link is replaced and not followed. All that is made belongs to the inside user.
func Write(root *os.Root, name string, data []byte) error {
	if name == "." {
		return errs.BadField("path", "names the home folder; name a file in it")
	}
	if err := makeFolders(root, path.Dir(name)); err != nil {
		return err
	}
	mode := fs.FileMode(0o644)
	switch info, err := root.Lstat(name); {
	case err == nil && info.IsDir():
		return errs.New(errs.Conflict, "%q is a folder; choose another name or delete it first.", name)
	case err == nil && info.Mode().IsRegular():
		mode = info.Mode().Perm()
	case err != nil && !errors.Is(err, fs.ErrNotExist):
		return explain(err, name)
	}
	temp := path.Join(path.Dir(name), ".yardmaster-"+rand.Text())
	err := func() error {
		f, err := root.OpenFile(temp, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
		if err != nil {
			return err
		}
		_, err = f.Write(data)
		if err == nil {
			err = f.Chmod(mode)
		}
		if err == nil {
			err = f.Sync() // else a power cut could leave the new name with no content
		}
		return errors.Join(err, f.Close())
	}()
	if err == nil {
		err = sandbox.Own(root, temp)
	}
	if err == nil {
		err = root.Rename(temp, name)
	}
	if err != nil {
		_ = root.Remove(temp) // it may not exist
		return explain(err, name)
	}
	return nil
}

// makeFolders makes a folder and those above it, as far as they are missing.
func makeFolders(root *os.Root, name string) error {
	if name == "." {
		return nil
	}
	switch info, err := root.Stat(name); {
	case err == nil && info.IsDir():
		return nil
	case err == nil:
		return errs.New(errs.Conflict, "%q is a file, so nothing can be put below it; choose another path.", name)
	case !errors.Is(err, fs.ErrNotExist):
		return explain(err, name)
	}
	if err := makeFolders(root, path.Dir(name)); err != nil {
		return err
	}
	if err := root.Mkdir(name, 0o755); err != nil && !errors.Is(err, fs.ErrExist) {
		return explain(err, name)
	}
	if err := sandbox.Own(root, name); err != nil {
		return explain(err, name)
	}
	return nil
}

// Delete removes a file, a link or an empty folder; a folder with all that is in it when recursive.
func Delete(root *os.Root, name string, recursive bool) error {
	if name == "." {
		return errs.BadField("path", "names the home folder, which stays; name something in it")
	}
	info, err := root.Lstat(name)
	if err != nil {
		return explain(err, name)
	}
	if recursive && info.IsDir() {
		err = sandbox.Remove(root, name)
	} else {
		err = root.Remove(name)
	}
	if errors.Is(err, syscall.ENOTEMPTY) {
		return errs.New(errs.Conflict, "The folder %q is not empty; set recursive to delete it with all that is in it.", name)
	}
	if err != nil {
		return explain(err, name)
	}
	return nil
}

// explain turns an error of the file system into one that a person can act on.
func explain(err error, name string) error {
	var coded *errs.Error
	switch {
	case errors.As(err, &coded):
		return coded
	case errors.Is(err, fs.ErrNotExist):
		return errs.Wrap(err, errs.NotFound, "There is no %q in the instance.", name)
	case errors.Is(err, syscall.ENOTDIR):
		return errs.Wrap(err, errs.Conflict, "A part of %q is a file and not a folder.", name)
	case errors.Is(err, syscall.ELOOP):
		return errs.Wrap(err, errs.Conflict, "%q goes through links that lead in circles.", name)
	case errors.Is(err, fs.ErrPermission):
		return errs.Wrap(err, errs.Conflict, "The permissions of %q do not allow that; change them inside the instance first.", name)
	case errors.Is(err, syscall.ENOSPC), errors.Is(err, syscall.EDQUOT):
		return errs.Wrap(err, errs.Capacity, "The disk is full.")
	case errors.Is(err, syscall.ENAMETOOLONG):
		return errs.BadField("path", "is too long")
	case escapes(err):
		return errs.Wrap(err, errs.Forbidden, "%q is a link, or goes through one, that leads out of the instance's folder, so it is not followed.", name)
	}
	return fmt.Errorf("file %q: %w", name, err)
}

// escapes tells whether os.Root refused to leave its folder. Package os has no exported value for that error.
func escapes(err error) bool {
	var pe *fs.PathError
	return errors.As(err, &pe) && strings.Contains(pe.Err.Error(), "path escapes")
}

func mib(n int64) string { return fmt.Sprintf("%d MiB", n>>20) }
