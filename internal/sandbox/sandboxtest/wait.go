//go:build linux

package sandboxtest

import (
	"bufio"
	"io"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// lineReader reads lines of a live stream.
type lineReader struct {
	t *testing.T
	r *bufio.Reader
}

func newLineReader(t *testing.T, r io.Reader) *lineReader { return &lineReader{t, bufio.NewReader(r)} }

// next returns the next line without its end.
func (l *lineReader) next() string {
	l.t.Helper()
	line, err := l.r.ReadString('\n')
	if err != nil {
		l.t.Fatalf("read a line: %v", err)
	}
	return strings.TrimSuffix(line, "\n")
}

// hostProcess is a process seen from the host, safe against reuse of its number.
type hostProcess struct{ pid, fd int }

// openProcess takes hold of a process of the host.
func openProcess(t *testing.T, pid int) hostProcess {
	t.Helper()
	fd, err := unix.PidfdOpen(pid, 0)
	if err != nil {
		t.Fatalf("process %d: %v", pid, err)
	}
	t.Cleanup(func() { unix.Close(fd) })
	return hostProcess{pid, fd}
}

// ends reports whether the process has ended, waiting for it up to d.
func (p hostProcess) ends(d time.Duration) bool {
	deadline := time.Now().Add(d)
	for {
		left := max(time.Until(deadline), 0)
		n, err := unix.Poll([]unix.PollFd{{Fd: int32(p.fd), Events: unix.POLLIN}}, int(left.Milliseconds()))
		if err == unix.EINTR {
			continue
		}
		return err == nil && n == 1
	}
}

// findProcesses returns the processes of the host whose command line contains marker, other than this one.
func findProcesses(t *testing.T, marker string) []int {
	t.Helper()
	entries, err := os.ReadDir("/proc")
	if err != nil {
		t.Fatal(err)
	}
	var pids []int
	for _, e := range entries {
		pid, err := strconv.Atoi(e.Name())
		if err != nil || pid == os.Getpid() {
			continue
		}
		line, err := os.ReadFile(filepath.Join("/proc", e.Name(), "cmdline"))
		if err == nil && strings.Contains(string(line), marker) {
			pids = append(pids, pid)
		}
	}
	return pids
}
