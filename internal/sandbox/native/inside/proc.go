//go:build linux

package inside

import (
	"bytes"
	"strconv"

	"golang.org/x/sys/unix"
)

// process is what init needs to know of one, from /proc/PID/stat (proc_pid_stat(5)).
type process struct {
	pid, parent, session int
	state                byte
}

// eachProcess calls f for every process of the sandbox but init. Those that end meanwhile are left out.
func (in *machine) eachProcess(f func(process)) {
	buf := make([]byte, 512)
	in.eachPID(func(pid int) {
		if p, ok := parseStat(in.read(itoa(pid)+"/stat", buf)); ok {
			f(p)
		}
	})
}

// eachPID calls f for the number of every process but init.
func (in *machine) eachPID(f func(pid int)) {
	dir, err := unix.Openat(in.proc, ".", unix.O_RDONLY|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
	if err != nil {
		return
	}
	defer unix.Close(dir)
	buf := make([]byte, 4096)
	var names []string
	for {
		n, err := unix.ReadDirent(dir, buf)
		if err != nil || n <= 0 {
			return
		}
		_, _, names = unix.ParseDirent(buf[:n], -1, names[:0])
		for _, name := range names {
			if pid, err := strconv.Atoi(name); err == nil && pid > 1 {
				f(pid)
			}
		}
	}
}

// read returns the start of a file below init's own /proc, nil if it cannot be read.
func (in *machine) read(path string, buf []byte) []byte {
	fd, err := unix.Openat(in.proc, path, unix.O_RDONLY|unix.O_CLOEXEC, 0)
	if err != nil {
		return nil
	}
	defer unix.Close(fd)
	n, err := unix.Read(fd, buf)
	if err != nil || n < 0 {
		return nil
	}
	return buf[:n]
}

// parseStat reads a line of /proc/PID/stat. The name in parentheses is the process's own choice and may hold anything,
// so fields count from the last closing one.
func parseStat(line []byte) (process, bool) {
	end := bytes.LastIndexByte(line, ')')
	start := bytes.IndexByte(line, ' ')
	if start < 0 || end < start {
		return process{}, false
	}
	fields := bytes.Fields(line[end+1:])
	if len(fields) < 4 || len(fields[0]) != 1 {
		return process{}, false
	}
	pid, err1 := strconv.Atoi(string(line[:start]))
	parent, err2 := strconv.Atoi(string(fields[1]))
	session, err3 := strconv.Atoi(string(fields[3]))
	if err1 != nil || err2 != nil || err3 != nil {
		return process{}, false
	}
	return process{pid: pid, parent: parent, session: session, state: fields[0][0]}, true
}

// parseStatm returns the memory of /proc/PID/statm that is the process's own and not of a file, in pages: resident
// without shared. Pages shared after a fork count in each process.
func parseStatm(line []byte) int64 {
	fields := bytes.Fields(line)
	if len(fields) < 3 {
		return 0
	}
	resident, _ := strconv.ParseInt(string(fields[1]), 10, 64)
	shared, _ := strconv.ParseInt(string(fields[2]), 10, 64)
	return max(resident-shared, 0)
}

// parseRollup returns the anonymous and shared memory of /proc/PID/smaps_rollup in kilobytes, each page divided by the
// number of its users, and false if the lines are missing.
func parseRollup(text []byte) (int64, bool) {
	var sum int64
	found := false
	for line := range bytes.Lines(text) {
		for _, key := range []string{"Pss_Anon:", "Pss_Shmem:"} {
			rest, ok := bytes.CutPrefix(line, []byte(key))
			if !ok {
				continue
			}
			if fields := bytes.Fields(rest); len(fields) > 0 {
				if n, err := strconv.ParseInt(string(fields[0]), 10, 64); err == nil {
					sum += n
					found = true
				}
			}
		}
	}
	return sum, found
}
