package app_test

import (
	"flag"
	"os"
	"strings"
	"testing"

	"go.uber.org/goleak"
)

var update = flag.Bool("update", false, "accept the API as it is now as the golden one")

// atEnd is done after all tests.
var atEnd []func()

// The settings of whoever runs the tests must not reach the program under test.
func TestMain(m *testing.M) {
	for _, v := range os.Environ() {
		if name, _, _ := strings.Cut(v, "="); strings.HasPrefix(name, "YARDMASTER_") {
			if err := os.Unsetenv(name); err != nil {
				panic(err)
			}
		}
	}
	goleak.VerifyTestMain(m, goleak.Cleanup(func(code int) {
		for _, fn := range atEnd {
			fn()
		}
		os.Exit(code)
	}))
}
