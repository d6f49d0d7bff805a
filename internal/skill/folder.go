package skill

import (
	"errors"
	"io"
	"io/fs"
	"os"
	"path"
	"slices"
	"strings"

	"yardmaster/internal/errs"
)

// FromFS reads a skill from a file system whose root is the skill's folder. Links to files in the folder are read as the
// files; every other link is refused. Where the file system has no executable bits, as an embedded one, files that begin
// with "#!" are taken for scripts. The error is Invalid or TooLarge.
func FromFS(fsys fs.FS, hasModes bool) (*Tree, error) {
	t := NewTree()
	entries := 0
	err := fs.WalkDir(fsys, ".", func(p string, d fs.DirEntry, err error) error {
		if err != nil {
			return unreadable(p, err)
		}
		if p != "." && junk(p) {
			if d.IsDir() {
				return fs.SkipDir
			}
			return nil
		}
		if entries++; entries > 4*MaxFiles {
			return errs.New(errs.TooLarge, "The folder has more than %d files and folders, which is the limit.", 4*MaxFiles)
		}
		if d.IsDir() {
			if strings.Count(p, "/") >= maxDepth {
				return errs.New(errs.Invalid, "The folder %q is more than %d folders deep, which is the limit.", p, maxDepth)
			}
			return nil
		}
		return t.addFrom(fsys, p, d, hasModes)
	})
	if err != nil {
		return nil, err
	}
	return t, nil
}

func (t *Tree) addFrom(fsys fs.FS, p string, d fs.DirEntry, hasModes bool) error {
	if d.Type() != 0 && d.Type() != fs.ModeSymlink {
		return errs.New(errs.Invalid, "%q is neither a file nor a folder.", p)
	}
	info, err := fs.Stat(fsys, p)
	if d.Type() == fs.ModeSymlink && (err != nil || !info.Mode().IsRegular()) {
		return errs.New(errs.Invalid, "The link %q does not lead to a file in the skill's folder; replace it by the file.", p)
	}
	if err != nil {
		return unreadable(p, err)
	}
	left := MaxBytes - t.bytes
	if info.Size() > left {
		return tooManyBytes()
	}
	f, err := fsys.Open(p)
	if err != nil {
		return unreadable(p, err)
	}
	defer func() { _ = f.Close() }() // only reads
	data, err := io.ReadAll(io.LimitReader(f, left+1))
	if err != nil {
		return unreadable(p, err)
	}
	executable := info.Mode()&0o111 != 0
	if !hasModes {
		executable = script(data)
	}
	return t.Add(p, data, executable)
}

func unreadable(p string, err error) error {
	var coded *errs.Error
	if errors.As(err, &coded) {
		return err
	}
	return errs.Wrap(err, errs.Invalid, "%q can't be read.", p)
}

// rootFS is a folder of the machine. Nothing outside of it can be reached, also not by links.
type rootFS struct {
	root *os.Root
	fs.FS
}

func newRootFS(root *os.Root) rootFS { return rootFS{root, root.FS()} }

// Sub answers a folder as a root of its own, so that links which leave it are refused.
func (r rootFS) Sub(dir string) (fs.FS, error) {
	sub, err := r.root.OpenRoot(dir) // closed when it is collected
	if err != nil {
		return nil, err
	}
	return newRootFS(sub), nil
}

// Where a repository keeps its skills, in the order in which the CLI `npx skills` looks.
var containers = []string{"skills", "skills/.curated", "skills/.experimental", "skills/.system", ".agents/skills", ".claude/skills"}

// Discover finds the folders with a SKILL.md in a file system: its root; or else those in the usual places; or else those
// anywhere down to five levels. The answer is in the order of the paths.
func Discover(fsys fs.FS) ([]string, error) {
	if hasDocument(fsys, ".") {
		return []string{"."}, nil
	}
	var found []string
	budget := 2000 // folders; a repository may be of any size
	for _, c := range containers {
		if err := discover(fsys, c, strings.Count(c, "/")+3, &budget, &found); err != nil {
			return nil, err
		}
	}
	if len(found) == 0 {
		if err := discover(fsys, ".", 5, &budget, &found); err != nil {
			return nil, err
		}
	}
	slices.Sort(found)
	return slices.Compact(found), nil
}

func discover(fsys fs.FS, dir string, depth int, budget *int, found *[]string) error {
	return fs.WalkDir(fsys, dir, func(p string, d fs.DirEntry, err error) error {
		switch {
		case errors.Is(err, fs.ErrNotExist):
			return nil
		case err != nil:
			return unreadable(p, err)
		case !d.IsDir():
			return nil
		case p != "." && (junk(p) || d.Name() == "dist" || d.Name() == "build"),
			p != "." && strings.Count(p, "/")+1 > depth:
			return fs.SkipDir
		}
		if *budget--; *budget < 0 {
			return errs.New(errs.TooLarge, "The source has too many folders to look for skills in; name the skill's folder with //PATH.")
		}
		if hasDocument(fsys, p) {
			*found = append(*found, p)
			return fs.SkipDir
		}
		return nil
	})
}

func hasDocument(fsys fs.FS, dir string) bool {
	for _, name := range []string{documentName, "skill.md"} {
		if info, err := fs.Stat(fsys, path.Join(dir, name)); err == nil && info.Mode().IsRegular() {
			return true
		}
	}
	return false
}

// pick finds the one skill that is meant among those of a file system and reads it. want is its name, or "" when there is
// only one. folder is the name of its folder, "" for the root.
func pick(fsys fs.FS, want string) (t *Tree, folder string, err error) {
	found, err := Discover(fsys)
	if err != nil {
		return nil, "", err
	}
	if want != "" {
		all := found
		found = slices.DeleteFunc(slices.Clone(all), func(p string) bool { return path.Base(p) != want && named(fsys, p) != want })
		if len(found) == 0 {
			return nil, "", errs.New(errs.NotFound, "The source has no skill %q. It has: %s.", want, listing(all))
		}
	}
	switch len(found) {
	case 0:
		return nil, "", noDocument("in the source, down to five folders deep")
	case 1:
	default:
		return nil, "", errs.New(errs.Invalid, "The source holds %d skills; name one with //PATH: %s.", len(found), listing(found))
	}
	dir := found[0]
	if dir != "." {
		folder = path.Base(dir)
		if fsys, err = fs.Sub(fsys, dir); err != nil {
			return nil, "", unreadable(dir, err)
		}
	}
	t, err = FromFS(fsys, true)
	return t, folder, err
}

// named is the name that the SKILL.md in a folder gives itself.
func named(fsys fs.FS, dir string) string {
	for _, name := range []string{documentName, "skill.md"} {
		if info, err := fs.Stat(fsys, path.Join(dir, name)); err == nil && info.Size() <= maxDocument {
			if data, err := fs.ReadFile(fsys, path.Join(dir, name)); err == nil {
				if d, err := Parse(data); err == nil {
					return d.Name
				}
			}
		}
	}
	return ""
}

func listing(paths []string) string {
	if len(paths) == 0 {
		return "none"
	}
	const most = 40
	if len(paths) > most {
		return strings.Join(paths[:most], ", ") + ", …"
	}
	return strings.Join(paths, ", ")
}
