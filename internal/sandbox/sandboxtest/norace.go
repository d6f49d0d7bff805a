//go:build linux && !race

package sandboxtest

const raceEnabled = false
