package skill

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net"
	"net/http"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"yardmaster/internal/errs"
)

// Importer takes skills from sources. The zero Importer takes nothing from this machine and uses the public network only.
type Importer struct {
	// LocalRoots are the folders of this machine from which skills may be taken; "/" allows all. With none, local sources
	// are refused.
	LocalRoots []string
	// Client fetches from the network; nil is a client that connects to public addresses only and takes https only.
	Client *http.Client
	// AllowHTTP lets sources be fetched without TLS.
	AllowHTTP bool
	// Timeout bounds one import; 0 means two minutes.
	Timeout time.Duration
	// Temp is the folder for what is fetched; "" is the system's.
	Temp string
}

// Imported is a skill as it came from a source.
type Imported struct {
	Tree   *Tree
	Folder string // the folder's name at the source, "" when it has none
	Commit string // of a git repository, or ""
}

// Import takes a skill from a source.
func (m *Importer) Import(ctx context.Context, src Source) (*Imported, error) {
	timeout := m.Timeout
	if timeout == 0 {
		timeout = 2 * time.Minute
	}
	ctx, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	switch {
	case src.Local != "":
		return m.local(src)
	case strings.HasPrefix(src.URL, "http://") && !m.AllowHTTP:
		return nil, badSource("%s is not encrypted; give an https URL", src.URL)
	case isZip(src.URL):
		return m.download(ctx, src.URL)
	}
	g, err := fetchGit(ctx, m.client(), src.URL, src.Ref, m.Temp)
	if err != nil {
		return nil, err
	}
	return fromGit(g, src)
}

func fromGit(g *gitTree, src Source) (*Imported, error) {
	defer g.close()
	in, err := below(g.FS, src)
	if err != nil {
		return nil, err
	}
	in.Commit = g.commit
	return in, nil
}

// local takes a skill from a folder, zip or repository of this machine.
func (m *Importer) local(src Source) (*Imported, error) {
	real, err := filepath.EvalSymlinks(src.Local)
	if !m.allowed(src.Local) || err == nil && !m.allowed(real) {
		return nil, errs.New(errs.Forbidden, "Skills may not be taken from %s on the server. Send the files or a zip, or have the folder allowed in the settings.", src.Local)
	}
	if err != nil {
		return nil, badSource("there is no %s on the server", src.Local)
	}
	info, err := os.Stat(real)
	if err != nil {
		return nil, badSource("there is no %s on the server", src.Local)
	}
	if info.Mode().IsRegular() {
		return localZip(real)
	}
	if !info.IsDir() {
		return nil, badSource("%s is neither a folder nor a zip", src.Local)
	}
	if src.Git || bare(real) {
		g, err := openGit(real, src.Ref)
		if err != nil {
			return nil, err
		}
		return fromGit(g, src)
	}
	root, err := os.OpenRoot(real)
	if err != nil {
		return nil, badSource("the folder %s can't be read", src.Local)
	}
	defer func() { _ = root.Close() }() // only reads
	in, err := below(newRootFS(root), src)
	if err == nil && in.Folder == "" {
		in.Folder = filepath.Base(src.Local)
	}
	return in, err
}

// bare tells whether a folder is a git repository without files.
func bare(dir string) bool {
	for _, name := range []string{"HEAD", "objects", "refs"} {
		if _, err := os.Stat(filepath.Join(dir, name)); err != nil {
			return false
		}
	}
	return true
}

func (m *Importer) allowed(p string) bool {
	for _, root := range m.LocalRoots {
		if rel, err := filepath.Rel(root, p); err == nil && filepath.IsLocal(rel) {
			return true
		}
	}
	return false
}

func localZip(file string) (*Imported, error) {
	f, err := os.Open(file)
	if err != nil {
		return nil, badSource("the file %s can't be read", file)
	}
	defer func() { _ = f.Close() }() // only reads
	return zipped(f, file)
}

func zipped(r io.Reader, name string) (*Imported, error) {
	data, err := io.ReadAll(io.LimitReader(r, maxPacked+1))
	if err != nil {
		return nil, errs.Wrap(err, errs.Unavailable, "%s can't be read to its end.", name)
	}
	t, folder, err := FromZip(data)
	if err != nil {
		return nil, err
	}
	return &Imported{Tree: t, Folder: folder}, nil
}

// below reads the skill in a file system that a source means.
func below(fsys fs.FS, src Source) (*Imported, error) {
	base := ""
	if src.Path != "" {
		sub, err := fs.Sub(fsys, src.Path)
		if err != nil {
			return nil, errs.New(errs.NotFound, "The source has no folder %q.", src.Path)
		}
		fsys, base = sub, filepath.Base(src.Path)
	}
	t, folder, err := pick(fsys, src.Skill)
	if err != nil {
		return nil, err
	}
	if folder == "" {
		folder = base
	}
	return &Imported{Tree: t, Folder: folder}, nil
}

func (m *Importer) download(ctx context.Context, rawURL string) (*Imported, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, rawURL, nil)
	if err != nil {
		return nil, badSource("%q is not a URL", rawURL)
	}
	resp, err := m.client().Do(req)
	if err != nil {
		return nil, errs.Wrap(err, errs.Unavailable, "%s can't be fetched.", rawURL)
	}
	defer func() { _ = resp.Body.Close() }() // read as far as it is wanted
	switch {
	case resp.StatusCode == http.StatusNotFound, resp.StatusCode == http.StatusGone:
		return nil, errs.New(errs.NotFound, "There is nothing at %s.", rawURL)
	case resp.StatusCode != http.StatusOK:
		return nil, errs.New(errs.Unavailable, "%s answered with status %d.", rawURL, resp.StatusCode)
	}
	return zipped(resp.Body, rawURL)
}

func (m *Importer) client() *http.Client {
	if m.Client != nil {
		return m.Client
	}
	return publicClient
}

var errNotPublic = errors.New("the address is not a public one")

// publicClient connects to public addresses only, whatever a name resolves to, so that a source can't be used to reach
// services inside the server's network.
var publicClient = &http.Client{
	Transport: &http.Transport{
		DialContext: (&net.Dialer{Timeout: 10 * time.Second, Control: func(_, address string, _ syscall.RawConn) error {
			at, err := netip.ParseAddrPort(address)
			if err != nil || !public(at.Addr()) {
				return fmt.Errorf("%s: %w", address, errNotPublic)
			}
			return nil
		}}).DialContext,
		TLSHandshakeTimeout:   10 * time.Second,
		ResponseHeaderTimeout: 30 * time.Second,
		MaxIdleConnsPerHost:   2,
		IdleConnTimeout:       10 * time.Second,
	},
	CheckRedirect: func(req *http.Request, via []*http.Request) error {
		if len(via) > 5 || req.URL.Scheme != "https" {
			return errors.New("redirected too often, or away from https")
		}
		return nil
	},
}

// Networks that are not public and that netip has no method for (RFC 6890, RFC 6052).
var notPublic = []netip.Prefix{
	netip.MustParsePrefix("0.0.0.0/8"), netip.MustParsePrefix("100.64.0.0/10"), netip.MustParsePrefix("192.0.0.0/24"),
	netip.MustParsePrefix("192.0.2.0/24"), netip.MustParsePrefix("198.18.0.0/15"), netip.MustParsePrefix("198.51.100.0/24"),
	netip.MustParsePrefix("203.0.113.0/24"), netip.MustParsePrefix("240.0.0.0/4"), netip.MustParsePrefix("64:ff9b::/96"),
	netip.MustParsePrefix("2001:db8::/32"), netip.MustParsePrefix("2002::/16"),
}

func public(a netip.Addr) bool {
	a = a.Unmap()
	if !a.IsGlobalUnicast() || a.IsPrivate() {
		return false
	}
	for _, p := range notPublic {
		if p.Contains(a) {
			return false
		}
	}
	return true
}
