//go:build !linux

package skill

import (
	"errors"
	"os"
)

// link is not there on this system; files are copied.
func link(*os.Root, string, *os.Root, string) error { return errors.ErrUnsupported }
