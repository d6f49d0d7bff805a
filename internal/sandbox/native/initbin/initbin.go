// Package initbin holds the init of a sandbox as a program: built for both architectures from cmd/yardmaster-init,
// packed, and committed, so that building Yardmaster needs one step only. A test builds it again and compares.
package initbin

import (
	"bytes"
	"compress/gzip"
	_ "embed"
	"fmt"
	"io"
	"strings"
)

//go:generate go run ./gen

//go:embed toolchain.txt
var toolchain string

// Toolchain is the version of Go that built the program, such as "go1.26.8".
func Toolchain() string { return strings.TrimSpace(toolchain) }

// Program returns the program for the architecture that this is compiled for.
func Program() ([]byte, error) { return unpack(packed) }

func unpack(packed []byte) ([]byte, error) {
	r, err := gzip.NewReader(bytes.NewReader(packed))
	if err != nil {
		return nil, fmt.Errorf("unpack init: %w", err)
	}
	program, err := io.ReadAll(r)
	if err != nil {
		return nil, fmt.Errorf("unpack init: %w", err)
	}
	return program, nil
}
