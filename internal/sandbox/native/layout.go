//go:build linux

package native

import (
	"os"
	"path/filepath"
	"strings"

	"yardmaster/internal/sandbox"
	"yardmaster/internal/sandbox/native/wire"
)

// topFolders are the folders of programs and libraries. On most hosts all but usr are links into it.
var topFolders = []string{"bin", "sbin", "lib", "lib32", "lib64", "libx32"}

// etcEntries are the host's settings that programs need to run and that hold nothing private. Private keys lie next to
// certificates in /etc/ssl, so only the parts that are public are named.
var etcEntries = []string{
	"alternatives", "ld.so.cache", "ld.so.conf", "ld.so.conf.d", // the loader, and Debian's names of programs
	"ssl/certs", "ssl/openssl.cnf", "ca-certificates", "pki/ca-trust", "pki/tls/certs", "crypto-policies",
	"localtime", "mime.types", "protocols", "services", "magic", "fonts", "terminfo",
	"python3", "python3.9", "python3.10", "python3.11", "python3.12", "python3.13", "python3.14", "perl",
}

// madeFiles are settings that a sandbox has of its own.
func madeFiles(hostname string) []wire.Pair {
	return []wire.Pair{
		{Path: "/etc/passwd", Value: "root:x:0:0:root:/root:/usr/sbin/nologin\n" +
			sandbox.User + ":x:1000:1000:" + sandbox.User + ":" + sandbox.HomeDir + ":/bin/sh\n" +
			"nobody:x:65534:65534:nobody:/nonexistent:/usr/sbin/nologin\n"},
		{Path: "/etc/group", Value: "root:x:0:\n" + sandbox.User + ":x:1000:\nnogroup:x:65534:\n"},
		{Path: "/etc/hosts", Value: "127.0.0.1 localhost\n::1 localhost ip6-localhost\n127.0.1.1 " + hostname + "\n"},
		{Path: "/etc/hostname", Value: hostname + "\n"},
		{Path: "/etc/resolv.conf", Value: "# This computer has no network but its own loopback.\n"},
		{Path: "/etc/nsswitch.conf", Value: "passwd: files\ngroup: files\nshadow: files\nhosts: files\nservices: files\nprotocols: files\n"},
		{Path: "/etc/profile", Value: "umask 022\n"},
	}
}

// layout fills in what a sandbox shows of this host. It is read anew for each start, since hosts are updated.
func (d *Driver) layout(s *wire.Setup) {
	s.Files = madeFiles(s.Hostname)
	s.Binds = []string{"/usr"}
	for _, name := range topFolders {
		show(s, "/"+name)
	}
	for _, name := range etcEntries {
		show(s, "/etc/"+name)
	}
	for _, path := range d.options.ReadOnly {
		if path = filepath.Clean(path); filepath.IsAbs(path) && path != "/" && path != "/usr" {
			show(s, path)
		}
	}
}

// show adds a path of the host, if it exists: a link into /usr as a link, everything else as what it leads to.
func show(s *wire.Setup, path string) {
	info, err := os.Lstat(path)
	if err != nil {
		return
	}
	if info.Mode()&os.ModeSymlink != 0 {
		target, err := os.Readlink(path)
		if err != nil {
			return
		}
		full := target
		if !filepath.IsAbs(full) {
			full = filepath.Join(filepath.Dir(path), target)
		}
		if strings.HasPrefix(full, "/usr/") {
			s.Links = append(s.Links, wire.Pair{Path: path, Value: target})
			return
		}
		if info, err = os.Stat(path); err != nil {
			return
		}
	}
	if info.IsDir() || info.Mode().IsRegular() {
		s.Binds = append(s.Binds, path)
	}
}
