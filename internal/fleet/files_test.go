package fleet_test

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/google/go-cmp/cmp"

	"yardmaster/internal/errs"
	"yardmaster/internal/fleet"
	"yardmaster/internal/op"
)

func TestFiles(t *testing.T) {
	t.Parallel()
	y := newYard(t)
	y.make("w")
	for _, path := range []string{"a/b/c.txt", "~/tilde.txt", "/home/agent/abs.txt", "./dot.txt", "with space & ü.txt", "a//double.txt", ".hidden"} {
		y.write("w", path, "text of "+path)
		if got := y.read("w", path); got != "text of "+path {
			t.Errorf("%s: %q", path, got)
		}
	}
	y.write("w", "a/b/c.txt", "")
	if got := y.read("w", "a/b/c.txt"); got != "" {
		t.Errorf("emptied file: %q", got)
	}
	for path, want := range map[string]string{
		"":                 ".hidden a abs.txt dot.txt tilde.txt with space & ü.txt",
		"a":                "b double.txt",
		"/home/agent/a/b/": "c.txt",
		"a/b/c.txt":        "c.txt",
		"skills":           "",
	} {
		out, err := y.ListFiles(y.ctx, fleet.FilesIn{ID: "w", Path: path})
		if err != nil {
			t.Errorf("%q: %v", path, err)
			continue
		}
		var names []string
		for _, e := range out.Entries {
			names = append(names, e.Name)
		}
		if got := strings.Join(names, " "); got != want {
			t.Errorf("list %q: %q, want %q", path, got, want)
		}
	}
	out, err := y.ListFiles(y.ctx, fleet.FilesIn{ID: "w"})
	if err != nil || out.Entries[1].Type != "folder" || out.Entries[2].Type != "file" || out.Entries[2].Size != int64(len("text of /home/agent/abs.txt")) || out.Entries[2].Mode != "-rw-r--r--" {
		t.Errorf("%+v %v", out, err)
	}
	// A replaced file keeps its mode, and nothing of the writing is left.
	y.run("w", "chmod 750 .hidden")
	y.write("w", ".hidden", "new")
	if got := y.run("w", "stat -c %a .hidden; ls -a | grep -c yardmaster").Stdout; got != "750\n0\n" {
		t.Errorf("%q", got)
	}
	del := func(path string, recursive bool) error {
		_, err := y.DeleteFile(y.ctx, fleet.FileDeleteIn{ID: "w", Path: path, Recursive: recursive})
		return err
	}
	want(t, del("a", false), errs.Conflict, "not empty")
	want(t, del("none", false), errs.NotFound, "none")
	want(t, del(".", true), errs.Invalid, "home folder")
	want(t, del("", true), errs.Invalid, "home folder")
	for _, path := range []string{"a/b/c.txt", "a/b"} {
		if err := del(path, false); err != nil {
			t.Error(err)
		}
	}
	if err := del("a", true); err != nil {
		t.Error(err)
	}
	_, err = y.ReadFileOp(y.ctx, fleet.FileIn{ID: "w", Path: "a/double.txt"})
	want(t, err, errs.NotFound, "a/double.txt")
	_, err = y.ReadFileOp(y.ctx, fleet.FileIn{ID: "w", Path: "."})
	want(t, err, errs.Conflict, "folder")
	want(t, y.WriteFile(y.ctx, "w", "dot.txt/x", nil), errs.Conflict, "dot.txt")
	y.run("w", "mkdir dir")
	want(t, y.WriteFile(y.ctx, "w", "dir", nil), errs.Conflict, "is a folder")
	want(t, y.WriteFile(y.ctx, "w", "skills/x", nil), errs.Invalid, "read-only")
	want(t, del("skills/x", false), errs.Invalid, "read-only")
	want(t, y.WriteFile(y.ctx, "w", "big", make([]byte, 64<<20+1)), errs.TooLarge, "64 MiB")
}

func TestFileText(t *testing.T) {
	t.Parallel()
	y := newYard(t)
	y.make("w")
	long := strings.Repeat("é", 64<<10)
	y.write("w", "long", "x"+long)
	out, err := y.ReadFileOp(y.ctx, fleet.FileIn{ID: "w", Path: "long"})
	if err != nil || !out.Truncated || len(out.Text) != 64<<10-1 || out.Size != 1+len(long) || strings.ContainsRune(out.Text, 0xFFFD) {
		t.Errorf("%d of %d bytes, truncated %v: %v", len(out.Text), out.Size, out.Truncated, err)
	}
	if typ, body := out.RawBody(); typ != "text/plain; charset=utf-8" || string(body) != "x"+long {
		t.Errorf("%s, %d bytes", typ, len(body))
	}
	y.write("w", "edge", strings.Repeat("x", 64<<10-5)+"hunter2-secret"+long)
	if out, err = y.ReadFileOp(y.ctx, fleet.FileIn{ID: "w", Path: "edge"}); err != nil || !out.Truncated || len(out.Text) < 64<<10-20 || strings.Contains(out.Text, "hunt") {
		t.Errorf("%d bytes, ending in %q: %v", len(out.Text), out.Text[len(out.Text)-20:], err)
	}
	if _, err := y.WriteFileOp(y.ctx, fleet.FileWriteIn{ID: "w", Path: "bin", Content: op.Text("\xff\x00\x01")}); err != nil {
		t.Fatal(err)
	}
	out, err = y.ReadFileOp(y.ctx, fleet.FileIn{ID: "w", Path: "bin"})
	if err != nil || !out.Binary || out.Text != "" {
		t.Errorf("%+v %v", out, err)
	}
	if typ, body := out.RawBody(); typ != "application/octet-stream" || string(body) != "\xff\x00\x01" {
		t.Errorf("%s %q", typ, body)
	}
	y.write("w", "page.html", "<script>hunter2-secret</script>")
	out, err = y.ReadFileOp(y.ctx, fleet.FileIn{ID: "w", Path: "page.html"})
	if typ, body := out.RawBody(); err != nil || strings.Contains(typ, "html") || !strings.Contains(string(body), "hunter2") || out.Text != "<script>[hidden]</script>" {
		t.Errorf("%s %q %q %v", typ, body, out.Text, err)
	}
}

// Nothing that an instance can make in its home leads the platform out of it.
func TestEscapes(t *testing.T) {
	t.Parallel()
	y := newYard(t)
	in := y.make("w")
	other := y.make("other")
	y.write("other", "private.txt", "of another")
	outside := filepath.Join(y.dir, "outside.txt")
	if err := os.WriteFile(outside, []byte("host file"), 0o600); err != nil {
		t.Fatal(err)
	}
	home := filepath.Join(y.dir, "instances", in.ID, "home")
	link := func(target, name string) {
		if err := os.Symlink(target, filepath.Join(home, name)); err != nil {
			t.Fatal(err)
		}
	}
	link(outside, "abs")
	link("../../../outside.txt", "rel")
	link("../..", "dir")
	link("/", "root")
	link("loop", "loop")
	link("../../"+other.ID+"/home", "neighbour")
	link("nowhere", "dangling")
	if err := syscall.Mkfifo(filepath.Join(home, "fifo"), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, path := range []string{
		"abs", "rel", "dir/" + other.ID + "/home/private.txt", "root/etc/passwd", "neighbour/private.txt", "loop", "fifo", "dangling",
		"../x", "a/../../x", "..", "/etc/passwd", "/home/agent/../../x", "~root/x", "/home/agentx", "\x00", "a\x00b", strings.Repeat("x", 300), strings.Repeat("a/", 3000),
		"/skills/../home/x", "skills/../../x", "\xff",
	} {
		if out, err := y.ReadFileOp(y.ctx, fleet.FileIn{ID: "w", Path: path}); err == nil || errs.CodeOf(err) == errs.Internal {
			t.Errorf("read %.40q: %q %v", path, out.Text, err)
		}
		_, err := y.ListFiles(y.ctx, fleet.FilesIn{ID: "w", Path: path})
		if path != "fifo" && (err == nil || errs.CodeOf(err) == errs.Internal) {
			t.Errorf("list %.40q: %v", path, err)
		}
	}
	for _, path := range []string{"dir/pwned", "root/tmp/pwned", "neighbour/pwned", "loop/x", "fifo/x", "../pwned", "/tmp/pwned"} {
		if err := y.WriteFile(y.ctx, "w", path, []byte("x")); err == nil || errs.CodeOf(err) == errs.Internal {
			t.Errorf("write %q: %v", path, err)
		}
		if _, err := y.DeleteFile(y.ctx, fleet.FileDeleteIn{ID: "w", Path: path}); err == nil || errs.CodeOf(err) == errs.Internal {
			t.Errorf("delete %q: %v", path, err)
		}
	}
	// Writing to a link and deleting one are about the link.
	for _, name := range []string{"abs", "rel"} {
		y.write("w", name, "mine")
		if _, err := y.DeleteFile(y.ctx, fleet.FileDeleteIn{ID: "w", Path: name}); err != nil {
			t.Error(err)
		}
	}
	for _, name := range []string{"root", "neighbour", "dir"} {
		if _, err := y.DeleteFile(y.ctx, fleet.FileDeleteIn{ID: "w", Path: name, Recursive: true}); err != nil {
			t.Error(err)
		}
	}
	if got, err := os.ReadFile(outside); err != nil || string(got) != "host file" {
		t.Errorf("the host's file: %q %v", got, err)
	}
	if got := y.read("other", "private.txt"); got != "of another" {
		t.Errorf("the neighbour's file: %q", got)
	}
	if exists("/tmp/pwned") || exists(filepath.Join(y.dir, "instances", "pwned")) {
		t.Error("something was written outside")
	}
	// A home that is full of traps goes away whole.
	link("/", "root")
	if _, err := y.Delete(y.ctx, fleet.RefIn{ID: "w"}); err != nil {
		t.Fatal(err)
	}
	if exists(filepath.Dir(home)) || !exists(outside) {
		t.Error("the folder is left, or too much went")
	}
}

func TestClone(t *testing.T) {
	t.Parallel()
	y := newYard(t)
	text := func(s string) *string { return &s }
	src := y.makeWith(fleet.CreateIn{Name: "golden", Kind: fleet.Blank, Labels: map[string]string{"env": "prod"}, Skills: []string{"greeter"},
		Config: &fleet.ConfigChange{Instructions: text("Be brief."), Environment: map[string]*string{"A": text("1")}}})
	y.run("golden", `mkdir -p d/e; echo hi >d/e/f; chmod 750 d/e/f; ln -s d/e/f link; ln -s /etc/passwd out; mkfifo pipe; touch -d 2020-01-01 d/e/f
		truncate -s 1G hole; printf end >>hole; mkdir -m 500 closed; chmod u+s d/e/f`)
	y.run("golden", "echo to the log")
	if _, err := y.Restart(y.ctx, fleet.RefIn{ID: "golden"}); err != nil {
		t.Fatal(err)
	}
	one, err := y.Clone(y.ctx, fleet.CloneIn{ID: "golden"})
	if err != nil {
		t.Fatal(err)
	}
	got := y.get(one.Instances[0].ID)
	if y.settle(got.ID) != fleet.Active || got.Name != "golden-clone" || got.Kind != fleet.Blank || got.Labels["env"] != "prod" || got.ClonedFrom != src.ID || got.Restarts != 0 ||
		len(got.Skills) != 1 || got.Skills[0].Name != "greeter" {
		t.Errorf("%+v", got)
	}
	out := y.run(got.ID, `cat d/e/f; stat -c '%a %Y' d/e/f; readlink link; readlink out; stat -c %a closed; test -e pipe && echo pipe; stat -c %s hole; tail -c 3 hole; echo; test $(du -k hole | cut -f1) -lt 1000 && echo sparse`)
	if diff := cmp.Diff("hi\n750 1577836800\nd/e/f\n/etc/passwd\n500\n1073741827\nend\nsparse\n", out.Stdout); diff != "" {
		t.Errorf("%s %s", diff, out.Stderr)
	}
	if got := y.read("golden-clone", "skills/greeter/SKILL.md"); got != "sha256:greeter-2" {
		t.Errorf("skill: %q", got)
	}
	c, err := y.GetConfig(y.ctx, fleet.RefIn{ID: "golden-clone"})
	if err != nil || c.Revision != 1 || c.Config.Instructions != "Be brief." || c.Config.Environment["A"] != "1" {
		t.Errorf("%+v %v", c, err)
	}
	if l, err := y.Logs(y.ctx, fleet.LogsIn{ID: "golden-clone"}); err != nil || strings.Contains(fmt.Sprint(l), "to the log") {
		t.Errorf("%v %v", l, err)
	}
	// Changes of one do not reach the other.
	y.write("golden-clone", "d/e/f", "changed")
	if got := y.read("golden", "d/e/f"); got != "hi\n" {
		t.Errorf("the source has %q", got)
	}
	names := func(in fleet.CloneIn) string {
		t.Helper()
		out, err := y.Clone(y.ctx, in)
		if err != nil {
			return err.Error()
		}
		var names []string
		for _, c := range out.Instances {
			names = append(names, c.Name)
		}
		return strings.Join(names, " ")
	}
	for _, tc := range []struct {
		in   fleet.CloneIn
		want string
	}{
		{fleet.CloneIn{ID: "golden"}, "golden-clone-2"},
		{fleet.CloneIn{ID: "golden", Count: 2}, "golden-2 golden-3"},
		{fleet.CloneIn{ID: "golden", Name: "silver"}, "silver"},
		{fleet.CloneIn{ID: "golden", Name: "bronze", Count: 2}, "bronze-1 bronze-2"},
	} {
		if got := names(tc.in); got != tc.want {
			t.Errorf("%+v: %s, want %s", tc.in, got, tc.want)
		}
	}
	before, err := y.List(y.ctx, fleet.ListIn{})
	if err != nil {
		t.Fatal(err)
	}
	_, err = y.Clone(y.ctx, fleet.CloneIn{ID: "golden", Name: "bronze", Count: 5})
	want(t, err, errs.Conflict, "bronze-1")
	_, err = y.Clone(y.ctx, fleet.CloneIn{ID: "golden", Name: "a/b"})
	want(t, err, errs.Invalid, "name")
	_, err = y.Clone(y.ctx, fleet.CloneIn{ID: "golden", Count: 101})
	want(t, err, errs.Invalid, "count")
	after, err := y.List(y.ctx, fleet.ListIn{})
	if err != nil || len(after.Instances) != len(before.Instances) {
		t.Errorf("%d instances, %d before: %v", len(after.Instances), len(before.Instances), err)
	}
	for _, in := range after.Instances {
		if s := y.settle(in.ID); s != fleet.Active {
			t.Errorf("%s is %s: %s", in.Name, s, y.get(in.ID).LastError)
		}
	}
}
