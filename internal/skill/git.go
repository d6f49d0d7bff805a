package skill

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net/http"
	"os"
	"path/filepath"

	"github.com/go-git/go-billy/v5/osfs"
	"github.com/go-git/go-git/v5"
	"github.com/go-git/go-git/v5/plumbing"
	"github.com/go-git/go-git/v5/plumbing/cache"
	"github.com/go-git/go-git/v5/plumbing/format/packfile"
	"github.com/go-git/go-git/v5/plumbing/object"
	"github.com/go-git/go-git/v5/plumbing/protocol/packp"
	"github.com/go-git/go-git/v5/plumbing/protocol/packp/capability"
	"github.com/go-git/go-git/v5/plumbing/protocol/packp/sideband"
	"github.com/go-git/go-git/v5/plumbing/storer"
	"github.com/go-git/go-git/v5/plumbing/transport"
	githttp "github.com/go-git/go-git/v5/plumbing/transport/http"
	"github.com/go-git/go-git/v5/storage/filesystem"

	"yardmaster/internal/errs"
)

// The bounds of a fetch.
const (
	maxPack        = 200 << 20 // bytes that the server may send
	maxObjects     = 200_000
	maxObject      = 64 << 20 // bytes of one object, inflated
	maxObjectTotal = 2 << 30  // bytes of all objects, inflated
)

// gitTree is a tree of a repository that was opened, with the commit that it belongs to.
type gitTree struct {
	fs.FS
	commit string
	close  func()
}

// openGit opens a repository on this machine. Nothing is copied: objects are read where they are.
func openGit(dir, ref string) (*gitTree, error) {
	r, err := git.PlainOpen(dir)
	if err != nil {
		return nil, badSource("%s is not a git repository", dir)
	}
	rev := plumbing.Revision("HEAD")
	if ref != "" {
		rev = plumbing.Revision(ref)
	}
	h, err := r.ResolveRevision(rev)
	if err != nil {
		return nil, noRef(ref)
	}
	return treeOf(r.Storer, *h, func() {})
}

func noRef(ref string) error {
	if ref == "" {
		return errs.New(errs.NotFound, "The repository has no commits on its default branch; name a branch with #BRANCH.")
	}
	return errs.New(errs.NotFound, "The repository has no branch, tag or commit %q.", ref)
}

func treeOf(s storer.EncodedObjectStorer, h plumbing.Hash, done func()) (*gitTree, error) {
	for range 4 { // a tag may point to a tag
		tag, err := object.GetTag(s, h)
		if err != nil {
			break
		}
		h = tag.Target
	}
	c, err := object.GetCommit(s, h)
	if err != nil {
		return nil, errs.Wrap(err, errs.Invalid, "The repository's commit %s can't be read.", h)
	}
	t, err := c.Tree()
	if err != nil {
		return nil, errs.Wrap(err, errs.Invalid, "The repository's commit %s can't be read.", h)
	}
	return &gitTree{FS: gitFS{s, t}, commit: c.Hash.String(), close: done}, nil
}

// fetchGit fetches one commit of a repository over http, shallow where the server can, into a temporary folder. The caller
// MUST close the answer. Every size is bounded before memory is used for it.
func fetchGit(ctx context.Context, client *http.Client, rawURL, ref, tmp string) (_ *gitTree, err error) {
	ep, err := transport.NewEndpoint(rawURL)
	if err != nil {
		return nil, badSource("%q is not the URL of a git repository", rawURL)
	}
	session, err := githttp.NewClient(client).NewUploadPackSession(ep, nil)
	if err != nil {
		return nil, fetchError(ctx, rawURL, err)
	}
	defer func() { _ = session.Close() }() // nothing is written through it
	refs, err := session.AdvertisedReferencesContext(ctx)
	if err != nil {
		return nil, fetchError(ctx, rawURL, err)
	}
	want, err := resolve(refs, ref)
	if err != nil {
		return nil, err
	}
	dir, err := os.MkdirTemp(tmp, tempPrefix+"git-")
	if err != nil {
		return nil, fmt.Errorf("fetch: %w", err)
	}
	done := func() { _ = os.RemoveAll(dir) } // what is left is swept at the next start
	defer func() {
		if err != nil {
			done()
		}
	}()
	pack := filepath.Join(dir, "fetched.pack")
	if err := download(ctx, session, refs, want, pack); err != nil {
		return nil, fetchError(ctx, rawURL, err)
	}
	if err := checkPack(pack); err != nil {
		return nil, err
	}
	store := filesystem.NewStorage(osfs.New(filepath.Join(dir, "git")), cache.NewObjectLRU(16*cache.MiByte))
	f, err := os.Open(pack)
	if err != nil {
		return nil, fmt.Errorf("fetch: %w", err)
	}
	defer func() { _ = f.Close() }() // only reads
	if err := packfile.UpdateObjectStorage(store, f); err != nil {
		return nil, errs.Wrap(err, errs.Invalid, "The repository at %s sent damaged data.", rawURL)
	}
	return treeOf(store, want, done)
}

// resolve finds the commit that a ref names among those that the server has.
func resolve(refs *packp.AdvRefs, ref string) (plumbing.Hash, error) {
	if ref == "" {
		if refs.Head == nil {
			return plumbing.ZeroHash, noRef(ref)
		}
		return *refs.Head, nil
	}
	for _, name := range []string{ref, "refs/heads/" + ref, "refs/tags/" + ref} {
		if h, ok := refs.Peeled[name]; ok {
			return h, nil
		}
		if h, ok := refs.References[name]; ok {
			return h, nil
		}
	}
	if plumbing.IsHash(ref) { // most servers send any commit that a branch has
		return plumbing.NewHash(ref), nil
	}
	return plumbing.ZeroHash, noRef(ref)
}

// download writes the pack with one commit and what belongs to it into a file.
func download(ctx context.Context, session transport.UploadPackSession, refs *packp.AdvRefs, want plumbing.Hash, file string) (err error) {
	req := packp.NewUploadPackRequestFromCapabilities(refs.Capabilities)
	req.Wants = []plumbing.Hash{want}
	if refs.Capabilities.Supports(capability.NoProgress) {
		if err := req.Capabilities.Set(capability.NoProgress); err != nil {
			return err
		}
	}
	if refs.Capabilities.Supports(capability.Shallow) {
		if err := req.Capabilities.Set(capability.Shallow); err != nil {
			return err
		}
		req.Depth = packp.DepthCommits(1)
	}
	resp, err := session.UploadPack(ctx, req)
	if err != nil {
		return err
	}
	defer func() { _ = resp.Close() }() // the length is checked below
	var r io.Reader = resp
	switch {
	case req.Capabilities.Supports(capability.Sideband64k):
		r = sideband.NewDemuxer(sideband.Sideband64k, resp)
	case req.Capabilities.Supports(capability.Sideband):
		r = sideband.NewDemuxer(sideband.Sideband, resp)
	}
	f, err := os.OpenFile(file, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return err
	}
	defer func() {
		if e := f.Close(); err == nil {
			err = e
		}
	}()
	n, err := io.Copy(f, io.LimitReader(r, maxPack+1))
	if err == nil && n > maxPack {
		return errs.New(errs.TooLarge, "The repository is larger than %d MiB, which is the limit; give a zip of the skill's folder.", maxPack>>20)
	}
	return err
}

// checkPack inflates every object of a pack once, so that objects too large for the memory are found before anything reads
// them into it.
func checkPack(file string) (err error) {
	f, err := os.Open(file)
	if err != nil {
		return fmt.Errorf("fetch: %w", err)
	}
	defer func() { _ = f.Close() }() // only reads
	damaged := func(err error) error { return errs.Wrap(err, errs.Invalid, "The repository sent damaged data.") }
	tooLarge := errs.New(errs.TooLarge, "The repository holds a file of more than %d MiB, or is too large in all; give a zip of the skill's folder.", maxObject>>20)
	s := packfile.NewScanner(f)
	_, n, err := s.Header()
	if err != nil {
		return damaged(err)
	}
	if n > maxObjects {
		return tooLarge
	}
	var total int64
	for range n {
		h, err := s.NextObjectHeader()
		if err != nil {
			return damaged(err)
		}
		size := h.Length
		if size > maxObject {
			return tooLarge
		}
		var head prefix
		if _, _, err := s.NextObject(&head); err != nil {
			return damaged(err)
		}
		if h.Type == plumbing.OFSDeltaObject || h.Type == plumbing.REFDeltaObject {
			size = head.deltaSize()
		}
		if total += size; size > maxObject || total > maxObjectTotal {
			return tooLarge
		}
	}
	return nil
}

// prefix keeps the first bytes that are written to it.
type prefix struct {
	buf [32]byte
	n   int
}

func (p *prefix) Write(b []byte) (int, error) {
	p.n += copy(p.buf[p.n:], b)
	return len(b), nil
}

// deltaSize is the size of what a delta makes: the second number of its header (gitformat-pack, "Deltified representation").
func (p *prefix) deltaSize() int64 {
	b := p.buf[:p.n]
	var size int64
	for range 2 {
		size = 0
		for shift := 0; len(b) > 0 && shift < 56; shift += 7 {
			c := b[0]
			b = b[1:]
			size |= int64(c&0x7f) << shift
			if c&0x80 == 0 {
				break
			}
		}
	}
	return size
}

// fetchError tells why a repository could not be read.
func fetchError(ctx context.Context, rawURL string, err error) error {
	var coded *errs.Error
	switch {
	case errors.As(err, &coded):
		return err
	case ctx.Err() != nil:
		return errs.Wrap(err, errs.Unavailable, "The repository at %s did not answer in time.", rawURL)
	case errors.Is(err, transport.ErrAuthenticationRequired), errors.Is(err, transport.ErrAuthorizationFailed),
		errors.Is(err, transport.ErrRepositoryNotFound), errors.Is(err, transport.ErrInvalidAuthMethod):
		return errs.Wrap(err, errs.NotFound, "There is no public repository at %s.", rawURL)
	case errors.Is(err, transport.ErrEmptyRemoteRepository):
		return errs.Wrap(err, errs.Invalid, "The repository at %s is empty.", rawURL)
	}
	return errs.Wrap(err, errs.Unavailable, "The repository at %s can't be read (%v).", rawURL, err)
}
