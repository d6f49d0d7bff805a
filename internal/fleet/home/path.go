// Package home reads and writes the files of an instance from outside.
//
// What lies in a home was made by programs that may be hostile: links that lead out, pipes that never answer, folders
// that are swapped while they are walked. So every access goes through an os.Root, which follows no link out of it, and
// nothing but regular files is ever opened for reading.
package home

import (
	"path"
	"strings"
	"unicode/utf8"

	"yardmaster/internal/errs"
	"yardmaster/internal/sandbox"
)

const (
	maxPath = 4096
	maxName = 255
)

// Path is a checked path of an instance's file.
type Path struct {
	Rel    string // slash-separated, clean, never leading upwards; "." is the folder itself
	Skills bool   // Rel is below the folder of installed skills, which is read-only, and not below the home
}

// String is the path as the instance's files are named in answers.
func (p Path) String() string {
	if p.Skills {
		return path.Join("skills", p.Rel)
	}
	return p.Rel
}

// Parse reads a path as people and programs write it: relative to the home folder, or beginning with ~/ or /home/agent/.
// "skills" and "skills/NAME/…" name the installed skills, as /skills does inside.
func Parse(field, p string) (Path, error) {
	bad := func(format string, args ...any) (Path, error) { return Path{}, errs.BadField(field, format, args...) }
	switch {
	case len(p) > maxPath:
		return bad("has %d bytes; at most %d are allowed", len(p), maxPath)
	case strings.ContainsRune(p, 0) || !utf8.ValidString(p):
		return bad("has characters that no file name can have; use plain text")
	}
	rel := p
	if rest, ok := below(p, sandbox.HomeDir); ok {
		rel = rest
	} else if rest, ok := below(p, "~"); ok {
		rel = rest
	} else if rest, ok := below(p, sandbox.SkillsDir); ok {
		rel = "skills/" + rest
	} else if strings.HasPrefix(p, "/") {
		return bad("%q lies outside the instance's home folder; give a path relative to it, such as notes/todo.txt", p)
	}
	for part := range strings.SplitSeq(rel, "/") {
		if part == ".." {
			return bad(`%q has ".." in it; give the path from the home folder down, such as notes/todo.txt`, p)
		}
		if len(part) > maxName {
			return bad("has a part of %d bytes; a file name may have at most %d", len(part), maxName)
		}
	}
	rel = path.Clean(strings.TrimLeft(rel, "/"))
	if rest, ok := below(rel, "skills"); ok {
		return Path{Rel: path.Clean(rest), Skills: true}, nil
	}
	return Path{Rel: rel}, nil
}

// below answers what of p comes after the folder dir, and whether p is dir or in it.
func below(p, dir string) (string, bool) {
	rest, ok := strings.CutPrefix(p, dir)
	if !ok || rest != "" && rest[0] != '/' {
		return "", false
	}
	return strings.TrimLeft(rest, "/"), true
}
