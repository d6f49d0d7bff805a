package sandbox

import (
	"strings"

	"yardmaster/internal/errs"
)

// Normalize checks c and returns it with the defaults filled in: Dir, and in Env the names of DefaultEnv that are
// absent. Drivers call it first in Exec. The result shares nothing with c that Normalize changed.
func (c Command) Normalize() (Command, error) {
	if len(c.Argv) == 0 || c.Argv[0] == "" {
		return c, errs.BadField("argv", "Name a program to run.")
	}
	for _, arg := range c.Argv {
		if strings.ContainsRune(arg, 0) {
			return c, errs.BadField("argv", "Remove the NUL byte: no program can be given one.")
		}
	}
	given := make(map[string]bool, len(c.Env))
	for _, kv := range c.Env {
		name, _, ok := strings.Cut(kv, "=")
		if !ok || name == "" || strings.ContainsRune(kv, 0) {
			return c, errs.BadField("env", "Write each variable as NAME=value, without NUL bytes.")
		}
		given[name] = true
	}
	env := make([]string, 0, len(c.Env)+len(DefaultEnv))
	env = append(env, c.Env...)
	for _, kv := range DefaultEnv {
		if name, _, _ := strings.Cut(kv, "="); !given[name] {
			env = append(env, kv)
		}
	}
	c.Env = env
	if c.Dir == "" {
		c.Dir = HomeDir
	}
	if !strings.HasPrefix(c.Dir, "/") || strings.ContainsRune(c.Dir, 0) {
		return c, errs.BadField("dir", "Give the working folder as an absolute path, such as %s.", HomeDir)
	}
	return c, nil
}
