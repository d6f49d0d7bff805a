// Package checkpoint fetches the repository that an instance begins with.
//
// Fetching is done in this process: no git program, no hooks, no credentials of the server's, no submodules. It is bounded
// in time and bytes, and a server that cannot be reached is noticed within seconds.
package checkpoint

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"regexp"
	"strings"
	"time"

	"github.com/go-git/go-billy/v5/osfs"
	"github.com/go-git/go-git/v5"
	"github.com/go-git/go-git/v5/config"
	"github.com/go-git/go-git/v5/plumbing"
	"github.com/go-git/go-git/v5/plumbing/cache"
	"github.com/go-git/go-git/v5/plumbing/transport"
	"github.com/go-git/go-git/v5/storage/filesystem"
	"github.com/go-git/go-git/v5/storage/memory"

	"yardmaster/internal/errs"
)

// Limits bounds a fetch. Zero values stand for five minutes and 2 GiB.
type Limits struct {
	Time  time.Duration
	Bytes int64 // written to disk, history and files together
}

// reach is how long a server may take to accept a connection.
const reach = 5 * time.Second

var (
	shortForm = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9-]{0,38}/[A-Za-z0-9._-]{1,100}$`)
	refForm   = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9._/-]{0,199}$`)
)

// Parse checks a repository as people write it: "owner/name" on GitHub or an http(s) address, with "#branch" or "#tag"
// behind it if another than the default is meant. It answers the address and the name of the branch or tag.
func Parse(field, repo string) (address, ref string, err error) {
	bad := func(format string, args ...any) (string, string, error) {
		return "", "", errs.BadField(field, format, args...)
	}
	address, ref, hasRef := strings.Cut(strings.TrimSpace(repo), "#")
	if hasRef && (!refForm.MatchString(ref) || strings.Contains(ref, "..")) {
		return bad("%q can't be a branch or tag", ref)
	}
	if shortForm.MatchString(address) {
		return "https://github.com/" + address, ref, nil
	}
	u, err := url.Parse(address)
	switch {
	case err != nil || len(address) > 2000:
		return bad("is no address; write https://host/owner/name or owner/name")
	case u.Scheme != "https" && u.Scheme != "http":
		return bad("must begin with https:// or http://, or be owner/name on GitHub")
	case u.Host == "":
		return bad("has no host; write https://host/owner/name or owner/name")
	case u.User != nil:
		return bad("must not hold a user name or password, because the address is shown to everyone; use a repository that can be read without them")
	}
	return address, ref, nil
}

// Fetch puts a repository into dir, an empty folder: the files of its default branch, or of the branch or tag that repo
// names, and the newest commit. Errors are of code unavailable and name the repository and the reason.
func Fetch(ctx context.Context, repo, dir string, limits Limits) error {
	address, ref, err := Parse("checkpointRepo", repo)
	if err != nil {
		return err
	}
	if limits.Time <= 0 {
		limits.Time = 5 * time.Minute
	}
	if limits.Bytes <= 0 {
		limits.Bytes = 2 << 30
	}
	ctx, cancel := context.WithTimeout(ctx, limits.Time)
	defer cancel()
	if err := knock(ctx, address); err != nil {
		return errs.Wrap(err, errs.Unavailable, "The checkpoint repository %s can't be reached: %s.", repo, reason(err))
	}
	name := plumbing.ReferenceName("")
	if ref != "" {
		name, err = find(ctx, address, ref)
	}
	if err == nil {
		err = clone(ctx, address, name, dir, limits.Bytes)
	}
	switch {
	case err == nil:
		return nil
	case errors.Is(err, context.DeadlineExceeded):
		return errs.Wrap(err, errs.Unavailable, "The checkpoint repository %s could not be fetched within %v.", repo, limits.Time)
	case errors.Is(err, errFull):
		return errs.Wrap(err, errs.Unavailable, "The checkpoint repository %s is larger than the %d MiB that the instance may hold; raise its disk limit or take a smaller one.", repo, limits.Bytes>>20)
	}
	return errs.Wrap(err, errs.Unavailable, "The checkpoint repository %s can't be fetched: %s.", repo, reason(err))
}

// knock finds out within seconds whether somebody listens, at the proxy if there is one; the git client waits for minutes.
func knock(ctx context.Context, address string) error {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, address, nil)
	if err != nil {
		return err
	}
	at := req.URL
	if proxy, err := http.ProxyFromEnvironment(req); err == nil && proxy != nil {
		at = proxy
	}
	port := at.Port()
	if port == "" {
		port = map[string]string{"http": "80", "https": "443", "socks5": "1080", "socks5h": "1080"}[at.Scheme]
	}
	conn, err := (&net.Dialer{Timeout: reach}).DialContext(ctx, "tcp", net.JoinHostPort(at.Hostname(), port))
	if err != nil {
		return err
	}
	return conn.Close()
}

// find answers the whole name of a branch or tag.
func find(ctx context.Context, address, short string) (plumbing.ReferenceName, error) {
	remote := git.NewRemote(memory.NewStorage(), &config.RemoteConfig{Name: "origin", URLs: []string{address}})
	refs, err := remote.ListContext(ctx, &git.ListOptions{})
	if err != nil {
		return "", err
	}
	for _, name := range []plumbing.ReferenceName{plumbing.NewBranchReferenceName(short), plumbing.NewTagReferenceName(short)} {
		for _, r := range refs {
			if r.Name() == name {
				return name, nil
			}
		}
	}
	return "", plumbing.ErrReferenceNotFound
}

func clone(ctx context.Context, address string, ref plumbing.ReferenceName, dir string, limit int64) error {
	left := &meter{left: limit}
	tree := bounded{osfs.New(dir, osfs.WithBoundOS()), left}
	dot, err := tree.Chroot(git.GitDirName)
	if err != nil {
		return err
	}
	_, err = git.CloneContext(ctx, filesystem.NewStorage(dot, cache.NewObjectLRU(16*cache.MiByte)), tree, &git.CloneOptions{
		URL: address, ReferenceName: ref, SingleBranch: true, Depth: 1, Tags: git.NoTags, RecurseSubmodules: git.NoRecurseSubmodules,
	})
	return err
}

// reason is the innermost cause in plain words.
func reason(err error) string {
	var op *net.OpError
	switch {
	case errors.Is(err, transport.ErrAuthenticationRequired), errors.Is(err, transport.ErrAuthorizationFailed):
		return "it is not public, or there is no such repository"
	case errors.Is(err, transport.ErrRepositoryNotFound):
		return "there is no such repository"
	case errors.Is(err, transport.ErrEmptyRemoteRepository):
		return "it is empty"
	case errors.Is(err, plumbing.ErrReferenceNotFound), errors.Is(err, git.NoMatchingRefSpecError{}):
		return "it has no such branch or tag"
	case errors.As(err, &op) && op.Addr != nil:
		return fmt.Sprintf("connect to %s: %v", op.Addr, op.Err)
	}
	return err.Error()
}
