//go:build linux

package inside

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
)

func TestParseStat(t *testing.T) {
	t.Parallel()
	for line, want := range map[string]process{
		"7 (sh) S 1 7 7 0 -1 4194304 100":         {pid: 7, parent: 1, session: 7, state: 'S'},
		"7 (a b) (c) R 3 5 9 0":                   {pid: 7, parent: 3, session: 9, state: 'R'},
		"8 () Z 1 1 99 99) Z 2 6 4 0":             {pid: 8, parent: 2, session: 4, state: 'Z'}, // a name that lies
		"12 (evil\n1 (x) S 0 0 0) S 4 12 12 0 -1": {pid: 12, parent: 4, session: 12, state: 'S'},
	} {
		if got, ok := parseStat([]byte(line)); !ok || got != want {
			t.Errorf("%q: got %+v, %v", line, got, ok)
		}
	}
	for _, line := range []string{"", "7", "7 (sh", "7 sh) S", ") (", "x (sh) S 1 1 1", "7 (sh) S 1 1", "7 (sh) SS 1 1 1", "7 (sh) S x 1 1", "7 (sh) S 1 1 x"} {
		if got, ok := parseStat([]byte(line)); ok {
			t.Errorf("%q was read as %+v", line, got)
		}
	}
}

func FuzzParseStat(f *testing.F) {
	f.Add([]byte("7 (sh) S 1 7 7 0"))
	f.Add([]byte(") ("))
	f.Fuzz(func(_ *testing.T, line []byte) {
		parseStat(line)
		parseStatm(line)
		parseRollup(line)
	})
}

func TestParseMemory(t *testing.T) {
	t.Parallel()
	for line, want := range map[string]int64{"1000 300 100 5 0 200 0": 200, "1 2 3": 0, "1 2": 0, "": 0, "a b c": 0} {
		if got := parseStatm([]byte(line)); got != want {
			t.Errorf("statm %q: got %d, want %d", line, got, want)
		}
	}
	const rollup = "5577-7ffd ---p 00000000 00:00 0 [rollup]\nRss:  900 kB\nPss:  500 kB\nPss_Anon:  300 kB\nPss_File:  150 kB\nPss_Shmem:  50 kB\n"
	if got, ok := parseRollup([]byte(rollup)); !ok || got != 350 {
		t.Errorf("rollup: got %d, %v", got, ok)
	}
	if _, ok := parseRollup([]byte("Rss: 5 kB\n")); ok {
		t.Error("a rollup without its lines was read")
	}
	// The formats are what this kernel writes.
	self, err := os.ReadFile("/proc/self/smaps_rollup")
	if err != nil {
		t.Skipf("the kernel has no smaps_rollup: %v", err)
	}
	if got, ok := parseRollup(self); !ok || got <= 0 {
		t.Errorf("this process uses %d KiB, %v", got, ok)
	}
	statm, err := os.ReadFile("/proc/self/statm")
	if err != nil {
		t.Fatal(err)
	}
	if got := parseStatm(statm); got <= 0 {
		t.Errorf("this process uses %d pages", got)
	}
	stat, err := os.ReadFile("/proc/self/stat")
	if err != nil {
		t.Fatal(err)
	}
	if got, ok := parseStat(stat); !ok || got.pid != os.Getpid() || got.parent != os.Getppid() {
		t.Errorf("this process is %+v, %v", got, ok)
	}
}

func TestUsage(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	deep := filepath.Join(dir, "a", "b", "c")
	if err := os.MkdirAll(deep, 0o700); err != nil {
		t.Fatal(err)
	}
	for _, d := range []string{dir, deep} {
		if err := os.WriteFile(filepath.Join(d, "f"), []byte(strings.Repeat("x", 1<<20)), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.Symlink("/usr", filepath.Join(dir, "link")); err != nil {
		t.Fatal(err)
	}
	fd, err := unix.Open(dir, unix.O_RDONLY|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer unix.Close(fd)
	for range 2 { // the descriptor's own place must not move
		if got := usage(fd, 1<<40); got < 2<<20 || got > 3<<20 {
			t.Errorf("2 MiB are counted as %d bytes", got)
		}
	}
	if got := usage(fd, 1000); got <= 1000 || got > 2<<20 {
		t.Errorf("the count goes on to %d where 1000 are enough", got)
	}
}

func TestFind(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	for name, mode := range map[string]os.FileMode{"run": 0o755, "closed": 0o644} {
		if err := os.WriteFile(filepath.Join(dir, name), nil, mode); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.Mkdir(filepath.Join(dir, "folder"), 0o755); err != nil {
		t.Fatal(err)
	}
	env := []string{"X=1", "PATH=relative:/nowhere:" + dir}
	for name, want := range map[string]error{"run": nil, "absent": unix.ENOENT, "folder": unix.ENOENT, "closed": unix.EACCES, "./x": nil} {
		got, err := find(name, env)
		if err != want {
			t.Errorf("%s: %q, %v", name, got, err)
		}
	}
	if got, _ := find("run", env); got != filepath.Join(dir, "run") {
		t.Errorf("found %q", got)
	}
	if _, err := find("run", nil); err != unix.ENOENT {
		t.Errorf("without PATH: %v", err)
	}
}
