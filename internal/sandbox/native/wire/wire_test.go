package wire

import (
	"testing"

	"github.com/google/go-cmp/cmp"
)

// decode reads any message and gives it back as bytes, nil if it is malformed.
func decode(msg []byte) (any, []byte) {
	kind, r := NewReader(msg)
	pack := func(m interface{ Encode() []byte }, ok bool) (any, []byte) {
		if !ok {
			return nil, nil
		}
		return m, m.Encode()
	}
	switch kind {
	case KindSetup:
		m, ok := DecodeSetup(r)
		return pack(m, ok)
	case KindExec:
		m, ok := DecodeExec(r)
		return pack(m, ok)
	case KindSignal:
		m, ok := DecodeSignal(r)
		return pack(m, ok)
	case KindReach:
		m, ok := DecodeReach(r)
		return pack(m, ok)
	case KindSpill:
		m, ok := DecodeSpill(r)
		return pack(m, ok)
	case KindFork:
		m, ok := DecodeFork(r)
		return pack(m, ok)
	case KindBorn:
		m, ok := DecodeBorn(r)
		return pack(m, ok)
	case KindFailed:
		m, ok := DecodeFailed(r)
		return pack(m, ok)
	case KindStarted:
		m, ok := DecodeStarted(r)
		return pack(m, ok)
	case KindRefused:
		m, ok := DecodeRefused(r)
		return pack(m, ok)
	case KindExited:
		m, ok := DecodeExited(r)
		return pack(m, ok)
	case KindReached:
		m, ok := DecodeReached(r)
		return pack(m, ok)
	case KindNotice:
		m, ok := DecodeNotice(r)
		return pack(m, ok)
	}
	return nil, nil
}

// examples has one of each message, with every field set.
var examples = []interface{ Encode() []byte }{
	Setup{
		Hostname: "h", Binds: []string{"/usr", "/etc/x"}, Links: []Pair{{"/bin", "usr/bin"}}, Files: []Pair{{"/etc/passwd", "a\n"}},
		Home: "/h", HomeFD: true, Skills: "/s", SkillsFD: true, TmpMB: 7, Filter: []byte{1, 2, 3},
		Limits: Limits{MemoryMB: 1, Processes: 2, DiskMB: 3, OpenFiles: 4},
	},
	Exec{ID: 9, Streams: Stdin | Joined, CPUSeconds: 5, Dir: "/d", Argv: []string{"a", ""}, Env: []string{"K=V"}},
	Signal{ID: 1, Num: -3, Tree: true},
	Reach{Paths: []string{"/x"}, Ports: []int64{80, 1 << 40}},
	Spill{Size: MaxMessage},
	Fork{Inside: 1, UID: 2, GID: 3, Width: 4, Root: true},
	Born{PID: 1, Errno: 2},
	Failed{Step: "s", Errno: 13},
	Started{ID: 1<<32 - 1, PID: 3},
	Refused{ID: 4, Step: "dir", Errno: 2},
	Exited{ID: 5, Code: 137, Signal: 9, CPU: 1 << 50, MaxRSSKB: 77},
	Reached{Errnos: []int64{0, 111}},
	Notice{Text: "é\x00"},
}

func TestMessagesComeBackAsTheyWere(t *testing.T) {
	t.Parallel()
	seen := map[byte]bool{}
	for _, m := range examples {
		msg := m.Encode()
		if seen[msg[0]] {
			t.Errorf("%T has the kind of another", m)
		}
		seen[msg[0]] = true
		got, _ := decode(msg)
		if diff := cmp.Diff(m, got); diff != "" {
			t.Errorf("%T (-want +got):\n%s", m, diff)
		}
	}
}

// A message that is cut short or continued is refused, wherever that happens.
func TestDamagedMessagesAreRefused(t *testing.T) {
	t.Parallel()
	for _, m := range examples {
		msg := m.Encode()
		for n := range msg {
			if got, _ := decode(msg[:n]); got != nil {
				t.Errorf("%T of %d bytes was read from %d", m, len(msg), n)
			}
		}
		if got, _ := decode(append(msg, 0)); got != nil {
			t.Errorf("%T was read with a byte too many", m)
		}
	}
	for name, msg := range map[string][]byte{
		"a list longer than the message": append([]byte{byte(KindReach)}, 0xff, 0xff, 0xff, 0x7f, 0, 0, 0, 0),
		"a flag that is no flag":         append(Signal{ID: 1}.Encode()[:13], 2),
		"a spill of nothing":             Spill{}.Encode(),
		"a spill too large":              Spill{Size: MaxMessage + 1}.Encode(),
		"a command without a program":    Exec{ID: 1}.Encode(),
		"nothing":                        nil,
	} {
		if got, _ := decode(msg); got != nil {
			t.Errorf("%s was read as %+v", name, got)
		}
	}
}

func FuzzDecode(f *testing.F) {
	for _, m := range examples {
		f.Add(m.Encode())
	}
	f.Fuzz(func(t *testing.T, msg []byte) {
		m, again := decode(msg)
		if m == nil {
			return
		}
		if diff := cmp.Diff(msg, again); diff != "" {
			t.Errorf("%T has two forms (-got +again):\n%s", m, diff)
		}
	})
}
