package sandbox

import "slices"

// How far a driver holds what a fact names.
const (
	Enforced = "enforced" // the kernel refuses it
	Soft     = "soft"     // watched, and ended when exceeded; may be exceeded for a moment
	None     = "none"     // not held
)

// Fact is one thing that a driver enforces or not, on this machine.
type Fact struct {
	Level  string `json:"level"`  // Enforced, Soft or None
	Reason string `json:"reason"` // a plain sentence that says by what, or why not
}

// Facts maps each of FactKeys to what holds here.
type Facts map[string]Fact

// FactKeys lists the keys of Facts in the order to show them.
//
//	fs      files of the host and of other instances are out of reach
//	pids    processes of the host and of other instances are out of sight and reach
//	net     no network but the own loopback
//	users   instances have user ids of their own
//	kernel  the host's kernel itself is out of reach
//	mem     memory is bounded
//	cpu     processor time is bounded
//	pidsmax the number of processes is bounded
//	disk    bytes on disk are bounded
func FactKeys() []string {
	return []string{"fs", "pids", "net", "users", "kernel", "mem", "cpu", "pidsmax", "disk"}
}

// Complete reports whether f has every key of FactKeys with a known level and a reason, and no other key.
func (f Facts) Complete() bool {
	for _, key := range FactKeys() {
		fact := f[key]
		if fact.Reason == "" || !slices.Contains([]string{Enforced, Soft, None}, fact.Level) {
			return false
		}
	}
	return len(f) == len(FactKeys())
}
