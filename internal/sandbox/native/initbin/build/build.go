// Package build compiles the init of a sandbox so that the same source and toolchain give the same bytes on every
// machine.
package build

import (
	"bytes"
	"fmt"
	"os"
	"os/exec"
)

// Archs are the architectures that init is built for.
var Archs = []string{"amd64", "arm64"}

// Program builds init for arch into the file at path and returns its bytes. It needs the go command and the module's
// dependencies; the working folder is anywhere inside the module.
func Program(arch, path string) ([]byte, error) {
	cmd := exec.Command("go", "build", "-trimpath", "-buildvcs=false", "-ldflags=-s -w -buildid=", "-o", path, "yardmaster/cmd/yardmaster-init")
	// What a person may have set for other builds must not show in this one.
	cmd.Env = append(os.Environ(), "GOOS=linux", "GOARCH="+arch, "CGO_ENABLED=0", "GOAMD64=v1", "GOARM64=v8.0",
		"GOFLAGS=", "GOEXPERIMENT=", "GOTOOLCHAIN=local", "GODEBUG=", "GOFIPS140=off", "GOWORK=off")
	if out, err := cmd.CombinedOutput(); err != nil {
		return nil, fmt.Errorf("build init for %s: %w\n%s", arch, err, bytes.TrimSpace(out))
	}
	return os.ReadFile(path)
}
