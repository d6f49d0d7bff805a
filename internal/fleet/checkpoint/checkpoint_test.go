package checkpoint_test

import (
	"context"
	"io"
	"net"
	"net/http"
	"net/http/cgi"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"

	"yardmaster/internal/errs"
	"yardmaster/internal/fleet/checkpoint"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func TestParse(t *testing.T) {
	t.Parallel()
	for in, want := range map[string][2]string{
		"owner/name":                       {"https://github.com/owner/name", ""},
		"owner/name#v1.2":                  {"https://github.com/owner/name", "v1.2"},
		" https://h.example/a/b.git ":      {"https://h.example/a/b.git", ""},
		"http://127.0.0.1:9/a#feature/one": {"http://127.0.0.1:9/a", "feature/one"},
	} {
		address, ref, err := checkpoint.Parse("checkpointRepo", in)
		if err != nil || address != want[0] || ref != want[1] {
			t.Errorf("%q: %q %q %v", in, address, ref, err)
		}
	}
	for _, in := range []string{"", "name", "a/b/c", "/etc", "file:///etc", "ssh://h/a", "git@h:a/b", "https://", "https://u:p@h/a", "https://u@h/a", "https://h/a#", "https://h/a#../x", "https://h/a#-x", "ext::sh -c x", "-owner/name", "https://h/\x7f"} {
		if _, _, err := checkpoint.Parse("checkpointRepo", in); !errs.Is(err, errs.Invalid) {
			t.Errorf("%q: %v", in, err)
		}
	}
}

// gitServer serves the repositories below a folder by git's own HTTP backend.
func gitServer(t *testing.T, dir string) string {
	t.Helper()
	git, err := exec.LookPath("git")
	if err != nil {
		if os.Getenv("CI") == "true" {
			t.Fatal("git is missing")
		}
		t.Skip("git is missing")
	}
	srv := httptest.NewServer(&cgi.Handler{Path: git, Args: []string{"http-backend"}, Env: []string{"GIT_PROJECT_ROOT=" + dir, "GIT_HTTP_EXPORT_ALL=1"}, Stderr: io.Discard})
	t.Cleanup(srv.Close)
	t.Cleanup(http.DefaultTransport.(*http.Transport).CloseIdleConnections)
	return srv.URL
}

func git(t *testing.T, dir string, args ...string) {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), "git", args...)
	cmd.Dir = dir
	cmd.Env = append(os.Environ(), "GIT_AUTHOR_NAME=a", "GIT_AUTHOR_EMAIL=a@example.com", "GIT_COMMITTER_NAME=a", "GIT_COMMITTER_EMAIL=a@example.com", "GIT_CONFIG_GLOBAL=/dev/null")
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("git %v: %v\n%s", args, err, out)
	}
}

func TestFetch(t *testing.T) {
	t.Parallel()
	root := t.TempDir()
	url := gitServer(t, root)
	repo := filepath.Join(root, "repo")
	if err := os.MkdirAll(filepath.Join(repo, "bin"), 0o700); err != nil {
		t.Fatal(err)
	}
	write := func(name, text string, mode os.FileMode) {
		if err := os.WriteFile(filepath.Join(repo, name), []byte(text), mode); err != nil {
			t.Fatal(err)
		}
	}
	git(t, repo, "init", "-q", "-b", "main")
	write("README", "first", 0o600)
	write("bin/run", "#!/bin/sh\n", 0o700)
	if err := os.Symlink("/etc/passwd", filepath.Join(repo, "out")); err != nil {
		t.Fatal(err)
	}
	git(t, repo, "add", "-A")
	git(t, repo, "commit", "-q", "-m", "one")
	git(t, repo, "tag", "v1")
	write("README", "second", 0o600)
	write("large", strings.Repeat("0123456789abcdef", 100_000), 0o600)
	git(t, repo, "add", "-A")
	git(t, repo, "commit", "-q", "-m", "two")
	git(t, repo, "branch", "feature")

	fetch := func(ref string, limits checkpoint.Limits) (string, error) {
		dir := t.TempDir()
		return dir, checkpoint.Fetch(t.Context(), url+"/repo"+ref, dir, limits)
	}
	for ref, want := range map[string]string{"": "second", "#main": "second", "#feature": "second", "#v1": "first"} {
		dir, err := fetch(ref, checkpoint.Limits{})
		if err != nil {
			t.Errorf("%q: %v", ref, err)
			continue
		}
		if text, err := os.ReadFile(filepath.Join(dir, "README")); err != nil || string(text) != want {
			t.Errorf("%q: %q %v", ref, text, err)
		}
		if info, err := os.Stat(filepath.Join(dir, "bin/run")); err != nil || info.Mode()&0o100 == 0 {
			t.Errorf("%q: bin/run %v %v", ref, info, err)
		}
		if target, err := os.Readlink(filepath.Join(dir, "out")); err != nil || target != "/etc/passwd" {
			t.Errorf("%q: link %q %v", ref, target, err)
		}
	}
	for ref, tc := range map[string]struct {
		limits checkpoint.Limits
		word   string
	}{
		"#nope": {checkpoint.Limits{}, "no such branch or tag"},
		"":      {checkpoint.Limits{Bytes: 100_000}, "larger than"},
		"x":     {checkpoint.Limits{}, "no such repository"},
	} {
		_, err := fetch(ref, tc.limits)
		if !errs.Is(err, errs.Unavailable) || !strings.Contains(err.Error(), tc.word) || !strings.Contains(err.Error(), url+"/repo"+ref) {
			t.Errorf("%q: %v", ref, err)
		}
	}
}

// A server that is not there is noticed within seconds, and one that says nothing within the time that is given.
func TestUnreachable(t *testing.T) {
	t.Parallel()
	began := time.Now()
	err := checkpoint.Fetch(t.Context(), "http://127.0.0.1:9/nobody/nothing.git", t.TempDir(), checkpoint.Limits{})
	if !errs.Is(err, errs.Unavailable) || !strings.Contains(err.Error(), "127.0.0.1:9") || !strings.Contains(err.Error(), "refused") {
		t.Error(err)
	}
	if d := time.Since(began); d > 5*time.Second {
		t.Errorf("it took %v", d)
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = l.Close() }()
	err = checkpoint.Fetch(t.Context(), "http://"+l.Addr().String()+"/x/y", t.TempDir(), checkpoint.Limits{Time: 300 * time.Millisecond})
	if !errs.Is(err, errs.Unavailable) || !strings.Contains(err.Error(), "within 300ms") {
		t.Error(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := checkpoint.Fetch(ctx, "http://"+l.Addr().String()+"/x/y", t.TempDir(), checkpoint.Limits{}); err == nil {
		t.Error("fetched after the end")
	}
}
