package skill

import (
	"crypto/rand"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path"
	"strings"

	"yardmaster/internal/errs"
)

// Place puts the content of a digest into dir as the folder name, in one step: whoever looks sees the old folder, or the
// new one whole. Everybody may read the files, scripts are executable, and nobody may write. Files that a glob of withhold
// matches are left out; * and ? match within one name, ** matches any number of folders, and a folder that matches is left
// out with all that is in it. Content that was changed on the disk is not placed.
//
// Files are linked to the store when they can be, so the folder MUST be mounted read-only where somebody else may write.
func (s *Store) Place(digest string, dir *os.Root, name string, withhold []string) error {
	if err := checkFolder(name); err != nil {
		return err
	}
	for _, glob := range withhold {
		if _, err := path.Match(glob, ""); err != nil {
			return errs.BadField("withhold", "the pattern %q is not readable; close its brackets", glob)
		}
	}
	t, err := s.Load(digest)
	if err != nil {
		return err
	}
	h, _ := hexOf(digest)
	fresh := tempPrefix + rand.Text()
	if err := s.fill(t, h, dir, fresh, withhold); err != nil {
		_ = dir.RemoveAll(fresh) // the error of fill says more
		return fmt.Errorf("place skill %s: %w", name, err)
	}
	if err := swap(dir, fresh, name); err != nil {
		_ = dir.RemoveAll(fresh)
		return fmt.Errorf("place skill %s: %w", name, err)
	}
	return nil
}

// Remove takes a placed skill away. It is no error when it is not there.
func (s *Store) Remove(dir *os.Root, name string) error {
	if err := checkFolder(name); err != nil {
		return err
	}
	old := tempPrefix + rand.Text()
	if err := dir.Rename(name, old); err != nil {
		if errors.Is(err, fs.ErrNotExist) {
			return nil
		}
		return fmt.Errorf("remove skill %s: %w", name, err)
	}
	if err := dir.RemoveAll(old); err != nil {
		return fmt.Errorf("remove skill %s: %w", name, err)
	}
	return nil
}

func checkFolder(name string) error {
	if FolderName(name) != name || name == "" {
		return errs.BadField("name", "%q can't be the name of a skill's folder; use lower-case letters, digits and single hyphens", name)
	}
	return nil
}

// fill writes a tree into a new folder.
func (s *Store) fill(t *Tree, hex string, dir *os.Root, into string, withhold []string) error {
	if err := dir.Mkdir(into, 0o755); err != nil {
		return err
	}
	dirs := []string{into}
	for _, p := range t.Paths() {
		if withheld(withhold, p) {
			continue
		}
		name := path.Join(into, p)
		for _, d := range missing(path.Dir(name), dirs) {
			if err := dir.Mkdir(d, 0o755); err != nil {
				return err
			}
			dirs = append(dirs, d)
		}
		if !s.CopyOnly && link(s.root, path.Join(hex, p), dir, name) == nil {
			continue
		}
		c := t.files[p]
		if err := writeFile(dir, name, c.data, c.executable); err != nil {
			return err
		}
	}
	for _, d := range dirs {
		if err := dir.Chmod(d, 0o755); err != nil {
			return err
		}
	}
	return nil
}

// swap makes the folder fresh be name, instead of what was there.
func swap(dir *os.Root, fresh, name string) error {
	old := ""
	if _, err := dir.Lstat(name); err == nil {
		old = tempPrefix + rand.Text()
		if err := dir.Rename(name, old); err != nil {
			return err
		}
	}
	if err := dir.Rename(fresh, name); err != nil {
		if old != "" {
			_ = dir.Rename(old, name) // back to what it was; the error of the first rename says more
		}
		return err
	}
	if old == "" {
		return nil
	}
	return dir.RemoveAll(old)
}

// withheld tells whether a glob matches the path or a folder above it.
func withheld(globs []string, p string) bool {
	for ; p != "."; p = path.Dir(p) {
		for _, g := range globs {
			if globMatch(strings.Split(strings.TrimPrefix(path.Clean(g), "./"), "/"), strings.Split(p, "/")) {
				return true
			}
		}
	}
	return false
}

func globMatch(glob, names []string) bool {
	for len(glob) > 0 {
		if glob[0] == "**" {
			for i := range len(names) + 1 {
				if globMatch(glob[1:], names[i:]) {
					return true
				}
			}
			return false
		}
		if len(names) == 0 {
			return false
		}
		if ok, err := path.Match(glob[0], names[0]); err != nil || !ok {
			return false
		}
		glob, names = glob[1:], names[1:]
	}
	return len(names) == 0
}
