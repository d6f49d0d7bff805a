package skill

import (
	"archive/zip"
	"bytes"
	"errors"
	"io"
	"io/fs"
	"strings"

	"yardmaster/internal/errs"
)

// maxPacked bounds an archive before it is opened, in bytes.
const maxPacked = MaxBytes

// FromZip reads a skill from a zip (also called .skill): SKILL.md at the root or in the single top folder. Every byte that
// comes out is counted, whatever the headers say. folder is the name of the top folder, or "". The error is Invalid or
// TooLarge.
func FromZip(data []byte) (t *Tree, folder string, err error) {
	if len(data) > maxPacked {
		return nil, "", errs.New(errs.TooLarge, "The zip has %d bytes; at most %d MiB are allowed.", len(data), maxPacked>>20)
	}
	// Folders don't count as files, but a million of them would fill the memory: each has a header in the directory.
	if n := bytes.Count(data, []byte("PK\x01\x02")); n > 8*MaxFiles {
		return nil, "", errs.New(errs.TooLarge, "The zip has some %d entries; a skill may have at most %d files.", n, MaxFiles)
	}
	// Lax paths are refused below with a sentence that names them, so the reader's own error is not needed.
	r, err := zip.NewReader(bytes.NewReader(data), int64(len(data)))
	if err != nil && !(errors.Is(err, zip.ErrInsecurePath) && r != nil) {
		return nil, "", errs.Wrap(err, errs.Invalid, "The zip can't be read; it is damaged or no zip.")
	}
	all := NewTree()
	for _, f := range r.File {
		if err := addZipped(all, f); err != nil {
			return nil, "", err
		}
	}
	return all.root()
}

// Bits and values of a zip's headers (APPNOTE 6.3, 4.4.2 and 4.4.4).
const (
	zipEncrypted = 1 << 0
	zipUnix      = 3
	zipDarwin    = 19
)

func addZipped(t *Tree, f *zip.File) error {
	mode := f.Mode()
	dir := strings.HasSuffix(f.Name, "/")
	if why := checkPath(strings.TrimSuffix(f.Name, "/")); why != "" {
		return errs.New(errs.Invalid, "The zip's entry %q is refused: %s.", f.Name, why)
	}
	switch {
	case f.Flags&zipEncrypted != 0:
		return errs.New(errs.Invalid, "The zip's entry %q is encrypted; pack the skill without a password.", f.Name)
	case mode&fs.ModeSymlink != 0:
		return errs.New(errs.Invalid, "The zip's entry %q is a link; pack the file that it points to.", f.Name)
	case mode&fs.ModeType&^fs.ModeDir != 0:
		return errs.New(errs.Invalid, "The zip's entry %q is neither a file nor a folder.", f.Name)
	case dir || mode.IsDir():
		if f.UncompressedSize64 > 0 {
			return errs.New(errs.Invalid, "The zip's folder %q has content.", f.Name)
		}
		return nil
	case junk(f.Name):
		return nil
	}
	left := MaxBytes - t.bytes
	if f.UncompressedSize64 > uint64(left) {
		return tooManyBytes()
	}
	r, err := f.Open()
	if err != nil {
		return errs.Wrap(err, errs.Invalid, "The zip's entry %q can't be unpacked (%v).", f.Name, err)
	}
	defer func() { _ = r.Close() }() // only reads
	data, err := io.ReadAll(io.LimitReader(r, left+1))
	switch {
	case int64(len(data)) > left:
		return tooManyBytes()
	case err != nil:
		return errs.Wrap(err, errs.Invalid, "The zip's entry %q is damaged (%v).", f.Name, err)
	case uint64(len(data)) != f.UncompressedSize64:
		return errs.New(errs.Invalid, "The zip's entry %q has %d bytes where its header says %d.", f.Name, len(data), f.UncompressedSize64)
	}
	executable := mode&0o111 != 0
	if by := f.CreatorVersion >> 8; by != zipUnix && by != zipDarwin {
		executable = script(data)
	}
	return t.Add(f.Name, data, executable)
}

// root finds the skill in an unpacked archive: the tree itself, or its single top folder.
func (t *Tree) root() (*Tree, string, error) {
	if _, spelled := t.Document(); spelled != "" {
		return t, "", nil
	}
	top := ""
	for p := range t.files {
		first, _, in := strings.Cut(p, "/")
		if !in || top != "" && first != top {
			return nil, "", noDocument("at the root or in a single top folder")
		}
		top = first
	}
	sub, err := t.sub(top)
	if err != nil {
		return nil, "", err
	}
	if _, spelled := sub.Document(); spelled == "" {
		return nil, "", noDocument("at the root or in a single top folder")
	}
	return sub, top, nil
}

// sub is the part of a tree below a folder.
func (t *Tree) sub(folder string) (*Tree, error) {
	out := NewTree()
	for _, p := range t.Paths() {
		if rest, ok := strings.CutPrefix(p, folder+"/"); ok {
			if err := out.Add(rest, t.files[p].data, t.files[p].executable); err != nil {
				return nil, err
			}
		}
	}
	return out, nil
}

func noDocument(where string) error {
	return errs.New(errs.Invalid, "There is no SKILL.md %s. A skill is a folder with a file SKILL.md in it.", where)
}
