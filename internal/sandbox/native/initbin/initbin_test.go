package initbin

import (
	"bytes"
	"os"
	"path/filepath"
	"runtime"
	"testing"

	"yardmaster/internal/sandbox/native/initbin/build"
)

// The committed programs are exactly what the source gives.
func TestCommittedProgramsAreBuiltFromTheSource(t *testing.T) {
	t.Parallel()
	if testing.Short() {
		t.Skip("building init twice is left out in short mode")
	}
	if Toolchain() != runtime.Version() {
		t.Skipf("init was built with %s and this is %s: the bytes differ", Toolchain(), runtime.Version())
	}
	for _, arch := range build.Archs {
		packed, err := os.ReadFile("init_" + arch + ".gz")
		if err != nil {
			t.Fatal(err)
		}
		committed, err := unpack(packed)
		if err != nil {
			t.Fatal(err)
		}
		built, err := build.Program(arch, filepath.Join(t.TempDir(), arch))
		if err != nil {
			t.Fatal(err)
		}
		if !bytes.Equal(committed, built) {
			t.Errorf("init for %s is not what the source gives: run go generate ./internal/sandbox/native/initbin", arch)
		}
	}
}

func TestProgramIsAnExecutable(t *testing.T) {
	t.Parallel()
	program, err := Program()
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.HasPrefix(program, []byte("\x7fELF")) || len(program) > 4<<20 {
		t.Errorf("init is %d bytes and starts with %q", len(program), program[:4])
	}
	if _, err := unpack([]byte("not packed")); err == nil {
		t.Error("garbage was unpacked")
	}
}
