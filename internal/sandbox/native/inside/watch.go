//go:build linux

package inside

import (
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// The watch holds the limits that the kernel does not hold for a whole sandbox: memory and bytes in home. It looks only
// while a command or something that one left behind is alive; an idle sandbox never wakes.
const (
	memoryPeriod = 100 * time.Millisecond
	memoryPause  = time.Second     // after a look that found a false alarm
	diskPeriod   = 3 * time.Second // at least; a home that is slow to count is counted less often
	diskShare    = 20              // of the time, one part in this many goes into counting
)

// watch runs for the life of the sandbox.
func (in *machine) watch() {
	pages := int64(unix.Getpagesize())
	limit := in.limits.MemoryMB << 20
	var nextDisk time.Time
	for {
		if !in.busy.Load() {
			in.mu.Lock()
			for !in.busy.Load() {
				in.born.Wait()
			}
			in.mu.Unlock()
		}
		pause := memoryPeriod
		if in.roughMemory()*pages > limit {
			if !in.relieve(limit) {
				pause = memoryPause
			}
		}
		if now := time.Now(); now.After(nextDisk) {
			in.countHome()
			nextDisk = now.Add(max(diskPeriod, diskShare*time.Since(now)))
		}
		time.Sleep(pause)
	}
}

// roughMemory is a cheap upper bound of the memory in use, in pages.
func (in *machine) roughMemory() int64 {
	buf := make([]byte, 128)
	var sum int64
	in.eachPID(func(pid int) { sum += parseStatm(in.read(itoa(pid)+"/statm", buf)) })
	return sum
}

// relieve counts exactly and, if the limit is exceeded, kills the process that uses most. It reports whether it did.
func (in *machine) relieve(limit int64) bool {
	buf := make([]byte, 4096)
	pages := int64(unix.Getpagesize())
	var sum, most int64
	victim := 0
	in.eachPID(func(pid int) {
		kb, ok := parseRollup(in.read(itoa(pid)+"/smaps_rollup", buf))
		used := kb << 10
		if !ok { // a process that does not let itself be looked into
			used = parseStatm(in.read(itoa(pid)+"/statm", buf)) * pages
		}
		sum += used
		if used > most {
			victim, most = pid, used
		}
	})
	if sum <= limit || victim == 0 {
		return false
	}
	_ = unix.Kill(victim, unix.SIGKILL)
	notice("the commands used " + itoa(int(sum>>20)) + " MiB of memory, more than the limit of " + itoa(int(limit>>20)) +
		" MiB: killed the largest process, " + itoa(victim))
	return true
}

// countHome adds up the bytes in home. When they exceed the limit, no process may make a file grow until enough was
// deleted: deleting needs no such right, so the sandbox can help itself. Processes that ran at that time keep the
// restriction to their end.
func (in *machine) countHome() {
	limit := in.limits.DiskMB << 20
	full := usage(in.home, limit) > limit
	if was := in.full.Swap(full); full == was {
		if full {
			in.stopGrowth()
		}
		return
	}
	// Commands are born with the limits of init, so that not even their first write comes through.
	size := uint64(limit)
	now := syscall.Rlimit{Cur: size, Max: size}
	if full {
		now.Cur = 0
	}
	_ = syscall.Setrlimit(unix.RLIMIT_FSIZE, &now)
	if !full {
		notice("the home folder is below its limit again")
		return
	}
	in.stopGrowth()
	notice("the home folder holds more than its limit of " + itoa(int(in.limits.DiskMB)) +
		" MiB: files cannot grow until enough is deleted")
}

func (in *machine) stopGrowth() {
	in.eachPID(func(pid int) { _ = unix.Prlimit(pid, unix.RLIMIT_FSIZE, &unix.Rlimit{}, nil) })
}

// usage adds up the bytes on disk in a folder and below, without leaving its file system, and stops early above enough.
// Files with several names count for each.
func usage(dir int, enough int64) int64 {
	var top unix.Stat_t
	if unix.Fstat(dir, &top) != nil {
		return 0
	}
	buf := make([]byte, 8192)
	var sum int64
	var walk func(dir, depth int)
	walk = func(dir, depth int) {
		var names []string
		for {
			n, err := unix.ReadDirent(dir, buf)
			if err != nil || n <= 0 {
				break
			}
			_, _, names = unix.ParseDirent(buf[:n], -1, names)
		}
		for _, name := range names {
			var st unix.Stat_t
			if unix.Fstatat(dir, name, &st, unix.AT_SYMLINK_NOFOLLOW) != nil || st.Dev != top.Dev {
				continue
			}
			sum += st.Blocks * 512
			if sum > enough {
				return
			}
			if st.Mode&unix.S_IFMT != unix.S_IFDIR || depth == 0 {
				continue
			}
			sub, err := unix.Openat(dir, name, unix.O_RDONLY|unix.O_DIRECTORY|unix.O_NOFOLLOW|unix.O_CLOEXEC, 0)
			if err != nil {
				continue
			}
			walk(sub, depth-1)
			unix.Close(sub)
			if sum > enough {
				return
			}
		}
	}
	start, err := unix.Openat(dir, ".", unix.O_RDONLY|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
	if err != nil {
		return 0
	}
	defer unix.Close(start)
	walk(start, maxDepth)
	return sum
}

// maxDepth bounds how deep usage looks, and so its open descriptors.
const maxDepth = 200
