package sandbox

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"syscall"
	"testing"

	"github.com/google/go-cmp/cmp"

	"yardmaster/internal/errs"
)

func TestNormalize(t *testing.T) {
	t.Parallel()
	given := Command{Argv: []string{"a"}, Env: append(make([]string, 0, 100), "HOME=/x", "A=")}
	got, err := given.Normalize()
	if err != nil {
		t.Fatal(err)
	}
	want := []string{"HOME=/x", "A=", DefaultEnv[0], "USER=agent", "LANG=C.UTF-8"}
	if diff := cmp.Diff(want, got.Env); diff != "" {
		t.Errorf("environment (-want +got):\n%s", diff)
	}
	if got.Dir != HomeDir || len(given.Env) != 2 || given.Env[:3][2] != "" {
		t.Errorf("folder %q; the caller's slice was written to: %q", got.Dir, given.Env[:3])
	}
	for name, c := range map[string]Command{
		"no program":    {},
		"empty program": {Argv: []string{""}},
		"NUL in argv":   {Argv: []string{"a", "b\x00"}},
		"no equals":     {Argv: []string{"a"}, Env: []string{"A"}},
		"no name":       {Argv: []string{"a"}, Env: []string{"=x"}},
		"NUL in env":    {Argv: []string{"a"}, Env: []string{"A=\x00"}},
		"relative dir":  {Argv: []string{"a"}, Dir: "x"},
		"NUL in dir":    {Argv: []string{"a"}, Dir: "/x\x00"},
	} {
		if _, err := c.Normalize(); !errs.Is(err, errs.Invalid) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestLimitsWithDefaults(t *testing.T) {
	t.Parallel()
	want := DefaultLimits
	want.Processes = 3
	if diff := cmp.Diff(want, Limits{Processes: 3}.WithDefaults()); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

func TestFactsComplete(t *testing.T) {
	t.Parallel()
	whole := func() Facts {
		f := Facts{}
		for _, k := range FactKeys() {
			f[k] = Fact{Soft, "because"}
		}
		return f
	}
	if !whole().Complete() {
		t.Error("a whole set is not complete")
	}
	for name, spoil := range map[string]func(Facts){
		"a key is missing": func(f Facts) { delete(f, "net") },
		"a key too many":   func(f Facts) { f["luck"] = Fact{Soft, "x"} },
		"no reason":        func(f Facts) { f["net"] = Fact{Level: None} },
		"a strange level":  func(f Facts) { f["net"] = Fact{"secure", "x"} },
	} {
		f := whole()
		spoil(f)
		if f.Complete() {
			t.Errorf("complete although %s", name)
		}
	}
}

func TestOwn(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	for _, name := range []string{"f", "sub/f"} {
		path := filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, nil, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	root, err := os.OpenRoot(dir)
	if err != nil {
		t.Fatal(err)
	}
	defer root.Close()
	if err := Own(root, "sub/f"); err != nil {
		t.Errorf("nothing to do: %v", err)
	}
	if err := Own(root, "absent"); !errs.Is(err, errs.NotFound) {
		t.Errorf("an absent file: %v", err)
	}
	if err := Own(root, "../escape"); err == nil {
		t.Error("a path led out of the home")
	}
	if os.Geteuid() != 0 {
		t.Skip("only root can give files to other users")
	}
	outside := filepath.Join(t.TempDir(), "outside")
	if err := os.WriteFile(outside, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink(outside, filepath.Join(dir, "link")); err != nil {
		t.Fatal(err)
	}
	if err := os.Chown(dir, 54321, 54322); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"f", "sub", "sub/f", "link"} {
		if err := Own(root, name); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
	for path, want := range map[string]uint32{"f": 54321, "sub/f": 54321, "link": 54321, outside: 0} {
		if !filepath.IsAbs(path) {
			path = filepath.Join(dir, path)
		}
		info, err := os.Lstat(path)
		if err != nil {
			t.Fatal(err)
		}
		if got := info.Sys().(*syscall.Stat_t).Uid; got != want {
			t.Errorf("%s belongs to %d, want %d", filepath.Base(path), got, want)
		}
	}
}

// fakeDriver runs nothing.
type fakeDriver struct{}

func (fakeDriver) Name() string                                 { return "fake" }
func (fakeDriver) Probe(context.Context) (Facts, error)         { return Facts{}, nil }
func (fakeDriver) Start(context.Context, Spec) (Sandbox, error) { return fakeSandbox{}, nil }
func (fakeDriver) Close() error                                 { return nil }

type fakeSandbox struct{}

func (fakeSandbox) Exec(context.Context, Command) (Process, error) { return fakeProcess{}, nil }
func (fakeSandbox) Done() <-chan struct{}                          { return nil }
func (fakeSandbox) Kill() error                                    { return nil }
func (fakeSandbox) PID() int                                       { return 7 }

type fakeProcess struct{}

func (fakeProcess) Wait() (Exit, error)         { return Exit{Code: 3}, nil }
func (fakeProcess) Signal(syscall.Signal) error { return nil }
func (fakeProcess) Kill() error                 { return nil }

func TestFault(t *testing.T) {
	t.Parallel()
	boom := errors.New("boom")
	use := func(d Driver) (errs []error) {
		note := func(err error) bool { errs = append(errs, err); return err == nil }
		_, err := d.Probe(t.Context())
		note(err)
		s, err := d.Start(t.Context(), Spec{ID: "i"})
		if !note(err) {
			return errs
		}
		p, err := s.Exec(t.Context(), Command{Argv: []string{"a"}})
		if !note(err) {
			return errs
		}
		exit, err := p.Wait()
		note(err)
		if exit.Code != 3 || s.PID() != 7 || d.Name() != "fake" {
			t.Errorf("something did not pass through: %+v", exit)
		}
		note(p.Signal(1))
		note(s.Kill())
		return errs
	}
	equal := func(a, b error) bool { return errors.Is(a, b) }
	for name, c := range map[string]struct {
		faults Faults
		want   []error
	}{
		"none":   {Faults{}, []error{nil, nil, nil, nil, nil, nil}},
		"probe":  {Faults{Probe: func() error { return boom }}, []error{boom, nil, nil, nil, nil, nil}},
		"start":  {Faults{Start: func(s Spec) error { return boom }}, []error{nil, boom}},
		"exec":   {Faults{Exec: func(s Spec, c Command) error { return boom }}, []error{nil, nil, boom}},
		"wait":   {Faults{Wait: func(s Spec, c Command, e Exit) error { return boom }}, []error{nil, nil, nil, boom, nil, nil}},
		"signal": {Faults{Signal: func(s Spec, sig syscall.Signal) error { return boom }}, []error{nil, nil, nil, nil, boom, nil}},
		"kill":   {Faults{Kill: func(s Spec) error { return boom }}, []error{nil, nil, nil, nil, nil, boom}},
		"let through": {Faults{Start: func(s Spec) error {
			if s.ID != "i" {
				return boom
			}
			return nil
		}}, []error{nil, nil, nil, nil, nil, nil}},
	} {
		if got := use(Fault(fakeDriver{}, c.faults)); !cmp.Equal(c.want, got, cmp.Comparer(equal)) {
			t.Errorf("%s: got %v, want %v", name, got, c.want)
		}
	}
}
