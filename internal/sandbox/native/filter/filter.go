// Package filter assembles the system call filter that every process of a sandbox runs under, for amd64 and arm64.
//
// The filter is a seccomp program in classic BPF over struct seccomp_data (seccomp(2)): the number at offset 0, the
// architecture at 4, the six arguments of eight bytes each from 16. Arguments are compared in their low 32 bits where
// the kernel itself looks at no more, so that set high bits hide nothing.
package filter

import (
	"encoding/binary"
	"fmt"
	"maps"
	"slices"

	"golang.org/x/net/bpf"
)

// What the kernel does with a call: values of SECCOMP_RET_*, an errno in the low bits where one applies.
const (
	allow   = 0x7fff0000
	kill    = 0x80000000
	failure = 0x00050000
)

// Errors that the filter answers with, the same number on both architectures.
const (
	eperm           = 1
	enosys          = 38
	eprotonosupport = 93
	esocktnosupport = 94
	eafnosupport    = 97
)

// AUDIT_ARCH_* of linux/audit.h.
var archs = map[string]uint32{"amd64": 0xc000003e, "arm64": 0xc00000b7}

const (
	offNumber = 0
	offArch   = 4
	offArgs   = 16
)

// Constants of the kernel's interface that package unix has for linux only.
const (
	// CLONE_NEWNS, NEWCGROUP, NEWUTS, NEWIPC, NEWUSER, NEWPID and NEWNET. CLONE_NEWTIME shares its bit with the exit
	// signal of clone, so it exists for unshare and clone3 only.
	namespaceFlags = 0x00020000 | 0x02000000 | 0x04000000 | 0x08000000 | 0x10000000 | 0x20000000 | 0x40000000

	tiocsti   = 0x5412 // puts bytes into the input queue of a terminal
	tioclinux = 0x541c // pastes into a virtual console

	afUnix, afInet, afInet6 = 1, 2, 10
	sockStream, sockDgram   = 1, 2
	sockTypeMask            = 0xf
	ipprotoTCP, ipprotoUDP  = 6, 17

	msgFastOpen        = 0x20000000 // connects while sending, past rules on connect
	tcpFastOpenConnect = 30
)

// Program returns the filter for an architecture, "amd64" or "arm64", as instructions that the kernel takes.
func Program(arch string) ([]bpf.RawInstruction, error) {
	prog, err := instructions(arch)
	if err != nil {
		return nil, err
	}
	return bpf.Assemble(prog)
}

// Bytes returns the filter as an array of struct sock_filter in the byte order of both architectures, little-endian.
func Bytes(arch string) ([]byte, error) {
	raw, err := Program(arch)
	if err != nil {
		return nil, err
	}
	out := make([]byte, 0, 8*len(raw))
	for _, ins := range raw {
		out = binary.LittleEndian.AppendUint16(out, ins.Op)
		out = append(out, ins.Jt, ins.Jf)
		out = binary.LittleEndian.AppendUint32(out, ins.K)
	}
	return out, nil
}

func instructions(arch string) ([]bpf.Instruction, error) {
	audit, ok := archs[arch]
	if !ok {
		return nil, fmt.Errorf("no system call table for %s", arch)
	}
	prog := []bpf.Instruction{
		// A 32-bit call on a 64-bit kernel has other numbers: no program of ours does one.
		bpf.LoadAbsolute{Off: offArch, Size: 4},
		bpf.JumpIf{Cond: bpf.JumpEqual, Val: audit, SkipTrue: 1},
		bpf.RetConstant{Val: kill},
		// x32 calls have bit 30 set, so they are above the table too.
		bpf.LoadAbsolute{Off: offNumber, Size: 4},
		bpf.JumpIf{Cond: bpf.JumpLessOrEqual, Val: lastKnown, SkipTrue: 1},
		bpf.RetConstant{Val: failure | enosys},
	}
	on := func(n number, body ...bpf.Instruction) {
		nr := n.amd64
		if arch == "arm64" {
			nr = n.arm64
		}
		if nr == none {
			return
		}
		prog = append(prog, bpf.JumpIf{Cond: bpf.JumpEqual, Val: uint32(nr), SkipFalse: uint8(len(body))})
		prog = append(prog, body...)
	}
	for _, name := range slices.Sorted(maps.Keys(judged)) {
		on(judged[name], bodies[name]...)
	}
	for _, name := range slices.Sorted(maps.Keys(absent)) {
		on(absent[name], bpf.RetConstant{Val: failure | enosys})
	}
	for _, name := range slices.Sorted(maps.Keys(refused)) {
		on(refused[name], bpf.RetConstant{Val: failure | eperm})
	}
	return append(prog, bpf.RetConstant{Val: allow}), nil
}

// arg loads the low half of argument n.
func arg(n int) bpf.Instruction { return bpf.LoadAbsolute{Off: uint32(offArgs + 8*n), Size: 4} }

// noBits ends a body: EPERM when argument n has any of the bits.
func noBits(n int, bits uint32) []bpf.Instruction {
	return []bpf.Instruction{
		arg(n),
		bpf.JumpIf{Cond: bpf.JumpBitsSet, Val: bits, SkipFalse: 1},
		bpf.RetConstant{Val: failure | eperm},
		bpf.RetConstant{Val: allow},
	}
}

// bodies decide the judged calls; each ends in an answer.
var bodies = map[string][]bpf.Instruction{
	"clone":    noBits(0, namespaceFlags),
	"sendto":   noBits(3, msgFastOpen),
	"sendmsg":  noBits(2, msgFastOpen),
	"sendmmsg": noBits(3, msgFastOpen),
	"ioctl": {
		arg(1),
		bpf.JumpIf{Cond: bpf.JumpEqual, Val: tiocsti, SkipTrue: 1},
		bpf.JumpIf{Cond: bpf.JumpNotEqual, Val: tioclinux, SkipTrue: 1},
		bpf.RetConstant{Val: failure | eperm},
		bpf.RetConstant{Val: allow},
	},
	"setsockopt": {
		arg(1),
		bpf.JumpIf{Cond: bpf.JumpNotEqual, Val: ipprotoTCP, SkipTrue: 3},
		arg(2),
		bpf.JumpIf{Cond: bpf.JumpNotEqual, Val: tcpFastOpenConnect, SkipTrue: 1},
		bpf.RetConstant{Val: failure | eperm},
		bpf.RetConstant{Val: allow},
	},
	"socketpair": {
		arg(0),
		bpf.JumpIf{Cond: bpf.JumpEqual, Val: afUnix, SkipTrue: 1},
		bpf.RetConstant{Val: failure | eafnosupport},
		bpf.RetConstant{Val: allow},
	},
	"socket": {
		arg(0),
		bpf.JumpIf{Cond: bpf.JumpEqual, Val: afUnix, SkipTrue: 13},
		bpf.JumpIf{Cond: bpf.JumpEqual, Val: afInet, SkipTrue: 2},
		bpf.JumpIf{Cond: bpf.JumpEqual, Val: afInet6, SkipTrue: 1},
		bpf.RetConstant{Val: failure | eafnosupport},
		arg(1),
		bpf.ALUOpConstant{Op: bpf.ALUOpAnd, Val: sockTypeMask},
		bpf.JumpIf{Cond: bpf.JumpEqual, Val: sockStream, SkipTrue: 2},
		bpf.JumpIf{Cond: bpf.JumpEqual, Val: sockDgram, SkipTrue: 1},
		bpf.RetConstant{Val: failure | esocktnosupport},
		arg(2),
		bpf.JumpIf{Cond: bpf.JumpEqual, Val: 0, SkipTrue: 3},
		bpf.JumpIf{Cond: bpf.JumpEqual, Val: ipprotoTCP, SkipTrue: 2},
		bpf.JumpIf{Cond: bpf.JumpEqual, Val: ipprotoUDP, SkipTrue: 1},
		bpf.RetConstant{Val: failure | eprotonosupport},
		bpf.RetConstant{Val: allow},
	},
}
