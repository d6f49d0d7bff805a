//go:build linux

package native

import (
	"errors"
	"os"
	"strings"

	"golang.org/x/sys/unix"

	"yardmaster/internal/errs"
)

// Where the kernel says what it refuses to ordinary users.
const (
	apparmorSwitch = "/proc/sys/kernel/apparmor_restrict_unprivileged_userns"
	debianSwitch   = "/proc/sys/kernel/unprivileged_userns_clone"
	countSwitch    = "/proc/sys/user/max_user_namespaces"
)

// appArmorMend is what an administrator of a host with AppArmor's rule on user namespaces has to install once.
const appArmorMend = "Install an AppArmor profile for the server, in /etc/apparmor.d/yardmaster: " +
	"\"abi <abi/4.0>, include <tunables/global> profile yardmaster /usr/local/bin/yardmaster flags=(unconfined) { userns, }\" " +
	"with the server's own path, and load it with apparmor_parser -r; or run the server as root."

// cannotFork explains why the first process of a sandbox could not be made.
func cannotFork(err error) error {
	return errs.Wrap(err, errs.Unavailable, "This machine does not let the server make a sandbox (%v). %s", err, forkMend(err, readSwitch))
}

// cannotBuild explains why a sandbox could not be built.
func cannotBuild(step string, errno unix.Errno) error {
	cause := &os.SyscallError{Syscall: step, Err: errno}
	return errs.Wrap(cause, errs.Unavailable, "A sandbox could not be built: to %s failed (%v). %s", step, errno, buildMend(step, errno, readSwitch))
}

// readSwitch returns the content of a file of /proc/sys, empty if there is none.
func readSwitch(path string) string {
	b, err := os.ReadFile(path)
	if err != nil {
		return ""
	}
	return strings.TrimSpace(string(b))
}

// forkMend is the mend by errno of clone and of what follows it before init runs.
func forkMend(err error, read func(string) string) string {
	switch {
	case errors.Is(err, unix.ENOSPC), errors.Is(err, unix.EUSERS):
		if read(countSwitch) == "0" {
			return "User namespaces are switched off: set user.max_user_namespaces to 10000 with sysctl."
		}
		return "The number of namespaces is used up: raise user.max_user_namespaces and the other user.max_*_namespaces with sysctl, or run fewer instances."
	case errors.Is(err, unix.EPERM), errors.Is(err, unix.EACCES):
		if read(debianSwitch) == "0" {
			return "Ordinary users may not make user namespaces here: set kernel.unprivileged_userns_clone to 1 with sysctl, or run the server as root."
		}
		if read(apparmorSwitch) == "1" {
			return appArmorMend
		}
		return "In a container, start it with a seccomp profile that allows user namespaces (for example --security-opt seccomp=unconfined) or use the docker or kubernetes driver; elsewhere, switch user namespaces on."
	case errors.Is(err, unix.EINVAL), errors.Is(err, unix.ENOSYS):
		return "The kernel is too old or was built without namespaces: Linux 5.12 or later is needed."
	case errors.Is(err, unix.EAGAIN), errors.Is(err, unix.ENOMEM):
		return "The machine is out of processes or memory: run fewer instances, or raise the server's limit on processes (ulimit -u)."
	default:
		return "Run `yardmaster doctor` for the state of this machine."
	}
}

// buildMend is the mend by step and errno of what init does.
func buildMend(step string, errno unix.Errno, read func(string) string) string {
	switch errno {
	case unix.EPERM, unix.EACCES:
		if read(apparmorSwitch) == "1" {
			return appArmorMend
		}
		if strings.HasPrefix(step, "mount proc") {
			return "The host's /proc is partly covered, as in containers: use the gvisor, docker or kubernetes driver, or run the container with an uncovered /proc (procMount Unmasked, or --security-opt systempaths=unconfined)."
		}
		return "A security module or a container's profile refuses it: allow mounts in user namespaces for the server."
	case unix.ENOSYS, unix.EINVAL:
		return "The kernel is too old for it: Linux 5.12 or later is needed."
	case unix.ENOSPC:
		return "The number of mounts or namespaces is used up: raise fs.mount-max or user.max_mnt_namespaces with sysctl."
	case unix.ENOENT:
		return "Something that a sandbox needs from the host is missing: check that the folder exists and that /dev and /proc are mounted."
	default:
		return "Run `yardmaster doctor` for the state of this machine."
	}
}
