package filter

import (
	"encoding/binary"
	"maps"
	"runtime"
	"slices"
	"testing"

	"golang.org/x/net/bpf"
)

// run gives a call to the filter and returns the answer. The virtual machine reads big-endian words, so the data is
// laid out in that order: the low half of an argument keeps its offset.
func run(t *testing.T, arch string, auditArch, nr uint32, args ...uint64) uint32 {
	t.Helper()
	prog, err := instructions(arch)
	if err != nil {
		t.Fatal(err)
	}
	vm, err := bpf.NewVM(prog)
	if err != nil {
		t.Fatal(err)
	}
	data := make([]byte, offArgs+6*8)
	binary.BigEndian.PutUint32(data[offNumber:], nr)
	binary.BigEndian.PutUint32(data[offArch:], auditArch)
	for i, a := range args {
		binary.BigEndian.PutUint32(data[offArgs+8*i:], uint32(a))
		binary.BigEndian.PutUint32(data[offArgs+8*i+4:], uint32(a>>32))
	}
	got, err := vm.Run(data)
	if err != nil {
		t.Fatal(err)
	}
	return uint32(got)
}

func (n number) of(arch string) int {
	if arch == "arm64" {
		return n.arm64
	}
	return n.amd64
}

func TestRefusedAndAbsent(t *testing.T) {
	t.Parallel()
	for arch, audit := range archs {
		for name, n := range refused {
			if nr := n.of(arch); nr != none {
				if got := run(t, arch, audit, uint32(nr)); got != failure|eperm {
					t.Errorf("%s %s: got %#x, want EPERM", arch, name, got)
				}
			}
		}
		for name, n := range absent {
			if got := run(t, arch, audit, uint32(n.of(arch))); got != failure|enosys {
				t.Errorf("%s %s: got %#x, want ENOSYS", arch, name, got)
			}
		}
	}
}

func TestEverythingElseIsAllowed(t *testing.T) {
	t.Parallel()
	for arch, audit := range archs {
		known := map[int]bool{}
		for _, table := range []map[string]number{refused, absent, judged} {
			for _, n := range table {
				known[n.of(arch)] = true
			}
		}
		for nr := range lastKnown + 1 {
			if known[nr] {
				continue
			}
			if got := run(t, arch, audit, uint32(nr)); got != allow {
				t.Errorf("%s call %d: got %#x, want allow", arch, nr, got)
			}
		}
	}
}

func TestStrangeNumbersAndArchitectures(t *testing.T) {
	t.Parallel()
	for arch, audit := range archs {
		for _, nr := range []uint32{lastKnown + 1, 512, 1 << 30, 1<<30 | 1, 1<<30 | 59, 1 << 31, ^uint32(0)} {
			if got := run(t, arch, audit, nr); got != failure|enosys {
				t.Errorf("%s call %#x: got %#x, want ENOSYS", arch, nr, got)
			}
		}
		for _, other := range []uint32{0, 0x40000003, 0x40000028, audit ^ 1} { // none, i386, arm
			if got := run(t, arch, other, 0); got != kill {
				t.Errorf("%s with architecture %#x: got %#x, want kill", arch, other, got)
			}
		}
	}
}

func TestJudged(t *testing.T) {
	t.Parallel()
	const high = 1 << 32 // a set high half must change nothing
	cases := []struct {
		call string
		args []uint64
		want uint32
	}{
		{"clone", []uint64{0x003d0f00}, allow}, // a thread, as the C library makes it
		{"clone", []uint64{17 | 0x4000 | 0x100}, allow},
		{"clone", []uint64{17 | 0x10000000}, failure | eperm},
		{"clone", []uint64{17 | 0x00020000}, failure | eperm},
		{"clone", []uint64{17 | 0x40000000}, failure | eperm},
		{"ioctl", []uint64{0, 0x5401}, allow},
		{"ioctl", []uint64{0, tiocsti}, failure | eperm},
		{"ioctl", []uint64{0, high | tiocsti}, failure | eperm},
		{"ioctl", []uint64{0, high | tioclinux}, failure | eperm},
		{"socket", []uint64{afUnix, sockStream, 0}, allow},
		{"socket", []uint64{afUnix, 5, 0}, allow},
		{"socket", []uint64{afInet, sockStream | 0x80800, 0}, allow},
		{"socket", []uint64{afInet6, sockDgram, ipprotoUDP}, allow},
		{"socket", []uint64{high | afInet, sockStream, ipprotoTCP}, allow},
		{"socket", []uint64{afInet, 3, ipprotoTCP}, failure | esocktnosupport},
		{"socket", []uint64{afInet, 10, 0}, failure | esocktnosupport},
		{"socket", []uint64{afInet, sockStream, 262}, failure | eprotonosupport}, // MPTCP
		{"socket", []uint64{afInet, sockStream, 132}, failure | eprotonosupport}, // SCTP
		{"socket", []uint64{afInet, sockDgram, 1}, failure | eprotonosupport},    // ping
		{"socket", []uint64{16, 3, 0}, failure | eafnosupport},                   // netlink
		{"socket", []uint64{17, 3, 0}, failure | eafnosupport},                   // packet
		{"socket", []uint64{38, 5, 0}, failure | eafnosupport},                   // alg
		{"socket", []uint64{40, 1, 0}, failure | eafnosupport},                   // vsock
		{"socketpair", []uint64{afUnix, sockStream, 0}, allow},
		{"socketpair", []uint64{30, 5, 0}, failure | eafnosupport}, // tipc
		{"sendto", []uint64{3, 0, 0, 0x4000}, allow},
		{"sendto", []uint64{3, 0, 0, msgFastOpen}, failure | eperm},
		{"sendmsg", []uint64{3, 0, msgFastOpen | 0x40}, failure | eperm},
		{"sendmsg", []uint64{3, msgFastOpen, 0}, allow},
		{"sendmmsg", []uint64{3, 0, 0, high | msgFastOpen}, failure | eperm},
		{"setsockopt", []uint64{3, ipprotoTCP, 1}, allow},
		{"setsockopt", []uint64{3, 1, tcpFastOpenConnect}, allow},
		{"setsockopt", []uint64{3, ipprotoTCP, tcpFastOpenConnect}, failure | eperm},
	}
	for arch, audit := range archs {
		for _, c := range cases {
			if got := run(t, arch, audit, uint32(judged[c.call].of(arch)), c.args...); got != c.want {
				t.Errorf("%s %s%#x: got %#x, want %#x", arch, c.call, c.args, got, c.want)
			}
		}
	}
	for _, name := range slices.Sorted(maps.Keys(judged)) {
		if !slices.ContainsFunc(cases, func(c struct {
			call string
			args []uint64
			want uint32
		}) bool {
			return c.call == name && c.want != allow
		}) {
			t.Errorf("%s is judged but no case sees it refused", name)
		}
	}
}

func TestTableMatchesTheKernelsHeaders(t *testing.T) {
	t.Parallel()
	seen := 0
	for _, table := range []map[string]number{refused, absent, judged} {
		for name, n := range table {
			want, ok := kernelNumbers[name]
			if !ok {
				want = none
			}
			if got := n.of(runtime.GOARCH); got != want {
				t.Errorf("%s: table has %d, headers have %d", name, got, want)
			}
			seen++
		}
	}
	if seen < len(kernelNumbers) {
		t.Errorf("the table has %d calls, the headers list %d", seen, len(kernelNumbers))
	}
}

func TestUnknownArchitecture(t *testing.T) {
	t.Parallel()
	if _, err := Bytes("riscv64"); err == nil {
		t.Error("an architecture without a table got a filter")
	}
	for arch := range archs {
		if b, err := Bytes(arch); err != nil || len(b)%8 != 0 || len(b) > 8*4096 {
			t.Errorf("%s: %d bytes, %v", arch, len(b), err)
		}
	}
}
