package skill

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"path"
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"

	"golang.org/x/text/cases"
	"golang.org/x/text/unicode/norm"

	"yardmaster/internal/errs"
)

// The limits of a skill, which are those of the CLI `npx skills`.
const (
	MaxFiles = 1000
	MaxBytes = 50 << 20 // unpacked, all files together

	maxPath    = 512 // bytes of a path
	maxSegment = 255 // bytes of one name in it
	maxDepth   = 16  // names in it
)

// File describes one file of a version.
type File struct {
	Path       string `json:"path"` // relative to the skill's folder, with /
	Size       int64  `json:"size"` // bytes
	Digest     string `json:"digest"`
	Executable bool   `json:"executable,omitempty"`
}

// Tree is the content of a skill before it is stored. Everything that comes from outside goes through Add, so that a Tree
// holds safe paths only and stays within the limits.
type Tree struct {
	files map[string]content
	folds map[string]string // case-folded path of each file and folder → the path as written
	bytes int64
}

type content struct {
	data       []byte
	executable bool
}

// NewTree makes an empty tree.
func NewTree() *Tree { return &Tree{files: map[string]content{}, folds: map[string]string{}} }

// fold makes paths equal that some file system would take for the same.
func fold(p string) string { return cases.Fold().String(norm.NFC.String(p)) }

// checkPath answers why a path can't be that of a file in a skill, or "".
func checkPath(p string) string {
	switch {
	case p == "":
		return "the path is empty"
	case !utf8.ValidString(p):
		return "the path is not UTF-8"
	case len(p) > maxPath:
		return fmt.Sprintf("the path has %d bytes; at most %d are allowed", len(p), maxPath)
	case strings.Contains(p, `\`):
		return "the path holds a backslash; write folders with /"
	case strings.HasPrefix(p, "/"):
		return "the path is absolute; it must be relative to the skill's folder"
	case len(p) > 1 && p[1] == ':' && unicode.IsLetter(rune(p[0])):
		return "the path names a drive; it must be relative to the skill's folder"
	case strings.ContainsFunc(p, unicode.IsControl):
		return "the path holds a control character"
	}
	segments := strings.Split(p, "/")
	if len(segments) > maxDepth {
		return fmt.Sprintf("the path is %d folders deep; at most %d are allowed", len(segments), maxDepth)
	}
	for _, s := range segments {
		switch {
		case s == "", s == ".", s == "..":
			return "the path holds \"..\", \".\" or an empty part; it must stay in the skill's folder"
		case len(s) > maxSegment:
			return fmt.Sprintf("a name in the path has %d bytes; at most %d are allowed", len(s), maxSegment)
		}
	}
	return ""
}

// Add adds a file. The error is Invalid or TooLarge and names the file.
func (t *Tree) Add(p string, data []byte, executable bool) error {
	if why := checkPath(p); why != "" {
		return errs.New(errs.Invalid, "The file %q can't be part of a skill: %s.", p, why)
	}
	if len(t.files) >= MaxFiles {
		return errs.New(errs.TooLarge, "The skill has more than %d files, which is the limit.", MaxFiles)
	}
	if t.bytes += int64(len(data)); t.bytes > MaxBytes {
		return tooManyBytes()
	}
	if _, ok := t.files[p]; ok {
		return errs.New(errs.Invalid, "The file %q is there twice.", p)
	}
	key := fold(p)
	if other, ok := t.folds[key]; ok {
		return errs.New(errs.Invalid, "The paths %q and %q name the same file on some systems; rename one.", other, p)
	}
	for dir := path.Dir(p); dir != "."; dir = path.Dir(dir) {
		if other, ok := t.folds[fold(dir)]; ok && (other != dir || t.has(other)) {
			return errs.New(errs.Invalid, "The paths %q and %q name the same thing on some systems; rename one.", other, dir)
		}
		t.folds[fold(dir)] = dir
	}
	t.folds[key] = p
	t.files[p] = content{data, executable}
	return nil
}

func (t *Tree) has(p string) bool { _, ok := t.files[p]; return ok }

func tooManyBytes() error {
	return errs.New(errs.TooLarge, "The skill's files are larger than %d MiB together, which is the limit.", MaxBytes>>20)
}

// Len is the number of files.
func (t *Tree) Len() int { return len(t.files) }

// Document answers SKILL.md and how its name is spelled in the tree; "" when there is none.
func (t *Tree) Document() (data []byte, spelled string) {
	for _, name := range []string{documentName, "skill.md"} {
		if c, ok := t.files[name]; ok {
			return c.data, name
		}
	}
	return nil, ""
}

// Paths lists the files in the order of their bytes.
func (t *Tree) Paths() []string {
	paths := make([]string, 0, len(t.files))
	for p := range t.files {
		paths = append(paths, p)
	}
	slices.Sort(paths)
	return paths
}

// Manifest lists the files in the order of their paths and answers the digest of the whole: SHA-256 over one line a file of
// path, digest and executable bit. It does not depend on how the skill was handed over.
func (t *Tree) Manifest() (files []File, digest string) {
	for _, p := range t.Paths() {
		c := t.files[p]
		files = append(files, File{p, int64(len(c.data)), digestOf(c.data), c.executable})
	}
	return files, treeDigest(files)
}

func treeDigest(files []File) string {
	var b bytes.Buffer
	b.WriteString("agent-skill 1\n")
	for _, f := range files {
		mode := '-'
		if f.Executable {
			mode = 'x'
		}
		fmt.Fprintf(&b, "%s %c %s\n", f.Digest, mode, f.Path) // a path has no line end, so no two lists look alike
	}
	return digestOf(b.Bytes())
}

const digestPrefix = "sha256:"

func digestOf(data []byte) string {
	sum := sha256.Sum256(data)
	return digestPrefix + hex.EncodeToString(sum[:])
}

// hexOf answers the hexadecimal part of a digest, and whether it is one.
func hexOf(digest string) (string, bool) {
	h, ok := strings.CutPrefix(digest, digestPrefix)
	if !ok || len(h) != 64 || strings.Trim(h, "0123456789abcdef") != "" {
		return "", false
	}
	return h, true
}

// junk tells whether a path is what tools and systems leave behind, which importers skip.
func junk(p string) bool {
	for _, s := range strings.Split(p, "/") {
		switch s {
		case ".git", "node_modules", "__pycache__", "__MACOSX", ".DS_Store", "Thumbs.db":
			return true
		}
	}
	return false
}

// script tells whether a file begins like a program for an interpreter. It decides about the executable bit where the form
// of handing over has none.
func script(data []byte) bool { return bytes.HasPrefix(data, []byte("#!")) }
