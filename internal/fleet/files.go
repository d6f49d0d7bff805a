package fleet

import (
	"context"
	"fmt"
	"os"
	"unicode/utf8"

	"yardmaster/internal/errs"
	"yardmaster/internal/fleet/home"
	"yardmaster/internal/op"
)

const (
	maxFile     = 64 << 20
	maxFileText = 64 << 10 // of what a tool sees of a file
)

// FilesIn is the input of ListFiles.
type FilesIn struct {
	ID   string `json:"id" doc:"The instance: its id or name." ref:"instance"`
	Path string `json:"path,omitempty" doc:"The folder, relative to the home folder, such as reports; \"skills\" lists the installed skills." default:"."`
}

// FilesOut is what a folder holds.
type FilesOut struct {
	Entries   []home.Entry `json:"entries"`
	Truncated bool         `json:"truncated,omitempty"` // there are more than 10,000
}

// FileIn names a file.
type FileIn struct {
	ID   string `json:"id" doc:"The instance: its id or name." ref:"instance"`
	Path string `json:"path" doc:"The file, relative to the home folder, such as notes/todo.txt."`
}

// FileDeleteIn is the input of DeleteFile.
type FileDeleteIn struct {
	ID        string `json:"id" doc:"The instance: its id or name." ref:"instance"`
	Path      string `json:"path" doc:"The file or empty folder, relative to the home folder, such as notes/todo.txt."`
	Recursive bool   `json:"recursive,omitempty" doc:"Delete a folder with all that is in it."`
}

// FileWriteIn is the input of WriteFileOp.
type FileWriteIn struct {
	ID      string  `json:"id" doc:"The instance: its id or name." ref:"instance"`
	Path    string  `json:"path" doc:"The file, relative to the home folder, such as notes/todo.txt. Folders above it are made."`
	Content op.Text `json:"content" doc:"The new content; what the file held before is replaced." in:"body"`
}

// FileOut is a file. REST gets its bytes, other surfaces the fields.
type FileOut struct {
	Path      string `json:"path"`
	Size      int    `json:"size"`
	Text      string `json:"text"`             // the beginning, at most 64 KiB, without secrets
	Truncated bool   `json:"truncated"`        // the file has more than Text
	Binary    bool   `json:"binary,omitempty"` // it is not text, so Text is empty
	data      []byte
}

// RawBody implements op.Raw. The type is never one that a browser would run.
func (f FileOut) RawBody() (contentType string, body []byte) {
	if f.Binary {
		return "application/octet-stream", f.data
	}
	return "text/plain; charset=utf-8", f.data
}

// inFolder opens the folder that a path is in and has fn work there.
func (s *Service) inFolder(ctx context.Context, ref, path string, write bool, fn func(r row, root *os.Root, p home.Path) error) error {
	p, err := home.Parse("path", path)
	if err != nil {
		return err
	}
	if write && p.Skills {
		return errs.BadField("path", "the skills folder is read-only; install, update or uninstall the skill instead")
	}
	r, err := s.still(ctx, ref)
	if err != nil {
		return err
	}
	if r.Status == Deleting {
		return errs.New(errs.Conflict, "%s is being deleted.", r.Name)
	}
	if !r.Ready {
		return errs.New(errs.Conflict, "%s has no files yet: %s", r.Name, notReady(r))
	}
	name := homeOf(r.ID)
	if p.Skills {
		name = skillsOn(r.ID)
	}
	root, err := s.root.OpenRoot(name)
	if err != nil {
		return fmt.Errorf("open the folder: %w", err)
	}
	defer func() { _ = root.Close() }()
	return fn(r, root, p)
}

// ListFiles lists a folder of an instance.
func (s *Service) ListFiles(ctx context.Context, in FilesIn) (FilesOut, error) {
	out := FilesOut{Entries: []home.Entry{}}
	err := s.inFolder(ctx, in.ID, in.Path, false, func(_ row, root *os.Root, p home.Path) (err error) {
		out.Entries, out.Truncated, err = home.List(root, p.Rel)
		return err
	})
	return out, err
}

// ReadFileOp reads a file of an instance, of at most 64 MiB.
func (s *Service) ReadFileOp(ctx context.Context, in FileIn) (FileOut, error) {
	var out FileOut
	err := s.inFolder(ctx, in.ID, in.Path, false, func(r row, root *os.Root, p home.Path) error {
		data, err := home.Read(root, p.Rel, maxFile)
		if err != nil {
			return err
		}
		out = FileOut{Path: p.String(), Size: len(data), Binary: !utf8.Valid(data), data: data}
		if !out.Binary {
			text := cut(string(data), maxFileText+scrubWindow)
			out.Text, out.Truncated = shown(text, len(text) < len(data), maxFileText, s.scrub(r.Account)), len(data) > maxFileText
		}
		return nil
	})
	return out, err
}

// WriteFileOp writes a file of an instance, of at most 64 MiB.
func (s *Service) WriteFileOp(ctx context.Context, in FileWriteIn) (OKOut, error) {
	err := s.WriteFile(ctx, in.ID, in.Path, in.Content)
	return OKOut{OK: err == nil}, err
}

// DeleteFile deletes a file or folder of an instance.
func (s *Service) DeleteFile(ctx context.Context, in FileDeleteIn) (OKOut, error) {
	err := s.inFolder(ctx, in.ID, in.Path, true, func(_ row, root *os.Root, p home.Path) error {
		return home.Delete(root, p.Rel, in.Recursive)
	})
	return OKOut{OK: err == nil}, err
}

// WriteFile writes a file of an instance for another part of the platform.
func (s *Service) WriteFile(ctx context.Context, id, path string, data []byte) error {
	if len(data) > maxFile {
		return errs.New(errs.TooLarge, "The content has more than %d MiB, which is the most that can be written at once.", maxFile>>20)
	}
	return s.inFolder(ctx, id, path, true, func(_ row, root *os.Root, p home.Path) error {
		return home.Write(root, p.Rel, data)
	})
}

// ReadFile reads a file of an instance of at most limit bytes for another part of the platform.
func (s *Service) ReadFile(ctx context.Context, id, path string, limit int64) ([]byte, error) {
	var data []byte
	err := s.inFolder(ctx, id, path, false, func(_ row, root *os.Root, p home.Path) (err error) {
		data, err = home.Read(root, p.Rel, limit)
		return err
	})
	return data, err
}
