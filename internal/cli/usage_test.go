package cli_test

import (
	"strings"
	"testing"
)

// A command that is written wrongly is the caller's to mend, like a wrong input: exit code 2.
func TestWrongCommands(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name string
		args []string
		says string
	}{
		{"an unknown command", []string{"instance"}, "instance"},
		{"an unknown verb", []string{"instances", "explode"}, "explode"},
		{"no id", []string{"instances", "get"}, "arg"},
		{"two ids", []string{"instances", "get", "a", "b"}, "arg"},
		{"no required flag", []string{"secrets", "create", "--name", "A"}, "value"},
		{"serve with a word", []string{"serve", "now"}, "now"},
		{"an unknown flag", []string{"chat", "--colour"}, "--colour"},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			if r := run(t, "", append(c.args, "--data", t.TempDir())...); r.code != 2 || !strings.Contains(r.errOut, c.says) {
				t.Errorf("exit code %d, want 2: %s", r.code, r.errOut)
			}
		})
	}
}
