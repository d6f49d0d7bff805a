package skill

import (
	"bytes"
	"crypto/rand"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path"
	"slices"
	"strings"
	"syscall"

	"yardmaster/internal/errs"
)

// Store keeps the content of versions in a folder: one folder for each digest, in which files are read-only and never
// change. A folder appears whole or not at all, also when the machine stops at any point. A Store is safe for concurrent
// use; one process at a time may have it.
type Store struct {
	root *os.Root
	// CopyOnly makes Place copy files where it could link them. It is for instances whose processes run as the server's own
	// user without isolation, and so could write to a linked file.
	CopyOnly bool
}

const tempPrefix = ".tmp-"

// OpenStore opens the store in a folder, makes it when it is not there, and removes what a crash has left half written.
func OpenStore(dir string) (*Store, error) {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, fmt.Errorf("skill store: %w", err)
	}
	root, err := os.OpenRoot(dir)
	if err != nil {
		return nil, fmt.Errorf("skill store: %w", err)
	}
	s := &Store{root: root}
	if err := s.sweep(func(name string) bool { return !strings.HasPrefix(name, tempPrefix) }); err != nil {
		_ = root.Close()
		return nil, err
	}
	return s, nil
}

// Close closes the store. File systems that Open answered stop working.
func (s *Store) Close() error { return s.root.Close() }

// sweep removes the entries that keep does not want.
func (s *Store) sweep(keep func(name string) bool) error {
	entries, err := fs.ReadDir(s.root.FS(), ".")
	if err != nil {
		return fmt.Errorf("skill store: %w", err)
	}
	for _, e := range entries {
		if !keep(e.Name()) {
			if err := s.root.RemoveAll(e.Name()); err != nil {
				return fmt.Errorf("skill store: %w", err)
			}
		}
	}
	return nil
}

// Retain removes every content but that of the given digests. The caller MUST make sure that no Put is under way whose
// digest is missing in the list.
func (s *Store) Retain(digests []string) error {
	return s.sweep(func(name string) bool {
		return strings.HasPrefix(name, ".") || slices.Contains(digests, digestPrefix+name)
	})
}

// Has tells whether the store holds the content of a digest.
func (s *Store) Has(digest string) bool {
	h, ok := hexOf(digest)
	if !ok {
		return false
	}
	_, err := s.root.Stat(h)
	return err == nil
}

// Put stores a tree and answers its manifest and digest. When it answers, the content is on the disk. A tree that is there
// already is not written again.
func (s *Store) Put(t *Tree) ([]File, string, error) {
	files, digest := t.Manifest()
	if s.Has(digest) {
		return files, digest, nil
	}
	h, _ := hexOf(digest)
	tmp := tempPrefix + rand.Text()
	err := s.write(tmp, t, files)
	if err == nil {
		err = s.root.Rename(tmp, h)
		if errors.Is(err, fs.ErrExist) || errors.Is(err, syscall.ENOTEMPTY) {
			err = s.root.RemoveAll(tmp) // somebody else stored the same content meanwhile
		}
	}
	if err == nil {
		err = syncDir(s.root, ".")
	}
	if err != nil {
		_ = s.root.RemoveAll(tmp) // the next start tries again
		if errors.Is(err, syscall.ENOSPC) || errors.Is(err, syscall.EDQUOT) {
			return nil, "", errs.Wrap(err, errs.Capacity, "The disk is full; the skill could not be stored.")
		}
		return nil, "", fmt.Errorf("store skill: %w", err)
	}
	return files, digest, nil
}

func (s *Store) write(dir string, t *Tree, files []File) error {
	dirs := []string{dir}
	if err := s.root.Mkdir(dir, 0o755); err != nil {
		return err
	}
	for _, f := range files {
		name := path.Join(dir, f.Path)
		for _, d := range missing(path.Dir(name), dirs) {
			if err := s.root.Mkdir(d, 0o755); err != nil {
				return err
			}
			dirs = append(dirs, d)
		}
		if err := writeFile(s.root, name, t.files[f.Path].data, f.Executable); err != nil {
			return err
		}
	}
	for _, d := range dirs {
		if err := s.root.Chmod(d, 0o755); err != nil { // whatever the umask
			return err
		}
		if err := syncDir(s.root, d); err != nil {
			return err
		}
	}
	return nil
}

// missing lists dir and its parents that are not among made, outermost first.
func missing(dir string, made []string) []string {
	var out []string
	for ; dir != "." && !slices.Contains(made, dir); dir = path.Dir(dir) {
		out = append(out, dir)
	}
	slices.Reverse(out)
	return out
}

// fileMode lets everybody read and nobody write: inside an instance other users than ours read the files.
func fileMode(executable bool) fs.FileMode {
	if executable {
		return 0o555
	}
	return 0o444
}

func writeFile(root *os.Root, name string, data []byte, executable bool) (err error) {
	f, err := root.OpenFile(name, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return err
	}
	defer func() {
		if e := f.Close(); err == nil {
			err = e
		}
	}()
	if _, err := f.Write(data); err != nil {
		return err
	}
	if err := f.Chmod(fileMode(executable)); err != nil {
		return err
	}
	return f.Sync()
}

func syncDir(root *os.Root, name string) error {
	d, err := root.Open(name)
	if err != nil {
		return err
	}
	err = d.Sync()
	if e := d.Close(); err == nil {
		err = e
	}
	return err
}

// Open answers the content of a digest. NotFound when the store does not hold it.
func (s *Store) Open(digest string) (fs.FS, error) {
	if !s.Has(digest) {
		return nil, noContent(digest)
	}
	h, _ := hexOf(digest)
	return fs.Sub(s.root.FS(), h)
}

func noContent(digest string) error {
	return errs.New(errs.NotFound, "The content of the skill version %.19s… is not there.", digest)
}

// Load reads the content of a digest, and checks that it is still what the digest says.
func (s *Store) Load(digest string) (*Tree, error) {
	fsys, err := s.Open(digest)
	if err != nil {
		return nil, err
	}
	t := NewTree()
	err = fs.WalkDir(fsys, ".", func(p string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		info, err := d.Info()
		if err != nil {
			return err
		}
		data, err := fs.ReadFile(fsys, p)
		if err != nil {
			return err
		}
		return t.Add(p, data, info.Mode()&0o111 != 0)
	})
	if err != nil {
		return nil, fmt.Errorf("read skill %s: %w", digest, err)
	}
	if _, got := t.Manifest(); got != digest {
		return nil, errs.New(errs.Internal, "The stored content of the skill version %.19s… was changed on the disk. Import the skill again.", digest)
	}
	return t, nil
}

// text tells whether data is text that a person can read.
func text(data []byte) bool {
	return !bytes.ContainsRune(data[:min(len(data), 8000)], 0)
}
