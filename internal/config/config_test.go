package config_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/spf13/pflag"

	"yardmaster/internal/config"
)

func load(t *testing.T, file string, env map[string]string, args ...string) (config.Config, error) {
	t.Helper()
	if file != "" {
		path := filepath.Join(t.TempDir(), "y.yaml")
		if err := os.WriteFile(path, []byte(file), 0o600); err != nil {
			t.Fatal(err)
		}
		args = append(args, "--config", path)
	}
	fs := pflag.NewFlagSet("t", pflag.ContinueOnError)
	config.AddFlags(fs)
	if err := fs.Parse(args); err != nil {
		t.Fatal(err)
	}
	return config.Load(fs, func(k string) string { return env[k] })
}

func TestPrecedence(t *testing.T) {
	t.Parallel()
	env := map[string]string{"HOME": "/h", "YARDMASTER_LISTEN": "env:1", "YARDMASTER_MAX_INSTANCES": "7"}
	c, err := load(t, "listen: file:1\nmodel: file/m\nmax-instances: 5\n", env, "--listen", "flag:1")
	if err != nil {
		t.Fatal(err)
	}
	if c.Listen != "flag:1" || c.MaxInstances != 7 || c.Model != "file/m" || c.Driver != "native" || c.Data != "/h/.local/share/yardmaster" {
		t.Errorf("got %+v", c)
	}
}

func TestMistakesAreNamed(t *testing.T) {
	t.Parallel()
	for want, c := range map[string]struct {
		file string
		env  map[string]string
	}{
		"unknown setting lisen":       {"lisen: x\n", map[string]string{"HOME": "/h"}},
		"YARDMASTER_MAX_INSTANCES":    {"", map[string]string{"HOME": "/h", "YARDMASTER_MAX_INSTANCES": "many"}},
		"say where with --data":       {"", nil},
		"is not there":                {"", map[string]string{"HOME": "/h", "YARDMASTER_CONFIG": "/nope.yaml"}},
		"max-instances: \"-1\" is no": {"max-instances: -1\n", map[string]string{"HOME": "/h"}},
		"log-level: \"loud\" must be one of debug, info, warn, error": {"log-level: loud\n", map[string]string{"HOME": "/h"}},
	} {
		_, err := load(t, c.file, c.env)
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("got %v, want %q", err, want)
		}
	}
}

// Secrets are no flags: command lines are public.
func TestSecretsAreNoFlags(t *testing.T) {
	t.Parallel()
	fs := pflag.NewFlagSet("t", pflag.ContinueOnError)
	config.AddFlags(fs)
	if fs.Lookup("bootstrap-key") != nil || fs.Lookup("master-key") != nil {
		t.Error("a secret may be given as a flag")
	}
}
