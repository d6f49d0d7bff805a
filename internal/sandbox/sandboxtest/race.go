//go:build linux && race

package sandboxtest

// raceEnabled says that the probe reserves terabytes, which no memory limit allows.
const raceEnabled = true
