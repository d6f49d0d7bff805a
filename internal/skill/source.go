package skill

import (
	"fmt"
	"net/url"
	"path"
	"regexp"
	"strings"

	"yardmaster/internal/errs"
)

// Source says where a skill is to be taken from.
type Source struct {
	Local string // an absolute path of the machine, or ""
	URL   string // of a git repository or a zip, http or https, or ""
	Git   bool   // Local must be a git repository
	Ref   string // branch, tag or commit; "" is the default branch
	Path  string // folder in it, relative; "" is the root
	Skill string // name of the skill in it; "" when there is only one
}

var (
	shortForm = regexp.MustCompile(`^([A-Za-z0-9][A-Za-z0-9-]*)/([A-Za-z0-9_.-]+?)(?:\.git)?((?:/[^/@#]+)*)(?:@([^/@#]+))?$`)
	treeURL   = regexp.MustCompile(`^(https?://[^/]+/.+?)(?:/-)?/(?:tree|blob)/([^/]+)(?:/(.*))?$`)
	scpForm   = regexp.MustCompile(`^[\w.-]+@[\w.-]+:`)
	refForm   = regexp.MustCompile(`^[A-Za-z0-9_][A-Za-z0-9_./-]*$`)
)

// ParseSource reads the text forms of a source:
//
//	https://host/repository.git[#ref][//path]    any git server
//	https://github.com/owner/repo/tree/ref/path  as copied from the browser, GitHub or GitLab
//	owner/repo[/path][@skill][#ref]              GitHub
//	https://host/skill.zip                       a zip or .skill file
//	/folder, /file.zip, file:///repository.git[#ref][//path]
//
// The path may also stand before the ref. The error is Invalid for the field "source".
func ParseSource(s string) (Source, error) {
	s = strings.TrimSpace(s)
	var src Source
	rest := s
	scheme, after, isURL := strings.Cut(s, "://")
	if isURL {
		rest = after
	}
	rest, src.Ref, _ = strings.Cut(rest, "#")
	src.Ref, src.Path, _ = strings.Cut(src.Ref, "//")
	if p, sub, ok := strings.Cut(rest, "//"); ok {
		rest, src.Path = p, sub
	}
	src.Path = strings.Trim(src.Path, "/")
	var err error
	switch {
	case s == "":
		err = badSource("it is empty; give a git URL, owner/repo, a folder or a zip")
	case isURL && (scheme == "https" || scheme == "http"):
		err = src.remote(scheme + "://" + rest)
	case isURL && scheme == "file":
		src.Local, src.Git = rest, !isZip(rest)
	case isURL || scpForm.MatchString(s):
		err = badSource("git is read over https only; give the repository's https URL")
	case strings.HasPrefix(s, "/"):
		src.Local, src.Git = rest, src.Ref != ""
	case strings.HasPrefix(s, ".") || strings.HasPrefix(s, "~"):
		err = badSource("%q depends on where the server runs; give the whole path, beginning with /", s)
	default:
		err = src.short(rest, s)
	}
	if err != nil {
		return Source{}, err
	}
	if src.Ref != "" && (!refForm.MatchString(src.Ref) || strings.Contains(src.Ref, "..")) {
		return Source{}, badSource("%q can't be a branch, tag or commit", src.Ref)
	}
	if src.Path != "" {
		if why := checkPath(src.Path); why != "" {
			return Source{}, badSource("%s: %q", why, src.Path)
		}
	}
	if src.Local != "" && !path.IsAbs(src.Local) {
		return Source{}, badSource("a file URL needs a whole path, such as file:///srv/skill")
	}
	return src, nil
}

func badSource(format string, args ...any) error { return errs.BadField("source", format, args...) }

func isZip(p string) bool {
	switch strings.ToLower(path.Ext(p)) {
	case ".zip", ".skill":
		return true
	}
	return false
}

func (src *Source) remote(raw string) error {
	u, err := url.Parse(raw)
	if err != nil || u.Host == "" {
		return badSource("%q is not a URL", raw)
	}
	if u.User != nil {
		return badSource("a URL with a user name or password is refused, because sources are shown; give a URL that needs none")
	}
	if m := treeURL.FindStringSubmatch(raw); m != nil && src.Ref == "" && src.Path == "" {
		raw, src.Ref, src.Path = m[1], m[2], strings.Trim(m[3], "/")
		if path.Base(src.Path) == documentName {
			src.Path = strings.TrimPrefix(path.Dir(src.Path), ".")
		}
	}
	src.URL = strings.TrimRight(raw, "/")
	return nil
}

func (src *Source) short(rest, whole string) error {
	m := shortForm.FindStringSubmatch(rest)
	if m == nil {
		return badSource("%q is none of: a git URL, owner/repo on GitHub, an absolute folder or zip", whole)
	}
	src.URL = fmt.Sprintf("https://github.com/%s/%s", m[1], m[2])
	if p := strings.Trim(m[3], "/"); p != "" {
		if src.Path != "" {
			return badSource("%q has two paths; give one", whole)
		}
		src.Path = p
	}
	src.Skill = m[4]
	return nil
}
