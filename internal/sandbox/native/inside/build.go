//go:build linux

package inside

import (
	"strconv"
	"strings"

	"golang.org/x/sys/unix"

	"yardmaster/internal/sandbox/native/wire"
)

// mountPoint is where the new root is attached until it becomes the root. Any folder that every host has will do,
// because all that is taken from the host is held by descriptors before.
const mountPoint = "/usr"

// readOnly are the attributes of what the host shows.
const readOnly = unix.MOUNT_ATTR_RDONLY | unix.MOUNT_ATTR_NOSUID | unix.MOUNT_ATTR_NODEV

// devices of /dev that are the host's own.
var devices = []string{"null", "zero", "full", "random", "urandom", "tty"}

// build makes the file system of the sandbox and moves into it. Every step works on descriptors, so that nothing that
// the host or an instance puts at a path in the meantime can redirect it.
func (in *machine) build(s wire.Setup, fds []int) error {
	if err := unix.Mount("", "/", "", unix.MS_REC|unix.MS_PRIVATE, ""); err != nil {
		return step("make the mounts private", err)
	}
	if err := unix.Sethostname([]byte(s.Hostname)); err != nil {
		return step("set the host name", err)
	}
	unix.Umask(0)

	// What comes from the host.
	type source struct {
		path string // below the new root
		tree int
	}
	var host []source
	take := func(path string) (int, error) {
		return unix.OpenTree(unix.AT_FDCWD, path, unix.OPEN_TREE_CLONE|unix.OPEN_TREE_CLOEXEC|unix.AT_RECURSIVE)
	}
	for _, path := range s.Binds {
		tree, err := take(path)
		if err == unix.ENOENT {
			continue
		}
		if err != nil {
			return step("bind "+path, err)
		}
		host = append(host, source{strings.TrimPrefix(path, "/"), tree})
	}
	var nodes []source
	for _, name := range devices {
		tree, err := take("/dev/" + name)
		if err != nil {
			return step("bind /dev/"+name, err)
		}
		nodes = append(nodes, source{"dev/" + name, tree})
	}
	folder := func(byFD bool, path string) (int, error) {
		if !byFD {
			return take(path)
		}
		if len(fds) == 0 {
			return -1, unix.EPROTO
		}
		tree := fds[0]
		fds = fds[1:]
		return tree, nil
	}
	home, err := folder(s.HomeFD, s.Home)
	if err != nil {
		return step("bind the home folder", err)
	}
	skills := -1
	if s.SkillsFD || s.Skills != "" {
		if skills, err = folder(s.SkillsFD, s.Skills); err != nil {
			return step("bind the skills folder", err)
		}
	}

	// A root in memory, with a place for everything.
	root, err := tmpfs("size=1m", "nr_inodes=1024", "mode=0755")
	if err != nil {
		return step("mount the root", err)
	}
	if err := attach(root, unix.AT_FDCWD, mountPoint); err != nil {
		return step("attach the root", err)
	}
	for _, dir := range []string{"dev/pts", "dev/shm", "etc", "home/agent", "proc", "run", "skills", "tmp", "var"} {
		if err := mkdirAll(root, dir); err != nil {
			return step("make /"+dir, err)
		}
	}
	links := append([]wire.Pair{
		{Path: "/var/tmp", Value: "/tmp"}, {Path: "/var/run", Value: "/run"},
		{Path: "/dev/fd", Value: "/proc/self/fd"}, {Path: "/dev/stdin", Value: "/proc/self/fd/0"},
		{Path: "/dev/stdout", Value: "/proc/self/fd/1"}, {Path: "/dev/stderr", Value: "/proc/self/fd/2"},
		{Path: "/dev/ptmx", Value: "pts/ptmx"},
	}, s.Links...)
	for _, l := range links {
		path := strings.TrimPrefix(l.Path, "/")
		if err := mkdirAll(root, parent(path)); err != nil {
			return step("make the folder of "+l.Path, err)
		}
		if err := unix.Symlinkat(l.Value, root, path); err != nil {
			return step("link "+l.Path, err)
		}
	}
	for _, f := range s.Files {
		if err := writeFile(root, strings.TrimPrefix(f.Path, "/"), f.Value); err != nil {
			return step("write "+f.Path, err)
		}
	}
	for _, h := range append(host, nodes...) {
		var st unix.Stat_t
		if err := unix.Fstat(h.tree, &st); err != nil {
			return step("look at /"+h.path, err)
		}
		if st.Mode&unix.S_IFMT == unix.S_IFDIR {
			err = mkdirAll(root, h.path)
		} else {
			err = writeFile(root, h.path, "")
		}
		if err != nil {
			return step("make a place for /"+h.path, err)
		}
	}

	// Read-only parts.
	for _, h := range host {
		if err := place(h.tree, root, h.path, readOnly); err != nil {
			return step("place /"+h.path, err)
		}
	}
	for _, n := range nodes {
		if err := place(n.tree, root, n.path, unix.MOUNT_ATTR_NOSUID|unix.MOUNT_ATTR_NOEXEC); err != nil {
			return step("place /"+n.path, err)
		}
	}
	if skills >= 0 {
		if err := place(skills, root, "skills", readOnly); err != nil {
			return step("place /skills", err)
		}
	}
	if err := in.procfs(root); err != nil {
		return err
	}

	// Parts that can be written.
	if err := place(home, root, "home/agent", unix.MOUNT_ATTR_NOSUID|unix.MOUNT_ATTR_NODEV); err != nil {
		return step("place the home folder", err)
	}
	size := "size=" + strconv.FormatInt(s.TmpMB, 10) + "m"
	// A file in memory takes about a kilobyte of the kernel beside its bytes.
	inodes := "nr_inodes=" + strconv.FormatInt(s.TmpMB*256, 10)
	for _, dir := range []string{"tmp", "dev/shm"} {
		fd, err := tmpfs(size, inodes, "mode=1777")
		if err != nil {
			return step("mount /"+dir, err)
		}
		if err := place(fd, root, dir, 0); err != nil {
			return step("place /"+dir, err)
		}
	}
	pts, err := mountFS("devpts", unix.MOUNT_ATTR_NOSUID|unix.MOUNT_ATTR_NOEXEC, "newinstance", "ptmxmode=0666", "mode=0620")
	if err != nil {
		return step("mount /dev/pts", err)
	}
	if err := place(pts, root, "dev/pts", 0); err != nil {
		return step("place /dev/pts", err)
	}
	return in.enter(root)
}

// enter makes root the root and forgets the host's.
func (in *machine) enter(root int) error {
	if err := unix.Fchdir(root); err != nil {
		return step("enter the root", err)
	}
	if err := unix.PivotRoot(".", "."); err != nil {
		return step("change the root", err)
	}
	// The old root now lies over the new one; "." is still the old one.
	if err := unix.Unmount(".", unix.MNT_DETACH); err != nil {
		return step("leave the host's root", err)
	}
	if err := unix.Chdir("/"); err != nil {
		return step("enter the root", err)
	}
	if err := unix.MountSetattr(unix.AT_FDCWD, "/", 0, &unix.MountAttr{Attr_set: readOnly}); err != nil {
		return step("make the root read-only", err)
	}
	unix.Close(root)
	var err error
	if in.null, err = unix.Open("/dev/null", unix.O_RDWR|unix.O_CLOEXEC, 0); err != nil {
		return step("open /dev/null", err)
	}
	if in.home, err = unix.Open("/home/agent", unix.O_RDONLY|unix.O_DIRECTORY|unix.O_CLOEXEC, 0); err != nil {
		return step("open the home folder", err)
	}
	return nil
}

// procfs mounts /proc for commands, with the parts that reach the whole machine covered, and one for init alone.
func (in *machine) procfs(root int) error {
	const attrs = unix.MOUNT_ATTR_NOSUID | unix.MOUNT_ATTR_NODEV | unix.MOUNT_ATTR_NOEXEC
	// Init cannot be looked into, and invisible hides what cannot be looked into: so commands do not see init.
	proc, err := mountFS("proc", attrs, "hidepid=invisible")
	if err != nil {
		return step("mount proc", err)
	}
	if err := place(proc, root, "proc", 0); err != nil {
		return step("place /proc", err)
	}
	for _, name := range []string{"sys", "sysrq-trigger", "irq", "bus", "fs", "mtrr"} {
		path := "proc/" + name
		tree, err := unix.OpenTree(root, path, unix.OPEN_TREE_CLONE|unix.OPEN_TREE_CLOEXEC|unix.AT_RECURSIVE)
		if err == unix.ENOENT {
			continue
		}
		if err == nil {
			err = place(tree, root, path, unix.MOUNT_ATTR_RDONLY)
		}
		if err != nil {
			return step("make /"+path+" read-only", err)
		}
	}
	for _, name := range []string{"kcore", "kallsyms", "keys", "key-users", "kmsg", "timer_list", "sched_debug", "latency_stats", "kpagecount", "kpageflags", "kpagecgroup"} {
		path := "proc/" + name
		var st unix.Stat_t
		if unix.Fstatat(root, path, &st, unix.AT_SYMLINK_NOFOLLOW) != nil {
			continue
		}
		tree, err := unix.OpenTree(root, "dev/null", unix.OPEN_TREE_CLONE|unix.OPEN_TREE_CLOEXEC)
		if err == nil {
			err = place(tree, root, path, unix.MOUNT_ATTR_RDONLY)
		}
		if err != nil {
			return step("cover /"+path, err)
		}
	}
	for _, name := range []string{"acpi", "scsi", "asound"} {
		path := "proc/" + name
		var st unix.Stat_t
		if unix.Fstatat(root, path, &st, unix.AT_SYMLINK_NOFOLLOW) != nil {
			continue
		}
		empty, err := tmpfs("size=4k", "nr_inodes=1", "mode=0755")
		if err == nil {
			err = place(empty, root, path, readOnly)
		}
		if err != nil {
			return step("cover /"+path, err)
		}
	}
	// This one is attached nowhere and lives as long as init.
	if in.proc, err = mountFS("proc", attrs); err != nil {
		return step("mount proc for init", err)
	}
	return nil
}

// tmpfs makes a file system in memory that is not attached yet.
func tmpfs(options ...string) (int, error) {
	return mountFS("tmpfs", unix.MOUNT_ATTR_NOSUID|unix.MOUNT_ATTR_NODEV, options...)
}

// mountFS makes a file system that is not attached yet and returns its descriptor.
func mountFS(kind string, attrs int, options ...string) (int, error) {
	fs, err := unix.Fsopen(kind, unix.FSOPEN_CLOEXEC)
	if err != nil {
		return -1, err
	}
	defer unix.Close(fs)
	for _, o := range options {
		if key, value, ok := strings.Cut(o, "="); ok {
			err = unix.FsconfigSetString(fs, key, value)
		} else {
			err = unix.FsconfigSetFlag(fs, key)
		}
		if err != nil {
			return -1, err
		}
	}
	if err := unix.FsconfigCreate(fs); err != nil {
		return -1, err
	}
	return unix.Fsmount(fs, unix.FSMOUNT_CLOEXEC, attrs)
}

// attach puts a detached mount at path below dir.
func attach(tree, dir int, path string) error {
	return unix.MoveMount(tree, "", dir, path, unix.MOVE_MOUNT_F_EMPTY_PATH)
}

// place sets attributes on a detached tree and all below it, puts it at path below root, and closes it.
func place(tree, root int, path string, attrs uint64) error {
	defer unix.Close(tree)
	if attrs != 0 {
		err := unix.MountSetattr(tree, "", unix.AT_EMPTY_PATH|unix.AT_RECURSIVE, &unix.MountAttr{Attr_set: attrs})
		if err != nil {
			return err
		}
	}
	return attach(tree, root, path)
}

// mkdirAll makes path and its parents below dir.
func mkdirAll(dir int, path string) error {
	if path == "" {
		return nil
	}
	err := unix.Mkdirat(dir, path, 0o755)
	if err == unix.ENOENT {
		if err := mkdirAll(dir, parent(path)); err != nil {
			return err
		}
		err = unix.Mkdirat(dir, path, 0o755)
	}
	if err == unix.EEXIST {
		return nil
	}
	return err
}

// writeFile makes a file below dir, and its parents.
func writeFile(dir int, path, content string) error {
	if err := mkdirAll(dir, parent(path)); err != nil {
		return err
	}
	fd, err := unix.Openat(dir, path, unix.O_WRONLY|unix.O_CREAT|unix.O_EXCL|unix.O_CLOEXEC|unix.O_NOFOLLOW, 0o644)
	if err != nil {
		return err
	}
	defer unix.Close(fd)
	for data := []byte(content); len(data) > 0; {
		n, err := unix.Write(fd, data)
		if err != nil {
			return err
		}
		data = data[n:]
	}
	return nil
}

// parent is the folder of a relative path, empty for one at the top.
func parent(path string) string {
	return path[:max(strings.LastIndexByte(path, '/'), 0)]
}
