package skill

import (
	"bytes"
	"errors"
	"io"
	"io/fs"
	"path"
	"strings"
	"time"

	"github.com/go-git/go-git/v5/plumbing"
	"github.com/go-git/go-git/v5/plumbing/filemode"
	"github.com/go-git/go-git/v5/plumbing/object"
	"github.com/go-git/go-git/v5/plumbing/storer"
)

// gitFS is the file system of one tree in a git repository. It is read from the objects: nothing is checked out, so no
// hook, filter or attribute of the repository has any effect. Submodules are left out.
type gitFS struct {
	objects storer.EncodedObjectStorer
	tree    *object.Tree
}

const maxLinks = 8 // links that lead to links

// Sub answers a folder as a file system of its own, so that links which leave it are refused.
func (g gitFS) Sub(dir string) (fs.FS, error) {
	t, err := g.dir(dir)
	if err != nil {
		return nil, &fs.PathError{Op: "sub", Path: dir, Err: err}
	}
	return gitFS{g.objects, t}, nil
}

func (g gitFS) dir(name string) (*object.Tree, error) {
	if name == "." {
		return g.tree, nil
	}
	t, err := g.tree.Tree(name)
	if err != nil {
		return nil, fs.ErrNotExist
	}
	return t, nil
}

// Open implements fs.FS.
func (g gitFS) Open(name string) (fs.File, error) {
	if !fs.ValidPath(name) {
		return nil, &fs.PathError{Op: "open", Path: name, Err: fs.ErrInvalid}
	}
	f, err := g.open(name, maxLinks)
	if err != nil {
		return nil, &fs.PathError{Op: "open", Path: name, Err: err}
	}
	return f, nil
}

func (g gitFS) open(name string, links int) (fs.File, error) {
	if name == "." {
		return newGitDir(".", g.tree)
	}
	e, err := g.tree.FindEntry(name)
	if err != nil {
		return nil, fs.ErrNotExist
	}
	switch e.Mode {
	case filemode.Dir:
		t, err := g.dir(name)
		if err != nil {
			return nil, err
		}
		return newGitDir(path.Base(name), t)
	case filemode.Submodule:
		return newGitDir(path.Base(name), &object.Tree{})
	case filemode.Symlink:
		if links == 0 {
			return nil, errors.New("too many links")
		}
		target, err := g.read(e.Hash, 4096)
		if err != nil {
			return nil, err
		}
		to := path.Join(path.Dir(name), string(target))
		if path.IsAbs(string(target)) || !fs.ValidPath(to) {
			return nil, errors.New("the link leaves the folder")
		}
		return g.open(to, links-1)
	}
	b, err := object.GetBlob(g.objects, e.Hash)
	if err != nil {
		return nil, err
	}
	r, err := b.Reader()
	if err != nil {
		return nil, err
	}
	return &gitFile{ReadCloser: r, info: gitInfo{path.Base(name), b.Size, modeOf(e.Mode)}}, nil
}

func (g gitFS) read(h plumbing.Hash, limit int64) (data []byte, err error) {
	b, err := object.GetBlob(g.objects, h)
	if err != nil {
		return nil, err
	}
	r, err := b.Reader()
	if err != nil {
		return nil, err
	}
	defer func() { _ = r.Close() }() // only reads
	data, err = io.ReadAll(io.LimitReader(r, limit+1))
	if err == nil && (int64(len(data)) > limit || bytes.ContainsRune(data, 0)) {
		err = errors.New("the link is too long")
	}
	return data, err
}

func modeOf(m filemode.FileMode) fs.FileMode {
	switch m {
	case filemode.Dir, filemode.Submodule:
		return fs.ModeDir | 0o755
	case filemode.Symlink:
		return fs.ModeSymlink | 0o777
	case filemode.Executable:
		return 0o755
	}
	return 0o644
}

// gitInfo describes an entry of a tree. Git keeps no times.
type gitInfo struct {
	name string
	size int64
	mode fs.FileMode
}

func (i gitInfo) Name() string               { return i.name }
func (i gitInfo) Size() int64                { return i.size }
func (i gitInfo) Mode() fs.FileMode          { return i.mode }
func (i gitInfo) Type() fs.FileMode          { return i.mode.Type() }
func (i gitInfo) ModTime() time.Time         { return time.Time{} }
func (i gitInfo) IsDir() bool                { return i.mode.IsDir() }
func (i gitInfo) Sys() any                   { return nil }
func (i gitInfo) Info() (fs.FileInfo, error) { return i, nil }

type gitFile struct {
	io.ReadCloser
	info gitInfo
}

func (f *gitFile) Stat() (fs.FileInfo, error) { return f.info, nil }

type gitDir struct {
	info    gitInfo
	entries []fs.DirEntry
}

var errEntryName = errors.New("the repository holds a file name that no file can have")

// newGitDir lists a tree. Names that would mean another place are an error: git does not write them, but a repository that
// was made by hand may have them.
func newGitDir(name string, t *object.Tree) (*gitDir, error) {
	d := &gitDir{info: gitInfo{name, 0, fs.ModeDir | 0o755}}
	for _, e := range t.Entries {
		if e.Name == "" || e.Name == "." || e.Name == ".." || strings.ContainsAny(e.Name, "/\x00") {
			return nil, errEntryName
		}
		if e.Mode != filemode.Submodule {
			d.entries = append(d.entries, gitInfo{e.Name, 0, modeOf(e.Mode)})
		}
	}
	return d, nil
}

func (d *gitDir) Stat() (fs.FileInfo, error) { return d.info, nil }
func (d *gitDir) Close() error               { return nil }
func (d *gitDir) Read([]byte) (int, error)   { return 0, errors.New("is a folder") }

// ReadDir implements fs.ReadDirFile.
func (d *gitDir) ReadDir(n int) ([]fs.DirEntry, error) {
	if n <= 0 {
		all := d.entries
		d.entries = nil
		return all, nil
	}
	if len(d.entries) == 0 {
		return nil, io.EOF
	}
	n = min(n, len(d.entries))
	part := d.entries[:n]
	d.entries = d.entries[n:]
	return part, nil
}
