package skill

import (
	"bytes"
	"fmt"
	"slices"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/go-git/go-git/v5/plumbing"
	"github.com/go-git/go-git/v5/plumbing/filemode"
	fdiff "github.com/go-git/go-git/v5/plumbing/format/diff"
	"github.com/go-git/go-git/v5/utils/diff"
	"github.com/sergi/go-diff/diffmatchpatch"
)

// FileDiff says how one file differs between two versions.
type FileDiff struct {
	Path   string `json:"path"`
	Status string `json:"status"` // added, removed or changed
	Note   string `json:"note,omitempty"`
	Diff   string `json:"diff,omitempty"` // unified, as git writes it; "" for binary and very large files
}

const (
	maxDiffInput  = 1 << 20 // bytes of a file that is compared line by line
	maxDiffOutput = 1 << 20 // bytes of all diffs together
)

// Diff compares two trees file by file, in the order of the paths.
func Diff(from, to *Tree) []FileDiff {
	paths := append(from.Paths(), to.Paths()...)
	slices.Sort(paths)
	out, budget := []FileDiff{}, maxDiffOutput
	for _, p := range slices.Compact(paths) {
		a, inA := from.files[p]
		b, inB := to.files[p]
		d := FileDiff{Path: p, Status: "changed"}
		switch {
		case !inA:
			d.Status = "added"
		case !inB:
			d.Status = "removed"
		case bytes.Equal(a.data, b.data) && a.executable == b.executable:
			continue
		}
		if inA && inB && a.executable != b.executable {
			d.Note = "is executable now"
			if a.executable {
				d.Note = "is no longer executable"
			}
		}
		switch {
		case !text(a.data) || !text(b.data) || !utf8.Valid(a.data) || !utf8.Valid(b.data):
			d.note("binary, %d bytes before and %d after", len(a.data), len(b.data))
		case len(a.data) > maxDiffInput || len(b.data) > maxDiffInput:
			d.note("too large to compare by lines, %d bytes before and %d after", len(a.data), len(b.data))
		default:
			unified := unify(p, a, inA, b, inB)
			if budget -= len(unified); budget < 0 {
				d.note("left out, because the differences are too long to show all")
				break
			}
			d.Diff = unified
		}
		out = append(out, d)
	}
	return out
}

func (d *FileDiff) note(format string, args ...any) {
	if d.Note != "" {
		d.Note += "; "
	}
	d.Note += fmt.Sprintf(format, args...)
}

func unify(p string, a content, inA bool, b content, inB bool) string {
	patch := filePatch{}
	if inA {
		patch.from = &diffFile{p, a}
	}
	if inB {
		patch.to = &diffFile{p, b}
	}
	for _, d := range diff.DoWithTimeout(string(a.data), string(b.data), 2*time.Second) {
		patch.chunks = append(patch.chunks, chunk{d.Text, diffOps[d.Type]})
	}
	var out strings.Builder
	// A strings.Builder takes everything, and the encoder has no other errors.
	_ = fdiff.NewUnifiedEncoder(&out, fdiff.DefaultContextLines).Encode(patch)
	return out.String()
}

// filePatch is the change of one file in the form that go-git's encoder takes.
type filePatch struct {
	from, to *diffFile
	chunks   []fdiff.Chunk
}

func (p filePatch) Message() string                { return "" }
func (p filePatch) FilePatches() []fdiff.FilePatch { return []fdiff.FilePatch{p} }
func (p filePatch) IsBinary() bool                 { return false }
func (p filePatch) Chunks() []fdiff.Chunk          { return p.chunks }
func (p filePatch) Files() (from, to fdiff.File) {
	if p.from != nil { // a nil *diffFile in the interface would not be nil
		from = p.from
	}
	if p.to != nil {
		to = p.to
	}
	return from, to
}

type diffFile struct {
	path string
	content
}

func (f *diffFile) Path() string { return f.path }
func (f *diffFile) Hash() plumbing.Hash {
	return plumbing.ComputeHash(plumbing.BlobObject, f.data)
}
func (f *diffFile) Mode() filemode.FileMode {
	if f.executable {
		return filemode.Executable
	}
	return filemode.Regular
}

// chunk is a run of lines that both sides or one of them have.
type chunk struct {
	text string
	op   fdiff.Operation
}

func (c chunk) Content() string       { return c.text }
func (c chunk) Type() fdiff.Operation { return c.op }

var diffOps = map[diffmatchpatch.Operation]fdiff.Operation{
	diffmatchpatch.DiffEqual: fdiff.Equal, diffmatchpatch.DiffInsert: fdiff.Add, diffmatchpatch.DiffDelete: fdiff.Delete,
}
