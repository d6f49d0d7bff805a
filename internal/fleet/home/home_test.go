package home_test

import (
	"context"
	"errors"
	"net"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"

	"github.com/google/go-cmp/cmp"
	"go.uber.org/goleak"

	"yardmaster/internal/errs"
	"yardmaster/internal/fleet/home"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func folder(t *testing.T) (*os.Root, string) {
	t.Helper()
	dir := t.TempDir()
	root, err := os.OpenRoot(dir)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = root.Close() })
	return root, dir
}

func TestParse(t *testing.T) {
	t.Parallel()
	for in, want := range map[string]home.Path{
		"":                       {Rel: "."},
		".":                      {Rel: "."},
		"~":                      {Rel: "."},
		"~/":                     {Rel: "."},
		"/home/agent":            {Rel: "."},
		"/home/agent/":           {Rel: "."},
		"a":                      {Rel: "a"},
		"a/b/":                   {Rel: "a/b"},
		"./a//./b":               {Rel: "a/b"},
		"~/a":                    {Rel: "a"},
		"/home/agent/a/b":        {Rel: "a/b"},
		"/home/agent//a":         {Rel: "a"},
		"...":                    {Rel: "..."},
		"a/..b":                  {Rel: "a/..b"},
		"~x":                     {Rel: "~x"},
		"skills":                 {Rel: ".", Skills: true},
		"/skills":                {Rel: ".", Skills: true},
		"skills/x/SKILL.md":      {Rel: "x/SKILL.md", Skills: true},
		"/skills/x":              {Rel: "x", Skills: true},
		"~/skills/x":             {Rel: "x", Skills: true},
		"/home/agent/skills":     {Rel: ".", Skills: true},
		"skillset":               {Rel: "skillset"},
		"my/skills":              {Rel: "my/skills"},
		`back\slash`:             {Rel: `back\slash`},
		strings.Repeat("x", 255): {Rel: strings.Repeat("x", 255)},
	} {
		got, err := home.Parse("path", in)
		if err != nil || got != want {
			t.Errorf("%q: %+v %v, want %+v", in, got, err, want)
		}
	}
	for _, in := range []string{"..", "../x", "a/../b", "/", "/etc/passwd", "//etc", "/home/agentx", "/home", "/skillsx", "a\x00b", "\xff", strings.Repeat("x", 256), strings.Repeat("x/", 2100), "skills/../x", "/home/agent/../x"} {
		if got, err := home.Parse("path", in); !errs.Is(err, errs.Invalid) || errs.Public(err).Fields[0].Path != "path" {
			t.Errorf("%.40q: %+v %v", in, got, err)
		}
	}
}

func FuzzParse(f *testing.F) {
	for _, s := range []string{"a/b", "../x", "~/..", "/skills/./x", "/home/agent//..//x", "skills//../.."} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		p, err := home.Parse("path", s)
		if err != nil {
			return
		}
		if !filepath.IsLocal(p.Rel) || filepath.Clean(p.Rel) != p.Rel {
			t.Errorf("%q is %q", s, p.Rel)
		}
		again, err := home.Parse("path", p.String())
		if err != nil || again != p {
			t.Errorf("%q is %+v, and its text %q is %+v: %v", s, p, p.String(), again, err)
		}
	})
}

// What is neither file nor folder is refused at once and never waited for.
func TestOddFiles(t *testing.T) {
	t.Parallel()
	root, dir := folder(t)
	if err := syscall.Mkfifo(filepath.Join(dir, "fifo"), 0o600); err != nil {
		t.Fatal(err)
	}
	l, err := net.Listen("unix", filepath.Join(dir, "socket"))
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = l.Close() }()
	names := []string{"fifo", "socket"}
	if err := syscall.Mknod(filepath.Join(dir, "null"), syscall.S_IFCHR|0o666, 1<<8|3); err == nil {
		names = append(names, "null")
	}
	for _, name := range names {
		if _, err := home.Read(root, name, 10); !errs.Is(err, errs.Conflict) || !strings.Contains(err.Error(), "not a regular file") {
			t.Errorf("%s: %v", name, err)
		}
	}
	entries, _, err := home.List(root, ".")
	if err != nil || len(entries) != len(names) {
		t.Fatalf("%+v %v", entries, err)
	}
	for _, e := range entries {
		if e.Type != home.TypeOther {
			t.Errorf("%+v", e)
		}
	}
}

func TestReadLimit(t *testing.T) {
	t.Parallel()
	root, _ := folder(t)
	if err := home.Write(root, "f", []byte("12345")); err != nil {
		t.Fatal(err)
	}
	if data, err := home.Read(root, "f", 5); err != nil || string(data) != "12345" {
		t.Errorf("%q %v", data, err)
	}
	if _, err := home.Read(root, "f", 4); !errs.Is(err, errs.TooLarge) {
		t.Error(err)
	}
}

// Whoever reads a file that is being replaced sees the old content or the new, and never a mixture.
func TestWriteIsWhole(t *testing.T) {
	t.Parallel()
	root, dir := folder(t)
	a, b := strings.Repeat("a", 1<<20), strings.Repeat("b", 1<<19)
	if err := home.Write(root, "f", []byte(a)); err != nil {
		t.Fatal(err)
	}
	var wg sync.WaitGroup
	wg.Go(func() {
		for range 10 {
			for _, text := range []string{b, a} {
				if err := home.Write(root, "f", []byte(text)); err != nil {
					t.Error(err)
				}
			}
		}
	})
	for range 50 {
		data, err := home.Read(root, "f", 2<<20)
		if err != nil || string(data) != a && string(data) != b {
			t.Fatalf("%d bytes: %v", len(data), err)
		}
	}
	wg.Wait()
	left, err := os.ReadDir(dir)
	if err != nil || len(left) != 1 {
		t.Errorf("%d files are left: %v", len(left), err)
	}
}

func TestManyEntries(t *testing.T) {
	t.Parallel()
	root, dir := folder(t)
	for i := range home.MaxEntries + 5 {
		f, err := os.Create(filepath.Join(dir, string(rune('a'+i%26))+strings.Repeat("x", i/26%200)+"-"+strings.Repeat("y", i/5200)))
		if err != nil {
			t.Fatal(err)
		}
		_ = f.Close()
	}
	entries, more, err := home.List(root, ".")
	if err != nil || len(entries) != home.MaxEntries || !more {
		t.Errorf("%d entries, more %v: %v", len(entries), more, err)
	}
}

func TestCopyBudget(t *testing.T) {
	t.Parallel()
	src, _ := folder(t)
	for _, name := range []string{"a", "d/b", "d/c"} {
		if err := home.Write(src, name, make([]byte, 100_000)); err != nil {
			t.Fatal(err)
		}
	}
	for name, tc := range map[string]struct {
		budget home.Budget
		code   errs.Code
	}{
		"enough":         {home.Budget{Bytes: 500_000, Entries: 4}, ""},
		"bytes":          {home.Budget{Bytes: 250_000, Entries: 100}, errs.TooLarge},
		"entries":        {home.Budget{Bytes: 500_000, Entries: 3}, errs.TooLarge},
		"nothing at all": {home.Budget{}, errs.TooLarge},
	} {
		dst, _ := folder(t)
		if err := home.Copy(t.Context(), dst, src, &tc.budget); errs.CodeOf(err) != tc.code {
			t.Errorf("%s: %v", name, err)
		}
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	dst, _ := folder(t)
	if err := home.Copy(ctx, dst, src, &home.Budget{Bytes: 1 << 20, Entries: 100}); !errors.Is(err, context.Canceled) {
		t.Errorf("cancelled: %v", err)
	}
}

// A source that is changed wildly while it is copied leads the copy nowhere.
func TestCopyOfAMovingTarget(t *testing.T) {
	t.Parallel()
	src, dir := folder(t)
	outside := filepath.Join(t.TempDir(), "host")
	if err := os.MkdirAll(outside, 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(outside, "secret"), []byte("host secret"), 0o600); err != nil {
		t.Fatal(err)
	}
	stop := make(chan struct{})
	var wg sync.WaitGroup
	wg.Go(func() {
		at := filepath.Join(dir, "x")
		for {
			select {
			case <-stop:
				return
			default:
			}
			_ = os.Mkdir(at, 0o700)
			_ = os.WriteFile(filepath.Join(at, "secret"), []byte("own"), 0o600)
			_ = os.RemoveAll(at)
			_ = os.Symlink(outside, at)
			_ = os.Remove(at)
			_ = os.WriteFile(at, []byte("file"), 0o600)
			_ = os.Remove(at)
			_ = syscall.Mkfifo(at, 0o600)
			_ = os.Remove(at)
		}
	})
	for range 300 {
		dst, out := folder(t)
		if err := home.Copy(t.Context(), dst, src, &home.Budget{Bytes: 1 << 30, Entries: 1 << 20}); err != nil {
			t.Errorf("%v", err)
			break
		}
		if text, err := os.ReadFile(filepath.Join(out, "x", "secret")); err == nil && string(text) != "own" && string(text) != "" {
			if info, err := os.Lstat(filepath.Join(out, "x")); err != nil || info.Mode()&os.ModeSymlink == 0 {
				t.Fatalf("the copy holds %q", text)
			}
		}
	}
	close(stop)
	wg.Wait()
}

func TestDelete(t *testing.T) {
	t.Parallel()
	root, dir := folder(t)
	for _, name := range []string{"d/e/f", "d/g", "h"} {
		if err := home.Write(root, name, nil); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.Chmod(filepath.Join(dir, "d/e"), 0); err != nil {
		t.Fatal(err)
	}
	got := []errs.Code{}
	for _, tc := range []struct {
		name      string
		recursive bool
	}{{"d", false}, {"d", true}, {"h", true}, {"h", false}, {".", true}} {
		got = append(got, errs.CodeOf(home.Delete(root, tc.name, tc.recursive)))
	}
	if diff := cmp.Diff([]errs.Code{errs.Conflict, "", "", errs.NotFound, errs.Invalid}, got); diff != "" {
		t.Error(diff)
	}
}
