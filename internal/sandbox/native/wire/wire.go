// Package wire is the language between the native driver and the init of a sandbox.
//
// They speak over one SOCK_SEQPACKET pair, one message a packet, descriptors beside it. Init is a small program that
// lives once per instance, so the encoding is a plain one that needs no reflection: a kind, then the fields in order;
// numbers little-endian, texts and lists with a length in front.
package wire

// Kind is the first byte of a message.
type Kind uint8

// Messages to init.
const (
	KindSetup  Kind = 1 + iota // Setup; the first message, sent once
	KindExec                   // Exec, with descriptors for the streams that it names
	KindSignal                 // Signal
	KindReach                  // Reach
	KindSpill                  // Spill, with one more descriptor, the last, that holds the real message
	KindFork                   // Fork; to a starter, which is sent nothing else
)

// Messages from init.
const (
	KindReady   Kind = 101 + iota // no fields; the answer to Setup
	KindFailed                    // Failed; the other answer to Setup
	KindStarted                   // Started; the answer to Exec
	KindRefused                   // Refused; the other answer to Exec
	KindExited                    // Exited; once for each Started
	KindReached                   // Reached; the answer to Reach
	KindNotice                    // Notice; at any time
	KindBorn                      // Born; the answer to Fork, with a descriptor of the process
)

// MaxPacket is the size in bytes up to which a message travels in its packet. A larger one is spilled into a memory
// file, since the size of a packet is bounded by the host's socket settings.
const MaxPacket = 32 << 10

// MaxMessage is the largest message in bytes, also a spilled one.
const MaxMessage = 4 << 20

// Setup says what the sandbox is made of.
type Setup struct {
	Hostname string
	Binds    []string // host paths that appear read-only at the same path; parents are made
	Links    []Pair   // symbolic links to make: path and target
	Files    []Pair   // files to make: path and content
	Home     string   // host path of the home folder; unused when HomeFD
	HomeFD   bool     // the home folder comes as a detached mount, the first descriptor
	Skills   string   // the same for the skills folder; empty without SkillsFD means an empty folder
	SkillsFD bool
	TmpMB    int64  // size of /tmp, in MiB; /dev/shm gets the same
	Filter   []byte // the seccomp program: struct sock_filter, one after the other
	Limits   Limits
}

// Pair is a path and what belongs to it.
type Pair struct{ Path, Value string }

// Limits bounds the commands of a sandbox. All are positive.
type Limits struct {
	MemoryMB, Processes, DiskMB, OpenFiles int64
}

// Streams of an Exec that come as descriptors, in this order. The others are /dev/null. Joined means that standard
// error goes where standard output goes.
const (
	Stdin uint8 = 1 << iota
	Stdout
	Stderr
	Joined
)

// Exec asks for a command.
type Exec struct {
	ID         uint32 // chosen by the driver, never used twice
	Streams    uint8
	CPUSeconds int64 // 0 means no bound
	Dir        string
	Argv, Env  []string
}

// Signal asks for a signal to a command. Tree means every process of the command's session and every descendant, again
// until none is left; otherwise its process group.
type Signal struct {
	ID   uint32
	Num  int64
	Tree bool
}

// Reach asks init to try, from inside and under all the rules of a command, to open paths and to connect to addresses.
type Reach struct {
	Paths []string
	Ports []int64 // TCP on 127.0.0.1
}

// Spill announces that the real message is in the memory file that comes as the last descriptor.
type Spill struct{ Size int64 }

// Fork asks a starter for an init.
type Fork struct {
	Inside, UID, GID, Width int64 // ids from Inside on are the host's from UID and GID on, Width of them
	Root                    bool  // the server is root: give up its groups and become the inside user
}

// Born is what came of a Fork.
type Born struct {
	PID   int64
	Errno int64 // 0 if it lives
}

// Failed says why a sandbox did not come to life.
type Failed struct {
	Step  string // what init was doing, such as "mount proc"
	Errno int64
}

// Started says that a command runs.
type Started struct {
	ID  uint32
	PID int64 // inside
}

// Refused says why a command does not run.
type Refused struct {
	ID    uint32
	Step  string // "program", "dir", "exec" or "message"
	Errno int64
}

// Exited says how a command ended.
type Exited struct {
	ID       uint32
	Code     int64
	Signal   int64
	CPU      int64 // nanoseconds
	MaxRSSKB int64
}

// Reached has an errno for each path and then for each port; 0 means it was reached.
type Reached struct{ Errnos []int64 }

// Notice is a line for the log.
type Notice struct{ Text string }

// Writer builds a message.
type Writer struct{ buf []byte }

// NewWriter starts a message of a kind.
func NewWriter(k Kind) *Writer { return &Writer{buf: []byte{byte(k)}} }

// Bytes is the message so far.
func (w *Writer) Bytes() []byte { return w.buf }

func (w *Writer) byte(v uint8)   { w.buf = append(w.buf, v) }
func (w *Writer) uint(v uint32)  { w.buf = append(w.buf, byte(v), byte(v>>8), byte(v>>16), byte(v>>24)) }
func (w *Writer) int(v int64)    { w.uint(uint32(v)); w.uint(uint32(v >> 32)) }
func (w *Writer) text(v string)  { w.uint(uint32(len(v))); w.buf = append(w.buf, v...) }
func (w *Writer) bytes(v []byte) { w.uint(uint32(len(v))); w.buf = append(w.buf, v...) }

func (w *Writer) bool(v bool) {
	if v {
		w.byte(1)
	} else {
		w.byte(0)
	}
}

func (w *Writer) texts(v []string) {
	w.uint(uint32(len(v)))
	for _, s := range v {
		w.text(s)
	}
}

func (w *Writer) ints(v []int64) {
	w.uint(uint32(len(v)))
	for _, n := range v {
		w.int(n)
	}
}

func (w *Writer) pairs(v []Pair) {
	w.uint(uint32(len(v)))
	for _, p := range v {
		w.text(p.Path)
		w.text(p.Value)
	}
}

// Reader takes a message apart. A message that is too short or too long makes it bad, and all that is read from a bad
// reader is zero.
type Reader struct {
	buf []byte
	bad bool
}

// NewReader starts on a message and returns its kind, 0 if it has none.
func NewReader(msg []byte) (Kind, *Reader) {
	r := &Reader{buf: msg}
	return Kind(r.byte()), r
}

// OK reports whether the whole message was read and nothing was missing.
func (r *Reader) OK() bool { return !r.bad && len(r.buf) == 0 }

func (r *Reader) take(n int) []byte {
	if r.bad || n < 0 || n > len(r.buf) {
		r.bad = true
		return nil
	}
	b := r.buf[:n]
	r.buf = r.buf[n:]
	return b
}

func (r *Reader) byte() uint8 {
	if b := r.take(1); b != nil {
		return b[0]
	}
	return 0
}

func (r *Reader) bool() bool {
	b := r.byte()
	r.bad = r.bad || b > 1
	return b == 1 && !r.bad
}

func (r *Reader) uint() uint32 {
	if b := r.take(4); b != nil {
		return uint32(b[0]) | uint32(b[1])<<8 | uint32(b[2])<<16 | uint32(b[3])<<24
	}
	return 0
}

func (r *Reader) int() int64 {
	low, high := r.uint(), r.uint()
	if r.bad {
		return 0
	}
	return int64(uint64(high)<<32 | uint64(low))
}

func (r *Reader) text() string { return string(r.take(int(r.uint()))) }

func (r *Reader) bytes() []byte {
	b := r.take(int(r.uint()))
	if len(b) == 0 {
		return nil
	}
	return append([]byte(nil), b...)
}

// count reads the length of a list whose items take at least size bytes each, so that a bad length costs no memory.
func (r *Reader) count(size int) int {
	n := int(r.uint())
	if r.bad || n > len(r.buf)/size {
		r.bad = true
		return 0
	}
	return n
}

func (r *Reader) texts() []string {
	n := r.count(4)
	if n == 0 {
		return nil
	}
	v := make([]string, n)
	for i := range v {
		v[i] = r.text()
	}
	return v
}

func (r *Reader) ints() []int64 {
	n := r.count(8)
	if n == 0 {
		return nil
	}
	v := make([]int64, n)
	for i := range v {
		v[i] = r.int()
	}
	return v
}

func (r *Reader) pairs() []Pair {
	n := r.count(8)
	if n == 0 {
		return nil
	}
	v := make([]Pair, n)
	for i := range v {
		v[i] = Pair{r.text(), r.text()}
	}
	return v
}
